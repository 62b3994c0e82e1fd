//! VLANs of a filtering bridge, as OpenWrt's DSA bridges are: which of them is a VN, and how its tunnel gets into it.

use crate::control::Cause;
use crate::map::map_of;
use crate::shell::netlink::{BridgeInfo, BridgePort, FdbEntry, Kind, Link, Netlink, Vlans};
use crate::types::VlanId;
use std::fmt::Write;

/// So many VLANs, or ranges of them, are named in a sentence.
const NAMED: usize = 8;

/// What of its bridge is a VN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Scope {
    /// All of it.
    #[default]
    Bridge,
    /// A VLAN.
    Vlan(VlanId),
    /// The bridge filters VLANs, and the tunnel is in none.
    Nothing,
}

impl Scope {
    /// The VLAN that entries of the bridge are looked up in.
    pub(super) fn vid(self) -> Option<u16> {
        match self {
            Scope::Vlan(vlan) => Some(vlan.get()),
            Scope::Bridge | Scope::Nothing => None,
        }
    }

    pub(super) fn holds(self, entry: &FdbEntry) -> bool {
        match self {
            Scope::Bridge => true,
            Scope::Vlan(vlan) => entry.vlan == Some(vlan.get()),
            Scope::Nothing => false,
        }
    }
}

/// The VLAN that a spoke's tunnel is in, or a new port of a hub, and what is wrong if nothing else is there. `ports` are
/// those of the bridge; a spoke's tunnel has a name.
pub(super) fn judge(
    ports: &[&BridgePort],
    tunnel: Option<u32>,
    is_ours: impl Fn(u32) -> bool,
    as_new: Option<VlanId>,
    bridge: &str,
    name: Option<&str>,
) -> (Scope, Option<Cause>) {
    // A hub's ports all are as any new one is.
    let untagged = |pvid: VlanId| Vlans { first: pvid.get(), last: pvid.get(), pvid: true, untagged: true };
    let tunnel = match name {
        Some(_) => ports.iter().find(|port| Some(port.index) == tunnel).map(|port| (*port).clone()),
        None => Some(BridgePort {
            index: 0,
            bridge: 0,
            is_down: false,
            isolated: None,
            vlans: as_new.map(untagged).into_iter().collect(),
        }),
    };
    let Some(tunnel) = tunnel else { return (Scope::Nothing, None) };
    let first = tunnel.vlans.first().and_then(|vlans| VlanId::new(vlans.first));
    let scope = tunnel.pvid().or(first).map_or(Scope::Nothing, Scope::Vlan);
    let others = || ports.iter().filter(|port| !is_ours(port.index));
    if others().any(|other| other.meets(&tunnel)) {
        return (scope, None);
    }
    let theirs = map_of(others().flat_map(|port| port.vlans.iter().map(|v| ((v.first, v.last), ()))));
    let theirs: Vec<(u16, u16)> = theirs.keys().copied().collect();
    let own: Vec<(u16, u16)> = tunnel.vlans.iter().map(|v| (v.first, v.last)).collect();
    let warning = Cause::NothingPasses {
        bridge: bridge.to_owned(),
        tunnel: name.map(str::to_owned),
        vlans: listed(&own),
        others: listed(&theirs),
    };
    (scope, Some(warning))
}

/// Whether what the configuration calls a bridge is a VLAN of one.
pub(super) fn is_vlan_of(netlink: &mut Netlink, link: &Link) -> Option<Cause> {
    let Kind::Vlan(vlan) = &link.kind else { return None };
    let lower = netlink.link_by_index(vlan.of?).ok()??;
    matches!(lower.kind, Kind::Bridge(_)).then(|| Cause::VlanOf {
        name: link.name.clone(),
        bridge: lower.name,
        vlan: vlan.id,
    })
}

/// What a bridge that filters VLANs has set.
pub(super) fn filtering(bridge: &Link) -> Option<BridgeInfo> {
    match &bridge.kind {
        Kind::Bridge(info) if info.vlan_filtering => Some(info.clone()),
        _ => None,
    }
}

/// Whether a bridge is as it was when the VN's VLAN was found out.
pub(super) fn filters_as(bridge: &Link, known: Option<&BridgeInfo>) -> bool {
    filtering(bridge).as_ref() == known
}

/// Ranges of VLANs such as `1, 10, 20-29`.
fn listed(ranges: &[(u16, u16)]) -> String {
    let mut text = String::new();
    for (n, (first, last)) in ranges.iter().enumerate() {
        let comma = if n == 0 { "" } else { ", " };
        if n == NAMED {
            text.push_str(", ...");
            break;
        }
        // Writing into a String does not fail.
        let _ = match first == last {
            true => write!(text, "{comma}{first}"),
            false => write!(text, "{comma}{first}-{last}"),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vlans_read_well() {
        assert_eq!(listed(&[(1, 1), (10, 12)]), "1, 10-12");
        assert_eq!(listed(&[(5, 5); 9]), format!("{}...", "5, ".repeat(8)));
    }
}
