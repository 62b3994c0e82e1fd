//! The log: a line a message, for a person at a terminal or for a service manager.
//!
//! Nobody who does not read it stops the daemon, or ends it: lines go into a pipe of our own ([`outlet`]), which holds
//! 64 KiB. A line that has no room there is left out, and the number of those told as soon as there is room. So it is
//! with lines that the output refuses, such as a file on a full disk, once it takes one.

use super::outlet::{self, Carried, Far, WHOLE};
use log::{Level, LevelFilter, Log, Metadata, Record};
use simple_logger::SimpleLogger;
use std::fmt::{self, Write};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

/// What a line has at most, in octets: with what is put before it, it is written whole.
const MOST: usize = WHOLE - 32;
/// Of this a thread that carries lines on uses the first two pages.
const STACK: usize = 64 << 10;
/// The end does not wait longer for those who do not read.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(1);

static LOGGER: OnceLock<Logger> = OnceLock::new();
/// Threads that carry lines on.
static CARRIERS: AtomicUsize = AtomicUsize::new(0);

/// The log is open as long as this lives; what is still on its way then has a second.
#[derive(Debug)]
pub struct Open(());

/// Begins to log. For a service manager, which adds time and level itself, the text alone: information to standard
/// output, warnings and errors to standard error. For a person all to standard error, with the level.
///
/// It starts threads: signals that are taken otherwise are blocked before.
pub fn start(service: bool) -> io::Result<Open> {
    let logger = LOGGER.get_or_init(|| Logger {
        person: (!service).then(SimpleLogger::new),
        outputs: [libc::STDOUT_FILENO, libc::STDERR_FILENO].map(|out| Output { out, lost: Mutex::new(0) }),
    });
    for output in logger.in_use() {
        let far = outlet::redirect(output.out)?;
        let thread = thread::Builder::new().name("log".into()).stack_size(STACK);
        thread.spawn(move || logger.carry(output, far))?;
        CARRIERS.fetch_add(1, Ordering::SeqCst);
    }
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        finish();
    }));
    // Fails only when a logger is there already, which serves as well.
    let _ = log::set_logger(logger);
    log::set_max_level(LevelFilter::Info);
    Ok(Open(()))
}

impl Drop for Open {
    fn drop(&mut self) {
        finish();
    }
}

/// Waits, but not for long, until what was written is carried on.
fn finish() {
    let Some(logger) = LOGGER.get() else { return };
    logger.in_use().iter().for_each(|output| outlet::close(output.out));
    let mut left = PATIENCE;
    while CARRIERS.load(Ordering::SeqCst) > 0 && left > Duration::ZERO {
        thread::sleep(PAUSE);
        left -= PAUSE;
    }
}

/// A line to standard error that stands for itself, such as `FILE:LINE: what is wrong there`.
pub fn complain(text: &str) {
    if outlet::has_room(libc::STDERR_FILENO) {
        outlet::write(libc::STDERR_FILENO, Line::of(format_args!("{text}")).0.as_bytes());
    }
}

struct Logger {
    person: Option<SimpleLogger>,
    outputs: [Output; 2],
}

/// Where lines go.
#[derive(Debug)]
struct Output {
    out: libc::c_int,
    /// Lines left out and not told of. Who writes holds it: between the look for room and the line nobody takes the room.
    lost: Mutex<u32>,
}

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        self.line(record.level(), *record.args());
    }

    fn flush(&self) {}
}

impl Logger {
    fn in_use(&self) -> &[Output] {
        if self.person.is_some() { &self.outputs[1..] } else { &self.outputs }
    }

    fn output(&self, level: Level) -> &Output {
        let [out, err] = &self.outputs;
        if self.person.is_none() && level >= Level::Info { out } else { err }
    }

    fn line(&self, level: Level, text: fmt::Arguments<'_>) {
        let output = self.output(level);
        let mut lost = output.lost.lock().unwrap_or_else(PoisonError::into_inner);
        self.tell_lost(output, &mut lost);
        if *lost > 0 || !self.write(output, level, text) {
            *lost = lost.saturating_add(1);
        }
    }

    fn tell_lost(&self, output: &Output, lost: &mut u32) {
        // Where information goes that is all there is.
        let level = if self.person.is_none() && output.out == libc::STDOUT_FILENO {
            Level::Info
        } else {
            Level::Warn
        };
        if *lost > 0
            && self.write(output, level, format_args!("{lost} lines were lost here: nobody took them"))
        {
            *lost = 0;
        }
    }

    /// Whether it could be written.
    fn write(&self, output: &Output, level: Level, text: fmt::Arguments<'_>) -> bool {
        // Without room simple_logger panics.
        if !outlet::has_room(output.out) {
            return false;
        }
        let line = Line::of(text);
        match &self.person {
            Some(person) => {
                let text = line.0.trim_end();
                person.log(
                    &Record::builder().level(level).target("dmevpn").args(format_args!("{text}")).build(),
                );
            }
            None => outlet::write(output.out, line.0.as_bytes()),
        }
        true
    }

    /// Carries on what is written to `output`, until all is.
    fn carry(&self, output: &Output, mut far: Far) {
        loop {
            match far.carry(None) {
                Carried::Taken { refused } => {
                    let mut lost = output.lost.lock().unwrap_or_else(PoisonError::into_inner);
                    *lost = lost.saturating_add(refused);
                    self.tell_lost(output, &mut lost);
                }
                Carried::Nothing => {}
                Carried::End => break,
            }
        }
        CARRIERS.fetch_sub(1, Ordering::SeqCst);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line() {
        assert_eq!(Line::of(format_args!("a\nb\x1b[31m\u{9b}ü")).0, "a\\nb\\u{1b}[31m\\u{9b}ü\n");
        let long = Line::of(format_args!("{}", "ü".repeat(MOST))).0;
        assert_eq!((long.len(), long.ends_with("ü\n")), (MOST - 1, true));
    }
    /// What a program says while it dies goes the same way.
    #[test]
    fn the_words_of_a_panic_are_not_lost() {
        const CHILD: &str = "DMEVPN_TEST_PANICS";
        if std::env::var_os(CHILD).is_some() {
            let _open = start(false).unwrap();
            (0..100).for_each(|n| log::info!("line {n}"));
            panic!("this is why");
        }
        let name = "shell::audience::log::tests::the_words_of_a_panic_are_not_lost";
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let output = child.args(["--exact", name, "--nocapture"]).env(CHILD, "1").output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("line 99\n") && said.contains("this is why"), "{said}");
    }
}
