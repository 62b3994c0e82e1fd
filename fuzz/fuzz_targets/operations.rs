//! Any octets, as a history of a small network: whatever happens, the model of `tests/operate` finds nothing wrong.

#![no_main]

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/operate/mod.rs"]
mod operate;
#[path = "../../tests/sim/mod.rs"]
mod sim;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| operate::run(octets));
