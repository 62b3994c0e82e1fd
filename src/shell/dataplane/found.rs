//! What is in the kernel already: at the start all that earlier daemons left, later what changed while nobody looked.

use super::alias::{self, Kept, Mark};
use super::hub::{self, port_name};
use super::spoke::{set, vtep};
use super::vn::{Devices, Entry, Found, Part, Ported, Vn};
use super::worker::{Job, Whose};
use super::{DEFAULT, Dataplane, Doomed, Inputs, Leave, kmod};
use crate::engine::{Engine, Input, Item, News, Place, Plane, VnKey};
use crate::shell::netlink::{FdbEntry, FdbTable, Kind, Link};
use crate::types::{Mac, Nbma, VlanId, Vni, Vtep};

impl Dataplane {
    /// A device is there.
    pub(super) fn see(&mut self, link: &Link, engine: &Engine, inputs: &mut Inputs) {
        self.seen.push(link.index);
        if !link.may_be_ours() || self.doomed.iter().any(|doomed| doomed.index == link.index) {
            return;
        }
        let Some((name, mark)) = link.alias.as_deref().and_then(alias::parse) else { return };
        let is_bridge = matches!(link.kind, Kind::Bridge(_));
        // A bridge goes on when it is another VN's now.
        let is_used = is_bridge && self.vns.values().any(|vn| vn.wanted.bridge == link.name);
        let vn = self.vns.iter_mut().map(|(_, vn)| vn).find(|vn| vn.wanted.name == name);
        let known = vn.is_some();
        match (mark, vn) {
            (Mark::Device, Some(vn)) if !is_bridge && vn.is_tunnel(&link.name) => {}
            (Mark::Port(spoke, kept), Some(&mut Vn { key, devices: Devices::Ports(_), .. })) => {
                self.see_port(key, spoke, kept, link, engine, inputs);
            }
            (Mark::Shared(kept), Some(&mut Vn { key, devices: Devices::Shared(ref mut shared), .. })) => {
                if shared.index.is_none() && !shared.is_being_made && kmod::of(link).is_some() {
                    (shared.index, shared.kept) = (Some(link.index), kept);
                    self.parts.insert(link.index, (key, Part::Shared));
                } else if shared.index != Some(link.index) {
                    self.doom(link.index, None);
                }
            }
            _ if is_used => {}
            _ if known || self.alone.is_some() => self.is_in_the_way(link, name, mark),
            _ => {}
        }
    }

    /// A device of ours that no VN has a use for.
    fn is_in_the_way(&mut self, link: &Link, vn: &str, mark: Mark) {
        log::info!(target: vn, "{vn}: {} is left over and goes", link.name);
        let Kind::Vxlan(info) = &link.kind else {
            let bridge = Some(link.index);
            return self.leaving.push(Leave { name: vn.to_owned(), tunnel: None, bridge, joined: None });
        };
        if mark == Mark::Device {
            // A spoke's next one may have its name.
            return self.jobs.push_back(Job::Delete(vec![link.index], false));
        }
        let uplink = info.vni.and_then(Vni::new).filter(|vni| port_name(*vni) == link.name);
        self.doomed.push(Doomed { index: link.index, uplink });
    }

    fn see_port(
        &mut self,
        key: VnKey,
        spoke: Vtep,
        kept: Kept,
        link: &Link,
        engine: &Engine,
        inputs: &mut Inputs,
    ) {
        let Some(vn) = self.vns.get_mut(&key) else { return };
        let Kind::Vxlan(info) = &link.kind else { return };
        let (Some(uplink), Some(local)) = (info.vni.and_then(Vni::new), info.local.and_then(Nbma::new))
        else {
            return;
        };
        let (vlan, mtu, bridge) = (vn.wanted.vlan, vn.wanted.mtu, vn.standing.bridge);
        let Devices::Ports(ports) = &mut vn.devices else { return };
        let port = hub::found(uplink, local, kept);
        match ports.get(&spoke) {
            None => {
                ports.insert(spoke, Ported { index: Some(link.index), port, entry: Entry::NotSeen });
                self.parts.insert(link.index, (key, Part::Port(spoke)));
                match engine.plane(key).and_then(|plane| plane.port(spoke)) {
                    None => {
                        let news = News::FoundPort { spoke, port };
                        inputs.push_back(Input::News { vn: key, news });
                    }
                    Some(_) => self.port(key, spoke, engine.plane(key), true, inputs),
                }
            }
            Some(there) if there.index == Some(link.index) => {}
            // A spoke has one.
            Some(_) => return self.doom(link.index, Some(uplink)),
        }
        let Some(vn) = self.vns.get_mut(&key) else { return };
        match bridge {
            None => vn.found.push(Found::of(link)),
            Some(bridge) => self.keep(Found::of(link), bridge, vlan, mtu),
        }
    }

    /// A port of a hub's becomes an active one of the bridge again, if it is not.
    pub(super) fn keep(&mut self, found: Found, bridge: u32, vlan: Option<VlanId>, mtu: u16) {
        let mtu = u32::from(mtu);
        if vlan.is_some() || (found.master, found.up, found.mtu) != (Some(bridge), true, mtu) {
            self.jobs.push_back(Job::Keep { index: found.index, bridge, vlan, mtu });
        }
    }

    /// All devices were seen: what is missing was removed while nobody looked.
    pub(super) fn all_seen(&mut self, complete: bool, engine: &Engine, inputs: &mut Inputs) {
        self.looking = false;
        let mut seen = core::mem::take(&mut self.seen);
        if !complete {
            return;
        }
        seen.sort_unstable();
        let missing: Vec<u32> =
            self.parts.keys().filter(|index| seen.binary_search(index).is_err()).copied().collect();
        missing.into_iter().for_each(|index| self.device_gone(index, engine, inputs));
        self.vns.iter_mut().for_each(|(_, vn)| vn.unported = true);
    }

    /// Part of a listing.
    pub(super) fn entries(
        &mut self,
        whose: Whose,
        table: FdbTable,
        entries: &[FdbEntry],
        engine: &Engine,
        inputs: &mut Inputs,
    ) {
        let Some(vn) = self.vns.get(&whose.0).filter(|vn| vn.whose() == whose) else { return };
        let (key, adopt) = (vn.key, !vn.adopted);
        if let (FdbTable::Device(_), Devices::Spoke) = (table, &vn.devices) {
            return entries.iter().for_each(|entry| self.see_shortcut(key, entry, adopt, engine, inputs));
        }
        for entry in entries {
            match (entry.master, table) {
                (Some(_), _) => self.see_mac(key, entry, inputs),
                (None, FdbTable::Device(_)) => self.see_learned(key, entry, inputs),
                (None, FdbTable::Bridge(_)) => self.see_default(key, entry),
            }
        }
    }

    /// An entry of a bridge.
    fn see_mac(&mut self, key: VnKey, entry: &FdbEntry, inputs: &mut Inputs) {
        let Some(vn) = self.vns.get(&key) else { return };
        let is_new = |mac| self.listing.as_ref().is_none_or(|listing| !listing.newer.contains_key(&mac));
        let left = vn.left.is_some_and(|left| left.holds(entry) && !vn.standing.scope.holds(entry));
        if let Some(mac) = Mac::new(entry.mac).filter(|mac| left && is_new(*mac)) {
            let place = Place::Gone;
            return inputs.push_back(Input::News { vn: key, news: News::Fdb { mac, place } });
        }
        let Some((mac, place)) = vn.told_by(entry, false, &self.parts).filter(|(mac, _)| is_new(*mac)) else {
            return;
        };
        if let Some(stale) = vn.stale(mac, place) {
            self.change(stale, false);
        }
        inputs.push_back(Input::News { vn: key, news: News::Fdb { mac, place } });
    }

    /// An entry of a device for all spokes.
    fn see_learned(&mut self, key: VnKey, entry: &FdbEntry, inputs: &mut Inputs) {
        let learned = Mac::new(entry.mac).zip(vtep(entry, None));
        let newer = |mac| self.listing.as_ref().is_some_and(|listing| listing.newer.contains_key(&mac));
        if let Some((mac, spoke)) = learned.filter(|(mac, _)| !newer(*mac)) {
            let place = Place::At(spoke);
            inputs.push_back(Input::News { vn: key, news: News::Fdb { mac, place } });
        }
    }

    /// A port leads to its spoke, and nowhere else.
    fn see_default(&mut self, key: VnKey, entry: &FdbEntry) {
        let Some((_, Part::Port(spoke))) = self.parts.get(&entry.index).filter(|(owner, _)| *owner == key)
        else {
            return;
        };
        let Some(Vn { devices: Devices::Ports(ports), .. }) = self.vns.get_mut(&key) else { return };
        if let Some(ported) = ports.get_mut(spoke).filter(|_| entry.mac == DEFAULT) {
            let right = vtep(entry, Some(ported.port.uplink)) == Some(*spoke);
            ported.entry = match (right, ported.entry) {
                (true, Entry::NotSeen | Entry::Right) => Entry::Right,
                _ => Entry::Wrong,
            };
        }
    }

    /// An entry of a spoke's device. At the start such entries are all there is to go by, and the engine takes them
    /// over; later the engine is right.
    fn see_shortcut(
        &mut self,
        key: VnKey,
        entry: &FdbEntry,
        adopt: bool,
        engine: &Engine,
        inputs: &mut Inputs,
    ) {
        let Some(vn) = self.vns.get(&key).filter(|_| entry.is_ours()) else { return };
        let Some(mac) = Mac::new(entry.mac) else { return };
        let there = vn.leads_to(entry);
        let plane = engine.plane(key);
        if let Some(listing) = &mut self.listing {
            listing.seen.insert(mac, ());
        }
        match (plane.and_then(|plane| plane.shortcut(mac)), there) {
            (Some(wanted), Some(there)) if wanted == there => {}
            (None, Some(to)) if adopt => {
                inputs.push_back(Input::News { vn: key, news: News::FoundShortcut { mac, to } });
            }
            _ => self.shortcut(key, mac, plane),
        }
    }

    /// The listing is over: what is wanted and was not seen is not there.
    pub(super) fn listed(&mut self, whose: Whose, again: bool, engine: &Engine, inputs: &mut Inputs) {
        let Some(listing) = self.listing.take() else { return };
        let Some(vn) = self.vns.get_mut(&whose.0).filter(|vn| vn.whose() == whose) else { return };
        let key = vn.key;
        vn.unlisted |= again || listing.is_spoilt;
        vn.adopted |= vn.standing.tunnel.is_some();
        vn.left = None;
        let plane = engine.plane(key);
        match &vn.devices {
            Devices::Spoke => {
                let wanted = plane.into_iter().flat_map(Plane::shortcuts);
                let missing: Vec<Mac> =
                    wanted.map(|(mac, _)| mac).filter(|mac| !listing.seen.contains_key(mac)).collect();
                missing.into_iter().for_each(|mac| self.shortcut(key, mac, plane));
                self.changed(key, Item::Uplink, plane, inputs);
            }
            Devices::Ports(ports) => {
                let wrong = ports.iter().filter(|(_, p)| p.entry != Entry::Right);
                let wrong: Vec<_> =
                    wrong.filter_map(|(spoke, p)| Some(set(p.index?, DEFAULT, *spoke))).collect();
                wrong.into_iter().for_each(|change| self.change(change, false));
            }
            Devices::Shared(_) => {}
        }
        inputs.push_back(Input::News { vn: key, news: News::Listed });
    }
}
