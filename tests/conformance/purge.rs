//! F. Purges.

use super::*;
use dmevpn::engine::report::VnReport;
use dmevpn::engine::{Act, Input, News, Place};
use dmevpn::wire::nhrp::{ProtocolAddress, error};

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
    assert_eq!(hub.engine.peers(hub.now, VN, None, usize::MAX).len(), 1);
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

/// Of 48 bits the last of the prefix counts, and the one after it does not.
#[test]
fn f4_prefix_purges_nothing_outside() {
    let inside = "52:54:00:00:00:0b";
    for (prefix, others) in [
        (40, ["52:54:00:00:00:ff", "52:54:00:00:01:0b"]),
        (41, ["52:54:00:00:00:7f", "52:54:00:00:00:8b"]),
        (47, ["52:54:00:00:00:0a", "52:54:00:00:00:09"]),
        (7, ["52:55:00:00:00:0b", "54:54:00:00:00:0b"]),
        (1, ["02:00:00:00:00:0b", "fe:00:00:00:00:0b"]),
    ] {
        let mut spoke = Driven::registered();
        for station in [inside, others[0], others[1]] {
            spoke.heard(mac(station));
            let question = spoke.one();
            spoke.hear_from_hub(&answer(&question.bytes, &[at(vtep("10.0.0.3", 101), 300)]));
        }
        assert_eq!(STATION, inside);
        spoke.hear_from_hub(&purge(0, prefix, None));
        let left = [inside, others[0], others[1]].map(|station| spoke.shortcut(mac(station)).is_some());
        assert_eq!(left, [false, false, true], "{prefix}");
    }
}

/// So many are known by name; with one more, everybody is told.
#[test]
fn f5_only_so_many_askers_have_a_name() {
    for (askers, told) in [(12, 12), (13, 14)] {
        let mut hub = Driven::hub();
        let all: Vec<Client> = (10..26).map(client).collect();
        all.iter().for_each(|client| assert_eq!(hub.register(client).codes(), [0]));
        let (old, new) = (all[14], all[15]);
        hub.learn(&old, address(STATION));
        for client in &all[..askers] {
            hub.ask(client, &client.question(2, address(STATION)));
        }
        hub.learn(&new, address(STATION));
        // And the old site, and never the new one.
        assert_eq!(hub.sent().len(), told + 1, "{askers}");
        assert!(hub.sent().iter().all(|sent| sent.path != new.path()));
    }
}

/// A station that moved away, and whose bridge did not notice, is not here any more.
#[test]
fn f4_f9_purge_of_the_own_site_unlearns_what_is_here() {
    let here = [STATION, "52:54:00:00:00:0c", "52:54:00:00:01:0b"].map(mac);
    for (prefix, left) in [(0xff, [false, true, true]), (48, [false, true, true]), (40, [false, false, true])]
    {
        let mut spoke = Driven::registered();
        for mac in here {
            spoke.input(Input::News { vn: VN, news: News::Fdb { mac, place: Place::Local } });
        }
        spoke.hear_from_hub(&purge(0, prefix, Some(vtep("10.0.0.2", 100))));
        let unlearned = acts(&spoke);
        for (mac, left) in here.into_iter().zip(left) {
            assert_eq!(unlearned.contains(&Act::Unlearn(mac, Place::Local)), !left, "{prefix} {mac}");
            assert_eq!(spoke.engine.lookup(VN, mac) == Place::Local, left, "{prefix} {mac}");
        }
    }
    let mut spoke = spoke_with_shortcut();
    spoke.hear_from_hub(&purge(0, 0xff, Some(vtep("10.0.0.2", 100))));
    assert!(acts(&spoke).is_empty() && spoke.shortcut(mac(STATION)).is_some(), "it is not here");
}

/// Two sites at one address confirm what each was told.
#[test]
fn f8_who_confirms_is_known_by_what_was_asked() {
    let (mut hub, two, _) = hub_and_two();
    let (beside, four) = (Client { vni: Some(vni(200)), ..client(9) }, client(4));
    let beside = Client { nbma: two.nbma, ..beside };
    [beside, four].iter().for_each(|client| assert_eq!(hub.register(client).codes(), [0]));
    hub.ask(&beside, &beside.question(2, address(STATION)));
    hub.learn(&four, address(STATION));
    let purge = hub.sent().into_iter().find(|sent| sent.path == beside.path()).unwrap();
    assert_eq!(purge.header().destination, Some(beside.source));
    confirm(&mut hub, &two, &purge);
    assert!(hub.pass(20 * SECOND).iter().all(|sent| sent.path != two.path()));
}

/// What left with its port is withdrawn, together, until the hub confirms; what the bridge forgot by its age is not.
#[test]
fn f6_a_spoke_withdraws_what_left_with_its_port() {
    let mut spoke = Driven::registered();
    let station = |n: u8| mac(&format!("52:54:00:00:07:{n:02x}"));
    let tell = |spoke: &mut Driven, n, place| {
        spoke.input(Input::News { vn: VN, news: News::Fdb { mac: station(n), place } });
    };
    (0..43).for_each(|n| tell(&mut spoke, n, Place::Local));
    (0..40).for_each(|n| tell(&mut spoke, n, Place::Unplugged));
    tell(&mut spoke, 40, Place::Gone);
    tell(&mut spoke, 41, Place::Tunnel);
    tell(&mut spoke, 41, Place::Unplugged);
    tell(&mut spoke, 3, Place::Local);
    let about = |sent: &Sent| sent.cies().iter().filter_map(|cie| cie.address).collect::<Vec<_>>();
    let all = |numbers: core::ops::Range<u8>| {
        numbers.filter(|n| *n != 3).map(|n| ProtocolAddress::Mac(station(n))).collect::<Vec<_>>()
    };
    let purges = |sent: Vec<Sent>| -> Vec<Sent> {
        sent.into_iter().filter(|s| s.header().kind == Kind::PurgeRequest).collect()
    };
    let first = purges(spoke.pass(SECOND / 10));
    assert_eq!(first.len(), 1, "one at a time");
    assert_eq!(about(&first[0]), all(0..33));
    let header = first[0].header();
    assert_eq!((header.source, header.destination), (Some(address(SPOKE_MAC)), Some(address(HUB_MAC))));
    // It was lost. One of them is back before it is told again, another after that.
    tell(&mut spoke, 0, Place::Local);
    let again = purges(spoke.pass(SECOND));
    assert_eq!(about(&again[0]), all(1..34));
    tell(&mut spoke, 1, Place::Local);
    let confirm = |spoke: &mut Driven, purge: &Sent| {
        let reply = write(&purge.header().reply(Kind::PurgeReply), |w| {
            purge.cies().iter().for_each(|cie| {
                w.cie(cie);
            });
        });
        spoke.hear_from_hub(&reply);
    };
    confirm(&mut spoke, &again[0]);
    let announced = Act::Announce { mac: station(1), hub: mac(HUB_MAC) };
    assert_eq!(acts(&spoke), [announced], "the hub may have forgotten it after it heard of it");
    let rest = purges(spoke.pass(SECOND / 10));
    assert_eq!(about(&rest[0]), all(34..40));
    confirm(&mut spoke, &rest[0]);
    assert!(purges(spoke.pass(60 * SECOND)).is_empty());
}

/// A hub forgets it at that site alone, and so does its bridge. In whichever order that and a registration come, neither
/// outdates the other.
#[test]
fn f6_f7_what_left_a_site_is_forgotten_there() {
    let (mut hub, two, three) = hub_and_two();
    hub.ask(&two, &two.question(2, address(STATION)));
    assert_eq!(hub.ask(&three, &three.registration(9)).codes(), [0]);
    let purge = three.purge(5, 0, &[address(STATION)]);
    let sent = hub.hear(three.path(), TAG, &purge);
    assert_eq!(acts(&hub), [Act::Unlearn(mac(STATION), Place::At(three.vtep()))]);
    let told = sent.iter().find(|s| s.path == two.path()).unwrap();
    assert_eq!(told.cies()[0].address, Some(address(STATION)));
    assert_eq!(hub.ask(&two, &two.question(3, address(STATION))).codes(), [12]);
    assert_eq!(hub.ask(&three, &three.registration(10)).codes(), [0]);
    // It is somewhere else, and the old site says once more that it left.
    hub.learn(&two, address(STATION));
    hub.ask(&three, &purge);
    assert!(acts(&hub).is_empty());
    assert_eq!(hub.ask(&three, &three.question(11, address(STATION))).codes(), [0]);
}

/// A station at the hub itself that left with its port.
#[test]
fn f5_what_leaves_the_hub_is_told_to_who_asked() {
    let (mut hub, two, _) = hub_and_two();
    let here = mac("52:54:00:00:00:aa");
    let tell =
        |hub: &mut Driven, place| hub.input(Input::News { vn: VN, news: News::Fdb { mac: here, place } });
    tell(&mut hub, Place::Local);
    assert_eq!(hub.ask(&two, &two.question(2, ProtocolAddress::Mac(here))).codes(), [0]);
    tell(&mut hub, Place::Gone);
    assert!(hub.sent().is_empty(), "it is quiet");
    tell(&mut hub, Place::Local);
    tell(&mut hub, Place::Unplugged);
    assert_eq!((hub.one().path, hub.one().header().kind), (two.path(), Kind::PurgeRequest));
}

/// Who was told that there is no such address waits no longer than the address does.
#[test]
fn f5_refused_asker_is_told_when_the_address_appears() {
    let (mut hub, two, three) = hub_and_two();
    let late = address("52:54:00:00:00:99");
    assert_eq!(hub.ask(&two, &two.question(2, late)).codes(), [12]);
    hub.learn(&three, late);
    let sent = hub.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].path, sent[0].header().kind), (two.path(), Kind::PurgeRequest));
    assert_eq!(sent[0].cies()[0].address, Some(late));
}

/// The answer that a purge overtakes says what is not true any more.
#[test]
fn f9_answer_under_way_does_not_survive_a_purge() {
    let mut spoke = Driven::registered();
    spoke.heard(mac(STATION));
    let first = spoke.one();
    let sent = spoke.hear_from_hub(&purge(0, 0xff, None));
    let second = sent.iter().find(|s| s.header().kind == Kind::ResolutionRequest).expect("asked anew");
    let there = |n: u8| at(vtep(&format!("10.0.0.{n}"), 101), 300);
    spoke.hear_from_hub(&answer(&first.bytes, &[there(3)]));
    assert_eq!(spoke.shortcut(mac(STATION)), None);
    spoke.hear_from_hub(&answer(&second.bytes, &[there(4)]));
    assert_eq!(spoke.shortcut(mac(STATION)), Some(vtep("10.0.0.4", 101)));
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
    let owed = |hub: &Driven| match hub.engine.report(hub.now, VN) {
        Some(VnReport::Hub(report)) => report.purges,
        _ => panic!("a hub"),
    };
    assert_eq!(owed(&hub), 2, "the old site is told, too");
    let mut again = hub.pass(5 * SECOND);
    again.retain(|s| s.path == two.path());
    assert!(again.len() >= 3 && again.iter().all(|s| s.bytes == first.bytes));
    let reply = write(&first.header().reply(Kind::PurgeReply), |w| {
        w.cie(&first.cies()[0]);
    });
    assert!(hub.hear(two.path(), TAG, &reply).is_empty());
    assert_eq!(owed(&hub), 1);
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
