//! The commands, as `dmevpn --help` and `dmevpn COMMAND --help` tell them.

use argh::FromArgs;
use dmevpn::cli::Args;

/// A command.
pub struct Command {
    /// Its name.
    pub name: String,
    /// How it is called, from its name on.
    pub usage: String,
    /// What it does.
    pub about: String,
    /// Its arguments by place.
    pub places: Vec<Argument>,
    /// Its options, without `--help`.
    pub options: Vec<Argument>,
}

/// An argument of a command, or a code it ends with.
#[derive(Clone, PartialEq, Eq)]
pub struct Argument {
    /// As it is written: `--json`, `vn`.
    pub name: String,
    /// What it is.
    pub help: String,
}

impl Command {
    /// What an option takes, such as `file`; nothing for a switch.
    pub fn takes(&self, option: &str) -> Option<&str> {
        let (_, rest) = self.usage.split_once(&format!("[{option} <"))?;
        rest.split('>').next()
    }
}

/// All commands, in the order of `dmevpn --help`.
pub fn commands() -> Vec<Command> {
    let names = section(&help(&[]), "Commands:");
    names.into_iter().map(|command| of(&command.name)).collect()
}

/// The option that tells all this.
pub fn help_option() -> Argument {
    let options = section(&help(&["status"]), "Options:").into_iter();
    let mut option = options.last().expect("the help is told last");
    // The bare word is taken too, but is nothing to advertise.
    option.name = option.name.trim_end_matches(", help").to_owned();
    option
}

/// What the exit codes mean.
pub fn exit_codes() -> Vec<Argument> {
    let help = help(&[]);
    let (_, codes) = help.split_once("Error codes:\n").expect("the help tells the exit codes");
    let codes = codes.lines().map(|line| line.trim().split_once(' ').expect(line));
    codes.map(|(code, text)| Argument { name: code.to_owned(), help: text.to_owned() }).collect()
}

fn of(name: &str) -> Command {
    let help = help(&[name]);
    let mut paragraphs = help.split("\n\n");
    let usage =
        paragraphs.next().and_then(|p| p.trim().strip_prefix("Usage: dmevpn ")).expect(name).to_owned();
    let about = paragraphs.next().expect(name).to_owned();
    let mut options = section(&help, "Options:");
    options.retain(|option| !option.name.contains("help"));
    Command { name: name.to_owned(), usage, about, places: section(&help, "Positional Arguments:"), options }
}

fn help(command: &[&str]) -> String {
    let args = [command, &["--help"]].concat();
    Args::from_args(&["dmevpn"], &args).expect_err("it is the help").output
}

/// The rows of the section of a help text that `heading` opens.
fn section(help: &str, heading: &str) -> Vec<Argument> {
    /// Where what is said of a row begins.
    const COLUMN: usize = 20;
    let mut rows: Vec<Argument> = Vec::new();
    let lines = help.lines().skip_while(|line| *line != heading).skip(1);
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, text) = line.split_at_checked(COLUMN).unwrap_or((line, ""));
        match (name.trim(), rows.last_mut()) {
            ("", Some(row)) => row.help += &format!(" {text}"),
            (name, _) => rows.push(Argument { name: name.to_owned(), help: text.to_owned() }),
        }
    }
    assert!(rows.iter().all(|row| !row.help.is_empty()), "{help}");
    rows
}
