//! What is in the kernel already: at the start all that earlier daemons left, later what changed while nobody looked.

use super::alias::{self, Kept, Mark};
use super::hub::{self, port_name};
use super::spoke::{set, vtep};
use super::vn::{Devices, Entry, Found, Part, Ported, Vn};
use super::worker::{Ended, Job, Whose};
use super::{DEFAULT, Dataplane, Doomed, Due, Inputs, LISTINGS, Leave, kmod};
use crate::control::Cause;
use crate::engine::{Engine, Input, Item, News, Place, Plane, VnKey};
use crate::shell::netlink::{FdbEntry, FdbTable, Kind, Link};
use crate::time::Instant;
use crate::types::{Mac, Nbma, VlanId, Vni, Vtep};

impl Dataplane {
    /// A device is there.
    pub(super) fn see(&mut self, link: &Link, inputs: &mut Inputs) {
        self.seen.insert(link.index, ());
        self.see_locks(link);
        self.floods_still_nothing(link);
        // The event that told so may have been lost.
        self.floods_again(link);
        let goes =
            |index| self.going.contains_key(&index) || self.doomed.iter().any(|doomed| doomed.index == index);
        if !link.may_be_ours() || goes(link.index) {
            return;
        }
        let Some((name, mark)) = link.alias.as_deref().and_then(alias::parse) else { return };
        let is_bridge = matches!(link.kind, Kind::Bridge(_));
        // A bridge goes on when it is another VN's now.
        let is_used = is_bridge && self.vns.values().any(|vn| vn.wanted.bridge == link.name);
        let vn = self.vns.iter_mut().map(|(_, vn)| vn).find(|vn| vn.wanted.name == name);
        let known = vn.is_some();
        // What leads to spokes by another UDP port leads nowhere.
        let leads = |vn: &&mut Vn| match &link.kind {
            Kind::Vxlan(info) => mark == Mark::Device || info.port == vn.wanted.udp_port,
            _ => true,
        };
        match (mark, vn.filter(leads)) {
            (Mark::Device, Some(vn)) if !is_bridge && vn.is_tunnel(&link.name) => {}
            (Mark::Port(spoke, kept), Some(&mut Vn { key, devices: Devices::Ports(_), .. })) => {
                self.see_port(key, spoke, kept, link, inputs);
            }
            (
                Mark::Shared(kept),
                Some(Vn { key, standing, unlisted, devices: Devices::Shared(shared), .. }),
            ) => {
                let key = *key;
                let of = kmod::of(link).filter(|_| shared.index.is_none() && !shared.is_being_made);
                if let Some((_, local)) = of {
                    (shared.index, shared.local, shared.kept) = (Some(link.index), Some(local), kept);
                    shared.takes_all = kmod::takes_all(link);
                    // Who is behind it was left out so far.
                    *unlisted |= standing.bridge.is_some();
                    self.parts.insert(link.index, (key, Part::Shared));
                    self.is_told(link.index, inputs);
                } else if shared.index != Some(link.index) {
                    self.doom(link.index, None);
                }
            }
            _ if is_used => {}
            _ if known || self.alone.is_some() && !self.is_swept => self.is_in_the_way(link, name, mark),
            _ => {}
        }
    }

    /// Any port of a bridge shows whether this kernel can lock them: it tells of what it knows.
    pub(super) fn see_locks(&mut self, link: &Link) {
        if !self.lacks_locks && link.isolated.is_some() && link.locked.is_none() {
            self.lacks_locks = true;
            self.tell_lacks();
        }
    }

    /// Where ports cannot be locked a hub among several lacks that. The log says it once.
    pub(super) fn tell_lacks(&mut self) {
        let lacks_locks = self.lacks_locks;
        for (_, vn) in self.vns.iter_mut() {
            let lack = (lacks_locks && vn.wanted.has_peers).then_some(Cause::NoLocks);
            let before = core::mem::replace(&mut vn.lack, lack);
            if let Some(lack) = vn.lack.as_ref().filter(|_| before.is_none()) {
                let name = vn.wanted.name.as_str();
                log::warn!(target: name, "{name}: {}", lack.line());
            }
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
            let delete = self.delete(vec![link.index], false);
            return self.jobs.push_back(delete);
        }
        let uplink = info.vni.and_then(Vni::new).filter(|vni| port_name(*vni) == link.name);
        self.doomed.push(Doomed { index: link.index, uplink });
    }

    fn see_port(&mut self, key: VnKey, spoke: Vtep, kept: Kept, link: &Link, inputs: &mut Inputs) {
        // It may have been listed as it was marked before its spoke moved.
        if self.parts.get(&link.index).is_some_and(|part| *part != (key, Part::Port(spoke))) {
            return;
        }
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
                ports.insert(spoke, Ported::new(Some(link.index), port, Entry::NotSeen));
                self.parts.insert(link.index, (key, Part::Port(spoke)));
                // Who is behind it was left out so far.
                vn.unlisted |= bridge.is_some();
                // The engine may know that spoke already, and may want another port for it.
                inputs.push_back(Input::News { vn: key, news: News::FoundPort { spoke, port } });
                self.due.push_back(Due::Item(key, Item::Port(spoke)));
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
        self.shut_again(link);
        self.isolate_again(link.index, link.isolated);
        self.is_told(link.index, inputs);
    }

    /// A port of a hub's becomes an active one of the bridge again, if it is not.
    pub(super) fn keep(&mut self, found: Found, bridge: u32, vlan: Option<VlanId>, mtu: u16) {
        let mtu = u32::from(mtu);
        if vlan.is_some() || (found.master, found.up, found.mtu) != (Some(bridge), true, mtu) {
            self.jobs.push_back(Job::Keep { index: found.index, bridge, vlan, mtu });
        }
    }

    /// All devices were seen: what is missing was removed while nobody looked.
    pub(super) fn all_seen(&mut self, complete: bool, inputs: &mut Inputs) {
        self.looking = false;
        let seen = core::mem::take(&mut self.seen);
        if !complete {
            return;
        }
        self.is_swept |= self.alone.is_some();
        let missing: Vec<u32> =
            self.parts.keys().filter(|index| !seen.contains_key(*index)).copied().collect();
        missing.into_iter().for_each(|index| self.device_gone(index, inputs));
        self.vns.iter_mut().for_each(|(_, vn)| vn.unported = true);
    }

    /// Part of a listing.
    pub(super) fn entries(
        &mut self,
        whose: Whose,
        table: FdbTable,
        entries: &[FdbEntry],
        inputs: &mut Inputs,
    ) {
        let Some(vn) = self.vns.get(&whose.0).filter(|vn| vn.whose() == whose) else { return };
        let (key, adopt) = (vn.key, !vn.adopted);
        if let (FdbTable::Device(_), Devices::Spoke) = (table, &vn.devices) {
            return entries.iter().for_each(|entry| self.see_shortcut(key, entry, adopt, inputs));
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
        // Who is behind a device that was not seen yet is listed once it is.
        if self.sees_first() && self.is_untold(entry) {
            return;
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
            self.forget_astray(key, mac, place);
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
            let right = vtep(entry, Some(ported.port.uplink)) == Some(*spoke) && entry.via == self.via;
            ported.entry = match (right, ported.entry) {
                (true, Entry::NotSeen | Entry::Right) => Entry::Right,
                _ => Entry::Wrong,
            };
        }
    }

    /// An entry of a spoke's device. At the start such entries are all there is to go by, and the engine takes them
    /// over; later the engine is right.
    fn see_shortcut(&mut self, key: VnKey, entry: &FdbEntry, adopt: bool, inputs: &mut Inputs) {
        let Some(vn) = self.vns.get(&key).filter(|_| entry.is_ours()) else { return };
        let Some(mac) = Mac::new(entry.mac) else { return };
        let there = vn.leads_to(entry);
        if let Some(listing) = &mut self.listing {
            listing.seen.insert(mac, there.map(|to| (to, entry.via)));
        }
        if let Some(to) = there.filter(|_| adopt) {
            inputs.push_back(Input::News { vn: key, news: News::FoundShortcut { mac, to } });
        }
    }

    /// A listing is over, and the engine has heard what was in it: what is not as it is wanted is due.
    pub(super) fn all_listed(&mut self, engine: &Engine, now: Instant, inputs: &mut Inputs) {
        let Some(listing) = self.listing.take_if(|listing| listing.ended.is_some()) else { return };
        let Some(vn) = self.vns.get_mut(&listing.vn.0).filter(|vn| vn.whose() == listing.vn) else { return };
        let key = vn.key;
        let is_whole = listing.ended == Some(Ended::Whole) && !listing.is_spoilt;
        if listing.ended == Some(Ended::Failed) {
            vn.unread = true;
            return vn.plan_again(now, true);
        }
        match &vn.devices {
            Devices::Spoke => {
                let plane = engine.plane(key);
                let wanted = |mac: &Mac| Some((plane?.shortcut(*mac)?, self.via));
                let is_other = |mac: &Mac, seen| wanted(mac) != seen;
                let others = listing.seen.iter().filter(|(mac, to)| is_other(mac, **to)).map(|(mac, _)| *mac);
                let wanted = plane.into_iter().flat_map(Plane::shortcuts).map(|(mac, _)| mac);
                let missing = wanted.filter(|mac| !listing.seen.contains_key(mac));
                self.due.extend(others.chain(missing).map(|mac| Due::Item(key, Item::Shortcut(mac))));
                self.due.push_back(Due::Item(key, Item::Uplink));
            }
            Devices::Ports(ports) => {
                let wrong = ports.iter().filter(|(_, p)| p.entry != Entry::Right);
                let wrong: Vec<_> =
                    wrong.filter_map(|(spoke, p)| Some(set(p.index?, DEFAULT, *spoke, self.via))).collect();
                wrong.into_iter().for_each(|change| self.change(change, false));
            }
            Devices::Shared(_) => {}
        }
        let Some(vn) = self.vns.get_mut(&key) else { return };
        vn.listings += 1;
        if !is_whole && vn.listings < LISTINGS {
            // What this one left out may be in the next.
            vn.unlisted = true;
            return;
        }
        vn.listings = 0;
        vn.adopted |= vn.standing.tunnel.is_some();
        vn.left = None;
        inputs.push_back(Input::News { vn: key, news: News::Listed });
    }
}
