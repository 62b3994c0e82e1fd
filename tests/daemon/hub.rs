//! The hub: its name, the VPN mode, addresses that change, a GRE device that is made again, more spokes than fit, and
//! lost events of its kernel.

use super::*;
use lab::nodes::bridge_mac;
use lab::traffic::{BROADCAST, Sender, experiment};
use lab::{now, text_of_mac};

/// Lines for `/etc/hosts` in a namespace (`ip netns exec` puts the file there); they go when this is dropped.
pub(super) struct Hosts(pub(super) PathBuf);

impl Hosts {
    pub(super) fn new(node: &Node, lines: &str) -> Hosts {
        let directory = PathBuf::from("/etc/netns").join(&node.ns.name);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("resolv.conf"), "").unwrap();
        let hosts = Hosts(directory);
        hosts.set(lines);
        hosts
    }

    /// In place: the file is mounted where the daemon is.
    pub(super) fn set(&self, lines: &str) {
        fs::write(self.0.join("hosts"), format!("127.0.0.1 localhost\n{lines}\n")).unwrap();
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
        let _ = fs::remove_dir("/etc/netns"); // succeeds for the last one
    }
}

pub(super) fn use_hub_name(node: &Node, name: &str) {
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
        wait("the look-up fails", || spoke1.log_text().contains("hub name 'hub.test' does not resolve"));
        // It comes to have two addresses; there is no way to the first.
        hosts.set("fd00::1 hub.test\n10.0.0.1 hub.test");
        wait_status(spoke1, "valid for");
        all_is_well(lab);

        // Another name, that has no address yet: nothing of the old one is left.
        spoke1.edit_config(|text| text.replace("'hub.test'", "'other.test'")).unwrap();
        spoke1.signal(libc::SIGHUP).unwrap();
        wait("the new name is looked up", || {
            spoke1.log_text().contains("hub name 'other.test' does not resolve")
        });
        assert!(!status(spoke1).contains("registered with"), "{}", status(spoke1));
        // And a third one, while the second is still looked up.
        spoke1.edit_config(|text| text.replace("'other.test'", "'third.test'")).unwrap();
        hosts.set("10.0.0.1 third.test");
        spoke1.signal(libc::SIGHUP).unwrap();
        lab.wait_connected(SOON).unwrap();
        wait_status(spoke1, "valid for");
        all_is_well(lab);
    });
}

/// Nobody has asked yet who listens behind it.
#[test]
fn a_new_port_gets_all_multicast() {
    in_small(plan(), |lab| {
        lab.start("hub").unwrap();
        lab.start("spoke1").unwrap();
        wait_status(lab.node("spoke1"), "valid for");
        let hub = lab.node("hub");
        let ports = hub.ports().unwrap();
        assert!(!ports.is_empty());
        ports.keys().for_each(|port| assert!(show(hub, port).contains("mcast_router 3"), "{port}"));
    });
}

/// There is no way to the only address; the name comes to have another one, and nothing else changes.
#[test]
fn a_hub_whose_name_has_an_address_out_of_reach() {
    in_small(plan(), |lab| {
        let hosts = Hosts::new(lab.node("spoke1"), "192.0.2.1 hub.test");
        use_hub_name(lab.node("spoke1"), "hub.test");
        lab.start("hub").unwrap();
        lab.start("spoke1").unwrap();
        wait_status(lab.node("spoke1"), "no route to hub 192.0.2.1");
        hosts.set("10.0.0.1 hub.test");
        wait_status(lab.node("spoke1"), "valid for");
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

/// The first address of a name leads to a router that is no hub.
#[test]
fn a_hub_whose_first_address_is_silent() {
    in_small(plan(), |lab| {
        let _hosts = Hosts::new(lab.node("spoke1"), "10.0.0.3 hub.test\n10.0.0.1 hub.test");
        use_hub_name(lab.node("spoke1"), "hub.test");
        lab.start("hub").unwrap();
        lab.start("spoke1").unwrap();
        let spoke1 = lab.node("spoke1");
        let there = wait_until(Duration::from_secs(20), || {
            std::thread::sleep(Duration::from_millis(100));
            lab.node("hub").ports().unwrap().len() == 1
        });
        assert!(there, "{}", status(spoke1));
        wait_status(spoke1, "valid for");
        let log = spoke1.log_text();
        assert!(log.contains("the way is from 10.0.0.2 to 10.0.0.3"), "{log}");
    });
}

/// The address of a name that a spoke was registered at becomes silent, and the hub is at the other one.
#[test]
fn a_hub_that_is_at_the_other_address_of_its_name() {
    in_small(Plan { holding_time: 9, ..plan() }, |lab| {
        let _hosts = Hosts::new(lab.node("spoke1"), "10.0.0.1 hub.test\n10.0.0.9 hub.test");
        use_hub_name(lab.node("spoke1"), "hub.test");
        lab.start("hub").unwrap();
        lab.start("spoke1").unwrap();
        let (hub, spoke1) = (lab.node("hub"), lab.node("spoke1"));
        wait_status(spoke1, "valid for");
        hub.ns.ip("addr add 10.0.0.9/24 dev eth1").unwrap();
        hub.edit_config(|text| text.replace("10.0.0.1", "10.0.0.9")).unwrap();
        hub.signal(libc::SIGHUP).unwrap();
        let there = wait_until(Duration::from_secs(40), || {
            std::thread::sleep(Duration::from_millis(200));
            let said = status(spoke1);
            said.contains("valid for") && said.contains("10.0.0.9")
        });
        assert!(there, "{}", status(spoke1));
    });
}

/// A name that leads back to the router itself, as one that stands beside its own in `/etc/hosts`.
#[test]
fn a_hub_whose_name_is_the_router_itself() {
    in_small(plan(), |lab| {
        let hosts = Hosts::new(lab.node("spoke1"), "127.0.0.1 hub.test");
        use_hub_name(lab.node("spoke1"), "hub.test");
        lab.start("hub").unwrap();
        lab.start("spoke1").unwrap();
        let spoke1 = lab.node("spoke1");
        for address in ["127.0.0.1", "10.0.0.2", "10.0.0.77"] {
            if address == "10.0.0.77" {
                spoke1.ns.ip("addr add 10.0.0.77/32 dev lo").unwrap();
            }
            hosts.set(&format!("{address} hub.test"));
            let words = format!("the address of the hub, {address}, is this router itself");
            wait_status(spoke1, &words);
            wait_status(spoke1, "correct option 'address' of the hub, or what its name stands for here");
            let line = format!("hub dc1: {words}; correct option 'address'");
            wait("the log tells it", || spoke1.log_text().contains(&line));
            assert_eq!(spoke1.log_text().matches(&line).count(), 1, "{}", spoke1.log_text());
        }
        assert!(!spoke1.log_text().contains("the way is"), "{}", spoke1.log_text());
        hosts.set("10.0.0.77 hub.test\n10.0.0.1 hub.test");
        wait_status(spoke1, "valid for");
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
        wait("the port of the spoke leads there", || leads(hub, "10.0.0.77"));
        assert_eq!(hub.ports().unwrap(), before, "it is the same");
        wait("its device sends from there", || show(spoke1, "tunnel2").contains(" local 10.0.0.77 "));
        lab.wait_connected(SOON).unwrap();
        assert!(now() - changed < Duration::from_secs(3), "it took {:?}", now() - changed);
        wait_status(spoke1, "valid for");
        // The hub is told of all who are here, those included that say nothing.
        let silent = text_of_mac(bridge_mac(1, 0));
        wait("the hub knows who is silent", || {
            let macs = String::from_utf8(dmevpn(hub, &["macs"]).stdout).unwrap();
            macs.lines().any(|line| line.contains(&silent) && line.contains("10.0.0.77"))
        });
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
        wait("the port of the spoke leads there", || leads(hub, "10.0.0.77"));
        assert_eq!(hub.ports().unwrap(), before, "it is the same");
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
            wait_status(spoke1, "valid for");
            lab.wait_connected(SOON).unwrap();
            dmevpn(spoke1, &["flush"]);
            all_is_well(lab);
        }
    });
}

/// What a client's address is behind is told to the new device, too.
#[test]
fn a_gre_device_with_neighbours_is_made_again() {
    in_small(plan(), |lab| {
        let hub = lab.node("hub");
        let make = "link add tunnel1 type gre local 10.0.0.1 ttl 64\nlink set tunnel1 up";
        if hub.ns.ip(make).is_err() {
            println!("skipped: this kernel has no GRE devices");
            return;
        }
        hub.edit_config(|text| {
            let device = "config dmevpn 'main'\n\toption transport 'device'\n\toption device 'tunnel1'";
            let ip = "option role 'hub'\n\toption default '1'\n\tlist protocol_address '192.0.2.1'";
            text.replace("config dmevpn 'main'", device).replace("option role 'hub'", ip)
        })
        .unwrap();
        lab.start("hub").unwrap();
        let hub = lab.node("hub");
        wait_status(hub, "hub");
        let register = || {
            let addresses = ([192, 0, 2, 8].into(), [192, 0, 2, 1].into());
            lab::herd::register_ip([10, 0, 0, 3].into(), [10, 0, 0, 1].into(), addresses)
        };
        lab.node("spoke2").ns.run(register).unwrap().unwrap();
        let is_behind = || {
            let mut command = hub.ns.command("ip");
            let output = command.args(["neigh", "show", "192.0.2.8", "dev", "tunnel1"]).output().unwrap();
            String::from_utf8(output.stdout).unwrap().contains("10.0.0.3")
        };
        wait("the kernel is told", is_behind);
        // Who registers leads nobody's packets into the tunnel: the routes are the administrator's.
        let routes = hub.ns.command("ip").args(["route", "show", "table", "all"]).output().unwrap();
        let routes = String::from_utf8(routes.stdout).unwrap();
        assert!(!routes.contains("192.0.2.8"), "{routes}");
        for _ in 0..2 {
            hub.ns.ip("link del tunnel1").unwrap();
            std::thread::sleep(Duration::from_millis(300));
            hub.ns.ip(make).unwrap();
            wait("the kernel is told again", is_behind);
            hub.ns.ip("link set tunnel1 down").unwrap();
            wait_status(hub, "interface 'tunnel1' is down");
            hub.ns.ip("link set tunnel1 up").unwrap();
            wait("the kernel is told again", is_behind);
        }
    });
}

/// The entry of a client's IP address goes when an operator removes the client, when the hub has no address for it any more,
/// and when nothing of the daemon is to stay. Others' entries stay.
#[test]
fn a_neighbour_goes_with_its_client() {
    in_small(plan(), |lab| {
        let hub = lab.node("hub");
        if hub.ns.ip("link add tunnel1 type gre local 10.0.0.1 ttl 64\nlink set tunnel1 up").is_err() {
            println!("skipped: this kernel has no GRE devices");
            return;
        }
        hub.ns.ip("neigh add 192.0.2.77 lladdr 10.0.0.77 nud permanent dev tunnel1").unwrap();
        let served = "\tlist protocol_address '192.0.2.1'\n";
        hub.edit_config(|text| {
            let device = "config dmevpn 'main'\n\toption transport 'device'\n\toption device 'tunnel1'";
            let ip = format!("option role 'hub'\n\toption default '1'\n{served}");
            text.replace("config dmevpn 'main'", device).replace("option role 'hub'\n", &ip)
        })
        .unwrap();
        lab.start("hub").unwrap();
        let hub = lab.node("hub");
        wait_status(hub, "hub");
        let shown = |ip: &str| {
            let mut command = hub.ns.command("ip");
            let output = command.args(["neigh", "show", ip, "dev", "tunnel1"]).output().unwrap();
            String::from_utf8(output.stdout).unwrap().contains("10.0.0.")
        };
        let is_there = || shown("192.0.2.8");
        let registers = || {
            let register = || {
                let addresses = ([192, 0, 2, 8].into(), [192, 0, 2, 1].into());
                lab::herd::register_ip([10, 0, 0, 3].into(), [10, 0, 0, 1].into(), addresses)
            };
            lab.node("spoke2").ns.run(register).unwrap().unwrap();
            wait("the kernel is told", is_there);
        };
        registers();
        assert_eq!(dmevpn(hub, &["peers", "--remove", "10.0.0.3"]).status.code(), Some(0));
        wait("it goes", || !is_there());
        registers();
        hub.edit_config(|text| text.replace(served, "")).unwrap();
        assert_eq!(dmevpn(hub, &["reload"]).status.code(), Some(0));
        wait("it goes", || !is_there());
        hub.edit_config(|text| {
            text.replace("option default '1'\n", &format!("option default '1'\n{served}"))
        })
        .unwrap();
        assert_eq!(dmevpn(hub, &["reload"]).status.code(), Some(0));
        registers();
        lab.nodes.get_mut("hub").unwrap().kill().unwrap();
        let hub = lab.node("hub");
        let mut command = hub.ns.command(program().path);
        let output = command.args(["leave", "--config"]).arg(hub.config()).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("removed 1 neighbours of tunnel1"), "{said}");
        let mut command = hub.ns.command("ip");
        let left = command.args(["neigh", "show", "dev", "tunnel1"]).output().unwrap();
        let left = String::from_utf8(left.stdout).unwrap();
        assert!(!left.contains("192.0.2.8") && left.contains("192.0.2.77"), "{left}");
    });
}

/// A Linux bridge ends at 1023 ports. The spoke that has no room is refused, and the log names the way out.
#[test]
fn a_bridge_that_is_full() {
    in_small(plan(), |lab| {
        let hub = lab.node("hub");
        let ports: String = (1..=1022)
            .map(|n| format!("link add p{n} type vxlan id {n} local 10.0.0.1 dstport 5000\nlink set p{n} master br-test\n"))
            .collect();
        hub.ns.ip(&format!("link add br-test type bridge\nlink set br-test up\n{ports}")).unwrap();
        lab.start("hub").unwrap();
        wait_status(lab.node("hub"), "data plane bridge (");
        lab.start("spoke1").unwrap();
        wait_status(lab.node("spoke1"), "valid for");
        lab.start("spoke2").unwrap();
        wait_status(lab.node("spoke2"), "refused");
        wait_status(lab.node("spoke2"), "NAK 5");
        let log = lab.node("hub").log_text();
        let line = log.lines().find(|l| l.contains("no port for 10.0.0.3")).expect("it is told");
        assert!(line.contains("dataplane 'kmod'"), "{line}");
        wait_status(lab.node("spoke1"), "valid for");
    });
}

/// More spokes than a bridge has ports: a hub of data plane `bridge` refuses them, one of `kmod` takes them.
#[test]
fn more_spokes_than_a_bridge_has_ports() {
    in_small(plan(), |lab| {
        lab::herd::admit(lab).unwrap();
        lab.start("hub").unwrap();
        let hub = lab.node("hub");
        wait_status(hub, "data plane");
        let herd = lab::herd::Herd::new(lab, "spoke2", 0..1500).unwrap();
        let dataplane = if status(hub).contains("data plane kmod (") { "kmod" } else { "bridge" };
        let expected = if dataplane == "kmod" { 1500 } else { 1000 };
        let all = wait_until(Duration::from_secs(300), || {
            herd.register(lab, "spoke2").unwrap();
            status(hub).contains(&format!(" {expected} registered,"))
        });
        assert!(all, "{}", status(hub));
        // A port is made beside all else.
        let mut served = 0;
        let mut all_served = || {
            served = hub.served().unwrap();
            served == expected
        };
        assert!(wait_until(Duration::from_secs(60), &mut all_served) || all_served(), "{served} have a port");
        let metrics = String::from_utf8(dmevpn(hub, &["metrics"]).stdout).unwrap();
        let refused = metrics.lines().find_map(|l| l.strip_prefix("dmevpn_spokes_refused_total ")).unwrap();
        assert_eq!(refused != "0", expected < 1500, "{refused} refused");
        println!("{expected} spokes are registered, data plane {dataplane}");
    });
}

/// One address registers a thousand sites: all others have their places. What it got is removed by a command.
#[test]
fn one_address_with_a_thousand_sites() {
    in_small(plan(), |lab| {
        lab::herd::admit(lab).unwrap();
        lab.start("hub").unwrap();
        let hub = lab.node("hub");
        wait_status(hub, "data plane");
        if status(hub).contains("data plane kmod (") {
            return println!("skipped: with kmod an address has one site");
        }
        let (IpAddr::V4(from), IpAddr::V4(to)) = (lab.node("spoke2").nbma, hub.nbma) else { panic!("IPv4") };
        let send = || lab::herd::register_sites(from, to, 1000..2000);
        lab.node("spoke2").ns.run(send).unwrap().unwrap();
        wait_status(hub, " 4 registered,");
        let told = |args: &[&str]| {
            let output = dmevpn(hub, args);
            (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
        };
        let metrics = told(&["metrics"]).1;
        let refused = metrics.lines().find_map(|l| l.strip_prefix("dmevpn_vnis_refused_total ")).unwrap();
        assert!(refused.parse::<u32>().unwrap() > 500, "{refused}");
        lab.start("spoke1").unwrap();
        wait_status(lab.node("spoke1"), "valid for");

        let hub = lab.node("hub");
        let told = |args: &[&str]| {
            let output = dmevpn(hub, args);
            (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
        };
        assert_eq!(told(&["peers", "--remove", "10.0.0.3,1001"]), (Some(0), "1 removed\n".into()));
        assert_eq!(told(&["peers", "test", "--remove", "10.0.0.3"]), (Some(0), "3 removed\n".into()));
        let (code, said) = told(&["peers", "--remove", "10.0.0.3"]);
        assert_eq!((code, said.as_str()), (Some(1), "dmevpn: no router is registered from 10.0.0.3\n"));
        wait("their ports go", || hub.served() == Ok(1));
        // Who is alive comes back.
        lab.start("spoke2").unwrap();
        all_is_well(lab);
        let hub = lab.node("hub");
        assert!(dmevpn(hub, &["peers", "--remove", "10.0.0.2"]).status.success());
        wait_status(hub, " 2 registered,");
        wait("a port for each", || hub.served() == Ok(2));
        all_is_well(lab);
    });
}

/// `flush` at a hub: it forgets where MACs are, asks everybody to ask anew, and traffic goes on.
#[test]
fn a_hub_is_flushed() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        let (hub, vm1) = (lab.node("hub"), lab::text_of_mac(VM1));
        let knows = || String::from_utf8(dmevpn(hub, &["macs"]).stdout).unwrap().contains(&vm1);
        assert!(knows());
        assert!(dmevpn(hub, &["flush"]).status.success());
        assert!(!knows());
        let pinged = ping_spoke2(lab, 50);
        assert!(pinged.none_lost(), "{pinged}");
        all_is_well(lab);
    });
}

/// What `dataplane kmod` needs is not there: the VN waits for it and says so.
#[test]
fn a_hub_without_the_patched_driver() {
    if std::fs::exists("/sys/module/vxlan_dmevpn").unwrap() {
        return;
    }
    in_small(plan(), |lab| {
        let edit = |text: String| text.replace("role 'hub'", "role 'hub'\n\toption dataplane 'kmod'");
        lab.node("hub").edit_config(edit).unwrap();
        lab.start("hub").unwrap();
        wait_status(lab.node("hub"), "why dataplane kmod: no VXLAN driver with learn_vni=Y");
        lab.node("hub").edit_config(|text| text.replace("'kmod'", "'auto'")).unwrap();
        lab.node("hub").signal(libc::SIGHUP).unwrap();
        wait_status(lab.node("hub"), "data plane bridge (no VXLAN driver with learn_vni=Y is loaded)");
        lab.start_all().unwrap();
        all_is_well(lab);
    });
}

/// A hub that could not listen for a while finds out what happened meanwhile.
#[test]
fn events_of_the_kernel_are_lost() {
    in_small(plan(), |lab| {
        lab.add_host("vm2", "spoke2", "br-test", lab::mac(0x0d), inside(13)).unwrap();
        lab.start_all().unwrap();
        all_is_well(lab);
        let hub = lab.node("hub");
        let roaming = lab::mac(0x77);
        let speak = |host: &str| {
            let sender = Sender::new(&lab.host(host).ns, "eth0").unwrap();
            sender.send(&experiment(BROADCAST, roaming, 1, 60)).unwrap();
        };
        let is_at = |spoke: &str| {
            let macs = String::from_utf8(dmevpn(hub, &["macs"]).stdout).unwrap();
            macs.lines().any(|l| l.contains("52:54:00:00:00:77") && l.contains(spoke))
        };
        speak("vm1");
        wait("the hub hears of it", || is_at("10.0.0.2"));

        hub.signal(libc::SIGSTOP).unwrap();
        make_noise(hub);
        speak("vm2");
        std::thread::sleep(Duration::from_millis(500));
        hub.signal(libc::SIGCONT).unwrap();
        wait("they were lost", || hub.log_text().contains("events of the kernel were lost"));
        wait("the hub knows where it is now", || is_at("10.0.0.3"));
        all_is_well(lab);
    });
}
