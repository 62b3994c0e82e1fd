//! NHRP in GRE, in and out: by raw sockets, or by a kernel GRE device. The same octets either way.

mod device;
mod raw;

use crate::engine::Via;
use crate::time::Instant;
use crate::types::Nbma;
use crate::wire::{Prefix, VpnTag};
use device::Device;
use litemap::LiteMap;
use raw::Raw;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

pub use device::{Gre, gre};

/// The longest packet taken: a jumbo frame's worth, though NHRP here stays below 1500 octets.
pub const MAX_PACKET: usize = 9216;

/// A way for packets in and out.
#[derive(Debug)]
pub enum Tunnel {
    /// A raw socket bound to one of our addresses.
    Raw(Raw),
    /// A kernel GRE device.
    Device(Device),
}

/// A packet that came in.
#[derive(Clone, Copy, Debug)]
pub struct Received<'b> {
    /// The way it came.
    pub via: Via,
    /// The NHRP packet.
    pub nhrp: &'b [u8],
}

impl Tunnel {
    /// The next packet, if it is NHRP in GRE. An error of kind `WouldBlock`: there is none now.
    pub fn receive<'b>(&self, buf: &'b mut [u8]) -> io::Result<Option<Received<'b>>> {
        match self {
            Tunnel::Raw(raw) => raw.receive(buf),
            Tunnel::Device(device) => device.receive(buf),
        }
    }

    fn send(&self, to: Nbma, tag: VpnTag, nhrp: &[u8]) -> io::Result<()> {
        match self {
            Tunnel::Raw(raw) => raw.send(to, tag, nhrp),
            Tunnel::Device(device) => device.send(to, tag, nhrp),
        }
    }
}

impl AsFd for Tunnel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Tunnel::Raw(raw) => raw.as_fd(),
            Tunnel::Device(device) => device.as_fd(),
        }
    }
}

/// The tunnels that are open, by the address of ours that they use.
#[derive(Debug, Default)]
pub struct Tunnels {
    open: LiteMap<Nbma, Open>,
}

#[derive(Debug)]
struct Open {
    tunnel: Rc<Tunnel>,
    /// Nothing is read from it until then: it had nothing but errors, such as ENETDOWN while its device is down.
    rests: Option<Instant>,
}

impl Tunnels {
    /// Opens a raw socket for `local`, if there is no tunnel already.
    pub fn open_raw(&mut self, local: Nbma) -> io::Result<()> {
        self.open(local, || Raw::open(local).map(Tunnel::Raw))
    }

    /// Opens a packet socket on a GRE device that sends from `local`, if there is no tunnel already.
    pub fn open_device(&mut self, local: Nbma, gre: &Gre) -> io::Result<()> {
        self.open(local, || Device::open(local, gre).map(Tunnel::Device))
    }

    /// The tunnels whose addresses are not in `wanted` are closed.
    pub fn close_others(&mut self, wanted: &[Nbma]) {
        self.open.retain(|local, _| wanted.contains(local));
    }

    /// Sends a packet from `via.path.local`.
    pub fn send(&self, via: Via, nhrp: &[u8]) -> io::Result<()> {
        let Via { path, tag } = via;
        match self.open.get(&path.local) {
            Some(open) => open.tunnel.send(path.remote, tag, nhrp),
            None => {
                Err(io::Error::new(io::ErrorKind::AddrNotAvailable, format!("no tunnel from {}", path.local)))
            }
        }
    }

    /// Those that may have packets at `now`.
    pub fn awake(&self, now: Instant) -> impl Iterator<Item = &Rc<Tunnel>> {
        self.open.values().filter(move |open| open.rests.is_none_or(|until| until <= now)).map(|o| &o.tunnel)
    }

    /// Nothing is read from the tunnel until then.
    pub fn rest(&mut self, tunnel: &Rc<Tunnel>, until: Instant) {
        let it = self.open.iter_mut().find(|(_, open)| Rc::ptr_eq(&open.tunnel, tunnel));
        it.into_iter().for_each(|(_, open)| open.rests = Some(until));
    }

    /// When the first of them that rest at `now` has rested.
    pub fn rested(&self, now: Instant) -> Option<Instant> {
        self.open.values().filter_map(|open| open.rests).filter(|until| *until > now).min()
    }

    fn open(&mut self, local: Nbma, open: impl FnOnce() -> io::Result<Tunnel>) -> io::Result<()> {
        if !self.open.contains_key(&local) {
            self.open.insert(local, Open { tunnel: Rc::new(open()?), rests: None });
        }
        Ok(())
    }
}

/// A packet as it goes out: the headers in front of NHRP, and NHRP.
fn packet(prefix: &Prefix, nhrp: &[u8]) -> io::Result<heapless::Vec<u8, 1500>> {
    let mut packet = heapless::Vec::new();
    let fits = packet.extend_from_slice(prefix.as_bytes()).and_then(|()| packet.extend_from_slice(nhrp));
    fits.map(|()| packet).map_err(|()| io::ErrorKind::InvalidInput.into())
}
