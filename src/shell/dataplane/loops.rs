//! Loops between sites: which ports of bridges flood nothing, and by which ports loop frames come.

use super::alias::{self, Mark};
use super::hub::NewPort;
use super::vn::{Devices, Part, Ported, Vn};
use super::worker::Job;
use super::{Dataplane, Inputs};
use crate::engine::{Input, News, Passing, Plane, VnKey};
use crate::shell::netlink::{Floods, Link};
use crate::types::{Label, Mac, Vtep};
use litemap::LiteMap;

/// A loop may bring thousands of frames a second: by so many devices one is looked at, at a time.
const DEVICES: usize = 16;

/// What is known of loops.
#[derive(Debug, Default)]
pub(super) struct Loops {
    /// The ports that flood nothing now: of which VN, and what they flooded before, once that is known.
    withheld: LiteMap<u32, (VnKey, Option<Floods>)>,
    /// The devices that the kernel is asked about.
    asked: LiteMap<u32, ()>,
}

impl Loops {
    /// The port floods nothing any more; so it was before. What flooded nothing then, an earlier run of the daemon withheld.
    pub fn is_withheld(&mut self, index: u32, before: Floods) {
        if let Some((_, known)) = self.withheld.get_mut(&index) {
            known.get_or_insert(if before == Floods::NOTHING { Floods::ALL } else { before });
        }
    }

    /// The device is gone.
    pub fn forget(&mut self, index: u32) {
        self.withheld.remove(&index);
    }
}

impl Dataplane {
    /// The index of a VN's tunnel, a spoke's or a hub's to this spoke, and the MAC that loop frames come from: one that is
    /// the bridge's own, so that none learns it anywhere else.
    pub fn tunnel(&self, key: VnKey, tunnel: Option<Vtep>) -> Option<(u32, Mac)> {
        let vn = self.vns.get(&key)?;
        let source = if tunnel.is_some() { vn.standing.bridge_mac } else { vn.standing.tunnel_mac };
        Some((vn.index_of(tunnel)?, source?))
    }

    /// By the device came a loop frame. What by a local port of a VN's bridge came is told.
    pub fn loop_frame(&mut self, index: u32, nonce: u64) {
        let is_bridge = self.vns.values().any(|vn| vn.standing.bridge == Some(index));
        if is_bridge || self.loops.asked.len() >= DEVICES || self.loops.asked.contains_key(&index) {
            return;
        }
        self.is_stirred = true;
        self.loops.asked.insert(index, ());
        self.jobs.push_front(Job::LoopFrame(index, nonce));
    }

    /// It came by this device.
    pub(super) fn loop_frame_by(&mut self, index: u32, nonce: u64, link: Option<&Link>, inputs: &mut Inputs) {
        self.loops.asked.remove(&index);
        let Some(link) = link.filter(|link| link.master.is_some()) else { return };
        // Another VN's tunnel is a port like any other.
        let is_own = |vn: &&Vn| self.parts.get(&index).is_some_and(|(owner, _)| *owner == vn.key);
        let port = Label::new(&link.name);
        let vns = self.vns.values().filter(|vn| vn.standing.bridge == link.master && !is_own(vn));
        inputs.extend(vns.map(|vn| Input::News { vn: vn.key, news: News::Looped { nonce, port } }));
    }

    /// Which tunnels of the VN flood, and which do not.
    pub(super) fn floods(&mut self, key: VnKey, plane: Option<&Plane>) {
        let Some(vn) = self.vns.get(&key) else { return };
        let wanted: Vec<u32> =
            plane.into_iter().flat_map(Plane::withheld).filter_map(|tunnel| vn.index_of(tunnel)).collect();
        self.all_flood_but(key, &wanted, plane);
        for index in wanted {
            if !self.loops.withheld.contains_key(&index) {
                self.loops.withheld.insert(index, (key, None));
                self.jobs.push_front(Job::Floods(index, None));
            }
        }
    }

    /// The VN is no more, or has other devices: those of the user's are as they were before.
    pub(super) fn all_flood(&mut self, key: VnKey) {
        self.all_flood_but(key, &[], None);
    }

    fn all_flood_but(&mut self, key: VnKey, wanted: &[u32], plane: Option<&Plane>) {
        // One that is being shut is looked at again when it is, or is not any more.
        let is_being_shut = |index| match self.parts.get(&index) {
            Some((_, Part::Port(spoke))) => {
                let want = plane.and_then(|plane| plane.port(*spoke));
                want.is_some_and(|port| port.passing != Passing::All) && !self.is_shut(index)
            }
            _ => false,
        };
        let withheld = self.loops.withheld.iter().filter(|(index, (owner, _))| {
            *owner == key && !wanted.contains(index) && !is_being_shut(**index)
        });
        let mut over: Vec<(u32, Floods)> =
            withheld.map(|(index, (_, before))| (*index, before.unwrap_or(Floods::ALL))).collect();
        for (index, _) in &over {
            self.loops.withheld.remove(index);
        }
        over.retain(|(index, _)| !self.is_shut(*index));
        self.jobs.extend(over.into_iter().map(|(index, before)| Job::Floods(index, Some(before))));
    }

    /// Whether a port of a hub's is to flood nothing, loop or not: its spoke is at another hub, or may be.
    fn is_shut(&self, index: u32) -> bool {
        let Some((key, Part::Port(spoke))) = self.parts.get(&index) else { return false };
        let Some(Vn { devices: Devices::Ports(ports), .. }) = self.vns.get(key) else { return false };
        ports.get(spoke).is_some_and(|ported| ported.port.passing != Passing::All)
    }

    /// A port that became one anew floods all; so does one that passes everything from now on.
    pub(super) fn floods_again(&mut self, link: &Link) {
        let is_other = link.floods.is_some_and(|floods| floods != Floods::NOTHING);
        if is_other && self.loops.withheld.contains_key(&link.index) {
            self.jobs.push_back(Job::Floods(link.index, None));
        }
    }

    /// A port that is to flood nothing, loop or not, floods all once somebody puts it into its bridge anew.
    pub(super) fn shut_again(&mut self, link: &Link) {
        let floods = link.floods.is_some_and(|floods| floods != Floods::NOTHING);
        if !floods || !self.is_shut(link.index) {
            return;
        }
        let Some((key, Part::Port(spoke))) = self.parts.get(&link.index).copied() else { return };
        let Some(vn) = self.vns.get_mut(&key) else { return };
        let whose = vn.whose();
        let Devices::Ports(ports) = &mut vn.devices else { return };
        // One that is being changed may be on its way to be open.
        let is_still = |ported: &&mut Ported| ported.index.is_some() && !ported.is_moving;
        let Some(ported) = ports.get_mut(&spoke).filter(is_still) else { return };
        ported.is_moving = true;
        self.jobs.push_back(Job::Pass(whose, link.index, NewPort { spoke, port: ported.port }));
    }

    /// A device floods nothing if an earlier run of the daemon left it so: nobody has that of his only tunnel.
    pub(super) fn floods_still_nothing(&mut self, link: &Link) {
        let is_ours = || match link.alias.as_deref().and_then(alias::parse) {
            Some((_, Mark::Port(_, kept))) => kept.passing == Passing::All && !self.is_shut(link.index),
            mark => mark.is_some(),
        };
        let is_tunnel = || self.vns.values().any(|vn| vn.is_tunnel(&link.name));
        if link.floods == Some(Floods::NOTHING)
            && !self.loops.withheld.contains_key(&link.index)
            && (is_ours() || is_tunnel())
        {
            self.jobs.push_back(Job::Floods(link.index, Some(Floods::ALL)));
        }
    }
}

impl Vn {
    /// The index of a tunnel: a spoke's, or a hub's to this spoke.
    fn index_of(&self, tunnel: Option<Vtep>) -> Option<u32> {
        match (tunnel, &self.devices) {
            (None, Devices::Spoke) => self.standing.tunnel,
            (Some(spoke), Devices::Ports(ports)) => ports.get(&spoke)?.index,
            _ => None,
        }
    }
}
