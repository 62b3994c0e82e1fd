//! How a device becomes a port of a bridge.

use crate::shell::netlink::{Error, Link, LinkChange, Netlink};
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
            let off = LinkChange { up: Some(false), ..LinkChange::default() };
            netlink.set_link(link.index, &off)?;
            netlink.set_link(link.index, &LinkChange { up: None, ..change.clone() })?;
        }
        netlink.set_only_vlan(link.index, vlan)?;
    }
    if link.master == Some(bridge) && link.up && link.mtu == mtu {
        return Ok(());
    }
    netlink.set_link(link.index, &change)
}
