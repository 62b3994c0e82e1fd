//! A spoke's remote MACs in one VN: asked for, installed as shortcuts, renewed while used, forgotten
//! (RFC 2332 sections 5.2.1, 5.2.2 and 6.2).

use super::context::{Context, Due, Timer};
use super::contract::effect::{Act, Effect, Event, Refusal, Table, Why};
use super::contract::report::{MacRow, MacState};
use super::contract::settings::{SpokeSettings, Trigger};
use super::contract::statistics::increment;
use super::limits::{QUESTIONS, TokenBucket};
use super::plane::Item;
use super::registration::Identity;
use super::timers::Alarm;
use crate::time::Instant;
use crate::types::{Mac, Vtep};
use crate::wire::nhrp::{Cie, Extension, Header, Kind, Message, ProtocolAddress, code, flag, kind};
use core::ops::Bound;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

/// A question is repeated after this; each further time after twice as long.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// A question is sent so often before the MAC counts as unknown.
const TRIES: u32 = 5;
/// The kernel counts use in ticks of 10 ms: what was used a moment after it was written is used.
const TICK: Duration = Duration::from_millis(30);

/// Where the kernel sends a MAC's frames.
#[derive(Clone, Copy, Debug)]
struct Shortcut {
    to: Vtep,
    /// Trigger `l2miss`: it only stands in for the default entry.
    relay: bool,
    /// When its holding time ends.
    until: Instant,
    /// Since when use counts: use before this has renewed it already.
    checked: Instant,
}

/// What a MAC waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The rate limit, or the registration.
    Queued,
    /// The hub's answer.
    Asking { id: u32, tries: u32 },
    /// Two thirds of the holding time, to see whether the shortcut is used.
    Holding,
    /// The end of the holding time.
    Ending,
    /// The end of the negative-cache time.
    Negative,
}

#[derive(Debug)]
struct Entry {
    phase: Phase,
    shortcut: Option<Shortcut>,
    alarm: Alarm,
}

/// The table. It never holds more than `max_macs` entries.
#[derive(Debug)]
pub struct Macs {
    entries: BTreeMap<Mac, Entry>,
    queue: VecDeque<Mac>,
    questions: TokenBucket,
    queue_alarm: Alarm,
    full: bool,
}

/// What the table needs to know of the spoke it belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    pub me: &'a Identity,
    pub settings: &'a SpokeSettings,
    pub uplink: Option<Vtep>,
    pub registered: bool,
}

impl Default for Macs {
    fn default() -> Macs {
        Macs {
            entries: BTreeMap::new(),
            queue: VecDeque::new(),
            questions: TokenBucket::new(QUESTIONS),
            queue_alarm: Alarm::default(),
            full: false,
        }
    }
}

impl Macs {
    /// A MAC was heard behind the tunnel, or missed by the device. Only the first time means a question
    /// (RFC 2332 section 2.2: not every packet may trigger one).
    pub fn heard(&mut self, cx: &mut Context<'_>, around: Surroundings<'_>, mac: Mac) {
        if mac == around.me.mac || self.entries.contains_key(&mac) {
            return;
        }
        if !self.insert(cx, around, mac, Phase::Queued, None) {
            return;
        }
        if around.settings.trigger == Trigger::L2miss {
            self.relay(cx, around, mac);
        }
        self.enqueue(cx, around, mac);
    }

    /// A shortcut of an earlier run was found: it counts as installed, and is asked for before it is relied on.
    pub fn found(&mut self, cx: &mut Context<'_>, around: Surroundings<'_>, mac: Mac, to: Vtep) {
        let shortcut = Shortcut { to, relay: false, until: cx.now + cx.holding_time, checked: cx.now };
        if let Some(entry) = self.entries.get_mut(&mac) {
            match (entry.shortcut, entry.phase) {
                (Some(ours), _) if ours.to == to => {}
                (Some(_), _) => cx.plane.differs(cx.out, Item::Shortcut(mac)),
                (None, Phase::Queued | Phase::Asking { .. }) => {
                    entry.shortcut = Some(shortcut);
                    cx.plane.adopt_shortcut(mac, to);
                    if entry.phase == Phase::Queued {
                        set(cx, around, &mut entry.alarm, shortcut.until, mac);
                    }
                }
                (None, _) => cx.plane.differs(cx.out, Item::Shortcut(mac)),
            }
        } else if self.insert(cx, around, mac, Phase::Queued, Some(shortcut)) {
            cx.plane.adopt_shortcut(mac, to);
            self.enqueue(cx, around, mac);
        } else {
            cx.plane.differs(cx.out, Item::Shortcut(mac));
        }
    }

    /// The registration came about, or the uplink changed: what waited is asked. So is what was known before, since
    /// the hub may have forgotten whom to tell when it becomes untrue.
    pub fn registered(&mut self, cx: &mut Context<'_>, around: Surroundings<'_>) {
        let all: Vec<Mac> = self.entries.keys().copied().collect();
        for mac in all {
            let Some(entry) = self.entries.get(&mac) else { continue };
            let waits = matches!(entry.phase, Phase::Queued | Phase::Asking { .. });
            match entry.shortcut {
                Some(shortcut) if !shortcut.relay => {
                    if !waits {
                        self.enqueue(cx, around, mac);
                    }
                }
                relay => {
                    if around.settings.trigger == Trigger::L2miss && (relay.is_some() || waits) {
                        self.relay(cx, around, mac);
                    }
                }
            }
        }
        self.ask_queued(cx, around);
    }

    /// The MAC is at a local port, or nobody wants it remembered.
    pub fn forget(&mut self, cx: &mut Context<'_>, around: Surroundings<'_>, mac: Mac, why: Why) {
        let Some(mut entry) = self.entries.remove(&mac) else { return };
        cx.timers.clear(&mut entry.alarm);
        if entry.phase == Phase::Queued {
            self.queue.retain(|queued| *queued != mac);
        }
        if entry.shortcut.is_some() {
            drop_shortcut(cx, around, mac, why);
        }
        // Otherwise the bridge, which knows the MAC, would not tell when it is heard again.
        if why != Why::Local && around.settings.trigger == Trigger::Learn {
            cx.out.push(Effect::Do { vn: around.me.vn, act: Act::Unlearn(mac) });
        }
        self.full = false;
    }

    /// All of them.
    pub fn forget_all(&mut self, cx: &mut Context<'_>, around: Surroundings<'_>, why: Why) {
        while let Some(mac) = self.entries.first_key_value().map(|(mac, _)| *mac) {
            self.forget(cx, around, mac, why);
        }
    }

    /// An operator wants an answer now: asks anew, whatever is known. Whether there is room for the MAC.
    pub fn resolve(&mut self, cx: &mut Context<'_>, around: Surroundings<'_>, mac: Mac) {
        match self.entries.get(&mac).map(|e| e.phase) {
            None => self.heard(cx, around, mac),
            Some(Phase::Holding | Phase::Ending) => self.enqueue(cx, around, mac),
            // A pending question is answered soon; an unknown MAC is not asked for before its time.
            Some(Phase::Queued | Phase::Asking { .. } | Phase::Negative) => {}
        }
    }

    /// The rate limit allows further questions.
    pub fn questions_due(&mut self, cx: &mut Context<'_>, around: Surroundings<'_>) {
        self.ask_queued(cx, around);
    }

    /// The MAC's deadline has come.
    pub fn due(&mut self, cx: &mut Context<'_>, around: Surroundings<'_>, mac: Mac) {
        let Some(entry) = self.entries.get_mut(&mac) else { return };
        let expired = entry.shortcut.is_some_and(|s| s.until <= cx.now);
        match entry.phase {
            Phase::Holding => {
                entry.phase = Phase::Ending;
                let until = entry.shortcut.map_or(cx.now, |s| s.until);
                set(cx, around, &mut entry.alarm, until, mac);
                cx.out.push(Effect::Do { vn: around.me.vn, act: Act::ReadUse(mac) });
            }
            Phase::Ending => self.forget(cx, around, mac, Why::Unused),
            Phase::Negative => self.forget(cx, around, mac, Why::Unused),
            Phase::Queued => self.retreat(cx, around, mac, Why::Expired),
            Phase::Asking { id, tries } => {
                if expired {
                    self.retreat(cx, around, mac, Why::Expired);
                }
                if !around.registered {
                    // The hub is lost: the question waits until it is back.
                    self.enqueue(cx, around, mac);
                } else if tries >= TRIES {
                    self.unknown(cx, around, mac, None);
                } else {
                    increment(&mut cx.statistics.retransmits);
                    self.ask(cx, around, mac, id, tries + 1);
                }
            }
        }
    }

    /// What the kernel says of a shortcut: used, it is renewed; unused, it is left to end.
    pub fn usage(
        &mut self,
        cx: &mut Context<'_>,
        around: Surroundings<'_>,
        mac: Mac,
        idle: Duration,
        age: Duration,
    ) {
        let Some(Entry { phase: Phase::Ending, shortcut: Some(shortcut), .. }) = self.entries.get(&mac)
        else {
            return;
        };
        // Writing an entry counts as use to some kernels, so only use after that, and since the last look, counts.
        if idle + TICK < age.min(cx.now.since(shortcut.checked)) {
            self.enqueue(cx, around, mac);
        }
    }

    /// A Resolution Reply arrived; `false` when nobody waits for it.
    pub fn reply(&mut self, cx: &mut Context<'_>, around: Surroundings<'_>, message: &Message<'_>) -> bool {
        let Some(ProtocolAddress::Mac(mac)) = message.header.destination else { return false };
        let waiting = self
            .entries
            .get(&mac)
            .is_some_and(|e| matches!(e.phase, Phase::Asking { id, .. } if id == message.header.request_id));
        if !waiting || message.header.source != Some(around.me.address()) {
            return false;
        }
        let nak = message.cies().map(|c| c.code).find(|&c| c != code::OK);
        match (nak, best(message, around.me, mac)) {
            (None, Some((to, holding))) => {
                increment(&mut cx.statistics.rx_resolve_reply_ack);
                self.resolved(cx, around, mac, to, holding);
            }
            (nak, _) => {
                increment(&mut cx.statistics.rx_resolve_reply_nak);
                // An answer that cannot be used, such as one of another address family, is none.
                let nak = nak.unwrap_or(code::NO_BINDING);
                self.unknown(cx, around, mac, Some(Refusal::Nak(nak)));
            }
        }
        true
    }

    /// An Error Indication about a question arrived.
    pub fn error(&mut self, cx: &mut Context<'_>, around: Surroundings<'_>, asked: &Header, error: u16) {
        let Some(ProtocolAddress::Mac(mac)) = asked.destination else { return };
        let waiting = self
            .entries
            .get(&mac)
            .is_some_and(|e| matches!(e.phase, Phase::Asking { id, .. } if id == asked.request_id));
        if waiting {
            self.unknown(cx, around, mac, Some(Refusal::Error(error)));
        }
    }

    /// The hub tells to forget (RFC 2332 section 5.2.5). Traffic goes by the hub at once, and the MAC is asked for
    /// again, which finds its new place.
    pub fn purge(&mut self, cx: &mut Context<'_>, around: Surroundings<'_>, cie: &Cie) {
        let Some(ProtocolAddress::Mac(mac)) = cie.address else { return };
        if (1..48).contains(&cie.prefix) {
            let inside = prefix_range(mac, cie.prefix);
            let macs: Vec<Mac> = self.entries.keys().copied().filter(|m| inside(*m)).collect();
            for mac in macs {
                self.purge_one(cx, around, mac, None);
            }
        } else {
            let old = cie.nbma.zip(cie.vni).map(|(nbma, vni)| Vtep { nbma, vni });
            self.purge_one(cx, around, mac, old);
        }
    }

    fn purge_one(&mut self, cx: &mut Context<'_>, around: Surroundings<'_>, mac: Mac, old: Option<Vtep>) {
        let Some(entry) = self.entries.get_mut(&mac) else { return };
        match (entry.phase, entry.shortcut) {
            (phase, Some(shortcut)) if shortcut.relay || old.is_some_and(|old| old != shortcut.to) => {
                // What is known is not what is to be forgotten. But the answer under way may be, and what the hub did
                // not know, and the MAC was pointed at the hub for, it knows now.
                if matches!(phase, Phase::Asking { .. }) || old.is_none() {
                    self.enqueue(cx, around, mac);
                }
            }
            (_, Some(_)) => {
                self.retreat(cx, around, mac, Why::Purged);
                self.enqueue(cx, around, mac);
            }
            // The answer under way may be the old one: it must not match any more. What was not known is now.
            (Phase::Asking { .. } | Phase::Negative, None) => self.enqueue(cx, around, mac),
            (Phase::Queued | Phase::Holding | Phase::Ending, None) => {}
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

    /// Whether the hub did not know the MAC, and is not asked again yet.
    pub fn is_denied(&self, mac: Mac) -> bool {
        self.entries.get(&mac).is_some_and(|e| e.phase == Phase::Negative)
    }

    /// Rows of the MACs behind `after`, in their order.
    pub fn rows(&self, now: Instant, after: Option<Mac>) -> impl Iterator<Item = MacRow> + '_ {
        let behind = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        self.entries.range(behind).map(move |(mac, e)| MacRow {
            mac: *mac,
            state: match e.phase {
                Phase::Negative => MacState::Negative,
                _ if e.shortcut.is_some() => MacState::Shortcut,
                _ => MacState::Asking,
            },
            at: e.shortcut.map(|s| s.to),
            left: e.shortcut.map(|s| u32::try_from(s.until.since(now).as_secs()).unwrap_or(u32::MAX)),
            askers: 0,
        })
    }

    /// Makes an entry if there is room for it.
    fn insert(
        &mut self,
        cx: &mut Context<'_>,
        around: Surroundings<'_>,
        mac: Mac,
        phase: Phase,
        shortcut: Option<Shortcut>,
    ) -> bool {
        if self.entries.len() >= around.settings.max_macs as usize {
            increment(&mut cx.statistics.macs_refused);
            if !self.full {
                self.full = true;
                cx.out.tell(around.me.vn, Event::Full(Table::Macs));
            }
            return false;
        }
        self.entries.insert(mac, Entry { phase, shortcut, alarm: Alarm::default() });
        true
    }

    /// Puts the MAC in line for a question.
    fn enqueue(&mut self, cx: &mut Context<'_>, around: Surroundings<'_>, mac: Mac) {
        let Some(entry) = self.entries.get_mut(&mac) else { return };
        if entry.phase != Phase::Queued || !self.queue.contains(&mac) {
            self.queue.push_back(mac);
        }
        entry.phase = Phase::Queued;
        match entry.shortcut {
            Some(shortcut) => set(cx, around, &mut entry.alarm, shortcut.until, mac),
            None => cx.timers.clear(&mut entry.alarm),
        }
        self.ask_queued(cx, around);
    }

    /// Asks as many of the line as the rate limit allows.
    fn ask_queued(&mut self, cx: &mut Context<'_>, around: Surroundings<'_>) {
        while around.registered && !self.queue.is_empty() {
            if let Err(wait) = self.questions.take(cx.now) {
                increment(&mut cx.statistics.tx_rate_limited);
                let timer = Timer { vn: around.me.vn, what: Due::Questions };
                cx.timers.set(&mut self.queue_alarm, cx.now + wait, timer);
                return;
            }
            if let Some(mac) = self.queue.pop_front() {
                let id = cx.ids.take(cx.out);
                cx.out.tell(around.me.vn, Event::Asked { mac });
                self.ask(cx, around, mac, id, 1);
            }
        }
    }

    fn ask(&mut self, cx: &mut Context<'_>, around: Surroundings<'_>, mac: Mac, id: u32, tries: u32) {
        let Some(entry) = self.entries.get_mut(&mac) else { return };
        let me = around.me;
        let flags = flag::ROUTER | flag::AUTHORITATIVE;
        let header = me.header(Kind::ResolutionRequest, flags, id, Some(ProtocolAddress::Mac(mac)));
        cx.send(me.path, me.tag, &header, |w| {
            w.extension(Extension::empty(kind::RESPONDER))
                .extension(Extension::empty(kind::FORWARD_TRANSIT))
                .extension(Extension::empty(kind::REVERSE_TRANSIT))
                .extension(Extension::capabilities(&[0, 0, 0, 1, 0, 0, 0, 0]));
        });
        increment(&mut cx.statistics.tx_resolve_req);
        entry.phase = Phase::Asking { id, tries };
        let retry = cx.now + cx.random.around(RETRY_FIRST * (1 << (tries - 1).min(6)));
        let next = entry.shortcut.map_or(retry, |s| retry.min(s.until));
        set(cx, around, &mut entry.alarm, next, mac);
    }

    fn resolved(&mut self, cx: &mut Context<'_>, around: Surroundings<'_>, mac: Mac, to: Vtep, holding: u16) {
        let Some(entry) = self.entries.get_mut(&mac) else { return };
        let time = Duration::from_secs(holding.into());
        cx.out.tell(around.me.vn, Event::Resolved { mac, at: to, holding });
        let installed = entry.shortcut.map(|s| s.to);
        entry.shortcut = Some(Shortcut { to, relay: false, until: cx.now + time, checked: cx.now });
        entry.phase = Phase::Holding;
        // Two thirds of the holding time, give or take, so that what was learned together is not renewed together.
        let look = cx.now + time * 11 / 15 - cx.random.around(time / 15);
        set(cx, around, &mut entry.alarm, look, mac);
        if installed != Some(to) {
            set_shortcut(cx, around, mac, to);
        }
    }

    /// The hub has no answer; `None`: it was silent.
    fn unknown(&mut self, cx: &mut Context<'_>, around: Surroundings<'_>, mac: Mac, reason: Option<Refusal>) {
        cx.out.tell(around.me.vn, Event::NotResolved { mac, reason });
        let silent = reason.is_none();
        let Some(entry) = self.entries.get_mut(&mac) else { return };
        // A silent hub is no reason to doubt what it said before.
        let keep = silent && entry.shortcut.is_some_and(|s| s.until > cx.now && !s.relay);
        if keep {
            entry.phase = Phase::Ending;
            let until = entry.shortcut.map_or(cx.now, |s| s.until);
            set(cx, around, &mut entry.alarm, until, mac);
            return;
        }
        self.retreat(cx, around, mac, Why::Denied);
        let Some(entry) = self.entries.get_mut(&mac) else { return };
        let time = around.settings.negative_time;
        match &mut entry.shortcut {
            // Trigger `l2miss`: the MAC stays pointed at the hub while it is used, and is asked for again.
            Some(relay) => {
                *relay = Shortcut { until: cx.now + time * 3 / 2, checked: cx.now, ..*relay };
                entry.phase = Phase::Holding;
            }
            None => entry.phase = Phase::Negative,
        }
        set(cx, around, &mut entry.alarm, cx.now + time, mac);
    }

    /// Sends the MAC's frames by the hub again.
    fn retreat(&mut self, cx: &mut Context<'_>, around: Surroundings<'_>, mac: Mac, why: Why) {
        let Some(entry) = self.entries.get_mut(&mac) else { return };
        match (around.settings.trigger, around.uplink) {
            (Trigger::L2miss, Some(_)) => self.relay(cx, around, mac),
            _ => {
                if entry.shortcut.take().is_some() {
                    drop_shortcut(cx, around, mac, why);
                }
            }
        }
    }

    /// Points the MAC at the hub by an entry of its own: with trigger `l2miss` there is no default entry.
    fn relay(&mut self, cx: &mut Context<'_>, around: Surroundings<'_>, mac: Mac) {
        let (Some(entry), Some(uplink)) = (self.entries.get_mut(&mac), around.uplink) else { return };
        if entry.shortcut.is_none_or(|s| s.to != uplink) {
            set_shortcut(cx, around, mac, uplink);
        }
        let until = cx.now + cx.holding_time;
        entry.shortcut = Some(Shortcut { to: uplink, relay: true, until, checked: cx.now });
    }
}

fn set(cx: &mut Context<'_>, around: Surroundings<'_>, alarm: &mut Alarm, at: Instant, mac: Mac) {
    cx.timers.set(alarm, at, Timer { vn: around.me.vn, what: Due::Mac(mac) });
}

fn set_shortcut(cx: &mut Context<'_>, around: Surroundings<'_>, mac: Mac, to: Vtep) {
    cx.plane.set_shortcut(cx.out, mac, Some(to));
    cx.out.tell(around.me.vn, Event::ShortcutUp { mac, to });
    increment(&mut cx.statistics.shortcuts_up);
}

fn drop_shortcut(cx: &mut Context<'_>, around: Surroundings<'_>, mac: Mac, why: Why) {
    cx.plane.set_shortcut(cx.out, mac, None);
    cx.out.tell(around.me.vn, Event::ShortcutDown { mac, why });
    increment(&mut cx.statistics.shortcuts_down);
}

/// The answer with the highest preference that this spoke can use: where, and for how many seconds.
fn best(message: &Message<'_>, me: &Identity, mac: Mac) -> Option<(Vtep, u16)> {
    message
        .cies()
        .filter(|c| c.code == code::OK && c.holding > 0)
        .filter(|c| c.address.is_none_or(|a| a == ProtocolAddress::Mac(mac)))
        .filter_map(|c| Some((c.preference, Vtep { nbma: c.nbma?, vni: c.vni? }, c.holding)))
        .filter(|(_, to, _)| to.nbma.same_family(me.path.local) && to.nbma != me.path.local)
        // The first of the highest, as the replier sorted them.
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, to, holding)| (to, holding))
}

/// Whether a MAC shares the first `bits` bits with `mac`; `bits` is 1 to 47.
fn prefix_range(mac: Mac, bits: u8) -> impl Fn(Mac) -> bool {
    let number = |m: Mac| m.octets().iter().fold(0u64, |n, o| n << 8 | u64::from(*o));
    move |other| (number(mac) ^ number(other)) >> (48 - bits) == 0
}
