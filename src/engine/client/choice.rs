//! Which of its hubs a client is registered at. It is at one at a time; the others stand by, and are only asked whether they
//! are there. It goes to another one before it leaves the present one: that is left once the other one has accepted it.

use super::super::context::{ClientDue, Context, Due};
use super::super::contract::reason::WhyHub;
use super::super::contract::report::HubRow;
use super::super::contract::settings::{HubKey, Hubs};
use super::super::timers::Alarm;
use super::registration::Registration;
use crate::map::map_of;
use crate::time::Instant;
use crate::wire::probe::flag;
use core::time::Duration;
use litemap::LiteMap;

/// Spokes that lose a hub together go to the next one within this.
const SPREAD: Duration = Duration::from_millis(500);
/// When all were silent, the line was: the present hub may answer so long after the others.
const SLOWER: Duration = Duration::from_millis(1200);
/// A hub that was started anew, and has just accepted this client, has so long to let its frames pass.
const GRACE: Duration = Duration::from_secs(1);
/// A hub that is gone to is to accept within this; then another one is tried, if one answers.
const PATIENCE: Duration = Duration::from_millis(2500);
/// An answer is good for so long: one is asked for every ten seconds.
const FRESH: Duration = Duration::from_secs(25);
/// A hub that did not take this client is not tried sooner.
const AGAIN: Duration = Duration::from_secs(10);
/// A hub that this client prefers has to answer for so long, and for up to so much more, before it returns there.
const STEADY: Duration = Duration::from_secs(120);
const RETURN_SPREAD: Duration = Duration::from_secs(60);
/// It returns once in so long at most, and not to who refused it or sent it away within that time.
const RETURNS_APART: Duration = Duration::from_secs(600);
/// A hub was well for so long: what was wrong with it before does not count any more.
const WELL: Duration = Duration::from_secs(60);
/// A hub that answers NHRP, and whose path was down, is gone to again after this, then after twice as long each time, as long as none is
/// well.
const DOWN_FIRST: Duration = Duration::from_secs(20);
const DOWN_MOST: Duration = Duration::from_secs(300);
/// So often the time between returns is doubled, while each of them goes wrong within a minute.
const DOUBLED: u32 = 5;
/// Requests to the present hub without an answer, while it is not registered there, and it goes elsewhere.
const UNANSWERED: u32 = 2;

/// What is known of a hub, beside its registration.
#[derive(Debug, Default)]
struct Life {
    /// When it answered last, since when without a gap, and first since the present hub became doubtful.
    heard: Option<Instant>,
    since: Option<Instant>,
    first: Option<Instant>,
    /// When it refused this client last, did not answer a registration, and sent this client away.
    refused: Option<Instant>,
    failed: Option<Instant>,
    drained: Option<Instant>,
    /// How often in a row it did not answer a registration.
    failures: u32,
    /// Whether it answered NHRP when it was left since its path was down, and was not well since.
    is_down: bool,
    /// When it was left by need: its path was down while it answered NHRP, or soon after the spoke had come.
    fell: Option<Instant>,
    /// Whether it was told that it does not answer.
    is_silent: bool,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is to be registered at this hub, too, as soon as that accepts it.
    Try(HubKey),
    /// Nothing is to be registered at this hub after all.
    GiveUp(HubKey),
    /// This hub is the present one from now on; nothing is left behind.
    Take(HubKey, WhyHub),
}

/// A hub that is gone to.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    hub: HubKey,
    why: WhyHub,
    since: Instant,
}

/// The registrations, one for each hub.
type Registrations = LiteMap<HubKey, Registration>;

/// The choice of a client in a VN.
#[derive(Debug)]
pub struct Choice {
    order: Hubs,
    preempt: bool,
    lives: LiteMap<HubKey, Life>,
    active: HubKey,
    why: WhyHub,
    since: Instant,
    candidate: Option<Candidate>,
    /// When to go elsewhere, and why.
    pending: Option<(WhyHub, Instant)>,
    /// Since when the path to the present hub may be down, and is; when the hub first accepted this client since then.
    doubted: Option<Instant>,
    accepted: Option<Instant>,
    down: Option<Instant>,
    /// What the present hub's answers to probes say, what of that it said to a registration, and when it was asked for that.
    flags: u8,
    confirmed: u8,
    asked: Option<Instant>,
    returned: Option<Instant>,
    /// How many returns in a row went wrong at once.
    vain: u32,
    /// How many hubs in a row were left since their paths were down, though they answered.
    downs: u32,
    /// So much longer a hub has to answer before it is returned to.
    patience: Duration,
    alarm: Alarm,
}

impl Choice {
    pub fn new(now: Instant, order: Hubs, preempt: bool) -> Choice {
        Choice {
            order,
            preempt,
            lives: map_of(order.iter().map(|hub| (hub, Life::default()))),
            active: order.first(),
            why: WhyHub::Preferred,
            since: now,
            candidate: None,
            pending: None,
            doubted: None,
            accepted: None,
            down: None,
            flags: 0,
            confirmed: 0,
            asked: None,
            returned: None,
            vain: 0,
            downs: 0,
            patience: Duration::ZERO,
            alarm: Alarm::default(),
        }
    }

    /// The hub that it is at, or tries to be.
    pub fn active(&self) -> HubKey {
        self.active
    }

    /// The hub that it is about to go to.
    pub fn candidate(&self) -> Option<HubKey> {
        self.candidate.map(|candidate| candidate.hub)
    }

    pub fn is_several(&self) -> bool {
        self.order.are_several()
    }

    pub fn set_preempt(&mut self, preempt: bool) {
        self.preempt = preempt;
    }

    /// Why it is at the present hub, and for how many seconds.
    pub fn reason(&self, now: Instant) -> (WhyHub, u64) {
        (self.why, now.since(self.since).as_secs())
    }

    /// All hubs, in order of preference, if there are several.
    pub fn rows(&self, now: Instant, registrations: &Registrations) -> Vec<HubRow> {
        let preferred: Vec<HubKey> = self.order.iter().take_while(|hub| *hub != self.active).collect();
        let next = self.rests_until().filter(|_| self.vain > 0 && self.preempt);
        let next = next.filter(|at| *at > now).map(|at| at.since(now).as_secs());
        let row = |hub| {
            let (life, registration) = (self.lives.get(&hub)?, registrations.get(&hub)?);
            Some(HubRow {
                hub,
                nbma: registration.path().map(|path| path.remote),
                is_active: hub == self.active,
                answered: life.heard.map(|heard| now.since(heard).as_secs()),
                answers: life.since.is_some() && (hub != self.active || self.down.is_none()),
                is_draining: self.is_recent(now, life.drained),
                next_return: next.filter(|_| preferred.contains(&hub)),
            })
        };
        self.order.iter().filter(|_| self.is_several()).filter_map(row).collect()
    }

    /// A hub answered, be it a packet or a probe. Whether it had been silent.
    pub fn heard(&mut self, now: Instant, hub: HubKey) -> bool {
        let Some(life) = self.lives.get_mut(&hub) else { return false };
        life.heard = Some(now);
        life.since = life.since.or(life.heard);
        life.first = life.first.or(life.heard);
        core::mem::take(&mut life.is_silent)
    }

    /// A hub that stands by was asked once more: whether it is silent, and that is news.
    pub fn asked(&mut self, registration: &Registration) -> bool {
        let Some(life) = self.lives.get_mut(&registration.hub()) else { return false };
        if !registration.is_standby() || !registration.is_silent() {
            return false;
        }
        life.since = None;
        !core::mem::replace(&mut life.is_silent, true)
    }

    /// The present hub accepted this client.
    pub fn accepted(&mut self, now: Instant) {
        if self.doubted.is_some() {
            self.accepted = self.accepted.or(Some(now));
        }
    }

    /// What the present hub's answer to a probe said. Whether it is to be registered with, so that it says that, too: answers
    /// to probes are not signed.
    pub fn told(&mut self, now: Instant, flags: u8) -> bool {
        self.flags = flags;
        self.confirmed &= flags;
        if self.down.is_none() && now.since(self.since) >= WELL {
            self.downs = 0;
            if let Some(life) = self.lives.get_mut(&self.active) {
                life.is_down = false;
            }
        }
        let is_new = flags & (flag::DRAINING | flag::LOST_PEER) & !self.confirmed != 0;
        let asks = is_new && self.asked.is_none_or(|asked| now.since(asked) >= AGAIN);
        if asks {
            self.asked = Some(now);
        }
        if let Some(life) = self.lives.get_mut(&self.active).filter(|_| self.confirmed & flag::DRAINING != 0)
        {
            life.drained = Some(now);
        }
        asks
    }

    /// Why the present hub sends this client elsewhere, as its answer to a registration says.
    pub fn sent(&mut self, flags: u8) {
        self.confirmed = flags;
    }

    /// The path to the present hub has not answered for a moment.
    pub fn doubt(&mut self, now: Instant) {
        self.doubted = self.doubted.or(Some(now));
        self.lives.iter_mut().for_each(|(_, life)| life.first = None);
    }

    /// It is down.
    pub fn lost(&mut self, now: Instant) {
        self.doubted = self.doubted.or(Some(now));
        self.down = Some(now);
    }

    /// It is up, or another one that is not known yet.
    pub fn is_well(&mut self) {
        (self.doubted, self.accepted, self.down) = (None, None, None);
    }

    /// It is at this hub now. The one that it was at.
    pub fn take(&mut self, cx: &mut Context<'_>, hub: HubKey, why: WhyHub) -> HubKey {
        let was_well = cx.now.since(self.since) >= WELL;
        if why == WhyHub::Preferred {
            self.returned = Some(cx.now);
        } else if self.why == WhyHub::Preferred && self.returned.is_some() {
            self.vain = if was_well { 0 } else { self.vain + 1 };
        }
        let before = core::mem::replace(&mut self.active, hub);
        if let Some(life) = self.lives.get_mut(&before) {
            life.since = None;
            match why {
                WhyHub::Refused => life.refused = Some(cx.now),
                WhyHub::Drained => life.drained = Some(cx.now),
                _ => {}
            }
            life.is_down = why == WhyHub::PathDown && life.first.is_some();
            if life.is_down || (why.is_forced() && !was_well) {
                life.fell = Some(cx.now);
            }
            self.downs = if life.is_down { self.downs + 1 } else { 0 };
        }
        if let Some(life) = self.lives.get_mut(&hub) {
            life.failures = 0;
        }
        (self.why, self.since) = (why, cx.now);
        (self.candidate, self.pending) = (None, None);
        (self.flags, self.confirmed, self.asked) = (0, 0, None);
        self.patience = cx.random.up_to(RETURN_SPREAD);
        self.is_well();
        before
    }

    /// The hub that it went to has accepted it: why it went there.
    pub fn arrived(&self, hub: HubKey) -> Option<WhyHub> {
        self.candidate.filter(|candidate| candidate.hub == hub).map(|candidate| candidate.why)
    }

    /// Nothing is chosen any more: the client ends, or has no device.
    pub fn end(&mut self, cx: &mut Context<'_>) {
        (self.candidate, self.pending) = (None, None);
        cx.timers.clear(&mut self.alarm);
    }

    /// What is to be done now, one thing after the other. The alarm is set for what is to be done later.
    pub fn step(&mut self, cx: &mut Context<'_>, registrations: &Registrations) -> Option<Step> {
        let active =
            registrations.get(&self.active).filter(|_| self.is_several() && cx.sites.mac.is_some())?;
        let now = cx.now;
        if let Some(candidate) = self.candidate {
            return self.watch(cx, candidate, active, registrations);
        }
        let Some(why) = self.cause(active) else {
            return self.go_back(cx, registrations);
        };
        let Some((hub, from)) = self.best(now, why, active, registrations) else {
            self.pending = None;
            self.wake(cx, now + AGAIN);
            return None;
        };
        let at = match self.pending {
            // The present one may have accepted this client meanwhile.
            Some((before, at)) if before == why => at.max(from),
            _ => from.max(now) + cx.random.up_to(SPREAD),
        };
        self.pending = Some((why, at));
        if at > now {
            self.wake(cx, at);
            return None;
        }
        self.go_to(cx, hub, why, active)
    }

    fn go_to(
        &mut self,
        cx: &mut Context<'_>,
        hub: HubKey,
        why: WhyHub,
        active: &Registration,
    ) -> Option<Step> {
        self.pending = None;
        if active.path().is_none() {
            return Some(Step::Take(hub, why));
        }
        self.candidate = Some(Candidate { hub, why, since: cx.now });
        self.wake(cx, cx.now + PATIENCE);
        Some(Step::Try(hub))
    }

    /// Whether the hub that it goes to takes too long, or is not needed any more.
    fn watch(
        &mut self,
        cx: &mut Context<'_>,
        candidate: Candidate,
        active: &Registration,
        registrations: &Registrations,
    ) -> Option<Step> {
        let Candidate { hub, why, since } = candidate;
        let is_needed = match self.cause(active) {
            // Others may be able to do better.
            Some(cause) => why.is_forced() || !cause.is_forced(),
            None => why == WhyHub::Preferred,
        };
        let there = registrations.get(&hub)?;
        let is_late = cx.now.since(since) >= PATIENCE;
        let life = self.lives.get_mut(&hub)?;
        if there.is_refused() {
            life.refused = Some(cx.now);
        } else if is_late || there.path().is_none() {
            let is_in_a_row = life.failed.is_some_and(|at| cx.now.since(at) < 2 * AGAIN * (1 << DOUBLED));
            life.failures = if is_in_a_row { life.failures.saturating_add(1) } else { 1 };
            life.failed = Some(cx.now);
        } else if is_needed {
            self.wake(cx, since + PATIENCE);
            return None;
        }
        self.candidate = None;
        // The hub may only be slow where there is no other.
        if is_late
            && why.is_forced()
            && !there.is_refused()
            && self.best(cx.now, why, active, registrations).is_none()
        {
            self.candidate = Some(Candidate { since: cx.now, ..candidate });
            self.wake(cx, cx.now + PATIENCE);
            return None;
        }
        Some(Step::GiveUp(hub))
    }

    /// Why it has to leave the present hub, if it has to.
    fn cause(&self, active: &Registration) -> Option<WhyHub> {
        if active.path().is_none() {
            return Some(WhyHub::NoWay);
        }
        if active.is_refused() {
            return Some(WhyHub::Refused);
        }
        if !active.is_held() {
            return (active.unanswered() >= UNANSWERED).then_some(WhyHub::Silent);
        }
        if self.down.is_some() {
            return Some(WhyHub::PathDown);
        }
        match self.flags & self.confirmed {
            flags if flags & flag::DRAINING != 0 => Some(WhyHub::Drained),
            flags if flags & flag::LOST_PEER != 0 => Some(WhyHub::Cut),
            _ => None,
        }
    }

    /// The hub to go to, and when at the earliest.
    fn best(
        &self,
        now: Instant,
        why: WhyHub,
        active: &Registration,
        registrations: &Registrations,
    ) -> Option<(HubKey, Instant)> {
        let hubs = self.order.iter().filter(|hub| *hub != self.active);
        let able = hubs.filter_map(|hub| {
            let registration = registrations.get(&hub)?;
            self.from(now, why, hub, registration).map(|from| (hub, from))
        });
        if why != WhyHub::Cut {
            // One that was down before has to wait, and one that would send this client on.
            return able.min_by_key(|(hub, from)| {
                let life = self.lives.get(hub);
                let is_drained = life.is_some_and(|life| self.is_recent(now, life.drained));
                (life.is_some_and(|life| life.is_down), is_drained, *from > now)
            });
        }
        let address = |registration: &Registration| registration.path().map(|path| path.remote);
        let lowest = able.min_by_key(|(hub, _)| registrations.get(hub).and_then(address))?;
        let is_lower = registrations.get(&lowest.0).and_then(address) < address(active);
        is_lower.then_some(lowest)
    }

    /// When this hub can be gone to at the earliest, if it can.
    fn from(&self, now: Instant, why: WhyHub, hub: HubKey, registration: &Registration) -> Option<Instant> {
        let life = self.lives.get(&hub)?;
        let heard = life.heard.filter(|heard| now.since(*heard) < FRESH)?;
        if registration.path().is_none() || registration.is_refused() {
            return None;
        }
        let within = if why == WhyHub::Preferred { RETURNS_APART } else { AGAIN };
        let is_within = |at: Option<Instant>| at.is_some_and(|at| now.since(at) < within);
        // The present hub is well: frames may not get to one that was left for that, whatever it answers.
        let is_sent = matches!(why, WhyHub::Drained | WhyHub::Cut);
        // While it is tried the present hub has given this client up.
        let doubled = if is_sent { life.failures.saturating_sub(1).min(DOUBLED) } else { 0 };
        if is_within(life.refused)
            || life.failed.is_some_and(|at| now.since(at) < within * (1 << doubled))
            || (!why.is_forced() && self.is_recent(now, life.drained))
            || (is_sent && life.fell.is_some_and(|at| now.since(at) < DOWN_MOST))
        {
            return None;
        }
        if why == WhyHub::Cut {
            // One that was just started is linked to the others in a moment, or it stays.
            return Some(life.since? + AGAIN);
        }
        let (Some(down), WhyHub::PathDown) = (self.down, why) else { return Some(heard) };
        let first = life.first?;
        let settled = self.accepted.map_or(down, |accepted| accepted + GRACE);
        let pause = (DOWN_FIRST * (1 << self.downs.saturating_sub(1).min(6))).min(DOWN_MOST);
        let rested = if life.is_down { self.since + pause } else { down };
        Some(settled.max(rested).max(if first <= down { down } else { first + SLOWER }))
    }

    /// Goes back to a hub that it prefers, once that is there for long enough.
    fn go_back(&mut self, cx: &mut Context<'_>, registrations: &Registrations) -> Option<Step> {
        self.pending = None;
        let now = cx.now;
        let active = registrations.get(&self.active).filter(|_| self.preempt)?;
        let rested = self.rests_until().unwrap_or(now);
        let preferred = self.order.iter().take_while(|hub| *hub != self.active);
        let ways = preferred.filter_map(|hub| {
            self.from(now, WhyHub::Preferred, hub, registrations.get(&hub)?)?;
            let since = self.lives.get(&hub)?.since?;
            // It came here by need: whether that is over the present hub is yet to say.
            Some((hub, rested.max(since.max(self.since) + STEADY + self.patience)))
        });
        let ways: heapless::Vec<(HubKey, Instant), { super::super::contract::settings::HUBS }> =
            ways.collect();
        let next = ways.iter().map(|(_, at)| *at).min()?;
        match ways.iter().find(|(_, at)| *at <= now) {
            Some((hub, _)) => self.go_to(cx, *hub, WhyHub::Preferred, active),
            None => {
                self.wake(cx, next);
                None
            }
        }
    }

    /// It does not return to any hub before.
    fn rests_until(&self) -> Option<Instant> {
        let apart = RETURNS_APART * (1 << self.vain.min(DOUBLED));
        self.returned.map(|returned| returned + apart)
    }

    fn is_recent(&self, now: Instant, at: Option<Instant>) -> bool {
        at.is_some_and(|at| now.since(at) < RETURNS_APART)
    }

    fn wake(&mut self, cx: &mut Context<'_>, at: Instant) {
        cx.arm(&mut self.alarm, at, Due::Client(ClientDue::Choice));
    }
}
