//! What a client's hub says.

use super::super::context::Context;
use super::super::contract::effect::Act;
use super::super::contract::input::Place;
use super::super::contract::statistics::increment;
use super::super::exchange::session::Order;
use super::super::exchange::{Inbound, Trust};
use super::super::sites::SiteId;
use super::{Client, with};
use crate::types::{Mac, Vtep};
use crate::wire::nhrp::{Cie, Fault, Kind, Message, ProtocolAddress, code, error, quoted};

impl Client {
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
                // It quotes too little for the tags, as others' hubs do.
                Kind::Error
                    if quoted(from.message.packet_in_error()).is_some_and(|q| registration.asked(&q)) =>
                {
                    cx.reports(from.via.path.remote, header.error_code());
                }
                _ => {}
            }
            return Ok(());
        }
        let hub = registration.hub();
        if hub != self.choice.active() && matches!(header.kind, Kind::ResolutionReply | Kind::PurgeRequest) {
            // What a hub says that it left it does not believe any more.
            increment(&mut cx.statistics.rx_unsolicited);
            return Ok(());
        }
        match header.kind {
            Kind::RegistrationReply => {
                let is_new = registration.reply(cx, &self.settings, from);
                let is_accepted = registration.accepted() == cx.now;
                if is_new {
                    self.arrive(cx, hub);
                }
                let is_active = hub == self.choice.active();
                if is_active {
                    self.follow_uplink(cx);
                    if is_accepted {
                        self.choice.sent(from.message.sent().map_or(0, |sent| sent.0));
                    }
                }
                self.looked_at(cx, hub);
                if is_new && is_active {
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
                self.choose(cx);
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
        // It is this router itself that registers at another hub now: who says that it is here still would keep it from there.
        if from.message.cies().all(|cie| is_question(&cie)) && self.keeps_silent() {
            return;
        }
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

    /// An error counts that is about what this node waits for an answer to; nothing else is told anybody.
    fn error(&mut self, cx: &mut Context<'_>, from: &Inbound<'_>) {
        let code = from.message.header.error_code();
        let Some(ours) = quoted(from.message.packet_in_error()) else { return };
        // In a session it quotes enough to tell that.
        let tags = Message::parse(from.message.packet_in_error()).ok().and_then(|ours| ours.tags());
        let own = cx.sites.mac.map(ProtocolAddress::Mac);
        if ours.source != own {
            return;
        }
        match ours.kind {
            Kind::RegistrationRequest => {
                if let Some(registration) =
                    with(&mut self.registrations, from.site).filter(|there| there.asked(&ours))
                {
                    cx.reports(from.via.path.remote, code);
                    registration.error(cx, from.site, (&ours, tags), code);
                    self.choose(cx);
                }
            }
            Kind::ResolutionRequest => {
                self.ask(cx, |resolution, cx, asker| {
                    if resolution.error(cx, asker, from.site, (&ours, tags), code) {
                        cx.reports(from.via.path.remote, code);
                    }
                });
            }
            // A withdrawal is repeated until it is confirmed, whatever the hub says.
            Kind::PurgeRequest if from.trust == Trust::Session => cx.reports(from.via.path.remote, code),
            // To others nobody waits for an answer.
            Kind::PurgeRequest
            | Kind::PurgeReply
            | Kind::RegistrationReply
            | Kind::ResolutionReply
            | Kind::Error
            | Kind::TrafficIndication => {}
        }
    }
}

/// A MAC is not here any more, though the bridge thinks so.
fn unlearn_local(cx: &mut Context<'_>, mac: Mac) {
    cx.book.forget(cx.now, ProtocolAddress::Mac(mac));
    cx.act(Act::Unlearn(mac, Place::Local));
}
