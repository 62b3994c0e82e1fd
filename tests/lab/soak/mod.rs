//! A long run in which happens what happens to such networks, to eight sites with two WANs each, one thing after the other
//! and sometimes two at once, while stations of all sites ping each other. A seed makes the same things happen again.

mod tally;
mod world;

use super::nodes::Plan;
use super::traffic::{Echoes, Ping};
use super::{Res, now, patience};
use std::time::Duration;
use tally::{Kind, Round, Tally};
use world::{Dice, World};

/// Pings of a stream are so far apart.
const EVERY: Duration = Duration::from_millis(50);
/// All is quiet before something happens; then there is so much time to get over it.
const BEFORE: Duration = Duration::from_millis(500);
const AFTER: Duration = Duration::from_secs(5);
/// A hub that reboots is found by its spokes within their refresh, which is a third of the holding time.
const HOLDING_TIME: u16 = 60;
const AFTER_REBOOT: Duration = Duration::from_secs(HOLDING_TIME as u64 / 2);
/// One round in so many is a reboot of the hub.
const REBOOTS: u64 = 20;

/// Goes on for `minutes`; whether nothing was lost but what has to be.
///
/// # Errors
/// If the network cannot be built, or something cannot be made to happen there.
pub fn run(plan: &Plan, minutes: u64, seed: u64, with_reboots: bool) -> Res<bool> {
    println!("seed {seed}: the same things happen again with --seed {seed}");
    let mut dice = Dice::new(seed);
    let mut world = World::build(&Plan { holding_time: HOLDING_TIME, ..plan.clone() })?;
    println!("{}", world.picture());
    let memory = world.memory();
    let mut tally = Tally::default();
    tally.add(&play(&mut world, &[], BEFORE)?);
    let end = now() + Duration::from_secs(60 * minutes);
    while now() < end {
        let reboots = with_reboots && dice.below(REBOOTS) == 0;
        let happenings = if reboots { vec![Kind::HubReboots.at(0)] } else { world.choose(&mut dice) };
        let round = play(&mut world, &happenings, if reboots { AFTER_REBOOT } else { AFTER })?;
        if !tally.add(&round) {
            println!("{}", world.logs(&round));
        }
    }
    println!("\n{}", tally.table());
    let later = world.memory();
    for ((name, before), (_, after)) in memory.iter().zip(&later) {
        println!("{name}: resident {before} kB at the begin, {after} kB at the end");
    }
    println!("seed {seed}: {}", if tally.holds() { "PASS" } else { "FAIL" });
    Ok(tally.holds())
}

/// Has these things happen while all ping each other.
fn play(world: &mut World, happenings: &[world::Happening], after: Duration) -> Res<Round> {
    let wanted = world.streams();
    let count = ((BEFORE + after * patience()).as_millis() / EVERY.as_millis()) as usize * 4;
    let mut streams = Vec::new();
    for stream in &wanted {
        let echoes = Echoes { every: EVERY, ..Echoes::to(world.ip_of(stream.to), count, 0) };
        streams.push((*stream, Ping::start(world.netns_of(stream.from), echoes)?));
        // At no time do all pause.
        std::thread::sleep(EVERY / wanted.len() as u32);
    }
    std::thread::sleep(BEFORE);
    let began = now();
    for happening in happenings {
        world.happen(happening)?;
    }
    std::thread::sleep((after * patience()).saturating_sub(now() - began));
    let pinged = streams.into_iter().map(|(stream, ping)| Ok((stream, ping.stop()?))).collect::<Res<_>>()?;
    Ok(Round { began, happenings: happenings.to_vec(), pinged, wrong: world.what_is_wrong() })
}
