//! A VN's client half (NHC): it registers with a hub, announces what is here, and asks where everybody else is.

mod departures;
mod locals;
mod moving;
mod packets;
mod registration;
mod resolution;
mod session;

use super::book::Change;
use super::context::{ClientDue, Context, Due, View};
use super::contract::effect::{Act, Event};
use super::contract::input::{News, Place};
use super::contract::reason::Why;
use super::contract::report::{MacRow, SpokeReport, Standing};
use super::contract::settings::{ClientSettings, HubKey, HubSettings, Trigger};
use super::contract::statistics::increment;
use super::contract::way::{Path, Via};
use super::exchange::session::Order;
use super::exchange::{Inbound, Trust};
use super::limits::{HUB, TokenBucket};
use super::restless::Restless;
use super::sites::SiteId;
use crate::map::map_of;
use crate::time::Instant;
use crate::types::{Mac, VpnId, Vtep};
use crate::wire::VpnTag;
use crate::wire::nhrp::{Cie, Fault, Kind, Message, ProtocolAddress, code, error, quoted};
use departures::{Departures, Listener};
use litemap::LiteMap;
use locals::Locals;
use registration::Registration;
use resolution::{Asker, Resolution};

/// The state of a client in one VN.
#[derive(Debug)]
pub struct Client {
    settings: ClientSettings,
    /// One for each hub.
    registrations: LiteMap<HubKey, Registration>,
    resolution: Resolution,
    locals: Locals,
    departures: Departures,
    restless: Restless,
    /// Of packets of its hubs.
    bucket: TokenBucket,
}

impl Client {
    pub fn new(now: Instant, settings: ClientSettings, hub: HubSettings) -> Client {
        Client {
            settings,
            registrations: map_of([(settings.hub, Registration::new(now, settings.hub, hub))]),
            resolution: Resolution::default(),
            locals: Locals::default(),
            departures: Departures::default(),
            restless: Restless::default(),
            bucket: TokenBucket::new(HUB),
        }
    }

    /// Takes over settings that need no new registration; `false` if they need one.
    pub fn reconfigure(&mut self, settings: ClientSettings, hub: HubSettings) -> bool {
        let same = self.registrations.get(&settings.hub).is_some_and(|r| r.to() == hub)
            && (self.settings.vni, self.settings.trigger) == (settings.vni, settings.trigger);
        if same {
            self.settings = settings;
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
        let Some(registration) = self.registrations.get_mut(&hub) else { return };
        if registration.path() == path {
            // It was told again because something was in the way.
            registration.retry(cx, &self.settings);
            return;
        }
        registration.leave_way(cx, &self.settings, path);
        if path.is_none() {
            // Nobody can tell any more when one of them becomes untrue, and time would not end them.
            self.resolution.forget_all(cx, self.settings.trigger, Why::Stopped);
        }
        registration.set_path(cx, path);
        self.enter(cx);
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
                self.ask(cx, |resolution, cx, asker| resolution.usage(cx, asker, mac, idle, age));
            }
            News::FoundShortcut { mac, to } => {
                self.ask(cx, |resolution, cx, asker| resolution.found(cx, asker, mac, to));
            }
            News::Became { .. } | News::FoundPort { .. } | News::FoundClient(_) => {}
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
                }
            }
            ClientDue::Questions => self.ask(cx, |resolution, cx, asker| resolution.ask_queued(cx, asker)),
            ClientDue::Mac(mac) => self.ask(cx, |resolution, cx, asker| resolution.due(cx, asker, mac)),
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
            ClientDue::RefusedLocal => self.locals.look_for_room(cx, self.settings.max_macs),
            ClientDue::RefusedRemote => self.resolution.look_for_room(cx, self.settings.max_macs),
        }
    }

    /// A packet of a hub's. What is wrong with it goes back.
    pub fn packet(&mut self, cx: &mut Context<'_>, from: &Inbound<'_>) -> Result<(), Fault> {
        let header = &from.message.header;
        let Some(registration) = with(&mut self.registrations, from.site) else { return Ok(()) };
        if cx.sites.mac.is_none() {
            return Ok(());
        }
        if from.trust == Trust::Wrong {
            match header.kind {
                Kind::PurgeRequest => registration.hint(cx),
                Kind::Error => cx.reports(from.via.path.remote, header.error_code()),
                _ => {}
            }
            return Ok(());
        }
        match header.kind {
            Kind::RegistrationReply => {
                if registration.reply(cx, &self.settings, from) {
                    // First the hub learns who is here, then it is asked who is elsewhere.
                    let hub = self.hub_mac();
                    self.locals.announce(cx, hub);
                    self.departures.registered(cx);
                    self.ask(cx, |resolution, cx, asker| resolution.registered(cx, asker));
                }
            }
            Kind::ResolutionReply => self.resolution_reply(cx, from)?,
            Kind::PurgeRequest => self.purge(cx, from),
            Kind::PurgeReply => {
                increment(&mut cx.statistics.rx_purge_reply);
                registration.purged(cx, from);
                let hub = self.hub_mac();
                for mac in self.departures.confirmed(cx, from) {
                    self.locals.learned(cx, mac, hub);
                }
            }
            Kind::Error => self.error(cx, from),
            // It is about IP packets between routers of another kind.
            Kind::TrafficIndication => {}
            // Only a server serves requests.
            Kind::RegistrationRequest | Kind::ResolutionRequest => return Err(from.fault(error::UNREACHABLE)),
        }
        Ok(())
    }

    /// Registers anew where it is registered.
    pub fn refresh(&mut self, cx: &mut Context<'_>) {
        self.registrations.iter_mut().for_each(|(_, registration)| registration.refresh(cx, &self.settings));
    }

    /// Withdraws; with `wait` until the hub confirms.
    pub fn stop(&mut self, cx: &mut Context<'_>, wait: bool) {
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
        self.resolution.end(cx);
    }

    /// Whether all is withdrawn.
    pub fn is_over(&self, complete: bool) -> bool {
        !complete || self.registrations.values().all(|r| r.path().is_none() || r.is_over())
    }

    pub fn is_registered(&self) -> bool {
        self.registrations.values().any(Registration::is_registered)
    }

    /// Whether the hub did not know the MAC, and is not asked again yet.
    pub fn is_denied(&self, mac: Mac) -> bool {
        self.resolution.is_denied(mac)
    }

    pub fn report(&self, vn: View<'_>) -> Option<SpokeReport> {
        let registration = self.registrations.get(&self.settings.hub)?;
        let path = registration.path();
        let complete = match (vn.sites.mac, path) {
            // Without a way the device is not made.
            (_, None) => Err(Standing::NoAddress),
            (None, _) => Err(Standing::NoDevice),
            _ => Ok(()),
        };
        let (standing, since) = registration.report(vn.now, complete);
        let (shortcuts, asking, negative) = self.resolution.count();
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
        })
    }

    /// Rows of the remote MACs after `last`, in their order.
    pub fn rows<'a>(&'a self, vn: View<'a>, last: Option<Mac>) -> impl Iterator<Item = MacRow> + 'a {
        self.resolution.rows(vn, last)
    }

    /// The devices are there with this MAC, changed, or are gone.
    fn set_device(&mut self, cx: &mut Context<'_>, mac: Option<Mac>) {
        if cx.sites.mac == mac {
            return;
        }
        for (_, registration) in self.registrations.iter_mut() {
            registration.leave(cx, &self.settings);
        }
        if mac.is_none() {
            self.resolution.forget_all(cx, self.settings.trigger, Why::Stopped);
            self.forget_locals(cx);
        }
        cx.sites.mac = mac;
        self.enter(cx);
    }

    /// The bridge tells where a MAC is.
    fn fdb(&mut self, cx: &mut Context<'_>, mac: Mac, place: Place) {
        let was_here = cx.book.site_of(mac) == Some(SiteId::HERE);
        if was_here && place == Place::Local {
            // It is listed again.
            let _ = cx.book.learn(cx.now, mac, SiteId::HERE, usize::MAX, Instant::default());
        }
        if self.restless.holds(cx.now, mac, place) {
            return;
        }
        let moved = match place {
            Place::Local => !was_here && self.resolution.knows(mac),
            Place::Tunnel => was_here,
            Place::At(_) | Place::Left(_) | Place::Gone | Place::Unplugged => false,
        };
        if moved && self.restless.moved(cx.now, mac, place) {
            cx.tell(Event::Restless { mac, from: cx.plane.uplink(), to: None });
            self.restless.watch(cx, Due::Client(ClientDue::Restless));
        }
        match place {
            Place::Local => {
                self.forget(cx, mac, Why::Local);
                self.departures.is_back(mac);
                if !was_here {
                    self.learn_local(cx, mac);
                }
            }
            // Where its frames go the hub says.
            _ if !was_here => {}
            Place::Unplugged => {
                cx.book.forget(cx.now, ProtocolAddress::Mac(mac));
                self.departures.left(cx, mac, self.settings.max_macs);
            }
            Place::Tunnel | Place::At(_) | Place::Left(_) | Place::Gone => {
                cx.book.forget(cx.now, ProtocolAddress::Mac(mac));
            }
        }
        if place == Place::Tunnel && self.settings.trigger == Trigger::Learn {
            self.ask(cx, |resolution, cx, asker| resolution.heard(cx, asker, mac));
        }
    }

    fn forget(&mut self, cx: &mut Context<'_>, mac: Mac, why: Why) {
        self.ask(cx, |resolution, cx, asker| resolution.forget(cx, asker.settings.trigger, mac, why));
    }

    fn learn_local(&mut self, cx: &mut Context<'_>, mac: Mac) {
        if cx.book.here() >= self.settings.max_macs as usize {
            self.locals.refused(cx);
            return;
        }
        // Nobody asks a client.
        let _: Result<Option<Change>, ()> =
            cx.book.learn(cx.now, mac, SiteId::HERE, usize::MAX, Instant::default());
        let hub = self.hub_mac();
        self.locals.learned(cx, mac, hub);
    }

    /// What the bridge did not tell of is not here any more.
    fn listed(&mut self, cx: &mut Context<'_>) {
        let mut last = None;
        while let Some(mac) = cx.book.next_unlisted(last) {
            let address = ProtocolAddress::Mac(mac);
            cx.book.forget(cx.now, address);
            last = Some(address);
        }
    }

    fn resolution_reply(&mut self, cx: &mut Context<'_>, from: &Inbound<'_>) -> Result<(), Fault> {
        // A hub that was started anew does not know who asks. Then nothing it does not know either is held against it.
        let forgot = from.message.cies().any(|c| c.code == code::PROHIBITED)
            && self.resolution.waits_for(from)
            && with(&mut self.registrations, from.site).is_some_and(|registration| {
                registration.is_challenged(cx, &self.settings, from) || registration.doubt(cx, &self.settings)
            });
        let mut taken = false;
        self.ask(cx, |resolution, cx, asker| {
            taken = match forgot {
                true => resolution.put_off(cx, asker, from),
                false => resolution.reply(cx, asker, from),
            }
        });
        if !taken {
            increment(&mut cx.statistics.rx_unsolicited);
        }
        // A second answer to a repeated question is no error (RFC 2332 section 5.2.2).
        if !taken && !cx.ids.used(from.message.header.request_id) {
            return Err(from.fault(error::INVALID_REPLY));
        }
        Ok(())
    }

    /// The hub withdraws answers it gave (RFC 2332 section 5.2.5).
    fn purge(&mut self, cx: &mut Context<'_>, from: &Inbound<'_>) {
        increment(&mut cx.statistics.rx_purge_req);
        let address = cx.sites.mac.map(ProtocolAddress::Mac);
        if from.message.header.destination.is_some_and(|to| Some(to) != address) {
            // For who had this underlay address before: in its place nobody confirms.
            return;
        }
        let own = (Some(cx.name_of(from.via.path.local)), Some(self.settings.vni));
        // The hub asks whether this router is there: another one has its address.
        let is_question =
            |cie: &Cie| cie.address == address && cie.prefix == 0xff && (cie.nbma, cie.vni) != own;
        // A question has no order among what it says: nothing comes of it but the answer.
        let order = match with(&mut self.registrations, from.site) {
            Some(registration) if !from.message.cies().all(|cie| is_question(&cie)) => {
                registration.order(from.message.header.request_id)
            }
            _ => Order::Newer,
        };
        if order != Order::Older {
            cx.confirm_purge(from);
        }
        if order != Order::Newer {
            return;
        }
        let (mut anew, mut is_doubtful) = (false, false);
        for cie in from.message.cies() {
            match cie.address {
                _ if is_question(&cie) => {
                    let rival = cie.nbma.zip(cie.vni).map(|(nbma, vni)| Vtep { nbma, vni });
                    if let Some(registration) = with(&mut self.registrations, from.site) {
                        registration.meet(cx, &self.settings, rival);
                    }
                }
                // A MAC that was here is elsewhere now, and the bridge has not noticed; or nobody knows which are.
                Some(ProtocolAddress::Mac(mac)) if (cie.nbma, cie.vni) == own => match cie.prefix {
                    bits @ 1..48 => self.unlearn_locals(cx, mac, bits),
                    _ if cx.book.site_of(mac) == Some(SiteId::HERE) => unlearn_local(cx, mac),
                    _ => {}
                },
                _ => {
                    is_doubtful |= cie.address == from.message.header.source;
                    anew |= cie.prefix == 1;
                    self.ask(cx, |resolution, cx, asker| resolution.purge(cx, asker, &cie));
                }
            }
        }
        if is_doubtful {
            // The hub takes its own address back: it was restarted, and knows nobody.
            if let Some(registration) = with(&mut self.registrations, from.site) {
                registration.doubt(cx, &self.settings);
            }
        }
        if anew && with(&mut self.registrations, from.site).is_some_and(|r| r.is_young(cx.now)) {
            // A hub that takes everything back at once was started anew: it knows nothing of who is here either.
            let hub = self.hub_mac();
            self.locals.announce(cx, hub);
        }
    }

    /// Those of the MACs here that share the first bits with `mac` are not here any more.
    fn unlearn_locals(&mut self, cx: &mut Context<'_>, mac: Mac, bits: u8) {
        let mut last = None;
        while let Some(address) = cx.book.next_behind(SiteId::HERE, last) {
            last = Some(address);
            match address {
                ProtocolAddress::Mac(here) if here.shares(mac, bits) => unlearn_local(cx, here),
                _ => {}
            }
        }
    }

    fn error(&mut self, cx: &mut Context<'_>, from: &Inbound<'_>) {
        let code = from.message.header.error_code();
        cx.reports(from.via.path.remote, code);
        let Some(ours) = quoted(from.message.packet_in_error()) else { return };
        // In a session it quotes enough to tell that.
        let tags = Message::parse(from.message.packet_in_error()).ok().and_then(|ours| ours.tags());
        let own = cx.sites.mac.map(ProtocolAddress::Mac);
        if ours.source != own {
            return;
        }
        match ours.kind {
            Kind::RegistrationRequest => {
                if let Some(registration) = with(&mut self.registrations, from.site) {
                    registration.error(cx, from.site, (&ours, tags), code);
                }
            }
            Kind::ResolutionRequest => {
                self.ask(cx, |resolution, cx, asker| {
                    resolution.error(cx, asker, from.site, (&ours, tags), code);
                });
            }
            // A withdrawal is repeated until it is confirmed, whatever the hub says. To others nobody waits for an answer.
            Kind::PurgeRequest
            | Kind::PurgeReply
            | Kind::RegistrationReply
            | Kind::ResolutionReply
            | Kind::Error
            | Kind::TrafficIndication => {}
        }
    }

    /// Registers, if the devices and the ways are there.
    fn enter(&mut self, cx: &mut Context<'_>) {
        let mut complete = false;
        for (_, registration) in self.registrations.iter_mut() {
            complete |= registration.enter(cx, &self.settings);
        }
        if complete {
            cx.act(Act::List);
        }
    }

    fn forget_locals(&mut self, cx: &mut Context<'_>) {
        while let Some(address) = cx.book.next_behind(SiteId::HERE, None) {
            cx.book.forget(cx.now, address);
        }
        self.locals.end(cx);
        self.departures.end(cx);
        self.restless.end(cx);
    }

    /// The hub's MAC, while registered.
    fn hub_mac(&self) -> Option<Mac> {
        self.registrations.get(&self.settings.hub).and_then(Registration::hub_mac)
    }

    /// Who is told what left, while registered.
    fn listener(&self, cx: &Context<'_>) -> Option<Listener> {
        let hub = self.registrations.get(&self.settings.hub).and_then(Registration::site)?;
        Some(Listener { hub, hub_mac: self.hub_mac()?, mac: cx.sites.mac?, vni: self.settings.vni })
    }

    /// Calls `f` on the table of remote MACs, if there is somebody to ask about them and somebody who asks.
    fn ask(
        &mut self,
        cx: &mut Context<'_>,
        f: impl FnOnce(&mut Resolution, &mut Context<'_>, &mut Asker<'_>),
    ) {
        let Some(registration) = self.registrations.get(&self.settings.hub) else { return };
        let (Some(hub), Some(mac)) = (registration.site(), cx.sites.mac) else { return };
        let mut asker = Asker {
            settings: &self.settings,
            mac,
            hub,
            uplink: registration.uplink(),
            registered: registration.is_registered(),
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

/// A MAC is not here any more, though the bridge thinks so.
fn unlearn_local(cx: &mut Context<'_>, mac: Mac) {
    cx.book.forget(cx.now, ProtocolAddress::Mac(mac));
    cx.act(Act::Unlearn(mac, Place::Local));
}
