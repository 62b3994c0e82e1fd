//! The engine and everything it acts on, in one place: inputs go in, effects are performed.

use super::clock::{self, Clock};
use super::locate;
use super::netlink::{Event as Kernel, Events, Kind};
use super::plane::{Forwarder, Inputs, Planes};
use super::settings::{Names, settings};
use super::state;
use super::tunnel::{Gre, Received, Tunnel, Tunnels};
use crate::config::{Config, HubAddress, Role, Transport};
use crate::control::{Answer, Happening, words};
use crate::engine::{Effect, Effects, Engine, Event, HubKey, Input, Path, VnKey};
use crate::time::Instant;
use crate::types::{Mac, Nbma};
use litemap::LiteMap;
use smol::channel::{Sender, TrySendError};
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

/// So many warnings about others are logged at most in that time.
const WARNINGS: u32 = 50;
const WARNING_PERIOD: Duration = Duration::from_secs(10);

/// Work that goes on beside the node.
#[derive(Debug)]
pub enum Job {
    /// Read packets from this tunnel, which uses this address of ours.
    Read(Nbma, Rc<Tunnel>),
    /// Read no more packets that come to this address.
    Close(Nbma),
    /// Find the address of a hub by its name; tell [`Node::hub_found`].
    LookUp(HubKey, String),
    /// The engine's deadline is another one.
    Deadline,
    /// All is withdrawn: the daemon may end.
    End,
}

/// Somebody who waits for a MAC to be resolved.
#[derive(Debug)]
struct Waiter {
    vn: VnKey,
    mac: Mac,
    tell: Sender<Answer>,
}

/// A daemon's state.
#[derive(Debug)]
pub struct Node {
    pub(super) config: Config,
    pub(super) names: Names,
    pub(super) engine: Engine,
    pub(super) clock: Clock,
    pub(super) planes: Planes,
    effects: Effects,
    inputs: Inputs,
    events: Events,
    tunnels: Tunnels,
    gre: Option<Gre>,
    own: Vec<Nbma>,
    /// What was found of hubs that have a name, in the order of preference.
    found: LiteMap<HubKey, Vec<Nbma>>,
    /// The addresses in use; tunnels from others are closed once the last packet is sent.
    keep: Option<Vec<Nbma>>,
    paths: LiteMap<HubKey, Path>,
    jobs: Sender<Job>,
    deadline: Option<Instant>,
    monitors: Vec<Sender<Happening>>,
    waiters: Vec<Waiter>,
    /// When warnings were last counted from, and how many there were since.
    warnings: (Instant, u32),
    /// The last thing that went wrong with sending, so that the log tells it once.
    send_trouble: Option<String>,
    ended: bool,
}

impl Node {
    /// A node that does nothing until [`Node::apply`]. `jobs` gets what has to go on beside it.
    pub fn open(config: Config, jobs: Sender<Job>, seed: u64) -> io::Result<Node> {
        let request_id = state::load(&config.main.state_file);
        Ok(Node {
            engine: Engine::new(config.main.holding_time, seed, request_id),
            config,
            names: Names::default(),
            clock: Clock::start(),
            // Events first: what changes while the devices are looked at is not missed.
            events: Events::open()?,
            planes: Planes::open()?,
            effects: Effects::default(),
            inputs: Inputs::new(),
            tunnels: Tunnels::default(),
            gre: None,
            own: Vec::new(),
            found: LiteMap::new(),
            keep: None,
            paths: LiteMap::new(),
            jobs,
            deadline: None,
            monitors: Vec::new(),
            waiters: Vec::new(),
            warnings: (Instant::from_millis(0), 0),
            send_trouble: None,
            ended: false,
        })
    }

    /// Takes over a configuration; only what it changes is disturbed.
    pub fn apply(&mut self, config: Config) {
        if self.config.main.transport != config.main.transport {
            self.close_tunnels(&[]);
        }
        for (what, differs) in [
            ("socket", self.config.main.socket != config.main.socket),
            ("state_file", self.config.main.state_file != config.main.state_file),
        ] {
            if differs {
                log::warn!("option '{what}' takes effect when the daemon is started again");
            }
        }
        log::set_max_level(config.main.log_level);
        self.names.learn(&config);
        // Devices that have to be others go first: what is withdrawn with them is registered once, with the new ones.
        self.planes.configure(&config, &self.names, &mut self.inputs);
        self.work();
        let now = self.clock.now();
        let is_shared = |vn| self.planes.forwarder(vn).is_some_and(Forwarder::is_shared);
        self.engine.apply(now, settings(&config, &self.names, is_shared), &mut self.effects);
        self.perform();
        for hub in &config.hubs {
            let before = self.config.hubs.iter().find(|h| h.name == hub.name);
            if let Some(key) =
                self.names.hub(&hub.name).filter(|_| before.is_none_or(|b| b.address != hub.address))
            {
                self.found.remove(&key);
            }
        }
        self.config = config;
        self.locate();
        self.work();
    }

    /// An input for the engine, and all that follows from it.
    pub fn input(&mut self, input: Input<'_>) {
        let now = self.clock.now();
        self.engine.handle(now, input, &mut self.effects);
        self.work();
    }

    /// A packet arrived. What the kernel has seen before it comes first: the frame that made a spoke ask has passed
    /// the hub's bridge before the question did.
    pub fn packet(&mut self, received: &Received<'_>) {
        self.kernel_events();
        let Received { path, tag, nhrp } = *received;
        self.input(Input::Packet { path, tag, nhrp });
    }

    /// The kernel has something to tell.
    pub fn kernel_events(&mut self) {
        let mut addresses = false;
        while let Some(event) = self.events.next() {
            // Without its device a tunnel cannot be opened: any new one may be it.
            addresses |= match event {
                Kernel::Addresses | Kernel::Overrun => true,
                Kernel::Link(_) | Kernel::LinkGone(_) => self.is_device_missing(&event),
                _ => false,
            };
            self.planes.event(event, &self.engine, &mut self.inputs);
            self.work();
        }
        if addresses {
            self.locate();
            self.work();
        }
    }

    /// The kernel's events, to wait for.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// A hub's name was looked up. It may have another one by now.
    pub fn hub_found(&mut self, hub: HubKey, name: &str, addresses: &[IpAddr]) {
        let current = self.configured(hub).is_some_and(|h| h.address == HubAddress::Name(name.to_owned()));
        if current {
            self.found.insert(hub, addresses.iter().copied().filter_map(Nbma::new).collect());
            self.locate();
            self.work();
        }
    }

    /// When [`Input::Tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.engine.deadline()
    }

    /// Withdraws; [`Job::End`] tells when that is done.
    pub fn stop(&mut self) {
        self.input(Input::Stop);
    }

    /// What is to be gone when the daemon is, goes.
    pub fn leave(&mut self) {
        self.planes.leave();
    }

    /// Tells everything that happens to `monitor`, until it hears no more.
    pub fn monitor(&mut self, monitor: Sender<Happening>) {
        self.monitors.push(monitor);
    }

    /// Asks for a MAC; the answer goes to `tell`.
    pub fn resolve(&mut self, vn: VnKey, mac: Mac, tell: Sender<Answer>) {
        self.waiters.retain(|w| !w.tell.is_closed());
        self.waiters.push(Waiter { vn, mac, tell });
        self.input(Input::Resolve { vn, mac });
    }

    /// The underlay addresses in use.
    pub fn nbma(&self) -> Vec<Nbma> {
        let mut all: Vec<Nbma> =
            self.own.iter().copied().chain(self.paths.values().map(|p| p.local)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Performs the effects there are, gives the engine what came of them, and so on until there is nothing to do.
    fn work(&mut self) {
        loop {
            self.perform();
            let Some(input) = self.inputs.pop_front() else { break };
            let now = self.clock.now();
            self.engine.handle(now, input, &mut self.effects);
        }
        self.planes.flush();
        // Not before: from an address that is in use no more there may still be a withdrawal to send.
        if let Some(keep) = self.keep.take() {
            self.close_tunnels(&keep);
        }
        if self.deadline != self.engine.deadline() {
            self.deadline = self.engine.deadline();
            self.job(Job::Deadline);
        }
        if !self.ended && self.engine.is_stopped() {
            self.ended = true;
            self.job(Job::End);
        }
    }

    fn perform(&mut self) {
        let effects = core::mem::take(&mut self.effects);
        for effect in effects.iter() {
            match *effect {
                Effect::Send { path, tag, ref bytes } => {
                    let sent = self.tunnels.send(path, tag, effects.bytes(bytes.clone()));
                    self.sent(path, sent);
                }
                Effect::SetUplink { vn, to } => self.planes.set_uplink(vn, to),
                Effect::SetShortcut { vn, mac, to } => self.planes.set_shortcut(vn, mac, to),
                Effect::DropShortcut { vn, mac } => self.planes.drop_shortcut(vn, mac),
                Effect::Announce { vn, mac, hub } => self.planes.announce(vn, mac, hub, &mut self.inputs),
                Effect::Unlearn { vn, mac } => self.planes.unlearn(vn, mac),
                Effect::QueryUse { vn, mac } => self.planes.query_use(vn, mac, &mut self.inputs),
                Effect::AddPort { vn, spoke, uplink, local } => {
                    self.planes.add_port(vn, spoke, uplink, local, &mut self.inputs);
                }
                Effect::RemovePort { vn, spoke } => self.planes.remove_port(vn, spoke),
                Effect::SetNeighbour { address, nbma } => self.set_neighbour(address, nbma),
                Effect::List { vn } => self.planes.list(vn, &self.engine, &mut self.inputs),
                Effect::FindHub { hub } => self.find_hub(hub),
                Effect::SaveRequestId(id) => {
                    if let Err(e) = state::save(&self.config.main.state_file, id) {
                        log::warn!("{}: {e}", self.config.main.state_file);
                    }
                }
                Effect::Tell { vn, event } => self.tell(vn, event),
            }
        }
        // The buffers are kept: nothing is allocated for a packet.
        self.effects = effects;
        self.effects.clear();
    }

    fn tell(&mut self, vn: VnKey, event: Event) {
        let level = words::level(&event);
        if level > log::Level::Warn || self.may_warn() {
            log::log!(level, "{}: {}", self.names.vn_name(vn), words::sentence(&event));
        }
        let answer = match event {
            Event::Resolved { mac, at, holding } => {
                Some((mac, Answer::At { vtep: at, holding: Some(holding.into()) }))
            }
            Event::NotResolved { mac, reason } => Some((mac, Answer::NotResolved(reason))),
            _ => None,
        };
        if let Some((mac, answer)) = answer {
            self.waiters.retain(|w| {
                let theirs = (w.vn, w.mac) == (vn, mac);
                if theirs {
                    // Who does not wait any more needs no answer.
                    let _ = w.tell.try_send(answer);
                }
                !theirs
            });
        }
        if self.monitors.is_empty() {
            return;
        }
        let happening = Happening { at: clock::wall(), vn: self.names.vn_name(vn).to_owned(), event };
        // Who reads too slowly misses something; the daemon does not wait.
        self.monitors.retain(|m| !matches!(m.try_send(happening.clone()), Err(TrySendError::Closed(_))));
    }

    /// Whether one more warning may be logged now: much of what is warned of others cause, as often as they like.
    fn may_warn(&mut self) -> bool {
        let now = self.clock.now();
        let (since, count) = self.warnings;
        if now.since(since) >= WARNING_PERIOD {
            if count > WARNINGS {
                log::warn!(
                    "{} more warnings were left out here; 'dmevpn monitor' shows all",
                    count - WARNINGS
                );
            }
            self.warnings = (now, 0);
        }
        self.warnings.1 += 1;
        self.warnings.1 <= WARNINGS
    }

    fn sent(&mut self, path: Path, result: io::Result<()>) {
        let trouble =
            result.err().map(|e| format!("cannot send from {} to {}: {e}", path.local, path.remote));
        if let Some(trouble) = trouble.as_ref().filter(|t| self.send_trouble.as_ref() != Some(t)) {
            log::warn!("{trouble}");
        }
        self.send_trouble = trouble;
    }

    fn set_neighbour(&mut self, address: IpAddr, nbma: Option<Nbma>) {
        let Some(gre) = self.gre else { return };
        let netlink = self.planes.netlink();
        let result = match nbma.map(Nbma::ip) {
            Some(IpAddr::V4(ip)) => netlink.neighbour_set(gre.index, address, &ip.octets()),
            Some(IpAddr::V6(ip)) => netlink.neighbour_set(gre.index, address, &ip.octets()),
            None => netlink.neighbour_remove(gre.index, address),
        };
        if let Err(e) = result {
            log::warn!("{e}");
        }
    }

    /// Finds out, again, which addresses reach which: ours and the hubs'. What changed is told.
    fn locate(&mut self) {
        match locate::own(&self.config.main, self.planes.netlink()) {
            Ok(own) => self.own = own,
            Err(e) => log::warn!("{e}"),
        }
        let gre = self.find_gre();
        let mut paths: LiteMap<HubKey, Path> = LiteMap::new();
        for hub in self.hubs_in_use() {
            if let Some(path) = self.path_to(hub, gre.as_ref().map(|(local, _)| *local)) {
                paths.insert(hub, path);
            }
        }
        let mut locals: Vec<Nbma> = self.own.iter().copied().chain(paths.values().map(|p| p.local)).collect();
        if let Some((local, _)) = gre {
            locals = vec![local];
        }
        let gre = gre.map(|(_, gre)| gre);
        if self.gre != gre {
            // Their device is another one now, or none.
            self.close_tunnels(&[]);
        }
        self.gre = gre;
        locals.iter().for_each(|local| self.open_tunnel(*local));
        self.keep = Some(locals);

        let before = core::mem::replace(&mut self.paths, paths.clone());
        for hub in before.keys().chain(paths.keys()).copied() {
            if before.get(&hub) != paths.get(&hub) {
                self.inputs.push_back(Input::HubAddress { hub, path: paths.get(&hub).copied() });
            }
        }
        let spokes = self.spokes().into_iter();
        let locals = spokes.filter_map(|(vn, hub)| Some((vn, paths.get(&hub)?.local))).collect();
        self.planes.bring_all_up(&locals, &self.engine, &mut self.inputs);
    }

    /// The VNs in which this node is a spoke, with their hubs.
    fn spokes(&self) -> Vec<(VnKey, HubKey)> {
        let spoke = |vn: &crate::config::Vn| match &vn.role {
            Role::Spoke(spoke) => Some((self.names.vn(&vn.name)?, self.names.hub(&spoke.hub)?)),
            Role::Hub(_) => None,
        };
        self.config.vns.iter().filter_map(spoke).collect()
    }

    fn hubs_in_use(&self) -> Vec<HubKey> {
        let mut hubs: Vec<HubKey> = self.spokes().into_iter().map(|(_, hub)| hub).collect();
        hubs.sort_unstable();
        hubs.dedup();
        hubs
    }

    fn path_to(&mut self, hub: HubKey, device: Option<Nbma>) -> Option<Path> {
        let remotes = match &self.configured(hub)?.address {
            HubAddress::Ip(ip) => vec![*ip],
            HubAddress::Name(name) => match self.found.get(&hub) {
                Some(found) => found.clone(),
                None => {
                    let job = Job::LookUp(hub, name.clone());
                    self.job(job);
                    return None;
                }
            },
        };
        let configured = self.config.main.interface.is_some() || !self.config.main.nbma.is_empty();
        // A name may have addresses of both families, though there is a way to one only.
        remotes.into_iter().find_map(|remote| {
            let local = match device {
                Some(local) => Some(local).filter(|l| l.same_family(remote)),
                None => locate::towards(remote, &self.own, configured),
            };
            Some(Path { local: local?, remote })
        })
    }

    fn configured(&self, hub: HubKey) -> Option<&crate::config::Hub> {
        self.config.hubs.iter().find(|h| self.names.hub(&h.name) == Some(hub))
    }

    fn find_hub(&mut self, hub: HubKey) {
        match self.configured(hub).map(|h| h.address.clone()) {
            Some(HubAddress::Name(name)) => self.job(Job::LookUp(hub, name)),
            // The address is fixed, but the way to it may be another one.
            Some(HubAddress::Ip(_)) => self.locate(),
            None => {}
        }
    }

    /// With transport `device`: its address and what else there is to know.
    fn find_gre(&mut self) -> Option<(Nbma, Gre)> {
        let Transport::Device(name) = &self.config.main.transport else { return None };
        let name = name.clone();
        let link = match self.planes.netlink().link_by_name(&name) {
            Ok(link) => link,
            Err(e) => {
                log::warn!("{e}");
                None
            }
        };
        let Some(Kind::Gre(info)) = link.as_ref().map(|l| &l.kind) else {
            log::warn!("transport device: '{name}' is not a GRE interface that is there");
            return None;
        };
        let remote = info.remote.and_then(Nbma::new);
        if info.ipv6 && remote.is_none() {
            // Linux sends from such a device, but does not tell from where a packet came (no `header_ops.parse`).
            log::warn!(
                "transport device: '{name}' is GRE over IPv6 without a remote address, on which Linux does not tell who sent a packet; use transport raw"
            );
            return None;
        }
        let local = info.local.and_then(Nbma::new).or(self.own.first().copied())?;
        let gre = Gre { index: link.as_ref()?.index, remote, key: info.ikey };
        Some((local, gre))
    }

    /// Whether the GRE device came, or went.
    fn is_device_missing(&self, event: &Kernel) -> bool {
        match (&self.config.main.transport, event) {
            (Transport::Device(name), Kernel::Link(link)) => self.gre.is_none() && link.name == *name,
            (Transport::Device(name), Kernel::LinkGone(link)) => link.name == *name,
            _ => false,
        }
    }

    fn open_tunnel(&mut self, local: Nbma) {
        let opened = match &self.gre {
            Some(gre) => self.tunnels.open_device(local, gre),
            None if self.config.main.transport == Transport::Raw => self.tunnels.open_raw(local),
            None => return,
        };
        match opened {
            Ok(Some(tunnel)) => self.job(Job::Read(local, tunnel)),
            Ok(None) => {}
            Err(e) => log::error!("no GRE from {local}: {e}"),
        }
    }

    fn close_tunnels(&mut self, keep: &[Nbma]) {
        for local in self.tunnels.close_others(keep) {
            self.job(Job::Close(local));
        }
    }

    fn job(&self, job: Job) {
        // The channel is unbounded, and open as long as the daemon runs.
        let _ = self.jobs.try_send(job);
    }
}
