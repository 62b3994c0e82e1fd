//! How a device becomes a port of a bridge, and what is flooded by it.

use super::alias::{self, Mark};
use crate::engine::Passing;
use crate::shell::netlink::{Error, Floods, Link, LinkChange, Netlink};
use crate::types::VlanId;

/// Makes a device an active port of the bridge. It is in the VN's VLAN, and one that is not to pass everything does not, before
/// a frame can pass it.
pub(super) fn join(
    netlink: &mut Netlink,
    link: &Link,
    bridge: u32,
    vlan: Option<VlanId>,
    mtu: u32,
) -> Result<(), Error> {
    let (is_hubs, passing) = match link.alias.as_deref().and_then(alias::parse) {
        Some((_, Mark::Port(_, kept))) => (kept.is_hubs, kept.passing),
        _ => (false, Passing::All),
    };
    let is_new = link.master != Some(bridge);
    let change = LinkChange { master: Some(Some(bridge)), mtu: Some(mtu), ..LinkChange::default() };
    if is_new && (vlan.is_some() || is_hubs || passing != Passing::All) {
        netlink.set_link(link.index, &LinkChange { up: Some(false), ..LinkChange::default() })?;
        netlink.set_link(link.index, &change)?;
    }
    if is_hubs && (is_new || link.isolated != Some(true)) {
        netlink.isolate(link.index)?;
    }
    if is_new && passing != Passing::All {
        netlink.pass(link.index, passing)?;
    }
    if let Some(vlan) = vlan {
        netlink.set_only_vlan(link.index, vlan)?;
    }
    if !is_new && link.up && link.mtu == mtu {
        return Ok(());
    }
    netlink.set_link(link.index, &LinkChange { up: Some(true), ..change })
}

/// Has a port flood this. What it flooded before; `None`: it is no port.
pub(super) fn flood(netlink: &mut Netlink, index: u32, floods: Floods) -> Option<Floods> {
    let port = netlink.link_by_index(index).inspect_err(|e| log::warn!("{e}")).ok()?;
    let before = port?.floods?;
    if before != floods
        && let Err(e) = netlink.set_floods(index, floods)
        && !e.not_found()
    {
        log::warn!("{e}");
    }
    Some(before)
}
