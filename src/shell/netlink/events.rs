//! What the kernel tells unasked: devices, forwarding entries, unknown destinations, addresses.

use super::message::{self, Message};
use super::{BridgePort, FdbEntry, Link, socket};
use super::{address, fdb};
use neli::consts::rtnl::{Nda, Rtm};
use socket2::{SockFilter, Socket};
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// Room for some ten thousand unread events.
const RECEIVE_BUFFER: usize = 4 << 20;

/// So many datagrams are received at once: making a port is told by a dozen of them. Each takes a page of its own.
const AT_ONCE: usize = 8;

/// An event is about one device or one entry. One that is longer counts as lost: all is listed.
const LONGEST: usize = 16 * 1024;

// Multicast groups (RTNLGRP_), by number: the libc crate has them for some targets only.
const GROUP_LINK: u32 = 1;
const GROUP_NEIGH: u32 = 3;
const GROUP_IPV4_IFADDR: u32 = 5;
const GROUP_IPV6_IFADDR: u32 = 9;

/// Something that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A device is there or was changed.
    Link(Link),
    /// A device is gone.
    LinkGone(Link),
    /// A port joined a bridge or was changed there; or the bridge itself was.
    Port(BridgePort),
    /// A forwarding entry is there or was changed. Older kernels (6.1) tell of a VXLAN entry
    /// twice when a program made it; the second time there is no destination and [`FdbEntry::is_ours`] is false.
    Fdb(FdbEntry),
    /// A forwarding entry, or one destination of it, is gone.
    FdbGone(FdbEntry),
    /// A VXLAN device was to send to a MAC it has no entry for (`l2miss`).
    Miss {
        /// The VXLAN device.
        index: u32,
        /// The destination.
        mac: [u8; 6],
    },
    /// Some address of this router was added, changed or removed.
    Addresses {
        /// The interface it is on.
        index: u32,
    },
    /// Events were lost: whatever was known has to be asked for again.
    Overrun,
}

impl Event {
    /// All that a datagram tells, up to what cannot be understood in it.
    pub fn all_in(datagram: &[u8]) -> Vec<Event> {
        let (mut rest, mut events) = (datagram, Vec::new());
        while let Ok(Some((message, advance))) = message::first(rest) {
            rest = rest.get(advance..).unwrap_or_default();
            events.extend(Event::parse(&message));
        }
        events
    }

    /// What `message` tells; `None` for what does not matter here, such as ARP.
    pub(super) fn parse(message: &Message<'_>) -> Option<Event> {
        match Rtm::from(message.kind) {
            Rtm::Newlink => {
                let port = || BridgePort::parse(message).map(Event::Port);
                Link::parse(message).map(Event::Link).or_else(port)
            }
            Rtm::Dellink => Link::parse(message).map(Event::LinkGone),
            Rtm::Newneigh => FdbEntry::parse(message).map(Event::Fdb),
            Rtm::Delneigh => FdbEntry::parse(message).map(Event::FdbGone),
            Rtm::Getneigh => miss(message),
            Rtm::Newaddr | Rtm::Deladdr => address::index(message).map(|index| Event::Addresses { index }),
            _ => None,
        }
    }
}

/// A VXLAN device's miss is RTM_GETNEIGH with a MAC and no destination. Its family is AF_INET, not
/// AF_BRIDGE; what tells it from the request to resolve an IP neighbour is that this has a destination.
fn miss(message: &Message<'_>) -> Option<Event> {
    let ([_, _, _, _, i0, i1, i2, i3, ..], attributes) = fdb::header(message)?;
    let mut found = None;
    for (kind, payload) in attributes {
        match Nda::from(kind) {
            Nda::Dst => return None,
            Nda::Lladdr => found = message::mac_of(payload),
            _ => {}
        }
    }
    Some(Event::Miss { index: message::index_of([i0, i1, i2, i3])?, mac: found? })
}

/// The socket that hears [`Event`]s. It does not block: wait until it is readable, then call
/// [`Events::next`] until there are none.
#[derive(Debug)]
pub struct Events {
    socket: Socket,
    receive_buffer: usize,
    /// Room for datagrams, most of which are short.
    buffer: Vec<u8>,
    /// How long they were that are there, and which of them are not looked at yet.
    lengths: [usize; AT_ONCE],
    unread: Range<usize>,
    /// How much of the first one of those was.
    from: usize,
}

impl Events {
    /// Listen in this thread's network namespace.
    pub fn open() -> io::Result<Events> {
        Events::with_receive_buffer(RECEIVE_BUFFER)
    }

    /// Listen with room for `bytes` of unread messages in the kernel.
    pub fn with_receive_buffer(bytes: usize) -> io::Result<Events> {
        let socket = listening(bytes)?;
        let buffer = vec![0; LONGEST * AT_ONCE];
        Ok(Events { socket, receive_buffer: bytes, buffer, lengths: [0; AT_ONCE], unread: 0..0, from: 0 })
    }

    /// The next event; `None` when there is none now.
    #[allow(clippy::should_implement_trait)] // an iterator's end would not be its last
    pub fn next(&mut self) -> Option<Event> {
        loop {
            if self.unread.is_empty() {
                match socket::receive_many(&self.socket, &mut self.buffer, &mut self.lengths) {
                    Ok(count) => (self.unread, self.from) = (0..count, 0),
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => return None,
                    // ENOBUFS, once for all that was lost.
                    Err(_) => return Some(self.overrun()),
                }
                continue;
            }
            match self.datagram().map_or(Err(message::Malformed), message::first) {
                Ok(Some((message, advance))) => {
                    let event = Event::parse(&message);
                    self.from += advance;
                    if event.is_some() {
                        return event;
                    }
                }
                Ok(None) => {
                    self.unread.next();
                    self.from = 0;
                }
                // A message that was cut, too.
                Err(message::Malformed) => return Some(self.overrun()),
            }
        }
    }

    /// What is left of the first unread datagram, if it was not cut.
    fn datagram(&self) -> Option<&[u8]> {
        let length = self.lengths.get(self.unread.start).filter(|length| **length <= LONGEST)?;
        let start = self.unread.start * LONGEST;
        self.buffer.get(start + self.from..start + length)
    }

    /// Forget what is still unread, all at once: it is older than what was lost, and would be taken for news after the
    /// caller has asked for the present state.
    fn overrun(&mut self) -> Event {
        self.unread = 0..0;
        // Where there is none to be had the old one goes on, and tells a little of what is known by then.
        if let Ok(fresh) = listening(self.receive_buffer) {
            self.socket = fresh;
        }
        Event::Overrun
    }
}

/// A socket that hears from now on, with room for `bytes` of unread messages.
fn listening(bytes: usize) -> io::Result<Socket> {
    let socket = socket::open()?;
    socket.set_nonblocking(true)?;
    socket::set_receive_buffer(&socket, bytes)?;
    socket::bind(&socket)?;
    // A kernel without this filter only means that the daemon wakes up in vain.
    let _ = socket.attach_filter(&without_ip_neighbours());
    for group in [GROUP_LINK, GROUP_NEIGH, GROUP_IPV4_IFADDR] {
        socket::join(&socket, group)?;
    }
    // A kernel without IPv6 may not have this one.
    let _ = socket::join(&socket, GROUP_IPV6_IFADDR);
    Ok(socket)
}

/// Lets everything through but news of IP neighbours, of which the forwarding entries' group is full on a router with
/// many hosts, and which would wake an idle daemon.
fn without_ip_neighbours() -> [SockFilter; 7] {
    const PASS: u32 = u32::MAX;
    const DROP: u32 = 0;
    // Where `struct nlmsghdr` has the type and `struct ndmsg` behind it the family.
    const KIND: u32 = 4;
    const FAMILY: u32 = 16;
    let statement = |code: u32, jt, jf, k| SockFilter::new(code as u16, jt, jf, k);
    // The filter reads numbers as big-endian, netlink writes them as the processor does.
    let is = |kind: u16, jt, jf| {
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, jt, jf, u32::from(kind.to_be()))
    };
    [
        statement(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, 0, 0, KIND),
        is(libc::RTM_NEWNEIGH, 1, 0),
        is(libc::RTM_DELNEIGH, 0, 2),
        statement(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, FAMILY),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, libc::AF_BRIDGE as u32),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, PASS),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, DROP),
    ]
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Events {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
