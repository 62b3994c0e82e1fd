//! What the program makes of a daemon's answers, and of none.

use super::json::document;
use super::samples::*;
use super::{answered, dmevpn, socket};
use dmevpn::control::frame::VERSION;
use dmevpn::control::{Answer, Happening, Reply, Request};
use dmevpn::engine::{Event, Refusal};
use dmevpn::shell::clock::Clock;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Duration;

#[test]
fn peers_are_asked_for_and_printed() {
    let reply = Reply::Peers(vec![]).encode();
    let (code, out, _) = answered("peers", &["peers"], &Request::Peers { vn: None }, &reply);
    assert_eq!((code, out.as_str()), (Some(0), "VN  VTEP  VNI  UPLINK  VALID  MACS  ADDRESSES\n"));
}

#[test]
fn resolve_exits_by_the_answer() {
    let asked = Request::Resolve { vn: "test".into(), mac: mac(12) };
    let args = ["resolve", "test", "52-54-00-00-00-0C"];
    let ask = |test, answer| answered(test, &args, &asked, &Reply::Resolved(answer).encode());
    let at = Answer::At { vtep: vtep("10.0.0.3", "101"), holding: Some(410) };
    let said = |out: &str| String::from("52:54:00:00:00:0c ") + out + "\n";
    assert_eq!(ask("at", at), (Some(0), said("is at 10.0.0.3 vni 101, valid for 410 s"), String::new()));
    assert_eq!(ask("local", Answer::Local), (Some(0), said("is at a port of this router"), String::new()));
    assert_eq!(
        ask("nak", Answer::NotResolved(Some(Refusal::Nak(12)))),
        (Some(1), said("not resolved: NAK 12, nobody there knows this MAC"), String::new())
    );
    assert_eq!(
        ask("mute", Answer::NotResolved(None)),
        (Some(1), said("not resolved: no answer from the hub"), String::new())
    );
}

#[test]
fn flush_is_silent_when_done_and_says_why_not_if_not() {
    let asked = Request::Flush { vn: Some("test".into()), mac: Some(mac(12)) };
    let args = ["flush", "test", "52:54:00:00:00:0c"];
    let done = answered("flush", &args, &asked, &Reply::Done.encode());
    assert_eq!(done, (Some(0), String::new(), String::new()));
    let error = answered("flush-no", &args, &asked, &Reply::Error("there is no VN 'test'".into()).encode());
    assert_eq!(error, (Some(1), String::new(), "dmevpn: there is no VN 'test'\n".into()));
}

/// Whoever took a daemon over, or writes a file, does not command root's terminal.
#[test]
fn no_text_commands_the_terminal() {
    let harmful = "a\u{1b}]0;b\u{7}\u{9b}31m\r\u{7f}";
    let mut status = a_day_like_any_other();
    status.config = harmful.into();
    status.vns[0].name = harmful.into();
    let calm = |text: &str| !text.contains(|c: char| c.is_control() && c != '\n');
    for (json, test) in [(false, "harmful"), (true, "harmful-json")] {
        let args = &["status", "--json"][..if json { 2 } else { 1 }];
        let reply = Reply::Status(status.clone()).encode();
        let (code, out, err) = answered(test, args, &Request::Status, &reply);
        assert_eq!((code, err.as_str()), (Some(0), ""));
        assert!(calm(&out), "{out:?}");
        if json {
            assert_eq!(document(&out)["config"], harmful);
        } else {
            assert!(out.contains("a\\u{1b}]0;b\\u{7}\\u{9b}31m\\r\\u{7f}"), "{out}");
        }
        let reply = Reply::Error(harmful.into()).encode();
        let (code, out, err) = answered(test, args, &Request::Status, &reply);
        assert!(code == Some(1) && calm(&out) && calm(&err), "{out:?} {err:?}");
    }
    let output = dmevpn(&["check", "/nowhere/\u{1b}[31m"]);
    assert!(calm(&String::from_utf8(output.stderr).unwrap()));
}

#[test]
fn a_bad_configuration_on_reload_has_its_own_exit_code() {
    let reply = Reply::BadConfiguration(bad_file()).encode();
    let (code, _, err) = answered("reload", &["reload"], &Request::Reload, &reply);
    assert_eq!(code, Some(4));
    assert_eq!(
        err,
        "/etc/config/dmevpn:2: option 'vni': 'many' is not a VNI from 1 to 16777215\n\
         /etc/config/dmevpn:3: option 'hib': unknown in section vn; did you mean 'hub'?\n\
         the daemon keeps its earlier configuration\n"
    );
}

#[test]
fn monitor_prints_events_until_the_daemon_ends() {
    let event = |vn: &str| {
        let event = Event::SpokeUp { spoke: vtep("10.0.0.2", "100"), uplink: "1048576".parse().unwrap() };
        Reply::Event(Happening { at: 1, vn: vn.into(), event })
    };
    let replies = [Reply::Done, event("a"), event("b")].map(|reply| reply.encode()).concat();
    let (code, out, err) = answered("monitor", &["monitor"], &Request::Monitor, &replies);
    assert_eq!(code, Some(3));
    assert_eq!(
        out,
        "00:00:00.001 a: spoke up: 10.0.0.2 vni 100, uplink vni 1048576\n\
         00:00:00.001 b: spoke up: 10.0.0.2 vni 100, uplink vni 1048576\n"
    );
    assert_eq!(err, "dmevpn: the daemon at SOCKET closed the connection (it ended, or was restarted)\n");
}

#[test]
fn a_daemon_of_another_version_is_recognised() {
    let octets = [0, 0, 0, 5, VERSION + 1, 0xff, 0xff, 0xff, 0xff];
    let (code, out, err) = answered("version", &["status"], &Request::Status, &octets);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_eq!(
        err,
        "dmevpn: the daemon speaks control version 3, this program 2: \
         use the dmevpn program the daemon was started from\n"
    );
}

#[test]
fn an_answer_to_another_question_is_refused() {
    let (code, _, err) = answered("other", &["status"], &Request::Status, &Reply::Done.encode());
    assert_eq!(code, Some(1));
    assert_eq!(err, "dmevpn: the daemon answered another question than the one asked\n");
}

#[test]
fn without_a_daemon_the_socket_is_named() {
    let path = socket("none");
    let path = path.to_str().unwrap();
    let output = dmevpn(&["status", "--socket", path]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        format!("dmevpn: no daemon answers at {path}: is it running? (/etc/init.d/dmevpn status)\n")
    );
    drop(UnixListener::bind(path).unwrap());
    let output = dmevpn(&["status", "--socket", path]);
    let _ = std::fs::remove_file(path);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        format!("dmevpn: no daemon answers at {path}: is it running? (/etc/init.d/dmevpn status)\n")
    );
}

#[test]
fn a_daemon_that_hangs_is_given_up() {
    let path = socket("hangs");
    let listener = UnixListener::bind(&path).unwrap();
    let ask = |timeout: &str| {
        let clock = Clock::start();
        let output = dmevpn(&["status", "--timeout", timeout, "--socket", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(3));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said, format!("dmevpn: no answer from the daemon within {timeout} s\n"));
        Duration::from_millis(clock.now().as_millis())
    };
    // It accepts, and says nothing.
    assert!(ask("0.3") >= Duration::from_millis(300));
    // It says the same piece again and again, which is no answer.
    let drip = thread::spawn(move || {
        let (mut first, _) = listener.accept().unwrap();
        let _ = first.read(&mut [0; 64]);
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&[0, 0, 1, 0]).unwrap();
        while stream.write_all(&[VERSION]).is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
        listener
    });
    assert!(ask("0.5") < Duration::from_secs(5));
    let listener = drip.join().unwrap();
    // It accepts no more: the line of those who wait is full.
    let mut waiting = Vec::new();
    loop {
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        if socket.connect(&socket2::SockAddr::unix(&path).unwrap()).is_err() {
            break;
        }
        waiting.push(socket);
    }
    assert!(ask("0.25") < Duration::from_secs(5));
    drop(listener);
    let _ = std::fs::remove_file(&path);
}
