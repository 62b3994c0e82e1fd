//! Who is told what happens: who reads the log, monitors, commands that wait for something, and whoever asks later.
//!
//! There is one ring of what happened lately. Who listens reads on in it from a number of its own, so that no listener
//! costs more than another, and one who is slow keeps nobody's memory.

mod answer;
pub mod control;
mod facts;
mod kinds;
pub mod log;
mod outlet;

use crate::engine::{Event, VnKey};
use crate::view::record::Tags;
use smol::channel::{Receiver, Sender, bounded};
use std::collections::VecDeque;
use std::task::Waker;

/// So many happenings are kept for who listens, and so many of them for who asks later.
const KEPT: usize = 1024;
pub const REMEMBERED: u64 = 256;
/// So much of what is recorded is kept for who is slow: about 300 octets each.
const RECORDED: usize = 512;

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

/// What happened, and who is to hear of it.
#[derive(Debug, Default)]
pub struct Audience {
    lately: VecDeque<Happened>,
    /// How much has happened: the number of the last happening.
    happened: u64,
    listeners: Vec<Sender<()>>,
    recorded: Recorded,
    /// Those who let others have their turn.
    paused: Vec<Waker>,
}

/// What went in and out of the engine while somebody records it: texts of some lines, the last [`RECORDED`] of them.
#[derive(Debug, Default)]
struct Recorded {
    lately: VecDeque<String>,
    count: u64,
    tags: Tags,
    listeners: Vec<Sender<()>>,
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

impl Audience {
    /// Tells what happened.
    pub fn tell(&mut self, happened: Happened) {
        if self.lately.len() == KEPT {
            self.lately.pop_front();
        }
        self.lately.push_back(happened);
        self.happened += 1;
        for listener in &self.listeners {
            // Who was called already, or left, need not be called.
            let _ = listener.try_send(());
        }
    }

    /// From now on.
    pub fn listen(&mut self) -> Listener {
        let (call, news) = bounded(1);
        self.listeners.retain(|listener| !listener.is_closed());
        self.listeners.push(call);
        Listener { heard: self.happened, news }
    }

    /// Whether somebody records. Who left does not.
    pub fn is_recorded(&mut self) -> bool {
        let recorded = &mut self.recorded;
        if !recorded.listeners.is_empty() {
            recorded.listeners.retain(|listener| !listener.is_closed());
            if recorded.listeners.is_empty() {
                (recorded.lately, recorded.tags) = (VecDeque::new(), Tags::default());
            }
        }
        !recorded.listeners.is_empty()
    }

    /// Tells those who record.
    pub fn record(&mut self, write: impl FnOnce(&mut String, &mut Tags)) {
        let recorded = &mut self.recorded;
        let mut text = String::new();
        write(&mut text, &mut recorded.tags);
        if text.is_empty() {
            return;
        }
        if recorded.lately.len() == RECORDED {
            recorded.lately.pop_front();
        }
        recorded.lately.push_back(text);
        recorded.count += 1;
        for listener in &recorded.listeners {
            // As above.
            let _ = listener.try_send(());
        }
    }

    /// Records from now on.
    pub fn listen_to_all(&mut self) -> Listener {
        let (call, news) = bounded(1);
        self.recorded.listeners.push(call);
        Listener { heard: self.recorded.count, news }
    }

    /// What was recorded after that of number `heard`, and how much of that is forgotten already.
    pub fn recorded_after(&self, heard: u64) -> (u64, impl Iterator<Item = &String>) {
        let Recorded { lately, count, .. } = &self.recorded;
        let (new, kept) = (count.saturating_sub(heard), lately.len());
        let there = usize::try_from(new).map_or(kept, |new| new.min(kept));
        (new - there as u64, lately.iter().skip(kept - there))
    }

    /// The number of the last happening.
    pub fn happened(&self) -> u64 {
        self.happened
    }

    /// What happened after the happening of number `heard`, and how much of that is forgotten already.
    pub fn after(&self, heard: u64) -> (u64, impl Iterator<Item = &Happened>) {
        let new = self.happened.saturating_sub(heard);
        let kept = self.lately.len();
        let there = usize::try_from(new).map_or(kept, |new| new.min(kept));
        (new - there as u64, self.lately.iter().skip(kept - there))
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
        assert_eq!(audience.listeners.len(), 1);
        audience.tell(happened(1));
        audience.tell(happened(2));
        smol::block_on(listener.news());
        assert!(listener.news.is_empty(), "one call is enough");
    }
}
