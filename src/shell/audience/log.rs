//! The log: a line a message, for a person at a terminal or for a service manager.
//!
//! Nobody who does not read it stops the daemon, or ends it: lines go into a pipe of our own ([`outlet`]), which holds
//! 64 KiB. A line that has no room there is lost, and the number of those told as soon as there is room. So it is with
//! lines that the output refuses, such as a file on a full disk, once it takes one.
//!
//! Nor does anybody fill it: of each [kind](super::kinds) some lines are told in a minute. The kind of a message is the
//! place in the program that logs it; with a target (`log::warn!(target: NAME, ...)`) the place and what it is about,
//! with the target [`OPERATOR`] none. What log level `debug` adds is not limited: somebody wants to see all.

use super::kinds::{self, Kind, Kinds, Verdict};
use super::outlet::{self, Carried, Far, WHOLE};
use crate::control::words;
use crate::engine::{Event, VnKey};
use crate::shell::beside::beside;
use crate::shell::clock::Clock;
use crate::time::Instant;
use log::{Level, LevelFilter, Log, Metadata, Record};
use simple_logger::SimpleLogger;
use std::fmt::{self, Write};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

/// The target of lines about what an operator did or has to do, of which none is left out.
pub const OPERATOR: &str = "operator";

/// What a line has at most, in octets: with what is put before it, it is written whole.
const MOST: usize = WHOLE - 32;
const MINUTE: Duration = Duration::from_secs(60);
/// The end does not wait longer for those who do not read.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(1);

static LOGGER: OnceLock<Logger> = OnceLock::new();
/// Whether a thread carries lines on.
static IS_CARRIED: AtomicBool = AtomicBool::new(false);

/// The log is open as long as this lives; what is still on its way then has a second.
#[derive(Debug)]
pub struct Open(());

/// Begins to log. For a service manager, which adds time and level itself, the text alone: information to standard
/// output, warnings and errors to standard error. For a person all to standard error, with the level.
///
/// It starts threads: signals that are taken otherwise are blocked before.
pub fn start(service: bool) -> io::Result<Open> {
    begin(service, MINUTE)
}

fn begin(service: bool, minute: Duration) -> io::Result<Open> {
    let logger = LOGGER.get_or_init(|| Logger {
        person: (!service).then(SimpleLogger::new),
        clock: Clock::start(),
        kinds: Mutex::new(Kinds::new(minute)),
        outputs: [libc::STDOUT_FILENO, libc::STDERR_FILENO].map(|out| Output { out, lost: Mutex::new(0) }),
    });
    let fars: io::Result<Vec<Far>> =
        logger.in_use().iter().map(|output| outlet::redirect(output.out)).collect();
    let fars = fars?;
    beside("log", move || logger.carry(fars))?;
    IS_CARRIED.store(true, Ordering::SeqCst);
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
    // Whoever dies may hold them.
    if let Ok(mut kinds) = logger.kinds.try_lock() {
        logger.tell_left_out(&mut kinds, None);
    }
    logger.in_use().iter().for_each(|output| outlet::close(output.out));
    let mut left = PATIENCE;
    while IS_CARRIED.load(Ordering::SeqCst) && left > Duration::ZERO {
        thread::sleep(PAUSE);
        left -= PAUSE;
    }
}

/// Something happened in the VN of that name.
pub fn happening(vn: VnKey, name: &str, event: &Event) {
    let level = words::level(event);
    let Some(logger) = LOGGER.get().filter(|_| level <= log::max_level()) else { return };
    let text = words::sentence(event);
    logger.limited(Kind::happening(vn, event), level, format_args!("{name}: {text}"));
}

/// A line to standard error that stands for itself, such as `FILE:LINE: what is wrong there`.
pub fn complain(text: &str) {
    if outlet::has_room(libc::STDERR_FILENO) {
        outlet::write(libc::STDERR_FILENO, Line::of(format_args!("{text}")).0.as_bytes());
    }
}

struct Logger {
    person: Option<SimpleLogger>,
    clock: Clock,
    kinds: Mutex<Kinds>,
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
        match record.target() {
            OPERATOR => self.line(record.level(), *record.args()),
            _ => self.limited(Kind::of(record), record.level(), *record.args()),
        }
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

    /// A line, if there were not many like it.
    fn limited(&self, kind: Kind, level: Level, text: fmt::Arguments<'_>) {
        if level <= Level::Info {
            let now = self.clock.now();
            let mut kinds = hold(&self.kinds);
            self.tell_left_out(&mut kinds, Some(now));
            match kinds.count(now, kind, level) {
                Verdict::Tell => {}
                Verdict::Last(sample) => *sample = kinds::sample(text.to_string()),
                Verdict::LeaveOut => return,
            }
        }
        self.line(level, text);
    }

    /// Tells what was left out in minutes that are over `now`, or at all.
    fn tell_left_out(&self, kinds: &mut Kinds, now: Option<Instant>) {
        while let Some(over) = kinds.over(now) {
            let all = if over.is_monitored { "; 'dmevpn monitor' shows all" } else { "" };
            let (sample, count) = (over.sample, over.count);
            self.line(over.level, format_args!("{sample} (and {count} more like it within a minute{all})"));
        }
    }

    fn line(&self, level: Level, text: fmt::Arguments<'_>) {
        let output = self.output(level);
        let mut lost = hold(&output.lost);
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

    /// Carries on what is written to the outputs in use, until all is.
    fn carry(&self, mut fars: Vec<Far>) {
        let mut outputs: Vec<&Output> = self.in_use().iter().collect();
        while !fars.is_empty() {
            let now = self.clock.now();
            let most = {
                let mut kinds = hold(&self.kinds);
                self.tell_left_out(&mut kinds, Some(now));
                kinds.deadline().map(|at| at.since(now))
            };
            outlet::wait_for(&fars, most);
            for at in (0..fars.len()).rev() {
                match fars[at].carry() {
                    Carried::Taken { refused } => {
                        let mut lost = hold(&outputs[at].lost);
                        *lost = lost.saturating_add(refused);
                        self.tell_lost(outputs[at], &mut lost);
                    }
                    Carried::Nothing => {}
                    Carried::End => {
                        fars.remove(at);
                        outputs.remove(at);
                    }
                }
            }
        }
        IS_CARRIED.store(false, Ordering::SeqCst);
    }
}

/// What a mutex holds. Nobody leaves it half changed.
fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A text with its newline. What others name themselves comes here, too: no control character gets through, so that
/// they can neither begin a line nor command a terminal.
struct Line(String);

impl Line {
    fn of(text: fmt::Arguments<'_>) -> Line {
        let mut line = Line(String::new());
        // It only fails when a value in it cannot be formatted; what was written up to there counts.
        let _ = line.write_fmt(text);
        kinds::cut(&mut line.0, MOST - 1);
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

    /// What `act` makes a program say, to which the log is open and a minute takes 300 ms; nothing where an emulator runs
    /// this program, and the kernel cannot.
    fn said(name: &str, act: impl FnOnce()) -> Option<String> {
        const CHILD: &str = "DMEVPN_TEST_LOG";
        if std::env::var_os(CHILD).is_some() {
            let _open = begin(false, Duration::from_millis(300)).unwrap();
            act();
            std::process::exit(0);
        }
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", &format!("shell::audience::log::tests::{name}"), "--nocapture"]);
        match child.env(CHILD, "1").output() {
            Err(e) if e.raw_os_error() == Some(libc::ENOEXEC) => {
                println!("skipped: {e}");
                None
            }
            output => Some(String::from_utf8(output.unwrap().stderr).unwrap()),
        }
    }

    fn log_lines(count: u32) {
        (0..count).for_each(|n| log::info!("line {n}"));
    }

    /// What a program says while it dies goes the same way.
    #[test]
    fn the_words_of_a_panic_are_not_lost() {
        let Some(said) = said("the_words_of_a_panic_are_not_lost", || {
            log_lines(25);
            panic!("this is why");
        }) else {
            return;
        };
        let is_there = |words| said.contains(words);
        assert!(is_there("line 9\n") && is_there("this is why") && is_there("and 15 more"), "{said}");
    }

    /// Nothing else is logged then, and nothing is at the end: a program that exits so does not wait for its log.
    #[test]
    fn the_number_of_lines_left_out_is_told_when_the_minute_is_over() {
        let Some(said) = said("the_number_of_lines_left_out_is_told_when_the_minute_is_over", || {
            log_lines(25);
            thread::sleep(Duration::from_millis(900));
        }) else {
            return;
        };
        assert!(said.ends_with("INFO  [dmevpn] line 9 (and 15 more like it within a minute)\n"), "{said}");
        assert_eq!(said.matches("line ").count(), 11, "{said}");
    }
}
