//! What an operator wants of a server: that it forgets where MACs are, or who registered.

use super::super::context::{Context, Due, ServerDue};
use super::super::contract::effect::Act;
use super::super::contract::input::Place;
use super::super::contract::reason::Why;
use super::super::sites::SiteId;
use super::{DRAIN, SOON, Server};
use crate::types::{Mac, Nbma, Vni};
use crate::wire::nhrp::ProtocolAddress;

impl Server {
    /// Forgets where one MAC is, or all that are behind spokes, and who asked for what nobody knows. Whoever asked is told
    /// and asks again; the bridge floods until it hears them. What is at this router itself, and what is registered, stays.
    pub fn flush(&mut self, cx: &mut Context<'_>, mac: Option<Mac>) {
        match mac {
            Some(mac) => self.forget(cx, mac),
            None => {
                self.flushed = None;
                self.go_on_flushing(cx);
            }
        }
    }

    /// Some of them, and the others in a moment.
    pub(super) fn go_on_flushing(&mut self, cx: &mut Context<'_>) {
        let some = cx.book.after(self.flushed).take(DRAIN).map(|(address, _)| address);
        let some: heapless::Vec<ProtocolAddress, DRAIN> = some.collect();
        for address in &some {
            if let ProtocolAddress::Mac(mac) = *address {
                self.forget(cx, mac);
            }
        }
        self.flushed = some.last().copied();
        if self.flushed.is_some() {
            cx.arm(&mut self.flush, cx.now + SOON, Due::Server(ServerDue::Flush));
        }
    }

    fn forget(&mut self, cx: &mut Context<'_>, mac: Mac) {
        let address = ProtocolAddress::Mac(mac);
        let Some(entry) = cx.book.get(address) else { return };
        let (site, learned) = (entry.site(), entry.is_learned());
        if site == Some(SiteId::HERE) || site.is_some() && site == entry.registered() {
            return;
        }
        if let Some(change) = cx.book.flush(cx.now, address) {
            self.take_back(cx, address, &change);
        }
        if let Some(spoke) = site.and_then(|site| cx.sites.vtep(site)).filter(|_| learned) {
            cx.act(Act::Unlearn(mac, Place::At(spoke)));
        }
    }

    /// What registered from this address is no client any more, until it registers again. Who is alive is told, so that it
    /// does at once.
    pub fn expel(&mut self, cx: &mut Context<'_>, nbma: Nbma, vni: Option<Vni>) {
        let all: Vec<SiteId> = cx.sites.clients_at(nbma, vni).collect();
        for site in all {
            self.say_farewell(cx, site);
            self.remove(cx, site, Why::Removed);
        }
    }
}
