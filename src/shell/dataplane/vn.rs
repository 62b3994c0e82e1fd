//! A VN's devices: what the configuration wants of them, and what there is.

use super::alias::Kept;
use super::settle::Standing;
use super::spoke::{destination, uplink_mac, vtep};
use super::vlan::{self, Scope};
use super::wanted::{Role, Wanted};
use crate::control::Cause;
use crate::engine::{Place, Port, VnKey};
use crate::shell::netlink::{FdbChange, FdbEntry, Link};
use crate::shell::underlay::Source;
use crate::time::Instant;
use crate::types::{Mac, Nbma, Vni, Vtep};
use core::time::Duration;
use litemap::LiteMap;
use std::sync::Arc;

/// What a device is to a VN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A spoke's VXLAN device.
    Tunnel,
    /// A hub's VXLAN device for this spoke.
    Port(Vtep),
    /// A hub's VXLAN device for all spokes.
    Shared,
}

/// What leads to the spokes, or to the hub.
#[derive(Debug)]
pub(super) enum Devices {
    /// A spoke's only one is in [`Standing::tunnel`].
    Spoke,
    /// One for each spoke.
    Ports(LiteMap<Vtep, Ported>),
    /// One for all.
    Shared(Shared),
}

/// A port, or one that is being made.
#[derive(Debug)]
pub(super) struct Ported {
    pub index: Option<u32>,
    pub port: Port,
    pub entry: Entry,
    /// Whether it is being changed in place.
    pub is_moving: bool,
}

impl Ported {
    pub fn new(index: Option<u32>, port: Port, entry: Entry) -> Ported {
        Ported { index, port, entry, is_moving: false }
    }
}

/// The default entry of a port, as far as a listing has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    NotSeen,
    Right,
    /// There is another one, too.
    Wrong,
}

/// A device for all spokes.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub index: Option<u32>,
    /// Whether it takes every VNI of its UDP port.
    pub takes_all: bool,
    pub is_being_made: bool,
    /// The address it sends from.
    pub local: Option<Nbma>,
    /// What is kept beside it.
    pub kept: Kept,
    /// The spokes it floods to; whether the kernel was told, and said yes.
    pub members: LiteMap<Vtep, bool>,
}

/// The bridge that a hub's devices go into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bridge {
    There(u32),
    /// It is not known yet whether there is one.
    Awaited,
    Missing,
}

/// A device that was found before its bridge was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub index: u32,
    pub master: Option<u32>,
    pub up: bool,
    pub mtu: u32,
}

impl Found {
    pub fn of(link: &Link) -> Found {
        Found { index: link.index, master: link.master, up: link.up, mtu: link.mtu }
    }
}

/// While something is wrong it is looked at again after this, then after twice as long each time.
const AGAIN_FIRST: Duration = Duration::from_secs(2);
const AGAIN_MOST: Duration = Duration::from_secs(60);

/// Whom a spoke does not know any more may send to it for so long: by what they were told before it was started or lost its
/// way. Within that time all who do send have sent a probe, by which they are known again, or have found their path down.
pub(super) const TAKES_ON: Duration = Duration::from_secs(65);

/// A VN.
#[derive(Debug)]
pub(super) struct Vn {
    pub key: VnKey,
    /// The how-manieth VN under this key it is.
    pub number: u32,
    pub wanted: Arc<Wanted>,
    /// What a spoke's device sends from, once known.
    pub origin: Option<Source>,
    pub standing: Standing,
    /// What it lacks though it works.
    pub lack: Option<Cause>,
    pub devices: Devices,
    pub found: Vec<Found>,
    /// Whether ports are to join the bridge once more: their MTU or VLAN is another one.
    pub joins: bool,
    /// This router's MAC in the VN as the engine knows it: a hub's is its bridge's.
    pub told: Option<Mac>,
    /// Whether shortcuts of an earlier run were looked for.
    pub adopted: bool,
    /// Whether all its ports are to be compared with what is wanted.
    pub unported: bool,
    /// Whether its devices are to be compared with what is wanted; whether that is being done.
    pub unsettled: bool,
    pub settling: bool,
    /// Whether its entries are to be listed, and that more MACs than those of its scope are to be told as gone.
    pub unlisted: bool,
    pub left: Option<Scope>,
    /// MACs that are told to the hub, each with the hub's, once the device is as it is to be.
    pub announcements: Vec<(Mac, Mac)>,
    /// How many listings there were that may have left out something; whether the last one failed.
    pub listings: u8,
    pub unread: bool,
    /// Whether events were lost: what earlier listings held may be gone, and nobody was told.
    pub anew: bool,
    /// A spoke's: where its hub is, once known.
    pub hub: Option<Nbma>,
    /// A spoke's: whether it knows nobody who may send to it, as at first.
    pub is_alone: bool,
    /// When it takes frames no more from those it does not know: at first that is everybody, later whom it knew.
    pub closes: Option<Instant>,
    /// When to try again what went wrong, and after what pause.
    pub again: Option<Instant>,
    pause: Duration,
}

impl Vn {
    pub fn new(key: VnKey, number: u32, wanted: Wanted, now: Instant) -> Vn {
        let devices = match &wanted.role {
            Role::Spoke { .. } => Devices::Spoke,
            Role::Hub(_) if wanted.is_shared() => Devices::Shared(Shared::default()),
            Role::Hub(_) => Devices::Ports(LiteMap::new()),
        };
        Vn {
            key,
            number,
            wanted: Arc::new(wanted),
            origin: None,
            standing: Standing::default(),
            lack: None,
            devices,
            found: Vec::new(),
            joins: false,
            told: None,
            adopted: false,
            unported: false,
            unsettled: true,
            settling: false,
            unlisted: false,
            left: None,
            announcements: Vec::new(),
            listings: 0,
            unread: false,
            anew: false,
            hub: None,
            is_alone: true,
            closes: Some(now + TAKES_ON),
            again: None,
            pause: Duration::ZERO,
        }
    }

    /// By this its jobs are known.
    pub fn whose(&self) -> (VnKey, u32) {
        (self.key, self.number)
    }

    /// The bridge, if new devices can go into it.
    pub fn bridge(&self) -> Bridge {
        match self.standing.bridge {
            Some(index) => Bridge::There(index),
            None if self.unsettled || self.settling => Bridge::Awaited,
            None => Bridge::Missing,
        }
    }

    /// Something went wrong, or is right now.
    pub fn plan_again(&mut self, now: Instant, wrong: bool) {
        if !wrong {
            (self.again, self.pause) = (None, Duration::ZERO);
        } else if self.again.is_none() {
            self.pause = (self.pause * 2).clamp(AGAIN_FIRST, AGAIN_MOST);
            self.again = Some(now + self.pause);
        }
    }

    /// A spoke's device, and the entry there that leads to the hub.
    pub fn uplink_entry(&self) -> Option<(u32, [u8; 6])> {
        match self.wanted.role {
            Role::Spoke { l2miss, .. } => Some((self.standing.tunnel?, uplink_mac(l2miss))),
            Role::Hub(_) => None,
        }
    }

    /// The device of the port for whoever is at this VTEP.
    pub fn port_to(&self, at: Vtep) -> Option<u32> {
        match &self.devices {
            Devices::Ports(ports) => ports.get(&at)?.index,
            Devices::Spoke | Devices::Shared(_) => None,
        }
    }

    /// Where an entry of a spoke's device leads to.
    pub fn leads_to(&self, entry: &FdbEntry) -> Option<Vtep> {
        match self.wanted.role {
            Role::Spoke { vni, .. } => vtep(entry, Some(vni)),
            Role::Hub(_) => None,
        }
    }

    /// Whether a device of ours, or the bridge, is as it was left.
    pub fn is_right(&self, link: &Link) -> bool {
        let standing = &self.standing;
        match standing.bridge == Some(link.index) {
            true => {
                link.mac.and_then(Mac::new) == standing.bridge_mac
                    && link.up == standing.is_open
                    && link.name == self.wanted.bridge
                    && vlan::filters_as(link, standing.filtering.as_ref())
            }
            false if standing.closed => !link.up,
            false => link.master == standing.bridge && link.up,
        }
    }

    /// What an entry of a bridge tells this VN. `parts` are the devices of all VNs.
    pub fn told_by(
        &self,
        entry: &FdbEntry,
        gone: bool,
        parts: &LiteMap<u32, (VnKey, Part)>,
    ) -> Option<(Mac, Place)> {
        let standing = &self.standing;
        if entry.master.is_none() || entry.master != standing.bridge || !standing.scope.holds(entry) {
            return None;
        }
        let mac = Mac::new(entry.mac)?;
        let part = parts.get(&entry.index);
        // A tunnel device's own address is nobody's, unless the bridge has no other to take.
        if part.is_some() && entry.is_permanent() {
            return (!gone && standing.bridge_mac == Some(mac)).then_some((mac, Place::Local));
        }
        // Another VN's tunnel is a port like any other.
        let part = part.filter(|(owner, _)| *owner == self.key).map(|(_, part)| *part);
        let place = match part {
            // The device tells more than the bridge: behind which spoke.
            Some(Part::Shared) => return None,
            _ if gone => Place::Gone,
            Some(Part::Tunnel) => Place::Tunnel,
            Some(Part::Port(spoke)) => Place::At(spoke),
            None => Place::Local,
        };
        Some((mac, place))
    }

    /// The index of a hub's device for all spokes.
    pub fn shared(&self) -> Option<u32> {
        match &self.devices {
            Devices::Shared(shared) => shared.index,
            Devices::Spoke | Devices::Ports(_) => None,
        }
    }

    /// A spoke's own VNI.
    pub fn own_vni(&self) -> Option<Vni> {
        match self.wanted.role {
            Role::Spoke { vni, .. } => Some(vni),
            Role::Hub(_) => None,
        }
    }

    /// The same, where frames are taken from known sites alone.
    pub fn guarded_vni(&self) -> Option<Vni> {
        self.own_vni().filter(|_| self.wanted.is_guarded)
    }

    /// The MTU of its devices, and whether nobody may divide what they send by IPv4.
    pub fn frames(&self) -> (u16, bool) {
        self.standing.users.unwrap_or((self.wanted.mtu, false))
    }

    /// Whether its device takes every VNI of its UDP port.
    pub fn takes_all(&self) -> bool {
        matches!(&self.devices, Devices::Shared(shared) if shared.index.is_some() && shared.takes_all)
    }

    /// What makes a hub forget that a MAC was behind a spoke. `parts` are the devices of all VNs.
    pub fn unlearning(
        &self,
        mac: Mac,
        spoke: Vtep,
        parts: &LiteMap<u32, (VnKey, Part)>,
    ) -> Option<FdbChange> {
        let mac = mac.octets();
        // The device of a spoke that moved is there already.
        let is_led = |part: &(VnKey, Part)| *part == (self.key, Part::Port(spoke));
        let led = || parts.iter().find(|(_, part)| is_led(part)).map(|(index, _)| *index);
        match &self.devices {
            Devices::Ports(ports) => {
                let index = ports.get(&spoke)?.index.or_else(led)?;
                Some(FdbChange::Unlearn { index, mac, vlan: self.standing.scope.vid() })
            }
            Devices::Shared(shared) => {
                Some(FdbChange::Remove { index: shared.index?, mac, to: Some(destination(spoke, None)) })
            }
            Devices::Spoke => None,
        }
    }

    /// What makes a device for all spokes forget what it learned as long as it did not know with which VNI that spoke is to be
    /// sent to. What comes from there next is learned as it is to be.
    pub fn astray(&self, mac: Mac, to: Vtep) -> Option<FdbChange> {
        let Devices::Shared(shared) = &self.devices else { return None };
        let is_other = |spoke: &Vtep| spoke.nbma == to.nbma;
        let is_astray = !shared.members.contains_key(&to) && shared.members.keys().any(is_other);
        let (index, mac) = (shared.index.filter(|_| is_astray)?, mac.octets());
        Some(FdbChange::Remove { index, mac, to: Some(destination(to, None)) })
    }

    /// What a device for all spokes learned of a MAC that is at the hub would be old news when it is a spoke's again.
    pub fn stale(&self, mac: Mac, place: Place) -> Option<FdbChange> {
        let index = self.shared().filter(|_| place == Place::Local)?;
        Some(FdbChange::Remove { index, mac: mac.octets(), to: None })
    }
}
