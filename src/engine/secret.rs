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
}
