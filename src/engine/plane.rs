//! What a VN's kernel state is to be: a table of items. The shell reads it and makes the kernel so, in the same way for
//! one change as for all of them after a restart; an [`Effect::Changed`] tells which item to read.

use super::contract::effect::{Effect, Effects};
use super::contract::item::{Item, Port, Wanted};
use super::contract::settings::VnKey;
use crate::types::{Mac, Nbma, Vtep};
use core::net::IpAddr;
use std::collections::BTreeMap;

/// The wanted state of one VN.
#[derive(Debug)]
pub struct Plane {
    vn: VnKey,
    table: BTreeMap<Item, Wanted>,
}

impl Plane {
    pub(super) fn new(vn: VnKey) -> Plane {
        Plane { vn, table: BTreeMap::new() }
    }

    /// One in which these are wanted.
    #[cfg(test)]
    pub fn of<const N: usize>(vn: VnKey, wanted: [(Item, Wanted); N]) -> Plane {
        Plane { vn, table: BTreeMap::from(wanted) }
    }

    /// Where unknown frames go. `None` before the hub told, and what is in the kernel then stays there.
    pub fn uplink(&self) -> Option<Vtep> {
        self.to(Item::Uplink)
    }

    /// Where a MAC's frames go, if not by the uplink.
    pub fn shortcut(&self, mac: Mac) -> Option<Vtep> {
        self.to(Item::Shortcut(mac))
    }

    /// The port for a spoke, if it is to have one.
    pub fn port(&self, spoke: Vtep) -> Option<Port> {
        match self.wanted(Item::Port(spoke)) {
            Some(Wanted::Port(port)) => Some(port),
            _ => None,
        }
    }

    /// The underlay address behind a client's IP address.
    pub fn neighbour(&self, address: IpAddr) -> Option<Nbma> {
        match self.wanted(Item::Neighbour(address)) {
            Some(Wanted::Behind(nbma)) => Some(nbma),
            _ => None,
        }
    }

    /// How an item is to be; `None`: not at all, or as it is.
    pub fn wanted(&self, item: Item) -> Option<Wanted> {
        self.table.get(&item).copied()
    }

    /// All items, in order.
    pub fn items(&self) -> impl Iterator<Item = (Item, Wanted)> + '_ {
        self.table.iter().map(|(item, wanted)| (*item, *wanted))
    }

    /// All shortcuts, by MAC.
    pub fn shortcuts(&self) -> impl Iterator<Item = (Mac, Vtep)> + '_ {
        self.items().filter_map(|item| match item {
            (Item::Shortcut(mac), Wanted::To(to)) => Some((mac, to)),
            _ => None,
        })
    }

    /// All ports, by VTEP.
    pub fn ports(&self) -> impl Iterator<Item = (Vtep, Port)> + '_ {
        self.items().filter_map(|item| match item {
            (Item::Port(spoke), Wanted::Port(port)) => Some((spoke, port)),
            _ => None,
        })
    }

    /// All neighbours.
    pub fn neighbours(&self) -> impl Iterator<Item = (IpAddr, Nbma)> + '_ {
        self.items().filter_map(|item| match item {
            (Item::Neighbour(address), Wanted::Behind(nbma)) => Some((address, nbma)),
            _ => None,
        })
    }

    /// Spoke: whose frames are taken, by underlay address; nobody, where all are.
    pub fn sources(&self) -> impl Iterator<Item = Nbma> + '_ {
        self.items().filter_map(|item| match item {
            (Item::Source(nbma), Wanted::Taken) => Some(nbma),
            _ => None,
        })
    }

    /// The tunnels that floods are kept from: a spoke's, or a hub's to these spokes.
    pub fn withheld(&self) -> impl Iterator<Item = Option<Vtep>> + '_ {
        self.items().filter_map(|item| match item {
            (Item::Floods(tunnel), Wanted::Withheld) => Some(tunnel),
            _ => None,
        })
    }

    /// Wants an item to be like this, or not to be. Whether that is new.
    pub(super) fn set(&mut self, out: &mut Effects, item: Item, wanted: Option<Wanted>) -> bool {
        let changed = self.adopt(item, wanted) != wanted;
        if changed {
            self.differs(out, item);
        }
        changed
    }

    /// An item was found in the kernel, as it is wanted now. What was wanted before.
    pub(super) fn adopt(&mut self, item: Item, wanted: Option<Wanted>) -> Option<Wanted> {
        match wanted {
            Some(wanted) => self.table.insert(item, wanted),
            None => self.table.remove(&item),
        }
    }

    /// The kernel has something else there than what is wanted.
    pub(super) fn differs(&self, out: &mut Effects, item: Item) {
        out.push(Effect::Changed { vn: self.vn, item });
    }

    fn to(&self, item: Item) -> Option<Vtep> {
        match self.wanted(item) {
            Some(Wanted::To(to)) => Some(to),
            _ => None,
        }
    }
}
