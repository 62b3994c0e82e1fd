//! What a file may say and yet is hardly meant: as far as the file alone tells.

use super::errors::{Finding, in_order};
use super::files::Files;
use super::options::{
    BRIDGE, CISCO_AUTHENTICATION, ENABLED, HUB, INTERFACE, MAX_SPOKES, MTU, Opt, PRIORITY, PROTOCOL_ADDRESS,
    SECRET, SECRET_FILE, STATE_FILE, TRIGGER, VN_KEY,
};
use super::read::Reader;
use super::uci::{File, Section};
use super::{Config, Dataplane, HubAddress, HubRole, Role, Spoke, Vn};
use crate::engine::settings::{Algorithm, Trigger};
use crate::types::Nbma;

/// How many ports a Linux bridge has at most, its own not counted.
const BRIDGE_PORTS: u16 = 1023;

/// What stations have as their MTU unless told otherwise.
const ETHERNET: u16 = 1500;

/// Where nothing survives a reboot, on OpenWrt and elsewhere.
const VOLATILE: [&str; 3] = ["/tmp/", "/run/", "/var/run/"];

/// The warnings about `file`, which says `config` and has this name, in the order of lines.
pub fn warnings(file: &File, config: &Config, name: &str, files: &Files<'_>) -> Vec<Finding> {
    let mut all = Vec::new();
    of_main(file, config, (files.in_the_way)(&config.main.state_file), &mut all);
    of_keys(file, config, name, files, &mut all);
    for hub in &config.hubs {
        let Some(section) = file.section("hub", &hub.name) else { continue };
        if section.get(PRIORITY.name).is_some() {
            warn(
                &mut all,
                section,
                &PRIORITY,
                "has no effect: the order of 'hub' in a VN tells which one is preferred",
            );
        }
        let is_its = |role: &Role| match role {
            Role::Spoke(spoke) => spoke.hubs.contains(&hub.name),
            Role::Hub(role) => role.peers.contains(&hub.name),
        };
        if !config.vns.iter().any(|vn| is_its(&vn.role)) {
            let _ = Reader::again(section, &mut all).refuse_section("no enabled VN has this hub");
        }
    }
    for vn in &config.vns {
        let Some(section) = file.section("vn", &vn.name) else { continue };
        // With a VLAN of its own it is apart from where the bridge itself is.
        if config.main.interface.as_ref() == Some(&vn.bridge) && vn.vlan.is_none() {
            let why =
                format!("'{}' is the underlay 'interface' too: its packets would run in circles", vn.bridge);
            warn(&mut all, section, &BRIDGE, &why);
        }
        if vn.mtu < ETHERNET {
            let why = format!(
                "'{}': stations of this VN need it, too, at all sites: what is larger is dropped at the tunnel without a \
                 word, while with {ETHERNET} the kernel tells them what fits",
                vn.mtu
            );
            warn(&mut all, section, &MTU, &why);
        }
        if matches!(&vn.role, Role::Hub(hub) if !hub.protocol_addresses.is_empty() && hub.allow.is_empty()) {
            let why = "who registers an IP address need not receive where it says it is: anybody can take the clients' \
                       addresses and places; say with 'allow' where they are";
            warn(&mut all, section, &PROTOCOL_ADDRESS, why);
        }
        if let Role::Hub(hub) = &vn.role {
            of_hub(section, config, vn, hub, &mut all);
        }
        if let Role::Spoke(spoke) = &vn.role {
            of_families(section, config, spoke, &mut all);
        }
        match &vn.role {
            Role::Spoke(spoke) if spoke.trigger == Trigger::L2miss => {
                let why = "'l2miss' loses the first frame to each MAC address and all multicast, so there is no IPv6 \
                           neighbour discovery; 'learn' loses neither";
                warn(&mut all, section, &TRIGGER, why);
            }
            Role::Hub(hub)
                if hub.dataplane == Dataplane::Bridge && hub.max_spokes.is_some_and(|m| m > BRIDGE_PORTS) =>
            {
                let why =
                    format!("a Linux bridge has {BRIDGE_PORTS} ports at most: further spokes are refused");
                warn(&mut all, section, &MAX_SPOKES, &why);
            }
            Role::Spoke(_) | Role::Hub(_) => {}
        }
    }
    in_order(&mut all);
    all
}

fn of_main(file: &File, config: &Config, stateless: Option<String>, all: &mut Vec<Finding>) {
    let Some(section) = file.sections.iter().find(|s| s.kind == ENABLED.section) else { return };
    if !config.main.enabled {
        warn(all, section, &ENABLED, "the daemon does nothing");
    }
    if config.main.interface.as_deref() == Some("lo") {
        let why = "no packet leaves or comes by 'lo'; give its address as 'nbma'";
        warn(all, section, &INTERFACE, why);
    }
    if VOLATILE.iter().any(|place| config.main.state_file.starts_with(place)) {
        warn(all, section, &STATE_FILE, "does not survive a reboot there");
    }
    if let Some(why) = stateless {
        warn(
            all,
            section,
            &STATE_FILE,
            &format!("'{}': {why}; give a path of its own", config.main.state_file),
        );
    }
}

fn of_keys(file: &File, config: &Config, name: &str, files: &Files<'_>, all: &mut Vec<Finding>) {
    let hubs = config.hubs.iter().flat_map(|hub| &hub.keys);
    let spokes = config.spokes.iter().flat_map(|spoke| &spoke.keys);
    let vns =
        config.vns.iter().filter_map(|vn| if let Role::Hub(hub) = &vn.role { Some(&hub.keys) } else { None });
    let used: Vec<&String> = hubs.chain(spokes).chain(vns.flatten()).collect();
    for key in &config.keys {
        let Some(section) = file.section("key", &key.name) else { continue };
        if !used.contains(&&key.name) {
            let _ = Reader::again(section, all).refuse_section("nobody has this key");
        }
        let (option, place) = match &key.file {
            Some(path) => (&SECRET_FILE, path.as_str()),
            None => (&SECRET, name),
        };
        if (files.is_open)(place) {
            // Its group is the daemon's first: what root alone reads stops a daemon of another user.
            let why = format!(
                "others than its owner may read '{place}': chgrp dmevpn '{place}' && chmod 640 '{place}', or chmod 600 \
                 '{place}' where the daemon runs as root; and make a new key"
            );
            warn(all, section, option, &why);
        }
        if let Some(why) = weakness(key.secret.octets()) {
            warn(all, section, option, &format!("{why}: 'dmevpn key new' makes a better one"));
        }
    }
}

/// Spokes of hubs that are cut off from each other compare the addresses that they have of them: those of one family come
/// before those of the other one.
fn of_families(section: &Section, config: &Config, spoke: &Spoke, all: &mut Vec<Finding>) {
    let address = |name: &String| match config.hubs.iter().find(|hub| hub.name == *name)?.address {
        HubAddress::Ip(ip) => Some(ip),
        HubAddress::Name(_) => None,
    };
    let hubs = || spoke.hubs.iter().enumerate().filter_map(|(place, hub)| Some((place, hub, address(hub)?)));
    let Some((_, first, of_first)) = hubs().next() else { return };
    let Some((place, other, of_other)) = hubs().find(|(_, _, ip)| !ip.same_family(of_first)) else { return };
    let family = |nbma: Nbma| if nbma.ip().is_ipv4() { "IPv4" } else { "IPv6" };
    let why = format!(
        "'{other}' has an {} address, and '{first}' an {} one: when hubs are cut off from each other, spokes meet at the \
         lowest address, which may be another hub for those that use the other family; give all hubs addresses of one \
         family, at all spokes",
        family(of_other),
        family(of_first)
    );
    let line = section.get(HUB.name).and_then(|value| Some(value.texts().get(place)?.line));
    let _ = Reader::again(section, all).refuse_at(line.unwrap_or(section.line), &HUB, &why);
}

/// What of a hub's keys is hardly meant.
fn of_hub(section: &Section, config: &Config, vn: &Vn, hub: &HubRole, all: &mut Vec<Finding>) {
    let spokes = config.spokes.iter().filter(|spoke| spoke.vns.is_empty() || spoke.vns.contains(&vn.name));
    let names: Vec<&String> = hub.keys.iter().chain(spokes.flat_map(|spoke| &spoke.keys)).collect();
    let is_md5 = |name: &&String| {
        config.keys.iter().any(|key| key.name == **name && key.algorithm == Algorithm::HmacMd5)
    };
    if names.is_empty() && hub.require {
        let why = "is open: who reaches the hub can join, and who is on the path can speak as anybody; give each spoke a \
                   section spoke with a key of its own, or set 'require' to 0 where that is meant so";
        let _ = Reader::again(section, all).refuse_section(why);
    }
    if !hub.keys.is_empty() {
        let why = "who has a key of several spokes can speak as the hub to the others; a section spoke has keys of its own";
        warn(all, section, &VN_KEY, why);
    }
    if !names.is_empty() && names.iter().all(is_md5) {
        let _ = Reader::again(section, all)
            .refuse_section("all its keys are hmac-md5-128; hmac-sha256-128 is better");
    }
    if !names.is_empty() && hub.require && !hub.protocol_addresses.is_empty() {
        let why = "clients that register IP addresses sign nothing, and all that is not signed is dropped: give them a VN \
                   without keys, or set 'require' to 0";
        warn(all, section, &PROTOCOL_ADDRESS, why);
    }
    if hub.cisco_authentication.is_some() {
        let why = "is in each packet for all to read: it is not secure, and keeps nobody out who sees one";
        warn(all, section, &CISCO_AUTHENTICATION, why);
    }
}

/// Why a secret is easily guessed, as far as that can be seen.
fn weakness(secret: &[u8]) -> Option<&'static str> {
    let is_all = |is: fn(&u8) -> bool| secret.iter().all(is);
    let bits = match secret.len() {
        n if is_all(u8::is_ascii_digit) => n * 3,
        n if is_all(u8::is_ascii_hexdigit) => n * 4,
        n => n * 5,
    };
    let others = secret.iter().enumerate().filter(|(i, octet)| !secret[..*i].contains(octet)).count();
    let is_word = |run: &[u8]| run.len() >= 7 && !run.iter().all(u8::is_ascii_hexdigit);
    let is_no_letter = |octet: &u8| !octet.is_ascii_lowercase();
    if others < 8 {
        Some("it is made of a few characters only")
    } else if bits < 100 {
        Some("it is short")
    } else if is_all(|octet| octet.is_ascii_alphabetic() || b" -_.,'".contains(octet))
        || secret.split(is_no_letter).any(is_word)
    {
        Some("it is made of words")
    } else {
        None
    }
}

fn warn(all: &mut Vec<Finding>, section: &Section, option: &Opt, why: &str) {
    let _ = Reader::again(section, all).refuse(option, why);
}
