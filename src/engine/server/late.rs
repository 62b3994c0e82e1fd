//! Requests that arrive late: an older one overrides no newer one. A client's IDs grow, over its restarts too, "so that
//! there will be no inconsistency in the NHS's database" (RFC 2332 section 5.2.3).
//!
//! Of a requester (underlay and protocol address) the newest ID is kept, with the time it came. A Registration or Purge
//! Request of a lower one is a late copy:
//! * for [`LATE`]: hardly a network keeps a packet for longer, and who forges an ID keeps nobody out for longer. Programs
//!   that keep no number, and start again with a low one, get in then; at once, if they say what is registered already,
//!   which changes nothing.
//! * if it is lower by [`FAR`] at most: nobody uses more of them in that time. So IDs may begin again at 0, too.
//!
//! A late copy is not answered, but for a purge's, which is confirmed in any case.

use super::super::context::Context;
use super::super::exchange::session::{Order, order};
use super::super::exchange::{Inbound, Trust};
use super::super::member::{Member, Newest};
use super::Server;
use super::admission::granted;
use crate::time::Instant;
use crate::types::Nbma;
use crate::wire::nhrp::{ProtocolAddress, flag};
use core::time::Duration;
use std::collections::VecDeque;

const LATE: Duration = Duration::from_secs(5);
const FAR: u32 = 1 << 16;
/// So many are remembered of those that are no clients any more.
const GONE: usize = 256;

impl Newest {
    fn outdates(self, now: Instant, id: u32) -> bool {
        now.since(self.at) < LATE && (1..=FAR).contains(&self.id.wrapping_sub(id))
    }
}

/// Those who left, the last one at the end.
#[derive(Debug, Default)]
pub struct Gone(VecDeque<(Nbma, ProtocolAddress, Newest)>);

impl Gone {
    pub fn left(&mut self, now: Instant, nbma: Nbma, member: &Member) {
        self.note(now, nbma, member.address, member.newest);
    }

    /// It is elsewhere: its last request is a late one, too, if it comes from there once more.
    pub fn moved(&mut self, now: Instant, nbma: Nbma, member: &Member) {
        let newest = member.newest.map(|newest| Newest { id: newest.id.wrapping_add(1), at: now });
        self.note(now, nbma, member.address, newest);
    }

    fn note(&mut self, now: Instant, nbma: Nbma, address: Option<ProtocolAddress>, newest: Option<Newest>) {
        while self.0.len() >= GONE || self.0.front().is_some_and(|(.., newest)| now.since(newest.at) >= LATE)
        {
            self.0.pop_front();
        }
        if let (Some(address), Some(newest)) = (address, newest) {
            self.0.push_back((nbma, address, newest));
        }
    }
}

impl Server {
    /// Whether a request is older than one that its requester, at whichever VNI, was heard with.
    pub(super) fn is_late(&self, cx: &Context<'_>, from: &Inbound<'_>, source: ProtocolAddress) -> bool {
        let (nbma, id) = (from.via.path.remote, from.message.header.request_id);
        if from.trust == Trust::Session {
            let member = from.site.and_then(|site| cx.sites.member(site));
            let last =
                member.filter(|member| member.address == Some(source)).and_then(|member| member.newest);
            return order(last.map(|newest| newest.id), id) == Order::Older;
        }
        let there = cx.sites.members_at(nbma).map(|(_, member)| member);
        let there = there.filter(|member| member.address == Some(source)).filter_map(|member| member.newest);
        let gone = self.gone.0.iter().filter(|(at, address, _)| (*at, *address) == (nbma, source));
        let mut newest = there.chain(gone.map(|(.., newest)| *newest));
        newest.any(|newest| newest.outdates(cx.now, id))
    }

    /// How a registration stands to the last one of its session; without one, to those of the same requester.
    pub(super) fn registration_order(
        &self,
        cx: &Context<'_>,
        from: &Inbound<'_>,
        source: ProtocolAddress,
    ) -> Order {
        let id = from.message.header.request_id;
        match from.trust {
            Trust::Cookie => Order::Newer,
            Trust::Session => {
                let member = from.site.and_then(|site| cx.sites.member(site));
                order(member.and_then(|member| member.newest).map(|newest| newest.id), id)
            }
            // Programs that keep no number say what is registered already.
            Trust::Untagged | Trust::Wrong if !self.is_late(cx, from, source) => Order::Newer,
            Trust::Untagged | Trust::Wrong if self.is_so(cx, from) => Order::Same,
            Trust::Untagged | Trust::Wrong => Order::Older,
        }
    }

    /// How a Purge Request stands to the last one of its session.
    pub(super) fn purge_order(&self, cx: &mut Context<'_>, from: &Inbound<'_>) -> Order {
        let member = from.site.filter(|_| from.trust == Trust::Session);
        let Some(member) = member.and_then(|site| cx.sites.member_mut(site)) else { return Order::Newer };
        let id = from.message.header.request_id;
        let order = order(member.newest_purge, id);
        if order == Order::Newer {
            member.newest_purge = Some(id);
        }
        order
    }

    /// Whether a registration says what is registered, word for word, and whose port is there.
    pub(super) fn is_so(&self, cx: &Context<'_>, from: &Inbound<'_>) -> bool {
        let header = &from.message.header;
        let site = cx.sites.find((from.via.path.remote, header.vni));
        let Some((site, member)) = site.and_then(|site| Some((site, cx.sites.member(site)?))) else {
            return false;
        };
        let Some(newest) = member.newest else { return false };
        let unique = header.flags & flag::REGISTRATION_UNIQUE != 0;
        let own = cx.holding_seconds();
        let is_there = |address, mtu, granted: u16| {
            let until = newest.at + Duration::from_secs(granted.into());
            member.registered(address).is_some_and(|r| (r.unique, r.mtu, r.until) == (unique, mtu, until))
        };
        member.port.as_ref().is_none_or(|port| port.is_up && !self.replies.contains_key(&site))
            && from.message.cies().all(|cie| {
                let address = cie.address.or(header.source);
                address.is_some_and(|address| is_there(address, cie.mtu, granted(own, &cie)))
            })
    }
}
