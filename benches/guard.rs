//! What the guard of a hub costs: frames a second that a hub's bridge hands from one spoke to another, with a guard of 0,
//! 10 and 1000 pairs, beside none. Needs root and iproute2.
//!
//! Sender and hub are one thread to the kernel, so the sender's own work is in what is measured, as the forwarding is. What
//! counts is the thread's processor time: others may be busy. All variants are measured in turn, many times and shortly,
//! and each time one without a guard is beside them; the medians of the ratios are told.

#[path = "../tests/lab/mod.rs"]
mod lab;

use dmevpn::shell::netlink::{Admission, Gate, Scope};
use lab::netns::Netns;
use lab::scenes::frame;
use lab::{Res, mac, sys};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

/// How often each variant is measured, and by how many frames.
const ROUNDS: usize = 60;
const FRAMES: usize = 3000;
/// What the kernel still has to do for a table that is made or gone is over after this.
const REST: Duration = Duration::from_millis(10);

/// Octets of the frames.
const SIZES: [usize; 2] = [64, 1400];
/// So many pairs may send; none: there is no guard.
const VARIANTS: [Option<u32>; 4] = [None, Some(0), Some(10), Some(1000)];

const PORT: u16 = 4789;
const HUB: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const SPOKE: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const UPLINK: u32 = 0x10_0001;

fn main() {
    // `cargo test --all-targets` has no `--bench`.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    if !sys::is_root() {
        return println!("guard: skipped, network namespaces need root");
    }
    if let Err(e) = SIZES.into_iter().try_for_each(measure) {
        eprintln!("guard: {e}");
        std::process::exit(1);
    }
}

/// A spoke, a hub with two ports, and where the other spoke would be.
struct World {
    _spoke: Netns,
    hub: Netns,
    other: Netns,
    socket: UdpSocket,
}

fn world() -> Res<World> {
    let name = |role: &str| format!("{}{}-guard-{role}", lab::clean::PREFIX, std::process::id());
    let (spoke, hub, other) = (Netns::new(name("a"))?, Netns::new(name("hub"))?, Netns::new(name("b"))?);
    hub.ip(&format!(
        "link add in0 type veth peer name eth0 netns {}\nlink add out0 type veth peer name eth0 netns {}\n\
         link set in0 up\nlink set out0 up\naddr add {HUB}/24 dev in0\naddr add 10.9.1.1/24 dev out0\n\
         link add br-test type bridge mcast_snooping 0\nlink set br-test up\n\
         link add port1 type vxlan id {UPLINK} local {HUB} remote {SPOKE} dstport {PORT}\nlink set port1 master br-test up\n\
         link add port2 type vxlan id {} local 10.9.1.1 remote 10.9.1.2 dstport {PORT}\nlink set port2 master br-test up\n\
         neigh replace 10.9.1.2 lladdr 02:00:00:00:00:0b dev out0",
        spoke.name,
        other.name,
        UPLINK + 1
    ))?;
    hub.bridge("fdb add 52:54:00:00:00:02 dev port2 master static")?;
    spoke.ip(&format!("link set eth0 up\naddr add {SPOKE}/24 dev eth0"))?;
    other.ip("link set eth0 address 02:00:00:00:00:0b up")?;
    let socket = spoke.run(|| {
        let socket = UdpSocket::bind((SPOKE, 0))?;
        socket.connect((HUB, PORT)).map(|()| socket)
    })?;
    Ok(World { _spoke: spoke, hub, other, socket: socket.map_err(|e| e.to_string())? })
}

fn measure(size: usize) -> Res {
    let world = world()?;
    let mut datagram = [&[8, 0, 0, 0][..], &(UPLINK << 8).to_be_bytes()].concat();
    datagram.extend(frame(mac(2), mac(1), 0x88b5));
    datagram.resize(8 + size, 0);
    let received = || world.other.counters().map(|all| all["eth0"].rx);
    let mut rates = VARIANTS.map(|_| Vec::new());
    for round in 0..ROUNDS {
        for n in 0..VARIANTS.len() {
            let variant = (round + n) % VARIANTS.len();
            let guard = VARIANTS[variant].map(|pairs| guard(&world.hub, pairs)).transpose()?;
            std::thread::sleep(REST);
            let (before, start) = (received()?, spent()?);
            for _ in 0..FRAMES {
                world.socket.send(&datagram).map_err(|e| e.to_string())?;
            }
            let took = spent()? - start;
            rates[variant].push((received()? - before) as f64 / took.as_secs_f64());
            drop(guard);
        }
    }
    let [none, ..] = &rates;
    println!(
        "frames of {size} octets: {:.0} a second of processor time without a guard",
        median(none.clone())
    );
    for (pairs, with) in VARIANTS.into_iter().zip(&rates).filter_map(|(pairs, with)| Some((pairs?, with))) {
        let ratios = with.iter().zip(none).map(|(with, without)| with / without).collect();
        let best = |rates: &[f64]| rates.iter().copied().fold(0.0, f64::max);
        println!(
            "  {pairs:>4} pairs: {:.3} of that; the best {:.3}",
            median(ratios),
            best(with) / best(none)
        );
    }
    Ok(())
}

fn spent() -> Res<Duration> {
    sys::processor_time(std::process::id()).map_err(|e| e.to_string())
}

fn guard(hub: &Netns, pairs: u32) -> Res<Gate> {
    let other = |n: u32| Admission::Open(IpAddr::from((0x0a63_0001 + n).to_be_bytes()), 0x20_0000 + n);
    let own = (pairs > 0).then_some(Admission::Open(IpAddr::from(SPOKE), UPLINK));
    let pairs: Vec<Admission> = (1..pairs).map(other).chain(own).collect();
    hub.run(|| Gate::make(Scope { port: PORT, others_pass: true, probes_pass: true }, &pairs))?
        .map_err(|lack| lack.to_string())
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
