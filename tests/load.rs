//! The worst of what `cargo bench --bench hub` measures, with limits that even a busy machine keeps: a hub is never deaf.
#![allow(dead_code, reason = "the benchmark has more scenes")]
#![allow(clippy::disallowed_methods, reason = "here time is the wall's")]

#[path = "../benches/hub/daemon.rs"]
mod daemon;
#[path = "../benches/hub/ends.rs"]
mod ends;
#[path = "../benches/hub/floods.rs"]
mod floods;
#[path = "lab/mod.rs"]
mod lab;
#[path = "../benches/hub/packets.rs"]
mod packets;
#[path = "../benches/hub/probe.rs"]
mod probe;
#[path = "../benches/hub/sites.rs"]
mod sites;
#[path = "../benches/hub/trace.rs"]
mod trace;
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

/// Less than the benchmark has: the daemon of tests is a slow one, and what floods it needs the same processors. So some
/// questions may get lost.
const FLOODED: u32 = 10_000;

#[track_caller]
fn others_fare_well(flood: floods::Flood) {
    let Some(_turn) = lab::my_turn() else { return };
    let fared = floods::flood(&setup(), flood, FLOODED).unwrap();
    let told = format!("{flood:?}: {fared:?}");
    println!("{told}");
    assert!(fared.most_resolved.is_some_and(|took| took < GENEROUS), "{told}");
    assert!(fared.refreshed < GENEROUS && fared.status < GENEROUS, "{told}");
    assert!(fared.joined.is_some_and(|took| took < 5 * GENEROUS), "{told}");
    assert!(fared.grown < 2048.0, "{told}");
}

#[test]
fn a_flood_of_garbage() {
    others_fare_well(floods::Flood::Garbage);
}

#[test]
fn a_flood_of_strangers() {
    others_fare_well(floods::Flood::Strangers);
}

/// They say that they are the spokes which are measured.
#[test]
fn a_flood_of_forged_packets() {
    others_fare_well(floods::Flood::Spoofed);
}

#[test]
fn a_flood_of_one_stranger() {
    others_fare_well(floods::Flood::One);
}
