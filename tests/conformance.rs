//! RFC 2332 and RFC 2735, clause by clause: what a spoke and a hub do. The wire has tests of its own.

mod drive;
mod golden;

use dmevpn::engine::settings::{RoleSettings, VpnMode};
use dmevpn::engine::{Effect, Input, Path, Place};
use dmevpn::types::VpnId;
use dmevpn::wire::VpnTag;
use dmevpn::wire::nhrp::{Cie, Extension, Header, Kind, Message, ProtocolAddress, error, kind};
use drive::*;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const STATION: &str = "52:54:00:00:00:0b";

/// A hub with spokes 2 and 3, and a station behind spoke 3.
fn hub_and_two() -> (Driven, Client, Client) {
    let mut hub = Driven::hub();
    let (two, three) = (client(2), client(3));
    hub.register(&two);
    hub.register(&three);
    hub.learn(&three, address(STATION));
    (hub, two, three)
}

/// A spoke that has a shortcut to [`STATION`] at 10.0.0.3 for 300 seconds.
fn spoke_with_shortcut() -> Driven {
    let mut spoke = Driven::registered();
    spoke.heard(mac(STATION));
    let question = spoke.one();
    spoke.hear_from_hub(&answer(&question.bytes, &[at(vtep("10.0.0.3", 101), 300)]));
    assert_eq!(spoke.shortcut(mac(STATION)), Some(vtep("10.0.0.3", 101)));
    spoke
}

/// The purge of frame F, for a station at a VTEP.
fn purge(flags: u16, prefix: u8, old: Option<dmevpn::types::Vtep>) -> Vec<u8> {
    let header = Header {
        kind: Kind::PurgeRequest,
        protocol: dmevpn::wire::nhrp::Protocol::Ethernet,
        hop_count: 16,
        flags,
        request_id: 7,
        nbma: nbma("10.0.0.1"),
        vni: None,
        source: Some(address(HUB_MAC)),
        destination: Some(address(SPOKE_MAC)),
    };
    write(&header, |w| {
        let (nbma, vni) = (old.map(|o| o.nbma), old.map(|o| o.vni));
        w.cie(&Cie { prefix, nbma, vni, address: Some(address(STATION)), ..Cie::default() });
    })
}

fn is_error(sent: &Sent, code: u16) -> bool {
    let header = sent.header();
    header.kind == Kind::Error && header.error_code() == code
}

/// A spoke in the place of the golden frames.
fn golden_spoke() -> Client {
    Client { vni: Some(vni(100)), source: address(SPOKE_MAC), ..client(2) }
}

/// Our client of the neighbours' kind: registers its tunnel address and knows of no VN.
fn ip_client(n: u8, tunnel: &str) -> Client {
    Client { nbma: nbma(&format!("10.0.0.{n}")), vni: None, source: address(tunnel) }
}

fn ip_registration(client: &Client, unique: bool, extensions: &[Extension<'_>]) -> Vec<u8> {
    let flags = if unique { 0x8000 } else { 0 };
    let header = client.header(Kind::RegistrationRequest, flags, 1, address("192.0.2.1"));
    write(&header, |w| {
        w.cie(&Cie { prefix: if unique { 0xff } else { 32 }, mtu: 1472, holding: 7200, ..Cie::default() });
        extensions.iter().for_each(|e| {
            w.extension(*e);
        });
    })
}

// B. The common header and the CIE.

#[test]
fn b2_reply_to_another_source_does_not_match() {
    let mut spoke = Driven::spoke(VpnMode::Llc, 1);
    let request = spoke.one();
    let mut header = request.header().reply(Kind::RegistrationReply);
    header.source = Some(address("2e:cd:9a:5c:ae:c8"));
    let reply = write(&header, |w| {
        w.cie(&request.cies()[0]);
    });
    spoke.hear_from_hub(&reply);
    assert_eq!(spoke.engine.uplink(VN), None);
    assert_eq!(spoke.engine.statistics().rx_unsolicited, 1);
    spoke.hear_from_hub(&accepted(&request.bytes, vni(9000)));
    assert_eq!(spoke.engine.uplink(VN), Some(vtep("10.0.0.1", 9000)));
}

#[test]
fn b2_id_grows_with_each_new_request() {
    let mut spoke = Driven::registered();
    spoke.heard(mac(STATION));
    assert_eq!(spoke.one().header().request_id, 2);
    spoke.heard(mac("52:54:00:00:00:0c"));
    assert_eq!(spoke.one().header().request_id, 3);
}

#[test]
fn b3_the_same_id_when_sent_again() {
    let mut spoke = Driven::spoke(VpnMode::Llc, 1);
    let again = spoke.pass(30 * SECOND);
    assert!(again.len() >= 4 && again.iter().all(|s| s.header().request_id == 1));
    let mut spoke = Driven::registered();
    spoke.heard(mac(STATION));
    let again = spoke.pass(10 * SECOND);
    assert!(again.len() >= 2 && again.iter().all(|s| s.header().request_id == 2));
}

#[test]
fn b4_first_id_is_0() {
    assert_eq!(Driven::spoke(VpnMode::Llc, 0).one().header().request_id, 0);
}

#[test]
fn b7_e17_any_code_but_0_is_a_nak() {
    for code in [1, 4, 5, 11, 14, 255] {
        let mut spoke = Driven::spoke(VpnMode::Llc, 1);
        let request = spoke.one();
        let cie = request.cies()[0];
        // Even when the first CIE is fine.
        let reply = write(&request.header().reply(Kind::RegistrationReply), |w| {
            w.cie(&cie).cie(&Cie { code, ..cie });
        });
        spoke.hear_from_hub(&reply);
        assert_eq!(spoke.engine.uplink(VN), None, "{code}");
        assert_eq!(spoke.engine.statistics().rx_register_nak, 1);
    }
}

#[test]
fn b8_prefix_0_is_this_address_alone() {
    let mut hub = Driven::hub();
    for (n, prefix) in [(2, 0), (3, 0xff)] {
        let client = client(n);
        let header = client.header(Kind::RegistrationRequest, 0, 1, client.source);
        let request = write(&header, |w| {
            w.cie(&Cie { prefix, holding: 600, ..Cie::default() });
        });
        assert_eq!(hub.ask(&client, &request).codes(), [0]);
    }
    // Nobody registers a range.
    let client = client(4);
    let request = write(&client.header(Kind::RegistrationRequest, 0, 1, client.source), |w| {
        w.cie(&Cie { prefix: 24, holding: 600, ..Cie::default() });
    });
    assert_eq!(hub.ask(&client, &request).codes(), [4]);
}

#[test]
fn b10_j8_what_was_told_is_dropped_when_its_holding_time_ends() {
    let mut spoke = spoke_with_shortcut();
    spoke.pass(299 * SECOND);
    assert!(spoke.shortcut(mac(STATION)).is_some());
    spoke.pass(2 * SECOND);
    assert_eq!(spoke.shortcut(mac(STATION)), None);
    let (mut hub, two, three) = hub_and_two();
    hub.pass(601 * SECOND);
    hub.register(&two);
    assert_eq!(hub.ask(&two, &two.question(2, three.source)).codes(), [12]);
}

#[test]
fn b10_holding_time_of_a_nak_is_0() {
    let (mut hub, two, _) = hub_and_two();
    assert_eq!(hub.ask(&two, &two.question(2, address("52:54:00:00:00:99"))).cies()[0], Cie::nak(12));
    let thief = Client { source: two.source, ..client(9) };
    assert_eq!(hub.ask(&thief, &thief.registration(1)).cies()[0].holding, 0);
}

#[test]
fn b12_the_highest_preference_wins_and_the_first_of_equals() {
    let mut spoke = Driven::registered();
    spoke.heard(mac(STATION));
    let question = spoke.one();
    let there = |n: u8, preference| Cie { preference, ..at(vtep(&format!("10.0.0.{n}"), 101), 300) };
    spoke.hear_from_hub(&answer(&question.bytes, &[there(3, 5), there(4, 9), there(5, 9), there(6, 1)]));
    assert_eq!(spoke.shortcut(mac(STATION)), Some(vtep("10.0.0.4", 101)));
}

#[test]
fn b13_j10_source_of_a_question_is_not_remembered() {
    let (mut hub, two, three) = hub_and_two();
    let other = Client { source: address("52:54:00:00:00:77"), ..two };
    let header = other.header(Kind::ResolutionRequest, 0x4000, 2, address(STATION));
    let question = write(&header, |w| {
        w.cie(&Cie { holding: 600, ..Cie::default() });
        w.extension(Extension::capabilities(&[0, 0, 0, 1, 0, 0, 0, 0]));
    });
    assert_eq!(hub.ask(&two, &question).codes(), [0]);
    assert_eq!(hub.ask(&three, &three.question(2, other.source)).codes(), [12]);
}

// C. Resolution Requests.

#[test]
fn c1_c5_c6_i1_i9_k8_question_is_frame_c() {
    let mut spoke = Driven::registered();
    spoke.heard(mac(STATION));
    let sent = spoke.one();
    assert_eq!(sent.bytes, golden::octets(golden::C));
    assert_eq!((sent.path.remote, sent.tag), (nbma("10.0.0.1"), TAG));
}

#[test]
fn c2_unique_wanted_and_none_is_nak_13() {
    let (mut hub, two, three) = hub_and_two();
    let reply = hub.ask(&two, &two.question_with(2, address(STATION), 0xd000));
    assert_eq!(reply.cies(), [Cie::nak(13)]);
    let reply = hub.ask(&two, &two.question_with(3, three.source, 0xd000));
    assert_eq!(reply.codes(), [0], "a spoke registers its own MAC as unique");
}

#[test]
fn c3_two_cies_are_error_7() {
    let (mut hub, two, _) = hub_and_two();
    let header = two.header(Kind::ResolutionRequest, 0xc000, 2, address(STATION));
    let question = |n: usize| {
        write(&header, |w| {
            (0..n).for_each(|_| {
                w.cie(&Cie::default());
            });
            w.extension(Extension::capabilities(&[0, 0, 0, 1, 0, 0, 0, 0]));
        })
    };
    assert_eq!(hub.ask(&two, &question(0)).codes(), [0]);
    assert_eq!(hub.ask(&two, &question(1)).codes(), [0]);
    assert!(is_error(&hub.ask(&two, &question(2)), error::PROTOCOL));
}

#[test]
fn c7_not_every_frame_is_a_question() {
    let mut spoke = Driven::registered();
    spoke.heard(mac(STATION));
    assert_eq!(spoke.sent().len(), 1);
    for _ in 0..100 {
        spoke.heard(mac(STATION));
        spoke.input(Input::Miss { vn: VN, mac: mac(STATION) });
        assert!(spoke.sent().is_empty());
    }
}

#[test]
fn c8_until_there_is_an_answer_frames_go_by_the_hub() {
    let mut spoke = Driven::spoke(VpnMode::Llc, 1);
    let request = spoke.one();
    spoke.hear_from_hub(&accepted(&request.bytes, vni(9000)));
    let to = vtep("10.0.0.1", 9000);
    assert!(spoke.out.iter().any(|e| *e == Effect::SetUplink { vn: VN, to }));
}

#[test]
fn c9_d12_unknown_address_is_nak_12() {
    let (mut hub, two, _) = hub_and_two();
    let reply = hub.ask(&two, &two.question(2, address("52:54:00:00:00:99")));
    assert_eq!(reply.cies(), [Cie::nak(12)]);
}

// D. Resolution Replies.

#[test]
fn d1_reply_copies_what_the_request_says() {
    let (mut hub, two, _) = hub_and_two();
    let question = two.question_with(99, address(STATION), 0x8000);
    let (asked, reply) = (Message::parse(&question).unwrap().header, hub.ask(&two, &question).header());
    assert_eq!(reply, Header { kind: Kind::ResolutionReply, ..asked });
}

#[test]
fn d5_only_what_was_registered_for_good_is_stable() {
    let (mut hub, two, three) = hub_and_two();
    for wanted in [address(STATION), three.source] {
        let reply = hub.ask(&two, &two.question_with(2, wanted, 0xe000));
        assert_eq!(reply.header().flags & 0x2000, 0, "MACs move");
    }
    let (one, other) = (ip_client(8, "192.0.2.8"), ip_client(9, "192.0.2.9"));
    for client in [one, other] {
        hub.hear(client.path(), VpnTag::None, &ip_registration(&client, true, &[]));
    }
    let question = write(&one.header(Kind::ResolutionRequest, 0xc000, 2, other.source), |_| {});
    let reply = hub.hear(one.path(), VpnTag::None, &question);
    assert_eq!(reply[0].header().flags & 0x2000, 0x2000);
}

#[test]
fn d6_d7_d8_d9_there_is_one_cie() {
    let (mut hub, two, _) = hub_and_two();
    for (wanted, flags) in [(STATION, 0xc000), (STATION, 0xd000), ("52:54:00:00:00:99", 0xc000)] {
        assert_eq!(hub.ask(&two, &two.question_with(2, address(wanted), flags)).cies().len(), 1);
    }
}

#[test]
fn d10_who_is_not_registered_is_nak_4() {
    let (mut hub, ..) = hub_and_two();
    let stranger = client(9);
    assert_eq!(hub.ask(&stranger, &stranger.question(2, address(STATION))).cies(), [Cie::nak(4)]);
}

#[test]
fn d11_no_room_is_nak_5() {
    let mut role = hub_role();
    role.max_macs = 3;
    let mut hub = Driven::hub_with(role);
    let (two, three) = (client(2), client(3));
    hub.register(&two);
    hub.register(&three);
    hub.learn(&three, address(STATION));
    hub.learn(&three, address("52:54:00:00:00:0c"));
    assert_eq!(hub.ask(&two, &two.question(2, address(STATION))).codes(), [0]);
    let reply = hub.ask(&two, &two.question(3, address("52:54:00:00:00:0c")));
    assert_eq!(reply.cies(), [Cie::nak(5)]);
}

#[test]
fn d15_holding_is_time_left() {
    let (mut hub, two, three) = hub_and_two();
    for (wait, left) in [(0, 600), (100, 500), (99, 401)] {
        hub.pass(wait * SECOND);
        for wanted in [address(STATION), three.source] {
            assert_eq!(hub.ask(&two, &two.question(2, wanted)).cies()[0].holding, left);
        }
    }
    hub.ask(&three, &three.registration(5));
    assert_eq!(hub.ask(&two, &two.question(2, address(STATION))).cies()[0].holding, 600);
}

#[test]
fn d14_d16_answer_says_what_was_registered() {
    let (mut hub, two, three) = hub_and_two();
    let request = write(&three.header(Kind::RegistrationRequest, 0x8000, 2, three.source), |w| {
        w.cie(&Cie { prefix: 0xff, mtu: 1234, holding: 600, ..Cie::default() });
    });
    hub.ask(&three, &request);
    let cie = hub.ask(&two, &two.question(2, address(STATION))).cies()[0];
    let wanted = Cie { mtu: 1234, address: Some(address(STATION)), ..at(three.vtep(), 600) };
    assert_eq!(cie, wanted);
}

#[test]
fn d18_h9_i19_extensions_come_back() {
    let (mut hub, two, _) = hub_and_two();
    let mine = [
        Extension { kind: 0x3801, compulsory: false, value: &[1, 2, 3] },
        Extension { kind: kind::VENDOR, compulsory: false, value: &[0, 0, 9, 1] },
        Extension { kind: kind::VENDOR, compulsory: false, value: &[0, 0, 9, 2, 7] },
        Extension { kind: 77, compulsory: false, value: &[] },
    ];
    let header = two.header(Kind::ResolutionRequest, 0xc000, 2, address(STATION));
    let question = write(&header, |w| {
        w.extension(Extension::capabilities(&[0, 0, 0, 1, 0, 0, 0, 0]));
        mine.iter().for_each(|e| {
            w.extension(*e);
        });
    });
    let reply = hub.ask(&two, &question);
    let back: Vec<Extension<'_>> = reply.message().extensions().skip(1).collect();
    assert_eq!(back, mine);
}

#[test]
fn d19_g8_reply_to_no_question_is_error_10() {
    let mut spoke = Driven::registered();
    spoke.heard(mac(STATION));
    let mut question = spoke.one().header();
    question.request_id = 0x7777;
    let reply = write(&question.reply(Kind::ResolutionReply), |w| {
        w.cie(&at(vtep("10.0.0.3", 101), 300));
    });
    let sent = spoke.hear_from_hub(&reply);
    assert!(is_error(&sent[0], error::INVALID_REPLY));
    assert_eq!(spoke.shortcut(mac(STATION)), None);
    let (mut hub, two, _) = hub_and_two();
    assert!(is_error(&hub.ask(&two, &reply), error::INVALID_REPLY));
}

#[test]
fn d19_second_answer_to_a_repeated_question_is_no_error() {
    let mut spoke = Driven::registered();
    spoke.heard(mac(STATION));
    let reply = answer(&spoke.one().bytes, &[at(vtep("10.0.0.3", 101), 300)]);
    assert!(spoke.hear_from_hub(&reply).is_empty());
    assert!(spoke.hear_from_hub(&reply).is_empty());
}

#[test]
fn d20_j1_reply_goes_to_who_asks() {
    let (mut hub, two, _) = hub_and_two();
    let sent = hub.hear(two.path(), TAG, &two.question(2, address(STATION)));
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].path, two.path());
}

// E. Registration.

#[test]
fn e1_e4_e7_e8_e9_k12_registration_is_frame_a() {
    let sent = Driven::spoke(VpnMode::Llc, 1).one();
    assert_eq!(sent.bytes, golden::octets(golden::A));
}

#[test]
fn e3_unique_address_of_another_router_is_nak_14() {
    let (mut hub, two, three) = hub_and_two();
    let thief = Client { source: two.source, ..client(9) };
    let reply = hub.ask(&thief, &thief.registration(1));
    assert_eq!(reply.codes(), [14]);
    let reply = hub.ask(&three, &three.question(3, two.source));
    assert_eq!(reply.cies()[0].nbma, Some(two.nbma), "nothing changed");
    assert!(!hub.engine.ports(VN).any(|(spoke, ..)| spoke == thief.vtep()), "no port is left of it");
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
    assert_eq!(hub.ask(&taker, &taker.registration(1)).codes(), [0]);
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
    let ports: Vec<_> = hub.engine.ports(VN).map(|(spoke, ..)| spoke).collect();
    assert!(ports.contains(&moved.vtep()) && !ports.contains(&two.vtep()));
}

#[test]
fn e5_ids_are_saved_before_they_are_used() {
    let spoke = Driven::spoke(VpnMode::Llc, 4096);
    let saved = spoke.out.iter().position(|e| *e == Effect::SaveRequestId(4096 + 1024));
    let sent = spoke.out.iter().position(|e| matches!(e, Effect::Send { .. }));
    assert!(saved.is_some() && saved < sent);
}

#[test]
fn e6_no_cie_is_error_7() {
    let mut hub = Driven::hub();
    let two = client(2);
    let request = write(&two.header(Kind::RegistrationRequest, 0x8000, 1, two.source), |_| {});
    assert!(is_error(&hub.ask(&two, &request), error::PROTOCOL));
    assert!(hub.engine.peers(hub.now, VN).is_empty());
}

#[test]
fn e7_what_a_cie_leaves_out_stands_in_the_header() {
    let mut hub = Driven::hub();
    let two = client(2);
    hub.register(&two);
    let peers = hub.engine.peers(hub.now, VN);
    assert_eq!((peers[0].nbma, peers[0].vni), (two.nbma, two.vni));
    assert_eq!(peers[0].macs.first().copied().map(ProtocolAddress::Mac), Some(two.source));
}

#[test]
fn e9_withdrawal_goes_to_the_hub_once_known() {
    let mut spoke = Driven::registered();
    spoke.input(Input::Stop);
    let sent = spoke.one();
    assert_eq!(sent.header().destination, Some(address(HUB_MAC)));
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
    assert!(hub.engine.peers(hub.now, VN).is_empty());
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
}

#[test]
fn e13_refresh_survives_loss() {
    let mut spoke = Driven::registered();
    let tries = spoke.pass(599 * SECOND).len();
    assert!(tries >= 12, "{tries}");
}

#[test]
fn e14_reply_is_the_request_with_another_type() {
    let mut hub = Driven::hub();
    let spoke = golden_spoke();
    let (request, reply) = (golden::octets(golden::A), golden::octets(golden::B));
    let sent = hub.ask(&spoke, &request);
    // Frame B, but for the uplink VNI in the Responder Address.
    let (ours, golden) = (sent.message(), Message::parse(&reply).unwrap());
    assert_eq!(ours.header, golden.header);
    assert!(ours.cies().eq(golden.cies()));
    let uplink = hub.engine.ports(VN).next().map(|(_, uplink, _)| uplink);
    let there = golden.extension_cie(kind::RESPONDER).unwrap();
    assert_eq!(ours.extension_cie(kind::RESPONDER), Some(Cie { vni: uplink, ..there }));
    assert!(ours.extensions().map(|e| e.kind).eq(golden.extensions().map(|e| e.kind)));
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
    let reply = hub.ask(&two, &request);
    assert_eq!(reply.codes(), [0, 14, 0, 4]);
    assert!(reply.cies().iter().all(|c| (c.holding == 0) == (c.code != 0)));
}

#[test]
fn e16_the_port_is_there_before_the_reply() {
    let mut hub = Driven::hub();
    let two = client(2);
    let registration = two.registration(1);
    hub.input(Input::Packet { path: two.path(), tag: TAG, nhrp: &registration });
    assert!(hub.sent().is_empty());
    assert_eq!(hub.port_asked_for(), Some(two.vtep()));
    hub.input(Input::Port { vn: VN, spoke: two.vtep(), state: dmevpn::engine::PortState::Up });
    assert_eq!(hub.one().codes(), [0]);
}

// F. Purges.

#[test]
fn f1_purge_reply_to_nothing_is_ignored() {
    let (mut hub, two, _) = hub_and_two();
    let reply = write(&two.header(Kind::PurgeReply, 0, 77, two.source), |w| {
        w.cie(&Cie { prefix: 0xff, address: Some(two.source), ..Cie::default() });
    });
    assert!(hub.hear(two.path(), TAG, &reply).is_empty());
    let mut spoke = spoke_with_shortcut();
    assert!(spoke.hear_from_hub(&golden::octets(golden::G)).is_empty());
    assert!(spoke.shortcut(mac(STATION)).is_some());
}

#[test]
fn f1_n_means_no_reply() {
    let (mut hub, two, _) = hub_and_two();
    assert!(hub.hear(two.path(), TAG, &two.purge(2, 0x8000, &[two.source])).is_empty());
    assert_eq!(hub.engine.peers(hub.now, VN).len(), 1);
    let mut spoke = spoke_with_shortcut();
    let sent = spoke.hear_from_hub(&purge(0x8000, 0xff, None));
    assert!(sent.iter().all(|s| s.header().kind != Kind::PurgeReply));
}

#[test]
fn f2_f5_j9_move_is_told_to_who_asked_by_frame_f() {
    let mut hub = Driven::hub();
    let two = golden_spoke();
    let three = Client { vni: Some(vni(101)), ..client(3) };
    let four = client(4);
    for client in [two, three, four] {
        hub.register(&client);
    }
    hub.learn(&three, address(STATION));
    hub.ask(&two, &two.question(2, address(STATION)));
    hub.learn(&four, address(STATION));
    // The old site is told, too: its bridge may not have noticed.
    let sent = hub.sent();
    assert_eq!(sent.len(), 2);
    let sent = sent.iter().find(|s| s.path == two.path()).unwrap();
    assert_eq!(sent.bytes, golden::octets(golden::F));
}

#[test]
fn f3_purge_without_address_is_error_7() {
    let (mut hub, two, _) = hub_and_two();
    let request = write(&two.header(Kind::PurgeRequest, 0, 2, two.source), |w| {
        w.cie(&Cie::default());
    });
    assert!(is_error(&hub.ask(&two, &request), error::PROTOCOL));
    assert!(is_error(&hub.ask(&two, &two.purge(2, 0, &[])), error::PROTOCOL));
}

#[test]
fn f4_prefix_purges_all_inside() {
    let mut spoke = spoke_with_shortcut();
    spoke.hear_from_hub(&purge(0, 40, None));
    assert_eq!(spoke.shortcut(mac(STATION)), None);
}

#[test]
fn f6_f7_withdrawal_is_told_to_who_asked() {
    let (mut hub, two, three) = hub_and_two();
    hub.ask(&two, &two.question(2, address(STATION)));
    hub.ask(&two, &two.question(3, three.source));
    let sent = hub.hear(three.path(), TAG, &three.purge(2, 0, &[three.source]));
    assert_eq!(sent.len(), 2);
    assert_eq!((sent[0].path, sent[0].header().kind), (three.path(), Kind::PurgeReply));
    let told = sent[1].header();
    assert_eq!((sent[1].path, told.kind), (two.path(), Kind::PurgeRequest));
    assert_eq!((told.source, told.nbma), (Some(address(HUB_MAC)), nbma("10.0.0.1")), "the hub's own");
    let mut withdrawn: Vec<_> = sent[1].cies().iter().filter_map(|c| c.address).collect();
    withdrawn.sort();
    assert_eq!(withdrawn, [three.source, address(STATION)], "all that was behind it");
}

#[test]
fn f8_purge_is_repeated_until_it_is_confirmed() {
    let (mut hub, two, three) = hub_and_two();
    let four = client(4);
    hub.register(&four);
    hub.ask(&two, &two.question(2, address(STATION)));
    hub.learn(&four, address(STATION));
    let first = hub.sent().into_iter().find(|s| s.path == two.path()).unwrap();
    let mut again = hub.pass(5 * SECOND);
    again.retain(|s| s.path == two.path());
    assert!(again.len() >= 3 && again.iter().all(|s| s.bytes == first.bytes));
    let reply = write(&first.header().reply(Kind::PurgeReply), |w| {
        w.cie(&first.cies()[0]);
    });
    assert!(hub.hear(two.path(), TAG, &reply).is_empty());
    assert!(hub.pass(100 * SECOND).iter().all(|s| s.path == three.path()));
}

#[test]
fn f8_purge_is_given_up_when_the_answer_is_over() {
    let (mut hub, two, three) = hub_and_two();
    let four = client(4);
    hub.register(&four);
    hub.ask(&two, &two.question(2, address(STATION)));
    hub.learn(&four, address(STATION));
    for id in 2..8 {
        hub.pass(100 * SECOND);
        for client in [two, three, four] {
            hub.ask(&client, &client.registration(id));
        }
    }
    assert!(hub.pass(20 * SECOND).is_empty());
    assert_eq!(hub.engine.statistics().purges_unanswered, 2);
}

#[test]
fn f9_purged_shortcut_is_gone_at_once() {
    let mut spoke = spoke_with_shortcut();
    spoke.hear_from_hub(&golden::octets(golden::F));
    assert!(spoke.out.iter().any(|e| *e == Effect::DropShortcut { vn: VN, mac: mac(STATION) }));
}

#[test]
fn f9_purge_of_another_place_does_not_match() {
    let mut spoke = spoke_with_shortcut();
    spoke.hear_from_hub(&purge(0, 0xff, Some(vtep("10.0.0.9", 101))));
    assert!(spoke.shortcut(mac(STATION)).is_some(), "what is known is newer");
}

#[test]
fn f10_purge_reply_even_without_match() {
    let (mut hub, two, _) = hub_and_two();
    let request = two.purge(9, 0, &[address("52:54:00:00:00:99")]);
    assert_eq!(hub.ask(&two, &request).header().kind, Kind::PurgeReply);
    let stranger = client(9);
    let request = stranger.purge(9, 0, &[stranger.source]);
    assert_eq!(hub.ask(&stranger, &request).header().kind, Kind::PurgeReply);
    let mut spoke = Driven::registered();
    assert_eq!(spoke.hear_from_hub(&golden::octets(golden::F)).len(), 1);
}

#[test]
fn f10_nobody_purges_what_is_anothers() {
    let (mut hub, two, three) = hub_and_two();
    hub.ask(&two, &two.purge(9, 0, &[address(STATION), three.source]));
    assert_eq!(hub.ask(&two, &two.question(2, address(STATION))).codes(), [0]);
    assert_eq!(hub.ask(&two, &two.question(2, three.source)).codes(), [0]);
}

#[test]
fn f11_after_a_purge_it_is_asked_for_authoritatively() {
    let mut spoke = spoke_with_shortcut();
    let sent = spoke.hear_from_hub(&golden::octets(golden::F));
    let question = sent.iter().find(|s| s.header().kind == Kind::ResolutionRequest).unwrap().header();
    assert_eq!(question.flags, 0xc000);
    assert_eq!(question.destination, Some(address(STATION)));
}

#[test]
fn f12_purge_reply_is_frame_g() {
    let mut spoke = Driven::registered();
    let sent = spoke.hear_from_hub(&golden::octets(golden::F));
    assert_eq!(sent[0].bytes, golden::octets(golden::G));
}

// G. Error Indications.

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
    assert_eq!(hub.engine.peers(hub.now, VN).len(), 2, "nothing was withdrawn");
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

#[test]
fn g_error_about_a_registration_is_a_refusal() {
    let mut spoke = Driven::spoke(VpnMode::Llc, 1);
    let request = spoke.one();
    let header = Header {
        kind: Kind::Error,
        flags: 0,
        request_id: Header::error_word(error::VPN_UNSUPPORTED, 0),
        nbma: nbma("10.0.0.1"),
        vni: None,
        source: None,
        destination: request.header().source,
        ..request.header()
    };
    let error = write(&header, |w| {
        w.packet_in_error(&request.bytes);
    });
    spoke.hear_from_hub(&error);
    assert!(spoke.pass(7 * SECOND).is_empty(), "no hurry");
    let sent = spoke.pass(6 * SECOND);
    assert_eq!(sent[0].header().kind, Kind::RegistrationRequest);
    assert_ne!(sent[0].header().request_id, request.header().request_id);
}

// H. and I. Extensions.

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
        let uplink = hub.engine.ports(VN).find(|(spoke, ..)| *spoke == two.vtep()).map(|(_, vni, _)| vni);
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

// J. Roles and caches.

#[test]
fn j7_j8_shortcut_is_renewed_while_it_is_used() {
    let mut spoke = spoke_with_shortcut();
    let mut asked = false;
    let end = spoke.now + 205 * SECOND;
    while let Some(at) = spoke.engine.deadline().filter(|at| *at <= end) {
        spoke.now = at;
        spoke.input(Input::Tick);
        asked |= spoke.out.iter().any(|e| *e == Effect::QueryUse { vn: VN, mac: mac(STATION) });
        if asked {
            break;
        }
    }
    assert!(asked, "two thirds of the holding time: is it used?");
    let usage = |idle| Input::Usage { vn: VN, mac: mac(STATION), idle, age: 200 * SECOND };
    spoke.input(usage(200 * SECOND));
    assert!(spoke.sent().is_empty(), "not used, not renewed");
    spoke.input(usage(SECOND));
    let question = spoke.one();
    assert_eq!(question.header().kind, Kind::ResolutionRequest);
    spoke.hear_from_hub(&answer(&question.bytes, &[at(vtep("10.0.0.3", 101), 300)]));
    assert!(spoke.out.iter().all(|e| !matches!(e, Effect::SetShortcut { .. })), "it is there already");
    spoke.pass(150 * SECOND);
    assert!(spoke.shortcut(mac(STATION)).is_some(), "past its first end");
}

#[test]
fn j14_hub_never_asks() {
    let (mut hub, two, three) = hub_and_two();
    for n in 0..100 {
        hub.learn(if n % 2 == 0 { &two } else { &three }, address(STATION));
        hub.input(Input::Miss { vn: VN, mac: mac(STATION) });
        assert!(hub.sent().iter().all(|s| s.header().kind == Kind::PurgeRequest));
    }
    assert_eq!(hub.engine.statistics().tx_resolve_req, 0);
}

#[test]
fn j15_flood_of_strangers_does_not_starve_a_spoke() {
    let (mut hub, two, _) = hub_and_two();
    for n in 0..5000_u32 {
        let stranger = Client { nbma: nbma(&format!("10.9.{}.{}", n / 250, 1 + n % 250)), ..client(9) };
        let question = stranger.question(1, address(STATION));
        hub.hear(stranger.path(), TAG, &question);
    }
    assert!(hub.engine.statistics().rx_rate_limited > 3500);
    assert_eq!(hub.ask(&two, &two.question(2, address(STATION))).codes(), [0]);
}

// K. VPNs.

#[test]
fn k1_k2_k6_k7_packets_name_the_vn_as_configured() {
    for (mode, tag) in [(VpnMode::Llc, TAG), (VpnMode::Key, VpnTag::Key(1)), (VpnMode::None, VpnTag::None)] {
        assert_eq!(Driven::spoke(mode, 1).one().tag, tag);
        let mut hub = Driven::hub();
        let two = client(2);
        let sent = hub.hear(two.path(), tag, &two.registration(1));
        assert_eq!((sent[0].tag, sent[0].codes()), (tag, vec![0]));
        // What the hub sends on its own goes the same way.
        let (three, four) = (client(3), client(4));
        hub.register(&three);
        hub.register(&four);
        hub.learn(&three, address(STATION));
        hub.hear(two.path(), tag, &two.question(2, address(STATION)));
        hub.learn(&four, address(STATION));
        assert!(hub.sent().iter().any(|s| (s.path, s.tag) == (two.path(), tag)));
    }
}

#[test]
fn k4_no_indication_is_the_default_vn() {
    let two = client(2);
    assert_eq!(Driven::hub().hear(two.path(), VpnTag::None, &two.registration(1))[0].codes(), [0]);
    let mut role = hub_role();
    role.default = false;
    let sent = Driven::hub_with(role).hear(two.path(), VpnTag::None, &two.registration(1));
    assert!(is_error(&sent[0], error::VPN_UNSUPPORTED));
}

#[test]
fn k8_k10_capabilities_in_question_and_answer() {
    let mut spoke = Driven::registered();
    spoke.heard(mac(STATION));
    let sent = spoke.one();
    let mine = sent.message().extensions().find(|e| e.kind == kind::DEVICE_CAPABILITIES).unwrap();
    assert_eq!((mine.compulsory, mine.value), (false, &[0, 0, 0, 1, 0, 0, 0, 0][..]));
    let (mut hub, two, _) = hub_and_two();
    let reply = hub.ask(&two, &two.question(2, address(STATION)));
    let both = reply.message().extensions().find(|e| e.kind == kind::DEVICE_CAPABILITIES).unwrap();
    assert_eq!((both.compulsory, both.value), (false, &[0, 0, 0, 1, 0, 0, 0, 1][..]));
}

#[test]
fn k11_question_of_who_knows_no_vpns_is_nak_4() {
    let (mut hub, two, _) = hub_and_two();
    let header = two.header(Kind::ResolutionRequest, 0xc000, 2, address(STATION));
    assert_eq!(hub.ask(&two, &write(&header, |_| {})).codes(), [4]);
    let without = write(&header, |w| {
        w.extension(Extension::capabilities(&[0; 8]));
    });
    assert_eq!(hub.ask(&two, &without).codes(), [4]);
    // Its path says which VN it is in: that will do.
    let sent = hub.hear(two.path(), VpnTag::Key(1), &write(&header, |_| {}));
    assert_eq!(sent[0].codes(), [0]);
}

#[test]
fn k14_k16_unknown_vn_is_error_17_and_names_it() {
    let mut hub = Driven::hub();
    let two = client(2);
    for tag in [VpnTag::Llc(VpnId::new([0xac, 0xde, 0x48], 1)), VpnTag::Key(77)] {
        let sent = hub.hear(two.path(), tag, &two.registration(1));
        assert!(is_error(&sent[0], error::VPN_UNSUPPORTED));
        assert_eq!(sent[0].tag, tag);
    }
    assert_eq!(hub.engine.statistics().rx_unknown_vpn, 2);
}

#[test]
fn k13_spoke_does_not_take_packets_of_another_vn_or_address() {
    let mut spoke = Driven::spoke(VpnMode::Llc, 1);
    let reply = accepted(&spoke.one().bytes, vni(9000));
    let path = Path { local: nbma("10.0.0.2"), remote: nbma("10.0.0.1") };
    spoke.hear(path, VpnTag::Llc(VpnId::new(VpnId::DEFAULT_OUI, 2)), &reply);
    spoke.hear(path, VpnTag::None, &reply);
    spoke.hear(Path { remote: nbma("10.0.0.66"), ..path }, TAG, &reply);
    assert_eq!(spoke.engine.uplink(VN), None);
}

// Clients of the neighbours' kind.

#[test]
fn ip_client_registers_and_is_found() {
    let mut hub = Driven::hub();
    let (one, other) = (ip_client(8, "192.0.2.8"), ip_client(9, "192.0.2.9"));
    for client in [one, other] {
        let sent = hub.hear(client.path(), VpnTag::None, &ip_registration(&client, true, &[]));
        assert_eq!((sent[0].tag, sent[0].codes()), (VpnTag::None, vec![0]));
        let set = Effect::SetNeighbour { address: ip(client.source), nbma: Some(client.nbma) };
        assert!(hub.out.iter().any(|e| *e == set));
        assert_eq!(hub.port_asked_for(), None, "it has no VNI");
    }
    let question = write(&one.header(Kind::ResolutionRequest, 0xc000, 2, other.source), routes);
    let sent = hub.hear(one.path(), VpnTag::None, &question);
    let cie = sent[0].cies()[0];
    assert_eq!((cie.code, cie.prefix, cie.nbma), (0, 32, Some(other.nbma)));
    assert_eq!((cie.mtu, cie.holding, cie.vni), (1472, 7200, None));
    // The hub's own tunnel address.
    let question = write(&one.header(Kind::ResolutionRequest, 0xc000, 3, address("192.0.2.1")), routes);
    let sent = hub.hear(one.path(), VpnTag::None, &question);
    assert_eq!(sent[0].cies()[0].nbma, Some(nbma("10.0.0.1")));
    let responder = sent[0].message().extension_cie(kind::RESPONDER).unwrap();
    assert_eq!(responder.address, Some(address("192.0.2.1")));
    // Uniqueness, as for MACs.
    let thief = Client { source: one.source, ..ip_client(10, "192.0.2.10") };
    let sent = hub.hear(thief.path(), VpnTag::None, &ip_registration(&thief, true, &[]));
    assert_eq!(sent[0].codes(), [14]);
    // Withdrawn.
    let request = write(&one.header(Kind::PurgeRequest, 0, 4, address("192.0.2.1")), |w| {
        w.cie(&Cie { prefix: 32, address: Some(one.source), ..Cie::default() });
    });
    hub.input(Input::Packet { path: one.path(), tag: VpnTag::None, nhrp: &request });
    let gone = Effect::SetNeighbour { address: ip(one.source), nbma: None };
    assert!(hub.out.iter().any(|e| *e == gone));
}

fn ip(address: ProtocolAddress) -> std::net::IpAddr {
    let ProtocolAddress::Ip(ip) = address else { panic!("an IP address") };
    ip
}

#[test]
fn ip_client_over_ipv6() {
    let mut hub = Driven::hub();
    let path = Path { local: nbma("2001:db8::1"), remote: nbma("2001:db8::8") };
    let client = Client { nbma: path.remote, vni: None, source: address("2001:db8:1::8") };
    let header = client.header(Kind::RegistrationRequest, 0x8000, 1, address("2001:db8:1::1"));
    let request = write(&header, |w| {
        w.cie(&Cie { prefix: 0xff, holding: 600, ..Cie::default() });
        routes(w);
    });
    let sent = hub.hear(path, VpnTag::None, &request);
    assert_eq!(sent[0].codes(), [0]);
    let responder = sent[0].message().extension_cie(kind::RESPONDER).unwrap();
    assert_eq!((responder.nbma, responder.address), (Some(path.local), Some(address("2001:db8:1::1"))));
}

#[test]
fn local_station_of_the_hub_is_at_the_hub() {
    let (mut hub, two, _) = hub_and_two();
    hub.input(Input::Fdb { vn: VN, mac: mac("52:54:00:00:00:aa"), place: Place::Local });
    for wanted in ["52:54:00:00:00:aa", HUB_MAC] {
        let cie = hub.ask(&two, &two.question(2, address(wanted))).cies()[0];
        let uplink = hub.engine.ports(VN).find(|(spoke, ..)| *spoke == two.vtep()).map(|(_, vni, _)| vni);
        assert_eq!((cie.nbma, cie.vni), (Some(nbma("10.0.0.1")), uplink));
    }
}

#[test]
fn a_reload_of_a_hub_changes_no_registration() {
    let (mut hub, two, _) = hub_and_two();
    let mut role = hub_role();
    role.max_spokes = 2;
    hub.out.clear();
    hub.engine.apply(hub.now, settings(RoleSettings::Hub(role), VpnMode::Llc), &mut hub.out);
    assert!(hub.out.is_empty());
    assert_eq!(hub.ask(&two, &two.registration(2)).codes(), [0]);
    assert_eq!(hub.register(&client(4)).codes(), [5]);
}
