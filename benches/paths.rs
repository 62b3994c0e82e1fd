//! How long nothing arrives when something gets in the way of a direct path, or happens to hubs or a site: real daemons, a
//! stream of echoes. Needs root, iproute2 and nft.
//!
//! ```text
//! cargo bench --bench paths -- [--runs 20] [--only one-way,hub-gone]
//! ```

#[path = "../tests/lab/mod.rs"]
mod lab;

use lab::nodes::{Lab, Node, Plan, Program, SOON, test_vn};
use lab::scenes::{BRIDGE2, Broadcasts, VM1, cut_off, inside, ip, settle, several_hubs};
use lab::traffic::{Echoes, Ping, ping};
use lab::{Res, Stamp, ms, sys, wait_until};
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

/// The longest time without an answer, of each of so many runs.
type Measure = fn(u32) -> Res<Vec<Duration>>;

/// What happens to hubs, or to a site.
const EVENTS: [(&str, Measure); 4] =
    [("hub-gone", hub_gone), ("drain", drained), ("hubs-cut", hubs_cut), ("wan", wan_changed)];

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
    let only = value("--only").map(|only| only.split(',').collect::<Vec<_>>());
    let is_row = |name: &&str| {
        OBSTACLES.iter().any(|row| row.name == *name) || EVENTS.iter().any(|(row, _)| row == name)
    };
    if let Some(wrong) = only.iter().flatten().find(|name| !is_row(name)) {
        eprintln!("paths: there is no row '{wrong}'");
        std::process::exit(2);
    }
    let is_wanted = |name| only.as_ref().is_none_or(|only| only.contains(&name));
    for obstacle in OBSTACLES.iter().filter(|obstacle| is_wanted(obstacle.name)) {
        told(obstacle.name, measure(obstacle, runs));
    }
    for (name, event) in EVENTS.iter().filter(|(name, _)| is_wanted(name)) {
        told(name, event(runs));
    }
}

fn told(name: &str, gaps: Res<Vec<Duration>>) {
    match gaps {
        Ok(gaps) => println!("{name:<17} {}", summary(gaps)),
        Err(e) => {
            eprintln!("paths: {name}: {e}");
            std::process::exit(1);
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
    let mut lab = two_sites()?;
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
        until_used(run);
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

fn plan() -> Plan {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_dmevpn"));
    Plan {
        program: Some(Program { path, variable: None }),
        ipv6: false,
        holding_time: 600,
        negative_time: 60,
    }
}

/// vm1 -- spoke1 -- hub -- spoke2 with 11.0.0.11. No daemon runs yet.
fn two_sites() -> Res<Lab> {
    let mut lab = Lab::new(plan())?;
    lab.add_hub(vec![test_vn(0)])?;
    lab.add_spoke(1, vec![test_vn(100)])?;
    lab.add_spoke(2, vec![test_vn(101)])?;
    lab.node("spoke2").ns.ip(&format!("addr add {}/24 dev br-test", inside(11)))?;
    lab.add_host("vm1", "spoke1", "br-test", VM1, inside(10))?;
    Ok(lab)
}

/// Until the daemons see what is used; at another moment between two probes each time.
fn until_used(run: u32) {
    std::thread::sleep(SEEN_IN_USE + Duration::from_millis(u64::from(run) * 137 % 1000));
}

/// Waits until vm1 reaches a station.
fn wait_reached(lab: &Lab, n: u8) -> Res {
    let vm1 = &lab.host("vm1").ns;
    let reached =
        wait_until(SOON * 4, || ping(vm1, Echoes::to(ip(inside(n)), 3, 20)).is_ok_and(|p| p.none_lost()));
    reached.then_some(()).ok_or(format!("{} is not reached", inside(n)))
}

/// vm1 sends to a station, without an end.
fn stream(lab: &Lab, n: u8) -> Res<Ping> {
    Ping::start(&lab.host("vm1").ns, Echoes { count: usize::MAX, ..Echoes::to(ip(inside(n)), 0, 2) })
}

/// The machine of the hub that vm1's site is at is gone; the station it talks with is at another hub.
fn hub_gone(runs: u32) -> Res<Vec<Duration>> {
    let mut lab = several_hubs(&plan())?;
    let run = |run| {
        settle(&mut lab)?;
        wait_reached(&lab, 29)?;
        let pings = stream(&lab, 29)?;
        until_used(run);
        lab.reboot_hub()?;
        wait_reached(&lab, 29)?;
        Ok(pings.stop()?.longest_gap())
    };
    (0..runs).map(run).collect()
}

/// That hub sends its spokes away.
fn drained(runs: u32) -> Res<Vec<Duration>> {
    let mut lab = several_hubs(&plan())?;
    let program = plan().program.ok_or("no program")?;
    let mut lost = 0;
    let run = |run| {
        settle(&mut lab)?;
        wait_reached(&lab, 29)?;
        let pings = stream(&lab, 29)?;
        until_used(run);
        lab.node("hub").ask(&program, &["drain", "test"])?;
        if !wait_until(SOON * 2, || {
            ["spoke1", "spoke3"].iter().all(|s| !lab.node("hub").serves(lab.node(s).nbma))
        }) {
            return Err(format!("it has spokes in run {run}"));
        }
        std::thread::sleep(Duration::from_secs(1));
        lab.node("hub").ask(&program, &["drain", "test", "--off"])?;
        let pinged = pings.stop()?;
        lost += pinged.echoes.len() - pinged.answered();
        Ok(pinged.longest_gap())
    };
    let gaps = (0..runs).map(run).collect::<Res<_>>()?;
    println!("drain: {lost} echoes lost, in all runs");
    Ok(gaps)
}

/// A hub is cut off from the two others: how long sites do not hear each other's broadcasts. How long nothing arrives of what
/// goes straight from site to site is told, too.
fn hubs_cut(runs: u32) -> Res<Vec<Duration>> {
    let mut lab = several_hubs(&plan())?;
    let run = |run| {
        settle(&mut lab)?;
        wait_reached(&lab, 11)?;
        let pings = stream(&lab, 11)?;
        let broadcasts = Broadcasts::start(&lab, Duration::from_millis(10))?;
        until_used(run);
        cut_off(&lab, "hub2")?;
        let hub = lab.node("hub");
        if !wait_until(SOON * 4, || lab.spokes().all(|spoke| spoke.is_at(hub))) {
            return Err(format!("they do not meet in run {run}"));
        }
        wait_reached(&lab, 11)?;
        std::thread::sleep(Duration::from_millis(500));
        let heard = broadcasts.stop(Stamp::ZERO)?;
        let straight = pings.stop()?.longest_gap();
        lab.hubs().try_for_each(Node::no_wall)?;
        let gaps = heard.iter().filter(|heard| heard.at != "vm9").map(|heard| heard.gap);
        Ok((gaps.max().unwrap_or_default(), straight))
    };
    let gaps: Vec<(Duration, Duration)> = (0..runs).map(run).collect::<Res<_>>()?;
    let (gaps, straight): (Vec<_>, Vec<_>) = gaps.into_iter().unzip();
    println!("hubs-cut, straight: {}", summary(straight));
    Ok(gaps)
}

/// A site has another address, and the one before no more.
fn wan_changed(runs: u32) -> Res<Vec<Duration>> {
    let mut lab = two_sites()?;
    let (mut own, mut other) = (lab.nbma(2), lab.nbma(200));
    let line = format!("option nbma '{own}'");
    lab.node("spoke1").edit_config(|text| text.replace(&line, "option interface 'eth1'"))?;
    lab.start_all()?;
    let (spoke1, spoke2) = (lab.node("spoke1"), lab.node("spoke2"));
    let run = |run| {
        wait_reached(&lab, 11)?;
        let pings = stream(&lab, 11)?;
        if !wait_until(SOON * 4, || spoke2.has_shortcut("test", VM1, own, 100)) {
            return Err(format!("it does not go straight in run {run}"));
        }
        until_used(run);
        spoke1.ns.ip(&format!("addr del {own}/24 dev eth1\naddr add {other}/24 dev eth1"))?;
        core::mem::swap(&mut own, &mut other);
        std::thread::sleep(Duration::from_millis(500));
        wait_reached(&lab, 11)?;
        Ok(pings.stop()?.longest_gap())
    };
    (0..runs).map(run).collect()
}
