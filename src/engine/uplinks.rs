//! The uplink VNIs of a hub: one for each port, or for each VN whose spokes share one. All are different, since a VNI
//! names one device of the machine; and others cannot compute them, since whoever knows a port's may send in its name.

use super::secret::{Secret, octets};
use crate::types::{Vni, VpnId, Vtep};
use litemap::LiteMap;

/// The VNIs in use.
#[derive(Debug)]
pub struct Uplinks {
    secret: Secret,
    taken: LiteMap<Vni, ()>,
}

impl Uplinks {
    /// None yet. `secret` is the same after a restart.
    pub fn new(secret: Secret) -> Uplinks {
        Uplinks { secret, taken: LiteMap::new() }
    }

    /// Reserves a VNI from `first` on for a spoke, or for all of the VN: the same one after a restart of the machine,
    /// as far as others allow, so that what a spoke still sends under its old VNI does not end in another one's port.
    pub fn allocate(&mut self, first: Vni, vpn: VpnId, spoke: Option<Vtep>) -> Option<Vni> {
        let room = Vni::MAX.get() - first.get() + 1;
        let start = (self.number(vpn, spoke) % u64::from(room)) as u32;
        let uplink = (0..room)
            .map(|n| first.get() + (start + n) % room)
            .filter_map(Vni::new)
            .find(|vni| !self.taken.contains_key(vni))?;
        self.taken.insert(uplink, ());
        Some(uplink)
    }

    /// A port found at the start uses `uplink`.
    pub fn reserve(&mut self, uplink: Vni) {
        self.taken.insert(uplink, ());
    }

    /// The port is gone.
    pub fn release(&mut self, uplink: Vni) {
        self.taken.remove(&uplink);
    }

    fn number(&self, vpn: VpnId, spoke: Option<Vtep>) -> u64 {
        let (oui, index) = (vpn.oui(), vpn.index().to_be_bytes());
        let Some(Vtep { nbma, vni }) = spoke else {
            return self.secret.number(&[b"uplink of all", &oui, &index]);
        };
        self.secret.number(&[b"uplink", &oui, &index, &octets(nbma.ip()), &vni.get().to_be_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none_yet() -> Uplinks {
        Uplinks::new(Secret::new(&[7; 16]))
    }

    #[test]
    fn a_spoke_gets_its_vni_again_and_no_two_share_one() {
        let first = Vni::new(Vni::MAX.get() - 9).unwrap();
        let vpn = VpnId::new(VpnId::DEFAULT_OUI, 1);
        let spoke =
            |n: u8| Vtep { nbma: format!("10.0.0.{n}").parse().unwrap(), vni: Vni::new(100).unwrap() };
        let mut uplinks = none_yet();
        let all = (1..10).map(|n| Some(spoke(n))).chain([None]);
        let given: std::collections::BTreeSet<Vni> =
            all.map(|s| uplinks.allocate(first, vpn, s).unwrap()).collect();
        assert_eq!(given.len(), 10);
        assert_eq!(uplinks.allocate(first, vpn, Some(spoke(99))), None);

        let alone = |s| none_yet().allocate(first, vpn, s);
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
        let alone = |index, s| none_yet().allocate(first, VpnId::new(VpnId::DEFAULT_OUI, index), s);
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

    /// Who knows all else than the secret cannot tell which VNI a spoke has.
    #[test]
    fn of_another_secret_all_are_others() {
        let first = Vni::new(1 << 20).unwrap();
        let spoke =
            |n: u8| Vtep { nbma: format!("10.0.0.{n}").parse().unwrap(), vni: Vni::new(100).unwrap() };
        let vpn = VpnId::new(VpnId::DEFAULT_OUI, 1);
        let of = |secret: u8| {
            let mut uplinks = Uplinks::new(Secret::new(&[secret; 16]));
            let spokes = (1..=20).map(|n| Some(spoke(n))).chain([None]);
            spokes.map(|spoke| uplinks.allocate(first, vpn, spoke).unwrap()).collect::<Vec<_>>()
        };
        let (one, other) = (of(1), of(2));
        assert!(one.iter().zip(&other).all(|(a, b)| a != b), "{one:?} {other:?}");
    }
}
