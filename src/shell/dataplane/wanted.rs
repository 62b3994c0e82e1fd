//! What the configuration wants of a VN's devices.

use crate::config::{self, Config, Dataplane, HubRole};
use crate::engine::settings::Trigger;
use crate::shell::identity::Identity;
use crate::types::{VlanId, Vni, VpnId};

/// What the configuration says of a VN's devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub name: String,
    pub vpn_id: VpnId,
    pub bridge: String,
    pub vlan: Option<VlanId>,
    pub mtu: u16,
    pub udp_port: u16,
    /// A spoke's address in the VN.
    pub protocol_mac: [u8; 6],
    /// That of its tunnel device.
    pub device_mac: [u8; 6],
    /// Whether a spoke takes frames from those alone that its hub named.
    pub is_guarded: bool,
    /// That of a hub's bridge, if the daemon makes it.
    pub bridge_mac: [u8; 6],
    /// Whether it is one of several hubs that are one switch.
    pub has_peers: bool,
    pub role: Role,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Spoke { vxlan: String, vni: Vni, l2miss: bool },
    Hub(Forwarder),
}

/// What forwards a hub's frames, and why that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forwarder {
    /// A bridge, with one device for each spoke.
    Bridge(String),
    /// One device for all spokes.
    Kmod(String),
}

impl Wanted {
    pub fn of(vn: &config::Vn, config: &Config, identity: &Identity, driver: Option<&'static str>) -> Wanted {
        let role = match &vn.role {
            config::Role::Spoke(s) => {
                Role::Spoke { vxlan: s.vxlan.clone(), vni: s.vni, l2miss: s.trigger == Trigger::L2miss }
            }
            config::Role::Hub(hub) => Role::Hub(Forwarder::choose(hub.dataplane, config, driver)),
        };
        // Others ask before they send where all are in sessions.
        let is_guarded = match &vn.role {
            config::Role::Spoke(s) => {
                s.verify && config.hubs.iter().all(|hub| hub.session || !s.hubs.contains(&hub.name))
            }
            config::Role::Hub(_) => false,
        };
        let has_peers = matches!(&vn.role, config::Role::Hub(hub) if !hub.peers.is_empty());
        let bridge_mac = if has_peers { identity.bridge_mac(vn.vpn_id) } else { bridge_mac(vn.vpn_id) };
        Wanted {
            bridge_mac,
            name: vn.name.clone(),
            vpn_id: vn.vpn_id,
            bridge: vn.bridge.clone(),
            vlan: vn.vlan,
            mtu: vn.mtu,
            udp_port: config.main.udp_port,
            protocol_mac: identity.protocol_mac(vn.vpn_id),
            device_mac: identity.device_mac(vn.vpn_id),
            is_guarded,
            has_peers,
            role,
        }
    }

    /// Whether one device serves all spokes of a hub.
    pub fn is_shared(&self) -> bool {
        matches!(&self.role, Role::Hub(forwarder) if forwarder.is_shared())
    }

    /// Whether devices made for one serve the other; the MTU and the VLAN can be changed.
    pub fn needs_same_devices(&self, new: &Wanted) -> bool {
        let same_role = match (&self.role, &new.role) {
            (Role::Hub(_), Role::Hub(_)) => self.is_shared() == new.is_shared(),
            (one, other) => one == other,
        };
        // Without the option a port has the VLANs of a new one, and a hub may have made its bridge itself.
        let same_vlans = match (self.vlan, new.vlan) {
            (Some(_), None) => false,
            (None, Some(_)) => matches!(self.role, Role::Spoke { .. }),
            _ => true,
        };
        same_role
            && same_vlans
            && (self.vpn_id, &self.bridge, self.udp_port) == (new.vpn_id, &new.bridge, new.udp_port)
    }
}

impl Forwarder {
    /// What `wanted` comes to, in a daemon of this configuration.
    pub(super) fn choose(wanted: Dataplane, config: &Config, driver: Option<&str>) -> Forwarder {
        let needs_plain = |role: &config::Role| match role {
            config::Role::Spoke(_) | config::Role::Hub(HubRole { dataplane: Dataplane::Bridge, .. }) => true,
            // Only a bridge's ports can be isolated.
            config::Role::Hub(hub) => !hub.peers.is_empty(),
        };
        let plain = config.vns.iter().find(|vn| needs_plain(&vn.role));
        match (wanted, driver, plain) {
            (Dataplane::Bridge, ..) => Forwarder::Bridge("as configured".into()),
            (Dataplane::Kmod, ..) => Forwarder::Kmod("as configured".into()),
            (Dataplane::Auto, None, _) => {
                Forwarder::Bridge("no VXLAN driver with learn_vni=Y is loaded".into())
            }
            (Dataplane::Auto, Some(_), Some(vn)) => {
                Forwarder::Bridge(format!("VN {} uses plain VXLAN devices on the same UDP port", vn.name))
            }
            (Dataplane::Auto, Some(driver), None) => Forwarder::Kmod(format!("{driver} has learn_vni=Y")),
        }
    }

    /// Its name in the configuration, and why it is this one.
    pub fn words(&self) -> (&'static str, &str) {
        match self {
            Forwarder::Bridge(why) => ("bridge", why),
            Forwarder::Kmod(why) => ("kmod", why),
        }
    }

    /// Whether one device serves all spokes.
    pub fn is_shared(&self) -> bool {
        matches!(self, Forwarder::Kmod(_))
    }
}

/// The MAC of a bridge made for a VN with one hub: the same after a restart of the machine, since it is the hub's protocol address.
pub(super) fn bridge_mac(vpn: VpnId) -> [u8; 6] {
    let [a, b, c, d] = vpn.index().to_be_bytes();
    [0x02, 0xd0, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the first VN's forwarder is, when the file has these further sections.
    fn chosen(option: &str, more: &str, driver: Option<&str>) -> Forwarder {
        let text = format!(
            "config dmevpn\n option nbma 10.0.0.1\n\
             config vn a\n option vpn_id 1\n option role hub\n {option}\n{more}"
        );
        let config = Config::parse("f", &text).unwrap();
        let config::Role::Hub(hub) = &config.vns[0].role else { panic!("it is a hub") };
        Forwarder::choose(hub.dataplane, &config, driver)
    }

    #[test]
    fn one_device_for_all_spokes_where_that_is_possible() {
        let driver = Some("vxlan_dmevpn");
        let hub = "config vn b\n option vpn_id 2\n option role hub\n";
        let spoke = "config hub h\n option address 10.0.0.9\n\
                     config vn c\n option vpn_id 3\n option role spoke\n option bridge br\n option vni 5\n";
        assert!(chosen("", hub, driver).is_shared());
        for (option, more, driver, why) in [
            ("", "", None, "no VXLAN driver"),
            ("", spoke, driver, "VN c uses plain VXLAN devices"),
            ("", &format!("{hub} option dataplane bridge"), driver, "VN b uses plain VXLAN devices"),
            ("option dataplane bridge", "", driver, "as configured"),
        ] {
            let forwarder = chosen(option, more, driver);
            assert!(!forwarder.is_shared());
            assert!(forwarder.words().1.contains(why), "{forwarder:?}");
        }
        // Without the driver the VN waits for it, and says so.
        assert!(chosen("option dataplane kmod", "", None).is_shared());
    }
}
