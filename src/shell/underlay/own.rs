//! This router's own addresses, and which of them is on the way to a hub.

use crate::config::{Config, Role};
use crate::control::Cause;
use crate::shell::netlink::{Address, Link, Netlink, name_of, set_option};
use crate::types::Nbma;
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

/// RT_SCOPE_UNIVERSE: an address that is valid beyond its link.
const SCOPE_UNIVERSE: u8 = 0;

/// This router's underlay addresses as configured, directly or by an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Whether the configuration says which they are; otherwise the route to a hub decides.
    pub configured: bool,
    /// Those that are there, the best of each family first.
    pub addresses: Vec<Nbma>,
    /// The index of the configured interface, and whether it is up.
    pub link: Option<(u32, bool)>,
    /// What is wrong with them.
    pub trouble: Option<Cause>,
}

/// What the kernel is to be asked about this router's own end.
///
/// About a device it answers once it has its lock of the network configuration (rtnl), which others may hold for seconds:
/// the worker's thread asks. All else that is looked for here takes a system call on a datagram socket (`bind`) or a
/// question about a route, for which the kernel needs no such lock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// The name of the interface whose addresses are the own ones.
    pub interface: Option<String>,
    /// The name of the GRE device of transport `device`.
    pub device: Option<String>,
}

/// What the kernel said; errors are in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// What it was asked.
    pub question: Question,
    interface: Result<Option<Link>, String>,
    addresses: Result<Vec<Address>, String>,
    /// The GRE device.
    pub device: Result<Option<Link>, String>,
}

/// That nothing was asked.
impl Default for Home {
    fn default() -> Home {
        Home {
            question: Question::default(),
            interface: Ok(None),
            addresses: Ok(Vec::new()),
            device: Ok(None),
        }
    }
}

impl Question {
    /// Whether there is nothing to ask.
    pub fn is_empty(&self) -> bool {
        self.interface.is_none() && self.device.is_none()
    }

    /// Asks.
    pub fn ask(self, netlink: &mut Netlink) -> Home {
        let mut link = |name: &Option<String>| match name {
            Some(name) => netlink.link_by_name(name).map_err(|e| e.to_string()),
            None => Ok(None),
        };
        let (interface, device) = (link(&self.interface), link(&self.device));
        let addresses = match &interface {
            Ok(Some(_)) => netlink.addresses().map_err(|e| e.to_string()),
            _ => Ok(Vec::new()),
        };
        Home { question: self, interface, addresses, device }
    }
}

/// The addresses as they are now: those of `interface`, of which the kernel told, or else `nbma`.
pub fn own(interface: Option<&str>, nbma: &[Nbma], home: &Home) -> Own {
    let Some(interface) = interface else {
        let trouble = nbma.iter().copied().find(|n| !is_ours(*n)).map(Cause::NotOurs);
        return Own { configured: !nbma.is_empty(), addresses: nbma.to_vec(), link: None, trouble };
    };
    let nothing = |trouble| Own { configured: true, trouble: Some(trouble), ..Own::default() };
    let (link, all) = match (&home.interface, &home.addresses) {
        (Ok(Some(link)), Ok(all)) => (link, all),
        (Ok(None), _) => return nothing(Cause::NoInterface(interface.to_owned())),
        (Err(e), _) | (_, Err(e)) => return nothing(Cause::Failed(e.clone())),
    };
    let addresses = usable(all, link.index);
    let trouble = match (link.up, addresses.is_empty()) {
        (false, _) => Some(Cause::InterfaceDown(interface.to_owned())),
        (true, true) => Some(Cause::NoAddress(interface.to_owned())),
        (true, false) => None,
    };
    Own { configured: true, addresses, link: Some((link.index, link.up)), trouble }
}

/// The addresses on that interface which others can answer to, the best ones first.
fn usable(all: &[Address], index: u32) -> Vec<Nbma> {
    // An optimistic one is used while it is tentative.
    let is_ours = |a: &&Address| {
        a.index == index
            && a.scope == SCOPE_UNIVERSE
            && a.flags & libc::IFA_F_DADFAILED == 0
            && a.flags & (libc::IFA_F_TENTATIVE | libc::IFA_F_OPTIMISTIC) != libc::IFA_F_TENTATIVE
    };
    // One that is about to go is used where there is no other, one that is soon to be another where none stays.
    let rank = |a: &Address| {
        let is = |flag| u8::from(a.flags & flag != 0);
        match a.ip {
            IpAddr::V4(_) => is(libc::IFA_F_DEPRECATED),
            IpAddr::V6(_) => 2 + 2 * is(libc::IFA_F_DEPRECATED) + is(libc::IFA_F_TEMPORARY),
        }
    };
    // In their order, and not by a sort: they are few, and so are the octets of a router's flash.
    let ranked = (0..=5).flat_map(|of| all.iter().filter(is_ours).filter(move |a| rank(a) == of));
    ranked.filter_map(|a| Nbma::new(a.ip)).collect()
}

/// What frames to a hub, and to the sites it tells of, are sent from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The address of ours.
    pub local: Nbma,
    /// Whether the kernel chooses it by itself. Only then does it take an IPv6 route of the device that is asked for even
    /// where another device has a better one.
    pub is_any: bool,
}

impl Source {
    /// What a device is told.
    pub fn ip(self) -> IpAddr {
        if self.is_any { Ipv6Addr::UNSPECIFIED.into() } else { self.local.ip() }
    }
}

/// What we send from on the way to `hub`: the address configured, or else the one that the kernel chooses for the route,
/// by the interface where one is configured; or why there is no way. And what is wrong with the way, though there is one.
pub fn towards(
    netlink: &mut Netlink,
    hub: Nbma,
    own: &Own,
    inside: &Inside,
) -> Result<(Source, Option<Cause>), Cause> {
    let no_route = || own.trouble.clone().unwrap_or(Cause::NoRoute(hub));
    let first = own.addresses.iter().copied().find(|a| a.same_family(hub)).filter(|_| own.configured);
    if own.configured && first.is_none() {
        return Err(if own.addresses.is_empty() { no_route() } else { Cause::OtherFamily { hub } });
    }
    let device = own.link.map(|(index, _)| index);
    let is_fixed = own.configured && device.is_none();
    let local = first.filter(|_| is_fixed).or_else(|| chosen(netlink, hub, device)).or(first);
    let local = local.ok_or_else(no_route)?;
    if let (Some(_), IpAddr::V6(_)) = (device, hub.ip()) {
        let chosen = netlink.way(hub.ip(), None, device).map_err(|_| no_route())?;
        if chosen.from == Some(local.ip()) {
            return Ok((Source { local, is_any: true }, None));
        }
    }
    let way = netlink.way(hub.ip(), Some(local.ip()), device).map_err(|_| no_route())?;
    let configured = Some(local).filter(|_| own.configured);
    match (device, way.device) {
        (Some(device), Some(other)) if device != other => {
            let trouble = Cause::Elsewhere { from: local, to: hub, by: name_of(other) };
            Ok((Source { local, is_any: false }, Some(trouble)))
        }
        (None, Some(by)) if inside.holds(netlink, by, configured) => {
            Err(Cause::Inside { hub, by: name_of(by) })
        }
        _ => Ok((Source { local, is_any: false }, None)),
    }
}

/// The devices by which packets get into the VNs, and so back to this router's tunnels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inside(Vec<String>);

impl Inside {
    /// Those of all VNs.
    pub fn of(config: &Config) -> Inside {
        let mut names = Vec::new();
        for vn in &config.vns {
            names.push(match vn.vlan {
                None => vn.bridge.clone(),
                Some(vlan) => format!("{}.{vlan}", vn.bridge),
            });
            if let Role::Spoke(spoke) = &vn.role {
                names.push(spoke.vxlan.clone());
            }
        }
        Inside(names)
    }

    /// Whether the device is one, unless it has the address that is configured as this router's.
    fn holds(&self, netlink: &mut Netlink, device: u32, configured: Option<Nbma>) -> bool {
        self.0.contains(&name_of(device))
            && configured.is_none_or(|ours| netlink.device_of(ours.ip()) != Some(device))
    }
}

/// Whether who sends there reaches this router itself.
pub fn is_here(address: Nbma, own: &Own) -> bool {
    // Where any address may be used (`ip_nonlocal_bind`), so may one that no router has: that tells nothing.
    let nobodys = match address.ip() {
        IpAddr::V4(_) => Nbma::new(Ipv4Addr::new(240, 0, 0, 1).into()),
        IpAddr::V6(_) => Nbma::new(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1).into()),
    };
    address.ip().is_loopback()
        || own.addresses.contains(&address)
        || is_ours(address) && !nobodys.is_some_and(is_ours)
}

/// Whether an interface of this router has the address.
pub fn is_ours(address: Nbma) -> bool {
    UdpSocket::bind((address.ip(), 0)).is_ok()
}

/// The address that the kernel chooses on the way to `hub`, by the device where there is one.
fn chosen(netlink: &mut Netlink, hub: Nbma, device: Option<u32>) -> Option<Nbma> {
    let ip = match hub.ip() {
        IpAddr::V4(_) => netlink.way(hub.ip(), None, device).ok()?.from?,
        IpAddr::V6(ip) => lasting(ip, device).ok()?,
    };
    Nbma::new(ip).filter(|_| !is_link_local(ip))
}

/// As the kernel chooses (RFC 6724), but no temporary address where another one is there, whatever `use_tempaddr` says: it
/// would be another one each day. Connecting a datagram socket sends nothing, but makes the kernel choose.
fn lasting(hub: Ipv6Addr, device: Option<u32>) -> io::Result<IpAddr> {
    // <linux/in6.h>, RFC 5014.
    const IPV6_ADDR_PREFERENCES: libc::c_int = 72;
    const IPV6_PREFER_SRC_PUBLIC: libc::c_int = 2;
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, None)?;
    set_option(socket.as_raw_fd(), libc::IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, IPV6_PREFER_SRC_PUBLIC)?;
    socket.bind_device(device.map(name_of).as_deref().map(str::as_bytes))?;
    socket.connect(&SocketAddr::from((hub, 9)).into())?;
    socket.local_addr()?.as_socket().map(|a| a.ip()).ok_or(io::ErrorKind::InvalidData.into())
}

/// Good for a link only: the address that a hub could answer to is yet to come.
fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_nobody_can_answer_to_are_not_used() {
        let address =
            |ip: &str, flags| Address { index: 2, ip: ip.parse().unwrap(), prefix: 64, scope: 0, flags };
        let of = |all: &[Address]| usable(all, 2).iter().map(ToString::to_string).collect::<Vec<_>>();
        let permanent = libc::IFA_F_PERMANENT;
        let plain = [address("10.0.0.1", permanent), address("10.0.0.2", permanent), address("fd00::1", 0)];
        assert_eq!(of(&plain), ["10.0.0.1", "10.0.0.2", "fd00::1"]);
        assert_eq!(usable(&plain, 3), []);
        let good = address("fd00::9", permanent);
        for (flags, used) in [
            (libc::IFA_F_TENTATIVE, "fd00::9"),
            (libc::IFA_F_TENTATIVE | libc::IFA_F_OPTIMISTIC, "fd00::8 fd00::9"),
            (libc::IFA_F_DADFAILED, "fd00::9"),
            (libc::IFA_F_DEPRECATED, "fd00::9 fd00::8"),
            (libc::IFA_F_TEMPORARY, "fd00::9 fd00::8"),
        ] {
            assert_eq!(of(&[address("fd00::8", flags), good]).join(" "), used, "{flags:#x}");
        }
        let going = address("fd00::9", libc::IFA_F_DEPRECATED);
        assert_eq!(of(&[going, address("fd00::8", libc::IFA_F_TEMPORARY)]), ["fd00::8", "fd00::9"]);
        // Of IPv4 the same bit means a further address of a network.
        let further = address("10.0.0.8", libc::IFA_F_SECONDARY);
        assert_eq!(of(&[further, address("10.0.0.9", permanent)]), ["10.0.0.8", "10.0.0.9"]);
        assert!(of(&[address("fd00::8", libc::IFA_F_TENTATIVE)]).is_empty());
        assert!(of(&[Address { scope: 253, ..address("fe80::1", permanent) }]).is_empty());
    }
}
