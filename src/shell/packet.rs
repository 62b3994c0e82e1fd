//! Packet sockets (AF_PACKET), raw ones, and what ICMP says: what the standard library and socket2 have no safe calls for.

use super::netlink::set_option;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
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

    /// The device.
    pub fn index(&self) -> u32 {
        self.index.unsigned_abs()
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

/// The kernel tells of each packet of a raw IP socket which address it was sent to.
pub fn tell_destinations(socket: &Socket, domain: Domain) -> io::Result<()> {
    let (level, option) = match domain {
        Domain::IPV4 => (libc::IPPROTO_IP, libc::IP_PKTINFO),
        _ => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
    };
    set_option(socket.as_raw_fd(), level, option, 1)
}

/// A packet of a raw IP socket.
#[derive(Clone, Copy, Debug)]
pub struct Addressed {
    /// How many octets it has, with the IP header of IPv4.
    pub len: usize,
    /// Who sent it.
    pub from: IpAddr,
    /// The address of this router it was sent to; `None` for one that several may have (broadcast, multicast).
    pub to: Option<IpAddr>,
}

/// Receives a packet from a socket that was told to [`tell_destinations`].
pub fn receive_addressed(socket: &Socket, buf: &mut [u8]) -> io::Result<Addressed> {
    let mut control = Control::default();
    let (len, from, header) = receive_message(socket, buf, &mut control, 0)?;
    let from = from.as_socket().ok_or(io::ErrorKind::InvalidData)?.ip();
    Ok(Addressed { len, from, to: destination(&header) })
}

/// What there is to say of a packet that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Returned {
    /// How many octets of it are quoted.
    pub len: usize,
    /// Whether ICMP says that it cannot get there: no way to its network or host, nobody at its port, or it may not.
    pub is_unreachable: bool,
}

/// The kernel keeps what ICMP says of packets that the socket sent.
pub fn keep_errors(socket: &Socket, ipv6: bool) -> io::Result<()> {
    let (level, option) = match ipv6 {
        false => (libc::IPPROTO_IP, libc::IP_RECVERR),
        true => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
    };
    set_option(socket.as_raw_fd(), level, option, 1)
}

/// The next of what [`keep_errors`] keeps; in `buf` what is quoted of the packet. While there are some, sending fails by
/// them, wherever to.
pub fn receive_error(socket: &Socket, buf: &mut [u8]) -> io::Result<Returned> {
    let mut control = Control::default();
    let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
    let (len, _, header) = receive_message(socket, buf, &mut control, flags)?;
    let is_unreachable = first_control(&header).is_some_and(|(level, kind, data)| {
        if !matches!(
            (level, kind),
            (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
        ) {
            return false;
        }
        // SAFETY: that is what such a message begins with, aligned or not.
        #[allow(unsafe_code)]
        let error: libc::sock_extended_err =
            unsafe { data.cast::<libc::sock_extended_err>().read_unaligned() };
        // Unreachable: network, host, port, prohibited (RFC 792, RFC 1812); no route, prohibited, address, port (RFC 4443).
        matches!(
            (error.ee_origin, error.ee_type, error.ee_code),
            (libc::SO_EE_ORIGIN_ICMP, 3, 0 | 1 | 3 | 13) | (libc::SO_EE_ORIGIN_ICMP6, 1, 0 | 1 | 3 | 4)
        )
    });
    Ok(Returned { len, is_unreachable })
}

/// A packet: its length, an address that goes with it, and where its control messages are.
fn receive_message(
    socket: &Socket,
    buf: &mut [u8],
    control: &mut Control,
    flags: libc::c_int,
) -> io::Result<(usize, SockAddr, libc::msghdr)> {
    let mut iov = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    // SAFETY: all zero is a valid msghdr: nothing to be filled.
    #[allow(unsafe_code)]
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut iov;
    header.msg_iovlen = 1;
    header.msg_control = (&raw mut *control).cast();
    header.msg_controllen = size_of::<Control>() as _;
    // SAFETY: all that the header points to lives for the call, as long as the kernel is told; the address it writes, and
    // its length, are what `try_init` asks for.
    #[allow(unsafe_code)]
    let (len, address) = unsafe {
        SockAddr::try_init(|storage, length| {
            header.msg_name = storage.cast();
            header.msg_namelen = *length;
            let len = libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags);
            *length = header.msg_namelen;
            usize::try_from(len).map_err(|_| io::Error::last_os_error())
        })
    }?;
    (header.msg_name, header.msg_iov) = (std::ptr::null_mut(), std::ptr::null_mut());
    Ok((len, address, header))
}

/// Sends a packet from `from`, one of this router's addresses; a raw IP socket has no ports.
pub fn send_from(socket: &Socket, packet: &[u8], from: IpAddr, to: SocketAddr) -> io::Result<()> {
    let to = SockAddr::from(to);
    // `struct in_pktinfo`: interface, own address, other address. `struct in6_pktinfo`: own address, interface. The
    // route says which interface it is.
    let mut info = [0; 20];
    let (level, kind, length) = match from {
        IpAddr::V4(ip) => {
            info[4..8].copy_from_slice(&ip.octets());
            (libc::IPPROTO_IP, libc::IP_PKTINFO, size_of::<libc::in_pktinfo>())
        }
        IpAddr::V6(ip) => {
            info[..16].copy_from_slice(&ip.octets());
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, size_of::<libc::in6_pktinfo>())
        }
    };
    let mut iov = libc::iovec { iov_base: packet.as_ptr().cast_mut().cast(), iov_len: packet.len() };
    let mut control = Control::default();
    // SAFETY: all zero is a valid msghdr; all that it is made to point to lives for the call, as long as the kernel is
    // told, and is only read. The control message has room for the address.
    #[allow(unsafe_code)]
    let sent = unsafe {
        let mut header: libc::msghdr = std::mem::zeroed();
        header.msg_name = to.as_ptr().cast_mut().cast();
        header.msg_namelen = to.len();
        header.msg_iov = &raw mut iov;
        header.msg_iovlen = 1;
        header.msg_control = (&raw mut control).cast();
        header.msg_controllen = libc::CMSG_SPACE(length as u32) as _;
        let message = libc::CMSG_FIRSTHDR(&raw const header);
        (*message).cmsg_level = level;
        (*message).cmsg_type = kind;
        (*message).cmsg_len = libc::CMSG_LEN(length as u32) as _;
        std::ptr::copy_nonoverlapping(info.as_ptr(), libc::CMSG_DATA(message), length);
        libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_DONTWAIT)
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Room for one control message with an address, aligned as its header wants it.
#[repr(C, align(8))]
#[derive(Default)]
struct Control([u64; 8]);

/// Level, kind and data of the first control message, as the kernel filled them in.
#[allow(unsafe_code)]
fn first_control(header: &libc::msghdr) -> Option<(libc::c_int, libc::c_int, *const u8)> {
    // SAFETY: the kernel filled in the control messages, and how long they are; the first, if there is one, is whole.
    unsafe {
        let message = libc::CMSG_FIRSTHDR(header).as_ref()?;
        Some((message.cmsg_level, message.cmsg_type, libc::CMSG_DATA(message).cast_const()))
    }
}

/// Where a packet was sent to, as its control message says.
#[allow(unsafe_code)]
fn destination(header: &libc::msghdr) -> Option<IpAddr> {
    let (level, kind, data) = first_control(header)?;
    match (level, kind) {
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
            // SAFETY: that is what such a message holds, aligned or not.
            let info: libc::in_pktinfo = unsafe { data.cast::<libc::in_pktinfo>().read_unaligned() };
            // To what is sent to many the kernel would answer from another address.
            let is_ours = info.ipi_addr.s_addr == info.ipi_spec_dst.s_addr;
            is_ours.then(|| Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()).into())
        }
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
            // SAFETY: that is what such a message holds, aligned or not.
            let info: libc::in6_pktinfo = unsafe { data.cast::<libc::in6_pktinfo>().read_unaligned() };
            let to = Ipv6Addr::from(info.ipi6_addr.s6_addr);
            (!to.is_multicast()).then(|| to.into())
        }
        _ => None,
    }
}

/// Whether what a socket sends may be divided, on its way or before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Division {
    /// It may.
    Allowed,
    /// No, and what is known to be too large for its way is not sent.
    Refused,
    /// No, and what is too large is sent all the same, up to what the first device takes: so routers are made to say how large
    /// it may be.
    Tried,
}

/// Says so of a socket.
pub fn divide(socket: &Socket, ipv6: bool, division: Division) -> io::Result<()> {
    let (level, name) = match ipv6 {
        false => (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER),
        true => (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER),
    };
    // The values of both are the same.
    let value = match division {
        Division::Allowed => libc::IP_PMTUDISC_DONT,
        Division::Refused => libc::IP_PMTUDISC_DO,
        Division::Tried => libc::IP_PMTUDISC_PROBE,
    };
    set_option(socket.as_raw_fd(), level, name, value)
}

/// The largest packet, in octets, that gets from a connected socket to its other end, as far as the kernel knows.
pub fn mtu_of(socket: &Socket, ipv6: bool) -> io::Result<u32> {
    let (level, name) = match ipv6 {
        false => (libc::IPPROTO_IP, libc::IP_MTU),
        true => (libc::IPPROTO_IPV6, libc::IPV6_MTU),
    };
    let mut value: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the kernel writes no more than it is told there is room for.
    #[allow(unsafe_code)]
    let got = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut length)
    };
    if got == 0 { Ok(value.unsigned_abs()) } else { Err(io::Error::last_os_error()) }
}
