//! What a run finds of the one before it, and who may still hold its answers.

use super::*;
use dmevpn::engine::settings::VpnMode;
use dmevpn::engine::{Act, Effect, Input, Item, News, Place};
use dmevpn::types::Vni;
use dmevpn::wire::nhrp::Message;

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
    let sent = spoke.hear_from_hub(&accepted(&request.bytes, vni(9000)));
    let asked = |s: &Sent| (s.header().kind, s.header().destination);
    assert!(sent.iter().any(|s| asked(s) == (Kind::ResolutionRequest, Some(address(STATION)))));
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

/// A hub that was away does not know what it told; who confirmed that it forgot all is told no more of it.
#[test]
fn who_forgot_all_is_told_no_more() {
    let mut hub = Driven::new(settings(Part::Hub(hub_role()), VpnMode::Llc), 6);
    hub.input(Input::News { vn: VN, news: News::Device(Some(mac(HUB_MAC))) });
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
