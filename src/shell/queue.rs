//! A queue to or from a thread. The standard library's channels take 6 kB of a MIPS program for each type of what goes
//! through them.

use std::collections::VecDeque;
use std::sync::mpsc::TryRecvError;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// From those who put to the one who takes.
#[derive(Debug)]
pub struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    /// So many fit in.
    room: usize,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    is_closed: bool,
    /// Whether somebody waits: to take, or to put.
    waits: bool,
}

impl<T> Queue<T> {
    /// An empty one with room for so many.
    pub fn new(room: usize) -> Arc<Queue<T>> {
        let state = State { items: VecDeque::new(), is_closed: false, waits: false };
        Arc::new(Queue { state: Mutex::new(state), changed: Condvar::new(), room })
    }

    /// Puts one at the end; waits for room. Where it is closed nothing is put.
    pub fn put(&self, item: T) {
        let mut state = self.once(|state| state.is_closed || state.items.len() < self.room);
        if !state.is_closed {
            state.items.push_back(item);
        }
        self.call(state);
    }

    /// Takes the first one, for which it waits; `None` when none is to come.
    pub fn take(&self) -> Option<T> {
        let mut state = self.once(|state| state.is_closed || !state.items.is_empty());
        let item = state.items.pop_front();
        self.call(state);
        item
    }

    /// Takes the first one, if there is one now.
    pub fn try_take(&self) -> Result<T, TryRecvError> {
        let mut state = self.state();
        let none = if state.is_closed { TryRecvError::Disconnected } else { TryRecvError::Empty };
        let item = state.items.pop_front();
        self.call(state);
        item.ok_or(none)
    }

    /// From now on nothing is put; what is in it can be taken.
    pub fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        self.call(state);
    }

    fn once(&self, is_so: impl Fn(&State<T>) -> bool) -> MutexGuard<'_, State<T>> {
        let mut state = self.state();
        while !is_so(&state) {
            state.waits = true;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state
    }

    /// A system call, so only where somebody waits. Of those who put into a full queue there may be several.
    fn call(&self, mut state: MutexGuard<'_, State<T>>) {
        if core::mem::take(&mut state.waits) {
            self.changed.notify_all();
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // Nobody leaves it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn what_was_put_is_taken_in_its_order_and_all_of_it_once_closed() {
        let queue = Queue::new(2);
        assert_eq!(queue.try_take(), Err(TryRecvError::Empty));
        let putting = Arc::clone(&queue);
        let other = thread::spawn(move || {
            (0..1000).for_each(|n| putting.put(n));
            putting.close();
            putting.put(1000);
        });
        assert_eq!(
            (0..1000).map(|_| queue.take()).collect::<Vec<_>>(),
            (0..1000).map(Some).collect::<Vec<_>>()
        );
        assert_eq!((queue.take(), queue.try_take()), (None, Err(TryRecvError::Disconnected)));
        other.join().unwrap();
    }

    #[test]
    fn who_waits_for_room_is_let_go_when_it_is_closed() {
        let queue = Queue::new(1);
        let putting: Vec<_> = (0..3)
            .map(|n| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || queue.put(n))
            })
            .collect();
        while queue.state().items.is_empty() {
            thread::yield_now();
        }
        queue.close();
        putting.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(queue.take().is_some() && queue.take().is_none());
    }
}
