//! A hub answers where an address lives (RFC 2332 sections 5.2.1 and 5.2.2).

use super::bindings::Spot;
use super::context::{Context, protocol_fault};
use super::contract::statistics::increment;
use super::hub::{Hub, Sender};
use super::peers::{Peer, PeerId};
use crate::time::Instant;
use crate::wire::VpnTag;
use crate::wire::nhrp::{Cie, Extension, Fault, Kind, Message, Protocol, ProtocolAddress, code, flag, kind};
use core::time::Duration;

/// The V bit of a Device Capabilities word: VPN-aware (RFC 2735 section 4.2).
const VPN_AWARE: u8 = 1;

/// For so long a hub remembers whom it told that it does not know an address. A spoke may ask because it heard a
/// station directly before the hub did.
const DENIAL: Duration = Duration::from_secs(60);

impl Hub {
    /// A Resolution Request.
    pub(super) fn resolution(
        &mut self,
        cx: &mut Context<'_>,
        from: Sender,
        message: &Message<'_>,
    ) -> Result<(), Fault> {
        increment(&mut cx.statistics.rx_resolve_req);
        let header = &message.header;
        let (Some(_), Some(wanted)) = (header.source, header.destination) else {
            return Err(protocol_fault(message));
        };
        if message.cies().nth(1).is_some() {
            return Err(protocol_fault(message));
        }
        let answer = match from.peer {
            Some(id) if is_vpn_aware(from.tag, message) => self.answer(cx, id, wanted, header.flags),
            _ => Err(code::PROHIBITED),
        };
        self.reply_resolution(cx, from, message, answer);
        match (from.peer, answer) {
            (Some(id), Ok((_, until))) => {
                self.bindings.answered(wanted, id, until);
                self.sweep_at(cx, until);
            }
            (Some(id), Err(code::NO_BINDING)) => {
                let until = cx.now + DENIAL;
                self.bindings.denied(wanted, id, until, self.settings.max_macs);
                self.sweep_at(cx, until);
            }
            _ => {}
        }
        Ok(())
    }

    /// Where the address lives for this requester, and until when that holds; or a NAK code.
    fn answer(
        &self,
        cx: &Context<'_>,
        requester: PeerId,
        wanted: ProtocolAddress,
        flags: u16,
    ) -> Result<(Cie, Instant), u8> {
        let asks = self.peers.get(requester).ok_or(code::PROHIBITED)?;
        let here = ProtocolAddress::Mac;
        let spot = match self.bindings.get(wanted).and_then(|b| b.spot()) {
            Some(spot) => spot,
            None if self.mac.map(here) == Some(wanted) => Spot::Here,
            None if self.settings.protocol_address(wanted.protocol()) == Some(wanted) => Spot::Here,
            // It may be one of those there was no room for.
            None if self.bindings.len() >= self.settings.max_macs as usize => return Err(code::RESOURCES),
            None => return Err(code::NO_BINDING),
        };
        let cie = Cie { prefix: wanted.host_prefix(), address: Some(wanted), ..Cie::default() };
        let here = Cie { mtu: self.mtu, nbma: Some(asks.path.local), vni: asks.uplink(), ..cie };
        let (cie, until, unique) = match spot {
            Spot::Here => (here, cx.now + cx.holding_time, true),
            // The requester's own site: nothing the tunnel could lead to.
            Spot::Peer(id) if id == requester => return Err(code::NO_BINDING),
            Spot::Peer(id) => {
                let peer = self.peers.get(id).ok_or(code::NO_BINDING)?;
                let until = peer.until().filter(|until| *until > cx.now).ok_or(code::NO_BINDING)?;
                let registered = peer.registered(wanted);
                let mtu = registered.or(peer.registered.first()).map_or(self.mtu, |r| r.mtu);
                let there = Cie { mtu, nbma: Some(peer.nbma), vni: peer.vni, ..cie };
                // No VXLAN between IPv4 and IPv6: the hub stays in between.
                let cie = if peer.nbma.same_family(asks.nbma) { there } else { here };
                (cie, until, registered.is_some_and(|r| r.unique))
            }
        };
        if flags & flag::UNIQUE != 0 && !unique {
            return Err(code::NOT_UNIQUE);
        }
        Ok((Cie { holding: cx.seconds_left(until), ..cie }, until))
    }

    fn reply_resolution(
        &mut self,
        cx: &mut Context<'_>,
        from: Sender,
        message: &Message<'_>,
        answer: Result<(Cie, Instant), u8>,
    ) {
        let mut header = message.header.reply(Kind::ResolutionReply);
        // MACs move; only an address that its owner registered stays where it is (flag D).
        let stable = matches!(header.protocol, Protocol::Ipv4 | Protocol::Ipv6) && answer.is_ok();
        header.flags &= !flag::STABLE;
        if stable {
            header.flags |= flag::STABLE;
        }
        let cie = match answer {
            Ok((cie, _)) => cie,
            Err(code) => Cie::nak(code),
        };
        let responder = self.responder(cx, from, header.protocol);
        cx.send(from.path, from.tag, &header, |w| {
            w.cie(&cie);
            for extension in message.extensions() {
                match (extension.kind, extension.value) {
                    (kind::RESPONDER, _) => w.extension_cie(kind::RESPONDER, true, &responder),
                    (kind::DEVICE_CAPABILITIES, &[a, b, c, d, e, f, g, h]) => {
                        w.extension(Extension::capabilities(&[a, b, c, d, e, f, g, h | VPN_AWARE]))
                    }
                    _ => w.extension(extension),
                };
            }
        });
        let statistics = &mut *cx.statistics;
        let counter = match answer {
            Ok(_) => &mut statistics.tx_resolve_reply_ack,
            Err(code::RESOURCES) => &mut statistics.tx_resolve_reply_nak_resources,
            Err(code::NO_BINDING) => &mut statistics.tx_resolve_reply_nak_no_binding,
            Err(code::NOT_UNIQUE) => &mut statistics.tx_resolve_reply_nak_not_unique,
            Err(_) => &mut statistics.tx_resolve_reply_nak_prohibited,
        };
        increment(counter);
        if answer.is_err() {
            self.count(from.peer, |c| &mut c.tx_nak);
        }
    }

    /// The Responder Address: this hub, with the uplink VNI it gave the peer (RFC 2332 section 5.3.1).
    pub(super) fn responder(&self, cx: &Context<'_>, from: Sender, protocol: Protocol) -> Cie {
        Cie {
            mtu: self.mtu,
            holding: cx.holding_seconds(),
            nbma: Some(from.path.local),
            vni: from.peer.and_then(|id| self.peers.get(id)).and_then(Peer::uplink),
            address: match protocol {
                Protocol::Ethernet => self.mac.map(ProtocolAddress::Mac),
                Protocol::Ipv4 | Protocol::Ipv6 => self.settings.protocol_address(protocol),
            },
            ..Cie::default()
        }
    }
}

/// Whether the requester may ask in a VN (RFC 2735 section 3.3): it says so itself, or its path says which VN it is in.
fn is_vpn_aware(tag: VpnTag, message: &Message<'_>) -> bool {
    let says_so = message.extensions().any(|e| {
        e.kind == kind::DEVICE_CAPABILITIES && matches!(e.value, [_, _, _, v, ..] if v & VPN_AWARE != 0)
    });
    says_so || !matches!(tag, VpnTag::Llc(_))
}
