//! The MACs at a client's own site, announced to the hub's bridge.
//!
//! Frames that take a shortcut pass the hub by. A station that only ever answers others directly would be unknown
//! there: nobody could resolve it, frames for it would be flooded, and its move would go unseen. So the client lets the
//! hub hear of each local MAC once it is learned, and again before a bridge forgets it (300 s by default).

use super::super::context::{ClientDue, Context, Due};
use super::super::contract::effect::Act;
use super::super::limits::{ANNOUNCEMENTS, ROUND, TokenBucket};
use super::super::room::Room;
use super::super::sites::SiteId;
use super::super::timers::Alarm;
use crate::types::Mac;
use crate::wire::nhrp::ProtocolAddress;
use core::time::Duration;

/// Two announcements fit the ageing time of a bridge, should one be lost.
const AGAIN: Duration = Duration::from_secs(120);

/// Some at a time, as the limit allows.
const APART: Duration = Duration::from_millis(50);

/// What of them is announced. The addresses themselves stand in the book.
#[derive(Debug)]
pub struct Locals {
    /// Of those that are new, and of rounds.
    bucket: TokenBucket,
    round: TokenBucket,
    alarm: Alarm,
    /// How far the present round got.
    reached: Option<ProtocolAddress>,
    room: Room,
}

impl Default for Locals {
    fn default() -> Locals {
        Locals {
            bucket: TokenBucket::new(ANNOUNCEMENTS),
            round: TokenBucket::new(ROUND),
            alarm: Alarm::default(),
            reached: None,
            room: Room::default(),
        }
    }
}

impl Locals {
    /// The bridge learned a MAC at a local port. `hub` is the hub's MAC, while registered.
    pub fn learned(&mut self, cx: &mut Context<'_>, mac: Mac, hub: Option<Mac>) {
        // Above the limit it waits for the next round.
        if let (Some(hub), Ok(())) = (hub, self.bucket.take(cx.now)) {
            cx.act(Act::Announce { mac, hub });
        }
    }

    /// There was no room for a MAC here.
    pub fn refused(&mut self, cx: &mut Context<'_>) {
        self.room.refused(cx, Due::Client(ClientDue::RefusedLocal));
    }

    /// Looks whether there is room now.
    pub fn look_for_room(&mut self, cx: &mut Context<'_>, max_macs: u32) {
        let room = cx.book.here() < max_macs as usize;
        self.room.due(cx, room, Due::Client(ClientDue::RefusedLocal));
    }

    /// Announces all of them, now that the hub listens, and sees to the next time.
    pub fn announce(&mut self, cx: &mut Context<'_>, hub: Option<Mac>) {
        self.reached = None;
        self.go_on(cx, hub);
    }

    /// Goes on where the limit stopped the round; with a new one after the last.
    pub fn go_on(&mut self, cx: &mut Context<'_>, hub: Option<Mac>) {
        let due = Due::Client(ClientDue::Announcements);
        while let (Some(hub), Some(next)) = (hub, cx.book.next_behind(SiteId::HERE, self.reached)) {
            if let Err(wait) = self.round.take(cx.now) {
                cx.arm(&mut self.alarm, cx.now + wait.max(APART), due);
                return;
            }
            if let ProtocolAddress::Mac(mac) = next {
                cx.act(Act::Announce { mac, hub });
            }
            self.reached = Some(next);
        }
        self.reached = None;
        cx.arm(&mut self.alarm, cx.now + AGAIN, due);
    }

    /// The client ends, or its devices are gone.
    pub fn end(&mut self, cx: &mut Context<'_>) {
        self.reached = None;
        cx.timers.clear(&mut self.alarm);
        self.room.end(cx);
    }
}
