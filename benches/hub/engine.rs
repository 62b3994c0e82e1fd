//! What the engine alone takes, without a kernel. A benchmark is built with one engine, so that of the baseline is asked
//! of the baseline's benchmark.

#[path = "../../tests/drive/mod.rs"]
mod drive;

use crate::lab::netns::run as run_command;
use crate::lab::{Res, sys};
use crate::probe::time;
use crate::world::Setup;
use dmevpn::engine::Input;
use dmevpn::types::Mac;
use dmevpn::wire::nhrp::ProtocolAddress;
use drive::{Client, Driven, TAG, nbma, vni};
use std::process::Command;
use std::time::Duration;

const MACS: u32 = 65_536;
const PEERS: u32 = 10_000;

/// The row of this name, of the setup's own engine.
pub fn row(setup: &Setup, name: &str) -> Res<Vec<String>> {
    let Some(bench) = &setup.bench else { return Ok(vec![]) };
    let text = run_command(Command::new(bench).args(["--engine", name]), "")?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// Prints the values of such a row, one a line.
pub fn run(name: &str) {
    let Clock { all, longest } = if name == "end-macs" { end_macs() } else { end_peers() };
    println!("{}\n{}", time(all), time(longest));
}

/// In processor time: what others do on the machine is not the engine's.
#[derive(Default)]
struct Clock {
    all: Duration,
    longest: Duration,
}

impl Clock {
    fn measure(&mut self, call: impl FnOnce()) {
        let used = || sys::processor_time(std::process::id()).unwrap_or_default();
        let start = used();
        call();
        let took = used() - start;
        self.all += took;
        self.longest = self.longest.max(took);
    }

    /// Lets time pass.
    fn pass(&mut self, hub: &mut Driven, time: Duration) {
        let end = hub.now + time;
        while let Some(at) = hub.engine.deadline().filter(|at| *at <= end) {
            hub.now = hub.now.max(at);
            self.measure(|| hub.input(Input::Tick));
        }
        hub.now = end;
    }
}

fn peer(n: u32) -> Client {
    let [_, _, a, b] = n.to_be_bytes();
    Client {
        nbma: nbma(&format!("10.1.{a}.{b}")),
        vni: Some(vni(100)),
        source: ProtocolAddress::Mac(Mac::new([0x2e, 0, 0, 1, a, b]).expect("unicast")),
    }
}

/// One peer with many stations behind it withdraws.
fn end_macs() -> Clock {
    let (mut hub, peer) = (Driven::hub(), peer(1));
    hub.register(&peer);
    for n in 0..MACS {
        let [_, a, b, c] = n.to_be_bytes();
        hub.learn(&peer, ProtocolAddress::Mac(Mac::new([2, 0, 0, a, b, c]).expect("unicast")));
    }
    let mut clock = Clock::default();
    let withdrawal = peer.purge(2, 0, &[peer.source]);
    clock.measure(|| drop(hub.hear(peer.path(), TAG, &withdrawal)));
    clock.pass(&mut hub, Duration::from_secs(5));
    clock
}

/// The holding time of many peers, each with a station, is over in the same moment.
fn end_peers() -> Clock {
    let mut hub = Driven::hub();
    let peers: Vec<Client> = (1..=PEERS).map(peer).collect();
    for (n, peer) in (0u32..).zip(&peers) {
        hub.now = hub.now + Duration::from_millis(2);
        hub.register(peer);
        let [_, a, b, c] = n.to_be_bytes();
        hub.learn(peer, ProtocolAddress::Mac(Mac::new([2, 0, 0, a, b, c]).expect("unicast")));
    }
    for peer in &peers {
        hub.register(peer);
    }
    let mut clock = Clock::default();
    clock.pass(&mut hub, Duration::from_secs(605));
    let question = peers[0].question(9, peers[1].source);
    assert_ne!(hub.ask(&peers[0], &question).codes(), [0], "all have ended");
    clock
}
