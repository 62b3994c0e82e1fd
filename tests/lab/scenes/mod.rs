//! The points that are proven, a function each. Each builds on a network that is up, or brings it up.

mod contact;
mod ends;
mod frames;
mod growth;
mod guard;
mod hubs;
mod loops;
mod moves;
mod paths;
mod reboot;
mod restart;
mod separation;
mod several;
mod silence;

pub use contact::first_contact;
pub use ends::ends;
pub use frames::every_frame;
pub use growth::{adding_a_spoke, many_spokes};
pub use guard::{frame, only_spokes_speak, uplink_of};
pub use hubs::{across_hubs, cut_off, drained, hub_lost, hubs_cut};
pub use loops::{cable, flooded, is_slow};
pub use moves::a_vm_moves;
pub use paths::blocked_path;
pub use reboot::hub_reboot;
pub use restart::hub_restart;
pub use separation::separate_networks;
pub use several::{Broadcasts, settle, several_hubs};
pub use silence::silent_and_unknown;

use super::nodes::{Lab, Plan, bridge_mac, other_vn, test_vn};
use super::{MacBytes, Res, mac};
use std::net::{IpAddr, Ipv4Addr};

/// vm1's MAC.
pub const VM1: MacBytes = mac(0x0a);
/// The MAC of spoke2's br-test.
pub const BRIDGE2: MacBytes = bridge_mac(2, 0);
/// vm3's MAC.
pub const VM3: MacBytes = mac(0x0c);

/// 11.0.0.n: a host inside.
pub const fn inside(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(11, 0, 0, n)
}

/// An IPv4 address as any address.
pub fn ip(address: Ipv4Addr) -> IpAddr {
    address.into()
}

/// The network of the picture, and some more of it; no daemon is started yet.
///
/// ```text
/// vm1 11.0.0.10 -- spoke1 (test: VNI 100, other: 101) --+
///     11.0.0.11 on spoke2 (test: VNI 101, other: 100) --+-- hub (test, other)
/// vm3 11.0.0.12 -- spoke3 (test: VNI 100) --------------+
/// ```
pub fn picture(plan: &Plan) -> Res<Lab> {
    let mut lab = Lab::new(plan.clone())?;
    lab.add_hub(vec![test_vn(0), other_vn(0)])?;
    lab.add_spoke(1, vec![test_vn(100), other_vn(101)])?;
    lab.add_spoke(2, vec![test_vn(101), other_vn(100)])?;
    lab.add_spoke(3, vec![test_vn(100)])?;
    add_hosts(&mut lab)?;
    Ok(lab)
}

/// The same with one VN and bindings that hold for 6 s only.
pub fn short_lived(plan: &Plan) -> Res<Lab> {
    let mut lab = Lab::new(Plan { holding_time: 6, negative_time: 3, ..plan.clone() })?;
    lab.add_hub(vec![test_vn(0)])?;
    lab.add_spoke(1, vec![test_vn(100)])?;
    lab.add_spoke(2, vec![test_vn(101)])?;
    lab.add_spoke(3, vec![test_vn(100)])?;
    add_hosts(&mut lab)?;
    Ok(lab)
}

fn add_hosts(lab: &mut Lab) -> Res {
    lab.node("spoke2").ns.ip("addr add 11.0.0.11/24 dev br-test")?;
    lab.add_host("vm1", "spoke1", "br-test", VM1, inside(10))?;
    lab.add_host("vm3", "spoke3", "br-test", VM3, inside(12))
}
