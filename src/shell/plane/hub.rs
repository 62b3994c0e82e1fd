//! A hub's bridge and its ports: one VXLAN device for each spoke, and the kernel's bridge does the rest; or one device
//! for all (`kmod`).

use super::kmod::Forwarder;
use super::{Inputs, Part, Planes, Wanted, alias, destination, told, tunnel_mac};
use crate::control::Cause;
use crate::engine::{Engine, Input, News, Outcome, Port, VnKey};
use crate::shell::netlink::{Error, FdbChange, Kind, Link, LinkChange, NewVxlan};
use crate::types::{Mac, Nbma, VlanId, Vni, VpnId, Vtep};
use litemap::LiteMap;

/// Part of the MAC of a port, and of a device for all spokes.
const PORT: u8 = 2;
const SHARED: u8 = 3;

/// The name of the device whose frames go by this uplink VNI.
pub fn port_name(uplink: Vni) -> String {
    format!("dmevpn{:06x}", uplink.get())
}

impl Planes {
    /// The bridge is made if it is not there; ports are found, and missing ones made. The bridge's MAC.
    pub(super) fn bring_up_hub(
        &mut self,
        key: VnKey,
        engine: &Engine,
        inputs: &mut Inputs,
    ) -> Result<Mac, Cause> {
        let Some(plane) = self.planes.get(&key) else { return Err(Cause::NoWay) };
        let wanted = plane.wanted.clone();
        if self.find_bridge(&wanted.bridge)?.is_none() {
            may_make(&wanted)?;
            let alias = alias::device(&wanted.name);
            let mac = Some(bridge_mac(wanted.vpn_id));
            self.netlink.create_bridge(&wanted.bridge, mac, &alias, true).map_err(told)?;
        }
        let bridge =
            self.find_bridge(&wanted.bridge)?.ok_or_else(|| Cause::NoBridge(wanted.bridge.clone()))?;
        let mac = match bridge.mac.and_then(Mac::new) {
            Some(mac) => mac,
            None => self.give_mac(&bridge, wanted.vpn_id)?,
        };
        self.check_filtering(key, &wanted, &bridge)?;
        self.join_itself(key, bridge.index, wanted.vlan).map_err(told)?;
        if let Some(plane) = self.planes.get_mut(&key) {
            plane.bridge = Some(bridge.index);
            plane.bridge_mac = Some(mac);
        }
        if self.is_shared(key) {
            self.bring_up_shared(key, &wanted, &bridge, engine, inputs)?;
        } else {
            self.bring_up_ports(key, &wanted, &bridge, engine, inputs)?;
        }
        Ok(mac)
    }

    /// A bridge that lost its last port lost its MAC with it, unless somebody gave it one.
    fn give_mac(&mut self, bridge: &Link, vpn: VpnId) -> Result<Mac, Cause> {
        let mac = bridge_mac(vpn);
        let change = LinkChange { mac: Some(mac), ..LinkChange::default() };
        self.netlink.set_link(bridge.index, &change).map_err(told)?;
        Mac::new(mac).ok_or_else(|| Cause::NoBridge(bridge.name.clone()))
    }

    fn bring_up_ports(
        &mut self,
        key: VnKey,
        wanted: &Wanted,
        bridge: &Link,
        engine: &Engine,
        inputs: &mut Inputs,
    ) -> Result<(), String> {
        let vn = wanted.name.as_str();
        let mut missing: LiteMap<Vtep, (Vni, Nbma)> =
            ports(engine, key).map(|(spoke, port)| (spoke, (port.uplink, port.local))).collect();
        let links = self.netlink.links().map_err(told)?;
        let there: LiteMap<u32, ()> = links.iter().map(|l| (l.index, ())).collect();
        let is_gone =
            |index, device| matches!(device, (vn, Part::Port(_)) if vn == key && !there.contains_key(&index));
        self.devices.retain(|index, device| !is_gone(*index, *device));
        for link in links {
            let Kind::Vxlan(vxlan) = &link.kind else { continue };
            if link.alias.as_ref() == Some(&alias::shared(vn)) {
                // The other data plane's: its socket is in the way of ours.
                self.delete(link.index);
            }
            let Some(spoke) = link.alias.as_deref().and_then(|a| alias::parse_port(a, vn)) else { continue };
            let uplink = vxlan.vni.and_then(Vni::new);
            let local = vxlan.local.and_then(Nbma::new);
            let (Some(uplink), Some(local)) = (uplink, local) else { continue };
            let known = self.part(link.index).is_some();
            match missing.remove(&spoke) {
                Some(wanted) if wanted != (uplink, local) => {
                    self.devices.remove(&link.index);
                    self.delete(link.index);
                    missing.insert(spoke, wanted);
                    continue;
                }
                Some(_) => {}
                None if !known => {
                    inputs.push_back(Input::News {
                        vn: key,
                        news: News::FoundPort { spoke, port: Port { uplink, local } },
                    });
                }
                None => {}
            }
            self.devices.insert(link.index, (key, Part::Port(spoke)));
            self.keep_port(&link, bridge, wanted)?;
            if !known {
                self.changes.push(default_entry(link.index, spoke));
            }
        }
        for (spoke, (uplink, local)) in missing {
            if let Err((_, e)) = self.make_port(key, spoke, uplink, local) {
                log::error!("{vn}: {e}");
            }
        }
        self.flush();
        Ok(())
    }

    /// Effect: the port of a spoke is to be like this, or not to be.
    pub(super) fn set_port(&mut self, key: VnKey, spoke: Vtep, port: Option<Port>, inputs: &mut Inputs) {
        let there = self.devices.values().any(|device| *device == (key, Part::Port(spoke)));
        if port.is_none() || there {
            self.remove_port(key, spoke);
        }
        if let Some(Port { uplink, local }) = port {
            self.add_port(key, spoke, uplink, local, inputs);
        }
    }

    fn add_port(&mut self, key: VnKey, spoke: Vtep, uplink: Vni, local: Nbma, inputs: &mut Inputs) {
        let made = match self.is_shared(key) {
            true => self.add_member(key, spoke, uplink, local),
            false => self.make_port(key, spoke, uplink, local),
        };
        let outcome = match made {
            Ok(()) => Outcome::Made,
            Err((taken, e)) => {
                log::warn!("no port for {spoke}: {e}");
                Outcome::Failed { taken }
            }
        };
        inputs.push_back(Input::News { vn: key, news: News::Became { spoke, outcome } });
    }

    fn remove_port(&mut self, key: VnKey, spoke: Vtep) {
        if self.is_shared(key) {
            return self.remove_member(key, spoke);
        }
        let ports = self.devices.iter().filter(|(_, device)| **device == (key, Part::Port(spoke)));
        let ports: Vec<u32> = ports.map(|(index, _)| *index).collect();
        for index in ports {
            self.devices.remove(&index);
            self.delete(index);
        }
    }

    fn is_shared(&self, key: VnKey) -> bool {
        self.forwarder(key).is_some_and(Forwarder::is_shared)
    }

    /// A device of ours becomes an active port of the bridge again, if it is not.
    pub(super) fn keep_port(&mut self, link: &Link, bridge: &Link, wanted: &Wanted) -> Result<(), String> {
        self.join(link, bridge, wanted.vlan, wanted.mtu.into()).map_err(told)
    }

    /// Makes a VXLAN device in the bridge, for one spoke or for all of them; on failure, whether it exists.
    pub(super) fn make_device(
        &mut self,
        key: VnKey,
        spoke: Option<Vtep>,
        uplink: Vni,
        local: Nbma,
    ) -> Result<u32, (bool, String)> {
        let Some((plane, bridge)) = self.planes.get(&key).and_then(|p| Some((p, p.bridge?))) else {
            return Err((false, "there is no bridge".into()));
        };
        let vn = &plane.wanted.name;
        let (part, alias) = match spoke {
            Some(spoke) => (PORT, alias::port(vn, spoke)),
            None => (SHARED, alias::shared(vn)),
        };
        let new = NewVxlan {
            name: &port_name(uplink),
            vni: spoke.map(|_| uplink.get()),
            local: local.ip(),
            port: self.udp_port,
            l2miss: false,
            mtu: Some(plane.wanted.mtu.into()),
            mac: Some(tunnel_mac(uplink, part)),
            master: Some(bridge),
            vlan: plane.wanted.vlan,
            alias: &alias,
            entry: spoke.map(destination),
            up: true,
        };
        self.netlink.create_vxlan(&new).map_err(|e| (e.exists(), format!("{e}{}", way_out(&e, spoke))))
    }

    /// Makes a port; on failure, whether its VNI or name is somebody else's.
    fn make_port(&mut self, key: VnKey, spoke: Vtep, uplink: Vni, local: Nbma) -> Result<(), (bool, String)> {
        let index = self.make_device(key, Some(spoke), uplink, local)?;
        self.devices.insert(index, (key, Part::Port(spoke)));
        Ok(())
    }
}

/// The ports the engine wants.
pub(super) fn ports(engine: &Engine, key: VnKey) -> impl Iterator<Item = (Vtep, Port)> + '_ {
    engine.plane(key).into_iter().flat_map(|plane| plane.ports())
}

/// A bridge with VLANs is made by who says which ports are in which; one with the name of a VLAN would be in its way.
fn may_make(wanted: &Wanted) -> Result<(), Cause> {
    match (wanted.vlan, VlanId::of_name(&wanted.bridge)) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(Cause::NoBridge(wanted.bridge.clone())),
        (Some(_), _) => Err(Cause::NoFilteringBridge(wanted.bridge.clone())),
    }
}

/// What to do when a bridge has all the ports it can have (EXFULL).
fn way_out(e: &Error, spoke: Option<Vtep>) -> &'static str {
    let full = spoke.is_some() && e.errno() == libc::EXFULL;
    if full { "; option dataplane 'kmod' has room for more spokes" } else { "" }
}

/// A port leads to its spoke, and nowhere else.
fn default_entry(index: u32, spoke: Vtep) -> FdbChange {
    FdbChange::Set { index, mac: [0; 6], to: destination(spoke) }
}

/// The MAC of a bridge made for a VN: the same after a restart of the machine, since it is the hub's protocol address.
fn bridge_mac(vpn: VpnId) -> [u8; 6] {
    let [a, b, c, d] = vpn.index().to_be_bytes();
    [0x02, 0xd0, a, b, c, d]
}
