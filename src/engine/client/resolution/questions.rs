//! A client's questions in their line, and what of an answer it can use.

use super::super::packets::Sender;
use super::shortcuts::until;
use super::{ASK, ASK_ON, Asker, Phase, Resolution, due};
use crate::engine::context::{ClientDue, Context, Due};
use crate::engine::contract::effect::Event;
use crate::engine::contract::statistics::increment;
use crate::engine::contract::way::Path;
use crate::engine::exchange::{Inbound, Request};
use crate::engine::sites::SiteId;
use crate::types::{Mac, Nbma, Vtep};
use crate::wire::nhrp::{Header, ProtocolAddress, Tags, code, kind};

impl Resolution {
    /// Asks as many of the line as the rate limit allows.
    pub fn ask_queued(&mut self, cx: &mut Context<'_>, asker: &mut Asker<'_>) {
        if !asker.registered {
            return;
        }
        while let Some(&mac) = self.queue.front() {
            if self.entries.get(&mac).is_none_or(|e| e.phase != Phase::Queued) {
                self.queue.pop_front();
                continue;
            }
            if let Err(wait) = self.questions.take(cx.now) {
                increment(&mut cx.statistics.tx_rate_limited);
                cx.arm(&mut self.queue_alarm, cx.now + wait, Due::Client(ClientDue::Questions));
                return;
            }
            self.queue.pop_front();
            let request = Request::new(cx, asker.hub, ProtocolAddress::Mac(mac));
            cx.tell(Event::Asked { mac });
            self.ask(cx, asker, mac, request);
        }
    }

    /// The MAC that a site was asked about by this message, or the one that it answers.
    pub(super) fn asked_by(
        &self,
        site: Option<SiteId>,
        (header, tags): (&Header, Option<Tags>),
    ) -> Option<Mac> {
        let Some(about @ ProtocolAddress::Mac(mac)) = header.destination else { return None };
        match self.entries.get(&mac)?.phase {
            Phase::Asking(request) if request.is_about(site, (header, tags), Some(about)) => Some(mac),
            _ => None,
        }
    }

    /// Puts the MAC in line for a question.
    pub(super) fn enqueue(&mut self, cx: &mut Context<'_>, asker: &mut Asker<'_>, mac: Mac) {
        if self.queue.len() > 2 * self.entries.len() {
            // Those who left the line, or came twice.
            let entries = &self.entries;
            self.queue.retain(|mac| entries.get(mac).is_some_and(|e| e.phase == Phase::Queued));
        }
        let Some(entry) = self.entries.get_mut(&mac) else { return };
        if entry.phase != Phase::Queued {
            entry.phase = Phase::Queued;
            self.queue.push_back(mac);
        }
        match entry.shortcut {
            Some(_) => {
                let until = until(cx, mac);
                cx.arm(&mut entry.alarm, until, due(mac));
            }
            None => cx.timers.clear(&mut entry.alarm),
        }
        self.ask_queued(cx, asker);
    }

    pub(super) fn ask(&mut self, cx: &mut Context<'_>, asker: &Asker<'_>, mac: Mac, mut request: Request) {
        let Some(entry) = self.entries.get_mut(&mac) else { return };
        let retry = request.sent(cx, if entry.is_unsure() { ASK_ON } else { ASK });
        asker.question(cx, &request, mac);
        entry.phase = Phase::Asking(request);
        let next = entry.shortcut.map_or(retry, |_| retry.min(until(cx, mac)));
        cx.arm(&mut entry.alarm, next, due(mac));
    }
}

impl Asker<'_> {
    /// Sends a question to the hub.
    pub(super) fn question(&self, cx: &mut Context<'_>, request: &Request, mac: Mac) {
        let Some(via) = cx.sites.via(self.hub) else { return };
        let sender = Sender { hub: self.hub, via, vni: self.settings.vni, mac: self.mac };
        sender.question(cx, request.id(), mac);
        increment(&mut cx.statistics.tx_resolve_req);
    }
}

/// The answer with the highest preference that this node can use: where, and for how many seconds. What is at the hub
/// itself is where the hub was asked, whatever it calls itself.
pub(super) fn best(cx: &Context<'_>, from: &Inbound<'_>, mac: Mac) -> Option<(Vtep, u16)> {
    let Path { local, remote } = from.via.path;
    let hub = from.message.extension_cie(kind::RESPONDER).and_then(|responder| responder.nbma);
    let place = |nbma: Nbma| if Some(nbma) == hub { remote } else { nbma };
    let is_own = |nbma: Nbma| nbma == local || nbma == cx.name_of(local);
    from.message
        .cies()
        .filter(|c| c.code == code::OK && c.holding > 0)
        .filter(|c| c.address.is_none_or(|a| a == ProtocolAddress::Mac(mac)))
        .filter_map(|c| Some((c.preference, Vtep { nbma: place(c.nbma?), vni: c.vni? }, c.holding)))
        .filter(|(_, to, _)| to.nbma.same_family(local) && !is_own(to.nbma))
        // The first of the highest, as the replier sorted them.
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, to, holding)| (to, holding))
}
