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

/// A hub that knows many MACs goes on working while it tells them, and what strangers flood it with is left out.
#[test]
fn what_a_hub_knows_is_told_in_parts() {
    const MACS: usize = 3000;
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        lab.wait_connected(SOON).unwrap();
        let (hub, spoke2) = (lab.node("hub"), lab.node("spoke2"));
        let port = hub.ports().unwrap().into_keys().next().unwrap();
        let mac = |n: usize| format!("02:88:00:00:{:02x}:{:02x}", n >> 8, n & 0xff);
        let macs: String =
            (0..MACS).map(|n| format!("fdb add {} dev {port} master dynamic\n", mac(n))).collect();
        hub.ns.bridge(&macs).unwrap();
        let known = || {
            let macs = String::from_utf8(dmevpn(hub, &["macs"]).stdout).unwrap();
            macs.lines().filter(|line| line.contains("02:88:00:00:")).count()
        };
        wait("the hub knows them", || known() == MACS);
        let file = hub.config().with_extension("case");
        let mut command = hub.ns.command(program().path);
        command.args(["monitor", "--record"]).arg(&file).arg("--socket").arg(hub.socket());
        let mut monitor = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait("all are told", || {
            text(&file).split_once(" listed ").is_some_and(|(_, then)| then.contains(" skip\n"))
        });
        let begun = text(&file);
        let told = begun.lines().filter(|line| line.contains(" fdb ") && line.contains("02:88:")).count();
        assert_eq!(told, MACS);
        let parts = begun.lines().filter(|line| line.ends_with(" skip")).count();
        assert!(parts > MACS / 100, "it was told in {parts} parts");
        super::strangers::send_nonsense(spoke2, hub.nbma, 20_000);
        wait("what is left out is told", || {
            super::strangers::send_nonsense(spoke2, hub.nbma, 1);
            text(&file).contains("are left out here")
        });
        let heard = text(&file).lines().filter(|line| line.contains(" in ")).count();
        assert!(heard < 2000, "{heard} packets of a flood are recorded");
        monitor.kill().unwrap();
        monitor.wait().unwrap();
        // Until the hub has told what it knows, what it says when it is played is of no matter.
        let (before, after) = begun.split_once(" listed ").unwrap();
        let whole = format!("{before} listed {}", after.split_inclusive('\n').take(2).collect::<String>());
        assert!(whole.ends_with(" skip\n"));
        play::play(&whole).unwrap_or_else(|wrong| panic!("{wrong}"));
    });
}
