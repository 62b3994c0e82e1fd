//! MACs that move to and fro, and sites that are connected beside the tunnel. A cable between two spokes' sites is a point of
//! the lab's.

use super::*;
use lab::capture::Capture;
use lab::mac;
use lab::scenes::{flooded, is_slow};
use lab::traffic::{Sender, gratuitous_arp};
use std::sync::atomic::{AtomicBool, Ordering};

const ALL: Option<[bool; 3]> = Some([true; 3]);
const NOTHING: Option<[bool; 3]> = Some([false; 3]);

/// Both of a redundant pair say that they are active, one at each site: told as what it is, and nothing is cut. Nor by who
/// sends what looks like a loop frame.
#[test]
fn two_stations_with_one_mac_are_no_loop() {
    in_small(plan(), |lab| {
        lab.add_host("vm2", "spoke2", "br-test", mac(0x20), inside(20)).unwrap();
        lab.start_all().unwrap();
        all_is_well(lab);
        let (spoke1, spoke2) = (lab.node("spoke1"), lab.node("spoke2"));
        // Loop frames come out of the other site's tunnel, and by no port of their own site's but that one.
        let heard = Capture::start(&lab.host("vm2").ns, "eth0").unwrap();
        let is_frame = |f: &lab::capture::Frame| {
            !f.outgoing && f.bytes.get(12..18) == Some(&[0x88, 0xb5, 2, 0x64, 0x6d, 2])
        };

        let shared = mac(0x5e01);
        let senders = ["vm1", "vm2"].map(|host| Sender::new(&lab.host(host).ns, "eth0").unwrap());
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    for sender in &senders {
                        sender.send(&gratuitous_arp(shared, inside(99))).unwrap();
                        std::thread::sleep(Duration::from_millis(100));
                    }
                }
            });
            let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                for node in ["hub", "spoke1", "spoke2"] {
                    wait_status(lab.node(node), "52:54:00:00:5e:01 moves to and fro, between");
                }
                wait("loop frames", || heard.count(is_frame) >= 2);
                // One that is replayed, and what is nearly one.
                let old = heard.first(|f| is_frame(f).then(|| f.bytes.clone())).unwrap();
                std::thread::sleep(Duration::from_secs(5));
                let mut nearly = old.clone();
                nearly[25] ^= 1;
                for frame in [
                    &old,
                    &nearly,
                    &old[..20].to_vec(),
                    &old[..14].to_vec(),
                    &[old.clone(), old.clone()].concat(),
                ] {
                    senders[0].send(frame).unwrap();
                }
                std::thread::sleep(Duration::from_secs(1));
            }));
            is_over.store(true, Ordering::Relaxed);
            told.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
        for spoke in [spoke1, spoke2] {
            let log = spoke.log_text();
            assert_eq!(log.matches("moves to and fro").count(), 1, "{log}");
            assert!(!log.contains("loop: "), "{log}");
            assert_eq!(flooded(&spoke.ns, "tunnel2"), ALL);
        }
        let events = String::from_utf8(dmevpn(spoke1, &["events", "--json"]).stdout).unwrap();
        assert!(events.contains(r#""event":"mac_restless""#) && events.contains("and here"), "{events}");
    });
}

/// A cable from a spoke's site to the hub's: both leave the tunnel between them out of flooding, the hub no other. What a user set
/// on a device of his is there again when the daemon ends.
#[test]
fn a_cable_to_the_hubs_own_site() {
    in_small(plan(), |lab| {
        make_tunnel(lab.node("spoke2"), "id 101 dstport 4789 nolearning", "br-test");
        lab.node("spoke2").ns.bridge("link set dev tunnel2 mcast_flood off").unwrap();
        lab.start_all().unwrap();
        all_is_well(lab);
        let (hub, spoke2) = (lab.node("hub"), lab.node("spoke2"));
        let peer = format!("link add cable type veth peer name cable netns {}", spoke2.ns.name);
        hub.ns.ip(&peer).unwrap();
        if ![hub, spoke2].iter().all(|node| is_slow(&node.ns, "cable")) {
            return println!("not tested: no cable is slow here (sch_tbf, sch_netem)");
        }
        let watch = Capture::start(&hub.ns, "cable").unwrap();
        [hub, spoke2].iter().for_each(|node| node.ns.ip("link set cable up master br-test").unwrap());
        let says = Sender::new(&lab.host("vm1").ns, "eth0").unwrap();
        wait("they say so", || {
            says.send(&gratuitous_arp(VM1, inside(10))).unwrap();
            std::thread::sleep(Duration::from_millis(50));
            let is_told = |node: &Node, words: &str| node.log_text().contains(words);
            is_told(spoke2, "loop: what is sent by the tunnel comes back by port 'cable'")
                && is_told(
                    hub,
                    &format!("loop: what is sent by the tunnel to spoke {} vni 101 comes back", spoke2.nbma),
                )
        });
        let port_to = |vni: u32| {
            let ports = hub.ports().unwrap().into_keys();
            let leads =
                |port: &String| destinations(hub, port, [0; 6]).iter().any(|(_, to)| *to == Some(vni));
            ports.into_iter().find(leads).unwrap()
        };
        wait("the tunnel floods nothing", || {
            flooded(&spoke2.ns, "tunnel2") == NOTHING && flooded(&hub.ns, &port_to(101)) == NOTHING
        });
        assert_eq!(flooded(&hub.ns, &port_to(100)), ALL, "the other spoke hears all");
        std::thread::sleep(Duration::from_millis(500));
        watch.clear();
        std::thread::sleep(Duration::from_secs(2));
        let still = watch.count(|_| true);
        assert!(still < 40, "{still} frames in 2 s");
        wait_status(hub, "there is a loop");
        wait_status(spoke2, "find the cable or radio link by port 'cable'");
        let doctor = String::from_utf8(dmevpn(spoke2, &["doctor"]).stdout).unwrap();
        assert!(doctor.contains("loop"), "{doctor}");
        let metrics = String::from_utf8(dmevpn(spoke2, &["metrics"]).stdout).unwrap();
        assert!(
            metrics.contains("dmevpn_loop{vn=\"test\"} 1") && metrics.contains("dmevpn_loops_total 1"),
            "{metrics}"
        );

        // A port that becomes one anew floods all, but for a moment.
        spoke2.ns.ip("link set tunnel2 nomaster").unwrap();
        wait("it floods nothing again", || flooded(&spoke2.ns, "tunnel2") == NOTHING);

        assert_eq!(lab.nodes.get_mut("spoke2").unwrap().stop(), Ok(Some(0)));
        let spoke2 = lab.node("spoke2");
        wait("as the user had it", || flooded(&spoke2.ns, "tunnel2") == Some([true, false, true]));
        wait("nothing to be found at the hub", || lab.node("hub").log_text().contains("loop over"));
    });
}

/// A daemon that dies while there is a loop leaves a tunnel that floods nothing. The next one puts that right.
#[test]
fn a_tunnel_that_was_left_without_floods_has_them_again() {
    in_small(plan(), |lab| {
        make_tunnel(lab.node("spoke2"), "id 101 dstport 4789 nolearning", "br-test");
        lab.start_all().unwrap();
        let port = lab.node("hub").ports().unwrap().into_keys().next().unwrap();
        let tunnels = [("spoke1", "tunnel2"), ("spoke2", "tunnel2"), ("hub", port.as_str())];
        let leave_without = |lab: &mut Lab, name: &str, device: &str| {
            lab.nodes.get_mut(name).unwrap().kill().unwrap();
            let ns = &lab.node(name).ns;
            ns.bridge(&format!("link set dev {device} flood off mcast_flood off bcast_flood off")).unwrap();
            assert_eq!(flooded(ns, device), NOTHING);
        };
        for (node, device) in tunnels {
            leave_without(lab, node, device);
        }
        lab.start_all().unwrap();
        for (node, device) in tunnels {
            wait("it floods again", || flooded(&lab.node(node).ns, device) == ALL);
        }

        leave_without(lab, "spoke2", "tunnel2");
        let spoke2 = lab.node("spoke2");
        let left =
            spoke2.ns.command(program().path).arg("leave").arg("--config").arg(spoke2.config()).output();
        assert!(left.unwrap().status.success());
        assert_eq!(flooded(&spoke2.ns, "tunnel2"), ALL);
    });
}
