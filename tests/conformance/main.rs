//! RFC 2332 and RFC 2735, clause by clause: what a spoke and a hub do. The wire has tests of its own.
//!
//! A module is a section of the conformance list, and a test is named after its clause. Here is what several use.

#[path = "../drive/mod.rs"]
mod drive;
#[path = "../golden/mod.rs"]
mod golden;

mod admission;
mod again;
mod bounds;
mod claims;
mod counters;
mod ending;
mod errors;
mod extensions;
mod header;
mod hubs;
mod keys;
mod late;
mod lifetimes;
mod loops;
mod neighbours;
mod purge;
mod registration;
mod resolution;
mod restarts;
mod roles;
mod sessions;
mod vpn;

use dmevpn::engine::settings::VpnMode;
use dmevpn::engine::{Act, Effect, Input, Port};
use dmevpn::wire::nhrp::{Cie, Extension, Header, Kind};
use drive::*;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const STATION: &str = "52:54:00:00:00:0b";

/// A hub with spokes 2 and 3, and a station behind spoke 3.
fn hub_and_two() -> (Driven, Client, Client) {
    let mut hub = Driven::hub();
    let (two, three) = (client(2), client(3));
    hub.register(&two);
    hub.register(&three);
    hub.learn(&three, address(STATION));
    (hub, two, three)
}

/// A port that an earlier run of a hub made for a spoke.
fn found_port(uplink: u32, granted: u16) -> Port {
    let mode = VpnMode::Llc;
    Port {
        uplink: vni(uplink),
        local: nbma("10.0.0.1"),
        mode,
        granted,
        mac: None,
        home: None,
        key: None,
        is_hubs: false,
        passing: Default::default(),
    }
}

/// A spoke that has a shortcut to [`STATION`] at 10.0.0.3 for 300 seconds.
fn spoke_with_shortcut() -> Driven {
    let mut spoke = Driven::registered();
    spoke.heard(mac(STATION));
    let question = spoke.one();
    spoke.hear_from_hub(&answer(&question.bytes, &[at(vtep("10.0.0.3", 101), 300)]));
    assert_eq!(spoke.shortcut(mac(STATION)), Some(vtep("10.0.0.3", 101)));
    spoke
}

/// What the kernel is asked to do.
fn acts(driven: &Driven) -> Vec<Act> {
    let act = |e: &Effect| if let Effect::Do { act, .. } = e { Some(*act) } else { None };
    driven.out.iter().filter_map(act).collect()
}

/// What the kernel is asked to do while time passes.
fn acts_within(driven: &mut Driven, time: Duration) -> Vec<Act> {
    let end = driven.now + time;
    let mut all = Vec::new();
    while let Some(at) = driven.engine.deadline().filter(|at| *at <= end) {
        driven.now = driven.now.max(at);
        driven.input(Input::Tick);
        all.extend(acts(driven));
    }
    driven.now = end;
    all
}

/// The purge of frame F, for a station at a VTEP.
fn purge(flags: u16, prefix: u8, old: Option<dmevpn::types::Vtep>) -> Vec<u8> {
    let header = Header {
        kind: Kind::PurgeRequest,
        protocol: dmevpn::wire::nhrp::Protocol::Ethernet,
        hop_count: 16,
        flags,
        request_id: 7,
        nbma: nbma("10.0.0.1"),
        vni: None,
        source: Some(address(HUB_MAC)),
        destination: Some(address(SPOKE_MAC)),
    };
    write(&header, |w| {
        let (nbma, vni) = (old.map(|o| o.nbma), old.map(|o| o.vni));
        w.cie(&Cie { prefix, nbma, vni, address: Some(address(STATION)), ..Cie::default() });
    })
}

/// A client confirms a purge; what comes of that.
fn confirm(hub: &mut Driven, client: &Client, purge: &Sent) -> Vec<Sent> {
    let reply = write(&purge.header().reply(Kind::PurgeReply), |w| {
        purge.cies().iter().for_each(|cie| {
            w.cie(cie);
        });
    });
    hub.hear(client.path(), TAG, &reply)
}

/// A registration of what `holder` has, which is asked, and is there: the answer.
fn contested(hub: &mut Driven, newcomer: &Client, request: &[u8], holder: &Client) -> Sent {
    let question = hub.hear(newcomer.path(), TAG, request);
    assert_eq!((question.len(), question[0].path), (1, holder.path()), "the holder is asked");
    let mut sent = confirm(hub, holder, &question[0]);
    assert_eq!((sent.len(), sent[0].path), (1, newcomer.path()));
    sent.remove(0)
}

fn is_error(sent: &Sent, code: u16) -> bool {
    let header = sent.header();
    header.kind == Kind::Error && header.error_code() == code
}

/// A spoke in the place of the golden frames.
fn golden_spoke() -> Client {
    Client { vni: Some(vni(100)), source: address(SPOKE_MAC), ..client(2) }
}

/// Our client of the neighbours' kind: registers its tunnel address and knows of no VN.
fn ip_client(n: u8, tunnel: &str) -> Client {
    Client { nbma: nbma(&format!("10.0.0.{n}")), vni: None, source: address(tunnel) }
}

fn ip_registration(client: &Client, unique: bool, extensions: &[Extension<'_>]) -> Vec<u8> {
    let flags = if unique { 0x8000 } else { 0 };
    let header = client.header(Kind::RegistrationRequest, flags, 1, address("192.0.2.1"));
    write(&header, |w| {
        w.cie(&Cie { prefix: if unique { 0xff } else { 32 }, mtu: 1472, holding: 7200, ..Cie::default() });
        extensions.iter().for_each(|e| {
            w.extension(*e);
        });
    })
}
