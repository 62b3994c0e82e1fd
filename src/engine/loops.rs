//! Loops: a cable, or a radio link, between two sites beside the tunnel. What one site floods comes back to it by the other
//! one, for ever. A MAC that moves to and fro between a tunnel and a local port may be that, or something else: a frame
//! that is sent by the tunnel and comes back by a local port is.
//!
//! From then on nothing is flooded by that tunnel. The other site finds out the same, which ends both directions of the loop;
//! one alone would end one. These frames go straight into the tunnel device, past its bridge, so they tell when it is over.

use super::context::{Context, Due};
use super::contract::effect::{Act, Event};
use super::contract::input::Place;
use super::contract::item::{Item, Wanted};
use super::contract::report::LoopReport;
use super::contract::statistics::increment;
use super::restless::Restless;
use super::timers::Alarm;
use crate::time::Instant;
use crate::types::{Label, Mac, Vtep};
use core::time::Duration;
use litemap::LiteMap;

/// A tunnel gets a frame after this, while there is reason to.
const EVERY: Duration = Duration::from_secs(1);
/// After so many that did not come back it is this, until another MAC begins to move: all sites get them.
const OFTEN: u8 = 10;
const RARELY: Duration = Duration::from_secs(10);
/// A loop is over when none came back for so long.
const OVER: Duration = Duration::from_secs(30);
/// The last ones that were sent are known: they may wait in queues that a loop keeps full.
const KNOWN: usize = 4;
/// So many tunnels of a hub's are looked at, at a time.
const TUNNELS: usize = 16;

/// A spoke's only tunnel, or a hub's to this spoke.
pub type Tunnel = Option<Vtep>;

/// A tunnel that there may be a loop by.
#[derive(Debug)]
struct Sought {
    /// Of the last frames; 0 was none.
    nonces: [u64; KNOWN],
    /// When the last one was sent, and how many of the last ones did not come back.
    last: Instant,
    lost: u8,
    /// The port where they come back, and when one did.
    found: Option<(Label, Instant)>,
}

impl Sought {
    /// When the next one is due.
    fn next(&self) -> Instant {
        self.last + if self.lost < OFTEN { EVERY } else { RARELY }
    }
}

/// The tunnels that there may be a loop by.
#[derive(Debug, Default)]
pub struct Loops {
    table: LiteMap<Tunnel, Sought>,
    alarm: Alarm,
}

/// The tunnel that a MAC moves to and fro between and a local port, if that is so.
pub fn tunnel_of(places: [Place; 2]) -> Option<Tunnel> {
    match places {
        [Place::Local, Place::Tunnel] | [Place::Tunnel, Place::Local] => Some(None),
        [Place::Local, Place::At(spoke)] | [Place::At(spoke), Place::Local] => Some(Some(spoke)),
        _ => None,
    }
}

impl Loops {
    /// The news of a MAC are held back, from now on or since before: does it move between a tunnel and a local port?
    pub fn suspect(&mut self, cx: &mut Context<'_>, restless: &Restless, mac: Mac, is_new: bool, due: Due) {
        let Some(tunnel) = restless.places(mac).and_then(tunnel_of) else { return };
        let is_full = self.table.len() >= TUNNELS;
        if let Some(sought) = self.table.get_mut(&tunnel) {
            if is_new {
                sought.lost = 0;
                self.due(cx, restless, due);
            }
            return;
        }
        if is_full {
            return;
        }
        self.table.insert(tunnel, Sought { nonces: [0; KNOWN], last: cx.now, lost: 0, found: None });
        self.send(cx, tunnel);
        self.arm(cx, due);
    }

    /// Time has passed.
    pub fn due(&mut self, cx: &mut Context<'_>, restless: &Restless, due: Due) {
        let tunnels: heapless::Vec<Tunnel, TUNNELS> = self.table.keys().copied().collect();
        for tunnel in tunnels {
            let Some(sought) = self.table.get_mut(&tunnel).filter(|sought| sought.next() <= cx.now) else {
                continue;
            };
            // Without its port a hub has no tunnel to a spoke.
            let is_there = tunnel.is_none_or(|spoke| cx.plane.port(spoke).is_some());
            if let Some((port, _)) =
                sought.found.take_if(|(_, last)| !is_there || cx.now.since(*last) >= OVER)
            {
                cx.want(Item::Floods(tunnel), None);
                cx.tell(Event::LoopOver(LoopReport { port, spoke: tunnel }));
            }
            let is_suspect = || restless.held().any(|(_, places)| tunnel_of(places) == Some(tunnel));
            if !is_there || sought.found.is_none() && !is_suspect() {
                self.table.remove(&tunnel);
                continue;
            }
            self.send(cx, tunnel);
        }
        self.arm(cx, due);
    }

    fn send(&mut self, cx: &mut Context<'_>, tunnel: Tunnel) {
        let Some(sought) = self.table.get_mut(&tunnel) else { return };
        let nonce = cx.nonces.draw();
        sought.nonces.rotate_right(1);
        sought.nonces[0] = nonce;
        sought.last = cx.now;
        // Of a loop that is known the end is to be noticed.
        sought.lost = if sought.found.is_some() { 0 } else { sought.lost.saturating_add(1) };
        cx.act(Act::SeekLoop { tunnel, nonce });
    }

    /// A frame came by a local port.
    pub fn heard(&mut self, cx: &mut Context<'_>, nonce: u64, port: Label) {
        let is_it = |sought: &Sought| nonce != 0 && sought.nonces.contains(&nonce);
        let found = self.table.iter_mut().find(|(_, sought)| is_it(sought));
        let Some((tunnel, sought)) = found.map(|(tunnel, sought)| (*tunnel, sought)) else { return };
        if let Some((_, last)) = &mut sought.found {
            *last = cx.now;
            return;
        }
        (sought.found, sought.lost) = (Some((port, cx.now)), 0);
        increment(&mut cx.statistics.loops);
        cx.want(Item::Floods(tunnel), Some(Wanted::Withheld));
        cx.tell(Event::Looped(LoopReport { port, spoke: tunnel }));
    }

    /// The first of the loops there are.
    pub fn report(&self) -> Option<LoopReport> {
        let mut found = self.table.iter().filter_map(|(tunnel, sought)| Some((*tunnel, sought.found?)));
        found.next().map(|(spoke, (port, _))| LoopReport { port, spoke })
    }

    /// Forgets all.
    pub fn end(&mut self, cx: &mut Context<'_>) {
        if self.table.is_empty() {
            return;
        }
        for tunnel in self.table.keys() {
            cx.want(Item::Floods(*tunnel), None);
        }
        self.table.clear();
        self.stop(cx);
    }

    fn arm(&mut self, cx: &mut Context<'_>, due: Due) {
        match self.table.values().map(Sought::next).min() {
            Some(next) => cx.arm(&mut self.alarm, next, due),
            None => self.stop(cx),
        }
    }

    fn stop(&mut self, cx: &mut Context<'_>) {
        cx.timers.clear(&mut self.alarm);
        cx.act(Act::SeekNoLoop);
    }
}
