//! The ways a daemon ends: for good, for the next one, and with what it left taken away.

use super::*;
use lab::nodes::bridge_mac;
use lab::text_of_mac;
use lab::traffic::Ping;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

fn leave(node: &Node) -> (Option<i32>, String) {
    let mut command = node.ns.command(program().path);
    let output = command.args(["leave", "--config"]).arg(node.config()).output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// A new program takes over from the old one (SIGUSR1), at a spoke and at the hub: nothing is lost, directly or by the
/// hub, and no device is made anew.
#[test]
fn a_daemon_hands_over() {
    in_small(plan(), |lab| {
        lab.add_host("vm2", "spoke2", "br-test", lab::mac(0x0d), inside(13)).unwrap();
        lab.start_all().unwrap();
        all_is_well(lab);
        // The hub's own host is reached by the hub alone.
        lab.node("hub").ns.ip("addr add 11.0.0.1/24 dev br-test").unwrap();
        let vm1 = lab.host("vm1").ns.borrow();
        let index =
            |lab: &Lab| (lab.node("spoke1").ns.ifindex("tunnel2").unwrap(), lab.node("hub").ports().unwrap());
        let before = index(lab);
        let pings = [11, 13, 1].map(|n| {
            ping(&vm1, Echoes::to(ip(inside(n)), 3, 20)).unwrap();
            Ping::start(&vm1, Echoes { count: 5000, ..Echoes::to(ip(inside(n)), 0, 10) }).unwrap()
        });
        std::thread::sleep(Duration::from_millis(300));
        for name in ["spoke1", "hub", "spoke1"] {
            assert_eq!(lab.nodes.get_mut(name).unwrap().hand_over(), Ok(Some(0)));
            assert!(!lab.node(name).socket().exists());
            std::thread::sleep(Duration::from_millis(200));
            lab.start(name).unwrap();
            wait_status(lab.node(name), if name == "hub" { "1000 at most" } else { "valid for" });
        }
        std::thread::sleep(Duration::from_secs(1));
        for pings in pings {
            let pinged = pings.stop().unwrap();
            assert!(pinged.none_lost(), "{pinged}");
        }
        assert_eq!(index(lab), before);
        let hub = lab.node("hub").log_text();
        assert!(!hub.contains("spoke down"), "{hub}");
        all_is_well(lab);
    });
}

#[test]
fn what_daemons_left_is_removed() {
    in_small(plan(), |lab| {
        let foreign = "link add vx-other type vxlan id 9 dstport 5001 local 10.0.0.9\n\
                       link set vx-other alias 'not dmevpn vn=test'\nlink add br-other type bridge\n\
                       link add other type veth peer name another\nlink set other alias 'dmevpn vn=test'\n\
                       link set lo alias 'dmevpn vn=test'";
        make_tunnel(lab.node("spoke2"), "id 101 dstport 4789 nolearning", "br-test");
        lab.start_all().unwrap();
        all_is_well(lab);
        for name in ["hub", "spoke1", "spoke2"] {
            let node = lab.node(name);
            node.ns.ip(foreign).unwrap();
            let (code, said) = leave(node);
            assert_eq!(code, Some(1), "{said}");
            assert!(said.contains("a daemon runs"), "{said}");
        }
        for name in ["hub", "spoke1", "spoke2"] {
            lab.nodes.get_mut(name).unwrap().kill().unwrap();
            let node = lab.node(name);
            let (before, ports) = (node.ns.interfaces().unwrap(), node.ports().unwrap());
            let (code, said) = leave(node);
            assert_eq!(code, Some(0), "{said}");
            let after = node.ns.interfaces().unwrap();
            let gone: Vec<&str> =
                before.keys().filter(|n| !after.contains_key(*n)).map(String::as_str).collect();
            let expected = match name {
                "hub" => ports.keys().map(String::as_str).chain(["br-test"]).collect::<Vec<_>>(),
                "spoke1" => vec!["tunnel2"],
                _ => vec![],
            };
            assert!(gone.len() == expected.len() && expected.iter().all(|n| gone.contains(n)), "{gone:?}");
            assert!(gone.iter().all(|n| said.contains(&format!("removed {n}\n"))), "{said}");
            if name == "spoke2" {
                assert_eq!(external(node, "tunnel2"), [""; 0]);
                assert!(said.contains("forwarding entries of tunnel2"), "{said}");
            }
            assert_eq!(leave(node), (Some(0), String::new()), "once is enough");
        }
    });
}

/// The addresses of clients that a hub entered on its GRE device go; those of others stay.
#[test]
fn neighbours_that_a_daemon_left_are_removed() {
    in_small(plan(), |lab| {
        let hub = lab.node("hub");
        let device = "config dmevpn 'main'\n\toption transport 'device'\n\toption device 'eth1'";
        hub.edit_config(|text| text.replace("config dmevpn 'main'", device)).unwrap();
        let like =
            |ip: &str, state: &str| format!("neigh add {ip} lladdr 02:00:00:00:00:01 nud {state} dev eth1\n");
        let ours = ["192.0.2.8", "2001:db8::8"].map(|ip| like(ip, "noarp extern_learn")).concat();
        hub.ns.ip(&(ours + &like("192.0.2.77", "permanent") + &like("192.0.2.78", "noarp"))).unwrap();
        let (code, said) = leave(hub);
        assert_eq!((code, said.as_str()), (Some(0), "removed 2 neighbours of eth1\n"));
        let mut command = hub.ns.command("ip");
        let left = command.args(["neigh", "show", "nud", "all", "dev", "eth1"]).output().unwrap();
        let left = String::from_utf8(left.stdout).unwrap();
        assert!(!left.contains("extern_learn"), "{left}");
        assert!(left.contains("192.0.2.77") && left.contains("192.0.2.78"), "{left}");
    });
}

/// The bridge has no port but the tunnel's, as where Wi-Fi is not up yet.
#[test]
fn a_bridge_without_other_ports() {
    in_small(plan(), |lab| {
        let spoke2 = lab.node("spoke2");
        // Its own MAC is nobody's choice: it takes that of a port.
        spoke2.ns.ip("link del br-test\nlink add br-test type bridge mcast_snooping 0\nlink set br-test up\naddr add 11.0.0.11/24 dev br-test").unwrap();
        lab.start_all().unwrap();
        let mac_of = |device: &str| {
            let text = show(lab.node("spoke2"), device);
            text.split("link/ether ").nth(1).map(|t| t[..17].to_owned()).unwrap_or_default()
        };
        let registered = |lab: &Lab| {
            let peers = String::from_utf8(dmevpn(lab.node("hub"), &["peers"]).stdout).unwrap();
            let line = peers.lines().find(|l| l.contains("10.0.0.3")).unwrap_or_else(|| panic!("{peers}"));
            line.split_whitespace().nth(6).unwrap_or_default().to_owned()
        };
        wait("the bridge has the tunnel's MAC", || mac_of("br-test") == mac_of("tunnel2"));
        let (first, device) = (registered(lab), mac_of("tunnel2"));
        // Its host is reached, and directly.
        let direct = |lab: &Lab, mac: &str| {
            let pinged = ping_spoke2(lab, 20);
            assert!(pinged.none_lost(), "{pinged}");
            let found = wait_until(SOON, || {
                external(lab.node("spoke1"), "tunnel2").iter().any(|e| e.starts_with(mac))
            });
            assert!(found, "{:?}", external(lab.node("spoke1"), "tunnel2"));
        };
        direct(lab, &device);
        // The daemon ends, and the bridge is left without a MAC.
        assert_eq!(lab.nodes.get_mut("spoke2").unwrap().stop(), Ok(Some(0)));
        let left = show(lab.node("spoke2"), "br-test");
        assert!(left.contains("00:00:00:00:00:00"), "{left}");
        lab.start("spoke2").unwrap();
        wait_status(lab.node("spoke2"), "valid for");
        lab.wait_connected(SOON).unwrap();
        assert_eq!(registered(lab), first, "the address it registers stays");
        direct(lab, &device);
        // Wi-Fi comes up: the bridge takes another MAC, and nothing is registered anew.
        let spoke2 = lab.node("spoke2");
        let wifi = text_of_mac(bridge_mac(2, 0));
        spoke2
            .ns
            .ip(&format!(
                "link add wlan0 address {wifi} type veth peer name air\nlink set wlan0 master br-test up"
            ))
            .unwrap();
        let mac_of = |device: &str| {
            let text = show(lab.node("spoke2"), device);
            text.split("link/ether ").nth(1).map(|t| t[..17].to_owned()).unwrap_or_default()
        };
        wait("the bridge has the MAC of its port", || mac_of("br-test") == wifi);
        lab.host("vm1").ns.ip("neigh flush all").unwrap();
        direct(lab, &wifi);
        let resolved = dmevpn(lab.node("spoke2"), &["resolve", "test", &wifi]);
        assert!(
            String::from_utf8_lossy(&resolved.stdout).contains("at a port of this router"),
            "{resolved:?}"
        );
        assert_eq!(lab.node("hub").log_text().matches("spoke up: 10.0.0.3").count(), 2);
    });
}

/// A hub's bridge of the user's, whose ports are all gone.
#[test]
fn a_hubs_bridge_without_a_mac() {
    in_small(plan(), |lab| {
        let hub = lab.node("hub");
        hub.ns.ip("link add br-test type bridge\nlink set br-test up\nlink add p type veth peer name q\nlink set p master br-test\nlink del p").unwrap();
        let left = show(hub, "br-test");
        assert!(left.contains("link/ether 00:00:00:00:00:00"), "{left}");
        lab.start_all().unwrap();
        all_is_well(lab);
    });
}

/// The file that keeps who this router is: made with its directory, for its owner; what cannot be kept is said once.
#[test]
fn the_state_file() {
    in_small(plan(), |lab| {
        let node = lab.node("spoke1");
        let old = node.socket().with_extension("state");
        let deep = node.socket().with_extension("kept").join("deep/state");
        let put = |from: &std::path::Path, to: &std::path::Path| {
            let (from, to) = (from.display().to_string(), to.display().to_string());
            node.edit_config(|text| {
                text.replace(&format!("state_file '{from}'"), &format!("state_file '{to}'"))
            })
            .unwrap();
        };
        put(&old, &deep);
        lab.start_all().unwrap();
        assert_eq!(fs::metadata(&deep).unwrap().permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(&deep).unwrap();
        let identity = |text: &str| text.lines().find_map(|l| l.strip_prefix("identity ").map(str::to_owned));
        assert!(identity(&text).is_some(), "{text}");
        let spoke1 = lab.nodes.get_mut("spoke1").unwrap();
        spoke1.stop().unwrap();
        // What is left of ours when the power failed.
        fs::write(&deep, "request_id 7\nidenti\0\0").unwrap();
        lab.start("spoke1").unwrap();
        wait_status(lab.node("spoke1"), "valid for");
        all_is_well(lab);
        let new = fs::read_to_string(&deep).unwrap();
        assert!(identity(&new).is_some() && identity(&new) != identity(&text), "{new}");
        let spoke1 = lab.nodes.get_mut("spoke1").unwrap();
        spoke1.stop().unwrap();
        // A directory cannot be made where a file is.
        let node = lab.node("spoke1");
        let nowhere = deep.join("state");
        node.edit_config(|text| text.replace(&deep.display().to_string(), &nowhere.display().to_string()))
            .unwrap();
        lab.start("spoke1").unwrap();
        wait_status(lab.node("spoke1"), "valid for");
        all_is_well(lab);
        let log = lab.node("spoke1").log_text();
        assert_eq!(log.matches("correct option 'state_file'").count(), 1, "{log}");
    });
}

/// Without a privilege the daemon says which one it is.
#[test]
fn a_missing_privilege_is_named() {
    in_small(plan(), |lab| {
        if Command::new("setpriv").arg("--version").output().is_err() {
            println!("skipped: no setpriv");
            return;
        }
        for (without, words) in [
            ("net_admin", "needs CAP_NET_ADMIN to create vxlan tunnel2"),
            ("net_raw", "needs CAP_NET_RAW for GRE (protocol 47)"),
        ] {
            let node = lab.node("spoke1");
            let mut daemon = node.ns.command("setpriv");
            daemon.arg(format!("--bounding-set=-{without}")).arg(format!("--inh-caps=-{without}"));
            let log = fs::File::create(node.log()).unwrap();
            let daemon = daemon.arg(program().path).args(["daemon", "--config"]).arg(node.config());
            let mut daemon = daemon.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
            let says = wait_until(SOON, || status(node).contains(words));
            let said = status(node);
            daemon.kill().unwrap();
            daemon.wait().unwrap();
            assert!(says, "{said}\n{}", node.log_text());
            assert!(node.log_text().contains(words), "{}", node.log_text());
        }
    });
}

/// The site's own bridge learns nothing from probes while a VN is in it, and as ever afterwards: when the VN is taken out, and
/// when the daemon ends.
#[test]
fn a_sites_bridge_learns_as_before_afterwards() {
    in_small(plan(), |lab| {
        let learns = |lab: &Lab| show(lab.node("spoke1"), "br-test").contains("no_linklocal_learn 0");
        if !learns(lab) {
            return println!("skipped: it cannot be seen here");
        }
        lab.start_all().unwrap();
        let spoke1 = lab.node("spoke1");
        if learns(lab) {
            return println!("skipped: this kernel's bridges always learn");
        }
        let mut whole = String::new();
        spoke1
            .edit_config(|text| {
                let begin = text.find("\nconfig vn").unwrap();
                let end = text[begin + 1..].find("\nconfig ").map_or(text.len(), |more| begin + 1 + more);
                let without = text[..begin].to_owned() + &text[end..];
                whole = text;
                without
            })
            .unwrap();
        assert!(dmevpn(spoke1, &["reload"]).status.success());
        wait("it learns when the VN is taken out", || learns(lab));
        spoke1.edit_config(|_| whole).unwrap();
        assert!(dmevpn(spoke1, &["reload"]).status.success());
        wait("it is quiet when the VN is back", || !learns(lab));
        assert_eq!(lab.nodes.get_mut("spoke1").unwrap().stop(), Ok(Some(0)));
        assert!(learns(lab));
    });
}
