//! `dmevpn doctor`: from facts about this router to what is well, what is not, and what to do.
//!
//! What the daemon knows of itself it judges itself, as in `status`, and tells in lines ([`lines`], [`of_lines`]). The
//! rest is found out by the program, which may ask and try what a daemon must not.

mod firewall;

pub use firewall::{Passage, Sort, passage};

use super::facts::{Status, VnStatus};
use super::standing;
use super::table::{Screen, wrapped};
use super::writer::line;
use crate::config::{Config, Errors, Finding, Role};
use crate::control::words::oddity;
use crate::control::{Cause, Form};
use crate::engine::report::Standing;
use crate::view::RoleStatus;
use Level::{Warning, Well, Wrong};
use core::net::IpAddr;

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing is to be done.
    Well,
    /// Not well for some, or nobody can tell.
    Warning,
    /// Not well.
    Wrong,
}

const LEVELS: [(Level, &str); 3] = [(Well, "ok"), (Warning, "warning"), (Wrong, "wrong")];

impl Level {
    /// Its word.
    pub fn name(self) -> &'static str {
        LEVELS.iter().find(|(level, _)| *level == self).map_or("", |(_, name)| name)
    }
}

/// What was found out about something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// How it is.
    pub level: Level,
    /// What was looked at.
    pub what: String,
    /// What was found.
    pub text: String,
    /// What to do, where there is something to do.
    pub hint: Option<String>,
}

/// What was found, as it is found. Not generic, and called from many places: it is there once.
#[derive(Debug, Default)]
struct Found(Vec<Diagnosis>);

impl Found {
    /// Without a hint there is nothing to do.
    fn add(&mut self, level: Level, what: &str, text: String, hint: &str) {
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        self.0.push(Diagnosis { level, what: what.to_owned(), text, hint });
    }

    fn ok(&mut self, what: &str, text: String) {
        self.add(Well, what, text, "");
    }
}

/// What was found out about this router.
#[derive(Debug)]
pub struct Facts {
    /// The configuration file.
    pub file: String,
    /// What it says, or what is wrong with it.
    pub config: Result<Config, Errors>,
    /// What it says and is hardly meant.
    pub warnings: Vec<Finding>,
    /// What the daemon says of itself, or why it does not.
    pub daemon: Result<Vec<Diagnosis>, String>,
    /// How many sockets take GRE of one address family in this network namespace.
    pub receivers: usize,
    /// Whether who asks may ask the kernel everything.
    pub is_privileged: bool,
    /// Whether the kernel has each of [`DRIVERS`], where it says so.
    pub drivers: [Option<bool>; DRIVERS.len()],
    /// Seconds since 1970, as this router has it.
    pub date: u64,
    /// Who has the UDP port of VXLAN.
    pub port: Port,
    /// Whether what others send is let in: VXLAN, and NHRP in GRE.
    pub firewall: Vec<(Sort, Passage)>,
    /// The ways to the hubs.
    pub ways: Vec<Way>,
    /// Why the state file cannot be written; looked at where no daemon writes it.
    pub state: Option<Result<(), String>>,
    /// The bridges of VNs that snoop multicast and have no querier.
    pub snooping: Vec<String>,
}

/// The drivers that are needed.
pub const DRIVERS: [&str; 2] = ["vxlan", "bridge"];

/// Who has the UDP port of VXLAN.
#[derive(Debug, Default)]
pub struct Port {
    /// Whether nobody has it.
    pub is_free: bool,
    /// The VXLAN devices that are up there, and whether the daemon made them.
    pub devices: Vec<(Tunnel, bool)>,
}

/// A VXLAN device.
#[derive(Debug)]
pub struct Tunnel {
    /// Its name.
    pub name: String,
    /// Its VNI; none when it takes all (`external`).
    pub vni: Option<u32>,
}

/// The way to a hub.
#[derive(Debug)]
pub struct Way {
    /// The hub's name in the configuration.
    pub hub: String,
    /// Its address and the largest packet, or why there is no way.
    pub mtu: Result<(IpAddr, u32), String>,
    /// Whether its host says that nobody takes VXLAN there.
    pub is_refused: bool,
}

/// What the daemon says of itself.
pub fn of_status(status: &Status) -> Vec<Diagnosis> {
    let mut all = Found::default();
    let confined = if status.confined { ", confined" } else { "" };
    all.ok("daemon", format!("{} runs with {} as {}{confined}", status.version, status.config, status.user));
    if let Some(trouble) = &status.trouble {
        let (level, what) = match trouble {
            Cause::NoState { .. } => (Warning, "state file"),
            _ => (Wrong, "underlay"),
        };
        all.add(level, what, trouble.text(), &trouble.hint().unwrap_or_default());
    }
    match &status.guard {
        Some(Ok(dropped)) => {
            all.ok("guard", format!("takes frames of known sites alone, {dropped} of others dropped"))
        }
        Some(Err(why)) => all.add(Warning, "guard", why.text(), &why.hint().unwrap_or_default()),
        None => {}
    }
    for vn in &status.vns {
        let hint = standing::hint(vn).unwrap_or_default();
        all.add(level_of(vn), &format!("VN {}", vn.name), standing::text(vn), &hint);
    }
    for row in &status.odd {
        let (what, hint) = oddity(row.oddity);
        all.add(Warning, "neighbours", format!("{} {what}", row.peer), hint);
    }
    all.0
}

fn level_of(vn: &VnStatus) -> Level {
    match &vn.role {
        _ if standing::is_well(vn) => Well,
        _ if vn.trouble.is_some() => Wrong,
        // It is full, or has just begun.
        RoleStatus::Hub { .. } => Warning,
        RoleStatus::Spoke { report, .. } => match report.standing {
            Standing::Registering { unanswered: 0 } => Warning,
            _ => Wrong,
        },
    }
}

/// With this begins the line of a daemon's answer that names its configuration file.
pub const CONFIG: &str = "config\t";

/// The same as lines, for [`of_lines`].
pub fn lines(out: &mut String, all: &[Diagnosis]) {
    for Diagnosis { level, what, text, hint } in all {
        let mut before = "";
        for cell in [level.name(), what, text, hint.as_deref().unwrap_or_default()] {
            out.push_str(before);
            out.extend(cell.chars().map(|c| if c.is_control() { ' ' } else { c }));
            before = "\t";
        }
        out.push('\n');
    }
}

/// What [`lines`] wrote; a line that is none is left out.
pub fn of_lines(text: &str) -> Vec<Diagnosis> {
    let of_line = |line: &str| {
        let mut cells = line.split('\t');
        let name = cells.next()?;
        let (level, _) = LEVELS.iter().find(|(_, n)| *n == name)?;
        let (what, text) = (cells.next()?.to_owned(), cells.next()?.to_owned());
        let hint = cells.next().filter(|hint| !hint.is_empty()).map(str::to_owned);
        Some(Diagnosis { level: *level, what, text, hint })
    };
    text.lines().filter_map(of_line).collect()
}

/// All that is to be said, in the order in which one thing needs the other.
pub fn judge(facts: Facts) -> Vec<Diagnosis> {
    let mut all = Found::default();
    of_configuration(&facts, &mut all);
    let is_told = facts.daemon.is_ok();
    match facts.daemon {
        Ok(told) => all.0.extend(told),
        Err(why) => {
            let hint = match (facts.is_privileged, facts.receivers) {
                (false, _) => "run this as root",
                (true, 0) => {
                    "start it: /etc/init.d/dmevpn start, or systemctl start dmevpn; the log says why it ended"
                }
                (true, _) => "it is there, or another one; the log says more, a restart may help",
            };
            all.add(Wrong, "daemon", why, hint);
        }
    }
    if facts.receivers > 1 {
        let text = format!("{} programs take NHRP packets in this network namespace", facts.receivers);
        all.add(Warning, "daemon", text, "end all but one: pgrep -a dmevpn");
    }
    of_machine(facts.is_privileged, facts.drivers, facts.date, &mut all);
    if let Ok(config) = &facts.config {
        of_port(config, &facts.port, &mut all);
        for (sort, passage) in &facts.firewall {
            of_firewall(*sort, passage, &mut all);
        }
        let wanted = config.vns.iter().map(|vn| vn.mtu).max().unwrap_or(0);
        for way in &facts.ways {
            of_way(way, wanted.into(), is_told, &mut all);
        }
        let file = &config.main.state_file;
        match facts.state {
            Some(Ok(())) => all.ok("state file", format!("{file} can be written")),
            Some(Err(why)) => {
                all.add(
                    Warning,
                    "state file",
                    format!("{file}: {why}"),
                    "correct option 'state_file', or make room",
                );
            }
            None => {}
        }
    }
    for bridge in facts.snooping {
        let text = format!(
            "'{bridge}' snoops and does not query: switches that snoop, too, need a querier somewhere"
        );
        all.ok("multicast", text);
    }
    all.0
}

fn of_configuration(facts: &Facts, all: &mut Found) {
    const WHAT: &str = "configuration";
    let file = &facts.file;
    match &facts.config {
        Ok(config) if config.vns.is_empty() => {
            all.add(
                Warning,
                WHAT,
                format!("{file} has no VN that is enabled"),
                "add a section 'vn', or enable one",
            );
        }
        Ok(_) => all.ok(WHAT, format!("{file} is right")),
        Err(errors) => {
            for line in errors.to_string().lines() {
                all.add(Wrong, WHAT, line.to_owned(), "correct it");
            }
        }
    }
    for Finding { line, text, .. } in &facts.warnings {
        all.add(Warning, WHAT, format!("{file}:{line}: {text}"), "correct it, unless it is meant so");
    }
}

/// 2024-01-01: no router with this program has an earlier date.
const EARLIEST: u64 = 1_704_067_200;

fn of_machine(is_privileged: bool, drivers: [Option<bool>; DRIVERS.len()], date: u64, all: &mut Found) {
    if !is_privileged {
        all.add(Warning, "rights", "some of this the kernel tells root alone".into(), "ask as root");
    }
    for (name, is_there) in DRIVERS.into_iter().zip(drivers) {
        match is_there {
            Some(true) => all.ok("kernel", format!("it has {name}")),
            Some(false) => {
                let hint = "install the kernel's module of that name; on OpenWrt kmod-vxlan";
                all.add(Wrong, "kernel", format!("it has no {name}"), hint);
            }
            None => {
                all.add(Warning, "kernel", format!("it does not say whether it has {name}"), "ask as root")
            }
        }
    }
    if date < EARLIEST {
        let text = "it is long past: so are the times in log and events, and nothing else";
        all.add(Warning, "date", text.into(), "set it, or see whether NTP gets out");
    }
}

fn of_port(config: &Config, port: &Port, all: &mut Found) {
    let what = format!("UDP port {}", config.main.udp_port);
    for (tunnel, is_ours) in &port.devices {
        let mut is_in_the_way = !is_ours && tunnel.vni.is_none();
        for vn in &config.vns {
            if let Role::Spoke(spoke) = &vn.role {
                is_in_the_way |= !is_ours && tunnel.vni == Some(spoke.vni.get());
                if spoke.vxlan == tunnel.name {
                    is_in_the_way = false;
                    break;
                }
            }
        }
        if is_in_the_way {
            let text = format!("VXLAN device '{}' takes what comes for this router there", tunnel.name);
            let hint = "remove that device, or set another 'udp_port' on all routers";
            return all.add(Wrong, &what, text, hint);
        }
    }
    if port.is_free || !port.devices.is_empty() {
        return all.ok(&what, "nobody else has it".into());
    }
    let hint = "see which (ss -lunp) and end it, or set another 'udp_port' on all routers";
    all.add(Wrong, &what, "another program has it".into(), hint);
}

fn of_firewall(sort: Sort, passage: &Passage, all: &mut Found) {
    let (level, text, hint) = match passage {
        Passage::Open => (Well, "this router lets in ".to_owned(), ""),
        Passage::Closed(place) => (
            Wrong,
            format!("{place} refuses "),
            "let it in; on OpenWrt the package's service does that while it runs",
        ),
        Passage::Unknown(why) => {
            (Warning, format!("nobody can tell ({why}) about "), "see whether it is let in")
        }
    };
    let what = match sort {
        Sort::Udp(port) => format!("UDP port {port} (VXLAN)"),
        Sort::Gre => "GRE (IP protocol 47)".into(),
    };
    all.add(level, "firewall", text + &what, hint);
}

/// What VXLAN adds to an IP packet in an Ethernet frame, over IPv4 and IPv6.
const OVERHEAD: [u32; 2] = [50, 70];
/// What most lines carry.
const ETHERNET: u32 = 1500;
/// The least that IPv6 stations take.
const LEAST: u32 = 1280;

fn of_way(way: &Way, wanted: u32, is_told: bool, all: &mut Found) {
    let what = format!("way to {}", way.hub);
    let (address, mtu) = match &way.mtu {
        Ok(found) => *found,
        // The daemon has said so.
        Err(_) if is_told => return,
        Err(why) => return all.add(Wrong, &what, why.clone(), "see whether the uplink is up, and its DNS"),
    };
    let room = mtu.saturating_sub(OVERHEAD[usize::from(address.is_ipv6())]);
    let text = format!("packets to {address} may have {mtu} octets, which leaves {room} inside the VN");
    let (level, hint) = match address {
        _ if room < LEAST => (Warning, "stations with IPv6 need 1280: widen the way"),
        IpAddr::V6(_) if mtu < ETHERNET && room < wanted => (
            Warning,
            "over IPv6 other sites do not learn that: set this MTU at the default route of all sites' routers",
        ),
        _ => (Well, ""),
    };
    all.add(level, &what, text, hint);
    if way.is_refused {
        let hint = "see whether the hub's daemon runs, and has the same 'udp_port'";
        all.add(Warning, &what, format!("nobody takes VXLAN at {address}"), hint);
    }
}

/// Writes what was found.
pub fn write(out: &mut String, form: Form, all: &[Diagnosis]) {
    let worst = all.iter().map(|one| one.level).max().unwrap_or(Well);
    let Form::Text { columns } = form else {
        return line(out, |o| {
            o.put("worst", &worst.name());
            o.list("checks", all, |o, one| {
                o.put("level", &one.level.name());
                o.put("what", &one.what);
                o.put("text", &one.text);
                o.put("hint", &one.hint);
            });
        });
    };
    let screen = Screen::of(columns);
    for one in all {
        wrapped(out, screen, one.level.name(), COLUMN, &[format!("{}: {}", one.what, one.text)]);
        one.hint.iter().for_each(|hint| wrapped(out, screen, "  do", COLUMN, core::slice::from_ref(hint)));
    }
}

/// Where sentences begin.
const COLUMN: usize = 9;

/// Whether something is wrong.
pub fn is_wrong(all: &[Diagnosis]) -> bool {
    all.iter().any(|one| one.level == Wrong)
}

#[cfg(test)]
#[path = "doctor_tests.rs"]
mod tests;
