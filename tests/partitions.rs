//! Three hubs that are one switch, and spokes that have all of them, each in its own order, while anything happens: ways are cut, both
//! ways or one way, packets are lost, late and in disorder, hubs die and come back, stations move. Whatever happens, no frame goes
//! round, and none is at a station twice or back at its sender. Once it is quiet, all is as if nothing had happened.
//!
//! `DMEVPN_SEED` repeats a failure.

mod sim;

use dmevpn::engine::report::{MacState, VnReport};
use dmevpn::engine::{Event, Input, Order, Passing, WhyHub};
use dmevpn::time::Instant;
use dmevpn::types::{Mac, Nbma};
use sim::build::*;
use sim::plane::Frame;
use sim::{Followed, Link, Net, NodeId, Sim, seed};
use std::collections::BTreeMap;
use std::time::Duration;

const HUBS: usize = 3;
const HOLDING: u64 = 120;
const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
/// A hub that was left by a spoke that did not have to go is heard for so long, if it does not confirm that.
const KEPT: Duration = Duration::from_millis(500);
/// After a fault hubs have linked within this: a link that is lost holds for 15 s.
const LINKED: Duration = Duration::from_secs(20);
/// No copy of a frame is under way for longer.
const UNDER_WAY: Duration = Duration::from_secs(2);

/// What packets are there to be lost, late and in disorder in.
const STORM: Net = Net { loss: 30, duplicates: 10, frame_loss: 5, delay: (5, 900) };

/// Hubs, nodes 0 to 2, and spokes, nodes 3 and up; at each a station at least.
struct World {
    sim: Sim,
    spokes: usize,
    stations: usize,
    /// Which hubs send their spokes away.
    draining: [bool; HUBS],
    /// When hubs did not hear each other last.
    unheard: Instant,
    /// The longest time until each spoke was at one hub once all was well, and until each MAC was found.
    settled: Duration,
    resolved: Duration,
    followed: u64,
}

impl World {
    fn new(seed: u64, spokes: usize) -> World {
        println!("DMEVPN_SEED={seed}");
        let mut sim = Sim::new(seed, Net::GOOD);
        add_hubs(&mut sim, HOLDING, HUBS);
        let addresses: Vec<Nbma> = (0..HUBS).map(hub_nbma).collect();
        for id in HUBS..HUBS + spokes {
            const ORDERS: [[usize; HUBS]; 6] =
                [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
            let settings = settings_of_chooser(HOLDING, id, &ORDERS[sim.chance(6)], sim.chance(4) > 0);
            sim.add_to(&[spoke_nbma(id)], settings, &addresses);
        }
        let stations = HUBS + spokes + spokes / 4;
        for n in 0..stations {
            let at = if n < HUBS + spokes { n } else { HUBS + sim.chance(spokes) };
            sim.settle(station(n), at, VN);
        }
        let draining = [false; HUBS];
        let (settled, resolved) = (Duration::ZERO, Duration::ZERO);
        let unheard = sim.now;
        let mut world = World { sim, spokes, stations, draining, unheard, settled, resolved, followed: 0 };
        // Guards begin 65 s after the start of a daemon, and until then anybody's frames are taken.
        world.sim.run_secs(80);
        world.is_quiet();
        world
    }

    fn spokes(&self) -> std::ops::Range<NodeId> {
        HUBS..HUBS + self.spokes
    }

    fn any_spoke(&mut self) -> NodeId {
        HUBS + self.sim.chance(self.spokes)
    }

    fn any_station(&mut self) -> Mac {
        station(self.sim.chance(self.stations))
    }

    /// Two nodes, mostly of those that matter most to each other.
    fn any_pair(&mut self) -> (NodeId, NodeId) {
        let hub = self.sim.chance(HUBS);
        match self.sim.chance(5) {
            0..2 => (hub, (hub + 1 + self.sim.chance(HUBS - 1)) % HUBS),
            2..4 => (hub, self.any_spoke()),
            _ => (self.any_spoke(), self.any_spoke()),
        }
    }

    /// One thing happens.
    fn happen(&mut self) {
        let (a, b) = self.any_pair();
        let hub = self.sim.chance(HUBS);
        let late = |nhrp_loss| Link { nhrp_loss, nhrp_jitter: 600, ..Link::default() };
        let what = match self.sim.chance(16) {
            0..2 => {
                self.sim.cut(a, b);
                format!("cut {a} {b}")
            }
            2..4 => {
                self.sim.link(a, b, Link::CUT);
                format!("cut {a} to {b}")
            }
            4 => {
                self.sim.link(a, b, Link::BLOCKED);
                format!("no VXLAN {a} to {b}")
            }
            5 => {
                let other = (hub + 1) % HUBS;
                self.sim.links(hub, other, late(50));
                format!("hubs {hub} and {other} hear each other late, or not")
            }
            6 => {
                self.sim.net = STORM;
                "storm".into()
            }
            7 => {
                self.revive(hub);
                self.sim.restart(hub);
                format!("hub {hub} is started again")
            }
            8 => {
                self.revive(hub);
                self.sim.reboot(hub);
                format!("hub {hub} is rebooted")
            }
            9 => {
                self.sim.nodes[hub].alive = false;
                format!("hub {hub} is off")
            }
            10 => {
                self.sim.nodes[hub].sleeps = true;
                format!("the daemon of hub {hub} is dead")
            }
            11..13 => {
                let (mac, to) = (self.any_station(), self.any_spoke());
                if self.sim.chance(2) == 0 {
                    self.sim.unplug(mac);
                }
                self.sim.settle(mac, to, VN);
                self.sim.talk(mac, None, 2 * SECOND, 10 * SECOND);
                format!("{mac} moves to {to}")
            }
            13 => {
                self.drain(hub, !self.draining[hub]);
                format!("drain {hub}: {}", self.draining[hub])
            }
            _ => {
                self.heal();
                "all is well again".into()
            }
        };
        println!("{} ms: {what}", self.sim.now.as_millis());
    }

    fn drain(&mut self, hub: NodeId, is_on: bool) {
        self.draining[hub] = is_on;
        self.sim.input(hub, Input::Order(Order::Drain { vn: VN, is_on }));
    }

    /// A hub runs again: with nothing if it was off, with what its kernel has if its daemon was dead.
    fn revive(&mut self, hub: NodeId) {
        let node = &mut self.sim.nodes[hub];
        if !std::mem::replace(&mut node.alive, true) {
            self.sim.reboot(hub);
        } else if node.sleeps {
            self.sim.restart(hub);
        }
        self.draining[hub] &= self.sim.nodes[hub].run == 0;
    }

    fn heal(&mut self) {
        (0..HUBS).for_each(|hub| self.revive(hub));
        (0..HUBS).for_each(|hub| self.drain(hub, false));
        self.sim.net = Net::GOOD;
        self.sim.cut.clear();
        self.sim.links.clear();
    }

    /// Time passes, stations send, and of what they send nothing is where it must not be.
    fn pass(&mut self, time: Duration) {
        let end = self.sim.now + time;
        while self.sim.now < end {
            for _ in 0..1 + self.sim.chance(3) {
                let (from, to) = (self.any_station(), self.any_station());
                self.sim.follow(from, None);
                self.sim.follow(from, Some(to));
            }
            let hubs = &self.sim.nodes[..HUBS];
            let is_apart = |pair: &(NodeId, NodeId)| pair.0 < HUBS && pair.1 < HUBS;
            if self.sim.net.loss > 0
                || self.sim.cut.iter().chain(self.sim.links.keys()).any(is_apart)
                || hubs.iter().any(|hub| !hub.alive || hub.sleeps || hub.started == self.sim.now)
            {
                self.unheard = self.sim.now;
            }
            let pause = 20 + self.sim.chance(400) as u32;
            self.sim.run(pause * MILLISECOND);
            self.look();
        }
    }

    /// Looks at all copies so far; what cannot have more of them is forgotten.
    fn look(&mut self) {
        let (now, all) = (self.sim.now, self.sim.followed.len());
        for followed in self.sim.followed.values() {
            for (id, copies) in &followed.copies {
                self.sim.check(self.is_bearable(followed, *id, copies), || {
                    format!("{}; {}", told(followed, *id), self.state(*id))
                });
            }
        }
        self.sim.followed.retain(|_, followed| now.since(followed.at) < UNDER_WAY);
        self.followed += (all - self.sim.followed.len()) as u64;
    }

    /// Whether there is one copy of a frame, or one more where that cannot be avoided. Where the hub before did not hear that a spoke
    /// is claimed it floods to it on. Who had to go takes nothing of that from then on, but what was under way may have come before,
    /// and comes again by the next hub. Who went by itself takes for a moment what comes by both, and so what it sent itself.
    fn is_bearable(&self, followed: &Followed, id: NodeId, copies: &[(Instant, Frame)]) -> bool {
        if self.sim.is_once(followed, id) {
            return true;
        }
        // By the hub before, and by the next one.
        let hub = |frame: &Frame| frame.trail[frame.hops - 1];
        let (one, second, other) = match copies {
            [(second, other)] if id == followed.from => (None, second, other),
            [(_, one), (second, other)] if id != followed.from => (Some(one), second, other),
            _ => return false,
        };
        let told = self.sim.nodes[id].told.iter().rev();
        let mut chosen = told.filter_map(|(at, _, event)| match event {
            Event::HubChosen { why, .. } if at <= second => Some((*at, *why)),
            _ => None,
        });
        let Some((at, why)) = chosen.next() else { return false };
        let is_kept = !why.is_forced() && why != WhyHub::Cut && second.since(at) <= KEPT;
        let is_by_two = one.is_none_or(|one| hub(one) != hub(other));
        !self.are_heard() && is_by_two && (at >= followed.at || is_kept)
    }

    /// Whether each hub hears what the others claim, and has for long enough.
    fn are_heard(&self) -> bool {
        self.sim.now.since(self.unheard) >= LINKED
    }

    /// What the hubs have for a spoke, and when it chose them.
    fn state(&self, id: NodeId) -> String {
        let sim = &self.sim;
        let at = |hub: usize| {
            let mut ports = sim.plane(hub, VN).ports.iter();
            Some((hub, ports.find(|(at, _)| at.nbma == sim.nodes[id].addresses[0])?.1.passing))
        };
        let ports: Vec<(usize, Passing)> = (0..HUBS).filter_map(at).collect();
        let chosen = sim.nodes[id].told.iter().rev().filter_map(|(at, _, event)| match event {
            Event::HubChosen { hub, why } => Some(format!("{} ms: {hub}, {why:?}", at.as_millis())),
            _ => None,
        });
        let chosen: Vec<String> = chosen.take(2).collect();
        let taken: Vec<Nbma> =
            sim.nodes[id].engine.plane(VN).map_or_else(Vec::new, |p| p.sources().collect());
        format!(
            "ports of {id}: {ports:?}, at {:?}, chose {chosen:?}, takes of {taken:?}",
            sim.nodes[id].engine.hub(VN)
        )
    }

    /// Each spoke is registered, and exactly the hub that it is at has a port for it, which passes all.
    fn unsettled(&self) -> Option<String> {
        let sim = &self.sim;
        for hub in 0..HUBS {
            let links: Vec<Passing> =
                sim.plane(hub, VN).ports.values().filter(|p| p.is_hubs).map(|p| p.passing).collect();
            if links != [Passing::All; HUBS - 1] {
                return Some(format!("links of hub {hub}: {links:?}"));
            }
        }
        for id in self.spokes() {
            let at = |hub: &usize| {
                let mut ports = sim.plane(*hub, VN).ports.iter();
                let port = ports.find(|(at, _)| at.nbma == spoke_nbma(id))?.1;
                Some((*hub, port.passing))
            };
            let ports: Vec<(usize, Passing)> = (0..HUBS).filter_map(|hub| at(&hub)).collect();
            let hub = usize::from(sim.nodes[id].engine.hub(VN).unwrap().0);
            if !sim.registered(id, VN) || ports != [(hub, Passing::All)] {
                return Some(format!(
                    "spoke {id} is at {hub} ({}), its ports: {ports:?}",
                    sim.registered(id, VN)
                ));
            }
        }
        None
    }

    /// Nothing happens any more, and after a while all is as it has to be.
    fn is_quiet(&mut self) {
        self.heal();
        // What was on its way to its end ends: links between hubs hold for 15 s.
        self.pass(20 * SECOND);
        let start = self.sim.now;
        while let Some(why) = self.unsettled() {
            let took = self.sim.now.since(start);
            self.sim.check(took < 60 * SECOND, || format!("{took:?} after all is well: {why}"));
            self.pass(SECOND);
        }
        self.settled = self.settled.max(self.sim.now.since(start));
        // Each station says where it is.
        for n in 0..self.stations {
            self.sim.frame(station(n), None);
        }
        self.sim.run_secs(1);
        self.reaches_all();
        self.finds_all();
        self.is_bounded();
    }

    /// A broadcast is heard once at each other site.
    fn reaches_all(&mut self) {
        for _ in 0..4 {
            let mac = self.any_station();
            let (from, _) = self.sim.stations[&mac];
            self.sim.followed.clear();
            self.sim.follow(mac, None);
            self.sim.run(UNDER_WAY);
            let (_, followed) = self.sim.followed.pop_first().expect("it was just sent");
            for id in (0..HUBS + self.spokes).filter(|id| *id != from) {
                let copies = followed.copies.get(&id).map_or(0, Vec::len);
                // Who goes to another hub may miss it.
                let is_rest = self.rests(id) && self.rests(from);
                self.sim.check(copies == 1 || copies == 0 && !is_rest, || {
                    format!("{copies}: {}", told(&followed, id))
                });
            }
        }
    }

    /// Whether a node is no spoke that has just gone to another hub.
    fn rests(&self, id: NodeId) -> bool {
        let moved = |(_, _, event): &&_| matches!(event, Event::HubChosen { .. });
        let last = self.sim.nodes[id].told.iter().rev().find(moved);
        last.is_none_or(|(at, ..)| self.sim.now.since(*at) > 3 * SECOND)
    }

    /// Each MAC is found by somebody, and what is sent to it arrives.
    fn finds_all(&mut self) {
        let mut pairs = BTreeMap::new();
        for n in 0..self.stations {
            let (home, _) = self.sim.stations[&station(n)];
            let asker = self.any_spoke();
            if asker != home {
                pairs.insert(station(n), asker);
            }
        }
        let by_spoke: Vec<Mac> = self.sim.stations.keys().copied().collect();
        let speaker = |sim: &Sim, id: NodeId| by_spoke.iter().copied().find(|mac| sim.stations[mac].0 == id);
        for (mac, asker) in &pairs {
            if let Some(from) = speaker(&self.sim, *asker) {
                self.sim.talk(from, Some(*mac), SECOND, 60 * SECOND);
                self.sim.talk(*mac, Some(from), SECOND, 60 * SECOND);
            }
        }
        pairs.retain(|_, asker| speaker(&self.sim, *asker).is_some());
        let start = self.sim.now;
        loop {
            let missing = pairs.iter().find(|(mac, asker)| !self.finds(**asker, **mac));
            let Some((mac, asker)) = missing else { break };
            let took = self.sim.now.since(start);
            self.sim.check(took < 50 * SECOND, || {
                let rows = self.sim.nodes[*asker].engine.macs(self.sim.now, VN, None, 1000);
                let row = rows.iter().find(|row| row.mac == *mac);
                let home = self.sim.stations[mac].0;
                format!("{took:?}: {mac} at {home} is not found by {asker}: {row:?}")
            });
            self.pass(SECOND);
        }
        self.resolved = self.resolved.max(self.sim.now.since(start));
        for (mac, asker) in &pairs {
            let from = speaker(&self.sim, *asker).unwrap();
            self.sim.followed.clear();
            self.sim.follow(from, Some(*mac));
            self.sim.run(100 * MILLISECOND);
            let (home, _) = self.sim.stations[mac];
            let (_, followed) = self.sim.followed.pop_first().expect("it was just sent");
            let copies = followed.copies.get(&home).map_or(0, Vec::len);
            self.sim.check(copies == 1 || !self.rests(home) || !self.rests(*asker), || {
                format!("{copies} copies from {asker}: {}", told(&followed, home))
            });
        }
        self.sim.check_kernel_is_as_wanted();
    }

    /// Whether a spoke sends to a MAC as it has to: straight, or by its hub where it is told that there is no other way yet.
    fn finds(&self, asker: NodeId, mac: Mac) -> bool {
        let right = self.sim.right(asker, mac);
        let rows = self.sim.nodes[asker].engine.macs(self.sim.now, VN, None, 1000);
        let row = rows.iter().find(|row| row.mac == mac);
        self.sim.shortcut(asker, VN, mac) == right && right.is_some()
            || row.is_some_and(|row| row.state == MacState::NoPath && row.at == right)
    }

    /// No table has more than there is.
    fn is_bounded(&self) {
        let sim = &self.sim;
        let macs = self.stations + HUBS + self.spokes;
        for (id, node) in sim.nodes.iter().enumerate() {
            let fdb = sim.plane(id, VN).fdb.iter().count();
            sim.check(fdb <= macs, || format!("{fdb} MACs in the FDB of {id}"));
            match node.engine.report(sim.now, VN) {
                Some(VnReport::Hub(hub)) => {
                    let counts = (hub.macs, hub.spokes, hub.purges);
                    let clients = self.spokes + HUBS - 1;
                    let is_well = hub.macs as usize <= macs
                        && hub.spokes as usize <= self.spokes
                        && hub.purges as usize <= clients
                        && node.engine.peers(sim.now, VN, None, 2 * clients).len() <= clients;
                    sim.check(is_well, || format!("hub {id} has {counts:?}"));
                }
                Some(VnReport::Spoke(spoke)) => {
                    let all = (spoke.shortcuts + spoke.asking + spoke.negative) as usize;
                    sim.check(all <= macs, || format!("spoke {id} has {all}"));
                    let paths = node.engine.paths(sim.now, VN, None, 10 * macs).len();
                    sim.check(paths <= self.spokes + HUBS, || format!("spoke {id} has {paths} paths"));
                }
                None => sim.check(false, || format!("{id} has no VN")),
            }
        }
    }
}

/// Which way copies of a frame came.
fn told(followed: &Followed, id: NodeId) -> String {
    let way = |(at, frame): &(Instant, Frame)| {
        format!("by {:?} after {:?}", &frame.trail[..frame.hops], at.since(followed.at))
    };
    let ways: Vec<String> =
        followed.copies.get(&id).map(|copies| copies.iter().map(way).collect()).unwrap_or_default();
    let Followed { frame, from, at, .. } = followed;
    format!("{} for {:?}, sent at {from}, {} ms, is at {id}: {ways:?}", frame.src, frame.dst, at.as_millis())
}

fn storms(seed: u64, spokes: usize, steps: usize) {
    let mut world = World::new(seed, spokes);
    for step in 1..=steps {
        world.happen();
        // Some things happen at once, others once what was before is over.
        let time = [100, 1000, 5000, 20_000][world.sim.chance(4)];
        world.pass(time * MILLISECOND);
        if step % 8 == 0 || step == steps {
            println!("{} ms: quiet", world.sim.now.as_millis());
            world.is_quiet();
        }
    }
    println!(
        "{} frames; settled after {:?}, found after {:?}",
        world.followed, world.settled, world.resolved
    );
}

/// `DMEVPN_SPOKES=300` takes a minute with `--release`.
#[test]
fn nothing_goes_round_and_nothing_comes_twice() {
    let first = seed();
    let spokes: Option<usize> = std::env::var("DMEVPN_SPOKES").ok().and_then(|n| n.parse().ok());
    match spokes {
        Some(spokes) => storms(first, spokes, 3),
        None => (first..first + 5).for_each(|seed| storms(seed, 12, 40)),
    }
}
