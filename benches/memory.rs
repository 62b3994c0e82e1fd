//! What real daemons take: memory of an idle spoke, memory and processor time of hubs with 10, 100 and 1000 spokes.
//! Needs root and iproute2.

#[path = "../tests/lab/mod.rs"]
mod lab;

use lab::herd::Herd;
use lab::nodes::{Lab, Node, Plan, Program, test_vn};
use lab::{Res, ms, now, sys, wait_until};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

/// How many sites come to the real spoke's; `max_spokes` is 1000.
const SITES: [Range<u16>; 3] = [0..9, 9..99, 99..999];
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    if !sys::is_root() {
        println!("memory: skipped, network namespaces need root");
        return;
    }
    if let Err(e) = measure() {
        eprintln!("memory: {e}");
        std::process::exit(1);
    }
}

fn measure() -> Res {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_dmevpn"));
    let program = Some(Program { path, variable: None });
    let mut lab = Lab::new(Plan { program, ipv6: false, holding_time: 600, negative_time: 60 })?;
    lab.add_hub(vec![test_vn(0)])?;
    lab.add_spoke(1, vec![test_vn(100)])?;
    lab.add_spoke(2, vec![test_vn(101)])?;
    lab::herd::admit(&lab)?;
    lab.start("hub")?;
    lab.start("spoke1")?;
    let hub = lab.node("hub");
    if !wait_until(PATIENCE, || hub.ports().is_ok_and(|ports| ports.len() == 1)) {
        return Err("the spoke did not register".into());
    }
    println!("spoke, idle:          {}", memory(lab.node("spoke1"))?);
    println!("hub with 1 spoke:     {}", memory(hub)?);

    for sites in SITES {
        let (new, wanted) = (sites.len(), usize::from(sites.end) + 1);
        let herd = Herd::new(&lab, "spoke2", sites)?;
        let start = now();
        herd.register(&lab, "spoke2")?;
        let all = wait_until(PATIENCE, || {
            hub.ns.interfaces().is_ok_and(|i| i.keys().filter(|n| n.starts_with("dmevpn")).count() == wanted)
        });
        if !all {
            return Err(format!("not all of {wanted} spokes have a port"));
        }
        let took = ms(now() - start);
        let before = processor(hub)?;
        // All are registered already: each refreshes, as it does every third of its holding time.
        herd.register(&lab, "spoke2")?;
        let refresh = (processor(hub)? - before) / new as f64;
        println!(
            "hub with {wanted:4} spokes: {}, all ports there after {took}, {refresh:.2} ms of processor for a refresh",
            memory(hub)?
        );
    }
    Ok(())
}

/// The processor time that a daemon has used, in ms.
fn processor(node: &Node) -> Res<f64> {
    let pid = node.pid().ok_or("the daemon does not run")?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).map_err(|e| e.to_string())?;
    let ns: f64 = stat.split(' ').next().and_then(|n| n.parse().ok()).ok_or("no schedstat")?;
    Ok(ns / 1e6)
}

/// A daemon's memory, as the kernel counts it.
fn memory(node: &Node) -> Res<String> {
    let pid = node.pid().ok_or("the daemon does not run")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(|e| e.to_string())?;
    let line = |name: &str| {
        let value = status.lines().find_map(|l| l.strip_prefix(name)).unwrap_or("?");
        value.trim_start_matches(':').trim().to_owned()
    };
    Ok(format!("{} resident now, {} at most", line("VmRSS"), line("VmHWM")))
}
