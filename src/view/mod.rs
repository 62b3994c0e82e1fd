//! From the daemon's reports to what is read: text for people, JSON for programs, metrics for Prometheus.
//!
//! Pure: what is known comes in, what is shown is appended to a text. What may be long goes on row by row ([`Listing`],
//! [`Events`], [`Page`]), so that nobody has to hold all of it. `docs/json.md` and `docs/metrics.md` describe what comes
//! out.

pub mod doctor;
mod events;
mod facts;
mod failure;
mod json;
mod listing;
mod metrics;
pub mod record;
mod standing;
mod table;
mod text;
mod writer;

pub use events::{Events, happening, missed};
pub use facts::{Answer, Counts, Happening, RoleStatus, Status, Traffic, VnCounts, VnStatus};
pub use failure::{CONFIGURATION, FAILED, Failure, UNREACHABLE, USAGE};
pub use listing::{Listing, Row, Rows};
pub use metrics::Page;

use crate::config::Finding;
use crate::control::Form;
use crate::control::words::{duration, why_not};
use crate::types::Mac;
use core::fmt::{self, Write};
use table::Screen;
use writer::{Object, line};

/// `dmevpn status`.
pub fn status(out: &mut String, form: Form, status: &Status) {
    match form {
        Form::Text { columns } => text::status(out, Screen::of(columns), status),
        Form::Json => json::status(out, status),
    }
}

/// `dmevpn resolve`.
pub fn resolved(out: &mut String, form: Form, vn: &str, mac: Mac, answer: &Answer) {
    let (place, at, valid, reason) = match answer {
        Answer::At { vtep, holding } => (Some("remote"), Some(*vtep), *holding, None),
        Answer::Local => (Some("here"), None, None, None),
        Answer::NotResolved(reason) => (None, None, None, Some(why_not(*reason).to_string())),
    };
    if form == Form::Json {
        return line(out, |o| {
            o.put("vn", &vn);
            o.put("mac", &mac);
            o.put("resolved", &place.is_some());
            o.put("place", &place);
            listing::vtep(o, at);
            o.put("valid", &valid);
            o.put("reason", &reason);
        });
    }
    let _ = match (at, valid, reason) {
        (Some(at), Some(valid), _) => writeln!(out, "{mac} is at {at}, valid for {}", duration(valid.into())),
        (Some(at), None, _) => writeln!(out, "{mac} is at {at}"),
        (None, _, Some(reason)) => writeln!(out, "{mac} not resolved: {reason}"),
        (None, _, None) => writeln!(out, "{mac} is at a port of this router"),
    };
}

/// It was done: for people there is nothing to tell.
pub fn done(out: &mut String, form: Form) {
    if form == Form::Json {
        line(out, |o| o.put("ok", &true));
    }
}

/// `dmevpn peers --remove`.
pub fn removed(out: &mut String, form: Form, removed: usize) {
    match form {
        Form::Text { .. } => drop(writeln!(out, "{removed} removed")),
        Form::Json => line(out, |o| {
            o.put("ok", &true);
            o.put("removed", &(removed as u64));
        }),
    }
}

/// `dmevpn check`, as JSON: what is wrong with the file, if anything, and what is odd.
pub fn checked(out: &mut String, file: &str, errors: &[Finding], warnings: &[Finding]) {
    line(out, |o| {
        o.put("file", &file);
        o.put("valid", &errors.is_empty());
        findings(o, "errors", errors);
        findings(o, "warnings", warnings);
    });
}

/// `dmevpn import`.
pub fn imported(out: &mut String, form: Form, file: &str, config: &str) {
    match form {
        Form::Text { .. } => out.push_str(config),
        Form::Json => line(out, |o| {
            o.put("file", &file);
            o.put("config", &config);
        }),
    }
}

/// `dmevpn leave`.
pub fn left(out: &mut String, form: Form, removed: &Vec<String>) {
    match form {
        Form::Text { .. } => removed.iter().for_each(|name| out.push_str(&format!("removed {name}\n"))),
        Form::Json => line(out, |o| {
            o.put("ok", &true);
            o.put("removed", removed);
        }),
    }
}

/// `dmevpn version`.
pub fn version(out: &mut String, form: Form, version: &str, control: u8) {
    match form {
        Form::Text { .. } => drop(writeln!(out, "dmevpn {version} (control version {control})")),
        Form::Json => line(out, |o| {
            o.put("version", &version);
            o.put("control", &control);
        }),
    }
}

fn findings(o: &mut Object<'_>, key: &str, findings: &[Finding]) {
    o.list(key, findings, |o, finding| {
        o.put("line", &finding.line);
        o.put("section", &finding.section);
        o.put("option", &finding.option);
        o.put("text", &finding.text);
    });
}

/// Lets lines and columns through, and shows every other control character as what it is: what daemons, files and
/// arguments say shall not command the terminal of who looks at it.
#[derive(Debug)]
pub struct Harmless<W>(pub W);

impl<W: Write> Write for Harmless<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let harmful = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
        let mut rest = text;
        while let Some(at) = rest.find(harmful) {
            let (clean, odd) = rest.split_at(at);
            self.0.write_str(clean)?;
            let mut behind = odd.chars();
            behind.next().into_iter().try_for_each(|c| write!(self.0, "{}", c.escape_default()))?;
            rest = behind.as_str();
        }
        self.0.write_str(rest)
    }
}
