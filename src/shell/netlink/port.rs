//! What a bridge has set for a port of it: what passes there.

use super::ifinfo::header;
use super::message::{self, Attribute};
use super::{Error, Netlink, Refusal};
use crate::engine::Passing;
use neli::consts::nl::NlmF;
use neli::consts::rtnl::{Iff, Ifla, IflaInfo, Rtm};
use neli::types::Buffer;

// IFLA_BRPORT_MODE: hairpin; IFLA_BRPORT_UNICAST_FLOOD, IFLA_BRPORT_MCAST_FLOOD, IFLA_BRPORT_BCAST_FLOOD.
const BRPORT_MODE: u16 = 4;
const BRPORT_FLOODS: [u16; 3] = [9, 27, 30];
/// IFLA_BRPORT_MULTICAST_ROUTER, and its values for a port that gets all, always or for a while (Linux 4.6);
/// IFLA_BRPORT_ISOLATED (Linux 4.18).
const BRPORT_MULTICAST_ROUTER: u16 = 25;
const ALWAYS: u8 = 2;
const FOR_A_WHILE: u8 = 3;
const BRPORT_ISOLATED: u16 = 33;
/// IFLA_BRPORT_LEARNING and IFLA_BRPORT_LOCKED (Linux 5.18).
const BRPORT_LEARNING: u16 = 8;
const BRPORT_LOCKED: u16 = 39;
/// IFLA_BRPORT_FLUSH.
const BRPORT_FLUSH: u16 = 24;

/// What a bridge floods by a port: unknown unicast, multicast, broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floods(pub [bool; 3]);

impl Floods {
    /// As a new port.
    pub const ALL: Floods = Floods([true; 3]);
    /// Nothing.
    pub const NOTHING: Floods = Floods([false; 3]);

    pub(super) fn parse(port: &[u8]) -> Option<Floods> {
        let [unicast, multicast, broadcast] = BRPORT_FLOODS.map(|kind| flag(port, kind));
        Some(Floods([unicast?, multicast?, broadcast?]))
    }
}

/// A flag of a port of a bridge.
fn flag(port: &[u8], kind: u16) -> Option<bool> {
    message::find(port, kind).and_then(<[u8]>::first).map(|octet| *octet != 0)
}

/// Whether a port of a bridge is isolated, if the kernel knows that.
pub(super) fn isolated(port: &[u8]) -> Option<bool> {
    flag(port, BRPORT_ISOLATED)
}

/// Whether it is locked, if the kernel knows that.
pub(super) fn locked(port: &[u8]) -> Option<bool> {
    flag(port, BRPORT_LOCKED)
}

impl Netlink {
    /// Let a bridge port send frames back to where they came from.
    pub fn set_hairpin(&mut self, index: u32) -> Result<(), Error> {
        self.set_port(index, &[message::attribute(BRPORT_MODE, &[1])])
            .map_err(|e| e.during(format!("set hairpin mode on interface {index}")))
    }

    /// Have a bridge port pass nothing to other isolated ones, and get all multicast.
    pub fn isolate(&mut self, index: u32) -> Result<(), Error> {
        self.request(Rtm::Newlink, NlmF::empty(), isolation(index), |_| {})
            .map_err(|e| e.during(format!("isolate interface {index}")))
    }

    /// Have a bridge port pass this.
    pub fn pass(&mut self, index: u32, what: Passing) -> Result<(), Error> {
        self.request(Rtm::Newlink, NlmF::empty(), passing(index, what), |_| {})
            .map_err(|e| e.during(format!("change what interface {index} passes")))
    }

    /// Have a bridge port that is up get all multicast until its bridge has asked who listens there.
    pub fn hear_all(&mut self, index: u32) -> Result<(), Error> {
        self.request(Rtm::Newlink, NlmF::empty(), hearing_all(index), |_| {})
            .map_err(|e| e.during(format!("have interface {index} get all multicast")))
    }

    /// Have a bridge flood this by a port of it.
    pub fn set_floods(&mut self, index: u32, floods: Floods) -> Result<(), Error> {
        let flags: Vec<_> = BRPORT_FLOODS
            .into_iter()
            .zip(floods.0)
            .map(|(kind, on)| message::attribute(kind, &[on.into()]))
            .collect();
        self.set_port(index, &flags)
            .map_err(|e| e.during(format!("change what is flooded by interface {index}")))
    }

    /// Change what a bridge has set for a port of it.
    fn set_port(&mut self, index: u32, attributes: &[Attribute]) -> Result<(), Refusal> {
        // Not RTM_SETLINK: that one does not look at what belongs to the bridge.
        self.request(Rtm::Newlink, NlmF::empty(), port(index, attributes), |_| {})
    }
}

/// What a bridge port passes.
pub(super) fn passing(index: u32, what: Passing) -> Buffer {
    let floods = [u8::from(what == Passing::All)];
    let (learns, is_locked) = ([u8::from(what != Passing::Nothing)], [u8::from(what == Passing::Nothing)]);
    let floods = BRPORT_FLOODS.map(|flood| message::attribute(flood, &floods));
    let others =
        [message::attribute(BRPORT_LEARNING, &learns), message::attribute(BRPORT_LOCKED, &is_locked)];
    // A locked port passes what is from a MAC that was learned there.
    let flush = (what == Passing::Nothing).then(|| message::attribute(BRPORT_FLUSH, &[]));
    port(index, &floods.into_iter().chain(others).chain(flush).collect::<Vec<_>>())
}

/// A bridge port is isolated, and where there is a querier, gets all multicast.
pub(super) fn isolation(index: u32) -> Buffer {
    let flags =
        [message::attribute(BRPORT_ISOLATED, &[1]), message::attribute(BRPORT_MULTICAST_ROUTER, &[ALWAYS])];
    port(index, &flags)
}

/// A bridge port that is up gets all multicast until its bridge has asked who listens there.
pub(super) fn hearing_all(index: u32) -> Buffer {
    port(index, &[message::attribute(BRPORT_MULTICAST_ROUTER, &[FOR_A_WHILE])])
}

/// What a bridge is to set for a port of it.
fn port(index: u32, attributes: &[Attribute]) -> Buffer {
    let info = [
        message::attribute(IflaInfo::SlaveKind, b"bridge"),
        message::nested(IflaInfo::SlaveData, attributes),
    ];
    header(index, Iff::empty(), Iff::empty(), vec![message::nested(Ifla::Linkinfo, &info)])
}
