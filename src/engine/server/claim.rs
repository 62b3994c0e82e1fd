//! Whose a MAC is. A registration that names one which another router registered waits, and that router is asked: by a
//! Purge Request which says that the MAC is not where the newcomer is. It has nothing to forget, and confirms all the
//! same (RFC 2332 section 5.2.6); it hears who else has its MAC, too.
//!
//! Who answers keeps the MAC, the newcomer gets NAK 14, and both are told. Who does not has another address now, and
//! moves with all there is of it; or is gone. A router that moves says so itself, by its new way: then nobody is asked.

use super::super::context::{Context, Due, ServerDue};
use super::super::contract::effect::Event;
use super::super::contract::item::{Item, Wanted};
use super::super::contract::reason::Rivals;
use super::super::contract::statistics::increment;
use super::super::contract::way::Via;
use super::super::exchange::session::same_tag;
use super::super::exchange::{Backoff, Inbound, KeyId, Keys, Request, Trust};
use super::super::limits::{CIES_PER_REQUEST, CLAIMS, CLAIMS_TO_ONE};
use super::super::sites::SiteId;
use super::super::timers::Alarm;
use super::purge::purge_header;
use super::{Server, TakenBack, ip, mac};
use crate::time::Instant;
use crate::types::{Nbma, SiteName, Vtep};
use crate::wire::nhrp::{Cie, Message, Protocol, ProtocolAddress, Tags};
use core::time::Duration;

/// So often it is asked, within two seconds; then nobody is there.
const TRIES: u32 = 3;
const APART: Backoff = Backoff { first: Duration::from_millis(667), most: Duration::from_millis(667) };

/// Who said that it moves registers soon after, or not at all.
const HEIR: Duration = Duration::from_secs(10);

/// Whoever is where a port was found, and was told that this hub does not know it, registers within this.
const LEFT: Duration = Duration::from_secs(5);

/// For so long the kernel may still name a site as it was called before.
const FORMER: Duration = Duration::from_secs(5);

/// So many pairs of routers with one MAC are shown, so long after they were seen: who was refused is back before.
const RIVALS: usize = 16;
const SHOWN: Duration = Duration::from_secs(300);

/// Who was asked about a registration, and whether they answered.
pub(super) type Heard = Vec<(SiteId, bool)>;

/// A registration that waits.
#[derive(Debug)]
struct Claim {
    by: SiteName,
    holder: SiteId,
    question: Request,
    address: ProtocolAddress,
    next: Instant,
    via: Via,
    trust: Trust,
    key: Option<KeyId>,
    octets: Vec<u8>,
    heard: Heard,
}

/// The registrations that wait, and what came of earlier ones.
#[derive(Debug, Default)]
pub struct Claims {
    waiting: Vec<Claim>,
    alarm: Alarm,
    /// Sites that are not there any more, who says so from where, and until when that counts.
    heirs: Vec<(SiteId, SiteName, Instant)>,
    /// Sites as they were called before.
    former: Vec<(Vtep, SiteId, Instant)>,
    rivals: Vec<(Rivals, Instant)>,
}

impl Claims {
    /// The site that was called so until a moment ago.
    pub fn former(&self, now: Instant, name: Vtep) -> Option<SiteId> {
        let of_it = |(was, _, at): &&(Vtep, SiteId, Instant)| *was == name && now.since(*at) < FORMER;
        self.former.iter().rfind(of_it).map(|(_, site, _)| *site)
    }

    /// The routers that have a MAC twice.
    pub fn rivals(&self, now: Instant) -> impl Iterator<Item = Rivals> + '_ {
        self.rivals.iter().filter(move |(_, until)| *until > now).map(|(rivals, _)| *rivals)
    }

    /// Whoever was at this place is not one of two any more.
    pub fn resolved(&mut self, place: Vtep) {
        self.rivals.retain(|(rivals, _)| rivals.first != place && rivals.second != Some(place));
    }

    /// Nothing of who sent it waits any more.
    pub fn forget(&mut self, from: &Inbound<'_>) {
        let by = (from.via.path.remote, from.message.header.vni);
        let tags = from.message.tags();
        let is_its_own = |claim: &Claim| Message::parse(&claim.octets).is_ok_and(|own| own.tags() == tags);
        self.waiting.retain(|claim| claim.by != by || !is_its_own(claim));
    }

    /// What no key signed that is in force does not go on, where one is needed.
    pub(super) fn end_unsigned(&mut self, keys: &Keys) {
        self.waiting.retain(|claim| keys.serves(claim.key));
    }

    /// Nobody is asked any more.
    pub fn end(&mut self, cx: &mut Context<'_>) {
        self.waiting.clear();
        cx.timers.clear(&mut self.alarm);
    }

    fn has_heir(&mut self, now: Instant, by: SiteName) -> Option<SiteId> {
        self.heirs.retain(|(.., until)| *until > now);
        let place = self.heirs.iter().position(|(_, heir, _)| *heir == by)?;
        Some(self.heirs.remove(place).0)
    }
}

impl Server {
    /// Whether the registration waits. Whose addresses were taken from whom is in `heard`.
    pub(super) fn waits(&mut self, cx: &mut Context<'_>, from: &Inbound<'_>, heard: &mut Heard) -> bool {
        let by = name(from);
        if heard.is_empty()
            && let Some(claim) = self.claims.waiting.iter_mut().find(|claim| claim.by == by)
        {
            let is_less = from.trust == Trust::Untagged && claim.trust != Trust::Untagged;
            if is_less || !cx.keys.speaks_for(from.key, claim.key) {
                return true;
            }
            // The newest request is the one to answer.
            (claim.via, claim.trust, claim.key) = (from.via, from.trust, from.key);
            claim.octets = from.octets.to_vec();
            return true;
        }
        while let Some(site) = self.claims.has_heir(cx.now, by) {
            let key = cx.sites.get(site).and_then(|there| there.key);
            heard.extend(cx.keys.speaks_for(from.key, key).then_some((site, false)));
        }
        // Who is asked, if nobody has to give way at once.
        let asked = loop {
            match self.holder(cx, from, heard) {
                Some((holder, _)) if is_same(cx, from, holder) => {
                    self.moves_home(cx, from, holder);
                    heard.push((holder, false));
                }
                Some((holder, _)) if self.is_back(cx, from, holder) => heard.push((holder, false)),
                asked => break asked,
            }
        };
        let Some((holder, address)) = asked else {
            // Now that all have had their say: a site that moves before has no port until they have. And what is refused
            // moves nobody.
            if self.judge(cx, from, heard).iter().any(Result::is_ok) {
                let silent = heard.iter().filter(|(_, is_there)| !is_there);
                silent.for_each(|(site, _)| self.give_way(cx, from, *site));
            }
            return false;
        };
        let to_one = self.claims.waiting.iter().filter(|claim| claim.holder == holder).count();
        if self.claims.waiting.len() >= CLAIMS || to_one >= CLAIMS_TO_ONE {
            // It comes again.
            increment(&mut cx.statistics.rx_rate_limited);
            return true;
        }
        self.claims.waiting.push(Claim {
            by,
            holder,
            question: Request::new(cx, holder, address),
            address,
            next: cx.now,
            via: from.via,
            trust: from.trust,
            key: from.key,
            octets: from.octets.to_vec(),
            heard: core::mem::take(heard),
        });
        // Not now: this may be one of those that go on.
        cx.arm(&mut self.claims.alarm, cx.now, Due::Server(ServerDue::Claims));
        true
    }

    /// Another site, as far as address and key tell, that registered one of the MACs, and was not asked yet.
    fn holder(
        &self,
        cx: &Context<'_>,
        from: &Inbound<'_>,
        heard: &Heard,
    ) -> Option<(SiteId, ProtocolAddress)> {
        from.message.cies().take(CIES_PER_REQUEST).find_map(|cie| {
            let address = self.registered(cx, from, &cie)?.address;
            let holder = cx.book.get(address)?.registered()?;
            let asked = heard.iter().any(|(site, _)| *site == holder) || self.is_above(cx, from, holder);
            let is_asked = Server::is_other(cx, from, holder) && !asked;
            (is_asked && matches!(address, ProtocolAddress::Mac(_))).then_some((holder, address))
        })
    }

    /// Whether who registers is where all that it names and the holder has is at home. Whose home that is tells the key;
    /// where that is not known nobody has it from another spoke's key.
    fn is_back(&self, cx: &Context<'_>, from: &Inbound<'_>, holder: SiteId) -> bool {
        let header = &from.message.header;
        let of_holder = |address: &ProtocolAddress| {
            cx.book.get(*address).is_some_and(|entry| entry.registered() == Some(holder))
        };
        let own = cx.keys.spoke(from.key);
        let speaks = || cx.sites.get(holder).is_some_and(|there| cx.keys.speaks_for(from.key, there.key));
        let named = from.message.cies().filter_map(|cie| cie.address.or(header.source));
        from.trust != Trust::Untagged
            && named.filter(of_holder).all(|address| match address {
                ProtocolAddress::Mac(mac) => {
                    self.homes.is_at(cx.now, mac, (header.nbma, own))
                        && (self.homes.is_owned(mac) || speaks())
                }
                ProtocolAddress::Ip(_) => true,
            })
    }

    /// The router at a site is elsewhere now.
    fn moves_home(&mut self, cx: &Context<'_>, from: &Inbound<'_>, site: SiteId) {
        let (to, own) = (from.via.path.remote, cx.keys.spoke(from.key));
        let (Some(there), Some(member)) = (cx.sites.get(site), cx.sites.member(site)) else { return };
        for mac in member.registered.iter().filter_map(|r| mac(r.address)) {
            self.homes.moves(cx.now, mac, (there.nbma, own), to);
        }
    }

    /// Asks whoever is due, and goes on without those who were silent.
    pub(super) fn go_on_asking(&mut self, cx: &mut Context<'_>) {
        while let Some(place) = self.claims.waiting.iter().position(|claim| claim.next <= cx.now) {
            let is_held = |claim: &Claim| {
                let entry = cx.book.get(claim.address);
                entry.is_some_and(|entry| entry.registered() == Some(claim.holder))
            };
            match self.claims.waiting.get_mut(place) {
                Some(claim) if claim.question.tries() < TRIES && is_held(claim) => {
                    ask(cx, claim);
                    increment(&mut cx.statistics.tx_purge_req);
                }
                _ => {
                    let claim = self.claims.waiting.swap_remove(place);
                    self.go_on(cx, claim, false);
                }
            }
        }
        match self.claims.waiting.iter().map(|claim| claim.next).min() {
            Some(next) => cx.arm(&mut self.claims.alarm, next, Due::Server(ServerDue::Claims)),
            None => cx.timers.clear(&mut self.claims.alarm),
        }
    }

    /// A client confirmed a Purge: whether it was such a question.
    pub(super) fn is_there(&mut self, cx: &mut Context<'_>, from: &Inbound<'_>) -> bool {
        let about = from.message.cies().next().and_then(|cie| cie.address);
        let is_asked = |claim: &Claim| {
            cx.sites.get(claim.holder).is_some_and(|site| site.nbma == from.via.path.remote)
                && claim.question.is_answered(Some(claim.holder), &from.message, about)
        };
        let Some(place) = self.claims.waiting.iter().position(is_asked) else { return false };
        let claim = self.claims.waiting.swap_remove(place);
        self.note_rivals(cx, &claim);
        self.go_on(cx, claim, true);
        true
    }

    /// A router says, from where it is now, that its address is not at `place` any more.
    pub(super) fn moves(
        &mut self,
        cx: &mut Context<'_>,
        from: &Inbound<'_>,
        place: SiteName,
        address: ProtocolAddress,
    ) {
        let (header, by) = (&from.message.header, name(from));
        if header.nbma != from.via.path.remote || header.source != Some(address) {
            return;
        }
        if from.trust == Trust::Session {
            return self.leaves_found(cx, place);
        }
        // Without a session anybody can say so.
        if !self.settings.untagged_l2 || cx.sites.find(place).is_some_and(|site| self.has_session(cx, site)) {
            return;
        }
        // What it asked for there, too.
        self.claims.waiting.retain(|claim| claim.by != place || claim.address != address);
        let Some(site) = cx.sites.find(place).filter(|site| self.is_of(cx, *site, address)) else { return };
        let waits = |claim: &Claim| claim.by == by && claim.holder == site;
        if let Some(place) = self.claims.waiting.iter().position(waits) {
            let claim = self.claims.waiting.swap_remove(place);
            return self.go_on(cx, claim, false);
        }
        self.claims.heirs.retain(|(there, heir, until)| (*there, *heir) != (site, by) && *until > cx.now);
        if self.claims.heirs.len() < CLAIMS {
            self.claims.heirs.push((site, by, cx.now + HEIR));
        }
    }

    /// A router in a session was where a port was found: if nobody else begins a session there soon, it is not needed.
    fn leaves_found(&mut self, cx: &mut Context<'_>, place: SiteName) {
        let Some(site) = cx.sites.find(place) else { return };
        let Some(member) = cx.sites.member_mut(site).filter(|member| member.is_found()) else { return };
        member.grace = member.grace.min(Some(cx.now + LEFT));
        self.arm(cx, site);
    }

    /// A site withdraws an address: whoever waits for it has it. Whether that is the same router, which has moved.
    pub(super) fn withdrew(&mut self, cx: &mut Context<'_>, site: SiteId, address: ProtocolAddress) -> bool {
        let waits = |claim: &Claim| (claim.holder, claim.address) == (site, address);
        let Some(place) = self.claims.waiting.iter().position(waits) else { return false };
        let claim = self.claims.waiting.swap_remove(place);
        let name = |cx: &Context<'_>| cx.sites.get(site).map(|there| (there.nbma, there.vni));
        let before = name(cx);
        self.go_on(cx, claim, false);
        name(cx) != before
    }

    /// The registration goes on: its holder answered, or nobody is there.
    fn go_on(&mut self, cx: &mut Context<'_>, mut claim: Claim, is_there: bool) {
        let Ok(message) = Message::parse(&claim.octets) else { return };
        let Some(source) = message.header.source else { return };
        let site = cx.sites.find(claim.by).filter(|site| cx.sites.member(*site).is_some());
        let Claim { via, trust, key, .. } = claim;
        let from = Inbound { via, site, trust, key, message, octets: &claim.octets };
        let ours = site.and_then(|site| cx.sites.get(site)?.tags).map(Tags::flipped);
        let is_given_up = || site.is_some_and(|site| self.is_given_up(cx, site));
        if claim.trust == Trust::Session && (message.tags() != ours || is_given_up()) {
            // Its session ended meanwhile, or another hub has it.
            return;
        }
        claim.heard.push((claim.holder, is_there));
        self.take_registration(cx, &from, source, claim.heard);
    }

    /// Whether the address is all that the site is known by: of one that was found at the start nothing is known.
    fn is_of(&self, cx: &Context<'_>, site: SiteId, address: ProtocolAddress) -> bool {
        cx.sites.member(site).is_some_and(|member| {
            let is_its_own = member.address.is_none_or(|own| own == address);
            is_its_own && (member.registered.is_empty() || member.registered(address).is_some())
        })
    }

    /// Nobody is at a site any more. If it was the router that registers now, it moves there.
    fn give_way(&mut self, cx: &mut Context<'_>, from: &Inbound<'_>, site: SiteId) {
        let (header, by) = (&from.message.header, name(from));
        let Some(there) = cx.sites.get(site) else { return };
        let (was, nbma) = (there.vtep(), there.nbma);
        // With one device for all spokes it is the entries there that tell where a spoke is.
        let same = was.is_some() && there.vni == header.vni && !self.settings.shared_uplink;
        let same = same && cx.keys.speaks_for(from.key, there.key);
        let is_own = header.source.is_some_and(|source| self.is_of(cx, site, source));
        let Some(was) = was.filter(|_| same && is_own && cx.sites.find(by).is_none()) else { return };
        let Some(member) = cx.sites.member_mut(site) else { return };
        if member.port.as_ref().is_some_and(|port| !port.is_up) {
            return;
        }
        // Late copies from there are late still.
        self.gone.moved(cx.now, nbma, member);
        if member.begun.take().is_some() {
            cx.sessions.ended(cx.now, cx.vpn_id, (nbma, Some(was.vni)));
        }
        self.replies.remove(&site);
        let uplink = member.uplink();
        let addresses: Vec<_> = member.registered.iter().filter_map(|r| ip(r.address)).collect();
        cx.sites.rename(site, by);
        if let Some(there) = cx.sites.get_mut(site) {
            there.tags = None;
        }
        let Some(to) = cx.sites.vtep(site) else { return };
        self.restless.renamed(was, to);
        for claim in self.claims.waiting.iter_mut().filter(|claim| claim.holder == site) {
            // It is asked where it is.
            claim.question = Request::new(cx, site, claim.address);
            claim.next = cx.now;
            cx.arm(&mut self.claims.alarm, cx.now, Due::Server(ServerDue::Claims));
        }
        self.rename_line(cx, site, was);
        for address in addresses {
            cx.want(Item::Neighbour(address), Some(Wanted::Behind(to.nbma)));
        }
        self.claims.former.retain(|(.., at)| cx.now.since(*at) < FORMER);
        if self.claims.former.len() < CLAIMS {
            self.claims.former.push((was, site, cx.now));
        }
        self.claims.resolved(was);
        // The device stays; it is wanted under its new name once it is known how.
        cx.want(Item::Port(was), None);
        if let Some(uplink) = uplink {
            cx.tell(Event::SpokeMoved { from: was, to, uplink });
        }
        self.taken_back.push(TakenBack { site, was: Some(was), stays: true, last: None, at: cx.now });
        self.go_on_taking_back(cx);
    }

    fn note_rivals(&mut self, cx: &mut Context<'_>, claim: &Claim) {
        let (Some(first), (nbma, Some(vni))) = (cx.sites.vtep(claim.holder), claim.by) else { return };
        let ProtocolAddress::Mac(mac) = claim.address else { return };
        let rivals = Rivals { mac, first, second: Some(Vtep { nbma, vni }) };
        let all = &mut self.claims.rivals;
        all.retain(|(_, until)| *until > cx.now);
        let before = all.len();
        all.retain(|(there, _)| *there != rivals);
        if all.len() == before {
            cx.tell(Event::Rivals(rivals));
        }
        if all.len() >= RIVALS {
            all.remove(0);
        }
        all.push((rivals, cx.now + SHOWN));
    }
}

/// Sends the question, or sends it again.
fn ask(cx: &mut Context<'_>, claim: &mut Claim) {
    claim.next = claim.question.sent(cx, APART);
    let Some(via) = cx.sites.via(claim.holder) else { return };
    // It is for who has the MAC, not for who may have its underlay address now.
    let to = Some(claim.address);
    let header = purge_header(cx, via, Protocol::Ethernet, claim.question.id(), to);
    let nbma = Some(claim.by.0).filter(|nbma: &Nbma| nbma.same_family(header.nbma));
    let vni = claim.by.1.filter(|_| nbma.is_some());
    cx.request(claim.holder, via, &header, |w| {
        let prefix = claim.address.host_prefix();
        w.cie(&Cie { prefix, nbma, vni, address: Some(claim.address), ..Cie::default() });
    });
}

/// Whether who registers is the router at a site, elsewhere: nobody else has its key, or one that is as good and its tag,
/// which whoever is on the path reads.
fn is_same(cx: &Context<'_>, from: &Inbound<'_>, site: SiteId) -> bool {
    let Some(tags) = from.message.tags().filter(|_| from.trust != Trust::Untagged) else { return false };
    let Some(there) = cx.sites.get(site) else { return false };
    let has_its_key = cx.keys.is_one_spoke(from.key, there.key);
    let has_its_tag = there.tags.is_some_and(|ours| same_tag(ours.receiver, tags.sender));
    has_its_key || has_its_tag && cx.keys.speaks_for(from.key, there.key)
}

/// Who sent it, as it says.
fn name(from: &Inbound<'_>) -> SiteName {
    (from.message.header.nbma, from.message.header.vni)
}
