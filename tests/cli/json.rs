//! For programs: every command's `--json`, and docs/json.md.

use super::samples::*;
use super::{answered, dmevpn, documented};
use dmevpn::config::Errors;
use dmevpn::control::{Answer, Happening, Lately, Metrics, Reply, Request, VnPeers};
use dmevpn::engine::{Event, Refusal, Statistics, Table};
use dmevpn::view::{json as view, metrics};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The one document that a command printed.
pub fn document(text: &str) -> Value {
    assert_eq!(text.matches('\n').count(), 1, "one document, one line");
    serde_json::from_str(text).unwrap()
}

/// What a command prints with `--json` for a reply, and that docs/json.md describes it.
fn described(test: &str, args: &[&str], request: &Request, reply: &Reply) -> (Option<i32>, Value) {
    let args = [args, &["--json"]].concat();
    let (code, out, err) = answered(test, &args, request, &reply.encode());
    assert_eq!(err, "", "{args:?}");
    let value = document(&out);
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
