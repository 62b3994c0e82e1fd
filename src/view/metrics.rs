//! `dmevpn metrics`: the text format of Prometheus, and the same as JSON. `docs/metrics.md` lists all of them.

use super::facts::{Counts, RoleStatus, Status, Traffic, VnCounts, VnStatus};
use super::writer::List;
use crate::control::Form;
use crate::engine::report::{ClientCounts, HubReport, HubRow, SpokeReport, Standing};
use crate::engine::{ClientStatistics, Statistics};
use core::fmt::{self, Display, Write};

/// All metrics, while they are written: family by family, which are the samples of one name.
#[derive(Debug)]
pub struct Page {
    /// As JSON: the list of families, and that of the samples in the last one.
    json: Option<(List, List)>,
    family: Family,
    /// Whether the family has a sample yet: one that nothing has is left out.
    begun: bool,
}

#[derive(Clone, Debug, Default)]
struct Family {
    /// Without the `dmevpn_` that all begin with.
    name: String,
    kind: &'static str,
    help: &'static str,
}

/// What a value is about.
type Labels<'a> = &'a [(&'static str, &'a dyn Display)];

impl Page {
    /// The beginning.
    pub fn begin(out: &mut String, form: Form) -> Page {
        let json = || (List::begin(out, "metrics", |_| {}), List::default());
        Page { json: (form == Form::Json).then(json), family: Family::default(), begun: false }
    }

    /// The family of number `n`, from 0, but for those of clients; `false` when there is none.
    pub fn family(&mut self, out: &mut String, n: usize, counts: &Counts) -> bool {
        let Counts { status, statistics, vns } = counts;
        match n {
            0 => {
                self.next(out, "info", "gauge", "What runs.");
                let transport = if status.device.is_some() { "device" } else { "raw" };
                self.sample(out, &[("version", &status.version), ("transport", &transport)], 1);
                return true;
            }
            1 => {
                self.next(out, "uptime_seconds", "gauge", "For how long the daemon has been running.");
                self.sample(out, &[], status.uptime);
                return true;
            }
            2 => {
                self.next(out, "guard", "gauge", "Whether frames are taken from known sites alone.");
                status.guard.iter().for_each(|guard| self.sample(out, &[], guard.is_ok().into()));
                return true;
            }
            3 => {
                self.next(out, "guard_dropped_total", "counter", "Packets of others that the guard dropped.");
                status.guard.iter().flatten().for_each(|dropped| self.sample(out, &[], *dropped));
                return true;
            }
            4 => {
                self.next(out, "hub_active", "gauge", "Whether a spoke of several hubs is at this one.");
                self.hubs(out, status, |row| row.is_active);
                return true;
            }
            5 => {
                self.next(out, "hub_answers", "gauge", "Whether this one of several hubs answers a spoke.");
                self.hubs(out, status, |row| row.answers);
                return true;
            }
            _ => {}
        }
        let n = n - 6;
        if let Some((name, help, value)) = GAUGES.get(n) {
            self.next(out, name, "gauge", help);
            for (vn, value) in status.vns.iter().filter_map(|vn| Some((vn, value(vn)?))) {
                self.sample(out, &[("vn", &vn.name)], value);
            }
            return true;
        }
        let n = n - GAUGES.len();
        let counters = Statistics::help().count();
        let of_all = n < counters;
        let n = if of_all { n } else { n - counters };
        if let Some(((name, sum), help)) = statistics.rows().zip(Statistics::help()).nth(n) {
            if of_all {
                self.next(out, &format!("{name}_total"), "counter", help);
                self.sample(out, &[], sum.into());
            } else {
                self.next(out, &format!("vn_{name}_total"), "counter", help);
                for vn in vns {
                    let value = vn.statistics.rows().nth(n).map_or(0, |(_, value)| value);
                    self.sample(out, &[("vn", &vn.vn)], value.into());
                }
            }
            return true;
        }
        let Some((name, help, value)) = TRAFFIC.get(n - counters) else { return false };
        self.next(out, &format!("vn_{name}_total"), "counter", help);
        let carried = |vn: &VnCounts| vn.traffic.as_ref().map(value);
        for (vn, value) in vns.iter().filter_map(|vn| Some((vn, carried(vn)?))) {
            self.sample(out, &[("vn", &vn.vn)], value);
        }
        true
    }

    /// A sample for each of several hubs of a spoke.
    fn hubs(&mut self, out: &mut String, status: &Status, value: impl Fn(&HubRow) -> bool) {
        for vn in &status.vns {
            let RoleStatus::Spoke { hubs, .. } = &vn.role else { continue };
            for (hub, row) in hubs {
                self.sample(out, &[("vn", &vn.name), ("hub", hub)], value(row).into());
            }
        }
    }

    /// Opens the family of number `n` of clients, from 0; `false` when there is none.
    pub fn client_family(&mut self, out: &mut String, n: usize) -> bool {
        let counters = ClientStatistics::default();
        let counted = counters.rows().zip(ClientStatistics::help()).map(|((name, _), help)| (name, help));
        let carried = TRAFFIC.iter().map(|(name, help, _)| (*name, *help));
        let Some((name, help)) = counted.chain(carried).nth(n) else { return false };
        self.next(out, &format!("spoke_{name}_total"), "counter", help);
        true
    }

    /// What was counted of a client, in the family of number `n` that is open.
    pub fn client(
        &mut self,
        out: &mut String,
        n: usize,
        vn: &str,
        client: &ClientCounts,
        traffic: Option<Traffic>,
    ) {
        let counted = client.statistics.rows().map(|(_, value)| Some(value.into()));
        let carried = TRAFFIC.iter().map(|(_, _, value)| traffic.as_ref().map(value));
        let Some(value) = counted.chain(carried).nth(n).flatten() else { return };
        // A client that only registers IP addresses has no VNI.
        let vni: &dyn Display = client.vni.as_ref().map_or(&"", |vni| vni);
        let labels: [(&'static str, &dyn Display); 3] = [("vn", &vn), ("nbma", &client.nbma), ("vni", vni)];
        match &client.spoke {
            Some(name) => self.sample(out, &[&labels[..], &[("name", name)]].concat(), value),
            None => self.sample(out, &labels, value),
        }
    }

    /// The end.
    pub fn end(&mut self, out: &mut String) {
        self.close(out);
        if let Some((families, _)) = &mut self.json {
            families.end_line(out);
        }
    }

    /// From here on samples belong to another family.
    fn next(&mut self, out: &mut String, name: &str, kind: &'static str, help: &'static str) {
        self.close(out);
        self.family = Family { name: name.to_owned(), kind, help };
    }

    fn close(&mut self, out: &mut String) {
        if let (true, Some((_, samples))) = (core::mem::take(&mut self.begun), &mut self.json) {
            samples.end(out);
        }
    }

    fn sample(&mut self, out: &mut String, labels: Labels<'_>, value: u64) {
        let first = !core::mem::replace(&mut self.begun, true);
        let Family { name, kind, help } = &self.family;
        let Some((families, samples)) = &mut self.json else {
            if first {
                let _ = write!(out, "# HELP dmevpn_{name} {help}\n# TYPE dmevpn_{name} {kind}\n");
            }
            return text(out, name, labels, value);
        };
        if first {
            families.next(out);
            *samples = List::begin(out, "samples", |o| {
                o.text("name", &format_args!("dmevpn_{name}"));
                o.put("type", kind);
                o.put("help", help);
            });
        }
        samples.row(out, |o| {
            o.object("labels", |o| labels.iter().for_each(|(label, value)| o.text(label, value)));
            o.put("value", &value);
        });
    }
}

fn text(out: &mut String, name: &str, labels: Labels<'_>, value: u64) {
    let _ = write!(out, "dmevpn_{name}");
    let mut opening = '{';
    for (label, value) in labels {
        let _ = write!(out, "{opening}{label}=\"");
        let _ = write!(Escaped(out), "{value}");
        out.push('"');
        opening = ',';
    }
    let end = if opening == '{' { "" } else { "}" };
    let _ = writeln!(out, "{end} {value}");
}

/// A gauge of VNs: its name, its meaning, and its value where the VN has it.
type Gauge = (&'static str, &'static str, fn(&VnStatus) -> Option<u64>);

const GAUGES: [Gauge; 20] = [
    ("up", "Whether this router has what the VN needs: its devices, an address, the way to the hub.", |vn| {
        Some(vn.trouble.is_none().into())
    }),
    ("registered", "Whether the hub knows this spoke.", |vn| {
        spoke(vn).map(|r| matches!(r.standing, Standing::Registered { .. }).into())
    }),
    ("shortcuts", "Shortcuts installed.", |vn| spoke(vn).map(|r| r.shortcuts.into())),
    ("paths_up", "Paths to other sites that frames go by.", |vn| spoke(vn).map(|r| r.paths.0.into())),
    ("paths_down", "Paths to other sites by which probes do not come back: frames go by the hub.", |vn| {
        spoke(vn).map(|r| r.paths.1.into())
    }),
    ("hub_path_up", "Whether nothing is wrong with the path to the hub.", |vn| {
        spoke(vn).map(|r| r.hub_trouble.is_none().into())
    }),
    (
        "loop",
        "Whether what is sent by a tunnel comes back by a local port: nothing is flooded by it.",
        |vn| {
            Some(match &vn.role {
                RoleStatus::Spoke { report, .. } => report.looped.is_some().into(),
                RoleStatus::Hub { report, .. } => report.looped.is_some().into(),
            })
        },
    ),
    ("macs_restless", "MACs that move to and fro: nobody is told where they are.", |vn| {
        let restless = match &vn.role {
            RoleStatus::Spoke { report, .. } => report.restless,
            RoleStatus::Hub { report, .. } => report.restless,
        };
        Some(restless.map_or(0, |moving| moving.macs.into()))
    }),
    ("macs_asking", "MACs being asked for.", |vn| spoke(vn).map(|r| r.asking.into())),
    ("macs_negative", "MACs the hub did not know.", |vn| spoke(vn).map(|r| r.negative.into())),
    ("spokes", "Spokes registered with this hub.", |vn| hub(vn).map(|r| r.spokes.into())),
    ("spokes_max", "How many spokes there may be.", |vn| hub(vn).map(|r| r.max_spokes.into())),
    ("ip_clients", "Clients of other makers, which registered IP addresses only.", |vn| {
        hub(vn).map(|r| r.ip_clients.into())
    }),
    ("peers", "Other hubs that there are to be.", |vn| hub(vn).map(|r| r.peers.1.into())),
    ("peers_up", "Other hubs that this hub is linked to, and frames get to.", |vn| {
        hub(vn).map(|r| r.peers.0.into())
    }),
    ("keys_shared", "Keys of this hub's that several spokes may have.", |vn| {
        hub(vn).map(|r| r.keys.shared.into())
    }),
    ("keys_own", "Keys of this hub's that one spoke has, each.", |vn| hub(vn).map(|r| r.keys.own.into())),
    ("unsigned", "Spokes that sign nothing, where there are keys.", |vn| {
        hub(vn).map(|r| r.keys.unsigned.into())
    }),
    ("macs", "MACs whose place this hub knows.", |vn| hub(vn).map(|r| r.macs.into())),
    ("purges_pending", "Purges that wait for their reply.", |vn| hub(vn).map(|r| r.purges.into())),
];

/// A number that a device's traffic has: its name, its meaning, and its value.
type Carried = (&'static str, &'static str, fn(&Traffic) -> u64);

const TRAFFIC: [Carried; 4] = [
    ("rx_bytes", "Octets received through the VXLAN device, as the kernel counts them.", |t| t.rx_bytes),
    ("rx_packets", "Frames received through the VXLAN device.", |t| t.rx_packets),
    ("tx_bytes", "Octets sent through the VXLAN device.", |t| t.tx_bytes),
    ("tx_packets", "Frames sent through the VXLAN device.", |t| t.tx_packets),
];

fn spoke(vn: &VnStatus) -> Option<&SpokeReport> {
    match &vn.role {
        RoleStatus::Spoke { report, .. } => Some(report),
        RoleStatus::Hub { .. } => None,
    }
}

fn hub(vn: &VnStatus) -> Option<&HubReport> {
    match &vn.role {
        RoleStatus::Spoke { .. } => None,
        RoleStatus::Hub { report, .. } => Some(report),
    }
}

/// What is written into it is inside the quotes of a label's value.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if matches!(c, '"' | '\\' | '\n') {
                self.0.push('\\');
            }
            self.0.push(if c == '\n' { 'n' } else { c });
        }
        Ok(())
    }
}
