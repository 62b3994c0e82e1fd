//! The ways to the hubs: which addresses of ours lead to which of theirs. A router's network comes up piece by piece
//! and changes later; what changed is told to the engine, what is missing to whoever asks or reads the log.

use super::Node;
use crate::config::{Hub, HubAddress, Role, Transport, Vn};
use crate::control::Cause;
use crate::engine::{HubKey, Input, Path, VnKey};
use crate::shell::locate::{self, Own};
use crate::shell::names::Found;
use crate::shell::netlink::{Event as Kernel, Kind, Link};
use crate::shell::tunnel::Gre;
use crate::shell::words::InWords;
use crate::time::Instant;
use crate::types::{Mac, Nbma};
use litemap::LiteMap;
use std::io::{self, ErrorKind};
use std::time::Duration;

/// While something is missing it is looked for again after this, then after twice as long each time. Most of what
/// may come is told by the kernel; this is for the rest.
const AGAIN_FIRST: Duration = Duration::from_secs(2);
const AGAIN_MOST: Duration = Duration::from_secs(30);
/// A silent hub is no reason to look more often.
const SILENCE: Duration = Duration::from_secs(1);

/// What is known of the ways.
#[derive(Debug, Default)]
pub(super) struct Ways {
    pub own: Own,
    pub paths: LiteMap<HubKey, Path>,
    /// What was found of hubs that have a name, in the order of preference.
    pub found: LiteMap<HubKey, Vec<Nbma>>,
    /// What the resolver said last of those of which nothing was found.
    unresolved: LiteMap<HubKey, Cause>,
    troubles: LiteMap<HubKey, Cause>,
    /// Why no packets can be sent from these addresses.
    closed: LiteMap<Nbma, Cause>,
    looked: Option<Instant>,
    again: Option<(Instant, Duration)>,
    /// Changes of routes are not heard until then.
    pub rests: Option<Instant>,
}

impl Node {
    /// When [`Node::tick`] is due for the ways' sake.
    pub(super) fn look_again(&self) -> Option<Instant> {
        self.ways.again.map(|(at, _)| at)
    }

    /// What is missing is looked for by the clock. The name of a hub that cannot be reached may have come to stand for
    /// another address.
    pub(super) fn look_for_missing(&mut self, now: Instant) {
        if self.look_again().is_none_or(|at| at > now) {
            return;
        }
        for hub in self.hubs_in_use() {
            if !self.ways.paths.contains_key(&hub) {
                self.look_up(hub, false);
            }
        }
        self.locate();
    }

    /// Addresses or routes changed: what was in the way may be gone.
    pub fn network_changed(&mut self) {
        self.hurry();
        self.locate();
        self.work();
    }

    /// Names of hubs were looked up. A hub may have another one by now.
    pub(super) fn names_found(&mut self, now: Instant) {
        let mut news = false;
        while let Some(Found { hub, name, addresses }) = self.lookups.found(now) {
            if self.configured(hub).is_none_or(|h| h.address != HubAddress::Name(name.clone())) {
                continue;
            }
            news = true;
            match addresses {
                Ok(addresses) => {
                    self.ways.unresolved.remove(&hub);
                    self.ways.found.insert(hub, addresses);
                }
                Err(why) => drop(self.ways.unresolved.insert(hub, Cause::NoName { name, why })),
            }
        }
        if news {
            self.locate();
            self.work();
        }
    }

    /// The hub has another address in the configuration.
    pub(super) fn forget_hub(&mut self, hub: HubKey) {
        self.ways.found.remove(&hub);
        self.ways.unresolved.remove(&hub);
    }

    /// The underlay addresses in use.
    pub fn nbma(&self) -> Vec<Nbma> {
        let paths = self.ways.paths.values().map(|p| p.local);
        let mut all: Vec<Nbma> = self.ways.own.addresses.iter().copied().chain(paths).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Why there is no underlay address, where the configuration says which it is to be.
    pub fn own_trouble(&self) -> Option<Cause> {
        self.ways.own.trouble.clone()
    }

    /// The MAC of a VN's bridge, and why the VN does not work.
    pub fn standing(&self, vn: &Vn, key: VnKey) -> (Option<Mac>, Option<Cause>) {
        let (mac, trouble) = self.planes.state(key);
        let way = match &vn.role {
            Role::Spoke(spoke) => self.names.hub(&spoke.hub).and_then(|hub| {
                let closed = || self.ways.closed.get(&self.ways.paths.get(&hub)?.local);
                self.ways.troubles.get(&hub).or_else(closed)
            }),
            Role::Hub(_) => self.ways.own.trouble.as_ref().or_else(|| self.ways.closed.values().next()),
        };
        // That a spoke's devices wait for the way says less than why there is none.
        let other = trouble.clone().filter(|t| *t != Cause::NoWay);
        (mac, other.or_else(|| way.cloned()).or(trouble))
    }

    /// Finds out, again, which addresses reach which: ours and the hubs'. What changed is told.
    pub(super) fn locate(&mut self) {
        let now = self.clock.now();
        self.ways.looked = Some(now);
        let mut own = locate::own(&self.config.main, self.planes.netlink());
        let gre = self.find_gre(&own);
        if let Some(Err(cause)) = &gre {
            // A hub has no way of its own that could tell.
            own.trouble.get_or_insert_with(|| cause.clone());
        }
        let mut paths: LiteMap<HubKey, Path> = LiteMap::new();
        let mut troubles: LiteMap<HubKey, Cause> = LiteMap::new();
        for hub in self.hubs_in_use() {
            match self.path_to(hub, &own, gre.as_ref()) {
                Ok(path) => drop(paths.insert(hub, path)),
                Err(trouble) => {
                    paths.extend(self.kept(hub, &own, &trouble).map(|path| (hub, path)));
                    troubles.insert(hub, trouble);
                }
            }
        }
        let gre = gre.and_then(Result::ok);
        let locals = match gre {
            Some((local, _)) => vec![local],
            None => own.addresses.iter().copied().chain(paths.values().map(|p| p.local)).collect(),
        };
        self.open_tunnels(locals, gre.map(|(_, gre)| gre));
        let changed = self.tell_ways(own, &paths, troubles);
        self.plan_again(now, changed);

        let spokes = self.spokes().into_iter();
        let locals = spokes.filter_map(|(vn, hub)| Some((vn, paths.get(&hub)?.local))).collect();
        self.planes.send_from(&locals, &self.engine, &mut self.inputs);
    }

    /// Takes over what was found and tells the engine and the log of what is new. Whether anything is.
    fn tell_ways(
        &mut self,
        own: Own,
        paths: &LiteMap<HubKey, Path>,
        troubles: LiteMap<HubKey, Cause>,
    ) -> bool {
        let mut changed = own != self.ways.own;
        if let Some(trouble) = own.trouble.as_ref().filter(|t| Some(*t) != self.ways.own.trouble.as_ref()) {
            log::warn!("{}", trouble.line());
        }
        let before = core::mem::replace(&mut self.ways.paths, paths.clone());
        let troubled = core::mem::replace(&mut self.ways.troubles, troubles);
        let hubs = self.hubs_in_use();
        for hub in hubs.iter().copied() {
            let (path, trouble) = (paths.get(&hub).copied(), self.ways.troubles.get(&hub));
            let name = self.configured(hub).map_or("", |h| h.name.as_str());
            if trouble != troubled.get(&hub) {
                changed = true;
                // What is wrong with this router's own address was said.
                let news = trouble.filter(|t| Some(*t) != own.trouble.as_ref());
                if let Some(news) = news.filter(|t| !matches!(t, Cause::LookingUp(_))) {
                    log::warn!("hub {name}: {}", news.line());
                }
            }
            let is_free = trouble.is_none() && troubled.contains_key(&hub);
            if before.get(&hub) != path.as_ref() || is_free {
                if let Some(Path { local, remote }) = path {
                    log::info!("hub {name}: the way is from {local} to {remote}");
                }
                changed = true;
            }
            if before.get(&hub) != path.as_ref() || is_free && path.is_some() {
                self.inputs.push_back(Input::Hub { hub, path });
            }
        }
        for hub in before.keys().filter(|hub| !hubs.contains(hub)) {
            self.inputs.push_back(Input::Hub { hub: *hub, path: None });
        }
        self.ways.own = own;
        changed
    }

    fn plan_again(&mut self, now: Instant, changed: bool) {
        let Ways { own, troubles, closed, again, .. } = &mut self.ways;
        if own.trouble.is_none() && troubles.is_empty() && closed.is_empty() {
            *again = None;
            return;
        }
        let delay = match *again {
            Some((at, _)) if !changed && at > now => return,
            Some((_, last)) if !changed => (last * 2).min(AGAIN_MOST),
            _ => AGAIN_FIRST,
        };
        *again = Some((now + delay, delay));
    }

    /// While the route is away for a moment, as when it is exchanged for another one, the way stays what it was.
    fn kept(&self, hub: HubKey, own: &Own, trouble: &Cause) -> Option<Path> {
        if !matches!(trouble, Cause::NoRoute(_) | Cause::InterfaceDown(_)) {
            return None;
        }
        let path = self.ways.paths.get(&hub).filter(|p| self.remotes(hub).contains(&p.remote))?;
        let ours =
            if own.configured { own.addresses.contains(&path.local) } else { locate::is_ours(path.local) };
        ours.then_some(*path)
    }

    fn path_to(
        &mut self,
        hub: HubKey,
        own: &Own,
        device: Option<&Result<(Nbma, Gre), Cause>>,
    ) -> Result<Path, Cause> {
        let remotes = self.remotes(hub);
        if remotes.is_empty() {
            return Err(self.look_up(hub, false));
        }
        let mut trouble = None;
        // A name may have addresses of both families, though there is a way to one only.
        for remote in remotes {
            let local = match device {
                Some(Ok((local, _))) if local.same_family(remote) => Ok(*local),
                Some(Ok(_)) => Err(Cause::OtherFamily { hub: remote }),
                Some(Err(trouble)) => Err(trouble.clone()),
                None => locate::towards(remote, own),
            };
            match local {
                Ok(local) => return Ok(Path { local, remote }),
                Err(e) => drop(trouble.get_or_insert(e)),
            }
        }
        Err(trouble.unwrap_or(Cause::NoWay))
    }

    /// The hub's addresses, as far as they are known.
    fn remotes(&self, hub: HubKey) -> Vec<Nbma> {
        match self.configured(hub).map(|h| &h.address) {
            Some(HubAddress::Ip(ip)) => vec![*ip],
            Some(HubAddress::Name(_)) => self.ways.found.get(&hub).cloned().unwrap_or_default(),
            None => Vec::new(),
        }
    }

    /// Has the hub's name looked up, if it has one, and if nobody does so already. Why its address is not known.
    fn look_up(&mut self, hub: HubKey, hurry: bool) -> Cause {
        let Some(HubAddress::Name(name)) = self.configured(hub).map(|h| h.address.clone()) else {
            return Cause::NoWay;
        };
        self.lookups.look_up(self.now(), hub, &name, hurry);
        self.ways.unresolved.get(&hub).cloned().unwrap_or(Cause::LookingUp(name))
    }

    /// Names that did not resolve may do so now.
    fn hurry(&mut self) {
        let hubs: Vec<HubKey> = self.ways.unresolved.keys().copied().collect();
        for hub in hubs {
            self.look_up(hub, true);
        }
    }

    /// Effect: the hub does not answer.
    pub(super) fn find_hub(&mut self, hub: HubKey) {
        match self.configured(hub).map(|h| &h.address) {
            Some(HubAddress::Name(_)) => drop(self.look_up(hub, false)),
            // The address is fixed, but the way to it may be another one. One look is enough for many VNs.
            Some(HubAddress::Ip(_)) => {
                let now = self.clock.now();
                if self.ways.looked.is_none_or(|looked| now.since(looked) >= SILENCE) {
                    self.locate();
                }
            }
            None => {}
        }
    }

    fn configured(&self, hub: HubKey) -> Option<&Hub> {
        self.config.hubs.iter().find(|h| self.names.hub(&h.name) == Some(hub))
    }

    /// The VNs in which this node is a spoke, with their hubs.
    fn spokes(&self) -> Vec<(VnKey, HubKey)> {
        let spoke = |vn: &Vn| match &vn.role {
            Role::Spoke(spoke) => Some((self.names.vn(&vn.name)?, self.names.hub(&spoke.hub)?)),
            Role::Hub(_) => None,
        };
        self.config.vns.iter().filter_map(spoke).collect()
    }

    fn hubs_in_use(&self) -> Vec<HubKey> {
        let mut hubs: Vec<HubKey> = self.spokes().into_iter().map(|(_, hub)| hub).collect();
        hubs.sort_unstable();
        hubs.dedup();
        hubs
    }

    /// With transport `device`: its address and what else there is to know.
    fn find_gre(&mut self, own: &Own) -> Option<Result<(Nbma, Gre), Cause>> {
        let Transport::Device(name) = &self.config.main.transport else { return None };
        let name = name.clone();
        Some(match self.planes.netlink().link_by_name(&name) {
            Ok(link) => gre(&name, link.as_ref(), own),
            Err(e) => Err(Cause::Failed(e.to_string())),
        })
    }

    /// Whether a device came, went or changed that the configuration names for the underlay.
    pub(super) fn is_of_underlay(&self, event: &Kernel) -> bool {
        let (link, gone) = match event {
            Kernel::Link(link) => (link, false),
            Kernel::LinkGone(link) => (link, true),
            _ => return false,
        };
        if let Some(interface) = &self.config.main.interface {
            let known = self.ways.own.link;
            let is_it = link.name == *interface || known.is_some_and(|(index, _)| index == link.index);
            return is_it && (gone || link.name != *interface || known != Some((link.index, link.up)));
        }
        // Without its device a tunnel cannot be opened.
        matches!(&self.config.main.transport, Transport::Device(name)
            if link.name == *name && (gone || self.gre.is_none()))
    }

    fn open_tunnels(&mut self, locals: Vec<Nbma>, gre: Option<Gre>) {
        if self.gre != gre {
            // Their device is another one now, or none.
            self.tunnels.close_others(&[]);
        }
        self.gre = gre;
        let before = core::mem::take(&mut self.ways.closed);
        for local in &locals {
            let Err(e) = self.open_tunnel(*local) else { continue };
            let trouble = Cause::Failed(match e.kind() {
                ErrorKind::PermissionDenied => e.to_string(),
                _ => format!("no GRE from {local}: {}", InWords(&e)),
            });
            if before.get(local) != Some(&trouble) {
                log::error!("{}", trouble.line());
            }
            self.ways.closed.insert(*local, trouble);
        }
        self.keep = Some(locals);
    }

    fn open_tunnel(&mut self, local: Nbma) -> io::Result<()> {
        match &self.gre {
            Some(gre) => self.tunnels.open_device(local, gre),
            None if self.config.main.transport == Transport::Raw => self.tunnels.open_raw(local),
            None => Ok(()),
        }
    }
}

/// What has to be known of the GRE device `name`.
fn gre(name: &str, link: Option<&Link>, own: &Own) -> Result<(Nbma, Gre), Cause> {
    let Some((link, Kind::Gre(info))) = link.map(|l| (l, &l.kind)) else {
        return Err(Cause::NoGre(name.to_owned()));
    };
    let remote = info.remote.and_then(Nbma::new);
    if info.ipv6 && remote.is_none() {
        // Linux sends from such a device, but does not tell from where a packet came (no `header_ops.parse`).
        return Err(Cause::MultipointGre6(name.to_owned()));
    }
    let local = info.local.and_then(Nbma::new).or(own.addresses.first().copied());
    let local = local.ok_or_else(|| own.trouble.clone().unwrap_or(Cause::NoAddress(name.to_owned())))?;
    Ok((local, Gre { index: link.index, remote, key: info.ikey }))
}
