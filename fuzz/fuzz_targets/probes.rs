//! Any octets, as a frame that comes out of VXLAN, as what an ICMP error quotes and as a loop frame: no panic, and what can be read can be
//! written and says the same again.

#![no_main]

use dmevpn::types::{Mac, Vni};
use dmevpn::wire::loop_frame;
use dmevpn::wire::probe::{Probe, quoted};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let _ = quoted(octets);
    if let Some(nonce) = loop_frame::parse(octets) {
        let source = Mac::new([2; 6]).expect("a MAC");
        assert_eq!(loop_frame::parse(&loop_frame::emit(source, nonce)), Some(nonce));
    }
    let Some(probe) = Probe::parse(octets) else { return };
    assert!(probe.size() <= octets.len() + 8, "an answer is no larger than the question");
    let mut buf = vec![0xa5; probe.size()];
    let size = probe.emit(Vni::new(1).expect("a VNI"), &mut buf).expect("what can be read can be written");
    assert_eq!((Probe::parse(&buf[8..]), size), (Some(probe), buf.len()));
    assert_eq!(quoted(&buf), (!probe.is_answer).then_some((probe.asker.vni, probe.nonce)));
});
