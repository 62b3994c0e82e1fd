//! Where each protocol address of a VN lives, who says so, and who has been told.
//!
//! What the bridge learned comes first, since that is where its frames go; what was registered stands in for it.
//! A binding that the bridge forgot is held while somebody holds an answer made from it: the spokes talk directly
//! then, and the bridge hears nothing of a MAC that is very much alive. At a spoke an answer of its hub is held in the
//! same way.

use super::crowd::Crowd;
use super::limits::ASKERS;
use super::sites::SiteId;
use crate::time::Instant;
use crate::types::Mac;
use crate::wire::nhrp::ProtocolAddress;
use core::net::{IpAddr, Ipv4Addr};
use core::ops::Bound;
use std::collections::{BTreeMap, BTreeSet};

/// So many addresses are looked at in one go.
const SLICE: usize = 1024;

/// Of so many of a site the one that is of the least use makes room.
const SAMPLE: usize = 16;

/// Who holds an answer (RFC 2332 section 6.2.1: an NHS should remember them).
#[derive(Clone, Debug, Default)]
pub enum Askers {
    #[default]
    Nobody,
    One(SiteId),
    Some(Vec<SiteId>),
    /// More than can be named.
    Everybody,
}

impl Askers {
    fn add(&mut self, site: SiteId) {
        if self.named().contains(&site) {
            return;
        }
        *self = match core::mem::take(self) {
            Askers::Nobody => Askers::One(site),
            Askers::One(first) => Askers::Some(vec![first, site]),
            Askers::Some(mut named) if named.len() < ASKERS => {
                named.push(site);
                Askers::Some(named)
            }
            Askers::Some(_) | Askers::Everybody => Askers::Everybody,
        };
    }

    /// The ones remembered by name.
    pub fn named(&self) -> &[SiteId] {
        match self {
            Askers::One(site) => core::slice::from_ref(site),
            Askers::Some(named) => named,
            Askers::Nobody | Askers::Everybody => &[],
        }
    }

    pub fn is_everybody(&self) -> bool {
        matches!(self, Askers::Everybody)
    }
}

/// One address.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// Where the bridge saw it last, or where the hub says it is.
    seen: Option<SiteId>,
    registered: Option<SiteId>,
    askers: Askers,
    /// Until when somebody may hold an answer; at a spoke, until when it holds one.
    until: Instant,
    /// Whether the bridge still knows it.
    learned: bool,
    /// The last listing that told of it.
    listed: u32,
}

impl Entry {
    /// Where it lives.
    pub fn site(&self) -> Option<SiteId> {
        self.seen.or(self.registered)
    }

    /// Who registered it.
    pub fn registered(&self) -> Option<SiteId> {
        self.registered
    }

    /// Whether the bridge knows it.
    pub fn is_learned(&self) -> bool {
        self.learned
    }

    /// Until when an answer is held.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// How many hold an answer, of `all` there are.
    pub fn holders(&self, now: Instant, all: usize) -> usize {
        match &self.askers {
            _ if !self.is_held(now) => 0,
            Askers::Everybody => all,
            askers => askers.named().len(),
        }
    }

    fn is_held(&self, now: Instant) -> bool {
        self.until > now
    }

    /// Whether it names who or where, though neither counts once nobody holds an answer.
    fn is_stale(&self) -> bool {
        !matches!(self.askers, Askers::Nobody) || (!self.learned && self.seen.is_some())
    }

    fn is_over(&self, now: Instant) -> bool {
        !self.learned && self.registered.is_none() && !self.is_held(now)
    }

    fn unlearn(&mut self, now: Instant) {
        self.learned = false;
        if !self.is_held(now) {
            self.seen = None;
        }
    }

    /// Whoever holds the old answer is told, and asks again if the new one is of use.
    fn change(&mut self, now: Instant, from: Option<SiteId>) -> Change {
        let is_held = self.is_held(now);
        let until = core::mem::take(&mut self.until);
        let askers = Some(core::mem::take(&mut self.askers)).filter(|_| is_held).unwrap_or_default();
        Change { from, to: self.site(), askers, until }
    }
}

/// An answer that is not true any more, and who has to be told.
#[derive(Debug)]
#[must_use = "whoever holds the answer has to be told"]
pub struct Change {
    /// `None`: it was not known, and whoever asked was told so.
    pub from: Option<SiteId>,
    pub to: Option<SiteId>,
    pub askers: Askers,
    /// Until when they may hold it.
    pub until: Instant,
}

/// The first one that is no MAC, in the order of the table.
const FIRST_IP: ProtocolAddress = ProtocolAddress::Ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED));

const fn is_mac(address: ProtocolAddress) -> bool {
    matches!(address, ProtocolAddress::Mac(_))
}

/// The table.
#[derive(Debug, Default)]
pub struct Book {
    table: BTreeMap<ProtocolAddress, Entry>,
    /// The addresses of each site, whoever says so, and those of whom nobody knows.
    behind: BTreeSet<(SiteId, ProtocolAddress)>,
    /// How many MACs each has.
    crowd: Crowd,
    /// Where it was looked last for one that makes room.
    hand: Option<ProtocolAddress>,
    /// How many are here, and how many MACs are anywhere.
    here: usize,
    macs: usize,
    /// How many IP addresses there are: they have places of their own.
    ips: usize,
    /// Which listing is the present one.
    listing: u32,
}

impl Book {
    /// How many MACs take a place, also those of whom nobody knows.
    pub fn stations(&self) -> usize {
        self.table.len() - self.ips
    }

    /// How many addresses are at this node's own bridge.
    pub fn here(&self) -> usize {
        self.here
    }

    /// How many MACs there are whose place is known.
    pub fn macs(&self) -> usize {
        self.macs
    }

    /// How many MACs a site has.
    pub fn macs_of(&self, site: SiteId) -> u32 {
        self.crowd.of(site)
    }

    pub fn get(&self, address: ProtocolAddress) -> Option<&Entry> {
        self.table.get(&address)
    }

    /// Where a MAC lives.
    pub fn site_of(&self, mac: Mac) -> Option<SiteId> {
        self.get(ProtocolAddress::Mac(mac))?.site()
    }

    /// The addresses after `last`, or all of them.
    pub fn after(&self, last: Option<ProtocolAddress>) -> impl Iterator<Item = (ProtocolAddress, &Entry)> {
        let start = last.map_or(Bound::Unbounded, Bound::Excluded);
        self.table.range((start, Bound::Unbounded)).map(|(a, e)| (*a, e))
    }

    /// The address after `last` that a site has; the first one for `None`.
    pub fn next_behind(&self, site: SiteId, last: Option<ProtocolAddress>) -> Option<ProtocolAddress> {
        let start = match last {
            Some(last) => Bound::Excluded((site, last)),
            None => Bound::Included((site, ProtocolAddress::MIN)),
        };
        let (of, address) = self.behind.range((start, Bound::Unbounded)).next()?;
        (*of == site).then_some(*address)
    }

    /// The address that makes room for one more of `site`: one of whom nobody knows, or one of the site that has the most,
    /// `but` left out, if that is more than `site` would have then.
    pub fn gives_way(&mut self, site: SiteId, but: SiteId) -> Option<ProtocolAddress> {
        if self.crowd.of(SiteId::NOWHERE) > 0 {
            return self.least_used(SiteId::NOWHERE);
        }
        let crowded = self.crowd.largest(but)?;
        let is_more = self.crowd.of(crowded) > self.crowd.of(site) + 1;
        if is_more { self.least_used(crowded) } else { None }
    }

    /// Of some that a site has, going round, the one that the bridge forgot, or whose answers end first.
    pub fn least_used(&mut self, site: SiteId) -> Option<ProtocolAddress> {
        let hand = self.hand.unwrap_or(ProtocolAddress::MIN);
        let end = Bound::Excluded((site, FIRST_IP));
        let behind = self.behind.range((Bound::Excluded((site, hand)), end));
        let before = self.behind.range((site, ProtocolAddress::MIN)..=(site, hand));
        let round = behind.chain(before).take(SAMPLE);
        let mut best = None;
        for (_, address) in round {
            self.hand = Some(*address);
            let Some(entry) = self.table.get(address).filter(|entry| entry.registered.is_none()) else {
                continue;
            };
            let use_ = (entry.learned, entry.until);
            if best.is_none_or(|(least, _)| use_ < least) {
                best = Some((use_, *address));
            }
        }
        best.map(|(_, address)| address)
    }

    /// The bridge sees `mac` at `site`. What that changes: if nothing was known, for those who hold an answer. `Err` when
    /// there is no room for one more of `max`.
    pub fn learn(&mut self, now: Instant, mac: Mac, site: SiteId, max: usize) -> Result<Option<Change>, ()> {
        let address = ProtocolAddress::Mac(mac);
        if max <= self.stations() && !self.table.contains_key(&address) {
            return Err(());
        }
        let before = self.places(address);
        let entry = self.table.entry(address).or_default();
        entry.seen = Some(site);
        entry.learned = true;
        entry.listed = self.listing;
        let was = before.site();
        let news = match was {
            Some(was) => was != site,
            None => entry.is_held(now),
        };
        let change = news.then(|| entry.change(now, was));
        self.settle(now, address, before);
        Ok(change)
    }

    /// The bridge forgot `mac`. That alone makes no answer untrue.
    pub fn unlearn(&mut self, now: Instant, mac: Mac) {
        self.edit(now, ProtocolAddress::Mac(mac), |entry| entry.unlearn(now));
    }

    /// A complete listing begins.
    pub fn listing(&mut self) {
        self.listing = self.listing.wrapping_add(1);
    }

    /// The listing is complete: what it did not hold, the bridge forgot. The next such address after `last`.
    pub fn next_unlisted(&self, last: Option<ProtocolAddress>) -> Option<Mac> {
        self.after(last).find_map(|(address, entry)| match address {
            ProtocolAddress::Mac(mac) if entry.learned && entry.listed != self.listing => Some(mac),
            _ => None,
        })
    }

    /// Drops what nobody holds any more among the addresses after `last`. How far it got, if that was not the end;
    /// and when the first of what is still held ends.
    pub fn sweep(
        &mut self,
        now: Instant,
        last: Option<ProtocolAddress>,
    ) -> (Option<ProtocolAddress>, Option<Instant>) {
        let mut over: heapless::Vec<ProtocolAddress, 64> = heapless::Vec::new();
        let (mut seen, mut reached, mut next) = (0, None, None::<Instant>);
        let mut rest = self.after(last).peekable();
        while let Some((address, entry)) = rest.next_if(|_| seen < SLICE && !over.is_full()) {
            seen += 1;
            reached = Some(address);
            if entry.is_held(now) {
                next = Some(next.map_or(entry.until, |n| n.min(entry.until)));
            } else if entry.is_stale() || entry.is_over(now) {
                // There is room: it is looked at before.
                let _ = over.push(address);
            }
        }
        let reached = if rest.peek().is_some() { reached } else { None };
        drop(rest);
        for address in over {
            self.edit(now, address, |entry| {
                entry.askers = Askers::Nobody;
                if !entry.learned {
                    entry.seen = None;
                }
            });
        }
        (reached, next)
    }

    /// `site` registered the address.
    pub fn register(&mut self, now: Instant, address: ProtocolAddress, site: SiteId) -> Option<Change> {
        let before = self.places(address);
        let entry = self.table.entry(address).or_default();
        entry.registered = Some(site);
        let was = before.site();
        let news = was != entry.site() && (was.is_some() || entry.is_held(now));
        let change = news.then(|| entry.change(now, was));
        self.settle(now, address, before);
        change
    }

    /// The registration of the address ended; what the bridge says of it stays.
    pub fn unregister(&mut self, now: Instant, address: ProtocolAddress) -> Option<Change> {
        self.edit(now, address, |entry| {
            let was = entry.site();
            entry.registered = None;
            was.filter(|was| Some(*was) != entry.site()).map(|was| entry.change(now, Some(was)))
        })?
    }

    /// The address is not at `site` any more; what others say of it stays. If `site` itself asked for it, which was denied
    /// since it was there, it is told when the address is known again.
    pub fn withdraw(&mut self, now: Instant, address: ProtocolAddress, site: SiteId) -> Option<Change> {
        self.edit(now, address, |entry| {
            let was_there = entry.site() == Some(site);
            entry.registered = entry.registered.filter(|r| *r != site);
            if entry.seen == Some(site) {
                entry.seen = None;
                entry.learned = false;
            }
            let change = was_there.then(|| entry.change(now, Some(site)))?;
            if change.askers.named().contains(&site) {
                (entry.askers, entry.until) = (Askers::One(site), change.until);
            }
            Some(change)
        })?
    }

    /// What the bridge saw of the address is forgotten, and so is who asked for it; a registration stays. What that
    /// changes for those who asked.
    pub fn flush(&mut self, now: Instant, address: ProtocolAddress) -> Option<Change> {
        self.edit(now, address, |entry| {
            let was = entry.site();
            (entry.seen, entry.learned) = (None, false);
            (was != entry.site() || entry.is_held(now)).then(|| entry.change(now, was))
        })?
    }

    /// The site that the address is at has another name, so what was said of it is not true any more.
    pub fn renew(&mut self, now: Instant, address: ProtocolAddress, site: SiteId) -> Option<Change> {
        let entry = self.table.get_mut(&address).filter(|entry| entry.site() == Some(site))?;
        let is_held = entry.is_held(now);
        let askers = Some(core::mem::take(&mut entry.askers)).filter(|_| is_held).unwrap_or_default();
        Some(Change { from: Some(site), to: Some(site), askers, until: entry.until })
    }

    /// `site` was given an answer that is good until `until`; or was told that nobody knows the address, and will be
    /// glad to hear otherwise until then. Questions for addresses that do not exist fill no more than half of the
    /// table, of `max` MACs and as many IP addresses.
    pub fn asked(&mut self, address: ProtocolAddress, site: SiteId, until: Instant, max: usize) {
        let taken = if is_mac(address) { self.stations() } else { self.ips };
        if self.table.contains_key(&address) || taken < max / 2 {
            let before = self.places(address);
            let entry = self.table.entry(address).or_default();
            entry.askers.add(site);
            entry.until = entry.until.max(until);
            let after = entry.places();
            self.index(address, before, after);
        }
    }

    /// The hub says that the address is at `site` until `until`.
    pub fn hold(&mut self, now: Instant, address: ProtocolAddress, site: SiteId, until: Instant) {
        let before = self.places(address);
        let entry = self.table.entry(address).or_default();
        entry.seen = Some(site);
        entry.until = until;
        self.settle(now, address, before);
    }

    /// What is known of the address is not to be relied on. Where it was.
    pub fn forget(&mut self, now: Instant, address: ProtocolAddress) -> Option<SiteId> {
        self.edit(now, address, |entry| {
            entry.until = Instant::default();
            entry.learned = false;
            entry.seen.take()
        })?
    }

    fn edit<R>(
        &mut self,
        now: Instant,
        address: ProtocolAddress,
        f: impl FnOnce(&mut Entry) -> R,
    ) -> Option<R> {
        let entry = self.table.get_mut(&address)?;
        let before = entry.places();
        let result = f(entry);
        self.settle(now, address, before);
        Some(result)
    }

    /// After an entry changed: the index follows, and what is over goes.
    fn settle(&mut self, now: Instant, address: ProtocolAddress, before: Places) {
        let Some(entry) = self.table.get(&address) else { return };
        let after = entry.places();
        if entry.is_over(now) {
            self.table.remove(&address);
        }
        let after = if self.table.contains_key(&address) { after } else { Places::default() };
        self.index(address, before, after);
    }

    fn places(&self, address: ProtocolAddress) -> Places {
        self.table.get(&address).map(Entry::places).unwrap_or_default()
    }

    fn index(&mut self, address: ProtocolAddress, before: Places, after: Places) {
        if before == after {
            return;
        }
        self.here += usize::from(after.names(SiteId::HERE));
        self.here -= usize::from(before.names(SiteId::HERE));
        if is_mac(address) {
            self.macs += usize::from(after.site().is_some());
            self.macs -= usize::from(before.site().is_some());
        } else {
            self.ips += usize::from(after.is_kept);
            self.ips -= usize::from(before.is_kept);
        }
        for site in before.sites().into_iter().flatten() {
            if !after.names(site) && self.behind.remove(&(site, address)) && is_mac(address) {
                self.crowd.remove(site);
            }
        }
        for site in after.sites().into_iter().flatten() {
            if !before.names(site) && self.behind.insert((site, address)) && is_mac(address) {
                self.crowd.add(site);
            }
        }
    }
}

/// Where an entry says that its address is.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Places {
    /// Whether there is an entry at all.
    is_kept: bool,
    seen: Option<SiteId>,
    registered: Option<SiteId>,
}

impl Places {
    fn site(self) -> Option<SiteId> {
        self.seen.or(self.registered)
    }

    fn names(self, site: SiteId) -> bool {
        self.sites().contains(&Some(site))
    }

    fn sites(self) -> [Option<SiteId>; 2] {
        let nowhere = (self.is_kept && self.site().is_none()).then_some(SiteId::NOWHERE);
        [self.seen.or(nowhere), self.registered]
    }
}

impl Entry {
    fn places(&self) -> Places {
        Places { is_kept: true, seen: self.seen, registered: self.registered }
    }
}
