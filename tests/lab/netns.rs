//! A network namespace, and what is asked of it.

use super::{Res, sys};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::process::{Command, Stdio};

/// A network namespace that this lab made; it goes when this is dropped.
#[derive(Debug)]
pub struct Netns {
    /// The name `ip netns` knows it by.
    pub name: String,
    borrowed: bool,
}

/// What passed an interface, by its own counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames received.
    pub rx: u64,
    /// Frames sent.
    pub tx: u64,
}

impl Netns {
    /// Makes the namespace.
    pub fn new(name: String) -> Res<Netns> {
        run(Command::new("ip").args(["netns", "add", &name]), "")?;
        let ns = Netns { name, borrowed: false };
        // No host here configures itself or chatters: what is on a wire is there because of the scene.
        ns.run(|| {
            for (key, value) in [("accept_ra", "0"), ("accept_dad", "0"), ("addr_gen_mode", "1")] {
                for of in ["all", "default"] {
                    let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{of}/{key}"), value);
                }
            }
        })?;
        ns.ip("link set lo up")?;
        Ok(ns)
    }

    /// Another handle of it, which does not end it.
    pub fn borrow(&self) -> Netns {
        Netns { name: self.name.clone(), borrowed: true }
    }

    /// Runs `work` in a thread inside of the namespace. Sockets it makes stay there.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Res<T> {
        let file =
            File::open(format!("/run/netns/{}", self.name)).map_err(|e| format!("{}: {e}", self.name))?;
        std::thread::scope(|scope| {
            scope
                .spawn(move || sys::enter(&file).map(|()| work()))
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
        .map_err(|e| format!("{}: {e}", self.name))
    }

    /// Runs lines of `ip`, one command a line.
    pub fn ip(&self, lines: &str) -> Res {
        run(Command::new("ip").args(["-n", &self.name, "-batch", "-"]), lines).map(drop)
    }

    /// Runs lines of `ip rule`, of that family: here it is not seen from the addresses.
    pub fn rule(&self, ipv6: bool, lines: &str) -> Res {
        let family = if ipv6 { "-6" } else { "-4" };
        run(Command::new("ip").args([family, "-n", &self.name, "-batch", "-"]), lines).map(drop)
    }

    /// Runs lines of `bridge`, one command a line.
    pub fn bridge(&self, lines: &str) -> Res {
        run(Command::new("bridge").args(["-n", &self.name, "-batch", "-"]), lines).map(drop)
    }

    /// A command that will run inside of the namespace.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// The interfaces and their counters.
    pub fn counters(&self) -> Res<BTreeMap<String, Counters>> {
        let text = self.run(|| fs::read_to_string("/proc/thread-self/net/dev"))?;
        let text = text.map_err(|e| format!("{}: {e}", self.name))?;
        Ok(text.lines().filter_map(counters_of_line).collect())
    }

    /// The names and indices of the interfaces.
    pub fn interfaces(&self) -> Res<BTreeMap<String, u32>> {
        let names = self.counters()?;
        self.run(|| {
            names.into_keys().filter_map(|name| Some((sys::ifindex(&name)?, name))).collect::<Vec<_>>()
        })
        .map(|found| found.into_iter().map(|(index, name)| (name, index)).collect())
    }

    /// The index of the interface `name`.
    pub fn ifindex(&self, name: &str) -> Res<u32> {
        self.run(|| sys::ifindex(name))?.ok_or_else(|| format!("{} has no interface {name}", self.name))
    }

    /// Whether there is an interface `name`.
    pub fn has(&self, name: &str) -> bool {
        self.ifindex(name).is_ok()
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        if !self.borrowed {
            let _ = run(Command::new("ip").args(["netns", "del", &self.name]), "");
        }
    }
}

/// Runs a command with `input` on its standard input; its own words are the error.
pub fn run(command: &mut Command, input: &str) -> Res<String> {
    let text = format!("{command:?}").replace('"', "");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{text}: {e}"))?;
    if let Some(mut pipe) = child.stdin.take() {
        // A command that does not read its input may be gone by now; its exit code says more than this would.
        let _ = std::io::Write::write_all(&mut pipe, input.as_bytes());
    }
    let out = child.wait_with_output().map_err(|e| format!("{text}: {e}"))?;
    if out.status.success() {
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    } else {
        let said = [out.stderr, out.stdout].concat();
        Err(format!("{text}: {}\n{input}", String::from_utf8_lossy(&said).trim()))
    }
}

/// `  eth1: 1234 17 0 0 0 0 0 0 5678 21 ...`
fn counters_of_line(line: &str) -> Option<(String, Counters)> {
    let (name, numbers) = line.split_once(':')?;
    let mut numbers = numbers.split_whitespace().map(|n| n.parse().unwrap_or(0));
    Some((name.trim().to_string(), Counters { rx: numbers.nth(1)?, tx: numbers.nth(7)? }))
}
