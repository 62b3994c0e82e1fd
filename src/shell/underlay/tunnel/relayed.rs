//! A look at the IP packets that come out of a GRE device: of a few in a second, the headers. Clients that send to each other
//! by way of this router are to be told.

use super::Received;
use super::device::{Gre, address};
use super::raw::statement;
use crate::engine::{Path, Via};
use crate::shell::netlink::set_receive_buffer;
use crate::shell::packet::{self, LinkAddress};
use crate::types::Nbma;
use crate::wire::VpnTag;
use socket2::{Domain, SockFilter, Socket, Type};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// Room for a few: while it is full, and nobody reads, the kernel drops what comes before it copies it.
const RECEIVE_BUFFER: usize = 8192;
/// So much of each is of interest.
const HEADERS: u32 = 128;
/// What the filter finds beside the packet (linux/filter.h).
const AD_OFF: u32 = (-0x1000_i32) as u32;
const AD_PROTOCOL: u32 = AD_OFF;
const AD_PKTTYPE: u32 = AD_OFF + 4;

/// The socket.
#[derive(Debug)]
pub struct Relayed {
    local: Nbma,
    gre: Gre,
    socket: Socket,
}

impl Relayed {
    /// Opens the socket, on a device that tells who sent a packet.
    pub fn open(local: Nbma, gre: &Gre) -> io::Result<Relayed> {
        let socket = packet::open(Domain::PACKET, Type::DGRAM, 0, "a look at what clients send each other")?;
        socket.attach_filter(&filter())?;
        // The kernel takes the least it has for less.
        let _ = set_receive_buffer(&socket, RECEIVE_BUFFER);
        packet::bind(&socket, &LinkAddress::new(gre.index, libc::ETH_P_ALL as u16, &[]))?;
        socket.set_nonblocking(true)?;
        Ok(Relayed { local, gre: *gre, socket })
    }

    pub fn receive<'b>(&self, buf: &'b mut [u8]) -> io::Result<Option<Received<'b>>> {
        let (len, from) = packet::receive_from(&self.socket, buf)?;
        let Some(remote) = address(&from) else { return Ok(None) };
        let path = Path { local: self.local, remote };
        let tag = self.gre.key.map_or(VpnTag::None, VpnTag::Key);
        Ok(Some(Received::Relayed { via: Via { path, tag }, packet: &buf[..len] }))
    }
}

impl AsFd for Relayed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Lets through the beginning of IP packets that came in.
fn filter() -> [SockFilter; 7] {
    let load = |k| statement(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, 0, 0, k);
    let is = |k: u32, jt, jf| statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, jt, jf, k);
    let pass = |octets| statement(libc::BPF_RET | libc::BPF_K, 0, 0, octets);
    [
        load(AD_PKTTYPE),
        is(libc::PACKET_HOST.into(), 0, 4),
        load(AD_PROTOCOL),
        is(libc::ETH_P_IP as u32, 1, 0),
        is(libc::ETH_P_IPV6 as u32, 0, 1),
        pass(HEADERS),
        pass(0),
    ]
}
