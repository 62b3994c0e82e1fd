//! What the node answers.

use super::super::file::reload;
use super::super::node::Node;
use super::super::plane::{Forwarder, port_name};
use super::super::task::Shared;
use super::super::traffic::Devices;
use super::super::user::Process;
use super::out::Out;
use super::{Happened, REMEMBERED};
use crate::config::{HubAddress, Role, Transport, Vn};
use crate::control::Question;
use crate::engine::report::VnReport;
use crate::engine::{Event, Input, Lookup, Order, PeerName, Refusal, VnKey};
use crate::types::Mac;
use crate::view::{
    self, Answer, Counts, Events, FAILED, Failure, Happening, Listing, Page, RoleStatus, Row, Rows, Status,
    VnCounts, VnStatus,
};
use crate::wire::nhrp::code;
use async_io::Timer;
use smol::future;
use std::io;
use std::time::Duration;

/// A question is given up after this; the client waits a little longer.
const RESOLVE_PATIENCE: Duration = Duration::from_secs(25);
/// So many rows, or happenings, are written before others have their turn.
const ROWS: usize = 64;

/// Answers any question but [`Question::Monitor`]: the exit code.
pub async fn answer(
    question: Question,
    out: &mut Out<'_>,
    node: &Shared,
    config_path: &str,
) -> io::Result<Result<u8, Failure>> {
    match question {
        Question::Status { vn } => {
            let mut status = status(&mut node.borrow_mut(), config_path);
            if let Some(vn) = vn {
                status.vns.retain(|v| v.name == vn);
                if status.vns.is_empty() {
                    return Ok(Err(no_vn(&vn)));
                }
            }
            view::status(&mut out.text, out.form, &status);
        }
        Question::Metrics => metrics(out, node, config_path).await?,
        Question::Macs { vn } => return rows(out, node, Rows::Macs, vn.as_deref()).await,
        Question::Peers { vn } => return rows(out, node, Rows::Peers, vn.as_deref()).await,
        Question::Resolve { vn, mac } => {
            let answer = match resolve(node, &vn, mac).await {
                Ok(answer) => answer,
                Err(failure) => return Ok(Err(failure)),
            };
            view::resolved(&mut out.text, out.form, &vn, mac, &answer);
            if let Answer::NotResolved(_) = answer {
                return Ok(Ok(FAILED));
            }
        }
        Question::Flush { vn, mac } => {
            let mut node = node.borrow_mut();
            match vn.as_deref().map(|vn| find(&node, vn)).transpose() {
                Ok(vn) => node.input(Input::Order(Order::Flush { vn, mac })),
                Err(failure) => return Ok(Err(failure)),
            }
            view::done(&mut out.text, out.form);
        }
        Question::Events { after } => events(out, node, after).await?,
        Question::Reload => match reload(&mut node.borrow_mut(), config_path) {
            Ok(()) => view::done(&mut out.text, out.form),
            Err(errors) => return Ok(Err(Failure::refused(errors))),
        },
        Question::Monitor => {}
    }
    Ok(Ok(0))
}

/// The last row that was written.
#[derive(Clone, Copy)]
enum Cursor {
    Mac(Mac),
    Peer(PeerName),
}

/// Writes a table, a few rows at a time: there may be very many, and meanwhile they may become others.
async fn rows(
    out: &mut Out<'_>,
    node: &Shared,
    kind: Rows,
    vn: Option<&str>,
) -> io::Result<Result<u8, Failure>> {
    let vns = match select(&node.borrow(), vn) {
        Ok(vns) => vns,
        Err(failure) => return Ok(Err(failure)),
    };
    let mut listing = Listing::new(kind, out.form);
    for written in [false, true] {
        if written {
            listing.begin(&mut out.text);
        } else if !listing.is_measured() {
            continue;
        }
        for (name, key) in &vns {
            let mut cursor = None;
            loop {
                let text = &mut out.text;
                cursor = some_rows(&node.borrow(), kind, *key, cursor, &mut |row| {
                    if written { listing.row(text, name, row) } else { listing.measure(name, row) }
                });
                if cursor.is_none() {
                    break;
                }
                out.go_on().await?;
            }
        }
    }
    listing.end(&mut out.text);
    Ok(Ok(0))
}

/// Shows the rows behind `after` to `look`: the last one, unless there are no more.
fn some_rows(
    node: &Node,
    kind: Rows,
    vn: VnKey,
    after: Option<Cursor>,
    look: &mut dyn FnMut(&dyn Row),
) -> Option<Cursor> {
    let now = node.clock.now();
    if kind == Rows::Peers {
        let after = after.and_then(|c| if let Cursor::Peer(name) = c { Some(name) } else { None });
        let rows = node.engine.peers(now, vn, after, ROWS);
        rows.iter().for_each(|row| look(row));
        return rows.get(ROWS - 1).map(|row| Cursor::Peer((row.nbma, row.vni)));
    }
    let after = after.and_then(|c| if let Cursor::Mac(mac) = c { Some(mac) } else { None });
    let rows = node.engine.macs(now, vn, after, ROWS);
    rows.iter().for_each(|row| look(row));
    rows.get(ROWS - 1).map(|row| Cursor::Mac(row.mac))
}

/// Writes what happened after the happening of number `after`, as far as it is remembered. A number that has not been
/// reached is of an earlier daemon: then it is all.
async fn events(out: &mut Out<'_>, node: &Shared, after: u64) -> io::Result<()> {
    let last = node.borrow().audience.happened();
    let mut heard = if after > last { 0 } else { after }.max(last.saturating_sub(REMEMBERED));
    let mut events = Events::begin(&mut out.text, out.form, last);
    while heard < last {
        let text = &mut out.text;
        heard += some_happenings(&node.borrow(), heard, last, &mut |h| events.row(text, &h)).max(1);
        out.go_on().await?;
    }
    events.end(&mut out.text);
    Ok(())
}

/// Shows some happenings behind that of number `heard`, up to that of number `last`: how many numbers these are, those
/// included that are forgotten.
pub(super) fn some_happenings(
    node: &Node,
    heard: u64,
    last: u64,
    look: &mut dyn FnMut(Happening<'_>),
) -> u64 {
    let (forgotten, there) = node.audience.after(heard);
    let left = last.saturating_sub(heard).saturating_sub(forgotten);
    let mut shown = 0;
    for Happened { at, vn, event } in there.take(ROWS).take(usize::try_from(left).unwrap_or(ROWS)) {
        look(Happening { at: *at, vn: node.names.vn_name(*vn), event: *event });
        shown += 1;
    }
    forgotten + shown
}

/// Asks where a MAC lives, and waits for the answer.
async fn resolve(node: &Shared, vn: &str, mac: Mac) -> Result<Answer, Failure> {
    let (key, mut listener) = {
        let mut node = node.borrow_mut();
        let key = find(&node, vn)?;
        node.kernel_events();
        if let Some(known) = known(&node, key, mac) {
            return Ok(known);
        }
        // First: the answer may be there at once.
        let listener = node.audience.listen();
        node.input(Input::Order(Order::Resolve { vn: key, mac }));
        (key, listener)
    };
    let answer = async {
        loop {
            if let Some(answer) = heard(&node.borrow(), &mut listener.heard, key, mac) {
                return Ok(answer);
            }
            listener.news().await;
        }
    };
    let patience = async {
        Timer::after(RESOLVE_PATIENCE).await;
        Ok(Answer::NotResolved(None))
    };
    future::or(answer, patience).await
}

/// The answer for a MAC among what happened.
fn heard(node: &Node, heard: &mut u64, vn: VnKey, mac: Mac) -> Option<Answer> {
    let (forgotten, there) = node.audience.after(*heard);
    *heard = node.audience.happened();
    let mut ours = there.filter(|h| h.vn == vn);
    let answer = ours.find_map(|h| match h.event {
        Event::Resolved { mac: m, at, holding } if m == mac => {
            Some(Answer::At { vtep: at, holding: Some(holding.into()) })
        }
        Event::NotResolved { mac: m, reason } if m == mac => Some(Answer::NotResolved(reason)),
        _ => None,
    });
    // It may be among what is forgotten.
    let there = || match node.engine.lookup(vn, mac) {
        Lookup::At(vtep) => Some(Answer::At { vtep, holding: None }),
        _ => known(node, vn, mac),
    };
    answer.or_else(|| if forgotten > 0 { there() } else { None })
}

/// What needs no question to the hub: what a hub itself knows, and what a spoke was told does not exist.
fn known(node: &Node, key: VnKey, mac: Mac) -> Option<Answer> {
    let now = node.clock.now();
    let not_there = Answer::NotResolved(Some(Refusal::Nak(code::NO_BINDING)));
    match (node.engine.report(now, key)?, node.engine.lookup(key, mac)) {
        (VnReport::Hub(_), Lookup::At(vtep)) => Some(Answer::At { vtep, holding: None }),
        (_, Lookup::Here) => Some(Answer::Local),
        (VnReport::Hub(_), Lookup::Unknown) => Some(not_there),
        (VnReport::Spoke(_), _) => node.engine.is_denied(key, mac).then_some(not_there),
    }
}

fn no_vn(vn: &str) -> Failure {
    Failure::failed(format!("there is no VN '{vn}'"))
}

fn find(node: &Node, vn: &str) -> Result<VnKey, Failure> {
    let configured = node.config.vns.iter().any(|v| v.name == vn);
    node.names.vn(vn).filter(|_| configured).ok_or_else(|| no_vn(vn))
}

/// The VN of this name, or all of them.
fn select(node: &Node, vn: Option<&str>) -> Result<Vec<(String, VnKey)>, Failure> {
    let named = |name: &str| find(node, name).map(|key| (name.to_owned(), key));
    match vn {
        Some(vn) => Ok(vec![named(vn)?]),
        None => node.config.vns.iter().map(|v| named(&v.name)).collect(),
    }
}

/// What was counted, by the engine and by the kernel.
async fn metrics(out: &mut Out<'_>, node: &Shared, config_path: &str) -> io::Result<()> {
    let mut devices = Devices::open();
    while devices.read(ROWS) {
        out.go_on().await?;
    }
    let counts = counts(&mut node.borrow_mut(), &devices, config_path);
    let mut page = Page::begin(&mut out.text, out.form);
    let mut family = 0;
    while page.family(&mut out.text, family, &counts) {
        family += 1;
        out.go_on().await?;
    }
    // One device may serve all spokes: then none has its own traffic.
    let vns: Vec<_> = {
        let node = node.borrow();
        let hubs = node.config.vns.iter().filter(|vn| matches!(vn.role, Role::Hub(_)));
        let key = |vn: &Vn| Some((vn.name.clone(), node.names.vn(&vn.name)?));
        hubs.filter_map(key).map(|(name, key)| (name, key, is_shared(&node, key))).collect()
    };
    let mut family = 0;
    while page.client_family(&mut out.text, family) {
        for (name, key, shared) in &vns {
            let mut after: Option<PeerName> = None;
            loop {
                let clients = node.borrow().engine.client_counts(*key, after, ROWS);
                for client in &clients {
                    let port = client.uplink.filter(|_| !shared).map(port_name);
                    let traffic = port.and_then(|port| devices.of(&port));
                    page.client(&mut out.text, family, name, client, traffic);
                }
                after = clients.get(ROWS - 1).map(|last| (last.nbma, last.vni));
                if after.is_none() {
                    break;
                }
                out.go_on().await?;
            }
        }
        family += 1;
        out.go_on().await?;
    }
    page.end(&mut out.text);
    Ok(())
}

fn is_shared(node: &Node, vn: VnKey) -> bool {
    node.planes.forwarder(vn).is_some_and(Forwarder::is_shared)
}

/// All but what was counted of clients.
fn counts(node: &mut Node, devices: &Devices, config_path: &str) -> Counts {
    let status = status(node, config_path);
    let of_vn = |vn: &Vn| {
        let key = node.names.vn(&vn.name)?;
        let shared = || node.engine.plane(key)?.ports().next().map(|(_, port)| port_name(port.uplink));
        let traffic = match &vn.role {
            Role::Spoke(spoke) => devices.of(&spoke.vxlan),
            Role::Hub(_) if is_shared(node, key) => shared().and_then(|name| devices.of(&name)),
            Role::Hub(_) => None,
        };
        Some(VnCounts { vn: vn.name.clone(), statistics: node.engine.vn_statistics(key), traffic })
    };
    let vns = node.config.vns.iter().filter_map(of_vn).collect();
    Counts { status, statistics: node.engine.statistics(), vns }
}

fn status(node: &mut Node, config_path: &str) -> Status {
    node.kernel_events();
    let now = node.clock.now();
    let vn_status = |vn: &Vn| {
        let key = node.names.vn(&vn.name)?;
        let (bridge_mac, trouble) = node.standing(vn, key);
        let (device, role) = match (&vn.role, node.engine.report(now, key)?) {
            (Role::Spoke(spoke), VnReport::Spoke(report)) => {
                let hub = node.config.hubs.iter().find(|h| h.name == spoke.hub)?;
                let hub_address = match &hub.address {
                    HubAddress::Ip(ip) => ip.to_string(),
                    HubAddress::Name(name) => name.clone(),
                };
                let role = RoleStatus::Spoke { hub_name: hub.name.clone(), hub_address, report };
                (Some(spoke.vxlan.clone()), role)
            }
            (Role::Hub(_), VnReport::Hub(report)) => {
                let (dataplane, reason) = node.planes.forwarder(key)?.words();
                let (dataplane, dataplane_reason) = (dataplane.into(), reason.into());
                (None, RoleStatus::Hub { dataplane, dataplane_reason, report })
            }
            _ => return None,
        };
        Some(VnStatus {
            name: vn.name.clone(),
            vpn_id: vn.vpn_id,
            bridge: vn.bridge.clone(),
            vlan: vn.vlan,
            bridge_mac,
            device,
            trouble,
            role,
        })
    };
    let process = Process::this();
    Status {
        version: env!("CARGO_PKG_VERSION").into(),
        uptime: now.as_millis() / 1000,
        config: config_path.into(),
        device: match &node.config.main.transport {
            Transport::Raw => None,
            Transport::Device(name) => Some(name.clone()),
        },
        nbma: node.nbma(),
        user: process.user(),
        confined: process.is_confined(),
        trouble: node.own_trouble(),
        vns: node.config.vns.iter().filter_map(vn_status).collect(),
    }
}
