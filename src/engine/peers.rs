//! A hub's registered clients in one VN, and the purges each of them has to confirm.

use super::contract::input::Path;
use super::contract::statistics::ClientStatistics;
use super::limits::{ADDRESSES_PER_PEER, CIES_PER_PURGE, PEER, PURGES_PER_PEER, TokenBucket};
use super::timers::Alarm;
use crate::time::Instant;
use crate::types::{Nbma, Vni, Vtep};
use crate::wire::VpnTag;
use crate::wire::nhrp::ProtocolAddress;
use core::ops::Bound;
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

/// A purge to be confirmed.
#[derive(Clone, Copy, Debug)]
pub struct Withdrawal {
    pub address: ProtocolAddress,
    /// Where it was; `None`: wherever.
    pub old: Option<Vtep>,
    /// When the answer to be forgotten ends by itself.
    pub until: Instant,
}

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
    pub statistics: ClientStatistics,
}

/// What a peer has to be told.
#[derive(Debug, Default)]
pub struct Purges {
    pub waiting: VecDeque<Withdrawal>,
    /// The request under way: its ID, how many of the front of the line it holds, how often it was sent.
    pub sent: Option<(u32, usize, u32)>,
    pub alarm: Alarm,
    /// Whether it was told that the line is full.
    pub full: bool,
}

impl Purges {
    /// Adds to the line; `false` if it is full.
    pub fn push(&mut self, new: Withdrawal) -> bool {
        // What was sent may be confirmed already: it does not stand for what happened after.
        let sent = self.sent.map_or(0, |(_, count, _)| count);
        let same = |w: &&mut Withdrawal| (w.address, w.old) == (new.address, new.old);
        if let Some(waits) = self.waiting.iter_mut().skip(sent).find(same) {
            waits.until = waits.until.max(new.until);
            return true;
        }
        let room = self.waiting.len() < PURGES_PER_PEER;
        if room {
            self.waiting.push_back(new);
        }
        room
    }

    /// How many of the front of the line fit one request: all addresses of a packet are of one protocol.
    pub fn batch(&self) -> usize {
        let Some(first) = self.waiting.front() else { return 0 };
        let protocol = first.address.protocol();
        self.waiting.iter().take(CIES_PER_PURGE).take_while(|w| w.address.protocol() == protocol).count()
    }

    /// Whether a new request could say more than the one under way.
    pub fn can_grow(&self) -> bool {
        self.sent.is_none_or(|(_, count, _)| self.batch() > count)
    }

    /// The request under way is over, confirmed or not.
    pub fn done(&mut self) {
        if let Some((_, count, _)) = self.sent.take() {
            self.waiting.drain(..count);
            self.full = false;
        }
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
            statistics: ClientStatistics::default(),
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
    free: Vec<PeerId>,
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

    /// Those behind `after`, in the order of their names.
    pub fn behind(&self, after: Option<PeerName>) -> impl Iterator<Item = &Peer> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.names.range((after, Bound::Unbounded)).filter_map(|(_, id)| self.get(*id))
    }

    pub fn insert(&mut self, peer: Peer) -> PeerId {
        let name = peer.name();
        let id = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[id] = Some(peer);
        self.names.insert(name, id);
        id
    }

    pub fn remove(&mut self, id: PeerId) -> Option<Peer> {
        let peer = self.slots.get_mut(id)?.take()?;
        self.names.remove(&peer.name());
        self.free.push(id);
        Some(peer)
    }

    /// The peers at an underlay address, whatever their VNI.
    pub fn at(&self, nbma: Nbma) -> impl Iterator<Item = PeerId> + '_ {
        self.names.range((nbma, None)..=(nbma, Some(Vni::MAX))).map(|(_, id)| *id)
    }
}
