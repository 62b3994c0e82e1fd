//! The VLANs of a filtering bridge's ports, and of the bridge itself.

use super::ifinfo::{header_of, with_family};
use super::message::{self, Attribute, Attributes, Message};
use super::port;
use super::{Error, Netlink, Refusal};
use crate::types::VlanId;
use neli::consts::nl::NlmF;
use neli::consts::rtnl::{Ifla, Rtm};
use neli::types::Buffer;

const BRIDGE: u8 = libc::AF_BRIDGE as u8;
/// RTEXT_FILTER_BRVLAN_COMPRESSED: without it a dump does not tell VLANs; compressed, ranges take two attributes.
const TELL_VLANS: u32 = 1 << 2;

// Of linux/if_link.h, within IFLA_PROTINFO, and of linux/if_bridge.h.
const PORT_STATE: u16 = 1;
const DISABLED: u8 = 0;
// Of linux/if_bridge.h, within IFLA_AF_SPEC.
const BRIDGE_FLAGS: u16 = 0;
const VLAN_INFO: u16 = 2;
const BRIDGE_FLAGS_SELF: u16 = 2;
const PVID: u16 = 1 << 1;
const UNTAGGED: u16 = 1 << 2;
const RANGE_BEGIN: u16 = 1 << 3;
const RANGE_END: u16 = 1 << 4;
const LAST: u16 = 4094;

/// A bridge's port, or the bridge itself, with its VLANs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgePort {
    /// The device.
    pub index: u32,
    /// The bridge; itself when this is the bridge.
    pub bridge: u32,
    /// Whether nothing gets through it, as it has no link, or is set down. The bridge has forgotten then what it learned
    /// there.
    pub is_down: bool,
    /// Whether it passes nothing to other isolated ports; `None` before Linux 4.18.
    pub isolated: Option<bool>,
    /// Its VLANs, in ascending order.
    pub vlans: Vec<Vlans>,
}

/// VLANs that follow each other, of which a port is a member in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vlans {
    /// The first one.
    pub first: u16,
    /// The last one.
    pub last: u16,
    /// Whether untagged frames that arrive belong to it.
    pub pvid: bool,
    /// Whether its frames leave untagged.
    pub untagged: bool,
}

impl BridgePort {
    /// The VLAN that untagged frames belong to.
    pub fn pvid(&self) -> Option<VlanId> {
        self.vlans.iter().find(|v| v.pvid).and_then(|v| VlanId::new(v.first))
    }

    /// Whether it is a member.
    pub fn is_in(&self, vlan: VlanId) -> bool {
        self.vlans.iter().any(|v| (v.first..=v.last).contains(&vlan.get()))
    }

    /// Whether it is an untagged member of this VLAN, both ways, and of no other.
    pub fn is_only_in(&self, vlan: VlanId) -> bool {
        self.vlans == [Vlans { first: vlan.get(), last: vlan.get(), pvid: true, untagged: true }]
    }

    /// Whether it has a VLAN in common with the other.
    pub fn meets(&self, other: &BridgePort) -> bool {
        self.vlans.iter().any(|a| other.vlans.iter().any(|b| a.first <= b.last && b.first <= a.last))
    }

    /// The port an RTM_NEWLINK message of family AF_BRIDGE is about.
    pub(super) fn parse(message: &Message<'_>) -> Option<BridgePort> {
        if Rtm::from(message.kind) != Rtm::Newlink || *message.body.first()? != BRIDGE {
            return None;
        }
        let ((index, _), attributes) = header_of(message)?;
        let mut bridge = None;
        let (mut is_down, mut isolated) = (false, None);
        let mut vlans = Vec::new();
        for (kind, payload) in attributes {
            match Ifla::from(kind) {
                Ifla::Master => bridge = message::u32_of(payload),
                Ifla::AfSpec => vlans = vlans_of(payload),
                Ifla::Protinfo => (is_down, isolated) = (is_disabled(payload), port::isolated(payload)),
                _ => {}
            }
        }
        Some(BridgePort { index, bridge: bridge?, is_down, isolated, vlans })
    }
}

fn is_disabled(port: &[u8]) -> bool {
    Attributes(port).any(|(kind, payload)| kind == PORT_STATE && payload.first() == Some(&DISABLED))
}

fn vlans_of(bridge_spec: &[u8]) -> Vec<Vlans> {
    let mut vlans = Vec::new();
    let mut begun = None;
    for (_, payload) in Attributes(bridge_spec).filter(|(kind, _)| *kind == VLAN_INFO) {
        let vid = payload.get(2..).and_then(message::u16_of);
        let (Some(flags), Some(vid)) = (message::u16_of(payload), vid) else { continue };
        if flags & RANGE_BEGIN != 0 {
            begun = Some(vid);
            continue;
        }
        let first = begun.take().filter(|_| flags & RANGE_END != 0).unwrap_or(vid);
        vlans.push(Vlans { first, last: vid, pvid: flags & PVID != 0, untagged: flags & UNTAGGED != 0 });
    }
    vlans
}

impl Netlink {
    /// The ports of all bridges and the bridges themselves.
    pub fn bridge_ports(&mut self) -> Result<Vec<BridgePort>, Error> {
        let mask = message::attribute(Ifla::ExtMask, &TELL_VLANS.to_ne_bytes());
        self.dump(Rtm::Getlink, &with_family(BRIDGE, 0, vec![mask]), BridgePort::parse)
            .map_err(|e| e.during("list bridge ports"))
    }

    /// Make a bridge port an untagged member of `vlan`, both ways, and of no other. What is so already is no change.
    pub fn set_only_vlan(&mut self, index: u32, vlan: VlanId) -> Result<(), Error> {
        self.only_vlan(index, vlan).map_err(|e| e.during(format!("put interface {index} into VLAN {vlan}")))
    }

    pub(super) fn only_vlan(&mut self, index: u32, vlan: VlanId) -> Result<(), Refusal> {
        // In this order no frame passes from one VLAN to another.
        self.request(Rtm::Dellink, NlmF::empty(), other_vlans(index, vlan), |_| {})?;
        self.request(Rtm::Setlink, NlmF::empty(), untagged_in(index, vlan), |_| {})
    }

    /// Make a bridge itself a tagged member of `vlan`, or not one any more.
    pub fn set_own_vlan(&mut self, bridge: u32, vlan: VlanId, member: bool) -> Result<(), Error> {
        let itself = message::attribute(BRIDGE_FLAGS, &BRIDGE_FLAGS_SELF.to_ne_bytes());
        let request = about_vlans(bridge, vec![itself, vlan_info(0, vlan.get())]);
        let kind = if member { Rtm::Setlink } else { Rtm::Dellink };
        self.request(kind, NlmF::empty(), request, |_| {})
            .map_err(|e| e.during(format!("change VLAN {vlan} of bridge {bridge} itself")))
    }
}

pub(super) fn untagged_in(index: u32, vlan: VlanId) -> Buffer {
    about_vlans(index, vec![vlan_info(PVID | UNTAGGED, vlan.get())])
}

/// The VLANs beside `vlan`, to be left.
pub(super) fn other_vlans(index: u32, vlan: VlanId) -> Buffer {
    let mut ranges = Vec::new();
    for (first, last) in [(1, vlan.get() - 1), (vlan.get() + 1, LAST)] {
        if first < last {
            ranges.extend([vlan_info(RANGE_BEGIN, first), vlan_info(RANGE_END, last)]);
        } else if first == last {
            ranges.push(vlan_info(0, first));
        }
    }
    about_vlans(index, ranges)
}

fn about_vlans(index: u32, spec: Vec<Attribute>) -> Buffer {
    with_family(BRIDGE, index, vec![message::nested(Ifla::AfSpec, &spec)])
}

/// `struct bridge_vlan_info`.
fn vlan_info(flags: u16, vid: u16) -> Attribute {
    let [a, b] = flags.to_ne_bytes();
    let [c, d] = vid.to_ne_bytes();
    message::attribute(VLAN_INFO, &[a, b, c, d])
}
