//! What follows from what was lost on a path, and what was not.

use super::{
    ANSWERS_BACK, FIRST_REST, HOLD_DOWN, HUB_DOUBT, HUB_ROW_TIME, LONGEST_REST, Line, Peer, Phase, ROW,
    SECOND_REST, TRIES, TRIES_BACK, Verdict,
};
use crate::engine::contract::report::{PathState, Trouble};
use crate::time::Instant;
use core::time::Duration;

impl Peer {
    /// What follows from what was lost, and what was not.
    pub fn judge(&mut self, now: Instant, line: Line) -> Option<Verdict> {
        match self.phase {
            Phase::Resting => None,
            Phase::Testing { sent } => self.judge_test(now, line, sent),
            Phase::Steady if self.is_hub => self.judge_hub(now),
            Phase::Steady => {
                let lost = self.first_lost.filter(|_| self.row >= ROW)?;
                // Otherwise it may be the own line.
                line.answered.filter(|answered| *answered >= lost)?;
                Some(self.go_down(now, HOLD_DOWN))
            }
        }
    }

    fn judge_test(&mut self, now: Instant, line: Line, sent: u8) -> Option<Verdict> {
        let is_back = self.is_back();
        let (tries, needed) = (self.tries(), if is_back { ANSWERS_BACK } else { 1 });
        // Small ones count once it is known that the own line takes no large ones.
        let is_heard = !is_back && line.is_large != Some(true) && self.heard.is_some();
        let is_flying = self.flights.iter().any(|flight| !flight.is_late);
        if !self.is_verified {
            if sent >= tries {
                self.phase = Phase::Steady;
            }
            return None;
        }
        if self.is_hub {
            // What it takes is to be known, too.
            if sent >= tries || self.is_large.is_some() {
                self.phase = Phase::Steady;
            }
            return self.judge_hub(now);
        }
        if self.good >= needed || is_heard {
            (self.rest, self.held) = (FIRST_REST, None);
            self.phase = Phase::Steady;
            self.row = 0;
            self.turn(now, PathState::Up);
            return Some(Verdict::Up);
        }
        if sent < tries || is_flying {
            return None;
        }
        let rest = self.rest;
        let is_first = self.state == PathState::Untested;
        self.rest = (self.rest * 2).clamp(SECOND_REST, LONGEST_REST);
        let verdict = self.go_down(now, rest);
        is_first.then_some(verdict)
    }

    /// Whether a test is to bring back what was up before.
    pub(super) fn is_back(&self) -> bool {
        self.held.is_some() && matches!(self.state, PathState::Down(_)) && !self.is_hub
    }

    pub(super) fn tries(&self) -> u8 {
        if self.is_back() { TRIES_BACK } else { TRIES }
    }

    fn judge_hub(&mut self, now: Instant) -> Option<Verdict> {
        let lasts = self.first_lost.is_some_and(|lost| now.since(lost) >= HUB_ROW_TIME);
        if self.row >= ROW && lasts && !matches!(self.state, PathState::Down(_)) {
            let trouble = self.trouble();
            self.turn(now, PathState::Down(trouble));
            return Some(Verdict::Down(trouble));
        }
        if self.row >= HUB_DOUBT && !self.is_told {
            self.is_told = true;
            return Some(Verdict::Doubtful);
        }
        None
    }

    fn go_down(&mut self, now: Instant, rest: Duration) -> Verdict {
        let trouble = self.trouble();
        self.phase = Phase::Resting;
        self.flights.clear();
        (self.is_doubtful, self.largest) = (false, None);
        self.next = now + rest;
        if self.state == PathState::Up {
            self.held = Some(now + rest);
        }
        if matches!(self.state, PathState::Down(_)) {
            self.state = PathState::Down(trouble);
        } else {
            self.turn(now, PathState::Down(trouble));
        }
        Verdict::Down(trouble)
    }

    pub(super) fn turn(&mut self, now: Instant, state: PathState) {
        (self.state, self.since) = (state, now);
    }

    fn trouble(&self) -> Trouble {
        let lost = self.first_lost.unwrap_or_default();
        let is_since = |at: Option<Instant>| at.is_some_and(|at| at > lost);
        if is_since(self.heard) && !self.is_hub {
            Trouble::Large
        } else if is_since(self.strayed) {
            Trouble::Strayed
        } else if is_since(self.refused) {
            Trouble::Refused
        } else {
            Trouble::Silent
        }
    }
}
