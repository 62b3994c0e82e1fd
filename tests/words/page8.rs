//! The man page dmevpn(8): the commands from their help, and around them what is written here.

use super::HEADER;
use super::commands::{Argument, Command, commands, exit_codes, help_option};
use super::conf5::roff;
use std::fmt::Write;

const DESCRIPTION: &str = "\
`dmevpn` makes one layer-2 network of bridges at many sites. A site's router, a spoke, registers with a hub. Frames go by
the hub at first and then, once the spoke has asked where a MAC address lives, directly to the other site. NHRP (RFC 2332,
RFC 2735) tells the ways, the kernel's VXLAN devices and bridges forward the frames.

One daemon runs on each router and serves all its virtual networks (VNs). All other commands talk to it by its control
socket, but `check`, `import`, `leave` and `version`, which need none; `doctor` does well without.

NHRP is not authenticated and VXLAN is not encrypted: whoever can send packets to a hub can join its networks. Have them in
a network you trust, or inside IPsec or WireGuard. A firewall has to let GRE (IP protocol 47) and the UDP port of VXLAN
through, between spokes and hubs, between hubs and between spokes.";

const SIGNALS: [(&str, &str); 3] = [
    (
        "SIGHUP",
        "The daemon reads its configuration again, as `dmevpn reload` has it do. What did not change keeps running; a \
         wrong configuration is refused as a whole, and the earlier one stays.",
    ),
    (
        "SIGTERM, SIGINT",
        "The daemon ends. A spoke withdraws from its hubs first. A hub leaves its bridge and ports in place, so that an \
         update does not interrupt the network.",
    ),
    (
        "SIGUSR1",
        "The daemon ends and leaves everything in place, at a spoke too, for the next daemon to take over: for an update of \
         the program.",
    ),
];

const ENVIRONMENT: [(&str, &str); 1] = [(
    "DMEVPN_SECCOMP",
    "The daemon refuses itself system calls that it has no use for. `off` leaves that out, for a debugger's sake; with `kill` \
     such a call ends the daemon by SIGSYS, for tests.",
)];

const EXAMPLES: [(&str, &str); 5] = [
    ("How does everything stand, and why not if not?", "dmevpn status"),
    ("Has this router all that it needs: kernel, firewall, MTU?", "dmevpn doctor"),
    ("Is a configuration right? The messages begin with file and line.", "dmevpn check /etc/config/dmevpn"),
    (
        "Where does the hub of the VN `lan` say that a MAC address lives?",
        "dmevpn resolve lan 52:54:00:00:00:0b",
    ),
    ("What the kernel has of it, without the daemon's word:", "bridge fdb show dev vx-lan"),
];

/// The text of the page.
pub fn page() -> String {
    let commands = commands();
    let common = common(&commands);
    let mut out = format!(
        ".\\\" {HEADER}\n\
         .TH DMEVPN 8 \"\" dmevpn \"System Administration\"\n\
         .SH NAME\n\
         dmevpn \\- layer\\-2 networks over many sites, with direct ways between them\n\
         .SH SYNOPSIS\n\
         .B dmevpn\n.I command\n.RI [ options ]\n\
         .SH DESCRIPTION\n"
    );
    let description = DESCRIPTION.replace('\n', " ");
    out += &description.split("  ").map(roff).collect::<Vec<_>>().join(".PP\n");
    out += ".SH COMMANDS\n";
    for command in &commands {
        let usage = command.usage.replace("[--] ", "").replace(" [--]", "");
        let _ = write!(out, ".TP\n.B {}", roff(&usage));
        out += &roff(&sentence(&command.about));
        let own = command.places.iter().chain(&command.options).filter(|a| !common.contains(a));
        for argument in own {
            let _ =
                write!(out, ".RS\n.TP\n.B {}{}.RE\n", roff(&argument.name), roff(&sentence(&argument.help)));
        }
    }
    out += ".SH \"COMMON OPTIONS\"\n";
    for option in &common {
        let takes = commands.iter().find_map(|c| c.takes(&option.name));
        let takes = takes.map_or(String::new(), |takes| format!(" \\fI{takes}\\fR"));
        let name = roff(&option.name);
        let _ = write!(out, ".TP\n.B {}{takes}\n{}", name.trim_end(), roff(&sentence(&option.help)));
    }
    let help = help_option();
    let _ = write!(out, ".TP\n.B {}{}", roff(&help.name), roff(&sentence(&help.help)));
    out += ".SH \"EXIT STATUS\"\n";
    for code in exit_codes() {
        let _ = write!(out, ".TP\n.B {}\n{}", code.name, roff(&sentence(&code.help)));
    }
    for (heading, what) in [("SIGNALS", &SIGNALS[..]), ("ENVIRONMENT", &ENVIRONMENT)] {
        let _ = writeln!(out, ".SH {heading}");
        for (name, text) in what {
            let _ = write!(out, ".TP\n.B {name}\n{}", roff(text));
        }
    }
    out += ".SH FILES\n";
    let defaults = super::WORDS.iter().filter_map(|w| Some((w.option.name, w.option.default(None)?)));
    let default = |name: &str| defaults.clone().find(|(n, _)| *n == name).map(|(_, default)| default);
    let (state, socket) = (default("state_file").expect("a default"), default("socket").expect("a default"));
    for (file, text) in [
        (
            dmevpn::cli::DEFAULT_CONFIG,
            "The configuration, see dmevpn.conf(5). The service of Debian's package has it in /etc/dmevpn/dmevpn.conf.",
        ),
        (state, "What survives a restart. Option `state_file` moves it."),
        (
            socket,
            "The control socket of the daemon. Option `socket` moves it; then commands need `--socket`.",
        ),
    ] {
        let _ = write!(out, ".TP\n.I {file}\n{}", roff(text));
    }
    out += ".SH EXAMPLES\n";
    for (what, command) in EXAMPLES {
        let _ = write!(out, ".PP\n{}.PP\n.nf\n.RS\n{}.RE\n.fi\n", roff(what), roff(command));
    }
    out += ".SH \"SEE ALSO\"\n.BR dmevpn.conf (5),\n.BR bridge (8),\n.BR ip\\-link (8)\n";
    out
}

/// The options that most commands have in the same words: they are told once.
fn common(commands: &[Command]) -> Vec<Argument> {
    let mut common: Vec<Argument> = Vec::new();
    for option in commands.iter().flat_map(|command| &command.options) {
        let having = commands.iter().filter(|command| command.options.contains(option)).count();
        if having > 4 && !common.contains(option) {
            common.push(option.clone());
        }
    }
    common
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
