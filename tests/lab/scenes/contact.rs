//! Point 1: the first frame and the way it takes.

use super::{BRIDGE2, VM1, inside, ip};
use crate::lab::capture::Capture;
use crate::lab::fdb::Monitor;
use crate::lab::netns::Counters;
use crate::lab::nodes::{Lab, Node};
use crate::lab::peek::kind;
use crate::lab::report::{Report, played};
use crate::lab::traffic::{Echoes, ping};
use crate::lab::{MacBytes, Res, Stamp, now, patience, text_of_mac};

/// A ping: nothing is lost, it starts through the hub, it goes on past it.
pub fn first_contact(lab: &mut Lab) -> Report {
    let title = "first contact loses nothing; it begins through the hub and then goes direct";
    played(1, title, |r| play(lab, r))
}

fn play(lab: &mut Lab, r: &mut Report) -> Res {
    let (one, two) = (Witness::of(lab.node("spoke1"))?, Witness::of(lab.node("spoke2"))?);
    let hub_wire = Capture::start(&lab.node("hub").ns, "eth1")?;
    let daemons = lab.plan.program.is_some();
    r.event(daemons.then(now), "the daemons are started");
    lab.start_all()?;
    let (spoke1, spoke2, hub) = (lab.node("spoke1"), lab.node("spoke2"), lab.node("hub"));
    let vm1 = &lab.host("vm1").ns;

    for (witness, spoke) in [(&one, spoke1), (&two, spoke2)] {
        let registered = witness.wire.first(|f| {
            let reply = f.nhrp().filter(|n| n.kind == kind::REGISTERED && n.vpn == Some(1))?;
            (!f.outgoing && matches!(reply.code(), Some(0) | None)).then_some(f.at)
        });
        r.event(registered, format!("{} is registered in VN 1", spoke.name));
    }

    let pinged = ping(vm1, Echoes::to(ip(inside(11)), 40, 50))?;
    r.check(pinged.none_lost(), format!("vm1 pings 11.0.0.11: {pinged}"));

    let first = one.wire.first(|f| {
        let v = f.vxlan().filter(|v| f.outgoing && v.source() == Some(VM1))?;
        Some((f.at, v.outer.destination, v.vni))
    });
    let (at, to, vni) = first.ok_or("no frame of vm1 on spoke1's wire")?;
    r.event(Some(at), format!("vm1's first frame leaves spoke1, to {to} vni {vni}"));
    r.check(to == hub.nbma, format!("vm1's first frame goes to the hub: to {to}"));

    for (witness, spoke, remote, far, vni) in
        [(&one, spoke1, BRIDGE2, spoke2, 101), (&two, spoke2, VM1, spoke1, 100)]
    {
        let (there, what) = spoke.wait_shortcut("test", remote, far.nbma, vni);
        r.check(there, what);
        let seen = witness.story(remote, far, vni);
        let (name, mac) = (&spoke.name, text_of_mac(remote));
        r.event(seen.asked, format!("{name} asks where {mac} lives"));
        r.event(seen.answered, format!("{name} is answered"));
        r.event(seen.installed, format!("{name} has the shortcut in its kernel"));
        r.event(seen.direct, format!("{name} sends its first frame past the hub, to {} vni {vni}", far.nbma));
        if daemons {
            let asked = seen.asked.is_some() && seen.answered.is_some();
            r.check(asked, format!("{name}'s question and its answer are on the wire"));
        }
        r.check(seen.direct.is_some(), format!("{name}'s frames reach {} under VNI {vni}", far.name));
    }

    // Now the hub has nothing more to do for these two. A stray frame of somebody else gets a second chance.
    let (mut counted, mut passed, mut lost) = (0, 0, 0);
    for _ in 0..5 * patience() {
        hub_wire.clear();
        let before = hub.port_counters()?;
        let more = ping(vm1, Echoes::to(ip(inside(11)), 20, 10))?;
        let grown = |(port, now): (&String, &Counters)| {
            let then = before.get(port).copied().unwrap_or_default();
            now.rx - then.rx + now.tx - then.tx
        };
        counted = hub.port_counters()?.iter().map(grown).sum();
        lost += more.echoes.len() - more.answered();
        passed += hub_wire
            .count(|f| f.vxlan().is_some_and(|v| v.is_between(VM1, BRIDGE2) || v.is_between(BRIDGE2, VM1)));
        if counted == 0 {
            break;
        }
    }
    let ports = hub.ports()?.len();
    r.check(
        ports > 0 && counted == 0 && passed == 0 && lost == 0,
        format!("20 more pings: the hub's {ports} ports count {counted} frames, {passed} of the pair's; {lost} lost"),
    );
    Ok(())
}

/// Who looks at a spoke's wire and at its forwarding tables.
struct Witness {
    wire: Capture,
    tables: Monitor,
}

/// When a shortcut's steps were seen.
struct Story {
    asked: Option<Stamp>,
    answered: Option<Stamp>,
    installed: Option<Stamp>,
    direct: Option<Stamp>,
}

impl Witness {
    fn of(node: &Node) -> Res<Witness> {
        Ok(Witness { wire: Capture::start(&node.ns, "eth1")?, tables: Monitor::start(&node.ns)? })
    }

    fn story(&self, mac: MacBytes, far: &Node, vni: u32) -> Story {
        let nhrp = |kind| self.wire.first(|f| f.nhrp().filter(|n| n.is(kind, &mac)).map(|_| f.at));
        let installed = self.tables.first(|c| {
            (c.present && c.entry.own && c.entry.mac == mac && c.entry.dst == Some(far.nbma)).then_some(c.at)
        });
        let direct = self.wire.first(|f| {
            let v = f.vxlan().filter(|v| f.outgoing && v.destination() == Some(mac))?;
            (v.outer.destination == far.nbma && v.vni == vni).then_some(f.at)
        });
        Story { asked: nhrp(kind::RESOLVE), answered: nhrp(kind::RESOLVED), installed, direct }
    }
}
