//! What the daemon knows of itself beside the engine's reports: what is shown is made of both.

use crate::control::Cause;
use crate::engine::report::{HubReport, HubRow, OddRow, SpokeReport};
use crate::engine::{Event, Refusal, Statistics};
use crate::types::{Mac, Nbma, VlanId, VpnId, Vtep};

/// The daemon at large, and how each VN stands.
#[derive(Clone, Debug)]
pub struct Status {
    /// The daemon's version.
    pub version: String,
    /// Since when it runs, in seconds.
    pub uptime: u64,
    /// The configuration file.
    pub config: String,
    /// The GRE device by which NHRP travels; `None`: by a raw socket.
    pub device: Option<String>,
    /// This router's underlay addresses.
    pub nbma: Vec<Nbma>,
    /// As whom it runs: a name, or a number that has none.
    pub user: String,
    /// Whether a seccomp filter is in force.
    pub confined: bool,
    /// What is wrong beside the VNs: why there is no such address, where the configuration says which it is to be; or why
    /// the state file cannot be written.
    pub trouble: Option<Cause>,
    /// How many packets of others were kept from a hub's ports, or why none are; `None` where that is not asked for.
    pub guard: Option<Result<u64, Cause>>,
    /// Whose packets make no sense here.
    pub odd: Vec<OddRow>,
    /// The virtual networks, in the order of the configuration.
    pub vns: Vec<VnStatus>,
}

/// How a VN stands.
#[derive(Clone, Debug)]
pub struct VnStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Its name on the wire.
    pub vpn_id: VpnId,
    /// The site's bridge.
    pub bridge: String,
    /// The VLAN of the bridge that the VN is, if it is not all of it.
    pub vlan: Option<VlanId>,
    /// The largest packet inside.
    pub mtu: u16,
    /// The bridge's MAC, once it is there.
    pub bridge_mac: Option<Mac>,
    /// A spoke's VXLAN device.
    pub device: Option<String>,
    /// Why the VN does not work on this router: its devices, this router's address, or the way to the hub.
    pub trouble: Option<Cause>,
    /// What it lacks though it may work: one of several hubs that nothing leads to, or what the kernel cannot
    /// do for it.
    pub lack: Option<Cause>,
    /// This router's part in the VN.
    pub role: RoleStatus,
}

/// This router's part in a VN.
#[derive(Clone, Debug)]
pub enum RoleStatus {
    /// It registers with a hub and asks it.
    Spoke {
        /// The hub's name in the configuration.
        hub_name: String,
        /// The hub's address as configured: an address, or a name to be looked up.
        hub_address: String,
        /// All its hubs by name, in order of preference, if there are several.
        hubs: Vec<(String, HubRow)>,
        /// What the engine says.
        report: SpokeReport,
    },
    /// It is the hub.
    Hub {
        /// What forwards: `bridge` or `kmod`.
        dataplane: String,
        /// Why that.
        dataplane_reason: String,
        /// What the engine says.
        report: HubReport,
    },
}

/// Where a MAC lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// At another router.
    At {
        /// Where its frames go.
        vtep: Vtep,
        /// For how many seconds this is valid; `None` when that is up to a hub's bridge.
        holding: Option<u32>,
    },
    /// At a port of this router, be it a spoke or the hub.
    Local,
    /// Nobody knows; `None` when the hub did not answer.
    NotResolved(Option<Refusal>),
}

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub struct Happening<'a> {
    /// When, in milliseconds since 1970 (UTC).
    pub at: u64,
    /// In which VN.
    pub vn: &'a str,
    /// What.
    pub event: Event,
}

/// What a monitoring system wants to know, but for a hub's clients.
#[derive(Clone, Debug)]
pub struct Counts {
    /// How things stand: the gauges.
    pub status: Status,
    /// What was counted in all.
    pub statistics: Statistics,
    /// What was counted in each VN.
    pub vns: Vec<VnCounts>,
}

/// What was counted in a VN.
#[derive(Clone, Debug)]
pub struct VnCounts {
    /// The VN's name.
    pub vn: String,
    /// What the engine counted.
    pub statistics: Statistics,
    /// What went through the VN's VXLAN devices; `None` when the kernel does not say.
    pub traffic: Option<Traffic>,
}

/// What went through a network device since it was made, as the kernel counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Octets received.
    pub rx_bytes: u64,
    /// Frames received.
    pub rx_packets: u64,
    /// Octets sent.
    pub tx_bytes: u64,
    /// Frames sent.
    pub tx_packets: u64,
}
