//! NHRP in GRE, in and out: by raw sockets, or by a kernel GRE device. The same octets either way.

mod device;
mod raw;
mod relayed;

use crate::engine::{Path, Via};
use crate::shell::words::InWords;
use crate::time::Instant;
use crate::types::Nbma;
use crate::wire::{Malformed, Prefix, VpnTag};
use device::Device;
use raw::Raw;
use relayed::Relayed;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

pub use device::{Gre, gre};

/// The longest packet taken: a jumbo frame's worth, though NHRP here stays below 1500 octets.
pub const MAX_PACKET: usize = 9216;

/// A filter of more addresses may be too large for the kernel.
const SOURCES: usize = 32;

/// A way for packets in and out.
#[derive(Debug)]
pub enum Tunnel {
    /// A raw socket for all our addresses of a family.
    Raw(Raw),
    /// A kernel GRE device.
    Device(Device),
    /// What else comes by that; nothing is sent by it.
    Relayed(Relayed),
}

/// What came in.
#[derive(Clone, Copy, Debug)]
pub enum Received<'b> {
    /// A packet.
    Packet {
        /// The way it came.
        via: Via,
        /// The NHRP packet.
        nhrp: &'b [u8],
    },
    /// The beginning of an IP packet.
    Relayed {
        /// The way it came.
        via: Via,
        /// The packet.
        packet: &'b [u8],
    },
    /// Something that cannot be read.
    Unreadable {
        /// Between which addresses it came.
        path: Path,
        /// Why.
        why: Malformed,
    },
}

impl<'b> Received<'b> {
    /// What came by that path.
    fn new(path: Path, parsed: Result<(VpnTag, &'b [u8]), Malformed>) -> Received<'b> {
        match parsed {
            Ok((tag, nhrp)) => Received::Packet { via: Via { path, tag }, nhrp },
            Err(why) => Received::Unreadable { path, why },
        }
    }

    /// The address of this router that it was sent to.
    pub fn local(&self) -> Nbma {
        match self {
            Received::Packet { via, .. } | Received::Relayed { via, .. } => via.path.local,
            Received::Unreadable { path, .. } => path.local,
        }
    }
}

impl Tunnel {
    /// The next packet, if it is one. An error of kind `WouldBlock`: there is none now.
    pub fn receive<'b>(&self, buf: &'b mut [u8]) -> io::Result<Option<Received<'b>>> {
        match self {
            Tunnel::Raw(raw) => raw.receive(buf),
            Tunnel::Device(device) => device.receive(buf),
            Tunnel::Relayed(relayed) => relayed.receive(buf),
        }
    }

    /// Whether packets go from that address of ours by it.
    fn is_for(&self, local: Nbma) -> bool {
        match self {
            Tunnel::Raw(raw) => raw.is_for(local),
            Tunnel::Device(device) => device.local() == local,
            Tunnel::Relayed(_) => false,
        }
    }

    fn send(&self, Via { path, tag }: Via, nhrp: &[u8]) -> io::Result<()> {
        match self {
            Tunnel::Raw(raw) => raw.send(path.local, path.remote, tag, nhrp),
            Tunnel::Device(device) => device.send(path.remote, tag, nhrp),
            Tunnel::Relayed(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

impl AsFd for Tunnel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Tunnel::Raw(raw) => raw.as_fd(),
            Tunnel::Device(device) => device.as_fd(),
            Tunnel::Relayed(relayed) => relayed.as_fd(),
        }
    }
}

/// The tunnels that are open: a raw socket for each address family, or a GRE device's.
#[derive(Debug, Default)]
pub struct Tunnels {
    open: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    tunnel: Rc<Tunnel>,
    /// Whose packets come by it; those of all when `None`.
    heard: Option<Vec<Nbma>>,
    /// It is on a device that is in use no more: it sends what is to be withdrawn from there.
    is_former: bool,
    /// Nothing is read from it until then: it had nothing but errors, such as ENETDOWN while its device is down.
    rests: Option<Instant>,
}

impl Tunnels {
    /// Opens a raw socket for addresses of the family of `like`, if there is none already.
    pub fn open_raw(&mut self, like: Nbma, interface: Option<&str>) -> io::Result<()> {
        self.open(like, || Raw::open(like, interface).map(Tunnel::Raw))
    }

    /// Opens a packet socket on a GRE device that sends from `local`, if there is none already.
    pub fn open_device(&mut self, local: Nbma, gre: &Gre) -> io::Result<()> {
        self.open(local, || Device::open(local, gre).map(Tunnel::Device))
    }

    /// Of raw sockets only packets from these come any more, or from all.
    pub fn hear(&mut self, from: Option<&[Nbma]>) {
        let from = from.filter(|from| from.len() <= SOURCES);
        for open in self.open.iter_mut().filter(|open| open.heard.as_deref() != from) {
            open.heard = from.map(<[Nbma]>::to_vec);
            let Tunnel::Raw(raw) = &*open.tunnel else { continue };
            if let Err(e) = raw.hear(from) {
                // More work is better than none.
                log::debug!("packets of all come in: {}", InWords(&e));
                let _ = raw.hear(None);
            }
        }
    }

    /// Opens a socket for what else comes by that device, if there is none already.
    pub fn open_relayed(&mut self, local: Nbma, gre: &Gre) -> io::Result<()> {
        let is_open = |open: &Open| !open.is_former && matches!(*open.tunnel, Tunnel::Relayed(_));
        if !self.open.iter().any(is_open) {
            self.push(Tunnel::Relayed(Relayed::open(local, gre)?));
        }
        Ok(())
    }

    /// Nobody wants to know what else comes.
    pub fn close_relayed(&mut self) {
        self.open.retain(|open| !matches!(*open.tunnel, Tunnel::Relayed(_)));
    }

    /// The device that they are on is another one, or none. They are used no more than for what has to go from there.
    pub fn retire(&mut self) {
        self.open.iter_mut().for_each(|open| open.is_former = true);
    }

    /// Those that are used no more are closed.
    pub fn close_former(&mut self) {
        self.open.retain(|open| !open.is_former);
    }

    /// Sends a packet from `via.path.local`, which is in use, or was before.
    pub fn send(&self, via: Via, nhrp: &[u8], is_in_use: bool) -> io::Result<()> {
        let local = via.path.local;
        let fitting = || self.open.iter().filter(|open| open.tunnel.is_for(local));
        match fitting().find(|open| open.is_former != is_in_use).or_else(|| fitting().next()) {
            Some(open) => open.tunnel.send(via, nhrp),
            None => Err(io::Error::new(io::ErrorKind::AddrNotAvailable, format!("no tunnel from {local}"))),
        }
    }

    /// Those that may have packets at `now`.
    pub fn awake(&self, now: Instant) -> impl Iterator<Item = &Rc<Tunnel>> {
        self.open.iter().filter(move |open| open.rests.is_none_or(|until| until <= now)).map(|o| &o.tunnel)
    }

    /// Nothing is read from the tunnel until then.
    pub fn rest(&mut self, tunnel: &Rc<Tunnel>, until: Instant) {
        let it = self.open.iter_mut().find(|open| Rc::ptr_eq(&open.tunnel, tunnel));
        it.into_iter().for_each(|open| open.rests = Some(until));
    }

    /// When the first of them that rest at `now` has rested.
    pub fn rested(&self, now: Instant) -> Option<Instant> {
        self.open.iter().filter_map(|open| open.rests).filter(|until| *until > now).min()
    }

    fn open(&mut self, local: Nbma, open: impl FnOnce() -> io::Result<Tunnel>) -> io::Result<()> {
        if !self.open.iter().any(|open| !open.is_former && open.tunnel.is_for(local)) {
            self.push(open()?);
        }
        Ok(())
    }

    fn push(&mut self, tunnel: Tunnel) {
        self.open.push(Open { tunnel: Rc::new(tunnel), heard: None, is_former: false, rests: None });
    }
}

/// A packet as it goes out: the headers in front of NHRP, and NHRP.
fn packet(prefix: &Prefix, nhrp: &[u8]) -> io::Result<heapless::Vec<u8, 1500>> {
    let mut packet = heapless::Vec::new();
    let fits = packet.extend_from_slice(prefix.as_bytes()).and_then(|()| packet.extend_from_slice(nhrp));
    fits.map(|()| packet).map_err(|()| io::ErrorKind::InvalidInput.into())
}
