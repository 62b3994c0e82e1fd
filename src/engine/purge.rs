//! A hub takes answers back (RFC 2332 section 5.2.5): whoever was told is told again, until it confirms.

use super::bindings::{Change, Spot};
use super::context::{Context, Due, Timer};
use super::contract::effect::{Event, Table};
use super::contract::statistics::increment;
use super::hub::Hub;
use super::peers::{Peer, PeerId, Withdrawal};
use crate::types::Vtep;
use crate::wire::nhrp::{Cie, HOP_COUNT, Header, Kind, ProtocolAddress};
use core::time::Duration;

/// A Purge Request is repeated after this, then after twice as long each time, until it is confirmed or what it
/// withdraws has ended by itself (RFC 2332 section 5.2.5).
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MOST: Duration = Duration::from_secs(8);

impl Hub {
    /// Tells everybody who was given an answer that has become untrue.
    pub(super) fn take_back(&mut self, cx: &mut Context<'_>, address: ProtocolAddress, change: &Change) {
        let old = match change.from {
            Some(Spot::Peer(id)) => self.peers.get(id).and_then(Peer::vtep),
            Some(Spot::Here) | None => None,
        };
        self.take_back_from(cx, address, old, change);
    }

    /// The same for a peer that is gone from the table already.
    pub(super) fn take_back_from(
        &mut self,
        cx: &mut Context<'_>,
        address: ProtocolAddress,
        old: Option<Vtep>,
        change: &Change,
    ) {
        let until = change.until.max(cx.now + cx.holding_time);
        // Its bridge may still think that the station is there.
        if let (Some(Spot::Peer(site)), Some(_)) = (change.from, change.to) {
            self.queue_purge(cx, site, Withdrawal { address, old, until });
        }
        let mut tell = |hub: &mut Hub, id| {
            // To the site where the station is now, no tunnel leads; its own bridge knows.
            if change.to != Some(Spot::Peer(id)) && change.from != Some(Spot::Peer(id)) {
                hub.queue_purge(cx, id, Withdrawal { address, old, until: change.until });
            }
        };
        if change.askers.everybody {
            let everybody: Vec<PeerId> = self.peers.iter().map(|(id, _)| id).collect();
            everybody.into_iter().for_each(|id| tell(self, id));
        } else {
            change.askers.named().iter().for_each(|&id| tell(self, id));
        }
    }

    /// A peer confirmed (RFC 2332 section 5.2.6).
    pub(super) fn purge_confirmed(&mut self, cx: &mut Context<'_>, id: PeerId, request: u32) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        match peer.purges.sent {
            Some((sent, ..)) if sent == request => {
                peer.purges.done();
                cx.timers.clear(&mut peer.purges.alarm);
                self.send_purges(cx, id);
            }
            _ => increment(&mut cx.statistics.rx_unsolicited),
        }
    }

    /// A peer did not confirm in time.
    pub(super) fn purge_due(&mut self, cx: &mut Context<'_>, id: PeerId) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        if let Some((_, count, _)) = peer.purges.sent {
            if peer.purges.can_grow() {
                // A new request for the old ones and the new ones: a lost one does not hold up what came after.
                peer.purges.sent = None;
            } else if peer.purges.waiting.iter().take(count).all(|w| w.until <= cx.now) {
                peer.purges.done();
                increment(&mut cx.statistics.purges_unanswered);
            } else {
                increment(&mut cx.statistics.retransmits);
            }
        }
        self.send_purges(cx, id);
    }

    fn queue_purge(&mut self, cx: &mut Context<'_>, id: PeerId, withdrawal: Withdrawal) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        if !peer.purges.push(withdrawal) {
            increment(&mut cx.statistics.purges_dropped);
            if !core::mem::replace(&mut peer.purges.full, true) {
                cx.out.tell(self.vn, Event::Full(Table::Purges));
            }
        }
        // What one input makes untrue goes out together, when its alarm, due at once, rings.
        if peer.purges.can_grow() {
            let timer = Timer { vn: self.vn, what: Due::Purge(id) };
            cx.timers.set(&mut peer.purges.alarm, cx.now, timer);
        }
    }

    /// Sends the front of the line, or sends it again.
    fn send_purges(&mut self, cx: &mut Context<'_>, id: PeerId) {
        let source = self.mac.map(ProtocolAddress::Mac);
        let Some(peer) = self.peers.get_mut(id) else { return };
        if peer.purges.sent.is_none() {
            // What ended while it waited needs no purge any more.
            peer.purges.waiting.retain(|w| w.until > cx.now);
        }
        let Some(&Withdrawal { address: first, .. }) = peer.purges.waiting.front() else { return };
        let (request, count, tries) = match peer.purges.sent {
            Some((request, count, tries)) => (request, count, tries + 1),
            None => (cx.ids.take(cx.out), peer.purges.batch(), 1),
        };
        peer.purges.sent = Some((request, count, tries));
        let header = Header {
            kind: Kind::PurgeRequest,
            protocol: first.protocol(),
            hop_count: HOP_COUNT,
            flags: 0,
            request_id: request,
            nbma: peer.path.local,
            vni: None,
            source: match first {
                ProtocolAddress::Mac(_) => source,
                ProtocolAddress::Ip(_) => self.settings.protocol_address(first.protocol()),
            },
            destination: peer.address.filter(|a| a.protocol() == first.protocol()),
        };
        let waiting = &peer.purges.waiting;
        cx.send(peer.path, peer.tag, &header, |w| {
            for &Withdrawal { address, old, .. } in waiting.iter().take(count) {
                let old = old.filter(|old| old.nbma.same_family(header.nbma));
                w.cie(&Cie {
                    prefix: address.host_prefix(),
                    nbma: old.map(|o| o.nbma),
                    vni: old.map(|o| o.vni),
                    address: Some(address),
                    ..Cie::default()
                });
            }
        });
        increment(&mut cx.statistics.tx_purge_req);
        increment(&mut peer.statistics.tx_purge_req);
        let delay = (RETRY_FIRST * (1 << (tries - 1).min(6))).min(RETRY_MOST);
        let retry = cx.now + cx.random.around(delay);
        cx.timers.set(&mut peer.purges.alarm, retry, Timer { vn: self.vn, what: Due::Purge(id) });
    }
}
