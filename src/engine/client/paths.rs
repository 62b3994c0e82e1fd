//! What a client makes of its paths: which way frames go, and whether its hub is alive.

use super::super::context::{Context, View};
use super::super::contract::effect::Event;
use super::super::contract::item::{Item, Wanted};
use super::super::contract::probe::Arrived;
use super::super::contract::report::{PathRow, PathState, Trouble};
use super::super::contract::settings::ClientSettings;
use super::super::reach::{self, Prober, Verdict};
use super::Client;
use super::registration::Registration;
use crate::time::Instant;
use crate::types::Vtep;
use core::time::Duration;

impl Client {
    /// A probe came by the tunnel: a question of another site's, or an answer to one of this node's.
    pub fn probe(&mut self, cx: &mut Context<'_>, arrived: &Arrived) {
        let Some(prober) = self.prober(cx) else { return };
        let probe = &arrived.probe;
        if !probe.is_answer {
            if let Some(mac) = self.reach.asked(cx, &prober, probe, arrived.is_stranger) {
                self.ask(cx, |resolution, cx, asker| resolution.introduce(cx, asker, mac));
            }
            return;
        }
        let learned = self.reach.answered(cx, &prober, arrived);
        if let Some(within) = learned.forgotten
            && !self.keeps_silent()
            && let Some(registration) = self.active_mut()
        {
            registration.hasten(cx, within);
        }
        self.path_news(cx, learned.news);
        if let Some(flags) = learned.flags.filter(|_| self.choice.is_several()) {
            let hub = self.choice.active();
            self.choice.heard(cx.now, hub);
            if self.choice.told(cx.now, flags)
                && let Some(registration) = self.active_mut()
            {
                registration.hasten(cx, Duration::ZERO);
            }
            self.choose(cx);
        }
    }

    /// ICMP says that a probe did not get there.
    pub fn unreachable(&mut self, cx: &mut Context<'_>, nonce: u64) {
        let Some(prober) = self.prober(cx) else { return };
        let news = self.reach.unreachable(cx, &prober, nonce);
        self.path_news(cx, news);
    }

    /// What is known of the paths to other sites behind `after`, in the order of their VTEPs.
    pub fn paths<'a>(&'a self, vn: View<'a>, after: Option<Vtep>) -> impl Iterator<Item = PathRow> + 'a {
        self.reach.rows(vn, after).map(move |mut row| {
            if let (true, Some(trouble)) = (row.is_hub, self.hub_trouble(vn.now, &row)) {
                row.state = PathState::Down(trouble);
            }
            row
        })
    }

    /// What is wrong with the hub's path.
    pub(super) fn hub_trouble(&self, now: Instant, row: &PathRow) -> Option<Trouble> {
        let PathState::Down(trouble) = row.state else { return None };
        let accepted = self.active().map(Registration::accepted);
        let is_since = accepted.is_some_and(|at| now.since(at).as_secs() < row.since);
        Some(if is_since { trouble.beside_nhrp() } else { trouble })
    }

    /// The hub's path is that to where unknown frames go. Where that is new, what was at the hub before goes there, too.
    pub(super) fn follow_uplink(&mut self, cx: &mut Context<'_>) {
        let uplink = self.active().and_then(Registration::uplink);
        let before = cx.plane.uplink();
        if let Some(uplink) = uplink.and_then(|site| cx.sites.vtep(site))
            && cx.want(Item::Uplink, Some(Wanted::To(uplink)))
        {
            self.ask(cx, |resolution, cx, asker| resolution.follow_uplink(cx, asker, before));
        }
        let prober = self.prober(cx);
        if self.reach.set_hub(cx, prober.as_ref(), uplink.filter(|_| prober.is_some())) {
            self.choice.is_well();
        }
    }

    /// Who probes, while the way to the hub is known.
    pub(super) fn prober(&self, cx: &Context<'_>) -> Option<Prober> {
        let registration = self.active()?;
        prober(cx, registration, &self.settings)
    }

    /// A path is up or down.
    pub(super) fn path_news(&mut self, cx: &mut Context<'_>, news: Option<reach::News>) {
        let Some(reach::News { site, is_hub, verdict }) = news else { return };
        let Some(peer) = cx.sites.vtep(site) else { return };
        match verdict {
            Verdict::Up => cx.tell(Event::PathUp { peer, is_hub }),
            Verdict::Down(trouble) => cx.tell(Event::PathDown { peer, is_hub, trouble }),
            Verdict::Doubtful => {}
        }
        if is_hub {
            match verdict {
                Verdict::Up => self.choice.is_well(),
                Verdict::Down(_) => self.choice.lost(cx.now),
                Verdict::Doubtful => {
                    self.choice.doubt(cx.now);
                    self.ask_others(cx);
                }
            }
        }
        let registration = self.registrations.get_mut(&self.choice.active()).filter(|_| is_hub);
        match (registration, verdict) {
            (Some(registration), Verdict::Doubtful) => registration.hasten(cx, Duration::ZERO),
            (Some(registration), verdict) => {
                registration.set_lost(cx, &self.settings, verdict != Verdict::Up);
            }
            (None, _) => self.ask(cx, |resolution, cx, asker| resolution.led(cx, asker, site)),
        }
        if is_hub {
            self.choose(cx);
        }
    }
}

/// Who probes, while the way to the hub is known.
pub(super) fn prober(
    cx: &Context<'_>,
    registration: &Registration,
    settings: &ClientSettings,
) -> Option<Prober> {
    let local = registration.path()?.local;
    let tags = registration.site().and_then(|hub| cx.sites.tags(hub));
    Some(Prober {
        local,
        asker: Vtep { nbma: cx.name_of(local), vni: settings.vni },
        mac: cx.sites.mac?,
        tag: tags.map_or(0, |tags| tags.receiver),
    })
}
