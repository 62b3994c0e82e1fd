//! What the log says of one kind: a few lines a minute, and how many were left out.
//!
//! Much of what is told others cause, as often as they like.

use crate::engine::{Event, VnKey};
use crate::time::Instant;
use core::mem::Discriminant;
use core::time::Duration;
use log::{Level, Record};

/// So many lines of a kind are told in a minute, which begins with the first of them.
const LINES: u32 = 10;
/// So many kinds are told apart at a time; those beyond them are one.
const KINDS: usize = 256;
/// What is kept of a line to say what others were like, in octets.
const SAMPLE: usize = 200;

/// What lines have in common that are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The line of the program that tells it; and the target, where it tells it of many things.
    Place(&'static str, u32, u32),
    /// What happened, in which VN, and whether a stranger made it happen, of whom there may be any number.
    Happening(VnKey, Discriminant<Event>, bool),
    /// All that there was no room to tell apart.
    Other,
}

impl Kind {
    /// The kind of something that happened in `vn`.
    pub fn happening(vn: VnKey, event: &Event) -> Kind {
        let is_strangers = matches!(event, Event::SpokeRefused { is_known: false, .. });
        Kind::Happening(vn, core::mem::discriminant(event), is_strangers)
    }

    /// The kind of a message.
    pub fn of(record: &Record<'_>) -> Kind {
        // FNV-1a: names that meet share their lines, that is all.
        let hash = record
            .target()
            .bytes()
            .fold(0x811c_9dc5, |h: u32, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
        Kind::Place(record.file_static().unwrap_or_default(), record.line().unwrap_or_default(), hash)
    }
}

/// The kinds of the last minute.
#[derive(Debug)]
pub struct Kinds {
    /// The oldest first.
    entries: Vec<Entry>,
    minute: Duration,
}

#[derive(Debug)]
struct Entry {
    kind: Kind,
    since: Instant,
    lines: u32,
    level: Level,
    /// The last line that was told.
    sample: String,
}

/// What is to be done with a line.
#[derive(Debug)]
pub enum Verdict<'a> {
    /// It is told.
    Tell,
    /// It is told, and the last one: what it says is to be kept here.
    Last(&'a mut String),
    /// It is left out.
    LeaveOut,
}

/// Lines of a kind that were left out within a minute.
#[derive(Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// How much they matter.
    pub level: Level,
    /// A line like them.
    pub sample: String,
    /// How many they are.
    pub count: u32,
    /// Whether a monitor has them.
    pub is_monitored: bool,
}

impl Kinds {
    /// None yet. A minute takes as long as `minute`.
    pub fn new(minute: Duration) -> Kinds {
        Kinds { entries: Vec::new(), minute }
    }

    /// Counts a line. Those whose minute is over [are to be taken](Kinds::over) before.
    pub fn count(&mut self, now: Instant, kind: Kind, level: Level) -> Verdict<'_> {
        let is_full = self.entries.len() >= KINDS;
        let find = |entries: &[Entry], kind| entries.iter().position(|e| e.kind == kind);
        let (kind, at) = match find(&self.entries, kind) {
            None if is_full => (Kind::Other, find(&self.entries, Kind::Other)),
            at => (kind, at),
        };
        let at = at.unwrap_or_else(|| {
            self.entries.push(Entry { kind, since: now, lines: 0, level, sample: String::new() });
            self.entries.len() - 1
        });
        let entry = &mut self.entries[at];
        entry.lines = entry.lines.saturating_add(1);
        match entry.lines {
            LINES => Verdict::Last(&mut entry.sample),
            ..LINES => Verdict::Tell,
            _ => Verdict::LeaveOut,
        }
    }

    /// The next kind whose minute is over, and all of them if there is no `now`; those of which nothing was left out are
    /// forgotten.
    pub fn over(&mut self, now: Option<Instant>) -> Option<LeftOut> {
        let is_over = |e: &Entry| now.is_none_or(|now| now.since(e.since) >= self.minute);
        while self.entries.first().is_some_and(is_over) {
            let Entry { kind, lines, level, sample, .. } = self.entries.remove(0);
            if lines > LINES {
                let is_monitored = matches!(kind, Kind::Happening(..));
                return Some(LeftOut { level, sample, count: lines - LINES, is_monitored });
            }
        }
        None
    }

    /// When the first minute is over of those in which lines are left out; nothing when there are none.
    pub fn deadline(&self) -> Option<Instant> {
        self.entries.iter().find(|e| e.lines >= LINES).map(|e| e.since + self.minute)
    }
}

/// The part of a line that is kept.
pub fn sample(mut line: String) -> String {
    if line.len() > SAMPLE {
        cut(&mut line, SAMPLE);
        line.push_str("...");
    }
    line
}

/// Takes what is more than `most` octets from a text, and no half character.
pub fn cut(text: &mut String, most: usize) {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Refusal, Why};
    use crate::types::Mac;

    const fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    fn place(line: u32) -> Kind {
        Kind::Place("file", line, 0)
    }

    /// How many of `lines` of a kind are told.
    fn told(kinds: &mut Kinds, now: Instant, kind: Kind, lines: u32) -> usize {
        let is_told = |_: &u32| match kinds.count(now, kind, Level::Info) {
            Verdict::Tell => true,
            Verdict::Last(sample) => {
                *sample = "the last".into();
                true
            }
            Verdict::LeaveOut => false,
        };
        (0..lines).filter(is_told).count()
    }

    #[test]
    fn ten_lines_a_minute_of_a_kind_and_the_number_of_others() {
        let mut kinds = Kinds::new(Duration::from_secs(60));
        assert_eq!(told(&mut kinds, at(0), place(1), 9), 9);
        assert_eq!(kinds.deadline(), None, "nothing is left out: nobody is woken");
        assert_eq!(told(&mut kinds, at(59), place(1), 371_000), 1);
        assert_eq!(told(&mut kinds, at(59), place(2), 11), 10, "another kind");
        assert_eq!(kinds.deadline(), Some(at(60)));
        assert_eq!(kinds.over(Some(at(59))), None);
        let over = kinds.over(Some(at(60))).unwrap();
        assert_eq!((over.count, over.sample.as_str(), over.is_monitored), (370_999, "the last", false));
        assert_eq!(kinds.over(Some(at(60))), None);
        assert_eq!(told(&mut kinds, at(60), place(1), 11), 10, "a new minute");
        assert_eq!(kinds.deadline(), Some(at(119)));
        let left = [kinds.over(None).unwrap().count, kinds.over(None).unwrap().count];
        assert_eq!((left, kinds.over(None)), ([1, 1], None));
        assert_eq!(kinds.deadline(), None);
    }

    #[test]
    fn what_happens_has_a_kind_in_each_vn() {
        let down = |n| Event::ShortcutDown { mac: Mac::new([2, 0, 0, 0, 0, n]).unwrap(), why: Why::Purged };
        let asked = Event::Asked { mac: Mac::new([2, 0, 0, 0, 0, 1]).unwrap() };
        let kind = |vn, event: &Event| Kind::happening(VnKey(vn), event);
        assert_eq!(kind(0, &down(1)), kind(0, &down(2)));
        assert_ne!(kind(0, &down(1)), kind(1, &down(1)));
        assert_ne!(kind(0, &down(1)), kind(0, &asked));
        let refused = |is_known| {
            let (spoke, reason) = ("10.0.0.2".parse().unwrap(), Refusal::Untagged);
            kind(0, &Event::SpokeRefused { spoke, reason, is_known })
        };
        assert_ne!(refused(true), refused(false));
        let mut kinds = Kinds::new(Duration::from_secs(60));
        assert_eq!(told(&mut kinds, at(0), kind(0, &down(1)), 12), 10);
        assert!(kinds.over(None).unwrap().is_monitored);
    }

    #[test]
    fn places_are_told_apart_and_so_are_targets() {
        let kind = |target, line| {
            let record = Record::builder().file_static(Some("file")).line(Some(line)).target(target).build();
            Kind::of(&record)
        };
        assert_eq!(kind("office", 1), kind("office", 1));
        assert_ne!(kind("office", 1), kind("office", 2));
        assert_ne!(kind("office", 1), kind("lab", 1));
    }

    #[test]
    fn more_kinds_than_are_told_apart_are_one() {
        let mut kinds = Kinds::new(Duration::from_secs(60));
        for line in 0..KINDS as u32 {
            assert_eq!(told(&mut kinds, at(0), place(line), 1), 1);
        }
        let others: usize = (0..1000).map(|line| told(&mut kinds, at(0), place(10_000 + line), 1)).sum();
        assert_eq!(others, 10);
        assert!(kinds.entries.len() <= KINDS + 1);
        assert_eq!(kinds.over(Some(at(60))).unwrap().count, 990);
        assert_eq!(kinds.over(Some(at(60))), None);
        assert!(kinds.entries.is_empty());
    }

    #[test]
    fn of_a_long_line_the_beginning_is_kept() {
        assert_eq!(sample("short".into()), "short");
        let long = sample("ü".repeat(SAMPLE));
        assert_eq!((long.len(), long.ends_with("ü...")), (SAMPLE + 3, true));
    }
}
