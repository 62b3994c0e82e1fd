//! The uplink VNIs of a hub: one for each port, or for each VN whose spokes share one. All are different, since a VNI
//! names one device of the machine.

use crate::types::{Vni, VpnId, Vtep};
use core::net::IpAddr;
use litemap::LiteMap;

/// The VNIs in use.
#[derive(Debug, Default)]
pub struct Uplinks(LiteMap<Vni, ()>);

impl Uplinks {
    /// Reserves a VNI from `first` on for a spoke, or for all of the VN: the same one after a restart of the machine,
    /// as far as others allow, so that what a spoke still sends under its old VNI does not end in another one's port.
    pub fn allocate(&mut self, first: Vni, vpn: VpnId, spoke: Option<Vtep>) -> Option<Vni> {
        let room = Vni::MAX.get() - first.get() + 1;
        let start = hash(vpn, spoke) % room;
        let uplink = (0..room)
            .map(|n| first.get() + (start + n) % room)
            .filter_map(Vni::new)
            .find(|vni| !self.0.contains_key(vni))?;
        self.0.insert(uplink, ());
        Some(uplink)
    }

    /// A port found at the start uses `uplink`.
    pub fn reserve(&mut self, uplink: Vni) {
        self.0.insert(uplink, ());
    }

    /// The port is gone.
    pub fn release(&mut self, uplink: Vni) {
        self.0.remove(&uplink);
    }
}

/// FNV-1a.
fn hash(vpn: VpnId, spoke: Option<Vtep>) -> u32 {
    let step = |h: u32, octet: &u8| (h ^ u32::from(*octet)).wrapping_mul(0x0100_0193);
    let h = vpn.oui().iter().chain(&vpn.index().to_be_bytes()).fold(0x811c_9dc5, step);
    let Some(Vtep { nbma, vni }) = spoke else { return h };
    let h = match nbma.ip() {
        IpAddr::V4(a) => a.octets().iter().fold(h, step),
        IpAddr::V6(a) => a.octets().iter().fold(h, step),
    };
    vni.get().to_be_bytes().iter().fold(h, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spoke_gets_its_vni_again_and_no_two_share_one() {
        let first = Vni::new(Vni::MAX.get() - 9).unwrap();
        let vpn = VpnId::new(VpnId::DEFAULT_OUI, 1);
        let spoke =
            |n: u8| Vtep { nbma: format!("10.0.0.{n}").parse().unwrap(), vni: Vni::new(100).unwrap() };
        let mut uplinks = Uplinks::default();
        let all = (1..10).map(|n| Some(spoke(n))).chain([None]);
        let given: std::collections::BTreeSet<Vni> =
            all.map(|s| uplinks.allocate(first, vpn, s).unwrap()).collect();
        assert_eq!(given.len(), 10);
        assert_eq!(uplinks.allocate(first, vpn, Some(spoke(99))), None);

        let alone = |s| Uplinks::default().allocate(first, vpn, s);
        assert_eq!(alone(Some(spoke(3))), alone(Some(spoke(3))));
        assert_eq!(alone(None), alone(None));
    }

    /// After a restart spokes come in another order, and each has to find its own VNI free.
    #[test]
    fn what_a_spoke_gets_is_its_own_whoever_else_there_is() {
        let first = Vni::new(1 << 20).unwrap();
        let spoke = |n: u8, vni: u32| Vtep {
            nbma: format!("10.0.0.{n}").parse().unwrap(),
            vni: Vni::new(vni).unwrap(),
        };
        let alone = |index, s| Uplinks::default().allocate(first, VpnId::new(VpnId::DEFAULT_OUI, index), s);
        let mut given: Vec<_> = (1..=250).map(|n| alone(1, Some(spoke(n, 100)))).collect();
        given.extend([
            alone(2, Some(spoke(1, 100))),
            alone(1, Some(spoke(1, 101))),
            alone(1, None),
            alone(2, None),
        ]);
        let all = given.len();
        given.sort();
        given.dedup();
        assert_eq!(given.len(), all);
    }
}
