//! The names of hubs, looked up beside the daemon's thread: a resolver may take its time.

use crate::engine::HubKey;
use crate::shell::beside::beside;
use crate::shell::queue::Queue;
use crate::shell::words::InWords;
use crate::time::Instant;
use crate::types::Nbma;
use litemap::LiteMap;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

/// A name that cannot be looked up is tried again after this, then after twice as long each time.
const FIRST: Duration = Duration::from_secs(2);
const MOST: Duration = Duration::from_secs(64);
/// Not sooner than that, whatever gives hope meanwhile.
const PAUSE: Duration = Duration::from_secs(1);

/// What was found of a hub: its addresses in the order of preference, at least one; or in words why there are none.
#[derive(Debug)]
pub struct Found {
    /// The hub.
    pub hub: HubKey,
    /// Its name when it was asked for.
    pub name: String,
    /// What was found.
    pub addresses: Result<Vec<Nbma>, String>,
}

/// The names that are being looked up.
#[derive(Debug)]
pub struct LookUps {
    waker: Waker,
    told: Arc<Queue<Found>>,
    under_way: LiteMap<HubKey, LookUp>,
}

#[derive(Debug)]
struct LookUp {
    name: String,
    /// When it is tried again; nothing while a thread does so.
    again: Option<Instant>,
    /// When it failed last.
    failed: Instant,
    delay: Duration,
}

impl LookUps {
    /// None yet. `waker` is called when [`LookUps::found`] has something.
    pub fn new(waker: Waker) -> LookUps {
        LookUps { waker, told: Queue::new(usize::MAX), under_way: LiteMap::new() }
    }

    /// Looks the name up, again and again until it is found. Where that goes on already nothing is begun.
    pub fn look_up(&mut self, now: Instant, hub: HubKey, name: &str) {
        if self.under_way.get(&hub).is_none_or(|l| l.name != name) {
            let new = LookUp { name: name.to_owned(), again: None, failed: now, delay: FIRST };
            self.under_way.insert(hub, new);
            self.ask(hub, name.to_owned());
        }
    }

    /// Something changed that may help those that could not be looked up.
    pub fn hurry(&mut self, now: Instant) {
        for (_, l) in self.under_way.iter_mut() {
            l.delay = PAUSE;
            l.again = l.again.map(|at| at.min((l.failed + PAUSE).max(now)));
        }
    }

    /// Asks again where that is due.
    pub fn tick(&mut self, now: Instant) {
        let mut again = Vec::new();
        for (hub, l) in self.under_way.iter_mut().filter(|(_, l)| l.again.is_some_and(|at| at <= now)) {
            l.again = None;
            again.push((*hub, l.name.clone()));
        }
        again.into_iter().for_each(|(hub, name)| self.ask(hub, name));
    }

    /// When [`LookUps::tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.under_way.values().filter_map(|l| l.again).min()
    }

    /// What was found meanwhile.
    pub fn found(&mut self, now: Instant) -> Option<Found> {
        loop {
            let found = self.told.try_take().ok()?;
            // The hub may have got another name.
            let Some(l) = self.under_way.get_mut(&found.hub).filter(|l| l.name == found.name) else {
                continue;
            };
            if found.addresses.is_ok() {
                self.under_way.remove(&found.hub);
            } else {
                l.again = Some(now + l.delay);
                l.failed = now;
                l.delay = (l.delay * 2).min(MOST);
            }
            return Some(found);
        }
    }

    fn ask(&self, hub: HubKey, name: String) {
        let (tell, waker, asked) = (Arc::clone(&self.told), self.waker.clone(), name.clone());
        let ask = move || {
            let addresses = addresses_of(&asked);
            tell.put(Found { hub, name: asked, addresses });
            waker.wake();
        };
        if let Err(e) = beside("name", ask) {
            self.told.put(Found { hub, name, addresses: Err(InWords(&e).to_string()) });
            self.waker.wake_by_ref();
        }
    }
}

/// The addresses of a name, in the order of preference.
pub fn addresses_of(name: &str) -> Result<Vec<Nbma>, String> {
    let found: Vec<Nbma> = match (name, 0).to_socket_addrs() {
        Ok(found) => found.filter_map(|a| Nbma::new(a.ip())).collect(),
        // The standard library's own words in front say what is known.
        Err(e) => {
            let words = e.to_string();
            return Err(words.trim_start_matches("failed to lookup address information: ").to_owned());
        }
    };
    if found.is_empty() { Err("it has no address".into()) } else { Ok(found) }
}
