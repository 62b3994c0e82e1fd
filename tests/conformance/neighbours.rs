//! Clients of the neighbours' kind: they register an IP address and know of no VN.

use super::*;
use dmevpn::engine::settings::ServerSettings;
use dmevpn::engine::{Input, Item, News, Path, Via};
use dmevpn::wire::VpnTag;
use dmevpn::wire::nhrp::{Protocol, ProtocolAddress, error, kind};

#[test]
fn ip_client_registers_and_is_found() {
    let mut hub = Driven::hub();
    let (one, other) = (ip_client(8, "192.0.2.8"), ip_client(9, "192.0.2.9"));
    for client in [one, other] {
        let sent = hub.hear(client.path(), VpnTag::None, &ip_registration(&client, true, &[]));
        assert_eq!((sent[0].tag, sent[0].codes()), (VpnTag::None, vec![0]));
        assert!(hub.changed().any(|item| item == Item::Neighbour(ip(client.source))));
        let wanted = hub.engine.plane(VN).unwrap();
        assert_eq!(wanted.neighbour(ip(client.source)), Some(client.nbma));
        assert_eq!(hub.port_asked_for(), None, "it has no VNI");
    }
    let question = write(&one.header(Kind::ResolutionRequest, 0xc000, 2, other.source), routes);
    let sent = hub.hear(one.path(), VpnTag::None, &question);
    let cie = sent[0].cies()[0];
    assert_eq!((cie.code, cie.prefix, cie.nbma), (0, 32, Some(other.nbma)));
    // It asked for 7200 s, and is granted what the hub grants at most.
    assert_eq!((cie.mtu, cie.holding, cie.vni), (1472, 600, None));
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
    hub.input(Input::Packet { via: Via { path: one.path(), tag: VpnTag::None }, nhrp: &request });
    assert!(hub.changed().any(|item| item == Item::Neighbour(ip(one.source))));
    assert_eq!(hub.engine.plane(VN).unwrap().neighbour(ip(one.source)), None);
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

/// The hub with clients 8 and 9 of the neighbours' kind, at 192.0.2.8 and 192.0.2.9.
fn hub_and_neighbours() -> (Driven, Client, Client) {
    let mut hub = Driven::hub();
    let (one, other) = (ip_client(8, "192.0.2.8"), ip_client(9, "192.0.2.9"));
    for client in [one, other] {
        let sent = hub.hear(client.path(), VpnTag::None, &ip_registration(&client, false, &[]));
        assert_eq!(sent[0].codes(), [0]);
    }
    (hub, one, other)
}

fn ip_question(client: &Client, id: u32, wanted: ProtocolAddress) -> Vec<u8> {
    write(&client.header(Kind::ResolutionRequest, 0xc000, id, wanted), routes)
}

/// FRR's `nhs dynamic` does not know the hub's tunnel address and asks its own: the reply names the hub's.
#[test]
fn ip_client_that_does_not_know_the_hub_is_told_its_address() {
    let mut hub = Driven::hub();
    let client = ip_client(8, "192.0.2.8");
    for destination in [Some(client.source), None] {
        let header =
            Header { destination, ..client.header(Kind::RegistrationRequest, 0, 1, address("192.0.2.1")) };
        let request = write(&header, |w| {
            w.cie(&Cie { prefix: 32, holding: 7200, ..Cie::default() });
        });
        let sent = hub.hear(client.path(), VpnTag::None, &request);
        assert_eq!(sent[0].codes(), [0]);
        let reply = sent[0].header();
        assert_eq!((reply.source, reply.destination), (Some(client.source), Some(address("192.0.2.1"))));
    }
    // A spoke's own address as the destination stays where it is, as the golden frames have it.
    let spoke = client_with_mac();
    assert_eq!(hub.register(&spoke).header().destination, Some(spoke.source));
}

fn client_with_mac() -> Client {
    super::client(2)
}

/// Every one of the hub's addresses of a family is its own.
#[test]
fn ip_client_may_name_any_address_of_the_hub() {
    let second = "198.51.100.1";
    let mut role = hub_role();
    role.protocol_addresses.push(second.parse().unwrap());
    let mut hub = Driven::hub_with(role);
    let client = ip_client(8, "192.0.2.8");
    let header = client.header(Kind::RegistrationRequest, 0, 1, address(second));
    let request = write(&header, |w| {
        w.cie(&Cie { prefix: 32, holding: 7200, ..Cie::default() });
        routes(w);
    });
    let sent = hub.hear(client.path(), VpnTag::None, &request);
    assert_eq!((sent[0].codes(), sent[0].header().destination), (vec![0], Some(address(second))));
    let responder = sent[0].message().extension_cie(kind::RESPONDER).unwrap();
    assert_eq!(responder.address, Some(address(second)));
    let sent = hub.hear(client.path(), VpnTag::None, &ip_question(&client, 2, address(second)));
    assert_eq!((sent[0].codes(), sent[0].cies()[0].nbma), (vec![0], Some(nbma("10.0.0.1"))));
    // Nobody else registers it.
    let thief = Client { source: address(second), ..ip_client(9, "192.0.2.9") };
    let sent = hub.hear(thief.path(), VpnTag::None, &ip_registration(&thief, false, &[]));
    assert_eq!(sent[0].codes(), [4]);
}

/// Where the hub has no address it serves nobody, also nobody that it finds.
#[test]
fn ip_clients_of_a_family_without_a_hub_are_refused() {
    let mut role = hub_role();
    role.protocol_addresses.retain(std::net::IpAddr::is_ipv6);
    let mut hub = Driven::hub_with(role.clone());
    let one = ip_client(8, "192.0.2.8");
    let spoke = Client { source: address("192.0.2.7"), ..client_with_mac() };
    for client in [one, spoke] {
        // Who asks its own address, or none, asks whoever is there.
        let request = write(&client.header(Kind::RegistrationRequest, 0, 1, client.source), |w| {
            w.cie(&Cie { prefix: 32, holding: 7200, ..Cie::default() });
        });
        let sent = hub.hear(client.path(), VpnTag::None, &request);
        assert_eq!(sent[0].codes(), [4]);
        assert_eq!(hub.engine.plane(VN).unwrap().neighbour(ip(client.source)), None);
    }
    let (before, ..) = hub_and_neighbours();
    let mut again = Driven::hub_with(role);
    for client in before.engine.ip_clients(VN) {
        again.input(Input::News { vn: VN, news: News::FoundClient(client) });
    }
    assert_eq!(again.engine.ip_clients(VN).count(), 0);
}

/// The kernel may have lost a neighbour, so it is told again; but not for each CIE that comes.
#[test]
fn the_kernel_is_told_of_a_neighbour_once_a_second_at_most() {
    let (mut hub, one, _) = hub_and_neighbours();
    let request = write(&one.header(Kind::RegistrationRequest, 0, 2, address("192.0.2.1")), |w| {
        for _ in 0..32 {
            w.cie(&Cie { prefix: 32, holding: 7200, ..Cie::default() });
        }
        routes(w);
    });
    let told = |hub: &mut Driven| {
        assert_eq!(hub.hear(one.path(), VpnTag::None, &request)[0].codes(), [0; 32]);
        hub.changed().filter(|item| *item == Item::Neighbour(ip(one.source))).count()
    };
    assert_eq!((told(&mut hub), told(&mut hub)), (0, 0));
    hub.pass(SECOND);
    assert_eq!((told(&mut hub), told(&mut hub)), (1, 0));
}

/// OpenNHRP keeps a NAK for the prefix that it names.
#[test]
fn ip_client_is_denied_the_address_it_asked_for_and_no_other() {
    let (mut hub, one, _) = hub_and_neighbours();
    let sent = hub.hear(one.path(), VpnTag::None, &ip_question(&one, 2, address("192.0.2.77")));
    let cie = sent[0].cies()[0];
    assert_eq!((cie.code, cie.prefix, cie.holding, cie.nbma), (12, 32, 0, None));
    let spoke = client_with_mac();
    hub.register(&spoke);
    let cie = hub.ask(&spoke, &spoke.question(3, address(STATION))).cies()[0];
    assert_eq!((cie.code, cie.prefix), (12, 0), "as in frame E");
}

/// FRR drops what has no source protocol address.
#[test]
fn errors_about_ip_packets_come_from_the_hubs_address() {
    let (mut hub, one, other) = hub_and_neighbours();
    let reply = write(&one.header(Kind::ResolutionReply, 0, 2, other.source), |w| {
        w.cie(&Cie::default());
    });
    let sent = hub.hear(one.path(), VpnTag::None, &reply);
    assert!(is_error(&sent[0], error::INVALID_REPLY));
    let header = sent[0].header();
    assert_eq!((header.protocol, header.source), (Protocol::Ipv4, Some(address("192.0.2.1"))));
    assert_eq!(header.destination, Some(one.source));
}

/// A Traffic Indication of Cisco's and FRR's: like an Error, with a packet in it, which may be anything.
#[test]
fn traffic_indications_and_errors_are_never_answered() {
    let (mut hub, one, _) = hub_and_neighbours();
    let mut spoke = Driven::registered();
    for kind in [Kind::TrafficIndication, Kind::Error] {
        let header = Header { flags: 0, request_id: 0, ..one.header(kind, 0, 0, address("192.0.2.1")) };
        let whole = write(&header, |w| {
            w.packet_in_error(&[0x45; 61]);
        });
        for octets in [&whole[..], &whole[..whole.len() - 9], &whole[..40]] {
            assert!(hub.hear(one.path(), VpnTag::None, octets).is_empty(), "{kind:?}");
            assert!(spoke.hear_from_hub(octets).is_empty(), "{kind:?}");
        }
        let mut wrong = whole;
        wrong[30] ^= 0xff;
        assert!(hub.hear(one.path(), VpnTag::None, &wrong).is_empty(), "{kind:?}, a wrong checksum");
    }
    // OpenNHRP writes 16 octets of zero behind an Error.
    let header = Header { flags: 0, ..one.header(Kind::Error, 0, 7 << 16, address("192.0.2.1")) };
    let mut padded = write(&header, |w| {
        w.packet_in_error(&[1, 2, 3, 4]);
    });
    padded.extend([0; 16]);
    let before = hub.engine.statistics().rx_error;
    assert!(hub.hear(one.path(), VpnTag::None, &padded).is_empty());
    assert_eq!(hub.engine.statistics().rx_error, before + 1);
    assert_eq!(hub.engine.statistics().rx_malformed, 6);
}

/// More ask for a station than are remembered by name: then all spokes are told, and nobody who knows no MACs.
#[test]
fn ip_client_hears_nothing_of_macs() {
    let (mut hub, one, other) = hub_and_neighbours();
    let spokes: Vec<Client> = (20..40).map(client).collect();
    spokes.iter().for_each(|spoke| drop(hub.register(spoke)));
    hub.learn(&spokes[0], address(STATION));
    for spoke in &spokes[1..] {
        hub.ask(spoke, &spoke.question(3, address(STATION)));
    }
    hub.learn(&spokes[1], address(STATION));
    let sent = hub.pass(SECOND);
    assert!(sent.len() >= spokes.len() - 1 && sent.iter().all(|s| s.header().kind == Kind::PurgeRequest));
    assert!(!sent.iter().any(|sent| [one.path(), other.path()].contains(&sent.path)));
    // Nor do spokes of IP addresses.
    for client in (50..70).map(|n| ip_client(n, &format!("192.0.2.{n}"))) {
        hub.hear(client.path(), VpnTag::None, &ip_registration(&client, false, &[]));
        hub.hear(client.path(), VpnTag::None, &ip_question(&client, 2, other.source));
    }
    hub.pass(10 * SECOND);
    let withdrawal = write(&other.header(Kind::PurgeRequest, 0x8000, 4, address("192.0.2.1")), |w| {
        w.cie(&Cie { prefix: 32, address: Some(other.source), ..Cie::default() });
    });
    let sent = hub.hear(other.path(), VpnTag::None, &withdrawal);
    assert!(sent.len() >= 20 && sent.iter().all(|sent| sent.header().protocol == Protocol::Ipv4));
    // One that an operator removes is told in its own protocol.
    hub.input(Input::Order(dmevpn::engine::Order::Remove { vn: None, nbma: one.nbma, vni: None }));
    let farewell = hub.one();
    assert_eq!(farewell.header().source, Some(address("192.0.2.1")));
    assert_eq!(farewell.cies()[0].address, Some(address("192.0.2.1")));
}

/// FRR does not know purges.
#[test]
fn ip_client_that_never_confirms_is_not_asked_for_ever() {
    let (mut hub, one, other) = hub_and_neighbours();
    let withdraw = |hub: &mut Driven, id| {
        let request = write(&other.header(Kind::PurgeRequest, 0x8000, id, address("192.0.2.1")), |w| {
            w.cie(&Cie { prefix: 32, address: Some(other.source), ..Cie::default() });
        });
        let mut sent = hub.hear(other.path(), VpnTag::None, &request);
        sent.extend(hub.hear(other.path(), VpnTag::None, &ip_registration(&other, false, &[])));
        sent
    };
    let ask =
        |hub: &mut Driven, id| drop(hub.hear(one.path(), VpnTag::None, &ip_question(&one, id, other.source)));
    let purges = |mut sent: Vec<Sent>, later: Vec<Sent>| {
        sent.extend(later);
        sent.retain(|sent| sent.path == one.path() && sent.header().kind == Kind::PurgeRequest);
        sent
    };
    ask(&mut hub, 2);
    let sent = withdraw(&mut hub, 10);
    assert_eq!(purges(sent, hub.pass(120 * SECOND)).len(), 5);
    assert_eq!(hub.engine.statistics().purges_unanswered, 1);
    ask(&mut hub, 3);
    let sent = withdraw(&mut hub, 12);
    let once = purges(sent, hub.pass(120 * SECOND));
    assert_eq!(once.len(), 1, "from now on each thing once");
    // It is no such client after all.
    confirm_by(&mut hub, &one, &once[0]);
    ask(&mut hub, 4);
    let sent = withdraw(&mut hub, 14);
    let again = purges(sent, hub.pass(SECOND));
    assert!(again.len() > 1);
    confirm_by(&mut hub, &one, again.last().unwrap());
    assert!(purges(Vec::new(), hub.pass(120 * SECOND)).is_empty());
}

fn confirm_by(hub: &mut Driven, client: &Client, purge: &Sent) {
    let reply = write(&purge.header().reply(Kind::PurgeReply), |w| {
        purge.cies().iter().for_each(|cie| {
            w.cie(cie);
        });
    });
    hub.hear(client.path(), VpnTag::None, &reply);
}

/// The kernel may have lost the way to a client: each registration sets it again.
#[test]
fn ip_client_is_reachable_after_each_registration() {
    let (mut hub, one, _) = hub_and_neighbours();
    hub.pass(SECOND);
    hub.hear(one.path(), VpnTag::None, &ip_registration(&one, false, &[]));
    assert!(hub.changed().any(|item| item == Item::Neighbour(ip(one.source))));
}

/// OpenNHRP, told that it talks to Cisco, uses one Request ID for all; Cisco's purge has its registration's.
#[test]
fn one_request_id_for_all_is_no_late_request() {
    let (mut hub, one, _) = hub_and_neighbours();
    for _ in 0..3 {
        let sent = hub.hear(one.path(), VpnTag::None, &ip_registration(&one, false, &[]));
        assert_eq!(sent[0].codes(), [0]);
        let request = write(&one.header(Kind::PurgeRequest, 0, 1, address("192.0.2.1")), |w| {
            w.cie(&Cie { prefix: 32, address: Some(one.source), ..Cie::default() });
        });
        let sent = hub.hear(one.path(), VpnTag::None, &request);
        assert_eq!(sent[0].header().kind, Kind::PurgeReply);
        assert_eq!(hub.engine.plane(VN).unwrap().neighbour(ip(one.source)), None);
    }
}

/// Cisco's registration says in its NAT extension whom it registers with.
#[test]
fn ip_client_with_the_nat_extension_registers() {
    let mut hub = Driven::hub();
    let one = ip_client(8, "192.0.2.8");
    // Code, prefix, reserved, MTU, holding time, lengths, 10.0.0.1, 192.0.2.1.
    let value = [0, 32, 0, 0, 0, 0, 0, 0, 4, 0, 4, 0, 10, 0, 0, 1, 192, 0, 2, 1];
    for compulsory in [false, true] {
        let nat = Extension { kind: kind::DEVICE_CAPABILITIES, compulsory, value: &value };
        let request = ip_registration(&one, true, &[Extension::empty(kind::RESPONDER), nat]);
        let sent = hub.hear(one.path(), VpnTag::None, &request);
        assert_eq!(sent[0].codes(), [0]);
        assert!(sent[0].message().extensions().any(|extension| extension == nat), "it is there in the reply");
    }
}

/// A client registers once in an hour. A hub that is started anew goes on with those it had.
#[test]
fn ip_client_is_known_after_a_restart() {
    let (mut hub, one, other) = hub_and_neighbours();
    hub.register(&client_with_mac());
    let kept: Vec<_> = hub.engine.ip_clients(VN).collect();
    assert_eq!(kept.len(), 2, "not the spoke, which registers at once: {kept:?}");
    assert_eq!((kept[0].path, kept[0].granted, kept[0].unique), (one.path(), 600, false));
    hub.hear(one.path(), VpnTag::None, &ip_registration(&one, false, &[]));
    assert_eq!(hub.engine.ip_clients(VN).collect::<Vec<_>>(), kept, "a refresh changes nothing");
    let mut again = Driven::hub();
    for client in &kept {
        again.input(Input::News { vn: VN, news: News::FoundClient(*client) });
        assert!(again.changed().any(|item| item == Item::Neighbour(client.address)));
    }
    assert_eq!(again.engine.plane(VN).unwrap().neighbour(ip(one.source)), Some(one.nbma));
    let sent = again.hear(one.path(), VpnTag::None, &ip_question(&one, 9, other.source));
    assert_eq!((sent[0].codes(), sent[0].cies()[0].nbma), (vec![0], Some(other.nbma)));
    // With others than found, who registers is believed; who does not is forgotten in time.
    again.hear(one.path(), VpnTag::None, &ip_registration(&one, false, &[]));
    again.pass(599 * SECOND);
    again.hear(one.path(), VpnTag::None, &ip_registration(&one, false, &[]));
    again.pass(2 * SECOND);
    let left: Vec<_> = again.engine.ip_clients(VN).map(|client| client.address).collect();
    assert_eq!(left, [ip(one.source)]);
}

/// An IPv4 packet between clients, as the hub's GRE device hands it out; and one of IPv6.
fn ipv4(from: ProtocolAddress, to: ProtocolAddress) -> Vec<u8> {
    let octets = |address| match ip(address) {
        std::net::IpAddr::V4(ip) => ip.octets().to_vec(),
        std::net::IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let head: &[u8] = &[0x45, 0, 0, 84, 0, 1, 0x40, 0, 63, 1, 0, 0];
    [head, &octets(from), &octets(to), &[8; 64]].concat()
}

fn relayed(hub: &mut Driven, client: &Client, packet: &[u8]) -> Vec<Sent> {
    hub.input(Input::Relayed { via: Via { path: client.path(), tag: VpnTag::None }, packet });
    hub.sent()
}

/// FRR and Cisco ask where somebody is once they are told that there is a shorter way.
#[test]
fn who_sends_to_another_client_by_the_hub_is_told_so() {
    let (mut hub, one, other) = hub_and_neighbours();
    let packet = ipv4(one.source, other.source);
    let sent = relayed(&mut hub, &one, &packet);
    assert_eq!((sent.len(), sent[0].path, sent[0].tag), (1, one.path(), VpnTag::None));
    let (header, message) = (sent[0].header(), sent[0].message());
    assert_eq!(
        (header.kind, header.protocol, header.hop_count),
        (Kind::TrafficIndication, Protocol::Ipv4, 1)
    );
    assert_eq!((header.flags, header.request_id, header.nbma), (0, 0, nbma("10.0.0.1")));
    assert_eq!((header.source, header.destination), (Some(address("192.0.2.1")), Some(one.source)));
    assert_eq!(message.packet_in_error(), &packet[..68]);
    assert_eq!(message.extensions().count(), 0);
    assert_eq!(sent[0].bytes, golden::octets(golden::TRAFFIC_INDICATION), "{:02x?}", sent[0].bytes);
    // Not with each packet, in each direction, and once more after a while.
    assert!(relayed(&mut hub, &one, &packet).is_empty());
    assert_eq!(relayed(&mut hub, &other, &ipv4(other.source, one.source))[0].path, other.path());
    hub.pass(16 * SECOND);
    assert_eq!(relayed(&mut hub, &one, &packet).len(), 1);
    assert_eq!(hub.engine.statistics().tx_indications, 3);
}

#[test]
fn who_has_no_shorter_way_is_told_nothing() {
    let (mut hub, one, other) = hub_and_neighbours();
    let (stranger, unknown) = (ip_client(70, "192.0.2.70"), address("192.0.2.71"));
    let spoke = client_with_mac();
    hub.register(&spoke);
    let packet = ipv4(one.source, other.source);
    let cases = [
        (stranger, packet.clone()),
        (Client { nbma: spoke.nbma, ..one }, packet.clone()),
        (one, ipv4(one.source, unknown)),
        (one, ipv4(other.source, one.source)),
        (one, ipv4(one.source, address("192.0.2.1"))),
        (one, packet[..19].to_vec()),
        (one, Vec::new()),
        (one, vec![0x60; 39]),
        (one, vec![0; 100]),
    ];
    for (client, packet) in cases {
        assert!(relayed(&mut hub, &client, &packet).is_empty(), "{packet:?}");
    }
    // Nor are all told of all at once.
    let all: Vec<Client> = (20..=220).map(|n| ip_client(n, &format!("192.0.2.{n}"))).collect();
    for client in &all {
        hub.hear(client.path(), VpnTag::None, &ip_registration(client, false, &[]));
    }
    let to_all = all.iter().map(|to| relayed(&mut hub, &one, &ipv4(one.source, to.source)).len());
    assert_eq!(to_all.sum::<usize>(), 100);
}

/// Cisco's authentication is a password that anybody can read. Nobody is let in by one that is not checked.
#[test]
fn ip_client_with_authentication_is_refused_and_told_of_once() {
    let mut hub = Driven::hub();
    let one = ip_client(8, "192.0.2.8");
    let value = [&[0, 0, 0, 1][..], b"secret"].concat();
    let password = Extension { kind: kind::AUTHENTICATION, compulsory: true, value: &value };
    for round in 0..3 {
        let request = ip_registration(&one, true, &[Extension::empty(kind::RESPONDER), password]);
        let sent = hub.hear(one.path(), VpnTag::None, &request);
        assert!(sent.len() == 1 && is_error(&sent[0], error::UNRECOGNIZED_EXTENSION));
        assert_eq!(sent[0].header().source, Some(address("192.0.2.1")));
        let told = hub.out.iter().filter(|e| matches!(e, Effect::Odd { .. })).count();
        assert_eq!(told, usize::from(round == 0));
    }
    assert_eq!(hub.engine.plane(VN).unwrap().neighbours().count(), 0);
}

/// With `cisco_authentication` each packet of an IP protocol has the password, in both directions, octet by octet as
/// Cisco has it; spokes go without.
#[test]
fn cisco_authentication_is_in_all_packets_of_ip_clients() {
    let role = ServerSettings { password: Some("secret".to_owned()), ..hub_role() };
    let mut hub = Driven::hub_with(role);
    let (one, other) = (ip_client(8, "192.0.2.8"), ip_client(9, "192.0.2.9"));
    let value = [&[0, 0, 0, 1][..], b"secret"].concat();
    let password = Extension { kind: kind::AUTHENTICATION, compulsory: true, value: &value };
    let octets = [0x80, 0x07, 0x00, 0x0a, 0, 0, 0, 1, 0x73, 0x65, 0x63, 0x72, 0x65, 0x74];
    let has_it = |sent: &Sent| {
        let count = sent.bytes.windows(octets.len()).filter(|window| *window == octets).count();
        (count, sent.message().extensions().filter(|e| *e == password).count()) == (1, 1)
    };
    // Without, or with another one: refused, and told of once, with what to set.
    let wrong = Extension { value: &[0, 0, 0, 1, b'x'], ..password };
    for (n, extensions) in [&[][..], &[wrong]].into_iter().enumerate() {
        let sent = hub.hear(one.path(), VpnTag::None, &ip_registration(&one, false, extensions));
        assert!(sent.len() == 1 && is_error(&sent[0], error::AUTHENTICATION) && has_it(&sent[0]));
        let told = hub.out.iter().filter(|e| matches!(e, Effect::Odd { .. })).count();
        assert_eq!(told, usize::from(n == 0));
    }
    let question = hub.hear(one.path(), VpnTag::None, &ip_question(&one, 2, other.source));
    assert!(is_error(&question[0], error::AUTHENTICATION));
    assert!(hub.engine.ip_clients(VN).next().is_none());
    assert_eq!(hub.engine.statistics().rx_unauthenticated, 3);
    // An Error without is not answered.
    let header =
        Header { flags: 0, request_id: 11 << 16, ..one.header(Kind::Error, 0, 0, address("192.0.2.1")) };
    assert!(hub.hear(one.path(), VpnTag::None, &write(&header, |_| ())).is_empty());
    // With it.
    for client in [one, other] {
        let sent = hub.hear(client.path(), VpnTag::None, &ip_registration(&client, false, &[password]));
        assert!(sent[0].codes() == [0] && has_it(&sent[0]));
    }
    let question = write(&one.header(Kind::ResolutionRequest, 0xc000, 3, other.source), |w| {
        routes(w);
        w.extension(password);
    });
    let sent = hub.hear(one.path(), VpnTag::None, &question);
    assert!(sent[0].codes() == [0] && has_it(&sent[0]));
    // What the hub says by itself: a Traffic Indication, and a purge.
    assert!(has_it(&relayed(&mut hub, &one, &ipv4(one.source, other.source))[0]));
    let withdrawal = write(&other.header(Kind::PurgeRequest, 0, 9, address("192.0.2.1")), |w| {
        w.cie(&Cie { prefix: 32, address: Some(other.source), ..Cie::default() }).extension(password);
    });
    let mut sent = hub.hear(other.path(), VpnTag::None, &withdrawal);
    sent.extend(hub.pass(SECOND));
    let kinds: Vec<Kind> = sent.iter().map(|sent| sent.header().kind).collect();
    assert!(kinds.contains(&Kind::PurgeReply) && kinds.contains(&Kind::PurgeRequest), "{kinds:?}");
    assert!(sent.iter().all(has_it));
    // Spokes know nothing of it.
    let spoke = client_with_mac();
    let reply = hub.register(&spoke);
    assert!(reply.codes() == [0] && !has_it(&reply));
}
