//! The other hubs of a VN: one switch, many boxes. Each is a client of this one, whose port is isolated from those of the
//! other hubs: what one of them sends is passed to this hub's own spokes alone.
//!
//! Of two hubs the one with the lower address registers with the other, as a spoke does; who is a hub is configuration.
//! Once it is accepted, that one is its client in turn, in the same session.

mod directory;
mod handover;
mod paths;
mod questions;

use super::super::client::Registration;
use super::super::context::Context;
use super::super::contract::item::{Item, Port, Wanted};
use super::super::contract::reason::Why;
use super::super::contract::settings::{ClientSettings, HubKey, HubSettings, Hubs, Trigger};
use super::super::contract::way::{Path, Via};
use super::super::exchange::{Inbound, KeyId, Trust};
use super::super::limits::{self, CIES_PER_PURGE, TokenBucket};
use super::super::member::{MemberPort, Registered};
use super::super::sites::SiteId;
use super::super::ways::Ways;
use super::{Server, TakenBack};
use crate::map::map_of;
use crate::time::Instant;
use crate::types::{Mac, Nbma, Vni, VpnId, Vtep};
use crate::wire::nhrp::{HUB, Kind, ProtocolAddress, code, kind};
use core::time::Duration;
use directory::Directory;
use handover::Handovers;
pub(super) use handover::{LEAVES, unbelieved};
use litemap::LiteMap;
use paths::Paths;
use questions::Questions;

/// So long a hub counts as there for another one that hears nothing of it: it registers again after two fifths of this.
const HOLDING: Duration = Duration::from_secs(15);

/// Where the kind of a packet stands.
const KIND: usize = 17;

/// The other hubs.
#[derive(Debug)]
pub struct Mesh {
    peers: LiteMap<HubKey, OtherHub>,
    ways: Ways,
    /// What the settings say of all hubs; of those that are peers it is read.
    wanted: LiteMap<HubKey, HubSettings>,
    /// Those that are clients now.
    pub(super) hubs: Vec<SiteId>,
    /// How many there were at most.
    pub(super) most: usize,
    /// How many in an earlier run, and by when they are back.
    found: (usize, Instant),
    /// Of answers to registrations.
    bucket: TokenBucket,
    pub(super) directory: Directory,
    pub(super) questions: Questions,
    pub(super) handovers: Handovers,
    pub(super) paths: Paths,
}

/// Another hub.
#[derive(Debug)]
struct OtherHub {
    hub: HubKey,
    /// It has a way if this is the hub that registers.
    registration: Registration,
    /// The VNI of the port for it, which this hub chose for its registration.
    vni: Option<Vni>,
}

impl Mesh {
    pub fn new(now: Instant, peers: &[HubKey], hubs: &LiteMap<HubKey, HubSettings>) -> Mesh {
        let peer =
            |hub: &HubKey| (*hub, OtherHub::new(now, *hub, hubs.get(hub).copied().unwrap_or_default()));
        Mesh {
            peers: map_of(peers.iter().map(peer)),
            ways: Ways::default(),
            wanted: hubs.clone(),
            hubs: Vec::new(),
            most: 0,
            found: (0, now),
            bucket: TokenBucket::new(limits::HUB),
            directory: Directory::default(),
            questions: Questions::default(),
            handovers: Handovers::default(),
            paths: Paths::default(),
        }
    }

    /// How many other hubs there are to be.
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// How many are linked, and frames get there.
    pub fn well(&self) -> usize {
        self.hubs.iter().filter(|hub| !self.paths.is_lost(**hub)).count()
    }

    /// How many are linked, and answer probes as far as that is known, for who asks. One that is silent may just be started
    /// anew: spokes do not hear of that.
    pub fn linked(&self) -> usize {
        self.hubs.iter().filter(|hub| !self.paths.is_down(**hub)).count()
    }

    /// How many there were at most, in this run and in earlier ones.
    fn most(&self) -> usize {
        self.most.max(self.found.0)
    }

    /// An earlier run had so many. Those that are there need a moment to be linked.
    pub(super) fn found(&mut self, now: Instant, most: usize) {
        self.found = (most.min(self.peers.len()), now + HOLDING);
    }

    /// One is none any more: what is not there since nobody wants it is not lost. Each of those that are not may have been linked.
    fn misses_one_less(&mut self) {
        let there = self.hubs.len();
        let left = |most: usize| most.min(there.max(most.saturating_sub(1)));
        (self.most, self.found.0) = (left(self.most), left(self.found.0));
    }

    /// Whether one that was there is not, or nothing but NHRP gets there.
    pub fn has_lost(&self, now: Instant) -> bool {
        let (_, back) = self.found;
        let most = if now < back { self.most } else { self.most() };
        self.well() < most.min(self.peers.len())
    }

    /// Whether another hub is at an underlay address.
    pub fn is_at(&self, nbma: Nbma) -> bool {
        self.ways.is_at(nbma)
    }

    /// Whether this hub registers with one at an underlay address.
    pub fn registers_at(&self, nbma: Nbma) -> bool {
        self.peers.values().any(|peer| peer.registers_at(nbma))
    }

    /// The one that this hub registers with at an underlay address.
    fn peer_at(&mut self, nbma: Nbma) -> Option<&mut OtherHub> {
        self.peers.iter_mut().map(|(_, peer)| peer).find(|peer| peer.registers_at(nbma))
    }

    /// Whether a registration of this hub's names the VNI.
    pub fn uses(&self, uplink: Vni) -> bool {
        self.peers.values().any(|peer| peer.vni == Some(uplink))
    }

    /// There may be other peers from now on, in [`Server::fit_peers`].
    pub fn reconfigure(&mut self, hubs: &LiteMap<HubKey, HubSettings>) {
        self.wanted.clone_from(hubs);
    }
}

impl OtherHub {
    fn new(now: Instant, hub: HubKey, to: HubSettings) -> OtherHub {
        OtherHub { hub, registration: Registration::new(now, hub, to).of_hub(), vni: None }
    }

    /// What it registers as, if it does.
    fn client(&self) -> Option<ClientSettings> {
        Some(ClientSettings {
            vni: self.vni?,
            hubs: Hubs::one(self.hub),
            preempt: false,
            unique: false,
            verify: true,
            trigger: Trigger::Learn,
            max_macs: 0,
            negative_time: Duration::ZERO,
        })
    }

    /// Whether this hub registers with it, at an underlay address.
    fn registers_at(&self, nbma: Nbma) -> bool {
        self.registration.path().is_some_and(|path| path.remote == nbma)
    }

    /// Has the registration do something.
    fn registers<T>(
        &mut self,
        cx: &mut Context<'_>,
        f: impl FnOnce(&mut Registration, &mut Context<'_>, &ClientSettings) -> T,
    ) -> Option<T> {
        let settings = self.client()?;
        // Hubs hear of each other more often than of spokes.
        let shorter = cx.holding_time.min(HOLDING);
        let own = core::mem::replace(&mut cx.holding_time, shorter);
        let result = f(&mut self.registration, cx, &settings);
        cx.holding_time = own;
        Some(result)
    }
}

impl Server {
    /// To how many other hubs this one was linked at most.
    pub fn most_hubs(&self) -> usize {
        self.mesh.most()
    }

    /// Whom a packet is from that came by the way to a hub which this one registers with, if it answers a registration.
    pub fn hub_at(&mut self, vpn_id: VpnId, via: Via, nhrp: &[u8]) -> Option<(SiteId, &mut TokenBucket)> {
        if nhrp.get(KIND) != Some(&(Kind::RegistrationReply as u8)) {
            return None;
        }
        let mut peers = self.mesh.peers.values();
        let site = peers.find(|peer| peer.registration.via(vpn_id) == Some(via))?.registration.site()?;
        Some((site, &mut self.mesh.bucket))
    }

    /// The way to another hub is known, changed or lost.
    pub fn way(&mut self, cx: &mut Context<'_>, hub: HubKey, path: Option<Path>) {
        if self.mesh.peers.get(&hub).is_none() {
            return;
        }
        let before = self.mesh.ways.to(hub);
        let path = self.mesh.ways.tell(hub, path);
        self.follow_way(cx, hub, before, path);
        if let Some((hub, path)) = self.mesh.ways.freed() {
            self.follow_way(cx, hub, None, Some(path));
        }
    }

    fn follow_way(&mut self, cx: &mut Context<'_>, hub: HubKey, before: Option<Path>, path: Option<Path>) {
        let Some(peer) = self.mesh.peers.get_mut(&hub) else { return };
        if before == path {
            peer.registers(cx, |registration, cx, settings| registration.retry(cx, settings));
            return;
        }
        let own = path.filter(|path| cx.name_of(path.local) < path.remote);
        if before.map(|path| path.remote) != path.map(|path| path.remote) {
            let gone: Vec<SiteId> = before.map_or_else(Vec::new, |path| hubs_at(cx, path.remote));
            gone.into_iter().for_each(|site| self.remove(cx, site, Why::Moved));
        }
        let first = self.settings.uplink_first;
        let Some(peer) = self.mesh.peers.get_mut(&hub) else { return };
        peer.registers(cx, |registration, cx, settings| registration.leave_way(cx, settings, own));
        if let (Some(path), None) = (own, peer.vni) {
            let found = hubs_at(cx, path.remote).first().copied();
            let found = found.and_then(|site| cx.sites.member(site)?.uplink());
            // Which VNI the other hub chooses is not known yet.
            let spoke = Vtep { nbma: path.remote, vni: first };
            peer.vni = found.or_else(|| cx.uplinks.allocate(first, cx.vpn_id, Some(spoke)));
        }
        peer.registers(cx, |registration, cx, settings| {
            // Tries never become rare: a hub is to be back as soon as it can be.
            registration.set_lost(cx, settings, true);
            registration.set_path(cx, own);
            registration.enter(cx, settings);
        });
    }

    /// The bridge has come or gone, or has another MAC.
    pub(super) fn enter_peers(&mut self, cx: &mut Context<'_>) {
        for (_, peer) in self.mesh.peers.iter_mut() {
            peer.registers(cx, |registration, cx, settings| registration.enter(cx, settings));
        }
    }

    /// The next step of a registration with another hub.
    pub fn peer_due(&mut self, cx: &mut Context<'_>, hub: HubKey) {
        if let Some(peer) = self.mesh.peers.get_mut(&hub) {
            peer.registers(cx, |registration, cx, settings| registration.due(cx, settings));
        }
    }

    /// Another hub answered a registration of this one's. Whether there is such a one.
    pub(super) fn peer_answered(&mut self, cx: &mut Context<'_>, from: &Inbound<'_>) -> bool {
        let is_from = |peer: &&mut OtherHub| from.site.is_some() && peer.registration.site() == from.site;
        let mut peers = self.mesh.peers.iter_mut().map(|(_, peer)| peer);
        let Some(peer) = peers.find(is_from).filter(|_| from.trust != Trust::Wrong) else { return false };
        if !has_hubs_key(cx, from) {
            return false;
        }
        let hub = peer.hub;
        // A copy of an answer that was acted on is none.
        let is_asked = peer.registration.asked(&from.message.header);
        peer.registers(cx, |registration, cx, settings| registration.reply(cx, settings, from));
        if is_asked {
            self.peer_accepted(cx, hub);
        }
        true
    }

    /// Another hub may have been started anew: it says so, or does not know the session.
    pub(super) fn doubt_peer(&mut self, cx: &mut Context<'_>, nbma: Nbma) {
        if let Some(peer) = self.mesh.peer_at(nbma) {
            peer.registers(cx, |registration, cx, _| registration.hint(cx));
        }
    }

    /// Another hub does not answer probes: whether it answers NHRP is asked now, by the one of both that registers.
    fn hasten_peer(&mut self, cx: &mut Context<'_>, nbma: Nbma) {
        if let Some(peer) = self.mesh.peer_at(nbma) {
            peer.registers(cx, |registration, cx, _| registration.hasten(cx, Duration::ZERO));
        }
    }

    /// Once another hub has accepted this one, it is a client of this one's.
    fn peer_accepted(&mut self, cx: &mut Context<'_>, hub: HubKey) {
        let Some(peer) = self.mesh.peers.get(&hub) else { return };
        let registration = &peer.registration;
        let (Some(Path { local, remote }), Some(uplink)) = (self.mesh.ways.to(hub), peer.vni) else { return };
        let (Some(mac), Some(site)) = (registration.hub_mac(), registration.uplink()) else { return };
        let (Some(via), Some(to)) = (registration.via(cx.vpn_id), registration.site()) else { return };
        let Some((tags, key)) = cx.sites.get(to).map(|there| (there.tags, there.key)) else { return };
        let Some(vtep) = cx.sites.vtep(site) else { return };
        let mode = registration.mode();
        self.replace_hub(cx, site, remote);
        self.become_member(cx, site, true);
        self.heard_hub(cx, site);
        let Some(there) = cx.sites.get_mut(site) else { return };
        there.set_way(via);
        let is_other = core::mem::replace(&mut there.tags, tags) != tags;
        there.key = key;
        let begun = is_other.then(|| cx.sessions.begins(cx.now));
        let address = ProtocolAddress::Mac(mac);
        let Some(member) = cx.sites.member_mut(site) else { return };
        if begun.is_some() {
            (member.begun, member.newest_purge) = (begun, None);
        }
        (member.address, member.grace) = (Some(address), None);
        member.port.get_or_insert(MemberPort { uplink, is_up: false });
        if is_other {
            self.is_known_to(cx, site);
        }
        let granted = u16::try_from(HOLDING.as_secs()).unwrap_or(u16::MAX);
        let until = cx.now + HOLDING;
        let mtu = cx.mtu;
        self.take_in(cx, site, Registered { address, unique: false, mtu, preference: 0, granted, until });
        let key = key.map(KeyId::spi);
        let port = Port {
            uplink,
            local,
            mode,
            granted,
            mac: None,
            home: None,
            key,
            is_hubs: true,
            passing: self.passing_of_hub(site),
        };
        cx.want(Item::Port(vtep), Some(Wanted::Port(port)));
        if is_other {
            self.hub_begins(cx, site);
        }
        self.settle(cx, site, Why::Expired);
    }

    /// Another hub began a session. It may have forgotten who asked it: whoever was answered about what is behind it asks again.
    /// And it is told of all that is here.
    pub(super) fn hub_begins(&mut self, cx: &mut Context<'_>, site: SiteId) {
        // What was kept since it was lost is true again.
        self.taken_back.retain(|gone| gone.site != site);
        self.taken_back.push(TakenBack { site, was: None, stays: true, last: None, at: cx.now });
        self.go_on_taking_back(cx);
        if Server::hub_port(cx, site).is_some() {
            self.watch_path(cx, site);
        }
        self.claim_all(cx, site);
        self.announce_all(cx);
    }

    /// The port for another hub could not be made, since somebody else uses its VNI: it is registered with another one.
    pub(super) fn peer_failed(&mut self, cx: &mut Context<'_>, uplink: Vni) {
        let first = self.settings.uplink_first;
        for (_, peer) in self.mesh.peers.iter_mut().filter(|(_, peer)| peer.vni == Some(uplink)) {
            let spoke = self.mesh.ways.to(peer.hub).map(|path| Vtep { nbma: path.remote, vni: first });
            peer.vni = cx.uplinks.allocate(first, cx.vpn_id, spoke);
            peer.registers(cx, |registration, cx, settings| registration.refresh(cx, settings));
        }
    }

    /// Those that are no peers any more end, and what is new begins.
    pub(super) fn fit_peers(&mut self, cx: &mut Context<'_>) {
        let of = |mesh: &Mesh, hub: &HubKey| mesh.wanted.get(hub).copied().unwrap_or_default();
        let all: Vec<HubKey> = self.mesh.peers.keys().copied().collect();
        for hub in all {
            let to = of(&self.mesh, &hub);
            let stays = self.settings.peers.contains(&hub);
            let is_same = |peer: &OtherHub| stays && peer.registration.to() == to;
            if !self.mesh.peers.get(&hub).is_some_and(is_same) {
                self.end_peer(cx, hub);
            }
            if !stays {
                self.mesh.misses_one_less();
            }
        }
        for hub in &self.settings.peers {
            let to = of(&self.mesh, hub);
            self.mesh.peers.entry(*hub).or_insert_with(|| OtherHub::new(cx.now, *hub, to));
        }
        // A port that was found may be one of a hub that is none any more.
        if self.mesh.peers.is_empty() {
            core::mem::take(&mut self.mesh.hubs)
                .into_iter()
                .for_each(|site| self.remove(cx, site, Why::Removed));
        }
    }

    /// No hub is a peer any more.
    pub(super) fn end_peers(&mut self, cx: &mut Context<'_>) {
        let all: Vec<HubKey> = self.mesh.peers.keys().copied().collect();
        all.into_iter().for_each(|hub| self.end_peer(cx, hub));
        self.end_directory(cx);
        self.end_questions(cx);
        self.end_handovers(cx);
    }

    fn end_peer(&mut self, cx: &mut Context<'_>, hub: HubKey) {
        let Some(mut peer) = self.mesh.peers.remove(&hub) else { return };
        let path = self.mesh.ways.to(hub);
        self.mesh.ways.tell(hub, None);
        peer.registers(cx, |registration, cx, settings| {
            registration.withdraw(cx, settings, false);
            registration.set_path(cx, None);
        });
        let gone = path.map_or_else(Vec::new, |path| hubs_at(cx, path.remote));
        let is_used = gone.iter().any(|site| cx.sites.member(*site).and_then(|m| m.uplink()) == peer.vni);
        gone.into_iter().for_each(|site| self.remove(cx, site, Why::Removed));
        if let Some(vni) = peer.vni.filter(|_| !is_used) {
            cx.uplinks.release(vni);
        }
    }

    /// Whether a site is another hub.
    pub(super) fn is_hub(cx: &Context<'_>, site: SiteId) -> bool {
        cx.sites.member(site).is_some_and(|member| member.is_hub)
    }

    /// Whether another hub says it, in its session.
    pub(super) fn is_of_hub(cx: &Context<'_>, from: &Inbound<'_>) -> bool {
        from.trust == Trust::Session && from.site.is_some_and(|site| Server::is_hub(cx, site))
    }

    /// Whether a registration is another hub's: it says so, comes from a peer's address, and has a key of hubs.
    pub(super) fn is_peers(&self, cx: &Context<'_>, from: &Inbound<'_>) -> bool {
        says_hub(from) && self.mesh.is_at(from.via.path.remote) && has_hubs_key(cx, from)
    }

    /// Whether a registration is no spoke's, nor one of a hub that may register here: a hub that is none here, or that this
    /// one registers with; or somebody in the place of a hub.
    pub(super) fn is_strange_hub(&self, cx: &Context<'_>, from: &Inbound<'_>) -> bool {
        let remote = from.via.path.remote;
        let there = || cx.sites.find((remote, from.message.header.vni));
        let is_peers = self.is_peers(cx, from);
        let takes_place = || there().is_some_and(|site| Server::is_hub(cx, site));
        self.mesh.registers_at(remote) || !is_peers && (says_hub(from) || takes_place())
    }

    /// A hub registers at an underlay address: none that was there under another VNI is.
    pub(super) fn replace_hub(&mut self, cx: &mut Context<'_>, site: SiteId, nbma: Nbma) {
        for other in hubs_at(cx, nbma).into_iter().filter(|other| *other != site) {
            self.remove(cx, other, Why::Replaced);
        }
    }

    /// Another hub takes back what it answered, and this one from whoever it told. Of itself it says that it is there no
    /// more.
    pub(super) fn hub_takes_back(&mut self, cx: &mut Context<'_>, hub: SiteId, from: &Inbound<'_>) {
        let own = from.message.header.source;
        let mut many: heapless::Vec<(Mac, u8), CIES_PER_PURGE> = heapless::Vec::new();
        for cie in from.message.cies() {
            let Some(address) = cie.address else { continue };
            match address {
                _ if cie.address == own => self.is_not_there(cx, hub, address),
                // It left with its port.
                _ if cie.code == code::NO_BINDING => {
                    self.ended_under_way(cx, hub, Some(address));
                    self.is_not_there(cx, hub, address);
                }
                // One that is full is walked through for what it holds, and begun anew.
                ProtocolAddress::Mac(mac) if (1..48).contains(&cie.prefix) => {
                    if let Err(next) = many.push((mac, cie.prefix)) {
                        self.answers_ended(cx, hub, &many);
                        many.clear();
                        let _ = many.push(next);
                    }
                }
                _ => {
                    let old = cie.nbma.zip(cie.vni).map(|(nbma, vni)| Vtep { nbma, vni });
                    self.answer_ended(cx, hub, address, old);
                }
            }
        }
        self.answers_ended(cx, hub, &many);
        self.settle(cx, hub, Why::Purged);
    }

    /// What a hub answered about the MACs of these prefixes is not true any more.
    fn answers_ended(&mut self, cx: &mut Context<'_>, hub: SiteId, prefixes: &[(Mac, u8)]) {
        if prefixes.is_empty() {
            return;
        }
        self.ended_under_way(cx, hub, None);
        let mut last = None;
        while let Some(address) = cx.book.next_behind(hub, last) {
            last = Some(address);
            let is_meant = |mac: Mac| prefixes.iter().any(|(of, bits)| mac.shares(*of, *bits));
            if matches!(address, ProtocolAddress::Mac(mac) if is_meant(mac)) {
                self.answer_ended(cx, hub, address, None);
            }
        }
    }

    /// What a hub answered about an address is not true any more; the address may be behind it still.
    fn answer_ended(
        &mut self,
        cx: &mut Context<'_>,
        hub: SiteId,
        address: ProtocolAddress,
        old: Option<Vtep>,
    ) {
        self.ended_under_way(cx, hub, Some(address));
        if let Some(change) = cx.book.renew(cx.now, address, hub) {
            self.take_back_from(cx, address, old, &change);
        }
    }

    /// Where the hub at a site is to be sent to, and its MAC, once its port is there.
    fn hub_port(cx: &Context<'_>, site: SiteId) -> Option<(Vtep, Mac)> {
        let member = cx.sites.member(site)?;
        let is_up = member.port.as_ref().is_some_and(|port| port.is_up);
        match member.address.filter(|_| is_up)? {
            ProtocolAddress::Mac(mac) => Some((cx.sites.vtep(site)?, mac)),
            ProtocolAddress::Ip(_) => None,
        }
    }
}

/// Whether a packet is signed by what makes a hub: a key that no spoke has for itself. In a VN without keys all are.
fn has_hubs_key(cx: &Context<'_>, from: &Inbound<'_>) -> bool {
    match from.key {
        None => !cx.keys.is_required() || cx.keys.is_empty(),
        key => cx.keys.spoke(key).is_none(),
    }
}

/// Whether a registration says that it is a hub's.
fn says_hub(from: &Inbound<'_>) -> bool {
    from.message.extensions().any(|extension| (extension.kind, extension.value) == (kind::VENDOR, &HUB))
}

/// The clients at an underlay address that are hubs.
fn hubs_at(cx: &Context<'_>, nbma: Nbma) -> Vec<SiteId> {
    cx.sites.members_at(nbma).filter(|(_, member)| member.is_hub).map(|(site, _)| site).collect()
}
