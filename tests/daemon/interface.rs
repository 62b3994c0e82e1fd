//! Frames leave by the interface of option `interface`, and without it not into the VN itself.

use super::ways::{at, default, in_both, own, second_uplink, two_uplinks, within};
use super::*;
use lab::now;

/// `interface` is the underlay, whatever the routes prefer: frames leave by it, too. It goes and comes with another index,
/// as at each PPPoE reconnect.
#[test]
fn the_interface_is_the_way_out() {
    in_both(|lab| {
        two_uplinks(lab, "spoke1");
        own(lab.node("spoke1"), "interface 'eth2'");
        lab.start_all().unwrap();
        all_is_well(lab);
        let device = lab.node("spoke1").ns.ifindex("tunnel2").unwrap();
        for _ in 0..2 {
            lab.switch.ip("link del second").unwrap();
            let spoke1 = lab.node("spoke1");
            wait_status(spoke1, "interface 'eth2' does not exist");
            second_uplink(lab, "spoke1");
            let there = now();
            wait("it is registered", || status(spoke1).contains("valid for"));
            let took = now() - there;
            println!("registered after {took:?}");
            assert!(took < within(3), "it took {took:?}");
            all_is_well(lab);
            assert_eq!(spoke1.ns.ifindex("tunnel2"), Ok(device), "the same device");
        }
    });
}

/// A hub's ports leave by its interface, but for IPv6 and with `kmod`, where the routes prefer another one: then it is told
/// what to do.
#[test]
fn a_hubs_interface_is_the_way_out() {
    in_both(|lab| {
        two_uplinks(lab, "hub");
        let (first, second) = (at(lab, 0, 1), at(lab, 2, 1));
        own(lab.node("hub"), "interface 'eth2'");
        for spoke in lab.spokes() {
            let to = format!("option address '{second}'");
            spoke.edit_config(|text| text.replace(&format!("option address '{first}'"), &to)).unwrap();
        }
        for node in ["hub", "spoke1", "spoke2"] {
            lab.start(node).unwrap();
        }
        for spoke in lab.spokes() {
            wait_status(spoke, "valid for");
        }
        let hub = lab.node("hub");
        let ipv6 = lab.plan.ipv6;
        if ipv6 || status(hub).contains("data plane kmod (") {
            wait_status(hub, "leave by 'eth1', not by the interface");
            let ip = if ipv6 { "ip -6" } else { "ip" };
            wait("it is told", || {
                hub.log_text().contains(&format!("{ip} rule add from {second} lookup TABLE"))
            });
            let gateway = at(lab, 2, 254);
            hub.ns.ip(&format!("route add {} via {gateway} dev eth2 table 100", default(lab))).unwrap();
            if hub.ns.rule(ipv6, &format!("rule add from {second} lookup 100")).is_err() {
                println!("skipped: this kernel has no rules");
                return;
            }
            let mended = now();
            wait("it is mended", || !status(hub).contains("leave by"));
            assert!(now() - mended < within(3), "it took {:?}", now() - mended);
        }
        all_is_well(lab);
        let pinged = ping_spoke2(lab, 10);
        assert!(pinged.none_lost(), "{pinged}");
        // Found again, and without the interface.
        lab.nodes.get_mut("hub").unwrap().kill().unwrap();
        lab.start("hub").unwrap();
        wait_status(lab.node("hub"), "2 registered");
        dmevpn(lab.node("spoke1"), &["flush"]);
        all_is_well(lab);
    });
}

/// The default gateway is learned by DHCP over the VN's own bridge. With `interface` nothing changes; without, it is said.
#[test]
fn a_default_route_into_the_own_tunnel() {
    in_both(|lab| {
        two_uplinks(lab, "spoke1");
        own(lab.node("spoke1"), "");
        lab.start_all().unwrap();
        all_is_well(lab);
        let spoke1 = lab.node("spoke1");
        let (address, gateway) = match lab.plan.ipv6 {
            true => ("fd11::50/64 nodad", "fd11::1"),
            false => ("11.0.0.50/24", "11.0.0.1"),
        };
        let route = format!("{} via {gateway} dev br-test metric 1", default(lab));
        // Of two default routes over IPv6 the kernel takes the one whose gateway answers.
        let there = format!("neigh add {gateway} lladdr 02:00:00:00:00:77 nud permanent dev br-test");
        spoke1.ns.ip(&format!("addr add {address} dev br-test\n{there}\nroute add {route}")).unwrap();
        let words = format!("the route to hub {} leads through 'br-test', into the VN itself", at(lab, 0, 1));
        wait_status(spoke1, &words);
        let line = format!("{words}; set option 'interface'");
        wait("it is told", || spoke1.log_text().contains(&line));
        let registered = |node: &Node| node.log_text().matches("registered with hub").count();
        assert_eq!(registered(spoke1), 1, "the way stays what it was");
        spoke1.ns.ip(&format!("route del {route}")).unwrap();
        wait("the way is free", || !status(spoke1).contains("into the VN"));
        assert_eq!(registered(spoke1), 1, "{}", spoke1.log_text());
        all_is_well(lab);

        own(spoke1, "interface 'eth1'");
        assert_eq!(dmevpn(spoke1, &["reload"]).status.code(), Some(0));
        spoke1.ns.ip(&format!("route add {route}")).unwrap();
        std::thread::sleep(Duration::from_millis(500));
        dmevpn(spoke1, &["flush"]);
        all_is_well(lab);
        assert!(!status(spoke1).contains("into the VN"), "{}", status(spoke1));
        // As after a reboot: it is there before the daemon.
        own(spoke1, "");
        lab.nodes.get_mut("spoke1").unwrap().stop().unwrap();
        lab.start("spoke1").unwrap();
        wait_status(lab.node("spoke1"), &words);
        assert!(!lab.node("spoke1").ns.has("tunnel2"), "nothing is made for such a way");
    });
}

/// A router whose only link is a port of the VN's bridge: that the underlay is there, too, has to be said.
#[test]
fn a_router_with_one_leg() {
    in_small(plan(), |lab| {
        own(lab.node("spoke1"), "");
        let into =
            "link set eth1 master br-test\naddr del 10.0.0.2/24 dev eth1\naddr add 10.0.0.2/24 dev br-test";
        lab.node("spoke1").ns.ip(into).unwrap();
        lab.start("hub").unwrap();
        lab.start("spoke1").unwrap();
        let spoke1 = lab.node("spoke1");
        wait_status(spoke1, "leads through 'br-test', into the VN itself");
        for option in ["interface 'br-test'", "nbma '10.0.0.2'"] {
            own(spoke1, option);
            assert_eq!(dmevpn(spoke1, &["reload"]).status.code(), Some(0));
            wait_status(spoke1, "valid for");
            assert!(!status(spoke1).contains("into the VN"), "{option}: {}", status(spoke1));
        }
    });
}
