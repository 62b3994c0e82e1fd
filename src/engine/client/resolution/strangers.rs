//! Who is behind probes of nobody known: the hub is asked once. That takes no place of a MAC, and nothing is told of it. Who
//! gets no answer probes again, and is asked about again.

use super::questions::best;
use super::{ASK, Asker, Resolution, is_here, said};
use crate::engine::context::Context;
use crate::engine::contract::statistics::increment;
use crate::engine::exchange::{Inbound, Request};
use crate::engine::limits::{TokenBucket, UNKNOWN_ASKERS};
use crate::engine::sites::SiteId;
use crate::time::Instant;
use crate::types::Mac;
use crate::wire::nhrp::{Header, ProtocolAddress, Tags};
use core::time::Duration;

/// So long an answer is waited for.
const LASTS: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Stranger {
    mac: Mac,
    request: Request,
    asked: Instant,
}

/// Those that the hub is asked about, never more than [`UNKNOWN_ASKERS`] allows at once.
#[derive(Debug)]
pub(super) struct Strangers {
    asked: Vec<Stranger>,
    bucket: TokenBucket,
}

impl Default for Strangers {
    fn default() -> Strangers {
        Strangers { asked: Vec::new(), bucket: TokenBucket::new(UNKNOWN_ASKERS) }
    }
}

impl Strangers {
    pub fn clear(&mut self) {
        self.asked.clear();
    }

    /// Whether there is room to ask about a MAC, which is not asked about.
    fn has_room(&mut self, now: Instant, mac: Mac) -> bool {
        self.asked.retain(|stranger| now.since(stranger.asked) < LASTS);
        self.asked.len() < UNKNOWN_ASKERS.burst.into() && self.asked.iter().all(|other| other.mac != mac)
    }

    fn place(&self, site: Option<SiteId>, said: (&Header, Option<Tags>)) -> Option<usize> {
        let about = said.0.destination;
        self.asked.iter().position(|stranger| {
            about == Some(ProtocolAddress::Mac(stranger.mac)) && stranger.request.is_about(site, said, about)
        })
    }

    /// Whether one was asked about by this message, or by what it answers.
    pub fn is_asked(&self, site: Option<SiteId>, said: (&Header, Option<Tags>)) -> bool {
        self.place(site, said).is_some()
    }

    /// The same; it is so no more.
    pub fn take(&mut self, site: Option<SiteId>, said: (&Header, Option<Tags>)) -> Option<Mac> {
        self.place(site, said).map(|place| self.asked.swap_remove(place).mac)
    }
}

impl Resolution {
    /// A router probes this one, and it is not known where it is: the hub is to say so, and no more.
    pub fn introduce(&mut self, cx: &mut Context<'_>, asker: &Asker<'_>, mac: Mac) {
        let is_known = mac == asker.mac || is_here(cx, mac) || self.knows(mac);
        if is_known || !asker.registered || !self.strangers.has_room(cx.now, mac) {
            return;
        }
        if self.strangers.bucket.take(cx.now).is_err() || self.questions.take(cx.now).is_err() {
            return;
        }
        let mut request = Request::new(cx, asker.hub, ProtocolAddress::Mac(mac));
        request.sent(cx, ASK);
        asker.question(cx, &request, mac);
        self.strangers.asked.push(Stranger { mac, request, asked: cx.now });
    }

    /// The hub answers a question about somebody unknown: a site that it names is known. `false`: it does not.
    pub(super) fn introduced(
        &mut self,
        cx: &mut Context<'_>,
        asker: &mut Asker<'_>,
        from: &Inbound<'_>,
    ) -> bool {
        let Some(mac) = self.strangers.take(from.site, said(&from.message)) else { return false };
        let Some((to, _)) = best(cx, from, mac) else {
            increment(&mut cx.statistics.rx_resolve_reply_nak);
            return true;
        };
        increment(&mut cx.statistics.rx_resolve_reply_ack);
        let site = cx.sites.enter((to.nbma, Some(to.vni)));
        asker.reach.want(cx, &asker.prober, site, false);
        cx.release(site);
        true
    }
}
