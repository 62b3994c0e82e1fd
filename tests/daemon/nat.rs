//! Routers that translate addresses between hub and spoke: nftables. Without it the tests are skipped.

use super::*;
use lab::mac;

/// Whether this machine can translate; says so if not.
fn behind_nat(lab: &mut Lab, name: &str) -> bool {
    let done = lab.put_behind_nat(name, [192, 168, 7, 2]);
    if let Err(why) = &done {
        println!("skipped: no NAT here: {why}");
    }
    done.is_ok()
}

fn advertise(node: &Node, address: &str) {
    let advertise = format!("list advertise '{address}'\n\toption holding_time");
    node.edit_config(|text| text.replace("option holding_time", &advertise)).unwrap();
}

/// The hub calls itself by an address that no spoke gets to. They go on sending to the one they know.
#[test]
fn a_hub_behind_nat() {
    for advertises in [false, true] {
        in_small(plan(), |lab| {
            if !behind_nat(lab, "hub") {
                return;
            }
            if advertises {
                advertise(lab.node("hub"), "10.0.0.1");
            }
            lab.start_all().unwrap();
            all_is_well(lab);
            // A station at the hub itself, which a spoke asks for, too.
            let vmh = mac(0x20);
            lab.add_host("vmh", "hub", "br-test", vmh, inside(20)).unwrap();
            let pinged = ping(&lab.host("vm1").ns, Echoes::to(ip(inside(20)), 10, 20)).unwrap();
            assert!(pinged.none_lost(), "{pinged}");
            let spoke1 = lab.node("spoke1");
            let uplink = destinations(spoke1, "tunnel2", [0; 6]);
            assert_eq!(uplink.first().and_then(|(to, _)| *to), Some(lab.node("hub").nbma));
            wait("the shortcut to the hub", || destinations(spoke1, "tunnel2", vmh) == uplink);
            let pinged = ping(&lab.host("vm1").ns, Echoes::to(ip(inside(20)), 10, 20)).unwrap();
            assert!(pinged.none_lost(), "{pinged}");
        });
    }
}

/// A spoke's address is translated: it is refused in words that say so, at both ends. With the address that it has for
/// others, which is its alone, it is a spoke like any other.
#[test]
fn a_spoke_behind_nat() {
    in_small(plan(), |lab| {
        if !behind_nat(lab, "spoke1") {
            return;
        }
        lab.start("hub").unwrap();
        lab.start("spoke1").unwrap();
        let (hub, spoke1) = (lab.node("hub"), lab.node("spoke1"));
        let words = "comes from 10.0.0.2, names 192.168.7.2: NAT between";
        for node in [spoke1, hub] {
            wait_status(node, words);
            wait("the log says it", || node.log_text().contains(words));
            let metrics = String::from_utf8(dmevpn(node, &["metrics"]).stdout).unwrap();
            let count =
                metrics.lines().find_map(|l| l.strip_prefix("dmevpn_registrations_translated_total "));
            assert_eq!(count, Some("1"));
        }
        assert!(!spoke1.log_text().contains("NAK 4"), "{}", spoke1.log_text());
        wait_status(spoke1, "set that as option 'advertise'");

        advertise(spoke1, "10.0.0.2");
        assert_eq!(dmevpn(spoke1, &["reload"]).status.code(), Some(0));
        wait_status(spoke1, "valid for");
        lab.start("spoke2").unwrap();
        lab.wait_connected(SOON).unwrap();
        all_is_well(lab);
        // The other one finds it, too.
        let vm1 = lab.node("spoke2").wait_shortcut("test", VM1, "10.0.0.2".parse().unwrap(), 100);
        assert!(vm1.0, "{}", vm1.1);
    });
}
