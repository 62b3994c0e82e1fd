//! What single things cost.

use crate::daemon::Daemon;
use crate::lab::{Res, wait_for, wait_until};
use crate::packets::Site;
use crate::probe::time;
use crate::sites::Sites;
use crate::trace::Trace;
use crate::world::{Setup, World};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
/// Long enough for the daemon to go back to sleep.
const APART: Duration = Duration::from_millis(10);

fn spokes(numbers: std::ops::Range<u32>) -> Vec<Site> {
    numbers.map(|n| Site::spoke(1, n)).collect()
}

/// The index that the next device of a namespace gets.
fn next_index(daemon: &Daemon) -> Res<u32> {
    daemon.ns.ip("link add name probe type bridge")?;
    let index = daemon.ns.ifindex("probe");
    daemon.ns.ip("link del probe")?;
    index
}

/// Somebody registers what belongs to another.
pub fn nak(setup: &Setup) -> Res<Vec<String>> {
    const TRIES: u32 = 20;
    let world = World::hub(setup, 1..=1, "")?;
    let sites = &world.sites;
    let owner = Site::spoke(1, 1);
    sites.register(&[owner], 600, PATIENCE)?;
    let before = next_index(&world.hub)?;
    let mut times = Vec::new();
    for n in 0..TRIES {
        let impostor = owner.impostor(100 + n);
        let start = Instant::now();
        sites.begin(&impostor, 600);
        let answer = wait_for(PATIENCE, || sites.heard().registered.get(&impostor.address).copied());
        let answer = answer.ok_or("no answer to a registration")?;
        if answer.code != 14 {
            return Err(format!("it got code {}, not NAK 14", answer.code));
        }
        times.push(answer.at - start);
    }
    times.sort();
    let made = next_index(&world.hub)? - before - 1;
    Ok(vec![time(times[times.len() / 2]), format!("{}", f64::from(made) / f64::from(TRIES))])
}

/// Something that comes alone, and its answer.
pub fn packet(setup: &Setup) -> Res<Vec<String>> {
    const PACKETS: usize = 300;
    let world = World::hub(setup, 1..=1, "")?;
    let (sites, all) = (&world.sites, spokes(1..301));
    sites.register(&all, 600, PATIENCE)?;
    world.hub.settled(PATIENCE)?;
    let ask = || {
        for n in 0..PACKETS {
            sites.send(&all[n].question(sites.id(), all[(n + 1) % PACKETS].source()));
            std::thread::sleep(APART);
        }
    };
    let before = world.hub.cpu()?;
    ask();
    let question = (world.hub.cpu()? - before) / PACKETS as u32;
    let before = world.hub.cpu()?;
    for site in &all {
        sites.begin(site, 600);
        std::thread::sleep(APART);
    }
    let refresh = (world.hub.cpu()? - before) / PACKETS as u32;
    let trace = Trace::start(&world.hub, &["-c"])?;
    ask();
    let calls = trace.count()? / PACKETS as f64;
    let heard = sites.heard().resolved;
    if heard < 2 * PACKETS as u64 {
        return Err(format!("{heard} of {} questions were answered", 2 * PACKETS));
    }
    Ok(vec![format!("{calls:.1}"), time(question), time(refresh)])
}

/// Spokes that were not there before.
pub fn new(setup: &Setup) -> Res<Vec<String>> {
    let world = World::hub(setup, 1..=1, "")?;
    let sites = &world.sites;
    sites.register(&spokes(1..11), 600, PATIENCE)?;
    let before = world.hub.settled(PATIENCE)?;
    let took = sites.register(&spokes(11..511), 600, PATIENCE)?;
    let each = (world.hub.settled(PATIENCE)? - before) / 500;
    let trace = Trace::start(&world.hub, &["-c"])?;
    sites.register(&spokes(511..811), 600, PATIENCE)?;
    let together = trace.count()? / 300.0;
    let trace = Trace::start(&world.hub, &["-c"])?;
    one_by_one(sites, &spokes(811..911))?;
    let alone = trace.count()? / 100.0;
    let rate = format!("{:.0}/s", 500.0 / took.as_secs_f64());
    Ok(vec![format!("{together:.1}"), format!("{alone:.1}"), time(each), rate])
}

fn one_by_one(sites: &Sites, all: &[Site]) -> Res {
    for site in all {
        sites.begin(site, 600);
        if !wait_until(PATIENCE, || sites.heard().registered.contains_key(&site.address)) {
            return Err(format!("{} is not registered", site.address));
        }
        std::thread::sleep(APART);
    }
    Ok(())
}

/// What grows with spokes and MACs.
pub fn memory(setup: &Setup) -> Res<Vec<String>> {
    const MACS: u32 = 65_000;
    let world = World::hub(setup, 1..=1, "")?;
    let sites = &world.sites;
    sites.register(&spokes(1..11), 600, PATIENCE)?;
    let own = |limit| world.hub.settled(limit).and_then(|_| world.hub.memory("RssAnon"));
    let few = own(PATIENCE)?;
    sites.register(&spokes(11..911), 600, PATIENCE)?;
    let many = own(PATIENCE)?;
    for first in (0..MACS).step_by(100) {
        sites.speak(&Site::spoke(1, 1), first..first + 100)?;
        std::thread::sleep(Duration::from_millis(3));
    }
    let known = wait_until(PATIENCE, || {
        std::thread::sleep(Duration::from_millis(100));
        world.hub.metric("dmevpn_macs").is_ok_and(|known| known >= f64::from(MACS))
    });
    if !known {
        return Err("the hub does not come to know all MACs".into());
    }
    let full = own(PATIENCE)?;
    let octets = |more: f64, of: u32| format!("{:.0}", more * 1024.0 / f64::from(of));
    Ok(vec![octets(many - few, 900), octets(full - many, MACS)])
}

/// All spokes see whether their path to the hub is good: every tenth probe is as large as a frame.
pub fn probes(setup: &Setup) -> Res<Vec<String>> {
    const SPOKES: u32 = 1000;
    let watch = Duration::from_secs(setup.size(20, 60).into());
    let world = World::hub(setup, 1..=1, "")?;
    let (sites, hub) = (&world.sites, &world.hub);
    let all = spokes(1..SPOKES + 1);
    sites.register(&all, 600, PATIENCE)?;
    let uplinks: Vec<u32> = all.iter().map(|site| Ok(sites.registered(site)?.uplink)).collect::<Res<_>>()?;
    let mut values = Vec::new();
    let mut nonce = 0;
    for every in [5, 1] {
        let apart = Duration::from_secs(every) / SPOKES;
        let answered = hub.metric("dmevpn_tx_probe_reply_total")?;
        let (before, start) = (hub.settled(PATIENCE)?, Instant::now());
        let mut sent = 0;
        while start.elapsed() < watch {
            let n = (nonce % u64::from(SPOKES)) as usize;
            sites.send(&all[n].probe(uplinks[n], nonce, nonce / u64::from(SPOKES) % 10 == n as u64 % 10));
            (nonce, sent) = (nonce + 1, sent + 1);
            std::thread::sleep((start + apart * sent).saturating_duration_since(Instant::now()));
        }
        let (took, spent) = (start.elapsed(), hub.settled(PATIENCE)? - before);
        let answered = hub.metric("dmevpn_tx_probe_reply_total")? - answered;
        values.push(format!("{:.1} %", spent.as_secs_f64() / took.as_secs_f64() * 100.0));
        values.push(format!("{:.0}", f64::from(sent) / took.as_secs_f64()));
        values.push(format!("{:.1} %", answered / f64::from(sent) * 100.0));
        values.push(time(spent / sent));
    }
    Ok(values)
}
