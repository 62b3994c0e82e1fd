//! The network under the VNs: own addresses, the ways to the hubs, and the tunnels that NHRP goes by.
//!
//! A router's network comes up piece by piece and changes later. What changed is told to the engine, what is missing to
//! whoever asks or reads the log. The kernel is asked for what its events said has changed, and not more often than
//! makes sense: addresses and routes of others may change many times a second.

mod hubs;
mod names;
mod own;
mod tunnel;

#[cfg(test)]
mod tests;

use super::netlink::{Event as Kernel, Link, Netlink, Routes, name_of};
use super::settings::Names;
use super::wait::Sources;
use super::words::InWords;
use crate::config::{Config, Role, Transport};
use crate::control::Cause;
use crate::engine::{HubKey, Path, Via, VnKey};
use crate::map::map_of;
use crate::time::Instant;
use crate::types::Nbma;
use hubs::Hub;
use litemap::LiteMap;
use names::LookUps;
pub use names::addresses_of;
pub use own::{Home, Question, Source, is_ours};
use own::{Inside, Own};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;
use tunnel::{Gre, Tunnels, gre};
pub use tunnel::{MAX_PACKET, Received, Tunnel};

/// It is looked once in this time, when changes do not end, as where a full BGP table is; but what changes now and then
/// is looked at at once, several times: an address that is replaced is gone first, and each of the two changes the way.
const CHANGES_PAUSE: Duration = Duration::from_millis(200);
const AT_ONCE: u32 = 5;
/// While something is missing it is looked for again after this, then after twice as long each time. Most of what
/// may come is told by the kernel; this is for the rest.
const AGAIN_FIRST: Duration = Duration::from_secs(2);
const AGAIN_MOST: Duration = Duration::from_secs(30);
/// A silent hub is sought no more often than this, however many VNs miss it.
const SILENCE: Duration = Duration::from_secs(10);
/// Packets that clients send each other are looked at no more often than this.
const LOOK_AWAY: Duration = Duration::from_secs(1);
/// A tunnel that has nothing but errors rests for this.
const REST: Duration = Duration::from_secs(1);

/// All of it.
#[derive(Debug)]
pub struct Underlay {
    interface: Option<String>,
    nbma: Vec<Nbma>,
    transport: Transport,
    own: Own,
    /// With transport `device`: its address and what else there is to know, or what is wrong with it.
    device: Option<Result<(Nbma, Gre), Cause>>,
    /// What the kernel told of own addresses and the device; whether it is to be asked again, and whether it is asked.
    home: Home,
    is_stale: bool,
    is_asking: bool,
    /// Whether the device was off since its neighbours were told: the kernel forgets all of them then.
    was_off: bool,
    /// For questions about routes, which the kernel answers at once.
    netlink: Netlink,
    /// By which devices no way may lead.
    inside: Inside,
    /// From where to where a hub's newest port leads, and whether it does so by any device; what is wrong with that.
    newest: Option<(Nbma, Nbma, bool)>,
    astray: Option<Cause>,
    /// The hubs of VNs in which this router is a spoke.
    hubs: LiteMap<HubKey, Hub>,
    lookups: LookUps,
    routes: Routes,
    /// Changes of routes are not heard until then.
    routes_rest: Option<Instant>,
    tunnels: Tunnels,
    /// Why no packets can be sent from addresses of the family of these.
    closed: Vec<(Nbma, Cause)>,
    /// Whether all addresses of the interface are those of a hub; the others that are in use.
    is_hub: bool,
    /// Whether there may be clients that send IP packets to each other.
    relays: bool,
    heard: Vec<Nbma>,
    /// Until when the looks so far would have taken, one after each pause; when it is to be looked since something
    /// changed, and when since something is missing, that after which pause.
    looks: Option<Instant>,
    due: Option<Instant>,
    again: Option<(Instant, Duration)>,
}

/// Hubs that are reached another way now, or not at all; or there was something in the way.
pub type News = Vec<(HubKey, Option<Path>)>;

impl Underlay {
    /// One that leads nowhere until [`Underlay::configure`]. `waker` is called when there is something to
    /// [`Underlay::hear`] that no socket tells.
    pub fn open(waker: Waker) -> io::Result<Underlay> {
        Ok(Underlay {
            interface: None,
            nbma: Vec::new(),
            transport: Transport::Raw,
            own: Own::default(),
            device: None,
            home: Home::default(),
            is_stale: true,
            is_asking: false,
            was_off: false,
            netlink: Netlink::open()?,
            inside: Inside::default(),
            newest: None,
            astray: None,
            hubs: LiteMap::new(),
            lookups: LookUps::new(waker),
            routes: Routes::open()?,
            routes_rest: None,
            tunnels: Tunnels::default(),
            closed: Vec::new(),
            is_hub: false,
            relays: false,
            heard: Vec::new(),
            looks: None,
            due: None,
            again: None,
        })
    }

    /// Takes over a configuration; [`Underlay::look`] and [`Underlay::ways`] do the rest. Hubs that are in use no more
    /// are told at once.
    pub fn configure(&mut self, config: &Config, names: &Names) -> News {
        if self.transport != config.main.transport {
            self.tunnels.retire();
        }
        self.is_hub = config.vns.iter().any(|vn| matches!(vn.role, Role::Hub(_)));
        let has_ip = |role: &Role| matches!(role, Role::Hub(hub) if !hub.protocol_addresses.is_empty());
        self.relays = config.vns.iter().any(|vn| has_ip(&vn.role));
        self.interface.clone_from(&config.main.interface);
        self.nbma.clone_from(&config.main.nbma);
        self.transport.clone_from(&config.main.transport);
        self.inside = Inside::of(config);
        self.newest = None;
        self.is_stale = true;
        let before = core::mem::replace(&mut self.hubs, hubs::in_use(config, names));
        let mut news = News::new();
        for (key, old) in before {
            match self.hubs.get_mut(&key) {
                Some(hub) => hub.take_over(old),
                None => news.push((key, None)),
            }
        }
        news
    }

    /// What there is to wait for at `now`.
    pub fn sources(&self, now: Instant) -> impl Iterator<Item = BorrowedFd<'_>> {
        let routes = self.routes_rest.is_none_or(|until| until <= now).then(|| self.routes.as_fd());
        routes.into_iter().chain(self.tunnels.awake(now).map(|tunnel| tunnel.as_fd()))
    }

    /// When a turn is due, though there may be nothing to read.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let rested = [self.routes_rest.filter(|until| *until > now), self.tunnels.rested(now)];
        let all = [self.due, self.again.map(|(at, _)| at), self.lookups.deadline()];
        all.into_iter().chain(rested).flatten().min()
    }

    /// Hears whether routes changed and names were found, and does what is due. Whether it is to be looked.
    pub fn hear(&mut self, now: Instant, sources: &Sources) -> bool {
        if sources.have(self.routes.as_fd()) {
            self.routes.forget();
            self.changed(now);
            self.routes_rest = self.due;
        }
        if self.names_found(now) {
            self.due = Some(now);
        }
        self.lookups.tick(now);
        if self.again.is_some_and(|(at, _)| at <= now) {
            // An event may have been missed, and a name may have come to stand for another address.
            self.is_stale |= self.own_trouble().is_some();
            self.seek_missing(now);
            self.due = Some(now);
        }
        self.due.is_some_and(|at| at <= now)
    }

    /// The kernel tells of something that may concern the underlay.
    pub fn event(&mut self, now: Instant, event: &Kernel) {
        if let Kernel::Link(link) = event {
            self.was_off |= !link.up && self.device_index() == Some(link.index);
        }
        match event {
            Kernel::Overrun => self.is_stale = true,
            Kernel::Addresses { index } if self.interface.is_some() => {
                // There the kernel tells of another one's by its routes.
                if self.own.link.is_none_or(|(own, _)| own != *index) {
                    return;
                }
                self.is_stale = true;
            }
            Kernel::Addresses { .. } => {}
            Kernel::Link(link) if self.is_changed(link, false) => self.is_stale = true,
            Kernel::LinkGone(link) if self.is_changed(link, true) => self.is_stale = true,
            _ => return,
        }
        self.changed(now);
    }

    /// Whether a device came, went or changed that the configuration names for the underlay.
    fn is_changed(&self, link: &Link, gone: bool) -> bool {
        let of_interface = self.interface.as_ref().is_some_and(|interface| {
            let known = self.own.link;
            let is_it = link.name == *interface || known.is_some_and(|(index, _)| index == link.index);
            is_it && (gone || link.name != *interface || known != Some((link.index, link.up)))
        });
        // Without its device a tunnel cannot be opened, and it may lead to another hub.
        let of_device = matches!(&self.transport, Transport::Device(name) if link.name == *name)
            && (gone || self.device != Some(gre(&link.name, Some(link), &self.own)));
        of_interface || of_device
    }

    /// Something changed that may be what is missing, or that leads another way.
    fn changed(&mut self, now: Instant) {
        self.lookups.hurry(now);
        let at = self.looks.map_or(now, |looks| (looks - CHANGES_PAUSE * (AT_ONCE - 1)).max(now));
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// A look begins: what the kernel is to be asked first, of which [`Underlay::answered`] is to be told.
    /// [`Underlay::ways`] does what can be done meanwhile.
    pub fn look(&mut self, now: Instant) -> Option<Question> {
        self.looks = Some(self.looks.map_or(now, |looks| looks.max(now)) + CHANGES_PAUSE);
        self.due = None;
        let question = self.question();
        if question.is_empty() || !self.is_stale || self.is_asking {
            return None;
        }
        (self.is_stale, self.is_asking) = (false, true);
        Some(question)
    }

    /// The kernel answered; the [`Underlay::ways`] may be others now.
    pub fn answered(&mut self, now: Instant, home: Home) {
        self.is_asking = false;
        // It may be about the configuration before.
        self.is_stale |= home.question != self.question();
        self.home = home;
        if self.is_stale {
            self.changed(now);
        }
    }

    /// What the kernel has to tell of devices.
    fn question(&self) -> Question {
        let device = match &self.transport {
            Transport::Raw => None,
            Transport::Device(name) => Some(name.clone()),
        };
        Question { interface: self.interface.clone(), device }
    }

    /// Finds out, again, which addresses reach which: ours and the hubs', as far as the kernel told of them. What changed
    /// is told.
    pub fn ways(&mut self, now: Instant) -> News {
        let question = self.question();
        if !question.is_empty() && question != self.home.question {
            // The answer is to come, and with it what is missing then.
            self.again = None;
            return News::new();
        }
        let mut changed = self.look_at_home();
        self.look_at_ports();
        let news = self.look_for_hubs(now, &mut changed);
        self.open_tunnels();
        self.plan_again(now, changed);
        news
    }

    /// The spokes' VNs, each with what its frames are sent from: what leads to the hub that `hub_of` tells; as long as there is
    /// no way to that, to another one.
    pub fn origins(&self, hub_of: impl Fn(VnKey) -> Option<HubKey>) -> LiteMap<VnKey, Source> {
        let mut origins = LiteMap::new();
        for (key, hub) in self.hubs.iter() {
            let Some(path) = hub.path else { continue };
            let source = Source { local: path.local, is_any: hub.is_any };
            for vn in &hub.spokes {
                if hub_of(*vn) == Some(*key) || !origins.contains_key(vn) {
                    origins.insert(*vn, source);
                }
            }
        }
        origins
    }

    /// Where the hubs of spokes' VNs are, as far as that is known; `None` where there are several, of which the engine says which
    /// one counts.
    pub fn hubs(&self) -> LiteMap<VnKey, Option<Nbma>> {
        let mut all: LiteMap<VnKey, Option<Nbma>> = LiteMap::new();
        let is_single = |vn: &VnKey| self.hubs.values().filter(|hub| hub.spokes.contains(vn)).count() == 1;
        for hub in self.hubs.values() {
            let remote = hub.path.map(|path| path.remote);
            for vn in &hub.spokes {
                let is_single = is_single(vn);
                if remote.is_some() || !is_single {
                    all.insert(*vn, remote.filter(|_| is_single));
                }
            }
        }
        all
    }

    /// The device that tunnelled frames are to leave by; `Some(None)` where the routes say it, `None` while there is none.
    pub fn via(&self) -> Option<Option<u32>> {
        match self.interface {
            Some(_) => self.own.link.map(|(index, _)| Some(index)),
            None => Some(None),
        }
    }

    /// A hub's port leads `from` here `to` there, by the device of [`Underlay::via`] or `by_any`.
    pub fn port(&mut self, from: Nbma, to: Nbma, by_any: bool) {
        if self.interface.is_some() {
            self.newest = Some((from, to, by_any));
            self.look_at_ports();
        }
    }

    /// Whether what a hub sends leaves by the interface: the newest port stands for all.
    fn look_at_ports(&mut self) {
        let astray = self.newest.zip(self.own.link).and_then(|((from, to, by_any), (device, _))| {
            let by = Some(device).filter(|_| !by_any);
            let way = self.netlink.way(to.ip(), Some(from.ip()), by).ok()?;
            let other = way.device.filter(|other| *other != device)?;
            Some(Cause::Elsewhere { from, to, by: name_of(other) })
        });
        if let Some(trouble) = astray.as_ref().filter(|_| self.astray.is_none()) {
            log::warn!("{}", trouble.line());
        }
        self.astray = astray;
    }

    /// The underlay addresses in use.
    pub fn nbma(&self) -> Vec<Nbma> {
        let is_any = self.is_hub || self.heard.is_empty();
        let own = self.own.addresses.iter().filter(|_| is_any);
        let all = map_of(own.chain(&self.heard).map(|nbma| (*nbma, ())));
        all.keys().copied().collect()
    }

    /// The interface index of the GRE device, with transport `device`.
    pub fn device_index(&self) -> Option<u32> {
        self.gre().map(|gre| gre.index)
    }

    /// Whether the device was off, and is on again as the kernel told since, maybe before anybody saw it off. Once.
    pub fn take_was_off(&mut self) -> bool {
        let is_on = !self.is_stale && !self.is_asking && self.device_index().is_some();
        is_on && core::mem::take(&mut self.was_off)
    }

    /// What is wrong with this router's own end.
    pub fn own_trouble(&self) -> Option<&Cause> {
        self.own.trouble.as_ref().or(self.device.as_ref().and_then(|device| device.as_ref().err()))
    }

    /// Why a VN does not work, as far as it is the underlay's fault: one of this hub's spokes, or one that has no hub
    /// but is one.
    pub fn trouble(&self, hub: Option<HubKey>) -> Option<&Cause> {
        let closed = |like: Option<Nbma>| {
            let mut closed = self.closed.iter();
            closed.find(|(closed, _)| like.is_none_or(|like| like.same_family(*closed))).map(|(_, why)| why)
        };
        let Some(hub) = hub else {
            return self.own_trouble().or_else(|| closed(None)).or(self.astray.as_ref());
        };
        let hub = self.hubs.get(&hub)?;
        hub.trouble.as_ref().or_else(|| closed(Some(hub.path?.local)))
    }

    /// Sends a packet from `via.path.local`.
    pub fn send(&mut self, via: Via, nhrp: &[u8]) -> io::Result<()> {
        self.tunnels.send(via, nhrp, self.is_for_us(via.path.local))
    }

    /// All that was to be sent was sent: tunnels on devices that are in use no more are closed.
    pub fn close(&mut self) {
        self.tunnels.close_former();
    }

    /// The next packet of a tunnel, if it is NHRP in GRE, for us. An error of kind `WouldBlock`: there is none now.
    pub fn receive<'b>(&self, tunnel: &Tunnel, buf: &'b mut [u8]) -> io::Result<Option<Received<'b>>> {
        let received = tunnel.receive(buf)?;
        Ok(received.filter(|received| self.is_for_us(received.local())))
    }

    /// The tunnel at that place, if it has packets.
    pub fn tunnel(&self, now: Instant, place: usize) -> Option<Rc<Tunnel>> {
        self.tunnels.awake(now).nth(place).cloned()
    }

    /// The tunnel has nothing but errors, such as while a device is down.
    pub fn let_rest(&mut self, now: Instant, tunnel: &Rc<Tunnel>, e: &io::Error) {
        log::debug!("receive: {}", InWords(e));
        self.tunnels.rest(tunnel, now + REST);
    }

    /// Enough was seen of what else comes by a tunnel's device, for a while.
    pub fn look_away(&mut self, now: Instant, tunnel: &Rc<Tunnel>) {
        self.tunnels.rest(tunnel, now + LOOK_AWAY);
    }

    /// Own addresses and the GRE device as they are now. Whether they changed.
    fn look_at_home(&mut self) -> bool {
        let own = own::own(self.interface.as_deref(), &self.nbma, &self.home);
        let device = match &self.transport {
            Transport::Raw => None,
            Transport::Device(name) => Some(match &self.home.device {
                Ok(link) => gre(name, link.as_ref(), &own),
                Err(e) => Err(Cause::Failed(e.clone())),
            }),
        };
        let gre = |device: &Option<Result<(Nbma, Gre), Cause>>| device.as_ref()?.as_ref().ok().copied();
        let index = |own: &Own| own.link.map(|(index, _)| index);
        if gre(&device) != gre(&self.device) || index(&own) != index(&self.own) {
            self.tunnels.retire();
        }
        let before = self.own_trouble().cloned();
        let changed = own != self.own || device != self.device;
        (self.own, self.device) = (own, device);
        if let Some(trouble) = self.own_trouble().filter(|t| Some(*t) != before.as_ref()) {
            log::warn!("{}", trouble.line());
        }
        changed
    }

    fn plan_again(&mut self, now: Instant, changed: bool) {
        let is_well = self.own_trouble().is_none() && self.closed.is_empty();
        if is_well && self.hubs.values().all(|hub| hub.trouble.is_none()) {
            self.again = None;
            return;
        }
        let delay = match self.again {
            Some((at, _)) if !changed && at > now => return,
            Some((_, last)) if !changed => (last * 2).min(AGAIN_MOST),
            _ => AGAIN_FIRST,
        };
        self.again = Some((now + delay, delay));
    }

    fn gre(&self) -> Option<&Gre> {
        self.device.as_ref()?.as_ref().ok().map(|(_, gre)| gre)
    }

    /// Whether packets to and from that address of this router are the daemon's. A hub with an interface is at all
    /// addresses there, those included that are to come: only its packets come by the tunnels.
    fn is_for_us(&self, local: Nbma) -> bool {
        self.is_hub && self.interface.is_some() || self.heard.contains(&local)
    }

    fn open_tunnels(&mut self) {
        let ways = self.hubs.values().filter_map(|hub| Some(hub.path?.local));
        let device = match &self.device {
            Some(Ok((local, _))) => Some(*local),
            _ => None,
        };
        self.heard = self.nbma.iter().copied().chain(ways).chain(device).collect();
        let before = core::mem::take(&mut self.closed);
        let own = self.own.addresses.iter().copied().filter(|_| device.is_none());
        let all: Vec<Nbma> = self.heard.iter().copied().chain(own).collect();
        for local in all {
            let Err(e) = self.open_tunnel(local) else { continue };
            if self.closed.iter().any(|(like, _)| like.same_family(local)) {
                continue;
            }
            let trouble = Cause::Failed(match e.kind() {
                ErrorKind::PermissionDenied => e.to_string(),
                _ => format!("no GRE from {local}: {}", InWords(&e)),
            });
            if !before.iter().any(|(_, said)| *said == trouble) {
                log::error!("{}", trouble.line());
            }
            self.closed.push((local, trouble));
        }
        // Whoever else sends to a spoke does not even wake it.
        let hubs = self.hubs.values().filter_map(|hub| Some((hub.path?.remote, ())));
        let hubs: Vec<Nbma> = map_of(hubs).into_iter().map(|(hub, ())| hub).collect();
        self.tunnels.hear((!self.is_hub).then_some(&hubs));
    }

    fn open_tunnel(&mut self, local: Nbma) -> io::Result<()> {
        match (&self.transport, &self.device) {
            (Transport::Raw, _) => self.tunnels.open_raw(local, self.interface.as_deref()),
            (Transport::Device(_), Some(Ok((_, gre)))) => {
                self.tunnels.open_device(local, gre)?;
                // A point-to-point device leads to one client.
                if self.relays && gre.remote.is_none() {
                    return self.tunnels.open_relayed(local, gre);
                }
                self.tunnels.close_relayed();
                Ok(())
            }
            (Transport::Device(_), _) => Ok(()),
        }
    }
}
