//! Sends probes: to the UDP port of VXLAN, with DF as the kernel's own VXLAN devices have it, which over IPv4 is without and
//! over IPv6 means that nothing is divided here.

use crate::engine::Probing;
use crate::shell::netlink::name_of;
use crate::shell::packet::{self, Division};
use crate::shell::words::InWords;
use crate::types::{Nbma, Vni};
use crate::wire::probe::quoted;
use socket2::{Domain, SockFilter, Socket, Type};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

/// Questions leave by so many ports of an address family: firewalls and several ways of one length tell frames apart by it.
const FLOWS: usize = 8;

/// So often it is tried to send one, while more and more is told of others.
const TRIES: usize = 4;

/// So many octets of what is quoted tell which one it was.
const QUOTED: usize = 256;

/// The outside says of a question that it cannot get there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The VNI of the VN here.
    pub vni: Vni,
    /// The question's nonce.
    pub nonce: u64,
}

/// The sockets.
#[derive(Debug, Default)]
pub struct Mouth {
    port: u16,
    via: Option<Option<u32>>,
    /// Of IPv4, of IPv4 where nobody may divide, of IPv6.
    families: [Family; 3],
}

/// Sockets as they are needed.
#[derive(Debug, Default)]
struct Family {
    questions: [Option<Socket>; FLOWS],
    answers: Option<Socket>,
    /// For what is sent that routers say what is too large for them.
    uncut: Option<Socket>,
}

impl Mouth {
    pub fn send_by(&mut self, port: u16, via: Option<Option<u32>>) {
        if (self.port, self.via) != (port, via) {
            *self = Mouth { port, via, families: Default::default() };
        }
    }

    /// Those of which something may be told.
    pub fn questions(&self) -> impl Iterator<Item = &Socket> {
        self.families.iter().flat_map(|family| family.questions.iter().flatten())
    }

    pub fn sources(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.questions().map(AsFd::as_fd)
    }

    /// Sends it; an error says that there is no way. What is told of earlier ones meanwhile is added to `lost`.
    pub fn send(
        &mut self,
        probing: &Probing,
        df: bool,
        octets: &[u8],
        lost: &mut VecDeque<Lost>,
    ) -> io::Result<()> {
        let via = self.via.ok_or(io::ErrorKind::NetworkUnreachable)?;
        let (place, as_frames) = match (probing.to.nbma.ip(), df) {
            (IpAddr::V4(_), false) => (0, Division::Allowed),
            (IpAddr::V4(_), true) => (1, Division::Refused),
            (IpAddr::V6(_), _) => (2, Division::Refused),
        };
        let family = &mut self.families[place];
        let (slot, division) = match (probing.probe.is_answer, probing.is_uncut) {
            (true, _) => (&mut family.answers, as_frames),
            (false, true) => (&mut family.uncut, Division::Tried),
            (false, false) => (&mut family.questions[usize::from(probing.flow) % FLOWS], as_frames),
        };
        let keeps = !probing.probe.is_answer && !probing.is_uncut;
        let socket = match slot {
            Some(socket) => socket,
            None => slot.insert(open(probing.to.nbma, via, division, keeps)?),
        };
        let to = SocketAddr::new(probing.to.nbma.ip(), self.port);
        for _ in 0..TRIES {
            let Err(e) = packet::send_from(socket, octets, probing.local.ip(), to) else { return Ok(()) };
            // It may fail by what was told of another one, and does once for each; else it is about this one.
            let mut is_told = false;
            while let Some(told) = hear(socket, &mut [0; QUOTED]) {
                is_told = true;
                lost.extend(told);
            }
            if is_told {
                continue;
            }
            if is_no_way(&e) {
                return Err(e);
            }
            // The kernel may know already that it is too large for its way.
            if e.raw_os_error() != Some(libc::EMSGSIZE) {
                log::debug!("no probe to {}: {}", probing.to, InWords(&e));
            }
            break;
        }
        Ok(())
    }
}

/// The next of what is told of questions by a socket, if it is that one cannot get there; `None` when there is none.
pub fn hear(socket: &Socket, buffer: &mut [u8]) -> Option<Option<Lost>> {
    let returned = packet::receive_error(socket, buffer).ok()?;
    let octets = buffer.get(..returned.len).unwrap_or_default();
    let lost = quoted(octets).filter(|_| returned.is_unreachable);
    Some(lost.map(|(vni, nonce)| Lost { vni, nonce }))
}

fn is_no_way(e: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    matches!(e.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable)
}

/// A socket for the family of `like`, by a port of the kernel's choice.
fn open(like: Nbma, via: Option<u32>, division: Division, keeps_errors: bool) -> io::Result<Socket> {
    let ipv6 = like.ip().is_ipv6();
    let socket = Socket::new(if ipv6 { Domain::IPV6 } else { Domain::IPV4 }, Type::DGRAM, None)?;
    // Answers come by the VXLAN devices: whatever else comes here is nothing to wake up for.
    socket.attach_filter(&[SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, 0)])?;
    socket.bind_device(via.map(name_of).as_deref().map(str::as_bytes))?;
    packet::divide(&socket, ipv6, division)?;
    if keeps_errors {
        packet::keep_errors(&socket, ipv6)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}
