//! The log: a line a message, for a person at a terminal or for a service manager.
//!
//! Nobody who does not read it stops the daemon, or ends it: a line that cannot be written at once is left out, and
//! their number told later.

use log::{Level, LevelFilter, Log, Metadata, Record};
use simple_logger::SimpleLogger;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU32, Ordering};

/// What a pipe takes whole or not at all (PIPE_BUF), once it takes anything.
const MOST: usize = 4096;

/// Begins to log. For a service manager, which adds time and level itself, the text alone: information to standard
/// output, warnings and errors to standard error. For a person all to standard error, with the level.
pub fn start(service: bool) {
    let person = (!service).then(SimpleLogger::new);
    // Fails only when a logger is there already, which serves as well.
    let _ = log::set_boxed_logger(Box::new(Logger { person, lost: AtomicU32::new(0) }));
    log::set_max_level(LevelFilter::Info);
}

/// A line to standard error that stands for itself, such as `FILE:LINE: what is wrong there`.
pub fn complain(text: &str) {
    write(libc::STDERR_FILENO, &Line::of(format_args!("{text}")));
}

struct Logger {
    person: Option<SimpleLogger>,
    /// Lines left out and not told of.
    lost: AtomicU32,
}

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let lost = self.lost.load(Ordering::Relaxed);
        if lost > 0
            && self.write(record.level(), format_args!("{lost} lines were left out here: nobody took them"))
        {
            self.lost.fetch_sub(lost, Ordering::Relaxed);
        }
        if !self.write(record.level(), *record.args()) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {}
}

impl Logger {
    /// Whether it could be written.
    fn write(&self, level: Level, text: fmt::Arguments<'_>) -> bool {
        let line = Line::of(text);
        let Some(person) = &self.person else {
            let out = if level >= Level::Info { libc::STDOUT_FILENO } else { libc::STDERR_FILENO };
            return write(out, &line);
        };
        // It panics when it cannot write.
        if !takes_a_line(libc::STDERR_FILENO) {
            return false;
        }
        let text = line.0.trim_end();
        person.log(&Record::builder().level(level).target("dmevpn").args(format_args!("{text}")).build());
        true
    }
}

/// A text with its newline. What others name themselves comes here, too: no control character gets through, so that
/// they can neither begin a line nor command a terminal.
struct Line(String);

impl Line {
    fn of(text: fmt::Arguments<'_>) -> Line {
        let mut line = Line(String::new());
        // It only fails when a value in it cannot be formatted; what was written up to there counts.
        let _ = line.write_fmt(text);
        let mut end = line.0.len().min(MOST - 1);
        while !line.0.is_char_boundary(end) {
            end -= 1;
        }
        line.0.truncate(end);
        line.0.push('\n');
        line
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if c.is_control() { self.0.extend(c.escape_default()) } else { self.0.push(c) }
        }
        Ok(())
    }
}

/// Writes without waiting; whether it was written.
fn write(out: libc::c_int, Line(line): &Line) -> bool {
    // SAFETY: `line` is as long as the kernel is told.
    #[allow(unsafe_code)]
    let written = || unsafe { libc::write(out, line.as_ptr().cast(), line.len()) };
    takes_a_line(out) && written() == line.len() as isize
}

/// Whether a write of at most [`MOST`] octets would neither wait nor fail.
fn takes_a_line(out: libc::c_int) -> bool {
    let mut poll = libc::pollfd { fd: out, events: libc::POLLOUT, revents: 0 };
    // SAFETY: it is one `pollfd`, as the kernel is told.
    #[allow(unsafe_code)]
    let ready = unsafe { libc::poll(&raw mut poll, 1, 0) };
    ready == 1 && poll.revents == libc::POLLOUT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line() {
        assert_eq!(Line::of(format_args!("a\nb\x1b[31m\u{9b}ü")).0, "a\\nb\\u{1b}[31m\\u{9b}ü\n");
        let long = Line::of(format_args!("{}", "ü".repeat(MOST))).0;
        assert_eq!((long.len(), long.ends_with("ü\n")), (MOST - 1, true));
    }
}
