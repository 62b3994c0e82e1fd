//! What probes of paths need to know of the devices.

use super::vn::{Devices, Part, Vn};
use super::{Dataplane, Due};
use crate::engine::{By, Item, VnKey};
use crate::types::{Nbma, Vni};

impl Dataplane {
    /// By what device of which VN a frame came.
    pub fn came_by(&self, index: u32) -> Option<(VnKey, By)> {
        let (vn, part) = self.parts.get(&index).copied()?;
        let by = match part {
            Part::Tunnel => By::Tunnel,
            Part::Port(spoke) => By::Port(spoke),
            Part::Shared => By::Shared,
        };
        Some((vn, by))
    }

    /// The spokes' devices that the user made.
    pub fn users_tunnels(&self) -> Vec<u32> {
        let users = self.vns.values().filter(|vn| vn.standing.users_own);
        users.filter_map(|vn| vn.standing.tunnel).collect()
    }

    /// The VN in which answers to probes come by this VNI: a spoke's own one, or that of a hub's port to another hub.
    pub fn prober_of(&self, vni: Vni) -> Option<VnKey> {
        let is_port = |vn: &Vn| match &vn.devices {
            Devices::Ports(ports) => {
                ports.values().any(|there| there.port.is_hubs && there.port.uplink == vni)
            }
            Devices::Spoke | Devices::Shared(_) => false,
        };
        self.vns.values().find(|vn| vn.own_vni() == Some(vni) || is_port(vn)).map(|vn| vn.key)
    }

    /// The MTU of a VN's devices, and whether nobody may divide what they send by IPv4.
    pub fn frames(&self, key: VnKey) -> Option<(u16, bool)> {
        self.vns.get(&key).map(Vn::frames)
    }

    /// Whether the guard of a spoke's VN lets frames from there pass by now, if it is to.
    pub fn takes_from(&self, key: VnKey, source: Nbma) -> bool {
        let is_told =
            |due: &Due| matches!(due, Due::Item(vn, Item::Source(nbma)) if (*vn, *nbma) == (key, source));
        self.vns.get(&key).is_none_or(|vn| vn.own_vni().is_none())
            || !self.due.iter().any(is_told) && self.guard.takes_from(source)
    }
}
