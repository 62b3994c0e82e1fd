//! What there is to answer, from the engine and the kernel.

use super::super::dataplane::{Forwarder, port_name};
use super::super::node::Node;
use super::super::traffic::Devices;
use super::super::user::Process;
use crate::config::{HubAddress, Role, Transport, Vn};
use crate::engine::report::VnReport;
use crate::engine::{Place, Refusal, VnKey};
use crate::types::Mac;
use crate::view::{Answer, Counts, Failure, RoleStatus, Status, VnCounts, VnStatus};
use crate::wire::nhrp::code;

/// What needs no question to the hub: what a hub itself knows, and what a spoke was told does not exist.
pub fn known(node: &Node, key: VnKey, mac: Mac) -> Option<Answer> {
    let now = node.clock.now();
    let not_there = Answer::NotResolved(Some(Refusal::Nak(code::NO_BINDING)));
    match (node.engine.report(now, key)?, node.engine.lookup(key, mac)) {
        (VnReport::Hub(_), Place::At(vtep)) => Some(Answer::At { vtep, holding: None }),
        (_, Place::Local) => Some(Answer::Local),
        (VnReport::Hub(_), Place::Tunnel | Place::Left(_) | Place::Gone | Place::Unplugged) => {
            Some(not_there)
        }
        (VnReport::Spoke(_), _) => node.engine.is_denied(key, mac).then_some(not_there),
    }
}

pub fn no_vn(vn: &str) -> Failure {
    Failure::failed(format!("there is no VN '{vn}'"))
}

pub fn find(node: &Node, vn: &str) -> Result<VnKey, Failure> {
    let configured = node.config.vns.iter().any(|v| v.name == vn);
    node.names.vn(vn).filter(|_| configured).ok_or_else(|| no_vn(vn))
}

/// The VN of this name, or all of them.
pub fn select(node: &Node, vn: Option<&str>) -> Result<Vec<(String, VnKey)>, Failure> {
    let named = |name: &str| find(node, name).map(|key| (name.to_owned(), key));
    match vn {
        Some(vn) => Ok(vec![named(vn)?]),
        None => node.config.vns.iter().map(|v| named(&v.name)).collect(),
    }
}

/// The hubs' VNs, each with whether one device serves all spokes: then none has its own traffic.
pub fn hubs(node: &Node) -> Vec<(String, VnKey, bool)> {
    let hubs = node.config.vns.iter().filter(|vn| matches!(vn.role, Role::Hub(_)));
    let keys = hubs.filter_map(|vn| Some((vn.name.clone(), node.names.vn(&vn.name)?)));
    keys.map(|(name, key)| (name, key, is_shared(node, key))).collect()
}

fn is_shared(node: &Node, vn: VnKey) -> bool {
    node.dataplane.forwarder(vn).is_some_and(Forwarder::is_shared)
}

/// All but what was counted of clients.
pub fn counts(node: &mut Node, devices: &Devices, config_path: &str) -> Counts {
    let status = status(node, config_path);
    let of_vn = |vn: &Vn| {
        let key = node.names.vn(&vn.name)?;
        let shared = || node.engine.plane(key)?.ports().next().map(|(_, port)| port_name(port.uplink));
        let traffic = match &vn.role {
            Role::Spoke(spoke) => devices.of(&spoke.vxlan),
            Role::Hub(_) if is_shared(node, key) => shared().and_then(|name| devices.of(&name)),
            Role::Hub(_) => None,
        };
        Some(VnCounts { vn: vn.name.clone(), statistics: node.engine.vn_statistics(key), traffic })
    };
    let vns = node.config.vns.iter().filter_map(of_vn).collect();
    Counts { status, statistics: node.engine.statistics(), vns }
}

pub fn status(node: &mut Node, config_path: &str) -> Status {
    node.kernel_events();
    let now = node.clock.now();
    let vn_status = |vn: &Vn| {
        let key = node.names.vn(&vn.name)?;
        let (bridge_mac, trouble) = node.standing(vn, key);
        let (device, role) = match (&vn.role, node.engine.report(now, key)?) {
            (Role::Spoke(spoke), VnReport::Spoke(report)) => {
                let name = |hub| spoke.hubs.iter().find(|name| node.names.hub(name) == Some(hub)).cloned();
                let active = node.engine.hub(key).and_then(name)?;
                let hub = node.config.hubs.iter().find(|h| h.name == active)?;
                let hub_address = match &hub.address {
                    HubAddress::Ip(ip) => ip.to_string(),
                    HubAddress::Name(name) => name.clone(),
                };
                let hubs = report.hubs.iter().filter_map(|row| Some((name(row.hub)?, *row))).collect();
                let role = RoleStatus::Spoke { hub_name: active, hub_address, hubs, report };
                (Some(spoke.vxlan.clone()), role)
            }
            (Role::Hub(_), VnReport::Hub(report)) => {
                let (dataplane, reason) = node.dataplane.forwarder(key)?.words();
                let (dataplane, dataplane_reason) = (dataplane.into(), reason.into());
                (None, RoleStatus::Hub { dataplane, dataplane_reason, report })
            }
            _ => return None,
        };
        Some(VnStatus {
            name: vn.name.clone(),
            vpn_id: vn.vpn_id,
            bridge: vn.bridge.clone(),
            vlan: vn.vlan,
            mtu: vn.mtu,
            bridge_mac,
            device,
            trouble,
            lack: node.lack(key).cloned(),
            role,
        })
    };
    let process = Process::this();
    Status {
        version: env!("CARGO_PKG_VERSION").into(),
        uptime: now.as_millis() / 1000,
        config: config_path.into(),
        device: match &node.config.main.transport {
            Transport::Raw => None,
            Transport::Device(name) => Some(name.clone()),
        },
        nbma: node.nbma(),
        user: process.user(),
        confined: process.is_confined(),
        trouble: node.own_trouble(),
        guard: node.dataplane.guard(),
        odd: node.engine.oddities(now),
        vns: node.config.vns.iter().filter_map(vn_status).collect(),
    }
}
