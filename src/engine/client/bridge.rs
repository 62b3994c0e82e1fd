//! What a client's bridge tells: that it is there, and where MACs are.

use super::super::book::Change;
use super::super::context::{ClientDue, Context, Due};
use super::super::contract::effect::Event;
use super::super::contract::input::Place;
use super::super::contract::reason::Why;
use super::super::contract::settings::Trigger;
use super::super::sites::SiteId;
use super::Client;
use crate::types::Mac;
use crate::wire::nhrp::ProtocolAddress;

impl Client {
    /// The devices are there with this MAC, changed, or are gone.
    pub(super) fn set_device(&mut self, cx: &mut Context<'_>, mac: Option<Mac>) {
        if cx.sites.mac == mac {
            return;
        }
        for (_, registration) in self.registrations.iter_mut() {
            registration.leave(cx, &self.settings);
        }
        self.left = None;
        if mac.is_none() {
            self.choice.end(cx);
            self.resolution.forget_all(cx, self.settings.trigger, Why::Stopped);
            self.forget_locals(cx);
            self.reach.clear(cx);
        }
        cx.sites.mac = mac;
        self.enter(cx);
    }

    /// The bridge tells where a MAC is.
    pub(super) fn fdb(&mut self, cx: &mut Context<'_>, mac: Mac, place: Place) {
        let was_here = cx.book.site_of(mac) == Some(SiteId::HERE);
        if was_here && place == Place::Local {
            // It is listed again.
            let _ = cx.book.learn(cx.now, mac, SiteId::HERE, usize::MAX);
        }
        let loops = Due::Client(ClientDue::Loops);
        if self.restless.holds(cx.now, mac, place) {
            self.loops.suspect(cx, &self.restless, mac, false, loops);
            return;
        }
        let moved_from = match place {
            Place::Local => Some(Place::Tunnel).filter(|_| !was_here && self.resolution.knows(mac)),
            Place::Tunnel => Some(Place::Local).filter(|_| was_here),
            Place::At(_) | Place::Left(_) | Place::Gone | Place::Unplugged => None,
        };
        if let Some(from) = moved_from
            && self.restless.moved(cx.now, mac, from, place)
        {
            cx.tell(Event::Restless { mac, from: cx.plane.uplink(), to: None });
            self.restless.watch(cx, Due::Client(ClientDue::Restless));
            self.loops.suspect(cx, &self.restless, mac, true, loops);
        }
        match place {
            Place::Local => {
                self.forget(cx, mac, Why::Local);
                self.departures.is_back(mac);
                if !was_here {
                    self.learn_local(cx, mac);
                }
            }
            // Where its frames go the hub says.
            _ if !was_here => {}
            Place::Unplugged => {
                cx.book.forget(cx.now, ProtocolAddress::Mac(mac));
                self.departures.left(cx, mac, self.settings.max_macs);
            }
            Place::Tunnel | Place::At(_) | Place::Left(_) | Place::Gone => {
                cx.book.forget(cx.now, ProtocolAddress::Mac(mac));
            }
        }
        if place == Place::Tunnel && self.settings.trigger == Trigger::Learn {
            self.ask(cx, |resolution, cx, asker| resolution.heard(cx, asker, mac));
        }
    }

    pub(super) fn forget(&mut self, cx: &mut Context<'_>, mac: Mac, why: Why) {
        self.ask(cx, |resolution, cx, asker| resolution.forget(cx, asker.settings.trigger, mac, why));
    }

    fn learn_local(&mut self, cx: &mut Context<'_>, mac: Mac) {
        if cx.book.here() >= self.settings.max_macs as usize {
            self.locals.refused(cx);
            return;
        }
        // Nobody asks a client.
        let _: Result<Option<Change>, ()> = cx.book.learn(cx.now, mac, SiteId::HERE, usize::MAX);
        let hub = self.hub_mac();
        self.locals.learned(cx, mac, hub);
    }

    /// What the bridge did not tell of is not here any more.
    pub(super) fn listed(&mut self, cx: &mut Context<'_>) {
        let mut last = None;
        while let Some(mac) = cx.book.next_unlisted(last) {
            let address = ProtocolAddress::Mac(mac);
            cx.book.forget(cx.now, address);
            last = Some(address);
        }
    }
}
