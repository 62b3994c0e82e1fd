//! What is to be done becomes jobs of the worker's.

use super::hub::{Make, NewPort};
use super::settle::Settle;
use super::vn::{Devices, Entry, Vn};
use super::wanted::Wanted;
use super::worker::{Job, Whose};
use super::{CHANGES, Dataplane, Inputs, LISTING_PAUSE, Listing};
use crate::engine::{Engine, Input, News, VnKey};
use crate::shell::netlink::{FdbChange, FdbTable};
use crate::time::Instant;
use crate::types::Vtep;
use litemap::LiteMap;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;

/// So many jobs are with the worker at a time. What waits is put together meanwhile.
const OPEN: usize = 3;

/// So many ports are made in one job.
const PORTS: usize = 16;

impl Dataplane {
    /// Gives the worker what it can take, once the engine knows of all that was found.
    pub fn hand_out(&mut self, engine: &Engine, now: Instant, inputs: &mut Inputs) {
        if !core::mem::take(&mut self.is_stirred) {
            return;
        }
        self.all_listed(engine, now, inputs);
        self.all_ports(engine);
        self.close(engine, now);
        self.reconcile(engine, inputs);
        self.plan(now, inputs);
        if self.worker.open == 0 && self.jobs.is_empty() && self.doomed.is_empty() {
            self.guard.all_gone();
        }
        while self.worker.open < OPEN {
            // Who may send is told before the devices are made.
            let next = self
                .guard_job()
                .or_else(|| self.jobs.pop_front())
                .or_else(|| self.next_neighbour())
                .or_else(|| self.delete_some(true));
            let Some(job) = next else { break };
            self.worker.give(job);
        }
        if self.worker.open == 0 {
            self.vanished.clear();
            self.early.clear();
        }
    }

    pub(super) fn guard_job(&mut self) -> Option<Job> {
        let takes_all = self.vns.values().any(Vn::takes_all);
        // Where nothing is taken from strangers otherwise, and there is a bridge.
        let is_guarded = |vn: &&Vn| vn.own_vni().is_none() || vn.guarded_vni().is_some();
        let probes_pass = !self.vns.values().filter(is_guarded).any(|vn| vn.standing.learns.is_some());
        self.guard.job(!self.looking && self.look.is_none(), takes_all, probes_pass).map(Job::Guard)
    }

    pub(super) fn next_neighbour(&mut self) -> Option<Job> {
        let (&(device, address), &nbma) = self.neighbours.last()?;
        self.neighbours.remove(&(device, address));
        Some(Job::Neighbour(device, address, nbma))
    }

    /// What the VNs wait for becomes jobs.
    pub(super) fn plan(&mut self, now: Instant, inputs: &mut Inputs) {
        // Once for all of them, and after their frames are not heard any more.
        while let Some((index, _)) = self.left.first().copied() {
            let (these, others) = core::mem::take(&mut self.left).into_iter().partition(|(i, _)| *i == index);
            self.left = others;
            let these: Vec<(u32, Vtep)> = these;
            self.jobs.push_back(Job::Forget(index, these.into_iter().map(|(_, spoke)| spoke).collect()));
        }
        if !self.looking && self.look.is_some_and(|at| at <= now) {
            self.look = None;
            self.looking = true;
            // The daemon before this one may have ended meanwhile.
            self.alone = self.alone.take().or_else(alone);
            if core::mem::take(&mut self.is_lost) {
                self.rests = now + LISTING_PAUSE;
                self.vns.iter_mut().for_each(|(_, vn)| (vn.unsettled, vn.unlisted) = (true, true));
            }
            self.seen.clear();
            self.jobs.push_back(Job::Links);
        }
        if self.doomed.is_empty() && !self.deleting {
            self.jobs.extend(self.leaving.drain(..).map(|leave| Job::Leave(Box::new(leave))));
        }
        self.plan_learning();
        // What is in the way goes first.
        if self.looking || self.look.is_some_and(|at| at <= now) || !self.leaving.is_empty() {
            return;
        }
        if self.vns.values().any(|vn| vn.unsettled && !vn.settling) {
            self.plan_settling();
        }
        if self.listing.is_none() {
            self.plan_listing(inputs);
        }
    }

    /// Bridges that are no VN's any more learn from link-local frames again, as they did.
    pub(super) fn plan_learning(&mut self) {
        let (vns, jobs) = (&self.vns, &mut self.jobs);
        let is_used =
            |index| vns.values().any(|vn| vn.unsettled || vn.settling || vn.standing.quiet == Some(index));
        self.quieted.retain(|index| {
            let is_used = is_used(*index);
            jobs.extend((!is_used).then_some(Job::Learn(*index)));
            is_used
        });
    }

    fn plan_settling(&mut self) {
        let ours: Arc<Vec<u32>> = Arc::new(self.parts.keys().copied().collect());
        let names = Arc::new(self.vns.values().map(|vn| vn.wanted.name.clone()).collect::<Vec<_>>());
        for vn in self.vns.iter_mut().map(|(_, vn)| vn).filter(|vn| vn.unsettled && !vn.settling) {
            (vn.unsettled, vn.settling) = (false, true);
            let order = Settle {
                wanted: Arc::clone(&vn.wanted),
                origin: vn.origin,
                before: vn.standing.clone(),
                ours: Arc::clone(&ours),
                names: Arc::clone(&names),
                shared: vn.shared(),
            };
            self.jobs.push_back(Job::Settle(vn.whose(), Box::new(order)));
        }
    }

    fn plan_listing(&mut self, inputs: &mut Inputs) {
        let ready: Vec<VnKey> = self
            .vns
            .values()
            .filter(|vn| vn.unlisted && !vn.unsettled && !vn.settling)
            .map(|vn| vn.key)
            .collect();
        let next = ready.iter().find(|key| Some(**key) > self.listed).or(ready.first()).copied();
        let Some(vn) = next.and_then(|key| self.vns.get_mut(&key)) else { return };
        vn.unlisted = false;
        self.listed = next;
        // What the bridge says comes last: it decides first where a frame goes.
        let device = vn.standing.tunnel.or(vn.shared()).map(FdbTable::Device);
        let tables: Vec<FdbTable> =
            device.into_iter().chain(vn.standing.bridge.map(FdbTable::Bridge)).collect();
        if let Devices::Ports(ports) = &mut vn.devices {
            ports.iter_mut().for_each(|(_, ported)| ported.entry = Entry::NotSeen);
        }
        self.listing = Some(Listing {
            vn: vn.whose(),
            newer: LiteMap::new(),
            seen: LiteMap::new(),
            is_spoilt: false,
            ended: None,
        });
        // What earlier ones held counts, unless events were lost.
        if core::mem::take(&mut vn.anew) {
            vn.listings = 0;
        }
        // What events tell from now on is newer than what is listed, and need not be in it.
        if vn.listings == 0 {
            inputs.push_back(Input::News { vn: vn.key, news: News::Listing });
        }
        self.jobs.push_back(Job::List(vn.whose(), tables));
    }

    /// Has the worker delete some of what is doomed; with `timed` only while it is not doing so already.
    pub(super) fn delete_some(&mut self, timed: bool) -> Option<Job> {
        if timed && self.deleting || self.doomed.is_empty() {
            return None;
        }
        self.deleting |= timed;
        let some: Vec<u32> = self.doomed.drain(..self.set.min(self.doomed.len())).map(|d| d.index).collect();
        Some(self.delete(some, timed))
    }

    pub(super) fn delete(&mut self, devices: Vec<u32>, timed: bool) -> Job {
        self.going.extend(devices.iter().map(|index| (*index, ())));
        Job::Delete(devices, timed)
    }

    /// A change to entries, after all that is to be done already.
    pub(super) fn change(&mut self, change: FdbChange, spare: bool) {
        match self.jobs.back_mut() {
            Some(Job::Change(changes, same)) if *same == spare && changes.len() < CHANGES => {
                changes.push(change);
            }
            _ => self.jobs.push_back(Job::Change(vec![change], spare)),
        }
    }

    /// A port, after all that is to be done already. One that has its name goes before.
    pub(super) fn make(&mut self, whose: Whose, wanted: &Arc<Wanted>, bridge: u32, port: NewPort) {
        if let Some(place) = self.doomed.iter().position(|d| d.uplink == Some(port.port.uplink)) {
            let there = self.doomed.swap_remove(place);
            let delete = self.delete(vec![there.index], false);
            self.jobs.push_back(delete);
        }
        match self.jobs.back_mut() {
            Some(Job::Make(same, make))
                if *same == whose
                    && (make.bridge, make.via) == (bridge, self.via)
                    && make.ports.len() < PORTS =>
            {
                make.ports.push(port);
            }
            _ => {
                let make = Make { wanted: Arc::clone(wanted), bridge, via: self.via, ports: vec![port] };
                self.jobs.push_back(Job::Make(whose, Box::new(make)));
            }
        }
    }
}

/// Held by the only daemon of a network namespace, or by the first.
fn alone() -> Option<UnixDatagram> {
    SocketAddr::from_abstract_name("dmevpn").and_then(|address| UnixDatagram::bind_addr(&address)).ok()
}
