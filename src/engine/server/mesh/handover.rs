//! A spoke is at one hub. Before a hub acknowledges a session that begins, it tells the other hubs: a Purge whose CIE names
//! what the spoke registered at this hub's own place, with the session's age as holding time. The younger session wins; of
//! two of one age that at the hub with the lower address, and of two that have just begun the one that is told of.
//!
//! Who hears of a younger one floods to the spoke no more, and forgets it after a moment. The port of who claims passes
//! nothing until the others said so, or were silent: in no other order would no frame come twice, or back to who sent it. The
//! port of a hub that is silent passes nothing until it has confirmed: its daemon may be dead while its kernel forwards.

use super::super::super::context::{Context, Due, ServerDue};
use super::super::super::contract::effect::Event;
use super::super::super::contract::item::{Item, Passing, Port, Wanted};
use super::super::super::contract::reason::{Rivals, Why};
use super::super::super::contract::statistics::increment;
use super::super::super::exchange::{Backoff, Inbound, Request, Trust};
use super::super::super::limits::{CIES_PER_PURGE, HANDOVERS};
use super::super::super::member::Member;
use super::super::super::sites::SiteId;
use super::super::super::timers::Alarm;
use super::super::purge::purge_header;
use super::super::{Server, mac};
use crate::time::Instant;
use crate::types::{Mac, Nbma};
use crate::wire::nhrp::{Cie, Header, Protocol, ProtocolAddress, code};
use core::time::Duration;

/// The other hubs are waited for during so many tries, a tenth of a second apart; then they are told in the background.
const WAITED: u32 = 3;
const APART: Backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_millis(100) };
const LATER: Backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(1) };

/// A spoke that went to another hub sends here for so long at most, if it does not withdraw.
pub(in super::super) const LEAVES: Duration = Duration::from_secs(5);

/// So often a spoke that another hub claims is asked whether it is here still: it is another one then.
const DOUBTS: u32 = 3;
const DOUBTS_APART: Backoff = Backoff { first: Duration::from_millis(667), most: Duration::from_millis(667) };

/// The preference of what is claimed while the port of who is told passes nothing.
const SHUT: u8 = 1;

/// For so long who registered what another hub has, whose holder answered, does not do so again.
const DENIED: Duration = Duration::from_secs(10);

/// Some spokes.
type Spokes = heapless::Vec<(SiteId, Mac), CIES_PER_PURGE>;

/// What another hub is told.
#[derive(Debug)]
struct Claim {
    request: Request,
    spokes: Spokes,
    terms: Terms,
    next: Instant,
}

/// What that is for.
#[derive(Clone, Copy, Debug, Default)]
struct Terms {
    /// The spoke that waits for the answer.
    waits: Option<SiteId>,
    /// Until there is an answer the other hub's port passes nothing.
    shuts: bool,
    /// Whether the spoke was asked, and is here: nobody else has its MAC.
    is_denial: bool,
}

/// A spoke that another hub claims, and the question whether it is here still.
#[derive(Debug)]
struct Doubt {
    site: SiteId,
    mac: Mac,
    by: SiteId,
    request: Request,
    next: Instant,
}

/// What another hub has, who registered it here nonetheless, and until when that is believed. Its holder may come here any time:
/// that hub may be dead by then.
#[derive(Debug)]
struct Denial {
    mac: Mac,
    to: Nbma,
    until: Instant,
}

/// Those that are not confirmed.
#[derive(Debug, Default)]
pub struct Handovers {
    open: Vec<Claim>,
    doubts: Vec<Doubt>,
    denied: Vec<Denial>,
    /// Hubs that are to be told of all spokes, once there is room.
    untold: Vec<SiteId>,
    alarm: Alarm,
}

impl Handovers {
    /// Whether another hub has the MAC, whose holder answered, and that is not who asks.
    pub(in super::super) fn is_denied(&self, now: Instant, address: ProtocolAddress, to: Nbma) -> bool {
        let is_it = |denial: &Denial| ProtocolAddress::Mac(denial.mac) == address && denial.to == to;
        self.denied.iter().any(|denial| is_it(denial) && denial.until > now)
    }

    /// Whether a spoke's port is still to be opened.
    pub(in super::super) fn waits(&self, site: SiteId) -> bool {
        self.open.iter().any(|claim| claim.terms.waits == Some(site))
    }

    /// Whether a spoke that another hub claims is still to say whether it is here.
    pub(in super::super) fn is_asked(&self, site: SiteId) -> bool {
        self.doubts.iter().any(|doubt| doubt.site == site)
    }

    /// Whether a hub's port is to pass nothing.
    fn shut(&self, hub: SiteId) -> bool {
        let is_silent = |claim: &Claim| claim.request.to() == hub && claim.terms.shuts;
        self.untold.contains(&hub) || self.open.iter().any(is_silent)
    }
}

impl Server {
    /// A spoke began a session: the other hubs are told. Whether its answer waits for theirs, as it does where its port is
    /// new, or passes no floods.
    pub(in super::super) fn claim(&mut self, cx: &mut Context<'_>, site: SiteId) {
        let Some(spoke) = cx.sites.member(site).filter(|member| !member.is_hub) else { return };
        let is_given_up = self.is_given_up(cx, site);
        let is_new = spoke.port.is_none() || is_given_up;
        let spokes: Spokes = macs_of(spoke).map(|mac| (site, mac)).collect();
        if is_given_up {
            // It is this hub's again, which tells so: of what is given up it would not.
            self.pass(cx, site, Passing::Nothing);
        }
        self.mesh.handovers.open.retain(|claim| claim.terms.waits != Some(site));
        self.mesh.handovers.doubts.retain(|doubt| doubt.site != site);
        let is_in_session = |hub: &SiteId| self.has_session(cx, *hub);
        let hubs: Vec<SiteId> = self.mesh.hubs.iter().copied().filter(is_in_session).collect();
        for hub in hubs {
            self.tell_hub(
                cx,
                hub,
                spokes.clone(),
                Terms { waits: is_new.then_some(site), ..Terms::default() },
            );
        }
    }

    /// Another hub is there, or back: it is told of all spokes. A port that is new for it is opened then.
    pub(super) fn claim_all(&mut self, cx: &mut Context<'_>, hub: SiteId) {
        let members = cx.sites.members().filter(|(_, _, member)| !member.is_hub && member.begun.is_some());
        let all: Vec<(SiteId, Mac)> =
            members.flat_map(|(site, _, member)| macs_of(member).map(move |mac| (site, mac))).collect();
        let port = cx.sites.vtep(hub).and_then(|at| cx.plane.port(at));
        let is_open = port.is_some_and(|port| port.passing == Passing::All);
        let shuts = !is_open || Server::hub_port(cx, hub).is_none();
        for some in all.chunks(CIES_PER_PURGE) {
            self.tell_hub(cx, hub, some.iter().copied().collect(), Terms { shuts, ..Terms::default() });
        }
        self.pass_hub(cx, hub);
    }

    /// What a port is to pass, if it passes `now`.
    pub(in super::super) fn passing(&self, cx: &Context<'_>, site: SiteId) -> Passing {
        if Server::is_hub(cx, site) {
            return self.passing_of_hub(site);
        }
        let there = cx.sites.vtep(site).and_then(|spoke| cx.plane.port(spoke)).map(|port| port.passing);
        match there {
            _ if !self.mesh.handovers.waits(site) => Passing::All,
            None => Passing::Nothing,
            Some(passing) => passing,
        }
    }

    /// Whether a spoke registers a MAC that it had not, and that other hubs were not asked about: they are where a session
    /// begins.
    pub(in super::super) fn is_unclaimed(&self, cx: &Context<'_>, from: &Inbound<'_>) -> bool {
        let spoke = from.site.and_then(|site| cx.sites.member(site)).filter(|member| !member.is_hub);
        let is_new = |address: ProtocolAddress| {
            mac(address).is_some() && spoke.is_some_and(|spoke| spoke.registered(address).is_none())
        };
        let addresses = from.message.cies().map(|cie| cie.address.or(from.message.header.source));
        !self.mesh.peers.is_empty() && addresses.flatten().any(is_new)
    }

    /// Whether other hubs are to answer before a spoke is answered.
    pub(in super::super) fn waits_for_hubs(&self, site: SiteId) -> bool {
        self.mesh.handovers.waits(site)
    }

    /// Whether a spoke went to another hub: what it says here, as if it was registered still, is not believed.
    pub(in super::super) fn is_given_up(&self, cx: &Context<'_>, site: SiteId) -> bool {
        let port = cx.sites.vtep(site).and_then(|spoke| cx.plane.port(spoke));
        port.is_some_and(|port| port.passing == Passing::Mute)
    }

    /// Tells again what is not confirmed.
    pub(in super::super) fn go_on_claiming(&mut self, cx: &mut Context<'_>) {
        let now = cx.now;
        let (mut over, mut hubs, mut place) = (Vec::new(), Vec::new(), 0);
        while let Some(claim) = self.mesh.handovers.open.get_mut(place) {
            if claim.next > now {
                place += 1;
                continue;
            }
            let hub = claim.request.to();
            if claim.request.tries() == WAITED {
                claim.terms.shuts = true;
                over.extend(claim.terms.waits.take());
                hubs.push(hub);
            }
            if send(cx, claim) {
                place += 1;
            } else {
                over.extend(self.mesh.handovers.open.swap_remove(place).terms.waits);
                hubs.push(hub);
            }
        }
        hubs.into_iter().for_each(|hub| self.pass_hub(cx, hub));
        over.into_iter().for_each(|site| self.open_port(cx, site));
        self.mesh.handovers.doubts.retain_mut(|doubt| doubt.next > now || ask_holder(cx, doubt));
        if self.mesh.handovers.open.len() < HANDOVERS / 2 {
            let untold = core::mem::take(&mut self.mesh.handovers.untold);
            let is_there = |hub: &SiteId| Server::is_hub(cx, *hub) && self.has_session(cx, *hub);
            let untold: Vec<SiteId> = untold.into_iter().filter(is_there).collect();
            untold.into_iter().for_each(|hub| self.claim_all(cx, hub));
        }
        self.arm_handovers(cx);
    }

    /// Another hub confirmed a Purge. Whether it was such a claim.
    pub(in super::super) fn claim_confirmed(&mut self, cx: &mut Context<'_>, from: &Inbound<'_>) -> bool {
        let about = from.message.cies().next().and_then(|cie| cie.address);
        let is_it = |claim: &Claim| claim.request.is_answered(from.site, &from.message, about);
        let Some(place) = self.mesh.handovers.open.iter().position(is_it) else { return false };
        let claim = self.mesh.handovers.open.swap_remove(place);
        claim.terms.waits.into_iter().for_each(|site| self.open_port(cx, site));
        self.pass_hub(cx, claim.request.to());
        self.arm_handovers(cx);
        true
    }

    /// A spoke confirmed a Purge: whether that says that it is here, though another hub claims it. That one has another router
    /// with its MAC.
    pub(in super::super) fn is_here_still(&mut self, cx: &mut Context<'_>, from: &Inbound<'_>) -> bool {
        let about = from.message.cies().next().and_then(|cie| cie.address);
        let is_it = |doubt: &Doubt| {
            from.site == Some(doubt.site) && doubt.request.is_answered(from.site, &from.message, about)
        };
        let Some(place) = self.mesh.handovers.doubts.iter().position(is_it) else { return false };
        let Doubt { site, mac, by, .. } = self.mesh.handovers.doubts.swap_remove(place);
        let now = cx.now;
        if let Some(member) = cx.sites.member_mut(site) {
            member.registered.iter_mut().for_each(|r| r.until = now + Duration::from_secs(r.granted.into()));
        }
        self.arm(cx, site);
        self.open_port(cx, site);
        if let Some(first) = cx.sites.vtep(site) {
            cx.tell(Event::Rivals(Rivals { mac, first, second: None }));
        }
        let denial = Terms { is_denial: true, ..Terms::default() };
        self.tell_hub(cx, by, core::iter::once((site, mac)).collect(), denial);
        true
    }

    /// Another hub has the MAC, whose holder answered: who registered it here is told that it is another one's.
    fn is_denied_here(&mut self, cx: &mut Context<'_>, address: ProtocolAddress) {
        let holder = cx.book.get(address).and_then(|entry| entry.registered());
        let Some(site) = holder.filter(|site| !Server::is_hub(cx, *site)) else { return };
        let (Some(mac), Some(there), now) = (mac(address), cx.sites.get(site), cx.now) else { return };
        let denied = &mut self.mesh.handovers.denied;
        denied.retain(|denial| (denial.mac, denial.to) != (mac, there.nbma) && denial.until > now);
        if denied.len() < HANDOVERS {
            // Whatever VNI it says next: it may say any.
            denied.push(Denial { mac, to: there.nbma, until: now + DENIED });
        }
        self.homes.is_elsewhere(mac, (there.nbma, cx.keys.spoke(there.key)));
        self.dismiss(cx, &[site], Why::Taken);
    }

    /// Whether a Purge Request of another hub's is such a claim: all that it names is at the hub's own place, and not the
    /// hub itself.
    pub(in super::super) fn is_claim(from: &Inbound<'_>) -> bool {
        let header = &from.message.header;
        let place = (Some(header.nbma), header.vni);
        from.message.cies().all(|cie| (cie.nbma, cie.vni) == place && cie.address != header.source)
    }

    /// Another hub claims spokes. One whose port for this hub passed nothing meanwhile has forgotten what is here.
    pub(in super::super) fn hub_claims(&mut self, cx: &mut Context<'_>, hub: SiteId, from: &Inbound<'_>) {
        if from.message.cies().any(|cie| cie.preference == SHUT) {
            self.announce_all(cx);
        }
        for cie in from.message.cies() {
            if let Some(address) = cie.address.filter(|_| cie.code == code::ALREADY_REGISTERED) {
                self.is_denied_here(cx, address);
            } else if let Some(address) = cie.address {
                self.is_claimed(cx, hub, address, cie.holding);
            }
        }
    }

    /// Another hub says that it has a spoke, in a session of this age. A younger one wins.
    fn is_claimed(&mut self, cx: &mut Context<'_>, by: SiteId, address: ProtocolAddress, age: u16) {
        let registered = cx.book.get(address).and_then(|entry| entry.registered());
        let Some(site) = registered.or_else(|| found_with(cx, address)) else { return };
        let (Some(spoke), Some(member)) = (cx.sites.vtep(site), cx.sites.member(site)) else { return };
        if member.is_hub {
            return;
        }
        let own = member.begun.map(|begun| age_of(cx, begun.began()));
        let is_lower = || {
            let via = cx.sites.via(by);
            via.is_some_and(|via| via.path.remote < cx.name_of(via.path.local))
        };
        let is_new = age == 0;
        let is_theirs = own.is_none_or(|own| age < own || age == own && (is_new || is_lower()));
        let port = cx.plane.port(spoke);
        let Some(port) = port.filter(|port| is_theirs && port.passing != Passing::Mute) else { return };
        self.mesh.handovers.open.retain(|claim| claim.terms.waits != Some(site));
        self.replies.remove(&site);
        cx.want(Item::Port(spoke), Some(Wanted::Port(Port { passing: Passing::Mute, ..port })));
        let end = cx.now + LEAVES;
        let Some(member) = cx.sites.member_mut(site) else { return };
        member.registered.iter_mut().for_each(|r| r.until = r.until.min(end));
        member.grace = member.grace.map(|grace| grace.min(end));
        self.arm(cx, site);
        let is_in_session = self.has_session(cx, site);
        if let Some(mac) =
            mac(address).filter(|_| is_in_session && self.mesh.handovers.doubts.len() < HANDOVERS)
        {
            let mut doubt = Doubt { site, mac, by, request: Request::new(cx, site, address), next: cx.now };
            if ask_holder(cx, &mut doubt) {
                self.mesh.handovers.doubts.push(doubt);
            }
        }
        self.arm_handovers(cx);
    }

    /// A site registers an address that was at another hub, as far as this one's bridge heard.
    pub(in super::super) fn is_here_now(
        &mut self,
        cx: &mut Context<'_>,
        site: SiteId,
        address: ProtocolAddress,
    ) {
        let there = cx.book.get(address).and_then(|entry| entry.site());
        if let Some(hub) = there.filter(|there| *there != site && Server::is_hub(cx, *there)) {
            self.is_not_there(cx, hub, address);
        }
    }

    pub(super) fn end_handovers(&mut self, cx: &mut Context<'_>) {
        self.mesh.handovers =
            Handovers { alarm: core::mem::take(&mut self.mesh.handovers.alarm), ..Handovers::default() };
        cx.timers.clear(&mut self.mesh.handovers.alarm);
    }

    fn tell_hub(&mut self, cx: &mut Context<'_>, hub: SiteId, spokes: Spokes, terms: Terms) {
        let Some(about) = spokes.first().map(|(_, mac)| ProtocolAddress::Mac(*mac)) else { return };
        if self.mesh.handovers.open.len() >= HANDOVERS {
            // It floods on to who came here.
            increment(&mut cx.statistics.claims_put_off);
            if !self.mesh.handovers.untold.contains(&hub) {
                self.mesh.handovers.untold.push(hub);
                self.pass_hub(cx, hub);
                self.arm_handovers(cx);
            }
            return;
        }
        let request = Request::new(cx, hub, about);
        let mut claim = Claim { request, spokes, terms, next: cx.now };
        if send(cx, &mut claim) {
            self.mesh.handovers.open.push(claim);
            self.arm_handovers(cx);
        }
    }

    /// No other hub is waited for any more: its port passes frames, and the spoke is answered once it does.
    fn open_port(&mut self, cx: &mut Context<'_>, site: SiteId) {
        if self.mesh.handovers.waits(site) {
            return;
        }
        self.pass(cx, site, Passing::All);
    }

    pub(super) fn pass(&mut self, cx: &mut Context<'_>, site: SiteId, passing: Passing) {
        let Some(at) = cx.sites.vtep(site) else { return };
        if let Some(port) = cx.plane.port(at) {
            cx.want(Item::Port(at), Some(Wanted::Port(Port { passing, ..port })));
        }
    }

    /// What the port of another hub is to pass: nothing, as long as it does not confirm who went, or VXLAN does not pass.
    pub(super) fn passing_of_hub(&self, hub: SiteId) -> Passing {
        match self.mesh.handovers.shut(hub) || self.mesh.paths.is_lost(hub) {
            true => Passing::Nothing,
            false => Passing::All,
        }
    }

    pub(super) fn pass_hub(&mut self, cx: &mut Context<'_>, hub: SiteId) {
        self.pass(cx, hub, self.passing_of_hub(hub));
    }

    fn arm_handovers(&mut self, cx: &mut Context<'_>) {
        let handovers = &mut self.mesh.handovers;
        let doubts = handovers.doubts.iter().map(|doubt| doubt.next);
        let untold = (!handovers.untold.is_empty()).then(|| cx.now + LATER.first);
        match handovers.open.iter().map(|claim| claim.next).chain(doubts).chain(untold).min() {
            Some(next) => cx.arm(&mut handovers.alarm, next, Due::Server(ServerDue::Handovers)),
            None => cx.timers.clear(&mut handovers.alarm),
        }
    }
}

/// Sends what is true still of a claim. Whether anything is, and the hub there.
fn send(cx: &mut Context<'_>, claim: &mut Claim) -> bool {
    let hub = claim.request.to();
    let member = cx.sites.member(hub);
    let (Some(via), Some(member)) = (cx.sites.via(hub), member) else { return false };
    let (to, vni) = (member.address, member.uplink());
    let age = |site: SiteId| {
        let spoke = cx.plane.port(cx.sites.vtep(site)?);
        let is_mute = spoke.is_some_and(|port| port.passing == Passing::Mute);
        let begun = cx.sites.member(site).filter(|member| !member.is_hub && !is_mute)?.begun?;
        Some(age_of(cx, begun.began()))
    };
    let said: heapless::Vec<(SiteId, Mac, u16), CIES_PER_PURGE> =
        claim.spokes.iter().filter_map(|(site, mac)| Some((*site, *mac, age(*site)?))).collect();
    let Some((_, first, _)) = said.first().copied() else { return false };
    if claim.spokes.first().is_some_and(|(_, mac)| *mac != first) {
        // The first one is what the answer is known by.
        claim.request = Request::new(cx, hub, ProtocolAddress::Mac(first));
    }
    claim.spokes = said.iter().map(|(site, mac, _)| (*site, *mac)).collect();
    let preference = if claim.terms.shuts { SHUT } else { 0 };
    let backoff = if claim.request.tries() < WAITED { APART } else { LATER };
    claim.next = claim.request.sent(cx, backoff);
    let header = purge_header(cx, via, Protocol::Ethernet, claim.request.id(), to);
    let nbma: Nbma = header.nbma;
    let header = Header { vni, ..header };
    let code = if claim.terms.is_denial { code::ALREADY_REGISTERED } else { code::OK };
    cx.request(hub, via, &header, |w| {
        for (_, mac, holding) in &said {
            let address = ProtocolAddress::Mac(*mac);
            let prefix = address.host_prefix();
            w.cie(&Cie {
                code,
                prefix,
                holding: *holding,
                preference,
                nbma: Some(nbma),
                vni,
                address: Some(address),
                ..Cie::default()
            });
        }
    });
    increment(&mut cx.statistics.tx_purge_req);
    true
}

/// What a spoke registered that is a MAC.
fn macs_of(spoke: &Member) -> impl Iterator<Item = Mac> {
    spoke.registered.iter().filter_map(|r| mac(r.address))
}

/// How old a session is, in whole seconds, as claims say it: all above 18 hours are of one age.
fn age_of(cx: &Context<'_>, began: Instant) -> u16 {
    u16::try_from(cx.now.since(began).as_secs()).unwrap_or(u16::MAX)
}

/// A client of an earlier run of the daemon whose port says that it had registered the address.
fn found_with(cx: &Context<'_>, address: ProtocolAddress) -> Option<SiteId> {
    let mac = mac(address);
    let mut ports = cx.plane.ports().filter(|(_, port)| port.mac.is_some() && port.mac == mac);
    let sites = ports.by_ref().filter_map(|(at, _)| cx.sites.find((at.nbma, Some(at.vni))));
    sites.into_iter().find(|site| cx.sites.member(*site).is_some_and(Member::is_found))
}

/// Asks a spoke that another hub claims whether it is here still, or asks again. Whether there is more to do: who is elsewhere
/// believes nothing of this hub, and is silent.
fn ask_holder(cx: &mut Context<'_>, doubt: &mut Doubt) -> bool {
    let Some(via) = cx.sites.via(doubt.site).filter(|_| doubt.request.tries() < DOUBTS) else { return false };
    let address = ProtocolAddress::Mac(doubt.mac);
    doubt.next = doubt.request.sent(cx, DOUBTS_APART);
    let header = purge_header(cx, via, Protocol::Ethernet, doubt.request.id(), Some(address));
    cx.request(doubt.site, via, &header, |w| {
        w.cie(&Cie { prefix: address.host_prefix(), address: Some(address), ..Cie::default() });
    });
    increment(&mut cx.statistics.tx_purge_req);
    true
}

/// Whether it is in no session of this hub's any more.
pub(in super::super) fn unbelieved<'a>(from: &Inbound<'a>) -> Inbound<'a> {
    Inbound { trust: Trust::Wrong, ..*from }
}
