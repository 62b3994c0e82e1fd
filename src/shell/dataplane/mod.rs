//! The data plane: the kernel's bridges, VXLAN devices and forwarding entries, kept as the engine wants them.
//!
//! What is wanted is in the engine's [`Plane`] and in the configuration; here is what the kernel has. Whatever makes the
//! two differ - news of the engine, of the kernel, a restart, lost events, another configuration - is put right by the
//! same comparison, item by item. What that takes is asked for in a thread of its own (`worker`).
//!
//! Devices are never made anew for a changed configuration. What is ours is marked (an alias on devices, `extern_learn`
//! on entries); nothing else is touched, but for the default entry of a device that the configuration names.

pub(super) mod alias;
mod found;
mod guard;
mod hub;
mod items;
mod join;
mod kmod;
mod loops;
mod news;
mod plan;
mod probed;
mod settle;
mod spoke;
mod vlan;
mod vn;
mod wanted;
mod worker;

#[cfg(test)]
mod tests;

use super::clock::Clock;
use super::identity::Identity;
use super::netlink::Error;
use super::settings::Names;
use super::underlay::{Home, Question, Source};
use crate::config::{self, Config};
use crate::control::Cause;
use crate::engine::{Act, Engine, Input, Item, News, Place, Plane, Port, VnKey};
use crate::map::map_of;
use crate::time::Instant;
use crate::types::{Mac, Nbma, Vni, Vtep};
use core::time::Duration;
use guard::Guard;
pub use hub::port_name;
use litemap::LiteMap;
use settle::Leave;
use spoke::{Announcement, set};
use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::task::Waker;
use vn::{Devices, Part, TAKES_ON, Vn};
pub use wanted::Forwarder;
use wanted::{Role, Wanted};
use worker::{Ended, Job, Report, Whose, Worker};

/// What the kernel has to tell the engine.
pub type Inputs = VecDeque<Input<'static>>;

/// The entry for everything without one of its own.
const DEFAULT: [u8; 6] = [0; 6];

/// So many entries are changed in one job.
const CHANGES: usize = 128;

/// Ports are deleted together: the kernel waits once for all of them, and so do all others who want its lock. In that
/// time, and so many at most.
const DELETE: (Duration, Duration) = (Duration::from_millis(40), Duration::from_millis(80));
const SETS: (usize, usize) = (32, 128);

/// After lost events all is listed, and not again before this is over: events may come faster than they can be read.
const LISTING_PAUSE: Duration = Duration::from_secs(1);

/// So many MACs are announced in one job.
const ANNOUNCED: usize = 64;

/// Of so many MACs an event may come while entries are listed; with more of them all are listed once more.
const NEWER: usize = 4096;

/// Where a listing may have left out something, the next adds to it; so many are as good as can be had.
const LISTINGS: u8 = 3;

/// So long reports are looked at in a turn.
const SLICE: Duration = Duration::from_millis(5);

/// What the plane, or the engine, asks for; or what the kernel told that makes a look at the plane due.
#[derive(Debug)]
enum Due {
    /// An item is to be as it is wanted now.
    Item(VnKey, Item),
    /// An entry of ours that led there is gone: it is made again where it is still wanted so.
    Gone(VnKey, Item, Vtep),
    /// What leaves no state behind.
    Act(VnKey, Act),
}

/// A device of ours that is to go.
#[derive(Clone, Copy, Debug)]
struct Doomed {
    index: u32,
    /// By which it is named, and which it uses.
    uplink: Option<Vni>,
}

/// A listing of entries under way.
#[derive(Debug)]
struct Listing {
    vn: Whose,
    /// Of what entries of this listing are older than what is known: it was told of by an event meanwhile.
    newer: LiteMap<Mac, ()>,
    /// The shortcuts that were seen, where they lead and by which device.
    seen: LiteMap<Mac, Option<(Vtep, Option<u32>)>>,
    /// Whether it may have left out something that is there: an entry was removed meanwhile, upon which the kernel,
    /// which counts them, may pass over another; or more events came than can be kept, or some were lost.
    is_spoilt: bool,
    /// How it ended.
    ended: Option<Ended>,
}

impl Listing {
    fn is_newer(&mut self, mac: Mac, gone: bool) {
        self.is_spoilt |= gone || self.newer.len() >= NEWER;
        if self.newer.len() < NEWER {
            self.newer.insert(mac, ());
        }
    }
}

/// The devices of all VNs.
#[derive(Debug)]
pub struct Dataplane {
    identity: Identity,
    clock: Clock,
    worker: Worker,
    /// What the worker gets next.
    jobs: VecDeque<Job>,
    /// Behind what clients' addresses are to be, on which device. Each once: clients may register faster than it is told.
    neighbours: LiteMap<(u32, IpAddr), Option<Nbma>>,
    vns: LiteMap<VnKey, Vn>,
    /// The device that tunnelled frames leave by; none where the routes decide.
    via: Option<u32>,
    guard: Guard,
    loops: loops::Loops,
    /// How many VNs there were.
    number: u32,
    /// What VNs have for themselves: not their bridges, which they may share.
    parts: LiteMap<u32, (VnKey, Part)>,
    /// What is to be done as soon as the engine has heard all there is.
    due: VecDeque<Due>,
    doomed: Vec<Doomed>,
    /// The ports among them that were to go in this turn.
    left_ports: Vec<(Whose, u32, Port)>,
    /// Devices that the worker is to delete, and may have deleted.
    going: LiteMap<u32, ()>,
    /// Devices of ours that went before the worker told that it made, or saw, them.
    vanished: Vec<u32>,
    /// Those behind which somebody was learned before.
    early: LiteMap<u32, ()>,
    /// Local ports of VNs' bridges that are down: what a bridge forgets of one is not there any more.
    down: LiteMap<u32, ()>,
    /// Spokes that left a device for all, which is to forget what it learned of them.
    left: Vec<(u32, Vtep)>,
    /// How many of them go at a time, and whether some are going.
    set: usize,
    deleting: bool,
    /// What goes when they are gone.
    leaving: Vec<Leave>,
    /// Whether this kernel does not know what a locked port is.
    lacks_locks: bool,
    /// Bridges that were made to learn nothing from link-local frames.
    quieted: Vec<u32>,
    /// Whether all devices are to be listed, at the earliest then; and whether that is being done.
    look: Option<Instant>,
    looking: bool,
    /// Whether events were lost: then all is listed, and no more until that time.
    is_lost: bool,
    rests: Instant,
    /// The devices that were seen while all are listed.
    seen: LiteMap<u32, ()>,
    listing: Option<Listing>,
    /// The VN whose entries were listed last: the others come first now.
    listed: Option<VnKey>,
    /// The kernel's answer to a question of the underlay's.
    home: Option<Box<Home>>,
    /// Whether anything happened since jobs were handed out.
    is_stirred: bool,
    /// Whether reports are left for the next turn.
    is_behind: bool,
    /// Whether this is the only daemon in its network namespace: what no VN has a use for is then nobody's.
    alone: Option<UnixDatagram>,
    /// Whether all devices were seen as the only daemon: what is made for other VNs from then on is another's.
    is_swept: bool,
}

impl Dataplane {
    /// No devices yet. `waker` is called when a turn is due.
    pub fn open(identity: Identity, clock: Clock, waker: Waker) -> io::Result<Dataplane> {
        Ok(Dataplane {
            identity,
            clock,
            worker: Worker::start(clock, waker)?,
            jobs: VecDeque::new(),
            neighbours: LiteMap::new(),
            vns: LiteMap::new(),
            via: None,
            guard: Guard::default(),
            loops: loops::Loops::default(),
            number: 0,
            parts: LiteMap::new(),
            due: VecDeque::new(),
            doomed: Vec::new(),
            left_ports: Vec::new(),
            going: LiteMap::new(),
            vanished: Vec::new(),
            early: LiteMap::new(),
            down: LiteMap::new(),
            left: Vec::new(),
            set: SETS.0,
            deleting: false,
            leaving: Vec::new(),
            lacks_locks: false,
            quieted: Vec::new(),
            look: Some(clock.now()),
            looking: false,
            is_lost: false,
            rests: clock.now(),
            seen: LiteMap::new(),
            listing: None,
            listed: None,
            home: None,
            is_stirred: true,
            is_behind: false,
            alone: None,
            is_swept: false,
        })
    }

    /// Takes over the configuration. Devices of VNs that are gone, or want other devices, are taken down.
    pub fn configure(&mut self, config: &Config, names: &Names, inputs: &mut Inputs) {
        self.is_stirred = true;
        let now = self.clock.now();
        let is_hub = config.vns.iter().any(|vn| matches!(vn.role, config::Role::Hub(_)));
        self.guard.configure(config.main.guard.then_some(config.main.udp_port), is_hub);
        let driver = kmod::driver();
        let vns = config.vns.iter();
        let wanted =
            vns.filter_map(|vn| Some((names.vn(&vn.name)?, Wanted::of(vn, config, &self.identity, driver))));
        let wanted = map_of(wanted);
        let keys: Vec<VnKey> = self.vns.keys().copied().collect();
        for key in keys {
            let Some(vn) = self.vns.get_mut(&key) else { continue };
            match wanted.get(&key) {
                Some(new) if vn.wanted.needs_same_devices(new) => {
                    vn.joins |= (vn.wanted.mtu, vn.wanted.vlan) != (new.mtu, new.vlan);
                    if vn.wanted.is_guarded && !new.is_guarded {
                        self.guard.open(key);
                    } else if !vn.wanted.is_guarded && new.is_guarded {
                        vn.closes = Some(now + TAKES_ON);
                    }
                    vn.wanted = Arc::new(new.clone());
                    vn.unsettled = true;
                    vn.standing.users_own = false;
                }
                new => {
                    let lasts = new.is_some();
                    self.take_down(key);
                    if lasts {
                        inputs.push_back(Input::News { vn: key, news: News::Device(None) });
                    }
                }
            }
        }
        for (key, wanted) in wanted {
            if !self.vns.contains_key(&key) {
                self.number += 1;
                self.vns.insert(key, Vn::new(key, self.number, wanted, now));
            }
        }
        self.tell_lacks();
    }

    /// The addresses that spokes' devices are to send from; where one is missing it stays what it was.
    pub fn send_from(&mut self, origins: &LiteMap<VnKey, Source>) {
        self.is_stirred = true;
        for (key, vn) in self.vns.iter_mut() {
            let origin = origins.get(key).copied().or(vn.origin);
            if vn.origin != origin {
                vn.origin = origin;
                vn.unsettled = true;
            }
        }
    }

    /// Where spokes' hubs are; where one is missing it stays where it was.
    pub fn take_from_hubs(&mut self, hubs: &LiteMap<VnKey, Option<Nbma>>) {
        for (key, vn) in self.vns.iter_mut() {
            let hub = hubs.get(key).copied().unwrap_or(vn.hub);
            let before = core::mem::replace(&mut vn.hub, hub);
            if before != hub {
                self.is_stirred = true;
                let all = [before, hub].into_iter().flatten();
                self.due.extend(all.map(|nbma| Due::Item(*key, Item::Source(nbma))));
            }
        }
    }

    /// The device that tunnelled frames are to leave by, if not as the routes say. All entries are written once more; those
    /// by a device that is gone lead nowhere until then.
    pub fn send_by(&mut self, via: Option<u32>, engine: &Engine) {
        if self.via == via {
            return;
        }
        self.is_stirred = true;
        self.via = via;
        let mut leads = Vec::new();
        for (_, vn) in self.vns.iter_mut() {
            match &mut vn.devices {
                Devices::Spoke => {
                    let shortcuts = engine.plane(vn.key).into_iter().flat_map(Plane::shortcuts);
                    let items = shortcuts.map(|(mac, _)| Item::Shortcut(mac)).chain([Item::Uplink]);
                    self.due.extend(items.map(|item| Due::Item(vn.key, item)));
                }
                Devices::Ports(ports) => {
                    for (spoke, ported) in ports.iter_mut() {
                        match ported.index {
                            Some(index) => leads.push(set(index, DEFAULT, *spoke, via)),
                            // It is being made, and is looked at then.
                            None => ported.entry = vn::Entry::Wrong,
                        }
                    }
                }
                // What such a device learns by itself names none.
                Devices::Shared(_) => {}
            }
        }
        leads.into_iter().for_each(|lead| self.change(lead, false));
    }

    /// Something is new, or is another one now, that a VN may have waited for.
    pub fn retry_troubled(&mut self) {
        self.is_stirred = true;
        for vn in self.vns.iter_mut().map(|(_, vn)| vn).filter(|vn| vn.standing.trouble.is_some()) {
            vn.unsettled = true;
        }
    }

    /// An item of the VN's is wanted another way.
    pub fn changed(&mut self, key: VnKey, item: Item) {
        self.is_stirred = true;
        self.due.push_back(Due::Item(key, item));
    }

    /// The engine wants something done that leaves no state behind.
    pub fn order(&mut self, key: VnKey, act: Act) {
        self.is_stirred = true;
        self.due.push_back(Due::Act(key, act));
    }

    fn act(&mut self, key: VnKey, act: Act, plane: Option<&Plane>) {
        let Some(vn) = self.vns.get_mut(&key) else { return };
        let whose = vn.whose();
        match act {
            // It is not about the devices' state.
            Act::SeekLoop { .. } | Act::SeekNoLoop => {}
            Act::List => vn.unlisted = true,
            Act::Unlearn(mac, Place::At(spoke)) => {
                let change = vn.unlearning(mac, spoke, &self.parts);
                change.into_iter().for_each(|change| self.change(change, false));
            }
            Act::Unlearn(mac, place) => {
                let (vlan, tunnel) = (vn.standing.scope.vid(), vn.standing.tunnel);
                let behind = place == Place::Tunnel;
                if let Some(bridge) = vn.standing.bridge {
                    self.jobs.push_back(Job::Unlearn { bridge, mac, vlan, tunnel, behind });
                }
            }
            Act::ReadUses => self.jobs.push_back(Job::ReadUses(whose, vn.uplink_entry())),
            Act::ReadUse(mac) => {
                if let Some(index) = vn.standing.tunnel {
                    self.jobs.push_back(Job::ReadUse(whose, index, mac));
                }
            }
            // The device may be about to be made anew.
            Act::Announce { mac, hub } if vn.unsettled || vn.settling => vn.announcements.push((mac, hub)),
            Act::Announce { mac, hub } => {
                let l2miss = matches!(vn.wanted.role, Role::Spoke { l2miss: true, .. });
                let lead = plane.and_then(Plane::uplink).filter(|_| l2miss).map(|to| (to, self.via));
                if let Some(index) = vn.standing.tunnel {
                    self.announce(whose, Announcement { index, mac, hub, lead });
                }
            }
            Act::AnnounceTo { mac, hub, at } => {
                if let Some(index) = vn.port_to(at) {
                    self.announce(whose, Announcement { index, mac, hub, lead: None });
                }
            }
        }
    }

    /// Those that come one after the other are one job: there may be thousands, and ports wait behind them.
    fn announce(&mut self, whose: Whose, announcement: Announcement) {
        match self.jobs.back_mut() {
            Some(Job::Announce(last, all)) if *last == whose && all.len() < ANNOUNCED => {
                all.push(announcement)
            }
            _ => self.jobs.push_back(Job::Announce(whose, vec![announcement])),
        }
    }

    /// Has the kernel asked about this router's own end, before all that waits; [`Dataplane::home`] has the answer then.
    pub fn ask_home(&mut self, question: Question) {
        self.is_stirred = true;
        self.jobs.push_front(Job::Home(question));
    }

    /// The answer, once.
    pub fn home(&mut self) -> Option<Home> {
        self.home.take().map(|home| *home)
    }

    /// With transport `device`: behind which underlay address a client's address is, on that device.
    pub fn neighbour(&mut self, device: u32, address: IpAddr, nbma: Option<Nbma>) {
        self.is_stirred = true;
        self.neighbours.insert((device, address), nbma);
    }

    /// Looks at what the worker has to tell, and at what is due.
    pub fn turn(&mut self, now: Instant, inputs: &mut Inputs) {
        self.is_stirred = true;
        loop {
            self.is_behind = self.clock.now().since(now) >= SLICE;
            let report = if self.is_behind { None } else { self.worker.report() };
            let Some(report) = report else { break };
            self.hear(report, now, inputs);
        }
        self.again(now);
        self.guard.again(now);
    }

    /// Whether it is known which devices there are.
    pub fn is_known(&self) -> bool {
        let is_settled = |vn: &Vn| !vn.unsettled && !vn.settling;
        self.look.is_none() && !self.looking && self.vns.values().all(is_settled)
    }

    /// Whether the worker has something to do.
    pub fn waits(&self) -> bool {
        self.worker.open > 0
    }

    /// When a turn is due.
    pub fn deadline(&self) -> Option<Instant> {
        let again = self.vns.values().filter_map(|vn| vn.again);
        let at_once = self.is_behind.then(|| self.clock.now());
        let look = self.look.filter(|_| !self.looking);
        let closes = self.vns.values().filter(|vn| vn.guarded_vni().is_some()).filter_map(|vn| vn.closes);
        again.chain(look).chain(at_once).chain(closes).chain(self.guard.deadline()).min()
    }

    /// Takes the devices of all VNs down that are not to outlive the daemon: a spoke's. A hub's stay, so that the
    /// network goes on while its daemon is replaced. All that is to be done is done then.
    pub fn leave(&mut self) {
        // A device that is being made has to be known.
        while self.vns.values().any(|vn| vn.settling && matches!(vn.devices, Devices::Spoke)) {
            match self.worker.wait() {
                Some(Report::Settled(whose, standing)) => {
                    self.quieted.extend(standing.quieted());
                    if let Some(vn) = self.vns.get_mut(&whose.0).filter(|vn| vn.whose() == whose) {
                        (vn.standing, vn.settling) = (*standing, false);
                    }
                }
                Some(_) => {}
                None => break,
            }
        }
        let spokes = self.vns.values().filter(|vn| matches!(vn.devices, Devices::Spoke));
        let keys: Vec<VnKey> = spokes.map(|vn| vn.key).collect();
        keys.into_iter().for_each(|key| self.take_down(key));
        // Without a daemon nobody sees that a loop is over.
        let hubs: Vec<VnKey> = self.vns.keys().copied().collect();
        hubs.into_iter().for_each(|key| self.all_flood(key));
        while let Some(delete) = self.delete_some(false) {
            self.jobs.push_back(delete);
        }
        self.jobs.extend(self.leaving.drain(..).map(|leave| Job::Leave(Box::new(leave))));
        self.plan_learning();
        // What is in it was found, and is not to be made any more.
        self.jobs.retain(|job| !matches!(job, Job::List(..) | Job::Links | Job::Settle(..)));
        while let Some(job) = self.jobs.pop_front().or_else(|| self.next_neighbour()) {
            self.worker.give(job);
        }
        self.worker.finish();
    }

    /// A VN's bridge MAC, and why its devices are not up.
    pub fn state(&self, key: VnKey) -> (Option<Mac>, Option<Cause>) {
        let Some(Vn { standing, .. }) = self.vns.get(&key) else { return (None, None) };
        (standing.bridge_mac, standing.trouble.clone().or_else(|| standing.warning.clone()))
    }

    /// What a VN lacks that works nevertheless.
    pub fn lack(&self, key: VnKey) -> Option<&Cause> {
        self.vns.get(&key)?.lack.as_ref()
    }

    /// Whether others' frames are to be kept from a hub's ports; how many were dropped, or why none are.
    pub fn guard(&self) -> Option<Result<u64, Cause>> {
        self.guard.state()
    }

    /// What forwards a hub's frames in a VN, and why that; nothing at a spoke.
    pub fn forwarder(&self, key: VnKey) -> Option<&Forwarder> {
        match &self.vns.get(&key)?.wanted.role {
            Role::Hub(forwarder) => Some(forwarder),
            Role::Spoke { .. } => None,
        }
    }

    /// The VN is no more, or wants other devices.
    fn take_down(&mut self, key: VnKey) {
        let Some(vn) = self.vns.remove(&key) else { return };
        self.guard.forget(key);
        self.all_flood(key);
        self.parts.retain(|_, (owner, _)| *owner != key);
        match &vn.devices {
            Devices::Spoke => {}
            Devices::Ports(ports) => {
                let there = ports.values().filter_map(|p| Some((p.index?, p.port.uplink)));
                self.doomed.extend(there.map(|(index, uplink)| Doomed { index, uplink: Some(uplink) }));
            }
            Devices::Shared(shared) => {
                self.doomed.extend(shared.index.map(|index| Doomed { index, uplink: None }));
            }
        }
        self.leaving.push(Leave {
            name: vn.wanted.name.clone(),
            tunnel: vn.standing.tunnel,
            bridge: vn.standing.bridge,
            joined: vn.standing.joined,
        });
    }

    fn doom(&mut self, index: u32, uplink: Option<Vni>) {
        self.parts.remove(&index);
        self.doomed.push(Doomed { index, uplink });
    }

    /// A port that was to go just now and can be this one, which is a spoke's that moved: it goes no more. How it is.
    fn spared(&mut self, whose: Whose, port: Port) -> Option<(u32, Port)> {
        let can = |(of, _, there): &(Whose, u32, Port)| *of == whose && hub::can_become(*there, port);
        let place = self.left_ports.iter().position(can)?;
        let (_, index, there) = self.left_ports.swap_remove(place);
        let place = self.doomed.iter().rposition(|doomed| doomed.index == index)?;
        self.doomed.swap_remove(place);
        Some((index, there))
    }
}

/// An error of the kernel's, as a sentence for `status`.
fn shown(e: Error) -> String {
    e.to_string()
}
