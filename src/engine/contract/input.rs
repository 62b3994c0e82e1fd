//! What the outside tells the engine.

use super::item::{IpClient, Port};
use super::probe::Arrived;
use super::settings::{HubKey, VnKey};
use super::way::{Path, Via};
use crate::types::{Label, Mac, Nbma, Vni, Vtep};
use crate::wire::Malformed;
use core::time::Duration;

/// Where a MAC is, seen from the bridge of a VN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At a local port, or the bridge's own.
    Local,
    /// Behind a spoke's tunnel device.
    Tunnel,
    /// Behind a hub's port for this spoke.
    At(Vtep),
    /// Not behind the port for this spoke any more; where else it is was told, if that is known.
    Left(Vtep),
    /// Nowhere any more: the bridge forgot it.
    Gone,
    /// Nor is it where it was: the local port it was at is down or gone.
    Unplugged,
}

/// What became of an item that was to be in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is there, as wanted.
    Made,
    /// It could not be made.
    Failed {
        /// Somebody else uses its VNI or its name on this machine.
        taken: bool,
    },
}

/// What the kernel has to tell about a VN.
#[derive(Clone, Copy, Debug)]
pub enum News {
    /// The devices are up, and this node has this protocol address there: a hub's bridge's MAC, one of a spoke's own.
    /// Or they are not (any more).
    Device(Option<Mac>),
    /// The bridge learned, moved or forgot a MAC.
    Fdb {
        /// Which MAC.
        mac: Mac,
        /// Where it is now.
        place: Place,
    },
    /// A complete listing begins: what is not told before [`News::Listed`] is gone.
    Listing,
    /// The listing is complete.
    Listed,
    /// A spoke's VXLAN device has a frame for a MAC its FDB lacks (trigger `l2miss`).
    Miss(Mac),
    /// The answer to [`Act::ReadUse`](super::effect::Act::ReadUse).
    Use {
        /// The MAC.
        mac: Mac,
        /// How long ago the kernel last sent a frame by this entry.
        idle: Duration,
        /// How long ago the entry was last written.
        age: Duration,
    },
    /// The answer to [`Act::ReadUses`](super::effect::Act::ReadUses) is complete.
    UsesTold {
        /// How long ago the kernel last sent a frame by the default entry; `None` if there is none.
        hub: Option<Duration>,
    },
    /// A loop frame came by a local port of the VN's bridge: maybe one of this node's, see
    /// [`Act::SeekLoop`](super::effect::Act::SeekLoop).
    Looped {
        /// Its nonce.
        nonce: u64,
        /// The port.
        port: Label,
    },
    /// A port's answer to [`Effect::Changed`](super::effect::Effect::Changed).
    Became {
        /// The spoke the port is for.
        spoke: Vtep,
        /// What became of it.
        outcome: Outcome,
    },
    /// A shortcut of an earlier run of the daemon was found.
    FoundShortcut {
        /// The MAC.
        mac: Mac,
        /// Where the kernel sends its frames.
        to: Vtep,
    },
    /// A port of an earlier run of the daemon was found.
    FoundPort {
        /// The spoke it leads to.
        spoke: Vtep,
        /// How it is.
        port: Port,
    },
    /// A client without a port, as an earlier run of the daemon knew it.
    FoundClient(IpClient),
    /// So many of the other hubs that are to be there an earlier run was linked to, at most.
    FoundHubs(usize),
}

/// What an operator wants.
#[derive(Clone, Copy, Debug)]
pub enum Order {
    /// A MAC is to be resolved now.
    Resolve {
        /// In which VN.
        vn: VnKey,
        /// Which MAC.
        mac: Mac,
    },
    /// Shortcuts and pending questions are to be forgotten; at a hub, where MACs behind spokes are, and who asked for what.
    Flush {
        /// In which VN; in all when `None`.
        vn: Option<VnKey>,
        /// Which MAC; all when `None`.
        mac: Option<Mac>,
    },
    /// What a hub has registered from this address is to end.
    Remove {
        /// In which VN; in all when `None`.
        vn: Option<VnKey>,
        /// The underlay address.
        nbma: Nbma,
        /// Which of its sites; all of them when `None`.
        vni: Option<Vni>,
    },
    /// A hub is to send its spokes away, those that have another one, or not any more.
    Drain {
        /// In which VN.
        vn: VnKey,
        /// Whether it is to.
        is_on: bool,
    },
    /// A spoke is to register anew where it is registered.
    Refresh,
    /// The daemon is to end: what was registered is withdrawn.
    Stop,
}

/// Everything that can happen to an engine.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Time has passed; due at [`Engine::deadline`](crate::engine::Engine::deadline).
    Tick,
    /// An NHRP packet arrived.
    Packet {
        /// The way it came.
        via: Via,
        /// The NHRP packet, from the fixed header on.
        nhrp: &'a [u8],
    },
    /// An IP packet that a client sent by the tunnels arrived, to be passed on, or the beginning of one. Not all of them
    /// are told of: a few in a second.
    Relayed {
        /// The way it came.
        via: Via,
        /// The packet, from its IP header on.
        packet: &'a [u8],
    },
    /// Something arrived where NHRP does that is none, or not as it should be in front of it.
    Unreadable {
        /// Who sent it.
        from: Nbma,
        /// Why it cannot be read.
        why: Malformed,
    },
    /// A probe of a path arrived, or the answer to one.
    Probe {
        /// In which VN.
        vn: VnKey,
        /// What and by which way.
        arrived: Arrived,
    },
    /// ICMP says that a probe with this nonce did not get there (types 3/0, 3/1, 3/3, 3/13; the same of ICMPv6), or the kernel
    /// that there is no way for it.
    Unreachable {
        /// In which VN.
        vn: VnKey,
        /// The probe's nonce.
        nonce: u64,
    },
    /// A hub's address and the address of ours that reaches it are known, or not any more. Told again unchanged, it
    /// says that something was in the way: what is not answered is sent once more.
    Hub {
        /// Which hub.
        hub: HubKey,
        /// The way to it.
        path: Option<Path>,
    },
    /// The kernel has something to tell.
    News {
        /// In which VN.
        vn: VnKey,
        /// What.
        news: News,
    },
    /// An operator wants something.
    Order(Order),
}
