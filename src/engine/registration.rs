//! A spoke's registration with its hub in one VN (RFC 2332 sections 5.2.3 to 5.2.6).

use super::context::{Context, Due, Timer};
use super::contract::effect::{Effect, Event, Refusal};
use super::contract::input::Path;
use super::contract::report::Standing;
use super::contract::settings::{HubKey, VnKey};
use super::contract::statistics::increment;
use super::timers::Alarm;
use crate::time::Instant;
use crate::types::{Mac, Vni, Vtep};
use crate::wire::VpnTag;
use crate::wire::nhrp::{Cie, Extension, HOP_COUNT, Header, Kind, Message, Protocol, ProtocolAddress, code};
use crate::wire::nhrp::{flag, kind};
use core::time::Duration;

/// The first repetition comes after this; each further one after twice the time.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_secs(64);
/// After so many requests without an answer the hub's address is looked up again.
const LOOK_UP_AFTER: u32 = 3;
/// A refused registration is tried again after this, doubled at each refusal.
const REFUSED_FIRST: Duration = Duration::from_secs(10);
const REFUSED_MOST: Duration = Duration::from_secs(180);
/// A withdrawal is sent so often, this far apart.
const WITHDRAW_TRIES: u32 = 4;
const WITHDRAW_RETRY: Duration = Duration::from_millis(400);

/// Who a spoke is towards its hub, once all of it is known.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    pub vn: VnKey,
    pub hub: HubKey,
    pub path: Path,
    pub tag: VpnTag,
    pub vni: Vni,
    pub mac: Mac,
    pub mtu: u16,
    pub unique: bool,
}

impl Identity {
    /// The header of a request of this spoke.
    pub fn header(&self, kind: Kind, flags: u16, id: u32, destination: Option<ProtocolAddress>) -> Header {
        Header {
            kind,
            protocol: Protocol::Ethernet,
            hop_count: HOP_COUNT,
            flags,
            request_id: id,
            nbma: self.path.local,
            vni: Some(self.vni),
            source: Some(self.address()),
            destination,
        }
    }

    /// The spoke's protocol address.
    pub fn address(&self) -> ProtocolAddress {
        ProtocolAddress::Mac(self.mac)
    }
}

/// A request that is not answered yet.
#[derive(Clone, Copy, Debug)]
struct Request {
    id: u32,
    unanswered: u32,
}

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
}

/// The state machine. [`Registration::start`] begins, [`Registration::due`] goes on.
#[derive(Debug)]
pub struct Registration {
    state: State,
    since: Instant,
    request: Option<Request>,
    refusals: u32,
    alarm: Alarm,
    uplink: Option<Vtep>,
    /// The hub's protocol address, once it told.
    hub: Option<ProtocolAddress>,
}

impl Registration {
    pub fn new(now: Instant) -> Registration {
        Registration {
            state: State::Idle,
            since: now,
            request: None,
            refusals: 0,
            alarm: Alarm::default(),
            uplink: None,
            hub: None,
        }
    }

    /// Where frames for unknown MACs go, once the hub told; kept while the hub is silent.
    pub fn uplink(&self) -> Option<Vtep> {
        self.uplink
    }

    /// The hub's protocol address, once it told.
    pub fn hub(&self) -> Option<ProtocolAddress> {
        self.hub
    }

    pub fn is_registered(&self) -> bool {
        matches!(self.state, State::Registered { .. })
    }

    /// Whether nothing is left to do before the daemon ends.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Withdrawn | State::Idle)
    }

    /// Registers from the beginning: at the start, or when the address of either end changed.
    pub fn start(&mut self, cx: &mut Context<'_>, me: &Identity) {
        self.refusals = 0;
        self.request = None;
        self.enter(cx.now, State::Registering);
        self.ask(cx, me);
    }

    /// Waits for a device or an address.
    pub fn pause(&mut self, cx: &mut Context<'_>) {
        self.request = None;
        self.enter(cx.now, State::Idle);
        cx.timers.clear(&mut self.alarm);
    }

    /// Withdraws (RFC 2332 section 5.2.5). With `wait` until the hub confirms, or does not for long enough.
    pub fn withdraw(&mut self, cx: &mut Context<'_>, me: &Identity, wait: bool) {
        // A request under way may have arrived, though no answer did: then nobody waits for the confirmation.
        let wait = wait && self.is_registered();
        if !self.is_registered() && self.request.is_none() {
            self.end(cx);
            return;
        }
        self.request = Some(Request { id: cx.ids.take(cx.out), unanswered: 0 });
        self.enter(cx.now, State::Withdrawing);
        self.send_purge(cx, me, wait);
        if !wait {
            self.end(cx);
        }
    }

    /// The hub does not treat this spoke as registered: it may have lost its memory.
    pub fn doubt(&mut self, cx: &mut Context<'_>, me: &Identity) {
        if self.is_registered() && self.request.is_none() {
            self.ask(cx, me);
        }
    }

    /// What was in the way is gone: what was sent meanwhile is sent again, now.
    pub fn retry(&mut self, cx: &mut Context<'_>, me: &Identity) {
        if matches!(self.state, State::Withdrawing) {
            return;
        }
        if let Some(request) = &mut self.request {
            request.unanswered = 0;
            self.ask(cx, me);
        }
    }

    /// The time set has come.
    pub fn due(&mut self, cx: &mut Context<'_>, me: &Identity) {
        match self.state {
            State::Idle | State::Withdrawn => {}
            State::Registering => self.ask(cx, me),
            State::Registered { until } => {
                if until <= cx.now {
                    self.enter(cx.now, State::Registering);
                    cx.out.tell(me.vn, Event::RegistrationLost { hub: me.path.remote });
                }
                self.ask(cx, me);
            }
            State::Refused { .. } => {
                self.enter(cx.now, State::Registering);
                self.ask(cx, me);
            }
            State::Withdrawing => match self.request {
                Some(request) if request.unanswered < WITHDRAW_TRIES => self.send_purge(cx, me, true),
                _ => self.end(cx),
            },
        }
    }

    /// A Registration Reply arrived. Whether it made or changed the registration.
    pub fn reply(&mut self, cx: &mut Context<'_>, me: &Identity, message: &Message<'_>) -> bool {
        let mine = self.request.is_some_and(|r| r.id == message.header.request_id)
            && message.header.source == Some(ProtocolAddress::Mac(me.mac))
            && !matches!(self.state, State::Withdrawing);
        if !mine {
            increment(&mut cx.statistics.rx_unsolicited);
            return false;
        }
        // Any code but 0 is a NAK (RFC 2332 section 5.2.4).
        if let Some(nak) = message.cies().find(|c| c.code != code::OK) {
            increment(&mut cx.statistics.rx_register_nak);
            self.refused(cx, me, Refusal::Nak(nak.code));
            return false;
        }
        increment(&mut cx.statistics.rx_register_ack);
        let granted = message.cies().next().map_or(0, |c| c.holding);
        let holding = match Duration::from_secs(granted.into()) {
            Duration::ZERO => cx.holding_time,
            granted => granted.min(cx.holding_time),
        };
        let responder = message.extension_cie(kind::RESPONDER).unwrap_or_default();
        let hub = responder.nbma.filter(|n| n.same_family(me.path.local)).unwrap_or(me.path.remote);
        let uplink = Vtep { nbma: hub, vni: responder.vni.unwrap_or(me.vni) };
        self.hub = responder.address.or(self.hub);
        self.request = None;
        self.refusals = 0;
        if !self.is_registered() || self.uplink != Some(uplink) {
            self.since = cx.now;
            cx.plane.set_uplink(cx.out, Some(uplink));
            cx.out.tell(me.vn, Event::Registered { uplink });
        }
        self.uplink = Some(uplink);
        self.state = State::Registered { until: cx.now + holding };
        // A third of the holding time (RFC 2332 section 5.2.3), give or take, so that spokes do not come in step.
        let refresh = cx.now + holding * 2 / 5 - cx.random.around(holding / 15);
        self.arm(cx, me, refresh);
        true
    }

    /// An Error Indication about the request `id` arrived.
    pub fn error(&mut self, cx: &mut Context<'_>, me: &Identity, id: u32, error: u16) {
        if self.request.is_some_and(|r| r.id == id) && !matches!(self.state, State::Withdrawing) {
            self.refused(cx, me, Refusal::Error(error));
        }
    }

    /// A Purge Reply arrived.
    pub fn purged(&mut self, cx: &mut Context<'_>, me: &Identity, id: u32) {
        if matches!(self.state, State::Withdrawing) && self.request.is_some_and(|r| r.id == id) {
            self.end(cx);
            cx.out.tell(me.vn, Event::Withdrawn);
        }
    }

    /// What to say in `status`, and for how many seconds it has been so.
    pub fn report(&self, now: Instant, complete: Result<(), Standing>) -> (Standing, u64) {
        let seconds = |until: Instant| u32::try_from(until.since(now).as_secs()).unwrap_or(u32::MAX);
        let unanswered = self.request.map_or(0, |r| r.unanswered.saturating_sub(1));
        let standing = match (self.state, complete) {
            (State::Withdrawing | State::Withdrawn, _) => Standing::Withdrawing,
            (_, Err(missing)) => missing,
            (State::Registered { until }, _) => Standing::Registered { left: seconds(until), unanswered },
            (State::Refused { reason, retry }, _) => Standing::Refused { reason, retry: seconds(retry) },
            (State::Registering | State::Idle, _) => Standing::Registering { unanswered },
        };
        (standing, now.since(self.since).as_secs())
    }

    fn enter(&mut self, now: Instant, state: State) {
        self.state = state;
        self.since = now;
    }

    fn end(&mut self, cx: &mut Context<'_>) {
        self.request = None;
        self.enter(cx.now, State::Withdrawn);
        cx.timers.clear(&mut self.alarm);
    }

    fn refused(&mut self, cx: &mut Context<'_>, me: &Identity, reason: Refusal) {
        let delay = (REFUSED_FIRST * (1 << self.refusals.min(5))).min(REFUSED_MOST);
        let retry = cx.now + cx.random.around(delay);
        self.refusals += 1;
        self.request = None;
        self.enter(cx.now, State::Refused { reason, retry });
        self.arm(cx, me, retry);
        cx.out.tell(me.vn, Event::Refused { hub: me.path.remote, reason });
    }

    /// Sends the request, with the same ID as long as it is not answered (RFC 2332 section 5.2.0.1).
    fn ask(&mut self, cx: &mut Context<'_>, me: &Identity) {
        let request = match &mut self.request {
            Some(request) => {
                increment(&mut cx.statistics.retransmits);
                request
            }
            None => self.request.insert(Request { id: cx.ids.take(cx.out), unanswered: 0 }),
        };
        request.unanswered += 1;
        let Request { id, unanswered } = *request;
        if unanswered > LOOK_UP_AFTER {
            cx.out.push(Effect::FindHub { hub: me.hub });
        }
        let flags = if me.unique { flag::REGISTRATION_UNIQUE } else { 0 };
        let header = me.header(Kind::RegistrationRequest, flags, id, Some(me.address()));
        let cie = Cie { prefix: 0xff, mtu: me.mtu, holding: cx.holding_seconds(), ..Cie::default() };
        cx.send(me.path, me.tag, &header, |w| {
            w.cie(&cie)
                .extension(Extension::empty(kind::RESPONDER))
                .extension(Extension::empty(kind::FORWARD_TRANSIT))
                .extension(Extension::empty(kind::REVERSE_TRANSIT));
        });
        increment(&mut cx.statistics.tx_register_req);
        let most = match self.state {
            // Often enough to survive loss (RFC 2332 section 5.2.3): a dozen tries until the holding time is over.
            State::Registered { .. } => (cx.holding_time / 15).clamp(RETRY_FIRST, RETRY_MOST),
            _ => RETRY_MOST,
        };
        let delay = (RETRY_FIRST * (1 << (unanswered - 1).min(6))).min(most);
        let mut next = cx.now + cx.random.around(delay);
        if let State::Registered { until } = self.state {
            next = next.min(until);
        }
        self.arm(cx, me, next);
    }

    fn send_purge(&mut self, cx: &mut Context<'_>, me: &Identity, reply: bool) {
        let Some(request) = &mut self.request else { return };
        request.unanswered += 1;
        let flags = if reply { 0 } else { flag::NO_REPLY };
        let header = me.header(Kind::PurgeRequest, flags, request.id, self.hub.or(Some(me.address())));
        let cie = Cie {
            prefix: 0xff,
            nbma: Some(me.path.local),
            vni: Some(me.vni),
            address: Some(me.address()),
            ..Cie::default()
        };
        cx.send(me.path, me.tag, &header, |w| {
            w.cie(&cie);
        });
        increment(&mut cx.statistics.tx_purge_req);
        self.arm(cx, me, cx.now + WITHDRAW_RETRY);
    }

    fn arm(&mut self, cx: &mut Context<'_>, me: &Identity, at: Instant) {
        cx.timers.set(&mut self.alarm, at, Timer { vn: me.vn, what: Due::Registration });
    }
}
