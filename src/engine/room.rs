//! What there was no room for. It is told once; when there is room again the kernel, which knows it still, is asked for
//! all it has.

use super::context::{Context, Due};
use super::contract::effect::{Act, Event};
use super::contract::reason::Table;
use super::contract::statistics::increment;
use super::timers::Alarm;
use core::time::Duration;

/// How far apart it is looked whether there is room again.
const LOOK: Duration = Duration::from_secs(30);

/// Whether something was turned away.
#[derive(Debug, Default)]
pub struct Room {
    missed: bool,
    alarm: Alarm,
}

impl Room {
    /// A MAC was turned away; `due` is when to call [`Room::due`].
    pub fn refused(&mut self, cx: &mut Context<'_>, due: Due) {
        increment(&mut cx.statistics.macs_refused);
        if !core::mem::replace(&mut self.missed, true) {
            cx.tell(Event::Full(Table::Macs));
            cx.arm(&mut self.alarm, cx.now + LOOK, due);
        }
    }

    /// The time has come to look; `room` says whether there is any.
    pub fn due(&mut self, cx: &mut Context<'_>, room: bool, due: Due) {
        if room {
            self.missed = false;
            cx.act(Act::List);
        } else {
            cx.arm(&mut self.alarm, cx.now + LOOK, due);
        }
    }

    /// Nobody looks any more.
    pub fn end(&mut self, cx: &mut Context<'_>) {
        self.missed = false;
        cx.timers.clear(&mut self.alarm);
    }
}
