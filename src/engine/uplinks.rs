//! The uplink VNIs of a hub: one for each port, over all VNs, since a VNI names one device of the machine.

use super::peers::PeerName;
use crate::types::{Vni, VpnId};
use core::net::IpAddr;
use litemap::LiteMap;

/// The VNIs in use.
#[derive(Debug, Default)]
pub struct Uplinks(LiteMap<Vni, ()>);

impl Uplinks {
    /// Reserves a VNI from `first` on for a peer: the same one for the same peer after a restart of the machine, as
    /// far as others allow, so that what a spoke still sends under its old VNI does not end in another spoke's port.
    pub fn allocate(&mut self, first: Vni, vpn: VpnId, peer: PeerName) -> Option<Vni> {
        let room = Vni::MAX.get() - first.get() + 1;
        let start = hash(vpn, peer) % room;
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
fn hash(vpn: VpnId, (nbma, vni): PeerName) -> u32 {
    let step = |h: u32, octet: &u8| (h ^ u32::from(*octet)).wrapping_mul(0x0100_0193);
    let h = vpn.oui().iter().chain(&vpn.index().to_be_bytes()).fold(0x811c_9dc5, step);
    let h = match nbma.ip() {
        IpAddr::V4(a) => a.octets().iter().fold(h, step),
        IpAddr::V6(a) => a.octets().iter().fold(h, step),
    };
    vni.map_or(0, Vni::get).to_be_bytes().iter().fold(h, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_gets_its_vni_again_and_no_two_share_one() {
        let first = Vni::new(Vni::MAX.get() - 9).unwrap();
        let vpn = VpnId::new(VpnId::DEFAULT_OUI, 1);
        let peers: Vec<PeerName> =
            (1..=10).map(|n| (format!("10.0.0.{n}").parse().unwrap(), Vni::new(100))).collect();
        let mut uplinks = Uplinks::default();
        let given: std::collections::BTreeSet<Vni> =
            peers.iter().map(|p| uplinks.allocate(first, vpn, *p).unwrap()).collect();
        assert_eq!(given.len(), 10);
        assert_eq!(uplinks.allocate(first, vpn, ("10.0.0.99".parse().unwrap(), None)), None);

        let alone = |p| Uplinks::default().allocate(first, vpn, p);
        assert_eq!(alone(peers[3]), alone(peers[3]));
    }
}
