//! Makes items of the kernel's state what the engine wants them to be, whatever made the two differ: the one place where
//! the plane is read.

use super::hub::{self, Lead, Made, NewPort};
use super::spoke::set;
use super::vn::{Bridge, Devices, Entry, Part, Ported, TAKES_ON, Vn};
use super::worker::{Job, Whose};
use super::{DEFAULT, Dataplane, Due, Inputs, alias, kmod};
use crate::engine::{Engine, Input, Item, News, Outcome, Plane, Port, VnKey, Wanted};
use crate::shell::netlink::FdbChange;
use crate::time::Instant;
use crate::types::{Mac, Nbma, Vtep};
use std::sync::Arc;

impl Dataplane {
    /// Does what is due, in its order.
    pub(super) fn reconcile(&mut self, engine: &Engine, inputs: &mut Inputs) {
        while let Some(due) = self.due.pop_front() {
            match due {
                Due::Item(key, item) => self.item(key, item, engine.plane(key), inputs),
                Due::Gone(key, item, to) => {
                    let plane = engine.plane(key);
                    if plane.and_then(|plane| plane.wanted(item)) == Some(Wanted::To(to)) {
                        self.item(key, item, plane, inputs);
                    }
                }
                Due::Act(key, act) => self.act(key, act, engine.plane(key)),
            }
        }
        self.left_ports.clear();
    }

    /// An item of the VN's becomes what it is wanted to be. The engine is told what became of a port.
    fn item(&mut self, key: VnKey, item: Item, plane: Option<&Plane>, inputs: &mut Inputs) {
        match item {
            Item::Uplink => self.uplink(key, plane),
            Item::Shortcut(mac) => self.shortcut(key, mac, plane),
            Item::Port(spoke) => {
                let want = plane.and_then(|plane| plane.port(spoke));
                let uplink = want.filter(|_| self.vns.contains_key(&key)).map(|port| port.uplink);
                self.guard.set(key, spoke, uplink);
                match self.vns.get(&key).map(|vn| &vn.devices) {
                    Some(Devices::Ports(_)) => self.port(key, spoke, want, inputs),
                    Some(Devices::Shared(_)) => self.member(key, spoke, plane, inputs),
                    Some(Devices::Spoke) | None => {}
                }
            }
            Item::Floods(_) => self.floods(key, plane),
            Item::Source(nbma) => self.source(key, nbma, plane),
            Item::Neighbour(_) => {}
        }
    }

    /// Unknown frames go to the hub. What it told stays until it tells otherwise.
    fn uplink(&mut self, key: VnKey, plane: Option<&Plane>) {
        let entry = self.vns.get(&key).and_then(Vn::uplink_entry);
        if let (Some((index, mac)), Some(to)) = (entry, plane.and_then(Plane::uplink)) {
            self.change(set(index, mac, to, self.via), false);
        }
    }

    /// Whose frames a spoke takes: those of its hub and of the sources that there are; for a while also of those that there
    /// were. What the hub sends is taken before it is registered there: the first frames may come with the answer.
    fn source(&mut self, key: VnKey, nbma: Nbma, plane: Option<&Plane>) {
        let now = self.clock.now();
        let Some(vn) = self.vns.get_mut(&key) else { return };
        let Some(vni) = vn.guarded_vni() else { return };
        let is_alone = plane.is_none_or(|plane| plane.sources().next().is_none());
        let was_alone = core::mem::replace(&mut vn.is_alone, is_alone);
        if is_alone && !was_alone {
            vn.closes = Some(now + TAKES_ON);
        }
        if !self.guard.has_claimed(key) {
            return;
        }
        let is_source = plane.and_then(|plane| plane.wanted(Item::Source(nbma))).is_some();
        let is_known = is_source || vn.hub == Some(nbma);
        if is_known || vn.closes.is_none() {
            self.guard.set(key, Vtep { nbma, vni }, Some(vni).filter(|_| is_known));
        }
    }

    /// Who is not known by now may send to a spoke no more, where it is time.
    pub(super) fn close(&mut self, engine: &Engine, now: Instant) {
        let is_time = |vn: &Vn| vn.closes.is_some_and(|at| at <= now);
        for (&key, vn) in self.vns.iter_mut().filter(|(_, vn)| is_time(vn)) {
            vn.closes = None;
            let Some(vni) = vn.guarded_vni() else { continue };
            self.guard.claim(key, vni);
            let before: Vec<Nbma> = self.guard.sources(key).map(|source| source.nbma).collect();
            let sources = engine.plane(key).into_iter().flat_map(Plane::sources);
            let all = sources.chain(before).chain(vn.hub);
            self.due.extend(all.map(|nbma| Due::Item(key, Item::Source(nbma))));
        }
    }

    fn shortcut(&mut self, key: VnKey, mac: Mac, plane: Option<&Plane>) {
        let Some(vn) = self.vns.get(&key) else { return };
        let Some(index) = vn.standing.tunnel else { return };
        let spare = vn.standing.users_own;
        let change = match plane.and_then(|plane| plane.shortcut(mac)) {
            Some(to) => set(index, mac.octets(), to, self.via),
            None => FdbChange::Remove { index, mac: mac.octets(), to: None },
        };
        self.change(change, spare);
    }

    /// The way to a spoke.
    pub(super) fn port(&mut self, key: VnKey, spoke: Vtep, want: Option<Port>, inputs: &mut Inputs) {
        let Some(vn) = self.vns.get_mut(&key) else { return };
        let (whose, wanted, bridge) = (vn.whose(), Arc::clone(&vn.wanted), vn.bridge());
        let Devices::Ports(ports) = &mut vn.devices else { return };
        let port = match (want, ports.get(&spoke)) {
            (None, None) => return,
            // It is looked at again when it is made, or changed.
            (_, Some(Ported { index: None, .. } | Ported { is_moving: true, .. })) => return,
            (Some(want), Some(Ported { index: Some(index), port, .. })) if hub::serves(*port, want) => {
                let (index, mark) = (*index, hub::kept(want));
                if hub::kept(*port) != mark
                    && let Some(ported) = ports.get_mut(&spoke)
                {
                    ported.port = want;
                    self.jobs.push_back(Job::Mark(index, alias::port(&wanted.name, spoke, mark)));
                }
                return inputs.push_back(became(key, spoke, Outcome::Made));
            }
            (Some(want), Some(Ported { index: Some(index), port, .. })) if hub::can_become(*port, want) => {
                let (index, there) = (*index, *port);
                ports.get_mut(&spoke).into_iter().for_each(|ported| ported.is_moving = true);
                // One after the other.
                return self.jobs.push_back(match there.local == want.local {
                    true => {
                        let port = Port { passing: want.passing, ..there };
                        Job::Pass(whose, index, NewPort { spoke, port })
                    }
                    false => {
                        let port = Port { passing: there.passing, ..want };
                        Job::Move(whose, index, NewPort { spoke, port })
                    }
                });
            }
            (want, Some(Ported { index: Some(index), port, .. })) => {
                let (index, port) = (*index, *port);
                ports.remove(&spoke);
                self.doom(index, Some(port.uplink));
                self.left_ports.push((whose, index, port));
                let Some(want) = want else { return };
                want
            }
            (Some(want), None) => want,
        };
        let bridge = match bridge {
            Bridge::There(index) => index,
            // It is looked at again when that is over.
            Bridge::Awaited => return,
            Bridge::Missing => return inputs.push_back(became(key, spoke, Outcome::Failed { taken: false })),
        };
        if let Some(Vn { devices: Devices::Ports(ports), .. }) = self.vns.get_mut(&key) {
            ports.insert(spoke, Ported::new(None, port, Entry::NotSeen));
        }
        let new = NewPort { spoke, port };
        let Some((index, port)) = self.spared(whose, port) else {
            return self.make(whose, &wanted, bridge, new);
        };
        // What the bridge learned there is the spoke's still.
        self.parts.insert(index, (key, Part::Port(spoke)));
        self.jobs.push_back(Job::Lead(whose, Box::new(Lead { wanted, index, port, via: self.via, new })));
    }

    /// A spoke is one of those that the device for all floods to, or is not any more. The device goes with the last one.
    fn member(&mut self, key: VnKey, spoke: Vtep, plane: Option<&Plane>, inputs: &mut Inputs) {
        let want = plane.and_then(|plane| plane.port(spoke));
        let Some(vn) = self.vns.get_mut(&key) else { return };
        let (whose, wanted, bridge) = (vn.whose(), Arc::clone(&vn.wanted), vn.bridge());
        let Devices::Shared(shared) = &mut vn.devices else { return };
        let there = shared.members.get(&spoke).copied();
        if let (Some(port), Some(index)) = (want, shared.index) {
            let mark = shared.kept.and(hub::kept(port));
            if core::mem::replace(&mut shared.kept, mark) != mark {
                self.jobs.push_back(Job::Mark(index, alias::shared(&wanted.name, mark)));
            }
        }
        if let (Some(port), Some(index), Some(local)) = (want, shared.index, shared.local)
            && kmod::is_to_move(local, port.local, plane.into_iter().flat_map(Plane::ports), spoke)
        {
            shared.local = Some(port.local);
            // Who registers is told once it is so.
            shared.members.insert(spoke, false);
            self.jobs.push_back(Job::MoveShared(index, port.local));
            return self.flood(whose, index, spoke);
        }
        match (want, there) {
            (None, None) | (Some(_), Some(false)) => {}
            (Some(_), Some(true)) => inputs.push_back(became(key, spoke, Outcome::Made)),
            (None, Some(_)) => {
                shared.members.remove(&spoke);
                let Some(index) = shared.index else { return };
                if shared.members.is_empty() {
                    shared.index = None;
                    return self.doom(index, None);
                }
                self.change(kmod::flood_no_more(index, spoke), false);
                self.left.push((index, spoke));
            }
            (Some(port), None) => {
                let bridge = match bridge {
                    Bridge::There(index) => index,
                    Bridge::Awaited => return,
                    Bridge::Missing => {
                        return inputs.push_back(became(key, spoke, Outcome::Failed { taken: false }));
                    }
                };
                shared.members.insert(spoke, false);
                match shared.index {
                    Some(index) => self.flood(whose, index, spoke),
                    None if core::mem::replace(&mut shared.is_being_made, true) => {}
                    None => {
                        (shared.local, shared.kept) =
                            (Some(port.local), alias::Kept::default().and(hub::kept(port)));
                        let ports = vec![NewPort { spoke, port }];
                        let make = hub::Make { wanted, bridge, via: None, ports };
                        // One of an earlier time has the same name.
                        while let Some(delete) = self.delete_some(false) {
                            self.jobs.push_back(delete);
                        }
                        self.jobs.push_back(Job::MakeShared(whose, Box::new(make)));
                    }
                }
            }
        }
    }

    pub(super) fn flood(&mut self, whose: Whose, index: u32, spoke: Vtep) {
        match self.jobs.back_mut() {
            Some(Job::Flood(same, _, spokes)) if *same == whose && spokes.len() < super::CHANGES => {
                spokes.push(spoke);
            }
            _ => self.jobs.push_back(Job::Flood(whose, index, vec![spoke])),
        }
    }

    /// All ports of such VNs are due: those that are wanted, and those that are there.
    pub(super) fn all_ports(&mut self, engine: &Engine) {
        for (_, vn) in self.vns.iter_mut().filter(|(_, vn)| vn.unported) {
            vn.unported = false;
            let wanted = engine.plane(vn.key).into_iter().flat_map(Plane::ports).map(|(spoke, _)| spoke);
            let mut all: Vec<Vtep> = match &vn.devices {
                Devices::Ports(ports) => wanted.chain(ports.keys().copied()).collect(),
                Devices::Shared(shared) => wanted.chain(shared.members.keys().copied()).collect(),
                Devices::Spoke => continue,
            };
            all.sort_unstable();
            all.dedup();
            self.due.extend(all.into_iter().map(|spoke| Due::Item(vn.key, Item::Port(spoke))));
        }
    }

    /// What went wrong in a VN is tried again.
    pub(super) fn again(&mut self, now: Instant) {
        for (_, vn) in self.vns.iter_mut().filter(|(_, vn)| vn.again.is_some_and(|at| at <= now)) {
            vn.again = None;
            (vn.unsettled, vn.unported) = (true, true);
            vn.unlisted |= core::mem::take(&mut vn.unread);
        }
    }

    /// A port was made, or not.
    pub(super) fn made(
        &mut self,
        whose: Whose,
        NewPort { spoke, port }: NewPort,
        made: Made,
        now: Instant,
        inputs: &mut Inputs,
    ) {
        let vn = self.vns.get_mut(&whose.0).filter(|vn| vn.whose() == whose);
        let Some(Vn { key, devices: Devices::Ports(ports), .. }) = vn else {
            // The VN it was for is another one now.
            return made.into_iter().for_each(|index| self.doom(index, Some(port.uplink)));
        };
        let key = *key;
        match made {
            Ok(index) => {
                let made = Ported::new(Some(index), port, Entry::Right);
                let before = ports.insert(spoke, made);
                // By which device it is to lead may have changed meanwhile.
                if before.is_some_and(|before| before.entry == Entry::Wrong) {
                    let lead = set(index, DEFAULT, spoke, self.via);
                    self.jobs.push_back(Job::Change(vec![lead], false));
                }
                self.parts.insert(index, (key, Part::Port(spoke)));
                let items = [Item::Port(spoke), Item::Floods(Some(spoke))];
                self.due.extend(items.map(|item| Due::Item(key, item)));
                self.is_told(index, inputs);
            }
            Err((taken, e)) => {
                log::warn!("no port for {spoke}: {e}");
                ports.remove(&spoke);
                inputs.push_back(became(key, spoke, Outcome::Failed { taken }));
                self.vns.get_mut(&key).into_iter().for_each(|vn| vn.plan_again(now, true));
            }
        }
    }

    /// A port was changed in place. If that cannot be, it is made anew.
    pub(super) fn moved(
        &mut self,
        whose: Whose,
        index: u32,
        NewPort { spoke, port }: NewPort,
        moved: Result<(), String>,
    ) {
        let vn = self.vns.get_mut(&whose.0).filter(|vn| vn.whose() == whose);
        let Some(Vn { key, wanted, devices: Devices::Ports(ports), .. }) = vn else { return };
        // It may have gone meanwhile.
        let Some(ported) = ports.get_mut(&spoke).filter(|ported| ported.index == Some(index)) else { return };
        ported.is_moving = false;
        let items = [Item::Port(spoke), Item::Floods(Some(spoke))];
        self.due.extend(items.map(|item| Due::Item(*key, item)));
        match moved {
            Ok(()) => {
                let before = core::mem::replace(&mut ported.port.passing, port.passing);
                ported.port.local = port.local;
                if before != port.passing {
                    let alias = alias::port(&wanted.name, spoke, hub::kept(ported.port));
                    self.jobs.push_back(Job::Mark(index, alias));
                }
            }
            Err(e) => {
                log::debug!("{e}");
                ports.remove(&spoke);
                self.doom(index, Some(port.uplink));
            }
        }
    }

    /// The device for all spokes was made, or not.
    pub(super) fn shared_made(
        &mut self,
        whose: Whose,
        first: Vtep,
        made: kmod::SharedMade,
        now: Instant,
        inputs: &mut Inputs,
    ) {
        let vn = self.vns.get_mut(&whose.0).filter(|vn| vn.whose() == whose);
        let Some(Vn { key, devices: Devices::Shared(shared), .. }) = vn else {
            return made.into_iter().for_each(|(index, _)| self.doom(index, None));
        };
        let key = *key;
        shared.is_being_made = false;
        match made {
            // All have left meanwhile.
            Ok((index, _)) if shared.members.is_empty() => self.doom(index, None),
            Ok((index, takes_all)) => {
                (shared.index, shared.takes_all) = (Some(index), takes_all);
                let waiting: Vec<Vtep> = shared.members.keys().copied().collect();
                self.parts.insert(index, (key, Part::Shared));
                if !waiting.contains(&first) {
                    // It left meanwhile.
                    self.change(kmod::flood_no_more(index, first), false);
                    self.left.push((index, first));
                }
                waiting.into_iter().for_each(|spoke| self.flood(whose, index, spoke));
                self.is_told(index, inputs);
            }
            Err((taken, e)) => {
                let waiting: Vec<Vtep> = shared.members.keys().copied().collect();
                shared.members.clear();
                for spoke in waiting {
                    log::warn!("no port for {spoke}: {e}");
                    inputs.push_back(became(key, spoke, Outcome::Failed { taken }));
                }
                self.vns.get_mut(&key).into_iter().for_each(|vn| vn.plan_again(now, true));
            }
        }
    }

    /// The device for all spokes floods to this one, or not.
    pub(super) fn flooded(
        &mut self,
        whose: Whose,
        spoke: Vtep,
        done: Result<(), String>,
        now: Instant,
        inputs: &mut Inputs,
    ) {
        let Some(vn) = self.vns.get_mut(&whose.0).filter(|vn| vn.whose() == whose) else { return };
        let key = vn.key;
        let Devices::Shared(shared) = &mut vn.devices else { return };
        // It may have left meanwhile.
        let Some(there) = shared.members.get_mut(&spoke) else { return };
        match done {
            Ok(()) => {
                *there = true;
                self.due.push_back(Due::Item(key, Item::Port(spoke)));
            }
            Err(e) => {
                log::warn!("no port for {spoke}: {e}");
                shared.members.remove(&spoke);
                inputs.push_back(became(key, spoke, Outcome::Failed { taken: false }));
                vn.plan_again(now, true);
            }
        }
    }
}

pub(super) fn became(vn: VnKey, spoke: Vtep, outcome: Outcome) -> Input<'static> {
    Input::News { vn, news: News::Became { spoke, outcome } }
}
