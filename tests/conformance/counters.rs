//! What is counted, and for whom: all, a VN, a client (RFC 2677 counts a client's and a server's).

use super::*;
use dmevpn::engine::report::VnReport;
use dmevpn::engine::settings::{KeysSettings, Settings, VnSettings, VpnMode};
use dmevpn::engine::{ClientStatistics, VnKey};
use dmevpn::types::VpnId;
use dmevpn::wire::VpnTag;
use dmevpn::wire::nhrp::ProtocolAddress;

const SECOND_VN: VnKey = VnKey(77);

fn two_vns() -> Settings {
    let mut both = settings(Part::Hub(hub_role()), VpnMode::Llc);
    let server = Some(hub_role());
    let vpn_id = VpnId::new(VpnId::DEFAULT_OUI, 2);
    both.vns.insert(
        SECOND_VN,
        VnSettings { vpn_id, mtu: 1450, keys: KeysSettings::default(), client: None, server },
    );
    both
}

#[test]
fn a_vn_counts_its_own_and_the_sum_has_what_belongs_to_none() {
    let (mut hub, two, _) = hub_and_two();
    let out = &mut hub.out;
    hub.engine.apply(hub.now, two_vns(), out);
    let other = VpnTag::Llc(VpnId::new(VpnId::DEFAULT_OUI, 2));
    hub.hear(two.path(), other, &two.question(2, address(STATION)));
    hub.hear(two.path(), VpnTag::Key(99), &two.question(3, address(STATION)));
    hub.ask(&two, &two.question(4, address(STATION)));
    let (all, one, second) =
        (hub.engine.statistics(), hub.engine.vn_statistics(VN), hub.engine.vn_statistics(SECOND_VN));
    assert_eq!((one.rx_register_req, one.rx_resolve_req, one.rx_unknown_vpn), (2, 1, 0));
    assert_eq!((second.rx_register_req, second.rx_resolve_req, second.rx_unknown_vpn), (0, 1, 0));
    assert_eq!((all.rx_register_req, all.rx_resolve_req, all.rx_unknown_vpn), (2, 2, 1));

    // A VN that is made anew goes on counting; of one that goes, the sum remains.
    let mut changed = two_vns();
    changed.vns.remove(&SECOND_VN);
    if let Some(vn) = changed.vns.get_mut(&VN) {
        vn.vpn_id = VpnId::new(VpnId::DEFAULT_OUI, 3);
    }
    hub.engine.apply(hub.now, changed, &mut hub.out);
    assert_eq!(hub.engine.vn_statistics(VN).rx_register_req, 2);
    assert_eq!(hub.engine.vn_statistics(SECOND_VN).rx_resolve_req, 0);
    assert_eq!(hub.engine.statistics().rx_resolve_req, 2);
}

#[test]
fn a_hub_counts_each_client() {
    let (mut hub, two, three) = hub_and_two();
    let counts = |hub: &Driven, n: usize| hub.engine.client_counts(VN, None, usize::MAX)[n].statistics;
    let registered = ClientStatistics { rx_register_req: 1, ..ClientStatistics::default() };
    assert_eq!(
        (counts(&hub, 0), counts(&hub, 1)),
        (registered, registered),
        "the port's request counts once"
    );
    let row = hub.engine.client_counts(VN, None, usize::MAX).swap_remove(0);
    assert_eq!((row.nbma, row.vni), (two.vtep().nbma, Some(two.vtep().vni)));

    hub.ask(&two, &two.question(2, address(STATION)));
    hub.ask(&two, &two.question(3, address("52:54:00:00:00:77")));
    // The station moves: who holds the answer is told.
    hub.learn(&two, address(STATION));
    hub.pass(Duration::from_millis(100));
    let (asker, old) = (counts(&hub, 0), counts(&hub, 1));
    assert_eq!((asker.rx_resolve_req, asker.tx_nak), (2, 1));
    assert_eq!((old.rx_resolve_req, old.tx_purge_req), (0, 1), "the old site is told");

    // What is wrong with its packet, and what it drops of too many.
    let wrong = write(&two.header(Kind::RegistrationRequest, 0, 9, two.source), |_| {});
    hub.ask(&two, &wrong);
    for id in 100..900 {
        hub.hear(two.path(), TAG, &two.question(id, address(STATION)));
    }
    let asker = counts(&hub, 0);
    assert_eq!(asker.errors, 1);
    assert!((200..800).contains(&asker.rx_rate_limited), "{asker:?}");
    assert_eq!(asker.rx_rate_limited, hub.engine.vn_statistics(VN).rx_rate_limited);
    assert_eq!(counts(&hub, 1).rx_rate_limited, 0);

    // What it says was wrong with a packet of the hub's.
    let error = Header { vni: None, ..two.header(Kind::Error, 0, 0, address(HUB_MAC)) };
    let error = write(&error, |w| {
        w.packet_in_error(&wrong);
    });
    hub.pass(10 * SECOND);
    assert!(hub.hear(two.path(), TAG, &error).is_empty());
    assert_eq!((counts(&hub, 0).errors, counts(&hub, 1).errors), (2, 0));

    // They go with the registration.
    hub.ask(&three, &three.purge(1, 0, &[three.source]));
    assert_eq!(hub.engine.client_counts(VN, None, usize::MAX).len(), 1);
}

/// What a hub says of itself: spokes, MACs whose place it knows, and who holds an answer.
#[test]
fn a_report_counts_what_it_says() {
    let mut hub = Driven::hub();
    let clients: Vec<_> = (2..18).map(client).collect();
    clients.iter().for_each(|client| drop(hub.register(client)));
    hub.learn(&clients[0], address(STATION));
    let ip = ip_client(30, "192.0.2.30");
    assert_eq!(hub.hear(ip.path(), VpnTag::None, &ip_registration(&ip, true, &[]))[0].codes(), [0]);
    hub.ask(&clients[1], &clients[1].question(2, address("52:54:00:00:00:77")));
    let report = |hub: &Driven| match hub.engine.report(hub.now, VN) {
        Some(VnReport::Hub(report)) => report,
        _ => panic!("a hub"),
    };
    assert_eq!(
        (report(&hub).spokes, report(&hub).macs),
        (16, 17),
        "neither an IP client nor what is unknown"
    );
    let askers = |hub: &Driven| {
        let rows = hub.engine.macs(hub.now, VN, None, usize::MAX);
        rows.into_iter().find(|row| row.mac == mac(STATION)).unwrap().askers
    };
    for (n, asks) in clients[1..].iter().enumerate() {
        hub.ask(asks, &asks.question(3, address(STATION)));
        assert_eq!(askers(&hub), if n < 12 { n as u32 + 1 } else { 16 });
    }
    // A site takes along what was behind it.
    let leaves = clients[0].purge(2, 0x8000, &[clients[0].source]);
    hub.hear(clients[0].path(), TAG, &leaves);
    assert_eq!((report(&hub).spokes, report(&hub).macs), (15, 15));
}

/// All rows, three at a time.
fn by_cursor<T, C>(some: impl Fn(Option<C>, usize) -> Vec<T>, cursor: impl Fn(&T) -> C) -> Vec<T> {
    let mut all = Vec::new();
    loop {
        let rows = some(all.last().map(&cursor), 3);
        assert!(rows.len() <= 3);
        if rows.is_empty() {
            return all;
        }
        all.extend(rows);
    }
}

#[test]
fn tables_go_on_behind_the_last_row() {
    let mut hub = Driven::hub();
    let clients: Vec<_> = (2..12).map(client).collect();
    for client in &clients {
        hub.register(client);
    }
    let stations = |n: u8| mac(&format!("52:54:00:00:01:{n:02x}"));
    (0..10).for_each(|n| hub.learn(&clients[0], ProtocolAddress::Mac(stations(n))));
    let mut spoke = Driven::registered();
    (0..10).for_each(|n| spoke.heard(stations(n)));

    for node in [&hub, &spoke] {
        let macs = |after, max| node.engine.macs(node.now, VN, after, max);
        let whole = macs(None, usize::MAX);
        assert!(whole.len() >= 10 && whole.is_sorted_by_key(|row| row.mac));
        assert_eq!(by_cursor(macs, |row| row.mac), whole);
    }
    let peers = |after, max| hub.engine.peers(hub.now, VN, after, max);
    let rows = by_cursor(peers, |row| (row.nbma, row.vni));
    assert_eq!((rows.len(), &rows), (10, &peers(None, usize::MAX)));
    let counts = |after, max| hub.engine.client_counts(VN, after, max);
    let rows = by_cursor(counts, |row| (row.nbma, row.vni));
    assert_eq!((rows.len(), &rows), (10, &counts(None, usize::MAX)));
    assert!(rows.iter().all(|row| row.uplink.is_some()));
}
