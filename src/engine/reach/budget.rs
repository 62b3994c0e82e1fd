//! How many probes a node sends: the intervals of all its paths grow evenly beyond that.

use super::super::limits::{PROBES, TokenBucket};
use crate::time::Instant;
use core::time::Duration;

/// What a path takes of the budget, in thousandths of a probe in a second.
#[derive(Debug, Default)]
pub struct Share(u64);

/// The budget of a node.
#[derive(Debug)]
pub struct Budget {
    /// What all paths would take, in thousandths of a probe in a second.
    load: u64,
    bucket: TokenBucket,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { load: 0, bucket: TokenBucket::new(PROBES) }
    }
}

impl Budget {
    /// So long a path that wants to probe every `interval` is to wait.
    pub fn wait(&mut self, share: &mut Share, interval: Duration) -> Duration {
        self.release(share);
        share.0 = 1_000_000 / (interval.as_millis() as u64).max(1);
        self.load += share.0;
        interval * self.percent() / 100
    }

    /// A path probes no more, for now.
    pub fn release(&mut self, share: &mut Share) {
        self.load = self.load.saturating_sub(core::mem::take(&mut share.0));
    }

    /// How long intervals are, in percent of what they should be: 100, or more.
    pub fn percent(&self) -> u32 {
        u32::try_from(self.load / (u64::from(PROBES.per_second) * 10)).unwrap_or(u32::MAX).max(100)
    }

    /// Takes one probe of it, or says when there is one.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        self.bucket.take(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_wait_longer_where_many_probe() {
        let mut budget = Budget::default();
        let mut shares: Vec<Share> = (0..1000).map(|_| Share::default()).collect();
        let half = Duration::from_millis(500);
        let waits: Vec<Duration> = shares.iter_mut().map(|share| budget.wait(share, half)).collect();
        assert_eq!((waits[0], waits[49], waits[999]), (half, half, half * 20));
        assert_eq!(budget.wait(&mut shares[0], half), half * 20);
        assert_eq!(budget.percent(), 2000);
        shares.iter_mut().for_each(|share| budget.release(share));
        assert_eq!((budget.load, budget.percent()), (0, 100));
    }
}
