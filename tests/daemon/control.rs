//! Clients of the control socket, and what they may do wrong.

use super::*;
use serde_json::{Value, json};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Command, Stdio};

#[test]
fn a_place_for_the_socket() {
    in_small(plan(), |lab| {
        let spoke1 = lab.node("spoke1");
        let deep = spoke1.socket().with_extension("run").join("private/control.sock");
        let put = |path: &std::path::Path| {
            let path = format!("option socket '{}'", path.display());
            let is_it = |line: &str| line.trim_start().starts_with("option socket ");
            spoke1
                .edit_config(|text| {
                    let lines = text.lines().map(|l| if is_it(l) { path.as_str() } else { l });
                    lines.collect::<Vec<_>>().join("\n") + "\n"
                })
                .unwrap();
        };
        let refused = |words: &str| {
            let mut daemon = spoke1.ns.command(program().path);
            let output = daemon.args(["daemon", "--config"]).arg(spoke1.config()).output().unwrap();
            let said = String::from_utf8([output.stderr, output.stdout].concat()).unwrap();
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert!(said.contains(words), "{said}");
        };
        // What is not a socket is somebody's.
        let precious = spoke1.socket().with_extension("precious");
        fs::write(&precious, "of value").unwrap();
        put(&precious);
        refused("something else than a socket");
        assert_eq!(fs::read_to_string(&precious).unwrap(), "of value");
        // Neither is a name for one ours, nor a socket such as a logger's.
        let link = spoke1.socket().with_extension("link");
        std::os::unix::fs::symlink(&precious, &link).unwrap();
        put(&link);
        refused("something else than a socket");
        assert!(link.is_symlink());
        let logger = spoke1.socket().with_extension("logger");
        let alive = UnixDatagram::bind(&logger).unwrap();
        put(&logger);
        refused("another program has its socket there");
        assert!(UnixDatagram::unbound().unwrap().connect(&logger).is_ok());
        drop(alive);

        put(&deep);
        lab.start("spoke1").unwrap();
        wait("the socket is there", || deep.exists());
        let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&deep), 0o600);
        assert_eq!(mode(deep.parent().unwrap()), 0o755);
        // What is there in its place when it ends, it did not put there.
        fs::remove_file(&deep).unwrap();
        fs::write(&deep, "of value").unwrap();
        assert_eq!(lab.nodes.get_mut("spoke1").unwrap().stop(), Ok(Some(0)));
        assert_eq!(fs::read_to_string(&deep).unwrap(), "of value");
    });
}

/// Errors of the system are told in words; that no log has their numbers is looked at after every test.
#[test]
fn a_state_file_that_cannot_be_written() {
    in_small(plan(), |lab| {
        let file = format!("{}'", lab.node("spoke1").socket().with_extension("state").display());
        let edit = |text: String| {
            assert!(text.contains(&file), "{text}");
            text.replace(&file, "/proc/dmevpn/state'")
        };
        lab.node("spoke1").edit_config(edit).unwrap();
        lab.start_all().unwrap();
        all_is_well(lab);
        let log = lab.node("spoke1").log_text();
        assert!(log.contains("/proc/dmevpn/state: No such file or directory"), "{log}");
    });
}

#[test]
fn control_socket() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        let spoke1 = lab.node("spoke1");
        let pid = spoke1.pid();

        // A second daemon.
        let mut second = spoke1.ns.command(program().path);
        let second = second.args(["daemon", "--config"]).arg(spoke1.config()).output().unwrap();
        let said = String::from_utf8([second.stderr, second.stdout].concat()).unwrap();
        assert_eq!(second.status.code(), Some(1), "{said}");
        assert!(said.contains("another daemon answers there"), "{said}");
        assert_eq!(dmevpn(spoke1, &["status"]).status.code(), Some(0), "the first one goes on");

        // Garbage of all lengths, and clients that say nothing.
        let silent: Vec<_> = (0..20).map(|_| UnixStream::connect(spoke1.socket()).unwrap()).collect();
        let mut number = 1u32;
        for length in (0..200).chain([4096, 70_000]) {
            let mut client = UnixStream::connect(spoke1.socket()).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            let octets: Vec<u8> = (0..length)
                .map(|_| {
                    number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (number >> 24) as u8
                })
                .collect();
            // It may hang up before all is written.
            let _ = client.write_all(&octets);
            let _ = client.shutdown(std::net::Shutdown::Write);
            let _ = client.read_to_end(&mut Vec::new());
        }

        // Monitors that hang up, and one that never reads.
        let mut monitors = Vec::new();
        for _ in 0..5 {
            let mut monitor = spoke1.ns.command(program().path);
            let monitor = monitor.arg("monitor").arg("--socket").arg(spoke1.socket());
            monitors.push(monitor.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
        }
        std::thread::sleep(Duration::from_millis(300));
        for mut monitor in monitors {
            monitor.kill().unwrap();
            monitor.wait().unwrap();
        }
        for _ in 0..3 {
            assert_eq!(dmevpn(spoke1, &["flush"]).status.code(), Some(0));
        }

        // Fifty at once.
        let clients: Vec<_> = (0..50)
            .map(|_| {
                let mut client = Command::new(program().path);
                let client = client.arg("status").arg("--socket").arg(spoke1.socket());
                client.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
            })
            .collect();
        for mut client in clients {
            assert_eq!(client.wait().unwrap().code(), Some(0));
        }
        all_is_well(lab);
        assert_eq!(lab.node("spoke1").pid(), pid);
        assert!(lab.node("spoke1").is_running());
        drop(silent);

        // What a killed daemon leaves is replaced.
        lab.nodes.get_mut("spoke1").unwrap().kill().unwrap();
        assert!(lab.node("spoke1").socket().exists());
        assert_eq!(dmevpn(lab.node("spoke1"), &["status"]).status.code(), Some(3));
        lab.start("spoke1").unwrap();
        wait_status(lab.node("spoke1"), "valid for");
        let spoke1 = lab.nodes.get_mut("spoke1").unwrap();
        assert_eq!(spoke1.stop(), Ok(Some(0)));
        assert!(!spoke1.socket().exists());
    });
}

/// One that hangs, with so many clients that no more can queue: who looks for it does not hang, too.
#[test]
fn a_daemon_that_hangs_is_there() {
    in_small(plan(), |lab| {
        let node = lab.node("spoke1");
        let address = SockAddr::unix(node.socket()).unwrap();
        let hangs = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        hangs.bind(&address).unwrap();
        hangs.listen(1).unwrap();
        let client = || {
            let client = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            client.set_nonblocking(true)?;
            client.connect(&address).map(|()| client)
        };
        let clients: Vec<_> = std::iter::from_fn(|| client().ok()).take(100).collect();
        assert!(clients.len() < 100);
        for (command, words) in [("leave", "a daemon runs"), ("daemon", "another daemon answers there")] {
            let mut looks = node.ns.command(program().path);
            let looks = looks.args([command, "--config"]).arg(node.config());
            let mut looks = Killed(looks.stderr(Stdio::piped()).spawn().unwrap());
            let mut code = None;
            wait("it ends", || {
                std::thread::sleep(Duration::from_millis(50));
                code = looks.0.try_wait().unwrap();
                code.is_some()
            });
            let mut said = String::new();
            looks.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            assert!(code.unwrap().code() == Some(1) && said.contains(words), "{command}: {said}");
        }
    });
}

/// More clients than it serves are told so, and the daemon keeps its files for what it is there for.
#[test]
fn too_many_clients() {
    in_small(plan(), |lab| {
        lab.start("hub").unwrap();
        let hub = lab.node("hub");
        wait_status(hub, "hub");
        let clients: Vec<_> = (0..150).map(|_| UnixStream::connect(hub.socket()).unwrap()).collect();
        wait_status(hub, "the daemon serves 100 clients already");
        let files = fs::read_dir(format!("/proc/{}/fd", hub.pid().unwrap())).unwrap().count();
        assert!((100..130).contains(&files), "{files} files");
        drop(clients);
        wait_status(hub, "VN test: hub");
    });
}

/// A program that ends with its test.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_next_daemon_waits_for_the_one_that_ends() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        let spoke1 = lab.node("spoke1");
        wait_status(spoke1, "valid for");
        let mut next = spoke1.ns.command(program().path);
        let next = next
            .args(["daemon", "--config"])
            .arg(spoke1.config())
            .stderr(Stdio::null())
            .stdout(Stdio::null());
        let mut next = next.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(lab.nodes.get_mut("spoke1").unwrap().stop(), Ok(Some(0)));
        wait_status(lab.node("spoke1"), "valid for");
        next.kill().unwrap();
        next.wait().unwrap();
    });
}

/// The exit code and the object that a command prints, which docs/json.md describes.
#[track_caller]
pub fn told(node: &Node, args: &[&str]) -> (Option<i32>, Value) {
    let output = dmevpn(node, &[args, &["--json", "--timeout", "20"]].concat());
    assert_eq!(output.stderr, b"", "{args:?}");
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    documented::check(if value.get("error").is_some() { "An error" } else { args[0] }, &value);
    (output.status.code(), value)
}

#[test]
fn json_of_real_daemons() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        let (hub, spoke1) = (lab.node("hub"), lab.node("spoke1"));
        let mut monitor = spoke1.ns.command(program().path);
        let monitor = monitor.args(["monitor", "--json", "--socket"]).arg(spoke1.socket());
        let mut monitor = monitor.stdout(Stdio::piped()).spawn().unwrap();

        let (code, status) = told(spoke1, &["status"]);
        let vn = &status["vns"][0];
        assert_eq!((code, &vn["state"], &vn["role"]), (Some(0), &json!("registered"), &json!("spoke")));
        assert_eq!((&vn["hub_nbma"], &vn["local_nbma"]), (&json!("10.0.0.1"), &json!("10.0.0.2")));
        let kernel = PathBuf::from(format!("/proc/{}/status", spoke1.pid().unwrap()));
        let confined = number_in(&kernel, "Seccomp:") == 2;
        assert_eq!((&status["user"], &status["confined"]), (&json!("root"), &json!(confined)));
        let (_, status) = told(hub, &["status"]);
        let vn = &status["vns"][0];
        assert_eq!((&vn["state"], &vn["role"], &vn["spokes"]), (&json!("up"), &json!("hub"), &json!(2)));
        assert!(vn["since"].as_u64().unwrap() <= status["uptime"].as_u64().unwrap());

        let place = |node, mac: &str| {
            let (_, macs) = told(node, &["macs", "test"]);
            let rows = macs["macs"].as_array().unwrap().clone();
            let row = rows.into_iter().find(|row| row["mac"] == mac).unwrap_or_default();
            (row["place"].clone(), row["nbma"].clone(), row["vni"].clone())
        };
        let bridge2 = written(BRIDGE2);
        assert_eq!(place(spoke1, &bridge2), (json!("direct"), json!("10.0.0.3"), json!(101)));
        assert_eq!(place(hub, &bridge2), (json!("spoke"), json!("10.0.0.3"), json!(101)));
        let (_, peers) = told(hub, &["peers"]);
        assert_eq!(peers["peers"].as_array().unwrap().len(), 2);
        assert_eq!(told(spoke1, &["peers"]), (Some(0), json!({ "peers": [] })));

        let (code, found) = told(spoke1, &["resolve", "test", &bridge2]);
        assert_eq!((code, &found["place"], &found["vni"]), (Some(0), &json!("remote"), &json!(101)));
        let (code, found) = told(spoke1, &["resolve", "test", "52:54:00:00:00:7f"]);
        assert_eq!((code, &found["resolved"], &found["place"]), (Some(1), &json!(false), &Value::Null));
        let (code, found) = told(spoke1, &["resolve", "nowhere", &bridge2]);
        assert_eq!((code, found), (Some(1), json!({ "error": "there is no VN 'nowhere'", "code": 1 })));

        assert_eq!(told(spoke1, &["flush"]), (Some(0), json!({ "ok": true })));
        assert_eq!(told(spoke1, &["reload"]), (Some(0), json!({ "ok": true })));

        // Nobody has to have watched.
        let (_, lately) = told(spoke1, &["events"]);
        let happened = |event: &str| lately["events"].as_array().unwrap().iter().any(|e| e["event"] == event);
        assert!(happened("registered") && happened("shortcut_down"), "{lately}");
        let last = lately["last"].as_u64().unwrap();
        let after = |number: u64| {
            let (_, lately) = told(spoke1, &["events", "--after", &number.to_string()]);
            lately["events"].as_array().unwrap().len() as u64 - (lately["last"].as_u64().unwrap() - last)
        };
        assert_eq!((after(last), after(last - 1)), (0, 1));
        assert_eq!(after(last + 1000), lately["events"].as_array().unwrap().len() as u64);

        let (_, metrics) = told(hub, &["metrics"]);
        let metrics = metrics["metrics"].as_array().unwrap();
        let spokes = metrics.iter().find(|metric| metric["name"] == "dmevpn_spokes").unwrap();
        assert_eq!(spokes["samples"], json!([{ "labels": { "vn": "test" }, "value": 2 }]));
        let sum = |metrics: &[Value], name: &str| {
            let metric = metrics.iter().find(|metric| metric["name"] == name);
            let samples = metric.unwrap_or_else(|| panic!("no {name}"))["samples"].as_array().unwrap();
            samples.iter().map(|sample| sample["value"].as_u64().unwrap()).sum::<u64>()
        };
        // Each Registration Request is counted once, in all, in the VN, and of its spoke; but for the first ones, which only
        // ask for a cookie, and may be anybody's.
        let received =
            ["dmevpn_rx_register_req", "dmevpn_vn_rx_register_req", "dmevpn_spoke_rx_register_req"]
                .map(|name| sum(metrics, &format!("{name}_total")));
        let first = sum(metrics, "dmevpn_tx_challenge_total");
        assert_eq!((received[1], received[2]), (received[0], received[0] - first));
        // The spokes are asked after the hub: what it has was sent, and more may be on its way or lost.
        let of = |name| told(lab.node(name), &["metrics"]).1["metrics"].as_array().unwrap().clone();
        let (metrics1, metrics2) = (of("spoke1"), of("spoke2"));
        let sent = [&metrics1, &metrics2].map(|m| sum(m, "dmevpn_vn_tx_register_req_total"));
        assert!((2..=sent.iter().sum()).contains(&received[0]), "{received:?} of {sent:?}");
        for (metrics, name) in [
            (metrics, "dmevpn_spoke_rx_bytes"),
            (metrics, "dmevpn_spoke_tx_packets"),
            (&metrics1, "dmevpn_vn_tx_bytes"),
        ] {
            assert!(sum(metrics, &format!("{name}_total")) > 0, "{name}");
        }
        spoke1.edit_config(|text| text.replace("option vni '100'", "option vni 'many'")).unwrap();
        let (code, refused) = told(spoke1, &["reload"]);
        assert_eq!((code, &refused["errors"][0]["option"]), (Some(4), &json!("vni")));
        assert_eq!(refused["file"], json!(spoke1.config().to_str().unwrap()));

        monitor.kill().unwrap();
        let said = monitor.wait_with_output().unwrap().stdout;
        let events: Vec<Value> =
            said.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
        events.iter().for_each(|event| drop(documented::check("monitor", event)));
        let down = |event: &&Value| event["event"] == "shortcut_down" && event["mac"] == bridge2;
        let down = events.iter().find(down).unwrap_or_else(|| panic!("{events:?}"));
        assert_eq!((&down["vn"], &down["reason"]), (&json!("test"), &json!("flushed by the operator")));

        // A daemon that hangs.
        spoke1.signal(libc::SIGSTOP).unwrap();
        let output = dmevpn(spoke1, &["status", "--json", "--timeout", "0.3"]);
        spoke1.signal(libc::SIGCONT).unwrap();
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        let expected = json!({ "error": "no answer from the daemon within 0.3 s", "code": 3 });
        assert_eq!((output.status.code(), said), (Some(3), expected));
    });
}

fn written(mac: MacBytes) -> String {
    mac.map(|octet| format!("{octet:02x}")).join(":")
}
