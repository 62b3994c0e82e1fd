//! What the commands print, and how they exit: for replies made up here, some by a daemon made up here.

#[allow(dead_code)]
#[path = "../words/commands.rs"]
mod commands;
#[path = "../documented/mod.rs"]
mod documented;

mod answers;
mod json;
mod metrics;
mod program;
mod samples;
mod terminal;
mod text;

use dmevpn::control::Request;
use dmevpn::control::frame::Decoder;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::thread;

/// What a function of `view` writes.
fn written(write: impl FnOnce(&mut String) -> std::fmt::Result) -> String {
    let mut out = String::new();
    write(&mut out).unwrap();
    out
}

/// Runs the program.
fn dmevpn(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dmevpn")).args(args).output().unwrap()
}

/// A socket of its own for each test.
fn socket(test: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("dmevpn-cli-{}-{test}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

/// What a client of this daemon asks.
fn request(stream: &mut UnixStream) -> Request {
    let mut decoder = Decoder::of_requests();
    let mut piece = [0; 512];
    loop {
        let len = stream.read(&mut piece).unwrap();
        assert_ne!(len, 0);
        decoder.push(&piece[..len]);
        if let Some(frame) = decoder.next().unwrap() {
            return Request::decode(&frame).unwrap();
        }
    }
}

/// Runs the program against a daemon that answers its request with `octets` and hangs up.
fn answered(test: &str, args: &[&str], expected: &Request, octets: &[u8]) -> (Option<i32>, String, String) {
    let path = socket(test);
    let listener = UnixListener::bind(&path).unwrap();
    let (octets, expected) = (octets.to_vec(), expected.clone());
    let daemon = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        assert_eq!(request(&mut stream), expected);
        // In two pieces, as a stream may.
        let (first, second) = octets.split_at(octets.len() / 2);
        stream.write_all(first).unwrap();
        stream.flush().unwrap();
        stream.write_all(second).unwrap();
    });
    let output = dmevpn(&[args, &["--socket", path.to_str().unwrap()]].concat());
    daemon.join().unwrap();
    let _ = std::fs::remove_file(&path);
    let text = |octets| String::from_utf8(octets).unwrap().replace(path.to_str().unwrap(), "SOCKET");
    (output.status.code(), text(output.stdout), text(output.stderr))
}
