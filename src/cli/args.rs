//! The command line.

use crate::control::DEFAULT_SOCKET;
use crate::types::Mac;
use argh::FromArgs;

/// Where the configuration is unless told otherwise.
pub const DEFAULT_CONFIG: &str = "/etc/config/dmevpn";

/// Dynamic multipoint E-VPN: layer-2 networks over the Internet, with shortcuts between the sites.
#[derive(FromArgs, Debug)]
#[argh(
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
    Resolve(Resolve),
    Flush(Flush),
    Monitor(Monitor),
    Metrics(Metrics),
    Reload(Reload),
    Check(Check),
    #[cfg(feature = "import")]
    Import(Import),
    Version(Version),
}

/// run the daemon in the foreground
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "daemon")]
pub(super) struct Daemon {
    /// configuration file (default /etc/config/dmevpn)
    #[argh(option, arg_name = "file", default = "DEFAULT_CONFIG.into()")]
    pub(super) config: String,
}

/// show how the daemon and every VN stand, and why not if not
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "status")]
pub(super) struct Status {
    /// print JSON
    #[argh(switch)]
    pub(super) json: bool,
    /// control socket of the daemon (default /var/run/dmevpn/private/control.sock)
    #[argh(option, arg_name = "path", default = "DEFAULT_SOCKET.into()")]
    pub(super) socket: String,
}

/// list the remote MACs and where their frames go
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "macs")]
pub(super) struct Macs {
    /// only of this VN
    #[argh(positional)]
    pub(super) vn: Option<String>,
    /// print JSON
    #[argh(switch)]
    pub(super) json: bool,
    /// control socket of the daemon (default /var/run/dmevpn/private/control.sock)
    #[argh(option, arg_name = "path", default = "DEFAULT_SOCKET.into()")]
    pub(super) socket: String,
}

/// list the routers registered with this hub
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "peers")]
pub(super) struct Peers {
    /// only of this VN
    #[argh(positional)]
    pub(super) vn: Option<String>,
    /// print JSON
    #[argh(switch)]
    pub(super) json: bool,
    /// control socket of the daemon (default /var/run/dmevpn/private/control.sock)
    #[argh(option, arg_name = "path", default = "DEFAULT_SOCKET.into()")]
    pub(super) socket: String,
}

/// ask where a MAC lives; fails when nobody knows
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "resolve")]
pub(super) struct Resolve {
    /// the VN
    #[argh(positional)]
    pub(super) vn: String,
    /// the MAC
    #[argh(positional)]
    pub(super) mac: Mac,
    /// print JSON
    #[argh(switch)]
    pub(super) json: bool,
    /// control socket of the daemon (default /var/run/dmevpn/private/control.sock)
    #[argh(option, arg_name = "path", default = "DEFAULT_SOCKET.into()")]
    pub(super) socket: String,
}

/// forget shortcuts and pending questions; the frames go by the hub until resolved again
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "flush")]
pub(super) struct Flush {
    /// only of this VN, and there only this MAC
    #[argh(positional, arg_name = "vn [mac]")]
    pub(super) which: Vec<String>,
    /// print JSON
    #[argh(switch)]
    pub(super) json: bool,
    /// control socket of the daemon (default /var/run/dmevpn/private/control.sock)
    #[argh(option, arg_name = "path", default = "DEFAULT_SOCKET.into()")]
    pub(super) socket: String,
}

/// print what happens, as it happens (times are UTC)
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "monitor")]
pub(super) struct Monitor {
    /// print JSON, one line an event
    #[argh(switch)]
    pub(super) json: bool,
    /// control socket of the daemon (default /var/run/dmevpn/private/control.sock)
    #[argh(option, arg_name = "path", default = "DEFAULT_SOCKET.into()")]
    pub(super) socket: String,
}

/// print counters and gauges for Prometheus
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "metrics")]
pub(super) struct Metrics {
    /// print JSON
    #[argh(switch)]
    pub(super) json: bool,
    /// control socket of the daemon (default /var/run/dmevpn/private/control.sock)
    #[argh(option, arg_name = "path", default = "DEFAULT_SOCKET.into()")]
    pub(super) socket: String,
}

/// make the daemon read its configuration again; what did not change keeps running
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "reload")]
pub(super) struct Reload {
    /// print JSON
    #[argh(switch)]
    pub(super) json: bool,
    /// control socket of the daemon (default /var/run/dmevpn/private/control.sock)
    #[argh(option, arg_name = "path", default = "DEFAULT_SOCKET.into()")]
    pub(super) socket: String,
}

/// check a configuration file without running it
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "check")]
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
#[argh(subcommand, name = "import")]
pub(super) struct Import {
    /// the opennhrp.conf
    #[argh(positional)]
    pub(super) file: String,
}

/// print the version of this program
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "version")]
pub(super) struct Version {
    /// print JSON
    #[argh(switch)]
    pub(super) json: bool,
}
