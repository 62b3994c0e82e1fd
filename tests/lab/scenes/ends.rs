//! Point 5: a spoke ends, politely or not.

use super::{BRIDGE2, VM3, inside, ip};
use crate::lab::capture::Capture;
use crate::lab::fdb;
use crate::lab::nodes::{Lab, Node, SOON};
use crate::lab::peek::kind;
use crate::lab::report::{Report, played};
use crate::lab::traffic::{Echoes, ping};
use crate::lab::{Res, Stamp, ms, now, wait_for};
use std::net::IpAddr;
use std::time::Duration;

/// How fast a withdrawal is to be everywhere.
pub const AT_ONCE: Duration = Duration::from_secs(3);

/// SIGTERM in `lab`, whose bindings live long; SIGKILL in `short`, whose bindings hold for some seconds only.
pub fn ends(lab: &mut Lab, short: &mut Lab) -> Report {
    let title = "a spoke that stops is forgotten at once, one that dies after its holding time";
    played(5, title, |r| {
        lab.start_all()?;
        politely(lab, r)?;
        short.start_all()?;
        suddenly(short, r)
    })
}

fn politely(lab: &mut Lab, r: &mut Report) -> Res {
    let pinged = ping(&lab.host("vm1").ns, Echoes::to(ip(inside(12)), 10, 20))?;
    let gone = lab.node("spoke3").nbma;
    let (there, what) = lab.node("spoke1").wait_shortcut("test", VM3, gone, 100);
    r.check(pinged.none_lost() && there, format!("before: {what}"));
    let hub_wire = Capture::start(&lab.node("hub").ns, "eth1")?;

    let stopped = now();
    let code = lab.nodes.get_mut("spoke3").ok_or("no spoke3")?.stop()?;
    r.check(code == Some(0), format!("spoke3's daemon ends on SIGTERM with {code:?}"));
    let (port, shortcut) = when_forgotten(lab, gone, AT_ONCE);
    let purge = |from: IpAddr, to: IpAddr| {
        hub_wire.wait(AT_ONCE, |f| {
            let n = f.nhrp().filter(|n| n.kind == kind::PURGE)?;
            (n.outer.source == from && n.outer.destination == to && f.at >= stopped).then_some(f.at)
        })
    };
    let (hub, asker) = (lab.node("hub").nbma, lab.node("spoke1").nbma);
    let (withdrawn, passed_on) = (purge(gone, hub), purge(hub, asker));
    r.event(Some(stopped), "spoke3 gets SIGTERM");
    r.event(withdrawn, "its Purge Request is on the wire");
    r.event(passed_on, "the hub's Purge Request to spoke1 is on the wire");
    r.event(port, "the hub has no port to spoke3 any more");
    r.event(shortcut, "no spoke has a shortcut to spoke3 any more");
    r.check(
        withdrawn.is_some() && passed_on.is_some(),
        "the Purge Requests of spoke3 and of the hub are on the wire",
    );
    within(r, stopped, AT_ONCE, port, shortcut);

    lab.start("spoke3")?;
    lab.wait_connected(SOON)?;
    let pinged = ping(&lab.host("vm1").ns, Echoes::to(ip(inside(12)), 20, 20))?;
    r.check(pinged.none_lost(), format!("started again, vm3 is reached: {pinged}"));
    Ok(())
}

fn suddenly(short: &mut Lab, r: &mut Report) -> Res {
    let pinged = ping(&short.host("vm1").ns, Echoes::to(ip(inside(11)), 10, 20))?;
    let gone = short.node("spoke2").nbma;
    let (there, what) = short.node("spoke1").wait_shortcut("test", BRIDGE2, gone, 101);
    r.check(pinged.none_lost() && there, format!("before: {what}"));
    let holding = Duration::from_secs(short.plan.holding_time.into());
    let limit = holding + AT_ONCE;

    let killed = now();
    short.nodes.get_mut("spoke2").ok_or("no spoke2")?.kill()?;
    let (port, shortcut) = when_forgotten(short, gone, limit);
    r.event(Some(killed), format!("spoke2 (holding time {} s) gets SIGKILL", holding.as_secs()));
    r.event(port, "the hub has no port to spoke2 any more");
    r.event(shortcut, "no spoke has a shortcut to spoke2 any more");
    within(r, killed, limit, port, shortcut);
    let early = port.is_some_and(|at| at.saturating_sub(killed) < Duration::from_secs(1));
    r.check(!early, "the hub did not give it up before that");

    short.start("spoke2")?;
    short.wait_connected(SOON)
}

pub fn within(r: &mut Report, from: Stamp, limit: Duration, port: Option<Stamp>, shortcut: Option<Stamp>) {
    for (what, at) in [("the hub's port", port), ("every shortcut to it", shortcut)] {
        let took = at.map(|at| at.saturating_sub(from));
        let text = took.map_or("is still there".into(), |t| format!("is gone after {}", ms(t)));
        r.check(took.is_some_and(|t| t < limit), format!("{what} {text} (limit {} s)", limit.as_secs()));
    }
}

/// When no hub had a port to that address any more, and when no spoke had a shortcut to it any more.
pub fn when_forgotten(lab: &Lab, nbma: IpAddr, limit: Duration) -> (Option<Stamp>, Option<Stamp>) {
    let (mut port, mut shortcut) = (None, None);
    wait_for(limit, || {
        if port.is_none() && !lab.hubs().any(|hub| leads_to(hub, nbma)) {
            port = Some(now());
        }
        if shortcut.is_none() && !lab.spokes().any(|s| s.nbma != nbma && leads_to(s, nbma)) {
            shortcut = Some(now());
        }
        port.and(shortcut)
    });
    (port, shortcut)
}

/// Whether any tunnel entry of the node leads to that address.
fn leads_to(node: &Node, nbma: IpAddr) -> bool {
    fdb::dump_all(&node.ns).map_or(true, |all| all.iter().any(|e| e.own && e.dst == Some(nbma)))
}
