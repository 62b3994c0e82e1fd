//! G. Error Indications.

use super::*;
use dmevpn::engine::report::Oddity;
use dmevpn::engine::settings::VpnMode;
use dmevpn::engine::{Event, Path, Refusal};
use dmevpn::types::{Nbma, VpnId};
use dmevpn::wire::nhrp::{Message, error};
use dmevpn::wire::{Malformed, VpnTag};

#[test]
fn g1_g11_g15_k14_unknown_vpn_is_frame_h() {
    let mut hub = Driven::hub();
    let tag = VpnTag::Llc(VpnId::new(VpnId::DEFAULT_OUI, 2));
    let question = golden::octets(golden::C);
    let sent = hub.hear(client(2).path(), tag, &question);
    let golden = golden::octets(golden::H);
    let golden = Message::parse(&golden).unwrap();
    let ours = sent[0].message();
    // A VN that is not known here has no MAC: the source protocol address is missing.
    assert_eq!(ours.header, Header { source: None, ..golden.header });
    assert_eq!(ours.packet_in_error(), question);
    assert_eq!(ours.extensions().count(), 0);
    // K16: the error names the VN.
    assert_eq!(sent[0].tag, tag);
}

#[test]
fn g2_h8_unknown_compulsory_extension_is_error_1() {
    let (mut hub, two, _) = hub_and_two();
    let unknown = Extension { kind: 0x3801, compulsory: true, value: &[1] };
    for kind in [Kind::RegistrationRequest, Kind::ResolutionRequest, Kind::PurgeRequest] {
        let request = write(&two.header(kind, 0x4000, 2, two.source), |w| {
            w.cie(&Cie { address: Some(two.source), ..Cie::default() }).extension(unknown);
        });
        let sent = hub.ask(&two, &request);
        assert!(is_error(&sent, error::UNRECOGNIZED_EXTENSION), "{kind:?}");
        let offset = sent.header().request_id as usize & 0xffff;
        assert_eq!(request[offset..offset + 2], [0xb8, 0x01], "G10");
    }
    assert_eq!(hub.engine.peers(hub.now, VN, None, usize::MAX).len(), 2, "nothing was withdrawn");
}

#[test]
fn g5_damaged_packet_is_error_7() {
    let (mut hub, two, _) = hub_and_two();
    let good = two.question(2, address(STATION));
    for at in [0, 2, 12, 16, 17] {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        let sent = hub.hear(two.path(), TAG, &bad);
        assert_eq!(sent.len(), 1, "octet {at}");
        assert!(is_error(&sent[0], error::PROTOCOL), "octet {at}");
    }
    assert_eq!(hub.engine.statistics().rx_malformed, 5);
}

#[test]
fn g11_source_is_who_saw_it_and_destination_who_sent_it() {
    let (mut hub, two, _) = hub_and_two();
    let request = write(&two.header(Kind::RegistrationRequest, 0, 1, two.source), |_| {});
    let header = hub.ask(&two, &request).header();
    assert_eq!((header.nbma, header.source), (nbma("10.0.0.1"), Some(address(HUB_MAC))));
    assert_eq!(header.destination, Some(two.source));
}

#[test]
fn g12_no_error_about_an_error() {
    let (mut hub, two, _) = hub_and_two();
    let error = golden::octets(golden::H);
    let unknown = VpnTag::Llc(VpnId::new(VpnId::DEFAULT_OUI, 2));
    assert!(hub.hear(two.path(), TAG, &error).is_empty());
    assert!(hub.hear(two.path(), unknown, &error).is_empty());
    let mut bad = error.clone();
    bad[12] ^= 1;
    assert!(hub.hear(two.path(), TAG, &bad).is_empty());
    assert!(Driven::registered().hear_from_hub(&error).is_empty());
}

#[test]
fn g13_at_most_one_error_for_a_packet() {
    let (mut hub, two, _) = hub_and_two();
    // Twice wrong: two CIEs, and an extension nobody knows.
    let question = write(&two.header(Kind::ResolutionRequest, 0, 2, address(STATION)), |w| {
        w.cie(&Cie::default()).cie(&Cie::default());
        w.extension(Extension { kind: 0x3801, compulsory: true, value: &[] });
    });
    assert_eq!(hub.hear(two.path(), TAG, &question).len(), 1);
}

/// The hub's Error Indication about a request, of which it quotes so much.
fn error_about(request: &Sent, code: u16, quoted: &[u8]) -> Vec<u8> {
    let header = Header {
        kind: Kind::Error,
        flags: 0,
        request_id: Header::error_word(code, 0),
        nbma: nbma("10.0.0.1"),
        vni: None,
        source: None,
        destination: request.header().source,
        ..request.header()
    };
    write(&header, |w| {
        w.packet_in_error(quoted);
    })
}

#[test]
fn g_error_about_a_registration_is_a_refusal() {
    let mut spoke = Driven::spoke(VpnMode::Llc, 1);
    let request = spoke.one();
    let error = error_about(&request, error::VPN_UNSUPPORTED, &request.bytes);
    spoke.hear_from_hub(&error);
    assert!(spoke.pass(7 * SECOND).is_empty(), "no hurry");
    let sent = spoke.pass(6 * SECOND);
    assert_eq!(sent[0].header().kind, Kind::RegistrationRequest);
    assert_ne!(sent[0].header().request_id, request.header().request_id);
}

/// A hub of another maker, which knows no MACs, may say so; FRR quotes no more than the header.
#[test]
fn g_error_that_quotes_the_header_alone_is_a_refusal() {
    // 28 octets, an underlay address, a VNI, two MACs: the header.
    for length in [76, 48, 47, 0] {
        let mut spoke = Driven::spoke(VpnMode::None, 1);
        let request = spoke.one();
        let error = error_about(&request, error::UNREACHABLE, &request.bytes[..length]);
        let path = Path { local: nbma("10.0.0.2"), remote: nbma("10.0.0.1") };
        spoke.hear(path, VpnTag::None, &error);
        let reason = Refusal::Error(error::UNREACHABLE);
        let told = spoke.told(&Event::Refused { hub: nbma("10.0.0.1"), reason });
        assert_eq!(told, length >= 48, "{length} octets");
    }
}

/// What the log is told of odd packets in the last step.
fn odd(driven: &Driven) -> Vec<(Nbma, Oddity)> {
    let odd =
        |e: &Effect| if let Effect::Odd { peer, oddity, .. } = e { Some((*peer, *oddity)) } else { None };
    driven.out.iter().filter_map(odd).collect()
}

#[test]
fn what_makes_no_sense_is_counted_and_told_once() {
    let (mut hub, two, three) = hub_and_two();
    let strange = write(&two.header(Kind::RegistrationRequest, 0x8000, 2, two.source), |w| {
        let unknown = Extension { kind: 0x3801, compulsory: true, value: &[] };
        w.cie(&Cie::default()).extension(unknown);
    });
    let unknown = VpnTag::Llc(VpnId::new(VpnId::DEFAULT_OUI, 7));
    for round in 0..3 {
        let told = |all: &[(Nbma, Oddity)]| if round == 0 { all.to_vec() } else { Vec::new() };
        hub.hear(two.path(), TAG, &strange);
        assert_eq!(odd(&hub), told(&[(two.nbma, Oddity::UnknownExtension(0x3801))]));
        hub.hear(three.path(), unknown, &three.registration(3));
        assert_eq!(odd(&hub), told(&[(three.nbma, Oddity::UnknownVn(unknown))]));
        hub.hear(three.path(), TAG, &strange[..30]);
        assert_eq!(odd(&hub), told(&[(three.nbma, Oddity::Malformed)]));
        hub.input(Input::Unreadable { from: nbma("10.0.0.9"), why: Malformed::OldFormat });
        assert_eq!(odd(&hub), told(&[(nbma("10.0.0.9"), Oddity::OldFormat)]));
        hub.hear(two.path(), TAG, &reports(&two, error::INVALID_EXTENSION, &two.registration(1)));
        let event = Event::PeerError { peer: two.nbma, code: error::INVALID_EXTENSION };
        assert!(!hub.told(&event), "nothing of the hub's is quoted");
    }
    let counted = hub.engine.statistics();
    assert_eq!((counted.rx_unknown_extension, counted.rx_old_format), (3, 3));
    assert_eq!((counted.rx_malformed, counted.rx_error, counted.rx_unknown_vpn), (3, 3, 3));
    let rows = hub.engine.oddities(hub.now);
    assert!(rows.len() == 4 && rows.iter().all(|row| row.count == 3), "{rows:?}");
}

/// An error is told, once, that is about what the hub waits for an answer to.
#[test]
fn an_error_about_what_was_asked_is_told() {
    let (mut hub, two, three) = hub_and_two();
    hub.learn(&three, address(STATION));
    hub.ask(&two, &two.question(2, address(STATION)));
    let sent = hub.hear(three.path(), TAG, &three.purge(9, 0, &[three.source]));
    let purge = sent.into_iter().find(|sent| sent.header().kind == Kind::PurgeRequest).unwrap();
    let event = Event::PeerError { peer: two.nbma, code: error::UNREACHABLE };
    let mut other = purge.bytes.clone();
    // Its ID.
    other[27] ^= 1;
    golden::fix_checksum(&mut other);
    for (quoted, is_told) in [(&other, false), (&purge.bytes, true), (&purge.bytes, false)] {
        hub.hear(two.path(), TAG, &reports(&two, error::UNREACHABLE, quoted));
        assert_eq!(hub.told(&event), is_told);
    }
    assert_eq!(hub.engine.statistics().rx_error, 3);
}

fn reports(client: &Client, code: u16, about: &[u8]) -> Vec<u8> {
    let header = Header {
        request_id: Header::error_word(code, 0),
        ..client.header(Kind::Error, 0, 0, address(HUB_MAC))
    };
    write(&header, |w| {
        w.packet_in_error(about);
    })
}

/// To a spoke a hub that is its hub no more is a stranger, and its VN is there.
#[test]
fn a_hub_of_before_is_nothing_odd() {
    let mut spoke = Driven::registered();
    let path = Path { local: nbma("10.0.0.2"), remote: nbma("10.0.0.77") };
    spoke.hear(path, TAG, &purge(0, 0, None));
    assert!(odd(&spoke).is_empty());
    assert_eq!(spoke.engine.statistics().rx_unknown_vpn, 1);
}

#[test]
fn a_hub_that_never_answers_is_told_once() {
    let mut spoke = Driven::spoke(VpnMode::Llc, 1);
    let event = Event::NoAnswer { hub: nbma("10.0.0.1"), signed: false };
    let mut told = Vec::new();
    for second in 0..300 {
        spoke.pass(SECOND);
        told.extend(spoke.told(&event).then_some(second));
        spoke.out.clear();
    }
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0] < 10, "{told:?}");
}

/// Each time anew: a hub that comes back and is silent again.
#[test]
fn a_hub_that_is_silent_again_is_told_again() {
    let hub = nbma("10.0.0.1");
    let mut spoke = Driven::spoke(VpnMode::Llc, 1);
    let mut told = Vec::new();
    for second in 0..3000 {
        let sent = spoke.pass(SECOND);
        for event in [Event::NoAnswer { hub, signed: false }, Event::RegistrationLost { hub }] {
            told.extend(spoke.told(&event).then_some((second / 1000, event)));
        }
        spoke.out.clear();
        // It answers once in a while.
        let request = sent.iter().rfind(|s| s.header().kind == Kind::RegistrationRequest);
        if let Some(request) = request.filter(|_| (100..300).contains(&(second % 1000))) {
            spoke.hear_from_hub(&accepted(&request.bytes, vni(9000)));
            spoke.out.clear();
        }
    }
    let lost = |n| (n, Event::RegistrationLost { hub });
    assert_eq!(told, [(0, Event::NoAnswer { hub, signed: false }), lost(0), lost(1), lost(2)]);
}
