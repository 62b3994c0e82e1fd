//! Point 7: what nobody talks to costs next to nothing.

use crate::lab::capture::Capture;
use crate::lab::nodes::{Lab, SOON};
use crate::lab::peek::kind;
use crate::lab::report::{Report, played};
use crate::lab::traffic::{BROADCAST, Sender, experiment};
use crate::lab::{MacBytes, Res, Stamp, mac, ms, now, text_of_mac, wait_until};
use std::net::IpAddr;
use std::time::Duration;

/// Heard once, at vm1's place, and never sent to.
const HEARD: MacBytes = mac(0x7701);
/// A MAC that nobody has.
const UNKNOWN: MacBytes = mac(0x99);

/// A MAC only heard, in a network whose bindings hold for some seconds; then one that does not exist.
pub fn silent_and_unknown(short: &mut Lab) -> Report {
    let title =
        "a MAC only heard costs one question and expires; an unknown one is not asked for again and again";
    played(7, title, |r| {
        short.start_all()?;
        only_heard(short, r)?;
        unknown(short, r)
    })
}

fn only_heard(lab: &Lab, r: &mut Report) -> Res {
    let (spoke1, hearers) = (lab.node("spoke1"), [lab.node("spoke2"), lab.node("spoke3")]);
    let hub_wire = Capture::start(&lab.node("hub").ns, "eth1")?;
    let heard = now();
    Sender::new(&lab.host("vm1").ns, "eth0")?.send(&experiment(BROADCAST, HEARD, 0, 60))?;
    for hearer in hearers {
        let (there, what) = hearer.wait_shortcut("test", HEARD, spoke1.nbma, 100);
        r.check(there, what);
    }
    let limit = Duration::from_secs(u64::from(lab.plan.holding_time) + 4);
    let gone = |node: &crate::lab::nodes::Node| node.shortcuts("test", HEARD).is_ok_and(|s| s.is_empty());
    let expired = wait_until(limit, || hearers.iter().all(|h| gone(h)));
    let took = ms(now().saturating_sub(heard));
    r.check(
        expired,
        format!("unused, it is gone everywhere after {took} (holding time {} s)", lab.plan.holding_time),
    );
    std::thread::sleep(Duration::from_secs(1)); // would it be asked for again?
    for hearer in hearers {
        let asked = questions(&hub_wire, hearer.nbma, HEARD).len();
        let there_again = !gone(hearer);
        r.check(
            asked == 1 && !there_again,
            format!("{} asked {asked} time(s) where {} lives", hearer.name, text_of_mac(HEARD)),
        );
    }
    Ok(())
}

fn unknown(lab: &Lab, r: &mut Report) -> Res {
    let program = lab.plan.program.as_ref().ok_or("needs the daemon")?;
    let spoke = lab.node("spoke3");
    let hub_wire = Capture::start(&lab.node("hub").ns, "eth1")?;
    let end = now() + Duration::from_secs(u64::from(lab.plan.negative_time) * 2);
    let (mut tries, mut said) = (0, String::new());
    while now() < end {
        // How the command exits is its own matter; here only the wire counts.
        said = spoke.ask(program, &["resolve", "test", &text_of_mac(UNKNOWN)]).unwrap_or_else(|e| e);
        tries += 1;
        std::thread::sleep(Duration::from_millis(250));
    }
    r.note(format!(
        "`dmevpn resolve` said in the end: {}",
        said.trim().rsplit(": ").next().unwrap_or_default()
    ));
    let refused = |f: &crate::lab::capture::Frame| {
        f.nhrp().is_some_and(|n| n.is(kind::RESOLVED, &UNKNOWN) && n.code() == Some(12))
    };
    wait_until(SOON, || hub_wire.count(refused) > 0);
    let asked = questions(&hub_wire, spoke.nbma, UNKNOWN);
    let refusals = hub_wire.count(refused);
    r.check(
        !asked.is_empty() && refusals == asked.len(),
        format!("{tries} wishes, {} question(s) on the wire, {refusals} answered with NAK 12", asked.len()),
    );
    let rest = Duration::from_secs(lab.plan.negative_time.into()) - Duration::from_millis(200);
    let calm = asked.windows(2).all(|w| w[1].saturating_sub(w[0]) >= rest);
    r.check(calm, format!("never two within the negative time of {} s", lab.plan.negative_time));
    Ok(())
}

/// When that node asked where the MAC lives.
fn questions(wire: &Capture, from: IpAddr, mac: MacBytes) -> Vec<Stamp> {
    wire.all(|f| {
        let n = f.nhrp().filter(|n| n.is(kind::RESOLVE, &mac))?;
        (n.outer.source == from).then_some(f.at)
    })
}
