//! The router's own addresses, and who is behind its tunnels.

use super::message::{self, Attributes, Message};
use super::{Error, Netlink, fdb};
use neli::consts::nl::NlmF;
use neli::consts::rtnl::{Ifa, Nda, Nud, Rtm};
use neli::types::Buffer;
use std::net::IpAddr;

/// An address of this router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The interface it is on.
    pub index: u32,
    /// The address itself.
    pub ip: IpAddr,
    /// The prefix length.
    pub prefix: u8,
    /// The scope: 0 global, 253 link, 254 host.
    pub scope: u8,
    /// IFA_F_ flags, such as tentative or deprecated.
    pub flags: u32,
}

impl Address {
    pub(super) fn parse(message: &Message<'_>) -> Option<Address> {
        if Rtm::from(message.kind) != Rtm::Newaddr {
            return None;
        }
        let ([_, prefix, flags, scope, index @ ..], attributes) = header(message)?;
        let mut flags = u32::from(flags);
        let (mut local, mut address) = (None, None);
        for (kind, payload) in attributes {
            match Ifa::from(kind) {
                Ifa::Local => local = message::ip_of(payload),
                Ifa::Address => address = message::ip_of(payload),
                // The header has room for eight of the flags only.
                Ifa::Flags => flags = message::u32_of(payload)?,
                _ => {}
            }
        }
        Some(Address {
            index: u32::from_ne_bytes(index),
            // On a point-to-point interface IFA_ADDRESS is the peer's.
            ip: local.or(address)?,
            prefix,
            scope,
            flags,
        })
    }
}

/// The interface that a message about an address is about.
pub(super) fn index(message: &Message<'_>) -> Option<u32> {
    header(message).map(|([_, _, _, _, index @ ..], _)| u32::from_ne_bytes(index))
}

/// `struct ifaddrmsg`: family, length of the prefix, flags, scope, interface.
fn header<'a>(message: &Message<'a>) -> Option<([u8; 8], Attributes<'a>)> {
    message::header(message.body)
}

impl Netlink {
    /// All addresses of this router, of both families.
    pub fn addresses(&mut self) -> Result<Vec<Address>, Error> {
        // Of all families, on all interfaces.
        self.dump(Rtm::Getaddr, &message::body(&[0; 8], &[]), Address::parse)
            .map_err(|e| e.during("list addresses"))
    }

    /// Make `ip` reachable at the link-layer address `lladdr` on `index`: on a multipoint GRE device
    /// that is the peer's underlay address, 4 or 16 octets.
    ///
    /// The entry is NUD_NOARP, because NUD_REACHABLE ends after seconds and would be probed on a
    /// device where nobody answers; and NTF_EXT_LEARNED, which keeps the kernel from collecting it
    /// and tells it from an administrator's (NUD_PERMANENT) entry.
    pub fn neighbour_set(&mut self, index: u32, ip: IpAddr, lladdr: &[u8]) -> Result<(), Error> {
        let request = neighbour(index, ip, Some(lladdr));
        self.request(Rtm::Newneigh, NlmF::CREATE | NlmF::REPLACE, request, |_| {})
            .map_err(|e| e.during(format!("set neighbour {ip} on interface {index}")))
    }

    /// The neighbours on `index` that are as [`Netlink::neighbour_set`] makes them.
    pub fn neighbours_set(&mut self, index: u32) -> Result<Vec<IpAddr>, Error> {
        let mut all = Vec::new();
        for family in [libc::AF_INET, libc::AF_INET6] {
            let request = message::body(&[family as u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[]);
            all.extend(
                self.dump(Rtm::Getneigh, &request, |message| neighbour_made(message, index))
                    .map_err(|e| e.during(format!("list the neighbours on interface {index}")))?,
            );
        }
        Ok(all)
    }

    /// Remove the neighbour `ip`; it is no error when it is gone already.
    pub fn neighbour_remove(&mut self, index: u32, ip: IpAddr) -> Result<(), Error> {
        match self.request(Rtm::Delneigh, NlmF::empty(), neighbour(index, ip, None), |_| {}) {
            Err(e) if !matches!(e.errno, libc::ENOENT | libc::ENODEV | libc::ENXIO) => {
                Err(e.during(format!("remove neighbour {ip} from interface {index}")))
            }
            _ => Ok(()),
        }
    }
}

/// The address of a neighbour on `index`, if it is as [`neighbour`] describes it.
fn neighbour_made(message: &Message<'_>, index: u32) -> Option<IpAddr> {
    // `struct ndmsg`: family, padding, interface, state, flags, type.
    let ([_, _, _, _, i0, i1, i2, i3, s0, s1, flags, _], mut attributes) = message::header(message.body)?;
    let is_it = u32::from_ne_bytes([i0, i1, i2, i3]) == index
        && u16::from_ne_bytes([s0, s1]) == Nud::NOARP.bits()
        && flags & fdb::NTF_EXT_LEARNED != 0;
    let ip = attributes.find(|(kind, _)| Nda::from(*kind) == Nda::Dst)?.1;
    message::ip_of(ip).filter(|_| is_it)
}

fn neighbour(index: u32, ip: IpAddr, lladdr: Option<&[u8]>) -> Buffer {
    let mut attributes = vec![message::ip_attribute(Nda::Dst, ip)];
    attributes.extend(lladdr.map(|lladdr| message::attribute(Nda::Lladdr, lladdr)));
    let family = if ip.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    fdb::body(family as u8, index, Nud::NOARP, fdb::NTF_EXT_LEARNED, &attributes)
}
