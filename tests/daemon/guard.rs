//! The guard at a hub: who may send to its ports, and what others do to the table of nftables.

use super::log::Own;
use super::*;
use lab::forger::Forger;
use lab::scenes::{frame, uplink_of};
use lab::traffic::{BROADCAST, EXPERIMENT};
use lab::{mac, now};
use std::process::Stdio;

/// Whether this machine can show it: its kernel has nftables, and there is the program.
fn can_be_seen(hub: &Node) -> bool {
    let there = nft(hub, "list tables").is_some() && !hub.log_text().contains("the kernel has no nftables");
    if !there {
        println!("skipped: there is no nftables");
    }
    there
}

/// What `nft` says at a node; `None` where there is no such program.
fn nft(node: &Node, arguments: &str) -> Option<String> {
    std::process::Command::new("nft").arg("--version").output().ok()?;
    let output = node.ns.command("nft").args(arguments.split(' ')).output().unwrap();
    Some(String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

fn rules(node: &Node) -> String {
    nft(node, "-n list ruleset").unwrap()
}

/// How many pairs may send, and how many VNIs are guarded.
fn sizes(node: &Node) -> [usize; 2] {
    ["vteps4", "vnis"].map(|set| {
        let text = nft(node, &format!("list set inet dmevpn {set}")).unwrap();
        // Each element has a VNI, which looks like an address that ends in 0.
        text.split(|c: char| !c.is_ascii_digit() && c != '.').filter(|word| word.ends_with(".0")).count()
    })
}

/// How many packets were dropped; none while there is no guard.
fn dropped(node: &Node) -> u64 {
    let text = String::from_utf8(dmevpn(node, &["metrics"]).stdout).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("dmevpn_guard_dropped_total "));
    line.map_or(0, |count| count.parse().unwrap())
}

/// Whether the hub's bridge knows where this MAC is.
fn knows(hub: &Node, mac: MacBytes) -> bool {
    fdb::dump_all(&hub.ns).unwrap().iter().any(|entry| entry.mac == mac)
}

fn reload_hub(lab: &Lab, edit: impl FnOnce(String) -> String) {
    lab.node("hub").edit_config(edit).unwrap();
    assert!(dmevpn(lab.node("hub"), &["reload"]).status.success());
}

/// By whole packets and by such whose first fragment ends before, within and behind the VXLAN header, which IPv6 puts
/// together behind the place where packets are filtered.
fn a_stranger(ipv6: bool) {
    in_small(Plan { ipv6, ..plan() }, |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        let (hub, spoke1, spoke2) = (lab.node("hub"), lab.node("spoke1"), lab.node("spoke2"));
        if !can_be_seen(hub) {
            return;
        }
        let stranger = Forger::new(lab).unwrap();
        let (one, two) = (uplink_of(hub, spoke1.nbma).unwrap(), uplink_of(hub, spoke2.nbma).unwrap());
        let sizes = [8, 16, 24, usize::MAX];
        let mut n = 0x7d00;
        let mut send = |source, vni, first| {
            n += 1;
            let frame = frame(BROADCAST, mac(n), EXPERIMENT);
            stranger.send_in_pieces(source, hub.nbma, vni, &frame, first).unwrap();
            mac(n)
        };
        let odd = one | 1 << 24;
        let evil = [(stranger.address, one), (spoke1.nbma, two), (stranger.address, odd)];
        let evil = sizes.map(|first| evil.map(|(source, vni)| (source, vni, first)));
        let unknown: Vec<MacBytes> =
            evil.as_flattened().iter().map(|(source, vni, first)| send(*source, *vni, *first)).collect();
        // Each counts once: what follows a first fragment that was dropped is never whole.
        wait("all are counted", || dropped(hub) >= unknown.len() as u64);
        let own = sizes.map(|first| send(spoke1.nbma, one, first));
        // With a first fragment of 8 octets the VNI cannot be seen by IPv6; no router makes such.
        let whole = if ipv6 { &own[1..] } else { &own[..] };
        wait("a spoke's own frames arrive", || whole.iter().all(|mac| knows(hub, *mac)));
        assert!(!unknown.iter().any(|mac| knows(hub, *mac)));
        wait_status(hub, "guard frames of known sites alone");
        // Others' VNIs are not looked at.
        let before = dropped(hub);
        send(stranger.address, 77, usize::MAX);
        // Without a guard they are taken: it is the guard that keeps them out.
        reload_hub(lab, |text| text.replacen("\toption", "\toption guard '0'\n\toption", 1));
        wait("the table is gone", || !rules(hub).contains("dmevpn"));
        let taken = send(stranger.address, one, usize::MAX);
        wait("without the guard they are taken", || knows(hub, taken));
        assert!(!status(hub).contains("guard"));
        reload_hub(lab, |text| text.replacen("\toption guard '0'\n", "", 1));
        wait("the table is back", || rules(hub).contains("table inet dmevpn"));
        let dropped_since = send(stranger.address, one, usize::MAX);
        wait("it counts anew", || (1..before).contains(&dropped(hub)));
        assert!(!knows(hub, dropped_since));
        all_is_well(lab);
    });
}

#[test]
fn a_stranger_does_not_reach_a_hubs_ports() {
    a_stranger(false);
}

#[test]
fn a_stranger_does_not_reach_a_hubs_ports_over_ipv6() {
    a_stranger(true);
}

/// It belongs to the daemon: nobody else takes it away, and nothing is left of it.
#[test]
fn the_table_is_there_as_long_as_the_daemon_runs() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        if !can_be_seen(lab.node("hub")) {
            return;
        }
        assert_eq!(sizes(lab.node("hub")), [2, 2]);
        for command in ["flush ruleset", "delete table inet dmevpn", "flush table inet dmevpn"] {
            nft(lab.node("hub"), command);
        }
        assert_eq!(sizes(lab.node("hub")), [2, 2]);
        // A spoke that leaves may send no more, and its VNI is nobody's once its port is gone.
        lab.nodes.get_mut("spoke2").unwrap().stop().unwrap();
        wait("spoke2 may not send any more", || sizes(lab.node("hub")) == [1, 1]);
        lab.start("spoke2").unwrap();
        lab.wait_connected(SOON).unwrap();
        assert_eq!(sizes(lab.node("hub")), [2, 2]);
        all_is_well(lab);
        // Another UDP port: the same pairs.
        reload_hub(lab, |text| text.replacen("\toption", "\toption udp_port '4790'\n\toption", 1));
        wait("it is about the new port", || {
            let rules = rules(lab.node("hub"));
            rules.contains("udp dport 4790 jump vxlan") && !rules.contains("udp dport 4789")
        });
        reload_hub(lab, |text| text.replacen("\toption udp_port '4790'\n", "", 1));
        lab.wait_connected(SOON).unwrap();
        wait("all pairs are there", || sizes(lab.node("hub")) == [2, 2]);
        all_is_well(lab);
        let hub = lab.nodes.get_mut("hub").unwrap();
        assert_eq!(hub.stop(), Ok(Some(0)));
        assert_eq!(rules(hub), "");
        lab.start("hub").unwrap();
        wait("what it found may send", || {
            let hub = lab.node("hub");
            rules(hub).contains("table inet dmevpn") && sizes(hub) == [2, 2]
        });
        let hub = lab.nodes.get_mut("hub").unwrap();
        hub.kill().unwrap();
        assert_eq!(rules(hub), "");
    });
}

/// A port of an address of before is the new address's: the old one's frames are others'.
#[test]
fn a_site_that_moves_takes_its_right_to_send_along() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        if !can_be_seen(lab.node("hub")) {
            return;
        }
        let spoke1 = lab.node("spoke1");
        spoke1.ns.ip("addr add 10.0.0.77/24 dev eth1").unwrap();
        spoke1.edit_config(|text| text.replace("nbma '10.0.0.2'", "nbma '10.0.0.77'")).unwrap();
        assert!(dmevpn(spoke1, &["reload"]).status.success());
        let hub = lab.node("hub");
        wait("the new address may send, the old one not", || {
            let text = nft(hub, "list set inet dmevpn vteps4").unwrap();
            text.contains("10.0.0.77 .") && !text.contains("10.0.0.2 .") && sizes(hub) == [2, 2]
        });
        let pinged = ping_spoke2(lab, 10);
        assert!(pinged.none_lost(), "{pinged}");
    });
}

/// Two daemons in a network namespace have a table each, of which neither is about the other's VNIs.
#[test]
fn two_hubs_in_one_network_namespace() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        let hub = lab.node("hub");
        if !can_be_seen(hub) {
            return;
        }
        let directory = hub.config().parent().unwrap().join("second");
        fs::create_dir_all(&directory).unwrap();
        hub.ns.ip("addr add 10.0.0.200/24 dev eth1").unwrap();
        let config = directory.join("uci");
        let text = format!(
            "config dmevpn\n option nbma 10.0.0.200\n option socket '{0}/socket'\n option state_file '{0}/state'\n\
             config vn second\n option vpn_id 2\n option role hub\n option bridge br-second\n",
            directory.display()
        );
        fs::write(&config, text).unwrap();
        let mut second = hub.ns.command(program().path);
        second.args(["daemon", "--config"]).arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
        let second = Own(second.spawn().unwrap());
        wait("the second one has a table, too", || rules(hub).contains("table inet dmevpn2"));
        all_is_well(lab);
        drop(second);
        assert!(!rules(hub).contains("dmevpn2"));
        assert_eq!(sizes(hub), [2, 2]);
    });
}

/// Where there can be no table the hub works without, says so once, and tries again by itself.
#[test]
fn without_a_guard_a_hub_runs_and_says_so() {
    in_small(plan(), |lab| {
        if nft(lab.node("hub"), "list tables").is_none_or(|said| said.contains("Error")) {
            return println!("skipped: there is no nftables");
        }
        let names = (1..=16).map(|n| if n == 1 { "dmevpn".to_owned() } else { format!("dmevpn{n}") });
        let names: Vec<String> = names.collect();
        for name in &names {
            assert_eq!(nft(lab.node("hub"), &format!("add table inet {name}")).unwrap(), "");
        }
        lab.start_all().unwrap();
        all_is_well(lab);
        let hub = lab.node("hub");
        wait_status(
            hub,
            "guard missing why anybody's frames are taken from the underlay: tables dmevpn to dmevpn16",
        );
        let mut doctor = hub.ns.command(program().path);
        doctor.args(["doctor", "--config"]).arg(hub.config()).arg("--socket").arg(hub.socket());
        let said = String::from_utf8(doctor.output().unwrap().stdout).unwrap();
        assert!(said.contains("warning  guard: anybody's frames are taken"), "{said}");
        assert!(String::from_utf8(dmevpn(hub, &["metrics"]).stdout).unwrap().contains("dmevpn_guard 0\n"));
        // Tried again meanwhile, and not told again.
        let end = now() + Duration::from_millis(2500);
        wait("some time passes", || now() > end);
        assert_eq!(hub.log_text().matches("anybody's frames").count(), 1, "{}", hub.log_text());
        nft(hub, "delete table inet dmevpn7");
        wait("the guard comes", || status(hub).contains("guard frames of known sites alone"));
        assert!(rules(hub).contains("flags owner"));
        all_is_well(lab);
    });
}
