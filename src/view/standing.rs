//! How a VN stands, in words: the state's name, a sentence, and what to do next.

use super::facts::{RoleStatus, Status, VnStatus};
use crate::control::Cause;
use crate::control::words::{self, between, refusal, rivals, trouble};
use crate::engine::Refusal;
use crate::engine::report::{HubReport, KeysReport, LoopReport, RestlessReport, SpokeReport, Standing};
use crate::wire::nhrp::{code, error};

/// The name of a VN's state, for programs.
pub fn state(vn: &VnStatus) -> &'static str {
    match &vn.role {
        RoleStatus::Spoke { report, .. } => match report.standing {
            Standing::NoDevice => "no_device",
            Standing::NoAddress => "no_address",
            Standing::Registering { .. } => "registering",
            Standing::Registered { .. } => "registered",
            Standing::Refused { .. } => "refused",
            Standing::Withdrawing => "withdrawing",
        },
        RoleStatus::Hub { .. } if vn.trouble.is_some() => "down",
        RoleStatus::Hub { .. } => "up",
    }
}

/// Whether nobody has to look at it.
pub fn is_well(vn: &VnStatus) -> bool {
    let state = match &vn.role {
        RoleStatus::Spoke { report, .. } => {
            matches!(report.standing, Standing::Registered { unanswered: 0, .. })
                && report.rivals.is_none()
                && report.hub_trouble.is_none()
                && (report.looped, report.restless) == (None, None)
        }
        RoleStatus::Hub { report, .. } => {
            !is_full(report)
                && report.ip_crowd.is_none()
                && report.rivals.is_empty()
                && report.peers.0 >= report.peers.1
                && report.path_trouble.is_none()
                && (report.looped, report.restless) == (None, None)
        }
    };
    state && (&vn.trouble, &vn.lack) == (&None, &None)
}

/// For how many seconds it has stood so.
pub fn since(vn: &VnStatus) -> u64 {
    match &vn.role {
        RoleStatus::Spoke { report, .. } => report.since,
        RoleStatus::Hub { report, .. } => report.since,
    }
}

/// How it stands, as one sentence.
pub fn text(vn: &VnStatus) -> String {
    let standing = standing(vn);
    if let Some(why) = why(vn) {
        return format!("{standing}: {why}");
    }
    match &vn.role {
        RoleStatus::Spoke { hub_name, report: SpokeReport { hub: Some(hub), standing: now, .. }, .. }
            if *now != Standing::NoDevice =>
        {
            format!("{standing} with hub {hub_name} ({hub})")
        }
        RoleStatus::Spoke { .. } => standing.into(),
        RoleStatus::Hub { report, .. } => {
            let spokes = match report.spokes {
                1 => "1 spoke is".to_owned(),
                n => format!("{n} spokes are"),
            };
            let refused =
                report.refused.map_or(String::new(), |r| format!(", one is refused: {}", refusal(r)));
            format!("up, {spokes} registered{refused}")
        }
    }
}

/// How it stands, without a reason.
pub fn standing(vn: &VnStatus) -> &'static str {
    let RoleStatus::Spoke { report, .. } = &vn.role else { return state(vn) };
    match report.standing {
        Standing::NoDevice => "waiting for its device",
        Standing::NoAddress => "not registered",
        Standing::Registering { unanswered: 0 } => "registering",
        Standing::Registering { .. } => "not registered",
        Standing::Registered { .. } => "registered",
        Standing::Refused { .. } => "refused",
        Standing::Withdrawing => "withdrawing its registration",
    }
}

/// Why it stands as it does, where that is not as it should be.
pub fn why(vn: &VnStatus) -> Option<String> {
    let why = match &vn.role {
        // It says less than the cause.
        RoleStatus::Spoke { report, .. }
            if report.standing == Standing::NoAddress && vn.trouble.is_some() =>
        {
            None
        }
        RoleStatus::Spoke { hub_address, report, .. } => why_spoke(hub_address, report),
        RoleStatus::Hub { report, .. } => why_hub(report),
    };
    match (why, vn.trouble.as_ref().or(vn.lack.as_ref()).map(Cause::text)) {
        (Some(why), Some(trouble)) => Some(format!("{why}; {trouble}")),
        (why, trouble) => why.or(trouble),
    }
}

/// What to do next.
pub fn hint(vn: &VnStatus) -> Option<String> {
    if let Some(hint) = vn.trouble.as_ref().and_then(Cause::hint) {
        return Some(hint.into());
    }
    let hint = match &vn.role {
        RoleStatus::Spoke { hub_address, report, .. } => hint_spoke(vn, hub_address, report),
        RoleStatus::Hub { report, .. } if is_full(report) => Some("raise 'max_spokes' of this VN".into()),
        RoleStatus::Hub { report: HubReport { ip_crowd: Some(_), .. }, .. } => Some(
            "those that are not yours: leave them out of 'allow', or dmevpn peers --remove ADDRESS; see dmevpn peers".into(),
        ),
        RoleStatus::Hub { report, .. } => (!report.rivals.is_empty())
            .then(|| COPY.into())
            .or_else(|| report.path_trouble.map(|_| CAPTURE.into()))
            .or_else(|| hint_moves(report.looped.as_ref(), report.restless.as_ref())),
    };
    hint.or_else(|| Some(vn.lack.as_ref()?.hint()?.into()))
}

/// What moves to and fro, and why, if that is known.
fn why_moves(looped: Option<&LoopReport>, restless: Option<&RestlessReport>) -> Option<String> {
    if let Some(found) = looped {
        return Some(format!("there is a loop: {}; nothing is flooded by that tunnel", words::looped(found)));
    }
    let RestlessReport { macs, mac, from, to } = restless?;
    let others = match macs - 1 {
        0 => String::new(),
        1 => " and another MAC".into(),
        n => format!(" and {n} other MACs"),
    };
    let s = if *macs == 1 { "s" } else { "" };
    Some(format!("{mac}{others} move{s} to and fro, {}", between(*from, *to)))
}

fn hint_moves(looped: Option<&LoopReport>, restless: Option<&RestlessReport>) -> Option<String> {
    if let Some(found) = looped {
        return Some(format!(
            "find the cable or radio link by port '{}' that leads to another site, and take it away: sites are connected \
             by the tunnel alone",
            found.port
        ));
    }
    restless?;
    Some("see whether two stations have one MAC, or both of a redundant pair are active; or sites are connected beside the tunnel".into())
}

/// Two routers have one MAC.
const COPY: &str = "one is a copy of the other: on one of them stop dmevpn, delete the file of option 'state_file', and \
                    start it again";

/// Frames do not get to a hub.
const CAPTURE: &str = "see what comes and goes there: tcpdump -ni any udp port 4789";

/// Whether further spokes are refused.
fn is_full(report: &HubReport) -> bool {
    report.spokes >= report.max_spokes
}

fn why_hub(report: &HubReport) -> Option<String> {
    let full = is_full(report)
        .then(|| format!("it is full: {} spokes are registered, further ones are refused", report.spokes));
    let crowd = report.ip_crowd.map(|(network, count)| {
        let all = report.ip_clients;
        format!("{all} IP clients are registered, {count} of them from {network}, further ones are refused")
    });
    let moves = why_moves(report.looped.as_ref(), report.restless.as_ref());
    let (linked, others) = report.peers;
    let links = (linked < others).then(|| format!("it is linked to {linked} of {others} other hubs"));
    let rivals = report.rivals.iter().map(|both| rivals(both).to_string());
    let path = report.path_trouble.map(|(hub, what)| format!("path to hub {hub}: {}", trouble(what)));
    let all = full.into_iter().chain(crowd).chain(rivals).chain(links).chain(path).chain(moves);
    Some(all.collect::<Vec<_>>().join("; ")).filter(|why| !why.is_empty())
}

fn why_spoke(address: &str, report: &SpokeReport) -> Option<String> {
    let both = report.rivals.as_ref().map(|both| rivals(both).to_string());
    let hub = report.hub_trouble.map(|what| trouble(what).to_owned());
    let probing = (report.probing > 100).then(|| {
        format!("paths are probed {} % less often than they should: there are too many", report.probing - 100)
    });
    let moves = why_moves(report.looped.as_ref(), report.restless.as_ref());
    let all = [why_standing(address, report), hub, both, moves, probing].into_iter().flatten();
    Some(all.collect::<Vec<_>>().join("; ")).filter(|why| !why.is_empty())
}

fn why_standing(address: &str, report: &SpokeReport) -> Option<String> {
    match report.standing {
        Standing::NoAddress => Some(match report.hub {
            None => format!("the address of {address} is not known"),
            Some(hub) => format!("no own address leads to {hub}"),
        }),
        Standing::Registering { unanswered } | Standing::Registered { unanswered, .. } if unanswered > 0 => {
            let s = if unanswered == 1 { "" } else { "s" };
            let hub = report.hub.map_or_else(|| address.to_owned(), |hub| hub.to_string());
            Some(format!("no answer from {hub} to {unanswered} request{s}"))
        }
        Standing::Refused { reason, .. } => Some(refusal(reason).to_string()),
        _ => None,
    }
}

fn hint_spoke(vn: &VnStatus, address: &str, report: &SpokeReport) -> Option<String> {
    let hub = || report.hub_trouble.map(|_| CAPTURE.into());
    let moves = || hint_moves(report.looped.as_ref(), report.restless.as_ref());
    let standing = hint_standing(vn, address, report).or_else(|| report.rivals.map(|_| COPY.into()));
    standing.or_else(hub).or_else(moves)
}

fn hint_standing(vn: &VnStatus, address: &str, report: &SpokeReport) -> Option<String> {
    Some(match report.standing {
        Standing::NoDevice if vn.trouble.is_none() => {
            format!("see whether '{}' is there: ip link", vn.bridge)
        }
        Standing::NoAddress => match report.hub {
            None => format!("look whether this router's DNS knows it: nslookup {address}"),
            Some(hub) => format!("look for the way there: ip route get {hub}"),
        },
        Standing::Registering { unanswered } | Standing::Registered { unanswered, .. } if unanswered > 0 => {
            let hub = report.hub.map_or_else(|| address.to_owned(), |hub| hub.to_string());
            let runs = match report.key {
                Some(key) => format!("has key {key}, with this secret (it is silent without), runs dmevpn"),
                None => "runs dmevpn (others know no MAC addresses and may be silent)".into(),
            };
            format!(
                "see whether the hub {runs} and can be reached (ping {hub}), and whether GRE (IP protocol 47) passes the \
                 firewalls on the way"
            )
        }
        Standing::Refused { reason, .. } => return hint_refused(reason).map(Into::into),
        _ => return None,
    })
}

fn hint_refused(reason: Refusal) -> Option<&'static str> {
    match reason {
        Refusal::Nak(code::PROHIBITED) => Some(
            "see whether this router's address may register there ('allow'), and what it runs; the hub's log says more",
        ),
        Refusal::Nak(code::RESOURCES) => {
            Some("make room at the hub ('max_spokes', 'max_vnis_per_address'); its log says more")
        }
        Refusal::Nak(code::ALREADY_REGISTERED) => Some(COPY),
        Refusal::Error(error::VPN_MISMATCH | error::VPN_UNSUPPORTED) => {
            Some("compare 'vpn_id' and 'vpn_mode' with the hub's")
        }
        Refusal::Translated { .. } => Some(
            "give this router an address of its own in the underlay; if the one it comes from is its alone (1:1 NAT), \
             set that as option 'advertise'",
        ),
        Refusal::NoSession => Some(
            "update the hub; if that cannot be, set option 'session' '0' in its section: then anybody who forges its \
             address can speak in its name",
        ),
        Refusal::Error(error::PROTOCOL | error::UNREACHABLE | error::UNRECOGNIZED_EXTENSION) => {
            Some("see what the hub runs: one of another maker knows no MAC addresses")
        }
        _ => None,
    }
}

/// Whose keys a hub's VN has, for programs.
pub fn keys(keys: &KeysReport) -> &'static str {
    match (keys.shared, keys.own) {
        (0, 0) => "open",
        (_, 0) => "shared",
        (0, _) => "own",
        (_, _) => "shared and own",
    }
}

/// What to do next where no VN can say it.
pub fn daemon_hint(status: &Status) -> Option<String> {
    if let Some(hint) = status.trouble.as_ref().and_then(Cause::hint) {
        return Some(hint.into());
    }
    status.vns.is_empty().then(|| format!("no VN is configured, or none is enabled: see {}", status.config))
}
