//! Points 8 and 9: more spokes.

use super::{VM1, inside, ip};
use crate::lab::nodes::{Lab, bridge_mac, test_vn};
use crate::lab::report::{Report, played};
use crate::lab::traffic::{Echoes, Ping, ping};
use crate::lab::{Res, mac, ms, now};
use std::fs;
use std::net::IpAddr;
use std::time::Duration;

/// A fourth spoke; the hub is not touched.
pub fn adding_a_spoke(lab: &mut Lab) -> Report {
    let title = "the hub's configuration names no spoke; a new spoke touches nothing there";
    played(8, title, |r| {
        lab.start_all()?;
        let config = lab.node("hub").config();
        let read = || fs::read_to_string(&config).map_err(|e| format!("{}: {e}", config.display()));
        let (before, pid) = (read()?, lab.node("hub").pid());
        let named: Vec<_> = (1..=4).map(|n| lab.nbma(n + 1)).filter(|a| names(&before, *a)).collect();
        r.check(
            named.is_empty() && !before.contains("spoke"),
            format!("the hub's configuration ({} octets) names these spokes: {named:?}", before.len()),
        );

        lab.add_spoke(4, vec![test_vn(7000)])?;
        lab.add_host("vm4", "spoke4", "br-test", mac(0x0d), inside(14))?;
        lab.start_all()?;
        let pinged = ping(&lab.host("vm4").ns, Echoes::to(ip(inside(10)), 20, 20))?;
        r.check(pinged.none_lost(), format!("vm4 behind the new spoke4 (VNI 7000) pings vm1: {pinged}"));
        let (spoke1, spoke4) = (lab.node("spoke1"), lab.node("spoke4"));
        for (spoke, remote, far, vni) in [(spoke4, VM1, spoke1, 100), (spoke1, mac(0x0d), spoke4, 7000)] {
            let (there, what) = spoke.wait_shortcut("test", remote, far.nbma, vni);
            r.check(there, what);
        }
        let same_file = read()? == before;
        let hub = lab.node("hub");
        let same_process = hub.pid() == pid && hub.is_running();
        r.check(same_file && same_process, "the hub: same configuration file, same process");
        Ok(())
    })
}

/// Whether the text has the address as a word of its own.
fn names(text: &str, address: IpAddr) -> bool {
    let address = address.to_string();
    text.split(|c: char| !(c.is_ascii_hexdigit() || matches!(c, '.' | ':'))).any(|word| word == address)
}

/// Spokes up to the number `count`; each one's own host pings vm1.
pub fn many_spokes(lab: &mut Lab, count: u8) -> Report {
    played(9, "many spokes: each reaches vm1 without a loss and by a shortcut", |r| {
        lab.start_all()?;
        let first = (1..=count).find(|n| !lab.nodes.contains_key(&format!("spoke{n}"))).unwrap_or(count + 1);
        let began = now();
        for n in first..=count {
            // Every site uses the VNI it likes, here often the same one.
            lab.add_spoke(n, vec![test_vn(100 + u32::from(n % 3))])?;
            let address = inside(100 + n);
            lab.node(&format!("spoke{n}")).ns.ip(&format!("addr add {address}/24 dev br-test"))?;
        }
        lab.introduce()?;
        let built = now();
        lab.start_all()?;
        let connected = now();
        let new = count + 1 - first;
        r.note(format!(
            "{new} more spokes: built in {}, all connected {} after their start",
            ms(built - began),
            ms(connected - built)
        ));
        for n in first..=count {
            reaches_vm1(lab, r, n)?;
        }
        r.check(true, format!("{} spokes at one hub", lab.spokes().count()));
        Ok(())
    })
}

fn reaches_vm1(lab: &Lab, r: &mut Report, n: u8) -> Res {
    let (spoke, spoke1) = (lab.node(&format!("spoke{n}")), lab.node("spoke1"));
    let pinged = Ping::start(&spoke.ns, Echoes { count: 1000, ..Echoes::to(ip(inside(10)), 0, 20) })?;
    let (to, what_to) = spoke.wait_shortcut("test", VM1, spoke1.nbma, 100);
    let (from, what_from) =
        spoke1.wait_shortcut("test", bridge_mac(n, 0), spoke.nbma, 100 + u32::from(n % 3));
    std::thread::sleep(Duration::from_millis(40));
    let pinged = pinged.stop()?;
    let good = pinged.none_lost() && to && from;
    r.check(
        good,
        format!(
            "spoke{n}: {pinged}{}",
            if to && from { String::new() } else { format!("; {what_to}; {what_from}") }
        ),
    );
    Ok(())
}
