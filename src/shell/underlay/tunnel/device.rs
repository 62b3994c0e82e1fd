//! NHRP by a packet socket on a kernel GRE device, point-to-point or multipoint. The kernel does the GRE header; on a
//! multipoint device the peer's underlay address is the link-layer address.

use super::Received;
use crate::control::Cause;
use crate::engine::Path;
use crate::shell::netlink::{Kind, Link};
use crate::shell::packet::{self, LinkAddress};
use crate::shell::underlay::own::Own;
use crate::types::Nbma;
use crate::wire::{self, Prefix, VpnTag, gre};
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};

/// What has to be known of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gre {
    /// Its interface index.
    pub index: u32,
    /// The other end of a point-to-point device.
    pub remote: Option<Nbma>,
    /// The key it expects and sends.
    pub key: Option<u32>,
}

/// The address that the GRE device `name` sends from, and what else has to be known of it; or what is wrong with it.
pub fn gre(name: &str, link: Option<&Link>, own: &Own) -> Result<(Nbma, Gre), Cause> {
    let Some((link, Kind::Gre(info))) = link.map(|l| (l, &l.kind)) else {
        return Err(Cause::NoGre(name.to_owned()));
    };
    if !link.up {
        return Err(Cause::InterfaceDown(name.to_owned()));
    }
    let remote = info.remote.and_then(Nbma::new);
    if info.ipv6 && remote.is_none() {
        // Linux sends from such a device, but does not tell from where a packet came (no `header_ops.parse`).
        return Err(Cause::MultipointGre6(name.to_owned()));
    }
    let local = info.local.and_then(Nbma::new).or(own.addresses.first().copied());
    let local = local.ok_or_else(|| own.trouble.clone().unwrap_or(Cause::NoAddress(name.to_owned())))?;
    Ok((local, Gre { index: link.index, remote, key: info.ikey }))
}

/// The socket.
#[derive(Debug)]
pub struct Device {
    local: Nbma,
    gre: Gre,
    socket: Socket,
}

impl Device {
    /// Opens the socket.
    pub fn open(local: Nbma, gre: &Gre) -> io::Result<Device> {
        // Made for no protocol, so that nothing comes in before it is bound to the device.
        let socket = packet::open(Domain::PACKET, Type::DGRAM, 0, "NHRP on a GRE device")?;
        packet::bind(&socket, &link_address(gre, &[]))?;
        socket.set_nonblocking(true)?;
        Ok(Device { local, gre: *gre, socket })
    }

    /// The address it sends from.
    pub fn local(&self) -> Nbma {
        self.local
    }

    pub fn receive<'b>(&self, buf: &'b mut [u8]) -> io::Result<Option<Received<'b>>> {
        let (len, from) = packet::receive_from(&self.socket, buf)?;
        // What this router sends itself is seen, too.
        if from.pkttype == libc::PACKET_OUTGOING {
            return Ok(None);
        }
        let remote = match from.halen {
            0 => self.gre.remote,
            _ => address(&from),
        };
        let parsed = wire::parse_payload(self.gre.key, &buf[..len]);
        Ok(remote.map(|remote| Received::new(Path { local: self.local, remote }, parsed)))
    }

    pub fn send(&self, to: Nbma, tag: VpnTag, nhrp: &[u8]) -> io::Result<()> {
        let octets = super::packet(&Prefix::payload(tag), nhrp)?;
        let address = match (self.gre.remote, to.ip()) {
            // A point-to-point device leads to one peer only.
            (Some(remote), _) if remote != to => {
                return Err(io::Error::new(io::ErrorKind::NetworkUnreachable, "not the tunnel's remote"));
            }
            (Some(_), _) => link_address(&self.gre, &[]),
            (None, IpAddr::V4(ip)) => link_address(&self.gre, &ip.octets()),
            (None, IpAddr::V6(ip)) => link_address(&self.gre, &ip.octets()),
        };
        packet::send_to(&self.socket, &octets, &address)
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn link_address(gre: &Gre, octets: &[u8]) -> LinkAddress {
    LinkAddress::new(gre.index, gre::PROTOCOL_NHRP, octets)
}

/// The underlay address that a packet came from, where the device tells it.
pub(super) fn address(from: &LinkAddress) -> Option<Nbma> {
    let ip = match (from.halen, from.octets) {
        (4, [a, b, c, d, ..]) => Ipv4Addr::new(a, b, c, d).into(),
        (16, octets) => Ipv6Addr::from(<[u8; 16]>::try_from(octets.get(..16)?).ok()?).into(),
        _ => return None,
    };
    Nbma::new(ip)
}
