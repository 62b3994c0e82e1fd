//! What a run finds of the one before it, and who may still hold its answers.

use super::*;
use dmevpn::engine::settings::VpnMode;
use dmevpn::engine::{Act, Effect, Event, Input, Item, News, Path, Place, Table};
use dmevpn::types::Vni;
use dmevpn::wire::nhrp::{Message, ProtocolAddress};
use std::collections::BTreeSet;

fn found(spoke: &mut Driven, to: dmevpn::types::Vtep) {
    spoke.input(Input::News { vn: VN, news: News::FoundShortcut { mac: mac(STATION), to } });
}

#[test]
fn a_found_shortcut_stays_and_is_asked_for() {
    let mut spoke = Driven::spoke(VpnMode::Llc, 1);
    let request = spoke.one();
    let there = vtep("10.0.0.3", 101);
    found(&mut spoke, there);
    assert_eq!((spoke.shortcut(mac(STATION)), spoke.changed().count()), (Some(there), 0));
    spoke.hear_from_hub(&accepted(&request.bytes, vni(9000)));
    assert!(again::asked(&spoke.pass(10 * SECOND)).contains(&mac(STATION)));
    // One that is not what is wanted is made right.
    found(&mut spoke, there);
    assert_eq!(spoke.changed().count(), 0);
    found(&mut spoke, vtep("10.0.0.4", 101));
    assert_eq!(spoke.changed().collect::<Vec<_>>(), [Item::Shortcut(mac(STATION))]);
    assert_eq!(spoke.shortcut(mac(STATION)), Some(there));
}

/// Who is told to forget every MAC just after it registered has a hub that knows nobody: it says who is here.
#[test]
fn a_hub_that_takes_all_back_learns_who_is_here() {
    let all = |spoke: &mut Driven| {
        let header = Header { request_id: 9, ..Message::parse(&purge(0, 0, None)).unwrap().header };
        let request = write(&header, |w| {
            for half in ["02:00:00:00:00:00", "82:00:00:00:00:00"] {
                w.cie(&Cie { prefix: 1, address: Some(address(half)), ..Cie::default() });
            }
        });
        spoke.hear_from_hub(&request);
        spoke.out.iter().any(|e| matches!(e, Effect::Do { act: Act::Announce { .. }, .. }))
    };
    let mut spoke = Driven::registered();
    let here = mac("52:54:00:00:00:71");
    spoke.input(Input::News { vn: VN, news: News::Fdb { mac: here, place: Place::Local } });
    assert!(all(&mut spoke));
    // Later it is the end of a line that ran over.
    spoke.now = spoke.now + 10 * SECOND;
    assert!(!all(&mut spoke));
}

#[test]
fn the_uplink_of_a_found_port_is_in_use() {
    let mut role = hub_role();
    role.uplink_first = vni(Vni::MAX.get() - 1);
    for n in 0..2 {
        let mut hub = Driven::hub_with(role.clone());
        let uplink = vni(Vni::MAX.get() - n);
        let port = found_port(uplink.get(), 600);
        hub.input(Input::News { vn: VN, news: News::FoundPort { spoke: client(2).vtep(), port } });
        let codes = [3, 4].map(|n| {
            let sent = hub.hear(client(n).path(), TAG, &client(n).registration(1));
            sent.iter().find(|s| s.header().kind == Kind::RegistrationReply).map(|reply| reply.codes()[0])
        });
        assert_eq!(codes, [Some(0), Some(5)], "one is left");
        assert_ne!(hub.port(client(3).vtep()).map(|port| port.uplink), Some(uplink));
    }
}

#[test]
fn uplinks_are_given_back() {
    let mut role = hub_role();
    role.uplink_first = vni(Vni::MAX.get() - 1);
    let mut hub = Driven::hub_with(role);
    let (two, three, four) = (client(2), client(3), client(4));
    assert_eq!((hub.register(&two).codes(), hub.register(&three).codes()), (vec![0], vec![0]));
    assert_eq!(hub.register(&four).codes(), [5], "both are in use");
    hub.ask(&two, &two.purge(2, 0, &[two.source]));
    assert_eq!(hub.register(&four).codes(), [0]);
}

/// A hub of a new run, whose devices are there.
fn restarted() -> Driven {
    let mut hub = Driven::new(settings(Part::Hub(hub_role()), VpnMode::Llc), 6);
    hub.input(Input::News { vn: VN, news: News::Device(Some(mac(HUB_MAC))) });
    hub
}

/// It finds the ports of these, and stations.
fn finds(hub: &mut Driven, clients: &[Client], stations: &[(&str, Client)]) {
    hub.input(Input::News { vn: VN, news: News::Listing });
    for (client, n) in clients.iter().zip(0..) {
        let port = found_port(0x90_0000 + n, 300);
        hub.input(Input::News { vn: VN, news: News::FoundPort { spoke: client.vtep(), port } });
    }
    stations.iter().for_each(|(station, client)| hub.learn(client, address(station)));
    assert!(hub.sent().is_empty(), "where it was, as far as anybody knows");
    hub.input(Input::News { vn: VN, news: News::Listed });
}

/// Confirms all purges of these and those that come within so much time. Whom they told about what.
fn confirmed(hub: &mut Driven, sent: Vec<Sent>, time: Duration) -> Vec<(Path, ProtocolAddress)> {
    let mut sent = sent;
    sent.extend(hub.pass(time));
    for purge in sent.iter().filter(|sent| sent.header().kind == Kind::PurgeRequest) {
        let reply = write(&purge.header().reply(Kind::PurgeReply), |w| {
            purge.cies().iter().for_each(|cie| {
                w.cie(cie);
            });
        });
        hub.hear(purge.path, TAG, &reply);
    }
    let all = sent.iter().flat_map(|sent| sent.cies().into_iter().map(|cie| (sent.path, cie)));
    let about: BTreeSet<_> = all.filter_map(|(path, cie)| Some((path, cie.address?))).collect();
    about.into_iter().collect()
}

/// It asks those whose ports it found to register: by a Purge of its own address.
#[test]
fn a_restarted_hub_makes_itself_known() {
    let mut hub = restarted();
    let clients: Vec<Client> = (2..102).map(client).collect();
    finds(&mut hub, &clients, &[]);
    assert!(hub.sent().len() < 10, "not all at once");
    let sent = hub.sent();
    let told = confirmed(&mut hub, sent, 2 * SECOND);
    let all: Vec<_> = clients.iter().map(|client| (client.path(), address(HUB_MAC))).collect();
    assert_eq!(told, all);
    assert!(hub.pass(20 * SECOND).is_empty(), "once");
}

#[test]
fn a_spoke_registers_with_a_hub_that_makes_itself_known() {
    let mut spoke = spoke_with_shortcut();
    let denied = mac("52:54:00:00:00:0d");
    spoke.heard(denied);
    let question = spoke.one();
    spoke.hear_from_hub(&answer(&question.bytes, &[Cie::nak(12)]));
    let header = Message::parse(&purge(0, 0xff, None)).unwrap().header;
    let request = write(&header, |w| {
        w.cie(&Cie { prefix: 0xff, address: Some(address(HUB_MAC)), ..Cie::default() });
    });
    let sent = spoke.hear_from_hub(&request);
    let kinds: Vec<Kind> = sent.iter().map(|sent| sent.header().kind).collect();
    assert_eq!(kinds, [Kind::PurgeReply, Kind::RegistrationRequest]);
    spoke.hear_from_hub(&accepted(&sent[1].bytes, vni(9000)));
    let asked = again::asked(&spoke.pass(10 * SECOND));
    assert!(asked.contains(&mac(STATION)), "what it held: {asked:?}");
    assert!(asked.contains(&denied), "what it was denied: {asked:?}");
    assert_eq!(spoke.shortcut(mac(STATION)), Some(vtep("10.0.0.3", 101)), "it stays meanwhile");
    // A hub that says so all the time is not registered with all the time.
    assert_eq!(spoke.hear_from_hub(&request).len(), 1);
}

/// Who registers before it is known whether there are ports may hold anything, or nothing.
#[test]
fn f5_all_is_taken_back_when_it_is_known_that_there_was_no_port() {
    let (two, three) = (client(2), client(3));
    for ports in [&[][..], &[three]] {
        let mut hub = restarted();
        assert_eq!(hub.ask(&two, &two.question(1, address(HUB_MAC))).codes(), [4]);
        assert_eq!(hub.register(&two).codes(), [0], "and nothing else");
        finds(&mut hub, ports, &[]);
        let all = |sent: &Sent| sent.path == two.path() && sent.cies().iter().all(|cie| cie.prefix == 1);
        assert_eq!(hub.sent().iter().filter(|sent| all(sent)).count(), usize::from(ports.is_empty()));
    }
}

/// A table that has become smaller keeps no more ports than it may have.
#[test]
fn e12_no_more_ports_are_found_than_there_may_be_spokes() {
    let mut role = hub_role();
    role.max_spokes = 2;
    let mut hub = Driven::new(settings(Part::Hub(role), VpnMode::Llc), 6);
    hub.input(Input::News { vn: VN, news: News::Device(Some(mac(HUB_MAC))) });
    let (two, three, four) = (client(2), client(3), client(4));
    finds(&mut hub, &[two, three], &[]);
    let port = found_port(0x90_0007, 300);
    hub.input(Input::News { vn: VN, news: News::FoundPort { spoke: four.vtep(), port } });
    assert_eq!(hub.changed().collect::<Vec<_>>(), [Item::Port(four.vtep())], "it goes");
    assert!(hub.told(&Event::Full(Table::Spokes)));
    assert_eq!(hub.ports().iter().map(|(spoke, _)| *spoke).collect::<Vec<_>>(), [two.vtep(), three.vtep()]);
}

/// A hub that was away does not know what it told. Who is in no session does not notice that, and forgets all.
#[test]
fn who_is_in_no_session_forgets_all_after_a_reboot() {
    let mut hub = restarted();
    hub.input(Input::News { vn: VN, news: News::Listed });
    let (two, three, four) = (client(2), client(3), client(4));
    for client in [two, three, four] {
        let sent = hub.hear(client.path(), TAG, &client.registration(1));
        let purge =
            sent.iter().find(|s| s.header().kind == Kind::PurgeRequest).expect("it may hold anything");
        assert!(purge.cies().iter().all(|cie| cie.prefix == 1), "each half of all addresses");
        let reply = write(&purge.header().reply(Kind::PurgeReply), |w| {
            purge.cies().iter().for_each(|cie| {
                w.cie(cie);
            });
        });
        assert!(hub.hear(client.path(), TAG, &reply).is_empty());
    }
    hub.learn(&three, address(STATION));
    hub.learn(&four, address(STATION));
    let mut sent = hub.sent();
    sent.extend(hub.pass(SECOND));
    assert!(sent.iter().all(|s| s.path == three.path()), "only where the station was");
}

/// Who holds an answer of the run before asks again. Until then nobody is told on suspicion: who is told of a move is who
/// asked this run, and where the station was.
#[test]
fn f5_a_restarted_hub_tells_whom_it_told() {
    let mut hub = restarted();
    let (two, three, four) = (client(2), client(3), client(4));
    finds(&mut hub, &[two, three, four], &[(STATION, three)]);
    confirmed(&mut hub, Vec::new(), SECOND);
    [two, three, four].iter().for_each(|client| assert_eq!(hub.register(client).codes(), [0]));
    let moves = |hub: &mut Driven, to: &Client| {
        hub.learn(to, address(STATION));
        let told = hub.sent();
        confirmed(hub, told, SECOND)
    };
    assert_eq!(moves(&mut hub, &four), [(three.path(), address(STATION))], "nobody asked");
    assert_eq!(hub.ask(&two, &two.question(2, address(STATION))).cies()[0].nbma, Some(four.nbma));
    assert_eq!(moves(&mut hub, &three), [two, four].map(|client| (client.path(), address(STATION))));
    // What it never heard of is news for nobody.
    hub.learn(&four, again::station(1));
    assert_eq!(hub.sent().len() + hub.pass(SECOND).len(), 0);
}
