//! I. Authentication: who has no key says nothing, not even on the path (RFC 2332 section 5.3.4).

use super::claims::in_silence;
use super::*;
use dmevpn::engine::report::{Oddity, VnReport};
use dmevpn::engine::settings::{
    Algorithm, HubSettings, KeySettings, KeyText, KeysSettings, OwnerSettings, ServerSettings, Settings,
    VpnMode,
};
use dmevpn::engine::{Event, News, Order, Port, Via, Why};
use dmevpn::wire::MAX_NHRP;
use dmevpn::wire::nhrp::{DIGEST, Message, Tags, code, error, kind};
use hmac::{Hmac, KeyInit, Mac};

const NS: u64 = 0xa1a2_a3a4_a5a6_a7a8;
const C: u64 = 0xc1c2_c3c4_c5c6_c7c8;

/// A key as the tests have it.
type Key = (u16, &'static [u8]);

/// That of the golden frames, and others.
const GOLDEN: Key = (256, b"0123456789abcdef");
const NEXT: Key = (257, b"fedcba9876543210");
const BRANCH: Key = (700, b"branch's own key");
const OTHERS: Key = (701, b"another's own key");

fn key((spi, secret): Key) -> KeySettings {
    KeySettings {
        name: format!("k{spi}"),
        spi,
        algorithm: Algorithm::HmacSha256,
        secret: KeyText::new(secret.to_vec()),
        spoke: None,
    }
}

fn of_spoke(own: Key, name: &str, allow: &[&str]) -> KeySettings {
    let allow = allow.iter().map(|ip| dmevpn::types::Prefix::new(ip.parse().unwrap(), 32).unwrap()).collect();
    KeySettings { spoke: Some(OwnerSettings { name: name.into(), allow }), ..key(own) }
}

fn with_keys(
    mut settings: Settings,
    keys: impl IntoIterator<Item = KeySettings>,
    is_optional: bool,
) -> Settings {
    let vn = settings.vns.get_mut(&VN).unwrap();
    vn.keys = KeysSettings { keys: keys.into_iter().collect(), is_optional };
    settings
}

fn hub_settings(keys: &[KeySettings], is_optional: bool) -> Settings {
    let role = ServerSettings { untagged_l2: false, ..hub_role() };
    with_keys(settings(Part::Hub(role), VpnMode::Llc), keys.to_vec(), is_optional)
}

fn keyed_hub(keys: &[KeySettings]) -> Driven {
    let mut hub = Driven::new(hub_settings(keys, false), 6);
    hub.input(Input::News { vn: VN, news: News::Device(Some(mac(HUB_MAC))) });
    hub.input(Input::News { vn: VN, news: News::Listed });
    hub.now = hub.now + Duration::from_secs(700);
    hub
}

fn spoke_settings(keys: &[Key]) -> Settings {
    let settings = settings(Part::Spoke(spoke_role()), VpnMode::Llc);
    let hub = HubSettings { vpn_mode: VpnMode::Llc, session: true };
    let settings = Settings { hubs: [(HUB, hub)].into_iter().collect(), ..settings };
    with_keys(settings, keys.iter().map(|one| key(*one)), false)
}

/// What the RFC's keyed hash is of: the test's own words for it, not the program's.
fn digest(packet: &[u8], secret: &[u8]) -> [u8; DIGEST] {
    let mut packet = packet.to_vec();
    packet[12..14].fill(0);
    let end = packet.len() - 4;
    packet[end - DIGEST..end].fill(0);
    let hash = Hmac::<sha2::Sha256>::new_from_slice(secret).unwrap().chain_update(&packet);
    *hash.finalize().into_bytes().first_chunk().unwrap()
}

/// The same packet, signed.
fn signed(octets: &[u8], (spi, secret): Key) -> Vec<u8> {
    let message = Message::parse(octets).unwrap();
    let mut buf = vec![0; MAX_NHRP];
    let mut writer = dmevpn::wire::nhrp::Writer::new(&mut buf, &message.header);
    message.cies().for_each(|cie| {
        writer.cie(&cie);
    });
    writer.packet_in_error(message.packet_in_error());
    message.extensions().filter(|e| e.kind != kind::AUTHENTICATION).for_each(|e| {
        writer.extension(e);
    });
    let len = writer.finish_signed(spi, None, |packet| digest(packet, secret)).unwrap();
    buf.truncate(len);
    buf
}

/// Which key a packet is signed by, if it is right.
fn signer(octets: &[u8], keys: &[Key]) -> Option<u16> {
    let signature = Message::parse(octets).unwrap().signature()?;
    let (spi, secret) = keys.iter().find(|(spi, _)| *spi == signature.spi)?;
    assert_eq!(*signature.digest, digest(octets, secret));
    Some(*spi)
}

/// A client begins a session by a key, as its first request: the tags of what it sends from then on.
fn begin(hub: &mut Driven, client: &Client, own: u64, key: Key, id: u32) -> Tags {
    let mut tags = Tags { sender: own, receiver: 0 };
    let nak = hub.ask(client, &signed(&tagged(&client.registration(id), tags), key));
    assert_eq!((nak.codes(), signer(&nak.bytes, &[key])), (vec![code::PROHIBITED], Some(key.0)));
    tags.receiver = nak.message().challenge().expect("a cookie").cookie;
    let ack = hub.ask(client, &signed(&tagged(&client.registration(id + 1), tags), key));
    assert_eq!((ack.codes(), signer(&ack.bytes, &[key])), (vec![code::OK], Some(key.0)));
    tags
}

fn hears(hub: &mut Driven, client: &Client, octets: &[u8]) -> Vec<Sent> {
    hub.hear(client.path(), TAG, octets)
}

/// A spoke that is in a session by the first of its keys.
fn spoke_in_session(keys: &[Key]) -> (Driven, Tags) {
    let mut spoke = Driven::starting(spoke_settings(keys), 1);
    let first = spoke.one();
    let second = spoke.hear_from_hub(&signed(&challenged(&first.bytes, C), keys[0])).remove(0);
    spoke.hear_from_hub(&signed(&accepted(&second.bytes, vni(9000)), keys[0]));
    assert!(spoke.engine.is_registered(VN));
    (spoke, second.message().tags().unwrap())
}

fn members(hub: &Driven) -> usize {
    hub.engine.peers(hub.now, VN, None, 9).len()
}

fn unsigned(hub: &Driven) -> u32 {
    match hub.engine.report(hub.now, VN) {
        Some(VnReport::Hub(report)) => report.keys.unsigned,
        other => panic!("{other:?}"),
    }
}

fn odd(driven: &Driven) -> Vec<Oddity> {
    driven.engine.oddities(driven.now).iter().map(|row| row.oddity).collect()
}

/// What goes over the wire: the frame of the format's description, but for what is drawn.
#[test]
fn i15_i16_a_signed_registration_octet_by_octet() {
    let mut spoke = Driven::starting(spoke_settings(&[GOLDEN]), 1);
    let first = spoke.one();
    assert_eq!(signer(&first.bytes, &[GOLDEN]), Some(256));
    let second = spoke.hear_from_hub(&signed(&challenged(&first.bytes, C), GOLDEN)).remove(0);
    let tags = second.message().tags().unwrap();
    let mut expected = golden::octets(golden::SESSION_SIGNED);
    expected[80..88].copy_from_slice(&tags.sender.to_be_bytes());
    let digest = digest(&expected, GOLDEN.1);
    expected[110..126].copy_from_slice(&digest);
    golden::fix_checksum(&mut expected);
    assert_eq!(second.bytes, expected);
}

#[test]
fn i13_k19_requests_and_replies_are_signed_anew() {
    let mut hub = keyed_hub(&[key(GOLDEN)]);
    let (two, three) = (client(2), client(3));
    let tags = begin(&mut hub, &two, NS, GOLDEN, 1);
    let others = begin(&mut hub, &three, NS + 1, GOLDEN, 1);
    hub.learn(&three, address(STATION));
    let question = signed(&tagged(&two.question(3, address(STATION)), tags), GOLDEN);
    let answer = hub.ask(&two, &question);
    assert_eq!((answer.codes(), signer(&answer.bytes, &[GOLDEN])), (vec![0], Some(256)));
    let last = answer.message().extensions().last().unwrap();
    assert!(last.kind == kind::AUTHENTICATION && last.compulsory && last.value.len() == 26);
    assert_eq!(last.value[4..10], [2, 0, 0, 0, 0, 1], "in the name of who sends it");
    // What the hub has to say by itself, and the confirmation.
    let purge = signed(&tagged(&three.purge(3, 0, &[address(STATION)]), others), GOLDEN);
    let told = hears(&mut hub, &three, &purge);
    let kinds: Vec<_> = told.iter().map(|sent| (sent.header().kind, sent.path)).collect();
    assert_eq!(kinds, [(Kind::PurgeReply, three.path()), (Kind::PurgeRequest, two.path())]);
    assert!(told.iter().all(|sent| signer(&sent.bytes, &[GOLDEN]) == Some(256)));
    // A fault is told by the key of who made it.
    let twice = write(&two.header(Kind::ResolutionRequest, 0, 9, address(STATION)), |w| {
        w.extension(Extension { kind: 0x77, compulsory: true, value: &[] }).tags(tags);
    });
    let fault = hub.ask(&two, &signed(&twice, GOLDEN));
    assert!(is_error(&fault, error::UNRECOGNIZED_EXTENSION));
    assert_eq!(signer(&fault.bytes, &[GOLDEN]), Some(256));
    // The spoke signs all it sends, too.
    let (mut spoke, _) = spoke_in_session(&[GOLDEN]);
    spoke.heard(mac(STATION));
    assert_eq!(signer(&spoke.one().bytes, &[GOLDEN]), Some(256));
    spoke.input(Input::Order(Order::Stop));
    let purges: Vec<_> = spoke.sent();
    assert!(purges.iter().all(|sent| signer(&sent.bytes, &[GOLDEN]) == Some(256)) && !purges.is_empty());
}

/// Whatever is not signed, or not right, is dropped without a word: an answer would have to be signed.
#[test]
fn i14_i18_what_is_not_signed_by_a_key_is_dropped_and_told_once() {
    let mut hub = keyed_hub(&[key(GOLDEN)]);
    let (two, three) = (client(2), client(3));
    let tags = begin(&mut hub, &two, NS, GOLDEN, 1);
    let _ = begin(&mut hub, &three, NS + 1, GOLDEN, 1);
    hub.learn(&three, address(STATION));
    let first = tagged(&two.registration(5), Tags { sender: 5, receiver: 0 });
    let question = tagged(&two.question(3, address(STATION)), tags);
    let purge = tagged(&two.purge(9, 0, &[two.source]), tags);
    let ip = ip_client(8, "192.0.2.8");
    let mut dropped = 0;
    let mut sent = 0;
    for packet in [&first, &question, &purge, &ip_registration(&ip, true, &[])] {
        let mut wrong =
            vec![packet.clone(), signed(packet, (256, b"another secret..")), signed(packet, NEXT)];
        let right = signed(packet, GOLDEN);
        // Each octet counts; what cannot be read any more is dropped, too.
        for at in 0..right.len() {
            let mut octets = right.clone();
            octets[at] ^= 1;
            golden::fix_checksum(&mut octets);
            wrong.extend((octets != right).then_some(octets));
        }
        for octets in wrong {
            sent += hears(&mut hub, &two, &octets).len();
            dropped += 1;
        }
    }
    // One Error for who says that it ends elsewhere, or not at all, would be one too many, too.
    assert_eq!((sent, members(&hub), hub.ports().len()), (0, 2, 2));
    let statistics = hub.engine.statistics();
    let seen = statistics.rx_unauthenticated + statistics.rx_malformed + statistics.rx_rate_limited;
    // But for the signed ones of which the checksum alone was changed and made right again.
    assert_eq!((seen, statistics.rx_unauthenticated > 200), (dropped, true), "{statistics:?}");
    let all = odd(&hub);
    for one in [Oddity::Unsigned, Oddity::WrongKey(256), Oddity::UnknownKey(257)] {
        assert_eq!(all.iter().filter(|there| **there == one).count(), 1, "{all:?}");
    }
    // A packet that is signed and says of no session that it is in it.
    for packet in [two.registration(20), two.question(21, address(STATION)), two.purge(22, 0, &[two.source])]
    {
        assert!(hears(&mut hub, &two, &signed(&packet, GOLDEN)).is_empty());
    }
    assert_eq!((members(&hub), hub.engine.statistics().rx_wrong_tags), (2, 3));
    assert_eq!(hub.ask(&two, &signed(&purge, GOLDEN)).header().kind, Kind::PurgeReply);
}

/// A spoke with a key believes nobody without, an Error no more than an answer.
#[test]
fn i14_a_spoke_hears_its_hub_alone() {
    let (mut spoke, _) = spoke_in_session(&[GOLDEN]);
    spoke.heard(mac(STATION));
    let question = spoke.one();
    let reply = answer(&question.bytes, &[at(vtep("10.0.0.3", 103), 300)]);
    let told = write(&question.header(), |_| {});
    let header = Header {
        kind: Kind::Error,
        request_id: Header::error_word(error::UNREACHABLE, 0),
        flags: 0,
        nbma: nbma("10.0.0.1"),
        vni: None,
        source: Some(address(HUB_MAC)),
        destination: Some(address(SPOKE_MAC)),
        ..question.header()
    };
    let refusal = write(&header, |w| {
        w.packet_in_error(&question.bytes);
    });
    for octets in [&reply, &refusal, &told] {
        for octets in [octets.clone(), signed(octets, (256, b"another secret..")), signed(octets, NEXT)] {
            assert!(spoke.hear_from_hub(&octets).is_empty());
        }
    }
    assert_eq!(spoke.shortcut(mac(STATION)), None);
    assert!(!spoke.engine.is_denied(VN, mac(STATION)));
    spoke.hear_from_hub(&signed(&reply, GOLDEN));
    assert_eq!(spoke.shortcut(mac(STATION)), Some(vtep("10.0.0.3", 103)));
}

/// Old registrations and withdrawals do nothing, the last one gets its answer again (RFC 1982).
#[test]
fn i16_what_is_replayed_does_nothing() {
    let mut hub = keyed_hub(&[key(GOLDEN)]);
    let two = client(2);
    let tags = begin(&mut hub, &two, NS, GOLDEN, u32::MAX - 2);
    let packet = |id| signed(&tagged(&two.registration(id), tags), GOLDEN);
    assert_eq!(hub.ask(&two, &packet(u32::MAX)).codes(), [0]);
    assert_eq!(hub.ask(&two, &packet(1)).codes(), [0], "the numbers go on at 0");
    assert_eq!(hub.ask(&two, &packet(1)).codes(), [0]);
    for old in [0, u32::MAX, u32::MAX - 1] {
        assert!(hears(&mut hub, &two, &packet(old)).is_empty(), "{old}");
    }
    let purge = |id| signed(&tagged(&two.purge(id, 0, &[address(STATION)]), tags), GOLDEN);
    assert_eq!(hears(&mut hub, &two, &purge(9)).len(), 1);
    assert_eq!((hears(&mut hub, &two, &purge(9)).len(), hears(&mut hub, &two, &purge(8)).len()), (1, 0));
    // The session that it was in is over, and so is all that was signed in it.
    let last = signed(&tagged(&two.purge(10, 0, &[two.source]), tags), GOLDEN);
    assert_eq!(hears(&mut hub, &two, &last).len(), 1);
    let sent = hears(&mut hub, &two, &packet(1));
    assert!(sent.iter().all(|sent| sent.codes() == [code::PROHIBITED]) && members(&hub) == 0);
}

/// Keys are exchanged without losing anything: the hub gets the new one, the spoke speaks by it, the hub forgets the old one.
#[test]
fn i17_several_keys_at_a_time_and_one_after_the_other() {
    let mut hub = keyed_hub(&[key(GOLDEN)]);
    let two = client(2);
    let tags = begin(&mut hub, &two, NS, GOLDEN, 1);
    let port = hub.port(two.vtep());
    hub.apply(hub_settings(&[key(GOLDEN), key(NEXT)], false));
    assert_eq!(hub.changed().count(), 0);
    let ack = hub.ask(&two, &signed(&tagged(&two.registration(3), tags), NEXT));
    let marked = port.map(|port| Port { key: Some(NEXT.0), ..port });
    assert_eq!(
        (ack.codes(), signer(&ack.bytes, &[NEXT]), hub.port(two.vtep())),
        (vec![0], Some(257), marked)
    );
    // What it is asked is signed by the one that it used last; what it is answered by the one of the question.
    hub.learn(&client(3), address(STATION));
    let nak = hub.ask(&two, &signed(&tagged(&two.question(4, address(STATION)), tags), GOLDEN));
    assert_eq!(signer(&nak.bytes, &[GOLDEN]), Some(256));
    hub.input(Input::News {
        vn: VN,
        news: News::Fdb { mac: mac(STATION), place: dmevpn::engine::Place::Local },
    });
    let told = hub.pass(SECOND);
    assert!(!told.is_empty() && told.iter().all(|sent| signer(&sent.bytes, &[NEXT]) == Some(257)));
    hub.apply(hub_settings(&[key(NEXT)], false));
    assert_eq!((hub.changed().count(), members(&hub)), (0, 1));
    assert!(hears(&mut hub, &two, &signed(&tagged(&two.registration(5), tags), GOLDEN)).is_empty());

    // The spoke: three tries by each, and waits that begin anew.
    let (mut spoke, tags) = spoke_in_session(&[GOLDEN]);
    spoke.apply(spoke_settings(&[NEXT, GOLDEN]));
    let mut by = vec![spoke.one()];
    assert_eq!((by[0].message().tags(), spoke.engine.is_registered(VN)), (Some(tags), true));
    by.extend(spoke.pass(30 * SECOND));
    let all: Vec<_> = by.iter().map(|sent| signer(&sent.bytes, &[NEXT, GOLDEN]).unwrap()).collect();
    assert!(all.starts_with(&[257, 257, 257, 256, 256, 256, 257]), "{all:?}");
    let last = by.into_iter().rev().find(|sent| signer(&sent.bytes, &[NEXT]) == Some(257)).unwrap();
    spoke.hear_from_hub(&signed(&accepted(&last.bytes, vni(9000)), NEXT));
    spoke.heard(mac(STATION));
    assert_eq!(signer(&spoke.one().bytes, &[NEXT]), Some(257));
    assert!(spoke.engine.is_registered(VN));
}

/// What a key registered that is taken out ends at once, and who may have another one is told.
#[test]
fn i17_a_removed_key_ends_what_it_registered() {
    let mut hub = keyed_hub(&[key(GOLDEN), key(NEXT)]);
    let (two, three) = (client(2), client(3));
    let tags = begin(&mut hub, &two, NS, GOLDEN, 1);
    let _ = begin(&mut hub, &three, NS + 1, NEXT, 1);
    hub.apply(hub_settings(&[key(NEXT)], false));
    assert_eq!((members(&hub), hub.port(two.vtep())), (1, None));
    assert!(hub.told(&Event::SpokeDown { spoke: two.vtep(), why: Why::NoKey }));
    let farewell = hub.one();
    assert_eq!((farewell.path, farewell.message().tags()), (two.path(), Some(tags.flipped())));
    assert_eq!(signer(&farewell.bytes, &[GOLDEN]), Some(256), "by the key that it knows");
    assert!(hears(&mut hub, &two, &signed(&tagged(&two.registration(9), tags), GOLDEN)).is_empty());
    // The same number with another secret is another key.
    let (spi, _) = NEXT;
    hub.apply(hub_settings(&[key((spi, b"another secret.."))], false));
    assert_eq!(members(&hub), 0);
}

/// While keys are rolled out, those without are in, too, but nobody takes the place of who has one.
#[test]
fn i17_keys_are_rolled_out_one_by_one() {
    let mut hub = keyed_hub(&[]);
    let (two, three) = (client(2), client(3));
    let tags = hub.begin(&two, NS, 1);
    hub.begin(&three, NS + 1, 1);
    let ip = ip_client(8, "192.0.2.8");
    assert_eq!(hub.ask(&ip, &ip_registration(&ip, true, &[])).codes(), [0]);
    assert_eq!(unsigned(&hub), 0, "all is open");
    hub.apply(hub_settings(&[key(GOLDEN)], true));
    assert_eq!((members(&hub), hub.ports().len(), unsigned(&hub)), (3, 2, 2));
    let warned = |event: &Event| matches!(event, Event::KeysOptional { unsigned: 2 });
    assert!(hub.out.iter().any(|e| matches!(e, Effect::Tell { event, .. } if warned(event))));
    let ack = hub.ask(&two, &tagged(&two.registration(5), tags));
    assert_eq!((ack.codes(), signer(&ack.bytes, &[GOLDEN])), (vec![0], None));
    let ack = hub.ask(&two, &signed(&tagged(&two.registration(6), tags), GOLDEN));
    assert_eq!((ack.codes(), signer(&ack.bytes, &[GOLDEN])), (vec![0], Some(256)));
    assert!(hears(&mut hub, &two, &tagged(&two.purge(7, 0, &[two.source]), tags)).is_empty());
    let nak = hub.ask(&two, &tagged(&two.registration(8), tags));
    assert_eq!((nak.codes(), members(&hub), unsigned(&hub)), (vec![code::PROHIBITED], 3, 1));
    hub.apply(hub_settings(&[key(GOLDEN)], false));
    assert_eq!((members(&hub), hub.port(three.vtep())), (1, None));
    assert!(hub.told(&Event::SpokeDown { spoke: three.vtep(), why: Why::NoKey }));
}

/// Each spoke has a key of its own: it speaks for itself alone, from where it may be.
#[test]
fn i17_a_spokes_own_key_is_good_for_it_alone() {
    let keys = [of_spoke(BRANCH, "branch", &["10.0.0.2", "10.0.0.5"]), of_spoke(OTHERS, "other", &[])];
    let mut hub = keyed_hub(&keys);
    let two = client(2);
    let tags = begin(&mut hub, &two, NS, BRANCH, 1);
    // Who is on the path knows the tags, and has a key: its own.
    let nak = hub.ask(&two, &signed(&tagged(&two.registration(5), tags), OTHERS));
    assert_eq!((nak.codes(), nak.message().challenge()), (vec![code::PROHIBITED], None));
    let purge = tagged(&two.purge(6, 0, &[two.source]), tags);
    assert!(hears(&mut hub, &two, &signed(&purge, OTHERS)).is_empty());
    let nak = hub.ask(&two, &signed(&tagged(&two.question(7, address(STATION)), tags), OTHERS));
    assert_eq!((nak.codes(), signer(&nak.bytes, &[OTHERS])), (vec![code::PROHIBITED], Some(701)));
    let first = Tags { sender: 7, receiver: 0 };
    let nak = hub.ask(&two, &signed(&tagged(&two.registration(8), first), OTHERS));
    assert_eq!((nak.codes(), nak.message().challenge()), (vec![code::PROHIBITED], None));
    assert_eq!(members(&hub), 1);
    // From elsewhere it may not, and it moves where it may.
    let registration = |at: &Client| signed(&tagged(&at.registration(9), first), BRANCH);
    let away = Client { nbma: nbma("10.0.0.9"), ..two };
    let nak = hub.ask(&away, &registration(&away));
    assert_eq!((nak.codes(), nak.message().challenge()), (vec![code::PROHIBITED], None));
    let port = hub.port(two.vtep()).unwrap();
    let moved = Client { nbma: nbma("10.0.0.5"), ..two };
    begin(&mut hub, &moved, 99, BRANCH, 10);
    assert_eq!(
        (members(&hub), hub.port(moved.vtep()).map(|p| p.uplink)),
        (1, Some(port.uplink)),
        "nobody was asked"
    );
    // The list becomes shorter.
    let keys = [of_spoke(BRANCH, "branch", &["10.0.0.2"]), of_spoke(OTHERS, "other", &[])];
    hub.apply(hub_settings(&keys, false));
    assert_eq!(members(&hub), 0);
    assert!(hub.told(&Event::SpokeDown { spoke: moved.vtep(), why: Why::NotAllowed }));
}

/// Begins what would be a session by a key, with the tag of a router that the thief listens to: what the hub sends then.
fn begin_as(hub: &mut Driven, thief: &Client, own: u64, by: Option<Key>) -> Vec<Sent> {
    let sign = |octets: Vec<u8>| by.map_or(octets.clone(), |key| signed(&octets, key));
    let mut tags = Tags { sender: own, receiver: 0 };
    let nak = hub.ask(thief, &sign(tagged(&thief.registration(1), tags)));
    tags.receiver = nak.message().challenge().expect("a cookie").cookie;
    hears(hub, thief, &sign(tagged(&thief.registration(2), tags)))
}

/// A client says that it is there.
fn is_there(hub: &mut Driven, client: &Client, question: &Sent, key: Key) -> Vec<Sent> {
    let reply = write(&question.header().reply(Kind::PurgeReply), |w| {
        question.cies().iter().for_each(|cie| {
            w.cie(cie);
        });
        w.tags(question.message().tags().unwrap());
    });
    hears(hub, client, &signed(&reply, key))
}

/// Who is on the path reads tags, and has a key: its own. It is not the router whose tag it names, wherever it is; that one is
/// asked, and has its MAC again as soon as it is back.
#[test]
fn i17_another_spokes_key_takes_no_site() {
    let keys = [of_spoke(BRANCH, "branch", &[]), of_spoke(OTHERS, "other", &[])];
    let two = client(2);
    for thief in [Client { nbma: nbma("10.0.0.66"), ..two }, Client { vni: Some(vni(666)), ..two }] {
        let mut hub = keyed_hub(&keys);
        let tags = begin(&mut hub, &two, NS, BRANCH, 1);
        let uplink = hub.port(two.vtep()).map(|port| port.uplink);
        let question = begin_as(&mut hub, &thief, NS, Some(OTHERS));
        assert_eq!((question.len(), question[0].header().kind), (1, Kind::PurgeRequest));
        assert_eq!((question[0].path, signer(&question[0].bytes, &[BRANCH])), (two.path(), Some(700)));
        let nak = is_there(&mut hub, &two, &question[0], BRANCH);
        assert_eq!((nak.len(), nak[0].path, nak[0].codes()), (1, thief.path(), vec![14]));
        assert_eq!((members(&hub), hub.port(two.vtep()).map(|port| port.uplink)), (1, uplink));
        let ack = hub.ask(&two, &signed(&tagged(&two.registration(5), tags), BRANCH));
        assert_eq!((ack.codes(), ack.message().tags()), (vec![0], Some(tags)));
        // While it is away the MAC may be the other's; its site is not.
        assert_eq!(begin_as(&mut hub, &thief, NS, Some(OTHERS)).len(), 1);
        let ack = in_silence(&mut hub, &thief);
        assert_eq!((ack.codes(), signer(&ack.bytes, &[OTHERS])), (vec![0], Some(701)));
        assert_ne!(hub.port(thief.vtep()).map(|port| port.uplink), uplink);
        begin(&mut hub, &two, NS + 1, BRANCH, 10);
        assert_eq!((members(&hub), hub.port(thief.vtep())), (1, None), "nobody was asked");
    }
}

/// While keys are rolled out, who signs nothing takes nothing from who does, and does not even have it asked.
#[test]
fn i17_who_signs_nothing_displaces_nobody_who_does() {
    let mut hub = Driven::new(hub_settings(&[key(GOLDEN)], true), 6);
    hub.input(Input::News { vn: VN, news: News::Device(Some(mac(HUB_MAC))) });
    hub.input(Input::News { vn: VN, news: News::Listed });
    hub.now = hub.now + 700 * SECOND;
    let two = client(2);
    let _ = begin(&mut hub, &two, NS, GOLDEN, 1);
    let port = hub.port(two.vtep());
    for thief in [Client { nbma: nbma("10.0.0.66"), ..two }, Client { vni: Some(vni(666)), ..two }] {
        let sent = begin_as(&mut hub, &thief, NS, None);
        assert_eq!((sent.len(), sent[0].path, sent[0].codes()), (1, thief.path(), vec![14]));
        assert!(hub.pass(10 * SECOND).is_empty());
        assert_eq!((members(&hub), hub.port(two.vtep())), (1, port));
    }
}

/// What waits for another one's answer when its key is taken out, or keys are required, waits in vain.
#[test]
fn i17_what_waits_over_a_reload_needs_a_key_as_well() {
    let two = client(2);
    let thief = Client { nbma: nbma("10.0.0.66"), ..two };
    let mut hub = keyed_hub(&[key(GOLDEN), key(NEXT)]);
    let _ = begin(&mut hub, &two, NS, GOLDEN, 1);
    assert_eq!(begin_as(&mut hub, &thief, 5, Some(NEXT)).len(), 1, "the other one is asked");
    hub.apply(hub_settings(&[key(GOLDEN)], false));
    assert!(hub.pass(10 * SECOND).is_empty());
    assert_eq!((members(&hub), hub.port(thief.vtep())), (1, None));

    let mut hub = keyed_hub(&[]);
    hub.begin(&two, NS, 1);
    assert_eq!(begin_as(&mut hub, &thief, 5, None).len(), 1);
    hub.apply(hub_settings(&[key(GOLDEN)], false));
    hub.pass(10 * SECOND);
    assert_eq!((members(&hub), hub.port(thief.vtep())), (0, None));
}

/// What no key signed is nothing new each time, has a limit, and is nobody's whom the hub has to do with.
#[test]
fn i18_a_flood_of_what_no_key_signed_is_told_once() {
    let mut hub = keyed_hub(&[key(GOLDEN)]);
    let two = client(2);
    let tags = begin(&mut hub, &two, NS, GOLDEN, 1);
    let packet = tagged(&two.registration(5), tags);
    let mut told = Vec::new();
    for spi in 1000..4000 {
        hub.input(Input::Packet {
            via: Via { path: two.path(), tag: TAG },
            nhrp: &signed(&packet, (spi, b"x")),
        });
        told.extend(hub.out.iter().filter_map(|effect| match effect {
            Effect::Odd { is_known, .. } => Some(*is_known),
            _ => None,
        }));
    }
    assert_eq!(told, [false]);
    let statistics = hub.engine.statistics();
    assert_eq!((statistics.rx_unauthenticated, statistics.rx_rate_limited), (1000, 2000));
    assert_eq!(odd(&hub), [Oddity::UnknownKey(1999)], "the last one that was looked at");
    assert_eq!(hub.ask(&two, &signed(&packet, GOLDEN)).codes(), [0], "who has a key does not notice");
}

/// A cookie is of the spoke whose key asked for it: who is on the path does not return another one's.
#[test]
fn i14_a_cookie_is_not_for_another_spokes_key() {
    let mut hub = keyed_hub(&[of_spoke(BRANCH, "branch", &[]), of_spoke(OTHERS, "other", &[])]);
    let two = client(2);
    let mut tags = Tags { sender: NS, receiver: 0 };
    let nak = hub.ask(&two, &signed(&tagged(&two.registration(1), tags), BRANCH));
    tags.receiver = nak.message().challenge().unwrap().cookie;
    let theirs = hub.ask(&two, &signed(&tagged(&two.registration(2), tags), OTHERS));
    let cookie = theirs.message().challenge().unwrap().cookie;
    assert_eq!((theirs.codes(), members(&hub)), (vec![code::PROHIBITED], 0));
    assert_ne!(cookie, tags.receiver);
    assert_eq!(hub.ask(&two, &signed(&tagged(&two.registration(2), tags), BRANCH)).codes(), [0]);
}

/// What was said by a key that is forgotten by now is not said again.
#[test]
fn i17_nothing_is_sent_by_a_key_that_is_nowhere() {
    let mut hub = keyed_hub(&[key(GOLDEN), key(NEXT)]);
    let two = client(2);
    let _ = begin(&mut hub, &two, NS, GOLDEN, 1);
    hub.apply(hub_settings(&[key(NEXT)], false));
    assert_eq!(signer(&hub.one().bytes, &[GOLDEN]), Some(256));
    assert_eq!(signer(&hub.pass(SECOND)[0].bytes, &[GOLDEN]), Some(256), "once more");
    hub.apply(hub_settings(&[key(NEXT), key((258, b"one more key...."))], false));
    assert!(hub.pass(60 * SECOND).is_empty());
}

/// A hub that was started anew tells those whose ports it found, by a key that they may have.
#[test]
fn i13_a_restarted_hub_is_believed() {
    let settings = hub_settings(&[of_spoke(OTHERS, "other", &["10.0.0.9"]), key(GOLDEN)], false);
    let mut hub = Driven::new(settings, 6);
    hub.input(Input::News { vn: VN, news: News::Device(Some(mac(HUB_MAC))) });
    let two = client(2);
    let port = found_port(0x80_0077, 600);
    hub.input(Input::News { vn: VN, news: News::FoundPort { spoke: two.vtep(), port } });
    hub.input(Input::News { vn: VN, news: News::Listed });
    let mut told = hub.sent();
    told.extend(hub.pass(SECOND));
    assert_eq!(
        (told[0].header().kind, told[0].message().tags()),
        (Kind::PurgeRequest, Some(Tags::default()))
    );
    assert_eq!(signer(&told[0].bytes, &[GOLDEN]), Some(256));
    let (mut spoke, _) = spoke_in_session(&[GOLDEN]);
    let before = spoke.engine.statistics().tx_register_req;
    let hint = signed(&tagged(&purge(0, 0xff, None), Tags::default()), GOLDEN);
    spoke.hear_from_hub(&hint);
    spoke.pass(SECOND);
    assert!(spoke.engine.statistics().tx_register_req > before);
}

/// A key that is taken away is so after a restart, too: its port goes, as it would upon a reload; and who is nobody by any
/// key has not more time than it takes to register.
#[test]
fn i13_a_restarted_hub_keeps_no_port_of_a_key_that_is_out() {
    let mut hub = keyed_hub(&[key(GOLDEN), key(NEXT)]);
    let two = client(2);
    let tags = begin(&mut hub, &two, NS, GOLDEN, 1);
    assert_eq!(hub.port(two.vtep()).and_then(|port| port.key), Some(GOLDEN.0));
    let next = signed(&tagged(&two.registration(9), tags), NEXT);
    hub.input(Input::Packet { via: dmevpn::engine::Via { path: two.path(), tag: TAG }, nhrp: &next });
    let port = hub.port(two.vtep()).unwrap();
    assert_eq!(port.key, Some(NEXT.0));
    let restarted = |keys: &[KeySettings], is_optional, port| {
        let mut hub = Driven::new(hub_settings(keys, is_optional), 6);
        hub.input(Input::News { vn: VN, news: News::Device(Some(mac(HUB_MAC))) });
        hub.input(Input::News { vn: VN, news: News::FoundPort { spoke: two.vtep(), port } });
        hub
    };
    let kept = |hub: &Driven| hub.engine.peers(hub.now, VN, None, 1).first().map(|peer| peer.left);
    for is_optional in [false, true] {
        let hub = restarted(&[key(GOLDEN)], is_optional, port);
        assert_eq!((members(&hub), hub.port(two.vtep())), (0, None));
        assert_eq!(hub.changed().collect::<Vec<_>>(), [dmevpn::engine::Item::Port(two.vtep())]);
    }
    // The one that it is bound to may not be there.
    let elsewhere = restarted(&[of_spoke(NEXT, "branch", &["10.0.0.9"])], false, port);
    assert_eq!(members(&elsewhere), 0);
    let mut hub = restarted(&[of_spoke(GOLDEN, "one", &["10.0.0.2"]), key(NEXT)], false, port);
    assert_eq!(kept(&hub), Some(600));
    hub.input(Input::News { vn: VN, news: News::Listed });
    let told = hub.pass(SECOND);
    assert_eq!(signer(&told[0].bytes, &[NEXT]), Some(NEXT.0), "by its own key");
    let unknown = Port { key: None, ..port };
    assert_eq!(kept(&restarted(&[key(NEXT)], false, unknown)), Some(300));
    assert_eq!(kept(&restarted(&[key(NEXT)], true, unknown)), Some(600));
    assert_eq!(kept(&restarted(&[], false, port)), Some(600), "open to everybody");
    // Who registered an IP address signs nothing.
    let ours = dmevpn::engine::Path { local: nbma("10.0.0.1"), remote: nbma("10.0.0.8") };
    let client = dmevpn::engine::IpClient {
        address: "192.0.2.8".parse().unwrap(),
        path: ours,
        mode: VpnMode::Llc,
        unique: false,
        mtu: 0,
        granted: 600,
    };
    for is_optional in [false, true] {
        let mut hub = Driven::new(hub_settings(&[key(GOLDEN)], is_optional), 6);
        hub.input(Input::News { vn: VN, news: News::FoundClient(client) });
        assert_eq!(hub.engine.ip_clients(VN).count(), usize::from(is_optional));
    }
}

/// An address of the hub's has three tries with each key before the next one has its turn, and says what may be wrong.
#[test]
fn i18_a_hub_that_knows_no_key_is_silent_and_the_spoke_says_so() {
    let mut spoke = Driven::starting(spoke_settings(&[GOLDEN, NEXT]), 1);
    let (mut tries, mut sought, mut told) = (1, None, None);
    while sought.is_none() && tries < 20 {
        spoke.now = spoke.engine.deadline().unwrap();
        spoke.input(Input::Tick);
        tries += spoke.sent().len();
        sought = spoke.out.iter().find(|e| matches!(e, Effect::FindHub { .. })).map(|_| tries);
        told = told.or(spoke.told(&Event::NoAnswer { hub: nbma("10.0.0.1"), signed: true }).then_some(tries));
    }
    assert_eq!((sought, told), (Some(7), Some(7)));
}

/// What is signed comes from anywhere, since nothing in front of it is: a refusal of a copy would be one of the site itself.
#[test]
fn i14_a_copy_from_elsewhere_gets_no_answer() {
    let mut hub = keyed_hub(&[key(GOLDEN)]);
    let two = client(2);
    let tags = begin(&mut hub, &two, NS, GOLDEN, 1);
    for packet in [two.registration(3), two.question(4, address(STATION)), two.purge(5, 0, &[two.source])] {
        let copy = signed(&tagged(&packet, tags), GOLDEN);
        assert!(hub.hear(from(nbma("10.0.0.77")), TAG, &copy).is_empty());
    }
    assert_eq!((members(&hub), hub.engine.statistics().rx_wrong_tags), (1, 3));
    // Who is not in yet is told that there is NAT between.
    let three = client(3);
    let first = signed(&tagged(&three.registration(1), Tags { sender: 7, receiver: 0 }), GOLDEN);
    let sent = hub.hear(from(nbma("10.0.0.77")), TAG, &first);
    assert_eq!((sent.len(), sent[0].codes()), (1, vec![code::PROHIBITED]));
}
