//! Extensions (RFC 2332 section 5.3).

use super::{Fault, error};

const COMPULSORY: u16 = 0x8000;
const KIND: u16 = 0x3fff;

/// Extension types.
pub mod kind {
    /// The end mark.
    pub const END: u16 = 0;
    /// Responder Address (RFC 2332 section 5.3.1).
    pub const RESPONDER: u16 = 3;
    /// Forward Transit NHS Record (section 5.3.2).
    pub const FORWARD_TRANSIT: u16 = 4;
    /// Reverse Transit NHS Record (section 5.3.3).
    pub const REVERSE_TRANSIT: u16 = 5;
    /// Authentication (section 5.3.4).
    pub const AUTHENTICATION: u16 = 7;
    /// Vendor private (section 5.3.5), the only one that may stand more than once.
    pub const VENDOR: u16 = 8;
    /// Device Capabilities (RFC 2735 section 4.2) when 8 octets long; otherwise Cisco's NAT address.
    pub const DEVICE_CAPABILITIES: u16 = 9;
}

/// One extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// One of [`kind`], or another 14-bit number.
    pub kind: u16,
    /// Whether a receiver that does not know it has to refuse the packet.
    pub compulsory: bool,
    /// Its value.
    pub value: &'a [u8],
}

impl<'a> Extension<'a> {
    /// An extension without a value, as a request asks for it.
    pub const fn empty(kind: u16) -> Extension<'a> {
        Extension { kind, compulsory: true, value: &[] }
    }

    /// Device Capabilities with these two words; bit 0 is V, VPN-aware.
    pub const fn capabilities(value: &'a [u8; 8]) -> Extension<'a> {
        Extension { kind: kind::DEVICE_CAPABILITIES, compulsory: false, value }
    }
}

/// The value of the Authentication extension as Cisco has it: SPI 1, and the password.
pub fn clear_text(password: &str) -> Vec<u8> {
    [&[0, 0, 0, 1], password.as_bytes()].concat()
}

/// The extensions of a packet, one after the other, without the end mark.
#[derive(Clone, Copy, Debug)]
pub struct Extensions<'a> {
    octets: &'a [u8],
    at: usize,
}

impl<'a> Extensions<'a> {
    pub(super) fn new(octets: &'a [u8]) -> Extensions<'a> {
        Extensions { octets, at: 0 }
    }

    /// How many octets were not looked at yet.
    pub(super) fn left(&self) -> usize {
        self.octets.len() - self.at
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Extension<'a>;

    fn next(&mut self) -> Option<Extension<'a>> {
        let (head, rest) = self.octets.get(self.at..)?.split_first_chunk::<4>()?;
        let word = u16::from_be_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = rest.get(..length)?;
        if word & KIND == kind::END {
            return None;
        }
        self.at += head.len() + length;
        Some(Extension { kind: word & KIND, compulsory: word & COMPULSORY != 0, value })
    }
}

pub(super) const fn type_field(kind: u16, compulsory: bool) -> u16 {
    kind & KIND | if compulsory { COMPULSORY } else { 0 }
}

/// Which extension types were there. To look for each among all before it would let a packet of hundreds of
/// extensions cost hundreds of times what another one does, and that before anyone asks who sent it.
#[derive(Default)]
struct Seen {
    /// The types in use, below 64.
    low: u64,
    /// The others, when there is one at all: 2 KiB that are hardly ever touched.
    high: Option<[u64; (KIND as usize + 1) / 64]>,
}

impl Seen {
    /// Notes `kind`, and says whether it was there before.
    fn again(&mut self, kind: u16) -> bool {
        let kind = kind & KIND;
        let word = match usize::from(kind / 64) {
            0 => &mut self.low,
            n => &mut self.high.get_or_insert([0; (KIND as usize + 1) / 64])[n],
        };
        let bit = 1 << (kind % 64);
        let again = *word & bit != 0;
        *word |= bit;
        again
    }
}

/// Checks that `octets` are nothing or a list with an end mark in which no type stands twice; `offset` is where
/// the list starts in the packet. What lies behind the end mark is ignored: OpenNHRP pads there.
pub(super) fn check(octets: &[u8], offset: usize) -> Result<(), Fault> {
    let mut extensions = Extensions::new(octets);
    let mut seen = Seen::default();
    let mut start = 0;
    while let Some(extension) = extensions.next() {
        if seen.again(extension.kind) && extension.kind != kind::VENDOR {
            return Err(Fault::at(error::INVALID_EXTENSION, offset + start));
        }
        start = extensions.at;
    }
    let ended = octets.get(start..start + 4).is_some_and(|e| e[0] & 0x3f == 0 && e[1..] == [0, 0, 0]);
    if octets.is_empty() || ended { Ok(()) } else { Err(Fault::at(error::PROTOCOL, offset + start)) }
}
