//! Packets that make no sense here, by who sends them: each is told once, not each time.

use super::contract::report::{OddRow, Oddity};
use crate::time::Instant;
use crate::types::Nbma;
use core::time::Duration;

/// So many are remembered: of more, those that were heard last.
const MOST: usize = 16;
/// What was not heard for so long is over; heard again, it is told again.
const OVER: Duration = Duration::from_secs(3600);

#[derive(Debug)]
struct Entry {
    peer: Nbma,
    oddity: Oddity,
    count: u32,
    last: Instant,
}

/// What was heard lately.
#[derive(Debug, Default)]
pub struct Oddities(Vec<Entry>);

impl Oddities {
    /// Notes what is odd about a packet of `peer`. Whether that is new.
    pub fn note(&mut self, now: Instant, peer: Nbma, oddity: Oddity) -> bool {
        self.0.retain(|entry| now.since(entry.last) < OVER);
        if let Some(entry) = self.0.iter_mut().find(|entry| (entry.peer, entry.oddity) == (peer, oddity)) {
            entry.count = entry.count.saturating_add(1);
            entry.last = now;
            return false;
        }
        if self.0.len() >= MOST {
            let oldest = (0..self.0.len()).min_by_key(|at| self.0.get(*at).map(|entry| entry.last));
            self.0.remove(oldest.unwrap_or(0));
        }
        self.0.push(Entry { peer, oddity, count: 1, last: now });
        true
    }

    /// All that is not over.
    pub fn rows(&self, now: Instant) -> impl Iterator<Item = OddRow> {
        let lately = self.0.iter().filter(move |entry| now.since(entry.last) < OVER);
        lately.map(move |entry| OddRow {
            peer: entry.peer,
            oddity: entry.oddity,
            count: entry.count,
            ago: now.since(entry.last).as_secs(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_odd_is_new_once_an_hour() {
        let mut odd = Oddities::default();
        let peer = |n: usize| format!("10.0.0.{n}").parse().unwrap();
        let at = Instant::from_millis;
        assert!(odd.note(at(0), peer(1), Oddity::Malformed));
        assert!(odd.note(at(1), peer(1), Oddity::OldFormat), "another thing");
        assert!(odd.note(at(2), peer(2), Oddity::Malformed), "somebody else");
        assert!(!odd.note(at(3_000_000), peer(1), Oddity::Malformed));
        let rows: Vec<_> = odd.rows(at(3_600_001)).map(|row| (row.peer, row.count, row.ago)).collect();
        assert_eq!(rows, [(peer(1), 2, 600), (peer(2), 1, 3599)]);
        assert!(!odd.note(at(6_599_999), peer(1), Oddity::Malformed));
        assert!(odd.note(at(20_000_000), peer(1), Oddity::Malformed), "after an hour");
        for n in 0..100 {
            odd.note(at(20_000_001), peer(n + 10), Oddity::Malformed);
        }
        assert_eq!(odd.rows(at(20_000_001)).count(), MOST);
        assert!(!odd.note(at(20_000_001), peer(109), Oddity::Malformed));
    }
}
