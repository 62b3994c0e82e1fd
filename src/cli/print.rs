//! What the commands print for people.

use super::table::{Align, Table, wrapped};
use crate::control::words::{duration, refusal, sentence, time_of_day};
use crate::control::{Answer, Cause, Happening, RoleStatus, Status, VnMacs, VnPeers, VnStatus};
use crate::engine::report::{HubReport, MacRow, MacState, SpokeReport, Standing};
use crate::engine::settings::{Trigger, VpnMode};
use crate::types::Mac;

/// Where the states stand in `status`, unless a hub's name is long.
const STATE_COLUMN: usize = 16;

/// `dmevpn status`.
pub fn status(status: &Status) -> String {
    let mut out = String::new();
    let mut head = vec![
        format!("dmevpn {}", status.version),
        format!("up {}", duration(status.uptime)),
        status.config.clone(),
        format!("transport {}", status.transport),
    ];
    head.extend(status.nbma.iter().map(ToString::to_string));
    wrapped(&mut out, "", 0, &head);
    if status.vns.is_empty() {
        out.push_str("no VN is configured\n");
    }
    for vn in &status.vns {
        vn_status(&mut out, vn);
    }
    out
}

/// `dmevpn macs`.
pub fn macs(vns: &[VnMacs]) -> String {
    let mut table = Table::new([
        ("VN", Align::Left),
        ("MAC", Align::Left),
        ("STATE", Align::Left),
        ("VTEP", Align::Left),
        ("VNI", Align::Right),
        ("VALID", Align::Right),
        ("ASKERS", Align::Right),
    ]);
    for vn in vns {
        for row in &vn.rows {
            table.row([
                vn.vn.clone(),
                row.mac.to_string(),
                mac_state(row.state).into(),
                row.at.map_or_else(|| nowhere(row).into(), |at| at.nbma.to_string()),
                or_dash(row.at.map(|at| at.vni)),
                or_dash(row.left.map(|left| duration(left.into()))),
                row.askers.to_string(),
            ]);
        }
    }
    table.text()
}

/// `dmevpn peers`.
pub fn peers(vns: &[VnPeers]) -> String {
    let mut table = Table::new([
        ("VN", Align::Left),
        ("VTEP", Align::Left),
        ("VNI", Align::Right),
        ("UPLINK", Align::Right),
        ("VALID", Align::Right),
        ("MACS", Align::Left),
        ("ADDRESSES", Align::Left),
    ]);
    for vn in vns {
        for row in &vn.rows {
            table.row([
                vn.vn.clone(),
                row.nbma.to_string(),
                or_dash(row.vni),
                or_dash(row.uplink),
                duration(row.left.into()).to_string(),
                joined(&row.macs),
                joined(&row.addresses),
            ]);
        }
    }
    table.text()
}

/// `dmevpn resolve`.
pub fn resolved(mac: Mac, answer: &Answer) -> String {
    match answer {
        Answer::At { vtep, holding: Some(holding) } => {
            format!("{mac} is at {vtep}, valid for {}\n", duration((*holding).into()))
        }
        Answer::At { vtep, holding: None } => format!("{mac} is at {vtep}\n"),
        Answer::Local => format!("{mac} is at a port of this router\n"),
        Answer::NotResolved(Some(reason)) => format!("{mac} not resolved: {}\n", refusal(*reason)),
        Answer::NotResolved(None) => format!("{mac} not resolved: no answer from the hub\n"),
    }
}

/// A line of `dmevpn monitor`.
pub fn happening(happening: &Happening) -> String {
    format!("{} {}: {}\n", time_of_day(happening.at), happening.vn, sentence(&happening.event))
}

fn vn_status(out: &mut String, vn: &VnStatus) {
    out.push('\n');
    let mut facts = Vec::new();
    let bridge = match vn.bridge_mac {
        Some(mac) => format!("bridge {} {mac}", vn.bridge),
        None => format!("bridge {}", vn.bridge),
    };
    match &vn.role {
        RoleStatus::Spoke { report, .. } => {
            facts.extend([format!("spoke, vni {}", report.vni), bridge]);
            facts.extend(vn.device.iter().map(|device| format!("device {device}")));
            facts.extend(unusual(report).map(Into::into));
        }
        RoleStatus::Hub { .. } => facts.extend(["hub".into(), bridge]),
    }
    wrapped(out, &format!("VN {} (vpn-id {})", vn.name, vn.vpn_id), 0, &facts);
    match &vn.role {
        RoleStatus::Spoke { hub_name, hub_address, report } => {
            let trouble = vn.trouble.as_ref().map(Cause::text);
            spoke_status(out, hub_name, hub_address, report, trouble.as_deref());
        }
        RoleStatus::Hub { dataplane, dataplane_reason, report } => {
            let standing = match &vn.trouble {
                Some(trouble) => format!("{dataplane}, down: {}", trouble.text()),
                None => format!("{dataplane} ({dataplane_reason})"),
            };
            wrapped(out, "  data plane", STATE_COLUMN, &[standing]);
            hub_status(out, report);
        }
    }
}

/// The settings that are not as by default.
fn unusual(report: &SpokeReport) -> impl Iterator<Item = &'static str> {
    let mode = match report.vpn_mode {
        VpnMode::Llc => None,
        VpnMode::Key => Some("vpn mode key"),
        VpnMode::None => Some("vpn mode none"),
    };
    let trigger = match report.trigger {
        Trigger::Learn => None,
        Trigger::L2miss => Some("trigger l2miss"),
    };
    mode.into_iter().chain(trigger)
}

fn spoke_status(out: &mut String, name: &str, address: &str, report: &SpokeReport, trouble: Option<&str>) {
    let mut hub = format!("  hub {name} {address}");
    if let Some(found) = report.hub.map(|nbma| nbma.to_string()).filter(|found| found != address) {
        hub = format!("{hub} ({found})");
    }
    // A long name leaves no room beside it.
    if hub.len() > 28 {
        out.push_str(&hub);
        out.push('\n');
        hub = "  state".into();
    }
    let column = STATE_COLUMN.max(hub.len() + 2);
    wrapped(out, &hub, column, &standing(address, report, trouble));
    let told = matches!(report.standing, Standing::NoDevice | Standing::NoAddress);
    if let (Some(trouble), false) = (trouble, told) {
        wrapped(out, "  data plane", column, &[format!("down: {trouble}")]);
    }
    let macs = [
        format!("{} shortcuts", report.shortcuts),
        format!("{} being asked for", report.asking),
        format!("{} unknown to the hub", report.negative),
    ];
    wrapped(out, "  macs", column, &macs);
}

/// How a spoke stands with its hub, and why.
fn standing(address: &str, report: &SpokeReport, trouble: Option<&str>) -> Vec<String> {
    let since = duration(report.since);
    match report.standing {
        Standing::NoDevice => {
            let trouble = trouble.unwrap_or("the bridge or the VXLAN device is not there");
            vec![format!("waiting for device for {since}: {trouble}")]
        }
        Standing::NoAddress => vec![match report.hub {
            _ if trouble.is_some() => format!("not registered for {since}: {}", trouble.unwrap_or_default()),
            None => format!("not registered for {since}: the address of {address} is not known (DNS?)"),
            Some(hub) => format!("not registered for {since}: no own address leads to {hub} (no route?)"),
        }],
        Standing::Registering { unanswered: 0 } => vec![format!("registering for {since}")],
        Standing::Registering { unanswered } => {
            vec![format!("not registered for {since}: no answer to {}", requests(unanswered))]
        }
        Standing::Registered { left, unanswered } => {
            let mut facts = vec![format!("registered for {since}")];
            let left = duration(left.into());
            if unanswered == 0 {
                facts.push(format!("valid for {left} more"));
            } else {
                facts.push(format!("but no answer to {}", requests(unanswered)));
                facts.push(format!("lost in {left}"));
            }
            facts.extend(report.uplink.map(|uplink| format!("uplink vni {}", uplink.vni)));
            facts
        }
        Standing::Refused { reason, retry } => {
            vec![format!("refused {since} ago: {}", refusal(reason)), format!("next try in {retry} s")]
        }
        Standing::Withdrawing => vec![format!("withdrawing the registration for {since}")],
    }
}

fn requests(n: u32) -> String {
    format!("{n} request{}", if n == 1 { "" } else { "s" })
}

fn hub_status(out: &mut String, report: &HubReport) {
    wrapped(
        out,
        "  spokes",
        STATE_COLUMN,
        &[format!("{} registered", report.spokes), format!("{} at most", report.max_spokes)],
    );
    let mut macs = vec![format!("{} known", report.macs)];
    if report.purges > 0 {
        macs.push(format!("{} purges not confirmed yet", report.purges));
    }
    wrapped(out, "  macs", STATE_COLUMN, &macs);
}

fn mac_state(state: MacState) -> &'static str {
    match state {
        MacState::Asking => "asking",
        MacState::Shortcut => "shortcut",
        MacState::Negative => "unknown",
        MacState::Learned => "learned",
        MacState::Held => "held",
    }
}

/// What stands for the VTEP a MAC does not have.
fn nowhere(row: &MacRow) -> &'static str {
    match row.state {
        MacState::Asking | MacState::Negative => "by the hub",
        MacState::Learned | MacState::Held => "this hub",
        MacState::Shortcut => "-",
    }
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
