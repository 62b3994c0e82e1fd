//! A. Encapsulation and fixed header (RFC 2332 sections 5 and 5.1).

use super::*;
use dmevpn::types::VpnId;
use dmevpn::wire::nhrp::{Cie, Extension, checksum, error, kind};
use dmevpn::wire::{self, Malformed, Prefix, VpnTag};
use golden::{ip, vni};

#[test]
fn a1_fixed_header_mandatory_part_extensions() {
    for hex in golden::ALL {
        assert!(Message::parse(&octets(hex)).is_ok());
    }
    for len in 0..28 {
        assert_eq!(fault(&octets(golden::A)[..len]), (error::PROTOCOL, len as u16));
    }
}

#[test]
fn a2_mandatory_part_ends_at_extensions_or_at_the_end() {
    let d = octets(golden::D);
    assert_eq!(Message::parse(&d).unwrap().cies().count(), 1);
    let f = octets(golden::F);
    assert_eq!(Message::parse(&f).unwrap().cies().count(), 1);
    // A CIE does not reach into the extensions: what is left of it there is none.
    assert_eq!(fault(&changed(golden::D, 14, &[0x00, 0x49])), (error::PROTOCOL, 68));
    // Nor may the offset point outside, or into the header.
    for offset in [1, 27, 125, 0xffff_u16] {
        assert_eq!(fault(&changed(golden::D, 14, &offset.to_be_bytes())), (error::PROTOCOL, 14));
    }
}

#[test]
fn a3_maximum_packet_size_leaves_room_for_all_headers() {
    let mut buf = [0; 2 * MAX_NHRP];
    let value = [0; MAX_NHRP];
    let fixed = write(&header(Kind::ResolutionReply), |w| {
        w.extension(Extension { kind: kind::VENDOR, compulsory: false, value: &[] });
    })
    .len();
    for (room, fits) in [(MAX_NHRP - fixed, true), (MAX_NHRP - fixed + 1, false)] {
        let mut writer = Writer::new(&mut buf[..MAX_NHRP], &header(Kind::ResolutionReply));
        writer.extension(Extension { kind: kind::VENDOR, compulsory: false, value: &value[..room] });
        assert_eq!(writer.finish().is_some(), fits);
    }
    let longest = Prefix::gre(VpnTag::Llc(VpnId::new(VpnId::DEFAULT_OUI, 1))).as_bytes().len();
    assert!(40 + longest + MAX_NHRP <= 1500);
}

#[test]
fn a4_llc_of_nhrp_is_taken_off() {
    let a = octets(golden::A);
    let packet = [&[0xaa, 0xaa, 0x03, 0x00, 0x00, 0x5e, 0x00, 0x03], &a[..]].concat();
    assert_eq!(wire::parse_payload(None, &packet), Ok((VpnTag::None, &a[..])));
    // MARS, SCSP and IPv4 are not NHRP.
    for pid in [[0x00, 0x01], [0x00, 0x05], [0x08, 0x00]] {
        let packet = [&[0xaa, 0xaa, 0x03, 0x00, 0x00, 0x5e], &pid[..], &a[..]].concat();
        assert_eq!(wire::parse_payload(None, &packet), Err(Malformed::NotNhrp));
    }
}

#[test]
fn a5_unused_fields_are_ignored() {
    // ar$pro.snap in the short form; unused octets of a CIE.
    for (at, with) in [(4, &[1, 2, 3, 4, 5][..]), (50, &[0xff, 0xff])] {
        says_the_same(&changed(golden::A, at, with), golden::A);
    }
    // The unused half-word of an Error Indication.
    says_the_same(&changed(golden::H, 22, &[0xff, 0xff]), golden::H);
    // The u bit of an extension, the end mark included.
    says_the_same(&changed(golden::A, 60, &[0xc0]), golden::A);
    says_the_same(&changed(golden::A, 72, &[0xc0]), golden::A);
}

#[test]
fn a5_unused_fields_are_zero_on_send() {
    let packet = write(&Header { flags: 0xffff, ..header(Kind::Error) }, |_| ());
    assert_eq!(packet[4..9], [0; 5]);
    assert_eq!(packet[22..24], [0; 2]);
    let extension = Extension { kind: 0xffff, compulsory: false, value: &[] };
    let packet = write(&header(Kind::PurgeRequest), |w| {
        w.cie(&Cie { code: 1, prefix: 2, ..Cie::default() }).extension(extension);
    });
    assert_eq!(packet[44..48], [1, 2, 0, 0]);
    assert_eq!(packet[56..58], [0x3f, 0xff]);
}

#[test]
fn a6_address_family_says_how_long_an_nbma_address_is() {
    for (address, afn, len) in [("192.0.2.1", 1, 4), ("2001:db8::1", 2, 16)] {
        let header = Header { nbma: nbma(address), ..header(Kind::PurgeRequest) };
        let cie = Cie { nbma: Some(nbma(address)), ..Cie::default() };
        let packet = write(&header, |w| {
            w.cie(&cie);
        });
        assert_eq!((packet[..2].to_vec(), packet[18]), (vec![0, afn], len));
        let message = Message::parse(&packet).unwrap();
        assert_eq!(message.header, header);
        assert!(message.cies().eq([cie]));
        // The other family's number does not go with this length.
        let mut packet = packet;
        packet[1] = 3 - afn;
        fix_checksum(&mut packet);
        assert_eq!(fault(&packet), (error::PROTOCOL, 28));
    }
    for afn in [0_u16, 3, 6, 8, 16389] {
        assert_eq!(fault(&changed(golden::A, 0, &afn.to_be_bytes())), (error::PROTOCOL, 0));
    }
}

#[test]
fn a6_packets_in_flight_need_a_sender() {
    // No address, a group, none at all: no router can be told.
    assert_eq!(fault(&changed(golden::A, 18, &[0])), (error::PROTOCOL, 28));
    for address in [[224, 0, 0, 1], [0, 0, 0, 0], [255, 255, 255, 255]] {
        assert_eq!(fault(&changed(golden::A, 28, &address)), (error::PROTOCOL, 28));
    }
}

#[test]
fn a7_reserved_protocol_types() {
    // NLPIDs (0xCC is IPv4, whose ethertype is preferred), reserved, ATM Forum, local.
    for n in
        [0x0000, 0x0001, 0x00cc, 0x00ff, 0x0100, 0x03ff, 0x0400, 0x04ff, 0x0500, 0x05ff, 0x8100, 0xffff_u16]
    {
        assert_eq!(fault(&changed(golden::A, 2, &n.to_be_bytes())), (error::PROTOCOL, 2));
    }
}

#[test]
fn a8_long_form() {
    let long = |snap: [u8; 5]| {
        let mut packet = changed(golden::A, 2, &[0x00, 0x80]);
        packet[4..9].copy_from_slice(&snap);
        fix_checksum(&mut packet);
        packet
    };
    says_the_same(&long([0x00, 0x00, 0x00, 0x65, 0x58]), golden::A);
    // Another OUI is another protocol; so is another type.
    assert_eq!(fault(&long([0x00, 0x80, 0xc2, 0x65, 0x58])), (error::PROTOCOL, 2));
    assert_eq!(fault(&long([0x00, 0x00, 0x00, 0x81, 0x00])), (error::PROTOCOL, 2));
    assert_eq!(fault(&long([0x00, 0x00, 0x00, 0x00, 0x80])), (error::PROTOCOL, 2));
}

#[test]
fn a9_short_form_on_send() {
    for (protocol, address, n) in [
        (Protocol::Ethernet, mac("02:00:00:00:00:01"), [0x65, 0x58]),
        (Protocol::Ipv4, ip("10.1.0.1"), [0x08, 0x00]),
        (Protocol::Ipv6, ip("fd00::1"), [0x86, 0xdd]),
    ] {
        let header = Header { protocol, source: address, destination: None, ..header(Kind::PurgeRequest) };
        let packet = write(&header, |_| ());
        assert_eq!(packet[2..9], [&n[..], &[0; 5]].concat());
        assert_eq!(Message::parse(&packet).unwrap().header, header);
    }
}

#[test]
fn a11_reply_has_the_hop_count_of_a_new_packet() {
    let request = Header { hop_count: 3, ..header(Kind::ResolutionRequest) };
    let reply = request.reply(Kind::ResolutionReply);
    assert_eq!(reply, Header { kind: Kind::ResolutionReply, hop_count: HOP_COUNT, ..request });
}

#[test]
fn a12_padding_after_pktsz_is_ignored() {
    for hex in golden::ALL {
        let packet = [&octets(hex)[..], &[0xa5; 46]].concat();
        says_the_same(&packet, hex);
    }
}

#[test]
fn a12_pktsz_is_without_link_layer_headers() {
    let packet = write(&header(Kind::PurgeRequest), |_| ());
    assert_eq!(usize::from(u16::from_be_bytes([packet[10], packet[11]])), packet.len());
    // More than there is, and less than a header.
    for size in [77, 0xffff, 27, 0_u16] {
        let mut packet = octets(golden::A);
        packet[10..12].copy_from_slice(&size.to_be_bytes());
        assert_eq!(fault(&packet), (error::PROTOCOL, 10));
    }
    // A header, and not the addresses it promises.
    assert_eq!(fault(&changed(golden::F, 10, &[0, 28])), (error::PROTOCOL, 28));
}

#[test]
fn a13_checksum_is_verified() {
    assert_eq!(checksum(&[0xab, 0xcd, 0xef]), 0x6531);
    for hex in golden::ALL {
        let mut packet = octets(hex);
        assert_eq!(checksum(&packet), 0);
        packet[12] ^= 1;
        assert_eq!(fault(&packet), (error::PROTOCOL, 12));
    }
}

#[test]
fn a13_odd_packet_is_padded_for_the_sum() {
    let packet = write(&header(Kind::Error), |w| {
        w.packet_in_error(&[0xab, 0xcd, 0xef]);
    });
    assert_eq!(packet.len() % 2, 1);
    assert_eq!(checksum(&[&packet[..], &[0]].concat()), 0);
    // What follows is padding of the link, not of the sum.
    let padded = [&packet[..], &[0xff]].concat();
    assert_eq!(Message::parse(&padded).unwrap().packet_in_error(), [0xab, 0xcd, 0xef]);
}

#[test]
fn a14_extoff_0_is_no_extensions() {
    let packet = write(&header(Kind::PurgeRequest), |_| ());
    assert_eq!(packet[14..16], [0, 0]);
    assert_eq!(Message::parse(&packet).unwrap().extensions().count(), 0);
    let packet = write(&header(Kind::PurgeRequest), |w| {
        w.extension(Extension::empty(kind::RESPONDER));
    });
    assert_eq!(packet[14..16], [0, 44]);
    assert_eq!(Message::parse(&packet).unwrap().extensions().count(), 1);
}

#[test]
fn a15_version_0_is_error_7() {
    for version in [0, 2, 255] {
        assert_eq!(fault(&changed(golden::A, 16, &[version])), (error::PROTOCOL, 16));
    }
}

#[test]
fn a16_unknown_type_is_error_7() {
    for n in [0, 9, 127, 128, 255] {
        assert_eq!(fault(&changed(golden::A, 17, &[n])), (error::PROTOCOL, 17));
    }
    for n in 1..=6 {
        let packet = changed(golden::F, 17, &[n]);
        assert_eq!(Message::parse(&packet).unwrap().header.kind as u8, n);
    }
}

#[test]
fn a17_tl_0x44_is_length_4() {
    for tl in [0x44, 0x84, 0xc4] {
        // Those of the header, then those of the CIE.
        says_the_same(&changed(golden::D, 18, &[tl, tl]), golden::D);
        says_the_same(&changed(golden::D, 56, &[tl, tl]), golden::D);
    }
    // The type of no address means nothing.
    says_the_same(&changed(golden::F, 19, &[0x40]), golden::F);
}

#[test]
fn a18_no_vni_is_no_subaddress() {
    let packet = write(&header(Kind::PurgeRequest), |_| ());
    assert_eq!((packet[19], packet.len()), (0, 28 + 4 + 6 + 6));
    let packet = write(&Header { vni: vni(0x0001_0203), ..header(Kind::PurgeRequest) }, |_| ());
    assert_eq!((packet[19], packet.len()), (4, 28 + 4 + 4 + 6 + 6));
    assert_eq!(packet[32..36], [0, 1, 2, 3]);
}

#[test]
fn a18_subaddress_that_is_no_vni_is_error_7() {
    // Zero, more than 24 bits, another length.
    for octets in [[0, 0, 0, 0], [1, 0, 0, 0]] {
        assert_eq!(fault(&changed(golden::D, 32, &octets)), (error::PROTOCOL, 32));
        assert_eq!(fault(&changed(golden::D, 64, &octets)), (error::PROTOCOL, 64));
    }
    assert_eq!(fault(&changed(golden::D, 19, &[3])), (error::PROTOCOL, 32));
    assert_eq!(fault(&changed(golden::D, 57, &[3])), (error::PROTOCOL, 64));
}
