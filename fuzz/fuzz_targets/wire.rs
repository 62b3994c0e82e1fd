//! Any octets, as GRE and as NHRP: no panic, and what can be read can be written and says the same again.

#![no_main]

use dmevpn::wire;
use dmevpn::wire::nhrp::{Message, Writer, checksum};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    if let Ok((_, nhrp)) = wire::parse(octets) {
        round_trip(nhrp);
    }
    if let Ok((_, nhrp)) = wire::parse_payload(None, octets) {
        round_trip(nhrp);
    }
    // The checksum would keep nearly everything away from what lies behind it.
    let mut packet = octets.to_vec();
    let size = packet.get(10..12).map_or(0, |s| usize::from(u16::from_be_bytes([s[0], s[1]])));
    if let (Some(packet), 14..) = (packet.get_mut(..size), size) {
        packet[12..14].fill(0);
        let sum = checksum(packet);
        packet[12..14].copy_from_slice(&sum.to_be_bytes());
    }
    round_trip(&packet);
});

fn round_trip(packet: &[u8]) {
    let Ok(message) = Message::parse(packet) else { return };
    if let Some(signature) = message.signature() {
        let covered: usize = signature.covered.iter().map(|part| part.len()).sum();
        assert!(covered <= packet.len());
    }
    let mut buf = vec![0xa5; packet.len()];
    let mut writer = Writer::new(&mut buf, &message.header);
    for cie in message.cies() {
        writer.cie(&cie);
    }
    writer.packet_in_error(message.packet_in_error());
    for extension in message.extensions() {
        writer.extension(extension);
        message.extension_cie(extension.kind);
    }
    let len = writer.finish().expect("what can be read can be written");
    let again = Message::parse(&buf[..len]).expect("what was written can be read");
    assert_eq!(message.header, again.header);
    assert!(message.cies().eq(again.cies()));
    assert_eq!(message.packet_in_error(), again.packet_in_error());
    assert!(message.extensions().eq(again.extensions()));
}
