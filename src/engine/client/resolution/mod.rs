//! A client's remote MACs: asked for, installed as shortcuts, renewed while used, forgotten
//! (RFC 2332 sections 5.2.1, 5.2.2 and 6.2). Where they are and for how long stands in the book.

mod again;
mod places;
mod questions;
mod shortcuts;
mod strangers;

use super::super::context::{ClientDue, Context, Due, View, seconds};
use super::super::contract::effect::Act;
use super::super::contract::input::Place;
use super::super::contract::item::{Item, Wanted};
use super::super::contract::reason::{Refusal, Why};
use super::super::contract::report::{MacRow, MacState};
use super::super::contract::settings::{ClientSettings, HubKey, Trigger};
use super::super::contract::statistics::increment;
use super::super::exchange::{Backoff, Inbound, Request};
use super::super::limits::{QUESTIONS, TokenBucket};
use super::super::reach::{Prober, Reach};
use super::super::room::Room;
use super::super::sites::SiteId;
use super::super::timers::Alarm;
use super::registration::Registration;
use crate::time::Instant;
use crate::types::{Mac, Vtep};
use crate::wire::nhrp::{Cie, Header, Message, ProtocolAddress, Tags, code};
use again::{Again, IN_USE};
use core::ops::Bound;
use core::time::Duration;
use litemap::LiteMap;
use questions::best;
use shortcuts::{drop_shortcut, settle, until};
use std::collections::{BTreeMap, VecDeque};
use strangers::Strangers;

/// Tries of a question, and how many before the MAC counts as unknown.
const ASK: Backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(64) };
const TRIES: u32 = 5;
/// Of a question on whose answer it depends whether a shortcut that is in place is right.
const ASK_ON: Backoff = Backoff { most: Duration::from_secs(16), ..ASK };
/// The kernel counts use in ticks of 10 ms: what was used a moment after it was written is used.
const TICK: Duration = Duration::from_millis(30);
/// So long before a shortcut ends its use is read once more: time for a question, and for that one to be lost.
const LAST_LOOK: Duration = Duration::from_secs(3);

/// What the kernel sends elsewhere than by the default entry.
#[derive(Clone, Copy, Debug)]
struct Shortcut {
    /// Trigger `l2miss`: it only stands in for the default entry.
    relay: bool,
    /// Since when use counts: use before this has renewed it already.
    checked: Instant,
}

/// What a MAC waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing yet.
    New,
    /// The rate limit, or the registration.
    Queued,
    /// The hub's answer.
    Asking(Request),
    /// Two thirds of the holding time, to see whether the shortcut is used.
    Holding,
    /// The end of the holding time, unless it is used before.
    Ending,
    /// The end of the negative-cache time.
    Negative,
}

#[derive(Debug)]
struct Entry {
    phase: Phase,
    shortcut: Option<Shortcut>,
    /// What is known, or was denied, was said in an earlier session: the hub does not tell when it becomes untrue.
    is_old: bool,
    alarm: Alarm,
}

/// The table. It never holds more than `max_macs` entries.
#[derive(Debug)]
pub struct Resolution {
    entries: BTreeMap<Mac, Entry>,
    /// How many of them are known to be at a site, and have a shortcut there.
    placed: usize,
    /// Those that the hub does not know, in the order that it said so, and some that are not denied any more.
    denied: VecDeque<Mac>,
    /// Those that are queued, in their order, and some that are not any more.
    queue: VecDeque<Mac>,
    /// Those that were heard when there was no place for them.
    waiting: VecDeque<Mac>,
    strangers: Strangers,
    questions: TokenBucket,
    queue_alarm: Alarm,
    again: Again,
    room: Room,
}

/// Who asks, and whom.
#[derive(Debug)]
pub struct Asker<'a> {
    pub settings: &'a ClientSettings,
    /// This node's own MAC.
    pub mac: Mac,
    pub hub: SiteId,
    /// Where unknown frames go, once told.
    pub uplink: Option<SiteId>,
    /// The registrations with all of the client's hubs.
    pub hubs: &'a LiteMap<HubKey, Registration>,
    pub registered: bool,
    /// The hub may have been started just now, and not have everybody back.
    pub is_young: bool,
    pub reach: &'a mut Reach,
    pub prober: Prober,
}

impl Asker<'_> {
    /// Whether a place is at a hub's address, but not where unknown frames go: at a hub, or a port of it, that takes nothing of this
    /// client soon.
    fn is_at_left_hub(&self, cx: &Context<'_>, at: Vtep) -> bool {
        let uplink = self.uplink.and_then(|uplink| cx.sites.vtep(uplink));
        let is_hubs = |hub: &Registration| hub.path().is_some_and(|path| path.remote == at.nbma);
        uplink.is_some_and(|uplink| uplink != at) && self.hubs.values().any(is_hubs)
    }
}

impl Default for Resolution {
    fn default() -> Resolution {
        Resolution {
            entries: BTreeMap::new(),
            placed: 0,
            denied: VecDeque::new(),
            queue: VecDeque::new(),
            waiting: VecDeque::new(),
            strangers: Strangers::default(),
            questions: TokenBucket::new(QUESTIONS),
            queue_alarm: Alarm::default(),
            again: Again::default(),
            room: Room::default(),
        }
    }
}

impl Resolution {
    /// Whether a MAC is followed.
    pub fn knows(&self, mac: Mac) -> bool {
        self.entries.contains_key(&mac)
    }

    /// Whether the hub did not know the MAC, and is not asked again yet.
    pub fn is_denied(&self, mac: Mac) -> bool {
        self.entries.get(&mac).is_some_and(|e| e.phase == Phase::Negative)
    }

    /// A MAC was heard behind the tunnel, or missed by the device. Only the first time means a question
    /// (RFC 2332 section 2.2: not every packet may trigger one).
    pub fn heard(&mut self, cx: &mut Context<'_>, asker: &mut Asker<'_>, mac: Mac) {
        if mac == asker.mac || is_here(cx, mac) || self.knows(mac) {
            return;
        }
        if !self.insert(cx, asker, mac) {
            return self.wait(cx, asker, mac);
        }
        if asker.settings.trigger == Trigger::L2miss {
            self.relay(cx, asker, mac);
        }
        self.enqueue(cx, asker, mac);
    }

    /// A shortcut of an earlier run was found: it counts as installed, and is asked for before it is relied on.
    pub fn found(&mut self, cx: &mut Context<'_>, asker: &mut Asker<'_>, mac: Mac, to: Vtep) {
        let known = self.entries.get(&mac).map(|e| (e.phase, e.shortcut.is_some()));
        let adopted = match known {
            // It is compared with what is wanted.
            Some((_, true)) => false,
            _ if asker.is_at_left_hub(cx, to) => false,
            Some((Phase::Queued | Phase::Asking(_), false)) => true,
            Some((_, false)) => false,
            None if is_here(cx, mac) => false,
            None => self.insert(cx, asker, mac),
        };
        if !adopted {
            if cx.plane.shortcut(mac) != Some(to) {
                cx.plane.differs(cx.out, Item::Shortcut(mac));
            }
            return;
        }
        let until = cx.now + cx.holding_time;
        let site = cx.sites.enter((to.nbma, Some(to.vni)));
        cx.book.hold(cx.now, ProtocolAddress::Mac(mac), site, until);
        cx.plane.adopt(Item::Shortcut(mac), Some(Wanted::To(to)));
        asker.reach.want(cx, &asker.prober, site, true);
        settle(cx, asker, mac, site);
        let Some(entry) = self.entries.get_mut(&mac) else { return };
        self.placed += 1;
        entry.shortcut = Some(Shortcut { relay: false, checked: cx.now });
        entry.is_old = true;
        match entry.phase {
            Phase::Asking(_) => {}
            Phase::Queued => cx.arm(&mut entry.alarm, until, due(mac)),
            _ => {
                entry.end(cx, mac);
                if asker.registered {
                    self.ask_soon(cx, mac);
                }
            }
        }
    }

    /// The registration came about, or the uplink changed: what waited is asked, and what was asked of a hub at another
    /// address is asked of this one. What was known or denied before is asked for again within some seconds.
    pub fn registered(&mut self, cx: &mut Context<'_>, asker: &mut Asker<'_>) {
        let all: Vec<Mac> = self.entries.keys().copied().collect();
        for mac in all {
            if let Some(Phase::Asking(request)) = self.entries.get(&mac).map(|entry| entry.phase)
                && request.to() != asker.hub
            {
                self.enqueue(cx, asker, mac);
            }
            let Some(entry) = self.entries.get(&mac) else { continue };
            let waits = matches!(entry.phase, Phase::Queued | Phase::Asking(_));
            let (relay, holds) = (entry.shortcut.is_some_and(|s| s.relay), entry.shortcut.is_some());
            if asker.settings.trigger == Trigger::L2miss && (relay || (!holds && waits)) {
                self.relay(cx, asker, mac);
            }
        }
        self.ask_queued(cx, asker);
        self.ask_all_again(cx, asker);
    }

    /// The MAC is at a local port, or nobody wants it remembered.
    pub fn forget(&mut self, cx: &mut Context<'_>, trigger: Trigger, mac: Mac, why: Why) {
        let Some(mut entry) = self.entries.remove(&mac) else { return };
        cx.timers.clear(&mut entry.alarm);
        if let Some(shortcut) = entry.shortcut {
            self.placed -= usize::from(!shortcut.relay);
            drop_shortcut(cx, mac, why);
        }
        // Otherwise the bridge, which knows the MAC, would not tell when it is heard again. One that made room is not to
        // come back at once.
        if !matches!(why, Why::Local | Why::Crowded) && trigger == Trigger::Learn {
            cx.act(Act::Unlearn(mac, Place::Tunnel));
        }
    }

    /// All of them.
    pub fn forget_all(&mut self, cx: &mut Context<'_>, trigger: Trigger, why: Why) {
        while let Some(mac) = self.entries.first_key_value().map(|(mac, _)| *mac) {
            self.forget(cx, trigger, mac, why);
        }
        self.queue.clear();
        self.denied.clear();
        self.waiting.clear();
        self.strangers.clear();
        self.again.end(cx);
        cx.timers.clear(&mut self.queue_alarm);
    }

    /// An operator wants an answer now: asks anew, whatever is known.
    pub fn resolve(&mut self, cx: &mut Context<'_>, asker: &mut Asker<'_>, mac: Mac) {
        match self.entries.get(&mac).map(|e| e.phase) {
            None => self.heard(cx, asker, mac),
            Some(Phase::Holding | Phase::Ending) => self.enqueue(cx, asker, mac),
            // A pending question is answered soon; an unknown MAC is not asked for before its time.
            Some(Phase::New | Phase::Queued | Phase::Asking(_) | Phase::Negative) => {}
        }
    }

    /// The MAC's deadline has come.
    pub fn due(&mut self, cx: &mut Context<'_>, asker: &mut Asker<'_>, mac: Mac) {
        let Some(entry) = self.entries.get_mut(&mac) else { return };
        let until = entry.shortcut.map(|_| until(cx, mac));
        // A hub that is silent tells of no change either.
        let asks_on = entry.is_unsure() && until.is_some_and(|until| until > cx.now);
        match entry.phase {
            Phase::Holding => {
                entry.end(cx, mac);
                cx.act(Act::ReadUse(mac));
            }
            Phase::Ending if until.is_some_and(|until| until > cx.now) => {
                cx.arm(&mut entry.alarm, until.unwrap_or(cx.now), due(mac));
                cx.act(Act::ReadUse(mac));
            }
            Phase::Ending | Phase::Negative => self.forget(cx, asker.settings.trigger, mac, Why::Unused),
            Phase::New | Phase::Queued => self.retreat(cx, asker, mac, Why::Expired),
            Phase::Asking(request) => {
                if until.is_some_and(|until| until <= cx.now) {
                    self.retreat(cx, asker, mac, Why::Expired);
                }
                if !asker.registered {
                    // The hub is lost: the question waits until it is back.
                    self.enqueue(cx, asker, mac);
                } else if request.tries() >= TRIES && !asks_on {
                    self.unknown(cx, asker, mac, None);
                } else {
                    self.ask(cx, asker, mac, request);
                }
            }
        }
    }

    /// What the kernel says of a shortcut: used, it is renewed, or asked for again at once; unused, it is left to end.
    pub fn usage(
        &mut self,
        cx: &mut Context<'_>,
        asker: &mut Asker<'_>,
        mac: Mac,
        idle: Duration,
        age: Duration,
    ) {
        let Some(entry) = self.entries.get(&mac) else { return };
        let Some(shortcut) = entry.shortcut else { return };
        // Writing an entry counts as use to some kernels, so only use after that, and since the last look, counts.
        let is_used = entry.phase == Phase::Ending && idle + TICK < age.min(cx.now.since(shortcut.checked));
        if is_used || entry.is_to_ask_again() && idle < IN_USE {
            self.enqueue(cx, asker, mac);
        }
    }

    /// Whether a reply answers a question that waits for it.
    pub fn waits_for(&self, from: &Inbound<'_>) -> bool {
        let said = said(&from.message);
        self.asked_by(from.site, said).is_some() || self.strangers.is_asked(from.site, said)
    }

    /// The hub does not know who asks. The question waits until it does.
    pub fn put_off(&mut self, cx: &mut Context<'_>, asker: &mut Asker<'_>, from: &Inbound<'_>) -> bool {
        let said = said(&from.message);
        let asked = self.asked_by(from.site, said);
        let is_waited_for = asked.or_else(|| self.strangers.take(from.site, said)).is_some();
        if is_waited_for {
            increment(&mut cx.statistics.rx_resolve_reply_nak);
        }
        if let Some(mac) = asked {
            self.enqueue(cx, asker, mac);
        }
        is_waited_for
    }

    /// A Resolution Reply arrived; `false` when nobody waits for it.
    pub fn reply(&mut self, cx: &mut Context<'_>, asker: &mut Asker<'_>, from: &Inbound<'_>) -> bool {
        let message = &from.message;
        if message.header.source != Some(ProtocolAddress::Mac(asker.mac)) {
            return false;
        }
        let Some(mac) = self.asked_by(from.site, said(message)) else {
            return self.introduced(cx, asker, from);
        };
        let nak = message.cies().map(|c| c.code).find(|&c| c != code::OK);
        match (nak, best(cx, from, mac)) {
            (None, Some((to, holding))) => {
                increment(&mut cx.statistics.rx_resolve_reply_ack);
                self.resolved(cx, asker, mac, to, holding);
            }
            (nak, _) => {
                increment(&mut cx.statistics.rx_resolve_reply_nak);
                // An answer that cannot be used, such as one of another address family, is none.
                let nak = nak.unwrap_or(code::NO_BINDING);
                self.unknown(cx, asker, mac, Some(Refusal::Nak(nak)));
            }
        }
        true
    }

    /// An Error Indication about a question arrived.
    pub fn error(
        &mut self,
        cx: &mut Context<'_>,
        asker: &mut Asker<'_>,
        site: Option<SiteId>,
        asked: (&Header, Option<Tags>),
        error: u16,
    ) -> bool {
        let Some(mac) = self.asked_by(site, asked) else {
            return self.strangers.take(site, asked).is_some();
        };
        self.unknown(cx, asker, mac, Some(Refusal::Error(error)));
        true
    }

    /// The hub tells to forget (RFC 2332 section 5.2.5). Traffic goes by the hub at once, and the MAC is asked for
    /// again, which finds its new place.
    pub fn purge(&mut self, cx: &mut Context<'_>, asker: &mut Asker<'_>, cie: &Cie) {
        let Some(ProtocolAddress::Mac(mac)) = cie.address else { return };
        if (1..48).contains(&cie.prefix) {
            let inside = |other: &Mac| other.shares(mac, cie.prefix);
            let macs: Vec<Mac> = self.entries.keys().copied().filter(inside).collect();
            for mac in macs {
                self.purge_one(cx, asker, mac, None);
            }
        } else {
            let old = cie.nbma.zip(cie.vni).map(|(nbma, vni)| Vtep { nbma, vni });
            self.purge_one(cx, asker, mac, old);
        }
    }

    fn purge_one(&mut self, cx: &mut Context<'_>, asker: &mut Asker<'_>, mac: Mac, old: Option<Vtep>) {
        let Some(entry) = self.entries.get_mut(&mac) else { return };
        let place = |cx: &Context<'_>| cx.book.site_of(mac).and_then(|site| cx.sites.vtep(site));
        let is_other = |cx: &Context<'_>| old.is_some() && old != place(cx);
        match (entry.phase, entry.shortcut) {
            (phase, Some(shortcut)) if shortcut.relay || is_other(cx) => {
                // What is known is not what is to be forgotten. But the answer under way may be, and what the hub did
                // not know, and the MAC was pointed at the hub for, it knows now.
                if matches!(phase, Phase::Asking(_)) || old.is_none() {
                    self.enqueue(cx, asker, mac);
                }
            }
            (_, Some(_)) => {
                self.retreat(cx, asker, mac, Why::Purged);
                self.enqueue(cx, asker, mac);
            }
            // The answer under way may be the old one: it must not match any more. What was not known is now.
            (Phase::Asking(_) | Phase::Negative, None) => self.enqueue(cx, asker, mac),
            (Phase::New | Phase::Queued | Phase::Holding | Phase::Ending, None) => {}
        }
    }

    /// The path to a site is up or down: all that is there goes that way.
    pub fn led(&mut self, cx: &mut Context<'_>, asker: &mut Asker<'_>, site: SiteId) {
        let mut last = None;
        while let Some(address) = cx.book.next_behind(site, last) {
            last = Some(address);
            match address {
                ProtocolAddress::Mac(mac) if self.entries.get(&mac).is_some_and(Entry::is_placed) => {
                    settle(cx, asker, mac, site);
                }
                _ => {}
            }
        }
    }

    /// Unknown frames go by another hub than `before`, or by another port or address of it: what was at the one before, or at one of an
    /// earlier run, goes there, too, and is asked for.
    pub fn follow_uplink(&mut self, cx: &mut Context<'_>, asker: &mut Asker<'_>, before: Option<Vtep>) {
        let place = |mac: Mac| cx.book.site_of(mac).and_then(|site| cx.sites.vtep(site));
        let is_left =
            |mac: Mac| place(mac).is_some_and(|at| before == Some(at) || asker.is_at_left_hub(cx, at));
        let placed = self.entries.iter().filter(|(_, entry)| entry.is_placed()).map(|(mac, _)| *mac);
        let left: Vec<Mac> = placed.filter(|mac| is_left(*mac)).collect();
        for mac in left {
            self.retreat(cx, asker, mac, Why::HubLeft);
            self.enqueue(cx, asker, mac);
        }
    }

    /// How many there are: shortcuts, being asked for, unknown to the hub.
    pub fn count(&self) -> (u32, u32, u32) {
        let mut counts = (0, 0, 0);
        for e in self.entries.values() {
            match e.phase {
                Phase::Negative => counts.2 += 1,
                _ if e.shortcut.is_some() => counts.0 += 1,
                _ => counts.1 += 1,
            }
        }
        counts
    }

    /// Rows for `macs`, after `last`.
    pub fn rows<'a>(&'a self, vn: View<'a>, last: Option<Mac>) -> impl Iterator<Item = MacRow> + 'a {
        let rest = (last.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let place = move |mac: Mac| vn.book.site_of(mac).and_then(|site| vn.sites.vtep(site));
        self.entries.range(rest).map(move |(mac, e)| MacRow {
            mac: *mac,
            state: match e.phase {
                Phase::Negative => MacState::Negative,
                _ if e.is_placed() && vn.plane.shortcut(*mac) != place(*mac) => MacState::NoPath,
                _ if e.shortcut.is_some() => MacState::Shortcut,
                _ => MacState::Asking,
            },
            at: e.shortcut.and_then(|_| place(*mac)),
            left: e
                .shortcut
                .and_then(|_| vn.book.get(ProtocolAddress::Mac(*mac)))
                .map(|entry| seconds(entry.until(), vn.now)),
            askers: 0,
        })
    }

    /// The client ends.
    pub fn end(&mut self, cx: &mut Context<'_>) {
        self.room.end(cx);
    }
}

impl Entry {
    /// Whether it has a shortcut that more than stands in for the default entry.
    fn is_placed(&self) -> bool {
        self.shortcut.is_some_and(|shortcut| !shortcut.relay)
    }

    /// It ends with its holding time, unless it turns out shortly before that it is used.
    fn end(&mut self, cx: &mut Context<'_>, mac: Mac) {
        self.phase = Phase::Ending;
        let until = until(cx, mac);
        let look = until - LAST_LOOK;
        cx.arm(&mut self.alarm, if look > cx.now { look } else { until }, due(mac));
    }
}

fn due(mac: Mac) -> Due {
    Due::Client(ClientDue::Mac(mac))
}

/// Whether the bridge knows the MAC at a local port. What is here is not looked for elsewhere: the device may miss it
/// all the same, by a frame that was sent before the bridge learned it.
fn is_here(cx: &Context<'_>, mac: Mac) -> bool {
    cx.book.site_of(mac) == Some(SiteId::HERE)
}

/// What of a message tells which request it is about.
fn said<'a>(message: &'a Message<'_>) -> (&'a Header, Option<Tags>) {
    (&message.header, message.tags())
}
