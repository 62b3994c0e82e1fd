//! What reading and writing a packet costs, next to copying its octets and summing them up, which is the least
//! that can be done: `cargo bench --bench codec`.

use dmevpn::types::{Mac, Nbma, Vni};
use dmevpn::wire::MAX_NHRP;
use dmevpn::wire::nhrp::{
    Cie, Extension, Header, Kind, Message, Protocol, ProtocolAddress, Writer, checksum, flag, kind,
};
use std::hint::black_box;
use std::time::{Duration, Instant};

#[path = "../tests/golden/mod.rs"]
mod golden;

/// Nanoseconds per call: the best of several rounds, as whatever else runs only ever adds to it.
#[expect(clippy::disallowed_methods, reason = "a benchmark looks at the watch")]
fn measure(rounds: u32, mut call: impl FnMut()) -> f64 {
    const ROUND: Duration = Duration::from_millis(20);
    let mut best = f64::INFINITY;
    for _ in 0..rounds {
        let start = Instant::now();
        let mut calls = 0;
        while start.elapsed() < ROUND {
            for _ in 0..1000 {
                call();
            }
            calls += 1000;
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(calls));
    }
    best
}

/// Reads all of a packet.
fn parse(packet: &[u8]) {
    let message = Message::parse(packet).unwrap();
    for cie in message.cies() {
        black_box(cie);
    }
    for extension in message.extensions() {
        black_box(extension);
    }
    black_box(message.header);
}

fn mac(last: u8) -> Option<ProtocolAddress> {
    Mac::new([2, 0, 0, 0, 0, last]).map(ProtocolAddress::Mac)
}

/// A packet as large as frame A (a Registration Request) or, with `answer`, as frame D (a Resolution Reply).
fn emit(buf: &mut [u8], nbma: Nbma, answer: bool) -> usize {
    let header = Header {
        kind: if answer { Kind::ResolutionReply } else { Kind::RegistrationRequest },
        protocol: Protocol::Ethernet,
        hop_count: 16,
        flags: flag::REGISTRATION_UNIQUE,
        request_id: 1,
        nbma,
        vni: Vni::new(100),
        source: mac(2),
        destination: mac(2),
    };
    let registered = Cie { prefix: 0xff, mtu: 1450, holding: 600, ..Cie::default() };
    let mut writer = Writer::new(buf, &header);
    if answer {
        let station = Cie { nbma: Some(nbma), vni: Vni::new(101), address: mac(11), ..registered };
        let hub = Cie { nbma: Some(nbma), address: mac(1), ..registered };
        writer.cie(&station).extension_cie(kind::RESPONDER, true, &hub);
    } else {
        writer.cie(&registered).extension(Extension::empty(kind::RESPONDER));
    }
    writer
        .extension(Extension::empty(kind::FORWARD_TRANSIT))
        .extension(Extension::empty(kind::REVERSE_TRANSIT));
    if answer {
        writer.extension(Extension::capabilities(&[0, 0, 0, 1, 0, 0, 0, 1]));
    }
    writer.finish().unwrap()
}

fn main() {
    // Without `--bench` (`cargo test --all-targets`) it is enough to see that it runs.
    let rounds = if std::env::args().any(|a| a == "--bench") { 12 } else { 1 };
    let nbma: Nbma = "10.0.0.2".parse().unwrap();
    println!(
        "{:<22} {:>9} {:>9} {:>9} {:>7} {:>7}",
        "frame", "base ns", "parse ns", "emit ns", "parse x", "emit x"
    );
    for (name, hex, answer) in [("A registration", golden::A, false), ("D resolution reply", golden::D, true)]
    {
        let frame = golden::octets(hex);
        let mut buf = [0; MAX_NHRP];
        assert_eq!(emit(&mut buf, nbma, answer), frame.len());
        let base = measure(rounds, || {
            buf[..frame.len()].copy_from_slice(black_box(&frame));
            black_box(checksum(black_box(&buf[..frame.len()])));
        });
        let read = measure(rounds, || parse(black_box(&frame)));
        let written = measure(rounds, || {
            black_box(emit(black_box(&mut buf), black_box(nbma), answer));
        });
        let (per_read, per_written) = (read / base, written / base);
        println!("{name:<22} {base:>9.1} {read:>9.1} {written:>9.1} {per_read:>7.1} {per_written:>7.1}");
    }

    // The worst a sender can do: as many different extensions as fit, each of which is looked for among the others.
    let mut buf = [0; MAX_NHRP];
    let header = Header {
        kind: Kind::PurgeRequest,
        protocol: Protocol::Ethernet,
        hop_count: 16,
        flags: 0,
        request_id: 1,
        nbma,
        vni: None,
        source: None,
        destination: None,
    };
    let many = (MAX_NHRP - 36) / 4;
    let mut writer = Writer::new(&mut buf, &header);
    for kind in (0x1000..).take(many) {
        writer.extension(Extension { kind, compulsory: false, value: &[] });
    }
    let len = writer.finish().unwrap();
    let base = measure(rounds, || {
        black_box(checksum(black_box(&buf[..len])));
    });
    let read = measure(rounds.min(2), || parse(black_box(&buf[..len])));
    println!("{:<22} {base:>9.1} {read:>9.1} {:>9} {:>7.1}", format!("{many} extensions"), "", read / base);
}
