//! A hub (NHS) in one VN: a learning switch whose ports are its registered spokes, and who answers where a MAC lives.

use super::bindings::{Bindings, Spot};
use super::context::{Context, Due, Timer, protocol_fault, unknown_extension};
use super::contract::effect::{Act, Effect, Event, Table, Why};
use super::contract::input::{Outcome, Path, Place};
use super::contract::report::{ClientCounts, HubReport, MacRow, MacState, PeerRow};
use super::contract::settings::{HubRoleSettings, VnKey};
use super::contract::statistics::{ClientStatistics, increment};
use super::limits::TokenBucket;
use super::peers::{Peer, PeerId, PeerName, Peers, Port};
use super::plane;
use super::timers::Alarm;
use crate::time::Instant;
use crate::types::{Mac, Nbma, Vni, VpnId, Vtep};
use crate::wire::VpnTag;
use crate::wire::nhrp::{Fault, Header, Kind, Message, Protocol, ProtocolAddress, error};
use core::net::IpAddr;
use core::time::Duration;

/// Held bindings are looked through at most this often.
const SWEEP_APART: Duration = Duration::from_secs(30);

/// The state of a hub in one VN.
#[derive(Debug)]
pub struct Hub {
    pub(super) vn: VnKey,
    pub(super) vpn_id: VpnId,
    pub(super) mtu: u16,
    pub(super) settings: HubRoleSettings,
    /// The bridge's MAC: the hub's protocol address.
    pub(super) mac: Option<Mac>,
    /// Since when the bridge has been there, or not.
    since: Instant,
    pub(super) peers: Peers,
    pub(super) bindings: Bindings,
    /// The uplink VNI all spokes share, once there is one.
    shared: Option<Vni>,
    sweep: Alarm,
    sweeping: bool,
    full: bool,
}

impl HubRoleSettings {
    /// This hub's own address in an IP protocol.
    pub fn protocol_address(&self, protocol: Protocol) -> Option<ProtocolAddress> {
        self.protocol_addresses.iter().map(|ip| ProtocolAddress::Ip(*ip)).find(|a| a.protocol() == protocol)
    }
}

/// Who sent a packet, and how.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    pub path: Path,
    pub tag: VpnTag,
    /// Who it is, if it is registered.
    pub peer: Option<PeerId>,
}

impl Hub {
    pub fn new(now: Instant, vn: VnKey, vpn_id: VpnId, mtu: u16, settings: HubRoleSettings) -> Hub {
        Hub {
            vn,
            vpn_id,
            mtu,
            settings,
            mac: None,
            since: now,
            peers: Peers::default(),
            bindings: Bindings::default(),
            shared: None,
            sweep: Alarm::default(),
            sweeping: false,
            full: false,
        }
    }

    /// Takes over settings that disturb nobody; `false` if they mean a different VN.
    pub fn reconfigure(&mut self, vpn_id: VpnId, mtu: u16, settings: &HubRoleSettings) -> bool {
        if (self.vpn_id, self.settings.shared_uplink) != (vpn_id, settings.shared_uplink) {
            return false;
        }
        self.mtu = mtu;
        self.settings.clone_from(settings);
        true
    }

    /// Whether packets that name no VN belong here.
    pub fn is_default(&self) -> bool {
        self.settings.default
    }

    pub fn set_plane(&mut self, cx: &mut Context<'_>, mac: Option<Mac>) {
        let came = self.mac.is_none() && mac.is_some();
        if self.mac.is_some() != mac.is_some() {
            self.since = cx.now;
        }
        self.mac = mac;
        if came {
            // Spokes may hold answers of an earlier run, found ports or not.
            self.bindings.forgot_askers_until(cx.now + cx.holding_time);
            cx.out.push(Effect::Do { vn: self.vn, act: Act::List });
        }
    }

    /// The registered peer a packet with this path and header is from; a packet from elsewhere is not from it.
    /// After a restart a spoke whose port was found counts: it does not know that it has to register again.
    pub fn peer(&self, path: Path, header: &Header) -> Option<PeerId> {
        let id = match header.kind {
            // The header of a Purge Reply is the request's: it names the hub, not the peer.
            Kind::PurgeReply => self.peers.at(path.remote).next()?,
            _ => self.peers.find((path.remote, header.vni))?,
        };
        self.peers.get(id).filter(|p| !p.registered.is_empty() || p.grace.is_some()).map(|_| id)
    }

    /// The rate limit of a registered peer.
    pub fn bucket(&mut self, id: PeerId) -> Option<&mut TokenBucket> {
        self.peers.get_mut(id).map(|p| &mut p.bucket)
    }

    /// Counts one more of what a client did, if it is one.
    pub(super) fn count(&mut self, client: Option<PeerId>, what: fn(&mut ClientStatistics) -> &mut u32) {
        if let Some(peer) = client.and_then(|id| self.peers.get_mut(id)) {
            increment(what(&mut peer.statistics));
        }
    }

    /// A packet above the client's rate limit was dropped.
    pub fn is_limited(&mut self, client: PeerId) {
        self.count(Some(client), |c| &mut c.rx_rate_limited);
    }

    /// A packet arrived.
    pub fn packet(
        &mut self,
        cx: &mut Context<'_>,
        from: Sender,
        message: &Message<'_>,
        bytes: &[u8],
    ) -> Result<(), Fault> {
        let result = self.understand(cx, from, message, bytes);
        if result.is_err() {
            self.count(from.peer, |c| &mut c.errors);
        }
        result
    }

    fn understand(
        &mut self,
        cx: &mut Context<'_>,
        from: Sender,
        message: &Message<'_>,
        bytes: &[u8],
    ) -> Result<(), Fault> {
        let request = matches!(
            message.header.kind,
            Kind::RegistrationRequest | Kind::ResolutionRequest | Kind::PurgeRequest
        );
        if request {
            if let Some(fault) = unknown_extension(message, bytes) {
                return Err(fault);
            }
        }
        match message.header.kind {
            Kind::RegistrationRequest => {
                increment(&mut cx.statistics.rx_register_req);
                let result = self.register(cx, from, message, bytes);
                // Now it is a client, if it may be one.
                let client = self.peers.find((message.header.nbma, message.header.vni));
                self.count(client, |c| &mut c.rx_register_req);
                result
            }
            Kind::ResolutionRequest => {
                self.count(from.peer, |c| &mut c.rx_resolve_req);
                self.resolution(cx, from, message)
            }
            Kind::PurgeRequest => self.purge(cx, from, message),
            Kind::PurgeReply => {
                increment(&mut cx.statistics.rx_purge_reply);
                // A Purge Reply has the hub as its source: who confirms is known by the path alone.
                for id in self.peers_at(from.path.remote) {
                    self.purge_confirmed(cx, id, message.header.request_id);
                }
                Ok(())
            }
            Kind::Error => {
                let code = message.header.error_code();
                self.count(self.peers_at(from.path.remote).first().copied(), |c| &mut c.errors);
                cx.out.tell(self.vn, Event::PeerError { peer: from.path.remote, code });
                Ok(())
            }
            Kind::ResolutionReply => {
                increment(&mut cx.statistics.rx_unsolicited);
                Err(Fault { code: error::INVALID_REPLY, offset: 0, header: Some(message.header) })
            }
            Kind::RegistrationReply => {
                increment(&mut cx.statistics.rx_unsolicited);
                Ok(())
            }
        }
    }

    /// The bridge tells where a MAC is.
    pub fn fdb(&mut self, cx: &mut Context<'_>, mac: Mac, place: Place) {
        let spot = match place {
            Place::Gone => {
                self.bindings.unlearn(cx.now, mac);
                return;
            }
            Place::Local => Spot::Here,
            Place::Port(spoke) => match self.peers.find((spoke.nbma, Some(spoke.vni))) {
                Some(id) => Spot::Peer(id),
                None => return,
            },
            Place::Tunnel => return,
        };
        match self.bindings.learn(cx.now, mac, spot, self.settings.max_macs) {
            Ok(None) => {}
            Ok(Some(change)) => {
                if change.from.is_some() {
                    increment(&mut cx.statistics.mac_moves);
                    let to = match spot {
                        Spot::Here => None,
                        Spot::Peer(id) => self.peers.get(id).and_then(Peer::vtep),
                    };
                    cx.out.tell(self.vn, Event::MacMoved { mac, to });
                }
                self.take_back(cx, ProtocolAddress::Mac(mac), &change);
            }
            Err(()) => {
                increment(&mut cx.statistics.macs_refused);
                if !core::mem::replace(&mut self.full, true) {
                    cx.out.tell(self.vn, Event::Full(Table::Macs));
                }
            }
        }
    }

    pub fn listing(&mut self) {
        self.bindings.listing();
    }

    pub fn listed(&mut self, cx: &mut Context<'_>) {
        self.bindings.listed(cx.now);
        self.full = false;
    }

    /// A port of an earlier run was found.
    pub fn found(&mut self, cx: &mut Context<'_>, spoke: Vtep, port: plane::Port) {
        let name = (spoke.nbma, Some(spoke.vni));
        if self.peers.find(name).is_some() {
            return;
        }
        let plane::Port { uplink, local } = port;
        let mut peer = Peer::new(name, Path { local, remote: spoke.nbma }, VpnTag::Llc(self.vpn_id));
        peer.port = Port::Up { uplink };
        peer.grace = Some(cx.now + cx.holding_time);
        cx.plane.adopt_port(spoke, port);
        self.reserve_uplink(cx, uplink);
        let id = self.peers.insert(peer);
        self.arm_peer(cx, id);
        cx.out.tell(self.vn, Event::SpokeUp { spoke, uplink });
    }

    /// What became of a port that was to be made.
    pub fn became(&mut self, cx: &mut Context<'_>, spoke: Vtep, outcome: Outcome) {
        let Some(id) = self.peers.find((spoke.nbma, Some(spoke.vni))) else { return };
        let Some(peer) = self.peers.get_mut(id) else { return };
        let Some(uplink) = peer.uplink() else { return };
        let after = match outcome {
            Outcome::Made => Port::Up { uplink },
            Outcome::Failed { .. } => Port::None,
        };
        let Port::Asked { request, .. } = core::mem::replace(&mut peer.port, after) else { return };
        match outcome {
            Outcome::Made => {
                cx.out.tell(self.vn, Event::SpokeUp { spoke, uplink });
                self.register_again(cx, id, &request);
            }
            Outcome::Failed { taken } => {
                cx.plane.set_port(cx.out, spoke, None);
                self.port_failed(cx, uplink, taken);
                self.refuse_again(cx, id, &request);
            }
        }
    }

    pub fn due(&mut self, cx: &mut Context<'_>, due: Due) {
        match due {
            Due::Peer(id) => self.expire(cx, id),
            Due::Purge(id) => self.purge_due(cx, id),
            Due::Sweep => {
                self.sweeping = false;
                if let Some(next) = self.bindings.sweep(cx.now) {
                    self.sweep_at(cx, next);
                }
            }
            Due::Registration | Due::Questions | Due::Announcements | Due::Mac(_) => {}
        }
    }

    /// The VN is taken out of the configuration: its ports go.
    pub fn remove(&mut self, cx: &mut Context<'_>) {
        let all: Vec<PeerId> = self.peers.iter().map(|(id, _)| id).collect();
        for id in all {
            self.remove_peer(cx, id, Why::Stopped);
        }
        cx.timers.clear(&mut self.sweep);
        if let Some(uplink) = self.shared.take() {
            cx.uplinks.release(uplink);
        }
    }

    /// The uplink VNI for a spoke's port that is to be made; `None` when all are taken.
    pub(super) fn take_uplink(&mut self, cx: &mut Context<'_>, spoke: Vtep) -> Option<Vni> {
        let first = self.settings.uplink_first;
        if !self.settings.shared_uplink {
            return cx.uplinks.allocate(first, self.vpn_id, Some(spoke));
        }
        if self.shared.is_none() {
            self.shared = cx.uplinks.allocate(first, self.vpn_id, None);
        }
        self.shared
    }

    /// A port found at the start uses this uplink VNI.
    fn reserve_uplink(&mut self, cx: &mut Context<'_>, uplink: Vni) {
        cx.uplinks.reserve(uplink);
        if self.settings.shared_uplink {
            self.shared = Some(uplink);
        }
    }

    /// A spoke uses its uplink VNI no more. A shared one belongs to the VN as long as that lasts.
    fn release_uplink(&mut self, cx: &mut Context<'_>, uplink: Vni) {
        if self.shared != Some(uplink) {
            cx.uplinks.release(uplink);
        }
    }

    /// There is no port with this VNI. One that somebody else uses stays reserved, so that the next try takes another.
    fn port_failed(&mut self, cx: &mut Context<'_>, uplink: Vni, taken: bool) {
        if !taken {
            self.release_uplink(cx, uplink);
        } else if self.shared == Some(uplink) {
            self.shared = None;
        }
    }

    /// What the hub knows of a MAC: its VTEP; `Err(true)` for a host at the hub, `Err(false)` for nothing.
    pub fn lookup(&self, mac: Mac) -> Result<Vtep, bool> {
        match self.bindings.get(ProtocolAddress::Mac(mac)).and_then(|b| b.spot()) {
            Some(Spot::Peer(id)) => self.peers.get(id).and_then(Peer::vtep).ok_or(false),
            Some(Spot::Here) => Err(true),
            None => Err(self.mac == Some(mac)),
        }
    }

    pub fn report(&self, now: Instant) -> HubReport {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        HubReport {
            since: now.since(self.since).as_secs(),
            spokes: count(self.peers.len()),
            max_spokes: self.settings.max_spokes.into(),
            macs: count(self.bindings.len()),
            purges: count(self.peers.iter().map(|(_, p)| p.purges.waiting.len()).sum()),
        }
    }

    /// Rows of the MACs behind `after`, in their order.
    pub fn rows(&self, now: Instant, after: Option<Mac>) -> impl Iterator<Item = MacRow> + '_ {
        let macs = self.bindings.behind(after).map_while(|(address, binding)| match address {
            ProtocolAddress::Mac(mac) => Some((mac, binding)),
            ProtocolAddress::Ip(_) => None,
        });
        macs.filter_map(move |(mac, binding)| {
            let peer = match binding.spot()? {
                Spot::Peer(id) => self.peers.get(id),
                Spot::Here => None,
            };
            Some(MacRow {
                mac,
                state: if binding.learned || binding.registered().is_some() {
                    MacState::Learned
                } else {
                    MacState::Held
                },
                at: peer.and_then(Peer::vtep),
                left: peer.and_then(Peer::until).map(|until| seconds(until, now)),
                askers: u32::try_from(binding.askers()).unwrap_or(u32::MAX),
            })
        })
    }

    /// Rows of the clients behind `after`, in the order of their names.
    pub fn peer_rows(&self, now: Instant, after: Option<PeerName>) -> impl Iterator<Item = PeerRow> + '_ {
        self.peers.behind(after).map(move |peer| {
            let addresses = || peer.registered.iter().map(|r| r.address);
            PeerRow {
                nbma: peer.nbma,
                vni: peer.vni,
                uplink: peer.uplink(),
                macs: addresses()
                    .filter_map(|a| if let ProtocolAddress::Mac(m) = a { Some(m) } else { None })
                    .collect(),
                addresses: addresses().filter_map(ip).collect(),
                left: peer.until().map_or(0, |until| seconds(until, now)),
            }
        })
    }

    /// What was counted of the clients behind `after`, in the order of their names.
    pub fn client_counts(&self, after: Option<PeerName>) -> impl Iterator<Item = ClientCounts> + '_ {
        self.peers.behind(after).map(|peer| ClientCounts {
            nbma: peer.nbma,
            vni: peer.vni,
            uplink: peer.uplink(),
            statistics: peer.statistics,
        })
    }

    /// A client withdraws what it registered, or a MAC that was behind it.
    fn purge(&mut self, cx: &mut Context<'_>, from: Sender, message: &Message<'_>) -> Result<(), Fault> {
        increment(&mut cx.statistics.rx_purge_req);
        if message.cies().next().is_none() || message.cies().any(|c| c.address.is_none()) {
            return Err(protocol_fault(message));
        }
        // First of all: the way it takes may be the port that goes.
        cx.confirm_purge(from.path, from.tag, message);
        let Some(id) = from.peer else { return Ok(()) };
        for address in message.cies().filter_map(|c| c.address) {
            self.deregister(cx, id, address);
            if let Some(change) = self.bindings.withdraw(cx.now, address, id) {
                self.take_back(cx, address, &change);
            }
        }
        self.settle(cx, id, Why::Purged);
        Ok(())
    }

    /// Everything of a peer whose time is over goes.
    fn expire(&mut self, cx: &mut Context<'_>, id: PeerId) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        peer.grace = peer.grace.filter(|until| *until > cx.now);
        while let Some(over) =
            self.peers.get(id).and_then(|p| p.registered.iter().find(|r| r.until <= cx.now))
        {
            self.deregister(cx, id, over.address);
        }
        self.settle(cx, id, Why::Expired);
    }

    /// Takes an address out of a peer's registration.
    fn deregister(&mut self, cx: &mut Context<'_>, id: PeerId, address: ProtocolAddress) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        let before = peer.registered.len();
        peer.registered.retain(|r| r.address != address);
        if peer.registered.len() == before {
            return;
        }
        if let Some(address) = ip(address) {
            cx.plane.set_neighbour(cx.out, address, None);
        }
        if self.bindings.get(address).and_then(|b| b.registered()) == Some(id) {
            if let Some(change) = self.bindings.unregister(cx.now, address) {
                self.take_back(cx, address, &change);
            }
        }
    }

    /// After something of a peer ended: the next deadline, or the end of the peer.
    pub(super) fn settle(&mut self, cx: &mut Context<'_>, id: PeerId, why: Why) {
        let Some(peer) = self.peers.get(id) else { return };
        let waits = peer.grace.is_some() || matches!(peer.port, Port::Asked { .. });
        if peer.registered.is_empty() && !waits {
            self.remove_peer(cx, id, why);
        } else {
            self.arm_peer(cx, id);
        }
    }

    pub(super) fn arm_peer(&mut self, cx: &mut Context<'_>, id: PeerId) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        match peer.next_end() {
            Some(end) => cx.timers.set(&mut peer.alarm, end, Timer { vn: self.vn, what: Due::Peer(id) }),
            None => cx.timers.clear(&mut peer.alarm),
        }
    }

    /// The peer is gone: its port goes, and every shortcut towards it.
    pub(super) fn remove_peer(&mut self, cx: &mut Context<'_>, id: PeerId, why: Why) {
        let Some(mut peer) = self.peers.remove(id) else { return };
        if let Some(uplink) = peer.uplink() {
            self.release_uplink(cx, uplink);
        }
        cx.timers.clear(&mut peer.alarm);
        cx.timers.clear(&mut peer.purges.alarm);
        self.bindings.forget_asker(id);
        let mut last = None;
        while let Some(address) = self.bindings.next_behind(id, last) {
            last = Some(address);
            if let Some(change) = self.bindings.withdraw(cx.now, address, id) {
                self.take_back_from(cx, address, peer.vtep(), &change);
            }
        }
        for address in peer.registered.iter().filter_map(|r| ip(r.address)) {
            cx.plane.set_neighbour(cx.out, address, None);
        }
        match (peer.vtep(), &peer.port) {
            (Some(spoke), Port::Up { .. }) => {
                cx.plane.set_port(cx.out, spoke, None);
                cx.out.tell(self.vn, Event::SpokeDown { spoke, why });
            }
            // It may be there by now, though nobody said so yet.
            (Some(spoke), Port::Asked { .. }) => cx.plane.set_port(cx.out, spoke, None),
            (Some(_), Port::None) | (None, _) => {}
        }
    }

    pub(super) fn table_full(&mut self, cx: &mut Context<'_>, table: Table) {
        increment(&mut cx.statistics.spokes_refused);
        cx.out.tell(self.vn, Event::Full(table));
    }

    /// Looks for answers that nobody holds any more when `at` has come, unless it is going to anyway.
    pub(super) fn sweep_at(&mut self, cx: &mut Context<'_>, at: Instant) {
        if !core::mem::replace(&mut self.sweeping, true) {
            let at = at.max(cx.now + SWEEP_APART);
            cx.timers.set(&mut self.sweep, at, Timer { vn: self.vn, what: Due::Sweep });
        }
    }

    fn peers_at(&self, nbma: Nbma) -> heapless::Vec<PeerId, 8> {
        self.peers.at(nbma).take(8).collect()
    }
}

pub(super) fn ip(address: ProtocolAddress) -> Option<IpAddr> {
    match address {
        ProtocolAddress::Ip(ip) => Some(ip),
        ProtocolAddress::Mac(_) => None,
    }
}

fn seconds(until: Instant, now: Instant) -> u32 {
    u32::try_from(until.since(now).as_secs()).unwrap_or(u32::MAX)
}
