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
mod metrics;
pub mod print;
mod table;

pub use args::{Args, DEFAULT_CONFIG};
pub use metrics::metrics;

use crate::config::Config;
#[cfg(feature = "import")]
use crate::config::import;
use crate::control::{Answer, Reply, Request, frame};
use argh::FromArgs;
use args::{Check, Command};
use client::Client;
use serde::Serialize;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const UNREACHABLE: u8 = 3;
const CONFIGURATION: u8 = 4;

/// Does what the command line says.
pub fn main() -> ExitCode {
    let args: Result<Vec<String>, _> =
        std::env::args_os().skip(1).map(std::ffi::OsString::into_string).collect();
    let Ok(args) = args else {
        return fail(&Failure { code: USAGE, text: "an argument is not UTF-8".into() });
    };
    let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
    if args == ["--version"] || args == ["-V"] {
        args = vec!["version"];
    }
    if cfg!(not(feature = "import")) && args.first() == Some(&"import") {
        let text =
            "this build has no 'import'; a program that has it, on any machine, writes the file".into();
        return fail(&Failure { code: USAGE, text });
    }
    let command = match Args::from_args(&["dmevpn"], &args) {
        Ok(args) => args.command,
        Err(exit) if exit.status.is_ok() => return end(print(&exit.output)),
        Err(exit) => return fail(&Failure { code: USAGE, text: exit.output.trim_end().into() }),
    };
    match command {
        Command::Daemon(daemon) => crate::shell::daemon::run(&daemon.config),
        command => end(run(command)),
    }
}

/// Why a command ends with another code than 0.
struct Failure {
    code: u8,
    /// For standard error; empty when standard output says it already.
    text: String,
}

impl Failure {
    fn failed(text: String) -> Failure {
        Failure { code: FAILED, text }
    }

    fn unreachable(text: String) -> Failure {
        Failure { code: UNREACHABLE, text }
    }

    fn configuration(text: String) -> Failure {
        Failure { code: CONFIGURATION, text }
    }
}

fn end(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(&failure),
    }
}

fn fail(failure: &Failure) -> ExitCode {
    if !failure.text.is_empty() {
        // Nobody is left to be told when this fails.
        // Errors in a configuration begin with FILE:LINE, which editors understand.
        let prefix = if failure.code == CONFIGURATION { "" } else { "dmevpn: " };
        let _ = writeln!(std::io::stderr().lock(), "{prefix}{}", failure.text.trim_end());
    }
    ExitCode::from(failure.code)
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Daemon(_) => Ok(()),
        Command::Status(c) => match ask(&c.socket, &Request::Status)? {
            Reply::Status(status) => show(c.json, &status, print::status),
            _ => Err(another_question()),
        },
        Command::Macs(c) => match ask(&c.socket, &Request::Macs { vn: c.vn })? {
            Reply::Macs(vns) => show(c.json, &vns, |vns| print::macs(vns)),
            _ => Err(another_question()),
        },
        Command::Peers(c) => match ask(&c.socket, &Request::Peers { vn: c.vn })? {
            Reply::Peers(vns) => show(c.json, &vns, |vns| print::peers(vns)),
            _ => Err(another_question()),
        },
        Command::Resolve(c) => match ask(&c.socket, &Request::Resolve { vn: c.vn, mac: c.mac })? {
            Reply::Resolved(answer) => {
                show(c.json, &answer, |answer| print::resolved(c.mac, answer))?;
                match answer {
                    Answer::At { .. } | Answer::Local => Ok(()),
                    Answer::NotResolved(_) => Err(Failure::failed(String::new())),
                }
            }
            _ => Err(another_question()),
        },
        Command::Flush(c) => done(&c.socket, &flush(c.which)?, c.json),
        Command::Reload(c) => done(&c.socket, &Request::Reload, c.json),
        Command::Monitor(c) => monitor(&c.socket, c.json),
        Command::Metrics(c) => match ask(&c.socket, &Request::Metrics)? {
            Reply::Metrics(found) => show(c.json, &found, metrics),
            _ => Err(another_question()),
        },
        Command::Check(c) => check(&c),
        #[cfg(feature = "import")]
        Command::Import(c) => {
            let text =
                std::fs::read(&c.file).map_err(|e| Failure::configuration(format!("{}: {e}", c.file)))?;
            let imported = import::import(&c.file, &text);
            print(&imported.map_err(|errors| Failure::configuration(errors.to_string()))?)
        }
        Command::Version(c) => {
            let versions = Versions { version: env!("CARGO_PKG_VERSION"), control: frame::VERSION };
            show(c.json, &versions, |v| format!("dmevpn {} (control version {})\n", v.version, v.control))
        }
    }
}

#[derive(Serialize)]
struct Versions {
    version: &'static str,
    control: u8,
}

fn ask(socket: &str, request: &Request) -> Result<Reply, Failure> {
    Client::connect(socket)?.ask(request)
}

/// Done is done: without `--json` there is nothing to say.
fn done(socket: &str, request: &Request, json: bool) -> Result<(), Failure> {
    match ask(socket, request)? {
        Reply::Done if json => print("{\"done\":true}\n"),
        Reply::Done => Ok(()),
        _ => Err(another_question()),
    }
}

fn flush(which: Vec<String>) -> Result<Request, Failure> {
    let usage = |text: String| Failure { code: USAGE, text };
    let mut which = which.into_iter();
    let vn = which.next();
    let mac =
        which.next().map(|mac| mac.parse().map_err(|e| usage(format!("'{mac}' is {e}")))).transpose()?;
    if let Some(more) = which.next() {
        return Err(usage(format!("flush takes a VN and a MAC, not '{more}' too")));
    }
    Ok(Request::Flush { vn, mac })
}

fn monitor(socket: &str, json: bool) -> Result<(), Failure> {
    let mut client = Client::connect(socket)?;
    let mut reply = client.ask(&Request::Monitor)?;
    client.wait_forever()?;
    loop {
        match reply {
            Reply::Done => {}
            Reply::Event(happening) => {
                if !print_or_gone(&rendered(json, &happening, print::happening)?)? {
                    return Ok(());
                }
            }
            _ => return Err(another_question()),
        }
        reply = client.read()?;
    }
}

fn check(check: &Check) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Error<'a> {
        file: &'a str,
        line: u32,
        message: &'a str,
    }
    let file = &check.file;
    let text = std::fs::read_to_string(file).map_err(|e| Failure::configuration(format!("{file}: {e}")))?;
    let parsed = Config::parse(file, &text);
    if check.json {
        let errors = parsed.as_ref().err().map_or(&[][..], |errors| errors.as_slice());
        let errors: Vec<_> = errors.iter().map(|e| Error { file, line: e.line, message: &e.text }).collect();
        print(&json_line(&errors)?)?;
        return if errors.is_empty() { Ok(()) } else { Err(Failure::configuration(String::new())) };
    }
    match parsed {
        Ok(_) => print(&format!("{file}: no errors\n")),
        Err(errors) => Err(Failure::configuration(errors.to_string())),
    }
}

fn another_question() -> Failure {
    Failure::failed("the daemon answered another question than the one asked".into())
}

fn show<T: Serialize>(json: bool, value: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
    print(&rendered(json, value, text)?)
}

fn rendered<T: Serialize>(json: bool, value: &T, text: impl FnOnce(&T) -> String) -> Result<String, Failure> {
    if json { json_line(value) } else { Ok(text(value)) }
}

fn json_line<T: Serialize>(value: &T) -> Result<String, Failure> {
    let mut line = serde_json::to_string(value).map_err(|e| Failure::failed(e.to_string()))?;
    line.push('\n');
    Ok(line)
}

fn print(text: &str) -> Result<(), Failure> {
    print_or_gone(text).map(|_| ())
}

/// Prints; false when the reader went away, as `head` does, which is no failure.
fn print_or_gone(text: &str) -> Result<bool, Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(Failure::failed(format!("cannot write: {e}"))),
    }
}
