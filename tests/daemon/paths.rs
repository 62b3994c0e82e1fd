//! Paths: frames go straight to another site only where probes come back.

use super::*;
use dmevpn::types::{Mac, Nbma, Vni, Vtep};
use dmevpn::wire::probe::Probe;
use lab::forger::Forger;
use lab::scenes::frame;
use lab::traffic::{BROADCAST, EXPERIMENT, Ping};
use lab::{mac, now};

/// The uses of shortcuts are looked at so often; a path is probed faster from then on.
const SEEN_IN_USE: Duration = Duration::from_secs(6);

pub(super) fn can_block() -> bool {
    let can = std::process::Command::new("nft").arg("--version").output().is_ok();
    if !can {
        println!("skipped: nothing can be blocked without nft");
    }
    can
}

pub(super) fn paths(node: &Node) -> String {
    String::from_utf8(dmevpn(node, &["paths"]).stdout).unwrap()
}

/// While a stream goes straight from site to site, these rules at these nodes are in its way: it goes by the hub soon after,
/// the first site says why in this word, and it goes straight again when the path is open.
fn is_left_and_used_again(lab: &Lab, echoes: Echoes, walls: &[(&Node, String)], why: &str) {
    let (spoke1, spoke2) = (lab.node("spoke1"), lab.node("spoke2"));
    lab.wait_connected(SOON).unwrap();
    let stream = Ping::start(&lab.host("vm1").ns, echoes).unwrap();
    wait_shortcut(lab);
    std::thread::sleep(SEEN_IN_USE);
    walls.iter().for_each(|(node, rule)| node.wall(rule).unwrap());
    let began = now();
    let is_direct = || spoke1.has_shortcut("test", BRIDGE2, spoke2.nbma, 101);
    let gone = wait_until(SOON, || !is_direct());
    println!("by the hub after {} ms", (now() - began).as_millis());
    assert!(gone, "it goes straight: {}", status(spoke1));
    wait("it is said", || says(spoke1, spoke2, why));
    walls.iter().for_each(|(node, _)| node.no_wall().unwrap());
    let open = now();
    let back = wait_until(Duration::from_secs(60), is_direct);
    assert!(back, "it does not go straight again: {}", status(spoke1));
    std::thread::sleep(Duration::from_secs(1));
    let pinged = stream.stop().unwrap();
    let gap = pinged.longest_gap();
    println!("{pinged}, longest gap {} ms", gap.as_millis());
    // Seen within 2 s; noisy machines get more.
    assert!(gap < Duration::from_millis(2500) * lab::patience(), "{gap:?}");
    assert_eq!(pinged.lost_from(open), [], "it goes straight again without loss");
}

/// Whether a node says this word of its path to another one.
fn says(node: &Node, of: &Node, word: &str) -> bool {
    paths(node).lines().any(|line| line.contains(&of.nbma.to_string()) && line.contains(word))
}

fn stream() -> Echoes {
    Echoes::to(ip(inside(11)), 100_000, 10)
}

fn with_a_path(ipv6: bool, scene: impl FnOnce(&mut Lab)) {
    in_small(Plan { ipv6, ..plan() }, |lab| {
        if can_block() {
            lab.start_all().unwrap();
            scene(lab);
        }
    });
}

#[test]
fn a_path_that_is_blocked_both_ways_is_left() {
    with_a_path(true, |lab| {
        let (spoke1, spoke2) = (lab.node("spoke1"), lab.node("spoke2"));
        let rule = |from: &Node| format!("ip6 saddr {} meta l4proto udp drop", from.nbma);
        let walls = [(spoke2, rule(spoke1)), (spoke1, rule(spoke2))];
        is_left_and_used_again(lab, stream(), &walls, "does not get there and back");
    });
}

/// ICMP says at once what else takes a while to be seen.
#[test]
fn a_path_that_is_refused_is_left() {
    with_a_path(false, |lab| {
        let from = lab.node("spoke1").nbma;
        let rule = format!("ip saddr {from} udp dport 4789 reject with icmp type admin-prohibited");
        is_left_and_used_again(lab, stream(), &[(lab.node("spoke2"), rule)], "ICMP says");
    });
}

#[test]
fn a_path_that_only_small_frames_pass_is_left() {
    with_a_path(false, |lab| {
        let rule = format!("ip saddr {} udp dport 4789 udp length > 1000 drop", lab.node("spoke1").nbma);
        let large = Echoes { size: 1400, ..stream() };
        is_left_and_used_again(lab, large, &[(lab.node("spoke2"), rule)], "large frames");
    });
}

/// What is blocked from the beginning is never used, and nothing is lost for it.
#[test]
fn a_path_that_never_worked_is_not_used() {
    with_a_path(false, |lab| {
        let (spoke1, spoke2) = (lab.node("spoke1"), lab.node("spoke2"));
        lab.wait_connected(SOON).unwrap();
        spoke2.wall(&format!("ip saddr {} udp dport 4789 drop", spoke1.nbma)).unwrap();
        let watch = fdb::Monitor::start(&spoke1.ns).unwrap();
        let pinged = ping(&lab.host("vm1").ns, Echoes::to(ip(inside(11)), 150, 20)).unwrap();
        assert!(pinged.none_lost(), "{pinged}");
        wait("the path is tested", || paths(spoke1).contains("down"));
        let shortcut = |change: &fdb::Change| {
            let entry = &change.entry;
            (change.present && entry.own && entry.dst == Some(spoke2.nbma)).then(|| entry.to_string())
        };
        assert_eq!(watch.first(shortcut), None);
    });
}

/// NHRP passes, VXLAN does not: all is lost, and said.
#[test]
fn a_hub_that_frames_do_not_get_to_is_told() {
    with_a_path(false, |lab| {
        let (hub, spoke1) = (lab.node("hub"), lab.node("spoke1"));
        lab.wait_connected(SOON).unwrap();
        let said = |word: &str| {
            let about_hub = |line: &&str| line.contains(&format!("path to hub {}", hub.nbma));
            spoke1.log_text().lines().filter(about_hub).any(|line| line.contains(word))
        };
        let is = |state: &str| says(spoke1, hub, state) && said(state);
        wait("the path is up", || is(" up"));
        hub.wall(&format!("ip saddr {} udp dport 4789 drop", spoke1.nbma)).unwrap();
        wait("it is told", || is(" down"));
        assert!(status(spoke1).contains("registered"), "{}", status(spoke1));
        hub.no_wall().unwrap();
        wait("it is up again", || is(" up"));
    });
}

/// A stranger sends probes as if it were the other site: that one's own are answered all the same.
fn is_as_well_probed_as_before(lab: &Lab, stranger: &Forger) {
    let (spoke1, spoke2) = (lab.node("spoke1"), lab.node("spoke2"));
    let stream = Ping::start(&lab.host("vm1").ns, stream()).unwrap();
    wait_shortcut(lab);
    std::thread::sleep(SEEN_IN_USE);
    let asker = Vtep { nbma: Nbma::new(spoke2.nbma).unwrap(), vni: Vni::new(101).unwrap() };
    let source = Mac::new(BRIDGE2).unwrap();
    let mut octets = [0; 200];
    let probe =
        Probe { is_answer: false, source, transaction: 1, flags: 0, asker, nonce: 1, tag: 0, padding: 0 };
    let length = probe.emit(Vni::new(100).unwrap(), &mut octets).unwrap();
    // Twice as many as pass.
    for _ in 0..1000 {
        stranger.send(stranger.address, spoke1.nbma, 100, &octets[8..length]).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    let said = paths(spoke2);
    let row = said.lines().find(|line| line.contains(&spoke1.nbma.to_string())).unwrap_or_default();
    let before = row.split(" %").next().unwrap_or_default();
    let loss: u32 = before.rsplit(' ').next().and_then(|loss| loss.parse().ok()).unwrap();
    // Four of five would be lost; on a busy machine one may be late.
    assert!(loss < 30, "{said}");
    assert!(stream.stop().unwrap().none_lost());
}

/// What the other site sends has another address on its way. Probes' answers pass the guard all the same, and frames do not.
fn is_left_when_translated(lab: &Lab) {
    let (hub, spoke1, spoke2) = (lab.node("hub"), lab.node("spoke1"), lab.node("spoke2"));
    wait("it is guarded again", || is_guarded(spoke1));
    let translate = |from: &Node| format!("ip saddr {} udp dport 4789 ip saddr set 10.0.0.99", from.nbma);
    let why = "comes back by another address";
    is_left_and_used_again(lab, stream(), &[(spoke1, translate(spoke2))], why);
    spoke1.wall(&translate(hub)).unwrap();
    wait("it is said of the hub", || says(spoke1, hub, why) && status(spoke1).contains(why));
    spoke1.no_wall().unwrap();
    lab.wait_connected(SOON).unwrap();
    all_is_well(lab);
}

fn is_guarded(node: &Node) -> bool {
    status(node).contains("guard frames of known sites alone")
}

/// Whether a bridge learned that this machine is there: what the hub does not know, it forgets again soon.
fn learned(watch: &fdb::Monitor, n: u16) -> bool {
    watch.first(|change| (change.present && change.entry.mac == mac(n)).then_some(())).is_some()
}

/// Who is not known from the hub does not reach a spoke's device, not even by its VNI, whether the hub answers or not.
#[test]
fn a_stranger_does_not_reach_a_spoke() {
    in_small(plan(), |lab| {
        if !can_block() {
            return;
        }
        lab.start("spoke1").unwrap();
        let stranger = Forger::new(lab).unwrap();
        let (hub, site, own) = (lab.node("hub").nbma, lab.node("spoke2").nbma, lab.node("spoke1").nbma);
        let spoke1 = lab.node("spoke1");
        wait("its devices are up", || spoke1.log_text().contains("devices are up"));
        assert!(!is_guarded(spoke1), "others may send by what they were told before");
        let tried = || is_guarded(spoke1) || status(spoke1).contains("guard missing");
        assert!(wait_until(Duration::from_secs(100), tried), "{}", status(spoke1));
        if !is_guarded(spoke1) {
            return println!("skipped: this kernel can have no guard");
        }
        let watch = fdb::Monitor::start(&spoke1.ns).unwrap();
        let mut n = 0x7e00;
        let mut send = |source, to, vxlan: (MacBytes, u16)| {
            n += 1;
            stranger.send(source, to, 100, &frame(vxlan.0, mac(n), vxlan.1)).unwrap();
            n
        };
        let plain = (BROADCAST, EXPERIMENT);
        // It never registered. Those of the hub are heard after the others.
        let early = [send(stranger.address, own, plain), send(site, own, plain)];
        let hubs = send(hub, own, plain);
        wait("the hub is heard, though it never answered", || learned(&watch, hubs));
        assert!(!early.into_iter().any(|n| learned(&watch, n)), "{}", status(spoke1));
        // Its next try would be late; that there is a way again hastens it.
        spoke1.ns.ip("link set eth1 down").unwrap();
        wait("there is no way", || spoke1.log_text().contains("no route to hub"));
        spoke1.ns.ip("link set eth1 up").unwrap();
        lab.start_all().unwrap();
        all_is_well(lab);
        let spoke1 = lab.node("spoke1");
        let probes = [1, 0x80, 0xc2, 0, 0, 2];
        // What is let in for the sake of probes teaches nothing.
        let kinds = [plain, (probes, 0x8902), ([1, 0x80, 0xc2, 0, 0, 0x0e], 0x8902), (probes, EXPERIMENT)];
        let strange = kinds.map(|kind| send(stranger.address, own, kind));
        // The hub, and the site that there is a shortcut to.
        let known = [hub, site].map(|source| send(source, own, plain));
        wait("those who may are heard", || known.into_iter().all(|n| learned(&watch, n)));
        assert!(!strange.into_iter().any(|n| learned(&watch, n)), "{}", status(spoke1));
        all_is_well(lab);
        is_as_well_probed_as_before(lab, &stranger);
        // The way is lost, and with it all that is known. The device takes what comes to any address.
        spoke1.ns.ip(&format!("addr del {own}/24 dev eth1\naddr add 10.0.0.77/24 dev eth1")).unwrap();
        wait("nobody is known", || !paths(spoke1).contains("10.0.0.1"));
        let other: IpAddr = "10.0.0.77".parse().unwrap();
        let strange = send(stranger.address, other, plain);
        let known = [hub, site].map(|source| send(source, other, plain));
        wait("those who might are heard", || known.into_iter().all(|n| learned(&watch, n)));
        assert!(!learned(&watch, strange) && is_guarded(spoke1), "{}", status(spoke1));
        spoke1.ns.ip(&format!("addr del {other}/24 dev eth1\naddr add {own}/24 dev eth1")).unwrap();
        lab.wait_connected(SOON).unwrap();
        all_is_well(lab);
        is_left_when_translated(lab);
    });
}
