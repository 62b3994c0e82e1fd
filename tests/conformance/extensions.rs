//! H. and I. Extensions.

use super::*;
use dmevpn::engine::settings::{Advertised, Settings, VpnMode};
use dmevpn::engine::{News, Order, Place};
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

/// Beyond a router that translates addresses a hub, and a spoke, is known by another one: that it names.
#[test]
fn i2_who_is_known_by_another_address_names_that() {
    let public = nbma("198.51.100.1");
    let known = |part| Settings {
        advertised: Advertised { ipv4: Some(public), ipv6: None },
        ..settings(part, VpnMode::Llc)
    };
    let mut hub = Driven::hub();
    hub.apply(known(Part::Hub(hub_role())));
    let two = client(2);
    let sent = hub.register(&two);
    let named = |sent: &Sent| sent.message().extension_cie(kind::RESPONDER).unwrap().nbma;
    assert_eq!((named(&sent), sent.path), (Some(public), two.path()));
    // Where what is at the hub itself is, and in requests of its own.
    hub.input(Input::News { vn: VN, news: News::Fdb { mac: mac(STATION), place: Place::Local } });
    let sent = hub.ask(&two, &two.question(3, address(STATION)));
    assert_eq!((named(&sent), sent.cies()[0].nbma), (Some(public), Some(public)));
    hub.input(Input::News { vn: VN, news: News::Fdb { mac: mac(STATION), place: Place::At(two.vtep()) } });
    let three = client(3);
    hub.register(&three);
    hub.ask(&three, &three.question(2, address(STATION)));
    hub.input(Input::News { vn: VN, news: News::Fdb { mac: mac(STATION), place: Place::Local } });
    assert!(hub.sent().iter().any(|sent| sent.header().kind == Kind::PurgeRequest));
    assert!(hub.sent().iter().all(|sent| sent.header().nbma == public));
    let error = hub.hear(two.path(), VpnTag::Key(77), &two.question(4, address(STATION)));
    assert_eq!((error[0].header().kind, error[0].header().nbma), (Kind::Error, public));
    assert_eq!(hub.port(two.vtep()).unwrap().local, nbma("10.0.0.1"), "its own kernel knows no other");

    let mut spoke = Driven::registered();
    spoke.apply(known(Part::Spoke(spoke_role())));
    let sent = spoke.sent();
    let nbma_of = |sent: &Sent| (sent.header().kind, sent.header().nbma);
    let withdrawn_and_registered =
        [(Kind::PurgeRequest, nbma("10.0.0.2")), (Kind::RegistrationRequest, public)];
    assert_eq!(sent.iter().map(nbma_of).collect::<Vec<_>>(), withdrawn_and_registered);
    spoke.hear_from_hub(&accepted(&sent[1].bytes, vni(9000)));
    spoke.heard(mac(STATION));
    assert_eq!(nbma_of(&spoke.one()), (Kind::ResolutionRequest, public));
}

/// Whatever a hub calls itself, as behind such a router: frames go where packets do.
#[test]
fn i2_a_spoke_sends_to_the_address_that_answers() {
    let mut spoke = Driven::spoke(VpnMode::Llc, 1);
    let private = Cie { nbma: Some(nbma("192.168.7.2")), vni: Some(vni(9000)), ..Cie::default() };
    let request = spoke.one();
    let reply = write(&request.header().reply(Kind::RegistrationReply), |w| {
        w.cie(&Cie { holding: 600, ..request.cies()[0] }).extension_cie(kind::RESPONDER, true, &private);
    });
    spoke.hear_from_hub(&reply);
    assert_eq!(spoke.uplink(), Some(vtep("10.0.0.1", 9000)));
    // What is at the hub itself is there, too; another site is where the hub says.
    for (at, place) in [("192.168.7.2", "10.0.0.1"), ("10.0.0.3", "10.0.0.3")] {
        spoke.heard(mac(STATION));
        let question = spoke.one();
        let cie = Cie { nbma: Some(nbma(at)), vni: Some(vni(9000)), holding: 600, ..Cie::default() };
        let reply = write(&question.header().reply(Kind::ResolutionReply), |w| {
            w.cie(&cie).extension_cie(kind::RESPONDER, true, &private);
        });
        spoke.hear_from_hub(&reply);
        assert_eq!(spoke.shortcut(mac(STATION)), Some(vtep(place, 9000)));
        spoke.input(Input::Order(Order::Flush { vn: None, mac: None }));
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
