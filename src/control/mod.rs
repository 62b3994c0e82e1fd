//! The control socket's language: what the commands ask the daemon, and what it answers.
//!
//! A client sends one [`Request`] and gets one [`Reply`]; it may then send the next. [`Request::Monitor`] is answered
//! by [`Reply::Done`], and by a [`Reply::Event`] for everything that happens until the client closes the connection.
//! How messages become octets: [`frame`]. How they become sentences: [`words`].

mod cause;
pub mod frame;
pub mod words;

pub use cause::Cause;

use crate::config::Errors;
use crate::engine::Statistics;
use crate::engine::report::{ClientCounts, HubReport, MacRow, PeerRow, SpokeReport};
use crate::engine::{Event, Refusal};
use crate::types::{Mac, Nbma, VlanId, VpnId, Vtep};
use serde::{Deserialize, Serialize};

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// How are you? Answered by [`Reply::Status`].
    Status,
    /// Which MACs are followed? Answered by [`Reply::Macs`].
    Macs {
        /// In which VN; in all when `None`.
        vn: Option<String>,
    },
    /// Who registered? Answered by [`Reply::Peers`].
    Peers {
        /// In which VN; in all when `None`.
        vn: Option<String>,
    },
    /// Where does a MAC live? Answered by [`Reply::Resolved`], once the hub answered or the retries are over.
    Resolve {
        /// In which VN.
        vn: String,
        /// Which MAC.
        mac: Mac,
    },
    /// Forget shortcuts and pending questions. Answered by [`Reply::Done`].
    Flush {
        /// In which VN; in all when `None`.
        vn: Option<String>,
        /// Which MAC; all when `None`.
        mac: Option<Mac>,
    },
    /// Tell what happens, from now on. Answered by [`Reply::Done`], then [`Reply::Event`] again and again.
    Monitor,
    /// What happened lately, after the happening of number `after`? Answered by [`Reply::Lately`].
    Lately {
        /// The number of the last one that is known; 0 for all that are remembered.
        after: u64,
    },
    /// Read the configuration again and apply the differences.
    /// Answered by [`Reply::Done`] or [`Reply::BadConfiguration`].
    Reload,
    /// What was counted? Answered by [`Reply::Metrics`].
    Metrics,
}

/// What the daemon answers. Any request may be answered by [`Reply::Error`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// To [`Request::Status`].
    Status(Status),
    /// To [`Request::Macs`].
    Macs(Vec<VnMacs>),
    /// To [`Request::Peers`].
    Peers(Vec<VnPeers>),
    /// To [`Request::Resolve`].
    Resolved(Answer),
    /// It was done, and there is nothing to tell.
    Done,
    /// To [`Request::Monitor`].
    Event(Happening),
    /// To [`Request::Lately`].
    Lately(Lately),
    /// To [`Request::Metrics`].
    Metrics(Metrics),
    /// It could not be done; a sentence that says why.
    Error(String),
    /// To [`Request::Reload`]: the earlier configuration stays, and why.
    BadConfiguration(Errors),
}

/// The daemon at large, and how each VN stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Why there is no such address, where the configuration says which it is to be.
    pub trouble: Option<Cause>,
    /// The virtual networks, by name.
    pub vns: Vec<VnStatus>,
}

/// How a VN stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VnStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Its name on the wire.
    pub vpn_id: VpnId,
    /// The site's bridge.
    pub bridge: String,
    /// The VLAN of the bridge that the VN is, if it is not all of it.
    pub vlan: Option<VlanId>,
    /// The bridge's MAC, once it is there.
    pub bridge_mac: Option<Mac>,
    /// A spoke's VXLAN device.
    pub device: Option<String>,
    /// Why the VN does not work on this router: its devices, this router's address, or the way to the hub.
    pub trouble: Option<Cause>,
    /// This router's part in the VN.
    pub role: RoleStatus,
}

/// This router's part in a VN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleStatus {
    /// It registers with a hub and asks it.
    Spoke {
        /// The hub's name in the configuration.
        hub_name: String,
        /// The hub's address as configured: an address, or a name to be looked up.
        hub_address: String,
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

/// The MACs of a VN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VnMacs {
    /// The VN's name.
    pub vn: String,
    /// A row a MAC.
    pub rows: Vec<MacRow>,
}

/// The registrations in a VN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VnPeers {
    /// The VN's name.
    pub vn: String,
    /// A row a peer.
    pub rows: Vec<PeerRow>,
}

/// Where a MAC lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happening {
    /// When, in milliseconds since 1970 (UTC).
    pub at: u64,
    /// In which VN.
    pub vn: String,
    /// What.
    pub event: Event,
}

/// What happened lately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lately {
    /// How much has happened since the daemon was started: the number of the last happening.
    pub last: u64,
    /// The last ones, the latest at the end.
    pub happenings: Vec<Happening>,
}

/// What a monitoring system wants to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metrics {
    /// How things stand: the gauges.
    pub status: Status,
    /// What was counted in all.
    pub statistics: Statistics,
    /// What was counted in each VN.
    pub vns: Vec<VnCounts>,
}

/// What was counted in a VN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VnCounts {
    /// The VN's name.
    pub vn: String,
    /// What the engine counted.
    pub statistics: Statistics,
    /// What went through the VN's VXLAN devices; `None` when the kernel does not say.
    pub traffic: Option<Traffic>,
    /// At a hub: its clients, one by one.
    pub clients: Vec<(ClientCounts, Option<Traffic>)>,
}

/// What went through a network device since it was made, as the kernel counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
