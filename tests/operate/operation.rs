//! From octets to operations: every sequence of octets means a history.

use super::forge::Forgery;
use super::{Change, HOLDINGS, OUTCOMES, SPOKES, STATIONS};
use crate::sim::build::VN;
use crate::sim::{Net, NodeId};
use dmevpn::engine::Outcome;
use dmevpn::engine::settings::{Trigger, VnKey, VpnMode};
use std::time::Duration;

/// What is left to read.
pub struct Octets<'a>(pub &'a [u8]);

impl Octets<'_> {
    pub fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn below(&mut self, n: usize) -> Option<usize> {
        Some(usize::from(self.next()?) % n)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        Some(from[self.below(from.len())?])
    }

    fn station(&mut self) -> Option<usize> {
        self.below(STATIONS)
    }

    fn node(&mut self) -> Option<NodeId> {
        self.below(SPOKES + 1)
    }

    fn spoke(&mut self) -> Option<NodeId> {
        Some(1 + self.below(SPOKES)?)
    }

    fn vn(&mut self) -> Option<VnKey> {
        self.pick(&[VN, VN, VnKey(2)])
    }
}

/// Something that happens.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    Pass(Duration),
    /// A station sends a frame; for `None` a broadcast.
    Frame {
        from: usize,
        to: Option<usize>,
    },
    Converse {
        a: usize,
        b: usize,
    },
    Move {
        station: usize,
        to: NodeId,
        aloud: bool,
        /// Whether the site that it leaves sees its port go.
        unplugged: bool,
    },
    Flap {
        station: usize,
        between: (NodeId, NodeId),
        apart: Duration,
    },
    Leave(usize),
    /// The daemon ends without a word, and the kernel goes on.
    Sleep(NodeId),
    Restart(NodeId),
    Reboot(NodeId),
    /// The router has no power.
    Off(NodeId),
    On(NodeId),
    /// An ordered stop.
    Stop(NodeId),
    Device {
        node: NodeId,
        vn: VnKey,
        up: bool,
    },
    NoWay(NodeId),
    Way(NodeId),
    Renumber(NodeId),
    /// The router was made from a copy of another one, or has its own identity again.
    Copy {
        node: NodeId,
        of: NodeId,
    },
    Cut {
        a: NodeId,
        b: NodeId,
    },
    Heal,
    Net(Net),
    Deaf(NodeId),
    Hears(NodeId),
    List {
        node: NodeId,
        vn: VnKey,
    },
    Ports(Option<Outcome>),
    Resolve {
        node: NodeId,
        vn: VnKey,
        mac: usize,
    },
    Flush {
        node: NodeId,
        vn: Option<VnKey>,
        mac: Option<usize>,
    },
    Reload {
        node: NodeId,
        change: Change,
    },
    Forge(Forgery),
}

const TIMES: [u64; 16] = [
    1, 2, 20, 300, 1000, 3000, 6000, 10_000, 31_000, 45_000, 65_000, 100_000, 125_000, 305_000, 1_000_000,
    3_700_000,
];

const NETS: [Net; 4] = [
    Net::GOOD,
    Net { loss: 0, duplicates: 40, frame_loss: 0, delay: (5, 2000) },
    Net { loss: 30, duplicates: 10, frame_loss: 5, delay: (5, 900) },
    Net { loss: 0, duplicates: 20, frame_loss: 0, delay: (1, 20_000) },
];

impl Operation {
    /// The next one; `None` when there are no octets left.
    pub fn read(o: &mut Octets<'_>) -> Option<Operation> {
        use Operation as O;
        Some(match o.next()? % 40 {
            0..=6 => O::Pass(Duration::from_millis(o.pick(&TIMES)?)),
            7 => O::Frame { from: o.station()?, to: None },
            8 => O::Frame { from: o.station()?, to: Some(o.station()?) },
            9..=12 => O::Converse { a: o.station()?, b: o.station()? },
            13..=15 => {
                let (station, to) = (o.station()?, o.next()?);
                O::Move {
                    station,
                    to: usize::from(to) % (SPOKES + 1),
                    aloud: to & 0x80 == 0,
                    unplugged: to & 0x40 != 0,
                }
            }
            16 => O::Flap {
                station: o.station()?,
                between: (o.node()?, o.node()?),
                apart: Duration::from_millis(o.pick(&[50, 400, 3000])?),
            },
            17 => O::Leave(o.station()?),
            18 => O::Sleep(o.node()?),
            19 => O::Restart(o.node()?),
            20 => O::Restart(0),
            21 => O::Reboot(o.node()?),
            22 => O::Off(o.node()?),
            23 => O::On(o.node()?),
            24 => O::Stop(o.node()?),
            25 => {
                let up = o.next()?;
                O::Device { node: o.node()?, vn: o.vn()?, up: up & 1 != 0 }
            }
            26 => O::NoWay(o.spoke()?),
            27 => O::Way(o.spoke()?),
            28 => O::Renumber(o.node()?),
            29 => match o.next()? % 4 {
                0 => O::Heal,
                _ => O::Cut { a: o.node()?, b: o.node()? },
            },
            30 => O::Net(o.pick(&NETS)?),
            31 => O::Deaf(o.node()?),
            32 => O::Hears(o.node()?),
            33 => O::List { node: o.node()?, vn: o.vn()? },
            34 => O::Ports(o.pick(&OUTCOMES)?),
            35 => O::Resolve { node: o.spoke()?, vn: o.vn()?, mac: o.below(STATIONS + 4)? },
            36 => {
                let (node, what) = (o.node()?, o.next()?);
                let mac = (what & 1 != 0).then_some(usize::from(what >> 1) % STATIONS);
                O::Flush { node, vn: (what & 0x80 != 0).then_some(VN), mac }
            }
            37 => O::Reload { node: o.node()?, change: change(o)? },
            38 => O::Copy { node: o.spoke()?, of: o.spoke()? },
            _ => O::Forge(Forgery::read(o)?),
        })
    }
}

fn change(o: &mut Octets<'_>) -> Option<Change> {
    Some(match o.next()? % 8 {
        0 | 1 => Change::Holding(o.pick(&HOLDINGS)?),
        2 => Change::Mode(o.pick(&[VpnMode::Llc, VpnMode::Key, VpnMode::None])?),
        3 => Change::Trigger(o.pick(&[Trigger::Learn, Trigger::L2miss])?),
        4 => Change::Vni(o.below(3)? as u32),
        5 => Change::Room(o.next()? % 2 == 0),
        6 => Change::Negative(o.pick(&[30, 300])?),
        _ => Change::Unique(o.next()? % 2 == 0),
    })
}
