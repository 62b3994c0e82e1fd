//! Who this router is: 128 random bits that outlive the daemon, and the MACs that come of them. Nobody else knows them: a
//! hub's uplink VNIs come of them, too.
//!
//! In its VNs a spoke needs an address that is its own and stays: it cannot be the bridge's MAC, which a bridge without
//! other ports loses together with the daemon's.

use super::random::random;
use crate::engine::Secret;
use crate::types::VpnId;
use std::fmt;
use std::io;
use std::str::FromStr;

/// First octet of a spoke's protocol address: a locally administered station, unlike a hub's `02:d0`.
const PROTOCOL: u8 = 0x06;
/// First octet of the MAC of a hub's bridge, where there are several hubs.
const BRIDGE: u8 = 0x02;
/// First octet of a tunnel device's MAC: higher than those of a bridge's other ports, of which the bridge takes the
/// lowest.
const DEVICE: u8 = 0xfe;

/// The bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Identity([u8; 16]);

impl Identity {
    /// A new one.
    pub fn random() -> io::Result<Identity> {
        random().map(Identity)
    }

    /// The bits, for what others must not be able to compute.
    pub fn secret(&self) -> Secret {
        Secret::new(&self.0)
    }

    /// The protocol address of this router as a spoke of `vpn`.
    pub fn protocol_mac(&self, vpn: VpnId) -> [u8; 6] {
        self.mac(PROTOCOL, vpn)
    }

    /// The MAC of a bridge that it makes as one of several hubs of `vpn`.
    pub fn bridge_mac(&self, vpn: VpnId) -> [u8; 6] {
        self.mac(BRIDGE, vpn)
    }

    /// The MAC of its tunnel device there. A bridge that has no other port takes it.
    pub fn device_mac(&self, vpn: VpnId) -> [u8; 6] {
        self.mac(DEVICE, vpn)
    }

    /// 40 bits: among 1000 sites of a VN two are the same once in two million networks.
    fn mac(&self, first: u8, vpn: VpnId) -> [u8; 6] {
        let [o0, o1, o2] = vpn.oui();
        let [i0, i1, i2, i3] = vpn.index().to_be_bytes();
        let [a, b, c, d, e, ..] = siphash(self.0, &[o0, o1, o2, i0, i1, i2, i3, first]).to_le_bytes();
        [first, a, b, c, d, e]
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// It is not shown.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

impl FromStr for Identity {
    type Err = ();

    fn from_str(text: &str) -> Result<Identity, ()> {
        let digits = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = digits.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        number.map(|n| Identity(n.to_be_bytes())).ok_or(())
    }
}

/// SipHash-2-4 (Aumasson, Bernstein 2012) of one block of 8 octets: the same in every version of this program.
fn siphash(key: [u8; 16], block: &[u8; 8]) -> u64 {
    let [k0, k1] = [0, 8].map(|at| u64::from_le_bytes(std::array::from_fn(|n| key[at + n])));
    let mut v = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    // The last word is the length in its highest octet, and what is left over: nothing.
    for word in [u64::from_le_bytes(*block), 8 << 56] {
        v[3] ^= word;
        rounds(&mut v, 2);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    rounds(&mut v, 4);
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

fn rounds(v: &mut [u64; 4], count: u32) {
    for _ in 0..count {
        v[0] = v[0].wrapping_add(v[1]);
        v[1] = v[1].rotate_left(13) ^ v[0];
        v[0] = v[0].rotate_left(32);
        v[2] = v[2].wrapping_add(v[3]);
        v[3] = v[3].rotate_left(16) ^ v[2];
        v[0] = v[0].wrapping_add(v[3]);
        v[3] = v[3].rotate_left(21) ^ v[0];
        v[2] = v[2].wrapping_add(v[1]);
        v[1] = v[1].rotate_left(17) ^ v[2];
        v[2] = v[2].rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siphash_is_the_one_of_its_authors() {
        let key = std::array::from_fn(|n| n as u8);
        // Of the test vectors the one for eight octets.
        let expected = [0x62, 0x24, 0x93, 0x9a, 0x79, 0xf5, 0xf5, 0x93];
        assert_eq!(siphash(key, &[0, 1, 2, 3, 4, 5, 6, 7]).to_le_bytes(), expected);
    }

    #[test]
    fn an_identity_is_read_as_it_was_written() {
        let one = Identity::random().unwrap();
        assert_eq!(one.to_string().parse(), Ok(one));
        assert_ne!(one, Identity::random().unwrap());
        for wrong in ["", "+1", "0123456789abcdef", "0123456789abcdef0123456789abcdeg"] {
            assert_eq!(wrong.parse::<Identity>(), Err(()), "{wrong}");
        }
    }

    #[test]
    fn macs_stay_and_differ() {
        let vpn = |n| VpnId::new(VpnId::DEFAULT_OUI, n);
        let one: Identity = "000102030405060708090a0b0c0d0e0f".parse().unwrap();
        let other: Identity = "000102030405060708090a0b0c0d0e10".parse().unwrap();
        assert_eq!(one.protocol_mac(vpn(1)), [0x06, 0x52, 0x99, 0x0a, 0x79, 0x58]);
        let all = [
            one.protocol_mac(vpn(1)),
            one.protocol_mac(vpn(2)),
            other.protocol_mac(vpn(1)),
            one.device_mac(vpn(1)),
        ];
        for (n, mac) in all.iter().enumerate() {
            // A station of nobody's range (IEEE 802: bits 0 and 1 of the first octet).
            assert_eq!(mac[0] & 3, 2);
            assert!(!all[..n].contains(mac));
        }
    }
}
