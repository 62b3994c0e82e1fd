//! A hub takes registrations (RFC 2332 sections 5.2.3 and 5.2.4).

use super::context::{Context, protocol_fault};
use super::contract::effect::{Event, Refusal, Table, Why};
use super::contract::statistics::increment;
use super::hub::{Hub, Sender, ip};
use super::limits::CIES_PER_REQUEST;
use super::peers::{Peer, PeerId, PeerName, Port, Registered};
use super::plane;
use crate::types::{Nbma, Vtep};
use crate::wire::nhrp::{Cie, Fault, Kind, Message, ProtocolAddress, code, flag, kind};
use core::time::Duration;

/// The result code of each CIE, in their order.
type Codes = heapless::Vec<u8, CIES_PER_REQUEST>;

impl Hub {
    /// A Registration Request. A spoke that is new, or new with a MAC, gets its port first and its answer then:
    /// the way to it must be there before the reply (RFC 2332 section 5.2.4).
    pub(super) fn register(
        &mut self,
        cx: &mut Context<'_>,
        from: Sender,
        message: &Message<'_>,
        bytes: &[u8],
    ) -> Result<(), Fault> {
        let header = &message.header;
        let (Some(source), Some(_)) = (header.source, message.cies().next()) else {
            return Err(protocol_fault(message));
        };
        if let Err(code) = self.admit(from, message) {
            self.refuse(cx, from, message, code);
            return Ok(());
        }
        let name = (header.nbma, header.vni);
        if !self.take_place(cx, name, source) {
            self.refuse(cx, from, message, code::RESOURCES);
            return Ok(());
        }
        let known = self.peers.find(name);
        if known.is_none() && self.peers.len() >= usize::from(self.settings.max_spokes) {
            self.table_full(cx, Table::Spokes);
            self.refuse(cx, from, message, code::RESOURCES);
            return Ok(());
        }
        let id = known.unwrap_or_else(|| self.peers.insert(Peer::new(name, from.path, from.tag)));
        if self.needs_port(id, message) {
            self.ask_for_port(cx, id, from, message, bytes);
            return Ok(());
        }
        let mut codes = Codes::new();
        for cie in message.cies().take(CIES_PER_REQUEST) {
            let code = self.register_one(cx, id, message, &cie);
            // There is room: no more than CIES_PER_REQUEST are looked at.
            let _ = codes.push(code);
        }
        if let Some(peer) = self.peers.get_mut(id) {
            // What is refused changes nothing for who is registered from elsewhere.
            if codes.contains(&code::OK) {
                peer.path = from.path;
                peer.tag = from.tag;
                peer.address = Some(source);
                peer.grace = None;
            }
        }
        let refused = codes.iter().copied().find(|c| *c != code::OK);
        let sender = Sender { peer: Some(id), ..from };
        self.reply_registration(
            cx,
            sender,
            message,
            |n| codes.get(n).copied().unwrap_or(code::RESOURCES),
            refused,
        );
        self.settle(cx, id, Why::Expired);
        Ok(())
    }

    /// The port is there: the request that waited for it is answered.
    pub(super) fn register_again(&mut self, cx: &mut Context<'_>, id: PeerId, request: &[u8]) {
        if let Some((from, message)) = self.waiting(id, request) {
            // It was looked at before: what could be wrong with it would have been found.
            let _ = self.register(cx, from, &message, request);
        }
    }

    /// There is no port for it: the request that waited is refused.
    pub(super) fn refuse_again(&mut self, cx: &mut Context<'_>, id: PeerId, request: &[u8]) {
        if let Some((from, message)) = self.waiting(id, request) {
            self.refuse(cx, from, &message, code::RESOURCES);
        }
        self.settle(cx, id, Why::Stopped);
    }

    fn waiting<'p>(&self, id: PeerId, request: &'p [u8]) -> Option<(Sender, Message<'p>)> {
        let peer = self.peers.get(id)?;
        let from = Sender { path: peer.path, tag: peer.tag, peer: Some(id) };
        Some((from, Message::parse(request).ok()?))
    }

    /// Whether the request is for this hub, and from where it says.
    fn admit(&self, from: Sender, message: &Message<'_>) -> Result<(), u8> {
        let header = &message.header;
        // Behind a NAT the outer address is not the one the client knows: no VXLAN would reach it.
        if header.nbma != from.path.remote {
            return Err(code::PROHIBITED);
        }
        let own = match header.destination {
            None => true,
            destination if destination == header.source => true,
            Some(ProtocolAddress::Mac(mac)) => Some(mac) == self.mac,
            destination => destination == self.settings.protocol_address(header.protocol),
        };
        if own { Ok(()) } else { Err(code::PROHIBITED) }
    }

    /// With shared ports, which tell VTEPs apart but not their VNIs, an address has one site. A router that comes back
    /// with another VNI replaces what it was; `false` if another site is there.
    fn take_place(&mut self, cx: &mut Context<'_>, name: PeerName, source: ProtocolAddress) -> bool {
        let (true, (nbma, Some(vni))) = (self.settings.shared_uplink, name) else { return true };
        let there = self.peers.at(nbma).find_map(|id| {
            let peer = self.peers.get(id)?;
            Some((id, peer, peer.vni?)).filter(|_| peer.name() != name)
        });
        let Some((id, peer, registered)) = there else { return true };
        // Without a registration it is a port found at the start.
        if !peer.registered.is_empty() && peer.registered(source).is_none() {
            cx.out.tell(self.vn, Event::SecondSite { spoke: Vtep { nbma, vni }, registered });
            return false;
        }
        self.remove_peer(cx, id, Why::Replaced);
        true
    }

    fn needs_port(&self, id: PeerId, message: &Message<'_>) -> bool {
        let Some(peer) = self.peers.get(id) else { return false };
        peer.vni.is_some()
            && matches!(message.header.source, Some(ProtocolAddress::Mac(_)))
            && !matches!(peer.port, Port::Up { .. })
    }

    fn ask_for_port(
        &mut self,
        cx: &mut Context<'_>,
        id: PeerId,
        from: Sender,
        message: &Message<'_>,
        bytes: &[u8],
    ) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        peer.path = from.path;
        peer.tag = from.tag;
        let Some(spoke) = peer.vtep() else { return };
        // Asked for already: the newest request is the one to answer.
        if let Port::Asked { request, .. } = &mut peer.port {
            bytes.clone_into(request);
            return;
        }
        let Some(uplink) = self.take_uplink(cx, spoke) else {
            self.table_full(cx, Table::Spokes);
            self.refuse(cx, from, message, code::RESOURCES);
            self.settle(cx, id, Why::Stopped);
            return;
        };
        let Some(peer) = self.peers.get_mut(id) else { return };
        peer.port = Port::Asked { uplink, request: bytes.to_vec() };
        cx.plane.set_port(cx.out, spoke, Some(plane::Port { uplink, local: from.path.local }));
    }

    /// Takes one CIE in, or says by its code why not.
    fn register_one(&mut self, cx: &mut Context<'_>, id: PeerId, message: &Message<'_>, cie: &Cie) -> u8 {
        let header = &message.header;
        // What a CIE leaves out stands in the header (RFC 2332 section 5.2.3).
        let Some(address) = cie.address.or(header.source) else { return code::PROHIBITED };
        let theirs =
            cie.nbma.is_none_or(|n| n == header.nbma) && cie.vni.is_none_or(|v| Some(v) == header.vni);
        let host = [0, 0xff, address.host_prefix()].contains(&cie.prefix);
        let without_port = matches!(address, ProtocolAddress::Mac(_)) && header.vni.is_none();
        // Nobody registers for another station, and nobody a range.
        if !theirs || !host || without_port || cie.code != code::OK {
            return code::PROHIBITED;
        }
        let unique = header.flags & flag::REGISTRATION_UNIQUE != 0;
        let holder = self.bindings.get(address).and_then(|b| b.registered()).filter(|holder| *holder != id);
        if let Some(holder) = holder {
            if self.is_unique_elsewhere(holder, address, header.nbma) {
                return code::ALREADY_REGISTERED;
            }
        }
        let holding = match cie.holding {
            0 => cx.holding_time,
            seconds => Duration::from_secs(seconds.into()),
        };
        let registered = Registered { address, unique, mtu: cie.mtu, until: cx.now + holding };
        let Some(peer) = self.peers.get_mut(id) else { return code::RESOURCES };
        let before = peer.registered.iter_mut().find(|r| r.address == address);
        let new = before.is_none();
        match before {
            Some(before) => *before = registered,
            None => {
                if peer.registered.push(registered).is_err() {
                    return code::RESOURCES;
                }
            }
        }
        if new {
            self.move_registration(cx, id, holder, address, header.nbma);
        }
        code::OK
    }

    /// Whether `holder`, at another underlay address than `nbma`, registered the address for itself alone.
    fn is_unique_elsewhere(&self, holder: PeerId, address: ProtocolAddress, nbma: Nbma) -> bool {
        self.peers
            .get(holder)
            .is_some_and(|p| p.nbma != nbma && p.registered(address).is_some_and(|r| r.unique))
    }

    fn move_registration(
        &mut self,
        cx: &mut Context<'_>,
        id: PeerId,
        holder: Option<PeerId>,
        address: ProtocolAddress,
        nbma: Nbma,
    ) {
        if let Some(change) = self.bindings.register(cx.now, address, id) {
            self.take_back(cx, address, &change);
        }
        if let Some(holder) = holder {
            if let Some(peer) = self.peers.get_mut(holder) {
                peer.registered.retain(|r| r.address != address);
            }
            self.settle(cx, holder, Why::Expired);
        }
        if let Some(address) = ip(address) {
            cx.plane.set_neighbour(cx.out, address, Some(nbma));
        }
    }

    /// The reply that takes nothing in.
    fn refuse(&mut self, cx: &mut Context<'_>, from: Sender, message: &Message<'_>, code: u8) {
        self.reply_registration(cx, from, message, |_| code, Some(code));
    }

    /// The reply: the request with the codes filled in, and the hub's address and uplink VNI where it was asked for.
    fn reply_registration(
        &mut self,
        cx: &mut Context<'_>,
        from: Sender,
        message: &Message<'_>,
        code_of: impl Fn(usize) -> u8,
        refused: Option<u8>,
    ) {
        let header = message.header.reply(Kind::RegistrationReply);
        let responder = self.responder(cx, from, header.protocol);
        cx.send(from.path, from.tag, &header, |w| {
            for (n, cie) in message.cies().enumerate() {
                let code = code_of(n);
                // The holding time of a NAK is 0 (RFC 2332 section 5.2.0.1).
                let holding = if code == code::OK { cie.holding } else { 0 };
                w.cie(&Cie { code, holding, ..cie });
            }
            for extension in message.extensions() {
                match extension.kind {
                    kind::RESPONDER => w.extension_cie(kind::RESPONDER, true, &responder),
                    _ => w.extension(extension),
                };
            }
        });
        let statistics = &mut *cx.statistics;
        let counter = match refused {
            None => &mut statistics.tx_register_ack,
            Some(code::RESOURCES) => &mut statistics.tx_register_nak_resources,
            Some(code::ALREADY_REGISTERED) => &mut statistics.tx_register_nak_already_registered,
            Some(_) => &mut statistics.tx_register_nak_prohibited,
        };
        increment(counter);
        if let Some(code) = refused {
            self.count(from.peer, |c| &mut c.tx_nak);
            cx.out.tell(self.vn, Event::SpokeRefused { spoke: from.path.remote, reason: Refusal::Nak(code) });
        }
    }
}
