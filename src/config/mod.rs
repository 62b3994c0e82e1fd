//! The configuration: `/etc/config/dmevpn`, a UCI file, as types that cannot hold nonsense.
//!
//! [`options`] has all that is said about each option, and users read it in `uci/schema.md`. Reading the file is the caller's work:
//! [`Config::parse`] takes its text and returns all that is right or all that is wrong.

mod ambiguous;
mod at_odds;
mod build;
mod choice;
mod errors;
mod files;
#[cfg(feature = "import")]
pub mod import;
mod keys;
pub mod options;
mod read;
pub mod uci;
mod value;
mod warnings;

pub use choice::RoleKind;
pub use errors::{Errors, Finding};
pub use files::Files;
pub use keys::{Key, Owner};
pub use value::HOST_NAME;

pub use crate::engine::settings::HUBS;
use crate::engine::settings::{Trigger, VpnMode};
use crate::types::{Nbma, Prefix, VlanId, Vni, VpnId};
use core::net::IpAddr;
use core::time::Duration;

/// All that a file configures.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What concerns the whole daemon.
    pub main: Main,
    /// The hubs, in the order of the file.
    pub hubs: Vec<Hub>,
    /// The enabled virtual networks, in the order of the file; names, VPN-IDs, VNIs and devices differ.
    pub vns: Vec<Vn>,
    /// The keys, of which the names and the numbers differ.
    pub keys: Vec<Key>,
    /// Spokes with keys of their own.
    pub spokes: Vec<Owner>,
}

impl Config {
    /// The configuration in `text`, the content of a UCI file that error messages call `file_name`; octets that are not
    /// UTF-8 come as U+FFFD ([`String::from_utf8_lossy`]). An empty file is a daemon without VNs.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the file, in the order of its lines; when it is no UCI file ([`uci::parse`]),
    /// only what makes it none. Secrets in other files cannot be read.
    pub fn parse(file_name: &str, text: &str) -> Result<Config, Errors> {
        Config::parse_with(file_name, text, &Files::NONE)
    }

    /// The same with other files that it names.
    ///
    /// # Errors
    /// As of [`Config::parse`].
    pub fn parse_with(file_name: &str, text: &str, files: &Files<'_>) -> Result<Config, Errors> {
        let config = uci::parse(text).and_then(|mut file| {
            let config = build::config(file_name, &file, files);
            file.wipe(options::SECRET.name);
            config
        });
        config.map_err(|errors| Errors::new(file_name, errors))
    }

    /// What `text`, the content of `file_name`, may say and yet is hardly meant, in the order of lines; nothing when
    /// [`Config::parse_with`] refuses it.
    pub fn warnings(file_name: &str, text: &str, files: &Files<'_>) -> Vec<Finding> {
        let Ok(file) = uci::parse(text) else { return Vec::new() };
        let Ok(config) = build::config("", &file, files) else { return Vec::new() };
        warnings::warnings(&file, &config, file_name, files)
    }
}

/// Where the daemon listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/var/run/dmevpn/private/control.sock";

/// What concerns the whole daemon: `config dmevpn 'main'`.
#[derive(Clone, Debug, PartialEq)]
pub struct Main {
    /// Whether the daemon does anything; default true.
    pub enabled: bool,
    /// This router's own underlay addresses, at most one of each family; default none. Only when
    /// [`Main::interface`] is `None`.
    pub nbma: Vec<Nbma>,
    /// What it names instead of its own ones, at most one of each family.
    pub advertise: Vec<Nbma>,
    /// The interface whose addresses are the underlay addresses; default none.
    /// With neither, the route to a hub decides; then no VN has the role hub.
    pub interface: Option<String>,
    /// How NHRP packets travel; default [`Transport::Raw`].
    pub transport: Transport,
    /// The UDP port of VXLAN, 1 to 65535; default 4789.
    pub udp_port: u16,
    /// Whether frames are taken from known sites alone: at a hub from its spokes, each by its own port; default true.
    pub guard: bool,
    /// How long what this router registers or answers stays valid, 3 s to 65535 s; default 600 s.
    pub holding_time: Duration,
    /// The least important messages that are logged, never `Off`; default info.
    pub log_level: log::LevelFilter,
    /// The absolute path of the file that survives a restart; default `/etc/dmevpn/state`.
    pub state_file: String,
    /// The absolute path of the control socket, at most 107 octets; default [`DEFAULT_SOCKET`].
    pub socket: String,
}

/// How NHRP packets in GRE travel.
#[derive(Clone, Debug, PartialEq)]
pub enum Transport {
    /// By a raw IP socket.
    Raw,
    /// By the existing GRE interface of this name.
    Device(String),
}

/// A hub this router may register with: `config hub 'NAME'`.
#[derive(Clone, Debug, PartialEq)]
pub struct Hub {
    /// Its name in the file, unlike all others: 1 to 32 letters, digits and `_`.
    pub name: String,
    /// Where it is.
    pub address: HubAddress,
    /// 0 to 65535, without effect: the order of [`Spoke::hubs`] tells which one is preferred; default 10.
    pub priority: u16,
    /// How packets to it name their VN; default [`VpnMode::Llc`].
    pub vpn_mode: VpnMode,
    /// Whether requests to it are in a session; default yes.
    pub session: bool,
    /// The names of the [`Key`]s that are good for it; default none, and all is open.
    pub keys: Vec<String>,
}

/// Where a hub is.
#[derive(Clone, Debug, PartialEq)]
pub enum HubAddress {
    /// At a fixed address.
    Ip(Nbma),
    /// Where DNS says: a host name of at most 253 octets.
    Name(String),
}

/// A virtual network this router takes part in: `config vn 'NAME'`.
#[derive(Clone, Debug, PartialEq)]
pub struct Vn {
    /// Its name in the file, unlike all others: 1 to 32 letters, digits and `_`.
    pub name: String,
    /// Its name on the wire, unlike all others in the file.
    pub vpn_id: VpnId,
    /// The largest inner packet, 576 to 9216 octets: announced, and set on devices made; default 1500.
    pub mtu: u16,
    /// The bridge of the site or, on a hub, of all ports. Default, on a hub only: `br-NAME`.
    pub bridge: String,
    /// The VLAN of a VLAN-filtering bridge that the VN is; default none, and then the bridge is the VN's as a whole.
    pub vlan: Option<VlanId>,
    /// How many MACs are followed at most, 1 to 1000000; default 2048 on a spoke, 65536 on a hub.
    pub max_macs: u32,
    /// This router's part in it.
    pub role: Role,
}

/// A router's part in a VN.
#[derive(Clone, Debug, PartialEq)]
pub enum Role {
    /// It registers with a hub.
    Spoke(Spoke),
    /// Spokes register with it.
    Hub(HubRole),
}

/// What only a spoke has in a VN.
#[derive(Clone, Debug, PartialEq)]
pub struct Spoke {
    /// The VNI of this site, unlike that of all other VNs and uplinks of the file.
    pub vni: Vni,
    /// The VXLAN device, made when it is absent; default `vx-NAME`.
    pub vxlan: String,
    /// The names of [`Hub`]s in [`Config::hubs`], in order of preference, one to [`HUBS`]; default the only one.
    pub hubs: Vec<String>,
    /// Whether it returns to a hub that it prefers; default yes.
    pub preempt: bool,
    /// What makes the spoke ask for a MAC; default [`Trigger::Learn`].
    pub trigger: Trigger,
    /// How long a MAC unknown to the hub is not asked for again, 1 s to 3600 s; default 60 s.
    pub negative_time: Duration,
    /// Whether frames go direct only where probes are answered; default yes.
    pub verify: bool,
}

/// What only a hub has in a VN.
#[derive(Clone, Debug, PartialEq)]
pub struct HubRole {
    /// Packets that name no VN belong to this one; true in one VN at most; default false.
    pub default: bool,
    /// This hub's addresses for clients that register IP addresses, all unicast; default none.
    pub protocol_addresses: Vec<IpAddr>,
    /// What clients that register IP addresses have in all packets, 1 to 8 octets; default nothing.
    pub cisco_authentication: Option<String>,
    /// Whose underlay addresses may register; default, and when empty, all.
    pub allow: Vec<Prefix>,
    /// The names of the [`Key`]s that several spokes may have; default none.
    pub keys: Vec<String>,
    /// Whether spokes need a key, once there are any; default yes.
    pub require: bool,
    /// The lowest VNI handed out as uplink VNI; at least `max_spokes` (or [`BRIDGE_SPOKES`]) fit above; default 1048576.
    pub uplink_first: Vni,
    /// What forwards between the spokes; default [`Dataplane::Auto`].
    pub dataplane: Dataplane,
    /// Whether MACs may be registered without a session; default no.
    pub untagged_l2: bool,
    /// How many sites may register from one address, 1 to 65535; default 4.
    pub max_vnis_per_address: u16,
    /// How many spokes may register, 1 to 65535; `None`: as many as suit the data plane.
    pub max_spokes: Option<u16>,
    /// The names of the [`Hub`]s that are the other hubs of the VN; default none.
    pub peers: Vec<String>,
}

/// How many spokes may register by default with data plane `bridge`: a Linux bridge ends at 1024 ports.
pub const BRIDGE_SPOKES: u16 = 1000;

/// How many spokes may register by default with data plane `kmod`.
pub const KMOD_SPOKES: u16 = 10_000;

/// What forwards a hub's frames in a VN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dataplane {
    /// A bridge with one VXLAN device for each spoke.
    Bridge,
    /// One VXLAN device for all spokes, of a driver that learns the VNI together with the address.
    Kmod,
    /// [`Dataplane::Kmod`] where that driver is live, else [`Dataplane::Bridge`].
    Auto,
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
