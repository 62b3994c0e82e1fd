//! Many ports go at once, while others ask.

use crate::Setup;
use crate::lab::{Res, wait_until};
use crate::packets::Site;
use crate::probe::{Askers, time};
use crate::world::{World, hub_vns};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(90);

fn spokes(vpn: u32, count: u32) -> Vec<Site> {
    (1..=count).map(|n| Site::spoke(vpn, n)).collect()
}

/// The holding time of so many spokes ends in the same moment.
pub fn at_once(setup: &Setup, count: u32) -> Res<Vec<String>> {
    const HOLDING: u16 = 4;
    let world = World::hub(setup, 1..=1, "")?;
    let sites = &world.sites;
    let askers = Askers::register(sites, 1)?;
    let others = world.hub.ports()?;
    sites.register(&spokes(1, count), 600, PATIENCE)?;
    sites.register(&spokes(1, count), HOLDING, PATIENCE)?;
    let end = Instant::now() + Duration::from_secs(HOLDING.into());
    std::thread::sleep(Duration::from_secs(2));
    let probe = askers.start(sites);
    std::thread::sleep(end.saturating_duration_since(Instant::now()));
    let gone = wait_until(PATIENCE, || {
        std::thread::sleep(Duration::from_millis(20));
        world.hub.ports().is_ok_and(|ports| ports <= others)
    });
    let took = end.elapsed();
    let waits = probe.finish(PATIENCE)?;
    let left = world.hub.ports()?.saturating_sub(others);
    Ok(vec![
        waits.to_string(),
        if gone { time(took) } else { format!("{left} are there after {}", time(took)) },
    ])
}

/// A VN is taken out of the configuration, its ports go.
pub fn reload(setup: &Setup) -> Res<Vec<String>> {
    let world = World::hub(setup, 1..=2, "")?;
    let sites = &world.sites;
    let askers = Askers::register(sites, 1)?;
    let others = world.hub.ports()?;
    sites.register(&spokes(2, 300), 600, PATIENCE)?;
    let probe = askers.start(sites);
    std::thread::sleep(Duration::from_millis(300));
    world.hub.configure("", &hub_vns(1..=1, ""))?;
    let start = Instant::now();
    world.hub.signal(libc::SIGHUP)?;
    let gone = wait_until(PATIENCE, || {
        std::thread::sleep(Duration::from_millis(20));
        world.hub.ports().is_ok_and(|ports| ports <= others)
    });
    let took = start.elapsed();
    let waits = probe.finish(PATIENCE)?;
    Ok(vec![waits.to_string(), if gone { time(took) } else { format!("not within {}", time(took)) }])
}
