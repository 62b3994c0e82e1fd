//! The network under a router changes, or leads elsewhere than it seems: it follows, or says what is in the way.

use super::*;
use lab::nodes::bridge_mac;
use lab::traffic::Ping;
use lab::{now, text_of_mac};

fn within(seconds: u64) -> Duration {
    Duration::from_secs(seconds) * lab::patience()
}

/// Both families, each in a network of its own.
fn in_both(scene: impl Fn(&mut Lab)) {
    for ipv6 in [false, true] {
        in_small(Plan { ipv6, ..plan() }, &scene);
    }
}

/// An address of a network: 0 is the lab's, 2 that of spoke1's second uplink.
fn at(lab: &Lab, net: u8, host: u8) -> String {
    if lab.plan.ipv6 { format!("fd0{net}::{host:x}") } else { format!("10.{net}.0.{host}") }
}

/// The network of such addresses.
fn net(lab: &Lab, net: u8) -> String {
    if lab.plan.ipv6 { format!("fd0{net}::/64") } else { format!("10.{net}.0.0/24") }
}

/// With the length of its prefix, as `ip addr add` wants it.
fn assigned(lab: &Lab, net: u8, host: u8) -> String {
    let length = if lab.plan.ipv6 { "64 nodad" } else { "24" };
    format!("{}/{length}", at(lab, net, host))
}

/// The switch becomes a router, to which spoke1 has two uplinks: `eth1`, as all have, and `eth2`. The default route by
/// `eth1` is the better one. Who sends from the other uplink's address is not heard, as at a provider.
fn two_uplinks(lab: &Lab) {
    let (first, second) = (at(lab, 0, 254), at(lab, 2, 254));
    let spoke1 = lab.node("spoke1");
    lab.switch
        .run(|| {
            for file in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
                let _ = fs::write(format!("/proc/sys/net/{file}"), "1");
            }
        })
        .unwrap();
    lab.switch.ip(&format!("addr add {} dev wan", assigned(lab, 0, 254))).unwrap();
    for node in [lab.node("hub"), lab.node("spoke2")] {
        node.ns.ip(&format!("route add {} via {first}", net(lab, 2))).unwrap();
    }
    second_uplink(lab);
    // A kernel without rules lets everything pass.
    for (by, other) in [("wan", 2), ("second", 0)] {
        let _ = lab.switch.ip(&format!("rule add iif {by} from {} prohibit", net(lab, other)));
    }
    let host = if lab.plan.ipv6 { "128 nodad" } else { "32" };
    let own = at(lab, 0, 2);
    let length = if lab.plan.ipv6 { "64" } else { "24" };
    let default = if lab.plan.ipv6 { "::/0" } else { "0.0.0.0/0" };
    spoke1
        .ns
        .ip(&format!(
            "addr del {own}/{length} dev eth1\naddr add {own}/{host} dev eth1\nroute add {first} dev eth1\n\
             route add {default} via {first} dev eth1 metric 10\n\
             route add {default} via {second} dev eth2 metric 20"
        ))
        .unwrap();
}

/// Spoke1's second uplink comes, without a route.
fn second_uplink(lab: &Lab) {
    let spoke1 = &lab.node("spoke1").ns;
    lab.switch
        .ip(&format!(
            "link add second type veth peer name eth2 netns {}\nlink set second up\naddr add {} dev second",
            spoke1.name,
            assigned(lab, 2, 254)
        ))
        .unwrap();
    spoke1.ip(&format!("link set eth2 up\naddr add {} dev eth2", assigned(lab, 2, 2))).unwrap();
}

/// The spoke's own address is not configured, or with these options.
fn own(node: &Node, options: &str) {
    let nbma = format!("\toption nbma '{}'\n", node.nbma);
    node.edit_config(|text| text.replace(&nbma, options)).unwrap();
}

/// The address a VXLAN device sends from.
fn local(node: &Node, device: &str) -> String {
    let text = show(node, device);
    text.split(" local ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap_or_default().to_owned()
}

/// The hub has a port for spoke1's other address, and not the old one.
fn wait_other_port(lab: &Lab, before: &std::collections::BTreeMap<String, u32>) {
    let hub = lab.node("hub");
    wait("the hub has another port and not the old one", || {
        let after = hub.ports().unwrap();
        after.len() == 2 && after.keys().ne(before.keys())
    });
}

/// Two uplinks, and only the default route moves. From the old address nobody can be told any more.
#[test]
fn only_the_default_route_moves() {
    in_both(|lab| {
        two_uplinks(lab);
        own(lab.node("spoke1"), "");
        lab.start_all().unwrap();
        all_is_well(lab);
        let before = lab.node("hub").ports().unwrap();
        let spoke1 = lab.node("spoke1");
        let device = spoke1.ns.ifindex("tunnel2").unwrap();
        let pings = Ping::start(&lab.host("vm1").ns, Echoes::to(ip(inside(11)), 10_000, 20)).unwrap();
        let changed = now();
        spoke1.ns.ip(&format!("route del default via {} dev eth1", at(lab, 0, 254))).unwrap();
        wait_other_port(lab, &before);
        let took = now() - changed;
        wait("it says so", || status(spoke1).contains(&at(lab, 2, 2)));
        all_is_well(lab);
        let pinged = pings.stop().unwrap();
        let back = pinged.first_reply_after(changed).map(|at| at - changed);
        println!("another port after {took:?}; {pinged}; the first reply after {back:?}");
        assert!(took < within(1), "it took {took:?}");
        assert!(back.is_some_and(|back| back < within(1)), "{pinged}, after {back:?}");
        assert_eq!(spoke1.ns.ifindex("tunnel2"), Ok(device), "it has another address, and is the same device");
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
        hub.ns.ip("addr add 11.0.0.1/24 dev br-test").unwrap();
        let ports = hub.ports().unwrap();
        let to_hub = Echoes::to(ip(inside(1)), 10_000, 20);
        let pings = Ping::start(&lab.host("vm1").ns, to_hub).unwrap();
        wait("the hub answers", || ping(&lab.host("vm1").ns, Echoes::to(ip(inside(1)), 1, 20)).unwrap().none_lost());
        hub.ns.ip(&format!("addr add {} dev eth1", assigned(lab, 0, 9))).unwrap();
        for (node, option) in [("hub", "nbma"), ("spoke1", "address"), ("spoke2", "address")] {
            let node = lab.node(node);
            let line = |address: &str| format!("option {option} '{address}'");
            node.edit_config(|text| text.replace(&line(&old), &line(&new))).unwrap();
            node.signal(libc::SIGHUP).unwrap();
        }
        let registered = format!("registered with hub {new}");
        for spoke in lab.spokes() {
            wait("it is registered there", || spoke.log_text().contains(&registered));
        }
        let locals: Vec<String> = ports.keys().map(|port| local(hub, port)).collect();
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
            wait("it is registered there", || spoke.log_text().contains(&format!("registered with hub {new}")));
        }
        let hub = lab.node("hub");
        assert!(ports.keys().all(|port| local(hub, port) == new));
        assert_eq!(hub.ports().unwrap(), ports, "the same devices");
        dmevpn(lab.node("spoke1"), &["flush"]);
        all_is_well(lab);
    });
}
