//! K. VPNs.

use super::*;
use dmevpn::engine::Path;
use dmevpn::engine::settings::VpnMode;
use dmevpn::types::VpnId;
use dmevpn::wire::VpnTag;
use dmevpn::wire::nhrp::{error, kind};

#[test]
fn k1_k2_k6_k7_packets_name_the_vn_as_configured() {
    for (mode, tag) in [(VpnMode::Llc, TAG), (VpnMode::Key, VpnTag::Key(1)), (VpnMode::None, VpnTag::None)] {
        assert_eq!(Driven::spoke(mode, 1).one().tag, tag);
        let mut hub = Driven::hub();
        let two = client(2);
        let sent = hub.hear(two.path(), tag, &two.registration(1));
        assert_eq!((sent[0].tag, sent[0].codes()), (tag, vec![0]));
        // What the hub sends on its own goes the same way.
        let (three, four) = (client(3), client(4));
        hub.register(&three);
        hub.register(&four);
        hub.learn(&three, address(STATION));
        hub.hear(two.path(), tag, &two.question(2, address(STATION)));
        hub.learn(&four, address(STATION));
        assert!(hub.sent().iter().any(|s| (s.path, s.tag) == (two.path(), tag)));
    }
}

#[test]
fn k4_no_indication_is_the_default_vn() {
    let two = client(2);
    assert_eq!(Driven::hub().hear(two.path(), VpnTag::None, &two.registration(1))[0].codes(), [0]);
    let mut role = hub_role();
    role.default = false;
    let sent = Driven::hub_with(role).hear(two.path(), VpnTag::None, &two.registration(1));
    assert!(is_error(&sent[0], error::VPN_UNSUPPORTED));
}

#[test]
fn k8_k10_capabilities_in_question_and_answer() {
    let mut spoke = Driven::registered();
    spoke.heard(mac(STATION));
    let sent = spoke.one();
    let mine = sent.message().extensions().find(|e| e.kind == kind::DEVICE_CAPABILITIES).unwrap();
    assert_eq!((mine.compulsory, mine.value), (false, &[0, 0, 0, 1, 0, 0, 0, 0][..]));
    let (mut hub, two, _) = hub_and_two();
    let reply = hub.ask(&two, &two.question(2, address(STATION)));
    let both = reply.message().extensions().find(|e| e.kind == kind::DEVICE_CAPABILITIES).unwrap();
    assert_eq!((both.compulsory, both.value), (false, &[0, 0, 0, 1, 0, 0, 0, 1][..]));
}

#[test]
fn k11_question_of_who_knows_no_vpns_is_nak_4() {
    let (mut hub, two, _) = hub_and_two();
    let header = two.header(Kind::ResolutionRequest, 0xc000, 2, address(STATION));
    assert_eq!(hub.ask(&two, &write(&header, |_| {})).codes(), [4]);
    let without = write(&header, |w| {
        w.extension(Extension::capabilities(&[0; 8]));
    });
    assert_eq!(hub.ask(&two, &without).codes(), [4]);
    // Its path says which VN it is in: that will do.
    let sent = hub.hear(two.path(), VpnTag::Key(1), &write(&header, |_| {}));
    assert_eq!(sent[0].codes(), [0]);
}

#[test]
fn k14_k16_unknown_vn_is_error_17_and_names_it() {
    let mut hub = Driven::hub();
    let two = client(2);
    for tag in [VpnTag::Llc(VpnId::new([0xac, 0xde, 0x48], 1)), VpnTag::Key(77)] {
        let sent = hub.hear(two.path(), tag, &two.registration(1));
        assert!(is_error(&sent[0], error::VPN_UNSUPPORTED));
        assert_eq!(sent[0].tag, tag);
    }
    assert_eq!(hub.engine.statistics().rx_unknown_vpn, 2);
}

#[test]
fn k13_spoke_does_not_take_packets_of_another_vn_or_address() {
    let mut spoke = Driven::spoke(VpnMode::Llc, 1);
    let reply = accepted(&spoke.one().bytes, vni(9000));
    let path = Path { local: nbma("10.0.0.2"), remote: nbma("10.0.0.1") };
    spoke.hear(path, VpnTag::Llc(VpnId::new(VpnId::DEFAULT_OUI, 2)), &reply);
    spoke.hear(path, VpnTag::None, &reply);
    spoke.hear(Path { remote: nbma("10.0.0.66"), ..path }, TAG, &reply);
    assert_eq!(spoke.uplink(), None);
}
