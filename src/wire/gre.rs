//! GRE headers (RFC 2784, RFC 2890).

use super::Malformed;
use super::nhrp::checksum;

/// The protocol type of NHRP in GRE, as Cisco, OpenNHRP and FRR use it.
pub const PROTOCOL_NHRP: u16 = 0x2001;

/// The longest header [`emit`] writes, in octets.
pub const MAX_LEN: usize = 8;

const CHECKSUM: u16 = 0x8000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
const VERSION: u16 = 0x0007;
/// Bits 1, 4 and 5 MUST be zero for a receiver that does not implement RFC 1701 (RFC 2784 section 2.3).
const ROUTING: u16 = 0x4c00;

/// What a GRE header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The payload's protocol type.
    pub protocol: u16,
    /// The key, if there is one.
    pub key: Option<u32>,
}

/// Takes a GRE packet apart. A checksum is verified, a sequence number skipped.
pub fn parse(packet: &[u8]) -> Result<(Header, &[u8]), Malformed> {
    let (fixed, mut rest) = packet.split_first_chunk::<4>().ok_or(Malformed::Truncated)?;
    let flags = u16::from_be_bytes([fixed[0], fixed[1]]);
    let protocol = u16::from_be_bytes([fixed[2], fixed[3]]);
    if flags & (VERSION | ROUTING) != 0 {
        return Err(Malformed::Gre);
    }
    let mut word = || {
        let (word, tail) = rest.split_first_chunk::<4>().ok_or(Malformed::Truncated)?;
        rest = tail;
        Ok(u32::from_be_bytes(*word))
    };
    if flags & CHECKSUM != 0 {
        word()?;
        if checksum(packet) != 0 {
            return Err(Malformed::Gre);
        }
    }
    let key = if flags & KEY != 0 { Some(word()?) } else { None };
    if flags & SEQUENCE != 0 {
        word()?;
    }
    Ok((Header { protocol, key }, rest))
}

/// Writes the header to the front of `buf` and returns its length, 4 or 8 octets.
pub fn emit(header: Header, buf: &mut [u8; MAX_LEN + super::llc::LEN]) -> usize {
    let flags = if header.key.is_some() { KEY } else { 0 };
    buf[..2].copy_from_slice(&flags.to_be_bytes());
    buf[2..4].copy_from_slice(&header.protocol.to_be_bytes());
    match header.key {
        Some(key) => {
            buf[4..8].copy_from_slice(&key.to_be_bytes());
            8
        }
        None => 4,
    }
}
