//! The real daemon on the real kernel, and what may happen to it: wrong devices, devices that come and go, new
//! configurations, clients and packets that make no sense. Each test has its own namespaces.
//!
//! They need root and iproute2; without root they say so and are skipped. Here is what all of them use.
#![allow(clippy::disallowed_methods)]

#[path = "../documented/mod.rs"]
mod documented;
#[path = "../golden/mod.rs"]
mod golden;
#[path = "../lab/mod.rs"]
mod lab;

mod addresses;
mod boot;
mod clients;
mod configuration;
mod confine;
mod control;
mod crowds;
mod devices;
mod doctor;
mod ends;
mod forged;
mod guard;
mod hub;
mod hubs;
mod identity;
mod interface;
mod kernel;
mod keys;
mod life;
mod log;
mod loops;
mod mesh;
mod moves;
mod nat;
mod nonsense;
mod odd;
mod paths;
mod record;
mod state;
mod strangers;
mod time;
mod ways;

use lab::nodes::{Lab, Node, Plan, Program, SOON, test_vn};
use lab::scenes::{BRIDGE2, VM1, inside, ip};
use lab::traffic::{Echoes, Pinged, ping};
use lab::{MacBytes, fdb, my_turn, wait_until};
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

fn program() -> Program {
    Program { path: PathBuf::from(env!("CARGO_BIN_EXE_dmevpn")), variable: None }
}

fn plan() -> Plan {
    Plan { program: Some(program()), ipv6: false, holding_time: 600, negative_time: 60 }
}

/// vm1 11.0.0.10 -- spoke1 (VNI 100) -- hub -- spoke2 (VNI 101, 11.0.0.11 on its bridge). No daemon runs yet.
fn small(plan: Plan) -> Lab {
    let mut lab = Lab::new(plan).unwrap();
    lab.add_hub(vec![test_vn(0)]).unwrap();
    lab.add_spoke(1, vec![test_vn(100)]).unwrap();
    lab.add_spoke(2, vec![test_vn(101)]).unwrap();
    lab.node("spoke2").ns.ip("addr add 11.0.0.11/24 dev br-test").unwrap();
    lab.add_host("vm1", "spoke1", "br-test", VM1, inside(10)).unwrap();
    lab
}

/// Runs `scene` in a small network; what the daemons said is shown when it fails.
fn in_small(plan: Plan, scene: impl FnOnce(&mut Lab)) {
    let Some(_turn) = my_turn() else { return };
    let mut lab = small(plan);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| scene(&mut lab)));
    if let Err(panic) = result {
        println!("{}", lab.log_ends());
        std::panic::resume_unwind(panic);
    }
    for node in lab.nodes.values() {
        let log = node.log_text();
        assert!(!log.contains("os error"), "an error number where words belong:\n{log}");
    }
}

/// A command of the program at a node: all there is to know of how it went.
fn dmevpn(node: &Node, args: &[&str]) -> Output {
    let mut command = node.ns.command(program().path);
    command.args(args).arg("--socket").arg(node.socket()).output().unwrap()
}

fn status(node: &Node) -> String {
    let output = dmevpn(node, &["status"]);
    // The tables are wrapped: words count, not lines.
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn wait_status(node: &Node, words: &str) {
    let says = wait_until(SOON, || {
        std::thread::sleep(Duration::from_millis(50));
        status(node).contains(words)
    });
    assert!(says, "{} does not say '{words}' but: {}", node.name, status(node));
}

#[track_caller]
fn wait(what: &str, holds: impl FnMut() -> bool) {
    assert!(wait_until(SOON, holds), "not in time: {what}");
}

fn ping_spoke2(lab: &Lab, count: usize) -> Pinged {
    ping(&lab.host("vm1").ns, Echoes::to(ip(inside(11)), count, 20)).unwrap()
}

#[track_caller]
fn wait_shortcut(lab: &Lab) {
    let (there, what) = lab.node("spoke1").wait_shortcut("test", BRIDGE2, lab.node("spoke2").nbma, 101);
    assert!(there, "{what}");
}

/// Traffic works without a loss, and goes direct.
#[track_caller]
fn all_is_well(lab: &Lab) {
    let pinged = ping_spoke2(lab, 10);
    assert!(pinged.none_lost(), "{pinged}");
    wait_shortcut(lab);
}

/// The device's entries that a control plane made.
fn external(node: &Node, device: &str) -> Vec<String> {
    let entries = fdb::dump(&node.ns, device).unwrap();
    entries.iter().filter(|e| e.own && e.external).map(ToString::to_string).collect()
}

/// Where the device sends frames for this MAC.
fn destinations(node: &Node, device: &str, mac: MacBytes) -> Vec<(Option<IpAddr>, Option<u32>)> {
    let entries = fdb::dump(&node.ns, device).unwrap_or_default();
    entries.iter().filter(|e| e.own && e.mac == mac).map(|e| (e.dst, e.vni)).collect()
}

/// Whether a port of the hub leads to this underlay address, and nowhere else.
fn leads(hub: &Node, to: &str) -> bool {
    let to = Some(to.parse().unwrap());
    let all = hub.ports().unwrap_or_default();
    all.keys().any(|port| destinations(hub, port, [0; 6]).iter().map(|(dst, _)| *dst).eq([to]))
}

fn show(node: &Node, device: &str) -> String {
    let mut command = node.ns.command("ip");
    String::from_utf8(command.args(["-d", "link", "show", device]).output().unwrap().stdout).unwrap()
}

/// A user's own VXLAN device at a spoke.
fn make_tunnel(node: &Node, options: &str, bridge: &str) {
    let nbma = node.nbma;
    node.ns
        .ip(&format!(
            "link add tunnel2 mtu 1500 type vxlan local {nbma} {options}\nlink set tunnel2 master {bridge} up"
        ))
        .unwrap();
}

/// More changes of entries than a stopped daemon's socket has room to tell of.
fn make_noise(node: &Node) {
    node.ns.ip("link add noise type vxlan id 9 dstport 5001").unwrap();
    let noise: String = (0..20_000)
        .map(|n| format!("fdb add 02:77:00:00:{:02x}:{:02x} dev noise dst 10.0.0.9\n", n >> 8, n & 0xff))
        .collect();
    node.ns.bridge(&noise).unwrap();
}

fn number_in(path: &std::path::Path, key: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix(key)).unwrap_or_else(|| panic!("no {key}"));
    line.split_whitespace().next().unwrap().parse().unwrap()
}
