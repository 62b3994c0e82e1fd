//! Answers, made a part at a time: others have their turn between two parts, and no part holds a whole table.

use super::super::clock;
use super::super::dataplane::port_name;
use super::super::file::reload;
use super::super::node::Node;
use super::super::traffic::Devices;
use super::facts::{counts, find, hubs, known, no_vn, select, status};
use super::{Happened, Listener, RECORDED, REMEMBERED};
use crate::config::Role;
use crate::control::frame::{self, Framing, Kind};
use crate::control::{Form, Question};
use crate::engine::{Event, Input, Order, Place, Told, VnKey};
use crate::time::Instant;
use crate::types::{Mac, Peer, SiteName, Vtep};
use crate::view::{
    self, Answer, Counts, Events, FAILED, Failure, Happening, Listing, Page, Row, Rows, record,
};
use std::time::Duration;

/// A question is given up after this; the client waits a little longer.
const RESOLVE_PATIENCE: Duration = Duration::from_secs(25);
/// So many rows, or happenings, are a part.
const ROWS: usize = 64;

/// What follows a part of an answer.
pub enum Next {
    /// Another one.
    Part,
    /// Another one once something has happened, or so long a time is over. Without a time the client may hang up
    /// meanwhile.
    News(Option<Duration>),
    /// Nothing: the exit code, or what is to be said in place of it.
    End(Result<u8, Failure>),
}

/// An answer that is being made.
pub struct Making {
    form: Form,
    what: What,
    /// Who waits for news has one.
    pub listener: Option<Listener>,
}

enum What {
    /// It is there already.
    Made(Result<u8, Failure>),
    Table(Box<Table>),
    Metrics(Box<Metrics>),
    /// What happened up to that of number `last`, behind that of number `heard`.
    Events {
        list: Events,
        heard: u64,
        last: u64,
    },
    Monitor,
    /// With how far it is told how all stands, as long as there is more.
    Record(Option<Told>),
    Resolve {
        vn: String,
        key: VnKey,
        mac: Mac,
        until: Instant,
    },
}

impl Making {
    /// Begins an answer; what of it is there already is written.
    pub fn begin(
        question: Question,
        form: Form,
        node: &mut Node,
        config_path: &str,
        out: &mut String,
    ) -> Making {
        let mut listener = None;
        let table = |table| What::Table(Box::new(table));
        let what = match question {
            Question::Status { vn } => Ok(What::Made(only_status(node, config_path, vn, form, out))),
            Question::Macs { vn } => Table::begin(node, Rows::Macs, vn, form, out).map(table),
            Question::Peers { vn } => Table::begin(node, Rows::Peers, vn, form, out).map(table),
            Question::Paths { vn } => Table::begin(node, Rows::Paths, vn, form, out).map(table),
            Question::Doctor => {
                let status = status(node, config_path);
                out.push_str(&format!("{}{config_path}\n", view::doctor::CONFIG));
                view::doctor::lines(out, &view::doctor::of_status(&status));
                Ok(What::Made(Ok(0)))
            }
            Question::Metrics => {
                let config_path = config_path.to_owned();
                Ok(What::Metrics(Box::new(Metrics { config_path, ..Metrics::default() })))
            }
            Question::Events { after } => {
                let last = node.audience.happened();
                // A number that has not been reached is of an earlier daemon: then it is all.
                let heard = if after > last { 0 } else { after }.max(last.saturating_sub(REMEMBERED));
                Ok(What::Events { list: Events::begin(out, form, last), heard, last })
            }
            Question::Monitor => {
                listener = Some(node.audience.listen());
                Ok(What::Monitor)
            }
            Question::Record => {
                let (heard, told) = node.begin_record(out);
                listener = Some(heard);
                Ok(What::Record(told))
            }
            Question::Resolve { vn, mac } => find(node, &vn).map(|key| {
                node.kernel_events();
                if let Some(known) = known(node, key, mac) {
                    return What::Made(Ok(resolved(&known, &vn, mac, form, out)));
                }
                // First: the answer may be there at once.
                listener = Some(node.audience.listen());
                node.input(Input::Order(Order::Resolve { vn: key, mac }));
                What::Resolve { vn, key, mac, until: node.clock.now() + RESOLVE_PATIENCE }
            }),
            Question::Flush { vn, mac } => vn.map(|vn| find(node, &vn)).transpose().map(|vn| {
                node.input(Input::Order(Order::Flush { vn, mac }));
                view::done(out, form);
                What::Made(Ok(0))
            }),
            Question::Drain { vn, off } => hub(node, &vn).map(|vn| {
                node.input(Input::Order(Order::Drain { vn, is_on: !off }));
                view::done(out, form);
                What::Made(Ok(0))
            }),
            Question::Remove { vn, peer } => remove(node, vn, peer).map(|removed| {
                view::removed(out, form, removed);
                What::Made(Ok(0))
            }),
            Question::Reload => reload(node, config_path).map_err(Failure::refused).map(|()| {
                view::done(out, form);
                What::Made(Ok(0))
            }),
        };
        Making { form, what: what.unwrap_or_else(|failure| What::Made(Err(failure))), listener }
    }

    /// A failure in place of an answer.
    pub fn failed(failure: Failure, form: Form) -> Making {
        Making { form, what: What::Made(Err(failure)), listener: None }
    }

    /// What is to be sent of a text, and of the end if that follows.
    pub fn octets(&self, framing: Framing, text: &str, next: &Next) -> Vec<u8> {
        let mut octets = Vec::new();
        let Next::End(result) = next else {
            frame::add(&mut octets, framing, Kind::Output, text);
            return octets;
        };
        if !text.is_empty() {
            frame::add(&mut octets, framing, Kind::Output, text);
        }
        let code = match result {
            Ok(code) => *code,
            Err(failure) => {
                let mut said = String::new();
                failure.write(&mut said, self.form);
                let kind = if self.form == Form::Json { Kind::Output } else { Kind::Complaint };
                frame::add(&mut octets, framing, kind, &said);
                failure.code
            }
        };
        frame::end(&mut octets, framing, code);
        octets
    }

    /// Writes a part.
    pub fn go_on(&mut self, node: &mut Node, out: &mut String) -> Next {
        let form = self.form;
        match &mut self.what {
            What::Made(result) => Next::End(core::mem::replace(result, Ok(0))),
            What::Table(table) => table.go_on(node, out),
            What::Metrics(metrics) => metrics.go_on(node, form, out),
            What::Events { list, heard, last } if *heard < *last => {
                let shown = some_happenings(node, *heard, *last, &mut |h| list.row(out, &h));
                *heard += shown.max(1);
                Next::Part
            }
            What::Events { list, .. } => {
                list.end(out);
                Next::End(Ok(0))
            }
            What::Monitor => {
                let Some(listener) = &mut self.listener else { return Next::End(Ok(0)) };
                let heard = news(node, listener.heard, form, out);
                listener.heard += heard;
                if heard > 0 { Next::Part } else { Next::News(None) }
            }
            What::Record(told) => {
                let Some(listener) = &mut self.listener else { return Next::End(Ok(0)) };
                let (forgotten, there) = node.audience.recorded_after(listener.heard);
                if forgotten > 0 {
                    out.push_str(&format!("# {forgotten} entries are missing here\n"));
                }
                // What is told of how all stands is newer than all of it.
                let most = if told.is_some() { RECORDED } else { ROWS };
                let some: Vec<&String> = there.take(most).collect();
                listener.heard += forgotten + some.len() as u64;
                let is_news = !some.is_empty();
                for text in some {
                    if told.is_some() { record::among(out, text) } else { out.push_str(text) }
                }
                if let Some(scene) = told {
                    if !node.go_on_recording(out, scene) {
                        *told = None;
                    }
                    return Next::Part;
                }
                if is_news { Next::Part } else { Next::News(None) }
            }
            What::Resolve { vn, key, mac, until } => {
                let Some(listener) = &mut self.listener else { return Next::End(Ok(0)) };
                let left = until.since(node.clock.now());
                let answer = match heard(node, &mut listener.heard, *key, *mac) {
                    Some(answer) => answer,
                    None if left.is_zero() => Answer::NotResolved(None),
                    None => return Next::News(Some(left)),
                };
                Next::End(Ok(resolved(&answer, vn, *mac, form, out)))
            }
        }
    }
}

fn only_status(
    node: &mut Node,
    config_path: &str,
    vn: Option<String>,
    form: Form,
    out: &mut String,
) -> Result<u8, Failure> {
    let mut status = status(node, config_path);
    if let Some(vn) = vn {
        status.vns.retain(|v| v.name == vn);
        if status.vns.is_empty() {
            return Err(no_vn(&vn));
        }
    }
    view::status(out, form, &status);
    Ok(0)
}

/// The VN of this name, of which this router is to be the hub.
fn hub(node: &Node, vn: &str) -> Result<VnKey, Failure> {
    let key = find(node, vn)?;
    let is_hub = node.config.vns.iter().any(|v| v.name == vn && matches!(v.role, Role::Hub(_)));
    if is_hub { Ok(key) } else { Err(Failure::failed(format!("this router is no hub of VN '{vn}'"))) }
}

/// Has a hub forget who registered: how many those were.
fn remove(node: &mut Node, vn: Option<String>, peer: Peer) -> Result<usize, Failure> {
    let vn = vn.map(|vn| find(node, &vn)).transpose()?;
    let Peer { nbma, vni } = peer;
    let removed = node.engine.peers_at(vn, nbma, vni);
    if removed == 0 {
        return Err(Failure::failed(format!("no router is registered from {peer}")));
    }
    node.input(Input::Order(Order::Remove { vn, nbma, vni }));
    Ok(removed)
}

/// Writes where a MAC lives: the exit code.
fn resolved(answer: &Answer, vn: &str, mac: Mac, form: Form, out: &mut String) -> u8 {
    view::resolved(out, form, vn, mac, answer);
    if let Answer::NotResolved(_) = answer { FAILED } else { 0 }
}

/// A table that is being written. There may be very many rows, and meanwhile they may become others.
struct Table {
    rows: Rows,
    listing: Listing,
    vns: Vec<(String, VnKey)>,
    /// The place in `vns`, and the last row there.
    at: usize,
    after: Option<Cursor>,
    /// Whether all that is to be measured is.
    measured: bool,
}

/// A row that was written.
#[derive(Clone, Copy)]
enum Cursor {
    Mac(Mac),
    Peer(SiteName),
    Path(Vtep),
}

impl Table {
    fn begin(
        node: &Node,
        rows: Rows,
        vn: Option<String>,
        form: Form,
        out: &mut String,
    ) -> Result<Table, Failure> {
        let vns = select(node, vn.as_deref())?;
        let mut listing = Listing::new(rows, form);
        let measured = !listing.is_measured();
        if measured {
            listing.begin(out);
        }
        Ok(Table { rows, listing, vns, at: 0, after: None, measured })
    }

    fn go_on(&mut self, node: &Node, out: &mut String) -> Next {
        let Table { rows, listing, vns, at, after, measured } = self;
        if let Some((name, key)) = vns.get(*at) {
            *after = some_rows(node, *rows, *key, *after, &mut |row| {
                if *measured { listing.row(out, name, row) } else { listing.measure(name, row) }
            });
            *at += usize::from(after.is_none());
            return Next::Part;
        }
        if *measured {
            listing.end(out);
            return Next::End(Ok(0));
        }
        (*measured, *at) = (true, 0);
        listing.begin(out);
        Next::Part
    }
}

/// Shows the rows behind `after` to `look`: the last one, unless there are no more.
fn some_rows(
    node: &Node,
    rows: Rows,
    vn: VnKey,
    after: Option<Cursor>,
    look: &mut dyn FnMut(&dyn Row),
) -> Option<Cursor> {
    let now = node.clock.now();
    match rows {
        Rows::Macs => {
            let after = after.and_then(|c| if let Cursor::Mac(mac) = c { Some(mac) } else { None });
            let rows = node.engine.macs(now, vn, after, ROWS);
            rows.iter().for_each(|row| look(row));
            rows.get(ROWS - 1).map(|row| Cursor::Mac(row.mac))
        }
        Rows::Paths => {
            let after = after.and_then(|c| if let Cursor::Path(vtep) = c { Some(vtep) } else { None });
            let rows = node.engine.paths(now, vn, after, ROWS);
            rows.iter().for_each(|row| look(row));
            rows.get(ROWS - 1).map(|row| Cursor::Path(row.peer))
        }
        Rows::Peers => {
            let after = after.and_then(|c| if let Cursor::Peer(name) = c { Some(name) } else { None });
            let rows = node.engine.peers(now, vn, after, ROWS);
            rows.iter().for_each(|row| look(row));
            rows.get(ROWS - 1).map(|row| Cursor::Peer((row.nbma, row.vni)))
        }
    }
}

/// Metrics that are being written: what the kernel counts is read, then family after family is written, those of
/// clients a few clients at a time.
#[derive(Default)]
struct Metrics {
    config_path: String,
    devices: Devices,
    /// From the first family on; the counts until those of clients.
    page: Option<Page>,
    counts: Option<Counts>,
    family: usize,
    vns: Vec<(String, VnKey, bool)>,
    /// The place in `vns`, and the last client there.
    at: usize,
    after: Option<SiteName>,
}

impl Metrics {
    fn go_on(&mut self, node: &mut Node, form: Form, out: &mut String) -> Next {
        let Some(page) = &mut self.page else {
            if !self.devices.read(ROWS) {
                self.counts = Some(counts(node, &self.devices, &self.config_path));
                self.vns = hubs(node);
                self.page = Some(Page::begin(out, form));
            }
            return Next::Part;
        };
        if let Some(counts) = &self.counts {
            if page.family(out, self.family, counts) {
                self.family += 1;
            } else {
                (self.counts, self.family) = (None, 0);
            }
            return Next::Part;
        }
        if self.at == 0 && self.after.is_none() && !page.client_family(out, self.family) {
            page.end(out);
            return Next::End(Ok(0));
        }
        if let Some((name, key, shared)) = self.vns.get(self.at) {
            let clients = node.engine.client_counts(*key, self.after, ROWS);
            for client in &clients {
                let port = client.uplink.filter(|_| !shared).map(port_name);
                let traffic = port.and_then(|port| self.devices.of(&port));
                page.client(out, self.family, name, client, traffic);
            }
            self.after = clients.get(ROWS - 1).map(|last| (last.nbma, last.vni));
            self.at += usize::from(self.after.is_none());
        } else {
            (self.at, self.family) = (0, self.family + 1);
        }
        Next::Part
    }
}

/// Shows some happenings behind that of number `heard`, up to that of number `last`: how many numbers these are, those
/// included that are forgotten.
fn some_happenings(node: &Node, heard: u64, last: u64, look: &mut dyn FnMut(Happening<'_>)) -> u64 {
    let (forgotten, there) = node.audience.after(heard);
    let left = last.saturating_sub(heard).saturating_sub(forgotten);
    let mut shown = 0;
    for Happened { at, vn, event } in there.take(ROWS).take(usize::try_from(left).unwrap_or(ROWS)) {
        look(Happening { at: *at, vn: node.names.vn_name(*vn), event: *event });
        shown += 1;
    }
    forgotten + shown
}

/// Writes some of what happened after the happening of number `heard`: how much that is, what is forgotten included.
fn news(node: &Node, heard: u64, form: Form, out: &mut String) -> u64 {
    let (forgotten, _) = node.audience.after(heard);
    if forgotten > 0 {
        view::missed(out, form, clock::wall(), forgotten);
    }
    some_happenings(node, heard, u64::MAX, &mut |h| view::happening(out, form, &h))
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
        Place::At(vtep) => Some(Answer::At { vtep, holding: None }),
        _ => known(node, vn, mac),
    };
    answer.or_else(|| if forgotten > 0 { there() } else { None })
}
