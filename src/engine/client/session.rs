//! A client's session with its hub: who cannot receive at the hub's address says nothing in its name.

use super::super::context::Context;
use super::super::exchange::session::{Order, order};
use super::super::sites::SiteId;
use crate::time::Instant;
use crate::types::Nbma;
use crate::wire::nhrp::Tags;
use core::time::Duration;

/// A hub that does not know the session is asked once in so long, whoever says so: anybody can.
const HINTS_APART: Duration = Duration::from_secs(1);

/// The session, or the wish for one.
#[derive(Debug)]
pub struct Session {
    is_wanted: bool,
    /// The address of the hub that it is with.
    with: Option<Nbma>,
    /// Of this client, drawn anew for each address of a hub and start; and of the hub, 0 until it gave one.
    tags: Option<Tags>,
    /// The hub's tag that it accepted a registration with.
    accepted: u64,
    /// How often the hub wanted another tag since then.
    challenges: u32,
    newest_purge: Option<u32>,
    /// When the hub was asked, or is to be, since somebody said so.
    hinted: Option<Instant>,
}

impl Session {
    pub fn new(is_wanted: bool) -> Session {
        Session {
            is_wanted,
            with: None,
            tags: None,
            accepted: 0,
            challenges: 0,
            newest_purge: None,
            hinted: None,
        }
    }

    /// Whether requests are in one, be it begun or not.
    pub fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// Whether the hub has yet to give its tag.
    pub fn is_unknown(&self) -> bool {
        self.is_wanted && self.tags.is_none_or(|tags| tags.receiver == 0)
    }

    /// Requests to the hub are in it from now on. Nobody at another address is told the tags.
    pub fn tag(&mut self, cx: &mut Context<'_>, hub: SiteId) {
        let with = cx.sites.get(hub).map(|site| site.nbma);
        if self.with != with {
            self.end();
            self.with = with;
        }
        if self.is_wanted && self.tags.is_none() {
            self.tags = Some(Tags { sender: cx.sessions.draw(), receiver: 0 });
        }
        if let Some(site) = cx.sites.get_mut(hub) {
            site.tags = self.tags;
        }
    }

    /// It is begun or gone on with from somewhere else, or as somebody else: the hub may want another tag for that.
    pub fn go_on(&mut self) {
        self.challenges = 0;
    }

    /// The hub is to give another tag. Nothing that it says is in the session until it did.
    pub fn renew(&mut self) {
        if let Some(tags) = &mut self.tags {
            tags.receiver = 0;
        }
        (self.accepted, self.challenges) = (0, 0);
    }

    /// What is said next is in this one, which was left.
    pub fn resume(&mut self, tags: Tags) {
        self.tags = Some(tags);
    }

    /// What is registered next is so in another one.
    pub fn end(&mut self) {
        *self = Session { hinted: self.hinted, ..Session::new(self.is_wanted) };
    }

    /// The hub wants another tag, for what was sent with these. Whether that is news, and how often it was so.
    pub fn challenged(&mut self, sent: Option<Tags>, cookie: u64) -> Option<u32> {
        let tags = self.tags.as_mut().filter(|tags| sent == Some(**tags))?;
        tags.receiver = cookie;
        self.newest_purge = None;
        self.challenges += 1;
        Some(self.challenges)
    }

    /// The hub accepted a registration. Whether it is the first one of a session.
    pub fn accepted(&mut self) -> bool {
        self.challenges = 0;
        let hub = self.tags.map_or(0, |tags| tags.receiver);
        core::mem::replace(&mut self.accepted, hub) != hub
    }

    /// How a Purge Request of the hub stands to the last one.
    pub fn order(&mut self, id: u32) -> Order {
        if self.tags.is_none() {
            return Order::Newer;
        }
        let order = order(self.newest_purge, id);
        if order == Order::Newer {
            self.newest_purge = Some(id);
        }
        order
    }

    /// Somebody at the hub's address does not know the session. When the hub is to be asked, if that is not settled.
    pub fn hinted(&mut self, now: Instant, after: Duration) -> Option<Instant> {
        let at = self.hinted.map_or(now, |last| (last + HINTS_APART).max(now)) + after;
        if self.hinted.is_some_and(|settled| settled > now) {
            return None;
        }
        self.hinted = Some(at);
        self.hinted
    }
}
