//! A server tells its clients that there is a shorter way: whoever sends packets to another client by way of this router
//! gets a Traffic Indication, as from Cisco's, and asks where that one is. FRR and Cisco look for no shortcut without.

use super::super::context::Context;
use super::super::contract::statistics::increment;
use super::super::contract::way::Via;
use super::super::limits::{INDICATIONS, TokenBucket};
use super::Server;
use crate::time::Instant;
use crate::wire::nhrp::{Header, Kind, ProtocolAddress};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use std::collections::VecDeque;

/// Who was told of somebody is not told again in this time: it asks, or does not.
const APART: Duration = Duration::from_secs(15);
/// So many pairs are remembered.
const PAIRS: usize = 256;
/// So much of a packet is quoted: its headers, as of Errors of old.
const QUOTED: usize = 68;

/// Who was told lately, of whom.
#[derive(Debug)]
pub struct Indicated {
    pairs: VecDeque<(ProtocolAddress, ProtocolAddress, Instant)>,
    bucket: TokenBucket,
}

impl Default for Indicated {
    fn default() -> Indicated {
        Indicated { pairs: VecDeque::new(), bucket: TokenBucket::new(INDICATIONS) }
    }
}

impl Indicated {
    /// Whether this pair's turn has come, from now on for [`APART`].
    fn is_due(&mut self, now: Instant, from: ProtocolAddress, to: ProtocolAddress) -> bool {
        while self.pairs.front().is_some_and(|(.., at)| now.since(*at) >= APART) {
            self.pairs.pop_front();
        }
        let is_told = self.pairs.iter().any(|(source, destination, _)| (*source, *destination) == (from, to));
        if is_told || self.bucket.take(now).is_err() {
            return false;
        }
        if self.pairs.len() >= PAIRS {
            self.pairs.pop_front();
        }
        self.pairs.push_back((from, to, now));
        true
    }
}

impl Server {
    /// A client sent an IP packet that is to be passed on. If that is to another client, which the sender could reach by
    /// itself, it is told.
    pub fn relayed(&mut self, cx: &mut Context<'_>, via: Via, packet: &[u8]) {
        let Some((from, to)) = addresses(packet) else { return };
        let Some(sender) = cx.sites.find((via.path.remote, None)) else { return };
        let Some(member) = cx.sites.member(sender) else { return };
        if !member.registered.iter().any(|r| r.address.protocol() == to.protocol()) {
            return;
        }
        let holder = cx.book.get(to).and_then(|entry| entry.registered()).filter(|holder| *holder != sender);
        let Some(holder) = holder.and_then(|holder| cx.sites.get(holder)) else { return };
        let is_reached = holder.vni.is_none() && holder.nbma.same_family(via.path.remote);
        if !is_reached || !self.indicated.is_due(cx.now, from, to) {
            return;
        }
        let header = Header {
            kind: Kind::TrafficIndication,
            protocol: to.protocol(),
            // Nobody passes it on; Cisco drops what has none left.
            hop_count: 1,
            flags: 0,
            request_id: 0,
            nbma: cx.name_of(via.path.local),
            vni: None,
            source: cx.sites.own(to.protocol()),
            destination: Some(from),
        };
        let quoted = packet.get(..QUOTED).unwrap_or(packet);
        cx.send(via, &header, None, |w| {
            w.packet_in_error(quoted);
        });
        increment(&mut cx.statistics.tx_indications);
    }
}

/// From where to where an IP packet goes.
fn addresses(packet: &[u8]) -> Option<(ProtocolAddress, ProtocolAddress)> {
    let v4 = |at: usize| {
        let octets: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
        Some(ProtocolAddress::Ip(IpAddr::V4(Ipv4Addr::from(octets))))
    };
    let v6 = |at: usize| {
        let octets: [u8; 16] = packet.get(at..at + 16)?.try_into().ok()?;
        Some(ProtocolAddress::Ip(IpAddr::V6(Ipv6Addr::from(octets))))
    };
    match packet.first()? >> 4 {
        4 => v4(12).zip(v4(16)),
        6 => v6(8).zip(v6(24)),
        _ => None,
    }
}
