//! One path: what was sent on it, what came back, and what follows.

mod judge;

use super::budget::Share;
use crate::engine::contract::probe::Arrived;
use crate::engine::contract::report::{PathRow, PathState, Trouble};
use crate::engine::limits::{ANSWERS, TokenBucket};
use crate::engine::timers::Alarm;
use crate::time::Instant;
use crate::types::Vtep;
use core::time::Duration;

/// A test before frames go there: so many probes, this far apart.
const TRIES: u8 = 5;
/// A test of a path that was down, and how many answers in a row it takes.
const TRIES_BACK: u8 = 8;
const ANSWERS_BACK: u8 = 3;
const APART: Duration = Duration::from_millis(100);
/// So many probes in a row without an answer, and a path is down.
const ROW: u32 = 12;
/// The same of the hub's, and it is at least so long.
const HUB_ROW_TIME: Duration = Duration::from_secs(3);
/// A hub that does not answer so many probes may have been started anew.
const HUB_DOUBT: u32 = 4;
/// The hub's path had so many lost in a row: what was lost elsewhere was lost on the own line.
const OWN_LINE: u32 = 3;
/// So many large probes of the hub's path, while small ones are answered, and it takes no large frames.
const LARGE_ROW: u32 = 3;

/// How often a path is probed that the kernel sends frames to, and else.
const USED: Duration = Duration::from_millis(500);
const IDLE: Duration = Duration::from_secs(60);
/// The hub's, and after one was lost.
const HUB_USED: Duration = Duration::from_secs(1);
const HUB_IDLE: Duration = Duration::from_secs(5);
const HUB_LOST: Duration = Duration::from_millis(250);

/// When an answer is late: three round trips, within these.
const SOONEST: Duration = Duration::from_millis(150);
const LATEST: Duration = Duration::from_secs(1);

/// What comes later, from before a machine slept or kept back on the way, is no answer: it says nothing of now.
const OVER: Duration = Duration::from_secs(10);

/// A path that was up is not tested sooner.
const HOLD_DOWN: Duration = Duration::from_secs(5);
/// A path that is down is tested after so long: the other end may have to ask who this is. Each further time after twice
/// as long.
const FIRST_REST: Duration = Duration::from_secs(2);
const SECOND_REST: Duration = Duration::from_secs(10);
const LONGEST_REST: Duration = Duration::from_secs(300);

/// A path that is down is tested, since the other end asks, once in so long.
const MEETINGS: Duration = Duration::from_secs(2);

/// So often the kernel may learn what fits the path.
const MEASURED: Duration = Duration::from_secs(300);
/// Probes that may be answered yet.
const FLYING: usize = 16;

/// A probe that was not answered yet.
#[derive(Clone, Copy, Debug)]
struct Flight {
    nonce: u64,
    at: Instant,
    is_full: bool,
    is_late: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Tested, with so many probes until now.
    Testing { sent: u8 },
    /// Frames go there: is it alive?
    Steady,
    /// It is down, and tested later.
    Resting,
}

/// What a probe is to be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    Small,
    Full,
    /// As large, and not to be cut.
    Uncut,
}

/// What a path turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Up,
    Down(Trouble),
    /// The hub has not answered for a moment.
    Doubtful,
}

/// What the hub's path tells of the own line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Line {
    /// When the newest probe that the hub answered was sent.
    pub answered: Option<Instant>,
    /// Whether it carries large frames, if that is known.
    pub is_large: Option<bool>,
}

/// A path to another site.
#[derive(Debug)]
pub struct Peer {
    pub is_hub: bool,
    /// Whether it is the path to one of several hubs.
    pub is_chosen: bool,
    /// Whether its state decides anything.
    pub is_verified: bool,
    state: PathState,
    since: Instant,
    phase: Phase,
    /// When the next probe is due.
    next: Instant,
    last_sent: Option<Instant>,
    flights: heapless::Deque<Flight, FLYING>,
    /// How many probes were sent: they take turns.
    turns: u32,
    /// Probes that decide, lost in a row; when the first of them was sent; answered in a row.
    row: u32,
    first_lost: Option<Instant>,
    /// When the newest of all that were lost was sent.
    last_lost: Option<Instant>,
    good: u8,
    /// Something was lost since the last answer that decides.
    is_doubtful: bool,
    is_told: bool,
    /// When the newest probe that was answered was sent, and when an answer came last.
    answered: Option<Instant>,
    heard: Option<Instant>,
    /// When ICMP last said that there is no way.
    refused: Option<Instant>,
    /// When an answer last came from where no frames are taken from.
    strayed: Option<Instant>,
    /// Large ones lost in a row, and when the first of them was sent.
    large_row: u32,
    large_lost: Option<Instant>,
    is_large: Option<bool>,
    /// The largest frame that got there, in octets behind its Ethernet header.
    largest: Option<u16>,
    /// Eight times the smoothed round trip, in milliseconds.
    srtt: Option<u32>,
    /// Lost of a thousand, smoothed.
    loss: u32,
    rest: Duration,
    /// Until when it is not tested, since it was up.
    held: Option<Instant>,
    measured: Option<Instant>,
    /// When a test began last.
    begun: Option<Instant>,
    pub flow: u16,
    /// Until when the kernel counts as using it.
    used_until: Instant,
    /// When the other end last asked, or something was behind it.
    pub wanted: Instant,
    pub answers: TokenBucket,
    pub share: Share,
    pub alarm: Alarm,
}

impl Peer {
    pub fn new(now: Instant, is_hub: bool, is_verified: bool) -> Peer {
        Peer {
            is_hub,
            is_chosen: false,
            is_verified,
            state: PathState::Untested,
            since: now,
            phase: Phase::Testing { sent: 0 },
            next: now,
            last_sent: None,
            flights: heapless::Deque::new(),
            turns: 0,
            row: 0,
            first_lost: None,
            last_lost: None,
            good: 0,
            is_doubtful: false,
            is_told: false,
            answered: None,
            heard: None,
            refused: None,
            strayed: None,
            large_row: 0,
            large_lost: None,
            is_large: None,
            largest: None,
            srtt: None,
            loss: 0,
            rest: FIRST_REST,
            held: None,
            measured: None,
            begun: None,
            flow: 0,
            used_until: now + SECOND_REST,
            wanted: now,
            answers: TokenBucket::new(ANSWERS),
            share: Share::default(),
            alarm: Alarm::default(),
        }
    }

    /// Frames went there before this run of the daemon: so they do until it turns out that they do not arrive.
    pub fn adopt(&mut self) {
        if self.state == PathState::Untested {
            (self.state, self.phase) = (PathState::Up, Phase::Steady);
        }
    }

    pub fn state(&self) -> PathState {
        if self.is_verified { self.state } else { PathState::Unverified }
    }

    /// Whether frames may go there.
    pub fn leads(&self) -> bool {
        !self.is_verified || self.is_hub || self.state == PathState::Up
    }

    pub fn line(&self) -> Line {
        Line { answered: self.answered, is_large: self.is_large }
    }

    /// For `dmevpn paths`: the path to this VTEP, where so many MACs are.
    pub fn row(&self, now: Instant, peer: Vtep, shortcuts: u32) -> PathRow {
        PathRow {
            peer,
            is_hub: self.is_hub,
            state: self.state(),
            since: now.since(self.since).as_secs(),
            round_trip: self.srtt.map(|srtt| srtt / 8),
            loss: self.loss as u16,
            largest: self.largest,
            shortcuts,
        }
    }

    /// When the first and the last of those in a row were sent that were lost.
    pub fn lost_between(&self) -> Option<(Instant, Instant)> {
        self.first_lost.zip(self.last_lost)
    }

    /// Tests it anew, unless it is up, or a test is under way or may not be yet. Whether one begins.
    pub fn test(&mut self, now: Instant) -> bool {
        let begins = self.phase == Phase::Resting && self.held.is_none_or(|until| until <= now);
        if begins {
            self.begin(now);
        }
        begins
    }

    /// The other end asks: it may be up again. Small probes say nothing of a hole for large ones.
    pub fn meet(&mut self, now: Instant) {
        let is_hole = self.state == PathState::Down(Trouble::Large);
        if !is_hole && self.begun.is_none_or(|begun| now.since(begun) >= MEETINGS) {
            self.test(now);
        }
    }

    /// Tests it as if for the first time: until it is answered nothing goes there.
    pub fn anew(&mut self, now: Instant) {
        (self.state, self.since) = (PathState::Untested, now);
        self.begin(now);
    }

    fn begin(&mut self, now: Instant) {
        self.begun = Some(now);
        self.phase = Phase::Testing { sent: 0 };
        self.flights.clear();
        (self.row, self.good, self.first_lost, self.is_doubtful) = (0, 0, None, false);
        self.flow = self.flow.wrapping_add(1);
        self.next = now;
    }

    /// The kernel used it so long ago.
    pub fn used(&mut self, now: Instant, idle: Duration, apart: Duration) {
        if idle > apart {
            return;
        }
        let was = self.is_used(now);
        self.used_until = now + apart + apart / 5;
        if !was && self.phase == Phase::Steady {
            self.next = self.next.min(now + self.interval(now));
        }
    }

    fn is_used(&self, now: Instant) -> bool {
        self.used_until > now
    }

    /// It is to be probed now, be it in turn or not.
    pub fn hurry(&mut self, now: Instant) {
        if self.is_hub {
            // A large one.
            self.turns = 0;
        }
        if self.last_sent.is_none_or(|last| now.since(last) >= APART) {
            self.next = self.next.min(now);
        }
    }

    /// What was lost was lost on the own line.
    pub fn forgive(&mut self, now: Instant) {
        if self.phase == Phase::Steady {
            self.flights.clear();
            (self.row, self.first_lost) = (0, None);
            self.hurry(now);
        }
    }

    /// When the next probe is due.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// When something is to be done.
    pub fn due(&self) -> Instant {
        let late = self.late_after();
        let lates = self.flights.iter().filter(|flight| !flight.is_late).map(|flight| flight.at + late);
        lates.chain([self.next]).min().unwrap_or(self.next)
    }

    fn late_after(&self) -> Duration {
        // How long it takes is not known before it is tested.
        if matches!(self.phase, Phase::Testing { .. }) {
            return LATEST;
        }
        let round_trip = self.srtt.map_or(SOONEST, |srtt| Duration::from_millis(u64::from(srtt) * 3 / 8));
        round_trip.clamp(SOONEST, LATEST)
    }

    /// Whether a probe of this size decides. Where the own line carries no large frames, or that is not known yet, small
    /// ones do.
    fn decides(&self, is_full: bool, line: Line) -> bool {
        self.is_hub || is_full == (line.is_large == Some(true))
    }

    /// Those that were not answered in time. Whether it is the first one in a row.
    pub fn lose(&mut self, now: Instant, line: Line) -> bool {
        let late = self.late_after();
        let before = self.is_doubtful;
        let mut lost = heapless::Vec::<Flight, FLYING>::new();
        for flight in self.flights.iter_mut().filter(|flight| !flight.is_late && flight.at + late <= now) {
            flight.is_late = true;
            let _ = lost.push(*flight);
        }
        lost.iter().for_each(|flight| self.lost(now, flight, line));
        !before && self.is_doubtful
    }

    /// ICMP says that a probe did not get there: it is lost at once. Whether it was one of these.
    pub fn refuse(&mut self, now: Instant, nonce: u64, line: Line) -> bool {
        let Some(flight) = self.flights.iter_mut().find(|flight| flight.nonce == nonce && !flight.is_late)
        else {
            return false;
        };
        flight.is_late = true;
        let flight = *flight;
        self.refused = Some(now);
        self.lost(now, &flight, line);
        self.next = self.next.min(now + APART);
        true
    }

    fn lost(&mut self, now: Instant, flight: &Flight, line: Line) {
        self.count_loss(true);
        self.last_lost = self.last_lost.max(Some(flight.at));
        if self.decides(flight.is_full, line) {
            self.row += 1;
            self.good = 0;
            self.first_lost = self.first_lost.or(Some(flight.at));
        }
        if flight.is_full {
            self.large_row += 1;
            let lost = *self.large_lost.get_or_insert(flight.at);
            if self.is_hub && self.large_row >= LARGE_ROW && self.heard.is_some_and(|heard| heard > lost) {
                (self.is_large, self.largest) = (Some(false), None);
            }
        }
        if !self.is_doubtful {
            self.is_doubtful = true;
            if self.phase == Phase::Steady {
                self.next = now;
            }
        }
    }

    fn count_loss(&mut self, is_lost: bool) {
        let outcome = if is_lost { 1000 } else { 0 };
        self.loss = (self.loss * 15 + outcome) / 16;
    }

    /// What is to be sent now, if anything is.
    pub fn sends(&mut self, now: Instant, line: Line) -> heapless::Vec<Size, 3> {
        let mut sizes = heapless::Vec::new();
        if self.next > now {
            return sizes;
        }
        let decider = if self.is_hub || line.is_large == Some(true) { Size::Full } else { Size::Small };
        let turn = self.turns;
        self.turns = turn.wrapping_add(1);
        let mut add = |size| sizes.push(size).unwrap_or_default();
        match self.phase {
            Phase::Resting => {
                self.begin(now);
                return self.sends(now, line);
            }
            Phase::Testing { sent } if sent >= self.tries() => {
                // The last ones may be answered yet.
                self.next = now + LATEST;
                return sizes;
            }
            Phase::Testing { sent } => {
                let is_small = if self.is_back() { sent == 1 } else { sent % 2 == 1 };
                add(if is_small { Size::Small } else { decider });
                self.phase = Phase::Testing { sent: sent + 1 };
            }
            Phase::Steady if self.is_hub => {
                if self.asks_large() || (turn % 10 == 0 && !self.is_doubtful) {
                    add(Size::Full);
                }
                if self.asks_large() || turn % 10 != 0 || self.is_doubtful {
                    add(Size::Small);
                }
            }
            Phase::Steady if self.is_doubtful => {
                add(decider);
                if turn % 3 == 0 && decider == Size::Full {
                    add(Size::Small);
                }
            }
            Phase::Steady if !self.is_used(now) => add(decider),
            Phase::Steady => add(if turn % 2 == 0 { decider } else { Size::Small }),
        }
        let is_measured = self.measured.is_some_and(|at| now.since(at) < MEASURED);
        if !is_measured && !self.is_doubtful {
            self.measured = Some(now);
            let _ = sizes.push(Size::Uncut);
        }
        sizes
    }

    /// Whether the hub's path is to tell now whether it takes large frames still.
    fn asks_large(&self) -> bool {
        self.is_hub && (1..LARGE_ROW).contains(&self.large_row)
    }

    /// How long to wait for the next one, if nothing happens before.
    pub fn interval(&self, now: Instant) -> Duration {
        match self.phase {
            Phase::Resting => self.rest,
            Phase::Testing { .. } => APART,
            Phase::Steady if !self.is_verified => IDLE,
            Phase::Steady if self.is_hub && self.is_doubtful && self.row < 2 * ROW => HUB_LOST,
            Phase::Steady if self.asks_large() => HUB_LOST,
            Phase::Steady if self.is_hub && self.is_used(now) && self.is_chosen => USED,
            Phase::Steady if self.is_hub && (self.is_used(now) || self.is_doubtful) => HUB_USED,
            Phase::Steady if self.is_hub => HUB_IDLE,
            Phase::Steady if self.is_doubtful && self.row <= ROW => APART,
            Phase::Steady if self.is_doubtful || self.is_used(now) => USED,
            Phase::Steady => IDLE,
        }
    }

    /// The next one is due after so long.
    pub fn wait(&mut self, now: Instant, wait: Duration) {
        self.next = now + wait;
    }

    /// A probe goes out.
    pub fn sent(&mut self, now: Instant, nonce: u64, size: Size) {
        self.last_sent = Some(now);
        if size == Size::Uncut || !self.is_verified {
            return;
        }
        if self.flights.is_full() {
            self.flights.pop_front();
        }
        let flight = Flight { nonce, at: now, is_full: size == Size::Full, is_late: false };
        let _ = self.flights.push_back(flight);
    }

    /// An answer came. `None`: it is not one to what was sent, or a stranger's, which proves nothing, as frames of whoever sent
    /// it are not taken. What follows is judged then.
    pub fn answered(&mut self, now: Instant, arrived: &Arrived, line: Line) -> Option<Answered> {
        let (nonce, size) = (arrived.probe.nonce, arrived.probe.payload());
        let place = self.flights.iter().position(|flight| flight.nonce == nonce)?;
        if arrived.is_stranger {
            self.strayed = Some(now);
            return None;
        }
        let flight = *self.flights.iter().nth(place)?;
        // What is late, and was sent before, is counted already.
        let rest: heapless::Vec<Flight, FLYING> =
            self.flights.iter().copied().filter(|other| other.nonce != nonce).collect();
        self.flights.clear();
        rest.into_iter().for_each(|flight| self.flights.push_back(flight).unwrap_or_default());
        let took = Some(now.since(flight.at)).filter(|took| *took <= OVER)?;
        let sample = took.as_millis() as u32;
        self.srtt = Some(self.srtt.map_or(sample * 8, |srtt| srtt - srtt / 8 + sample));
        if !flight.is_late {
            self.count_loss(false);
        }
        self.heard = Some(now);
        self.answered = self.answered.max(Some(flight.at));
        if flight.is_full {
            (self.large_row, self.large_lost, self.is_large) = (0, None, Some(true));
        }
        self.largest = self.largest.max(Some(size));
        let mut answered = Answered { is_up: false, was_own_line: self.is_hub && self.row >= OWN_LINE };
        if self.decides(flight.is_full, line) || flight.is_full {
            self.row = 0;
            (self.first_lost, self.is_doubtful, self.is_told) = (None, false, false);
            self.good = self.good.saturating_add(1);
        }
        if self.is_hub && self.state != PathState::Up {
            answered.is_up = true;
            self.turn(now, PathState::Up);
        }
        Some(answered)
    }
}

/// What an answer means beyond its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The hub answers, who did not.
    pub is_up: bool,
    /// What was lost on other paths meanwhile was lost on the own line.
    pub was_own_line: bool,
}
