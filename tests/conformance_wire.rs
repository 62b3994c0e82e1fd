//! What RFC 2332, RFC 2735, RFC 2684 and RFC 2685 demand of the packet format, clause by clause.
//!
//! A test is named after its clause in the conformance list.

mod golden;

use dmevpn::types::VpnId;
use dmevpn::wire::nhrp::{
    Cie, Extension, Fault, HOP_COUNT, Header, Kind, Message, Protocol, Writer, checksum, code, error, flag,
    kind,
};
use dmevpn::wire::{self, MAX_NHRP, Malformed, Prefix, VpnTag, gre, llc};
use golden::{fix_checksum, ip, mac, nbma, octets, vni};

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

// A. Encapsulation and fixed header (RFC 2332 sections 5 and 5.1)

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
    for n in [0, 8, 127, 128, 255] {
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

// B. Common header and CIE (section 5.2.0.1)

#[test]
fn b1_order_of_the_common_header() {
    let header = Header { flags: 0x8000, vni: vni(7), ..header(Kind::ResolutionRequest) };
    let packet = write(&header, |_| ());
    #[rustfmt::skip]
    assert_eq!(packet[18..], [
        4, 4, 6, 6,
        0x80, 0x00, 0x01, 0x02, 0x03, 0x04,
        192, 0, 2, 1,
        0, 0, 0, 7,
        2, 0, 0, 0, 0, 1,
        2, 0, 0, 0, 0, 2,
    ]);
}

#[test]
fn b2_reply_copies_request_id_and_addresses() {
    let request = header(Kind::RegistrationRequest);
    let reply = request.reply(Kind::RegistrationReply);
    let identity = |h: Header| (h.request_id, h.nbma, h.source, h.destination);
    assert_eq!(identity(reply), identity(request));
}

#[test]
fn b5_no_address_takes_no_octets() {
    let header = Header { source: None, destination: None, ..header(Kind::PurgeRequest) };
    let packet = write(&header, |w| {
        w.cie(&Cie::default());
    });
    assert_eq!(packet.len(), 28 + 4 + 12);
    let message = Message::parse(&packet).unwrap();
    assert_eq!(message.header, header);
    assert!(message.cies().eq([Cie::default()]));
}

#[test]
fn b7_codes_have_the_numbers_of_the_rfc() {
    let codes = [code::OK, code::PROHIBITED, code::RESOURCES];
    assert_eq!(codes, [0, 4, 5]);
    assert_eq!([code::NO_BINDING, code::NOT_UNIQUE, code::ALREADY_REGISTERED], [12, 13, 14]);
}

#[test]
fn b10_nak_has_no_holding_time() {
    let packet = write(&header(Kind::ResolutionReply), |w| {
        w.cie(&Cie::nak(code::NO_BINDING));
    });
    assert_eq!(packet[44..], [12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn b11_lengths_of_a_cie() {
    // The NBMA address and the MAC: neither shorter nor longer, nor past the end.
    for len in [1, 3, 5, 16, 63] {
        assert_eq!(fault(&changed(golden::D, 56, &[len])).0, error::PROTOCOL);
    }
    for len in [1, 4, 5, 7, 16, 255] {
        assert_eq!(fault(&changed(golden::D, 58, &[len])), (error::PROTOCOL, 68));
    }
    // A group is no client.
    assert_eq!(fault(&changed(golden::D, 68, &[0x53])), (error::PROTOCOL, 68));
}

#[test]
fn b11_faults_name_the_sender() {
    let packet = changed(golden::D, 58, &[7]);
    let frame = octets(golden::D);
    assert_eq!(Message::parse(&packet).unwrap_err().header, Some(Message::parse(&frame).unwrap().header));
    // Unless it could not be read.
    assert_eq!(Message::parse(&changed(golden::D, 16, &[0])).unwrap_err().header, None);
}

#[test]
fn c1_e1_f1_flags_have_the_bits_of_the_rfc() {
    assert_eq!(
        [flag::ROUTER, flag::AUTHORITATIVE, flag::STABLE, flag::UNIQUE, flag::SOURCE_STABLE],
        [0x8000, 0x4000, 0x2000, 0x1000, 0x0800]
    );
    assert_eq!([flag::REGISTRATION_UNIQUE, flag::NO_REPLY], [0x8000, 0x8000]);
}

// G. Error Indication (section 5.2.7)

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

// H. Extensions (section 5.3)

#[test]
fn h1_type_length_value() {
    let extension = Extension { kind: 0x0123, compulsory: true, value: &[1, 2, 3, 4, 5] };
    let packet = write(&header(Kind::ResolutionRequest), |w| {
        w.extension(extension);
    });
    assert_eq!(packet[44..], [0x81, 0x23, 0, 5, 1, 2, 3, 4, 5, 0x80, 0, 0, 0]);
    assert!(Message::parse(&packet).unwrap().extensions().eq([extension]));
}

#[test]
fn h1_length_past_the_end() {
    for length in [1, 9, 0xffff_u16] {
        let [a, b] = length.to_be_bytes();
        let packet = with_extensions(&[0x80, 0x03, 0, 0, 0x80, 0x04, a, b]);
        assert_eq!(fault(&packet), (error::PROTOCOL, EXTENSIONS_AT + 4));
    }
    // An end mark that is swallowed is none.
    let packet = with_extensions(&[0x80, 0x04, 0, 4, 0x80, 0, 0, 0]);
    assert_eq!(fault(&packet), (error::PROTOCOL, EXTENSIONS_AT + 8));
}

#[test]
fn h2_missing_end_mark() {
    let packet = with_extensions(&[0x80, 0x03, 0, 0]);
    assert_eq!(fault(&packet), (error::PROTOCOL, EXTENSIONS_AT + 4));
    for part in [&[0x80][..], &[0x80, 0], &[0x80, 0, 0]] {
        assert_eq!(fault(&with_extensions(part)), (error::PROTOCOL, EXTENSIONS_AT));
    }
    // One with a value is none.
    assert_eq!(fault(&with_extensions(&[0x80, 0, 0, 1, 0])), (error::PROTOCOL, EXTENSIONS_AT));
}

#[test]
fn h2_end_mark_ends_the_list() {
    let packet = with_extensions(&[0x80, 0x03, 0, 0, 0x80, 0, 0, 0, 0x80, 0x04, 0, 0]);
    assert!(Message::parse(&packet).unwrap().extensions().eq([Extension::empty(kind::RESPONDER)]));
    // Its C bit is not what makes it one.
    says_the_same(&with_extensions(&[0, 0, 0, 0]), golden::F);
    // An offset that points to the end promises nothing.
    says_the_same(&with_extensions(&[]), golden::F);
}

#[test]
fn h2_end_mark_only_with_extensions() {
    let packet = write(&header(Kind::PurgeRequest), |_| ());
    assert_eq!(packet.len(), 44);
    let packet = write(&header(Kind::PurgeRequest), |w| {
        w.extension(Extension::empty(kind::RESPONDER));
    });
    assert_eq!(packet[48..], [0x80, 0, 0, 0]);
}

#[test]
fn h3_duplicate_is_error_9() {
    let packet = with_extensions(&[0x80, 0x03, 0, 0, 0x80, 0x04, 0, 0, 0x80, 0x03, 0, 0, 0x80, 0, 0, 0]);
    assert_eq!(fault(&packet), (error::INVALID_EXTENSION, EXTENSIONS_AT + 8));
    // Compulsory or not, known or not.
    let packet = with_extensions(&[0x92, 0x34, 0, 0, 0x12, 0x34, 0, 1, 0, 0x80, 0, 0, 0]);
    assert_eq!(fault(&packet), (error::INVALID_EXTENSION, EXTENSIONS_AT + 4));
}

#[test]
fn h3_vendor_private_may_repeat() {
    let packet = with_extensions(&[0, 8, 0, 3, 1, 2, 3, 0, 8, 0, 4, 1, 2, 3, 4, 0x80, 0, 0, 0]);
    let message = Message::parse(&packet).unwrap();
    let values = message.extensions().map(|e| (e.kind, e.compulsory, e.value.len()));
    assert!(values.eq([(kind::VENDOR, false, 3), (kind::VENDOR, false, 4)]));
}

#[test]
fn h3_h4_any_order_which_is_kept() {
    let kinds = [5, 0x3fff, 3, 9, 4, 0x1000];
    let packet = write(&header(Kind::ResolutionRequest), |w| {
        for kind in kinds {
            w.extension(Extension { kind, compulsory: kind % 2 == 1, value: &[] });
        }
    });
    let message = Message::parse(&packet).unwrap();
    assert!(message.extensions().map(|e| e.kind).eq(kinds));
    let mut buf = [0; MAX_NHRP];
    let len = golden::rebuild(&message, &mut buf).unwrap();
    assert_eq!(buf[..len], packet);
}

#[test]
fn h8_h9_unknown_extensions_are_the_receivers_business() {
    // Whether one is refused depends on who receives it, so all of them come through, with their C bit.
    let packet = with_extensions(&[0xb8, 0x01, 0, 1, 7, 0x38, 0x02, 0, 0, 0x80, 0, 0, 0]);
    let message = Message::parse(&packet).unwrap();
    assert!(message.extensions().map(|e| (e.kind, e.compulsory)).eq([(0x3801, true), (0x3802, false)]));
}

#[test]
fn h11_all_14_bits_of_the_type() {
    for kind in [1, 0x0fff, 0x1000, 0x11ff, 0x1200, 0x37ff, 0x3800, 0x3fff, 0x0100, 0x3f00] {
        let packet = write(&header(Kind::ResolutionRequest), |w| {
            w.extension(Extension { kind, compulsory: false, value: &[1] });
        });
        assert!(Message::parse(&packet).unwrap().extensions().map(|e| e.kind).eq([kind]));
    }
}

#[test]
fn i2_responder_address_is_one_cie() {
    let d = octets(golden::D);
    let message = Message::parse(&d).unwrap();
    assert_eq!(message.extension_cie(kind::RESPONDER).unwrap().nbma, Some(nbma("10.0.0.1")));
    // Asked for and not yet given, not there at all, and not a CIE.
    assert_eq!(message.extension_cie(kind::FORWARD_TRANSIT), None);
    assert_eq!(message.extension_cie(kind::AUTHENTICATION), None);
    assert_eq!(message.extension_cie(kind::DEVICE_CAPABILITIES), None);
}

// K. VPNs (RFC 2735, RFC 2684 section 8, RFC 2685)

fn one() -> VpnId {
    VpnId::new(VpnId::DEFAULT_OUI, 1)
}

#[test]
fn k1_vpn_by_header_or_by_path() {
    let a = octets(golden::A);
    for (tag, header) in [
        (VpnTag::None, &[0x00, 0x00, 0x20, 0x01][..]),
        (VpnTag::Key(0x0102_0304), &[0x20, 0x00, 0x20, 0x01, 1, 2, 3, 4]),
        (VpnTag::Llc(one()), &[0x00, 0x00, 0x20, 0x01]),
    ] {
        let prefix = Prefix::gre(tag);
        assert!(prefix.as_bytes().starts_with(header));
        let packet = [prefix.as_bytes(), &a].concat();
        assert_eq!(wire::parse(&packet), Ok((tag, &a[..])));
    }
}

#[test]
fn k2_not_both_on_send() {
    assert_eq!(Prefix::gre(VpnTag::Key(1)).as_bytes().len(), 8);
    assert_eq!(Prefix::gre(VpnTag::Llc(one())).as_bytes().len(), 4 + 24);
}

#[test]
fn k3_k13_both_have_to_agree() {
    let payload = Prefix::payload(VpnTag::Llc(one()));
    assert_eq!(wire::parse_payload(Some(1), payload.as_bytes()), Ok((VpnTag::Llc(one()), &[][..])));
    assert_eq!(wire::parse_payload(Some(2), payload.as_bytes()), Err(Malformed::VpnConflict));
}

#[test]
fn k17_vpn_header() {
    let prefix = octets(golden::LLC_PREFIX);
    assert_eq!(llc::emit(one()).as_slice(), prefix);
    // The padding is ignored.
    let mut padded = prefix.clone();
    padded[8] = 0xff;
    assert_eq!(llc::parse(&padded), Ok((Some(one()), &[][..])));
    // NHRP has to follow, whole.
    for len in 8..prefix.len() {
        assert!(llc::parse(&prefix[..len]).is_err());
    }
    let mut other = prefix;
    other[23] = 0x08;
    assert_eq!(llc::parse(&other), Err(Malformed::NotNhrp));
}

#[test]
fn k18_device_capabilities() {
    let value = [0, 0, 0, 1, 0, 0, 0, 0];
    let packet = write(&header(Kind::ResolutionRequest), |w| {
        w.extension(Extension::capabilities(&value));
    });
    assert_eq!(packet[44..56], [0x00, 0x09, 0x00, 0x08, 0, 0, 0, 1, 0, 0, 0, 0]);
    // The same number with other lengths is Cisco's NAT address, and no fault.
    for nat in
        [&[0, 9, 0, 0, 0x80, 0, 0, 0][..], &[0, 9, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0]]
    {
        let packet = with_extensions(nat);
        let extension = Message::parse(&packet).unwrap().extensions().next().unwrap();
        assert_eq!((extension.kind, extension.compulsory), (kind::DEVICE_CAPABILITIES, false));
    }
}

#[test]
fn k22_vpn_id_is_most_significant_octet_first() {
    let vpn = VpnId::new([0x0a, 0x0b, 0x0c], 0x0102_0304);
    assert_eq!(llc::emit(vpn)[8..16], [0, 0x0a, 0x0b, 0x0c, 1, 2, 3, 4]);
    assert_eq!(llc::parse(&llc::emit(vpn)), Ok((Some(vpn), &[][..])));
}

// GRE (RFC 2784, RFC 2890)

#[test]
fn gre_of_another_version_or_with_routing_is_refused() {
    for flags in [0x0001, 0x0007, 0x4000, 0x0800, 0x0400_u16] {
        let packet = [&flags.to_be_bytes()[..], &[0x20, 0x01], &[0; 16]].concat();
        assert_eq!(gre::parse(&packet), Err(Malformed::Gre));
    }
    // The other reserved bits are ignored.
    for flags in [0x0200, 0x0100, 0x0080, 0x0008_u16] {
        let packet = [&flags.to_be_bytes()[..], &[0x20, 0x01, 7]].concat();
        assert_eq!(gre::parse(&packet).unwrap().1, [7]);
    }
}

#[test]
fn gre_checksum_key_and_sequence_number() {
    let mut packet =
        [&[0xb0, 0x00, 0x20, 0x01][..], &[0; 4], &[0, 0, 0, 42], &[0, 0, 0, 1], &[0xef]].concat();
    let sum = checksum(&packet);
    packet[4..6].copy_from_slice(&sum.to_be_bytes());
    let header = gre::Header { protocol: gre::PROTOCOL_NHRP, key: Some(42) };
    assert_eq!(gre::parse(&packet), Ok((header, &[0xef][..])));
    for len in 0..16 {
        assert!(gre::parse(&packet[..len]).is_err());
    }
    packet[16] = 0xee;
    assert_eq!(gre::parse(&packet), Err(Malformed::Gre));
}

#[test]
fn gre_of_another_protocol_is_not_nhrp() {
    assert_eq!(wire::parse(&[0, 0, 0x65, 0x58, 0, 1]), Err(Malformed::NotNhrp));
}
