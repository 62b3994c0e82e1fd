//! A small network in which anything may happen: octets are read as operations, a model looks at every packet and every
//! table, and in the end, when all is well again, everybody has to reach everybody.
//!
//! The octets come from proptest (`tests/operations.rs`) or from libFuzzer (`fuzz/fuzz_targets/operations.rs`).

mod forge;
mod model;
mod operation;

pub use operation::{Octets, Operation};

use crate::sim::build::*;
use crate::sim::{Net, NodeId, Sim};
use dmevpn::engine::report::VnReport;
use dmevpn::engine::settings::{Settings, Trigger, VnKey, VpnMode};
use dmevpn::engine::{Input, News, Order, Outcome, Path};
use dmevpn::types::{Mac, Nbma, Vtep};
use model::Model;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

const HUB_NODE: NodeId = 0;
const SPOKES: usize = 3;
const STATIONS: usize = 12;
const HOLDINGS: [u64; 3] = [30, 120, 3600];
const SECOND: Duration = Duration::from_secs(1);
/// How long it may take, beyond what anybody holds by then, until all is well: a hub that refused is asked again after
/// 200 s at most.
const RECOVERY: Duration = Duration::from_secs(600);
/// So many operations of one history are looked at.
const LONGEST: usize = 80;

/// Runs the history that `octets` tell. Panics where something is not as it has to be. With `DMEVPN_SHOW` in the
/// environment it prints what happens.
pub fn run(octets: &[u8]) {
    let show = std::env::var_os("DMEVPN_SHOW").is_some();
    let mut octets = Octets(octets);
    let mut world = World::new(&mut octets);
    for _ in 0..LONGEST {
        let Some(operation) = Operation::read(&mut octets) else { break };
        if show {
            println!("{:>9} {operation:?}", world.sim.now.as_millis());
        }
        world.perform(operation);
        world.check();
    }
    if show {
        println!("{:>9} all is well from now on", world.sim.now.as_millis());
    }
    world.recover();
}

/// The network and what is known of it from outside.
struct World {
    sim: Sim,
    model: Rc<RefCell<Model>>,
    /// The VN of each station.
    vns: Vec<VnKey>,
    /// Which of them are there, and talk.
    present: Vec<bool>,
    /// The underlay addresses that were used so far.
    addresses: usize,
}

impl World {
    fn new(octets: &mut Octets<'_>) -> World {
        let mut sim = Sim::new(octets.next().unwrap_or(0).into(), Net::GOOD);
        let model = Rc::new(RefCell::new(Model::new()));
        sim.watch = Some(Box::new(model::Watcher(Rc::clone(&model))));
        let kind = octets.next().unwrap_or(0);
        let two_vns = kind & 1 != 0;
        let small = kind & 2 != 0;
        let mut server = hub_role();
        server.default = true;
        server.shared_uplink = kind & 4 != 0;
        if small {
            (server.max_spokes, server.max_macs) = (2, 8);
        }
        let keys: &[VnKey] = if two_vns { &[VN, VnKey(2)] } else { &[VN] };
        let vns = keys.iter().map(|key| {
            let default = *key == VN;
            let mut server = server.clone();
            server.default = default;
            (*key, vn_settings(*key, Part::Hub(server)))
        });
        let hub = settings(HOLDINGS[usize::from(kind >> 4) % 3], vns, VpnMode::Llc);
        sim.add(&[nbma("10.0.0.254"), nbma("2001:db8::254")], hub, None);
        for n in 1..=SPOKES {
            let how = octets.next().unwrap_or(0);
            let mode = [VpnMode::Llc, VpnMode::Key, VpnMode::None, VpnMode::Llc][usize::from(how >> 2) % 4];
            let mut client = spoke_role(100 + n as u32);
            client.trigger = if how & 16 != 0 { Trigger::L2miss } else { Trigger::Learn };
            client.unique = how & 32 == 0;
            client.max_macs = if small { 4 } else { 1000 };
            let of_spoke = if mode == VpnMode::None { &keys[..1] } else { keys };
            let vns = of_spoke.iter().map(|key| {
                let mut client = client;
                client.vni = vni(client.vni.get() + 100 * u32::from(key.0));
                (*key, vn_settings(*key, Part::Spoke(client)))
            });
            let settings = settings(HOLDINGS[usize::from(how) % 3], vns, mode);
            let v6 = how & 64 != 0;
            let (own, hub) = if v6 {
                (nbma(&format!("2001:db8::{n}")), nbma("2001:db8::254"))
            } else {
                (spoke_nbma(n), nbma("10.0.0.254"))
            };
            sim.add(&[own], settings, Some(hub));
        }
        let vns: Vec<VnKey> = (0..STATIONS).map(|n| keys[n / 4 % keys.len()]).collect();
        let mut world = World { sim, model, vns, present: vec![true; STATIONS], addresses: SPOKES };
        for n in 0..STATIONS {
            world.place(n, n % 4);
        }
        world.sim.run_secs(3);
        world
    }

    /// Station `n` is at a node from now on, if that is in its VN.
    fn place(&mut self, n: usize, node: NodeId) {
        let node = if self.sim.nodes[node].planes.contains_key(&self.vns[n]) { node } else { HUB_NODE };
        self.sim.settle(station(n), node, self.vns[n]);
        self.present[n] = true;
    }

    fn perform(&mut self, operation: Operation) {
        use Operation as O;
        let sim = &mut self.sim;
        match operation {
            O::Pass(time) => sim.run(time),
            O::Frame { from, to } => sim.frame(station(from), to.map(station)),
            O::Converse { a, b } if a != b => sim.converse(station(a), station(b), SECOND, 10 * SECOND),
            O::Converse { .. } => {}
            O::Move { station: n, to, aloud, unplugged } => {
                if unplugged {
                    sim.unplug(station(n));
                }
                self.place(n, to);
                if aloud {
                    self.sim.frame(station(n), None);
                }
            }
            O::Flap { station: n, between: (a, b), apart } => {
                for round in 0..8 {
                    self.place(n, if round % 2 == 0 { a } else { b });
                    self.sim.frame(station(n), None);
                    self.sim.run(apart);
                }
            }
            O::Leave(n) => {
                self.present[n] = false;
                sim.stations.remove(&station(n));
            }
            O::Sleep(node) => sim.nodes[node].sleeps = true,
            O::Restart(node) => sim.restart(node),
            O::Reboot(node) => sim.reboot(node),
            O::Off(node) => sim.nodes[node].alive = false,
            O::On(node) => self.switch_on(node),
            O::Stop(node) => {
                sim.input(node, Input::Order(Order::Stop));
                for _ in 0..100 {
                    if sim.nodes[node].sleeps || sim.nodes[node].engine.is_stopped() {
                        break;
                    }
                    sim.run(SECOND / 50);
                }
                sim.nodes[node].sleeps = true;
                if node != HUB_NODE {
                    sim.nodes[node].planes.clear();
                }
            }
            O::Device { node, vn, up } => sim.device(node, vn, up),
            O::NoWay(node) => sim.set_way(node, None),
            O::Way(node) => self.way(node),
            O::Renumber(node) => self.renumber(node),
            O::Copy { node, of } => self.identify(node, of),
            O::Cut { a, b } => sim.cut(a, b),
            O::Heal => sim.cut.clear(),
            O::Net(net) => sim.net = net,
            O::Deaf(node) => sim.nodes[node].deaf = true,
            O::Hears(node) => self.hears(node),
            O::List { node, vn } => sim.list(node, vn),
            O::Ports(outcome) => sim.nodes[HUB_NODE].port_failure = outcome,
            O::Resolve { node, vn, mac } => {
                sim.input(node, Input::Order(Order::Resolve { vn, mac: station(mac) }))
            }
            O::Flush { node, vn, mac } => {
                sim.input(node, Input::Order(Order::Flush { vn, mac: mac.map(station) }))
            }
            O::Reload { node, change } => {
                let mut settings = sim.nodes[node].settings.clone();
                change.apply(&mut settings);
                sim.apply(node, settings);
            }
            O::Forge(forgery) => {
                let made = self.model.borrow().forge(&forgery, sim);
                if let Some((from, to, octets)) = made {
                    sim.inject(from, to, octets);
                }
            }
        }
    }

    fn switch_on(&mut self, node: NodeId) {
        let there = &mut self.sim.nodes[node];
        if !std::mem::replace(&mut there.alive, true) {
            self.sim.reboot(node);
        } else if there.sleeps {
            self.sim.restart(node);
        }
    }

    fn way(&mut self, node: NodeId) {
        let local = self.sim.nodes[node].addresses[0];
        let hub = &self.sim.nodes[HUB_NODE].addresses;
        let remote = hub.iter().copied().find(|hub| hub.same_family(local));
        self.sim.set_way(node, remote.map(|remote| Path { local, remote }));
    }

    /// A new address of the same family. Of a hub all learn it that had a way there.
    fn renumber(&mut self, node: NodeId) {
        self.addresses += 1;
        let n = self.addresses;
        let v6 = !self.sim.nodes[node].addresses[0].same_family(spoke_nbma(1));
        let address = if v6 { nbma(&format!("2001:db8::{:x}", 0x1000 + n)) } else { spoke_nbma(n) };
        self.sim.renumber(node, address);
        if node != HUB_NODE {
            return self.way(node);
        }
        for spoke in 1..=SPOKES {
            if !self.sim.nodes[spoke].hubs.is_empty() {
                self.way(spoke);
            }
        }
    }

    /// The router has the MACs of another one, or its own.
    fn identify(&mut self, node: NodeId, of: NodeId) {
        let vns: Vec<VnKey> = self.sim.nodes[node].planes.keys().copied().collect();
        for vn in vns {
            let mac = bridge(of * 16 + usize::from(vn.0));
            let Some(plane) = self.sim.nodes[node].planes.get_mut(&vn).filter(|plane| plane.mac != mac)
            else {
                continue;
            };
            plane.mac = mac;
            if plane.is_up {
                self.sim.input(node, Input::News { vn, news: News::Device(Some(mac)) });
            }
        }
    }

    /// The kernel is heard again, and asked for what was missed.
    fn hears(&mut self, node: NodeId) {
        if std::mem::take(&mut self.sim.nodes[node].deaf) {
            let vns: Vec<VnKey> = self.sim.nodes[node].planes.keys().copied().collect();
            vns.into_iter().for_each(|vn| self.sim.list(node, vn));
        }
    }

    /// What has to be so at any time.
    fn check(&self) {
        self.sim.check_kernel_is_as_wanted();
        self.model.borrow_mut().check(&self.sim);
    }

    /// All that was in the way is gone, and everybody talks. After a while everybody reaches everybody by the shortest
    /// way, and it stays so.
    fn recover(&mut self) {
        self.sim.net = Net::GOOD;
        self.sim.cut.clear();
        self.sim.nodes[HUB_NODE].port_failure = None;
        for node in 0..=SPOKES {
            self.switch_on(node);
            self.hears(node);
            self.identify(node, node);
            let vns: Vec<VnKey> = self.sim.nodes[node].planes.keys().copied().collect();
            vns.into_iter().for_each(|vn| self.sim.device(node, vn, true));
            if node != HUB_NODE && self.sim.nodes[node].hubs.is_empty() {
                self.way(node);
            }
        }
        for n in 0..STATIONS {
            // Its VN may not be where it was any more.
            if let Some((node, _)) = self.sim.stations.get(&station(n)).copied() {
                self.place(n, node);
            }
        }
        // What is under way arrives.
        self.sim.run(25 * SECOND);
        let longest = self.model.borrow().longest_holding + RECOVERY;
        let start = self.sim.now;
        loop {
            self.talk(true);
            let wrong = self.wrong();
            let Some(wrong) = wrong else { break };
            let took = self.sim.now.since(start);
            self.sim.check(took < longest, || format!("{took:?} after all is well: {wrong}"));
        }
        // Nobody broadcasts any more: the hub's bridge hears little, and forgets.
        for _ in 0..40 {
            self.talk(false);
            let mut wrong = self.wrong();
            if wrong.is_some() && !self.vns.iter().all(|vn| self.has_place(*vn)) {
                // Who gets a place only now says what was behind it before, until that is heard where it is.
                self.talk(false);
                wrong = self.wrong();
            }
            self.sim.check(wrong.is_none(), || format!("it does not stay well: {wrong:?}"));
        }
    }

    /// Every station talks to some others of its VN, for a round: often enough for the shortest holding time.
    fn talk(&mut self, broadcast: bool) {
        for n in (0..STATIONS).filter(|n| broadcast && self.present[*n]) {
            self.sim.frame(station(n), None);
        }
        for _ in 0..4 {
            self.sim.run(SECOND);
            for (a, b) in self.pairs() {
                self.sim.frame(station(a), Some(station(b)));
            }
            self.sim.run(4 * SECOND);
        }
        self.check();
    }

    /// Who talks to whom in the end.
    fn pairs(&self) -> Vec<(usize, usize)> {
        let all = (0..STATIONS).flat_map(|a| (0..STATIONS).map(move |b| (a, b)));
        let talk = |(a, b): &(usize, usize)| [1, 4, 5].contains(&((a + STATIONS - b) % STATIONS));
        let both = all.filter(|(a, b)| talk(&(*a, *b)) || talk(&(*b, *a)));
        both.filter(|(a, b)| self.present[*a] && self.present[*b] && self.vns[*a] == self.vns[*b]).collect()
    }

    /// What is not as it has to be when all is well.
    fn wrong(&mut self) -> Option<String> {
        for node in 1..=SPOKES {
            let vns: Vec<VnKey> = self.sim.nodes[node].planes.keys().copied().collect();
            for vn in vns {
                if let Some(wrong) = self.unregistered(node, vn) {
                    return Some(wrong);
                }
            }
        }
        if let Some(wrong) = self.misled() {
            return Some(wrong);
        }
        self.pairs().into_iter().find_map(|(a, b)| self.unreachable(a, b))
    }

    /// A shortcut that leads to where its station is not, though the hub can know where it is.
    fn misled(&self) -> Option<String> {
        let all = (0..STATIONS).filter(|n| self.present[*n]).map(station);
        all.into_iter().find_map(|mac| {
            let &(home, vn) = self.sim.stations.get(&mac)?;
            let misled = |node: &NodeId| {
                let has = self.sim.nodes[*node].planes.get(&vn).and_then(|plane| plane.shortcuts.get(&mac));
                let uplink = self.sim.nodes[*node].planes.get(&vn).and_then(|plane| plane.uplink);
                let right = self.sim.right(*node, mac);
                has.is_some_and(|has| Some(has.to) != right && Some(has.to) != uplink)
            };
            let node = (1..=SPOKES).find(misled).filter(|_| self.is_served(home, vn))?;
            let has = self.sim.shortcut(node, vn, mac);
            Some(format!("{mac} is at node {home}, and node {node} sends its frames to {has:?}"))
        })
    }

    fn is_served(&self, node: NodeId, vn: VnKey) -> bool {
        node == HUB_NODE || self.sim.registered(node, vn)
    }

    /// Whether tables are as large as it takes.
    fn has_room(&self, vn: VnKey) -> bool {
        let all = self.sim.nodes.iter().all(|node| {
            node.settings.vns.get(&vn).is_none_or(|vn| {
                vn.client.is_none_or(|client| client.max_macs > 100)
                    && vn.server.as_ref().is_none_or(|server| server.max_macs > 100)
            })
        });
        all && self.has_place(vn)
    }

    fn has_place(&self, vn: VnKey) -> bool {
        let hub = self.sim.nodes[HUB_NODE].settings.vns.get(&vn).and_then(|vn| vn.server.clone());
        hub.is_some_and(|server| usize::from(server.max_spokes) > SPOKES)
    }

    fn unregistered(&self, node: NodeId, vn: VnKey) -> Option<String> {
        if !self.has_place(vn) {
            return None;
        }
        let report = self.sim.nodes[node].engine.report(self.sim.now, vn);
        let Some(VnReport::Spoke(report)) = report else { return Some(format!("node {node} is no spoke")) };
        if !self.sim.registered(node, vn) {
            return Some(format!("node {node} in {vn:?}: {:?}", report.standing));
        }
        let spoke = Vtep { nbma: self.sim.nodes[node].addresses[0], vni: report.vni };
        let port = self.sim.plane(HUB_NODE, vn).ports.get(&spoke).map(|port| port.uplink);
        let uplink = self.sim.plane(node, vn).uplink.map(|uplink| uplink.vni);
        (port != uplink).then(|| format!("node {node} in {vn:?}: sends to {uplink:?}, the port is {port:?}"))
    }

    /// Why frames of `a` do not reach `b`, or not by the shortest way.
    fn unreachable(&self, a: usize, b: usize) -> Option<String> {
        let (here, vn) = self.sim.stations[&station(a)];
        let (there, _) = self.sim.stations[&station(b)];
        if here == there || !self.is_served(here, vn) || !self.is_served(there, vn) {
            return None;
        }
        let mac = station(b);
        let (has, at) = match here {
            HUB_NODE => (self.sim.plane(here, vn).fdb.place(mac).map(|place| format!("{place:?}")), None),
            _ => (self.sim.shortcut(here, vn, mac).map(|to| to.to_string()), self.sim.right(here, mac)),
        };
        let what =
            |why: &str| Some(format!("{mac} at node {there}, seen from node {here}: {why}, has {has:?}"));
        let known = self.sim.plane(HUB_NODE, vn).fdb.place(mac);
        let told = self.place_at_hub(there, vn);
        if self.has_room(vn) && known != told {
            return what(&format!("the hub's bridge knows it at {known:?}"));
        }
        let right = at.map(|to| to.to_string());
        (here != HUB_NODE && self.has_room(vn) && has != right)
            .then(|| what("no shortcut").unwrap_or_default())
    }

    fn place_at_hub(&self, node: NodeId, vn: VnKey) -> Option<dmevpn::engine::Place> {
        if node == HUB_NODE {
            return Some(dmevpn::engine::Place::Local);
        }
        let vni = self.sim.plane(node, vn).vni?;
        Some(dmevpn::engine::Place::At(Vtep { nbma: self.sim.nodes[node].addresses[0], vni }))
    }
}

/// A change of settings.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    Holding(u64),
    Mode(VpnMode),
    Trigger(Trigger),
    Vni(u32),
    Room(bool),
    Negative(u64),
    Unique(bool),
}

impl Change {
    fn apply(self, settings: &mut Settings) {
        // A spoke whose packets name no VN is in the first one only.
        let one = settings.vns.len() == 1;
        match self {
            Change::Holding(seconds) => settings.holding_time = Duration::from_secs(seconds),
            Change::Mode(VpnMode::None) if !one || !settings.vns.contains_key(&VN) => {}
            Change::Mode(mode) => {
                settings.hubs.iter_mut().for_each(|(_, hub)| hub.vpn_mode = mode);
            }
            _ => {}
        }
        for (key, vn) in settings.vns.iter_mut() {
            match (self, &mut vn.client, &mut vn.server) {
                (Change::Trigger(trigger), Some(client), _) => client.trigger = trigger,
                (Change::Vni(n), Some(client), _) => client.vni = vni(300 + 100 * u32::from(key.0) + n),
                (Change::Negative(seconds), Some(client), _) => {
                    client.negative_time = Duration::from_secs(seconds);
                }
                (Change::Unique(unique), Some(client), _) => client.unique = unique,
                (Change::Room(room), Some(client), _) => client.max_macs = if room { 1000 } else { 4 },
                (Change::Room(room), _, Some(server)) => {
                    (server.max_spokes, server.max_macs) = if room { (1000, 10_000) } else { (2, 8) };
                }
                _ => {}
            }
        }
    }
}

/// What is at an address, for forgeries.
fn known_addresses(sim: &Sim) -> Vec<Nbma> {
    let stranger = nbma("10.0.9.9");
    sim.nodes.iter().flat_map(|node| node.addresses.iter().copied()).chain([stranger]).collect()
}

/// MACs that mean something to somebody.
fn known_macs(sim: &Sim) -> Vec<Mac> {
    let planes = sim.nodes.iter().flat_map(|node| node.planes.values().map(|plane| plane.mac));
    (0..STATIONS).map(station).chain(planes).collect()
}

/// How the making of ports may end.
const OUTCOMES: [Option<Outcome>; 4] =
    [None, Some(Outcome::Failed { taken: true }), Some(Outcome::Failed { taken: false }), None];
