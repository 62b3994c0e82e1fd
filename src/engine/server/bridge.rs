//! What a server's bridge tells: that it is there, and where MACs are.

use super::super::context::{Context, Due, ServerDue};
use super::super::contract::effect::{Act, Event};
use super::super::contract::input::Place;
use super::super::contract::statistics::increment;
use super::super::sites::SiteId;
use super::Server;
use crate::types::Mac;
use crate::wire::nhrp::ProtocolAddress;

impl Server {
    pub(super) fn set_device(&mut self, cx: &mut Context<'_>, mac: Option<Mac>) {
        let came = !self.is_up && mac.is_some();
        if self.is_up != mac.is_some() {
            self.since = cx.now;
        }
        self.is_up = mac.is_some();
        let before = core::mem::replace(&mut cx.sites.mac, mac);
        if before != mac {
            self.enter_peers(cx);
        }
        if before.is_some() && mac.is_some() && before != mac {
            // Who announces to the address of before would have all sites hear it.
            self.take_self_back_from_all(cx);
        }
        if came {
            self.is_listed = false;
            self.fresh_until.get_or_insert(cx.now + cx.holding_time);
            cx.act(Act::List);
        }
    }

    /// The bridge tells where a MAC is.
    pub(super) fn fdb(&mut self, cx: &mut Context<'_>, mac: Mac, place: Place) {
        let place = match place {
            Place::Left(spoke) => {
                let left = cx.sites.find((spoke.nbma, Some(spoke.vni)));
                if cx.book.site_of(mac) != left {
                    return;
                }
                Place::Gone
            }
            other => other,
        };
        if self.restless.holds(cx.now, mac, place) {
            self.suspect_loop(cx, mac, false);
            return;
        }
        let site = match place {
            Place::Unplugged if cx.book.site_of(mac) == Some(SiteId::HERE) => {
                let address = ProtocolAddress::Mac(mac);
                if let Some(change) = cx.book.withdraw(cx.now, address, SiteId::HERE) {
                    self.take_back(cx, address, &change);
                    self.tell_gone(cx, address);
                }
                return;
            }
            Place::Gone | Place::Unplugged | Place::Left(_) => return cx.book.unlearn(cx.now, mac),
            Place::Local => SiteId::HERE,
            Place::At(spoke) => {
                let site = cx.sites.find((spoke.nbma, Some(spoke.vni)));
                match site.or_else(|| self.claims.former(cx.now, spoke)) {
                    Some(site) => site,
                    None => return,
                }
            }
            Place::Tunnel => return,
        };
        let max = self.settings.max_macs as usize;
        if cx.book.stations() >= max && cx.book.get(ProtocolAddress::Mac(mac)).is_none() {
            self.make_room(cx, site);
        }
        let entry = cx.book.get(ProtocolAddress::Mac(mac));
        let is_news = entry.is_none_or(|entry| entry.site() != Some(site) || !entry.is_learned());
        let Ok(change) = cx.book.learn(cx.now, mac, site, max) else {
            self.room.refused(cx, Due::Server(ServerDue::Refused));
            return;
        };
        if is_news && self.is_own(cx, site) {
            self.announce(cx, mac);
        }
        let Some(mut change) = change else { return };
        let address = ProtocolAddress::Mac(mac);
        if let Some(from) = change.from {
            increment(&mut cx.statistics.mac_moves);
            let (from, to) = (cx.sites.vtep(from), cx.sites.vtep(site));
            if self.restless.moved(cx.now, mac, from.map_or(Place::Local, Place::At), place) {
                cx.tell(Event::Restless { mac, from, to });
                // As long as nobody knows where it is, its frames go by the hub, whose bridge does.
                cx.book.forget(cx.now, address);
                change.to = None;
                self.restless.watch(cx, Due::Server(ServerDue::Restless));
                self.suspect_loop(cx, mac, true);
            } else {
                cx.tell(Event::MacMoved { mac, to });
            }
        }
        self.take_back(cx, address, &change);
    }

    /// The news of a MAC are held back. One device for all spokes has no way to one of them alone.
    fn suspect_loop(&mut self, cx: &mut Context<'_>, mac: Mac, is_new: bool) {
        if !self.settings.shared_uplink {
            self.loops.suspect(cx, &self.restless, mac, is_new, Due::Server(ServerDue::Loops));
        }
    }

    /// The table is full. One that somebody has too many of is not followed any more: it goes by the hub, whose bridge
    /// knows it still.
    fn make_room(&mut self, cx: &mut Context<'_>, site: SiteId) {
        let Some(address) = cx.book.gives_way(site, SiteId::NOWHERE) else { return };
        let change = cx.book.flush(cx.now, address);
        // Who was told that nobody knows it asks again after a while.
        if let Some(change) = change.filter(|change| change.from.is_some()) {
            self.room.refused(cx, Due::Server(ServerDue::Refused));
            self.take_back(cx, address, &change);
        }
    }

    /// The listing is complete: what it did not hold, the bridge forgot.
    pub(super) fn listed(&mut self, cx: &mut Context<'_>) {
        let mut last = None;
        while let Some(mac) = cx.book.next_unlisted(last) {
            cx.book.unlearn(cx.now, mac);
            last = Some(ProtocolAddress::Mac(mac));
        }
        if !core::mem::replace(&mut self.is_listed, true) {
            self.take_up(cx);
        }
    }
}
