//! `dmevpn doctor`: facts about this router that its daemon does not know, or could not if none runs.
//!
//! Each is looked for softly: what cannot be told is so told, nothing is waited for longer than a moment, and nothing is
//! left behind.

use super::beside::beside;
use super::child::said_by;
use super::clock::wall;
use super::dataplane::alias;
use super::file::FILES;
use super::netlink::{Kind, Netlink};
use super::packet::{Division, divide, mtu_of};
use super::underlay::addresses_of;
use super::words::InWords;
use super::{file, state};
use crate::config::{Config, Hub, HubAddress, Main, Role, Vn};
use crate::types::Nbma;
use crate::view::doctor::{DRIVERS, Diagnosis, Facts, Passage, Port, Sort, Tunnel, Way, passage};
use socket2::{Domain, Socket, Type};
use std::ffi::CStr;
use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// What is asked of others has an answer within this, or none.
const MOMENT: Duration = Duration::from_secs(2);
/// A router on the way that takes no packets of this size says so within this.
const ROUND_TRIP: Duration = Duration::from_millis(300);
/// Between two looks whether somebody has answered.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest list of rules that is looked at.
const MOST_RULES: usize = 4 << 20;

/// CAP_NET_ADMIN and CAP_NET_RAW (<linux/capability.h>).
const CAPABILITIES: u32 = 1 << 12 | 1 << 13;

/// Gathers the facts; `daemon` is what one said, or why none did.
pub fn facts(path: &str, daemon: Result<Vec<Diagnosis>, String>) -> Facts {
    let (warnings, config) = match file::read_config(path) {
        Ok(text) => (Config::warnings(path, &text, &FILES), Config::parse_with(path, &text, &FILES)),
        Err(errors) => (Vec::new(), Err(errors)),
    };
    let mut facts = Facts {
        file: path.to_owned(),
        warnings,
        receivers: receivers(),
        is_privileged: is_privileged(),
        drivers: DRIVERS.map(|_| None),
        date: wall() / 1000,
        port: Port::default(),
        firewall: Vec::new(),
        ways: Vec::new(),
        state: None,
        snooping: Vec::new(),
        config,
        daemon,
    };
    let mut netlink = Netlink::open().ok();
    if let Some(netlink) = &mut netlink {
        facts.drivers = DRIVERS.map(|driver| netlink.has_driver(driver));
    }
    let Ok(config) = &facts.config else { return facts };
    facts.port = port(config.main.udp_port, netlink.as_mut());
    if facts.daemon.is_err() {
        facts.state = Some(state::can_be_written(&config.main.state_file));
    }
    let mut ipv6 = config.main.nbma.iter().all(|nbma| nbma.ip().is_ipv6()) && !config.main.nbma.is_empty();
    for hub in &config.hubs {
        let is_its = |vn: &Vn| matches!(&vn.role, Role::Spoke(spoke) if spoke.hubs.contains(&hub.name));
        if config.vns.iter().any(is_its) {
            let way = way(&config.main, hub);
            ipv6 |= matches!(way.mtu, Ok((IpAddr::V6(_), _)));
            facts.ways.push(way);
        }
    }
    let rules = rules();
    for sort in [Sort::Udp(config.main.udp_port), Sort::Gre] {
        let passage = match &rules {
            Ok(rules) => passage(rules, sort, config.main.interface.as_deref(), ipv6),
            Err(why) => Passage::Unknown((*why).into()),
        };
        facts.firewall.push((sort, passage));
    }
    for vn in &config.vns {
        let says = |what: &str| {
            let path = format!("/sys/class/net/{}/bridge/multicast_{what}", vn.bridge);
            fs::read_to_string(path).is_ok_and(|text| !text.starts_with('0'))
        };
        if says("snooping") && !says("querier") && !facts.snooping.contains(&vn.bridge) {
            facts.snooping.push(vn.bridge.clone());
        }
    }
    facts
}

/// How many raw sockets there are for GRE, of one address family: a daemon has one.
fn receivers() -> usize {
    let of = |file: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        // The local address, of which the port is the protocol, stands in front of the remote one.
        text.lines().filter(|line| line.contains(":002F ")).count()
    };
    of("/proc/net/raw").max(of("/proc/net/raw6"))
}

fn is_privileged() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    // Those that count are in the last 32 bits.
    let bits = effective.and_then(|bits| bits.trim().get(8..));
    bits.and_then(|bits| u32::from_str_radix(bits, 16).ok())
        .is_some_and(|bits| bits & CAPABILITIES == CAPABILITIES)
}

fn port(number: u16, netlink: Option<&mut Netlink>) -> Port {
    let is_taken = |address: IpAddr| {
        let taken = UdpSocket::bind(SocketAddr::new(address, number)).err();
        taken.is_some_and(|e| e.kind() == ErrorKind::AddrInUse)
    };
    let is_free = !is_taken(Ipv4Addr::UNSPECIFIED.into()) && !is_taken(Ipv6Addr::UNSPECIFIED.into());
    let mut port = Port { is_free, devices: Vec::new() };
    for link in netlink.and_then(|netlink| netlink.links().ok()).unwrap_or_default() {
        if let Kind::Vxlan(info) = &link.kind
            && info.port == number
            && link.up
        {
            let is_ours = link.alias.as_deref().is_some_and(alias::is_ours);
            port.devices.push((Tunnel { vni: info.vni, name: link.name }, is_ours));
        }
    }
    port
}

/// The rules of the firewall, or why they are not known.
fn rules() -> Result<String, &'static str> {
    let others = fs::read_to_string("/proc/net/ip_tables_names").unwrap_or_default();
    if others.lines().any(|table| table == "filter") {
        return Err("there are rules of iptables");
    }
    const NFT: &CStr = c"PATH=$PATH:/usr/sbin:/sbin exec nft -n list ruleset 2>/dev/null";
    match said_by(NFT, MOMENT, MOST_RULES) {
        Ok((0, said)) => Ok(String::from_utf8_lossy(&said).into_owned()),
        Ok((127, _)) => Err("there is no nft here"),
        _ => Err("nft does not tell its rules"),
    }
}

fn way(main: &Main, hub: &Hub) -> Way {
    let mut is_refused = false;
    let mtu = address(hub).and_then(|address| {
        let mtu = probe(main, address, &mut is_refused).map_err(|e| format!("{address}: {}", InWords(&e)))?;
        Ok((address, mtu))
    });
    Way { hub: hub.name.clone(), mtu, is_refused }
}

fn address(hub: &Hub) -> Result<IpAddr, String> {
    let name = match &hub.address {
        HubAddress::Ip(nbma) => return Ok(nbma.ip()),
        HubAddress::Name(name) => name,
    };
    let found = Arc::new(Mutex::new(None));
    let (asked, answer) = (name.clone(), Arc::clone(&found));
    let ask = move || *answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(addresses_of(&asked));
    if beside("name", ask).is_ok() {
        let mut left = MOMENT;
        while left > Duration::ZERO {
            if let Some(found) = found.lock().unwrap_or_else(PoisonError::into_inner).take() {
                let first =
                    found.map_err(|why| format!("'{name}' does not resolve: {why}"))?.first().copied();
                return first.map(Nbma::ip).ok_or_else(|| format!("'{name}' has no address"));
            }
            thread::sleep(PAUSE);
            left = left.saturating_sub(PAUSE);
        }
    }
    Err(format!("'{name}' does not resolve"))
}

/// The largest packet to `to`. One of zeros that may not be divided goes that way: no VXLAN header, and so for nobody.
fn probe(main: &Main, to: IpAddr, is_refused: &mut bool) -> std::io::Result<u32> {
    let (domain, any, headers): (_, IpAddr, u32) = match to {
        IpAddr::V4(_) => (Domain::IPV4, Ipv4Addr::UNSPECIFIED.into(), 28),
        IpAddr::V6(_) => (Domain::IPV6, Ipv6Addr::UNSPECIFIED.into(), 48),
    };
    let socket = Socket::new(domain, Type::DGRAM, None)?;
    // Who may not bind to it asks the way of all; by one that is not there no way leads.
    if let Some(Err(e)) = main.interface.as_ref().map(|name| socket.bind_device(Some(name.as_bytes())))
        && e.raw_os_error() == Some(libc::ENODEV)
    {
        return Err(e);
    }
    let own = main.nbma.iter().map(|nbma| nbma.ip()).find(|ip| ip.is_ipv4() == to.is_ipv4());
    socket.bind(&SocketAddr::new(own.unwrap_or(any), 0).into())?;
    socket.connect(&SocketAddr::new(to, main.udp_port).into())?;
    divide(&socket, to.is_ipv6(), Division::Refused)?;
    let mut mtu = mtu_of(&socket, to.is_ipv6())?;
    // Each narrow place on the way tells of itself alone.
    for _ in 0..3 {
        let packet = vec![0; mtu.saturating_sub(headers).min(u16::MAX.into()) as usize];
        let sent = socket.send(&packet);
        *is_refused |= sent.is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused);
        thread::sleep(ROUND_TRIP);
        *is_refused |= socket.take_error()?.is_some_and(|e| e.kind() == ErrorKind::ConnectionRefused);
        let now = mtu_of(&socket, to.is_ipv6())?;
        if now >= mtu {
            break;
        }
        mtu = now;
    }
    Ok(mtu)
}
