//! The kernel as others leave it: devices of VNs that have another name now, entries that somebody removes, a UDP port
//! that somebody holds, and many devices that go at once.

use super::*;
use lab::now;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::Stdio;

fn rename(node: &Node) {
    node.edit_config(|text| text.replace("config vn 'test'", "config vn 'renamed'")).unwrap();
}

fn start_again(lab: &mut Lab, name: &str) {
    lab.nodes.get_mut(name).unwrap().kill().unwrap();
    lab.start(name).unwrap();
}

/// How long the longest of the questions took that are asked until `done`.
fn longest_wait(node: &Node, mut done: impl FnMut() -> bool) -> Duration {
    let mut longest = Duration::ZERO;
    let end = now() + SOON;
    while !done() && now() < end {
        let asked = now();
        assert!(dmevpn(node, &["status"]).status.success());
        longest = longest.max(now() - asked);
        std::thread::sleep(Duration::from_millis(10));
    }
    longest
}

/// The bridge is taken over, ports of the old name go before new ones come: nothing passes twice.
#[test]
fn a_hubs_vn_is_renamed_while_its_daemon_is_down() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        let bridge = lab.node("hub").ns.ifindex("br-test").unwrap();
        rename(lab.node("hub"));
        start_again(lab, "hub");
        for spoke in ["spoke1", "spoke2"] {
            start_again(lab, spoke);
        }
        lab.wait_connected(SOON).unwrap();
        all_is_well(lab);
        let hub = lab.node("hub");
        wait("a port for each spoke", || hub.ports().unwrap().len() == 2);
        for port in hub.ports().unwrap().keys() {
            assert!(show(hub, port).contains("dmevpn vn=renamed spoke="), "{}", show(hub, port));
        }
        assert_eq!(hub.ns.ifindex("br-test"), Ok(bridge));
        assert!(show(hub, "br-test").contains("dmevpn vn=renamed"));
        assert!(!hub.log_text().contains("File exists"), "{}", hub.log_text());
        let pinged = ping(&lab.host("vm1").ns, Echoes::to(ip(inside(11)), 5, 20)).unwrap();
        assert!(pinged.none_lost(), "{pinged}");
    });
}

#[test]
fn a_spokes_vn_is_renamed_while_its_daemon_is_down() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        rename(lab.node("spoke1"));
        start_again(lab, "spoke1");
        wait_status(lab.node("spoke1"), "valid for");
        assert!(show(lab.node("spoke1"), "tunnel2").contains("dmevpn vn=renamed"));
        all_is_well(lab);
    });
}

/// Who is not alone leaves what it does not know to the other one.
#[test]
fn two_daemons_in_one_network_namespace() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        let hub = lab.node("hub");
        let ports = hub.ports().unwrap();
        let directory = hub.config().parent().unwrap().join("second");
        fs::create_dir_all(&directory).unwrap();
        let config = directory.join("uci");
        let text = format!(
            "config dmevpn\n option nbma 10.0.0.1\n option udp_port 4790\n option socket '{0}/socket'\n option state_file '{0}/state'\n\
             config vn second\n option vpn_id 2\n option role hub\n option bridge br-second\n",
            directory.display()
        );
        fs::write(&config, text).unwrap();
        let mut second = hub.ns.command(program().path);
        second.args(["daemon", "--config"]).arg(&config).stderr(Stdio::null());
        let mut second = second.spawn().unwrap();
        wait("the second one has its bridge", || hub.ns.has("br-second"));
        std::thread::sleep(Duration::from_millis(300));
        second.kill().unwrap();
        second.wait().unwrap();
        assert_eq!(hub.ports().unwrap(), ports);
        all_is_well(lab);
    });
}

#[test]
fn somebody_removes_a_ports_default_entry() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        let hub = lab.node("hub");
        for port in hub.ports().unwrap().keys() {
            let there = destinations(hub, port, [0; 6]);
            let [(Some(to), Some(vni))] = there[..] else { panic!("{there:?}") };
            hub.ns.bridge(&format!("fdb del 00:00:00:00:00:00 dev {port} dst {to} vni {vni} self")).unwrap();
            wait("it is made again", || destinations(hub, port, [0; 6]) == there);
        }
    });
}

/// A spoke comes by another address of the hub's than its port was made for, and has not said that it leaves.
#[test]
fn a_port_sends_from_the_address_its_spoke_sends_to() {
    in_small(plan(), |lab| {
        let hub = lab.node("hub");
        hub.ns.ip("addr add 10.0.0.100/24 dev eth1").unwrap();
        lab.start_all().unwrap();
        all_is_well(lab);
        let spoke1 = lab.node("spoke1");
        spoke1
            .edit_config(|text| text.replace("option address '10.0.0.1'", "option address '10.0.0.100'"))
            .unwrap();
        lab.node("hub")
            .edit_config(|text| text.replace("option nbma '10.0.0.1'", "option nbma '10.0.0.100'"))
            .unwrap();
        start_again(lab, "hub");
        start_again(lab, "spoke1");
        wait_status(lab.node("spoke1"), "valid for");
        let hub = lab.node("hub");
        let port = || {
            let ports: Vec<String> = hub.ports().unwrap().keys().map(|port| show(hub, port)).collect();
            ports.into_iter().find(|port| port.contains("spoke=10.0.0.2 ")).unwrap_or_default()
        };
        wait("the port's address is the other one", || port().contains("local 10.0.0.100 "));
        assert_eq!(hub.ports().unwrap().len(), 2);
        let other: IpAddr = "10.0.0.100".parse().unwrap();
        wait("the spoke sends there", || {
            destinations(lab.node("spoke1"), "tunnel2", [0; 6]).iter().any(|(to, _)| *to == Some(other))
        });
        let pinged = ping_spoke2(lab, 10);
        assert!(pinged.none_lost(), "{pinged}");
    });
}

/// And while the daemon does not look, so that it has to list what is there.
#[test]
fn entries_are_removed_while_events_are_lost() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        for name in ["hub", "spoke1"] {
            let node = lab.node(name);
            node.signal(libc::SIGSTOP).unwrap();
            let devices: Vec<String> = match name {
                "hub" => node.ports().unwrap().into_keys().collect(),
                _ => vec!["tunnel2".into()],
            };
            let all = || {
                let mut all: Vec<String> = devices.iter().flat_map(|device| external(node, device)).collect();
                all.sort_unstable();
                all
            };
            let before = all();
            assert!(before.len() >= 2, "{before:?}");
            for device in &devices {
                let entries = fdb::dump(&node.ns, device).unwrap();
                for entry in entries.iter().filter(|e| e.own && e.external) {
                    let (mac, to) = (lab::text_of_mac(entry.mac), entry.dst.unwrap());
                    let vni = entry.vni.map_or(String::new(), |vni| format!("vni {vni}"));
                    node.ns.bridge(&format!("fdb del {mac} dev {device} dst {to} {vni} self")).unwrap();
                }
                assert_eq!(external(node, device), [""; 0]);
            }
            node.ns.ip("link add noise type vxlan id 9 dstport 5001").unwrap();
            let noise: String = (0..20_000)
                .map(|n| {
                    format!("fdb add 02:77:00:00:{:02x}:{:02x} dev noise dst 10.0.0.9\n", n >> 8, n & 0xff)
                })
                .collect();
            node.ns.bridge(&noise).unwrap();
            node.signal(libc::SIGCONT).unwrap();
            wait("they were lost", || node.log_text().contains("events of the kernel were lost"));
            assert!(wait_until(SOON, || all() == before), "{name} has {:?}, not {before:?}", all());
        }
        all_is_well(lab);
    });
}

/// A device that cannot be switched on is tried again by a timer, and not because it was made and deleted.
#[test]
fn a_udp_port_that_somebody_holds() {
    in_small(plan(), |lab| {
        let spoke1 = lab.node("spoke1");
        let held = spoke1.ns.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 4789))).unwrap().unwrap();
        let watch = lab.a_socket().with_file_name("links");
        let out = fs::File::create(&watch).unwrap();
        let mut monitor = spoke1.ns.command("ip").args(["monitor", "link"]).stdout(out).spawn().unwrap();
        lab.start("hub").unwrap();
        lab.start("spoke1").unwrap();
        let spoke1 = lab.node("spoke1");
        wait_status(spoke1, "Address already in use");
        let longest = longest_wait(spoke1, {
            let end = now() + Duration::from_secs(3);
            move || now() >= end
        });
        assert!(longest < Duration::from_millis(500) * lab::patience(), "{longest:?}");
        monitor.kill().unwrap();
        monitor.wait().unwrap();
        let made = fs::read_to_string(&watch).unwrap().matches("Deleted").count();
        assert!(made < 10, "it was made and deleted {made} times");
        drop(held);
        wait_status(spoke1, "valid for");
    });
}

/// Registers this many spokes with the hub.
fn herd_of(lab: &Lab, count: u16) {
    let herd = lab::herd::Herd::new(lab, "spoke2", 0..count).unwrap();
    let hub = lab.node("hub");
    let all = wait_until(SOON * 4, || {
        herd.register(lab, "spoke2").unwrap();
        hub.ports().unwrap().len() == usize::from(count)
    });
    assert!(all, "{}", status(hub));
}

/// 300 ports go at once: questions are answered meanwhile.
#[test]
fn a_vn_with_many_spokes_is_taken_out() {
    in_small(plan(), |lab| {
        let other = "\nconfig vn 'other'\n\toption vpn_id '7'\n\toption role 'hub'\n\toption bridge 'br-7'\n";
        lab.node("hub").edit_config(|text| text + other).unwrap();
        lab.start("hub").unwrap();
        let hub = lab.node("hub");
        wait_status(hub, "other");
        herd_of(lab, 300);
        hub.edit_config(|text| text.replace("config vn 'test'", "config vn 'test'\n\toption enabled '0'"))
            .unwrap();
        let began = now();
        assert_eq!(dmevpn(hub, &["reload"]).status.code(), Some(0));
        let reloaded = now() - began;
        let longest = longest_wait(hub, || hub.ports().unwrap().is_empty() && !hub.ns.has("br-test"));
        let took = now() - began;
        println!("reload {reloaded:?}, longest wait {longest:?}, all gone after {took:?}");
        assert!(hub.ports().unwrap().is_empty() && hub.ns.has("br-7"));
        assert!(longest.max(reloaded) < Duration::from_secs(2) * lab::patience(), "{reloaded:?} {longest:?}");
    });
}

/// A hub that comes back knows what its bridge learned, however much that is, and serves before it does.
#[test]
fn a_hub_with_many_macs_starts_again() {
    in_small(plan(), |lab| {
        lab.start("hub").unwrap();
        lab.start("spoke1").unwrap();
        wait("a port", || lab.node("hub").ports().unwrap().len() == 1);
        let hub = lab.node("hub");
        let port = hub.ports().unwrap().into_keys().next().unwrap();
        let macs: String = (0..30_000)
            .map(|n| {
                format!("fdb add 02:88:00:00:{:02x}:{:02x} dev {port} master dynamic\n", n >> 8, n & 0xff)
            })
            .collect();
        hub.ns.bridge(&macs).unwrap();
        start_again(lab, "hub");
        let hub = lab.node("hub");
        wait_status(hub, "1 registered");
        wait("all are known", || status(hub).contains("30 00") || status(hub).contains("3000"));
    });
}
