//! How long what was said holds, and what is known of it meanwhile.

use super::*;
use dmevpn::engine::report::{MacRow, MacState, VnReport};
use dmevpn::engine::settings::{ClientSettings, ServerSettings, Settings, Trigger, VpnMode};
use dmevpn::engine::{Event, Input, News, Order, Place};
use dmevpn::types::Mac;
use dmevpn::wire::nhrp::ProtocolAddress;

fn row(driven: &Driven, mac: Mac) -> Option<MacRow> {
    driven.engine.macs(driven.now, VN, None, usize::MAX).into_iter().find(|row| row.mac == mac)
}

#[test]
fn a_hub_forgets_whom_it_told_when_the_answer_ends() {
    let (mut hub, two, three) = hub_and_two();
    let (silent, talks) = (mac(STATION), mac("52:54:00:00:00:0c"));
    hub.learn(&three, ProtocolAddress::Mac(talks));
    for (id, wanted) in [(2, silent), (3, talks)] {
        hub.ask(&two, &two.question(id, ProtocolAddress::Mac(wanted)));
    }
    hub.pass(300 * SECOND);
    [two, three].iter().for_each(|client| assert_eq!(hub.ask(client, &client.registration(4)).codes(), [0]));
    hub.input(Input::News { vn: VN, news: News::Fdb { mac: silent, place: Place::Gone } });
    hub.pass(299 * SECOND);
    let known = |hub: &Driven, mac| row(hub, mac).map(|row| (row.state, row.askers));
    assert_eq!(known(&hub, silent), Some((MacState::Held, 1)), "it is answered for");
    assert_eq!(known(&hub, talks), Some((MacState::Learned, 1)));
    hub.pass(SECOND);
    assert_eq!((known(&hub, silent), known(&hub, talks)), (None, Some((MacState::Learned, 0))));
}

/// A router that slept for an hour: all that was said is over, and it begins anew in the first moment.
#[test]
fn after_an_hour_of_sleep_a_spoke_registers_at_once() {
    let mut spoke = spoke_with_shortcut();
    spoke.now = spoke.now + Duration::from_secs(3600);
    spoke.input(Input::Tick);
    assert!(spoke.told(&Event::RegistrationLost { hub: nbma("10.0.0.1") }));
    let sent = spoke.sent();
    let request = sent.iter().find(|s| s.header().kind == Kind::RegistrationRequest).expect("it registers");
    assert_eq!(spoke.shortcut(mac(STATION)), None, "nobody knows where the station is now");
    spoke.hear_from_hub(&accepted(&request.bytes, vni(9000)));
    assert!(spoke.engine.is_registered(VN));
}

#[test]
fn after_an_hour_of_sleep_a_hub_knows_nobody_and_takes_all_in() {
    let (mut hub, two, three) = hub_and_two();
    hub.now = hub.now + Duration::from_secs(3600);
    hub.input(Input::Tick);
    assert_eq!(hub.ports(), []);
    for client in [two, three] {
        assert_eq!(hub.register(&client).codes(), [0]);
    }
    assert_eq!(hub.ports().len(), 2);
}

/// What a bridge saw of a MAC goes before who registered it, but not for longer than somebody was told so.
#[test]
fn a_mac_that_was_elsewhere_is_where_it_is_registered() {
    let (mut hub, two, three) = hub_and_two();
    hub.learn(&three, two.source);
    let four = client(4);
    hub.register(&four);
    let place = |hub: &mut Driven, id| hub.ask(&four, &four.question(id, two.source)).cies()[0].nbma;
    assert_eq!(place(&mut hub, 2), Some(three.nbma));
    let ProtocolAddress::Mac(mac) = two.source else { panic!("a MAC") };
    hub.input(Input::News { vn: VN, news: News::Fdb { mac, place: Place::Gone } });
    hub.pass(300 * SECOND);
    for client in [two, three, four] {
        assert_eq!(hub.ask(&client, &client.registration(4)).codes(), [0]);
    }
    assert_eq!(row(&hub, mac).and_then(|row| row.at), Some(three.vtep()), "the answer holds");
    hub.pass(300 * SECOND);
    assert_eq!(place(&mut hub, 5), Some(two.nbma));
}

/// Others have their turn while much is looked through.
#[test]
fn what_nobody_holds_is_swept_in_slices() {
    let (mut hub, two, three) = hub_and_two();
    let stations: Vec<Mac> = (0..200).map(|n| mac(&format!("52:54:00:00:0a:{n:02x}"))).collect();
    for mac in &stations {
        hub.learn(&three, ProtocolAddress::Mac(*mac));
        hub.ask(&two, &two.question(2, ProtocolAddress::Mac(*mac)));
        hub.input(Input::News { vn: VN, news: News::Fdb { mac: *mac, place: Place::Gone } });
    }
    hub.pass(300 * SECOND);
    [two, three].iter().for_each(|client| assert_eq!(hub.ask(client, &client.registration(4)).codes(), [0]));
    hub.pass(299 * SECOND);
    let left = |hub: &Driven| stations.iter().filter(|mac| row(hub, **mac).is_some()).count();
    assert_eq!(left(&hub), 200);
    hub.now = hub.now + SECOND;
    hub.input(Input::Tick);
    assert!((100..200).contains(&left(&hub)));
    hub.pass(SECOND);
    assert_eq!(left(&hub), 0);
}

#[test]
fn a_mac_that_left_one_spoke_is_where_it_was_told_to_be() {
    let (mut hub, two, three) = hub_and_two();
    let station = mac(STATION);
    let tell = |hub: &mut Driven, place| {
        hub.input(Input::News { vn: VN, news: News::Fdb { mac: station, place } });
        hub.engine.lookup(VN, station)
    };
    let (two, three) = (two.vtep(), three.vtep());
    assert_eq!(tell(&mut hub, Place::At(two)), Place::At(two));
    assert_eq!(tell(&mut hub, Place::At(three)), Place::At(three));
    assert_eq!(tell(&mut hub, Place::Left(two)), Place::At(three));
    assert_eq!(tell(&mut hub, Place::Left(three)), Place::Gone);
    assert_eq!(tell(&mut hub, Place::Local), Place::Local);
    assert_eq!(tell(&mut hub, Place::Left(three)), Place::Local);
}

#[test]
fn what_the_hub_denied_is_so_for_the_negative_time() {
    let mut spoke = Driven::registered();
    let nobody = mac(STATION);
    spoke.heard(nobody);
    assert!(!spoke.engine.is_denied(VN, nobody), "nobody said so yet");
    let question = spoke.one();
    spoke.hear_from_hub(&answer(&question.bytes, &[Cie::nak(12)]));
    let resolve = Order::Resolve { vn: VN, mac: nobody };
    for wait in [0, 29] {
        spoke.pass(wait * SECOND);
        assert!(spoke.engine.is_denied(VN, nobody));
        spoke.input(Input::Order(resolve));
        assert!(spoke.sent().is_empty(), "it is not asked again");
    }
    spoke.pass(SECOND);
    assert!(!spoke.engine.is_denied(VN, nobody));
    spoke.input(Input::Order(resolve));
    assert_eq!(spoke.one().header().destination, Some(ProtocolAddress::Mac(nobody)));
}

/// What is not there, and asked for, leaves room for what is.
#[test]
fn questions_for_nobody_take_no_room() {
    let mut hub = Driven::hub_with(ServerSettings { max_macs: 10, ..hub_role() });
    let two = client(2);
    hub.register(&two);
    let nobody = |n: u8| address(&format!("52:54:00:00:09:{n:02x}"));
    let refused = |hub: &mut Driven, learned: core::ops::Range<u8>| {
        learned.for_each(|n| hub.learn(&two, nobody(n)));
        hub.engine.statistics().macs_refused
    };
    for n in 0..20 {
        assert_eq!(hub.ask(&two, &two.question(n.into(), nobody(n))).codes(), [12]);
    }
    // There is the spoke's own, and four of them, which make room.
    assert_eq!(hub.engine.macs(hub.now, VN, None, usize::MAX).len(), 1);
    assert_eq!(refused(&mut hub, 100..109), 0);
    assert_eq!(refused(&mut hub, 109..110), 1);
}

/// A silent hub is no reason to doubt what it said: the shortcut lasts as long as it was to last.
#[test]
fn j7_j8_an_answer_holds_while_the_hub_is_silent() {
    let mut spoke = spoke_with_shortcut();
    spoke.pass(240 * SECOND);
    spoke.input(Input::Order(Order::Resolve { vn: VN, mac: mac(STATION) }));
    let asked = spoke.one();
    let sent = spoke.pass(59 * SECOND);
    assert_eq!(sent.iter().filter(|sent| sent.bytes == asked.bytes).count(), 4);
    assert_eq!(spoke.shortcut(mac(STATION)), Some(vtep("10.0.0.3", 101)));
    spoke.pass(SECOND);
    assert_eq!(spoke.shortcut(mac(STATION)), None);
}

/// The bridge forgets what it would not tell of again otherwise, and nothing else.
#[test]
fn j8_the_bridge_forgets_with_its_spoke() {
    let station = mac(STATION);
    let flush = Input::Order(Order::Flush { vn: None, mac: Some(station) });
    let local = Input::News { vn: VN, news: News::Fdb { mac: station, place: Place::Local } };
    for (trigger, input, unlearned) in [
        (Trigger::Learn, flush, true),
        (Trigger::Learn, local, false),
        (Trigger::L2miss, flush, false),
        (Trigger::L2miss, local, false),
    ] {
        let mut spoke = Driven::registered_with(ClientSettings { trigger, ..spoke_role() });
        spoke.input(Input::Order(Order::Resolve { vn: VN, mac: station }));
        let question = spoke.one();
        spoke.hear_from_hub(&answer(&question.bytes, &[at(vtep("10.0.0.3", 101), 300)]));
        assert!(spoke.shortcut(station).is_some());
        spoke.input(input);
        assert_eq!(spoke.shortcut(station), None);
        assert_eq!(
            acts(&spoke).contains(&Act::Unlearn(station, Place::Tunnel)),
            unlearned,
            "{trigger:?} {input:?}"
        );
    }
}

#[test]
fn a_spoke_counts_what_it_knows_by_state() {
    let mut spoke = Driven::registered();
    let stations = [1, 2, 3, 4, 5, 6].map(|n| mac(&format!("52:54:00:00:08:0{n}")));
    for (n, station) in stations.into_iter().enumerate() {
        spoke.heard(station);
        let question = spoke.one();
        let cie = if n < 3 { at(vtep("10.0.0.3", 101), 300) } else { Cie::nak(12) };
        if n < 5 {
            spoke.hear_from_hub(&answer(&question.bytes, &[cie]));
        }
    }
    let Some(VnReport::Spoke(report)) = spoke.engine.report(spoke.now, VN) else { panic!("a spoke") };
    assert_eq!((report.shortcuts, report.negative, report.asking), (3, 2, 1));
    assert_eq!((report.uplink, report.since), (Some(vtep("10.0.0.1", 9000)), 0));
    let states = stations.map(|mac| row(&spoke, mac).map(|row| (row.state, row.left)));
    assert_eq!(states[2..4], [Some((MacState::Shortcut, Some(300))), Some((MacState::Negative, None))]);
    assert_eq!(states[5], Some((MacState::Asking, None)));
}

/// Nobody wakes up for what is no more, and it is not remembered when it comes back.
#[test]
fn nothing_is_left_of_a_vn_that_is_taken_out() {
    let restless = mac("52:54:00:00:00:71");
    let mut spoke = Driven::registered_with(ClientSettings { max_macs: 300, ..spoke_role() });
    let mut hub = Driven::hub_with(ServerSettings { max_macs: 1000, ..hub_role() });
    let all = [2, 3].map(client);
    all.iter().for_each(|client| assert_eq!(hub.register(client).codes(), [0]));
    let tell = |node: &mut Driven, place| {
        node.input(Input::News { vn: VN, news: News::Fdb { mac: restless, place } });
        node.told(&Event::Restless { mac: restless, from: node.uplink(), to: None })
    };
    let mut held = false;
    for _ in 0..6 {
        held |= tell(&mut spoke, Place::Local);
        held |= tell(&mut spoke, Place::Tunnel);
        hub.learn(&all[0], ProtocolAddress::Mac(restless));
        hub.learn(&all[1], ProtocolAddress::Mac(restless));
    }
    for n in 0..1200 {
        let [a, b] = u16::to_be_bytes(n);
        let station = Mac::new([0x52, 0x54, 0, 1, a, b]).unwrap();
        spoke.heard(station);
        hub.learn(&all[0], ProtocolAddress::Mac(station));
    }
    assert!(held && hub.engine.statistics().macs_refused > 0);
    hub.ask(&all[1], &all[1].question(2, address("52:54:00:01:00:01")));

    for node in [&mut spoke, &mut hub] {
        let nothing =
            Settings { vns: Default::default(), ..settings(Part::Spoke(spoke_role()), VpnMode::Llc) };
        node.engine.apply(node.now, nothing, &mut node.out);
        assert_eq!(node.engine.deadline(), None);
    }
    // The device goes and comes.
    let mut spoke = Driven::registered();
    while !(tell(&mut spoke, Place::Local) || tell(&mut spoke, Place::Tunnel)) {}
    for device in [None, Some(mac(SPOKE_MAC))] {
        spoke.input(Input::News { vn: VN, news: News::Device(device) });
    }
    tell(&mut spoke, Place::Local);
    assert_eq!(spoke.engine.lookup(VN, restless), Place::Local);
}
