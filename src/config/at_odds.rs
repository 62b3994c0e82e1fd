//! Options that are right alone and cannot work together: those of different sections, and paths.

use super::ambiguous::is_one;
use super::errors::Finding;
use super::options::{ADDRESS, BRIDGE, HUB, Opt, PEER, PROTOCOL_ADDRESS, SOCKET, STATE_FILE, VXLAN};
use super::read::Reader;
use super::uci::{File, Section, Value};
use super::{Config, Hub, HubAddress, HubRole, Role, Transport, Vn};
use std::path::Path;

/// Reports what cannot work in `config`.
pub fn report(file: &File, config: &Config, errors: &mut Vec<Finding>) {
    for hub in config.hubs.iter().filter(|hub| is_in_use(config, hub)) {
        if let (Some(section), Some(why)) = (file.section("hub", &hub.name), hub_out_of_reach(config, hub)) {
            let _ = Reader::again(section, errors).refuse(&ADDRESS, &why);
        }
    }
    let is_hub = |vn: &&Vn| matches!(vn.role, Role::Hub(_));
    let nowhere = config.main.nbma.is_empty() && config.main.interface.is_none();
    if let Some(vn) = config.vns.iter().find(is_hub).filter(|_| nowhere) {
        if let Some(section) = file.section("vn", &vn.name) {
            let why = "role hub needs option 'nbma' or 'interface' in section dmevpn, \
                       which say where spokes find this hub";
            let _ = Reader::again(section, errors).refuse_section(why);
        }
    }
    for vn in &config.vns {
        let Some(section) = file.section("vn", &vn.name) else { continue };
        if let Some((option, line, why)) = hubs_apart(config, vn, section) {
            let _ = Reader::again(section, errors).refuse_at(line, option, &why);
        }
        if let Role::Hub(hub) = &vn.role {
            let is_peer = |other: &&Hub| hub.peers.contains(&other.name);
            if let Some(other) =
                config.hubs.iter().find(|other| is_peer(other) && lacks_key(config, vn, hub, other))
            {
                let why = format!(
                    "with keys hubs need one that no spoke has: give section hub '{}' a 'key', the same at both ends",
                    other.name
                );
                let _ = Reader::again(section, errors).refuse(&PEER, &why);
            }
            if !hub.protocol_addresses.is_empty() && config.main.transport == Transport::Raw {
                let why = "clients that register IP addresses send their packets by GRE, which needs \
                           transport 'device' and a GRE interface as 'device' in section dmevpn";
                let _ = Reader::again(section, errors).refuse(&PROTOCOL_ADDRESS, why);
            }
        }
        for (option, why) in devices_in_the_way(file, config, vn) {
            let _ = Reader::again(section, errors).refuse(option, &why);
        }
    }
}

/// Reports paths of which one is in the way of another; `config` is where the configuration itself is.
pub fn report_paths(config: &str, socket: &str, state_file: &str, r: &mut Reader<'_>) {
    let is_below = |a: &str, b: &str| Path::new(a).starts_with(b);
    for (option, path) in [(&SOCKET, socket), (&STATE_FILE, state_file)] {
        if Path::new(path) == Path::new(config) {
            let _ = r.refuse(option, &format!("'{path}' is this configuration; give it a path of its own"));
        }
    }
    let why = match (is_below(socket, state_file), is_below(state_file, socket)) {
        (true, true) => "is the 'state_file' already",
        (true, false) => "is below the 'state_file', which is no directory",
        (false, true) => "is a directory above the 'state_file'",
        (false, false) if Path::new(socket) == Path::new(&format!("{state_file}.new")) => {
            "is where the 'state_file' is written before it takes its place"
        }
        (false, false) => return,
    };
    let _ = r.refuse(&SOCKET, &format!("'{socket}' {why}; give it a path of its own"));
}

/// Whether spokes of a VN have keys of their own, and its hub has none to be known by to another one.
fn lacks_key(config: &Config, vn: &Vn, hub: &HubRole, other: &Hub) -> bool {
    let has_own = config.spokes.iter().any(|spoke| spoke.vns.is_empty() || spoke.vns.contains(&vn.name));
    has_own && hub.keys.is_empty() && other.keys.is_empty()
}

/// Whether an enabled VN has the hub; what nobody uses does no harm.
fn is_in_use(config: &Config, hub: &Hub) -> bool {
    config.vns.iter().any(|vn| match &vn.role {
        Role::Spoke(spoke) => spoke.hubs.contains(&hub.name),
        Role::Hub(role) => role.peers.contains(&hub.name),
    })
}

/// Which of several hubs of a VN cannot be one of them, and why: the option that names it, and the line.
fn hubs_apart(config: &Config, vn: &Vn, section: &Section) -> Option<(&'static Opt, u32, String)> {
    let (option, names) = match &vn.role {
        Role::Spoke(spoke) if spoke.hubs.len() > 1 => (&HUB, &spoke.hubs),
        Role::Spoke(_) => return None,
        Role::Hub(hub) => (&PEER, &hub.peers),
    };
    let hubs: Vec<&Hub> =
        names.iter().filter_map(|name| config.hubs.iter().find(|hub| hub.name == *name)).collect();
    let is_ipv6 = |hub: &Hub| matches!(hub.address, HubAddress::Ip(address) if address.ip().is_ipv6());
    let is_device = config.main.transport != Transport::Raw;
    let why = |place: usize, hub: &Hub| {
        let name = &hub.name;
        let mut before = hubs.iter().take(place);
        if let Some(twin) = before.clone().find(|other| is_one(&other.address, &hub.address)) {
            return Some(format!("'{name}' has the address of '{}'", twin.name));
        }
        if !hub.session {
            return Some(format!("'{name}' has 'session' 0, and one of several hubs needs sessions"));
        }
        // Over IPv6 Linux does not tell who sent a packet on a device that leads to several. A hub's leads to a spoke.
        let is_taken = matches!(vn.role, Role::Hub(_)) || before.any(|other| is_ipv6(other));
        (is_device && is_ipv6(hub) && is_taken).then(|| {
            format!(
                "'{name}' is not reached: over IPv6 a GRE device leads to one router alone, and this VN has several; \
                 use transport 'raw'"
            )
        })
    };
    let (place, why) = hubs.iter().enumerate().find_map(|(place, hub)| Some((place, why(place, hub)?)))?;
    let line = section.get(option.name)?.texts().get(place)?.line;
    Some((option, line, why))
}

/// Why a hub cannot be reached from the addresses that `nbma` names.
fn hub_out_of_reach(config: &Config, hub: &Hub) -> Option<String> {
    let own = &config.main.nbma;
    let HubAddress::Ip(address) = hub.address else { return None };
    if own.contains(&address) {
        let why = format!(
            "'{address}' is this router's own 'nbma', so it would register with itself; give the hub's"
        );
        return Some(why);
    }
    // A GRE device has an address of its own.
    let has_its_family = own.is_empty() || own.iter().any(|nbma| nbma.same_family(address));
    if has_its_family || config.main.transport != Transport::Raw {
        return None;
    }
    let (family, other) = if address.ip().is_ipv4() { ("IPv4", "IPv6") } else { ("IPv6", "IPv4") };
    Some(format!(
        "'{address}' is {family}, and 'nbma' has {other} only; add this router's {family} address there"
    ))
}

/// The options of `vn` that name a device which is another thing already, and what that is.
fn devices_in_the_way(file: &File, config: &Config, vn: &Vn) -> Vec<(&'static Opt, String)> {
    let gre = match &config.main.transport {
        Transport::Raw => None,
        Transport::Device(device) => Some(device),
    };
    let mut found = Vec::new();
    if gre == Some(&vn.bridge) {
        found.push((
            &BRIDGE,
            format!("'{}' is the GRE 'device', which is no bridge; give that of this site", vn.bridge),
        ));
    }
    let Role::Spoke(spoke) = &vn.role else { return found };
    let other = config.vns.iter().find(|other| other.name != vn.name && other.bridge == spoke.vxlan);
    let is = match other {
        Some(other) => {
            let section = file.section("vn", &other.name);
            let line = section.map_or(0, |s| s.get(BRIDGE.name).map_or(s.line, Value::line));
            format!("the bridge of vn '{}' (line {line})", other.name)
        }
        None if gre == Some(&spoke.vxlan) => "the GRE 'device'".to_owned(),
        None if config.main.interface.as_ref() == Some(&spoke.vxlan) => "the underlay 'interface'".to_owned(),
        None => return found,
    };
    found.push((&VXLAN, format!("'{}' is {is} already; choose a name of its own", spoke.vxlan)));
    found
}
