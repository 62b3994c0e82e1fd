//! Tables that go on row by row, since all of their rows are more than a router wants to hold at a time.

use super::table::{Align, Columns, Screen};
use super::writer::{List, Object};
use crate::control::Form;
use crate::control::words::{duration, trouble};
use crate::engine::report::{MacRow, MacState, PathRow, PathState, PeerRow};
use crate::types::Vtep;

/// Which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// `dmevpn macs`, of [`MacRow`]s.
    Macs,
    /// `dmevpn peers`, of [`PeerRow`]s.
    Peers,
    /// `dmevpn paths`, of [`PathRow`]s.
    Paths,
}

const MACS: &[(&str, Align)] = &[
    ("VN", Align::Left),
    ("MAC", Align::Left),
    ("STATE", Align::Left),
    ("VTEP", Align::Left),
    ("VNI", Align::Right),
    ("VALID", Align::Right),
    ("ASKERS", Align::Right),
];

const PEERS: &[(&str, Align)] = &[
    ("VN", Align::Left),
    ("VTEP", Align::Left),
    ("VNI", Align::Right),
    ("UPLINK", Align::Right),
    ("VALID", Align::Right),
    ("MACS", Align::Left),
    ("ADDRESSES", Align::Left),
    ("KEY", Align::Left),
];

const PATHS: &[(&str, Align)] = &[
    ("VN", Align::Left),
    ("VTEP", Align::Left),
    ("VNI", Align::Right),
    ("STATE", Align::Left),
    ("SINCE", Align::Right),
    ("RTT", Align::Right),
    ("LOSS", Align::Right),
    ("LARGEST", Align::Right),
    ("MACS", Align::Right),
    ("NOTE", Align::Left),
];

/// A row, without the VN in front.
pub trait Row {
    /// For people, by columns.
    fn cells(&self) -> Vec<String>;
    /// For programs.
    fn members(&self, o: &mut Object<'_>);
}

/// A table that is being written.
#[derive(Debug)]
pub struct Listing {
    /// For people: as wide as what was measured before.
    columns: Columns,
    /// For programs: the name of the list, and how far it is.
    json: Option<(&'static str, List)>,
}

impl Listing {
    /// A table of which nothing is written yet.
    pub fn new(rows: Rows, form: Form) -> Listing {
        let (name, head) = match rows {
            Rows::Macs => ("macs", MACS),
            Rows::Peers => ("peers", PEERS),
            Rows::Paths => ("paths", PATHS),
        };
        let (columns, json) = match form {
            Form::Text { columns } => (columns, None),
            Form::Json => (0, Some((name, List::default()))),
        };
        Listing { columns: Columns::new(Screen::of(columns), head), json }
    }

    /// Whether all rows are to be measured, before the first is written.
    pub fn is_measured(&self) -> bool {
        self.json.is_none()
    }

    /// Sees that there is room for a row.
    pub fn measure(&mut self, vn: &str, row: &dyn Row) {
        self.columns.measure(&cells(vn, row));
    }

    /// What stands above the rows.
    pub fn begin(&mut self, out: &mut String) {
        match &mut self.json {
            Some((name, list)) => *list = List::begin(out, name, |_| {}),
            None => self.columns.head(out),
        }
    }

    /// A row.
    pub fn row(&mut self, out: &mut String, vn: &str, row: &dyn Row) {
        match &mut self.json {
            Some((_, list)) => list.row(out, |o| {
                o.put("vn", &vn);
                row.members(o);
            }),
            None => self.columns.line(out, &cells(vn, row)),
        }
    }

    /// What stands below them.
    pub fn end(&mut self, out: &mut String) {
        if let Some((_, list)) = &mut self.json {
            list.end_line(out);
        }
    }
}

fn cells(vn: &str, row: &dyn Row) -> Vec<String> {
    let mut cells = row.cells();
    cells.insert(0, vn.to_owned());
    cells
}

impl Row for MacRow {
    fn cells(&self) -> Vec<String> {
        vec![
            self.mac.to_string(),
            state(self.state).into(),
            self.at.map_or_else(|| nowhere(self).into(), |at| at.nbma.to_string()),
            or_dash(self.at.map(|at| at.vni)),
            or_dash(self.left.map(|left| duration(left.into()))),
            self.askers.to_string(),
        ]
    }

    fn members(&self, o: &mut Object<'_>) {
        o.put("mac", &self.mac);
        o.put("state", &state(self.state));
        o.put("place", &place(self));
        vtep(o, self.at);
        o.put("valid", &self.left);
        o.put("askers", &self.askers);
    }
}

impl Row for PeerRow {
    fn cells(&self) -> Vec<String> {
        vec![
            self.nbma.to_string(),
            or_dash(self.vni),
            or_dash(self.uplink),
            duration(self.left.into()).to_string(),
            joined(&self.macs),
            joined(&self.addresses),
            match (self.spoke, self.key) {
                (Some(spoke), Some(key)) => format!("{spoke}/{key}"),
                (_, key) => or_dash(key),
            },
        ]
    }

    fn members(&self, o: &mut Object<'_>) {
        o.put("nbma", &self.nbma);
        o.put("vni", &self.vni);
        o.put("uplink_vni", &self.uplink);
        o.put("valid", &self.left);
        o.put("macs", &self.macs);
        o.put("addresses", &self.addresses);
        o.put("spoke", &self.spoke);
        o.put("key", &self.key);
    }
}

impl Row for PathRow {
    fn cells(&self) -> Vec<String> {
        let round_trip = self.round_trip.map(|ms| if ms == 0 { "< 1 ms".into() } else { format!("{ms} ms") });
        let note = match self.state {
            PathState::Down(what) => trouble(what),
            _ if self.is_hub => "the hub",
            _ => "-",
        };
        vec![
            self.peer.nbma.to_string(),
            self.peer.vni.to_string(),
            path_state(self.state).into(),
            duration(self.since).to_string(),
            or_dash(round_trip),
            or_dash(self.round_trip.map(|_| format!("{} %", self.loss.div_ceil(10)))),
            or_dash(self.largest),
            self.shortcuts.to_string(),
            note.into(),
        ]
    }

    fn members(&self, o: &mut Object<'_>) {
        let reason = match self.state {
            PathState::Down(what) => Some(trouble(what)),
            PathState::Untested | PathState::Up | PathState::Unverified => None,
        };
        vtep(o, Some(self.peer));
        o.put("hub", &self.is_hub);
        o.put("state", &path_state(self.state));
        o.put("since", &self.since);
        o.put("round_trip", &self.round_trip);
        o.put("loss", &self.loss);
        o.put("largest_frame", &self.largest);
        o.put("macs", &self.shortcuts);
        o.put("reason", &reason);
    }
}

/// The name of a path's state.
fn path_state(state: PathState) -> &'static str {
    match state {
        PathState::Untested => "untested",
        PathState::Up => "up",
        PathState::Down(_) => "down",
        PathState::Unverified => "unverified",
    }
}

/// Where something is.
pub(super) fn vtep(o: &mut Object<'_>, at: Option<Vtep>) {
    o.put("nbma", &at.map(|at| at.nbma));
    o.put("vni", &at.map(|at| at.vni));
}

/// The name of a MAC's state.
fn state(state: MacState) -> &'static str {
    match state {
        MacState::Asking => "asking",
        MacState::Shortcut => "shortcut",
        MacState::NoPath => "no path",
        MacState::Negative => "unknown",
        MacState::Learned => "learned",
        MacState::Held => "held",
    }
}

/// Where a MAC is, seen from here.
fn place(row: &MacRow) -> &'static str {
    match (row.state, row.at) {
        (MacState::Shortcut, _) => "direct",
        (MacState::Asking | MacState::NoPath, _) => "hub",
        // Its frames go by the hub, too, which does not know it either.
        (MacState::Negative, _) => "unknown",
        (MacState::Learned | MacState::Held, Some(_)) => "spoke",
        (MacState::Learned | MacState::Held, None) => "here",
    }
}

/// What stands for the VTEP a MAC does not have.
fn nowhere(row: &MacRow) -> &'static str {
    match row.state {
        MacState::Asking | MacState::NoPath | MacState::Negative => "by the hub",
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
