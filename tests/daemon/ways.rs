//! The network under a router changes, or leads elsewhere than it seems: it follows, or says what is in the way.

use super::*;
use lab::now;
use lab::traffic::Ping;

/// Far from what a slow timer takes, and with room for a first request that a busy machine loses.
pub fn within(seconds: u64) -> Duration {
    Duration::from_secs(seconds) * lab::patience()
}

/// Both families, each in a network of its own.
pub fn in_both(scene: impl Fn(&mut Lab)) {
    for ipv6 in [false, true] {
        in_small(Plan { ipv6, ..plan() }, &scene);
    }
}

/// An address of a network: 0 is the lab's, 2 that of spoke1's second uplink.
pub fn at(lab: &Lab, net: u8, host: u8) -> String {
    if lab.plan.ipv6 { format!("fd0{net}::{host:x}") } else { format!("10.{net}.0.{host}") }
}

/// The network of such addresses.
pub fn net(lab: &Lab, net: u8) -> String {
    if lab.plan.ipv6 { format!("fd0{net}::/64") } else { format!("10.{net}.0.0/24") }
}

/// With the length of its prefix, as `ip addr add` wants it.
pub fn assigned(lab: &Lab, net: u8, host: u8) -> String {
    let length = if lab.plan.ipv6 { "64 nodad" } else { "24" };
    format!("{}/{length}", at(lab, net, host))
}

/// Routers solicit their neighbours from such an address.
fn link_local(lab: &Lab, device: &str, host: u8) -> String {
    if lab.plan.ipv6 { format!("\naddr add fe80::{host:x}/64 nodad dev {device}") } else { String::new() }
}

/// The last part of a node's addresses.
fn host(node: &Node) -> u8 {
    match node.nbma {
        IpAddr::V4(ip) => ip.octets()[3],
        IpAddr::V6(ip) => ip.octets()[15],
    }
}

/// The switch becomes a router, to which the node has two uplinks: `eth1`, as all have, and `eth2`. The default route by
/// `eth1` is the better one. Who sends from the other uplink's address is not heard, as at a provider.
pub fn two_uplinks(lab: &Lab, name: &str) {
    let (first, own) = (at(lab, 0, 254), at(lab, 0, host(lab.node(name))));
    lab.switch
        .run(|| {
            for file in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
                let _ = fs::write(format!("/proc/sys/net/{file}"), "1");
            }
        })
        .unwrap();
    let router = format!("addr add {} dev wan{}", assigned(lab, 0, 254), link_local(lab, "wan", 254));
    lab.switch.ip(&router).unwrap();
    for node in lab.nodes.values() {
        let routes =
            if node.name == name { String::new() } else { format!("route add {} via {first}", net(lab, 2)) };
        node.ns.ip(&format!("{routes}{}", link_local(lab, "eth1", host(node)))).unwrap();
    }
    second_uplink(lab, name);
    // A kernel without rules lets everything pass.
    for (by, other) in [("wan", 2), ("second", 0)] {
        let _ =
            lab.switch.rule(lab.plan.ipv6, &format!("rule add iif {by} from {} prohibit", net(lab, other)));
    }
    let (length, alone) = if lab.plan.ipv6 { ("64", "128 nodad") } else { ("24", "32") };
    lab.node(name)
        .ns
        .ip(&format!(
            "addr del {own}/{length} dev eth1\naddr add {own}/{alone} dev eth1\nroute add {first} dev eth1\n\
             route add {} via {first} dev eth1 metric 10",
            default(lab)
        ))
        .unwrap();
}

pub fn default(lab: &Lab) -> &'static str {
    if lab.plan.ipv6 { "::/0" } else { "0.0.0.0/0" }
}

/// The second uplink comes.
pub fn second_uplink(lab: &Lab, name: &str) {
    let (node, host) = (&lab.node(name).ns, host(lab.node(name)));
    lab.switch
        .ip(&format!(
            "link add second type veth peer name eth2 netns {}\nlink set second up\naddr add {} dev second{}",
            node.name,
            assigned(lab, 2, 254),
            link_local(lab, "second", 254)
        ))
        .unwrap();
    node.ip(&format!(
        "link set eth2 up\naddr add {} dev eth2{}\nroute add {} via {} dev eth2 metric 20",
        assigned(lab, 2, host),
        link_local(lab, "eth2", host),
        default(lab),
        at(lab, 2, 254)
    ))
    .unwrap();
}

/// The node's own address is not configured, or by this option.
pub fn own(node: &Node, option: &str) {
    let line = |option: &str| if option.is_empty() { String::new() } else { format!("\toption {option}\n") };
    let main = "config dmevpn 'main'\n";
    node.edit_config(|text| {
        let rest = text.strip_prefix(main).unwrap();
        let others = rest.lines().filter(|l| !l.contains("option nbma") && !l.contains("option interface"));
        let others: String = others.map(|line| format!("{line}\n")).collect();
        format!("{main}{}{others}", line(option))
    })
    .unwrap();
}

/// The address a VXLAN device sends from.
fn local(node: &Node, device: &str) -> String {
    let text = show(node, device);
    text.split(" local ")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next())
        .unwrap_or_default()
        .to_owned()
}

/// The hub's port for spoke1 leads to its other address, and is the same.
fn wait_moved(lab: &Lab, before: &std::collections::BTreeMap<String, u32>) {
    let hub = lab.node("hub");
    wait("the port of the spoke leads there", || leads(hub, &at(lab, 2, 2)));
    assert_eq!(hub.ports().unwrap(), *before, "it is the same");
}

/// Two uplinks, and only the default route moves. From the old address nobody can be told any more.
#[test]
fn only_the_default_route_moves() {
    in_both(|lab| {
        two_uplinks(lab, "spoke1");
        own(lab.node("spoke1"), "");
        lab.start_all().unwrap();
        all_is_well(lab);
        let before = lab.node("hub").ports().unwrap();
        let spoke1 = lab.node("spoke1");
        let device = spoke1.ns.ifindex("tunnel2").unwrap();
        let pings = Ping::start(&lab.host("vm1").ns, Echoes::to(ip(inside(11)), 10_000, 20)).unwrap();
        let changed = now();
        spoke1.ns.ip(&format!("route del {} dev eth1 metric 10", default(lab))).unwrap();
        wait_moved(lab, &before);
        let took = now() - changed;
        wait("it says so", || status(spoke1).contains(&at(lab, 2, 2)));
        all_is_well(lab);
        let pinged = pings.stop().unwrap();
        let back = pinged.first_reply_after(changed).map(|at| at - changed);
        println!("the port follows after {took:?}; {pinged}; the first reply after {back:?}");
        assert!(took < within(3), "it took {took:?}");
        assert!(back.is_some_and(|back| back < within(3)), "{pinged}, after {back:?}");
        assert_eq!(
            spoke1.ns.ifindex("tunnel2"),
            Ok(device),
            "it has another address, and is the same device"
        );
    });
}

/// The hub's address is another one: its ports follow as the spokes register, and lose nothing.
#[test]
fn the_hub_gets_another_address() {
    in_both(|lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        let (old, new) = (at(lab, 0, 1), at(lab, 0, 9));
        let hub = lab.node("hub");
        // With one device for all spokes an answer of the bridge's own to ARP has what the question came with.
        let device = if status(hub).contains("data plane kmod (") { "own" } else { "br-test" };
        if device == "own" {
            let pair =
                "link add own type veth peer name port\nlink set port master br-test up\nlink set own up";
            hub.ns.ip(pair).unwrap();
        }
        hub.ns.ip(&format!("addr add 11.0.0.1/24 dev {device}")).unwrap();
        let ports = hub.ports().unwrap();
        let to_hub = Echoes::to(ip(inside(1)), 10_000, 20);
        let pings = Ping::start(&lab.host("vm1").ns, to_hub).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        wait("the hub answers", || {
            ping(&lab.host("vm1").ns, Echoes::to(ip(inside(1)), 1, 20)).unwrap().none_lost()
        });
        // An address of the same network would go with the old one.
        let promote = "/proc/sys/net/ipv4/conf/eth1/promote_secondaries";
        hub.ns.run(|| fs::write(promote, "1")).unwrap().unwrap();
        hub.ns.ip(&format!("addr add {} dev eth1", assigned(lab, 0, 9))).unwrap();
        for (node, option) in [("hub", "nbma"), ("spoke1", "address"), ("spoke2", "address")] {
            let node = lab.node(node);
            let line = |address: &str| format!("option {option} '{address}'");
            node.edit_config(|text| text.replace(&line(&old), &line(&new))).unwrap();
            // The hub first: what is withdrawn from the old address it does not hear any more.
            assert_eq!(dmevpn(node, &["reload"]).status.code(), Some(0));
        }
        let registered = format!("registered with hub {new}");
        for spoke in lab.spokes() {
            wait("it is registered there", || spoke.log_text().contains(&registered));
        }
        let locals: Vec<String> = ports.keys().map(|port| local(hub, port)).collect();
        std::thread::sleep(Duration::from_millis(200));
        let pinged = pings.stop().unwrap();
        println!("{pinged}; {} lost", pinged.echoes.len() - pinged.answered());
        assert!(locals.iter().all(|local| *local == new), "{locals:?}, though the reply is sent");
        assert_eq!(hub.ports().unwrap(), ports, "the same devices");
        assert!(pinged.none_lost(), "{pinged}");
        // With the old address gone first contact is as before.
        hub.ns.ip(&format!("addr del {old}/{} dev eth1", if lab.plan.ipv6 { 64 } else { 24 })).unwrap();
        dmevpn(lab.node("spoke1"), &["flush"]);
        all_is_well(lab);
        let pinged = ping(&lab.host("vm1").ns, Echoes::to(ip(inside(1)), 10, 20)).unwrap();
        assert!(pinged.none_lost(), "{pinged}");
    });
}

/// Its address changed while its daemon was away: the ports it finds follow, too.
#[test]
fn the_hub_comes_back_with_another_address() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        let (old, new) = (at(lab, 0, 1), at(lab, 0, 9));
        let ports = lab.node("hub").ports().unwrap();
        lab.nodes.get_mut("hub").unwrap().kill().unwrap();
        lab.node("hub").ns.ip(&format!("addr del {old}/24 dev eth1\naddr add {new}/24 dev eth1")).unwrap();
        let change = |node: &str, option: &str| {
            let line = |address: &str| format!("option {option} '{address}'");
            lab.node(node).edit_config(|text| text.replace(&line(&old), &line(&new))).unwrap();
        };
        change("hub", "nbma");
        change("spoke1", "address");
        change("spoke2", "address");
        lab.start("hub").unwrap();
        for spoke in lab.spokes() {
            spoke.signal(libc::SIGHUP).unwrap();
        }
        for spoke in lab.spokes() {
            wait("it is registered there", || {
                spoke.log_text().contains(&format!("registered with hub {new}"))
            });
        }
        let hub = lab.node("hub");
        assert!(ports.keys().all(|port| local(hub, port) == new));
        assert_eq!(hub.ports().unwrap(), ports, "the same devices");
        dmevpn(lab.node("spoke1"), &["flush"]);
        all_is_well(lab);
    });
}

/// Routes and rules, however the own address is configured, IPv4 and IPv6: what is in the way is said, and what comes back
/// is used, within a second.
#[test]
fn routes_and_rules_are_followed() {
    in_both(|lab| {
        two_uplinks(lab, "spoke1");
        lab.start_all().unwrap();
        let (gateway, hub) = (at(lab, 0, 254), at(lab, 0, 1));
        let length = if lab.plan.ipv6 { 128 } else { 32 };
        let spoke1 = lab.node("spoke1");
        spoke1.ns.ip(&format!("route del {} dev eth2 metric 20", default(lab))).unwrap();
        let route = format!("route XXX {} via {gateway} dev eth1 metric 10", default(lab));
        let rule = format!("rule YYY to {hub}/{length} prohibit pref 1");
        for option in ["interface 'eth1'", &format!("nbma '{}'", at(lab, 0, 2)), ""] {
            own(spoke1, option);
            assert_eq!(dmevpn(spoke1, &["reload"]).status.code(), Some(0));
            wait("all is well", || status(spoke1).contains("valid for"));
            let ipv6 = lab.plan.ipv6;
            for (away, back) in [
                (route.replace("XXX", "del"), route.replace("XXX", "add")),
                (rule.replace("YYY", "add"), rule.replace("YYY", "del")),
            ] {
                if spoke1.ns.rule(ipv6, &away).is_err() {
                    println!("skipped: this kernel has no rules");
                    continue;
                }
                let begin = now();
                wait("it is said", || status(spoke1).contains(&format!("no route to hub {hub}")));
                assert!(now() - begin < within(3), "{option}: {away}: {:?}", now() - begin);
                // Not in the pause after a change.
                std::thread::sleep(Duration::from_millis(300));
                spoke1.ns.rule(ipv6, &back).unwrap();
                let begin = now();
                wait("it is used", || !status(spoke1).contains("no route"));
                assert!(now() - begin < within(3), "{option}: {back}: {:?}", now() - begin);
            }
            wait("all is well", || status(spoke1).contains("valid for"));
        }
        all_is_well(lab);
    });
}

/// The underlay is a bridge of its own; then its port is one of another name.
#[test]
fn the_underlay_is_a_bridge() {
    for option in ["interface 'br-wan'", ""] {
        in_small(plan(), |lab| {
            let spoke1 = lab.node("spoke1");
            own(spoke1, option);
            let into = "link add br-wan up type bridge mcast_snooping 0\naddr del 10.0.0.2/24 dev eth1\n\
                        link set eth1 master br-wan\naddr add 10.0.0.2/24 dev br-wan";
            spoke1.ns.ip(into).unwrap();
            lab.start_all().unwrap();
            all_is_well(lab);
            let pings = Ping::start(&lab.host("vm1").ns, Echoes::to(ip(inside(11)), 10_000, 20)).unwrap();
            let spoke1 = lab.node("spoke1");
            spoke1.ns.ip("link set eth1 name wan0").unwrap();
            all_is_well(lab);
            let pinged = pings.stop().unwrap();
            assert!(pinged.none_lost(), "{pinged}");
            assert_eq!(spoke1.log_text().matches("registered with hub").count(), 1, "{}", spoke1.log_text());
        });
    }
}

/// The interface of option `interface` gets another name, and another one gets its name.
#[test]
fn the_interface_is_renamed() {
    in_small(plan(), |lab| {
        own(lab.node("spoke1"), "interface 'eth1'");
        lab.start_all().unwrap();
        all_is_well(lab);
        let spoke1 = lab.node("spoke1");
        spoke1.ns.ip("link set eth1 name wan0").unwrap();
        wait_status(spoke1, "interface 'eth1' does not exist");
        spoke1.ns.ip("link set wan0 name eth1").unwrap();
        let there = now();
        wait("it is registered", || status(spoke1).contains("valid for"));
        assert!(now() - there < within(3), "it took {:?}", now() - there);
        all_is_well(lab);
    });
}

/// IPv6 only, and the provider gives another prefix: the old one is deprecated first, and then gone.
#[test]
fn the_prefix_changes() {
    for option in ["interface 'eth1'", ""] {
        in_small(Plan { ipv6: true, ..plan() }, |lab| {
            let spoke1 = lab.node("spoke1");
            own(spoke1, option);
            spoke1.ns.ip("route add fd00::1 dev eth1\nroute add fd00::3 dev eth1").unwrap();
            for other in [lab.node("hub"), lab.node("spoke2")] {
                other.ns.ip("route add fd05::/64 dev eth1\nroute add fd06::/64 dev eth1").unwrap();
            }
            lab.start_all().unwrap();
            all_is_well(lab);
            let spoke1 = lab.node("spoke1");
            let device = spoke1.ns.ifindex("tunnel2").unwrap();
            for (old, new) in [("fd00::2/64", "fd05::2/64"), ("fd05::2/64", "fd06::2/64")] {
                let begin = now();
                spoke1
                    .ns
                    .ip(&format!("addr add {new} nodad dev eth1\naddr change {old} dev eth1 preferred_lft 0"))
                    .unwrap();
                let from = new.trim_end_matches("/64");
                wait("it is registered from there", || {
                    let text = status(spoke1);
                    text.contains(from) && text.contains("valid for")
                });
                let took = now() - begin;
                println!("registered from {from} after {took:?}");
                assert!(took < within(3), "it took {took:?}");
                all_is_well(lab);
                spoke1.ns.ip(&format!("addr del {old} dev eth1")).unwrap();
                std::thread::sleep(Duration::from_millis(300));
                all_is_well(lab);
            }
            assert_eq!(spoke1.ns.ifindex("tunnel2"), Ok(device), "the same device");
        });
    }
}
