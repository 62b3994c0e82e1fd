//! What a monitor records is a case that can be played.

#[path = "../cases/play.rs"]
mod play;

use super::*;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// A record of a spoke that asks for a station: what of it does not play.
fn recorded(lab: &Lab, to: &Path) -> Result<(), String> {
    let spoke1 = lab.node("spoke1");
    // What is under way when it begins is not in it.
    wait("nothing is asked", || {
        let output = dmevpn(spoke1, &["status", "--json"]);
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        status["vns"][0]["asking"] == 0
    });
    let mut command = spoke1.ns.command(program().path);
    command.args(["monitor", "--record"]).arg(to).arg("--socket").arg(spoke1.socket());
    let mut monitor = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait("a registration is recorded", || text(to).contains(" in "));
    assert_eq!(fs::metadata(to).unwrap().permissions().mode() & 0o777, 0o600);
    dmevpn(spoke1, &["flush"]);
    ping_spoke2(lab, 5);
    wait_shortcut(lab);
    let mac = BRIDGE2.map(|octet| format!("{octet:02x}")).join(":");
    let heard = format!("{mac} tunnel\n");
    wait("the answer is recorded", || {
        text(to).rsplit_once(&heard).is_some_and(|(_, then)| then.contains(" in "))
    });
    monitor.kill().unwrap();
    monitor.wait().unwrap();
    let recorded = text(to);
    // Up to the last line that is whole.
    let whole = &recorded[..=recorded.rfind('\n').unwrap()];
    play::play(whole).map_err(|wrong| format!("{wrong}\n{whole}"))?;
    // And what the kernel has to be in the end can be said of it.
    let spoke2 = lab.node("spoke2").nbma;
    let last = whole.lines().rfind(|line| line.starts_with(|c: char| c.is_ascii_digit())).unwrap();
    let at = last.split(' ').next().unwrap();
    let vn = whole.lines().find_map(|line| line.strip_prefix("vn ")?.split(' ').next()).unwrap();
    let is = |to: &str| format!("{whole}{at} is {vn} shortcut {mac} {to}\n");
    play::play(&is(&format!("{spoke2},101")))?;
    assert!(play::play(&is("none")).is_err());
    Ok(())
}

#[test]
fn what_happened_at_a_spoke_is_a_case() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        lab.wait_connected(SOON).unwrap();
        let file = |n: u32| lab.node("spoke1").config().with_extension(format!("{n}.case"));
        // A question may begin just before the record.
        let mut wrong = Vec::new();
        while let Err(why) = recorded(lab, &file(wrong.len() as u32)) {
            wrong.push(why);
            assert!(wrong.len() < 3, "{}", wrong.join("\n\n"));
        }
        let output = dmevpn(lab.node("spoke1"), &["monitor", "--record", file(0).to_str().unwrap()]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1));
        assert!(said.contains("exists"), "nothing is written over: {said}");
    });
}
