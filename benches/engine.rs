//! What a hub with ten thousand bindings does in a second, next to only reading and writing the same packets:
//! `cargo bench --bench engine`.

use dmevpn::engine::{Effect, Input, News, Outcome, Via};
use dmevpn::types::Mac;
use dmevpn::wire::MAX_NHRP;
use dmevpn::wire::nhrp::{Kind, Message, ProtocolAddress, Writer};
use drive::{Client, Driven, TAG, VN, nbma, vni};
use std::hint::black_box;
use std::time::{Duration, Instant};

#[path = "../tests/drive/mod.rs"]
mod drive;

const SPOKES: u32 = 10_000;

fn client(n: u32) -> Client {
    let [_, _, a, b] = n.to_be_bytes();
    Client {
        nbma: nbma(&format!("10.1.{a}.{b}")),
        vni: Some(vni(100)),
        source: ProtocolAddress::Mac(Mac::new([0x2e, 0, 0, 1, a, b]).unwrap()),
    }
}

/// Nanoseconds per call of `call`, over all `packets`.
#[expect(clippy::disallowed_methods, reason = "a benchmark looks at the watch")]
fn measure<T>(rounds: u32, packets: &[T], mut call: impl FnMut(&T)) -> f64 {
    let start = Instant::now();
    for _ in 0..rounds {
        packets.iter().for_each(&mut call);
    }
    start.elapsed().as_nanos() as f64 / f64::from(rounds) / packets.len() as f64
}

/// The least that can be done: reads the request, and writes it back as its reply.
fn codec(packet: &[u8], kind: Kind, buf: &mut [u8]) {
    let message = Message::parse(packet).unwrap();
    let mut writer = Writer::new(buf, &message.header.reply(kind));
    message.cies().for_each(|cie| {
        writer.cie(&cie);
    });
    message.extensions().for_each(|extension| {
        writer.extension(extension);
    });
    black_box(writer.finish());
}

fn report(what: &str, engine: f64, codec: f64) {
    let rate = 1e9 / engine;
    println!(
        "{what:<24} {rate:>9.0}/s {engine:>7.0} ns  {:>5.1} times the codec's {codec:.0} ns",
        engine / codec
    );
}

fn main() {
    let mut hub = Driven::hub();
    let mut buf = vec![0; MAX_NHRP];
    let clients: Vec<Client> = (0..SPOKES).map(client).collect();
    let registrations: Vec<(Client, Vec<u8>)> = clients.iter().map(|c| (*c, c.registration(1))).collect();
    // Each asks for the spoke after the next.
    let questions: Vec<(Client, Vec<u8>)> = clients
        .iter()
        .zip(clients.iter().cycle().skip(2))
        .map(|(c, wanted)| (*c, c.question(2, wanted.source)))
        .collect();
    let least = |packets: &[(Client, Vec<u8>)], kind, buf: &mut [u8]| {
        measure(5, packets, |(_, packet)| codec(packet, kind, buf))
    };
    let register = least(&registrations, Kind::RegistrationReply, &mut buf);
    let resolve = least(&questions, Kind::ResolutionReply, &mut buf);

    // Strangers share a rate limit: time passes.
    let new = measure(1, &registrations, |(client, nhrp)| {
        hub.now = hub.now + Duration::from_millis(2);
        hub.input(Input::Packet { via: Via { path: client.path(), tag: TAG }, nhrp });
        let spoke = hub.port_asked_for().expect("a new spoke needs a port");
        hub.input(Input::News { vn: VN, news: News::Became { spoke, outcome: Outcome::Made } });
        assert!(hub.out.iter().any(|e| matches!(e, Effect::Send { .. })));
    });
    report("registrations, new", new, register);
    for (what, packets, least) in
        [("registrations, refresh", &registrations, register), ("resolutions", &questions, resolve)]
    {
        let engine = measure(5, packets, |(client, nhrp)| {
            hub.now = hub.now + Duration::from_millis(1);
            hub.input(Input::Packet { via: Via { path: client.path(), tag: TAG }, nhrp });
            assert!(!black_box(&hub.out).is_empty());
        });
        report(what, engine, least);
    }
    assert_eq!(hub.engine.peers(hub.now, VN, None, usize::MAX).len(), SPOKES as usize);
    assert_eq!(hub.engine.statistics().rx_rate_limited, 0);
}
