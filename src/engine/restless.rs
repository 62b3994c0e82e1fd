//! MACs that move to and fro: a loop, or two stations of one MAC. Everything said of them would be wrong before it
//! arrived, so their news are held back until they rest; the bridge forwards all the while.

use super::context::{Context, Due};
use super::contract::input::Place;
use super::contract::report::RestlessReport;
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
    /// Where it was last, and before that.
    between: [Place; 2],
}

impl Moves {
    /// It is at this place. Nowhere it was put by a listing, or by the bridge that forgot it: what follows is no move.
    fn is_at(&mut self, now: Instant, place: Place) {
        let is_nowhere = |place| matches!(place, Place::Gone | Place::Unplugged);
        if self.place != place && !is_nowhere(self.place) {
            self.last = now;
        }
        self.place = place;
        if !is_nowhere(place) && self.between[0] != place {
            self.between = [place, self.between[0]];
        }
    }
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
                moves.is_at(now, place);
                true
            }
            _ => false,
        }
    }

    /// A MAC moved from one place to another. Whether that was one time too many: from now on its news are held back.
    pub fn moved(&mut self, now: Instant, mac: Mac, from: Place, place: Place) -> bool {
        if self.table.len() >= WATCHED && !self.table.contains_key(&mac) {
            self.table.retain(|_, moves| moves.held || now.since(moves.last) < WINDOW);
            if self.table.len() >= WATCHED {
                return false;
            }
        }
        let between = [place, from];
        let new = Moves { since: now, count: 0, held: false, place, last: now, between };
        let moves = self.table.entry(mac).or_insert(new);
        if now.since(moves.since) >= WINDOW {
            *moves = new;
        }
        moves.count += 1;
        (moves.place, moves.last, moves.between) = (place, now, between);
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
        let all = self.table.iter_mut().flat_map(|(_, moves)| &mut moves.between);
        all.filter(|place| **place == Place::At(was)).for_each(|place| *place = Place::At(to));
    }

    /// Those whose news are held back, each with the two places it was at last.
    pub fn held(&self) -> impl Iterator<Item = (Mac, [Place; 2])> + '_ {
        self.table.iter().filter(|(_, moves)| moves.held).map(|(mac, moves)| (*mac, moves.between))
    }

    /// The two places that a MAC was at last whose news are held back.
    pub fn places(&self, mac: Mac) -> Option<[Place; 2]> {
        self.table.get(&mac).filter(|moves| moves.held).map(|moves| moves.between)
    }

    /// What there is to say of them.
    pub fn report(&self, at: impl Fn(Place) -> Option<Vtep>) -> Option<RestlessReport> {
        let (mac, [one, other]) = self.held().next()?;
        let macs = u32::try_from(self.held().count()).unwrap_or(u32::MAX);
        Some(RestlessReport { macs, mac, from: at(one), to: at(other) })
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
            assert!(!restless.moved(now, mac, Place::Tunnel, Place::Local));
        }
        now = now + WINDOW;
        let held =
            (0..6).map(|_| restless.moved(now, mac, Place::Tunnel, Place::Local)).position(|held| held);
        assert_eq!(held, Some(5));
        assert!(restless.holds(now + Duration::from_secs(20), mac, Place::Tunnel));
        assert_eq!(restless.next(), Some(now + Duration::from_secs(50)));
        assert_eq!(restless.rested(now + Duration::from_secs(49)), None);
        assert_eq!(restless.rested(now + Duration::from_secs(50)), Some((mac, Place::Tunnel)));
        assert!(!restless.holds(now, mac, Place::Local) && restless.next().is_none());
    }

    #[test]
    fn the_places_are_those_it_was_at() {
        let mut restless = Restless::default();
        let mac = "52:54:00:00:00:01".parse().unwrap();
        let now = Instant::from_millis(1_000_000);
        let held = (0..6).map(|_| restless.moved(now, mac, Place::Tunnel, Place::Local)).last();
        assert_eq!(held, Some(true));
        let both = Some([Place::Local, Place::Tunnel]);
        assert_eq!(restless.places(mac), both);
        restless.listing();
        restless.holds(now, mac, Place::Gone);
        restless.holds(now, mac, Place::Local);
        assert_eq!(restless.places(mac), both);
        restless.holds(now, mac, Place::Tunnel);
        assert_eq!(restless.places(mac), Some([Place::Tunnel, Place::Local]));
        assert_eq!(restless.report(|_| None).map(|report| (report.macs, report.mac)), Some((1, mac)));
    }

    #[test]
    fn a_storm_fills_no_table() {
        let mut restless = Restless::default();
        let now = Instant::from_millis(1_000_000);
        for n in 0..1000u16 {
            let [a, b] = n.to_be_bytes();
            let mac = Mac::new([2, 0, 0, 0, a, b]).unwrap();
            assert!((0..5).all(|_| !restless.moved(now, mac, Place::Tunnel, Place::Local)));
        }
        assert_eq!(restless.table.len(), WATCHED);
    }
}
