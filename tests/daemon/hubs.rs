//! A spoke of two hubs: it is at one of them, and at the other one once that is gone.

use super::*;
use lab::mac;
use lab::traffic::Ping;

/// A host at the second hub.
const VM9: MacBytes = [0x52, 0x54, 0, 0, 0, 0x29];
/// The uses of the way to the hub are looked at so often; it is probed faster from then on.
const SEEN_IN_USE: Duration = Duration::from_secs(6);

/// vm1 -- spoke1 -- hub == hub2 -- vm9: the hubs are peers. All run.
fn with_two(scene: impl FnOnce(&mut Lab)) {
    in_small(plan(), |lab| {
        lab.add_second_hub(vec![test_vn(0)]).unwrap();
        lab.link_hubs().unwrap();
        lab.start_all().unwrap();
        wait("the bridge", || lab.node("hub2").ns.has("br-test"));
        lab.add_host("vm9", "hub2", "br-test", VM9, inside(29)).unwrap();
        wait_status(lab.node("spoke1"), "dc1 in use, dc2 answered");
        scene(lab);
    });
}

fn talk(lab: &Lab) -> Ping {
    let vm1 = &lab.host("vm1").ns;
    wait("the first answer", || ping(vm1, Echoes::to(ip(inside(29)), 1, 10)).unwrap().none_lost());
    let stream = Ping::start(vm1, Echoes::to(ip(inside(29)), 100_000, 10)).unwrap();
    std::thread::sleep(SEEN_IN_USE);
    stream
}

/// How many spokes a hub has a port for.
fn served(lab: &Lab, hub: &str) -> usize {
    lab.spokes().filter(|spoke| lab.node(hub).serves(spoke.nbma)).count()
}

#[test]
fn a_hub_whose_machine_vanishes_is_left_within_four_and_a_half_seconds() {
    with_two(|lab| {
        wait("all are at the first", || served(lab, "hub") == 2);
        assert_eq!(served(lab, "hub2"), 0, "who stands by keeps nothing");
        let stream = talk(lab);
        lab.reboot_hub().unwrap();
        wait_status(lab.node("spoke1"), "dc2 in use");
        wait("pings are answered", || {
            ping(&lab.host("vm1").ns, Echoes::to(ip(inside(29)), 1, 20))
                .is_ok_and(|pinged| pinged.none_lost())
        });
        std::thread::sleep(Duration::from_secs(1));
        let pinged = stream.stop().unwrap();
        let gap = pinged.longest_gap();
        println!("{pinged}, longest gap {} ms", gap.as_millis());
        assert!(gap < Duration::from_millis(4500) * lab::patience(), "{gap:?}");
        let said = status(lab.node("spoke1"));
        assert!(
            said.contains("spoke of dc2") && said.contains("frames did not get to the one before"),
            "{said}"
        );
        wait("both are at the second", || served(lab, "hub2") == 2);
        let json = String::from_utf8(dmevpn(lab.node("spoke1"), &["status", "--json"]).stdout).unwrap();
        documented::check("status", &serde_json::from_str(&json).unwrap());
    });
}

#[test]
fn a_hub_sends_its_spokes_away_and_hardly_anything_is_lost() {
    with_two(|lab| {
        let (hub, spoke1) = (lab.node("hub"), lab.node("spoke1"));
        let stream = talk(lab);
        let said = dmevpn(hub, &["drain", "test"]);
        assert!(said.status.success(), "{said:?}");
        assert!(status(hub).contains("sent away, those that have another hub"), "{}", status(hub));
        wait_status(spoke1, "dc2 in use");
        wait("all have left", || (served(lab, "hub"), served(lab, "hub2")) == (0, 2));
        std::thread::sleep(Duration::from_secs(1));
        let pinged = stream.stop().unwrap();
        println!("{pinged}, longest gap {} ms", pinged.longest_gap().as_millis());
        // The old hub may take the port away before the spoke's kernel knows of the new one.
        assert!(pinged.echoes.len() - pinged.answered() <= 2 && pinged.doubled == 0, "{pinged}");
        assert!(status(spoke1).contains("the one before sends its spokes away"), "{}", status(spoke1));
        let said = dmevpn(spoke1, &["drain", "test"]);
        assert!(
            !said.status.success() && String::from_utf8_lossy(&said.stderr).contains("no hub of VN"),
            "{said:?}"
        );
    });
}

/// Hosts at the first hub and at the second.
const AT_HUBS: [(&str, &str, u8); 2] = [("vm8", "hub", 28), ("vm9", "hub2", 29)];

/// The hub's daemon is upgraded, and later there is none for a while. What goes by the hub all the same loses nothing, and no
/// spoke goes to the other one.
#[test]
fn a_hub_without_a_daemon_for_a_moment_keeps_its_spokes_and_loses_nothing() {
    in_small(plan(), |lab| {
        lab.add_second_hub(vec![test_vn(0)]).unwrap();
        lab.link_hubs().unwrap();
        lab.start_all().unwrap();
        for (host, hub, n) in AT_HUBS {
            wait("the bridge", || lab.node(hub).ns.has("br-test"));
            lab.add_host(host, hub, "br-test", mac(n.into()), inside(n)).unwrap();
        }
        for spoke in lab.spokes() {
            wait_status(spoke, "dc1 in use, dc2 answered");
        }
        let mut stations = vec![28, 29];
        if paths::can_block() {
            // What goes to the other site goes by the hub, too.
            let (spoke1, spoke2) = (lab.node("spoke1"), lab.node("spoke2"));
            spoke2.wall(&format!("ip saddr {} udp dport 4789 drop", spoke1.nbma)).unwrap();
            stations.push(11);
        }
        let vm1 = lab.host("vm1").ns.borrow();
        let reach = |n| ping(&vm1, Echoes::to(ip(inside(n)), 3, 10)).unwrap().none_lost();
        wait("all stations", || stations.iter().all(|n| reach(*n)));
        let start = |n: &u8| Ping::start(&vm1, Echoes::to(ip(inside(*n)), 60_000, 1)).unwrap();
        let streams: Vec<Ping> = stations.iter().map(start).collect();
        std::thread::sleep(SEEN_IN_USE);
        let ports = lab.node("hub").ports().unwrap();
        let is_by_the_hub = |lab: &Lab| {
            let (spoke1, hub) = (lab.node("spoke1"), Some(lab.node("hub").nbma));
            let mut ways =
                [mac(28), mac(29), BRIDGE2].into_iter().flat_map(|to| destinations(spoke1, "tunnel2", to));
            ways.all(|(to, _)| to == hub)
        };
        assert!(is_by_the_hub(lab), "{}", status(lab.node("spoke1")));
        lab.nodes.get_mut("hub").unwrap().hand_over().unwrap();
        lab.start("hub").unwrap();
        wait_status(lab.node("hub"), "2 registered");
        lab.nodes.get_mut("hub").unwrap().kill().unwrap();
        std::thread::sleep(Duration::from_millis(1500));
        lab.start("hub").unwrap();
        wait_status(lab.node("hub"), "2 registered");
        // Longer than it takes to be sure that a hub is gone.
        std::thread::sleep(Duration::from_secs(4));
        assert!(is_by_the_hub(lab), "{}", status(lab.node("spoke1")));
        for (n, stream) in stations.iter().zip(streams) {
            let pinged = stream.stop().unwrap();
            println!("to {}: {pinged}", inside(*n));
            assert!(pinged.none_lost(), "to {}: {pinged}", inside(*n));
        }
        assert_eq!(lab.node("hub").ports().unwrap(), ports, "the same devices");
        let hub2 = lab.node("hub2");
        for spoke in lab.spokes() {
            assert!(!spoke.log_text().contains(&format!("registered with hub {}", hub2.nbma)));
            assert!(!hub2.serves(spoke.nbma), "{} went to the other hub", spoke.name);
        }
    });
}
