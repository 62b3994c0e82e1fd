//! A spoke's VXLAN device: one to the hub and, by shortcuts, to all other sites.

use super::{Inputs, Part, Planes, WantedRole, alias, destination, told};
use crate::control::Cause;
use crate::engine::settings::Trigger;
use crate::engine::{Engine, Input, Item, News, Plane as Wanted, VnKey};
use crate::shell::netlink::{FdbChange, FdbEntry, Kind, Link, NewVxlan, VxlanInfo};
use crate::shell::packet::{self, LinkAddress};
use crate::shell::words::InWords;
use crate::types::{Mac, Nbma, Vni, Vtep};
use litemap::LiteMap;

/// The entry for everything without one of its own.
const DEFAULT: [u8; 6] = [0; 6];
/// The entry for broadcast.
const BROADCAST: [u8; 6] = [0xff; 6];
/// IEEE 802 Local Experimental Ethertype 1: no protocol takes such a frame.
const ETHERTYPE_EXPERIMENTAL: u16 = 0x88b5;
/// The shortest Ethernet frame.
const ANNOUNCEMENT_LEN: usize = 60;

impl Planes {
    /// The bridge must be there; the VXLAN device is made if it is not. The router's MAC in the VN, or what is missing.
    pub(super) fn bring_up_spoke(&mut self, key: VnKey) -> Result<Mac, Cause> {
        let Some(plane) = self.planes.get(&key) else { return Err(Cause::NoWay) };
        let wanted = plane.wanted.clone();
        let WantedRole::Spoke { vxlan, vni, trigger } = &wanted.role else { return Err(Cause::NoWay) };
        let bridge =
            self.find_bridge(&wanted.bridge)?.ok_or_else(|| Cause::NoBridge(wanted.bridge.clone()))?;
        self.check_filtering(key, &wanted, &bridge)?;
        let local = self.planes.get(&key).and_then(|p| p.local).ok_or(Cause::NoWay)?;
        let l2miss = *trigger == Trigger::L2miss;
        let alias = alias::device(&wanted.name);

        let mut found = self.netlink.link_by_name(vxlan).map_err(told)?;
        // A device of ours that sends from an address we have no more is of no use.
        if let Some(link) = found.take_if(|l| {
            l.may_be_ours() && l.alias.as_deref() == Some(&alias) && !serves(l, *vni, local, l2miss)
        }) {
            self.devices.remove(&link.index);
            self.delete(link.index);
        }
        let index = match found {
            Some(link) => {
                let ours = link.alias.as_deref() == Some(&alias);
                if let Some(plane) = self.planes.get_mut(&key) {
                    plane.users_own = !ours;
                }
                self.check_tunnel(&link, &bridge, *vni, local, l2miss)?;
                let mtu = if ours { wanted.mtu.into() } else { link.mtu };
                self.join(&link, &bridge, wanted.vlan, mtu).map_err(told)?;
                link.index
            }
            // The user, or netifd, makes it again: a new one of ours would be in the way.
            None if self.planes.get(&key).is_some_and(|p| p.users_own) => {
                return Err(format!(
                    "device '{vxlan}', which dmevpn did not make, is gone; once it is back it is used, \
                     and 'dmevpn reload' makes one"
                )
                .into());
            }
            None => {
                let new = NewVxlan {
                    name: vxlan,
                    vni: Some(vni.get()),
                    local: local.ip(),
                    port: self.udp_port,
                    l2miss,
                    mtu: Some(wanted.mtu.into()),
                    mac: Some(self.identity.device_mac(wanted.vpn_id)),
                    master: Some(bridge.index),
                    vlan: wanted.vlan,
                    alias: &alias,
                    entry: None,
                    up: true,
                };
                self.netlink.create_vxlan(&new).map_err(told)?
            }
        };
        self.devices.retain(|_, (vn, _)| *vn != key);
        self.devices.insert(index, (key, Part::Tunnel));
        if let Some(plane) = self.planes.get_mut(&key) {
            plane.bridge = Some(bridge.index);
            plane.tunnel = Some(index);
            plane.bridge_mac = bridge.mac.and_then(Mac::new);
        }
        Mac::new(self.identity.protocol_mac(wanted.vpn_id)).ok_or(Cause::NoWay)
    }

    /// Whether an existing device can be used.
    fn check_tunnel(
        &self,
        link: &Link,
        bridge: &Link,
        vni: Vni,
        local: Nbma,
        l2miss: bool,
    ) -> Result<(), String> {
        let name = &link.name;
        let Kind::Vxlan(vxlan) = &link.kind else { return Err(format!("'{name}' is not a VXLAN device")) };
        if vxlan.vni != Some(vni.get()) {
            let has = vxlan.vni.map_or("no VNI of its own".into(), |v| format!("VNI {v}"));
            return Err(format!("device '{name}' has {has}, option vni says {vni}"));
        }
        if vxlan.port != self.udp_port {
            return Err(format!(
                "device '{name}' uses UDP port {}, option udp_port says {}",
                vxlan.port, self.udp_port
            ));
        }
        if vxlan.learning {
            return Err(format!("device '{name}' learns by itself; it has to be made with 'nolearning'"));
        }
        if l2miss && !vxlan.l2miss {
            return Err(format!("device '{name}' does not report misses; it has to be made with 'l2miss'"));
        }
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

    /// Effect: an item of the VN's is to be as the engine wants it.
    pub fn changed(&mut self, key: VnKey, item: Item, wanted: Option<&Wanted>, inputs: &mut Inputs) {
        match item {
            // What the hub told stays until it tells otherwise.
            Item::Uplink => {
                if let Some(to) = wanted.and_then(Wanted::uplink) {
                    self.set_uplink(key, to);
                }
            }
            Item::Shortcut(mac) => match wanted.and_then(|w| w.shortcut(mac)) {
                Some(to) => self.set_shortcut(key, mac, to),
                None => self.drop_shortcut(key, mac),
            },
            Item::Port(spoke) => self.set_port(key, spoke, wanted.and_then(|w| w.port(spoke)), inputs),
            Item::Neighbour(_) => {}
        }
    }

    /// Unknown frames go there.
    fn set_uplink(&mut self, key: VnKey, to: Vtep) {
        if let Some(plane) = self.planes.get_mut(&key) {
            plane.uplink = Some(to);
        }
        if let Some((index, mac)) = self.uplink_entry(key) {
            self.changes.push(set(index, mac, to));
        }
    }

    /// This MAC's frames go there.
    fn set_shortcut(&mut self, key: VnKey, mac: Mac, to: Vtep) {
        if let Some(index) = self.tunnel(key).filter(|index| !self.is_users(key, *index, mac)) {
            self.changes.push(set(index, mac.octets(), to));
        }
    }

    /// The MAC has no shortcut.
    fn drop_shortcut(&mut self, key: VnKey, mac: Mac) {
        if let Some(index) = self.tunnel(key).filter(|index| !self.is_users(key, *index, mac)) {
            self.changes.push(FdbChange::Remove { index, mac: mac.octets(), to: None });
        }
    }

    /// Whether the device is the user's and the user has an entry for this MAC there.
    fn is_users(&mut self, key: VnKey, index: u32, mac: Mac) -> bool {
        self.planes.get(&key).is_some_and(|p| p.users_own)
            && matches!(self.netlink.fdb_get(index, mac.octets()), Ok(Some(entry)) if !entry.is_ours())
    }

    /// Effect: the bridge forgets where it learned the MAC.
    pub fn unlearn(&mut self, key: VnKey, mac: Mac) {
        let place = |p: &super::Plane| Some((p.bridge?, p.scope.vid()));
        let Some((bridge, vlan)) = self.planes.get(&key).and_then(place) else { return };
        match self.netlink.fdb_get_in(bridge, mac.octets(), vlan) {
            Ok(Some(entry)) if entry.is_learned() => {
                let (index, mac) = (entry.index, mac.octets());
                self.changes.push(FdbChange::Unlearn { index, mac, vlan });
            }
            Ok(_) => {}
            // With the bridge its entries are gone.
            Err(e) if e.not_found() => {}
            Err(e) => log::warn!("{e}"),
        }
    }

    /// Effect: the hub's bridge learns that the MAC is here, from a frame that is for the hub alone. It goes straight
    /// into the tunnel device: this site's bridge sees nothing of it.
    pub fn announce(&mut self, key: VnKey, mac: Mac, hub: Mac, inputs: &mut Inputs) {
        let Some(index) = self.tunnel(key) else { return };
        self.lead_to_hub(key, index, hub, inputs);
        let mut frame = [0; ANNOUNCEMENT_LEN];
        frame[..6].copy_from_slice(&hub.octets());
        frame[6..12].copy_from_slice(&mac.octets());
        frame[12..14].copy_from_slice(&ETHERTYPE_EXPERIMENTAL.to_be_bytes());
        self.flush();
        let to = LinkAddress::new(index, ETHERTYPE_EXPERIMENTAL, &hub.octets());
        let Some(announcer) = &self.announcer else { return };
        if let Err(e) = packet::send_to(announcer, &frame, &to) {
            log::debug!("announce {mac}: {}", InWords(&e));
        }
    }

    /// Without a default entry the first frame to a MAC is lost. The one to the hub must not be: it is told as missed
    /// before it is.
    fn lead_to_hub(&mut self, key: VnKey, index: u32, hub: Mac, inputs: &mut Inputs) {
        let Some(plane) = self.planes.get(&key) else { return };
        let WantedRole::Spoke { trigger: Trigger::L2miss, .. } = plane.wanted.role else { return };
        let Some(uplink) = plane.uplink else { return };
        self.flush();
        if matches!(self.netlink.fdb_get(index, hub.octets()), Ok(None)) {
            self.changes.push(set(index, hub.octets(), uplink));
            inputs.push_back(Input::News { vn: key, news: News::Miss(hub) });
        }
    }

    /// Effect: whether the shortcut is used.
    pub fn query_use(&mut self, key: VnKey, mac: Mac, inputs: &mut Inputs) {
        self.flush();
        let Some(index) = self.tunnel(key) else { return };
        match self.netlink.fdb_get(index, mac.octets()) {
            Ok(Some(FdbEntry { idle: Some(idle), age: Some(age), .. })) => {
                inputs.push_back(Input::News { vn: key, news: News::Use { mac, idle, age } });
            }
            // Unused, as far as anybody knows: it ends with its holding time.
            Ok(_) => {}
            Err(e) => log::warn!("{e}"),
        }
    }

    /// Compares the entries of ours in the kernel with the engine's. At the start they are all there is to go by, and
    /// the engine takes them over; later the engine is right.
    pub(super) fn compare_shortcuts(
        &mut self,
        key: VnKey,
        index: u32,
        adopt: bool,
        engine: &Engine,
        inputs: &mut Inputs,
    ) {
        let entries = match self.netlink.fdb_of_device(index) {
            Ok(entries) => entries,
            Err(e) => return log::error!("{e}"),
        };
        let mut missing: LiteMap<Mac, Vtep> =
            engine.plane(key).into_iter().flat_map(|plane| plane.shortcuts()).collect();
        let own_vni = self.own_vni(key);
        for entry in entries.iter().filter(|e| e.is_ours()) {
            let Some(mac) = Mac::new(entry.mac) else { continue };
            let there = vtep(entry, own_vni);
            match (missing.remove(&mac), there) {
                (Some(wanted), Some(there)) if wanted == there => {}
                (Some(wanted), _) => self.changes.push(set(index, entry.mac, wanted)),
                (None, Some(to)) if adopt => {
                    inputs.push_back(Input::News { vn: key, news: News::FoundShortcut { mac, to } })
                }
                (None, _) => self.changes.push(FdbChange::Remove { index, mac: entry.mac, to: None }),
            }
        }
        self.changes.extend(missing.into_iter().map(|(mac, to)| set(index, mac.octets(), to)));
        if let Some(to) = engine.plane(key).and_then(|plane| plane.uplink()) {
            self.set_uplink(key, to);
        }
    }

    /// An entry of ours is gone that the engine still wants: somebody else removed it.
    pub(super) fn restore(&mut self, entry: &FdbEntry, engine: &Engine) {
        let Some((key, Part::Tunnel)) = self.part(entry.index).filter(|_| entry.is_ours()) else { return };
        let there = vtep(entry, self.own_vni(key));
        let wanted = match Mac::new(entry.mac) {
            Some(mac) => engine.plane(key).and_then(|plane| plane.shortcut(mac)),
            None => engine
                .plane(key)
                .and_then(|plane| plane.uplink())
                .filter(|_| self.uplink_entry(key) == Some((entry.index, entry.mac))),
        };
        if let Some(to) = wanted.filter(|to| Some(*to) == there) {
            self.changes.push(set(entry.index, entry.mac, to));
        }
    }

    /// The daemon or the VN ends: a device of ours goes, one of the user's loses our entries.
    pub(super) fn leave_tunnel(&mut self, index: u32, vn: &str) {
        if self.delete_if_ours(index, vn) {
            return;
        }
        match self.netlink.fdb_of_device(index) {
            Ok(entries) => {
                let ours = entries.iter().filter(|e| e.is_ours());
                self.changes.extend(ours.map(|e| FdbChange::Remove {
                    index,
                    mac: e.mac,
                    to: e.destination(),
                }));
                self.flush();
            }
            Err(e) => log::warn!("{e}"),
        }
    }

    fn tunnel(&self, key: VnKey) -> Option<u32> {
        self.planes.get(&key)?.tunnel
    }

    /// The device, and the entry that leads to the hub: with trigger `l2miss` a default entry would keep the device
    /// from reporting misses, so only broadcast has one.
    fn uplink_entry(&self, key: VnKey) -> Option<(u32, [u8; 6])> {
        let plane = self.planes.get(&key)?;
        let mac = match plane.wanted.role {
            WantedRole::Spoke { trigger: Trigger::L2miss, .. } => BROADCAST,
            WantedRole::Spoke { trigger: Trigger::Learn, .. } | WantedRole::Hub(_) => DEFAULT,
        };
        Some((plane.tunnel?, mac))
    }

    fn own_vni(&self, key: VnKey) -> Option<Vni> {
        match self.planes.get(&key)?.wanted.role {
            WantedRole::Spoke { vni, .. } => Some(vni),
            WantedRole::Hub(_) => None,
        }
    }
}

/// Whether a device of ours is as one made now would be.
fn serves(link: &Link, vni: Vni, local: Nbma, l2miss: bool) -> bool {
    match &link.kind {
        Kind::Vxlan(VxlanInfo { vni: has, local: from, l2miss: reports, .. }) => {
            *has == Some(vni.get()) && *from == Some(local.ip()) && *reports == l2miss
        }
        _ => false,
    }
}

fn set(index: u32, mac: [u8; 6], to: Vtep) -> FdbChange {
    FdbChange::Set { index, mac, to: destination(to) }
}

/// Where an entry leads to.
fn vtep(entry: &FdbEntry, own: Option<Vni>) -> Option<Vtep> {
    let vni = match entry.vni {
        Some(vni) => Vni::new(vni),
        None => own,
    };
    Some(Vtep { nbma: Nbma::new(entry.dst?)?, vni: vni? })
}
