//! Properties of the codec: what it writes it reads, and nothing that comes in makes it panic.

mod golden;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use dmevpn::types::{Mac, Nbma, Vni, VpnId, Vtep};
use dmevpn::wire::nhrp::{
    Cie, Extension, Header, Kind, Message, Protocol, ProtocolAddress, Writer, checksum, error, kind,
};
use dmevpn::wire::probe::{MOST, Probe, quoted};
use dmevpn::wire::{self, MAX_NHRP, Prefix, VpnTag, gre, llc, loop_frame};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// A packet as its parts.
#[derive(Clone, Debug)]
struct Parts {
    header: Header,
    cies: Vec<Cie>,
    in_error: Vec<u8>,
    extensions: Vec<(u16, bool, Vec<u8>)>,
}

impl Parts {
    fn write(&self, buf: &mut [u8]) -> Option<usize> {
        let mut writer = Writer::new(buf, &self.header);
        for cie in &self.cies {
            writer.cie(cie);
        }
        writer.packet_in_error(&self.in_error);
        for (kind, compulsory, value) in &self.extensions {
            writer.extension(Extension { kind: *kind, compulsory: *compulsory, value });
        }
        writer.finish()
    }
}

fn underlay(v6: bool) -> BoxedStrategy<Nbma> {
    if v6 {
        let not_mapped = |a: u128| Nbma::new(Ipv6Addr::from(a).into()).filter(|n| n.ip().is_ipv6());
        any::<u128>().prop_filter_map("no underlay address", not_mapped).boxed()
    } else {
        let host = |a: u32| Nbma::new(Ipv4Addr::from(a).into());
        any::<u32>().prop_filter_map("no underlay address", host).boxed()
    }
}

fn address(protocol: Protocol) -> BoxedStrategy<ProtocolAddress> {
    match protocol {
        Protocol::Ethernet => {
            any::<[u8; 6]>().prop_filter_map("no station", Mac::new).prop_map(ProtocolAddress::Mac).boxed()
        }
        Protocol::Ipv4 => any::<u32>().prop_map(|a| ProtocolAddress::Ip(Ipv4Addr::from(a).into())).boxed(),
        Protocol::Ipv6 => any::<u128>().prop_map(|a| ProtocolAddress::Ip(Ipv6Addr::from(a).into())).boxed(),
    }
}

fn some_vni() -> impl Strategy<Value = Vni> {
    (1..=Vni::MAX.get()).prop_map(|n| Vni::new(n).unwrap())
}

fn cie(v6: bool, protocol: Protocol) -> impl Strategy<Value = Cie> {
    let numbers = any::<(u8, u8, u16, u16, u8)>();
    let addresses = (option::of(underlay(v6)), option::of(some_vni()), option::of(address(protocol)));
    (numbers, addresses).prop_map(|((code, prefix, mtu, holding, preference), (nbma, vni, address))| Cie {
        code,
        prefix,
        mtu,
        holding,
        preference,
        nbma,
        vni,
        address,
    })
}

fn probe() -> impl Strategy<Value = Probe> {
    let asker = any::<bool>().prop_flat_map(underlay);
    let numbers = any::<(bool, u32, u8, u64, u64, u16)>();
    let source = any::<[u8; 6]>().prop_filter_map("no station", Mac::new);
    (asker, some_vni(), source, numbers).prop_map(|(nbma, vni, source, numbers)| {
        let (is_answer, transaction, flags, nonce, tag, padding) = numbers;
        let asker = Vtep { nbma, vni };
        Probe { is_answer, source, transaction, flags, asker, nonce, tag, padding }
    })
}

fn header(v6: bool, protocol: Protocol) -> impl Strategy<Value = Header> {
    let kinds = prop::sample::select(vec![
        Kind::ResolutionRequest,
        Kind::ResolutionReply,
        Kind::RegistrationRequest,
        Kind::RegistrationReply,
        Kind::PurgeRequest,
        Kind::PurgeReply,
        Kind::Error,
        Kind::TrafficIndication,
    ]);
    let numbers = any::<(u8, u16, u32)>();
    let addresses =
        (underlay(v6), option::of(some_vni()), option::of(address(protocol)), option::of(address(protocol)));
    (kinds, numbers, addresses).prop_map(
        move |(kind, (hop_count, flags, request_id), (nbma, vni, source, destination))| Header {
            kind,
            protocol,
            hop_count,
            flags: if kind.is_about_packet() { 0 } else { flags },
            request_id,
            nbma,
            vni,
            source,
            destination,
        },
    )
}

/// A family of NBMA addresses (whether it is IPv6) and a protocol.
fn families() -> impl Strategy<Value = (bool, Protocol)> {
    (any::<bool>(), prop::sample::select(vec![Protocol::Ethernet, Protocol::Ipv4, Protocol::Ipv6]))
}

fn parts() -> impl Strategy<Value = Parts> {
    let extensions =
        vec((prop_oneof![1..12u16, 1..=0x3fffu16], any::<bool>(), vec(any::<u8>(), 0..40)), 0..6);
    families()
        .prop_flat_map(|(v6, protocol)| (header(v6, protocol), vec(cie(v6, protocol), 0..5)))
        .prop_flat_map(move |(header, cies)| {
            (Just(header), Just(cies), vec(any::<u8>(), 0..200), extensions.clone())
        })
        .prop_map(|(header, mut cies, mut in_error, mut extensions)| {
            if header.kind.is_about_packet() {
                cies.clear()
            } else {
                in_error.clear()
            }
            let mut seen = Vec::new();
            extensions.retain(|(kind, ..)| {
                let first = !seen.contains(kind);
                seen.push(*kind);
                first || *kind == kind::VENDOR
            });
            Parts { header, cies, in_error, extensions }
        })
}

/// How many extensions stand before the end mark, counted without the code under test.
fn count_extensions(mut octets: &[u8]) -> usize {
    let mut count = 0;
    while octets.len() >= 4 && (octets[0] & 0x3f, octets[1]) != (0, 0) {
        octets = &octets[4 + usize::from(u16::from_be_bytes([octets[2], octets[3]]))..];
        count += 1;
    }
    count
}

/// What has to be true of any octets whatsoever.
fn holds_for(packet: &[u8]) {
    let message = match Message::parse(packet) {
        Ok(message) => message,
        Err(fault) => {
            assert!(matches!(fault.code, error::PROTOCOL | error::INVALID_EXTENSION));
            assert!(usize::from(fault.offset) <= packet.len());
            return;
        }
    };
    for kind in 0..12 {
        message.extension_cie(kind);
    }
    let mut buf = [0xa5; 2048];
    let len = golden::rebuild(&message, &mut buf).expect("what can be read can be written");
    let again = Message::parse(&buf[..len]).unwrap();
    assert!(golden::same(&message, &again));

    // The iterators went through all of it: the rebuilt body is as long as the one that came in.
    let field = |packet: &[u8], at: usize| usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
    let body_end = |packet: &[u8]| match field(packet, 14) {
        0 => field(packet, 10),
        extensions => extensions,
    };
    assert_eq!(body_end(packet), body_end(&buf));
    assert_eq!(message.extensions().count(), count_extensions(&packet[body_end(packet)..field(packet, 10)]));
}

fn ones_complement_sum(octets: &[u8]) -> u16 {
    let sum: u64 =
        octets.iter().enumerate().map(|(i, o)| u64::from(*o) << if i % 2 == 0 { 8 } else { 0 }).sum();
    match sum % 0xffff {
        0 if sum > 0 => 0xffff,
        n => n as u16,
    }
}

fn tag() -> impl Strategy<Value = VpnTag> {
    prop_oneof![
        any::<([u8; 3], u32)>().prop_map(|(oui, index)| VpnTag::Llc(VpnId::new(oui, index))),
        any::<u32>().prop_map(VpnTag::Key),
        Just(VpnTag::None),
    ]
}

proptest! {
    #[test]
    fn parse_undoes_emit(parts in parts()) {
        let mut buf = [0xa5; MAX_NHRP];
        let len = parts.write(&mut buf).unwrap();
        prop_assert!(buf[len..].iter().all(|o| *o == 0xa5));
        let message = Message::parse(&buf).unwrap();
        prop_assert_eq!(message.header, parts.header);
        prop_assert!(message.cies().eq(parts.cies.iter().copied()));
        prop_assert_eq!(message.packet_in_error(), &parts.in_error);
        let extensions = parts.extensions.iter();
        let extensions = extensions.map(|(kind, compulsory, value)| Extension {
            kind: *kind,
            compulsory: *compulsory,
            value,
        });
        prop_assert!(message.extensions().eq(extensions));

        let mut again = [0x5a; MAX_NHRP];
        prop_assert_eq!(golden::rebuild(&message, &mut again), Some(len));
        prop_assert_eq!(&buf[..len], &again[..len]);
    }

    #[test]
    fn a_cie_in_an_extension_comes_back(
        (header, cie) in families().prop_flat_map(|(v6, p)| (header(v6, p), cie(v6, p))),
        kind in 1..=0x3fffu16,
        compulsory: bool,
    ) {
        let mut buf = [0xa5; MAX_NHRP];
        let mut writer = Writer::new(&mut buf, &header);
        writer.extension_cie(kind, compulsory, &cie);
        let len = writer.finish().unwrap();
        let message = Message::parse(&buf[..len]).unwrap();
        prop_assert_eq!(message.extension_cie(kind), Some(cie));
        prop_assert!(message.extensions().all(|e| e.compulsory == compulsory));
    }

    #[test]
    fn a_small_buffer_is_no_packet(parts in parts(), short in 1..200usize) {
        let mut buf = [0xa5; MAX_NHRP];
        let len = parts.write(&mut buf).unwrap();
        let room = len.saturating_sub(short);
        let mut small = [0xa5; MAX_NHRP];
        let written = parts.write(&mut small[..room]);
        prop_assert!(small[room..].iter().all(|o| *o == 0xa5));
        if parts.in_error.is_empty() {
            prop_assert_eq!(written, None);
        } else if let Some(len) = written {
            // Of a packet in error there is what fits.
            let message = Message::parse(&small[..len]).unwrap();
            prop_assert!(parts.in_error.starts_with(message.packet_in_error()));
        }
    }

    /// All NBMA addresses are of one family and all protocol addresses of one protocol, or there is no packet.
    #[test]
    fn mixed_addresses_are_no_packet(
        (v6, header) in families().prop_flat_map(|(v6, p)| (Just(v6), header(v6, p))),
        (other_v6, cie) in families().prop_flat_map(|(v6, p)| (Just(v6), cie(v6, p))),
    ) {
        let mixed = cie.nbma.is_some() && v6 != other_v6
            || cie.address.is_some_and(|a| a.protocol() != header.protocol);
        let header = Header { kind: Kind::ResolutionReply, ..header };
        let mut buf = [0xa5; MAX_NHRP];
        let mut writer = Writer::new(&mut buf, &header);
        writer.cie(&cie);
        prop_assert_eq!(writer.finish().is_none(), mixed);
        let mut writer = Writer::new(&mut buf, &header);
        writer.extension_cie(kind::RESPONDER, true, &cie);
        prop_assert_eq!(writer.finish().is_none(), mixed);
        let header = Header { destination: cie.address, ..header };
        let writer = Writer::new(&mut buf, &header);
        prop_assert_eq!(writer.finish().is_none(), cie.address.is_some_and(|a| a.protocol() != header.protocol));
    }

    #[test]
    fn any_octets_are_safe(mut octets in vec(any::<u8>(), 0..400)) {
        holds_for(&octets);
        golden::fix_checksum(&mut octets);
        holds_for(&octets);
        let _ = gre::parse(&octets);
        let _ = llc::parse(&octets);
        let _ = wire::parse(&octets);
        let _ = wire::parse_payload(None, &octets);
        let _ = wire::parse_payload(Some(1), &octets);
    }

    #[test]
    fn any_gre_header_is_safe(flags: u16, rest in vec(any::<u8>(), 0..80)) {
        let packet = [&flags.to_be_bytes()[..], &gre::PROTOCOL_NHRP.to_be_bytes(), &rest].concat();
        if let Ok((_, nhrp)) = wire::parse(&packet) {
            prop_assert!(packet.ends_with(nhrp));
        }
    }

    /// Octets with a plausible header, so that more than the first check is reached.
    #[test]
    fn any_body_is_safe(parts in parts(), body in vec(any::<u8>(), 0..200), extensions: prop::sample::Index) {
        let mut buf = [0; 2 * MAX_NHRP];
        let start = Writer::new(&mut buf, &parts.header).finish().unwrap();
        buf[start..][..body.len()].copy_from_slice(&body);
        let end = start + body.len();
        buf[10..12].copy_from_slice(&(end as u16).to_be_bytes());
        buf[14..16].copy_from_slice(&((start + extensions.index(body.len() + 1)) as u16).to_be_bytes());
        golden::fix_checksum(&mut buf[..end]);
        holds_for(&buf[..end]);
    }

    #[test]
    fn a_changed_golden_frame_is_safe(
        frame in prop::sample::select(golden::ALL.to_vec()),
        flips in vec((any::<prop::sample::Index>(), 0..8u32), 0..5),
        // Octets that are, or are part of, a length or an offset; further on, those of the first CIE.
        lengths in vec((prop::sample::select(vec![10, 11, 14, 15, 18, 19, 20, 21, 56, 57, 58]), any::<u8>()), 0..3),
        cut in option::of(any::<prop::sample::Index>()),
        fix: bool,
    ) {
        let mut packet = golden::octets(frame);
        for (at, bit) in flips {
            let at = at.index(packet.len());
            packet[at] ^= 1 << bit;
        }
        for (at, value) in lengths {
            packet[at] = value;
        }
        if let Some(cut) = cut {
            packet.truncate(cut.index(packet.len()));
        }
        if fix {
            golden::fix_checksum(&mut packet);
        }
        holds_for(&packet);
    }

    #[test]
    fn reading_a_probe_undoes_writing_it(probe in probe(), vni in some_vni(), cut: prop::sample::Index) {
        let mut buf = vec![0xa5; probe.size() + 9];
        prop_assert_eq!(probe.emit(vni, &mut buf[..probe.size() - 1]), None);
        let size = probe.emit(vni, &mut buf).unwrap();
        prop_assert_eq!(size, probe.size());
        prop_assert!(buf[size..].iter().all(|o| *o == 0xa5));
        prop_assert_eq!(Probe::parse(&buf[8..]), Some(probe));
        let cut = cut.index(size);
        prop_assert_eq!(Probe::parse(&buf[8..size][..cut.saturating_sub(8)]), None);
        // An ICMP error has the beginning: 53 octets are enough.
        let nonce = (!probe.is_answer && cut >= 53).then_some((probe.asker.vni, probe.nonce));
        prop_assert_eq!(quoted(&buf[..cut]), nonce);
        // None is larger than a datagram.
        if let Some(mtu) = u16::try_from(size - 22).ok().filter(|_| size <= MOST) {
            prop_assert_eq!(Probe::filling(mtu, probe.asker.nbma), probe.padding);
        }
    }

    #[test]
    fn what_is_nearly_a_probe_is_read_as_it_would_be_written(
        probe in probe(),
        vni in some_vni(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let probe = Probe { padding: probe.padding % 64, ..probe };
        let mut buf = [0; 256];
        let size = probe.emit(vni, &mut buf).unwrap();
        for (at, octet) in changes {
            buf[at.index(size)] = octet;
        }
        if let Some(read) = Probe::parse(&buf[8..size]) {
            let mut again = [0; 256];
            let size = read.emit(vni, &mut again).unwrap();
            prop_assert_eq!(Probe::parse(&again[8..size]), Some(read));
        }
        let _ = quoted(&buf[..size]);
    }

    #[test]
    fn a_loop_frame_is_read_as_it_was_written_and_nothing_else_is_one(
        octets in any::<[u8; 5]>(),
        nonce: u64,
        cut in 0..loop_frame::LEN,
        at in 0..26usize,
        bit in 0..8u8,
        noise in vec(any::<u8>(), 0..100),
    ) {
        let [b, c, d, e, f] = octets;
        let mut frame = loop_frame::emit(Mac::new([2, b, c, d, e, f]).unwrap(), nonce);
        prop_assert_eq!(loop_frame::parse(&frame), Some(nonce));
        prop_assert_eq!(loop_frame::parse(&[&frame[..], &noise].concat()), Some(nonce));
        prop_assert_eq!(loop_frame::parse(&frame[..cut]), (cut >= 26).then_some(nonce));
        frame[at] ^= 1u8 << bit;
        let other = loop_frame::parse(&frame);
        match at {
            6..12 => prop_assert_eq!(other, Some(nonce)),
            18.. => prop_assert!(other.is_some_and(|other| other != nonce)),
            _ => prop_assert_eq!(other, None),
        }
        let _ = loop_frame::parse(&noise);
    }

    #[test]
    fn the_prefix_comes_off_again(tag in tag(), nhrp in vec(any::<u8>(), 0..100)) {
        // NHRP starts with an address family, which 0xAAAA is not.
        let nhrp = [&[0, 1], &nhrp[..]].concat();
        let packet = [Prefix::gre(tag).as_bytes(), &nhrp].concat();
        prop_assert_eq!(wire::parse(&packet), Ok((tag, &nhrp[..])));
        let packet = [Prefix::payload(tag).as_bytes(), &nhrp].concat();
        let key = match tag {
            VpnTag::Key(key) => Some(key),
            VpnTag::Llc(vpn) => Some(vpn.index()),
            VpnTag::None => None,
        };
        prop_assert_eq!(wire::parse_payload(key, &packet), Ok((tag, &nhrp[..])));
    }

    #[test]
    fn the_checksum_is_that_of_the_definition(octets in vec(any::<u8>(), 0..130)) {
        prop_assert_eq!(!checksum(&octets), ones_complement_sum(&octets));
    }
}

#[test]
fn the_checksum_of_odd_octets() {
    assert_eq!(checksum(&[0xab, 0xcd, 0xef]), 0x6531);
    assert_eq!(checksum(&[0xab, 0xcd, 0xef, 0x00]), 0x6531);
    assert_eq!(checksum(&[]), 0xffff);
    assert_eq!(checksum(&[0xff]), 0x00ff);
}

/// More than an IP packet can hold, so nothing the network sends; the sum must not overflow all the same.
#[test]
fn the_checksum_of_many_octets() {
    let octets = vec![0xff; 1 << 20];
    assert_eq!(!checksum(&octets), ones_complement_sum(&octets));
}

#[test]
fn a_golden_frame_cut_short_is_refused() {
    for frame in golden::ALL {
        let packet = golden::octets(frame);
        for len in 0..packet.len() {
            assert!(Message::parse(&packet[..len]).is_err());
        }
    }
}

/// No single bit is left out of the checksum.
#[test]
fn a_golden_frame_with_one_wrong_bit_is_refused() {
    for frame in golden::ALL {
        let packet = golden::octets(frame);
        for bit in 0..packet.len() * 8 {
            let mut packet = packet.clone();
            packet[bit / 8] ^= 1 << (bit % 8);
            assert!(Message::parse(&packet).is_err(), "bit {bit}");
        }
    }
}

/// A mapped address in an IPv6 packet is an IPv4 address, which cannot stand there when it is written.
#[test]
fn a_mapped_address_in_a_cie_is_error_7() {
    let header = Header {
        kind: Kind::ResolutionReply,
        protocol: Protocol::Ethernet,
        hop_count: 16,
        flags: 0,
        request_id: 1,
        nbma: golden::nbma("2001:db8::1"),
        vni: None,
        source: None,
        destination: None,
    };
    let cie = Cie { nbma: Some(golden::nbma("2001:db8::2")), ..Cie::default() };
    let mut buf = [0; MAX_NHRP];
    let mut writer = Writer::new(&mut buf, &header);
    writer.cie(&cie);
    let len = writer.finish().unwrap();
    let mapped = "::ffff:10.0.0.2".parse::<Ipv6Addr>().unwrap();
    assert!(IpAddr::V6(mapped).to_canonical().is_ipv4());
    buf[56..72].copy_from_slice(&mapped.octets());
    golden::fix_checksum(&mut buf[..len]);
    let fault = Message::parse(&buf[..len]).unwrap_err();
    assert_eq!((fault.code, fault.offset), (error::PROTOCOL, 56));
}
