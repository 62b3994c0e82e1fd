//! What a client sends, octet by octet.

use super::super::context::Context;
use super::super::contract::way::Via;
use super::super::exchange::KeyId;
use super::super::sites::SiteId;
use super::moving::PLACES;
use crate::types::{Mac, Nbma, Vni};
use crate::wire::nhrp::{
    Cie, Extension, HOP_COUNT, HUB, Header, Kind, Protocol, ProtocolAddress, flag, kind,
};

/// Who sends, and by which way.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    pub hub: SiteId,
    pub via: Via,
    pub vni: Vni,
    pub mac: Mac,
}

impl Sender {
    /// A Registration Request (RFC 2332 section 5.2.3). `is_first`: all that is wanted is what is to be returned.
    pub fn registration(
        self,
        cx: &mut Context<'_>,
        key: Option<KeyId>,
        id: u32,
        flags: u16,
        (is_first, is_hub): (bool, bool),
    ) {
        let header = self.header(cx, Kind::RegistrationRequest, flags, id, ProtocolAddress::Mac(self.mac));
        let cie = Cie { prefix: 0xff, mtu: cx.mtu, holding: cx.holding_seconds(), ..Cie::default() };
        cx.request_by(key, self.hub, self.via, &header, |w| {
            w.cie(&cie);
            if is_hub {
                w.extension(Extension { kind: kind::VENDOR, compulsory: false, value: &HUB });
            }
            if !is_first {
                w.extension(Extension::empty(kind::RESPONDER))
                    .extension(Extension::empty(kind::FORWARD_TRANSIT))
                    .extension(Extension::empty(kind::REVERSE_TRANSIT));
            }
        });
    }

    /// A Purge Request about the sender itself, which is not at these places any more (section 5.2.5).
    pub fn withdrawal(
        self,
        cx: &mut Context<'_>,
        id: u32,
        flags: u16,
        to: Option<ProtocolAddress>,
        places: &[Nbma],
    ) {
        let own = ProtocolAddress::Mac(self.mac);
        let header = self.header(cx, Kind::PurgeRequest, flags, id, to.unwrap_or(own));
        let names: heapless::Vec<Nbma, PLACES> = places.iter().map(|place| cx.name_of(*place)).collect();
        let at = Cie { prefix: 0xff, vni: Some(self.vni), address: Some(own), ..Cie::default() };
        cx.request(self.hub, self.via, &header, |w| {
            for place in names {
                w.cie(&Cie { nbma: Some(place), ..at });
            }
        });
    }

    /// A Purge Request about MACs that are not behind the sender any more (section 5.2.5).
    pub fn departure(self, cx: &mut Context<'_>, id: u32, hub: Mac, macs: impl Iterator<Item = Mac>) {
        let header = self.header(cx, Kind::PurgeRequest, 0, id, ProtocolAddress::Mac(hub));
        let at = Cie { nbma: Some(header.nbma), vni: Some(self.vni), ..Cie::default() };
        cx.request(self.hub, self.via, &header, |w| {
            for address in macs.map(ProtocolAddress::Mac) {
                w.cie(&Cie { prefix: address.host_prefix(), address: Some(address), ..at });
            }
        });
    }

    /// A Resolution Request (section 5.2.1).
    pub fn question(self, cx: &mut Context<'_>, id: u32, wanted: Mac) {
        let flags = flag::ROUTER | flag::AUTHORITATIVE;
        let header = self.header(cx, Kind::ResolutionRequest, flags, id, ProtocolAddress::Mac(wanted));
        cx.request(self.hub, self.via, &header, |w| {
            w.extension(Extension::empty(kind::RESPONDER))
                .extension(Extension::empty(kind::FORWARD_TRANSIT))
                .extension(Extension::empty(kind::REVERSE_TRANSIT))
                .extension(Extension::capabilities(&[0, 0, 0, 1, 0, 0, 0, 0]));
        });
    }

    fn header(self, cx: &Context<'_>, kind: Kind, flags: u16, id: u32, to: ProtocolAddress) -> Header {
        Header {
            kind,
            protocol: Protocol::Ethernet,
            hop_count: HOP_COUNT,
            flags,
            request_id: id,
            nbma: cx.name_of(self.via.path.local),
            vni: Some(self.vni),
            source: Some(ProtocolAddress::Mac(self.mac)),
            destination: Some(to),
        }
    }
}
