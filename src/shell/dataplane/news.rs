//! What the kernel tells unasked, and what the worker did.

use super::settle::Standing;
use super::spoke::{set, vtep};
use super::vn::{Devices, Part, Vn};
use super::worker::{Job, Report, Whose};
use super::{DEFAULT, DELETE, Dataplane, Due, Inputs, LISTING_PAUSE, SETS, hub, kmod};
use crate::control::Cause;
use crate::engine::{Act, Input, Item, News, Place, VnKey};
use crate::shell::netlink::{BridgePort, Event as Kernel, FdbEntry, Link, Netlink};
use crate::time::Instant;
use crate::types::{Mac, Nbma, Vni, Vtep};

impl Dataplane {
    /// What the kernel tells.
    pub fn event(&mut self, event: Kernel, now: Instant, inputs: &mut Inputs) {
        self.is_stirred = true;
        match event {
            Kernel::Fdb(entry) => self.entry_event(&entry, false, inputs),
            Kernel::FdbGone(entry) => {
                self.entry_event(&entry, true, inputs);
                self.restore(&entry);
            }
            Kernel::Miss { index, mac } => {
                if let (Some((vn, Part::Tunnel)), Some(mac)) = (self.parts.get(&index), Mac::new(mac)) {
                    inputs.push_back(Input::News { vn: *vn, news: News::Miss(mac) });
                }
            }
            Kernel::Link(link) => self.link_event(&link),
            Kernel::LinkGone(link) => {
                self.may_have_been_seen(&link);
                self.down.remove(&link.index);
                self.device_gone(link.index, inputs);
            }
            Kernel::Port(port) => self.port_event(&port),
            Kernel::Overrun => {
                log::warn!("events of the kernel were lost: its state is listed anew");
                self.look = self.look.or(Some(now.max(self.rests)));
                self.is_lost = true;
                // One that is still down has nothing left that could be forgotten.
                self.down.clear();
                // What went and came back meanwhile may be neither listed nor told.
                self.listing.iter_mut().for_each(|listing| listing.is_spoilt = true);
                self.vns.iter_mut().for_each(|(_, vn)| vn.anew = true);
            }
            Kernel::Addresses { .. } => {}
        }
    }

    /// An entry of a bridge, or of a device for all spokes, was made, moved or removed.
    fn entry_event(&mut self, entry: &FdbEntry, gone: bool, inputs: &mut Inputs) {
        if entry.master.is_none() {
            return self.learned_event(entry, gone, inputs);
        }
        if !gone && self.is_early(entry) {
            return;
        }
        let mut stale = None;
        let unplugged = gone && self.down.contains_key(&entry.index);
        for vn in self.vns.values() {
            let Some((mac, place)) = vn.told_by(entry, gone, &self.parts) else { continue };
            let place = if unplugged { Place::Unplugged } else { place };
            stale = stale.or_else(|| vn.stale(mac, place));
            if let Some(listing) = self.listing.as_mut().filter(|listing| listing.vn == vn.whose()) {
                listing.is_newer(mac, gone);
            }
            inputs.push_back(Input::News { vn: vn.key, news: News::Fdb { mac, place } });
        }
        if let Some(stale) = stale {
            self.change(stale, false);
        }
    }

    /// Whether the worker has not told yet what a device is for behind which somebody was learned, or that it is gone.
    fn is_early(&mut self, entry: &FdbEntry) -> bool {
        let is_early = self.is_untold(entry) && (self.worker.open > 0 || self.sees_first());
        // Its own address is nobody's, and its entry for all comes with each port.
        if is_early && !entry.is_permanent() && Mac::new(entry.mac).is_some() {
            self.early.insert(entry.index, ());
        }
        is_early
    }

    /// Whether an entry is of a device that a program such as this one made, and that is no VN's.
    pub(super) fn is_untold(&self, entry: &FdbEntry) -> bool {
        let is_known = self.parts.contains_key(&entry.index) || entry.master == Some(entry.index);
        Netlink::is_own_index(entry.index) && !is_known
    }

    /// Whether devices of ours may be there that were not seen yet; what is made for other VNs later is another daemon's.
    pub(super) fn sees_first(&self) -> bool {
        self.alone.is_some() && !self.is_swept
    }

    /// A device for all spokes learned, or forgot, behind which spoke a MAC is.
    fn learned_event(&mut self, entry: &FdbEntry, gone: bool, inputs: &mut Inputs) {
        let Some((vn, Part::Shared)) = self.parts.get(&entry.index).copied() else {
            self.is_early(entry);
            return;
        };
        let Some(mac) = Mac::new(entry.mac) else { return };
        let place = match vtep(entry, None) {
            // It may be at the hub itself now, and what the device had learned was removed for that.
            Some(spoke) if gone => Place::Left(spoke),
            Some(spoke) => Place::At(spoke),
            None => return,
        };
        self.forget_astray(vn, mac, place);
        if let Some(listing) = self.listing.as_mut().filter(|listing| listing.vn.0 == vn) {
            listing.is_newer(mac, gone);
        }
        inputs.push_back(Input::News { vn, news: News::Fdb { mac, place } });
    }

    /// What leads to a spoke, and to none of its VNIs, is forgotten.
    pub(super) fn forget_astray(&mut self, key: VnKey, mac: Mac, place: Place) {
        let Place::At(spoke) = place else { return };
        let astray = self.vns.get(&key).and_then(|vn| vn.astray(mac, spoke));
        astray.into_iter().for_each(|astray| self.change(astray, false));
    }

    /// An entry of ours is gone. If it is still wanted, somebody else removed it.
    fn restore(&mut self, entry: &FdbEntry) {
        let Some((key, part)) = self.parts.get(&entry.index).copied() else { return };
        let Some(vn) = self.vns.get(&key).filter(|_| entry.is_ours()) else { return };
        let led = vn.leads_to(entry);
        match (part, Mac::new(entry.mac)) {
            (Part::Tunnel, Some(mac)) => {
                self.due.extend(led.map(|to| Due::Gone(key, Item::Shortcut(mac), to)));
            }
            (Part::Tunnel, None) => {
                let led = led.filter(|_| vn.uplink_entry() == Some((entry.index, entry.mac)));
                self.due.extend(led.map(|to| Due::Gone(key, Item::Uplink, to)));
            }
            (Part::Port(spoke), None) => {
                let uplink = match &vn.devices {
                    Devices::Ports(ports) => ports.get(&spoke).map(|ported| ported.port.uplink),
                    Devices::Spoke | Devices::Shared(_) => None,
                };
                if entry.mac == DEFAULT && vtep(entry, uplink) == Some(spoke) {
                    self.change(set(entry.index, DEFAULT, spoke, self.via), false);
                }
            }
            (Part::Shared, None) => {
                let is_member = |spoke| match &vn.devices {
                    Devices::Shared(shared) => shared.members.contains_key(&spoke),
                    Devices::Spoke | Devices::Ports(_) => false,
                };
                if let Some(spoke) =
                    vtep(entry, None).filter(|spoke| entry.mac == DEFAULT && is_member(*spoke))
                {
                    self.change(kmod::flood_to(entry.index, spoke), false);
                }
            }
            (Part::Port(_) | Part::Shared, Some(_)) => {}
        }
    }

    /// A VN's devices that are being settled may have been looked at before this came or went.
    fn may_have_been_seen(&mut self, link: &Link) {
        let settling = self.vns.iter_mut().map(|(_, vn)| vn).filter(|vn| vn.settling);
        for vn in settling.filter(|_| !Netlink::is_own_index(link.index)) {
            let is_known = [vn.standing.bridge, vn.standing.tunnel].contains(&Some(link.index));
            vn.unsettled |= !is_known && (vn.wanted.bridge == link.name || vn.is_tunnel(&link.name));
        }
    }

    /// A device is new, or was changed.
    fn link_event(&mut self, link: &Link) {
        self.see_locks(link);
        self.floods_again(link);
        self.shut_again(link);
        self.isolate_again(link.index, link.isolated);
        let Some((key, part)) = self.parts.get(&link.index).copied() else {
            // What this program makes is nothing that its VNs wait for.
            if !Netlink::is_own_index(link.index) {
                self.retry_troubled();
                self.may_have_been_seen(link);
            }
            let theirs =
                self.vns.iter_mut().map(|(_, vn)| vn).filter(|vn| vn.standing.bridge == Some(link.index));
            // The worker may have seen it as it was in between.
            return theirs.filter(|vn| vn.settling || !vn.is_right(link)).for_each(|vn| vn.unsettled = true);
        };
        let Some(vn) = self.vns.get_mut(&key) else { return };
        // What was found there is not how it is any more.
        vn.found.retain(|found| found.index != link.index);
        match (part, vn.standing.bridge) {
            _ if vn.is_right(link) => {}
            (Part::Port(_), Some(bridge)) => {
                let (vlan, mtu) = (vn.wanted.vlan, vn.wanted.mtu.into());
                self.jobs.push_back(Job::Keep { index: link.index, bridge, vlan, mtu });
            }
            // The bridge comes first, or the devices are to be off.
            _ => vn.unsettled = true,
        }
    }

    /// A port that leads to another hub was isolated, and is not any more.
    pub(super) fn isolate_again(&mut self, index: u32, isolated: Option<bool>) {
        let Some((key, Part::Port(spoke))) = self.parts.get(&index).copied() else { return };
        let Some(vn) = self.vns.get(&key).filter(|_| isolated == Some(false)) else { return };
        let (Devices::Ports(ports), Some(bridge)) = (&vn.devices, vn.standing.bridge) else { return };
        if ports.get(&spoke).is_some_and(|ported| ported.port.is_hubs) {
            let (vlan, mtu) = (vn.wanted.vlan, vn.wanted.mtu.into());
            self.jobs.push_back(Job::Keep { index, bridge, vlan, mtu });
        }
    }

    /// A port of a bridge, or the bridge itself, was changed: maybe its VLANs.
    fn port_event(&mut self, port: &BridgePort) {
        self.isolate_again(port.index, port.isolated);
        let part = self.parts.get(&port.index).copied();
        let ours = part.is_some() || Netlink::is_own_index(port.index);
        let is_of_vn = self.vns.values().any(|vn| vn.standing.bridge == Some(port.bridge));
        match port.is_down && is_of_vn && !ours {
            true => drop(self.down.insert(port.index, ())),
            false => drop(self.down.remove(&port.index)),
        }
        for vn in self.vns.iter_mut().map(|(_, vn)| vn) {
            let here = vn.standing.bridge == Some(port.bridge) && vn.standing.filtering.is_some();
            let vlan = vn.wanted.vlan;
            match part {
                _ if !here => {}
                // Others have their VNs to look after them.
                Some((owner, _)) if owner != vn.key => {}
                // A hub's ports are many, and none of them tells more than the bridge does. What a new one, or one that
                // somebody changed, has is put right.
                Some((_, Part::Port(_) | Part::Shared)) => {
                    if vlan.is_some_and(|vlan| !port.is_only_in(vlan)) {
                        let (bridge, mtu) = (port.bridge, vn.wanted.mtu.into());
                        self.jobs.push_back(Job::Keep { index: port.index, bridge, vlan, mtu });
                    }
                }
                // One that was made just now.
                None if Netlink::is_own_index(port.index) => {}
                Some((_, Part::Tunnel)) | None => vn.unsettled = true,
            }
        }
    }

    /// A device is gone. What can be made again is made again.
    pub(super) fn device_gone(&mut self, index: u32, inputs: &mut Inputs) {
        self.loops.forget(index);
        let lost = self.vns.iter_mut().map(|(_, vn)| vn).filter(|vn| vn.standing.bridge == Some(index));
        for vn in lost {
            vn.standing.bridge = None;
            vn.standing.bridge_mac = None;
            (vn.standing.quiet, vn.standing.learns) = (None, None);
            vn.standing.joined = None;
            vn.unsettled = true;
            vn.is_lost(inputs);
        }
        let Some((key, part)) = self.parts.remove(&index) else {
            if Netlink::is_own_index(index) && self.worker.open > 0 && !self.going.contains_key(&index) {
                self.vanished.push(index);
            }
            return;
        };
        let Some(vn) = self.vns.get_mut(&key) else { return };
        // One that was to lead to another spoke: the worker tells what came of that, and the spoke has no second one.
        if let (Part::Port(spoke), Devices::Ports(ports)) = (part, &vn.devices)
            && ports.get(&spoke).is_none_or(|ported| ported.index != Some(index))
        {
            return self.vanished.push(index);
        }
        // A device of the user's is made again by the user; one that sends from an old address is being replaced.
        if part != Part::Tunnel || !vn.standing.users_own && !vn.settling {
            let name = vn.wanted.name.as_str();
            log::warn!(target: name, "{name}: somebody removed a device of ours; it is made again");
        }
        match (part, &mut vn.devices) {
            (Part::Tunnel, _) => {
                vn.standing.tunnel = None;
                vn.unsettled = true;
            }
            (Part::Port(spoke), Devices::Ports(ports)) => {
                ports.remove(&spoke);
                self.due.push_back(Due::Item(key, Item::Port(spoke)));
            }
            (Part::Shared, Devices::Shared(shared)) => {
                shared.index = None;
                shared.members.clear();
                vn.unported = true;
            }
            (Part::Port(_) | Part::Shared, _) => {}
        }
    }

    /// What the worker did.
    pub(super) fn hear(&mut self, report: Report, now: Instant, inputs: &mut Inputs) {
        match report {
            Report::Settled(whose, standing) => self.settled(whose, *standing, now, inputs),
            Report::Links(links) => links.iter().for_each(|link| self.see(link, inputs)),
            Report::LinksListed(done) => {
                let complete = done == Ok(false);
                if let Err(e) = done {
                    log::error!("{e}");
                }
                if !complete {
                    self.look = Some(now + LISTING_PAUSE);
                }
                self.all_seen(complete, inputs);
            }
            Report::Made(whose, made) => {
                for (port, made) in made {
                    self.made(whose, port, made, now, inputs);
                }
            }
            Report::Moved(whose, index, port, moved) => self.moved(whose, index, port, moved),
            Report::SharedMade(whose, first, made) => self.shared_made(whose, first, made, now, inputs),
            Report::Flooded(whose, flooded) => {
                for (spoke, done) in flooded {
                    self.flooded(whose, spoke, done, now, inputs);
                }
            }
            Report::Deleted(devices, took) => {
                self.going.retain(|index, ()| !devices.contains(index));
                let Some(took) = took else { return };
                self.deleting = false;
                if took < DELETE.0 {
                    self.set = (self.set * 2).min(SETS.1);
                } else if took > DELETE.1 {
                    self.set = (self.set / 2).max(SETS.0);
                }
            }
            Report::Entries(whose, table, entries) => self.entries(whose, table, &entries, inputs),
            Report::Listed(ended) => {
                self.listing.as_mut().into_iter().for_each(|listing| listing.ended = Some(ended));
            }
            Report::Use((vn, _), mac, idle, age) => {
                inputs.push_back(Input::News { vn, news: News::Use { mac, idle, age } });
            }
            Report::Uses((vn, _), uses, hub) => {
                let all = uses.into_iter().map(|(mac, idle, age)| News::Use { mac, idle, age });
                let news = all.chain([News::UsesTold { hub }]);
                inputs.extend(news.map(|news| Input::News { vn, news }));
            }
            Report::Withheld(index, before) => self.loops.is_withheld(index, before),
            Report::LoopFrame(index, nonce, link) => {
                self.loop_frame_by(index, nonce, link.as_deref(), inputs)
            }
            Report::Guard(outcome) => self.guard.hear(outcome, now),
            Report::Home(home) => self.home = Some(home),
            Report::Missed((vn, _), mac) => inputs.push_back(Input::News { vn, news: News::Miss(mac) }),
            Report::Gone(index) if self.parts.contains_key(&index) => self.device_gone(index, inputs),
            Report::Gone(_) | Report::Done => {}
        }
    }

    /// A VN's devices are as they are to be, or it is known why not.
    fn settled(&mut self, whose: Whose, mut standing: Standing, now: Instant, inputs: &mut Inputs) {
        self.quieted.extend(standing.quieted());
        let Some(vn) = self.vns.get_mut(&whose.0).filter(|vn| vn.whose() == whose) else {
            // The VN it was for is another one now; a device that was made for it is looked for.
            self.look = Some(now);
            return;
        };
        vn.settling = false;
        let key = vn.key;
        let shared = standing.shared.take();
        let before = core::mem::replace(&mut vn.standing, standing);
        vn.tell_standing(&before);
        let is_troubled = vn.standing.trouble.as_ref().is_some_and(|trouble| *trouble != Cause::NoWay);
        vn.plan_again(now, is_troubled || vn.unread);
        if before.tunnel != vn.standing.tunnel {
            self.parts.retain(|_, part| *part != (key, Part::Tunnel));
        }
        if let Some(tunnel) = vn.standing.tunnel {
            self.parts.insert(tunnel, (key, Part::Tunnel));
        }
        vn.unported = true;
        self.settle_ports(key, before.bridge, shared, inputs);
        let Some(vn) = self.vns.get_mut(&key) else { return };
        // A new device has none of the entries that are wanted.
        if before.tunnel != vn.standing.tunnel {
            self.due.push_back(Due::Item(key, Item::Floods(None)));
            vn.unlisted = true;
            self.due.push_back(Due::Item(key, Item::Uplink));
        }
        if before.scope != vn.standing.scope && vn.told.is_some() {
            vn.left = Some(before.scope);
            vn.unlisted = true;
        }
        if vn.told != vn.standing.mac {
            vn.told = vn.standing.mac;
            inputs.push_back(Input::News { vn: key, news: News::Device(vn.told) });
        } else if vn.told.is_some() && before.bridge_mac != vn.standing.bridge_mac {
            // A spoke's bridge has another MAC now: the tunnel device's own until there is another port, or another
            // port's. The listing tells which of them are here.
            let gone = before.bridge_mac.map(|mac| News::Fdb { mac, place: Place::Gone });
            inputs.extend(gone.map(|news| Input::News { vn: key, news }));
            vn.unlisted = true;
        }
        let announcements = core::mem::take(&mut vn.announcements).into_iter();
        self.due.extend(announcements.map(|(mac, hub)| Due::Act(key, Act::Announce { mac, hub })));
        let tunnel = vn.standing.tunnel;
        tunnel.into_iter().for_each(|tunnel| self.is_told(tunnel, inputs));
    }

    /// It is known now what a device is for. It may be gone already; who was learned behind it is listed.
    pub(super) fn is_told(&mut self, index: u32, inputs: &mut Inputs) {
        if self.early.remove(&index).is_some()
            && let Some((key, _)) = self.parts.get(&index)
            && let Some(vn) = self.vns.get_mut(key)
        {
            vn.unlisted = true;
        }
        if self.vanished.contains(&index) {
            self.device_gone(index, inputs);
        }
    }

    /// A hub's devices go into the bridge, where they are not in it; those that waited for it are made, or cannot be.
    fn settle_ports(
        &mut self,
        key: VnKey,
        before: Option<u32>,
        shared: Option<(Vni, Nbma, Vec<Vtep>)>,
        inputs: &mut Inputs,
    ) {
        let Some(vn) = self.vns.get_mut(&key) else { return };
        let Some(bridge) = vn.standing.bridge else { return };
        let whose = vn.whose();
        let (vlan, mtu, found) = (vn.wanted.vlan, vn.wanted.mtu, core::mem::take(&mut vn.found));
        match &mut vn.devices {
            Devices::Spoke => {}
            Devices::Ports(ports) => {
                let moved = core::mem::take(&mut vn.joins) || before != Some(bridge);
                let all: Vec<u32> = ports.values().filter_map(|ported| ported.index).collect();
                for index in all.into_iter().filter(|_| moved) {
                    match found.iter().find(|found| found.index == index) {
                        Some(found) => self.keep(*found, bridge, vlan, mtu),
                        None => {
                            let mtu = mtu.into();
                            self.jobs.push_back(Job::Keep { index, bridge, vlan, mtu });
                        }
                    }
                }
            }
            Devices::Shared(there) => {
                let Some((uplink, local, members)) = shared else { return };
                let lost: Vec<_> = there
                    .members
                    .keys()
                    .filter(|spoke| members.binary_search(spoke).is_err())
                    .copied()
                    .collect();
                if let Some(index) = there.index {
                    self.jobs.extend((!lost.is_empty()).then_some(Job::Flood(whose, index, lost)));
                }
                for spoke in members {
                    if there.members.insert(spoke, true).is_none() {
                        let port = hub::found(uplink, local, there.kept);
                        let news = News::FoundPort { spoke, port };
                        inputs.push_back(Input::News { vn: key, news });
                    }
                }
            }
        }
    }
}

impl Vn {
    /// The engine learns that what it believes to be there is not.
    fn is_lost(&mut self, inputs: &mut Inputs) {
        if self.told.take().is_some() {
            inputs.push_back(Input::News { vn: self.key, news: News::Device(None) });
        }
    }

    /// The log tells what is new.
    fn tell_standing(&self, before: &Standing) {
        let (now, name) = (&self.standing, self.wanted.name.as_str());
        let first = self.told.is_none() && before.mac.is_none();
        if now.trouble != before.trouble || first && now.trouble.is_none() {
            match &now.trouble {
                None => log::info!(target: name, "{name}: devices are up"),
                // What is missing is told where it is looked for.
                Some(Cause::NoWay) => {}
                Some(trouble) => log::warn!(target: name, "{name}: {}", trouble.line()),
            }
        }
        if now.warning != before.warning {
            match &now.warning {
                Some(warning) => log::warn!(target: name, "{name}: {}", warning.line()),
                None => {
                    log::info!(target: name, "{name}: bridge '{}' is as it has to be now", self.wanted.bridge)
                }
            }
        }
    }

    /// Whether a device of this name is the spoke's.
    pub(super) fn is_tunnel(&self, name: &str) -> bool {
        matches!(&self.wanted.role, super::Role::Spoke { vxlan, .. } if vxlan == name)
    }
}
