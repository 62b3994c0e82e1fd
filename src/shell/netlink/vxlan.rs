//! VXLAN devices, made and deleted by the dozen: a system call, and a wait for the kernel's lock, cost more than what
//! is asked for.

use super::fdb::set_message;
use super::ifinfo::header;
use super::link::{ifname, vxlan as attr};
use super::message::{self, Attribute, Batch};
use super::port;
use super::vlan::{other_vlans, untagged_in};
use super::{Destination, Error, Netlink, OWN_INDICES, Refusal};
use crate::engine::Passing;
use crate::types::VlanId;
use neli::consts::nl::NlmF;
use neli::consts::rtnl::{Iff, Ifla, IflaInfo, Rtm};
use neli::types::Buffer;
use std::fs;
use std::io::Write;
use std::net::IpAddr;

/// The entry for everything without one of its own.
const DEFAULT: [u8; 6] = [0; 6];

/// IFLA_INET6_ADDR_GEN_MODE, and its value for "no link-local address".
const ADDR_GEN_MODE: u16 = 8;
const ADDR_GEN_NONE: u8 = 1;

/// What devices that are to be deleted together are put into before, all of them ours: "dmev". It is nobody else's
/// number.
const DOOMED: u32 = 0x646d_6576;

/// The VXLAN device to be made by [`Netlink::create_vxlan`].
#[derive(Clone, Debug)]
pub struct NewVxlan<'a> {
    /// The interface name, at most 15 octets.
    pub name: &'a str,
    /// The VNI. The driver's own learning is off then: an address learned there would not follow the bindings.
    /// None for a device that has no VNI of its own (`external`); it learns, and where the kernel can (5.18) it
    /// filters by VNI ([`Netlink::accept_vni`]).
    pub vni: Option<u32>,
    /// The address to send from; it decides the family of all destinations.
    pub local: IpAddr,
    /// The UDP port.
    pub port: u16,
    /// Whether to report unknown destinations.
    pub l2miss: bool,
    /// The MTU, if not the kernel's choice.
    pub mtu: Option<u32>,
    /// The MAC address, if not a random one.
    pub mac: Option<[u8; 6]>,
    /// The bridge to make it a port of.
    pub master: Option<u32>,
    /// The only VLAN of that bridge it is to be a member of, untagged; otherwise it has those of any new port.
    pub vlan: Option<VlanId>,
    /// The alias text, at most 255 octets.
    pub alias: &'a str,
    /// Where its default entry leads to, if it is to have one.
    pub entry: Option<Destination>,
    /// Whether it is to pass nothing to other isolated ports of its bridge, and is to get all multicast.
    pub isolated: bool,
    /// What it passes as a port of its bridge.
    pub passing: Passing,
    /// Whether it is to get all multicast until its bridge has asked who listens there.
    pub hears_all: bool,
    /// Whether to switch it on.
    pub up: bool,
}

/// A request of a batch: for which device, and whether it has to succeed.
struct Step {
    device: usize,
    must: bool,
}

impl Netlink {
    /// From here on are the indices of devices that such a program made.
    pub const OWN: u32 = OWN_INDICES;

    /// Whether this index was given to a device by a program such as this one, in this or an earlier run.
    pub fn is_own_index(index: u32) -> bool {
        index >= OWN_INDICES
    }

    /// Make a VXLAN device; the answer is its index. Either all of it is done or no device is left.
    pub fn create_vxlan(&mut self, new: &NewVxlan<'_>) -> Result<u32, Error> {
        let mut made = self.create_vxlans(std::slice::from_ref(new));
        made.pop().unwrap_or_else(|| Err(missing().during(format!("create vxlan {}", new.name))))
    }

    /// Make VXLAN devices, some dozens at most; the answers are their indices, in order. Of each either all is done or
    /// no device is left.
    pub fn create_vxlans(&mut self, new: &[NewVxlan<'_>]) -> Vec<Result<u32, Error>> {
        let mut made = self.make(new, true);
        for (new, made) in new.iter().zip(&mut made) {
            // The kernel shares one UDP socket among devices of equal settings. Another IPv6 device
            // that is up on this port and wants checksums leaves no choice but to be like it.
            if new.local.is_ipv6() && made.as_ref().is_err_and(|e| e.errno == libc::EADDRINUSE) {
                *made = self.make(std::slice::from_ref(new), false).pop().unwrap_or_else(|| Err(missing()));
            }
        }
        let named = made.into_iter().zip(new);
        named.map(|(made, new)| made.map_err(|e| e.during(format!("create vxlan {}", new.name)))).collect()
    }

    /// Devices are whole before they are switched on: in their bridge and their VLAN, so that no frame gets into
    /// another one, and without IPv6, which costs the kernel as much as all the rest and makes a port speak.
    fn make(&mut self, new: &[NewVxlan<'_>], zero_checksums: bool) -> Vec<Result<u32, Refusal>> {
        let first = self.take_indices(new.len());
        let mut made: Vec<Result<u32, Refusal>> = (first..).take(new.len()).map(Ok).collect();
        let none = Iff::empty;
        let mut asked = Asked::new(self.next_seq());
        for (device, (new, index)) in new.iter().zip(first..).enumerate() {
            let attributes = vxlan_attributes(new, zero_checksums);
            asked.push(
                device,
                Rtm::Newlink,
                NlmF::CREATE | NlmF::EXCL,
                header(index, none(), none(), attributes),
            );
            // What the kernel ignores in a create message.
            let alias = message::attribute(Ifla::Ifalias, new.alias.as_bytes());
            asked.push(device, Rtm::Setlink, NlmF::empty(), header(index, none(), none(), vec![alias]));
            // A kernel without IPv6 refuses this one.
            asked.may(device, Rtm::Setlink, header(index, none(), none(), vec![no_ipv6_address()]));
            if new.isolated {
                // Not RTM_SETLINK: that one does not look at what belongs to the bridge.
                asked.push(device, Rtm::Newlink, NlmF::empty(), port::isolation(index));
            }
            if new.passing != Passing::All {
                asked.push(device, Rtm::Newlink, NlmF::empty(), port::passing(index, new.passing));
            }
            if let Some(vlan) = new.vlan {
                // In this order no frame passes from one VLAN to another.
                asked.push(device, Rtm::Dellink, NlmF::empty(), other_vlans(index, vlan));
                asked.push(device, Rtm::Setlink, NlmF::empty(), untagged_in(index, vlan));
            }
        }
        if self.without_ipv6 && new.iter().any(|new| new.up) {
            self.ask(asked, &mut made);
            for (new, made) in new.iter().zip(&made).filter(|(new, _)| new.up) {
                if made.is_ok() && self.without_ipv6 {
                    self.without_ipv6 = switch_ipv6_off(new.name);
                }
            }
            asked = Asked::new(self.next_seq());
        }
        for (device, (new, index)) in new.iter().zip(first..).enumerate() {
            if made.get(device).is_none_or(Result::is_err) {
                continue;
            }
            // It knows where to send before it hears anything.
            if let Some(to) = new.entry {
                let entry = set_message(index, DEFAULT, to);
                asked.push(device, Rtm::Newneigh, NlmF::CREATE | NlmF::EXCL, entry);
            }
            if new.up {
                asked.push(device, Rtm::Setlink, NlmF::empty(), header(index, Iff::UP, Iff::UP, vec![]));
            }
            if new.hears_all {
                // A kernel before 4.6 refuses this one.
                asked.may(device, Rtm::Newlink, port::hearing_all(index));
            }
        }
        self.ask(asked, &mut made);
        made
    }

    /// Asks for all, and takes back what was refused in part: half a device is worse than none.
    fn ask(&mut self, asked: Asked, made: &mut [Result<u32, Refusal>]) {
        let Asked { mut batch, steps } = asked;
        if steps.is_empty() {
            return;
        }
        let mut refused = Vec::new();
        let sent = self.exchange_quietly(&mut batch, &mut |place, end| refused.push((place, end)));
        let mut half = Vec::new();
        for (place, end) in refused {
            let Some(Step { device, must: true }) = steps.get(place) else { continue };
            // What was asked for after a refusal is refused for want of the device: the first error is the one to tell.
            if let Some(slot @ Ok(_)) = made.get_mut(*device) {
                half.extend(slot.as_ref().ok().copied());
                *slot = Err(end);
            }
        }
        if let Err(e) = sent {
            for slot in made.iter_mut().filter(|slot| slot.is_ok()) {
                half.extend(slot.as_ref().ok().copied());
                *slot = Err(e.clone());
            }
        }
        for index in half {
            let _ = self.delete(index);
        }
    }

    /// Remove devices that this program made, some dozens at most; it is no error when some are gone already. The
    /// kernel waits once for all of them, some 20 ms, and for each one otherwise.
    pub fn delete_links(&mut self, indices: &[u32]) -> Result<(), Error> {
        if let [index] = indices {
            return self.delete_link(*index);
        }
        let about = |index, group: u32| {
            let group = message::attribute(Ifla::Group, &group.to_ne_bytes());
            header(index, Iff::empty(), Iff::empty(), vec![group])
        };
        let mut batch = Batch::quiet(self.next_seq());
        // Index 0 is no device, but all of them.
        for index in indices.iter().filter(|index| **index != 0) {
            batch.push(Rtm::Setlink, NlmF::empty(), about(*index, DOOMED));
        }
        if batch.len() == 0 {
            return Ok(());
        }
        let last = batch.len();
        batch.push(Rtm::Dellink, NlmF::empty(), about(0, DOOMED));
        let mut refused = None;
        let sent = self.exchange_quietly(&mut batch, &mut |place, end| {
            if end.errno != libc::ENODEV || place == last {
                refused.get_or_insert(end);
            }
        });
        // None was there any more: there is no such group.
        let refused = refused.filter(|end| end.errno != libc::ENODEV);
        sent.and_then(|()| refused.map_or(Ok(()), Err))
            .map_err(|e| e.during(format!("delete {} interfaces", indices.len())))
    }
}

/// Requests about several devices.
struct Asked {
    batch: Batch,
    steps: Vec<Step>,
}

impl Asked {
    fn new(first_seq: u32) -> Asked {
        Asked { batch: Batch::quiet(first_seq), steps: Vec::new() }
    }

    fn push(&mut self, device: usize, kind: Rtm, flags: NlmF, request: Buffer) {
        self.batch.push(kind, flags, request);
        self.steps.push(Step { device, must: true });
    }

    /// A request that may fail.
    fn may(&mut self, device: usize, kind: Rtm, request: Buffer) {
        self.batch.push(kind, NlmF::empty(), request);
        self.steps.push(Step { device, must: false });
    }
}

/// The kernel lets who has CAP_NET_ADMIN write this, root or not. `false` where it cannot be had: without IPv6, or where
/// `/proc/sys` is not to be written to. Then a port has no address by [`no_ipv6_address`], and says nothing but, where
/// IPv6 is forwarded, that it is a router (MLD, two frames); netlink offers no more.
fn switch_ipv6_off(name: &str) -> bool {
    fs::OpenOptions::new()
        .write(true)
        .open(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"))
        .and_then(|mut file| file.write_all(b"1"))
        .is_ok()
}

fn missing() -> Refusal {
    Refusal { errno: libc::ENODEV, text: None }
}

#[cfg(test)]
pub(super) fn new_vxlan(new: &NewVxlan<'_>) -> Buffer {
    header(0, Iff::empty(), Iff::empty(), vxlan_attributes(new, true))
}

fn no_ipv6_address() -> Attribute {
    let mode = message::attribute(ADDR_GEN_MODE, &[ADDR_GEN_NONE]);
    message::nested(Ifla::AfSpec, &[message::nested(libc::AF_INET6 as u16, &[mode])])
}

fn vxlan_attributes(new: &NewVxlan<'_>, zero_checksums: bool) -> Vec<Attribute> {
    let local = if new.local.is_ipv4() { attr::LOCAL } else { attr::LOCAL6 };
    let mut data = vec![
        message::ip_attribute(local, new.local),
        message::attribute(attr::PORT, &new.port.to_be_bytes()),
        message::attribute(attr::LEARNING, &[u8::from(new.vni.is_none())]),
        message::attribute(attr::L2MISS, &[u8::from(new.l2miss)]),
    ];
    match new.vni {
        Some(vni) => data.push(message::attribute(attr::ID, &vni.to_ne_bytes())),
        // Older kernels do not look at attributes they do not know.
        None => data.extend([attr::COLLECT_METADATA, attr::VNIFILTER].map(|a| message::attribute(a, &[1]))),
    }
    if new.local.is_ipv6() && zero_checksums {
        // A peer may leave out the UDP checksum (RFC 7348 section 5); over IPv6 that has to be allowed.
        data.push(message::attribute(attr::UDP_ZERO_CSUM6_RX, &[1]));
    }
    let info = [message::attribute(IflaInfo::Kind, b"vxlan"), message::nested(IflaInfo::Data, &data)];
    let mut attributes = vec![ifname(new.name), message::nested(Ifla::Linkinfo, &info)];
    attributes.extend(new.mac.map(|mac| message::attribute(Ifla::Address, &mac)));
    attributes.extend(new.mtu.map(|mtu| message::attribute(Ifla::Mtu, &mtu.to_ne_bytes())));
    attributes.extend(new.master.map(|master| message::attribute(Ifla::Master, &master.to_ne_bytes())));
    attributes
}
