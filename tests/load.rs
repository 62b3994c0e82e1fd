//! The worst of what `cargo bench --bench hub` measures, with limits that even a busy machine keeps: a hub is never deaf.
#![allow(dead_code, reason = "the benchmark has more scenes")]
#![allow(clippy::disallowed_methods, reason = "here time is the wall's")]

#[path = "../benches/hub/daemon.rs"]
mod daemon;
#[path = "../benches/hub/ends.rs"]
mod ends;
#[path = "lab/mod.rs"]
mod lab;
#[path = "../benches/hub/packets.rs"]
mod packets;
#[path = "../benches/hub/probe.rs"]
mod probe;
#[path = "../benches/hub/sites.rs"]
mod sites;
#[path = "../benches/hub/world.rs"]
mod world;

use std::time::Duration;
use world::Setup;

const GENEROUS: Duration = Duration::from_secs(1);

fn setup() -> Setup {
    Setup { program: env!("CARGO_BIN_EXE_dmevpn").into(), bench: None, full: false }
}

#[track_caller]
fn nobody_waits(ended: ends::Ended) {
    assert!(ended.waits.longest < GENEROUS, "a question waited {}", ended.waits);
    assert!(ended.gone.is_some(), "ports stay");
}

#[test]
fn many_spokes_end_at_once() {
    let Some(_turn) = lab::my_turn() else { return };
    nobody_waits(ends::at_once(&setup(), 300).unwrap());
}

#[test]
fn a_reload_without_a_vn_of_many_spokes() {
    let Some(_turn) = lab::my_turn() else { return };
    nobody_waits(ends::reload(&setup()).unwrap());
}
