//! What a file may say and yet is hardly meant: as far as the file alone tells.

use super::errors::{Finding, in_order};
use super::options::{
    BRIDGE, ENABLED, INTERFACE, MAX_SPOKES, MTU, Opt, PRIORITY, PROTOCOL_ADDRESS, STATE_FILE, TRIGGER,
};
use super::read::Reader;
use super::uci::{File, Section};
use super::{Config, Dataplane, Role};
use crate::engine::settings::Trigger;

/// How many ports a Linux bridge has at most, its own not counted.
const BRIDGE_PORTS: u16 = 1023;

/// What stations have as their MTU unless told otherwise.
const ETHERNET: u16 = 1500;

/// Where nothing survives a reboot, on OpenWrt and elsewhere.
const VOLATILE: [&str; 3] = ["/tmp/", "/run/", "/var/run/"];

/// The warnings about `file`, which says `config`, in the order of lines; `stateless` is why no state can be kept.
pub fn warnings(file: &File, config: &Config, stateless: Option<String>) -> Vec<Finding> {
    let mut all = Vec::new();
    of_main(file, config, stateless, &mut all);
    for hub in &config.hubs {
        let Some(section) = file.section("hub", &hub.name) else { continue };
        if section.get(PRIORITY.name).is_some() {
            warn(&mut all, section, &PRIORITY, "has no effect: a VN has one hub");
        }
        let is_its = |role: &Role| matches!(role, Role::Spoke(spoke) if spoke.hub == hub.name);
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

fn warn(all: &mut Vec<Finding>, section: &Section, option: &Opt, why: &str) {
    let _ = Reader::again(section, all).refuse(option, why);
}
