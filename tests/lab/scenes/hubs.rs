//! Points 13 and 15 to 17: several hubs, and what may happen to them.

use super::ends::{AT_ONCE, when_forgotten, within};
use super::moves::follows;
use super::several::{Broadcasts, VM4, VNI4, are_linked, heard_once, none_twice, settle};
use super::{BRIDGE2, VM1, VM3, inside, ip};
use crate::lab::capture::Capture;
use crate::lab::nodes::{Lab, Node, SOON};
use crate::lab::report::{Report, played};
use crate::lab::traffic::{Echoes, Ping, ping};
use crate::lab::{Res, Stamp, ms, now, patience, wait_until};
use std::time::Duration;

/// How long nothing may arrive that goes by the hub.
const DARK: Duration = Duration::from_millis(4500);
/// How long those at different hubs may be apart when the hubs are.
const APART: Duration = Duration::from_secs(20);
/// How many echoes, one each millisecond, a hand-over may cost.
const FEW: usize = 3;
/// The daemons look so often whether a path, or the hub, is used.
const SEEN_IN_USE: Duration = Duration::from_secs(6);

/// A station at a site talks with one at the second hub, and with one at another site, when the first hub is gone.
pub fn hub_lost(lab: &mut Lab) -> Report {
    let title =
        "of several hubs the one in use vanishes: shortcuts lose nothing, and all goes by another one soon";
    played(13, title, |r| {
        settle(lab)?;
        vanish(lab, r)
    })
}

fn stream(lab: &Lab, n: u8) -> Res<Ping> {
    let every_ms = Echoes { count: usize::MAX, ..Echoes::to(ip(inside(n)), 0, 1) };
    Ping::start(&lab.host("vm1").ns, every_ms)
}

fn reaches(lab: &Lab, n: u8) -> bool {
    let pinged = ping(&lab.host("vm1").ns, Echoes::to(ip(inside(n)), 3, 20));
    pinged.is_ok_and(|pinged| pinged.none_lost())
}

fn vanish(lab: &mut Lab, r: &mut Report) -> Res {
    direct_before(lab, r)?;
    let (direct, by_hub) = (stream(lab, 11)?, stream(lab, 29)?);
    std::thread::sleep(SEEN_IN_USE);
    let began = now();
    lab.reboot_hub()?;
    r.event(Some(began), "the hub is gone");
    let has_another = |lab: &Lab| lab.spokes().all(|spoke| lab.hubs().any(|hub| spoke.is_at(hub)));
    let all = wait_until(SOON, || has_another(lab));
    r.check(all, format!("all spokes are at another one after {}", ms(now() - began)));
    std::thread::sleep(Duration::from_secs(1));
    let (direct, by_hub) = (direct.stop()?, by_hub.stop()?);
    r.check(direct.none_lost(), format!("on the shortcut, every millisecond: {direct}"));
    let gap = by_hub.longest_gap();
    r.check(gap <= DARK * patience(), format!("by the hub: {by_hub}, longest gap {}", ms(gap)));
    Ok(())
}

/// vm1 talks straight with spoke2's site, and reaches vm9 at the second hub.
fn direct_before(lab: &Lab, r: &mut Report) -> Res {
    ping(&lab.host("vm1").ns, Echoes::to(ip(inside(11)), 10, 20))?;
    let (there, what) = lab.node("spoke1").wait_shortcut("test", BRIDGE2, lab.node("spoke2").nbma, 101);
    r.check(there, format!("before: {what}"));
    let at_hub2 = wait_until(SOON, || reaches(lab, 29));
    r.check(at_hub2, "before: what is at the second hub is reached");
    Ok(())
}

/// Sites of different hubs are as those of one.
pub fn across_hubs(lab: &mut Lab) -> Report {
    let title = "spokes at different hubs: first contact, shortcut, a VM that moves, the end of a site";
    played(15, title, |r| {
        settle(lab)?;
        contact(lab, r)?;
        follows(lab, r, ("spoke4", VNI4))?;
        a_site_ends(lab, r)
    })
}

fn contact(lab: &Lab, r: &mut Report) -> Res {
    let (spoke3, spoke4) = (lab.node("spoke3"), lab.node("spoke4"));
    let (vm3, wire) = (&lab.host("vm3").ns, Capture::start(&spoke3.ns, "eth1")?);
    let pinged = ping(vm3, Echoes::to(ip(inside(14)), 20, 20))?;
    r.check(pinged.all_once(), format!("vm3 at hub pings vm4 at hub3: {pinged}"));
    let first = wire.first(|f| {
        let v = f.vxlan().filter(|v| f.outgoing && v.source() == Some(VM3))?;
        Some(v.outer.destination)
    });
    let hub = lab.node("hub").nbma;
    r.check(first == Some(hub), format!("its first frame goes to its hub: to {first:?}"));
    let pairs = [(spoke3, VM4, spoke4, VNI4), (spoke4, VM3, spoke3, 100)];
    for (spoke, remote, far, vni) in pairs {
        let (there, what) = spoke.wait_shortcut("test", remote, far.nbma, vni);
        r.check(there, what);
    }
    let wires: Vec<Capture> = lab.hubs().map(|hub| Capture::start(&hub.ns, "eth1")).collect::<Res<_>>()?;
    let pinged = ping(vm3, Echoes::to(ip(inside(14)), 20, 10))?;
    let passes = |w: &Capture| {
        w.count(|f| f.vxlan().is_some_and(|v| v.is_between(VM3, VM4) || v.is_between(VM4, VM3)))
    };
    let passed: usize = wires.iter().map(passes).sum();
    r.check(
        pinged.all_once() && passed == 0,
        format!("then straight: {pinged}, {passed} frames pass the hubs"),
    );
    let pinged = ping(&lab.host("vm4").ns, Echoes::to(ip(inside(11)), 20, 20))?;
    r.check(pinged.all_once(), format!("vm4 at hub3 pings 11.0.0.11 at hub2: {pinged}"));
    let (there, what) = spoke4.wait_shortcut("test", BRIDGE2, lab.node("spoke2").nbma, 101);
    r.check(there, what);
    Ok(())
}

/// spoke4, at the third hub, stops, and is started again.
fn a_site_ends(lab: &mut Lab, r: &mut Report) -> Res {
    ping(&lab.host("vm1").ns, Echoes::to(ip(inside(14)), 10, 20))?;
    let gone = lab.node("spoke4").nbma;
    let (there, what) = lab.node("spoke1").wait_shortcut("test", VM4, gone, VNI4);
    r.check(there, format!("before: {what}"));
    let stopped = now();
    lab.nodes.get_mut("spoke4").ok_or("no spoke4")?.stop()?;
    let (port, shortcut) = when_forgotten(lab, gone, AT_ONCE * patience());
    within(r, stopped, AT_ONCE * patience(), port, shortcut);
    settle(lab)?;
    let pinged = ping(&lab.host("vm1").ns, Echoes::to(ip(inside(14)), 20, 20))?;
    r.check(pinged.none_lost(), format!("started again, vm4 is reached: {pinged}"));
    Ok(())
}

/// The hub sends its spokes away while stations talk.
pub fn drained(lab: &mut Lab) -> Report {
    let title =
        "a hub sends its spokes away: they go to another one, hardly anything is lost, nothing comes twice";
    played(16, title, |r| {
        settle(lab)?;
        drain(lab, r)
    })
}

fn drain(lab: &mut Lab, r: &mut Report) -> Res {
    let program = lab.plan.program.clone().ok_or("needs the daemon")?;
    direct_before(lab, r)?;
    let (direct, by_hub) = (stream(lab, 11)?, stream(lab, 29)?);
    let broadcasts = Broadcasts::start(lab, Duration::from_millis(100))?;
    std::thread::sleep(SEEN_IN_USE);
    let began = now();
    lab.node("hub").ask(&program, &["drain", "test"])?;
    let have_left = |lab: &Lab| {
        let hub = lab.node("hub");
        let others: Vec<_> = lab.hubs().filter(|other| other.name != hub.name).collect();
        lab.spokes().all(|spoke| !hub.serves(spoke.nbma) && others.iter().any(|other| spoke.is_at(other)))
    };
    let all = wait_until(SOON * 2, || have_left(lab));
    r.check(all, format!("all its spokes are at another one after {}", ms(now() - began)));
    std::thread::sleep(Duration::from_secs(1));
    let (direct, by_hub) = (direct.stop()?, by_hub.stop()?);
    r.check(direct.all_once(), format!("on the shortcut, every millisecond: {direct}"));
    // On a busy machine the old hub may take the port away before the spoke's kernel knows of the new one.
    let lost = by_hub.echoes.len() - by_hub.answered();
    let is_good = lost <= FEW * patience() as usize && by_hub.doubled == 0;
    r.check(is_good, format!("by the hubs, every millisecond: {by_hub}, {lost} lost (limit {FEW})"));
    heard_once(r, &broadcasts.stop(Stamp::ZERO)?, 2);
    lab.node("hub").ask(&program, &["drain", "test", "--off"]).map(drop)
}

/// Nothing passes between one hub and the others.
pub fn hubs_cut(lab: &mut Lab) -> Report {
    let title = "a hub is cut off from the others: all sites meet at the one of the lowest address";
    played(17, title, |r| {
        if std::process::Command::new("nft").arg("--version").output().is_err() {
            r.check(true, "not proven: nothing can be cut here without nft");
            return Ok(());
        }
        settle(lab)?;
        cut(lab, r)
    })
}

/// No NHRP and no VXLAN passes between that hub and the others.
pub fn cut_off(lab: &Lab, hub: &str) -> Res {
    let family = if lab.plan.ipv6 { "ip6" } else { "ip" };
    let deaf = |to: &Node, from: &[String]| {
        let from = from.join(", ");
        to.wall(&format!("{family} saddr {{ {from} }} meta l4proto {{ gre, udp }} drop"))
    };
    let (alone, others): (Vec<&Node>, Vec<&Node>) = lab.hubs().partition(|other| other.name == hub);
    let addresses = |of: &[&Node]| of.iter().map(|node| node.nbma.to_string()).collect::<Vec<_>>();
    others.iter().try_for_each(|other| deaf(other, &addresses(&alone)))?;
    alone.iter().try_for_each(|node| deaf(node, &addresses(&others)))
}

fn cut(lab: &Lab, r: &mut Report) -> Res {
    direct_before(lab, r)?;
    let hub = lab.node("hub");
    let direct = stream(lab, 11)?;
    let broadcasts = Broadcasts::start(lab, Duration::from_millis(20))?;
    std::thread::sleep(SEEN_IN_USE);
    let began = now();
    cut_off(lab, "hub2")?;
    r.event(Some(began), "hub2 is cut off");
    let met = wait_until(SOON * 4, || lab.spokes().all(|spoke| spoke.is_at(hub)));
    r.event(met.then(now), "all spokes are at the hub of the lowest address");
    r.check(met, format!("all spokes are at the hub of the lowest address after {}", ms(now() - began)));
    std::thread::sleep(Duration::from_secs(1));
    let heard = broadcasts.stop(Stamp::ZERO)?;
    let sites = || heard.iter().filter(|h| h.at != "vm9");
    let gap = sites().map(|h| h.gap).max().unwrap_or_default();
    r.check(gap <= APART * patience(), format!("sites do not hear each other for {} at most", ms(gap)));
    none_twice(r, &heard);
    // What was answered by a hub that is given up is taken back: it goes by the own hub until the spoke is at another one.
    let direct = direct.stop()?;
    let gap = direct.longest_gap();
    r.check(gap <= APART * patience(), format!("from site to site: {direct}, longest gap {}", ms(gap)));

    let direct = stream(lab, 11)?;
    let broadcasts = Broadcasts::start(lab, Duration::from_millis(20))?;
    let began = now();
    for node in lab.hubs() {
        node.no_wall()?;
    }
    r.event(Some(began), "it is cut off no more");
    let linked = wait_until(SOON * 3, || are_linked(lab) && reaches(lab, 29));
    r.event(linked.then(now), "the hubs have each other again, and vm1 reaches vm9 at hub2");
    r.check(linked, format!("the hubs have each other again after {}", ms(now() - began)));
    std::thread::sleep(Duration::from_secs(1));
    let heard = broadcasts.stop(began)?;
    let sites: Vec<_> = heard.into_iter().filter(|h| h.at != "vm9").collect();
    heard_once(r, &sites, 0);
    let direct = direct.stop()?;
    r.check(direct.all_once(), format!("meanwhile, from site to site, every millisecond: {direct}"));
    let pinged = ping(&lab.host("vm1").ns, Echoes::to(ip(inside(29)), 20, 20))?;
    r.check(pinged.all_once(), format!("vm1 pings vm9 at hub2: {pinged}"));
    Ok(())
}
