//! A router's network comes up piece by piece, and says what is missing until then.

use super::ways::within;
use super::*;
use lab::nodes::SOON;
use lab::now;

/// The spoke takes its address from the route to the hub.
fn by_route(node: &Node) {
    node.edit_config(|text| text.replace("\toption nbma '10.0.0.2'\n", "")).unwrap();
}

/// The spoke takes its address from an interface.
fn by_interface(node: &Node, name: &str) {
    let option = format!("option interface '{name}'");
    node.edit_config(|text| text.replace("option nbma '10.0.0.2'", &option)).unwrap();
}

/// The hub is behind a default route, which comes `late`; then the spoke is registered within a second.
fn a_late_route(edit: impl Fn(&Node)) {
    in_small(plan(), |lab| {
        let spoke1 = lab.node("spoke1");
        edit(spoke1);
        spoke1.ns.ip("addr del 10.0.0.2/24 dev eth1").unwrap();
        lab.start("hub").unwrap();
        lab.start("spoke1").unwrap();
        let (hub, spoke1) = (lab.node("hub"), lab.node("spoke1"));
        std::thread::sleep(Duration::from_millis(300));
        spoke1.ns.ip("addr add 10.0.0.2/32 dev eth1").unwrap();
        wait_status(spoke1, "no route to hub 10.0.0.1");
        // Long enough for a try by the clock to be far away.
        std::thread::sleep(Duration::from_secs(4));
        assert_eq!(spoke1.log_text().matches("no route to hub").count(), 1, "{}", spoke1.log_text());
        let there = now();
        spoke1.ns.ip("route add 10.0.0.0/24 dev eth1").unwrap();
        wait("the spoke is registered", || hub.ports().unwrap().len() == 1);
        assert!(now() - there < within(3), "it took {:?}", now() - there);
        wait_status(spoke1, "valid for");
        assert!(!status(spoke1).contains("no route"), "{}", status(spoke1));
    });
}

#[test]
fn the_route_comes_after_the_address() {
    a_late_route(by_route);
}

#[test]
fn the_route_comes_after_the_address_of_an_interface() {
    a_late_route(|node| by_interface(node, "eth1"));
}

#[test]
fn the_route_comes_after_the_configured_address() {
    a_late_route(|_| ());
}

/// What no event tells, such as a rule for routes, is found by the clock; with a way there it stands still.
#[test]
fn what_is_missing_is_looked_for_by_the_clock() {
    in_small(plan(), |lab| {
        by_route(lab.node("spoke1"));
        lab.node("spoke1").ns.ip("rule add pref 1 to 10.0.0.1 prohibit").unwrap();
        lab.start("hub").unwrap();
        lab.start("spoke1").unwrap();
        let spoke1 = lab.node("spoke1");
        wait_status(spoke1, "no route to hub 10.0.0.1");
        std::thread::sleep(Duration::from_millis(500));
        spoke1.ns.ip("rule del pref 1").unwrap();
        let there = now();
        wait("the spoke is registered", || lab.node("hub").ports().unwrap().len() == 1);
        assert!(now() - there < within(5), "it took {:?}", now() - there);
    });
}

/// Another uplink takes over: its address is registered within a second, with no address having come or gone.
#[test]
fn the_route_changes_to_another_address() {
    in_small(plan(), |lab| {
        by_route(lab.node("spoke1"));
        lab.node("spoke1").ns.ip("addr add 10.0.0.77/32 dev eth1").unwrap();
        lab.start_all().unwrap();
        all_is_well(lab);
        let (hub, spoke1) = (lab.node("hub"), lab.node("spoke1"));
        let before = hub.ports().unwrap();
        let changed = now();
        spoke1.ns.ip("route replace 10.0.0.0/24 dev eth1 src 10.0.0.77").unwrap();
        wait("the port of the spoke leads there", || leads(hub, "10.0.0.77"));
        assert_eq!(hub.ports().unwrap(), before, "it is the same");
        assert!(now() - changed < within(3), "it took {:?}", now() - changed);
        wait_status(spoke1, "valid for");
        all_is_well(lab);
    });
}

/// A rule leads to a table with another route: at once, IPv4 and IPv6.
#[test]
fn a_rule_changes_the_way() {
    for ipv6 in [false, true] {
        in_small(Plan { ipv6, ..plan() }, |lab| {
            let (net, other) = if ipv6 { ("fd00::/64", "fd00::77") } else { ("10.0.0.0/24", "10.0.0.77") };
            let spoke1 = lab.node("spoke1");
            let nbma = format!("\toption nbma '{}'\n", spoke1.nbma);
            spoke1.edit_config(|text| text.replace(&nbma, "")).unwrap();
            let host = if ipv6 { "128 nodad preferred_lft 0" } else { "32" };
            spoke1.ns.ip(&format!("addr add {other}/{host} dev eth1")).unwrap();
            spoke1.ns.ip(&format!("route add {net} dev eth1 src {other} table 100")).unwrap();
            let rule = format!("rule add to {net} table 100");
            lab.start_all().unwrap();
            let (hub, spoke1) = (lab.node("hub"), lab.node("spoke1"));
            let before = hub.ports().unwrap();
            let changed = now();
            if spoke1.ns.rule(ipv6, &rule).is_err() {
                println!("skipped: this kernel has no rules");
                return;
            }
            wait("the spoke comes from there", || status(spoke1).contains(other));
            wait("the port of the spoke leads there", || leads(hub, other));
            assert_eq!(hub.ports().unwrap(), before, "it is the same");
            assert!(now() - changed < within(3), "it took {:?}", now() - changed);
            spoke1.ns.rule(ipv6, &rule.replace("add", "del")).unwrap();
            wait("it is as before", || !status(spoke1).contains(other));
            wait_status(spoke1, "valid for");
        });
    }
}

/// A route that is away for a moment takes no shortcut with it.
#[test]
fn a_route_is_exchanged() {
    in_small(plan(), |lab| {
        by_route(lab.node("spoke1"));
        lab.start_all().unwrap();
        all_is_well(lab);
        let spoke1 = lab.node("spoke1");
        let before = spoke1.shortcuts("test", BRIDGE2).unwrap();
        spoke1.ns.ip("route del 10.0.0.0/24 dev eth1").unwrap();
        wait_status(spoke1, "no route to hub 10.0.0.1");
        spoke1.ns.ip("route add 10.0.0.0/24 dev eth1").unwrap();
        wait("it is back", || !status(spoke1).contains("no route"));
        assert_eq!(spoke1.shortcuts("test", BRIDGE2).unwrap(), before);
        let registered = spoke1.log_text().matches("registered with hub").count();
        assert_eq!(registered, 1, "{}", spoke1.log_text());
        all_is_well(lab);
    });
}

/// A full routing table changes: the daemon looks a few times a second, not at each of them.
#[test]
fn many_routes_change() {
    in_small(plan(), |lab| {
        by_route(lab.node("spoke1"));
        lab.start_all().unwrap();
        all_is_well(lab);
        let spoke1 = lab.node("spoke1");
        let ticks = || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", spoke1.pid().unwrap())).unwrap();
            let fields: Vec<u64> =
                stat.rsplit(')').next().unwrap().split_whitespace().map(|n| n.parse().unwrap_or(0)).collect();
            fields[11] + fields[12]
        };
        let lines: String = (0..60_000u32)
            .map(|n| format!("route add 20.{}.{}.{}/32 dev eth1\n", n >> 16, n >> 8 & 255, n & 255))
            .collect();
        let (before, began) = (ticks(), now());
        spoke1.ns.ip(&lines).unwrap();
        let (took, used) = (now() - began, ticks() - before);
        // In hundredths of a second.
        assert!(u128::from(used) * 10 <= took.as_millis() / 20 + 30, "{used} ticks in {took:?}");
        all_is_well(lab);
    });
}

#[test]
fn causes_are_named() {
    in_small(plan(), |lab| {
        let hub_is = |node: &Node, address: &str| {
            node.edit_config(|text| text.replace("option interface 'eth9'", &format!("option {address}")))
                .unwrap();
            node.signal(libc::SIGHUP).unwrap();
        };
        for name in ["hub", "spoke1"] {
            let node = lab.node(name);
            let nbma = format!("option nbma '{}'", node.nbma);
            node.edit_config(|text| text.replace(&nbma, "option interface 'eth9'")).unwrap();
        }
        lab.start("hub").unwrap();
        lab.start("spoke1").unwrap();
        for name in ["hub", "spoke1"] {
            let node = lab.node(name);
            let told = |words: &str, hint: &str| {
                wait_status(node, words);
                let line = format!("{words}; {hint}");
                wait(&line, || node.log_text().contains(&line));
            };
            told("interface 'eth9' does not exist", "correct option 'interface'");
            node.ns.ip("link add eth9 type veth peer name eth8").unwrap();
            told("interface 'eth9' is down", "bring the interface up");
            node.ns.ip("link set eth9 up").unwrap();
            told("interface 'eth9' has no address", "check how the interface gets its address");
            // Said once, however often it is looked at.
            std::thread::sleep(Duration::from_secs(3));
            assert_eq!(node.log_text().matches("'eth9' has no address").count(), 1, "{}", node.log_text());
            node.ns.ip("addr add fd00::99/64 nodad dev eth9").unwrap();
            wait("an address is there", || !status(node).contains("has no address"));
            if name == "spoke1" {
                told("this router has no IPv4 address, which hub 10.0.0.1 needs", "give this router");
            }
            hub_is(node, "nbma '10.9.9.9'");
            told("no interface has the address 10.9.9.9", "correct option 'nbma'");
            node.edit_config(|text| text.replace("nbma '10.9.9.9'", &format!("nbma '{}'", node.nbma)))
                .unwrap();
            node.signal(libc::SIGHUP).unwrap();
            wait("all is well", || !status(node).contains("10.9.9.9"));
        }
        wait_status(lab.node("spoke1"), "valid for");
        let spoke1 = lab.node("spoke1");
        spoke1.ns.ip("link del br-test").unwrap();
        wait_status(spoke1, "bridge 'br-test' does not exist");
        wait("in the log, too", || {
            spoke1.log_text().contains("test: bridge 'br-test' does not exist; make the bridge")
        });
    });
}

/// `option interface` names another one in the file, and one that comes only later.
#[test]
fn the_interface_changes_while_it_runs() {
    in_small(plan(), |lab| {
        by_interface(lab.node("spoke1"), "eth1");
        lab.start_all().unwrap();
        all_is_well(lab);
        let (hub, spoke1) = (lab.node("hub"), lab.node("spoke1"));
        let pid = spoke1.pid();
        spoke1.edit_config(|text| text.replace("interface 'eth1'", "interface 'pppoe-wan'")).unwrap();
        spoke1.signal(libc::SIGHUP).unwrap();
        wait_status(spoke1, "interface 'pppoe-wan' does not exist");
        wait("it is registered no more", || hub.ports().unwrap().len() == 1);
        for _ in 0..2 {
            lab.add_uplink("spoke1", "pppoe-wan", "spoke1b").unwrap();
            spoke1.ns.ip("addr add 10.0.0.77/24 dev pppoe-wan").unwrap();
            let there = now();
            wait("it is registered", || status(spoke1).contains("valid for"));
            assert!(now() - there < within(3), "it took {:?}", now() - there);
            assert_eq!(hub.ports().unwrap().len(), 2);
            lab.wait_connected(SOON).unwrap();
            all_is_well(lab);
            // One change, one port: the device that is made for the address is no loss.
            assert_eq!(hub.log_text().matches("spoke up: 10.0.0.77").count(), 1);
            assert!(!spoke1.log_text().contains("somebody removed a device of ours"));
            spoke1.ns.ip("link del pppoe-wan").unwrap();
            wait_status(spoke1, "interface 'pppoe-wan' does not exist");
            wait("the way is gone", || !status(spoke1).contains("valid for"));
        }
        assert_eq!(spoke1.pid(), pid);
    });
}
