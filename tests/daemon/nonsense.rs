//! What makes no sense: spoiled packets from strangers, and more MACs than there is room for.

use super::*;
use lab::now;
use lab::traffic::{BROADCAST, Sender, experiment};
use std::sync::atomic::{AtomicBool, Ordering};

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
pub const HEADERS: usize = 14 + 20;
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
pub fn repair(frame: &mut [u8]) {
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
pub fn under_attack(plan: Plan, scene: impl FnOnce(&mut Lab, &[Vec<u8>], &Sender)) {
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

/// Whoever has an address to which there is no way cannot be answered, and says so to nobody a thousand times.
#[test]
fn senders_without_a_way_to_them_do_not_fill_the_log() {
    under_attack(plan(), |lab, frames, sender| {
        let hub = lab.node("hub");
        let before = hub.log_text().len();
        for number in 0..2000 {
            let mut frame = frames[number % frames.len()].clone();
            frame[6..12].copy_from_slice(&lab::mac(0x9999));
            frame[26..30].copy_from_slice(&[192, 0, 2, (number % 200) as u8]);
            repair(&mut frame);
            let _ = sender.send(&frame);
            std::thread::sleep(Duration::from_millis(2));
        }
        wait_status(hub, "hub");
        let log = hub.log_text();
        let told = log.lines().filter(|l| l.contains("cannot send")).count();
        println!("{} octets, {told} lines of sending", log.len() - before);
        assert!((1..=10).contains(&told), "{log}");
    });
}

/// How long the threads of a node's daemon had a processor so far.
fn processor_time(node: &Node) -> Duration {
    let threads = fs::read_dir(format!("/proc/{}/task", node.pid().unwrap())).unwrap().flatten();
    let of = |thread: fs::DirEntry| -> Option<u64> {
        fs::read_to_string(thread.path().join("schedstat")).ok()?.split(' ').next()?.parse().ok()
    };
    Duration::from_nanos(threads.filter_map(of).sum())
}

/// `flood` goes on without an end, and the daemon of `name` has a tenth of the time of a processor. Questions are
/// answered after a little of that, and then it ends: a spoke once its withdrawal is confirmed, or after 3 s.
fn keeps_nobody_waiting(lab: &mut Lab, name: &str, flood: impl Fn() + Sync) {
    /// What goes on beside a test ends with it, also when it fails.
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let node = lab.node(name);
    wait_status(node, "VN test");
    let over = AtomicBool::new(false);
    let (longest, end) = std::thread::scope(|scope| {
        let until = Over(&over);
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                flood();
            }
        });
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                for (signal, ms) in [(libc::SIGSTOP, 20), (libc::SIGCONT, 2)] {
                    let _ = node.signal(signal);
                    std::thread::sleep(Duration::from_millis(ms));
                }
            }
        });
        let ask = || {
            let (asked, before) = (now(), processor_time(node));
            let output = dmevpn(node, &["status", "--timeout", "20"]);
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            let took = (processor_time(node) - before, now() - asked);
            std::thread::sleep(Duration::from_millis(300));
            took
        };
        let longest = (0..10).map(|_| ask()).max().unwrap();
        let ordered = now();
        node.signal(libc::SIGTERM).unwrap();
        let ends = wait_until(SOON, || !node.is_running());
        drop(until);
        assert!(ends, "it ends");
        (longest, now() - ordered)
    });
    println!("{name}: a question takes {longest:?} at most, the end {end:?}");
    // All that it does meanwhile counts, which other programs on this machine do not slow down.
    assert!(longest.0 < Duration::from_millis(150) * lab::patience(), "{longest:?}");
    let most = if name == "hub" { 2 } else { 5 };
    assert!(end < Duration::from_secs(most) * lab::patience(), "{end:?}");
    let _ = lab.nodes.get_mut(name).unwrap().stop();
    lab.start(name).unwrap();
}

/// 30 000 packets a second that make no sense, of a stranger and with the address of a spoke.
#[test]
fn a_flood_of_garbage_keeps_nobody_waiting() {
    under_attack(plan(), |lab, frames, sender| {
        let mut numbers = Numbers(3);
        for from in [[10, 0, 0, 10], [10, 0, 0, 2]] {
            let mut spoiled = || {
                let mut frame = frames[numbers.below(frames.len())].clone();
                frame[6..12].copy_from_slice(&lab::mac(0x9999));
                frame[26..30].copy_from_slice(&from);
                frame[30..34].copy_from_slice(&[10, 0, 0, 1]);
                spoil(&frame, &mut numbers)
            };
            let spoiled: Vec<Vec<u8>> = (0..3000).map(|_| spoiled()).collect();
            keeps_nobody_waiting(lab, "hub", || {
                for some in spoiled.chunks(60) {
                    let next = now() + Duration::from_millis(2);
                    some.iter().for_each(|frame| drop(sender.send(frame)));
                    std::thread::sleep(next.saturating_sub(now()));
                }
            });
        }
    });
}

/// Registrations come faster than they are read.
#[test]
fn a_flood_of_registrations_keeps_nobody_waiting() {
    under_attack(plan(), |lab, frames, sender| {
        let frames: Vec<Vec<u8>> =
            frames.iter().map(|frame| [&frame[..6], &lab::mac(0x9999), &frame[12..]].concat()).collect();
        keeps_nobody_waiting(lab, "hub", || frames.iter().for_each(|frame| drop(sender.send(frame))));
    });
}

/// MACs move from port to port as fast as hosts can send, and the kernel tells of each of them.
#[test]
fn a_flood_of_moves_keeps_nobody_waiting() {
    in_small(plan(), |lab| {
        lab.add_host("vm2", "spoke2", "br-test", lab::mac(0x0d), inside(13)).unwrap();
        lab.add_host("vm3", "spoke1", "br-test", lab::mac(0x0e), inside(14)).unwrap();
        lab.start_all().unwrap();
        all_is_well(lab);
        // Between two sites, and at one.
        for (node, hosts) in [("hub", ["vm1", "vm2"]), ("spoke1", ["vm1", "vm2"]), ("spoke1", ["vm1", "vm3"])]
        {
            let senders = hosts.map(|host| Sender::new(&lab.host(host).ns, "eth0").unwrap());
            keeps_nobody_waiting(lab, node, || {
                for sender in &senders {
                    for number in 0..200 {
                        let frame = experiment(BROADCAST, lab::mac(0x4000 + number), number.into(), 60);
                        let _ = sender.send(&frame);
                    }
                }
            });
        }
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
            let told = log.lines().filter(|l| l.contains("the table of MACs is full")).count();
            assert!((1..20).contains(&told), "{} tells {told} times that its table is full", node.name);
        }
        let shortcuts = external(spoke1, "tunnel2").len();
        assert!(shortcuts <= 101, "{shortcuts} shortcuts");
        let pinged = ping_spoke2(lab, 10);
        assert!(pinged.none_lost(), "{pinged}");
    });
}
