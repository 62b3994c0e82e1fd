//! Makes one item of the kernel's state what the engine wants it to be: after news of the engine, of the kernel, or when
//! all of a VN are gone through.

use super::hub::{self, Made, NewPort};
use super::spoke::set;
use super::vn::{Bridge, Devices, Entry, Part, Ported, Vn};
use super::worker::{Job, Whose};
use super::{Dataplane, Inputs, alias, kmod};
use crate::engine::{Engine, Input, Item, News, Outcome, Plane, VnKey};
use crate::shell::netlink::FdbChange;
use crate::time::Instant;
use crate::types::{Mac, Vtep};
use std::sync::Arc;

impl Dataplane {
    /// An item of the VN's is to be as it is wanted now.
    pub fn changed(&mut self, key: VnKey, item: Item, plane: Option<&Plane>, inputs: &mut Inputs) {
        self.is_stirred = true;
        match item {
            Item::Uplink => self.uplink(key, plane),
            Item::Shortcut(mac) => self.shortcut(key, mac, plane),
            Item::Port(spoke) => self.port(key, spoke, plane, true, inputs),
            Item::Neighbour(_) => {}
        }
    }

    /// Unknown frames go to the hub. What it told stays until it tells otherwise.
    pub(super) fn uplink(&mut self, key: VnKey, plane: Option<&Plane>) {
        let entry = self.vns.get(&key).and_then(Vn::uplink_entry);
        if let (Some((index, mac)), Some(to)) = (entry, plane.and_then(Plane::uplink)) {
            self.change(set(index, mac, to), false);
        }
    }

    pub(super) fn shortcut(&mut self, key: VnKey, mac: Mac, plane: Option<&Plane>) {
        let Some(vn) = self.vns.get(&key) else { return };
        let Some(index) = vn.standing.tunnel else { return };
        let spare = vn.standing.users_own;
        let change = match plane.and_then(|plane| plane.shortcut(mac)) {
            Some(to) => set(index, mac.octets(), to),
            None => FdbChange::Remove { index, mac: mac.octets(), to: None },
        };
        self.change(change, spare);
    }

    /// The way to a spoke. The engine is told what became of it; with `tell` also when it is there already.
    pub(super) fn port(
        &mut self,
        key: VnKey,
        spoke: Vtep,
        plane: Option<&Plane>,
        tell: bool,
        inputs: &mut Inputs,
    ) {
        match self.vns.get(&key).map(|vn| &vn.devices) {
            Some(Devices::Ports(_)) => self.own_port(key, spoke, plane, tell, inputs),
            Some(Devices::Shared(_)) => self.member(key, spoke, plane, tell, inputs),
            Some(Devices::Spoke) | None => {}
        }
    }

    fn own_port(&mut self, key: VnKey, spoke: Vtep, plane: Option<&Plane>, tell: bool, inputs: &mut Inputs) {
        let Some(vn) = self.vns.get_mut(&key) else { return };
        let (whose, wanted, bridge) = (vn.whose(), Arc::clone(&vn.wanted), vn.bridge());
        let Devices::Ports(ports) = &mut vn.devices else { return };
        let want = plane.and_then(|plane| plane.port(spoke));
        let port = match (want, ports.get(&spoke)) {
            (None, None) => return,
            // It is looked at again when it is made.
            (_, Some(Ported { index: None, .. })) => return,
            (Some(want), Some(Ported { index: Some(index), port, .. })) if hub::serves(*port, want) => {
                let (index, mark) = (*index, hub::kept(want));
                if hub::kept(*port) != mark
                    && let Some(ported) = ports.get_mut(&spoke)
                {
                    ported.port = want;
                    self.jobs.push_back(Job::Mark(index, alias::port(&wanted.name, spoke, mark)));
                }
                return inputs.extend(tell.then(|| became(key, spoke, Outcome::Made)));
            }
            (want, Some(Ported { index: Some(index), port, .. })) => {
                let (index, uplink) = (*index, port.uplink);
                ports.remove(&spoke);
                self.doom(index, Some(uplink));
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
            ports.insert(spoke, Ported { index: None, port, entry: Entry::NotSeen });
        }
        self.make(whose, &wanted, bridge, NewPort { spoke, port });
    }

    /// A spoke is one of those that the device for all floods to, or is not any more. The device goes with the last one.
    fn member(&mut self, key: VnKey, spoke: Vtep, plane: Option<&Plane>, tell: bool, inputs: &mut Inputs) {
        let Some(vn) = self.vns.get_mut(&key) else { return };
        let (whose, wanted, bridge) = (vn.whose(), Arc::clone(&vn.wanted), vn.bridge());
        let Devices::Shared(shared) = &mut vn.devices else { return };
        let want = plane.and_then(|plane| plane.port(spoke));
        let there = shared.members.get(&spoke).copied();
        if let (Some(port), Some(index)) = (want, shared.index) {
            let mark = shared.kept.and(hub::kept(port));
            if core::mem::replace(&mut shared.kept, mark) != mark {
                self.jobs.push_back(Job::Mark(index, alias::shared(&wanted.name, mark)));
            }
        }
        match (want, there) {
            (None, None) | (Some(_), Some(false)) => {}
            (Some(_), Some(true)) => inputs.extend(tell.then(|| became(key, spoke, Outcome::Made))),
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
                        // One of an earlier time has the same name.
                        let doomed: Vec<u32> = self.doomed.drain(..).map(|doomed| doomed.index).collect();
                        if !doomed.is_empty() {
                            self.jobs.push_back(Job::Delete(doomed, false));
                        }
                        shared.kept = hub::kept(port);
                        let ports = vec![NewPort { spoke, port }];
                        let make = super::Make { wanted, bridge, ports };
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

    /// Goes through all ports of a VN: those that are wanted, and those that are there.
    pub(super) fn all_ports(&mut self, key: VnKey, engine: &Engine, inputs: &mut Inputs) {
        self.vns.get_mut(&key).into_iter().for_each(|vn| vn.unported = false);
        let plane = engine.plane(key);
        let mut all: Vec<Vtep> = plane.into_iter().flat_map(Plane::ports).map(|(spoke, _)| spoke).collect();
        match self.vns.get(&key).map(|vn| &vn.devices) {
            Some(Devices::Ports(ports)) => all.extend(ports.keys()),
            Some(Devices::Shared(shared)) => all.extend(shared.members.keys()),
            Some(Devices::Spoke) | None => return,
        }
        all.sort_unstable();
        all.dedup();
        all.into_iter().for_each(|spoke| self.port(key, spoke, plane, false, inputs));
    }

    /// What went wrong in a VN is tried again.
    pub(super) fn again(&mut self, now: Instant) {
        for (_, vn) in self.vns.iter_mut().filter(|(_, vn)| vn.again.is_some_and(|at| at <= now)) {
            vn.again = None;
            vn.unsettled |= vn.standing.trouble.is_some();
            vn.unported = true;
        }
    }

    /// A port was made, or not.
    pub(super) fn made(
        &mut self,
        whose: Whose,
        NewPort { spoke, port }: NewPort,
        made: Made,
        engine: &Engine,
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
                ports.insert(spoke, Ported { index: Some(index), port, entry: Entry::Right });
                self.parts.insert(index, (key, Part::Port(spoke)));
                self.port(key, spoke, engine.plane(key), true, inputs);
            }
            Err((taken, e)) => {
                log::warn!("no port for {spoke}: {e}");
                ports.remove(&spoke);
                inputs.push_back(became(key, spoke, Outcome::Failed { taken }));
                self.vns.get_mut(&key).into_iter().for_each(|vn| vn.plan_again(now, true));
            }
        }
    }

    /// The device for all spokes was made, or not.
    pub(super) fn shared_made(&mut self, whose: Whose, made: Made, now: Instant, inputs: &mut Inputs) {
        let vn = self.vns.get_mut(&whose.0).filter(|vn| vn.whose() == whose);
        let Some(Vn { key, devices: Devices::Shared(shared), .. }) = vn else {
            return made.into_iter().for_each(|index| self.doom(index, None));
        };
        let key = *key;
        shared.is_being_made = false;
        match made {
            // All have left meanwhile.
            Ok(index) if shared.members.is_empty() => self.doom(index, None),
            Ok(index) => {
                shared.index = Some(index);
                let waiting: Vec<Vtep> = shared.members.keys().copied().collect();
                self.parts.insert(index, (key, Part::Shared));
                waiting.into_iter().for_each(|spoke| self.flood(whose, index, spoke));
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
        engine: &Engine,
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
                self.port(key, spoke, engine.plane(key), true, inputs);
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
