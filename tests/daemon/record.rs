//! What a monitor records is a case that can be played.

#[path = "../cases/play.rs"]
mod play;

use super::*;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Stdio};

/// A monitor that records what goes in and out at a node, from its registration on.
fn record(node: &Node, to: &Path) -> Child {
    let mut command = node.ns.command(program().path);
    command.args(["monitor", "--record"]).arg(to).arg("--socket").arg(node.socket());
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait("a registration is recorded", || text(to).contains(" in "));
    child
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn what_happened_at_a_spoke_is_a_case() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        lab.wait_connected(SOON).unwrap();
        let spoke1 = lab.node("spoke1");
        let file = spoke1.config().with_extension("case");
        let mut monitor = record(spoke1, &file);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        ping_spoke2(lab, 5);
        wait_shortcut(lab);
        let mac = BRIDGE2.map(|octet| format!("{octet:02x}")).join(":");
        let asked = format!("{mac} tunnel\n");
        wait("the answer is recorded", || {
            text(&file).split_once(&asked).is_some_and(|(_, then)| then.contains(" in "))
        });
        monitor.kill().unwrap();
        monitor.wait().unwrap();
        let recorded = text(&file);
        // Up to the last line that is whole.
        let whole = &recorded[..=recorded.rfind('\n').unwrap()];
        assert_eq!(play::play(whole), Ok(()), "{whole}");
        // And what the kernel has to be in the end can be said of it.
        let spoke2 = lab.node("spoke2").nbma;
        let last = whole.lines().rfind(|line| line.starts_with(|c: char| c.is_ascii_digit())).unwrap();
        let at = last.split(' ').next().unwrap();
        let vn = whole.lines().find_map(|line| line.strip_prefix("vn ")?.split(' ').next()).unwrap();
        let is = |to: &str| format!("{whole}{at} is {vn} shortcut {mac} {to}\n");
        assert_eq!(play::play(&is(&format!("{spoke2},101"))), Ok(()));
        assert!(play::play(&is("none")).is_err());

        let output = dmevpn(spoke1, &["monitor", "--record", file.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1));
        assert!(said.contains("exists"), "nothing is written over: {said}");
    });
}
