//! Removes what a lab left: only daemons and namespaces that carry the lab's name.

use super::{netns, sys};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// All names begin like this, followed by the process id of the lab.
pub const PREFIX: &str = "dmevpn-";

/// Where the labs of a process keep their files.
pub fn directory(pid: u32) -> PathBuf {
    std::env::temp_dir().join(format!("{PREFIX}lab-{pid}"))
}

/// Removes everything that the labs of process `pid` made. Returns how many namespaces that were.
pub fn remove(pid: u32) -> usize {
    let names = namespaces_of(|owner| owner == pid);
    for name in &names {
        end_daemons(name, &directory(pid));
        let _ = netns::run(Command::new("ip").args(["netns", "del", name]), "");
    }
    let _ = fs::remove_dir_all(directory(pid));
    names.len()
}

/// Removes what labs left that run no more.
pub fn remove_left_over() -> usize {
    let mut owners = Vec::new();
    namespaces_of(|owner| {
        owners.push(owner);
        false
    });
    let left = fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    owners.extend(left.filter_map(|e| {
        e.file_name().to_str()?.strip_prefix(PREFIX)?.strip_prefix("lab-")?.parse::<u32>().ok()
    }));
    owners.sort_unstable();
    owners.dedup();
    owners.into_iter().filter(|&owner| !is_running(owner)).map(remove).sum()
}

/// Whether that process is a lab still at work.
fn is_running(pid: u32) -> bool {
    fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| {
        let name = exe.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        ["lab", "network", "daemon", "memory", "hub", "load"].iter().any(|of| name.starts_with(of))
    })
}

/// The names of the namespaces whose lab's process id `wanted` accepts.
fn namespaces_of(mut wanted: impl FnMut(u32) -> bool) -> Vec<String> {
    let names = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| {
            let digits = name.strip_prefix(PREFIX).map(|n| n.split(|c: char| !c.is_ascii_digit()).next());
            digits.flatten().and_then(|d| d.parse().ok()).is_some_and(&mut wanted)
        })
        .collect()
}

/// Kills those processes in the namespace that were noted down as daemons of this lab.
fn end_daemons(name: &str, directory: &Path) {
    let inside = netns::run(Command::new("ip").args(["netns", "pids", name]), "").unwrap_or_default();
    let noted = noted_pids(directory);
    for pid in inside.lines().filter_map(|l| l.trim().parse().ok()).filter(|pid| noted.contains(pid)) {
        let _ = sys::kill(pid, libc::SIGKILL);
    }
}

/// The process ids in the files `*.pid` below the directory.
fn noted_pids(directory: &Path) -> Vec<u32> {
    let mut pids = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            pids.extend(noted_pids(&path));
        } else if path.extension().is_some_and(|e| e == "pid") {
            pids.extend(fs::read_to_string(path).ok().and_then(|t| t.trim().parse::<u32>().ok()));
        }
    }
    pids
}
