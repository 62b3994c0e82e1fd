//! A server takes registrations (RFC 2332 sections 5.2.3 and 5.2.4).

use super::super::context::Context;
use super::super::contract::effect::Event;
use super::super::contract::input::Outcome;
use super::super::contract::item::{Item, Port, Wanted};
use super::super::contract::reason::{Refusal, Why};
use super::super::contract::settings::VpnMode;
use super::super::contract::statistics::increment;
use super::super::exchange::session::Order;
use super::super::exchange::{Inbound, Reply, Trust};
use super::super::limits::{ADDRESSES_PER_CLIENT, CIES_PER_REQUEST, IP_CLIENTS, NEIGHBOURS_APART};
use super::super::member::{MemberPort, Registered};
use super::super::sites::SiteId;
use super::claim::Heard;
use super::{Server, ip, mac};
use crate::types::{Nbma, Vtep};
use crate::wire::nhrp::{Cie, Fault, Header, Kind, Protocol, ProtocolAddress, Writer, code, flag, kind};
use core::net::IpAddr;
use core::time::Duration;

/// What each CIE registers, or the code of its refusal, in their order.
type Verdicts = heapless::Vec<Result<Registered, u8>, CIES_PER_REQUEST>;

/// The result code of each CIE.
type Codes = heapless::Vec<u8, CIES_PER_REQUEST>;

impl Server {
    /// A Registration Request. A spoke that is new, or new with a MAC, gets its port first and its answer then:
    /// the way to it must be there before the reply (RFC 2332 section 5.2.4). What is refused makes nothing.
    pub(super) fn register(&mut self, cx: &mut Context<'_>, from: &Inbound<'_>) -> Result<(), Fault> {
        let header = &from.message.header;
        let (Some(source), Some(_)) = (header.source, from.message.cies().next()) else {
            return Err(from.protocol_fault());
        };
        match from.trust {
            Trust::Untagged if self.bars(cx, from).is_some() => {
                self.refuse(cx, from, code::PROHIBITED);
                return Ok(());
            }
            // Where VXLAN does not get, no session helps.
            Trust::Wrong => {
                match self.admit(cx, from) {
                    Ok(()) => self.challenge(cx, from),
                    Err(code) => self.refuse(cx, from, code),
                }
                return Ok(());
            }
            Trust::Cookie if !cx.sessions.may_begin(cx.now, cx.vpn_id, header.nbma) => {
                // It comes again.
                increment(&mut cx.statistics.rx_rate_limited);
                return Ok(());
            }
            Trust::Session | Trust::Cookie | Trust::Untagged => {}
        }
        match self.registration_order(cx, from, source) {
            Order::Older => return Ok(()),
            Order::Same if self.is_so(cx, from) => {
                self.reply_registration(cx, from, &[], code::OK);
                return Ok(());
            }
            Order::Same | Order::Newer => {}
        }
        self.take_registration(cx, from, source, Heard::new());
        Ok(())
    }

    /// Acts on a registration, unless it has to wait for what another router says; `heard` is what came of that.
    pub(super) fn take_registration(
        &mut self,
        cx: &mut Context<'_>,
        from: &Inbound<'_>,
        source: ProtocolAddress,
        mut heard: Heard,
    ) {
        if let Err(code) = self.admit(cx, from) {
            return self.refuse(cx, from, code);
        }
        if self.waits(cx, from, &mut heard) {
            return;
        }
        let replaced = match self.find_place(cx, from, source) {
            Ok(replaced) => replaced,
            Err(code) => return self.refuse(cx, from, code),
        };
        let verdicts = self.judge(cx, from, &heard);
        let codes: Codes = verdicts.iter().map(|verdict| verdict.err().unwrap_or(code::OK)).collect();
        if !codes.contains(&code::OK) {
            // Nobody is the worse for it: who is registered stays so.
            let first = codes.first().copied().unwrap_or(code::PROHIBITED);
            return self.reply_registration(cx, from, &codes, first);
        }
        if let Some(replaced) = replaced {
            self.remove(cx, replaced, Why::Replaced);
        }
        let site = self.enter(cx, from, source);
        verdicts.into_iter().flatten().for_each(|registered| self.take_in(cx, site, registered));
        match self.wanted_port(cx, site, from) {
            Ok(port) => self.promise(cx, site, from, &codes, port),
            Err(code) => {
                self.remove(cx, site, Why::Stopped);
                self.refuse(cx, from, code);
            }
        }
        self.settle(cx, site, Why::Expired);
    }

    /// Who is in no session gets a cookie, and nothing is kept of it.
    fn challenge(&mut self, cx: &mut Context<'_>, from: &Inbound<'_>) {
        let Some(challenge) = cx.challenge(from) else { return self.refuse(cx, from, code::PROHIBITED) };
        let own = cx.holding_seconds();
        let responder = self.responder(cx, from, from.message.header.protocol);
        let header = from.message.header.reply(Kind::RegistrationReply);
        cx.reply(from, &header, |w| {
            write(w, from, own, &[], code::PROHIBITED, None, &responder);
            w.challenge(challenge);
        });
        increment(&mut cx.statistics.tx_challenge);
    }

    /// Whether a request is in no session though it has to be: what has a VNI, or a MAC, is a spoke's.
    pub(super) fn lacks_session(&self, from: &Inbound<'_>) -> bool {
        let header = &from.message.header;
        let is_spokes = header.protocol == Protocol::Ethernet || header.vni.is_some();
        from.trust == Trust::Untagged && is_spokes && !self.settings.untagged_l2
    }

    /// Whether there is a session where a packet without says that it is from, or says that it is.
    fn is_in_session(&self, cx: &Context<'_>, from: &Inbound<'_>) -> bool {
        let header = &from.message.header;
        let there = [from.via.path.remote, header.nbma].into_iter();
        there.filter_map(|nbma| cx.sites.find((nbma, header.vni))).any(|site| self.has_session(cx, site))
    }

    pub(super) fn has_session(&self, cx: &Context<'_>, site: SiteId) -> bool {
        cx.sites.member(site).is_some_and(|member| member.begun.is_some())
    }

    /// What became of a port that was to be made or changed.
    pub(super) fn became(&mut self, cx: &mut Context<'_>, spoke: Vtep, outcome: Outcome) {
        let Some(site) = cx.sites.find((spoke.nbma, Some(spoke.vni))) else { return };
        let Some(member) = cx.sites.member_mut(site) else { return };
        let Some(port) = &mut member.port else { return };
        let (uplink, was_up, reply) = (port.uplink, port.is_up, self.replies.remove(&site));
        match outcome {
            Outcome::Made => {
                port.is_up = true;
                if !was_up {
                    cx.tell(Event::SpokeUp { spoke, uplink });
                }
                if let Some(reply) = reply {
                    self.send(cx, site, *reply, None);
                }
            }
            Outcome::Failed { taken } => {
                member.port = None;
                cx.want(Item::Port(spoke), None);
                self.port_failed(cx, uplink, taken);
                if was_up {
                    cx.tell(Event::SpokeDown { spoke, why: Why::Stopped });
                }
                // Without a question it is made anew when the spoke registers again.
                if let Some(reply) = reply {
                    self.send(cx, site, *reply, Some(code::RESOURCES));
                    self.remove(cx, site, Why::Stopped);
                }
            }
        }
    }

    /// Whether the request is for this server, and from where it says.
    fn admit(&self, cx: &Context<'_>, from: &Inbound<'_>) -> Result<(), u8> {
        let header = &from.message.header;
        if self.bars(cx, from).is_some() {
            return Err(code::PROHIBITED);
        }
        let own =
            is_for_anybody(header) || header.destination.is_some_and(|address| cx.sites.is_own(address));
        if own { Ok(()) } else { Err(code::PROHIBITED) }
    }

    /// Why nobody with this address is taken in, if that is so.
    fn bars(&self, cx: &Context<'_>, from: &Inbound<'_>) -> Option<Refusal> {
        let nbma = from.via.path.remote;
        let stranger = || (!self.settings.allows(nbma)).then_some(Refusal::NotAllowed(nbma));
        // Who speaks for itself comes first: nobody takes its place who does not.
        let untagged =
            || self.lacks_session(from) || from.trust == Trust::Untagged && self.is_in_session(cx, from);
        translated(from).or_else(stranger).or_else(|| untagged().then_some(Refusal::Untagged))
    }

    /// Whether there is room for who asks, and whose place it takes. With shared ports, which tell VTEPs apart but not
    /// their VNIs, an address has one site: a router that comes back with another VNI replaces what it was.
    fn find_place(
        &mut self,
        cx: &mut Context<'_>,
        from: &Inbound<'_>,
        source: ProtocolAddress,
    ) -> Result<Option<SiteId>, u8> {
        let header = &from.message.header;
        let name = (header.nbma, header.vni);
        if cx.sites.find(name).is_some_and(|site| cx.sites.member(site).is_some()) {
            return Ok(None);
        }
        let there = match header.vni {
            Some(vni) if self.settings.shared_uplink => {
                cx.sites.members_at(header.nbma).find_map(|(site, member)| {
                    let registered = cx.sites.get(site)?.vni.filter(|there| *there != vni)?;
                    // Without a registration it is a port found at the start.
                    let stays = !member.registered.is_empty() && member.registered(source).is_none();
                    Some((site, registered, stays, vni))
                })
            }
            _ => None,
        };
        if let Some((_, registered, true, vni)) = there {
            let spoke = Vtep { nbma: header.nbma, vni };
            cx.tell(Event::SecondSite { spoke, registered });
            return Err(code::RESOURCES);
        }
        if let Some((replaced, ..)) = there {
            return Ok(Some(replaced));
        }
        if let Some(vni) = header.vni.filter(|_| self.has_many_sites(cx, header.nbma, source)) {
            let (spoke, most) = (Vtep { nbma: header.nbma, vni }, self.settings.max_vnis);
            cx.tell(Event::ManySites { spoke, most });
            increment(&mut cx.statistics.vnis_refused);
            return Err(code::RESOURCES);
        }
        // Who registers IP addresses only has no port, and is bounded like addresses are.
        let full = match header.vni {
            Some(_) => self.spokes >= u32::from(self.settings.max_spokes),
            None => self.others >= IP_CLIENTS,
        };
        if full {
            self.table_full(cx);
            return Err(code::RESOURCES);
        }
        Ok(None)
    }

    /// Whether as many sites as may be registered from an address, that of `source`, which moves, left out.
    fn has_many_sites(&self, cx: &Context<'_>, nbma: Nbma, source: ProtocolAddress) -> bool {
        let others = cx
            .sites
            .members_at(nbma)
            .filter(|(site, member)| cx.sites.vtep(*site).is_some() && member.registered(source).is_none());
        others.take(self.settings.max_vnis.into()).count() >= self.settings.max_vnis.into()
    }

    /// Says of each CIE what can be taken in, and changes nothing yet.
    pub(super) fn judge(&self, cx: &Context<'_>, from: &Inbound<'_>, heard: &Heard) -> Verdicts {
        let header = &from.message.header;
        let site = cx.sites.find((header.nbma, header.vni));
        let member = site.and_then(|site| cx.sites.member(site));
        let mut room = ADDRESSES_PER_CLIENT - member.map_or(0, |member| member.registered.len());
        let verdict = |cie: Cie| {
            let registered = self.registered(cx, from, &cie).ok_or(code::PROHIBITED)?;
            if self.is_anothers(cx, from, registered.address, heard) {
                return Err(code::ALREADY_REGISTERED);
            }
            if member.is_none_or(|member| member.registered(registered.address).is_none()) {
                room = room.checked_sub(1).ok_or(code::RESOURCES)?;
            }
            Ok(registered)
        };
        from.message.cies().take(CIES_PER_REQUEST).map(verdict).collect()
    }

    /// What a CIE registers, if it may: nobody registers for another station, and nobody a range. What a CIE leaves out
    /// stands in the header (RFC 2332 section 5.2.3).
    pub(super) fn registered(&self, cx: &Context<'_>, from: &Inbound<'_>, cie: &Cie) -> Option<Registered> {
        let header = &from.message.header;
        let address = cie.address.or(header.source)?;
        let theirs =
            cie.nbma.is_none_or(|n| n == header.nbma) && cie.vni.is_none_or(|v| Some(v) == header.vni);
        let host = [0, 0xff, address.host_prefix()].contains(&cie.prefix);
        let without_port = matches!(address, ProtocolAddress::Mac(_)) && header.vni.is_none();
        // Where this server has no address it serves no clients of that protocol.
        let served = matches!(address, ProtocolAddress::Mac(_)) || cx.sites.own(address.protocol()).is_some();
        let right = theirs && host && served && !without_port && cie.code == code::OK;
        let granted = granted(cx.holding_seconds(), cie);
        (right && is_unicast(address) && !cx.sites.is_own(address)).then(|| Registered {
            address,
            unique: header.flags & flag::REGISTRATION_UNIQUE != 0,
            mtu: cie.mtu,
            preference: cie.preference,
            granted,
            until: cx.now + Duration::from_secs(granted.into()),
        })
    }

    /// Whether somebody at another underlay address than `nbma` has the address: a MAC, and said so when asked; or an IP
    /// address. Who registers such a one may be anybody, so who came first has it until it ends, for itself alone or not.
    fn is_anothers(
        &self,
        cx: &Context<'_>,
        from: &Inbound<'_>,
        address: ProtocolAddress,
        heard: &Heard,
    ) -> bool {
        let Some(holder) = cx.book.get(address).and_then(|entry| entry.registered()) else { return false };
        if from.trust == Trust::Untagged && self.has_session(cx, holder) {
            return true;
        }
        if let ProtocolAddress::Mac(_) = address {
            return heard.contains(&(holder, true));
        }
        cx.sites.get(holder).is_some_and(|site| site.nbma != from.message.header.nbma)
    }

    /// Who registers is a client from now on, and is answered as it came.
    fn enter(&mut self, cx: &mut Context<'_>, from: &Inbound<'_>, source: ProtocolAddress) -> SiteId {
        let header = &from.message.header;
        let site = cx.sites.enter((header.nbma, header.vni));
        let is_new = self.become_member(cx, site);
        let begins = from.message.tags().filter(|_| from.trust == Trust::Cookie);
        if let Some(there) = cx.sites.get_mut(site) {
            there.set_way(from.via);
            if let Some(tags) = begins {
                there.tags = Some(tags.flipped());
            }
        }
        if begins.is_some() {
            increment(&mut cx.statistics.sessions);
            let begun = cx.sessions.begins(cx.now);
            if let Some(member) = cx.sites.member_mut(site) {
                (member.begun, member.newest_purge) = (Some(begun), None);
            }
            self.is_known_to(cx, site);
            self.forget_former(cx, site, from);
        }
        if let Some(member) = cx.sites.member_mut(site) {
            member.note(cx.now, source, header.request_id);
            member.grace = None;
        }
        if is_new && header.vni.is_some() {
            self.may_hold_anything(cx, site);
        }
        site
    }

    /// What was registered in the session before, and is not in this one's first registration, is registered no more: a
    /// router that lost its number has another MAC.
    fn forget_former(&mut self, cx: &mut Context<'_>, site: SiteId, from: &Inbound<'_>) {
        let source = from.message.header.source;
        let is_named = |address| from.message.cies().any(|cie| cie.address.or(source) == Some(address));
        let Some(member) = cx.sites.member(site) else { return };
        let former = member.registered.iter().map(|r| r.address).filter(|address| !is_named(*address));
        let former: heapless::Vec<_, ADDRESSES_PER_CLIENT> = former.collect();
        former.into_iter().for_each(|address| self.is_not_there(cx, site, address));
    }

    /// Takes in what was judged.
    pub(super) fn take_in(&mut self, cx: &mut Context<'_>, site: SiteId, registered: Registered) {
        let address = registered.address;
        let holder = cx.book.get(address).and_then(|entry| entry.registered()).filter(|there| *there != site);
        self.is_at_home(cx, site, address);
        let Some(member) = cx.sites.member_mut(site) else { return };
        match member.registered.iter_mut().find(|r| r.address == address) {
            Some(before) => {
                let since = (cx.now + Duration::from_secs(before.granted.into())).since(before.until);
                *before = registered;
                if let Some(ip) = ip(address).filter(|_| since >= NEIGHBOURS_APART) {
                    // The kernel may have lost it: whoever registers is reached then.
                    cx.plane.differs(cx.out, Item::Neighbour(ip));
                }
                return;
            }
            None => {
                // Most have one.
                member.registered.reserve_exact(1);
                member.registered.push(registered);
            }
        }
        if let Some(change) = cx.book.register(cx.now, address, site) {
            self.take_back(cx, address, &change);
        }
        if let Some(holder) = holder {
            if let Some(member) = cx.sites.member_mut(holder) {
                member.registered.retain(|r| r.address != address);
            }
            let why = match (cx.sites.get(holder), cx.sites.get(site)) {
                (Some(old), Some(new)) if old.nbma == new.nbma => Why::Replaced,
                (Some(old), Some(new)) if old.vni == new.vni => Why::Moved,
                _ => Why::Taken,
            };
            self.settle(cx, holder, why);
        }
        if let Some(place) = cx.sites.vtep(site) {
            self.claims.resolved(place);
        }
        if let (Some(address), Some(there)) = (ip(address), cx.sites.get(site)) {
            let behind = there.nbma;
            cx.want(Item::Neighbour(address), Some(Wanted::Behind(behind)));
        }
    }

    /// A client has an address: if it is a MAC, and the client in a session, it may be at home there.
    fn is_at_home(&mut self, cx: &Context<'_>, site: SiteId, address: ProtocolAddress) {
        let (Some(there), Some(mac)) = (cx.sites.get(site), mac(address)) else { return };
        if self.has_session(cx, site) {
            self.homes.has(cx.now, mac, there.nbma, self.settings.max_homes());
        }
    }

    /// The port a client is to have from now on; `None` if it needs none. Or the code of a refusal.
    fn wanted_port(
        &mut self,
        cx: &mut Context<'_>,
        site: SiteId,
        from: &Inbound<'_>,
    ) -> Result<Option<Port>, u8> {
        let (Some(spoke), Some(member)) = (cx.sites.vtep(site), cx.sites.member(site)) else {
            return Ok(None);
        };
        if !member.registered.iter().any(|r| matches!(r.address, ProtocolAddress::Mac(_))) {
            return Ok(None);
        }
        let of_session = member.registered.iter().filter(|_| member.begun.is_some());
        let mac = of_session.filter_map(|r| mac(r.address)).next();
        let uplink = match member.uplink().or_else(|| self.take_uplink(cx, spoke)) {
            Some(uplink) => uplink,
            None => {
                self.table_full(cx);
                return Err(code::RESOURCES);
            }
        };
        let own = cx.holding_seconds();
        let granted = from.message.cies().map(|cie| granted(own, &cie)).max().unwrap_or(own);
        let (local, mode) = (from.via.path.local, VpnMode::of(from.via.tag));
        Ok(Some(Port { uplink, local, mode, granted, mac }))
    }

    /// Answers at once, or when the port is there.
    fn promise(
        &mut self,
        cx: &mut Context<'_>,
        site: SiteId,
        from: &Inbound<'_>,
        codes: &Codes,
        port: Option<Port>,
    ) {
        let from = Inbound { site: Some(site), ..*from };
        let (Some(spoke), Some(port)) = (cx.sites.vtep(site), port) else {
            return self.reply_registration(cx, &from, codes, code::RESOURCES);
        };
        let changed = cx.want(Item::Port(spoke), Some(Wanted::Port(port)));
        let Some(member) = cx.sites.member_mut(site) else { return };
        let uplink = port.uplink;
        let there = member.port.get_or_insert(MemberPort { uplink, is_up: false });
        if there.is_up && !self.replies.contains_key(&site) && !changed {
            return self.reply_registration(cx, &from, codes, code::RESOURCES);
        }
        let own = cx.holding_seconds();
        let header = reply_header(cx, &from);
        let responder = self.responder(cx, &from, header.protocol);
        let holder = holder(cx, &from, codes);
        let reply = Reply::new(cx, from.via, &header, |w| {
            write(w, &from, own, codes, code::RESOURCES, holder, &responder);
        });
        // The newest request is the one to answer.
        match reply {
            Some(reply) => drop(self.replies.insert(site, Box::new(reply))),
            None => drop(self.replies.remove(&site)),
        }
    }

    /// The reply that takes nothing in.
    fn refuse(&mut self, cx: &mut Context<'_>, from: &Inbound<'_>, code: u8) {
        self.reply_registration(cx, from, &[], code);
    }

    /// The reply: the request with the codes filled in, `otherwise` where there is none, and the server's address and
    /// uplink VNI where it was asked for.
    fn reply_registration(&mut self, cx: &mut Context<'_>, from: &Inbound<'_>, codes: &[u8], otherwise: u8) {
        let own = cx.holding_seconds();
        let responder = self.responder(cx, from, from.message.header.protocol);
        let header = reply_header(cx, from);
        let holder = holder(cx, from, codes);
        let sent = cx.reply(from, &header, |w| {
            write(w, from, own, codes, otherwise, holder, &responder);
        });
        if sent {
            let all =
                codes.iter().copied().chain((codes.len() < from.message.cies().count()).then_some(otherwise));
            let refused = all.into_iter().find(|code| *code != code::OK);
            let reason = |code| self.bars(cx, from).unwrap_or(Refusal::Nak(code));
            self.answered(cx, from.site, from.via.path.remote, refused.map(reason));
        }
    }

    /// Sends a reply that waited; with a code it refuses everything.
    fn send(&mut self, cx: &mut Context<'_>, site: SiteId, reply: Reply, refused: Option<u8>) {
        let remote = reply.via().path.remote;
        let refused = reply.send(cx, refused);
        self.answered(cx, Some(site), remote, refused.map(Refusal::Nak));
    }

    /// Counts and tells how a registration was answered.
    fn answered(
        &mut self,
        cx: &mut Context<'_>,
        site: Option<SiteId>,
        spoke: Nbma,
        refused: Option<Refusal>,
    ) {
        let statistics = &mut *cx.statistics;
        increment(match refused {
            None => &mut statistics.tx_register_ack,
            Some(Refusal::Nak(code::RESOURCES)) => &mut statistics.tx_register_nak_resources,
            Some(Refusal::Nak(code::ALREADY_REGISTERED)) => {
                &mut statistics.tx_register_nak_already_registered
            }
            Some(_) => &mut statistics.tx_register_nak_prohibited,
        });
        if let Some(reason) = refused {
            match reason {
                Refusal::Translated { .. } => increment(&mut statistics.registrations_translated),
                Refusal::NotAllowed(_) => increment(&mut statistics.registrations_not_allowed),
                Refusal::Untagged => increment(&mut statistics.rx_untagged),
                Refusal::Nak(_) | Refusal::Error(_) | Refusal::NoSession => {}
            }
            if let Refusal::Translated { .. } | Refusal::NotAllowed(_) = reason {
                self.refused = Some((cx.now, reason));
            }
            if let Some(member) = site.and_then(|site| cx.sites.member_mut(site)) {
                increment(&mut member.statistics.tx_nak);
            }
            cx.tell(Event::SpokeRefused { spoke, reason });
        }
    }
}

/// Whether who registers does not say with whom.
fn is_for_anybody(header: &Header) -> bool {
    header.destination.is_none() || header.destination == header.source
}

/// The header of the reply. Who registers an IP address and does not know the server's, so asks whoever it is, learns it
/// here, as FRR's `nhs dynamic` does.
fn reply_header(cx: &Context<'_>, from: &Inbound<'_>) -> Header {
    let header = from.message.header.reply(Kind::RegistrationReply);
    let is_ip = header.protocol != Protocol::Ethernet;
    let own = cx.sites.own(header.protocol).filter(|_| is_ip && is_for_anybody(&header));
    Header { destination: own.or(header.destination), ..header }
}

/// Whether the outer address is not the one the client knows, as behind NAT: no VXLAN would reach it.
fn translated(from: &Inbound<'_>) -> Option<Refusal> {
    let (comes_from, names) = (from.via.path.remote, from.message.header.nbma);
    (comes_from != names).then_some(Refusal::Translated { comes_from, names })
}

/// Whether it is the address of a single station.
fn is_unicast(address: ProtocolAddress) -> bool {
    match address {
        ProtocolAddress::Mac(_) => true,
        ProtocolAddress::Ip(IpAddr::V4(ip)) => {
            !(ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast() || ip.is_loopback())
        }
        ProtocolAddress::Ip(IpAddr::V6(ip)) => {
            !(ip.is_unspecified() || ip.is_multicast() || ip.is_loopback())
        }
    }
}

/// The holding time an address is granted, in seconds: what was asked for, but no more than the server's own, so that
/// whoever is told of it, and a port that is found after a restart, ends when the server says so.
pub(super) fn granted(own: u16, cie: &Cie) -> u16 {
    if cie.holding == 0 { own } else { cie.holding.min(own) }
}

/// Who has the first MAC that another router has registered, for the CIE of the NAK.
fn holder(cx: &Context<'_>, from: &Inbound<'_>, codes: &[u8]) -> Option<Vtep> {
    let header = &from.message.header;
    let place = codes.iter().position(|code| *code == code::ALREADY_REGISTERED)?;
    let address = from.message.cies().nth(place)?.address.or(header.source)?;
    let mac = matches!(address, ProtocolAddress::Mac(_)).then_some(address)?;
    let holder = cx.sites.vtep(cx.book.get(mac)?.registered()?)?;
    holder.nbma.same_family(header.nbma).then_some(holder)
}

/// Writes what follows the header of a Registration Reply.
fn write(
    w: &mut Writer<'_>,
    from: &Inbound<'_>,
    own: u16,
    codes: &[u8],
    otherwise: u8,
    mut holder: Option<Vtep>,
    responder: &Cie,
) {
    for (n, cie) in from.message.cies().enumerate() {
        let code = codes.get(n).copied().unwrap_or(otherwise);
        // The holding time of a NAK is 0 (RFC 2332 section 5.2.0.1).
        let holding = if code == code::OK { granted(own, &cie) } else { 0 };
        // Behind NAT it is told where it comes from.
        let nbma = translated(from).map_or(cie.nbma, |_| Some(from.via.path.remote));
        let cie = Cie { code, holding, nbma, ..cie };
        w.cie(&match holder.take_if(|_| code == code::ALREADY_REGISTERED) {
            Some(Vtep { nbma, vni }) => Cie { nbma: Some(nbma), vni: Some(vni), ..cie },
            None => cie,
        });
    }
    for extension in from.message.extensions() {
        match extension.kind {
            kind::RESPONDER => w.extension_cie(kind::RESPONDER, true, responder),
            _ => w.extension(extension),
        };
    }
}
