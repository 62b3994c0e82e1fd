//! G. Error Indication (section 5.2.7).

use super::*;
use dmevpn::types::VpnId;
use dmevpn::wire::nhrp::error;
use dmevpn::wire::{self, Prefix, VpnTag};

#[test]
fn g1_layout_of_an_error_indication() {
    let in_error = octets(golden::C);
    let word = Header::error_word(error::UNREACHABLE, 38);
    let packet = write(&Header { request_id: word, ..header(Kind::Error) }, |w| {
        w.packet_in_error(&in_error);
    });
    assert_eq!(packet[17], 7);
    assert_eq!(packet[20..28], [6, 6, 0, 0, 0, 6, 0, 38]);
    assert_eq!(packet[44..], in_error);
    let message = Message::parse(&packet).unwrap();
    assert_eq!(message.header.error_code(), error::UNREACHABLE);
    assert_eq!(message.packet_in_error(), in_error);
    // It is a packet, not CIEs; and what holds CIEs holds no packet.
    assert_eq!(message.cies().count(), 0);
    let d = octets(golden::D);
    assert!(Message::parse(&d).unwrap().packet_in_error().is_empty());
}

#[test]
fn g1_packet_in_error_is_cut_to_what_fits() {
    let long = [0x5a; 2 * MAX_NHRP];
    let packet = write(&header(Kind::Error), |w| {
        w.packet_in_error(&long);
    });
    assert_eq!(packet.len(), MAX_NHRP);
    assert_eq!(Message::parse(&packet).unwrap().packet_in_error(), &long[..MAX_NHRP - 44]);
}

#[test]
fn g2_to_g9_errors_have_the_numbers_of_the_rfc() {
    assert_eq!(
        [
            error::UNRECOGNIZED_EXTENSION,
            error::LOOP_DETECTED,
            error::UNREACHABLE,
            error::PROTOCOL,
            error::SDU_SIZE,
            error::INVALID_EXTENSION,
            error::INVALID_REPLY,
            error::AUTHENTICATION,
            error::HOP_COUNT,
            error::VPN_MISMATCH,
            error::VPN_UNSUPPORTED,
        ],
        [1, 3, 6, 7, 8, 9, 10, 11, 15, 16, 17]
    );
}

#[test]
fn g10_offset_counts_from_fixed_header() {
    let bad = changed(golden::D, 68, &[0x53]);
    let packet = [Prefix::gre(VpnTag::Llc(VpnId::new(VpnId::DEFAULT_OUI, 1))).as_bytes(), &bad].concat();
    let (_, nhrp) = wire::parse(&packet).unwrap();
    let (code, offset) = fault(nhrp);
    assert_eq!((code, nhrp[usize::from(offset)]), (error::PROTOCOL, 0x53));
    let answer = Header { request_id: Header::error_word(code, offset), ..header(Kind::Error) };
    assert_eq!(write(&answer, |_| ())[24..28], [0, 7, 0, 68]);
}

#[test]
fn g15_extensions_of_an_error_indication_are_not_its_packet() {
    // OpenNHRP adds an extension, and 16 octets after the end mark.
    let mut packet = octets(golden::H);
    let offset = packet.len() as u16;
    packet.extend_from_slice(&[0x80, 0x04, 0, 0, 0x80, 0, 0, 0]);
    packet.extend_from_slice(&[0; 16]);
    let size = packet.len() as u16;
    packet[10..12].copy_from_slice(&size.to_be_bytes());
    packet[14..16].copy_from_slice(&offset.to_be_bytes());
    fix_checksum(&mut packet);
    let message = Message::parse(&packet).unwrap();
    assert_eq!(message.packet_in_error(), octets(golden::C));
    assert_eq!(message.extensions().count(), 1);
}
