//! How long what was said holds, and what is known of it meanwhile.

use super::*;
use dmevpn::engine::report::{MacRow, MacState, VnReport};
use dmevpn::engine::settings::ServerSettings;
use dmevpn::engine::{Input, News, Order, Place};
use dmevpn::types::Mac;
use dmevpn::wire::nhrp::ProtocolAddress;

fn row(driven: &Driven, mac: Mac) -> Option<MacRow> {
    driven.engine.macs(driven.now, VN, None, usize::MAX).into_iter().find(|row| row.mac == mac)
}

#[test]
fn a_hub_forgets_whom_it_told_when_the_answer_ends() {
    let (mut hub, two, three) = hub_and_two();
    let (silent, talks) = (mac(STATION), mac("52:54:00:00:00:0c"));
    hub.learn(&three, ProtocolAddress::Mac(talks));
    for (id, wanted) in [(2, silent), (3, talks)] {
        hub.ask(&two, &two.question(id, ProtocolAddress::Mac(wanted)));
    }
    hub.pass(300 * SECOND);
    [two, three].iter().for_each(|client| assert_eq!(hub.ask(client, &client.registration(4)).codes(), [0]));
    hub.input(Input::News { vn: VN, news: News::Fdb { mac: silent, place: Place::Gone } });
    hub.pass(299 * SECOND);
    let known = |hub: &Driven, mac| row(hub, mac).map(|row| (row.state, row.askers));
    assert_eq!(known(&hub, silent), Some((MacState::Held, 1)), "it is answered for");
    assert_eq!(known(&hub, talks), Some((MacState::Learned, 1)));
    hub.pass(SECOND);
    assert_eq!((known(&hub, silent), known(&hub, talks)), (None, Some((MacState::Learned, 0))));
}

#[test]
fn what_the_hub_denied_is_so_for_the_negative_time() {
    let mut spoke = Driven::registered();
    let nobody = mac(STATION);
    spoke.heard(nobody);
    assert!(!spoke.engine.is_denied(VN, nobody), "nobody said so yet");
    let question = spoke.one();
    spoke.hear_from_hub(&answer(&question.bytes, &[Cie::nak(12)]));
    let resolve = Order::Resolve { vn: VN, mac: nobody };
    for wait in [0, 29] {
        spoke.pass(wait * SECOND);
        assert!(spoke.engine.is_denied(VN, nobody));
        spoke.input(Input::Order(resolve));
        assert!(spoke.sent().is_empty(), "it is not asked again");
    }
    spoke.pass(SECOND);
    assert!(!spoke.engine.is_denied(VN, nobody));
    spoke.input(Input::Order(resolve));
    assert_eq!(spoke.one().header().destination, Some(ProtocolAddress::Mac(nobody)));
}

/// Who asks for what is not there leaves room for what is.
#[test]
fn questions_for_nobody_fill_half_of_a_table_and_not_for_long() {
    let mut hub = Driven::hub_with(ServerSettings { max_macs: 10, ..hub_role() });
    let two = client(2);
    hub.register(&two);
    let nobody = |n: u8| address(&format!("52:54:00:00:09:{n:02x}"));
    let rows = |hub: &Driven| match hub.engine.report(hub.now, VN) {
        Some(VnReport::Hub(report)) => report.macs,
        _ => panic!("a hub"),
    };
    for n in 0..20 {
        assert_eq!(hub.ask(&two, &two.question(n.into(), nobody(n))).codes(), [12]);
    }
    assert_eq!(rows(&hub), 5, "the spoke's own, and four");
    (100..105).for_each(|n| hub.learn(&two, nobody(n)));
    assert_eq!((rows(&hub), hub.engine.statistics().macs_refused), (10, 0));
    hub.pass(60 * SECOND);
    assert_eq!(rows(&hub), 6);
}
