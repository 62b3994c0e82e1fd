//! A hub's registered clients in one VN, and the purges each of them has to confirm.

use super::input::Path;
use super::limits::{ADDRESSES_PER_PEER, PEER, PURGES_PER_PEER, TokenBucket};
use super::timers::Alarm;
use crate::time::Instant;
use crate::types::{Nbma, Vni, Vtep};
use crate::wire::VpnTag;
use crate::wire::nhrp::ProtocolAddress;
use std::collections::{BTreeMap, VecDeque};

/// A peer's place in the table.
pub type PeerId = usize;

/// What tells peers apart: underlay address and VNI. A client that registers IP addresses only has no VNI.
pub type PeerName = (Nbma, Option<Vni>);

/// A registered protocol address.
#[derive(Clone, Copy, Debug)]
pub struct Registered {
    pub address: ProtocolAddress,
    /// Whether nobody else may register it (RFC 2332 section 5.2.3, flag U).
    pub unique: bool,
    pub mtu: u16,
    pub until: Instant,
}

/// Where the making of a peer's port stands.
#[derive(Debug)]
pub enum Port {
    /// The client has no VNI, or has not registered a MAC.
    None,
    /// The kernel is asked for it; the request is answered when it is there.
    Asked {
        uplink: Vni,
        request: Vec<u8>,
    },
    Up {
        uplink: Vni,
    },
}

/// A purge to be confirmed: the address, and where it was (`None`: wherever).
pub type Withdrawal = (ProtocolAddress, Option<Vtep>);

/// A registered client.
#[derive(Debug)]
pub struct Peer {
    pub nbma: Nbma,
    pub vni: Option<Vni>,
    pub path: Path,
    pub tag: VpnTag,
    /// The protocol address it introduced itself with; unknown for a port found at the start.
    pub address: Option<ProtocolAddress>,
    pub registered: heapless::Vec<Registered, ADDRESSES_PER_PEER>,
    /// A port found at the start waits so long for its spoke to register again.
    pub grace: Option<Instant>,
    pub port: Port,
    pub alarm: Alarm,
    pub bucket: TokenBucket,
    pub purges: Purges,
}

/// What a peer has to be told.
#[derive(Debug, Default)]
pub struct Purges {
    pub waiting: VecDeque<Withdrawal>,
    /// The request under way: its ID, how many of the front of the line it holds, how often it was sent.
    pub sent: Option<(u32, usize, u32)>,
    pub alarm: Alarm,
}

impl Purges {
    /// Adds to the line; `false` if it is full.
    pub fn push(&mut self, withdrawal: Withdrawal) -> bool {
        let room = self.waiting.len() < PURGES_PER_PEER;
        if room && !self.waiting.contains(&withdrawal) {
            self.waiting.push_back(withdrawal);
        }
        room
    }
}

impl Peer {
    pub fn new(name: PeerName, path: Path, tag: VpnTag) -> Peer {
        Peer {
            nbma: name.0,
            vni: name.1,
            path,
            tag,
            address: None,
            registered: heapless::Vec::new(),
            grace: None,
            port: Port::None,
            alarm: Alarm::default(),
            bucket: TokenBucket::new(PEER),
            purges: Purges::default(),
        }
    }

    pub fn name(&self) -> PeerName {
        (self.nbma, self.vni)
    }

    /// Where frames for this peer go; `None` without a VNI.
    pub fn vtep(&self) -> Option<Vtep> {
        Some(Vtep { nbma: self.nbma, vni: self.vni? })
    }

    /// The VNI the peer uses towards the hub.
    pub fn uplink(&self) -> Option<Vni> {
        match self.port {
            Port::None => None,
            Port::Asked { uplink, .. } | Port::Up { uplink } => Some(uplink),
        }
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

/// All peers of a hub in one VN.
#[derive(Debug, Default)]
pub struct Peers {
    slots: Vec<Option<Peer>>,
    names: BTreeMap<PeerName, PeerId>,
}

impl Peers {
    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn find(&self, name: PeerName) -> Option<PeerId> {
        self.names.get(&name).copied()
    }

    pub fn get(&self, id: PeerId) -> Option<&Peer> {
        self.slots.get(id)?.as_ref()
    }

    pub fn get_mut(&mut self, id: PeerId) -> Option<&mut Peer> {
        self.slots.get_mut(id)?.as_mut()
    }

    /// Peers in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (PeerId, &Peer)> {
        self.names.values().filter_map(|&id| Some((id, self.get(id)?)))
    }

    pub fn insert(&mut self, peer: Peer) -> PeerId {
        let name = peer.name();
        let id = match self.slots.iter().position(Option::is_none) {
            Some(free) => free,
            None => {
                self.slots.push(None);
                self.slots.len() - 1
            }
        };
        self.slots[id] = Some(peer);
        self.names.insert(name, id);
        id
    }

    pub fn remove(&mut self, id: PeerId) -> Option<Peer> {
        let peer = self.slots.get_mut(id)?.take()?;
        self.names.remove(&peer.name());
        Some(peer)
    }

    /// The peers at an underlay address, whatever their VNI.
    pub fn at(&self, nbma: Nbma) -> impl Iterator<Item = PeerId> + '_ {
        self.names.range((nbma, None)..=(nbma, Some(Vni::MAX))).map(|(_, id)| *id)
    }
}
