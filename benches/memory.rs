//! Memory of real daemons: an idle spoke, and a hub with a thousand spokes. Needs root and iproute2.

#[path = "../tests/lab/mod.rs"]
mod lab;

use lab::herd::Herd;
use lab::nodes::{Lab, Node, Plan, Program, test_vn};
use lab::{Res, ms, now, sys, wait_until};
use std::path::PathBuf;
use std::time::Duration;

/// Beside the real one: `max_spokes` is 1000.
const SPOKES: u16 = 999;
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
    lab.start("hub")?;
    lab.start("spoke1")?;
    let hub = lab.node("hub");
    if !wait_until(PATIENCE, || hub.ports().is_ok_and(|ports| ports.len() == 1)) {
        return Err("the spoke did not register".into());
    }
    println!("spoke, idle:          {}", memory(lab.node("spoke1"))?);
    println!("hub with 1 spoke:     {}", memory(hub)?);

    let herd = Herd::new(&lab, "spoke2", SPOKES)?;
    let start = now();
    herd.register(&lab, "spoke2")?;
    let wanted = usize::from(SPOKES) + 1;
    let all = wait_until(PATIENCE, || {
        hub.ns.interfaces().is_ok_and(|i| i.keys().filter(|n| n.starts_with("dmevpn")).count() == wanted)
    });
    if !all {
        return Err(format!("not all of {SPOKES} spokes have a port"));
    }
    println!("hub with {wanted} spokes: {}, all ports there after {}", memory(hub)?, ms(now() - start));
    Ok(())
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
