//! Limits: token buckets, and the sizes of what would otherwise grow with what peers send.

use crate::time::Instant;
use core::time::Duration;

/// Packets of senders that are not registered, all together (RFC 2332 section 5.3.4.4 asks that a flood of them
/// does not starve the NHS).
pub const STRANGERS: Rate = Rate { per_second: 500, burst: 1000 };

/// Cookies that are looked at.
pub const COOKIES: Rate = Rate { per_second: 2000, burst: 4000 };

/// Sessions that begin at one underlay address in a VN.
pub const BEGINNINGS: Rate = Rate { per_second: 1, burst: 8 };

/// Error Indications to those that are in no session.
pub const COMPLAINTS: Rate = Rate { per_second: 10, burst: 20 };

/// Places where a session ended lately, and addresses where one began, that are remembered.
pub const ENDED: usize = 4096;

/// Registrations of those who are not registered, all together: whatever else strangers send keeps nobody out.
pub const NEWCOMERS: Rate = Rate { per_second: 2000, burst: 4000 };

/// Packets of one registered client.
pub const CLIENT: Rate = Rate { per_second: 200, burst: 500 };

/// Packets of a hub of ours in one VN: answers to all [`QUESTIONS`], and as many Purges as it may have.
pub const HUB: Rate = Rate { per_second: 1000, burst: 2000 };

/// Resolution Requests of a spoke in one VN; questions above wait.
pub const QUESTIONS: Rate = Rate { per_second: 100, burst: 200 };

/// Announcements of new local MACs by a spoke in one VN; those above wait for the next round.
pub const ANNOUNCEMENTS: Rate = Rate { per_second: 200, burst: 500 };

/// Traffic Indications of a hub in one VN; what they would be about goes by the hub.
pub const INDICATIONS: Rate = Rate { per_second: 50, burst: 100 };

/// Addresses one client may register in a VN.
pub const ADDRESSES_PER_CLIENT: usize = 8;

/// Clients without a VNI, which register IP addresses only, in a VN: nobody can tell who they are, so who came first stays,
/// and they take no places of others.
pub const IP_CLIENTS: u32 = 256;

/// The kernel is told again where an IP address is when it is registered again, so long after the last time at the earliest.
pub const NEIGHBOURS_APART: Duration = Duration::from_secs(1);

/// CIEs of one Registration Request that are looked at; further ones get NAK 5.
pub const CIES_PER_REQUEST: usize = 32;

/// Spokes remembered by name as askers for one MAC; above, every spoke counts as an asker.
pub const ASKERS: usize = 12;

/// Registrations that wait until it is known whether the holder of an address is still there; and those that wait for one
/// holder. Further ones are dropped, and come again.
pub const CLAIMS: usize = 256;
pub const CLAIMS_TO_ONE: usize = 4;

/// Purges that wait for one client's confirmation.
pub const PURGES_PER_CLIENT: usize = 512;

/// CIEs in one Purge Request; so many fit a packet of either address family.
pub const CIES_PER_PURGE: usize = 32;

/// Deadlines seen to in one call; further ones are due at once.
pub const DEADLINES: usize = 64;

/// How often something may happen.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// In the long run, 1 to 2000.
    pub per_second: u16,
    /// At once.
    pub burst: u16,
}

/// Counts down what [`Rate`] allows.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    rate: Rate,
    /// Thousandths of a token.
    level: u32,
    filled: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub fn new(rate: Rate) -> TokenBucket {
        TokenBucket { rate, level: u32::from(rate.burst) * 1000, filled: Instant::default() }
    }

    /// Whether nothing was taken lately.
    pub fn is_full(&self, now: Instant) -> bool {
        self.level_at(now) == u32::from(self.rate.burst) * 1000
    }

    fn level_at(&self, now: Instant) -> u32 {
        let elapsed = u32::try_from(now.since(self.filled).as_millis()).unwrap_or(u32::MAX);
        let gained = elapsed.saturating_mul(self.rate.per_second.into());
        self.level.saturating_add(gained).min(u32::from(self.rate.burst) * 1000)
    }

    /// Takes a token, or tells how long it takes until there is one.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        self.level = self.level_at(now);
        self.filled = self.filled.max(now);
        match self.level.checked_sub(1000) {
            Some(level) => {
                self.level = level;
                Ok(())
            }
            None => {
                let wait = (1000 - self.level).div_ceil(self.rate.per_second.into());
                Err(Duration::from_millis(wait.max(1).into()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = TokenBucket::new(Rate { per_second: 10, burst: 3 });
        let mut now = Instant::from_millis(5_000);
        assert_eq!((0..10).filter(|_| bucket.take(now).is_ok()).count(), 3);
        let wait = bucket.take(now).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        now = now + Duration::from_millis(70);
        assert_eq!(bucket.take(now), Err(Duration::from_millis(30)));
        now = now + Duration::from_millis(30);
        assert!(bucket.take(now).is_ok() && bucket.take(now).is_err());
    }
}
