//! A model of the kernel's data plane in one VN of one node: the bridge, and what hangs at it.

use dmevpn::engine::{Passing, Place, Port};
use dmevpn::time::Instant;
use dmevpn::types::{Mac, Nbma, Vni, Vtep};
use std::collections::BTreeMap;
use std::time::Duration;

/// A Linux bridge forgets a MAC it did not hear for so long.
pub const AGEING: Duration = Duration::from_secs(300);

/// Tunnels on the way of a frame that is no loop: to the hub, to another hub, to a spoke. Where hubs are connected by cables
/// there are as many.
pub const HOPS: usize = 3;

/// An Ethernet frame; `dst` is `None` for broadcast.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    pub src: Mac,
    pub dst: Option<Mac>,
    /// Which one it is, if its copies are counted.
    pub id: Option<u32>,
    /// The nodes that sent this copy, and how many those are.
    pub trail: [u16; HOPS],
    pub hops: usize,
}

impl Frame {
    pub fn new(src: Mac, dst: Option<Mac>, id: Option<u32>) -> Frame {
        Frame { src, dst, id, trail: [0; HOPS], hops: 0 }
    }

    /// As a node sends it by a tunnel; `None`: it has gone further than any frame may.
    pub fn sent_by(self, node: usize) -> Option<Frame> {
        let mut sent = Frame { hops: self.hops + 1, ..self };
        *sent.trail.get_mut(self.hops)? = node as u16;
        Some(sent)
    }
}

/// A bridge's FDB.
#[derive(Debug, Default)]
pub struct Fdb(BTreeMap<Mac, (Place, Instant)>);

impl Fdb {
    /// Hears `mac` at `place`; `true` if that is news, which is when the kernel tells.
    pub fn learn(&mut self, now: Instant, mac: Mac, place: Place) -> bool {
        self.0.insert(mac, (place, now)).is_none_or(|(before, _)| before != place)
    }

    pub fn place(&self, mac: Mac) -> Option<Place> {
        self.0.get(&mac).map(|(place, _)| *place)
    }

    /// Forgets; `true` if there was something to forget.
    pub fn forget(&mut self, mac: Mac) -> bool {
        self.0.remove(&mac).is_some()
    }

    pub fn iter(&self) -> impl Iterator<Item = (Mac, Place)> + '_ {
        self.0.iter().map(|(mac, (place, _))| (*mac, *place))
    }

    /// Takes out what was not heard for [`AGEING`].
    pub fn age(&mut self, now: Instant) -> Vec<Mac> {
        let old: Vec<Mac> = self
            .0
            .iter()
            .filter(|(_, (_, heard))| now.since(*heard) >= AGEING)
            .map(|(mac, _)| *mac)
            .collect();
        old.iter().for_each(|mac| {
            self.0.remove(mac);
        });
        old
    }

    /// A port is another spoke's, or one that has another name now: what was learned there stays.
    pub fn rename(&mut self, was: Place, to: Place) {
        self.0.values_mut().filter(|(place, _)| *place == was).for_each(|(place, _)| *place = to);
    }

    /// Takes out what is behind a port that goes.
    pub fn flush(&mut self, port: Place) -> Vec<Mac> {
        let there: Vec<Mac> = self.iter().filter(|(_, place)| *place == port).map(|(mac, _)| mac).collect();
        there.iter().for_each(|mac| {
            self.0.remove(mac);
        });
        there
    }
}

/// An entry of a spoke's VXLAN FDB.
#[derive(Clone, Copy, Debug)]
pub struct Shortcut {
    pub to: Vtep,
    pub written: Instant,
    pub used: Instant,
}

/// What a node has in a VN.
#[derive(Debug)]
pub struct Plane {
    /// The bridge's own MAC.
    pub mac: Mac,
    /// Whether the devices are there.
    pub is_up: bool,
    /// Whether the daemon that runs was told all there is.
    pub is_listed: bool,
    /// A spoke's VNI; `None` at a hub.
    pub vni: Option<Vni>,
    /// Whether the VXLAN device reports misses, and has no default entry for unicast.
    pub l2miss: bool,
    pub fdb: Fdb,
    pub uplink: Option<Vtep>,
    pub uplink_used: Instant,
    pub shortcuts: BTreeMap<Mac, Shortcut>,
    /// A hub's ports, by the spoke's VTEP.
    pub ports: BTreeMap<Vtep, Port>,
}

/// Where a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To the stations at this node.
    Local,
    /// To another node.
    Tunnel(Vtep),
    /// Nowhere, and the VXLAN device says that it misses the MAC.
    Missed(Mac),
}

impl Plane {
    pub fn new(mac: Mac, vni: Option<Vni>, l2miss: bool) -> Plane {
        Plane {
            mac,
            is_up: true,
            is_listed: false,
            vni,
            l2miss,
            fdb: Fdb::default(),
            uplink: None,
            uplink_used: Instant::default(),
            shortcuts: BTreeMap::new(),
            ports: BTreeMap::new(),
        }
    }

    /// A hub's port of this VNI; of those that share it, the one for what comes from there.
    pub fn port(&self, uplink: Vni, from: Nbma) -> Option<Vtep> {
        let of_it = || self.ports.iter().filter(|(_, port)| port.uplink == uplink).map(|(spoke, _)| *spoke);
        of_it().find(|spoke| spoke.nbma == from).or_else(|| of_it().next().filter(|_| of_it().count() == 1))
    }

    /// Whether the bridge learns who sends there.
    pub fn learns(&self, place: Place) -> bool {
        let port = |at: Vtep| self.ports.get(&at);
        !matches!(place, Place::At(at) if port(at).is_some_and(|port| port.passing == Passing::Nothing))
    }

    /// Where the bridge sends a frame that came in at `from`; like a bridge, never back there.
    pub fn forward(&mut self, now: Instant, from: Place, frame: Frame) -> Vec<Way> {
        if !self.learns(from) {
            return Vec::new();
        }
        let known = frame.dst.and_then(|dst| self.fdb.place(dst));
        let towards = |place: Place| place != from && known.is_none_or(|known| known == place);
        let mut ways = Vec::new();
        if from == Place::Local || towards(Place::Local) {
            // Stations at one site share its Ethernet.
            ways.push(Way::Local);
        }
        match self.vni {
            Some(_) if towards(Place::Tunnel) => ways.extend(self.by_tunnel(now, frame)),
            Some(_) => {}
            None => {
                // What comes by an isolated port goes to none of them.
                let is_isolated = |at: &Vtep| self.ports.get(at).is_some_and(|port| port.is_hubs);
                let comes_from_hub = matches!(from, Place::At(at) if is_isolated(&at));
                let passing = |at: &Vtep| self.ports.get(at).map_or(Passing::All, |port| port.passing);
                let takes = |p: &&Vtep| known.is_some() || passing(p) == Passing::All;
                let all = self.ports.keys().filter(|p| towards(Place::At(**p))).filter(takes);
                ways.extend(all.filter(|p| !(comes_from_hub && is_isolated(p))).map(|p| Way::Tunnel(*p)));
            }
        }
        ways
    }

    /// What a spoke's VXLAN device does with a frame.
    fn by_tunnel(&mut self, now: Instant, frame: Frame) -> Option<Way> {
        if let Some(dst) = frame.dst {
            if let Some(shortcut) = self.shortcuts.get_mut(&dst) {
                shortcut.used = now;
                return Some(Way::Tunnel(shortcut.to));
            }
            if self.l2miss {
                return Some(Way::Missed(dst));
            }
        }
        self.uplink_used = now;
        self.uplink.map(Way::Tunnel)
    }
}
