//! The commands: what they ask the daemon, what they print, how they exit.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | all went well |
//! | 1 | it failed, or the answer is no (`resolve`: nobody knows the MAC) |
//! | 2 | the command line is wrong |
//! | 3 | the daemon cannot be reached |
//! | 4 | the configuration is wrong |

mod args;
mod client;

pub use args::{Args, DEFAULT_CONFIG};

#[cfg(feature = "import")]
use crate::config::import;
use crate::config::{Config, Errors};
use crate::control::{Answer, Reply, Request, Status, frame};
use crate::shell::file;
use crate::shell::terminal;
use crate::shell::words::InWords;
use crate::view::{Harmless, Screen, json, metrics, text};
use argh::FromArgs;
use args::{Check, Command, Leave};
use client::Client;
use core::fmt;
use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write};
use std::process::ExitCode;
use std::time::Duration;

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const UNREACHABLE: u8 = 3;
const CONFIGURATION: u8 = 4;

/// Does what the command line says.
pub fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    // Known before the arguments are: what is wrong with them is told as JSON, too.
    let json = args.iter().any(|arg| arg == "--json");
    let args: Result<Vec<String>, _> = args.into_iter().map(std::ffi::OsString::into_string).collect();
    let Ok(args) = args else {
        return fail(json, &Failure::usage("an argument is not UTF-8".into()));
    };
    let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
    if args == ["--version"] || args == ["-V"] {
        args = vec!["version"];
    }
    if cfg!(not(feature = "import")) && args.first() == Some(&"import") {
        let text = "this build has no 'import'; a program that has it, on any machine, writes the file";
        return fail(json, &Failure::usage(text.into()));
    }
    match Args::from_args(&["dmevpn"], &args) {
        Ok(Args { command: Command::Daemon(daemon) }) => {
            crate::shell::daemon::run(&daemon.config, daemon.service)
        }
        Ok(Args { command }) => end(json, run(command)),
        Err(exit) if exit.status.is_ok() => end(json, print(|out| out.write_str(&exit.output)).map(drop)),
        Err(exit) => fail(json, &Failure::usage(exit.output.trim_end().into())),
    }
}

/// Why a command ends with another code than 0.
#[derive(Debug)]
struct Failure {
    code: u8,
    /// What to say; empty when standard output says it already.
    text: String,
    /// A configuration, and all that is wrong with it.
    refused: Option<Errors>,
}

impl Failure {
    fn new(code: u8, text: String) -> Failure {
        Failure { code, text, refused: None }
    }

    fn failed(text: String) -> Failure {
        Failure::new(FAILED, text)
    }

    fn usage(text: String) -> Failure {
        Failure::new(USAGE, text)
    }

    fn unreachable(text: String) -> Failure {
        Failure::new(UNREACHABLE, text)
    }

    /// A configuration that cannot be read, or not be used.
    fn configuration(errors: Errors) -> Failure {
        Failure { code: CONFIGURATION, text: errors.to_string(), refused: Some(errors) }
    }

    /// A configuration the daemon did not take.
    fn refused(errors: Errors) -> Failure {
        let text = format!("{errors}\nthe daemon keeps its earlier configuration");
        Failure { code: CONFIGURATION, text, refused: Some(errors) }
    }

    /// The output says it.
    fn said(code: u8) -> Failure {
        Failure::new(code, String::new())
    }
}

fn end(json: bool, result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(json, &failure),
    }
}

fn fail(json: bool, failure: &Failure) -> ExitCode {
    let Failure { code, text, refused } = failure;
    // Nobody is left to be told when one of these fails.
    if text.is_empty() {
    } else if json {
        // A sentence is one line, whatever it is made of.
        let sentence = text.split_whitespace().collect::<Vec<_>>().join(" ");
        drop(print(|out| {
            json::error(out, &sentence, *code, refused.as_ref());
            Ok(())
        }));
    } else {
        // Errors in a configuration begin with FILE:LINE, which editors understand.
        let prefix = if refused.is_some() { "" } else { "dmevpn: " };
        complain(format_args!("{prefix}{}", text.trim_end()));
    }
    ExitCode::from(*code)
}

fn run(command: Command) -> Result<(), Failure> {
    let screen = Screen { width: terminal::width() };
    match command {
        Command::Daemon(_) => Ok(()),
        Command::Status(c) => match ask(&c.socket, c.timeout, &Request::Status)? {
            Reply::Status(mut status) => {
                only(&mut status, c.vn.as_deref())?;
                show(c.json, |out| json::status(out, &status), |out| text::status(out, screen, &status))
            }
            _ => Err(another_question()),
        },
        Command::Macs(c) => match ask(&c.socket, c.timeout, &Request::Macs { vn: c.vn })? {
            Reply::Macs(vns) => {
                show(c.json, |out| json::macs(out, &vns), |out| text::macs(out, screen, &vns))
            }
            _ => Err(another_question()),
        },
        Command::Peers(c) => match ask(&c.socket, c.timeout, &Request::Peers { vn: c.vn })? {
            Reply::Peers(vns) => {
                show(c.json, |out| json::peers(out, &vns), |out| text::peers(out, screen, &vns))
            }
            _ => Err(another_question()),
        },
        Command::Resolve(c) => {
            let request = Request::Resolve { vn: c.vn.clone(), mac: c.mac };
            match ask(&c.socket, c.timeout, &request)? {
                Reply::Resolved(answer) => {
                    show(
                        c.json,
                        |out| json::resolved(out, &c.vn, c.mac, &answer),
                        |out| text::resolved(out, c.mac, &answer),
                    )?;
                    match answer {
                        Answer::At { .. } | Answer::Local => Ok(()),
                        Answer::NotResolved(_) => Err(Failure::said(FAILED)),
                    }
                }
                _ => Err(another_question()),
            }
        }
        Command::Flush(c) => done(c.json, ask(&c.socket, c.timeout, &flush(c.which)?)?),
        Command::Reload(c) => done(c.json, ask(&c.socket, c.timeout, &Request::Reload)?),
        Command::Monitor(c) => monitor(c.json, &c.socket, c.timeout),
        Command::Events(c) => match ask(&c.socket, c.timeout, &Request::Lately { after: c.after })? {
            Reply::Lately(lately) => show(
                c.json,
                |out| json::lately(out, &lately),
                |out| lately.happenings.iter().try_for_each(|happening| text::happening(out, happening)),
            ),
            _ => Err(another_question()),
        },
        Command::Metrics(c) => match ask(&c.socket, c.timeout, &Request::Metrics)? {
            Reply::Metrics(found) => show(
                c.json,
                |out| metrics::json(out, &found),
                |out| {
                    metrics::text(out, &found);
                    Ok(())
                },
            ),
            _ => Err(another_question()),
        },
        Command::Check(c) => check(&c),
        #[cfg(feature = "import")]
        Command::Import(c) => {
            let octets = file::read_file(&c.file).map_err(Failure::configuration)?;
            let config = import::import(&c.file, &octets).map_err(Failure::configuration)?;
            show(c.json, |out| json::imported(out, &c.file, &config), |out| out.write_str(&config))
        }
        Command::Leave(c) => leave(&c),
        Command::Version(c) => {
            let version = env!("CARGO_PKG_VERSION");
            show(
                c.json,
                |out| json::version(out, version, frame::VERSION),
                |out| writeln!(out, "dmevpn {version} (control version {})", frame::VERSION),
            )
        }
    }
}

fn ask(socket: &str, timeout: Duration, request: &Request) -> Result<Reply, Failure> {
    Client::connect(socket, timeout)?.ask(request)
}

/// Leaves only the VN that was asked for, if one was.
fn only(status: &mut Status, vn: Option<&str>) -> Result<(), Failure> {
    let Some(vn) = vn else { return Ok(()) };
    status.vns.retain(|v| v.name == vn);
    if status.vns.is_empty() { Err(Failure::failed(format!("there is no VN '{vn}'"))) } else { Ok(()) }
}

/// Done is done: without `--json` there is nothing to say.
fn done(json: bool, reply: Reply) -> Result<(), Failure> {
    match reply {
        Reply::Done => show(json, json::done, |_| Ok(())),
        _ => Err(another_question()),
    }
}

fn flush(which: Vec<String>) -> Result<Request, Failure> {
    let mut which = which.into_iter();
    let vn = which.next();
    let mac = which
        .next()
        .map(|mac| mac.parse().map_err(|e| Failure::usage(format!("'{mac}' is {e}"))))
        .transpose()?;
    if let Some(more) = which.next() {
        return Err(Failure::usage(format!("flush takes a VN and a MAC, not '{more}' too")));
    }
    Ok(Request::Flush { vn, mac })
}

fn monitor(json: bool, socket: &str, timeout: Duration) -> Result<(), Failure> {
    let mut client = Client::connect(socket, timeout)?;
    let mut reply = client.ask(&Request::Monitor)?;
    client.wait_forever();
    loop {
        match reply {
            Reply::Done => {}
            Reply::Event(event) => {
                let there = print(|out| {
                    if json {
                        json::happening(out, &event);
                        return Ok(());
                    }
                    text::happening(out, &event)
                })?;
                if !there {
                    return Ok(());
                }
            }
            _ => return Err(another_question()),
        }
        reply = client.read()?;
    }
}

fn check(check: &Check) -> Result<(), Failure> {
    let file = &check.file;
    let text = file::read_config(file).map_err(Failure::configuration)?;
    let parsed = Config::parse(file, &text);
    let warnings = Config::warnings(&text);
    if check.json {
        let errors = parsed.as_ref().err().map_or(&[][..], Errors::as_slice);
        show(true, |out| json::checked(out, file, errors, &warnings), |_| Ok(()))?;
        return if errors.is_empty() { Ok(()) } else { Err(Failure::said(CONFIGURATION)) };
    }
    parsed.map_err(Failure::configuration)?;
    for warning in &warnings {
        complain(format_args!("{file}:{}: warning: {}", warning.line, warning.text));
    }
    show(false, |_| {}, |out| writeln!(out, "{file}: no errors"))
}

fn leave(leave: &Leave) -> Result<(), Failure> {
    let removed = crate::shell::leave::leave(&leave.config).map_err(Failure::failed)?;
    show(
        leave.json,
        |out| json::left(out, &removed),
        |out| removed.iter().try_for_each(|name| writeln!(out, "removed {name}")),
    )
}

fn another_question() -> Failure {
    Failure::failed("the daemon answered another question than the one asked".into())
}

/// Prints as JSON or as text.
fn show(
    as_json: bool,
    json: impl FnOnce(&mut dyn fmt::Write),
    text: impl FnOnce(&mut dyn fmt::Write) -> fmt::Result,
) -> Result<(), Failure> {
    let printed = print(|out| {
        if as_json {
            json(out);
            return Ok(());
        }
        text(out)
    });
    printed.map(drop)
}

/// Prints what `write` writes; false when the reader went away, as `head` does, which is no failure.
fn print(write: impl FnOnce(&mut dyn fmt::Write) -> fmt::Result) -> Result<bool, Failure> {
    let mut out = Harmless(Output { out: BufWriter::new(io::stdout().lock()), failed: None });
    // An error of the output is in `failed`; the rendering itself has none.
    let _ = write(&mut out);
    let result = match out.0.failed.take() {
        Some(failed) => Err(failed),
        None => out.0.out.flush(),
    };
    match result {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(Failure::failed(format!("cannot write: {}", InWords(&e)))),
    }
}

/// A line to standard error.
fn complain(text: fmt::Arguments<'_>) {
    let mut line = Harmless(String::new());
    // Nobody is left to be told when this fails.
    let _ = fmt::Write::write_fmt(&mut line, text);
    let _ = writeln!(io::stderr().lock(), "{}", line.0);
}

/// Standard output, as text is written to it. It takes no more after an error.
struct Output {
    out: BufWriter<StdoutLock<'static>>,
    failed: Option<io::Error>,
}

impl fmt::Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.failed.is_none() {
            self.failed = self.out.write_all(text.as_bytes()).err();
        }
        if self.failed.is_some() { Err(fmt::Error) } else { Ok(()) }
    }
}
