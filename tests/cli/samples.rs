//! What a daemon may answer.

use dmevpn::config::{Config, Errors};
use dmevpn::control::Cause;
use dmevpn::engine::report::{
    ClientCounts, HubReport, HubRow, KeysReport, LoopReport, MacRow, MacState, OddRow, Oddity, PathRow,
    PathState, PeerRow, SpokeReport, Standing, Trouble,
};
use dmevpn::engine::settings::{Trigger, VpnMode};
use dmevpn::engine::{ClientStatistics, Event, HubKey, Refusal, Rivals, Statistics, Table, Why, WhyHub};
use dmevpn::types::{Label, Mac, Vtep};
use dmevpn::view::{Answer, Counts, RoleStatus, Row, Status, Traffic, VnCounts, VnStatus};
use dmevpn::wire::VpnTag;

/// One of each, with all that can go wrong.
pub fn a_day_like_any_other() -> Status {
    let registered = report(Standing::Registered { left: 410, unanswered: 0 }, 7980);
    let refused = report(Standing::Refused { reason: Refusal::Nak(14), retry: 20 }, 12);
    let silent = report(Standing::Registering { unanswered: 4 }, 34);
    let no_device = VnStatus {
        device: None,
        trouble: Some(Cause::NoBridge("br-guest".into())),
        ..vn("guest", "4", spoke("10.0.0.1", report(Standing::NoDevice, 8000)))
    };
    let vns = vec![
        VnStatus { bridge_mac: Some(mac(2)), ..vn("test", "1", spoke("10.0.0.1", registered)) },
        vn("lab", "2", spoke("hub.example.net", refused)),
        vn("cam", "ac-de-48:3", spoke("10.0.0.1", silent)),
        no_device,
        vn("core", "5", hub()),
    ];
    Status { guard: Some(Ok(17)), ..daemon(vns) }
}

pub fn daemon(vns: Vec<VnStatus>) -> Status {
    Status {
        version: "0.1.0".into(),
        uptime: 8040,
        config: "/etc/config/dmevpn".into(),
        device: None,
        nbma: vec!["10.0.0.2".parse().unwrap()],
        user: "dmevpn".into(),
        confined: true,
        trouble: None,
        guard: None,
        odd: vec![],
        vns,
    }
}

/// Packets of all kinds that make no sense.
pub fn odd() -> Vec<OddRow> {
    let all = [
        Oddity::OldFormat,
        Oddity::Malformed,
        Oddity::UnknownVn(VpnTag::Llc("7".parse().unwrap())),
        Oddity::UnknownExtension(0x3801),
        Oddity::UnknownExtension(7),
        Oddity::Unauthenticated,
        Oddity::Reports(1),
    ];
    let row = |oddity| OddRow { peer: "10.0.0.7".parse().unwrap(), oddity, count: 12, ago: 40 };
    all.map(row).to_vec()
}

pub fn vn(name: &str, vpn_id: &str, role: RoleStatus) -> VnStatus {
    let spoke = matches!(role, RoleStatus::Spoke { .. });
    VnStatus {
        name: name.into(),
        vpn_id: vpn_id.parse().unwrap(),
        bridge: format!("br-{name}"),
        vlan: None,
        mtu: 1500,
        bridge_mac: None,
        device: spoke.then(|| format!("vx-{name}")),
        trouble: None,
        lack: None,
        role,
    }
}

pub fn spoke(address: &str, report: SpokeReport) -> RoleStatus {
    RoleStatus::Spoke { hub_name: "dc1".into(), hub_address: address.into(), hubs: vec![], report }
}

/// A spoke of three hubs, which is at the second.
pub fn spoke_of_three() -> RoleStatus {
    let row = |n, is_active, answered, answers, is_draining| HubRow {
        hub: HubKey(n),
        nbma: format!("10.0.0.{}", n + 1).parse().ok(),
        is_active,
        answered,
        answers,
        is_draining,
        next_return: (n == 0).then_some(1140),
    };
    let rows = vec![
        row(0, false, Some(64), false, false),
        row(1, true, Some(0), true, false),
        row(2, false, Some(7), true, true),
    ];
    let report = SpokeReport {
        hub: "10.0.0.2".parse().ok(),
        uplink: Some(vtep("10.0.0.2", "1048577")),
        hubs: rows.clone(),
        chosen: (WhyHub::PathDown, 60),
        ..report(Standing::Registered { left: 410, unanswered: 0 }, 60)
    };
    let names = ["dc1", "dc2", "dc3"].map(String::from);
    RoleStatus::Spoke {
        hub_name: "dc2".into(),
        hub_address: "10.0.0.2".into(),
        hubs: names.into_iter().zip(rows).collect(),
        report,
    }
}

pub fn hub() -> RoleStatus {
    RoleStatus::Hub {
        dataplane: "bridge".into(),
        dataplane_reason: "as configured".into(),
        report: HubReport {
            since: 8030,
            spokes: 3,
            max_spokes: 1000,
            ip_clients: 2,
            ip_crowd: None,
            is_draining: false,
            peers: (0, 0),
            path_trouble: None,
            macs: 40,
            purges: 0,
            refused: None,
            rivals: vec![],
            restless: None,
            looped: None,
            keys: KeysReport { own: 2, ..KeysReport::default() },
        },
    }
}

pub fn report(standing: Standing, since: u64) -> SpokeReport {
    SpokeReport {
        standing,
        since,
        hub: "10.0.0.1".parse().ok(),
        local: "10.0.0.2".parse().ok(),
        vni: "100".parse().unwrap(),
        uplink: Some(vtep("10.0.0.1", "1048576")),
        vpn_mode: VpnMode::Llc,
        trigger: Trigger::Learn,
        shortcuts: 12,
        asking: 0,
        negative: 1,
        rivals: None,
        key: Some(Label::new("hq")),
        paths: (3, 1),
        hub_trouble: None,
        hubs: vec![],
        chosen: (WhyHub::Preferred, since),
        probing: 100,
        restless: None,
        looped: None,
    }
}

/// Rows of a table, each with its VN.
pub type Rows = Vec<(&'static str, Box<dyn Row>)>;

pub fn some_macs() -> Rows {
    let row = |n, state, at, left, askers| {
        Box::new(MacRow { mac: mac(n), state, at, left, askers }) as Box<dyn Row>
    };
    vec![
        ("test", row(12, MacState::Shortcut, Some(vtep("10.0.0.3", "101")), Some(410), 0)),
        ("test", row(13, MacState::Asking, None, None, 0)),
        ("test", row(14, MacState::Negative, None, Some(9), 0)),
        ("core", row(15, MacState::Learned, Some(vtep("2001:db8::7", "16777215")), None, 2)),
        ("core", row(16, MacState::Held, None, Some(7200), 1)),
    ]
}

pub fn some_peers() -> Rows {
    let spoke = PeerRow {
        nbma: "10.0.0.2".parse().unwrap(),
        vni: "100".parse().ok(),
        uplink: "1048576".parse().ok(),
        macs: vec![mac(11)],
        addresses: vec![],
        left: 410,
        key: Some(Label::new("b7_2026")),
        spoke: Some(Label::new("branch7")),
    };
    let client = PeerRow {
        nbma: "10.0.0.9".parse().unwrap(),
        vni: None,
        uplink: None,
        macs: vec![],
        addresses: vec!["172.16.0.9".parse().unwrap(), "2001:db8::9".parse().unwrap()],
        left: 7000,
        key: None,
        spoke: None,
    };
    vec![("core", Box::new(spoke)), ("core", Box::new(client))]
}

pub fn some_paths() -> Rows {
    let row = |peer, is_hub, state| PathRow {
        peer,
        is_hub,
        state,
        since: 410,
        round_trip: Some(14),
        loss: 32,
        largest: Some(1500),
        shortcuts: 3,
    };
    let down = PathState::Down(Trouble::Large);
    let other = PathRow {
        round_trip: None,
        largest: None,
        ..row(vtep("10.0.0.4", "102"), false, PathState::Untested)
    };
    let all = [
        row(vtep("10.0.0.1", "1048576"), true, PathState::Up),
        row(vtep("10.0.0.2", "100"), false, PathState::Up),
        row(vtep("10.0.0.3", "101"), false, down),
        other,
    ];
    all.into_iter().map(|row| ("test", Box::new(row) as Box<dyn Row>)).collect()
}

/// A spoke's VN, and a hub's.
pub fn some_counts(status: Status) -> Counts {
    let statistics = Statistics { tx_resolve_req: 5, ..Statistics::default() };
    let vns = vec![
        VnCounts { vn: "test".into(), statistics, traffic: Some(TRAFFIC) },
        VnCounts { vn: "core".into(), statistics: Statistics::default(), traffic: None },
    ];
    Counts { status, statistics: Statistics { tx_resolve_req: 7, ..Statistics::default() }, vns }
}

const TRAFFIC: Traffic = Traffic { rx_bytes: 1 << 40, rx_packets: 2, tx_bytes: 3, tx_packets: 4 };

/// The hub's clients: a spoke, and one that only registers IP addresses.
pub fn some_clients() -> Vec<(&'static str, ClientCounts, Option<Traffic>)> {
    let client = |nbma: &str, vni: Option<&str>, rx_register_req| ClientCounts {
        nbma: nbma.parse().unwrap(),
        vni: vni.map(|vni| vni.parse().unwrap()),
        uplink: None,
        spoke: vni.map(|_| Label::new("branch7")),
        statistics: ClientStatistics { rx_register_req, ..ClientStatistics::default() },
    };
    vec![
        ("core", client("10.0.0.2", Some("100"), 6), Some(TRAFFIC)),
        ("core", client("10.0.0.9", None, 7), None),
    ]
}

/// Every way a question for a MAC may end.
pub fn answers() -> [Answer; 5] {
    let vtep = vtep("10.0.0.3", "101");
    [
        Answer::At { vtep, holding: Some(410) },
        Answer::At { vtep, holding: None },
        Answer::Local,
        Answer::NotResolved(Some(Refusal::Nak(12))),
        Answer::NotResolved(None),
    ]
}

/// One of each kind.
pub fn events() -> Vec<Event> {
    let (spoke, uplink) = (vtep("10.0.0.2", "100"), "1048576".parse().unwrap());
    let (hub, reason) = ("10.0.0.1".parse().unwrap(), Refusal::Nak(14));
    vec![
        Event::Registered { uplink: vtep("10.0.0.1", "1048576") },
        Event::Refused { hub, reason },
        Event::RegistrationLost { hub },
        Event::Withdrawn,
        Event::Asked { mac: mac(1) },
        Event::Resolved { mac: mac(1), at: spoke, holding: 600 },
        Event::NotResolved { mac: mac(1), reason: Some(reason) },
        Event::NotResolved { mac: mac(1), reason: None },
        Event::ShortcutUp { mac: mac(1), to: spoke },
        Event::ShortcutDown { mac: mac(1), why: Why::Purged },
        Event::SpokeUp { spoke, uplink },
        Event::SpokeMoved { from: spoke, to: vtep("10.0.0.3", "100"), uplink },
        Event::SpokeDown { spoke, why: Why::Expired },
        Event::SpokeRefused { spoke: hub, reason, is_known: true },
        Event::SecondSite { spoke, registered: uplink },
        Event::ManySites { spoke, most: 4 },
        Event::MacMoved { mac: mac(1), to: Some(spoke) },
        Event::MacMoved { mac: mac(1), to: None },
        Event::Rivals(rivals()),
        Event::Restless { mac: mac(1), from: Some(spoke), to: None },
        Event::Looped(LoopReport { port: Label::new("lan2"), spoke: None }),
        Event::Looped(LoopReport { port: Label::new("lan2"), spoke: Some(spoke) }),
        Event::LoopOver(LoopReport { port: Label::new("lan2"), spoke: None }),
        Event::Full(Table::Macs),
        Event::Full(Table::Spokes),
        Event::Full(Table::Purges),
        Event::PeerError { peer: hub, code: 17 },
        Event::NoAnswer { hub, signed: false },
    ]
}

/// Two routers of one MAC.
pub fn rivals() -> Rivals {
    Rivals { mac: mac(1), first: vtep("10.0.0.2", "100"), second: Some(vtep("10.0.0.3", "101")) }
}

pub fn bad_file() -> Errors {
    let text = "config vn a\n option vni many\n option hib x\n option role spoke\n option vpn_id 1\n \
                option bridge b\nconfig hub hib\n option address 10.0.0.1\nconfig dmevpn main\n";
    Config::parse("/etc/config/dmevpn", text).unwrap_err()
}

pub fn mac(n: u8) -> Mac {
    Mac::new([0x52, 0x54, 0, 0, 0, n]).unwrap()
}

pub fn vtep(nbma: &str, vni: &str) -> Vtep {
    Vtep { nbma: nbma.parse().unwrap(), vni: vni.parse().unwrap() }
}
