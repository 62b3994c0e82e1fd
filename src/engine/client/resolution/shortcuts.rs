//! Where the frames for a remote MAC go: by a shortcut as long as an answer holds, else by the hub.

use super::{Asker, Entry, Phase, Resolution, Shortcut, due};
use crate::engine::context::Context;
use crate::engine::contract::effect::{Act, Event};
use crate::engine::contract::input::Place;
use crate::engine::contract::item::{Item, Wanted};
use crate::engine::contract::reason::{Refusal, Why};
use crate::engine::contract::settings::Trigger;
use crate::engine::contract::statistics::increment;
use crate::engine::sites::SiteId;
use crate::time::Instant;
use crate::types::{Mac, Vtep};
use crate::wire::nhrp::{ProtocolAddress, code};
use core::time::Duration;

impl Resolution {
    pub(super) fn resolved(
        &mut self,
        cx: &mut Context<'_>,
        asker: &mut Asker<'_>,
        mac: Mac,
        at: Vtep,
        holding: u16,
    ) {
        let is_placed = self.entries.get(&mac).is_some_and(Entry::is_placed);
        let time = Duration::from_secs(holding.into()).min(cx.holding_time);
        cx.tell(Event::Resolved { mac, at, holding });
        let site = cx.sites.enter((at.nbma, Some(at.vni)));
        if !is_placed && !self.makes_room(cx, asker, site) {
            cx.release(site);
            if !self.stays_by_hub(cx, asker, mac) {
                self.forget(cx, asker.settings.trigger, mac, Why::Crowded);
            }
            return;
        }
        let Some(entry) = self.entries.get_mut(&mac) else { return };
        self.placed += usize::from(!is_placed);
        hold(cx, asker, mac, site, cx.now + time);
        entry.shortcut = Some(Shortcut { relay: false, checked: cx.now });
        entry.phase = Phase::Holding;
        entry.is_old = false;
        // Two thirds of the holding time, give or take, so that what was learned together is not renewed together.
        let look = cx.now + time * 11 / 15 - cx.random.around(time / 15);
        cx.arm(&mut entry.alarm, look, due(mac));
    }

    /// The hub has no answer; `None`: it was silent.
    pub(super) fn unknown(
        &mut self,
        cx: &mut Context<'_>,
        asker: &mut Asker<'_>,
        mac: Mac,
        reason: Option<Refusal>,
    ) {
        let is_no_binding = reason == Some(Refusal::Nak(code::NO_BINDING));
        if is_no_binding && asker.is_young && self.entries.get(&mac).is_some_and(Entry::is_unsure) {
            // Who is there may not be back at the hub yet: it is asked on, as if it had not answered.
            return;
        }
        cx.tell(Event::NotResolved { mac, reason });
        let silent = reason.is_none();
        let Some(entry) = self.entries.get_mut(&mac) else { return };
        entry.is_old = false;
        let until = entry.shortcut.filter(|s| !s.relay).map(|_| until(cx, mac));
        // A silent hub is no reason to doubt what it said before.
        if until.is_some_and(|until| silent && until > cx.now) {
            entry.end(cx, mac);
            return;
        }
        self.retreat(cx, asker, mac, Why::Denied);
        if is_no_binding {
            // It may have been plugged in here, and say nothing: frames for it that come from the hub are flooded.
            cx.act(Act::Unlearn(mac, Place::Tunnel));
        }
        if self.stays_by_hub(cx, asker, mac) {
            return;
        }
        if self.denied.len() > 2 * self.entries.len() {
            let entries = &self.entries;
            self.denied.retain(|mac| entries.get(mac).is_some_and(|e| e.phase == Phase::Negative));
        }
        self.denied.push_back(mac);
        let Some(entry) = self.entries.get_mut(&mac) else { return };
        entry.phase = Phase::Negative;
        cx.arm(&mut entry.alarm, cx.now + asker.settings.negative_time, due(mac));
    }

    /// With trigger `l2miss` a MAC stays pointed at the hub while it is used, and is asked for again. Whether it is.
    pub(super) fn stays_by_hub(&mut self, cx: &mut Context<'_>, asker: &Asker<'_>, mac: Mac) -> bool {
        let (Some(entry), Some(site)) = (self.entries.get_mut(&mac), cx.book.site_of(mac)) else {
            return false;
        };
        let Some(relay) = &mut entry.shortcut else { return false };
        let time = asker.settings.negative_time;
        *relay = Shortcut { checked: cx.now, ..*relay };
        cx.book.hold(cx.now, ProtocolAddress::Mac(mac), site, cx.now + time * 3 / 2);
        entry.phase = Phase::Holding;
        cx.arm(&mut entry.alarm, cx.now + time, due(mac));
        true
    }

    /// Sends the MAC's frames by the hub again.
    pub(super) fn retreat(&mut self, cx: &mut Context<'_>, asker: &mut Asker<'_>, mac: Mac, why: Why) {
        let Some(entry) = self.entries.get_mut(&mac) else { return };
        match (asker.settings.trigger, asker.uplink) {
            (Trigger::L2miss, Some(_)) => self.relay(cx, asker, mac),
            _ => {
                if let Some(shortcut) = entry.shortcut.take() {
                    self.placed -= usize::from(!shortcut.relay);
                    drop_shortcut(cx, mac, why);
                }
            }
        }
    }

    /// Points the MAC at the hub by an entry of its own: with trigger `l2miss` there is no default entry.
    pub(super) fn relay(&mut self, cx: &mut Context<'_>, asker: &mut Asker<'_>, mac: Mac) {
        let (Some(entry), Some(uplink)) = (self.entries.get_mut(&mac), asker.uplink) else { return };
        let until = cx.now + cx.holding_time;
        self.placed -= usize::from(entry.is_placed());
        hold(cx, asker, mac, uplink, until);
        entry.shortcut = Some(Shortcut { relay: true, checked: cx.now });
    }
}

/// When what is held of a MAC ends.
pub(super) fn until(cx: &Context<'_>, mac: Mac) -> Instant {
    cx.book.get(ProtocolAddress::Mac(mac)).map_or(cx.now, |entry| entry.until())
}

/// The MAC is at a site, as far as this node knows, and its frames go there.
fn hold(cx: &mut Context<'_>, asker: &mut Asker<'_>, mac: Mac, site: SiteId, until: Instant) {
    let before = cx.book.site_of(mac);
    let is_first = cx.book.next_behind(site, None).is_none();
    cx.book.hold(cx.now, ProtocolAddress::Mac(mac), site, until);
    if let Some(before) = before.filter(|before| *before != site) {
        cx.release(before);
    }
    if Some(site) != asker.uplink {
        if is_first {
            // It may have been started anew since something was there, and not know who sends.
            asker.reach.doubt(cx, &asker.prober, site);
        }
        asker.reach.want(cx, &asker.prober, site, false);
    }
    settle(cx, asker, mac, site);
}

/// Frames for a MAC go to its site if they get there, and else by the hub.
pub(super) fn settle(cx: &mut Context<'_>, asker: &Asker<'_>, mac: Mac, site: SiteId) {
    let by_hub = asker.uplink.filter(|_| asker.settings.trigger == Trigger::L2miss);
    let leads = Some(site) == asker.uplink || asker.reach.leads(site);
    let to = if leads { Some(site) } else { by_hub }.and_then(|site| cx.sites.vtep(site));
    if !cx.want(Item::Shortcut(mac), to.map(Wanted::To)) {
        return;
    }
    match to {
        Some(to) => {
            cx.tell(Event::ShortcutUp { mac, to });
            increment(&mut cx.statistics.shortcuts_up);
        }
        None => {
            cx.tell(Event::ShortcutDown { mac, why: Why::NoPath });
            increment(&mut cx.statistics.shortcuts_down);
        }
    }
}

pub(super) fn drop_shortcut(cx: &mut Context<'_>, mac: Mac, why: Why) {
    if let Some(site) = cx.book.forget(cx.now, ProtocolAddress::Mac(mac)) {
        cx.release(site);
    }
    if cx.want(Item::Shortcut(mac), None) {
        cx.tell(Event::ShortcutDown { mac, why });
        increment(&mut cx.statistics.shortcuts_down);
    }
}
