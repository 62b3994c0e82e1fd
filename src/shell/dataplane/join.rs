//! How a device becomes a port of a bridge, and what is flooded by it.

use super::alias::{self, Mark};
use crate::engine::Passing;
use crate::shell::netlink::{Error, Floods, Link, LinkChange, Netlink};
use crate::types::VlanId;

/// Makes a device an active port of the bridge. It is in the VN's VLAN before a frame can pass it.
pub(super) fn join(
    netlink: &mut Netlink,
    link: &Link,
    bridge: u32,
    vlan: Option<VlanId>,
    mtu: u32,
) -> Result<(), Error> {
    let change =
        LinkChange { up: Some(true), master: Some(Some(bridge)), mtu: Some(mtu), ..LinkChange::default() };
    if let Some(vlan) = vlan {
        if link.master != Some(bridge) {
            enter_down(netlink, link, LinkChange { up: None, ..change.clone() })?;
        }
        netlink.set_only_vlan(link.index, vlan)?;
    }
    if link.master == Some(bridge) && link.up && link.mtu == mtu {
        return Ok(());
    }
    netlink.set_link(link.index, &change)
}

/// A device becomes a port again. One that is not to pass everything does not before a frame can pass it.
pub(super) fn rejoin(
    netlink: &mut Netlink,
    link: &Link,
    bridge: u32,
    vlan: Option<VlanId>,
    mtu: u32,
) -> Result<(), Error> {
    let Some((_, Mark::Port(_, kept))) = link.alias.as_deref().and_then(alias::parse) else {
        return join(netlink, link, bridge, vlan, mtu);
    };
    let is_new = link.master != Some(bridge);
    if is_new && (kept.is_hubs || kept.passing != Passing::All) {
        enter_down(netlink, link, LinkChange { master: Some(Some(bridge)), ..LinkChange::default() })?;
    }
    if kept.is_hubs && (is_new || link.isolated != Some(true)) {
        netlink.isolate(link.index)?;
    }
    if is_new && kept.passing != Passing::All {
        netlink.pass(link.index, kept.passing)?;
    }
    join(netlink, link, bridge, vlan, mtu)
}

/// What is said of a device that enters a bridge comes before it passes frames: it is off until then.
fn enter_down(netlink: &mut Netlink, link: &Link, change: LinkChange<'_>) -> Result<(), Error> {
    netlink.set_link(link.index, &LinkChange { up: Some(false), ..LinkChange::default() })?;
    netlink.set_link(link.index, &change)
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
