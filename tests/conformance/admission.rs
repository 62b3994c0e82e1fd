//! Who may register, and how many.

use super::*;
use dmevpn::engine::report::VnReport;
use dmevpn::engine::settings::{ServerSettings, VpnMode};
use dmevpn::engine::{Event, Input, News, Order, Refusal, Why};
use dmevpn::types::Prefix;
use dmevpn::wire::VpnTag;
use dmevpn::wire::nhrp::ProtocolAddress;

fn prefix(network: &str, length: u8) -> Prefix {
    Prefix::new(network.parse().unwrap(), length).unwrap()
}

/// Only whose address is listed is taken in, be it with a MAC or with an IP address, and only its port is adopted.
#[test]
fn e12_who_may_not_register_is_nak_4() {
    let role = ServerSettings { allow: vec![prefix("10.0.0.2", 31), prefix("2001:db8::", 32)], ..hub_role() };
    let mut hub = Driven::hub_with(role);
    assert_eq!([2, 3, 4].map(|n| hub.register(&client(n)).codes()[0]), [0, 0, 4]);
    let reason = Refusal::NotAllowed(client(4).nbma);
    assert!(hub.told(&Event::SpokeRefused { spoke: client(4).nbma, reason, is_known: false }));
    let Some(VnReport::Hub(report)) = hub.engine.report(hub.now, VN) else { panic!("a hub") };
    assert_eq!((report.spokes, report.refused), (2, Some(reason)));
    let statistics = hub.engine.statistics();
    assert_eq!((statistics.registrations_not_allowed, statistics.tx_register_nak_prohibited), (1, 1));
    let ip = ip_client(5, "192.0.2.5");
    assert_eq!(hub.hear(ip.path(), VpnTag::None, &ip_registration(&ip, true, &[]))[0].codes(), [4]);
    let port = found_port(9009, 0);
    hub.input(Input::News { vn: VN, news: News::FoundPort { spoke: client(9).vtep(), port } });
    assert_eq!(hub.ports().len(), 2);
}

/// New settings that have no place for who is registered end it, and tell it so.
#[test]
fn what_new_settings_have_no_place_for_ends() {
    let mut hub = Driven::hub();
    let beside = |n: u8| Client { nbma: nbma("10.0.0.9"), ..client(n) };
    for client in &[client(2), client(3), client(4), beside(5), beside(6), beside(7), beside(5)] {
        assert_eq!(hub.register(client).codes(), [0]);
        hub.pass(SECOND);
    }
    let mut left = |role: ServerSettings, why: Why, gone: &[Client]| {
        hub.apply(settings(Part::Hub(role), VpnMode::Llc));
        let sent = hub.sent();
        for one in gone {
            assert!(hub.told(&Event::SpokeDown { spoke: one.vtep(), why }), "{one:?}");
            let told = |s: &Sent| s.path == one.path() && s.cies()[0].address == Some(address(HUB_MAC));
            assert!(sent.iter().any(told), "{one:?}");
        }
        assert_eq!(sent.len(), gone.len());
        hub.ports().len()
    };
    let role = |allow, max_vnis, max_spokes| ServerSettings { allow, max_vnis, max_spokes, ..hub_role() };
    let all = || vec![prefix("10.0.0.0", 24)];
    assert_eq!(left(role(all(), 4, 1000), Why::NotAllowed, &[]), 6);
    // Who was heard of last stays.
    assert_eq!(left(role(all(), 1, 1000), Why::Surplus, &[beside(6), beside(7)]), 4);
    assert_eq!(left(role(all(), 1, 2), Why::Surplus, &[client(2), client(3)]), 2);
    assert_eq!(left(role(vec![prefix("10.0.0.4", 32)], 1, 2), Why::NotAllowed, &[beside(5)]), 1);
    assert_eq!(left(role(Vec::new(), 4, 1000), Why::Surplus, &[]), 1);
    assert_eq!(hub.register(&beside(5)).codes(), [0]);
}

/// For how long somebody is registered does not count: a port that was found goes first, then who asked longest ago.
#[test]
fn who_was_heard_of_longest_ago_has_no_place_any_more() {
    let mut hub = Driven::hub();
    let port = found_port(9009, 600);
    hub.input(Input::News { vn: VN, news: News::FoundPort { spoke: client(9).vtep(), port } });
    assert_eq!(hub.register(&client(2)).codes(), [0]);
    hub.pass(SECOND);
    let short = client(3).header(Kind::RegistrationRequest, 0x8000, 1, client(3).source);
    let short = write(&short, |w| {
        w.cie(&Cie { prefix: 0xff, mtu: 1450, holding: 60, ..Cie::default() });
        routes(w);
    });
    assert_eq!(hub.ask(&client(3), &short).codes(), [0]);
    for (max_spokes, gone) in [(2, client(9)), (1, client(2))] {
        hub.apply(settings(Part::Hub(ServerSettings { max_spokes, ..hub_role() }), VpnMode::Llc));
        assert!(hub.told(&Event::SpokeDown { spoke: gone.vtep(), why: Why::Surplus }), "{gone:?}");
        assert_eq!(hub.ports().len(), usize::from(max_spokes));
    }
}

/// Clients that register IP addresses only may be anybody: there are so many at most, whoever else is there, and who came
/// first has its address until that ends.
#[test]
fn e3_e12_who_came_first_with_an_ip_address_stays() {
    let mut hub = Driven::hub();
    let register = |hub: &mut Driven, n: u16, tunnel: &str, unique| {
        let [high, low] = n.to_be_bytes();
        let client = Client { nbma: nbma(&format!("10.9.{high}.{low}")), ..ip_client(9, tunnel) };
        hub.hear(client.path(), VpnTag::None, &ip_registration(&client, unique, &[]))[0].codes()[0]
    };
    let tunnel = |n: u16| format!("198.18.{}.{}", n / 100, n % 100 + 1);
    for unique in [false, true] {
        assert_eq!(register(&mut hub, 1, &tunnel(1), unique), 0);
        assert_eq!([false, true].map(|u| register(&mut hub, 2, &tunnel(1), u)), [14, 14], "{unique}");
    }
    hub.pass(601 * SECOND);
    assert_eq!(register(&mut hub, 2, &tunnel(1), false), 0, "its time is over");
    let codes: Vec<u8> = (3..=300).map(|n| register(&mut hub, n, &tunnel(n), true)).collect();
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 255);
    assert!(codes[..255].iter().all(|code| *code == 0) && codes[255..].iter().all(|code| *code == 5));
    assert_eq!(hub.register(&client(2)).codes(), [0], "a spoke has a place of its own");
    // It is full, and says by whom; who says nothing for its holding time goes, and who is removed.
    let crowd = |hub: &Driven| match hub.engine.report(hub.now, VN) {
        Some(VnReport::Hub(report)) => report.ip_crowd,
        _ => panic!("a hub"),
    };
    assert_eq!(crowd(&hub), Some((prefix("10.9.0.0", 24), 254)));
    let order = Order::Remove { vn: None, nbma: nbma("10.9.0.7"), vni: None };
    hub.input(Input::Order(order));
    assert_eq!(crowd(&hub), None);
    assert_eq!([301, 302].map(|n| register(&mut hub, n, &tunnel(n), true)), [0, 5]);
    hub.pass(601 * SECOND);
    assert_eq!(register(&mut hub, 302, &tunnel(302), true), 0);
}

/// What any number of strangers ask for in vain drives nothing out of what is remembered and told.
#[test]
fn refusals_of_strangers_are_told_now_and_then() {
    let mut hub = Driven::hub_with(ServerSettings { allow: vec![prefix("10.0.0.0", 24)], ..hub_role() });
    assert_eq!(hub.register(&client(2)).codes(), [0]);
    let mut told = 0;
    for n in 0..200_u8 {
        let stranger = Client { nbma: nbma(&format!("10.9.0.{}", n + 1)), ..client(9) };
        hub.register(&stranger);
        let reason = Refusal::NotAllowed(stranger.nbma);
        told += u32::from(hub.told(&Event::SpokeRefused { spoke: stranger.nbma, reason, is_known: false }));
        hub.pass(SECOND / 4);
    }
    assert_eq!(told, 10);
    assert_eq!(hub.engine.statistics().registrations_not_allowed, 200);
    let translated = write(&client(3).header(Kind::RegistrationRequest, 0, 9, client(3).source), |w| {
        w.cie(&Cie { prefix: 0xff, holding: 600, ..Cie::default() });
    });
    hub.hear(client(2).path(), TAG, &translated);
    let reason = Refusal::Translated { comes_from: client(2).nbma, names: client(3).nbma };
    assert!(hub.told(&Event::SpokeRefused { spoke: client(2).nbma, reason, is_known: true }));
}

/// What the hub has no address for any more is registered no more.
#[test]
fn a_family_that_is_served_no_more_ends() {
    let mut hub = Driven::hub();
    let (one, two) =
        (ip_client(8, "192.0.2.8"), Client { source: address("2001:db8:1::9"), ..ip_client(9, "192.0.2.9") });
    assert_eq!(hub.ask(&one, &ip_registration(&one, true, &[])).codes(), [0]);
    let request = write(&two.header(Kind::RegistrationRequest, 0, 1, address("2001:db8:1::1")), |w| {
        w.cie(&Cie { prefix: 128, holding: 7200, ..Cie::default() });
    });
    assert_eq!(hub.ask(&two, &request).codes(), [0]);
    assert_eq!(hub.register(&client(2)).codes(), [0]);
    let mut role = hub_role();
    role.protocol_addresses.retain(std::net::IpAddr::is_ipv6);
    hub.apply(settings(Part::Hub(role.clone()), VpnMode::Llc));
    let left = |hub: &Driven| hub.engine.ip_clients(VN).map(|client| client.address).collect::<Vec<_>>();
    let ip = |text: &str| text.parse::<std::net::IpAddr>().unwrap();
    assert_eq!(left(&hub), [ip("2001:db8:1::9")]);
    assert_eq!(hub.engine.plane(VN).unwrap().neighbour(ip("192.0.2.8")), None);
    role.protocol_addresses = vec![ip("2001:db8:1::9")];
    hub.apply(settings(Part::Hub(role), VpnMode::Llc));
    assert!(left(&hub).is_empty(), "it is the hub's own");
    assert_eq!(hub.ports().len(), 1);
}

/// Four sites fill what they want to of a hub's table, and a fifth, which has thousands of MACs, keeps what is left: no
/// more than as much as one of them.
#[test]
fn e12_one_site_has_at_most_its_share_of_a_full_table() {
    let mut hub = Driven::hub_with(ServerSettings { max_macs: 400, ..hub_role() });
    let sites: Vec<Client> = (2..=6).map(client).collect();
    sites.iter().for_each(|site| drop(hub.register(site)));
    let station = |site: usize, n: u16| {
        let [a, b] = n.to_be_bytes();
        dmevpn::types::Mac::new([0x52, 0x54, 1, site as u8, a, b]).map(ProtocolAddress::Mac).unwrap()
    };
    let learn = |hub: &mut Driven, site: usize, count: u16| {
        (0..count).for_each(|n| hub.learn(&sites[site], station(site, n)));
    };
    let known = |hub: &Driven, site: usize| {
        let rows = hub.engine.macs(hub.now, VN, None, usize::MAX);
        rows.iter().filter(|row| row.at == Some(sites[site].vtep())).count()
    };
    learn(&mut hub, 0, 5000);
    assert_eq!(known(&hub, 0), 400 - 4, "it is alone yet");
    (1..5).for_each(|site| learn(&mut hub, site, 75));
    learn(&mut hub, 0, 5000);
    for site in 1..5 {
        assert_eq!(known(&hub, site), 76, "{site}");
    }
    assert!(known(&hub, 0) <= 100, "{}", known(&hub, 0));
    // Who wants more than its share gets that, and who came first no more.
    (1..5).for_each(|site| learn(&mut hub, site, 1000));
    let all: Vec<usize> = (0..5).map(|site| known(&hub, site)).collect();
    assert!(all.iter().all(|known| (79..=81).contains(known)), "{all:?}");
}
