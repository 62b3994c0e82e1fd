//! Why something is as it is: what is told as it happens, and reported as it stands, gives the same reasons.

use crate::types::{Mac, Nbma, Vtep};

/// Two routers of one MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rivals {
    /// The MAC.
    pub mac: Mac,
    /// One of them: the one that has it registered, if it is a hub that says so, and otherwise this router itself.
    pub first: Vtep,
    /// The other one, if it is known where that is.
    pub second: Option<Vtep>,
}

/// Why something is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A CIE code (RFC 2332 section 5.2.0.1): 4, 5, 12, 13, 14.
    Nak(u8),
    /// An Error Indication's code (RFC 2332 section 5.2.7, RFC 2735 section 3.4).
    Error(u16),
    /// NAK 4, since a router on the way translates the client's address (NAT): no VXLAN gets to the one it names.
    Translated {
        /// Where its packets come from.
        comes_from: Nbma,
        /// The address it has.
        names: Nbma,
    },
    /// NAK 4, since the client's address is not one of those that may register.
    NotAllowed(Nbma),
    /// NAK 4, since the spoke that is registered at this address has another key.
    OtherKey(Nbma),
    /// NAK 4, since the registration is in no session.
    Untagged,
    /// The hub accepts the registration, but begins no session.
    NoSession,
}

/// Why a spoke is registered at this one of its hubs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyHub {
    /// It prefers it.
    Preferred,
    /// There was no way to the one before.
    NoWay,
    /// The one before did not answer.
    Silent,
    /// The one before refused it.
    Refused,
    /// Frames did not get to the one before and back.
    PathDown,
    /// The one before sends its spokes away.
    Drained,
    /// The hubs are cut off from each other, and all spokes meet at the one with the lowest address.
    Cut,
}

impl WhyHub {
    /// Whether it could not stay at the one before.
    pub const fn is_forced(self) -> bool {
        match self {
            WhyHub::NoWay | WhyHub::Silent | WhyHub::Refused | WhyHub::PathDown => true,
            WhyHub::Preferred | WhyHub::Drained | WhyHub::Cut => false,
        }
    }
}

/// Why something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its holding time was over.
    Expired,
    /// Its holding time was over and nothing had used it.
    Unused,
    /// The peer withdrew it (Purge).
    Purged,
    /// The MAC is at a local port now.
    Local,
    /// The hub says that it does not exist any more.
    Denied,
    /// An operator asked for it.
    Flushed,
    /// The VN or the daemon ends, or its devices went away.
    Stopped,
    /// Its router registered with another VNI.
    Replaced,
    /// An operator removed it.
    Removed,
    /// Its address may not register any more.
    NotAllowed,
    /// Its key is not in force any more, or it has none where one is needed.
    NoKey,
    /// There may be fewer now.
    Surplus,
    /// Its router registered from another underlay address.
    Moved,
    /// Another site registered its address, and it was not there.
    Taken,
    /// It made room for another one.
    Crowded,
    /// Nothing gets there straight.
    NoPath,
    /// It was at the place of a hub that was left.
    HubLeft,
}

/// A bounded table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// Remote MACs of a spoke, or MACs of a hub (`max_macs`).
    Macs,
    /// Registered spokes of a hub (`max_spokes`).
    Spokes,
    /// Purges that wait for their reply.
    Purges,
}
