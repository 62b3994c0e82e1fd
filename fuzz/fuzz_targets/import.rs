//! Any octets, as an opennhrp.conf: no panic, and what is printed is a configuration without mistakes.

#![no_main]

use dmevpn::config::Config;
use dmevpn::config::import::import;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    if let Ok(text) = import("opennhrp.conf", octets) {
        Config::parse("dmevpn", &text).expect("what is printed has no mistakes");
    }
});
