//! Golden frames: what they mean, and that writing this meaning gives the same octets.

mod golden;

use dmevpn::types::{Vni, VpnId, Vtep};
use dmevpn::wire::nhrp::{
    Challenge, Cie, DIGEST, Extension, Header, Kind, Message, Protocol, Tags, Writer, code, error, flag, kind,
};
use dmevpn::wire::probe::{self, Probe};
use dmevpn::wire::{self, Malformed, Prefix, VpnTag, llc, loop_frame};
use golden::{mac, nbma, octets, vni};
use hmac::{Hmac, KeyInit, Mac};

const SPOKE: &str = "2e:cd:9a:5c:ae:c7";
const HUB: &str = "02:00:00:00:00:01";
const STATION: &str = "52:54:00:00:00:0b";

/// An extension as the test spells it.
enum Ext {
    Opaque(Extension<'static>),
    Cie(u16, Cie),
    Tags(Tags),
    Challenge(Challenge),
}

/// The tags of the frames: the spoke's, the hub's, and that of a hub which was started again.
const NS: u64 = 0xa1a2_a3a4_a5a6_a7a8;
const C: u64 = 0xc1c2_c3c4_c5c6_c7c8;
const D: u64 = 0xd1d2_d3d4_d5d6_d7d8;
const OF_SPOKE: Tags = Tags { sender: NS, receiver: C };

/// The records every request asks for.
const RECORDS: [Ext; 2] = [
    Ext::Opaque(Extension::empty(kind::FORWARD_TRANSIT)),
    Ext::Opaque(Extension::empty(kind::REVERSE_TRANSIT)),
];

fn from_spoke(kind: Kind) -> Header {
    Header {
        kind,
        protocol: Protocol::Ethernet,
        hop_count: 16,
        flags: 0,
        request_id: 0,
        nbma: nbma("10.0.0.2"),
        vni: vni(100),
        source: mac(SPOKE),
        destination: mac(SPOKE),
    }
}

fn from_hub(kind: Kind) -> Header {
    Header { nbma: nbma("10.0.0.1"), vni: None, source: mac(HUB), ..from_spoke(kind) }
}

/// The CIE of a registration: 600 s, of the sender of the header.
fn registered() -> Cie {
    Cie { prefix: 0xff, mtu: 1450, holding: 600, ..Cie::default() }
}

/// The hub, as Responder Address.
fn responder() -> Ext {
    let hub =
        Cie { mtu: 1450, holding: 600, nbma: Some(nbma("10.0.0.1")), address: mac(HUB), ..Cie::default() };
    Ext::Cie(kind::RESPONDER, hub)
}

fn capabilities(value: &'static [u8; 8]) -> Ext {
    Ext::Opaque(Extension::capabilities(value))
}

/// Checks that `hex` says this, and that saying this gives `hex`.
fn agree(hex: &str, header: Header, cies: &[Cie], in_error: &[u8], extensions: &[Ext]) {
    let frame = octets(hex);
    let message = Message::parse(&frame).unwrap();
    assert_eq!(message.header, header);
    assert_eq!(message.cies().collect::<Vec<_>>(), cies);
    assert_eq!(message.packet_in_error(), in_error);
    assert_eq!(message.extensions().count(), extensions.len());
    for (got, want) in message.extensions().zip(extensions) {
        match want {
            Ext::Opaque(extension) => assert_eq!(got, *extension),
            Ext::Cie(kind, cie) => {
                assert_eq!((got.kind, got.compulsory), (*kind, true));
                assert_eq!(message.extension_cie(*kind), Some(*cie));
            }
            Ext::Tags(tags) => assert_eq!((message.tags(), got.compulsory), (Some(*tags), false)),
            Ext::Challenge(challenge) => assert_eq!(message.challenge(), Some(*challenge)),
        }
    }

    let mut buf = [0xa5; wire::MAX_NHRP];
    let mut writer = Writer::new(&mut buf, &header);
    for cie in cies {
        writer.cie(cie);
    }
    writer.packet_in_error(in_error);
    for extension in extensions {
        match extension {
            Ext::Opaque(extension) => writer.extension(*extension),
            Ext::Cie(kind, cie) => writer.extension_cie(*kind, true, cie),
            Ext::Tags(tags) => writer.tags(*tags),
            Ext::Challenge(challenge) => writer.challenge(*challenge),
        };
    }
    let len = writer.finish().unwrap();
    assert_eq!(buf[..len], frame);
}

#[test]
fn frame_a_registration_request() {
    let header =
        Header { flags: flag::REGISTRATION_UNIQUE, request_id: 1, ..from_spoke(Kind::RegistrationRequest) };
    let [forward, reverse] = RECORDS;
    let extensions = [Ext::Opaque(Extension::empty(kind::RESPONDER)), forward, reverse];
    agree(golden::A, header, &[registered()], &[], &extensions);
}

#[test]
fn frame_b_registration_reply() {
    let header =
        Header { flags: flag::REGISTRATION_UNIQUE, request_id: 1, ..from_spoke(Kind::RegistrationReply) };
    let [forward, reverse] = RECORDS;
    agree(golden::B, header, &[registered()], &[], &[responder(), forward, reverse]);

    let a = octets(golden::A);
    assert_eq!(Message::parse(&a).unwrap().header.reply(Kind::RegistrationReply), header);
}

#[test]
fn frame_c_resolution_request() {
    let header = Header {
        flags: flag::ROUTER | flag::AUTHORITATIVE,
        request_id: 2,
        destination: mac(STATION),
        ..from_spoke(Kind::ResolutionRequest)
    };
    let [forward, reverse] = RECORDS;
    let asked = Ext::Opaque(Extension::empty(kind::RESPONDER));
    let source_aware = capabilities(&[0, 0, 0, 1, 0, 0, 0, 0]);
    agree(golden::C, header, &[], &[], &[asked, forward, reverse, source_aware]);
}

#[test]
fn frame_d_resolution_reply() {
    let header = Header {
        flags: flag::ROUTER | flag::AUTHORITATIVE,
        request_id: 2,
        destination: mac(STATION),
        ..from_spoke(Kind::ResolutionReply)
    };
    let station = Cie {
        code: code::OK,
        prefix: 0xff,
        mtu: 1450,
        holding: 287,
        preference: 255,
        nbma: Some(nbma("10.0.0.3")),
        vni: vni(101),
        address: mac(STATION),
    };
    let [forward, reverse] = RECORDS;
    let both_aware = capabilities(&[0, 0, 0, 1, 0, 0, 0, 1]);
    agree(golden::D, header, &[station], &[], &[responder(), forward, reverse, both_aware]);
}

#[test]
fn frame_e_no_binding() {
    let header = Header {
        flags: flag::ROUTER | flag::AUTHORITATIVE,
        request_id: 3,
        destination: mac("52:54:00:00:00:0c"),
        ..from_spoke(Kind::ResolutionReply)
    };
    let [forward, reverse] = RECORDS;
    let both_aware = capabilities(&[0, 0, 0, 1, 0, 0, 0, 1]);
    let nak = Cie::nak(code::NO_BINDING);
    agree(golden::E, header, &[nak], &[], &[responder(), forward, reverse, both_aware]);
}

#[test]
fn frames_f_and_g_purge() {
    let moved = Cie {
        prefix: 0xff,
        nbma: Some(nbma("10.0.0.3")),
        vni: vni(101),
        address: mac(STATION),
        ..Cie::default()
    };
    let request = Header { request_id: 7, ..from_hub(Kind::PurgeRequest) };
    agree(golden::F, request, &[moved], &[], &[]);
    agree(golden::G, request.reply(Kind::PurgeReply), &[moved], &[], &[]);
}

#[test]
fn frame_h_error_indication() {
    let header =
        Header { request_id: Header::error_word(error::VPN_UNSUPPORTED, 0), ..from_hub(Kind::Error) };
    agree(golden::H, header, &[], &octets(golden::C), &[]);
    assert_eq!(header.error_code(), error::VPN_UNSUPPORTED);
}

#[test]
fn frame_i_authenticated_registration() {
    let header =
        Header { flags: flag::REGISTRATION_UNIQUE, request_id: 9, ..from_spoke(Kind::RegistrationRequest) };
    let authentication = Extension {
        kind: kind::AUTHENTICATION,
        compulsory: true,
        value: &[
            0x00, 0x00, 0x01, 0x00, 0x2e, 0xcd, 0x9a, 0x5c, 0xae, 0xc7, 0x2e, 0x53, 0xae, 0x06, 0xf6, 0x0b,
            0x57, 0xd8, 0x4a, 0x7c, 0x64, 0xff, 0x4c, 0x61, 0xe1, 0x55,
        ],
    };
    let [forward, reverse] = RECORDS;
    let asked = Ext::Opaque(Extension::empty(kind::RESPONDER));
    agree(golden::I, header, &[registered()], &[], &[asked, forward, reverse, Ext::Opaque(authentication)]);
}

#[test]
fn frame_j_registration_nak_behind_nat() {
    let header =
        Header { flags: flag::REGISTRATION_UNIQUE, request_id: 1, ..from_spoke(Kind::RegistrationReply) };
    let comes_from = Some(nbma("198.51.100.7"));
    let nak = Cie { code: code::PROHIBITED, holding: 0, nbma: comes_from, ..registered() };
    let [forward, reverse] = RECORDS;
    agree(golden::J, header, &[nak], &[], &[responder(), forward, reverse]);
}

/// Whether who has a MAC is there.
#[test]
fn frame_k_purge_of_a_rival() {
    let rival = Cie {
        prefix: 0xff,
        nbma: Some(nbma("10.0.0.3")),
        vni: vni(101),
        address: mac(SPOKE),
        ..Cie::default()
    };
    let request = Header { request_id: 7, ..from_hub(Kind::PurgeRequest) };
    agree(golden::K, request, &[rival], &[], &[]);
}

/// Who has a MAC is not there any more.
#[test]
fn frame_l_purge_of_a_former_place() {
    let former = Cie {
        prefix: 0xff,
        nbma: Some(nbma("10.0.0.2")),
        vni: vni(100),
        address: mac(SPOKE),
        ..Cie::default()
    };
    let request = Header {
        flags: flag::NO_REPLY,
        request_id: 2,
        nbma: nbma("10.0.0.77"),
        destination: mac(HUB),
        ..from_spoke(Kind::PurgeRequest)
    };
    agree(golden::L, request, &[former], &[], &[]);
}

#[test]
fn frame_m_registration_nak_rival() {
    let header = Header {
        flags: flag::REGISTRATION_UNIQUE,
        request_id: 1,
        nbma: nbma("10.0.0.3"),
        vni: vni(101),
        ..from_spoke(Kind::RegistrationReply)
    };
    let holder = (Some(nbma("10.0.0.2")), vni(100));
    let nak =
        Cie { code: code::ALREADY_REGISTERED, holding: 0, nbma: holder.0, vni: holder.1, ..registered() };
    let [forward, reverse] = RECORDS;
    agree(golden::M, header, &[nak], &[], &[responder(), forward, reverse]);
}

#[test]
fn session_registration_and_challenge() {
    let request =
        Header { flags: flag::REGISTRATION_UNIQUE, request_id: 1, ..from_spoke(Kind::RegistrationRequest) };
    let tags = Tags { sender: NS, receiver: 0 };
    agree(golden::SESSION_REGISTRATION, request, &[registered()], &[], &[Ext::Tags(tags)]);
    let nak = Cie { code: code::PROHIBITED, holding: 0, ..registered() };
    let challenge = Ext::Challenge(Challenge { cookie: C, tag: NS });
    let extensions = [Ext::Tags(tags), challenge];
    let reply = request.reply(Kind::RegistrationReply);
    agree(golden::SESSION_CHALLENGE, reply, &[nak], &[], &extensions);
    let request = Header { request_id: 2, ..request };
    let [forward, reverse] = RECORDS;
    let extensions = [Ext::Opaque(Extension::empty(kind::RESPONDER)), forward, reverse, Ext::Tags(OF_SPOKE)];
    agree(golden::SESSION_COOKIE, request, &[registered()], &[], &extensions);
}

#[test]
fn session_purge_of_a_hub() {
    let moved = Cie {
        prefix: 0xff,
        nbma: Some(nbma("10.0.0.3")),
        vni: vni(101),
        address: mac(STATION),
        ..Cie::default()
    };
    let request = Header { request_id: 7, ..from_hub(Kind::PurgeRequest) };
    agree(golden::SESSION_PURGE, request, &[moved], &[], &[Ext::Tags(OF_SPOKE.flipped())]);
}

#[test]
fn session_resolution_and_challenge() {
    let request = Header {
        flags: flag::ROUTER | flag::AUTHORITATIVE,
        request_id: 3,
        destination: mac(STATION),
        ..from_spoke(Kind::ResolutionRequest)
    };
    let [forward, reverse] = RECORDS;
    let asked = Ext::Opaque(Extension::empty(kind::RESPONDER));
    let source_aware = capabilities(&[0, 0, 0, 1, 0, 0, 0, 0]);
    let extensions = [asked, forward, reverse, source_aware, Ext::Tags(OF_SPOKE)];
    agree(golden::SESSION_RESOLUTION, request, &[], &[], &extensions);
    let [forward, reverse] = RECORDS;
    let both_aware = capabilities(&[0, 0, 0, 1, 0, 0, 0, 1]);
    let challenge = Ext::Challenge(Challenge { cookie: D, tag: NS });
    let extensions = [responder(), forward, reverse, both_aware, Ext::Tags(OF_SPOKE), challenge];
    let reply = request.reply(Kind::ResolutionReply);
    agree(golden::SESSION_RESOLUTION_CHALLENGE, reply, &[Cie::nak(code::PROHIBITED)], &[], &extensions);
}

#[test]
fn session_withdrawal() {
    let own = Cie {
        prefix: 0xff,
        nbma: Some(nbma("10.0.0.2")),
        vni: vni(100),
        address: mac(SPOKE),
        ..Cie::default()
    };
    let request = Header { request_id: 4, destination: mac(HUB), ..from_spoke(Kind::PurgeRequest) };
    agree(golden::SESSION_WITHDRAWAL, request, &[own], &[], &[Ext::Tags(OF_SPOKE)]);
    let reply = request.reply(Kind::PurgeReply);
    agree(golden::SESSION_WITHDRAWAL_REPLY, reply, &[own], &[], &[Ext::Tags(OF_SPOKE)]);
}

#[test]
fn a_loop_frame() {
    let source = "fe:cd:9a:5c:ae:c7".parse().unwrap();
    let frame = loop_frame::emit(source, 0xf1f2_f3f4_f5f6_f7f8);
    assert_eq!(frame[..], octets(golden::LOOP_FRAME));
    assert_eq!(loop_frame::parse(&frame), Some(0xf1f2_f3f4_f5f6_f7f8));
}

#[test]
fn frames_t_to_v_probes() {
    let question = Probe {
        is_answer: false,
        source: SPOKE.parse().unwrap(),
        transaction: 1,
        flags: 0,
        asker: Vtep { nbma: nbma("10.0.0.2"), vni: vni(100).unwrap() },
        nonce: 0xf1f2_f3f4_f5f6_f7f8,
        tag: C,
        padding: 4,
    };
    let asker = Vtep { nbma: nbma("fd00::2"), ..question.asker };
    let registered = probe::flag::REGISTERED;
    for (hex, expected) in [
        (golden::T, question),
        (golden::U, Probe { is_answer: true, source: HUB.parse().unwrap(), flags: registered, ..question }),
        (golden::V, Probe { transaction: 2, asker, tag: 0, ..question }),
    ] {
        let frame = octets(hex);
        assert_eq!(Probe::parse(&frame), Some(expected));
        let mut buf = [0xff; 100];
        let size = expected.emit(Vni::new(0x1f_11e8).unwrap(), &mut buf).unwrap();
        assert_eq!(size, expected.size());
        assert_eq!(buf[..8], [8, 0, 0, 0, 0x1f, 0x11, 0xe8, 0]);
        assert_eq!(buf[8..size], frame);
        let quoted = (!expected.is_answer).then_some((expected.asker.vni, expected.nonce));
        assert_eq!(probe::quoted(&buf[..size]), quoted);
    }
}

#[test]
fn the_llc_prefix() {
    let vpn = VpnId::new(VpnId::DEFAULT_OUI, 1);
    let prefix = octets(golden::LLC_PREFIX);
    assert_eq!(llc::emit(vpn).as_slice(), prefix);
    assert_eq!(Prefix::payload(VpnTag::Llc(vpn)).as_bytes(), prefix);

    let a = octets(golden::A);
    let packet = [&[0x00, 0x00, 0x20, 0x01], &prefix[..], &a].concat();
    assert_eq!(wire::parse(&packet), Ok((VpnTag::Llc(vpn), &a[..])));
}

/// The old program's two VPN headers are no LLC header of NHRP: refused, and not answered.
#[test]
fn legacy_packets_are_not_nhrp() {
    for hex in [
        golden::LEGACY_REGISTRATION_REQUEST,
        golden::LEGACY_RESOLUTION_REQUEST,
        golden::LEGACY_RESOLUTION_REPLY,
    ] {
        assert_eq!(wire::parse_payload(None, &octets(hex)), Err(Malformed::OldFormat));
    }
}

/// What is left without these headers is refused for each of its further faults, one behind the other.
#[test]
fn legacy_packets_without_headers_are_error_7() {
    for (hex, vni_at) in [
        (golden::LEGACY_REGISTRATION_REQUEST, Some(32)),
        (golden::LEGACY_RESOLUTION_REQUEST, None),
        (golden::LEGACY_RESOLUTION_REPLY, Some(32)),
    ] {
        let mut packet = octets(hex)[32..].to_vec();
        let fault = |packet: &[u8]| {
            let fault = Message::parse(packet).unwrap_err();
            (fault.code, fault.offset)
        };
        // 0x8100 is a tag, not the protocol of a MAC.
        assert_eq!(fault(&packet), (error::PROTOCOL, 2));
        packet[2..4].copy_from_slice(&[0x65, 0x58]);
        // The size counts the LLC headers,
        assert_eq!(fault(&packet), (error::PROTOCOL, 10));
        packet[11] -= 32;
        // so does the offset of the extensions, where it still points into the packet;
        packet[15] -= 32;
        // the VNI is in the order of the host,
        if let Some(at) = vni_at {
            assert_eq!(fault(&packet), (error::PROTOCOL, at));
            packet[usize::from(at)..][..4].reverse();
        }
        // and the checksum is one over the LLC headers.
        assert_eq!(fault(&packet), (error::PROTOCOL, 12));
        golden::fix_checksum(&mut packet);
        let message = Message::parse(&packet).unwrap();
        assert_eq!(message.cies().count(), 1);
    }
}

/// The packet that `octets` are, written anew and signed by a key that the test knows; that what is covered is all of it.
fn sign_again(hex: &str, digest: impl Fn(&[u8]) -> [u8; DIGEST]) {
    let frame = octets(hex);
    let message = Message::parse(&frame).unwrap();
    let signature = message.signature().expect("it is signed");
    assert_eq!((signature.spi, *signature.digest), (256, digest(&signature.covered.concat())));
    let mut buf = [0xa5; wire::MAX_NHRP];
    let mut writer = Writer::new(&mut buf, &message.header);
    message.cies().for_each(|cie| {
        writer.cie(&cie);
    });
    for extension in message.extensions().filter(|e| e.kind != kind::AUTHENTICATION) {
        writer.extension(extension);
    }
    let len = writer.finish_signed(256, None, digest).unwrap();
    assert_eq!(buf[..len], frame);
}

#[test]
fn signed_frames() {
    let md5 = |packet: &[u8]| -> [u8; DIGEST] {
        let hash = Hmac::<md5::Md5>::new_from_slice(b"0123456789abcdef").unwrap();
        hash.chain_update(packet).finalize().into_bytes().into()
    };
    let sha256 = |packet: &[u8]| -> [u8; DIGEST] {
        let hash = Hmac::<sha2::Sha256>::new_from_slice(b"0123456789abcdef").unwrap();
        *hash.chain_update(packet).finalize().into_bytes().first_chunk().unwrap()
    };
    sign_again(golden::I, md5);
    sign_again(golden::SESSION_SIGNED, sha256);
    // It is the last one, at the very end, or none.
    for hex in golden::ALL.iter().filter(|hex| ![golden::I, golden::SESSION_SIGNED].contains(hex)) {
        assert_eq!(Message::parse(&octets(hex)).unwrap().signature(), None);
    }
    let mut longer = [octets(golden::SESSION_SIGNED), vec![0; 4]].concat();
    longer[11] += 4;
    golden::fix_checksum(&mut longer);
    assert_eq!(Message::parse(&longer).unwrap().signature(), None);
}
