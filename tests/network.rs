//! The daemon in real networks: a test for each point that `examples/lab.rs` proves, each with its own namespaces.
//!
//! They need root and iproute2; without root they say so and are skipped.
#![allow(clippy::disallowed_methods)]

mod lab;

use lab::by_hand::ByHand;
use lab::nodes::{Lab, Plan, Program};
use lab::report::Report;
use lab::{my_turn, scenes};
use std::path::PathBuf;

fn plan() -> Plan {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_dmevpn"));
    let program = Some(Program { path, variable: None });
    Plan { program, ipv6: false, holding_time: 600, negative_time: 60 }
}

fn in_picture(plan: &Plan, scene: impl FnOnce(&mut Lab) -> Report) {
    if let Some(_turn) = my_turn() {
        let mut lab = scenes::picture(plan).unwrap();
        demand(scene(&mut lab), &lab);
    }
}

/// Prints what was found, and ends the test if it is not what was promised.
fn demand(mut report: Report, lab: &Lab) {
    report.print();
    assert!(report.holds(), "point {} does not hold\n{}", report.point, lab.log_ends());
}

#[test]
fn first_contact() {
    in_picture(&plan(), scenes::first_contact);
}

#[test]
fn first_contact_over_ipv6() {
    in_picture(&Plan { ipv6: true, ..plan() }, scenes::first_contact);
}

#[test]
fn every_frame() {
    in_picture(&plan(), scenes::every_frame);
}

#[test]
fn every_frame_over_ipv6() {
    in_picture(&Plan { ipv6: true, ..plan() }, scenes::every_frame);
}

#[test]
fn separate_networks() {
    in_picture(&plan(), scenes::separate_networks);
}

#[test]
fn a_vm_moves() {
    in_picture(&plan(), scenes::a_vm_moves);
}

#[test]
fn ends() {
    in_picture(&plan(), |lab| {
        let mut short = scenes::short_lived(&plan()).unwrap();
        scenes::ends(lab, &mut short)
    });
}

#[test]
fn hub_restart() {
    in_picture(&plan(), scenes::hub_restart);
}

#[test]
fn silent_and_unknown() {
    if let Some(_turn) = my_turn() {
        let mut short = scenes::short_lived(&plan()).unwrap();
        demand(scenes::silent_and_unknown(&mut short), &short);
    }
}

#[test]
fn adding_a_spoke() {
    in_picture(&plan(), scenes::adding_a_spoke);
}

#[test]
fn many_spokes() {
    in_picture(&plan(), |lab| scenes::many_spokes(lab, 8));
}

#[test]
fn only_spokes_speak() {
    in_picture(&plan(), scenes::only_spokes_speak);
}

#[test]
fn only_spokes_speak_over_ipv6() {
    in_picture(&Plan { ipv6: true, ..plan() }, scenes::only_spokes_speak);
}

#[test]
fn blocked_path() {
    in_picture(&plan(), scenes::blocked_path);
}

fn at_several_hubs(plan: &Plan, scene: impl FnOnce(&mut Lab) -> Report) {
    if let Some(_turn) = my_turn() {
        let mut lab = scenes::several_hubs(plan).unwrap();
        demand(scene(&mut lab), &lab);
    }
}

#[test]
fn hub_lost() {
    at_several_hubs(&plan(), scenes::hub_lost);
}

#[test]
fn across_hubs() {
    at_several_hubs(&plan(), scenes::across_hubs);
}

#[test]
fn drained() {
    at_several_hubs(&plan(), scenes::drained);
}

#[test]
fn hubs_cut_over_ipv6() {
    at_several_hubs(&Plan { ipv6: true, ..plan() }, scenes::hubs_cut);
}

#[test]
fn hub_reboot() {
    in_picture(&plan(), scenes::hub_reboot);
}

#[test]
fn cable() {
    in_picture(&plan(), scenes::cable);
}

/// The laboratory itself: the scenes that need no daemon hold when the data plane is made by hand.
/// So a scene that fails with the daemon is the daemon's fault.
fn by_hand(ipv6: bool, scene: impl FnOnce(&mut Lab) -> Report) {
    in_picture(&Plan { program: None, ipv6, ..plan() }, |lab| {
        let network = ByHand::connect(lab).unwrap();
        let report = scene(lab);
        network.stop().unwrap();
        report
    });
}

#[test]
fn by_hand_first_contact() {
    by_hand(false, scenes::first_contact);
}

#[test]
fn by_hand_every_frame() {
    by_hand(false, scenes::every_frame);
}

#[test]
fn by_hand_every_frame_over_ipv6() {
    by_hand(true, scenes::every_frame);
}

#[test]
fn by_hand_separate_networks() {
    by_hand(false, scenes::separate_networks);
}

#[test]
fn by_hand_a_vm_moves() {
    by_hand(false, scenes::a_vm_moves);
}

/// Runs a scene in a network that is made wrong by one command at the hub, and wants the scene to see it.
fn by_hand_wrong(command: &str, scene: impl FnOnce(&mut Lab) -> Report) {
    let Some(_turn) = my_turn() else { return };
    let mut lab = scenes::picture(&Plan { program: None, ..plan() }).unwrap();
    let _network = ByHand::connect(&lab).unwrap();
    lab.node("hub").ns.ip(command).unwrap();
    let mut report = scene(&mut lab);
    report.print();
    assert!(!report.holds(), "the scene did not see what is wrong");
}

#[test]
fn by_hand_a_leak_between_vns_is_seen() {
    by_hand_wrong("link set dmevpn100201 master br-test", scenes::separate_networks);
}

#[test]
fn by_hand_a_returning_broadcast_is_seen() {
    by_hand_wrong("link set dmevpn100100 type bridge_slave hairpin on", scenes::every_frame);
}
