//! `dmevpn doctor`, on routers that are well and on such that are not.

use super::log::Own;
use super::*;
use serde_json::Value;
use std::net::UdpSocket;
use std::process::Stdio;

/// The exit code and what it says: `LEVEL WHAT: TEXT`, line by line.
fn examine(node: &Node) -> (Option<i32>, String) {
    let mut command = node.ns.command(program().path);
    command.args(["doctor", "--json", "--config"]).arg(node.config()).arg("--socket").arg(node.socket());
    let output = command.output().unwrap();
    assert_eq!(output.stderr, b"", "{output:?}");
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    documented::check("doctor", &value);
    let word = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
    let line = |c: &Value| format!("{} {}: {}", word(c, "level"), word(c, "what"), word(c, "text"));
    let lines: Vec<String> = value["checks"].as_array().unwrap().iter().map(line).collect();
    (output.status.code(), lines.join("\n"))
}

#[track_caller]
fn says(node: &Node, code: i32, words: &[&str]) {
    let (was, said) = examine(node);
    assert!(was == Some(code) && words.iter().all(|words| said.contains(words)), "{was:?} {words:?}\n{said}");
}

#[test]
fn routers_that_are_well() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        let well =
            ["ok configuration: ", "ok daemon: ", "ok kernel: it has vxlan", "ok kernel: it has bridge"];
        for name in ["hub", "spoke1"] {
            let node = lab.node(name);
            says(node, 0, &well);
            says(node, 0, &["ok VN test: ", "ok UDP port 4789: "]);
        }
        let way = "ok way to dc1: packets to 10.0.0.1 may have 1500 octets, which leaves 1450 inside the VN";
        says(lab.node("spoke1"), 0, &[way]);
        lab.set_underlay_mtu(1320).unwrap();
        says(lab.node("spoke1"), 0, &["warning way to dc1: packets to 10.0.0.1 may have 1320 octets"]);
        // For people, and by the socket that the file has.
        let mut command = lab.node("spoke1").ns.command(program().path);
        let output = command.args(["doctor", "--config"]).arg(lab.node("spoke1").config()).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && said.contains("\nok       VN test: registered with hub"),
            "{said}"
        );
    });
}

#[test]
fn what_is_not_well_without_a_daemon() {
    in_small(plan(), |lab| {
        let spoke1 = lab.node("spoke1");
        says(spoke1, 1, &["ok configuration: ", "wrong daemon: no daemon answers at", "ok state file: "]);
        let taken = spoke1.ns.run(|| UdpSocket::bind("0.0.0.0:4789")).unwrap().unwrap();
        says(spoke1, 1, &["wrong UDP port 4789: another program has it"]);
        drop(taken);
        spoke1.ns.ip("link add theirs type vxlan external dstport 4789\nlink set theirs up").unwrap();
        says(
            spoke1,
            1,
            &["wrong UDP port 4789: VXLAN device 'theirs' takes what comes for this router there"],
        );
        spoke1.ns.ip("link del theirs").unwrap();
        says(spoke1, 1, &["ok UDP port 4789: nobody else has it"]);
        let file = spoke1.socket().with_extension("state");
        fs::create_dir(&file).unwrap();
        says(spoke1, 1, &["warning state file: "]);
        fs::remove_dir(&file).unwrap();
        assert!(!file.with_extension("state.trial").exists());
        spoke1.edit_config(|text| text.replace("option vni '100'", "option vni 'many'")).unwrap();
        says(spoke1, 1, &["wrong configuration: ", "option 'vni': 'many' is not"]);
    });
}

#[test]
fn a_hub_that_is_not_there_and_a_second_daemon() {
    in_small(plan(), |lab| {
        lab.start("spoke1").unwrap();
        let spoke1 = lab.node("spoke1");
        wait("it says why", || {
            examine(spoke1).1.contains("wrong VN test: not registered: no answer from 10.0.0.1")
        });
        // A kernel says so to one host once a second at most.
        let words = "warning way to dc1: nobody takes VXLAN at 10.0.0.1";
        wait("it says that nobody takes VXLAN there", || examine(spoke1).1.contains(words));
        let other = spoke1.config().with_extension("other");
        let files = other.display();
        let text = format!(
            "config dmevpn\n\toption socket '{files}.sock'\n\toption state_file '{files}.state'\n\
             config hub 'dc1'\n\toption address '10.0.0.1'\nconfig vn 'other'\n\toption vpn_id '2'\n\
             \toption role 'spoke'\n\toption vni '200'\n\toption bridge 'br-other'\n"
        );
        fs::write(&other, text).unwrap();
        let log = fs::File::create(other.with_extension("log")).unwrap();
        let mut second = spoke1.ns.command(program().path);
        second
            .args(["daemon", "--config"])
            .arg(&other)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let _second = Own(second.spawn().unwrap());
        let words = "warning daemon: 2 programs take NHRP packets in this network namespace";
        let are_told = wait_until(3 * SOON, || examine(spoke1).1.contains(words));
        assert!(
            are_told,
            "{}\n{}",
            examine(spoke1).1,
            fs::read_to_string(other.with_extension("log")).unwrap()
        );
    });
}

#[test]
fn a_firewall_that_refuses() {
    if std::process::Command::new("nft").arg("--version").output().is_err() {
        return println!("skipped: there is no nft");
    }
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        let hub = lab.node("hub");
        let nft = |rules: &str| {
            let mut command = hub.ns.command("nft");
            let output = command.arg(rules).output().unwrap();
            assert!(output.status.success(), "{rules}: {output:?}");
        };
        says(hub, 0, &["ok firewall: this router lets in UDP port 4789 (VXLAN)"]);
        nft("add table inet t");
        nft("add chain inet t in { type filter hook input priority 0; policy accept; }");
        nft("add rule inet t in udp dport { 4000-5000 } counter drop");
        says(hub, 1, &["wrong firewall: table inet t, chain in refuses UDP port 4789 (VXLAN)"]);
        says(hub, 1, &["ok firewall: this router lets in GRE"]);
        nft("flush chain inet t in");
        nft("add rule inet t in meta l4proto gre reject");
        says(hub, 1, &["wrong firewall: table inet t, chain in refuses GRE (IP protocol 47)"]);
        nft("flush chain inet t in");
        nft("add rule inet t in ip saddr 10.0.0.77 drop");
        says(
            hub,
            0,
            &[
                "warning firewall: nobody can tell (it depends on what table inet t, chain in is about) about GRE",
            ],
        );
    });
}
