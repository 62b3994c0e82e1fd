//! The things in the kernel that the engine wants, and how it wants them.

use super::settings::VpnMode;
use super::way::Path;
use crate::types::{Mac, Nbma, Vni, Vtep};
use core::net::IpAddr;

/// The name of one thing in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// Spoke: where unknown frames go.
    Uplink,
    /// Spoke: where a MAC's frames go.
    Shortcut(Mac),
    /// Spoke: frames from this underlay address are taken (by the guard).
    Source(Nbma),
    /// Whether floods are kept from a tunnel: a spoke's, or a hub's to this spoke.
    Floods(Option<Vtep>),
    /// Hub: the port for the spoke at this VTEP.
    Port(Vtep),
    /// Hub: the tunnel's entry for a client's IP address, with transport `device`.
    Neighbour(IpAddr),
}

/// What a hub's port passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Passing {
    /// Everything.
    #[default]
    All,
    /// All but what is flooded: the spoke is at another hub now.
    Mute,
    /// Nothing, and nothing is learned there: the spoke may be at another hub still.
    Nothing,
}

/// How a hub's port is to be. What is kept beside it lets the next run of the daemon go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its own VNI, which the spoke sends to.
    pub uplink: Vni,
    /// The hub's address the spoke sends to.
    pub local: Nbma,
    /// How packets between hub and spoke name the VN.
    pub mode: VpnMode,
    /// The holding time granted to the spoke, in seconds; of a port that was found, 0 if nobody kept it.
    pub granted: u16,
    /// The MAC that the spoke registered in its session.
    pub mac: Option<Mac>,
    /// Where that MAC is at home, if not there.
    pub home: Option<Nbma>,
    /// The number of the key that the spoke signs by.
    pub key: Option<u16>,
    /// Whether it leads to another hub: what comes from one is never passed to another.
    pub is_hubs: bool,
    /// What it passes.
    pub passing: Passing,
}

/// A client of a hub's that registered an IP address, and what lets the next run of the daemon go on with it: it may not
/// register again for long, and nothing in the kernel says who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpClient {
    /// Its address.
    pub address: IpAddr,
    /// Between which underlay addresses packets go.
    pub path: Path,
    /// How they name the VN.
    pub mode: VpnMode,
    /// Whether nobody else may register the address.
    pub unique: bool,
    /// The largest packet it takes, in octets; 0 if it did not say.
    pub mtu: u16,
    /// The holding time granted to it, in seconds.
    pub granted: u16,
}

/// How an item is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// An uplink or a shortcut leads there.
    To(Vtep),
    /// A port is like this.
    Port(Port),
    /// Frames from there are taken.
    Taken,
    /// Floods are kept from it.
    Withheld,
    /// A neighbour is behind this underlay address.
    Behind(Nbma),
}
