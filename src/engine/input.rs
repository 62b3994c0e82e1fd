//! What the outside tells the engine.

use super::settings::{HubKey, VnKey};
use crate::types::{Mac, Nbma, Vni, Vtep};
use crate::wire::VpnTag;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// The two ends of an underlay path, seen from this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Path {
    /// This node's address.
    pub local: Nbma,
    /// The other node's address.
    pub remote: Nbma,
}

/// Where a MAC is, seen from the bridge of a VN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At a local port, or the bridge's own.
    Local,
    /// Behind a spoke's tunnel device.
    Tunnel,
    /// Behind a hub's port for this spoke.
    Port(Vtep),
    /// Nowhere any more: the bridge forgot it.
    Gone,
}

/// What became of a hub's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortState {
    /// It was made, as asked for.
    Up,
    /// It could not be made.
    Failed {
        /// Somebody else uses that VNI on this machine.
        taken: bool,
    },
    /// An earlier run of the daemon made it; it uses this uplink VNI towards a spoke that was reached like this.
    Found {
        /// The port's VNI.
        uplink: Vni,
        /// The hub's address the spoke sends to.
        local: Nbma,
    },
}

/// Everything that can happen to an engine.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Time has passed; due at [`super::Engine::deadline`].
    Tick,
    /// An NHRP packet arrived.
    Packet {
        /// Between which addresses.
        path: Path,
        /// Which VN the encapsulation names.
        tag: VpnTag,
        /// The NHRP packet, from the fixed header on.
        nhrp: &'a [u8],
    },
    /// A hub's address and the address of ours that reaches it are known, or not any more. Told again unchanged, it
    /// says that something was in the way: what is not answered is sent once more.
    HubAddress {
        /// Which hub.
        hub: HubKey,
        /// The way to it.
        path: Option<Path>,
    },
    /// A VN's devices are up, and this node has this address there; or they are not (any more).
    Plane {
        /// In which VN.
        vn: VnKey,
        /// This node's protocol address in the VN: a hub's bridge's MAC, one of a spoke's own.
        mac: Option<Mac>,
    },
    /// The VN's bridge learned, moved or forgot a MAC.
    Fdb {
        /// In which VN.
        vn: VnKey,
        /// Which MAC.
        mac: Mac,
        /// Where it is now.
        place: Place,
    },
    /// A complete listing of the bridge's FDB begins: what is not told before [`Input::FdbListed`] is gone.
    FdbListing {
        /// In which VN.
        vn: VnKey,
    },
    /// The listing is complete.
    FdbListed {
        /// In which VN.
        vn: VnKey,
    },
    /// A spoke's VXLAN device has a frame for a MAC its FDB lacks (trigger `l2miss`).
    Miss {
        /// In which VN.
        vn: VnKey,
        /// The destination.
        mac: Mac,
    },
    /// A shortcut of an earlier run of the daemon was found in the kernel.
    Found {
        /// In which VN.
        vn: VnKey,
        /// The MAC.
        mac: Mac,
        /// Where the kernel sends its frames.
        to: Vtep,
    },
    /// The answer to [`super::Effect::QueryUse`].
    Usage {
        /// In which VN.
        vn: VnKey,
        /// The MAC.
        mac: Mac,
        /// How long ago the kernel last sent a frame by this entry.
        idle: Duration,
        /// How long ago the entry was last written.
        age: Duration,
    },
    /// The answer to [`super::Effect::AddPort`], or a port that was there already.
    Port {
        /// In which VN.
        vn: VnKey,
        /// The spoke it leads to.
        spoke: Vtep,
        /// What became of it.
        state: PortState,
    },
    /// An operator wants a MAC resolved now.
    Resolve {
        /// In which VN.
        vn: VnKey,
        /// Which MAC.
        mac: Mac,
    },
    /// An operator wants shortcuts and pending questions forgotten.
    Flush {
        /// In which VN; in all when `None`.
        vn: Option<VnKey>,
        /// Which MAC; all when `None`.
        mac: Option<Mac>,
    },
    /// The daemon is to end: withdraw what was registered.
    Stop,
}
