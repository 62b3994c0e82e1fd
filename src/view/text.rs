//! `dmevpn status` for people.

use super::facts::{RoleStatus, Status, VnStatus};
use super::standing;
use super::table::{Screen, wrapped};
use crate::control::Cause;
use crate::control::words::{duration, oddity, refusal, why_hub};
use crate::engine::WhyHub;
use crate::engine::report::{HubReport, HubRow, KeysReport, SpokeReport, Standing};
use crate::engine::settings::{Trigger, VpnMode};

/// Where the facts stand in `status`.
const COLUMN: usize = 10;

/// So many VNs are shown in full. With more, those that are well get one line each.
const IN_FULL: usize = 4;

/// What a VN carries unless told otherwise.
const ETHERNET: u16 = 1500;

/// What needs a look comes first.
pub fn status(out: &mut String, screen: Screen, status: &Status) {
    daemon(out, screen, status);
    let (well, unwell): (Vec<_>, Vec<_>) = status.vns.iter().partition(|vn| standing::is_well(vn));
    for vn in unwell {
        vn_in_full(out, screen, status, vn);
    }
    if status.vns.len() <= IN_FULL {
        well.into_iter().for_each(|vn| vn_in_full(out, screen, status, vn));
        return;
    }
    if !well.is_empty() {
        out.push('\n');
    }
    well.into_iter().for_each(|vn| vn_in_short(out, screen, vn));
}

fn daemon(out: &mut String, screen: Screen, status: &Status) {
    let mut facts = vec![
        format!("dmevpn {}", status.version),
        format!("up {}", duration(status.uptime)),
        status.config.clone(),
        match &status.device {
            Some(device) => format!("transport {device}"),
            None => "transport raw".into(),
        },
    ];
    facts.extend(status.nbma.iter().map(ToString::to_string));
    let confined = if status.confined { ", confined" } else { "" };
    facts.push(format!("user {}{confined}", status.user));
    wrapped(out, screen, "", 0, &facts);
    why_and_what_to_do(out, screen, status.trouble.as_ref().map(Cause::text), standing::daemon_hint(status));
    match &status.guard {
        Some(Ok(dropped)) => {
            let facts = ["frames of known sites alone".to_owned(), format!("{dropped} of others dropped")];
            wrapped(out, screen, "  guard", COLUMN, &facts);
        }
        Some(Err(why)) => {
            wrapped(out, screen, "  guard", COLUMN, &["missing".to_owned()]);
            why_and_what_to_do(out, screen, Some(why.text()), why.hint().map(Into::into));
        }
        None => {}
    }
    for row in &status.odd {
        let (what, hint) = oddity(row.oddity);
        let times = [
            format!("{} {what}", row.peer),
            count(row.count, "packet"),
            format!("{} ago", duration(row.ago)),
        ];
        wrapped(out, screen, "  odd", COLUMN, &times);
        why_and_what_to_do(out, screen, None, Some(hint.into()));
    }
}

fn why_and_what_to_do(out: &mut String, screen: Screen, why: Option<String>, hint: Option<String>) {
    for (label, text) in [("  why", why), ("  do", hint)] {
        if let Some(text) = text {
            wrapped(out, screen, label, COLUMN, &[text]);
        }
    }
}

fn vn_in_full(out: &mut String, screen: Screen, status: &Status, vn: &VnStatus) {
    out.push('\n');
    wrapped(out, screen, &format!("VN {}:", vn.name), 0, &[part(vn), stands(vn)]);
    // What the daemon as a whole lacks was said above.
    if vn.trouble.is_none() || vn.trouble != status.trouble {
        why_and_what_to_do(out, screen, standing::why(vn), standing::hint(vn));
    }
    match &vn.role {
        RoleStatus::Spoke { report, hubs, .. } => {
            spoke(out, screen, report, hubs);
            wrapped(out, screen, "  site", COLUMN, &site(vn, Some(report)));
        }
        RoleStatus::Hub { dataplane, dataplane_reason, report } => {
            hub(out, screen, report);
            let mut site = site(vn, None);
            site.push(format!("data plane {dataplane} ({dataplane_reason})"));
            wrapped(out, screen, "  site", COLUMN, &site);
        }
    }
}

/// A VN that is well, in a line.
fn vn_in_short(out: &mut String, screen: Screen, vn: &VnStatus) {
    let count = match &vn.role {
        RoleStatus::Spoke { report, .. } => count(report.shortcuts, "shortcut"),
        RoleStatus::Hub { report, .. } => count(report.spokes, "spoke"),
    };
    wrapped(out, screen, &format!("VN {}:", vn.name), 0, &[part(vn), stands(vn), count])
}

/// What this router is in the VN.
fn part(vn: &VnStatus) -> String {
    let RoleStatus::Spoke { hub_name, hub_address, report, .. } = &vn.role else { return "hub".into() };
    match report.hub.map(|nbma| nbma.to_string()).filter(|found| found != hub_address) {
        Some(found) => format!("spoke of {hub_name} ({hub_address} {found})"),
        None => format!("spoke of {hub_name} ({hub_address})"),
    }
}

fn stands(vn: &VnStatus) -> String {
    format!("{} for {}", standing::standing(vn), duration(standing::since(vn)))
}

/// What does not change while it runs.
fn site(vn: &VnStatus, spoke: Option<&SpokeReport>) -> Vec<String> {
    let mut facts = vec![format!("vpn-id {}", vn.vpn_id)];
    facts.extend(spoke.map(|report| format!("vni {}", report.vni)));
    facts.push(match vn.bridge_mac {
        Some(mac) => format!("bridge {} {mac}", vn.bridge),
        None => format!("bridge {}", vn.bridge),
    });
    facts.extend(vn.vlan.map(|vlan| format!("vlan {vlan}")));
    if vn.mtu < ETHERNET {
        facts.push(format!("mtu {}, and larger packets of stations are dropped", vn.mtu));
    } else if vn.mtu > ETHERNET {
        facts.push(format!("mtu {}", vn.mtu));
    }
    facts.extend(vn.device.iter().map(|device| format!("device {device}")));
    facts.extend(spoke.into_iter().flat_map(unusual));
    facts
}

/// The settings that are not as by default.
fn unusual(report: &SpokeReport) -> impl Iterator<Item = String> + use<> {
    let SpokeReport { vpn_mode, trigger, .. } = *report;
    let mode = (vpn_mode != VpnMode::default()).then(|| format!("vpn mode {}", vpn_mode.name()));
    let trigger = (trigger != Trigger::default()).then(|| format!("trigger {}", trigger.name()));
    mode.into_iter().chain(trigger)
}

fn spoke(out: &mut String, screen: Screen, report: &SpokeReport, hubs: &[(String, HubRow)]) {
    match report.standing {
        Standing::Registered { left, unanswered } => {
            let left = duration(left.into());
            let mut facts = vec![if unanswered == 0 {
                format!("valid for {left} more")
            } else {
                format!("lost in {left}")
            }];
            facts.extend(report.uplink.map(|uplink| format!("uplink vni {}", uplink.vni)));
            facts.push(match report.key {
                Some(key) => format!("signed by {key}"),
                None => "open: nothing is signed".into(),
            });
            wrapped(out, screen, "  hub", COLUMN, &facts);
        }
        Standing::Refused { retry, .. } => {
            wrapped(out, screen, "  hub", COLUMN, &[format!("next try in {retry} s")]);
        }
        _ => {}
    }
    if !hubs.is_empty() {
        let mut facts: Vec<String> = hubs.iter().map(|(name, row)| one_of_hubs(name, row)).collect();
        let (why, since) = report.chosen;
        if why != WhyHub::Preferred {
            facts.push(format!("for {}: {}", duration(since), why_hub(why)));
        }
        wrapped(out, screen, "  hubs", COLUMN, &facts);
    }
    let registered = matches!(report.standing, Standing::Registered { .. });
    if !registered && (report.shortcuts, report.asking, report.negative) == (0, 0, 0) {
        return;
    }
    let macs = [
        count(report.shortcuts, "shortcut"),
        format!("{} being asked for", report.asking),
        format!("{} unknown to the hub", report.negative),
    ];
    wrapped(out, screen, "  macs", COLUMN, &macs);
}

/// How one of several hubs is.
fn one_of_hubs(name: &str, row: &HubRow) -> String {
    let draining = if row.is_draining { ", sends its spokes away" } else { "" };
    let is = match (row.is_active, row.answered) {
        (true, _) => "in use".to_owned(),
        (false, Some(ago)) if row.answers => format!("answered {} ago", duration(ago)),
        (false, Some(ago)) => format!("silent for {}", duration(ago)),
        (false, None) => "has not answered yet".to_owned(),
    };
    let next = row.next_return.map_or(String::new(), |next| {
        format!(", the last return there went wrong, the next in {} at the earliest", duration(next))
    });
    format!("{name} {is}{draining}{next}")
}

fn hub(out: &mut String, screen: Screen, report: &HubReport) {
    let mut spokes = vec![format!("{} registered", report.spokes), format!("{} at most", report.max_spokes)];
    spokes.extend((report.ip_clients > 0).then(|| count(report.ip_clients, "IP client")));
    spokes.extend(report.is_draining.then(|| "sent away, those that have another hub".to_owned()));
    spokes.extend(report.refused.map(|reason| format!("one is refused: {}", refusal(reason))));
    spokes.extend(keys(&report.keys));
    wrapped(out, screen, "  spokes", COLUMN, &spokes);
    let (linked, peers) = report.peers;
    if peers > 0 {
        wrapped(out, screen, "  hubs", COLUMN, &[format!("linked to {linked} of {peers} others")]);
    }
    let mut macs = vec![format!("{} known", report.macs)];
    if report.purges > 0 {
        macs.push(format!("{} not confirmed yet", count(report.purges, "purge")));
    }
    wrapped(out, screen, "  macs", COLUMN, &macs);
}

fn keys(report: &KeysReport) -> Vec<String> {
    let KeysReport { shared, own, is_optional, unsigned, password } = *report;
    let mut facts = Vec::new();
    if shared + own == 0 {
        facts.push("open: who reaches this hub can join".to_owned());
    }
    if own > 0 {
        facts.push(count(own, "own key"));
    }
    if shared > 0 {
        facts.push(format!("{}: who has one can speak as the hub", count(shared, "group key")));
    }
    if is_optional {
        facts.push(format!("not required: {} without", count(unsigned, "spoke")));
    }
    if password {
        facts.push("IP clients by a password in clear text: not secure".to_owned());
    }
    facts
}

fn count(n: u32, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
