//! J. Roles and caches.

use super::*;
use dmevpn::engine::settings::{ServerSettings, VpnMode};
use dmevpn::engine::{Act, Effect, Event, Input, Item, News, Outcome, Place, Via};

#[test]
fn j7_j8_shortcut_is_renewed_while_it_is_used() {
    let mut spoke = spoke_with_shortcut();
    let mut asked = false;
    let start = spoke.now;
    let end = start + 205 * SECOND;
    while let Some(at) = spoke.engine.deadline().filter(|at| *at <= end) {
        spoke.now = at;
        spoke.input(Input::Tick);
        asked |= spoke.out.iter().any(|e| *e == Effect::Do { vn: VN, act: Act::ReadUse(mac(STATION)) });
        if asked {
            break;
        }
    }
    assert!(asked, "two thirds of the holding time: is it used?");
    let age = spoke.now.since(start);
    let usage = |idle| Input::News { vn: VN, news: News::Use { mac: mac(STATION), idle, age } };
    for idle in [age, age - Duration::from_millis(30)] {
        spoke.input(usage(idle));
        assert!(spoke.sent().is_empty(), "not used but by who wrote it, not renewed");
    }
    spoke.input(usage(age - Duration::from_millis(40)));
    let question = spoke.one();
    assert_eq!(question.header().kind, Kind::ResolutionRequest);
    spoke.hear_from_hub(&answer(&question.bytes, &[at(vtep("10.0.0.3", 101), 300)]));
    assert!(spoke.changed().all(|item| !matches!(item, Item::Shortcut(_))), "it is there already");
    spoke.pass(150 * SECOND);
    assert!(spoke.shortcut(mac(STATION)).is_some(), "past its first end");
}

/// What is used again before it ends is renewed, whatever was seen at two thirds.
#[test]
fn j7_j8_use_counts_until_the_end() {
    let mut spoke = spoke_with_shortcut();
    let start = spoke.now;
    let mut looks = Vec::new();
    while let Some(at) = spoke.engine.deadline().filter(|at| at.since(start) < 300 * SECOND) {
        spoke.now = at;
        spoke.input(Input::Tick);
        if spoke.out.iter().any(|e| *e == Effect::Do { vn: VN, act: Act::ReadUse(mac(STATION)) }) {
            let age = at.since(start);
            looks.push(age);
            let idle = if age > 250 * SECOND { SECOND } else { age };
            spoke.input(Input::News { vn: VN, news: News::Use { mac: mac(STATION), idle, age } });
            if !spoke.sent().is_empty() {
                break;
            }
        }
    }
    assert!(looks.len() == 2 && looks[1] > 290 * SECOND, "{looks:?}");
    let question = spoke.one();
    assert_eq!(question.header().destination, Some(address(STATION)));
    // In time: it is asked for once more before the shortcut ends.
    assert!(spoke.pass(2 * SECOND).iter().any(|sent| sent.bytes == question.bytes));
    spoke.hear_from_hub(&answer(&question.bytes, &[at(vtep("10.0.0.3", 101), 300)]));
    assert!(spoke.changed().all(|item| !matches!(item, Item::Shortcut(_))), "it is there still");
}

/// What the bridge tells of a MAC that is not here says nothing of its shortcut.
#[test]
fn j8_what_the_bridge_forgets_is_held_still() {
    let mut spoke = spoke_with_shortcut();
    let left = |spoke: &Driven| spoke.engine.macs(spoke.now, VN, None, 9).first().and_then(|row| row.left);
    assert_eq!(left(&spoke), Some(300));
    for place in [Place::Tunnel, Place::Gone] {
        spoke.input(Input::News { vn: VN, news: News::Fdb { mac: mac(STATION), place } });
        assert_eq!((left(&spoke), spoke.changed().count()), (Some(300), 0), "{place:?}");
    }
}

#[test]
fn j14_hub_never_asks() {
    let (mut hub, two, three) = hub_and_two();
    for n in 0..100 {
        hub.learn(if n % 2 == 0 { &two } else { &three }, address(STATION));
        hub.input(Input::News { vn: VN, news: News::Miss(mac(STATION)) });
        assert!(hub.sent().iter().all(|s| s.header().kind == Kind::PurgeRequest));
    }
    assert_eq!(hub.engine.statistics().tx_resolve_req, 0);
}

#[test]
fn j15_flood_of_strangers_does_not_starve_a_spoke() {
    let (mut hub, two, _) = hub_and_two();
    for n in 0..9000_u32 {
        let stranger = Client { nbma: nbma(&format!("10.9.{}.{}", n / 250, 1 + n % 250)), ..client(9) };
        let question = stranger.question(1, address(STATION));
        hub.hear(stranger.path(), TAG, &question);
    }
    assert!(hub.engine.statistics().rx_rate_limited > 3500);
    assert_eq!(hub.ask(&two, &two.question(2, address(STATION))).codes(), [0]);
}

/// What strangers send, but for registrations, keeps no newcomer out.
#[test]
fn j15_nonsense_and_questions_keep_nobody_out() {
    let (mut hub, ..) = hub_and_two();
    for n in 0..5000_u32 {
        let stranger = Client { nbma: nbma(&format!("10.9.{}.{}", n / 250, 1 + n % 250)), ..client(9) };
        hub.hear(stranger.path(), TAG, &stranger.question(1, address(STATION)));
        hub.hear(stranger.path(), TAG, &[0x55; 60]);
        let mut spoiled = stranger.registration(1);
        spoiled[20] ^= 1;
        hub.hear(stranger.path(), TAG, &spoiled);
    }
    assert!(hub.engine.statistics().rx_rate_limited > 13_000);
    assert_eq!(hub.register(&client(7)).codes(), [0]);
}

#[test]
fn local_station_of_the_hub_is_at_the_hub() {
    let (mut hub, two, _) = hub_and_two();
    hub.input(Input::News { vn: VN, news: News::Fdb { mac: mac("52:54:00:00:00:aa"), place: Place::Local } });
    for wanted in ["52:54:00:00:00:aa", HUB_MAC] {
        let cie = hub.ask(&two, &two.question(2, address(wanted))).cies()[0];
        let uplink = hub.port(two.vtep()).map(|p| p.uplink);
        assert_eq!((cie.nbma, cie.vni), (Some(nbma("10.0.0.1")), uplink));
    }
}

/// With one device for all spokes they share its VNI; it lasts as long as the VN, and is found again.
#[test]
fn spokes_can_share_an_uplink_vni() {
    let shared = || ServerSettings { shared_uplink: true, ..hub_role() };
    let mut hub = Driven::hub_with(shared());
    let mut uplinks = Vec::new();
    for n in [2, 3] {
        assert_eq!(hub.register(&client(n)).codes(), [0]);
        uplinks.extend(hub.port(client(n).vtep()).map(|p| p.uplink));
    }
    assert_eq!(uplinks[0], uplinks[1]);
    hub.pass(700 * SECOND);
    assert_eq!(hub.ports().len(), 0, "all are gone");
    hub.register(&client(4));
    assert_eq!(hub.ports().iter().map(|(_, p)| p.uplink).collect::<Vec<_>>(), uplinks[..1]);

    // The next run finds a device with another one.
    let mut hub = Driven::hub_with(shared());
    let port = found_port(0x90_0000, 600);
    hub.input(Input::News { vn: VN, news: News::FoundPort { spoke: client(2).vtep(), port } });
    hub.register(&client(3));
    assert!(hub.ports().iter().all(|(_, p)| p.uplink == vni(0x90_0000)));

    // Ports of the spokes' own have VNIs of their own: to change over, all register anew.
    hub.engine.apply(hub.now, settings(Part::Hub(hub_role()), VpnMode::Llc), &mut hub.out);
    assert_eq!(hub.ports().len(), 0);
}

/// One device for all spokes sends to one VNI at each address.
#[test]
fn with_a_shared_uplink_vni_an_address_has_one_site() {
    let mut hub = Driven::hub_with(ServerSettings { shared_uplink: true, ..hub_role() });
    let ports = |hub: &Driven| hub.ports().into_iter().map(|(spoke, _)| spoke).collect::<Vec<_>>();
    let first = client(2);
    let second = Client { nbma: first.nbma, vni: Some(vni(200)), ..client(3) };
    assert_eq!(hub.register(&first).codes(), [0]);
    hub.learn(&first, address("52:54:00:00:00:aa"));

    // Another router behind the same address, however often it asks.
    for id in [1, 2] {
        assert_eq!(hub.ask(&second, &second.registration(id)).codes(), [5]);
        assert!(hub.told(&Event::SecondSite { spoke: second.vtep(), registered: vni(102) }));
        assert_eq!(ports(&hub), [first.vtep()]);
    }
    // The same router, back with another VNI, but it asks for too much: it stays what it was.
    let moved = Client { vni: Some(vni(200)), ..first };
    let header = moved.header(Kind::RegistrationRequest, 0x8000, 2, moved.source);
    let range = write(&header, |w| {
        w.cie(&Cie { prefix: 24, mtu: 1450, holding: 600, ..Cie::default() });
    });
    assert_eq!(hub.ask(&moved, &range).codes(), [4]);
    assert_eq!(ports(&hub), [first.vtep()]);
    // The same router, back with another VNI: what was behind the old one is not there any more.
    assert_eq!(hub.register(&moved).codes(), [0]);
    assert_eq!(ports(&hub), [moved.vtep()]);
    let three = client(3);
    hub.register(&three);
    assert_eq!(hub.ask(&three, &three.question(1, address("52:54:00:00:00:aa"))).codes(), [12]);
    // When that one ends, the other router has its turn.
    hub.pass(700 * SECOND);
    assert_eq!(hub.register(&second).codes(), [0]);

    // A port found at the start belongs to whoever registers first.
    let mut hub = Driven::hub_with(ServerSettings { shared_uplink: true, ..hub_role() });
    let port = found_port(0x90_0000, 600);
    hub.input(Input::News { vn: VN, news: News::FoundPort { spoke: first.vtep(), port } });
    assert_eq!(hub.register(&second).codes(), [0]);
    assert_eq!(ports(&hub), [second.vtep()]);

    // With a port for each there is room for both.
    let mut hub = Driven::hub();
    assert_eq!((hub.register(&first).codes(), hub.register(&second).codes()), (vec![0], vec![0]));
    assert_eq!(ports(&hub), [first.vtep(), second.vtep()]);
}

/// A VNI that somebody else uses on the machine is not tried twice.
#[test]
fn a_shared_uplink_vni_that_is_taken_is_replaced() {
    let mut hub = Driven::hub_with(ServerSettings { shared_uplink: true, ..hub_role() });
    let tried = |hub: &mut Driven| {
        hub.input(Input::Packet {
            via: Via { path: client(2).path(), tag: TAG },
            nhrp: &client(2).registration(1),
        });
        assert_eq!(hub.port_asked_for(), Some(client(2).vtep()));
        hub.port(client(2).vtep()).unwrap().uplink
    };
    let first = tried(&mut hub);
    for taken in [false, true] {
        hub.input(Input::News {
            vn: VN,
            news: News::Became { spoke: client(2).vtep(), outcome: Outcome::Failed { taken } },
        });
        assert_eq!(tried(&mut hub) == first, !taken);
    }
}

#[test]
fn a_reload_of_a_hub_changes_no_registration() {
    let (mut hub, two, _) = hub_and_two();
    let mut role = hub_role();
    role.max_spokes = 2;
    hub.out.clear();
    hub.engine.apply(hub.now, settings(Part::Hub(role), VpnMode::Llc), &mut hub.out);
    assert!(hub.out.is_empty());
    assert_eq!(hub.ask(&two, &two.registration(2)).codes(), [0]);
    assert_eq!(hub.register(&client(4)).codes(), [5]);
}
