//! Many VNs on one router.

use crate::lab::{Res, wait_until};
use crate::packets::{ALL_SITES, Site};
use crate::probe::time;
use crate::trace::Trace;
use crate::world::{Setup, World};
use std::fmt::Write as _;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);

/// Addresses that have nothing to do with the daemon's come and go.
pub fn address(setup: &Setup) -> Res<Vec<String>> {
    const VNS: u32 = 200;
    let world = World::hub(setup, 1..=VNS, "")?;
    let all: Vec<Site> = (1..=VNS).flat_map(|vn| (1..=5).map(move |n| Site::spoke(vn, n))).collect();
    world.sites.register(&all, 600, PATIENCE)?;
    let hub = an_event(&world)?;
    drop(world);

    let world = spoke(setup, VNS, true)?;
    let registered = wait_until(PATIENCE, || {
        std::thread::sleep(Duration::from_millis(100));
        world.hub.metric("dmevpn_registered").is_ok_and(|n| n >= f64::from(VNS))
    });
    if !registered {
        return Err(format!("not all of its VNs register; {}", world.hub.last_words()));
    }
    Ok(vec![time(hub), time(an_event(&world)?)])
}

/// The processor time that an address costs when it comes or goes.
fn an_event(world: &World) -> Res<Duration> {
    const EVENTS: u32 = 6;
    let ns = &world.hub.ns;
    ns.ip("link add other type veth peer name rehto\nlink set other up\nlink set rehto up")?;
    let before = world.hub.settled(PATIENCE)?;
    for n in 0..EVENTS {
        let what = if n % 2 == 0 { "add" } else { "del" };
        ns.ip(&format!("addr {what} 198.51.100.1/24 dev other"))?;
        std::thread::sleep(Duration::from_millis(500));
    }
    Ok((world.hub.settled(PATIENCE)? - before) / EVENTS)
}

/// A spoke of so many VNs; its hub is among the sites, or nowhere.
fn spoke(setup: &Setup, vns: u32, hub: bool) -> Res<World> {
    let mut world = World::new(setup)?;
    let mut bridges = String::new();
    let mut text = String::from("config hub 'dc1'\n\toption address '10.127.0.1'\n");
    for n in 1..=vns {
        let _ = writeln!(bridges, "link add b{n} type bridge\nlink set b{n} up");
        let _ = writeln!(
            text,
            "config vn 'v{n}'\n\toption vpn_id '{n}'\n\toption role 'spoke'\n\toption vni '{n}'\n\
             \toption bridge 'b{n}'\n"
        );
    }
    world.hub.ns.ip(&bridges)?;
    if !hub {
        let gone = format!("route del local {ALL_SITES} dev lo\nroute add blackhole {ALL_SITES}");
        world.sites.ns.ip(&gone)?;
    }
    world.hub.configure("", &text)?;
    world.hub.start_and_wait()?;
    Ok(world)
}

/// It registers again and again, nobody answers.
pub fn dead_hub(setup: &Setup) -> Res<Vec<String>> {
    const VNS: u32 = 80;
    /// The retries' pauses grow to 64 s; the first ones are over by then.
    const START: Duration = Duration::from_secs(4);
    let watch = Duration::from_secs(setup.size(20, 60).into());
    let world = spoke(setup, VNS, false)?;
    let up =
        wait_until(PATIENCE, || world.hub.ns.counters().is_ok_and(|c| c.contains_key(&format!("vx-v{VNS}"))));
    if !up {
        return Err(format!("its devices do not come up; {}", world.hub.last_words()));
    }
    std::thread::sleep(START);
    let before = world.hub.cpu()?;
    let trace = Trace::start(&world.hub, &["-yy", "-e", "trace=sendto,sendmsg,sendmmsg"])?;
    std::thread::sleep(watch);
    let text = trace.stop()?;
    let minutes = watch.as_secs_f64() / 60.0;
    let cpu = (world.hub.cpu()? - before).div_f64(minutes);
    // A datagram may carry several requests, each with a header of its own.
    let requests: usize =
        text.lines().filter(|l| l.contains("NETLINK")).map(|l| l.matches("nlmsg_len=").count().max(1)).sum();
    Ok(vec![format!("{:.0}", requests as f64 / minutes), time(cpu)])
}
