//! What is known from outside: who sent what to whom, and what is owed for it. It reads packets and the kernel's tables
//! and knows nothing of how an engine works.

use super::HUB_NODE;
use crate::sim::build::{HUB, VN};
use crate::sim::{Call, Cause, NodeId, Sim, Watch};
use dmevpn::engine::report::{MacState, Standing, VnReport};
use dmevpn::engine::settings::VnKey;
use dmevpn::engine::{Event, News, Order, Path, Place, Via};
use dmevpn::time::Instant;
use dmevpn::types::{Mac, Nbma, Vtep};
use dmevpn::wire::VpnTag;
use dmevpn::wire::nhrp::{Cie, Header, Kind, Message, ProtocolAddress, code, flag};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

/// Effects of one call: no table of these networks holds as much.
const EFFECTS: usize = 1500;
/// Clocks tell whole seconds, and the kernel takes its time.
const SLACK: Duration = Duration::from_secs(2);
/// The longest wait between two tries of a Purge Request.
const RETRY: Duration = Duration::from_secs(10);
/// So many packets are remembered, to be sent again.
const SEEN: usize = 64;
/// Addresses that one client may register.
const ADDRESSES: usize = 8;
/// How long a denial is remembered.
const DENIAL: Duration = Duration::from_secs(60);
const PURGES: u32 = 512;

/// Gives what it sees to the model.
pub struct Watcher(pub Rc<RefCell<Model>>);

impl Watch for Watcher {
    fn saw(&mut self, sim: &Sim, call: &Call) {
        self.0.borrow_mut().saw(sim, call);
    }
}

/// What a hub told somebody of a MAC.
#[derive(Clone, Copy, Debug)]
struct Told {
    /// Where; `None`: that nobody knows it.
    at: Option<Vtep>,
    since: Instant,
    until: Instant,
    /// Until when anything that was said holds, this or what was said before.
    held: Instant,
    /// Whether a Purge was sent since, or whom it was told is somebody else now.
    over: bool,
}

/// Counters by name.
type Rows = Vec<(&'static str, u32)>;

/// What a Purge Request is about; of each MAC, whether it is only said to be no more at who is told: that takes nothing back
/// that was told.
type Withdrawn = Vec<(Mac, bool)>;

/// A client's name, as a hub sees it.
type Name = (Nbma, Option<dmevpn::types::Vni>);

pub struct Model {
    /// The last packets, and the way each was to go.
    pub seen: VecDeque<(Via, Vec<u8>)>,
    /// The longest holding time that anybody was set to.
    pub longest_holding: Duration,
    /// The longest that a hub was set to.
    hub_holding: Duration,
    /// Requests that came and were not answered yet.
    open: BTreeMap<(NodeId, Via, u8, u32), u32>,
    /// What each Request ID was used for.
    ids: BTreeMap<(NodeId, u32), (u8, Nbma, Option<ProtocolAddress>)>,
    /// Addresses that a router had.
    own: BTreeSet<(NodeId, Nbma)>,
    /// The way to the hub that a spoke had before.
    ways: BTreeMap<NodeId, (Option<Path>, Option<Path>)>,
    /// MACs that a spoke was made aware of.
    mentioned: BTreeSet<(NodeId, VnKey, Mac)>,
    /// What a spoke was answered: until when.
    answers: BTreeMap<(NodeId, VnKey, Mac), BTreeMap<Vtep, Instant>>,
    /// Until when a hub's clients may count as registered, at most.
    clients: BTreeMap<(VnKey, Vtep), Instant>,
    told: BTreeMap<(VnKey, Name, Mac), Told>,
    /// Whom the hub still has to tell that what it told is untrue, since when, and until when that mattered.
    debts: BTreeMap<(VnKey, Nbma, Mac), (Instant, Instant)>,
    /// Purge Requests of the hub: about what, and when each went out first.
    purges: BTreeMap<(Nbma, u32), (Instant, VnKey, Withdrawn)>,
    /// The run of the hub's daemon, when its bridges came up in it first, when they were listed, and until when those
    /// whose ports it found may hold answers.
    hub_run: u32,
    hub_up: BTreeMap<VnKey, Instant>,
    hub_listed: BTreeMap<VnKey, Instant>,
    found: BTreeMap<(VnKey, Nbma), Instant>,
    /// Who registered before it was known whether it has a port: until when it may hold answers.
    early: BTreeMap<(VnKey, Nbma), Instant>,
    /// MACs that registrations named, and when last: who has one may be asked whether it is there.
    claimed: BTreeMap<(VnKey, Mac), Instant>,
    /// The hub's ports, by the VNI that is theirs.
    ports: BTreeMap<VnKey, BTreeMap<dmevpn::types::Vni, Vtep>>,
    /// Since when a hub's port stands without a registration.
    deserted: BTreeMap<(VnKey, Vtep), Instant>,
    counters: BTreeMap<NodeId, (u32, Rows)>,
    /// The largest tables that anybody was set to.
    largest: BTreeMap<(NodeId, VnKey), (u32, u32)>,
    /// What went wrong; kept until somebody looks.
    pub fault: Option<String>,
}

impl Model {
    pub fn new() -> Model {
        Model {
            seen: VecDeque::new(),
            longest_holding: Duration::ZERO,
            hub_holding: Duration::ZERO,
            open: BTreeMap::new(),
            ids: BTreeMap::new(),
            own: BTreeSet::new(),
            ways: BTreeMap::new(),
            mentioned: BTreeSet::new(),
            answers: BTreeMap::new(),
            clients: BTreeMap::new(),
            told: BTreeMap::new(),
            debts: BTreeMap::new(),
            purges: BTreeMap::new(),
            hub_run: 0,
            hub_up: BTreeMap::new(),
            hub_listed: BTreeMap::new(),
            found: BTreeMap::new(),
            early: BTreeMap::new(),
            claimed: BTreeMap::new(),
            ports: BTreeMap::new(),
            deserted: BTreeMap::new(),
            counters: BTreeMap::new(),
            largest: BTreeMap::new(),
            fault: None,
        }
    }

    /// Looks at one call of an engine.
    fn saw(&mut self, sim: &Sim, call: &Call) {
        let node = &sim.nodes[call.node];
        self.settings(sim, call.node);
        sim.check(call.effects < EFFECTS, || format!("node {}: {} effects", call.node, call.effects));
        match &call.cause {
            Cause::Packet(via, octets) => self.heard(sim, call.node, *via, octets),
            Cause::News(vn, news) => self.news(sim, call.node, *vn, *news),
            Cause::Order(Order::Resolve { vn, mac }) => {
                self.mentioned.insert((call.node, *vn, *mac));
            }
            Cause::Order(_) | Cause::Other => {}
        }
        if call.node == HUB_NODE {
            self.moved(sim);
        }
        for (via, octets) in &call.sent {
            let Ok(message) = Message::parse(octets) else {
                sim.check(false, || format!("node {} sends nonsense: {octets:02x?}", call.node));
                return;
            };
            let own =
                node.addresses.contains(&via.path.local) || self.own.contains(&(call.node, via.path.local));
            self.expect(sim, call.node, own, &message, "from an address that is not its own");
            self.sent(sim, call, *via, &message);
            self.seen.push_back((*via, octets.clone()));
            if self.seen.len() > SEEN {
                self.seen.pop_front();
            }
        }
        if call.node == HUB_NODE {
            self.owed(sim, call);
        }
    }

    fn expect(&self, sim: &Sim, node: NodeId, fact: bool, message: &Message<'_>, otherwise: &str) {
        sim.check(fact, || {
            let cies: Vec<Cie> = message.cies().collect();
            format!("node {node} sends {otherwise}: {:?} {cies:?}", message.header)
        });
    }

    /// Takes note of how everything is set.
    fn settings(&mut self, sim: &Sim, id: NodeId) {
        let node = &sim.nodes[id];
        self.longest_holding = self.longest_holding.max(node.settings.holding_time);
        if id == HUB_NODE {
            self.hub_holding = self.hub_holding.max(node.settings.holding_time);
            if node.run != self.hub_run {
                self.hub_run = node.run;
                self.hub_up.clear();
                self.hub_listed.clear();
                // It has forgotten whom it told, and tells nobody: everybody asks anew.
                self.debts.clear();
                self.told.values_mut().for_each(|told| told.over = true);
                self.found.clear();
                self.early.clear();
            }
        }
        self.own.extend(node.addresses.iter().map(|address| (id, *address)));
        let way = node.hubs.get(&HUB).copied();
        let ways = self.ways.entry(id).or_insert((None, None));
        if ways.1 != way {
            *ways = (ways.1, way);
        }
        for (key, vn) in &node.settings.vns {
            let client = vn.client.map(|client| (client.max_macs, 0));
            let server = vn.server.as_ref().map(|server| (server.max_macs, u32::from(server.max_spokes)));
            let (macs, spokes) = client.or(server).unwrap_or_default();
            let largest = self.largest.entry((id, *key)).or_default();
            *largest = (largest.0.max(macs), largest.1.max(spokes));
        }
    }

    /// A packet came.
    fn heard(&mut self, sim: &Sim, node: NodeId, via: Via, octets: &[u8]) {
        let Ok(message) = Message::parse(octets) else { return };
        let header = &message.header;
        let vn = vn_of(via.tag);
        let now = sim.now;
        match header.kind {
            Kind::RegistrationRequest | Kind::ResolutionRequest | Kind::PurgeRequest => {
                let reply = header.kind != Kind::PurgeRequest || header.flags & flag::NO_REPLY == 0;
                if reply {
                    *self.open.entry((node, via, header.kind as u8, header.request_id)).or_default() += 1;
                }
                if let (HUB_NODE, Kind::RegistrationRequest, Some(vni)) = (node, header.kind, header.vni) {
                    for address in message.cies().filter_map(|cie| cie.address.or(header.source)) {
                        if let ProtocolAddress::Mac(mac) = address {
                            self.claimed.insert((vn, mac), now);
                        }
                    }
                    let own = sim.nodes[node].settings.holding_time;
                    let wanted = message.cies().map(|cie| Duration::from_secs(cie.holding.into()));
                    let granted = wanted.map(|t| if t.is_zero() { own } else { t.min(own) }).max();
                    let until = now + granted.unwrap_or_default() + SLACK;
                    if !self.hub_listed.contains_key(&vn) {
                        self.early.insert((vn, header.nbma), now + self.hub_holding.max(DENIAL));
                    }
                    let client = self.clients.entry((vn, Vtep { nbma: header.nbma, vni })).or_default();
                    *client = (*client).max(until);
                }
            }
            Kind::ResolutionReply => {
                // Of whom it asked, about what it asked.
                let Some(ProtocolAddress::Mac(mac)) = header.destination else { return };
                let asked = self.ids.get(&(node, header.request_id));
                let is_answer = asked.is_some_and(|(kind, of, about)| {
                    *kind == Kind::ResolutionRequest as u8
                        && *of == via.path.remote
                        && *about == header.destination
                });
                if !is_answer {
                    return;
                }
                for cie in message.cies().filter(|cie| cie.code == code::OK) {
                    let (Some(nbma), Some(vni)) = (cie.nbma, cie.vni) else { continue };
                    let until = now + Duration::from_secs(cie.holding.into()) + SLACK;
                    let answers = self.answers.entry((node, vn, mac)).or_default();
                    let end = answers.entry(Vtep { nbma, vni }).or_default();
                    *end = (*end).max(until);
                }
            }
            Kind::PurgeReply if node == HUB_NODE => {
                let Some((first, vn, macs)) = self.purges.get(&(via.path.remote, header.request_id)) else {
                    return;
                };
                // Two sites at one address have a line each.
                let names: BTreeSet<Name> = self
                    .told
                    .keys()
                    .filter(|(_, name, _)| name.0 == via.path.remote)
                    .map(|(_, n, _)| *n)
                    .collect();
                // What an earlier request said, a later one says again.
                let latest = self.purges.keys().rfind(|(to, _)| *to == via.path.remote).map(|(_, id)| *id);
                if names.len() == 1 && latest == Some(header.request_id) {
                    self.told.retain(|(there, name, mac), told| {
                        *there != *vn
                            || name.0 != via.path.remote
                            || !macs.contains(&(*mac, false))
                            || told.since >= *first
                    });
                }
            }
            Kind::RegistrationReply | Kind::PurgeReply | Kind::Error | Kind::TrafficIndication => {}
        }
    }

    /// The kernel told something.
    fn news(&mut self, sim: &Sim, node: NodeId, vn: VnKey, news: News) {
        match news {
            News::Fdb { mac, place: Place::Tunnel } | News::Miss(mac) => {
                self.mentioned.insert((node, vn, mac));
            }
            News::Device(Some(_)) if node == HUB_NODE => {
                self.hub_up.entry(vn).or_insert(sim.now);
            }
            News::FoundShortcut { mac, to } => {
                self.mentioned.insert((node, vn, mac));
                let until = sim.now + sim.nodes[node].settings.holding_time + SLACK;
                let end = self.answers.entry((node, vn, mac)).or_default().entry(to).or_default();
                *end = (*end).max(until);
            }
            News::FoundPort { spoke, port } => {
                let granted = match port.granted {
                    0 => sim.nodes[node].settings.holding_time,
                    granted => Duration::from_secs(granted.into()),
                };
                let client = self.clients.entry((vn, spoke)).or_default();
                *client = (*client).max(sim.now + granted + SLACK);
                // Whatever it was told last was told before, by a hub with this holding time at most.
                self.found.insert((vn, spoke.nbma), sim.now + self.hub_holding.max(DENIAL));
            }
            _ => {}
        }
    }

    /// A packet goes out: whether it may.
    fn sent(&mut self, sim: &Sim, call: &Call, via: Via, message: &Message<'_>) {
        let (id, header) = (call.node, &message.header);
        let expect = |model: &Model, fact: bool, otherwise: &str| {
            model.expect(sim, id, fact, message, otherwise);
        };
        let request = match header.kind {
            Kind::Error => {
                let due = matches!(&call.cause, Cause::Packet(of, octets)
                    if *of == via && octets.get(17) != Some(&(Kind::Error as u8)));
                return expect(self, due, "an Error Indication that nobody gave a reason for");
            }
            Kind::TrafficIndication => return expect(self, false, "no client is of another maker's here"),
            Kind::ResolutionReply => Some(Kind::ResolutionRequest),
            Kind::RegistrationReply => Some(Kind::RegistrationRequest),
            Kind::PurgeReply => Some(Kind::PurgeRequest),
            Kind::ResolutionRequest | Kind::RegistrationRequest | Kind::PurgeRequest => None,
        };
        if let Some(request) = request {
            let open =
                self.open.get_mut(&(id, via, request as u8, header.request_id)).filter(|open| **open > 0);
            match open {
                Some(open) => *open -= 1,
                None => expect(self, false, "a reply without a request"),
            }
            if header.kind == Kind::ResolutionReply {
                self.answered(sim, via, message);
            }
            return;
        }
        let about = match header.kind {
            Kind::PurgeRequest => message.cies().next().and_then(|cie| cie.address),
            _ => header.destination,
        };
        let used = (header.kind as u8, via.path.remote, about);
        let before = *self.ids.entry((id, header.request_id)).or_insert(used);
        expect(self, before == used, &format!("what has the Request ID of {before:?}"));
        if id == HUB_NODE {
            expect(self, header.kind == Kind::PurgeRequest, "a hub's request");
            return self.purged(sim, via, message);
        }
        let (last, now) = self.ways[&id];
        // A way that is left is told so.
        let leaves = header.kind == Kind::PurgeRequest && last == Some(via.path);
        expect(self, now == Some(via.path) || leaves, "to somebody who is not its hub");
        if header.kind == Kind::ResolutionRequest {
            let Some(ProtocolAddress::Mac(mac)) = header.destination else { return };
            // Of a router that probes it a spoke asks where that is.
            let is_router = sim.nodes.iter().any(|node| node.planes.values().any(|plane| plane.mac == mac));
            let known = is_router || self.mentioned.contains(&(id, vn_of(via.tag), mac));
            expect(self, known, "a question for a MAC that nobody mentioned");
        }
    }

    /// The hub answers a question.
    fn answered(&mut self, sim: &Sim, via: Via, message: &Message<'_>) {
        let (header, now, vn) = (&message.header, sim.now, vn_of(via.tag));
        let Some(ProtocolAddress::Mac(mac)) = header.destination else { return };
        let Some(cie) = message.cies().next() else { return };
        let key = (vn, (header.nbma, header.vni), mac);
        let expect = |fact: bool, otherwise: &str| self.expect(sim, HUB_NODE, fact, message, otherwise);
        match cie.code {
            code::OK => {
                let (Some(nbma), Some(vni)) = (cie.nbma, cie.vni) else {
                    return expect(false, "an answer that names no place");
                };
                let at = Vtep { nbma, vni };
                let until = now + Duration::from_secs(cie.holding.into());
                expect(until <= now + self.hub_holding, "an answer that lasts too long");
                let hub = self.own.contains(&(HUB_NODE, nbma));
                if !hub {
                    let registered = self.clients.get(&(vn, at)).copied().unwrap_or_default();
                    expect(until <= registered + SLACK, "an answer that outlives the registration");
                }
                expect(!hub || Some(vni) == self.uplink_of(sim, vn, header), "somebody else's uplink");
                let held = self.told.get(&key).map_or(until, |before| before.held.max(until));
                self.told.insert(key, Told { at: Some(at), since: now, until, held, over: hub });
            }
            code::NO_BINDING => {
                let until = now + DENIAL;
                // An answer of before may be held still.
                match self.told.get_mut(&key) {
                    Some(before) if before.at.is_some() && before.until > now && !before.over => {
                        (before.since, before.held) = (now, before.held.max(until));
                    }
                    Some(before) => {
                        let held = before.held.max(until);
                        *before = Told { at: None, since: now, until, held, over: false };
                    }
                    None => {
                        let told = Told { at: None, since: now, until, held: until, over: false };
                        self.told.insert(key, told);
                    }
                }
            }
            _ => {}
        }
    }

    fn uplink_of(&self, sim: &Sim, vn: VnKey, header: &Header) -> Option<dmevpn::types::Vni> {
        let spoke = Vtep { nbma: header.nbma, vni: header.vni? };
        sim.nodes[HUB_NODE].engine.plane(vn)?.port(spoke).map(|port| port.uplink)
    }

    /// The hub tells somebody to forget: somebody who may hold what is to be forgotten.
    fn purged(&mut self, sim: &Sim, via: Via, message: &Message<'_>) {
        let (now, vn, to) = (sim.now, vn_of(via.tag), via.path.remote);
        let mut macs = Vec::new();
        for cie in message.cies() {
            let Some(ProtocolAddress::Mac(mac)) = cie.address else { continue };
            let all = (1..48).contains(&cie.prefix);
            let own = cie.nbma == Some(to);
            macs.push((mac, own));
            let before = [&self.found, &self.early].map(|who| who.get(&(vn, to)));
            let found = before.into_iter().flatten().any(|until| now <= *until + RETRY);
            let owed = if all {
                let fresh = !self.found.keys().any(|(there, _)| *there == vn);
                let up = self.hub_up.get(&vn).copied().unwrap_or_default();
                fresh && now <= up + self.hub_holding + RETRY
            } else {
                // Its own bridge may think that the MAC is there. The hub remembers whom it told, and until when anybody
                // holds what it told.
                let all = || self.told.iter().filter(|((there, _, of), _)| *there == vn && *of == mac);
                let held = all().any(|((_, name, _), _)| name.0 == to)
                    && all().any(|(_, told)| now <= told.held + RETRY);
                // It has the MAC itself, and somebody else registers it.
                let claimed = self.claimed.get(&(vn, mac)).is_some_and(|at| now <= *at + RETRY);
                let asked = claimed && !own && message.header.destination == cie.address;
                // It was removed, by an operator or since there is less room, and is told so.
                let engine = &sim.nodes[HUB_NODE].engine;
                let has_port = |at: &Vtep| engine.plane(vn).is_some_and(|plane| plane.port(*at).is_some());
                let mut sites = self.clients.keys().filter(|(there, at)| *there == vn && at.nbma == to);
                let removed = is_of_the_hub(sim, vn, mac) && sites.any(|(_, at)| !has_port(at));
                own || held || found && is_of_the_hub(sim, vn, mac) || asked || removed
            };
            // A request under way is repeated as it is, for the sake of the last that ends.
            let said = self.purges.get(&(to, message.header.request_id));
            let owed = owed || said.is_some_and(|(.., said)| said.contains(&(mac, own)));
            let somebody = format!("a Purge to {to}, who was told nothing");
            self.expect(sim, HUB_NODE, owed, message, &somebody);
            let all = all || is_of_the_hub(sim, vn, mac);
            for (_, told) in self
                .told
                .iter_mut()
                .filter(|((there, name, of), _)| *there == vn && name.0 == to && (all || *of == mac))
            {
                told.over = true;
            }
        }
        self.settle(sim, via, message);
        self.purges.entry((to, message.header.request_id)).or_insert((now, vn, macs));
    }

    /// A router that moved keeps its port, and what it was told; who was told where it was is owed that this is untrue.
    fn moved(&mut self, sim: &Sim) {
        let now = sim.now;
        for (vn, plane) in &sim.nodes[HUB_NODE].planes {
            let after: BTreeMap<_, _> = plane.ports.iter().map(|(at, port)| (port.uplink, *at)).collect();
            let before = self.ports.insert(*vn, after.clone()).unwrap_or_default();
            let server = sim.nodes[HUB_NODE].settings.vns.get(vn).and_then(|vn| vn.server.as_ref());
            let shared = server.is_none_or(|server| server.shared_uplink);
            for (uplink, was) in before.into_iter().filter(|_| !shared) {
                let Some(to) = after.get(&uplink).copied().filter(|to| *to != was) else { continue };
                let name = |at: Vtep| (at.nbma, Some(at.vni));
                for ((of, asker, mac), told) in std::mem::take(&mut self.told) {
                    let asker = if (of, asker) == (*vn, name(was)) { name(to) } else { asker };
                    self.told.insert((of, asker, mac), told);
                }
                for ((of, there, mac), debt) in std::mem::take(&mut self.debts) {
                    let there = if (of, there) == (*vn, was.nbma) { to.nbma } else { there };
                    self.debts.insert((of, there, mac), debt);
                }
                for who in [&mut self.found, &mut self.early] {
                    if let Some(until) = who.get(&(*vn, was.nbma)).copied() {
                        who.insert((*vn, to.nbma), until);
                    }
                }
                for ((_, asker, mac), told) in self.told.iter().filter(|((of, ..), _)| of == vn) {
                    if told.at == Some(was) && *asker != name(to) && told.until > now && !told.over {
                        self.debts.entry((*vn, asker.0, *mac)).or_insert((now, told.until));
                    }
                }
            }
        }
    }

    /// After a call of the hub: whoever was told something that the bridge knows to be untrue was told so in it.
    fn owed(&mut self, sim: &Sim, call: &Call) {
        let now = sim.now;
        for (key, plane) in &sim.nodes[HUB_NODE].planes {
            if plane.is_listed {
                self.hub_listed.entry(*key).or_insert(now);
            }
            let listed = self.hub_listed.get(key).copied();
            self.debts.retain(|(vn, to, _), (since, until)| {
                // A request under way is repeated before a new one follows.
                let late = listed.is_some_and(|listed| now.since(listed.max(*since)) > RETRY) && *until > now;
                let there = vn != key || plane.ports.keys().any(|spoke| spoke.nbma == *to);
                sim.check(!late || !there, || {
                    format!("{to} is not told what has been untrue since {since:?}")
                });
                there
            });
            // Whose port is gone is told nothing any more.
            for ((_, name, _), told) in self.told.iter_mut().filter(|((vn, ..), _)| vn == key) {
                let spoke = name.1.map(|vni| Vtep { nbma: name.0, vni });
                told.over |= spoke.is_none_or(|spoke| !plane.ports.contains_key(&spoke));
            }
        }
        let Cause::News(vn, News::Fdb { mac, place }) = call.cause else { return };
        let place = match place {
            Place::At(spoke) => Some(spoke),
            Place::Local => None,
            Place::Tunnel | Place::Left(_) | Place::Gone | Place::Unplugged => return,
        };
        let ports = &sim.plane(HUB_NODE, vn).ports;
        if place.is_some_and(|spoke| !ports.contains_key(&spoke)) || self.is_restless(sim, vn, mac) {
            return;
        }
        let small = sim.nodes[HUB_NODE].settings.vns.get(&vn).and_then(|vn| vn.server.as_ref());
        let small = small.is_none_or(|server| server.max_macs < 100);
        for ((_, name, _), told) in self.told.iter().filter(|((v, _, m), _)| *v == vn && *m == mac) {
            let asker = name.1.map(|vni| Vtep { nbma: name.0, vni });
            let untrue = told.at != place && asker != place && (told.at.is_some() || !small);
            if untrue && told.until > now && !told.over {
                self.debts.entry((vn, name.0, mac)).or_insert((now, told.until));
            }
        }
        // What was sent in this call may have told it.
        for (via, octets) in &call.sent {
            if let Ok(message) = Message::parse(octets) {
                self.settle(sim, *via, &message);
            }
        }
    }

    /// A Purge Request settles what it is about; that of the hub itself all.
    fn settle(&mut self, sim: &Sim, via: Via, message: &Message<'_>) {
        if message.header.kind != Kind::PurgeRequest {
            return;
        }
        for cie in message.cies() {
            let Some(ProtocolAddress::Mac(mac)) = cie.address else { continue };
            let all = (1..48).contains(&cie.prefix) || is_of_the_hub(sim, vn_of(via.tag), mac);
            self.debts.retain(|(vn, to, of), _| {
                (*vn, *to) != (vn_of(via.tag), via.path.remote) || !(all || *of == mac)
            });
        }
    }

    fn is_restless(&self, sim: &Sim, vn: VnKey, mac: Mac) -> bool {
        let last = sim.nodes[HUB_NODE].told.iter().rev();
        let mut recent = last.take_while(|(at, ..)| sim.now.since(*at) < Duration::from_secs(120));
        recent.any(|(_, there, event)| {
            *there == vn && matches!(event, Event::Restless { mac: of, .. } if *of == mac)
        })
    }

    /// Looks at all tables.
    pub fn check(&mut self, sim: &Sim) {
        for (id, node) in sim.nodes.iter().enumerate() {
            // What is under way to an address arrives, though it was changed while no daemon ran.
            self.own.extend(node.addresses.iter().map(|address| (id, *address)));
        }
        for (id, node) in sim.nodes.iter().enumerate().filter(|(_, node)| node.alive && !node.sleeps) {
            self.count(sim, id);
            for vn in node.planes.keys() {
                match node.engine.report(sim.now, *vn) {
                    Some(VnReport::Hub(_)) => self.hub(sim, *vn),
                    Some(VnReport::Spoke(report)) => {
                        if let Standing::Registered { left, .. } = report.standing {
                            let most =
                                node.settings.holding_time.as_secs().max(self.longest_holding.as_secs());
                            sim.check(u64::from(left) <= most, || {
                                format!("node {id} is registered for {left} s")
                            });
                        }
                        self.spoke(sim, id, *vn);
                    }
                    None => sim.check(false, || format!("node {id} does not know {vn:?}")),
                }
            }
        }
    }

    fn count(&mut self, sim: &Sim, id: NodeId) {
        let node = &sim.nodes[id];
        let rows: Vec<_> = node.engine.statistics().rows().collect();
        if let Some((_, before)) = self.counters.get(&id).filter(|(run, _)| *run == node.run) {
            for ((name, before), (_, now)) in before.iter().zip(&rows) {
                sim.check(before <= now, || format!("node {id}: {name} went from {before} to {now}"));
            }
        }
        self.counters.insert(id, (node.run, rows));
    }

    fn hub(&mut self, sim: &Sim, vn: VnKey) {
        let node = &sim.nodes[HUB_NODE];
        let (max_macs, max_spokes) = self.largest[&(HUB_NODE, vn)];
        let peers = node.engine.peers(sim.now, vn, None, usize::MAX);
        let spokes = peers.iter().filter(|peer| peer.vni.is_some()).count();
        sim.check(spokes <= max_spokes as usize, || format!("{spokes} of {max_spokes} spokes"));
        let others = peers.len() - spokes;
        sim.check(others <= max_macs as usize, || format!("{others} clients without a VNI"));
        for peer in &peers {
            let count = peer.macs.len() + peer.addresses.len();
            sim.check(count <= ADDRESSES, || format!("{count} addresses of one client"));
        }
        let Some(VnReport::Hub(report)) = node.engine.report(sim.now, vn) else { return };
        // What is registered always finds room.
        let registered: usize = peers.iter().map(|peer| peer.macs.len() + peer.addresses.len()).sum();
        let most = max_macs as usize + registered;
        sim.check(report.macs as usize <= most, || format!("{} of {most} MACs", report.macs));
        let purges = PURGES * peers.len() as u32;
        sim.check(report.purges <= purges, || format!("{} purges wait", report.purges));
        let plane = sim.plane(HUB_NODE, vn);
        for spoke in plane.ports.keys() {
            let until = self.clients.get(&(vn, *spoke)).copied().unwrap_or_default();
            // A port nobody is registered for any more goes at once, but one of a daemon that has just started may
            // not have been looked at.
            let since = *self.deserted.entry((vn, *spoke)).or_insert(sim.now);
            let stays = sim.now.since(until.max(since));
            let waits = !plane.is_listed || !plane.is_up;
            sim.check(until >= sim.now || waits || stays < SLACK, || {
                format!("the port of {spoke} has been there for {stays:?} without a registration")
            });
        }
        self.deserted.retain(|(there, spoke), _| *there != vn || plane.ports.contains_key(spoke));
        for spoke in plane.ports.keys() {
            if self.clients.get(&(vn, *spoke)).is_some_and(|until| *until >= sim.now) {
                self.deserted.remove(&(vn, *spoke));
            }
        }
    }

    fn spoke(&self, sim: &Sim, id: NodeId, vn: VnKey) {
        let node = &sim.nodes[id];
        let rows = node.engine.macs(sim.now, vn, None, usize::MAX);
        let max = self.largest[&(id, vn)].0;
        let remote = rows.iter().filter(|row| row.state != MacState::Learned).count();
        sim.check(remote <= max as usize, || format!("node {id} follows {remote} of {max} MACs"));
        let plane = sim.plane(id, vn);
        if !plane.is_listed || !plane.is_up {
            return;
        }
        for (mac, shortcut) in &plane.shortcuts {
            if Some(shortcut.to) == plane.uplink {
                continue;
            }
            let until = self.answers.get(&(id, vn, *mac)).and_then(|answers| answers.get(&shortcut.to));
            sim.check(until.is_some_and(|until| *until >= sim.now), || {
                format!("node {id}: {mac} goes to {}, which nobody says; told until {until:?}", shortcut.to)
            });
        }
    }
}

/// Whether a MAC is the hub's own: who hears that it is taken back asks for all anew.
fn is_of_the_hub(sim: &Sim, vn: VnKey, mac: Mac) -> bool {
    sim.nodes[HUB_NODE].planes.get(&vn).is_some_and(|plane| plane.mac == mac)
}

/// The VN that a packet names. The first one is the default.
fn vn_of(tag: VpnTag) -> VnKey {
    match tag {
        VpnTag::Llc(vpn) => VnKey(vpn.index() as u16),
        VpnTag::Key(key) => VnKey(key as u16),
        VpnTag::None => VN,
    }
}
