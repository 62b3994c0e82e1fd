//! The ways to the hubs of a VN. Two names may stand for one underlay address: then it is one hub, and the
//! second name has no way until the first one stands for another address.

use super::contract::settings::HubKey;
use super::contract::way::Path;
use crate::types::Nbma;
use litemap::LiteMap;

/// The ways to hubs, as they were told.
#[derive(Debug, Default)]
pub struct Ways(LiteMap<HubKey, Told>);

#[derive(Debug)]
struct Told {
    path: Path,
    /// Whether no other name was first to stand for the address.
    is_own: bool,
}

impl Ways {
    /// What is known of the way to a hub from now on. The way that it has.
    pub fn tell(&mut self, hub: HubKey, path: Option<Path>) -> Option<Path> {
        self.0.remove(&hub);
        let path = path?;
        let is_own = !self.is_at(path.remote);
        self.0.insert(hub, Told { path, is_own });
        is_own.then_some(path)
    }

    /// A name whose address became free has its way from now on.
    pub fn freed(&mut self) -> Option<(HubKey, Path)> {
        let is_free = |told: &Told| !told.is_own && !self.is_at(told.path.remote);
        let hub = self.0.iter().find(|(_, told)| is_free(told)).map(|(hub, _)| *hub)?;
        let told = self.0.get_mut(&hub)?;
        told.is_own = true;
        Some((hub, told.path))
    }

    /// The way that a hub has.
    pub fn to(&self, hub: HubKey) -> Option<Path> {
        self.0.get(&hub).filter(|told| told.is_own).map(|told| told.path)
    }

    /// Whether a hub is at an underlay address.
    pub fn is_at(&self, nbma: Nbma) -> bool {
        self.0.values().any(|told| told.is_own && told.path.remote == nbma)
    }
}
