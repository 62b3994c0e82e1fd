//! Point 12: the hub's machine is rebooted; its spokes notice, and register again.

use super::{BRIDGE2, VM1, inside, ip};
use crate::lab::capture::Capture;
use crate::lab::nodes::{Lab, SOON};
use crate::lab::report::{Report, played};
use crate::lab::traffic::{BROADCAST, Echoes, Ping, Sender, experiment, experiment_number, ping};
use crate::lab::{MacBytes, Res, Stamp, mac, ms, now, patience, wait_until};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A station on spoke2 that others hear by way of the hub.
const OTHER: MacBytes = mac(0x7f02);
/// How long a site that sends may be without the hub, once that is back.
const ACTIVE: Duration = Duration::from_secs(3);
/// And one that does not.
const IDLE: Duration = Duration::from_secs(6);
/// A hub that has just accepted a site, and knows nobody behind another one, is believed after this. On a slow machine others come
/// back later, and until then what is sent to them is lost.
const WAITED_FOR: Duration = Duration::from_secs(5);

/// Nothing is left in the hub's kernel, and it knows nobody, while two sites send by it and by a shortcut.
pub fn hub_reboot(lab: &mut Lab) -> Report {
    let title = "the hub's machine is rebooted: shortcuts lose nothing, and its spokes are soon back";
    played(12, title, |r| {
        lab.start_all()?;
        play(lab, r)
    })
}

fn play(lab: &mut Lab, r: &mut Report) -> Res {
    ping(&lab.host("vm1").ns, Echoes::to(ip(inside(11)), 10, 20))?;
    let (there, what) = lab.node("spoke1").wait_shortcut("test", BRIDGE2, lab.node("spoke2").nbma, 101);
    r.check(there, format!("before: {what}"));
    let pings =
        Ping::start(&lab.host("vm1").ns, Echoes { count: usize::MAX, ..Echoes::to(ip(inside(11)), 0, 10) })?;
    let arrived = Capture::start(&lab.node("spoke2").ns, "tunnel2")?;
    let senders = [
        (Sender::new(&lab.host("vm1").ns, "eth0")?, VM1),
        (Sender::new(&lab.node("spoke2").ns, "br-test")?, OTHER),
    ];
    let stop = AtomicBool::new(false);
    let (started, back) = std::thread::scope(|scope| {
        scope.spawn(|| send_until(&senders, &stop));
        // The daemons see that the hub is used.
        std::thread::sleep(Duration::from_secs(6));
        let result = reboot(lab, r);
        if let Ok((started, _)) = result {
            wait_until(ACTIVE, || first_after(&arrived, started).is_some());
        }
        stop.store(true, Ordering::Relaxed);
        result
    })?;
    let pinged = pings.stop()?;
    let idle = back.map_or(Duration::MAX, |at| at - started);
    let shortcut = format!("on the shortcut, every 10 ms: {pinged}");
    match patience() > 1 && idle > WAITED_FOR {
        true => r.note(format!("{shortcut}, while sites came back {} apart", ms(idle))),
        false => _ = r.check(pinged.none_lost(), shortcut),
    }
    let gap = first_after(&arrived, started).map_or(Duration::MAX, |at| at - started);
    r.check(gap <= ACTIVE * patience(), format!("by the hub, from site to site: again after {}", ms(gap)));
    r.check(idle <= IDLE * patience(), format!("a site that sends nothing is registered after {}", ms(idle)));
    // vm1 was the first that the hub heard.
    let pinged = ping(&lab.host("vm3").ns, Echoes::to(ip(inside(10)), 10, 20))?;
    r.check(pinged.none_lost(), format!("vm3 to vm1, by the hub at first: {pinged}"));
    let (there, what) = lab.node("spoke3").wait_shortcut("test", VM1, lab.node("spoke1").nbma, 100);
    r.check(there, what);
    Ok(())
}

/// When the first frame of vm1's came after that.
fn first_after(arrived: &Capture, started: Stamp) -> Option<Stamp> {
    let of_vm1 = arrived.all(|f| {
        let is_from_vm1 = !f.outgoing && experiment_number(&f.bytes, VM1).is_some();
        (is_from_vm1 && f.at > started).then_some(f.at)
    });
    of_vm1.into_iter().min()
}

/// When the hub was started again, and when it had the site that sends nothing.
fn reboot(lab: &mut Lab, r: &mut Report) -> Res<(Stamp, Option<Stamp>)> {
    let gone = now();
    lab.reboot_hub()?;
    std::thread::sleep(Duration::from_secs(4));
    let started = now();
    lab.start("hub")?;
    let (hub, idle) = (lab.node("hub"), lab.node("spoke3").nbma);
    let back = wait_until(SOON, || hub.serves(idle)).then(now);
    // Those that send are served, too.
    let all = lab.wait_connected(SOON).is_ok();
    r.event(Some(gone), "the hub is gone");
    r.event(Some(started), "its daemon is started again");
    r.event(back, "it has the site that sends nothing");
    r.check(all, "it has all its spokes again");
    Ok((started, back))
}

fn send_until(senders: &[(Sender, MacBytes)], stop: &AtomicBool) {
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        for (sender, from) in senders {
            let _ = sender.send(&experiment(BROADCAST, *from, sent, 60));
        }
        sent += 1;
        std::thread::sleep(Duration::from_millis(10));
    }
}
