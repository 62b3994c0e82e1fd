//! What the kernel tells of GRE tunnels.

use super::message::{self, Attributes};
use std::net::IpAddr;

mod attribute {
    pub const IFLAGS: u16 = 2;
    pub const OFLAGS: u16 = 3;
    pub const IKEY: u16 = 4;
    pub const OKEY: u16 = 5;
    pub const LOCAL: u16 = 6;
    pub const REMOTE: u16 = 7;
    /// The flag, in network byte order, that says that a key counts.
    pub const KEY: u16 = 0x2000;
}

/// The settings of a GRE tunnel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GreInfo {
    /// Over IPv6 (`ip6gre`) instead of IPv4 (`gre`).
    pub ipv6: bool,
    /// The address it sends from.
    pub local: Option<IpAddr>,
    /// The peer; none on a multipoint tunnel.
    pub remote: Option<IpAddr>,
    /// The key expected.
    pub ikey: Option<u32>,
    /// The key sent.
    pub okey: Option<u32>,
}

impl GreInfo {
    pub(super) fn parse(attributes: Attributes<'_>, ipv6: bool) -> GreInfo {
        let mut info = GreInfo { ipv6, ..GreInfo::default() };
        let (mut iflags, mut oflags) = (0, 0);
        for (kind, payload) in attributes {
            match kind {
                attribute::IFLAGS => iflags = message::be16_of(payload).unwrap_or(0),
                attribute::OFLAGS => oflags = message::be16_of(payload).unwrap_or(0),
                attribute::IKEY => info.ikey = message::be32_of(payload),
                attribute::OKEY => info.okey = message::be32_of(payload),
                attribute::LOCAL => info.local = message::some_ip_of(payload),
                attribute::REMOTE => info.remote = message::some_ip_of(payload),
                _ => {}
            }
        }
        // The key attributes are always there; the flags say whether they count.
        info.ikey = info.ikey.filter(|_| iflags & attribute::KEY != 0);
        info.okey = info.okey.filter(|_| oflags & attribute::KEY != 0);
        info
    }
}
