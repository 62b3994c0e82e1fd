//! What RFC 2332, RFC 2735, RFC 2684 and RFC 2685 demand of the packet format, clause by clause.
//!
//! A module is a section of the conformance list, and a test is named after its clause. Here is what several use.

#[path = "../golden/mod.rs"]
mod golden;

mod common;
mod errors;
mod extensions;
mod fixed;
mod vpn;

use dmevpn::wire::MAX_NHRP;
use dmevpn::wire::nhrp::{Fault, HOP_COUNT, Header, Kind, Message, Protocol, Writer};
use golden::{fix_checksum, mac, nbma, octets};

/// Frame `hex` with the octets from `at` on replaced, the checksum right again.
fn changed(hex: &str, at: usize, with: &[u8]) -> Vec<u8> {
    let mut packet = octets(hex);
    packet[at..at + with.len()].copy_from_slice(with);
    fix_checksum(&mut packet);
    packet
}

/// Frame F (which has no extensions) with these octets as extensions.
fn with_extensions(extensions: &[u8]) -> Vec<u8> {
    let mut packet = octets(golden::F);
    let offset = packet.len();
    packet.extend_from_slice(extensions);
    let size = packet.len() as u16;
    packet[10..12].copy_from_slice(&size.to_be_bytes());
    packet[14..16].copy_from_slice(&(offset as u16).to_be_bytes());
    fix_checksum(&mut packet);
    packet
}

/// Where frame F ends, so where the extensions of [`with_extensions`] start.
const EXTENSIONS_AT: u16 = 70;

fn fault(packet: &[u8]) -> (u16, u16) {
    let Fault { code, offset, .. } = Message::parse(packet).unwrap_err();
    (code, offset)
}

/// Checks that `packet` says what frame `hex` says.
fn says_the_same(packet: &[u8], hex: &str) {
    let frame = octets(hex);
    assert!(golden::same(&Message::parse(packet).unwrap(), &Message::parse(&frame).unwrap()));
}

fn header(kind: Kind) -> Header {
    Header {
        kind,
        protocol: Protocol::Ethernet,
        hop_count: HOP_COUNT,
        flags: 0,
        request_id: 0x0102_0304,
        nbma: nbma("192.0.2.1"),
        vni: None,
        source: mac("02:00:00:00:00:01"),
        destination: mac("02:00:00:00:00:02"),
    }
}

fn write(header: &Header, parts: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut buf = [0xa5; MAX_NHRP];
    let mut writer = Writer::new(&mut buf, header);
    parts(&mut writer);
    let len = writer.finish().unwrap();
    buf[..len].to_vec()
}
