//! Who is out there: the other ends of a VN, as clients that registered, as hubs to register with, and as the places
//! that answers name.

use super::contract::way::{Path, Via};
use super::exchange::key::KeyId;
use super::member::Member;
use crate::types::{Mac, Nbma, SiteName, Vni, Vtep};
use crate::wire::VpnTag;
use crate::wire::nhrp::{Protocol, ProtocolAddress, Tags};
use core::net::IpAddr;
use core::num::NonZeroU32;
use std::collections::BTreeMap;

/// Names a site as long as it is known: a later one in its place has another generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SiteId {
    slot: u32,
    generation: NonZeroU32,
}

impl SiteId {
    /// This node itself.
    pub const HERE: SiteId = SiteId { slot: u32::MAX, generation: NonZeroU32::MIN };
    /// Where those are of whom nobody knows.
    pub const NOWHERE: SiteId = SiteId { slot: u32::MAX, generation: NonZeroU32::MAX };

    /// A number that no other site has meanwhile.
    pub fn slot(self) -> u32 {
        self.slot
    }

    /// Those that have, or had, this number.
    pub fn range(slot: u32) -> core::ops::RangeInclusive<SiteId> {
        let site = |generation| SiteId { slot, generation };
        site(NonZeroU32::MIN)..=site(NonZeroU32::MAX)
    }
}

/// A site.
#[derive(Debug)]
pub struct Site {
    pub nbma: Nbma,
    pub vni: Option<Vni>,
    /// The address of ours that packets to it leave from, and how they name the VN; `None` for a place that is only known
    /// from answers.
    way: Option<(Nbma, VpnTag)>,
    /// What requests to it say of their session, if there is one: this node's tag, and its own.
    pub tags: Option<Tags>,
    /// The key that it used last, and is spoken to by.
    pub key: Option<KeyId>,
    /// What a server keeps of its client.
    pub member: Option<Box<Member>>,
    /// How many of our registrations name it.
    pins: u8,
}

impl Site {
    /// Packets get to it by this way, whose other end it is.
    pub fn set_way(&mut self, via: Via) {
        self.way = Some((via.path.local, via.tag));
    }

    pub fn vtep(&self) -> Option<Vtep> {
        Some(Vtep { nbma: self.nbma, vni: self.vni? })
    }
}

#[derive(Debug)]
struct Slot {
    generation: NonZeroU32,
    site: Option<Site>,
}

/// All sites of a VN.
#[derive(Debug, Default)]
pub struct Sites {
    /// This node's protocol address in the VN, if its devices are there: a hub's bridge's MAC, one of a spoke's own.
    pub mac: Option<Mac>,
    /// A hub's addresses in the IP protocols; the first of a family stands for it where none was asked for.
    pub own_ips: Vec<IpAddr>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    names: BTreeMap<SiteName, SiteId>,
}

impl Sites {
    /// Nobody yet, around a node with these addresses in the IP protocols.
    pub fn new(own_ips: Vec<IpAddr>) -> Sites {
        Sites { own_ips, ..Sites::default() }
    }

    /// This node's address in a protocol, if it has one there.
    pub fn own(&self, protocol: Protocol) -> Option<ProtocolAddress> {
        match protocol {
            Protocol::Ethernet => self.mac.map(ProtocolAddress::Mac),
            Protocol::Ipv4 | Protocol::Ipv6 => {
                self.own_ips.iter().map(|ip| ProtocolAddress::Ip(*ip)).find(|own| own.protocol() == protocol)
            }
        }
    }

    /// Whether an address is this node's.
    pub fn is_own(&self, address: ProtocolAddress) -> bool {
        match address {
            ProtocolAddress::Mac(mac) => self.mac == Some(mac),
            ProtocolAddress::Ip(ip) => self.own_ips.contains(&ip),
        }
    }

    pub fn find(&self, name: SiteName) -> Option<SiteId> {
        self.names.get(&name).copied()
    }

    /// The site of this name, which is known from now on.
    pub fn enter(&mut self, name: SiteName) -> SiteId {
        if let Some(id) = self.find(name) {
            return id;
        }
        let site =
            Site { nbma: name.0, vni: name.1, way: None, tags: None, key: None, member: None, pins: 0 };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: NonZeroU32::MIN, site: None });
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let place = &mut self.slots[slot as usize];
        place.site = Some(site);
        let id = SiteId { slot, generation: place.generation };
        self.names.insert(name, id);
        id
    }

    /// The site has another name from now on, which nobody may have. Its ID, and all that is known of it, stay.
    pub fn rename(&mut self, id: SiteId, name: SiteName) {
        let Some(site) = self.get_mut(id) else { return };
        let before = (core::mem::replace(&mut site.nbma, name.0), core::mem::replace(&mut site.vni, name.1));
        self.names.remove(&before);
        self.names.insert(name, id);
    }

    /// Forgets a site. Names of it that are left somewhere mean nobody.
    pub fn remove(&mut self, id: SiteId) {
        if self.get(id).is_none() {
            return;
        }
        let slot = &mut self.slots[id.slot as usize];
        slot.generation = slot.generation.checked_add(1).unwrap_or(NonZeroU32::MIN);
        if let Some(site) = slot.site.take() {
            self.names.remove(&(site.nbma, site.vni));
        }
        self.free.push(id.slot);
    }

    pub fn get(&self, id: SiteId) -> Option<&Site> {
        let slot = self.slots.get(id.slot as usize)?;
        slot.site.as_ref().filter(|_| slot.generation == id.generation)
    }

    pub fn get_mut(&mut self, id: SiteId) -> Option<&mut Site> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        slot.site.as_mut().filter(|_| slot.generation == id.generation)
    }

    /// Where frames for a site go.
    pub fn vtep(&self, id: SiteId) -> Option<Vtep> {
        self.get(id)?.vtep()
    }

    /// How packets get to a site.
    pub fn via(&self, id: SiteId) -> Option<Via> {
        let site = self.get(id)?;
        let (local, tag) = site.way?;
        Some(Via { path: Path { local, remote: site.nbma }, tag })
    }

    /// What a request to a site says of the session. One whose port was found may be in one of an earlier run: it is told
    /// that this one knows of none.
    pub fn tags(&self, id: SiteId) -> Option<Tags> {
        let site = self.get(id)?;
        let is_found = site.member.as_deref().is_some_and(Member::is_found);
        site.tags.or(is_found.then(Tags::default))
    }

    pub fn member(&self, id: SiteId) -> Option<&Member> {
        self.get(id)?.member.as_deref()
    }

    pub fn member_mut(&mut self, id: SiteId) -> Option<&mut Member> {
        self.get_mut(id)?.member.as_deref_mut()
    }

    /// All clients of the server, in the order of their names.
    pub fn members(&self) -> impl Iterator<Item = (SiteId, &Site, &Member)> {
        self.members_after(None)
    }

    /// Those after a name.
    pub fn members_after(&self, last: Option<SiteName>) -> impl Iterator<Item = (SiteId, &Site, &Member)> {
        self.after(last).filter_map(|(id, site)| Some((id, site, site.member.as_deref()?)))
    }

    /// All sites after a name, in the order of their names.
    pub fn after(&self, last: Option<SiteName>) -> impl Iterator<Item = (SiteId, &Site)> {
        let start = last.map_or(core::ops::Bound::Unbounded, core::ops::Bound::Excluded);
        let names = self.names.range((start, core::ops::Bound::Unbounded));
        names.filter_map(|(_, id)| Some((*id, self.get(*id)?)))
    }

    /// All sites at an underlay address.
    pub fn at(&self, nbma: Nbma) -> impl Iterator<Item = SiteId> {
        self.names.range((nbma, None)..=(nbma, Some(Vni::MAX))).map(|(_, id)| *id)
    }

    /// The clients at an underlay address, whatever their VNI.
    pub fn members_at(&self, nbma: Nbma) -> impl Iterator<Item = (SiteId, &Member)> {
        self.at(nbma).filter_map(|id| Some((id, self.member(id)?)))
    }

    /// Whether a client, or a hub of this node's, is at an underlay address.
    pub fn is_at(&self, nbma: Nbma) -> bool {
        let is_somebody = |site: &Site| site.member.is_some() || site.pins > 0;
        self.at(nbma).any(|id| self.get(id).is_some_and(is_somebody))
    }

    /// Those of them that have this VNI; all for `None`.
    pub fn clients_at(&self, nbma: Nbma, vni: Option<Vni>) -> impl Iterator<Item = SiteId> {
        let all = self.members_at(nbma).map(|(site, _)| site);
        all.filter(move |site| vni.is_none() || self.get(*site).is_some_and(|there| there.vni == vni))
    }

    /// A registration of ours names the site.
    pub fn pin(&mut self, id: SiteId) {
        if let Some(site) = self.get_mut(id) {
            site.pins = site.pins.saturating_add(1);
        }
    }

    /// It does so no more.
    pub fn unpin(&mut self, id: SiteId) {
        if let Some(site) = self.get_mut(id) {
            site.pins = site.pins.saturating_sub(1);
        }
    }

    /// Whether nobody but the book may name the site.
    pub fn is_loose(&self, id: SiteId) -> bool {
        self.get(id).is_some_and(|site| site.member.is_none() && site.pins == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_a_site_that_is_gone_means_nobody() {
        let mut sites = Sites::default();
        let name = |n: u8| (format!("10.0.0.{n}").parse().unwrap(), None);
        let first = sites.enter(name(1));
        assert_eq!(sites.enter(name(1)), first);
        sites.remove(first);
        let second = sites.enter(name(2));
        assert_eq!(second.slot, first.slot);
        assert!(sites.get(first).is_none() && sites.get(second).is_some());
        sites.remove(first);
        assert_eq!(sites.find(name(2)), Some(second));
    }

    #[test]
    fn a_site_with_another_name_is_the_same() {
        let mut sites = Sites::default();
        let name = |n: u8| (format!("10.0.0.{n}").parse().unwrap(), None);
        let site = sites.enter(name(1));
        sites.rename(site, name(2));
        assert_eq!((sites.find(name(1)), sites.find(name(2))), (None, Some(site)));
        assert_eq!(sites.get(site).map(|site| site.nbma), Some(name(2).0));
    }
}
