//! How many addresses each site has: where a table is full, who has the most gives way.

use super::sites::SiteId;
use litemap::LiteMap;

/// The sizes of sites. Which is the largest is looked for when a table is full: no order is kept until then.
#[derive(Debug, Default)]
pub struct Crowd(LiteMap<SiteId, u32>);

impl Crowd {
    /// How many a site has.
    pub fn of(&self, site: SiteId) -> u32 {
        self.0.get(&site).copied().unwrap_or(0)
    }

    /// The site that has the most, another one than `but`.
    pub fn largest(&self, but: SiteId) -> Option<SiteId> {
        let others = self.0.iter().filter(|(site, _)| **site != but);
        others.max_by_key(|(site, size)| (**size, **site)).map(|(site, _)| *site)
    }

    /// A site has one more.
    pub fn add(&mut self, site: SiteId) {
        match self.0.get_mut(&site) {
            Some(size) => *size += 1,
            None => drop(self.0.insert(site, 1)),
        }
    }

    /// It has one less.
    pub fn remove(&mut self, site: SiteId) {
        match self.0.get_mut(&site) {
            Some(size) if *size > 1 => *size -= 1,
            _ => drop(self.0.remove(&site)),
        }
    }
}
