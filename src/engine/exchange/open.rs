//! What comes in is looked at here, once: whether it can be understood, who sent it, and whether that is within its
//! limits.

use super::super::context::Context;
use super::super::contract::effect::Effects;
use super::super::contract::input::Via;
use super::super::contract::report::Oddity;
use super::super::contract::statistics::{Statistics, increment};
use super::super::limits::TokenBucket;
use super::super::sites::SiteId;
use super::seal::error_indication;
use super::{Arrival, Inbound};
use crate::time::Instant;
use crate::types::Nbma;
use crate::wire::nhrp::{Extension, Fault, Kind, Message, error, kind};

/// What becomes of a packet.
pub enum Fate<'a> {
    /// It is to be acted on.
    Taken(Inbound<'a>),
    /// It is above the limits of its sender.
    Dropped,
    /// It is wrong: the sender, if it is a site this node has to do with, is told so.
    Wrong(Option<SiteId>, Fault),
}

/// Opens a packet for a VN. `hub`: whom it is from if it came by the way to a hub of ours, and the limit of that one.
pub fn open<'a>(
    cx: &mut Context<'_>,
    hub: Option<(SiteId, &mut TokenBucket)>,
    strangers: &mut TokenBucket,
    Arrival { via, octets }: Arrival<'a>,
) -> Fate<'a> {
    let parsed = Message::parse(octets);
    // Who cannot be understood is a stranger: no peer sends such things.
    let known = parsed.as_ref().ok();
    let (site, limit) = match hub.filter(|_| known.is_some()) {
        Some((site, limit)) => (Some(site), Some(limit)),
        None => (known.and_then(|message| client_of(cx, via, message)), None),
    };
    // A client has a limit of its own, and so has a hub of ours; all others share one.
    let member = site.and_then(|site| cx.sites.member_mut(site));
    let limit = limit.or(member.map(|member| &mut member.bucket)).unwrap_or(strangers);
    if limit.take(cx.now).is_err() {
        increment(&mut cx.statistics.rx_rate_limited);
        if let Some(member) = site.and_then(|site| cx.sites.member_mut(site)) {
            increment(&mut member.statistics.rx_rate_limited);
        }
        return Fate::Dropped;
    }
    let message = match parsed {
        Ok(message) => message,
        Err(fault) => {
            increment(&mut cx.statistics.rx_malformed);
            cx.odd(via.path.remote, Oddity::Malformed);
            return Fate::Wrong(site, fault);
        }
    };
    match unknown_extension(&message, octets) {
        Some((kind, fault)) => {
            increment(&mut cx.statistics.rx_unknown_extension);
            cx.odd(via.path.remote, Oddity::UnknownExtension(kind));
            Fate::Wrong(site, fault)
        }
        None => Fate::Taken(Inbound { via, site, message, octets }),
    }
}

/// A packet that names no VN of this node, which is known as `own` (RFC 2735 section 3.4, error 17): what is odd about it, if it
/// was looked at.
pub fn turn_away(
    now: Instant,
    out: &mut Effects,
    statistics: &mut Statistics,
    strangers: &mut TokenBucket,
    arrival: Arrival<'_>,
    own: Nbma,
) -> Option<Oddity> {
    if strangers.take(now).is_err() {
        increment(&mut statistics.rx_rate_limited);
        return None;
    }
    let (fault, oddity) = match Message::parse(arrival.octets) {
        Ok(message) => {
            increment(&mut statistics.rx_unknown_vpn);
            let fault = Fault { code: error::VPN_UNSUPPORTED, offset: 0, header: Some(message.header) };
            (fault, Oddity::UnknownVn(arrival.via.tag))
        }
        Err(fault) => {
            increment(&mut statistics.rx_malformed);
            (fault, Oddity::Malformed)
        }
    };
    error_indication(out, statistics, arrival, (own, None), fault);
    Some(oddity)
}

/// The server's client a packet is from; a packet from elsewhere than its header says is from nobody. After a restart a
/// spoke whose port was found counts: it does not know that it has to register again.
fn client_of(cx: &Context<'_>, via: Via, message: &Message<'_>) -> Option<SiteId> {
    let header = &message.header;
    let remote = via.path.remote;
    match header.kind {
        // It has the server as its source: who confirms is known by what was asked.
        Kind::PurgeReply => {
            let asked = cx
                .sites
                .members_at(remote)
                .find(|(_, member)| member.line.as_ref().is_some_and(|line| line.asked(header.request_id)));
            asked.or_else(|| cx.sites.members_at(remote).next()).map(|(site, _)| site)
        }
        Kind::Error => cx.sites.members_at(remote).next().map(|(site, _)| site),
        _ => {
            let site = cx.sites.find((remote, header.vni))?;
            cx.sites.member(site).filter(|member| member.is_known()).map(|_| site)
        }
    }
}

/// The type and the fault of a request's compulsory extension that is not known here (RFC 2332 section 5.3, error 1).
fn unknown_extension(message: &Message<'_>, packet: &[u8]) -> Option<(u16, Fault)> {
    let request = [Kind::RegistrationRequest, Kind::ResolutionRequest, Kind::PurgeRequest];
    if !request.contains(&message.header.kind) {
        return None;
    }
    let known = [
        kind::RESPONDER,
        kind::FORWARD_TRANSIT,
        kind::REVERSE_TRANSIT,
        kind::VENDOR,
        kind::DEVICE_CAPABILITIES,
    ];
    let unknown: Extension<'_> = message.extensions().find(|e| e.compulsory && !known.contains(&e.kind))?;
    let offset = (unknown.value.as_ptr() as usize).wrapping_sub(packet.as_ptr() as usize).wrapping_sub(4);
    let fault = Fault {
        code: error::UNRECOGNIZED_EXTENSION,
        offset: u16::try_from(offset).unwrap_or(0),
        header: Some(message.header),
    };
    Some((unknown.kind, fault))
}
