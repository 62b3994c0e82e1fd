//! A hub that stands by: it is asked for a challenge alone, of which it keeps nothing. So it is known whether it answers, and the
//! registration, once it is wanted, takes one round trip.

use super::{Registration, State, pinned};
use crate::engine::context::Context;
use crate::engine::contract::reason::Refusal;
use crate::engine::contract::settings::ClientSettings;
use crate::engine::exchange::{Backoff, Request};
use crate::time::Instant;
use crate::wire::nhrp::ProtocolAddress;
use core::time::Duration;

/// How often a hub that stands by is asked whether it is there, once it answered.
const APART: Duration = Duration::from_secs(10);
/// Tries until it answers.
pub(super) const INQUIRE: Backoff = Backoff { first: Duration::from_secs(1), most: APART };
/// How often a hub that answers again is told that this client left it, if it has not confirmed that.
pub(super) const LATE: u8 = 3;
/// A hub that did not answer so many requests does not answer.
const SILENT: u32 = 3;

impl Registration {
    /// Nothing is to be registered here for now.
    pub fn stand_by(&mut self, cx: &mut Context<'_>, settings: &ClientSettings) {
        let uplink = self.uplink.take();
        pinned(cx, uplink, None);
        self.address = None;
        self.refusals = 0;
        self.lost = None;
        self.unfit = None;
        (self.is_doubtful, self.is_doubted_later) = (false, false);
        if self.site.is_none() || cx.sites.mac.is_none() {
            self.request = None;
            self.turn(cx.now, State::Idle);
            return cx.timers.clear(&mut self.alarm);
        }
        self.turn(cx.now, State::Standby);
        self.inquire(cx, settings);
    }

    /// Asks a hub that stands by whether it is there.
    pub fn inquire(&mut self, cx: &mut Context<'_>, settings: &ClientSettings) {
        if let (State::Standby, Some(site)) = (self.state, self.site) {
            self.request = None;
            self.session.renew();
            self.session.tag(cx, site);
            self.ask(cx, settings);
        }
    }

    /// A hub that stands by answered: whether it could be registered with.
    pub(super) fn stood_by(&mut self, cx: &mut Context<'_>, refusal: Option<Refusal>) {
        self.request = None;
        self.unfit = refusal;
        let next = cx.now + cx.random.around(APART);
        self.arm(cx, next);
    }

    /// A hub that did not hear that this client left it answers again: it may have its port still, and send by it.
    pub(super) fn withdraw_late(&mut self, cx: &mut Context<'_>, settings: &ClientSettings) {
        let (Some((tags, tries)), Some(site), Some(mac)) = (self.owed, self.site, cx.sites.mac) else {
            return;
        };
        self.owed = tries.checked_sub(1).map(|tries| (tags, tries));
        if self.owed.is_none() {
            return;
        }
        self.session.resume(tags);
        self.session.tag(cx, site);
        self.request = Some(Request::new(cx, site, ProtocolAddress::Mac(mac)));
        self.turn(cx.now, State::Withdrawing);
        self.send_purge(cx, settings, true);
    }

    /// Whether it has withdrawn what was registered, or given that up.
    pub fn is_withdrawn(&self) -> bool {
        matches!(self.state, State::Withdrawn)
    }

    /// Whether the hub stands by.
    pub fn is_standby(&self) -> bool {
        matches!(self.state, State::Standby)
    }

    /// Whether the hub does not want this client, or would not.
    pub fn is_refused(&self) -> bool {
        match self.state {
            State::Refused { .. } => true,
            State::Standby => self.unfit.is_some(),
            _ => false,
        }
    }

    /// Whether the hub accepted it and its time is not over, be it that it may have forgotten.
    pub fn is_held(&self) -> bool {
        matches!(self.state, State::Registered { .. })
    }

    /// Requests without an answer.
    pub fn unanswered(&self) -> u32 {
        self.round.unanswered() + self.request.map_or(0, |request| request.tries().saturating_sub(1))
    }

    /// Whether it does not answer at all.
    pub fn is_silent(&self) -> bool {
        self.unanswered() >= SILENT
    }

    /// When the hub answered last, whatever.
    pub fn heard(&self) -> Option<Instant> {
        self.heard
    }
}
