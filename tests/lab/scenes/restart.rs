//! Point 6: the hub's daemon dies and comes back; the network does not notice.

use super::{BRIDGE2, VM1, inside, ip};
use crate::lab::capture::Capture;
use crate::lab::nodes::Lab;
use crate::lab::report::{Report, played};
use crate::lab::traffic::{BROADCAST, Echoes, Ping, Sender, experiment, experiment_number, ping};
use crate::lab::{MacBytes, Res, mac, ms, now, wait_until};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A station nobody ever heard: frames to it always go by the hub, to all.
const SILENT: MacBytes = mac(0x7f00);
/// A station first heard after the hub is back: whether the hub works again.
const NEW: MacBytes = mac(0x7f01);

/// SIGKILL and a new start while frames flow direct and through the hub.
pub fn hub_restart(lab: &mut Lab) -> Report {
    let title = "the hub's daemon is killed and started again: nothing is lost, its ports are adopted";
    played(6, title, |r| {
        lab.start_all()?;
        play(lab, r)
    })
}

fn play(lab: &mut Lab, r: &mut Report) -> Res {
    ping(&lab.host("vm1").ns, Echoes::to(ip(inside(11)), 10, 20))?;
    let (there, what) = lab.node("spoke1").wait_shortcut("test", BRIDGE2, lab.node("spoke2").nbma, 101);
    r.check(there, format!("before: {what}"));
    let ports = lab.node("hub").ports()?;
    let tunnel = |name: &str| Capture::start(&lab.node(name).ns, "tunnel2");
    let arrived = [tunnel("spoke2")?, tunnel("spoke3")?];

    let pings =
        Ping::start(&lab.host("vm1").ns, Echoes { count: 5000, ..Echoes::to(ip(inside(11)), 0, 10) })?;
    let sender = Sender::new(&lab.host("vm1").ns, "eth0")?;
    let stop = AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let flood = scope.spawn(|| send_until(&sender, &stop));
        let result = kill_and_restart(lab, r);
        stop.store(true, Ordering::Relaxed);
        let sent = flood.join().map_err(|_| "the sender ended early".to_string())?;
        result.and(sent)
    })?;
    let pinged = pings.stop()?;
    r.check(pinged.none_lost(), format!("on the shortcut, every 10 ms: {pinged}"));

    for (name, capture) in ["spoke2", "spoke3"].iter().zip(&arrived) {
        for (what, to) in [("broadcasts", BROADCAST), ("frames to a silent station", SILENT)] {
            let numbers = || {
                let mut numbers = capture.all(|f| {
                    experiment_number(&f.bytes, VM1).filter(|_| !f.outgoing && f.destination() == to)
                });
                numbers.sort_unstable();
                numbers.dedup();
                numbers.len() as u32
            };
            wait_until(Duration::from_secs(1), || numbers() == sent);
            let got = numbers();
            r.check(got == sent, format!("through the hub: {got} of {sent} {what} reached {name}"));
        }
    }
    let after = lab.node("hub").ports()?;
    let text: Vec<_> = after.iter().map(|(name, index)| format!("{name}={index}")).collect();
    r.check(
        !ports.is_empty() && ports == after,
        format!("same ports, same interface indices: {}", text.join(" ")),
    );
    Ok(())
}

fn kill_and_restart(lab: &mut Lab, r: &mut Report) -> Res {
    std::thread::sleep(Duration::from_millis(300));
    let killed = now();
    lab.nodes.get_mut("hub").ok_or("no hub")?.kill()?;
    std::thread::sleep(Duration::from_millis(700)); // the network alone
    let started = now();
    lab.start("hub")?;

    // It is back when it answers for a station that was not heard before.
    let sender = Sender::new(&lab.host("vm1").ns, "eth0")?;
    let (spoke1, spoke2) = (lab.node("spoke1"), lab.node("spoke2"));
    let back = wait_until(Duration::from_secs(15), || {
        let _ = sender.send(&experiment(BROADCAST, NEW, 0, 60));
        wait_until(Duration::from_millis(200), || spoke2.has_shortcut("test", NEW, spoke1.nbma, 100))
    });
    let answers = now();
    r.event(Some(killed), "the hub's daemon gets SIGKILL");
    r.event(Some(started), "it is started again");
    r.event(back.then_some(answers), "spoke2 has a new shortcut from it");
    let took = ms(answers.saturating_sub(started));
    r.check(back, format!("the restarted hub resolves a new MAC after {took}"));
    if !back {
        r.note(lab.node("hub").log_end());
    }
    std::thread::sleep(Duration::from_millis(500)); // whatever it may still want to tidy up
    Ok(())
}

/// Sends a broadcast and a frame to the silent station every 10 ms; how many pairs it was.
fn send_until(sender: &Sender, stop: &AtomicBool) -> Res<u32> {
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        sender.send(&experiment(BROADCAST, VM1, sent, 60))?;
        sender.send(&experiment(SILENT, VM1, sent, 60))?;
        sent += 1;
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(sent)
}
