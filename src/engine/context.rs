//! What every part of the engine needs while it works on one input.

use super::book::Book;
use super::contract::effect::{Act, Effect, Effects, Event};
use super::contract::item::{Item, Wanted};
use super::contract::report::Oddity;
use super::contract::settings::{Advertised, HubKey, VnKey};
use super::contract::statistics::Statistics;
use super::exchange::key::Keys;
use super::exchange::session::Sessions;
use super::limits::TokenBucket;
use super::odd::Oddities;
use super::plane::Plane;
use super::random::Random;
use super::reach::Budget;
use super::request_id::RequestIds;
use super::secret::Nonces;
use super::sites::{SiteId, Sites};
use super::timers::{Alarm, Timers};
use super::uplinks::Uplinks;
use crate::time::Instant;
use crate::types::{Mac, Nbma, VpnId};
use core::time::Duration;

/// Whom a deadline belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    pub vn: VnKey,
    pub due: Due,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    Client(ClientDue),
    Server(ServerDue),
}

/// What is due at a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientDue {
    /// The next step of the registration with this hub.
    Registration(HubKey),
    /// Which hub to be at.
    Choice,
    /// Questions that the rate limit put off.
    Questions,
    /// Remote MACs that a new session is to ask for again.
    Again,
    /// Local MACs that are to be announced.
    Announcements,
    /// MACs that left with their port.
    Departures,
    /// A MAC's next step.
    Mac(Mac),
    /// A path's next step.
    Path(SiteId),
    /// MACs that moved too often.
    Restless,
    /// The next loop frame.
    Loops,
    /// MACs here, and elsewhere, that there was no room for.
    RefusedLocal,
    RefusedRemote,
}

/// What is due at a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerDue {
    /// A registration ends.
    Site(SiteId),
    /// A purge is not confirmed.
    Purge(SiteId),
    /// Somebody was asked whether it is still there.
    Claims,
    /// What a site left behind.
    TakeBack,
    /// Answers that nobody holds any more.
    Sweep,
    /// MACs that moved too often.
    Restless,
    /// The next loop frame.
    Loops,
    /// What there was no room for.
    Refused,
    /// What an operator wants forgotten.
    Flush,
    /// Who was forgotten has not confirmed that it knows.
    Farewells,
    /// Keys are still not required.
    Reminder,
    /// MACs that other hubs are to be told of.
    Directory,
    /// What another hub was asked.
    Questions,
    /// Spokes that another hub is told of.
    Handovers,
    /// The next step of the path to another hub.
    Path(SiteId),
}

/// The engine's common things and those of one VN, borrowed for one input.
pub struct Context<'a> {
    pub now: Instant,
    pub out: &'a mut Effects,
    pub ids: &'a mut RequestIds,
    pub random: &'a mut Random,
    pub timers: &'a mut Timers<Timer>,
    pub sessions: &'a mut Sessions,
    /// Of probes.
    pub nonces: &'a mut Nonces,
    /// How many probes may be sent.
    pub probes: &'a mut Budget,
    /// Whether the daemon was started less than a minute ago.
    pub is_young: bool,
    /// Error Indications to those that are in no session.
    pub complaints: &'a mut TokenBucket,
    pub uplinks: &'a mut Uplinks,
    pub advertised: Advertised,
    pub oddities: &'a mut Oddities,
    /// This node's holding time.
    pub holding_time: Duration,
    pub vn: VnKey,
    pub vpn_id: VpnId,
    pub mtu: u16,
    /// What is signed in the VN, and by whom.
    pub keys: &'a Keys,
    /// The value of the extension that packets of the IP protocols have to have.
    pub authentication: Option<&'a [u8]>,
    pub sites: &'a mut Sites,
    pub book: &'a mut Book,
    pub plane: &'a mut Plane,
    pub statistics: &'a mut Statistics,
}

/// What a VN's halves read when they report.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub now: Instant,
    pub sites: &'a Sites,
    pub book: &'a Book,
    pub plane: &'a Plane,
    pub keys: &'a Keys,
}

impl Context<'_> {
    /// Wants an item to be like this, or not to be. Whether that is new.
    pub fn want(&mut self, item: Item, wanted: Option<Wanted>) -> bool {
        self.plane.set(self.out, item, wanted)
    }

    /// Has something done.
    pub fn act(&mut self, act: Act) {
        self.out.push(Effect::Do { vn: self.vn, act });
    }

    /// Tells the log and whoever monitors.
    pub fn tell(&mut self, event: Event) {
        self.out.push(Effect::Tell { vn: self.vn, event });
    }

    /// A packet of `peer` makes no sense: the log is told, if it was not lately.
    pub fn odd(&mut self, peer: Nbma, oddity: Oddity) {
        self.odd_of(peer, oddity, self.sites.is_at(peer));
    }

    /// The same; whether `peer` is somebody whom this node has to do with, or can only say so, is known already.
    pub fn odd_of(&mut self, peer: Nbma, oddity: Oddity, is_known: bool) {
        if self.oddities.note(self.now, peer, oddity, is_known) {
            self.out.push(Effect::Odd { peer, oddity, is_known });
        }
    }

    /// `peer` reports an error, which is told if it was not lately.
    pub fn reports(&mut self, peer: Nbma, code: u16) {
        if self.oddities.note(self.now, peer, Oddity::Reports(code), true) {
            self.tell(Event::PeerError { peer, code });
        }
    }

    /// Sets an alarm.
    pub fn arm(&mut self, alarm: &mut Alarm, at: Instant, due: Due) {
        self.timers.set(alarm, at, Timer { vn: self.vn, due });
    }

    /// Seconds from now until `until`, as a CIE's holding time says them: the time left (RFC 2332 section 5.2.2).
    pub fn seconds_left(&self, until: Instant) -> u16 {
        u16::try_from(until.since(self.now).as_millis().div_ceil(1000)).unwrap_or(u16::MAX)
    }

    /// This node's holding time in seconds.
    pub fn holding_seconds(&self) -> u16 {
        u16::try_from(self.holding_time.as_secs()).unwrap_or(u16::MAX)
    }

    /// This node's address `local` as it names it to others.
    pub fn name_of(&self, local: Nbma) -> Nbma {
        self.advertised.name_of(local)
    }

    /// Forgets a site that nothing names any more.
    pub fn release(&mut self, site: SiteId) {
        if self.sites.is_loose(site) && self.book.next_behind(site, None).is_none() {
            self.sites.remove(site);
        }
    }
}

/// Whole seconds from now until `until`, for reports.
pub fn seconds(until: Instant, now: Instant) -> u32 {
    u32::try_from(until.since(now).as_secs()).unwrap_or(u32::MAX)
}
