//! H. and I. Extensions.

use super::*;
use dmevpn::wire::VpnTag;
use dmevpn::wire::nhrp::{error, kind};

#[test]
fn h3_extension_twice_is_error_9() {
    let (mut hub, two, _) = hub_and_two();
    let question = write(&two.header(Kind::ResolutionRequest, 0, 2, address(STATION)), |w| {
        w.extension(Extension::empty(kind::RESPONDER)).extension(Extension::empty(kind::RESPONDER));
    });
    assert!(is_error(&hub.ask(&two, &question), error::INVALID_EXTENSION));
}

#[test]
fn h6_reply_has_only_what_the_request_had() {
    let (mut hub, two, _) = hub_and_two();
    let request = write(&two.header(Kind::RegistrationRequest, 0x8000, 2, two.source), |w| {
        w.cie(&Cie { prefix: 0xff, holding: 600, ..Cie::default() });
    });
    assert_eq!(hub.ask(&two, &request).message().extensions().count(), 0);
}

#[test]
fn i2_responder_address_is_the_hub() {
    let (mut hub, two, _) = hub_and_two();
    for request in [
        two.registration(2),
        two.question(3, address(STATION)),
        two.question(4, address("52:54:00:00:00:99")),
    ] {
        let reply = hub.ask(&two, &request);
        let cie = reply.message().extension_cie(kind::RESPONDER).unwrap();
        assert_eq!((cie.code, cie.prefix), (0, 0));
        assert_eq!((cie.nbma, cie.address), (Some(nbma("10.0.0.1")), Some(address(HUB_MAC))));
        let uplink = hub.port(two.vtep()).map(|p| p.uplink);
        assert_eq!(cie.vni, uplink);
    }
}

#[test]
fn i7_responder_leaves_the_transit_records_alone() {
    let (mut hub, two, _) = hub_and_two();
    let reply = hub.ask(&two, &two.question(3, address(STATION)));
    for kind in [kind::FORWARD_TRANSIT, kind::REVERSE_TRANSIT] {
        let record = reply.message().extensions().find(|e| e.kind == kind);
        assert_eq!(record, Some(Extension::empty(kind)));
    }
}

#[test]
fn i20_nat_address_of_a_registration_comes_back() {
    let mut hub = Driven::hub();
    let client = ip_client(8, "192.0.2.8");
    let nat = Extension { kind: kind::DEVICE_CAPABILITIES, compulsory: false, value: &[] };
    let sent = hub.hear(client.path(), VpnTag::None, &ip_registration(&client, false, &[nat]));
    assert_eq!(sent[0].message().extensions().find(|e| e.kind == 9), Some(nat));
}
