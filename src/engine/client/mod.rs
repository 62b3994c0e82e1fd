//! A VN's client half (NHC): it registers with a hub, announces what is here, and asks where everybody else is.

mod bridge;
mod choice;
mod departures;
mod hub;
mod hubs;
mod locals;
mod moving;
mod packets;
mod paths;
mod registration;
mod resolution;
mod round;
mod session;

use super::context::{ClientDue, Context, Due, View};
use super::contract::effect::Act;
use super::contract::input::{News, Place};
use super::contract::reason::Why;
use super::contract::report::{MacRow, PathState, SpokeReport, Standing};
use super::contract::settings::{ClientSettings, HubKey, HubSettings};
use super::contract::way::{Path, Via};
use super::limits::{HUB, TokenBucket};
use super::loops::Loops;
use super::reach::Reach;
use super::restless::Restless;
use super::sites::SiteId;
use super::ways::Ways;
use crate::map::map_of;
use crate::time::Instant;
use crate::types::{Mac, VpnId};
use crate::wire::VpnTag;
use choice::Choice;
use departures::{Departures, Listener};
use litemap::LiteMap;
use locals::Locals;
pub use packets::Sender;
use paths::prober;
pub use registration::Registration;
use resolution::{Asker, Resolution};

/// The state of a client in one VN.
#[derive(Debug)]
pub struct Client {
    settings: ClientSettings,
    /// One for each hub.
    registrations: LiteMap<HubKey, Registration>,
    ways: Ways,
    /// Which of them it is at.
    choice: Choice,
    /// The one that it left for another, until that is confirmed.
    left: Option<HubKey>,
    /// Whether it let the present hub believe that it went.
    is_silent: bool,
    /// Whether all is to be withdrawn.
    is_stopping: bool,
    resolution: Resolution,
    reach: Reach,
    locals: Locals,
    departures: Departures,
    restless: Restless,
    loops: Loops,
    /// Of packets of its hubs.
    bucket: TokenBucket,
}

impl Client {
    pub fn new(now: Instant, settings: ClientSettings, hubs: &LiteMap<HubKey, HubSettings>) -> Client {
        let to = |hub| hubs.get(&hub).copied().unwrap_or_default();
        let all = settings.hubs.iter().map(|hub| (hub, Registration::new(now, hub, to(hub))));
        let session = settings.hubs.iter().all(|hub| to(hub).session);
        Client {
            settings,
            registrations: map_of(all),
            ways: Ways::default(),
            choice: Choice::new(now, settings.hubs, settings.preempt),
            left: None,
            is_silent: false,
            is_stopping: false,
            resolution: Resolution::default(),
            reach: Reach::new(settings.verify, session, settings.hubs.are_several()),
            locals: Locals::default(),
            departures: Departures::default(),
            restless: Restless::default(),
            loops: Loops::default(),
            bucket: TokenBucket::new(HUB),
        }
    }

    /// Takes over settings that need no new registration; `false` if they need one.
    pub fn reconfigure(&mut self, settings: ClientSettings, hubs: &LiteMap<HubKey, HubSettings>) -> bool {
        let to = |hub| hubs.get(&hub).copied().unwrap_or_default();
        let same = self.registrations.values().all(|r| r.to() == to(r.hub()))
            && (self.settings.vni, self.settings.hubs, self.settings.trigger, self.settings.verify)
                == (settings.vni, settings.hubs, settings.trigger, settings.verify);
        if same {
            self.settings = settings;
            self.choice.set_preempt(settings.preempt);
        }
        same
    }

    /// Whether packets of this tag, between these addresses, are from a hub of this client.
    pub fn accepts(&self, vpn_id: VpnId, via: Via) -> bool {
        self.registrations.values().any(|r| r.via(vpn_id) == Some(via))
    }

    /// Whether packets with this tag mean the VN, be they a hub's or not.
    pub fn is_named(&self, vpn_id: VpnId, tag: VpnTag) -> bool {
        self.registrations.values().any(|r| r.mode().tag(vpn_id) == tag)
    }

    /// The hub that packets come from by this way, and how many of them are taken.
    pub fn hub_at(&mut self, vpn_id: VpnId, via: Via) -> Option<(SiteId, &mut TokenBucket)> {
        let site = self.registrations.values().find(|r| r.via(vpn_id) == Some(via))?.site()?;
        Some((site, &mut self.bucket))
    }

    /// The way to a hub is known, changed or lost.
    pub fn way(&mut self, cx: &mut Context<'_>, hub: HubKey, path: Option<Path>) {
        if self.registrations.get(&hub).is_none() {
            return;
        }
        let path = self.ways.tell(hub, path);
        self.follow_way(cx, hub, path);
        if let Some((hub, path)) = self.ways.freed() {
            self.follow_way(cx, hub, Some(path));
        }
    }

    fn follow_way(&mut self, cx: &mut Context<'_>, hub: HubKey, path: Option<Path>) {
        let is_active = hub == self.choice.active();
        let is_dark =
            path.is_none() && self.registrations.values().all(|r| r.hub() == hub || r.path().is_none());
        let Some(registration) = self.registrations.get_mut(&hub) else { return };
        if registration.path() == path {
            // It was told again because something was in the way.
            self.reach.underlay_changed(cx);
            registration.retry(cx, &self.settings);
            return;
        }
        if let Some(before) = registration.path().filter(|_| self.choice.is_several()) {
            self.reach.dismiss(cx, before.remote);
        }
        registration.leave_way(cx, &self.settings, path);
        if is_dark {
            // Nobody can tell any more when one of them becomes untrue, and time would not end them.
            self.resolution.forget_all(cx, self.settings.trigger, Why::Stopped);
            self.reach.clear(cx);
        }
        registration.set_path(cx, path);
        if self.enter_one(cx, hub) {
            cx.act(Act::List);
        }
        if is_active {
            self.follow_uplink(cx);
            self.reach.underlay_changed(cx);
        }
        self.choose(cx);
    }

    /// What the kernel tells.
    pub fn news(&mut self, cx: &mut Context<'_>, news: News) {
        match news {
            News::Device(mac) => self.set_device(cx, mac),
            News::Fdb { mac, place } => self.fdb(cx, mac, place),
            News::Listing => {
                cx.book.listing();
                self.restless.listing();
            }
            News::Listed => self.listed(cx),
            News::Miss(mac) => self.ask(cx, |resolution, cx, asker| resolution.heard(cx, asker, mac)),
            News::Use { mac, idle, age } => {
                if let Some(site) = cx.book.site_of(mac) {
                    self.reach.used(cx, site, idle);
                }
                self.ask(cx, |resolution, cx, asker| resolution.usage(cx, asker, mac, idle, age));
            }
            News::FoundShortcut { mac, to } => {
                self.ask(cx, |resolution, cx, asker| resolution.found(cx, asker, mac, to));
            }
            News::UsesTold { hub } => {
                if let Some(idle) = hub {
                    self.reach.hub_used(cx, idle);
                }
                if let Some(registration) = self.left.and_then(|left| self.registrations.get_mut(&left)) {
                    registration.sends_elsewhere(cx, &self.settings);
                }
            }
            News::Looped { nonce, port } => self.loops.heard(cx, nonce, port),
            News::Became { .. } | News::FoundPort { .. } | News::FoundClient(_) | News::FoundHubs(_) => {}
        }
    }

    /// An operator wants a MAC resolved.
    pub fn resolve(&mut self, cx: &mut Context<'_>, mac: Mac) {
        self.ask(cx, |resolution, cx, asker| resolution.resolve(cx, asker, mac));
    }

    /// An operator wants one MAC, or all, forgotten.
    pub fn flush(&mut self, cx: &mut Context<'_>, mac: Option<Mac>) {
        match mac {
            Some(mac) => self.forget(cx, mac, Why::Flushed),
            None => self.resolution.forget_all(cx, self.settings.trigger, Why::Flushed),
        }
    }

    pub fn due(&mut self, cx: &mut Context<'_>, due: ClientDue) {
        match due {
            ClientDue::Registration(hub) => {
                if let Some(registration) = self.registrations.get_mut(&hub) {
                    registration.due(cx, &self.settings);
                    // It does not confirm that it was left. It may not have heard from another hub either that this client went.
                    if let Some(path) = registration.path().filter(|_| self.left == Some(hub)) {
                        self.reach.dismiss(cx, path.remote);
                    }
                }
                self.looked_at(cx, hub);
            }
            ClientDue::Choice => self.choose(cx),
            ClientDue::Questions => self.ask(cx, |resolution, cx, asker| resolution.ask_queued(cx, asker)),
            ClientDue::Again => self.ask(cx, |resolution, cx, asker| resolution.ask_again(cx, asker)),
            ClientDue::Mac(mac) => self.ask(cx, |resolution, cx, asker| resolution.due(cx, asker, mac)),
            ClientDue::Path(site) => {
                let Some(prober) = self.prober(cx) else { return };
                let news = self.reach.due(cx, &prober, site);
                self.path_news(cx, news);
            }
            ClientDue::Announcements => {
                let hub = self.hub_mac();
                self.locals.go_on(cx, hub);
            }
            ClientDue::Departures => {
                let listener = self.listener(cx);
                self.departures.due(cx, listener);
            }
            ClientDue::Restless => {
                while let Some((mac, place)) = self.restless.rested(cx.now) {
                    self.fdb(cx, mac, place);
                }
                self.restless.watch(cx, Due::Client(ClientDue::Restless));
            }
            ClientDue::Loops => self.loops.due(cx, &self.restless, Due::Client(due)),
            ClientDue::RefusedLocal => self.locals.look_for_room(cx, self.settings.max_macs),
            ClientDue::RefusedRemote => self.resolution.look_for_room(cx, self.settings.max_macs),
        }
    }

    /// Registers anew where it is registered.
    pub fn refresh(&mut self, cx: &mut Context<'_>) {
        self.registrations.iter_mut().for_each(|(_, registration)| registration.refresh(cx, &self.settings));
    }

    /// There are other keys: it registers by them, in the same session.
    pub fn rekey(&mut self, cx: &mut Context<'_>) {
        self.registrations.iter_mut().for_each(|(_, registration)| registration.rekey(cx, &self.settings));
    }

    /// Withdraws; with `wait` until the hub confirms.
    pub fn stop(&mut self, cx: &mut Context<'_>, wait: bool) {
        self.is_stopping = true;
        self.choice.end(cx);
        for (_, registration) in self.registrations.iter_mut() {
            registration.withdraw(cx, &self.settings, wait);
        }
        self.resolution.forget_all(cx, self.settings.trigger, Why::Stopped);
        self.forget_locals(cx);
    }

    /// Takes all out that reminds of this client: its VN is no more, or is another one.
    pub fn end(&mut self, cx: &mut Context<'_>) {
        self.stop(cx, false);
        for (_, registration) in self.registrations.iter_mut() {
            registration.set_path(cx, None);
        }
        self.reach.clear(cx);
        self.resolution.end(cx);
    }

    /// Whether all is withdrawn.
    pub fn is_over(&self, complete: bool) -> bool {
        !complete || self.registrations.values().all(|r| r.path().is_none() || r.is_over())
    }

    pub fn is_registered(&self) -> bool {
        self.registrations.values().any(Registration::is_registered)
    }

    /// Whether this hub has it registered.
    pub fn is_registered_at(&self, hub: HubKey) -> bool {
        self.registrations.get(&hub).is_some_and(Registration::is_registered)
    }

    /// The hub that it is at, or tries to be.
    pub fn hub(&self) -> HubKey {
        self.choice.active()
    }

    /// Whether the hub did not know the MAC, and is not asked again yet.
    pub fn is_denied(&self, mac: Mac) -> bool {
        self.resolution.is_denied(mac)
    }

    /// `probing`: how far apart this node's probes are, in percent of what they should be.
    pub fn report(&self, vn: View<'_>, probing: u32) -> Option<SpokeReport> {
        let registration = self.active()?;
        let path = registration.path();
        let complete = match (vn.sites.mac, path) {
            // Without a way the device is not made.
            (_, None) => Err(Standing::NoAddress),
            (None, _) => Err(Standing::NoDevice),
            _ => Ok(()),
        };
        let (standing, since) = registration.report(vn.now, complete);
        let (shortcuts, asking, negative) = self.resolution.count();
        let (mut paths, mut hub_trouble) = ((0, 0), None);
        for row in self.reach.rows(vn, None) {
            match row.state {
                _ if row.is_hub => hub_trouble = self.hub_trouble(vn.now, &row),
                PathState::Up | PathState::Unverified => paths.0 += 1,
                PathState::Down(_) => paths.1 += 1,
                PathState::Untested => {}
            }
        }
        Some(SpokeReport {
            standing,
            since,
            hub: path.map(|p| p.remote),
            local: path.map(|p| p.local),
            vni: self.settings.vni,
            uplink: registration.uplink().and_then(|site| vn.sites.vtep(site)),
            vpn_mode: registration.mode(),
            trigger: self.settings.trigger,
            shortcuts,
            asking,
            negative,
            rivals: registration.rivals(vn.now),
            key: vn.keys.name(registration.key(vn.keys)),
            paths,
            hub_trouble,
            hubs: self.choice.rows(vn.now, &self.registrations),
            chosen: self.choice.reason(vn.now),
            probing,
            restless: self.restless.report(|place| vn.plane.uplink().filter(|_| place != Place::Local)),
            looped: self.loops.report(),
        })
    }

    /// Rows of the remote MACs after `last`, in their order.
    pub fn rows<'a>(&'a self, vn: View<'a>, last: Option<Mac>) -> impl Iterator<Item = MacRow> + 'a {
        self.resolution.rows(vn, last)
    }

    /// Registers, if the devices and the ways are there.
    fn enter(&mut self, cx: &mut Context<'_>) {
        let mut complete = false;
        let hubs = self.settings.hubs;
        for hub in hubs.iter() {
            complete |= self.enter_one(cx, hub);
        }
        self.follow_uplink(cx);
        if complete {
            cx.act(Act::List);
        }
        self.choose(cx);
    }

    fn forget_locals(&mut self, cx: &mut Context<'_>) {
        while let Some(address) = cx.book.next_behind(SiteId::HERE, None) {
            cx.book.forget(cx.now, address);
        }
        self.locals.end(cx);
        self.departures.end(cx);
        self.restless.end(cx);
        self.loops.end(cx);
    }

    /// The hub's MAC, while registered.
    fn hub_mac(&self) -> Option<Mac> {
        self.active().and_then(Registration::hub_mac)
    }

    /// Who is told what left, while registered.
    fn listener(&self, cx: &Context<'_>) -> Option<Listener> {
        let hub = self.active().and_then(Registration::site)?;
        Some(Listener { hub, hub_mac: self.hub_mac()?, mac: cx.sites.mac?, vni: self.settings.vni })
    }

    /// Calls `f` on the table of remote MACs, if there is somebody to ask about them and somebody who asks.
    fn ask(
        &mut self,
        cx: &mut Context<'_>,
        f: impl FnOnce(&mut Resolution, &mut Context<'_>, &mut Asker<'_>),
    ) {
        let Some(registration) = self.registrations.get(&self.choice.active()) else { return };
        let (Some(hub), Some(mac)) = (registration.site(), cx.sites.mac) else { return };
        let Some(prober) = prober(cx, registration, &self.settings) else { return };
        let mut asker = Asker {
            settings: &self.settings,
            mac,
            hub,
            uplink: registration.uplink(),
            hubs: &self.registrations,
            registered: registration.is_registered(),
            is_young: registration.is_young(cx.now),
            reach: &mut self.reach,
            prober,
        };
        f(&mut self.resolution, cx, &mut asker);
        // Whatever became of it, there may be places now.
        self.resolution.admit(cx, &mut asker);
    }
}

/// The registration with a hub.
fn with(registrations: &mut LiteMap<HubKey, Registration>, hub: Option<SiteId>) -> Option<&mut Registration> {
    let hub = hub?;
    registrations.iter_mut().map(|(_, registration)| registration).find(|r| r.site() == Some(hub))
}
