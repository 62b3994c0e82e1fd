//! The data plane made by hand, with commands anybody can type: it proves the laboratory without a daemon, and it
//! shows what the daemon has to bring about.

use super::fdb::{self, Entry};
use super::netns::Netns;
use super::nodes::{Lab, Node};
use super::{MacBytes, Res, text_of_mac};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A place frames can be sent to: underlay address and VNI.
type Place = (IpAddr, u32);

/// Hub and spokes in one VN, connected by hand; a thread brings the shortcuts up to date until this is dropped.
pub struct ByHand {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Res>>,
}

/// A spoke's tunnel in a VN.
struct Tunnel {
    ns: Netns,
    device: &'static str,
    bridge: &'static str,
    /// Where others send to it.
    place: Place,
    /// Its uplink VNI, and the hub's port of that VNI.
    uplink: u32,
    port: String,
    vpn_id: u32,
}

impl ByHand {
    /// Connects all spokes of the lab.
    pub fn connect(lab: &Lab) -> Res<ByHand> {
        let hub = lab.node("hub");
        let bridges = hub.vns.iter().fold(String::new(), |mut lines, vn| {
            let _ = writeln!(lines, "link add {0} type bridge\nlink set {0} up", vn.bridge);
            lines
        });
        hub.ns.ip(&bridges)?;
        let mut tunnels = Vec::new();
        for (number, spoke) in lab.spokes().enumerate() {
            for vn in &spoke.vns {
                let Some((device, vni)) = vn.tunnel else { continue };
                let uplink = 0x10_0000 + (vn.vpn_id << 8) + number as u32;
                let port = format!("dmevpn{uplink:06x}");
                let (ns, place) = (spoke.ns.borrow(), (spoke.nbma, vni));
                vxlan(spoke, device, vni, vn.bridge, (hub.nbma, uplink))?;
                vxlan(hub, &port, uplink, vn.bridge, place)?;
                let (bridge, vpn_id) = (vn.bridge, vn.vpn_id);
                tunnels.push(Tunnel { ns, device, bridge, place, uplink, port, vpn_id });
            }
        }
        let (hub, hub_nbma) = (hub.ns.borrow(), hub.nbma);
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let stop = stop.clone();
            move || {
                while !stop.load(Ordering::Relaxed) {
                    resolve(&hub, hub_nbma, &tunnels)?;
                    std::thread::sleep(Duration::from_millis(5));
                }
                Ok(())
            }
        });
        Ok(ByHand { stop, thread: Some(thread) })
    }

    /// Ends it and says whether it went well.
    pub fn stop(mut self) -> Res {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map_or(Ok(()), |t| t.join().map_err(|_| "the resolver ended early".to_string())?)
    }
}

impl Drop for ByHand {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A VXLAN device in a bridge; what its table does not know goes to `to`.
fn vxlan(node: &Node, device: &str, vni: u32, bridge: &str, (dst, dst_vni): Place) -> Res {
    node.ns.ip(&format!(
        "link add {device} mtu 1500 type vxlan id {vni} local {} dstport 4789 nolearning\n\
         link set {device} master {bridge} up",
        node.nbma
    ))?;
    node.ns.bridge(&format!("fdb append 00:00:00:00:00:00 dev {device} dst {dst} vni {dst_vni} self"))
}

/// Gives the spokes the shortcuts they lack or have wrong. Where a MAC lives is what the hub's bridge learned; or, for
/// a host whose frames all pass the hub by, what the bridge of its own site learned.
fn resolve(hub: &Netns, hub_nbma: IpAddr, tunnels: &[Tunnel]) -> Res {
    let (interfaces, learned) = (hub.interfaces()?, fdb::dump_all(hub)?);
    for tunnel in tunnels {
        let same_vn = || tunnels.iter().filter(|other| other.vpn_id == tunnel.vpn_id);
        // The VN's ports and where they lead.
        let ports: BTreeMap<u32, Place> =
            same_vn().filter_map(|other| Some((*interfaces.get(&other.port)?, other.place))).collect();
        let at_port = |mac: MacBytes| {
            learned.iter().filter(|e| !e.own && e.mac == mac).find_map(|e| ports.get(&e.ifindex).copied())
        };
        let at_site = |mac: MacBytes| same_vn().find(|other| other.has_host(mac)).map(|other| other.place);
        let table = fdb::dump(&tunnel.ns, tunnel.device)?;
        // The tunnel's own address stands in its table too; nobody sends to that.
        for heard in table.iter().filter(|e| !e.own && !e.permanent && e.mac[0] & 1 == 0) {
            let place = at_port(heard.mac).or_else(|| at_site(heard.mac));
            let place = place.unwrap_or((hub_nbma, tunnel.uplink));
            let right = |e: &Entry| e.own && e.leads(heard.mac, place.0, place.1, tunnel.place.1);
            if place != tunnel.place && !table.iter().any(right) {
                let (mac, device, (dst, vni)) = (text_of_mac(heard.mac), tunnel.device, place);
                tunnel.ns.bridge(&format!(
                    "fdb replace {mac} dev {device} dst {dst} vni {vni} self extern_learn"
                ))?;
            }
        }
    }
    Ok(())
}

impl Tunnel {
    /// Whether the site's bridge learned the MAC at a port of its own.
    fn has_host(&self, mac: MacBytes) -> bool {
        let (bridge, tunnel) = (self.ns.ifindex(self.bridge).ok(), self.ns.ifindex(self.device).ok());
        let here = |e: &Entry| e.mac == mac && !e.own && e.bridge == bridge && Some(e.ifindex) != tunnel;
        bridge.is_some() && fdb::dump_all(&self.ns).is_ok_and(|all| all.iter().any(here))
    }
}
