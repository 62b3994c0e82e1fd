//! Anything may happen, in any order: histories made of octets, over a small network and with a model that looks at all
//! of it. A history that fails is printed, shrunk, and kept in `tests/operations.regressions`, which comes first.
//!
//! `DMEVPN_OCTETS=hexadecimal DMEVPN_SHOW=1` runs and prints one; `PROPTEST_CASES` runs more.

#[allow(dead_code, reason = "libFuzzer's target shares it")]
mod operate;
mod sim;

use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, RngSeed};

fn seed() -> u64 {
    let seed = std::env::var("PROPTEST_RNG_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_260_301);
    println!("PROPTEST_RNG_SEED={seed}");
    seed
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 50,
        // Always the same, but with `PROPTEST_RNG_SEED`.
        rng_seed: RngSeed::Fixed(seed()),
        max_shrink_time: 120_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/operations.regressions"))),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_happens_all_is_well_again(octets in proptest::collection::vec(any::<u8>(), 5..200)) {
        operate::run(&octets);
    }
}

#[test]
fn the_history_that_somebody_asks_for() {
    let Ok(hex) = std::env::var("DMEVPN_OCTETS") else { return };
    run(&hex);
}

/// It told who was told nothing.
#[test]
fn a_restarted_hub_takes_nothing_back_on_suspicion() {
    run("\
        2320646d6576706e0a0a4f2002020000616e61796572acacacacacacacacacacacacac\
        acacacacacacacacacacac697423ff2061206875232e20537469657320726567697374\
        657220776974682061206873697465732c20776f726b20616372696e6f672073727320\
    ");
}

/// It was denied a MAC that was its own then, and left.
#[test]
fn who_had_a_mac_is_told_where_it_went() {
    run("\
        2320646dff01658a8f91f5f5d29190206c617965722d3320ffffffffffffffffffffff\
        ffffffffffffffffffffffffffffffffffffffffff24ffffffffffffffffffffffffff\
        ffffffffffffffffffffffffffffffffffffffffffffffffffffffffff15ffffffffff\
        ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff6e\
    ");
}

fn run(hex: &str) {
    let digits: Vec<u8> = hex.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    let octets: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    operate::run(&octets);
}
