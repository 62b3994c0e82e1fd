//! E3. Whose a MAC is: the router that has it registered is asked, and one that moved is the same.

use super::*;
use dmevpn::engine::report::VnReport;
use dmevpn::engine::settings::{ServerSettings, VpnMode};
use dmevpn::engine::{Effect, Event, Input, Item, News, Outcome, Path, Rivals, Via, Why};
use dmevpn::types::Vtep;
use dmevpn::wire::nhrp::{ProtocolAddress, flag};

const HALF: Duration = Duration::from_millis(500);

/// Nobody answers for the hub's questions, and a port that it wants then is made: its reply to `newcomer`.
pub fn in_silence(hub: &mut Driven, newcomer: &Client) -> Sent {
    let mut ports = Vec::new();
    let mut replies = Vec::new();
    for _ in 0..6 {
        let sent = hub.pass(HALF);
        let is_it =
            |sent: &Sent| sent.path == newcomer.path() && sent.header().kind == Kind::RegistrationReply;
        replies.extend(sent.into_iter().filter(is_it));
        ports.extend(hub.port_asked_for());
        for spoke in ports.drain(..) {
            hub.input(Input::News { vn: VN, news: News::Became { spoke, outcome: Outcome::Made } });
            replies.extend(hub.sent().into_iter().filter(|sent| sent.path == newcomer.path()));
        }
    }
    assert_eq!(replies.len(), 1, "one answer");
    replies.remove(0)
}

/// A router with the MAC and the VNI of another one, at 10.0.0.77.
fn elsewhere(router: &Client) -> Client {
    Client { nbma: nbma("10.0.0.77"), ..*router }
}

/// What a router says by its new way: not there any more.
fn moved(router: &Client, id: u32, from: Vtep) -> Vec<u8> {
    write(&router.header(Kind::PurgeRequest, flag::NO_REPLY, id, address(HUB_MAC)), |w| {
        let at = Cie { nbma: Some(from.nbma), vni: Some(from.vni), ..Cie::default() };
        w.cie(&Cie { prefix: 0xff, address: Some(router.source), ..at });
    })
}

fn rivals(hub: &Driven) -> Vec<Rivals> {
    match hub.engine.report(hub.now, VN) {
        Some(VnReport::Hub(report)) => report.rivals,
        Some(VnReport::Spoke(report)) => report.rivals.into_iter().collect(),
        None => panic!("there is a VN"),
    }
}

fn mac_of(client: &Client) -> dmevpn::types::Mac {
    let ProtocolAddress::Mac(mac) = client.source else { panic!("a MAC") };
    mac
}

fn told(hub: &Driven, like: impl Fn(&Event) -> bool) -> usize {
    hub.out.iter().filter(|e| matches!(e, Effect::Tell { event, .. } if like(event))).count()
}

#[test]
fn e3_the_holder_is_asked_by_a_purge_of_what_it_has_not() {
    let (mut hub, two, _) = hub_and_two();
    let copy = Client { source: two.source, ..client(9) };
    let question = hub.hear(copy.path(), TAG, &copy.registration(1)).remove(0);
    let header = question.header();
    assert_eq!((header.kind, header.flags, header.request_id != 0), (Kind::PurgeRequest, 0, true));
    assert_eq!((header.source, header.destination), (Some(address(HUB_MAC)), Some(two.source)));
    let at = Cie { nbma: Some(copy.nbma), vni: copy.vni, ..Cie::default() };
    assert_eq!(question.cies(), [Cie { prefix: 0xff, address: Some(two.source), ..at }]);
    let reply = confirm(&mut hub, &two, &question).remove(0);
    // The NAK says who has it.
    let cie = reply.cies()[0];
    assert_eq!((cie.code, cie.holding, cie.nbma, cie.vni), (14, 0, Some(two.nbma), two.vni));
    let both = Rivals { mac: mac_of(&two), first: two.vtep(), second: Some(copy.vtep()) };
    assert!(hub.told(&Event::Rivals(both)));
    assert_eq!(rivals(&hub), [both]);
    // It is told once, and shown as long as it is so.
    hub.pass(60 * SECOND);
    contested(&mut hub, &copy, &copy.registration(2), &two);
    assert_eq!((told(&hub, |e| matches!(e, Event::Rivals(_))), rivals(&hub)), (0, vec![both]));
    hub.pass(299 * SECOND);
    assert_eq!(rivals(&hub), [both]);
    hub.pass(2 * SECOND);
    assert_eq!(rivals(&hub), []);
}

/// What goes over the wire: the question, the refusal, and what a spoke says that moves.
#[test]
fn e3_f6_frames_k_l_and_m() {
    let mut hub = Driven::hub();
    let two = golden_spoke();
    let copy = Client { nbma: nbma("10.0.0.3"), vni: Some(vni(101)), ..two };
    hub.register(&two);
    // The second request has the ID of the frame.
    let first = Client { source: two.source, ..client(9) };
    hub.hear(first.path(), TAG, &first.registration(1));
    let question = hub.hear(copy.path(), TAG, &copy.registration(1)).remove(0);
    assert_eq!(question.bytes, golden::octets(golden::K), "{:02x?}", question.bytes);
    let nak = confirm(&mut hub, &two, &question).remove(0);
    assert_eq!(nak.bytes, golden::octets(golden::M), "{:02x?}", nak.bytes);

    let mut spoke = Driven::registered();
    let path = Path { local: nbma("10.0.0.77"), remote: nbma("10.0.0.1") };
    spoke.input(Input::Hub { hub: HUB, path: Some(path) });
    assert_eq!(spoke.sent()[0].bytes, golden::octets(golden::L), "{:02x?}", spoke.sent()[0].bytes);
}

/// With another MAC the copy is a router like any other.
#[test]
fn e3_a_copy_with_a_mac_of_its_own_is_registered_at_once() {
    let (mut hub, two, _) = hub_and_two();
    let copy = Client { source: two.source, ..client(9) };
    assert_eq!(contested(&mut hub, &copy, &copy.registration(1), &two).codes(), [14]);
    assert_eq!(hub.ask(&client(9), &client(9).registration(2)).codes(), [0]);
    assert_eq!(rivals(&hub), []);
    // Or it is the holder that gets another one, and leaves.
    let (mut hub, two, _) = hub_and_two();
    assert_eq!(contested(&mut hub, &copy, &copy.registration(1), &two).codes(), [14]);
    hub.hear(two.path(), TAG, &two.purge(2, 0x8000, &[two.source]));
    assert_eq!(rivals(&hub), []);
    assert_eq!(hub.ask(&copy, &copy.registration(2)).codes(), [0]);
}

/// Three questions of one ID in two seconds; then the MAC is the newcomer's, and nothing else.
#[test]
fn e3_the_mac_of_a_silent_router_moves_and_only_that() {
    for has_more in [false, true] {
        let (mut hub, two, three) = hub_and_two();
        let other = address("52:54:00:00:07:01");
        if has_more {
            let request = write(&two.header(Kind::RegistrationRequest, 0x8000, 2, two.source), |w| {
                w.cie(&Cie { prefix: 0xff, holding: 600, address: Some(other), ..Cie::default() });
            });
            assert_eq!(hub.ask(&two, &request).codes(), [0]);
        }
        hub.ask(&three, &three.question(2, two.source));
        let copy = Client { source: two.source, ..client(9) };
        let mut questions = hub.hear(copy.path(), TAG, &copy.registration(1));
        let began = hub.now;
        let mut all = Vec::new();
        while hub.port(copy.vtep()).is_none() {
            all = hub.pass(HALF / 10);
            questions.extend(all.iter().filter(|s| s.path == two.path()).map(|s| Sent {
                path: s.path,
                tag: s.tag,
                bytes: s.bytes.clone(),
            }));
            assert!(hub.now.since(began) < 3 * SECOND);
        }
        let took = hub.now.since(began);
        assert!((1500..2500).contains(&took.as_millis()), "{took:?}");
        questions.retain(|sent| sent.cies()[0].nbma == Some(copy.nbma));
        assert!(questions.len() == 3 && questions.iter().all(|sent| sent.bytes == questions[0].bytes));
        let down = Event::SpokeDown { spoke: two.vtep(), why: Why::Taken };
        assert_eq!((hub.told(&down), hub.port(two.vtep()).is_some()), (!has_more, has_more));
        // Who asked is told.
        let purge = all.iter().find(|sent| sent.path == three.path()).expect("three is told");
        assert_eq!(purge.cies()[0].address, Some(two.source));
        assert_eq!(rivals(&hub), []);
        let spoke = copy.vtep();
        hub.input(Input::News { vn: VN, news: News::Became { spoke, outcome: Outcome::Made } });
        assert_eq!((hub.one().path, hub.one().codes()), (copy.path(), vec![0]));
        let cie = hub.ask(&three, &three.question(3, two.source)).cies()[0];
        assert_eq!((cie.nbma, cie.vni), (Some(copy.nbma), copy.vni));
        let code = if has_more { 0 } else { 12 };
        assert_eq!(hub.ask(&three, &three.question(4, other)).codes(), [code]);
    }
}

/// The same router with another address: its port stays, and all there is behind it.
#[test]
fn e3_a_router_that_moved_is_the_same() {
    for said in ["nothing", "before", "after", "withdrawn"] {
        let (mut hub, two, three) = hub_and_two();
        let station = address("52:54:00:00:00:0d");
        hub.learn(&two, station);
        hub.ask(&three, &three.question(2, station));
        hub.ask(&three, &three.question(3, two.source));
        // What it was told is owed to it where it is.
        hub.ask(&two, &two.question(2, address(STATION)));
        let before = hub.port(two.vtep()).unwrap();
        let new = elsewhere(&two);
        let via = Via { path: new.path(), tag: TAG };
        let mut sent = Vec::new();
        let mut hear = |hub: &mut Driven, via, nhrp: &[u8]| {
            hub.input(Input::Packet { via, nhrp });
            sent.extend(hub.sent());
        };
        if said == "before" {
            hear(&mut hub, via, &moved(&new, 3, two.vtep()));
            assert!(hub.port(two.vtep()).is_some(), "until it is known where it is");
        }
        hear(&mut hub, via, &new.registration(4));
        if said == "after" {
            assert!(hub.port(two.vtep()).is_some());
            hear(&mut hub, via, &moved(&new, 3, two.vtep()));
        }
        if said == "withdrawn" {
            let old = Via { path: two.path(), tag: TAG };
            hear(&mut hub, old, &two.purge(5, 0x8000, &[two.source]));
        }
        if said == "nothing" {
            for _ in 0..50 {
                if hub.port(new.vtep()).is_some() {
                    break;
                }
                sent.extend(hub.pass(HALF / 10));
            }
        }
        let uplink = before.uplink;
        assert_eq!(hub.port(new.vtep()), Some(before), "{said}");
        assert!(hub.told(&Event::SpokeMoved { from: two.vtep(), to: new.vtep(), uplink }), "{said}");
        assert_eq!(told(&hub, |e| matches!(e, Event::SpokeDown { .. } | Event::SpokeUp { .. })), 0);
        assert_eq!(hub.ports().len(), 2);
        let ports: Vec<_> = hub.changed().filter(|item| matches!(item, Item::Port(_))).collect();
        assert_eq!(ports, [Item::Port(two.vtep()), Item::Port(new.vtep())]);
        let spoke = new.vtep();
        hub.input(Input::News { vn: VN, news: News::Became { spoke, outcome: Outcome::Made } });
        sent.extend(hub.sent());
        assert_eq!(told(&hub, |e| matches!(e, Event::SpokeUp { .. })), 0, "{said}");
        let replies: Vec<_> = sent.iter().filter(|s| s.path == new.path()).collect();
        assert_eq!((replies.len(), replies[0].codes()), (1, vec![0]), "{said}");
        // Who asked what was there is told where it was.
        let told: Vec<Cie> = sent.iter().filter(|s| s.path == three.path()).flat_map(Sent::cies).collect();
        let place = |cie: &Cie| (cie.nbma, cie.vni) == (Some(two.nbma), two.vni);
        let mut about: Vec<_> = told.iter().filter(|cie| place(cie)).filter_map(|cie| cie.address).collect();
        about.sort();
        assert_eq!(about, [two.source, station], "{said}");
        for about in [two.source, station] {
            let cie = hub.ask(&three, &three.question(5, about)).cies()[0];
            assert_eq!((cie.nbma, cie.vni), (Some(new.nbma), new.vni), "{said}");
        }
        // The kernel may name it as before for a moment; what it hears then is heard.
        let late = address("52:54:00:00:00:0e");
        hub.learn(&two, late);
        assert_eq!(hub.ask(&three, &three.question(6, late)).cies()[0].nbma, Some(new.nbma));
        let four = client(4);
        hub.register(&four);
        hub.learn(&four, address(STATION));
        assert!(hub.sent().iter().any(|s| s.path == new.path()), "it is told where it is");
        // A late copy of what it said from there is late.
        assert!(hub.hear(two.path(), TAG, &two.registration(1)).is_empty(), "{said}");
        assert_eq!(hub.ports().len(), 3);
    }
}

/// A router moves on before it is known whether it moved: what it asked for on the way is asked for no more.
#[test]
fn e3_a_router_that_moves_on_is_asked_for_once() {
    let (mut hub, two, three) = hub_and_two();
    let copy = Client { source: two.source, ..client(9) };
    let first = elsewhere(&two);
    let second = Client { nbma: nbma("10.0.0.78"), ..two };
    assert_eq!(hub.hear(first.path(), TAG, &first.registration(3)).len(), 1);
    assert_eq!(hub.hear(copy.path(), TAG, &copy.registration(1)).len(), 1);
    hub.hear(second.path(), TAG, &moved(&second, 4, first.vtep()));
    hub.hear(second.path(), TAG, &moved(&second, 4, two.vtep()));
    let sent = hub.hear(second.path(), TAG, &second.registration(5));
    assert_eq!(hub.ports().iter().map(|(at, _)| *at).collect::<Vec<_>>(), [three.vtep(), second.vtep()]);
    // Whoever else waits has it asked where it is, in a new request.
    let question = sent.iter().find(|s| s.header().kind == Kind::PurgeRequest).expect("asked there");
    assert_eq!((question.path, question.cies()[0].nbma), (second.path(), Some(copy.nbma)));
    let reply = confirm(&mut hub, &second, question).remove(0);
    assert_eq!((reply.path, reply.codes()), (copy.path(), vec![14]));
    assert!(hub.pass(3 * SECOND).is_empty());
}

/// With one device for all spokes there is none that could stay.
#[test]
fn e3_a_router_that_moved_says_why_its_place_goes() {
    let mut hub = Driven::hub_with(ServerSettings { shared_uplink: true, ..hub_role() });
    let two = client(2);
    hub.register(&two);
    let new = elsewhere(&two);
    hub.hear(new.path(), TAG, &moved(&new, 3, two.vtep()));
    hub.input(Input::Packet { via: Via { path: new.path(), tag: TAG }, nhrp: &new.registration(4) });
    assert!(hub.told(&Event::SpokeDown { spoke: two.vtep(), why: Why::Moved }));
    let ports: Vec<_> = hub.ports().into_iter().map(|(spoke, _)| spoke).collect();
    assert_eq!(ports, [new.vtep()]);
}

/// Nobody moves another router.
#[test]
fn e3_who_moves_says_it_of_itself() {
    let (mut hub, two, three) = hub_and_two();
    let new = elsewhere(&two);
    // With another protocol address, by another underlay address than it says, of a place where it is not.
    hub.hear(three.path(), TAG, &moved(&Client { source: two.source, ..three }, 3, vtep("10.0.0.9", 102)));
    let other = write(&new.header(Kind::PurgeRequest, flag::NO_REPLY, 3, address(HUB_MAC)), |w| {
        let at = Cie { nbma: Some(three.nbma), vni: three.vni, ..Cie::default() };
        w.cie(&Cie { prefix: 0xff, address: Some(three.source), ..at });
    });
    hub.hear(new.path(), TAG, &other);
    hub.hear(from(nbma("10.0.0.78")), TAG, &moved(&new, 3, two.vtep()));
    assert_eq!(contested(&mut hub, &new, &new.registration(4), &two).codes(), [14]);
    // It is forgotten, too.
    hub.hear(new.path(), TAG, &moved(&new, 5, two.vtep()));
    hub.pass(11 * SECOND);
    assert_eq!(contested(&mut hub, &new, &new.registration(6), &two).codes(), [14]);
    assert_eq!(hub.ports().len(), 2);
}

/// What comes again joins what waits; and there is room for a few.
#[test]
fn e3_registrations_that_wait_are_few() {
    let (mut hub, two, _) = hub_and_two();
    let copy = |n: u8| Client { source: two.source, ..client(n) };
    assert_eq!(hub.hear(copy(9).path(), TAG, &copy(9).registration(1)).len(), 1);
    assert_eq!(hub.hear(copy(9).path(), TAG, &copy(9).registration(2)).len(), 0);
    let reply = in_silence(&mut hub, &copy(9));
    assert_eq!((reply.header().request_id, reply.codes()), (2, vec![0]), "the newest is answered");

    let (mut hub, two, _) = hub_and_two();
    for n in 9..13 {
        assert_eq!(hub.hear(copy(n).path(), TAG, &copy(n).registration(1)).len(), 1);
    }
    let before = hub.engine.statistics().rx_rate_limited;
    assert_eq!(hub.hear(copy(13).path(), TAG, &copy(13).registration(1)).len(), 0);
    assert_eq!(hub.engine.statistics().rx_rate_limited, before + 1);
    // Who gives up waits no more.
    assert!(hub.hear(copy(9).path(), TAG, &copy(9).purge(2, 0x8000, &[two.source])).is_empty());
    assert_eq!(hub.hear(copy(13).path(), TAG, &copy(13).registration(1)).len(), 1);
    let sent = hub.pass(3 * SECOND);
    assert!(sent.iter().all(|sent| sent.path != copy(9).path()));
}

/// Another MAC at the same place is the same site.
#[test]
fn e3_a_router_with_another_mac_keeps_its_port() {
    let (mut hub, two, _) = hub_and_two();
    let before = hub.port(two.vtep());
    let other = Client { source: address("2e:cd:00:00:07:07"), ..two };
    assert_eq!(hub.ask(&other, &other.registration(2)).codes(), [0]);
    hub.hear(two.path(), TAG, &two.purge(3, 0x8000, &[two.source]));
    assert_eq!((hub.port(two.vtep()), hub.ports().len()), (before, 2));
    let peers = hub.engine.peers(hub.now, VN, None, 9);
    assert_eq!(peers[0].macs, [mac_of(&other)]);
}

/// The hub's question: this router is there, and hears who else has its MAC.
#[test]
fn e3_f10_a_spoke_that_is_asked_is_there() {
    let own = golden_spoke();
    let question = |to: ProtocolAddress, about, at: Option<Vtep>| {
        let header = Header { destination: Some(to), ..hub_header() };
        write(&header, |w| {
            let (nbma, vni) = (at.map(|at| at.nbma), at.map(|at| at.vni));
            w.cie(&Cie { prefix: 0xff, nbma, vni, address: Some(about), ..Cie::default() });
        })
    };
    let copy = vtep("10.0.0.9", 100);
    for (at, again) in [(Some(copy), Some(copy)), (None, None)] {
        let mut spoke = Driven::registered();
        let asked = question(own.source, own.source, at);
        let sent = spoke.hear_from_hub(&asked);
        assert_eq!((sent.len(), sent[0].header().kind), (1, Kind::PurgeReply));
        let both = Rivals { mac: mac(SPOKE_MAC), first: own.vtep(), second: again };
        assert!(spoke.told(&Event::Rivals(both)));
        assert_eq!(rivals(&spoke), [both]);
        spoke.hear_from_hub(&asked);
        assert!(!spoke.told(&Event::Rivals(both)), "once");
        spoke.pass(190 * SECOND);
        assert_eq!(rivals(&spoke), [both]);
        spoke.pass(111 * SECOND);
        assert_eq!(rivals(&spoke), [], "it is not asked any more");
    }
    // It has the underlay address of a router that is gone.
    let mut spoke = Driven::registered();
    let other = address("2e:cd:00:00:00:07");
    assert!(spoke.hear_from_hub(&question(other, other, Some(copy))).is_empty());
    assert_eq!(rivals(&spoke), []);
}

/// The refused one knows who has its MAC, if the hub says so; a registration ends that.
#[test]
fn e3_a_spoke_that_is_refused_says_who_has_its_mac() {
    let holder = vtep("10.0.0.9", 100);
    for at in [Some(holder), None] {
        let mut spoke = Driven::spoke(dmevpn::engine::settings::VpnMode::Llc, 1);
        let request = spoke.one();
        let nak = write(&request.header().reply(Kind::RegistrationReply), |w| {
            let (nbma, vni) = (at.map(|at| at.nbma), at.map(|at| at.vni));
            w.cie(&Cie { code: 14, holding: 0, nbma, vni, ..request.cies()[0] });
        });
        spoke.hear_from_hub(&nak);
        let both = Rivals { mac: mac(SPOKE_MAC), first: golden_spoke().vtep(), second: Some(holder) };
        assert_eq!(rivals(&spoke), at.map(|_| both).into_iter().collect::<Vec<_>>());
        let again = spoke.pass(15 * SECOND).remove(0);
        spoke.hear_from_hub(&accepted(&again.bytes, vni(9000)));
        assert_eq!(rivals(&spoke), []);
    }
}

/// A spoke that moves tells by its new way where it was; the first tries say so, each with the same ID.
#[test]
fn f6_a_spoke_that_moves_says_so_by_its_new_way() {
    let (old, new) = (nbma("10.0.0.2"), nbma("10.0.0.77"));
    let remote = nbma("10.0.0.1");
    let way = |spoke: &mut Driven, local: Option<dmevpn::types::Nbma>| {
        let path = local.map(|local| Path { local, remote });
        spoke.input(Input::Hub { hub: HUB, path });
        spoke.sent()
    };
    let says = |sent: &Sent| {
        let at = Cie { nbma: Some(old), vni: Some(vni(100)), ..Cie::default() };
        let header = sent.header();
        header.kind == Kind::PurgeRequest
            && header.flags == flag::NO_REPLY
            && (sent.path, header.nbma) == (Path { local: new, remote }, new)
            && sent.cies() == [Cie { prefix: 0xff, address: Some(address(SPOKE_MAC)), ..at }]
    };
    for gap in [false, true] {
        let mut spoke = Driven::registered();
        if gap {
            let sent = way(&mut spoke, None);
            assert!(sent.iter().all(|sent| sent.path.local == old), "by the old way, if it still can");
            spoke.pass(SECOND);
        }
        let sent = way(&mut spoke, Some(new));
        assert!(sent.len() == 2 && says(&sent[0]), "{gap}");
        assert_eq!(sent[1].header().kind, Kind::RegistrationRequest);
        assert!(sent[0].header().request_id < sent[1].header().request_id, "so that a late copy is one");
        // The answer to the first may come before the kernel lets it in.
        assert!(spoke.pass(HALF / 2 - Duration::from_millis(10)).is_empty());
        let mut again = spoke.pass(Duration::from_millis(20));
        assert_eq!(again.len(), 2);
        again.extend(spoke.pass(20 * SECOND));
        let purges: Vec<_> = again.iter().filter(|sent| sent.header().kind == Kind::PurgeRequest).collect();
        assert!(purges.len() > 2 && purges.iter().all(|purge| purge.bytes == sent[0].bytes));
        let path = Path { local: new, remote };
        spoke.hear(path, TAG, &accepted(&sent[1].bytes, vni(9000)));
        let later = spoke.pass(250 * SECOND);
        assert!(later.iter().all(|sent| sent.header().kind != Kind::PurgeRequest));
    }
    // It moves on before the hub answered: it may be known at either place.
    let mut spoke = Driven::registered();
    way(&mut spoke, Some(nbma("10.0.0.78")));
    let places: Vec<_> = way(&mut spoke, Some(new))[0].cies().iter().filter_map(|cie| cie.nbma).collect();
    assert_eq!(places, [old, nbma("10.0.0.78")]);
    // Back at the same place there is nothing to tell; and another hub knows nothing of it.
    let mut spoke = Driven::registered();
    way(&mut spoke, None);
    assert_eq!(way(&mut spoke, Some(old)).len(), 1);
    let mut spoke = Driven::registered();
    let path = Path { local: new, remote: nbma("10.0.0.99") };
    spoke.input(Input::Hub { hub: HUB, path: Some(path) });
    let sent = spoke.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!((sent[0].path.local, sent[0].path.remote), (old, remote), "withdrawn where it was");
    assert_eq!(sent[1].path, path);
}

/// The header of a Purge Request of the hub's.
fn hub_header() -> Header {
    let purge = golden::octets(golden::F);
    dmevpn::wire::nhrp::Message::parse(&purge).unwrap().header
}

/// A router withdraws its MAC while another one waits for it, for whom there is no room: the MAC is nobody's.
#[test]
fn e3_what_is_withdrawn_is_not_kept_for_who_waits() {
    let mut hub = Driven::hub();
    hub.apply(settings(Part::Hub(ServerSettings { max_spokes: 1, ..hub_role() }), VpnMode::Llc));
    let (two, copy) = (client(2), Client { source: client(2).source, ..client(9) });
    hub.register(&two);
    hub.hear(copy.path(), TAG, &copy.registration(1));
    hub.pass(HALF);
    hub.hear(two.path(), TAG, &two.purge(3, 0, &[two.source]));
    assert!(hub.sent().iter().any(|sent| sent.path == copy.path() && sent.codes() == [5]));
    assert_eq!(hub.ports(), []);
}

/// Two MACs of two holders: the site of the one that is silent keeps its port until the other one has had its say.
#[test]
fn e3_nobody_moves_before_all_holders_were_asked() {
    for answers in [false, true] {
        let (mut hub, two, three) = hub_and_two();
        let new = elsewhere(&two);
        let request = write(&new.header(Kind::RegistrationRequest, 0x8000, 2, two.source), |w| {
            for address in [two.source, three.source] {
                w.cie(&Cie { prefix: 0xff, holding: 600, address: Some(address), ..Cie::default() });
            }
        });
        hub.hear(new.path(), TAG, &request);
        let began = hub.now;
        let mut question = None;
        while question.is_none() {
            question = hub.pass(HALF / 10).into_iter().find(|sent| sent.path == three.path());
            assert!(hub.now.since(began) < 3 * SECOND);
        }
        assert!(hub.port(two.vtep()).is_some(), "it is not known yet");
        let reply = match answers {
            true => confirm(&mut hub, &three, &question.unwrap()).remove(0),
            false => in_silence(&mut hub, &new),
        };
        assert_eq!(reply.codes(), [0, if answers { 14 } else { 0 }]);
        assert_eq!((hub.port(two.vtep()), hub.port(new.vtep()).is_some()), (None, true));
        assert_eq!(hub.port(three.vtep()).is_some(), answers);
    }
}
