//! A node that was told to stop: what it wants is over, what it owes is not.

use super::*;
use dmevpn::engine::settings::{KeysSettings, VnKey, VnSettings, VpnMode};
use dmevpn::engine::{Input, News, Order, Outcome, Via};
use dmevpn::types::VpnId;
use dmevpn::wire::VpnTag;

const OTHER: VnKey = VnKey(2);

/// A registered spoke that is a hub in another VN.
fn spoke_and_hub() -> (Driven, dmevpn::engine::Settings) {
    let mut both = settings(Part::Spoke(spoke_role()), VpnMode::Llc);
    let vpn_id = VpnId::new(VpnId::DEFAULT_OUI, 2);
    both.vns.insert(
        OTHER,
        VnSettings {
            vpn_id,
            mtu: 1450,
            keys: KeysSettings::default(),
            client: None,
            server: Some(hub_role()),
        },
    );
    let mut node = Driven::registered();
    node.engine.apply(node.now, both.clone(), &mut node.out);
    node.input(Input::News { vn: OTHER, news: News::Device(Some(mac(HUB_MAC))) });
    (node, both)
}

#[test]
fn who_stops_registers_no_more() {
    let (mut node, both) = spoke_and_hub();
    node.input(Input::Order(Order::Stop));
    assert_eq!(node.one().header().kind, Kind::PurgeRequest);
    assert!(!node.engine.is_stopped(), "the hub has not confirmed");
    let path = dmevpn::engine::Path { local: nbma("10.0.0.2"), remote: nbma("10.0.0.99") };
    node.input(Input::Hub { hub: HUB, path: Some(path) });
    assert!(node.out.is_empty());
    node.input(Input::News { vn: VN, news: News::Device(Some(mac("2e:cd:9a:5c:ae:c8"))) });
    assert!(node.out.is_empty());
    // Other settings, of which one would make the VN anew.
    let mut changed = both;
    changed.vns.get_mut(&VN).and_then(|vn| vn.client.as_mut()).unwrap().vni = vni(200);
    node.engine.apply(node.now, changed, &mut node.out);
    assert!(node.out.is_empty());
    let sent = node.pass(10 * SECOND);
    assert!(!sent.is_empty() && sent.iter().all(|sent| sent.header().kind == Kind::PurgeRequest));
    assert!(node.engine.is_stopped());
}

/// A port that is made meanwhile is told of.
#[test]
fn who_stops_serves_to_the_end() {
    let (mut node, _) = spoke_and_hub();
    let three = client(3);
    let tag = VpnTag::Llc(VpnId::new(VpnId::DEFAULT_OUI, 2));
    node.input(Input::Packet { via: Via { path: three.path(), tag }, nhrp: &three.registration(1) });
    assert!(node.sent().iter().all(|sent| sent.header().kind != Kind::RegistrationReply), "the port first");
    node.input(Input::Order(Order::Stop));
    node.input(Input::News { vn: OTHER, news: News::Became { spoke: three.vtep(), outcome: Outcome::Made } });
    assert_eq!((node.sent()[0].path, node.sent()[0].codes()), (three.path(), vec![0]));
}
