//! `dmevpn metrics`: the text format of Prometheus, and the same as JSON. `docs/metrics.md` lists all of them.

use super::writer::{Object, object};
use crate::control::{Metrics, RoleStatus, Traffic, VnCounts, VnStatus};
use crate::engine::report::{ClientCounts, HubReport, SpokeReport, Standing};
use crate::engine::{ClientStatistics, Statistics};
use core::fmt::{self, Write};

/// As text.
pub fn text(out: &mut dyn Write, metrics: &Metrics) {
    each(metrics, &mut |family| {
        let Family { name, kind, help, samples } = family;
        let _ = write!(out, "# HELP dmevpn_{name} {help}\n# TYPE dmevpn_{name} {kind}\n");
        for Sample { labels, value } in *samples {
            let _ = write!(out, "dmevpn_{name}");
            let mut opening = '{';
            for (label, value) in labels {
                let _ = write!(out, "{opening}{label}=\"");
                let _ = write!(Escaped(out), "{value}");
                let _ = out.write_char('"');
                opening = ',';
            }
            let end = if opening == '{' { "" } else { "}" };
            let _ = writeln!(out, "{end} {value}");
        }
    });
}

/// As JSON.
pub fn json(out: &mut dyn Write, metrics: &Metrics) {
    let mut opening = "{\"metrics\":[";
    each(metrics, &mut |family| {
        let _ = out.write_str(opening);
        opening = ",";
        object(out, |o| json_family(o, family));
    });
    let _ = out.write_str("]}\n");
}

fn json_family(o: &mut Object<'_>, family: &Family<'_>) {
    o.text("name", &format_args!("dmevpn_{}", family.name));
    o.put("type", &family.kind);
    o.put("help", &family.help);
    o.list("samples", family.samples, |o, sample| {
        o.object("labels", |o| {
            for (label, value) in &sample.labels {
                o.text(label, value);
            }
        });
        o.put("value", &sample.value);
    });
}

/// The samples of one name.
struct Family<'a> {
    /// Without the `dmevpn_` that all begin with.
    name: &'a str,
    kind: &'static str,
    help: &'static str,
    samples: &'a [Sample<'a>],
}

/// A value, and what it is about.
struct Sample<'a> {
    labels: Vec<(&'static str, &'a dyn fmt::Display)>,
    value: u64,
}

/// Tells `show` all families, one after the other: gauges, then counters.
fn each(metrics: &Metrics, show: &mut dyn FnMut(&Family<'_>)) {
    let status = &metrics.status;
    let vns = &status.vns;
    let mut family = |name: &str, kind, help, samples: &[Sample<'_>]| {
        // One that nothing has is left out.
        if !samples.is_empty() {
            show(&Family { name, kind, help, samples });
        }
    };
    let transport = if status.device.is_some() { "device" } else { "raw" };
    let labels: Vec<(_, &dyn fmt::Display)> = vec![("version", &status.version), ("transport", &transport)];
    family("info", "gauge", "What runs.", &[Sample { labels, value: 1 }]);
    family("uptime_seconds", "gauge", "For how long the daemon has been running.", &[alone(status.uptime)]);

    for (name, help, value) in GAUGES {
        let samples: Vec<_> = vns
            .iter()
            .filter_map(|vn| Some(Sample { labels: vec![("vn", &vn.name)], value: value(vn)? }))
            .collect();
        family(name, "gauge", help, &samples);
    }
    for ((name, value), help) in metrics.statistics.rows().zip(Statistics::help()) {
        family(&format!("{name}_total"), "counter", help, &[alone(value.into())]);
    }

    let vns = &metrics.vns;
    for (n, ((name, _), help)) in metrics.statistics.rows().zip(Statistics::help()).enumerate() {
        let samples: Vec<_> =
            vns.iter().filter_map(|vn| Some(of_vn(vn, vn.statistics.rows().nth(n)?.1.into()))).collect();
        family(&format!("vn_{name}_total"), "counter", help, &samples);
    }
    for (name, help, value) in TRAFFIC {
        let samples: Vec<_> =
            vns.iter().filter_map(|vn| Some(of_vn(vn, value(vn.traffic.as_ref()?)))).collect();
        family(&format!("vn_{name}_total"), "counter", help, &samples);
    }
    let spokes =
        || vns.iter().flat_map(|vn| vn.clients.iter().map(move |(client, traffic)| (vn, client, traffic)));
    let counters = ClientStatistics::default();
    for (n, ((name, _), help)) in counters.rows().zip(ClientStatistics::help()).enumerate() {
        let samples: Vec<_> = spokes()
            .filter_map(|(vn, client, _)| {
                Some(of_spoke(vn, client, client.statistics.rows().nth(n)?.1.into()))
            })
            .collect();
        family(&format!("spoke_{name}_total"), "counter", help, &samples);
    }
    for (name, help, value) in TRAFFIC {
        let samples: Vec<_> = spokes()
            .filter_map(|(vn, client, traffic)| Some(of_spoke(vn, client, value(traffic.as_ref()?))))
            .collect();
        family(&format!("spoke_{name}_total"), "counter", help, &samples);
    }
}

fn of_vn(vn: &VnCounts, value: u64) -> Sample<'_> {
    Sample { labels: vec![("vn", &vn.vn)], value }
}

fn of_spoke<'a>(vn: &'a VnCounts, client: &'a ClientCounts, value: u64) -> Sample<'a> {
    // A client that only registers IP addresses has no VNI.
    let vni: &dyn fmt::Display = client.vni.as_ref().map_or(&"", |vni| vni);
    Sample { labels: vec![("vn", &vn.vn), ("nbma", &client.nbma), ("vni", vni)], value }
}

fn alone(value: u64) -> Sample<'static> {
    Sample { labels: Vec::new(), value }
}

/// A gauge of VNs: its name, its meaning, and its value where the VN has it.
type Gauge = (&'static str, &'static str, fn(&VnStatus) -> Option<u64>);

const GAUGES: [Gauge; 9] = [
    ("up", "Whether this router has what the VN needs: its devices, an address, the way to the hub.", |vn| {
        Some(vn.trouble.is_none().into())
    }),
    ("registered", "Whether the hub knows this spoke.", |vn| {
        spoke(vn).map(|r| matches!(r.standing, Standing::Registered { .. }).into())
    }),
    ("shortcuts", "Shortcuts installed.", |vn| spoke(vn).map(|r| r.shortcuts.into())),
    ("macs_asking", "MACs being asked for.", |vn| spoke(vn).map(|r| r.asking.into())),
    ("macs_negative", "MACs the hub did not know.", |vn| spoke(vn).map(|r| r.negative.into())),
    ("spokes", "Spokes registered with this hub.", |vn| hub(vn).map(|r| r.spokes.into())),
    ("spokes_max", "How many spokes there may be.", |vn| hub(vn).map(|r| r.max_spokes.into())),
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
struct Escaped<'a>(&'a mut dyn Write);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '\n' => self.0.write_str("\\n")?,
                '"' | '\\' => {
                    self.0.write_char('\\')?;
                    self.0.write_char(c)?;
                }
                _ => self.0.write_char(c)?,
            }
        }
        Ok(())
    }
}
