//! Several hubs in a VN: one switch, many boxes.

use super::paths::{can_block, paths};
use super::*;
use lab::capture::Capture;
use lab::traffic::{BROADCAST, Sender, experiment, experiment_number};
use lab::{Res, mac};

/// The sites, and which hub each is registered with.
const SITES: [(u8, &str); 4] = [(1, "hub"), (2, "hub"), (3, "hub2"), (4, "hub3")];

/// The number of a broadcast that is the last one.
const LAST: u32 = 99;

fn host_mac(n: u8) -> MacBytes {
    mac(0x30 + u16::from(n))
}

/// Three hubs, four sites with a host each. All daemons run, and all hubs are linked.
fn three_hubs(scene: impl FnOnce(&mut Lab)) {
    three_hubs_with(|_| (), scene);
}

/// The same after something else was set.
fn three_hubs_with(set: impl FnOnce(&Lab), scene: impl FnOnce(&mut Lab)) {
    let Some(_turn) = my_turn() else { return };
    let mut lab = Lab::new(plan()).unwrap();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        build(&mut lab, set).unwrap();
        scene(&mut lab);
    }));
    if let Err(panic) = result {
        println!("{}", lab.log_ends());
        std::panic::resume_unwind(panic);
    }
}

fn build(lab: &mut Lab, set: impl FnOnce(&Lab)) -> Res {
    lab.add_hub(vec![test_vn(0)])?;
    lab.add_other_hub(2, vec![test_vn(0)])?;
    lab.add_other_hub(3, vec![test_vn(0)])?;
    lab.link_hubs()?;
    for (n, hub) in SITES {
        lab.add_spoke(n, vec![test_vn(100 + u32::from(n))])?;
        let (node, first) = (lab.node(&format!("spoke{n}")), lab.nbma(1));
        let address = |ip| format!("option address '{ip}'");
        node.edit_config(|text| text.replace(&address(first), &address(lab.node(hub).nbma)))?;
        lab.add_host(&format!("vm{n}"), &format!("spoke{n}"), "br-test", host_mac(n), inside(40 + n))?;
        let quiet = || fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
        lab.host(&format!("vm{n}")).ns.run(quiet)?.map_err(|e| e.to_string())?;
    }
    set(lab);
    let all: Vec<String> = lab.nodes.keys().cloned().collect();
    all.iter().try_for_each(|node| lab.start(node))?;
    for (n, _) in SITES {
        wait_status(lab.node(&format!("spoke{n}")), "registered");
    }
    are_linked(lab);
    Ok(())
}

/// Waits until all hubs are linked, and their ports pass frames: they do not while a hub has not said that it heard who came.
fn are_linked(lab: &Lab) {
    for hub in ["hub", "hub2", "hub3"].map(|hub| lab.node(hub)) {
        let is_open = |port: &String| show(hub, port).contains("bcast_flood on");
        wait("the links of the hubs", || links(hub).iter().filter(|port| is_open(port)).count() == 2);
    }
}

/// The ports of a hub that lead to other hubs.
fn links(hub: &Node) -> Vec<String> {
    let all = hub.ports().unwrap_or_default();
    all.into_keys().filter(|port| show(hub, port).contains("isolated on")).collect()
}

/// Each site hears one copy of a broadcast, and its sender none.
fn one_copy_each(lab: &Lab) {
    copies_of(lab, &[1, 2, 3, 4]);
}

fn copies_of(lab: &Lab, sites: &[u8]) {
    let listen = |n: u8| Capture::start(&lab.host(&format!("vm{n}")).ns, "eth0").unwrap();
    let ears: Vec<(u8, Capture)> = sites.iter().map(|n| (*n, listen(*n))).collect();
    for from in sites.iter().copied() {
        ears.iter().for_each(|(_, ear)| ear.clear());
        let sender = Sender::new(&lab.host(&format!("vm{from}")).ns, "eth0").unwrap();
        // Behind the last one there is nothing more to come.
        for number in [u32::from(from), LAST] {
            sender.send(&experiment(BROADCAST, host_mac(from), number, 64)).unwrap();
            std::thread::sleep(Duration::from_millis(50));
        }
        let heard = |ear: &Capture| ear.all(|frame| experiment_number(&frame.bytes, host_mac(from)));
        for (n, ear) in &ears {
            wait("a broadcast", || heard(ear).contains(&LAST));
            // Its own capture sees what it sends.
            assert_eq!(heard(ear), [u32::from(from), LAST], "of {from} at {n}");
        }
    }
}

fn pings(lab: &Lab, from: u8, to: u8, count: usize) -> Pinged {
    ping(&lab.host(&format!("vm{from}")).ns, Echoes::to(ip(inside(40 + to)), count, 20)).unwrap()
}

#[track_caller]
fn direct(lab: &Lab, from: u8, mac: MacBytes, to: u8) {
    let there = lab.node(&format!("spoke{to}"));
    let spoke = lab.node(&format!("spoke{from}"));
    let (is_there, what) = spoke.wait_shortcut("test", mac, there.nbma, 100 + u32::from(to));
    assert!(is_there, "{what}; {}", status(spoke));
}

#[test]
fn three_hubs_are_one_switch() {
    three_hubs(|lab| {
        one_copy_each(lab);
        // First contact across hubs, and the direct way.
        for (from, to) in [(1, 3), (3, 4), (4, 2)] {
            let pinged = pings(lab, from, to, 10);
            assert!(pinged.none_lost(), "{from} to {to}: {pinged}");
            direct(lab, from, host_mac(to), to);
            direct(lab, to, host_mac(from), from);
        }
        // A host goes to the site of another hub, and says so.
        let spoke3 = lab.node("spoke3");
        spoke3.ns.ip("link del vm3").unwrap();
        let vm3 = &lab.host("vm3").ns;
        lab.plug(vm3, "eth0", "spoke4", "br-test", "vm3", host_mac(3)).unwrap();
        vm3.ip(&format!("link set eth0 up\naddr add {}/24 dev eth0", inside(43))).unwrap();
        let hello = Sender::new(vm3, "eth0").unwrap();
        hello.send(&experiment(BROADCAST, host_mac(3), 1, 64)).unwrap();
        wait("the host at its new site", || pings(lab, 1, 3, 5).answered() == 5);
        direct(lab, 1, host_mac(3), 4);
        // Somebody takes away what keeps three hubs from being a ring.
        let hub = lab.node("hub");
        let before = links(hub);
        hub.ns.bridge(&format!("link set dev {} isolated off", before[0])).unwrap();
        hub.ns.ip(&format!("link set {} type bridge_slave isolated off", before[1])).unwrap();
        wait("isolated ports", || links(hub) == before);
        // A site goes to another hub, and nobody tells the old one but that.
        let (old, new) = (lab.nbma(1), lab.node("hub2").nbma);
        let before = lab.node("hub").served().unwrap();
        lab.nodes.get_mut("spoke1").unwrap().kill().unwrap();
        lab.node("spoke1")
            .edit_config(|text| text.replace(&format!("'{old}'"), &format!("'{new}'")))
            .unwrap();
        lab.start("spoke1").unwrap();
        let is_there = || status(lab.node("spoke1")).contains(&format!("{new}"));
        wait("the site at its new hub", || {
            is_there() && status(lab.node("spoke1")).contains("registered for")
        });
        are_linked(lab);
        copies_of(lab, &[1, 2, 4]);
        wait("the end of the old port", || lab.node("hub").served().is_ok_and(|n| n == before - 1));
        copies_of(lab, &[1, 2, 4]);
        // A spoke goes to another hub, whose bridge has not asked yet who listens there: it gets all multicast.
        let hub = lab.node("hub");
        let (spoke4, from) = (lab.node("spoke4"), lab.node("hub3").nbma);
        let before = hub.ports().unwrap();
        spoke4.edit_config(|text| text.replace(&from.to_string(), &hub.nbma.to_string())).unwrap();
        assert!(dmevpn(spoke4, &["reload"]).status.success());
        let is_new = |port: &&String| !before.contains_key(*port);
        let hears_all = |port: &String| show(hub, port).contains("mcast_router 3");
        wait("its port", || hub.ports().unwrap_or_default().keys().find(is_new).is_some_and(hears_all));
    });
}

/// The daemon of a hub is started again, and its ports go on; one that is gone for good has its port removed.
#[test]
fn a_hub_that_is_started_again_and_one_that_ends() {
    three_hubs(|lab| {
        let before = links(lab.node("hub2"));
        lab.nodes.get_mut("hub2").unwrap().hand_over().unwrap();
        lab.start("hub2").unwrap();
        wait_status(lab.node("hub2"), "up");
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!(links(lab.node("hub2")), before, "its ports stay");
        are_linked(lab);
        one_copy_each(lab);
        lab.nodes.get_mut("hub3").unwrap().kill().unwrap();
        let gone = wait_until(Duration::from_secs(30), || links(lab.node("hub")).len() == 1);
        assert!(gone, "{:?}", links(lab.node("hub")));
        lab.start("hub3").unwrap();
        let back = wait_until(Duration::from_secs(30), || links(lab.node("hub")).len() == 2);
        assert!(back, "{}", status(lab.node("hub3")));
    });
}

/// A hub that starts and finds no other one knows how many there were, but for one that is none any more.
#[test]
fn a_hub_that_starts_alone_knows_of_the_others() {
    three_hubs(|lab| {
        let file = lab.node("hub").socket().with_extension("state");
        let line = || {
            let text = fs::read_to_string(&file).unwrap_or_default();
            text.lines().find(|line| line.starts_with("hubs ")).map(str::to_owned)
        };
        // It is written once a minute at most, and at the end.
        for hub in ["hub", "hub2", "hub3"] {
            lab.nodes.get_mut(hub).unwrap().stop().unwrap();
        }
        assert_eq!(line().as_deref(), Some("hubs test 2 hub2 hub3"));
        // The second time it finds no ports either.
        for _ in 0..2 {
            lab.start("hub").unwrap();
            let is_alone = || status(lab.node("hub")).contains("linked to 0 of 2");
            assert!(wait_until(Duration::from_secs(30), is_alone), "{}", status(lab.node("hub")));
            lab.nodes.get_mut("hub").unwrap().stop().unwrap();
            assert_eq!(line().as_deref(), Some("hubs test 2 hub2 hub3"));
        }
        let hub = lab.nodes.get_mut("hub").unwrap();
        hub.edit_config(|text| text.replace("\tlist peer 'hub3'\n", "")).unwrap();
        lab.start("hub").unwrap();
        wait_status(lab.node("hub"), "linked to 0 of 1");
        lab.nodes.get_mut("hub").unwrap().stop().unwrap();
        assert_eq!(line().as_deref(), Some("hubs test 1 hub2"));
    });
}

/// A firewall between two hubs drops VXLAN: it is said, spokes of both meet at the lower one, and the link is back when
/// that is open.
#[test]
fn hubs_between_which_vxlan_does_not_pass() {
    if !can_block() {
        return;
    }
    // The third site has the first hub, too.
    let set = |lab: &Lab| {
        let other = format!("\nconfig hub 'dc9'\n\toption address '{}'\n", lab.node("hub").nbma);
        let both = "\tlist hub 'dc1'\n\tlist hub 'dc9'\n";
        lab.node("spoke3").edit_config(|text| text.replace("\tlist hub 'dc1'\n", both) + &other).unwrap();
    };
    three_hubs_with(set, |lab| {
        let (hub, hub2, spoke3) = (lab.node("hub"), lab.node("hub2"), lab.node("spoke3"));
        let path = |from: &Node, to: &Node, how: &str| {
            let said = paths(from);
            let row = said.lines().find(|line| line.contains(&to.nbma.to_string()));
            row.is_some_and(|row| row.contains(how))
        };
        wait("the paths are up", || path(hub, hub2, " up ") && path(hub2, hub, " up "));
        wait_status(spoke3, "dc1 in use, dc9 answered");
        hub.wall(&format!("ip saddr {} udp dport 4789 drop", hub2.nbma)).unwrap();
        let cut = "NHRP passes, VXLAN does not";
        wait("it is said", || path(hub, hub2, cut) && path(hub2, hub, cut));
        for (from, to) in [(hub, hub2), (hub2, hub)] {
            let told = format!("path to hub {}", to.nbma);
            let is_it = |line: &str| line.contains(&told) && line.contains(cut);
            assert!(from.log_text().lines().any(is_it), "{}", from.log_text());
            let said = status(from);
            assert!(said.contains("linked to 1 of 2 others") && said.contains("NHRP passes"), "{said}");
        }
        wait_status(spoke3, "dc9 in use");
        wait_status(spoke3, "the hubs are cut off from each other");
        wait("the sites meet", || pings(lab, 1, 3, 5).answered() == 5 && pings(lab, 3, 4, 5).answered() == 5);
        one_copy_each(lab);
        assert!(!spoke3.log_text().contains("refused"), "{}", spoke3.log_text());
        hub.no_wall().unwrap();
        wait("the paths are up again", || path(hub, hub2, " up ") && path(hub2, hub, " up "));
        wait("all is linked", || {
            [hub, hub2].iter().all(|hub| status(hub).contains("linked to 2 of 2 others"))
        });
        are_linked(lab);
        one_copy_each(lab);
    });
}
