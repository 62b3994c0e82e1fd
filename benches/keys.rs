//! What sessions and keys cost a hub of a thousand spokes, one packet after the other: `cargo bench --bench keys`.

use dmevpn::engine::settings::{Algorithm, KeySettings, KeyText, KeysSettings, Settings, VpnMode};
use dmevpn::engine::{Input, News, Via};
use dmevpn::types::Mac as MacAddress;
use dmevpn::wire::MAX_NHRP;
use dmevpn::wire::nhrp::{DIGEST, Message, ProtocolAddress, Tags, Writer, kind};
use drive::{Client, Driven, HUB_MAC, Part, TAG, VN, hub_role, mac, nbma, settings, tagged, vni};
use hmac::{Hmac, KeyInit, Mac};
use std::hint::black_box;
use std::time::{Duration, Instant};

#[path = "../tests/drive/mod.rs"]
mod drive;

const SPOKES: u32 = 1000;
const ROUNDS: u32 = 20;
const SPI: u16 = 256;
const SECRET: &[u8] = b"0123456789abcdef";

fn client(n: u32) -> Client {
    let [_, _, a, b] = n.to_be_bytes();
    let source = ProtocolAddress::Mac(MacAddress::new([0x2e, 0, 0, 1, a, b]).unwrap());
    Client { nbma: nbma(&format!("10.1.{a}.{b}")), vni: Some(vni(100)), source }
}

fn digest(algorithm: Algorithm, packet: &[u8]) -> [u8; DIGEST] {
    fn first<M: Mac + KeyInit>(packet: &[u8]) -> [u8; DIGEST] {
        let hash = <M as KeyInit>::new_from_slice(SECRET).unwrap().chain_update(packet);
        *hash.finalize().into_bytes().first_chunk().unwrap()
    }
    match algorithm {
        Algorithm::HmacSha256 => first::<Hmac<sha2::Sha256>>(packet),
        Algorithm::HmacMd5 => first::<Hmac<md5::Md5>>(packet),
    }
}

/// The packet as a spoke sends it that signs, or does not.
fn signed(octets: Vec<u8>, by: Option<Algorithm>) -> Vec<u8> {
    let Some(algorithm) = by else { return octets };
    let message = Message::parse(&octets).unwrap();
    let mut buf = vec![0; MAX_NHRP];
    let mut writer = Writer::new(&mut buf, &message.header);
    message.cies().for_each(|cie| {
        writer.cie(&cie);
    });
    message.extensions().filter(|e| e.kind != kind::AUTHENTICATION).for_each(|extension| {
        writer.extension(extension);
    });
    let len = writer.finish_signed(SPI, None, |packet| digest(algorithm, packet)).unwrap();
    buf.truncate(len);
    buf
}

fn hub_settings(by: Option<Algorithm>) -> Settings {
    let mut settings = settings(Part::Hub(hub_role()), VpnMode::Llc);
    let key = |algorithm| KeySettings {
        name: "key".to_owned(),
        spi: SPI,
        algorithm,
        secret: KeyText::new(SECRET.to_vec()),
        spoke: None,
    };
    if let Some(vn) = settings.vns.get_mut(&VN) {
        vn.keys = KeysSettings { keys: by.map(key).into_iter().collect(), is_optional: false };
    }
    settings
}

/// Microseconds for one registration that is refreshed, and one question that is answered.
#[expect(clippy::disallowed_methods, reason = "a benchmark looks at the watch")]
fn measure(in_session: bool, by: Option<Algorithm>) -> [f64; 2] {
    let mut hub = Driven::new(hub_settings(by), 6);
    hub.input(Input::News { vn: VN, news: News::Device(Some(mac(HUB_MAC))) });
    hub.input(Input::News { vn: VN, news: News::Listed });
    hub.now = hub.now + Duration::from_secs(700);
    let clients: Vec<Client> = (0..SPOKES).map(client).collect();
    let begin = |hub: &mut Driven, n: u64, client: &Client| {
        if !in_session {
            hub.ask(client, &client.registration(2));
            return None;
        }
        let mut tags = Tags { sender: n + 1, receiver: 0 };
        let nak = hub.ask(client, &signed(tagged(&client.registration(1), tags), by));
        tags.receiver = nak.message().challenge().expect("a cookie").cookie;
        hub.now = hub.now + Duration::from_millis(5);
        hub.ask(client, &signed(tagged(&client.registration(2), tags), by));
        Some(tags)
    };
    let all: Vec<(Client, Option<Tags>)> = clients
        .iter()
        .zip(0..)
        .map(|(client, n)| {
            hub.now = hub.now + Duration::from_millis(5);
            (*client, begin(&mut hub, n, client))
        })
        .collect();
    assert_eq!(hub.engine.peers(hub.now, VN, None, usize::MAX).len(), SPOKES as usize);
    let written = |octets: Vec<u8>, tags: &Option<Tags>| match tags {
        Some(tags) => signed(tagged(&octets, *tags), by),
        None => octets,
    };
    let mut time = |packet: &dyn Fn(&Client, u32) -> Vec<u8>| {
        let mut total = Duration::ZERO;
        for round in 0..ROUNDS {
            let packets: Vec<_> = all
                .iter()
                .map(|(client, tags)| (*client, written(packet(client, 3 + round), tags)))
                .collect();
            let start = Instant::now();
            for (client, nhrp) in &packets {
                hub.now = hub.now + Duration::from_millis(1);
                hub.input(Input::Packet { via: Via { path: client.path(), tag: TAG }, nhrp });
                assert!(!black_box(&hub.out).is_empty());
            }
            total += start.elapsed();
        }
        total.as_secs_f64() * 1e6 / f64::from(ROUNDS * SPOKES)
    };
    let register = time(&|client, id| client.registration(id));
    let wanted = clients[7].source;
    let resolve = time(&|client, id| client.question(100 + id, wanted));
    [register, resolve]
}

fn main() {
    let rows = [
        ("open, no sessions", false, None),
        ("sessions", true, None),
        ("sessions, HMAC-SHA-256", true, Some(Algorithm::HmacSha256)),
        ("sessions, HMAC-MD5", true, Some(Algorithm::HmacMd5)),
    ];
    for (what, in_session, by) in rows {
        let [register, resolve] = measure(in_session, by);
        println!(
            "{what:<24} registrations {:>8.0}/s {register:>6.2} us   resolutions {:>8.0}/s {resolve:>6.2} us",
            1e6 / register,
            1e6 / resolve
        );
    }
}
