//! Where the output goes: a terminal, a pipe that nobody reads.

use super::samples::a_day_like_any_other;
use super::{request, socket};
use dmevpn::control::Reply;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::thread;

/// A terminal so many columns wide: our end, and that of a program.
fn terminal(columns: u16) -> (OwnedFd, OwnedFd) {
    let size = libc::winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let (mut ours, mut theirs) = (-1, -1);
    // SAFETY: the two numbers are written, nothing but the size is read; what is opened is owned here alone.
    #[allow(unsafe_code)]
    unsafe {
        let null = std::ptr::null_mut::<libc::c_char>();
        assert_eq!(libc::openpty(&mut ours, &mut theirs, null, std::ptr::null(), &raw const size), 0);
        (OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs))
    }
}

/// Answers one client with a status.
fn daemon_with_a_status(path: &std::path::Path) -> thread::JoinHandle<()> {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        request(&mut stream);
        stream.write_all(&Reply::Status(a_day_like_any_other()).encode()).unwrap();
    })
}

#[test]
fn status_is_as_wide_as_the_terminal() {
    let path = socket("terminal");
    let daemon = daemon_with_a_status(&path);
    let (ours, theirs) = terminal(50);
    let mut command = Command::new(env!("CARGO_BIN_EXE_dmevpn"));
    let command = command.args(["status", "--socket", path.to_str().unwrap()]).env_remove("COLUMNS");
    assert!(command.stdout(Stdio::from(theirs)).status().unwrap().success());
    daemon.join().unwrap();
    let _ = std::fs::remove_file(&path);
    let mut text = vec![0; 1 << 16];
    // All of it is there already: it is less than a terminal keeps.
    let len = std::fs::File::from(ours).read(&mut text).unwrap();
    let text = String::from_utf8_lossy(&text[..len]).replace('\r', "");
    let longest = text.lines().map(str::len).max().unwrap();
    assert!((45..=50).contains(&longest), "{text}");
}

#[test]
fn status_is_as_wide_as_columns_says() {
    let path = socket("columns");
    let daemon = daemon_with_a_status(&path);
    let mut command = Command::new(env!("CARGO_BIN_EXE_dmevpn"));
    let output = command
        .args(["status", "test", "--socket", path.to_str().unwrap()])
        .env("COLUMNS", "40")
        .output()
        .unwrap();
    daemon.join().unwrap();
    let _ = std::fs::remove_file(&path);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("VN test: ") && !text.contains("VN lab"), "only the one asked for:\n{text}");
    let longest = text.lines().map(str::len).max().unwrap();
    assert!((33..=40).contains(&longest), "{text}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let path = socket("pipe");
    let (read, write) = UnixStream::pair().unwrap();
    drop(read);
    let daemon = daemon_with_a_status(&path);
    let output = Command::new(env!("CARGO_BIN_EXE_dmevpn"))
        .args(["status", "--socket", path.to_str().unwrap()])
        .stdout(Stdio::from(OwnedFd::from(write)))
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    daemon.join().unwrap();
    let _ = std::fs::remove_file(&path);
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}
