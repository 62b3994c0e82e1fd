//! Forwarding entries: a VXLAN device's own (MAC to tunnel end point) and a bridge's (MAC to port).

use super::message::{self, Attribute, Attributes, Message};
use super::{Error, Kind, Netlink, Refusal, Reply};
use neli::consts::nl::NlmF;
use neli::consts::rtnl::{Nda, Nud, Rtm};
use neli::types::Buffer;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// AF_BRIDGE, which neli has no name for.
const BRIDGE: u8 = libc::AF_BRIDGE as u8;
/// As many requests as are answered without overflowing the kernel's default receive buffer.
const BATCH: usize = 128;
/// The clock ticks of NDA_CACHEINFO (USER_HZ), 100 a second on every architecture Rust runs Linux on.
const TICK: Duration = Duration::from_millis(10);

// By number: neli and the libc crate have these for glibc only, and drop them on musl.
const NDA_IFINDEX: u16 = 8;
const NDA_MASTER: u16 = 9;
const NTF_SELF: u8 = 0x02;
const NTF_MASTER: u8 = 0x04;
pub(super) const NTF_EXT_LEARNED: u8 = 0x10;

/// A forwarding entry, or one destination of an entry that has several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FdbEntry {
    /// The device: the VXLAN device, or the bridge port.
    pub index: u32,
    /// The MAC address, which may be zero (the default entry) or a group.
    pub mac: [u8; 6],
    /// The bridge whose entry it is; none for a VXLAN device's own.
    pub master: Option<u32>,
    /// NUD_ flags.
    pub state: u16,
    /// NTF_ flags.
    pub flags: u8,
    /// The tunnel end point.
    pub dst: Option<IpAddr>,
    /// The VNI to send with; none when it is the device's own.
    pub vni: Option<u32>,
    /// The UDP port; none when it is the device's own.
    pub port: Option<u16>,
    /// The device that frames leave by; none where the route decides.
    pub via: Option<u32>,
    /// The VLAN, on a filtering bridge.
    pub vlan: Option<u16>,
    /// How long nothing was sent by it; a bridge: how long nothing was received from it.
    pub idle: Option<Duration>,
    /// How long ago it was made or changed.
    pub age: Option<Duration>,
}

/// A tunnel end point as it stands in an entry; what is `None` is the device's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The address.
    pub ip: IpAddr,
    /// The VNI.
    pub vni: Option<u32>,
    /// The UDP port.
    pub port: Option<u16>,
    /// The device that frames leave by; if `None` the route decides. Once that is gone, so are they, until it is told anew.
    pub via: Option<u32>,
}

/// A change to a forwarding table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FdbChange {
    /// Make `to` the only destination of `mac` on the VXLAN device `index`.
    ///
    /// There is always a destination meanwhile. But `mac` may be zero (the default entry) or a group: while another
    /// destination is replaced, there is none for some microseconds, or both of an entry that is not ours.
    Set {
        /// The VXLAN device.
        index: u32,
        /// The MAC.
        mac: [u8; 6],
        /// The destination; its address is of the same family as the device's own.
        to: Destination,
    },
    /// Make `to` one more destination of `mac`, which is zero or a group, on the VXLAN device `index`.
    ///
    /// It is no error when it is one already.
    Add {
        /// The VXLAN device.
        index: u32,
        /// The MAC.
        mac: [u8; 6],
        /// The destination.
        to: Destination,
    },
    /// Remove the entry of `mac` on the VXLAN device `index`, or only one destination of it.
    ///
    /// With `to` an entry that points elsewhere is left alone.
    Remove {
        /// The VXLAN device.
        index: u32,
        /// The MAC.
        mac: [u8; 6],
        /// The destination; all of them if `None`.
        to: Option<Destination>,
    },
    /// Make the bridge forget that it saw `mac` on its port `index`, so that it learns it anew.
    Unlearn {
        /// The bridge port.
        index: u32,
        /// The MAC.
        mac: [u8; 6],
        /// In which VLAN, on a filtering bridge; in all of the port's if `None`.
        vlan: Option<u16>,
    },
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.ip)?;
        self.vni.map_or(Ok(()), |vni| write!(f, " vni {vni}"))
    }
}

impl FdbEntry {
    /// Whether this program made it: a VXLAN device's entry marked as learned outside the kernel.
    pub fn is_ours(&self) -> bool {
        self.master.is_none() && self.flags & (NTF_SELF | NTF_EXT_LEARNED) == NTF_SELF | NTF_EXT_LEARNED
    }

    /// Whether it never ages: the device's own address, or an administrator's entry.
    pub fn is_permanent(&self) -> bool {
        self.state & Nud::PERMANENT.bits() != 0
    }

    /// Whether a bridge learned it from a frame.
    pub fn is_learned(&self) -> bool {
        let fixed = Nud::PERMANENT | Nud::NOARP;
        self.master.is_some() && self.state & fixed.bits() == 0 && self.flags & NTF_EXT_LEARNED == 0
    }

    /// The destination, to name it in [`FdbChange::Remove`].
    pub fn destination(&self) -> Option<Destination> {
        self.dst.map(|ip| Destination { ip, vni: self.vni, port: self.port, via: self.via })
    }

    /// The entry an RTM_NEWNEIGH or RTM_DELNEIGH message is about; `None` for an IP neighbour's.
    pub(super) fn parse(message: &Message<'_>) -> Option<FdbEntry> {
        if !matches!(Rtm::from(message.kind), Rtm::Newneigh | Rtm::Delneigh) {
            return None;
        }
        // First of all: on a busy router most of these messages are about ARP.
        if *message.body.first()? != BRIDGE {
            return None;
        }
        let ([_, _, _, _, i0, i1, i2, i3, s0, s1, flags, _], attributes) = header(message)?;
        let mut mac = None;
        let mut entry = FdbEntry {
            index: message::index_of([i0, i1, i2, i3])?,
            mac: [0; 6],
            master: None,
            state: u16::from_ne_bytes([s0, s1]),
            flags,
            dst: None,
            vni: None,
            port: None,
            via: None,
            vlan: None,
            idle: None,
            age: None,
        };
        for (kind, payload) in attributes {
            match kind {
                NDA_MASTER => entry.master = message::u32_of(payload),
                NDA_IFINDEX => entry.via = message::u32_of(payload),
                _ => match Nda::from(kind) {
                    Nda::Lladdr => mac = message::mac_of(payload),
                    Nda::Dst => entry.dst = message::ip_of(payload),
                    Nda::Vni => entry.vni = message::u32_of(payload),
                    Nda::Port => entry.port = message::be16_of(payload),
                    Nda::Vlan => entry.vlan = message::u16_of(payload),
                    Nda::Cacheinfo => (entry.idle, entry.age) = ages(payload),
                    _ => {}
                },
            }
        }
        entry.mac = mac?;
        Some(entry)
    }
}

/// `struct ndmsg`: family, three unused octets, interface, state, flags, type.
pub(super) fn header<'a>(message: &Message<'a>) -> Option<([u8; 12], Attributes<'a>)> {
    message::header(message.body)
}

/// `ndm_used` and `ndm_updated`, the second and third of four numbers.
fn ages(cache_info: &[u8]) -> (Option<Duration>, Option<Duration>) {
    let at = |from| cache_info.get(from..).and_then(message::u32_of).map(|ticks| TICK * ticks);
    (at(4), at(8))
}

impl FdbChange {
    /// The device it is about.
    pub fn index(&self) -> u32 {
        self.place().0
    }

    fn place(&self) -> (u32, [u8; 6]) {
        let (FdbChange::Set { index, mac, .. }
        | FdbChange::Add { index, mac, .. }
        | FdbChange::Remove { index, mac, .. }
        | FdbChange::Unlearn { index, mac, .. }) = self;
        (*index, *mac)
    }

    /// Whether it sets an entry that the kernel lets have several destinations.
    fn sets_many(&self) -> bool {
        matches!(self, FdbChange::Set { mac, .. } if is_list(*mac))
    }

    fn request(&self) -> (Rtm, NlmF, Buffer) {
        match *self {
            FdbChange::Set { index, mac, to } => {
                // NLM_F_REPLACE changes the destination in place; for zero and group MACs it is refused.
                let flags = if self.sets_many() { NlmF::EXCL } else { NlmF::REPLACE };
                (Rtm::Newneigh, NlmF::CREATE | flags, set_message(index, mac, to))
            }
            FdbChange::Add { index, mac, to } => {
                (Rtm::Newneigh, NlmF::CREATE | NlmF::APPEND, set_message(index, mac, to))
            }
            FdbChange::Remove { index, mac, to } => {
                (Rtm::Delneigh, NlmF::empty(), neighbour(index, Nud::empty(), NTF_SELF, attributes(mac, to)))
            }
            FdbChange::Unlearn { index, mac, vlan } => {
                let request = unlearn_message(index, mac, vlan);
                (Rtm::Delneigh, NlmF::empty(), request)
            }
        }
    }

    fn error(&self, refusal: Refusal) -> Error {
        let (index, [a, b, c, d, e, f]) = self.place();
        let mac = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
        refusal.during(match self {
            FdbChange::Set { to, .. } => format!("point {mac} on interface {index} to {to}"),
            FdbChange::Add { to, .. } => format!("point {mac} on interface {index} to {to} too"),
            FdbChange::Remove { .. } => format!("remove {mac} from interface {index}"),
            FdbChange::Unlearn { .. } => format!("unlearn {mac} on interface {index}"),
        })
    }
}

/// A table of forwarding entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FdbTable {
    /// Of this VXLAN device.
    Device(u32),
    /// Of this bridge, with its and its ports' own addresses; and the tables of VXLAN devices that are its ports.
    Bridge(u32),
}

impl FdbTable {
    fn holds(self, entry: &FdbEntry) -> bool {
        match self {
            FdbTable::Device(index) => entry.index == index && entry.master.is_none(),
            FdbTable::Bridge(index) => entry.master.is_none_or(|master| master == index),
        }
    }
}

impl Netlink {
    /// Lists a table, which may be a large one: [`Netlink::fdb_part`] tells what is in it, part by part. Nothing else may
    /// be asked for meanwhile.
    pub fn fdb_list(&mut self, table: FdbTable) -> Result<(), Error> {
        let request = match table {
            FdbTable::Device(index) => dump_request(Some(index), None),
            FdbTable::Bridge(index) => dump_request(None, Some(index)),
        };
        self.begin(Rtm::Getneigh, request).map_err(|e| e.during("list forwarding entries"))
    }

    /// The next entries of the table, some hundreds; then, for the last part, whether the table may have changed so that
    /// some were left out.
    pub fn fdb_part(&mut self, table: FdbTable) -> Result<(Vec<FdbEntry>, Option<bool>), Error> {
        let mut entries = Vec::new();
        let last = self.part(&mut |message| {
            entries.extend(FdbEntry::parse(message).filter(|entry| table.holds(entry)));
        });
        match last {
            Ok(last) => Ok((entries, last)),
            Err(e) => {
                self.abandon();
                Err(e.during("list forwarding entries"))
            }
        }
    }

    /// The entries of the VXLAN device `index` itself.
    pub fn fdb_of_device(&mut self, index: u32) -> Result<Vec<FdbEntry>, Error> {
        self.fdb_of_device_where(index, |entry| entry.index == index)
    }

    /// Those of them that are wanted.
    pub fn fdb_of_device_where(
        &mut self,
        index: u32,
        wanted: impl Fn(&FdbEntry) -> bool,
    ) -> Result<Vec<FdbEntry>, Error> {
        self.fdb_dump(Some(index), None, |entry| entry.master.is_none() && wanted(entry))
            .map_err(|e| e.during(format!("list the forwarding entries of interface {index}")))
    }

    /// The entries of the bridge `index`, its and its ports' own addresses included.
    pub fn fdb_of_bridge(&mut self, index: u32) -> Result<Vec<FdbEntry>, Error> {
        self.fdb_dump(None, Some(index), |entry| entry.master == Some(index))
            .map_err(|e| e.during(format!("list the forwarding entries of bridge {index}")))
    }

    fn fdb_dump(
        &mut self,
        device: Option<u32>,
        bridge: Option<u32>,
        wanted: impl Fn(&FdbEntry) -> bool,
    ) -> Result<Vec<FdbEntry>, Refusal> {
        // The kernel mixes a port's own entries with the bridge's; one without strict checking sends all.
        self.dump(Rtm::Getneigh, &dump_request(device, bridge), |message| {
            FdbEntry::parse(message).filter(&wanted)
        })
    }

    /// The entry of `mac` that the VXLAN device `index` itself has.
    ///
    /// Asking does not count as use. Of several destinations it is the first.
    pub fn fdb_get(&mut self, index: u32, mac: [u8; 6]) -> Result<Option<FdbEntry>, Error> {
        self.fdb_get_in(index, mac, None)
    }

    /// The entry of `mac` that the bridge `index` has in `vlan`; without VLAN filtering that is `None`.
    pub fn fdb_get_in(
        &mut self,
        index: u32,
        mac: [u8; 6],
        vlan: Option<u16>,
    ) -> Result<Option<FdbEntry>, Error> {
        let mut what = attributes(mac, None);
        what.extend(vlan.map(in_vlan));
        let request = neighbour(index, Nud::empty(), NTF_SELF, what);
        let mut entry = None;
        match self.request(Rtm::Getneigh, NlmF::empty(), request, |message| entry = FdbEntry::parse(message))
        {
            Err(e) if e.errno != libc::ENOENT => {
                Err(e.during(format!("look up a forwarding entry on interface {index}")))
            }
            _ => Ok(entry),
        }
    }

    /// Make all `changes`, in order. What could not be made is in the error, by its place in `changes`.
    ///
    /// Removing what is not there is no error.
    pub fn fdb_apply(&mut self, changes: &[FdbChange]) -> Result<(), Vec<(usize, Error)>> {
        let mut errors = Vec::new();
        let mut done = 0;
        while let Some(rest) = changes.get(done..).filter(|rest| !rest.is_empty()) {
            let now = rest.get(..together(rest)).unwrap_or(rest);
            for (place, refusal) in self.fdb_apply_together(now) {
                errors.extend(now.get(place).map(|change| (done + place, change.error(refusal))));
            }
            done += now.len();
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn fdb_apply_together(&mut self, changes: &[FdbChange]) -> Vec<(usize, Refusal)> {
        let mut batch = self.batch();
        for change in changes {
            let (kind, flags, request) = change.request();
            batch.push(kind, flags, request);
        }
        let mut refused = Vec::new();
        let mut answered = vec![false; changes.len()];
        let sent = self.exchange(&batch, &mut |place, reply| {
            let Reply::End(end) = reply else { return };
            answered[place] = true;
            if end.errno != 0 {
                refused.push((place, end));
            }
        });
        if let Err(e) = sent {
            let unanswered = answered.iter().enumerate().filter(|(_, answered)| !**answered);
            refused.extend(unanswered.map(|(place, _)| (place, e.clone())));
        }
        refused
            .into_iter()
            .filter_map(|(place, end)| Some((place, self.settle(changes.get(place)?, end)?)))
            .collect()
    }

    /// What remains of a refusal once it has been dealt with.
    fn settle(&mut self, change: &FdbChange, end: Refusal) -> Option<Refusal> {
        match *change {
            FdbChange::Set { index, mac, to } if change.sets_many() && end.errno == libc::EEXIST => {
                self.set_only_destination(index, mac, to).err()
            }
            FdbChange::Set { .. } | FdbChange::Add { .. } => Some(end),
            // By a device that is gone: of such a destination the kernel takes no order, but of the whole entry.
            FdbChange::Remove { index, mac, to: Some(Destination { via: Some(_), .. }) }
                if end.errno == libc::EADDRNOTAVAIL && !is_list(mac) =>
            {
                let remove = neighbour(index, Nud::empty(), NTF_SELF, attributes(mac, None));
                self.request(Rtm::Delneigh, NlmF::empty(), remove, |_| {}).err()
            }
            // Not there, or the whole device is not: that is what was wanted.
            _ if matches!(end.errno, libc::ENOENT | libc::ENODEV) => None,
            _ => Some(end),
        }
    }

    /// Of an entry with a list of destinations the kernel replaces none: the others are removed and the new one is appended
    /// by one system call. Were both there meanwhile, whoever hears both would hear each broadcast twice. An entry of
    /// somebody else's would be ours once its last destination had gone: there the new one comes first.
    fn set_only_destination(&mut self, index: u32, mac: [u8; 6], to: Destination) -> Result<(), Refusal> {
        let this = |e: &FdbEntry| e.index == index && e.master.is_none() && e.mac == mac;
        let there = self.fdb_dump(Some(index), None, this)?;
        // The kernel leaves out a VNI and a port that are the device's own.
        let (own_vni, own_port) = self.vxlan_defaults(index)?;
        let in_full = |to: Destination| (to.ip, to.vni.or(own_vni), to.port.or(own_port), to.via);
        let others = there.iter().filter_map(FdbEntry::destination);
        let others = others.filter(|other| in_full(*other) != in_full(to));
        let remove = |other| {
            let request = neighbour(index, Nud::empty(), NTF_SELF, attributes(mac, other));
            (Rtm::Delneigh, NlmF::empty(), request)
        };
        let append = || (Rtm::Newneigh, NlmF::CREATE | NlmF::APPEND, set_message(index, mac, to));
        let mut steps: Vec<_> = others.map(|other| remove(Some(other))).collect();
        let is_ours = there.iter().all(FdbEntry::is_ours);
        steps.insert(if is_ours { steps.len() } else { 0 }, append());
        match self.request_all(steps) {
            // By a device that is gone: of such a destination the kernel takes no order, but of the whole entry.
            Err(e) if e.errno == libc::EADDRNOTAVAIL => self.request_all([remove(None), append()]),
            done => done,
        }
    }

    /// Makes these requests in one system call. What is not there any more need not be removed.
    fn request_all(&mut self, steps: impl IntoIterator<Item = (Rtm, NlmF, Buffer)>) -> Result<(), Refusal> {
        let mut batch = self.batch();
        for (kind, flags, request) in steps {
            batch.push(kind, flags, request);
        }
        let mut refused = Ok(());
        self.exchange(&batch, &mut |_, reply| match reply {
            Reply::End(end) if !matches!(end.errno, 0 | libc::ENOENT) => refused = Err(end),
            _ => {}
        })?;
        refused
    }

    fn vxlan_defaults(&mut self, index: u32) -> Result<(Option<u32>, Option<u16>), Refusal> {
        match self.link(super::link::by_index(index))?.map(|link| link.kind) {
            Some(Kind::Vxlan(info)) => Ok((info.vni, Some(info.port))),
            _ => Err(Refusal { errno: libc::ENODEV, text: None }),
        }
    }
}

/// Whether the kernel lets an entry of the MAC have several destinations.
fn is_list(mac: [u8; 6]) -> bool {
    mac[0] & 1 != 0 || mac == [0; 6]
}

/// How many of `changes` can be asked for at once: a list of destinations is set in several steps,
/// which must be over before the next change to the same entry.
pub(super) fn together(changes: &[FdbChange]) -> usize {
    let most = changes.len().min(BATCH);
    let mut lists = Vec::new();
    for (place, change) in changes.iter().take(most).enumerate() {
        if lists.contains(&change.place()) {
            return place;
        }
        if change.sets_many() {
            lists.push(change.place());
        }
    }
    most
}

fn dump_request(device: Option<u32>, bridge: Option<u32>) -> Buffer {
    let bridge = bridge.map(|index| message::attribute(NDA_MASTER, &index.to_ne_bytes()));
    neighbour(device.unwrap_or(0), Nud::empty(), 0, bridge.into_iter().collect())
}

/// A request about a forwarding entry.
fn neighbour(index: u32, state: Nud, flags: u8, attributes: Vec<Attribute>) -> Buffer {
    body(BRIDGE, index, state, flags, &attributes)
}

/// The body of a request about a forwarding entry or another neighbour, with its [`header`].
pub(super) fn body(family: u8, index: u32, state: Nud, flags: u8, attributes: &[Attribute]) -> Buffer {
    let [i0, i1, i2, i3] = index.to_ne_bytes();
    let [s0, s1] = state.bits().to_ne_bytes();
    message::body(&[family, 0, 0, 0, i0, i1, i2, i3, s0, s1, flags, 0], attributes)
}

/// NUD_REACHABLE and not NUD_PERMANENT, which would make a learning device drop the frames of a
/// station that moved; NTF_EXT_LEARNED keeps it from ageing.
pub(super) fn set_message(index: u32, mac: [u8; 6], to: Destination) -> Buffer {
    neighbour(index, Nud::REACHABLE, NTF_SELF | NTF_EXT_LEARNED, attributes(mac, Some(to)))
}

pub(super) fn unlearn_message(index: u32, mac: [u8; 6], vlan: Option<u16>) -> Buffer {
    let mut what = attributes(mac, None);
    what.extend(vlan.map(in_vlan));
    neighbour(index, Nud::empty(), NTF_MASTER, what)
}

fn in_vlan(vlan: u16) -> Attribute {
    message::attribute(Nda::Vlan, &vlan.to_ne_bytes())
}

fn attributes(mac: [u8; 6], to: Option<Destination>) -> Vec<Attribute> {
    let mut attributes = vec![message::attribute(Nda::Lladdr, &mac)];
    if let Some(Destination { ip, vni, port, via }) = to {
        attributes.push(message::ip_attribute(Nda::Dst, ip));
        attributes.extend(vni.map(|vni| message::attribute(Nda::Vni, &vni.to_ne_bytes())));
        attributes.extend(port.map(|port| message::attribute(Nda::Port, &port.to_be_bytes())));
        attributes.extend(via.map(|via| message::attribute(NDA_IFINDEX, &via.to_ne_bytes())));
    }
    attributes
}
