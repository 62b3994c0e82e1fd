//! How often something is written that others can make change: flash wears.

use crate::time::Instant;
use core::time::Duration;

/// The least time between two writes; and the most, as long as changes go on.
const LEAST: Duration = Duration::from_secs(60);
const MOST: Duration = Duration::from_secs(3600);

/// When a writer is to look next for what changed.
#[derive(Debug)]
pub struct Pace {
    due: Option<Instant>,
    looked: Option<Instant>,
    wrote: Option<Instant>,
    pause: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { due: None, looked: None, wrote: None, pause: LEAST }
    }
}

impl Pace {
    /// When it is to look, if there may be anything.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Something may have changed.
    pub fn stirred(&mut self, now: Instant) {
        let looked = self.looked.map(|at| at + LEAST);
        let wrote = self.wrote.map(|at| at + self.pause);
        let at = [looked, wrote].into_iter().flatten().fold(now, Instant::max);
        self.due.get_or_insert(at);
    }

    /// It looked, and wrote if there were changes. When the last ones were not long ago the next are not to be so soon.
    pub fn looked(&mut self, now: Instant, wrote: bool) {
        (self.due, self.looked) = (None, Some(now));
        if !wrote {
            return;
        }
        let go_on = self.wrote.is_some_and(|at| now.since(at) < 2 * self.pause);
        self.pause = if go_on { MOST.min(2 * self.pause) } else { LEAST };
        self.wrote = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often it writes in a day of what changes each ten seconds, in truth or not.
    fn writes(changes: bool) -> usize {
        let (mut pace, mut count) = (Pace::default(), 0);
        for second in (0..86_400).step_by(10) {
            let now = Instant::from_millis(second * 1000);
            pace.stirred(now);
            if pace.due().is_some_and(|at| at <= now) {
                pace.looked(now, changes || count == 0);
                count += usize::from(changes || count == 0);
            }
        }
        count
    }

    #[test]
    fn what_changes_all_the_time_is_written_once_an_hour() {
        assert!((24..=32).contains(&writes(true)), "{}", writes(true));
        assert_eq!(writes(false), 1);
    }

    #[test]
    fn what_changes_seldom_is_written_at_once() {
        let mut pace = Pace::default();
        for minutes in [10, 13, 16, 30] {
            let now = Instant::from_millis(minutes * 60_000);
            pace.stirred(now);
            assert_eq!(pace.due(), Some(now));
            pace.looked(now, true);
        }
        // Again within the minute: after it.
        pace.stirred(Instant::from_millis(30 * 60_000 + 1));
        assert_eq!(pace.due(), Some(Instant::from_millis(31 * 60_000)));
    }
}
