//! Packets that make no sense here, by who sends them: each is told once, not each time. Strangers, of whom there may be any
//! number, take no places of those this node has to do with.

use super::contract::report::{OddRow, Oddity};
use super::secret::network;
use crate::time::Instant;
use crate::types::Nbma;
use core::time::Duration;

/// So many are remembered of those this node has to do with, and so many of strangers: of more, those that were heard last.
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
pub struct Oddities {
    known: Vec<Entry>,
    strangers: Vec<Entry>,
}

impl Oddities {
    /// Notes what is odd about a packet of `peer`, with whom this node has to do if it `is_known`. Whether that is new.
    pub fn note(&mut self, now: Instant, peer: Nbma, oddity: Oddity, is_known: bool) -> bool {
        let all = if is_known { &mut self.known } else { &mut self.strangers };
        all.retain(|entry| now.since(entry.last) < OVER);
        // Whoever is in a network of IPv6 may have all its addresses.
        let bits = if is_known || peer.ip().is_ipv4() { 128 } else { 64 };
        let is_it = |entry: &&mut Entry| {
            entry.oddity.is_like(oddity) && network(entry.peer, bits) == network(peer, bits)
        };
        if let Some(entry) = all.iter_mut().find(is_it) {
            entry.count = entry.count.saturating_add(1);
            (entry.last, entry.oddity) = (now, oddity);
            return false;
        }
        if all.len() >= MOST {
            let oldest = (0..all.len()).min_by_key(|at| all.get(*at).map(|entry| entry.last));
            all.remove(oldest.unwrap_or(0));
        }
        all.push(Entry { peer, oddity, count: 1, last: now });
        true
    }

    /// All that is not over, strangers last.
    pub fn rows(&self, now: Instant) -> impl Iterator<Item = OddRow> {
        let all = self.known.iter().chain(&self.strangers);
        let lately = all.filter(move |entry| now.since(entry.last) < OVER);
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
        assert!(odd.note(at(0), peer(1), Oddity::Malformed, false));
        assert!(odd.note(at(1), peer(1), Oddity::OldFormat, false), "another thing");
        assert!(odd.note(at(2), peer(2), Oddity::Malformed, false), "somebody else");
        assert!(!odd.note(at(3_000_000), peer(1), Oddity::Malformed, false));
        let rows: Vec<_> = odd.rows(at(3_600_001)).map(|row| (row.peer, row.count, row.ago)).collect();
        assert_eq!(rows, [(peer(1), 2, 600), (peer(2), 1, 3599)]);
        assert!(!odd.note(at(6_599_999), peer(1), Oddity::Malformed, false));
        assert!(odd.note(at(20_000_000), peer(1), Oddity::Malformed, false), "after an hour");
        for n in 0..100 {
            odd.note(at(20_000_001), peer(n + 10), Oddity::Malformed, false);
        }
        assert_eq!(odd.rows(at(20_000_001)).count(), MOST);
        assert!(odd.note(at(20_000_001), peer(1), Oddity::Malformed, true));
        for n in 0..100 {
            odd.note(at(20_000_002), peer(n + 10), Oddity::Malformed, false);
        }
        assert!(odd.rows(at(20_000_002)).next().is_some_and(|row| row.peer == peer(1)), "strangers are last");
        assert_eq!(odd.rows(at(20_000_002)).count(), MOST + 1);
        let lines = ["2001:db8:1::1", "2001:db8:1::2", "2001:db8:1:1::1"];
        let told = lines.map(|ip| odd.note(at(20_000_002), ip.parse().unwrap(), Oddity::Malformed, false));
        assert_eq!(told, [true, false, true]);
        assert!(!odd.note(at(20_000_001), peer(109), Oddity::Malformed, false));
    }
}
