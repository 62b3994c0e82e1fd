//! MACs move between sites, and whoever holds an answer is told.

use crate::lab::{Res, wait_until};
use crate::packets::{Site, station_address};
use crate::probe::{Askers, time};
use crate::world::{Setup, World};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// Between these two.
fn places() -> [Site; 2] {
    [Site::spoke(1, 15_001), Site::spoke(1, 15_002)]
}

fn spokes(count: u32) -> Vec<Site> {
    (1..=count).map(|n| Site::spoke(1, n)).collect()
}

fn macs_known(world: &World, count: u32) -> Res {
    let all = wait_until(PATIENCE, || {
        std::thread::sleep(Duration::from_millis(100));
        world.hub.metric("dmevpn_macs").is_ok_and(|known| known >= f64::from(count))
    });
    if all {
        Ok(())
    } else {
        Err(format!("the hub knows {:?} of {count} MACs", world.hub.metric("dmevpn_macs")))
    }
}

/// Now and then one of them moves.
pub fn lone(setup: &Setup) -> Res<Vec<String>> {
    const MOVES: u32 = 10;
    let world = World::hub(setup, 1..=1, "")?;
    let (sites, all) = (&world.sites, spokes(900));
    sites.register(&places(), 600, PATIENCE)?;
    sites.register(&all, 600, PATIENCE)?;
    sites.speak(&places()[0], 0..MOVES)?;
    macs_known(&world, MOVES)?;
    for spoke in &all {
        for n in 0..MOVES {
            sites.send(&spoke.question(sites.id(), station_address(n)));
        }
        std::thread::sleep(Duration::from_micros(300));
    }
    let answered = wait_until(PATIENCE, || sites.heard().resolved >= u64::from(MOVES) * 850);
    if !answered {
        return Err(format!("{} of {} questions were answered", sites.heard().resolved, MOVES * 900));
    }
    let before = (world.hub.settled(PATIENCE)?, sites.heard().purges);
    for n in 0..MOVES {
        sites.speak(&places()[1], [n])?;
        std::thread::sleep(Duration::from_millis(300));
    }
    let after = (world.hub.settled(PATIENCE)?, sites.heard().purges);
    let purges = (after.1 - before.1) as f64 / f64::from(MOVES);
    Ok(vec![time((after.0 - before.0) / MOVES), format!("{purges:.1}")])
}

/// Very many move at once.
pub fn storm(setup: &Setup) -> Res<Vec<String>> {
    /// Each once: then nobody holds an answer until it asks again.
    const MACS: u32 = 20_000;
    /// One more than a hub remembers by name: all count as askers.
    const ASKERS: usize = 13;
    const EACH: Duration = Duration::from_micros(50);
    let world = World::hub(setup, 1..=1, "")?;
    let all = spokes(900);
    let askers = Askers::register(&world.sites, 1)?;
    world.sites.register(&places(), 600, PATIENCE)?;
    world.sites.register(&all, 600, PATIENCE)?;
    for first in (0..MACS).step_by(100) {
        world.sites.speak(&places()[0], first..first + 100)?;
        std::thread::sleep(Duration::from_millis(2));
    }
    macs_known(&world, MACS)?;
    let sites = &world.sites;
    let mut ask = all.iter().cycle();
    for n in 0..MACS {
        ask.by_ref()
            .take(ASKERS)
            .for_each(|spoke| sites.send(&spoke.question(sites.id(), station_address(n))));
        std::thread::sleep(Duration::from_millis(1));
    }
    let questions = u64::from(MACS) * ASKERS as u64;
    if !wait_until(PATIENCE, || sites.heard().resolved >= questions * 99 / 100) {
        return Err(format!("{} of {questions} questions were answered", sites.heard().resolved));
    }

    let moves = world.hub.metric("dmevpn_mac_moves_total")?;
    let before = (world.hub.settled(PATIENCE)?, sites.heard().purges);
    let probe = askers.start(sites);
    let start = Instant::now();
    for first in (0..MACS).step_by(20) {
        let due = start + EACH * first;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        sites.speak(&places()[1], first..first + 20)?;
    }
    let waits = probe.finish(PATIENCE)?;
    let after = (world.hub.cpu()?, sites.heard().purges);
    let moves = world.hub.metric("dmevpn_mac_moves_total")? - moves;
    let lost = world.hub.metric("dmevpn_purges_dropped_total")?.to_string();
    let each = (after.0 - before.0).div_f64(moves.max(1.0));
    Ok(vec![
        format!("{} ({moves:.0} seen)", time(each)),
        waits.to_string(),
        lost,
        format!("{}", after.1 - before.1),
        world.hub.unread()?.to_string(),
    ])
}

/// Nobody has asked for anything since the hub started, and it found no ports.
pub fn first_start(setup: &Setup) -> Res<Vec<String>> {
    const MOVES: u32 = 5;
    const SPOKES: u32 = 300;
    let world = World::hub(setup, 1..=1, "")?;
    let sites = &world.sites;
    sites.register(&places(), 600, PATIENCE)?;
    sites.register(&spokes(SPOKES), 600, PATIENCE)?;
    std::thread::sleep(Duration::from_secs(1));
    let heard = sites.heard();
    let (purges, prefixes) = (heard.purges, heard.prefix_purges);
    drop(heard);
    let first = purges as f64 / f64::from(SPOKES + 2);
    sites.speak(&places()[0], 0..MOVES)?;
    macs_known(&world, MOVES)?;
    std::thread::sleep(Duration::from_secs(1));
    let before = sites.heard().purges;
    sites.speak(&places()[1], 0..MOVES)?;
    std::thread::sleep(Duration::from_secs(2));
    let moved = (sites.heard().purges - before) as f64 / f64::from(MOVES);
    let kind = if prefixes > 0 { " (by prefix)" } else { "" };
    Ok(vec![format!("{first:.1}{kind}"), format!("{moved:.1}")])
}
