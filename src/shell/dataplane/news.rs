//! What the kernel tells unasked, and what the worker did.

use super::settle::Standing;
use super::spoke::{set, vtep};
use super::vn::{Devices, Part, Vn};
use super::worker::{Job, Report, Whose};
use super::{DEFAULT, DELETE, Dataplane, Inputs, LISTING_PAUSE, SETS, hub, kmod};
use crate::control::Cause;
use crate::engine::{Act, Engine, Input, News, Place, Plane, VnKey};
use crate::shell::netlink::{BridgePort, Event as Kernel, FdbEntry, Link, Netlink};
use crate::time::Instant;
use crate::types::{Mac, Nbma, Vni, Vtep};

impl Dataplane {
    /// What the kernel tells.
    pub fn event(&mut self, event: Kernel, engine: &Engine, now: Instant, inputs: &mut Inputs) {
        self.is_stirred = true;
        match event {
            Kernel::Fdb(entry) => self.entry_event(&entry, false, engine, inputs),
            Kernel::FdbGone(entry) => {
                self.entry_event(&entry, true, engine, inputs);
                self.restore(&entry, engine);
            }
            Kernel::Miss { index, mac } => {
                if let (Some((vn, Part::Tunnel)), Some(mac)) = (self.parts.get(&index), Mac::new(mac)) {
                    inputs.push_back(Input::News { vn: *vn, news: News::Miss(mac) });
                }
            }
            Kernel::Link(link) => self.link_event(&link),
            Kernel::LinkGone(link) => self.device_gone(link.index, engine, inputs),
            Kernel::Port(port) => self.port_event(&port),
            Kernel::Overrun => {
                log::warn!("events of the kernel were lost: its state is listed anew");
                self.look = self.look.or(Some(now.max(self.rests)));
                self.is_lost = true;
            }
            Kernel::Addresses { .. } => {}
        }
    }

    /// An entry of a bridge, or of a device for all spokes, was made, moved or removed.
    fn entry_event(&mut self, entry: &FdbEntry, gone: bool, engine: &Engine, inputs: &mut Inputs) {
        if entry.master.is_none() {
            return self.learned_event(entry, gone, engine, inputs);
        }
        let mut stale = None;
        for vn in self.vns.values() {
            let Some((mac, place)) = vn.told_by(entry, gone, &self.parts) else { continue };
            stale = stale.or_else(|| vn.stale(mac, place));
            if let Some(listing) = self.listing.as_mut().filter(|listing| listing.vn == vn.whose()) {
                listing.is_newer(mac);
            }
            inputs.push_back(Input::News { vn: vn.key, news: News::Fdb { mac, place } });
        }
        if let Some(stale) = stale {
            self.change(stale, false);
        }
    }

    /// A device for all spokes learned, or forgot, behind which spoke a MAC is.
    fn learned_event(&mut self, entry: &FdbEntry, gone: bool, engine: &Engine, inputs: &mut Inputs) {
        let Some((vn, Part::Shared)) = self.parts.get(&entry.index).copied() else { return };
        let Some(mac) = Mac::new(entry.mac) else { return };
        let place = match vtep(entry, None) {
            // It is at the hub itself now, and what the device had learned was removed for that.
            _ if gone && matches!(engine.lookup(vn, mac), Place::Local) => return,
            _ if gone => Place::Gone,
            Some(spoke) => Place::At(spoke),
            None => return,
        };
        if let Some(listing) = self.listing.as_mut().filter(|listing| listing.vn.0 == vn) {
            listing.is_newer(mac);
        }
        inputs.push_back(Input::News { vn, news: News::Fdb { mac, place } });
    }

    /// An entry of ours is gone that is still wanted: somebody else removed it.
    fn restore(&mut self, entry: &FdbEntry, engine: &Engine) {
        let Some((key, part)) = self.parts.get(&entry.index).copied() else { return };
        let Some(vn) = self.vns.get(&key).filter(|_| entry.is_ours()) else { return };
        let plane = engine.plane(key);
        match (part, Mac::new(entry.mac)) {
            (Part::Tunnel, Some(mac)) => {
                let wanted = plane.and_then(|plane| plane.shortcut(mac));
                if wanted.is_some() && wanted == vn.leads_to(entry) {
                    self.shortcut(key, mac, plane);
                }
            }
            (Part::Tunnel, None) => {
                let wanted = plane.and_then(|plane| plane.uplink());
                if vn.uplink_entry() == Some((entry.index, entry.mac)) && wanted == vn.leads_to(entry) {
                    self.uplink(key, plane);
                }
            }
            (Part::Port(spoke), None) => {
                let uplink = match &vn.devices {
                    Devices::Ports(ports) => ports.get(&spoke).map(|ported| ported.port.uplink),
                    Devices::Spoke | Devices::Shared(_) => None,
                };
                if entry.mac == DEFAULT && vtep(entry, uplink) == Some(spoke) {
                    self.change(set(entry.index, DEFAULT, spoke), false);
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

    /// A device is new, or was changed.
    fn link_event(&mut self, link: &Link) {
        let Some((key, part)) = self.parts.get(&link.index).copied() else {
            // What this program makes is nothing that its VNs wait for.
            if !Netlink::is_own_index(link.index) {
                self.retry_troubled();
            }
            let theirs =
                self.vns.iter_mut().map(|(_, vn)| vn).filter(|vn| vn.standing.bridge == Some(link.index));
            return theirs.filter(|vn| !vn.is_right(link)).for_each(|vn| vn.unsettled = true);
        };
        let Some(vn) = self.vns.get_mut(&key).filter(|vn| !vn.is_right(link)) else { return };
        match (part, vn.standing.bridge) {
            (Part::Port(_), Some(bridge)) => {
                let (vlan, mtu) = (vn.wanted.vlan, vn.wanted.mtu.into());
                self.jobs.push_back(Job::Keep { index: link.index, bridge, vlan, mtu });
            }
            // The bridge comes first, or the devices are to be off.
            _ => vn.unsettled = true,
        }
    }

    /// A port of a bridge, or the bridge itself, was changed: maybe its VLANs.
    fn port_event(&mut self, port: &BridgePort) {
        let part = self.parts.get(&port.index).copied();
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
                Some((_, Part::Tunnel)) | None => vn.unsettled = true,
            }
        }
    }

    /// A device is gone. What can be made again is made again.
    pub(super) fn device_gone(&mut self, index: u32, engine: &Engine, inputs: &mut Inputs) {
        let lost = self.vns.iter_mut().map(|(_, vn)| vn).filter(|vn| vn.standing.bridge == Some(index));
        for vn in lost {
            vn.standing.bridge = None;
            vn.standing.bridge_mac = None;
            vn.standing.joined = None;
            vn.unsettled = true;
            vn.is_lost(inputs);
        }
        let Some((key, part)) = self.parts.remove(&index) else { return };
        let Some(vn) = self.vns.get_mut(&key) else { return };
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
                self.port(key, spoke, engine.plane(key), false, inputs);
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
    pub(super) fn hear(&mut self, report: Report, engine: &Engine, now: Instant, inputs: &mut Inputs) {
        match report {
            Report::Settled(whose, standing) => self.settled(whose, *standing, engine, now, inputs),
            Report::Links(links) => links.iter().for_each(|link| self.see(link, engine, inputs)),
            Report::LinksListed(done) => {
                if let Err(e) = &done {
                    log::error!("{e}");
                    self.look = Some(now + LISTING_PAUSE);
                }
                self.all_seen(done.is_ok(), engine, inputs);
            }
            Report::Made(whose, made) => {
                for (port, made) in made {
                    self.made(whose, port, made, engine, now, inputs);
                }
            }
            Report::SharedMade(whose, made) => self.shared_made(whose, made, now, inputs),
            Report::Flooded(whose, flooded) => {
                for (spoke, done) in flooded {
                    self.flooded(whose, spoke, done, engine, now, inputs);
                }
            }
            Report::Deleted(took) => {
                self.deleting = false;
                if took < DELETE.0 {
                    self.set = (self.set * 2).min(SETS.1);
                } else if took > DELETE.1 {
                    self.set = (self.set / 2).max(SETS.0);
                }
            }
            Report::Entries(whose, table, entries) => self.entries(whose, table, &entries, engine, inputs),
            Report::Listed(whose, again) => self.listed(whose, again, engine, inputs),
            Report::Use((vn, _), mac, idle, age) => {
                inputs.push_back(Input::News { vn, news: News::Use { mac, idle, age } });
            }
            Report::Home(home) => self.home = Some(home),
            Report::Missed((vn, _), mac) => inputs.push_back(Input::News { vn, news: News::Miss(mac) }),
            Report::Gone(index) if self.parts.contains_key(&index) => self.device_gone(index, engine, inputs),
            Report::Gone(_) | Report::Done => {}
        }
    }

    /// A VN's devices are as they are to be, or it is known why not.
    fn settled(
        &mut self,
        whose: Whose,
        mut standing: Standing,
        engine: &Engine,
        now: Instant,
        inputs: &mut Inputs,
    ) {
        let Some(vn) = self.vns.get_mut(&whose.0).filter(|vn| vn.whose() == whose) else {
            // The VN it was for is another one now; a device that was made for it is looked for.
            self.look = Some(now);
            return;
        };
        vn.settling = false;
        let key = vn.key;
        let plane = engine.plane(key);
        let shared = standing.shared.take();
        let before = core::mem::replace(&mut vn.standing, standing);
        vn.tell_standing(&before);
        vn.plan_again(now, vn.standing.trouble.as_ref().is_some_and(|trouble| *trouble != Cause::NoWay));
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
        let is_new = before.tunnel != vn.standing.tunnel;
        vn.unlisted |= is_new;
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
        if is_new {
            self.uplink(key, plane);
            plane.into_iter().flat_map(Plane::shortcuts).for_each(|(mac, _)| self.shortcut(key, mac, plane));
        }
        let Some(vn) = self.vns.get_mut(&key) else { return };
        for (mac, hub) in core::mem::take(&mut vn.announcements) {
            self.act(key, Act::Announce { mac, hub }, plane);
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
                    log::info!(target: name, "{name}: the VLANs of bridge '{}' are right now", self.wanted.bridge)
                }
            }
        }
    }

    /// Whether a device of this name is the spoke's.
    pub(super) fn is_tunnel(&self, name: &str) -> bool {
        matches!(&self.wanted.role, super::Role::Spoke { vxlan, .. } if vxlan == name)
    }
}
