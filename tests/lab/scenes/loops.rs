//! Point 14: somebody connects two sites beside the tunnel.

use super::{VM1, VM3, inside, ip};
use crate::lab::capture::Capture;
use crate::lab::netns::{Netns, run};
use crate::lab::nodes::{Lab, Node, SOON};
use crate::lab::report::{Report, played};
use crate::lab::traffic::{Echoes, Sender, gratuitous_arp, ping};
use crate::lab::{Res, ms, now, patience, wait_for, wait_until};
use std::process::Command;
use std::time::Duration;

/// What a user is promised.
const TOLD: Duration = Duration::from_secs(2);
/// A loop is over so long after the last frame that came back.
const OVER: Duration = Duration::from_secs(30);

/// A cable between spoke1 and spoke2.
pub fn cable(lab: &mut Lab) -> Report {
    played(
        14,
        "a cable between two sites: told at once, no storm, and all is as before when it is gone",
        |r| {
            lab.start_all()?;
            play(lab, r)
        },
    )
}

/// A cable of 1 Mbit/s: what goes round and round is not to take the whole machine. `false` where the kernel cannot.
pub fn is_slow(ns: &Netns, device: &str) -> bool {
    ["tbf rate 1mbit burst 3000 limit 15000", "netem rate 1mbit limit 100"].iter().any(|how| {
        let mut tc = Command::new("tc");
        tc.args(["-n", &ns.name, "qdisc", "add", "dev", device, "root"]).args(how.split(' '));
        run(&mut tc, "").is_ok()
    })
}

/// Whether a bridge floods by that port: unknown unicast, multicast, broadcast.
pub fn flooded(ns: &Netns, device: &str) -> Option<[bool; 3]> {
    let mut show = Command::new("bridge");
    show.args(["-n", &ns.name, "-d", "link", "show", "dev", device]);
    let text = run(&mut show, "").ok().filter(|text| text.contains(" bcast_flood "))?;
    Some(["flood", "mcast_flood", "bcast_flood"].map(|flag| text.contains(&format!(" {flag} on"))))
}

fn floods(spoke: &Node, all: bool) -> bool {
    flooded(&spoke.ns, "tunnel2") == Some([all; 3])
}

fn play(lab: &Lab, r: &mut Report) -> Res {
    let (spoke1, spoke2, vm1) = (lab.node("spoke1"), lab.node("spoke2"), lab.host("vm1"));
    let both = [spoke1, spoke2];
    spoke1.ns.ip(&format!("link add cable type veth peer name cable netns {}", spoke2.ns.name))?;
    if !both.iter().all(|spoke| is_slow(&spoke.ns, "cable")) {
        r.check(true, "not proven: no cable is slow here (sch_tbf, sch_netem)");
        return Ok(());
    }
    ping(&vm1.ns, Echoes::to(ip(inside(11)), 5, 20))?;
    ping(&vm1.ns, Echoes::to(ip(inside(12)), 5, 20))?;
    let watch = Capture::start(&spoke1.ns, "cable")?;
    let plugged = now();
    spoke1.ns.ip("link set cable up master br-test")?;
    spoke2.ns.ip("link set cable up master br-test")?;
    // A port that has just become one takes in nothing for a moment.
    let comes_round = wait_until(SOON, || {
        let sent = Sender::new(&vm1.ns, "eth0").and_then(|s| s.send(&gratuitous_arp(VM1, inside(10))));
        std::thread::sleep(Duration::from_millis(20));
        sent.is_ok() && watch.count(|f| !f.outgoing && f.source() == VM1) > 0
    });
    r.check(comes_round, "a word of vm1 comes round by the cable");

    let words = "loop: what is sent by the tunnel comes back by port 'cable'";
    let told = wait_for(SOON, || both.iter().all(|s| s.log_text().contains(words)).then(now));
    let took = told.map(|at| at.saturating_sub(plugged));
    let text = took.map_or("never".into(), ms);
    r.check(took.is_some_and(|t| t < TOLD * patience()), format!("both spokes say so after {text}"));
    let quiet = wait_until(SOON, || both.iter().all(|spoke| floods(spoke, false)));
    r.check(quiet, "both tunnels flood nothing");
    let frames = watch.count(|_| true);
    std::thread::sleep(Duration::from_millis(500) * patience()); // what waits in the queues: a slow machine is behind
    watch.clear();
    std::thread::sleep(Duration::from_secs(3));
    let still = watch.count(|_| true);
    r.check(
        still < 60,
        format!("{frames} frames passed the cable until then, {still} in the 3 s after that"),
    );
    if let Some(program) = &lab.plan.program {
        let status = spoke1.ask(program, &["status", "--json"])?;
        r.check(status.contains(r#""loop":"cable""#), "status says by which port");
    }
    // Where vm1 is was learned anew with each round. It asks by the cable who has that address, and is known again.
    vm1.ns.ip("neigh flush dev eth0")?;
    let pinged = ping(&vm1.ns, Echoes::to(ip(inside(11)), 20, 20))?;
    r.check(pinged.none_lost(), format!("vm1 to 11.0.0.11, which are one site now: {pinged}"));

    std::thread::sleep(Duration::from_secs(2));
    r.check(both.iter().all(|spoke| floods(spoke, false)), "as long as the cable is there");
    spoke1.ns.ip("link del cable")?;
    let pulled = now();
    let again = wait_until(OVER + SOON, || {
        std::thread::sleep(Duration::from_millis(100));
        both.iter().all(|spoke| floods(spoke, true))
    });
    r.check(again, format!("all is flooded again {} after the cable is pulled", ms(now() - pulled)));
    let over = both.iter().all(|s| s.log_text().contains("loop over"));
    r.check(over, "both spokes say so");
    vm1.ns.ip("neigh flush dev eth0")?;
    let pinged = ping(&vm1.ns, Echoes::to(ip(inside(11)), 20, 20))?;
    r.check(pinged.none_lost(), format!("vm1 to 11.0.0.11 as before: {pinged}"));
    let pinged = ping(&vm1.ns, Echoes::to(ip(inside(12)), 20, 20))?;
    r.check(pinged.none_lost(), format!("vm1 to vm3: {pinged}"));
    let (there, what) = spoke1.wait_shortcut("test", VM3, lab.node("spoke3").nbma, 100);
    r.check(there, what);
    Ok(())
}
