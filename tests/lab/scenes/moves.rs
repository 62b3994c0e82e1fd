//! Point 4: a VM goes to another site.

use super::{VM1, inside, ip};
use crate::lab::capture::Capture;
use crate::lab::netns;
use crate::lab::nodes::{Lab, SOON};
use crate::lab::peek::kind;
use crate::lab::report::{Report, played};
use crate::lab::traffic::{Echoes, Ping, Sender, gratuitous_arp, ping};
use crate::lab::{MacBytes, Res, mac, ms, now, wait_until};
use std::process::Command;
use std::time::Duration;

const VM2: MacBytes = mac(0x20);

/// A VM leaves spoke2 and says one gratuitous ARP at spoke3.
pub fn a_vm_moves(lab: &mut Lab) -> Report {
    played(4, "a VM moves to another spoke and its traffic follows", |r| {
        lab.start_all()?;
        follows(lab, r, ("spoke3", 100))
    })
}

/// vm1's traffic follows a VM that goes from spoke2, whose VNI is 101, to a spoke of that VNI.
pub fn follows(lab: &mut Lab, r: &mut Report, (to, vni): (&str, u32)) -> Res {
    // One VM with a leg at either site; it stands on one at a time, with the same MAC and IP address.
    lab.add_host("vm2", "spoke2", "br-test", VM2, inside(20))?;
    let vm2 = &lab.host("vm2").ns;
    lab.plug(vm2, "eth1", to, "br-test", "vm2", VM2)?;
    let (spoke1, spoke2, new) = (lab.node("spoke1"), lab.node("spoke2"), lab.node(to));
    let wire = Capture::start(&spoke1.ns, "eth1")?;

    // spoke2 knows the direct way to vm1 already. So what vm2 answers goes straight to spoke1, and the hub itself
    // never sees a frame of vm2: it has to know by other means where vm2 lives.
    ping(&lab.host("vm1").ns, Echoes::to(ip(inside(11)), 5, 20))?;
    let (there, what) = spoke2.wait_shortcut("test", VM1, spoke1.nbma, 100);
    r.check(there, what);

    let pings =
        Ping::start(&lab.host("vm1").ns, Echoes { count: 3000, ..Echoes::to(ip(inside(20)), 0, 20) })?;
    let (there, what) = spoke1.wait_shortcut("test", VM2, spoke2.nbma, 101);
    r.check(there, format!("before, when vm2 only ever answered, past the hub: {what}"));
    std::thread::sleep(Duration::from_millis(200)); // some frames by the shortcut

    vm2.ip("link set eth0 down\naddr flush dev eth0\nlink set eth1 up\naddr add 11.0.0.20/24 dev eth1")?;
    let is_up = || {
        let mut show = Command::new("ip");
        show.args(["-n", &new.ns.name, "link", "show", "vm2"]);
        netns::run(&mut show, "").is_ok_and(|text| text.contains("state UP"))
    };
    wait_until(SOON, is_up);
    let moved = now();
    Sender::new(vm2, "eth1")?.send(&gratuitous_arp(VM2, inside(20)))?;

    let (there, what) = spoke1.wait_shortcut("test", VM2, new.nbma, vni);
    r.check(there, format!("after: {what}"));
    std::thread::sleep(Duration::from_millis(300));
    let pinged = pings.stop()?;

    let follows = pinged.first_reply_after(moved);
    let purged = wire.first(|f| f.nhrp().filter(|n| n.kind == kind::PURGE && f.at >= moved).map(|_| f.at));
    let direct = wire.first(|f| {
        let v = f.vxlan().filter(|v| f.outgoing && v.destination() == Some(VM2))?;
        (v.outer.destination == new.nbma).then_some(f.at)
    });
    r.event(Some(moved), format!("vm2 says its gratuitous ARP at {to}"));
    r.event(purged, "spoke1 is told to forget where vm2 was");
    r.event(follows, "vm2 answers vm1 from there");
    r.event(direct, format!("vm1's first frame goes straight to {to}"));
    let took = follows.map(|at| at.saturating_sub(moved));
    let text = took.map_or("never".to_string(), ms);
    r.check(took.is_some_and(|t| t < Duration::from_secs(1)), format!("traffic follows after {text}"));
    let later = pinged.echoes.iter().filter(|e| follows.is_some_and(|at| e.sent > at));
    let (lost, count) = later.fold((0, 0), |(l, n), e| (l + usize::from(e.reply.is_none()), n + 1));
    r.check(count > 0 && lost == 0, format!("from then on none is lost: {lost} of {count}"));
    Ok(())
}
