//! B. The common header and the CIE.

use super::*;
use dmevpn::engine::settings::VpnMode;

#[test]
fn b2_reply_to_another_source_does_not_match() {
    let mut spoke = Driven::spoke(VpnMode::Llc, 1);
    let request = spoke.one();
    let mut header = request.header().reply(Kind::RegistrationReply);
    header.source = Some(address("2e:cd:9a:5c:ae:c8"));
    let reply = write(&header, |w| {
        w.cie(&request.cies()[0]);
    });
    spoke.hear_from_hub(&reply);
    assert_eq!(spoke.uplink(), None);
    assert_eq!(spoke.engine.statistics().rx_unsolicited, 1);
    spoke.hear_from_hub(&accepted(&request.bytes, vni(9000)));
    assert_eq!(spoke.uplink(), Some(vtep("10.0.0.1", 9000)));
}

#[test]
fn b2_answer_to_another_source_or_question_does_not_match() {
    let mut spoke = Driven::registered();
    spoke.heard(mac(STATION));
    let question = spoke.one();
    let there = at(vtep("10.0.0.3", 101), 300);
    let header = question.header().reply(Kind::ResolutionReply);
    for wrong in [
        Header { source: Some(address("2e:cd:9a:5c:ae:c8")), ..header },
        Header { source: None, ..header },
        Header { request_id: header.request_id - 1, ..header },
        Header { destination: Some(address("52:54:00:00:00:0c")), ..header },
    ] {
        spoke.hear_from_hub(&write(&wrong, |w| {
            w.cie(&there);
        }));
        assert_eq!(spoke.shortcut(mac(STATION)), None, "{wrong:?}");
        assert_eq!(spoke.shortcut(mac("52:54:00:00:00:0c")), None);
    }
    assert_eq!(spoke.engine.statistics().rx_unsolicited, 4);
    spoke.hear_from_hub(&answer(&question.bytes, &[there]));
    assert_eq!(spoke.shortcut(mac(STATION)), Some(vtep("10.0.0.3", 101)));
}

#[test]
fn b2_id_grows_with_each_new_request() {
    let mut spoke = Driven::registered();
    spoke.heard(mac(STATION));
    assert_eq!(spoke.one().header().request_id, 2);
    spoke.heard(mac("52:54:00:00:00:0c"));
    assert_eq!(spoke.one().header().request_id, 3);
}

#[test]
fn b3_the_same_id_when_sent_again() {
    let mut spoke = Driven::spoke(VpnMode::Llc, 1);
    let again = spoke.pass(30 * SECOND);
    assert!(again.len() >= 4 && again.iter().all(|s| s.header().request_id == 1));
    let mut spoke = Driven::registered();
    spoke.heard(mac(STATION));
    let again = spoke.pass(10 * SECOND);
    assert!(again.len() >= 2 && again.iter().all(|s| s.header().request_id == 2));
}

#[test]
fn b4_first_id_is_0() {
    assert_eq!(Driven::spoke(VpnMode::Llc, 0).one().header().request_id, 0);
}

#[test]
fn b7_e17_any_code_but_0_is_a_nak() {
    for code in [1, 4, 5, 11, 14, 255] {
        let mut spoke = Driven::spoke(VpnMode::Llc, 1);
        let request = spoke.one();
        let cie = request.cies()[0];
        // Even when the first CIE is fine.
        let reply = write(&request.header().reply(Kind::RegistrationReply), |w| {
            w.cie(&cie).cie(&Cie { code, ..cie });
        });
        spoke.hear_from_hub(&reply);
        assert_eq!(spoke.uplink(), None, "{code}");
        assert_eq!(spoke.engine.statistics().rx_register_nak, 1);
    }
}

#[test]
fn b8_prefix_0_is_this_address_alone() {
    let mut hub = Driven::hub();
    for (n, prefix) in [(2, 0), (3, 0xff)] {
        let client = client(n);
        let header = client.header(Kind::RegistrationRequest, 0, 1, client.source);
        let request = write(&header, |w| {
            w.cie(&Cie { prefix, holding: 600, ..Cie::default() });
        });
        assert_eq!(hub.ask(&client, &request).codes(), [0]);
    }
    // Nobody registers a range.
    let client = client(4);
    let request = write(&client.header(Kind::RegistrationRequest, 0, 1, client.source), |w| {
        w.cie(&Cie { prefix: 24, holding: 600, ..Cie::default() });
    });
    assert_eq!(hub.ask(&client, &request).codes(), [4]);
}

#[test]
fn b10_j8_what_was_told_is_dropped_when_its_holding_time_ends() {
    let mut spoke = spoke_with_shortcut();
    spoke.pass(299 * SECOND);
    assert!(spoke.shortcut(mac(STATION)).is_some());
    spoke.pass(2 * SECOND);
    assert_eq!(spoke.shortcut(mac(STATION)), None);
    let (mut hub, two, three) = hub_and_two();
    hub.pass(601 * SECOND);
    hub.register(&two);
    assert_eq!(hub.ask(&two, &two.question(2, three.source)).codes(), [12]);
}

#[test]
fn b10_holding_time_of_a_nak_is_0() {
    let (mut hub, two, _) = hub_and_two();
    assert_eq!(hub.ask(&two, &two.question(2, address("52:54:00:00:00:99"))).cies()[0], Cie::nak(12));
    let thief = Client { source: two.source, ..client(9) };
    let reply = contested(&mut hub, &thief, &thief.registration(1), &two);
    assert_eq!(reply.cies()[0].holding, 0);
}

#[test]
fn b12_the_highest_preference_wins_and_the_first_of_equals() {
    let mut spoke = Driven::registered();
    spoke.heard(mac(STATION));
    let question = spoke.one();
    let there = |n: u8, preference| Cie { preference, ..at(vtep(&format!("10.0.0.{n}"), 101), 300) };
    spoke.hear_from_hub(&answer(&question.bytes, &[there(3, 5), there(4, 9), there(5, 9), there(6, 1)]));
    assert_eq!(spoke.shortcut(mac(STATION)), Some(vtep("10.0.0.4", 101)));
}

#[test]
fn b13_j10_source_of_a_question_is_not_remembered() {
    let (mut hub, two, three) = hub_and_two();
    let other = Client { source: address("52:54:00:00:00:77"), ..two };
    let header = other.header(Kind::ResolutionRequest, 0x4000, 2, address(STATION));
    let question = write(&header, |w| {
        w.cie(&Cie { holding: 600, ..Cie::default() });
        w.extension(Extension::capabilities(&[0, 0, 0, 1, 0, 0, 0, 0]));
    });
    assert_eq!(hub.ask(&two, &question).codes(), [0]);
    assert_eq!(hub.ask(&three, &three.question(2, other.source)).codes(), [12]);
}
