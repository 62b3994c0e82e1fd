//! The only way out: packets are written, and errors are told, here.

use super::super::context::Context;
use super::super::contract::effect::{Effect, Effects};
use super::super::contract::statistics::{Statistics, increment};
use super::super::contract::way::Via;
use super::super::sites::SiteId;
use super::session::Count;
use super::{Arrival, Inbound, Trust};
use crate::types::{Nbma, SiteName};
use crate::wire::MAX_NHRP;
use crate::wire::nhrp::{
    Challenge, Cie, Extension, Fault, HOP_COUNT, Header, Kind, Message, Protocol, ProtocolAddress, Writer,
    code, error, flag, kind,
};

impl Context<'_> {
    /// Sends what `write` adds to a packet that starts with `header`. Whether it fit one.
    pub fn send(&mut self, via: Via, header: &Header, write: impl FnOnce(&mut Writer<'_>)) -> bool {
        send(self.out, via, header, self.authentication, write)
    }

    /// Sends a request to a site, in its session if there is one.
    pub fn request(
        &mut self,
        to: SiteId,
        via: Via,
        header: &Header,
        write: impl FnOnce(&mut Writer<'_>),
    ) -> bool {
        let tags = self.sites.tags(to);
        self.send(via, header, |w| {
            write(w);
            if let Some(tags) = tags {
                w.tags(tags);
            }
        })
    }

    /// Answers a request. One whose answer does not fit a packet is told so (RFC 2332 section 5.2.7, error 8).
    pub fn reply(&mut self, to: &Inbound<'_>, header: &Header, write: impl FnOnce(&mut Writer<'_>)) -> bool {
        let sent = self.send(to.via, header, write);
        if !sent {
            self.too_large(to.via, header);
        }
        sent
    }

    /// When the session of a client of this name began, if it is in one.
    pub fn begun(&self, name: SiteName) -> Option<Count> {
        self.sites.member(self.sites.find(name)?)?.begun
    }

    /// What a request with wrong tags is answered with, so that who sent it can come back.
    pub fn challenge(&self, to: &Inbound<'_>) -> Option<Challenge> {
        if to.trust != Trust::Wrong || to.message.header.nbma != to.via.path.remote {
            return None;
        }
        let live = self.begun((to.via.path.remote, to.message.header.vni));
        let cookie = self.sessions.cookie(self.now, self.vpn_id, (to.via, &to.message), live)?;
        Some(Challenge { cookie, tag: to.message.tags()?.sender })
    }

    /// Confirms a Purge Request, unless no reply is wanted. It is due even if nothing matches, and is the request with
    /// its type changed (RFC 2332 sections 5.2.5 and 5.2.6).
    pub fn confirm_purge(&mut self, request: &Inbound<'_>) {
        if request.message.header.flags & flag::NO_REPLY != 0 {
            return;
        }
        let header = request.message.header.reply(Kind::PurgeReply);
        let sent = self.reply(request, &header, |w| {
            request.message.cies().for_each(|cie| {
                w.cie(&cie);
            });
            request.message.extensions().for_each(|extension| {
                w.extension(extension);
            });
        });
        if sent {
            increment(&mut self.statistics.tx_purge_reply);
        }
    }

    /// Tells a sender, `site` if it is one, what is wrong with its packet; all others not too often.
    pub fn complain(&mut self, about: Arrival<'_>, site: Option<SiteId>, fault: Fault) {
        if let Some(member) = site.and_then(|site| self.sites.member_mut(site)) {
            increment(&mut member.statistics.errors);
        }
        if site.is_none() && self.complaints.take(self.now).is_err() {
            return;
        }
        let own = self.sites.own(fault.header.map_or(Protocol::Ethernet, |header| header.protocol));
        let nbma = self.name_of(about.via.path.local);
        error_indication(self.out, self.statistics, about, (nbma, own, self.authentication), fault);
    }

    fn too_large(&mut self, via: Via, header: &Header) {
        let fault = Fault { code: error::SDU_SIZE, offset: 0, header: Some(*header) };
        self.complain(Arrival { via, octets: &[] }, None, fault);
    }
}

/// A Registration Reply that waits for what it promises. It can be sent once.
#[derive(Debug)]
pub struct Reply {
    via: Via,
    octets: Vec<u8>,
}

impl Reply {
    /// A reply that `write` makes; `None` if it does not fit a packet, which the client is told.
    pub fn new(
        cx: &mut Context<'_>,
        via: Via,
        header: &Header,
        write: impl FnOnce(&mut Writer<'_>),
    ) -> Option<Reply> {
        let mut octets = vec![0; MAX_NHRP];
        let mut writer = Writer::new(&mut octets, header);
        write(&mut writer);
        let Some(len) = writer.finish() else {
            cx.too_large(via, header);
            return None;
        };
        octets.truncate(len);
        octets.shrink_to_fit();
        Some(Reply { via, octets })
    }

    /// How it goes.
    pub fn via(&self) -> Via {
        self.via
    }

    /// Sends it; with a code it refuses everything. The worst code that it says.
    pub fn send(self, cx: &mut Context<'_>, refused: Option<u8>) -> Option<u8> {
        let message = Message::parse(&self.octets).ok()?;
        cx.send(self.via, &message.header, |w| {
            for cie in message.cies() {
                w.cie(&match refused {
                    // The holding time of a NAK is 0 (RFC 2332 section 5.2.0.1).
                    Some(code) => Cie { code, holding: 0, ..cie },
                    None => cie,
                });
            }
            for extension in message.extensions() {
                match message.extension_cie(kind::RESPONDER) {
                    // There is no port whose VNI it could name.
                    Some(responder) if refused.is_some() && extension.kind == kind::RESPONDER => {
                        w.extension_cie(kind::RESPONDER, true, &Cie { vni: None, ..responder })
                    }
                    _ => w.extension(extension),
                };
            }
        });
        refused.or_else(|| message.cies().map(|cie| cie.code).find(|code| *code != code::OK))
    }
}

/// Reports the fault in a packet to its sender (RFC 2332 section 5.2.7), in the name of this node's underlay address and,
/// where it has one, its protocol address: never about an Error Indication, nor about what is one of Cisco's kind.
pub fn error_indication(
    out: &mut Effects,
    statistics: &mut Statistics,
    Arrival { via, octets: packet }: Arrival<'_>,
    (nbma, source, authentication): (Nbma, Option<ProtocolAddress>, Option<&[u8]>),
    fault: Fault,
) {
    if [Kind::Error, Kind::TrafficIndication].iter().any(|kind| packet.get(17) == Some(&(*kind as u8))) {
        return;
    }
    let protocol = fault.header.map_or(Protocol::Ethernet, |h| h.protocol);
    let header = Header {
        kind: Kind::Error,
        protocol,
        hop_count: HOP_COUNT,
        flags: 0,
        request_id: Header::error_word(fault.code, fault.offset),
        nbma,
        vni: None,
        source: source.filter(|s| s.protocol() == protocol),
        destination: fault.header.and_then(|h| h.source),
    };
    send(out, via, &header, authentication, |w| {
        w.packet_in_error(packet);
    });
    increment(&mut statistics.tx_error);
}

/// Where packets of the IP protocols have a password, all do: replies have that of the request.
fn send(
    out: &mut Effects,
    via: Via,
    header: &Header,
    authentication: Option<&[u8]>,
    write: impl FnOnce(&mut Writer<'_>),
) -> bool {
    let is_reply = matches!(header.kind, Kind::ResolutionReply | Kind::RegistrationReply | Kind::PurgeReply);
    let added = authentication.filter(|_| header.protocol != Protocol::Ethernet && !is_reply);
    let bytes = out.write(MAX_NHRP, |buf| {
        let mut writer = Writer::new(buf, header);
        write(&mut writer);
        if let Some(value) = added {
            writer.extension(Extension { kind: kind::AUTHENTICATION, compulsory: true, value });
        }
        writer.finish()
    });
    let fits = bytes.is_some();
    if let Some(bytes) = bytes {
        out.push(Effect::Send { via, bytes });
    }
    fits
}
