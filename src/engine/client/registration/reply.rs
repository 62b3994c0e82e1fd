//! What a hub says to a registration, and what comes of it.

use super::{DOUBT_APART, REGISTER, Registration, State, pinned};
use crate::engine::context::Context;
use crate::engine::contract::effect::Event;
use crate::engine::contract::reason::{Refusal, Rivals};
use crate::engine::contract::settings::ClientSettings;
use crate::engine::contract::statistics::increment;
use crate::engine::exchange::{Backoff, Inbound};
use crate::engine::sites::SiteId;
use crate::types::{Nbma, Vtep};
use crate::wire::nhrp::{Header, ProtocolAddress, Tags, code, kind};
use core::time::Duration;

/// Tries after a refusal.
const REFUSED: Backoff = Backoff { first: Duration::from_secs(10), most: Duration::from_secs(180) };

/// The same of one hub by another.
const REFUSED_HUB: Backoff = Backoff { first: Duration::from_secs(5), most: Duration::from_secs(5) };

/// Another router with this one's MAC was heard of so long ago at most: it tries again before.
const RIVALRY: Duration = Duration::from_secs(300);

/// So many challenges in a row are answered at once.
const CHALLENGES: u32 = 3;
/// A hub that may have been started anew is asked within this. It tells its spokes one after the other; until it knows
/// them nobody tells them of what changes.
const HINTED: Duration = Duration::from_millis(100);

/// No frame gets to the hub, and it answers: it may be started anew later.
const LOST_ANSWERED: Backoff = Backoff { first: Duration::from_secs(2), most: Duration::from_secs(64) };

impl Registration {
    /// A Registration Reply arrived. Whether it made or changed the registration.
    pub fn reply(&mut self, cx: &mut Context<'_>, settings: &ClientSettings, from: &Inbound<'_>) -> bool {
        let message = &from.message;
        let header = &message.header;
        let mine = !matches!(self.state, State::Withdrawing)
            && self.request.is_some_and(|r| r.is_answered(from.site, message, header.source));
        if !mine {
            increment(&mut cx.statistics.rx_unsolicited);
            return false;
        }
        self.answered(cx, from);
        if self.is_challenged(cx, settings, from) {
            return false;
        }
        if matches!(self.state, State::Standby) {
            // It has more to say than what was asked for: it takes nobody, or asks nobody back.
            let nak = message.cies().map(|cie| cie.code).find(|nak| *nak != code::OK);
            self.stood_by(cx, Some(nak.map_or(Refusal::NoSession, Refusal::Nak)));
            return false;
        }
        // Any code but 0 is a NAK (RFC 2332 section 5.2.4).
        let former = self.former.take();
        if let Some(nak) = message.cies().find(|c| c.code != code::OK) {
            increment(&mut cx.statistics.rx_register_nak);
            let holder = nak.nbma.zip(nak.vni).map(|(nbma, vni)| Vtep { nbma, vni });
            if nak.code == code::ALREADY_REGISTERED && holder.is_some() {
                self.meet(cx, settings, holder);
            }
            let names = header.nbma;
            let is_other = |comes_from: &Nbma| *comes_from != names && nak.code == code::PROHIBITED;
            let reason = match nak.nbma.filter(is_other) {
                Some(comes_from) => Refusal::Translated { comes_from, names },
                None => Refusal::Nak(nak.code),
            };
            if let Refusal::Translated { .. } = reason {
                increment(&mut cx.statistics.registrations_translated);
            }
            self.refused(cx, reason);
            return false;
        }
        increment(&mut cx.statistics.rx_register_ack);
        if self.session.is_unknown() {
            // It would not be believed what it says later.
            self.refused(cx, Refusal::NoSession);
            return false;
        }
        self.is_told = false;
        let granted = message.cies().next().map_or(0, |c| c.holding);
        let responder = message.extension_cie(kind::RESPONDER).unwrap_or_default();
        // What the hub says of itself, the uplink, is good for so long, too (section 5.3.1).
        let said = [granted, responder.holding].map(|seconds| Duration::from_secs(seconds.into()));
        let said = said.into_iter().filter(|holding| !holding.is_zero());
        let holding = said.min().unwrap_or(cx.holding_time).min(cx.holding_time);
        // Whatever the hub calls itself: its packets come from there, so VXLAN gets there, too.
        let uplink = Vtep { nbma: from.via.path.remote, vni: responder.vni.unwrap_or(settings.vni) };
        let site = cx.sites.enter((uplink.nbma, Some(uplink.vni)));
        let is_first = self.session.accepted();
        let news = !self.is_registered() || self.uplink != Some(site) || is_first;
        if !matches!(self.state, State::Registered { .. }) || self.uplink != Some(site) {
            self.rivals = None;
            self.since = cx.now;
            cx.tell(Event::Registered { uplink });
        }
        let before = self.uplink;
        self.uplink = pinned(cx, before, Some(site));
        self.address = responder.address.or(self.address);
        self.request = None;
        self.refusals = 0;
        self.is_doubtful = false;
        self.accepted = cx.now;
        self.state = State::Registered { until: cx.now + holding };
        // A third of the holding time (RFC 2332 section 5.2.3), give or take, so that spokes do not come in step.
        let refresh = cx.now + holding * 2 / 5 - cx.random.around(holding / 15);
        let refresh = match &mut self.lost {
            Some(answered) => {
                *answered += 1;
                refresh.min(cx.now + LOST_ANSWERED.after(cx, *answered))
            }
            None => refresh,
        };
        self.refresh = refresh;
        // A doubt that arose while the request was under way: the hub may have accepted it before it forgot.
        let again = self.doubted.filter(|_| self.is_doubted_later).map(|last| last + DOUBT_APART);
        self.arm(cx, again.map_or(refresh, |again| again.min(refresh)));
        if self.session.is_wanted() && former.is_some() {
            // A hub that was started anew has found ports there, and does not know whose they are.
            self.former = former;
            self.prepare_move(cx);
            self.send_move(cx, settings);
            self.former = None;
        }
        news
    }

    /// The hub answered, by the key of the request.
    fn answered(&mut self, cx: &mut Context<'_>, from: &Inbound<'_>) {
        self.round.answered(from.key);
        self.heard = Some(cx.now);
        if let Some(there) = self.site.and_then(|site| cx.sites.get_mut(site)) {
            there.key = from.key;
        }
    }

    /// Whether the hub wants a cookie returned before it answers: then it gets it at once.
    pub fn is_challenged(
        &mut self,
        cx: &mut Context<'_>,
        settings: &ClientSettings,
        from: &Inbound<'_>,
    ) -> bool {
        let is_nak = from.message.cies().any(|cie| cie.code == code::PROHIBITED);
        let Some(challenge) = from.message.challenge().filter(|_| is_nak) else { return false };
        increment(&mut cx.statistics.rx_challenge);
        let Some(site) = self.site else { return true };
        let Some(times) = self.session.challenged(from.message.tags(), challenge.cookie) else { return true };
        self.session.tag(cx, site);
        if matches!(self.state, State::Standby) {
            self.stood_by(cx, None);
            self.withdraw_late(cx, settings);
        }
        if !matches!(self.state, State::Registering | State::Registered { .. }) {
            return true;
        }
        self.request = None;
        self.is_doubtful = matches!(self.state, State::Registered { .. });
        if times <= CHALLENGES {
            self.ask(cx, settings);
        } else {
            let next = cx.now + REGISTER.after(cx, times - CHALLENGES);
            self.arm(cx, next);
        }
        true
    }

    /// Somebody sends Purges from the hub's address, and not in this session: the hub may have been started anew.
    pub fn hint(&mut self, cx: &mut Context<'_>) {
        let State::Registered { until } = self.state else { return };
        if self.request.is_some() {
            return;
        }
        if let Some(soon) = self.session.hinted(cx.now, cx.random.up_to(HINTED)) {
            self.arm(cx, soon.min(self.refresh).min(until));
        }
    }

    /// An Error Indication about a request arrived.
    pub fn error(
        &mut self,
        cx: &mut Context<'_>,
        site: Option<SiteId>,
        asked: (&Header, Option<Tags>),
        error: u16,
    ) {
        let own = cx.sites.mac.map(ProtocolAddress::Mac);
        if !matches!(self.state, State::Withdrawing)
            && self.request.is_some_and(|r| r.is_about(site, asked, own))
        {
            match self.state {
                State::Standby => self.stood_by(cx, Some(Refusal::Error(error))),
                _ => self.refused(cx, Refusal::Error(error)),
            }
        }
    }

    /// Whether this is the header of the request under way.
    pub fn asked(&self, header: &Header) -> bool {
        self.request.is_some_and(|request| request.id() == header.request_id)
    }

    /// A Purge Reply arrived.
    pub fn purged(&mut self, cx: &mut Context<'_>, from: &Inbound<'_>) {
        let header = &from.message.header;
        if matches!(self.state, State::Withdrawing)
            && self.request.is_some_and(|r| r.is_answered(from.site, &from.message, header.source))
        {
            self.owed = None;
            self.end(cx);
            cx.tell(Event::Withdrawn);
        }
    }

    /// Another router has this one's MAC, and is there if that is known.
    pub fn meet(&mut self, cx: &mut Context<'_>, settings: &ClientSettings, second: Option<Vtep>) {
        let (Some(path), Some(mac)) = (self.path, cx.sites.mac) else { return };
        let first = Vtep { nbma: cx.name_of(path.local), vni: settings.vni };
        let rivals = Rivals { mac, first, second };
        if self.rivals(cx.now) != Some(rivals) {
            cx.tell(Event::Rivals(rivals));
        }
        self.rivals = Some((rivals, cx.now + RIVALRY));
    }

    fn refused(&mut self, cx: &mut Context<'_>, reason: Refusal) {
        self.refusals += 1;
        self.is_told = false;
        // Hubs that are not configured alike yet are soon.
        let backoff = if self.is_hub { REFUSED_HUB } else { REFUSED };
        let retry = cx.now + backoff.after(cx, self.refusals);
        self.request = None;
        (self.is_doubtful, self.is_doubted_later) = (false, false);
        self.turn(cx.now, State::Refused { reason, retry });
        self.arm(cx, retry);
        if let Some(path) = self.path {
            cx.tell(Event::Refused { hub: path.remote, reason });
        }
    }
}
