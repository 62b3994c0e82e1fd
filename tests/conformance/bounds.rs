//! What nobody may make of a hub or a spoke: refused, granted, taken back, held back, put off.

use super::*;
use dmevpn::engine::report::VnReport;
use dmevpn::engine::settings::{ClientSettings, ServerSettings, VpnMode};
use dmevpn::engine::{Act, Effect, Event, Input, Item, News, Order, Outcome, Place, Port, Table, Via};
use dmevpn::types::Mac;
use dmevpn::wire::VpnTag;
use dmevpn::wire::nhrp::{Message, ProtocolAddress, error, flag};

const ALL: [(u8, &str); 2] = [(1, "02:00:00:00:00:00"), (1, "82:00:00:00:00:00")];

fn station_mac(n: u16) -> Mac {
    let [a, b] = n.to_be_bytes();
    Mac::new([0x52, 0x54, 0, 1, a, b]).unwrap()
}

fn station(n: u16) -> ProtocolAddress {
    ProtocolAddress::Mac(station_mac(n))
}

/// Whether a packet withdraws every MAC.
fn withdraws_all(sent: &Sent) -> bool {
    let said = sent.cies();
    let all = ALL.map(|(prefix, mac)| Cie { prefix, address: Some(address(mac)), ..Cie::default() });
    sent.header().kind == Kind::PurgeRequest && said == all
}

#[test]
fn e3_what_is_refused_makes_nothing() {
    let (mut hub, two, _) = hub_and_two();
    let thief = Client { source: two.source, ..client(9) };
    assert_eq!(contested(&mut hub, &thief, &thief.registration(1), &two).codes(), [14]);
    assert_eq!(hub.changed().count(), 0, "no port was asked for");
}

#[test]
fn b10_a_hub_grants_at_most_its_own_holding_time() {
    let mut hub = Driven::hub();
    let two = client(2);
    let request = write(&two.header(Kind::RegistrationRequest, 0x8000, 1, two.source), |w| {
        w.cie(&Cie { prefix: 0xff, holding: 3600, ..Cie::default() });
    });
    assert_eq!(hub.ask(&two, &request).cies()[0].holding, 600, "and says so");
    assert_eq!(hub.port(two.vtep()).unwrap().granted, 600);
    let shorter = write(&two.header(Kind::RegistrationRequest, 0x8000, 2, two.source), |w| {
        w.cie(&Cie { prefix: 0xff, holding: 30, ..Cie::default() });
    });
    assert_eq!(hub.ask(&two, &shorter).cies()[0].holding, 30);
    hub.pass(31 * SECOND);
    assert!(hub.ports().is_empty());
}

#[test]
fn e12_addresses_of_nobody_are_not_registered() {
    let mut hub = Driven::hub();
    let one = ip_client(8, "192.0.2.8");
    for (wrong, code) in [
        ("192.0.2.1", 4),
        ("0.0.0.0", 4),
        ("224.0.0.5", 4),
        ("255.255.255.255", 4),
        ("127.0.0.1", 4),
        ("192.0.2.9", 0),
    ] {
        let header = one.header(Kind::RegistrationRequest, 0, 1, address("192.0.2.1"));
        let request = write(&header, |w| {
            w.cie(&Cie { prefix: 32, holding: 60, address: Some(address(wrong)), ..Cie::default() });
        });
        let sent = hub.hear(one.path(), VpnTag::None, &request);
        assert_eq!(sent[0].codes(), [code], "{wrong}");
        let ProtocolAddress::Ip(ip) = address(wrong) else { panic!("an IP address") };
        assert_eq!(hub.engine.plane(VN).unwrap().neighbour(ip).is_some(), code == 0, "{wrong}");
    }
    // The hub's bridge is nobody else's.
    let thief = Client { source: address(HUB_MAC), ..client(9) };
    assert_eq!(hub.ask(&thief, &thief.registration(1)).codes(), [4]);
}

#[test]
fn e12_a_spokes_place_is_not_taken_by_who_needs_no_port() {
    let mut role = hub_role();
    role.max_spokes = 2;
    let mut hub = Driven::hub_with(role);
    for n in 10..20 {
        let client = ip_client(n, &format!("192.0.2.{n}"));
        let sent = hub.hear(client.path(), VpnTag::None, &ip_registration(&client, true, &[]));
        assert_eq!(sent[0].codes(), [0]);
    }
    assert_eq!([2, 3, 4].map(|n| hub.register(&client(n)).codes()[0]), [0, 0, 5]);
}

/// One address does not take the places of all others. Who moves to another VNI is no further one.
#[test]
fn e12_an_address_has_so_many_sites() {
    let mut hub = Driven::hub_with(ServerSettings { max_vnis: 2, ..hub_role() });
    let here = |n: u8| Client { nbma: nbma("10.0.0.9"), ..client(n) };
    assert_eq!([2, 3, 4].map(|n| hub.register(&here(n)).codes()[0]), [0, 0, 5]);
    assert!(hub.told(&Event::ManySites { spoke: here(4).vtep(), most: 2 }));
    assert_eq!((hub.engine.statistics().vnis_refused, hub.engine.statistics().spokes_refused), (1, 0));
    assert_eq!(hub.register(&client(4)).codes(), [0], "from elsewhere");
    assert_eq!(hub.register(&here(2)).codes(), [0], "who is there stays");
    let moved = Client { vni: Some(vni(300)), ..here(2) };
    assert_eq!(hub.ask(&moved, &moved.registration(7)).codes(), [0]);
    assert_eq!(hub.ports().len(), 3);
    // Who needs no port is no site.
    let ip = Client { nbma: nbma("10.0.0.9"), ..ip_client(8, "192.0.2.8") };
    let sent = hub.hear(ip.path(), VpnTag::None, &ip_registration(&ip, true, &[]));
    assert_eq!(sent[0].codes(), [0]);
}

/// An operator removes it: what it registered is gone, whoever asked is told, and it is told itself to register anew.
#[test]
fn a_client_is_removed_by_hand() {
    let (mut hub, two, three) = hub_and_two();
    let beside = Client { nbma: three.nbma, ..client(4) };
    hub.register(&beside);
    hub.ask(&two, &two.question(2, address(STATION)));
    let remove = |hub: &mut Driven, vni| {
        let order = Order::Remove { vn: None, nbma: three.nbma, vni };
        let there = hub.engine.peers_at(None, three.nbma, vni);
        hub.input(Input::Order(order));
        (there, hub.ports().len())
    };
    assert_eq!(remove(&mut hub, Some(vni(777))), (0, 3));
    assert_eq!(remove(&mut hub, three.vni), (1, 2));
    assert!(hub.told(&Event::SpokeDown { spoke: three.vtep(), why: dmevpn::engine::Why::Removed }));
    let sent = hub.sent();
    let about = |to: &Client, what: &str| {
        sent.iter().any(|s| s.path == to.path() && s.cies().iter().any(|c| c.address == Some(address(what))))
    };
    assert!(about(&two, STATION) && about(&three, HUB_MAC));
    assert_eq!(hub.register(&three).codes(), [0]);
    assert_eq!(remove(&mut hub, None), (2, 1));
}

/// A hub that takes its own address back twice in a row, as by two commands, is registered with twice, the second time
/// after a while.
#[test]
fn a_client_that_is_removed_again_comes_back() {
    let mut spoke = Driven::registered();
    let farewell = |spoke: &mut Driven, id| {
        let header = Header {
            request_id: id,
            flags: flag::NO_REPLY,
            ..Message::parse(&purge(0, 0, None)).unwrap().header
        };
        let own = header.source;
        let request = write(&header, |w| {
            w.cie(&Cie { prefix: 0xff, address: own, ..Cie::default() });
        });
        spoke.hear_from_hub(&request)
    };
    let registers = |s: &Sent| s.header().kind == Kind::RegistrationRequest;
    let sent = farewell(&mut spoke, 9);
    let request = sent.iter().find(|s| registers(s)).unwrap();
    spoke.hear_from_hub(&accepted(&request.bytes, vni(9000)));
    assert!(!farewell(&mut spoke, 10).iter().any(registers));
    let sent = spoke.pass(31 * SECOND);
    assert!(sent.iter().any(registers));
}

/// What a hub's bridge saw behind its spokes, and what nobody knew, is forgotten; who asked is told. What is registered,
/// or at the hub itself, stays.
#[test]
fn a_hub_forgets_by_hand() {
    let (mut hub, two, three) = hub_and_two();
    let (here, unknown) = (station_mac(7), station(8));
    hub.input(Input::News { vn: VN, news: News::Fdb { mac: here, place: Place::Local } });
    hub.ask(&two, &two.question(2, address(STATION)));
    hub.ask(&two, &two.question(3, three.source));
    hub.ask(&two, &two.question(4, ProtocolAddress::Mac(here)));
    assert_eq!(hub.ask(&two, &two.question(5, unknown)).codes(), [12]);
    hub.input(Input::Order(Order::Flush { vn: Some(VN), mac: Some(here) }));
    assert!(hub.sent().is_empty() && acts(&hub).is_empty());
    hub.input(Input::Order(Order::Flush { vn: None, mac: None }));
    assert_eq!(acts(&hub), [Act::Unlearn(mac(STATION), Place::At(three.vtep()))]);
    let told = hub.one();
    assert_eq!(told.path, two.path());
    let mut about: Vec<_> = told.cies().iter().filter_map(|cie| cie.address).collect();
    about.sort();
    assert_eq!(about, [address(STATION), unknown]);
    assert_eq!(hub.ask(&two, &two.question(6, address(STATION))).codes(), [12]);
    assert_eq!(hub.ask(&two, &two.question(7, three.source)).codes(), [0]);
    assert_eq!(hub.ask(&two, &two.question(8, ProtocolAddress::Mac(here))).codes(), [0]);
    hub.learn(&three, address(STATION));
    assert_eq!(hub.ask(&two, &two.question(9, address(STATION))).codes(), [0]);
}

#[test]
fn e16_a_port_follows_the_way_its_spoke_takes() {
    let (mut hub, two, _) = hub_and_two();
    let elsewhere = dmevpn::engine::Path { local: nbma("10.0.0.77"), ..two.path() };
    let via = Via { path: elsewhere, tag: TAG };
    hub.input(Input::Packet { via, nhrp: &two.registration(2) });
    assert!(hub.sent().is_empty(), "the port first");
    assert!(hub.changed().any(|item| item == Item::Port(two.vtep())));
    assert_eq!(hub.port(two.vtep()).unwrap().local, elsewhere.local);
    hub.input(Input::News { vn: VN, news: News::Became { spoke: two.vtep(), outcome: Outcome::Made } });
    assert_eq!((hub.one().path, hub.one().codes()), (elsewhere, vec![0]));
    assert!(!hub.told(&Event::SpokeUp { spoke: two.vtep(), uplink: hub.port(two.vtep()).unwrap().uplink }));
}

#[test]
fn g6_a_reply_that_outgrows_a_packet_is_an_error_and_no_reply() {
    let mut hub = Driven::hub();
    let two = client(2);
    let request = write(&two.header(Kind::RegistrationRequest, 0x8000, 1, two.source), |w| {
        w.cie(&Cie { prefix: 0xff, holding: 600, ..Cie::default() });
        w.extension(Extension { kind: 0x3801, compulsory: false, value: &[0; 1340] });
        // It comes back with an address in it.
        w.extension(Extension::empty(dmevpn::wire::nhrp::kind::RESPONDER));
    });
    let sent = hub.hear(two.path(), TAG, &request);
    assert!(sent.iter().any(|sent| is_error(sent, error::SDU_SIZE)));
    assert!(sent.iter().all(|sent| sent.header().kind == Kind::Error));
    assert_eq!(hub.engine.statistics().tx_register_ack, 0);
}

#[test]
fn d15_an_answer_ends_with_the_address_it_is_about() {
    let (mut hub, two, three) = hub_and_two();
    let own = Cie { prefix: 0xff, holding: 600, ..Cie::default() };
    let second = address("52:54:00:00:00:33");
    let request = write(&three.header(Kind::RegistrationRequest, 0x8000, 2, three.source), |w| {
        w.cie(&Cie { address: Some(second), holding: 100, ..own });
    });
    assert_eq!(hub.ask(&three, &request).codes(), [0]);
    let holding = |hub: &mut Driven, wanted| hub.ask(&two, &two.question(7, wanted)).cies()[0].holding;
    assert_eq!((holding(&mut hub, second), holding(&mut hub, three.source)), (100, 600));
    // What is only learned there lasts as long as the site.
    assert_eq!(holding(&mut hub, address(STATION)), 600);
}

#[test]
fn f4_a_client_withdraws_by_prefix() {
    let (mut hub, two, three) = hub_and_two();
    for n in 0..20 {
        hub.learn(&three, station(n));
    }
    hub.learn(&two, station(99));
    let request = write(&three.header(Kind::PurgeRequest, 0, 9, three.source), |w| {
        w.cie(&Cie { prefix: 32, address: Some(station(0)), ..Cie::default() });
    });
    assert_eq!(hub.ask(&three, &request).header().kind, Kind::PurgeReply);
    let four = client(4);
    hub.register(&four);
    let code = |hub: &mut Driven, wanted| hub.ask(&four, &four.question(5, wanted)).codes()[0];
    assert_eq!([station(0), station(19)].map(|wanted| code(&mut hub, wanted)), [12, 12]);
    // Neither what is outside, nor what is another's.
    assert_eq!([address(STATION), three.source, station(99)].map(|wanted| code(&mut hub, wanted)), [0, 0, 0]);
}

#[test]
fn f5_a_hub_without_a_port_takes_back_what_it_said_before_a_reboot() {
    let mut hub = Driven::hub();
    // As just started.
    let started = hub.now;
    let mut young = Driven::new(settings(Part::Hub(hub_role()), VpnMode::Llc), 1);
    young.input(Input::News { vn: VN, news: News::Device(Some(mac(HUB_MAC))) });
    young.input(Input::News { vn: VN, news: News::Listed });
    let (two, three) = (client(2), client(3));
    let sent = young.hear(two.path(), TAG, &two.registration(1));
    let purge = sent.iter().find(|sent| withdraws_all(sent)).expect("a Purge of all MACs");
    confirm(&mut young, &two, purge);
    young.hear(three.path(), TAG, &three.registration(1));
    assert!(
        young.hear(two.path(), TAG, &two.registration(2)).iter().all(|sent| !withdraws_all(sent)),
        "once"
    );
    // Then nobody has to be told of a move who has not asked.
    young.learn(&two, station(1));
    young.learn(&three, station(1));
    assert!(young.sent().iter().all(|sent| sent.path == two.path()), "but the old site");
    // Later, and with ports that were found, all is known.
    hub.now = started;
    assert!(hub.hear(two.path(), TAG, &two.registration(1)).iter().all(|sent| !withdraws_all(sent)));
    let mut restarted = Driven::new(settings(Part::Hub(hub_role()), VpnMode::Llc), 1);
    restarted.input(Input::News { vn: VN, news: News::Device(Some(mac(HUB_MAC))) });
    let port = found_port(0x90_0000, 600);
    restarted.input(Input::News { vn: VN, news: News::FoundPort { spoke: three.vtep(), port } });
    assert!(restarted.hear(two.path(), TAG, &two.registration(1)).iter().all(|sent| !withdraws_all(sent)));
}

/// How many withdrawals wait at a hub.
fn owed(hub: &Driven) -> u32 {
    let Some(VnReport::Hub(report)) = hub.engine.report(hub.now, VN) else { panic!("a hub") };
    report.purges
}

/// Two sites at one address, of whom nothing but their VNI tells which is which, are asked one after the other.
#[test]
fn f7_a_confirmation_is_of_the_site_that_was_asked() {
    let (mut hub, two, _) = hub_and_two();
    let (beside, four) = (Client { nbma: two.nbma, ..client(5) }, client(4));
    hub.register(&beside);
    hub.register(&four);
    for one in [&two, &beside] {
        hub.ask(one, &one.question(2, address(STATION)));
    }
    hub.learn(&four, address(STATION));
    let sent = hub.sent();
    let asked: Vec<&Sent> = sent.iter().filter(|sent| sent.path == two.path()).collect();
    assert_eq!((asked.len(), owed(&hub)), (2, 3), "each, and where the station was");
    for (purge, left) in asked.iter().rev().zip([2, 1]) {
        confirm(&mut hub, &two, purge);
        assert_eq!((owed(&hub), hub.engine.statistics().rx_unsolicited), (left, 0));
    }
}

/// What a hub would still say to a client, and the answer that waits for its port, end with the client.
#[test]
fn f8_what_is_owed_to_a_client_ends_with_it() {
    let (mut hub, two, three) = hub_and_two();
    let four = client(4);
    hub.register(&four);
    hub.ask(&two, &two.question(2, address(STATION)));
    hub.learn(&four, address(STATION));
    let five = client(5);
    hub.input(Input::Packet { via: Via { path: five.path(), tag: TAG }, nhrp: &five.registration(1) });
    let kept = |hub: &Driven| {
        let all = format!("{:?}", hub.engine);
        ["replies: {}", "lines: {}"].map(|empty| !all.contains(empty))
    };
    assert_eq!((owed(&hub), kept(&hub)), (2, [true, true]));
    for client in [&two, &three, &five] {
        hub.input(Input::Order(Order::Remove { vn: None, nbma: client.nbma, vni: None }));
    }
    assert_eq!((owed(&hub), kept(&hub)), (0, [false, false]));
    let late = News::Became { spoke: five.vtep(), outcome: Outcome::Made };
    hub.input(Input::News { vn: VN, news: late });
    assert!(hub.sent().is_empty(), "nobody waits for it");
}

#[test]
fn f8_a_line_that_runs_over_becomes_one_purge_of_all() {
    let (mut hub, two, three) = hub_and_two();
    let four = client(4);
    hub.register(&four);
    for n in 0..600 {
        hub.now = hub.now + SECOND / 10;
        hub.learn(&three, station(n));
        hub.ask(&two, &two.question(2 + u32::from(n), station(n)));
    }
    let mut said = Vec::new();
    for n in 0..600 {
        hub.learn(&four, station(n));
        said.extend(hub.sent().into_iter().filter(|sent| sent.path == two.path()));
    }
    assert_eq!(hub.engine.statistics().purges_dropped, 2 * 600, "of who asked, and of the old site");
    assert!(said.len() <= 1, "{} packets", said.len());
    said.extend(hub.pass(20 * SECOND).into_iter().filter(|sent| sent.path == two.path()));
    let all = said.iter().rfind(|sent| sent.cies()[..2].iter().all(|cie| cie.prefix == 1)).unwrap();
    hub.ask(&two, &two.question(1000, station(0)));
    hub.learn(&three, station(0));
    confirm(&mut hub, &two, all);
    // One became untrue once more since that was said: so it is said once more.
    let again = hub.sent().into_iter().find(|sent| sent.path == two.path()).unwrap();
    assert!(withdraws_all(&again) && again.header().request_id != all.header().request_id);
    // And soon again, but not at once: the spoke asks for all it needs each time.
    hub.ask(&two, &two.question(999, station(5)));
    hub.learn(&three, station(5));
    confirm(&mut hub, &two, &again);
    assert!(hub.sent().is_empty() && hub.pass(SECOND - SECOND / 1000).iter().all(|s| s.path != two.path()));
    let last = hub.pass(SECOND / 1000).into_iter().find(|sent| sent.path == two.path()).unwrap();
    assert!(withdraws_all(&last));
    confirm(&mut hub, &two, &last);
    assert!(hub.pass(20 * SECOND).iter().all(|sent| sent.path != two.path()), "nothing is left to say");
}

/// As long as more becomes untrue than a line takes, it is not filled anew: all is taken back once a second.
#[test]
fn f8_a_line_that_runs_over_again_and_again() {
    const STATIONS: u16 = 513;
    let (mut hub, _, three) = hub_and_two();
    let four = client(4);
    hub.register(&four);
    (0..STATIONS).for_each(|n| hub.learn(&three, station(n)));
    let mut said = [0; 4];
    for (round, said) in said.iter_mut().enumerate() {
        let (to, from) = if round % 2 == 0 { (&four, &three) } else { (&three, &four) };
        let mut all = Vec::new();
        for n in 0..STATIONS {
            all.extend(hub.pass(SECOND / 1000));
            hub.learn(to, station(n));
            all.extend(hub.sent());
        }
        *said = all.iter().filter(|sent| sent.path == from.path()).count();
        for client in [&three, &four] {
            if let Some(last) = all.iter().rfind(|sent| sent.path == client.path()) {
                confirm(&mut hub, client, last);
            }
        }
    }
    assert!(said[0] > 1 && said[1] > 1 && said.iter().sum::<usize>() < 20, "no request for each: {said:?}");
    assert!(said[2] <= 2 && said[3] <= 2, "{said:?}");
    // Later a lone one is told as such.
    for _ in 0..5 {
        for sent in hub.pass(3 * SECOND) {
            let client = if sent.path == three.path() { &three } else { &four };
            confirm(&mut hub, client, &sent);
        }
    }
    assert_eq!(hub.pass(10 * SECOND).len(), 0);
    hub.learn(&four, station(1));
    let sent = hub.one();
    assert_eq!((sent.path, sent.cies()[0].address), (three.path(), Some(station(1))));
}

/// The same for IP addresses, of which clients may ask for any.
#[test]
fn f8_a_line_of_ip_addresses_runs_over_as_well() {
    for (net, halves, server) in [
        ("198.18.", ["0.0.0.0", "128.0.0.0"], "192.0.2.1"),
        ("2001:db8:9::", ["::", "8000::"], "2001:db8:1::1"),
    ] {
        let dot = if net.contains(':') { ':' } else { '.' };
        let unknown = |n: u16| address(&format!("{net}{}{dot}{}", n / 100, n % 100));
        let register = |hub: &mut Driven, client: &Client, addresses: &mut dyn Iterator<Item = u16>| {
            let header = client.header(Kind::RegistrationRequest, 0, 1, address(server));
            let request = write(&header, |w| {
                for address in addresses.map(unknown) {
                    w.cie(&Cie { holding: 600, address: Some(address), ..Cie::default() });
                }
            });
            hub.hear(client.path(), VpnTag::None, &request)
        };
        let mut hub = Driven::hub();
        let asks = Client { source: unknown(9000), ..ip_client(8, "192.0.2.8") };
        register(&mut hub, &asks, &mut [9000].into_iter());
        for n in 0..600 {
            hub.now = hub.now + SECOND / 100;
            let question = asks.question(2 + u32::from(n), unknown(n));
            assert_eq!(hub.hear(asks.path(), VpnTag::None, &question)[0].codes(), [12]);
        }
        let mut said = Vec::new();
        for n in 0..75_u8 {
            let one = Client { source: unknown(9001), ..ip_client(20 + n, "192.0.2.9") };
            let first = u16::from(n) * 8;
            said.extend(register(&mut hub, &one, &mut (first..first + 8)));
        }
        let Some(VnReport::Hub(report)) = hub.engine.report(hub.now, VN) else { panic!("a hub") };
        assert!(report.purges <= 512, "{} wait", report.purges);
        assert_eq!(hub.engine.statistics().purges_dropped, 600);
        said.extend(hub.pass(SECOND));
        let all = halves.map(|half| (1, Some(address(half))));
        let is_all = |sent: &Sent| sent.cies().iter().map(|cie| (cie.prefix, cie.address)).eq(all);
        let all = said.iter().rfind(|sent| sent.path == asks.path()).filter(|sent| is_all(sent)).unwrap();
        assert_eq!(all.header().source, Some(address(server)));
    }
}

#[test]
fn found_ports_are_what_they_were() {
    for (mode, tag) in [(VpnMode::Key, VpnTag::Key(1)), (VpnMode::None, VpnTag::None), (VpnMode::Llc, TAG)] {
        let mut hub = Driven::hub();
        let (two, three) = (client(2), client(3));
        for (client, granted) in [(two, 3600), (three, 0)] {
            let port = Port { mode, ..found_port(0x90_0000 + u32::from(granted), granted) };
            hub.input(Input::News { vn: VN, news: News::FoundPort { spoke: client.vtep(), port } });
        }
        hub.learn(&two, address(STATION));
        hub.learn(&three, address(STATION));
        let sent = hub.one();
        assert_eq!((sent.path, sent.tag, sent.header().kind), (two.path(), tag, Kind::PurgeRequest));
        // One spoke was granted an hour; of the other nobody kept what.
        hub.pass(700 * SECOND);
        assert_eq!(hub.ports().into_iter().map(|(spoke, _)| spoke).collect::<Vec<_>>(), [two.vtep()]);
        hub.pass(3000 * SECOND);
        assert!(hub.ports().is_empty());
    }
}

#[test]
fn d10_a_hub_that_forgot_us_is_registered_with_before_it_is_believed() {
    let mut spoke = spoke_with_shortcut();
    let local = mac("52:54:00:00:00:77");
    spoke.input(Input::News { vn: VN, news: News::Fdb { mac: local, place: Place::Local } });
    let other = mac("52:54:00:00:00:78");
    spoke.heard(other);
    let question = spoke.one();
    let sent = spoke.hear_from_hub(&answer(&question.bytes, &[Cie::nak(4)]));
    assert_eq!(sent.iter().map(|s| s.header().kind).collect::<Vec<_>>(), [Kind::RegistrationRequest]);
    assert!(spoke.shortcut(mac(STATION)).is_some(), "what was true may be so still");
    // The hub gives the same uplink VNI.
    let sent = spoke.hear_from_hub(&accepted(&sent[0].bytes, vni(9000)));
    let hub = mac(HUB_MAC);
    assert!(acts(&spoke).contains(&Act::Announce { mac: local, hub }), "it learns who is here");
    let asked: Vec<_> = sent.iter().filter_map(|s| s.header().destination).collect();
    assert_eq!(asked, [ProtocolAddress::Mac(other)]);
    // It says so again, though we are registered: then it means it.
    let again = sent.iter().find(|s| s.header().destination == Some(ProtocolAddress::Mac(other))).unwrap();
    assert!(spoke.hear_from_hub(&answer(&again.bytes, &[Cie::nak(4)])).is_empty());
    let reason = Some(dmevpn::engine::Refusal::Nak(4));
    assert!(spoke.told(&Event::NotResolved { mac: other, reason }));
}

#[test]
fn a_mac_that_moves_to_and_fro_is_held_back_until_it_rests() {
    let (mut hub, two, three) = hub_and_two();
    let four = client(4);
    hub.register(&four);
    let (wild, places) = (station(1), [two, three]);
    hub.ask(&four, &four.question(1, wild));
    let mut told = Vec::new();
    let mut packets = 0;
    for n in 0..100 {
        hub.now = hub.now + SECOND / 20;
        hub.learn(&places[n % 2], wild);
        let event = |e: &Effect| if let Effect::Tell { event, .. } = e { Some(*event) } else { None };
        told.extend(hub.out.iter().filter_map(event).filter(|e| matches!(e, Event::Restless { .. })));
        packets += hub.sent().len();
        if n % 10 == 0 {
            hub.ask(&four, &four.question(2, wild));
        }
    }
    let ProtocolAddress::Mac(mac) = wild else { panic!("a MAC") };
    let between = Event::Restless { mac, from: Some(three.vtep()), to: Some(two.vtep()) };
    assert_eq!(told, [between], "once, with both places");
    assert!(packets < 30, "{packets} packets");
    // Meanwhile its frames go by the hub.
    assert_eq!(hub.ask(&four, &four.question(3, wild)).codes(), [12]);
    // At rest its place is known, and who was told that it is not is told that it is.
    let sent = hub.pass(31 * SECOND);
    assert!(sent.iter().any(|s| s.path == four.path() && s.cies().iter().any(|c| c.address == Some(wild))));
    assert_eq!(hub.ask(&four, &four.question(4, wild)).cies()[0].nbma, Some(three.nbma));
    // Slow moves are told each time.
    for n in 0..10 {
        hub.pass(3 * SECOND);
        hub.learn(&places[n % 2], wild);
        assert!(hub.out.iter().any(|e| matches!(e, Effect::Tell { event: Event::MacMoved { .. }, .. })));
    }
}

#[test]
fn what_there_was_no_room_for_is_listed_when_there_is() {
    let mut hub = Driven::hub_with(ServerSettings { max_macs: 3, ..hub_role() });
    let two = client(2);
    hub.register(&two);
    let told = [0, 1, 2, 3].map(|n| {
        hub.learn(&two, station(n));
        hub.told(&Event::Full(Table::Macs))
    });
    assert_eq!((told, hub.engine.statistics().macs_refused), ([false, false, true, false], 2), "once");
    assert!(!acts_within(&mut hub, 100 * SECOND).contains(&Act::List), "there is no room yet");
    hub.input(Input::News { vn: VN, news: News::Fdb { mac: station_mac(0), place: Place::Gone } });
    assert!(acts_within(&mut hub, 30 * SECOND).contains(&Act::List));

    let mut spoke = Driven::registered_with(ClientSettings { max_macs: 1, ..spoke_role() });
    spoke.heard(station_mac(0));
    assert!(!spoke.told(&Event::Full(Table::Macs)));
    spoke.heard(station_mac(1));
    assert!(spoke.told(&Event::Full(Table::Macs)));
    assert!(!acts_within(&mut spoke, 31 * SECOND).contains(&Act::List));
    for n in [0, 1] {
        spoke.input(Input::Order(Order::Flush { vn: None, mac: Some(station_mac(n)) }));
    }
    assert!(acts_within(&mut spoke, 30 * SECOND).contains(&Act::List));
}

/// IP addresses, registered or asked for, take no places of MACs, nor do MACs make room by them.
#[test]
fn ip_addresses_take_no_places_of_macs() {
    let mut hub = Driven::hub_with(ServerSettings { max_macs: 8, ..hub_role() });
    let [two, three] = [client(2), client(3)];
    [two, three].iter().for_each(|client| drop(hub.register(client)));
    for n in 10..30 {
        let ip = ip_client(n, &format!("192.0.2.{n}"));
        assert_eq!(hub.hear(ip.path(), VpnTag::None, &ip_registration(&ip, false, &[]))[0].codes(), [0]);
        let nobody = address(&format!("192.0.2.{}", n + 100));
        let question = write(&ip.header(Kind::ResolutionRequest, 0xc000, 2, nobody), routes);
        assert_eq!(hub.hear(ip.path(), VpnTag::None, &question)[0].codes(), [12]);
    }
    (0..8).for_each(|n| hub.learn(&two, station(n)));
    let known =
        |hub: &mut Driven, n: u8| hub.ask(&three, &three.question(n.into(), station(n.into()))).codes();
    // Two places have the MACs that the spokes registered.
    let codes: Vec<_> = (0..8).map(|n| known(&mut hub, n)).collect();
    assert_eq!(codes.iter().filter(|codes| **codes == [0]).count(), 6, "{codes:?}");
    assert_eq!(hub.engine.statistics().macs_refused, 2);
}

/// At a full hub who has most makes room: by what nobody asked for, if there is such.
#[test]
fn a_site_with_less_takes_a_place_of_the_one_with_most() {
    let mut hub = Driven::hub_with(ServerSettings { max_macs: 6, ..hub_role() });
    let [two, three] = [client(2), client(3)];
    [two, three].iter().for_each(|client| drop(hub.register(client)));
    (0..4).for_each(|n| hub.learn(&two, station(n)));
    for n in [0, 1, 3] {
        assert_eq!(hub.ask(&three, &three.question(n.into(), station(n))).codes(), [0]);
    }
    hub.learn(&two, station(4));
    assert_eq!(hub.ask(&three, &three.question(10, station(4))).codes(), [5], "it has most itself");
    hub.learn(&three, station(5));
    assert!(hub.sent().is_empty(), "nobody held an answer");
    assert_eq!(hub.ask(&two, &two.question(1, station(5))).codes(), [0]);
    assert_eq!(hub.ask(&three, &three.question(11, station(2))).codes(), [5]);
    hub.learn(&three, station(6));
    let told = hub.one();
    assert_eq!(told.path, three.path(), "who asked is told");
    let gone = told.cies()[0].address.unwrap();
    assert!([0, 1, 3].map(station).contains(&gone));
    // Both have as much by now.
    hub.learn(&three, station(7));
    assert_eq!(hub.ask(&two, &two.question(2, station(7))).codes(), [5]);
}

/// At its share a site gives up what it does not use, and nothing else.
#[test]
fn an_unused_shortcut_makes_room() {
    let mut spoke = Driven::registered_with(ClientSettings { max_macs: 8, ..spoke_role() });
    let heard = |spoke: &mut Driven, n, holding| {
        spoke.heard(station_mac(n));
        let question = spoke.one();
        spoke.hear_from_hub(&answer(&question.bytes, &[at(vtep("10.0.0.3", 101), holding)]));
    };
    let there =
        |spoke: &Driven| (0..12).filter(|n| spoke.shortcut(station_mac(*n)).is_some()).collect::<Vec<_>>();
    heard(&mut spoke, 0, 60);
    (1..7).for_each(|n| heard(&mut spoke, n, 600));
    heard(&mut spoke, 7, 600);
    assert_eq!(there(&spoke), [0, 1, 2, 3, 4, 5, 6]);
    assert!(spoke.told(&Event::Full(Table::Macs)));
    assert!(acts(&spoke).is_empty(), "or its next frame would be news, and so on");
    // Two thirds of its time are over, and nobody used it.
    spoke.pass(50 * SECOND);
    heard(&mut spoke, 8, 600);
    assert_eq!(there(&spoke), [1, 2, 3, 4, 5, 6, 8]);
    // One of another site needs no idle one.
    spoke.heard(station_mac(9));
    let question = spoke.one();
    spoke.hear_from_hub(&answer(&question.bytes, &[at(vtep("10.0.0.4", 102), 600)]));
    assert_eq!(there(&spoke).len(), 7);
    assert_eq!(spoke.shortcut(station_mac(9)), Some(vtep("10.0.0.4", 102)));
}

#[test]
fn a_spoke_announces_what_there_is_room_for() {
    let mut spoke = Driven::registered_with(ClientSettings { max_macs: 2, ..spoke_role() });
    let hub = mac(HUB_MAC);
    let tell = |spoke: &mut Driven, n, place| {
        let mac = station_mac(n);
        spoke.input(Input::News { vn: VN, news: News::Fdb { mac, place } });
        acts(spoke).contains(&Act::Announce { mac, hub })
    };
    assert_eq!([1, 2, 3].map(|n| tell(&mut spoke, n, Place::Local)), [true, true, false]);
    assert!(spoke.told(&Event::Full(Table::Macs)));
    assert!(!acts_within(&mut spoke, 61 * SECOND).contains(&Act::List), "there is no room yet");
    tell(&mut spoke, 1, Place::Gone);
    assert!(acts_within(&mut spoke, 30 * SECOND).contains(&Act::List));
    assert!(tell(&mut spoke, 3, Place::Local));
}

/// MACs here need no room among those that are elsewhere.
#[test]
fn a_local_mac_waits_for_local_room() {
    let role = dmevpn::engine::settings::ClientSettings { max_macs: 2, ..spoke_role() };
    let mut spoke = Driven::new(settings(Part::Spoke(role), VpnMode::Llc), 1);
    let path = dmevpn::engine::Path { local: nbma("10.0.0.2"), remote: nbma("10.0.0.1") };
    spoke.input(Input::Hub { hub: HUB, path: Some(path) });
    spoke.input(Input::News { vn: VN, news: News::Device(Some(mac(SPOKE_MAC))) });
    let macs: Vec<Mac> = (0..5)
        .map(|n| match station(n) {
            ProtocolAddress::Mac(mac) => mac,
            ProtocolAddress::Ip(_) => panic!("a MAC"),
        })
        .collect();
    macs[..2].iter().for_each(|mac| spoke.heard(*mac));
    let tell = |spoke: &mut Driven, mac, place| {
        spoke.input(Input::News { vn: VN, news: News::Fdb { mac, place } });
    };
    macs[2..].iter().for_each(|mac| tell(&mut spoke, *mac, Place::Local));
    assert!(spoke.told(&Event::Full(Table::Macs)));
    tell(&mut spoke, macs[2], Place::Gone);
    let end = spoke.now + 31 * SECOND;
    let mut listed = false;
    while let Some(at) = spoke.engine.deadline().filter(|at| *at <= end) {
        spoke.now = at;
        spoke.input(Input::Tick);
        listed |= acts(&spoke).contains(&Act::List);
    }
    assert!(listed);
}

#[test]
fn a_spoke_forgets_what_a_listing_lacks() {
    let mut spoke = Driven::registered();
    let (stays, goes) = (mac("52:54:00:00:00:71"), mac("52:54:00:00:00:72"));
    for mac in [stays, goes] {
        spoke.input(Input::News { vn: VN, news: News::Fdb { mac, place: Place::Local } });
    }
    spoke.input(Input::News { vn: VN, news: News::Listing });
    spoke.input(Input::News { vn: VN, news: News::Fdb { mac: stays, place: Place::Local } });
    spoke.input(Input::News { vn: VN, news: News::Listed });
    let hub = mac(HUB_MAC);
    assert_eq!(acts_within(&mut spoke, 121 * SECOND), [Act::Announce { mac: stays, hub }]);
    assert_eq!(spoke.engine.lookup(VN, goes), Place::Gone);
}

/// What is held back is told by a listing all the same: it is here, or it is not any more.
#[test]
fn a_listing_tells_of_the_restless_too() {
    let here = mac("52:54:00:00:00:71");
    let tell = |spoke: &mut Driven, place| {
        spoke.input(Input::News { vn: VN, news: News::Fdb { mac: here, place } });
    };
    for listed in [true, false] {
        let mut spoke = Driven::registered();
        for _ in 0..6 {
            tell(&mut spoke, Place::Local);
            tell(&mut spoke, Place::Tunnel);
        }
        // From the last move on it is held back.
        tell(&mut spoke, Place::Local);
        spoke.pass(20 * SECOND);
        spoke.input(Input::News { vn: VN, news: News::Listing });
        if listed {
            tell(&mut spoke, Place::Local);
        }
        spoke.input(Input::News { vn: VN, news: News::Listed });
        spoke.pass(11 * SECOND);
        let place = if listed { Place::Local } else { Place::Gone };
        assert_eq!(spoke.engine.lookup(VN, here), place, "{listed}: 31 s after it moved");
    }
    // The one that was here when it became too much stays here.
    let mut spoke = Driven::registered();
    for _ in 0..3 {
        tell(&mut spoke, Place::Local);
        tell(&mut spoke, Place::Tunnel);
    }
    tell(&mut spoke, Place::Local);
    assert_eq!(spoke.engine.lookup(VN, here), Place::Local);
    spoke.input(Input::News { vn: VN, news: News::Listing });
    tell(&mut spoke, Place::Local);
    spoke.input(Input::News { vn: VN, news: News::Listed });
    assert_eq!(spoke.engine.lookup(VN, here), Place::Local);
}

/// Gives a hub a table of so many addresses.
fn resize(hub: &mut Driven, max_macs: u32) {
    let role = dmevpn::engine::settings::ServerSettings { max_macs, ..hub_role() };
    hub.engine.apply(hub.now, settings(Part::Hub(role), VpnMode::Llc), &mut hub.out);
}

#[test]
fn a_denial_is_forgotten_in_time_whatever_else_is_held() {
    let (mut hub, two, three) = hub_and_two();
    // This answer is held for 600 s.
    hub.ask(&two, &two.question(2, address(STATION)));
    hub.ask(&two, &two.question(3, station(9)));
    (20..28).for_each(|n| hub.learn(&three, station(n)));
    // Two spokes, nine stations and the denial are all there is room for.
    resize(&mut hub, 12);
    assert_eq!(hub.ask(&two, &two.question(4, station(50))).codes(), [5]);
    hub.pass(95 * SECOND);
    assert_eq!(hub.ask(&two, &two.question(5, station(50))).codes(), [12]);
}

/// What is asked while the table is looked through, a slice at a time, is forgotten as well.
#[test]
fn a_denial_is_forgotten_though_a_sweep_passed_by() {
    let (mut hub, two, three) = hub_and_two();
    (0..1500).for_each(|n| hub.learn(&three, station(n)));
    hub.ask(&two, &two.question(2, station(2000)));
    hub.pass(60 * SECOND);
    let behind = address("52:54:00:00:00:99");
    hub.ask(&two, &two.question(3, behind));
    resize(&mut hub, 3 + 1500 + 1);
    hub.pass(Duration::from_millis(10));
    assert_eq!(hub.ask(&two, &two.question(4, station(3000))).codes(), [5], "it is there");
    hub.pass(95 * SECOND);
    assert_eq!(hub.ask(&two, &two.question(5, station(3000))).codes(), [12]);
}

/// Whoever sends from a hub's address makes a spoke send no more than so much.
#[test]
fn j15_a_flood_in_a_hubs_name_is_bounded() {
    let mut spoke = Driven::registered();
    let errors = |spoke: &Driven| spoke.engine.statistics().tx_error;
    for _ in 0..9000 {
        spoke.hear_from_hub(&[0; 60]);
    }
    let nonsense = errors(&spoke);
    assert!((1..=20).contains(&nonsense), "{nonsense}");
    // The hub sends no nonsense, and is heard.
    spoke.heard(mac(STATION));
    let question = spoke.one();
    spoke.hear_from_hub(&answer(&question.bytes, &[at(vtep("10.0.0.3", 101), 300)]));
    assert!(spoke.shortcut(mac(STATION)).is_some());
    // What it understands is bounded, too.
    let hub = Client { nbma: nbma("10.0.0.1"), ..client(1) };
    for _ in 0..5000 {
        spoke.hear_from_hub(&hub.question(1, address(STATION)));
    }
    let refused = errors(&spoke) - nonsense;
    assert!((1..=2000).contains(&refused), "{refused}");
    assert!(spoke.engine.statistics().rx_rate_limited >= 7000);
}

/// A VN that is taken out takes along what it has in the kernel, and tells nobody of the addresses it knew.
#[test]
fn a_vn_ends_at_once() {
    let mut hub = Driven::hub();
    let clients: Vec<Client> = (2..12).map(client).collect();
    for client in &clients {
        let port = found_port(0x90_0000 + client.vni.unwrap().get(), 600);
        hub.input(Input::News { vn: VN, news: News::FoundPort { spoke: client.vtep(), port } });
    }
    for n in 0..2000 {
        hub.learn(&clients[0], station(n));
    }
    hub.out.clear();
    let none =
        dmevpn::engine::Settings { vns: Default::default(), ..settings(Part::Hub(hub_role()), VpnMode::Llc) };
    hub.engine.apply(hub.now, none, &mut hub.out);
    let counted = hub.engine.statistics();
    assert_eq!((counted.purges_dropped, counted.tx_purge_req), (0, 0));
    assert_eq!(hub.out.iter().count(), 2 * clients.len(), "each port goes, and that is told");
    assert_eq!(hub.changed().count(), clients.len());
    assert_eq!(hub.engine.deadline(), None, "nothing is left to do");
}

#[test]
fn a_site_with_many_addresses_ends_in_slices() {
    let (mut hub, two, three) = hub_and_two();
    for n in 0..5000 {
        hub.learn(&three, station(n));
    }
    hub.ask(&two, &two.question(2, station(4999)));
    let withdrawal = three.purge(2, 0x8000, &[three.source]);
    hub.input(Input::Packet { via: Via { path: three.path(), tag: TAG }, nhrp: &withdrawal });
    let left = hub.engine.macs(hub.now, VN, None, usize::MAX).len();
    assert!((3000..5000).contains(&left), "{left}");
    // What is left is nobody's.
    assert_eq!(hub.ask(&two, &two.question(3, station(4998))).codes(), [12]);
    let sent = hub.pass(SECOND);
    assert!(
        sent.iter()
            .any(|s| s.path == two.path() && s.cies().iter().any(|c| c.address == Some(station(4999))))
    );
    assert_eq!(hub.engine.macs(hub.now, VN, None, usize::MAX).len(), 1, "its neighbour");
}

/// A flush while a MAC is held back does not lose it: at rest its place is known, though its bridge tells of it no more.
#[test]
fn a_flush_leaves_the_restless_alone() {
    let (mut hub, two, three) = hub_and_two();
    for n in 0..7 {
        hub.learn(&[two, three][n % 2], station(1));
    }
    hub.input(Input::Order(Order::Flush { vn: None, mac: None }));
    assert_eq!(hub.ask(&two, &two.question(2, station(1))).codes(), [12], "it moves still");
    hub.pass(31 * SECOND);
    assert_eq!(hub.ask(&three, &three.question(2, station(1))).cies()[0].nbma, Some(two.nbma));
}

/// Whatever a question comes to, who waits for a place in the full table has the next one.
#[test]
fn who_waits_has_the_place_of_one_that_the_hub_did_not_answer_for() {
    let full = || {
        let mut spoke = Driven::registered_with(ClientSettings { max_macs: 1, ..spoke_role() });
        spoke.heard(station_mac(0));
        let question = spoke.one();
        spoke.heard(station_mac(1));
        assert!(spoke.sent().is_empty(), "there is no place");
        (spoke, question)
    };
    let asks = |sent: &[Sent], n| sent.iter().any(|s| s.header().destination == Some(station(n)));
    // An Error Indication.
    let (mut spoke, question) = full();
    let asked = question.header();
    let word = Header::error_word(error::UNREACHABLE, 0);
    let (source, destination) = (Some(address(HUB_MAC)), asked.source);
    let header = Header { kind: Kind::Error, request_id: word, source, destination, ..asked };
    let error = write(&header, |w| {
        w.packet_in_error(&question.bytes);
    });
    assert!(asks(&spoke.hear_from_hub(&error), 1));
    // Silence.
    let (mut spoke, _) = full();
    assert!(asks(&spoke.pass(60 * SECOND), 1));
    // It is here, or an operator wants it forgotten.
    let here = Input::News { vn: VN, news: News::Fdb { mac: station_mac(0), place: Place::Local } };
    for freed in [here, Input::Order(Order::Flush { vn: None, mac: Some(station_mac(0)) })] {
        let (mut spoke, _) = full();
        spoke.input(freed);
        assert!(asks(&spoke.sent(), 1));
    }
}

/// What leaves while as many wait to be told of as there may be MACs is counted.
#[test]
fn departures_beyond_the_limit_are_counted() {
    let mut spoke = Driven::registered_with(ClientSettings { max_macs: 2, ..spoke_role() });
    for n in 0..3 {
        for place in [Place::Local, Place::Unplugged] {
            spoke.input(Input::News { vn: VN, news: News::Fdb { mac: station_mac(n), place } });
        }
    }
    let purge = spoke.pass(SECOND / 10).into_iter().find(|s| s.header().kind == Kind::PurgeRequest).unwrap();
    assert_eq!((purge.cies().len(), spoke.engine.statistics().macs_refused), (2, 1));
}

/// A client that is removed is told until it confirms, or is back, or does not answer for long enough.
#[test]
fn a_farewell_is_repeated_and_not_for_ever() {
    let removed = || {
        let (mut hub, two, three) = hub_and_two();
        hub.input(Input::Order(Order::Remove { vn: None, nbma: two.nbma, vni: None }));
        let said = hub.sent().into_iter().find(|sent| sent.path == two.path()).unwrap();
        assert_eq!(said.cies()[0].address, Some(address(HUB_MAC)));
        (hub, two, three, said)
    };
    let again = |hub: &mut Driven, to: &Client| {
        let sent = hub.pass(60 * SECOND);
        sent.iter().filter(|s| s.path == to.path()).map(|s| s.bytes.clone()).collect::<Vec<_>>()
    };
    let (mut hub, two, _, said) = removed();
    assert_eq!(again(&mut hub, &two), vec![said.bytes.clone(); 3]);
    let (mut hub, two, three, said) = removed();
    confirm(&mut hub, &three, &said);
    assert_eq!(hub.pass(SECOND * 3 / 4).len(), 1, "another one's word does not count");
    confirm(&mut hub, &two, &said);
    assert_eq!((again(&mut hub, &two).len(), hub.engine.statistics().rx_unsolicited), (0, 1));
    let (mut hub, two, ..) = removed();
    assert_eq!(hub.register(&two).codes(), [0]);
    assert_eq!(again(&mut hub, &two).len(), 0);
}
