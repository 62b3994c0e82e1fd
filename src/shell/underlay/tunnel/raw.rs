//! NHRP in GRE by a raw IP socket: no tunnel device, no module, any kernel.

use super::Received;
use crate::engine::{Path, Via};
use crate::shell::netlink::set_receive_buffer;
use crate::shell::packet;
use crate::types::Nbma;
use crate::wire::{self, Prefix, VpnTag, gre};
use socket2::{Domain, SockAddr, SockFilter, Type};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

/// IP protocol 47.
const GRE: i32 = 47;
/// Room for the registrations of a thousand spokes that come at once.
const RECEIVE_BUFFER: usize = 1 << 20;

/// The socket, bound to one of our addresses. The standard library calls it a UDP socket; what it offers is the same
/// for any datagrams.
#[derive(Debug)]
pub struct Raw {
    local: Nbma,
    socket: UdpSocket,
}

impl Raw {
    /// Opens the socket. Of all GRE packets only NHRP ever wakes the daemon.
    pub fn open(local: Nbma) -> io::Result<Raw> {
        let (domain, filter) = match local.ip() {
            IpAddr::V4(_) => (Domain::IPV4, filter_v4()),
            IpAddr::V6(_) => (Domain::IPV6, filter_v6()),
        };
        let socket = packet::open(domain, Type::RAW, GRE, "GRE (protocol 47)")?;
        // Before it is bound, so that no other packet slips in.
        socket.attach_filter(&filter)?;
        // A smaller buffer only means that more spokes have to ask twice.
        let _ = set_receive_buffer(&socket, RECEIVE_BUFFER);
        socket.bind(&SockAddr::from(SocketAddr::new(local.ip(), 0)))?;
        socket.set_nonblocking(true)?;
        Ok(Raw { local, socket: UdpSocket::from(socket) })
    }

    pub fn receive<'b>(&self, buf: &'b mut [u8]) -> io::Result<Option<Received<'b>>> {
        let (len, from) = self.socket.recv_from(buf)?;
        let packet = &buf[..len];
        let Some(packet) = (match self.local.ip() {
            IpAddr::V4(_) => without_ip_header(packet),
            IpAddr::V6(_) => Some(packet),
        }) else {
            return Ok(None);
        };
        let (Some(remote), Ok((tag, nhrp))) = (Nbma::new(from.ip()), wire::parse(packet)) else {
            return Ok(None);
        };
        Ok(Some(Received { via: Via { path: Path { local: self.local, remote }, tag }, nhrp }))
    }

    pub fn send(&self, to: Nbma, tag: VpnTag, nhrp: &[u8]) -> io::Result<()> {
        let packet = super::packet(&Prefix::gre(tag), nhrp)?;
        self.socket.send_to(&packet, SocketAddr::new(to.ip(), 0)).map(|_| ())
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
