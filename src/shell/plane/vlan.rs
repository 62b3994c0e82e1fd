//! VLANs of a filtering bridge, as OpenWrt's DSA bridges are: which of them is a VN, and how its tunnel gets into it.

use super::{Inputs, Part, Plane, Planes, Wanted, WantedRole, alias, told};
use crate::control::Cause;
use crate::engine::{Engine, Input, News, Place, VnKey};
use crate::shell::netlink::{BridgeInfo, BridgePort, Error, FdbEntry, Kind, Link, LinkChange, Vlans};
use crate::types::{Mac, VlanId};
use litemap::LiteMap;
use std::fmt::Write;

/// So many VLANs, or ranges of them, are named in a sentence.
const NAMED: usize = 8;

/// What of its bridge is a VN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// All of it.
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

    fn holds(self, entry: &FdbEntry) -> bool {
        match self {
            Scope::Bridge => true,
            Scope::Vlan(vlan) => entry.vlan == Some(vlan.get()),
            Scope::Nothing => false,
        }
    }
}

impl Plane {
    /// What an entry of a bridge tells this VN. `devices` are those of all VNs.
    pub(super) fn told_by(
        &self,
        key: VnKey,
        entry: &FdbEntry,
        gone: bool,
        devices: &LiteMap<u32, (VnKey, Part)>,
    ) -> Option<(Mac, Place)> {
        if entry.master.is_none() || entry.master != self.bridge || !self.scope.holds(entry) {
            return None;
        }
        let mac = Mac::new(entry.mac)?;
        let part = devices.get(&entry.index);
        // A tunnel device's own address is nobody's, unless the bridge has no other to take.
        if part.is_some() && entry.is_permanent() {
            return (!gone && self.bridge_mac == Some(mac)).then_some((mac, Place::Local));
        }
        // Another VN's tunnel is a port like any other.
        let part = part.filter(|(owner, _)| *owner == key).map(|(_, part)| *part);
        let place = match part {
            // The device tells more than the bridge: behind which spoke.
            Some(Part::Shared) => return None,
            _ if gone => Place::Gone,
            Some(Part::Tunnel) => Place::Tunnel,
            Some(Part::Port(spoke)) => Place::Port(spoke),
            None => Place::Local,
        };
        Some((mac, place))
    }
}

impl Planes {
    /// An option `vlan` needs a bridge that keeps VLANs apart. On another one the tunnel would reach all of it, so its
    /// devices are switched off.
    pub(super) fn check_filtering(
        &mut self,
        key: VnKey,
        wanted: &Wanted,
        bridge: &Link,
    ) -> Result<(), Cause> {
        let Some(plane) = self.planes.get_mut(&key) else { return Ok(()) };
        plane.filtering = filtering(bridge);
        plane.closed = wanted.vlan.is_some() && plane.filtering.is_none();
        let Some(vlan) = wanted.vlan.filter(|_| plane.closed) else { return Ok(()) };
        plane.bridge = None;
        let is_open = |link: &Link| {
            link.up
                && link.master == Some(bridge.index)
                && match (&link.alias, &wanted.role) {
                    (Some(alias), _) if alias::is_of(alias, &wanted.name) => true,
                    (_, WantedRole::Spoke { vxlan, .. }) => link.name == *vxlan,
                    (_, WantedRole::Hub(_)) => false,
                }
        };
        for link in self.netlink.links().map_err(told)?.iter().filter(|link| is_open(link)) {
            let off = LinkChange { up: Some(false), ..LinkChange::default() };
            self.netlink.set_link(link.index, &off).map_err(told)?;
        }
        Err(Cause::NotFiltering { bridge: bridge.name.clone(), vlan })
    }

    /// Makes a device an active port of the bridge. It is in the VN's VLAN before a frame can pass it.
    pub(super) fn join(
        &mut self,
        link: &Link,
        bridge: &Link,
        vlan: Option<VlanId>,
        mtu: u32,
    ) -> Result<(), Error> {
        let change = LinkChange {
            up: Some(true),
            master: Some(Some(bridge.index)),
            mtu: Some(mtu),
            ..LinkChange::default()
        };
        if let Some(vlan) = vlan {
            if link.master != Some(bridge.index) {
                let off = LinkChange { up: Some(false), ..LinkChange::default() };
                self.netlink.set_link(link.index, &off)?;
                self.netlink.set_link(link.index, &LinkChange { up: None, ..change.clone() })?;
            }
            self.netlink.set_only_vlan(link.index, vlan)?;
        }
        if link.master == Some(bridge.index) && link.up && link.mtu == mtu {
            return Ok(());
        }
        self.netlink.set_link(link.index, &change)
    }

    /// A hub's bridge is itself a member of the VN's VLAN, as one without VLANs is of the VN: what spokes send to its
    /// MAC would otherwise be flooded to all of them. What a VLAN of before was joined for is left.
    pub(super) fn join_itself(&mut self, key: VnKey, bridge: u32, vlan: Option<VlanId>) -> Result<(), Error> {
        let joined = self.planes.get(&key).and_then(|plane| plane.joined);
        if let Some(old) = joined.filter(|old| Some(*old) != vlan) {
            self.netlink.set_own_vlan(bridge, old, false)?;
            self.planes.get_mut(&key).into_iter().for_each(|plane| plane.joined = None);
        }
        let Some(vlan) = vlan else { return Ok(()) };
        let is_in = |port: &BridgePort| port.index == bridge && port.is_in(vlan);
        if self.netlink.bridge_ports()?.iter().any(is_in) {
            return Ok(());
        }
        self.netlink.set_own_vlan(bridge, vlan, true)?;
        self.planes.get_mut(&key).into_iter().for_each(|plane| plane.joined = Some(vlan));
        Ok(())
    }

    /// Finds out which VLAN is the VN's, and whether anything else is there.
    pub(super) fn see_vlan(&mut self, key: VnKey, engine: &Engine, inputs: &mut Inputs) {
        let Some(plane) = self.planes.get(&key) else { return };
        let (scope, warning) = match (&plane.filtering, plane.wanted.vlan) {
            (None, _) => (Scope::Bridge, None),
            // A hub's bridge itself is in the VLAN.
            (Some(_), Some(vlan)) if self.forwarder(key).is_some() => (Scope::Vlan(vlan), None),
            (Some(info), vlan) => {
                let as_new = vlan.or(info.default_pvid);
                let (scope, warning) = self.judge(key, as_new);
                (vlan.map_or(scope, Scope::Vlan), warning)
            }
        };
        let Some(plane) = self.planes.get_mut(&key) else { return };
        if warning != plane.warning {
            match &warning {
                Some(warning) => log::warn!("{}: {}", plane.wanted.name, warning.line()),
                None => log::info!(
                    "{}: the VLANs of bridge '{}' are right now",
                    plane.wanted.name,
                    plane.wanted.bridge
                ),
            }
            plane.warning = warning;
        }
        self.change_scope(key, scope, engine, inputs);
    }

    /// The VLAN that a spoke's tunnel is in, or a new port of a hub, and what is wrong if nothing else is there.
    fn judge(&mut self, key: VnKey, new: Option<VlanId>) -> (Scope, Option<Cause>) {
        let ports = match self.netlink.bridge_ports() {
            Ok(ports) => ports,
            Err(e) => return (Scope::Nothing, Some(told(e).into())),
        };
        let Some(plane) = self.planes.get(&key) else { return (Scope::Nothing, None) };
        let of_bridge = || ports.iter().filter(|port| Some(port.bridge) == plane.bridge);
        // A hub's ports all are as any new one is.
        let untagged =
            |pvid: VlanId| Vlans { first: pvid.get(), last: pvid.get(), pvid: true, untagged: true };
        let (name, tunnel) = match &plane.wanted.role {
            WantedRole::Spoke { vxlan, .. } => {
                (Some(vxlan.clone()), of_bridge().find(|port| Some(port.index) == plane.tunnel).cloned())
            }
            WantedRole::Hub(_) => {
                let vlans = new.map(untagged).into_iter().collect();
                (None, Some(BridgePort { index: 0, bridge: 0, vlans }))
            }
        };
        let Some(tunnel) = tunnel else { return (Scope::Nothing, None) };
        let first = tunnel.vlans.first().and_then(|vlans| VlanId::new(vlans.first));
        let scope = tunnel.pvid().or(first).map_or(Scope::Nothing, Scope::Vlan);
        let mut others = of_bridge().filter(|port| !self.devices.contains_key(&port.index));
        if others.any(|other| other.meets(&tunnel)) {
            return (scope, None);
        }
        let mut theirs: Vec<(u16, u16)> = of_bridge()
            .filter(|port| !self.devices.contains_key(&port.index))
            .flat_map(|port| port.vlans.iter().map(|v| (v.first, v.last)))
            .collect();
        theirs.sort_unstable();
        theirs.dedup();
        let own: Vec<(u16, u16)> = tunnel.vlans.iter().map(|v| (v.first, v.last)).collect();
        let warning = Cause::NothingPasses {
            bridge: plane.wanted.bridge.clone(),
            tunnel: name,
            vlans: listed(&own),
            others: listed(&theirs),
        };
        (scope, Some(warning))
    }

    /// Another VLAN is the VN's: the MACs of the one before are gone, and those of the new one are told.
    fn change_scope(&mut self, key: VnKey, scope: Scope, engine: &Engine, inputs: &mut Inputs) {
        let Some(plane) = self.planes.get_mut(&key).filter(|plane| plane.scope != scope) else { return };
        let before = core::mem::replace(&mut plane.scope, scope);
        let Some(bridge) = plane.bridge.filter(|_| plane.told.is_some()) else { return };
        match self.netlink.fdb_of_bridge(bridge) {
            Ok(entries) => {
                let old = entries.iter().filter(|entry| before.holds(entry) && !scope.holds(entry));
                let gone = old.filter_map(|entry| Mac::new(entry.mac));
                inputs.extend(
                    gone.map(|mac| Input::News { vn: key, news: News::Fdb { mac, place: Place::Gone } }),
                );
            }
            Err(e) => log::warn!("{e}"),
        }
        self.list(key, engine, inputs);
    }

    /// A port of a bridge, or the bridge itself, was changed: maybe its VLANs.
    pub(super) fn port_event(&mut self, port: &BridgePort, engine: &Engine, inputs: &mut Inputs) {
        let part = self.part(port.index);
        let concerned = |(key, plane): (&VnKey, &Plane)| {
            let here = plane.bridge == Some(port.bridge) && plane.filtering.is_some();
            // A hub's ports are many, and none of them tells more than the bridge does.
            let alone = part.is_none_or(|(owner, part)| {
                owner == *key && (part == Part::Tunnel || plane.wanted.vlan.is_some())
            });
            (here && alone).then_some((*key, plane.wanted.vlan))
        };
        let concerned: Vec<(VnKey, Option<VlanId>)> = self.planes.iter().filter_map(concerned).collect();
        for (key, vlan) in concerned {
            let done = match vlan {
                None => {
                    self.see_vlan(key, engine, inputs);
                    Ok(())
                }
                // What a new device, or somebody else, had is put right. Of what this program did since, nothing changes.
                Some(vlan) if part.is_some() && !port.is_only_in(vlan) => {
                    self.netlink.set_only_vlan(port.index, vlan)
                }
                Some(vlan)
                    if port.index == port.bridge && self.forwarder(key).is_some() && !port.is_in(vlan) =>
                {
                    self.join_itself(key, port.bridge, Some(vlan))
                }
                // Whatever changed there, it may be the first in the VLAN.
                Some(_) => {
                    self.see_vlan(key, engine, inputs);
                    Ok(())
                }
            };
            if let Err(e) = done {
                log::warn!("{e}");
            }
        }
    }

    /// Whether what the configuration calls a bridge is a VLAN of one.
    pub(super) fn is_vlan_of(&mut self, link: &Link) -> Option<Cause> {
        let Kind::Vlan(vlan) = &link.kind else { return None };
        let lower = self.netlink.link_by_index(vlan.of?).ok()??;
        let name = || link.name.clone();
        matches!(lower.kind, Kind::Bridge(_)).then(|| Cause::VlanOf {
            name: name(),
            bridge: lower.name,
            vlan: vlan.id,
        })
    }
}

/// What a bridge that filters VLANs has set.
fn filtering(bridge: &Link) -> Option<BridgeInfo> {
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
