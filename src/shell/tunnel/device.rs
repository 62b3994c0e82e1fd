//! NHRP by a packet socket on a kernel GRE device, point-to-point or multipoint. The kernel does the GRE header; on a
//! multipoint device the peer's underlay address is the link-layer address.

use super::Received;
use crate::engine::Path;
use crate::types::Nbma;
use crate::wire::{self, Prefix, VpnTag, gre};
use async_io::Async;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;

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

/// The socket.
#[derive(Debug)]
pub struct Device {
    local: Nbma,
    gre: Gre,
    socket: Async<Socket>,
}

/// `struct sockaddr_ll` with the room for an IPv6 address that the kernel's own has not.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct LinkAddress {
    family: u16,
    protocol: u16,
    index: i32,
    hatype: u16,
    pkttype: u8,
    halen: u8,
    octets: [u8; 32],
}

impl Device {
    /// Opens the socket.
    pub fn open(local: Nbma, gre: &Gre) -> io::Result<Device> {
        // Made for no protocol, so that nothing comes in before it is bound to the device.
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(0)))?;
        let address = link_address(gre.index, &[]);
        let address = (&raw const address).cast::<libc::sockaddr>();
        // SAFETY: the address is a local of at least the length given, in the layout of AF_PACKET.
        #[allow(unsafe_code)]
        let bound = unsafe {
            libc::bind(socket.as_raw_fd(), address, size_of::<libc::sockaddr_ll>() as libc::socklen_t)
        };
        if bound != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Device { local, gre: *gre, socket: Async::new(socket)? })
    }

    pub async fn receive<'b>(&self, buf: &'b mut [u8]) -> io::Result<Option<Received<'b>>> {
        let (len, from) = self.socket.read_with(|socket| receive_from(socket, buf)).await?;
        // What this router sends itself is seen, too.
        if from.pkttype == libc::PACKET_OUTGOING {
            return Ok(None);
        }
        let remote = match from.halen {
            0 => self.gre.remote,
            _ => address(&from),
        };
        let parsed = wire::parse_payload(self.gre.key, &buf[..len]);
        let (Some(remote), Ok((tag, nhrp))) = (remote, parsed) else { return Ok(None) };
        Ok(Some(Received { path: Path { local: self.local, remote }, tag, nhrp }))
    }

    pub fn send(&self, to: Nbma, tag: VpnTag, nhrp: &[u8]) -> io::Result<()> {
        let prefix = Prefix::payload(tag);
        let mut packet = heapless::Vec::<u8, 1500>::new();
        let fits = packet.extend_from_slice(prefix.as_bytes()).and_then(|()| packet.extend_from_slice(nhrp));
        fits.map_err(|()| io::Error::from(io::ErrorKind::InvalidInput))?;
        let address = match (self.gre.remote, to.ip()) {
            // A point-to-point device leads to one peer only.
            (Some(remote), _) if remote != to => {
                return Err(io::Error::new(io::ErrorKind::NetworkUnreachable, "not the tunnel's remote"));
            }
            (Some(_), _) => link_address(self.gre.index, &[]),
            (None, IpAddr::V4(ip)) => link_address(self.gre.index, &ip.octets()),
            (None, IpAddr::V6(ip)) => link_address(self.gre.index, &ip.octets()),
        };
        let pointer = (&raw const address).cast::<libc::sockaddr>();
        // SAFETY: packet and address are locals of at least the lengths given.
        #[allow(unsafe_code)]
        let sent = unsafe {
            libc::sendto(
                self.socket.get_ref().as_raw_fd(),
                packet.as_ptr().cast(),
                packet.len(),
                libc::MSG_DONTWAIT,
                pointer,
                size_of::<LinkAddress>() as libc::socklen_t,
            )
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

fn link_address(index: u32, octets: &[u8]) -> LinkAddress {
    let mut address = LinkAddress {
        family: libc::AF_PACKET as u16,
        protocol: gre::PROTOCOL_NHRP.to_be(),
        index: index as i32,
        halen: octets.len() as u8,
        ..LinkAddress::default()
    };
    address.octets[..octets.len()].copy_from_slice(octets);
    address
}

fn receive_from(socket: &Socket, buf: &mut [u8]) -> io::Result<(usize, LinkAddress)> {
    let mut from = LinkAddress::default();
    let mut from_len = size_of::<LinkAddress>() as libc::socklen_t;
    let pointer = (&raw mut from).cast::<libc::sockaddr>();
    // SAFETY: buffer and address are as long as the kernel is told; any octets are a valid LinkAddress.
    #[allow(unsafe_code)]
    let len = unsafe {
        libc::recvfrom(socket.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len(), 0, pointer, &raw mut from_len)
    };
    usize::try_from(len).map_or_else(|_| Err(io::Error::last_os_error()), |len| Ok((len, from)))
}

fn address(from: &LinkAddress) -> Option<Nbma> {
    let ip = match (from.halen, from.octets) {
        (4, [a, b, c, d, ..]) => Ipv4Addr::new(a, b, c, d).into(),
        (16, octets) => Ipv6Addr::from(<[u8; 16]>::try_from(octets.get(..16)?).ok()?).into(),
        _ => return None,
    };
    Nbma::new(ip)
}
