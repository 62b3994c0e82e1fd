//! Sessions: who cannot receive at an address cannot speak for it.

use super::*;
use dmevpn::engine::settings::{HubSettings, ServerSettings, Settings, VpnMode};
use dmevpn::engine::{Input, News, Outcome, Path, Place, Port, Via};
use dmevpn::wire::nhrp::{Message, ProtocolAddress, Tags, code, error};

/// The spokes' tags.
const NS: u64 = 0xa1a2_a3a4_a5a6_a7a8;
const C: u64 = 0xc1c2_c3c4_c5c6_c7c8;
const OTHER: u64 = 0xb1b2_b3b4_b5b6_b7b8;

fn strict() -> ServerSettings {
    ServerSettings { untagged_l2: false, ..hub_role() }
}

fn strict_hub() -> Driven {
    Driven::hub_with(strict())
}

/// A hub with spokes 2 and 3, each in its session, and a station behind spoke 3.
fn hub_and_sessions() -> (Driven, (Client, Tags), (Client, Tags)) {
    let mut hub = strict_hub();
    let (two, three) = (client(2), client(3));
    let tags = (hub.begin(&two, NS, 1), hub.begin(&three, OTHER, 1));
    hub.learn(&three, address(STATION));
    (hub, (two, tags.0), (three, tags.1))
}

/// A hub that was started anew and found the port of spoke 2.
fn restarted_hub() -> (Driven, Client, Port) {
    let mut hub = Driven::new(settings(Part::Hub(strict()), VpnMode::Llc), 6);
    hub.input(Input::News { vn: VN, news: News::Device(Some(mac(HUB_MAC))) });
    let two = client(2);
    let port = found_port(0x80_0077, 600);
    hub.input(Input::News { vn: VN, news: News::FoundPort { spoke: two.vtep(), port } });
    hub.input(Input::News { vn: VN, news: News::Listed });
    (hub, two, port)
}

fn strict_settings() -> Settings {
    let settings = settings(Part::Spoke(spoke_role()), VpnMode::Llc);
    let hub = HubSettings { vpn_mode: VpnMode::Llc, session: true };
    Settings { hubs: [(HUB, hub)].into_iter().collect(), ..settings }
}

/// A spoke that has begun a session, in which the hub's tag is [`C`]; and the tags of what it sends.
fn spoke_in_session() -> (Driven, Tags) {
    let mut spoke = Driven::starting(strict_settings(), 1);
    let first = spoke.one();
    let second = spoke.hear_from_hub(&challenged(&first.bytes, C)).remove(0);
    spoke.hear_from_hub(&accepted(&second.bytes, vni(9000)));
    (spoke, second.message().tags().unwrap())
}

fn members(hub: &Driven) -> usize {
    hub.engine.peers(hub.now, VN, None, 9).len()
}

fn hears(hub: &mut Driven, client: &Client, octets: &[u8]) -> Vec<Sent> {
    hub.hear(client.path(), TAG, octets)
}

/// What goes over the wire: the frames of the format's description.
#[test]
fn frames_of_a_session() {
    let mut hub = strict_hub();
    let spoke = golden_spoke();
    let first = golden::octets(golden::SESSION_REGISTRATION);
    let nak = hub.ask(&spoke, &first);
    let expected = golden::octets(golden::SESSION_CHALLENGE);
    // But for the cookie and the checksum.
    let cookie = expected.len() - 20..expected.len() - 12;
    let without = |octets: &[u8]| {
        let mut octets = octets.to_vec();
        octets[cookie.clone()].fill(0);
        octets[12..14].fill(0);
        octets
    };
    assert_eq!(without(&nak.bytes), without(&expected));
    assert_eq!((members(&hub), hub.ports().len(), hub.out.iter().count()), (0, 0, 1), "nothing is kept");

    let mut spoke = Driven::starting(strict_settings(), 1);
    let request = spoke.one();
    let tags = request.message().tags().unwrap();
    assert!(tags.sender != 0 && tags.receiver == 0);
    let mut expected = golden::octets(golden::SESSION_REGISTRATION);
    let at = expected.len() - 20;
    expected[at..at + 8].copy_from_slice(&tags.sender.to_be_bytes());
    golden::fix_checksum(&mut expected);
    assert_eq!(request.bytes, expected);
    let request = spoke.hear_from_hub(&challenged(&request.bytes, C)).remove(0);
    let mut expected = golden::octets(golden::SESSION_COOKIE);
    let at = expected.len() - 20;
    expected[at..at + 8].copy_from_slice(&tags.sender.to_be_bytes());
    golden::fix_checksum(&mut expected);
    assert_eq!(request.bytes, expected);
}

#[test]
fn without_a_session_nobody_registers_a_mac() {
    let mut hub = strict_hub();
    let two = client(2);
    assert_eq!(hub.register(&two).codes(), [code::PROHIBITED]);
    assert_eq!((members(&hub), hub.ports().len()), (0, 0));
    assert_eq!(hub.engine.statistics().rx_untagged, 1);
    let reason = dmevpn::engine::Refusal::Untagged;
    assert!(hub.told(&dmevpn::engine::Event::SpokeRefused { spoke: two.nbma, reason, is_known: false }));
    // An IP address needs none.
    let ip = ip_client(8, "192.0.2.8");
    assert_eq!(hub.ask(&ip, &ip_registration(&ip, true, &[])).codes(), [code::OK]);
}

#[test]
fn a_cookie_is_good_for_who_got_it_and_not_for_long() {
    let two = client(2);
    let tags = |receiver| Tags { sender: NS, receiver };
    let cookie = |hub: &mut Driven| {
        let nak = hub.ask(&two, &tagged(&two.registration(1), tags(0)));
        nak.message().challenge().unwrap().cookie
    };
    let is_good = |hub: &mut Driven, from: &Client, tags| {
        let sent = hears(hub, from, &tagged(&from.registration(2), tags));
        assert_eq!((sent.len(), sent[0].path), (1, from.path()));
        sent[0].codes() == [code::OK]
    };
    let mut hub = strict_hub();
    let good = cookie(&mut hub);
    for (from, tags) in [
        (client(3), tags(good)),
        (Client { nbma: nbma("10.0.0.77"), ..two }, tags(good)),
        (Client { vni: Some(vni(777)), ..two }, tags(good)),
        (Client { source: address("2e:cd:00:00:07:07"), ..two }, tags(good)),
        (two, Tags { sender: OTHER, receiver: good }),
        (two, tags(good ^ 1)),
    ] {
        assert!(!is_good(&mut hub, &from, tags), "{from:?}");
    }
    assert_eq!(members(&hub), 0);
    assert!(is_good(&mut hub, &two, tags(good)));
    for (wait, is) in [(60, true), (130, false)] {
        let mut hub = strict_hub();
        let good = cookie(&mut hub);
        hub.pass(wait * SECOND);
        assert_eq!(is_good(&mut hub, &two, tags(good)), is, "{wait}");
    }
    // It dies with the session that it began.
    let mut hub = strict_hub();
    let all = hub.begin(&two, NS, 1);
    hears(&mut hub, &two, &tagged(&two.purge(3, 0, &[two.source]), all));
    assert_eq!(members(&hub), 0);
    assert!(!is_good(&mut hub, &two, all));
    assert_eq!(members(&hub), 0);
}

/// The port of a spoke whose daemon was started again is kept; until it shows that it is there, its old session lives.
#[test]
fn a_restarted_spoke_keeps_its_port() {
    let (mut hub, (two, old), _) = hub_and_sessions();
    let port = hub.port(two.vtep());
    let new = Tags { sender: NS ^ 1, receiver: 0 };
    let nak = hub.ask(&two, &tagged(&two.registration(9), new));
    assert_eq!((hub.port(two.vtep()), hub.changed().count()), (port, 0));
    assert_eq!(hub.ask(&two, &tagged(&two.question(10, address(STATION)), old)).codes(), [0]);
    let new = Tags { receiver: nak.message().challenge().unwrap().cookie, ..new };
    assert_eq!(hub.ask(&two, &tagged(&two.registration(3), new)).codes(), [0], "whatever its number");
    assert_eq!((hub.port(two.vtep()), hub.changed().count()), (port, 0));
    let nak = hub.ask(&two, &tagged(&two.question(11, address(STATION)), old));
    assert_eq!(nak.codes(), [code::PROHIBITED]);
}

#[test]
fn a_purge_without_the_right_tags_does_nothing() {
    let (mut hub, (two, tags), (three, _)) = hub_and_sessions();
    let purge = two.purge(9, 0, &[two.source]);
    for wrong in
        [Tags { sender: OTHER, ..tags }, Tags { receiver: 7, ..tags }, tags.flipped(), Tags::default()]
    {
        assert!(hears(&mut hub, &two, &tagged(&purge, wrong)).is_empty());
    }
    assert!(hears(&mut hub, &two, &purge).is_empty());
    let from_elsewhere = tagged(&purge, tags);
    assert!(hears(&mut hub, &three, &from_elsewhere).is_empty());
    assert_eq!((members(&hub), hub.engine.statistics().rx_wrong_tags), (2, 6));
    // Nobody moves it, either.
    let new = Client { nbma: nbma("10.0.0.77"), ..two };
    let moved = write(&new.header(Kind::PurgeRequest, 0x8000, 9, address(HUB_MAC)), |w| {
        let at = Cie { nbma: Some(two.nbma), vni: two.vni, ..Cie::default() };
        w.cie(&Cie { prefix: 0xff, address: Some(two.source), ..at });
    });
    hears(&mut hub, &new, &moved);
    hears(&mut hub, &new, &new.registration(10));
    assert_eq!((members(&hub), hub.ports().len()), (2, 2));
    assert!(hub.port(two.vtep()).is_some());
    let sent = hears(&mut hub, &two, &tagged(&purge, tags));
    assert_eq!((sent[0].header().kind, sent[0].message().tags()), (Kind::PurgeReply, Some(tags)));
    assert_eq!(members(&hub), 1);
    assert!(hears(&mut hub, &two, &tagged(&purge, tags)).is_empty(), "there is no session any more");
}

#[test]
fn a_question_is_answered_in_a_session_alone() {
    let (mut hub, (two, tags), _) = hub_and_sessions();
    let question = two.question(9, address(STATION));
    let nak = hub.ask(&two, &tagged(&question, Tags { receiver: 7, ..tags }));
    let challenge = nak.message().challenge().unwrap();
    assert_eq!((nak.codes(), challenge.tag), (vec![code::PROHIBITED], NS));
    let nak = hub.ask(&two, &question);
    assert_eq!((nak.codes(), nak.message().challenge()), (vec![code::PROHIBITED], None));
    // It is not remembered as one who asked.
    hub.learn(&client(3), address(STATION));
    hub.learn(&two, address(STATION));
    assert!(hub.pass(SECOND / 10).iter().all(|sent| sent.path != two.path()));
    hub.learn(&client(3), address(STATION));
    assert_eq!(hub.ask(&two, &tagged(&question, tags)).codes(), [code::OK]);
    hub.learn(&two, address(STATION));
    let nobody = Client { nbma: nbma("10.0.0.66"), ..two };
    assert_eq!(hub.ask(&nobody, &tagged(&question, tags)).codes(), [code::PROHIBITED]);
}

/// What the hub asks of a client is confirmed by who got it.
#[test]
fn a_purge_is_confirmed_in_its_session() {
    let (mut hub, (two, tags), (three, _)) = hub_and_sessions();
    hub.ask(&two, &tagged(&two.question(9, address(STATION)), tags));
    hub.input(Input::News { vn: VN, news: News::Fdb { mac: mac(STATION), place: Place::Local } });
    let of_two = |sent: Vec<Sent>| sent.into_iter().find(|sent| sent.path == two.path());
    let purge = of_two(hub.sent()).or_else(|| of_two(hub.pass(SECOND / 10))).expect("two is told");
    assert_eq!(purge.message().tags(), Some(tags.flipped()));
    let reply = |tags: Option<Tags>| {
        let bare = write(&purge.header().reply(Kind::PurgeReply), |w| {
            purge.cies().iter().for_each(|cie| {
                w.cie(cie);
            });
        });
        tags.map_or(bare.clone(), |tags| tagged(&bare, tags))
    };
    for wrong in [None, Some(tags), Some(Tags { sender: 7, ..tags.flipped() })] {
        hears(&mut hub, &two, &reply(wrong));
    }
    hears(&mut hub, &three, &reply(Some(tags.flipped())));
    assert!(of_two(hub.pass(SECOND)).is_some(), "it is told again");
    hears(&mut hub, &two, &reply(Some(tags.flipped())));
    assert!(of_two(hub.pass(20 * SECOND)).is_none());
}

/// A router whose address is replaced has none for a moment. It is the same one when it comes back, and nobody at another
/// hub's address learns its tag.
#[test]
fn a_router_without_a_way_for_a_moment_keeps_its_tag() {
    let (mut spoke, tags) = spoke_in_session();
    let mut by = |local: &str, remote: &str| {
        let gone = Input::Hub { hub: HUB, path: None };
        let path = Some(Path { local: nbma(local), remote: nbma(remote) });
        for input in [gone, Input::Hub { hub: HUB, path }] {
            spoke.input(input);
        }
        let sent = spoke.sent();
        sent.iter().rev().find_map(|sent| sent.message().tags()).unwrap().sender
    };
    assert_eq!(by("10.0.0.77", "10.0.0.1"), tags.sender);
    let other = by("10.0.0.77", "10.0.0.9");
    assert!(other != tags.sender);
    assert!(by("10.0.0.77", "10.0.0.1") != other);
}

/// The same tag from another address is the same router: it moves at once, and keeps its port.
#[test]
fn the_same_router_moves_at_once_and_another_one_is_asked_about() {
    let (mut hub, (two, tags), _) = hub_and_sessions();
    let port = hub.port(two.vtep()).unwrap();
    let new = Client { nbma: nbma("10.0.0.77"), ..two };
    let nak = hub.ask(&new, &tagged(&new.registration(9), tags));
    assert_eq!(nak.codes(), [code::PROHIBITED], "it is not there yet");
    let here = Tags { receiver: nak.message().challenge().unwrap().cookie, ..tags };
    hub.input(Input::Packet {
        via: Via { path: new.path(), tag: TAG },
        nhrp: &tagged(&new.registration(10), here),
    });
    assert_eq!((hub.port(new.vtep()), hub.port(two.vtep())), (Some(port), None));
    hub.input(Input::News { vn: VN, news: News::Became { spoke: new.vtep(), outcome: Outcome::Made } });
    assert_eq!(hub.one().codes(), [code::OK]);
    assert!(hears(&mut hub, &two, &tagged(&two.purge(11, 0, &[two.source]), tags)).is_empty());
    // Another one has to wait until it is known whether this one is there: who answers keeps it.
    let thief = Client { source: two.source, ..client(9) };
    let nak = hub.ask(&thief, &tagged(&thief.registration(1), Tags { sender: OTHER ^ 1, receiver: 0 }));
    let its = Tags { sender: OTHER ^ 1, receiver: nak.message().challenge().unwrap().cookie };
    let question = hears(&mut hub, &thief, &tagged(&thief.registration(2), its)).remove(0);
    assert_eq!((question.path, question.message().tags()), (new.path(), Some(here.flipped())));
    let reply = write(&question.header().reply(Kind::PurgeReply), |w| {
        w.cie(&question.cies()[0]);
    });
    assert!(hears(&mut hub, &new, &reply).is_empty(), "anybody could say so");
    let sent = hears(&mut hub, &new, &tagged(&reply, here.flipped()));
    assert_eq!((sent[0].path, sent[0].codes()), (thief.path(), vec![code::ALREADY_REGISTERED]));
}

/// A hub that was started again while somebody else had a router's MAC knows whose home it is.
#[test]
fn who_comes_back_to_a_restarted_hub_has_its_mac_again() {
    let (mut hub, (two, _), _) = hub_and_sessions();
    let thief = Client { source: two.source, ..client(9) };
    let first = Tags { sender: OTHER ^ 1, receiver: 0 };
    let nak = hub.ask(&thief, &tagged(&thief.registration(1), first));
    let its = Tags { receiver: nak.message().challenge().unwrap().cookie, ..first };
    hears(&mut hub, &thief, &tagged(&thief.registration(2), its));
    hub.pass(3 * SECOND);
    let port = hub.port(thief.vtep()).expect("two is silent");
    assert_eq!((port.home, hub.port(two.vtep())), (Some(two.nbma), None));
    let mut again = Driven::hub();
    again.input(Input::News { vn: VN, news: News::FoundPort { spoke: thief.vtep(), port } });
    again.begin(&thief, OTHER, 1);
    assert_eq!(again.port(thief.vtep()).and_then(|port| port.home), Some(two.nbma), "for the next one, too");
    again.begin(&two, NS, 1);
    assert!(again.port(two.vtep()).is_some() && again.port(thief.vtep()).is_none());
}

/// An older request overrides no newer one, and the same one gets its answer again.
#[test]
fn requests_of_a_session_have_an_order() {
    let (mut hub, (two, tags), _) = hub_and_sessions();
    let left = |hub: &Driven| hub.engine.peers(hub.now, VN, None, 1)[0].left;
    assert_eq!(hub.ask(&two, &tagged(&two.registration(9), tags)).codes(), [0]);
    hub.pass(20 * SECOND);
    assert_eq!(hub.ask(&two, &tagged(&two.registration(9), tags)).codes(), [0]);
    assert_eq!(left(&hub), 580, "it is answered, and nothing comes of it");
    assert!(hears(&mut hub, &two, &tagged(&two.registration(8), tags)).is_empty());
    assert_eq!(left(&hub), 580);
    let gone = |id, n| tagged(&two.purge(id, 0, &[station(n)]), tags);
    hub.learn(&two, station(1));
    assert_eq!(hears(&mut hub, &two, &gone(20, 1)).len(), 1);
    hub.learn(&two, station(1));
    assert_eq!(hears(&mut hub, &two, &gone(20, 1)).len(), 1, "confirmed again");
    assert!(hears(&mut hub, &two, &gone(19, 1)).is_empty());
    assert_eq!(
        hub.engine.lookup(
            VN,
            match station(1) {
                ProtocolAddress::Mac(mac) => mac,
                _ => unreachable!(),
            }
        ),
        Place::At(two.vtep())
    );
}

fn station(n: u8) -> ProtocolAddress {
    address(&format!("52:54:00:00:07:{n:02x}"))
}

/// Who is in a session takes the place of who is in none, and never the other way round.
#[test]
fn a_session_comes_before_none() {
    let mut hub = Driven::hub();
    let two = client(2);
    assert_eq!(hub.register(&two).codes(), [0]);
    let port = hub.port(two.vtep());
    let tags = hub.begin(&two, NS, 5);
    let uplink = |port: Option<Port>| port.map(|port| port.uplink);
    assert_eq!(uplink(hub.port(two.vtep())), uplink(port));
    assert_eq!(hub.ask(&two, &two.registration(9)).codes(), [code::PROHIBITED]);
    assert!(hears(&mut hub, &two, &two.purge(10, 0, &[two.source])).is_empty());
    let copy = Client { source: two.source, ..client(9) };
    assert_eq!(hub.ask(&copy, &copy.registration(1)).codes(), [code::ALREADY_REGISTERED]);
    assert_eq!(hub.ask(&two, &tagged(&two.registration(11), tags)).codes(), [0]);
}

/// What bears the right tags never touches a limit that it shares with others.
#[test]
fn a_flood_keeps_nobody_out_who_is_in_a_session() {
    let (mut hub, (two, tags), _) = hub_and_sessions();
    for n in 0..20_000_u32 {
        // With its address, and with others.
        let from = Client { nbma: nbma(&format!("10.0.{}.2", n % 2)), ..two };
        hears(&mut hub, &from, &tagged(&from.registration(n), Tags { receiver: 7, ..tags }));
    }
    assert!(hub.engine.statistics().rx_rate_limited > 10_000);
    assert_eq!(hub.ask(&two, &tagged(&two.question(9, address(STATION)), tags)).codes(), [0]);
    assert_eq!(hub.ask(&two, &tagged(&two.registration(90_000), tags)).codes(), [0]);
    assert!(hub.engine.client_counts(VN, None, 1)[0].statistics.rx_rate_limited == 0);
}

#[test]
fn sessions_do_not_begin_all_the_time() {
    let (mut hub, two) = (strict_hub(), client(2));
    let begins = |hub: &mut Driven, n: u32| {
        let first = Tags { sender: NS + u64::from(n), receiver: 0 };
        let nak = hub.ask(&two, &tagged(&two.registration(2 * n), first));
        let receiver = nak.message().challenge().unwrap().cookie;
        !hears(hub, &two, &tagged(&two.registration(2 * n + 1), Tags { receiver, ..first })).is_empty()
    };
    assert_eq!((1..30).filter(|n| begins(&mut hub, *n)).count(), 8);
    hub.pass(SECOND);
    assert!(begins(&mut hub, 100) && !begins(&mut hub, 101));
}

/// Who receives at its address gets in while others send registrations, however many: from one address or from a network.
#[test]
fn a_flood_from_somewhere_keeps_nobody_out_from_elsewhere() {
    let v4 = |n: u32| nbma(&format!("10.0.7.{}", n % 255));
    let v6 = |n: u32| nbma(&format!("2001:db8:0:7::{:x}", n % 65_536));
    let one: fn(u32) -> dmevpn::types::Nbma = |_| nbma("10.0.7.7");
    for (flooding, newcomer) in
        [(one, "10.0.7.8"), (v4, "10.0.8.2"), (v6, "2001:db8:0:8::2"), (v6, "10.0.8.2")]
    {
        let mut hub = strict_hub();
        for second in 0..3_u32 {
            for n in 0..7000 {
                let from = Client { nbma: flooding(second * 7000 + n), ..client(7) };
                hears(
                    &mut hub,
                    &from,
                    &tagged(&from.registration(n), Tags { sender: 7, receiver: n.into() }),
                );
            }
            let new =
                Client { nbma: nbma(newcomer), vni: Some(vni(100 + second)), ..client(10 + second as u8) };
            hub.begin(&new, NS + u64::from(second), 1);
            hub.pass(SECOND);
        }
        let statistics = hub.engine.statistics();
        assert!((1000..13_000).contains(&statistics.tx_challenge), "{statistics:?}");
    }
}

/// Nor do they by what looks like a cookie, whatever address they say it is from.
#[test]
fn who_has_a_cookie_waits_for_nobody() {
    let (mut hub, two) = (strict_hub(), client(2));
    let first = Tags { sender: NS, receiver: 0 };
    let nak = hub.ask(&two, &tagged(&two.registration(1), first));
    for n in 0..7000 {
        hears(&mut hub, &two, &tagged(&two.registration(n), Tags { receiver: 1 + u64::from(n), ..first }));
    }
    let receiver = nak.message().challenge().unwrap().cookie;
    assert_eq!(hub.ask(&two, &tagged(&two.registration(2), Tags { receiver, ..first })).codes(), [code::OK]);
}

/// Who may not register costs others nothing.
#[test]
fn who_is_not_allowed_gets_no_cookie() {
    let allow = vec![dmevpn::types::Prefix::new([10, 0, 0, 0].into(), 24).unwrap()];
    let mut hub = Driven::hub_with(ServerSettings { allow, ..strict() });
    for n in 0..20_000_u32 {
        // From everywhere.
        let from = Client { nbma: nbma(&format!("10.{}.{}.1", 1 + n % 200, n / 200)), ..client(7) };
        hears(&mut hub, &from, &tagged(&from.registration(n), Tags { sender: 7, receiver: 0 }));
    }
    assert_eq!(hub.engine.statistics().tx_challenge, 0);
    hub.begin(&client(2), NS, 1);
}

/// In a network of IPv6 one may have all addresses.
#[test]
fn sessions_of_a_line_do_not_begin_all_the_time() {
    let mut hub = Driven::hub_with(ServerSettings { max_spokes: 10_000, ..strict() });
    let begun = (0..1500_u32).filter(|n| {
        let from = Client {
            nbma: nbma(&format!("2001:db8::{:x}", n + 2)),
            source: address(&format!("2e:cd:00:07:{:02x}:{:02x}", n / 256, n % 256)),
            ..client(7)
        };
        let first = Tags { sender: NS + u64::from(*n), receiver: 0 };
        let nak = hub.ask(&from, &tagged(&from.registration(1), first));
        let receiver = nak.message().challenge().unwrap().cookie;
        !hears(&mut hub, &from, &tagged(&from.registration(2), Tags { receiver, ..first })).is_empty()
    });
    let begun = begun.count();
    assert!((1000..1100).contains(&begun), "{begun}");
}

/// Those whose ports it found are told that it knows of no session; whatever they send is challenged.
#[test]
fn a_restarted_hub_challenges() {
    let (mut hub, two, port) = restarted_hub();
    let mut sent = hub.sent();
    sent.extend(hub.pass(SECOND / 10));
    assert_eq!((sent[0].path, sent[0].message().tags()), (two.path(), Some(Tags::default())));
    let old = Tags { sender: NS, receiver: C };
    let nak = hub.ask(&two, &tagged(&two.question(9, address(STATION)), old));
    assert_eq!((nak.codes(), hub.port(two.vtep())), (vec![code::PROHIBITED], Some(port)));
    let new = Tags { receiver: nak.message().challenge().unwrap().cookie, ..old };
    assert_eq!(hub.ask(&two, &tagged(&two.registration(10), new)).codes(), [0]);
    let ProtocolAddress::Mac(own) = two.source else { panic!("a spoke registers a MAC") };
    assert_eq!(hub.port(two.vtep()), Some(Port { mac: Some(own), ..port }), "the next run knows whose it is");
    assert!(hub.pass(20 * SECOND).is_empty(), "it is told no more");
    // One that moved meanwhile left its port: if nobody is there, it goes.
    let three = client(3);
    hub.input(Input::News {
        vn: VN,
        news: News::FoundPort { spoke: three.vtep(), port: Port { uplink: vni(0x80_0078), ..port } },
    });
    let new = Client { nbma: nbma("10.0.0.77"), ..three };
    let tags = hub.begin(&new, OTHER, 1);
    let left = write(&new.header(Kind::PurgeRequest, 0x8000, 9, address(HUB_MAC)), |w| {
        let at = Cie { nbma: Some(three.nbma), vni: three.vni, ..Cie::default() };
        w.cie(&Cie { prefix: 0xff, address: Some(three.source), ..at });
    });
    hears(&mut hub, &new, &tagged(&left, tags));
    assert!(hub.port(three.vtep()).is_some(), "until it is known");
    hub.pass(6 * SECOND);
    assert_eq!((hub.port(three.vtep()), hub.ports().len()), (None, 2));
}

#[test]
fn a_spoke_believes_replies_to_what_it_sent() {
    let mut spoke = Driven::starting(strict_settings(), 1);
    let first = spoke.one();
    let tags = first.message().tags().unwrap();
    let retag = |octets: &[u8], tags: Option<Tags>| {
        let message = Message::parse(octets).unwrap();
        write(&message.header, |w| {
            message.cies().for_each(|cie| {
                w.cie(&cie);
            });
            if let Some(tags) = tags {
                w.tags(tags);
            }
        })
    };
    for wrong in
        [None, Some(Tags { sender: 7, ..tags }), Some(Tags { receiver: 7, ..tags }), Some(Tags::default())]
    {
        for octets in [accepted(&first.bytes, vni(9000)), challenged(&first.bytes, C)] {
            assert!(spoke.hear_from_hub(&retag(&octets, wrong)).is_empty());
        }
    }
    assert!(!spoke.engine.is_registered(VN) && spoke.uplink().is_none());
    let second = spoke.hear_from_hub(&challenged(&first.bytes, C)).remove(0);
    assert_eq!(second.message().tags(), Some(Tags { receiver: C, ..tags }));
    assert!(second.header().request_id != first.header().request_id);
    // The answer to the first one comes again.
    assert!(spoke.hear_from_hub(&challenged(&first.bytes, C ^ 1)).is_empty());
    spoke.hear_from_hub(&accepted(&second.bytes, vni(9000)));
    assert!(spoke.engine.is_registered(VN));

    spoke.heard(mac(STATION));
    let question = spoke.one();
    let right = answer(&question.bytes, &[at(vtep("10.0.0.3", 101), 300)]);
    spoke.hear_from_hub(&retag(&right, None));
    spoke.hear_from_hub(&retag(&right, Some(Tags { sender: 7, receiver: C })));
    assert_eq!(spoke.shortcut(mac(STATION)), None);
    spoke.hear_from_hub(&right);
    assert_eq!(spoke.shortcut(mac(STATION)), Some(vtep("10.0.0.3", 101)));
    assert!(spoke.engine.statistics().rx_wrong_tags >= 2);
}

/// A hub that copies what it does not know, and begins no session: what it says later would not be believed.
#[test]
fn a_hub_without_sessions_is_told_as_such() {
    let mut spoke = Driven::starting(strict_settings(), 1);
    let first = spoke.one();
    spoke.hear_from_hub(&accepted(&first.bytes, vni(9000)));
    let reason = dmevpn::engine::Refusal::NoSession;
    assert!(spoke.told(&dmevpn::engine::Event::Refused { hub: nbma("10.0.0.1"), reason }));
    assert!(!spoke.engine.is_registered(VN) && spoke.uplink().is_none());
}

/// A challenge is answered at once, but not without end.
#[test]
fn a_hub_that_never_has_enough_is_not_asked_all_the_time() {
    let mut spoke = Driven::starting(strict_settings(), 1);
    let mut sent = vec![spoke.one()];
    let mut asked = 0;
    let began = spoke.now;
    while spoke.now.since(began) < 60 * SECOND {
        while let Some(request) = sent.pop() {
            asked += 1;
            sent.extend(spoke.hear_from_hub(&challenged(&request.bytes, C + asked)));
        }
        sent.extend(spoke.pass(SECOND / 10));
    }
    assert!((5..15).contains(&asked), "{asked}");
}

#[test]
fn an_error_counts_about_a_request_of_the_session() {
    let (mut spoke, _) = spoke_in_session();
    spoke.heard(mac(STATION));
    let question = spoke.one();
    let about = |octets: &[u8]| {
        let word = Header::error_word(error::VPN_UNSUPPORTED, 0);
        let header = Header { kind: Kind::Error, request_id: word, vni: None, ..question.header() };
        write(&header, |w| {
            w.packet_in_error(octets);
        })
    };
    // Cut short, as others cut it; and in no session.
    spoke.hear_from_hub(&about(&question.bytes[..40]));
    let bare = write(&question.header(), |_| {});
    spoke.hear_from_hub(&about(&bare));
    assert!(!spoke.engine.is_denied(VN, mac(STATION)));
    spoke.hear_from_hub(&about(&question.bytes));
    assert!(spoke.engine.is_denied(VN, mac(STATION)));
}

#[test]
fn a_spoke_believes_purges_of_its_session() {
    let (mut spoke, tags) = spoke_in_session();
    spoke.heard(mac(STATION));
    let question = spoke.one();
    spoke.hear_from_hub(&answer(&question.bytes, &[at(vtep("10.0.0.3", 101), 300)]));
    let request = purge(0, 0xff, None);
    for wrong in [tags, Tags { sender: 7, ..tags.flipped() }, Tags::default()] {
        assert!(spoke.hear_from_hub(&tagged(&request, wrong)).is_empty());
    }
    assert!(spoke.hear_from_hub(&request).is_empty());
    assert!(spoke.shortcut(mac(STATION)).is_some());
    // But the hub may have been started again: it is asked, once.
    let asks: Vec<_> = spoke.pass(SECOND / 5);
    assert!(asks.iter().all(|ask| ask.bytes == asks[0].bytes), "one request");
    assert_eq!((asks[0].header().kind, asks[0].message().tags()), (Kind::RegistrationRequest, Some(tags)));
    spoke.hear_from_hub(&accepted(&asks[0].bytes, vni(9000)));
    assert!(spoke.shortcut(mac(STATION)).is_some());
    spoke.hear_from_hub(&request);
    assert!(spoke.pass(SECOND / 5).is_empty(), "not so soon");
    let sent = spoke.hear_from_hub(&tagged(&request, tags.flipped()));
    assert_eq!((sent[0].header().kind, sent[0].message().tags()), (Kind::PurgeReply, Some(tags.flipped())));
    assert_eq!(spoke.shortcut(mac(STATION)), None);
    // Once more it is confirmed, and nothing comes of it.
    let question = sent.iter().find(|s| s.header().kind == Kind::ResolutionRequest).expect("asked again");
    spoke.hear_from_hub(&answer(&question.bytes, &[at(vtep("10.0.0.3", 101), 300)]));
    let sent = spoke.hear_from_hub(&tagged(&request, tags.flipped()));
    assert_eq!((sent.len(), sent[0].header().kind), (1, Kind::PurgeReply));
    assert!(spoke.shortcut(mac(STATION)).is_some());
    // What it was told too soon is not lost.
    let asks = spoke.pass(2 * SECOND);
    assert!(asks.iter().any(|sent| sent.header().kind == Kind::RegistrationRequest));
}

/// A hub that was started again says so to whatever it is asked, and hears everything anew.
#[test]
fn a_question_that_is_challenged_waits_for_the_new_session() {
    let (mut spoke, tags) = spoke_in_session();
    let mut questions = Vec::new();
    for n in 1..4 {
        spoke.heard(mac(&format!("52:54:00:00:08:{n:02x}")));
        questions.push(spoke.one());
    }
    let sent = spoke.hear_from_hub(&challenged(&questions[0].bytes, C ^ 5));
    let registers: Vec<_> = sent.iter().filter(|s| s.header().kind == Kind::RegistrationRequest).collect();
    assert_eq!(registers.len(), 1);
    assert_eq!(registers[0].message().tags(), Some(Tags { receiver: C ^ 5, ..tags }));
    // The others are challenged, too: it registers once.
    assert!(spoke.hear_from_hub(&challenged(&questions[1].bytes, C ^ 6)).is_empty());
    let sent = spoke.hear_from_hub(&accepted(&registers[0].bytes, vni(9000)));
    let asked = sent.iter().filter(|s| s.header().kind == Kind::ResolutionRequest).count();
    assert_eq!(asked, 2, "what waited is asked");
    assert!(sent.iter().all(|s| s.message().tags() == Some(Tags { receiver: C ^ 5, ..tags })));
}

/// It withdraws what it registered, in its session. What it registers next is of the same router, for a hub that did not hear
/// that; one that did wants another cookie.
#[test]
fn a_spoke_withdraws_in_its_session() {
    let (mut spoke, tags) = spoke_in_session();
    spoke.input(Input::News { vn: VN, news: News::Device(None) });
    let sent = spoke.one();
    assert_eq!((sent.header().kind, sent.message().tags()), (Kind::PurgeRequest, Some(tags)));
    spoke.input(Input::News { vn: VN, news: News::Device(Some(mac(SPOKE_MAC))) });
    assert_eq!(spoke.one().message().tags(), Some(tags));
}

/// What names a spoke's place is a spoke's, whatever it registers.
#[test]
fn an_ip_address_with_a_vni_needs_a_session_too() {
    let mut hub = strict_hub();
    let two = client(2);
    let ip = Client { vni: two.vni, ..ip_client(2, "192.0.2.2") };
    assert_eq!(ip.nbma, two.nbma);
    assert_eq!(hub.ask(&ip, &ip_registration(&ip, true, &[])).codes(), [code::PROHIBITED]);
    assert_eq!((members(&hub), hub.engine.statistics().rx_untagged), (0, 1));
}

/// At a port that was found nobody is in a session yet: that is no reason to believe who has none.
#[test]
fn a_purge_in_the_name_of_a_port_that_was_found_does_nothing() {
    let (mut hub, two, _) = restarted_hub();
    hub.learn(&two, address(STATION));
    hub.sent();
    assert!(hears(&mut hub, &two, &two.purge(3, 0, &[address(STATION)])).is_empty());
    assert_eq!(hub.ask(&two, &two.question(4, address(STATION))).codes(), [code::PROHIBITED]);
    assert_eq!(hub.engine.statistics().rx_untagged, 1);
    let three = client(3);
    let tags = hub.begin(&three, OTHER, 1);
    let answer = hub.ask(&three, &tagged(&three.question(5, address(STATION)), tags));
    assert_eq!(answer.codes(), [code::OK], "it is there still");
}

/// A router that loses its number again and again has one place all the same.
#[test]
fn a_session_forgets_what_the_one_before_registered() {
    let mut hub = strict_hub();
    let two = client(2);
    for n in 1..20 {
        hub.pass(2 * SECOND);
        let source = address(&format!("02:00:00:00:01:{n:02x}"));
        hub.begin(&Client { source, ..two }, NS + n, 1);
    }
    assert_eq!(members(&hub), 1);
    let peers = hub.engine.peers(hub.now, VN, None, 9);
    assert_eq!(peers[0].macs.len(), 1, "{peers:?}");
}

/// A registration that waits for what another router says does not outlive its session.
#[test]
fn who_waits_has_to_be_in_its_session_still() {
    let (mut hub, (two, tags), (three, _)) = hub_and_sessions();
    let registration = |id, macs: &[ProtocolAddress], holding| {
        let octets = write(&two.header(Kind::RegistrationRequest, 0x8000, id, two.source), |w| {
            for mac in macs {
                w.cie(&Cie { prefix: 0xff, mtu: 1450, holding, address: Some(*mac), ..Cie::default() });
            }
        });
        tagged(&octets, tags)
    };
    assert_eq!(hub.ask(&two, &registration(10, &[two.source], 1)).codes(), [code::OK]);
    let sent = hears(&mut hub, &two, &registration(11, &[two.source, three.source], 600));
    assert!(sent.iter().all(|sent| sent.header().kind == Kind::PurgeRequest), "spoke 3 is asked");
    hub.pass(4 * SECOND);
    assert_eq!(hub.port_asked_for(), None);
    assert_eq!((members(&hub), hub.port(two.vtep())), (1, None), "spoke 2 is gone");
}
