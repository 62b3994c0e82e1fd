//! The clocks: the only ones of the program.
#![allow(clippy::disallowed_methods)]

use crate::time::Instant;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The engine's time, from the start of the program on: the kernel's CLOCK_BOOTTIME. It goes on while the machine sleeps,
/// as the time of all others does, to whom something was promised for so long; and no change of the date moves it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Duration,
}

impl Clock {
    /// Starts at 0.
    pub fn start() -> Clock {
        Clock { start: since_boot() }
    }

    /// Now. The engine's deadlines are whole milliseconds, and so is this: who waited for one finds it due.
    pub fn now(&self) -> Instant {
        Instant::from_millis(since_boot().saturating_sub(self.start).as_millis() as u64)
    }

    /// When that is, as the kernel has it: since the machine was booted.
    pub fn kernel_time(&self, at: Instant) -> Duration {
        self.start.saturating_add(Duration::from_millis(at.as_millis()))
    }
}

fn since_boot() -> Duration {
    // SAFETY: a time may be all zeros, and lives while the kernel writes it. The clock is there since Linux 2.6.39.
    #[allow(unsafe_code)]
    let time = unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time);
        time
    };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Milliseconds since 1970 (UTC), for people.
pub fn wall() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}
