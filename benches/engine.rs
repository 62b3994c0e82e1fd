//! What a hub does in a second with so many bindings: `cargo bench --bench engine`. Without a kernel, and next to only reading
//! and writing the same packets. What trust costs is told as a ratio to none.

use dmevpn::engine::settings::{Algorithm, KeySettings, KeyText, KeysSettings, ServerSettings, VpnMode};
use dmevpn::engine::{Event, Input, News, Outcome, Path, Place, Via};
use dmevpn::types::Mac;
use dmevpn::wire::MAX_NHRP;
use dmevpn::wire::nhrp::{DIGEST, Kind, Message, ProtocolAddress, Tags, Writer, kind};
use drive::{
    Client, Driven, HUB_MAC, Part, Sent, TAG, VN, hub_role, mac, nbma, settings, tagged, vni, write,
};
use std::hint::black_box;
use std::time::{Duration, Instant};

#[path = "../tests/drive/mod.rs"]
mod drive;

/// Bindings: of ten one is registered by its site, and nine are learned behind it.
const SIZES: [u32; 4] = [100, 1000, 10_000, 100_000];
const A_SITE: u32 = 10;
/// Calls that are measured, and how often: the best counts.
const CALLS: u32 = 10_000;
const ROUNDS: usize = 5;

/// What speaks for who sends.
#[derive(Clone, Copy)]
enum Mode {
    /// Nothing: `untagged_l2`.
    Open,
    Sessions,
    /// A key for all.
    Sha256,
    Md5,
}

const MODES: [Mode; 4] = [Mode::Open, Mode::Sessions, Mode::Sha256, Mode::Md5];
const SPI: u16 = 256;
const SECRET: &[u8] = b"0123456789abcdef";

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Mode::Open => "open",
            Mode::Sessions => "sessions",
            Mode::Sha256 => "SHA-256",
            Mode::Md5 => "MD5",
        }
    }

    fn algorithm(self) -> Option<Algorithm> {
        match self {
            Mode::Open | Mode::Sessions => None,
            Mode::Sha256 => Some(Algorithm::HmacSha256),
            Mode::Md5 => Some(Algorithm::HmacMd5),
        }
    }

    fn keys(self) -> KeysSettings {
        let key = |algorithm| {
            let secret = KeyText::new(SECRET.to_vec());
            KeySettings { name: "all".into(), spi: SPI, algorithm, secret, spoke: None }
        };
        KeysSettings { keys: self.algorithm().map(key).into_iter().collect(), is_optional: false }
    }

    /// The same packet, signed where it has to be.
    fn signs(self, octets: Vec<u8>) -> Vec<u8> {
        let Some(algorithm) = self.algorithm() else { return octets };
        let message = Message::parse(&octets).unwrap();
        let mut buf = vec![0; MAX_NHRP];
        let mut writer = Writer::new(&mut buf, &message.header);
        message.cies().for_each(|cie| {
            writer.cie(&cie);
        });
        message.extensions().filter(|extension| extension.kind != kind::AUTHENTICATION).for_each(
            |extension| {
                writer.extension(extension);
            },
        );
        let digest = |packet: &[u8]| match algorithm {
            Algorithm::HmacSha256 => digest::<hmac::Hmac<sha2::Sha256>>(packet),
            Algorithm::HmacMd5 => digest::<hmac::Hmac<md5::Md5>>(packet),
        };
        let len = writer.finish_signed(SPI, None, digest).expect("it fits");
        buf.truncate(len);
        buf
    }

    fn role(self) -> ServerSettings {
        let untagged_l2 = matches!(self, Mode::Open);
        ServerSettings { untagged_l2, max_macs: 200_000, ..hub_role() }
    }
}

/// A keyed hash of a packet in which checksum and digest are zero.
fn digest<H: hmac::Mac + hmac::KeyInit>(packet: &[u8]) -> [u8; DIGEST] {
    let mut packet = packet.to_vec();
    packet[12..14].fill(0);
    let end = packet.len() - 4;
    packet[end - DIGEST..end].fill(0);
    let hash = <H as hmac::KeyInit>::new_from_slice(SECRET).unwrap().chain_update(&packet);
    *hash.finalize().into_bytes().first_chunk().unwrap()
}

/// A client, and what it says of itself in each packet.
#[derive(Clone, Copy)]
struct Talker {
    client: Client,
    tags: Option<Tags>,
}

impl Talker {
    fn new(n: u32) -> Talker {
        let [_, _, a, b] = n.to_be_bytes();
        let source = ProtocolAddress::Mac(Mac::new([0x2e, 0, 0, 1, a, b]).unwrap());
        let client = Client { nbma: nbma(&format!("10.1.{a}.{b}")), vni: Some(vni(100)), source };
        Talker { client, tags: None }
    }

    /// What it sends.
    fn says(&self, mode: Mode, octets: Vec<u8>) -> Vec<u8> {
        mode.signs(self.tags.map_or_else(|| octets.clone(), |tags| tagged(&octets, tags)))
    }

    /// It registers for the first time, and has its port then.
    fn registers(&mut self, hub: &mut Driven, mode: Mode, watch: &mut Watch) {
        if !matches!(mode, Mode::Open) {
            let tags = Tags { sender: 1 << 40 | u64::from(vni_of(self)), receiver: 0 };
            let nak = self.asks(hub, &mode.signs(tagged(&self.client.registration(1), tags)), watch);
            let cookie = nak.message().challenge().expect("a cookie").cookie;
            self.tags = Some(Tags { receiver: cookie, ..tags });
        }
        let request = self.says(mode, self.client.registration(2));
        watch.call(hub, packet(self.client.path(), &request));
        let spoke = hub.port_asked_for().expect("a new spoke needs a port");
        watch.call(hub, Input::News { vn: VN, news: News::Became { spoke, outcome: Outcome::Made } });
        assert_eq!(hub.one().codes(), [0]);
    }

    fn asks(&self, hub: &mut Driven, octets: &[u8], watch: &mut Watch) -> Sent {
        watch.call(hub, packet(self.client.path(), octets));
        hub.one()
    }
}

fn vni_of(talker: &Talker) -> u32 {
    match talker.client.source {
        ProtocolAddress::Mac(mac) => u32::from_be_bytes(mac.octets()[2..].try_into().unwrap_or_default()),
        ProtocolAddress::Ip(_) => 0,
    }
}

fn packet(path: Path, nhrp: &[u8]) -> Input<'_> {
    Input::Packet { via: Via { path, tag: TAG }, nhrp }
}

/// Measures calls of the engine, lap by lap. The median counts: the machine does other things, too.
#[derive(Default)]
struct Watch {
    lap: Duration,
    laps: Vec<Duration>,
}

impl Watch {
    #[expect(clippy::disallowed_methods, reason = "a benchmark looks at the watch")]
    fn call(&mut self, hub: &mut Driven, input: Input<'_>) {
        let start = Instant::now();
        hub.input(input);
        self.lap += start.elapsed();
    }

    /// So much was done since the last one.
    fn done(&mut self, count: usize) {
        if let Ok(count @ 1..) = u32::try_from(count) {
            self.laps.push(std::mem::take(&mut self.lap) / count);
        }
    }

    /// In nanoseconds.
    fn median(mut self) -> f64 {
        self.laps.sort_unstable();
        self.laps.get(self.laps.len() / 2).map_or(f64::INFINITY, |lap| lap.as_nanos() as f64)
    }
}

/// A hub, its spokes, and the stations that are behind them.
struct World {
    mode: Mode,
    hub: Driven,
    talkers: Vec<Talker>,
    stations: u32,
    /// How often all stations moved.
    moves: u32,
    id: u32,
}

fn station(n: u32) -> ProtocolAddress {
    let [a, b, c, d] = n.to_be_bytes();
    ProtocolAddress::Mac(Mac::new([0x52, 0x54, a, b, c, d]).unwrap())
}

impl World {
    fn new(mode: Mode) -> World {
        let mut settings = settings(Part::Hub(mode.role()), VpnMode::Llc);
        settings.vns.get_mut(&VN).expect("it is there").keys = mode.keys();
        let mut hub = Driven::new(settings, 6);
        hub.input(Input::News { vn: VN, news: News::Device(Some(mac(HUB_MAC))) });
        hub.input(Input::News { vn: VN, news: News::Listed });
        // Nobody is there who may hold what was said before a reboot.
        hub.now = hub.now + Duration::from_secs(700);
        World { mode, hub, talkers: Vec::new(), stations: 0, moves: 0, id: 10 }
    }

    /// So many spokes come; the time that one took.
    fn comes(&mut self, spokes: u32) -> f64 {
        let mut watch = Watch::default();
        for n in 0..spokes {
            self.hub.now = self.hub.now + Duration::from_millis(2);
            let mut talker = Talker::new(n);
            talker.registers(&mut self.hub, self.mode, &mut watch);
            self.talkers.push(talker);
            watch.done(1);
        }
        watch.median()
    }

    /// So many stations are heard.
    fn hears(&mut self, stations: u32) {
        self.stations = stations;
        for n in 0..stations {
            let home = self.place(n, 0).client;
            self.hub.learn(&home, station(n));
        }
    }

    /// The spoke that a station is behind now, or `after` so many further moves.
    fn place(&self, n: u32, after: u32) -> &Talker {
        &self.talkers[((n + self.moves + after) as usize) % self.talkers.len()]
    }

    /// The only one that asks for it.
    fn asker(&self, n: u32) -> &Talker {
        self.place(n, 3)
    }

    /// Measures so many packets. Time passes, since clients have rate limits.
    fn each(&mut self, count: u32, say: impl Fn(&World, u32) -> (Talker, Vec<u8>)) -> (f64, Vec<Vec<u8>>) {
        let mut watch = Watch::default();
        let mut packets = Vec::new();
        for n in 0..count {
            self.hub.now = self.hub.now + Duration::from_millis(1);
            self.id += 1;
            let (talker, octets) = say(self, n);
            watch.call(&mut self.hub, packet(talker.client.path(), &octets));
            assert!(!black_box(&self.hub.out).is_empty());
            packets.push(octets);
            watch.done(1);
        }
        (watch.median(), packets)
    }

    fn refreshes(&mut self) -> (f64, Vec<Vec<u8>>) {
        self.each(CALLS, |world, n| {
            let talker = world.talkers[n as usize % world.talkers.len()];
            (talker, talker.says(world.mode, talker.client.registration(world.id)))
        })
    }

    fn questions(&mut self) -> (f64, Vec<Vec<u8>>) {
        self.each(CALLS, |world, n| {
            let n = n % world.stations;
            let talker = *world.asker(n);
            (talker, talker.says(world.mode, talker.client.question(world.id, station(n))))
        })
    }

    /// Stations move of which an answer is held; the time for each Purge Request and its confirmation, and of whatever else
    /// that takes.
    fn purges(&mut self) -> (f64, Vec<Vec<u8>>) {
        let count = self.stations.min(CALLS);
        let (mut watch, mut packets) = (Watch::default(), Vec::new());
        for n in 0..count {
            self.hub.now = self.hub.now + Duration::from_millis(1);
            let ProtocolAddress::Mac(mac) = station(n) else { continue };
            let place = Place::At(self.place(n, 1).client.vtep());
            watch.call(&mut self.hub, Input::News { vn: VN, news: News::Fdb { mac, place } });
            assert!(!self.hub.told(&Event::Restless { mac, from: None, to: None }));
            let purges = self.hub.sent();
            for purge in &purges {
                let message = purge.message();
                let reply = self.mode.signs(write(&purge.header().reply(Kind::PurgeReply), |w| {
                    message.cies().for_each(|cie| {
                        w.cie(&cie);
                    });
                    message.extensions().for_each(|extension| {
                        w.extension(extension);
                    });
                }));
                watch.call(&mut self.hub, packet(purge.path, &reply));
                packets.push(reply);
            }
            watch.done(purges.len());
        }
        self.moves += 1;
        (watch.median(), packets)
    }
}

/// The least that can be done: reads each, and writes it as its reply.
#[expect(clippy::disallowed_methods, reason = "a benchmark looks at the watch")]
fn codec(packets: &[Vec<u8>], kind: Kind) -> f64 {
    let (mut buf, mut watch) = (vec![0; MAX_NHRP], Watch::default());
    for octets in packets {
        let start = Instant::now();
        let message = Message::parse(octets).unwrap();
        let mut writer = Writer::new(&mut buf, &message.header.reply(kind));
        message.cies().for_each(|cie| {
            writer.cie(&cie);
        });
        message.extensions().for_each(|extension| {
            writer.extension(extension);
        });
        black_box(writer.finish());
        watch.lap += start.elapsed();
        watch.done(1);
    }
    watch.median()
}

/// What is measured, and what kind its replies are of.
const ROWS: [(&str, Kind); 4] = [
    ("registrations, new", Kind::RegistrationReply),
    ("registrations, refresh", Kind::RegistrationReply),
    ("resolutions", Kind::ResolutionReply),
    ("purges", Kind::PurgeReply),
];

/// Nanoseconds of each row: by the engine, and by the codec alone.
type Times = [(f64, f64); ROWS.len()];

fn measure(mode: Mode, bindings: u32, best: &mut Times) {
    let spokes = bindings / A_SITE;
    let mut better = |row: usize, engine: f64, codec: f64| {
        best[row] = (best[row].0.min(engine), best[row].1.min(codec));
    };
    // Small ones come several times.
    let mut world = World::new(mode);
    let first = world.comes(spokes);
    better(0, first, f64::INFINITY);
    for _ in 0..CALLS / 10 / spokes {
        better(0, World::new(mode).comes(spokes), f64::INFINITY);
    }
    world.hears(bindings - spokes);
    for (row, run) in
        [(1, World::refreshes as fn(&mut World) -> _), (2, World::questions), (3, World::purges)]
    {
        let (engine, packets): (f64, Vec<Vec<u8>>) = run(&mut world);
        better(row, engine, codec(&packets, ROWS[row].1));
    }
    best[0].1 = best[1].1;
    assert_eq!(world.hub.engine.peers(world.hub.now, VN, None, usize::MAX).len(), spokes as usize);
    assert_eq!(world.hub.engine.statistics().rx_rate_limited, 0);
}

fn main() {
    println!(
        "{:<24} {:>8} {:<10} {:>10} {:>9}  {:>6}  {:>7}",
        "", "bindings", "", "a second", "ns", "x open", "x codec"
    );
    for bindings in SIZES {
        let mut all = [[(f64::INFINITY, f64::INFINITY); ROWS.len()]; MODES.len()];
        for _ in 0..ROUNDS {
            for (mode, best) in MODES.iter().zip(&mut all) {
                measure(*mode, bindings, best);
            }
        }
        for (row, (what, _)) in ROWS.iter().enumerate() {
            for (mode, times) in MODES.iter().zip(&all) {
                let (engine, codec) = times[row];
                let ratio = engine / all[0][row].0;
                println!(
                    "{what:<24} {bindings:>8} {:<10} {:>10.0} {engine:>9.0}  {ratio:>6.2}  {:>7.1}",
                    mode.name(),
                    1e9 / engine,
                    engine / codec
                );
            }
        }
    }
}
