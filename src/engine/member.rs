//! What a server keeps of a client.

use super::contract::statistics::ClientStatistics;
use super::exchange::session::Count;
use super::limits::{ANSWERS, CLIENT, TokenBucket};
use super::timers::Alarm;
use crate::time::Instant;
use crate::types::Vni;
use crate::wire::nhrp::ProtocolAddress;

/// A registered protocol address.
#[derive(Clone, Copy, Debug)]
pub struct Registered {
    pub address: ProtocolAddress,
    /// Whether nobody else may register it (RFC 2332 section 5.2.3, flag U).
    pub unique: bool,
    pub mtu: u16,
    pub preference: u8,
    /// For how many seconds, from its newest registration on; and so until when.
    pub granted: u16,
    pub until: Instant,
}

/// The newest request of somebody.
#[derive(Clone, Copy, Debug)]
pub struct Newest {
    pub id: u32,
    pub at: Instant,
}

/// A client's port.
#[derive(Debug)]
pub struct MemberPort {
    /// Its VNI, which the client uses towards the hub.
    pub uplink: Vni,
    /// Whether the kernel has it.
    pub is_up: bool,
}

/// A client.
#[derive(Debug)]
pub struct Member {
    /// The protocol address it introduced itself with; unknown for a port found at the start.
    pub address: Option<ProtocolAddress>,
    /// Its newest request.
    pub newest: Option<Newest>,
    /// Its newest Purge Request in this session.
    pub newest_purge: Option<u32>,
    /// When its session began, if it has one.
    pub begun: Option<Count>,
    /// At most [`super::limits::ADDRESSES_PER_CLIENT`].
    pub registered: Vec<Registered>,
    /// A port found at the start waits so long for its spoke to register again.
    pub grace: Option<Instant>,
    /// `None`: the client has no VNI, or has not registered a MAC.
    pub port: Option<MemberPort>,
    pub alarm: Alarm,
    pub bucket: TokenBucket,
    /// Of its probes that are answered.
    pub answers: TokenBucket,
    /// It is of another maker, and did not confirm purges.
    pub ignores_purges: bool,
    /// It is another hub of the VN.
    pub is_hub: bool,
    pub statistics: ClientStatistics,
}

impl Default for Member {
    fn default() -> Member {
        Member {
            address: None,
            newest: None,
            newest_purge: None,
            begun: None,
            registered: Vec::new(),
            grace: None,
            port: None,
            alarm: Alarm::default(),
            bucket: TokenBucket::new(CLIENT),
            answers: TokenBucket::new(ANSWERS),
            ignores_purges: false,
            is_hub: false,
            statistics: ClientStatistics::default(),
        }
    }
}

impl Member {
    /// Whether it counts as a client: it registered, or did so with an earlier run.
    pub fn is_known(&self) -> bool {
        !self.registered.is_empty() || self.grace.is_some()
    }

    /// Whether all that is known of it is its port, which was found at the start.
    pub fn is_found(&self) -> bool {
        self.registered.is_empty() && self.grace.is_some()
    }

    /// When its newest request came; never, for a port found at the start.
    pub fn heard(&self) -> Option<Instant> {
        self.newest.map(|newest| newest.at)
    }

    /// A request of this address is acted on, and not a late one.
    pub fn note(&mut self, now: Instant, source: ProtocolAddress, id: u32) {
        self.address = Some(source);
        self.newest = Some(Newest { id, at: now });
    }

    /// The VNI it uses towards the hub.
    pub fn uplink(&self) -> Option<Vni> {
        self.port.as_ref().map(|port| port.uplink)
    }

    /// When the last of what it registered ends.
    pub fn until(&self) -> Option<Instant> {
        self.registered.iter().map(|r| r.until).chain(self.grace).max()
    }

    /// When the first of what it registered ends.
    pub fn next_end(&self) -> Option<Instant> {
        self.registered.iter().map(|r| r.until).chain(self.grace).min()
    }

    pub fn registered(&self, address: ProtocolAddress) -> Option<&Registered> {
        self.registered.iter().find(|r| r.address == address)
    }
}
