//! The only way out: packets are written, and errors are told, here.

use super::super::context::Context;
use super::super::contract::effect::{Effect, Effects};
use super::super::contract::statistics::{Statistics, increment};
use super::super::contract::way::Via;
use super::super::member::Member;
use super::super::sites::SiteId;
use super::key::{KeyId, Keys, Signer};
use super::session::Count;
use super::{Arrival, Inbound, Trust};
use crate::types::{Nbma, SiteName};
use crate::wire::MAX_NHRP;
use crate::wire::nhrp::{
    Challenge, Cie, Extension, Fault, HOP_COUNT, Header, Kind, Message, Protocol, ProtocolAddress, SIGNATURE,
    Writer, code, error, flag, kind,
};

impl Context<'_> {
    /// Sends what `write` adds to a packet that starts with `header`, signed by `key`. Whether it fit one; nothing goes by a
    /// key that is forgotten.
    pub fn send(
        &mut self,
        via: Via,
        header: &Header,
        key: Option<KeyId>,
        write: impl FnOnce(&mut Writer<'_>),
    ) -> bool {
        let own = self.sites.own(header.protocol);
        let Some(proof) = Proof::new(self.keys, key, own, self.authentication) else { return false };
        send(self.out, via, header, proof, write)
    }

    /// Sends a request to a site, in its session if there is one, by the key that it used last.
    pub fn request(
        &mut self,
        to: SiteId,
        via: Via,
        header: &Header,
        write: impl FnOnce(&mut Writer<'_>),
    ) -> bool {
        let key = self.key_to(to, via);
        self.request_by(key, to, via, header, write)
    }

    /// The same by another key.
    pub fn request_by(
        &mut self,
        key: Option<KeyId>,
        to: SiteId,
        via: Via,
        header: &Header,
        write: impl FnOnce(&mut Writer<'_>),
    ) -> bool {
        let tags = self.sites.tags(to);
        self.send(via, header, key, |w| {
            write(w);
            if let Some(tags) = tags {
                w.tags(tags);
            }
        })
    }

    /// Answers a request. One whose answer does not fit a packet is told so (RFC 2332 section 5.2.7, error 8).
    pub fn reply(&mut self, to: &Inbound<'_>, header: &Header, write: impl FnOnce(&mut Writer<'_>)) -> bool {
        let sent = self.send(to.via, header, to.key, write);
        if !sent {
            self.too_large(to.via, header, to.key);
        }
        sent
    }

    /// The key that a site is spoken to by. Which one a router has that was found is not known: each may be it.
    pub fn key_to(&mut self, to: SiteId, via: Via) -> Option<KeyId> {
        let known = self.sites.get(to)?.key;
        let is_found = self.sites.member(to).is_some_and(Member::is_found);
        if known.is_some() || !is_found {
            return known;
        }
        let likely = self.keys.likely(via.path.remote);
        let n = self.random.below(likely.count());
        self.keys.likely(via.path.remote).nth(n)
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
        let from = (to.via, &to.message, self.keys.spoke(to.key));
        let cookie = self.sessions.cookie(self.now, self.vpn_id, from, live)?;
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
            request.extensions().for_each(|extension| {
                w.extension(extension);
            });
        });
        if sent {
            increment(&mut self.statistics.tx_purge_reply);
        }
    }

    /// Tells a sender, `site` if it is one, what is wrong with its packet; all others not too often.
    pub fn complain(&mut self, about: Arrival<'_>, site: Option<SiteId>, key: Option<KeyId>, fault: Fault) {
        if let Some(member) = site.and_then(|site| self.sites.member_mut(site)) {
            increment(&mut member.statistics.errors);
        }
        let protocol = fault.header.map_or(Protocol::Ethernet, |header| header.protocol);
        let own = self.sites.own(protocol);
        let Some(proof) = Proof::new(self.keys, key, own, self.authentication) else { return };
        if site.is_none() && self.complaints.take(self.now).is_err() {
            return;
        }
        let nbma = self.name_of(about.via.path.local);
        error_indication(self.out, self.statistics, about, (nbma, own), proof, fault);
    }

    fn too_large(&mut self, via: Via, header: &Header, key: Option<KeyId>) {
        let fault = Fault { code: error::SDU_SIZE, offset: 0, header: Some(*header) };
        self.complain(Arrival { via, octets: &[] }, None, key, fault);
    }
}

/// A Registration Reply that waits for what it promises. It can be sent once.
#[derive(Debug)]
pub struct Reply {
    via: Via,
    key: Option<KeyId>,
    octets: Vec<u8>,
}

impl Reply {
    /// A reply that `write` makes; `None` if it does not fit a packet, which the client is told.
    pub fn new(
        cx: &mut Context<'_>,
        to: &Inbound<'_>,
        header: &Header,
        write: impl FnOnce(&mut Writer<'_>),
    ) -> Option<Reply> {
        let (via, key) = (to.via, to.key);
        // It is signed when it is sent.
        let room = MAX_NHRP - key.map_or(0, |_| SIGNATURE);
        let mut octets = vec![0; room];
        let mut writer = Writer::new(&mut octets, header);
        write(&mut writer);
        let Some(len) = writer.finish() else {
            cx.too_large(via, header, key);
            return None;
        };
        octets.truncate(len);
        octets.shrink_to_fit();
        Some(Reply { via, key, octets })
    }

    /// How it goes.
    pub fn via(&self) -> Via {
        self.via
    }

    /// Sends it; with a code it refuses everything. The worst code that it says.
    pub fn send(self, cx: &mut Context<'_>, refused: Option<u8>) -> Option<u8> {
        let message = Message::parse(&self.octets).ok()?;
        cx.send(self.via, &message.header, self.key, |w| {
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
    (nbma, source): (Nbma, Option<ProtocolAddress>),
    proof: Proof<'_>,
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
    // A signature is to fit behind it.
    let quoted = proof.signer.map_or(packet, |_| packet.get(..MAX_NHRP / 2).unwrap_or(packet));
    send(out, via, &header, proof, |w| {
        w.packet_in_error(quoted);
    });
    increment(&mut statistics.tx_error);
}

/// What shows that a packet is from this node.
#[derive(Clone, Copy, Default)]
pub struct Proof<'a> {
    /// By which key it is signed, in the name of which address.
    signer: Option<(Signer<'a>, Option<ProtocolAddress>)>,
    /// Where packets of the IP protocols have a password, all do: replies have that of the request.
    password: Option<&'a [u8]>,
}

impl<'a> Proof<'a> {
    /// `None`: nothing can be signed by the key any more.
    fn new(
        keys: &'a Keys,
        key: Option<KeyId>,
        own: Option<ProtocolAddress>,
        password: Option<&'a [u8]>,
    ) -> Option<Proof<'a>> {
        let signer = match key {
            Some(key) => Some((keys.signer(key)?, own)),
            None => None,
        };
        Some(Proof { signer, password })
    }
}

/// Whatever is signed is signed here.
fn send(
    out: &mut Effects,
    via: Via,
    header: &Header,
    proof: Proof<'_>,
    write: impl FnOnce(&mut Writer<'_>),
) -> bool {
    let is_reply = matches!(header.kind, Kind::ResolutionReply | Kind::RegistrationReply | Kind::PurgeReply);
    let is_plain = proof.signer.is_none() && header.protocol != Protocol::Ethernet && !is_reply;
    let password = proof.password.filter(|_| is_plain);
    let bytes = out.write(MAX_NHRP, |buf| {
        let mut writer = Writer::new(buf, header);
        write(&mut writer);
        if let Some(value) = password {
            writer.extension(Extension { kind: kind::AUTHENTICATION, compulsory: true, value });
        }
        match proof.signer {
            Some((signer, own)) => writer.finish_signed(signer.spi(), own, |packet| signer.sign(packet)),
            None => writer.finish(),
        }
    });
    let fits = bytes.is_some();
    if let Some(bytes) = bytes {
        out.push(Effect::Send { via, bytes });
    }
    fits
}
