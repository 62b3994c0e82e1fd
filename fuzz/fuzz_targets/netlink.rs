//! Any octets, as datagrams of the kernel's, and as what is in messages of each kind: no panic.

#![no_main]

use dmevpn::shell::netlink::Event;
use libfuzzer_sys::fuzz_target;

/// A header is 16 octets: length, kind, flags, number, sender.
const HEADER: usize = 16;

fuzz_target!(|octets: &[u8]| {
    Event::all_in(octets);
    let Some((kind, body)) = octets.split_first() else { return };
    let length = (HEADER + body.len()) as u32;
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(u16::from(*kind).to_ne_bytes());
    message.resize(HEADER, 0);
    message.extend(body);
    assert!(Event::all_in(&message).len() <= 1, "a message tells one thing");
});
