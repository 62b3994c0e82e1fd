//! The MACs at a spoke's own site, announced to the hub's bridge.
//!
//! Frames that take a shortcut pass the hub by. A station that only ever answers others directly would be unknown
//! there: nobody could resolve it, frames for it would be flooded, and its move would go unseen. So the spoke lets the
//! hub hear of each local MAC once it is learned, and again before a bridge forgets it (300 s by default).

use super::context::{Context, Due, Timer};
use super::contract::effect::{Act, Effect};
use super::contract::settings::VnKey;
use super::contract::statistics::increment;
use super::limits::{ANNOUNCEMENTS, TokenBucket};
use super::timers::Alarm;
use crate::types::Mac;
use core::time::Duration;
use litemap::LiteMap;

/// Two announcements fit the ageing time of a bridge, should one be lost.
const AGAIN: Duration = Duration::from_secs(120);

/// The table. It never holds more than `max_macs` entries.
#[derive(Debug)]
pub struct Locals {
    macs: LiteMap<Mac, ()>,
    bucket: TokenBucket,
    alarm: Alarm,
}

impl Default for Locals {
    fn default() -> Locals {
        Locals { macs: LiteMap::new(), bucket: TokenBucket::new(ANNOUNCEMENTS), alarm: Alarm::default() }
    }
}

impl Locals {
    /// The bridge learned a MAC at a local port. `hub` is the hub's MAC, while registered.
    pub fn learn(&mut self, cx: &mut Context<'_>, vn: VnKey, mac: Mac, hub: Option<Mac>, max: u32) {
        if self.macs.contains_key(&mac) {
            return;
        }
        if self.macs.len() >= max as usize {
            increment(&mut cx.statistics.macs_refused);
            return;
        }
        self.macs.insert(mac, ());
        // Above the limit it waits for the next round.
        if let (Some(hub), Ok(())) = (hub, self.bucket.take(cx.now)) {
            cx.out.push(Effect::Do { vn, act: Act::Announce { mac, hub } });
        }
    }

    /// Whether the MAC is here.
    pub fn has(&self, mac: Mac) -> bool {
        self.macs.contains_key(&mac)
    }

    /// The MAC is not here any more. Whether it was.
    pub fn forget(&mut self, mac: Mac) -> bool {
        self.macs.remove(&mac).is_some()
    }

    /// Announces all of them, now that the hub listens, and sees to the next time.
    pub fn announce(&mut self, cx: &mut Context<'_>, vn: VnKey, hub: Option<Mac>) {
        if let Some(hub) = hub {
            self.macs.keys().for_each(|&mac| cx.out.push(Effect::Do { vn, act: Act::Announce { mac, hub } }));
        }
        cx.timers.set(&mut self.alarm, cx.now + AGAIN, Timer { vn, what: Due::Announcements });
    }

    /// The spoke ends, or its devices are gone.
    pub fn clear(&mut self, cx: &mut Context<'_>) {
        self.macs.clear();
        cx.timers.clear(&mut self.alarm);
    }
}
