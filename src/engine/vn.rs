//! A virtual network: its two halves, each optional, and what they have in common.

use super::book::Book;
use super::client::Client;
use super::context::{Context, Timer, View};
use super::contract::effect::Effects;
use super::contract::input::{News, Place};
use super::contract::settings::{Advertised, HubKey, HubSettings, VnKey, VnSettings};
use super::contract::statistics::Statistics;
use super::contract::way::{Path, Via};
use super::exchange::key::Keys;
use super::exchange::session::Sessions;
use super::limits::TokenBucket;
use super::odd::Oddities;
use super::plane::Plane;
use super::random::Random;
use super::reach::Budget;
use super::request_id::RequestIds;
use super::secret::Nonces;
use super::server::Server;
use super::sites::{SiteId, Sites};
use super::timers::Timers;
use super::uplinks::Uplinks;
use crate::time::Instant;
use crate::types::{Mac, VpnId};
use crate::wire::VpnTag;
use crate::wire::nhrp::clear_text;
use core::time::Duration;
use litemap::LiteMap;

/// So long after its start a hub says that it is new.
const YOUNG: Duration = Duration::from_secs(60);

/// A virtual network.
#[derive(Debug)]
pub struct Vn {
    pub key: VnKey,
    pub vpn_id: VpnId,
    pub mtu: u16,
    pub keys: Keys,
    pub authentication: Option<Vec<u8>>,
    pub sites: Sites,
    pub book: Book,
    pub plane: Plane,
    pub client: Option<Client>,
    pub server: Option<Server>,
    pub statistics: Statistics,
}

/// What all VNs share.
#[derive(Debug)]
pub struct Common {
    pub advertised: Advertised,
    pub holding_time: Duration,
    pub timers: Timers<Timer>,
    pub ids: RequestIds,
    pub random: Random,
    pub uplinks: Uplinks,
    pub oddities: Oddities,
    pub sessions: Sessions,
    pub nonces: Nonces,
    pub complaints: TokenBucket,
    pub probes: Budget,
    /// When the first thing happened.
    pub started: Option<Instant>,
    /// Whether the daemon is to end. Then clients hear of packets and time alone: what is withdrawn must not be registered
    /// again. Servers go on, as their ports do.
    pub stopping: bool,
}

impl Vn {
    pub fn new(now: Instant, key: VnKey, settings: VnSettings, hubs: &LiteMap<HubKey, HubSettings>) -> Vn {
        let VnSettings { vpn_id, mtu, keys, client, server } = settings;
        let own_ips = server.as_ref().map(|server| server.protocol_addresses.clone()).unwrap_or_default();
        Vn {
            key,
            vpn_id,
            mtu,
            keys: Keys::new(keys),
            authentication: server.as_ref().and_then(|server| server.password.as_deref().map(clear_text)),
            sites: Sites::new(own_ips),
            book: Book::default(),
            plane: Plane::new(key),
            client: client.map(|client| Client::new(now, client, hubs)),
            server: server.map(|server| Server::new(now, server, hubs)),
            statistics: Statistics::default(),
        }
    }

    /// Its halves, and what they need to work.
    pub fn enter<'a>(
        &'a mut self,
        now: Instant,
        common: &'a mut Common,
        out: &'a mut Effects,
    ) -> (Option<&'a mut Client>, Option<&'a mut Server>, Context<'a>) {
        let started = *common.started.get_or_insert(now);
        let cx = Context {
            now,
            probes: &mut common.probes,
            is_young: now.since(started) < YOUNG,
            out,
            ids: &mut common.ids,
            random: &mut common.random,
            timers: &mut common.timers,
            uplinks: &mut common.uplinks,
            advertised: common.advertised,
            oddities: &mut common.oddities,
            sessions: &mut common.sessions,
            nonces: &mut common.nonces,
            complaints: &mut common.complaints,
            holding_time: common.holding_time,
            vn: self.key,
            vpn_id: self.vpn_id,
            mtu: self.mtu,
            keys: &self.keys,
            authentication: self.authentication.as_deref(),
            sites: &mut self.sites,
            book: &mut self.book,
            plane: &mut self.plane,
            statistics: &mut self.statistics,
        };
        (self.client.as_mut(), self.server.as_mut(), cx)
    }

    pub fn view(&self, now: Instant) -> View<'_> {
        View { now, sites: &self.sites, book: &self.book, plane: &self.plane, keys: &self.keys }
    }

    /// Whether packets that come by this way belong here.
    pub fn accepts(&self, via: Via) -> bool {
        self.client.as_ref().is_some_and(|client| client.accepts(self.vpn_id, via))
            || self.server.as_ref().is_some_and(|server| server.accepts(self.vpn_id, via.tag))
    }

    /// Takes over what can be taken over in place; `None` if the VN has to be made anew. Whether its keys are others.
    pub fn reconfigure(&mut self, new: &VnSettings, hubs: &LiteMap<HubKey, HubSettings>) -> Option<bool> {
        let client = match (&mut self.client, &new.client) {
            (Some(client), Some(new)) => client.reconfigure(*new, hubs),
            (client, new) => client.is_none() && new.is_none(),
        };
        let server = match (&mut self.server, &new.server) {
            (Some(server), Some(new)) => server.reconfigure(new, hubs),
            (server, new) => server.is_none() && new.is_none(),
        };
        let same = self.vpn_id == new.vpn_id && client && server;
        if same {
            self.mtu = new.mtu;
            if let Some(server) = &new.server {
                self.sites.own_ips.clone_from(&server.protocol_addresses);
                self.authentication = server.password.as_deref().map(clear_text);
            }
        }
        same.then(|| self.keys.replace(new.keys.clone()))
    }

    /// Ends what the settings have no place for any more.
    pub fn fit(&mut self, now: Instant, common: &mut Common, out: &mut Effects, has_other_keys: bool) {
        let (client, server, mut cx) = self.enter(now, common, out);
        if let Some(client) = client.filter(|_| has_other_keys) {
            client.rekey(&mut cx);
        }
        if let Some(server) = server {
            server.fit(&mut cx);
        }
    }

    /// Whether packets with this tag mean it, whoever sends them.
    pub fn is_named(&self, tag: VpnTag) -> bool {
        self.client.as_ref().is_some_and(|client| client.is_named(self.vpn_id, tag))
            || self.server.as_ref().is_some_and(|server| server.accepts(self.vpn_id, tag))
    }

    pub fn way(
        &mut self,
        now: Instant,
        common: &mut Common,
        out: &mut Effects,
        hub: HubKey,
        path: Option<Path>,
    ) {
        let (client, server, mut cx) = self.enter(now, common, out);
        if let Some(client) = client {
            client.way(&mut cx, hub, path);
        }
        if let Some(server) = server {
            server.way(&mut cx, hub, path);
        }
    }

    /// The ways to other hubs, of which some may be peers only now.
    pub fn ways_to_peers(
        &mut self,
        now: Instant,
        common: &mut Common,
        out: &mut Effects,
        paths: &LiteMap<HubKey, Path>,
    ) {
        if let (_, Some(server), mut cx) = self.enter(now, common, out) {
            paths.iter().for_each(|(hub, path)| server.way(&mut cx, *hub, Some(*path)));
        }
    }

    pub fn news(&mut self, now: Instant, common: &mut Common, out: &mut Effects, news: News) {
        let stopping = common.stopping;
        let (client, server, mut cx) = self.enter(now, common, out);
        if let Some(client) = client.filter(|_| !stopping) {
            client.news(&mut cx, news);
        }
        if let Some(server) = server {
            server.news(&mut cx, news);
        }
    }

    pub fn end(&mut self, now: Instant, common: &mut Common, out: &mut Effects) {
        let (client, server, mut cx) = self.enter(now, common, out);
        if let Some(client) = client {
            client.end(&mut cx);
        }
        if let Some(server) = server {
            server.end(&mut cx);
        }
    }

    pub fn lookup(&self, mac: Mac) -> Place {
        match self.book.site_of(mac) {
            _ if self.sites.mac == Some(mac) => Place::Local,
            Some(SiteId::HERE) => Place::Local,
            Some(site) => self.sites.vtep(site).map_or(Place::Gone, Place::At),
            None => Place::Gone,
        }
    }
}
