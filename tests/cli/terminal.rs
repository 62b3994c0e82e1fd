//! Where the output goes: a terminal, a pipe that nobody reads.

use super::{accept, answer, request, socket};
use dmevpn::control::{Form, Request};
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

/// Answers one client with a text; what it asked.
fn daemon(path: &std::path::Path) -> thread::JoinHandle<Request> {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        let mut stream = accept(&listener);
        let asked = request(&mut stream);
        stream.write_all(&answer("all is well\n", "", 0)).unwrap();
        asked
    })
}

#[test]
fn the_daemon_is_told_how_wide_the_terminal_is() {
    let path = socket("terminal");
    let daemon = daemon(&path);
    let (ours, theirs) = terminal(50);
    let mut command = Command::new(env!("CARGO_BIN_EXE_dmevpn"));
    let command = command.args(["status", "--socket", path.to_str().unwrap()]).env_remove("COLUMNS");
    assert!(command.stdout(Stdio::from(theirs)).status().unwrap().success());
    assert_eq!(daemon.join().unwrap().form, Form::Text { columns: 50 });
    let _ = std::fs::remove_file(&path);
    let mut text = vec![0; 1 << 16];
    // All of it is there already: it is less than a terminal keeps.
    let len = std::fs::File::from(ours).read(&mut text).unwrap();
    assert_eq!(String::from_utf8_lossy(&text[..len]), "all is well\r\n");
}

#[test]
fn it_is_as_wide_as_columns_says() {
    for (said, columns) in [("40", 40), ("0", 0), ("-1", 0), ("1000000", u16::MAX)] {
        let path = socket("columns");
        let daemon = daemon(&path);
        let mut command = Command::new(env!("CARGO_BIN_EXE_dmevpn"));
        let command = command.args(["status", "test", "--socket", path.to_str().unwrap()]);
        let output = command.env("COLUMNS", said).output().unwrap();
        assert_eq!(output.stdout, b"all is well\n");
        assert_eq!(daemon.join().unwrap().form, Form::Text { columns });
        let _ = std::fs::remove_file(&path);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let path = socket("pipe");
    let (read, write) = UnixStream::pair().unwrap();
    drop(read);
    let daemon = daemon(&path);
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
