//! A hub's bindings in one VN: where each protocol address lives, and who has been told so.
//!
//! What the bridge learned comes first, since that is where its frames go; what was registered stands in for it.
//! A binding that the bridge forgot is held while somebody holds an answer made from it: the spokes talk directly
//! then, and the bridge hears nothing of a MAC that is very much alive.

use super::limits::ASKERS;
use super::peers::PeerId;
use crate::time::Instant;
use crate::types::Mac;
use crate::wire::nhrp::ProtocolAddress;
use core::ops::Bound;
use std::collections::BTreeMap;

/// Where an address lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot {
    /// At the hub itself.
    Here,
    /// Behind a peer.
    Peer(PeerId),
}

/// Who holds an answer (RFC 2332 section 6.2.1: an NHS should remember them).
#[derive(Clone, Debug, Default)]
pub struct Askers {
    named: heapless::Vec<PeerId, ASKERS>,
    /// There were more than could be named, or it is not known who they were: everybody counts.
    pub everybody: bool,
}

impl Askers {
    fn add(&mut self, peer: PeerId) {
        if !self.everybody && !self.named.contains(&peer) && self.named.push(peer).is_err() {
            self.everybody = true;
            self.named.clear();
        }
    }

    /// The ones remembered by name.
    pub fn named(&self) -> &[PeerId] {
        &self.named
    }
}

/// One address.
#[derive(Clone, Debug, Default)]
pub struct Binding {
    /// Where the bridge saw it last.
    seen: Option<Spot>,
    /// Whether the bridge still knows it.
    pub learned: bool,
    registered: Option<PeerId>,
    askers: Askers,
    /// Until when somebody may hold an answer.
    asked_until: Instant,
    listed: bool,
}

impl Binding {
    /// Where it lives.
    pub fn spot(&self) -> Option<Spot> {
        self.seen.or(self.registered.map(Spot::Peer))
    }

    /// Who registered it.
    pub fn registered(&self) -> Option<PeerId> {
        self.registered
    }

    /// How many are known to hold an answer.
    pub fn askers(&self) -> usize {
        self.askers.named.len()
    }

    fn is_held(&self, now: Instant) -> bool {
        self.asked_until > now
    }

    fn is_over(&self, now: Instant) -> bool {
        !self.learned && self.registered.is_none() && !self.is_held(now)
    }
}

/// An answer that is not true any more, and who has to be told.
#[derive(Debug)]
pub struct Change {
    /// `None`: it was not known, and whoever asked was told so.
    pub from: Option<Spot>,
    pub to: Option<Spot>,
    pub askers: Askers,
    /// Until when they may hold it.
    pub until: Instant,
}

/// The table.
#[derive(Debug, Default)]
pub struct Bindings {
    table: BTreeMap<ProtocolAddress, Binding>,
    /// Until then an earlier run's askers, who are not known, may hold answers.
    amnesia: Instant,
}

impl Bindings {
    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn get(&self, address: ProtocolAddress) -> Option<&Binding> {
        self.table.get(&address)
    }

    /// Those behind `after`, in the order of their addresses: MACs first.
    pub fn behind(&self, after: Option<Mac>) -> impl Iterator<Item = (ProtocolAddress, &Binding)> {
        let after = after.map_or(Bound::Unbounded, |mac| Bound::Excluded(ProtocolAddress::Mac(mac)));
        self.table.range((after, Bound::Unbounded)).map(|(a, b)| (*a, b))
    }

    /// Answers given by an earlier run may be held until `until`.
    pub fn forgot_askers_until(&mut self, until: Instant) {
        self.amnesia = self.amnesia.max(until);
    }

    /// The bridge sees `mac` at `spot`. What that changes; `Err` when the table, of `max` entries, is full.
    pub fn learn(&mut self, now: Instant, mac: Mac, spot: Spot, max: u32) -> Result<Option<Change>, ()> {
        let address = ProtocolAddress::Mac(mac);
        if !self.table.contains_key(&address) && self.table.len() >= max as usize {
            return Err(());
        }
        let amnesia = self.amnesia;
        let binding = self.table.entry(address).or_default();
        let before = binding.spot();
        binding.seen = Some(spot);
        binding.learned = true;
        binding.listed = true;
        let news = match before {
            Some(before) => before != spot,
            None => binding.is_held(now),
        };
        Ok(news.then(|| binding.change(now, amnesia, before)))
    }

    /// The bridge forgot `mac`. That alone makes no answer untrue.
    pub fn unlearn(&mut self, now: Instant, mac: Mac) {
        let address = ProtocolAddress::Mac(mac);
        if let Some(binding) = self.table.get_mut(&address) {
            binding.unlearn(now);
            if binding.is_over(now) {
                self.table.remove(&address);
            }
        }
    }

    /// A complete listing begins.
    pub fn listing(&mut self) {
        self.table.values_mut().for_each(|b| b.listed = false);
    }

    /// The listing is complete: what it did not hold, the bridge forgot.
    pub fn listed(&mut self, now: Instant) {
        for binding in self.table.values_mut().filter(|b| b.learned && !b.listed) {
            binding.unlearn(now);
        }
        self.sweep(now);
    }

    /// Drops what nobody holds any more. When to look again, if something is still held.
    pub fn sweep(&mut self, now: Instant) -> Option<Instant> {
        self.table.retain(|_, b| {
            if !b.is_held(now) {
                b.askers = Askers::default();
                if !b.learned {
                    b.seen = None;
                }
            }
            !b.is_over(now)
        });
        self.table.values().filter(|b| b.is_held(now)).map(|b| b.asked_until).min()
    }

    /// `peer` registered the address.
    pub fn register(&mut self, now: Instant, address: ProtocolAddress, peer: PeerId) -> Option<Change> {
        let amnesia = self.amnesia;
        let binding = self.table.entry(address).or_default();
        let before = binding.spot();
        binding.registered = Some(peer);
        let news = before != binding.spot() && (before.is_some() || binding.is_held(now));
        news.then(|| binding.change(now, amnesia, before))
    }

    /// The registration of the address ended.
    pub fn unregister(&mut self, now: Instant, address: ProtocolAddress) -> Option<Change> {
        let amnesia = self.amnesia;
        let binding = self.table.get_mut(&address)?;
        let before = binding.spot();
        binding.registered = None;
        let change = before
            .filter(|before| Some(*before) != binding.spot())
            .map(|from| binding.change(now, amnesia, Some(from)));
        if binding.is_over(now) {
            self.table.remove(&address);
        }
        change
    }

    /// The address is not behind `peer` any more; what others say of it stays.
    pub fn withdraw(&mut self, now: Instant, address: ProtocolAddress, peer: PeerId) -> Option<Change> {
        let amnesia = self.amnesia;
        let binding = self.table.get_mut(&address)?;
        let was_there = binding.spot() == Some(Spot::Peer(peer));
        binding.registered = binding.registered.filter(|r| *r != peer);
        if was_there {
            binding.seen = None;
            binding.learned = false;
        }
        let change = was_there.then(|| binding.change(now, amnesia, Some(Spot::Peer(peer))));
        if binding.is_over(now) {
            self.table.remove(&address);
        }
        change
    }

    /// The address after `last` that lives behind `peer`; the first one for `None`.
    pub fn next_behind(&self, peer: PeerId, last: Option<ProtocolAddress>) -> Option<ProtocolAddress> {
        let start = last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.table.range((start, Bound::Unbounded));
        rest.find(|(_, b)| b.spot() == Some(Spot::Peer(peer)) || b.registered == Some(peer)).map(|(a, _)| *a)
    }

    /// `peer` was given an answer that is good until `until`.
    pub fn answered(&mut self, address: ProtocolAddress, peer: PeerId, until: Instant) {
        if let Some(binding) = self.table.get_mut(&address) {
            binding.askers.add(peer);
            binding.asked_until = binding.asked_until.max(until);
        }
    }

    /// `peer` was told that nobody knows the address: until `until` it will be glad to hear otherwise. Questions for
    /// addresses that do not exist fill no more than half of the table, of `max` entries.
    pub fn denied(&mut self, address: ProtocolAddress, peer: PeerId, until: Instant, max: u32) {
        if self.table.contains_key(&address) || self.table.len() < max as usize / 2 {
            let binding = self.table.entry(address).or_default();
            binding.askers.add(peer);
            binding.asked_until = binding.asked_until.max(until);
        }
    }

    /// `peer` is gone and has to be told nothing.
    pub fn forget_asker(&mut self, peer: PeerId) {
        for binding in self.table.values_mut() {
            binding.askers.named.retain(|p| *p != peer);
        }
    }
}

impl Binding {
    fn unlearn(&mut self, now: Instant) {
        self.learned = false;
        if !self.is_held(now) {
            self.seen = None;
        }
    }

    /// Whoever holds the old answer is told, and asks again if the new one is of use.
    fn change(&mut self, now: Instant, amnesia: Instant, from: Option<Spot>) -> Change {
        let until = core::mem::take(&mut self.asked_until);
        let mut askers = core::mem::take(&mut self.askers);
        if until <= now {
            askers = Askers::default();
        }
        askers.everybody |= now < amnesia;
        Change { from, to: self.spot(), askers, until: until.max(amnesia) }
    }
}
