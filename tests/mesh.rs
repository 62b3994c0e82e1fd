//! Several hubs in virtual time: one switch, many boxes. `DMEVPN_SEED` repeats a failure.

mod sim;

use dmevpn::engine::report::{PathState, Trouble, VnReport};
use dmevpn::engine::settings::{HubKey, Settings};
use dmevpn::engine::{Event, Input, News, Order, Passing, Path, Place, Port, WhyHub};
use dmevpn::types::{Nbma, Vtep};
use sim::build::*;
use sim::{Link, Net, NodeId, Sim, seed};
use std::time::Duration;

const HOLDING: u64 = 120;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Hub `n` of so many: all others are its peers.
fn hub_of(n: usize, hubs: usize) -> Settings {
    settings_of_hub(HOLDING, n, hubs)
}

/// So many hubs, nodes 0 and up, each with so many spokes with one station each: station `id` at node `id`.
fn mesh(seed: u64, net: Net, hubs: usize, spokes: usize) -> Sim {
    let mut sim = Sim::new(seed, net);
    add_hubs(&mut sim, HOLDING, hubs);
    for n in 0..hubs * spokes {
        let id = hubs + n;
        let added =
            sim.add(&[spoke_nbma(id)], spoke_settings(HOLDING, 100 + id as u32), Some(hub_nbma(n % hubs)));
        assert_eq!(added, id);
        sim.settle(station(id), id, VN);
    }
    sim.until(20 * MINUTE, "registering", |sim| (hubs..sim.nodes.len()).all(|id| sim.registered(id, VN)));
    sim.until(MINUTE, "linking the hubs", |sim| (0..hubs).all(|id| linked(sim, id) == hubs - 1));
    sim
}

/// To how many other hubs one has ports, which are open.
fn linked(sim: &Sim, hub: NodeId) -> usize {
    let is_open = |port: &&Port| port.is_hubs && port.passing == Passing::All;
    sim.plane(hub, VN).ports.values().filter(is_open).count()
}

/// A broadcast of a station is heard once at each other one, and not at its own.
fn one_copy_each(sim: &mut Sim, hubs: usize, from: NodeId) {
    sim.heard.clear();
    sim.frame(station(from), None);
    sim.run_secs(1);
    for id in hubs..sim.nodes.len() {
        let copies = sim.heard.get(&(id, station(from))).copied().unwrap_or(0);
        // At its own site it is heard as it is sent.
        sim.check(copies == 1, || format!("{copies} copies of a broadcast of {from} at {id}"));
    }
}

fn has_shortcut(sim: &Sim, asker: NodeId, other: NodeId) -> bool {
    let shortcut = sim.shortcut(asker, VN, station(other));
    shortcut.is_some() && shortcut == sim.right(asker, station(other))
}

#[test]
fn of_each_broadcast_there_is_one_copy_at_each_station() {
    for hubs in 1..=4 {
        let mut sim = mesh(seed(), Net::GOOD, hubs, 2);
        for from in hubs..sim.nodes.len() {
            one_copy_each(&mut sim, hubs, from);
        }
        sim.check_kernel_is_as_wanted();
    }
}

#[test]
fn spokes_of_different_hubs_talk_directly_and_lose_nothing() {
    let mut sim = mesh(seed(), Net::GOOD, 3, 3);
    let (a, b) = (3, 4);
    sim.run_secs(5);
    sim.converse(station(a), station(b), SECOND / 10, 10 * MINUTE);
    let took = sim.until(20 * SECOND, "a shortcut", |sim| has_shortcut(sim, a, b) && has_shortcut(sim, b, a));
    sim.check(took < 2 * SECOND, || format!("a shortcut took {took:?}"));
    let by_hub = sim.frames_by_hub;
    sim.run_secs(9 * 60);
    sim.check(has_shortcut(&sim, a, b) && has_shortcut(&sim, b, a), || "it is not renewed".into());
    sim.check(sim.frames_by_hub - by_hub < 200, || format!("{} by a hub", sim.frames_by_hub - by_hub));
    sim.run_secs(60);
    assert_eq!(sim.frames_lost(), 0);
    sim.check_kernel_is_as_wanted();
}

#[test]
fn a_mac_moves_between_sites_of_different_hubs() {
    let mut sim = mesh(seed(), Net::GOOD, 3, 3);
    let (asker, old, new) = (3, 4, 5);
    let mac = station(old);
    sim.converse(station(asker), mac, SECOND / 10, 10 * MINUTE);
    sim.until(20 * SECOND, "a shortcut", |sim| has_shortcut(sim, asker, old));
    sim.unplug(mac);
    sim.settle(mac, new, VN);
    sim.talk(mac, None, 2 * SECOND, 30 * SECOND);
    let took = sim.until(20 * SECOND, "the new shortcut", |sim| has_shortcut(sim, asker, old));
    sim.check(took < 4 * SECOND, || format!("it took {took:?}"));
    // And back to a site of the asker's own hub.
    sim.unplug(mac);
    sim.settle(mac, 6, VN);
    sim.talk(mac, None, 2 * SECOND, 30 * SECOND);
    sim.until(20 * SECOND, "the newest shortcut", |sim| has_shortcut(sim, asker, old));
    for from in [3, 5, 7, 8, 11] {
        one_copy_each(&mut sim, 3, from);
    }
}

/// Each of two hubs has a MAC behind the other one, as for a moment after a fail-over: who asks then is told that nobody knows it,
/// and hears otherwise once its own hub does.
#[test]
fn who_asked_while_hubs_took_a_mac_for_each_others_hears_of_it() {
    let mut sim = mesh(seed(), Net::GOOD, 2, 2);
    let (here, asker) = (2, 3);
    let mac = station(here);
    let at = |sim: &Sim, nbma: Nbma| *sim.plane(0, VN).ports.keys().find(|at| at.nbma == nbma).unwrap();
    let is_at = |sim: &mut Sim, place| {
        sim.input(0, Input::News { vn: VN, news: News::Fdb { mac, place: Place::At(place) } });
    };
    sim.run_secs(5);
    sim.frame(mac, None);
    sim.run_secs(5);
    let (hub, spoke) = (at(&sim, hub_nbma(1)), at(&sim, spoke_nbma(here)));
    is_at(&mut sim, hub);
    sim.run_secs(1);
    sim.input(asker, Input::Order(Order::Flush { vn: Some(VN), mac: Some(mac) }));
    sim.input(asker, Input::Order(Order::Resolve { vn: VN, mac }));
    sim.run_secs(3);
    assert_eq!(sim.shortcut(asker, VN, mac), None, "nobody knows it");
    is_at(&mut sim, spoke);
    sim.until(3 * SECOND, "hearing of it", |sim| has_shortcut(sim, asker, here));
}

/// A station that leaves with its port and says nothing where it is now is found there, though that is behind another hub.
#[test]
fn a_silent_mac_moves_between_sites_of_different_hubs() {
    let mut sim = mesh(seed(), Net::GOOD, 3, 3);
    let (asker, old) = (3, 4);
    let mac = station(old);
    sim.run_secs(5);
    sim.converse(station(asker), mac, SECOND / 10, 20 * SECOND);
    sim.talk(station(asker), Some(mac), SECOND / 10, 10 * MINUTE);
    sim.until(20 * SECOND, "a shortcut", |sim| has_shortcut(sim, asker, old));
    sim.run_secs(30);
    // Of the asker's hub, and of a third one.
    for new in [6, 5] {
        sim.unplug(mac);
        sim.run_secs(3);
        sim.settle(mac, new, VN);
        let before = (sim.frames_sent, sim.frames_arrived);
        sim.run_secs(20);
        let (sent, arrived) = (sim.frames_sent - before.0, sim.frames_arrived - before.1);
        sim.check(arrived + 30 > sent, || format!("{arrived} of {sent} frames arrived at {new}"));
        // It answers after all.
        sim.talk(mac, Some(station(asker)), SECOND / 10, 20 * SECOND);
        sim.run_secs(25);
    }
}

/// Whoever asked is told hop by hop that a spoke is gone.
#[test]
fn a_spoke_of_another_hub_dies() {
    let mut sim = mesh(seed(), Net::GOOD, 2, 2);
    let (a, b) = (2, 3);
    sim.converse(station(a), station(b), SECOND / 10, 2 * MINUTE);
    sim.until(20 * SECOND, "a shortcut", |sim| has_shortcut(sim, a, b));
    sim.nodes[b].alive = false;
    sim.cut(0, b);
    sim.cut(1, b);
    sim.until(5 * MINUTE, "the end of the shortcut", |sim| sim.shortcut(a, VN, station(b)).is_none());
}

/// A hub that is started again takes its ports over; one that is rebooted is linked again.
#[test]
fn hubs_that_are_started_again_are_linked_again() {
    let mut sim = mesh(seed(), Net::GOOD, 3, 2);
    for hub in 0..3 {
        sim.restart(hub);
        sim.run_secs(1);
        sim.check(linked(&sim, hub) == 2, || format!("hub {hub} has {} links", linked(&sim, hub)));
        sim.run_secs(30);
        for from in 3..sim.nodes.len() {
            one_copy_each(&mut sim, 3, from);
        }
        assert_eq!((0..3).map(|id| linked(&sim, id)).sum::<usize>(), 6);
    }
    for hub in 0..3 {
        sim.reboot(hub);
        sim.until(15 * SECOND, "linking the hubs", |sim| (0..3).all(|id| linked(sim, id) == 2));
    }
    sim.run_secs(300);
    for from in 3..sim.nodes.len() {
        one_copy_each(&mut sim, 3, from);
    }
    sim.check_kernel_is_as_wanted();
}

/// What a hub of two that do not hear of each other has for the other goes, and comes again.
#[test]
fn hubs_that_are_cut_are_linked_again() {
    let mut sim = mesh(seed(), Net::GOOD, 3, 2);
    sim.cut(0, 1);
    sim.run_secs(30);
    assert_eq!((linked(&sim, 0), linked(&sim, 1), linked(&sim, 2)), (1, 1, 2));
    assert!(sim.told(0, |event| matches!(event, Event::HubDown { .. })) > 0);
    sim.cut.clear();
    let took = sim.until(2 * MINUTE, "linking", |sim| (0..3).all(|id| linked(sim, id) == 2));
    println!("linked again after {took:?}");
    for from in 3..sim.nodes.len() {
        one_copy_each(&mut sim, 3, from);
    }
}

/// What the ports of hubs to each other pass: from the first to the second, and back.
fn passing(sim: &Sim, (a, b): (NodeId, NodeId)) -> Vec<Passing> {
    let port = |from: NodeId, to: NodeId| {
        let ports = sim.plane(from, VN).ports.iter();
        ports.filter(move |(at, _)| at.nbma == hub_nbma(to)).map(|(_, port)| port.passing)
    };
    port(a, b).chain(port(b, a)).collect()
}

/// What is wrong with the path from one hub to another.
fn trouble(sim: &Sim, from: NodeId, to: NodeId) -> Option<Trouble> {
    let rows = sim.nodes[from].engine.paths(sim.now, VN, None, 10);
    let row = rows.iter().find(|row| row.peer.nbma == hub_nbma(to)).expect("there is a path");
    assert!(row.is_hub);
    match row.state {
        PathState::Up => None,
        PathState::Down(trouble) => Some(trouble),
        state => panic!("{state:?}"),
    }
}

fn path_events(sim: &Sim, hub: NodeId) -> usize {
    sim.told(hub, |event| matches!(event, Event::PathDown { .. }))
}

/// Who asks hears of it at once; spokes only once it is sure that the other hub is not just started anew.
#[test]
fn a_hub_that_is_cut_off_counts_as_linked_no_more() {
    let mut sim = mesh(seed(), Net::GOOD, 3, 0);
    let peers = |sim: &Sim, hub: NodeId| match sim.nodes[hub].engine.report(sim.now, VN) {
        Some(VnReport::Hub(report)) => report.peers,
        other => panic!("{other:?}"),
    };
    sim.run_secs(10);
    sim.cut(0, 1);
    sim.run_secs(5);
    assert_eq!([0, 1, 2].map(|hub| peers(&sim, hub)), [(1, 2), (1, 2), (2, 2)]);
    assert_eq!([0, 1].map(|hub| linked(&sim, hub)), [2, 2], "their ports stay");
    sim.cut.clear();
    sim.until(10 * SECOND, "counting them again", |sim| (0..3).all(|hub| peers(sim, hub) == (2, 2)));
}

/// One hub takes nothing of what the other one sends, and so answers it nothing either.
#[test]
fn hubs_of_which_one_sends_by_another_address_are_not_linked() {
    let mut sim = mesh(seed(), Net::GOOD, 3, 0);
    sim.run_secs(10);
    sim.link(1, 0, Link { is_translated: true, ..Link::default() });
    sim.until(10 * SECOND, "closing the ports", |sim| passing(sim, (0, 1)) == [Passing::Nothing; 2]);
    assert_eq!([trouble(&sim, 0, 1), trouble(&sim, 1, 0)], [Trouble::Strayed, Trouble::NhrpOnly].map(Some));
    sim.links.clear();
    sim.until(10 * SECOND, "opening the ports", |sim| passing(sim, (0, 1)) == [Passing::All; 2]);
}

/// A firewall between two hubs: the link is as good as none, at both ends, and all of it is back when it is open.
#[test]
fn hubs_between_which_vxlan_does_not_pass_are_not_linked() {
    for ways in [vec![(0, 1)], vec![(1, 0)], vec![(0, 1), (1, 0)]] {
        let mut sim = mesh(seed(), Net::GOOD, 3, 2);
        sim.run_secs(10);
        assert_eq!((trouble(&sim, 0, 1), trouble(&sim, 1, 0)), (None, None));
        ways.iter().for_each(|way| sim.link(way.0, way.1, Link::BLOCKED));
        let is_closed = |sim: &Sim| passing(sim, (0, 1)) == [Passing::Nothing; 2];
        let took = sim.until(10 * SECOND, "closing the ports", is_closed);
        sim.check((3 * SECOND..6 * SECOND).contains(&took), || format!("closed after {took:?}"));
        for (a, b) in [(0, 1), (1, 0)] {
            assert_eq!(trouble(&sim, a, b), Some(Trouble::NhrpOnly));
            assert_eq!((trouble(&sim, a, 2), path_events(&sim, a)), (None, 1));
        }
        sim.run_secs(300);
        assert!(is_closed(&sim), "NHRP goes on");
        assert_eq!((0..3).map(|id| linked(&sim, id)).sum::<usize>(), 4);
        // The third hub's spokes hear both.
        for from in [5, 8] {
            one_copy_each(&mut sim, 3, from);
        }
        sim.links.clear();
        let took =
            sim.until(10 * SECOND, "opening the ports", |sim| passing(sim, (0, 1)) == [Passing::All; 2]);
        sim.check(took < 3 * SECOND, || format!("open after {took:?}"));
        sim.run_secs(2);
        // Each knows again who is at the other, quiet as they may be.
        for (hub, other) in [(0, 1), (1, 0)] {
            let mac = sim.plane(other, VN).mac;
            let place = sim.plane(hub, VN).fdb.place(mac);
            assert!(matches!(place, Some(Place::At(at)) if at.nbma == hub_nbma(other)), "{place:?}");
        }
        for from in 3..sim.nodes.len() {
            one_copy_each(&mut sim, 3, from);
        }
        assert_eq!((trouble(&sim, 0, 1), path_events(&sim, 0)), (None, 1));
        sim.check_kernel_is_as_wanted();
    }
}

/// Spokes of hubs that do not reach each other meet at the lowest of those that live.
#[test]
fn spokes_of_hubs_that_vxlan_does_not_pass_between_meet() {
    let mut sim = mesh(seed(), Net::GOOD, 3, 0);
    // Two prefer each hub.
    add_choosers(&mut sim, &[[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2], [1, 2, 0], [2, 0, 1]]);
    let at = |sim: &Sim, id: NodeId| usize::from(sim.nodes[id].engine.hub(VN).unwrap().0 - HUB.0);
    sim.until(MINUTE, "registering", |sim| (3..9).all(|id| sim.registered(id, VN) && at(sim, id) == id % 3));
    sim.run_secs(20);
    sim.links(1, 2, Link::BLOCKED);
    let took =
        sim.until(20 * SECOND, "meeting", |sim| (3..9).all(|id| sim.registered(id, VN) && at(sim, id) == 0));
    println!("all meet after {took:?}");
    sim.run_secs(6);
    for from in 3..9 {
        one_copy_each(&mut sim, 3, from);
    }
    sim.links.clear();
    sim.until(30 * MINUTE, "returning", |sim| {
        (3..9).all(|id| sim.registered(id, VN) && at(sim, id) == id % 3)
    });
    sim.run_secs(10);
    for from in 3..9 {
        one_copy_each(&mut sim, 3, from);
    }
}

/// A spoke that starts anew goes to another hub than it was at. What it knew of that one leads to the one before, and would take there
/// what it announces.
#[test]
fn a_spoke_that_starts_at_another_hub_is_known_there() {
    let mut sim = mesh(seed(), Net::GOOD, 3, 0);
    add_choosers(&mut sim, &[[0, 1, 2]]);
    sim.nodes[0].alive = false;
    sim.run_secs(20);
    sim.nodes[0].alive = true;
    sim.reboot(0);
    sim.until(20 * SECOND, "linking the hubs", |sim| linked(sim, 0) == 2);
    sim.frame(station(3), None);
    sim.run_secs(5);
    let mac = sim.plane(0, VN).mac;
    sim.input(3, Input::Order(Order::Resolve { vn: VN, mac }));
    let leads_to =
        |sim: &Sim, hub: usize| sim.shortcut(3, VN, mac).is_some_and(|to| to.nbma == hub_nbma(hub));
    sim.until(5 * SECOND, "a shortcut to the hub's bridge", |sim| leads_to(sim, 1));
    sim.restart(3);
    let is_known = |sim: &Sim| {
        let place = sim.plane(0, VN).fdb.place(station(3));
        matches!(place, Some(Place::At(at)) if at.nbma == spoke_nbma(3))
    };
    sim.until(3 * SECOND, "being known", is_known);
    sim.until(3 * SECOND, "asking anew", |sim| leads_to(sim, 0));
}

/// What an earlier run left of another hub may be found after the registration.
#[test]
fn a_shortcut_to_a_hub_that_was_left_is_not_taken_over() {
    let mut sim = mesh(seed(), Net::GOOD, 3, 0);
    add_choosers(&mut sim, &[[0, 1, 2]]);
    for (hub, is_taken) in [(1, false), (7, true)] {
        let (mac, to) = (station(70 + hub), Vtep { nbma: hub_nbma(hub), vni: vni(7) });
        sim.input(3, Input::News { vn: VN, news: News::FoundShortcut { mac, to } });
        let wanted = sim.nodes[3].engine.plane(VN).unwrap().shortcut(mac);
        assert_eq!(wanted == Some(to), is_taken, "{wanted:?}");
    }
}

/// A hub that starts while it is cut off from the other knows what it has lost: who comes there goes where the others are.
#[test]
fn a_hub_that_starts_while_it_is_cut_off_sends_its_spokes_away() {
    let mut sim = mesh(seed(), Net::GOOD, 3, 0);
    add_choosers(&mut sim, &[[1, 0], [0, 1]]);
    [(0, 1), (0, 2), (1, 2)].into_iter().for_each(|(a, b)| sim.cut(a, b));
    let at = |sim: &Sim, id: NodeId| sim.nodes[id].engine.hub(VN).map(|hub| usize::from(hub.0 - HUB.0));
    sim.until(MINUTE, "meeting", |sim| (3..5).all(|id| at(sim, id) == Some(0)));
    // More than once: what it does not see is not forgotten.
    for _ in 0..2 {
        sim.reboot(1);
        sim.run_secs(5);
        sim.restart(3);
        sim.run_secs(60);
        assert_eq!((at(&sim, 3), at(&sim, 4)), (Some(0), Some(0)));
        one_copy_each(&mut sim, 3, 3);
    }
    // A hub that is none any more is not missed; the other one is.
    for (peers, is_at) in [(1, 0), (0, 1)] {
        sim.apply(1, hub_of(1, peers));
        for is_started in [false, true] {
            if is_started {
                sim.reboot(1);
            }
            sim.run_secs(30);
            sim.restart(3);
            sim.run_secs(60);
            assert_eq!(at(&sim, 3), Some(is_at), "{peers} {is_started}");
        }
    }
}

/// A line that loses three of ten probes, there or back, is no reason to close the link, nor for spokes to meet.
#[test]
fn a_link_that_loses_much_stays() {
    let mut sim = mesh(seed(), Net::GOOD, 2, 0);
    sim.run_secs(10);
    let loss = Link { loss: 16, ..Link::default() };
    sim.links(0, 1, loss);
    sim.run_secs(2 * 60 * 60);
    assert_eq!((path_events(&sim, 0), path_events(&sim, 1)), (0, 0));
}

/// A daemon that is exchanged keeps its links, though it answers nothing for a while.
#[test]
fn a_hub_whose_daemon_is_exchanged_keeps_its_links() {
    let mut sim = mesh(seed(), Net::GOOD, 2, 2);
    sim.run_secs(10);
    for _ in 0..3 {
        sim.nodes[0].sleeps = true;
        let wait = 3000 + sim.chance(5000) as u64;
        sim.run(Duration::from_millis(wait));
        sim.restart(0);
        for _ in 0..100 {
            sim.run(SECOND / 20);
            assert_eq!(passing(&sim, (0, 1)), [Passing::All; 2]);
        }
        sim.run_secs(20);
        assert_eq!((trouble(&sim, 0, 1), trouble(&sim, 1, 0)), (None, None));
    }
}

/// The stations of one hub's spokes that another hub knows to be there.
fn known(sim: &Sim, hub: NodeId, of: NodeId, hubs: usize) -> Vec<bool> {
    let there = (hubs..sim.nodes.len()).filter(|id| id % hubs == of);
    let place = |id: NodeId| sim.plane(hub, VN).fdb.place(station(id));
    there.map(|id| matches!(place(id), Some(Place::At(at)) if at.nbma == hub_nbma(of))).collect()
}

/// What was learned before two hubs are linked is told, though the port of one of them is there sooner than that of the other.
#[test]
fn hubs_that_are_linked_know_what_is_where() {
    let mut sim = mesh(seed(), Net::GOOD, 3, 2);
    for _ in 0..2 {
        sim.cut(0, 1);
        sim.run_secs(40);
        for id in 3..9 {
            sim.frame(station(id), None);
        }
        sim.run_secs(2);
        assert_eq!((known(&sim, 0, 1, 3), known(&sim, 1, 0, 3)), (vec![false; 2], vec![false; 2]));
        sim.cut.clear();
        sim.until(15 * SECOND, "linking", |sim| (0..3).all(|id| linked(sim, id) == 2));
        sim.run_secs(3);
        assert_eq!((known(&sim, 0, 1, 3), known(&sim, 1, 0, 3)), (vec![true; 2], vec![true; 2]));
        sim.run_secs(200);
    }
}

/// A hub that does not answer a claim is shut out, and what is behind it forgotten: it is told again when it answers.
#[test]
fn a_hub_that_was_shut_out_for_a_moment_tells_what_it_has() {
    let mut sim = mesh(seed(), Net::GOOD, 3, 2);
    for id in 3..9 {
        sim.frame(station(id), None);
    }
    sim.run_secs(5);
    sim.cut(0, 1);
    // A spoke of the third hub comes to the second one.
    sim.set_way(5, Some(Path { local: spoke_nbma(5), remote: hub_nbma(1) }));
    sim.run_secs(5);
    assert_eq!(linked(&sim, 1), 1);
    assert_eq!(known(&sim, 1, 0, 3), [false; 2]);
    sim.cut.clear();
    sim.run_secs(5);
    assert_eq!(linked(&sim, 1), 2);
    assert_eq!(known(&sim, 1, 0, 3), [true; 2]);
    assert_eq!(sim.told(1, |event| matches!(event, Event::HubDown { .. })), 0, "it was a moment");
}

/// With loss and packets twice and in disorder, too.
#[test]
fn hubs_in_bad_weather() {
    let mut sim = mesh(seed(), Net::BAD, 3, 10);
    let mut pairs = Vec::new();
    for _ in 0..20 {
        let (a, b) = (3 + sim.chance(30), 3 + sim.chance(30));
        if a != b {
            pairs.push((a, b));
            sim.converse(station(a), station(b), SECOND, 20 * MINUTE);
        }
    }
    let all = |sim: &Sim| pairs.iter().all(|&(a, b)| has_shortcut(sim, a, b) && has_shortcut(sim, b, a));
    sim.until(10 * MINUTE, "finding all shortcuts", all);
    sim.run_secs(240);
    sim.check_kernel_is_as_wanted();
}

/// No hub, no difference: a hub whose peers are nowhere does what one without does, octet for octet.
#[test]
fn a_hub_without_peers_is_as_before() {
    let seed = seed();
    let [alone, lonely] = [1, 3].map(|hubs| {
        let mut sim = Sim::new(seed, Net::BAD);
        sim.trace = true;
        sim.add(&[hub_nbma(0)], hub_of(0, hubs), None);
        for id in 1..6 {
            sim.add(&[spoke_nbma(id)], spoke_settings(HOLDING, 100 + id as u32), Some(hub_nbma(0)));
            sim.settle(station(id), id, VN);
        }
        sim.converse(station(1), station(2), SECOND, 5 * MINUTE);
        sim.talk(station(3), None, SECOND, 5 * MINUTE);
        sim.run_secs(60);
        sim.unplug(station(2));
        sim.settle(station(2), 4, VN);
        sim.restart(5);
        sim.run_secs(60);
        sim.restart(0);
        sim.run_secs(3 * 60);
        assert_eq!(linked(&sim, 0), 0);
        let is_of_hubs = |event: &Event| matches!(event, Event::HubUp { .. } | Event::Registered { .. });
        assert_eq!(sim.told(0, is_of_hubs), 0);
        sim.hash
    });
    assert_eq!(alone, lonely, "seed {seed}");
}

/// A spoke goes to another hub without a word to the first one: that one floods to it no more before the new one does.
#[test]
fn a_spoke_is_at_one_hub() {
    let mut sim = mesh(seed(), Net::GOOD, 3, 2);
    let spoke = 3;
    sim.run_secs(5);
    let path = |hub: usize| Path { local: spoke_nbma(spoke), remote: hub_nbma(hub) };
    for (from, to) in [(0, 1), (1, 2), (2, 0), (0, 2)] {
        sim.talk(station(4), None, SECOND / 50, 20 * SECOND);
        sim.heard.clear();
        // What it says to the old hub is lost.
        sim.cut(from, spoke);
        sim.set_way(spoke, Some(path(to)));
        sim.until(20 * SECOND, "registering", |sim| sim.registered(spoke, VN));
        // By then no other hub floods to it.
        sim.run(SECOND / 10);
        let flooding = |sim: &Sim| {
            let floods = |hub: NodeId| {
                let ports = sim.plane(hub, VN).ports.iter();
                let here = ports.filter(|(at, _)| at.nbma == spoke_nbma(spoke));
                here.filter(|(_, port)| port.passing == Passing::All).count()
            };
            (0..3).map(floods).collect::<Vec<_>>()
        };
        let expected: Vec<usize> = (0..3).map(|hub| usize::from(hub == to)).collect();
        sim.check(flooding(&sim) == expected, || format!("{:?} of {expected:?}", flooding(&sim)));
        sim.cut.clear();
        sim.run_secs(30);
        for from in 3..sim.nodes.len() {
            one_copy_each(&mut sim, 3, from);
        }
        let ports: usize = (0..3).map(|hub| sim.plane(hub, VN).ports.len()).sum();
        assert_eq!(ports, 6 + 6, "each spoke has a port at one hub");
        sim.check_kernel_is_as_wanted();
    }
}

/// A hub that did not hear of a claim, since it was cut off, does when it is back.
#[test]
fn a_hub_that_is_back_hears_who_went() {
    let mut sim = mesh(seed(), Net::GOOD, 2, 2);
    let spoke = 2;
    sim.run_secs(5);
    // Hub 0 and its daemon are cut off from everybody.
    for other in 1..sim.nodes.len() {
        sim.cut(0, other);
    }
    sim.set_way(spoke, Some(Path { local: spoke_nbma(spoke), remote: hub_nbma(1) }));
    sim.until(20 * SECOND, "registering", |sim| sim.registered(spoke, VN));
    sim.run_secs(20);
    sim.cut.clear();
    sim.until(20 * SECOND, "linking", |sim| linked(sim, 0) == 1 && linked(sim, 1) == 1);
    sim.run_secs(10);
    let has_port = |hub: NodeId| sim.plane(hub, VN).ports.keys().any(|at| at.nbma == spoke_nbma(spoke));
    assert!(!has_port(0) && has_port(1));
    for from in 2..sim.nodes.len() {
        one_copy_each(&mut sim, 2, from);
    }
}

/// A hub that another one does not list is not taken for a spoke, and is linked once it is listed.
#[test]
fn a_hub_that_is_no_peer_yet_is_no_spoke() {
    let mut sim = Sim::new(seed(), Net::GOOD);
    add_hubs(&mut sim, HOLDING, 3);
    // The last one knows nobody yet.
    sim.apply(2, hub_of(0, 1));
    for id in 3..6 {
        sim.add(&[spoke_nbma(id)], spoke_settings(HOLDING, 100 + id as u32), Some(hub_nbma(id - 3)));
        sim.settle(station(id), id, VN);
    }
    sim.run_secs(30);
    assert_eq!((linked(&sim, 0), linked(&sim, 1)), (1, 1));
    assert_eq!(sim.plane(2, VN).ports.len(), 1, "its own spoke's alone");
    sim.apply(2, hub_of(2, 3));
    sim.until(15 * SECOND, "linking", |sim| (0..3).all(|id| linked(sim, id) == 2));
    for from in 3..6 {
        one_copy_each(&mut sim, 3, from);
    }
}

/// Two names for one address are one hub; once they are not, the second is one of its own.
#[test]
fn a_name_that_stood_for_another_hub_is_one_of_its_own_later() {
    // The one with the lowest address registers with both others, that with the highest one with none.
    for at in [0, 2] {
        let mut sim = mesh(seed(), Net::GOOD, 3, 1);
        let (first, second) = (HubKey(1), HubKey(2 - at as u16));
        let (path, other) = (sim.nodes[at].hubs[&first], sim.nodes[at].hubs[&second]);
        sim.set_peer(at, second, Some(path));
        sim.run_secs(30);
        assert_eq!(linked(&sim, at), 1);
        // The first name's address changes, the second one's does not.
        sim.set_peer(at, first, Some(other));
        sim.until(30 * SECOND, "linking", |sim| (0..3).all(|id| linked(sim, id) == 2));
        for from in 3..6 {
            one_copy_each(&mut sim, 3, from);
        }
    }
}

/// What is behind a hub is told the others again after a restart of its daemon, quiet as it may be; and who asked the one
/// before hears of what changes.
#[test]
fn a_hub_that_is_started_again_tells_what_it_has() {
    let mut sim = mesh(seed(), Net::GOOD, 2, 3);
    let (a, b, c) = (2, 3, 4);
    // Nodes 2, 4 and 6 are at hub 0.
    sim.run_secs(5);
    sim.converse(station(b), station(a), SECOND / 10, 30 * SECOND);
    sim.until(20 * SECOND, "a shortcut", |sim| has_shortcut(sim, b, a));
    sim.restart(0);
    sim.run_secs(10);
    sim.unplug(station(a));
    sim.settle(station(a), c, VN);
    sim.talk(station(a), None, 2 * SECOND, 10 * SECOND);
    sim.until(6 * SECOND, "the right shortcut", |sim| has_shortcut(sim, b, a));
    sim.run_secs(400);
    sim.restart(0);
    sim.run_secs(400);
    let place = sim.plane(1, VN).fdb.place(station(a));
    assert!(matches!(place, Some(dmevpn::engine::Place::At(at)) if at.nbma == hub_nbma(0)), "{place:?}");
}

/// A full hub keeps its links when it is started again.
#[test]
fn a_full_hub_keeps_its_links() {
    let mut sim = mesh(seed(), Net::GOOD, 2, 0);
    let mut settings = hub_of(0, 2);
    settings.vns.get_mut(&VN).unwrap().server.as_mut().unwrap().max_spokes = 2;
    sim.apply(0, settings);
    for id in 2..4 {
        // Their ports are found before that of the other hub.
        let address = nbma(&format!("9.0.0.{id}"));
        sim.add(&[address], spoke_settings(HOLDING, 100 + id as u32), Some(hub_nbma(0)));
    }
    sim.until(MINUTE, "registering", |sim| (2..4).all(|id| sim.registered(id, VN)));
    sim.restart(0);
    sim.run_secs(10);
    assert_eq!(linked(&sim, 0), 1);
    // It was not taken for one spoke too many meanwhile.
    assert_eq!(sim.told(0, |event| matches!(event, Event::HubDown { .. } | Event::Full(_))), 0);
}

/// Two routers with one MAC at two hubs: who was there first answers, and keeps it.
fn keeps_its_mac_after(seconds: u64) {
    let mut sim = mesh(seed(), Net::GOOD, 2, 2);
    let (first, second) = (2, 3);
    sim.run_secs(seconds);
    let mac = sim.plane(first, VN).mac;
    sim.nodes[second].planes.get_mut(&VN).unwrap().mac = mac;
    sim.restart(second);
    sim.run_secs(20);
    assert!(sim.registered(first, VN) && !sim.registered(second, VN));
    let port = |hub: NodeId, id: NodeId| {
        sim.plane(hub, VN)
            .ports
            .iter()
            .find(|(at, _)| at.nbma == spoke_nbma(id))
            .map(|(_, port)| port.passing)
    };
    assert_eq!((port(0, first), port(1, second)), (Some(Passing::All), None));
    assert!(sim.told(0, |event| matches!(event, Event::Rivals(_))) > 0);
}

#[test]
fn a_mac_is_not_taken_by_another_hub() {
    keeps_its_mac_after(5);
}

/// Not either from a session that is older than a claim can say.
#[test]
fn a_mac_is_not_taken_from_who_was_there_for_long() {
    keeps_its_mac_after(70_000);
}

/// Two routers with one MAC, node 3 at the first of its three hubs and node 4 that has the second one alone: it has just been
/// refused.
fn two_with_one_mac() -> Sim {
    let mut sim = mesh(seed(), Net::GOOD, 3, 0);
    add_choosers(&mut sim, &[[0, 1, 2]]);
    // What is in use is probed often.
    sim.talk(station(3), None, SECOND / 10, 2 * MINUTE);
    add_choosers(&mut sim, &[[1]]);
    let mac = sim.plane(3, VN).mac;
    sim.nodes[4].planes.get_mut(&VN).unwrap().mac = mac;
    sim.restart(4);
    sim.until(20 * SECOND, "being refused", |sim| {
        sim.told(4, |event| matches!(event, Event::Refused { .. })) > 0
    });
    sim
}

/// Who was refused is: not whose the MAC is, who may come at any time, as its hub dies or it gets there no more.
#[test]
fn whose_the_mac_is_may_go_to_where_another_was_refused() {
    for is_dead in [true, false] {
        let mut sim = two_with_one_mac();
        if is_dead {
            sim.nodes[0].alive = false;
        }
        sim.cut(0, 3);
        let took = sim.until(20 * SECOND, "going", |sim| ports(sim, 3).contains(&(1, Passing::All)));
        sim.check(took < 6 * SECOND, || format!("it took {took:?}"));
        sim.run_secs(300);
        assert!(sim.registered(3, VN) && !sim.registered(4, VN));
        assert_eq!(sim.told(3, |event| matches!(event, Event::Refused { .. })), 0);
    }
}

/// As often as the other one tries, who has the MAC is heard and hears, but for moments.
#[test]
fn whose_the_mac_is_keeps_it_as_long_as_another_tries() {
    let mut sim = two_with_one_mac();
    let (mut without, mut most, mut all) = (0, 0, 0);
    for _ in 0..10 * 60 * 20 {
        sim.run(SECOND / 20);
        let is_open = ports(&sim, 3) == [(0, Passing::All)];
        without = if is_open { 0 } else { without + 1 };
        (most, all) = (most.max(without), all + usize::from(!is_open));
    }
    println!("without for {} ms at most, {} ms in all", 50 * most, 50 * all);
    sim.check(most < 2 * 20 && all < 10 * 20, || format!("{most} and {all} twentieths of a second without"));
}

/// Who is there in place of a router that is no more is refused for a moment only.
#[test]
fn another_has_the_mac_soon_after_whose_it_was() {
    let mut sim = two_with_one_mac();
    sim.nodes[3].alive = false;
    sim.run_secs(10);
    sim.restart(4);
    sim.until(5 * SECOND, "registering", |sim| sim.registered(4, VN));
}

/// More spokes come than the other hubs, which are silent, can be told of: one that could be told, and has not been, is shut out
/// until it has.
#[test]
fn a_hub_that_is_not_told_is_shut_out() {
    let mut sim = mesh(seed(), Net::GOOD, 8, 0);
    let spoke = sim.add(&[spoke_nbma(8)], spoke_settings(HOLDING, 108), Some(hub_nbma(7)));
    sim.until(MINUTE, "registering", |sim| sim.registered(spoke, VN));
    (1..7).for_each(|hub| sim.nodes[hub].alive = false);
    // What the last one confirms makes room for less each time.
    for many in [650, 60, 60, 60, 60] {
        for id in sim.nodes.len()..sim.nodes.len() + many {
            let address = nbma(&format!("9.0.{}.{}", id / 256, id % 256));
            sim.add(&[address], spoke_settings(HOLDING, 100 + id as u32), Some(hub_nbma(0)));
        }
        sim.run_secs(1);
    }
    assert!(sim.nodes[0].engine.statistics().claims_put_off > 0);
    sim.cut(7, spoke);
    sim.set_way(spoke, Some(Path { local: spoke_nbma(spoke), remote: hub_nbma(0) }));
    let port = |sim: &Sim, hub: NodeId| {
        let ports = sim.plane(hub, VN).ports.iter();
        ports.filter(|(at, _)| at.nbma == spoke_nbma(spoke)).map(|(_, port)| port.passing).next()
    };
    let all = Some(Passing::All);
    for _ in 0..600 {
        sim.run(SECOND / 20);
        let is_twice = port(&sim, 0) == all && port(&sim, 7) == all;
        sim.check(!is_twice || passing(&sim, (0, 7))[0] == Passing::Nothing, || {
            "it is flooded to twice".into()
        });
    }
    assert_eq!((port(&sim, 0), port(&sim, 7), passing(&sim, (0, 7))), (all, None, vec![Passing::All; 2]));
}

/// Another router took a spoke's MAC and is gone, and that spoke was not heard while it was asked: its hub says so, and has it again at
/// once.
#[test]
fn who_was_given_up_is_told() {
    let first = seed();
    (first..first + 5).for_each(given_up_and_told);
}

fn given_up_and_told(seed: u64) {
    let mut sim = mesh(seed, Net::GOOD, 2, 2);
    let (first, second) = (2, 3);
    // Its path to the hub is in use.
    sim.settle(station(500), 0, VN);
    sim.converse(station(first), station(500), SECOND / 10, 5 * MINUTE);
    // Who was just started is not asked at once.
    sim.run_secs(80);
    sim.nodes[second].planes.get_mut(&VN).unwrap().mac = sim.plane(first, VN).mac;
    sim.links(0, first, Link { nhrp_loss: 100, ..Link::default() });
    sim.restart(second);
    let passes = |sim: &Sim, passing| {
        sim.plane(0, VN)
            .ports
            .iter()
            .any(|(at, port)| at.nbma == spoke_nbma(first) && port.passing == passing)
    };
    sim.until(5 * SECOND, "being claimed", |sim| passes(sim, Passing::Mute));
    sim.nodes[second].alive = false;
    sim.run(SECOND * 19 / 10);
    sim.links.clear();
    let took = sim.until(10 * SECOND, "being let in again", |sim| passes(sim, Passing::All));
    sim.check(took <= SECOND * 5 / 2, || format!("it took {took:?}"));
    sim.run_secs(60);
    assert!(sim.registered(first, VN) && passes(&sim, Passing::All));
}

/// Hubs in a mesh, and spokes that have all of them, at the first as long as they can: nodes 3 and up.
fn chosen_among_three(spokes: usize) -> Sim {
    let mut sim = mesh(seed(), Net::GOOD, 3, 0);
    add_choosers(&mut sim, &vec![[0, 1, 2]; spokes]);
    sim
}

/// Spokes of some of three hubs, each in its order.
fn add_choosers<const HUBS: usize>(sim: &mut Sim, orders: &[[usize; HUBS]]) {
    let addresses: Vec<Nbma> = (0..3).map(hub_nbma).collect();
    for (id, order) in (sim.nodes.len()..).zip(orders) {
        let settings = settings_of_chooser(HOLDING, id, order, true);
        assert_eq!(sim.add_to(&[spoke_nbma(id)], settings, &addresses), id);
        sim.settle(station(id), id, VN);
    }
    let nodes = sim.nodes.len();
    sim.until(MINUTE, "registering", |sim| (3..nodes).all(|id| sim.registered(id, VN)));
    // Guards begin, and probes are frequent.
    sim.run_secs(80);
}

/// What the port of a spoke passes at each hub that has one.
fn ports(sim: &Sim, id: NodeId) -> Vec<(NodeId, Passing)> {
    let port = |hub: NodeId| {
        let mut ports = sim.plane(hub, VN).ports.iter();
        Some((hub, ports.find(|(at, _)| at.nbma == spoke_nbma(id))?.1.passing))
    };
    (0..3).filter_map(port).collect()
}

/// Everybody sends broadcasts for a while: none is anywhere twice, nor back where it came from.
fn none_twice(sim: &mut Sim, spokes: std::ops::Range<NodeId>, seconds: u64) {
    for _ in 0..seconds * 100 {
        spokes.clone().for_each(|id| sim.follow(station(id), None));
        sim.run(SECOND / 100);
    }
    for followed in std::mem::take(&mut sim.followed).into_values() {
        for (id, copies) in &followed.copies {
            sim.check(sim.is_once(&followed, *id), || format!("of {} at {id}: {copies:?}", followed.from));
        }
    }
}

/// Who goes to another hub is asked by the present one, which that has told, whether it is here: it has not gone yet, and is no other
/// router with its MAC.
#[test]
fn who_is_sent_away_is_not_taken_for_two() {
    let mut sim = chosen_among_three(4);
    sim.input(0, Input::Order(Order::Drain { vn: VN, is_on: true }));
    none_twice(&mut sim, 4..7, 10);
    for id in 3..7 {
        let refused = sim.told(id, |event| matches!(event, Event::Refused { .. } | Event::Rivals(_)));
        assert_eq!((ports(&sim, id), refused), (vec![(1, Passing::All)], 0), "{id}");
    }
}

/// Neither does it say that it is here while the answer of the other hub is late. If none comes it stays, and is let in again.
#[test]
fn who_does_not_get_to_another_hub_stays() {
    let mut sim = chosen_among_three(3);
    let spoke = 3;
    sim.nodes[2].alive = false;
    sim.run_secs(30);
    sim.link(1, spoke, Link { nhrp_loss: 100, ..Link::default() });
    sim.input(0, Input::Order(Order::Drain { vn: VN, is_on: true }));
    let at_first = |sim: &Sim, passing| ports(sim, spoke).contains(&(0, passing));
    sim.until(8 * SECOND, "being claimed", |sim| at_first(sim, Passing::Mute));
    sim.until(4 * SECOND, "being let in again", |sim| at_first(sim, Passing::All));
    sim.run_secs(1);
    assert!(sim.registered(spoke, VN) && at_first(&sim, Passing::All), "{:?}", ports(&sim, spoke));
}

/// What the present hub passes on to the next one, while that one's answer is under way, does not come back.
#[test]
fn an_answer_that_is_late_brings_nothing_back() {
    let mut sim = chosen_among_three(2);
    let spoke = 3;
    sim.link(0, spoke, Link::BLOCKED);
    for hub in 1..3 {
        sim.link(hub, spoke, Link { nhrp_jitter: 900, ..Link::default() });
    }
    let mut own = Vec::new();
    for _ in 0..1500 {
        sim.follow(station(spoke), None);
        sim.run(SECOND / 200);
        let back = sim.followed.values().filter(|followed| followed.copies.contains_key(&spoke));
        own.extend(back.map(|followed| followed.at));
        sim.followed.retain(|_, followed| sim.now.since(followed.at) < SECOND / 10);
    }
    assert_eq!(ports(&sim, spoke), [(1, Passing::All)]);
    // What was under way when it went may.
    own.dedup();
    let (first, last) = (own.iter().min(), own.iter().max());
    let took = first.zip(last).map_or(Duration::ZERO, |(first, last)| last.since(*first));
    assert!(took <= SECOND / 50, "it heard itself for {took:?}");
}

/// A hub that has lost the next one does not hear that a spoke goes there: what it sends is not taken any more, as others send it
/// by both.
#[test]
fn a_hub_that_is_cut_off_is_not_heard_beside_the_next() {
    let mut sim = mesh(seed(), Net::GOOD, 3, 0);
    add_choosers(&mut sim, &[[1, 0, 2], [1, 0, 2], [2, 0, 1]]);
    sim.cut(0, 1);
    none_twice(&mut sim, 5..6, 40);
    assert_eq!(ports(&sim, 3), [(0, Passing::All)]);
}

/// Hubs that lose each other take nothing back that is true: what goes straight from site to site goes on, and follows the sites to
/// where they meet.
#[test]
fn what_goes_straight_survives_a_cut_between_hubs() {
    let mut sim = mesh(seed(), Net::GOOD, 3, 0);
    add_choosers(&mut sim, &[[1, 0, 2], [2, 0, 1], [0, 1, 2]]);
    let meet = |sim: &Sim| (3..6).all(|id| ports(sim, id) == [(0, Passing::All)]);
    for (a, b) in [(3, 4), (4, 5)] {
        sim.converse(station(a), station(b), SECOND / 50, 2 * MINUTE);
    }
    sim.run_secs(20);
    assert_eq!([ports(&sim, 3), ports(&sim, 4)], [[(1, Passing::All)], [(2, Passing::All)]]);
    sim.forget_gaps();
    [(0, 1), (0, 2), (1, 2)].into_iter().for_each(|(a, b)| sim.cut(a, b));
    sim.until(40 * SECOND, "meeting", meet);
    sim.run_secs(20);
    let gap = sim.longest_gap();
    println!("the longest gap: {gap:?}");
    sim.check(gap < SECOND, || format!("nothing went straight for {gap:?}"));
}

/// Where VXLAN does not pass to the hub that all are to meet at, the spoke does not go there and back all the time.
#[test]
fn who_cannot_meet_the_others_stays() {
    let mut sim = mesh(seed(), Net::GOOD, 3, 0);
    add_choosers(&mut sim, &[[2, 1, 0], [2, 1, 0]]);
    let chosen = |sim: &Sim, id| sim.told(id, |event| matches!(event, Event::HubChosen { .. }));
    let before = chosen(&sim, 3);
    sim.links(1, 3, Link::BLOCKED);
    sim.nodes[0].alive = false;
    sim.run_secs(900);
    let moves = chosen(&sim, 3) - before;
    // There and back, each five minutes.
    sim.check((2..=8).contains(&moves), || format!("it went {moves} times"));
    assert_eq!((ports(&sim, 3), ports(&sim, 4)), (vec![(2, Passing::All)], vec![(1, Passing::All)]));
    sim.links.clear();
    let meet = |sim: &Sim| ports(sim, 3) == [(1, Passing::All)];
    sim.until(310 * SECOND, "meeting", meet);
    sim.run_secs(100);
    assert!(meet(&sim));
}

/// The daemon of a hub starts again, with the port of a spoke in its kernel that is at another hub by now, which says so. That spoke
/// is started anew meanwhile, and registers where it was first.
#[test]
fn a_spoke_that_comes_to_where_it_was_given_up_has_one_port() {
    for after in [300, 1000, 2000, 4000] {
        let mut sim = mesh(seed(), Net::GOOD, 3, 0);
        add_choosers(&mut sim, &[[0, 1, 2], [1, 0, 2]]);
        sim.nodes[0].sleeps = true;
        sim.run_secs(25);
        sim.restart(0);
        sim.run(Duration::from_millis(after));
        assert_eq!(ports(&sim, 3), [(0, Passing::Mute), (1, Passing::All)]);
        sim.reboot(3);
        sim.until(10 * SECOND, "registering", |sim| sim.registered(3, VN));
        sim.run_secs(10);
        assert_eq!(ports(&sim, 3), [(0, Passing::All)]);
        for from in 3..5 {
            one_copy_each(&mut sim, 3, from);
        }
    }
}

/// A spoke that has gone is forgotten by a hub whose daemon is started again meanwhile.
#[test]
fn who_went_is_forgotten_after_a_restart() {
    let mut sim = chosen_among_three(2);
    let spoke = 3;
    sim.link(0, spoke, Link::BLOCKED);
    sim.link(spoke, 0, Link { nhrp_loss: 100, ..Link::default() });
    sim.until(20 * SECOND, "going", |sim| ports(sim, spoke).contains(&(1, Passing::All)));
    assert!(ports(&sim, spoke).contains(&(0, Passing::Mute)));
    sim.restart(0);
    sim.run_secs(10);
    assert_eq!(ports(&sim, spoke), [(1, Passing::All)]);
}

/// The daemon of a hub is dead, and its kernel forwards on: its spokes go to the next one, and no broadcast is there twice.
#[test]
fn a_hub_whose_daemon_is_dead_is_left_and_shut_out() {
    let mut sim = chosen_among_three(4);
    for from in 3..7 {
        one_copy_each(&mut sim, 3, from);
    }
    sim.nodes[0].sleeps = true;
    let at_second = |sim: &Sim, id: NodeId| sim.plane(1, VN).ports.keys().any(|at| at.nbma == spoke_nbma(id));
    sim.until(2 * MINUTE, "going to the second", |sim| (3..7).all(|id| at_second(sim, id)));
    sim.run_secs(2);
    let to_first = sim.plane(1, VN).ports.iter().find(|(at, _)| at.nbma == hub_nbma(0));
    assert!(to_first.is_none_or(|(_, port)| port.passing == Passing::Nothing), "{to_first:?}");
    for _ in 0..6 {
        for from in 3..7 {
            one_copy_each(&mut sim, 3, from);
        }
    }
    sim.restart(0);
    sim.until(MINUTE, "linking", |sim| (0..3).all(|id| linked(sim, id) == 2));
    sim.run_secs(10);
    for from in 3..7 {
        one_copy_each(&mut sim, 3, from);
    }
}

/// Who goes to another hub while the present one goes on is not taken for somebody else with its MAC.
#[test]
fn who_is_sent_away_is_taken_by_the_next_hub() {
    let mut sim = chosen_among_three(4);
    sim.input(0, Input::Order(Order::Drain { vn: VN, is_on: true }));
    let is_at = |sim: &Sim, hub: NodeId| {
        (3..7).all(|id| sim.nodes[id].engine.hub(VN) == Some(HubKey(HUB.0 + hub as u16)))
    };
    sim.until(10 * SECOND, "going", |sim| is_at(sim, 1));
    sim.run_secs(6);
    for from in 3..7 {
        one_copy_each(&mut sim, 3, from);
    }
    sim.input(0, Input::Order(Order::Drain { vn: VN, is_on: false }));
    sim.until(15 * MINUTE, "returning", |sim| is_at(sim, 0));
    sim.run_secs(6);
    for from in 3..7 {
        one_copy_each(&mut sim, 3, from);
    }
    for id in 0..7 {
        assert_eq!(sim.told(id, |event| matches!(event, Event::Refused { .. } | Event::Rivals(_))), 0);
    }
}

/// In bad weather, too, a shortcut to where a MAC is not any more does not stay: whoever asked is told hop by hop, and an answer
/// that is untrue by the time it comes is none.
#[test]
fn macs_move_between_hubs_in_bad_weather() {
    let mut sim = mesh(seed(), Net::BAD, 3, 4);
    for asker in 3..9 {
        sim.converse(station(asker), station(9), SECOND, 30 * MINUTE);
        sim.converse(station(asker), station(10), SECOND, 30 * MINUTE);
    }
    for _ in 0..20 {
        let (mac, to) = (station(9 + sim.chance(2)), 9 + sim.chance(6));
        sim.unplug(mac);
        sim.settle(mac, to, VN);
        sim.talk(mac, None, 2 * SECOND, 20 * SECOND);
        sim.run_secs(60);
    }
    println!("wrong for {:?} at most", sim.longest_wrong);
    sim.check(sim.longest_wrong < MINUTE, || format!("a shortcut was wrong for {:?}", sim.longest_wrong));
}

/// A spoke that meets the others at the lowest address stays there, though one that it prefers to that answers all along.
#[test]
fn who_goes_to_meet_the_others_does_not_go_on() {
    let mut sim = Sim::new(seed(), Net::GOOD);
    add_hubs(&mut sim, HOLDING, 3);
    let addresses: Vec<Nbma> = (0..3).map(hub_nbma).collect();
    let id = sim.add_to(&[spoke_nbma(3)], settings_of_chooser(HOLDING, 3, &[1, 2, 0], true), &addresses);
    sim.settle(station(id), id, VN);
    sim.run_secs(5 * 60);
    sim.links(0, 2, Link::CUT);
    sim.links(1, 2, Link::CUT);
    sim.run_secs(60);
    let chosen = |why: WhyHub| {
        sim.told(id, |event| matches!(event, Event::HubChosen { why: told, .. } if *told == why))
    };
    assert_eq!((chosen(WhyHub::Cut), chosen(WhyHub::Preferred)), (1, 0));
}
