//! Requests that arrive late: a copy of an older one changes nothing of what a newer one said.

use super::*;
use dmevpn::engine::settings::ServerSettings;

const OLD: u32 = 500;

fn registration(client: &Client, id: u32, holding: u16) -> Vec<u8> {
    write(&client.header(Kind::RegistrationRequest, 0x8000, id, client.source), |w| {
        w.cie(&Cie { prefix: 0xff, mtu: 1450, holding, ..Cie::default() });
    })
}

/// What is heard and answered: how many packets.
fn hear(hub: &mut Driven, client: &Client, request: &[u8]) -> usize {
    hub.hear(client.path(), TAG, request).len()
}

fn ports(hub: &Driven) -> Vec<dmevpn::types::Vtep> {
    hub.ports().into_iter().map(|(spoke, _)| spoke).collect()
}

#[test]
fn e5_an_older_holding_time_does_not_come_back() {
    for (older, newer) in [(600, 100), (30, 100)] {
        let mut hub = Driven::hub();
        let two = client(2);
        assert_eq!(hear(&mut hub, &two, &registration(&two, OLD, older)), 1);
        assert_eq!(hear(&mut hub, &two, &registration(&two, OLD + 1, newer)), 1);
        hub.pass(4 * SECOND);
        assert_eq!(hear(&mut hub, &two, &registration(&two, OLD, older)), 0);
        assert_eq!(hub.port(two.vtep()).unwrap().granted, newer);
        hub.pass(95 * SECOND);
        assert_eq!(hub.ports().len(), 1);
        hub.pass(2 * SECOND);
        assert!(hub.ports().is_empty());
    }
}

#[test]
fn e5_an_older_vni_does_not_come_back() {
    for shared_uplink in [false, true] {
        let mut hub = Driven::hub_with(ServerSettings { shared_uplink, ..hub_role() });
        let before = client(2);
        let now = Client { vni: Some(vni(200)), ..before };
        hear(&mut hub, &before, &registration(&before, OLD, 600));
        hear(&mut hub, &before, &before.purge(OLD + 1, 0x8000, &[before.source]));
        assert_eq!(hear(&mut hub, &now, &registration(&now, OLD + 2, 600)), 1);
        assert_eq!(hear(&mut hub, &before, &registration(&before, OLD, 600)), 0);
        assert_eq!(ports(&hub), [now.vtep()], "{shared_uplink}");
    }
}

#[test]
fn e5_what_was_withdrawn_does_not_come_back() {
    let mut hub = Driven::hub();
    let two = client(2);
    hear(&mut hub, &two, &registration(&two, OLD, 600));
    hear(&mut hub, &two, &two.purge(OLD + 1, 0, &[two.source]));
    assert_eq!(hear(&mut hub, &two, &registration(&two, OLD, 600)), 0);
    assert!(hub.ports().is_empty());
    // Who is there again is there, and a late copy of the withdrawal, confirmed as all are, does not end it.
    assert_eq!(hear(&mut hub, &two, &registration(&two, OLD + 2, 600)), 1);
    assert_eq!(hear(&mut hub, &two, &two.purge(OLD + 1, 0, &[two.source])), 1);
    assert_eq!(ports(&hub), [two.vtep()]);
}

/// Programs that keep no number start again with a low one.
#[test]
fn e5_who_begins_anew_gets_in() {
    let two = client(2);
    let hub = || {
        let mut hub = Driven::hub();
        assert_eq!(hear(&mut hub, &two, &registration(&two, OLD, 600)), 1);
        hub
    };
    // It says what it said before: that is so, and it is told.
    let mut same = hub();
    assert_eq!(same.ask(&two, &registration(&two, 1, 600)).codes(), [0]);
    // It says something else.
    let mut other = hub();
    assert_eq!(hear(&mut other, &two, &registration(&two, 1, 300)), 0);
    other.pass(5 * SECOND);
    assert_eq!(other.ask(&two, &registration(&two, 2, 300)).codes(), [0]);
    assert_eq!(other.port(two.vtep()).unwrap().granted, 300);
    // Nothing is so late.
    let mut far = hub();
    far.ask(&two, &registration(&two, OLD + 100_000, 600));
    assert_eq!(far.ask(&two, &registration(&two, 1, 300)).codes(), [0]);
    // It is another router.
    let mut new = hub();
    let router = Client { source: client(3).source, ..two };
    assert_eq!(new.ask(&router, &registration(&router, 1, 300)).codes(), [0]);
}

#[test]
fn e5_ids_begin_again_after_the_last_one() {
    let mut hub = Driven::hub();
    let two = client(2);
    hear(&mut hub, &two, &registration(&two, u32::MAX, 600));
    assert_eq!(hub.ask(&two, &registration(&two, 3, 300)).codes(), [0]);
    assert_eq!(hear(&mut hub, &two, &registration(&two, u32::MAX, 600)), 0);
    assert_eq!(hub.port(two.vtep()).unwrap().granted, 300);
}
