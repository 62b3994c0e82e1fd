//! The protocol under weather: whole networks in virtual time. `DMEVPN_SEED` repeats a failure.

mod sim;

use dmevpn::engine::report::{MacState, VnReport};
use dmevpn::engine::settings::{Trigger, VnKey, VpnMode};
use dmevpn::engine::{Event, Input, News, Order, Outcome, Path, Place, Refusal, Table, Why};
use dmevpn::types::{Mac, Nbma, Vtep};
use sim::build::*;
use sim::{Net, NodeId, Sim, seed};
use std::time::Duration;

/// The holding time of most tests, in seconds.
const HOLDING: u64 = 120;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn hub_nbma() -> Nbma {
    nbma("10.0.0.254")
}

/// A hub, node 0, and spokes 1 to `n` with station `n` behind each, all registered.
fn star(seed: u64, net: Net, n: usize) -> Sim {
    let mut sim = Sim::new(seed, net);
    sim.add(&[hub_nbma()], hub_settings(HOLDING), None);
    add_spokes(&mut sim, n);
    all_register(&mut sim);
    sim
}

fn add_spokes(sim: &mut Sim, n: usize) {
    for n in 1..=n {
        let id = sim.add(&[spoke_nbma(n)], spoke_settings(HOLDING, 100 + n as u32 % 7), Some(hub_nbma()));
        assert_eq!(id, n);
        sim.settle(station(n), n, VN);
    }
}

fn all_register(sim: &mut Sim) {
    let n = sim.nodes.len();
    // Tries are up to 80 s apart, and at 30 % loss each way every second one fails.
    sim.until(20 * MINUTE, "registering", |sim| (1..n).all(|id| sim.registered(id, VN)));
}

fn has_shortcut(sim: &Sim, asker: NodeId, mac: Mac) -> bool {
    let shortcut = sim.shortcut(asker, VN, mac);
    shortcut.is_some() && shortcut == sim.right(asker, mac)
}

/// A station appears at another site and says so, as hosts and hypervisors do.
fn move_station(sim: &mut Sim, mac: Mac, to: NodeId) {
    sim.settle(mac, to, VN);
    sim.talk(mac, None, 2 * SECOND, 30 * SECOND);
}

#[test]
fn two_hundred_spokes_in_bad_weather() {
    let mut sim = star(seed(), Net::BAD, 200);
    let mut pairs = Vec::new();
    for _ in 0..60 {
        let (a, b) = (1 + sim.chance(200), 1 + sim.chance(200));
        if a != b {
            pairs.push((a, b));
            sim.converse(station(a), station(b), SECOND, 20 * MINUTE);
        }
    }
    let all = |sim: &Sim| {
        pairs.iter().all(|&(a, b)| has_shortcut(sim, a, station(b)) && has_shortcut(sim, b, station(a)))
    };
    sim.until(10 * MINUTE, "finding all shortcuts", all);
    sim.run_secs(240);
    sim.check_kernel_is_as_wanted();
    sim.check(sim.longest_wrong == Duration::ZERO, || "a shortcut was wrong though nothing moved".into());
    // Registrations that did not make it in time: their port is gone for a while.
    let few = sim.frames_lost() < sim.frames_sent / 200;
    sim.check(few, || format!("{} of {} frames were lost", sim.frames_lost(), sim.frames_sent));
}

#[test]
fn first_contact_loses_no_frame() {
    let mut sim = star(seed(), Net::GOOD, 3);
    sim.converse(station(1), station(2), SECOND, MINUTE);
    sim.until(5 * SECOND, "the shortcut", |sim| {
        has_shortcut(sim, 1, station(2)) && has_shortcut(sim, 2, station(1))
    });
    let by_hub = sim.frames_by_hub;
    sim.run_secs(70);
    assert_eq!(sim.frames_lost(), 0);
    assert!(sim.frames_by_hub <= by_hub + 1, "traffic goes directly");
}

#[test]
fn macs_move_in_bad_weather() {
    let mut sim = star(seed(), Net { frame_loss: 5, ..Net::BAD }, 30);
    let mobile = 10;
    for m in 1..=mobile {
        for peer in 11..=18 {
            sim.converse(station(m), station(peer), SECOND, 30 * MINUTE);
        }
    }
    sim.run_secs(180);
    for round in 0..5 {
        for m in 1..=mobile {
            let to = 19 + sim.chance(12);
            move_station(&mut sim, station(m), to);
        }
        // A question of which all five tries are lost waits for the negative-cache time: traffic goes by the hub.
        let pairs = || (1..=mobile).flat_map(|m| (11..=18).map(move |peer| (m, peer)));
        sim.until(5 * MINUTE, "finding the new places", |sim| {
            pairs().all(|(m, peer)| has_shortcut(sim, peer, station(m)))
        });
        sim.run_secs(30);
        let wrong = sim.wrong_shortcuts();
        sim.check(wrong == 0, || format!("round {round}: {wrong} wrong shortcuts"));
    }
    sim.check(sim.longest_wrong < 40 * SECOND, || format!("wrong for {:?}", sim.longest_wrong));
    sim.check_kernel_is_as_wanted();
}

#[test]
fn a_spoke_that_dies_is_forgotten_after_its_holding_time() {
    let mut sim = star(seed(), Net::GOOD, 20);
    for peer in 2..=20 {
        sim.converse(station(1), station(peer), SECOND, 20 * MINUTE);
    }
    sim.run_secs(100);
    assert!((2..=20).all(|peer| has_shortcut(&sim, peer, station(1))));
    sim.nodes[1].alive = false;
    sim.run_secs(HOLDING + 5);
    let port = Vtep { nbma: spoke_nbma(1), vni: vni(101) };
    assert!(!sim.plane(0, VN).ports.contains_key(&port), "its port is gone");
    assert!((2..=20).all(|peer| sim.shortcut(peer, VN, station(1)).is_none()), "the shortcuts are gone");
    assert_eq!(sim.told(0, |e| matches!(e, Event::SpokeDown { why: Why::Expired, .. })), 1);
    sim.check_kernel_is_as_wanted();
}

#[test]
fn a_spoke_that_stops_is_forgotten_at_once() {
    let mut sim = star(seed(), Net::GOOD, 20);
    for peer in 2..=20 {
        sim.converse(station(1), station(peer), SECOND, 20 * MINUTE);
    }
    sim.run_secs(100);
    sim.input(1, Input::Order(Order::Stop));
    let took = sim.until(SECOND, "withdrawal", |sim| {
        sim.nodes[1].engine.is_stopped()
            && (2..=20).all(|peer| sim.shortcut(peer, VN, station(1)).is_none())
            && sim.plane(0, VN).ports.len() == 19
    });
    println!("withdrawn in {took:?}");
    assert!(sim.plane(1, VN).shortcuts.is_empty());
    sim.run_secs(30);
    sim.check_kernel_is_as_wanted();
}

#[test]
fn a_spoke_stops_in_bad_weather() {
    let mut sim = star(seed(), Net::BAD, 10);
    for id in 1..=10 {
        sim.input(id, Input::Order(Order::Stop));
    }
    sim.until(3 * SECOND, "stopping", |sim| (1..=10).all(|id| sim.nodes[id].engine.is_stopped()));
    // What the hub did not hear ends with the holding time.
    sim.run_secs(HOLDING + 10);
    assert!(sim.plane(0, VN).ports.is_empty());
}

#[test]
fn a_hub_out_of_reach_comes_back() {
    let mut sim = star(seed(), Net::GOOD, 10);
    for peer in 2..=10 {
        sim.converse(station(1), station(peer), SECOND, 60 * MINUTE);
    }
    sim.run_secs(60);
    (1..=10).for_each(|id| sim.cut(0, id));
    sim.run_secs(2 * HOLDING + 60);
    assert!(sim.plane(0, VN).ports.is_empty());
    assert!(
        (1..=10).all(|id| !sim.registered(id, VN)
            && sim.told(id, |e| matches!(e, Event::RegistrationLost { .. })) == 1)
    );
    sim.check_kernel_is_as_wanted();
    sim.cut.clear();
    sim.until(90 * SECOND, "registering again", |sim| (1..=10).all(|id| sim.registered(id, VN)));
    sim.until(90 * SECOND, "shortcuts again", |sim| (2..=10).all(|id| has_shortcut(sim, id, station(1))));
    sim.check_kernel_is_as_wanted();
    // The hub knows who holds an answer, though it had forgotten.
    move_station(&mut sim, station(1), 5);
    sim.run_secs(5);
    assert_eq!(sim.wrong_shortcuts(), 0);
}

#[test]
fn a_hub_that_restarts_interrupts_nothing() {
    let mut sim = star(seed(), Net::GOOD, 20);
    for peer in 2..=20 {
        sim.converse(station(1), station(peer), SECOND, 60 * MINUTE);
    }
    sim.run_secs(60);
    let ports = sim.plane(0, VN).ports.clone();
    sim.restart(0);
    sim.run_secs(5);
    assert_eq!(sim.plane(0, VN).ports, ports, "adopted");
    assert_eq!(sim.told(0, |e| matches!(e, Event::SpokeDown { .. })), 0);
    // Before anybody registered again: a question is answered, and a move is told to everybody.
    sim.settle(station(99), 7, VN);
    sim.frame(station(99), None);
    sim.run_secs(3);
    assert!((1..=20).filter(|id| *id != 7).all(|id| has_shortcut(&sim, id, station(99))));
    move_station(&mut sim, station(1), 13);
    sim.run_secs(3);
    assert_eq!(sim.wrong_shortcuts(), 0);
    sim.run_secs(2 * HOLDING);
    assert_eq!(sim.plane(0, VN).ports, ports);
    assert_eq!(sim.told(0, |e| matches!(e, Event::SpokeDown { .. })), 0);
    sim.check_kernel_is_as_wanted();
    let lost = sim.frames_lost();
    assert!(lost < 19 * 4, "{lost} frames were lost, the move's included");
}

/// Twenty spokes of one VNI that are registered for an hour, each with a station.
fn twenty(net: Net) -> Sim {
    let mut sim = Sim::new(seed(), net);
    sim.add(&[hub_nbma()], hub_settings(3600), None);
    for n in 1..=20 {
        sim.add(&[spoke_nbma(n)], spoke_settings(3600, 100), Some(hub_nbma()));
        sim.settle(station(n), n, VN);
    }
    all_register(&mut sim);
    sim
}

/// What the last run could not take back any more, and what changed while none ran, is set right soon after. What is
/// right stays.
#[test]
fn a_hub_that_restarts_sets_right_what_it_missed() {
    let mut sim = twenty(Net::GOOD);
    for peer in 3..=15 {
        sim.converse(station(1), station(peer), SECOND, 60 * MINUTE);
        sim.converse(station(2), station(peer), SECOND, 60 * MINUTE);
    }
    sim.converse(station(18), station(19), SECOND, 60 * MINUTE);
    sim.run_secs(60);
    // One of them is not told in time.
    sim.cut(0, 5);
    move_station(&mut sim, station(1), 16);
    sim.run_secs(40);
    assert_eq!(sim.wrong_shortcuts(), 1);
    sim.nodes[0].sleeps = true;
    sim.cut.clear();
    move_station(&mut sim, station(2), 17);
    sim.run_secs(40);
    assert!(sim.wrong_shortcuts() > 10);
    sim.restart(0);
    sim.run_secs(5);
    assert_eq!(sim.wrong_shortcuts(), 0);
    let down = |e: &Event| matches!(e, Event::ShortcutDown { mac, .. } if *mac == station(19));
    assert_eq!(sim.told(18, down), 0, "nothing is wrong with it");
    assert!(has_shortcut(&sim, 18, station(19)));
}

/// A hub that was started again does not know whom it told; so who was told asks again, and until then nobody is told of a
/// move. What is in use is right as soon as spokes are registered, all within ten seconds of that, and what stays where it
/// is is not touched.
#[test]
fn macs_move_before_a_restarted_hub_knows_who_asked() {
    let mut sim = twenty(Net::GOOD);
    // Shortcuts that nobody uses: everybody heard them once.
    let idle = 100..160;
    for n in idle.clone() {
        sim.settle(station(n), 1, VN);
        sim.frame(station(n), None);
    }
    for n in (3..=19).step_by(2) {
        sim.converse(station(n), station(n + 1), SECOND, 155 * SECOND);
    }
    sim.run_secs(120);
    assert!((3..=20).all(|id| idle.clone().all(|n| has_shortcut(&sim, id, station(n)))));

    sim.restart(0);
    let restarted = sim.now;
    for (n, wait) in (100..130).zip([0, 1, 0, 3].into_iter().cycle()) {
        move_station(&mut sim, station(n), 2);
        sim.run(Duration::from_millis(60 * wait));
    }
    assert!(sim.wrong_shortcuts() > 0, "nobody is told");
    // Where it was, a station is announced once more when its site registers; it speaks again after two seconds.
    sim.until(13 * SECOND, "setting all right", |sim| {
        (3..=20).all(|id| idle.clone().all(|n| has_shortcut(sim, id, station(n))))
    });
    println!("right after {:?}", sim.now.since(restarted));
    // Until all have said what they had to say, and no frame is under way.
    sim.run_secs(35);
    assert_eq!(sim.wrong_shortcuts(), 0);
    assert_eq!(sim.frames_lost(), 0, "those who talk stay where they are");
    // Of those that stayed none went, not for a moment; and the hub knows who asked.
    let stayed = 130..160;
    assert!((3..=20).all(|id| shortcuts_down(&sim, id, &stayed) == 0));
    let rows = sim.nodes[0].engine.macs(sim.now, VN, None, usize::MAX);
    let askers = |n: usize| rows.iter().find(|row| row.mac == station(n)).map_or(0, |row| row.askers);
    let few: Vec<_> = idle.clone().filter(|n| askers(*n) < 18).map(|n| (n, askers(n))).collect();
    assert!(few.is_empty(), "{few:?}");
    move_station(&mut sim, station(159), 2);
    sim.run_secs(4);
    assert_eq!(sim.wrong_shortcuts(), 0);
}

fn shortcuts_down(sim: &Sim, id: NodeId, of: &std::ops::Range<usize>) -> usize {
    let is_one = |mac: Mac| of.clone().any(|n| station(n) == mac);
    sim.told(id, |e| matches!(e, Event::ShortcutDown { mac, .. } if is_one(*mac)))
}

/// What is used is not wrong for longer than it takes to register.
#[test]
fn a_mac_in_use_moves_before_a_restarted_hub_knows_who_asked() {
    let mut sim = star(seed(), Net::GOOD, 20);
    for peer in 2..=20 {
        sim.converse(station(1), station(peer), Duration::from_millis(200), 60 * MINUTE);
    }
    sim.run_secs(60);
    sim.restart(0);
    move_station(&mut sim, station(1), 13);
    let took = sim.until(3 * SECOND, "setting all right", |sim| {
        (2..=20).filter(|id| *id != 13).all(|id| has_shortcut(sim, id, station(1)))
    });
    println!("right after {took:?}");
    assert_eq!(sim.wrong_shortcuts(), 0);
}

/// Questions and answers get lost, and a hub that is silent is asked on.
#[test]
fn macs_move_while_a_hub_restarts_in_bad_weather() {
    let mut sim = twenty(Net { frame_loss: 5, ..Net::BAD });
    for n in 100..130 {
        sim.settle(station(n), 1, VN);
        sim.talk(station(n), None, SECOND, 20 * SECOND);
    }
    sim.run_secs(200);
    sim.restart(0);
    for n in 100..130 {
        move_station(&mut sim, station(n), 2);
    }
    sim.until(5 * MINUTE, "setting all right", |sim| {
        (1..=20).all(|id| {
            (100..130).all(|n| {
                let shortcut = sim.shortcut(id, VN, station(n));
                shortcut.is_none() || shortcut == sim.right(id, station(n))
            })
        })
    });
    sim.run_secs(60);
    assert_eq!(sim.wrong_shortcuts(), 0);
    sim.check_kernel_is_as_wanted();
}

/// What a spoke was told lasts as long as the others' registrations, not as its own.
#[test]
fn a_spoke_with_a_short_holding_time_hears_of_moves_after_a_restart() {
    let mut sim = Sim::new(seed(), Net::GOOD);
    sim.add(&[hub_nbma()], hub_settings(3600), None);
    for (n, holding) in [(1, 30), (2, 3600), (3, 3600)] {
        sim.add(&[spoke_nbma(n)], spoke_settings(holding, 100), Some(hub_nbma()));
        sim.settle(station(n), n, VN);
    }
    all_register(&mut sim);
    sim.settle(station(10), 0, VN);
    sim.converse(station(1), station(2), SECOND, 60 * MINUTE);
    sim.converse(station(1), station(10), SECOND, 60 * MINUTE);
    sim.run_secs(10);
    assert!(has_shortcut(&sim, 1, station(2)) && has_shortcut(&sim, 1, station(10)));
    sim.restart(0);
    sim.run_secs(100);
    move_station(&mut sim, station(2), 3);
    move_station(&mut sim, station(10), 3);
    sim.run_secs(5);
    assert!(has_shortcut(&sim, 1, station(2)) && has_shortcut(&sim, 1, station(10)));
}

#[test]
fn a_long_conversation_never_lapses() {
    let mut sim = star(seed(), Net::GOOD, 3);
    sim.converse(station(1), station(2), SECOND, 60 * MINUTE);
    sim.run_secs(10);
    let (up, by_hub) = (sim.nodes[1].engine.statistics().shortcuts_up, sim.frames_by_hub);
    sim.run_secs(10 * HOLDING);
    assert_eq!(sim.nodes[1].engine.statistics().shortcuts_up, up);
    assert_eq!(sim.nodes[1].engine.statistics().shortcuts_down, 0);
    assert_eq!(sim.frames_by_hub, by_hub, "not a frame by the hub");
    // When it is over, all of it is forgotten.
    sim.run_secs(60 * 60);
    assert_eq!(sim.frames_lost(), 0);
    assert!(sim.plane(1, VN).shortcuts.is_empty());
    let macs = sim.nodes[0].engine.macs(sim.now, VN, None, usize::MAX);
    assert!(macs.iter().all(|row| row.mac != station(1) && row.mac != station(2)), "{macs:?}");
}

#[test]
fn a_mac_only_heard_is_asked_for_once() {
    let mut sim = star(seed(), Net::GOOD, 3);
    sim.frame(station(1), None);
    sim.run_secs(2);
    assert!(has_shortcut(&sim, 2, station(1)) && has_shortcut(&sim, 3, station(1)));
    sim.run_secs(HOLDING);
    assert_eq!(sim.shortcut(2, VN, station(1)), None);
    assert_eq!(sim.told(2, |e| *e == Event::Asked { mac: station(1) }), 1);
    assert_eq!(sim.told(2, |e| *e == Event::ShortcutDown { mac: station(1), why: Why::Unused }), 1);
    // It is heard again as the first time, since the bridge was made to forget it.
    sim.frame(station(1), None);
    sim.run_secs(2);
    assert!(has_shortcut(&sim, 2, station(1)));
}

#[test]
fn an_unknown_mac_is_not_asked_for_again_soon() {
    let mut sim = star(seed(), Net::GOOD, 2);
    let nobody = station(77);
    for _ in 0..20 {
        sim.input(1, Input::Order(Order::Resolve { vn: VN, mac: nobody }));
        sim.run_secs(1);
    }
    let nak = Event::NotResolved { mac: nobody, reason: Some(Refusal::Nak(12)) };
    assert_eq!(sim.told(1, |e| *e == nak), 1);
    assert_eq!(sim.told(1, |e| *e == Event::Asked { mac: nobody }), 1);
    sim.run_secs(15);
    sim.input(1, Input::Order(Order::Resolve { vn: VN, mac: nobody }));
    sim.run_secs(1);
    assert_eq!(sim.told(1, |e| *e == nak), 2);
}

#[test]
fn a_full_table_of_spokes_refuses_and_takes_when_there_is_room() {
    let mut sim = Sim::new(seed(), Net::GOOD);
    let hub = hub_settings_with(|role| role.max_spokes = 5);
    sim.add(&[hub_nbma()], hub, None);
    add_spokes(&mut sim, 8);
    sim.run_secs(60);
    assert_eq!((1..=8).filter(|id| sim.registered(*id, VN)).count(), 5);
    let refused: Vec<NodeId> = (1..=8).filter(|id| !sim.registered(*id, VN)).collect();
    assert!(
        refused
            .iter()
            .all(|id| sim.told(*id, |e| matches!(e, Event::Refused { reason: Refusal::Nak(5), .. })) >= 1)
    );
    let statistics = sim.nodes[0].engine.statistics();
    assert!(statistics.spokes_refused >= 3 && statistics.tx_register_nak_resources >= 3);
    assert!(sim.told(0, |e| *e == Event::Full(Table::Spokes)) >= 1);
    let leaves = (1..=8).find(|id| sim.registered(*id, VN)).unwrap();
    sim.input(leaves, Input::Order(Order::Stop));
    sim.run_secs(300);
    assert_eq!((1..=8).filter(|id| sim.registered(*id, VN)).count(), 5);
}

fn hub_settings_with(
    change: impl FnOnce(&mut dmevpn::engine::settings::ServerSettings),
) -> dmevpn::engine::settings::Settings {
    let mut role = hub_role();
    change(&mut role);
    settings(HOLDING, [(VN, vn_settings(VN, Part::Hub(role)))], VpnMode::Llc)
}

#[test]
fn full_tables_of_macs_bound_both_ends() {
    let mut sim = Sim::new(seed(), Net::GOOD);
    sim.add(&[hub_nbma()], hub_settings_with(|role| role.max_macs = 40), None);
    let mut small = spoke_role(100);
    small.max_macs = 10;
    let spoke = settings(HOLDING, [(VN, vn_settings(VN, Part::Spoke(small)))], VpnMode::Llc);
    sim.add(&[spoke_nbma(1)], spoke, Some(hub_nbma()));
    sim.add(&[spoke_nbma(2)], spoke_settings(HOLDING, 200), Some(hub_nbma()));
    all_register(&mut sim);
    for n in 1000..1100 {
        sim.settle(station(n), 2, VN);
        sim.frame(station(n), None);
    }
    sim.run_secs(10);
    let report = |sim: &Sim, id: NodeId| sim.nodes[id].engine.macs(sim.now, VN, None, usize::MAX).len();
    assert!((9..=10).contains(&report(&sim, 1)), "an eighth is for newcomers");
    assert!(report(&sim, 0) <= 40);
    assert!(sim.nodes[1].engine.statistics().macs_refused >= 90);
    assert!(sim.nodes[0].engine.statistics().macs_refused >= 60);
    assert_eq!(sim.told(0, |e| *e == Event::Full(Table::Macs)), 1);
    assert_eq!(sim.told(1, |e| *e == Event::Full(Table::Macs)), 1);
    // What the hub has no room for it says so of: NAK 5.
    sim.input(2, Input::Order(Order::Resolve { vn: VN, mac: station(5000) }));
    sim.run_secs(1);
    assert_eq!(sim.told(2, |e| matches!(e, Event::NotResolved { reason: Some(Refusal::Nak(5)), .. })), 1);
    sim.run_secs(3600);
    assert_eq!(report(&sim, 1), 0, "all of it is forgotten");
    assert!(report(&sim, 0) <= 2, "the hub forgets, too");
}

/// One site's stations fill the table of a hub, and of a spoke: those of others are followed all the same, and stay so.
#[test]
fn a_site_with_many_stations_leaves_room_for_others() {
    let mut sim = Sim::new(seed(), Net::GOOD);
    sim.add(&[hub_nbma()], hub_settings_with(|role| role.max_macs = 400), None);
    let mut small = spoke_role(100);
    small.max_macs = 64;
    let spoke = settings(HOLDING, [(VN, vn_settings(VN, Part::Spoke(small)))], VpnMode::Llc);
    sim.add(&[spoke_nbma(1)], spoke, Some(hub_nbma()));
    for n in 2..=4 {
        sim.add(&[spoke_nbma(n)], spoke_settings(HOLDING, 200), Some(hub_nbma()));
    }
    all_register(&mut sim);
    let speak = |sim: &mut Sim, range: std::ops::Range<usize>, at| {
        for n in range {
            sim.settle(station(n), at, VN);
            sim.frame(station(n), None);
        }
    };
    let shortcuts = |sim: &Sim, range: std::ops::Range<usize>| {
        range.filter(|n| has_shortcut(sim, 1, station(*n))).count()
    };
    let known = |sim: &Sim, range: std::ops::Range<usize>| {
        let rows = sim.nodes[0].engine.macs(sim.now, VN, None, usize::MAX);
        range.filter(|n| rows.iter().any(|row| row.mac == station(*n))).count()
    };
    speak(&mut sim, 1000..2000, 2);
    sim.run_secs(20);
    assert_eq!(shortcuts(&sim, 1000..2000), 56);
    speak(&mut sim, 2000..2020, 3);
    speak(&mut sim, 3000..3005, 4);
    sim.run_secs(5);
    assert_eq!((known(&sim, 2000..2020), known(&sim, 3000..3005)), (20, 5));
    assert_eq!((shortcuts(&sim, 2000..2020), shortcuts(&sim, 3000..3005)), (20, 5));
    assert_eq!(shortcuts(&sim, 1000..2000), 31);
    // More of the one change nothing for the others.
    speak(&mut sim, 4000..5000, 2);
    sim.run_secs(20);
    assert_eq!((known(&sim, 2000..2020), known(&sim, 3000..3005)), (20, 5));
    assert_eq!((shortcuts(&sim, 2000..2020), shortcuts(&sim, 3000..3005)), (20, 5));
    // Another one gets as much as they.
    speak(&mut sim, 5000..5200, 4);
    sim.run_secs(5);
    let shares = [1000..5000, 2000..2020, 3000..3005].map(|range| shortcuts(&sim, range));
    let four = shortcuts(&sim, 5000..5200) + shares[2];
    assert!([shares[1], four].iter().all(|share| (17..=26).contains(share)), "{shares:?} {four}");
}

#[test]
fn more_askers_than_names_means_everybody() {
    let mut sim = star(seed(), Net::GOOD, 40);
    sim.frame(station(1), None);
    sim.run_secs(3);
    assert!((2..=40).all(|id| has_shortcut(&sim, id, station(1))));
    move_station(&mut sim, station(1), 2);
    sim.run_secs(3);
    assert_eq!(sim.wrong_shortcuts(), 0);
    assert!((3..=40).all(|id| has_shortcut(&sim, id, station(1))));
}

#[test]
fn purges_to_who_never_confirms_are_bounded() {
    let mut sim = star(seed(), Net::GOOD, 3);
    for n in 1000..1800 {
        sim.settle(station(n), 1, VN);
        sim.frame(station(n), None);
    }
    sim.run_secs(20);
    assert!(sim.shortcut(3, VN, station(1799)).is_some());
    sim.cut(0, 3);
    let before = sim.nodes[0].engine.statistics();
    for n in 1000..1800 {
        sim.settle(station(n), 2, VN);
        sim.frame(station(n), None);
    }
    sim.run_secs(2);
    let Some(VnReport::Hub(report)) = sim.nodes[0].engine.report(sim.now, VN) else { panic!("a hub") };
    // For the one who does not hear it; the old site, which is told too, has confirmed.
    assert!(report.purges <= 512);
    let statistics = sim.nodes[0].engine.statistics();
    assert_eq!(statistics.purges_dropped, 2 * 800);
    assert_eq!(sim.told(0, |e| *e == Event::Full(Table::Purges)), 2);
    sim.run_secs(HOLDING + 10);
    let Some(VnReport::Hub(report)) = sim.nodes[0].engine.report(sim.now, VN) else { panic!("a hub") };
    assert_eq!(report.purges, 0);
    let sent = sim.nodes[0].engine.statistics().tx_purge_req - before.tx_purge_req;
    assert!(sent < 150, "{sent} Purge Requests");
    assert_eq!(sim.wrong_shortcuts(), 0, "what was not told ends with its holding time");
}

#[test]
fn questions_wait_for_the_rate_limit() {
    let mut sim = star(seed(), Net::GOOD, 2);
    for n in 1000..1600 {
        sim.settle(station(n), 1, VN);
        sim.frame(station(n), None);
    }
    sim.run_secs(1);
    let asked = sim.nodes[2].engine.statistics().tx_resolve_req;
    assert!(asked <= 310, "{asked}");
    assert!(sim.nodes[2].engine.statistics().tx_rate_limited > 0);
    sim.run_secs(5);
    assert_eq!(sim.plane(2, VN).shortcuts.len(), 600, "in the end all are asked for");
    assert_eq!(sim.nodes[0].engine.statistics().rx_rate_limited, 0);
}

#[test]
fn a_port_that_cannot_be_made_is_a_refusal_and_another_try() {
    let mut sim = Sim::new(seed(), Net::GOOD);
    let hub = sim.add(&[hub_nbma()], hub_settings(HOLDING), None);
    sim.nodes[hub].port_failure = Some(Outcome::Failed { taken: true });
    add_spokes(&mut sim, 1);
    sim.run_secs(60);
    assert!(!sim.registered(1, VN));
    assert!(sim.told(1, |e| matches!(e, Event::Refused { reason: Refusal::Nak(5), .. })) >= 2);
    sim.nodes[hub].port_failure = None;
    sim.until(4 * MINUTE, "registering", |sim| sim.registered(1, VN));
    sim.check_kernel_is_as_wanted();
}

#[test]
fn the_same_mac_twice_is_refused_unless_it_is_the_same_router() {
    let mut sim = star(seed(), Net::GOOD, 2);
    let mac = bridge(16 + 1);
    assert_eq!(sim.plane(1, VN).mac, mac);
    sim.input(2, Input::News { vn: VN, news: News::Device(Some(mac)) });
    sim.run_secs(60);
    assert!(sim.told(2, |e| matches!(e, Event::Refused { reason: Refusal::Nak(14), .. })) >= 1);
    assert!(sim.registered(1, VN) && !sim.registered(2, VN));
    // The first router comes back with another VNI: it may.
    sim.nodes[1].planes.clear();
    sim.apply(1, spoke_settings(HOLDING, 777));
    sim.until(MINUTE, "registering", |sim| sim.registered(1, VN));
    let ports: Vec<Vtep> = sim.plane(0, VN).ports.keys().copied().collect();
    assert_eq!(ports, [Vtep { nbma: spoke_nbma(1), vni: vni(777) }]);
}

/// A router whose address changes, with all that was said there lost: it is the same, and so is its port.
#[test]
fn a_spoke_with_another_address_keeps_its_port() {
    for (net, lost) in [(Net::GOOD, 3), (Net { loss: 30, ..Net::GOOD }, 200)] {
        let mut sim = star(seed(), net, 8);
        for peer in 2..=8 {
            sim.converse(station(1), station(peer), SECOND, 60 * MINUTE);
        }
        sim.run_secs(60);
        let uplinks = |sim: &Sim| {
            let mut all: Vec<_> = sim.plane(0, VN).ports.values().map(|port| port.uplink).collect();
            all.sort();
            all
        };
        let (before, up) = (uplinks(&sim), sim.told(0, |e| matches!(e, Event::SpokeUp { .. })));
        for n in 0..5 {
            let (there, frames) = (spoke_nbma(1000 + n), sim.frames_lost());
            sim.renumber(1, there);
            sim.set_way(1, Some(dmevpn::engine::Path { local: there, remote: hub_nbma() }));
            let port = Vtep { nbma: there, vni: vni(101) };
            let took = sim.until(MINUTE, "moving", |sim| sim.plane(0, VN).ports.contains_key(&port));
            sim.run_secs(60);
            println!("moved in {took:?}, {} frames lost", sim.frames_lost() - frames);
            sim.check(net.loss > 0 || took < SECOND, || format!("it took {took:?}"));
            sim.check(uplinks(&sim) == before, || "another port".into());
            let wrong = sim.wrong_shortcuts();
            sim.check(wrong == 0, || format!("{wrong} wrong shortcuts"));
            let frames = sim.frames_lost() - frames;
            sim.check(frames <= 7 * lost, || format!("{frames} frames were lost"));
        }
        assert_eq!(sim.told(0, |e| matches!(e, Event::SpokeUp { .. })), up);
        assert_eq!(sim.told(0, |e| matches!(e, Event::SpokeDown { .. })), 0);
        assert_eq!(sim.told(0, |e| matches!(e, Event::SpokeMoved { .. })), 5);
        sim.check_kernel_is_as_wanted();
    }
}

/// Of two routers with one MAC the first stays, whatever the weather, and the other one is there as soon as it has its own.
#[test]
fn a_copy_of_a_router_disturbs_nobody() {
    let mut sim = star(seed(), Net { loss: 10, ..Net::GOOD }, 3);
    sim.converse(station(1), station(3), SECOND, 60 * MINUTE);
    let own = sim.plane(2, VN).mac;
    let mac = sim.plane(1, VN).mac;
    sim.input(2, Input::News { vn: VN, news: News::Device(Some(mac)) });
    sim.run_secs(30 * 60);
    let down = |e: &Event| matches!(e, Event::SpokeDown { spoke, .. } if spoke.nbma == spoke_nbma(1));
    sim.check(sim.told(0, down) == 0 && sim.registered(1, VN), || "it was disturbed".into());
    sim.check(sim.frames_lost() < 10, || format!("{} frames were lost", sim.frames_lost()));
    for id in 0..3 {
        let told = sim.told(id, |e| matches!(e, Event::Rivals(both) if both.mac == mac));
        sim.check(told > 0, || format!("node {id} says nothing"));
    }
    sim.input(2, Input::News { vn: VN, news: News::Device(Some(own)) });
    sim.until(10 * SECOND, "registering", |sim| sim.registered(2, VN));
}

fn l2miss(n: u32) -> dmevpn::engine::settings::Settings {
    let mut role = spoke_role(n);
    role.trigger = Trigger::L2miss;
    settings(HOLDING, [(VN, vn_settings(VN, Part::Spoke(role)))], VpnMode::Llc)
}

#[test]
fn a_miss_goes_by_the_hub_and_then_directly() {
    let mut sim = Sim::new(seed(), Net::GOOD);
    sim.add(&[hub_nbma()], hub_settings(HOLDING), None);
    sim.add(&[spoke_nbma(1)], l2miss(101), Some(hub_nbma()));
    sim.add(&[spoke_nbma(2)], l2miss(102), Some(hub_nbma()));
    all_register(&mut sim);
    (1..=2).for_each(|n| sim.settle(station(n), n, VN));
    sim.frame(station(2), None);
    sim.run_secs(1);
    assert_eq!(sim.shortcut(1, VN, station(2)), None, "what is only heard is not asked for");
    sim.frame(station(1), Some(station(2)));
    sim.run(Duration::from_millis(3));
    assert_eq!(sim.shortcut(1, VN, station(2)), sim.plane(1, VN).uplink, "by the hub at once");
    sim.converse(station(1), station(2), SECOND, 5 * MINUTE);
    sim.run_secs(5);
    assert!(has_shortcut(&sim, 1, station(2)) && has_shortcut(&sim, 2, station(1)));
    sim.run_secs(240);
    assert!(has_shortcut(&sim, 1, station(2)));
    assert!(sim.frames_lost() <= 4, "only what was missed: {}", sim.frames_lost());

    // A MAC nobody knows is pointed at the hub while it is used, and forgotten then.
    let nobody = station(88);
    sim.talk(station(1), Some(nobody), SECOND, 100 * SECOND);
    sim.run_secs(5);
    assert_eq!(sim.shortcut(1, VN, nobody), sim.plane(1, VN).uplink);
    assert_eq!(sim.told(1, |e| matches!(e, Event::NotResolved { mac, .. } if *mac == nobody)), 1);
    sim.run_secs(60);
    assert!(
        (2..=3).contains(&sim.told(1, |e| matches!(e, Event::NotResolved { mac, .. } if *mac == nobody)))
    );
    sim.run_secs(150);
    assert_eq!(sim.shortcut(1, VN, nobody), None);
    sim.run_secs(300);
    assert!(sim.plane(1, VN).shortcuts.is_empty());
    sim.check_kernel_is_as_wanted();
}

/// A frame for it was sent before the bridge learned it, or an operator asks for it: it stays here, and is announced.
#[test]
fn a_local_station_is_not_looked_for_elsewhere() {
    let mut sim = Sim::new(seed(), Net::GOOD);
    sim.add(&[hub_nbma()], hub_settings(HOLDING), None);
    sim.add(&[spoke_nbma(1)], l2miss(101), Some(hub_nbma()));
    all_register(&mut sim);
    sim.settle(station(1), 1, VN);
    sim.talk(station(1), Some(station(77)), SECOND, 60 * MINUTE);
    sim.run_secs(2);
    sim.input(1, Input::News { vn: VN, news: News::Miss(station(1)) });
    sim.input(1, Input::Order(Order::Resolve { vn: VN, mac: station(1) }));
    let to = Vtep { nbma: spoke_nbma(2), vni: vni(102) };
    sim.input(1, Input::News { vn: VN, news: News::FoundShortcut { mac: station(1), to } });
    sim.run_secs(5);
    assert_eq!(sim.nodes[1].engine.lookup(VN, station(1)), Place::Local);
    assert_eq!(sim.shortcut(1, VN, station(1)), None);
    assert_eq!(sim.told(1, |e| *e == Event::Asked { mac: station(1) }), 0);
}

#[test]
fn misses_follow_a_new_uplink() {
    let mut sim = Sim::new(seed(), Net::GOOD);
    sim.add(&[hub_nbma()], hub_settings(HOLDING), None);
    sim.add(&[spoke_nbma(1)], l2miss(101), Some(hub_nbma()));
    all_register(&mut sim);
    sim.settle(station(1), 1, VN);
    let nobody = station(88);
    sim.talk(station(1), Some(nobody), SECOND, 30 * MINUTE);
    sim.run_secs(5);
    let old = sim.plane(1, VN).uplink;
    // The hub is replaced by another one with other VNIs, and no memory.
    sim.nodes[0].planes.clear();
    let other = hub_settings_with(|role| role.uplink_first = vni(0x90_0000));
    sim.apply(0, other);
    sim.restart(0);
    sim.run_secs(HOLDING);
    assert_ne!(sim.plane(1, VN).uplink, old);
    assert_eq!(sim.shortcut(1, VN, nobody), sim.plane(1, VN).uplink);
}

fn two_vns(first: u32, second: u32) -> dmevpn::engine::settings::Settings {
    let vn = |key, n| (key, vn_settings(key, Part::Spoke(spoke_role(n))));
    settings(HOLDING, [vn(VN, first), vn(VnKey(2), second)], VpnMode::Llc)
}

fn two_vn_star() -> Sim {
    let mut sim = Sim::new(seed(), Net::GOOD);
    let vn = |key| (key, vn_settings(key, Part::Hub(hub_role())));
    sim.add(&[hub_nbma()], settings(HOLDING, [vn(VN), vn(VnKey(2))], VpnMode::Llc), None);
    // What is VN 1 here is VN 2 there: a VNI is local to its site.
    sim.add(&[spoke_nbma(1)], two_vns(100, 200), Some(hub_nbma()));
    sim.add(&[spoke_nbma(2)], two_vns(200, 100), Some(hub_nbma()));
    sim.until(MINUTE, "registering", |sim| {
        (1..=2).all(|id| sim.registered(id, VN) && sim.registered(id, VnKey(2)))
    });
    sim
}

#[test]
fn two_vns_stay_apart() {
    let mut sim = two_vn_star();
    for (n, id, key) in [(1, 1, VN), (2, 2, VN), (11, 1, VnKey(2)), (12, 2, VnKey(2))] {
        sim.settle(station(n), id, key);
    }
    sim.converse(station(1), station(2), SECOND, 15 * SECOND);
    sim.converse(station(11), station(12), SECOND, 15 * SECOND);
    sim.run_secs(20);
    let at = |id: usize, n| Some(Vtep { nbma: spoke_nbma(id), vni: vni(n) });
    assert_eq!(sim.shortcut(1, VN, station(2)), at(2, 200));
    assert_eq!(sim.shortcut(1, VnKey(2), station(12)), at(2, 100));
    assert_eq!(sim.shortcut(2, VN, station(1)), at(1, 100));
    assert_eq!(sim.shortcut(2, VnKey(2), station(11)), at(1, 200));
    let crossed = sim.plane(1, VN).shortcuts.keys().chain(sim.plane(2, VN).shortcuts.keys());
    assert!(crossed.into_iter().all(|mac| [station(1), station(2)].contains(mac)));
    assert_eq!(sim.frames_lost(), 0);
}

#[test]
fn a_reload_disturbs_only_what_changed() {
    let mut sim = two_vn_star();
    for (n, id, key) in [(1, 1, VN), (2, 2, VN), (11, 1, VnKey(2)), (12, 2, VnKey(2))] {
        sim.settle(station(n), id, key);
    }
    sim.converse(station(1), station(2), SECOND, 60 * MINUTE);
    sim.converse(station(11), station(12), SECOND, 60 * MINUTE);
    sim.run_secs(20);
    let told = |sim: &Sim| sim.nodes[1].told.iter().filter(|(_, vn, _)| *vn == VnKey(2)).count();
    let before = told(&sim);

    // Nothing changes: nothing happens.
    let sent = sim.nodes[1].sent;
    sim.apply(1, two_vns(100, 200));
    assert_eq!(sim.nodes[1].sent, sent);
    // VN 1 gets another VNI: it registers anew, VN 2 hears nothing of it.
    sim.apply(1, two_vns(150, 200));
    sim.until(SECOND, "registering", |sim| sim.registered(1, VN));
    // The hub forgot it with the old registration, and would not hear it if it only answered directly.
    sim.frame(station(1), None);
    sim.run_secs(35);
    assert_eq!(told(&sim), before);
    assert_eq!(sim.shortcut(2, VN, station(1)), Some(Vtep { nbma: spoke_nbma(1), vni: vni(150) }));
    // Another holding time takes effect with the next refresh.
    let mut shorter = two_vns(150, 200);
    shorter.holding_time = Duration::from_secs(30);
    sim.apply(1, shorter.clone());
    assert_eq!(told(&sim), before);
    sim.run_secs(HOLDING / 2);
    let left = sim.nodes[0]
        .engine
        .peers(sim.now, VnKey(2), None, usize::MAX)
        .iter()
        .find(|p| p.nbma == spoke_nbma(1))
        .unwrap()
        .left;
    assert!(left <= 30, "{left}");
    // VN 1 is taken out: withdrawn at once.
    shorter.vns.remove(&VN);
    let plane = sim.plane(0, VN).ports.len();
    sim.apply(1, shorter);
    sim.run_secs(1);
    assert_eq!(sim.plane(0, VN).ports.len(), plane - 1);
    assert_eq!(sim.shortcut(2, VN, station(1)), None);
    assert!(sim.registered(1, VnKey(2)));
    // The hub takes VN 2 out: its ports go, VN 1 stays.
    sim.apply(0, hub_settings(HOLDING));
    assert!(sim.plane(0, VN).ports.len() == 1);
    sim.run_secs(60);
    assert!(sim.registered(2, VN));
    let refused = Event::Refused { hub: hub_nbma(), reason: Refusal::Error(17) };
    assert!(sim.told(2, |e| *e == refused) >= 1, "the hub says that it does not know the VN");
}

#[test]
fn a_hub_between_two_address_families() {
    let mut sim = Sim::new(seed(), Net::GOOD);
    let hub6 = nbma("2001:db8::254");
    sim.add(&[hub_nbma(), hub6], hub_settings(HOLDING), None);
    let spokes =
        [("10.0.1.1", hub_nbma()), ("2001:db8::1", hub6), ("2001:db8::2", hub6), ("10.0.1.2", hub_nbma())];
    for (n, (address, hub)) in spokes.into_iter().enumerate() {
        sim.add(&[nbma(address)], spoke_settings(HOLDING, 100), Some(hub));
        sim.settle(station(n + 1), n + 1, VN);
    }
    all_register(&mut sim);
    for (a, b) in [(1, 2), (2, 3), (1, 4), (3, 4)] {
        sim.converse(station(a), station(b), SECOND, 10 * MINUTE);
    }
    sim.run_secs(10);
    for (a, b) in [(1, 2), (2, 1), (2, 3), (3, 2), (1, 4), (4, 1), (3, 4), (4, 3)] {
        assert!(has_shortcut(&sim, a, station(b)), "{a} -> {b}: {:?}", sim.shortcut(a, VN, station(b)));
    }
    assert_eq!(sim.shortcut(1, VN, station(2)), sim.plane(1, VN).uplink);
    // From the other family to the own one: the hub's answer is replaced by the direct one.
    move_station(&mut sim, station(2), 4);
    sim.run_secs(5);
    assert!(has_shortcut(&sim, 1, station(2)) && has_shortcut(&sim, 3, station(2)));
    sim.run_secs(5 * HOLDING);
    assert!(has_shortcut(&sim, 1, station(2)));
}

#[test]
fn the_vn_by_key_and_by_nothing() {
    for mode in [VpnMode::Key, VpnMode::None] {
        let mut sim = Sim::new(seed(), Net::GOOD);
        sim.add(&[hub_nbma()], hub_settings_with(|role| role.default = true), None);
        for n in 1..=2 {
            let vn = vn_settings(VN, Part::Spoke(spoke_role(100)));
            sim.add(&[spoke_nbma(n)], settings(HOLDING, [(VN, vn)], mode), Some(hub_nbma()));
            sim.settle(station(n), n, VN);
        }
        // One that names its VN by the header is in the same VN.
        sim.add(&[spoke_nbma(3)], spoke_settings(HOLDING, 103), Some(hub_nbma()));
        sim.settle(station(3), 3, VN);
        all_register(&mut sim);
        sim.converse(station(1), station(2), SECOND, 10 * MINUTE);
        sim.converse(station(1), station(3), SECOND, 10 * MINUTE);
        sim.run_secs(5);
        for (a, b) in [(1, 2), (2, 1), (1, 3), (3, 1)] {
            assert!(has_shortcut(&sim, a, station(b)), "{mode:?} {a} -> {b}");
        }
        move_station(&mut sim, station(1), 3);
        sim.run_secs(3);
        assert_eq!(sim.wrong_shortcuts(), 0);
    }
}

#[test]
fn a_spoke_that_loses_its_way_and_finds_another() {
    let mut sim = star(seed(), Net::GOOD, 3);
    sim.converse(station(1), station(2), SECOND, 60 * MINUTE);
    sim.run_secs(20);
    sim.input(1, Input::Hub { hub: HUB, path: None });
    sim.run_secs(4 * HOLDING);
    sim.check_kernel_is_as_wanted();
    assert!(sim.plane(1, VN).shortcuts.is_empty(), "nobody could tell that they became wrong");
    let path = dmevpn::engine::Path { local: spoke_nbma(1), remote: hub_nbma() };
    sim.input(1, Input::Hub { hub: HUB, path: Some(path) });
    sim.until(SECOND, "registering", |sim| sim.registered(1, VN));
    sim.frame(station(1), None);
    sim.until(5 * SECOND, "shortcuts again", |sim| {
        has_shortcut(sim, 1, station(2)) && has_shortcut(sim, 2, station(1))
    });
}

#[test]
fn one_seed_one_history() {
    let history = |seed| {
        let mut sim = Sim::new(seed, Net { frame_loss: 10, ..Net::BAD });
        sim.trace = true;
        sim.add(&[hub_nbma()], hub_settings(HOLDING), None);
        add_spokes(&mut sim, 20);
        for n in 1..=10 {
            sim.converse(station(n), station(n + 10), SECOND, 10 * MINUTE);
        }
        sim.run_secs(100);
        move_station(&mut sim, station(1), 5);
        sim.run_secs(200);
        sim.hash
    };
    let seed = seed();
    assert_eq!(history(seed), history(seed));
    assert_ne!(history(seed), history(seed + 1));
}

#[test]
fn the_state_of_a_mac_can_be_read() {
    let mut sim = star(seed(), Net::GOOD, 3);
    sim.converse(station(1), station(2), SECOND, MINUTE);
    sim.run_secs(10);
    let rows = sim.nodes[1].engine.macs(sim.now, VN, None, usize::MAX);
    assert!(rows.iter().any(|r| r.mac == station(2) && r.state == MacState::Shortcut && r.left.is_some()));
    let rows = sim.nodes[0].engine.macs(sim.now, VN, None, usize::MAX);
    assert!(rows.iter().any(|r| r.mac == station(2) && r.state == MacState::Learned && r.askers >= 1));
}

/// A station whose frames all go by shortcuts, and which never broadcasts: the hub knows it by its announcements only.
#[test]
fn a_station_the_hub_never_heard() {
    let mut sim = star(seed(), Net::GOOD, 3);
    sim.frame(station(1), None);
    sim.run_secs(2);
    assert!(has_shortcut(&sim, 2, station(1)));
    sim.talk(station(2), Some(station(1)), SECOND, 30 * MINUTE);
    sim.talk(station(1), Some(station(2)), SECOND, 30 * MINUTE);
    sim.run_secs(20 * 60);
    assert!(has_shortcut(&sim, 1, station(2)));
}

/// A station whose port goes, and which says nothing at its new site: whoever talks to it finds it there, in bad weather,
/// too, and though that site believed it behind the tunnel.
#[test]
fn a_station_that_is_unplugged_and_keeps_quiet() {
    for net in [Net::GOOD, Net::BAD] {
        let mut sim = star(seed(), net, 3);
        sim.settle(station(33), 3, VN);
        sim.converse(station(1), station(2), SECOND, MINUTE);
        sim.converse(station(33), station(2), SECOND, MINUTE);
        sim.run_secs(70);
        sim.unplug(station(2));
        sim.settle(station(2), 3, VN);
        sim.run_secs(30);
        let before = sim.frames_arrived;
        sim.frame(station(1), Some(station(2)));
        sim.run_secs(2);
        assert_eq!(sim.frames_arrived, before + 1, "{net:?}");
    }
}

/// A station that moves without a broadcast, to a site that has shortcuts to whom it talks to.
#[test]
fn a_station_that_moves_quietly() {
    let mut sim = star(seed(), Net::GOOD, 3);
    sim.settle(station(33), 3, VN);
    sim.converse(station(33), station(2), SECOND, 60 * MINUTE);
    sim.converse(station(1), station(2), SECOND, 60 * MINUTE);
    sim.run_secs(10);
    sim.settle(station(1), 3, VN);
    sim.run_secs(10);
    assert_eq!(sim.wrong_shortcuts(), 0, "the old place is still answered");
}

/// A hub is started again at another address, its bridge with the MAC that it had. A spoke knows the hub's MAC, and a station there that
/// it did not use lately: nothing leads to the old address any more, neither frames nor what is announced.
#[test]
fn what_was_at_a_hub_is_where_the_hub_is_now() {
    let mut sim = Sim::new(seed(), Net::GOOD);
    let hub = sim.add(&[hub_nbma()], hub_settings(HOLDING), None);
    for n in 1..3 {
        let id = sim.add(&[spoke_nbma(n)], spoke_settings(HOLDING, 100 + n as u32), Some(hub_nbma()));
        sim.settle(station(id), id, VN);
    }
    sim.settle(station(50), hub, VN);
    sim.run_secs(10);
    sim.frame(station(50), None);
    sim.frame(station(1), None);
    let mac = sim.plane(hub, VN).mac;
    sim.run_secs(5);
    sim.input(1, Input::Order(Order::Resolve { vn: VN, mac }));
    sim.run_secs(75);
    assert!(sim.shortcut(1, VN, mac).is_some() && sim.shortcut(1, VN, station(50)).is_some());
    let new = spoke_nbma(200);
    sim.renumber(hub, new);
    sim.nodes[hub].addresses[0] = new;
    sim.reboot(hub);
    for id in 1..3 {
        sim.set_way(id, Some(Path { local: spoke_nbma(id), remote: new }));
    }
    sim.until(20 * SECOND, "registering", |sim| sim.registered(1, VN) && sim.plane(hub, VN).ports.len() == 2);
    let before = sim.frames_lost();
    sim.talk(station(1), Some(station(50)), SECOND / 20, 10 * SECOND);
    sim.until(SECOND, "being known", |sim| sim.plane(hub, VN).fdb.place(station(1)).is_some());
    sim.run_secs(15);
    assert_eq!(sim.frames_lost(), before);
}
