//! The protocol, pure: no sockets, no clock, no randomness of its own.
//!
//! ```text
//! Engine::handle(now, Input, &mut Effects)      Engine::deadline() -> when to say Input::Tick
//! ```
//!
//! An [`Engine`] holds VNs. Each has its `sites` (who is out there), its `book` (where each address is), its `plane`
//! (what the kernel is to be), and two halves: a `client`, which wants, and a `server`, which owes. Packets come and go
//! by the `exchange`. This file is the door: it finds the VN an input belongs to.

mod book;
mod client;
mod context;
mod contract;
mod crowd;
mod exchange;
mod limits;
mod loops;
mod member;
mod odd;
mod plane;
mod random;
mod reach;
mod request_id;
mod restless;
mod room;
mod scene;
mod secret;
mod server;
mod sites;
mod timers;
mod uplinks;
mod vn;
mod ways;

pub use contract::effect::{Act, Effect, Effects, Event};
pub use contract::input::{Input, News, Order, Outcome, Place};
pub use contract::item::{IpClient, Item, Passing, Port, Wanted};
pub use contract::probe::{Arrived, By, Probing};
pub use contract::reason::{Refusal, Rivals, Table, Why, WhyHub};
pub use contract::settings::{HubKey, Settings, VnKey};
pub use contract::statistics::{ClientStatistics, Statistics};
pub use contract::way::{Path, Via};
pub use contract::{report, settings};
pub use plane::Plane;
pub use scene::Told;
use secret::Nonces;
pub use secret::Secret;

use crate::time::Instant;
use crate::types::{Mac, Nbma, SiteName, Vni, Vtep};
use crate::wire::Malformed;
use crate::wire::nhrp::{Fault, Kind};
use client::Client;
use context::{ClientDue, Context, Due, Timer};
use contract::statistics::increment;
use exchange::session::Sessions;
use exchange::{Arrival, Fate, Gate, Inbound, Trust};
use limits::{COMPLAINTS, DEADLINES, NEWCOMERS, STRANGERS, TokenBucket};
use litemap::LiteMap;
use odd::Oddities;
use random::Random;
use reach::Budget;
use report::Oddity;
use request_id::RequestIds;
use server::Server;
use settings::Advertised;
use timers::Timers;
use uplinks::Uplinks;
use vn::{Common, Vn};

/// The engine of one daemon.
#[derive(Debug)]
pub struct Engine {
    vns: LiteMap<VnKey, Vn>,
    paths: LiteMap<HubKey, Path>,
    common: Common,
    /// What no VN counts: packets of none, and what VNs counted that are no more.
    statistics: Statistics,
    strangers: TokenBucket,
    newcomers: Gate,
}

/// What an engine starts with, beside its settings.
#[derive(Clone, Debug)]
pub struct Start {
    /// What [`Effect::SaveRequestId`] told to save last, 0 if nothing.
    pub request_id: u32,
    /// 256 random bits, other ones at each start.
    pub secret: Secret,
    /// 128 bits that are this router's own and stay. Uplink VNIs come of them, so that a spoke gets its own again.
    pub identity: Secret,
}

impl Engine {
    /// An engine without any VN; [`Engine::apply`] gives it its settings.
    pub fn new(holding_time: core::time::Duration, start: &Start) -> Engine {
        Engine {
            vns: LiteMap::new(),
            paths: LiteMap::new(),
            common: Common {
                advertised: Advertised::default(),
                holding_time,
                timers: Timers::default(),
                ids: RequestIds::new(start.request_id),
                random: Random::new(start.secret.number(&[b"jitter"])),
                uplinks: Uplinks::new(start.identity.clone()),
                oddities: Oddities::default(),
                sessions: Sessions::new(start.secret.clone()),
                nonces: Nonces::new(start.secret.clone()),
                complaints: TokenBucket::new(COMPLAINTS),
                probes: Budget::default(),
                started: None,
                stopping: false,
            },
            statistics: Statistics::default(),
            strangers: TokenBucket::new(STRANGERS),
            newcomers: Gate::new(NEWCOMERS, &start.secret),
        }
    }

    /// Takes over settings; only what differs from the ones in force is disturbed. After [`Order::Stop`] nothing is.
    pub fn apply(&mut self, now: Instant, settings: Settings, out: &mut Effects) {
        if self.common.stopping {
            return;
        }
        let Settings { advertised, holding_time, hubs, vns: wanted } = settings;
        // Who registered as another one registers anew.
        let is_other = self.common.advertised != advertised;
        self.common.holding_time = holding_time;
        // What goes, goes first: what comes may take its place.
        let keys: Vec<VnKey> = self.vns.keys().copied().collect();
        // The devices of a VN that is made anew are there still, until somebody says otherwise, and it goes on
        // counting: it is the same for whoever looks at it.
        let mut ended: LiteMap<VnKey, (Option<Mac>, Statistics)> = LiteMap::new();
        for key in keys {
            let Some(vn) = self.vns.get_mut(&key) else { continue };
            let stays = vn.client.is_none() || !is_other;
            let new = wanted.get(&key).filter(|_| stays);
            if let Some(has_other_keys) = new.and_then(|new| vn.reconfigure(new, &hubs)) {
                vn.fit(now, &mut self.common, out, has_other_keys);
                vn.ways_to_peers(now, &mut self.common, out, &self.paths);
                continue;
            }
            vn.end(now, &mut self.common, out);
            if let Some(vn) = self.vns.remove(&key) {
                ended.insert(key, (vn.sites.mac, vn.statistics));
            }
        }
        self.common.advertised = advertised;
        for (key, new) in wanted {
            if self.vns.contains_key(&key) {
                continue;
            }
            let (mac, counted) = ended.remove(&key).unwrap_or_default();
            let mut vn = Vn::new(now, key, new, &hubs);
            vn.statistics = counted;
            self.paths.iter().for_each(|(hub, path)| vn.way(now, &mut self.common, out, *hub, Some(*path)));
            vn.news(now, &mut self.common, out, News::Device(mac));
            vn.fit(now, &mut self.common, out, false);
            vn.ways_to_peers(now, &mut self.common, out, &self.paths);
            self.vns.insert(key, vn);
        }
        ended.values().for_each(|(_, gone)| self.statistics.add(gone));
    }

    /// When [`Input::Tick`] is due, if nothing else happens before. It may be past: then there is more to do than was
    /// done at once.
    pub fn deadline(&self) -> Option<Instant> {
        self.common.timers.next()
    }

    /// Takes one input in. What is to be done about it is added to `out`.
    pub fn handle(&mut self, now: Instant, input: Input<'_>, out: &mut Effects) {
        match input {
            Input::Packet { via, nhrp } => self.packet(now, via, nhrp, out),
            Input::Unreadable { from, why } => self.unreadable(now, from, why, out),
            Input::Relayed { via, packet } => self.relayed(now, via, packet, out),
            // They are for clients.
            Input::Hub { .. } | Input::Order(_) if self.common.stopping => {}
            Input::Hub { hub, path } => self.way(now, hub, path, out),
            Input::News { vn, news } => {
                if let Some(vn) = self.vns.get_mut(&vn) {
                    vn.news(now, &mut self.common, out, news);
                }
            }
            Input::Order(order) => self.order(now, order, out),
            Input::Probe { vn, arrived } => self.probe(now, vn, arrived, out),
            Input::Unreachable { vn, nonce } => match self.enter(now, vn, out) {
                Some((Some(client), _, mut cx)) => client.unreachable(&mut cx, nonce),
                Some((None, Some(server), mut cx)) => server.unreachable(&mut cx, nonce),
                Some((None, None, _)) | None => {}
            },
            Input::Tick => {}
        }
        self.tick(now, out);
    }

    /// Whether a daemon that was told to stop may end: all is withdrawn, or nobody confirms it.
    pub fn is_stopped(&self) -> bool {
        let is_over =
            |vn: &Vn| vn.client.as_ref().is_none_or(|client| client.is_over(vn.sites.mac.is_some()));
        self.common.stopping && self.vns.values().all(is_over)
    }

    /// What a VN's kernel state is to be.
    pub fn plane(&self, vn: VnKey) -> Option<&Plane> {
        self.vns.get(&vn).map(|vn| &vn.plane)
    }

    /// Where a MAC is, as far as is known without asking anybody.
    pub fn lookup(&self, vn: VnKey, mac: Mac) -> Place {
        self.vns.get(&vn).map_or(Place::Gone, |vn| vn.lookup(mac))
    }

    /// Whether a spoke's hub has it registered, as far as the spoke knows.
    pub fn is_registered(&self, vn: VnKey) -> bool {
        self.client(vn).is_some_and(Client::is_registered)
    }

    /// Whether this one of a spoke's hubs has it registered.
    pub fn is_registered_at(&self, vn: VnKey, hub: HubKey) -> bool {
        self.client(vn).is_some_and(|client| client.is_registered_at(hub))
    }

    /// The hub that a spoke is at, or tries to be.
    pub fn hub(&self, vn: VnKey) -> Option<HubKey> {
        self.client(vn).map(Client::hub)
    }

    /// Whether a spoke's hub did not know the MAC, and is not asked again yet.
    pub fn is_denied(&self, vn: VnKey, mac: Mac) -> bool {
        self.client(vn).is_some_and(|client| client.is_denied(mac))
    }

    /// A VN's state, as a spoke or as a hub.
    pub fn report(&self, now: Instant, vn: VnKey) -> Option<report::VnReport> {
        let vn = self.vns.get(&vn)?;
        let view = vn.view(now);
        match (&vn.client, &vn.server) {
            (Some(client), _) => client.report(view, self.probing()).map(report::VnReport::Spoke),
            (None, Some(server)) => Some(report::VnReport::Hub(server.report(view))),
            (None, None) => None,
        }
    }

    /// The first `max` MACs of a VN behind `after`, in their order.
    pub fn macs(&self, now: Instant, vn: VnKey, after: Option<Mac>, max: usize) -> Vec<report::MacRow> {
        let Some(vn) = self.vns.get(&vn) else { return Vec::new() };
        let view = vn.view(now);
        match (&vn.client, &vn.server) {
            (Some(client), _) => client.rows(view, after).take(max).collect(),
            (None, Some(server)) => server.rows(view, after).take(max).collect(),
            (None, None) => Vec::new(),
        }
    }

    /// The first `max` registered clients of a VN behind `after`, in their order; none at a spoke.
    pub fn peers(
        &self,
        now: Instant,
        vn: VnKey,
        after: Option<SiteName>,
        max: usize,
    ) -> Vec<report::PeerRow> {
        let Some(vn) = self.vns.get(&vn) else { return Vec::new() };
        let members = vn.sites.members_after(after).take(max);
        members.map(|(_, site, member)| server::peer_row(vn.view(now), site, member)).collect()
    }

    /// What a hub's clients registered in a VN beside MACs, in their order; nothing at a spoke.
    pub fn ip_clients(&self, vn: VnKey) -> impl Iterator<Item = IpClient> {
        let vn = self.vns.get(&vn).into_iter();
        vn.flat_map(|vn| vn.sites.members().flat_map(|(id, ..)| server::ip_clients(&vn.sites, id)))
    }

    /// How many other hubs a hub was linked to at most in a VN, as far as they are to be there still; none at a spoke.
    pub fn most_hubs(&self, vn: VnKey) -> usize {
        self.vns.get(&vn).and_then(|vn| vn.server.as_ref()).map_or(0, Server::most_hubs)
    }

    /// Whether a client, or a hub of this node's, is at an underlay address.
    pub fn knows(&self, nbma: Nbma) -> bool {
        self.vns.values().any(|vn| vn.sites.is_at(nbma))
    }

    /// How many clients of a hub's, in this VN or in all, are at an underlay address; with a VNI only that site.
    pub fn peers_at(&self, vn: Option<VnKey>, nbma: Nbma, vni: Option<Vni>) -> usize {
        let vns = self.vns.values().filter(|there| vn.is_none_or(|vn| vn == there.key));
        vns.map(|vn| vn.sites.clients_at(nbma, vni).count()).sum()
    }

    /// The first `max` paths of a VN behind `after`, in the order of their VTEPs; at a hub those to other hubs.
    pub fn paths(&self, now: Instant, vn: VnKey, after: Option<Vtep>, max: usize) -> Vec<report::PathRow> {
        let Some(vn) = self.vns.get(&vn) else { return Vec::new() };
        let view = vn.view(now);
        match (&vn.client, &vn.server) {
            (Some(client), _) => client.paths(view, after).take(max).collect(),
            (None, Some(server)) => server.paths(view, after).take(max).collect(),
            (None, None) => Vec::new(),
        }
    }

    /// How long paths wait for their next probe, in percent of what they should: more than 100 where there are too many.
    pub fn probing(&self) -> u32 {
        self.common.probes.percent()
    }

    /// What a hub counted of the first `max` of its clients in a VN behind `after`; none at a spoke.
    pub fn client_counts(&self, vn: VnKey, after: Option<SiteName>, max: usize) -> Vec<report::ClientCounts> {
        let Some(vn) = self.vns.get(&vn) else { return Vec::new() };
        let members = vn.sites.members_after(after).take(max);
        members.map(|(_, site, member)| server::client_counts(&vn.keys, site, member)).collect()
    }

    /// What was counted in all: in the VNs, in those that are no more, and of what belongs to none.
    pub fn statistics(&self) -> Statistics {
        let mut sum = self.statistics;
        self.vns.values().for_each(|vn| sum.add(&vn.statistics));
        sum
    }

    /// How many packets were above the limits of their senders.
    pub fn rate_limited(&self) -> u32 {
        let of_vns = self.vns.values().map(|vn| vn.statistics.rx_rate_limited);
        of_vns.fold(self.statistics.rx_rate_limited, u32::wrapping_add)
    }

    /// Whose packets made no sense within the last hour.
    pub fn oddities(&self, now: Instant) -> Vec<report::OddRow> {
        self.common.oddities.rows(now).collect()
    }

    /// What was counted in a VN.
    pub fn vn_statistics(&self, vn: VnKey) -> Statistics {
        self.vns.get(&vn).map(|vn| vn.statistics).unwrap_or_default()
    }

    fn packet(&mut self, now: Instant, via: Via, nhrp: &[u8], out: &mut Effects) {
        let arrival = Arrival { via, octets: nhrp };
        // The VN a packet belongs to (RFC 2735 section 3.1).
        let Some((_, vn)) = self.vns.iter_mut().find(|(_, vn)| vn.accepts(via)) else {
            let own = self.common.advertised.name_of(via.path.local);
            let limits = (&mut self.strangers, &mut self.common.complaints);
            let oddity = exchange::turn_away(now, out, &mut self.statistics, limits, arrival, own);
            // To a spoke anybody but its hub may name its VN, such as a hub that it had before.
            let is_named = self.vns.values().any(|vn| vn.is_named(via.tag));
            if let Some(oddity) = oddity.filter(|oddity| *oddity == Oddity::Malformed || !is_named) {
                self.odd(now, via.path.remote, oddity, out);
            }
            return;
        };
        let (mut client, mut server, mut cx) = vn.enter(now, &mut self.common, out);
        let limits = (&mut self.strangers, &mut self.newcomers);
        let may_register = server.as_ref().is_none_or(|server| server.allows(via.path.remote));
        let hub = match (client.as_deref_mut(), server.as_deref_mut()) {
            (Some(client), _) => client.hub_at(cx.vpn_id, via),
            (None, Some(server)) => server.hub_at(cx.vpn_id, via, nhrp),
            (None, None) => None,
        };
        let wrong = match exchange::open(&mut cx, hub, may_register, limits, arrival) {
            Fate::Dropped => None,
            Fate::Wrong(site, key, fault) => Some((site, key, fault)),
            Fate::Taken(inbound) => {
                let site = inbound.site.filter(|_| inbound.trust != Trust::Wrong);
                dispatch(&mut cx, client, server, &inbound).err().map(|fault| (site, inbound.key, fault))
            }
        };
        if let Some((site, key, fault)) = wrong {
            cx.complain(arrival, site, key, fault);
        }
    }

    fn probe(&mut self, now: Instant, vn: VnKey, arrived: Arrived, out: &mut Effects) {
        let Some((client, server, mut cx)) = self.enter(now, vn, out) else { return };
        match (arrived.by, client, server) {
            (By::Tunnel, Some(client), _) => client.probe(&mut cx, &arrived),
            (By::Port(_) | By::Shared, _, Some(server)) => server.probe(&mut cx, &arrived),
            (By::Tunnel | By::Port(_) | By::Shared, ..) => {}
        }
    }

    fn enter<'a>(
        &'a mut self,
        now: Instant,
        vn: VnKey,
        out: &'a mut Effects,
    ) -> Option<(Option<&'a mut Client>, Option<&'a mut Server>, Context<'a>)> {
        Some(self.vns.get_mut(&vn)?.enter(now, &mut self.common, out))
    }

    fn relayed(&mut self, now: Instant, via: Via, packet: &[u8], out: &mut Effects) {
        let serves = |vn: &Vn| vn.server.as_ref().is_some_and(|server| server.accepts(vn.vpn_id, via.tag));
        let Some((_, vn)) = self.vns.iter_mut().find(|(_, vn)| serves(vn)) else { return };
        if let (_, Some(server), mut cx) = vn.enter(now, &mut self.common, out) {
            server.relayed(&mut cx, via, packet);
        }
    }

    fn unreadable(&mut self, now: Instant, from: Nbma, why: Malformed, out: &mut Effects) {
        if self.strangers.take(now).is_err() {
            return increment(&mut self.statistics.rx_rate_limited);
        }
        let (counter, oddity) = match why {
            Malformed::OldFormat => (&mut self.statistics.rx_old_format, Oddity::OldFormat),
            _ => (&mut self.statistics.rx_malformed, Oddity::Malformed),
        };
        increment(counter);
        self.odd(now, from, oddity, out);
    }

    fn odd(&mut self, now: Instant, peer: Nbma, oddity: Oddity, out: &mut Effects) {
        let is_known = self.knows(peer);
        if self.common.oddities.note(now, peer, oddity, is_known) {
            out.push(Effect::Odd { peer, oddity, is_known });
        }
    }

    /// The way to a hub is known, changed or lost.
    fn way(&mut self, now: Instant, hub: HubKey, path: Option<Path>, out: &mut Effects) {
        match path {
            Some(path) => self.paths.insert(hub, path),
            None => self.paths.remove(&hub),
        };
        self.vns.iter_mut().for_each(|(_, vn)| vn.way(now, &mut self.common, out, hub, path));
    }

    fn order(&mut self, now: Instant, order: Order, out: &mut Effects) {
        let meant = match order {
            Order::Resolve { vn, .. } | Order::Drain { vn, .. } => Some(vn),
            Order::Flush { vn, .. } | Order::Remove { vn, .. } => vn,
            Order::Refresh | Order::Stop => None,
        };
        self.common.stopping |= matches!(order, Order::Stop);
        for (_, vn) in self.vns.iter_mut().filter(|(key, _)| meant.is_none_or(|vn| vn == **key)) {
            let (client, server, mut cx) = vn.enter(now, &mut self.common, out);
            match (order, client, server) {
                (Order::Resolve { mac, .. }, Some(client), _) => client.resolve(&mut cx, mac),
                (Order::Flush { mac, .. }, Some(client), _) => client.flush(&mut cx, mac),
                (Order::Flush { mac, .. }, None, Some(server)) => server.flush(&mut cx, mac),
                (Order::Remove { nbma, vni, .. }, _, Some(server)) => server.expel(&mut cx, nbma, vni),
                (Order::Drain { is_on, .. }, _, Some(server)) => server.drain(is_on),
                (Order::Refresh, Some(client), _) => client.refresh(&mut cx),
                (Order::Stop, Some(client), _) => client.stop(&mut cx, true),
                // A server has nothing to resolve, and its ports stay: the network goes on while its daemon is replaced.
                (
                    Order::Resolve { .. }
                    | Order::Flush { .. }
                    | Order::Remove { .. }
                    | Order::Drain { .. }
                    | Order::Refresh
                    | Order::Stop,
                    ..,
                ) => {}
            }
        }
    }

    fn tick(&mut self, now: Instant, out: &mut Effects) {
        for _ in 0..DEADLINES {
            let Some(Timer { vn, due }) = self.common.timers.pop(now) else { return };
            let Some(vn) = self.vns.get_mut(&vn) else { continue };
            let (client, server, mut cx) = vn.enter(now, &mut self.common, out);
            match (due, client, server) {
                (Due::Client(due), Some(client), _) => client.due(&mut cx, due),
                (Due::Server(due), _, Some(server)) => server.due(&mut cx, due),
                (Due::Client(ClientDue::Registration(hub)), None, Some(server)) => {
                    server.peer_due(&mut cx, hub);
                }
                (Due::Client(_), None, _) | (Due::Server(_), _, None) => {}
            }
        }
    }

    fn client(&self, vn: VnKey) -> Option<&Client> {
        self.vns.get(&vn)?.client.as_ref()
    }
}

/// Hands a packet to the half it is for.
fn dispatch(
    cx: &mut Context<'_>,
    client: Option<&mut Client>,
    server: Option<&mut Server>,
    from: &Inbound<'_>,
) -> Result<(), Fault> {
    if from.message.header.kind == Kind::Error {
        increment(&mut cx.statistics.rx_error);
    }
    match (client, server) {
        (Some(client), _) if client.accepts(cx.vpn_id, from.via) => client.packet(cx, from),
        (_, Some(server)) => server.packet(cx, from),
        (_, None) => Ok(()),
    }
}
