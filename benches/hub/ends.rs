//! Many ports go at once, while others ask.

use crate::lab::{Res, wait_until};
use crate::packets::Site;
use crate::probe::{Askers, Probe, Waits, time};
use crate::world::{Setup, World, hub_vns};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(90);

/// What was seen while ports went.
pub struct Ended {
    /// How long others waited.
    pub waits: Waits,
    /// The time until the last port was gone.
    pub gone: Option<Duration>,
}

impl Ended {
    /// For the table.
    pub fn values(self) -> Vec<String> {
        let gone = self.gone.map_or_else(|| format!("not within {}", time(PATIENCE)), time);
        vec![self.waits.to_string(), gone]
    }
}

/// Waits until only these ports are left.
fn ended(world: &World, left: usize, start: Instant, probe: Probe) -> Res<Ended> {
    let gone = wait_until(PATIENCE, || {
        std::thread::sleep(Duration::from_millis(20));
        world.hub.ports().is_ok_and(|ports| ports <= left)
    });
    let gone = gone.then(|| start.elapsed());
    Ok(Ended { waits: probe.finish(PATIENCE)?, gone })
}

fn spokes(vpn: u32, count: u32) -> Vec<Site> {
    (1..=count).map(|n| Site::spoke(vpn, n)).collect()
}

/// The holding time of so many spokes ends in the same moment.
pub fn at_once(setup: &Setup, count: u32) -> Res<Ended> {
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
    ended(&world, others, end, probe)
}

/// A VN is taken out of the configuration, its ports go.
pub fn reload(setup: &Setup) -> Res<Ended> {
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
    ended(&world, others, start, probe)
}
