//! A request under way: what it is about, whom it went to, how often. Registration, withdrawal, resolution and purge
//! stand on it.

use super::super::context::Context;
use super::super::contract::statistics::increment;
use super::super::sites::SiteId;
use super::session::same;
use crate::time::Instant;
use crate::wire::nhrp::{Header, Message, ProtocolAddress, Tags};
use core::time::Duration;

/// How long to wait for an answer: at first, doubled with each try, and at most.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    pub first: Duration,
    pub most: Duration,
}

impl Backoff {
    /// The wait after so many tries, give or take.
    pub fn after(self, cx: &mut Context<'_>, tries: u32) -> Duration {
        cx.random.around((self.first * (1 << tries.saturating_sub(1).min(6))).min(self.most))
    }
}

/// A request that is not answered yet. It keeps its ID for as long (RFC 2332 section 5.2.0.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    id: u32,
    to: SiteId,
    about: ProtocolAddress,
    tries: u32,
    /// Which session it said that it is in.
    tags: Option<Tags>,
}

impl Request {
    /// A new request to a site about an address.
    pub fn new(cx: &mut Context<'_>, to: SiteId, about: ProtocolAddress) -> Request {
        Request { id: cx.ids.take(cx.out), to, about, tries: 0, tags: None }
    }

    /// Another one in its place, about that address: it was tried as often.
    pub fn replaced(self, cx: &mut Context<'_>, about: ProtocolAddress) -> Request {
        Request { id: cx.ids.take(cx.out), about, ..self }
    }

    /// Its Request ID.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Whom it is for.
    pub fn to(&self) -> SiteId {
        self.to
    }

    /// How often it was sent since it began, or since [`Request::hurry`].
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// Whether a reply from `site`, or an error that it has, about this address, is about this request: it has its ID and
    /// its tags.
    pub fn is_answered(
        &self,
        site: Option<SiteId>,
        reply: &Message<'_>,
        about: Option<ProtocolAddress>,
    ) -> bool {
        // Who is told that it is in no session may answer like others that never are.
        self.is_about(site, (&reply.header, reply.tags()), about)
    }

    /// The same for what an error quotes.
    pub fn is_about(
        &self,
        site: Option<SiteId>,
        (header, tags): (&Header, Option<Tags>),
        about: Option<ProtocolAddress>,
    ) -> bool {
        let has_tags = |ours| ours == Tags::default() || tags.is_some_and(|tags| same(tags, ours));
        self.id == header.request_id
            && site == Some(self.to)
            && about == Some(self.about)
            && self.tags.is_none_or(has_tags)
    }

    /// It is sent now. When to send it again.
    pub fn sent(&mut self, cx: &mut Context<'_>, backoff: Backoff) -> Instant {
        if self.tries > 0 {
            increment(&mut cx.statistics.retransmits);
        }
        self.tries += 1;
        self.tags = cx.sites.tags(self.to);
        cx.now + backoff.after(cx, self.tries)
    }

    /// What was in the way is gone: waits are short again.
    pub fn hurry(&mut self) {
        self.tries = 0;
    }
}
