//! Jitter from a seed given from outside, so that a simulation can be repeated.

use core::time::Duration;

/// SplitMix64 (Steele, Lea, Flood 2014): enough for jitter, not for keys.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A sequence that depends on `seed` alone.
    pub const fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A time between three quarters and five quarters of `d`.
    pub fn around(&mut self, d: Duration) -> Duration {
        let quarter = (d.as_millis() as u64 / 4).max(1);
        d - d / 4 + Duration::from_millis(self.next() % (2 * quarter))
    }

    /// A number below `n`; 0 if there is none.
    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % (n.max(1) as u64)).unwrap_or(0)
    }

    /// A time up to `d`.
    pub fn up_to(&mut self, d: Duration) -> Duration {
        Duration::from_millis(self.next() % (d.as_millis() as u64 + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of the reference implementation.
    #[test]
    fn a_seed_has_its_sequence() {
        let mut random = Random::new(1_234_567);
        let first = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(first.map(|_| random.next()), first);
    }

    #[test]
    fn a_time_around_another_is_up_to_a_quarter_away() {
        let mut random = Random::new(1);
        let mut all: Vec<_> = (0..1000).map(|_| random.around(Duration::from_secs(1)).as_millis()).collect();
        all.sort_unstable();
        assert!((750..760).contains(&all[0]) && (1240..1250).contains(&all[999]), "{all:?}");
    }
}
