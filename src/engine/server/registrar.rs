//! A server takes registrations (RFC 2332 sections 5.2.3 and 5.2.4).

use super::super::context::Context;
use super::super::contract::effect::Event;
use super::super::contract::input::Outcome;
use super::super::contract::item::{Item, Port, Wanted};
use super::super::contract::reason::{Refusal, Why};
use super::super::contract::settings::VpnMode;
use super::super::contract::statistics::increment;
use super::super::exchange::session::Order;
use super::super::exchange::{Inbound, KeyId, Reply, Trust};
use super::super::limits::{ADDRESSES_PER_CLIENT, CIES_PER_REQUEST, NEIGHBOURS_APART, REFUSALS};
use super::super::member::{MemberPort, Registered};
use super::super::sites::SiteId;
use super::admission::{granted, is_for_anybody, translated};
use super::claim::Heard;
use super::mesh::unbelieved;
use super::{Server, came, ip, mac, went};
use crate::time::Instant;
use crate::types::{Label, Nbma, Vtep};
use crate::wire::nhrp::{Cie, Fault, Header, Kind, Protocol, ProtocolAddress, Sent, Writer, code, kind};
use core::time::Duration;

/// In it so many refusals of strangers are told.
const MINUTE: Duration = Duration::from_secs(60);

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
            Trust::Session
                if from.site.is_some_and(|site| self.is_given_up(cx, site))
                    || self.is_unclaimed(cx, from) =>
            {
                self.challenge(cx, &unbelieved(from));
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
        let (begins, is_hub) = (from.trust == Trust::Cookie, Server::is_hub(cx, site));
        if begins && !is_hub {
            self.claim(cx, site);
        }
        match self.wanted_port(cx, site, from) {
            Ok(port) => self.promise(cx, site, from, &codes, port),
            Err(code) => {
                self.remove(cx, site, Why::Stopped);
                self.refuse(cx, from, code);
            }
        }
        if begins && is_hub {
            self.hub_begins(cx, site);
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

    /// What became of a port that was to be made or changed.
    pub(super) fn became(&mut self, cx: &mut Context<'_>, spoke: Vtep, outcome: Outcome) {
        let Some(site) = cx.sites.find((spoke.nbma, Some(spoke.vni))) else { return };
        let Some(member) = cx.sites.member_mut(site) else { return };
        let Some(port) = &mut member.port else { return };
        if outcome == Outcome::Made && self.mesh.handovers.waits(site) {
            // It is opened once the other hubs have said that they do not flood to the spoke, and then it is answered.
            return;
        }
        let (uplink, was_up, reply) = (port.uplink, port.is_up, self.replies.remove(&site));
        let is_hub = member.is_hub;
        match outcome {
            Outcome::Made => {
                port.is_up = true;
                if !was_up {
                    cx.tell(came(is_hub, spoke, uplink));
                }
                if let Some(reply) = reply {
                    self.send(cx, site, *reply, None);
                }
                if is_hub && !was_up {
                    self.watch_path(cx, site);
                }
            }
            Outcome::Failed { taken } => {
                member.port = None;
                cx.want(Item::Port(spoke), None);
                self.port_failed(cx, uplink, taken);
                if was_up {
                    cx.tell(went(is_hub, spoke, Why::Stopped));
                }
                // Without a question it is made anew when the spoke registers again.
                if let Some(reply) = reply {
                    self.send(cx, site, *reply, Some(code::RESOURCES));
                    self.remove(cx, site, Why::Stopped);
                }
                if is_hub && taken {
                    self.peer_failed(cx, uplink);
                }
            }
        }
    }

    /// Who registers is a client from now on, and is answered as it came.
    fn enter(&mut self, cx: &mut Context<'_>, from: &Inbound<'_>, source: ProtocolAddress) -> SiteId {
        let header = &from.message.header;
        let site = cx.sites.enter((header.nbma, header.vni));
        let is_hub = header.vni.is_some() && self.is_peers(cx, from);
        if is_hub {
            self.replace_hub(cx, site, from.via.path.remote);
            self.heard_hub(cx, site);
        }
        let is_new = self.become_member(cx, site, is_hub);
        let begins = from.message.tags().filter(|_| from.trust == Trust::Cookie);
        if let Some(there) = cx.sites.get_mut(site) {
            there.set_way(from.via);
            there.key = from.key;
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
            let spoke = cx.sites.vtep(site).zip(cx.keys.spoke(from.key).map(Label::new));
            if let (Some((spoke, name)), Some(key)) = (spoke, cx.keys.name(from.key)) {
                cx.tell(Event::SpokeKnown { spoke, name, key });
            }
            self.forget_former(cx, site, from);
        }
        if let Some(member) = cx.sites.member_mut(site) {
            member.note(cx.now, source, header.request_id);
            member.grace = None;
        }
        if is_new && header.vni.is_some() && !self.has_session(cx, site) {
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
        let former: heapless::Vec<_, ADDRESSES_PER_CLIENT> = former.take(ADDRESSES_PER_CLIENT).collect();
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
        self.is_here_now(cx, site, address);
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
            self.homes.has(cx.now, mac, (there.nbma, cx.keys.spoke(there.key)), self.settings.max_homes());
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
        let home = mac.and_then(|mac| self.homes.of(mac)).filter(|home| *home != spoke.nbma);
        let (key, is_hubs) = (from.key.map(KeyId::spi), Server::is_hub(cx, site));
        let passing = self.passing(cx, site);
        Ok(Some(Port { uplink, local, mode, granted, mac, home, key, is_hubs, passing }))
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
        if there.is_up && !self.replies.contains_key(&site) && !changed && !self.waits_for_hubs(site) {
            return self.reply_registration(cx, &from, codes, code::RESOURCES);
        }
        let own = cx.holding_seconds();
        let header = reply_header(cx, &from);
        let responder = self.responder(cx, &from, header.protocol);
        let holder = holder(cx, &from, codes);
        let sent = self.sent(cx.now, &from);
        let reply = Reply::new(cx, &from, &header, |w| {
            write(w, &from, own, codes, code::RESOURCES, holder, &responder);
            if let Some(sent) = sent {
                w.sent(sent);
            }
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
        let sent = self.sent(cx.now, from);
        let is_sent = cx.reply(from, &header, |w| {
            write(w, from, own, codes, otherwise, holder, &responder);
            if let Some(sent) = sent {
                w.sent(sent);
            }
        });
        if is_sent {
            let all =
                codes.iter().copied().chain((codes.len() < from.message.cies().count()).then_some(otherwise));
            let refused = all.into_iter().find(|code| *code != code::OK);
            let reason = |code| self.bars(cx, from).unwrap_or(Refusal::Nak(code));
            self.answered(cx, from.site, from.via.path.remote, refused.map(reason));
        }
    }

    /// What a reply in a session says of where the spoke is to be: a spoke acts on that alone, and not on what an answer to a
    /// probe says, which nobody signs.
    fn sent(&self, now: Instant, from: &Inbound<'_>) -> Option<Sent> {
        let flags = self.sends_away(now);
        (flags != 0 && matches!(from.trust, Trust::Session | Trust::Cookie)).then_some(Sent(flags))
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
                Refusal::Nak(_) | Refusal::Error(_) | Refusal::NoSession | Refusal::OtherKey(_) => {}
            }
            if let Refusal::Translated { .. } | Refusal::NotAllowed(_) | Refusal::OtherKey(_) = reason {
                self.refused = Some((cx.now, reason));
            }
            if let Some(member) = site.and_then(|site| cx.sites.member_mut(site)) {
                increment(&mut member.statistics.tx_nak);
            }
            let is_known = cx.sites.is_at(spoke);
            if is_known || self.may_tell(cx.now) {
                cx.tell(Event::SpokeRefused { spoke, reason, is_known });
            }
        }
    }

    /// Whether one more refusal of a stranger is told: they do not drive out what is remembered of others.
    fn may_tell(&mut self, now: Instant) -> bool {
        if now.since(self.strangers.0) >= MINUTE {
            self.strangers = (now, 0);
        }
        self.strangers.1 = self.strangers.1.saturating_add(1);
        self.strangers.1 <= REFUSALS
    }
}

/// The header of the reply. Who registers an IP address and does not know the server's, so asks whoever it is, learns it
/// here, as FRR's `nhs dynamic` does.
fn reply_header(cx: &Context<'_>, from: &Inbound<'_>) -> Header {
    let header = from.message.header.reply(Kind::RegistrationReply);
    let is_ip = header.protocol != Protocol::Ethernet;
    let own = cx.sites.own(header.protocol).filter(|_| is_ip && is_for_anybody(&header));
    Header { destination: own.or(header.destination), ..header }
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
    for extension in from.extensions() {
        match extension.kind {
            kind::RESPONDER => w.extension_cie(kind::RESPONDER, true, responder),
            _ => w.extension(extension),
        };
    }
}
