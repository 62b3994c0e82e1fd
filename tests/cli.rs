//! What the commands print, for replies made up here, and how they exit.

use dmevpn::cli::{metrics, print};
use dmevpn::control::frame::{Decoder, VERSION};
use dmevpn::control::{
    Answer, Cause, Happening, Metrics, Reply, Request, RoleStatus, Status, VnMacs, VnPeers, VnStatus,
};
use dmevpn::engine::Statistics;
use dmevpn::engine::report::{HubReport, MacRow, MacState, PeerRow, SpokeReport, Standing};
use dmevpn::engine::settings::{Trigger, VpnMode};
use dmevpn::engine::{Event, Refusal, Why};
use dmevpn::types::{Mac, Vtep};
use serde_json::Value;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;

fn mac(n: u8) -> Mac {
    Mac::new([0x52, 0x54, 0, 0, 0, n]).unwrap()
}

fn vtep(nbma: &str, vni: &str) -> Vtep {
    Vtep { nbma: nbma.parse().unwrap(), vni: vni.parse().unwrap() }
}

fn report(standing: Standing, since: u64) -> SpokeReport {
    SpokeReport {
        standing,
        since,
        hub: "10.0.0.1".parse().ok(),
        local: "10.0.0.2".parse().ok(),
        vni: "100".parse().unwrap(),
        uplink: Some(vtep("10.0.0.1", "1048576")),
        vpn_mode: VpnMode::Llc,
        trigger: Trigger::Learn,
        shortcuts: 12,
        asking: 0,
        negative: 1,
    }
}

fn vn(name: &str, vpn_id: &str, role: RoleStatus) -> VnStatus {
    let spoke = matches!(role, RoleStatus::Spoke { .. });
    VnStatus {
        name: name.into(),
        vpn_id: vpn_id.parse().unwrap(),
        bridge: format!("br-{name}"),
        vlan: None,
        bridge_mac: None,
        device: spoke.then(|| format!("vx-{name}")),
        trouble: None,
        role,
    }
}

fn spoke(address: &str, report: SpokeReport) -> RoleStatus {
    RoleStatus::Spoke { hub_name: "dc1".into(), hub_address: address.into(), report }
}

fn hub() -> RoleStatus {
    RoleStatus::Hub {
        dataplane: "bridge".into(),
        dataplane_reason: "as configured".into(),
        report: HubReport { spokes: 3, max_spokes: 1000, macs: 40, purges: 0 },
    }
}

fn daemon(vns: Vec<VnStatus>) -> Status {
    Status {
        version: "0.1.0".into(),
        uptime: 8040,
        config: "/etc/config/dmevpn".into(),
        transport: "raw".into(),
        nbma: vec!["10.0.0.2".parse().unwrap()],
        trouble: None,
        vns,
    }
}

/// One of each, with all that can go wrong.
fn a_day_like_any_other() -> Status {
    let registered = report(Standing::Registered { left: 410, unanswered: 0 }, 7980);
    let refused = report(Standing::Refused { reason: Refusal::Nak(14), retry: 20 }, 12);
    let silent = report(Standing::Registering { unanswered: 4 }, 34);
    let no_device = VnStatus {
        device: None,
        trouble: Some(Cause::NoBridge("br-guest".into())),
        ..vn("guest", "4", spoke("10.0.0.1", report(Standing::NoDevice, 8000)))
    };
    daemon(vec![
        VnStatus { bridge_mac: Some(mac(2)), ..vn("test", "1", spoke("10.0.0.1", registered)) },
        vn("lab", "2", spoke("hub.example.net", refused)),
        vn("cam", "ac-de-48:3", spoke("10.0.0.1", silent)),
        no_device,
        vn("core", "5", hub()),
    ])
}

#[test]
fn status_says_for_every_vn_how_it_stands_and_why_not_if_not() {
    let text = print::status(&a_day_like_any_other());
    let expected = "\
dmevpn 0.1.0, up 2h 14m, /etc/config/dmevpn, transport raw, 10.0.0.2

VN test (vpn-id 1)  spoke, vni 100, bridge br-test 52:54:00:00:00:02,
                    device vx-test
  hub dc1 10.0.0.1  registered for 2h 13m, valid for 410 s more,
                    uplink vni 1048576
  macs              12 shortcuts, 0 being asked for, 1 unknown to the hub

VN lab (vpn-id 2)  spoke, vni 100, bridge br-lab, device vx-lab
  hub dc1 hub.example.net (10.0.0.1)
  state         refused 12 s ago: NAK 14, another router registered this MAC,
                next try in 20 s
  macs          12 shortcuts, 0 being asked for, 1 unknown to the hub

VN cam (vpn-id ac-de-48:3)  spoke, vni 100, bridge br-cam, device vx-cam
  hub dc1 10.0.0.1  not registered for 34 s: no answer to 4 requests
  macs              12 shortcuts, 0 being asked for, 1 unknown to the hub

VN guest (vpn-id 4)  spoke, vni 100, bridge br-guest
  hub dc1 10.0.0.1  waiting for device for 2h 13m: bridge 'br-guest' does not
                    exist
  macs              12 shortcuts, 0 being asked for, 1 unknown to the hub

VN core (vpn-id 5)  hub, bridge br-core
  data plane    bridge (as configured)
  spokes        3 registered, 1000 at most
  macs          40 known
";
    assert_eq!(text, expected);
    assert!(text.lines().all(|line| line.len() <= 80));
}

#[test]
fn status_with_three_vns_fits_a_screen() {
    let mut status = a_day_like_any_other();
    status.vns.truncate(3);
    assert!(print::status(&status).lines().count() <= 24);
}

#[test]
fn status_of_the_rarer_states() {
    let state = |standing, hub: Option<&str>| {
        let report = SpokeReport { hub: hub.and_then(|hub| hub.parse().ok()), ..report(standing, 7) };
        let text = print::status(&daemon(vec![vn("test", "1", spoke("hub.example.net", report))]));
        let lines = text.lines().skip(3).map(str::trim).collect::<Vec<_>>().join(" ");
        lines.split("  macs").next().unwrap().split("macs").next().unwrap().trim().to_string()
    };
    assert_eq!(
        state(Standing::NoAddress, None),
        "hub dc1 hub.example.net  not registered for 7 s: the address of hub.example.net is not known (DNS?)"
    );
    assert_eq!(
        state(Standing::NoAddress, Some("10.0.0.1")),
        "hub dc1 hub.example.net (10.0.0.1) \
         state         not registered for 7 s: no own address leads to 10.0.0.1 (no route?)"
    );
    assert!(state(Standing::Registering { unanswered: 0 }, None).ends_with("  registering for 7 s"));
    assert!(
        state(Standing::Registered { left: 90, unanswered: 1 }, None)
            .contains("registered for 7 s, but no answer to 1 request, lost in 90 s")
    );
    assert!(state(Standing::Withdrawing, None).ends_with("withdrawing the registration for 7 s"));
}

#[test]
fn status_without_a_vn_says_so() {
    let mut status = daemon(vec![]);
    status.nbma.clear();
    assert_eq!(
        print::status(&status),
        "dmevpn 0.1.0, up 2h 14m, /etc/config/dmevpn, transport raw\n\
         no VN is configured\n"
    );
}

fn some_macs() -> Vec<VnMacs> {
    let row = |n, state, at, left, askers| MacRow { mac: mac(n), state, at, left, askers };
    vec![
        VnMacs {
            vn: "test".into(),
            rows: vec![
                row(12, MacState::Shortcut, Some(vtep("10.0.0.3", "101")), Some(410), 0),
                row(13, MacState::Asking, None, None, 0),
                row(14, MacState::Negative, None, Some(9), 0),
            ],
        },
        VnMacs {
            vn: "core".into(),
            rows: vec![
                row(15, MacState::Learned, Some(vtep("2001:db8::7", "16777215")), None, 2),
                row(16, MacState::Held, None, Some(7200), 1),
            ],
        },
    ]
}

#[test]
fn macs_are_a_table() {
    let expected = "\
VN    MAC                STATE     VTEP              VNI  VALID  ASKERS
test  52:54:00:00:00:0c  shortcut  10.0.0.3          101  410 s       0
test  52:54:00:00:00:0d  asking    by the hub          -      -       0
test  52:54:00:00:00:0e  unknown   by the hub          -    9 s       0
core  52:54:00:00:00:0f  learned   2001:db8::7  16777215      -       2
core  52:54:00:00:00:10  held      this hub            -  2h 0m       1
";
    assert_eq!(print::macs(&some_macs()), expected);
}

#[test]
fn peers_are_a_table() {
    let rows = vec![
        PeerRow {
            nbma: "10.0.0.2".parse().unwrap(),
            vni: "100".parse().ok(),
            uplink: "1048576".parse().ok(),
            macs: vec![mac(11)],
            addresses: vec![],
            left: 410,
        },
        PeerRow {
            nbma: "10.0.0.9".parse().unwrap(),
            vni: None,
            uplink: None,
            macs: vec![],
            addresses: vec!["172.16.0.9".parse().unwrap(), "2001:db8::9".parse().unwrap()],
            left: 7000,
        },
    ];
    let expected = "\
VN    VTEP      VNI   UPLINK   VALID  MACS               ADDRESSES
core  10.0.0.2  100  1048576   410 s  52:54:00:00:00:0b  -
core  10.0.0.9    -        -  1h 56m  -                  172.16.0.9,2001:db8::9
";
    assert_eq!(print::peers(&[VnPeers { vn: "core".into(), rows }]), expected);
}

#[test]
fn a_monitored_event_is_a_line() {
    let line = |event| print::happening(&Happening { at: 1_795_493_517_042, vn: "test".into(), event });
    assert_eq!(
        line(Event::Registered { uplink: vtep("10.0.0.1", "1048576") }),
        "04:11:57.042 test: registered with hub 10.0.0.1, uplink vni 1048576\n"
    );
    assert_eq!(
        line(Event::ShortcutDown { mac: mac(12), why: Why::Purged }),
        "04:11:57.042 test: shortcut down: 52:54:00:00:00:0c, the peer withdrew it\n"
    );
    assert_eq!(
        line(Event::NotResolved { mac: mac(12), reason: Some(Refusal::Nak(12)) }),
        "04:11:57.042 test: 52:54:00:00:00:0c not resolved: NAK 12, nobody there knows this MAC\n"
    );
}

#[test]
fn metrics_are_prometheus_text() {
    let mut status = a_day_like_any_other();
    status.vns = vec![status.vns.remove(0), status.vns.remove(2), status.vns.remove(2)];
    let statistics = Statistics { tx_resolve_req: 7, ..Statistics::default() };
    let text = metrics(&Metrics { status, statistics });
    let expected = "\
# HELP dmevpn_info What runs.
# TYPE dmevpn_info gauge
dmevpn_info{version=\"0.1.0\",transport=\"raw\"} 1
# HELP dmevpn_uptime_seconds Since when the daemon runs.
# TYPE dmevpn_uptime_seconds gauge
dmevpn_uptime_seconds 8040
# HELP dmevpn_up Whether the data plane of the VN is up.
# TYPE dmevpn_up gauge
dmevpn_up{vn=\"test\"} 1
dmevpn_up{vn=\"guest\"} 0
dmevpn_up{vn=\"core\"} 1
# HELP dmevpn_registered Whether the hub knows this spoke.
# TYPE dmevpn_registered gauge
dmevpn_registered{vn=\"test\"} 1
dmevpn_registered{vn=\"guest\"} 0
";
    assert_eq!(&text[..expected.len()], expected);
    assert!(text.contains("\ndmevpn_spokes{vn=\"core\"} 3\n"));
    assert!(text.contains(
        "\n# HELP dmevpn_tx_resolve_req_total Resolution Requests sent (first tries).\n\
         # TYPE dmevpn_tx_resolve_req_total counter\ndmevpn_tx_resolve_req_total 7\n"
    ));
    for (name, _) in statistics.rows() {
        assert_eq!(text.matches(&format!("\n# TYPE dmevpn_{name}_total counter\n")).count(), 1, "{name}");
    }
}

// The program itself, with a daemon made up here.

/// A socket of its own for each test.
fn socket(test: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("dmevpn-cli-{}-{test}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

fn dmevpn(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dmevpn")).args(args).output().unwrap()
}

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

fn json(text: &str) -> Value {
    assert_eq!(text.matches('\n').count(), 1, "one document, one line");
    serde_json::from_str(text).unwrap()
}

#[test]
fn status_as_json_has_stable_names() {
    let reply = Reply::Status(a_day_like_any_other()).encode();
    let (code, out, err) = answered("status", &["status", "--json"], &Request::Status, &reply);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let status = json(&out);
    assert_eq!(status["version"], "0.1.0");
    assert_eq!(status["uptime"], 8040);
    assert_eq!(status["nbma"][0], "10.0.0.2");
    let test = &status["vns"][0];
    assert_eq!(test["vpn_id"], "1");
    assert_eq!(test["bridge_mac"], "52:54:00:00:00:02");
    let report = &test["role"]["spoke"]["report"];
    assert_eq!(report["standing"]["registered"]["left"], 410);
    assert_eq!(report["uplink"]["vni"], 1_048_576);
    assert_eq!(report["vpn_mode"], "llc");
    let refused = &status["vns"][1]["role"]["spoke"]["report"]["standing"]["refused"];
    assert_eq!(refused["reason"]["nak"], 14);
    assert_eq!(status["vns"][3]["role"]["spoke"]["report"]["standing"], "no_device");
    assert_eq!(status["vns"][4]["role"]["hub"]["report"]["max_spokes"], 1000);
}

#[test]
fn macs_as_json_have_stable_names() {
    let reply = Reply::Macs(some_macs()).encode();
    let asked = Request::Macs { vn: Some("test".into()) };
    let (code, out, _) = answered("macs", &["macs", "test", "--json"], &asked, &reply);
    assert_eq!(code, Some(0));
    let macs = json(&out);
    assert_eq!(macs[0]["vn"], "test");
    assert_eq!(macs[0]["rows"][0]["mac"], "52:54:00:00:00:0c");
    assert_eq!(macs[0]["rows"][0]["state"], "shortcut");
    assert_eq!(macs[0]["rows"][0]["at"]["nbma"], "10.0.0.3");
    assert_eq!(macs[0]["rows"][1]["left"], Value::Null);
}

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

#[test]
fn a_bad_configuration_on_reload_has_its_own_exit_code() {
    let reply = Reply::BadConfiguration("/etc/config/dmevpn:3: no such option 'hib'\n".into()).encode();
    let (code, _, err) = answered("reload", &["reload"], &Request::Reload, &reply);
    assert_eq!(code, Some(4));
    assert_eq!(
        err,
        "/etc/config/dmevpn:3: no such option 'hib'\nthe daemon keeps its earlier configuration\n"
    );
}

#[test]
fn metrics_are_printed() {
    let reply = Metrics { status: daemon(vec![]), statistics: Statistics::default() };
    let (code, out, _) =
        answered("metrics", &["metrics"], &Request::Metrics, &Reply::Metrics(reply).encode());
    assert_eq!(code, Some(0));
    assert!(out.starts_with("# HELP dmevpn_info") && out.ends_with("dmevpn_purges_unanswered_total 0\n"));
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

    let (_, out, _) = answered("monitor-json", &["monitor", "--json"], &Request::Monitor, &replies);
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["vn"], "b");
    assert_eq!(lines[1]["event"]["spoke_up"]["uplink"], 1_048_576);
}

#[test]
fn a_daemon_of_another_version_is_recognised() {
    let octets = [0, 0, 0, 5, VERSION + 1, 0xff, 0xff, 0xff, 0xff];
    let (code, out, err) = answered("version", &["status"], &Request::Status, &octets);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_eq!(
        err,
        "dmevpn: the daemon speaks control version 2, this program 1: \
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
        format!("dmevpn: cannot reach the daemon at {path}: there is no such socket, so it does not run\n")
    );
    drop(UnixListener::bind(path).unwrap());
    let output = dmevpn(&["status", "--socket", path]);
    let _ = std::fs::remove_file(path);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        format!(
            "dmevpn: cannot reach the daemon at {path}: nobody listens there, so it does not run any more\n"
        )
    );
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    for args in [
        &["bogus"][..],
        &[],
        &["status", "--bogus"],
        &["resolve", "test"],
        &["resolve", "test", "01:00:5e:00:00:01"],
        &["flush", "test", "52:54:00:00:00:0c", "more"],
        &["flush", "test", "mac"],
    ] {
        let output = dmevpn(args);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{args:?}");
        assert!(output.stderr.starts_with(b"dmevpn: "), "{args:?}");
    }
}

#[test]
#[cfg(not(feature = "import"))]
fn a_build_without_import_says_so() {
    let output = dmevpn(&["import", "x"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("dmevpn: this build has no 'import'; "), "{text}");
}

#[test]
fn check_names_a_file_it_cannot_read() {
    let output = dmevpn(&["check", "/nonexistent/dmevpn"]);
    assert_eq!(output.status.code(), Some(4));
    assert!(output.stderr.starts_with(b"/nonexistent/dmevpn: "));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let path = socket("pipe");
    let listener = UnixListener::bind(&path).unwrap();
    let (read, write) = UnixStream::pair().unwrap();
    drop(read);
    let daemon = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        request(&mut stream);
        stream.write_all(&Reply::Status(a_day_like_any_other()).encode()).unwrap();
    });
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
