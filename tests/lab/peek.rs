//! A look into frames, independent of the project's own parsers: offsets from the RFCs, nothing else.

use super::MacBytes;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// UDP port of VXLAN (RFC 7348).
pub const VXLAN_PORT: u16 = 4789;
/// GRE protocol type of NHRP.
const GRE_NHRP: u16 = 0x2001;
/// LLC/SNAP with a VPN-ID, then LLC/SNAP of NHRP (RFC 2735 section 4.1).
const LLC_LEN: usize = 24;

/// NHRP packet types (RFC 2332 section 5.2).
pub mod kind {
    /// Resolution Request.
    pub const RESOLVE: u8 = 1;
    /// Resolution Reply.
    pub const RESOLVED: u8 = 2;
    /// Registration Request.
    pub const REGISTER: u8 = 3;
    /// Registration Reply.
    pub const REGISTERED: u8 = 4;
    /// Purge Request.
    pub const PURGE: u8 = 5;
    /// Purge Reply.
    pub const PURGED: u8 = 6;
    /// Error Indication.
    pub const ERROR: u8 = 7;
}

/// An IP packet as it is on the underlay.
#[derive(Clone, Copy, Debug)]
pub struct Outer<'a> {
    /// From.
    pub source: IpAddr,
    /// To.
    pub destination: IpAddr,
    /// What it carries, behind a fragment header.
    pub protocol: u8,
    /// Whether it is a fragment of a larger packet.
    pub fragment: bool,
    /// Whether it is not the first fragment.
    pub later_fragment: bool,
    /// What it carries.
    pub payload: &'a [u8],
}

impl<'a> Outer<'a> {
    /// The IP packet in an Ethernet frame.
    pub fn of_frame(frame: &'a [u8]) -> Option<Outer<'a>> {
        let ip = frame.get(14..)?;
        match be16(frame, 12)? {
            0x0800 => Outer::of_ipv4(ip),
            0x86dd => Outer::of_ipv6(ip),
            _ => None,
        }
    }

    fn of_ipv4(ip: &'a [u8]) -> Option<Outer<'a>> {
        let (header, total) = (usize::from(ip.first()? & 0xf) * 4, usize::from(be16(ip, 2)?));
        let fragment = be16(ip, 6)?;
        Some(Outer {
            source: ipv4(ip, 12)?.into(),
            destination: ipv4(ip, 16)?.into(),
            protocol: *ip.get(9)?,
            fragment: fragment & 0x3fff != 0,
            later_fragment: fragment & 0x1fff != 0,
            payload: ip.get(header..total.min(ip.len()))?,
        })
    }

    fn of_ipv6(ip: &'a [u8]) -> Option<Outer<'a>> {
        let (source, destination) = (ipv6(ip, 8)?.into(), ipv6(ip, 24)?.into());
        let payload = ip.get(40..(40 + usize::from(be16(ip, 4)?)).min(ip.len()))?;
        let whole = Outer {
            source,
            destination,
            protocol: *ip.get(6)?,
            fragment: false,
            later_fragment: false,
            payload,
        };
        if whole.protocol != 44 {
            return Some(whole);
        }
        let later_fragment = be16(payload, 2)? & 0xfff8 != 0;
        let (protocol, payload) = (*payload.first()?, payload.get(8..)?);
        Some(Outer { protocol, fragment: true, later_fragment, payload, ..whole })
    }
}

/// A VXLAN packet.
#[derive(Clone, Copy, Debug)]
pub struct Vxlan<'a> {
    /// The underlay's packet.
    pub outer: Outer<'a>,
    /// The network identifier.
    pub vni: u32,
    /// The Ethernet frame inside, or what the first fragment has of it.
    pub inner: &'a [u8],
}

impl<'a> Vxlan<'a> {
    /// The VXLAN packet in an Ethernet frame.
    pub fn of_frame(frame: &'a [u8]) -> Option<Vxlan<'a>> {
        let outer = Outer::of_frame(frame)?;
        let udp = outer.payload;
        if outer.protocol != 17 || outer.later_fragment || be16(udp, 2)? != VXLAN_PORT {
            return None;
        }
        Some(Vxlan { outer, vni: be32(udp, 12)? >> 8, inner: udp.get(16..)? })
    }

    /// Sender of the frame inside.
    pub fn source(&self) -> Option<MacBytes> {
        self.inner.get(6..12)?.try_into().ok()
    }

    /// Receiver of the frame inside.
    pub fn destination(&self) -> Option<MacBytes> {
        self.inner.get(..6)?.try_into().ok()
    }

    /// Whether the frame inside goes from the one to the other MAC.
    pub fn is_between(&self, from: MacBytes, to: MacBytes) -> bool {
        self.source() == Some(from) && self.destination() == Some(to)
    }
}

/// An NHRP packet.
#[derive(Clone, Copy, Debug)]
pub struct Nhrp<'a> {
    /// The underlay's packet.
    pub outer: Outer<'a>,
    /// The VPN index named by the LLC header or the GRE key.
    pub vpn: Option<u32>,
    /// See [`kind`].
    pub kind: u8,
    /// The request's number; not in Error Indications.
    pub request: u32,
    /// Source protocol address.
    pub source: &'a [u8],
    /// Destination protocol address.
    pub destination: &'a [u8],
    /// The Client Information Entries.
    cies: &'a [u8],
}

/// A Client Information Entry of an NHRP packet.
#[derive(Clone, Copy, Debug)]
pub struct Cie<'a> {
    /// 0, or why not.
    pub code: u8,
    /// Seconds.
    pub holding: u16,
    /// Underlay address.
    pub nbma: &'a [u8],
    /// Its subaddress: the VNI.
    pub sub: &'a [u8],
    /// Protocol address.
    pub protocol: &'a [u8],
}

impl<'a> Nhrp<'a> {
    /// The NHRP packet in an Ethernet frame.
    pub fn of_frame(frame: &'a [u8]) -> Option<Nhrp<'a>> {
        let outer = Outer::of_frame(frame)?;
        let gre = outer.payload;
        if outer.protocol != 47 || outer.later_fragment || be16(gre, 2)? != GRE_NHRP {
            return None;
        }
        let flags = be16(gre, 0)?;
        let mut at = 4 + if flags & 0x8000 != 0 { 4 } else { 0 };
        let mut vpn = None;
        if flags & 0x2000 != 0 {
            vpn = be32(gre, at);
            at += 4;
        }
        if flags & 0x1000 != 0 {
            at += 4;
        }
        if be16(gre, at)? == 0xaaaa {
            vpn = be32(gre, at + 12);
            at += LLC_LEN;
        }
        let nhrp = gre.get(at..)?;
        let nhrp = nhrp.get(..usize::from(be16(nhrp, 0x0a)?).min(nhrp.len()))?;
        let length = |at: usize| nhrp.get(at).map(|l| usize::from(l & 0x3f));
        let source = 28 + length(0x12)? + length(0x13)?;
        let destination = source + usize::from(*nhrp.get(0x14)?);
        let cies = destination + usize::from(*nhrp.get(0x15)?);
        let end = match usize::from(be16(nhrp, 0x0e)?) {
            0 => nhrp.len(),
            extensions => extensions.min(nhrp.len()),
        };
        Some(Nhrp {
            outer,
            vpn,
            kind: *nhrp.get(0x11)?,
            request: be32(nhrp, 0x18)?,
            source: nhrp.get(source..destination)?,
            destination: nhrp.get(destination..cies)?,
            cies: nhrp.get(cies..end.max(cies)).unwrap_or_default(),
        })
    }

    /// The Client Information Entries.
    pub fn cies(&self) -> impl Iterator<Item = Cie<'a>> {
        let mut rest = self.cies;
        std::iter::from_fn(move || {
            let length = |at: usize| rest.get(at).map(|l| usize::from(l & 0x3f));
            let (nbma, sub, protocol) = (length(8)?, length(9)?, usize::from(*rest.get(10)?));
            let cie = Cie {
                code: *rest.first()?,
                holding: be16(rest, 6)?,
                nbma: rest.get(12..12 + nbma)?,
                sub: rest.get(12 + nbma..12 + nbma + sub)?,
                protocol: rest.get(12 + nbma + sub..12 + nbma + sub + protocol)?,
            };
            rest = &rest[12 + nbma + sub + protocol..];
            Some(cie)
        })
    }

    /// The code of the first entry.
    pub fn code(&self) -> Option<u8> {
        self.cies().next().map(|c| c.code)
    }

    /// Whether this is a packet of that kind about that protocol address.
    pub fn is(&self, kind: u8, destination: &[u8]) -> bool {
        self.kind == kind && self.destination == destination
    }
}

/// Two octets.
pub fn be16(b: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(b.get(at..at + 2)?.try_into().ok()?))
}

/// Four octets.
pub fn be32(b: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(b.get(at..at + 4)?.try_into().ok()?))
}

fn ipv4(b: &[u8], at: usize) -> Option<Ipv4Addr> {
    Some(<[u8; 4]>::try_from(b.get(at..at + 4)?).ok()?.into())
}

fn ipv6(b: &[u8], at: usize) -> Option<Ipv6Addr> {
    Some(<[u8; 16]>::try_from(b.get(at..at + 16)?).ok()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reply that says: the MAC 52:54:00:00:00:0b lives at 10.0.0.3, VNI 101, for 287 s.
    #[test]
    fn a_resolution_reply_is_understood() {
        let nhrp = "0001655800000000 0010007c6c3d004a 010204040606c000 000000020a000002 \
                    000000642ecd9a5c aec752540000000b 00ff000005aa011f 040406ff0a000003 \
                    0000006552540000 000b800300160000 000005aa02580400 06000a0000010200 \
                    0000000180040000 8005000000090008 0000000100000001 80000000";
        let frame: Vec<u8> = [
            "ffffffffffff 525400000001 0800",
            "450000b4 00000000 402f0000 0a000001 0a000002",
            "00002001 aaaa0300005e0008 00 020000 00000001 aaaa0300005e0003",
            nhrp,
        ]
        .concat()
        .split_whitespace()
        .collect::<String>()
        .as_bytes()
        .chunks(2)
        .map(|c| u8::from_str_radix(std::str::from_utf8(c).unwrap(), 16).unwrap())
        .collect();
        let packet = Nhrp::of_frame(&frame).unwrap();
        assert!(packet.is(kind::RESOLVED, &[0x52, 0x54, 0, 0, 0, 0x0b]));
        assert_eq!((packet.vpn, packet.request, packet.code()), (Some(1), 2, Some(0)));
        assert_eq!(packet.source, [0x2e, 0xcd, 0x9a, 0x5c, 0xae, 0xc7]);
        let cies: Vec<_> = packet.cies().collect();
        assert_eq!(cies.len(), 1);
        assert_eq!(
            (cies[0].holding, cies[0].nbma, cies[0].sub),
            (287, &[10, 0, 0, 3][..], &[0, 0, 0, 101][..])
        );
    }
}
