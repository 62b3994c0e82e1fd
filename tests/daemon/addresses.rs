//! Several addresses of hub and spoke on one interface, and such that come, go and change.

use super::hub::{Hosts, use_hub_name};
use super::ways::{default, own, two_uplinks};
use super::*;
use lab::capture::Capture;
use lab::peek::kind;
use lab::{herd, now};

/// The hub takes its addresses from its interface.
fn hub_by_interface(lab: &Lab) {
    let hub = lab.node("hub");
    let nbma = format!("option nbma '{}'", hub.nbma);
    hub.edit_config(|text| text.replace(&nbma, "option interface 'eth1'")).unwrap();
}

/// The spoke registers at this address of the hub.
fn hub_is_at(node: &Node, before: IpAddr, address: &str) {
    let (before, after) = (format!("option address '{before}'"), format!("option address '{address}'"));
    node.edit_config(|text| text.replace(&before, &after)).unwrap();
}

/// What the hub's ports send from.
fn port_locals(hub: &Node) -> Vec<String> {
    let ports = hub.ports().unwrap().into_keys();
    let local = |port: String| {
        let said = show(hub, &port);
        said.split_whitespace().skip_while(|word| !word.starts_with("local")).nth(1).unwrap_or("").to_owned()
    };
    let mut all: Vec<String> = ports.map(local).collect();
    all.sort();
    all
}

/// A hub with an address that moves between routers (VRRP), and one that it gets while it runs.
#[test]
fn a_hub_hears_on_all_addresses_of_its_interface() {
    for ipv6 in [false, true] {
        in_small(Plan { ipv6, ..plan() }, |lab| {
            // IPv6 ones are made such that the kernel does not take them by itself.
            let (vip, later, host) = match ipv6 {
                false => ("10.0.0.100", "10.0.0.101", "32"),
                true => ("fd00::100", "fd00::101", "128 nodad preferred_lft 0"),
            };
            hub_by_interface(lab);
            let nbma = lab.node("hub").nbma;
            lab.node("hub").ns.ip(&format!("addr add {vip}/{host} dev eth1")).unwrap();
            hub_is_at(lab.node("spoke1"), nbma, vip);
            for name in ["hub", "spoke1", "spoke2"] {
                lab.start(name).unwrap();
            }
            let (hub, spoke1) = (lab.node("hub"), lab.node("spoke1"));
            wait_status(spoke1, "valid for");
            wait_status(lab.node("spoke2"), "valid for");
            wait("each port sends from the address that was used", || {
                port_locals(hub) == [nbma.to_string(), vip.to_owned()]
            });
            all_is_well(lab);

            hub.ns.ip(&format!("addr add {later}/{host} dev eth1")).unwrap();
            hub_is_at(spoke1, vip.parse().unwrap(), later);
            let there = now();
            assert_eq!(dmevpn(spoke1, &["reload"]).status.code(), Some(0));
            wait("it is registered there", || port_locals(hub) == [nbma.to_string(), later.to_owned()]);
            assert!(now() - there < Duration::from_secs(3) * lab::patience(), "{:?}", now() - there);
            wait_status(spoke1, "valid for");
            all_is_well(lab);
        });
    }
}

/// Only what comes by the interface is the hub's, and what goes there: not what several may have.
#[test]
fn a_hub_hears_on_its_interface_only() {
    in_small(plan(), |lab| {
        hub_by_interface(lab);
        let hub = lab.node("hub");
        lab.add_uplink("hub", "eth2", "hub2").unwrap();
        hub.ns.ip("addr add 10.0.0.9/24 dev eth2").unwrap();
        hub_is_at(lab.node("spoke1"), hub.nbma, "10.0.0.9");
        let other = Capture::start(&hub.ns, "eth2").unwrap();
        let own = Capture::start(&hub.ns, "eth1").unwrap();
        for name in ["hub", "spoke1"] {
            lab.start(name).unwrap();
        }
        let hub = lab.node("hub");
        wait_status(hub, "0 registered");
        let count = |capture: &Capture, what: u8| {
            capture.count(|frame| frame.nhrp().is_some_and(|nhrp| nhrp.kind == what))
        };
        let to_many = || herd::register([10, 0, 0, 3].into(), [10, 0, 0, 255].into());
        lab.node("spoke2").ns.run(to_many).unwrap().unwrap();
        wait("it was asked twice", || count(&other, kind::REGISTER) >= 2);
        assert_eq!(count(&own, kind::REGISTER), 1);
        assert_eq!((count(&own, kind::REGISTERED), count(&other, kind::REGISTERED)), (0, 0));
        // Told to be at the right one, it is.
        hub_is_at(lab.node("spoke1"), "10.0.0.9".parse().unwrap(), "10.0.0.1");
        lab.node("spoke1").signal(libc::SIGHUP).unwrap();
        wait_status(lab.node("spoke1"), "valid for");
        wait("the cookie and the answer", || count(&own, kind::REGISTERED) == 2);
    });
}

/// The interface is deleted and made anew, with another index, as PPPoE does it: the hub hears again.
#[test]
fn the_interface_of_a_hub_is_made_anew() {
    in_small(plan(), |lab| {
        let hub = lab.node("hub");
        hub.edit_config(|text| text.replace("option nbma '10.0.0.1'", "option interface 'ppp0'")).unwrap();
        hub.ns.ip("addr flush dev eth1").unwrap();
        for _ in 0..2 {
            lab.add_uplink("hub", "ppp0", "hub2").unwrap();
            let hub = lab.node("hub");
            hub.ns.ip("addr add 10.0.0.1/24 dev ppp0").unwrap();
            if hub.pid().is_none() {
                lab.start_all().unwrap();
            }
            let hub = lab.node("hub");
            for name in ["spoke1", "spoke2"] {
                assert_eq!(dmevpn(lab.node(name), &["flush"]).status.code(), Some(0));
            }
            lab.wait_connected(SOON).unwrap();
            wait("it answers", || {
                ping_spoke2(lab, 3).answered() == 3
                    && lab.node("spoke1").wait_shortcut("test", BRIDGE2, lab.node("spoke2").nbma, 101).0
            });
            hub.ns.ip("link del ppp0").unwrap();
            wait_status(hub, "interface 'ppp0' does not exist");
        }
    });
}

/// Names with two addresses, of which the first is silent though there is a way to it, and another one each time it is
/// looked up; or both are silent, until they are looked up anew. Each gets three requests.
#[test]
fn a_name_whose_first_address_is_silent() {
    in_small(plan(), |lab| {
        lab.add_spoke(3, vec![test_vn(102)]).unwrap();
        let names = ["10.0.0.99 hub.test\n10.0.0.1 hub.test", "10.0.0.98 hub.test\n10.0.0.99 hub.test"];
        let names = [names[0], names[1], "2001:db8::99 hub.test\n10.0.0.1 hub.test"];
        let spokes = ["spoke1", "spoke2", "spoke3"];
        let hosts = spokes.iter().zip(names).map(|(name, lines)| {
            let node = lab.node(name);
            let nbma = format!("\toption nbma '{}'\n", node.nbma);
            node.edit_config(|text| text.replace(&nbma, "")).unwrap();
            use_hub_name(node, "hub.test");
            Hosts::new(node, lines)
        });
        let hosts: Vec<Hosts> = hosts.collect();
        lab.node("spoke3").ns.ip("addr add 2001:db8::4/64 nodad dev eth1").unwrap();
        lab.start("hub").unwrap();
        let began = now();
        spokes.iter().for_each(|name| lab.start(name).unwrap());
        std::thread::sleep(Duration::from_secs(3));
        hosts[1].set("10.0.0.1 hub.test");
        let mut took = [None; 3];
        let mut silent = (20..100).cycle();
        wait_until(Duration::from_secs(60), || {
            std::thread::sleep(Duration::from_millis(100));
            hosts[0].set(&format!("10.0.0.{} hub.test\n10.0.0.1 hub.test", silent.next().unwrap()));
            for (name, took) in spokes.iter().zip(&mut took).filter(|(_, took)| took.is_none()) {
                *took = status(lab.node(name)).contains("valid for").then(|| now() - began);
            }
            took.iter().all(Option::is_some)
        });
        println!("registered after {took:?}");
        let most = [10, 18, 10].map(|seconds| Duration::from_secs(seconds) * lab::patience());
        let in_time = took.iter().zip(most).all(|(took, most)| took.is_some_and(|took| took < most));
        assert!(in_time, "{took:?}; {}", status(lab.node("spoke3")));
        let log = lab.node("spoke3").log_text();
        assert!(log.contains("the way is from 2001:db8::4 to 2001:db8::99"), "{log}");
        all_is_well(lab);
    });
}

/// The spoke has no address configured: none at all, or the interface's.
fn without_nbma(node: &Node, option: &str) {
    let nbma = format!("\toption nbma '{}'\n", node.nbma);
    node.edit_config(|text| text.replace(&nbma, option)).unwrap();
}

const OF_INTERFACE: &str = "\toption interface 'eth1'\n";

/// Where spokes are registered at the hub.
fn wait_registered_at(lab: &Lab, address: &str, since: lab::Stamp) {
    let (hub, spoke1) = (lab.node("hub"), lab.node("spoke1"));
    let is_there = || {
        let peers = String::from_utf8(dmevpn(hub, &["peers"]).stdout).unwrap();
        peers.split_whitespace().any(|word| word == address) && status(spoke1).contains("valid for")
    };
    wait(&format!("it is registered at {address}"), is_there);
    assert!(now() - since < Duration::from_secs(1) * lab::patience(), "{:?}", now() - since);
}

/// Of several addresses on an interface the kernel's choice counts, and it follows.
#[test]
fn a_spoke_sends_from_what_the_kernel_chooses() {
    for option in [OF_INTERFACE, ""] {
        in_small(plan(), |lab| {
            let spoke1 = lab.node("spoke1");
            without_nbma(spoke1, option);
            spoke1.ns.ip("addr add 10.0.0.77/32 dev eth1").unwrap();
            spoke1.ns.ip("route replace 10.0.0.0/24 dev eth1 src 10.0.0.77").unwrap();
            lab.start_all().unwrap();
            wait_registered_at(lab, "10.0.0.77", now());
            all_is_well(lab);
            let changed = now();
            lab.node("spoke1").ns.ip("route replace 10.0.0.0/24 dev eth1 src 10.0.0.2").unwrap();
            wait_registered_at(lab, "10.0.0.2", changed);
            all_is_well(lab);
        });
    }
}

/// Whether the uplink has such an IPv6 address.
fn has(node: &Node, uplink: &str, such: &str) -> bool {
    let mut command = node.ns.command("ip");
    !command.args(["-6", "addr", "show", "dev", uplink, such]).output().unwrap().stdout.is_empty()
}

/// The uplink has that address instead of the one before, and another one each day; whether the kernel makes such.
fn make_temporary(node: &Node, uplink: &str, before: &str, address: &str) -> bool {
    let enable = || fs::write(format!("/proc/sys/net/ipv6/conf/{uplink}/use_tempaddr"), "2");
    node.ns.run(enable).unwrap().unwrap();
    // Only of an address that ends temporary ones are made.
    let lives = "mngtmpaddr valid_lft 86400 preferred_lft 14400";
    node.ns
        .ip(&format!("addr del {before} dev {uplink}\naddr add {address} dev {uplink} nodad {lives}"))
        .unwrap();
    let made = wait_until(Duration::from_secs(3), || has(node, uplink, "temporary"));
    if !made {
        println!("skipped: this kernel makes no temporary addresses");
    }
    made
}

/// An address that is made anew each day is not taken as long as another one is there; nor is one that is about to go.
#[test]
fn a_spoke_sends_from_an_address_that_lasts() {
    for option in [OF_INTERFACE, ""] {
        in_small(Plan { ipv6: true, ..plan() }, |lab| {
            let spoke1 = lab.node("spoke1");
            without_nbma(spoke1, option);
            if !make_temporary(spoke1, "eth1", "fd00::2/64", "fd00::2/64") {
                return;
            }
            lab.start_all().unwrap();
            wait_registered_at(lab, "fd00::2", now());
            all_is_well(lab);
            let spoke1 = lab.node("spoke1");
            // The other one is not good before nobody else claims it.
            spoke1.ns.run(|| fs::write("/proc/sys/net/ipv6/conf/eth1/accept_dad", "1")).unwrap().unwrap();
            spoke1.ns.ip("addr add fd00::77/64 dev eth1").unwrap();
            spoke1.ns.ip("addr change fd00::2/64 dev eth1 valid_lft 86400 preferred_lft 0").unwrap();
            assert!(has(spoke1, "eth1", "tentative"), "it takes a second");
            wait("it is good", || !has(spoke1, "eth1", "tentative"));
            wait_registered_at(lab, "fd00::77", now());
            all_is_well(lab);
        });
    }
}

/// Each of two uplinks has addresses that are made anew each day: it sends from the lasting one of that by which packets leave.
#[test]
fn two_uplinks_with_temporary_addresses() {
    in_small(Plan { ipv6: true, ..plan() }, |lab| {
        two_uplinks(lab, "spoke1");
        let spoke1 = lab.node("spoke1");
        own(spoke1, "");
        let is_made = make_temporary(spoke1, "eth1", "fd00::2/128", "fd00::2/64 noprefixroute")
            && make_temporary(spoke1, "eth2", "fd02::2/64", "fd02::2/64");
        if !is_made {
            return;
        }
        lab.start_all().unwrap();
        wait_registered_at(lab, "fd00::2", now());
        all_is_well(lab);
        let spoke1 = lab.node("spoke1");
        let route = format!("{} via fd00::fe dev eth1 metric 10", default(lab));
        let changed = now();
        spoke1.ns.ip(&format!("route del {route}")).unwrap();
        wait_registered_at(lab, "fd02::2", changed);
        all_is_well(lab);
        let changed = now();
        spoke1.ns.ip(&format!("route add {route}")).unwrap();
        wait_registered_at(lab, "fd00::2", changed);
        // By the other uplink, the kernel would choose the temporary address there: what is to be done is told.
        own(spoke1, "interface 'eth2'");
        let changed = now();
        assert_eq!(dmevpn(spoke1, &["reload"]).status.code(), Some(0));
        wait_registered_at(lab, "fd02::2", changed);
        wait_status(spoke1, "leave by 'eth1', not by the interface");
        let told = "ip -6 rule add from fd02::2 lookup TABLE";
        wait("it is told", || spoke1.log_text().contains(told));
        spoke1.ns.ip(&format!("route add {} via fd02::fe dev eth2 table 100", default(lab))).unwrap();
        if spoke1.ns.rule(true, "rule add from fd02::2 lookup 100").is_err() {
            println!("skipped: this kernel has no rules");
            return;
        }
        wait("it is mended", || !status(spoke1).contains("leave by"));
        all_is_well(lab);
        for uplink in ["eth1", "eth2"] {
            assert!(has(spoke1, uplink, "temporary"), "{uplink}");
        }
    });
}
