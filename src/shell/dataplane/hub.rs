//! A hub's bridge and its ports: one VXLAN device for each spoke, and the kernel's bridge does the rest; or one device
//! for all (`kmod`). What the worker does about them.

use super::alias::{self, Kept};
use super::spoke::{self, destination, set};
use super::{DEFAULT, Wanted};
use crate::control::Cause;
use crate::engine::{Passing, Port};
use crate::shell::netlink::{Error, LinkChange, Netlink, NewVxlan};
use crate::types::{Nbma, VlanId, Vni, Vtep};
use std::sync::Arc;

/// Part of the MAC of a port.
const PORT: u8 = 2;

/// The name of the device whose frames go by this uplink VNI.
pub fn port_name(uplink: Vni) -> String {
    format!("dmevpn{:06x}", uplink.get())
}

/// A port that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NewPort {
    pub spoke: Vtep,
    pub port: Port,
}

/// Its device, or why there is none, and whether the name or the VNI is somebody else's.
pub(super) type Made = Result<u32, (bool, String)>;

/// The order to make some in the VN's bridge.
#[derive(Debug)]
pub(super) struct Make {
    pub wanted: Arc<Wanted>,
    pub bridge: u32,
    /// The device that their frames leave by, if not as the route says.
    pub via: Option<u32>,
    pub ports: Vec<NewPort>,
}

/// The order to have a device that is there lead to a spoke which moved.
#[derive(Debug)]
pub(super) struct Lead {
    pub wanted: Arc<Wanted>,
    pub index: u32,
    /// How it is.
    pub port: Port,
    /// The device that its frames leave by, if not as the route says.
    pub via: Option<u32>,
    pub new: NewPort,
}

impl Lead {
    /// At no time does it lead nowhere. One that cannot be changed is none.
    pub fn perform(self, netlink: &mut Netlink) -> (NewPort, Made) {
        let Lead { wanted, index, port, via, new } = self;
        let alias = alias::port(&wanted.name, new.spoke, kept(new.port));
        let marked = LinkChange { alias: Some(&alias), ..LinkChange::default() };
        let led = netlink.fdb_apply(&[set(index, DEFAULT, new.spoke, via)]);
        let led = led.map_err(|mut errors| errors.swap_remove(0).1);
        let sends = |netlink: &mut Netlink| match serves(port, new.port) {
            true => Ok(()),
            false if port.local == new.port.local => pass(netlink, index, new.port),
            false => change(netlink, index, &new).and_then(|()| pass(netlink, index, new.port)),
        };
        let done = led.and_then(|()| sends(netlink)).and_then(|()| netlink.set_link(index, &marked));
        let made = done.map(|()| index).map_err(|e| {
            if let Err(e) = netlink.delete_link(index) {
                log::warn!("{e}");
            }
            (false, e.to_string())
        });
        (new, made)
    }
}

impl Make {
    /// A device for each spoke, whole when it is told of.
    pub fn ports(self, netlink: &mut Netlink) -> Vec<(NewPort, Made)> {
        let vn = &self.wanted.name;
        let names: Vec<(String, String)> = self
            .ports
            .iter()
            .map(|p| (port_name(p.port.uplink), alias::port(vn, p.spoke, kept(p.port))))
            .collect();
        let new: Vec<NewVxlan<'_>> = self
            .ports
            .iter()
            .zip(&names)
            .map(|(p, (name, alias))| NewVxlan {
                vni: Some(p.port.uplink.get()),
                mac: Some(tunnel_mac(p.port.uplink, PORT)),
                entry: Some(destination(p.spoke, self.via)),
                isolated: p.port.is_hubs,
                passing: p.port.passing,
                hears_all: hears_all(p.port),
                ..self.device(p.port, name, alias)
            })
            .collect();
        let made = netlink.create_vxlans(&new);
        let made = self.ports.iter().copied().zip(made).map(|(new, made)| {
            let made = made.map_err(|e| refused(&e));
            (new, made.and_then(|index| if new.port.is_hubs { isolated(netlink, index) } else { Ok(index) }))
        });
        made.collect()
    }

    pub(super) fn device<'a>(&self, port: Port, name: &'a str, alias: &'a str) -> NewVxlan<'a> {
        NewVxlan {
            name,
            vni: None,
            local: port.local.ip(),
            port: self.wanted.udp_port,
            l2miss: false,
            mtu: Some(self.wanted.mtu.into()),
            mac: None,
            master: Some(self.bridge),
            vlan: self.wanted.vlan,
            alias,
            entry: None,
            isolated: false,
            passing: Passing::All,
            hears_all: false,
            up: true,
        }
    }
}

/// Has a port's device send from another address. The bridge and what it learned there notice nothing.
pub(super) fn change(netlink: &mut Netlink, index: u32, to: &NewPort) -> Result<(), Error> {
    spoke::send_from(netlink, index, to.port.local.ip())
}

/// Whether a port that is open from now on gets all multicast: who listens behind it was asked by another hub's bridge, and this
/// one has not asked yet. One that leads to another hub gets it always.
fn hears_all(port: Port) -> bool {
    port.passing == Passing::All && !port.is_hubs
}

/// Has a port pass what it is to.
pub(super) fn pass(netlink: &mut Netlink, index: u32, port: Port) -> Result<(), Error> {
    netlink.pass(index, port.passing)?;
    if hears_all(port)
        && let Err(e) = netlink.hear_all(index)
    {
        log::debug!("{e}");
    }
    Ok(())
}

/// Whether a port's device can be made as it is wanted without another one in its place.
pub(super) fn can_become(there: Port, wanted: Port) -> bool {
    (there.uplink, there.is_hubs) == (wanted.uplink, wanted.is_hubs) && there.local.same_family(wanted.local)
}

/// What is kept beside a port.
pub(super) fn kept(port: Port) -> Kept {
    let Port { mode, granted, mac, home, key, is_hubs, passing, .. } = port;
    Kept { mode, granted, mac, home, key, is_hubs, passing }
}

/// A port that was found.
pub(super) fn found(uplink: Vni, local: Nbma, kept: Kept) -> Port {
    let Kept { mode, granted, mac, home, key, is_hubs, passing } = kept;
    Port { uplink, local, mode, granted, mac, home, key, is_hubs, passing }
}

/// Whether a port's device is as it is to be; what is kept beside it can be changed.
pub(super) fn serves(there: Port, wanted: Port) -> bool {
    let of = |port: Port| (port.uplink, port.local, port.is_hubs, port.passing);
    of(there) == of(wanted)
}

/// A port that leads to another hub, if it is isolated: before Linux 4.18 the kernel takes no notice of that, and three hubs
/// were a loop.
fn isolated(netlink: &mut Netlink, index: u32) -> Made {
    let link = netlink.link_by_index(index).map_err(|e| refused(&e))?;
    if link.is_none_or(|link| link.isolated == Some(true)) {
        return Ok(index);
    }
    if let Err(e) = netlink.delete_link(index) {
        log::warn!("{e}");
    }
    Err((false, "several hubs need Linux 4.18, which isolates ports of a bridge".to_owned()))
}

/// Whether it exists, and what to do when a bridge has all the ports it can have (EXFULL).
fn refused(e: &Error) -> (bool, String) {
    let full = e.errno() == libc::EXFULL;
    let way_out = if full { "; option dataplane 'kmod' has room for more spokes" } else { "" };
    (e.exists(), format!("{e}{way_out}"))
}

/// A bridge with VLANs is made by who says which ports are in which; one with the name of a VLAN would be in its way.
pub(super) fn may_make_bridge(wanted: &Wanted) -> Result<(), Cause> {
    match (wanted.vlan, VlanId::of_name(&wanted.bridge)) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(Cause::NoBridge(wanted.bridge.clone())),
        (Some(_), _) => Err(Cause::NoFilteringBridge(wanted.bridge.clone())),
    }
}

/// A MAC for a tunnel device. Its high first octet keeps a bridge, which takes the lowest MAC of its ports, from
/// taking this one.
pub(super) fn tunnel_mac(vni: Vni, part: u8) -> [u8; 6] {
    let [_, a, b, c] = vni.get().to_be_bytes();
    [0xfe, 0xd0, part, a, b, c]
}
