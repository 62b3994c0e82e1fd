//! What comes in is looked at here, once: whether it can be understood, who sent it, and whether that is within its
//! limits.

use super::super::context::Context;
use super::super::contract::effect::Effects;
use super::super::contract::report::Oddity;
use super::super::contract::statistics::{Statistics, increment};
use super::super::contract::way::Via;
use super::super::limits::TokenBucket;
use super::super::member::Member;
use super::super::sites::SiteId;
use super::gate::Gate;
use super::key::KeyId;
use super::seal::{Proof, error_indication};
use super::session::same;
use super::{Arrival, Inbound, Trust};
use crate::time::Instant;
use crate::types::Nbma;
use crate::wire::nhrp::{Extension, Fault, Kind, Message, Protocol, Tags, error, kind};

/// What becomes of a packet.
pub enum Fate<'a> {
    /// It is to be acted on.
    Taken(Inbound<'a>),
    /// It is above the limits of its sender.
    Dropped,
    /// It is wrong: the sender, if it is a site this node has to do with, is told so, by the key that it used.
    Wrong(Option<SiteId>, Option<KeyId>, Fault),
}

/// Opens a packet for a VN. `hub`: whom it is from if it came by the way to a hub of ours, and the limit of that one.
/// `may_register`: whether who is at its address may.
///
/// What bears the right tags never touches a limit that it shares with others; what does not never touches its site's.
pub fn open<'a>(
    cx: &mut Context<'_>,
    hub: Option<(SiteId, &mut TokenBucket)>,
    may_register: bool,
    (strangers, newcomers): (&mut TokenBucket, &mut Gate),
    Arrival { via, octets }: Arrival<'a>,
) -> Fate<'a> {
    let parsed = Message::parse(octets);
    // Who cannot be understood is a stranger: no peer sends such things.
    let known = parsed.as_ref().ok();
    let key = match known.map_or(Ok(None), |message| cx.keys.open(message)) {
        Ok(key) => key,
        // Silence: an answer would have to be signed, about whatever a stranger sent. And that it is, wherever it says to be.
        Err(oddity) => {
            if strangers.take(cx.now).is_err() {
                increment(&mut cx.statistics.rx_rate_limited);
                return Fate::Dropped;
            }
            increment(&mut cx.statistics.rx_unauthenticated);
            cx.odd_of(via.path.remote, oddity, false);
            return Fate::Dropped;
        }
    };
    let is_copy = |message: &Message<'_>| hub.is_none() && is_copy(cx, via, message);
    if key.is_some() && known.is_some_and(|message| tags_of(message).is_none() || is_copy(message)) {
        increment(&mut cx.statistics.rx_wrong_tags);
        return Fate::Dropped;
    }
    let (site, trust) = match (known, &hub) {
        (Some(message), Some((hub, _))) => (Some(*hub), of_hub(cx, *hub, message)),
        (Some(message), None) => of_client(cx, via, message, may_register, key),
        (None, _) => (None, Trust::Untagged),
    };
    let member = site.filter(|_| trust != Trust::Wrong).and_then(|site| cx.sites.member_mut(site));
    let is_newcomers =
        may_register && known.is_some_and(|message| message.header.kind == Kind::RegistrationRequest);
    let is_within = match (hub, member) {
        (Some((_, limit)), _) if known.is_some() && trust != Trust::Wrong => limit.take(cx.now).is_ok(),
        (_, Some(member)) => member.bucket.take(cx.now).is_ok(),
        // Nobody has a cookie in vain, and the sessions that begin have a limit of their own.
        _ if trust == Trust::Cookie => true,
        _ if is_newcomers => newcomers.admits(cx.now, via.path.remote),
        _ => strangers.take(cx.now).is_ok(),
    };
    if !is_within {
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
            return if cx.keys.is_required() { Fate::Dropped } else { Fate::Wrong(None, None, fault) };
        }
    };
    // Who has no session yet registers without.
    if trust == Trust::Wrong && message.header.kind != Kind::RegistrationRequest {
        increment(&mut cx.statistics.rx_wrong_tags);
    }
    let trusted = site.filter(|_| trust != Trust::Wrong);
    let expected = cx.authentication.filter(|_| message.header.protocol != Protocol::Ethernet);
    let is_it = |value: &[u8]| {
        message
            .extensions()
            .any(|extension| (extension.kind, extension.value) == (kind::AUTHENTICATION, value))
    };
    if expected.is_some_and(|value| !is_it(value)) {
        increment(&mut cx.statistics.rx_unauthenticated);
        cx.odd(via.path.remote, Oddity::Unauthenticated);
        let header = Some(message.header);
        return Fate::Wrong(trusted, key, Fault { code: error::AUTHENTICATION, offset: 0, header });
    }
    match unknown_extension(&message, octets, expected.is_some() || key.is_some()) {
        Some((kind, fault)) => {
            increment(&mut cx.statistics.rx_unknown_extension);
            cx.odd(via.path.remote, Oddity::UnknownExtension(kind));
            Fate::Wrong(trusted, key, fault)
        }
        None => Fate::Taken(Inbound { via, site, trust, key, message, octets }),
    }
}

/// A packet that names no VN of this node, which is known as `own` (RFC 2735 section 3.4, error 17): what is odd about it, if it
/// was looked at.
pub fn turn_away(
    now: Instant,
    out: &mut Effects,
    statistics: &mut Statistics,
    (strangers, complaints): (&mut TokenBucket, &mut TokenBucket),
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
    if complaints.take(now).is_ok() {
        error_indication(out, statistics, arrival, (own, None), Proof::default(), fault);
    }
    Some(oddity)
}

/// What speaks for it that a packet is from a hub of ours.
fn of_hub(cx: &Context<'_>, hub: SiteId, message: &Message<'_>) -> Trust {
    let Some(ours) = cx.sites.tags(hub) else { return Trust::Untagged };
    match tags_of(message) {
        Some(tags) if is_request(message) && ours.receiver != 0 && same(tags, ours.flipped()) => {
            Trust::Session
        }
        // The request may have been sent before the hub had a tag.
        Some(tags) if !is_request(message) && same(Tags { receiver: ours.receiver, ..tags }, ours) => {
            Trust::Session
        }
        _ => Trust::Wrong,
    }
}

/// The server's client a packet is from, if something speaks for that; a packet from elsewhere than its header says is from
/// nobody.
fn of_client(
    cx: &Context<'_>,
    via: Via,
    message: &Message<'_>,
    may_register: bool,
    key: Option<KeyId>,
) -> (Option<SiteId>, Trust) {
    let header = &message.header;
    let remote = via.path.remote;
    let tags = tags_of(message);
    if !is_request(message) {
        // It has the server as its source: who it is from is known by what was asked.
        let of_session = |tags| {
            let mut there = cx.sites.members_at(remote).map(|(site, _)| site);
            there.find(|site| {
                let site = cx.sites.get(*site).filter(|site| cx.keys.speaks_for(key, site.key));
                site.and_then(|site| site.tags).is_some_and(|ours| same(tags, ours))
            })
        };
        return match tags.filter(|tags| *tags != Tags::default()) {
            Some(tags) => of_session(tags).map_or((None, Trust::Wrong), |site| (Some(site), Trust::Session)),
            None => untagged(cx, remote),
        };
    }
    let site = cx.sites.find((remote, header.vni));
    let site = site.filter(|site| cx.sites.member(*site).is_some_and(Member::is_known));
    let there = site.and_then(|site| cx.sites.get(site));
    let ours = there.and_then(|site| site.tags);
    let speaks = there.is_none_or(|there| cx.keys.speaks_for(key, there.key));
    match (tags, ours) {
        (Some(tags), Some(ours)) if speaks && same(tags, ours.flipped()) => (site, Trust::Session),
        (None, None) => (site, Trust::Untagged),
        (Some(_), _) if may_register && header.kind == Kind::RegistrationRequest && header.nbma == remote => {
            let live = cx.begun((remote, header.vni));
            match cx.sessions.is_returned(cx.now, cx.vpn_id, (via, message, cx.keys.spoke(key)), live) {
                true => (None, Trust::Cookie),
                false => (None, Trust::Wrong),
            }
        }
        (Some(_), _) | (None, Some(_)) => (None, Trust::Wrong),
    }
}

/// A reply, or an error, of who has no session.
fn untagged(cx: &Context<'_>, remote: Nbma) -> (Option<SiteId>, Trust) {
    let site = cx.sites.members_at(remote).find(|(_, member)| member.begun.is_none()).map(|(site, _)| site);
    (site, Trust::Untagged)
}

/// Whether it is a request of a site's session, and comes from elsewhere: an answer to it would be one that the site takes for
/// its own, since nothing of the addresses in front of it is signed.
fn is_copy(cx: &Context<'_>, via: Via, message: &Message<'_>) -> bool {
    let header = &message.header;
    let there = || cx.sites.get(cx.sites.find((header.nbma, header.vni))?)?.tags;
    let has_its_tags = || there().zip(message.tags()).is_some_and(|(ours, tags)| same(tags, ours.flipped()));
    header.nbma != via.path.remote && is_request(message) && has_its_tags()
}

/// The tags of a packet; of an error those of the packet it is about, as far as that is included.
fn tags_of(message: &Message<'_>) -> Option<Tags> {
    match message.header.kind {
        Kind::Error => Message::parse(message.packet_in_error()).ok()?.tags(),
        _ => message.tags(),
    }
}

fn is_request(message: &Message<'_>) -> bool {
    let requests = [Kind::RegistrationRequest, Kind::ResolutionRequest, Kind::PurgeRequest];
    requests.contains(&message.header.kind)
}

/// The type and the fault of a request's compulsory extension that is not known here (RFC 2332 section 5.3, error 1).
fn unknown_extension(message: &Message<'_>, packet: &[u8], is_authentic: bool) -> Option<(u16, Fault)> {
    if !is_request(message) {
        return None;
    }
    let known = [
        kind::RESPONDER,
        kind::FORWARD_TRANSIT,
        kind::REVERSE_TRANSIT,
        kind::VENDOR,
        kind::DEVICE_CAPABILITIES,
    ];
    let unknown: Extension<'_> = message.extensions().find(|e| {
        e.compulsory && !known.contains(&e.kind) && !(is_authentic && e.kind == kind::AUTHENTICATION)
    })?;
    let offset = (unknown.value.as_ptr() as usize).wrapping_sub(packet.as_ptr() as usize).wrapping_sub(4);
    let fault = Fault {
        code: error::UNRECOGNIZED_EXTENSION,
        offset: u16::try_from(offset).unwrap_or(0),
        header: Some(message.header),
    };
    Some((unknown.kind, fault))
}
