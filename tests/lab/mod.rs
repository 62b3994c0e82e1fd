//! A laboratory of network namespaces: real daemons, the real kernel, frames counted on the wire.
//!
//! [`nodes`] builds routers, hosts and the underlay between them; [`capture`], [`peek`] and [`fdb`] see what
//! happens there; [`traffic`] makes it happen; [`scenes`] are the points that are proven, [`soak`] is a long run of all that happens. Nothing here but [`herd`],
//! which registers, uses the project's own code, so that a mistake there cannot hide itself here. Needed: root, and
//! iproute2.
#![allow(dead_code, unused_imports, reason = "the example, the tests and the benchmarks each use a part")]
#![allow(clippy::disallowed_methods, reason = "this is not the engine: here time is the wall's")]

pub mod by_hand;
pub mod capture;
pub mod clean;
pub mod fdb;
pub mod forger;
pub mod herd;
pub mod netns;
pub mod nodes;
pub mod peek;
pub mod report;
pub mod scenes;
pub mod soak;
pub mod sys;
pub mod traffic;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What may fail for a reason that a person has to read.
pub type Res<T = ()> = Result<T, String>;

/// A time: since the epoch of the real-time clock, which the kernel's stamps on frames use too.
pub type Stamp = Duration;

/// A MAC address as it is in a frame.
pub type MacBytes = [u8; 6];

/// The time.
pub fn now() -> Stamp {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// One network at a time, so that what is measured is not the machine's load; `None` without root.
pub fn my_turn() -> Option<MutexGuard<'static, ()>> {
    static TURN: Mutex<()> = Mutex::new(());
    if sys::is_root() {
        return Some(TURN.lock().unwrap_or_else(PoisonError::into_inner));
    }
    println!("skipped: network namespaces need root");
    None
}

/// How many times longer than usual anything may take: set `DMEVPN_LAB_PATIENCE` on a slow machine.
pub fn patience() -> u32 {
    std::env::var("DMEVPN_LAB_PATIENCE").ok().and_then(|n| n.parse().ok()).unwrap_or(1)
}

/// Asks again and again until there is an answer, or until the limit.
pub fn wait_for<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = now() + limit * patience();
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if now() > end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Waits until it holds, or until the limit; says whether it did.
pub fn wait_until(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    wait_for(limit, || holds().then_some(())).is_some()
}

/// A lab's MAC: 52:54:00:00:xx:yy.
pub const fn mac(n: u16) -> MacBytes {
    let [high, low] = n.to_be_bytes();
    [0x52, 0x54, 0, 0, high, low]
}

/// The usual way to write it.
pub fn text_of_mac(mac: MacBytes) -> String {
    mac.map(|octet| format!("{octet:02x}")).join(":")
}

/// Whole milliseconds, for a person.
pub fn ms(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}
