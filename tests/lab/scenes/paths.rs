//! Point 11: what goes straight from site to site goes by the hub when nothing gets there any more.

use super::{BRIDGE2, inside, ip};
use crate::lab::nodes::{Lab, SOON};
use crate::lab::report::{Report, played};
use crate::lab::traffic::{Echoes, Ping, ping};
use crate::lab::{Res, ms, now, patience, wait_until};
use std::time::Duration;

/// How long a stream may be dark.
const DARK: Duration = Duration::from_millis(2500);

/// Something gets in the way of a direct path while a station sends a thousand packets a second.
pub fn blocked_path(lab: &mut Lab) -> Report {
    let title = "the direct path is blocked: frames go by the hub, and straight again when it is open";
    played(11, title, |r| {
        if std::process::Command::new("nft").arg("--version").output().is_err() {
            r.check(true, "not proven: nothing can be blocked here without nft");
            return Ok(());
        }
        lab.start_all()?;
        play(lab, r)
    })
}

fn play(lab: &Lab, r: &mut Report) -> Res {
    let (spoke1, spoke2) = (lab.node("spoke1"), lab.node("spoke2"));
    let is_direct = || spoke1.has_shortcut("test", BRIDGE2, spoke2.nbma, 101);
    let family = if spoke1.nbma.is_ipv6() { "ip6" } else { "ip" };
    let from = format!("{family} saddr {} udp dport 4789", spoke1.nbma);
    ping(&lab.host("vm1").ns, Echoes::to(ip(inside(11)), 10, 20))?;
    let (there, what) = spoke1.wait_shortcut("test", BRIDGE2, spoke2.nbma, 101);
    r.check(there, format!("before: {what}"));

    let stream = Echoes { count: usize::MAX, ..Echoes::to(ip(inside(11)), 0, 1) };
    let pings = Ping::start(&lab.host("vm1").ns, stream)?;
    // The daemon sees that the shortcut is used.
    std::thread::sleep(Duration::from_secs(6));
    spoke2.wall(&format!("{from} drop"))?;
    let began = now();
    let left = wait_until(SOON, || !is_direct());
    r.check(left, format!("blocked one way: by the hub after {}", ms(now() - began)));
    std::thread::sleep(Duration::from_millis(500));
    spoke2.no_wall()?;
    let open = now();
    let again = wait_until(SOON * 4, is_direct);
    r.check(again, format!("open: straight again after {}", ms(now() - open)));
    std::thread::sleep(Duration::from_millis(500));
    let pinged = pings.stop()?;
    let gap = pinged.longest_gap();
    r.check(gap <= DARK * patience(), format!("{pinged}, longest gap {}", ms(gap)));
    let lost = pinged.lost_from(open);
    let when =
        lost.first().zip(lost.last()).map(|(first, last)| format!(", {} to {} later", ms(*first), ms(*last)));
    let when = when.unwrap_or_default();
    r.check(lost.is_empty(), format!("open: {} lost from then on{when}", lost.len()));

    let pings = Ping::start(&lab.host("vm1").ns, stream)?;
    spoke2.wall(&format!("{from} numgen random mod 10 < 3 drop"))?;
    std::thread::sleep(Duration::from_secs(5));
    let stayed = is_direct();
    spoke2.no_wall()?;
    let pinged = pings.stop()?;
    r.check(stayed, format!("of ten packets three are lost: it stays straight; {pinged}"));
    Ok(())
}
