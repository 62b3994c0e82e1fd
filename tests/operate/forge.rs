//! Packets that nobody should have sent: earlier ones, late, changed, or from somebody else.

use super::model::Model;
use super::operation::Octets;
use super::{known_addresses, known_macs};
use crate::sim::Sim;
use dmevpn::types::{Nbma, Vni};
use dmevpn::wire::nhrp::{Cie, Header, Kind, Message, ProtocolAddress, Writer, checksum, code};
use dmevpn::wire::{self, MAX_NHRP, Prefix};

/// How it is made: of which packet, in what way, and who seems to send it.
#[derive(Clone, Copy, Debug)]
pub struct Forgery {
    packet: u8,
    way: u8,
    at: u8,
    value: u8,
    ends: u8,
}

impl Forgery {
    pub fn read(o: &mut Octets<'_>) -> Option<Forgery> {
        Some(Forgery { packet: o.next()?, way: o.next()?, at: o.next()?, value: o.next()?, ends: o.next()? })
    }
}

impl Model {
    /// From where, to where, what.
    pub fn forge(&self, forgery: &Forgery, sim: &Sim) -> Option<(Nbma, Nbma, Vec<u8>)> {
        let Forgery { packet, way, at, value, ends } = *forgery;
        // The latest first.
        let (via, nhrp) = self.seen.iter().rev().nth(usize::from(packet) % self.seen.len().max(1))?;
        let addresses = known_addresses(sim);
        let end = |n: u8, otherwise: Nbma| match n & 7 {
            n @ 0..=3 => addresses[usize::from(n) % addresses.len()],
            4 => addresses[addresses.len() - 1],
            _ => otherwise,
        };
        let (mut from, mut to) = (end(ends & 7, via.path.local), end(ends >> 3, via.path.remote));
        let mut nhrp = nhrp.clone();
        let message = Message::parse(&nhrp).ok()?;
        let mut header = message.header;
        let mut cies: Vec<Cie> = message.cies().collect();
        let (at, macs) = (usize::from(at), known_macs(sim));
        let mac = ProtocolAddress::Mac(macs[usize::from(value) % macs.len()]);
        match way % 12 {
            // Late, or once more.
            0 | 1 => {}
            2 => {
                let at = at % nhrp.len();
                nhrp[at] ^= value | 1;
            }
            3 => {
                let at = at % nhrp.len();
                nhrp[at] ^= value | 1;
                let len = nhrp.len();
                if len > 14 {
                    nhrp[12..14].fill(0);
                    let sum = checksum(&nhrp);
                    nhrp[12..14].copy_from_slice(&sum.to_be_bytes());
                }
            }
            4 => {
                header.request_id = header.request_id.wrapping_add(u32::from(value).wrapping_sub(128));
                nhrp = again(&message, &header, &cies)?;
            }
            5 => {
                header.source = Some(mac);
                nhrp = again(&message, &header, &cies)?;
            }
            6 => {
                header.destination = Some(mac);
                nhrp = again(&message, &header, &cies)?;
            }
            7 => {
                header.kind = [
                    Kind::ResolutionRequest,
                    Kind::ResolutionReply,
                    Kind::RegistrationRequest,
                    Kind::RegistrationReply,
                    Kind::PurgeRequest,
                    Kind::PurgeReply,
                ][at % 6];
                nhrp = again(&message, &header, &cies)?;
            }
            8 => {
                header.nbma = from;
                header.vni = Vni::new(100 + u32::from(value));
                nhrp = again(&message, &header, &cies)?;
            }
            // An answer to a question, or a purge, that says something else.
            9 | 10 => {
                if way % 12 == 9 && header.kind == Kind::ResolutionRequest {
                    header.kind = Kind::ResolutionReply;
                    (from, to) = (end(ends & 7, via.path.remote), via.path.local);
                    cies.clear();
                }
                let place = addresses[at % addresses.len()];
                let cie = Cie {
                    code: if value & 0x40 != 0 { code::NO_BINDING } else { code::OK },
                    prefix: [0xff, 48, 1, 24][usize::from(value >> 4) % 4],
                    holding: [600, 5, 0, 65_535][usize::from(value) % 4],
                    nbma: Some(place).filter(|place| place.same_family(header.nbma)),
                    vni: Vni::new(200 + at as u32),
                    address: (header.kind != Kind::ResolutionReply).then_some(mac),
                    ..Cie::default()
                };
                cies.insert(0, cie);
                nhrp = again(&message, &header, &cies)?;
            }
            _ => {
                for cie in &mut cies {
                    (cie.code, cie.holding) = (value & 15, at as u16);
                }
                nhrp = again(&message, &header, &cies)?;
            }
        }
        let mut octets = Prefix::gre(via.tag).as_bytes().to_vec();
        octets.extend_from_slice(&nhrp);
        wire::parse(&octets).ok()?;
        // No network carries what has its ends in two families.
        from.same_family(to).then_some((from, to, octets))
    }
}

/// The packet written anew; `None` if it cannot be.
fn again(message: &Message<'_>, header: &Header, cies: &[Cie]) -> Option<Vec<u8>> {
    let mut buf = vec![0; MAX_NHRP];
    let mut writer = Writer::new(&mut buf, header);
    for cie in cies {
        writer.cie(cie);
    }
    for extension in message.extensions() {
        writer.extension(extension);
    }
    let len = writer.finish()?;
    buf.truncate(len);
    Some(buf)
}
