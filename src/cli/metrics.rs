//! `dmevpn metrics`: the text format of Prometheus.

use crate::control::{Metrics, RoleStatus, VnStatus};
use crate::engine::Statistics;
use crate::engine::report::{HubReport, SpokeReport, Standing};
use core::fmt::{Display, Write};

/// Gauges first, then a counter `dmevpn_NAME_total` for each of [`Statistics`].
pub fn metrics(metrics: &Metrics) -> String {
    let mut out = String::new();
    let status = &metrics.status;
    head(&mut out, "info", "What runs.", "gauge");
    let (version, transport) = (Label(&status.version), Label(&status.transport));
    line(&mut out, "info", format_args!("{{version={version},transport={transport}}}"), 1);
    head(&mut out, "uptime_seconds", "Since when the daemon runs.", "gauge");
    line(&mut out, "uptime_seconds", "", status.uptime);

    let vns = &status.vns;
    gauge(&mut out, vns, "up", "Whether the data plane of the VN is up.", |vn| {
        Some(u32::from(vn.trouble.is_none()))
    });
    spokes(&mut out, vns, "registered", "Whether the hub knows this spoke.", |r| {
        u32::from(matches!(r.standing, Standing::Registered { .. }))
    });
    spokes(&mut out, vns, "shortcuts", "Shortcuts installed.", |r| r.shortcuts);
    spokes(&mut out, vns, "macs_asking", "MACs being asked for.", |r| r.asking);
    spokes(&mut out, vns, "macs_negative", "MACs the hub did not know.", |r| r.negative);
    hubs(&mut out, vns, "spokes", "Spokes registered with this hub.", |r| r.spokes);
    hubs(&mut out, vns, "spokes_max", "How many spokes there may be.", |r| r.max_spokes);
    hubs(&mut out, vns, "macs", "MACs whose place this hub knows.", |r| r.macs);
    hubs(&mut out, vns, "purges_pending", "Purges that wait for their reply.", |r| r.purges);

    for ((name, value), help) in metrics.statistics.rows().zip(Statistics::help()) {
        let name = format!("{name}_total");
        head(&mut out, &name, help, "counter");
        line(&mut out, &name, "", value);
    }
    out
}

fn spokes(out: &mut String, vns: &[VnStatus], name: &str, help: &str, value: fn(&SpokeReport) -> u32) {
    gauge(out, vns, name, help, |vn| match &vn.role {
        RoleStatus::Spoke { report, .. } => Some(value(report)),
        RoleStatus::Hub { .. } => None,
    });
}

fn hubs(out: &mut String, vns: &[VnStatus], name: &str, help: &str, value: fn(&HubReport) -> u32) {
    gauge(out, vns, name, help, |vn| match &vn.role {
        RoleStatus::Spoke { .. } => None,
        RoleStatus::Hub { report, .. } => Some(value(report)),
    });
}

/// A gauge of every VN that has it; nothing at all when none has it.
fn gauge(
    out: &mut String,
    vns: &[VnStatus],
    name: &str,
    help: &str,
    value: impl Fn(&VnStatus) -> Option<u32>,
) {
    let mut told = false;
    for vn in vns {
        let Some(value) = value(vn) else { continue };
        if !told {
            head(out, name, help, "gauge");
            told = true;
        }
        line(out, name, format_args!("{{vn={}}}", Label(&vn.name)), value);
    }
}

fn head(out: &mut String, name: &str, help: &str, kind: &str) {
    let _ = write!(out, "# HELP dmevpn_{name} {help}\n# TYPE dmevpn_{name} {kind}\n");
}

fn line(out: &mut String, name: &str, labels: impl Display, value: impl Display) {
    let _ = writeln!(out, "dmevpn_{name}{labels} {value}");
}

/// A label's value, quoted.
struct Label<'a>(&'a str);

impl Display for Label<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '\n' => f.write_str("\\n")?,
                '"' | '\\' => {
                    f.write_char('\\')?;
                    f.write_char(c)?;
                }
                _ => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}
