//! System calls of a daemon, counted by strace.

use crate::daemon::Daemon;
use crate::lab::{Res, sys, wait_for};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running strace.
pub struct Trace {
    child: Child,
    output: PathBuf,
}

impl Trace {
    /// Follows all threads of the daemon from now on.
    pub fn start(daemon: &Daemon, arguments: &[&str]) -> Res<Trace> {
        let output = std::env::temp_dir().join(format!("dmevpn-trace-{}", std::process::id()));
        let _ = fs::remove_file(&output);
        let mut command = Command::new("strace");
        command.arg("-f").args(arguments).arg("-o").arg(&output).args(["-p", &daemon.pid().to_string()]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.map_err(|e| format!("strace (apt-get install strace): {e}"))?;
        let traced = || {
            let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).ok()?;
            status.lines().any(|l| l == format!("TracerPid:\t{}", child.id())).then_some(())
        };
        let there = wait_for(Duration::from_secs(5), traced);
        let trace = Trace { child, output };
        there.map(|()| trace).ok_or_else(|| "strace may not follow the daemon".into())
    }

    /// Ends it; what it wrote.
    pub fn stop(mut self) -> Res<String> {
        sys::kill(self.child.id(), libc::SIGINT).map_err(|e| e.to_string())?;
        self.child.wait().map_err(|e| e.to_string())?;
        fs::read_to_string(&self.output).map_err(|e| format!("strace wrote nothing: {e}"))
    }

    /// Ends one with the argument `-c`; how many calls it counted.
    pub fn count(self) -> Res<f64> {
        let text = self.stop()?;
        let total = text.lines().find(|line| line.ends_with(" total"));
        total
            .and_then(|line| line.split_whitespace().nth(3)?.parse().ok())
            .ok_or_else(|| format!("strace counted nothing: {text}"))
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let _ = self.child.kill().and_then(|()| self.child.wait());
        let _ = fs::remove_file(&self.output);
    }
}
