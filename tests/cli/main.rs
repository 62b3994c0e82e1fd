//! What is printed, and how the commands exit: from reports and by a daemon that are made up here.

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

use dmevpn::control::frame::{Decoder, Framing, Kind, piece};
use dmevpn::control::{Form, Request};
use dmevpn::shell::clock::Clock;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

/// For a file or another program.
const FILE: Form = Form::Text { columns: 0 };

/// What a function of `view` writes.
fn written(write: impl FnOnce(&mut String)) -> String {
    let mut out = String::new();
    write(&mut out);
    out
}

/// Runs the program.
fn dmevpn(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dmevpn")).args(args).env_remove("COLUMNS").output().unwrap()
}

/// An answer: what goes to standard output and to standard error, and the exit code.
fn answer(out: &str, err: &str, code: u8) -> Vec<u8> {
    let pieces = [(Kind::Output, out.as_bytes()), (Kind::Complaint, err.as_bytes()), (Kind::End, &[code])];
    pieces.into_iter().filter(|(_, octets)| !octets.is_empty()).flat_map(|(k, o)| piece(k, o)).collect()
}

/// A socket of its own for each test.
fn socket(test: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("dmevpn-cli-{}-{test}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

/// What a client of this daemon asks.
fn request(stream: &mut UnixStream) -> Request {
    let mut decoder = Decoder::default();
    let mut piece = [0; 512];
    loop {
        let len = stream.read(&mut piece).unwrap();
        assert_ne!(len, 0);
        decoder.push(&piece[..len]);
        if let Some((request, framing)) = decoder.request().unwrap() {
            assert_eq!(framing, Framing::Frames);
            return request;
        }
    }
}

/// The next client, if one comes soon.
fn client(listener: &UnixListener, soon: Duration) -> Option<UnixStream> {
    listener.set_nonblocking(true).unwrap();
    let clock = Clock::start();
    while Duration::from_millis(clock.now().as_millis()) < soon {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(false).unwrap();
            return Some(stream);
        }
        thread::sleep(Duration::from_millis(5));
    }
    None
}

/// The next client, which has to come.
fn accept(listener: &UnixListener) -> UnixStream {
    client(listener, Duration::from_secs(60)).expect("the program asks")
}

/// Runs the program against a daemon that answers its request with `octets` and hangs up.
fn answered(test: &str, args: &[&str], expected: &Request, octets: &[u8]) -> (Option<i32>, String, String) {
    let path = socket(test);
    let listener = UnixListener::bind(&path).unwrap();
    let (octets, expected) = (octets.to_vec(), expected.clone());
    let daemon = thread::spawn(move || {
        let mut stream = accept(&listener);
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
