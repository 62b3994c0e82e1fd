//! The data plane: the kernel's bridges, VXLAN devices and forwarding entries, kept as the engine wants them.
//!
//! Devices are never made anew for a changed configuration: what is there is compared with what is wanted, and only
//! the difference is applied. What is ours is marked (an alias on devices, `extern_learn` on entries); nothing else is
//! touched, but for the default entry of a device that the configuration names.

pub(super) mod alias;
mod hub;
mod kmod;
mod spoke;
mod vlan;

use super::identity::Identity;
use super::netlink::{
    BridgeInfo, Destination, Error, Event as Kernel, FdbChange, FdbEntry, Kind, Link, Netlink,
};
use super::packet;
use super::settings::Names;
use crate::config::{Config, Role, Vn};
use crate::control::Cause;
use crate::engine::settings::Trigger;
use crate::engine::{Engine, Input, News, Place, VnKey};
use crate::types::{Mac, Nbma, VlanId, Vni, VpnId, Vtep};
pub use hub::port_name;
pub use kmod::Forwarder;
use kmod::Shared;
use litemap::LiteMap;
use socket2::{Domain, Socket, Type};
use std::collections::VecDeque;
use std::io;
use vlan::Scope;

/// What the kernel has to tell the engine.
pub type Inputs = VecDeque<Input<'static>>;

/// What a device is to a VN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// A spoke's VXLAN device.
    Tunnel,
    /// A hub's VXLAN device for this spoke.
    Port(Vtep),
    /// A hub's VXLAN device for all spokes.
    Shared,
}

/// What the configuration says of a VN's devices.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    name: String,
    vpn_id: VpnId,
    bridge: String,
    vlan: Option<VlanId>,
    mtu: u16,
    role: WantedRole,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum WantedRole {
    Spoke { vxlan: String, vni: Vni, trigger: Trigger },
    Hub(Forwarder),
}

/// A VN's devices.
#[derive(Debug)]
struct Plane {
    wanted: Wanted,
    /// The underlay address a spoke's device sends from, once known.
    local: Option<Nbma>,
    bridge: Option<u32>,
    tunnel: Option<u32>,
    /// Where a spoke's unknown frames go.
    uplink: Option<Vtep>,
    /// Whether the spoke's device is one that the user made.
    users_own: bool,
    bridge_mac: Option<Mac>,
    /// This router's MAC in the VN as the engine knows it: a hub's is its bridge's.
    told: Option<Mac>,
    /// Whether shortcuts and ports of an earlier run were looked for.
    adopted: bool,
    /// A hub's device for all spokes, and the spokes it floods to.
    shared: Option<Shared>,
    /// What the bridge has set, if it filters VLANs.
    filtering: Option<BridgeInfo>,
    scope: Scope,
    /// The VLAN that a hub's bridge itself was put into.
    joined: Option<VlanId>,
    /// Whether the devices are to be switched off.
    closed: bool,
    /// Why nothing passes, though the devices are up.
    warning: Option<Cause>,
    trouble: Option<Cause>,
    /// Whether the devices were compared with the configuration in force.
    compared: bool,
}

/// The devices of all VNs.
#[derive(Debug)]
pub struct Planes {
    identity: Identity,
    netlink: Netlink,
    udp_port: u16,
    planes: LiteMap<VnKey, Plane>,
    /// What VNs have for themselves: not their bridges, which they may share.
    devices: LiteMap<u32, (VnKey, Part)>,
    /// Sends frames into tunnel devices; receives nothing. None without the right to.
    announcer: Option<Socket>,
    /// Changes to forwarding entries that go to the kernel together.
    changes: Vec<FdbChange>,
    /// Spokes that left a device for all: what it learned of them goes.
    left: Vec<(u32, Vtep)>,
}

impl Planes {
    /// No devices yet.
    pub fn open(identity: Identity) -> io::Result<Planes> {
        let announcer = packet::open(Domain::PACKET, Type::RAW, 0, "announcing MACs to the hub");
        Ok(Planes {
            identity,
            netlink: Netlink::open()?,
            udp_port: 0,
            planes: LiteMap::new(),
            devices: LiteMap::new(),
            announcer: announcer.inspect_err(|e| log::warn!("{e}")).ok(),
            changes: Vec::new(),
            left: Vec::new(),
        })
    }

    /// The socket for other questions to the kernel.
    pub fn netlink(&mut self) -> &mut Netlink {
        &mut self.netlink
    }

    /// Takes over the configuration. Devices of VNs that are gone, or want other devices, are taken down;
    /// [`Planes::send_from`] does the rest.
    pub fn configure(&mut self, config: &Config, names: &Names, inputs: &mut Inputs) {
        let other_port = self.udp_port != config.main.udp_port && self.udp_port != 0;
        self.udp_port = config.main.udp_port;
        let driver = kmod::driver();
        let wanted: LiteMap<VnKey, Wanted> = config
            .vns
            .iter()
            .filter_map(|vn| Some((names.vn(&vn.name)?, Wanted::of(vn, config, driver))))
            .collect();
        let keys: Vec<VnKey> = self.planes.keys().copied().collect();
        for key in keys {
            let Some(plane) = self.planes.get_mut(&key) else { continue };
            match wanted.get(&key) {
                Some(new) if !other_port && plane.wanted.needs_same_devices(new) => {
                    plane.wanted = new.clone();
                    plane.compared = false;
                    plane.users_own = false;
                }
                new => {
                    let lasts = new.is_some();
                    self.take_down(key);
                    self.planes.remove(&key);
                    if lasts {
                        inputs.push_back(Input::News { vn: key, news: News::Device(None) });
                    }
                }
            }
        }
        for (key, wanted) in wanted {
            self.planes.entry(key).or_insert_with(|| Plane::new(wanted));
        }
    }

    /// Makes devices what they are to be: those of a new configuration, and those of spokes that are to send from
    /// another address, given by `locals`.
    pub fn send_from(&mut self, locals: &LiteMap<VnKey, Nbma>, engine: &Engine, inputs: &mut Inputs) {
        let mut changed = Vec::new();
        for (key, plane) in self.planes.iter_mut() {
            let local = locals.get(key).copied().or(plane.local);
            if !plane.compared || plane.local != local {
                plane.local = local;
                changed.push(*key);
            }
        }
        changed.into_iter().for_each(|key| self.bring_up(key, engine, inputs));
    }

    /// Makes a VN's devices what they are to be, as far as that is possible now.
    fn bring_up(&mut self, key: VnKey, engine: &Engine, inputs: &mut Inputs) {
        let Some(plane) = self.planes.get_mut(&key) else { return };
        plane.compared = true;
        let (tunnel, bridge_mac) = (plane.tunnel, plane.bridge_mac);
        let result = match plane.wanted.role {
            WantedRole::Spoke { .. } => self.bring_up_spoke(key),
            WantedRole::Hub(_) => self.bring_up_hub(key, engine, inputs),
        };
        if result.is_ok() {
            self.see_vlan(key, engine, inputs);
        }
        let Some(plane) = self.planes.get_mut(&key) else { return };
        let mac = match &result {
            Ok(mac) => Some(*mac),
            Err(_) => None,
        };
        if result.as_ref().err() != plane.trouble.as_ref() {
            match &result {
                Ok(_) => log::info!(target: &plane.wanted.name, "{}: devices are up", plane.wanted.name),
                // What is missing is told where it is looked for.
                Err(Cause::NoWay) => {}
                Err(trouble) => {
                    log::warn!(target: &plane.wanted.name, "{}: {}", plane.wanted.name, trouble.line())
                }
            }
        }
        plane.trouble = result.err();
        // A new device has none of the entries the engine believes in.
        if plane.tunnel != tunnel && plane.told.take().is_some() {
            inputs.push_back(Input::News { vn: key, news: News::Device(None) });
        }
        if plane.told != mac {
            plane.told = mac;
            inputs.push_back(Input::News { vn: key, news: News::Device(mac) });
        } else if plane.told.is_some() && plane.bridge_mac != bridge_mac {
            // A spoke's bridge has another MAC now: the tunnel device's own until there is another port, or another
            // port's. The listing tells which of them are here.
            inputs.extend(
                bridge_mac.map(|mac| Input::News { vn: key, news: News::Fdb { mac, place: Place::Gone } }),
            );
            self.list(key, engine, inputs);
        }
    }

    /// What the kernel tells.
    pub fn event(&mut self, event: Kernel, engine: &Engine, inputs: &mut Inputs) {
        match event {
            Kernel::Fdb(entry) => self.fdb_event(&entry, false, inputs),
            Kernel::FdbGone(entry) => {
                self.fdb_event(&entry, true, inputs);
                self.restore(&entry, engine);
                self.restore_member(&entry);
            }
            Kernel::Miss { index, mac } => {
                if let (Some((vn, Part::Tunnel)), Some(mac)) = (self.part(index), Mac::new(mac)) {
                    inputs.push_back(Input::News { vn, news: News::Miss(mac) });
                }
            }
            Kernel::Link(link) => self.link_event(&link, engine, inputs),
            Kernel::LinkGone(link) => {
                if let Some((vn, part)) = self.devices.remove(&link.index) {
                    self.lost(vn, part, engine, inputs);
                }
                for vn in self.vns_of(link.index) {
                    self.lost_bridge(vn, engine, inputs);
                }
            }
            Kernel::Port(port) => self.port_event(&port, engine, inputs),
            Kernel::Overrun => {
                log::warn!("events of the kernel were lost: its state is listed anew");
                let keys: Vec<VnKey> = self.planes.keys().copied().collect();
                for key in keys {
                    self.bring_up(key, engine, inputs);
                    self.list(key, engine, inputs);
                }
            }
            Kernel::Addresses { .. } => {}
        }
    }

    /// Tells the engine all there is in the kernel, and corrects what is not as the engine wants it.
    pub fn list(&mut self, key: VnKey, engine: &Engine, inputs: &mut Inputs) {
        self.flush();
        let Some(plane) = self.planes.get_mut(&key) else { return };
        let (bridge, tunnel, adopted) =
            (plane.bridge, plane.tunnel, core::mem::replace(&mut plane.adopted, true));
        let shared = plane.shared.as_ref().map(|shared| shared.index);
        if let Some(index) = tunnel {
            self.compare_shortcuts(key, index, !adopted, engine, inputs);
        }
        let Some(bridge) = bridge else { return };
        // What the bridge says comes last: it decides first where a frame goes.
        let listed =
            shared.map_or(Ok(Vec::new()), |index| self.netlink.fdb_of_device(index)).and_then(|mut all| {
                all.extend(self.netlink.fdb_of_bridge(bridge)?);
                Ok(all)
            });
        let entries = match listed {
            Ok(entries) => entries,
            Err(e) => return log::error!("{e}"),
        };
        inputs.push_back(Input::News { vn: key, news: News::Listing });
        for entry in entries {
            match entry.master {
                Some(_) => self.bridge_entry(Some(key), &entry, false, inputs),
                None => self.shared_event(&entry, false, inputs),
            }
        }
        inputs.push_back(Input::News { vn: key, news: News::Listed });
    }

    /// Sends the collected changes to the kernel.
    pub fn flush(&mut self) {
        self.forget_left();
        if self.changes.is_empty() {
            return;
        }
        if let Err(errors) = self.netlink.fdb_apply(&self.changes) {
            errors.iter().for_each(|(_, e)| log::warn!("{e}"));
        }
        self.changes.clear();
    }

    /// Takes the devices of all VNs down that are not to outlive the daemon: a spoke's. A hub's stay, so that the
    /// network goes on while its daemon is replaced.
    pub fn leave(&mut self) {
        self.flush();
        let spokes = self.planes.iter().filter(|(_, p)| !matches!(p.wanted.role, WantedRole::Hub(_)));
        let keys: Vec<VnKey> = spokes.map(|(key, _)| *key).collect();
        keys.into_iter().for_each(|key| self.take_down(key));
    }

    /// A VN's bridge MAC, and why its devices are not up.
    pub fn state(&self, key: VnKey) -> (Option<Mac>, Option<Cause>) {
        let told = |p: &Plane| (p.bridge_mac, p.trouble.clone().or_else(|| p.warning.clone()));
        self.planes.get(&key).map_or((None, None), told)
    }

    /// What forwards a hub's frames in a VN, and why that; nothing at a spoke.
    pub fn forwarder(&self, key: VnKey) -> Option<&Forwarder> {
        match &self.planes.get(&key)?.wanted.role {
            WantedRole::Hub(forwarder) => Some(forwarder),
            WantedRole::Spoke { .. } => None,
        }
    }

    fn take_down(&mut self, key: VnKey) {
        let Some(plane) = self.planes.get_mut(&key) else { return };
        let (tunnel, bridge) = (plane.tunnel.take(), plane.bridge);
        plane.shared = None;
        plane.bridge_mac = None;
        plane.told = None;
        let name = plane.wanted.name.clone();
        if let Some(tunnel) = tunnel {
            self.leave_tunnel(tunnel, &name);
        }
        let ports: Vec<u32> = self
            .devices
            .iter()
            .filter(|(_, d)| d.0 == key && matches!(d.1, Part::Port(_) | Part::Shared))
            .map(|(i, _)| *i)
            .collect();
        self.devices.retain(|_, (vn, _)| *vn != key);
        ports.into_iter().for_each(|port| self.delete(port));
        if let Some(bridge) = bridge {
            if let Err(e) = self.join_itself(key, bridge, None) {
                log::warn!("{e}");
            }
            self.delete_if_ours(bridge, &name);
        }
        self.planes.get_mut(&key).into_iter().for_each(|plane| plane.bridge = None);
    }

    /// Deletes a device if this program made it for this VN.
    fn delete_if_ours(&mut self, index: u32, vn: &str) -> bool {
        let ours = self.netlink.link_by_index(index).is_ok_and(|link| {
            link.is_some_and(|l| l.may_be_ours() && l.alias.as_deref() == Some(&alias::device(vn)))
        });
        if ours {
            self.delete(index);
        }
        ours
    }

    fn delete(&mut self, index: u32) {
        if let Err(e) = self.netlink.delete_link(index) {
            log::warn!("{e}");
        }
    }

    fn part(&self, index: u32) -> Option<(VnKey, Part)> {
        self.devices.get(&index).copied()
    }

    /// An entry of one of our bridges, or of a device for all spokes, was made, moved or removed.
    fn fdb_event(&mut self, entry: &FdbEntry, gone: bool, inputs: &mut Inputs) {
        match entry.master {
            Some(_) => self.bridge_entry(None, entry, gone, inputs),
            None => self.shared_event(entry, gone, inputs),
        }
    }

    /// Tells an entry of a bridge to the VNs it belongs to, or to that one of them.
    fn bridge_entry(&mut self, only: Option<VnKey>, entry: &FdbEntry, gone: bool, inputs: &mut Inputs) {
        for (vn, plane) in self.planes.iter().filter(|(vn, _)| only.is_none_or(|only| only == **vn)) {
            let Some((mac, place)) = plane.told_by(*vn, entry, gone, &self.devices) else { continue };
            if let Some(shared) = plane.shared.as_ref().filter(|_| place == Place::Local) {
                self.changes.push(shared.unlearn(mac));
            }
            inputs.push_back(Input::News { vn: *vn, news: News::Fdb { mac, place } });
        }
    }

    fn link_event(&mut self, link: &Link, engine: &Engine, inputs: &mut Inputs) {
        let vns = match self.part(link.index) {
            Some((vn, _)) => vec![vn],
            None => {
                self.retry_troubled(engine, inputs);
                self.vns_of(link.index)
            }
        };
        for vn in vns.into_iter().filter(|vn| !self.is_right(*vn, link)).collect::<Vec<_>>() {
            // The event may be older than what was done since, such as one from the making of the device.
            let now = self.netlink.link_by_index(link.index);
            if !now.is_ok_and(|now| now.is_some_and(|now| self.is_right(vn, &now))) {
                self.bring_up(vn, engine, inputs);
            }
        }
    }

    /// The VNs that have this bridge.
    fn vns_of(&self, bridge: u32) -> Vec<VnKey> {
        self.planes.iter().filter(|(_, plane)| plane.bridge == Some(bridge)).map(|(key, _)| *key).collect()
    }

    /// Whether a device of ours, or the bridge, is as it was left.
    fn is_right(&self, vn: VnKey, link: &Link) -> bool {
        self.planes.get(&vn).is_some_and(|plane| match plane.bridge == Some(link.index) {
            true => {
                link.mac.and_then(Mac::new) == plane.bridge_mac
                    && link.name == plane.wanted.bridge
                    && vlan::filters_as(link, plane.filtering.as_ref())
            }
            false if plane.closed => !link.up,
            false => link.master == plane.bridge && link.up,
        })
    }

    /// One of our devices is gone. What can be made again is made again.
    fn lost(&mut self, vn: VnKey, part: Part, engine: &Engine, inputs: &mut Inputs) {
        let Some(plane) = self.planes.get_mut(&vn) else { return };
        match part {
            Part::Tunnel => plane.tunnel = None,
            Part::Port(_) => {}
            Part::Shared => plane.shared = None,
        }
        let made_again = match part {
            Part::Tunnel => !plane.users_own,
            Part::Port(_) | Part::Shared => true,
        };
        if made_again {
            log::warn!("{}: somebody removed a device of ours; it is made again", plane.wanted.name);
        }
        // The engine has to learn that the entries are gone, even if the device is back at once.
        if part == Part::Tunnel && plane.told.take().is_some() {
            inputs.push_back(Input::News { vn, news: News::Device(None) });
        }
        self.bring_up(vn, engine, inputs);
    }

    fn lost_bridge(&mut self, vn: VnKey, engine: &Engine, inputs: &mut Inputs) {
        let Some(plane) = self.planes.get_mut(&vn) else { return };
        plane.bridge = None;
        plane.bridge_mac = None;
        plane.joined = None;
        if plane.told.take().is_some() {
            inputs.push_back(Input::News { vn, news: News::Device(None) });
        }
        self.bring_up(vn, engine, inputs);
    }

    /// A device that is new, or is another one now, may be what a VN waits for.
    pub fn retry_troubled(&mut self, engine: &Engine, inputs: &mut Inputs) {
        let troubled: Vec<VnKey> =
            self.planes.iter().filter(|(_, p)| p.trouble.is_some()).map(|(key, _)| *key).collect();
        troubled.into_iter().for_each(|key| self.bring_up(key, engine, inputs));
    }

    /// The VN's bridge, if it is one.
    fn find_bridge(&mut self, name: &str) -> Result<Option<Link>, Cause> {
        let link = self.netlink.link_by_name(name).map_err(told)?;
        match link {
            Some(link) if !matches!(link.kind, Kind::Bridge(_)) => {
                Err(self.is_vlan_of(&link).unwrap_or_else(|| Cause::NotABridge(name.to_owned())))
            }
            other => Ok(other),
        }
    }
}

impl Wanted {
    fn of(vn: &Vn, config: &Config, driver: Option<&'static str>) -> Wanted {
        let role = match &vn.role {
            Role::Spoke(s) => WantedRole::Spoke { vxlan: s.vxlan.clone(), vni: s.vni, trigger: s.trigger },
            Role::Hub(hub) => WantedRole::Hub(Forwarder::choose(hub.dataplane, config, driver)),
        };
        let (name, bridge) = (vn.name.clone(), vn.bridge.clone());
        Wanted { name, vpn_id: vn.vpn_id, bridge, vlan: vn.vlan, mtu: vn.mtu, role }
    }

    /// Whether devices made for one serve the other; the MTU and the VLAN can be changed.
    fn needs_same_devices(&self, new: &Wanted) -> bool {
        let same_role = match (&self.role, &new.role) {
            (WantedRole::Hub(one), WantedRole::Hub(other)) => one.is_shared() == other.is_shared(),
            (one, other) => one == other,
        };
        // Without the option a port has the VLANs of a new one, and a hub may have made its bridge itself.
        let same_vlans = match (self.vlan, new.vlan) {
            (Some(_), None) => false,
            (None, Some(_)) => matches!(self.role, WantedRole::Spoke { .. }),
            _ => true,
        };
        same_role && same_vlans && (self.vpn_id, &self.bridge) == (new.vpn_id, &new.bridge)
    }
}

impl Plane {
    fn new(wanted: Wanted) -> Plane {
        Plane {
            wanted,
            local: None,
            bridge: None,
            tunnel: None,
            uplink: None,
            users_own: false,
            bridge_mac: None,
            told: None,
            adopted: false,
            shared: None,
            filtering: None,
            scope: Scope::Bridge,
            joined: None,
            closed: false,
            warning: None,
            trouble: None,
            compared: false,
        }
    }
}

/// An error of the kernel's, as a sentence for `status`.
fn told(e: Error) -> String {
    e.to_string()
}

/// Where frames for a VTEP go, by the device's own UDP port.
fn destination(to: Vtep) -> Destination {
    Destination { ip: to.nbma.ip(), vni: Some(to.vni.get()), port: None }
}

/// A MAC for a tunnel device. Its high first octet keeps a bridge, which takes the lowest MAC of its ports, from
/// taking this one.
fn tunnel_mac(vni: Vni, part: u8) -> [u8; 6] {
    let [_, a, b, c] = vni.get().to_be_bytes();
    [0xfe, 0xd0, part, a, b, c]
}
