//! A hub and other hubs of its VN: what is asked, told and believed between them, and how much of it.

use super::*;
use dmevpn::engine::settings::{HubKey, HubSettings, ServerSettings};
use dmevpn::engine::{News, Path, Place};
use dmevpn::types::{Mac, Nbma, Vtep};
use dmevpn::wire::nhrp::{Message, ProtocolAddress, Tags, code, kind};

/// Another hub, at a higher address than the one that is driven: it is registered with.
struct Other {
    key: HubKey,
    nbma: Nbma,
    mac: &'static str,
    /// The VNI of its port.
    uplink: u32,
    /// As it writes them.
    tags: Tags,
    /// Where it is, and what it said last to that.
    at: Vtep,
    answer: Vec<u8>,
}

impl Other {
    fn path(&self) -> Path {
        from(self.nbma)
    }

    fn client(&self) -> Client {
        Client { nbma: self.nbma, vni: Some(vni(self.uplink)), source: address(self.mac) }
    }

    /// Registers the hub.
    fn accept(&self, request: &Sent) -> Vec<u8> {
        let responder = Cie {
            mtu: 1450,
            holding: 15,
            nbma: Some(self.nbma),
            vni: Some(vni(self.uplink)),
            address: Some(address(self.mac)),
            ..Cie::default()
        };
        write(&request.header().reply(Kind::RegistrationReply), |w| {
            request.cies().iter().for_each(|cie| {
                w.cie(cie);
            });
            w.extension_cie(kind::RESPONDER, true, &responder);
            w.tags(request.message().tags().unwrap());
        })
    }

    /// A packet of its session.
    fn says(&self, octets: &[u8]) -> Vec<u8> {
        tagged(octets, self.tags)
    }
}

const OTHERS: [(&str, &str, u32); 2] =
    [("10.0.0.251", "02:00:00:00:00:51", 9051), ("10.0.0.252", "02:00:00:00:00:52", 9052)];

/// A hub that is linked with so many others.
fn linked(others: usize) -> (Driven, Vec<Other>) {
    let keys = || (0..others).map(|n| HubKey(n as u16));
    let role = ServerSettings { peers: keys().collect(), ..hub_role() };
    let mut all = settings(Part::Hub(role), VpnMode::Llc);
    all.hubs = keys().map(|key| (key, HubSettings { vpn_mode: VpnMode::Llc, session: true })).collect();
    let mut hub = Driven::new(all, 6);
    hub.input(Input::News { vn: VN, news: News::Device(Some(mac(HUB_MAC))) });
    hub.input(Input::News { vn: VN, news: News::Listed });
    hub.pass(700 * SECOND);
    let others =
        keys().zip(OTHERS).map(|(key, (at, mac, uplink))| link(&mut hub, key, nbma(at), mac, uplink));
    let others = others.collect();
    (hub, others)
}

fn link(hub: &mut Driven, key: HubKey, nbma: Nbma, mac: &'static str, uplink: u32) -> Other {
    hub.input(Input::Hub { hub: key, path: Some(from(nbma)) });
    let first = hub.one();
    let again = hub.hear(from(nbma), TAG, &challenged(&first.bytes, 77)).remove(0);
    let at = Vtep { nbma, vni: vni(uplink) };
    let tags = again.message().tags().unwrap();
    let mut other = Other { key, nbma, mac, uplink, tags: tags.flipped(), at, answer: Vec::new() };
    other.answer = other.accept(&again);
    hub.hear(from(nbma), TAG, &other.answer);
    assert!(hub.port(at).is_some_and(|port| port.is_hubs), "{:?}", hub.ports());
    other
}

/// Answers what the hub sends to others in this time, so that they stay linked.
fn stay(hub: &mut Driven, others: &[Other], time: Duration) -> Vec<Act> {
    let (end, mut all) = (hub.now + time, Vec::new());
    while let Some(at) = hub.engine.deadline().filter(|at| *at <= end) {
        hub.now = hub.now.max(at);
        hub.input(Input::Tick);
        all.extend(acts(hub));
        for sent in hub.sent() {
            let Some(other) = others.iter().find(|other| other.path() == sent.path) else { continue };
            if sent.header().kind == Kind::RegistrationRequest {
                hub.hear(other.path(), TAG, &other.accept(&sent));
                all.extend(acts(hub));
            }
        }
    }
    hub.now = end;
    all
}

fn station(n: u32) -> Mac {
    let [_, a, b, c] = n.to_be_bytes();
    Mac::new([0x52, 0x54, 0, a, b, c]).unwrap()
}

fn learn(hub: &mut Driven, mac: Mac, place: Place) -> Vec<Act> {
    hub.input(Input::News { vn: VN, news: News::Fdb { mac, place } });
    acts(hub)
}

/// Which MACs another hub is told of.
fn announced(acts: &[Act]) -> Vec<Mac> {
    acts.iter()
        .filter_map(|act| if let Act::AnnounceTo { mac, .. } = act { Some(*mac) } else { None })
        .collect()
}

fn limited(hub: &Driven) -> u32 {
    hub.engine.statistics().rx_rate_limited
}

#[test]
fn a_copy_of_an_old_answer_keeps_no_hub_alive() {
    let (mut hub, others) = linked(1);
    stay(&mut hub, &others, 60 * SECOND);
    assert_eq!(hub.ports().len(), 1, "it is answered");
    for _ in 0..16 {
        hub.pass(SECOND);
        hub.hear(others[0].path(), TAG, &others[0].answer);
    }
    assert_eq!(hub.ports(), [], "a copy keeps its port");
}

/// What a fail-over brings is told within seconds, though it is more than the limit.
#[test]
fn all_that_comes_at_once_is_told_soon() {
    let (mut hub, others) = linked(1);
    let two = client(2);
    hub.register(&two);
    stay(&mut hub, &others, 3 * SECOND);
    let mut told: Vec<Mac> =
        (0..6000).flat_map(|n| announced(&learn(&mut hub, station(n), Place::At(two.vtep())))).collect();
    assert!(told.len() <= 2000, "{} at once", told.len());
    told.extend(announced(&stay(&mut hub, &others, 8 * SECOND)));
    let missing = (0..6000).filter(|n| !told.contains(&station(*n))).count();
    assert_eq!(missing, 0, "not told");
}

/// As long as a round takes, what is new goes first.
#[test]
fn what_moves_waits_for_no_round() {
    let (mut hub, others) = linked(1);
    let two = client(2);
    hub.register(&two);
    for n in 0..20_000 {
        learn(&mut hub, station(n), Place::At(two.vtep()));
    }
    stay(&mut hub, &others, 2 * SECOND);
    for n in 0..100 {
        let new = station(100_000 + n);
        let told = learn(&mut hub, new, Place::At(two.vtep()));
        assert_eq!(announced(&told), [new]);
        let round = announced(&stay(&mut hub, &others, SECOND / 10));
        assert!((1..=200).contains(&round.len()), "{} in a tenth of a second", round.len());
    }
}

/// And what is new all the time is not all that is told.
#[test]
fn what_is_new_keeps_no_round_from_going_on() {
    let (mut hub, others) = linked(1);
    let two = client(2);
    hub.register(&two);
    hub.register(&client(3));
    let quiet = station(20_000);
    learn(&mut hub, quiet, Place::At(two.vtep()));
    let mut told = Vec::new();
    for turn in 0..2000 {
        let place = if turn / 100 % 2 == 0 { two } else { client(3) };
        for n in 0..150 {
            learn(&mut hub, station(turn % 100 * 150 + n), Place::At(place.vtep()));
        }
        told.extend(announced(&stay(&mut hub, &others, SECOND / 10)));
    }
    assert!(told.contains(&quiet), "not told again in 200 s");
}

#[test]
fn a_silent_hub_takes_no_places_of_others() {
    let (mut hub, others) = linked(2);
    let clients = [client(2), client(3), client(4)];
    clients.iter().for_each(|client| drop(hub.register(client)));
    for n in 0..700 {
        learn(&mut hub, station(n), Place::At(others[0].at));
    }
    let other = station(5000);
    learn(&mut hub, other, Place::At(others[1].at));
    let mut asked = 0;
    for n in 0..700 {
        let client = &clients[n as usize % 2];
        asked +=
            hub.hear(client.path(), TAG, &client.question(10 + n, ProtocolAddress::Mac(station(n)))).len();
    }
    assert_eq!(asked, 512, "questions at the silent one");
    let sent = hub.hear(clients[2].path(), TAG, &clients[2].question(9, ProtocolAddress::Mac(other)));
    assert_eq!(sent.iter().map(|sent| sent.path).collect::<Vec<_>>(), [others[1].path()]);
}

/// What many ask at once is asked once, and all have the answer.
#[test]
fn many_who_ask_about_one_mac_are_all_answered() {
    let (mut hub, others) = linked(1);
    let mac = station(1);
    learn(&mut hub, mac, Place::At(others[0].at));
    let clients: Vec<Client> = (2..202).map(client).collect();
    let mut asked = Vec::new();
    for client in &clients {
        hub.register(client);
        asked.extend(hub.hear(client.path(), TAG, &client.question(9, ProtocolAddress::Mac(mac))));
    }
    assert_eq!(asked.len(), 1);
    let there = vtep("10.0.1.7", 207);
    let answers = hub.hear(others[0].path(), TAG, &answer(&asked[0].bytes, &[at(there, 300)]));
    let found: Vec<Path> =
        answers.iter().filter(|sent| sent.codes() == [code::OK]).map(|sent| sent.path).collect();
    assert_eq!(found.len(), clients.len());
    assert!(clients.iter().all(|client| found.contains(&client.path())));
}

/// A hub asks and tells for all its spokes.
#[test]
fn a_hub_has_more_to_say_than_a_spoke() {
    let (mut hub, others) = linked(1);
    let two = client(2);
    hub.register(&two);
    learn(&mut hub, station(1), Place::At(two.vtep()));
    let of = others[0].client();
    for n in 0..1900 {
        let question = others[0].says(&of.question(100 + n, ProtocolAddress::Mac(station(1))));
        let answers = hub.hear(others[0].path(), TAG, &question);
        assert_eq!(answers.len(), 1, "question {n}");
        assert_eq!((answers[0].codes(), answers[0].cies()[0].nbma), (vec![code::OK], Some(two.nbma)));
    }
    assert_eq!(limited(&hub), 0);
}

/// What was asked of one hub is asked of the other when it moves there.
#[test]
fn a_question_follows_what_moves() {
    let (mut hub, others) = linked(2);
    let two = client(2);
    hub.register(&two);
    let mac = station(1);
    learn(&mut hub, mac, Place::At(others[0].at));
    let first = hub.hear(two.path(), TAG, &two.question(9, ProtocolAddress::Mac(mac))).remove(0);
    assert_eq!(first.path, others[0].path());
    learn(&mut hub, mac, Place::At(others[1].at));
    let second = hub.hear(two.path(), TAG, &two.question(9, ProtocolAddress::Mac(mac))).remove(0);
    assert_eq!(second.path, others[1].path());
    // The first one's answer is none any more.
    assert!(
        hub.hear(others[0].path(), TAG, &answer(&first.bytes, &[at(vtep("10.0.1.7", 207), 300)])).is_empty()
    );
    let there = vtep("10.0.1.8", 208);
    let found = hub.hear(others[1].path(), TAG, &answer(&second.bytes, &[at(there, 300)])).remove(0);
    assert_eq!((found.path, found.cies()[0].nbma), (two.path(), Some(there.nbma)));
}

/// A hub that is new hears of the spokes first, and passes frames then.
#[test]
fn the_port_of_a_new_hub_is_opened_once_it_knows_who_is_here() {
    let (mut hub, mut others) = linked(1);
    let two = client(2);
    let old = others.remove(0);
    hub.pass(30 * SECOND);
    hub.begin(&two, 5, 1);
    assert!(hub.port(old.at).is_none());
    let path = Some(old.path());
    hub.input(Input::Hub { hub: old.key, path: None });
    hub.input(Input::Hub { hub: old.key, path });
    let first = hub.one();
    let again = hub.hear(old.path(), TAG, &challenged(&first.bytes, 78)).remove(0);
    let sent = hub.hear(old.path(), TAG, &old.accept(&again));
    let claim = sent.iter().find(|sent| sent.header().kind == Kind::PurgeRequest).expect("a claim");
    assert_eq!(claim.cies()[0].address, Some(two.source));
    let passing = |hub: &Driven| hub.port(old.at).map(|port| port.passing);
    assert_eq!(passing(&hub), Some(dmevpn::engine::Passing::Nothing));
    let reply = write(&claim.header().reply(Kind::PurgeReply), |w| {
        claim.cies().iter().for_each(|cie| {
            w.cie(cie);
        });
        w.tags(claim.message().tags().unwrap());
    });
    hub.hear(old.path(), TAG, &reply);
    assert_eq!(passing(&hub), Some(dmevpn::engine::Passing::All));
}

/// Two names may turn out to be one address: that hub is registered with once.
#[test]
fn a_hub_with_two_names_is_one() {
    let (mut hub, others) = linked(2);
    hub.input(Input::Hub { hub: others[1].key, path: Some(others[0].path()) });
    let mut sent = hub.sent();
    sent.extend(hub.pass(SECOND));
    let begins = |sent: &&Sent| {
        sent.path == others[0].path()
            && sent.header().kind == Kind::RegistrationRequest
            && sent.message().tags().is_none_or(|tags| tags.receiver == 0)
    };
    assert_eq!(sent.iter().filter(begins).count(), 0);
    assert!(hub.port(others[0].at).is_some());
}

/// Whatever MAC a spoke registers, and whenever: whose it is at other hubs is asked.
#[test]
fn each_mac_that_a_spoke_registers_is_claimed() {
    let (mut hub, others) = linked(1);
    let (two, second) = (client(2), address("52:54:00:00:07:77"));
    let mut tags = Tags { sender: 5, receiver: 0 };
    let header = |id| two.header(Kind::RegistrationRequest, 0x8000, id, two.source);
    let cie = Cie { prefix: 0xff, mtu: 1450, holding: 600, ..Cie::default() };
    let both = |id| {
        write(&header(id), |w| {
            w.cie(&cie).cie(&Cie { address: Some(second), ..cie });
        })
    };
    let is_claim = |sent: &&Sent| sent.header().kind == Kind::PurgeRequest && sent.path == others[0].path();
    let claimed = |sent: &[Sent]| -> Vec<Vec<_>> {
        sent.iter()
            .filter(is_claim)
            .map(|claim| claim.cies().iter().map(|cie| cie.address).collect())
            .collect()
    };
    let nak = hub.hear(two.path(), TAG, &tagged(&two.registration(1), tags)).remove(0);
    tags.receiver = nak.message().challenge().expect("a cookie").cookie;
    let sent = hub.hear(two.path(), TAG, &tagged(&two.registration(2), tags));
    assert_eq!(claimed(&sent), [vec![Some(two.source)]]);
    stay(&mut hub, &others, SECOND);
    // One more, in the session: it begins another one first.
    let nak = hub.hear(two.path(), TAG, &tagged(&both(3), tags)).remove(0);
    assert_eq!(nak.codes()[0], code::PROHIBITED);
    tags.receiver = nak.message().challenge().expect("another cookie").cookie;
    let sent = hub.hear(two.path(), TAG, &tagged(&both(4), tags));
    assert_eq!(claimed(&sent), [vec![Some(two.source), Some(second)]]);
}

/// A hub that gets peers has another address: its spokes announce what they have to the old one until they hear of it.
#[test]
fn spokes_hear_of_another_address_of_their_hub() {
    const NEW: &str = "02:00:00:00:00:77";
    let (mut hub, two, three) = hub_and_two();
    hub.input(Input::News { vn: VN, news: News::Device(Some(mac(NEW))) });
    let mut told = hub.sent();
    told.extend(hub.pass(SECOND));
    for client in [&two, &three] {
        let purge = told.iter().find(|sent| sent.path == client.path()).expect("a purge");
        assert_eq!((purge.header().kind, purge.header().source), (Kind::PurgeRequest, Some(address(NEW))));
        assert_eq!(purge.cies()[0].address, Some(address(NEW)));
    }
    // And what comes of it there.
    let mut spoke = Driven::registered();
    learn(&mut spoke, station(1), Place::Local);
    let header =
        Header { source: Some(address(NEW)), ..Message::parse(&purge(0, 0xff, None)).unwrap().header };
    let all = write(&header, |w| {
        w.cie(&Cie { prefix: 0xff, address: Some(address(NEW)), ..Cie::default() });
    });
    spoke.pass(60 * SECOND);
    let sent = spoke.hear_from_hub(&all);
    let request =
        sent.iter().find(|sent| sent.header().kind == Kind::RegistrationRequest).expect("a question");
    let responder = Cie {
        holding: 600,
        nbma: Some(nbma("10.0.0.1")),
        vni: Some(vni(9000)),
        address: Some(address(NEW)),
        ..Cie::default()
    };
    let reply = write(&request.header().reply(Kind::RegistrationReply), |w| {
        request.cies().iter().for_each(|cie| {
            w.cie(cie);
        });
        w.extension_cie(kind::RESPONDER, true, &responder);
    });
    spoke.hear_from_hub(&reply);
    let announced = Act::Announce { mac: station(1), hub: mac(NEW) };
    assert!(acts(&spoke).contains(&announced), "{:?}", acts(&spoke));
}

/// What left with its port is told other hubs, whose bridges have it here, unless it is back.
#[test]
fn what_left_with_its_port_is_told_and_not_when_it_is_back() {
    let (mut hub, others) = linked(1);
    let two = client(2);
    hub.register(&two);
    let mac = station(1);
    let place = Place::At(two.vtep());
    for is_back in [false, true] {
        learn(&mut hub, mac, place);
        let sent =
            hub.hear(two.path(), TAG, &two.purge(20 + u32::from(is_back), 0, &[ProtocolAddress::Mac(mac)]));
        assert!(acts(&hub).contains(&Act::Unlearn(mac, place)));
        let told = |sent: &[Sent]| {
            let to_other = sent.iter().filter(|sent| sent.path == others[0].path());
            let purges = to_other.filter(|sent| sent.header().kind == Kind::PurgeRequest);
            purges
                .flat_map(Sent::cies)
                .filter(|cie| cie.address == Some(ProtocolAddress::Mac(mac)))
                .collect::<Vec<_>>()
        };
        let first = told(&sent);
        assert_eq!((first.len(), first[0].code, first[0].nbma), (1, code::NO_BINDING, None));
        hub.input(Input::News { vn: VN, news: News::Fdb { mac, place: Place::Gone } });
        if is_back {
            learn(&mut hub, mac, place);
        }
        let again = told(&hub.pass(SECOND));
        assert_eq!(again.is_empty(), is_back, "{again:?}");
    }
}

/// And what another hub says of it.
#[test]
fn what_left_another_hub_is_unlearned_if_it_is_there() {
    for has_moved in [false, true] {
        let (mut hub, others) = linked(1);
        let two = client(2);
        hub.register(&two);
        let (mac, there) = (station(1), Place::At(others[0].at));
        learn(&mut hub, mac, there);
        if has_moved {
            learn(&mut hub, mac, Place::At(two.vtep()));
        }
        let header = others[0].client().header(Kind::PurgeRequest, 0, 500, address(HUB_MAC));
        let gone = write(&header, |w| {
            let address = Some(ProtocolAddress::Mac(mac));
            w.cie(&Cie { code: code::NO_BINDING, prefix: 0xff, address, ..Cie::default() });
        });
        let reply = hub.hear(others[0].path(), TAG, &others[0].says(&gone));
        assert_eq!(reply[0].header().kind, Kind::PurgeReply);
        assert_eq!(acts(&hub).contains(&Act::Unlearn(mac, there)), !has_moved);
    }
}

/// What is too much to be told one by one is not told; answers that were given stay, as they are true.
#[test]
fn what_left_by_the_thousand_takes_no_answers_back() {
    let (mut hub, others) = linked(1);
    let two = client(2);
    hub.register(&two);
    let place = Place::At(two.vtep());
    for n in 0..2000 {
        learn(&mut hub, station(n), place);
    }
    let mut sent = Vec::new();
    for n in 0..100 {
        let some: Vec<_> = (0..20).map(|of| ProtocolAddress::Mac(station(n * 20 + of))).collect();
        sent.extend(hub.hear(two.path(), TAG, &two.purge(20 + n, 0, &some)));
    }
    sent.extend(hub.pass(5 * SECOND));
    let to_other = sent.iter().filter(|sent| sent.path == others[0].path());
    let purges = to_other.filter(|sent| sent.header().kind == Kind::PurgeRequest);
    let all = purges.flat_map(Sent::cies).filter(|cie| cie.prefix < 48).count();
    assert_eq!(all, 0, "all was taken back");
}
