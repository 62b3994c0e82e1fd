//! Probes of a path: an IEEE 802.1ag loopback message in VXLAN, and its answer. A bridge hands a frame to 01-80-C2-00-00-02
//! to its own router alone, whatever it is told to forward.
//!
//! ```text
//! VXLAN | 01 80 c2 00 00 02 | source | 89 02 | 00 opcode 00 04 | transaction (4)
//!     | 1f length (2) 02 64 6d 01 | flags | family | 00 00 | asker: 00 VNI (3)
//!     | nonce (8) | tag (8) | asker: address (4 or 16)
//!     | 03 length (2) padding | 00
//! ```
//!
//! The answer is a copy of the question, but for opcode, source and flags.

use crate::types::{Mac, Nbma, Vni, Vtep};
use core::net::IpAddr;

/// The Ethernet type of IEEE 802.1ag, as of probes.
pub const ETHERTYPE: u16 = 0x8902;
/// Where probes go: a group address that no bridge forwards.
pub const DESTINATION: [u8; 6] = [0x01, 0x80, 0xc2, 0x00, 0x00, 0x02];

/// What a datagram holds at most, in octets, also over IPv4.
pub const MOST: usize = 65_535 - 20 - 8;

/// A VXLAN header, in octets.
const VXLAN: usize = 8;
/// An Ethernet header, in octets.
const ETHERNET: usize = 14;
/// What is between them and the address.
const BEFORE_ADDRESS: usize = 8 + 3 + 28;
/// The padding's head, and the end.
const BEHIND_ADDRESS: usize = 3 + 1;

/// Bit 3: the header holds a VNI (RFC 7348 section 5).
const HAS_VNI: u8 = 0x08;
/// The version, maintenance domain level 0, and the flags, none.
const VERSION: u8 = 0;
const ANSWER: u8 = 2;
const QUESTION: u8 = 3;
/// Where the first TLV is, behind the transaction.
const FIRST_TLV: u8 = 4;
const ORGANIZATION: u8 = 0x1f;
const DATA: u8 = 3;
const END: u8 = 0;
/// Locally administered, as in the vendor-private extensions; and what it says.
const PROBE: [u8; 4] = [0x02, 0x64, 0x6d, 0x01];
const WITHOUT_ADDRESS: u16 = 28;
const IPV4: u8 = 1;
const IPV6: u8 = 2;

/// Flags of an answer.
pub mod flag {
    /// The hub has a session with this tag, by the port that the probe came by.
    pub const REGISTERED: u8 = 0x01;
    /// The hub was started less than 60 s ago.
    pub const STARTED: u8 = 0x02;
    /// The hub lost another one that it has a way to: spokes that have several meet at one.
    pub const LOST_PEER: u8 = 0x04;
    /// The hub sends its spokes away, to another one if they have one.
    pub const DRAINING: u8 = 0x08;
}

/// A probe, or the answer to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Whether it is an answer.
    pub is_answer: bool,
    /// The router that sends it, in the VN.
    pub source: Mac,
    /// A number of the asker's.
    pub transaction: u32,
    /// Those of [`flag`]; in a question none.
    pub flags: u8,
    /// Where an answer is to go.
    pub asker: Vtep,
    /// Drawn for each question.
    pub nonce: u64,
    /// The hub's tag, of a question to a hub; else 0.
    pub tag: u64,
    /// So many octets make it larger.
    pub padding: u16,
}

impl Probe {
    /// How long it is in VXLAN, in octets, the VXLAN header included.
    pub fn size(&self) -> usize {
        bare_len(self.asker.nbma) + usize::from(self.padding)
    }

    /// How long it is behind its Ethernet header, in octets.
    pub fn payload(&self) -> u16 {
        self.size().saturating_sub(VXLAN + ETHERNET) as u16
    }

    /// The padding that makes one of an asker with this address as large as the largest frame of a device with this MTU,
    /// or as one datagram takes; none where that is too small.
    pub fn filling(mtu: u16, asker: Nbma) -> u16 {
        let largest = (VXLAN + ETHERNET + usize::from(mtu)).min(MOST);
        largest.saturating_sub(bare_len(asker)) as u16
    }

    /// Reads an Ethernet frame, as it comes out of VXLAN. `None` if it is no probe; what is behind its end does not matter.
    pub fn parse(frame: &[u8]) -> Option<Probe> {
        let mut rest = frame;
        let (source, opcode, transaction) = head(&mut rest)?;
        let is_answer = match opcode {
            ANSWER => true,
            QUESTION => false,
            _ => return None,
        };
        let (flags, family, vni) = ours(&mut rest)?;
        let [nonce, tag] = [u64::from_be_bytes(take(&mut rest)?), u64::from_be_bytes(take(&mut rest)?)];
        let ip: IpAddr = match family {
            IPV4 => take::<4>(&mut rest)?.into(),
            _ => take::<16>(&mut rest)?.into(),
        };
        let nbma = Nbma::new(ip).filter(|nbma| nbma.ip() == ip)?;
        let [kind, high, low] = take(&mut rest)?;
        let padding = u16::from_be_bytes([high, low]);
        let end = rest.get(usize::from(padding))?;
        let asker = Vtep { nbma, vni };
        let is_whole = kind == DATA && *end == END;
        is_whole.then_some(Probe { is_answer, source, transaction, flags, asker, nonce, tag, padding })
    }

    /// Writes it to the front of `buf`, from the VXLAN header with this VNI on; its length, or `None` if there is no room.
    pub fn emit(&self, vni: Vni, buf: &mut [u8]) -> Option<usize> {
        let length = self.size();
        let all = buf.get_mut(..length)?;
        all.fill(0);
        let (family, octets): (u8, &[u8]) = match &self.asker.nbma.ip() {
            IpAddr::V4(ip) => (IPV4, &ip.octets()),
            IpAddr::V6(ip) => (IPV6, &ip.octets()),
        };
        let opcode = if self.is_answer { ANSWER } else { QUESTION };
        let [_, vni @ ..] = vni.get().to_be_bytes();
        let [_, asker @ ..] = self.asker.vni.get().to_be_bytes();
        let parts: [&[u8]; 18] = [
            &[HAS_VNI, 0, 0, 0],
            &vni,
            &[0],
            &DESTINATION,
            &self.source.octets(),
            &ETHERTYPE.to_be_bytes(),
            &[VERSION, opcode, 0, FIRST_TLV],
            &self.transaction.to_be_bytes(),
            &[ORGANIZATION],
            &(WITHOUT_ADDRESS + octets.len() as u16).to_be_bytes(),
            &PROBE,
            &[self.flags, family, 0, 0, 0],
            &asker,
            &self.nonce.to_be_bytes(),
            &self.tag.to_be_bytes(),
            octets,
            &[DATA],
            &self.padding.to_be_bytes(),
        ];
        let mut at = 0;
        for part in parts {
            all.get_mut(at..at + part.len())?.copy_from_slice(part);
            at += part.len();
        }
        Some(length)
    }
}

/// The asker's VNI and the nonce of a question of which an ICMP error quotes the beginning, from the VXLAN header on.
pub fn quoted(vxlan: &[u8]) -> Option<(Vni, u64)> {
    let mut rest = vxlan.get(VXLAN..)?;
    let (_, opcode, _) = head(&mut rest)?;
    let (_, _, vni) = ours(&mut rest)?;
    (opcode == QUESTION).then_some((vni, u64::from_be_bytes(take(&mut rest)?)))
}

fn bare_len(asker: Nbma) -> usize {
    let address = if asker.ip().is_ipv4() { 4 } else { 16 };
    VXLAN + ETHERNET + BEFORE_ADDRESS + address + BEHIND_ADDRESS
}

/// Source, opcode and transaction.
fn head(rest: &mut &[u8]) -> Option<(Mac, u8, u32)> {
    let destination = take::<6>(rest)?;
    let source = Mac::new(take(rest)?)?;
    let ethertype = u16::from_be_bytes(take(rest)?);
    let [version, opcode, _, first] = take(rest)?;
    let transaction = u32::from_be_bytes(take(rest)?);
    let is_loopback =
        (destination, ethertype, version, first) == (DESTINATION, ETHERTYPE, VERSION, FIRST_TLV);
    is_loopback.then_some((source, opcode, transaction))
}

/// What is in our TLV up to the nonce: the flags, the family of the address and the VNI.
fn ours(rest: &mut &[u8]) -> Option<(u8, u8, Vni)> {
    let [kind, high, low] = take(rest)?;
    let who = take::<4>(rest)?;
    let [flags, family, _, _, _, a, b, c] = take(rest)?;
    let address = match family {
        IPV4 => 4,
        IPV6 => 16,
        _ => return None,
    };
    let is_ours =
        kind == ORGANIZATION && u16::from_be_bytes([high, low]) == WITHOUT_ADDRESS + address && who == PROBE;
    let vni = Vni::new(u32::from_be_bytes([0, a, b, c]))?;
    is_ours.then_some((flags, family, vni))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (octets, behind) = rest.split_first_chunk::<N>()?;
    *rest = behind;
    Some(*octets)
}
