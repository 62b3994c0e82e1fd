//! The clocks: the only ones of the program.
#![allow(clippy::disallowed_methods)]

use crate::time::Instant;
use std::time::{SystemTime, UNIX_EPOCH};

/// The engine's time: monotonic, from the start of the program on.
#[derive(Clone, Copy, Debug)]
pub struct Clock(std::time::Instant);

impl Clock {
    /// Starts at 0.
    pub fn start() -> Clock {
        Clock(std::time::Instant::now())
    }

    /// Now. The engine's deadlines are whole milliseconds, and so is this: who waited for one finds it due.
    pub fn now(&self) -> Instant {
        Instant::from_millis(self.0.elapsed().as_millis() as u64)
    }
}

/// Milliseconds since 1970 (UTC), for people.
pub fn wall() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}
