//! `dmevpn status` for programs: flat, as `docs/json.md` has it.

use super::events::number;
use super::facts::{RoleStatus, Status, VnStatus};
use super::standing;
use super::writer::{Object, line};
use crate::control::Cause;
use crate::control::words::{oddity, refusal, trouble, why_hub};
use crate::engine::report::{HubReport, HubRow, OddRow, Oddity, SpokeReport, Standing};

/// All in one object.
pub fn status(out: &mut String, status: &Status) {
    line(out, |o| {
        o.put("version", &status.version);
        o.put("uptime", &status.uptime);
        o.put("config", &status.config);
        o.put("transport", &if status.device.is_some() { "device" } else { "raw" });
        o.put("device", &status.device);
        o.put("nbma", &status.nbma);
        o.put("user", &status.user);
        o.put("confined", &status.confined);
        o.put("trouble", &status.trouble.as_ref().map(Cause::text));
        o.put("hint", &standing::daemon_hint(status));
        let missing = status.guard.as_ref().and_then(|guard| guard.as_ref().err());
        o.put("guard", &status.guard.as_ref().map(Result::is_ok));
        o.put("guard_dropped", &status.guard.as_ref().and_then(|guard| guard.as_ref().ok().copied()));
        o.put("guard_trouble", &missing.map(Cause::text));
        o.put("guard_hint", &missing.and_then(Cause::hint).map(|hint| hint.into_owned()));
        o.list("odd", &status.odd, odd);
        o.list("vns", &status.vns, vn);
    });
}

fn odd(o: &mut Object<'_>, row: &OddRow) {
    let (text, hint) = oddity(row.oddity);
    o.put("nbma", &row.peer);
    let what = match row.oddity {
        Oddity::OldFormat => "old_format",
        Oddity::Malformed => "malformed",
        Oddity::UnknownVn(_) => "unknown_vn",
        Oddity::UnknownExtension(_) => "unknown_extension",
        Oddity::Unauthenticated => "unauthenticated",
        Oddity::Unsigned => "unsigned",
        Oddity::UnknownKey(_) => "unknown_key",
        Oddity::WrongKey(_) => "wrong_key",
        Oddity::Reports(_) => "reports",
    };
    o.put("what", &what);
    o.put("packets", &row.count);
    o.put("ago", &row.ago);
    o.put("text", &text);
    o.put("hint", &hint);
}

fn vn(o: &mut Object<'_>, vn: &VnStatus) {
    let hub = matches!(vn.role, RoleStatus::Hub { .. });
    o.put("name", &vn.name);
    o.put("vpn_id", &vn.vpn_id);
    o.put("role", &if hub { "hub" } else { "spoke" });
    o.put("bridge", &vn.bridge);
    o.put("bridge_mac", &vn.bridge_mac);
    o.put("vlan", &vn.vlan);
    o.put("mtu", &vn.mtu);
    o.put("device", &vn.device);
    o.put("state", &standing::state(vn));
    o.put("since", &standing::since(vn));
    o.put("text", &standing::text(vn));
    o.put("hint", &standing::hint(vn));
    o.put("trouble", &vn.trouble.as_ref().map(Cause::text));
    let (looped, restless) = match &vn.role {
        RoleStatus::Spoke { report, .. } => (report.looped, report.restless),
        RoleStatus::Hub { report, .. } => (report.looped, report.restless),
    };
    o.put("loop", &looped.map(|found| found.port));
    o.put("restless", &restless.map_or(0, |moving| moving.macs));
    match &vn.role {
        RoleStatus::Spoke { hub_name, hub_address, hubs, report } => {
            spoke(o, hub_name, hub_address, report);
            o.list("hubs", hubs, |o, (name, row)| hub_row(o, name, row));
        }
        RoleStatus::Hub { dataplane, dataplane_reason, report } => {
            o.put("dataplane", dataplane);
            o.put("dataplane_reason", dataplane_reason);
            hub_counts(o, report);
        }
    }
}

fn spoke(o: &mut Object<'_>, hub: &str, address: &str, report: &SpokeReport) {
    o.put("vni", &report.vni);
    o.put("vpn_mode", &report.vpn_mode.name());
    o.put("trigger", &report.trigger.name());
    o.put("hub", &hub);
    o.put("hub_address", &address);
    o.put("hub_nbma", &report.hub);
    o.put("local_nbma", &report.local);
    o.put("uplink_vni", &report.uplink.map(|uplink| uplink.vni));
    let (mut valid, mut unanswered, mut refused, mut retry) = (None, 0, None, None);
    match report.standing {
        Standing::Registering { unanswered: n } => unanswered = n,
        Standing::Registered { left, unanswered: n } => (valid, unanswered) = (Some(left), n),
        Standing::Refused { reason, retry: next } => (refused, retry) = (Some(reason), Some(next)),
        Standing::NoDevice | Standing::NoAddress | Standing::Withdrawing => {}
    }
    o.put("valid", &valid);
    o.put("unanswered", &unanswered);
    o.put("refusal", &refused.map(|reason| refusal(reason).to_string()));
    o.put("refusal_code", &refused.map(number));
    o.put("retry", &retry);
    o.put("shortcuts", &report.shortcuts);
    o.put("asking", &report.asking);
    o.put("unknown", &report.negative);
    o.put("keys", &if report.key.is_some() { "signed" } else { "open" });
    o.put("key", &report.key);
    o.put("paths_up", &report.paths.0);
    o.put("paths_down", &report.paths.1);
    o.put("hub_path", &report.hub_trouble.map(trouble));
    let (why, since) = report.chosen;
    let is_several = !report.hubs.is_empty();
    o.put("hub_reason", &is_several.then(|| why_hub(why)));
    o.put("hub_since", &is_several.then_some(since));
}

fn hub_row(o: &mut Object<'_>, name: &str, row: &HubRow) {
    o.put("name", &name);
    o.put("nbma", &row.nbma);
    o.put("active", &row.is_active);
    o.put("answers", &row.answers);
    o.put("answered", &row.answered);
    o.put("draining", &row.is_draining);
    o.put("next_return", &row.next_return);
}

fn hub_counts(o: &mut Object<'_>, report: &HubReport) {
    o.put("spokes", &report.spokes);
    o.put("max_spokes", &report.max_spokes);
    o.put("ip_clients", &report.ip_clients);
    o.put("draining", &report.is_draining);
    o.put("peers", &report.peers.1);
    o.put("peers_up", &report.peers.0);
    let keys = &report.keys;
    o.put("keys", &standing::keys(keys));
    o.put("keys_shared", &keys.shared);
    o.put("keys_own", &keys.own);
    o.put("keys_required", &!keys.is_optional);
    o.put("unsigned", &keys.unsigned);
    o.put("macs", &report.macs);
    o.put("purges", &report.purges);
    o.put("refusal", &report.refused.map(|reason| refusal(reason).to_string()));
}
