//! What the engine says of itself when asked: rows for `status`, `macs`, `peers` and metrics.

use super::reason::{Refusal, Rivals, WhyHub};
use super::settings::{HubKey, Trigger, VpnMode};
use super::statistics::ClientStatistics;
use crate::types::{Label, Mac, Nbma, Prefix, Vni, Vtep};
use crate::wire::VpnTag;
use core::mem::discriminant;
use core::net::IpAddr;

/// How a spoke stands with its hub in a VN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The bridge or the VXLAN device is not there yet.
    NoDevice,
    /// The hub's address, or an own address to reach it from, is not known.
    NoAddress,
    /// The registration is on its way; so many requests were not answered.
    Registering {
        /// Requests without an answer.
        unanswered: u32,
    },
    /// The hub knows this spoke.
    Registered {
        /// Seconds until the registration ends if it is not refreshed.
        left: u32,
        /// Refresh requests without an answer.
        unanswered: u32,
    },
    /// The hub refused.
    Refused {
        /// The reason.
        reason: Refusal,
        /// Seconds until the next try.
        retry: u32,
    },
    /// The registration is being withdrawn.
    Withdrawing,
}

/// One of several hubs of a spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubRow {
    /// Which one.
    pub hub: HubKey,
    /// Its underlay address, when known.
    pub nbma: Option<Nbma>,
    /// Whether the spoke is registered there, or tries to be.
    pub is_active: bool,
    /// How many seconds ago it answered last; `None`: never.
    pub answered: Option<u64>,
    /// Whether it answers at present.
    pub answers: bool,
    /// Whether it sends its spokes away, or did lately.
    pub is_draining: bool,
    /// The spoke prefers it, but its last return there went wrong at once: in how many seconds it tries again, at the earliest.
    pub next_return: Option<u64>,
}

/// By what the packets of a hub's VN are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeysReport {
    /// Keys that several spokes may have: each can speak as the hub to the others.
    pub shared: u32,
    /// Keys of one spoke each.
    pub own: u32,
    /// Whether what is not signed is taken, too.
    pub is_optional: bool,
    /// Spokes that sign nothing, where there are keys.
    pub unsigned: u32,
    /// Whether IP clients have a password, for all to read.
    pub password: bool,
}

/// MACs that move to and fro, nobody knows why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestlessReport {
    /// How many.
    pub macs: u32,
    /// One of them.
    pub mac: Mac,
    /// A place of its; `None` for the own site.
    pub from: Option<Vtep>,
    /// The other one.
    pub to: Option<Vtep>,
}

/// A loop: what is sent by a tunnel comes back by a local port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopReport {
    /// The local port.
    pub port: Label,
    /// Hub: the spoke that the tunnel leads to.
    pub spoke: Option<Vtep>,
}

/// A spoke's state in a VN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpokeReport {
    /// How it stands with its hub.
    pub standing: Standing,
    /// For how many seconds.
    pub since: u64,
    /// The hub's underlay address, when known.
    pub hub: Option<Nbma>,
    /// This router's underlay address towards the hub, when known.
    pub local: Option<Nbma>,
    /// The VNI of this site.
    pub vni: Vni,
    /// Where unknown frames go, once told.
    pub uplink: Option<Vtep>,
    /// How packets name the VN.
    pub vpn_mode: VpnMode,
    /// What makes it ask.
    pub trigger: Trigger,
    /// Shortcuts installed.
    pub shortcuts: u32,
    /// MACs being asked for.
    pub asking: u32,
    /// MACs the hub did not know.
    pub negative: u32,
    /// Another router that registers this one's MAC, or has it registered.
    pub rivals: Option<Rivals>,
    /// The key that the hub answers to, or that is tried; `None`: nothing is signed.
    pub key: Option<Label>,
    /// Paths to other sites by which frames go, and those by which none do since probes do not come back.
    pub paths: (u32, u32),
    /// What is wrong with the path to the hub, if anything.
    pub hub_trouble: Option<Trouble>,
    /// Its hubs, in order of preference, if there are several.
    pub hubs: Vec<HubRow>,
    /// Why it is at this one of them, and for how many seconds.
    pub chosen: (WhyHub, u64),
    /// How far apart probes are, in percent of what they should be: more than 100 where there are too many paths.
    pub probing: u32,
    /// MACs that move to and fro.
    pub restless: Option<RestlessReport>,
    /// A loop, if there is one: its tunnel floods nothing.
    pub looped: Option<LoopReport>,
}

/// A hub's state in a VN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubReport {
    /// For how many seconds its bridge has been up, or not.
    pub since: u64,
    /// Registered spokes.
    pub spokes: u32,
    /// How many there may be.
    pub max_spokes: u32,
    /// Clients of other makers, which registered IP addresses only.
    pub ip_clients: u32,
    /// When there may be no more of them: the network that most of them are in, and how many.
    pub ip_crowd: Option<(Prefix, u32)>,
    /// Other hubs that it is linked to, and frames get to, and how many there are to be.
    pub peers: (u32, u32),
    /// MACs whose place is known.
    pub macs: u32,
    /// Purges that wait for their reply.
    pub purges: u32,
    /// By what packets are signed.
    pub keys: KeysReport,
    /// Who was refused lately, for what lies between.
    pub refused: Option<Refusal>,
    /// Whether it sends its spokes away.
    pub is_draining: bool,
    /// Another hub that nothing gets to and back, and why.
    pub path_trouble: Option<(Nbma, Trouble)>,
    /// Routers of which two have one MAC; the last ones, if they are many.
    pub rivals: Vec<Rivals>,
    /// MACs that move to and fro.
    pub restless: Option<RestlessReport>,
    /// A loop, if there is one: its tunnel floods nothing.
    pub looped: Option<LoopReport>,
}

/// The state of a MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacState {
    /// Being asked for; its frames go by the hub.
    Asking,
    /// A shortcut is installed.
    Shortcut,
    /// It is known where it is, but its frames go by the hub: nothing gets there straight, or that is not known yet.
    NoPath,
    /// The hub did not know it.
    Negative,
    /// Hub: seen by the bridge.
    Learned,
    /// Hub: the bridge forgot it, but spokes still hold an answer for it.
    Held,
}

/// A row of `macs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MacRow {
    /// The MAC.
    pub mac: Mac,
    /// Its state.
    pub state: MacState,
    /// Where it lives; `None` for a host at this hub, or when not known.
    pub at: Option<Vtep>,
    /// Seconds this stays valid; `None` when that is up to the bridge.
    pub left: Option<u32>,
    /// Hub: how many spokes hold an answer; all of them, once more asked than are remembered by name.
    pub askers: u32,
}

/// A row of `peers`: at a hub, a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRow {
    /// The peer's VTEP; without VNI for a client that only registers an IP address.
    pub nbma: Nbma,
    /// The VNI of the peer's site.
    pub vni: Option<Vni>,
    /// The VNI of the hub's port for it.
    pub uplink: Option<Vni>,
    /// The MACs it registered.
    pub macs: Vec<Mac>,
    /// The IP addresses it registered.
    pub addresses: Vec<IpAddr>,
    /// Seconds until the registration ends if it is not refreshed.
    pub left: u32,
    /// The key that it signs by, and the spoke whose own key that is.
    pub key: Option<Label>,
    /// See `key`.
    pub spoke: Option<Label>,
}

/// What is wrong with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing comes back.
    Silent,
    /// ICMP says that nothing gets there.
    Refused,
    /// Small frames get there, large ones do not.
    Large,
    /// What comes back comes from another address than the path's, of which no frames are taken.
    Strayed,
    /// The hub answers NHRP, but VXLAN does not get there and back.
    NhrpOnly,
}

impl Trouble {
    /// What it is called where NHRP passes meanwhile.
    pub(in super::super) fn beside_nhrp(self) -> Trouble {
        if self == Trouble::Strayed { self } else { Trouble::NhrpOnly }
    }
}

/// How a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathState {
    /// It is being tested for the first time.
    Untested,
    /// Probes come back.
    Up,
    /// They do not.
    Down(Trouble),
    /// It is used whether they do or not.
    Unverified,
}

/// A path of a spoke's to another site, or of a hub's to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathRow {
    /// Its other end.
    pub peer: Vtep,
    /// Whether that is a hub.
    pub is_hub: bool,
    /// How it is.
    pub state: PathState,
    /// For how many seconds.
    pub since: u64,
    /// The round trip in milliseconds, once something came back.
    pub round_trip: Option<u32>,
    /// How many of a thousand probes are lost.
    pub loss: u16,
    /// The largest frame that came back, in octets behind its Ethernet header.
    pub largest: Option<u16>,
    /// MACs that are there.
    pub shortcuts: u32,
}

/// What is odd about packets of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// They are in the format of the dmevpn in C.
    OldFormat,
    /// They are malformed.
    Malformed,
    /// They name a VN that there is not at this node.
    UnknownVn(VpnTag),
    /// They have a compulsory extension of this type, which is not known here.
    UnknownExtension(u16),
    /// They have no password where one is expected, or another one.
    Unauthenticated,
    /// They are not signed where all has to be.
    Unsigned,
    /// They are signed by a key of this number, which is not known here.
    UnknownKey(u16),
    /// They are signed by a key of this number, and not by the one that is known here.
    WrongKey(u16),
    /// They report this error about packets of this node (RFC 2332 section 5.2.7).
    Reports(u16),
}

impl Oddity {
    /// Whether it is the same thing. What who sends it can choose at will makes no difference: else each packet of a flood
    /// were something new.
    pub fn is_like(self, other: Oddity) -> bool {
        match (self, other) {
            (Oddity::Reports(code), Oddity::Reports(other)) => code == other,
            _ => discriminant(&self) == discriminant(&other),
        }
    }
}

/// Somebody's odd packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OddRow {
    /// Who sends them.
    pub peer: Nbma,
    /// What is odd.
    pub oddity: Oddity,
    /// How many there were, since an hour passed without any.
    pub count: u32,
    /// How many seconds ago the last one was.
    pub ago: u64,
}

/// What a hub counted of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCounts {
    /// The client's underlay address.
    pub nbma: Nbma,
    /// The VNI of its site.
    pub vni: Option<Vni>,
    /// The VNI of the hub's port for it.
    pub uplink: Option<Vni>,
    /// The spoke whose own key it signs by.
    pub spoke: Option<Label>,
    /// What was counted.
    pub statistics: ClientStatistics,
}

/// A VN's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VnReport {
    /// As a spoke.
    Spoke(SpokeReport),
    /// As a hub.
    Hub(HubReport),
}
