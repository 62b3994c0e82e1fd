//! Which way the kernel would send.

use super::message::{self, Attribute, Message};
use super::{Error, Netlink, Refusal};
use neli::consts::nl::NlmF;
use neli::consts::rtnl::{Rta, Rtm};
use std::net::IpAddr;

/// RTM_F_FIB_MATCH: the route that matches, not what follows from it.
const FIB_MATCH: u32 = 0x2000;

/// The way packets take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The address they leave from.
    pub from: Option<IpAddr>,
    /// The device they leave by; none where several share them.
    pub device: Option<u32>,
}

impl Netlink {
    /// The way of packets to `to`: from the address `from`, by the device `by`, where these are given. An IPv6 route with a
    /// better metric wins over the device, as it does for a tunnel's packets, from an address that is given.
    ///
    /// The kernel answers this without its lock of the network configuration (since 4.14): it takes microseconds.
    pub fn way(&mut self, to: IpAddr, from: Option<IpAddr>, by: Option<u32>) -> Result<Way, Error> {
        // With a device and without a route the kernel takes any IPv4 address to be a neighbour's there.
        let exists = match by {
            Some(_) if to.is_ipv4() => self.route(to, from, by, FIB_MATCH).map(drop),
            _ => Ok(()),
        };
        let found = exists.and_then(|()| self.route(to, from, by, 0));
        let way = found.map_err(|e| e.during(format!("look up the route to {to}")))?;
        Ok(Way { from: way.from.or(from), device: way.device })
    }

    /// The device that has the address, which is one of this router's.
    pub fn device_of(&mut self, address: IpAddr) -> Option<u32> {
        self.route(address, None, None, FIB_MATCH).ok()?.device
    }

    fn route(
        &mut self,
        to: IpAddr,
        from: Option<IpAddr>,
        by: Option<u32>,
        flags: u32,
    ) -> Result<Way, Refusal> {
        let (family, bits) = if to.is_ipv4() { (libc::AF_INET, 32) } else { (libc::AF_INET6, 128) };
        // `struct rtmsg`: family, lengths of the prefixes, five octets that are of no use here, flags.
        let source = from.map_or(0, |_| bits);
        let mut header = [family as u8, bits, source, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        header[8..].copy_from_slice(&flags.to_ne_bytes());
        let mut attributes: Vec<Attribute> = vec![message::ip_attribute(Rta::Dst, to)];
        attributes.extend(from.map(|from| message::ip_attribute(Rta::Src, from)));
        attributes.extend(by.map(|by| message::attribute(Rta::Oif, &by.to_ne_bytes())));
        let mut way = Err(Refusal { errno: libc::ENETUNREACH, text: None });
        let request = message::body(&header, &attributes);
        self.request(Rtm::Getroute, NlmF::empty(), request, |message| {
            way = parse(message).ok_or_else(|| message::Malformed.into());
        })?;
        way
    }
}

fn parse(message: &Message<'_>) -> Option<Way> {
    let (_, attributes) = message::header::<12>(message.body)?;
    let mut way = Way { from: None, device: None };
    for (kind, payload) in attributes {
        match Rta::from(kind) {
            Rta::Oif => way.device = message::u32_of(payload),
            Rta::Prefsrc => way.from = message::ip_of(payload),
            _ => {}
        }
    }
    Some(way)
}
