//! Clients that are not the program: lines of JSON, long tables, monitors, and those who do not read.

use super::*;
use dmevpn::control::frame::{Decoder, Kind, piece};
use dmevpn::control::{Form, Question, Request};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Asks by a frame.
fn asking(node: &Node, question: Question, form: Form) -> UnixStream {
    let mut stream = UnixStream::connect(node.socket()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(&Request { question, form }.encode().unwrap()).unwrap();
    stream
}

/// An answer, up to its end: what it says, what is wrong, and the exit code.
fn whole(mut stream: &UnixStream) -> (String, String, u8) {
    let (mut decoder, mut said, mut buf) = (Decoder::default(), [vec![], vec![]], [0; 4096]);
    loop {
        let len = stream.read(&mut buf).unwrap();
        assert_ne!(len, 0, "the answer has no end");
        decoder.push(&buf[..len]);
        while let Some(piece) = decoder.piece().unwrap() {
            match piece.kind {
                Kind::Output => said[0].extend(piece.octets),
                Kind::Complaint => said[1].extend(piece.octets),
                Kind::End => {
                    let [out, err] = said.map(|octets| String::from_utf8(octets).unwrap());
                    return (out, err, piece.octets[0]);
                }
            }
        }
    }
}

/// Makes the hub's bridge learn `count` stations behind a spoke's port.
fn learn(hub: &Node, port: &str, count: u32) {
    let mac = |n: u32| format!("52:54:01:{:02x}:{:02x}:{:02x}", n >> 16, n >> 8 & 0xff, n & 0xff);
    let lines: Vec<_> =
        (0..count).map(|n| format!("fdb replace {} dev {port} master dynamic", mac(n))).collect();
    hub.ns.bridge(&lines.join("\n")).unwrap();
}

fn resident(node: &Node) -> u64 {
    number_in(format!("/proc/{}/status", node.pid().unwrap()).as_ref(), "VmRSS:")
}

#[test]
fn lines_of_json() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        let (hub, spoke1) = (lab.node("hub"), lab.node("spoke1"));
        let mut stream = UnixStream::connect(spoke1.socket()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut answers = BufReader::new(stream.try_clone().unwrap());
        let mut ask = |line: &str| -> Value {
            stream.write_all(line.as_bytes()).unwrap();
            let mut answer = String::new();
            answers.read_line(&mut answer).unwrap();
            serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{line}: {e} in {answer:?}"))
        };
        let status = ask("{\"cmd\":\"status\"}\n");
        documented::check("status", &status);
        assert_eq!(status["vns"][0]["state"], "registered");
        let bridge2 = lab::text_of_mac(BRIDGE2);
        let macs = ask("{\"vn\":\"test\",\"cmd\":\"macs\"}\r\n");
        documented::check("macs", &macs);
        let row = macs["macs"].as_array().unwrap().iter().find(|row| row["mac"] == bridge2.as_str());
        assert_eq!(row.unwrap()["place"], "direct");
        let found = ask(&format!("{{\"cmd\":\"resolve\",\"vn\":\"test\",\"mac\":\"{bridge2}\"}}\n"));
        documented::check("resolve", &found);
        assert_eq!((&found["place"], &found["vni"]), (&json!("remote"), &json!(101)));
        let found = ask("{\"cmd\":\"resolve\",\"vn\":\"test\",\"mac\":\"52:54:00:00:00:7f\"}\n");
        assert_eq!(found["resolved"], json!(false));
        documented::check("metrics", &ask("{\"cmd\":\"metrics\"}\n"));
        documented::check("events", &ask("{\"cmd\":\"events\",\"after\":1}\n"));
        // What is wrong is said, and the next one is taken.
        for (line, error) in [
            ("{\"cmd\":\"status\",\"vn\":\"nowhere\"}\n", "there is no VN 'nowhere'"),
            ("{\"cmd\":\"bogus\"}\n", "not a request: 'bogus' is not a command that the daemon is asked by"),
            ("{\"cmd\":\n", "not a request: '' is not a text, a whole number, true, false or null"),
        ] {
            assert_eq!(ask(line), json!({ "error": error, "code": 1 }));
        }
        assert_eq!(ask("{\"cmd\":\"flush\"}\n"), json!({ "ok": true }));
        let long = ask(&format!("{{\"cmd\":\"macs\",\"vn\":\"{}\"}}\n", "x".repeat(5000)));
        assert_eq!(long["error"], "a line of more than 4096 octets on the control socket");

        // Who ends instead of a line is answered, too; and whoever writes is no shell.
        let mut stream = UnixStream::connect(hub.socket()).unwrap();
        stream.write_all(b"{\"cmd\":\"peers\"}").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let peers: Value = serde_json::from_str(&answer).unwrap();
        documented::check("peers", &peers);
        assert_eq!(peers["peers"].as_array().unwrap().len(), 2);
        let script = "import json, socket, sys\n\
            s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n\
            s.sendall(json.dumps({'cmd': 'status', 'vn': 'test'}).encode() + b'\\n')\n\
            print(json.loads(s.makefile().readline())['vns'][0]['role'])";
        match Command::new("python3").args(["-c", script]).arg(hub.socket()).output() {
            Ok(output) => assert_eq!(String::from_utf8_lossy(&output.stdout), "hub\n"),
            Err(e) => println!("skipped: no python3 ({e})"),
        }
    });
}

/// A program of another version is told so in its own way: the version is where it looks for it.
#[test]
fn another_version() {
    in_small(plan(), |lab| {
        lab.start("hub").unwrap();
        let hub = lab.node("hub");
        wait_status(hub, "hub");
        let mut stream = UnixStream::connect(hub.socket()).unwrap();
        stream.write_all(&[0, 0, 0, 2, 2, 0]).unwrap();
        let (_, err, code) = whole(&stream);
        let expected = "dmevpn: this daemon speaks control version 5, the request is of version 2\n";
        assert_eq!((err.as_str(), code), (expected, 1));
        // Where the next request begins is known; but not behind one that is too long.
        stream
            .write_all(&Request { question: Question::Reload, form: Form::Json }.encode().unwrap())
            .unwrap();
        assert_eq!(whole(&stream).2, 0);
        stream.write_all(b"GET /").unwrap();
        let (_, err, _) = whole(&stream);
        assert!(err.contains("a message of 1195725856 octets on the control socket"), "{err}");
        assert_eq!(stream.read(&mut [0; 64]).unwrap(), 0);
    });
}

/// Others are answered at once, nothing grows by it, and every row is there once.
#[test]
fn a_long_table_is_told_row_by_row() {
    const ROWS: u32 = 20_000;
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        let hub = lab.node("hub");
        let port = hub.ports().unwrap().into_keys().next().unwrap();
        learn(hub, &port, ROWS);
        wait("the hub has learned them", || {
            std::thread::sleep(Duration::from_millis(100));
            let (told, ..) = whole(&asking(hub, Question::Status { vn: None }, Form::Json));
            let status: Value = serde_json::from_str(&told).unwrap();
            status["vns"][0]["macs"].as_u64().unwrap() >= ROWS.into()
        });
        let before = resident(hub);
        let question = || Question::Macs { vn: Some("test".into()) };
        // One who does not read on.
        let mut stuck = asking(hub, question(), Form::Json);
        stuck.read_exact(&mut [0; 6]).unwrap();
        for form in [Form::Json, Form::Text { columns: 0 }] {
            let table = asking(hub, question(), form);
            let table = std::thread::spawn(move || whole(&table));
            let (mut asked, mut longest) = (0, Duration::ZERO);
            while !table.is_finished() {
                let clock = Instant::now();
                let (told, ..) = whole(&asking(hub, Question::Status { vn: None }, Form::Json));
                longest = longest.max(clock.elapsed());
                assert!(told.starts_with('{'));
                asked += 1;
            }
            let (told, err, code) = table.join().unwrap();
            assert_eq!((err.as_str(), code), ("", 0));
            println!("{asked} questions during {} octets, each within {longest:?}", told.len());
            assert!(asked >= 10 && longest < SOON / 10, "{asked}, {longest:?}");
            let macs: BTreeSet<String> = match form {
                Form::Json => {
                    let told: Value = serde_json::from_str(&told).unwrap();
                    let rows = told["macs"].as_array().unwrap();
                    rows.iter().map(|row| row["mac"].as_str().unwrap().to_owned()).collect()
                }
                Form::Text { .. } => {
                    let rows = told.lines().skip(1);
                    rows.map(|row| row.split_whitespace().nth(1).unwrap().to_owned()).collect()
                }
            };
            assert!(macs.len() >= ROWS as usize, "{} rows", macs.len());
            assert!(macs.contains("52:54:01:00:00:00") && macs.contains("52:54:01:00:4e:1f"));
        }
        let after = resident(hub);
        assert!(after < before + 1024, "from {before} to {after} kB");
        drop(stuck);
    });
}

/// They are bounded, cost little, and are gone when they are gone.
#[test]
fn monitors() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        let spoke1 = lab.node("spoke1");
        let monitor = || {
            let mut stream = asking(spoke1, Question::Monitor, Form::Json);
            let mut first = [0; 6];
            stream.read_exact(&mut first).unwrap();
            (first == piece(Kind::Output, &[])[..]).then_some(stream).ok_or(first)
        };
        // Where nothing happens, nothing is kept of those that hung up.
        let watch = |count: usize| {
            (0..count).for_each(|_| {
                wait("there is room for a monitor", || monitor().is_ok());
            });
            resident(spoke1)
        };
        let before = watch(20);
        let after = watch(200);
        assert!(after < before + 256, "from {before} to {after} kB");

        let mut there: Vec<UnixStream> = Vec::new();
        wait("there is room for 16", || {
            there.extend(monitor());
            there.len() == 16
        });
        assert!(resident(spoke1) < after + 256, "from {after} to {} kB", resident(spoke1));
        let (out, err, code) = whole(&asking(spoke1, Question::Monitor, Form::Text { columns: 0 }));
        assert_eq!((out.as_str(), err.as_str(), code), ("", "dmevpn: 16 monitors watch already\n", 1));
        assert_eq!(dmevpn(spoke1, &["status"]).status.code(), Some(0), "others are answered");
        // All are told the same.
        assert_eq!(dmevpn(spoke1, &["flush"]).status.code(), Some(0));
        for stream in &mut there {
            let (mut decoder, mut buf, mut told) = (Decoder::default(), [0; 4096], String::new());
            while !told.contains("\"shortcut_down\"") {
                let len = stream.read(&mut buf).unwrap();
                decoder.push(&buf[..len]);
                while let Some(piece) = decoder.piece().unwrap() {
                    told += &String::from_utf8(piece.octets).unwrap();
                }
            }
            for line in told.lines() {
                documented::check("monitor", &serde_json::from_str(line).unwrap());
            }
        }
        there.truncate(15);
        wait("who left makes room", || monitor().is_ok());
    });
}

/// Of what it is too slow for, a monitor is told how much that was.
#[test]
fn a_monitor_that_reads_too_slowly() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        let hub = lab.node("hub");
        let mut stream = UnixStream::connect(hub.socket()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        stream.write_all(b"{\"cmd\":\"monitor\"}\n").unwrap();
        let last = || {
            let (told, ..) = whole(&asking(hub, Question::Events { after: u64::MAX - 1 }, Form::Json));
            serde_json::from_str::<Value>(&told).unwrap()["last"].as_u64().unwrap()
        };
        std::thread::sleep(Duration::from_millis(200));
        let before = last();
        let ports: Vec<String> = hub.ports().unwrap().into_keys().collect();
        for _ in 0..6 {
            for port in &ports {
                learn(hub, port, 1000);
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        let happened = last() - before;
        assert!(happened > 3000, "{happened} events");
        // Then it reads on, until nothing comes any more.
        let (mut told, mut missed) = (0, 0);
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let event: Value = serde_json::from_str(&line).unwrap();
            documented::check("monitor", &event);
            told += u64::from(event["event"] != "missed");
            missed += event["missed"].as_u64().unwrap_or(0);
        }
        assert!(missed > 0, "{told} told of {happened}");
        assert!(told + missed >= happened, "{told} told and {missed} missed of {happened}");
    });
}

/// Who says nothing, or half of something, is hung up on; meanwhile nobody notices.
#[test]
fn who_says_nothing_is_hung_up_on() {
    in_small(plan(), |lab| {
        lab.start("hub").unwrap();
        let hub = lab.node("hub");
        wait_status(hub, "hub");
        let begins: [&[u8]; 5] = [b"", b"{\"cmd\":", &[0, 0], &[0, 0, 0, 9, 3, 0], b"\n \r\n"];
        let clients: Vec<UnixStream> = (0..95).map(|_| UnixStream::connect(hub.socket()).unwrap()).collect();
        for (mut client, begin) in clients.iter().zip(begins.iter().cycle()) {
            client.write_all(begin).unwrap();
        }
        let began = Instant::now();
        for mut client in &clients {
            assert_eq!(dmevpn(hub, &["status"]).status.code(), Some(0));
            client.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
            assert_eq!(client.read(&mut [0; 64]).unwrap(), 0);
        }
        let took = began.elapsed();
        assert!((Duration::from_secs(5)..Duration::from_secs(20)).contains(&took), "{took:?}");
    });
}

/// Who asks faster than he is answered, or says nothing at length, has his turn like all others.
#[test]
fn a_client_that_never_stops() {
    in_small(plan(), |lab| {
        lab.start("hub").unwrap();
        let hub = lab.node("hub");
        wait_status(hub, "hub");
        let flood = |line: &str| {
            let stream = UnixStream::connect(hub.socket()).unwrap();
            let (mut writes, mut reads) = (stream.try_clone().unwrap(), stream.try_clone().unwrap());
            let many = line.repeat(4000);
            let writer = std::thread::spawn(move || while writes.write_all(many.as_bytes()).is_ok() {});
            let reader = std::thread::spawn(move || {
                let mut buf = vec![0; 1 << 16];
                while reads.read(&mut buf).is_ok_and(|n| n > 0) {}
            });
            (stream, writer, reader)
        };
        for line in ["{\"cmd\":\"flush\"}\n", "        \n"] {
            let floods = [flood(line), flood(line), flood(line)];
            for _ in 0..10 {
                let clock = Instant::now();
                let (told, _, code) = whole(&asking(hub, Question::Status { vn: None }, Form::Json));
                assert!(told.starts_with('{') && code == 0);
                assert!(clock.elapsed() < SOON / 5, "{line}: {:?}", clock.elapsed());
            }
            for (stream, writer, reader) in floods {
                stream.shutdown(Shutdown::Both).unwrap();
                writer.join().unwrap();
                reader.join().unwrap();
            }
        }
    });
}

/// A monitor ends with the program's reader.
#[test]
fn the_program_that_watches() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        let spoke1 = lab.node("spoke1");
        let mut monitor = spoke1.ns.command(program().path);
        let monitor = monitor.args(["monitor", "--socket"]).arg(spoke1.socket());
        let mut monitor = monitor.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(monitor.stdout.take().unwrap());
        let reader = std::thread::spawn(move || {
            let mut lines = lines.lines().map_while(Result::ok);
            lines.any(|line| line.contains(" test: asking the hub for 52:54:00:00:01:"))
        });
        // Something happens again and again: it may not watch at once.
        let mut numbers = 0..200;
        let mut happens = || {
            let mac = format!("52:54:00:00:01:{:02x}", numbers.next().unwrap());
            dmevpn(spoke1, &["resolve", "test", &mac]);
        };
        wait("it is told", || {
            happens();
            reader.is_finished()
        });
        assert!(reader.join().unwrap());
        wait("it ends", || {
            happens();
            monitor.try_wait().unwrap().is_some_and(|status| status.success())
        });
    });
}
