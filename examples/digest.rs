//! What one signature costs on this processor: `cargo run --release --example digest`, and for routers
//! `cross/build.sh --example digest mips-unknown-linux-musl` and QEMU. A registration in a session has 130 octets.

#![allow(clippy::disallowed_methods, reason = "it looks at the watch")]

use hmac::{Hmac, KeyInit, Mac};
use std::hint::black_box;
use std::time::Instant;

const OCTETS: usize = 130;
const ROUNDS: u32 = 20_000;

/// Nanoseconds for one digest by a hash that has its key already, as the daemon's.
fn measure<M: Mac + KeyInit + Clone>() -> u128 {
    let hash = <M as KeyInit>::new_from_slice(b"0123456789abcdef").expect("keys of all lengths are good");
    let packet = [7_u8; OCTETS];
    let start = Instant::now();
    for _ in 0..ROUNDS {
        let mut hash = hash.clone();
        hash.update(black_box(&packet[..]));
        black_box(hash.finalize());
    }
    start.elapsed().as_nanos() / u128::from(ROUNDS)
}

fn main() {
    println!("HMAC-SHA-256 of {OCTETS} octets {:>8} ns", measure::<Hmac<sha2::Sha256>>());
    println!("HMAC-MD5 of {OCTETS} octets     {:>8} ns", measure::<Hmac<md5::Md5>>());
}
