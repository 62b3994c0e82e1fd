//! A new session asks again for what was said before it: the hub may have forgotten whom to tell when that becomes untrue.

use super::{Asker, Entry, Phase, Resolution};
use crate::engine::context::{ClientDue, Context, Due};
use crate::engine::contract::effect::Act;
use crate::engine::timers::Alarm;
use crate::types::Mac;
use core::time::Duration;
use std::collections::VecDeque;

/// What was used so lately is in use, and asked for at once.
pub(super) const IN_USE: Duration = Duration::from_secs(60);
/// All else is asked for within this, if there are no more than [`LEAST_APART`] allows: as fast as questions may be sent in
/// the long run, so that those that come meanwhile are sent at once.
const SPREAD: Duration = Duration::from_secs(8);
const LEAST_APART: Duration = Duration::from_millis(10);
/// The kernel is asked how so many are used, and then for more.
const LOOKS: usize = 128;
const LOOKS_APART: Duration = Duration::from_millis(100);

/// Those that are to be asked for again.
#[derive(Debug, Default)]
pub(super) struct Again {
    /// In their order, and some that were asked for already.
    macs: VecDeque<Mac>,
    /// Of how many of them the kernel was asked how they are used.
    looked: usize,
    /// How far apart they are asked for.
    apart: Duration,
    alarm: Alarm,
}

impl Again {
    pub fn end(&mut self, cx: &mut Context<'_>) {
        self.macs.clear();
        cx.timers.clear(&mut self.alarm);
    }

    fn arm(&mut self, cx: &mut Context<'_>, after: Duration) {
        cx.arm(&mut self.alarm, cx.now + after, Due::Client(ClientDue::Again));
    }
}

impl Entry {
    /// Whether frames go where an earlier session said.
    pub(super) fn is_unsure(&self) -> bool {
        self.is_old && self.is_placed()
    }

    /// Whether it says what an earlier session said, and nobody is about to ask.
    pub(super) fn is_to_ask_again(&self) -> bool {
        self.is_old && !matches!(self.phase, Phase::Queued | Phase::Asking(_))
    }
}

impl Resolution {
    /// All that is known, or was denied, was said before this session.
    pub(super) fn ask_all_again(&mut self, cx: &mut Context<'_>, asker: &mut Asker<'_>) {
        self.again.end(cx);
        for (mac, entry) in &mut self.entries {
            entry.is_old = entry.shortcut.is_some() || entry.phase == Phase::Negative;
            if entry.is_to_ask_again() {
                self.again.macs.push_back(*mac);
            }
        }
        let count = u32::try_from(self.again.macs.len()).unwrap_or(u32::MAX);
        self.again.looked = 0;
        self.again.apart = (SPREAD / count.max(1)).max(LEAST_APART);
        self.ask_again(cx, asker);
    }

    /// A shortcut was found in the session.
    pub(super) fn ask_soon(&mut self, cx: &mut Context<'_>, mac: Mac) {
        self.again.macs.push_back(mac);
        self.again.apart = self.again.apart.max(LEAST_APART);
        self.again.arm(cx, LOOKS_APART);
    }

    /// Asks how they are used, and then for one after the other.
    pub fn ask_again(&mut self, cx: &mut Context<'_>, asker: &mut Asker<'_>) {
        let to_look = self.again.macs.iter().skip(self.again.looked).take(LOOKS);
        let mut looks = 0;
        for mac in to_look {
            looks += 1;
            if self.entries.get(mac).is_some_and(|e| e.is_to_ask_again() && e.is_unsure()) {
                cx.act(Act::ReadUse(*mac));
            }
        }
        self.again.looked += looks;
        if looks > 0 {
            return self.again.arm(cx, LOOKS_APART);
        }
        while let Some(mac) = self.again.macs.pop_front() {
            self.again.looked = self.again.looked.saturating_sub(1);
            if self.entries.get(&mac).is_some_and(Entry::is_to_ask_again) {
                self.enqueue(cx, asker, mac);
                break;
            }
        }
        if !self.again.macs.is_empty() {
            let apart = self.again.apart;
            self.again.arm(cx, apart);
        }
    }
}
