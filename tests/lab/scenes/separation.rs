//! Point 3: VNIs belong to sites, VNs belong to themselves, and the hub's own site is a site too.

use super::{BRIDGE2, VM1, VM3, inside, ip};
use crate::lab::capture::Capture;
use crate::lab::fdb;
use crate::lab::nodes::{Lab, SOON};
use crate::lab::report::{Report, played};
use crate::lab::traffic::{Echoes, Sender, arp_request, ping};
use crate::lab::{Res, mac, wait_for, wait_until};
use std::net::Ipv4Addr;

/// The same VNI twice in a VN, the same VNI in two VNs, a host at the hub.
pub fn separate_networks(lab: &mut Lab) -> Report {
    let title = "VNIs are local to a site, VNs never see each other, the hub's own hosts are reached";
    played(3, title, |r| {
        lab.start_all()?;
        same_vni(lab, r)?;
        add_other_network(lab)?;
        overlapping(lab, r)?;
        floods(lab, r)?;
        host_at_hub(lab, r)
    })
}

fn same_vni(lab: &Lab, r: &mut Report) -> Res {
    let pinged = ping(&lab.host("vm1").ns, Echoes::to(ip(inside(12)), 20, 20))?;
    r.check(pinged.none_lost(), format!("vm1 (VNI 100) pings vm3 (VNI 100 too): {pinged}"));
    let (spoke1, spoke3) = (lab.node("spoke1"), lab.node("spoke3"));
    let (there, what) = spoke1.wait_shortcut("test", VM3, spoke3.nbma, 100);
    r.check(there, what);
    let (there, what) = spoke3.wait_shortcut("test", VM1, spoke1.nbma, 100);
    r.check(there, what);
    Ok(())
}

/// Hosts of the other VN that look like vm1 and spoke2's bridge: same MACs, and o1 has vm1's IP address too.
/// (Not o2: spoke2 itself would answer ARP for its own address on every bridge it has.)
fn add_other_network(lab: &mut Lab) -> Res {
    if lab.hosts.contains_key("o1") {
        return Ok(());
    }
    lab.add_host("o1", "spoke1", "br-other", VM1, inside(10))?;
    lab.add_host("o2", "spoke2", "br-other", BRIDGE2, inside(111))
}

fn overlapping(lab: &Lab, r: &mut Report) -> Res {
    let (spoke1, spoke2) = (lab.node("spoke1"), lab.node("spoke2"));
    let reached = Capture::start(&lab.host("o2").ns, "eth0")?;
    let pinged = ping(&lab.host("o1").ns, Echoes::to(ip(inside(111)), 20, 20))?;
    let count = || reached.count(|f| !f.outgoing && f.outer().is_some_and(|o| o.protocol == 1));
    // A capture is a little behind what it captures.
    wait_until(SOON, || count() >= pinged.echoes.len());
    let there = count();
    r.check(
        pinged.none_lost() && there == pinged.echoes.len(),
        format!("VN other, with vm1's own addresses: {pinged}, {there} seen by the host there"),
    );
    let (there, what) = spoke1.wait_shortcut("other", BRIDGE2, spoke2.nbma, 100);
    r.check(there, format!("in VN other {what}"));
    let (there, what) = spoke2.wait_shortcut("other", VM1, spoke1.nbma, 101);
    r.check(there, format!("in VN other {what}"));
    Ok(())
}

fn floods(lab: &Lab, r: &mut Report) -> Res {
    const COUNT: u32 = 50;
    let tunnel = |node: &str, device: &str| Capture::start(&lab.node(node).ns, device);
    let host = |name: &str| Capture::start(&lab.host(name).ns, "eth0");
    let test = [tunnel("spoke2", "tunnel2")?, tunnel("spoke3", "tunnel2")?, host("vm3")?];
    let other = [tunnel("spoke2", "tunnel3")?, host("o2")?];
    // Seen beside the sender: what it sends itself is not what is looked for there.
    let (beside_test, beside_other) = (tunnel("spoke1", "tunnel3")?, tunnel("spoke1", "tunnel2")?);
    for (name, sender, own, foreign, beside, wanted) in [
        ("test", "vm1", &test[..], &other[..], &beside_test, inside(77)),
        ("other", "o1", &other[..], &test[..], &beside_other, inside(88)),
    ] {
        let sends = Sender::new(&lab.host(sender).ns, "eth0")?;
        for _ in 0..COUNT {
            sends.send(&arp_request(VM1, inside(10), wanted))?;
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let asked = |c: &Capture| {
            c.count(|f| f.ethertype() == 0x0806 && f.bytes.get(38..42) == Some(&octets(wanted)))
        };
        wait_until(SOON, || own.iter().all(|c| asked(c) >= COUNT as usize));
        let inside: Vec<_> = own.iter().map(asked).collect();
        let outside: usize = foreign.iter().chain([beside]).map(asked).sum();
        let missed: u32 = foreign.iter().chain([beside]).map(Capture::missed).sum();
        r.check(
            inside.iter().all(|&n| n == COUNT as usize) && outside == 0 && missed == 0,
            format!(
                "{COUNT} ARP requests in VN {name}: {inside:?} seen at its places, {outside} in the other VN"
            ),
        );
    }
    Ok(())
}

fn host_at_hub(lab: &mut Lab, r: &mut Report) -> Res {
    const AT_HUB: u16 = 0x1f;
    if !wait_until(SOON, || lab.node("hub").ns.has("br-test")) {
        return Err("the hub made no bridge br-test".into());
    }
    if !lab.hosts.contains_key("vmh") {
        lab.add_host("vmh", "hub", "br-test", mac(AT_HUB), inside(1))?;
    }
    let pinged = ping(&lab.host("vm1").ns, Echoes::to(ip(inside(1)), 20, 20))?;
    r.check(pinged.none_lost(), format!("vm1 pings a host at the hub: {pinged}"));
    let (spoke1, hub) = (lab.node("spoke1"), lab.node("hub"));
    let uplink = fdb::dump(&spoke1.ns, "tunnel2")?.into_iter().find(|e| e.own && e.mac == [0; 6]);
    let uplink = uplink.ok_or("spoke1 has no uplink")?;
    let to_hub = || {
        let found = spoke1.shortcuts("test", mac(AT_HUB)).ok()?;
        found.into_iter().find(|e| e.dst == Some(hub.nbma) && e.vni == uplink.vni)
    };
    let found = wait_for(SOON, to_hub);
    let what = found.map_or("nothing".to_string(), |e| e.to_string());
    r.check(found.is_some(), format!("spoke1's shortcut for it leads to the hub, uplink VNI: {what}"));
    Ok(())
}

fn octets(ip: Ipv4Addr) -> [u8; 4] {
    ip.octets()
}
