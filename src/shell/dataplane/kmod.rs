//! A hub's data plane `kmod`: one VXLAN device serves all spokes of a VN. Its driver (`patches/`) learns behind which
//! spoke a MAC is, looks up by itself where a frame goes, and floods to all spokes but the one a frame came from.
//! The bridge is there for the hub's own hosts; it hands frames between spokes back to the device.

use super::alias;
use super::hub::{Make, kept, port_name, tunnel_mac};
use super::join::join;
use super::spoke::{destination, vtep};
use super::wanted::Wanted;
use super::{DEFAULT, shown};
use crate::engine::Port;
use crate::shell::netlink::{Error, FdbChange, FdbEntry, Kind, Link, Netlink, NewVxlan};
use crate::shell::underlay::is_ours;
use crate::types::{Nbma, Vni, Vtep};
use std::fs;

/// The names the patched driver may have, each with a parameter that says whether it does what it was patched for.
const DRIVERS: [&str; 2] = ["vxlan_dmevpn", "vxlan"];

/// Part of the MAC of a device for all spokes.
const SHARED: u8 = 3;

/// The device for all spokes and whether it takes every VNI; or why there is none, and whether the name or the VNI is
/// somebody else's.
pub(super) type SharedMade = Result<(u32, bool), (bool, String)>;

/// The loaded VXLAN driver that learns VNIs, if there is one.
pub(super) fn driver() -> Option<&'static str> {
    let learns = |driver: &&str| {
        fs::read_to_string(format!("/sys/module/{driver}/parameters/learn_vni"))
            .is_ok_and(|v| v.starts_with('Y'))
    };
    DRIVERS.into_iter().find(learns)
}

/// Whether a device for all spokes takes every VNI of its UDP port, as before Linux 5.18, which has no filter of VNIs.
pub(super) fn takes_all(link: &Link) -> bool {
    !matches!(&link.kind, Kind::Vxlan(info) if info.vnifilter)
}

/// The uplink VNI, which is in its name, and the address of a device that an earlier run made; `None` if it is no such
/// device.
pub(super) fn of(link: &Link) -> Option<(Vni, Nbma)> {
    let Kind::Vxlan(info) = &link.kind else { return None };
    let digits = link.name.strip_prefix("dmevpn").filter(|_| info.external && info.learning)?;
    let uplink = u32::from_str_radix(digits, 16).ok().and_then(Vni::new)?;
    Some((uplink, info.local.and_then(Nbma::new)?))
}

/// The device of an earlier run, made an active port again, and whom it floods to.
pub(super) fn find(
    netlink: &mut Netlink,
    index: Option<u32>,
    wanted: &Wanted,
    bridge: &Link,
) -> Result<Option<(Vni, Nbma, Vec<Vtep>)>, String> {
    if driver().is_none() {
        return Err("dataplane kmod: no VXLAN driver with learn_vni=Y is loaded (vxlan_dmevpn)".into());
    }
    let Some(index) = index else { return Ok(None) };
    let Some(link) = netlink.link_by_index(index).map_err(shown)? else { return Ok(None) };
    let Some((uplink, local)) = of(&link) else { return Ok(None) };
    join(netlink, &link, bridge.index, wanted.vlan, wanted.mtu.into()).map_err(shown)?;
    netlink.set_hairpin(index).map_err(shown)?;
    let flooded = |e: &FdbEntry| e.index == index && e.mac == DEFAULT && e.is_ours();
    let entries = netlink.fdb_of_device_where(index, flooded).map_err(shown)?;
    let mut members: Vec<Vtep> = entries.iter().filter_map(|e| vtep(e, None)).collect();
    members.sort_unstable();
    Ok(Some((uplink, local, members)))
}

impl Make {
    /// One device for all spokes, as the first of them needs it. It floods to that one from the start: as long as it floods to
    /// nobody it learns from everybody, and that they are to be sent to with the VNI that they send with.
    pub fn shared(self, netlink: &mut Netlink) -> SharedMade {
        let first = self.ports[0];
        let (name, alias) =
            (port_name(first.port.uplink), alias::shared(&self.wanted.name, kept(first.port)));
        let mac = Some(tunnel_mac(first.port.uplink, SHARED));
        let entry = Some(destination(first.spoke, None));
        let new = NewVxlan { mac, entry, ..self.device(first.port, &name, &alias) };
        // If it exists, another VNI would not help.
        let made = netlink.create_vxlan(&new).map_err(|e| (false, e.to_string()));
        made.and_then(|index| complete(netlink, index, first.port.uplink))
    }
}

/// What a new device for all spokes needs beside what others have; on failure, whether the VNI is somebody else's.
fn complete(netlink: &mut Netlink, index: u32, uplink: Vni) -> SharedMade {
    let takes_all = !matches!(netlink.link_by_index(index), Ok(Some(link)) if !takes_all(&link));
    let accepted = if takes_all { Ok(()) } else { netlink.accept_vni(index, uplink.get()) };
    accepted.and_then(|()| netlink.set_hairpin(index)).map(|()| (index, takes_all)).map_err(|e| {
        if let Err(e) = netlink.delete_link(index) {
            log::warn!("{e}");
        }
        (e.exists(), e.to_string())
    })
}

/// Whether a device that sends from `there` is to send from `wanted`, at which `spoke` registered: spokes may register at
/// several addresses, and the device has one of them.
pub(super) fn is_to_move(
    there: Nbma,
    wanted: Nbma,
    mut ports: impl Iterator<Item = (Vtep, Port)>,
    spoke: Vtep,
) -> bool {
    let is_used = |(other, port): (Vtep, Port)| other != spoke && port.local == there;
    there != wanted && is_ours(wanted) && !(is_ours(there) && ports.any(is_used))
}

/// Floods to these spokes, too.
pub(super) fn flood(netlink: &mut Netlink, index: u32, spokes: Vec<Vtep>) -> Vec<(Vtep, Result<(), String>)> {
    let changes: Vec<FdbChange> = spokes.iter().map(|spoke| flood_to(index, *spoke)).collect();
    let mut outcomes: Vec<_> = spokes.into_iter().map(|spoke| (spoke, Ok(()))).collect();
    for (place, e) in netlink.fdb_apply(&changes).err().unwrap_or_default() {
        if let Some((_, outcome)) = outcomes.get_mut(place) {
            *outcome = Err(e.to_string());
        }
    }
    outcomes
}

pub(super) fn flood_to(index: u32, spoke: Vtep) -> FdbChange {
    FdbChange::Add { index, mac: DEFAULT, to: destination(spoke, None) }
}

/// Floods to a spoke no more.
pub(super) fn flood_no_more(index: u32, spoke: Vtep) -> FdbChange {
    FdbChange::Remove { index, mac: DEFAULT, to: Some(destination(spoke, None)) }
}

/// Has a device forget what it learned of spokes that left.
pub(super) fn forget(netlink: &mut Netlink, index: u32, mut spokes: Vec<Vtep>) -> Result<(), Error> {
    spokes.sort_unstable();
    let theirs = |e: &FdbEntry| {
        e.index == index
            && e.mac != DEFAULT
            && vtep(e, None).is_some_and(|v| spokes.binary_search(&v).is_ok())
    };
    let entries = match netlink.fdb_of_device_where(index, theirs) {
        // With the device its entries are gone.
        Err(e) if e.not_found() => return Ok(()),
        entries => entries?,
    };
    let gone: Vec<FdbChange> =
        entries.iter().map(|e| FdbChange::Remove { index, mac: e.mac, to: e.destination() }).collect();
    netlink.fdb_apply(&gone).map_err(|mut errors| errors.swap_remove(0).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spokes at several addresses of a hub do not have its device change all the time.
    #[test]
    fn the_device_for_all_spokes_sends_from_an_address_that_is_there_and_used() {
        let nbma = |last: u8| Nbma::new([127, 0, 0, last].into()).unwrap();
        let gone = Nbma::new([192, 0, 2, 1].into()).unwrap();
        let spoke = |last| Vtep { nbma: nbma(last), vni: Vni::new(9).unwrap() };
        let port = |last, local| {
            let uplink = Vni::new(1).unwrap();
            (
                spoke(last),
                Port {
                    uplink,
                    local,
                    mode: Default::default(),
                    granted: 0,
                    mac: None,
                    home: None,
                    key: None,
                    is_hubs: false,
                    passing: Default::default(),
                },
            )
        };
        let moves = |there, wanted, other| {
            is_to_move(there, wanted, [port(8, wanted), port(9, other)].into_iter(), spoke(8))
        };
        assert!(moves(gone, nbma(1), gone), "the address is gone");
        assert!(moves(nbma(2), nbma(1), nbma(1)), "nobody uses it");
        assert!(!moves(nbma(2), nbma(1), nbma(2)), "others do");
        assert!(!moves(nbma(1), nbma(1), nbma(1)) && !moves(nbma(1), gone, gone));
    }
}
