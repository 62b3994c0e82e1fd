//! A network of engines in one process and in virtual time. One seed, one history.

#![allow(dead_code)] // Each test binary uses the part it needs.

pub mod build;
pub mod plane;
pub mod rng;

use build::HUB;
use dmevpn::engine::settings::{HubKey, Settings, Trigger, VnKey};
use dmevpn::engine::{
    Act, Arrived, By, Effect, Effects, Engine, Event, Input, Item, News, Order, Outcome, Passing, Path,
    Place, Port, Probing, Secret, Start, Via,
};
use dmevpn::time::Instant;
use dmevpn::types::{Mac, Nbma, Vni, Vtep};
use dmevpn::wire;
use dmevpn::wire::probe::Probe;
use plane::{Frame, Plane, Shortcut, Way};
use rng::Rng;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

/// The kernel tells the daemon after this.
const NETLINK: Duration = Duration::from_millis(1);
const AGE_EVERY: Duration = Duration::from_secs(10);
const CHECK_EVERY: Duration = Duration::from_millis(500);
/// An engine that has more to do than one call does is called again at once, but not without end.
const CALLS_AT_ONCE: u32 = 64;

/// The seed of this run: `DMEVPN_SEED`, or always the same.
pub fn seed() -> u64 {
    let seed = std::env::var("DMEVPN_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_260_301);
    println!("DMEVPN_SEED={seed}");
    seed
}

/// What the underlay does to NHRP packets and to frames. Everything is reordered by the differences in delay.
#[derive(Clone, Copy, Debug)]
pub struct Net {
    /// Percent of NHRP packets lost.
    pub loss: u64,
    /// Percent of NHRP packets that arrive twice.
    pub duplicates: u64,
    /// Percent of frames lost.
    pub frame_loss: u64,
    /// Milliseconds on the way, at least and at most.
    pub delay: (u64, u64),
}

impl Net {
    pub const GOOD: Net = Net { loss: 0, duplicates: 0, frame_loss: 0, delay: (5, 20) };
    pub const BAD: Net = Net { loss: 30, duplicates: 10, frame_loss: 0, delay: (5, 900) };
}

/// What one direction of the underlay between two nodes does to VXLAN beside that.
#[derive(Clone, Copy, Debug, Default)]
pub struct Link {
    /// Percent lost.
    pub loss: u64,
    /// Large ones are lost.
    pub is_narrow: bool,
    /// The sender hears by ICMP of what is lost.
    pub is_told: bool,
    /// Milliseconds more on the way, and up to so many beside.
    pub delay: u64,
    pub jitter: u64,
    /// Of NHRP packets: percent lost, and up to so many milliseconds more on the way.
    pub nhrp_loss: u64,
    pub nhrp_jitter: u64,
    /// Flags that somebody on the path adds to answers to probes.
    pub forged: u8,
    /// What is sent by VXLAN gets another sender's address on the way.
    pub is_translated: bool,
}

impl Link {
    const CLEAR: Link = Link {
        loss: 0,
        is_narrow: false,
        is_told: false,
        delay: 0,
        jitter: 0,
        nhrp_loss: 0,
        nhrp_jitter: 0,
        forged: 0,
        is_translated: false,
    };
    /// VXLAN does not pass.
    pub const BLOCKED: Link = Link { loss: 100, ..Link::CLEAR };
    /// Nothing passes.
    pub const CUT: Link = Link { nhrp_loss: 100, ..Link::BLOCKED };
}

/// A frame whose copies are counted, once they were at a site.
#[derive(Clone, Debug)]
pub struct Followed {
    pub frame: Frame,
    /// Where it was sent, and when.
    pub from: NodeId,
    pub at: Instant,
    /// Which way each copy came to the stations of a node: of a broadcast to all of them, else to the one it is for.
    pub copies: BTreeMap<NodeId, Vec<(Instant, Frame)>>,
}

/// Inside it is larger than what gets through a narrow link.
const NARROW: u16 = 1200;
/// The guard of a spoke begins so long after the start of its daemon.
const GUARDED_AFTER: Duration = Duration::from_secs(65);

pub type NodeId = usize;

/// What an engine was told.
#[derive(Clone, Debug)]
pub enum Cause {
    Packet(Via, Vec<u8>),
    News(VnKey, News),
    Order(Order),
    Other,
}

/// What an engine was told, and what it sent then.
#[derive(Clone, Debug)]
pub struct Call {
    pub node: NodeId,
    pub cause: Cause,
    pub sent: Vec<(Via, Vec<u8>)>,
    /// How many effects there were.
    pub effects: usize,
}

/// Somebody who sees every call, once its effects are performed.
pub trait Watch {
    fn saw(&mut self, sim: &Sim, call: &Call);
}

/// A router.
pub struct Node {
    pub engine: Engine,
    pub addresses: Vec<Nbma>,
    pub planes: BTreeMap<VnKey, Plane>,
    pub neighbours: BTreeMap<std::net::IpAddr, Nbma>,
    pub told: Vec<(Instant, VnKey, Event)>,
    pub alive: bool,
    /// The router is there, but its daemon does not run.
    pub sleeps: bool,
    /// What the kernel tells of MACs is lost.
    pub deaf: bool,
    /// How the making of ports ends; `None`: well.
    pub port_failure: Option<Outcome>,
    /// Ports that could not be made, of which the daemon does not know yet.
    failed: BTreeSet<(VnKey, Vtep)>,
    pub saved_request_id: u32,
    /// NHRP packets sent.
    pub sent: u64,
    /// Probes that ask, and the most of them within a second.
    pub probes: u64,
    pub most_probes: u64,
    this_second: (u64, u64),
    /// When its daemon was started.
    pub started: Instant,
    pub settings: Settings,
    /// The way to its hub, if there is one.
    pub hubs: BTreeMap<HubKey, Path>,
    /// How often its daemon was started again.
    pub run: u32,
    next_tick: Option<Instant>,
    /// When it was called last, and how often at that time.
    busy: (Instant, u32),
}

/// Two stations that talk: a frame of the first to the second every `period`.
#[derive(Clone, Copy, Debug)]
struct Talk {
    from: Mac,
    to: Option<Mac>,
    period: Duration,
    until: Instant,
}

#[derive(Debug)]
enum What {
    Packet { to: NodeId, path: Path, octets: Vec<u8> },
    Frame { from: Nbma, to: NodeId, vni: Vni, frame: Frame },
    Probe { from: Nbma, to: NodeId, vni: Vni, probe: Probe },
    Announcement { from: Nbma, to: NodeId, vni: Vni, mac: Mac },
    Cable { to: NodeId, vn: VnKey, frame: Frame },
    Input(NodeId, u32, Input<'static>),
    List(NodeId, u32, VnKey),
    Tick(NodeId, u32),
    Talk(usize),
    Age,
    Check,
}

struct Due {
    at: Instant,
    order: u64,
    what: What,
}

impl PartialEq for Due {
    fn eq(&self, other: &Due) -> bool {
        self.order == other.order
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Due) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Due) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// The network.
pub struct Sim {
    pub now: Instant,
    pub seed: u64,
    pub net: Net,
    pub nodes: Vec<Node>,
    /// Where each station is.
    pub stations: BTreeMap<Mac, (NodeId, VnKey)>,
    /// Pairs of nodes that cannot reach each other.
    pub cut: BTreeSet<(NodeId, NodeId)>,
    /// What is special from one node to another.
    pub links: BTreeMap<(NodeId, NodeId), Link>,
    /// Pairs of nodes whose bridges are one Ethernet, by a cable.
    pub cables: Vec<(NodeId, NodeId)>,
    /// Whether frames are as large as can be.
    pub are_frames_large: bool,
    /// When a unicast frame last arrived between two stations, and how long none did at most.
    gaps: BTreeMap<(Mac, Mac), (Instant, Duration)>,
    /// Unicast frames sent by stations, and those that arrived.
    pub frames_sent: u64,
    pub frames_arrived: u64,
    /// Frames that a spoke's guard dropped.
    pub frames_guarded: u64,
    /// How often stations at a node heard a broadcast of a MAC.
    pub heard: BTreeMap<(NodeId, Mac), u64>,
    /// Frames that are followed.
    pub followed: BTreeMap<u32, Followed>,
    frames_followed: u32,
    /// Frames that a hub forwarded.
    pub frames_by_hub: u64,
    /// The longest time for which a shortcut led to where its MAC is not.
    pub longest_wrong: Duration,
    /// A hash of all effects, when [`Sim::trace`] is on.
    pub hash: u64,
    pub trace: bool,
    pub watch: Option<Box<dyn Watch>>,
    rng: Rng,
    wrong: BTreeMap<(NodeId, VnKey, Mac), Instant>,
    at: BTreeMap<Nbma, NodeId>,
    heap: BinaryHeap<Reverse<Due>>,
    order: u64,
    talks: Vec<Talk>,
}

impl Sim {
    pub fn new(seed: u64, net: Net) -> Sim {
        let mut sim = Sim {
            now: Instant::from_millis(1_000_000),
            seed,
            net,
            nodes: Vec::new(),
            stations: BTreeMap::new(),
            cut: BTreeSet::new(),
            links: BTreeMap::new(),
            cables: Vec::new(),
            are_frames_large: false,
            gaps: BTreeMap::new(),
            frames_sent: 0,
            frames_arrived: 0,
            frames_by_hub: 0,
            heard: BTreeMap::new(),
            followed: BTreeMap::new(),
            frames_followed: 0,
            frames_guarded: 0,
            longest_wrong: Duration::ZERO,
            hash: 0xcbf2_9ce4_8422_2325,
            trace: false,
            watch: None,
            rng: Rng(seed),
            wrong: BTreeMap::new(),
            at: BTreeMap::new(),
            heap: BinaryHeap::new(),
            order: 0,
            talks: Vec::new(),
        };
        sim.after(AGE_EVERY, What::Age);
        sim.after(CHECK_EVERY, What::Check);
        sim
    }

    /// Adds a router; `hub` is the address of the hub named in its settings, if it is a spoke somewhere.
    pub fn add(&mut self, addresses: &[Nbma], settings: Settings, hub: Option<Nbma>) -> NodeId {
        self.add_to(addresses, settings, hub.as_slice())
    }

    /// The same with several hubs, in the order of their keys.
    pub fn add_to(&mut self, addresses: &[Nbma], settings: Settings, hubs: &[Nbma]) -> NodeId {
        let id = self.nodes.len();
        let hubs = hubs.iter().zip(HUB.0..).filter_map(|(remote, key)| {
            let local = addresses.iter().copied().find(|a| a.same_family(*remote))?;
            Some((HubKey(key), Path { local, remote: *remote }))
        });
        let start = self.start(0);
        self.nodes.push(Node {
            engine: Engine::new(settings.holding_time, &start),
            addresses: addresses.to_vec(),
            planes: BTreeMap::new(),
            neighbours: BTreeMap::new(),
            told: Vec::new(),
            alive: true,
            sleeps: false,
            deaf: false,
            port_failure: None,
            failed: BTreeSet::new(),
            saved_request_id: 0,
            sent: 0,
            probes: 0,
            most_probes: 0,
            this_second: (0, 0),
            started: self.now,
            settings,
            hubs: hubs.collect(),
            run: 0,
            next_tick: None,
            busy: (self.now, 0),
        });
        self.at.extend(addresses.iter().map(|a| (*a, id)));
        self.boot(id);
        id
    }

    /// The daemon ends without a word and starts again; the kernel's state stays.
    pub fn restart(&mut self, id: NodeId) {
        let start = self.start(self.nodes[id].saved_request_id);
        let node = &mut self.nodes[id];
        let hubs: Vec<(VnKey, usize)> =
            node.settings.vns.keys().map(|vn| (*vn, node.engine.most_hubs(*vn))).collect();
        node.sleeps = false;
        node.failed.clear();
        node.engine = Engine::new(node.settings.holding_time, &start);
        node.run += 1;
        node.started = self.now;
        node.next_tick = None;
        self.boot(id);
        for (vn, most) in hubs.into_iter().filter(|(_, most)| *most > 0) {
            self.input(id, Input::News { vn, news: News::FoundHubs(most) });
        }
    }

    /// A start with random bits of its own, though all routers have the same identity.
    fn start(&mut self, request_id: u32) -> Start {
        let bits: [u8; 32] = core::array::from_fn(|_| self.rng.next() as u8);
        Start { request_id, secret: Secret::new(&bits), identity: Secret::new(&[1; 16]) }
    }

    /// The whole router starts again: nothing is left in its kernel.
    pub fn reboot(&mut self, id: NodeId) {
        self.nodes[id].planes.clear();
        self.nodes[id].neighbours.clear();
        self.restart(id);
    }

    /// The device of a VN, a hub's bridge or a spoke's tunnel, goes or comes.
    pub fn device(&mut self, id: NodeId, vn: VnKey, up: bool) {
        let wanted = self.nodes[id].engine.plane(vn);
        let uplink = wanted.and_then(|w| w.uplink());
        let Some(plane) = self.nodes[id].planes.get_mut(&vn).filter(|plane| plane.is_up != up) else {
            return;
        };
        plane.is_up = up;
        plane.fdb = plane::Fdb::default();
        // A device that is made again is made as it is wanted.
        plane.uplink = uplink.filter(|_| up);
        plane.shortcuts.clear();
        let mac = up.then_some(plane.mac);
        self.input(id, Input::News { vn, news: News::Device(mac) });
    }

    /// The way to another hub is known, or not any more.
    pub fn set_peer(&mut self, id: NodeId, hub: HubKey, path: Option<Path>) {
        match path {
            Some(path) => self.nodes[id].hubs.insert(hub, path),
            None => self.nodes[id].hubs.remove(&hub),
        };
        self.input(id, Input::Hub { hub, path });
    }

    /// The way to the hub is another one, or none.
    pub fn set_way(&mut self, id: NodeId, path: Option<Path>) {
        match path {
            Some(path) => self.nodes[id].hubs.insert(HUB, path),
            None => self.nodes[id].hubs.remove(&HUB),
        };
        self.input(id, Input::Hub { hub: HUB, path });
    }

    /// The router gets another underlay address in place of its first one.
    pub fn renumber(&mut self, id: NodeId, address: Nbma) {
        let old = std::mem::replace(&mut self.nodes[id].addresses[0], address);
        self.at.remove(&old);
        self.at.insert(address, id);
    }

    /// The daemon gets other settings.
    pub fn apply(&mut self, id: NodeId, settings: Settings) {
        self.nodes[id].settings = settings.clone();
        self.call(id, Cause::Other, |engine, now, out| engine.apply(now, settings, out));
        for (key, mac) in self.make_planes(id) {
            self.input(id, Input::News { vn: key, news: News::Device(Some(mac)) });
        }
    }

    pub fn input(&mut self, id: NodeId, input: Input<'static>) {
        if let Input::News { vn, news: News::Became { spoke, .. } } = input {
            self.nodes[id].failed.remove(&(vn, spoke));
        }
        let cause = match input {
            Input::News { vn, news } => Cause::News(vn, news),
            Input::Order(order) => Cause::Order(order),
            Input::Packet { .. }
            | Input::Unreadable { .. }
            | Input::Relayed { .. }
            | Input::Probe { .. }
            | Input::Unreachable { .. }
            | Input::Hub { .. }
            | Input::Tick => Cause::Other,
        };
        self.call(id, cause, |engine, now, out| engine.handle(now, input, out));
    }

    /// A packet made by hand, as if `from` had sent it to `to`.
    pub fn inject(&mut self, from: Nbma, to: Nbma, octets: Vec<u8>) {
        let Some(&id) = self.at.get(&to) else { return };
        self.after(NETLINK, What::Packet { to: id, path: Path { local: to, remote: from }, octets });
    }

    /// Whether a spoke went to another hub within this time.
    pub fn went(&self, id: NodeId, from: Instant, to: Instant) -> bool {
        let told = self.nodes[id].told.iter().rev().take_while(|(at, ..)| *at >= from);
        let mut went = told.filter(|(at, _, event)| matches!(event, Event::HubChosen { .. }) && *at <= to);
        went.next().is_some()
    }

    /// Whether there is one copy at a node that a frame came to, and none back at its sender; but for what was under way when that
    /// went to another hub: the one before passed it on to the other hubs, and so the next one to the sender.
    pub fn is_once(&self, followed: &Followed, id: NodeId) -> bool {
        match followed.copies.get(&id).map_or(&[][..], |copies| copies) {
            [] => true,
            [(back, frame)] if id == followed.from => {
                frame.hops == plane::HOPS && self.went(id, followed.at, *back)
            }
            [_] => true,
            _ => false,
        }
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.heap.peek().is_some_and(|Reverse(due)| due.at <= end) {
            if let Some(Reverse(due)) = self.heap.pop() {
                self.now = due.at;
                self.happen(due.what);
            }
        }
        self.now = end;
    }

    pub fn run_secs(&mut self, seconds: u64) {
        self.run(Duration::from_secs(seconds));
    }

    /// Lets time pass until `done`; how long it took. Panics after `most`.
    pub fn until(&mut self, most: Duration, what: &str, mut done: impl FnMut(&Sim) -> bool) -> Duration {
        let start = self.now;
        while !done(self) {
            self.check(self.now.since(start) < most, || format!("{what} takes more than {most:?}"));
            self.run(Duration::from_millis(50));
        }
        self.now.since(start)
    }

    /// An assertion that names the seed.
    pub fn check(&self, fact: bool, otherwise: impl FnOnce() -> String) {
        assert!(fact, "{} (DMEVPN_SEED={}, at {} ms)", otherwise(), self.seed, self.now.as_millis());
    }

    pub fn chance(&mut self, n: usize) -> usize {
        self.rng.below(n as u64) as usize
    }

    /// A station at a node.
    pub fn settle(&mut self, mac: Mac, node: NodeId, vn: VnKey) {
        self.stations.insert(mac, (node, vn));
    }

    /// The port of a station is down: its bridge forgets it.
    pub fn unplug(&mut self, mac: Mac) {
        let Some((node, vn)) = self.stations.remove(&mac) else { return };
        let plane = self.nodes[node].planes.get_mut(&vn);
        if plane.is_some_and(|p| p.fdb.place(mac) == Some(Place::Local) && p.fdb.forget(mac)) {
            self.kernel(node, Input::News { vn, news: News::Fdb { mac, place: Place::Unplugged } });
        }
    }

    /// A frame of a station; broadcast for `None`.
    pub fn frame(&mut self, src: Mac, dst: Option<Mac>) {
        let Some(&(node, vn)) = self.stations.get(&src) else { return };
        if dst.is_some() {
            self.frames_sent += 1;
        }
        self.bridge(node, vn, Place::Local, Frame::new(src, dst, None));
    }

    /// A frame of a station whose copies are counted.
    pub fn follow(&mut self, src: Mac, dst: Option<Mac>) {
        let Some(&(from, vn)) = self.stations.get(&src) else { return };
        self.frames_followed += 1;
        let frame = Frame::new(src, dst, Some(self.frames_followed));
        let followed = Followed { frame, from, at: self.now, copies: BTreeMap::new() };
        self.followed.insert(self.frames_followed, followed);
        self.bridge(from, vn, Place::Local, frame);
    }

    /// Both stations send each other a frame every `period`, for `time`. First they look for each other (ARP, ND).
    pub fn converse(&mut self, a: Mac, b: Mac, period: Duration, time: Duration) {
        self.frame(a, None);
        self.frame(b, None);
        self.talk(a, Some(b), period, time);
        self.talk(b, Some(a), period, time);
    }

    pub fn talk(&mut self, from: Mac, to: Option<Mac>, period: Duration, time: Duration) {
        self.talks.push(Talk { from, to, period, until: self.now + time });
        let start = Duration::from_millis(self.rng.below(period.as_millis() as u64));
        self.after(start, What::Talk(self.talks.len() - 1));
    }

    pub fn cut(&mut self, a: NodeId, b: NodeId) {
        self.cut.insert((a.min(b), a.max(b)));
    }

    pub fn is_cut(&self, a: NodeId, b: NodeId) -> bool {
        self.cut.contains(&(a.min(b), a.max(b)))
    }

    /// The underlay from one node to another.
    pub fn link(&mut self, from: NodeId, to: NodeId, link: Link) {
        self.links.insert((from, to), link);
    }

    /// The same both ways.
    pub fn links(&mut self, a: NodeId, b: NodeId, link: Link) {
        self.link(a, b, link);
        self.link(b, a, link);
    }

    /// Whether VXLAN is lost between nodes, and for how long it is on its way.
    fn carry(&mut self, from: NodeId, to: NodeId, is_large: bool) -> Option<Duration> {
        let link = self.links.get(&(from, to)).copied().unwrap_or_default();
        let is_lost = self.is_cut(from, to)
            || self.rng.percent(self.net.frame_loss)
            || (link.loss > 0 && self.rng.percent(link.loss))
            || (link.is_narrow && is_large);
        let jitter = if link.jitter > 0 { self.rng.below(link.jitter) } else { 0 };
        (!is_lost).then(|| Duration::from_millis(self.net.delay.0 + link.delay + jitter))
    }

    /// The longest time without a frame between two stations that talk, from the first one on.
    pub fn longest_gap(&self) -> Duration {
        self.gaps.values().map(|(last, gap)| self.now.since(*last).max(*gap)).max().unwrap_or_default()
    }

    /// What was so far does not count.
    pub fn forget_gaps(&mut self) {
        let now = self.now;
        self.gaps.values_mut().for_each(|gap| *gap = (now, Duration::ZERO));
    }

    /// Unicast frames that did not arrive, when none is on its way.
    pub fn frames_lost(&self) -> u64 {
        self.frames_sent - self.frames_arrived
    }

    pub fn plane(&self, id: NodeId, vn: VnKey) -> &Plane {
        &self.nodes[id].planes[&vn]
    }

    /// Where a spoke's kernel sends a MAC's frames, if it has a shortcut.
    pub fn shortcut(&self, id: NodeId, vn: VnKey, mac: Mac) -> Option<Vtep> {
        self.plane(id, vn).shortcuts.get(&mac).map(|s| s.to)
    }

    /// Where a shortcut of `asker` for a station has to lead, as things are; `None` if it needs none.
    pub fn right(&self, asker: NodeId, mac: Mac) -> Option<Vtep> {
        let &(home, vn) = self.stations.get(&mac)?;
        if home == asker || !self.nodes[home].alive {
            return None;
        }
        let uplink = self.nodes[asker].planes.get(&vn)?.uplink?;
        let ours = self.nodes[asker].addresses[0];
        match (self.nodes[home].planes.get(&vn)?.vni, self.nodes[home].addresses[0]) {
            (Some(vni), nbma) if nbma.same_family(ours) => Some(Vtep { nbma, vni }),
            _ => Some(uplink),
        }
    }

    pub fn registered(&self, id: NodeId, vn: VnKey) -> bool {
        use dmevpn::engine::report::{Standing, VnReport};
        matches!(self.nodes[id].engine.report(self.now, vn), Some(VnReport::Spoke(r)) if matches!(r.standing, Standing::Registered { .. }))
    }

    /// How often a node told an event like this.
    pub fn told(&self, id: NodeId, like: impl Fn(&Event) -> bool) -> usize {
        self.nodes[id].told.iter().filter(|(_, _, event)| like(event)).count()
    }

    /// The kernel's state is what the engines want, wherever a daemon has seen all of it.
    pub fn check_kernel_is_as_wanted(&self) {
        for (id, node) in self.nodes.iter().enumerate().filter(|(_, n)| n.alive && !n.sleeps) {
            for (vn, plane) in node.planes.iter().filter(|(_, plane)| plane.is_up && plane.is_listed) {
                let Some(wanted) = node.engine.plane(*vn) else { continue };
                if let Some(uplink) = wanted.uplink() {
                    let real = plane.uplink;
                    self.check(real == Some(uplink), || format!("node {id}: wants {uplink}, has {real:?}"));
                }
                let shortcuts: BTreeMap<Mac, Vtep> = wanted.shortcuts().collect();
                let real: BTreeMap<Mac, Vtep> = plane.shortcuts.iter().map(|(mac, s)| (*mac, s.to)).collect();
                self.check(shortcuts == real, || format!("node {id}: wants {shortcuts:?}, has {real:?}"));
                let real = &plane.ports;
                // What could not be made is wanted until the engine hears of it.
                let is_known = |spoke: &Vtep| !node.failed.contains(&(*vn, *spoke));
                let ports: BTreeMap<Vtep, Port> =
                    wanted.ports().filter(|(spoke, _)| is_known(spoke)).collect();
                let real: BTreeMap<Vtep, Port> = real
                    .iter()
                    .map(|(spoke, port)| (*spoke, *port))
                    .filter(|(spoke, _)| is_known(spoke))
                    .collect();
                self.check(ports == real, || format!("node {id}: wants ports {ports:?}, has {real:?}"));
                for (address, nbma) in wanted.neighbours() {
                    let real = node.neighbours.get(&address);
                    self.check(real == Some(&nbma), || {
                        format!("node {id}: {address} is {nbma}, has {real:?}")
                    });
                }
            }
        }
    }

    fn boot(&mut self, id: NodeId) {
        let settings = self.nodes[id].settings.clone();
        for plane in self.nodes[id].planes.values_mut() {
            plane.is_listed = false;
        }
        self.call(id, Cause::Other, |engine, now, out| engine.apply(now, settings, out));
        for (hub, path) in self.nodes[id].hubs.clone() {
            self.input(id, Input::Hub { hub, path: Some(path) });
        }
        self.make_planes(id);
        let up = self.nodes[id].planes.iter().filter(|(_, plane)| plane.is_up);
        let planes: Vec<(VnKey, Mac)> = up.map(|(key, p)| (*key, p.mac)).collect();
        for (vn, mac) in planes {
            self.input(id, Input::News { vn, news: News::Device(Some(mac)) });
        }
    }

    /// Makes the devices the settings ask for; the new ones.
    fn make_planes(&mut self, id: NodeId) -> Vec<(VnKey, Mac)> {
        let node = &mut self.nodes[id];
        node.planes.retain(|key, _| node.settings.vns.contains_key(key));
        let mut new = Vec::new();
        for (key, vn) in &node.settings.vns {
            let vni = vn.client.map(|client| client.vni);
            let l2miss = vn.client.is_some_and(|client| client.trigger == Trigger::L2miss);
            let plane = node.planes.entry(*key).or_insert_with(|| {
                let mac = build::bridge(id * 16 + usize::from(key.0));
                new.push((*key, mac));
                Plane::new(mac, vni, l2miss)
            });
            (plane.vni, plane.l2miss) = (vni, l2miss);
        }
        new
    }

    fn after(&mut self, delay: Duration, what: What) {
        self.order += 1;
        self.heap.push(Reverse(Due { at: self.now + delay, order: self.order, what }));
    }

    fn kernel(&mut self, id: NodeId, input: Input<'static>) {
        let of_a_mac = matches!(input, Input::News { news: News::Fdb { .. } | News::Miss(_), .. });
        if self.nodes[id].deaf && of_a_mac {
            return;
        }
        let run = self.nodes[id].run;
        self.after(NETLINK, What::Input(id, run, input));
    }

    fn happen(&mut self, what: What) {
        match what {
            // On its way to an address that its node has no more.
            What::Packet { to, path, .. } if !self.nodes[to].addresses.contains(&path.local) => {}
            What::Packet { to, path, octets } => {
                if let Ok((tag, nhrp)) = wire::parse(&octets) {
                    let cause = Cause::Packet(Via { path, tag }, nhrp.to_vec());
                    self.call(to, cause, |engine, now, out| {
                        engine.handle(now, Input::Packet { via: Via { path, tag }, nhrp }, out);
                    });
                }
            }
            What::Frame { from, to, vni, frame } => self.arrive(from, to, vni, frame),
            What::Cable { to, vn, frame } => self.bridge_from(to, vn, Place::Local, frame, true),
            What::Probe { from, to, vni, probe } => {
                let place = self.plane_of(from, to, vni);
                let Some((vn, place)) = place else { return };
                let by = match place {
                    Place::At(_) if self.is_shared(to, vn) => By::Shared,
                    Place::At(spoke) => By::Port(spoke),
                    _ => By::Tunnel,
                };
                let is_stranger = match place {
                    Place::At(spoke) => spoke.nbma != from,
                    _ => !self.takes(to, vn, from),
                };
                self.input(to, Input::Probe { vn, arrived: Arrived { by, is_stranger, probe } });
            }
            What::Announcement { from, to, vni, mac } => {
                if let Some((vn, place)) = self.plane_of(from, to, vni) {
                    self.learn(to, vn, mac, place);
                }
            }
            What::Input(id, run, input) if run == self.nodes[id].run => self.input(id, input),
            What::Tick(id, run)
                if run == self.nodes[id].run && self.nodes[id].next_tick == Some(self.now) =>
            {
                self.nodes[id].next_tick = None;
                self.input(id, Input::Tick);
            }
            What::List(id, run, vn) if run == self.nodes[id].run => self.listed(id, vn),
            What::Input(..) | What::List(..) | What::Tick(..) => {}
            What::Talk(n) => {
                let talk = self.talks[n];
                if self.now < talk.until {
                    self.frame(talk.from, talk.to);
                    self.after(talk.period, What::Talk(n));
                }
            }
            What::Age => {
                for id in 0..self.nodes.len() {
                    let now = self.now;
                    let gone: Vec<(VnKey, Mac)> = self.nodes[id]
                        .planes
                        .iter_mut()
                        .flat_map(|(vn, plane)| plane.fdb.age(now).into_iter().map(|mac| (*vn, mac)))
                        .collect();
                    for (vn, mac) in gone {
                        self.kernel(id, Input::News { vn, news: News::Fdb { mac, place: Place::Gone } });
                    }
                }
                self.after(AGE_EVERY, What::Age);
            }
            What::Check => {
                self.look_for_wrong_shortcuts();
                self.after(CHECK_EVERY, What::Check);
            }
        }
    }

    fn look_for_wrong_shortcuts(&mut self) {
        let mut wrong = BTreeMap::new();
        for (id, node) in self.nodes.iter().enumerate().filter(|(_, n)| n.alive) {
            for (vn, plane) in &node.planes {
                for (mac, shortcut) in &plane.shortcuts {
                    let by_hub = Some(shortcut.to) == plane.uplink;
                    if !by_hub && self.stations.contains_key(mac) && self.right(id, *mac) != Some(shortcut.to)
                    {
                        let key = (id, *vn, *mac);
                        let since = self.wrong.get(&key).copied().unwrap_or(self.now);
                        wrong.insert(key, since);
                        self.longest_wrong = self.longest_wrong.max(self.now.since(since));
                    }
                }
            }
        }
        self.wrong = wrong;
    }

    /// Whether a shortcut is wrong right now.
    pub fn wrong_shortcuts(&mut self) -> usize {
        self.look_for_wrong_shortcuts();
        self.wrong.len()
    }

    fn call(&mut self, id: NodeId, cause: Cause, f: impl FnOnce(&mut Engine, Instant, &mut Effects)) {
        if !self.nodes[id].alive || self.nodes[id].sleeps {
            return;
        }
        let mut out = Effects::default();
        f(&mut self.nodes[id].engine, self.now, &mut out);
        self.note(id, &out);
        for effect in out.iter() {
            self.perform(id, effect, &out);
        }
        self.show(id, cause, &out);
        let node = &mut self.nodes[id];
        let deadline = node.engine.deadline();
        let again = if node.busy.0 == self.now { node.busy.1 + 1 } else { 0 };
        node.busy = (self.now, if deadline.is_some_and(|at| at <= self.now) { again } else { 0 });
        self.check(again < CALLS_AT_ONCE, || format!("node {id}: {deadline:?} is past again and again"));
        let node = &mut self.nodes[id];
        if deadline != node.next_tick {
            node.next_tick = deadline;
            let run = node.run;
            if let Some(at) = deadline {
                let now = self.now;
                node.next_tick = Some(at.max(now));
                self.after(at.since(now), What::Tick(id, run));
            }
        }
    }

    fn show(&mut self, node: NodeId, cause: Cause, out: &Effects) {
        let Some(mut watch) = self.watch.take() else { return };
        let sent = |effect: &Effect| match effect {
            Effect::Send { via, bytes } => Some((*via, out.bytes(bytes.clone()).to_vec())),
            _ => None,
        };
        let sent = out.iter().filter_map(sent).collect();
        watch.saw(self, &Call { node, cause, sent, effects: out.iter().count() });
        self.watch = Some(watch);
    }

    fn note(&mut self, id: NodeId, out: &Effects) {
        if !self.trace {
            return;
        }
        for effect in out.iter() {
            let bytes = match effect {
                Effect::Send { bytes, .. } => out.bytes(bytes.clone()),
                _ => &[],
            };
            let text = format!("{} {id} {effect:?}", self.now.as_millis());
            for octet in text.as_bytes().iter().chain(bytes) {
                self.hash = (self.hash ^ u64::from(*octet)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
    }

    fn perform(&mut self, id: NodeId, effect: &Effect, out: &Effects) {
        let now = self.now;
        match *effect {
            Effect::Send { via: Via { path, tag }, ref bytes } => {
                let mut octets = wire::Prefix::gre(tag).as_bytes().to_vec();
                octets.extend_from_slice(out.bytes(bytes.clone()));
                self.nodes[id].sent += 1;
                self.transmit(id, path, octets);
            }
            Effect::Probe { vn, probing } => self.probe(id, vn, probing),
            Effect::Changed { vn, item } => self.change(id, vn, item),
            Effect::Do { vn, act } => self.act(id, vn, act),
            Effect::FindHub { hub } => {
                let path = self.nodes[id].hubs.get(&hub).copied();
                self.kernel(id, Input::Hub { hub, path });
            }
            Effect::SaveRequestId(n) => self.nodes[id].saved_request_id = n,
            Effect::Tell { vn, event } => self.nodes[id].told.push((now, vn, event)),
            Effect::Odd { .. } => {}
        }
    }

    /// The kernel is made as the engine wants it.
    fn change(&mut self, id: NodeId, vn: VnKey, item: Item) {
        let now = self.now;
        let wanted = self.nodes[id].engine.plane(vn);
        match item {
            Item::Uplink => {
                if let Some(to) = wanted.and_then(|w| w.uplink()) {
                    self.with_plane(id, vn, |p| p.uplink = Some(to));
                }
            }
            Item::Shortcut(mac) => {
                let to = wanted.and_then(|w| w.shortcut(mac));
                self.with_plane(id, vn, |p| {
                    match to {
                        Some(to) => p.shortcuts.insert(mac, Shortcut { to, written: now, used: now }),
                        None => p.shortcuts.remove(&mac),
                    };
                });
            }
            Item::Port(spoke) => match wanted.and_then(|w| w.port(spoke)) {
                Some(port) => {
                    let uplink = port.uplink;
                    let outcome = self.nodes[id].port_failure.unwrap_or(Outcome::Made);
                    if outcome == Outcome::Made {
                        let shared = self.is_shared(id, vn);
                        let used = self.nodes[id].planes.iter().any(|(there, plane)| {
                            let mut ports = plane.ports.iter().filter(|_| !shared || *there != vn);
                            ports.any(|(other, port)| port.uplink == uplink && *other != spoke)
                        });
                        self.check(!used, || format!("the VNI {uplink} is used already"));
                        self.with_plane(id, vn, |p| {
                            p.ports.insert(spoke, port);
                        });
                        if port.passing == Passing::Nothing {
                            let plane = self.nodes[id].planes.get_mut(&vn);
                            let gone =
                                plane.map(|plane| plane.fdb.flush(Place::At(spoke))).unwrap_or_default();
                            for mac in gone {
                                let news = News::Fdb { mac, place: Place::Gone };
                                self.kernel(id, Input::News { vn, news });
                            }
                        }
                    }
                    if outcome != Outcome::Made {
                        self.nodes[id].failed.insert((vn, spoke));
                    }
                    self.kernel(id, Input::News { vn, news: News::Became { spoke, outcome } });
                }
                None => {
                    // The device of a spoke that moved stays, and leads there.
                    let shared = self.is_shared(id, vn);
                    let port = self.nodes[id].planes.get(&vn).and_then(|plane| plane.ports.get(&spoke));
                    let same = |other: &Port| !shared && port.is_some_and(|port| port.uplink == other.uplink);
                    let moved = wanted.and_then(|w| w.ports().find(|(_, port)| same(port)));
                    let Some(plane) = self.nodes[id].planes.get_mut(&vn) else { return };
                    plane.ports.remove(&spoke);
                    if let Some((to, port)) = moved {
                        plane.ports.insert(to, port);
                        return plane.fdb.rename(Place::At(spoke), Place::At(to));
                    }
                    for mac in plane.fdb.flush(Place::At(spoke)) {
                        self.kernel(id, Input::News { vn, news: News::Fdb { mac, place: Place::Gone } });
                    }
                }
            },
            Item::Source(_) | Item::Floods(_) => {}
            Item::Neighbour(address) => {
                match wanted.and_then(|w| w.neighbour(address)) {
                    Some(nbma) => self.nodes[id].neighbours.insert(address, nbma),
                    None => self.nodes[id].neighbours.remove(&address),
                };
            }
        }
    }

    fn probe(&mut self, id: NodeId, vn: VnKey, probing: Probing) {
        let Probing { to: Vtep { nbma, vni }, local, mut probe, is_full, .. } = probing;
        if is_full {
            probe.padding = Probe::filling(1450, probe.asker.nbma);
        }
        let second = self.now.as_millis() / 1000;
        let node = &mut self.nodes[id];
        if !probe.is_answer {
            node.probes += 1;
            node.this_second =
                (second, if node.this_second.0 == second { node.this_second.1 + 1 } else { 1 });
            node.most_probes = node.most_probes.max(node.this_second.1);
        }
        let Some(&to) = self.at.get(&nbma).filter(|_| node.addresses.contains(&local)) else { return };
        if probe.is_answer {
            probe.flags |= self.links.get(&(id, to)).map_or(0, |link| link.forged);
        }
        match self.carry(id, to, probe.payload() > NARROW) {
            Some(delay) => {
                let from = self.translated(id, to).unwrap_or(local);
                self.after(delay, What::Probe { from, to, vni, probe });
            }
            None if self.links.get(&(id, to)).is_some_and(|link| link.is_told) => {
                self.kernel(id, Input::Unreachable { vn, nonce: probe.nonce });
            }
            None => {}
        }
    }

    /// Whether a hub has one device for all spokes.
    fn is_shared(&self, id: NodeId, vn: VnKey) -> bool {
        let server = self.nodes[id].settings.vns.get(&vn).and_then(|vn| vn.server.as_ref());
        server.is_some_and(|server| server.shared_uplink)
    }

    fn act(&mut self, id: NodeId, vn: VnKey, act: Act) {
        let now = self.now;
        match act {
            Act::Announce { mac, hub } => {
                let plane = self.nodes[id].planes.get(&vn);
                let to = plane.and_then(|p| p.shortcuts.get(&hub).map(|s| s.to).or(p.uplink));
                let to = to.and_then(|to| Some((*self.at.get(&to.nbma)?, to.vni)));
                if let Some((to, vni)) = to {
                    if let Some(delay) = self.carry(id, to, false) {
                        let from = self.source(id, to);
                        self.after(delay, What::Announcement { from, to, vni, mac });
                    }
                }
            }
            Act::AnnounceTo { mac, at, .. } => {
                let to = self.at.get(&at.nbma).copied();
                if let Some((to, delay)) = to.and_then(|to| Some((to, self.carry(id, to, false)?))) {
                    let from = self.source(id, to);
                    self.after(delay, What::Announcement { from, to, vni: at.vni, mac });
                }
            }
            Act::Unlearn(mac, place) => {
                let plane = self.nodes[id].planes.get_mut(&vn);
                if plane.is_some_and(|p| p.fdb.place(mac) == Some(place) && p.fdb.forget(mac)) {
                    self.kernel(id, Input::News { vn, news: News::Fdb { mac, place: Place::Gone } });
                }
            }
            Act::ReadUse(mac) => {
                let shortcut = self.nodes[id].planes.get(&vn).and_then(|p| p.shortcuts.get(&mac).copied());
                if let Some(s) = shortcut {
                    let (idle, age) = (now.since(s.used), now.since(s.written));
                    self.kernel(id, Input::News { vn, news: News::Use { mac, idle, age } });
                }
            }
            Act::ReadUses => {
                let Some(plane) = self.nodes[id].planes.get(&vn) else { return };
                let hub = plane.uplink.map(|_| now.since(plane.uplink_used));
                let uses: Vec<(Mac, Shortcut)> = plane.shortcuts.iter().map(|(mac, s)| (*mac, *s)).collect();
                for (mac, s) in uses {
                    let (idle, age) = (now.since(s.used), now.since(s.written));
                    self.kernel(id, Input::News { vn, news: News::Use { mac, idle, age } });
                }
                self.kernel(id, Input::News { vn, news: News::UsesTold { hub } });
            }
            Act::List => self.list(id, vn),
            // No site here has a cable to another one.
            Act::SeekLoop { .. } | Act::SeekNoLoop => {}
        }
    }

    fn with_plane(&mut self, id: NodeId, vn: VnKey, f: impl FnOnce(&mut Plane)) {
        if let Some(plane) = self.nodes[id].planes.get_mut(&vn) {
            f(plane);
        }
    }

    /// The kernel is asked for all it has.
    pub fn list(&mut self, id: NodeId, vn: VnKey) {
        let run = self.nodes[id].run;
        self.after(NETLINK, What::List(id, run, vn));
    }

    fn listed(&mut self, id: NodeId, vn: VnKey) {
        let Some(plane) = self.nodes[id].planes.get(&vn) else { return };
        let ports: Vec<(Vtep, Port)> = plane.ports.iter().map(|(spoke, port)| (*spoke, *port)).collect();
        let shortcuts: Vec<(Mac, Vtep)> = plane.shortcuts.iter().map(|(mac, s)| (*mac, s.to)).collect();
        let fdb: Vec<(Mac, Place)> = plane.fdb.iter().collect();
        let tell = |sim: &mut Sim, news| sim.input(id, Input::News { vn, news });
        tell(self, News::Listing);
        for (spoke, port) in ports {
            // What is to be is compared by the shell, as is what goes while the kernel tells.
            let wanted = self.nodes[id].engine.plane(vn).and_then(|wanted| wanted.port(spoke));
            if wanted.is_none() && self.plane(id, vn).ports.contains_key(&spoke) {
                tell(self, News::FoundPort { spoke, port });
            }
        }
        for (mac, to) in shortcuts {
            if self.plane(id, vn).shortcuts.contains_key(&mac) {
                tell(self, News::FoundShortcut { mac, to });
            }
        }
        for (mac, place) in fdb {
            if self.plane(id, vn).fdb.place(mac) == Some(place) {
                tell(self, News::Fdb { mac, place });
            }
        }
        tell(self, News::Listed);
        // A spoke that has no way to a hub leaves what it finds until it has one.
        let has_way = !self.nodes[id].hubs.is_empty();
        self.with_plane(id, vn, |plane| plane.is_listed |= has_way || plane.vni.is_none());
    }

    fn transmit(&mut self, from: NodeId, path: Path, octets: Vec<u8>) {
        let Some(&to) = self.at.get(&path.remote) else { return };
        let copies = if self.rng.percent(self.net.duplicates) { 2 } else { 1 };
        for _ in 0..copies {
            if self.rng.percent(self.net.loss) || self.is_cut(from, to) {
                continue;
            }
            let link = self.links.get(&(from, to)).copied().unwrap_or_default();
            if link.nhrp_loss > 0 && self.rng.percent(link.nhrp_loss) {
                continue;
            }
            let jitter = if link.nhrp_jitter > 0 { self.rng.below(link.nhrp_jitter) } else { 0 };
            let delay = self.delay() + Duration::from_millis(jitter);
            let path = Path { local: path.remote, remote: path.local };
            self.after(delay, What::Packet { to, path, octets: octets.clone() });
        }
    }

    fn delay(&mut self) -> Duration {
        let (least, most) = self.net.delay;
        Duration::from_millis(least + self.rng.below(most - least + 1))
    }

    /// A VXLAN packet reaches a node.
    /// The VN and the port of its bridge that frames under a VNI belong to, whether a daemon runs or not.
    fn plane_of(&self, from: Nbma, to: NodeId, vni: Vni) -> Option<(VnKey, Place)> {
        let mut planes = self.nodes[to].planes.iter().filter(|(_, p)| self.nodes[to].alive && p.is_up);
        planes.find_map(|(vn, plane)| match plane.vni {
            Some(ours) => (ours == vni).then_some((*vn, Place::Tunnel)),
            None => plane.port(vni, from).map(|spoke| (*vn, Place::At(spoke))),
        })
    }

    /// The address that what a node sends to another one has on the way, if that is not its own.
    fn translated(&self, id: NodeId, to: NodeId) -> Option<Nbma> {
        self.links.get(&(id, to)).filter(|link| link.is_translated)?;
        Nbma::new(std::net::Ipv4Addr::new(203, 0, 113, id as u8).into())
    }

    /// The underlay address that a node sends from to another one.
    fn source(&self, id: NodeId, to: NodeId) -> Nbma {
        if let Some(translated) = self.translated(id, to) {
            return translated;
        }
        let own = &self.nodes[id].addresses;
        let other = self.nodes[to].addresses[0];
        own.iter().copied().find(|own| own.same_family(other)).unwrap_or(own[0])
    }

    fn learn(&mut self, id: NodeId, vn: VnKey, mac: Mac, place: Place) {
        let now = self.now;
        let learns = |plane: &&mut Plane| plane.learns(place);
        let plane = self.nodes[id].planes.get_mut(&vn).filter(learns);
        if plane.is_some_and(|plane| plane.fdb.learn(now, mac, place)) {
            self.kernel(id, Input::News { vn, news: News::Fdb { mac, place } });
        }
    }

    fn arrive(&mut self, from: Nbma, to: NodeId, vni: Vni, frame: Frame) {
        if let Some((vn, place)) = self.plane_of(from, to, vni) {
            if place != Place::Tunnel {
                self.frames_by_hub += 1;
            } else if !self.takes(to, vn, from) {
                self.frames_guarded += 1;
                return;
            }
            self.bridge(to, vn, place, frame);
        }
    }

    /// Whether a spoke's guard lets frames from there pass.
    fn takes(&self, id: NodeId, vn: VnKey, from: Nbma) -> bool {
        let node = &self.nodes[id];
        let Some(wanted) = node.engine.plane(vn) else { return true };
        let client = node.settings.vns.get(&vn).and_then(|vn| vn.client.as_ref());
        let has_session = |hub| node.settings.hubs.get(&hub).is_some_and(|hub| hub.session);
        let is_guarded = client.is_some_and(|client| client.verify && client.hubs.iter().all(has_session));
        let is_single = client.is_some_and(|client| !client.hubs.are_several());
        let is_new = self.now.since(node.started) < GUARDED_AFTER;
        !is_guarded
            || is_new
            || node.sleeps
            || is_single && node.hubs.values().any(|hub| hub.remote == from)
            || wanted.sources().any(|taken| taken == from)
    }

    /// A node's bridge gets a frame.
    fn bridge(&mut self, id: NodeId, vn: VnKey, from: Place, frame: Frame) {
        self.bridge_from(id, vn, from, frame, false);
    }

    fn bridge_from(&mut self, id: NodeId, vn: VnKey, from: Place, frame: Frame, is_by_cable: bool) {
        let now = self.now;
        if !self.nodes[id].alive {
            return;
        }
        let Some(plane) = self.nodes[id].planes.get_mut(&vn).filter(|plane| plane.is_up) else { return };
        let ways = plane.forward(now, from, frame);
        self.learn(id, vn, frame.src, from);
        for way in ways {
            match way {
                Way::Local => {
                    let there = frame.dst.is_some_and(|dst| self.stations.get(&dst) == Some(&(id, vn)));
                    self.frames_arrived += u64::from(there);
                    let followed = frame.id.and_then(|id| self.followed.get_mut(&id));
                    if let Some(followed) =
                        followed.filter(|_| frame.hops > 0 && (frame.dst.is_none() || there))
                    {
                        followed.copies.entry(id).or_default().push((now, frame));
                    }
                    if frame.dst.is_none() {
                        *self.heard.entry((id, frame.src)).or_default() += 1;
                    }
                    if let Some(dst) = frame.dst.filter(|_| there) {
                        let gap = self.gaps.entry((frame.src, dst)).or_insert((now, Duration::ZERO));
                        *gap = (now, gap.1.max(now.since(gap.0)));
                    }
                    let far = |(a, b): &(NodeId, NodeId)| {
                        if *a == id { Some(*b) } else { (*b == id).then_some(*a) }
                    };
                    let ends: Vec<NodeId> =
                        self.cables.iter().filter(|_| !is_by_cable && !there).filter_map(far).collect();
                    for to in ends {
                        self.after(NETLINK, What::Cable { to, vn, frame });
                    }
                }
                Way::Missed(mac) => self.kernel(id, Input::News { vn, news: News::Miss(mac) }),
                Way::Tunnel(vtep) => {
                    let Some(&to) = self.at.get(&vtep.nbma) else { continue };
                    let sent = frame.sent_by(id);
                    self.check(sent.is_some(), || format!("a loop: {frame:?} at node {id}"));
                    let frame = sent.unwrap_or(frame);
                    // Frames of one flow are not reordered in this model: the least delay for all of them.
                    if let Some(delay) = self.carry(id, to, self.are_frames_large && frame.dst.is_some()) {
                        let from = self.source(id, to);
                        self.after(delay, What::Frame { from, to, vni: vtep.vni, frame });
                    }
                }
            }
        }
    }
}
