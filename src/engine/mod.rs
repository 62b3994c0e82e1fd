//! The protocol, pure: no sockets, no clock, no randomness of its own.
//!
//! ```text
//! Engine::handle(now, Input, &mut Effects)      Engine::deadline() -> when to say Input::Tick
//! ```
//!
//! An [`Engine`] holds a `spoke` or a `hub` for each VN. A spoke is a `registration` and a table of remote
//! MACs (`resolution`); a hub is `peers`, taken in by the `registrar`, `bindings`, which the `answer`s
//! come from, and the `purge`s that take answers back.

mod answer;
mod bindings;
mod context;
mod contract;
mod hub;
mod limits;
mod locals;
mod peers;
mod plane;
mod purge;
mod random;
mod registrar;
mod registration;
mod request_id;
mod resolution;
mod spoke;
mod timers;
mod uplinks;

pub use contract::effect::{Act, Effect, Effects, Event, Refusal, Table, Why};
pub use contract::input::{Input, News, Order, Outcome, Path, Place};
pub use contract::settings::{HubKey, Settings, VnKey};
pub use contract::statistics::{ClientStatistics, Statistics};
pub use contract::{report, settings};
pub use peers::PeerName;
pub use plane::{Item, Plane, Port};

use crate::time::Instant;
use crate::types::{Mac, Vtep};
use crate::wire::VpnTag;
use crate::wire::nhrp::{Fault, Message, ProtocolAddress, error};
use context::{Context, Timer};
use contract::statistics::increment;
use hub::{Hub, Sender};
use limits::{STRANGERS, TokenBucket};
use litemap::LiteMap;
use random::Random;
use request_id::RequestIds;
use settings::{RoleSettings, VnSettings, VpnMode};
use spoke::Spoke;
use timers::Timers;
use uplinks::Uplinks;

/// A node's part in a VN.
#[derive(Debug)]
enum Role {
    Spoke(Spoke),
    Hub(Hub),
}

impl Role {
    /// This node's protocol address, if the devices are there: a hub's bridge's MAC, one of a spoke's own.
    fn mac(&self) -> Option<Mac> {
        match self {
            Role::Spoke(spoke) => spoke.mac(),
            Role::Hub(hub) => hub.mac,
        }
    }
}

#[derive(Debug)]
struct Vn {
    settings: VnSettings,
    role: Role,
    plane: Plane,
    statistics: Statistics,
}

/// What this node knows of where a MAC lives, for an operator who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// At this VTEP.
    At(Vtep),
    /// At this node's own bridge.
    Here,
    /// Not known.
    Unknown,
}

/// The engine of one daemon.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    vns: LiteMap<VnKey, Vn>,
    paths: LiteMap<HubKey, Path>,
    timers: Timers<Timer>,
    ids: RequestIds,
    random: Random,
    uplinks: Uplinks,
    /// What no VN counts: packets of none, and what VNs counted that are no more.
    statistics: Statistics,
    strangers: TokenBucket,
    stopping: bool,
    nowhere: Plane,
}

impl Engine {
    /// An engine without any VN; [`Engine::apply`] gives it its settings.
    /// `seed` is for jitter; `request_id` is what [`Effect::SaveRequestId`] told to save last, 0 if nothing.
    pub fn new(holding_time: core::time::Duration, seed: u64, request_id: u32) -> Engine {
        Engine {
            settings: Settings { holding_time, hubs: LiteMap::new(), vns: LiteMap::new() },
            vns: LiteMap::new(),
            paths: LiteMap::new(),
            timers: Timers::default(),
            ids: RequestIds::new(request_id),
            random: Random::new(seed),
            uplinks: Uplinks::default(),
            statistics: Statistics::default(),
            strangers: TokenBucket::new(STRANGERS),
            stopping: false,
            nowhere: Plane::new(VnKey(0)),
        }
    }

    /// Takes over settings; only what differs from the ones in force is disturbed.
    pub fn apply(&mut self, now: Instant, settings: Settings, out: &mut Effects) {
        self.settings = settings;
        let wanted = core::mem::take(&mut self.settings.vns);
        let (vns, mut cx) = self.split(now, out);
        // What goes, goes first: what comes may take its place.
        let mut changed = Vec::new();
        for (key, vn) in vns.iter_mut() {
            if !wanted.get(key).is_some_and(|new| vn.reconfigure(new, cx.mode_of(new))) {
                changed.push(*key);
            }
        }
        let mut planes: LiteMap<VnKey, Option<Mac>> = LiteMap::new();
        let mut counted: LiteMap<VnKey, Statistics> = LiteMap::new();
        for key in changed {
            if let Some(vn) = vns.remove(&key) {
                planes.insert(key, vn.mac());
                counted.insert(key, vn.end(&mut cx.inner));
            }
        }
        for (key, new) in &wanted {
            if !vns.contains_key(key) {
                let mode = cx.mode_of(new);
                let mut vn = Vn::new(now, *key, new.clone(), mode);
                // It goes on counting: it is the same for whoever looks at it.
                vn.statistics = counted.remove(key).unwrap_or_default();
                // The devices of a VN that is made anew are there still, until somebody says otherwise.
                let mac = planes.get(key).copied().flatten();
                let mut inner = cx.inner.counting(&mut vn.statistics, &mut vn.plane);
                match &mut vn.role {
                    Role::Spoke(spoke) => {
                        let path = cx.paths.get(&spoke.hub()).copied();
                        spoke.set_path(&mut inner, path);
                        spoke.set_plane(&mut inner, mac);
                    }
                    Role::Hub(hub) => hub.set_plane(&mut inner, mac),
                }
                vns.insert(*key, vn);
            }
        }
        counted.values().for_each(|gone| cx.inner.statistics.add(gone));
        self.settings.vns = wanted;
    }

    /// When [`Input::Tick`] is due, if nothing else happens before.
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Takes one input in. What is to be done about it is added to `out`.
    pub fn handle(&mut self, now: Instant, input: Input<'_>, out: &mut Effects) {
        if let Input::Packet { path, tag, nhrp } = input {
            self.packet(now, path, tag, nhrp, out);
        } else {
            self.other(now, input, out);
        }
        self.tick(now, out);
    }

    /// Whether a daemon that was told to stop may end: all is withdrawn, or nobody confirms it.
    pub fn is_stopped(&self) -> bool {
        self.stopping
            && self.vns.values().all(|vn| {
                matches!(&vn.role, Role::Spoke(s) if s.is_over()) || matches!(vn.role, Role::Hub(_))
            })
    }

    /// What a VN's kernel state is to be.
    pub fn plane(&self, vn: VnKey) -> Option<&Plane> {
        self.vns.get(&vn).map(|vn| &vn.plane)
    }

    /// What is known of a MAC right now, without asking anybody.
    pub fn lookup(&self, vn: VnKey, mac: Mac) -> Lookup {
        match self.vns.get(&vn).map(|vn| &vn.role) {
            Some(Role::Hub(hub)) => match hub.lookup(mac) {
                Ok(vtep) => Lookup::At(vtep),
                Err(true) => Lookup::Here,
                Err(false) => Lookup::Unknown,
            },
            Some(Role::Spoke(spoke)) if spoke.is_here(mac) => Lookup::Here,
            Some(Role::Spoke(_)) => {
                self.plane(vn).and_then(|p| p.shortcut(mac)).map_or(Lookup::Unknown, Lookup::At)
            }
            None => Lookup::Unknown,
        }
    }

    /// Whether a spoke's hub did not know the MAC, and is not asked again yet.
    pub fn is_denied(&self, vn: VnKey, mac: Mac) -> bool {
        matches!(self.vns.get(&vn).map(|vn| &vn.role), Some(Role::Spoke(spoke)) if spoke.is_denied(mac))
    }

    /// A VN's state, as a spoke or as a hub.
    pub fn report(&self, now: Instant, vn: VnKey) -> Option<report::VnReport> {
        Some(match &self.vns.get(&vn)?.role {
            Role::Spoke(spoke) => report::VnReport::Spoke(spoke.report(now)),
            Role::Hub(hub) => report::VnReport::Hub(hub.report(now)),
        })
    }

    /// The first `max` MACs of a VN behind `after`, in their order.
    pub fn macs(&self, now: Instant, vn: VnKey, after: Option<Mac>, max: usize) -> Vec<report::MacRow> {
        match self.vns.get(&vn).map(|vn| &vn.role) {
            Some(Role::Spoke(spoke)) => spoke.rows(now, after).take(max).collect(),
            Some(Role::Hub(hub)) => hub.rows(now, after).take(max).collect(),
            None => Vec::new(),
        }
    }

    /// The first `max` registered clients of a VN behind `after`, in their order; none at a spoke.
    pub fn peers(
        &self,
        now: Instant,
        vn: VnKey,
        after: Option<PeerName>,
        max: usize,
    ) -> Vec<report::PeerRow> {
        match self.vns.get(&vn).map(|vn| &vn.role) {
            Some(Role::Hub(hub)) => hub.peer_rows(now, after).take(max).collect(),
            Some(Role::Spoke(_)) | None => Vec::new(),
        }
    }

    /// What was counted in all: in the VNs, in those that are no more, and of what belongs to none.
    pub fn statistics(&self) -> Statistics {
        let mut sum = self.statistics;
        self.vns.values().for_each(|vn| sum.add(&vn.statistics));
        sum
    }

    /// What was counted in a VN.
    pub fn vn_statistics(&self, vn: VnKey) -> Statistics {
        self.vns.get(&vn).map(|vn| vn.statistics).unwrap_or_default()
    }

    /// What a hub counted of the first `max` of its clients in a VN behind `after`; none at a spoke.
    pub fn client_counts(&self, vn: VnKey, after: Option<PeerName>, max: usize) -> Vec<report::ClientCounts> {
        match self.vns.get(&vn).map(|vn| &vn.role) {
            Some(Role::Hub(hub)) => hub.client_counts(after).take(max).collect(),
            Some(Role::Spoke(_)) | None => Vec::new(),
        }
    }

    fn packet(&mut self, now: Instant, path: Path, tag: VpnTag, nhrp: &[u8], out: &mut Effects) {
        let key = self.vn_of(path, tag);
        let message = Message::parse(nhrp);
        let peer = match (&message, key.and_then(|key| self.vns.get(&key))) {
            (Ok(message), Some(Vn { role: Role::Hub(hub), .. })) => hub.peer(path, &message.header),
            _ => None,
        };
        let within = self.is_within_limits(now, path, key, peer);
        let (vns, cx) = self.split(now, out);
        let mut outer = cx.inner;
        let (mut role, mut cx) = match key.and_then(|key| vns.get_mut(&key)) {
            Some(vn) => (Some(&mut vn.role), outer.counting(&mut vn.statistics, &mut vn.plane)),
            None => (None, outer),
        };
        if !within {
            increment(&mut cx.statistics.rx_rate_limited);
            if let (Some(Role::Hub(hub)), Some(peer)) = (role, peer) {
                hub.is_limited(peer);
            }
            return;
        }
        let result = match (message, &mut role) {
            (Err(fault), _) => {
                increment(&mut cx.statistics.rx_malformed);
                Err(fault)
            }
            (Ok(message), None) => {
                increment(&mut cx.statistics.rx_unknown_vpn);
                Err(Fault { code: error::VPN_UNSUPPORTED, offset: 0, header: Some(message.header) })
            }
            (Ok(message), Some(role)) => {
                if message.header.kind == crate::wire::nhrp::Kind::Error {
                    increment(&mut cx.statistics.rx_error);
                }
                match role {
                    Role::Spoke(spoke) => spoke.packet(&mut cx, &message),
                    Role::Hub(hub) => hub.packet(&mut cx, Sender { path, tag, peer }, &message, nhrp),
                }
            }
        };
        if let Err(fault) = result {
            let source = role.and_then(|role| role.mac()).map(ProtocolAddress::Mac);
            cx.send_error(path, tag, source, fault, nhrp);
        }
    }

    fn other(&mut self, now: Instant, input: Input<'_>, out: &mut Effects) {
        if self.stopping {
            // What is withdrawn must not be registered again.
            return;
        }
        match input {
            Input::Hub { hub, path: Some(path) } => {
                self.paths.insert(hub, path);
            }
            Input::Hub { hub, path: None } => {
                self.paths.remove(&hub);
            }
            Input::Order(Order::Stop) => self.stopping = true,
            _ => {}
        }
        let (vns, cx) = self.split(now, out);
        let mut cx = cx.inner;
        let cx = &mut cx;
        match input {
            Input::Tick | Input::Packet { .. } => {}
            Input::Hub { hub, path } => vns.iter_mut().for_each(|(_, vn)| match vn.work(cx) {
                (Role::Spoke(spoke), mut cx) if spoke.hub() == hub => spoke.set_path(&mut cx, path),
                (Role::Spoke(_) | Role::Hub(_), _) => {}
            }),
            Input::Order(Order::Stop) => vns.iter_mut().for_each(|(_, vn)| match vn.work(cx) {
                (Role::Spoke(spoke), mut cx) => spoke.stop(&mut cx, true),
                // The ports stay: the network goes on while the hub's daemon is replaced.
                (Role::Hub(_), _) => {}
            }),
            Input::Order(Order::Flush { vn, mac }) => {
                let meant = vns.iter_mut().filter(|(key, _)| vn.is_none_or(|vn| vn == **key));
                meant.for_each(|(_, vn)| match vn.work(cx) {
                    (Role::Spoke(spoke), mut cx) => spoke.flush(&mut cx, mac),
                    (Role::Hub(_), _) => {}
                });
            }
            Input::News { vn, news } => match vns.get_mut(&vn).map(|vn| vn.work(cx)) {
                Some((Role::Spoke(spoke), mut cx)) => to_spoke(spoke, &mut cx, news),
                Some((Role::Hub(hub), mut cx)) => to_hub(hub, &mut cx, news),
                None => {}
            },
            Input::Order(Order::Resolve { vn, mac }) => match vns.get_mut(&vn).map(|vn| vn.work(cx)) {
                Some((Role::Spoke(spoke), mut cx)) => spoke.resolve(&mut cx, mac),
                Some((Role::Hub(_), _)) | None => {}
            },
        }
    }

    fn tick(&mut self, now: Instant, out: &mut Effects) {
        let (vns, cx) = self.split(now, out);
        let mut cx = cx.inner;
        while let Some(Timer { vn, what }) = cx.timers.pop(now) {
            match vns.get_mut(&vn).map(|vn| vn.work(&mut cx)) {
                Some((Role::Spoke(spoke), mut cx)) => spoke.due(&mut cx, what),
                Some((Role::Hub(hub), mut cx)) => hub.due(&mut cx, what),
                None => {}
            }
        }
    }

    /// The VN a packet belongs to (RFC 2735 section 3.1).
    fn vn_of(&self, path: Path, tag: VpnTag) -> Option<VnKey> {
        let belongs = |vn: &Vn| match &vn.role {
            Role::Spoke(spoke) => spoke.accepts(path, tag),
            Role::Hub(hub) => match tag {
                VpnTag::Llc(vpn) => vn.settings.vpn_id == vpn,
                VpnTag::Key(key) => vn.settings.vpn_id.index() == key,
                VpnTag::None => hub.is_default(),
            },
        };
        self.vns.iter().find(|(_, vn)| belongs(vn)).map(|(key, _)| *key)
    }

    /// A registered peer has a limit of its own; a spoke's hub has none; all others share one.
    fn is_within_limits(
        &mut self,
        now: Instant,
        path: Path,
        key: Option<VnKey>,
        peer: Option<peers::PeerId>,
    ) -> bool {
        let vn = key.and_then(|key| self.vns.get_mut(&key)).map(|vn| &mut vn.role);
        let bucket = match (vn, peer) {
            (Some(Role::Hub(hub)), Some(peer)) => hub.bucket(peer),
            (Some(Role::Spoke(_)), _) if self.paths.values().any(|p| *p == path) => return true,
            _ => None,
        };
        bucket.unwrap_or(&mut self.strangers).take(now).is_ok()
    }

    fn split<'a>(
        &'a mut self,
        now: Instant,
        out: &'a mut Effects,
    ) -> (&'a mut LiteMap<VnKey, Vn>, Common<'a>) {
        let inner = Context {
            now,
            out,
            statistics: &mut self.statistics,
            ids: &mut self.ids,
            random: &mut self.random,
            timers: &mut self.timers,
            uplinks: &mut self.uplinks,
            plane: &mut self.nowhere,
            holding_time: self.settings.holding_time,
        };
        (&mut self.vns, Common { inner, hubs: &self.settings.hubs, paths: &self.paths })
    }
}

/// What an engine has besides its VNs.
struct Common<'a> {
    inner: Context<'a>,
    hubs: &'a LiteMap<HubKey, settings::HubSettings>,
    paths: &'a LiteMap<HubKey, Path>,
}

impl Common<'_> {
    fn mode_of(&self, vn: &VnSettings) -> VpnMode {
        match &vn.role {
            RoleSettings::Spoke(spoke) => self.hubs.get(&spoke.hub).map(|h| h.vpn_mode).unwrap_or_default(),
            RoleSettings::Hub(_) => VpnMode::default(),
        }
    }
}

impl Vn {
    fn new(now: Instant, key: VnKey, settings: VnSettings, mode: VpnMode) -> Vn {
        let role = match &settings.role {
            RoleSettings::Spoke(s) => {
                Role::Spoke(Spoke::new(now, key, settings.vpn_id, settings.mtu, *s, mode))
            }
            RoleSettings::Hub(s) => Role::Hub(Hub::new(now, key, settings.vpn_id, settings.mtu, s.clone())),
        };
        Vn { settings, role, plane: Plane::new(key), statistics: Statistics::default() }
    }

    /// Its part, and what that needs to work: what it counts is counted here.
    fn work<'a>(&'a mut self, cx: &'a mut Context<'_>) -> (&'a mut Role, Context<'a>) {
        (&mut self.role, cx.counting(&mut self.statistics, &mut self.plane))
    }

    /// Takes over what can be taken over in place; `false` if the VN has to be made anew.
    fn reconfigure(&mut self, new: &VnSettings, mode: VpnMode) -> bool {
        let same = match (&mut self.role, &new.role) {
            (Role::Spoke(spoke), RoleSettings::Spoke(s)) => spoke.reconfigure(new.vpn_id, new.mtu, *s, mode),
            (Role::Hub(hub), RoleSettings::Hub(s)) => hub.reconfigure(new.vpn_id, new.mtu, s),
            _ => false,
        };
        if same {
            self.settings.clone_from(new);
        }
        same
    }

    /// This node's protocol address, if the devices are there.
    fn mac(&self) -> Option<Mac> {
        self.role.mac()
    }

    /// Ends it; what it counted.
    fn end(mut self, cx: &mut Context<'_>) -> Statistics {
        match self.work(cx) {
            (Role::Spoke(spoke), mut cx) => spoke.stop(&mut cx, false),
            (Role::Hub(hub), mut cx) => hub.remove(&mut cx),
        }
        self.statistics
    }
}

fn to_spoke(spoke: &mut Spoke, cx: &mut Context<'_>, news: News) {
    match news {
        News::Device(mac) => spoke.set_plane(cx, mac),
        News::Fdb { mac, place } => spoke.fdb(cx, mac, place),
        News::Miss(mac) => spoke.miss(cx, mac),
        News::FoundShortcut { mac, to } => spoke.found(cx, mac, to),
        News::Use { mac, idle, age } => spoke.usage(cx, mac, idle, age),
        News::Listing | News::Listed | News::Became { .. } | News::FoundPort { .. } => {}
    }
}

fn to_hub(hub: &mut Hub, cx: &mut Context<'_>, news: News) {
    match news {
        News::Device(mac) => hub.set_plane(cx, mac),
        News::Fdb { mac, place } => hub.fdb(cx, mac, place),
        News::Listing => hub.listing(),
        News::Listed => hub.listed(cx),
        News::Became { spoke, outcome } => hub.became(cx, spoke, outcome),
        News::FoundPort { spoke, port } => hub.found(cx, spoke, port),
        News::Miss(_) | News::Use { .. } | News::FoundShortcut { .. } => {}
    }
}
