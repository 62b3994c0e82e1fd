//! A hub answers the probes of its spokes, and of other hubs, and says whether it knows them.

use super::super::context::Context;
use super::super::contract::effect::Effect;
use super::super::contract::item::Passing;
use super::super::contract::probe::{Arrived, By, Probing};
use super::super::contract::statistics::increment;
use super::super::exchange::session::same_tag;
use super::Server;
use crate::time::Instant;
use crate::types::Vtep;
use crate::wire::probe::{Probe, flag};

impl Server {
    /// An operator has it send its spokes away, or not any more: it says so when they ask whether it is there.
    pub fn drain(&mut self, is_on: bool) {
        self.is_draining = is_on;
    }

    /// Why its spokes are to go to another hub, if they are.
    pub(super) fn sends_away(&self, now: Instant) -> u8 {
        let draining = if self.is_draining { flag::DRAINING } else { 0 };
        let lost = if self.mesh.has_lost(now) { flag::LOST_PEER } else { 0 };
        draining | lost
    }

    /// A probe came by a port, or by the device for all spokes.
    pub fn probe(&mut self, cx: &mut Context<'_>, arrived: &Arrived) {
        let Arrived { by, is_stranger, probe } = *arrived;
        if let (true, By::Port(at)) = (probe.is_answer, by) {
            return self.probe_answered(cx, at, arrived);
        }
        if probe.is_answer {
            return;
        }
        increment(&mut cx.statistics.rx_probe);
        if is_stranger {
            return;
        }
        let to: Vtep = match by {
            By::Port(spoke) => spoke,
            By::Shared => probe.asker,
            By::Tunnel => return,
        };
        let Some(site) = cx.sites.find((to.nbma, Some(to.vni))) else { return };
        let (Some(source), Some(port)) = (cx.sites.mac, cx.plane.port(to)) else { return };
        let tag = cx.sites.get(site).and_then(|site| site.tags).map_or(0, |tags| tags.sender);
        // One that is to say whether it is here still is let in again by that.
        let is_left = port.passing == Passing::Mute && !self.mesh.handovers.is_asked(site);
        let Some(member) = cx.sites.member_mut(site) else { return };
        if member.answers.take(cx.now).is_err() {
            increment(&mut cx.statistics.rx_probe_limited);
            return;
        }
        // Another hub's frames are to be taken, too; nothing is sent to a spoke that is at another one.
        let is_closed = if member.is_hub { port.passing != Passing::All } else { is_left };
        let is_registered = !member.is_found() && !is_closed && tag != 0 && same_tag(tag, probe.tag);
        let registered = if is_registered { flag::REGISTERED } else { 0 };
        let flags = registered | self.sends_away(cx.now) | if cx.is_young { flag::STARTED } else { 0 };
        let probe = Probe { is_answer: true, source, flags, ..probe };
        let probing = Probing { to, local: port.local, probe, is_full: false, flow: 0, is_uncut: false };
        increment(&mut cx.statistics.tx_probe_reply);
        cx.out.push(Effect::Probe { vn: cx.vn, probing });
    }
}
