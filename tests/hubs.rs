//! Spokes of several hubs: at one at a time, and never without one for long. `DMEVPN_SEED` repeats a failure.

mod sim;

use dmevpn::engine::report::{SpokeReport, Standing, VnReport};
use dmevpn::engine::settings::{ClientSettings, HubKey, HubSettings, Hubs, Settings, VpnMode};
use dmevpn::engine::{Event, Input, Order, Place, WhyHub};
use dmevpn::types::Nbma;
use dmevpn::wire::probe::flag;
use sim::build::*;
use sim::{Link, Net, NodeId, Sim, seed};
use std::time::Duration;

const HOLDING: u64 = 120;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// Frames of a conversation.
const OFTEN: Duration = Duration::from_millis(20);
/// How long nothing may arrive while a hub is lost.
const DARK: Duration = Duration::from_millis(4500);

fn role(hubs: usize, n: u32) -> ClientSettings {
    let hubs = (HUB.0..).take(hubs).map(HubKey);
    ClientSettings { hubs: Hubs::new(hubs).unwrap(), ..spoke_role(n) }
}

fn with(hubs: usize, role: ClientSettings) -> Settings {
    let mut settings = settings(HOLDING, [(VN, vn_settings(VN, Part::Spoke(role)))], VpnMode::Llc);
    settings.hubs = (HUB.0..).take(hubs).map(|n| (HubKey(n), HubSettings::default())).collect();
    settings
}

/// Hubs, nodes 0 and up, whose bridges are one Ethernet, and `spokes` of all of them, with a station behind each.
fn world(hubs: usize, spokes: usize) -> Sim {
    let mut sim = Sim::new(seed(), Net::GOOD);
    let addresses: Vec<Nbma> = (0..hubs).map(hub_nbma).collect();
    for nbma in &addresses {
        sim.add(&[*nbma], hub_settings(HOLDING), None);
    }
    sim.cables = (0..hubs).flat_map(|a| (0..a).map(move |b| (b, a))).collect();
    for n in 0..spokes {
        let id = sim.add_to(&[spoke_nbma(n)], with(hubs, role(hubs, 100 + n as u32 % 7)), &addresses);
        sim.settle(station(id), id, VN);
    }
    sim.until(10 * SECOND, "registering", |sim| {
        (hubs..hubs + spokes).all(|id| sim.registered(id, VN) && at(sim, id) == 0)
    });
    sim
}

fn report(sim: &Sim, id: NodeId) -> SpokeReport {
    match sim.nodes[id].engine.report(sim.now, VN) {
        Some(VnReport::Spoke(report)) => report,
        other => panic!("{other:?}"),
    }
}

/// Which hub a spoke is at.
fn at(sim: &Sim, id: NodeId) -> usize {
    usize::from(sim.nodes[id].engine.hub(VN).unwrap().0 - HUB.0)
}

/// The hubs that have a port for the spoke.
fn ports(sim: &Sim, hubs: usize, id: NodeId) -> Vec<usize> {
    let nbma = sim.nodes[id].addresses[0];
    (0..hubs).filter(|hub| sim.plane(*hub, VN).ports.keys().any(|spoke| spoke.nbma == nbma)).collect()
}

/// A station at hub `hub` talks with that of the first spoke.
fn talk(sim: &mut Sim, hubs: usize, hub: usize) {
    sim.settle(station(500), hub, VN);
    sim.converse(station(hubs), station(500), OFTEN, 1000 * MINUTE);
    // Probes are frequent once it is known that frames pass.
    sim.run_secs(20);
    sim.forget_gaps();
}

fn chosen(sim: &Sim, id: NodeId) -> Vec<WhyHub> {
    let all = sim.nodes[id].told.iter();
    all.filter_map(|(_, _, event)| match event {
        Event::HubChosen { why, .. } => Some(*why),
        _ => None,
    })
    .collect()
}

#[test]
fn others_stand_by_and_keep_nothing() {
    let mut sim = world(3, 2);
    sim.run_secs(300);
    assert_eq!((ports(&sim, 3, 3), ports(&sim, 3, 4)), (vec![0], vec![0]));
    let rows = report(&sim, 3).hubs;
    assert_eq!(
        rows.iter().map(|row| (row.is_active, row.answers)).collect::<Vec<_>>(),
        [(true, true), (false, true), (false, true)]
    );
    assert!(rows.iter().all(|row| row.answered.is_some_and(|ago| ago <= 15)), "{rows:?}");
    // One question in about ten seconds, and the refresh of the registration.
    assert!((50..120).contains(&sim.nodes[3].sent), "{}", sim.nodes[3].sent);
    assert!(chosen(&sim, 3).is_empty());
    // One that is silent is told, once.
    let told = |sim: &Sim, is: bool| {
        sim.told(3, |event| matches!(event, Event::HubStandsBy { answers, .. } if *answers == is))
    };
    sim.nodes[1].alive = false;
    sim.run_secs(300);
    assert_eq!((told(&sim, false), told(&sim, true), report(&sim, 3).hubs[1].answers), (1, 0, false));
    sim.nodes[1].alive = true;
    sim.run_secs(20);
    assert_eq!((told(&sim, false), told(&sim, true), report(&sim, 3).hubs[1].answers), (1, 1, true));
}

#[test]
fn a_hub_that_vanishes_is_left_in_time_and_returned_to_with_few_lost() {
    let mut sim = world(2, 3);
    talk(&mut sim, 2, 1);
    sim.nodes[0].alive = false;
    sim.run_secs(10);
    let gap = sim.longest_gap();
    println!("the longest gap: {gap:?}");
    sim.check(gap <= DARK, || format!("nothing arrived for {gap:?}"));
    assert_eq!((at(&sim, 2), chosen(&sim, 2)), (1, vec![WhyHub::PathDown]));
    assert!(sim.registered(2, VN));
    assert!(!report(&sim, 2).hubs[0].answers);
    // It is back, with nothing.
    sim.run_secs(100);
    sim.nodes[0].alive = true;
    sim.reboot(0);
    sim.run_secs(100);
    assert_eq!(at(&sim, 2), 1, "it has to be there for longer");
    assert!(report(&sim, 2).hubs[0].answers);
    let lost = sim.frames_lost();
    sim.until(100 * SECOND, "returning", |sim| (2..5).all(|id| at(sim, id) == 0));
    sim.run_secs(10);
    assert!(sim.frames_lost() <= lost + 2, "{} lost", sim.frames_lost() - lost);
    assert_eq!(chosen(&sim, 2), [WhyHub::PathDown, WhyHub::Preferred]);
    assert!((2..5).all(|id| ports(&sim, 2, id) == [0]));
}

#[test]
fn a_hub_that_reboots_keeps_its_spokes() {
    let mut sim = world(2, 1);
    talk(&mut sim, 2, 0);
    sim.nodes[0].alive = false;
    sim.run(SECOND);
    sim.nodes[0].alive = true;
    sim.reboot(0);
    sim.run_secs(20);
    let gap = sim.longest_gap();
    println!("the longest gap: {gap:?}");
    sim.check(gap <= DARK, || format!("nothing arrived for {gap:?}"));
    assert_eq!((at(&sim, 2), chosen(&sim, 2), ports(&sim, 2, 2)), (0, vec![], vec![0]));
}

/// While a hub's daemon is exchanged its kernel goes on, and nobody leaves.
#[test]
fn a_daemon_that_is_exchanged_keeps_its_spokes() {
    let mut sim = world(2, 1);
    talk(&mut sim, 2, 0);
    sim.nodes[0].sleeps = true;
    sim.run(2500 * SECOND / 1000);
    sim.restart(0);
    sim.run_secs(60);
    assert_eq!((at(&sim, 2), chosen(&sim, 2), ports(&sim, 2, 2)), (0, vec![], vec![0]));
    assert!(sim.frames_lost() <= 2, "{} lost", sim.frames_lost());
}

#[test]
fn vxlan_that_is_blocked_one_way_is_a_reason_to_leave() {
    for way in [(2, 0), (0, 2)] {
        let mut sim = world(2, 1);
        talk(&mut sim, 2, 1);
        sim.link(way.0, way.1, Link::BLOCKED);
        sim.run_secs(10);
        let gap = sim.longest_gap();
        sim.check(gap <= DARK, || format!("nothing arrived for {gap:?}"));
        assert_eq!((at(&sim, 2), ports(&sim, 2, 2)), (1, vec![1]));
    }
}

/// What is lost on all ways is lost on the own line.
#[test]
fn an_own_line_that_fails_is_no_reason_to_leave() {
    let mut sim = world(2, 1);
    talk(&mut sim, 2, 0);
    for hub in 0..2 {
        sim.cut(2, hub);
    }
    sim.run_secs(60);
    assert_eq!(at(&sim, 2), 0);
    sim.cut.clear();
    sim.until(10 * SECOND, "being back", |sim| sim.registered(2, VN) && report(sim, 2).hub_trouble.is_none());
    sim.run_secs(20);
    assert_eq!((at(&sim, 2), chosen(&sim, 2), ports(&sim, 2, 2)), (0, vec![], vec![0]));
}

#[test]
fn the_first_hub_that_answers_is_taken_at_the_start() {
    let mut sim = Sim::new(seed(), Net::GOOD);
    let addresses: Vec<Nbma> = (0..3).map(hub_nbma).collect();
    for nbma in &addresses {
        sim.add(&[*nbma], hub_settings(HOLDING), None);
    }
    sim.nodes[0].alive = false;
    sim.nodes[1].alive = false;
    let id = sim.add_to(&[spoke_nbma(0)], with(3, role(3, 100)), &addresses);
    let took = sim.until(10 * SECOND, "registering", |sim| sim.registered(id, VN));
    assert!(took <= DARK, "{took:?}");
    assert_eq!((at(&sim, id), chosen(&sim, id)), (2, vec![WhyHub::Silent]));
    // A better one comes.
    sim.nodes[1].alive = true;
    sim.reboot(1);
    sim.until(4 * MINUTE, "going there", |sim| at(sim, id) == 1);
    sim.run_secs(5);
    assert_eq!(ports(&sim, 3, id), [1]);
    // The best one has to wait.
    sim.nodes[0].alive = true;
    sim.reboot(0);
    sim.run_secs(9 * 60);
    assert_eq!(at(&sim, id), 1);
    sim.until(4 * MINUTE, "going there", |sim| at(sim, id) == 0);
    sim.run_secs(5);
    assert_eq!(ports(&sim, 3, id), [0]);
}

#[test]
fn without_preempt_it_stays() {
    let mut sim = world(2, 1);
    sim.apply(2, with(2, ClientSettings { preempt: false, ..role(2, 100) }));
    talk(&mut sim, 2, 1);
    sim.nodes[0].alive = false;
    sim.run_secs(10);
    sim.nodes[0].alive = true;
    sim.reboot(0);
    sim.run_secs(30 * 60);
    assert_eq!((at(&sim, 2), ports(&sim, 2, 2)), (1, vec![1]));
}

#[test]
fn a_hub_that_has_no_room_is_left_and_not_returned_to() {
    let full = || {
        let mut settings = hub_settings(HOLDING);
        let vn = settings.vns.get_mut(&VN).unwrap();
        vn.server.as_mut().unwrap().max_spokes = 1;
        settings
    };
    let mut sim = world(2, 2);
    sim.apply(0, full());
    sim.until(10 * SECOND, "going", |sim| (2..4).filter(|id| at(sim, *id) == 1).count() == 1);
    sim.run_secs(15 * 60);
    assert_eq!((2..4).filter(|id| at(&sim, *id) == 1 && sim.registered(*id, VN)).count(), 1);
}

#[test]
fn a_way_that_is_lost_leads_to_another_hub() {
    let mut sim = world(2, 1);
    let path = sim.nodes[2].hubs[&HUB];
    sim.set_way(2, None);
    let took = sim.until(5 * SECOND, "going", |sim| at(sim, 2) == 1 && sim.registered(2, VN));
    assert!(took <= SECOND, "{took:?}");
    assert_eq!(chosen(&sim, 2), [WhyHub::NoWay]);
    sim.set_way(2, Some(path));
    sim.until(4 * MINUTE, "returning", |sim| at(sim, 2) == 0);
    sim.run_secs(5);
    assert_eq!(ports(&sim, 2, 2), [0]);
}

/// Hubs die, come back, lose their way to spokes; whatever happens, a spoke is soon at one that it reaches.
#[test]
fn never_without_a_hub_for_long() {
    let mut sim = world(3, 3);
    talk(&mut sim, 3, 2);
    for _ in 0..25 {
        let hub = sim.chance(2);
        let spoke = 3 + sim.chance(3);
        match sim.chance(4) {
            0 => sim.nodes[hub].alive = false,
            1 => sim.cut(hub, spoke),
            2 => sim.link(hub, spoke, Link::BLOCKED),
            _ => sim.link(spoke, hub, Link::BLOCKED),
        }
        sim.run_secs(15);
        for id in 3..6 {
            let registered = matches!(report(&sim, id).standing, Standing::Registered { .. });
            let (hub, is_well) = (at(&sim, id), report(&sim, id).hub_trouble.is_none());
            sim.check(registered && is_well, || format!("{id} is not well at {hub}: {:?}", report(&sim, id)));
        }
        for hub in 0..2 {
            if !sim.nodes[hub].alive {
                sim.nodes[hub].alive = true;
                sim.reboot(hub);
            }
        }
        sim.cut.clear();
        sim.links.clear();
        let rest = sim.chance(400);
        sim.run_secs(10 + rest as u64);
    }
    let gap = sim.longest_gap();
    println!("the longest gap: {gap:?}");
    sim.check(gap <= DARK, || format!("nothing arrived for {gap:?}"));
    sim.run_secs(15 * 60);
    for id in 3..6 {
        assert_eq!((at(&sim, id), ports(&sim, 3, id)), (0, vec![0]));
    }
}

/// The commonest fault of a firewall: NHRP passes, VXLAN does not, to none of the hubs.
#[test]
fn where_vxlan_passes_to_no_hub_it_does_not_go_to_and_fro() {
    let mut sim = world(2, 1);
    talk(&mut sim, 2, 1);
    for hub in 0..2 {
        sim.link(hub, 2, Link::BLOCKED);
    }
    sim.run_secs(600);
    assert!((1..=8).contains(&chosen(&sim, 2).len()), "{:?}", chosen(&sim, 2));
    sim.run_secs(30);
    sim.links.clear();
    let well = |sim: &Sim| sim.registered(2, VN) && report(sim, 2).hub_trouble.is_none();
    sim.until(70 * SECOND, "being back", well);
}

/// A hub that did not hear that it was left hears it once it is there again.
#[test]
fn a_way_that_was_cut_leaves_no_port_behind() {
    let mut sim = world(2, 1);
    talk(&mut sim, 2, 1);
    sim.cut(2, 0);
    sim.run_secs(10);
    assert_eq!((at(&sim, 2), ports(&sim, 2, 2)), (1, vec![0, 1]));
    sim.cut.clear();
    sim.run_secs(15);
    assert_eq!((at(&sim, 2), ports(&sim, 2, 2)), (1, vec![1]));
}

/// Where frames do not pass to the preferred hub it is returned to less and less often.
#[test]
fn a_return_in_vain_is_rare() {
    let mut sim = world(2, 1);
    talk(&mut sim, 2, 1);
    sim.link(0, 2, Link::BLOCKED);
    sim.run_secs(2 * 60 * 60);
    let returns = chosen(&sim, 2).iter().filter(|why| **why == WhyHub::Preferred).count();
    assert!((1..=4).contains(&returns), "{:?}", chosen(&sim, 2));
    let next: Vec<Option<u64>> = report(&sim, 2).hubs.iter().map(|row| row.next_return).collect();
    assert!(matches!(next[..], [Some(1..=4800), None]), "{next:?}");
    assert_eq!(at(&sim, 2), 1);
}

/// A hub that sends its spokes away for an hour is returned to less and less often, too.
#[test]
fn a_hub_that_goes_on_sending_away_is_left_alone() {
    let mut sim = world(2, 1);
    sim.input(0, Input::Order(Order::Drain { vn: VN, is_on: true }));
    sim.run_secs(60 * 60);
    let returns = chosen(&sim, 2).iter().filter(|why| **why == WhyHub::Preferred).count();
    assert!((1..=3).contains(&returns), "{:?}", chosen(&sim, 2));
    sim.input(0, Input::Order(Order::Drain { vn: VN, is_on: false }));
    sim.until(90 * MINUTE, "returning", |sim| at(sim, 2) == 0);
}

/// A hub sends its spokes away, and to the next one VXLAN does not pass: it is tried, but seldom, and stayed at once frames get there.
#[test]
fn who_is_sent_where_vxlan_does_not_pass_stays() {
    for ways in [vec![(1, 2)], vec![(2, 1)], vec![(1, 2), (2, 1)]] {
        let mut sim = world(2, 1);
        talk(&mut sim, 2, 0);
        ways.iter().for_each(|way| sim.link(way.0, way.1, Link::BLOCKED));
        sim.input(0, Input::Order(Order::Drain { vn: VN, is_on: true }));
        let before = (sim.frames_sent, sim.frames_arrived);
        sim.run_secs(600);
        let (sent, arrived) = (sim.frames_sent - before.0, sim.frames_arrived - before.1);
        assert!((2..=5).contains(&chosen(&sim, 2).len()), "{:?}", chosen(&sim, 2));
        sim.check(arrived * 10 >= sent * 9, || format!("{arrived} of {sent} frames arrived"));
        sim.links.clear();
        sim.until(300 * SECOND, "going", |sim| at(sim, 2) == 1);
        sim.run_secs(120);
        assert_eq!((at(&sim, 2), ports(&sim, 2, 2)), (1, vec![1]));
    }
}

/// With a third hub it is soon there.
#[test]
fn who_is_sent_where_vxlan_does_not_pass_goes_on() {
    let mut sim = world(3, 1);
    talk(&mut sim, 3, 2);
    sim.links(1, 3, Link::BLOCKED);
    sim.input(0, Input::Order(Order::Drain { vn: VN, is_on: true }));
    sim.until(20 * SECOND, "going", |sim| at(sim, 3) == 2);
    assert_eq!(chosen(&sim, 3), [WhyHub::Drained, WhyHub::PathDown]);
    sim.run_secs(100);
    assert_eq!((at(&sim, 3), ports(&sim, 3, 3)), (2, vec![2]));
    // Nor is one that is known for that the first choice when the present one is lost.
    sim.input(0, Input::Order(Order::Drain { vn: VN, is_on: false }));
    sim.until(40 * MINUTE, "returning", |sim| at(sim, 3) == 0);
    sim.run_secs(70);
    let before = chosen(&sim, 3).len();
    let path = sim.nodes[3].hubs[&HUB];
    sim.set_way(3, None);
    sim.run_secs(20);
    assert_eq!((at(&sim, 3), chosen(&sim, 3)[before..].to_vec()), (2, vec![WhyHub::NoWay]));
    sim.set_way(3, Some(path));
}

/// Two names for one address are one hub; once they are not, the second is one of its own.
#[test]
fn a_name_that_stood_for_another_hub_is_one_of_its_own_later() {
    let mut sim = world(2, 1);
    let (first, second) = (HubKey(HUB.0), HubKey(HUB.0 + 1));
    let path = sim.nodes[2].hubs[&first];
    let other = sim.nodes[2].hubs[&second];
    sim.set_peer(2, second, Some(path));
    sim.run_secs(30);
    let ways = |sim: &Sim| report(sim, 2).hubs.iter().map(|row| row.nbma).collect::<Vec<_>>();
    assert_eq!(ways(&sim), [Some(path.remote), None]);
    // The first name's address changes, the second one's does not.
    sim.set_peer(2, first, Some(other));
    sim.run_secs(30);
    assert_eq!(ways(&sim), [Some(other.remote), Some(path.remote)]);
    assert!(sim.registered(2, VN) && report(&sim, 2).hubs.iter().all(|row| row.answers));
}

/// A hub that is gone to hears of all MACs at once.
#[test]
fn the_next_hub_knows_all_macs_soon() {
    let mut sim = world(2, 1);
    sim.apply(2, with(2, ClientSettings { max_macs: 4000, ..role(2, 100) }));
    let all: Vec<_> = (1000..3000).map(station).collect();
    for mac in &all {
        sim.settle(*mac, 2, VN);
        sim.frame(*mac, None);
    }
    sim.run_secs(60);
    sim.nodes[0].alive = false;
    sim.until(20 * SECOND, "going", |sim| at(sim, 2) == 1);
    sim.run(3 * SECOND / 2);
    let is_known = |mac: &&_| matches!(sim.plane(1, VN).fdb.place(**mac), Some(Place::At(_)));
    assert_eq!(all.iter().filter(is_known).count(), all.len());
}

/// What a hub's kernel sends whose daemon is dead is not taken from the moment that it is left.
#[test]
fn a_kernel_whose_daemon_is_dead_is_not_heard() {
    let mut sim = world(2, 1);
    sim.run_secs(70);
    talk(&mut sim, 2, 1);
    sim.nodes[0].sleeps = true;
    sim.until(10 * SECOND, "going", |sim| at(sim, 2) == 1);
    let plane = sim.nodes[2].engine.plane(VN).unwrap();
    assert!(!plane.sources().any(|source| source == hub_nbma(0)));
}

#[test]
fn a_hub_that_sends_its_spokes_away_loses_few() {
    let mut sim = world(2, 3);
    talk(&mut sim, 2, 1);
    sim.input(0, Input::Order(Order::Drain { vn: VN, is_on: true }));
    let took = sim.until(10 * SECOND, "going", |sim| (2..5).all(|id| at(sim, id) == 1));
    sim.run_secs(20);
    assert!(took < 7 * SECOND && (2..5).all(|id| ports(&sim, 2, id) == [1]), "{took:?}");
    assert_eq!(chosen(&sim, 2), [WhyHub::Drained]);
    // Two may be on their way, and one or two were on the cable when the port went.
    assert!(sim.frames_lost() <= 4, "{} lost", sim.frames_lost());
    // Nobody returns, and nobody stays who has no other.
    sim.input(0, Input::Order(Order::Drain { vn: VN, is_on: false }));
    sim.run_secs(9 * 60);
    assert!((2..5).all(|id| at(&sim, id) == 1));
    sim.until(5 * MINUTE, "returning", |sim| (2..5).all(|id| at(sim, id) == 0));
    sim.input(0, Input::Order(Order::Drain { vn: VN, is_on: true }));
    sim.nodes[1].alive = false;
    sim.run_secs(300);
    assert!((2..5).all(|id| at(&sim, id) == 0 && sim.registered(id, VN)));
}

/// What a spoke sends until its kernel has the new hub is for the one before, which keeps its port as long as that is not withdrawn.
#[test]
fn a_hub_is_left_once_the_kernel_sends_by_the_other() {
    let mut sim = world(2, 1);
    sim.run_secs(20);
    sim.input(0, Input::Order(Order::Drain { vn: VN, is_on: true }));
    let withdrawn = |sim: &Sim| sim.nodes[2].engine.statistics().tx_purge_req;
    let step = |sim: &mut Sim| sim.run(Duration::from_millis(1));
    let start = sim.now;
    while at(&sim, 2) == 0 {
        step(&mut sim);
        sim.check(sim.now.since(start) < 10 * SECOND, || "it stays".into());
    }
    assert_eq!(withdrawn(&sim), 0, "its kernel has not said that it sends elsewhere");
    step(&mut sim);
    assert_eq!(withdrawn(&sim), 1);
    sim.run_secs(1);
    assert_eq!((withdrawn(&sim), ports(&sim, 2, 2)), (1, vec![1]));
}

/// Somebody on the path can change answers to probes, which nobody signs: that moves no spoke.
#[test]
fn flags_that_were_forged_move_nobody() {
    for forged in [flag::DRAINING, flag::LOST_PEER, flag::DRAINING | flag::LOST_PEER] {
        let mut sim = world(2, 1);
        sim.link(1, 2, Link { forged, ..Link::default() });
        // At the one with the higher address, too.
        sim.nodes[0].alive = false;
        sim.until(20 * SECOND, "going", |sim| at(sim, 2) == 1);
        sim.nodes[0].alive = true;
        sim.reboot(0);
        sim.run_secs(60);
        assert_eq!((at(&sim, 2), chosen(&sim, 2)), (1, vec![WhyHub::PathDown]));
        // It asked whether that is so, but not all the time.
        let before = sim.nodes[2].sent;
        sim.run_secs(50);
        assert!(sim.nodes[2].sent - before <= 14, "{}", sim.nodes[2].sent - before);
    }
}

/// A packet of a hub that was left is not believed.
#[test]
fn nothing_of_a_hub_that_was_left_is_believed() {
    let mut sim = world(2, 2);
    sim.converse(station(2), station(3), OFTEN, 1000 * MINUTE);
    sim.until(10 * SECOND, "the shortcut", |sim| sim.shortcut(2, VN, station(3)).is_some());
    sim.run_secs(10);
    sim.nodes[0].alive = false;
    sim.run_secs(20);
    assert_eq!((at(&sim, 2), at(&sim, 3)), (1, 1));
    // What went straight goes on.
    sim.forget_gaps();
    sim.run_secs(60);
    assert!(sim.longest_gap() < SECOND, "{:?}", sim.longest_gap());
    assert!(sim.shortcut(2, VN, station(3)).is_some());
}

/// The daemon of a spoke starts while there is no way to the hub that it prefers, as if its name was not known: sites that talk are asked
/// for all the same.
#[test]
fn who_talks_is_asked_for_though_the_first_hub_has_no_way() {
    let mut sim = world(2, 2);
    sim.converse(station(2), station(3), OFTEN, 1000 * MINUTE);
    sim.run_secs(20);
    sim.nodes[2].hubs.remove(&HUB);
    sim.restart(2);
    // As the shell does once it has found the device.
    sim.list(2, VN);
    sim.until(20 * SECOND, "registering", |sim| sim.registered(2, VN) && at(sim, 2) == 1);
    let wanted = |sim: &Sim| sim.nodes[2].engine.plane(VN).unwrap().shortcut(station(3)).is_some();
    sim.until(20 * SECOND, "asking", wanted);
}
