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

#[derive(Debug)]
struct Home {
    place: Nbma,
    /// When it had the MAC first, and last.
    since: Instant,
    last: Instant,
    /// Who has it elsewhere, and since when.
    guest: Option<(Nbma, Instant)>,
}

/// The homes of MACs.
#[derive(Debug, Default)]
pub struct Homes(BTreeMap<Mac, Home>);

impl Homes {
    /// A router in a session has the MAC at this place. There is room for `most`: of more, those go that were there for the
    /// shortest time, so that nobody drives others out by coming.
    pub fn has(&mut self, now: Instant, mac: Mac, place: Nbma, most: usize) {
        let Some(home) = self.0.get_mut(&mac) else {
            if self.0.len() >= most {
                self.0.retain(|_, home| now.since(home.last) < KEPT);
            }
            if self.0.len() >= most {
                let shortest = self.0.iter().min_by_key(|(_, home)| home.last.since(home.since));
                let shortest = shortest.map(|(mac, _)| *mac);
                shortest.and_then(|mac| self.0.remove(&mac));
            }
            self.0.insert(mac, Home { place, since: now, last: now, guest: None });
            return;
        };
        if home.place == place {
            (home.last, home.guest) = (now, None);
            return;
        }
        let since = match home.guest {
            Some((guest, since)) if guest == place => since,
            _ => now,
        };
        home.guest = Some((place, since));
        if now.since(since) >= SETTLED || now.since(home.last) >= KEPT {
            *home = Home { place, since, last: now, guest: None };
        }
    }

    /// The router that is at home with this MAC is elsewhere now.
    pub fn moves(&mut self, now: Instant, mac: Mac, from: Nbma, to: Nbma) {
        if let Some(home) = self.0.get_mut(&mac).filter(|home| home.place == from) {
            (home.place, home.last, home.guest) = (to, now, None);
        }
    }

    /// Where the MAC is at home, or was last.
    pub fn of(&self, mac: Mac) -> Option<Nbma> {
        self.0.get(&mac).map(|home| home.place)
    }

    /// Whether the MAC is at home at this place.
    pub fn is_at(&self, now: Instant, mac: Mac, place: Nbma) -> bool {
        self.0.get(&mac).is_some_and(|home| home.place == place && now.since(home.last) < KEPT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(n: u16) -> Mac {
        let [a, b] = n.to_be_bytes();
        Mac::new([2, 0, 0, 0, a, b]).unwrap()
    }

    fn nbma(n: u8) -> Nbma {
        format!("10.0.0.{n}").parse().unwrap()
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
    fn who_is_the_same_router_takes_it_along() {
        let mut homes = Homes::default();
        homes.has(at(0), mac(1), nbma(2), 9);
        homes.moves(at(1), mac(1), nbma(3), nbma(4));
        assert!(homes.is_at(at(1), mac(1), nbma(2)), "a guest's is no home");
        homes.moves(at(1), mac(1), nbma(2), nbma(4));
        assert!(homes.is_at(at(1), mac(1), nbma(4)));
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
