//! Who is told what happens: who reads the log, monitors, commands that wait for something, and whoever asks later.
//!
//! There is a ring of what happened lately, and one of what is recorded. Who listens reads on in it from a number of its own,
//! so that no listener costs more than another, and one who is slow keeps nobody's memory.

mod answer;
pub mod control;
mod facts;
mod kinds;
pub mod log;
mod outlet;

use crate::engine::{Event, VnKey};
use crate::view::record::{self, Tags};
use smol::channel::{Receiver, Sender, bounded};
use std::collections::VecDeque;
use std::task::Waker;

/// So many happenings are kept for who listens, and so many of them for who asks later.
const KEPT: usize = 1024;
pub const REMEMBERED: u64 = 256;
/// So much of what is recorded is kept for who is slow: some 300 octets each, 21 000 for the largest packet.
pub const RECORDED: usize = 512;

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub struct Happened {
    /// When, in milliseconds since 1970 (UTC).
    pub at: u64,
    /// In which VN.
    pub vn: VnKey,
    /// What.
    pub event: Event,
}

/// The last of what was told, and who is called when there is more.
#[derive(Debug)]
struct Ring<T> {
    lately: VecDeque<T>,
    /// So many are kept.
    most: usize,
    /// How much was told: the number of the last.
    count: u64,
    listeners: Vec<Sender<()>>,
}

/// Who is to hear of what happens.
#[derive(Debug)]
pub struct Audience {
    happened: Ring<Happened>,
    /// What went in and out of the engine while somebody records it: texts of some lines.
    recorded: Ring<String>,
    tags: Tags,
    /// How many packets were not recorded since.
    left_out: u64,
    /// Those who let others have their turn.
    paused: Vec<Waker>,
}

/// Somebody who listens.
#[derive(Debug)]
pub struct Listener {
    /// The number of the last happening that was heard of.
    pub heard: u64,
    news: Receiver<()>,
}

impl Listener {
    /// Waits until something has happened.
    pub async fn news(&self) {
        // An error is a daemon that ends.
        let _ = self.news.recv().await;
    }
}

impl<T> Ring<T> {
    fn new(most: usize) -> Ring<T> {
        Ring { lately: VecDeque::new(), most, count: 0, listeners: Vec::new() }
    }

    fn tell(&mut self, what: T) {
        if self.lately.len() == self.most {
            self.lately.pop_front();
        }
        self.lately.push_back(what);
        self.count += 1;
        for listener in &self.listeners {
            // Who was called already, or left, need not be called.
            let _ = listener.try_send(());
        }
    }

    fn listen(&mut self) -> Listener {
        let (call, news) = bounded(1);
        self.forget_who_left();
        self.listeners.push(call);
        Listener { heard: self.count, news }
    }

    fn forget_who_left(&mut self) {
        self.listeners.retain(|listener| !listener.is_closed());
    }

    /// What was told after that of number `heard`, and how much of that is forgotten already.
    fn after(&self, heard: u64) -> (u64, impl Iterator<Item = &T>) {
        let (new, kept) = (self.count.saturating_sub(heard), self.lately.len());
        let there = usize::try_from(new).map_or(kept, |new| new.min(kept));
        (new - there as u64, self.lately.iter().skip(kept - there))
    }
}

impl Default for Audience {
    fn default() -> Audience {
        Audience {
            happened: Ring::new(KEPT),
            recorded: Ring::new(RECORDED),
            tags: Tags::default(),
            left_out: 0,
            paused: Vec::new(),
        }
    }
}

impl Audience {
    /// Tells what happened.
    pub fn tell(&mut self, happened: Happened) {
        self.happened.tell(happened);
    }

    /// From now on.
    pub fn listen(&mut self) -> Listener {
        self.happened.listen()
    }

    /// Whether somebody records. Who left does not.
    pub fn is_recorded(&mut self) -> bool {
        if !self.recorded.listeners.is_empty() {
            self.recorded.forget_who_left();
            if self.recorded.listeners.is_empty() {
                (self.recorded.lately, self.tags) = (VecDeque::new(), Tags::default());
                self.left_out = 0;
            }
        }
        !self.recorded.listeners.is_empty()
    }

    /// Tells those who record.
    pub fn record(&mut self, write: impl FnOnce(&mut String, &mut Tags)) {
        let mut text = String::new();
        write(&mut text, &mut self.tags);
        if text.is_empty() {
            return;
        }
        let left_out = core::mem::take(&mut self.left_out);
        if left_out > 0 {
            self.recorded.tell(record::left_out(left_out));
        }
        self.recorded.tell(text);
    }

    /// A packet was above the limits of its sender, and is not recorded: there may be many, and nothing comes of them.
    pub fn leave_out(&mut self) {
        self.left_out += 1;
    }

    /// Records from now on.
    pub fn listen_to_all(&mut self) -> Listener {
        self.recorded.listen()
    }

    /// What was recorded after that of number `heard`, and how much of that is forgotten already.
    pub fn recorded_after(&self, heard: u64) -> (u64, impl Iterator<Item = &String>) {
        self.recorded.after(heard)
    }

    /// The number of the last happening.
    pub fn happened(&self) -> u64 {
        self.happened.count
    }

    /// What happened after the happening of number `heard`, and how much of that is forgotten already.
    pub fn after(&self, heard: u64) -> (u64, impl Iterator<Item = &Happened>) {
        self.happened.after(heard)
    }

    /// Calls `waker` when the turn is over that others have now.
    pub fn pause(&mut self, waker: Waker) {
        self.paused.push(waker);
    }

    /// The turn is over.
    pub fn resume(&mut self) {
        self.paused.drain(..).for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happened(at: u64) -> Happened {
        Happened { at, vn: VnKey(0), event: Event::Withdrawn }
    }

    #[test]
    fn everybody_reads_on_from_where_he_was() {
        let mut audience = Audience::default();
        audience.tell(happened(1));
        let early = audience.listen();
        (2..5).for_each(|n| audience.tell(happened(n)));
        let late = audience.listen();
        audience.tell(happened(5));
        let heard = |audience: &Audience, from: u64| {
            let (forgotten, heard) = audience.after(from);
            (forgotten, heard.map(|h| h.at).collect::<Vec<_>>())
        };
        assert_eq!(heard(&audience, early.heard), (0, vec![2, 3, 4, 5]));
        assert_eq!(heard(&audience, late.heard), (0, vec![5]));
        assert_eq!(heard(&audience, 5), (0, vec![]));
        assert_eq!(heard(&audience, 9), (0, vec![]));
        (6..2006).for_each(|n| audience.tell(happened(n)));
        let (forgotten, left) = heard(&audience, early.heard);
        assert_eq!((forgotten, left.len(), left.first()), (2004 - 1024, 1024, Some(&982)));
        assert_eq!(audience.happened(), 2005);
    }

    /// What goes in and out costs nothing as long as nobody wants it.
    #[test]
    fn nothing_is_recorded_for_nobody() {
        let mut audience = Audience::default();
        assert!(!audience.is_recorded());
        let listener = audience.listen_to_all();
        (0..600).for_each(|n| audience.record(|out, _| out.push_str(&n.to_string())));
        audience.record(|_, _| {});
        assert!(audience.is_recorded());
        let (forgotten, left) = audience.recorded_after(listener.heard);
        assert_eq!((forgotten, left.count()), (88, 512));
        drop(listener);
        assert!(!audience.is_recorded());
        assert_eq!(audience.recorded.lately.capacity(), 0);
    }

    #[test]
    fn who_left_is_forgotten() {
        let mut audience = Audience::default();
        (0..100).for_each(|_| drop(audience.listen()));
        let listener = audience.listen();
        assert_eq!(audience.happened.listeners.len(), 1);
        audience.tell(happened(1));
        audience.tell(happened(2));
        smol::block_on(listener.news());
        assert!(listener.news.is_empty(), "one call is enough");
    }
}
