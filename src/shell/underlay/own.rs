//! This router's own addresses, and which of them is on the way to a hub.

use crate::control::Cause;
use crate::shell::netlink::{Address, Link, Netlink};
use crate::types::Nbma;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

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
/// the worker's thread asks. All else that is looked for here takes a system call on a datagram socket (`bind`,
/// `connect`), for which the kernel needs no such lock.
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
    let mut ours: Vec<&Address> = all.iter().filter(is_ours).collect();
    // One that is about to go is used where there is no other, one that is soon to be another where none stays.
    ours.sort_by_key(|a| {
        let temporary = a.ip.is_ipv6() && a.flags & libc::IFA_F_TEMPORARY != 0;
        (a.ip.is_ipv6(), a.flags & libc::IFA_F_DEPRECATED != 0, temporary)
    });
    ours.into_iter().filter_map(|a| Nbma::new(a.ip)).collect()
}

/// Our address on the way to `hub`: of those configured, or else the one the route has; or why there is no way.
pub fn towards(hub: Nbma, own: &Own) -> Result<Nbma, Cause> {
    let no_route = || own.trouble.clone().unwrap_or(Cause::NoRoute(hub));
    if !own.configured {
        return route(any(hub), hub).ok().and_then(Nbma::new).ok_or_else(no_route);
    }
    if own.addresses.is_empty() {
        return Err(no_route());
    }
    let Some(local) = own.addresses.iter().copied().find(|a| a.same_family(hub)) else {
        return Err(Cause::OtherFamily { hub });
    };
    route(local.ip(), hub).map(|_| local).map_err(|_| no_route())
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

/// Connecting a datagram socket sends nothing, but makes the kernel look for a route and choose a source address.
fn route(from: IpAddr, hub: Nbma) -> io::Result<IpAddr> {
    let socket = UdpSocket::bind((from, 0))?;
    socket.connect((hub.ip(), 9))?;
    match socket.local_addr()?.ip() {
        // Good for this link only: the address that the hub could answer to is yet to come.
        IpAddr::V6(ip) if ip.is_unicast_link_local() => Err(io::ErrorKind::AddrNotAvailable.into()),
        ip => Ok(ip),
    }
}

fn any(like: Nbma) -> IpAddr {
    match like.ip() {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
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
