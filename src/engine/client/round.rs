//! By which key a client speaks to its hub: each of its keys has some tries at an address of the hub's, one after the other.
//! So keys are exchanged without a date: a router may not know the date.

use super::super::context::Context;
use super::super::exchange::{Backoff, KeyId, Keys, Request};
use core::time::Duration;

/// So many tries a key has; without one, the address.
pub const TRIES: u32 = 3;

/// The keys' turns at one address.
#[derive(Debug, Default)]
pub struct Round {
    key: Option<KeyId>,
    /// How many keys had their tries in vain since the hub answered.
    tried: u32,
}

impl Round {
    /// The key that has its turn.
    pub fn key(&self, keys: &Keys) -> Option<KeyId> {
        self.key.filter(|key| keys.contains(*key)).or(keys.first())
    }

    /// The key to speak by now, for one more try of a request.
    pub fn turn(&mut self, keys: &Keys, request: &mut Request) -> Option<KeyId> {
        let key = self.key(keys);
        let next = key.filter(|_| request.tries() >= TRIES).and_then(|key| keys.after(key));
        if next.is_some() {
            self.tried += 1;
            // Waits are short again.
            request.hurry();
        }
        self.key = next.or(key);
        self.key
    }

    /// Whether the address had its tries: all keys had theirs.
    pub fn is_over(&self, keys: &Keys, tries: u32) -> bool {
        if keys.len() > 1 { self.tried >= keys.len() } else { tries > TRIES }
    }

    /// The hub answered what was signed by this key: it goes on with it.
    pub fn answered(&mut self, key: Option<KeyId>) {
        *self = Round { key, tried: 0 };
    }

    /// How many requests the keys before this one sent in vain.
    pub fn unanswered(&self) -> u32 {
        self.tried * TRIES
    }

    /// The waits of a key's tries. A hub that is away is not asked as often as that for ever.
    pub fn backoff(&self, cx: &Context<'_>, first: Backoff) -> Backoff {
        let rounds = self.tried.checked_div(cx.keys.len()).unwrap_or(0);
        let wait: Duration = first.first * (1 << rounds.min(6));
        Backoff { first: wait.min(first.most), ..first }
    }
}
