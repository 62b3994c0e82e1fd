//! What a scene found.

use super::{Stamp, ms};
use std::fmt::Display;

/// A scene's finding on one point: it holds when every check does.
#[derive(Debug)]
pub struct Report {
    /// The point's number in the list of what is proven.
    pub point: u8,
    /// The point, in a line.
    pub title: &'static str,
    checks: Vec<(bool, String)>,
    timeline: Vec<(Stamp, String)>,
    notes: Vec<String>,
}

impl Report {
    /// Nothing was checked yet, so it does not hold yet.
    pub fn new(point: u8, title: &'static str) -> Report {
        Report { point, title, checks: Vec::new(), timeline: Vec::new(), notes: Vec::new() }
    }

    /// Adds a check and says whether it holds.
    pub fn check(&mut self, holds: bool, what: impl Into<String>) -> bool {
        self.checks.push((holds, what.into()));
        holds
    }

    /// Adds something worth knowing that decides nothing.
    pub fn note(&mut self, what: impl Into<String>) {
        self.notes.push(what.into());
    }

    /// Adds something that happened, if it did.
    pub fn event(&mut self, at: Option<Stamp>, what: impl Into<String>) {
        self.timeline.extend(at.map(|at| (at, what.into())));
    }

    /// Whether the point holds.
    pub fn holds(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|(holds, _)| *holds)
    }

    /// Prints the timeline from `zero` on, the checks, and the verdict in one line.
    pub fn print(&mut self) {
        let line = |mark: &str, text: &dyn Display| println!("     {mark} {text}");
        self.timeline.sort_by_key(|(at, _)| *at);
        let zero = self.timeline.first().map_or(Stamp::ZERO, |(at, _)| *at);
        for (at, what) in &self.timeline {
            println!("     {:>12}  {what}", ms(at.saturating_sub(zero)));
        }
        for note in &self.notes {
            line(" ", note);
        }
        for (holds, what) in &self.checks {
            line(if *holds { "+" } else { "-" }, what);
        }
        println!("{} {}. {}", if self.holds() { "PASS" } else { "FAIL" }, self.point, self.title);
    }
}

/// A scene that could not be played is a point that does not hold.
pub fn played(point: u8, title: &'static str, scene: impl FnOnce(&mut Report) -> super::Res) -> Report {
    let mut report = Report::new(point, title);
    if let Err(why) = scene(&mut report) {
        report.check(false, why);
    }
    report
}
