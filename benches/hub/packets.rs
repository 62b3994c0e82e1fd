//! What spokes send: whole IPv4 packets with NHRP in GRE, or with a frame in VXLAN.

use dmevpn::types::{Mac, Nbma, Vni, VpnId, Vtep};
use dmevpn::wire::nhrp::{
    Challenge, Cie, Extension, HOP_COUNT, Header, Kind, Message, Protocol, ProtocolAddress, Tags, Writer,
    flag, kind,
};
use dmevpn::wire::probe::Probe;
use dmevpn::wire::{MAX_NHRP, Prefix, VpnTag};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

/// The underlay address of the daemon that is measured.
pub const HUB: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// All sites are in there.
pub const ALL_SITES: &str = "10.64.0.0/10";

const GRE: u8 = 47;
const UDP: u8 = 17;
const VXLAN_PORT: u16 = 4789;
const IP_LEN: usize = 20;

/// The cookies that the hub asked sites to return, and that are its tags from then on.
static COOKIES: Mutex<BTreeMap<Ipv4Addr, u64>> = Mutex::new(BTreeMap::new());

/// The tag that a site has in all its sessions.
pub fn own_tag(site: Ipv4Addr) -> u64 {
    1 << 40 | u64::from(u32::from(site))
}

/// The hub asks a site to return this.
pub fn learn(site: Ipv4Addr, cookie: u64) {
    COOKIES.lock().unwrap_or_else(PoisonError::into_inner).insert(site, cookie);
}

/// Who sends: a site in a VN, known by its underlay address.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// Where it is.
    pub address: Ipv4Addr,
    vpn: u32,
    source: ProtocolAddress,
    /// Somebody else says so, who knows no tags.
    is_forged: bool,
}

impl Site {
    /// A spoke: the `n`th, from 1 on, of the VN with this number.
    pub fn spoke(vpn: u32, n: u32) -> Site {
        let address = address(vpn, n);
        let [_, b, c, d] = address.octets();
        let mac = Mac::new([0x52, 0x54, 0, b, c, d]).expect("unicast");
        Site { address, vpn, source: ProtocolAddress::Mac(mac), is_forged: false }
    }

    /// The protocol address that it registers.
    pub fn source(&self) -> ProtocolAddress {
        self.source
    }

    /// Another site that claims to have this one's protocol address.
    pub fn impostor(&self, n: u32) -> Site {
        Site { address: address(self.vpn, n), ..*self }
    }

    /// Somebody off the path who says that it is this site.
    pub fn forged(&self) -> Site {
        Site { is_forged: true, ..*self }
    }

    fn tags(&self) -> Tags {
        if self.is_forged {
            return Tags { sender: 0x5555, receiver: 0xaaaa };
        }
        let known = COOKIES.lock().unwrap_or_else(PoisonError::into_inner).get(&self.address).copied();
        Tags { sender: own_tag(self.address), receiver: known.unwrap_or_default() }
    }

    fn header(&self, kind: Kind, flags: u16, id: u32, to: ProtocolAddress) -> Header {
        Header {
            kind,
            protocol: Protocol::Ethernet,
            hop_count: HOP_COUNT,
            flags,
            request_id: id,
            nbma: Nbma::new(self.address.into()).expect("unicast"),
            vni: Vni::new(100),
            source: Some(self.source),
            destination: Some(to),
        }
    }

    /// A Registration Request for this many seconds.
    pub fn registration(&self, id: u32, holding: u16) -> Vec<u8> {
        let header = self.header(Kind::RegistrationRequest, flag::REGISTRATION_UNIQUE, id, self.source);
        self.nhrp(&header, |writer| {
            writer.cie(&Cie { prefix: 0xff, mtu: 1450, holding, ..Cie::default() });
            routes(writer);
        })
    }

    /// A Resolution Request.
    pub fn question(&self, id: u32, wanted: ProtocolAddress) -> Vec<u8> {
        let flags = flag::ROUTER | flag::AUTHORITATIVE;
        self.nhrp(&self.header(Kind::ResolutionRequest, flags, id, wanted), |writer| {
            routes(writer);
            writer.extension(Extension::capabilities(&[0, 0, 0, 1, 0, 0, 0, 0]));
        })
    }

    fn nhrp(&self, header: &Header, parts: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        nhrp(self.address, HUB, VpnTag::Llc(VpnId::new(VpnId::DEFAULT_OUI, self.vpn)), header, |writer| {
            parts(writer);
            writer.tags(self.tags());
        })
    }

    /// A frame from `station` behind this site, by way of the hub, whose port for the site has this VNI.
    pub fn frame(&self, uplink: u32, station: [u8; 6], to: [u8; 6]) -> Vec<u8> {
        let header = [0x0800_0000u32.to_be_bytes(), (uplink << 8).to_be_bytes()].concat();
        self.vxlan(&[header, frame(station, to)].concat())
    }

    /// A probe of the path to the hub, which answers it. `is_full`: as large as the largest frame.
    pub fn probe(&self, uplink: u32, nonce: u64, is_full: bool) -> Vec<u8> {
        let ProtocolAddress::Mac(source) = self.source else { unreachable!("spokes have a MAC") };
        let nbma = Nbma::new(self.address.into()).expect("unicast");
        let probe = Probe {
            is_answer: false,
            source,
            transaction: 1,
            flags: 0,
            asker: Vtep { nbma, vni: Vni::new(100).expect("not 0") },
            nonce,
            tag: self.tags().receiver,
            padding: if is_full { Probe::filling(1450, nbma) } else { 0 },
        };
        let mut buf = [0; 1500];
        let len = probe.emit(Vni::new(uplink).expect("not 0"), &mut buf).expect("it fits");
        self.vxlan(&buf[..len])
    }

    fn vxlan(&self, octets: &[u8]) -> Vec<u8> {
        let mut packet = ip(UDP, self.address, HUB);
        for word in [50_000, VXLAN_PORT, 8 + octets.len() as u16, 0] {
            packet.extend_from_slice(&word.to_be_bytes());
        }
        packet.extend_from_slice(octets);
        packet
    }

    /// A GRE packet of this site with whatever in it.
    pub fn anything(&self, octets: &[u8]) -> Vec<u8> {
        let mut packet = ip(GRE, self.address, HUB);
        packet.extend_from_slice(&[0, 0, 0x20, 0x01]);
        packet.extend_from_slice(octets);
        packet
    }
}

/// What a request asks to be filled in.
fn routes(writer: &mut Writer<'_>) {
    for kind in [kind::RESPONDER, kind::FORWARD_TRANSIT, kind::REVERSE_TRANSIT] {
        writer.extension(Extension::empty(kind));
    }
}

/// The confirmation of a Purge Request.
pub fn purged(from: Ipv4Addr, to: Ipv4Addr, tag: VpnTag, request: &Message<'_>) -> Vec<u8> {
    reply(from, to, tag, request, Kind::PurgeReply, None)
}

/// A hub's answer to a registration without a session: what to return.
pub fn challenged(from: Ipv4Addr, to: Ipv4Addr, tag: VpnTag, request: &Message<'_>) -> Vec<u8> {
    let tags = request.tags().unwrap_or_default();
    nhrp(from, to, tag, &request.header.reply(Kind::RegistrationReply), |writer| {
        for cie in request.cies() {
            writer.cie(&Cie { code: 4, holding: 0, ..cie });
        }
        writer.tags(tags).challenge(Challenge { cookie: 7, tag: tags.sender });
    })
}

/// A hub's answer to a registration: accepted, with this uplink VNI.
pub fn registered(from: Ipv4Addr, to: Ipv4Addr, tag: VpnTag, request: &Message<'_>) -> Vec<u8> {
    let responder = Cie {
        mtu: 1450,
        holding: 600,
        nbma: Nbma::new(from.into()),
        vni: Vni::new(0x10_0000),
        address: Mac::new([2, 0xd0, 0, 0, 0, 1]).map(ProtocolAddress::Mac),
        ..Cie::default()
    };
    reply(from, to, tag, request, Kind::RegistrationReply, Some(responder))
}

fn reply(
    from: Ipv4Addr,
    to: Ipv4Addr,
    tag: VpnTag,
    request: &Message<'_>,
    kind: Kind,
    responder: Option<Cie>,
) -> Vec<u8> {
    nhrp(from, to, tag, &request.header.reply(kind), |writer| {
        for cie in request.cies() {
            writer.cie(&cie);
        }
        if let Some(responder) = responder {
            writer.extension_cie(kind::RESPONDER, true, &responder);
        }
        if let Some(tags) = request.tags() {
            writer.tags(tags);
        }
    })
}

fn nhrp(
    from: Ipv4Addr,
    to: Ipv4Addr,
    tag: VpnTag,
    header: &Header,
    parts: impl FnOnce(&mut Writer<'_>),
) -> Vec<u8> {
    let mut buf = [0; MAX_NHRP];
    let mut writer = Writer::new(&mut buf, header);
    parts(&mut writer);
    let len = writer.finish().expect("it fits");
    let mut packet = ip(GRE, from, to);
    packet.extend_from_slice(Prefix::gre(tag).as_bytes());
    packet.extend_from_slice(&buf[..len]);
    packet
}

/// An IPv4 header; the kernel fills in length and checksum.
fn ip(protocol: u8, from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    let mut header = vec![0; IP_LEN];
    (header[0], header[8], header[9]) = (0x45, 64, protocol);
    header[12..16].copy_from_slice(&from.octets());
    header[16..20].copy_from_slice(&to.octets());
    header
}

/// A frame of an EtherType for experiments, so that nobody answers it.
pub fn frame(from: [u8; 6], to: [u8; 6]) -> Vec<u8> {
    let mut frame = [to, from].concat();
    frame.extend_from_slice(&0x88b5u16.to_be_bytes());
    frame.resize(60, 0);
    frame
}

/// The `n`th station of all.
pub fn station(n: u32) -> [u8; 6] {
    let [a, b, c, d] = n.to_be_bytes();
    [0x02, 0x01, a, b, c, d]
}

/// The same, as a protocol address.
pub fn station_address(n: u32) -> ProtocolAddress {
    ProtocolAddress::Mac(Mac::new(station(n)).expect("unicast"))
}

fn address(vpn: u32, n: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a40_0000 + (vpn << 14) + n)
}
