//! Who comes first when more comes than is looked at: those of whom little comes. A flood from one address, or from one
//! network, has what others leave.
//!
//! Tables have one size whatever comes. A source finds its place by a hash that nobody else can compute; where another one
//! is busy, nothing is known of it, and it passes.

use super::super::limits::{Level, Rate, SHARES, TokenBucket};
use super::super::secret::{Secret, network};
use crate::time::Instant;
use crate::types::Nbma;
use core::hash::{Hash, Hasher};
use std::hash::DefaultHasher;

/// What an address has, its network, and the network of that.
const LEVELS: usize = SHARES.len();

/// Those networks' lengths: of IPv6 a customer's, and a line's, within which addresses cost nothing.
const IPV4: [u8; LEVELS] = [96 + 32, 96 + 24, 96 + 16];
const IPV6: [u8; LEVELS] = [128, 64, 48];

/// Places in a table.
const PLACES: usize = 512;

/// A limit that all have together.
#[derive(Debug)]
pub struct Gate {
    together: TokenBucket,
    shares: [Table; LEVELS],
}

impl Gate {
    /// Half of what there may be at once is for those that are within their shares. `secret` is of this start.
    pub fn new(rate: Rate, secret: &Secret) -> Gate {
        Gate { together: TokenBucket::new(rate), shares: [(); LEVELS].map(|()| Table::new(secret)) }
    }

    /// Whether one more of `nbma` is within the limit.
    pub fn admits(&mut self, now: Instant, nbma: Nbma) -> bool {
        let mut levels = networks(nbma).into_iter().zip(&mut self.shares).zip(SHARES);
        // A network's share is not for what one of its addresses has too much of.
        let is_within = levels.all(|((network, table), rate)| table.take(now, network, rate));
        if is_within { self.together.take(now) } else { self.together.take_spare(now) }.is_ok()
    }
}

/// The address, and the networks around it.
fn networks(nbma: Nbma) -> [[u8; 16]; LEVELS] {
    let lengths = if nbma.ip().is_ipv4() { IPV4 } else { IPV6 };
    lengths.map(|bits| network(nbma, bits))
}

/// How much of something comes from whom.
#[derive(Debug)]
pub struct Table {
    keys: [u64; 2],
    /// Made when the first one comes.
    places: Vec<(u32, Level)>,
}

impl Table {
    pub fn new(secret: &Secret) -> Table {
        Table { keys: [b"left", b"more"].map(|key| secret.number(&[b"share", key])), places: Vec::new() }
    }

    /// Whether one more of `whom` is within `rate`, which is the same for all; also where it is not known.
    pub fn take(&mut self, now: Instant, whom: impl Hash, rate: Rate) -> bool {
        let mut hasher = DefaultHasher::new();
        (self.keys, whom).hash(&mut hasher);
        let hash = hasher.finish();
        if self.places.is_empty() {
            self.places = vec![(0, Level::default()); PLACES];
        }
        let Some((mark, level)) = self.places.get_mut((hash >> 32) as usize % PLACES) else { return true };
        if *mark != hash as u32 {
            if !level.is_full(now, rate) {
                return true;
            }
            *mark = hash as u32;
        }
        level.take(now, rate, 0).is_ok()
    }
}
