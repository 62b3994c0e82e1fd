//! What the commands print for people.

use super::json::mac_state;
use super::standing;
use super::table::{Align, Screen, Table, wrapped};
use crate::control::words::{duration, sentence, time_of_day, why_not};
use crate::control::{Answer, Cause, Happening, RoleStatus, Status, VnMacs, VnPeers, VnStatus};
use crate::engine::report::{HubReport, MacRow, MacState, PeerRow, SpokeReport, Standing};
use crate::engine::settings::{Trigger, VpnMode};
use crate::types::Mac;
use core::fmt::{Result, Write};

/// Where the facts stand in `status`.
const COLUMN: usize = 10;

/// So many VNs are shown in full. With more, those that are well get one line each.
const IN_FULL: usize = 4;

/// `dmevpn status`: what needs a look first.
pub fn status(out: &mut dyn Write, screen: Screen, status: &Status) -> Result {
    daemon(out, screen, status)?;
    let (well, unwell): (Vec<_>, Vec<_>) = status.vns.iter().partition(|vn| standing::is_well(vn));
    for vn in unwell {
        vn_in_full(out, screen, status, vn)?;
    }
    if status.vns.len() <= IN_FULL {
        return well.into_iter().try_for_each(|vn| vn_in_full(out, screen, status, vn));
    }
    if !well.is_empty() {
        out.write_char('\n')?;
    }
    well.into_iter().try_for_each(|vn| vn_in_short(out, screen, vn))
}

/// `dmevpn macs`.
pub fn macs(out: &mut dyn Write, screen: Screen, vns: &[VnMacs]) -> Result {
    let columns = [
        ("VN", Align::Left),
        ("MAC", Align::Left),
        ("STATE", Align::Left),
        ("VTEP", Align::Left),
        ("VNI", Align::Right),
        ("VALID", Align::Right),
        ("ASKERS", Align::Right),
    ];
    let rows = vns.iter().flat_map(|vn| vn.rows.iter().map(move |row| (&vn.vn, row)));
    Table::write(out, screen, columns, rows, |(vn, row): (&String, &MacRow)| {
        [
            vn.clone(),
            row.mac.to_string(),
            mac_state(row.state).into(),
            row.at.map_or_else(|| nowhere(row).into(), |at| at.nbma.to_string()),
            or_dash(row.at.map(|at| at.vni)),
            or_dash(row.left.map(|left| duration(left.into()))),
            row.askers.to_string(),
        ]
    })
}

/// `dmevpn peers`.
pub fn peers(out: &mut dyn Write, screen: Screen, vns: &[VnPeers]) -> Result {
    let columns = [
        ("VN", Align::Left),
        ("VTEP", Align::Left),
        ("VNI", Align::Right),
        ("UPLINK", Align::Right),
        ("VALID", Align::Right),
        ("MACS", Align::Left),
        ("ADDRESSES", Align::Left),
    ];
    let rows = vns.iter().flat_map(|vn| vn.rows.iter().map(move |row| (&vn.vn, row)));
    Table::write(out, screen, columns, rows, |(vn, row): (&String, &PeerRow)| {
        [
            vn.clone(),
            row.nbma.to_string(),
            or_dash(row.vni),
            or_dash(row.uplink),
            duration(row.left.into()).to_string(),
            joined(&row.macs),
            joined(&row.addresses),
        ]
    })
}

/// `dmevpn resolve`.
pub fn resolved(out: &mut dyn Write, mac: Mac, answer: &Answer) -> Result {
    match answer {
        Answer::At { vtep, holding: Some(holding) } => {
            writeln!(out, "{mac} is at {vtep}, valid for {}", duration((*holding).into()))
        }
        Answer::At { vtep, holding: None } => writeln!(out, "{mac} is at {vtep}"),
        Answer::Local => writeln!(out, "{mac} is at a port of this router"),
        Answer::NotResolved(reason) => writeln!(out, "{mac} not resolved: {}", why_not(*reason)),
    }
}

/// A line of `dmevpn monitor`.
pub fn happening(out: &mut dyn Write, happening: &Happening) -> Result {
    writeln!(out, "{} {}: {}", time_of_day(happening.at), happening.vn, sentence(&happening.event))
}

fn daemon(out: &mut dyn Write, screen: Screen, status: &Status) -> Result {
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
    wrapped(out, screen, "", 0, &facts)?;
    why_and_what_to_do(out, screen, status.trouble.as_ref().map(Cause::text), standing::daemon_hint(status))
}

fn why_and_what_to_do(
    out: &mut dyn Write,
    screen: Screen,
    why: Option<String>,
    hint: Option<String>,
) -> Result {
    for (label, text) in [("  why", why), ("  do", hint)] {
        if let Some(text) = text {
            wrapped(out, screen, label, COLUMN, &[text])?;
        }
    }
    Ok(())
}

fn vn_in_full(out: &mut dyn Write, screen: Screen, status: &Status, vn: &VnStatus) -> Result {
    out.write_char('\n')?;
    wrapped(out, screen, &format!("VN {}:", vn.name), 0, &[part(vn), stands(vn)])?;
    // What the daemon as a whole lacks was said above.
    if vn.trouble.is_none() || vn.trouble != status.trouble {
        why_and_what_to_do(out, screen, standing::why(vn), standing::hint(vn))?;
    }
    match &vn.role {
        RoleStatus::Spoke { report, .. } => {
            spoke(out, screen, report)?;
            wrapped(out, screen, "  site", COLUMN, &site(vn, Some(report)))?;
        }
        RoleStatus::Hub { dataplane, dataplane_reason, report } => {
            hub(out, screen, report)?;
            let mut site = site(vn, None);
            site.push(format!("data plane {dataplane} ({dataplane_reason})"));
            wrapped(out, screen, "  site", COLUMN, &site)?;
        }
    }
    Ok(())
}

/// A VN that is well, in a line.
fn vn_in_short(out: &mut dyn Write, screen: Screen, vn: &VnStatus) -> Result {
    let count = match &vn.role {
        RoleStatus::Spoke { report, .. } => count(report.shortcuts, "shortcut"),
        RoleStatus::Hub { report, .. } => count(report.spokes, "spoke"),
    };
    wrapped(out, screen, &format!("VN {}:", vn.name), 0, &[part(vn), stands(vn), count])
}

/// What this router is in the VN.
fn part(vn: &VnStatus) -> String {
    let RoleStatus::Spoke { hub_name, hub_address, report } = &vn.role else { return "hub".into() };
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

fn spoke(out: &mut dyn Write, screen: Screen, report: &SpokeReport) -> Result {
    match report.standing {
        Standing::Registered { left, unanswered } => {
            let left = duration(left.into());
            let mut facts = vec![if unanswered == 0 {
                format!("valid for {left} more")
            } else {
                format!("lost in {left}")
            }];
            facts.extend(report.uplink.map(|uplink| format!("uplink vni {}", uplink.vni)));
            wrapped(out, screen, "  hub", COLUMN, &facts)?;
        }
        Standing::Refused { retry, .. } => {
            wrapped(out, screen, "  hub", COLUMN, &[format!("next try in {retry} s")])?;
        }
        _ => {}
    }
    let registered = matches!(report.standing, Standing::Registered { .. });
    if !registered && (report.shortcuts, report.asking, report.negative) == (0, 0, 0) {
        return Ok(());
    }
    let macs = [
        count(report.shortcuts, "shortcut"),
        format!("{} being asked for", report.asking),
        format!("{} unknown to the hub", report.negative),
    ];
    wrapped(out, screen, "  macs", COLUMN, &macs)
}

fn hub(out: &mut dyn Write, screen: Screen, report: &HubReport) -> Result {
    let spokes = [format!("{} registered", report.spokes), format!("{} at most", report.max_spokes)];
    wrapped(out, screen, "  spokes", COLUMN, &spokes)?;
    let mut macs = vec![format!("{} known", report.macs)];
    if report.purges > 0 {
        macs.push(format!("{} not confirmed yet", count(report.purges, "purge")));
    }
    wrapped(out, screen, "  macs", COLUMN, &macs)
}

/// What stands for the VTEP a MAC does not have.
fn nowhere(row: &MacRow) -> &'static str {
    match row.state {
        MacState::Asking | MacState::Negative => "by the hub",
        MacState::Learned | MacState::Held => "this hub",
        MacState::Shortcut => "-",
    }
}

fn count(n: u32, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

fn joined<T: ToString>(values: &[T]) -> String {
    if values.is_empty() {
        return "-".into();
    }
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
