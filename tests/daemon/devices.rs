//! The user's own VXLAN devices, right ones and wrong ones; bridges and devices that come and go.

use super::*;

/// An alias is anybody's to set: it makes no device of another kind ours.
#[test]
fn a_foreign_device_with_our_mark() {
    in_small(plan(), |lab| {
        let foreign = |node: &str, name: &str, alias: &str| {
            let veth = format!("link add {name} type veth peer name peer\nlink set {name} alias '{alias}'");
            lab.node(node).ns.ip(&veth).unwrap();
            lab.node(node).ns.ifindex(name).unwrap()
        };
        let shared = foreign("hub", "other", "dmevpn vn=test spokes");
        let device = foreign("spoke1", "tunnel2", "dmevpn vn=test");
        lab.start("hub").unwrap();
        lab.start("spoke1").unwrap();
        lab.start("spoke2").unwrap();
        wait_status(lab.node("spoke1"), "'tunnel2' is not a VXLAN device");
        wait_status(lab.node("hub"), "1 registered");
        assert_eq!(lab.node("hub").ns.ifindex("other").unwrap(), shared);
        assert_eq!(lab.nodes.get_mut("spoke1").unwrap().stop(), Ok(Some(0)));
        assert_eq!(lab.node("spoke1").ns.ifindex("tunnel2").unwrap(), device);
    });
}
use lab::nodes::bridge_mac;
use lab::text_of_mac;
use lab::traffic::{BROADCAST, Sender, experiment};

// The user's own devices.

#[test]
fn l2miss_on_a_device_of_the_users() {
    in_small(plan(), |lab| {
        let hub = lab.node("hub").nbma;
        for (spoke, vni) in [("spoke1", 100), ("spoke2", 101)] {
            let node = lab.node(spoke);
            make_tunnel(node, &format!("id {vni} dstport 4789 nolearning l2miss"), "br-test");
            node.ns
                .bridge(&format!("fdb append ff:ff:ff:ff:ff:ff dev tunnel2 dst {hub} self permanent"))
                .unwrap();
            node.edit_config(|text| text.replace("'learn'", "'l2miss'")).unwrap();
        }
        for node in ["hub", "spoke1", "spoke2"] {
            lab.start(node).unwrap();
        }
        for spoke in ["spoke1", "spoke2"] {
            let node = lab.node(spoke);
            wait(
                "broadcasts go to the hub's port",
                || matches!(destinations(node, "tunnel2", BROADCAST)[..], [(Some(to), Some(_))] if to == hub),
            );
        }
        wait("two ports", || lab.node("hub").ports().unwrap().len() == 2);
        let index = lab.node("spoke1").ns.ifindex("tunnel2").unwrap();
        // A frame that is missed is lost: the first ARP reply, and a second later what waited for it.
        let pinged = ping(&lab.host("vm1").ns, Echoes::to(ip(inside(11)), 30, 100)).unwrap();
        assert!(pinged.echoes[15..].iter().all(|e| e.reply.is_some()), "{pinged}");
        wait_shortcut(lab);
        let pinged = ping_spoke2(lab, 20);
        assert!(pinged.none_lost(), "{pinged}");

        let spoke1 = lab.nodes.get_mut("spoke1").unwrap();
        assert_eq!(spoke1.stop(), Ok(Some(0)));
        assert_eq!(spoke1.ns.ifindex("tunnel2"), Ok(index), "the user's device");
        assert_eq!(external(spoke1, "tunnel2"), [""; 0]);
        let left = destinations(spoke1, "tunnel2", BROADCAST);
        assert!(left.iter().all(|(to, _)| *to == Some(hub)) && left.len() == 1, "{left:?}");
    });
}

#[test]
fn learn_on_a_device_of_the_users() {
    in_small(plan(), |lab| {
        let hub = lab.node("hub").nbma;
        make_tunnel(lab.node("spoke1"), &format!("id 100 remote {hub} dstport 4789 nolearning"), "br-test");
        let index = lab.node("spoke1").ns.ifindex("tunnel2").unwrap();
        lab.start_all().unwrap();
        wait(
            "one default, the hub's port",
            || matches!(destinations(lab.node("spoke1"), "tunnel2", [0; 6])[..], [(Some(to), Some(_))] if to == hub),
        );
        all_is_well(lab);
        // What the user put there stays, whatever the daemon learns.
        let (spoke1, mac) = (lab.node("spoke1"), text_of_mac(BRIDGE2));
        dmevpn(spoke1, &["flush"]);
        wait("no shortcut", || spoke1.shortcuts("test", BRIDGE2).unwrap().is_empty());
        spoke1.ns.bridge(&format!("fdb add {mac} dev tunnel2 dst 10.0.0.3 vni 101 self permanent")).unwrap();
        let users = spoke1.shortcuts("test", BRIDGE2).unwrap();
        assert!(ping_spoke2(lab, 10).none_lost());
        wait("it is learned", || {
            let macs = String::from_utf8(dmevpn(spoke1, &["macs"]).stdout).unwrap();
            macs.lines().any(|l| l.contains(&mac))
        });
        assert_eq!(spoke1.shortcuts("test", BRIDGE2).unwrap(), users);
        dmevpn(spoke1, &["flush"]);
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(spoke1.shortcuts("test", BRIDGE2).unwrap(), users);

        let spoke1 = lab.nodes.get_mut("spoke1").unwrap();
        assert_eq!(spoke1.stop(), Ok(Some(0)));
        assert_eq!(spoke1.ns.ifindex("tunnel2"), Ok(index), "the user's device");
        assert_eq!(external(spoke1, "tunnel2"), [""; 0]);
        assert_eq!(spoke1.shortcuts("test", BRIDGE2).unwrap(), users);
    });
}

/// Starts with a device that cannot be used; `words` must say why. Then the user makes a right one.
fn wrong_device(options: &str, bridge: &str, words: &str) {
    in_small(plan(), |lab| {
        let spoke1 = lab.node("spoke1");
        spoke1.ns.ip("link add br-else type bridge mcast_snooping 0\nlink set br-else up").unwrap();
        make_tunnel(spoke1, options, bridge);
        let look = |node: &Node| {
            let details = show(node, "tunnel2");
            let own = fdb::dump(&node.ns, "tunnel2").unwrap().into_iter().filter(|e| e.own);
            // Behind that word there are a bridge's timers.
            (details.split("bridge_slave").next().map(str::to_owned), own.collect::<Vec<_>>())
        };
        let before = look(spoke1);
        for node in ["hub", "spoke1", "spoke2"] {
            lab.start(node).unwrap();
        }
        let spoke1 = lab.node("spoke1");
        wait_status(spoke1, words);
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(look(spoke1), before, "nothing is touched");
        // One after the other, as from a user's shell: the daemon must not be quicker.
        spoke1.ns.ip("link del tunnel2").unwrap();
        wait_status(spoke1, "is gone");
        make_tunnel(spoke1, "id 100 dstport 4789 nolearning", "br-test");
        lab.wait_connected(SOON).unwrap();
        all_is_well(lab);
        assert!(!status(lab.node("spoke1")).contains(words), "{}", status(lab.node("spoke1")));
    });
}

#[test]
fn a_device_that_learns_by_itself() {
    wrong_device("id 100 dstport 4789", "br-test", "learns by itself");
}

#[test]
fn a_device_with_another_vni() {
    wrong_device("id 77 dstport 4789 nolearning", "br-test", "has VNI 77, option vni says 100");
}

#[test]
fn a_device_with_another_port() {
    wrong_device(
        "id 100 dstport 4790 nolearning",
        "br-test",
        "uses UDP port 4790, option udp_port says 4789",
    );
}

#[test]
fn a_device_in_another_bridge() {
    wrong_device("id 100 dstport 4789 nolearning", "br-else", "is a port of another bridge than 'br-test'");
}

#[test]
fn a_device_is_taken_to_another_bridge_and_back() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        let spoke1 = lab.node("spoke1");
        spoke1
            .ns
            .ip("link add br-else type bridge\nlink set br-else up\nlink set tunnel2 master br-else")
            .unwrap();
        wait_status(spoke1, "is a port of another bridge than 'br-test'");
        spoke1.ns.ip("link set tunnel2 master br-test").unwrap();
        lab.wait_connected(SOON).unwrap();
        wait_status(spoke1, "valid for");
        all_is_well(lab);
    });
}

// Devices come and go.

#[test]
fn a_bridge_comes_late_and_again() {
    in_small(plan(), |lab| {
        lab.node("spoke1").ns.ip("link del br-test").unwrap();
        for node in ["hub", "spoke1", "spoke2"] {
            lab.start(node).unwrap();
        }
        for _ in 0..2 {
            let spoke1 = lab.node("spoke1");
            wait_status(spoke1, "bridge 'br-test' does not exist");
            let mac = text_of_mac(bridge_mac(1, 0));
            spoke1
                .ns
                .ip(&format!(
                    "link add br-test address {mac} type bridge mcast_snooping 0\n\
                     link set br-test up\nlink set vm1 master br-test"
                ))
                .unwrap();
            lab.wait_connected(SOON).unwrap();
            wait_status(spoke1, "valid for");
            all_is_well(lab);
            spoke1.ns.ip("link del br-test").unwrap();
        }
        wait_status(lab.node("spoke1"), "bridge 'br-test' does not exist");
    });
}

#[test]
fn somebody_deletes_devices() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        let (hub, spoke1) = (lab.node("hub"), lab.node("spoke1"));

        let index = spoke1.ns.ifindex("tunnel2").unwrap();
        spoke1.ns.ip("link del tunnel2").unwrap();
        wait("the tunnel is back", || spoke1.ns.ifindex("tunnel2").is_ok_and(|i| i != index));
        lab.wait_connected(SOON).unwrap();
        wait_status(spoke1, "valid for");
        all_is_well(lab);

        let ports = hub.ports().unwrap();
        for (port, index) in &ports {
            hub.ns.ip(&format!("link del {port}")).unwrap();
            wait("the port is back", || hub.ports().unwrap().get(port).is_some_and(|i| i != index));
        }
        let pinged = ping(&lab.host("vm1").ns, Echoes::to(ip(inside(11)), 20, 20)).unwrap();
        assert!(pinged.none_lost(), "{pinged}");
        // What is unknown passes the hub again.
        let seen = lab::capture::Capture::start(&lab.node("spoke2").ns, "tunnel2").unwrap();
        let sender = Sender::new(&lab.host("vm1").ns, "eth0").unwrap();
        wait("a broadcast passes the hub", || {
            sender.send(&experiment(BROADCAST, VM1, 7, 60)).unwrap();
            std::thread::sleep(Duration::from_millis(50));
            seen.count(|f| f.ethertype() == lab::traffic::EXPERIMENT && !f.outgoing) > 0
        });

        hub.ns.ip("link del br-test").unwrap();
        wait("the hub's bridge is back", || hub.ns.has("br-test"));
        std::thread::sleep(Duration::from_millis(300));
        seen.clear();
        wait("a broadcast passes the hub's new bridge", || {
            sender.send(&experiment(BROADCAST, VM1, 8, 60)).unwrap();
            std::thread::sleep(Duration::from_millis(50));
            seen.count(|f| f.ethertype() == lab::traffic::EXPERIMENT && !f.outgoing) > 0
        });
        all_is_well(lab);
    });
}

// VLANs: kernels that filter them are in tests/qemu.

#[test]
fn option_vlan_on_a_bridge_that_does_not_filter() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        let without = "option bridge 'br-test'";
        let with = "option bridge 'br-test'\n\toption vlan '10'";
        let spoke1 = lab.node("spoke1");
        let index = spoke1.ns.ifindex("tunnel2").unwrap();
        let is_up = || show(spoke1, "tunnel2").contains(",UP");
        spoke1.edit_config(|text| text.replace(without, with)).unwrap();
        assert_eq!(dmevpn(spoke1, &["reload"]).status.code(), Some(0));
        wait_status(spoke1, "bridge 'br-test' does not filter VLANs");
        assert!(!is_up() && ping_spoke2(lab, 3).echoes.iter().all(|e| e.reply.is_none()), "nothing passes");
        spoke1.ns.ip("link set tunnel2 up").unwrap();
        wait("it is switched off again", || !is_up());
        assert_eq!(spoke1.ns.ifindex("tunnel2"), Ok(index));
        spoke1.edit_config(|text| text.replace(with, without)).unwrap();
        assert_eq!(dmevpn(spoke1, &["reload"]).status.code(), Some(0));
        wait_status(spoke1, "registered for");
        all_is_well(lab);

        let hub = lab.node("hub");
        hub.edit_config(|text| text.replace(without, with)).unwrap();
        assert_eq!(dmevpn(hub, &["reload"]).status.code(), Some(0));
        wait_status(hub, "bridge 'br-test' does not exist");
        assert!(hub.ns.ifindex("br-test").is_err(), "the bridge it had made is gone");
        hub.ns.ip("link add br-test up type bridge").unwrap();
        wait_status(hub, "bridge 'br-test' does not filter VLANs");
        assert_eq!(hub.ports().unwrap().len(), 0);
    });
}
