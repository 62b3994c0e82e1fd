//! What a VN's kernel state is to be. The shell reads it and makes the kernel so, whether for one change or for all
//! after a restart; an [`Effect::Changed`] tells which item to read.

use super::contract::effect::{Effect, Effects};
use super::contract::settings::VnKey;
use crate::types::{Mac, Nbma, Vni, Vtep};
use core::net::IpAddr;
use litemap::LiteMap;
use std::collections::BTreeMap;

/// The name of one thing in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// Spoke: where unknown frames go.
    Uplink,
    /// Spoke: where a MAC's frames go.
    Shortcut(Mac),
    /// Hub: the port for the spoke at this VTEP.
    Port(Vtep),
    /// Hub: the tunnel's entry for a client's IP address, with transport `device`.
    Neighbour(IpAddr),
}

/// How a hub's port is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its own VNI, which the spoke sends to.
    pub uplink: Vni,
    /// The hub's address the spoke sends to.
    pub local: Nbma,
}

/// The wanted state of one VN.
#[derive(Debug)]
pub struct Plane {
    vn: VnKey,
    uplink: Option<Vtep>,
    shortcuts: BTreeMap<Mac, Vtep>,
    ports: BTreeMap<Vtep, Port>,
    neighbours: LiteMap<IpAddr, Nbma>,
}

impl Plane {
    pub(super) fn new(vn: VnKey) -> Plane {
        Plane {
            vn,
            uplink: None,
            shortcuts: BTreeMap::new(),
            ports: BTreeMap::new(),
            neighbours: LiteMap::new(),
        }
    }

    /// Where unknown frames go, once the hub told.
    pub fn uplink(&self) -> Option<Vtep> {
        self.uplink
    }

    /// Where a MAC's frames go, if not by the uplink.
    pub fn shortcut(&self, mac: Mac) -> Option<Vtep> {
        self.shortcuts.get(&mac).copied()
    }

    /// The port for a spoke, if it is to have one.
    pub fn port(&self, spoke: Vtep) -> Option<Port> {
        self.ports.get(&spoke).copied()
    }

    /// The underlay address behind a client's IP address.
    pub fn neighbour(&self, address: IpAddr) -> Option<Nbma> {
        self.neighbours.get(&address).copied()
    }

    /// All shortcuts, by MAC.
    pub fn shortcuts(&self) -> impl Iterator<Item = (Mac, Vtep)> + '_ {
        self.shortcuts.iter().map(|(mac, to)| (*mac, *to))
    }

    /// All ports, by VTEP.
    pub fn ports(&self) -> impl Iterator<Item = (Vtep, Port)> + '_ {
        self.ports.iter().map(|(spoke, port)| (*spoke, *port))
    }

    /// All neighbours.
    pub fn neighbours(&self) -> impl Iterator<Item = (IpAddr, Nbma)> + '_ {
        self.neighbours.iter().map(|(address, nbma)| (*address, *nbma))
    }

    pub(super) fn set_uplink(&mut self, out: &mut Effects, to: Option<Vtep>) {
        if core::mem::replace(&mut self.uplink, to) != to {
            self.changed(out, Item::Uplink);
        }
    }

    pub(super) fn set_shortcut(&mut self, out: &mut Effects, mac: Mac, to: Option<Vtep>) {
        let before = match to {
            Some(to) => self.shortcuts.insert(mac, to),
            None => self.shortcuts.remove(&mac),
        };
        if before != to {
            self.changed(out, Item::Shortcut(mac));
        }
    }

    pub(super) fn set_port(&mut self, out: &mut Effects, spoke: Vtep, port: Option<Port>) {
        let before = match port {
            Some(port) => self.ports.insert(spoke, port),
            None => self.ports.remove(&spoke),
        };
        if before != port {
            self.changed(out, Item::Port(spoke));
        }
    }

    pub(super) fn set_neighbour(&mut self, out: &mut Effects, address: IpAddr, nbma: Option<Nbma>) {
        let before = match nbma {
            Some(nbma) => self.neighbours.insert(address, nbma),
            None => self.neighbours.remove(&address),
        };
        if before != nbma {
            self.changed(out, Item::Neighbour(address));
        }
    }

    /// The kernel has something else there than what is wanted.
    pub(super) fn differs(&self, out: &mut Effects, item: Item) {
        self.changed(out, item);
    }

    /// An item that was found in the kernel, as it is wanted.
    pub(super) fn adopt_shortcut(&mut self, mac: Mac, to: Vtep) {
        self.shortcuts.insert(mac, to);
    }

    /// The same for a port.
    pub(super) fn adopt_port(&mut self, spoke: Vtep, port: Port) {
        self.ports.insert(spoke, port);
    }

    fn changed(&self, out: &mut Effects, item: Item) {
        out.push(Effect::Changed { vn: self.vn, item });
    }
}
