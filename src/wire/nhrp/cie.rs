//! Client information entries (RFC 2332 section 5.2.0.1).

use super::header::{Bad, Fields, Header, ip_len, vni_len};
use super::{Family, Protocol, ProtocolAddress, Writer};
use crate::types::{Nbma, Vni};

const FIXED_LEN: u8 = 12;

/// What a packet says of one client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cie {
    /// One of [`super::code`]: 0 in a request; 0 for an ACK in a reply.
    pub code: u8,
    /// How many bits of the protocol address count; 0 and 0xFF: all.
    pub prefix: u8,
    /// Largest inner packet, in octets; 0: the default.
    pub mtu: u16,
    /// Seconds this stays valid; 0 in a NAK.
    pub holding: u16,
    /// Higher is better.
    pub preference: u8,
    /// The client's underlay address.
    pub nbma: Option<Nbma>,
    /// The client's VNI: the NBMA subaddress.
    pub vni: Option<Vni>,
    /// The client's protocol address.
    pub address: Option<ProtocolAddress>,
}

impl Cie {
    /// The only CIE of a NAK: all but the code is zero (RFC 2332 section 5.2.2).
    pub fn nak(code: u8) -> Cie {
        Cie { code, ..Cie::default() }
    }

    /// Its length in octets.
    pub(super) fn len(&self) -> u16 {
        u16::from(FIXED_LEN)
            + u16::from(self.nbma.map_or(0, |n| ip_len(n.ip())))
            + u16::from(vni_len(self.vni))
            + u16::from(self.address.map_or(0, ProtocolAddress::len))
    }

    pub(super) fn emit(&self, w: &mut Writer<'_>) {
        // All NBMA addresses of a packet are of one family: another one is a mistake of the caller's, and no packet.
        w.failed |= self.nbma.is_some_and(|nbma| !nbma.same_family(w.header.nbma));
        w.put(&[self.code, self.prefix, 0, 0]);
        w.put(&self.mtu.to_be_bytes());
        w.put(&self.holding.to_be_bytes());
        w.put(&[self.nbma.map_or(0, |n| ip_len(n.ip())), vni_len(self.vni)]);
        w.put(&[self.address.map_or(0, ProtocolAddress::len), self.preference]);
        w.put_nbma(self.nbma, self.vni);
        w.put_protocol_address(self.address);
    }
}

/// The CIEs of a packet, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Cies<'a> {
    octets: &'a [u8],
    at: usize,
    family: Family,
    protocol: Protocol,
}

impl<'a> Cies<'a> {
    pub(super) fn new(octets: &'a [u8], header: &Header) -> Cies<'a> {
        Cies { octets, at: 0, family: header.family(), protocol: header.protocol }
    }

    /// The next CIE, or where reading it failed.
    fn read(&mut self) -> Option<Result<Cie, Bad>> {
        if self.at == self.octets.len() {
            return None;
        }
        let mut fields = Fields { octets: self.octets, at: self.at };
        let mut read = || {
            let fixed = fields.take(FIXED_LEN)?;
            let nbma = fields.nbma(self.family, fixed[8])?;
            let vni = fields.vni(fixed[9])?;
            let address = fields.protocol_address(self.protocol, fixed[10])?;
            Ok(Cie {
                code: fixed[0],
                prefix: fixed[1],
                mtu: u16::from_be_bytes([fixed[4], fixed[5]]),
                holding: u16::from_be_bytes([fixed[6], fixed[7]]),
                preference: fixed[11],
                nbma,
                vni,
                address,
            })
        };
        let result = read();
        self.at = fields.at;
        Some(result)
    }
}

impl Iterator for Cies<'_> {
    type Item = Cie;

    fn next(&mut self) -> Option<Cie> {
        self.read()?.ok()
    }
}

/// Checks that `octets` are whole CIEs; `offset` is where they start in the packet.
pub(super) fn check(octets: &[u8], header: &Header, offset: usize) -> Result<(), Bad> {
    let mut cies = Cies::new(octets, header);
    while let Some(cie) = cies.read() {
        cie.map_err(|Bad(at)| Bad(offset + at))?;
    }
    Ok(())
}
