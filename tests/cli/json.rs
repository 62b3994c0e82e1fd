//! For programs: every command's `--json`, and docs/json.md.

use super::samples::{self, *};
use super::{dmevpn, documented, metrics, written};
use dmevpn::config::Errors;
use dmevpn::control::{Cause, Form};
use dmevpn::engine::{Event, Table};
use dmevpn::view::doctor::{Diagnosis, Level};
use dmevpn::view::{self, Events, Failure, Happening, Listing, Rows, Status};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The one document in a text.
pub fn document(text: &str) -> Value {
    assert_eq!(text.matches('\n').count(), 1, "one document, one line");
    assert!(text.ends_with('\n'), "{text}");
    serde_json::from_str(text).unwrap()
}

/// What is written, and described in a section of docs/json.md.
fn described(section: &str, write: impl FnOnce(&mut String)) -> Value {
    let value = document(&written(write));
    documented::check(section, &value);
    value
}

/// A table.
pub fn listed(rows: Rows, form: Form, all: &samples::Rows) -> String {
    written(|out| {
        let mut listing = Listing::new(rows, form);
        if listing.is_measured() {
            all.iter().for_each(|(vn, row)| listing.measure(vn, &**row));
        }
        listing.begin(out);
        all.iter().for_each(|(vn, row)| listing.row(out, vn, &**row));
        listing.end(out);
    })
}

/// `dmevpn events`.
fn told(form: Form, last: u64, happenings: &[Happening<'_>]) -> String {
    written(|out| {
        let mut events = Events::begin(out, form, last);
        happenings.iter().for_each(|happening| events.row(out, happening));
        events.end(out);
    })
}

#[test]
fn status_as_json() {
    let mut status = a_day_like_any_other();
    status.device = Some("tunnel1".into());
    status.odd = odd();
    let status = described("status", |out| view::status(out, Form::Json, &status));
    let expected = json!({
        "version": "0.1.0", "uptime": 8040, "config": "/etc/config/dmevpn", "transport": "device",
        "device": "tunnel1", "nbma": ["10.0.0.2"], "user": "dmevpn", "confined": true, "trouble": null, "hint": null,
        "guard": true, "guard_dropped": 17, "guard_trouble": null, "guard_hint": null,
        "odd": status["odd"], "vns": status["vns"],
    });
    assert_eq!(status, expected);
    let mut unguarded = daemon(vec![]);
    unguarded.guard = Some(Err(Cause::NoGuard {
        why: "the kernel has no nftables".into(),
        hint: Some(
            "install the kernel's nf_tables (OpenWrt: kmod-nft-core) and reload, or set option 'guard' to '0'",
        ),
    }));
    let unguarded = described("status", |out| view::status(out, Form::Json, &unguarded));
    assert_eq!((&unguarded["guard"], &unguarded["guard_dropped"]), (&json!(false), &json!(null)));
    assert!(unguarded["guard_trouble"].as_str().unwrap().ends_with("the kernel has no nftables"));
    assert!(unguarded["guard_hint"].as_str().unwrap().contains("kmod-nft-core"));
    let odd = json!({
        "nbma": "10.0.0.7", "what": "unknown_vn", "packets": 12, "ago": 40,
        "text": "names VPN-ID 7, and there is none such here", "hint": "compare 'vpn_id' and 'vpn_mode' of both ends",
    });
    assert_eq!((&status["odd"][2], status["odd"].as_array().unwrap().len()), (&odd, 7));
    let spoke = json!({
        "name": "test", "vpn_id": "1", "role": "spoke", "bridge": "br-test", "bridge_mac": "52:54:00:00:00:02",
        "vlan": null, "mtu": 1500, "device": "vx-test", "state": "registered", "since": 7980, "text": "registered with hub dc1 (10.0.0.1)",
        "hint": null, "trouble": null, "loop": null, "restless": 0, "vni": 100, "vpn_mode": "llc", "trigger": "learn", "hub": "dc1",
        "hub_address": "10.0.0.1", "hub_nbma": "10.0.0.1", "local_nbma": "10.0.0.2", "uplink_vni": 1_048_576,
        "valid": 410, "unanswered": 0, "refusal": null, "refusal_code": null, "retry": null,
        "shortcuts": 12, "asking": 0, "unknown": 1, "keys": "signed", "key": "hq",
        "paths_up": 3, "paths_down": 1, "hub_path": null, "hub_reason": null, "hub_since": null, "hubs": [],
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
        "name": "core", "vpn_id": "5", "role": "hub", "bridge": "br-core", "bridge_mac": null, "vlan": null, "mtu": 1500,
        "device": null, "state": "up", "since": 8030, "text": "up, 3 spokes are registered", "hint": null, "trouble": null,
        "loop": null, "restless": 0, "dataplane": "bridge", "dataplane_reason": "as configured", "spokes": 3, "max_spokes": 1000, "ip_clients": 2, "draining": false, "peers": 0, "peers_up": 0, "keys": "own", "keys_shared": 0, "keys_own": 2, "keys_required": true, "unsigned": 0, "macs": 40,
        "purges": 0, "refusal": null,
    });
    assert_eq!(status["vns"][4], hub);
}

#[test]
fn doctor_as_json() {
    let one = |level, hint: Option<&str>| Diagnosis {
        level,
        what: "kernel".into(),
        text: "it has no vxlan".into(),
        hint: hint.map(Into::into),
    };
    let all = [one(Level::Well, None), one(Level::Warning, Some("install it"))];
    let said = described("doctor", |out| view::doctor::write(out, Form::Json, &all));
    let row =
        |level, hint| json!({ "level": level, "what": "kernel", "text": "it has no vxlan", "hint": hint });
    let checks = [row("ok", Value::Null), row("warning", json!("install it"))];
    assert_eq!(said, json!({ "worst": "warning", "checks": checks }));
}

#[test]
fn macs_as_json() {
    let macs = described("macs", |out| *out = listed(Rows::Macs, Form::Json, &some_macs()));
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
    let peers = described("peers", |out| *out = listed(Rows::Peers, Form::Json, &some_peers()));
    let expected = json!({ "peers": [
        { "vn": "core", "nbma": "10.0.0.2", "vni": 100, "uplink_vni": 1_048_576, "valid": 410,
          "macs": ["52:54:00:00:00:0b"], "addresses": [], "spoke": "branch7", "key": "b7_2026" },
        { "vn": "core", "nbma": "10.0.0.9", "vni": null, "uplink_vni": null, "valid": 7000,
          "macs": [], "addresses": ["172.16.0.9", "2001:db8::9"], "spoke": null, "key": null },
    ] });
    assert_eq!(peers, expected);
}

#[test]
fn paths_as_json() {
    let paths = described("paths", |out| *out = listed(Rows::Paths, Form::Json, &some_paths()));
    let row = |nbma, vni, hub, state, reason: Value| {
        json!({ "vn": "test", "nbma": nbma, "vni": vni, "hub": hub, "state": state, "since": 410,
            "round_trip": 14, "loss": 32, "largest_frame": 1500, "macs": 3, "reason": reason })
    };
    let mut untested = row("10.0.0.4", 102, false, "untested", Value::Null);
    (untested["round_trip"], untested["largest_frame"]) = (Value::Null, Value::Null);
    let expected = json!({ "paths": [
        row("10.0.0.1", 1_048_576, true, "up", Value::Null),
        row("10.0.0.2", 100, false, "up", Value::Null),
        row("10.0.0.3", 101, false, "down", json!("large frames do not get there")),
        untested,
    ] });
    assert_eq!(paths, expected);
}

#[test]
fn resolve_as_json() {
    let said = answers()
        .map(|answer| described("resolve", |out| view::resolved(out, Form::Json, "test", mac(12), &answer)));
    let object = |resolved, place, nbma, vni, valid, reason| {
        json!({ "vn": "test", "mac": "52:54:00:00:00:0c", "resolved": resolved, "place": place, "nbma": nbma,
            "vni": vni, "valid": valid, "reason": reason })
    };
    let nothing = || Value::Null;
    let not = |reason: &str| object(false, nothing(), nothing(), nothing(), nothing(), json!(reason));
    let expected = [
        object(true, json!("remote"), json!("10.0.0.3"), json!(101), json!(410), nothing()),
        object(true, json!("remote"), json!("10.0.0.3"), json!(101), nothing(), nothing()),
        object(true, json!("here"), nothing(), nothing(), nothing(), nothing()),
        not("NAK 12, nobody there knows this MAC"),
        not("no answer from the hub"),
    ];
    assert_eq!(said, expected);
}

#[test]
fn what_is_done_as_json() {
    let done = |out: &mut String| view::done(out, Form::Json);
    assert_eq!(described("flush", done), json!({ "ok": true }));
    let removed = |out: &mut String| view::removed(out, Form::Json, 3);
    assert_eq!(described("peers --remove", removed), json!({ "ok": true, "removed": 3 }));
    assert_eq!(described("reload", done), json!({ "ok": true }));
    let error = Failure::failed("there is\nno VN 'test' ".into());
    let said = described("An error", |out| error.write(out, Form::Json));
    assert_eq!(said, json!({ "error": "there is no VN 'test'", "code": 1 }));
}

#[test]
fn a_refused_configuration_as_json() {
    let refused = |errors| described("An error", |out| Failure::refused(errors).write(out, Form::Json));
    let said = refused(bad_file());
    let expected = json!({
        "error": said["error"], "code": 4, "file": "/etc/config/dmevpn", "errors": [
            { "line": 2, "section": "a", "option": "vni", "text": "option 'vni': 'many' is not a VNI from 1 to 16777215" },
            { "line": 3, "section": "a", "option": "hib", "text": "option 'hib': unknown in section vn; did you mean 'hub'?" },
        ],
    });
    assert_eq!(said, expected);
    let error = said["error"].as_str().unwrap();
    assert!(error.starts_with("/etc/config/dmevpn:2: option 'vni'"), "{error}");
    assert!(error.ends_with("the daemon keeps its earlier configuration"), "{error}");
    let said = refused(Errors::unreadable("/x", "Permission denied".into()));
    assert_eq!((&said["file"], &said["errors"]), (&json!("/x"), &json!([])));
}

#[test]
fn metrics_as_json() {
    let said = described("metrics", |out| *out = metrics::page(Form::Json, a_day_like_any_other()));
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

#[test]
fn events_as_json() {
    let written = |event| {
        let happening = Happening { at: 1, vn: "lab", event };
        document(&written(|out| view::happening(out, Form::Json, &happening)))
    };
    let mut lines: Vec<Value> = events().into_iter().map(written).collect();
    lines.push(described("monitor", |out| view::missed(out, Form::Json, 1, 7)));
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
    let missed = json!({
        "at": 1, "vn": "", "event": "missed", "level": "warn",
        "text": "7 events are left out here: this reader is too slow",
        "mac": null, "nbma": null, "vni": null, "uplink_vni": null, "valid": null,
        "reason": null, "reason_code": null, "missed": 7,
    });
    assert_eq!(lines.last(), Some(&missed));
    let up = &lines[10];
    assert_eq!(
        (&up["event"], &up["nbma"], &up["vni"]),
        (&json!("spoke_up"), &json!("10.0.0.2"), &json!(100))
    );
    assert_eq!((&up["uplink_vni"], &up["level"]), (&json!(1_048_576), &json!("info")));
}

#[test]
fn what_happened_lately() {
    let happening = |event| Happening { at: 1_795_493_517_042, vn: "test", event };
    let happenings = [happening(Event::Withdrawn), happening(Event::Full(Table::Macs))];
    let value = described("events", |out| *out = told(Form::Json, 9, &happenings));
    assert_eq!(value["last"], json!(9));
    assert_eq!(
        (&value["events"][1]["event"], &value["events"][1]["level"]),
        (&json!("macs_full"), &json!("warn"))
    );
    let text = told(super::FILE, 9, &happenings);
    assert!(text.lines().count() == 2 && text.starts_with("04:11:57.042 test: "), "{text}");
    assert_eq!(document(&told(Form::Json, 0, &[])), json!({ "last": 0, "events": [] }));
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
    let happening = Happening { at: 1, vn: "lab", event: Event::Withdrawn };
    let form = Form::Json;
    let all = |write: fn(&mut String)| [written(write)];
    printed("An error", &all(|out| Failure::configuration(bad_file()).write(out, Form::Json)));
    let mut status = Status { odd: odd(), ..a_day_like_any_other() };
    status.vns.push(vn("three", "6", spoke_of_three()));
    printed("status", &[written(|out| view::status(out, form, &status))]);
    printed("macs", &[listed(Rows::Macs, form, &some_macs())]);
    printed("peers", &[listed(Rows::Peers, form, &some_peers())]);
    printed("paths", &[listed(Rows::Paths, form, &some_paths())]);
    printed("resolve", &[written(|out| view::resolved(out, form, "a", mac(1), &answers()[0]))]);
    printed("flush", &all(|out| view::done(out, Form::Json)));
    let missed = written(|out| view::missed(out, form, 1, 7));
    printed("monitor", &[written(|out| view::happening(out, form, &happening)), missed]);
    printed("events", &[told(form, 9, &[happening])]);
    printed("metrics", &[metrics::page(form, a_day_like_any_other())]);
    printed("check", &all(|out| view::checked(out, "f", bad_file().as_slice(), bad_file().as_slice())));
    printed("peers --remove", &all(|out| view::removed(out, Form::Json, 3)));
    printed("leave", &all(|out| view::left(out, Form::Json, &vec!["vx-lan".into()])));
    printed("import", &all(|out| view::imported(out, Form::Json, "f", "c")));
    let checks = [Diagnosis { level: Level::Well, what: "a".into(), text: "b".into(), hint: None }];
    printed("doctor", &[written(|out| view::doctor::write(out, form, &checks))]);
    printed("version", &all(|out| view::version(out, Form::Json, "1", 1)));
}

/// The one object a command prints with `--json` when it fails.
fn failure(args: &[&str]) -> (Option<i32>, Value) {
    let output = dmevpn(&[args, &["--json"]].concat());
    assert_eq!(output.stderr, b"", "{args:?}");
    let value = document(&String::from_utf8(output.stdout).unwrap());
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
        &["paths"],
        &["flush"],
        &["drain", "a"],
        &["monitor"],
        &["events"],
        &["metrics"],
        &["reload"],
        &["resolve", "a", "52:54:00:00:00:0c"],
    ] {
        let (code, said) = failure(&[command, &["--socket", socket]].concat());
        let error = format!(
            "no daemon answers at {socket}: is it running? (/etc/init.d/dmevpn status, or systemctl status dmevpn)"
        );
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
        (&["peers", "--remove", "224.0.0.1"], "not a unicast IPv4 or IPv6 address"),
        (&["peers", "--remove", "10.0.0.2,0"], "VNI"),
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
        let value = document(&String::from_utf8(output.stdout).unwrap());
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
    let original = include_str!("../import/seed-spoke1.conf");
    let original = Temporary::new("opennhrp", original);
    let (code, said) = run(&["import", "--json", original.path()]);
    assert_eq!((code, &said["file"]), (Some(0), &json!(original.path())));
    assert!(said["config"].as_str().unwrap().contains("config vn"), "{said}");
    let (code, said) = run(&["import", "--json", bad.path()]);
    assert_eq!((code, &said["errors"][0]["line"]), (Some(4), &json!(1)), "{said}");
}
