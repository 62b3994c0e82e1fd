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

/// Within this another hub has its port for this one, and has opened it.
const READY: Duration = Duration::from_secs(1);

/// How long a round waits where the limit stops it: what is allowed by then goes in one.
const APART: Duration = Duration::from_millis(100);

/// What of them is announced. The addresses themselves stand in the book.
#[derive(Debug)]
pub struct Directory {
    /// Of those that are new, and of rounds.
    bucket: TokenBucket,
    round: TokenBucket,
    alarm: Alarm,
    /// How far the present round got.
    reached: Option<ProtocolAddress>,
    /// Something is new that the limit kept back, or another hub listens: the next round follows soon, since this one may
    /// have passed it by.
    is_behind: bool,
}

impl Default for Directory {
    fn default() -> Directory {
        Directory {
            bucket: TokenBucket::new(DIRECTORY),
            round: TokenBucket::new(DIRECTORY),
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
        self.is_not_gone(ProtocolAddress::Mac(mac));
        let directory = &mut self.mesh.directory;
        if directory.bucket.take(cx.now).is_ok() {
            return self.announce_to_all(cx, mac);
        }
        let is_behind = core::mem::replace(&mut directory.is_behind, true);
        if !is_behind && directory.reached.is_none() {
            cx.arm(&mut directory.alarm, cx.now + APART, Due::Server(ServerDue::Directory));
        }
    }

    /// Has all of them announced, now that one more hub listens, or is about to.
    pub(in super::super) fn announce_all(&mut self, cx: &mut Context<'_>) {
        let directory = &mut self.mesh.directory;
        if directory.reached.is_some() {
            directory.is_behind = true;
        } else {
            cx.arm(&mut directory.alarm, cx.now + READY, Due::Server(ServerDue::Directory));
        }
    }

    /// Goes on where the limit stopped the round; with a new one after the last.
    pub(in super::super) fn go_on_announcing(&mut self, cx: &mut Context<'_>) {
        let due = Due::Server(ServerDue::Directory);
        if self.mesh.hubs.is_empty() {
            return self.end_directory(cx);
        }
        if self.mesh.directory.reached.is_none() {
            self.mesh.directory.is_behind = false;
            cx.sites.mac.into_iter().for_each(|own| self.announce_to_all(cx, own));
        }
        let mut left = STEP;
        while let Some((address, site)) = self.next_address(cx) {
            if left == 0 {
                return cx.arm(&mut self.mesh.directory.alarm, cx.now + SOON, due);
            }
            left -= 1;
            if let Some(mac) = site.and_then(|site| mac(address).filter(|_| self.is_own(cx, site))) {
                if let Err(wait) = self.mesh.directory.round.take(cx.now) {
                    return cx.arm(&mut self.mesh.directory.alarm, cx.now + wait.max(APART), due);
                }
                self.announce_to_all(cx, mac);
            }
            self.mesh.directory.reached = Some(address);
        }
        self.mesh.directory.reached = None;
        let next = if self.mesh.directory.is_behind { READY } else { AGAIN };
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

    /// Whether what is at a site is this hub's to announce: not what is behind another hub, nor a spoke that one has by now.
    pub(in super::super) fn is_own(&self, cx: &Context<'_>, site: SiteId) -> bool {
        let is_spoke = cx.sites.member(site).is_some_and(|member| !member.is_hub);
        site == SiteId::HERE || is_spoke && !self.is_given_up(cx, site)
    }

    fn announce_to_all(&self, cx: &mut Context<'_>, mac: Mac) {
        for site in &self.mesh.hubs {
            if let Some((at, hub)) = Server::hub_port(cx, *site) {
                cx.act(Act::AnnounceTo { mac, hub, at });
            }
        }
    }
}
