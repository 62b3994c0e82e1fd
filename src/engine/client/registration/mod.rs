//! A client's registration with one hub (RFC 2332 sections 5.2.3 to 5.2.6).

mod reply;
mod standby;

use super::super::context::{ClientDue, Context, Due, seconds};
use super::super::contract::effect::{Effect, Event};
use super::super::contract::reason::{Refusal, Rivals};
use super::super::contract::report::Standing;
use super::super::contract::settings::{ClientSettings, HubKey, HubSettings, VpnMode};
use super::super::contract::statistics::increment;
use super::super::contract::way::{Path, Via};
use super::super::exchange::session::Order;
use super::super::exchange::{Backoff, KeyId, Keys, Request};
use super::super::sites::SiteId;
use super::super::timers::Alarm;
use super::moving::Former;
use super::packets::Sender;
use super::round::Round;
use super::session::Session;
use crate::time::Instant;
use crate::types::{Mac, Nbma, VpnId};
use crate::wire::nhrp::{ProtocolAddress, Tags, flag};
use core::time::Duration;

/// Tries to register.
const REGISTER: Backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(64) };
/// Tries to withdraw, and how many.
const WITHDRAW: Backoff = Backoff { first: Duration::from_millis(400), most: Duration::from_millis(400) };
const WITHDRAW_TRIES: u32 = 4;
/// The kernel sends by another hub within this.
const SWITCHED: Duration = Duration::from_secs(1);
/// What a hub says so soon after it accepted a registration, it says because of that.
const JUST_NOW: Duration = Duration::from_secs(5);
/// A hub is not suspected more often than this of having forgotten us.
const DOUBT_APART: Duration = Duration::from_secs(30);

/// Tries while no frame gets to the hub: as soon as it is back it is to know this client.
const LOST: Backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(2) };

/// The second try of a client that moved.
const MOVED: Duration = Duration::from_millis(250);

#[derive(Clone, Copy, Debug)]
enum State {
    /// Something to register with, or as, is missing.
    Idle,
    Registering,
    Registered {
        until: Instant,
    },
    Refused {
        reason: Refusal,
        retry: Instant,
    },
    Withdrawing,
    Withdrawn,
    /// It is asked whether it is there, and no more: another hub is registered with.
    Standby,
}

/// The state machine. [`Registration::enter`] begins, [`Registration::due`] goes on.
#[derive(Debug)]
pub struct Registration {
    hub: HubKey,
    to: HubSettings,
    session: Session,
    round: Round,
    path: Option<Path>,
    /// The hub, while the way to it is known.
    site: Option<SiteId>,
    /// Where frames for unknown MACs go, once the hub told; kept while the hub is silent.
    uplink: Option<SiteId>,
    /// The hub's protocol address, once it told.
    address: Option<ProtocolAddress>,
    state: State,
    since: Instant,
    /// When the hub accepted it last.
    accepted: Instant,
    request: Option<Request>,
    refusals: u32,
    /// When the hub was last suspected of having forgotten us, as long as it has not said otherwise.
    doubted: Option<Instant>,
    is_doubtful: bool,
    /// It was suspected too soon after that: it is when this time has come, or with the refresh before it.
    is_doubted_later: bool,
    refresh: Instant,
    former: Option<Former>,
    /// This router and another one with its MAC, and until when that is to be shown.
    rivals: Option<(Rivals, Instant)>,
    /// Whether it was told that the hub does not answer.
    is_told: bool,
    /// Whether no frame gets to the hub, and how often it answered meanwhile.
    lost: Option<u32>,
    /// Why a hub that stands by could not be registered with.
    unfit: Option<Refusal>,
    /// When the hub answered last.
    heard: Option<Instant>,
    /// The session that was left and is not withdrawn as far as is known, and how often that is tried still.
    owed: Option<(Tags, u8)>,
    /// Whether it is of one hub with another.
    is_hub: bool,
    alarm: Alarm,
}

impl Registration {
    pub fn new(now: Instant, hub: HubKey, to: HubSettings) -> Registration {
        Registration {
            hub,
            to,
            session: Session::new(to.session),
            round: Round::default(),
            path: None,
            site: None,
            uplink: None,
            address: None,
            state: State::Idle,
            since: now,
            accepted: Instant::default(),
            request: None,
            refusals: 0,
            doubted: None,
            is_doubtful: false,
            is_doubted_later: false,
            refresh: now,
            former: None,
            rivals: None,
            is_told: false,
            lost: None,
            unfit: None,
            heard: None,
            owed: None,
            is_hub: false,
            alarm: Alarm::default(),
        }
    }

    /// The same of a hub with another one: it says so.
    pub fn of_hub(self) -> Registration {
        Registration { is_hub: true, ..self }
    }

    /// Which hub it is with.
    pub fn hub(&self) -> HubKey {
        self.hub
    }

    /// How its hub is spoken to.
    pub fn to(&self) -> HubSettings {
        self.to
    }

    pub fn mode(&self) -> VpnMode {
        self.to.vpn_mode
    }

    pub fn path(&self) -> Option<Path> {
        self.path
    }

    pub fn site(&self) -> Option<SiteId> {
        self.site
    }

    pub fn uplink(&self) -> Option<SiteId> {
        self.uplink
    }

    /// How packets go to the hub and come from it.
    pub fn via(&self, vpn_id: VpnId) -> Option<Via> {
        Some(Via { path: self.path?, tag: self.to.vpn_mode.tag(vpn_id) })
    }

    /// Whether the hub knows this client, as far as this client knows.
    pub fn is_registered(&self) -> bool {
        matches!(self.state, State::Registered { .. }) && !self.is_doubtful
    }

    /// The hub's MAC, while registered.
    pub fn hub_mac(&self) -> Option<Mac> {
        match self.address.filter(|_| self.is_registered()) {
            Some(ProtocolAddress::Mac(mac)) => Some(mac),
            _ => None,
        }
    }

    /// Whether the hub accepted or refreshed it just now.
    pub fn is_young(&self, now: Instant) -> bool {
        self.is_registered() && now.since(self.accepted) < JUST_NOW
    }

    /// When the hub accepted it last.
    pub fn accepted(&self) -> Instant {
        self.accepted
    }

    /// The hub may have been started anew: it is asked within this.
    pub fn hasten(&mut self, cx: &mut Context<'_>, within: Duration) {
        if let (State::Registered { until }, None) = (self.state, self.request) {
            let soon = cx.now + within;
            self.arm(cx, soon.min(self.refresh).min(until));
        }
    }

    /// No frame gets to the hub, or they do again.
    pub fn set_lost(&mut self, cx: &mut Context<'_>, settings: &ClientSettings, is_lost: bool) {
        self.lost = is_lost.then_some(0);
        if is_lost && matches!(self.state, State::Registering | State::Registered { .. }) {
            self.retry(cx, settings);
            self.hasten(cx, Duration::ZERO);
        }
    }

    /// Whether nothing is left to do before the daemon ends.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Withdrawn | State::Idle)
    }

    /// The way to the hub is another one; [`Registration::leave_way`] came before.
    pub fn set_path(&mut self, cx: &mut Context<'_>, path: Option<Path>) {
        if path.map(|path| path.remote) != self.path.map(|path| path.remote) {
            self.owed = None;
        }
        self.path = path;
        let via = self.via(cx.vpn_id);
        let site = via.map(|via| {
            let site = cx.sites.enter((via.path.remote, None));
            if let Some(there) = cx.sites.get_mut(site) {
                there.set_way(via);
            }
            site
        });
        let before = self.site;
        self.site = pinned(cx, before, site);
        if let Some(site) = site {
            self.session.tag(cx, site);
        }
        if site.is_none() {
            let uplink = self.uplink.take();
            pinned(cx, uplink, None);
        }
    }

    /// Registers from the beginning, at the start or when the address of either end changed, if both are there.
    pub fn enter(&mut self, cx: &mut Context<'_>, settings: &ClientSettings) -> bool {
        let complete = self.site.is_some() && cx.sites.mac.is_some();
        self.request = None;
        (self.is_doubtful, self.is_doubted_later) = (false, false);
        if let Some(site) = self.site {
            self.session.tag(cx, site);
        }
        if complete {
            self.refusals = 0;
            // A hub that stood by answered to its key.
            if !matches!(self.state, State::Standby) {
                self.round = Round::default();
            }
            self.session.go_on();
            self.owed = None;
            self.turn(cx.now, State::Registering);
            if !self.session.is_wanted() {
                self.prepare_move(cx);
            }
            self.ask(cx, settings);
        } else {
            self.turn(cx.now, State::Idle);
            cx.timers.clear(&mut self.alarm);
        }
        complete
    }

    /// Before the way to the hub changes. By another way to the same place the hub is told with the registration that
    /// this client moved: the old way may carry nothing any more, and what was registered there is not to end before.
    pub fn leave_way(&mut self, cx: &mut Context<'_>, settings: &ClientSettings, next: Option<Path>) {
        if self.is_claimed()
            && let Some(Path { local, remote }) = self.path
        {
            self.former = Some(Former::with(self.former.take(), local, remote));
        }
        if next.is_some_and(|next| self.path.is_some_and(|path| next.remote == path.remote)) {
            self.request = None;
            return self.turn(cx.now, State::Idle);
        }
        self.leave(cx, settings);
    }

    /// Whether the hub may have this client registered by the present way.
    fn is_claimed(&self) -> bool {
        let is_asked_for = self.request.is_some() && !matches!(self.state, State::Standby);
        is_asked_for || matches!(self.state, State::Registered { .. })
    }

    /// Before an address of either end changes: the old one is withdrawn. The hub may not hear that, and is to know this
    /// router by its tag when it comes back elsewhere.
    pub fn leave(&mut self, cx: &mut Context<'_>, settings: &ClientSettings) {
        self.withdraw(cx, settings, false);
        self.request = None;
        self.turn(cx.now, State::Idle);
    }

    /// Withdraws (RFC 2332 section 5.2.5). With `wait` until the hub confirms, or does not for long enough.
    pub fn withdraw(&mut self, cx: &mut Context<'_>, settings: &ClientSettings, wait: bool) {
        // A request under way may have arrived, though no answer did: then nobody waits for the confirmation.
        let wait = wait && matches!(self.state, State::Registered { .. });
        if self.begin_to_withdraw(cx) {
            self.send_purge(cx, settings, wait);
            if !wait {
                self.end(cx);
            }
        }
    }

    /// Withdraws once the kernel sends by another hub, which [`Registration::sends_elsewhere`] tells: this one takes what is
    /// sent until then.
    pub fn withdraw_later(&mut self, cx: &mut Context<'_>) {
        if self.begin_to_withdraw(cx) {
            let at = cx.now + SWITCHED;
            self.arm(cx, at);
        }
    }

    /// Nothing is sent by this hub any more.
    pub fn sends_elsewhere(&mut self, cx: &mut Context<'_>, settings: &ClientSettings) {
        let is_unsent = self.request.is_some_and(|request| request.tries() == 0);
        if matches!(self.state, State::Withdrawing) && is_unsent {
            self.send_purge(cx, settings, true);
        }
    }

    /// Whether there is something to withdraw.
    fn begin_to_withdraw(&mut self, cx: &mut Context<'_>) -> bool {
        let (Some(site), Some(mac)) = (self.site, cx.sites.mac) else { return false };
        if !self.is_claimed() || self.session.is_unknown() {
            self.end(cx);
            return false;
        }
        self.owed = cx.sites.tags(site).map(|tags| (tags, standby::LATE));
        self.request = Some(Request::new(cx, site, ProtocolAddress::Mac(mac)));
        self.turn(cx.now, State::Withdrawing);
        true
    }

    /// The hub does not treat this client as registered: it may have lost its memory. Whether that may be the reason.
    pub fn doubt(&mut self, cx: &mut Context<'_>, settings: &ClientSettings) -> bool {
        if self.is_doubtful || !self.is_registered() {
            return true;
        }
        if let Some(last) = self.doubted.filter(|last| cx.now.since(*last) < DOUBT_APART) {
            self.is_doubted_later = true;
            if self.request.is_none() {
                self.arm(cx, self.refresh.min(last + DOUBT_APART));
            }
            return false;
        }
        self.doubted = Some(cx.now);
        self.is_doubtful = true;
        // The hub may have answered the request under way before it forgot.
        self.request = None;
        self.ask(cx, settings);
        true
    }

    /// Registers anew from the beginning, in another session, if it is registered.
    pub fn refresh(&mut self, cx: &mut Context<'_>, settings: &ClientSettings) {
        if let (State::Registered { .. }, Some(site)) = (self.state, self.site) {
            self.is_doubtful = true;
            self.request = None;
            self.session.end();
            self.session.tag(cx, site);
            self.ask(cx, settings);
        }
    }

    /// There are other keys. It begins with the first of them; what is registered stays so.
    pub fn rekey(&mut self, cx: &mut Context<'_>, settings: &ClientSettings) {
        self.round = Round::default();
        if let Some(there) = self.site.and_then(|site| cx.sites.get_mut(site)) {
            there.key = there.key.filter(|key| cx.keys.contains(*key)).or(cx.keys.first());
        }
        match self.state {
            State::Registered { .. } => {
                self.request = None;
                self.ask(cx, settings);
            }
            State::Registering | State::Refused { .. } => drop(self.enter(cx, settings)),
            State::Standby => self.inquire(cx, settings),
            State::Idle | State::Withdrawing | State::Withdrawn => {}
        }
    }

    /// What was in the way is gone: what was sent meanwhile is sent again, now.
    pub fn retry(&mut self, cx: &mut Context<'_>, settings: &ClientSettings) {
        if matches!(self.state, State::Withdrawing) {
            return;
        }
        if let Some(request) = &mut self.request {
            request.hurry();
            self.ask(cx, settings);
        }
    }

    /// The time set has come.
    pub fn due(&mut self, cx: &mut Context<'_>, settings: &ClientSettings) {
        match self.state {
            State::Idle | State::Withdrawn => {}
            State::Registering => self.ask(cx, settings),
            State::Standby if self.request.is_none() => self.inquire(cx, settings),
            State::Standby => self.ask(cx, settings),
            State::Registered { until } => {
                if core::mem::take(&mut self.is_doubted_later) {
                    (self.doubted, self.is_doubtful) = (Some(cx.now), true);
                }
                if until <= cx.now {
                    self.turn(cx.now, State::Registering);
                    self.is_told = true;
                    if let Some(path) = self.path {
                        cx.tell(Event::RegistrationLost { hub: path.remote });
                    }
                }
                self.ask(cx, settings);
            }
            State::Refused { .. } => {
                self.turn(cx.now, State::Registering);
                self.ask(cx, settings);
            }
            State::Withdrawing => match self.request {
                Some(request) if request.tries() < WITHDRAW_TRIES => self.send_purge(cx, settings, true),
                _ => self.end(cx),
            },
        }
    }

    /// How a Purge Request of the hub stands to the last one.
    pub fn order(&mut self, id: u32) -> Order {
        self.session.order(id)
    }

    /// This router and another one, if both have its MAC.
    pub fn rivals(&self, now: Instant) -> Option<Rivals> {
        self.rivals.filter(|(_, until)| *until > now).map(|(rivals, _)| rivals)
    }

    /// The key that it speaks by.
    pub fn key(&self, keys: &Keys) -> Option<KeyId> {
        self.round.key(keys)
    }

    /// What to say in `status`, and for how many seconds it has been so.
    pub fn report(&self, now: Instant, complete: Result<(), Standing>) -> (Standing, u64) {
        let unanswered = self.unanswered();
        let standing = match (self.state, complete) {
            (State::Withdrawing | State::Withdrawn, _) => Standing::Withdrawing,
            (_, Err(missing)) => missing,
            (State::Registered { until }, _) => {
                Standing::Registered { left: seconds(until, now), unanswered }
            }
            (State::Refused { reason, retry }, _) => Standing::Refused { reason, retry: seconds(retry, now) },
            (State::Registering | State::Idle | State::Standby, _) => Standing::Registering { unanswered },
        };
        (standing, now.since(self.since).as_secs())
    }

    /// The ID of what tells that this client moved is lower than that of the registration: a late copy changes nothing.
    fn prepare_move(&mut self, cx: &mut Context<'_>) {
        let (Some(path), Some(site), Some(mac)) = (self.path, self.site, cx.sites.mac) else { return };
        let former = self.former.take();
        self.former = former.and_then(|former| former.told_by(cx, path, site, ProtocolAddress::Mac(mac)));
    }

    /// Says that what was registered from other addresses is not there any more, with each try: a hub that is started
    /// while nobody answers finds a port there, and does not know whose it is.
    fn send_move(&self, cx: &mut Context<'_>, settings: &ClientSettings) {
        let Some((purge, places)) = self.former.as_ref().and_then(Former::said) else { return };
        self.purge(cx, settings, purge, places, flag::NO_REPLY);
    }

    fn turn(&mut self, now: Instant, state: State) {
        self.state = state;
        self.since = now;
    }

    fn end(&mut self, cx: &mut Context<'_>) {
        self.request = None;
        (self.is_doubtful, self.is_doubted_later) = (false, false);
        self.turn(cx.now, State::Withdrawn);
        cx.timers.clear(&mut self.alarm);
    }

    /// Sends the request.
    fn ask(&mut self, cx: &mut Context<'_>, settings: &ClientSettings) {
        let (Some(site), Some(via), Some(mac)) = (self.site, self.via(cx.vpn_id), cx.sites.mac) else {
            return;
        };
        let mut request = self.request.unwrap_or_else(|| Request::new(cx, site, ProtocolAddress::Mac(mac)));
        let key = self.round.turn(cx.keys, &mut request);
        if let Some(there) = cx.sites.get_mut(site) {
            there.key = there.key.or(key);
        }
        self.send_move(cx, settings);
        let backoff = match self.state {
            State::Standby => standby::INQUIRE,
            _ if self.lost.is_some() => LOST,
            // Often enough to survive loss (RFC 2332 section 5.2.3): a dozen tries until the holding time is over.
            State::Registered { .. } => {
                Backoff { most: (cx.holding_time / 15).clamp(REGISTER.first, REGISTER.most), ..REGISTER }
            }
            _ => REGISTER,
        };
        let backoff = self.round.backoff(cx, backoff);
        let mut next = request.sent(cx, backoff);
        if request.tries() == 1 && self.former.is_some() {
            // The kernel tells of a new address before it has the route by which the answer is to come in.
            next = cx.now + MOVED;
        }
        if self.round.is_over(cx.keys, request.tries()) {
            cx.out.push(Effect::FindHub { hub: self.hub });
            let is_news = matches!(self.state, State::Registering) && !self.is_told;
            if is_news {
                self.is_told = true;
                cx.tell(Event::NoAnswer { hub: via.path.remote, signed: key.is_some() });
            }
        }
        let flags = if settings.unique { flag::REGISTRATION_UNIQUE } else { 0 };
        let sender = Sender { hub: site, via, vni: settings.vni, mac };
        sender.registration(cx, key, request.id(), flags, (self.session.is_unknown(), self.is_hub));
        increment(&mut cx.statistics.tx_register_req);
        if let State::Registered { until } = self.state {
            next = next.min(until);
        }
        self.request = Some(request);
        self.arm(cx, next);
    }

    fn send_purge(&mut self, cx: &mut Context<'_>, settings: &ClientSettings, reply: bool) {
        let Some(Path { local, .. }) = self.path else { return };
        let Some(mut request) = self.request else { return };
        let next = request.sent(cx, WITHDRAW);
        self.purge(cx, settings, request, &[local], if reply { 0 } else { flag::NO_REPLY });
        self.request = Some(request);
        self.arm(cx, next);
    }

    /// Takes back that this client is at these places.
    fn purge(
        &self,
        cx: &mut Context<'_>,
        settings: &ClientSettings,
        request: Request,
        places: &[Nbma],
        flags: u16,
    ) {
        let (Some(hub), Some(via), Some(mac)) = (self.site, self.via(cx.vpn_id), cx.sites.mac) else {
            return;
        };
        let sender = Sender { hub, via, vni: settings.vni, mac };
        sender.withdrawal(cx, request.id(), flags, self.address, places);
        increment(&mut cx.statistics.tx_purge_req);
    }

    fn arm(&mut self, cx: &mut Context<'_>, at: Instant) {
        cx.arm(&mut self.alarm, at, Due::Client(ClientDue::Registration(self.hub)));
    }
}

/// A registration names `after` instead of `before`.
fn pinned(cx: &mut Context<'_>, before: Option<SiteId>, after: Option<SiteId>) -> Option<SiteId> {
    if let Some(after) = after {
        cx.sites.pin(after);
    }
    if let Some(before) = before {
        cx.sites.unpin(before);
        cx.release(before);
    }
    after
}
