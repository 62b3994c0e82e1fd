//! The protocol among enemies: one who is not on the path, sees nothing and may send anything with any source address; and
//! one who is on it, who captures, replays, delays, reorders and drops. `DMEVPN_SEED` repeats a failure.

mod sim;

use dmevpn::engine::report::PeerRow;
use dmevpn::engine::settings::{Algorithm, KeySettings, KeyText, Settings};
use dmevpn::engine::{Event, Input, Order, Place, Port, Statistics, Via, Why};
use dmevpn::time::Instant;
use dmevpn::types::{Nbma, Vni, Vtep};
use dmevpn::wire::nhrp::{Cie, Header, Kind, Message, ProtocolAddress, Tags, Writer, checksum, code};
use dmevpn::wire::{MAX_NHRP, Prefix};
use sim::build::*;
use sim::rng::Rng;
use sim::{Call, Cause, Net, NodeId, Sim, Watch, seed};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

const HOLDING: u64 = 120;
const HUB_NODE: NodeId = 0;
const SPOKES: usize = 4;
const STEP: Duration = Duration::from_millis(100);
/// So many packets are remembered.
const CAPTURED: usize = 400;
/// Who wants to be registered is, after this, whatever happens on the way.
const AT_LAST: Duration = Duration::from_secs(300);

fn hub_nbma() -> Nbma {
    nbma("10.0.0.254")
}

fn star(seed: u64, net: Net) -> Sim {
    star_of(seed, net, |settings| settings)
}

fn star_of(seed: u64, net: Net, with: impl Fn(Settings) -> Settings) -> Sim {
    let mut sim = Sim::new(seed, net);
    sim.add(&[hub_nbma()], with(hub_settings(HOLDING)), None);
    for n in 1..=SPOKES {
        sim.add(&[spoke_nbma(n)], with(spoke_settings(HOLDING, 100 + n as u32)), Some(hub_nbma()));
        sim.settle(station(n), n, VN);
    }
    sim
}

fn with_prefix(via: Via, nhrp: &[u8]) -> Vec<u8> {
    [Prefix::gre(via.tag).as_bytes(), nhrp].concat()
}

/// What the hub has of a spoke.
fn peer(sim: &Sim, spoke: NodeId) -> Option<PeerRow> {
    let peers = sim.nodes[HUB_NODE].engine.peers(sim.now, VN, None, 99);
    peers.into_iter().find(|peer| sim.nodes[spoke].addresses.contains(&peer.nbma))
}

/// What is seen on the wire, and what comes of it.
#[derive(Default)]
struct Seen {
    captured: VecDeque<(Via, Vec<u8>)>,
    /// When each registration was sent first, by spoke; and which one the hub acted on last.
    sent: BTreeMap<Vec<u8>, u64>,
    acted: BTreeMap<Nbma, (u64, Instant)>,
    /// Purges that a spoke acted on, and how often it had done so for one.
    purges: BTreeSet<(NodeId, Vec<u8>)>,
    purged: BTreeMap<NodeId, usize>,
    count: u64,
    wrong: Vec<String>,
}

struct Tap(Rc<RefCell<Seen>>);

impl Watch for Tap {
    fn saw(&mut self, sim: &Sim, call: &Call) {
        self.0.borrow_mut().saw(sim, call);
    }
}

impl Seen {
    fn saw(&mut self, sim: &Sim, call: &Call) {
        for (via, octets) in &call.sent {
            self.count += 1;
            let kind = Message::parse(octets).unwrap().header.kind;
            if call.node != HUB_NODE && kind == Kind::RegistrationRequest {
                self.sent.entry(octets.clone()).or_insert(self.count);
            }
            self.captured.push_back((*via, octets.clone()));
            if self.captured.len() > CAPTURED {
                self.captured.pop_front();
            }
        }
        let now_purged =
            sim.told(call.node, |event| matches!(event, Event::ShortcutDown { why: Why::Purged, .. }));
        let purged = self.purged.insert(call.node, now_purged).is_some_and(|before| now_purged > before);
        let Cause::Packet(via, octets) = &call.cause else { return };
        let Ok(Message { header: Header { kind, .. }, .. }) = Message::parse(octets) else { return };
        let acts = call.node != HUB_NODE && kind == Kind::PurgeRequest && purged;
        if acts && !self.purges.insert((call.node, octets.clone())) {
            self.wrong.push(format!("node {} acts on a purge twice", call.node));
        }
        if call.node == HUB_NODE && kind == Kind::RegistrationRequest {
            self.registered(sim, via.path.remote, octets);
        }
    }

    /// The hub heard a registration: whether it was acted on, and is not older than the last one that was.
    fn registered(&mut self, sim: &Sim, from: Nbma, octets: &[u8]) {
        let peers = sim.nodes[HUB_NODE].engine.peers(sim.now, VN, None, 99);
        let Some(peer) = peers.iter().find(|peer| peer.nbma == from && !peer.macs.is_empty()) else { return };
        let until = sim.now + Duration::from_secs(peer.left.into());
        let (last, before) = self.acted.get(&from).copied().unwrap_or_default();
        if until.since(before) < Duration::from_secs(2) {
            return;
        }
        match self.sent.get(octets) {
            None => self.wrong.push(format!("the hub acts on what {from} never sent")),
            Some(n) if *n < last => {
                self.wrong.push(format!("the hub acts on an older registration of {from}"))
            }
            Some(n) => {
                self.acted.insert(from, (*n, until));
            }
        }
    }
}

/// Something that looks like a packet that somebody sent, with tags that nobody gave its sender.
fn forged(rng: &mut Rng, sim: &Sim, (via, octets): &(Via, Vec<u8>)) -> Option<(Nbma, Nbma, Vec<u8>)> {
    let all: Vec<Nbma> = sim.nodes.iter().map(|node| node.addresses[0]).collect();
    let stranger = nbma("10.0.9.9");
    let message = Message::parse(octets).ok()?;
    let mut header = message.header;
    let (mut from, mut to) = (via.path.local, via.path.remote);
    if rng.percent(30) {
        header.kind = [
            Kind::ResolutionRequest,
            Kind::ResolutionReply,
            Kind::RegistrationRequest,
            Kind::RegistrationReply,
            Kind::PurgeRequest,
            Kind::PurgeReply,
            Kind::Error,
        ][rng.below(7) as usize];
    }
    if rng.percent(30) {
        (from, to) = (to, from);
    }
    if rng.percent(20) {
        from = all[rng.below(all.len() as u64) as usize];
    }
    if rng.percent(20) {
        to = all[rng.below(all.len() as u64) as usize];
    }
    if rng.percent(10) {
        // From where nobody is: a router that moves.
        from = stranger;
    }
    if rng.percent(50) {
        header.nbma = from;
    }
    if rng.percent(20) {
        header.vni = Vni::new(100 + rng.below(6) as u32);
    }
    if rng.percent(50) {
        header.request_id = header.request_id.wrapping_add(rng.below(20) as u32).wrapping_sub(4);
    }
    let mac = |n: u64| ProtocolAddress::Mac(if n == 0 { bridge(HUB_NODE) } else { station(n as usize) });
    if rng.percent(20) {
        header.destination = Some(mac(rng.below(5)));
    }
    let mut cies: Vec<Cie> = message.cies().collect();
    if rng.percent(40) || cies.is_empty() {
        let place = if rng.percent(50) { stranger } else { all[rng.below(all.len() as u64) as usize] };
        cies.insert(
            0,
            Cie {
                code: if rng.percent(30) {
                    [code::PROHIBITED, code::NO_BINDING][rng.below(2) as usize]
                } else {
                    code::OK
                },
                prefix: [0xff, 1, 48][rng.below(3) as usize],
                holding: [600, 65_535, 0][rng.below(3) as usize],
                nbma: rng.percent(70).then_some(place),
                vni: Vni::new(100 + rng.below(6) as u32),
                address: rng.percent(80).then(|| {
                    if rng.percent(50) { mac(rng.below(5)) } else { header.source.unwrap_or(mac(1)) }
                }),
                ..Cie::default()
            },
        );
    }
    let tags = match rng.below(5) {
        0 => None,
        1 => Some(Tags::default()),
        2 => Some(Tags { sender: rng.next(), receiver: 0 }),
        3 => Some(Tags { sender: 0, receiver: rng.next() }),
        _ => Some(Tags { sender: rng.next(), receiver: rng.next() }),
    };
    let mut buf = vec![0; MAX_NHRP];
    let mut writer = Writer::new(&mut buf, &header);
    if header.kind == Kind::Error {
        writer.packet_in_error(octets.get(..20)?);
    } else {
        cies.iter().for_each(|cie| {
            writer.cie(cie);
        });
    }
    message.extensions().filter(|e| e.kind != dmevpn::wire::nhrp::kind::VENDOR).for_each(|extension| {
        writer.extension(extension);
    });
    if let Some(tags) = tags {
        writer.tags(tags);
    }
    let len = writer.finish()?;
    Some((from, to, with_prefix(*via, &buf[..len])))
}

/// All register, and each station talks to the next one.
fn all_talk(sim: &mut Sim) {
    sim.until(Duration::from_secs(60), "registering", |sim| (1..=SPOKES).all(|id| sim.registered(id, VN)));
    for n in 1..=SPOKES {
        let (one, other) = (station(n), station(n % SPOKES + 1));
        sim.converse(one, other, Duration::from_secs(1), Duration::from_secs(400));
    }
    sim.run_secs(20);
}

/// All are registered, by the same ports as before, and talk by right shortcuts.
fn check_all_stands(sim: &Sim, ports: &BTreeMap<Vtep, Port>) {
    for n in 1..=SPOKES {
        let right = sim.right(n, station(n % SPOKES + 1));
        let shortcut = sim.shortcut(n, VN, station(n % SPOKES + 1));
        sim.check(shortcut.is_some() && shortcut == right, || format!("node {n}: {shortcut:?}"));
        sim.check(sim.registered(n, VN), || format!("node {n} is not registered"));
    }
    let there = &sim.plane(HUB_NODE, VN).ports;
    sim.check(there == ports, || format!("{there:?} instead of {ports:?}"));
}

/// What nobody is told of whom an enemy does nothing.
fn is_harm(event: &Event) -> bool {
    matches!(
        event,
        Event::SpokeDown { .. }
            | Event::SpokeMoved { .. }
            | Event::Rivals(_)
            | Event::RegistrationLost { .. }
            | Event::Refused { .. }
            | Event::ShortcutDown { why: Why::Purged | Why::Denied, .. }
            | Event::MacMoved { .. }
    )
}

/// Whatever is sent by who sees nothing: nobody notices.
#[test]
fn an_enemy_off_the_path_has_no_effect() {
    let seed = seed();
    for round in 0..4 {
        let mut sim = star(seed + round, Net::GOOD);
        let mut rng = Rng(seed ^ (round + 77));
        let seen = Rc::new(RefCell::new(Seen::default()));
        sim.watch = Some(Box::new(Tap(seen.clone())));
        all_talk(&mut sim);
        let ports = sim.plane(HUB_NODE, VN).ports.clone();
        let lost = sim.frames_lost();
        let asked: u32 = (1..=SPOKES).map(|id| sim.nodes[id].engine.statistics().tx_register_req).sum();
        for step in 0..1200 {
            for _ in 0..30 {
                let packet = {
                    let seen = seen.borrow();
                    seen.captured[rng.below(seen.captured.len() as u64) as usize].clone()
                };
                if let Some((from, to, octets)) = forged(&mut rng, &sim, &packet) {
                    sim.inject(from, to, octets);
                }
            }
            sim.run(STEP);
            if step % 50 == 49 {
                check_all_stands(&sim, &ports);
            }
        }
        sim.check(sim.frames_lost() <= lost + 4, || format!("{} frames were lost", sim.frames_lost() - lost));
        for id in 0..=SPOKES {
            let told = sim.told(id, is_harm);
            sim.check(told == 0, || format!("node {id}: {:?}", sim.nodes[id].told));
            let statistics = sim.nodes[id].engine.statistics();
            sim.check(statistics.rx_wrong_tags > 100, || format!("node {id} counts {statistics:?}"));
        }
        // A hint is followed once in a second at most.
        let asks: u32 = (1..=SPOKES).map(|id| sim.nodes[id].engine.statistics().tx_register_req).sum();
        sim.check(asks - asked <= 4 * (121 + 4), || format!("they registered {} times", asks - asked));
        sim.check(seen.borrow().wrong.is_empty(), || format!("{:?}", seen.borrow().wrong));
    }
}

/// All have two keys, of which the enemy has none.
fn with_keys(mut settings: Settings) -> Settings {
    let key = |spi: u16, secret: &[u8]| KeySettings {
        name: format!("k{spi}"),
        spi,
        algorithm: Algorithm::HmacSha256,
        secret: KeyText::new(secret.to_vec()),
        spoke: None,
    };
    for (_, vn) in settings.vns.iter_mut() {
        vn.keys.keys = vec![key(300, b"nobody else knows"), key(301, b"nobody else knows either")];
    }
    settings
}

/// What becomes of a packet in the hands of who has it, and no key.
fn tampered(rng: &mut Rng, sim: &Sim, (via, octets): &(Via, Vec<u8>)) -> Option<(Nbma, Nbma, Vec<u8>)> {
    let (mut from, mut to) = (via.path.local, via.path.remote);
    let all: Vec<Nbma> = sim.nodes.iter().map(|node| node.addresses[0]).collect();
    let mut octets = octets.clone();
    match rng.below(6) {
        // Once more, and late.
        0 => {}
        1 => std::mem::swap(&mut from, &mut to),
        2 => {
            from = if rng.percent(50) { nbma("10.0.9.9") } else { all[rng.below(all.len() as u64) as usize] }
        }
        // Other octets, and all of the rest right.
        3 => {
            for _ in 0..=rng.below(3) {
                let at = rng.below(octets.len() as u64) as usize;
                octets[at] ^= 1 << rng.below(8);
            }
            octets[12..14].fill(0);
            let sum = checksum(&octets);
            octets[12..14].copy_from_slice(&sum.to_be_bytes());
        }
        // Something else in its session: a withdrawal of all, or a NAK; not signed, or by who knows the number of a key.
        how => {
            let message = Message::parse(&octets).ok()?;
            let mut header = message.header;
            header.request_id = header.request_id.wrapping_add(rng.below(3) as u32);
            if rng.percent(30) && header.kind == Kind::RegistrationRequest {
                header.kind = Kind::PurgeRequest;
            }
            let mut buf = vec![0; MAX_NHRP];
            let mut writer = Writer::new(&mut buf, &header);
            writer.packet_in_error(message.packet_in_error());
            let code = if rng.percent(50) { code::PROHIBITED } else { code::OK };
            let prefix = if rng.percent(30) { 1 } else { 0xff };
            for cie in message.cies() {
                writer.cie(&Cie { code, prefix, address: cie.address.or(header.source), ..cie });
            }
            for extension in
                message.extensions().filter(|e| e.kind != dmevpn::wire::nhrp::kind::AUTHENTICATION)
            {
                writer.extension(extension);
            }
            let digest = rng.next().to_be_bytes();
            let len = match how {
                4 => writer.finish(),
                _ => writer.finish_signed(300, None, |_| [digest, digest].concat().try_into().unwrap()),
            };
            buf.truncate(len?);
            octets = buf;
        }
    }
    Some((from, to, with_prefix(*via, &octets)))
}

/// Where all is signed, who has every packet in hand and no key can do nothing but keep packets: what is altered, forged in its
/// session, sent once more, late, or from elsewhere changes nothing at all.
#[test]
fn an_enemy_on_the_path_without_a_key_has_no_effect() {
    let seed = seed();
    for round in 0..3 {
        let mut sim = star_of(seed + round, Net::GOOD, with_keys);
        let mut rng = Rng(seed ^ (round + 777));
        let seen = Rc::new(RefCell::new(Seen::default()));
        sim.watch = Some(Box::new(Tap(seen.clone())));
        all_talk(&mut sim);
        let ports = sim.plane(HUB_NODE, VN).ports.clone();
        let lost = sim.frames_lost();
        let before: Vec<Statistics> = sim.nodes.iter().map(|node| node.engine.statistics()).collect();
        let mut late: BTreeMap<(Instant, u64), (Nbma, Nbma, Vec<u8>)> = BTreeMap::new();
        for step in 0..1200_u64 {
            for n in 0..10 {
                let packet = {
                    let seen = seen.borrow();
                    seen.captured[rng.below(seen.captured.len() as u64) as usize].clone()
                };
                let at = sim.now + Duration::from_millis(if rng.percent(20) { rng.below(60_000) } else { 0 });
                late.extend(tampered(&mut rng, &sim, &packet).map(|packet| ((at, step * 10 + n), packet)));
            }
            while let Some(entry) = late.first_entry().filter(|entry| entry.key().0 <= sim.now) {
                let (from, to, octets) = entry.remove();
                sim.inject(from, to, octets);
            }
            sim.run(STEP);
            if step % 50 == 49 {
                check_all_stands(&sim, &ports);
            }
        }
        sim.check(sim.frames_lost() <= lost + 4, || format!("{} frames were lost", sim.frames_lost() - lost));
        for (id, before) in before.iter().enumerate() {
            let told = sim.told(id, |event| is_harm(event) || matches!(event, Event::SpokeRefused { .. }));
            sim.check(told == 0, || format!("node {id}: {:?}", sim.nodes[id].told));
            let now = sim.nodes[id].engine.statistics();
            sim.check(now.rx_unauthenticated > 100, || format!("node {id} counts {now:?}"));
            sim.check(now.sessions == before.sessions, || format!("node {id} counts {now:?}"));
            // A third of the holding time, for 120 s.
            let asks = now.tx_register_req - before.tx_register_req;
            sim.check(asks <= 6, || format!("node {id} registered {asks} times"));
        }
        sim.check(seen.borrow().wrong.is_empty(), || format!("{:?}", seen.borrow().wrong));
    }
}

/// What a spoke does at the moment.
#[derive(Clone, Copy, PartialEq)]
enum Wish {
    Registered { since: Instant },
    Gone { confirmed: bool },
}

/// On the path there is no secret: but nothing comes of what comes late, once more or in another order, whoever is started
/// again meanwhile, and though what was saved is lost.
#[test]
fn an_enemy_on_the_path_replays_in_vain() {
    let seed = seed();
    for round in 0..6 {
        let loss = if round % 2 == 0 { 0 } else { 30 };
        let net = Net { loss, duplicates: 5, delay: (5, 400), ..Net::GOOD };
        let mut sim = star(seed + round, net);
        let mut rng = Rng(seed ^ (round + 7777));
        let seen = Rc::new(RefCell::new(Seen::default()));
        sim.watch = Some(Box::new(Tap(seen.clone())));
        for n in 1..=SPOKES {
            sim.converse(
                station(n),
                station(n % SPOKES + 1),
                Duration::from_secs(1),
                Duration::from_secs(2000),
            );
        }
        let mut late: BTreeMap<(Instant, u64), (Via, Vec<u8>)> = BTreeMap::new();
        let mut wishes = [Wish::Registered { since: sim.now }; SPOKES + 1];
        let (mut trouble, mut calm) = (sim.now, sim.now);
        for step in 0..15_000_u64 {
            // Replays, at once and much later.
            if rng.percent(30) {
                let seen = seen.borrow();
                if let Some(packet) = seen.captured.get(rng.below(seen.captured.len().max(1) as u64) as usize)
                {
                    let most = if rng.percent(10) { 200_000 } else { 5000 };
                    let at = sim.now + Duration::from_millis(rng.below(most));
                    late.insert((at, step), packet.clone());
                }
            }
            while let Some(entry) = late.first_entry().filter(|entry| entry.key().0 <= sim.now) {
                let (via, octets) = entry.remove();
                sim.inject(via.path.local, via.path.remote, with_prefix(via, &octets));
            }
            let one = 1 + rng.below(SPOKES as u64) as usize;
            match rng.below(2500) {
                0 | 1 => {
                    sim.nodes[HUB_NODE].saved_request_id = rng.below(5) as u32;
                    if rng.percent(50) {
                        sim.restart(HUB_NODE)
                    } else {
                        sim.reboot(HUB_NODE)
                    }
                    trouble = sim.now;
                }
                2..=5 if wishes[one] != (Wish::Gone { confirmed: false }) => {
                    sim.nodes[one].saved_request_id = 0;
                    sim.restart(one);
                    wishes[one] = Wish::Registered { since: sim.now };
                }
                6..=9 if sim.registered(one, VN) => {
                    sim.input(one, Input::Order(Order::Stop));
                    wishes[one] = Wish::Gone { confirmed: false };
                }
                10 => sim.cut(HUB_NODE, one),
                11..=40 => {
                    sim.cut.clear();
                    calm = sim.now;
                }
                41..=60 => {
                    // Somebody is told that a station moved.
                    let mac = station(one);
                    let news = dmevpn::engine::News::Fdb { mac, place: Place::Local };
                    sim.input(HUB_NODE, Input::News { vn: VN, news });
                }
                _ => {}
            }
            sim.run(STEP);
            for (id, wish) in wishes.iter_mut().enumerate().skip(1) {
                match *wish {
                    Wish::Gone { confirmed: false } => {
                        let withdrawn = sim.told(id, |event| *event == Event::Withdrawn);
                        if sim.nodes[id].engine.is_stopped() {
                            // The withdrawal may have been lost, then nobody confirmed it.
                            let last = sim.nodes[id].told.last().map(|(_, _, event)| *event);
                            let confirmed = withdrawn > 0 && last == Some(Event::Withdrawn);
                            *wish = Wish::Gone { confirmed };
                            if !confirmed {
                                sim.restart(id);
                                *wish = Wish::Registered { since: sim.now };
                            }
                        }
                    }
                    Wish::Gone { confirmed: true } => {
                        let there = peer(&sim, id);
                        sim.check(there.is_none(), || format!("round {round}: a ghost: {there:?}"));
                        if rng.percent(1) {
                            sim.nodes[id].saved_request_id = 0;
                            sim.restart(id);
                            *wish = Wish::Registered { since: sim.now };
                        }
                    }
                    Wish::Registered { since } => {
                        if sim.registered(id, VN) && peer(&sim, id).is_some_and(|peer| !peer.macs.is_empty())
                        {
                            *wish = Wish::Registered { since: sim.now };
                        }
                        let waits = sim.now.since(since.max(trouble).max(calm));
                        let is_cut = sim.is_cut(HUB_NODE, id);
                        sim.check(is_cut || waits < AT_LAST, || {
                            format!("round {round}: node {id} waits {waits:?}")
                        });
                    }
                }
            }
            let wrong = seen.borrow().wrong.clone();
            sim.check(wrong.is_empty(), || format!("round {round}: {wrong:?}"));
        }
        println!("round {round}: {} purges were acted on", seen.borrow().purges.len());
    }
}
