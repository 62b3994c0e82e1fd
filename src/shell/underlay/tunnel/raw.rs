//! NHRP in GRE by a raw IP socket: no tunnel device, no module, any kernel.

use super::Received;
use crate::engine::Path;
use crate::shell::netlink::set_receive_buffer;
use crate::shell::packet::{self, Addressed};
use crate::types::Nbma;
use crate::wire::{self, Prefix, VpnTag, gre};
use socket2::{Domain, SockFilter, Socket, Type};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

/// IP protocol 47.
const GRE: i32 = 47;
/// Room for the registrations of a thousand spokes that come at once.
const RECEIVE_BUFFER: usize = 1 << 20;

/// The socket: of an address family, for all addresses that this router has and will have.
#[derive(Debug)]
pub struct Raw {
    domain: Domain,
    socket: Socket,
}

impl Raw {
    /// Opens a socket for the family of `like`; with `interface` for what comes and goes by that one only. Of all GRE
    /// packets only NHRP ever wakes the daemon.
    pub fn open(like: Nbma, interface: Option<&str>) -> io::Result<Raw> {
        let (domain, filter) = match like.ip() {
            IpAddr::V4(_) => (Domain::IPV4, filter_v4()),
            IpAddr::V6(_) => (Domain::IPV6, filter_v6()),
        };
        let socket = packet::open(domain, Type::RAW, GRE, "GRE (protocol 47)")?;
        // First of all, so that little else slips in.
        socket.attach_filter(&filter)?;
        socket.bind_device(interface.map(str::as_bytes))?;
        // A smaller buffer only means that more spokes have to ask twice.
        let _ = set_receive_buffer(&socket, RECEIVE_BUFFER);
        socket.set_nonblocking(true)?;
        packet::tell_destinations(&socket, domain)?;
        Ok(Raw { domain, socket })
    }

    /// Whether it is for addresses of this family.
    pub fn is_for(&self, like: Nbma) -> bool {
        like.ip().is_ipv4() == (self.domain == Domain::IPV4)
    }

    pub fn receive<'b>(&self, buf: &'b mut [u8]) -> io::Result<Option<Received<'b>>> {
        let Addressed { len, from, to } = packet::receive_addressed(&self.socket, buf)?;
        let packet = buf.get(..len).unwrap_or_default();
        Ok(self.received(packet, from, to))
    }

    pub fn send(&self, from: Nbma, to: Nbma, tag: VpnTag, nhrp: &[u8]) -> io::Result<()> {
        let packet = super::packet(&Prefix::gre(tag), nhrp)?;
        packet::send_from(&self.socket, &packet, from.ip(), to.ip())
    }

    fn received<'b>(&self, packet: &'b [u8], from: IpAddr, to: Option<IpAddr>) -> Option<Received<'b>> {
        let packet = if self.domain == Domain::IPV4 { without_ip_header(packet)? } else { packet };
        // Good for a link only: no VXLAN would come from there.
        let to = to.filter(|to| !matches!(to, IpAddr::V6(ip) if ip.is_unicast_link_local()))?;
        let path = Path { local: Nbma::new(to)?, remote: Nbma::new(from)? };
        Some(Received::new(path, wire::parse(packet)))
    }
}

impl AsFd for Raw {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A raw IPv4 socket hands out the IP header too.
fn without_ip_header(packet: &[u8]) -> Option<&[u8]> {
    let words = usize::from(packet.first()? & 0x0f);
    packet.get(words * 4..)
}

const fn statement(code: u32, jt: u8, jf: u8, k: u32) -> SockFilter {
    SockFilter::new(code as u16, jt, jf, k)
}

/// Lets a packet through whose GRE protocol, loaded by `load`, is NHRP.
fn filter<const N: usize>(load: [SockFilter; N]) -> Vec<SockFilter> {
    const PASS: u32 = u32::MAX;
    const DROP: u32 = 0;
    let mut program = Vec::from(load);
    program.extend([
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, u32::from(gre::PROTOCOL_NHRP)),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, PASS),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, DROP),
    ]);
    program
}

/// The filter sees the IPv4 header, of variable length.
fn filter_v4() -> Vec<SockFilter> {
    filter([
        statement(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, 0, 0, 0),
        statement(libc::BPF_LD | libc::BPF_H | libc::BPF_IND, 0, 0, 2),
    ])
}

/// Of IPv6 it sees what is behind the headers.
fn filter_v6() -> Vec<SockFilter> {
    filter([statement(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, 0, 0, 2)])
}
