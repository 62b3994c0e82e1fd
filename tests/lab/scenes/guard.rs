//! Point 10: at a hub only its spokes speak, each by its own port.

use crate::lab::capture::Capture;
use crate::lab::forger::Forger;
use crate::lab::nodes::{Lab, Node, SOON};
use crate::lab::report::{Report, played};
use crate::lab::traffic::{BROADCAST, EXPERIMENT};
use crate::lab::{MacBytes, Res, fdb, mac, wait_until};
use std::net::IpAddr;

/// Bridges do not forward what goes there, and learn from it all the same.
const LINK_LOCAL: [MacBytes; 2] = [[1, 0x80, 0xc2, 0, 0, 2], [1, 0x80, 0xc2, 0, 0, 0x0e]];
/// Connectivity Fault Management (IEEE 802.1ag).
const CFM: u16 = 0x8902;

/// Frames of a stranger, and of a spoke by another's VNI, do not arrive, and teach the hub's bridge nothing.
pub fn only_spokes_speak(lab: &mut Lab) -> Report {
    let title = "strangers' frames do not arrive at the hub, and a spoke speaks by its own port only";
    played(10, title, |r| {
        lab.start_all()?;
        if lab.node("hub").log_text().contains("anybody's frames are taken") {
            r.check(true, "not proven: there is no nftables here, as the hub says");
            return Ok(());
        }
        play(lab, r)
    })
}

/// The VNI by which a spoke's frames come to the hub in VN `test`.
pub fn uplink_of(hub: &Node, spoke: IpAddr) -> Res<u32> {
    let bridge = hub.ns.ifindex("br-test")?;
    for port in hub.ports()?.keys() {
        let entries = fdb::dump(&hub.ns, port)?;
        let leads = entries.iter().any(|e| e.own && e.mac == [0; 6] && e.dst == Some(spoke));
        if leads && entries.iter().any(|e| e.bridge == Some(bridge)) {
            let digits = port.strip_prefix("dmevpn").unwrap_or_default();
            return u32::from_str_radix(digits, 16).map_err(|e| format!("{port}: {e}"));
        }
    }
    Err(format!("the hub has no port for {spoke}"))
}

/// An Ethernet frame that nobody answers.
pub fn frame(to: MacBytes, from: MacBytes, ethertype: u16) -> Vec<u8> {
    let mut frame = [to, from].concat();
    frame.extend(ethertype.to_be_bytes());
    frame.resize(60, 0);
    frame
}

fn play(lab: &Lab, r: &mut Report) -> Res {
    let (hub, spoke1, spoke2) = (lab.node("hub"), lab.node("spoke1"), lab.node("spoke2"));
    let stranger = Forger::new(lab)?;
    let (one, two) = (uplink_of(hub, spoke1.nbma)?, uplink_of(hub, spoke2.nbma)?);
    let arrived = Capture::start(&spoke2.ns, "tunnel2")?;
    let (here, whole) = (stranger.address, usize::MAX);
    let cases = [
        ("a stranger's broadcast", here, one, BROADCAST, EXPERIMENT, whole),
        (
            "its broadcast, of which the first fragment ends before the VNI",
            here,
            one,
            BROADCAST,
            EXPERIMENT,
            8,
        ),
        ("its frame to a link-local address (CFM)", here, one, LINK_LOCAL[0], CFM, whole),
        ("its frame to a link-local address (LLDP)", here, one, LINK_LOCAL[1], 0x88cc, whole),
        ("spoke1's broadcast by the port of spoke2", spoke1.nbma, two, BROADCAST, EXPERIMENT, whole),
        ("spoke1's own", spoke1.nbma, one, BROADCAST, EXPERIMENT, whole),
    ];
    let sender = |n: usize| mac(0x7e00 + n as u16);
    for (n, (_, source, vni, to, ethertype, first)) in cases.into_iter().enumerate() {
        stranger.send_in_pieces(source, hub.nbma, vni, &frame(to, sender(n), ethertype), first)?;
    }
    let is_learned = |n| fdb::dump_all(&hub.ns).is_ok_and(|all| all.iter().any(|e| e.mac == sender(n)));
    let is_seen = |n| arrived.count(|f| !f.outgoing && f.source() == sender(n)) > 0;
    // What was sent before it was taken before it, or not at all.
    let own = cases.len() - 1;
    wait_until(SOON, || is_learned(own) && is_seen(own));
    for (n, (what, _, vni, ..)) in cases.into_iter().enumerate() {
        // With one device for all spokes all have one port.
        if n != own && (one, vni) == (two, two) && what.contains("by the port of") {
            continue;
        }
        let (learned, seen) = (is_learned(n), is_seen(n));
        let says = |holds: bool, what: &str| format!("{}{what}", if holds { "" } else { "not " });
        r.check(
            (learned, seen) == (n == own, n == own),
            format!(
                "{what}: {} by the hub's bridge, {} at spoke2",
                says(learned, "learned"),
                says(seen, "seen")
            ),
        );
    }
    Ok(())
}
