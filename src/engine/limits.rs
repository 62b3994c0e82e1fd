//! Limits: token buckets, and the sizes of what would otherwise grow with what peers send.

use crate::time::Instant;
use core::time::Duration;

/// Packets of senders that are not registered, all together (RFC 2332 section 5.3.4.4 asks that a flood of them
/// does not starve the NHS).
pub const STRANGERS: Rate = Rate { per_second: 500, burst: 1000 };

/// Registrations of those who are not registered, all together: whatever else strangers send keeps nobody out.
pub const NEWCOMERS: Rate = Rate { per_second: 2000, burst: 4000 };

/// What an underlay address has of those limits before others have more, what its network has (of 24 or 64 bits), and the
/// network of that (16 or 48).
pub const SHARES: [Rate; 3] = [
    Rate { per_second: 4, burst: 16 },
    Rate { per_second: 16, burst: 64 },
    Rate { per_second: 1000, burst: 2000 },
];

/// Sessions that begin, all together.
pub const BEGINNINGS: Rate = Rate { per_second: 2000, burst: 4000 };

/// Sessions that begin at one underlay address in a VN: each makes work, in the kernel, too.
pub const BEGINNINGS_OF_ONE: Rate = Rate { per_second: 1, burst: 8 };

/// Sessions that begin in a network of IPv6 of 64 bits, in which one may have all addresses, and many may have one each.
pub const BEGINNINGS_OF_A_LINE: Rate = Rate { per_second: 16, burst: 1000 };

/// Error Indications to those that are in no session.
pub const COMPLAINTS: Rate = Rate { per_second: 10, burst: 20 };

/// Places where a session ended lately that are remembered.
pub const ENDED: usize = 4096;

/// Refusals of strangers that are told in a minute, in a VN.
pub const REFUSALS: u32 = 10;

/// Packets of one registered client.
pub const CLIENT: Rate = Rate { per_second: 200, burst: 500 };

/// Packets of a hub of ours in one VN: answers to all [`QUESTIONS`], and as many Purges as it may have.
pub const HUB: Rate = Rate { per_second: 1000, burst: 2000 };

/// Resolution Requests of a spoke in one VN; questions above wait.
pub const QUESTIONS: Rate = Rate { per_second: 100, burst: 200 };

/// Announcements of new local MACs by a spoke in one VN; those above wait for the next round.
pub const ANNOUNCEMENTS: Rate = Rate { per_second: 200, burst: 500 };

/// Announcements of all local MACs by a spoke in one VN, to a hub that it has just gone to, and from time to time.
pub const ROUND: Rate = Rate { per_second: 2000, burst: 500 };

/// Traffic Indications of a hub in one VN; what they would be about goes by the hub.
pub const INDICATIONS: Rate = Rate { per_second: 50, burst: 100 };

/// MACs that a hub tells other hubs of, new ones, which wait for a round above it, and as many in rounds.
pub const DIRECTORY: Rate = Rate { per_second: 1000, burst: 1000 };

/// Claims of sessions that other hubs have not confirmed; further ones wait, and the port of who is not told passes nothing.
pub const HANDOVERS: usize = 4096;

/// MACs that a hub asks other hubs about at a time, and spokes that wait for them, all together: each other hub has an equal
/// share of both. Further ones ask again.
pub const CROSS_QUESTIONS: usize = 1024;
pub const CROSS_ASKERS: usize = 4096;

/// New questions of a hub to other hubs: half of what one of them takes of it ([`HUB`]), since claims come there, too.
pub const ASKED: Rate = Rate { per_second: 500, burst: 1000 };

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

/// MACs whose home is remembered, beside as many as there may be spokes.
pub const OTHER_HOMES: usize = 1024;

/// Purges that wait for one client's confirmation.
pub const PURGES_PER_CLIENT: usize = 512;

/// CIEs in one Purge Request; so many fit a packet of either address family.
pub const CIES_PER_PURGE: usize = 32;

/// Probes that a node sends, all together.
pub const PROBES: Rate = Rate { per_second: 100, burst: 100 };

/// Probes of one path, or of one client of a hub's, that are answered.
pub const ANSWERS: Rate = Rate { per_second: 20, burst: 40 };

/// Of those who probe this node and of whom it does not know who they are the hub is asked about so many.
pub const UNKNOWN_ASKERS: Rate = Rate { per_second: 10, burst: 50 };

/// Paths to other sites that a spoke knows in a VN; what is at further ones goes by the hub.
pub const PATHS: usize = 4096;

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

/// What of a [`Rate`] was used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Level {
    /// Thousandths of a token.
    used: u32,
    at: Instant,
}

impl Level {
    /// Whether nothing was taken lately.
    pub fn is_full(&self, now: Instant, rate: Rate) -> bool {
        self.used_at(now, rate) == 0
    }

    fn used_at(&self, now: Instant, rate: Rate) -> u32 {
        let elapsed = u32::try_from(now.since(self.at).as_millis()).unwrap_or(u32::MAX);
        self.used.saturating_sub(elapsed.saturating_mul(rate.per_second.into()))
    }

    /// Takes a token, if so many are left then, or tells how long it takes until they are.
    pub fn take(&mut self, now: Instant, rate: Rate, left: u16) -> Result<(), Duration> {
        let most = u32::from(rate.burst.saturating_sub(left)) * 1000;
        self.used = self.used_at(now, rate);
        self.at = self.at.max(now);
        if self.used + 1000 <= most {
            self.used += 1000;
            return Ok(());
        }
        let wait = (self.used + 1000 - most).div_ceil(rate.per_second.into());
        Err(Duration::from_millis(wait.max(1).into()))
    }
}

/// Counts down what [`Rate`] allows.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    rate: Rate,
    level: Level,
}

impl TokenBucket {
    /// A full bucket.
    pub fn new(rate: Rate) -> TokenBucket {
        TokenBucket { rate, level: Level::default() }
    }

    /// Takes a token, or tells how long it takes until there is one.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        self.level.take(now, self.rate, 0)
    }

    /// Takes a token if the bucket is more than half full, or tells how long it takes until it is.
    pub fn take_spare(&mut self, now: Instant) -> Result<(), Duration> {
        self.level.take(now, self.rate, self.rate.burst / 2)
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

    #[test]
    fn what_is_spare_leaves_half() {
        let mut bucket = TokenBucket::new(Rate { per_second: 10, burst: 6 });
        let now = Instant::from_millis(5_000);
        assert_eq!((0..10).filter(|_| bucket.take_spare(now).is_ok()).count(), 3);
        assert_eq!((0..10).filter(|_| bucket.take(now).is_ok()).count(), 3);
        let later = now + Duration::from_millis(300);
        assert!(bucket.take_spare(later).is_err() && bucket.take(later).is_ok());
    }
}
