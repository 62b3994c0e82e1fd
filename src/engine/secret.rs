//! What others must not be able to compute comes of random bits from outside by HMAC-SHA-256, never by `random`, one
//! number of which tells the rest.

use crate::types::Nbma;
use core::fmt;
use core::net::IpAddr;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Random bits that nobody else knows.
#[derive(Clone)]
pub struct Secret(Hmac<Sha256>);

impl Secret {
    /// Of 128 bits or 256 bits: an input, so that the engine stays pure.
    pub fn new<const N: usize>(bits: &[u8; N]) -> Secret {
        Secret(Hmac::new_from_slice(bits).unwrap_or_else(|_| unreachable!("keys of all lengths are good")))
    }

    /// What comes of the parts, in their order. They are told apart by their lengths alone: for each first part, which
    /// says what it is for, those of the others are always the same.
    pub fn derive(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.0.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }

    /// The first 64 bits of what comes of them.
    pub fn number(&self, parts: &[&[u8]]) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.derive(parts);
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

/// An address as a part: of one length in both families.
pub fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// The first bits of an address, 1 to 128, as one of IPv6.
pub fn network(nbma: Nbma, bits: u8) -> [u8; 16] {
    let all = u128::from_be_bytes(octets(nbma.ip()));
    let others = u128::MAX.checked_shr(bits.into()).unwrap_or(0);
    (all & !others).to_be_bytes()
}

/// Numbers that nobody else can guess, one after the other.
#[derive(Debug)]
pub struct Nonces {
    secret: Secret,
    /// Those that came of one hash.
    drawn: [u64; 4],
    used: u64,
}

impl Nonces {
    pub fn new(secret: Secret) -> Nonces {
        Nonces { secret, drawn: [0; 4], used: 0 }
    }

    /// The next one.
    pub fn draw(&mut self) -> u64 {
        let place = (self.used % 4) as usize;
        if place == 0 {
            let hash = self.secret.derive(&[b"nonce", &self.used.to_be_bytes()]);
            for (nonce, octets) in self.drawn.iter_mut().zip(hash.chunks_exact(8)) {
                *nonce = octets.iter().fold(0, |all, octet| all << 8 | u64::from(*octet));
            }
        }
        self.used += 1;
        self.drawn[place]
    }
}

/// It is not shown.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231 section 4.2; the parts are one message.
    #[test]
    fn it_is_hmac_sha_256() {
        let expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
        let secret = Secret::new(&[0x0b; 20]);
        let hex = |octets: [u8; 32]| octets.iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(hex(secret.derive(&[b"Hi ", b"", b"There"])), expected);
        assert_eq!(secret.number(&[b"Hi There"]), 0xb034_4c61_d8db_3853);
    }

    #[test]
    fn no_two_nonces_are_alike() {
        let draw = |bits| {
            let mut nonces = Nonces::new(Secret::new(&[bits; 32]));
            (0..1000).map(|_| nonces.draw()).collect::<std::collections::BTreeSet<u64>>()
        };
        let (ours, others) = (draw(1), draw(2));
        assert_eq!((ours.len(), ours.union(&others).count()), (1000, 2000));
    }
}
