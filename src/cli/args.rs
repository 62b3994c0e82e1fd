//! The command line.

use crate::config::DEFAULT_SOCKET;
use crate::control::Question;
use crate::types::{Mac, Peer};
use crate::view::Failure;
use argh::FromArgs;
use std::time::Duration;

/// Where the configuration is unless told otherwise.
pub const DEFAULT_CONFIG: &str = "/etc/config/dmevpn";

/// How long the daemon may take to answer; a hub that is asked for a MAC gets its retries within this.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// How long the daemon may take to say how it stands.
const DOCTOR_LIMIT: Duration = Duration::from_secs(5);

/// Layer-2 networks across many sites, with direct ways between them.
#[derive(FromArgs, Debug)]
#[argh(
    help_triggers("-h", "--help", "help"),
    error_code(0, "all went well"),
    error_code(1, "it failed, or the answer is no"),
    error_code(2, "the command line is wrong"),
    error_code(3, "the daemon cannot be reached"),
    error_code(4, "the configuration is wrong")
)]
pub struct Args {
    #[argh(subcommand)]
    pub(super) command: Command,
}

#[derive(FromArgs, Debug)]
#[argh(subcommand)]
pub(super) enum Command {
    Daemon(Daemon),
    Status(Status),
    Macs(Macs),
    Peers(Peers),
    Paths(Paths),
    Resolve(Resolve),
    Flush(Flush),
    Drain(Drain),
    Monitor(Monitor),
    Events(Events),
    Metrics(Metrics),
    Reload(Reload),
    Check(Check),
    #[cfg(feature = "import")]
    Import(Import),
    Key(Key),
    Leave(Leave),
    Doctor(Doctor),
    Version(Version),
}

/// run the daemon in the foreground
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "daemon", help_triggers("-h", "--help"))]
pub(super) struct Daemon {
    /// configuration file (default /etc/config/dmevpn)
    #[argh(option, arg_name = "file", default = "DEFAULT_CONFIG.into()")]
    pub(super) config: String,
    /// run under a service manager: the log is text alone, warnings and errors go to standard error, the rest to standard output
    #[argh(switch)]
    pub(super) service: bool,
}

/// What a command asks the daemon.
pub(super) struct Asks {
    /// The question.
    pub(super) question: Question,
    /// Whether the answer is to be JSON.
    pub(super) json: bool,
    /// How long the daemon may take.
    pub(super) timeout: Duration,
    /// Where it listens.
    pub(super) socket: String,
}

/// Commands that ask the daemon: what they have in common is said once, and each says what it asks.
macro_rules! asks {
    ($($(#[$about:meta])* $name:ident { $($fields:tt)* } $this:ident => $question:expr;)*) => {
        impl Command {
            /// What it asks the daemon; `Err` with the command when that is nothing.
            pub(super) fn asks(self) -> Result<Result<Asks, Failure>, Command> {
                match self {
                    $(Command::$name($this) => Ok($question.map(|question| Asks {
                        question,
                        json: $this.json,
                        timeout: $this.timeout,
                        socket: $this.socket,
                    })),)*
                    other => Err(other),
                }
            }
        }
        $(
        #[derive(FromArgs, Debug)]
        $(#[$about])*
        pub(super) struct $name {
            $($fields)*
            /// print JSON
            #[argh(switch)]
            pub(super) json: bool,
            /// seconds to wait for the daemon, such as 2 or 0.5 (default 30)
            #[argh(option, arg_name = "seconds", from_str_fn(seconds), default = "ANSWER_LIMIT")]
            pub(super) timeout: Duration,
            /// control socket of the daemon (default /var/run/dmevpn/private/control.sock)
            #[argh(option, arg_name = "path", default = "DEFAULT_SOCKET.into()")]
            pub(super) socket: String,
        }
        )*
    };
}

asks! {
    /// show how the daemon and every VN stand: why not, if not, and what to do
    #[argh(subcommand, name = "status", help_triggers("-h", "--help"))]
    Status {
        /// only this VN
        #[argh(positional)]
        pub(super) vn: Option<String>,
    } this => Ok(Question::Status { vn: this.vn });

    /// list the remote MACs and where their frames go
    #[argh(subcommand, name = "macs", help_triggers("-h", "--help"))]
    Macs {
        /// only of this VN
        #[argh(positional)]
        pub(super) vn: Option<String>,
    } this => Ok(Question::Macs { vn: this.vn });

    /// list the routers registered with this hub, or remove some
    #[argh(subcommand, name = "peers", help_triggers("-h", "--help"))]
    Peers {
        /// only of this VN
        #[argh(positional)]
        pub(super) vn: Option<String>,
        /// forget what registered from this address, such as 10.0.0.2, or one site there, such as 10.0.0.2,100; who is alive registers anew
        #[argh(option, arg_name = "address[,vni]")]
        pub(super) remove: Option<Peer>,
    } this => Ok(match this.remove {
        Some(peer) => Question::Remove { vn: this.vn, peer },
        None => Question::Peers { vn: this.vn },
    });

    /// list the ways to other sites and to the hub, at a hub those to other hubs, as probes found them: up, down, untested yet,
    /// or unverified, which are used whatever probes say
    #[argh(subcommand, name = "paths", help_triggers("-h", "--help"))]
    Paths {
        /// only of this VN
        #[argh(positional)]
        pub(super) vn: Option<String>,
    } this => Ok(Question::Paths { vn: this.vn });

    /// ask where a MAC lives; fails when nobody knows
    #[argh(subcommand, name = "resolve", help_triggers("-h", "--help"))]
    Resolve {
        /// the VN
        #[argh(positional)]
        pub(super) vn: String,
        /// the MAC
        #[argh(positional)]
        pub(super) mac: Mac,
    } this => Ok(Question::Resolve { vn: this.vn, mac: this.mac });

    /// forget shortcuts and pending questions; at a hub, where MACs behind spokes are, and whom it told of them
    #[argh(subcommand, name = "flush", help_triggers("-h", "--help"))]
    Flush {
        /// only of this VN, and there only this MAC
        #[argh(positional, arg_name = "vn [mac]")]
        pub(super) which: Vec<String>,
    } this => flush(this.which);

    /// at a hub, send spokes away that have another one, as before its machine goes down
    #[argh(subcommand, name = "drain", help_triggers("-h", "--help"))]
    Drain {
        /// the VN
        #[argh(positional)]
        pub(super) vn: String,
        /// send nobody away any more; so does a start of the daemon
        #[argh(switch)]
        pub(super) off: bool,
    } this => Ok(Question::Drain { vn: this.vn, off: this.off });

    /// print what happens, as it happens (times are UTC)
    #[argh(subcommand, name = "monitor", help_triggers("-h", "--help"))]
    Monitor {
        /// write what goes in and out of the daemon into this new file instead, as a case that tests can play
        #[argh(option, arg_name = "file")]
        pub(super) record: Option<String>,
        /// how large that file may become, in MB (default 16)
        #[argh(option, arg_name = "number", default = "16")]
        pub(super) most: u32,
    } this => match this.record {
        Some(_) if this.json => Err(Failure::usage("a record is no JSON".into())),
        Some(_) => Ok(Question::Record),
        None => Ok(Question::Monitor),
    };

    /// print what happened lately (times are UTC)
    #[argh(subcommand, name = "events", help_triggers("-h", "--help"))]
    Events {
        /// only what happened after that many: `last` of an earlier answer with --json
        #[argh(option, arg_name = "number", default = "0")]
        pub(super) after: u64,
    } this => Ok(Question::Events { after: this.after });

    /// print counters and gauges for Prometheus
    #[argh(subcommand, name = "metrics", help_triggers("-h", "--help"))]
    Metrics {} this => Ok(Question::Metrics);

    /// make the daemon read its configuration again; what did not change keeps running
    #[argh(subcommand, name = "reload", help_triggers("-h", "--help"))]
    Reload {} this => Ok(Question::Reload);
}

/// check a configuration file without running it
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "check", help_triggers("-h", "--help"))]
pub(super) struct Check {
    /// the file (default /etc/config/dmevpn)
    #[argh(positional, default = "DEFAULT_CONFIG.into()")]
    pub(super) file: String,
    /// print JSON
    #[argh(switch)]
    pub(super) json: bool,
}

/// print the configuration file for the network of an opennhrp.conf, of OpenNHRP or the dmevpn in C
#[cfg(feature = "import")]
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "import", help_triggers("-h", "--help"))]
pub(super) struct Import {
    /// the opennhrp.conf
    #[argh(positional)]
    pub(super) file: String,
    /// print JSON
    #[argh(switch)]
    pub(super) json: bool,
}

/// make a key for the configuration
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "key", help_triggers("-h", "--help"))]
pub(super) struct Key {
    #[argh(subcommand)]
    pub(super) command: KeyCommand,
}

#[derive(FromArgs, Debug)]
#[argh(subcommand)]
pub(super) enum KeyCommand {
    New(NewKey),
}

/// print a section with a random secret and the next free spi, for the files of both ends
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "new", help_triggers("-h", "--help"))]
pub(super) struct NewKey {
    /// its name (default: key and its spi)
    #[argh(positional)]
    pub(super) name: Option<String>,
    /// configuration file, whose keys have other numbers (default /etc/config/dmevpn)
    #[argh(option, arg_name = "file", default = "DEFAULT_CONFIG.into()")]
    pub(super) config: String,
}

/// remove the devices that the daemon left in the kernel, once it runs no more
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "leave", help_triggers("-h", "--help"))]
pub(super) struct Leave {
    /// configuration file (default /etc/config/dmevpn)
    #[argh(option, arg_name = "file", default = "DEFAULT_CONFIG.into()")]
    pub(super) config: String,
    /// print JSON
    #[argh(switch)]
    pub(super) json: bool,
}

/// look whether this router has all that it needs, and say what to do where it has not; fails when something is wrong
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "doctor", help_triggers("-h", "--help"))]
pub(super) struct Doctor {
    /// configuration file (default: that of the daemon that runs, or /etc/config/dmevpn)
    #[argh(option, arg_name = "file")]
    pub(super) config: Option<String>,
    /// print JSON
    #[argh(switch)]
    pub(super) json: bool,
    /// seconds to wait for the daemon, such as 2 or 0.5 (default 5)
    #[argh(option, arg_name = "seconds", from_str_fn(seconds), default = "DOCTOR_LIMIT")]
    pub(super) timeout: Duration,
    /// control socket of the daemon (default: as the configuration file has it)
    #[argh(option, arg_name = "path")]
    pub(super) socket: Option<String>,
}

/// print the version of this program
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "version", help_triggers("-h", "--help"))]
pub(super) struct Version {
    /// print JSON
    #[argh(switch)]
    pub(super) json: bool,
}

fn flush(which: Vec<String>) -> Result<Question, Failure> {
    let mut which = which.into_iter();
    let vn = which.next();
    let mac = which
        .next()
        .map(|mac| mac.parse().map_err(|e| Failure::usage(format!("'{mac}' is {e}"))))
        .transpose()?;
    if let Some(more) = which.next() {
        return Err(Failure::usage(format!("flush takes a VN and a MAC, not '{more}' too")));
    }
    Ok(Question::Flush { vn, mac })
}

/// Seconds with up to three digits after the point, above 0 and at most a day.
fn seconds(text: &str) -> Result<Duration, String> {
    const MOST: u64 = 86_400;
    let parsed = || {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > 3 {
            return None;
        }
        let ms: u64 = format!("{part:0<3}").parse().ok()?;
        Some(Duration::from_millis(whole.parse::<u64>().ok().filter(|s| *s <= MOST)? * 1000 + ms))
    };
    let within = |time: &Duration| !time.is_zero() && *time <= Duration::from_secs(MOST);
    parsed().filter(within).ok_or_else(|| format!("not a number of seconds such as 2 or 0.5, up to {MOST}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_may_have_a_fraction() {
        for (text, ms) in [("2", 2000), ("0.5", 500), ("0.05", 50), ("1.25", 1250), ("86400", 86_400_000)] {
            assert_eq!(seconds(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in [
            "",
            "0",
            "0.0",
            "-1",
            "+1",
            ".5",
            "2.",
            "1e3",
            "1.2345",
            "86400.001",
            "86401",
            "99999999999999999999",
        ] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
