//! What a server believed of a client ends: the client withdraws it, its time is over, or the client is gone.

use super::super::context::{Context, Due, ServerDue};
use super::super::contract::effect::Act;
use super::super::contract::input::Place;
use super::super::contract::item::Item;
use super::super::contract::reason::Why;
use super::super::contract::statistics::increment;
use super::super::exchange::session::Order;
use super::super::exchange::{Inbound, Trust};
use super::super::member::Member;
use super::super::sites::SiteId;
use super::{SOON, STEP, Server, ip, went};
use crate::time::Instant;
use crate::types::{Mac, Vtep};
use crate::wire::nhrp::{Cie, Fault, ProtocolAddress};
use core::time::Duration;

/// A site that is gone, or elsewhere: what was said of its addresses is still to be taken back.
#[derive(Clone, Copy, Debug)]
pub struct TakenBack {
    pub(super) site: SiteId,
    /// Where it was.
    pub(super) was: Option<Vtep>,
    /// Whether its addresses stay with it; and the last one that was looked at.
    pub(super) stays: bool,
    pub(super) last: Option<ProtocolAddress>,
    /// When it is due.
    pub(super) at: Instant,
}

/// A hub is lost. Its sites may still reach those of this hub directly, and meet them at one hub within this: until then what they
/// know of each other is left to the probes.
const MEET: Duration = Duration::from_secs(10);

impl Server {
    /// A client withdraws what it registered, or a MAC that was behind it.
    pub(super) fn purge(&mut self, cx: &mut Context<'_>, from: &Inbound<'_>) -> Result<(), Fault> {
        increment(&mut cx.statistics.rx_purge_req);
        let cies = || from.message.cies();
        if cies().next().is_none() || cies().any(|c| c.address.is_none()) {
            return Err(from.protocol_fault());
        }
        if self.lacks_session(from) {
            increment(&mut cx.statistics.rx_untagged);
            return Ok(());
        }
        if from.trust == Trust::Wrong {
            self.doubt_peer(cx, from.via.path.remote);
            return Ok(());
        }
        if let Some(hub) = from.site.filter(|_| Server::is_of_hub(cx, from) && Server::is_claim(from)) {
            // What a claim says tells itself how new it is.
            cx.confirm_purge(from);
            self.hub_claims(cx, hub, from);
            return Ok(());
        }
        let order = self.purge_order(cx, from);
        // First of all: the way it takes may be the port that goes.
        if order != Order::Older {
            cx.confirm_purge(from);
        }
        if order != Order::Newer {
            return Ok(());
        }
        if let Some(hub) = from.site.filter(|_| Server::is_of_hub(cx, from)) {
            self.hub_takes_back(cx, hub, from);
            return Ok(());
        }
        let header = &from.message.header;
        // Where it was, if it says so: it has another address now.
        let place = |cie: &Cie| Some((cie.nbma.filter(|nbma| *nbma != header.nbma)?, cie.vni));
        if cies().any(|cie| place(&cie).is_none() && cie.address == header.source) {
            self.claims.forget(from);
        }
        for (place, address) in cies().filter_map(|cie| place(&cie).zip(cie.address)) {
            self.moves(cx, from, place, address);
        }
        let Some(site) = from.site else { return Ok(()) };
        if let Some(source) = header.source.filter(|_| is_about_registration(cx, site, from)) {
            if self.is_late(cx, from, source) {
                return Ok(());
            }
            let theirs = |member: &&mut Member| member.address.is_none_or(|address| address == source);
            if let Some(member) = cx.sites.member_mut(site).filter(theirs) {
                member.note(cx.now, source, header.request_id);
            }
        }
        for cie in cies().filter(|cie| place(cie).is_none()) {
            match cie.address {
                Some(ProtocolAddress::Mac(mac)) if (1..48).contains(&cie.prefix) => {
                    self.withdraw_all(cx, site, |other| other.shares(mac, cie.prefix));
                }
                Some(address) => self.withdraw(cx, site, address),
                None => {}
            }
        }
        self.settle(cx, site, Why::Purged);
        Ok(())
    }

    fn withdraw_all(&mut self, cx: &mut Context<'_>, site: SiteId, is_meant: impl Fn(Mac) -> bool) {
        let mut last = None;
        while let Some(address) = cx.book.next_behind(site, last) {
            last = Some(address);
            if matches!(address, ProtocolAddress::Mac(mac) if is_meant(mac)) {
                self.withdraw(cx, site, address);
            }
        }
    }

    /// An address is not behind a client any more: what others say of it stays.
    fn withdraw(&mut self, cx: &mut Context<'_>, site: SiteId, address: ProtocolAddress) {
        if !self.withdrew(cx, site, address) {
            self.is_not_there(cx, site, address);
        }
    }

    /// An address was behind a client, and nobody waits for it.
    pub(super) fn is_not_there(&mut self, cx: &mut Context<'_>, site: SiteId, address: ProtocolAddress) {
        let learned = cx.book.get(address).is_some_and(|e| e.is_learned() && e.site() == Some(site));
        self.deregister(cx, site, address);
        if let Some(change) = cx.book.withdraw(cx.now, address, site) {
            self.take_back(cx, address, &change);
        }
        // Frames for it are to be flooded, and to find it wherever it is.
        if let (true, ProtocolAddress::Mac(mac), Some(spoke)) = (learned, address, cx.sites.vtep(site)) {
            cx.act(Act::Unlearn(mac, Place::At(spoke)));
            if !Server::is_hub(cx, site) {
                self.tell_gone(cx, address);
            }
        }
    }

    /// Everything of a client whose time is over goes.
    pub(super) fn expire(&mut self, cx: &mut Context<'_>, site: SiteId) {
        let now = cx.now;
        let Some(member) = cx.sites.member_mut(site) else { return };
        member.grace = member.grace.filter(|until| *until > now);
        while let Some(over) =
            cx.sites.member(site).and_then(|m| m.registered.iter().find(|r| r.until <= now)).copied()
        {
            self.deregister(cx, site, over.address);
        }
        self.settle(cx, site, Why::Expired);
    }

    /// Takes an address out of a client's registration.
    pub(super) fn deregister(&mut self, cx: &mut Context<'_>, site: SiteId, address: ProtocolAddress) {
        let Some(member) = cx.sites.member_mut(site) else { return };
        let before = member.registered.len();
        member.registered.retain(|r| r.address != address);
        if member.registered.len() == before {
            return;
        }
        if let Some(address) = ip(address) {
            cx.want(Item::Neighbour(address), None);
        }
        if cx.book.get(address).and_then(|entry| entry.registered()) == Some(site) {
            if let Some(change) = cx.book.unregister(cx.now, address) {
                self.take_back(cx, address, &change);
            }
        }
    }

    /// After something of a client ended: the next deadline, or the end of the client.
    pub(super) fn settle(&mut self, cx: &mut Context<'_>, site: SiteId, why: Why) {
        match cx.sites.member(site) {
            Some(member) if member.is_known() => self.arm(cx, site),
            Some(_) => self.remove(cx, site, why),
            None => {}
        }
    }

    /// The client is gone: its port goes, and every shortcut towards it.
    pub(super) fn remove(&mut self, cx: &mut Context<'_>, site: SiteId, why: Why) {
        // What a hub answered was never where it is itself.
        let is_hub = Server::is_hub(cx, site);
        let vtep = cx.sites.vtep(site).filter(|_| !is_hub);
        if !self.leave(cx, site, why) {
            return;
        }
        if cx.sites.is_loose(site) {
            cx.sites.remove(site);
        }
        let at = if is_hub { cx.now + MEET } else { cx.now };
        self.taken_back.push(TakenBack { site, was: vtep, stays: false, last: None, at });
        self.go_on_taking_back(cx);
    }

    /// The site is no client any more: what the kernel has for it goes. Whether it was one.
    pub(super) fn leave(&mut self, cx: &mut Context<'_>, site: SiteId, why: Why) -> bool {
        let Some(there) = cx.sites.get_mut(site) else { return false };
        let (vtep, vni, nbma) = (there.vtep(), there.vni, there.nbma);
        let Some(mut member) = there.member.take() else { return false };
        (there.tags, there.key) = (None, None);
        if member.begun.is_some() {
            cx.sessions.ended(cx.now, cx.vpn_id, (nbma, vni));
        }
        if !member.is_hub {
            *self.kind(vni) -= 1;
        }
        self.mesh.hubs.retain(|hub| *hub != site);
        self.end_path(cx, site);
        self.gone.left(cx.now, nbma, &member);
        cx.timers.clear(&mut member.alarm);
        self.replies.remove(&site);
        if let Some(mut line) = self.lines.remove(&site) {
            line.end(cx);
        }
        for address in member.registered.iter().filter_map(|r| ip(r.address)) {
            cx.want(Item::Neighbour(address), None);
        }
        if let Some(spoke) = vtep {
            self.claims.resolved(spoke);
        }
        if let (Some(spoke), Some(port)) = (vtep, &member.port) {
            self.release_uplink(cx, port.uplink);
            cx.want(Item::Port(spoke), None);
            if port.is_up {
                cx.tell(went(member.is_hub, spoke, why));
            }
        }
        true
    }

    /// Whether an address was at a hub that is lost, and sites may still meet.
    pub(super) fn is_kept(&self, cx: &Context<'_>, address: ProtocolAddress) -> bool {
        let site = cx.book.get(address).and_then(|entry| entry.site());
        self.taken_back.iter().any(|gone| gone.at > cx.now && Some(gone.site) == site)
    }

    /// Takes back what is still said of sites that are gone, or elsewhere.
    pub(super) fn go_on_taking_back(&mut self, cx: &mut Context<'_>) {
        let (mut left, now) = (STEP, cx.now);
        while let Some(place) = self.taken_back.iter().rposition(|gone| gone.at <= now) {
            let TakenBack { site, was, stays, mut last, at } = self.taken_back.remove(place);
            while let Some(address) = cx.book.next_behind(site, last) {
                if left == 0 {
                    self.taken_back.push(TakenBack { site, was, stays, last, at });
                    return cx.arm(&mut self.taking_back, cx.now + SOON, Due::Server(ServerDue::TakeBack));
                }
                left -= 1;
                last = stays.then_some(address);
                let change = match stays {
                    true => cx.book.renew(cx.now, address, site),
                    false => cx.book.withdraw(cx.now, address, site),
                };
                if let Some(change) = change {
                    self.take_back_from(cx, address, was, &change);
                }
            }
        }
        if let Some(next) = self.taken_back.iter().map(|gone| gone.at).min() {
            cx.arm(&mut self.taking_back, next, Due::Server(ServerDue::TakeBack));
        }
    }
}

/// Whether a Purge Request withdraws what a client registered, and not only what a bridge saw behind it: that is in no
/// order with registrations.
fn is_about_registration(cx: &Context<'_>, site: SiteId, from: &Inbound<'_>) -> bool {
    let member = cx.sites.member(site);
    from.message.cies().any(|cie| {
        (1..48).contains(&cie.prefix)
            || cie.address == from.message.header.source
            || cie.address.is_some_and(|address| member.is_some_and(|m| m.registered(address).is_some()))
    })
}
