//! A server answers where an address lives (RFC 2332 sections 5.2.1 and 5.2.2).

use super::super::context::Context;
use super::super::contract::statistics::increment;
use super::super::exchange::{Inbound, Trust};
use super::super::sites::SiteId;
use super::Server;
use crate::time::Instant;
use crate::wire::VpnTag;
use crate::wire::nhrp::{Cie, Extension, Fault, Kind, Protocol, ProtocolAddress, Writer, code, flag, kind};
use core::time::Duration;

/// The V bit of a Device Capabilities word: VPN-aware (RFC 2735 section 4.2).
const VPN_AWARE: u8 = 1;

/// For so long a server remembers whom it told that it does not know an address. A spoke may ask because it heard a
/// station directly before the hub did.
pub(super) const DENIAL: Duration = Duration::from_secs(60);

/// What is said of an address, and until when that holds; or a NAK code.
type Answer = Result<(Cie, Instant), u8>;

impl Server {
    /// A Resolution Request.
    pub(super) fn resolution(&mut self, cx: &mut Context<'_>, from: &Inbound<'_>) -> Result<(), Fault> {
        increment(&mut cx.statistics.rx_resolve_req);
        let header = &from.message.header;
        let (Some(_), Some(wanted)) = (header.source, header.destination) else {
            return Err(from.protocol_fault());
        };
        if from.message.cies().nth(1).is_some() {
            return Err(from.protocol_fault());
        }
        if from.trust == Trust::Wrong || self.lacks_session(from) {
            // It registers, and asks again.
            self.reply_resolution(cx, from, Err(code::PROHIBITED));
            return Ok(());
        }
        // It may be known in a moment; who asks asks again.
        if !self.is_listed && !self.knows(cx, wanted) || self.is_kept(cx, wanted) {
            return Ok(());
        }
        if let Some(hub) = self.other_hub(cx, from, wanted) {
            self.ask_hub(cx, hub, from, wanted);
            return Ok(());
        }
        let answer = match from.site {
            Some(site) if is_vpn_aware(from) => self.answer(cx, site, from, wanted),
            _ => Err(code::PROHIBITED),
        };
        self.conclude(cx, from, wanted, answer);
        Ok(())
    }

    /// Answers, and remembers who asked.
    fn conclude(
        &mut self,
        cx: &mut Context<'_>,
        from: &Inbound<'_>,
        wanted: ProtocolAddress,
        answer: Answer,
    ) {
        if !self.reply_resolution(cx, from, answer) {
            return;
        }
        let until = match answer {
            Ok((_, until)) => until,
            Err(code::NO_BINDING) => cx.now + DENIAL,
            Err(_) => return,
        };
        if let Some(site) = from.site {
            cx.book.asked(wanted, site, until, self.settings.max_macs as usize);
            self.sweep_at(cx, until);
        }
    }

    /// The other hub that is to be asked about an address, since it is behind it and who asks is no hub.
    fn other_hub(&self, cx: &Context<'_>, from: &Inbound<'_>, wanted: ProtocolAddress) -> Option<SiteId> {
        let hub = cx.book.get(wanted)?.site().filter(|site| Server::is_hub(cx, *site))?;
        (!Server::is_of_hub(cx, from) && is_vpn_aware(from)).then_some(hub)
    }

    /// Another hub was asked where an address is, and said so, that it is at itself, or nothing.
    pub(super) fn answer_for_hub(
        &mut self,
        cx: &mut Context<'_>,
        from: &Inbound<'_>,
        wanted: ProtocolAddress,
        found: Option<&Cie>,
        is_itself: bool,
    ) {
        let answer = found.ok_or(code::NO_BINDING).and_then(|cie| {
            let own = cx.holding_time;
            let left = Duration::from_secs(cie.holding.into()).min(own);
            let is_direct = !is_itself && cie.nbma.is_some_and(|at| at.same_family(from.via.path.remote));
            let here = self.here(cx, from, wanted);
            let cie = Cie { prefix: here.prefix, address: here.address, code: code::OK, ..*cie };
            if from.message.header.flags & flag::UNIQUE != 0 {
                return Err(code::NOT_UNIQUE);
            }
            let until = cx.now + left;
            Ok((Cie { holding: cx.seconds_left(until), ..if is_direct { cie } else { here } }, until))
        });
        self.conclude(cx, from, wanted, answer);
    }

    /// Who asks gets there by this server.
    fn here(&self, cx: &Context<'_>, from: &Inbound<'_>, wanted: ProtocolAddress) -> Cie {
        let uplink = from.site.and_then(|site| cx.sites.member(site)).and_then(|member| member.uplink());
        Cie {
            prefix: wanted.host_prefix(),
            address: Some(wanted),
            mtu: cx.mtu,
            nbma: Some(cx.name_of(from.via.path.local)),
            vni: uplink,
            ..Cie::default()
        }
    }

    fn knows(&self, cx: &Context<'_>, wanted: ProtocolAddress) -> bool {
        cx.book.get(wanted).and_then(|entry| entry.site()).is_some() || cx.sites.is_own(wanted)
    }

    fn has_left_out(&self, cx: &Context<'_>, wanted: ProtocolAddress) -> bool {
        matches!(wanted, ProtocolAddress::Mac(_)) && cx.book.stations() >= self.settings.max_macs as usize
    }

    /// Where the address lives for who asks.
    fn answer(&self, cx: &Context<'_>, asks: SiteId, from: &Inbound<'_>, wanted: ProtocolAddress) -> Answer {
        let known = cx.book.get(wanted).and_then(|entry| entry.site());
        let site = match known {
            Some(site) => site,
            None if cx.sites.is_own(wanted) => SiteId::HERE,
            // It may be one of those there was no room for.
            None if self.has_left_out(cx, wanted) => return Err(code::RESOURCES),
            None => return Err(code::NO_BINDING),
        };
        let cie = Cie { prefix: wanted.host_prefix(), address: Some(wanted), ..Cie::default() };
        let here = self.here(cx, from, wanted);
        let (cie, until, unique) = if site == SiteId::HERE {
            (here, cx.now + cx.holding_time, true)
        } else if site == asks || Server::is_hub(cx, site) {
            // The requester's own site: nothing the tunnel could lead to. And a hub is told of this one's own spokes.
            return Err(code::NO_BINDING);
        } else {
            let there = cx.sites.get(site).ok_or(code::NO_BINDING)?;
            let member = there.member.as_deref().ok_or(code::NO_BINDING)?;
            let registered = member.registered(wanted);
            // What is behind a site lasts as long as the last of what it registered.
            let until = registered.map(|r| r.until).or(member.until());
            let until = until.filter(|until| *until > cx.now).ok_or(code::NO_BINDING)?;
            let like = registered.or(member.registered.first());
            let (mtu, preference) = like.map_or((cx.mtu, 0), |r| (r.mtu, r.preference));
            let direct = Cie { mtu, preference, nbma: Some(there.nbma), vni: there.vni, ..cie };
            // No VXLAN between IPv4 and IPv6: the hub stays in between.
            let cie = if there.nbma.same_family(from.via.path.remote) { direct } else { here };
            (cie, until, registered.is_some_and(|r| r.unique))
        };
        if from.message.header.flags & flag::UNIQUE != 0 && !unique {
            return Err(code::NOT_UNIQUE);
        }
        Ok((Cie { holding: cx.seconds_left(until), ..cie }, until))
    }

    /// Whether it could be sent.
    fn reply_resolution(&mut self, cx: &mut Context<'_>, from: &Inbound<'_>, answer: Answer) -> bool {
        let protocol = from.message.header.protocol;
        // MACs move; only an address that its owner registered stays where it is (flag D).
        let stable = matches!(protocol, Protocol::Ipv4 | Protocol::Ipv6) && answer.is_ok();
        let mut header = from.message.header.reply(Kind::ResolutionReply);
        header.flags &= !flag::STABLE;
        if stable {
            header.flags |= flag::STABLE;
        }
        let cie = match answer {
            Ok((cie, _)) => cie,
            // OpenNHRP keeps it for the prefix it says: none there would be for all addresses.
            Err(code) => match header.destination {
                Some(wanted @ ProtocolAddress::Ip(_)) => {
                    Cie { prefix: wanted.host_prefix(), ..Cie::nak(code) }
                }
                _ => Cie::nak(code),
            },
        };
        let responder = self.responder(cx, from, protocol);
        let challenge = cx.challenge(from);
        let sent = cx.reply(from, &header, |w| {
            write(w, from, &cie, &responder);
            if let Some(challenge) = challenge {
                w.challenge(challenge);
            }
        });
        if !sent {
            return false;
        }
        let statistics = &mut *cx.statistics;
        if challenge.is_some() {
            increment(&mut statistics.tx_challenge);
        }
        increment(match answer {
            Ok(_) => &mut statistics.tx_resolve_reply_ack,
            Err(code::RESOURCES) => &mut statistics.tx_resolve_reply_nak_resources,
            Err(code::NO_BINDING) => &mut statistics.tx_resolve_reply_nak_no_binding,
            Err(code::NOT_UNIQUE) => &mut statistics.tx_resolve_reply_nak_not_unique,
            Err(_) => &mut statistics.tx_resolve_reply_nak_prohibited,
        });
        if answer.is_err() {
            if let Some(member) = from.site.and_then(|site| cx.sites.member_mut(site)) {
                increment(&mut member.statistics.tx_nak);
            }
        }
        true
    }

    /// The Responder Address: this server, with the uplink VNI it gave who asks (RFC 2332 section 5.3.1).
    pub(super) fn responder(&self, cx: &Context<'_>, from: &Inbound<'_>, protocol: Protocol) -> Cie {
        Cie {
            mtu: cx.mtu,
            holding: cx.holding_seconds(),
            nbma: Some(cx.name_of(from.via.path.local)),
            vni: from.site.and_then(|site| cx.sites.member(site)).and_then(|member| member.uplink()),
            // The one it was asked at, of several.
            address: from
                .message
                .header
                .destination
                .filter(|a| cx.sites.is_own(*a))
                .or(cx.sites.own(protocol)),
            ..Cie::default()
        }
    }
}

fn write(w: &mut Writer<'_>, from: &Inbound<'_>, cie: &Cie, responder: &Cie) {
    w.cie(cie);
    for extension in from.extensions() {
        match (extension.kind, extension.value) {
            (kind::RESPONDER, _) => w.extension_cie(kind::RESPONDER, true, responder),
            (kind::DEVICE_CAPABILITIES, &[a, b, c, d, e, f, g, h]) => {
                w.extension(Extension::capabilities(&[a, b, c, d, e, f, g, h | VPN_AWARE]))
            }
            _ => w.extension(extension),
        };
    }
}

/// Whether the requester may ask in a VN (RFC 2735 section 3.3): it says so itself, or its path says which VN it is in.
fn is_vpn_aware(from: &Inbound<'_>) -> bool {
    let says_so = from.message.extensions().any(|e| {
        e.kind == kind::DEVICE_CAPABILITIES && matches!(e.value, [_, _, _, v, ..] if v & VPN_AWARE != 0)
    });
    says_so || !matches!(from.via.tag, VpnTag::Llc(_))
}
