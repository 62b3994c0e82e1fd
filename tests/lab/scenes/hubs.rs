//! Point 13: of two hubs the one in use vanishes, with its machine.

use super::{BRIDGE2, inside, ip};
use crate::lab::nodes::{Lab, SOON};
use crate::lab::report::{Report, played};
use crate::lab::traffic::{Echoes, Ping, ping};
use crate::lab::{Res, ms, now, patience, wait_until};
use std::time::Duration;

/// How long nothing may arrive that goes by the hub.
const DARK: Duration = Duration::from_millis(4500);

/// A station at a site talks with one at the second hub, and with one at another site, when the first hub is gone.
pub fn hub_lost(lab: &mut Lab) -> Report {
    let title =
        "of two hubs the one in use vanishes: shortcuts lose nothing, and all goes by the other one soon";
    played(13, title, |r| {
        lab.start_all()?;
        play(lab, r)
    })
}

fn play(lab: &mut Lab, r: &mut Report) -> Res {
    let vm1 = |lab: &Lab, echoes| Ping::start(&lab.host("vm1").ns, echoes);
    ping(&lab.host("vm1").ns, Echoes::to(ip(inside(11)), 10, 20))?;
    let (there, what) = lab.node("spoke1").wait_shortcut("test", BRIDGE2, lab.node("spoke2").nbma, 101);
    r.check(there, format!("before: {what}"));
    let at_hub2 = wait_until(SOON, || {
        ping(&lab.host("vm1").ns, Echoes::to(ip(inside(29)), 3, 20)).is_ok_and(|pinged| pinged.none_lost())
    });
    r.check(at_hub2, "before: what is at the second hub is reached");
    let stream = |n, apart| Echoes { count: usize::MAX, ..Echoes::to(ip(inside(n)), 0, apart) };
    let (direct, by_hub) = (vm1(lab, stream(11, 1))?, vm1(lab, stream(29, 1))?);
    // The daemon sees that the hub is used.
    std::thread::sleep(Duration::from_secs(6));
    let began = now();
    lab.reboot_hub()?;
    r.event(Some(began), "the hub is gone");
    let hub2 = lab.node("hub2");
    let all = wait_until(SOON, || lab.spokes().all(|spoke| hub2.serves(spoke.nbma)));
    r.check(all, format!("all spokes are at the other one after {}", ms(now() - began)));
    std::thread::sleep(Duration::from_secs(1));
    let (direct, by_hub) = (direct.stop()?, by_hub.stop()?);
    r.check(direct.none_lost(), format!("on the shortcut, every millisecond: {direct}"));
    let gap = by_hub.longest_gap();
    r.check(gap <= DARK * patience(), format!("by the hub: {by_hub}, longest gap {}", ms(gap)));
    Ok(())
}
