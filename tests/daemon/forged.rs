//! What somebody who is not on the path makes up in the name of others.

use super::nonsense::{HEADERS, repair, under_attack};
use super::*;
use dmevpn::types::{Nbma, Vni};
use dmevpn::wire::MAX_NHRP;
use dmevpn::wire::nhrp::{Cie, Header, Kind, Message, ProtocolAddress, Tags, Writer, code, flag};
use lab::traffic::Sender;

/// GRE, and the VPN header.
const PREFIX: usize = 4 + 24;

/// A frame like one that was seen, but for who sends it and what it says.
struct Forger<'a> {
    frames: &'a [Vec<u8>],
    sender: &'a Sender,
}

impl Forger<'_> {
    /// Sends this with no tags, with zeros and with others than those of the session.
    fn send(&self, from: [u8; 4], to: [u8; 4], header: &Header, cies: &[Cie]) {
        let tags = [None, Some(Tags::default()), Some(Tags { sender: 7, receiver: 0 })];
        for tags in tags.into_iter().chain([Some(Tags { sender: 7, receiver: 8 })]) {
            let mut nhrp = [0; MAX_NHRP];
            let mut writer = Writer::new(&mut nhrp, header);
            cies.iter().for_each(|cie| {
                writer.cie(cie);
            });
            if let Some(tags) = tags {
                writer.tags(tags);
            }
            let len = writer.finish().unwrap();
            let like = self.frames.iter().find(|frame| frame[30..34] == to).unwrap();
            let mut frame = [&like[..HEADERS + PREFIX], &nhrp[..len]].concat();
            // From the sender's own port, or the switch would lose the others.
            frame[6..12].copy_from_slice(&lab::mac(0x9999));
            frame[26..30].copy_from_slice(&from);
            repair(&mut frame);
            self.sender.send(&frame).unwrap();
        }
    }
}

/// Nobody withdraws, moves, registers, answers or purges for somebody else.
#[test]
fn nothing_comes_of_what_is_forged() {
    under_attack(plan(), |lab, frames, sender| {
        let (hub, spoke1) = (lab.node("hub"), lab.node("spoke1"));
        let (hub_ip, one, two, thief) = ([10, 0, 0, 1], [10, 0, 0, 2], [10, 0, 0, 3], [10, 0, 0, 77]);
        let nbma = |ip: [u8; 4]| Nbma::new(ip.into()).unwrap();
        let sent = |kind: Kind, from: [u8; 4]| {
            let of = |frame: &&Vec<u8>| {
                let message = Message::parse(&frame[HEADERS + PREFIX..]);
                frame[26..30] == from && message.is_ok_and(|message| message.header.kind == kind)
            };
            Message::parse(&frames.iter().rfind(of).unwrap()[HEADERS + PREFIX..]).unwrap()
        };
        let request = sent(Kind::RegistrationRequest, one);
        let question = sent(Kind::ResolutionRequest, one);
        let own = request.header.source;
        let hub_mac = sent(Kind::RegistrationReply, hub_ip)
            .extension_cie(dmevpn::wire::nhrp::kind::RESPONDER)
            .and_then(|responder| responder.address);
        let peers = || {
            let rows = dmevpn(hub, &["peers"]).stdout;
            let rows = String::from_utf8(rows).unwrap();
            rows.lines()
                .map(|row| row.split_whitespace().take(4).collect::<Vec<_>>().join(" "))
                .collect::<Vec<_>>()
        };
        let shortcut = || destinations(spoke1, "tunnel2", BRIDGE2);
        let (before, way) = (peers(), shortcut());
        assert_eq!(way.len(), 1, "{way:?}");

        let forger = Forger { frames, sender };
        let purge = Header { kind: Kind::PurgeRequest, flags: 0, ..request.header };
        let at = Cie { prefix: 0xff, address: own, ..Cie::default() };
        let all = |prefix, first: u8| {
            let mac = dmevpn::types::Mac::new([first, 0, 0, 0, 0, 0]).map(ProtocolAddress::Mac);
            Cie { prefix, address: mac, ..Cie::default() }
        };
        for n in 0..20 {
            let request_id = request.header.request_id + n;
            let purge = Header { request_id, ..purge };
            // A withdrawal in the name of spoke1, of what it registered and of all there is behind it.
            forger.send(one, hub_ip, &purge, &[at]);
            forger.send(one, hub_ip, &purge, &[all(1, 2), all(1, 0x82)]);
            // It moves: to where nobody is, and to where spoke2 is.
            for to in [thief, two] {
                let was = Cie { nbma: Some(nbma(one)), vni: request.header.vni, ..at };
                let moved = Header { nbma: nbma(to), flags: flag::NO_REPLY, ..purge };
                forger.send(to, hub_ip, &moved, &[was]);
                let new = Header { nbma: nbma(to), request_id, ..request.header };
                let cie = Cie { address: None, holding: 65_535, ..at };
                forger.send(to, hub_ip, &new, &[cie]);
            }
            // Another router in its place.
            let other = dmevpn::types::Mac::new([0x52, 0x54, 0x99, 0, 0, n as u8]).map(ProtocolAddress::Mac);
            let new = Header { source: other, destination: other, request_id, ..request.header };
            forger.send(one, hub_ip, &new, &[Cie { address: None, holding: 600, ..at }]);
            // The hub takes everything back, itself included.
            let purge = Header { nbma: nbma(hub_ip), vni: None, source: hub_mac, destination: own, ..purge };
            forger.send(hub_ip, one, &purge, &[all(1, 2), all(1, 0x82)]);
            forger.send(hub_ip, one, &purge, &[Cie { address: hub_mac, ..at }]);
            // It refuses what is registered.
            let nak = Header { kind: Kind::RegistrationReply, request_id, ..request.header };
            forger.send(hub_ip, one, &nak, &[Cie { code: code::RESOURCES, address: None, ..at }]);
        }
        // It answers what may be asked next.
        for n in 0..300 {
            let request_id = question.header.request_id + n;
            let answer = Header { kind: Kind::ResolutionReply, request_id, ..question.header };
            let away = Cie {
                prefix: 0xff,
                holding: 65_535,
                nbma: Some(nbma(thief)),
                vni: Vni::new(7),
                ..Cie::default()
            };
            forger.send(hub_ip, one, &answer, &[away]);
        }
        dmevpn(spoke1, &["flush"]);
        let pinged = ping_spoke2(lab, 10);
        assert!(pinged.none_lost(), "{pinged}");
        wait_shortcut(lab);
        assert_eq!((peers(), shortcut()), (before, way));
        assert!(leads(hub, "10.0.0.2") && leads(hub, "10.0.0.3") && !leads(hub, "10.0.0.77"));
        let log = [hub.log_text(), spoke1.log_text()].concat();
        for told in ["has moved", "is gone", "not registered any more", "lost"] {
            assert!(!log.contains(told), "{log}");
        }
    });
}
