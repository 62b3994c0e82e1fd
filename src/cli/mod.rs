//! The commands: what they ask the daemon, what they print, how they exit.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | all went well |
//! | 1 | it failed, or the answer is no (`resolve`: nobody knows the MAC; `doctor`: something is wrong) |
//! | 2 | the command line is wrong |
//! | 3 | the daemon cannot be reached |
//! | 4 | the configuration is wrong |

mod args;
mod client;
mod record;

pub use args::{Args, DEFAULT_CONFIG};

#[cfg(feature = "import")]
use crate::config::import;
use crate::config::options::{FIRST_SPI, SECRET, SPI};
use crate::config::uci::{self, Value};
use crate::config::{Config, DEFAULT_SOCKET, Errors};
use crate::control::frame::{self, Kind, Piece};
use crate::control::{Form, Question, Request};
use crate::shell::random::random;
use crate::shell::words::InWords;
use crate::shell::{doctor, file, terminal};
use crate::types::Label;
use crate::view::{self, CONFIGURATION, FAILED, Failure, Harmless};
use argh::FromArgs;
use args::{Asks, Check, Command, Doctor, Key, KeyCommand, NewKey};
use client::Client;
use core::fmt::Write;
use record::Record;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::process::ExitCode;
use zeroize::Zeroizing;

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
        Err(exit) if exit.status.is_ok() => end(json, print(&exit.output).map(|_| 0)),
        Err(exit) => fail(json, &Failure::usage(exit.output.trim_end().into())),
    }
}

fn end(json: bool, result: Result<u8, Failure>) -> ExitCode {
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => fail(json, &failure),
    }
}

fn fail(json: bool, failure: &Failure) -> ExitCode {
    let form = form(json);
    let mut text = String::new();
    failure.write(&mut text, form);
    if json {
        // Nobody is left to be told when this fails.
        drop(print(&text));
    } else {
        complain(&text);
    }
    ExitCode::from(failure.code)
}

/// How an answer is to look that is printed here.
fn form(json: bool) -> Form {
    let columns = || terminal::width().map_or(0, |width| u16::try_from(width).unwrap_or(u16::MAX));
    if json { Form::Json } else { Form::Text { columns: columns() } }
}

/// The exit code.
fn run(command: Command) -> Result<u8, Failure> {
    let record = match &command {
        Command::Monitor(monitor) => monitor.record.clone().map(|file| (file, monitor.most)),
        _ => None,
    };
    let command = match command.asks() {
        Ok(asks) => return ask(asks?, record),
        Err(command) => command,
    };
    let mut out = String::new();
    match command {
        Command::Check(c) => return check(&c),
        Command::Doctor(d) => return doctor(&d),
        #[cfg(feature = "import")]
        Command::Import(c) => {
            let octets = file::read_file(&c.file).map_err(Failure::configuration)?;
            let config = import::import(&c.file, &octets).map_err(Failure::configuration)?;
            view::imported(&mut out, form(c.json), &c.file, &config);
        }
        Command::Key(Key { command: KeyCommand::New(new) }) => new_key(&mut out, &new)?,
        Command::Leave(c) => {
            let removed = crate::shell::leave::leave(&c.config).map_err(Failure::failed)?;
            view::left(&mut out, form(c.json), &removed);
        }
        Command::Version(c) => {
            view::version(&mut out, form(c.json), env!("CARGO_PKG_VERSION"), frame::VERSION);
        }
        // The others ask the daemon, or are it.
        _ => {}
    }
    print(&out).map(|_| 0)
}

/// Writes a key that no other one is like.
fn new_key(out: &mut String, new: &NewKey) -> Result<(), Failure> {
    let taken = Taken::of(&new.config)?;
    let spi = taken.next(new.name.is_some()).ok_or_else(|| Failure::failed("no number is free".into()))?;
    let name = new.name.clone().unwrap_or_else(|| automatic(spi));
    if !uci::is_name(&name) || name.len() > Label::MOST {
        let most = Label::MOST;
        return Err(Failure::usage(format!("'{name}' is no name: 1 to {most} letters, digits and _")));
    }
    if let Some((_, line)) = taken.names.iter().find(|(taken, _)| *taken == name) {
        let why = "sections of one name are one, and the later secret counts";
        return Err(Failure::failed(format!("{}:{line}: '{name}' is there already: {why}", new.config)));
    }
    let random: [u8; 16] = random().map_err(|e| Failure::failed(InWords(&e).to_string()))?;
    let _ = write!(out, "config key '{name}'\n\toption spi '{spi}'\n\toption secret '");
    for octet in random {
        let _ = write!(out, "{octet:02x}");
    }
    out.push_str("'\n");
    Ok(())
}

/// The name of a key that nobody gave one.
fn automatic(spi: u16) -> String {
    format!("key{spi}")
}

/// What a configuration has already, whatever else is wrong with it.
#[derive(Default)]
struct Taken {
    /// Names of all sections, which types share, and their lines.
    names: Vec<(String, u32)>,
    spis: Vec<u16>,
}

impl Taken {
    /// Of a file that need not be there.
    fn of(path: &str) -> Result<Taken, Failure> {
        if File::open(path).is_err_and(|e| e.kind() == ErrorKind::NotFound) {
            return Ok(Taken::default());
        }
        let text = Zeroizing::new(file::read_config(path).map_err(Failure::configuration)?);
        let mut file =
            uci::parse(&text).map_err(|errors| Failure::configuration(Errors::new(path, errors)))?;
        file.wipe(SECRET.name);
        let mut taken = Taken::default();
        for section in file.sections {
            let spis = section.get(SPI.name).map_or(&[][..], Value::texts);
            taken.spis.extend(spis.iter().filter_map(|spi| spi.text.parse::<u16>().ok()));
            taken.names.extend(section.name.map(|name| (name, section.line)));
        }
        Ok(taken)
    }

    /// The number after the last one, or else one that is free; its name is free, too, if that is not given.
    fn next(&self, is_named: bool) -> Option<u16> {
        let after = self.spis.iter().max().and_then(|last| last.checked_add(1)).unwrap_or(FIRST_SPI);
        let is_free = |spi: &u16| {
            let has_name = || self.names.iter().any(|(name, _)| *name == automatic(*spi));
            !self.spis.contains(spi) && (is_named || !has_name())
        };
        (after.max(FIRST_SPI)..=u16::MAX).chain(FIRST_SPI..=u16::MAX).find(is_free)
    }
}

/// Asks the daemon, and copies its answer, be it to a file.
fn ask(asks: Asks, record: Option<(String, u32)>) -> Result<u8, Failure> {
    let Asks { question, json, timeout, socket } = asks;
    let mut client = Client::connect(&socket, timeout)?;
    let endless = matches!(question, Question::Monitor | Question::Record);
    client.ask(&Request { question, form: form(json) })?;
    let mut file = record.map(|(path, most)| Record::new(path, most)).transpose()?;
    let mut in_line = false;
    loop {
        let Piece { kind, octets } = client.read().inspect_err(|_| {
            if in_line {
                // The error behind half an answer is a line of its own.
                drop(print("\n"));
            }
        })?;
        let text = String::from_utf8_lossy(&octets);
        in_line = kind == Kind::Output && !text.is_empty() && !text.ends_with('\n');
        match kind {
            Kind::Output => {
                let is_read = match &mut file {
                    Some(file) => file.add(&text)?,
                    None => print(&text)?,
                };
                if !is_read {
                    // Who reads it went away, as `head` does, which is no failure.
                    return Ok(0);
                }
            }
            Kind::Complaint => complain(&text),
            Kind::End => return Ok(octets.first().copied().unwrap_or(FAILED)),
        }
        if endless {
            client.wait_forever();
        }
    }
}

fn check(check: &Check) -> Result<u8, Failure> {
    let file = &check.file;
    let text = file::read_config(file).map_err(Failure::configuration)?;
    let parsed = Config::parse_with(file, &text, &file::FILES);
    let warnings = Config::warnings(file, &text, &file::FILES);
    let mut out = String::new();
    if check.json {
        let errors = parsed.as_ref().err().map_or(&[][..], Errors::as_slice);
        view::checked(&mut out, file, errors, &warnings);
        return print(&out).map(|_| if errors.is_empty() { 0 } else { CONFIGURATION });
    }
    parsed.map_err(Failure::configuration)?;
    for warning in &warnings {
        let _ = writeln!(out, "{file}:{}: warning: {}", warning.line, warning.text);
    }
    complain(&out);
    print(&format!("{file}: no errors\n")).map(|_| 0)
}

fn doctor(args: &Doctor) -> Result<u8, Failure> {
    let given = args.config.as_deref();
    let of_file = || Some(file::load(given?).ok()?.main.socket);
    let socket = args.socket.clone().or_else(of_file).unwrap_or_else(|| DEFAULT_SOCKET.into());
    let told = ask_doctor(&socket, args.timeout);
    let its_file =
        told.as_ref().ok().and_then(|text| text.lines().next()?.strip_prefix(view::doctor::CONFIG));
    let path = given.or(its_file).unwrap_or(DEFAULT_CONFIG).to_owned();
    let told = told.map(|text| view::doctor::of_lines(&text)).map_err(|failure| failure.text);
    let all = view::doctor::judge(doctor::facts(&path, told));
    let mut out = String::new();
    view::doctor::write(&mut out, form(args.json), &all);
    print(&out).map(|_| if view::doctor::is_wrong(&all) { FAILED } else { 0 })
}

/// What the daemon thinks of itself.
fn ask_doctor(socket: &str, limit: std::time::Duration) -> Result<String, Failure> {
    let mut client = Client::connect(socket, limit)?;
    client.ask(&Request { question: Question::Doctor, form: form(false) })?;
    let mut text = String::new();
    loop {
        let Piece { kind, octets } = client.read()?;
        let said = String::from_utf8_lossy(&octets);
        match kind {
            Kind::Output => text.push_str(&said),
            Kind::Complaint => {
                return Err(Failure::failed(said.trim().trim_start_matches("dmevpn: ").into()));
            }
            Kind::End => return Ok(text),
        }
    }
}

/// Prints; `false` when the reader went away, as `head` does, which is no failure.
fn print(text: &str) -> Result<bool, Failure> {
    write(&mut io::stdout().lock(), text)
}

/// The same to standard error; nobody is left to be told when that fails.
fn complain(text: &str) {
    drop(write(&mut io::stderr().lock(), text));
}

fn write(out: &mut dyn io::Write, text: &str) -> Result<bool, Failure> {
    let mut harmless = Harmless(String::with_capacity(text.len()));
    // A text takes all there is.
    let _ = harmless.write_str(text);
    match out.write_all(harmless.0.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(Failure::failed(format!("cannot write: {}", InWords(&e)))),
    }
}
