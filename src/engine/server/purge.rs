//! A server takes answers back (RFC 2332 section 5.2.5): whoever was told is told again, until it confirms.

use super::super::book::Change;
use super::super::context::{Context, Due, ServerDue, Timer};
use super::super::contract::effect::Event;
use super::super::contract::reason::Table;
use super::super::contract::statistics::increment;
use super::super::contract::way::Via;
use super::super::exchange::{Backoff, Inbound, Request, Trust};
use super::super::limits::{CIES_PER_PURGE, PURGES_PER_CLIENT};
use super::super::member::Member;
use super::super::sites::{Site, SiteId};
use super::super::timers::Alarm;
use super::Server;
use crate::time::Instant;
use crate::types::{Mac, Vtep};
use crate::wire::nhrp::{Cie, HOP_COUNT, Header, Kind, Protocol, ProtocolAddress, code};
use core::net::IpAddr;
use core::time::Duration;
use litemap::LiteMap;

/// A Purge Request is repeated until it is confirmed or what it withdraws has ended by itself (section 5.2.5).
const RETRY: Backoff = Backoff { first: Duration::from_millis(500), most: Duration::from_secs(8) };

/// FRR does not know purges. A client of another maker's that confirms none of so many is told each thing once from then
/// on, until it confirms one after all.
const TRIES: u32 = 5;

/// How far apart a client is told to forget every address: each time it asks for all it needs.
const ALL_APART: Duration = Duration::from_secs(1);

/// A request that is not confirmed yet is replaced by one that says more after this: most are confirmed sooner, and where
/// many addresses become untrue one after the other, there is not one for each.
const GROWS: Duration = Duration::from_millis(200);

/// What is to be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum About {
    /// Every address of a protocol: there were more than the line takes, or nobody knows which.
    All(Protocol),
    One(ProtocolAddress),
    /// What left with its port, for another hub: its bridge is to forget it, too.
    Gone(ProtocolAddress),
}

impl About {
    fn protocol(self) -> Protocol {
        match self {
            About::All(protocol) => protocol,
            About::One(address) | About::Gone(address) => address.protocol(),
        }
    }

    /// The address it begins with.
    fn address(self) -> ProtocolAddress {
        match self {
            About::All(protocol) => halves(protocol)[0],
            About::One(address) | About::Gone(address) => address,
        }
    }
}

/// Every address there can be begins with a 0 bit like the one, or with a 1 bit like the other (RFC 2332 section 5.2.5).
fn halves(protocol: Protocol) -> [ProtocolAddress; 2] {
    let ip = |ip: [u8; 4]| ProtocolAddress::Ip(IpAddr::from(ip));
    let ipv6 = |first| ProtocolAddress::Ip(IpAddr::from([first, 0, 0, 0, 0, 0, 0, 0_u16]));
    match protocol {
        Protocol::Ethernet => [half(0x02), half(0x82)],
        Protocol::Ipv4 => [ip([0; 4]), ip([0x80, 0, 0, 0])],
        Protocol::Ipv6 => [ipv6(0), ipv6(0x8000)],
    }
}

const fn half(first: u8) -> ProtocolAddress {
    match Mac::new([first, 0, 0, 0, 0, 0]) {
        Some(mac) => ProtocolAddress::Mac(mac),
        None => ProtocolAddress::MIN,
    }
}

/// What is to be forgotten, and where it was; `None`: wherever.
type Key = (About, Option<Vtep>);

#[derive(Clone, Copy, Debug)]
struct Withdrawal {
    /// When the answer to be forgotten ends by itself.
    until: Instant,
    /// Whether the request under way says it.
    sent: bool,
    /// Whether it became untrue once more since. The request may be confirmed already: it does not stand for that.
    again: bool,
}

/// What a client has to be told.
#[derive(Debug, Default)]
pub struct Line {
    waiting: LiteMap<Key, Withdrawal>,
    request: Option<Request>,
    /// When that was sent last.
    sent: Instant,
    /// All addresses are not taken back more often than [`ALL_APART`]: not before this.
    all_after: Instant,
    /// For how many withdrawals the next one of all addresses stands. While it is more than the line takes, the line is
    /// not filled again before it runs over again.
    covered: usize,
    storms: bool,
    alarm: Alarm,
}

/// What pushing a withdrawal came to.
enum Pushed {
    /// It waits.
    InLine,
    /// One of all addresses stands for it.
    Covered,
    /// The line ran over: one of all addresses stands for so many, it included.
    Over(usize),
}

impl Line {
    /// How many withdrawals wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether the request of this ID is under way.
    pub fn asked(&self, id: u32) -> bool {
        self.request.is_some_and(|request| request.id() == id)
    }

    /// Nobody has to be told any more.
    pub fn end(&mut self, cx: &mut Context<'_>) {
        cx.timers.clear(&mut self.alarm);
    }

    /// Adds to the line of the client at `own`. When it runs over all addresses of the protocol are to be forgotten,
    /// those that are elsewhere, or those that the client takes for its own.
    fn push(&mut self, (about, old): Key, own: Option<Vtep>, until: Instant) -> Pushed {
        let is_own = |old: Option<Vtep>| old.is_some() && old == own;
        let all = (About::All(about.protocol()), old.filter(|_| is_own(old)));
        // Those of all addresses come first.
        let has_all = matches!(self.waiting.first(), Some(((About::All(_), _), _)));
        let key = if has_all && self.waiting.contains_key(&all) { all } else { (about, old) };
        if let Some(waits) = self.waiting.get_mut(&key) {
            waits.until = waits.until.max(until);
            waits.again = waits.sent;
            let covered = key == all && about != all.0;
            self.covered += usize::from(covered);
            return if covered { Pushed::Covered } else { Pushed::InLine };
        }
        let is_gone = |about: About| matches!(about, About::Gone(_));
        if self.waiting.len() >= PURGES_PER_CLIENT && !is_gone(about) {
            // What was given as an answer comes first.
            let before = self.waiting.len();
            self.waiting.retain(|(about, _), _| !is_gone(*about));
            if self.waiting.len() < before {
                self.unsend();
            }
        }
        let before = self.waiting.len();
        let full = before >= PURGES_PER_CLIENT;
        if is_gone(about) && (full || self.storms) {
            // Too much to be told one by one: bridges forget it by its age.
            return Pushed::Covered;
        }
        let key = if full || self.storms { all } else { key };
        let mut until = until;
        if full {
            self.waiting.retain(|(about, old), withdrawal| {
                let covered = about.protocol() == all.0.protocol() && is_own(*old) == is_own(all.1);
                if covered {
                    until = until.max(withdrawal.until);
                }
                !covered
            });
        }
        self.waiting.insert(key, Withdrawal { until, sent: false, again: false });
        if full {
            self.covered += before;
            // The one that stands for them is there now.
            return Pushed::Over(before + 2 - self.waiting.len());
        }
        let covered = key == all && about != all.0;
        self.covered += usize::from(covered);
        if covered { Pushed::Covered } else { Pushed::InLine }
    }

    /// What the next request says: all addresses of a packet are of one protocol.
    fn batch(&mut self) -> impl Iterator<Item = (&Key, &mut Withdrawal)> {
        let protocol = self.waiting.first().map(|((about, _), _)| about.protocol());
        let of_it = self.waiting.iter_mut().filter(move |((about, _), _)| Some(about.protocol()) == protocol);
        of_it.take(CIES_PER_PURGE)
    }

    /// Whether a new request could say more than the one under way.
    fn can_grow(&mut self) -> bool {
        self.batch().any(|(_, withdrawal)| !withdrawal.sent)
    }

    /// When the next request may be sent, at the earliest.
    fn soonest(&self, now: Instant) -> Instant {
        let grows = self.request.map_or(now, |_| now.max(self.sent + GROWS));
        match self.waiting.first() {
            Some(((About::All(_), _), _)) => grows.max(self.all_after),
            _ => grows,
        }
    }

    /// The client has another place: what its bridge may still believe is told by that name, in a new request.
    fn rename(&mut self, was: Vtep, to: Vtep) {
        // In a loop, and not collected, for which it would be sorted: few are called otherwise.
        for ((about, old), withdrawal) in core::mem::take(&mut self.waiting) {
            let old = if old == Some(was) { Some(to) } else { old };
            self.waiting.insert((about, old), withdrawal);
        }
        self.unsend();
    }

    /// The request under way is over: what it said is done with.
    fn done(&mut self) {
        self.waiting.retain(|_, withdrawal| !withdrawal.sent || withdrawal.again);
        self.unsend();
    }

    /// The next request says everything anew.
    fn unsend(&mut self) {
        self.request = None;
        for (_, withdrawal) in self.waiting.iter_mut() {
            (withdrawal.sent, withdrawal.again) = (false, false);
        }
    }
}

impl Server {
    /// Tells everybody who was given an answer that has become untrue.
    pub(super) fn take_back(&mut self, cx: &mut Context<'_>, address: ProtocolAddress, change: &Change) {
        let old = change.from.filter(|site| !Server::is_hub(cx, *site));
        let old = old.and_then(|site| cx.sites.vtep(site));
        self.take_back_from(cx, address, old, change);
    }

    /// The same for a site that is gone already.
    pub(super) fn take_back_from(
        &mut self,
        cx: &mut Context<'_>,
        address: ProtocolAddress,
        old: Option<Vtep>,
        change: &Change,
    ) {
        let key = (About::One(address), old);
        // Its bridge may still think that the station is there.
        let from = change.from.filter(|site| !Server::is_hub(cx, *site));
        if let (Some(site), true) = (from, change.to.is_some() && change.from != change.to) {
            let until = change.until.max(cx.now + cx.holding_time);
            self.queue(cx, site, key, until);
        }
        // To the site where the station is now, no tunnel leads; its own bridge knows. A hub that it was thought to be behind may have
        // asked for one of its spokes, and was told that nobody knows it.
        let concerned = |site: SiteId| change.to != Some(site) && from != Some(site);
        if change.askers.is_everybody() {
            let members = cx.sites.members();
            let members = members.filter(|(_, site, member)| knows(site, member, address.protocol()));
            let sites: Vec<SiteId> = members.map(|(site, ..)| site).collect();
            let all = sites.into_iter().filter(|site| concerned(*site));
            all.for_each(|site| self.queue(cx, site, key, change.until));
        }
        let named = change.askers.named().iter().copied().filter(|site| concerned(*site));
        named.for_each(|site| self.queue(cx, site, key, change.until));
    }

    /// A MAC left with its port, and may be anywhere: the bridges of other hubs have it here.
    pub(super) fn tell_gone(&mut self, cx: &mut Context<'_>, address: ProtocolAddress) {
        let until = cx.now + cx.holding_time;
        let hubs = self.mesh.hubs.clone();
        hubs.into_iter().for_each(|hub| self.queue(cx, hub, (About::Gone(address), None), until));
    }

    /// It is here after all.
    pub(super) fn is_not_gone(&mut self, address: ProtocolAddress) {
        for hub in &self.mesh.hubs {
            let Some(line) = self.lines.get_mut(hub) else { continue };
            if line.waiting.remove(&(About::Gone(address), None)).is_some() {
                line.unsend();
            }
        }
    }

    /// Takes back all that a client may have been told by an earlier run.
    pub(super) fn take_all_back(&mut self, cx: &mut Context<'_>, site: SiteId, until: Instant) {
        self.queue(cx, site, (About::All(Protocol::Ethernet), None), until);
    }

    /// Takes back where this server itself is, not before `at`.
    pub(super) fn take_self_back(&mut self, cx: &mut Context<'_>, site: SiteId, at: Instant, until: Instant) {
        let Some(own) = cx.sites.mac else { return };
        self.queue(cx, site, (About::One(ProtocolAddress::Mac(own)), None), until);
        let timer = Timer { vn: cx.vn, due: Due::Server(ServerDue::Purge(site)) };
        if let Some(line) = self.lines.get_mut(&site) {
            cx.timers.set(&mut line.alarm, at, timer);
        }
    }

    /// A client began a session: it need not hear any more that this server does not know it. What else it has to be told is
    /// told in the session.
    pub(super) fn is_known_to(&mut self, cx: &mut Context<'_>, site: SiteId) {
        let own = cx.sites.mac.map(ProtocolAddress::Mac);
        let Some(line) = self.lines.get_mut(&site) else { return };
        if let Some(own) = own {
            line.waiting.remove(&(About::One(own), None));
        }
        line.unsend();
        self.due_at(cx, site);
    }

    /// A client is called otherwise than before.
    pub(super) fn rename_line(&mut self, cx: &mut Context<'_>, site: SiteId, was: Vtep) {
        let Some(to) = cx.sites.vtep(site) else { return };
        if let Some(line) = self.lines.get_mut(&site) {
            line.rename(was, to);
            self.due_at(cx, site);
        }
    }

    /// A client confirmed (RFC 2332 section 5.2.6).
    pub(super) fn purge_confirmed(&mut self, cx: &mut Context<'_>, from: &Inbound<'_>) {
        increment(&mut cx.statistics.rx_purge_reply);
        if self.claim_confirmed(cx, from)
            || self.is_here_still(cx, from)
            || self.is_there(cx, from)
            || self.farewells.confirmed(cx, from)
        {
            return;
        }
        let about = from.message.cies().next().and_then(|cie| cie.address);
        let site = self.confirmer(cx, from);
        let Some(member) = site.and_then(|site| cx.sites.member_mut(site)) else {
            return increment(&mut cx.statistics.rx_unsolicited);
        };
        member.ignores_purges = false;
        let is_answered = |request: Request| request.is_answered(site, &from.message, about);
        let line = site.and_then(|site| Some((site, self.lines.get_mut(&site)?)));
        let Some((site, line)) = line.filter(|(_, line)| line.request.is_some_and(is_answered)) else {
            return increment(&mut cx.statistics.rx_unsolicited);
        };
        line.done();
        if line.waiting.is_empty() && line.all_after > cx.now {
            // What it knows of the last one of all addresses is needed as long as there may be no other.
            line.waiting = LiteMap::new();
            return cx.arm(&mut line.alarm, line.all_after, Due::Server(ServerDue::Purge(site)));
        }
        if line.waiting.is_empty() {
            line.end(cx);
            self.lines.remove(&site);
        }
        self.due_at(cx, site);
    }

    /// Whose confirmation it is. Of several without a session at an address it is the one's that was asked this.
    fn confirmer(&self, cx: &Context<'_>, from: &Inbound<'_>) -> Option<SiteId> {
        let id = from.message.header.request_id;
        let is_asked = |site: &SiteId| self.lines.get(site).is_some_and(|line| line.asked(id));
        let untagged = cx.sites.members_at(from.via.path.remote).filter(|(_, member)| member.begun.is_none());
        let mut asked = untagged.map(|(site, _)| site).filter(is_asked);
        if from.trust == Trust::Untagged { asked.next().or(from.site) } else { from.site }
    }

    /// A client did not confirm in time, or there is something new to tell it.
    pub(super) fn purge_due(&mut self, cx: &mut Context<'_>, site: SiteId) {
        let now = cx.now;
        // One with a VNI is of this program's kind, and confirms once it can.
        let is_other = cx.sites.vtep(site).is_none();
        let Some(member) = cx.sites.member_mut(site) else { return };
        let Some(line) = self.lines.get_mut(&site) else { return };
        if let Some(request) = line.request {
            let tries = if member.ignores_purges { 1 } else { TRIES };
            if is_other && request.tries() >= tries {
                member.ignores_purges = true;
                line.done();
                increment(&mut cx.statistics.purges_unanswered);
            } else if line.can_grow() {
                // A new request for the old ones and the new ones: a lost one does not hold up what came after.
                line.unsend();
            } else if line.waiting.values().filter(|w| w.sent).all(|w| w.until <= now) {
                line.done();
                increment(&mut cx.statistics.purges_unanswered);
            }
        }
        self.send_purges(cx, site);
    }

    /// Sends the front of the line, or sends it again.
    fn send_purges(&mut self, cx: &mut Context<'_>, site: SiteId) {
        let now = cx.now;
        let Some(via) = cx.sites.via(site) else { return };
        let Some(member) = cx.sites.member_mut(site) else { return };
        let (destination, vni) = (member.address, member.uplink().filter(|_| member.is_hub));
        let Some(mut line) = self.lines.remove(&site) else { return };
        if line.request.is_none() {
            // What ended while it waited needs no purge any more.
            line.waiting.retain(|_, withdrawal| withdrawal.until > now);
        }
        let about = line.waiting.first().map(|((about, _), _)| about.address());
        let Some(about) = about else { return line.end(cx) };
        let mut request = line.request.unwrap_or_else(|| Request::new(cx, site, about));
        let again = request.sent(cx, RETRY);
        let destination = destination.filter(|a| a.protocol() == about.protocol());
        let header = purge_header(cx, via, about.protocol(), request.id(), destination);
        // Between hubs each names the VNI that it registered with.
        let header = Header { vni, ..header };
        cx.request(site, via, &header, |w| {
            if let Some(((About::All(_), _), _)) = line.waiting.first() {
                line.all_after = now + ALL_APART;
                if line.request.is_none() {
                    line.storms = core::mem::take(&mut line.covered) >= PURGES_PER_CLIENT;
                }
            }
            for ((about, old), withdrawal) in line.batch() {
                withdrawal.sent = true;
                let old = old.filter(|old| old.nbma.same_family(header.nbma));
                let at = Cie { nbma: old.map(|o| o.nbma), vni: old.map(|o| o.vni), ..Cie::default() };
                match about {
                    About::All(protocol) => halves(*protocol).into_iter().for_each(|half| {
                        w.cie(&Cie { prefix: 1, address: Some(half), ..at });
                    }),
                    About::One(address) => {
                        w.cie(&Cie { prefix: address.host_prefix(), address: Some(*address), ..at });
                    }
                    About::Gone(address) => {
                        w.cie(&Cie {
                            prefix: address.host_prefix(),
                            code: code::NO_BINDING,
                            address: Some(*address),
                            ..at
                        });
                    }
                }
            }
        });
        increment(&mut cx.statistics.tx_purge_req);
        (line.request, line.sent) = (Some(request), now);
        cx.arm(&mut line.alarm, again, Due::Server(ServerDue::Purge(site)));
        if let Some(member) = cx.sites.member_mut(site) {
            increment(&mut member.statistics.tx_purge_req);
        }
        self.lines.insert(site, line);
    }

    fn queue(&mut self, cx: &mut Context<'_>, site: SiteId, key: Key, until: Instant) {
        let own = cx.sites.vtep(site);
        if cx.sites.member(site).is_none() {
            return;
        }
        let covered = match self.lines.entry(site).or_default().push(key, own, until) {
            Pushed::InLine => 0,
            Pushed::Covered => 1,
            Pushed::Over(covered) => {
                cx.tell(Event::Full(Table::Purges));
                u32::try_from(covered).unwrap_or(u32::MAX)
            }
        };
        cx.statistics.purges_dropped = cx.statistics.purges_dropped.wrapping_add(covered);
        self.due_at(cx, site);
    }

    /// What one input makes untrue goes out together, when the line's alarm, due at once, rings. A request under way is
    /// waited for.
    fn due_at(&mut self, cx: &mut Context<'_>, site: SiteId) {
        let Some(line) = self.lines.get_mut(&site) else { return };
        if line.request.is_none() || line.can_grow() {
            let at = line.soonest(cx.now);
            cx.arm(&mut line.alarm, at, Due::Server(ServerDue::Purge(site)));
        }
    }
}

/// The header of a Purge Request of this server's, about addresses of a protocol.
pub(super) fn purge_header(
    cx: &Context<'_>,
    via: Via,
    protocol: Protocol,
    request_id: u32,
    destination: Option<ProtocolAddress>,
) -> Header {
    Header {
        kind: Kind::PurgeRequest,
        protocol,
        hop_count: HOP_COUNT,
        flags: 0,
        request_id,
        nbma: cx.name_of(via.path.local),
        vni: None,
        source: cx.sites.own(protocol),
        destination,
    }
}

/// Whether a client has to do with addresses of a protocol: MACs mean nothing to whoever registers IP addresses only, nor
/// those to a spoke.
fn knows(site: &Site, member: &Member, protocol: Protocol) -> bool {
    match protocol {
        Protocol::Ethernet => site.vni.is_some(),
        _ => member.registered.iter().any(|r| r.address.protocol() == protocol),
    }
}
