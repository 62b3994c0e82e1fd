//! Any octets, as a frame that comes out of VXLAN and as what an ICMP error quotes: no panic, and what can be read can be
//! written and says the same again.

#![no_main]

use dmevpn::types::Vni;
use dmevpn::wire::probe::{Frame, quoted};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let _ = quoted(octets);
    let Some(frame) = Frame::parse(octets) else { return };
    let len = usize::from(frame.size) + 22;
    assert!(len <= octets.len() + 8, "an answer is no larger than the question");
    let mut buf = vec![0xa5; len];
    let vni = Vni::new(1).expect("a VNI");
    assert_eq!(frame.emit(vni, &mut buf), Some(len), "what can be read can be written");
    assert_eq!(Frame::parse(&buf[8..]), Some(frame));
    assert_eq!(quoted(&buf), (!frame.is_answer).then_some(frame.probe.nonce));
});
