//! Deadlines: a heap that can move and remove its entries, so that nobody wakes up for nothing.

use crate::time::Instant;

/// A handle of one deadline; it belongs to whoever is to be called. [`Timers::set`] arms it.
#[derive(Debug, Default)]
pub struct Alarm(Option<Handle>);

#[derive(Clone, Copy, Debug)]
struct Handle {
    slot: u32,
    generation: u32,
}

/// The position of what is not in the heap.
const UNARMED: u32 = u32::MAX;

#[derive(Debug)]
struct Slot<K> {
    generation: u32,
    /// Where in the heap; [`UNARMED`] when not armed.
    position: u32,
    at: Instant,
    key: Option<K>,
}

/// All deadlines of an engine. Memory is kept: arming and firing in a steady state allocate nothing.
#[derive(Debug)]
pub struct Timers<K> {
    slots: Vec<Slot<K>>,
    free: Vec<u32>,
    heap: Vec<u32>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Timers { slots: Vec::new(), free: Vec::new(), heap: Vec::new() }
    }
}

impl<K: Copy> Timers<K> {
    /// The earliest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.heap.first().map(|&slot| self.slot(slot).at)
    }

    /// Calls `key` at `at`, and not at the time the alarm was set to before.
    pub fn set(&mut self, alarm: &mut Alarm, at: Instant, key: K) {
        let slot = match self.live(alarm) {
            Some(slot) => slot,
            None => {
                let slot = self.free.pop().unwrap_or_else(|| {
                    self.slots.push(Slot { generation: 0, position: UNARMED, at, key: None });
                    // Far fewer than 2^32 fit the memory of any machine.
                    (self.slots.len() - 1) as u32
                });
                let position = self.heap.len() as u32;
                self.slot_mut(slot).position = position;
                self.heap.push(slot);
                *alarm = Alarm(Some(Handle { slot, generation: self.slot(slot).generation }));
                slot
            }
        };
        let there = self.slot_mut(slot);
        (there.at, there.key) = (at, Some(key));
        let position = there.position;
        self.sift(position as usize);
    }

    /// Does not call any more.
    pub fn clear(&mut self, alarm: &mut Alarm) {
        if let Some(slot) = self.live(alarm) {
            self.remove(slot);
        }
        *alarm = Alarm(None);
    }

    /// The key of a deadline that is not after `now`, the earliest first.
    pub fn pop(&mut self, now: Instant) -> Option<K> {
        let &slot = self.heap.first()?;
        if self.slot(slot).at > now {
            return None;
        }
        self.remove(slot)
    }

    /// The slot of an alarm that has not fired.
    fn live(&self, alarm: &Alarm) -> Option<u32> {
        let handle = alarm.0?;
        (self.slot(handle.slot).generation == handle.generation).then_some(handle.slot)
    }

    fn remove(&mut self, slot: u32) -> Option<K> {
        let position = self.slot(slot).position;
        self.heap.swap_remove(position as usize);
        if let Some(&moved) = self.heap.get(position as usize) {
            self.slot_mut(moved).position = position;
            self.sift(position as usize);
        }
        self.free.push(slot);
        let s = self.slot_mut(slot);
        s.generation = s.generation.wrapping_add(1);
        s.position = UNARMED;
        s.key.take()
    }

    /// Moves the entry at `position` to where the heap order wants it.
    fn sift(&mut self, mut position: usize) {
        while position > 0 && self.at(position) < self.at((position - 1) / 2) {
            self.swap(position, (position - 1) / 2);
            position = (position - 1) / 2;
        }
        loop {
            let children = [2 * position + 1, 2 * position + 2];
            let least = children.into_iter().filter(|&c| c < self.heap.len()).min_by_key(|&c| self.at(c));
            match least {
                Some(child) if self.at(child) < self.at(position) => {
                    self.swap(position, child);
                    position = child;
                }
                _ => return,
            }
        }
    }

    fn at(&self, position: usize) -> Instant {
        self.slot(self.heap[position]).at
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        for position in [a, b] {
            let slot = self.heap[position];
            self.slot_mut(slot).position = position as u32;
        }
    }

    fn slot(&self, slot: u32) -> &Slot<K> {
        &self.slots[slot as usize]
    }

    fn slot_mut(&mut self, slot: u32) -> &mut Slot<K> {
        &mut self.slots[slot as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is set, moved and cleared: what fires is what is left, in order.
        #[test]
        fn fires_like_a_sorted_list(ops in proptest::collection::vec((0usize..20, proptest::option::of(0u64..1000)), 0..200)) {
            let mut timers = Timers::default();
            let mut alarms: Vec<Alarm> = (0..20).map(|_| Alarm::default()).collect();
            let mut model = [None; 20];
            for (who, at) in ops {
                model[who] = at;
                match at {
                    Some(at) => timers.set(&mut alarms[who], Instant::from_millis(at), who),
                    None => timers.clear(&mut alarms[who]),
                }
            }
            let mut left: Vec<u64> = model.iter().flatten().copied().collect();
            left.sort_unstable();
            for at in left {
                prop_assert_eq!(timers.next(), Some(Instant::from_millis(at)));
                let who = timers.pop(Instant::from_millis(at)).expect("one is due");
                prop_assert_eq!(model[who], Some(at));
                model[who] = None;
            }
            prop_assert!(timers.next().is_none());
        }
    }

    #[test]
    fn a_fired_alarm_does_not_touch_its_slots_next_owner() {
        let mut timers = Timers::default();
        let (mut first, mut second) = (Alarm::default(), Alarm::default());
        timers.set(&mut first, Instant::from_millis(1), 'a');
        assert_eq!(timers.pop(Instant::from_millis(1)), Some('a'));
        timers.set(&mut second, Instant::from_millis(2), 'b');
        timers.clear(&mut first);
        assert_eq!(timers.pop(Instant::from_millis(2)), Some('b'));
    }
}
