//! Point 2: not only IPv4 unicast passes.

use super::{BRIDGE2, VM1, inside, ip};
use crate::lab::capture::{Capture, Frame};
use crate::lab::nodes::{Lab, SOON};
use crate::lab::report::{Report, played};
use crate::lab::traffic::{self, BROADCAST, Echoes, Member, Sender, experiment, experiment_number, ping};
use crate::lab::{MacBytes, Res, wait_until};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// IPv6, multicast, frames of full size, broadcast.
pub fn every_frame(lab: &mut Lab) -> Report {
    let title = "IPv6, multicast, 1500-octet packets and broadcast pass; broadcast never comes back";
    played(2, title, |r| {
        lab.start_all()?;
        for spoke in lab.spokes() {
            spoke.ns.ip("link set br-test type bridge mcast_snooping 1")?;
        }
        ipv6(lab, r)?;
        multicast(lab, r)?;
        full_size(lab, r)?;
        broadcast(lab, r)
    })
}

fn ipv6(lab: &Lab, r: &mut Report) -> Res {
    let (vm1, spoke2) = (&lab.host("vm1").ns, lab.node("spoke2"));
    vm1.ip("addr replace fd11::10/64 dev eth0 nodad")?;
    spoke2.ns.ip("addr replace fd11::11/64 dev br-test nodad")?;
    let arrived = Capture::start(&spoke2.ns, "tunnel2")?;
    let pinged = ping(vm1, Echoes::to(address("fd11::11")?, 20, 20))?;
    r.check(pinged.none_lost(), format!("IPv6: vm1 pings fd11::11: {pinged}"));
    let asked = arrived.count(|f| {
        f.destination().starts_with(&[0x33, 0x33])
            && f.outer().is_some_and(|o| o.protocol == 58 && o.payload.first() == Some(&135))
    });
    r.check(asked > 0, format!("neighbour solicitations that reached spoke2 as multicast: {asked}"));
    Ok(())
}

fn multicast(lab: &Lab, r: &mut Report) -> Res {
    const COUNT: usize = 50;
    let (vm1, spoke2, vm3) = (&lab.host("vm1").ns, &lab.node("spoke2").ns, &lab.host("vm3").ns);
    for (from, group) in [("11.0.0.10", "239.1.2.3:5004"), ("fd11::10", "[ff15::1234]:5004")] {
        let group: SocketAddr = group.parse().map_err(|e| format!("{group}: {e}"))?;
        let members = [Member::join(spoke2, "br-test", group)?, Member::join(vm3, "eth0", group)?];
        traffic::send_to_group(vm1, "eth0", address(from)?, group, COUNT)?;
        let got = members.map(|m| m.count(Duration::from_millis(300)));
        r.check(got == [COUNT; 2], format!("{group}: of {COUNT} datagrams {got:?} reached spoke2 and vm3"));
    }
    Ok(())
}

fn full_size(lab: &Lab, r: &mut Report) -> Res {
    const COUNT: usize = 10;
    let (vm1, spoke1, spoke2) = (&lab.host("vm1").ns, lab.node("spoke1"), lab.node("spoke2"));
    let full = Echoes { size: 1472, ..Echoes::to(ip(inside(11)), COUNT, 20) };

    // Linux answers for a bridged VXLAN device when a packet may not be fragmented (since 5.9): the sender is
    // told the MTU that fits. Passing it is right too; what may not happen is silence.
    let pinged = ping(vm1, Echoes { dont_fragment: true, ..full })?;
    let told = pinged.too_big;
    r.check(
        pinged.none_lost() || told.is_some_and(|mtu| mtu >= 1280),
        format!("1500 octets with DF: {pinged}; path MTU told: {told:?}"),
    );
    vm1.ip("route flush cache")?;

    // Over IPv4 the underlay's packets are fragmented. Over IPv6 the kernel never does that for VXLAN: there
    // the underlay has to be wide enough for what may not be lost.
    let wide = lab.plan.ipv6;
    if wide {
        lab.set_underlay_mtu(1600)?;
        r.note("IPv6 underlay: widened to 1600 octets, since Linux does not fragment VXLAN over IPv6");
    }
    let wire = Capture::start(&spoke1.ns, "eth1")?;
    let arrived = Capture::start(&spoke2.ns, "tunnel2")?;
    let pinged = ping(vm1, full)?;
    r.check(pinged.none_lost(), format!("packets of 1500 octets: {pinged}"));
    let is_whole = |f: &Frame| !f.outgoing && f.bytes.len() == 1514 && f.ethertype() == 0x0800;
    wait_until(SOON, || arrived.count(is_whole) >= COUNT);
    let whole = arrived.count(is_whole);
    r.check(whole == COUNT, format!("{whole} of them left spoke2's tunnel in one piece"));
    let is_piece = |f: &Frame| f.outgoing && f.outer().is_some_and(|o| o.fragment);
    if !wide {
        wait_until(SOON, || wire.count(is_piece) >= 2 * COUNT);
    }
    let pieces = wire.count(is_piece);
    let right = if wide { pieces == 0 } else { pieces >= 2 * COUNT };
    r.check(right, format!("spoke1 sent {pieces} underlay fragments for that"));

    // Not IP: nobody can fragment it or tell its sender; by the shortcut and, as broadcast, by the hub.
    let sender = Sender::new(vm1, "eth0")?;
    for n in 0..COUNT as u32 {
        sender.send(&experiment(BRIDGE2, VM1, n, 1514))?;
        sender.send(&experiment(BROADCAST, VM1, n, 1514))?;
    }
    let count_to = |to: MacBytes| {
        let mine = |f: &Frame| f.destination() == to && experiment_number(&f.bytes, VM1).is_some();
        arrived.count(|f| mine(f) && f.bytes.len() == 1514)
    };
    wait_until(SOON, || count_to(BRIDGE2) >= COUNT && count_to(BROADCAST) >= COUNT);
    let (direct, by_hub) = (count_to(BRIDGE2), count_to(BROADCAST));
    r.check(
        direct == COUNT && by_hub == COUNT,
        format!("frames of 1514 octets, not IP: {direct} direct and {by_hub} by the hub, of {COUNT} each"),
    );
    if wide { lab.set_underlay_mtu(1500) } else { Ok(()) }
}

fn broadcast(lab: &Lab, r: &mut Report) -> Res {
    const COUNT: u32 = 100;
    let at = |name: &str| Capture::start(&lab.node(name).ns, "tunnel2");
    let (own, second, third) = (at("spoke1")?, at("spoke2")?, at("spoke3")?);
    let sender = Sender::new(&lab.host("vm1").ns, "eth0")?;
    for n in 0..COUNT {
        sender.send(&experiment(BROADCAST, VM1, n, 60))?;
        std::thread::sleep(Duration::from_millis(1));
    }
    let numbers = |c: &Capture, outgoing: bool| {
        let number = |f: &Frame| experiment_number(&f.bytes, VM1).filter(|_| f.outgoing == outgoing);
        c.all(number)
    };
    let complete = |c: &Capture| {
        let mut got = numbers(c, false);
        got.sort_unstable();
        got == (0..COUNT).collect::<Vec<_>>()
    };
    wait_until(SOON, || complete(&second) && complete(&third));
    r.check(
        complete(&second) && complete(&third),
        format!("{COUNT} broadcasts reach spoke2 and spoke3, each once"),
    );
    wait_until(SOON, || numbers(&own, true).len() >= COUNT as usize);
    let (sent, back) = (numbers(&own, true).len(), numbers(&own, false).len());
    let blind = own.missed();
    r.check(
        sent == COUNT as usize && back == 0 && blind == 0,
        format!("spoke1's tunnel: {sent} broadcasts out, {back} came back"),
    );
    Ok(())
}

fn address(text: &str) -> Res<IpAddr> {
    text.parse().map_err(|e| format!("{text}: {e}"))
}
