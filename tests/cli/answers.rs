//! What the program asks a daemon, and makes of its answers and of none.

use super::{FILE, accept, answer, answered, client, dmevpn, request, socket};
use dmevpn::control::frame::{Kind, VERSION, piece};
use dmevpn::control::{Form, Question, Request};
use dmevpn::shell::clock::Clock;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

#[test]
fn every_command_asks_its_question() {
    let mac = "52:54:00:00:00:0c".parse().unwrap();
    let vn = || Some("test".to_owned());
    let removal = |vn, peer: &str| Question::Remove { vn, peer: peer.parse().unwrap() };
    for (args, question) in [
        (&["status"][..], Question::Status { vn: None }),
        (&["status", "test"], Question::Status { vn: vn() }),
        (&["macs"], Question::Macs { vn: None }),
        (&["macs", "test"], Question::Macs { vn: vn() }),
        (&["paths", "test"], Question::Paths { vn: vn() }),
        (&["peers", "test"], Question::Peers { vn: vn() }),
        (&["peers", "--remove", "2001:db8::2"], removal(None, "2001:db8::2")),
        (&["peers", "test", "--remove", "10.0.0.2,100"], removal(vn(), "10.0.0.2,100")),
        (&["resolve", "test", "52-54-00-00-00-0C"], Question::Resolve { vn: "test".into(), mac }),
        (&["flush"], Question::Flush { vn: None, mac: None }),
        (&["drain", "test", "--off"], Question::Drain { vn: "test".into(), off: true }),
        (&["flush", "test", "52:54:00:00:00:0c"], Question::Flush { vn: vn(), mac: Some(mac) }),
        (&["events", "--after", "7"], Question::Events { after: 7 }),
        (&["monitor"], Question::Monitor),
        (&["reload"], Question::Reload),
        (&["metrics"], Question::Metrics),
    ] {
        let request = Request { question, form: FILE };
        let done = answered(&args.join("-"), args, &request, &answer("", "", 0));
        assert_eq!(done, (Some(0), String::new(), String::new()), "{args:?}");
        let args = [args, &["--json"]].concat();
        let request = Request { form: Form::Json, ..request };
        answered(&args.join("-"), &args, &request, &answer("", "", 0));
    }
}

fn status() -> Request {
    Request { question: Question::Status { vn: None }, form: FILE }
}

#[test]
fn an_answer_is_copied_piece_by_piece() {
    let octets = [
        piece(Kind::Output, "one\ntw".as_bytes()),
        piece(Kind::Complaint, "oh\n".as_bytes()),
        piece(Kind::Output, &[]),
        piece(Kind::Output, "o ü\n".as_bytes()),
        piece(Kind::End, &[4]),
        piece(Kind::Output, b"nobody waits for this"),
    ];
    let done = answered("pieces", &["status"], &status(), &octets.concat());
    assert_eq!(done, (Some(4), "one\ntwo ü\n".into(), "oh\n".into()));
}

/// Half an answer is what there is of it, and why not all.
#[test]
fn an_answer_may_end_early() {
    let half = piece(Kind::Output, b"{\"macs\":[{");
    let request = Request { question: Question::Macs { vn: None }, form: Form::Json };
    let (code, out, err) = answered("half", &["macs", "--json"], &request, &half);
    let error = "the daemon at SOCKET closed the connection (it ended, or was restarted)";
    let expected = format!("{{\"macs\":[{{\n{{\"error\":\"{error}\",\"code\":3}}\n");
    assert_eq!((code, out, err.as_str()), (Some(3), expected, ""));
}

/// Whoever took a daemon over, or writes a file, does not command root's terminal.
#[test]
fn no_text_commands_the_terminal() {
    let harmful = "a\u{1b}]0;b\u{7}\u{9b}31m\r\u{7f}";
    let calm = |text: &str| !text.contains(|c: char| c.is_control() && c != '\n');
    let mut octets = answer(harmful, harmful, 1);
    octets.splice(0..0, piece(Kind::Output, &[b'x', 0x9b, b'y']));
    let (code, out, err) = answered("harmful", &["status"], &status(), &octets);
    assert_eq!(code, Some(1));
    assert!(calm(&out) && calm(&err), "{out:?} {err:?}");
    assert_eq!(out, "x\u{fffd}ya\\u{1b}]0;b\\u{7}\\u{9b}31m\\r\\u{7f}");
    let output = dmevpn(&["check", "/nowhere/\u{1b}[31m"]);
    assert!(calm(&String::from_utf8(output.stderr).unwrap()));
}

#[test]
fn monitor_prints_what_comes_until_the_daemon_ends() {
    let octets = [piece(Kind::Output, &[]), piece(Kind::Output, b"a\n"), piece(Kind::Output, b"b\n")];
    let request = Request { question: Question::Monitor, form: FILE };
    let (code, out, err) = answered("monitor", &["monitor"], &request, &octets.concat());
    assert_eq!((code, out.as_str()), (Some(3), "a\nb\n"));
    assert_eq!(err, "dmevpn: the daemon at SOCKET closed the connection (it ended, or was restarted)\n");
}

/// It is waited for without a limit, once the daemon said that it is there.
#[test]
fn monitor_waits() {
    let path = socket("waits");
    let listener = UnixListener::bind(&path).unwrap();
    let daemon = thread::spawn(move || {
        let mut stream = accept(&listener);
        request(&mut stream);
        stream.write_all(&piece(Kind::Output, &[])).unwrap();
        thread::sleep(Duration::from_millis(700));
        stream.write_all(&answer("late\n", "", 0)).unwrap();
    });
    let output = dmevpn(&["monitor", "--timeout", "0.3", "--socket", path.to_str().unwrap()]);
    daemon.join().unwrap();
    let _ = std::fs::remove_file(&path);
    assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b"late\n"[..]));
}

#[test]
fn a_daemon_of_another_version_is_recognised() {
    for theirs in [2, VERSION + 1] {
        let octets = [0, 0, 0, 5, theirs, 0xff, 0xff, 0xff, 0xff];
        let (code, out, err) = answered("version", &["status"], &status(), &octets);
        assert_eq!((code, out.as_str()), (Some(1), ""));
        let expected = format!(
            "dmevpn: the daemon speaks control version {theirs}, this program 5: \
             use the dmevpn program the daemon was started from\n"
        );
        assert_eq!(err, expected);
    }
}

#[test]
fn without_a_daemon_the_socket_is_named() {
    let path = socket("none");
    let path = path.to_str().unwrap();
    let output = dmevpn(&["status", "--socket", path]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        format!(
            "dmevpn: no daemon answers at {path}: is it running? (/etc/init.d/dmevpn status, or systemctl status dmevpn)\n"
        )
    );
    drop(UnixListener::bind(path).unwrap());
    let output = dmevpn(&["status", "--socket", path]);
    let _ = std::fs::remove_file(path);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        format!(
            "dmevpn: no daemon answers at {path}: is it running? (/etc/init.d/dmevpn status, or systemctl status dmevpn)\n"
        )
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
    // It says a little again and again, which is no answer.
    let drip = thread::spawn(move || {
        let nothing = piece(Kind::Output, &[]);
        // The one before gave up, if it came at all.
        while let Some(mut stream) = client(&listener, Duration::from_secs(2)) {
            while stream.write_all(&nothing).is_ok() {
                thread::sleep(Duration::from_millis(50));
            }
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

/// A person before a pager takes longer than a daemon may.
#[test]
fn a_reader_may_take_his_time() {
    let path = socket("pager");
    let listener = UnixListener::bind(&path).unwrap();
    let daemon = thread::spawn(move || {
        let mut stream = accept(&listener);
        request(&mut stream);
        let row = piece(Kind::Output, "x".repeat(4096).as_bytes());
        (0..400).for_each(|_| stream.write_all(&row).unwrap());
        stream.write_all(&piece(Kind::End, &[0])).unwrap();
    });
    let mut command = Command::new(env!("CARGO_BIN_EXE_dmevpn"));
    let command = command.args(["status", "--timeout", "0.5", "--socket", path.to_str().unwrap()]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    thread::sleep(Duration::from_secs(1));
    let output = child.wait_with_output().unwrap();
    daemon.join().unwrap();
    let _ = std::fs::remove_file(&path);
    assert_eq!((output.status.code(), output.stdout.len(), output.stderr.len()), (Some(0), 400 * 4096, 0));
}
