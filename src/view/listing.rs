//! Tables that go on row by row, since all of their rows are more than a router wants to hold at a time.

use super::table::{Align, Columns, Screen};
use super::writer::{List, Object};
use crate::control::Form;
use crate::control::words::duration;
use crate::engine::report::{MacRow, MacState, PeerRow};
use crate::types::Vtep;

/// Which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// `dmevpn macs`, of [`MacRow`]s.
    Macs,
    /// `dmevpn peers`, of [`PeerRow`]s.
    Peers,
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
