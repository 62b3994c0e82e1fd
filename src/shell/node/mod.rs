//! The engine and everything it acts on, in one place: inputs go in, effects are performed.

mod reading;

use super::audience::log::{OPERATOR, happening};
use super::audience::{Audience, Happened, Listener};
use super::clock::{self, Clock};
use super::dataplane::{Dataplane, Forwarder, Inputs};
use super::netlink::Events;
use super::pace::Pace;
use super::probes::Probes;
use super::random::random;
use super::settings::{Names, settings};
use super::state::{Linked, State};
use super::underlay::{MAX_PACKET, News, Underlay};
use super::wait::Sources;
use super::words::InWords;
use crate::config::{Config, Role, Vn};
use crate::control::{Cause, words};
use crate::engine::News::{FoundClient, FoundHubs};
use crate::engine::{
    Act, Effect, Effects, Engine, Event, Input, IpClient, Item, Order, Plane, Probing, Secret, Settings,
    Start, Told, VnKey,
};
use crate::time::Instant;
use crate::types::{Mac, Nbma};
use crate::view::record;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::Waker;
use std::time::Duration;

/// Of how all stands so many MACs are told at a time.
const SCENE: usize = 64;

/// Packets are looked at after this, even if it is not known yet which devices there are.
const START: Duration = Duration::from_secs(3);

/// A turn should never take that long.
const SLOW: Duration = Duration::from_millis(50);

/// A daemon's state.
#[derive(Debug)]
pub struct Node {
    pub(super) config: Config,
    pub(super) names: Names,
    pub(super) engine: Engine,
    pub(super) clock: Clock,
    pub(super) dataplane: Dataplane,
    pub(super) audience: Audience,
    state: State,
    effects: Effects,
    inputs: Inputs,
    events: Events,
    underlay: Underlay,
    probes: Probes,
    /// Probes that wait for the guard: who hears one may answer, or send frames.
    held: Vec<(VnKey, Probing)>,
    /// The clients that an earlier run had, until they are told of.
    found: Vec<(String, IpClient)>,
    /// To how many other hubs an earlier run was linked, until it is told of.
    linked: Vec<Linked>,
    /// When a hub's clients are to be saved, and to how many other hubs it is linked, since there may be others.
    keeps: Pace,
    /// Whether events are left for the next turn.
    is_behind: bool,
    /// Whether the devices are known that there were at the start.
    serves: bool,
    /// Where packets are read to.
    buffer: Vec<u8>,
}

impl Node {
    /// A node that does nothing until [`Node::apply`]. `waker` is called when a turn is due for what went on beside it.
    pub fn open(config: Config, waker: Waker) -> io::Result<Node> {
        let state = State::load(&config.main.state_file)?;
        let start = Start {
            request_id: state.request_id(),
            secret: Secret::new(&random::<32>()?),
            identity: state.identity().secret(),
        };
        let clock = Clock::start();
        Ok(Node {
            engine: Engine::new(config.main.holding_time, &start),
            config,
            names: Names::default(),
            clock,
            // Events first: what changes while the devices are looked at is not missed.
            events: Events::open()?,
            dataplane: Dataplane::open(state.identity(), clock, waker.clone())?,
            audience: Audience::default(),
            found: state.clients(),
            linked: state.linked(),
            keeps: Pace::default(),
            state,
            effects: Effects::default(),
            inputs: Inputs::new(),
            underlay: Underlay::open(waker)?,
            probes: Probes::open(),
            held: Vec::new(),
            is_behind: false,
            serves: false,
            buffer: vec![0; MAX_PACKET],
        })
    }

    /// Takes over a configuration; only what it changes is disturbed.
    pub fn apply(&mut self, config: Config) {
        for (what, differs) in [
            ("socket", self.config.main.socket != config.main.socket),
            ("state_file", self.config.main.state_file != config.main.state_file),
        ] {
            if differs {
                log::warn!(target: OPERATOR, "option '{what}' takes effect when the daemon is started again");
            }
        }
        log::set_max_level(config.main.log_level);
        self.names.learn(&config);
        // Devices that have to be others go first: what is withdrawn with them is registered once, with the new ones.
        self.dataplane.configure(&config, &self.names, &mut self.inputs);
        self.work();
        let now = self.clock.now();
        // A VN that is made anew goes on with its clients.
        let clients = self.clients().map(|(vn, client)| (vn.to_owned(), client));
        let clients: Vec<_> = clients.collect();
        self.found.extend(clients);
        let all = self.settings(&config);
        let next = self.engine.next_request_id();
        self.record(|out, _| record::settings(out, &all, next));
        self.engine.apply(now, all, &mut self.effects);
        self.perform();
        for (vn, client) in core::mem::take(&mut self.found) {
            if let Some(vn) = self.names.vn(&vn) {
                self.inputs.push_back(Input::News { vn, news: FoundClient(client) });
            }
        }
        for linked in core::mem::take(&mut self.linked) {
            let there = config.vns.iter().find(|vn| vn.name == linked.vn);
            if let (Some(vn), Some(Role::Hub(role))) = (self.names.vn(&linked.vn), there.map(|vn| &vn.role)) {
                self.inputs.push_back(Input::News { vn, news: FoundHubs(linked.most_of(&role.peers)) });
            }
        }
        self.keeps.stirred(now);
        let news = self.underlay.configure(&config, &self.names);
        self.tell_ways(news);
        self.config = config;
        self.look();
    }

    /// An input for the engine, and all that follows from it.
    pub fn input(&mut self, input: Input<'_>) {
        self.input_at(self.clock.now(), input);
    }

    fn input_at(&mut self, now: Instant, input: Input<'_>) {
        self.handle(now, input);
        self.work();
    }

    /// One turn: what is there to be read goes to the engine, a bounded part of each source, and all that follows from
    /// it is done.
    pub fn turn(&mut self, sources: &Sources) {
        // Others judge this router by how soon it answers.
        self.hear_probes(sources);
        let began = self.now();
        let was_behind = core::mem::replace(&mut self.is_behind, false);
        if was_behind || sources.have(self.events.as_fd()) {
            self.kernel_events();
        }
        self.kernel_done();
        // An address is told by the events, and by its route: one look is for both.
        if self.underlay.hear(self.now(), sources) {
            self.look();
        }
        if self.engine.deadline().is_some_and(|at| at <= began) {
            self.input(Input::Tick);
        }
        if self.keeps.due().is_some_and(|at| at <= began) {
            self.keep();
        }
        for place in 0.. {
            if !self.serves(began) {
                break;
            }
            let Some(tunnel) = self.underlay.tunnel(began, place) else { break };
            if sources.have(tunnel.as_fd()) {
                self.packets(&tunnel);
            }
        }
        let took = self.now().since(began);
        if took > SLOW {
            log::debug!("a turn took {} ms", took.as_millis());
        }
        self.audience.resume();
    }

    /// What there is to wait for at `now`.
    pub fn sources(&self, now: Instant) -> impl Iterator<Item = BorrowedFd<'_>> {
        let underlay = self.serves(now).then(|| self.underlay.sources(now));
        core::iter::once(self.events.as_fd())
            .chain(self.probes.sources())
            .chain(underlay.into_iter().flatten())
    }

    /// Whether packets are looked at: until it is known which ports there are, what is registered is not known either.
    fn serves(&self, now: Instant) -> bool {
        self.serves || now >= Instant::from_millis(0) + START
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// When a turn is due, though there may be nothing to read.
    pub fn deadline(&self) -> Option<Instant> {
        let now = self.now();
        let at_once = self.is_behind.then_some(now);
        let serves = (!self.serves).then_some(Instant::from_millis(0) + START).filter(|at| *at > now);
        let engine = [self.engine.deadline(), self.keeps.due()];
        let all = [self.underlay.deadline(now), self.dataplane.deadline(), at_once, serves];
        engine.into_iter().chain(all).flatten().min()
    }

    /// The underlay addresses in use.
    pub fn nbma(&self) -> Vec<Nbma> {
        self.underlay.nbma()
    }

    /// What is wrong beside the VNs: why there is no underlay address, where the configuration says which it is to be;
    /// or why nothing outlives the daemon.
    pub fn own_trouble(&self) -> Option<Cause> {
        self.underlay.own_trouble().cloned().or_else(|| self.state.trouble())
    }

    /// The MAC of a VN's bridge, and why the VN does not work.
    pub fn standing(&self, vn: &Vn, key: VnKey) -> (Option<Mac>, Option<Cause>) {
        let (mac, trouble) = self.dataplane.state(key);
        let way = match &vn.role {
            Role::Spoke(_) => self.engine.hub(key).and_then(|hub| self.underlay.trouble(Some(hub))),
            Role::Hub(_) => self.underlay.trouble(None),
        };
        // That a spoke's devices wait for the way says less than why there is none.
        let other = trouble.clone().filter(|t| *t != Cause::NoWay);
        (mac, other.or_else(|| way.cloned()).or(trouble))
    }

    /// What a VN lacks that may work nevertheless: a hub that nothing leads to, or what the kernel cannot do.
    pub fn lack(&self, key: VnKey) -> Option<&Cause> {
        self.underlay.lack(key).or_else(|| self.dataplane.lack(key))
    }

    /// Withdraws; [`Node::is_stopped`] tells when that is done.
    pub fn stop(&mut self) {
        self.input(Input::Order(Order::Stop));
    }

    /// Whether all is withdrawn: the daemon may end.
    pub fn is_stopped(&self) -> bool {
        self.engine.is_stopped()
    }

    /// What is to outlive the daemon is written, unless that takes long.
    pub fn settle_state(&mut self) {
        if self.keeps.due().is_some() {
            self.keep();
        }
        self.state.settle();
    }

    /// The next run goes on with the clients that registered IP addresses, and misses the other hubs that it is not linked to.
    fn keep(&mut self) {
        let clients: Vec<_> = self.clients().map(|(vn, client)| (vn.to_owned(), client)).collect();
        let linked = self.config.vns.iter().filter_map(|vn| {
            let Role::Hub(role) = &vn.role else { return None };
            let most = self.engine.most_hubs(self.names.vn(&vn.name)?);
            (most > 0).then(|| Linked { vn: vn.name.clone(), most, peers: role.peers.clone() })
        });
        let linked: Vec<_> = linked.collect();
        let wrote = self.state.save_found(&clients, &linked);
        self.keeps.looked(self.now(), wrote);
    }

    /// Clients that registered IP addresses, each with the name of its VN.
    fn clients(&self) -> impl Iterator<Item = (&str, IpClient)> {
        let vns = self.config.vns.iter().filter_map(|vn| Some((vn.name.as_str(), self.names.vn(&vn.name)?)));
        vns.flat_map(|(name, vn)| self.engine.ip_clients(vn).map(move |client| (name, client)))
    }

    /// What is to be gone when the daemon is, goes.
    pub fn leave(&mut self) {
        self.dataplane.leave();
    }

    /// Looks which addresses lead where. What the kernel has to be asked for that is known in another turn.
    fn look(&mut self) {
        let question = self.underlay.look(self.clock.now());
        question.into_iter().for_each(|question| self.dataplane.ask_home(question));
        self.ways();
    }

    /// Acts on what is new of which addresses lead where.
    fn ways(&mut self) {
        let before = self.underlay.device_index();
        let news = self.underlay.ways(self.clock.now());
        self.tell_ways(news);
        let device = self.underlay.device_index();
        // It has none of them either where it was off.
        if self.underlay.take_was_off() || device != before {
            self.move_neighbours(before, device);
        }
        self.send_from();
        self.dataplane.take_from_hubs(&self.underlay.hubs());
        let via = self.underlay.via();
        if let Some(via) = via {
            self.dataplane.send_by(via, &self.engine);
        }
        self.probes.send_by(self.config.main.udp_port, via);
        self.work();
    }

    /// Spokes' frames are sent from where their packets to the hub are.
    fn send_from(&mut self) {
        self.dataplane.send_from(&self.underlay.origins(|vn| self.engine.hub(vn)));
    }

    /// The tunnels' device is another one, be it of the same name, and has none of the entries.
    fn move_neighbours(&mut self, from: Option<u32>, to: Option<u32>) {
        let keys = self.config.vns.iter().filter_map(|vn| self.names.vn(&vn.name));
        let planes = keys.filter_map(|key| self.engine.plane(key));
        for (address, nbma) in planes.flat_map(Plane::neighbours) {
            from.into_iter().for_each(|device| self.dataplane.neighbour(device, address, None));
            to.into_iter().for_each(|device| self.dataplane.neighbour(device, address, Some(nbma)));
        }
    }

    fn tell_ways(&mut self, news: News) {
        self.inputs.extend(news.into_iter().map(|(hub, path)| Input::Hub { hub, path }));
    }

    /// Settles, and has the kernel brought up to date.
    fn work(&mut self) {
        loop {
            self.settle();
            let now = self.clock.now();
            self.dataplane.hand_out(&self.engine, now, &mut self.inputs);
            if self.inputs.is_empty() {
                break;
            }
        }
        for (vn, probing) in core::mem::take(&mut self.held) {
            self.probe(vn, probing);
        }
        // Not before: from an address that is in use no more there may still be a withdrawal to send.
        self.underlay.close();
    }

    /// Performs the effects there are, gives the engine what came of them, and so on until there is nothing to do.
    fn settle(&mut self) {
        loop {
            self.perform();
            let Some(input) = self.inputs.pop_front() else { break };
            let now = self.clock.now();
            self.handle(now, input);
        }
    }

    /// The engine takes in an input, and those who record are told.
    fn handle(&mut self, now: Instant, input: Input<'_>) {
        let limited = self.engine.rate_limited();
        self.engine.handle(now, input, &mut self.effects);
        match input {
            Input::Packet { .. } | Input::Relayed { .. } if self.engine.rate_limited() != limited => {
                self.audience.leave_out();
            }
            _ => self.record(|out, tags| record::input(out, tags, now, &input)),
        }
    }

    /// Tells those who record what goes in and out, if there are any.
    fn record(&mut self, write: impl FnOnce(&mut String, &mut record::Tags)) {
        if self.audience.is_recorded() {
            self.audience.record(write);
        }
    }

    /// Begins a record: how all stands, as what a daemon that is started now would be told and find; and registrations. Of a
    /// hub there may be more to tell, by [`Node::go_on_recording`].
    pub fn begin_record(&mut self, out: &mut String) -> (Listener, Option<Told>) {
        let all = self.settings(&self.config);
        record::settings(out, &all, self.engine.next_request_id());
        let listener = self.audience.listen_to_all();
        let (now, mut told) = (self.clock.now(), Told::default());
        let is_hub = all.vns.values().any(|vn| vn.server.is_some());
        // What a spoke says when it is played is compared from the beginning.
        let most = if is_hub { SCENE } else { usize::MAX };
        let mut tags = record::Tags::default();
        if self.engine.scene(now, &mut told, most, |input| record::input(out, &mut tags, now, &input)) {
            return (listener, Some(told));
        }
        if is_hub {
            // It would be told that the hub is another one.
            record::skip(out, now);
        }
        self.input_at(now, Input::Order(Order::Refresh));
        (listener, None)
    }

    /// Tells more of how all stands, now that all that was recorded meanwhile is. Whether there is still more.
    pub fn go_on_recording(&mut self, out: &mut String, told: &mut Told) -> bool {
        let now = self.clock.now();
        let mut tags = record::Tags::default();
        record::skip(out, now);
        let is_more = self.engine.scene(now, told, SCENE, |input| {
            record::input(out, &mut tags, now, &input);
            record::skip(out, now);
        });
        if !is_more {
            self.input_at(now, Input::Order(Order::Refresh));
        }
        is_more
    }

    /// What the engine is to be by a configuration.
    fn settings(&self, config: &Config) -> Settings {
        settings(config, &self.names, |vn| self.dataplane.forwarder(vn).is_some_and(Forwarder::is_shared))
    }

    fn perform(&mut self) {
        let clock = self.clock;
        let effects = core::mem::take(&mut self.effects);
        for effect in effects.iter() {
            match *effect {
                Effect::Send { via, ref bytes } => {
                    let octets = effects.bytes(bytes.clone());
                    self.record(|out, tags| record::sent(out, tags, clock.now(), via, octets));
                    if let Err(e) = self.underlay.send(via, octets) {
                        let (path, e) = (via.path, InWords(&e));
                        let whom = whom(self.engine.knows(path.remote));
                        log::warn!(target: whom, "cannot send from {} to {}: {e}", path.local, path.remote);
                    }
                }
                Effect::Probe { vn, probing } => self.probe(vn, probing),
                Effect::Changed { item: Item::Neighbour(address), vn } => {
                    let nbma = self.engine.plane(vn).and_then(|plane| plane.neighbour(address));
                    if let Some(device) = self.underlay.device_index() {
                        self.dataplane.neighbour(device, address, nbma);
                    }
                    self.keeps.stirred(clock.now());
                }
                Effect::Changed { vn, item } => {
                    if let Item::Port(spoke) = item
                        && let Some(port) = self.engine.plane(vn).and_then(|plane| plane.port(spoke))
                    {
                        let is_shared = self.dataplane.forwarder(vn).is_some_and(Forwarder::is_shared);
                        self.underlay.port(port.local, spoke.nbma, is_shared);
                    }
                    if item == Item::Uplink {
                        self.send_from();
                    }
                    self.dataplane.changed(vn, item);
                }
                Effect::Do { vn, act: Act::SeekLoop { tunnel, nonce } } => {
                    if let Some((index, source)) = self.dataplane.tunnel(vn, tunnel) {
                        self.probes.loops.seek(vn, index, source, nonce);
                    }
                }
                Effect::Do { vn, act: Act::SeekNoLoop } => self.probes.loops.seek_no_more(vn),
                Effect::Do { vn, act } => self.dataplane.order(vn, act),
                Effect::FindHub { hub } => {
                    let is_registered = |vn| self.engine.is_registered_at(vn, hub);
                    self.underlay.seek(clock.now(), hub, is_registered);
                }
                Effect::SaveRequestId(id) => {
                    self.state.save_request_id(id);
                }
                Effect::Tell { vn, event } => {
                    if matches!(event, Event::HubUp { .. }) {
                        self.keeps.stirred(clock.now());
                    }
                    self.tell(vn, event);
                }
                Effect::Odd { peer, oddity, is_known } => {
                    let (what, hint) = words::oddity(oddity);
                    log::warn!(target: whom(is_known), "{peer} {what}; {hint}");
                }
            }
        }
        // The buffers are kept: nothing is allocated for a packet.
        self.effects = effects;
        self.effects.clear();
    }

    fn tell(&mut self, vn: VnKey, event: Event) {
        happening(vn, self.names.vn_name(vn), &event);
        self.audience.tell(Happened { at: clock::wall(), vn, event });
    }
}

/// The target of lines about somebody: strangers, of whom there may be any number, do not use up the lines of others.
const fn whom(is_known: bool) -> &'static str {
    if is_known { "neighbours" } else { "strangers" }
}
