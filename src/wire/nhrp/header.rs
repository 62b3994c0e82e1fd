//! The fixed header and the common part of the mandatory header (RFC 2332 sections 5.1 and 5.2.0.1).

use super::{HOP_COUNT, Writer};
use crate::types::{Mac, Nbma, Vni};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where the checksum stands.
pub(super) const CHECKSUM_AT: usize = 12;
/// Where the length of the source protocol address stands.
pub(super) const SOURCE_LEN_AT: usize = 20;
const FIXED_LEN: usize = 20;
const COMMON_LEN: usize = 28;
const VERSION: u8 = 1;
/// `ar$pro.type` that says: see the SNAP identifier in `ar$pro.snap`.
const PRO_SNAP: u16 = 0x0080;
/// The low bits of a type/length octet are the length; the type bit means nothing for IP.
const TL_LENGTH: u8 = 0x3f;

/// Flags of the mandatory header; the same bit means different things in different packets.
pub mod flag {
    /// Resolution: the requester is a router.
    pub const ROUTER: u16 = 0x8000;
    /// Resolution: only authoritative information is wanted, or given.
    pub const AUTHORITATIVE: u16 = 0x4000;
    /// Resolution: the binding is stable.
    pub const STABLE: u16 = 0x2000;
    /// Resolution: only a unique binding is wanted.
    pub const UNIQUE: u16 = 0x1000;
    /// Resolution: the source binding is stable, too.
    pub const SOURCE_STABLE: u16 = 0x0800;
    /// Registration: the binding is unique.
    pub const REGISTRATION_UNIQUE: u16 = 0x8000;
    /// Purge: no reply is wanted.
    pub const NO_REPLY: u16 = 0x8000;
}

/// The address family of NBMA addresses (`ar$afn`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4, 4 octets.
    V4,
    /// IPv6, 16 octets.
    V6,
}

impl Family {
    const fn of(nbma: Nbma) -> Family {
        match nbma.ip() {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }
}

/// The protocol whose addresses are resolved (`ar$pro.type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// Transparent Ethernet Bridging, 0x6558: addresses are MACs.
    Ethernet,
    /// 0x0800.
    Ipv4,
    /// 0x86DD.
    Ipv6,
}

impl Protocol {
    const fn ethertype(self) -> u16 {
        match self {
            Protocol::Ethernet => 0x6558,
            Protocol::Ipv4 => 0x0800,
            Protocol::Ipv6 => 0x86dd,
        }
    }

    const fn from_ethertype(n: u16) -> Option<Protocol> {
        match n {
            0x6558 => Some(Protocol::Ethernet),
            0x0800 => Some(Protocol::Ipv4),
            0x86dd => Some(Protocol::Ipv6),
            _ => None,
        }
    }
}

/// An address in the protocol that is resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProtocolAddress {
    /// A station in a VN.
    Mac(Mac),
    /// A tunnel address.
    Ip(IpAddr),
}

impl ProtocolAddress {
    /// The first one in their order.
    pub const MIN: ProtocolAddress = ProtocolAddress::Mac(Mac::MIN);

    /// The protocol it is an address of.
    pub const fn protocol(self) -> Protocol {
        match self {
            ProtocolAddress::Mac(_) => Protocol::Ethernet,
            ProtocolAddress::Ip(IpAddr::V4(_)) => Protocol::Ipv4,
            ProtocolAddress::Ip(IpAddr::V6(_)) => Protocol::Ipv6,
        }
    }

    /// The prefix length that means this address alone: 0xFF, or 32 and 128 for IP.
    pub const fn host_prefix(self) -> u8 {
        match self {
            ProtocolAddress::Mac(_) => 0xff,
            ProtocolAddress::Ip(IpAddr::V4(_)) => 32,
            ProtocolAddress::Ip(IpAddr::V6(_)) => 128,
        }
    }

    /// An address of `protocol`; `None` when the length or the value cannot be one.
    pub(super) fn parse(protocol: Protocol, octets: &[u8]) -> Option<ProtocolAddress> {
        match protocol {
            Protocol::Ethernet => Mac::new(octets.try_into().ok()?).map(ProtocolAddress::Mac),
            Protocol::Ipv4 => ip(Family::V4, octets).map(ProtocolAddress::Ip),
            Protocol::Ipv6 => ip(Family::V6, octets).map(ProtocolAddress::Ip),
        }
    }

    pub(super) const fn len(self) -> u8 {
        match self {
            ProtocolAddress::Mac(_) => 6,
            ProtocolAddress::Ip(ip) => ip_len(ip),
        }
    }
}

/// The packet types (`ar$op.type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// NHRP Resolution Request.
    ResolutionRequest = 1,
    /// NHRP Resolution Reply.
    ResolutionReply = 2,
    /// NHRP Registration Request.
    RegistrationRequest = 3,
    /// NHRP Registration Reply.
    RegistrationReply = 4,
    /// NHRP Purge Request.
    PurgeRequest = 5,
    /// NHRP Purge Reply.
    PurgeReply = 6,
    /// NHRP Error Indication.
    Error = 7,
    /// Traffic Indication, of Cisco's: the packet that it holds need not have come by its sender.
    TrafficIndication = 8,
}

impl Kind {
    /// Whether it holds a packet that it is about, instead of CIEs; then it has no flags.
    pub const fn is_about_packet(self) -> bool {
        matches!(self, Kind::Error | Kind::TrafficIndication)
    }

    const fn parse(n: u8) -> Option<Kind> {
        Some(match n {
            1 => Kind::ResolutionRequest,
            2 => Kind::ResolutionReply,
            3 => Kind::RegistrationRequest,
            4 => Kind::RegistrationReply,
            5 => Kind::PurgeRequest,
            6 => Kind::PurgeReply,
            7 => Kind::Error,
            8 => Kind::TrafficIndication,
            _ => return None,
        })
    }
}

/// What both headers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The packet type.
    pub kind: Kind,
    /// The protocol of all protocol addresses.
    pub protocol: Protocol,
    /// How many NHSs may still forward it.
    pub hop_count: u8,
    /// See [`flag`]. In an Error Indication they are unused: neither written nor read.
    pub flags: u16,
    /// Request ID. In an Error Indication: code and offset, see [`Header::error_code`].
    pub request_id: u32,
    /// The sender's underlay address; its family is the family of all NBMA addresses in the packet.
    pub nbma: Nbma,
    /// The sender's VNI: the NBMA subaddress.
    pub vni: Option<Vni>,
    /// The sender's protocol address.
    pub source: Option<ProtocolAddress>,
    /// The protocol address the packet is for, or about.
    pub destination: Option<ProtocolAddress>,
}

impl Header {
    /// The header of the reply to this request: the type changed, all else copied, the hop count as if new
    /// (RFC 2332 sections 5.1, 5.2.2, 5.2.4, 5.2.6).
    pub fn reply(&self, kind: Kind) -> Header {
        Header { kind, hop_count: HOP_COUNT, ..*self }
    }

    /// The code of an Error Indication.
    pub const fn error_code(&self) -> u16 {
        (self.request_id >> 16) as u16
    }

    /// The `request_id` that says `code` and `offset` in an Error Indication.
    pub const fn error_word(code: u16, offset: u16) -> u32 {
        (code as u32) << 16 | offset as u32
    }

    pub(super) const fn family(&self) -> Family {
        Family::of(self.nbma)
    }
}

/// Where the parts of a packet lie.
pub(super) struct Layout {
    pub body: usize,
    pub extensions: usize,
    pub end: usize,
}

/// Where in the octets something is that cannot be right: a protocol error. A [`super::Fault`] in the making, which
/// is too large to be handed on with every field.
#[derive(Clone, Copy)]
pub(super) struct Bad(pub usize);

/// Reads the headers; of a packet that need not be whole as far as it is there. Bad values are looked for in the order they
/// stand in.
pub(super) fn parse(packet: &[u8], is_whole: bool) -> Result<(Header, Layout), Bad> {
    let fixed = packet.first_chunk::<COMMON_LEN>().ok_or(Bad(packet.len()))?;
    let half = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);

    let family = match half(0) {
        1 => Family::V4,
        2 => Family::V6,
        _ => return Err(Bad(0)),
    };
    let protocol = match half(2) {
        // The long form (RFC 2332 section 5.1): OUI 00-00-00, then an ethertype.
        PRO_SNAP if fixed[4..7] == [0, 0, 0] => Protocol::from_ethertype(half(7)),
        n => Protocol::from_ethertype(n),
    }
    .ok_or(Bad(2))?;
    let end = usize::from(half(10));
    let extensions = match usize::from(half(14)) {
        0 => end,
        n => n,
    };
    if end < COMMON_LEN || is_whole && end > packet.len() {
        return Err(Bad(10));
    }
    if extensions < COMMON_LEN || extensions > end {
        return Err(Bad(14));
    }
    if fixed[16] != VERSION {
        return Err(Bad(16));
    }
    let kind = Kind::parse(fixed[17]).ok_or(Bad(17))?;

    let mut fields = Fields { octets: &packet[..extensions.min(packet.len())], at: COMMON_LEN };
    let nbma = fields.nbma(family, fixed[18])?.ok_or(Bad(COMMON_LEN))?;
    let vni = fields.vni(fixed[19])?;
    let source = fields.protocol_address(protocol, fixed[20])?;
    let destination = fields.protocol_address(protocol, fixed[21])?;
    let header = Header {
        kind,
        protocol,
        hop_count: fixed[9],
        flags: if kind.is_about_packet() { 0 } else { half(22) },
        request_id: u32::from_be_bytes([fixed[24], fixed[25], fixed[26], fixed[27]]),
        nbma,
        vni,
        source,
        destination,
    };
    Ok((header, Layout { body: fields.at, extensions, end }))
}

/// Where a packet of this version ends, within what there is, and its kind.
pub(super) fn first_look(packet: &[u8]) -> Option<(usize, Kind)> {
    let fixed = packet.first_chunk::<COMMON_LEN>().filter(|fixed| fixed[16] == VERSION)?;
    let end = usize::from(u16::from_be_bytes([fixed[10], fixed[11]]));
    let kind = Kind::parse(fixed[17])?;
    (COMMON_LEN..=packet.len()).contains(&end).then_some((end, kind))
}

/// Writes the headers, sizes and checksum still zero.
pub(super) fn emit(header: &Header, w: &mut Writer<'_>) {
    let afn: u16 = match header.family() {
        Family::V4 => 1,
        Family::V6 => 2,
    };
    let address_len = |a: Option<ProtocolAddress>| a.map_or(0, ProtocolAddress::len);
    w.put(&afn.to_be_bytes());
    w.put(&header.protocol.ethertype().to_be_bytes());
    w.put(&[0, 0, 0, 0, 0, header.hop_count, 0, 0, 0, 0, 0, 0, VERSION, header.kind as u8]);
    w.put(&[ip_len(header.nbma.ip()), vni_len(header.vni)]);
    w.put(&[address_len(header.source), address_len(header.destination)]);
    // Unused in an Error Indication, and unused is zero (RFC 2332 section 5).
    w.put(&if header.kind.is_about_packet() { 0 } else { header.flags }.to_be_bytes());
    w.put(&header.request_id.to_be_bytes());
    w.put_nbma(Some(header.nbma), header.vni);
    w.put_protocol_address(header.source);
    w.put_protocol_address(header.destination);
}

/// Fills in `ar$pktsz` and `ar$extoff`; `None` when the packet is too long for them.
pub(super) fn emit_sizes(packet: &mut [u8], extensions: Option<usize>) -> Option<()> {
    let size = u16::try_from(packet.len()).ok()?;
    let offset = u16::try_from(extensions.unwrap_or(0)).ok()?;
    packet.get_mut(10..12)?.copy_from_slice(&size.to_be_bytes());
    packet.get_mut(14..FIXED_LEN - 4)?.copy_from_slice(&offset.to_be_bytes());
    Some(())
}

impl Writer<'_> {
    pub(super) fn put_nbma(&mut self, nbma: Option<Nbma>, vni: Option<Vni>) {
        match nbma.map(Nbma::ip) {
            Some(IpAddr::V4(a)) => self.put(&a.octets()),
            Some(IpAddr::V6(a)) => self.put(&a.octets()),
            None => {}
        }
        if let Some(vni) = vni {
            self.put(&vni.get().to_be_bytes());
        }
    }

    pub(super) fn put_protocol_address(&mut self, address: Option<ProtocolAddress>) {
        // Like the family of the NBMA addresses.
        self.failed |= address.is_some_and(|a| a.protocol() != self.header.protocol);
        match address {
            Some(ProtocolAddress::Mac(mac)) => self.put(&mac.octets()),
            Some(ProtocolAddress::Ip(IpAddr::V4(a))) => self.put(&a.octets()),
            Some(ProtocolAddress::Ip(IpAddr::V6(a))) => self.put(&a.octets()),
            None => {}
        }
    }
}

/// The address fields of a header or a CIE, taken one after the other.
pub(super) struct Fields<'a> {
    pub octets: &'a [u8],
    pub at: usize,
}

impl<'a> Fields<'a> {
    pub fn take(&mut self, len: u8) -> Result<&'a [u8], Bad> {
        let end = self.at + usize::from(len);
        let field = self.octets.get(self.at..end).ok_or(Bad(self.at))?;
        self.at = end;
        Ok(field)
    }

    /// The underlay address that stands in a type/length octet; of no length when there is none.
    pub fn nbma(&mut self, family: Family, tl: u8) -> Result<Option<Nbma>, Bad> {
        let at = self.at;
        match self.take(tl & TL_LENGTH)? {
            [] => Ok(None),
            octets => match ip(family, octets).and_then(Nbma::new) {
                // An IPv4-mapped address in an IPv6 field would be an address of the other family.
                Some(nbma) if Family::of(nbma) == family => Ok(Some(nbma)),
                _ => Err(Bad(at)),
            },
        }
    }

    pub fn vni(&mut self, tl: u8) -> Result<Option<Vni>, Bad> {
        let at = self.at;
        match self.take(tl & TL_LENGTH)? {
            [] => Ok(None),
            &[a, b, c, d] => match Vni::new(u32::from_be_bytes([a, b, c, d])) {
                Some(vni) => Ok(Some(vni)),
                None => Err(Bad(at)),
            },
            _ => Err(Bad(at)),
        }
    }

    pub fn protocol_address(&mut self, protocol: Protocol, len: u8) -> Result<Option<ProtocolAddress>, Bad> {
        let at = self.at;
        match self.take(len)? {
            [] => Ok(None),
            octets => match ProtocolAddress::parse(protocol, octets) {
                Some(address) => Ok(Some(address)),
                None => Err(Bad(at)),
            },
        }
    }
}

pub(super) const fn ip_len(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(_) => 4,
        IpAddr::V6(_) => 16,
    }
}

pub(super) const fn vni_len(vni: Option<Vni>) -> u8 {
    if vni.is_some() { 4 } else { 0 }
}

fn ip(family: Family, octets: &[u8]) -> Option<IpAddr> {
    Some(match family {
        Family::V4 => Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?).into(),
        Family::V6 => Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?).into(),
    })
}
