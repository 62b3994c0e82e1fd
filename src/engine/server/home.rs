//! Where a MAC is at home: who comes back there has it again from whoever took it meanwhile.
//!
//! A MAC is no secret. Who is asked for it and does not answer loses it, since a router may be elsewhere now without
//! knowing where it was. But only one that receives where the MAC was, or knows its session's tag, takes the home along.

use crate::time::Instant;
use crate::types::{Mac, Nbma};
use core::time::Duration;
use std::collections::BTreeMap;

/// Who has a MAC for so long without a break is at home there.
const SETTLED: Duration = Duration::from_secs(24 * 3600);

/// After so long without its MAC a place is no home.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// For who has somebody else's MAC at another hub it is longer than it is let in.
const MOMENT: Duration = Duration::from_secs(60);

/// Where somebody is, and the spoke whose own key it signs by.
pub type Place<'a> = (Nbma, Option<&'a str>);

#[derive(Debug)]
struct Home {
    place: Nbma,
    /// Whose it is; of whoever is there, where none has a key of its own or the hub does not know it yet.
    spoke: Option<Box<str>>,
    /// When it had the MAC first, and last.
    since: Instant,
    last: Instant,
    /// Who has it elsewhere, and since when.
    guest: Option<(Nbma, Option<Box<str>>, Instant)>,
}

impl Home {
    fn is_of(&self, (place, spoke): Place<'_>) -> bool {
        self.place == place && (self.spoke.is_none() || self.spoke.as_deref() == spoke)
    }
}

/// The homes of MACs.
#[derive(Debug, Default)]
pub struct Homes(BTreeMap<Mac, Home>);

impl Homes {
    /// A router in a session has the MAC at this place. There is room for `most`: of more, those go that were there for the
    /// shortest time, so that nobody drives others out by coming.
    pub fn has(&mut self, now: Instant, mac: Mac, at: Place<'_>, most: usize) {
        let (place, spoke) = (at.0, at.1.map(Box::from));
        let Some(home) = self.0.get_mut(&mac) else {
            if self.0.len() >= most {
                self.0.retain(|_, home| now.since(home.last) < KEPT);
            }
            if self.0.len() >= most {
                let shortest = self.0.iter().min_by_key(|(_, home)| home.last.since(home.since));
                let shortest = shortest.map(|(mac, _)| *mac);
                shortest.and_then(|mac| self.0.remove(&mac));
            }
            self.0.insert(mac, Home { place, spoke, since: now, last: now, guest: None });
            return;
        };
        if home.is_of(at) {
            (home.last, home.guest, home.spoke) = (now, None, spoke);
            return;
        }
        let since = match &home.guest {
            Some((guest, its, since)) if (*guest, its) == (place, &spoke) => *since,
            _ => now,
        };
        if now.since(since) >= SETTLED || now.since(home.last) >= KEPT {
            *home = Home { place, spoke, since, last: now, guest: None };
        } else {
            home.guest = Some((place, spoke, since));
        }
    }

    /// The router that is at home with this MAC is elsewhere now.
    pub fn moves(&mut self, now: Instant, mac: Mac, from: Place<'_>, to: Nbma) {
        if let Some(home) = self.0.get_mut(&mac).filter(|home| home.is_of(from)) {
            (home.place, home.last, home.guest) = (to, now, None);
        }
    }

    /// Somebody else has the MAC, at another hub: who has it here since a moment ago, and was nowhere before, has not come home.
    pub fn is_elsewhere(&mut self, mac: Mac, at: Place<'_>) {
        let is_new = |home: &Home| home.is_of(at) && home.last.since(home.since) < MOMENT;
        if self.0.get(&mac).is_some_and(is_new) {
            self.0.remove(&mac);
        }
    }

    /// Where the MAC is at home, or was last.
    pub fn of(&self, mac: Mac) -> Option<Nbma> {
        self.0.get(&mac).map(|home| home.place)
    }

    /// Whether the MAC is at home at this place.
    pub fn is_at(&self, now: Instant, mac: Mac, place: Place<'_>) -> bool {
        self.0.get(&mac).is_some_and(|home| home.is_of(place) && now.since(home.last) < KEPT)
    }

    /// Whether the home of the MAC is of one spoke, which has a key of its own.
    pub fn is_owned(&self, mac: Mac) -> bool {
        self.0.get(&mac).is_some_and(|home| home.spoke.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(n: u16) -> Mac {
        let [a, b] = n.to_be_bytes();
        Mac::new([2, 0, 0, 0, a, b]).unwrap()
    }

    fn nbma(n: u8) -> Place<'static> {
        (format!("10.0.0.{n}").parse().unwrap(), None)
    }

    const fn at(hours: u64) -> Instant {
        Instant::from_millis(hours * 3_600_000)
    }

    #[test]
    fn a_home_is_kept_until_somebody_else_is_settled() {
        let mut homes = Homes::default();
        homes.has(at(0), mac(1), nbma(2), 9);
        homes.has(at(1), mac(1), nbma(3), 9);
        homes.has(at(24), mac(1), nbma(3), 9);
        assert!(homes.is_at(at(24), mac(1), nbma(2)) && !homes.is_at(at(24), mac(1), nbma(3)));
        homes.has(at(25), mac(1), nbma(3), 9);
        assert!(homes.is_at(at(25), mac(1), nbma(3)));
        // Who comes back begins anew.
        homes.has(at(26), mac(1), nbma(2), 9);
        homes.has(at(27), mac(1), nbma(3), 9);
        homes.has(at(60), mac(1), nbma(2), 9);
        assert!(homes.is_at(at(60), mac(1), nbma(3)));
        assert!(!homes.is_at(at(27 + 7 * 24), mac(1), nbma(3)), "too long ago");
    }

    #[test]
    fn who_was_let_in_for_a_moment_has_no_home() {
        let mut homes = Homes::default();
        homes.has(at(0), mac(1), nbma(2), 9);
        homes.is_elsewhere(mac(1), nbma(3));
        assert!(homes.is_at(at(0), mac(1), nbma(2)));
        homes.is_elsewhere(mac(1), nbma(2));
        assert!(!homes.is_at(at(0), mac(1), nbma(2)));
        homes.has(at(1), mac(1), nbma(2), 9);
        homes.has(at(2), mac(1), nbma(2), 9);
        homes.is_elsewhere(mac(1), nbma(2));
        assert!(homes.is_at(at(2), mac(1), nbma(2)), "it was there for long");
    }

    #[test]
    fn who_is_the_same_router_takes_it_along() {
        let mut homes = Homes::default();
        homes.has(at(0), mac(1), nbma(2), 9);
        homes.moves(at(1), mac(1), nbma(3), nbma(4).0);
        assert!(homes.is_at(at(1), mac(1), nbma(2)), "a guest's is no home");
        homes.moves(at(1), mac(1), nbma(2), nbma(4).0);
        assert!(homes.is_at(at(1), mac(1), nbma(4)));
    }

    #[test]
    fn a_home_is_of_the_spoke_whose_key_it_was() {
        let mut homes = Homes::default();
        let by = |n, spoke| (nbma(n).0, Some(spoke));
        homes.has(at(0), mac(1), nbma(2), 9);
        assert!(homes.is_at(at(0), mac(1), by(2, "b")) && !homes.is_owned(mac(1)), "nobody said whose it is");
        homes.has(at(1), mac(1), by(2, "a"), 9);
        homes.has(at(2), mac(1), by(2, "b"), 9);
        homes.moves(at(2), mac(1), by(2, "b"), nbma(3).0);
        assert!(homes.is_at(at(2), mac(1), by(2, "a")) && homes.is_owned(mac(1)));
        assert!(!homes.is_at(at(2), mac(1), by(2, "b")) && !homes.is_at(at(2), mac(1), nbma(2)));
        homes.has(at(26), mac(1), by(2, "b"), 9);
        assert!(homes.is_at(at(26), mac(1), by(2, "b")));
    }

    #[test]
    fn who_comes_drives_nobody_out() {
        let mut homes = Homes::default();
        for hour in 0..3 {
            homes.has(at(hour), mac(1), nbma(2), 9);
        }
        (10..500).for_each(|n| homes.has(at(3), mac(n), nbma(9), 9));
        assert!(homes.0.len() == 9 && homes.is_at(at(3), mac(1), nbma(2)));
    }
}
