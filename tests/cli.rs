//! What the commands print, for replies made up here, and how they exit.

#[path = "documented/mod.rs"]
mod documented;

use dmevpn::config::{Config, Errors};
use dmevpn::control::frame::{Decoder, VERSION};
use dmevpn::control::{
    Answer, Cause, Happening, Lately, Metrics, Reply, Request, RoleStatus, Status, Traffic, VnCounts, VnMacs,
    VnPeers, VnStatus,
};
use dmevpn::engine::report::{ClientCounts, HubReport, MacRow, MacState, PeerRow, SpokeReport, Standing};
use dmevpn::engine::settings::{Trigger, VpnMode};
use dmevpn::engine::{ClientStatistics, Statistics};
use dmevpn::engine::{Event, Refusal, Table, Why};
use dmevpn::shell::clock::Clock;
use dmevpn::types::{Mac, Vtep};
use dmevpn::view::{Screen, json as view, metrics, text};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

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
        report: HubReport { since: 8030, spokes: 3, max_spokes: 1000, macs: 40, purges: 0 },
    }
}

fn daemon(vns: Vec<VnStatus>) -> Status {
    Status {
        version: "0.1.0".into(),
        uptime: 8040,
        config: "/etc/config/dmevpn".into(),
        device: None,
        nbma: vec!["10.0.0.2".parse().unwrap()],
        user: "dmevpn".into(),
        confined: true,
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

/// What a function of `view` writes.
fn written(write: impl FnOnce(&mut String) -> std::fmt::Result) -> String {
    let mut out = String::new();
    write(&mut out).unwrap();
    out
}

const FILE: Screen = Screen { width: None };
const NARROW: Screen = Screen { width: Some(40) };

fn status_text(screen: Screen, status: &Status) -> String {
    written(|out| text::status(out, screen, status))
}

#[test]
fn status_says_what_is_wrong_first_and_what_to_do() {
    let mut status = a_day_like_any_other();
    status.vns.remove(1);
    let text = status_text(FILE, &status);
    let expected = "\
dmevpn 0.1.0, up 2h 14m, /etc/config/dmevpn, transport raw, 10.0.0.2,
user dmevpn, confined

VN cam: spoke of dc1 (10.0.0.1), not registered for 34 s
  why     no answer from 10.0.0.1 to 4 requests
  do      see whether the hub runs and can be reached (ping 10.0.0.1), and
          whether GRE (IP protocol 47) passes the firewalls on the way
  macs    12 shortcuts, 0 being asked for, 1 unknown to the hub
  site    vpn-id ac-de-48:3, vni 100, bridge br-cam, device vx-cam

VN guest: spoke of dc1 (10.0.0.1), waiting for its device for 2h 13m
  why     bridge 'br-guest' does not exist
  do      make the bridge, or correct option 'bridge'; it is used once it is
          there
  macs    12 shortcuts, 0 being asked for, 1 unknown to the hub
  site    vpn-id 4, vni 100, bridge br-guest

VN test: spoke of dc1 (10.0.0.1), registered for 2h 13m
  hub     valid for 410 s more, uplink vni 1048576
  macs    12 shortcuts, 0 being asked for, 1 unknown to the hub
  site    vpn-id 1, vni 100, bridge br-test 52:54:00:00:00:02, device vx-test

VN core: hub, up for 2h 13m
  spokes  3 registered, 1000 at most
  macs    40 known
  site    vpn-id 5, bridge br-core, data plane bridge (as configured)
";
    assert_eq!(text, expected);
    assert!(text.lines().all(|line| line.len() <= 80));
}

#[test]
fn status_of_many_vns_has_a_line_for_each_that_is_well() {
    let mut status = a_day_like_any_other();
    status.vns.retain(|vn| vn.name != "lab" && vn.name != "cam");
    for n in 1..=12 {
        let registered = report(Standing::Registered { left: 410, unanswered: 0 }, 7980);
        status.vns.push(vn(&format!("floor{n}"), &format!("{}", 10 + n), spoke("10.0.0.1", registered)));
    }
    let text = status_text(FILE, &status);
    let expected = "
VN guest: spoke of dc1 (10.0.0.1), waiting for its device for 2h 13m
  why     bridge 'br-guest' does not exist
  do      make the bridge, or correct option 'bridge'; it is used once it is
          there
  macs    12 shortcuts, 0 being asked for, 1 unknown to the hub
  site    vpn-id 4, vni 100, bridge br-guest

VN test: spoke of dc1 (10.0.0.1), registered for 2h 13m, 12 shortcuts
VN core: hub, up for 2h 13m, 3 spokes
VN floor1: spoke of dc1 (10.0.0.1), registered for 2h 13m, 12 shortcuts
";
    assert!(text.contains(expected), "{text}");
    assert!(text.lines().count() <= 24, "{text}");
}

/// A spoke as it usually is, and a hub with three VNs, all three in trouble.
#[test]
fn status_fits_a_screen() {
    let fits = |status: &Status| {
        let text = status_text(Screen { width: Some(80) }, status);
        assert!(text.lines().count() <= 24 && text.lines().all(|line| line.len() <= 80), "{text}");
    };
    let mut status = a_day_like_any_other();
    status.vns.truncate(3);
    fits(&status);
    let hub = |name: &str, id| VnStatus {
        trouble: Some(Cause::NotABridge(format!("br-{name}"))),
        ..vn(name, id, hub())
    };
    fits(&daemon(vec![hub("a", "1"), hub("b", "2"), hub("c", "3")]));
}

#[test]
fn status_says_nothing_twice_and_nothing_of_nothing() {
    let cause = || Some(Cause::NoInterface("wan".into()));
    let waiting = SpokeReport { shortcuts: 0, negative: 0, ..report(Standing::NoAddress, 7) };
    let vns = vec![
        VnStatus { trouble: cause(), ..vn("test", "1", spoke("10.0.0.1", waiting)) },
        VnStatus { trouble: cause(), ..vn("core", "2", hub()) },
    ];
    let text = status_text(FILE, &Status { trouble: cause(), ..daemon(vns) });
    let expected = "
  why     interface 'wan' does not exist
  do      correct option 'interface', or bring that network up

VN test: spoke of dc1 (10.0.0.1), not registered for 7 s
  site    vpn-id 1, vni 100, bridge br-test, device vx-test

VN core: hub, down for 2h 13m
  spokes  3 registered, 1000 at most
  macs    40 known
  site    vpn-id 2, bridge br-core, data plane bridge (as configured)
";
    assert!(text.ends_with(expected), "{text}");
}

#[test]
fn status_of_a_narrow_screen_is_not_garbled() {
    let text = status_text(NARROW, &a_day_like_any_other());
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&text), words(&status_text(FILE, &a_day_like_any_other())));
    assert!(text.lines().all(|line| line.len() <= 40), "{text}");
    let expected = "\
VN cam: spoke of dc1 (10.0.0.1),
        not registered for 34 s
  why     no answer from 10.0.0.1 to 4
          requests
  do      see whether the hub runs and
          can be reached (ping
          10.0.0.1), and whether GRE (IP
          protocol 47) passes the
          firewalls on the way
";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn status_of_the_rarer_states() {
    let said = |standing, hub: Option<&str>| {
        let report = SpokeReport { hub: hub.and_then(|hub| hub.parse().ok()), ..report(standing, 7) };
        let text = status_text(FILE, &daemon(vec![vn("test", "1", spoke("hub.example.net", report))]));
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let (_, vn) = words.split_once("VN test: spoke of dc1 (hub.example.net").unwrap();
        vn.split(" macs ").next().unwrap().to_string()
    };
    assert_eq!(
        said(Standing::NoAddress, None),
        "), not registered for 7 s why the address of hub.example.net is not known \
         do look whether this router's DNS knows it: nslookup hub.example.net"
    );
    assert_eq!(
        said(Standing::NoAddress, Some("10.0.0.1")),
        " 10.0.0.1), not registered for 7 s why no own address leads to 10.0.0.1 \
         do look for the way there: ip route get 10.0.0.1"
    );
    assert_eq!(said(Standing::Registering { unanswered: 0 }, None), "), registering for 7 s");
    assert!(
        said(Standing::Registered { left: 90, unanswered: 1 }, None).starts_with(
            "), registered for 7 s why no answer from hub.example.net to 1 request do see whether"
        )
    );
    assert!(
        said(Standing::Registered { left: 90, unanswered: 1 }, None)
            .ends_with(" hub lost in 90 s, uplink vni 1048576")
    );
    assert_eq!(said(Standing::Withdrawing, None), "), withdrawing its registration for 7 s");
    let refused = |reason| said(Standing::Refused { reason, retry: 20 }, None);
    assert_eq!(
        refused(Refusal::Error(17)),
        "), refused for 7 s why error 17, the VN is not configured there (vpn_id of both ends?) \
         do compare 'vpn_id' and 'vpn_mode' with the hub's hub next try in 20 s"
    );
    let full = RoleStatus::Hub {
        dataplane: "bridge".into(),
        dataplane_reason: "as configured".into(),
        report: HubReport { since: 1, spokes: 10, max_spokes: 10, macs: 0, purges: 1 },
    };
    let text = status_text(FILE, &daemon(vec![vn("test", "1", full)]));
    assert!(text.contains("  why     it is full: 10 spokes are registered, further ones are refused\n"));
    assert!(text.contains("  do      raise 'max_spokes' of this VN\n"), "{text}");
    assert!(text.contains("0 known, 1 purge not confirmed yet\n"), "{text}");
}

#[test]
fn status_without_a_vn_says_so() {
    let mut status = daemon(vec![]);
    status.nbma.clear();
    status.trouble = Some(Cause::NoInterface("wan".into()));
    assert_eq!(
        status_text(FILE, &status),
        "dmevpn 0.1.0, up 2h 14m, /etc/config/dmevpn, transport raw,\nuser dmevpn, confined\n  \
         why     interface 'wan' does not exist\n  \
         do      correct option 'interface', or bring that network up\n"
    );
    status.trouble = None;
    let text = status_text(FILE, &status);
    assert!(
        text.ends_with("\n  do      no VN is configured, or none is enabled: see /etc/config/dmevpn\n"),
        "{text}"
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
    assert_eq!(written(|out| text::macs(out, FILE, &some_macs())), expected);
    assert_eq!(written(|out| text::macs(out, Screen { width: Some(80) }, &some_macs())), expected);
    let narrow = "\
VN    MAC                STATE
    VTEP              VNI  VALID  ASKERS
test  52:54:00:00:00:0c  shortcut
    10.0.0.3          101  410 s       0
";
    let text = written(|out| text::macs(out, NARROW, &some_macs()));
    assert!(text.starts_with(narrow), "{text}");
}

fn some_peers() -> Vec<PeerRow> {
    vec![
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
    ]
}

#[test]
fn peers_are_a_table() {
    let expected = "\
VN    VTEP      VNI   UPLINK   VALID  MACS               ADDRESSES
core  10.0.0.2  100  1048576   410 s  52:54:00:00:00:0b  -
core  10.0.0.9    -        -  1h 56m  -                  172.16.0.9,2001:db8::9
";
    let vns = [VnPeers { vn: "core".into(), rows: some_peers() }];
    assert_eq!(written(|out| text::peers(out, FILE, &vns)), expected);
    let narrow = written(|out| text::peers(out, NARROW, &vns));
    assert!(narrow.lines().all(|line| line.len() <= 40), "{narrow}");
}

#[test]
fn a_monitored_event_is_a_line() {
    let line = |event| {
        let happening = Happening { at: 1_795_493_517_042, vn: "test".into(), event };
        written(|out| text::happening(out, &happening))
    };
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

/// A spoke's VN, and a hub's with a spoke and a client that only registers IP addresses.
fn some_counts() -> Vec<VnCounts> {
    let traffic = Traffic { rx_bytes: 1 << 40, rx_packets: 2, tx_bytes: 3, tx_packets: 4 };
    let statistics = Statistics { tx_resolve_req: 5, ..Statistics::default() };
    let client = |nbma: &str, vni: Option<&str>, rx_register_req| ClientCounts {
        nbma: nbma.parse().unwrap(),
        vni: vni.map(|vni| vni.parse().unwrap()),
        statistics: ClientStatistics { rx_register_req, ..ClientStatistics::default() },
    };
    let clients =
        vec![(client("10.0.0.2", Some("100"), 6), Some(traffic)), (client("10.0.0.9", None, 7), None)];
    vec![
        VnCounts { vn: "test".into(), statistics, traffic: Some(traffic), clients: vec![] },
        VnCounts { vn: "core".into(), statistics: Statistics::default(), traffic: None, clients },
    ]
}

/// docs/metrics.md and the program, both ways: names, kinds and meanings.
#[test]
fn the_page_on_metrics_has_them_all() {
    let metrics =
        Metrics { status: a_day_like_any_other(), statistics: Statistics::default(), vns: some_counts() };
    let text = written(|out| {
        metrics::text(out, &metrics);
        Ok(())
    });
    let printed: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' ')).collect();
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md")).unwrap();
    let mut listed = BTreeMap::new();
    for section in page.split("\n## ").skip(1) {
        let prefixes = match section.lines().next().unwrap() {
            "Gauges" => &[""][..],
            "Counters of the daemon and of each VN" => &["dmevpn_", "dmevpn_vn_"],
            "Counters of spokes, at a hub" => &["dmevpn_spoke_"],
            "Traffic" => &["dmevpn_vn_", "dmevpn_spoke_"],
            _ => continue,
        };
        for row in section.lines().filter_map(|line| line.strip_prefix("| `")) {
            let (name, rest) = row.split_once("` | ").unwrap();
            for prefix in prefixes {
                let total = if prefix.is_empty() { "" } else { "_total" };
                listed.insert(format!("{prefix}{name}{total}"), rest.split(" |").next().unwrap());
            }
        }
    }
    assert_eq!(printed, listed.iter().map(|(name, help)| (name.as_str(), *help)).collect());
    for (name, kind) in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')) {
        assert_eq!(kind, if name.ends_with("_total") { "counter" } else { "gauge" }, "{name}");
    }
    for (_, expression) in page.lines().filter_map(|line| line.split_once("expr: ")) {
        let names = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for name in names.filter(|name| name.starts_with("dmevpn_")) {
            assert!(printed.contains_key(name), "an alert asks for {name}");
        }
    }
}

#[test]
fn metrics_are_prometheus_text() {
    let mut status = a_day_like_any_other();
    status.vns = vec![status.vns.remove(0), status.vns.remove(2), status.vns.remove(2)];
    let statistics = Statistics { tx_resolve_req: 7, ..Statistics::default() };
    let text = written(|out| {
        metrics::text(out, &Metrics { status, statistics, vns: some_counts() });
        Ok(())
    });
    let expected = "\
# HELP dmevpn_info What runs.
# TYPE dmevpn_info gauge
dmevpn_info{version=\"0.1.0\",transport=\"raw\"} 1
# HELP dmevpn_uptime_seconds For how long the daemon has been running.
# TYPE dmevpn_uptime_seconds gauge
dmevpn_uptime_seconds 8040
# HELP dmevpn_up Whether this router has what the VN needs: its devices, an address, the way to the hub.
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
    assert!(text.contains(
        "\ndmevpn_vn_tx_resolve_req_total{vn=\"test\"} 5\ndmevpn_vn_tx_resolve_req_total{vn=\"core\"} 0\n"
    ));
    assert!(text.contains("\ndmevpn_vn_rx_bytes_total{vn=\"test\"} 1099511627776\n# HELP"), "{text}");
    assert!(text.contains(
        "\ndmevpn_spoke_rx_register_req_total{vn=\"core\",nbma=\"10.0.0.2\",vni=\"100\"} 6\n\
         dmevpn_spoke_rx_register_req_total{vn=\"core\",nbma=\"10.0.0.9\",vni=\"\"} 7\n"
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

/// What a command prints with `--json` for a reply, and that docs/json.md describes it.
fn described(test: &str, args: &[&str], request: &Request, reply: &Reply) -> (Option<i32>, Value) {
    let args = [args, &["--json"]].concat();
    let (code, out, err) = answered(test, &args, request, &reply.encode());
    assert_eq!(err, "", "{args:?}");
    let value = json(&out);
    documented::check(if value.get("error").is_some() { "An error" } else { args[0] }, &value);
    (code, value)
}

#[test]
fn status_as_json() {
    let mut status = a_day_like_any_other();
    status.device = Some("tunnel1".into());
    let (code, status) = described("status", &["status"], &Request::Status, &Reply::Status(status));
    assert_eq!(code, Some(0));
    let expected = json!({
        "version": "0.1.0", "uptime": 8040, "config": "/etc/config/dmevpn", "transport": "device",
        "device": "tunnel1", "nbma": ["10.0.0.2"], "user": "dmevpn", "confined": true, "trouble": null, "hint": null,
        "vns": status["vns"],
    });
    assert_eq!(status, expected);
    let spoke = json!({
        "name": "test", "vpn_id": "1", "role": "spoke", "bridge": "br-test", "bridge_mac": "52:54:00:00:00:02",
        "vlan": null, "device": "vx-test", "state": "registered", "since": 7980, "text": "registered with hub dc1 (10.0.0.1)",
        "hint": null, "trouble": null, "vni": 100, "vpn_mode": "llc", "trigger": "learn", "hub": "dc1",
        "hub_address": "10.0.0.1", "hub_nbma": "10.0.0.1", "local_nbma": "10.0.0.2", "uplink_vni": 1_048_576,
        "valid": 410, "unanswered": 0, "refusal": null, "refusal_code": null, "retry": null,
        "shortcuts": 12, "asking": 0, "unknown": 1,
    });
    assert_eq!(status["vns"][0], spoke);
    let refused = &status["vns"][1];
    assert_eq!(refused["state"], "refused");
    assert_eq!(refused["text"], "refused: NAK 14, another router registered this MAC");
    assert_eq!(refused["refusal"], "NAK 14, another router registered this MAC");
    assert_eq!((&refused["refusal_code"], &refused["retry"]), (&json!(14), &json!(20)));
    let silent = &status["vns"][2];
    assert_eq!((&silent["state"], &silent["unanswered"]), (&json!("registering"), &json!(4)));
    assert!(silent["hint"].as_str().unwrap().contains("ping 10.0.0.1"), "{silent}");
    assert_eq!(status["vns"][3]["state"], "no_device");
    let hub = json!({
        "name": "core", "vpn_id": "5", "role": "hub", "bridge": "br-core", "bridge_mac": null, "vlan": null,
        "device": null, "state": "up", "since": 8030, "text": "up, 3 spokes are registered", "hint": null, "trouble": null,
        "dataplane": "bridge", "dataplane_reason": "as configured", "spokes": 3, "max_spokes": 1000, "macs": 40,
        "purges": 0,
    });
    assert_eq!(status["vns"][4], hub);
}

#[test]
fn macs_as_json() {
    let asked = Request::Macs { vn: Some("test".into()) };
    let (code, macs) = described("macs", &["macs", "test"], &asked, &Reply::Macs(some_macs()));
    assert_eq!(code, Some(0));
    let row = |vn, mac, state, place, nbma, vni, valid, askers| {
        json!({ "vn": vn, "mac": mac, "state": state, "place": place, "nbma": nbma, "vni": vni, "valid": valid,
            "askers": askers })
    };
    let nothing = || Value::Null;
    let expected = json!({ "macs": [
        row("test", "52:54:00:00:00:0c", "shortcut", "direct", json!("10.0.0.3"), json!(101), json!(410), 0),
        row("test", "52:54:00:00:00:0d", "asking", "hub", nothing(), nothing(), nothing(), 0),
        row("test", "52:54:00:00:00:0e", "unknown", "unknown", nothing(), nothing(), json!(9), 0),
        row("core", "52:54:00:00:00:0f", "learned", "spoke", json!("2001:db8::7"), json!(16_777_215), nothing(), 2),
        row("core", "52:54:00:00:00:10", "held", "here", nothing(), nothing(), json!(7200), 1),
    ] });
    assert_eq!(macs, expected);
}

#[test]
fn peers_as_json() {
    let reply = Reply::Peers(vec![VnPeers { vn: "core".into(), rows: some_peers() }]);
    let (code, peers) = described("peers-json", &["peers"], &Request::Peers { vn: None }, &reply);
    assert_eq!(code, Some(0));
    let expected = json!({ "peers": [
        { "vn": "core", "nbma": "10.0.0.2", "vni": 100, "uplink_vni": 1_048_576, "valid": 410,
          "macs": ["52:54:00:00:00:0b"], "addresses": [] },
        { "vn": "core", "nbma": "10.0.0.9", "vni": null, "uplink_vni": null, "valid": 7000,
          "macs": [], "addresses": ["172.16.0.9", "2001:db8::9"] },
    ] });
    assert_eq!(peers, expected);
}

#[test]
fn resolve_as_json() {
    let asked = Request::Resolve { vn: "test".into(), mac: mac(12) };
    let ask = |test, answer| {
        described(test, &["resolve", "test", "52:54:00:00:00:0c"], &asked, &Reply::Resolved(answer))
    };
    let object = |resolved, place, nbma, vni, valid, reason| {
        json!({ "vn": "test", "mac": "52:54:00:00:00:0c", "resolved": resolved, "place": place, "nbma": nbma,
            "vni": vni, "valid": valid, "reason": reason })
    };
    let nothing = || Value::Null;
    let at = Answer::At { vtep: vtep("10.0.0.3", "101"), holding: Some(410) };
    let remote = object(true, json!("remote"), json!("10.0.0.3"), json!(101), json!(410), nothing());
    assert_eq!(ask("at-json", at), (Some(0), remote));
    let here = object(true, json!("here"), nothing(), nothing(), nothing(), nothing());
    assert_eq!(ask("here-json", Answer::Local), (Some(0), here));
    let not = |reason: &str| object(false, nothing(), nothing(), nothing(), nothing(), json!(reason));
    let nak = Answer::NotResolved(Some(Refusal::Nak(12)));
    assert_eq!(ask("nak-json", nak), (Some(1), not("NAK 12, nobody there knows this MAC")));
    assert_eq!(ask("mute-json", Answer::NotResolved(None)), (Some(1), not("no answer from the hub")));
}

#[test]
fn what_is_done_as_json() {
    let flush = Request::Flush { vn: None, mac: None };
    let ok = (Some(0), json!({ "ok": true }));
    assert_eq!(described("flush-json", &["flush"], &flush, &Reply::Done), ok);
    assert_eq!(described("reload-json", &["reload"], &Request::Reload, &Reply::Done), ok);
    let error = Reply::Error("there is no VN 'test'".into());
    let expected = (Some(1), json!({ "error": "there is no VN 'test'", "code": 1 }));
    assert_eq!(described("flush-error", &["flush"], &flush, &error), expected);
}

#[test]
fn a_refused_configuration_as_json() {
    let (code, said) =
        described("refused", &["reload"], &Request::Reload, &Reply::BadConfiguration(bad_file()));
    let expected = json!({
        "error": said["error"], "code": 4, "file": "/etc/config/dmevpn", "errors": [
            { "line": 2, "section": "a", "option": "vni", "text": "option 'vni': 'many' is not a VNI from 1 to 16777215" },
            { "line": 3, "section": "a", "option": "hib", "text": "option 'hib': unknown in section vn; did you mean 'hub'?" },
        ],
    });
    assert_eq!((code, &said), (Some(4), &expected));
    let error = said["error"].as_str().unwrap();
    assert!(error.starts_with("/etc/config/dmevpn:2: option 'vni'"), "{error}");
    assert!(error.ends_with("the daemon keeps its earlier configuration"), "{error}");
    let unreadable = Errors::unreadable("/x", "Permission denied".into());
    let (_, said) = described("unread", &["reload"], &Request::Reload, &Reply::BadConfiguration(unreadable));
    assert_eq!((&said["file"], &said["errors"]), (&json!("/x"), &json!([])));
}

fn bad_file() -> Errors {
    let text = "config vn a\n option vni many\n option hib x\n option role spoke\n option vpn_id 1\n \
                option bridge b\nconfig hub hib\n option address 10.0.0.1\nconfig dmevpn main\n";
    Config::parse("/etc/config/dmevpn", text).unwrap_err()
}

#[test]
fn metrics_as_json() {
    let reply = Reply::Metrics(Metrics {
        status: a_day_like_any_other(),
        statistics: Statistics::default(),
        vns: some_counts(),
    });
    let (code, said) = described("metrics-json", &["metrics"], &Request::Metrics, &reply);
    assert_eq!(code, Some(0));
    let all = said["metrics"].as_array().unwrap();
    let metric = |name: &str| all.iter().find(|m| m["name"] == name).unwrap();
    let registered = json!({
        "name": "dmevpn_registered", "type": "gauge", "help": "Whether the hub knows this spoke.",
        "samples": [
            { "labels": { "vn": "test" }, "value": 1 }, { "labels": { "vn": "lab" }, "value": 0 },
            { "labels": { "vn": "cam" }, "value": 0 }, { "labels": { "vn": "guest" }, "value": 0 },
        ],
    });
    assert_eq!(metric("dmevpn_registered"), &registered);
    assert_eq!(metric("dmevpn_uptime_seconds")["samples"], json!([{ "labels": {}, "value": 8040 }]));
    assert_eq!(metric("dmevpn_tx_resolve_req_total")["type"], "counter");
}

/// One of each kind.
fn events() -> Vec<Event> {
    let (spoke, uplink) = (vtep("10.0.0.2", "100"), "1048576".parse().unwrap());
    let (hub, reason) = ("10.0.0.1".parse().unwrap(), Refusal::Nak(14));
    vec![
        Event::Registered { uplink: vtep("10.0.0.1", "1048576") },
        Event::Refused { hub, reason },
        Event::RegistrationLost { hub },
        Event::Withdrawn,
        Event::Asked { mac: mac(1) },
        Event::Resolved { mac: mac(1), at: spoke, holding: 600 },
        Event::NotResolved { mac: mac(1), reason: Some(reason) },
        Event::NotResolved { mac: mac(1), reason: None },
        Event::ShortcutUp { mac: mac(1), to: spoke },
        Event::ShortcutDown { mac: mac(1), why: Why::Purged },
        Event::SpokeUp { spoke, uplink },
        Event::SpokeDown { spoke, why: Why::Expired },
        Event::SpokeRefused { spoke: hub, reason },
        Event::SecondSite { spoke, registered: uplink },
        Event::MacMoved { mac: mac(1), to: Some(spoke) },
        Event::MacMoved { mac: mac(1), to: None },
        Event::Full(Table::Macs),
        Event::Full(Table::Spokes),
        Event::Full(Table::Purges),
        Event::PeerError { peer: hub, code: 17 },
    ]
}

#[test]
fn events_as_json() {
    let happened =
        events().into_iter().map(|event| Reply::Event(Happening { at: 1, vn: "lab".into(), event }));
    let replies: Vec<u8> = [Reply::Done].into_iter().chain(happened).flat_map(|r| r.encode()).collect();
    let (code, out, err) = answered("monitor-json", &["monitor", "--json"], &Request::Monitor, &replies);
    assert_eq!((code, err.as_str()), (Some(3), ""));
    let mut lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let end = lines.pop().unwrap();
    documented::check("An error", &end);
    assert_eq!(end["code"], 3);
    assert_eq!(lines.len(), events().len());
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/json.md")).unwrap();
    for line in &lines {
        documented::check("monitor", line);
        assert!(
            page.contains(&format!("`{}`", line["event"].as_str().unwrap())),
            "docs/json.md lacks {line}"
        );
    }
    let expected = json!({
        "at": 1, "vn": "lab", "event": "not_resolved", "level": "debug",
        "text": "52:54:00:00:00:01 not resolved: NAK 14, another router registered this MAC",
        "mac": "52:54:00:00:00:01", "nbma": null, "vni": null, "uplink_vni": null, "valid": null,
        "reason": "NAK 14, another router registered this MAC", "reason_code": 14,
    });
    assert_eq!(lines[6], expected);
    let up = &lines[10];
    assert_eq!(
        (&up["event"], &up["nbma"], &up["vni"]),
        (&json!("spoke_up"), &json!("10.0.0.2"), &json!(100))
    );
    assert_eq!((&up["uplink_vni"], &up["level"]), (&json!(1_048_576), &json!("info")));
}

#[test]
fn events_are_asked_for_by_number() {
    let happening = |event| Happening { at: 1_795_493_517_042, vn: "test".into(), event };
    let happenings = vec![happening(Event::Withdrawn), happening(Event::Full(Table::Macs))];
    let reply = Reply::Lately(Lately { last: 9, happenings }).encode();
    let request = Request::Lately { after: 7 };
    let (code, out, _) = answered("events-json", &["events", "--after", "7", "--json"], &request, &reply);
    let value: Value = serde_json::from_str(&out).unwrap();
    documented::check("events", &value);
    assert_eq!((code, &value["last"]), (Some(0), &json!(9)));
    assert_eq!(
        (&value["events"][1]["event"], &value["events"][1]["level"]),
        (&json!("macs_full"), &json!("warn"))
    );
    let (code, out, _) = answered("events", &["events", "--after", "7"], &request, &reply);
    assert_eq!((code, out.lines().count()), (Some(0), 2));
    assert!(out.starts_with("04:11:57.042 test: "), "{out}");
}

/// What is listed is printed: the samples here have all of it.
#[test]
fn the_page_on_json_lists_nothing_that_is_not_printed() {
    let page = |section: &str| documented::keys(section).into_keys().collect::<BTreeSet<_>>();
    let printed = |section: &str, values: &[String]| {
        let seen =
            values.iter().flat_map(|text| documented::check(section, &serde_json::from_str(text).unwrap()));
        assert_eq!(seen.collect::<BTreeSet<_>>(), page(section), "{section}");
    };
    let write = |write: &dyn Fn(&mut String)| {
        let mut out = String::new();
        write(&mut out);
        out
    };
    let metrics =
        Metrics { status: a_day_like_any_other(), statistics: Statistics::default(), vns: some_counts() };
    let peers = [VnPeers { vn: "core".into(), rows: some_peers() }];
    let happening = Happening { at: 1, vn: "lab".into(), event: Event::Withdrawn };
    printed("An error", &[write(&|out| view::error(out, "no", 4, Some(&bad_file())))]);
    printed("status", &[write(&|out| view::status(out, &a_day_like_any_other()))]);
    printed("macs", &[write(&|out| view::macs(out, &some_macs()))]);
    printed("peers", &[write(&|out| view::peers(out, &peers))]);
    printed("resolve", &[write(&|out| view::resolved(out, "a", mac(1), &Answer::Local))]);
    printed("flush", &[write(&|out| view::done(out))]);
    printed("monitor", &[write(&|out| view::happening(out, &happening))]);
    let lately = Lately { last: 9, happenings: vec![happening] };
    printed("events", &[write(&|out| view::lately(out, &lately))]);
    printed("metrics", &[write(&|out| metrics::json(out, &metrics))]);
    printed("check", &[write(&|out| view::checked(out, "f", bad_file().as_slice(), bad_file().as_slice()))]);
    printed("leave", &[write(&|out| view::left(out, &vec!["vx-lan".into()]))]);
    printed("import", &[write(&|out| view::imported(out, "f", "c"))]);
    printed("version", &[write(&|out| view::version(out, "1", 1))]);
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
            assert_eq!(self::json(&out)["config"], harmful);
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
fn metrics_are_printed() {
    let reply = Metrics { status: daemon(vec![]), statistics: Statistics::default(), vns: some_counts() };
    let (code, out, _) =
        answered("metrics", &["metrics"], &Request::Metrics, &Reply::Metrics(reply).encode());
    assert_eq!(code, Some(0));
    assert!(out.starts_with("# HELP dmevpn_info") && out.ends_with("vni=\"100\"} 4\n"));
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
    assert_eq!(output.stderr, b"/nonexistent/dmevpn: No such file or directory\n");
}

/// The one object a command prints with `--json` when it fails.
fn failure(args: &[&str]) -> (Option<i32>, Value) {
    let output = dmevpn(&[args, &["--json"]].concat());
    assert_eq!(output.stderr, b"", "{args:?}");
    let value = json(&String::from_utf8(output.stdout).unwrap());
    documented::check("An error", &value);
    (output.status.code(), value)
}

#[test]
fn errors_are_json_too() {
    let socket = "/nonexistent/dmevpn.sock";
    for command in [
        &["status"][..],
        &["macs"],
        &["peers"],
        &["flush"],
        &["monitor"],
        &["events"],
        &["metrics"],
        &["reload"],
        &["resolve", "a", "52:54:00:00:00:0c"],
    ] {
        let (code, said) = failure(&[command, &["--socket", socket]].concat());
        let error = format!("no daemon answers at {socket}: is it running? (/etc/init.d/dmevpn status)");
        assert_eq!((code, said), (Some(3), json!({ "error": error, "code": 3 })), "{command:?}");
    }
    for (args, error) in [
        (&["bogus"][..], "bogus"),
        (&[], "Unrecognized argument: --json"),
        (&["status", "--bogus"], "--bogus"),
        (&["daemon"], "--json"),
        (&["resolve", "a"], "mac"),
        (&["resolve", "a", "01:00:5e:00:00:01"], "not a station's MAC address"),
        (&["flush", "a", "b"], "'b' is not a station's MAC address"),
        (&["status", "--timeout", "soon"], "not a number of seconds such as 2 or 0.5"),
    ] {
        let (code, said) = failure(args);
        assert_eq!((code, &said["code"]), (Some(2), &json!(2)), "{args:?}");
        assert!(said["error"].as_str().unwrap().contains(error), "{args:?}: {said}");
    }
    for command in ["check", "import"].into_iter().filter(|c| *c != "import" || cfg!(feature = "import")) {
        let (code, said) = failure(&[command, "/nonexistent/dmevpn"]);
        let expected = json!({ "error": "/nonexistent/dmevpn: No such file or directory", "code": 4,
            "file": "/nonexistent/dmevpn", "errors": [] });
        assert_eq!((code, said), (Some(4), expected));
    }
}

/// A file for one test.
struct Temporary(PathBuf);

impl Temporary {
    fn new(test: &str, text: &str) -> Temporary {
        let path = std::env::temp_dir().join(format!("dmevpn-cli-{}-{test}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Temporary(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn check_and_import_as_json() {
    let run = |args: &[&str]| {
        let output = dmevpn(args);
        assert_eq!(output.stderr, b"", "{args:?}");
        let value = json(&String::from_utf8(output.stdout).unwrap());
        documented::check(if value.get("error").is_some() { "An error" } else { args[0] }, &value);
        (output.status.code(), value)
    };
    let good = Temporary::new("good", "config dmevpn main\n option enabled 0\n");
    let odd = json!({ "line": 2, "section": "main", "option": "enabled",
        "text": "option 'enabled': the daemon does nothing" });
    let valid = json!({ "file": good.path(), "valid": true, "errors": [], "warnings": [odd] });
    assert_eq!(run(&["check", "--json", good.path()]), (Some(0), valid));
    let output = dmevpn(&["check", good.path()]);
    assert_eq!(output.status.code(), Some(0));
    let warning = format!("{}:2: warning: option 'enabled': the daemon does nothing\n", good.path());
    assert_eq!(String::from_utf8(output.stderr).unwrap(), warning);
    let bad = Temporary::new("bad", "config dmevpn main\n option udp_port 0\n");
    let (code, said) = run(&["check", "--json", bad.path()]);
    assert_eq!((code, &said["valid"]), (Some(4), &json!(false)));
    assert_eq!((&said["errors"][0]["line"], &said["errors"][0]["option"]), (&json!(2), &json!("udp_port")));

    if cfg!(not(feature = "import")) {
        return;
    }
    let original = include_str!("import/seed-spoke1.conf");
    let original = Temporary::new("opennhrp", original);
    let (code, said) = run(&["import", "--json", original.path()]);
    assert_eq!((code, &said["file"]), (Some(0), &json!(original.path())));
    assert!(said["config"].as_str().unwrap().contains("config vn"), "{said}");
    let (code, said) = run(&["import", "--json", bad.path()]);
    assert_eq!((code, &said["errors"][0]["line"]), (Some(4), &json!(1)), "{said}");
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

/// What `dmevpn --help` lists.
fn commands() -> Vec<String> {
    let help = String::from_utf8(dmevpn(&["--help"]).stdout).unwrap();
    let rows = help.split_once("Commands:\n").unwrap().1.lines().take_while(|line| !line.is_empty());
    let names = rows.filter(|row| !row.starts_with("   ")).filter_map(|row| row.split_whitespace().next());
    names.map(str::to_owned).collect()
}

/// Every command explains itself by either name, prints JSON, and has a time limit if it asks the daemon.
#[test]
fn every_command_has_what_all_have() {
    let help = |command: &str, flag| {
        let args: Vec<&str> = [command, flag].into_iter().filter(|a| !a.is_empty()).collect();
        let output = dmevpn(&args);
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{args:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(commands().len() >= 12);
    for command in commands().iter().map(String::as_str).chain([""]) {
        let text = help(command, "-h");
        assert_eq!(text, help(command, "--help"));
        assert!(text.starts_with(&format!("Usage: dmevpn {command}")), "{text}");
        if !["", "daemon"].contains(&command) {
            assert!(text.contains("--json"), "{command}");
            assert_eq!(text.contains("--timeout"), text.contains("--socket"), "{command}");
            let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/json.md")).unwrap();
            let titles = page.lines().filter(|line| line.starts_with("## "));
            assert!(
                titles.into_iter().any(|title| title.contains(&format!("`dmevpn {command}`"))),
                "{command}"
            );
        }
    }
}

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
