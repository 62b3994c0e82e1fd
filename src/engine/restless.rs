//! MACs that move to and fro: a loop, or two stations of one MAC. Everything said of them would be wrong before it
//! arrived, so their news are held back until they rest; the bridge forwards all the while.

use super::context::{Context, Due};
use super::contract::input::Place;
use super::timers::Alarm;
use crate::time::Instant;
use crate::types::{Mac, Vtep};
use core::time::Duration;
use litemap::LiteMap;

/// So many moves within this time are one too many.
const MOVES: u8 = 6;
const WINDOW: Duration = Duration::from_secs(10);
/// A MAC that has not moved for so long rests.
const REST: Duration = Duration::from_secs(30);
/// So many MACs are watched. With more on the move, further ones are taken as they come.
const WATCHED: usize = 256;

#[derive(Clone, Copy, Debug)]
struct Moves {
    since: Instant,
    count: u8,
    held: bool,
    place: Place,
    last: Instant,
}

/// The MACs on the move.
#[derive(Debug, Default)]
pub struct Restless {
    table: LiteMap<Mac, Moves>,
    alarm: Alarm,
}

impl Restless {
    /// Whether news of a MAC are held back; where it is now is remembered.
    pub fn holds(&mut self, now: Instant, mac: Mac, place: Place) -> bool {
        match self.table.get_mut(&mac) {
            Some(moves) if moves.held => {
                // Nowhere it was put by a listing, or by the bridge that forgot it: what follows is no move.
                let is_nowhere = matches!(moves.place, Place::Gone | Place::Unplugged);
                if moves.place != place && !is_nowhere {
                    moves.last = now;
                }
                moves.place = place;
                true
            }
            _ => false,
        }
    }

    /// A MAC moved. Whether that was one time too many: from now on its news are held back.
    pub fn moved(&mut self, now: Instant, mac: Mac, place: Place) -> bool {
        if self.table.len() >= WATCHED && !self.table.contains_key(&mac) {
            self.table.retain(|_, moves| moves.held || now.since(moves.last) < WINDOW);
            if self.table.len() >= WATCHED {
                return false;
            }
        }
        let new = Moves { since: now, count: 0, held: false, place, last: now };
        let moves = self.table.entry(mac).or_insert(new);
        if now.since(moves.since) >= WINDOW {
            *moves = new;
        }
        moves.count += 1;
        (moves.place, moves.last) = (place, now);
        moves.held = moves.count >= MOVES;
        moves.held
    }

    /// A complete listing begins: what it does not tell of is gone.
    pub fn listing(&mut self) {
        self.table.iter_mut().for_each(|(_, moves)| moves.place = Place::Gone);
    }

    /// What was at the one place is at the other, and has not moved.
    pub fn renamed(&mut self, was: Vtep, to: Vtep) {
        let there = self.table.iter_mut().filter(|(_, moves)| moves.place == Place::At(was));
        there.for_each(|(_, moves)| moves.place = Place::At(to));
    }

    /// Sees to it that `due` is when the first of the held ones may rest.
    pub fn watch(&mut self, cx: &mut Context<'_>, due: Due) {
        match self.next() {
            Some(at) => cx.arm(&mut self.alarm, at, due),
            None => cx.timers.clear(&mut self.alarm),
        }
    }

    /// When the first of the held ones rests, if it does not move again.
    fn next(&self) -> Option<Instant> {
        self.table.values().filter(|moves| moves.held).map(|moves| moves.last + REST).min()
    }

    /// A MAC that has come to rest, and where.
    pub fn rested(&mut self, now: Instant) -> Option<(Mac, Place)> {
        let rests = |moves: &Moves| moves.held && now.since(moves.last) >= REST;
        let (mac, place) =
            self.table.iter().find(|(_, moves)| rests(moves)).map(|(mac, m)| (*mac, m.place))?;
        self.table.remove(&mac);
        Some((mac, place))
    }

    /// Forgets all.
    pub fn end(&mut self, cx: &mut Context<'_>) {
        self.table.clear();
        cx.timers.clear(&mut self.alarm);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_too_often_is_held_until_it_rests() {
        let mut restless = Restless::default();
        let mac = "52:54:00:00:00:01".parse().unwrap();
        let mut now = Instant::from_millis(1_000_000);
        // Once in three seconds is a VRRP address on a bad day.
        for _ in 0..20 {
            now = now + Duration::from_secs(3);
            assert!(!restless.moved(now, mac, Place::Local));
        }
        now = now + WINDOW;
        let held = (0..6).map(|_| restless.moved(now, mac, Place::Local)).position(|held| held);
        assert_eq!(held, Some(5));
        assert!(restless.holds(now + Duration::from_secs(20), mac, Place::Tunnel));
        assert_eq!(restless.next(), Some(now + Duration::from_secs(50)));
        assert_eq!(restless.rested(now + Duration::from_secs(49)), None);
        assert_eq!(restless.rested(now + Duration::from_secs(50)), Some((mac, Place::Tunnel)));
        assert!(!restless.holds(now, mac, Place::Local) && restless.next().is_none());
    }

    #[test]
    fn a_storm_fills_no_table() {
        let mut restless = Restless::default();
        let now = Instant::from_millis(1_000_000);
        for n in 0..1000u16 {
            let [a, b] = n.to_be_bytes();
            let mac = Mac::new([2, 0, 0, 0, a, b]).unwrap();
            assert!((0..5).all(|_| !restless.moved(now, mac, Place::Local)));
        }
        assert_eq!(restless.table.len(), WATCHED);
    }
}
