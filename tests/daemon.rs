//! The real daemon on the real kernel, and what may happen to it: wrong devices, devices that come and go, new
//! configurations, clients and packets that make no sense. Each test has its own namespaces.
//!
//! They need root and iproute2; without root they say so and are skipped.
#![allow(clippy::disallowed_methods)]

mod lab;

use lab::nodes::{Lab, Node, Plan, Program, SOON, bridge_mac, other_vn, test_vn};
use lab::scenes::{BRIDGE2, VM1, inside, ip};
use lab::traffic::{BROADCAST, Echoes, Ping, Pinged, Sender, experiment, ping};
use lab::{MacBytes, fdb, now, sys, text_of_mac, wait_until};
use std::fs;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

fn program() -> Program {
    Program { path: PathBuf::from(env!("CARGO_BIN_EXE_dmevpn")), variable: None }
}

fn plan() -> Plan {
    Plan { program: Some(program()), ipv6: false, holding_time: 600, negative_time: 60 }
}

/// One network at a time, so that what is measured is not the machine's load; `None` without root.
fn my_turn() -> Option<MutexGuard<'static, ()>> {
    static TURN: Mutex<()> = Mutex::new(());
    if sys::is_root() {
        return Some(TURN.lock().unwrap_or_else(PoisonError::into_inner));
    }
    println!("skipped: network namespaces need root");
    None
}

/// vm1 11.0.0.10 -- spoke1 (VNI 100) -- hub -- spoke2 (VNI 101, 11.0.0.11 on its bridge). No daemon runs yet.
fn small(plan: Plan) -> Lab {
    let mut lab = Lab::new(plan).unwrap();
    lab.add_hub(vec![test_vn(0)]).unwrap();
    lab.add_spoke(1, vec![test_vn(100)]).unwrap();
    lab.add_spoke(2, vec![test_vn(101)]).unwrap();
    lab.node("spoke2").ns.ip("addr add 11.0.0.11/24 dev br-test").unwrap();
    lab.add_host("vm1", "spoke1", "br-test", VM1, inside(10)).unwrap();
    lab
}

/// Runs `scene` in a small network; what the daemons said is shown when it fails.
fn in_small(plan: Plan, scene: impl FnOnce(&mut Lab)) {
    let Some(_turn) = my_turn() else { return };
    let mut lab = small(plan);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| scene(&mut lab)));
    if let Err(panic) = result {
        println!("{}", lab.log_ends());
        std::panic::resume_unwind(panic);
    }
}

/// A command of the program at a node: all there is to know of how it went.
fn dmevpn(node: &Node, args: &[&str]) -> Output {
    let mut command = node.ns.command(program().path);
    command.args(args).arg("--socket").arg(node.socket()).output().unwrap()
}

fn status(node: &Node) -> String {
    let output = dmevpn(node, &["status"]);
    // The tables are wrapped: words count, not lines.
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn wait_status(node: &Node, words: &str) {
    let says = wait_until(SOON, || {
        std::thread::sleep(Duration::from_millis(50));
        status(node).contains(words)
    });
    assert!(says, "{} does not say '{words}' but: {}", node.name, status(node));
}

#[track_caller]
fn wait(what: &str, holds: impl FnMut() -> bool) {
    assert!(wait_until(SOON, holds), "not in time: {what}");
}

fn ping_spoke2(lab: &Lab, count: usize) -> Pinged {
    ping(&lab.host("vm1").ns, Echoes::to(ip(inside(11)), count, 20)).unwrap()
}

#[track_caller]
fn wait_shortcut(lab: &Lab) {
    let (there, what) = lab.node("spoke1").wait_shortcut("test", BRIDGE2, lab.node("spoke2").nbma, 101);
    assert!(there, "{what}");
}

/// Traffic works without a loss, and goes direct.
#[track_caller]
fn all_is_well(lab: &Lab) {
    let pinged = ping_spoke2(lab, 10);
    assert!(pinged.none_lost(), "{pinged}");
    wait_shortcut(lab);
}

/// The device's entries that a control plane made.
fn external(node: &Node, device: &str) -> Vec<String> {
    let entries = fdb::dump(&node.ns, device).unwrap();
    entries.iter().filter(|e| e.own && e.external).map(ToString::to_string).collect()
}

/// Where the device sends frames for this MAC.
fn destinations(node: &Node, device: &str, mac: MacBytes) -> Vec<(Option<IpAddr>, Option<u32>)> {
    let entries = fdb::dump(&node.ns, device).unwrap_or_default();
    entries.iter().filter(|e| e.own && e.mac == mac).map(|e| (e.dst, e.vni)).collect()
}

fn show(node: &Node, device: &str) -> String {
    let mut command = node.ns.command("ip");
    String::from_utf8(command.args(["-d", "link", "show", device]).output().unwrap().stdout).unwrap()
}

/// A user's own VXLAN device at a spoke.
fn make_tunnel(node: &Node, options: &str, bridge: &str) {
    let nbma = node.nbma;
    node.ns
        .ip(&format!(
            "link add tunnel2 mtu 1500 type vxlan local {nbma} {options}\nlink set tunnel2 master {bridge} up"
        ))
        .unwrap();
}

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
        wait_status(spoke1, "registered");
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
            wait_status(spoke1, "registered");
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
        wait_status(spoke1, "registered");
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

// New configurations.

fn registered(hub: &Node) -> usize {
    hub.ports().unwrap().len()
}

/// A spoke's section of the second VN.
const OTHER: &str = "\nconfig vn 'other'\n\toption vpn_id '2'\n\toption bridge 'br-other'\n\toption role 'spoke'\n\
     \toption vni '101'\n\toption vxlan 'tunnel3'\n\tlist hub 'dc1'\n";

#[test]
fn a_vn_is_added_and_removed() {
    let Some(_turn) = my_turn() else { return };
    let mut lab = Lab::new(plan()).unwrap();
    lab.add_hub(vec![test_vn(0), other_vn(0)]).unwrap();
    lab.add_spoke(1, vec![test_vn(100)]).unwrap();
    lab.add_spoke(2, vec![test_vn(101)]).unwrap();
    lab.node("spoke1").ns.ip("link add br-other type bridge mcast_snooping 0\nlink set br-other up").unwrap();
    lab.node("spoke2").ns.ip("addr add 11.0.0.11/24 dev br-test").unwrap();
    lab.add_host("vm1", "spoke1", "br-test", VM1, inside(10)).unwrap();
    lab.start_all().unwrap();
    all_is_well(&lab);

    let (hub, spoke1) = (lab.node("hub"), lab.node("spoke1"));
    let vm1 = &lab.host("vm1").ns;
    let index = spoke1.ns.ifindex("tunnel2").unwrap();
    let shortcut = spoke1.shortcuts("test", BRIDGE2).unwrap();
    let ports = hub.ports().unwrap();
    let pings = Ping::start(vm1, Echoes { count: 5000, ..Echoes::to(ip(inside(11)), 0, 10) }).unwrap();
    std::thread::sleep(Duration::from_millis(200));

    spoke1.edit_config(|text| text + OTHER).unwrap();
    spoke1.signal(libc::SIGHUP).unwrap();
    wait("tunnel3 is made", || spoke1.ns.has("tunnel3"));
    wait("the hub has a third port", || registered(hub) == 3);

    // A file that is wrong changes nothing.
    let good = fs::read_to_string(spoke1.config()).unwrap();
    spoke1.edit_config(|text| text.replace("option vni '100'", "option vni 'many'")).unwrap();
    let output = dmevpn(spoke1, &["reload"]);
    let said = String::from_utf8(output.stderr).unwrap();
    let line = 1 + good.lines().position(|l| l.contains("option vni '100'")).unwrap();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.starts_with(&format!("{}:{line}: ", spoke1.config().display())), "{said}");
    fs::remove_file(spoke1.config()).unwrap();
    let output = dmevpn(spoke1, &["reload"]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    spoke1.edit_config(|text| text).unwrap_err();
    fs::write(spoke1.config(), good).unwrap();
    assert!(status(spoke1).contains("other"), "the old file is in force");

    spoke1.edit_config(|text| text.replace(OTHER, "")).unwrap();
    assert_eq!(dmevpn(spoke1, &["reload"]).status.code(), Some(0));
    wait("tunnel3 is removed", || !spoke1.ns.has("tunnel3"));
    wait("the hub's third port goes", || registered(hub) == 2);
    assert!(!status(spoke1).contains("other"));

    // Another holding time is told to the hub.
    spoke1.edit_config(|text| text.replace("holding_time '600'", "holding_time '1200'")).unwrap();
    spoke1.signal(libc::SIGHUP).unwrap();
    spoke1.edit_config(|text| text.replace("option mtu '1500'", "option mtu '1400'")).unwrap();
    spoke1.signal(libc::SIGHUP).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    wait("the new MTU is in force", || show(spoke1, "tunnel2").contains("mtu 1400"));
    hub.edit_config(|text| text.replace("option mtu '1500'", "option mtu '1400'")).unwrap();
    hub.signal(libc::SIGHUP).unwrap();
    wait("the hub's ports have it too", || ports.keys().all(|port| show(hub, port).contains("mtu 1400")));

    let pinged = pings.stop().unwrap();
    assert!(pinged.none_lost(), "{pinged}\n{}", spoke1.log_text());
    assert_eq!(spoke1.ns.ifindex("tunnel2"), Ok(index));
    assert_eq!(spoke1.shortcuts("test", BRIDGE2).unwrap(), shortcut);
    assert_eq!(hub.ports().unwrap(), ports, "the first VN's ports");
}

#[test]
fn a_vn_gets_other_settings() {
    // Who asks in the wrong moment soon asks again.
    in_small(Plan { negative_time: 2, ..plan() }, |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        let (hub, spoke1) = (lab.node("hub"), lab.node("spoke1"));
        let change = |from: &str, to: &str| {
            spoke1.edit_config(|text| text.replace(from, to)).unwrap();
            assert_eq!(dmevpn(spoke1, &["reload"]).status.code(), Some(0));
        };
        let leads_to = |vni| {
            let spoke2 = lab.node("spoke2");
            let follows = wait_until(SOON, || {
                ping_spoke2(lab, 5).none_lost() && spoke2.has_shortcut("test", VM1, spoke1.nbma, vni)
            });
            assert!(follows, "{}", hub.log_text());
            wait("one port a spoke", || hub.ports().unwrap().len() == 2);
        };
        change("option vni '100'", "option vni '4242'");
        wait("the device has the new VNI", || show(spoke1, "tunnel2").contains("vxlan id 4242 "));
        leads_to(4242);
        change("option vxlan 'tunnel2'", "option vxlan 'elsewhere'");
        wait("the device has the new name", || spoke1.ns.has("elsewhere") && !spoke1.ns.has("tunnel2"));
        leads_to(4242);
        spoke1
            .ns
            .ip("link add br-new address 52:54:00:00:20:01 type bridge mcast_snooping 0\nlink set br-new up")
            .unwrap();
        change("option bridge 'br-test'", "option bridge 'br-new'");
        spoke1.ns.ip("link set vm1 master br-new").unwrap();
        leads_to(4242);
        change("option trigger 'learn'", "option trigger 'l2miss'");
        wait("the device reports misses", || show(spoke1, "elsewhere").contains(" l2miss "));
        // Its first frames are lost.
        ping_spoke2(lab, 5);
        leads_to(4242);
        let log = hub.log_text();
        let times = log.lines().filter(|l| l.contains("spoke up: 10.0.0.2")).count();
        assert_eq!(times, 5, "each change registers once:\n{log}");
    });
}

// Clients.

#[test]
fn control_socket() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        let spoke1 = lab.node("spoke1");
        let pid = spoke1.pid();

        // A second daemon.
        let mut second = spoke1.ns.command(program().path);
        let second = second.args(["daemon", "--config"]).arg(spoke1.config()).output().unwrap();
        let said = String::from_utf8([second.stderr, second.stdout].concat()).unwrap();
        assert_eq!(second.status.code(), Some(1), "{said}");
        assert!(said.contains("another daemon answers there"), "{said}");
        assert_eq!(dmevpn(spoke1, &["status"]).status.code(), Some(0), "the first one goes on");

        // Garbage of all lengths, and clients that say nothing.
        let silent: Vec<_> = (0..20).map(|_| UnixStream::connect(spoke1.socket()).unwrap()).collect();
        let mut number = 1u32;
        for length in (0..200).chain([4096, 70_000]) {
            let mut client = UnixStream::connect(spoke1.socket()).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            let octets: Vec<u8> = (0..length)
                .map(|_| {
                    number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (number >> 24) as u8
                })
                .collect();
            // It may hang up before all is written.
            let _ = client.write_all(&octets);
            let _ = client.shutdown(std::net::Shutdown::Write);
            let _ = client.read_to_end(&mut Vec::new());
        }

        // Monitors that hang up, and one that never reads.
        let mut monitors = Vec::new();
        for _ in 0..5 {
            let mut monitor = spoke1.ns.command(program().path);
            let monitor = monitor.arg("monitor").arg("--socket").arg(spoke1.socket());
            monitors.push(monitor.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
        }
        std::thread::sleep(Duration::from_millis(300));
        for mut monitor in monitors {
            monitor.kill().unwrap();
            monitor.wait().unwrap();
        }
        for _ in 0..3 {
            assert_eq!(dmevpn(spoke1, &["flush"]).status.code(), Some(0));
        }

        // Fifty at once.
        let clients: Vec<_> = (0..50)
            .map(|_| {
                let mut client = Command::new(program().path);
                let client = client.arg("status").arg("--socket").arg(spoke1.socket());
                client.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
            })
            .collect();
        for mut client in clients {
            assert_eq!(client.wait().unwrap().code(), Some(0));
        }
        all_is_well(lab);
        assert_eq!(lab.node("spoke1").pid(), pid);
        assert!(lab.node("spoke1").is_running());
        drop(silent);

        // What a killed daemon leaves is replaced.
        lab.nodes.get_mut("spoke1").unwrap().kill().unwrap();
        assert!(lab.node("spoke1").socket().exists());
        assert_eq!(dmevpn(lab.node("spoke1"), &["status"]).status.code(), Some(3));
        lab.start("spoke1").unwrap();
        wait_status(lab.node("spoke1"), "registered");
        let spoke1 = lab.nodes.get_mut("spoke1").unwrap();
        assert_eq!(spoke1.stop(), Ok(Some(0)));
        assert!(!spoke1.socket().exists());
    });
}

// A spoke's daemon.

#[test]
fn a_spoke_is_killed_and_started_again() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        let vm1 = lab.host("vm1").ns.borrow();
        let index = lab.node("spoke1").ns.ifindex("tunnel2");
        let watch = fdb::Monitor::start(&lab.node("spoke1").ns).unwrap();
        let pings = Ping::start(&vm1, Echoes { count: 5000, ..Echoes::to(ip(inside(11)), 0, 10) }).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        lab.nodes.get_mut("spoke1").unwrap().kill().unwrap();
        std::thread::sleep(Duration::from_millis(500));
        let started = now();
        lab.start("spoke1").unwrap();
        wait_status(lab.node("spoke1"), "registered");
        std::thread::sleep(Duration::from_secs(1));
        let pinged = pings.stop().unwrap();
        assert!(pinged.none_lost(), "{pinged}");
        assert_eq!(lab.node("spoke1").ns.ifindex("tunnel2"), index);
        let gone: Vec<_> =
            watch.changes().into_iter().filter(|c| !c.present && c.entry.own && c.at > started).collect();
        assert!(gone.is_empty(), "{gone:?}");
        assert_eq!(lab.node("spoke1").shortcuts("test", BRIDGE2).unwrap().len(), 1);
        let macs = String::from_utf8(dmevpn(lab.node("spoke1"), &["macs"]).stdout).unwrap();
        assert!(macs.lines().any(|l| l.contains("52:54:00:00:00:0b") && l.contains("10.0.0.3")), "{macs}");
    });
}

#[test]
fn a_quiet_spoke_sleeps() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        // Until the announcements and answers of the beginning are over.
        std::thread::sleep(Duration::from_secs(3));
        for name in ["spoke1", "hub"] {
            let pid = lab.node(name).pid().unwrap();
            let before = wakeups(pid);
            std::thread::sleep(Duration::from_secs(5));
            let woken = wakeups(pid) - before;
            assert!(woken <= 2, "{name} woke up {woken} times");
        }
    });
}

/// How often the threads of a process gave up the processor to wait for something.
fn wakeups(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    tasks.map(|task| number_in(&task.path().join("status"), "voluntary_ctxt_switches:")).sum()
}

fn number_in(path: &std::path::Path, key: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix(key)).unwrap_or_else(|| panic!("no {key}"));
    line.split_whitespace().next().unwrap().parse().unwrap()
}

// The way to the hub.

/// Lines for `/etc/hosts` in a namespace (`ip netns exec` puts the file there); they go when this is dropped.
struct Hosts(PathBuf);

impl Hosts {
    fn new(node: &Node, lines: &str) -> Hosts {
        let directory = PathBuf::from("/etc/netns").join(&node.ns.name);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("resolv.conf"), "").unwrap();
        let hosts = Hosts(directory);
        hosts.set(lines);
        hosts
    }

    /// In place: the file is mounted where the daemon is.
    fn set(&self, lines: &str) {
        fs::write(self.0.join("hosts"), format!("127.0.0.1 localhost\n{lines}\n")).unwrap();
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
        let _ = fs::remove_dir("/etc/netns"); // succeeds for the last one
    }
}

fn use_hub_name(node: &Node, name: &str) {
    node.edit_config(|text| text.replace("option address '10.0.0.1'", &format!("option address '{name}'")))
        .unwrap();
}

#[test]
fn a_hub_with_a_name() {
    in_small(plan(), |lab| {
        let hosts = Hosts::new(lab.node("spoke1"), "");
        use_hub_name(lab.node("spoke1"), "hub.test");
        for node in ["hub", "spoke1", "spoke2"] {
            lab.start(node).unwrap();
        }
        let spoke1 = lab.node("spoke1");
        wait("the look-up fails", || spoke1.log_text().contains("hub hub.test: "));
        // It comes to have two addresses; there is no way to the first.
        hosts.set("fd00::1 hub.test\n10.0.0.1 hub.test");
        wait_status(spoke1, "registered");
        all_is_well(lab);

        // Another name, that has no address yet: nothing of the old one is left.
        spoke1.edit_config(|text| text.replace("'hub.test'", "'other.test'")).unwrap();
        spoke1.signal(libc::SIGHUP).unwrap();
        wait("the new name is looked up", || spoke1.log_text().contains("hub other.test: "));
        assert!(!status(spoke1).contains("registered with"), "{}", status(spoke1));
        // And a third one, while the second is still looked up.
        spoke1.edit_config(|text| text.replace("'other.test'", "'third.test'")).unwrap();
        hosts.set("10.0.0.1 third.test");
        spoke1.signal(libc::SIGHUP).unwrap();
        lab.wait_connected(SOON).unwrap();
        wait_status(spoke1, "registered");
        all_is_well(lab);
    });
}

#[test]
fn a_hub_whose_name_gets_another_address() {
    in_small(plan(), |lab| {
        let hosts = Hosts::new(lab.node("spoke1"), "10.0.0.99 hub.test");
        use_hub_name(lab.node("spoke1"), "hub.test");
        for node in ["hub", "spoke1", "spoke2"] {
            lab.start(node).unwrap();
        }
        std::thread::sleep(Duration::from_millis(300));
        hosts.set("10.0.0.1 hub.test");
        let there = wait_until(Duration::from_secs(20), || {
            std::thread::sleep(Duration::from_millis(100));
            lab.node("hub").ports().unwrap().len() == 2
        });
        assert!(there, "{}", status(lab.node("spoke1")));
        all_is_well(lab);
    });
}

fn vpn_mode(mode: &str) {
    in_small(plan(), |lab| {
        for spoke in ["spoke1", "spoke2"] {
            let mode = format!("option address '10.0.0.1'\n\toption vpn_mode '{mode}'");
            lab.node(spoke).edit_config(|text| text.replace("option address '10.0.0.1'", &mode)).unwrap();
        }
        if mode == "none" {
            let default = "option role 'hub'\n\toption default '1'";
            lab.node("hub").edit_config(|text| text.replace("option role 'hub'", default)).unwrap();
        }
        lab.start_all().unwrap();
        all_is_well(lab);
    });
}

#[test]
fn vns_by_key() {
    vpn_mode("key");
}

#[test]
fn vns_without_a_name() {
    vpn_mode("none");
}

#[test]
fn the_address_of_a_spoke_changes() {
    in_small(plan(), |lab| {
        lab.node("spoke1")
            .edit_config(|text| text.replace("option nbma '10.0.0.2'", "option interface 'eth1'"))
            .unwrap();
        lab.start_all().unwrap();
        all_is_well(lab);
        let (hub, spoke1, spoke2) = (lab.node("hub"), lab.node("spoke1"), lab.node("spoke2"));
        wait("spoke2's shortcut", || spoke2.has_shortcut("test", VM1, "10.0.0.2".parse().unwrap(), 100));
        let before = hub.ports().unwrap();
        // As a DHCP client does it: the old one goes, the new one comes.
        spoke1.ns.ip("addr del 10.0.0.2/24 dev eth1").unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let changed = now();
        spoke1.ns.ip("addr add 10.0.0.77/24 dev eth1").unwrap();
        wait("the hub has another port and not the old one", || {
            let after = hub.ports().unwrap();
            after.len() == 2 && after != before
        });
        lab.wait_connected(SOON).unwrap();
        assert!(now() - changed < Duration::from_secs(3), "it took {:?}", now() - changed);
        wait_status(spoke1, "registered");
        let pinged = ping_spoke2(lab, 10);
        assert!(pinged.none_lost(), "{pinged}");
        wait("spoke2 knows the new place", || {
            spoke2.has_shortcut("test", VM1, "10.0.0.77".parse().unwrap(), 100)
        });
    });
}

#[test]
fn the_configured_address_of_a_spoke_changes() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        let (hub, spoke1) = (lab.node("hub"), lab.node("spoke1"));
        let before = hub.ports().unwrap();
        // The old address is still there: the withdrawal leaves from it.
        spoke1.ns.ip("addr add 10.0.0.77/24 dev eth1").unwrap();
        spoke1.edit_config(|text| text.replace("option nbma '10.0.0.2'", "option nbma '10.0.0.77'")).unwrap();
        assert_eq!(dmevpn(spoke1, &["reload"]).status.code(), Some(0));
        wait("the hub has another port and not the old one", || {
            let after = hub.ports().unwrap();
            after.len() == 2 && after != before
        });
        lab.wait_connected(SOON).unwrap();
        // The first frame may meet the change.
        let pinged = ping_spoke2(lab, 10);
        assert!(pinged.answered() >= 8, "{pinged}");
        wait_shortcut(lab);
        all_is_well(lab);
    });
}

#[test]
fn a_gre_device_is_made_again() {
    in_small(plan(), |lab| {
        let spoke1 = lab.node("spoke1");
        let make = "link add tunnel1 type gre local 10.0.0.2 ttl 64\nlink set tunnel1 up";
        if spoke1.ns.ip(make).is_err() {
            println!("skipped: this kernel has no GRE devices");
            return;
        }
        let device = "config dmevpn 'main'\n\toption transport 'device'\n\toption device 'tunnel1'";
        spoke1.edit_config(|text| text.replace("config dmevpn 'main'", device)).unwrap();
        lab.start_all().unwrap();
        all_is_well(lab);
        for _ in 0..2 {
            let spoke1 = lab.node("spoke1");
            spoke1.ns.ip("link del tunnel1").unwrap();
            std::thread::sleep(Duration::from_millis(300));
            spoke1.ns.ip(make).unwrap();
            wait_status(spoke1, "registered");
            lab.wait_connected(SOON).unwrap();
            dmevpn(spoke1, &["flush"]);
            all_is_well(lab);
        }
    });
}

// What makes no sense.

/// Numbers that are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn octet(&mut self) -> u8 {
        self.below(256) as u8
    }
}

/// Ethernet and IPv4 headers.
const HEADERS: usize = 14 + 20;
/// Where the checksum of an NHRP packet is.
const CHECKSUM: usize = 12;

/// Something wrong made of a frame that carries NHRP; the headers around it are right.
fn spoil(frame: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let nhrp = frame.windows(4).position(|w| w == [0, 1, 0x65, 0x58]).unwrap_or(HEADERS + 4);
    match numbers.below(4) {
        0 => {
            frame.truncate(HEADERS + 4);
            frame.extend((0..numbers.below(200)).map(|_| numbers.octet()).collect::<Vec<_>>());
        }
        1 => frame.truncate(HEADERS + numbers.below(frame.len() - HEADERS)),
        _ => {
            for _ in 0..=numbers.below(4) {
                let at = HEADERS + 4 + numbers.below(frame.len() - HEADERS - 4);
                frame[at] = numbers.octet();
            }
        }
    }
    // Half of them with a right checksum, so that they get further.
    if frame.len() > nhrp + 20 && numbers.below(2) == 0 {
        frame[nhrp + CHECKSUM..][..2].fill(0);
        let sum = checksum(&frame[nhrp..]);
        frame[nhrp + CHECKSUM..][..2].copy_from_slice(&sum.to_be_bytes());
    }
    repair(&mut frame);
    frame
}

/// Makes the IPv4 header of a frame right.
fn repair(frame: &mut [u8]) {
    let length = (frame.len() - 14) as u16;
    let header = &mut frame[14..HEADERS];
    header[2..4].copy_from_slice(&length.to_be_bytes());
    header[10..12].fill(0);
    let sum = checksum(header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
}

fn checksum(octets: &[u8]) -> u16 {
    let words = octets.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(*w.get(1).unwrap_or(&0)));
    let sum = words.sum::<u32>();
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

fn memory(node: &Node) -> u64 {
    number_in(format!("/proc/{}/status", node.pid().unwrap()).as_ref(), "VmRSS:")
}

/// A network, its NHRP frames, and the namespace of somebody who is no part of it.
fn under_attack(plan: Plan, scene: impl FnOnce(&mut Lab, &[Vec<u8>], &Sender)) {
    in_small(plan, |lab| {
        lab.add_spoke(9, vec![]).unwrap();
        let seen = ["spoke1", "spoke2"]
            .map(|spoke| lab::capture::Capture::start(&lab.node(spoke).ns, "eth1").unwrap());
        for node in ["hub", "spoke1", "spoke2"] {
            lab.start(node).unwrap();
        }
        lab.wait_connected(SOON).unwrap();
        all_is_well(lab);
        let frames: Vec<Vec<u8>> =
            seen.iter().flat_map(|c| c.all(|f| f.nhrp().map(|_| f.bytes.clone()))).collect();
        assert!(frames.len() >= 8, "{} frames", frames.len());
        drop(seen);
        let sender = Sender::new(&lab.node("spoke9").ns, "eth1").unwrap();
        scene(lab, &frames, &sender);
        for node in ["hub", "spoke1", "spoke2"] {
            assert!(lab.node(node).is_running(), "{node} lives");
            assert!(!lab.node(node).log_text().contains("panicked"), "{node} did not panic");
        }
    });
}

/// Some thousand spoiled frames a second.
fn attack(frames: &[Vec<u8>], sender: &Sender, count: usize, numbers: &mut Numbers, from: Option<[u8; 4]>) {
    for number in 0..count {
        let mut frame = frames[numbers.below(frames.len())].clone();
        // From the sender's own port, or the switch would lose the others.
        frame[6..12].copy_from_slice(&lab::mac(0x9999));
        if let Some(from) = from {
            frame[26..30].copy_from_slice(&from);
        }
        let _ = sender.send(&spoil(&frame, numbers));
        if number % 50 == 49 {
            std::thread::sleep(Duration::from_millis(8));
        }
    }
}

#[test]
fn garbage_from_a_stranger() {
    under_attack(plan(), |lab, frames, sender| {
        let (hub, spoke1) = (lab.node("hub"), lab.node("spoke1"));
        let mut numbers = Numbers(1);
        let stranger = Some([10, 0, 0, 10]);
        attack(frames, sender, 1000, &mut numbers, stranger);
        let before = (hub.ports().unwrap(), memory(hub), memory(spoke1));
        attack(frames, sender, 8000, &mut numbers, stranger);
        wait_status(hub, "hub");
        for (node, was) in [(hub, before.1), (spoke1, before.2)] {
            let grown = memory(node).saturating_sub(was);
            assert!(grown < 512, "{} has grown by {grown} kB", node.name);
        }
        let after = hub.ports().unwrap();
        assert!(before.0.iter().all(|(name, index)| after.get(name) == Some(index)), "{before:?} {after:?}");
        all_is_well(lab);
    });
}

/// With addresses of the others a stranger can do harm, as in any NHRP network without authentication; but not for
/// longer than it takes the spokes to register again, and the daemons live.
#[test]
fn garbage_with_the_addresses_of_others() {
    let plan = Plan { holding_time: 12, negative_time: 3, ..plan() };
    under_attack(plan, |lab, frames, sender| {
        let (hub, spoke1) = (lab.node("hub"), lab.node("spoke1"));
        let mut numbers = Numbers(2);
        attack(frames, sender, 1000, &mut numbers, None);
        let before = (memory(hub), memory(spoke1));
        attack(frames, sender, 8000, &mut numbers, None);
        wait_status(hub, "hub");
        for (node, was) in [(hub, before.0), (spoke1, before.1)] {
            let grown = memory(node).saturating_sub(was);
            assert!(grown < 2048, "{} has grown by {grown} kB", node.name);
        }
        for node in [hub, spoke1] {
            let warnings = node.log_text().lines().filter(|l| l.starts_with("WARN")).count();
            assert!(warnings < 110, "{} warns {warnings} times", node.name);
        }
        let well = wait_until(2 * SOON, || ping_spoke2(lab, 10).none_lost());
        assert!(well, "{}\n{}", status(spoke1), status(hub));
    });
}

#[test]
fn more_macs_than_there_is_room_for() {
    in_small(plan(), |lab| {
        for node in ["hub", "spoke1"] {
            let limit = "option mtu '1500'\n\toption max_macs '100'";
            lab.node(node).edit_config(|text| text.replace("option mtu '1500'", limit)).unwrap();
        }
        lab.add_host("vm2", "spoke2", "br-test", lab::mac(0x0d), inside(13)).unwrap();
        lab.start_all().unwrap();
        all_is_well(lab);
        // At a port of spoke1's, and behind its tunnel.
        for (host, from) in [("vm2", 0x4000), ("vm1", 0x5000)] {
            let sender = Sender::new(&lab.host(host).ns, "eth0").unwrap();
            for number in 0..3000 {
                sender.send(&experiment(BROADCAST, lab::mac(from + number), number.into(), 60)).unwrap();
                if number % 20 == 19 {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            std::thread::sleep(Duration::from_secs(1));
        }
        let (hub, spoke1) = (lab.node("hub"), lab.node("spoke1"));
        for node in [hub, spoke1] {
            assert!(node.is_running());
            let macs = String::from_utf8(dmevpn(node, &["macs"]).stdout).unwrap();
            // A row each, and the head.
            assert!(macs.lines().count() <= 110, "{}: {} rows", node.name, macs.lines().count());
            let log = node.log_text();
            let told = log.lines().filter(|l| l.contains("full")).count();
            assert!((1..20).contains(&told), "{} tells {told} times that its table is full", node.name);
        }
        let shortcuts = external(spoke1, "tunnel2").len();
        assert!(shortcuts <= 101, "{shortcuts} shortcuts");
        let pinged = ping_spoke2(lab, 10);
        assert!(pinged.none_lost(), "{pinged}");
    });
}
