//! How long nothing arrives when something gets in the way of a direct path: two spokes and a hub, real daemons, a stream of
//! echoes that goes straight until then. Needs root, iproute2 and nft.
//!
//! ```text
//! cargo bench --bench paths -- [--runs 20] [--only one-way,large]
//! ```

#[path = "../tests/lab/mod.rs"]
mod lab;

use lab::nodes::{Lab, Node, Plan, Program, SOON, test_vn};
use lab::scenes::{BRIDGE2, VM1, inside, ip};
use lab::traffic::{Echoes, Ping, ping};
use lab::{Res, ms, sys, wait_until};
use std::path::PathBuf;
use std::time::Duration;

/// Uses of shortcuts are looked at so often: a path is probed faster from then on.
const SEEN_IN_USE: Duration = Duration::from_secs(6);

/// What gets in the way.
struct Obstacle {
    name: &'static str,
    /// What is done with VXLAN that comes from the other spoke.
    rule: &'static str,
    both_ways: bool,
    /// Octets of the echoes.
    size: usize,
}

const OBSTACLES: [Obstacle; 4] = [
    Obstacle { name: "both-ways", rule: "drop", both_ways: true, size: 56 },
    Obstacle { name: "one-way", rule: "drop", both_ways: false, size: 56 },
    Obstacle { name: "large", rule: "udp length > 1000 drop", both_ways: false, size: 1400 },
    Obstacle { name: "reject", rule: "reject with icmp type admin-prohibited", both_ways: false, size: 56 },
];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    // `cargo test --all-targets` has no `--bench`.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    if !sys::is_root() {
        return println!("paths: skipped, network namespaces need root");
    }
    let value = |name| arguments.iter().skip_while(|argument| *argument != name).nth(1);
    let runs = value("--runs").and_then(|runs| runs.parse().ok()).unwrap_or(20);
    let is_wanted = |name| value("--only").is_none_or(|only| only.split(',').any(|wanted| wanted == name));
    for obstacle in OBSTACLES.iter().filter(|obstacle| is_wanted(obstacle.name)) {
        match measure(obstacle, runs) {
            Ok(gaps) => println!("{:<10} {}", obstacle.name, summary(gaps)),
            Err(e) => {
                eprintln!("paths: {}: {e}", obstacle.name);
                std::process::exit(1);
            }
        }
    }
}

fn summary(mut gaps: Vec<Duration>) -> String {
    gaps.sort();
    let at = |place: usize| gaps.get(place).copied().map(ms).unwrap_or_default();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    let last = gaps.len().saturating_sub(1);
    format!(
        "{} runs, nothing arrives for {} at least, {} (median), {} at most; load {load}",
        gaps.len(),
        at(0),
        at(gaps.len() / 2),
        at(last)
    )
}

/// The longest time without an echo, of each run.
fn measure(obstacle: &Obstacle, runs: u32) -> Res<Vec<Duration>> {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_dmevpn"));
    let program = Some(Program { path, variable: None });
    let mut lab = Lab::new(Plan { program, ipv6: false, holding_time: 600, negative_time: 60 })?;
    lab.add_hub(vec![test_vn(0)])?;
    lab.add_spoke(1, vec![test_vn(100)])?;
    lab.add_spoke(2, vec![test_vn(101)])?;
    lab.node("spoke2").ns.ip(&format!("addr add {}/24 dev br-test", inside(11)))?;
    lab.add_host("vm1", "spoke1", "br-test", VM1, inside(10))?;
    lab.start_all()?;
    lab.wait_connected(SOON)?;
    let (spoke1, spoke2) = (lab.node("spoke1"), lab.node("spoke2"));
    let is_direct = || spoke1.has_shortcut("test", BRIDGE2, spoke2.nbma, 101);
    let vm1 = &lab.host("vm1").ns;
    ping(vm1, Echoes::to(ip(inside(11)), 10, 20))?;
    let stream = Echoes { count: usize::MAX, size: obstacle.size, ..Echoes::to(ip(inside(11)), 0, 2) };
    let rule = |from: &Node| format!("ip saddr {} udp dport 4789 {}", from.nbma, obstacle.rule);
    let mut gaps = Vec::new();
    for run in 0..runs {
        let pings = Ping::start(vm1, stream)?;
        if !wait_until(SOON * 4, is_direct) {
            return Err(format!("it does not go straight in run {run}"));
        }
        // At another moment between two probes each time.
        std::thread::sleep(SEEN_IN_USE + Duration::from_millis(u64::from(run) * 137 % 1000));
        spoke2.wall(&rule(spoke1))?;
        if obstacle.both_ways {
            spoke1.wall(&rule(spoke2))?;
        }
        let left = wait_until(SOON, || !is_direct());
        std::thread::sleep(Duration::from_millis(500));
        spoke2.no_wall()?;
        if obstacle.both_ways {
            spoke1.no_wall()?;
        }
        if !left {
            return Err(format!("it still goes straight in run {run}"));
        }
        gaps.push(pings.stop()?.longest_gap());
    }
    Ok(gaps)
}
