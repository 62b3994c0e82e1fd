//! A spoke's VXLAN device: one to the hub and, by shortcuts, to all other sites. What the worker does about it.

use super::{DEFAULT, Wanted};
use crate::engine::Passing;
use crate::shell::netlink::{
    Destination, Error, FdbChange, FdbEntry, Kind, Link, Netlink, NewVxlan, VxlanInfo,
};
use crate::shell::packet::{self, LinkAddress};
use crate::shell::underlay::Source;
use crate::shell::words::InWords;
use crate::types::{Mac, Nbma, Vni, Vtep};
use crate::wire::loop_frame;
use socket2::Socket;
use std::net::IpAddr;
use std::time::Duration;

/// The entry for broadcast.
const BROADCAST: [u8; 6] = [0xff; 6];
/// The shortest Ethernet frame.
const ANNOUNCEMENT_LEN: usize = 60;

/// How the device has to be.
pub(super) struct Tunnel<'a> {
    pub name: &'a str,
    pub vni: Vni,
    pub origin: Source,
    pub l2miss: bool,
    pub port: u16,
}

impl Tunnel<'_> {
    /// Whether a device of ours is as one made now would be.
    pub fn is_served_by(&self, link: &Link) -> bool {
        let local = Some(self.origin.ip()).filter(|_| !self.origin.is_any);
        self.could_be_served_by(link) && matches!(&link.kind, Kind::Vxlan(info) if info.local == local)
    }

    /// Whether it is but for the address it sends from, which can be changed.
    pub fn could_be_served_by(&self, link: &Link) -> bool {
        let Kind::Vxlan(VxlanInfo { vni, local, l2miss, port, .. }) = &link.kind else { return false };
        *vni == Some(self.vni.get())
            && local.is_none_or(|local| local.is_ipv4() == self.origin.ip().is_ipv4())
            && (*l2miss, *port) == (self.l2miss, self.port)
    }

    /// Whether an existing device can be used.
    pub fn check(&self, link: &Link, bridge: &Link) -> Result<(), String> {
        let name = &link.name;
        let Kind::Vxlan(vxlan) = &link.kind else { return Err(format!("'{name}' is not a VXLAN device")) };
        if vxlan.vni != Some(self.vni.get()) {
            let has = vxlan.vni.map_or("no VNI of its own".into(), |v| format!("VNI {v}"));
            return Err(format!("device '{name}' has {has}, option vni says {}", self.vni));
        }
        if vxlan.port != self.port {
            return Err(format!(
                "device '{name}' uses UDP port {}, option udp_port says {}",
                vxlan.port, self.port
            ));
        }
        if vxlan.learning {
            return Err(format!("device '{name}' learns by itself; it has to be made with 'nolearning'"));
        }
        if self.l2miss && !vxlan.l2miss {
            return Err(format!("device '{name}' does not report misses; it has to be made with 'l2miss'"));
        }
        let local = self.origin.local;
        if vxlan.local.is_some_and(|l| l != local.ip()) {
            return Err(format!("device '{name}' sends from another address than {local}"));
        }
        match link.master {
            Some(master) if master != bridge.index => {
                Err(format!("device '{name}' is a port of another bridge than '{}'", bridge.name))
            }
            _ => Ok(()),
        }
    }

    /// One that is to be made.
    pub fn to_make<'a>(&'a self, wanted: &Wanted, bridge: u32, alias: &'a str) -> NewVxlan<'a> {
        NewVxlan {
            isolated: false,
            passing: Passing::All,
            hears_all: false,
            name: self.name,
            vni: Some(self.vni.get()),
            local: self.origin.ip(),
            port: self.port,
            l2miss: self.l2miss,
            mtu: Some(wanted.mtu.into()),
            mac: Some(wanted.device_mac),
            master: Some(bridge),
            vlan: wanted.vlan,
            alias,
            entry: None,
            up: true,
        }
    }
}

/// Has a VXLAN device send from another address. Over IPv6 each entry keeps the route, and with it the address, that it
/// used last: it is written anew.
pub(super) fn send_from(netlink: &mut Netlink, index: u32, local: IpAddr) -> Result<(), Error> {
    netlink.set_vxlan_local(index, local)?;
    if local.is_ipv4() {
        return Ok(());
    }
    let mut anew = Vec::new();
    for entry in netlink.fdb_of_device_where(index, |entry| entry.is_ours() || !entry.is_permanent())? {
        let (mac, Some(to)) = (entry.mac, entry.destination()) else { continue };
        anew.push(FdbChange::Remove { index, mac, to: Some(to) });
        // What the device learned by itself it learns again.
        anew.extend(entry.is_ours().then_some(FdbChange::Add { index, mac, to }));
    }
    netlink.fdb_apply(&anew).map_err(|mut errors| errors.swap_remove(0).1)
}

/// The entry that leads to the hub: with trigger `l2miss` a default entry would keep the device from reporting misses,
/// so only broadcast has one.
pub(super) fn uplink_mac(l2miss: bool) -> [u8; 6] {
    if l2miss { BROADCAST } else { DEFAULT }
}

/// Where an entry leads to; one that names no VNI uses the device's `own`.
pub(super) fn vtep(entry: &FdbEntry, own: Option<Vni>) -> Option<Vtep> {
    let vni = match entry.vni {
        Some(vni) => Vni::new(vni),
        None => own,
    };
    Some(Vtep { nbma: Nbma::new(entry.dst?)?, vni: vni? })
}

/// Where frames for a VTEP go, by the device's own UDP port; and `via` which device, if not as the route says.
pub(super) fn destination(to: Vtep, via: Option<u32>) -> Destination {
    Destination { ip: to.nbma.ip(), vni: Some(to.vni.get()), port: None, via }
}

/// The change that makes a MAC's frames go there.
pub(super) fn set(index: u32, mac: [u8; 6], to: Vtep, via: Option<u32>) -> FdbChange {
    FdbChange::Set { index, mac, to: destination(to, via) }
}

/// Whether the user has an entry for the MAC that is to be changed.
pub(super) fn is_users(netlink: &mut Netlink, change: &FdbChange) -> bool {
    match change {
        FdbChange::Set { index, mac, .. } | FdbChange::Remove { index, mac, .. }
            if Mac::new(*mac).is_some() =>
        {
            matches!(netlink.fdb_get(*index, *mac), Ok(Some(entry)) if !entry.is_ours())
        }
        _ => false,
    }
}

/// How long ago the entry was used, and written.
pub(super) fn read_use(netlink: &mut Netlink, index: u32, mac: Mac) -> Option<(Duration, Duration)> {
    match netlink.fdb_get(index, mac.octets()) {
        Ok(entry) => entry.and_then(|e| Some((e.idle?, e.age?))),
        // Unused, as far as anybody knows: it ends with its holding time.
        Err(e) => {
            if !e.not_found() {
                log::warn!("{e}");
            }
            None
        }
    }
}

/// How long ago each of our entries for a MAC was used, and written; and how long ago `uplink`, the one to the hub, was used.
pub(super) fn read_uses(
    netlink: &mut Netlink,
    index: u32,
    uplink: [u8; 6],
) -> (Vec<(Mac, Duration, Duration)>, Option<Duration>) {
    let entries = match netlink.fdb_of_device_where(index, |entry| entry.index == index && entry.is_ours()) {
        Ok(entries) => entries,
        // Unused, as far as anybody knows.
        Err(e) => {
            if !e.not_found() {
                log::warn!("{e}");
            }
            return (Vec::new(), None);
        }
    };
    let hub = entries.iter().find(|e| e.mac == uplink).and_then(|e| e.idle);
    let uses = entries.iter().filter_map(|e| Some((Mac::new(e.mac)?, e.idle?, e.age?)));
    (uses.collect(), hub)
}

/// The bridge forgets that it learned the MAC, if that was at a port that is meant.
pub(super) fn unlearn(
    netlink: &mut Netlink,
    bridge: u32,
    mac: Mac,
    vlan: Option<u16>,
    is_meant: impl Fn(u32) -> bool,
) {
    let done = match netlink.fdb_get_in(bridge, mac.octets(), vlan) {
        Ok(Some(entry)) if entry.is_learned() && is_meant(entry.index) => netlink
            .fdb_apply(&[FdbChange::Unlearn { index: entry.index, mac: mac.octets(), vlan }])
            .map_err(|mut errors| errors.swap_remove(0).1),
        Ok(_) => Ok(()),
        Err(e) => Err(e),
    };
    // With the bridge its entries are gone.
    if let Err(e) = done.or_else(|e| if e.not_found() { Ok(()) } else { Err(e) }) {
        log::warn!("{e}");
    }
}

/// The hub's bridge is to learn that a MAC is here, from a frame that is for the hub alone. It goes straight into the
/// tunnel device: this site's bridge sees nothing of it.
#[derive(Debug)]
pub(super) struct Announcement {
    pub index: u32,
    pub mac: Mac,
    pub hub: Mac,
    /// Without a default entry: where the hub is, and by which device.
    pub lead: Option<(Vtep, Option<u32>)>,
}

impl Announcement {
    /// Sends it. Whether the hub's MAC had no entry: without a default entry the first frame to a MAC is lost. The one
    /// to the hub must not be, so it is led there, and told as missed.
    pub(super) fn perform(&self, netlink: &mut Netlink, announcer: Option<&Socket>) -> bool {
        let (index, hub) = (self.index, self.hub.octets());
        let lead = self.lead.filter(|_| matches!(netlink.fdb_get(index, hub), Ok(None)));
        if let Some((to, via)) = lead {
            // Where it goes wrong, the frame is lost, and sent again in a while.
            let _ = netlink.fdb_apply(&[set(index, hub, to, via)]);
        }
        let mut frame = [0; ANNOUNCEMENT_LEN];
        frame[..6].copy_from_slice(&hub);
        frame[6..12].copy_from_slice(&self.mac.octets());
        frame[12..14].copy_from_slice(&loop_frame::ETHERTYPE.to_be_bytes());
        let to = LinkAddress::new(index, loop_frame::ETHERTYPE, &hub);
        if let Some(Err(e)) = announcer.map(|announcer| packet::send_to(announcer, &frame, &to)) {
            log::debug!("announce {}: {}", self.mac, InWords(&e));
        }
        lead.is_some()
    }
}
