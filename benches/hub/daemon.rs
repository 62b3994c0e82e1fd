//! The daemon that is measured, from outside: its process, its commands, its log.

use crate::lab::netns::{Netns, run};
use crate::lab::{Res, sys, wait_for};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// A daemon in a namespace of its own; it ends when this is dropped.
pub struct Daemon {
    /// Where it runs.
    pub ns: Netns,
    program: PathBuf,
    files: PathBuf,
    child: Option<Child>,
}

impl Daemon {
    /// One that does not run yet; `files` is the beginning of the names of its files.
    pub fn new(ns: Netns, program: &Path, files: PathBuf) -> Daemon {
        Daemon { ns, program: program.into(), files, child: None }
    }

    /// Its configuration: what all have, and `text`.
    pub fn configure(&self, options: &str, text: &str) -> Res {
        let files = self.files.display();
        let all = format!(
            "config dmevpn 'main'\n\toption nbma '10.0.0.1'\n\toption holding_time '600'\n\
             \toption state_file '{files}.state'\n\toption socket '{files}.sock'\n{options}\n{text}"
        );
        fs::write(self.file("conf"), all).map_err(|e| format!("{files}: {e}"))
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.files.with_extension(extension)
    }

    /// Starts it.
    pub fn start(&mut self) -> Res {
        let log = File::options().create(true).append(true).open(self.file("log"));
        let log = log.map_err(|e| format!("{}: {e}", self.files.display()))?;
        let mut command = self.ns.command(&self.program);
        command.args(["daemon", "--config"]).arg(self.file("conf"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let child = child.map_err(|e| format!("{}: {e}", self.program.display()))?;
        let _ = fs::write(self.file("pid"), child.id().to_string());
        self.child = Some(child);
        Ok(())
    }

    /// Starts it and waits until it answers a command.
    pub fn start_and_wait(&mut self) -> Res {
        self.start()?;
        wait_for(Duration::from_secs(10), || self.ask(&["status"]).ok())
            .map(drop)
            .ok_or_else(|| self.last_words())
    }

    /// Its process id. (`ip netns exec` becomes the program, so it is the child's.)
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) -> Res {
        sys::kill(self.pid(), signal).map_err(|e| e.to_string())
    }

    /// Ends it by a signal; how long that took.
    pub fn end(&mut self, signal: i32, limit: Duration) -> Res<Duration> {
        let start = Instant::now();
        self.signal(signal)?;
        let mut child = self.child.take().ok_or("the daemon does not run")?;
        if wait_for(limit, || child.try_wait().ok().flatten()).is_none() {
            let _ = child.kill().and_then(|()| child.wait());
            return Err(format!("signal {signal} did not end it within {limit:?}"));
        }
        Ok(start.elapsed())
    }

    /// Runs a command of the program: its output, or its words of regret.
    pub fn ask(&self, arguments: &[&str]) -> Res<String> {
        let mut command = self.ns.command(&self.program);
        run(command.args(arguments).arg("--socket").arg(self.file("sock")), "")
    }

    /// How long `status` takes to be answered.
    pub fn status_time(&self) -> Res<Duration> {
        let start = Instant::now();
        self.ask(&["status", "--timeout", "100"])?;
        Ok(start.elapsed())
    }

    /// The sum of a metric over all of its labels.
    pub fn metric(&self, name: &str) -> Res<f64> {
        let value = |line: &str| {
            let (key, value) = line.rsplit_once(' ')?;
            (key.split('{').next() == Some(name)).then(|| value.parse::<f64>().ok())?
        };
        let text = self.ask(&["metrics", "--timeout", "100"])?;
        text.lines()
            .filter_map(value)
            .reduce(|sum, more| sum + more)
            .ok_or_else(|| format!("no metric {name}"))
    }

    /// The processor time that all of its threads used.
    pub fn cpu(&self) -> Res<Duration> {
        sys::processor_time(self.pid()).map_err(|e| e.to_string())
    }

    /// Waits until it has had nothing to do for a while; the processor time used so far.
    pub fn settled(&self, limit: Duration) -> Res<Duration> {
        let (start, mut last) = (Instant::now(), self.cpu()?);
        loop {
            std::thread::sleep(Duration::from_millis(300));
            let now = self.cpu()?;
            if now - last < Duration::from_micros(300) {
                return Ok(now);
            }
            if start.elapsed() > limit {
                return Err(format!("the daemon is still at work after {limit:?}"));
            }
            last = now;
        }
    }

    /// A line of its memory in /proc, in kB, such as `RssAnon`.
    pub fn memory(&self, line: &str) -> Res<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).map_err(|e| e.to_string())?;
        let value = status.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(':'));
        value.and_then(|v| v.split_whitespace().next()?.parse().ok()).ok_or_else(|| format!("no {line}"))
    }

    /// How many of its VXLAN ports there are.
    pub fn ports(&self) -> Res<usize> {
        Ok(self.ns.counters()?.keys().filter(|name| name.starts_with("dmevpn")).count())
    }

    /// How many packets the raw sockets of its namespace had no room for.
    pub fn unread(&self) -> Res<u64> {
        let text =
            self.ns.run(|| fs::read_to_string("/proc/thread-self/net/raw"))?.map_err(|e| e.to_string())?;
        Ok(text
            .lines()
            .filter_map(|line| line.rsplit(' ').find(|w| !w.is_empty())?.parse::<u64>().ok())
            .sum())
    }

    /// How many lines it has logged, and how long they are.
    pub fn logged(&self) -> (usize, usize) {
        let text = fs::read(self.file("log")).unwrap_or_default();
        (text.iter().filter(|octet| **octet == b'\n').count(), text.len())
    }

    /// What it said last.
    pub fn last_words(&self) -> String {
        let text = fs::read_to_string(self.file("log")).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        format!("the daemon says: {}", lines[lines.len().saturating_sub(5)..].join(" | "))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill().and_then(|()| child.wait());
        }
    }
}
