//! E. Registration.

use super::*;
use dmevpn::engine::report::{Standing, VnReport};
use dmevpn::engine::settings::{Settings, VpnMode};
use dmevpn::engine::{Effect, Event, Input, News, Order, Outcome, Path, Refusal, Via};
use dmevpn::wire::nhrp::{ProtocolAddress, error, kind};

#[test]
fn e3_unique_address_of_another_router_is_nak_14() {
    let (mut hub, two, three) = hub_and_two();
    let thief = Client { source: two.source, ..client(9) };
    let reply = contested(&mut hub, &thief, &thief.registration(1), &two);
    assert_eq!(reply.codes(), [14]);
    let reply = hub.ask(&three, &three.question(3, two.source));
    assert_eq!(reply.cies()[0].nbma, Some(two.nbma), "nothing changed");
    assert!(hub.port(thief.vtep()).is_none(), "no port is left of it");
}

#[test]
fn e2_e3_without_u_the_address_may_be_taken() {
    let (mut hub, two, three) = hub_and_two();
    let shy = client(4);
    let request = write(&shy.header(Kind::RegistrationRequest, 0, 1, shy.source), |w| {
        w.cie(&Cie { prefix: 0xff, holding: 600, ..Cie::default() });
    });
    assert_eq!(hub.ask(&shy, &request).codes(), [0]);
    let taker = Client { source: shy.source, ..client(5) };
    // Of two stations with one MAC both would be dark by turns: with and without U it is not taken from who is there.
    assert_eq!(contested(&mut hub, &taker, &taker.registration(1), &shy).codes(), [14]);
    hub.hear(taker.path(), TAG, &taker.registration(2));
    let reply = claims::in_silence(&mut hub, &taker);
    assert_eq!(reply.codes(), [0]);
    let reply = hub.ask(&three, &three.question(3, shy.source));
    assert_eq!(reply.cies()[0].nbma, Some(taker.nbma));
    let _ = two;
}

#[test]
fn e3_same_router_is_accepted_even_with_another_vni() {
    let (mut hub, two, _) = hub_and_two();
    assert_eq!(hub.ask(&two, &two.registration(2)).codes(), [0]);
    let moved = Client { vni: Some(vni(4711)), ..two };
    assert_eq!(hub.ask(&moved, &moved.registration(3)).codes(), [0]);
    let ports: Vec<_> = hub.ports().into_iter().map(|(spoke, _)| spoke).collect();
    assert!(ports.contains(&moved.vtep()) && !ports.contains(&two.vtep()));
}

#[test]
fn e5_ids_are_saved_before_they_are_used() {
    let spoke = Driven::spoke(VpnMode::Llc, 4096);
    let saved = spoke.out.iter().position(|e| *e == Effect::SaveRequestId(4096 + 1024 + 512));
    let sent = spoke.out.iter().position(|e| matches!(e, Effect::Send { .. }));
    assert!(saved.is_some() && saved < sent);
}

#[test]
fn e6_no_cie_is_error_7() {
    let mut hub = Driven::hub();
    let two = client(2);
    let request = write(&two.header(Kind::RegistrationRequest, 0x8000, 1, two.source), |_| {});
    assert!(is_error(&hub.ask(&two, &request), error::PROTOCOL));
    assert!(hub.engine.peers(hub.now, VN, None, usize::MAX).is_empty());
}

#[test]
fn e7_what_a_cie_leaves_out_stands_in_the_header() {
    let mut hub = Driven::hub();
    let two = client(2);
    hub.register(&two);
    let peers = hub.engine.peers(hub.now, VN, None, usize::MAX);
    assert_eq!((peers[0].nbma, peers[0].vni), (two.nbma, two.vni));
    assert_eq!(peers[0].macs.first().copied().map(ProtocolAddress::Mac), Some(two.source));
}

#[test]
fn e9_f6_withdrawal_goes_to_the_hub_once_known() {
    let mut spoke = Driven::registered();
    spoke.input(Input::Order(Order::Stop));
    let sent = spoke.one();
    assert_eq!(sent.header().destination, Some(address(HUB_MAC)));
}

/// What a spoke says of itself, from the start to the end.
#[test]
fn a_spoke_stands_with_its_hub_as_it_says() {
    let standing = |spoke: &Driven| match spoke.engine.report(spoke.now, VN) {
        Some(VnReport::Spoke(report)) => report.standing,
        _ => panic!("a spoke"),
    };
    let mut spoke = Driven::new(settings(Part::Spoke(spoke_role()), VpnMode::Llc), 1);
    assert_eq!(standing(&spoke), Standing::NoAddress);
    spoke.input(Input::News { vn: VN, news: News::Device(Some(mac(SPOKE_MAC))) });
    assert_eq!((standing(&spoke), acts(&spoke)), (Standing::NoAddress, vec![]));
    let path = Path { local: nbma("10.0.0.2"), remote: nbma("10.0.0.1") };
    spoke.input(Input::Hub { hub: HUB, path: Some(path) });
    assert_eq!(standing(&spoke), Standing::Registering { unanswered: 0 });
    assert_eq!(acts(&spoke), [Act::List], "who is here?");
    spoke.input(Input::News { vn: VN, news: News::Device(None) });
    assert_eq!(standing(&spoke), Standing::NoDevice);
    spoke.input(Input::News { vn: VN, news: News::Device(Some(mac(SPOKE_MAC))) });
    let request = spoke.one();
    assert_eq!(spoke.pass(4 * SECOND).len(), 2);
    assert_eq!(standing(&spoke), Standing::Registering { unanswered: 2 });
    assert_eq!(spoke.engine.statistics().retransmits, 2);
    spoke.hear_from_hub(&accepted(&request.bytes, vni(9000)));
    spoke.pass(100 * SECOND);
    assert_eq!(standing(&spoke), Standing::Registered { left: 500, unanswered: 0 });

    spoke.input(Input::Order(Order::Stop));
    let withdrawal = spoke.one();
    let own = Cie { prefix: 0xff, nbma: Some(path.local), vni: Some(vni(100)), ..Cie::default() };
    assert_eq!(withdrawal.cies(), [Cie { address: Some(address(SPOKE_MAC)), ..own }]);
    let confirmed = withdrawal.header().reply(Kind::PurgeReply);
    spoke.hear_from_hub(&write(&Header { request_id: 4711, ..confirmed }, |_| {}));
    assert_eq!((standing(&spoke), spoke.engine.is_stopped()), (Standing::Withdrawing, false));
    spoke.hear_from_hub(&write(&confirmed, |_| {}));
    assert!(spoke.told(&Event::Withdrawn) && spoke.engine.is_stopped());
    // Where there is nothing to withdraw, the end is at once.
    let mut spoke = Driven::new(settings(Part::Spoke(spoke_role()), VpnMode::Llc), 1);
    spoke.input(Input::Order(Order::Stop));
    assert!(spoke.engine.is_stopped());
}

/// Nobody confirms: it is said four times, and that is all.
#[test]
fn f8_a_withdrawal_is_repeated_and_not_for_ever() {
    let mut spoke = Driven::registered();
    spoke.input(Input::Order(Order::Stop));
    let first = spoke.one();
    let mut again = spoke.pass(SECOND);
    assert!(!spoke.engine.is_stopped());
    again.extend(spoke.pass(2 * SECOND));
    assert!(again.len() == 3 && again.iter().all(|sent| sent.bytes == first.bytes));
    assert!(spoke.engine.is_stopped());
}

/// What was in the way is gone: nobody waits for the next try.
#[test]
fn a_way_that_is_told_again_is_tried_at_once() {
    let mut spoke = Driven::spoke(VpnMode::Llc, 1);
    let first = spoke.one();
    spoke.pass(100 * SECOND);
    let path = Path { local: nbma("10.0.0.2"), remote: nbma("10.0.0.1") };
    spoke.input(Input::Hub { hub: HUB, path: Some(path) });
    assert_eq!(spoke.one().bytes, first.bytes);
    assert_eq!(spoke.pass(4 * SECOND).len(), 2, "as often as at first");
}

/// So many addresses a client may have; more are refused, those are not.
#[test]
fn e12_a_client_has_room_for_eight_addresses() {
    let mut hub = Driven::hub();
    let two = client(2);
    let request = |addresses: std::ops::Range<u8>| {
        write(&two.header(Kind::RegistrationRequest, 0x8000, 1, two.source), |w| {
            for n in addresses {
                let address = Some(address(&format!("52:54:00:00:07:{n:02x}")));
                w.cie(&Cie { prefix: 0xff, holding: 600, address, ..Cie::default() });
            }
        })
    };
    assert_eq!(hub.ask(&two, &request(0..9)).codes(), [0, 0, 0, 0, 0, 0, 0, 0, 5]);
    assert_eq!(hub.ask(&two, &request(1..9)).codes(), [0, 0, 0, 0, 0, 0, 0, 5], "a refresh");
}

#[test]
fn e10_e12_registration_for_another_hub_is_nak_4() {
    let mut hub = Driven::hub();
    for (to, code) in [(HUB_MAC, 0), ("02:00:00:00:00:02", 4)] {
        let two = client(2);
        let request = write(&two.header(Kind::RegistrationRequest, 0x8000, 1, address(to)), |w| {
            w.cie(&Cie { prefix: 0xff, holding: 600, ..Cie::default() });
        });
        assert_eq!(hub.ask(&two, &request).codes(), [code], "{to}");
    }
}

#[test]
fn e12_header_of_another_address_than_the_packet_is_nak_4() {
    let mut hub = Driven::hub();
    let two = client(2);
    let elsewhere = from(nbma("10.0.0.99"));
    let sent = hub.hear(elsewhere, TAG, &two.registration(1));
    assert_eq!(sent[0].codes(), [4]);
    assert!(hub.engine.peers(hub.now, VN, None, usize::MAX).is_empty());
}

/// As behind a router that translates addresses: it is told where it comes from.
#[test]
fn e12_who_comes_from_elsewhere_is_told_so() {
    let comes_from = nbma("198.51.100.7");
    let mut hub = Driven::hub();
    let sent = hub.hear(from(comes_from), TAG, &golden::octets(golden::A));
    assert_eq!(sent[0].bytes, golden::octets(golden::J), "{:02x?}", sent[0].bytes);
    let reason = Refusal::Translated { comes_from, names: nbma("10.0.0.2") };
    assert!(hub.told(&Event::SpokeRefused { spoke: comes_from, reason, is_known: false }));
    let Some(VnReport::Hub(report)) = hub.engine.report(hub.now, VN) else { panic!("a hub") };
    assert_eq!(report.refused, Some(reason));
    assert_eq!(hub.engine.statistics().registrations_translated, 1);
    hub.pass(301 * SECOND);
    let Some(VnReport::Hub(report)) = hub.engine.report(hub.now, VN) else { panic!("a hub") };
    assert_eq!(report.refused, None);

    let mut spoke = Driven::spoke(VpnMode::Llc, 1);
    spoke.hear_from_hub(&golden::octets(golden::J));
    assert!(spoke.told(&Event::Refused { hub: nbma("10.0.0.1"), reason }));
    assert_eq!(spoke.engine.statistics().registrations_translated, 1);
    // Its own address, or another reason, says nothing of that.
    for (nak, other) in [(4, "10.0.0.2"), (5, "198.51.100.7")] {
        let mut spoke = Driven::spoke(VpnMode::Llc, 1);
        let request = spoke.one();
        let cie = Cie { code: nak, holding: 0, nbma: Some(nbma(other)), ..request.cies()[0] };
        let reply = write(&request.header().reply(Kind::RegistrationReply), |w| {
            w.cie(&cie);
        });
        spoke.hear_from_hub(&reply);
        let reason = Refusal::Nak(nak);
        assert!(spoke.told(&Event::Refused { hub: nbma("10.0.0.1"), reason }), "{nak}");
    }
}

#[test]
fn e12_no_room_for_a_spoke_is_nak_5() {
    let mut role = hub_role();
    role.max_spokes = 1;
    let mut hub = Driven::hub_with(role);
    assert_eq!(hub.register(&client(2)).codes(), [0]);
    assert_eq!(hub.register(&client(3)).codes(), [5]);
    assert_eq!(hub.register(&client(2)).codes(), [0], "who is there stays");
}

#[test]
fn e13_refresh_after_a_third_of_the_holding_time() {
    let mut spoke = Driven::registered();
    assert!(spoke.pass(189 * SECOND).is_empty());
    let sent = spoke.pass(22 * SECOND);
    assert_eq!(sent[0].header().kind, Kind::RegistrationRequest);
    assert_ne!(sent[0].header().request_id, 1, "a new request");
    spoke.hear_from_hub(&accepted(&sent[0].bytes, vni(9000)));
    let Some(VnReport::Spoke(report)) = spoke.engine.report(spoke.now, VN) else { panic!("a spoke") };
    assert!(report.uplink.is_some() && report.uplink == spoke.uplink(), "nothing changed");
}

#[test]
fn e13_refresh_goes_by_what_the_hub_grants() {
    let mut spoke = Driven::spoke(VpnMode::Llc, 1);
    let request = spoke.one();
    let reply = write(&request.header().reply(Kind::RegistrationReply), |w| {
        w.cie(&Cie { holding: 60, ..request.cies()[0] });
    });
    spoke.hear_from_hub(&reply);
    assert!(spoke.pass(18 * SECOND).is_empty());
    assert!(!spoke.pass(8 * SECOND).is_empty(), "a third of 60 s, give or take");
    // Unanswered, it ends with what was granted, not with what was asked for.
    for (wait, registered) in [(33, true), (2, false)] {
        spoke.pass(wait * SECOND);
        let Some(VnReport::Spoke(report)) = spoke.engine.report(spoke.now, VN) else { panic!("a spoke") };
        assert_eq!(matches!(report.standing, Standing::Registered { .. }), registered);
    }
}

/// The address of the hub's that frames go to is good for as long as the hub says of it.
#[test]
fn i5_what_a_hub_says_of_itself_has_its_time() {
    for (said, registered) in [(60, 60), (0, 600), (3600, 600)] {
        let mut spoke = Driven::spoke(VpnMode::Llc, 1);
        let request = spoke.one();
        let there = Cie { nbma: Some(nbma("10.0.0.1")), vni: Some(vni(9000)), ..Cie::default() };
        let reply = write(&request.header().reply(Kind::RegistrationReply), |w| {
            w.cie(&request.cies()[0]);
            w.extension_cie(kind::RESPONDER, true, &Cie { holding: said, ..there });
        });
        spoke.hear_from_hub(&reply);
        spoke.pass((registered - 1) * SECOND);
        assert!(spoke.engine.is_registered(VN), "{said}");
        spoke.pass(2 * SECOND);
        assert!(!spoke.engine.is_registered(VN), "{said}");
    }
}

#[test]
fn e13_refresh_survives_loss() {
    for holding in [60, 600] {
        let holding_time = holding * SECOND;
        let all = Settings { holding_time, ..settings(Part::Spoke(spoke_role()), VpnMode::Llc) };
        let mut spoke = Driven::starting(all, 1);
        let request = spoke.one();
        spoke.hear_from_hub(&accepted(&request.bytes, vni(9000)));
        let tries = spoke.pass(holding_time - SECOND).len();
        assert!(tries >= 10, "{tries} in {holding} s");
    }
}

#[test]
fn e15_each_cie_has_its_own_code() {
    let (mut hub, two, three) = hub_and_two();
    let own = Cie { prefix: 0xff, holding: 600, ..Cie::default() };
    let request = write(&two.header(Kind::RegistrationRequest, 0x8000, 2, two.source), |w| {
        w.cie(&own)
            .cie(&Cie { address: Some(three.source), ..own })
            .cie(&Cie { address: Some(address("52:54:00:00:00:22")), ..own })
            .cie(&Cie { nbma: Some(nbma("10.0.0.66")), ..own });
    });
    let reply = contested(&mut hub, &two, &request, &three);
    assert_eq!(reply.codes(), [0, 14, 0, 4]);
    assert!(reply.cies().iter().all(|c| (c.holding == 0) == (c.code != 0)));
}

#[test]
fn e16_the_port_is_there_before_the_reply() {
    let mut hub = Driven::hub();
    let two = client(2);
    let registration = two.registration(1);
    hub.input(Input::Packet { via: Via { path: two.path(), tag: TAG }, nhrp: &registration });
    assert!(hub.sent().is_empty());
    assert_eq!(hub.port_asked_for(), Some(two.vtep()));
    hub.input(Input::News { vn: VN, news: News::Became { spoke: two.vtep(), outcome: Outcome::Made } });
    assert_eq!(hub.one().codes(), [0]);
}

/// A hub that was started anew after it answered a refresh, before that was heard: what it says of who asks counts, and
/// not the answer.
#[test]
fn a_hub_that_forgets_during_a_refresh_is_registered_with() {
    let registers = |sent: &[Sent]| sent.iter().position(|s| s.header().kind == Kind::RegistrationRequest);
    let denied = |spoke: &mut Driven, n| {
        spoke.heard(mac(&format!("52:54:00:00:07:{n:02x}")));
        let question = spoke.one();
        spoke.hear_from_hub(&answer(&question.bytes, &[Cie::nak(4)]))
    };
    let refresh = |spoke: &mut Driven| {
        let mut sent = Vec::new();
        while registers(&sent).is_none() {
            sent = spoke.pass(SECOND / 10);
        }
        sent.remove(registers(&sent).unwrap())
    };
    let all = Settings { holding_time: 60 * SECOND, ..settings(Part::Spoke(spoke_role()), VpnMode::Llc) };
    let mut spoke = Driven::starting(all, 1);
    let request = spoke.one();
    spoke.hear_from_hub(&accepted(&request.bytes, vni(9000)));

    let before = refresh(&mut spoke);
    let mut sent = denied(&mut spoke, 1);
    let anew = sent.remove(registers(&sent).expect("at once"));
    spoke.hear_from_hub(&accepted(&before.bytes, vni(9000)));
    assert!(!spoke.engine.is_registered(VN), "that was before");
    spoke.hear_from_hub(&accepted(&anew.bytes, vni(9000)));
    assert!(spoke.engine.is_registered(VN));
    // Too soon after that to believe it at once: but not for as long as until the next refresh.
    let before = refresh(&mut spoke);
    denied(&mut spoke, 2);
    spoke.hear_from_hub(&accepted(&before.bytes, vni(9000)));
    let since = spoke.now;
    refresh(&mut spoke);
    assert!(spoke.now.since(since) < 12 * SECOND, "{:?}", spoke.now.since(since));
}
