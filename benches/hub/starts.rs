//! A hub starts, and everybody waits for it.

use crate::lab::{Res, wait_until};
use crate::packets::{Site, station_address};
use crate::probe::{Askers, Probe, time};
use crate::sites::Sites;
use crate::world::{Setup, World, hub_vns};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(120);

/// The time until a question is answered that was sent after `start`.
fn serves(sites: &Sites, start: Instant) -> Res<Duration> {
    let answered = || sites.heard().answers.iter().find(|a| a.at > start).map(|a| a.at - start);
    crate::lab::wait_for(PATIENCE, answered).ok_or_else(|| "it answers no question".into())
}

/// The daemon hands over to the next one, which lists what the bridge learned.
pub fn macs(setup: &Setup) -> Res<Vec<String>> {
    const MACS: u32 = 100_000;
    const PLACES: u32 = 10;
    let mut world = World::hub(setup, 1..=1, "\toption max_macs '200000'")?;
    let askers = Askers::register(&world.sites, 1)?;
    let places: Vec<Site> = (1..=PLACES).map(|n| Site::spoke(1, n)).collect();
    world.sites.register(&places, 600, PATIENCE)?;
    for first in (0..MACS).step_by(100) {
        world.sites.speak(&places[(first / 100 % PLACES) as usize], first..first + 100)?;
        std::thread::sleep(Duration::from_millis(2));
    }
    let known = |world: &World| world.hub.metric("dmevpn_macs").unwrap_or(0.0);
    let all = |world: &World| {
        wait_until(PATIENCE, || {
            std::thread::sleep(Duration::from_millis(20));
            known(world) >= f64::from(MACS)
        })
    };
    if !all(&world) {
        return Err(format!("it knows {} of {MACS} MACs", known(&world)));
    }
    world.hub.end(libc::SIGUSR1, PATIENCE)?;
    let probe = askers.ask_for(&world.sites, |number| station_address(number as u32 * 997 % MACS));
    let start = Instant::now();
    world.hub.start()?;
    let served = serves(&world.sites, start)?;
    let complete = all(&world);
    let took = start.elapsed();
    let waits = probe.finish(Duration::from_secs(2))?;
    let complete = if complete { time(took) } else { format!("{} after {}", known(&world), time(took)) };
    Ok(vec![time(served), complete, format!("{} of {}", waits.refused, waits.asked)])
}

/// The daemon hands over to the next one, which has them all register again.
pub fn again(setup: &Setup) -> Res<Vec<String>> {
    const SPOKES: u32 = 999;
    let mut world = World::hub(setup, 1..=1, "")?;
    let askers = Askers::register(&world.sites, 1)?;
    let all: Vec<Site> = (1..=SPOKES - 4).map(|n| Site::spoke(1, n)).collect();
    world.sites.register(&all, 600, PATIENCE)?;
    world.hub.end(libc::SIGUSR1, PATIENCE)?;
    let probe = askers.start(&world.sites);
    let start = Instant::now();
    world.hub.start()?;
    let times = || {
        let heard = world.sites.heard();
        let done = |site: &Site| heard.registered.get(&site.address).filter(|r| r.at > start && r.code == 0);
        let mut times: Vec<Duration> = all.iter().filter_map(|s| Some(done(s)?.at - start)).collect();
        times.sort_unstable();
        times
    };
    if !wait_until(PATIENCE, || times().len() == all.len()) {
        return Err(format!("{} of {} are registered again", times().len(), all.len()));
    }
    let waits = probe.finish(Duration::from_secs(2))?;
    let times = times();
    Ok(vec![time(times[all.len() / 2]), time(times[all.len() - 1]), waits.to_string()])
}

/// All of another hub, which is gone, come to this one within half a second. There is a third one, which is asked to let them go.
pub fn over(setup: &Setup) -> Res<Vec<String>> {
    const SPOKES: u32 = 1000;
    const WITHIN: Duration = Duration::from_millis(500);
    let mut world = World::new(setup)?;
    let third = Ipv4Addr::from(0x0a7f_0001);
    let peer = format!("config hub 'dc3'\n\toption address '{third}'\n");
    let vn = hub_vns(1..=1, "\tlist peer 'dc3'\n\toption max_spokes '2000'");
    world.hub.configure("", &(vn + &peer))?;
    world.hub.start_and_wait()?;
    if !wait_until(PATIENCE, || world.hub.ports().is_ok_and(|ports| ports == 1)) {
        return Err(format!("no port to the third hub; {}", world.hub.last_words()));
    }
    let askers = Askers::register(&world.sites, 1)?;
    let all: Vec<Site> = (1..=SPOKES).map(|n| Site::spoke(1, n)).collect();
    let probe = askers.start(&world.sites);
    let claims = world.sites.heard().purges;
    let mut times = world.sites.come(&all, WITHIN, 600, PATIENCE)?;
    let claims = world.sites.heard().purges - claims;
    let waits = probe.finish(PATIENCE)?;
    times.sort_unstable();
    Ok(vec![time(times[all.len() / 2]), time(times[all.len() - 1]), waits.to_string(), claims.to_string()])
}

/// All come at once to a hub that is new; then it restarts.
pub fn spokes(setup: &Setup) -> Res<Vec<String>> {
    const VNS: u32 = 5;
    let count = setup.size(200, 995);
    let mut world = World::hub(setup, 1..=VNS, "")?;
    let askers = Askers::register(&world.sites, 1)?;
    // One of each VN after the other, as spokes of several VNs come in.
    let all: Vec<Site> = (1..=count).flat_map(|n| (1..=VNS).map(move |vn| Site::spoke(vn, n))).collect();
    let probe: Probe = askers.start(&world.sites);
    let first = world.sites.register(&all, 600, PATIENCE)?;
    let waits = probe.finish(PATIENCE)?;

    world.hub.end(libc::SIGUSR1, PATIENCE)?;
    let probe = askers.start(&world.sites);
    let start = Instant::now();
    world.hub.start()?;
    let served = serves(&world.sites, start)?;
    probe.finish(Duration::from_secs(2))?;
    Ok(vec![time(first), waits.to_string(), time(served)])
}
