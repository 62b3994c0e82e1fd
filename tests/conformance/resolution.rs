//! C. and D. Resolution Requests and Resolution Replies.

use super::*;
use dmevpn::engine::settings::VpnMode;
use dmevpn::engine::{Input, Item, News};
use dmevpn::wire::VpnTag;
use dmevpn::wire::nhrp::{Message, error, kind};

// C. Resolution Requests.

#[test]
fn c2_d13_unique_wanted_and_none_is_nak_13() {
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

/// A hub that just came back does not know yet what its bridge knows: it does not say that nobody knows the station.
#[test]
fn what_is_not_listed_yet_is_not_denied() {
    let (mut hub, two, three) = hub_and_two();
    hub.input(Input::News { vn: VN, news: News::Device(None) });
    hub.input(Input::News { vn: VN, news: News::Device(Some(mac(HUB_MAC))) });
    hub.input(Input::News { vn: VN, news: News::Listing });
    let station = address("52:54:00:00:00:98");
    let question = two.question(7, station);
    assert!(hub.hear(two.path(), TAG, &question).is_empty());
    hub.learn(&three, station);
    assert_eq!(hub.ask(&two, &question).codes(), [0]);
    let other = two.question(8, address("52:54:00:00:00:99"));
    assert!(hub.hear(two.path(), TAG, &other).is_empty());
    hub.input(Input::News { vn: VN, news: News::Listed });
    assert_eq!(hub.ask(&two, &other).codes(), [12]);
}

#[test]
fn c7_not_every_frame_is_a_question() {
    let mut spoke = Driven::registered();
    spoke.heard(mac(STATION));
    assert_eq!(spoke.sent().len(), 1);
    for _ in 0..100 {
        spoke.heard(mac(STATION));
        spoke.input(Input::News { vn: VN, news: News::Miss(mac(STATION)) });
        assert!(spoke.sent().is_empty());
    }
}

#[test]
fn c8_until_there_is_an_answer_frames_go_by_the_hub() {
    let mut spoke = Driven::spoke(VpnMode::Llc, 1);
    let request = spoke.one();
    spoke.hear_from_hub(&accepted(&request.bytes, vni(9000)));
    let to = vtep("10.0.0.1", 9000);
    assert!(spoke.changed().any(|item| item == Item::Uplink) && spoke.uplink() == Some(to));
}

/// A question that the hub did not answer before it got another address is asked again there.
#[test]
fn c8_a_question_follows_the_hub() {
    let mut spoke = Driven::registered();
    spoke.heard(mac(STATION));
    let old = spoke.one();
    let path = dmevpn::engine::Path { remote: nbma("10.0.0.99"), ..old.path };
    spoke.input(Input::Hub { hub: HUB, path: Some(path) });
    let request = spoke.sent().into_iter().find(|sent| sent.header().kind == Kind::RegistrationRequest);
    let sent = spoke.hear(path, TAG, &accepted(&request.unwrap().bytes, vni(9000)));
    let [question] = &sent[..] else { panic!("{} packets", sent.len()) };
    assert_eq!((question.path, question.header().destination), (path, Some(address(STATION))));
    assert_ne!(question.header().request_id, old.header().request_id, "it is another one");
    let there = vtep("10.0.0.3", 101);
    spoke.hear(path, TAG, &answer(&question.bytes, &[at(there, 300)]));
    assert_eq!(spoke.shortcut(mac(STATION)), Some(there));
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
        w.cie(&Cie { prefix: 0xff, mtu: 1234, holding: 600, preference: 7, ..Cie::default() });
    });
    hub.ask(&three, &request);
    for about in [address(STATION), three.source] {
        let cie = hub.ask(&two, &two.question(2, about)).cies()[0];
        let wanted = Cie { mtu: 1234, preference: 7, address: Some(about), ..at(three.vtep(), 600) };
        assert_eq!(cie, wanted);
    }
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
