//! A demonstration that is also a proof: `cargo run --release --example lab` (as root) builds a network of
//! namespaces on this machine, runs real daemons in it and says PASS or FAIL for each point that dmevpn promises.
//!
//! ```text
//! vm1 11.0.0.10 -- [br-test] spoke1 10.0.0.2 (VNI 100) --- hub 10.0.0.1
//!                                                            |
//!     11.0.0.11 on [br-test] spoke2 10.0.0.3 (VNI 101) ------+
//! ```
//!
//! Needed: Linux with vxlan and bridge, iproute2. What counts are frames on the wire and the kernel's own tables and
//! counters; what the daemons say of themselves does not.
#![allow(clippy::disallowed_methods)]

#[path = "../tests/lab/mod.rs"]
mod lab;

use argh::FromArgs;
use lab::nodes::{Lab, Plan, Program};
use lab::report::Report;
use lab::{Res, clean, ms, now, scenes, soak, sys};
use std::cell::RefCell;
use std::process::ExitCode;

/// Set for the daemons: this executable then is the program `dmevpn`.
const AS_PROGRAM: &str = "DMEVPN_LAB_PROGRAM";

/// Bring up the network of the documentation and prove it.
#[derive(FromArgs)]
struct Arguments {
    /// how many spokes there are in the end (default 4, at most 150)
    #[argh(option, default = "4")]
    spokes: u8,
    /// use an IPv6 underlay
    #[argh(switch)]
    ipv6: bool,
    /// leave the network up and say how to enter it
    #[argh(switch)]
    keep: bool,
    /// remove what earlier runs left, and do nothing else
    #[argh(switch)]
    clean: bool,
    /// only these points, as 1,2,5
    #[argh(option)]
    only: Option<String>,
    /// instead of the points: so many minutes in which WANs, daemons and stations of eight sites come, go and move
    #[argh(option)]
    soak: Option<u64>,
    /// what happens in the soak depends on this number alone (default: another one each time)
    #[argh(option)]
    seed: Option<u64>,
    /// in the soak the hub's machine reboots, too, which is counted apart
    #[argh(switch)]
    reboots: bool,
}

fn main() -> ExitCode {
    if std::env::var_os(AS_PROGRAM).is_some() {
        return dmevpn::cli::main();
    }
    let arguments: Arguments = argh::from_env();
    if !sys::is_root() {
        eprintln!("network namespaces need root");
        return ExitCode::FAILURE;
    }
    if arguments.clean {
        println!("removed {} namespaces", clean::remove_left_over());
        return ExitCode::SUCCESS;
    }
    match clean_up_when_ended().and_then(|()| run(&arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("{why}");
            clean::remove(std::process::id());
            ExitCode::FAILURE
        }
    }
}

/// Ctrl-C or a panic leave nothing behind either.
fn clean_up_when_ended() -> Res {
    let mut signals = sys::Signals::take().map_err(|e| format!("signals: {e}"))?;
    std::thread::spawn(move || {
        if signals.wait().is_ok() {
            clean::remove(std::process::id());
            std::process::exit(130);
        }
    });
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |what| {
        print(what);
        clean::remove(std::process::id());
        std::process::exit(101);
    }));
    Ok(())
}

/// Plays all scenes; whether every point holds.
fn run(arguments: &Arguments) -> Res<bool> {
    if !(4..=150).contains(&arguments.spokes) {
        return Err("--spokes takes 4 to 150".into());
    }
    if !(1..=17).any(|point| is_wanted(arguments, point)) {
        return Err("--only takes points from 1 to 17, as 1,2,5".into());
    }
    let path = std::env::current_exe().map_err(|e| format!("this executable: {e}"))?;
    let program = Some(Program { path, variable: Some(AS_PROGRAM) });
    let plan = Plan { program, ipv6: arguments.ipv6, holding_time: 600, negative_time: 60 };
    if let Some(minutes) = arguments.soak {
        let seed = arguments.seed.unwrap_or(now().as_millis() as u64 % 1_000_000);
        return soak::run(&plan, minutes, seed, arguments.reboots);
    }
    let began = now();
    println!("{}", what_it_looks_like(arguments));
    let mut lab = scenes::picture(&plan)?;
    let mut short = scenes::short_lived(&plan)?;
    let several = RefCell::new(scenes::several_hubs(&plan)?);
    println!(
        "three networks of namespaces made in {}; all times are from captures and kernel events\n",
        ms(now() - began)
    );

    type Scene<'a> = Box<dyn FnMut(&mut Lab, &mut Lab) -> Report + 'a>;
    let scenes: [(u8, Scene); 17] = [
        (1, Box::new(|lab, _| scenes::first_contact(lab))),
        (2, Box::new(|lab, _| scenes::every_frame(lab))),
        (3, Box::new(|lab, _| scenes::separate_networks(lab))),
        (4, Box::new(|lab, _| scenes::a_vm_moves(lab))),
        (5, Box::new(scenes::ends)),
        (6, Box::new(|lab, _| scenes::hub_restart(lab))),
        (7, Box::new(|_, short| scenes::silent_and_unknown(short))),
        (8, Box::new(|lab, _| scenes::adding_a_spoke(lab))),
        (9, Box::new(|lab, _| scenes::many_spokes(lab, arguments.spokes))),
        (10, Box::new(|lab, _| scenes::only_spokes_speak(lab))),
        (11, Box::new(|lab, _| scenes::blocked_path(lab))),
        (12, Box::new(|lab, _| scenes::hub_reboot(lab))),
        (13, Box::new(|_, _| scenes::hub_lost(&mut several.borrow_mut()))),
        (14, Box::new(|lab, _| scenes::cable(lab))),
        (15, Box::new(|_, _| scenes::across_hubs(&mut several.borrow_mut()))),
        (16, Box::new(|_, _| scenes::drained(&mut several.borrow_mut()))),
        (17, Box::new(|_, _| scenes::hubs_cut(&mut several.borrow_mut()))),
    ];
    let mut verdicts = Vec::new();
    for (point, mut scene) in scenes {
        if is_wanted(arguments, point) {
            let mut report = scene(&mut lab, &mut short);
            report.print();
            if !report.holds() {
                let logs = match point {
                    7 => short.log_ends(),
                    13 | 15..=17 => several.borrow().log_ends(),
                    _ => lab.log_ends(),
                };
                println!("{logs}");
            }
            println!();
            verdicts.push(report.holds());
        }
    }
    let held = verdicts.iter().filter(|v| **v).count();
    println!("{held} of {} points hold; {} in all", verdicts.len(), ms(now() - began));
    if arguments.keep {
        println!("\nLeft up:\n{}{}", lab.how_to_enter(), short.how_to_enter());
        println!("To ask a daemon: cargo run --release -- status --socket {}", lab.a_socket().display());
        println!("To remove it all: cargo run --release --example lab -- --clean");
        lab.keep();
        short.keep();
    }
    Ok(!verdicts.is_empty() && held == verdicts.len())
}

fn is_wanted(arguments: &Arguments, point: u8) -> bool {
    let Some(only) = &arguments.only else { return true };
    only.split(',').any(|n| n.trim().parse() == Ok(point))
}

fn what_it_looks_like(arguments: &Arguments) -> String {
    let (one, two, hub) =
        if arguments.ipv6 { ("fd00::2", "fd00::3", "fd00::1") } else { ("10.0.0.2", "10.0.0.3", "10.0.0.1") };
    format!(
        "vm1 11.0.0.10 -- [br-test] spoke1 {one} (VNI 100) --- hub {hub} --- (VNI 101) spoke2 {two} [br-test] 11.0.0.11"
    )
}
