//! `dmevpn leave`: what daemons left in the kernel goes, once none is to come again.

use super::audience::control::answers;
use super::dataplane::alias;
use super::file::load;
use super::netlink::{FdbChange, Floods, Kind, Link, Netlink};
use super::words::InWords;
use crate::config::{Config, DEFAULT_SOCKET, Role, Transport};

/// Removes it and tells what that was, or why it was not done.
pub fn leave(config_path: &str) -> Result<Vec<String>, String> {
    // A package may go when its configuration is wrong, or gone.
    let config = load(config_path).ok();
    let socket = config.as_ref().map_or(DEFAULT_SOCKET, |c| &c.main.socket);
    if answers(socket) {
        return Err(format!("{socket}: a daemon runs and uses its devices; stop it first"));
    }
    let mut netlink = Netlink::open().map_err(|e| InWords(&e).to_string())?;
    let links = netlink.links().map_err(|e| e.to_string())?;
    let ours = |link: &Link| link.may_be_ours() && link.alias.as_deref().is_some_and(alias::is_ours);
    let mut removed = Vec::new();
    // Ports before the bridge that they are in.
    for bridges in [false, true] {
        for link in links.iter().filter(|l| ours(l) && matches!(l.kind, Kind::Bridge(_)) == bridges) {
            netlink.delete_link(link.index).map_err(|e| e.to_string())?;
            removed.push(link.name.clone());
        }
    }
    let device = config.as_ref().and_then(|config| match &config.main.transport {
        Transport::Device(device) => Some(device),
        Transport::Raw => None,
    });
    for link in links.iter().filter(|link| device == Some(&link.name)) {
        let clients = netlink.neighbours_set(link.index).map_err(|e| e.to_string())?;
        clients
            .iter()
            .try_for_each(|ip| netlink.neighbour_remove(link.index, *ip))
            .map_err(|e| e.to_string())?;
        if !clients.is_empty() {
            removed.push(format!("{} neighbours of {}", clients.len(), link.name));
        }
    }
    let named = |link: &&Link| config.as_ref().is_some_and(|c| is_vxlan_of(c, &link.name));
    for link in links.iter().filter(|l| !ours(l)).filter(named) {
        if link.floods == Some(Floods::NOTHING) {
            netlink.set_floods(link.index, Floods::ALL).map_err(|e| e.to_string())?;
            removed.push(format!("that {} floods nothing", link.name));
        }
        let entries = forget(&mut netlink, link.index)?;
        if entries > 0 {
            removed.push(format!("{entries} forwarding entries of {}", link.name));
        }
    }
    Ok(removed)
}

fn is_vxlan_of(config: &Config, device: &str) -> bool {
    config.vns.iter().any(|vn| matches!(&vn.role, Role::Spoke(spoke) if spoke.vxlan == device))
}

/// Removes the entries of ours from a device that the user made. How many there were.
fn forget(netlink: &mut Netlink, index: u32) -> Result<usize, String> {
    let entries = netlink.fdb_of_device(index).map_err(|e| e.to_string())?;
    let ours = entries.iter().filter(|e| e.is_ours());
    let changes: Vec<FdbChange> =
        ours.map(|e| FdbChange::Remove { index, mac: e.mac, to: e.destination() }).collect();
    match netlink.fdb_apply(&changes) {
        Ok(()) => Ok(changes.len()),
        Err(errors) => Err(errors.first().map_or(String::new(), |(_, e)| e.to_string())),
    }
}
