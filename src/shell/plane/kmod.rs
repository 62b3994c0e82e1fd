//! A hub's data plane `kmod`: one VXLAN device serves all spokes of a VN. Its driver (`patches/`) learns behind which
//! spoke a MAC is, looks up by itself where a frame goes, and floods to all spokes but the one a frame came from.
//! The bridge is there for the hub's own hosts; it hands frames between spokes back to the device.

use super::hub::ports;
use super::{Inputs, Part, Planes, Wanted, alias, destination, told};
use crate::config::{Config, Dataplane, HubRole, Role};
use crate::engine::{Engine, Input, News, Place, Port, VnKey};
use crate::shell::netlink::{FdbChange, FdbEntry, Kind, Link};
use crate::types::{Mac, Nbma, Vni, Vtep};
use litemap::LiteMap;
use std::fs;

/// The MAC whose destinations are flooded to.
const FLOOD: [u8; 6] = [0; 6];

/// The names the patched driver may have, each with a parameter that says whether it does what it was patched for.
const DRIVERS: [&str; 2] = ["vxlan_dmevpn", "vxlan"];

/// What forwards a hub's frames, and why that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forwarder {
    /// A bridge, with one device for each spoke.
    Bridge(String),
    /// One device for all spokes.
    Kmod(String),
}

/// A device for all spokes.
#[derive(Debug)]
pub(super) struct Shared {
    pub index: u32,
    /// The only VNI it accepts: what spokes use towards the hub.
    uplink: Vni,
    /// The address it sends from.
    local: Nbma,
    /// The spokes it floods to.
    members: LiteMap<Vtep, ()>,
}

impl Shared {
    /// A MAC is at the hub itself. What the device learned of it before would be old news when it is a spoke's again.
    pub(super) fn unlearn(&self, mac: Mac) -> FdbChange {
        FdbChange::Remove { index: self.index, mac: mac.octets(), to: None }
    }

    /// A device that an earlier run made. Its uplink VNI is in its name.
    fn of(link: &Link) -> Option<Shared> {
        let Kind::Vxlan(info) = &link.kind else { return None };
        let digits = link.name.strip_prefix("dmevpn").filter(|_| info.external && info.learning)?;
        let uplink = u32::from_str_radix(digits, 16).ok().and_then(Vni::new)?;
        let local = info.local.and_then(Nbma::new)?;
        Some(Shared { index: link.index, uplink, local, members: LiteMap::new() })
    }
}

/// The loaded VXLAN driver that learns VNIs, if there is one.
pub(super) fn driver() -> Option<&'static str> {
    let learns = |driver: &&str| {
        fs::read_to_string(format!("/sys/module/{driver}/parameters/learn_vni"))
            .is_ok_and(|v| v.starts_with('Y'))
    };
    DRIVERS.into_iter().find(learns)
}

impl Forwarder {
    /// What `wanted` comes to, in a daemon of this configuration.
    pub(super) fn choose(wanted: Dataplane, config: &Config, driver: Option<&str>) -> Forwarder {
        let needs_plain = |role: &Role| {
            matches!(role, Role::Spoke(_) | Role::Hub(HubRole { dataplane: Dataplane::Bridge, .. }))
        };
        let plain = config.vns.iter().find(|vn| needs_plain(&vn.role));
        match (wanted, driver, plain) {
            (Dataplane::Bridge, ..) => Forwarder::Bridge("as configured".into()),
            (Dataplane::Kmod, ..) => Forwarder::Kmod("as configured".into()),
            (Dataplane::Auto, None, _) => {
                Forwarder::Bridge("no VXLAN driver with learn_vni=Y is loaded".into())
            }
            (Dataplane::Auto, Some(_), Some(vn)) => {
                Forwarder::Bridge(format!("VN {} uses plain VXLAN devices on the same UDP port", vn.name))
            }
            (Dataplane::Auto, Some(driver), None) => Forwarder::Kmod(format!("{driver} has learn_vni=Y")),
        }
    }

    /// Its name in the configuration, and why it is this one.
    pub fn words(&self) -> (&'static str, &str) {
        match self {
            Forwarder::Bridge(why) => ("bridge", why),
            Forwarder::Kmod(why) => ("kmod", why),
        }
    }

    /// Whether one device serves all spokes.
    pub fn is_shared(&self) -> bool {
        matches!(self, Forwarder::Kmod(_))
    }
}

impl Planes {
    /// The device is found, or made as soon as there are spokes; its flood list becomes what the engine wants.
    pub(super) fn bring_up_shared(
        &mut self,
        key: VnKey,
        wanted: &Wanted,
        bridge: &Link,
        engine: &Engine,
        inputs: &mut Inputs,
    ) -> Result<(), String> {
        if driver().is_none() {
            return Err("dataplane kmod: no VXLAN driver with learn_vni=Y is loaded (vxlan_dmevpn)".into());
        }
        self.find_shared(key, wanted, bridge)?;
        for (spoke, Port { uplink, local }) in ports(engine, key) {
            if let Err((_, e)) = self.add_member(key, spoke, uplink, local) {
                log::error!("{}: {e}", wanted.name);
            }
        }
        let Some(shared) = self.planes.get_mut(&key).and_then(|p| p.shared.as_mut()) else { return Ok(()) };
        let (index, uplink, local) = (shared.index, shared.uplink, shared.local);
        let entries = self.netlink.fdb_of_device(index).map_err(told)?;
        let flooded = entries.iter().filter(|e| e.mac == FLOOD && e.is_ours()).filter_map(vtep);
        let there: LiteMap<Vtep, ()> = flooded.map(|spoke| (spoke, ())).collect();
        let lost = shared.members.keys().filter(|spoke| !there.contains_key(spoke));
        self.changes.extend(lost.map(|spoke| flood_to(index, *spoke)));
        let found: Vec<Vtep> = there.keys().filter(|s| !shared.members.contains_key(s)).copied().collect();
        shared.members.extend(found.iter().map(|spoke| (*spoke, ())));
        for spoke in found {
            let port = Port { uplink, local };
            inputs.push_back(Input::News { vn: key, news: News::FoundPort { spoke, port } });
        }
        self.flush();
        Ok(())
    }

    /// Takes over the device of an earlier run, if it is there; what the other data plane left is in the way.
    fn find_shared(&mut self, key: VnKey, wanted: &Wanted, bridge: &Link) -> Result<(), String> {
        let mine = alias::shared(&wanted.name);
        let mut found = None;
        for link in self.netlink.links().map_err(told)? {
            let Some(alias) = link.alias.as_deref() else { continue };
            if alias::parse_port(alias, &wanted.name).is_some() {
                self.delete(link.index);
            } else if alias == mine {
                match Shared::of(&link) {
                    Some(shared) => found = Some((link, shared)),
                    None => self.delete(link.index),
                }
            }
        }
        let Some(plane) = self.planes.get_mut(&key) else { return Ok(()) };
        let Some((link, shared)) = found else {
            plane.shared = None;
            return Ok(());
        };
        if plane.shared.as_ref().is_none_or(|shared| shared.index != link.index) {
            plane.shared = Some(shared);
        }
        self.devices.retain(|_, device| *device != (key, Part::Shared));
        self.devices.insert(link.index, (key, Part::Shared));
        self.keep_port(&link, bridge, wanted)?;
        self.netlink.set_hairpin(link.index).map_err(told)
    }

    /// Floods to a spoke, too; on failure, whether its uplink VNI is somebody else's.
    pub(super) fn add_member(
        &mut self,
        key: VnKey,
        spoke: Vtep,
        uplink: Vni,
        local: Nbma,
    ) -> Result<(), (bool, String)> {
        let there = self.planes.get(&key).and_then(|p| p.shared.as_ref()).map(|shared| shared.index);
        let index = match there {
            Some(index) => index,
            None => self.make_shared(key, uplink, local)?,
        };
        // It may have left just now.
        self.flush();
        let Some(shared) = self.planes.get_mut(&key).and_then(|p| p.shared.as_mut()) else { return Ok(()) };
        if shared.members.insert(spoke, ()).is_some() {
            return Ok(());
        }
        // Not with the other changes: the spoke is answered once it is done.
        let result = self.netlink.fdb_apply(&[flood_to(index, spoke)]);
        result.map_err(|errors| {
            shared.members.remove(&spoke);
            (false, errors.first().map_or(String::new(), |(_, e)| e.to_string()))
        })
    }

    /// Floods to a spoke no more. The device goes with the last one.
    pub(super) fn remove_member(&mut self, key: VnKey, spoke: Vtep) {
        let Some(plane) = self.planes.get_mut(&key) else { return };
        let Some(shared) = plane.shared.as_mut() else { return };
        let index = shared.index;
        if shared.members.remove(&spoke).is_none() {
            return;
        }
        if shared.members.is_empty() {
            plane.shared = None;
            self.devices.remove(&index);
            self.delete(index);
            return;
        }
        self.changes.push(FdbChange::Remove { index, mac: FLOOD, to: Some(destination(spoke)) });
        self.left.push((index, spoke));
    }

    fn make_shared(&mut self, key: VnKey, uplink: Vni, local: Nbma) -> Result<u32, (bool, String)> {
        // If it exists, another VNI would not help.
        let index = self.make_device(key, None, uplink, local).map_err(|(_, e)| (false, e))?;
        let filters = matches!(self.netlink.link_by_index(index),
            Ok(Some(Link { kind: Kind::Vxlan(info), .. })) if info.vnifilter);
        let accepted = match filters {
            true => self.netlink.accept_vni(index, uplink.get()),
            // A kernel before 5.18: the device takes every VNI of its UDP port.
            false => Ok(()),
        };
        if let Err(e) = accepted.and_then(|()| self.netlink.set_hairpin(index)) {
            self.delete(index);
            return Err((e.exists(), e.to_string()));
        }
        self.devices.insert(index, (key, Part::Shared));
        if let Some(plane) = self.planes.get_mut(&key) {
            plane.shared = Some(Shared { index, uplink, local, members: LiteMap::new() });
        }
        Ok(index)
    }

    /// The device learned, or forgot, behind which spoke a MAC is.
    pub(super) fn shared_event(&mut self, entry: &FdbEntry, gone: bool, inputs: &mut Inputs) {
        let Some((vn, Part::Shared)) = self.part(entry.index) else { return };
        let Some(mac) = Mac::new(entry.mac) else { return };
        let place = match vtep(entry) {
            _ if gone && self.is_at_bridge(vn, entry) => return,
            _ if gone => Place::Gone,
            Some(spoke) => Place::Port(spoke),
            None => return,
        };
        inputs.push_back(Input::News { vn, news: News::Fdb { mac, place } });
    }

    /// Whether the bridge has a MAC, which the device forgot, at another port.
    fn is_at_bridge(&mut self, vn: VnKey, forgotten: &FdbEntry) -> bool {
        let bridge = self.planes.get(&vn).and_then(|p| Some((p.bridge?, p.scope.vid())));
        bridge.is_some_and(|(bridge, vlan)| {
            let entry = self.netlink.fdb_get_in(bridge, forgotten.mac, vlan);
            entry.is_ok_and(|e| e.is_some_and(|e| e.index != forgotten.index))
        })
    }

    /// Somebody removed a spoke from a flood list.
    pub(super) fn restore_member(&mut self, gone: &FdbEntry) {
        let Some((vn, Part::Shared)) = self.part(gone.index).filter(|_| gone.mac == FLOOD) else { return };
        let shared = self.planes.get(&vn).and_then(|p| p.shared.as_ref());
        if let Some(spoke) = vtep(gone).filter(|spoke| shared.is_some_and(|s| s.members.contains_key(spoke)))
        {
            self.changes.push(flood_to(gone.index, spoke));
        }
    }

    /// Has devices forget what they learned of spokes that left.
    pub(super) fn forget_left(&mut self) {
        let mut left = core::mem::take(&mut self.left);
        left.sort_unstable();
        let mut devices: Vec<u32> = left.iter().map(|(index, _)| *index).collect();
        devices.dedup();
        for index in devices {
            match self.netlink.fdb_of_device(index) {
                Ok(entries) => {
                    let theirs = |e: &&FdbEntry| {
                        e.mac != FLOOD && vtep(e).is_some_and(|v| left.binary_search(&(index, v)).is_ok())
                    };
                    let gone = entries.iter().filter(theirs);
                    self.changes.extend(gone.map(|e| FdbChange::Remove {
                        index,
                        mac: e.mac,
                        to: e.destination(),
                    }));
                }
                // With the device its entries are gone.
                Err(e) if e.not_found() => {}
                Err(e) => log::warn!("{e}"),
            }
        }
    }
}

fn vtep(entry: &FdbEntry) -> Option<Vtep> {
    Some(Vtep { nbma: Nbma::new(entry.dst?)?, vni: Vni::new(entry.vni?)? })
}

fn flood_to(index: u32, spoke: Vtep) -> FdbChange {
    FdbChange::Add { index, mac: FLOOD, to: destination(spoke) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the first VN's forwarder is, when the file has these further sections.
    fn chosen(option: &str, more: &str, driver: Option<&str>) -> Forwarder {
        let text = format!(
            "config dmevpn\n option nbma 10.0.0.1\n\
             config vn a\n option vpn_id 1\n option role hub\n {option}\n{more}"
        );
        let config = Config::parse("f", &text).unwrap();
        let Role::Hub(hub) = &config.vns[0].role else { panic!("it is a hub") };
        Forwarder::choose(hub.dataplane, &config, driver)
    }

    #[test]
    fn one_device_for_all_spokes_where_that_is_possible() {
        let driver = Some("vxlan_dmevpn");
        let hub = "config vn b\n option vpn_id 2\n option role hub\n";
        let spoke = "config hub h\n option address 10.0.0.9\n\
                     config vn c\n option vpn_id 3\n option role spoke\n option bridge br\n option vni 5\n";
        assert!(chosen("", hub, driver).is_shared());
        for (option, more, driver, why) in [
            ("", "", None, "no VXLAN driver"),
            ("", spoke, driver, "VN c uses plain VXLAN devices"),
            ("", &format!("{hub} option dataplane bridge"), driver, "VN b uses plain VXLAN devices"),
            ("option dataplane bridge", "", driver, "as configured"),
        ] {
            let forwarder = chosen(option, more, driver);
            assert!(!forwarder.is_shared());
            assert!(forwarder.words().1.contains(why), "{forwarder:?}");
        }
        // Without the driver the VN waits for it, and says so.
        assert!(chosen("option dataplane kmod", "", None).is_shared());
    }
}
