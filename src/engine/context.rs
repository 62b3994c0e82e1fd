//! What every part of the engine needs while it works on one input.

use super::contract::effect::Effects;
use super::contract::input::Path;
use super::contract::settings::VnKey;
use super::contract::statistics::{Statistics, increment};
use super::plane::Plane;
use super::random::Random;
use super::request_id::RequestIds;
use super::timers::Timers;
use super::uplinks::Uplinks;
use crate::time::Instant;
use crate::types::Mac;
use crate::wire::nhrp::{
    Extension, Fault, HOP_COUNT, Header, Kind, Message, Protocol, ProtocolAddress, Writer, error, flag, kind,
};
use crate::wire::{MAX_NHRP, VpnTag};
use core::time::Duration;

/// Whom a deadline belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    pub vn: VnKey,
    pub what: Due,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Spoke: the registration's next step.
    Registration,
    /// Spoke: questions that the rate limit put off.
    Questions,
    /// Spoke: the local MACs are to be announced again.
    Announcements,
    /// Spoke: a MAC's next step.
    Mac(Mac),
    /// Hub: a peer's registration ends.
    Peer(usize),
    /// Hub: a peer has not confirmed a purge.
    Purge(usize),
    /// Hub: look for answers that nobody holds any more.
    Sweep,
}

/// The engine's common things, borrowed for one input.
pub struct Context<'a> {
    pub now: Instant,
    pub out: &'a mut Effects,
    pub statistics: &'a mut Statistics,
    pub ids: &'a mut RequestIds,
    pub random: &'a mut Random,
    pub timers: &'a mut Timers<Timer>,
    pub uplinks: &'a mut Uplinks,
    pub plane: &'a mut Plane,
    pub holding_time: Duration,
}

impl Context<'_> {
    /// The same, counting in `statistics`.
    pub fn counting<'b>(&'b mut self, statistics: &'b mut Statistics, plane: &'b mut Plane) -> Context<'b> {
        Context {
            now: self.now,
            out: self.out,
            statistics,
            ids: self.ids,
            random: self.random,
            timers: self.timers,
            uplinks: self.uplinks,
            plane,
            holding_time: self.holding_time,
        }
    }

    /// Sends what `write` adds to a packet that starts with `header`.
    pub fn send(
        &mut self,
        path: Path,
        tag: VpnTag,
        header: &Header,
        write: impl FnOnce(&mut Writer<'_>),
    ) -> bool {
        self.out.send(path, tag, MAX_NHRP, |buf| {
            let mut writer = Writer::new(buf, header);
            write(&mut writer);
            writer.finish()
        })
    }

    /// Replies to a Purge Request, unless no reply is wanted. It is due even if nothing matches, and is the request with
    /// its type changed (RFC 2332 sections 5.2.5 and 5.2.6).
    pub fn confirm_purge(&mut self, path: Path, tag: VpnTag, request: &Message<'_>) {
        if request.header.flags & flag::NO_REPLY != 0 {
            return;
        }
        let header = request.header.reply(Kind::PurgeReply);
        self.send(path, tag, &header, |w| {
            request.cies().for_each(|cie| {
                w.cie(&cie);
            });
            request.extensions().for_each(|extension| {
                w.extension(extension);
            });
        });
        increment(&mut self.statistics.tx_purge_reply);
    }

    /// Reports `fault` in `packet` to its sender (RFC 2332 section 5.2.7): never about an Error Indication.
    pub fn send_error(
        &mut self,
        path: Path,
        tag: VpnTag,
        source: Option<ProtocolAddress>,
        fault: Fault,
        packet: &[u8],
    ) {
        if packet.get(17) == Some(&(Kind::Error as u8)) {
            return;
        }
        let protocol = fault.header.map_or(Protocol::Ethernet, |h| h.protocol);
        let header = Header {
            kind: Kind::Error,
            protocol,
            hop_count: HOP_COUNT,
            flags: 0,
            request_id: Header::error_word(fault.code, fault.offset),
            nbma: path.local,
            vni: None,
            source: source.filter(|s| s.protocol() == protocol),
            destination: fault.header.and_then(|h| h.source),
        };
        self.send(path, tag, &header, |w| {
            w.packet_in_error(packet);
        });
        increment(&mut self.statistics.tx_error);
    }

    /// Seconds from now until `until`, as a CIE's holding time says them: the time left (RFC 2332 section 5.2.2).
    pub fn seconds_left(&self, until: Instant) -> u16 {
        u16::try_from(until.since(self.now).as_millis().div_ceil(1000)).unwrap_or(u16::MAX)
    }

    /// This node's holding time in seconds.
    pub fn holding_seconds(&self) -> u16 {
        u16::try_from(self.holding_time.as_secs()).unwrap_or(u16::MAX)
    }
}

/// The fault in a request whose compulsory extension is not known here (RFC 2332 section 5.3, error 1).
pub fn unknown_extension(message: &Message<'_>, packet: &[u8]) -> Option<Fault> {
    let known = [kind::RESPONDER, kind::FORWARD_TRANSIT, kind::REVERSE_TRANSIT, kind::VENDOR];
    let unknown: Extension<'_> = message.extensions().find(|e| e.compulsory && !known.contains(&e.kind))?;
    let offset = (unknown.value.as_ptr() as usize).wrapping_sub(packet.as_ptr() as usize).wrapping_sub(4);
    Some(Fault {
        code: error::UNRECOGNIZED_EXTENSION,
        offset: u16::try_from(offset).unwrap_or(0),
        header: Some(message.header),
    })
}

/// The fault of a request that lacks what it needs, or has too much of it.
pub fn protocol_fault(message: &Message<'_>) -> Fault {
    Fault { code: error::PROTOCOL, offset: 0, header: Some(message.header) }
}
