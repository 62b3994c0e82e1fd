//! Addresses of the underlay: this router's own, and the hubs'.

use super::netlink::{Error, Netlink};
use crate::config::Main;
use crate::types::Nbma;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

/// RT_SCOPE_UNIVERSE: an address that is valid beyond its link.
const SCOPE_UNIVERSE: u8 = 0;

/// This router's underlay addresses as configured, directly or by an interface, at most one of each family.
/// Empty when the route to a hub decides.
pub fn own(main: &Main, netlink: &mut Netlink) -> Result<Vec<Nbma>, Error> {
    let Some(interface) = &main.interface else { return Ok(main.nbma.clone()) };
    let Some(link) = netlink.link_by_name(interface)? else { return Ok(Vec::new()) };
    let addresses: Vec<Nbma> = netlink
        .addresses()?
        .into_iter()
        .filter(|a| a.index == link.index && a.scope == SCOPE_UNIVERSE)
        .filter_map(|a| Nbma::new(a.ip))
        .collect();
    let first = |v4: bool| addresses.iter().copied().find(|a| a.ip().is_ipv4() == v4);
    Ok([first(true), first(false)].into_iter().flatten().collect())
}

/// Our address on the way to `hub`: of `own`, or, when that has none at all, the one the route has.
pub fn towards(hub: Nbma, own: &[Nbma], configured: bool) -> Option<Nbma> {
    let of_its_family = own.iter().copied().find(|a| a.same_family(hub));
    if configured { of_its_family } else { by_route(hub).ok().flatten() }
}

/// Connecting a datagram socket sends nothing, but makes the kernel choose a source address.
fn by_route(hub: Nbma) -> io::Result<Option<Nbma>> {
    let any = match hub.ip() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect((hub.ip(), 9))?;
    Ok(Nbma::new(socket.local_addr()?.ip()))
}
