//! Any octets, as a configuration: no panic, and what is wrong is said.

#![no_main]

use dmevpn::config::{Config, Files};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let text = String::from_utf8_lossy(octets);
    let warnings = Config::warnings("f", &text, &Files::NONE);
    if let Err(errors) = Config::parse("dmevpn", &text) {
        assert!(errors.to_string().contains("dmevpn:"), "{errors}");
        assert!(warnings.is_empty(), "what is refused has errors alone");
    }
});
