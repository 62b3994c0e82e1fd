//! The directory is the bridge's FDB: a hub lets each other hub's bridge hear of every MAC of its spokes and of itself, once
//! it is learned and again before a bridge forgets it. The frame is for the other hub alone: no spoke hears, and asks.

use super::super::super::context::{Context, Due, ServerDue};
use super::super::super::contract::effect::Act;
use super::super::super::limits::{DIRECTORY, TokenBucket};
use super::super::super::sites::SiteId;
use super::super::super::timers::Alarm;
use super::super::{SOON, STEP, Server, mac};
use crate::types::Mac;
use crate::wire::nhrp::ProtocolAddress;
use core::time::Duration;

/// Two announcements fit the ageing time of a bridge, should one be lost.
const AGAIN: Duration = Duration::from_secs(120);

/// Some at a time, as the limit allows.
const APART: Duration = Duration::from_millis(100);

/// What of them is announced. The addresses themselves stand in the book.
#[derive(Debug)]
pub struct Directory {
    bucket: TokenBucket,
    alarm: Alarm,
    /// How far the present round got, and whether another one follows at once: it may have passed by what is new.
    reached: Option<ProtocolAddress>,
    is_behind: bool,
}

impl Default for Directory {
    fn default() -> Directory {
        Directory {
            bucket: TokenBucket::new(DIRECTORY),
            alarm: Alarm::default(),
            reached: None,
            is_behind: false,
        }
    }
}

impl Server {
    /// A MAC is at this hub, or behind one of its spokes.
    pub(in super::super) fn announce(&mut self, cx: &mut Context<'_>, mac: Mac) {
        if self.mesh.hubs.is_empty() {
            return;
        }
        match self.mesh.directory.bucket.take(cx.now) {
            Ok(()) => self.announce_to_all(cx, mac),
            // Above the limit it waits for a round, which begins as soon as can be.
            Err(_) if self.mesh.directory.is_behind => {}
            Err(wait) => {
                self.mesh.directory.is_behind = true;
                if self.mesh.directory.reached.is_none() {
                    let at = cx.now + wait.max(APART);
                    cx.arm(&mut self.mesh.directory.alarm, at, Due::Server(ServerDue::Directory));
                }
            }
        }
    }

    /// Announces all of them, now that one more hub listens, and sees to the next time.
    pub(in super::super) fn announce_all(&mut self, cx: &mut Context<'_>) {
        self.mesh.directory.reached = None;
        self.go_on_announcing(cx);
    }

    /// Goes on where the limit stopped the round; with a new one after the last.
    pub(in super::super) fn go_on_announcing(&mut self, cx: &mut Context<'_>) {
        let due = Due::Server(ServerDue::Directory);
        if self.mesh.hubs.is_empty() {
            return self.end_directory(cx);
        }
        if let Some(own) = cx.sites.mac.filter(|_| self.mesh.directory.reached.is_none()) {
            self.announce_to_all(cx, own);
        }
        if self.mesh.directory.reached.is_none() {
            self.mesh.directory.is_behind = false;
        }
        let mut left = STEP;
        while let Some((address, site)) = self.next_address(cx) {
            if left == 0 {
                return cx.arm(&mut self.mesh.directory.alarm, cx.now + SOON, due);
            }
            left -= 1;
            if let Some(mac) = site.and_then(|site| mac(address).filter(|_| !Server::is_hub(cx, site))) {
                if let Err(wait) = self.mesh.directory.bucket.take(cx.now) {
                    return cx.arm(&mut self.mesh.directory.alarm, cx.now + wait.max(APART), due);
                }
                self.announce_to_all(cx, mac);
            }
            self.mesh.directory.reached = Some(address);
        }
        self.mesh.directory.reached = None;
        let next = if self.mesh.directory.is_behind { APART } else { AGAIN };
        cx.arm(&mut self.mesh.directory.alarm, cx.now + next, due);
    }

    pub(super) fn end_directory(&mut self, cx: &mut Context<'_>) {
        self.mesh.directory.reached = None;
        cx.timers.clear(&mut self.mesh.directory.alarm);
    }

    fn next_address(&self, cx: &Context<'_>) -> Option<(ProtocolAddress, Option<SiteId>)> {
        let (address, entry) = cx.book.after(self.mesh.directory.reached).next()?;
        Some((address, entry.site().filter(|_| entry.is_learned() || entry.registered().is_some())))
    }

    fn announce_to_all(&self, cx: &mut Context<'_>, mac: Mac) {
        for site in &self.mesh.hubs {
            if let Some((at, hub)) = Server::hub_port(cx, *site) {
                cx.act(Act::AnnounceTo { mac, hub, at });
            }
        }
    }
}
