//! How a daemon bears what a large network, or somebody evil, does to it: a real one on the real kernel, with a packet
//! generator for its spokes. Two programs are measured in the same run, each row's goal stands beside them:
//!
//! ```text
//! cargo bench --bench hub -- [--baseline PROGRAM [--baseline-bench BENCH]] [--only ROW,ROW] [--full] [--list]
//! ```
//!
//! docs/benchmarks.md says what the rows mean. Needs root, iproute2 and strace.
#![allow(clippy::disallowed_methods, reason = "a benchmark looks at the watch")]

#[path = "../../tests/lab/mod.rs"]
mod lab;

mod costs;
mod daemon;
mod ends;
mod engine;
mod floods;
mod moves;
mod packets;
mod probe;
mod rows;
mod sites;
mod starts;
mod trace;
mod vns;
mod world;

use lab::{Res, sys};
use rows::{ROWS, Row};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use world::Setup;

#[derive(Default)]
struct Options {
    baseline: Option<PathBuf>,
    baseline_bench: Option<PathBuf>,
    daemon: Option<PathBuf>,
    only: Vec<String>,
    full: bool,
    list: bool,
    engine: Option<String>,
    /// Whether cargo runs this as a benchmark, and not as a test.
    bench: bool,
}

fn options() -> Res<Options> {
    let mut options = Options::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--baseline" => options.baseline = Some(value()?.into()),
            "--baseline-bench" => options.baseline_bench = Some(value()?.into()),
            "--daemon" => options.daemon = Some(value()?.into()),
            "--only" => options.only = value()?.split(',').map(str::to_owned).collect(),
            "--engine" => options.engine = Some(value()?),
            "--full" => options.full = true,
            "--list" => options.list = true,
            "--bench" => options.bench = true,
            // `cargo test --all-targets` has arguments for tests.
            _ => {}
        }
    }
    if let Some(wrong) = options.only.iter().find(|name| !ROWS.iter().any(|row| row.name == **name)) {
        return Err(format!("there is no row '{wrong}': --list tells all"));
    }
    Ok(options)
}

fn main() {
    let options = options().unwrap_or_else(|why| {
        eprintln!("hub: {why}");
        std::process::exit(2);
    });
    if let Some(name) = &options.engine {
        return engine::run(name);
    }
    if options.list || !options.bench {
        return ROWS.iter().for_each(|row| println!("{:<12} {}", row.name, row.about));
    }
    if !sys::is_root() {
        return println!("hub: skipped, network namespaces need root");
    }
    run(&options);
}

fn run(options: &Options) {
    let present = options.daemon.clone().unwrap_or_else(|| env!("CARGO_BIN_EXE_dmevpn").into());
    let present = Setup { program: present, bench: std::env::current_exe().ok(), full: options.full };
    let baseline = options.baseline.clone().map(|program| Setup {
        program,
        bench: options.baseline_bench.clone(),
        full: options.full,
    });
    println!("{}", load());
    let mut has_failed = false;
    for row in ROWS.iter().filter(|r| options.only.is_empty() || options.only.iter().any(|n| n == r.name)) {
        let start = Instant::now();
        let before = baseline.as_ref().map(|setup| measure(row, setup));
        let now = measure(row, &present);
        println!("\n{}: {} ({:.0} s)", row.name, row.about, start.elapsed().as_secs_f64());
        print(row, before.as_ref(), &now);
        has_failed |= now.is_err();
    }
    println!("{}", load());
    if has_failed {
        std::process::exit(1);
    }
}

/// A row's values, one for each of its lines, or why there are none.
fn measure(row: &Row, setup: &Setup) -> Res<Vec<String>> {
    let values = std::panic::catch_unwind(|| (row.run)(setup))
        .unwrap_or_else(|_| Err("the scene panicked, as is said above".into()))?;
    // What the kernel still has to do for the scene before (namespaces end in the background) is not the next one's.
    std::thread::sleep(Duration::from_millis(500));
    Ok(values)
}

fn print(row: &Row, before: Option<&Res<Vec<String>>>, now: &Res<Vec<String>>) {
    let value = |values: &Res<Vec<String>>, line: usize| match values {
        Ok(values) => values.get(line).cloned().unwrap_or_else(|| "-".into()),
        Err(_) => "failed".into(),
    };
    for (line, (what, goal)) in row.lines.iter().enumerate() {
        let before = before.map_or_else(|| "-".into(), |before| value(before, line));
        println!("  {what:<44} {before:>30}  {:>30}   {goal}", value(now, line));
    }
    for (which, why) in [("baseline", before), ("present", Some(now))] {
        if let Some(Err(why)) = why {
            println!("  {which} failed: {why}");
        }
    }
}

/// What else the machine does.
fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let head = format!("{cores} cores, load {}", load.split(' ').take(3).collect::<Vec<_>>().join(" "));
    format!("{head:<46} {:>30}  {:>30}   {}", "baseline", "present", "goal")
}
