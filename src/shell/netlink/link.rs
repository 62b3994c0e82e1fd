//! Network devices: what there is, making them, changing them.

use super::gre::GreInfo;
use super::ifinfo::{header, header_of};
use super::message::{self, Attribute, Attributes, Batch, Message};
use super::port::{self, Floods};
use super::{Error, Netlink, Refusal};
use crate::types::VlanId;
use neli::consts::nl::NlmF;
use neli::consts::rtnl::{Iff, Ifla, IflaInfo, Rtm};
use neli::types::Buffer;
use std::net::IpAddr;

/// RTEXT_FILTER_SKIP_STATS: counters are most of a link message, and nobody here reads them.
const SKIP_STATS: u32 = 1 << 3;

pub(super) mod vxlan {
    pub const ID: u16 = 1;
    pub const GROUP: u16 = 2;
    pub const LOCAL: u16 = 4;
    pub const LEARNING: u16 = 7;
    pub const L2MISS: u16 = 13;
    pub const PORT: u16 = 15;
    pub const GROUP6: u16 = 16;
    pub const LOCAL6: u16 = 17;
    pub const UDP_ZERO_CSUM6_RX: u16 = 20;
    pub const COLLECT_METADATA: u16 = 25;
    pub const DF: u16 = 29;
    pub const VNIFILTER: u16 = 30;
}

/// VXLAN_DF_SET.
const DF_SET: u8 = 1;

// IFLA_BR_VLAN_FILTERING, IFLA_BR_VLAN_DEFAULT_PVID, IFLA_BR_MULTI_BOOLOPT, IFLA_VLAN_ID.
const BRIDGE_VLAN_FILTERING: u16 = 7;
const BRIDGE_DEFAULT_PVID: u16 = 39;
const BRIDGE_OPTIONS: u16 = 46;
const VLAN_ID: u16 = 1;

/// BR_BOOLOPT_NO_LL_LEARN, as a bit of IFLA_BR_MULTI_BOOLOPT (Linux 5.0).
const NO_LINK_LOCAL_LEARNING: u32 = 1;

// A VXLAN device's VNI filter, of linux/if_link.h; neli does not know it.
const RTM_NEWTUNNEL: u16 = 120;
/// With the flag that it is nested (NLA_F_NESTED), which the kernel insists on here.
const FILTER_ENTRY: u16 = 1 | 0x8000;
const FILTER_ENTRY_START: u16 = 1;

/// A network device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// The interface index.
    pub index: u32,
    /// The interface name.
    pub name: String,
    /// The MAC address, when it has one.
    pub mac: Option<[u8; 6]>,
    /// The maximum transmission unit.
    pub mtu: u32,
    /// Switched on (IFF_UP).
    pub up: bool,
    /// Able to carry traffic (IFF_RUNNING).
    pub running: bool,
    /// The index of the bridge it is a port of.
    pub master: Option<u32>,
    /// The alias text.
    pub alias: Option<String>,
    /// What sort of device it is.
    pub kind: Kind,
    /// What is flooded by it, if it is a port of a bridge.
    pub floods: Option<Floods>,
    /// Whether it passes nothing to other isolated ports of its bridge; `None` before Linux 4.18, too.
    pub isolated: Option<bool>,
    /// Whether it passes frames of known MACs alone; `None` before Linux 5.18, too.
    pub locked: Option<bool>,
}

/// The sort of a device, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A bridge.
    Bridge(BridgeInfo),
    /// A VLAN of another device.
    Vlan(VlanInfo),
    /// A VXLAN device.
    Vxlan(VxlanInfo),
    /// A layer-3 GRE tunnel.
    Gre(GreInfo),
    /// Anything else.
    #[default]
    Other,
}

/// The settings of a bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BridgeInfo {
    /// Whether it keeps VLANs apart.
    pub vlan_filtering: bool,
    /// The VLAN a new port is an untagged member of.
    pub default_pvid: Option<VlanId>,
    /// Whether it learns nothing from frames that no bridge forwards (01-80-C2-00-00-00 to 0F).
    pub ignores_link_local: bool,
}

/// The settings of a device that is a VLAN of another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VlanInfo {
    /// The VLAN.
    pub id: u16,
    /// The index of the other device.
    pub of: Option<u32>,
}

/// The settings of a VXLAN device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VxlanInfo {
    /// Its own VNI; none on a device that takes it from elsewhere (`external`).
    pub vni: Option<u32>,
    /// The address it sends from.
    pub local: Option<IpAddr>,
    /// The default destination or multicast group.
    pub remote: Option<IpAddr>,
    /// The UDP port.
    pub port: u16,
    /// Whether the driver itself learns MACs.
    pub learning: bool,
    /// Whether it reports unknown destinations.
    pub l2miss: bool,
    /// Whether the tunnel key comes with each packet (`external`).
    pub external: bool,
    /// Whether it filters by VNI.
    pub vnifilter: bool,
    /// Whether nobody may divide what it sends by IPv4 (`df set`).
    pub df: bool,
}

/// What [`Netlink::set_link`] is to change; `None` leaves a setting alone.
#[derive(Clone, Debug, Default)]
pub struct LinkChange<'a> {
    /// Switch on or off.
    pub up: Option<bool>,
    /// Make it a port of this bridge, or of none.
    pub master: Option<Option<u32>>,
    /// The MTU.
    pub mtu: Option<u32>,
    /// The alias text, empty to remove it.
    pub alias: Option<&'a str>,
    /// The MAC address.
    pub mac: Option<[u8; 6]>,
}

impl Link {
    /// Whether this program makes such devices. Their aliases are anybody's to set.
    pub fn may_be_ours(&self) -> bool {
        matches!(self.kind, Kind::Bridge(_) | Kind::Vxlan(_))
    }

    /// The device an RTM_NEWLINK or RTM_DELLINK message is about. `None` for what is not about a
    /// device as such: a bridge's view of its port, a wireless event.
    pub(super) fn parse(message: &Message<'_>) -> Option<Link> {
        if !matches!(Rtm::from(message.kind), Rtm::Newlink | Rtm::Dellink) {
            return None;
        }
        // Before anything is allocated: every bridge port sends a second message of family AF_BRIDGE.
        if *message.body.first()? != libc::AF_UNSPEC as u8 {
            return None;
        }
        let ((index, flags), attributes) = header_of(message)?;
        let mut link = Link {
            index,
            name: String::new(),
            mac: None,
            mtu: 0,
            up: flags.contains(Iff::UP),
            running: flags.contains(Iff::RUNNING),
            master: None,
            alias: None,
            kind: Kind::Other,
            floods: None,
            isolated: None,
            locked: None,
        };
        let mut lower = None;
        for (kind, payload) in attributes {
            match Ifla::from(kind) {
                Ifla::Link => lower = message::u32_of(payload),
                Ifla::Ifname => link.name = message::string_of(payload),
                Ifla::Address => link.mac = message::mac_of(payload),
                Ifla::Mtu => link.mtu = message::u32_of(payload)?,
                Ifla::Master => link.master = message::u32_of(payload),
                Ifla::Ifalias => link.alias = Some(message::string_of(payload)),
                Ifla::Linkinfo => {
                    link.kind = Kind::parse(payload);
                    let of_port = message::find(payload, IflaInfo::SlaveData.into()).unwrap_or_default();
                    (link.floods, link.isolated) = (Floods::parse(of_port), port::isolated(of_port));
                    link.locked = port::locked(of_port);
                }
                // Such a message has the name and nothing else: it would look like a change.
                Ifla::Wireless => return None,
                _ => {}
            }
        }
        if let Kind::Vlan(vlan) = &mut link.kind {
            vlan.of = lower;
        }
        Some(link)
    }
}

impl Kind {
    fn parse(link_info: &[u8]) -> Kind {
        let mut name: &[u8] = &[];
        let mut data: &[u8] = &[];
        for (kind, payload) in Attributes(link_info) {
            match IflaInfo::from(kind) {
                IflaInfo::Kind => name = payload.split(|octet| *octet == 0).next().unwrap_or_default(),
                IflaInfo::Data => data = payload,
                _ => {}
            }
        }
        match name {
            b"bridge" => Kind::Bridge(BridgeInfo::parse(Attributes(data))),
            b"vlan" => Kind::Vlan(VlanInfo::parse(Attributes(data))),
            b"vxlan" => Kind::Vxlan(VxlanInfo::parse(Attributes(data))),
            b"gre" => Kind::Gre(GreInfo::parse(Attributes(data), false)),
            b"ip6gre" => Kind::Gre(GreInfo::parse(Attributes(data), true)),
            _ => Kind::Other,
        }
    }
}

impl BridgeInfo {
    fn parse(attributes: Attributes<'_>) -> BridgeInfo {
        let mut info = BridgeInfo::default();
        for (kind, payload) in attributes {
            match kind {
                BRIDGE_VLAN_FILTERING => {
                    info.vlan_filtering = payload.first().is_some_and(|octet| *octet != 0)
                }
                BRIDGE_DEFAULT_PVID => info.default_pvid = message::u16_of(payload).and_then(VlanId::new),
                BRIDGE_OPTIONS => {
                    info.ignores_link_local = message::u32_of(payload.get(..4).unwrap_or_default())
                        .is_some_and(|bits| bits & NO_LINK_LOCAL_LEARNING != 0)
                }
                _ => {}
            }
        }
        info
    }
}

impl VlanInfo {
    fn parse(mut attributes: Attributes<'_>) -> VlanInfo {
        let id = attributes.find(|(kind, _)| *kind == VLAN_ID).and_then(|(_, id)| message::u16_of(id));
        VlanInfo { id: id.unwrap_or(0), of: None }
    }
}

impl VxlanInfo {
    fn parse(attributes: Attributes<'_>) -> VxlanInfo {
        let mut info = VxlanInfo::default();
        let flag = |payload: &[u8]| payload.first().is_some_and(|octet| *octet != 0);
        for (kind, payload) in attributes {
            match kind {
                vxlan::ID => info.vni = message::u32_of(payload).filter(|vni| *vni != 0),
                vxlan::GROUP | vxlan::GROUP6 => info.remote = message::some_ip_of(payload),
                vxlan::LOCAL | vxlan::LOCAL6 => info.local = message::some_ip_of(payload),
                vxlan::PORT => info.port = message::be16_of(payload).unwrap_or(0),
                vxlan::LEARNING => info.learning = flag(payload),
                vxlan::L2MISS => info.l2miss = flag(payload),
                vxlan::COLLECT_METADATA => info.external = flag(payload),
                vxlan::VNIFILTER => info.vnifilter = flag(payload),
                vxlan::DF => info.df = payload.first() == Some(&DF_SET),
                _ => {}
            }
        }
        info
    }
}

impl Netlink {
    /// All network devices.
    pub fn links(&mut self) -> Result<Vec<Link>, Error> {
        self.dump(Rtm::Getlink, &by_index(0), Link::parse).map_err(|e| e.during("list network devices"))
    }

    /// Lists all network devices, which may be thousands: [`Netlink::link_part`] tells of them, part by part. Nothing else
    /// may be asked for meanwhile.
    pub fn link_list(&mut self) -> Result<(), Error> {
        self.begin(Rtm::Getlink, by_index(0)).map_err(|e| e.during("list network devices"))
    }

    /// The next devices, some dozens; then, for the last part, whether some may have been left out.
    pub fn link_part(&mut self) -> Result<(Vec<Link>, Option<bool>), Error> {
        let mut links = Vec::new();
        let last = self.part(&mut |message| links.extend(Link::parse(message)));
        match last {
            Ok(last) => Ok((links, last)),
            Err(e) => {
                self.abandon();
                Err(e.during("list network devices"))
            }
        }
    }

    /// The device called `name`.
    pub fn link_by_name(&mut self, name: &str) -> Result<Option<Link>, Error> {
        self.link(by_name(name)).map_err(|e| e.during(format!("look up {name}")))
    }

    /// The device number `index`.
    pub fn link_by_index(&mut self, index: u32) -> Result<Option<Link>, Error> {
        self.link(by_index(index)).map_err(|e| e.during(format!("look up interface {index}")))
    }

    pub(super) fn link(&mut self, request: Buffer) -> Result<Option<Link>, Refusal> {
        let mut link = None;
        match self.request(Rtm::Getlink, NlmF::empty(), request, |message| link = Link::parse(message)) {
            Err(e) if e.errno != libc::ENODEV => Err(e),
            _ => Ok(link),
        }
    }

    /// Whether the kernel has, or can load, the driver of that name; `None` to those whom it does not tell. It is asked for a
    /// device with a MAC that no driver takes: so it looks for the driver, and makes nothing.
    pub fn has_driver(&mut self, driver: &str) -> Option<bool> {
        let kind = [message::attribute(IflaInfo::Kind, driver.as_bytes())];
        let attributes = vec![
            ifname("dmevpn-none"),
            message::attribute(Ifla::Address, &[0; 6]),
            message::nested(Ifla::Linkinfo, &kind),
        ];
        let request = header(0, Iff::empty(), Iff::empty(), attributes);
        let answer = self.request(Rtm::Newlink, NlmF::CREATE | NlmF::EXCL, request, |_| {});
        match answer.err()?.errno {
            libc::EOPNOTSUPP => Some(false),
            libc::EADDRNOTAVAIL => Some(true),
            _ => None,
        }
    }

    /// Make a bridge; the answer is its index. Either all of it is done or no device is left.
    ///
    /// Without `mac` the bridge takes the lowest MAC of its ports, and changes with them.
    pub fn create_bridge(
        &mut self,
        name: &str,
        mac: Option<[u8; 6]>,
        alias: &str,
        up: bool,
    ) -> Result<u32, Error> {
        let kind = [message::attribute(IflaInfo::Kind, b"bridge")];
        let mut attributes = vec![message::nested(Ifla::Linkinfo, &kind)];
        attributes.extend(mac.map(|mac| message::attribute(Ifla::Address, &mac)));
        self.create_link(name, alias, up, attributes).map_err(|e| e.during(format!("create bridge {name}")))
    }

    /// Create, then say what the kernel ignores in a create message: the alias. Both go in one system call: a daemon
    /// that dies leaves no device without a mark.
    fn create_link(
        &mut self,
        name: &str,
        alias: &str,
        up: bool,
        attributes: Vec<Attribute>,
    ) -> Result<u32, Refusal> {
        let index = self.take_indices(1);
        let (none, on) = (Iff::empty(), if up { Iff::UP } else { Iff::empty() });
        let alias = message::attribute(Ifla::Ifalias, alias.as_bytes());
        let mut batch = Batch::quiet(self.next_seq());
        let attributes = core::iter::once(ifname(name)).chain(attributes).collect();
        batch.push(Rtm::Newlink, NlmF::CREATE | NlmF::EXCL, header(index, none, none, attributes));
        batch.push(Rtm::Setlink, NlmF::empty(), header(index, on, on, vec![alias]));
        let mut refused = None;
        self.exchange_quietly(&mut batch, &mut |place, end| {
            refused.get_or_insert((place, end));
        })?;
        match refused {
            None => Ok(index),
            Some((0, e)) => Err(e),
            Some((_, e)) => {
                // Half a device is worse than none; the first error is the one to tell.
                let _ = self.delete(index);
                Err(e)
            }
        }
    }

    /// Change a device. The master is set before it is switched on, so no frame goes astray.
    pub fn set_link(&mut self, index: u32, change: &LinkChange<'_>) -> Result<(), Error> {
        let attributes: Vec<_> = [
            change.alias.map(|alias| message::attribute(Ifla::Ifalias, alias.as_bytes())),
            change.mtu.map(|mtu| message::attribute(Ifla::Mtu, &mtu.to_ne_bytes())),
            change.mac.map(|mac| message::attribute(Ifla::Address, &mac)),
            change.master.map(|m| message::attribute(Ifla::Master, &m.unwrap_or(0).to_ne_bytes())),
        ]
        .into_iter()
        .flatten()
        .collect();
        let change_it = |netlink: &mut Netlink| {
            if !attributes.is_empty() {
                let request = header(index, Iff::empty(), Iff::empty(), attributes);
                netlink.request(Rtm::Setlink, NlmF::empty(), request, |_| {})?;
            }
            let Some(up) = change.up else { return Ok(()) };
            let flags = if up { Iff::UP } else { Iff::empty() };
            netlink.request(Rtm::Setlink, NlmF::empty(), header(index, flags, Iff::UP, vec![]), |_| {})
        };
        change_it(self).map_err(|e| e.during(format!("change interface {index}")))
    }

    /// Have a VXLAN device send from another address of the same family. Its entries stay as they are; over IPv6 they go
    /// on sending from the address of before until they are written anew.
    pub fn set_vxlan_local(&mut self, index: u32, local: IpAddr) -> Result<(), Error> {
        let kind = if local.is_ipv4() { vxlan::LOCAL } else { vxlan::LOCAL6 };
        let data = [message::ip_attribute(kind, local)];
        let info = [message::attribute(IflaInfo::Kind, b"vxlan"), message::nested(IflaInfo::Data, &data)];
        let request = header(index, Iff::empty(), Iff::empty(), vec![message::nested(Ifla::Linkinfo, &info)]);
        self.request(Rtm::Newlink, NlmF::empty(), request, |_| {})
            .map_err(|e| e.during(format!("have interface {index} send from {local}")))
    }

    /// Have a bridge learn nothing from frames that no bridge forwards, or learn from them. A kernel that cannot do so may not
    /// say no.
    pub fn ignore_link_local(&mut self, bridge: u32, ignores: bool) -> Result<(), Error> {
        let value = if ignores { NO_LINK_LOCAL_LEARNING } else { 0 };
        let bits = [value, NO_LINK_LOCAL_LEARNING].map(u32::to_ne_bytes).concat();
        let data = [message::attribute(BRIDGE_OPTIONS, &bits)];
        let info = [message::attribute(IflaInfo::Kind, b"bridge"), message::nested(IflaInfo::Data, &data)];
        let request =
            header(bridge, Iff::empty(), Iff::empty(), vec![message::nested(Ifla::Linkinfo, &info)]);
        self.request(Rtm::Newlink, NlmF::empty(), request, |_| {})
            .map_err(|e| e.during(format!("say what bridge {bridge} learns from link-local frames")))
    }

    /// Have a VXLAN device with a VNI filter accept `vni`; the kernel refuses one that another device accepts (EEXIST).
    pub fn accept_vni(&mut self, index: u32, vni: u32) -> Result<(), Error> {
        let start = [message::attribute(FILTER_ENTRY_START, &vni.to_ne_bytes())];
        let entry = message::nested(FILTER_ENTRY, &start);
        let request = message::body(&tunnel_header(index), &[entry]);
        self.request(Rtm::from(RTM_NEWTUNNEL), NlmF::CREATE, request, |_| {})
            .map_err(|e| e.during(format!("let interface {index} accept vni {vni}")))
    }

    /// Remove a device; it is no error when it is gone already.
    pub fn delete_link(&mut self, index: u32) -> Result<(), Error> {
        match self.delete(index) {
            Err(e) if e.errno != libc::ENODEV => Err(e.during(format!("delete interface {index}"))),
            _ => Ok(()),
        }
    }

    pub(super) fn delete(&mut self, index: u32) -> Result<(), Refusal> {
        // Index 0 would make the kernel look for a name or a group.
        if index == 0 {
            return Err(Refusal { errno: libc::ENODEV, text: None });
        }
        self.request(Rtm::Dellink, NlmF::empty(), header(index, Iff::empty(), Iff::empty(), vec![]), |_| {})
    }
}

/// `struct tunnel_msg`: family, flags, two unused octets, interface.
fn tunnel_header(index: u32) -> [u8; 8] {
    let [a, b, c, d] = index.to_ne_bytes();
    [libc::AF_BRIDGE as u8, 0, 0, 0, a, b, c, d]
}

/// About the device `index`, or all of them if it is 0.
pub(super) fn by_index(index: u32) -> Buffer {
    header(index, Iff::empty(), Iff::empty(), vec![skip_stats()])
}

fn by_name(name: &str) -> Buffer {
    header(0, Iff::empty(), Iff::empty(), vec![ifname(name), skip_stats()])
}

pub(super) fn ifname(name: &str) -> Attribute {
    message::text_attribute(Ifla::Ifname, name)
}

fn skip_stats() -> Attribute {
    message::attribute(Ifla::ExtMask, &SKIP_STATS.to_ne_bytes())
}
