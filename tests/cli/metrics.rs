//! For Prometheus, and docs/metrics.md.

use super::samples::*;
use super::{FILE, written};
use dmevpn::control::Form;
use dmevpn::engine::Statistics;
use dmevpn::view::{Page, Status};
use std::collections::BTreeMap;

/// All metrics.
pub fn page(form: Form, status: Status) -> String {
    written(|out| {
        let counts = some_counts(status);
        let mut page = Page::begin(out, form);
        (0..).find(|n| !page.family(out, *n, &counts));
        (0..).find(|n| {
            let there = page.client_family(out, *n);
            some_clients()
                .iter()
                .for_each(|(vn, client, traffic)| page.client(out, *n, vn, client, *traffic));
            !there
        });
        page.end(out);
    })
}

/// docs/metrics.md and the program, both ways: names, kinds and meanings.
#[test]
fn the_page_on_metrics_has_them_all() {
    let mut status = a_day_like_any_other();
    status.vns.push(vn("three", "6", spoke_of_three()));
    let text = page(FILE, status);
    assert!(text.contains("\ndmevpn_hub_active{vn=\"three\",hub=\"dc2\"} 1\n"), "{text}");
    let printed: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' ')).collect();
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md")).unwrap();
    let mut listed = BTreeMap::new();
    for section in page.split("\n## ").skip(1) {
        let prefixes = match section.lines().next().unwrap() {
            "Gauges" | "The guard" => &[""][..],
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
    let text = page(FILE, status);
    let expected = "\
# HELP dmevpn_info What runs.
# TYPE dmevpn_info gauge
dmevpn_info{version=\"0.1.0\",transport=\"raw\"} 1
# HELP dmevpn_uptime_seconds For how long the daemon has been running.
# TYPE dmevpn_uptime_seconds gauge
dmevpn_uptime_seconds 8040
# HELP dmevpn_guard Whether frames are taken from known sites alone.
# TYPE dmevpn_guard gauge
dmevpn_guard 1
# HELP dmevpn_guard_dropped_total Packets of others that the guard dropped.
# TYPE dmevpn_guard_dropped_total counter
dmevpn_guard_dropped_total 17
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
        "\ndmevpn_spoke_rx_register_req_total{vn=\"core\",nbma=\"10.0.0.2\",vni=\"100\",name=\"branch7\"} 6\n\
         dmevpn_spoke_rx_register_req_total{vn=\"core\",nbma=\"10.0.0.9\",vni=\"\"} 7\n"
    ));
    for (name, _) in Statistics::default().rows() {
        assert_eq!(text.matches(&format!("\n# TYPE dmevpn_{name}_total counter\n")).count(), 1, "{name}");
    }
    assert!(text.ends_with("vni=\"100\",name=\"branch7\"} 4\n"), "{text}");
    let odd = page(FILE, Status { version: "a\"b\\c\nd".into(), ..daemon(vec![]) });
    assert!(odd.contains("{version=\"a\\\"b\\\\c\\nd\","), "{odd}");
}
