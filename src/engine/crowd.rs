//! How many addresses each site has: where a table is full, who has the most gives way.

use super::sites::SiteId;
use std::collections::{BTreeMap, BTreeSet};

/// The sizes of sites, and their order.
#[derive(Debug, Default)]
pub struct Crowd {
    sizes: BTreeMap<SiteId, usize>,
    order: BTreeSet<(usize, SiteId)>,
}

impl Crowd {
    /// How many a site has.
    pub fn of(&self, site: SiteId) -> usize {
        self.sizes.get(&site).copied().unwrap_or(0)
    }

    /// The site that has the most, another one than `but`.
    pub fn largest(&self, but: SiteId) -> Option<SiteId> {
        self.order.iter().rev().map(|(_, site)| *site).find(|site| *site != but)
    }

    /// A site has one more.
    pub fn add(&mut self, site: SiteId) {
        self.set(site, self.of(site) + 1);
    }

    /// It has one less.
    pub fn remove(&mut self, site: SiteId) {
        self.set(site, self.of(site).saturating_sub(1));
    }

    fn set(&mut self, site: SiteId, size: usize) {
        let before = match size {
            0 => self.sizes.remove(&site),
            _ => self.sizes.insert(site, size),
        };
        self.order.remove(&(before.unwrap_or(0), site));
        if size > 0 {
            self.order.insert((size, site));
        }
    }
}
