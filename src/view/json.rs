//! What the commands print with `--json`: one object, flat; `docs/json.md` tells what each key means.

use super::standing;
use super::writer::{Object, object};
use crate::config::{Errors, Finding};
use crate::control::words::{level, refusal, sentence, why, why_not};
use crate::control::{Answer, Cause, Happening, Lately, RoleStatus, Status, VnMacs, VnPeers, VnStatus};
use crate::engine::report::{HubReport, MacRow, MacState, SpokeReport, Standing};
use crate::engine::{Event, Refusal, Table};
use crate::types::{Mac, Nbma, Vni, Vtep};
use core::fmt::Write;

/// `dmevpn status`.
pub fn status(out: &mut dyn Write, status: &Status) {
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
        o.list("vns", &status.vns, vn);
    });
}

/// `dmevpn macs`.
pub fn macs(out: &mut dyn Write, vns: &[VnMacs]) {
    line(out, |o| {
        let rows = vns.iter().flat_map(|vn| vn.rows.iter().map(|row| (&vn.vn, row)));
        o.list("macs", rows, |o, (vn, row)| {
            o.put("vn", vn);
            o.put("mac", &row.mac);
            o.put("state", &mac_state(row.state));
            o.put("place", &place(row));
            vtep(o, row.at);
            o.put("valid", &row.left);
            o.put("askers", &row.askers);
        });
    });
}

/// `dmevpn peers`.
pub fn peers(out: &mut dyn Write, vns: &[VnPeers]) {
    line(out, |o| {
        let rows = vns.iter().flat_map(|vn| vn.rows.iter().map(|row| (&vn.vn, row)));
        o.list("peers", rows, |o, (vn, row)| {
            o.put("vn", vn);
            o.put("nbma", &row.nbma);
            o.put("vni", &row.vni);
            o.put("uplink_vni", &row.uplink);
            o.put("valid", &row.left);
            o.put("macs", &row.macs);
            o.put("addresses", &row.addresses);
        });
    });
}

/// `dmevpn resolve`.
pub fn resolved(out: &mut dyn Write, vn: &str, mac: Mac, answer: &Answer) {
    let (place, at, valid, reason) = match answer {
        Answer::At { vtep, holding } => (Some("remote"), Some(*vtep), *holding, None),
        Answer::Local => (Some("here"), None, None, None),
        Answer::NotResolved(reason) => (None, None, None, Some(why_not(*reason).to_string())),
    };
    line(out, |o| {
        o.put("vn", &vn);
        o.put("mac", &mac);
        o.put("resolved", &place.is_some());
        o.put("place", &place);
        vtep(o, at);
        o.put("valid", &valid);
        o.put("reason", &reason);
    });
}

/// A line of `dmevpn monitor`.
pub fn happening(out: &mut dyn Write, happening: &Happening) {
    line(out, |o| happened(o, happening));
}

/// `dmevpn events`.
pub fn lately(out: &mut dyn Write, lately: &Lately) {
    line(out, |o| {
        o.put("last", &lately.last);
        o.list("events", &lately.happenings, happened);
    });
}

/// `dmevpn check`: what is wrong with the file, if anything, and what is odd.
pub fn checked(out: &mut dyn Write, file: &str, errors: &[Finding], warnings: &[Finding]) {
    line(out, |o| {
        o.put("file", &file);
        o.put("valid", &errors.is_empty());
        findings(o, "errors", errors);
        findings(o, "warnings", warnings);
    });
}

/// `dmevpn import`.
pub fn imported(out: &mut dyn Write, file: &str, config: &str) {
    line(out, |o| {
        o.put("file", &file);
        o.put("config", &config);
    });
}

/// `dmevpn version`.
pub fn version(out: &mut dyn Write, version: &str, control: u8) {
    line(out, |o| {
        o.put("version", &version);
        o.put("control", &control);
    });
}

/// `dmevpn leave`.
pub fn left(out: &mut dyn Write, removed: &Vec<String>) {
    line(out, |o| {
        o.put("ok", &true);
        o.put("removed", removed);
    });
}

/// It was done, and there is nothing to tell.
pub fn done(out: &mut dyn Write) {
    line(out, |o| o.put("ok", &true));
}

/// Why a command failed. A refused configuration comes with all that is wrong with it.
pub fn error(out: &mut dyn Write, text: &str, code: u8, refused: Option<&Errors>) {
    line(out, |o| {
        o.put("error", &text);
        o.put("code", &code);
        if let Some(errors) = refused {
            o.put("file", &errors.file());
            findings(o, "errors", errors.as_slice());
        }
    });
}

/// One document is one line.
fn line(out: &mut dyn Write, fill: impl FnOnce(&mut Object<'_>)) {
    object(out, fill);
    let _ = out.write_char('\n');
}

fn findings(o: &mut Object<'_>, key: &str, findings: &[Finding]) {
    o.list(key, findings, |o, finding| {
        o.put("line", &finding.line);
        o.put("section", &finding.section);
        o.put("option", &finding.option);
        o.put("text", &finding.text);
    });
}

fn happened(o: &mut Object<'_>, happening: &Happening) {
    let event = &happening.event;
    let told = told(event);
    o.put("at", &happening.at);
    o.put("vn", &happening.vn);
    o.put("event", &told.name);
    o.put(
        "level",
        &match level(event) {
            log::Level::Error | log::Level::Warn => "warn",
            log::Level::Info => "info",
            log::Level::Debug | log::Level::Trace => "debug",
        },
    );
    o.text("text", &sentence(event));
    o.put("mac", &told.mac);
    o.put("nbma", &told.nbma);
    o.put("vni", &told.vni);
    o.put("uplink_vni", &told.uplink_vni);
    o.put("valid", &told.valid);
    o.put("reason", &told.reason);
    o.put("reason_code", &told.reason_code);
}

fn vtep(o: &mut Object<'_>, at: Option<Vtep>) {
    o.put("nbma", &at.map(|at| at.nbma));
    o.put("vni", &at.map(|at| at.vni));
}

fn vn(o: &mut Object<'_>, vn: &VnStatus) {
    let hub = matches!(vn.role, RoleStatus::Hub { .. });
    o.put("name", &vn.name);
    o.put("vpn_id", &vn.vpn_id);
    o.put("role", &if hub { "hub" } else { "spoke" });
    o.put("bridge", &vn.bridge);
    o.put("bridge_mac", &vn.bridge_mac);
    o.put("vlan", &vn.vlan);
    o.put("device", &vn.device);
    o.put("state", &standing::state(vn));
    o.put("since", &standing::since(vn));
    o.put("text", &standing::text(vn));
    o.put("hint", &standing::hint(vn));
    o.put("trouble", &vn.trouble.as_ref().map(Cause::text));
    match &vn.role {
        RoleStatus::Spoke { hub_name, hub_address, report } => spoke(o, hub_name, hub_address, report),
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
}

fn hub_counts(o: &mut Object<'_>, report: &HubReport) {
    o.put("spokes", &report.spokes);
    o.put("max_spokes", &report.max_spokes);
    o.put("macs", &report.macs);
    o.put("purges", &report.purges);
}

/// The name of a MAC's state.
pub(super) fn mac_state(state: MacState) -> &'static str {
    match state {
        MacState::Asking => "asking",
        MacState::Shortcut => "shortcut",
        MacState::Negative => "unknown",
        MacState::Learned => "learned",
        MacState::Held => "held",
    }
}

/// Where a MAC is, seen from here.
fn place(row: &MacRow) -> &'static str {
    match (row.state, row.at) {
        (MacState::Shortcut, _) => "direct",
        (MacState::Asking, _) => "hub",
        // Its frames go by the hub, too, which does not know it either.
        (MacState::Negative, _) => "unknown",
        (MacState::Learned | MacState::Held, Some(_)) => "spoke",
        (MacState::Learned | MacState::Held, None) => "here",
    }
}

fn number(refusal: Refusal) -> u16 {
    match refusal {
        Refusal::Nak(code) => code.into(),
        Refusal::Error(code) => code,
    }
}

/// What an event has to tell, key by key.
#[derive(Default)]
struct Told {
    name: &'static str,
    mac: Option<Mac>,
    nbma: Option<Nbma>,
    vni: Option<Vni>,
    uplink_vni: Option<Vni>,
    valid: Option<u16>,
    reason: Option<String>,
    reason_code: Option<u16>,
}

impl Told {
    fn of(name: &'static str) -> Told {
        Told { name, ..Told::default() }
    }

    fn mac(self, mac: Mac) -> Told {
        Told { mac: Some(mac), ..self }
    }

    fn nbma(self, nbma: Nbma) -> Told {
        Told { nbma: Some(nbma), ..self }
    }

    fn at(self, vtep: Vtep) -> Told {
        Told { nbma: Some(vtep.nbma), vni: Some(vtep.vni), ..self }
    }

    fn because(self, reason: Refusal) -> Told {
        Told { reason: Some(refusal(reason).to_string()), reason_code: Some(number(reason)), ..self }
    }

    fn reason(self, reason: &str) -> Told {
        Told { reason: Some(reason.into()), ..self }
    }
}

fn told(event: &Event) -> Told {
    match *event {
        Event::Registered { uplink } => {
            Told { uplink_vni: Some(uplink.vni), ..Told::of("registered").nbma(uplink.nbma) }
        }
        Event::Refused { hub, reason } => Told::of("refused").nbma(hub).because(reason),
        Event::RegistrationLost { hub } => {
            Told::of("registration_lost").nbma(hub).reason("the hub did not answer within the holding time")
        }
        Event::Withdrawn => Told::of("withdrawn"),
        Event::Asked { mac } => Told::of("asked").mac(mac),
        Event::Resolved { mac, at, holding } => {
            Told { valid: Some(holding), ..Told::of("resolved").mac(mac).at(at) }
        }
        Event::NotResolved { mac, reason } => Told {
            reason: Some(why_not(reason).to_string()),
            reason_code: reason.map(number),
            ..Told::of("not_resolved").mac(mac)
        },
        Event::ShortcutUp { mac, to } => Told::of("shortcut_up").mac(mac).at(to),
        Event::ShortcutDown { mac, why: reason } => Told::of("shortcut_down").mac(mac).reason(why(reason)),
        Event::SpokeUp { spoke, uplink } => {
            Told { uplink_vni: Some(uplink), ..Told::of("spoke_up").at(spoke) }
        }
        Event::SpokeDown { spoke, why: reason } => Told::of("spoke_down").at(spoke).reason(why(reason)),
        Event::SpokeRefused { spoke, reason } => Told::of("spoke_refused").nbma(spoke).because(reason),
        Event::SecondSite { spoke, registered } => Told::of("second_site")
            .at(spoke)
            .reason(&format!("vni {registered} has the address, and kmod takes one")),
        Event::MacMoved { mac, to: Some(to) } => Told::of("mac_moved").mac(mac).at(to),
        Event::MacMoved { mac, to: None } => Told::of("mac_moved").mac(mac),
        Event::Full(Table::Macs) => Told::of("macs_full"),
        Event::Full(Table::Spokes) => Told::of("spokes_full"),
        Event::Full(Table::Purges) => Told::of("purges_full"),
        Event::PeerError { peer, code } => Told::of("peer_error").nbma(peer).because(Refusal::Error(code)),
    }
}
