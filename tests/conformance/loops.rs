//! MACs that move to and fro, and loops between sites: told once, and over when they are over.

use super::*;
use dmevpn::engine::report::{LoopReport, RestlessReport, VnReport};
use dmevpn::engine::{Event, News, Place, Wanted};
use dmevpn::types::{Label, Mac, Vtep};

const PORT: &str = "lan2";

fn events(node: &Driven) -> impl Iterator<Item = Event> + '_ {
    node.out.iter().filter_map(|e| if let Effect::Tell { event, .. } = e { Some(*event) } else { None })
}

/// What there is to be told of moves and loops.
fn alarms(node: &Driven) -> Vec<Event> {
    let is_alarm = |e: &Event| matches!(e, Event::Restless { .. } | Event::Looped(_) | Event::LoopOver(_));
    events(node).filter(is_alarm).collect()
}

/// The loop frames that were sent: by which tunnel, and the nonce.
fn frames(node: &Driven) -> Vec<(Option<Vtep>, u64)> {
    let frame = |e: &Effect| match e {
        Effect::Do { act: Act::SeekLoop { tunnel, nonce }, .. } => Some((*tunnel, *nonce)),
        _ => None,
    };
    node.out.iter().filter_map(frame).collect()
}

fn has_stopped(node: &Driven) -> bool {
    node.out.iter().any(|e| matches!(e, Effect::Do { act: Act::SeekNoLoop, .. }))
}

fn seen(node: &mut Driven, mac: Mac, place: Place) {
    node.input(Input::News { vn: VN, news: News::Fdb { mac, place } });
}

fn comes_back(node: &mut Driven, nonce: u64) {
    node.input(Input::News { vn: VN, news: News::Looped { nonce, port: Label::new(PORT) } });
}

/// Ticks until `time` is over; what was told, and the frames that were sent.
fn pass(node: &mut Driven, time: Duration) -> (Vec<Event>, Vec<(Option<Vtep>, u64)>) {
    let (end, mut told, mut sent) = (node.now + time, Vec::new(), Vec::new());
    while let Some(at) = node.engine.deadline().filter(|at| *at <= end) {
        node.now = node.now.max(at);
        node.input(Input::Tick);
        told.extend(alarms(node));
        sent.extend(frames(node));
    }
    node.now = end;
    (told, sent)
}

fn floods(node: &Driven, tunnel: Option<Vtep>) -> bool {
    node.engine.plane(VN).unwrap().wanted(dmevpn::engine::Item::Floods(tunnel)) != Some(Wanted::Withheld)
}

fn spokes_report(node: &Driven) -> (Option<RestlessReport>, Option<LoopReport>) {
    match node.engine.report(node.now, VN) {
        Some(VnReport::Spoke(report)) => (report.restless, report.looped),
        Some(VnReport::Hub(report)) => (report.restless, report.looped),
        None => (None, None),
    }
}

/// A station's MAC comes by the tunnel and by a local port in turn; the frames that it made the spoke send.
fn flaps(spoke: &mut Driven, station: Mac, times: usize) -> Vec<(Option<Vtep>, u64)> {
    let mut sent = Vec::new();
    for n in 0..times {
        seen(spoke, station, if n % 2 == 0 { Place::Local } else { Place::Tunnel });
        sent.extend(frames(spoke));
    }
    sent
}

#[test]
fn what_comes_back_by_a_local_port_is_a_loop_until_it_does_not() {
    let mut spoke = Driven::registered();
    let station = mac(STATION);
    let first = flaps(&mut spoke, station, 8);
    assert_eq!(first.len(), 1, "at once, and once");
    let restless = RestlessReport { macs: 1, mac: station, from: spoke.uplink(), to: None };
    assert_eq!(spokes_report(&spoke), (Some(restless), None));
    assert!(floods(&spoke, None));

    // Only what it sent itself, lately, counts.
    let nonce = first[0].1;
    for other in [0, 1, nonce ^ 1] {
        comes_back(&mut spoke, other);
        assert!(spoke.out.is_empty() && floods(&spoke, None), "{other:x}");
    }
    comes_back(&mut spoke, nonce);
    let found = LoopReport { port: Label::new(PORT), spoke: None };
    assert_eq!(alarms(&spoke), [Event::Looped(found)]);
    assert!(!floods(&spoke, None));
    assert_eq!(spokes_report(&spoke).1, Some(found));
    // Thousands may: it goes round and round.
    (0..100).for_each(|_| comes_back(&mut spoke, nonce));
    assert!(spoke.out.is_empty());

    // No MAC moves any more, since nothing is flooded. The frames still tell: one a second.
    for _ in 0..90 {
        let (told, sent) = pass(&mut spoke, SECOND);
        assert_eq!((told, sent.len()), (vec![], 1));
        comes_back(&mut spoke, sent[0].1);
    }
    assert!(!floods(&spoke, None));
    assert_eq!(spokes_report(&spoke), (None, Some(found)), "the MAC rests");

    // The cable is pulled. A frame of before that comes late is nothing.
    let (told, sent) = pass(&mut spoke, 29 * SECOND);
    assert_eq!((told, sent.len()), (vec![], 29));
    comes_back(&mut spoke, nonce);
    let (told, sent) = pass(&mut spoke, 2 * SECOND);
    assert_eq!(told, [Event::LoopOver(found)]);
    assert!(floods(&spoke, None) && sent.len() <= 1);
    assert_eq!(spokes_report(&spoke), (None, None));
    assert_eq!(spoke.engine.statistics().loops, 1);
    assert_eq!(pass(&mut spoke, 100 * SECOND).1, []);
}

#[test]
fn without_an_echo_moves_are_no_loop_and_frames_end_with_them() {
    let mut spoke = Driven::registered();
    flaps(&mut spoke, mac(STATION), 8);
    let (mut told, sent) = pass(&mut spoke, 29 * SECOND);
    assert_eq!(sent.len(), 11, "each second, then rarely: all sites get them");
    // An echo of one that was sent long ago is none.
    comes_back(&mut spoke, sent[0].1);
    told.extend(alarms(&spoke));
    let mut has_ended = false;
    for _ in 0..15 {
        let (more, _) = pass(&mut spoke, SECOND);
        told.extend(more);
        has_ended |= has_stopped(&spoke);
    }
    assert!(told.is_empty() && has_ended && floods(&spoke, None), "{told:?}");
    assert_eq!(frames(&spoke), []);
    assert_eq!(pass(&mut spoke, 100 * SECOND).1, []);
    assert_eq!(spokes_report(&spoke), (None, None));
}

/// Two stations have one MAC for days. A cable is found as soon all the same.
#[test]
fn another_mac_that_moves_has_frames_sent_each_second_again() {
    let mut spoke = Driven::registered();
    let (twice, other) = (mac(STATION), mac("52:54:00:00:00:72"));
    flaps(&mut spoke, twice, 8);
    let mut sent = 0;
    for n in 0..600 {
        seen(&mut spoke, twice, if n % 2 == 0 { Place::Local } else { Place::Tunnel });
        sent += frames(&spoke).len() + pass(&mut spoke, SECOND).1.len();
    }
    assert!((65..=72).contains(&sent), "{sent}");
    spoke.now = spoke.now + SECOND;
    assert_eq!(flaps(&mut spoke, other, 8).len(), 1, "at once");
    let (told, sent) = pass(&mut spoke, 5 * SECOND);
    assert_eq!((told.len(), sent.len()), (0, 5));
}

/// An address that two routers share (VRRP) moves once a minute; a station roams.
#[test]
fn an_address_that_moves_once_a_minute_is_told_nowhere() {
    let (mut hub, two, three) = hub_and_two();
    let mut spoke = Driven::registered();
    let shared = mac("00:00:5e:00:01:01");
    let mut told = Vec::new();
    for minute in 0..60 {
        let place = if minute % 2 == 0 { Place::Local } else { Place::Tunnel };
        seen(&mut spoke, shared, place);
        told.extend(alarms(&spoke));
        assert_eq!(frames(&spoke), []);
        let at = [two, three][minute % 2];
        seen(&mut hub, shared, Place::At(at.vtep()));
        told.extend(alarms(&hub));
        // Back and forth between access points, within a minute, is still no more than a station that roams.
        if minute % 10 == 0 {
            for n in 0..4 {
                seen(&mut spoke, mac(STATION), if n % 2 == 0 { Place::Local } else { Place::Tunnel });
                told.extend(alarms(&spoke));
            }
        }
        for node in [&mut spoke, &mut hub] {
            let (more, sent) = pass(node, 60 * SECOND);
            told.extend(more);
            assert_eq!(sent, []);
        }
    }
    assert_eq!(told, []);
}

#[test]
fn a_hub_tells_of_a_mac_between_two_spokes_and_seeks_no_loop_there() {
    let (mut hub, two, three) = hub_and_two();
    let station = mac("52:54:00:00:00:77");
    let mut told = Vec::new();
    for n in 0..50 {
        seen(&mut hub, station, Place::At([two, three][n % 2].vtep()));
        told.extend(alarms(&hub));
        assert_eq!(frames(&hub), [], "the spokes see it at their local ports");
    }
    let between = Event::Restless { mac: station, from: Some(three.vtep()), to: Some(two.vtep()) };
    assert_eq!(told, [between]);
    let report = spokes_report(&hub).0.unwrap();
    assert_eq!((report.macs, report.mac), (1, station));
    let places = [report.from.unwrap(), report.to.unwrap()];
    assert!(places.contains(&two.vtep()) && places.contains(&three.vtep()));
    assert_eq!(pass(&mut hub, 31 * SECOND).1, []);
    assert_eq!(spokes_report(&hub), (None, None));
}

/// A cable between a spoke's site and the hub's own: the hub's tunnel to that spoke is left out of flooding, no other.
#[test]
fn a_hub_finds_a_loop_between_its_site_and_a_spokes() {
    let (mut hub, two, three) = hub_and_two();
    let station = mac("52:54:00:00:00:77");
    let mut sent = Vec::new();
    for n in 0..8 {
        seen(&mut hub, station, if n % 2 == 0 { Place::Local } else { Place::At(two.vtep()) });
        sent.extend(frames(&hub));
    }
    let tunnel = Some(two.vtep());
    assert_eq!(sent.iter().map(|(tunnel, _)| *tunnel).collect::<Vec<_>>(), [tunnel]);
    comes_back(&mut hub, sent[0].1);
    let found = LoopReport { port: Label::new(PORT), spoke: tunnel };
    assert_eq!(alarms(&hub), [Event::Looped(found)]);
    assert!(!floods(&hub, tunnel) && floods(&hub, Some(three.vtep())));
    // Its spoke leaves: what is not there cannot be left out.
    hub.ask(&two, &two.purge(9, 0, &[two.source]));
    let (told, _) = pass(&mut hub, 3 * SECOND);
    assert_eq!(told, [Event::LoopOver(found)]);
    assert!(floods(&hub, tunnel));
}

/// Nothing is left of it when the devices go.
#[test]
fn a_loop_ends_with_the_devices() {
    let mut spoke = Driven::registered();
    let sent = flaps(&mut spoke, mac(STATION), 8);
    comes_back(&mut spoke, sent[0].1);
    assert!(!floods(&spoke, None));
    spoke.input(Input::News { vn: VN, news: News::Device(None) });
    assert!(floods(&spoke, None) && has_stopped(&spoke));
    assert_eq!(pass(&mut spoke, 60 * SECOND), (vec![], vec![]));
}
