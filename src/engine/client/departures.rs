//! MACs that left this site with their port: a cable was pulled, a virtual machine is gone. The hub is told that they are
//! not here any more (RFC 2332 section 5.2.5), so that it floods their frames, which find them wherever they are plugged
//! in next, though they say nothing there. What a bridge forgets by its age is here all the same, and is not told.

use super::super::context::{ClientDue, Context, Due};
use super::super::contract::statistics::increment;
use super::super::exchange::{Backoff, Inbound, Request};
use super::super::limits::CIES_PER_PURGE;
use super::super::sites::SiteId;
use super::super::timers::Alarm;
use super::packets::Sender;
use crate::time::Instant;
use crate::types::{Mac, Vni};
use crate::wire::nhrp::ProtocolAddress;
use core::time::Duration;
use litemap::LiteMap;

/// A switch that goes takes all its hosts along: they are told together, and so long after each other at least.
const GATHER: Duration = Duration::from_millis(20);
/// Tries, and how many; then the hub's bridge forgets by itself.
const TELL: Backoff = Backoff { first: Duration::from_millis(500), most: Duration::from_secs(8) };
const TRIES: u32 = 5;

/// How far a MAC's departure is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    NotYet,
    /// The request under way says it.
    Said,
    /// So it does, but the MAC is back.
    Back,
}

/// Those that the hub has not confirmed yet. There are never more of them than there may be MACs here.
#[derive(Debug, Default)]
pub struct Departures {
    waiting: LiteMap<Mac, Told>,
    request: Option<Request>,
    alarm: Alarm,
}

/// Whom to tell, and as whom.
#[derive(Clone, Copy, Debug)]
pub struct Listener {
    pub hub: SiteId,
    /// The hub's own MAC.
    pub hub_mac: Mac,
    pub mac: Mac,
    pub vni: Vni,
}

impl Departures {
    /// The port where the MAC was is down or gone.
    pub fn left(&mut self, cx: &mut Context<'_>, mac: Mac, max_macs: u32) {
        if self.waiting.len() >= max_macs as usize && !self.waiting.contains_key(&mac) {
            return increment(&mut cx.statistics.macs_refused);
        }
        if self.waiting.is_empty() {
            self.gather(cx);
        }
        self.waiting.insert(mac, Told::NotYet);
    }

    /// It is here again.
    pub fn is_back(&mut self, mac: Mac) {
        match self.waiting.get_mut(&mac) {
            Some(Told::NotYet) => {
                self.waiting.remove(&mac);
            }
            Some(said) => *said = Told::Back,
            None => {}
        }
    }

    /// The hub listens from now on.
    pub fn registered(&mut self, cx: &mut Context<'_>) {
        if !self.waiting.is_empty() {
            self.gather(cx);
        }
    }

    /// Tells some of them, or tells them again. `None`: nobody listens, they wait for [`Departures::registered`].
    pub fn due(&mut self, cx: &mut Context<'_>, listener: Option<Listener>) {
        if self.request.is_some_and(|request| request.tries() >= TRIES) {
            self.done();
        }
        self.waiting.retain(|_, told| *told != Told::Back);
        self.waiting.iter_mut().for_each(|(_, told)| *told = Told::NotYet);
        let before = self.request.take();
        let via = listener.and_then(|listener| cx.sites.via(listener.hub));
        let (Some(listener), Some(via), Some(first)) = (listener, via, self.waiting.keys().next()) else {
            return;
        };
        // A new request each time: there may be more to say by then.
        let about = ProtocolAddress::Mac(*first);
        let mut request = match before {
            Some(before) if before.to() == listener.hub => before.replaced(cx, about),
            _ => Request::new(cx, listener.hub, about),
        };
        let next = request.sent(cx, TELL);
        let Listener { hub, hub_mac, mac, vni } = listener;
        let told = self.waiting.iter_mut().take(CIES_PER_PURGE).map(|(mac, told)| {
            *told = Told::Said;
            *mac
        });
        Sender { hub, via, vni, mac }.departure(cx, request.id(), hub_mac, told);
        increment(&mut cx.statistics.tx_purge_req);
        self.request = Some(request);
        self.arm(cx, next);
    }

    /// The hub confirmed. Those of them that are back: it may have forgotten them after it heard of that.
    pub fn confirmed(&mut self, cx: &mut Context<'_>, from: &Inbound<'_>) -> Vec<Mac> {
        let about = from.message.cies().next().and_then(|cie| cie.address);
        if !self.request.is_some_and(|request| request.is_answered(from.site, &from.message, about)) {
            return Vec::new();
        }
        let back =
            self.waiting.iter().filter(|(_, told)| **told == Told::Back).map(|(mac, _)| *mac).collect();
        self.done();
        match self.waiting.is_empty() {
            true => cx.timers.clear(&mut self.alarm),
            false => self.gather(cx),
        }
        back
    }

    /// Nobody is to be told any more: what this site was is withdrawn.
    pub fn end(&mut self, cx: &mut Context<'_>) {
        self.waiting.clear();
        self.done();
        cx.timers.clear(&mut self.alarm);
    }

    fn gather(&mut self, cx: &mut Context<'_>) {
        let at = cx.now + GATHER;
        self.arm(cx, at);
    }

    fn done(&mut self) {
        self.waiting.retain(|_, told| *told == Told::NotYet);
        self.request = None;
    }

    fn arm(&mut self, cx: &mut Context<'_>, at: Instant) {
        cx.arm(&mut self.alarm, at, Due::Client(ClientDue::Departures));
    }
}
