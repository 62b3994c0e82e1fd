//! What the engine is told to be: the part of the configuration that matters to the protocol.

use crate::types::{Nbma, Prefix, Vni, VpnId};
use crate::wire::VpnTag;
use core::fmt;
use core::net::IpAddr;
use core::time::Duration;
use litemap::LiteMap;
use zeroize::Zeroizing;

/// The daemon's handle of a virtual network, stable across reloads while the VN's name stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VnKey(pub u16);

/// The daemon's handle of a hub, stable across reloads while the hub's name stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HubKey(pub u16);

/// How many hubs a spoke may have in a VN.
pub const HUBS: usize = 8;

/// The hubs of a spoke in a VN, in order of preference; one at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hubs {
    keys: [HubKey; HUBS],
    len: usize,
}

impl Hubs {
    /// A single one.
    pub const fn one(hub: HubKey) -> Hubs {
        Hubs { keys: [hub; HUBS], len: 1 }
    }

    /// Those of a list, the first [`HUBS`] of them; `None` if there is none.
    pub fn new(hubs: impl IntoIterator<Item = HubKey>) -> Option<Hubs> {
        let mut hubs = hubs.into_iter();
        let mut all = Hubs::one(hubs.next()?);
        for (place, hub) in all.keys.iter_mut().skip(1).zip(hubs) {
            *place = hub;
            all.len += 1;
        }
        Some(all)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = HubKey> + '_ {
        self.keys.iter().copied().take(self.len)
    }

    /// The one that is preferred.
    pub const fn first(&self) -> HubKey {
        let [first, ..] = self.keys;
        first
    }

    /// Whether there is a choice.
    pub const fn are_several(&self) -> bool {
        self.len > 1
    }
}

/// How a packet says which VN it belongs to (RFC 2735 section 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VpnMode {
    /// An LLC/SNAP header with the VPN-ID in front of NHRP.
    #[default]
    Llc,
    /// The GRE key is the VPN index.
    Key,
    /// Not at all: the peer's default routing instance.
    None,
}

impl VpnMode {
    /// The mode of a packet.
    pub const fn of(tag: VpnTag) -> VpnMode {
        match tag {
            VpnTag::Llc(_) => VpnMode::Llc,
            VpnTag::Key(_) => VpnMode::Key,
            VpnTag::None => VpnMode::None,
        }
    }

    /// How packets name the VN `vpn_id` in this mode.
    pub const fn tag(self, vpn_id: VpnId) -> VpnTag {
        match self {
            VpnMode::Llc => VpnTag::Llc(vpn_id),
            VpnMode::Key => VpnTag::Key(vpn_id.index()),
            VpnMode::None => VpnTag::None,
        }
    }

    /// Its word in the configuration and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            VpnMode::Llc => "llc",
            VpnMode::Key => "key",
            VpnMode::None => "none",
        }
    }
}

/// What makes a spoke ask where a MAC lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trigger {
    /// The bridge learned the MAC behind the tunnel.
    #[default]
    Learn,
    /// The VXLAN device missed the MAC in its FDB.
    L2miss,
}

impl Trigger {
    /// Its word in the configuration and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Trigger::Learn => "learn",
            Trigger::L2miss => "l2miss",
        }
    }
}

/// The addresses that this node names as its own instead of those it has: others know it by them, beyond a router that
/// translates addresses (1:1 NAT).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Advertised {
    /// For IPv4.
    pub ipv4: Option<Nbma>,
    /// For IPv6.
    pub ipv6: Option<Nbma>,
}

impl Advertised {
    /// How others know this node's address `local`.
    pub const fn name_of(self, local: Nbma) -> Nbma {
        match if local.ip().is_ipv4() { self.ipv4 } else { self.ipv6 } {
            Some(advertised) => advertised,
            None => local,
        }
    }
}

/// Everything the engine is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The addresses that this node names as its own.
    pub advertised: Advertised,
    /// How long a binding given out by this node stays valid, 3 s to 65535 s (RFC 2332 section 5.2.0.1).
    pub holding_time: Duration,
    /// The hubs this node registers with.
    pub hubs: LiteMap<HubKey, HubSettings>,
    /// The virtual networks this node takes part in.
    pub vns: LiteMap<VnKey, VnSettings>,
}

/// A hub, as a spoke knows it. Its address comes in as [`Input::Hub`](crate::engine::Input::Hub).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubSettings {
    /// How packets to this hub name their VN.
    pub vpn_mode: VpnMode,
    /// Whether requests to it are in a session. One that does not copy vendor-private extensions into its replies has none.
    pub session: bool,
}

impl Default for HubSettings {
    fn default() -> HubSettings {
        HubSettings { vpn_mode: VpnMode::default(), session: true }
    }
}

/// How a packet is signed (RFC 2332 section 5.3.4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC-SHA-256, its first 128 bits.
    #[default]
    HmacSha256,
    /// HMAC-MD5, which is RFC 2332's.
    HmacMd5,
}

/// A secret. It is not shown, and is overwritten when nobody needs it any more.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyText(Zeroizing<Vec<u8>>);

impl KeyText {
    /// The secret that is these octets.
    pub fn new(octets: Vec<u8>) -> KeyText {
        KeyText(Zeroizing::new(octets))
    }

    /// What it is.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyText")
    }
}

/// A key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySettings {
    /// What it is called.
    pub name: String,
    /// Its number on the wire, 256 to 65535.
    pub spi: u16,
    /// How it signs.
    pub algorithm: Algorithm,
    /// What only its owners know.
    pub secret: KeyText,
    /// The only spoke that has it; `None`: several may.
    pub spoke: Option<OwnerSettings>,
}

impl KeySettings {
    /// Whether what is signed by the one is signed by the other.
    pub fn is_same(&self, other: &KeySettings) -> bool {
        (self.spi, self.algorithm, &self.secret) == (other.spi, other.algorithm, &other.secret)
    }
}

/// A spoke that a hub knows by its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerSettings {
    /// What it is called.
    pub name: String,
    /// From which underlay addresses it may register; all when empty.
    pub allow: Vec<Prefix>,
}

/// The keys of a virtual network: none, and everything is open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeysSettings {
    /// At most one of each number. A spoke begins with the first.
    pub keys: Vec<KeySettings>,
    /// Whether what is not signed is taken, too, while keys are rolled out.
    pub is_optional: bool,
}

/// A virtual network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VnSettings {
    /// Its name on the wire.
    pub vpn_id: VpnId,
    /// The largest inner packet, in octets, announced in every CIE.
    pub mtu: u16,
    /// What its packets are signed by.
    pub keys: KeysSettings,
    /// What this node wants in it, if it is a spoke there: an NHC, which registers with a hub and asks it.
    pub client: Option<ClientSettings>,
    /// What this node owes in it, if it is a hub there: an NHS, a learning switch that knows where every MAC lives.
    pub server: Option<ServerSettings>,
}

/// A spoke's settings in a VN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientSettings {
    /// The VNI this site uses.
    pub vni: Vni,
    /// The hubs, of which it registers with one at a time.
    pub hubs: Hubs,
    /// Whether it returns to a hub that it prefers.
    pub preempt: bool,
    /// Whether nobody may register this site's bridge from another underlay address (RFC 2332 section 5.2.3). Not
    /// for a site whose address may change: it would be refused itself until its old registration ends.
    pub unique: bool,
    /// Whether frames go direct only where probes are answered.
    pub verify: bool,
    /// What makes the spoke ask.
    pub trigger: Trigger,
    /// How many remote MACs are followed at most; the frames of further ones go by the hub.
    pub max_macs: u32,
    /// How long a MAC the hub does not know is not asked for again.
    pub negative_time: Duration,
}

/// A hub's settings in a VN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// Packets that name no VN belong to this one (RFC 2735 section 3.1; at most one VN of a node).
    pub default: bool,
    /// The hub's addresses in the protocols 0x0800 and 0x86DD, for clients that register IP addresses.
    pub protocol_addresses: Vec<IpAddr>,
    /// What is in all packets of the IP protocols, from clients and to them, for all to read.
    pub password: Option<String>,
    /// Whose underlay addresses may register; others are answered with NAK 4. All when empty.
    pub allow: Vec<Prefix>,
    /// The lowest VNI handed out as uplink VNI; all from there up to [`Vni::MAX`] belong to the hub.
    pub uplink_first: Vni,
    /// Whether one device serves all spokes, which so share one uplink VNI; otherwise each has a port of its own.
    pub shared_uplink: bool,
    /// Whether routers may register MACs without a session: who they are nobody can tell.
    pub untagged_l2: bool,
    /// How many spokes may register; a further one is answered with NAK 5.
    pub max_spokes: u16,
    /// How many sites may register from one underlay address, told apart by their VNIs; a further one is answered with
    /// NAK 5.
    pub max_vnis: u16,
    /// How many MACs are followed; further ones are answered with NAK 5.
    pub max_macs: u32,
    /// The other hubs of the VN; none with a shared uplink.
    pub peers: Vec<HubKey>,
}
