//! Clients of the neighbours' kind: they register an IP address and know of no VN.

use super::*;
use dmevpn::engine::{Input, Item, Path, Via};
use dmevpn::wire::VpnTag;
use dmevpn::wire::nhrp::{ProtocolAddress, kind};

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
