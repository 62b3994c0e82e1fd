//! All rows of the table.

use crate::lab::Res;
use crate::world::Setup;
use crate::{costs, ends, engine, floods, moves, starts, vns};

/// What is measured in one scene.
pub struct Row {
    /// What `--only` knows it by.
    pub name: &'static str,
    /// The scene.
    pub about: &'static str,
    /// What each value is, and what it should be.
    pub lines: &'static [(&'static str, &'static str)],
    /// The scene; a value for each line.
    pub run: fn(&Setup) -> Res<Vec<String>>,
}

const WAIT: (&str, &str) = ("longest wait of a question", "50 ms");

const FLOODED: u32 = 100_000;
const FLOOD: &[(&str, &str)] = &[
    ("offered a second", "100000"),
    ("9 of 10 questions are answered within", "-"),
    ("99 of 100 are", "1 s"),
    ("99 of 100 refreshes take", "1 s"),
    ("a new spoke is in after", "5 s"),
    ("status takes", "1 s"),
    ("the daemon grows by", "-"),
    ("processor time a packet", "-"),
    ("packets it was too slow to read", "-"),
];

/// The table.
pub const ROWS: &[Row] = &[
    Row {
        name: "end-300",
        about: "300 spokes end at once, by their holding time",
        lines: &[WAIT, ("until their ports are gone", "3 s")],
        run: |setup| ends::at_once(setup, 300).map(ends::Ended::values),
    },
    Row {
        name: "end-900",
        about: "900 spokes end at once",
        lines: &[WAIT, ("until their ports are gone", "3 s")],
        run: |setup| ends::at_once(setup, 900).map(ends::Ended::values),
    },
    Row {
        name: "reload",
        about: "a reload without one of two VNs, which has 300 spokes",
        lines: &[WAIT, ("until its ports are gone", "3 s")],
        run: |setup| ends::reload(setup).map(ends::Ended::values),
    },
    Row {
        name: "move",
        about: "a MAC moves; 900 spokes have asked for it",
        lines: &[("processor time a move", "as before"), ("Purge Requests a move", "-")],
        run: moves::lone,
    },
    Row {
        name: "storm",
        about: "20 000 moves/s for 1 s; 900 spokes, all count as askers",
        lines: &[
            ("processor time a move", "0.3 ms"),
            WAIT,
            ("purges dropped", "0"),
            ("Purge Requests", "-"),
            ("packets it was too slow to read", "-"),
        ],
        run: moves::storm,
    },
    Row {
        name: "first-start",
        about: "a hub that finds no ports: 300 spokes come, then MACs move that nobody asked for",
        lines: &[("Purge Requests a spoke at its registration", "0"), ("Purge Requests a move", "at most 1")],
        run: moves::first_start,
    },
    Row {
        name: "end-macs",
        about: "a peer with 65 536 bindings ends (engine alone)",
        lines: &[("in all", "66 ms"), ("the longest call", "1 ms")],
        run: |setup| engine::row(setup, "end-macs"),
    },
    Row {
        name: "end-peers",
        about: "10 000 peers end in one tick (engine alone)",
        lines: &[("in all", "-"), ("the longest call", "1 ms")],
        run: |setup| engine::row(setup, "end-peers"),
    },
    Row {
        name: "address",
        about: "an address comes or goes on an interface of no concern",
        lines: &[
            ("processor time, hub of 200 VNs x 5 spokes", "5 ms"),
            ("processor time, spoke of 200 VNs", "5 ms"),
        ],
        run: vns::address,
    },
    Row {
        name: "dead-hub",
        about: "80 VNs of a spoke whose hub is dead",
        lines: &[("netlink requests a minute", "< 60"), ("processor time a minute", "-")],
        run: vns::dead_hub,
    },
    Row {
        name: "restart-macs",
        about: "a restart of a hub with 100 000 MACs",
        lines: &[
            ("until it answers a question", "300 ms"),
            ("until it knows all", "2 s"),
            ("questions refused meanwhile", "0"),
        ],
        run: starts::macs,
    },
    Row {
        name: "start",
        about: "5 VNs of 200 spokes each (1000 with --full): first registration of all, and a restart",
        lines: &[
            ("first registration of all", "8 s with --full"),
            ("longest wait of a question meanwhile", "50 ms"),
            ("restart, until it answers a question", "2 s with --full"),
        ],
        run: starts::spokes,
    },
    Row {
        name: "restart",
        about: "1000 spokes are registered, and the hub's daemon restarts",
        lines: &[
            ("until half of them are registered again", "-"),
            ("until all are", "1.5 times as long as before sessions"),
            ("longest wait of a question meanwhile", "-"),
        ],
        run: starts::again,
    },
    Row {
        name: "fail-over",
        about: "1000 spokes come from another hub within 0.5 s; a third hub is told of each",
        lines: &[
            ("half of them are in after", "-"),
            ("all are in after", "1 s"),
            ("longest wait of a question meanwhile", "50 ms"),
            ("Purge Requests, claims and repetitions", "-"),
        ],
        run: starts::over,
    },
    Row {
        name: "nak",
        about: "a registration that is refused (NAK 14)",
        lines: &[("until the refusal", "-"), ("devices made for it", "0")],
        run: costs::nak,
    },
    Row {
        name: "packet",
        about: "a packet alone: a question every 10 ms, by 300 spokes",
        lines: &[
            ("system calls for a question", "6"),
            ("processor time for a question", "-"),
            ("processor time for a refresh", "-"),
        ],
        run: costs::packet,
    },
    Row {
        name: "new",
        about: "new registrations",
        lines: &[
            ("system calls for one of many", "12"),
            ("system calls for one alone", "-"),
            ("processor time for one of many", "-"),
            ("rate, 64 under way", "2200/s or more"),
        ],
        run: costs::new,
    },
    Row {
        name: "probes",
        about: "1000 spokes probe their path to the hub: idle ones every 5 s, active ones every second",
        lines: &[
            ("idle: of a core", "3 %"),
            ("idle: probes a second", "200"),
            ("idle: answered", "100 %"),
            ("idle: processor time a probe", "-"),
            ("active: of a core", "15 %"),
            ("active: probes a second", "1000"),
            ("active: answered", "100 %"),
            ("active: processor time a probe", "-"),
        ],
        run: costs::probes,
    },
    Row {
        name: "memory",
        about: "a hub's memory: 900 spokes, then 65 000 MACs behind one",
        lines: &[("octets a spoke", "450"), ("octets a MAC", "200")],
        run: costs::memory,
    },
    Row {
        name: "mac-storm",
        about: "500 000 new source MACs from a host at a spoke's site",
        lines: &[("longest wait of `status`", "1 s"), ("most memory (VmHWM)", "16 MB")],
        run: floods::macs,
    },
    Row {
        name: "flood-garbage",
        about: "100 000 packets/s: garbage of 5000 strangers",
        lines: FLOOD,
        run: |setup| floods::flood(setup, floods::Flood::Garbage, FLOODED).map(floods::Fared::values),
    },
    Row {
        name: "flood-strangers",
        about: "100 000 packets/s: requests and garbage of 5000 strangers",
        lines: FLOOD,
        run: |setup| floods::flood(setup, floods::Flood::Strangers, FLOODED).map(floods::Fared::values),
    },
    Row {
        name: "flood-one",
        about: "100 000 packets/s: the same, of one stranger",
        lines: FLOOD,
        run: |setup| floods::flood(setup, floods::Flood::One, FLOODED).map(floods::Fared::values),
    },
    Row {
        name: "flood-spoofed",
        about: "100 000 packets/s: the same, said to be from the spokes that are measured",
        lines: FLOOD,
        run: |setup| floods::flood(setup, floods::Flood::Spoofed, FLOODED).map(floods::Fared::values),
    },
    Row {
        name: "garbage",
        about: "30 000 packets/s of garbage for a hub that takes 100 us more for each packet it reads",
        lines: &[
            ("longest wait of `status`", "1 s"),
            ("until SIGTERM ended it", "1 s"),
            ("packets it was too slow to read", "-"),
        ],
        run: |setup| floods::garbage(setup, true).map(floods::Borne::values),
    },
    Row {
        name: "log",
        about: "log lines at level info in 5 s",
        lines: &[
            ("one MAC at two sites, 5000 moves/s", "< 10"),
            ("a loop: 200 MACs, as fast as it goes", "< 10"),
        ],
        run: floods::log,
    },
];
