//! A network of three hubs, and what its stations hear of each other.

use super::{VM1, VM3, add_hosts, inside};
use crate::lab::capture::Capture;
use crate::lab::nodes::{Lab, Plan, SOON, test_vn};
use crate::lab::report::Report;
use crate::lab::traffic::{BROADCAST, Sender, experiment, experiment_number};
use crate::lab::{MacBytes, Res, Stamp, mac, ms, now, wait_until};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// vm4's MAC.
pub const VM4: MacBytes = mac(0x0d);
/// The MAC of vm9, which is at the second hub.
const VM9: MacBytes = mac(0x29);
/// The VNI of spoke4.
pub const VNI4: u32 = 7000;
/// Which hub each spoke prefers.
const PREFERRED: [(&str, &str); 4] =
    [("spoke1", "hub"), ("spoke2", "hub2"), ("spoke3", "hub"), ("spoke4", "hub3")];
/// Where frames are heard.
const EARS: [(&str, &str); 5] =
    [("vm1", "eth0"), ("spoke2", "tunnel2"), ("vm3", "eth0"), ("vm4", "eth0"), ("vm9", "eth0")];

/// Three hubs that are each other's peers; no daemon is started yet.
///
/// ```text
/// vm1 11.0.0.10 -- spoke1 (VNI 100) --+-- hub ---+
/// vm3 11.0.0.12 -- spoke3 (VNI 100) --+    |     |
///     11.0.0.11 on spoke2 (VNI 101) ----- hub2 --|-- vm9 11.0.0.29
///                                          |     |
/// vm4 11.0.0.14 -- spoke4 (VNI 7000) ---- hub3 --+
/// ```
pub fn several_hubs(plan: &Plan) -> Res<Lab> {
    let mut lab = Lab::new(plan.clone())?;
    lab.add_hub(vec![test_vn(0)])?;
    for (n, vni) in [(1, 100), (2, 101), (3, 100), (4, VNI4)] {
        lab.add_spoke(n, vec![test_vn(vni)])?;
    }
    lab.add_spare_hub(2, vec![test_vn(0)])?;
    lab.add_spare_hub(3, vec![test_vn(0)])?;
    lab.link_hubs()?;
    lab.prefer("spoke2", 2)?;
    lab.prefer("spoke4", 3)?;
    add_hosts(&mut lab)?;
    lab.add_host("vm4", "spoke4", "br-test", VM4, inside(14))?;
    lab.node("hub2").ns.ip("link add br-test type bridge mcast_snooping 0\nlink set br-test up")?;
    lab.add_host("vm9", "hub2", "br-test", VM9, inside(29))?;
    Ok(lab)
}

/// All daemons run, all hubs know each other, and each spoke is at the hub that it prefers.
pub fn settle(lab: &mut Lab) -> Res {
    let is_astray = |lab: &Lab, (spoke, hub): (&str, &str)| {
        lab.node(spoke).is_running() && !lab.node(spoke).is_at(lab.node(hub))
    };
    // It would return by itself, but that takes minutes.
    let astray: Vec<&str> = PREFERRED.into_iter().filter(|at| is_astray(lab, *at)).map(|at| at.0).collect();
    lab.start_the_others()?;
    let patient = SOON * 2;
    if !wait_until(patient, || are_linked(lab)) {
        return Err("the hubs are not linked".into());
    }
    for spoke in astray {
        lab.nodes.get_mut(spoke).ok_or("no such spoke")?.hand_over()?;
        lab.start(spoke)?;
    }
    for (spoke, hub) in PREFERRED {
        let spoke = lab.node(spoke);
        // One that it was at keeps its port for a while.
        let is_elsewhere = || lab.hubs().any(|other| other.name != hub && other.serves(spoke.nbma));
        if !wait_until(patient, || spoke.is_at(lab.node(hub)) && !is_elsewhere()) {
            return Err(format!("{} is not at {hub}", spoke.name));
        }
    }
    Ok(())
}

/// Whether each hub has a port to each other one.
pub fn are_linked(lab: &Lab) -> bool {
    let all: Vec<_> = lab.hubs().collect();
    let knows_all = |hub: &&crate::lab::nodes::Node| {
        all.iter().all(|other| other.name == hub.name || hub.serves(other.nbma))
    };
    all.iter().all(knows_all)
}

/// Broadcasts of some stations that go on in the background, and who hears them.
pub struct Broadcasts {
    from: Vec<(&'static str, MacBytes)>,
    ears: Vec<(&'static str, Capture)>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Stamp>>,
}

/// What was heard of one station at one place.
pub struct Heard {
    /// Who sent.
    pub from: &'static str,
    /// Where it was heard.
    pub at: &'static str,
    /// How many of those that were sent were not heard.
    pub lost: usize,
    /// How many were heard once more.
    pub doubled: usize,
    /// The longest time in which nothing that was sent was heard.
    pub gap: Duration,
}

impl Broadcasts {
    /// vm1, vm3 and vm4 send.
    pub fn start(lab: &Lab, every: Duration) -> Res<Broadcasts> {
        let from = vec![("vm1", VM1), ("vm3", VM3), ("vm4", VM4)];
        let ns = |place: &str| lab.hosts.get(place).map_or_else(|| &lab.node(place).ns, |host| &host.ns);
        let ear = |(place, device)| Ok((place, Capture::start(ns(place), device)?));
        let ears = EARS.into_iter().map(ear).collect::<Res<_>>()?;
        let sender = |(name, mac): &(&str, MacBytes)| Ok((Sender::new(ns(name), "eth0")?, *mac));
        let senders = from.iter().map(sender).collect::<Res<Vec<_>>>()?;
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let stop = stop.clone();
            move || send_until(&senders, every, &stop)
        });
        Ok(Broadcasts { from, ears, stop, thread })
    }

    /// Nothing is sent any more: what was heard of what was sent since then.
    pub fn stop(self, since: Stamp) -> Res<Vec<Heard>> {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.thread.join().map_err(|_| "the sender ended early".to_string())?;
        let first = sent.iter().position(|at| *at >= since).unwrap_or(sent.len());
        let last = sent.len().checked_sub(1).ok_or("nothing was sent")? as u32;
        let all = || {
            let pairs = self.ears.iter().flat_map(|ear| self.from.iter().map(move |from| (ear, from)));
            pairs.filter(|(ear, from)| ear.0 != from.0)
        };
        let numbers = |ear: &Capture, mac: MacBytes| {
            ear.all(|frame| experiment_number(&frame.bytes, mac).filter(|_| !frame.outgoing))
        };
        // Copies may be slower.
        wait_until(Duration::from_secs(1), || {
            all().all(|(ear, from)| numbers(&ear.1, from.1).contains(&last))
        });
        std::thread::sleep(Duration::from_millis(200));
        let mut heard: Vec<Heard> = all()
            .map(|(ear, from)| Heard::new(from.0, ear.0, &numbers(&ear.1, from.1), &sent, first))
            .collect();
        // What it sends is not to come back.
        for ((at, ear), (from, mac)) in all_of(&self.ears, &self.from) {
            let back = numbers(ear, mac).len();
            heard.push(Heard { from, at, lost: 0, doubled: back, gap: Duration::ZERO });
        }
        Ok(heard)
    }
}

/// Each station that sends, and its own ear.
fn all_of<'a>(
    ears: &'a [(&'static str, Capture)],
    from: &'a [(&'static str, MacBytes)],
) -> impl Iterator<Item = ((&'static str, &'a Capture), (&'static str, MacBytes))> {
    let own = |from: &(&str, MacBytes)| ears.iter().find(|ear| ear.0 == from.0);
    from.iter().filter_map(move |from| own(from).map(|ear| ((ear.0, &ear.1), *from)))
}

impl Heard {
    fn new(from: &'static str, at: &'static str, numbers: &[u32], sent: &[Stamp], first: usize) -> Heard {
        let mut numbers: Vec<usize> = numbers.iter().map(|n| *n as usize).filter(|n| *n >= first).collect();
        let all = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        let mut last = sent.get(first).copied().unwrap_or_default();
        let mut gap = Duration::ZERO;
        for at in numbers.iter().filter_map(|n| sent.get(*n)).chain(sent.last()) {
            gap = gap.max(at.saturating_sub(last));
            last = *at;
        }
        let lost = (sent.len() - first).saturating_sub(numbers.len());
        Heard { from, at, lost, doubled: all - numbers.len(), gap }
    }
}

/// No station hears a broadcast of another one twice. Its own may come back to it once, while its spoke goes to another hub:
/// that floods to it as soon as it may send there.
pub fn none_twice(r: &mut Report, heard: &[Heard]) {
    let says = |h: &Heard| format!("{} of {} at {}", h.doubled, h.from, h.at);
    let (own, others): (Vec<&Heard>, Vec<&Heard>) =
        heard.iter().filter(|h| h.doubled > 0).partition(|h| h.from == h.at);
    let others: Vec<String> = others.into_iter().map(says).collect();
    r.check(others.is_empty(), format!("broadcasts heard twice: {others:?}"));
    let back: Vec<String> = own.iter().map(|h| says(h)).collect();
    r.check(own.iter().all(|h| h.doubled <= 1), format!("broadcasts back at who sent them: {back:?}"));
}

/// The same, and each misses `most` of each other one at most.
pub fn heard_once(r: &mut Report, heard: &[Heard], most: usize) {
    none_twice(r, heard);
    let lost: Vec<String> = heard
        .iter()
        .filter(|h| h.lost > 0)
        .map(|h| format!("{} of {} at {} in {}", h.lost, h.from, h.at, ms(h.gap)))
        .collect();
    r.check(heard.iter().all(|h| h.lost <= most), format!("broadcasts lost (limit {most} each): {lost:?}"));
}

fn send_until(senders: &[(Sender, MacBytes)], every: Duration, stop: &AtomicBool) -> Vec<Stamp> {
    let mut sent = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let number = sent.len() as u32;
        sent.push(now());
        for (sender, from) in senders {
            let _ = sender.send(&experiment(BROADCAST, *from, number, 60));
        }
        std::thread::sleep(every);
    }
    sent
}
