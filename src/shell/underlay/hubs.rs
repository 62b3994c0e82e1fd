//! The hubs this router registers with, and the ways there: from which address of ours to which of theirs.

use super::own::{self, Own, Source};
use super::tunnel::Gre;
use super::{News, SILENCE, Underlay};
use crate::config::{Config, HubAddress, Role};
use crate::control::Cause;
use crate::engine::{HubKey, Path, VnKey};
use crate::shell::settings::Names;
use crate::time::Instant;
use crate::types::Nbma;
use core::time::Duration;
use litemap::LiteMap;

/// An address of a hub's name is tried for so long before the next one is: not each VN's silence makes a turn.
const CHANCE: Duration = Duration::from_secs(5);

/// A hub.
#[derive(Debug)]
pub(super) struct Hub {
    name: String,
    address: HubAddress,
    /// The VNs in which this router is a spoke of it, or a hub beside it.
    pub spokes: Vec<VnKey>,
    /// The addresses of its name, in the order in which they are tried.
    found: Vec<Nbma>,
    /// How many of them were silent since the name was looked up, and whether all were before that.
    silent: usize,
    is_gone_round: bool,
    /// What the resolver said last, if it found none.
    unresolved: Option<Cause>,
    /// When it was sought last because it was silent, and when another address of its name got its turn.
    sought: Option<Instant>,
    turned: Option<Instant>,
    pub path: Option<Path>,
    /// Whether the kernel chooses the source of frames ([`own::Source::is_any`]).
    pub is_any: bool,
    pub trouble: Option<Cause>,
}

/// The hubs of all VNs in which this router is a spoke, and the other hubs of those in which it is one.
pub(super) fn in_use(config: &Config, names: &Names) -> LiteMap<HubKey, Hub> {
    let mut hubs: LiteMap<HubKey, Hub> = LiteMap::new();
    for vn in &config.vns {
        let names_of_hubs = match &vn.role {
            Role::Spoke(spoke) => &spoke.hubs,
            Role::Hub(hub) => &hub.peers,
        };
        for name in names_of_hubs {
            let (Some(key), Some(hub)) = (names.vn(&vn.name), names.hub(name)) else { continue };
            if let Some(hub) = hubs.get_mut(&hub) {
                hub.spokes.push(key);
            } else if let Some(configured) = config.hubs.iter().find(|h| h.name == *name) {
                let new = Hub {
                    name: name.clone(),
                    address: configured.address.clone(),
                    spokes: vec![key],
                    found: Vec::new(),
                    silent: 0,
                    is_gone_round: false,
                    unresolved: None,
                    sought: None,
                    turned: None,
                    path: None,
                    is_any: false,
                    trouble: None,
                };
                hubs.insert(hub, new);
            }
        }
    }
    hubs
}

impl Hub {
    /// What is known of it under the configuration before this one.
    pub(super) fn take_over(&mut self, old: Hub) {
        if self.address == old.address {
            (self.found, self.unresolved) = (old.found, old.unresolved);
        }
        (self.path, self.is_any, self.trouble) = (old.path, old.is_any, old.trouble);
    }

    /// Its name stands for these. The one in use stays the first, and where they are the same as before all keep their
    /// order: a resolver may have them in another one each time.
    fn is_at(&mut self, mut addresses: Vec<Nbma>) {
        self.unresolved = None;
        let same = addresses.len() == self.found.len() && addresses.iter().all(|a| self.found.contains(a));
        if same {
            return;
        }
        let in_use = |path: Path| addresses.iter().position(|a| *a == path.remote);
        let first = self.path.and_then(in_use).unwrap_or(0);
        addresses.rotate_left(first);
        self.found = addresses;
        (self.silent, self.is_gone_round) = (0, false);
    }

    /// The hub's addresses, as far as they are known.
    fn remotes(&self) -> &[Nbma] {
        match &self.address {
            HubAddress::Ip(ip) => core::slice::from_ref(ip),
            HubAddress::Name(_) => &self.found,
        }
    }

    /// While the route is away for a moment, as when it is exchanged for another one, the way stays what it was.
    fn kept(&self, own: &Own, trouble: &Cause) -> Option<Path> {
        if !matches!(trouble, Cause::NoRoute(_) | Cause::Inside { .. } | Cause::InterfaceDown(_)) {
            return None;
        }
        let path = self.path.filter(|p| self.remotes().contains(&p.remote))?;
        let ours =
            if own.configured { own.addresses.contains(&path.local) } else { own::is_ours(path.local) };
        ours.then_some(path)
    }
}

impl Underlay {
    /// The ways as they are now. What is new is told, and sets `changed`.
    pub(super) fn look_for_hubs(&mut self, now: Instant, changed: &mut bool) -> News {
        let mut news = News::new();
        let keys: Vec<HubKey> = self.hubs.keys().copied().collect();
        for key in keys {
            let found = self.path_to(now, key);
            let said = self.own_trouble().cloned();
            let Some(hub) = self.hubs.get_mut(&key) else { continue };
            let (path, trouble) = match found {
                Ok((remote, source, trouble)) => {
                    hub.is_any = source.is_any;
                    (Some(Path { local: source.local, remote }), trouble)
                }
                Err(trouble) => (hub.kept(&self.own, &trouble), Some(trouble)),
            };
            let (other_way, other_trouble) = (path != hub.path, trouble != hub.trouble);
            let is_free = trouble.is_none() && hub.trouble.is_some();
            *changed |= other_way || other_trouble;
            // What is wrong with this router's own end was said.
            let to_say = trouble.as_ref().filter(|t| other_trouble && Some(*t) != said.as_ref());
            if let Some(trouble) = to_say.filter(|t| !matches!(t, Cause::LookingUp(_))) {
                log::warn!(target: &hub.name, "hub {}: {}", hub.name, trouble.line());
            }
            if let Some(Path { local, remote }) = path.filter(|_| other_way || is_free) {
                // Once all of its addresses were silent, that they have their turns again is no news.
                let level = if hub.is_gone_round { log::Level::Debug } else { log::Level::Info };
                let name = &hub.name;
                log::log!(target: name, level, "hub {name}: the way is from {local} to {remote}");
            }
            if other_way || is_free && path.is_some() {
                news.push((key, path));
            }
            (hub.path, hub.trouble) = (path, trouble);
        }
        news
    }

    /// The hub's address, what leads there and what is wrong with that nevertheless; or why there is no way.
    fn path_to(&mut self, now: Instant, key: HubKey) -> Result<(Nbma, Source, Option<Cause>), Cause> {
        let Some(hub) = self.hubs.get(&key) else { return Err(Cause::NoWay) };
        let mut trouble = None;
        // A name may have addresses of both families, though there is a way to one only.
        for remote in hub.remotes().to_vec() {
            match self.towards(remote) {
                Ok((source, trouble)) => return Ok((remote, source, trouble)),
                Err(e) => drop(trouble.get_or_insert(e)),
            }
        }
        Err(trouble.unwrap_or_else(|| self.look_up(now, key)))
    }

    /// What we send from to an address of a hub, and what is wrong with that nevertheless; or why there is no way.
    fn towards(&mut self, remote: Nbma) -> Result<(Source, Option<Cause>), Cause> {
        match &self.device {
            _ if own::is_here(remote, &self.own) => Err(Cause::Itself { hub: remote }),
            Some(Ok((_, Gre { remote: Some(end), .. }))) if *end != remote => {
                let device = self.question().device.unwrap_or_default();
                Err(Cause::OtherEnd { device, end: *end, hub: remote })
            }
            Some(Ok((local, _))) if local.same_family(remote) => {
                Ok((Source { local: *local, is_any: false }, None))
            }
            Some(Ok(_)) => Err(Cause::OtherFamily { hub: remote }),
            Some(Err(trouble)) => Err(trouble.clone()),
            None => own::towards(&mut self.netlink, remote, &self.own, &self.inside),
        }
    }

    /// What a VN lacks that may work nevertheless: one of its hubs that nothing will lead to as long as nobody changes something.
    pub fn lack(&self, vn: VnKey) -> Option<&Cause> {
        let mut hubs = self.hubs.values().filter(|hub| hub.spokes.contains(&vn));
        hubs.find_map(|hub| hub.trouble.as_ref().filter(|why| matches!(why, Cause::OtherEnd { .. })))
    }

    /// Has the hub's name looked up, if it has one. Why its address is not known.
    fn look_up(&mut self, now: Instant, key: HubKey) -> Cause {
        let Some((hub, HubAddress::Name(name))) = self.hubs.get(&key).map(|hub| (hub, &hub.address)) else {
            return Cause::NoWay;
        };
        self.lookups.look_up(now, key, name);
        hub.unresolved.clone().unwrap_or_else(|| Cause::LookingUp(name.clone()))
    }

    /// The name of a hub that cannot be reached may have come to stand for another address.
    pub(super) fn seek_missing(&mut self, now: Instant) {
        let missing: Vec<HubKey> =
            self.hubs.iter().filter(|(_, hub)| hub.path.is_none()).map(|(key, _)| *key).collect();
        missing.into_iter().for_each(|key| drop(self.look_up(now, key)));
    }

    /// The hub does not answer: it may have another address, or the way to it may be another one. One look is enough
    /// for many VNs. Where no VN `is_registered` there any more, the next of its name's addresses is tried; the name is
    /// looked up anew once all were that there is a way to.
    pub fn seek(&mut self, now: Instant, key: HubKey, is_registered: impl Fn(VnKey) -> bool) {
        let Some(hub) = self.hubs.get(&key) else { return };
        let is_in_use = hub.spokes.iter().any(|vn| is_registered(*vn));
        let place = hub.path.and_then(|path| hub.found.iter().position(|found| *found == path.remote));
        let place = place.filter(|_| !is_in_use && hub.found.len() > 1);
        let found = place.map(|_| hub.found.clone());
        let ways = found.map(|found| found.iter().filter(|remote| self.towards(**remote).is_ok()).count());
        let Some(hub) = self.hubs.get_mut(&key) else { return };
        hub.is_gone_round &= !is_in_use;
        if let (Some(place), Some(ways)) = (place, ways) {
            if hub.turned.is_some_and(|turned| now.since(turned) < CHANCE) {
                return;
            }
            hub.found.rotate_left(place + 1);
            hub.turned = Some(now);
            hub.silent += 1;
            self.due = Some(now);
            if hub.silent < ways {
                return;
            }
            (hub.silent, hub.is_gone_round) = (0, true);
        } else if hub.sought.is_some_and(|sought| now.since(sought) < SILENCE) {
            return;
        }
        hub.sought = Some(now);
        self.due = Some(now);
        self.look_up(now, key);
    }

    /// Takes what was found of names meanwhile. Whether there was something.
    pub(super) fn names_found(&mut self, now: Instant) -> bool {
        let mut news = false;
        while let Some(found) = self.lookups.found(now) {
            // It may have another name by now.
            let name = HubAddress::Name(found.name);
            let Some(hub) = self.hubs.get_mut(&found.hub).filter(|hub| hub.address == name) else { continue };
            let HubAddress::Name(name) = name else { continue };
            news = true;
            match found.addresses {
                Ok(addresses) => hub.is_at(addresses),
                Err(why) => hub.unresolved = Some(Cause::NoName { name, why }),
            }
        }
        news
    }
}
