//! NHRP in GRE, in and out: by raw sockets, or by a kernel GRE device. The same octets either way.

mod device;
mod raw;

use crate::engine::Path;
use crate::types::Nbma;
use crate::wire::{Prefix, VpnTag};
use device::Device;
use litemap::LiteMap;
use raw::Raw;
use std::io;
use std::rc::Rc;

pub use device::Gre;

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
    /// Between which addresses.
    pub path: Path,
    /// Which VN it names.
    pub tag: VpnTag,
    /// The NHRP packet.
    pub nhrp: &'b [u8],
}

impl Tunnel {
    /// Waits for the next packet that is NHRP in GRE.
    pub async fn receive<'b>(&self, buf: &'b mut [u8]) -> io::Result<Option<Received<'b>>> {
        match self {
            Tunnel::Raw(raw) => raw.receive(buf).await,
            Tunnel::Device(device) => device.receive(buf).await,
        }
    }

    fn send(&self, to: Nbma, tag: VpnTag, nhrp: &[u8]) -> io::Result<()> {
        match self {
            Tunnel::Raw(raw) => raw.send(to, tag, nhrp),
            Tunnel::Device(device) => device.send(to, tag, nhrp),
        }
    }
}

/// The tunnels that are open, by the address of ours that they use.
#[derive(Debug, Default)]
pub struct Tunnels {
    open: LiteMap<Nbma, Rc<Tunnel>>,
}

impl Tunnels {
    /// Opens a raw socket for `local`; `None` when there is one already.
    pub fn open_raw(&mut self, local: Nbma) -> io::Result<Option<Rc<Tunnel>>> {
        if self.open.contains_key(&local) {
            return Ok(None);
        }
        Ok(Some(self.keep(local, Tunnel::Raw(Raw::open(local)?))))
    }

    /// Opens a packet socket on a GRE device that sends from `local`; `None` when there is one already.
    pub fn open_device(&mut self, local: Nbma, gre: &Gre) -> io::Result<Option<Rc<Tunnel>>> {
        if self.open.contains_key(&local) {
            return Ok(None);
        }
        Ok(Some(self.keep(local, Tunnel::Device(Device::open(local, gre)?))))
    }

    /// The tunnels whose addresses are not in `wanted` are closed; whoever reads them holds them a moment longer.
    pub fn close_others(&mut self, wanted: &[Nbma]) -> Vec<Nbma> {
        let gone: Vec<Nbma> = self.open.keys().copied().filter(|n| !wanted.contains(n)).collect();
        for local in &gone {
            self.open.remove(local);
        }
        gone
    }

    /// Sends a packet from `path.local`.
    pub fn send(&self, path: Path, tag: VpnTag, nhrp: &[u8]) -> io::Result<()> {
        match self.open.get(&path.local) {
            Some(tunnel) => tunnel.send(path.remote, tag, nhrp),
            None => {
                Err(io::Error::new(io::ErrorKind::AddrNotAvailable, format!("no tunnel from {}", path.local)))
            }
        }
    }

    fn keep(&mut self, local: Nbma, tunnel: Tunnel) -> Rc<Tunnel> {
        let tunnel = Rc::new(tunnel);
        self.open.insert(local, Rc::clone(&tunnel));
        tunnel
    }
}

/// A packet as it goes out: the headers in front of NHRP, and NHRP.
fn packet(prefix: &Prefix, nhrp: &[u8]) -> io::Result<heapless::Vec<u8, 1500>> {
    let mut packet = heapless::Vec::new();
    let fits = packet.extend_from_slice(prefix.as_bytes()).and_then(|()| packet.extend_from_slice(nhrp));
    fits.map(|()| packet).map_err(|()| io::ErrorKind::InvalidInput.into())
}
