//! Which remote MACs have a place in a client's table, and which of them give way to others.

use super::{Asker, Entry, Phase, Resolution};
use crate::engine::context::{ClientDue, Context, Due};
use crate::engine::contract::reason::Why;
use crate::engine::contract::settings::Trigger;
use crate::engine::sites::SiteId;
use crate::engine::timers::Alarm;
use crate::types::Mac;
use crate::wire::nhrp::ProtocolAddress;

/// Of `max_macs` one in so many is for those of whom it is not known yet where they are: once it is, it is known who has to
/// make room.
const NEWCOMERS: usize = 8;

impl Resolution {
    /// Makes an entry if there is room for it.
    pub(super) fn insert(&mut self, cx: &mut Context<'_>, asker: &Asker<'_>, mac: Mac) -> bool {
        let room = self.has_place(cx, asker);
        if room {
            let entry = Entry { phase: Phase::New, shortcut: None, is_old: false, alarm: Alarm::default() };
            self.entries.insert(mac, entry);
        }
        room
    }

    /// Whether there is room for an entry, be it in place of one that the hub does not know.
    fn has_place(&mut self, cx: &mut Context<'_>, asker: &Asker<'_>) -> bool {
        let max = asker.settings.max_macs as usize;
        if self.entries.len() >= max {
            if let Some(denied) = self.next_denied() {
                self.room.refused(cx, Due::Client(ClientDue::RefusedRemote));
                self.forget(cx, asker.settings.trigger, denied, Why::Crowded);
            }
        }
        self.entries.len() < max
    }

    fn next_denied(&mut self) -> Option<Mac> {
        let is_denied = |mac: &Mac| self.entries.get(mac).is_some_and(|e| e.phase == Phase::Negative);
        core::iter::from_fn(|| self.denied.pop_front()).find(is_denied)
    }

    /// There was no place for a MAC. It gets the next one, unless too many want it. Those that are missed are told again.
    pub(super) fn wait(&mut self, cx: &mut Context<'_>, asker: &Asker<'_>, mac: Mac) {
        self.room.refused(cx, Due::Client(ClientDue::RefusedRemote));
        if asker.settings.trigger == Trigger::Learn {
            if self.waiting.len() >= asker.settings.max_macs as usize {
                self.waiting.pop_front();
            }
            self.waiting.push_back(mac);
        }
    }

    /// Those that wait get the places that are free, or of those that the hub does not know.
    pub fn admit(&mut self, cx: &mut Context<'_>, asker: &mut Asker<'_>) {
        while !self.waiting.is_empty() && self.has_place(cx, asker) {
            if let Some(mac) = self.waiting.pop_front() {
                self.heard(cx, asker, mac);
            }
        }
    }

    /// Whether there is room for a shortcut to a site: for one more, or in place of one to a site that has more of them, or
    /// in place of an unused one to the same.
    pub(super) fn makes_room(&mut self, cx: &mut Context<'_>, asker: &Asker<'_>, site: SiteId) -> bool {
        if self.placed < most_placed(asker.settings.max_macs) {
            return true;
        }
        self.room.refused(cx, Due::Client(ClientDue::RefusedRemote));
        let mac = |address: Option<ProtocolAddress>| match address {
            Some(ProtocolAddress::Mac(mac)) => Some(mac),
            _ => None,
        };
        let is_unused = |mac: &Mac| self.entries.get(mac).is_some_and(|e| e.phase == Phase::Ending);
        let least = mac(cx.book.gives_way(site, SiteId::HERE));
        let least = least.or_else(|| mac(cx.book.least_used(site)).filter(is_unused));
        let least = least.filter(|mac| self.entries.get(mac).is_some_and(Entry::is_placed));
        least.into_iter().for_each(|mac| self.forget(cx, asker.settings.trigger, mac, Why::Crowded));
        least.is_some()
    }

    /// Looks whether there is room for MACs that were turned away.
    pub fn look_for_room(&mut self, cx: &mut Context<'_>, max_macs: u32) {
        let room = self.entries.len() < max_macs as usize && self.placed < most_placed(max_macs);
        self.room.due(cx, room, Due::Client(ClientDue::RefusedRemote));
    }
}

/// How many of the MACs may have a shortcut.
fn most_placed(max_macs: u32) -> usize {
    let max = max_macs as usize;
    max - max / NEWCOMERS
}
