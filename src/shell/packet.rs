//! Packet sockets (AF_PACKET) and raw ones: what the standard library and socket2 have no safe calls for.

use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::mem::size_of;
use std::os::fd::AsRawFd;

/// `struct sockaddr_ll` with the room for an IPv6 address that the C library's has not.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct LinkAddress {
    family: u16,
    protocol: u16,
    index: i32,
    hatype: u16,
    /// One of PACKET_HOST and so on.
    pub pkttype: u8,
    /// How many of the octets count.
    pub halen: u8,
    /// The link-layer address.
    pub octets: [u8; 32],
}

impl LinkAddress {
    /// The station `octets`, at most 32, on the device `index`, for packets of `protocol`.
    pub fn new(index: u32, protocol: u16, octets: &[u8]) -> LinkAddress {
        let mut address = LinkAddress {
            family: libc::AF_PACKET as u16,
            protocol: protocol.to_be(),
            index: index as i32,
            ..LinkAddress::default()
        };
        for (place, octet) in address.octets.iter_mut().zip(octets) {
            *place = *octet;
            address.halen += 1;
        }
        address
    }
}

/// Opens a socket that the kernel gives to the privileged only; an error names the privilege that is missing for `what`.
pub fn open(domain: Domain, kind: Type, protocol: i32, what: &str) -> io::Result<Socket> {
    Socket::new(domain, kind, Some(Protocol::from(protocol))).map_err(|e| match e.kind() {
        io::ErrorKind::PermissionDenied => io::Error::new(e.kind(), format!("needs CAP_NET_RAW for {what}")),
        _ => e,
    })
}

/// Binds the socket to the device and protocol of `address`.
pub fn bind(socket: &Socket, address: &LinkAddress) -> io::Result<()> {
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the address is at least as long as the kernel is told, and laid out as AF_PACKET has it.
    #[allow(unsafe_code)]
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const *address).cast(), length) };
    if bound == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sends a packet, or fails at once if there is no room for it.
pub fn send_to(socket: &Socket, packet: &[u8], address: &LinkAddress) -> io::Result<()> {
    let (octets, length) = (packet.as_ptr().cast(), size_of::<LinkAddress>() as libc::socklen_t);
    // SAFETY: packet and address are as long as the kernel is told.
    #[allow(unsafe_code)]
    let sent = unsafe {
        let address = (&raw const *address).cast();
        libc::sendto(socket.as_raw_fd(), octets, packet.len(), libc::MSG_DONTWAIT, address, length)
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Receives a packet: its length, and where it is from.
pub fn receive_from(socket: &Socket, buf: &mut [u8]) -> io::Result<(usize, LinkAddress)> {
    let mut from = LinkAddress::default();
    let mut from_len = size_of::<LinkAddress>() as libc::socklen_t;
    // SAFETY: buffer and address are as long as the kernel is told; any octets are a valid LinkAddress.
    #[allow(unsafe_code)]
    let len = unsafe {
        let from = (&raw mut from).cast();
        libc::recvfrom(socket.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len(), 0, from, &raw mut from_len)
    };
    usize::try_from(len).map_or_else(|_| Err(io::Error::last_os_error()), |len| Ok((len, from)))
}
