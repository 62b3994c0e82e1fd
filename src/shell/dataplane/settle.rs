//! Makes the devices that a VN always has what they are to be: its bridge, and a spoke's VXLAN device. In the worker's
//! thread; devices are never made anew for what can be changed.

use super::join::join;
use super::vlan::{self, Scope};
use super::wanted::bridge_mac;
use super::{Role, Wanted, alias, hub, kmod, shown, spoke};
use crate::control::Cause;
use crate::shell::netlink::{BridgeInfo, BridgePort, Error, FdbChange, Kind, Link, LinkChange, Netlink};
use crate::shell::underlay::Source;
use crate::types::{Mac, Nbma, VlanId, Vni, Vtep};
use std::sync::Arc;

/// How a VN's devices are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub bridge: Option<u32>,
    pub bridge_mac: Option<Mac>,
    /// Whether it is switched on.
    pub is_open: bool,
    /// A spoke's VXLAN device.
    pub tunnel: Option<u32>,
    /// Its MAC.
    pub tunnel_mac: Option<Mac>,
    /// Whether the user made that.
    pub users_own: bool,
    /// Then its MTU, and whether nobody may divide what it sends by IPv4.
    pub users: Option<(u16, bool)>,
    /// The bridge that learns nothing from probes; whether that was made so just now; and one that cannot.
    pub quiet: Option<u32>,
    pub is_quieted: bool,
    pub learns: Option<u32>,
    /// What the bridge has set, if it filters VLANs.
    pub filtering: Option<BridgeInfo>,
    pub scope: Scope,
    /// The VLAN that a hub's bridge itself was put into.
    pub joined: Option<VlanId>,
    /// Whether the devices are to be switched off.
    pub closed: bool,
    /// This router's MAC in the VN, when all is there.
    pub mac: Option<Mac>,
    /// Why nothing passes, though the devices are up.
    pub warning: Option<Cause>,
    /// Why they are not.
    pub trouble: Option<Cause>,
    /// A hub's device for all spokes, if it was there: its uplink VNI, its address and whom it floods to.
    pub shared: Option<(Vni, Nbma, Vec<Vtep>)>,
}

impl Standing {
    /// The bridge that was made quiet just now.
    pub fn quieted(&self) -> Option<u32> {
        self.quiet.filter(|_| self.is_quieted)
    }
}

/// The order to do so.
#[derive(Debug)]
pub(super) struct Settle {
    pub wanted: Arc<Wanted>,
    /// What a spoke's device sends from, once known.
    pub origin: Option<Source>,
    /// How it was before.
    pub before: Standing,
    /// The tunnels and ports of all VNs, in order.
    pub ours: Arc<Vec<u32>>,
    /// The names of all VNs.
    pub names: Arc<Vec<String>>,
    /// The hub's device for all spokes.
    pub shared: Option<u32>,
}

/// The order to take away what a VN had, as far as it is ours.
#[derive(Debug)]
pub(super) struct Leave {
    pub name: String,
    pub tunnel: Option<u32>,
    pub bridge: Option<u32>,
    pub joined: Option<VlanId>,
}

pub(super) fn settle(netlink: &mut Netlink, order: Settle) -> Standing {
    let mut at = Settling { netlink, now: order.before.clone(), order: &order };
    (at.now.shared, at.now.is_quieted) = (None, false);
    let result = match &order.wanted.role {
        Role::Spoke { vxlan, vni, l2miss } => at.spoke(vxlan, *vni, *l2miss),
        Role::Hub(_) => at.hub(),
    };
    if result.is_ok() {
        at.see_vlan();
        if !at.now.is_open {
            at.now.warning = Some(Cause::InterfaceDown(order.wanted.bridge.clone()));
        }
    }
    (at.now.mac, at.now.trouble) = match result {
        Ok(mac) => (Some(mac), None),
        Err(trouble) => (None, Some(trouble)),
    };
    at.now
}

struct Settling<'a> {
    netlink: &'a mut Netlink,
    now: Standing,
    order: &'a Settle,
}

impl Settling<'_> {
    /// The bridge must be there; the VXLAN device is made if it is not. The router's MAC in the VN, or what is missing.
    fn spoke(&mut self, vxlan: &str, vni: Vni, l2miss: bool) -> Result<Mac, Cause> {
        let wanted = &*self.order.wanted;
        let bridge =
            self.find_bridge(&wanted.bridge)?.ok_or_else(|| Cause::NoBridge(wanted.bridge.clone()))?;
        self.check_filtering(&bridge)?;
        let origin = self.order.origin.ok_or(Cause::NoWay)?;
        let tunnel = spoke::Tunnel { name: vxlan, vni, origin, l2miss, port: wanted.udp_port };
        let alias = alias::device(&wanted.name);

        let mut found = self.netlink.link_by_name(vxlan).map_err(shown)?;
        let is_ours = |l: &Link| l.may_be_ours() && l.alias.as_deref() == Some(&alias);
        // A device of ours that sends from an address we have no more is given the new one, and loses nothing.
        let is_to_move = |l: &Link| is_ours(l) && !tunnel.is_served_by(l) && tunnel.could_be_served_by(l);
        if let Some(link) = found.as_ref().filter(|l| is_to_move(l)) {
            if let Err(e) = spoke::send_from(self.netlink, link.index, origin.ip()) {
                log::warn!("{e}");
            }
            found = self.netlink.link_by_name(vxlan).map_err(shown)?;
        }
        // One that is wrong is of no use.
        if let Some(link) = found.take_if(|l| is_ours(l) && !tunnel.is_served_by(l)) {
            self.netlink.delete_link(link.index).map_err(shown)?;
            self.now.tunnel = None;
        }
        // Nor is one that somebody gave another name: it has the VNI.
        if let (None, Some(tunnel)) = (&found, self.now.tunnel)
            && self.netlink.link_by_index(tunnel).map_err(shown)?.as_ref().is_some_and(is_ours)
        {
            self.netlink.delete_link(tunnel).map_err(shown)?;
        }
        let mut joins = true;
        let index = match found {
            Some(link) => {
                self.now.users_own = !is_ours(&link);
                tunnel.check(&link, &bridge)?;
                let mtu = if self.now.users_own { link.mtu } else { wanted.mtu.into() };
                let df = matches!(&link.kind, Kind::Vxlan(info) if info.df);
                self.now.users = self.now.users_own.then(|| (u16::try_from(mtu).unwrap_or(u16::MAX), df));
                joins = link.master != Some(bridge.index);
                join(self.netlink, &link, bridge.index, wanted.vlan, mtu).map_err(shown)?;
                self.now.tunnel_mac = link.mac.and_then(Mac::new);
                link.index
            }
            // The user, or netifd, makes it again: a new one of ours would be in the way.
            None if self.now.users_own => {
                self.now.tunnel = None;
                return Err(format!(
                    "device '{vxlan}', which dmevpn did not make, is gone; once it is back it is used, \
                     and 'dmevpn reload' makes one"
                )
                .into());
            }
            None => {
                self.now.users = None;
                self.now.tunnel_mac = Mac::new(wanted.device_mac);
                self.netlink.create_vxlan(&tunnel.to_make(wanted, bridge.index, &alias)).map_err(shown)?
            }
        };
        // With another port it may have another MAC, of which was told before it was known to be the VN's.
        let bridge = if joins { self.find_bridge(&wanted.bridge)?.unwrap_or(bridge) } else { bridge };
        self.now.bridge = Some(bridge.index);
        self.now.is_open = bridge.up;
        self.now.tunnel = Some(index);
        self.now.bridge_mac = bridge.mac.and_then(Mac::new);
        Mac::new(wanted.protocol_mac).ok_or(Cause::NoWay)
    }

    /// The bridge is made if it is not there. Its MAC.
    fn hub(&mut self) -> Result<Mac, Cause> {
        let wanted = &*self.order.wanted;
        let there = self.find_bridge(&wanted.bridge)?;
        let alias = alias::device(&wanted.name);
        match &there {
            None => {
                hub::may_make_bridge(wanted)?;
                let mac = Some(wanted.bridge_mac);
                self.netlink.create_bridge(&wanted.bridge, mac, &alias, true).map_err(shown)?;
            }
            Some(bridge) => self.take_over(bridge, &alias).map_err(shown)?,
        }
        let bridge =
            self.find_bridge(&wanted.bridge)?.ok_or_else(|| Cause::NoBridge(wanted.bridge.clone()))?;
        // What each hub of the VN would have is good for one that is alone.
        let is_anyones = |mac: [u8; 6]| mac == bridge_mac(wanted.vpn_id) && mac != wanted.bridge_mac;
        let own = bridge.mac.filter(|mac| !is_anyones(*mac));
        let mac = match own.and_then(Mac::new) {
            Some(mac) => mac,
            None => self.give_mac(&bridge)?,
        };
        self.check_filtering(&bridge)?;
        self.join_itself(bridge.index).map_err(shown)?;
        self.now.bridge = Some(bridge.index);
        self.now.is_open = bridge.up;
        self.now.bridge_mac = Some(mac);
        if wanted.is_shared() {
            self.now.shared = kmod::find(self.netlink, self.order.shared, wanted, &bridge)?;
        }
        Ok(mac)
    }

    /// A bridge that was made for a VN which goes by another name now, or is no more, is this one's. What is ours is on.
    fn take_over(&mut self, bridge: &Link, alias: &str) -> Result<(), Error> {
        if bridge.alias.as_deref() == Some(alias) && !bridge.up {
            let on = LinkChange { up: Some(true), ..LinkChange::default() };
            return self.netlink.set_link(bridge.index, &on);
        }
        let of = bridge.alias.as_deref().and_then(alias::parse);
        let Some((_, alias::Mark::Device)) = of.filter(|(vn, _)| !self.order.names.iter().any(|n| n == vn))
        else {
            return Ok(());
        };
        let change = LinkChange { alias: Some(alias), up: Some(true), ..LinkChange::default() };
        self.netlink.set_link(bridge.index, &change)
    }

    /// A hub's bridge is itself a member of the VN's VLAN, as one without VLANs is of the VN: what spokes send to its
    /// MAC would otherwise be flooded to all of them. What a VLAN of before was joined for is left.
    fn join_itself(&mut self, bridge: u32) -> Result<(), Error> {
        let vlan = self.order.wanted.vlan;
        if let Some(old) = self.now.joined.filter(|old| Some(*old) != vlan) {
            self.netlink.set_own_vlan(bridge, old, false)?;
            self.now.joined = None;
        }
        let Some(vlan) = vlan else { return Ok(()) };
        let is_in = |port: &BridgePort| port.index == bridge && port.is_in(vlan);
        if !self.netlink.bridge_ports()?.iter().any(is_in) {
            self.netlink.set_own_vlan(bridge, vlan, true)?;
            self.now.joined = Some(vlan);
        }
        Ok(())
    }

    /// A bridge that lost its last port lost its MAC with it, unless somebody gave it one.
    fn give_mac(&mut self, bridge: &Link) -> Result<Mac, Cause> {
        let mac = self.order.wanted.bridge_mac;
        let change = LinkChange { mac: Some(mac), ..LinkChange::default() };
        self.netlink.set_link(bridge.index, &change).map_err(shown)?;
        Mac::new(mac).ok_or_else(|| Cause::NoBridge(bridge.name.clone()))
    }

    /// The VN's bridge, if it is one; it learns nothing from probes of paths.
    fn find_bridge(&mut self, name: &str) -> Result<Option<Link>, Cause> {
        let Some(mut link) = self.netlink.link_by_name(name).map_err(shown)? else {
            (self.now.quiet, self.now.learns) = (None, None);
            return Ok(None);
        };
        let Kind::Bridge(info) = &link.kind else {
            return Err(
                vlan::is_vlan_of(self.netlink, &link).unwrap_or_else(|| Cause::NotABridge(name.to_owned()))
            );
        };
        let mut is_quiet = info.ignores_link_local;
        if !is_quiet && self.now.learns != Some(link.index) {
            if let Err(e) = self.netlink.ignore_link_local(link.index, true) {
                log::debug!("{e}");
            }
            link = self.netlink.link_by_index(link.index).map_err(shown)?.unwrap_or(link);
            is_quiet = matches!(&link.kind, Kind::Bridge(info) if info.ignores_link_local);
            self.now.is_quieted |= is_quiet;
        }
        let index = Some(link.index);
        (self.now.quiet, self.now.learns) = if is_quiet { (index, None) } else { (None, index) };
        Ok(Some(link))
    }

    /// An option `vlan` needs a bridge that keeps VLANs apart. On another one the tunnel would reach all of it, so its
    /// devices are switched off.
    fn check_filtering(&mut self, bridge: &Link) -> Result<(), Cause> {
        let wanted = &*self.order.wanted;
        self.now.filtering = vlan::filtering(bridge);
        self.now.closed = wanted.vlan.is_some() && self.now.filtering.is_none();
        let Some(vlan) = wanted.vlan.filter(|_| self.now.closed) else { return Ok(()) };
        self.now.bridge = None;
        let is_open = |link: &Link| {
            link.up
                && link.master == Some(bridge.index)
                && match (&link.alias, &wanted.role) {
                    (Some(alias), _) if alias::is_of(alias, &wanted.name) => true,
                    (_, Role::Spoke { vxlan, .. }) => link.name == *vxlan,
                    (_, Role::Hub(_)) => false,
                }
        };
        for link in self.netlink.links().map_err(shown)?.iter().filter(|link| is_open(link)) {
            let off = LinkChange { up: Some(false), ..LinkChange::default() };
            self.netlink.set_link(link.index, &off).map_err(shown)?;
        }
        Err(Cause::NotFiltering { bridge: bridge.name.clone(), vlan })
    }

    /// Finds out which VLAN is the VN's, and whether anything else is there.
    fn see_vlan(&mut self) {
        let wanted = &*self.order.wanted;
        let is_hub = matches!(wanted.role, Role::Hub(_));
        (self.now.scope, self.now.warning) = match (&self.now.filtering, wanted.vlan) {
            (None, _) => (Scope::Bridge, None),
            // A hub's bridge itself is in the VLAN.
            (Some(_), Some(vlan)) if is_hub => (Scope::Vlan(vlan), None),
            (Some(info), vlan) => {
                let as_new = vlan.or(info.default_pvid);
                let (scope, warning) = self.judge(as_new);
                (vlan.map_or(scope, Scope::Vlan), warning)
            }
        };
    }

    fn judge(&mut self, as_new: Option<VlanId>) -> (Scope, Option<Cause>) {
        let ports = match self.netlink.bridge_ports() {
            Ok(ports) => ports,
            Err(e) => return (Scope::Nothing, Some(shown(e).into())),
        };
        let wanted = &*self.order.wanted;
        let vxlan = match &wanted.role {
            Role::Spoke { vxlan, .. } => Some(vxlan.as_str()),
            Role::Hub(_) => None,
        };
        let (here, tunnel) = (self.now.bridge, self.now.tunnel);
        let of_bridge: Vec<&BridgePort> = ports.iter().filter(|port| Some(port.bridge) == here).collect();
        let is_ours = |index| Some(index) == tunnel || self.order.ours.binary_search(&index).is_ok();
        vlan::judge(&of_bridge, tunnel, is_ours, as_new, &wanted.bridge, vxlan)
    }
}

impl Leave {
    pub(super) fn perform(&self, netlink: &mut Netlink) -> Result<(), Error> {
        if let Some(tunnel) = self.tunnel.filter(|tunnel| !self.delete_if_ours(netlink, *tunnel)) {
            remove_entries(netlink, tunnel)?;
        }
        if let Some(bridge) = self.bridge {
            if let Some(vlan) = self.joined {
                netlink.set_own_vlan(bridge, vlan, false)?;
            }
            self.delete_if_ours(netlink, bridge);
        }
        Ok(())
    }

    /// Deletes a device if this program made it for this VN.
    fn delete_if_ours(&self, netlink: &mut Netlink, index: u32) -> bool {
        let mark = alias::device(&self.name);
        let ours = netlink
            .link_by_index(index)
            .is_ok_and(|link| link.is_some_and(|l| l.may_be_ours() && l.alias.as_deref() == Some(&mark)));
        if ours && let Err(e) = netlink.delete_link(index) {
            log::warn!("{e}");
        }
        ours
    }
}

/// One of the user's devices loses our entries.
fn remove_entries(netlink: &mut Netlink, index: u32) -> Result<(), Error> {
    let entries = match netlink.fdb_of_device(index) {
        // With the device they are gone.
        Err(e) if e.not_found() => return Ok(()),
        entries => entries?,
    };
    let ours = entries.iter().filter(|e| e.is_ours());
    let changes: Vec<FdbChange> =
        ours.map(|e| FdbChange::Remove { index, mac: e.mac, to: e.destination() }).collect();
    let done = netlink.fdb_apply(&changes);
    done.map_err(|mut errors| errors.swap_remove(0).1)
}
