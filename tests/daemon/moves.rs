//! Hosts that go elsewhere and say nothing there.

use super::*;
use lab::traffic::Ping;
use lab::{Stamp, mac, now, patience, text_of_mac};

const VM2: MacBytes = mac(0x20);

/// A host with a leg at spoke2 and one at spoke3, of the same MAC, which speaks only when spoken to. It stands on `eth0`.
fn add_quiet_host(lab: &mut Lab) {
    lab.add_spoke(3, vec![test_vn(102)]).unwrap();
    lab.add_host("vm2", "spoke2", "br-test", VM2, inside(20)).unwrap();
    let vm2 = &lab.host("vm2").ns;
    let quiet = || fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
    vm2.run(quiet).unwrap().unwrap();
    lab.plug(vm2, "eth1", "spoke3", "br-test", "vm2", VM2).unwrap();
}

fn stand_on(lab: &Lab, from: &str, to: &str) -> Stamp {
    let lines = format!("addr flush dev {from}\nlink set {to} up\naddr add 11.0.0.20/24 dev {to}");
    lab.host("vm2").ns.ip(&lines).unwrap();
    now()
}

/// From when it stood at its new site until it answered.
fn gap(ping: Ping, moved: Stamp) -> Duration {
    std::thread::sleep(Duration::from_millis(2500) * patience());
    let pinged = ping.stop().unwrap();
    pinged.first_reply_after(moved).map_or(Duration::MAX, |at| at.saturating_sub(moved))
}

fn pings(lab: &Lab, host: &str) -> Ping {
    let echoes = Echoes { count: 100_000, ..Echoes::to(ip(inside(20)), 0, 20) };
    let ping = Ping::start(&lab.host(host).ns, echoes).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    ping
}

fn purges_sent(node: &Node) -> u64 {
    let metrics = String::from_utf8(dmevpn(node, &["metrics"]).stdout).unwrap();
    let purges = metrics.lines().find_map(|l| l.strip_prefix("dmevpn_tx_purge_req_total ")).unwrap();
    purges.parse().unwrap()
}

/// Its cable is pulled, then it goes back as a virtual machine is removed: whoever talks to it finds it within a second.
#[test]
fn a_quiet_host_goes_to_another_site() {
    in_small(plan(), |lab| {
        add_quiet_host(lab);
        lab.start_all().unwrap();
        all_is_well(lab);
        let soon = Duration::from_secs(1) * patience();
        let shortcut = |spoke: &str, vni| {
            let to = lab.node(spoke);
            let (there, what) = lab.node("spoke1").wait_shortcut("test", VM2, to.nbma, vni);
            assert!(there, "{what}");
        };
        let vm2 = &lab.host("vm2").ns;

        let ping = pings(lab, "vm1");
        shortcut("spoke2", 101);
        vm2.ip("link set eth0 down").unwrap();
        let moved = stand_on(lab, "eth0", "eth1");
        let dark = gap(ping, moved);
        println!("its link was down: dark for {dark:?}");
        assert!(dark < soon, "{dark:?}");

        let ping = pings(lab, "vm1");
        shortcut("spoke3", 102);
        lab.node("spoke3").ns.ip("link del vm2").unwrap();
        let lines = "link set eth0 up\naddr add 11.0.0.20/24 dev eth0";
        vm2.ip(lines).unwrap();
        let moved = now();
        let dark = gap(ping, moved);
        println!("its port was removed: dark for {dark:?}");
        assert!(dark < soon, "{dark:?}");
        shortcut("spoke2", 101);
    });
}

/// From a spoke to the hub's own bridge, and back.
#[test]
fn a_quiet_host_goes_to_the_hub_and_comes_back() {
    in_small(plan(), |lab| {
        add_quiet_host(lab);
        lab.start_all().unwrap();
        wait("the hub's bridge", || lab.node("hub").ns.has("br-test"));
        let vm2 = &lab.host("vm2").ns;
        lab.plug(vm2, "eth2", "hub", "br-test", "vm2", VM2).unwrap();
        all_is_well(lab);
        let soon = Duration::from_secs(1) * patience();
        for (from, to) in [("eth0", "eth2"), ("eth2", "eth0")] {
            let ping = pings(lab, "vm1");
            wait("a shortcut", || !lab.node("spoke1").shortcuts("test", VM2).unwrap().is_empty());
            vm2.ip(&format!("link set {from} down")).unwrap();
            let moved = stand_on(lab, from, to);
            let dark = gap(ping, moved);
            println!("from {from} to {to}: dark for {dark:?}");
            assert!(dark < soon, "{from} {to} {dark:?}");
        }
    });
}

/// What a bridge forgets by its age is still there: nobody is told anything. A switch with all its hosts that loses power
/// is told of in few words.
#[test]
fn what_ages_stays_and_a_switch_that_goes_is_told_at_once() {
    const HOSTS: u16 = 200;
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        let (hub, spoke2) = (lab.node("hub"), lab.node("spoke2"));
        spoke2
            .ns
            .ip("link add switch type veth peer name far\nlink set far up\nlink set switch master br-test up")
            .unwrap();
        let learned = |n: u16| text_of_mac(mac(0x2000 + n));
        let entries = |how: &str| -> String {
            (0..HOSTS).map(|n| format!("fdb replace {} dev switch master {how}\n", learned(n))).collect()
        };
        let known = || {
            let macs = String::from_utf8(dmevpn(hub, &["macs"]).stdout).unwrap();
            (0..HOSTS).filter(|n| macs.contains(&learned(*n))).count()
        };
        // The bridge takes no such entry until it knows of the carrier.
        wait("the port forwards", || spoke2.ns.bridge(&entries("dynamic")).is_ok());
        wait("the hub knows all of them", || known() == usize::from(HOSTS));

        let before = purges_sent(spoke2);
        spoke2.ns.ip("link set br-test type bridge ageing_time 100").unwrap();
        let at_bridge = || fdb::dump(&spoke2.ns, "switch").unwrap().iter().filter(|e| !e.own).count();
        wait("the bridge forgets them", || at_bridge() < 10);
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(purges_sent(spoke2), before);
        assert_eq!(known(), usize::from(HOSTS), "they are there all the same");

        spoke2.ns.ip("link set br-test type bridge ageing_time 30000").unwrap();
        spoke2.ns.bridge(&entries("dynamic")).unwrap();
        wait("the bridge knows them again", || at_bridge() > usize::from(HOSTS));
        std::thread::sleep(Duration::from_millis(200));
        let clock = now();
        spoke2.ns.ip("link set far down").unwrap();
        wait("the hub knows none of them", || known() == 0);
        println!("{HOSTS} hosts are gone after {:?}", now().saturating_sub(clock));
        let words = purges_sent(spoke2) - before;
        assert!((7..=20).contains(&words), "{words}");
    });
}
