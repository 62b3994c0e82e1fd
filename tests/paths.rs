//! Paths under weather: what is blocked, narrow, slow or lossy, and what becomes of the frames. `DMEVPN_SEED` repeats a
//! failure.

mod sim;

use dmevpn::engine::report::{PathRow, PathState, Trouble};
use dmevpn::engine::{Arrived, By, Event, Input, News, Order};
use dmevpn::types::{Mac, Vtep};
use dmevpn::wire::probe::Probe;
use sim::build::*;
use sim::{Link, Net, NodeId, Sim, seed};
use std::time::Duration;

const HOLDING: u64 = 120;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// Seconds after which a spoke takes no frames any more but from where it knows that they are to come from.
const GUARDED: u64 = 70;
/// Frames of a conversation.
const OFTEN: Duration = Duration::from_millis(20);
/// How long nothing may arrive while a path goes down.
const DARK: Duration = Duration::from_millis(2500);

/// A hub, node 0, and spokes 1 to `n` with station `n` behind each, all registered.
fn star(n: usize) -> Sim {
    let mut sim = Sim::new(seed(), Net::GOOD);
    sim.add(&[nbma("10.0.0.254")], hub_settings(HOLDING), None);
    for n in 1..=n {
        sim.add(&[spoke_nbma(n)], spoke_settings(HOLDING, 100 + n as u32 % 7), Some(nbma("10.0.0.254")));
        sim.settle(station(n), n, VN);
    }
    sim.until(MINUTE, "registering", |sim| (1..=n).all(|id| sim.registered(id, VN)));
    sim
}

/// Two spokes whose stations talk, directly.
fn pair() -> Sim {
    let mut sim = star(2);
    sim.converse(station(1), station(2), OFTEN, 60 * MINUTE);
    sim.until(5 * SECOND, "the shortcuts", is_direct);
    sim
}

fn is_direct(sim: &Sim) -> bool {
    goes_direct(sim, 1, station(2)) && goes_direct(sim, 2, station(1))
}

fn goes_direct(sim: &Sim, id: NodeId, mac: Mac) -> bool {
    sim.shortcut(id, VN, mac).is_some() && sim.shortcut(id, VN, mac) == sim.right(id, mac)
}

fn path(sim: &Sim, id: NodeId, to: NodeId) -> Option<PathRow> {
    let rows = sim.nodes[id].engine.paths(sim.now, VN, None, usize::MAX);
    rows.into_iter().find(|row| row.peer.nbma == sim.nodes[to].addresses[0])
}

fn state(sim: &Sim, id: NodeId, to: NodeId) -> Option<PathState> {
    path(sim, id, to).map(|row| row.state)
}

fn flaps(sim: &Sim, id: NodeId) -> usize {
    sim.told(id, |event| matches!(event, Event::PathDown { is_hub: false, .. }))
}

#[test]
fn first_contact_takes_one_more_round_trip_and_loses_nothing() {
    let mut sim = star(2);
    sim.converse(station(1), station(2), OFTEN, MINUTE);
    let took = sim.until(5 * SECOND, "the shortcuts", is_direct);
    assert!(took < Duration::from_millis(700), "{took:?}");
    sim.run_secs(70);
    assert_eq!((sim.frames_lost(), sim.frames_guarded), (0, 0));
    let row = path(&sim, 1, 2).unwrap();
    assert_eq!((row.state, row.round_trip, row.loss, row.largest), (PathState::Up, Some(10), 0, Some(1450)));
    assert_eq!((row.shortcuts, path(&sim, 1, 0).unwrap().is_hub), (1, true));
}

/// What is blocked, and what is said of it at node 1 (towards node 2) and at node 2.
fn goes_dark(block: impl Fn(&mut Sim), troubles: [Trouble; 2], are_large: bool) {
    let mut sim = pair();
    sim.are_frames_large = are_large;
    sim.run_secs(GUARDED);
    sim.forget_gaps();
    block(&mut sim);
    sim.run_secs(10);
    let gap = sim.longest_gap();
    println!("the longest gap: {gap:?}");
    sim.check(gap <= DARK, || format!("nothing arrived for {gap:?}"));
    let down = troubles.map(PathState::Down).map(Some);
    assert_eq!([state(&sim, 1, 2), state(&sim, 2, 1)], down);
    assert!(sim.shortcut(1, VN, station(2)).is_none() && sim.shortcut(2, VN, station(1)).is_none());
    // It is back, and nothing is lost by that.
    sim.run_secs(20);
    sim.links.clear();
    let lost = sim.frames_lost();
    sim.until(MINUTE, "being back", is_direct);
    sim.run_secs(5);
    // Two may be on their way.
    assert!(sim.frames_lost() <= lost + 2, "{} lost", sim.frames_lost() - lost);
    assert!([(1, 2), (2, 1)].iter().all(|(a, b)| state(&sim, *a, *b) == Some(PathState::Up)));
}

#[test]
fn a_path_that_is_blocked_is_left_within_two_and_a_half_seconds() {
    goes_dark(|sim| sim.links(1, 2, Link::BLOCKED), [Trouble::Silent; 2], false);
}

#[test]
fn a_path_that_is_blocked_one_way_is_down_for_both() {
    goes_dark(|sim| sim.link(2, 1, Link::BLOCKED), [Trouble::Silent; 2], false);
}

#[test]
fn a_path_that_takes_no_large_frames_is_left() {
    let narrow = Link { is_narrow: true, ..Link::default() };
    goes_dark(|sim| sim.links(1, 2, narrow), [Trouble::Large; 2], true);
}

#[test]
fn a_path_that_icmp_says_is_closed_is_left() {
    let told = Link { is_told: true, ..Link::BLOCKED };
    goes_dark(|sim| sim.links(1, 2, told), [Trouble::Refused; 2], false);
}

/// Node 1 takes nothing of what node 2 sends, and so answers it nothing either.
#[test]
fn a_path_that_comes_back_by_another_address_is_left() {
    let translated = Link { is_translated: true, ..Link::default() };
    goes_dark(|sim| sim.link(2, 1, translated), [Trouble::Strayed, Trouble::Silent], false);
}

/// Nothing that the hub sends is taken, whatever its probes' answers say.
#[test]
fn a_hub_that_answers_by_another_address_is_said() {
    let mut sim = pair();
    sim.run_secs(GUARDED);
    sim.link(0, 1, Link { is_translated: true, ..Link::default() });
    sim.run_secs(20);
    assert_eq!(state(&sim, 1, 0), Some(PathState::Down(Trouble::Strayed)));
    sim.links.clear();
    sim.run_secs(20);
    assert_eq!(state(&sim, 1, 0), Some(PathState::Up));
}

#[test]
fn nothing_goes_where_nothing_arrives_from_the_first() {
    let mut sim = star(2);
    sim.links(1, 2, Link::BLOCKED);
    sim.converse(station(1), station(2), OFTEN, 10 * MINUTE);
    sim.run_secs(5 * 60);
    sim.run(SECOND);
    assert!(sim.frames_lost() <= 2, "{} are lost", sim.frames_lost());
    assert_eq!(state(&sim, 1, 2), Some(PathState::Down(Trouble::Silent)));
    let probes = sim.nodes[1].probes;
    sim.run_secs(300);
    // To the hub once in a second, and a test now and then.
    assert!(sim.nodes[1].probes - probes < 400, "{} probes", sim.nodes[1].probes - probes);
}

#[test]
fn a_hole_for_large_frames_is_found_before_any_is_sent() {
    let mut sim = star(2);
    sim.are_frames_large = true;
    sim.links(1, 2, Link { is_narrow: true, ..Link::default() });
    // What the own line takes is to be known.
    sim.run_secs(2);
    sim.converse(station(1), station(2), OFTEN, 2 * MINUTE);
    sim.run_secs(60);
    assert!(sim.frames_lost() <= 2, "{} are lost", sim.frames_lost());
    assert_eq!(state(&sim, 1, 2), Some(PathState::Down(Trouble::Large)));
    let largest = path(&sim, 1, 2).unwrap().largest;
    assert!(largest.is_none_or(|largest| largest < 1200), "{largest:?}");
}

/// Where the own line takes no large frames the hub is no way out: what is small goes direct.
#[test]
fn a_line_that_takes_no_large_frames_is_no_reason_to_go_by_the_hub() {
    let mut sim = star(2);
    for (a, b) in [(1, 2), (1, 0)] {
        sim.links(a, b, Link { is_narrow: true, ..Link::default() });
    }
    sim.run_secs(20);
    sim.converse(station(1), station(2), OFTEN, 5 * MINUTE);
    sim.until(10 * SECOND, "the shortcut", |sim| goes_direct(sim, 1, station(2)));
    sim.run_secs(120);
    assert!(goes_direct(&sim, 1, station(2)));
    assert_eq!(flaps(&sim, 1), 0);
}

/// What becomes of two spokes that talk for hours over a lossy path.
struct Lossy {
    sim: Sim,
    hours: u64,
    /// How often the path went down at one of them, the first test aside.
    down: u64,
    /// Frames that were sent while it was: all arrived, by the hub.
    by_hub: u64,
}

/// So many percent are lost from spoke 1 to 2, and back. `DMEVPN_HOURS` says for how long it is tried.
fn lossy(there: u64, back: u64) -> Lossy {
    let mut sim = star(2);
    sim.link(1, 2, Link { loss: there, ..Link::default() });
    sim.link(2, 1, Link { loss: back, ..Link::default() });
    sim.talk(station(1), Some(station(2)), 4 * SECOND, 1000 * 60 * MINUTE);
    sim.talk(station(2), Some(station(1)), 4 * SECOND, 1000 * 60 * MINUTE);
    // The first test may need another one: nothing went there before.
    sim.until(2 * MINUTE, "the shortcuts", is_direct);
    let all = |sim: &Sim| (flaps(sim, 1) + flaps(sim, 2)) as u64;
    let first = all(&sim);
    let hours = std::env::var("DMEVPN_HOURS").ok().and_then(|hours| hours.parse().ok()).unwrap_or(4);
    let mut by_hub = 0;
    for _ in 0..hours * 60 * 60 {
        sim.run(SECOND);
        by_hub += u64::from(goes_by_hub(&mut sim, 1, 2)) + u64::from(goes_by_hub(&mut sim, 2, 1));
    }
    let down = all(&sim) - first;
    println!("{there} % there, {back} % back: down {down} times in {hours} h, {by_hub} frames meanwhile");
    Lossy { sim, hours, down, by_hub }
}

/// If the path is down a frame is sent, which has to arrive by the hub.
fn goes_by_hub(sim: &mut Sim, from: NodeId, to: NodeId) -> bool {
    let is_down = |sim: &Sim| matches!(state(sim, from, to), Some(PathState::Down(_)));
    if !is_down(sim) {
        return false;
    }
    // The kernel has done by then what it was told, unless the path is up again.
    sim.run(SECOND / 50);
    if !is_down(sim) {
        return false;
    }
    sim.followed.clear();
    sim.follow(station(from), Some(station(to)));
    sim.run(SECOND / 20);
    let (_, followed) = sim.followed.pop_first().expect("it was just sent");
    let copies = followed.copies.get(&to).map_or(&[][..], |copies| copies);
    let is_by_hub = matches!(copies, [(_, frame)] if frame.trail[frame.hops - 1] == 0);
    sim.check(is_by_hub, || format!("the path from {from} to {to} is down, and there are {copies:?}"));
    true
}

/// Of the round trips 0, 10 or 30 % are lost, the last ones also one way alone: with them a path goes down about once in a
/// hundred hours.
#[test]
fn a_lossy_path_does_not_flap() {
    let cases = [(0, 0, 0..1), (5, 5, 0..400), (16, 16, 100..600), (30, 0, 100..600), (0, 30, 100..600)];
    for (there, back, loss) in cases {
        let Lossy { sim, hours, down, .. } = lossy(there, back);
        let row = path(&sim, 1, 2).unwrap();
        assert!(loss.contains(&row.loss) && row.state == PathState::Up, "{row:?}");
        sim.check(down <= hours / 20, || format!("down {down} times"));
    }
}

/// Half of the round trips are lost, both ways or one way: a path goes down three or four times an hour, and what is sent then
/// arrives.
#[test]
fn a_path_that_loses_half_flaps_a_few_times_an_hour() {
    for (there, back) in [(29, 29), (50, 0)] {
        let Lossy { sim, hours, down, by_hub } = lossy(there, back);
        sim.check(down <= hours * 8, || format!("down {down} times"));
        sim.check(by_hub > 0, || "it was never down".into());
    }
}

#[test]
fn a_slow_path_is_left_in_time_and_does_not_flap() {
    let slow = Link { delay: 300, jitter: 200, ..Link::default() };
    let mut sim = star(2);
    sim.links(1, 2, slow);
    sim.converse(station(1), station(2), OFTEN, 60 * MINUTE);
    sim.until(10 * SECOND, "the shortcuts", is_direct);
    sim.run_secs(20 * 60);
    assert_eq!(flaps(&sim, 1) + flaps(&sim, 2), 0);
    sim.forget_gaps();
    sim.links(1, 2, Link::BLOCKED);
    sim.run_secs(15);
    // 1.6 s and twice what makes an answer late.
    assert!(sim.longest_gap() < Duration::from_millis(4500), "{:?}", sim.longest_gap());
}

/// The own line is dead: where frames go does not matter, and it is as before when it is back.
#[test]
fn a_dead_line_changes_nothing() {
    for dead in [500, 1000, 1700, 2500, 5000, 60_000] {
        let mut sim = star(4);
        for peer in 2..=4 {
            sim.converse(station(1), station(peer), OFTEN, 60 * MINUTE);
        }
        sim.until(5 * SECOND, "the shortcuts", |sim| (2..=4).all(|n| goes_direct(sim, 1, station(n))));
        sim.run_secs(20);
        (0..5).filter(|other| *other != 1).for_each(|other| sim.cut(1, other));
        sim.run(Duration::from_millis(dead));
        sim.cut.clear();
        sim.run_secs(20);
        assert_eq!(flaps(&sim, 1), 0, "dead for {dead} ms");
        sim.check((2..=4).all(|n| goes_direct(&sim, 1, station(n))), || format!("after {dead} ms"));
    }
}

#[test]
fn many_shortcuts_over_one_path_are_one_path() {
    let mut sim = star(2);
    for id in 1..=2 {
        let mut settings = sim.nodes[id].settings.clone();
        settings.vns.get_mut(&VN).unwrap().client.as_mut().unwrap().max_macs = 4000;
        sim.apply(id, settings);
    }
    for n in 1000..3000 {
        sim.settle(station(n), 2, VN);
        sim.frame(station(n), None);
        if n % 100 == 0 {
            sim.run_secs(1);
        }
    }
    sim.until(2 * MINUTE, "2000 shortcuts", |sim| sim.plane(1, VN).shortcuts.len() >= 2000);
    sim.talk(station(1), Some(station(1000)), OFTEN, 10 * MINUTE);
    sim.run_secs(10);
    let probes = sim.nodes[1].probes;
    sim.run_secs(10);
    let probes = sim.nodes[1].probes - probes;
    assert!((20..=45).contains(&probes), "{probes} probes in 10 s");
    sim.links(1, 2, Link::BLOCKED);
    sim.run_secs(4);
    assert!(sim.plane(1, VN).shortcuts.is_empty(), "all leave at once");
    let lost = sim.frames_lost();
    sim.links.clear();
    sim.until(MINUTE, "being back", |sim| sim.plane(1, VN).shortcuts.len() >= 2000);
    assert!(sim.frames_lost() <= lost + 2);
}

/// An idle spoke probes its hub once in five seconds, and one that is used once in a second.
#[test]
fn an_idle_spoke_hardly_probes() {
    let mut sim = star(1);
    sim.run_secs(60);
    let probes = sim.nodes[1].probes;
    sim.run_secs(600);
    // Of a new path and every 300 s one more, that is not cut.
    assert!((115..=125).contains(&(sim.nodes[1].probes - probes)), "{}", sim.nodes[1].probes - probes);
    let [hub, spoke] = [0, 1].map(|id| sim.nodes[id].engine.vn_statistics(VN));
    assert_eq!(u64::from(spoke.tx_probe), sim.nodes[1].probes);
    assert_eq!(
        (hub.rx_probe, hub.tx_probe_reply, spoke.rx_probe_reply),
        (spoke.tx_probe, spoke.tx_probe, spoke.tx_probe)
    );
    assert_eq!((hub.rx_probe_limited, spoke.rx_probe_limited), (0, 0));
}

#[test]
fn a_hubs_machine_that_reboots_has_its_spokes_back() {
    for (is_active, away, most) in [(true, 0, 5), (true, 10, 3), (true, 45, 3), (false, 45, 6)] {
        let mut sim = star(5);
        if is_active {
            // Addresses that nobody has: their frames go by the hub.
            (1..=5).for_each(|n| sim.talk(station(n), Some(station(900 + n)), OFTEN, 60 * MINUTE));
        }
        sim.run_secs(20);
        sim.nodes[0].alive = false;
        sim.run_secs(away);
        sim.nodes[0].alive = true;
        sim.reboot(0);
        let took = sim.until(MINUTE, "registering", |sim| sim.plane(0, VN).ports.len() == 5);
        println!("active: {is_active}, away for {away} s: back after {took:?}");
        let most = Duration::from_secs(most);
        sim.check(took <= most, || format!("active {is_active}, away {away} s: {took:?}"));
        let hub = |sim: &Sim| (1..=5).all(|id| state(sim, id, 0) == Some(PathState::Up));
        sim.until(10 * SECOND, "the paths to the hub", hub);
    }
}

/// A hub whose daemon was started anew says so in its answers.
#[test]
fn a_hubs_daemon_that_restarts_is_registered_with_at_once() {
    let mut sim = star(5);
    sim.run_secs(90);
    sim.nodes[0].deaf = true;
    sim.cut.extend((1..=5).map(|id| (0, id)));
    sim.restart(0);
    // What it says at its start is lost.
    sim.run_secs(2);
    sim.cut.clear();
    let known = |sim: &Sim| {
        sim.nodes[0].engine.peers(sim.now, VN, None, 10).iter().filter(|p| !p.macs.is_empty()).count()
    };
    let took = sim.until(MINUTE, "registering", |sim| known(sim) == 5);
    assert!(took < 12 * SECOND, "{took:?}");
}

#[test]
fn vxlan_that_does_not_get_to_the_hub_ends_no_registration() {
    let mut sim = star(2);
    sim.run_secs(20);
    sim.links(1, 0, Link::BLOCKED);
    sim.run_secs(60);
    assert!(sim.registered(1, VN));
    assert_eq!(state(&sim, 1, 0), Some(PathState::Down(Trouble::NhrpOnly)));
    assert_eq!(sim.told(1, |event| matches!(event, Event::PathDown { is_hub: true, .. })), 1);
    let sent = sim.nodes[1].sent;
    sim.run_secs(600);
    assert!(sim.nodes[1].sent - sent < 60, "{} packets", sim.nodes[1].sent - sent);
    sim.links.clear();
    sim.run_secs(5);
    assert_eq!(state(&sim, 1, 0), Some(PathState::Up));
}

#[test]
fn a_node_sends_a_hundred_probes_a_second_at_most() {
    let mut sim = star(150);
    for peer in 2..=150 {
        sim.converse(station(1), station(peer), SECOND, 10 * MINUTE);
    }
    sim.run_secs(20);
    assert!(sim.nodes[1].engine.probing() > 150, "{} %", sim.nodes[1].engine.probing());
    sim.nodes[1].most_probes = 0;
    sim.run_secs(10);
    assert!(sim.nodes[1].most_probes <= 110, "{} in a second", sim.nodes[1].most_probes);
    assert!((2..=150).all(|n| goes_direct(&sim, 1, station(n))));
    // All of them, page by page.
    let page = |after, most| sim.nodes[1].engine.paths(sim.now, VN, after, most);
    let (all, mut rows) = (page(None, usize::MAX), Vec::new());
    while rows.len() < 200 {
        let next = page(rows.last().map(|row: &PathRow| row.peer), 7);
        rows.extend(next.iter().copied());
        if next.len() < 7 {
            break;
        }
    }
    assert_eq!(rows, all);
    assert!(rows.len() == 150 && rows.is_sorted_by_key(|row| row.peer));
    assert!(rows.iter().all(|row| row.is_hub || row.shortcuts == 1));
    sim.set_way(1, None);
    let sources = sim.nodes[1].engine.plane(VN).unwrap().sources().count();
    assert_eq!((sources, sim.nodes[1].engine.paths(sim.now, VN, None, 9).len()), (0, 0));
}

/// A hub answers each client's probes up to a limit, whoever sends them.
#[test]
fn a_flood_of_probes_is_not_answered() {
    let mut sim = star(2);
    let port = |sim: &Sim, n| sim.plane(0, VN).ports.keys().find(|v| v.nbma == spoke_nbma(n)).copied();
    let flooded = port(&sim, 1).unwrap();
    let before = sim.nodes[0].engine.vn_statistics(VN);
    let probe = Probe {
        is_answer: false,
        source: station(9),
        transaction: 0,
        flags: 0,
        asker: flooded,
        nonce: 1,
        tag: 0,
        padding: 0,
    };
    for _ in 0..1000 {
        sim.input(
            0,
            Input::Probe { vn: VN, arrived: Arrived { by: By::Port(flooded), is_stranger: false, probe } },
        );
        sim.run(Duration::from_millis(1));
    }
    let after = sim.nodes[0].engine.vn_statistics(VN);
    let limited = after.rx_probe_limited - before.rx_probe_limited;
    assert!((930..=950).contains(&limited), "{limited}");
    assert_eq!(state(&sim, 2, 0), Some(PathState::Up));
}

/// What somebody whom nobody knows asks node 1.
fn strange_probe(sim: &mut Sim, mac: Mac, nonce: u64) {
    strange_probe_of(sim, Vtep { nbma: nbma("10.0.9.9"), vni: vni(5) }, mac, nonce);
}

fn strange_probe_of(sim: &mut Sim, asker: Vtep, source: Mac, nonce: u64) {
    let probe =
        Probe { is_answer: false, source, transaction: 1, flags: 0, asker, nonce, tag: 0, padding: 0 };
    let arrived = Arrived { by: By::Tunnel, is_stranger: true, probe };
    sim.input(1, Input::Probe { vn: VN, arrived });
}

fn asked(sim: &Sim) -> u32 {
    sim.nodes[1].engine.statistics().tx_resolve_req
}

fn questions_told(sim: &Sim) -> usize {
    sim.told(1, |event| matches!(event, Event::Asked { .. } | Event::NotResolved { .. }))
}

#[test]
fn a_stranger_gets_no_answer() {
    let mut sim = star(2);
    let (before, told) = (asked(&sim), questions_told(&sim));
    for nonce in 0..500 {
        strange_probe(&mut sim, station(4711), nonce);
        sim.run(Duration::from_millis(10));
    }
    assert!(path(&sim, 1, 2).is_none() && sim.nodes[1].engine.paths(sim.now, VN, None, 9).len() == 1);
    assert!((1..=100).contains(&(asked(&sim) - before)), "asked {} times", asked(&sim) - before);
    assert!(sim.nodes[1].engine.macs(sim.now, VN, None, 9).is_empty(), "nothing is left of it");
    assert_eq!(questions_told(&sim), told);
}

/// Strangers of many names, of whom the hub says nothing.
#[test]
fn strangers_take_no_places_of_macs() {
    let mut sim = star(2);
    let mut settings = sim.nodes[1].settings.clone();
    settings.vns.get_mut(&VN).unwrap().client.as_mut().unwrap().max_macs = 16;
    sim.apply(1, settings);
    sim.run_secs(5);
    let (before, told) = (asked(&sim), questions_told(&sim));
    sim.cut(1, 0);
    for n in 0..1000 {
        strange_probe(&mut sim, station(10_000 + n), n as u64);
        sim.run(Duration::from_millis(10));
    }
    assert!((100..=150).contains(&(asked(&sim) - before)), "asked {} times", asked(&sim) - before);
    assert_eq!(sim.nodes[1].engine.macs(sim.now, VN, None, 99), []);
    assert_eq!(questions_told(&sim), told);
    sim.cut.clear();
    sim.converse(station(1), station(2), OFTEN, MINUTE);
    sim.until(5 * SECOND, "the shortcuts", is_direct);
}

/// Routes change all the time, and none of them leads elsewhere: what is up is watched as ever.
#[test]
fn a_storm_of_routes_puts_nothing_off() {
    let mut sim = pair();
    let way = sim.nodes[1].hubs[&HUB];
    let storm = |sim: &mut Sim, seconds: u64| {
        for _ in 0..seconds * 5 {
            sim.input(1, Input::Hub { hub: HUB, path: Some(way) });
            sim.run(Duration::from_millis(200));
        }
    };
    sim.run_secs(10);
    let calm = sim.nodes[1].probes;
    sim.run_secs(20);
    let calm = sim.nodes[1].probes - calm;
    let stormy = sim.nodes[1].probes;
    storm(&mut sim, 20);
    let stormy = sim.nodes[1].probes - stormy;
    assert!((calm - 3..=calm + 3).contains(&stormy), "{calm} probes in a calm, {stormy} in a storm");
    sim.forget_gaps();
    sim.links(1, 2, Link::BLOCKED);
    storm(&mut sim, 6);
    let gap = sim.longest_gap();
    sim.check(gap <= DARK, || format!("nothing arrived for {gap:?}"));
    assert_eq!(state(&sim, 1, 2), Some(PathState::Down(Trouble::Silent)));
    // What is down is tested sooner than it would be.
    sim.links.clear();
    storm(&mut sim, 10);
    assert!(goes_direct(&sim, 1, station(2)));
}

/// A router that slept, or somebody who keeps packets back: what an answer took then is no round trip.
#[test]
fn an_answer_of_a_week_ago_says_nothing() {
    let week = 7 * 24 * 60 * 60;
    let mut sim = star(1);
    sim.run_secs(20);
    sim.link(0, 1, Link { delay: week * 1000, ..Link::default() });
    sim.run_secs(6);
    sim.links.clear();
    sim.run_secs(week);
    let row = path(&sim, 1, 0).unwrap();
    assert_eq!((row.state, row.round_trip), (PathState::Up, Some(10)));
}

/// Who says in a probe that they are a site which is known use up nothing of what that site gets, and prolong nothing.
#[test]
fn a_stranger_who_says_it_is_a_site_changes_nothing_for_that_site() {
    let mut sim = star(2);
    sim.converse(station(1), station(2), OFTEN, MINUTE);
    sim.until(5 * SECOND, "the shortcuts", is_direct);
    let asker = path(&sim, 1, 2).unwrap().peer;
    let told = questions_told(&sim);
    let forge = |sim: &mut Sim, seconds: u64| {
        for nonce in 0..seconds * 100 {
            strange_probe_of(sim, asker, station(4711), nonce);
            sim.run(Duration::from_millis(10));
        }
    };
    forge(&mut sim, 30);
    assert!(is_direct(&sim) && flaps(&sim, 2) == 0);
    assert_eq!(path(&sim, 2, 1).unwrap().loss, 0, "all that the site asks is answered");
    assert_eq!(questions_told(&sim), told);
    // When nothing is behind it any more it is forgotten, and may not send.
    sim.links(1, 2, Link::BLOCKED);
    sim.run_secs(30);
    sim.input(1, Input::Order(Order::Flush { vn: None, mac: None }));
    forge(&mut sim, 300);
    assert!(path(&sim, 1, 2).is_none(), "{:?}", path(&sim, 1, 2));
}

#[test]
fn found_shortcuts_are_used_until_they_turn_out_to_be_dead() {
    let mut sim = pair();
    sim.run_secs(20);
    sim.restart(1);
    let lost = sim.frames_lost();
    sim.run_secs(20);
    assert!(is_direct(&sim) && sim.frames_lost() <= lost + 2);
    assert_eq!(sim.nodes[1].engine.statistics().shortcuts_down, 0);
}

#[test]
fn nothing_is_decided_where_paths_are_not_verified() {
    let mut sim = star(2);
    for id in 1..=2 {
        let mut settings = sim.nodes[id].settings.clone();
        settings.vns.get_mut(&VN).unwrap().client.as_mut().unwrap().verify = false;
        sim.apply(id, settings);
    }
    sim.run_secs(10);
    sim.links(1, 2, Link::BLOCKED);
    sim.converse(station(1), station(2), OFTEN, MINUTE);
    sim.until(5 * SECOND, "the shortcuts", is_direct);
    sim.run_secs(20);
    assert!(is_direct(&sim));
    assert_eq!(state(&sim, 1, 2), Some(PathState::Unverified));
    let told = Input::News { vn: VN, news: News::UsesTold { hub: None } };
    sim.input(1, told);
    assert_eq!(sim.nodes[1].engine.plane(VN).unwrap().sources().count(), 0);
}
