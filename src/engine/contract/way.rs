//! By what way a packet comes or goes.

use crate::types::Nbma;
use crate::wire::VpnTag;

/// The two ends of an underlay path, seen from this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// This node's address.
    pub local: Nbma,
    /// The other node's address.
    pub remote: Nbma,
}

/// The way of an NHRP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Via {
    /// Between which addresses.
    pub path: Path,
    /// How the encapsulation names the VN.
    pub tag: VpnTag,
}
