//! What an operator wants of a server: that it forgets where MACs are, or who registered.

use super::super::context::{Context, Due, ServerDue};
use super::super::contract::effect::{Act, Event};
use super::super::contract::input::Place;
use super::super::contract::reason::Why;
use super::super::contract::statistics::increment;
use super::super::contract::way::Via;
use super::super::exchange::session::same;
use super::super::exchange::{Backoff, Inbound, KeyId};
use super::super::sites::{Site, SiteId};
use super::super::timers::Alarm;
use super::purge::purge_header;
use super::report::unsigned;
use super::{Member, SOON, STEP, Server, ip};
use crate::time::Instant;
use crate::types::{Mac, Nbma, SiteName, Vni};
use crate::wire::nhrp::{Cie, Protocol, ProtocolAddress, Tags};
use core::cmp::Reverse;
use core::time::Duration;

/// How often a client that was removed is told, and how many of them more than once.
const TRIES: u32 = 4;
const APART: Backoff = Backoff { first: Duration::from_millis(500), most: Duration::from_secs(2) };
const FAREWELLS: usize = 64;

/// So often it is told that there are keys and nobody needs them.
const REMINDED: Duration = Duration::from_secs(3600);

/// What is said to a client that was removed: nothing else is known of it any more.
#[derive(Debug)]
struct Farewell {
    name: SiteName,
    via: Via,
    /// The session that it was in, and the key that it used.
    tags: Option<Tags>,
    key: Option<KeyId>,
    to: Option<ProtocolAddress>,
    id: u32,
    tries: u32,
    next: Instant,
}

/// Those that are not confirmed yet.
#[derive(Debug, Default)]
pub struct Farewells {
    waiting: Vec<Farewell>,
    alarm: Alarm,
}

impl Server {
    /// Forgets where one MAC is, or all that are behind spokes, and who asked for what nobody knows. Whoever asked is told
    /// and asks again; the bridge floods until it hears them. What is at this router itself, and what is registered, stays.
    pub fn flush(&mut self, cx: &mut Context<'_>, mac: Option<Mac>) {
        match mac {
            Some(mac) => self.forget(cx, mac),
            None => {
                self.flushed = None;
                self.go_on_flushing(cx);
            }
        }
    }

    /// Some of them, and the others in a moment.
    pub(super) fn go_on_flushing(&mut self, cx: &mut Context<'_>) {
        let some = cx.book.after(self.flushed).take(STEP).map(|(address, _)| address);
        let some: heapless::Vec<ProtocolAddress, STEP> = some.collect();
        for address in &some {
            if let ProtocolAddress::Mac(mac) = *address {
                self.forget(cx, mac);
            }
        }
        self.flushed = some.last().copied();
        if self.flushed.is_some() {
            cx.arm(&mut self.flush, cx.now + SOON, Due::Server(ServerDue::Flush));
        }
    }

    fn forget(&mut self, cx: &mut Context<'_>, mac: Mac) {
        let address = ProtocolAddress::Mac(mac);
        let Some(entry) = cx.book.get(address) else { return };
        let (site, learned) = (entry.site(), entry.is_learned());
        if site == Some(SiteId::HERE) || site.is_some() && site == entry.registered() {
            return;
        }
        if let Some(change) = cx.book.flush(cx.now, address) {
            self.take_back(cx, address, &change);
        }
        if let Some(spoke) = site.and_then(|site| cx.sites.vtep(site)).filter(|_| learned) {
            cx.act(Act::Unlearn(mac, Place::At(spoke)));
        }
    }

    /// What registered from this address is no client any more, until it registers again. Who is alive is told, so that it
    /// does at once.
    pub fn expel(&mut self, cx: &mut Context<'_>, nbma: Nbma, vni: Option<Vni>) {
        let all: Vec<SiteId> = cx.sites.clients_at(nbma, vni).collect();
        self.dismiss(cx, &all, Why::Removed);
    }

    /// What does not fit the settings any more ends, as if an operator removed it: who may not be registered, and of those
    /// who are too many the ones heard of longest ago: those first of whom a port was found, and nothing heard since.
    pub fn fit(&mut self, cx: &mut Context<'_>) {
        // First of all: they would go on when those that they wait for end.
        self.claims.end_unsigned(cx.keys);
        self.end_unserved(cx);
        self.fit_peers(cx);
        let strangers = cx.sites.members().filter(|(_, site, member)| {
            !member.is_hub && !self.settings.allows(site.nbma) || !cx.keys.allows(site.key, site.nbma)
        });
        let strangers: Vec<SiteId> = strangers.map(|(site, ..)| site).collect();
        self.dismiss(cx, &strangers, Why::NotAllowed);
        let is_signed = |site: &Site, member: &Member| {
            cx.keys.serves(site.key) || site.key.is_none() && member.is_found()
        };
        let unsigned = cx.sites.members().filter(|(_, site, member)| !is_signed(site, member));
        let unsigned: Vec<SiteId> = unsigned.map(|(site, ..)| site).collect();
        self.dismiss(cx, &unsigned, Why::NoKey);

        let spokes = cx.sites.members().filter(|(_, site, member)| site.vni.is_some() && !member.is_hub);
        let mut spokes: Vec<(Option<Nbma>, Reverse<Option<Instant>>, SiteId)> =
            spokes.map(|(id, site, member)| (Some(site.nbma), Reverse(member.heard()), id)).collect();
        let mut surplus = Vec::new();
        spokes.sort_unstable();
        let (mut here, mut sites) = (None, 0);
        spokes.retain_mut(|(nbma, _, site)| {
            sites = if *nbma == here { sites + 1 } else { 1 };
            here = nbma.take();
            let stays = sites <= self.settings.max_vnis;
            surplus.extend((!stays).then_some(*site));
            stays
        });
        spokes.sort_unstable();
        surplus.extend(spokes.iter().skip(self.settings.max_spokes.into()).map(|(.., site)| *site));
        self.dismiss(cx, &surplus, Why::Surplus);
        self.remind(cx);
    }

    /// While it takes what is not signed although it has keys, somebody is to be reminded.
    pub(super) fn remind(&mut self, cx: &mut Context<'_>) {
        if cx.keys.is_empty() || cx.keys.is_required() {
            return cx.timers.clear(&mut self.reminder);
        }
        cx.tell(Event::KeysOptional { unsigned: unsigned(cx.keys, cx.sites) });
        cx.arm(&mut self.reminder, cx.now + REMINDED, Due::Server(ServerDue::Reminder));
    }

    /// IP addresses end that no address of this server's serves any more, and those that are its own now. Their clients
    /// are told when they register again: there is no address left to tell them from.
    fn end_unserved(&mut self, cx: &mut Context<'_>) {
        let all = cx
            .sites
            .members()
            .flat_map(|(id, _, member)| member.registered.iter().map(move |r| (id, r.address)));
        let is_unserved = |address: ProtocolAddress| {
            ip(address).is_some() && (cx.sites.own(address.protocol()).is_none() || cx.sites.is_own(address))
        };
        let unserved: Vec<(SiteId, ProtocolAddress)> =
            all.filter(|(_, address)| is_unserved(*address)).collect();
        for (site, address) in unserved {
            self.is_not_there(cx, site, address);
            self.settle(cx, site, Why::Removed);
        }
    }

    pub(super) fn dismiss(&mut self, cx: &mut Context<'_>, sites: &[SiteId], why: Why) {
        for site in sites {
            self.farewells.say(cx, *site);
            self.remove(cx, *site, why);
        }
    }
}

impl Farewells {
    /// To a client that is still there.
    fn say(&mut self, cx: &mut Context<'_>, site: SiteId) {
        let (Some(via), Some(there)) = (cx.sites.via(site), cx.sites.get(site)) else { return };
        let to = there.member.as_ref().and_then(|member| member.address);
        let name = (there.nbma, there.vni);
        let (tags, key, id) = (cx.sites.tags(site), cx.key_to(site, via), cx.ids.take(cx.out));
        let mut farewell = Farewell { name, via, tags, key, to, id, tries: 0, next: cx.now };
        farewell.send(cx);
        if self.waiting.len() < FAREWELLS {
            self.waiting.push(farewell);
            self.arm(cx);
        }
    }

    /// Says those again that are due.
    pub(super) fn go_on(&mut self, cx: &mut Context<'_>) {
        let is_back =
            |f: &Farewell| cx.sites.find(f.name).is_some_and(|site| cx.sites.member(site).is_some());
        let can_sign = |f: &Farewell| f.key.is_none_or(|key| cx.keys.signer(key).is_some());
        self.waiting.retain(|farewell| farewell.tries < TRIES && !is_back(farewell) && can_sign(farewell));
        let now = cx.now;
        self.waiting.iter_mut().filter(|farewell| farewell.next <= now).for_each(|f| f.send(cx));
        self.arm(cx);
    }

    /// A Purge was confirmed: whether it was one of these.
    pub(super) fn confirmed(&mut self, cx: &mut Context<'_>, from: &Inbound<'_>) -> bool {
        let id = from.message.header.request_id;
        let tags = from.message.tags().unwrap_or_default();
        let is_it = |f: &Farewell| f.id == id && f.via == from.via && same(tags, f.tags.unwrap_or_default());
        let place = self.waiting.iter().position(is_it);
        place.map(|place| self.waiting.swap_remove(place));
        self.arm(cx);
        place.is_some()
    }

    /// Nothing is said any more.
    pub(super) fn end(&mut self, cx: &mut Context<'_>) {
        self.waiting.clear();
        self.arm(cx);
    }

    fn arm(&mut self, cx: &mut Context<'_>) {
        match self.waiting.iter().map(|farewell| farewell.next).min() {
            Some(next) => cx.arm(&mut self.alarm, next, Due::Server(ServerDue::Farewells)),
            None => cx.timers.clear(&mut self.alarm),
        }
    }
}

impl Farewell {
    /// The hub takes its own address back: who hears it registers anew.
    fn send(&mut self, cx: &mut Context<'_>) {
        self.tries += 1;
        self.next = cx.now + APART.after(cx, self.tries);
        // A port that was found is a spoke's.
        let protocol = self.to.map_or(Protocol::Ethernet, ProtocolAddress::protocol);
        let Some(own) = cx.sites.own(protocol) else { return };
        let header = purge_header(cx, self.via, protocol, self.id, self.to);
        let sent = cx.send(self.via, &header, self.key, |w| {
            w.cie(&Cie { prefix: own.host_prefix(), address: Some(own), ..Cie::default() });
            if let Some(tags) = self.tags {
                w.tags(tags);
            }
        });
        if sent {
            increment(&mut cx.statistics.tx_purge_req);
        }
    }
}
