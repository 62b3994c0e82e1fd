//! NHRP in GRE by a raw IP socket: no tunnel device, no module, any kernel.

use super::Received;
use crate::engine::Path;
use crate::shell::netlink::set_receive_buffer;
use crate::shell::packet::{self, Addressed};
use crate::types::Nbma;
use crate::wire::{self, Prefix, VpnTag, gre};
use socket2::{Domain, SockFilter, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

/// IP protocol 47.
const GRE: i32 = 47;
/// Room for the registrations of a thousand spokes that come at once, and for what comes in a flood while the daemon waits for a
/// processor: some 5000 packets (the kernel doubles it), which a slow router, at 100 us each, reads in half a second.
const RECEIVE_BUFFER: usize = 2 << 20;

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
        let domain = match like.ip() {
            IpAddr::V4(_) => Domain::IPV4,
            IpAddr::V6(_) => Domain::IPV6,
        };
        let socket = packet::open(domain, Type::RAW, GRE, "GRE (protocol 47)")?;
        // First of all, so that little else slips in.
        socket.attach_filter(&filter(domain, None))?;
        socket.bind_device(interface.map(str::as_bytes))?;
        // A smaller buffer only means that more spokes have to ask twice.
        let _ = set_receive_buffer(&socket, RECEIVE_BUFFER);
        socket.set_nonblocking(true)?;
        packet::tell_destinations(&socket, domain)?;
        Ok(Raw { domain, socket })
    }

    /// From now on only what comes from these wakes the daemon, or from all. What is in the socket stays.
    pub fn hear(&self, from: Option<&[Nbma]>) -> io::Result<()> {
        self.socket.attach_filter(&filter(self.domain, from))
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
        packet::send_from(&self.socket, &packet, from.ip(), SocketAddr::new(to.ip(), 0))
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

pub(super) const fn statement(code: u32, jt: u8, jf: u8, k: u32) -> SockFilter {
    SockFilter::new(code as u16, jt, jf, k)
}

/// Where the source address is, from the IP header on (`SKF_NET_OFF`): there the filter sees it whatever a socket hands out.
const NETWORK: u32 = -0x10_0000_i32 as u32;
const SOURCE_V4: u32 = NETWORK + 12;
const SOURCE_V6: u32 = NETWORK + 8;

/// Lets NHRP in GRE through, from these addresses only where there are some to choose from.
fn filter(domain: Domain, from: Option<&[Nbma]>) -> Vec<SockFilter> {
    const PASS: SockFilter = statement(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX);
    const DROP: SockFilter = statement(libc::BPF_RET | libc::BPF_K, 0, 0, 0);
    const LOAD: u32 = libc::BPF_LD | libc::BPF_ABS;
    const IS: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let mut program = match domain {
        // It sees the IPv4 header, of variable length.
        Domain::IPV4 => vec![
            statement(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, 0, 0, 0),
            statement(libc::BPF_LD | libc::BPF_H | libc::BPF_IND, 0, 0, 2),
        ],
        // Of IPv6 what is behind the headers.
        _ => vec![statement(LOAD | libc::BPF_H, 0, 0, 2)],
    };
    program.extend([statement(IS, 1, 0, u32::from(gre::PROTOCOL_NHRP)), DROP]);
    let Some(from) = from else {
        program.push(PASS);
        return program;
    };
    for ip in from.iter().map(|nbma| nbma.ip()).filter(|ip| ip.is_ipv4() == (domain == Domain::IPV4)) {
        let (bits, words, at) = match ip {
            IpAddr::V4(ip) => (ip.to_bits().into(), 1, SOURCE_V4),
            IpAddr::V6(ip) => (ip.to_bits(), 4, SOURCE_V6),
        };
        for n in 0..words {
            // The next address stands behind the words that are left and what lets the packet pass.
            let left = words - 1 - n;
            program.push(statement(LOAD | libc::BPF_W, 0, 0, at + 4 * n));
            program.push(statement(IS, 0, 2 * left as u8 + 1, (bits >> (32 * left)) as u32));
        }
        program.push(PASS);
    }
    program.push(DROP);
    program
}
