//! Keys: rolled out, exchanged and taken away while traffic runs, and wrong.

use super::odd::counted;
use super::*;
use lab::traffic::Ping;
use std::os::unix::fs::PermissionsExt;

const FIRST: &str = "8d3c1f2a9b7e4650c1d2e3f4a5b69788";
const SECOND: &str = "0f9e8d7c6b5a49382716150413f2e1d0";

fn key(name: &str, spi: u16, secret: &str) -> String {
    format!("\nconfig key '{name}'\n\toption spi '{spi}'\n\toption secret '{secret}'\n")
}

/// The node goes on with another configuration.
#[track_caller]
fn reload(node: &Node, edit: impl FnOnce(String) -> String) {
    node.edit_config(edit).unwrap();
    let output = dmevpn(node, &["reload"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

/// A spoke signs by these keys of its configuration from now on.
fn with_keys(text: &str, keys: &[&str]) -> String {
    let lines = text.lines().filter(|line| !line.starts_with("\tlist key"));
    let list: String = keys.iter().map(|key| format!("\n\tlist key '{key}'")).collect();
    let lines = lines.map(|line| match line.starts_with("\toption address") {
        true => format!("{line}{list}\n"),
        false => format!("{line}\n"),
    });
    lines.collect()
}

/// All sites sign by this key, as the hub sees it.
#[track_caller]
fn wait_signed_by(lab: &Lab, key: &str) {
    let hub = lab.node("hub");
    let peers = || String::from_utf8(dmevpn(hub, &["peers"]).stdout).unwrap();
    wait(key, || peers().lines().skip(1).filter(|line| line.ends_with(key)).count() == 2);
}

/// Open, then with a key that is not needed yet, then needed, then with another one: nothing is lost on the way.
#[test]
fn keys_are_rolled_out_and_over_without_a_lost_frame() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        lab.wait_connected(SOON).unwrap();
        all_is_well(lab);
        let hub = lab.node("hub");
        let spokes = [lab.node("spoke1"), lab.node("spoke2")];
        assert!(status(hub).contains("open: who reaches this hub can join"), "{}", status(hub));
        let flood = Ping::start(&lab.host("vm1").ns, Echoes::to(ip(inside(11)), 60_000, 1)).unwrap();
        let (first, second) = (key("first", 256, FIRST), key("second", 257, SECOND));
        reload(hub, |text| text + "\tlist key 'first'\n\toption require '0'\n" + &first);
        assert!(status(hub).contains("not required: 2 spokes without"), "{}", status(hub));
        for spoke in spokes {
            reload(spoke, |text| with_keys(&text, &["first"]) + &first);
        }
        wait_signed_by(lab, "first");
        reload(hub, |text| text.replace("\toption require '0'\n", "\tlist key 'second'\n") + &second);
        for spoke in spokes {
            reload(spoke, |text| with_keys(&text, &["second", "first"]) + &second);
            wait_status(spoke, "signed by second");
        }
        wait_signed_by(lab, "second");
        reload(hub, |text| text.replace("\tlist key 'first'\n", ""));
        for spoke in spokes {
            reload(spoke, |text| with_keys(&text, &["second"]));
        }
        wait_signed_by(lab, "second");
        let pinged = flood.stop().unwrap();
        assert!(pinged.none_lost(), "{pinged}");
        all_is_well(lab);
        assert_eq!(counted(hub, "rx_unauthenticated"), "0");
        for node in [hub, spokes[0], spokes[1]] {
            let lost = node.log_text().lines().filter(|line| line.contains("spoke down")).count();
            assert_eq!(lost, 0, "{}", node.log_text());
            for command in ["status", "peers", "metrics", "events"] {
                for json in [&[][..], &["--json"]] {
                    let said = dmevpn(node, &[&[command][..], json].concat()).stdout;
                    let said = String::from_utf8(said).unwrap() + &node.log_text();
                    assert!(!said.contains(FIRST) && !said.contains(SECOND), "{command}");
                }
            }
        }
    });
}

/// A wrong key is told in words at both ends, and a site whose key is taken away is out at once.
#[test]
fn a_wrong_key_is_said_and_a_removed_one_ends_its_site() {
    in_small(plan(), |lab| {
        let hub = lab.node("hub");
        // One of them in a file of its own.
        let file = hub.config().with_extension("secret");
        fs::write(&file, format!("{SECOND}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let of_file =
            format!("\nconfig key 'k2'\n\toption spi '257'\n\toption secret_file '{}'\n", file.display());
        let of_spokes =
            "\nconfig spoke 'branch1'\n\tlist key 'k1'\n\nconfig spoke 'branch2'\n\tlist key 'k2'\n";
        hub.edit_config(|text| text + &key("k1", 256, FIRST) + &of_file + of_spokes).unwrap();
        let check = dmevpn_check(hub);
        assert!(check.contains("others than its owner may read"), "{check}");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        for (spoke, spi, secret) in [("spoke1", 256, FIRST), ("spoke2", 257, FIRST)] {
            lab.node(spoke)
                .edit_config(|text| with_keys(&text, &["own"]) + &key("own", spi, secret))
                .unwrap();
        }
        for name in ["hub", "spoke1", "spoke2"] {
            lab.start(name).unwrap();
        }
        let (hub, one, two) = (lab.node("hub"), lab.node("spoke1"), lab.node("spoke2"));
        wait_status(one, "signed by own");
        wait_status(two, "see whether the hub has key own, with this secret");
        wait("its log has it, too", || two.log_text().contains("is the key right?"));
        wait_status(hub, "signs by another key of spi 257 than the one here");
        assert_ne!(counted(hub, "rx_unauthenticated"), "0");
        let said = || hub.log_text().lines().filter(|line| line.contains("signs by another key")).count();
        wait("the hub's log has it", || said() > 0);
        wait("the first one's name", || hub.log_text().contains("is spoke branch1, by key k1"));

        reload(two, |text| text.replace(FIRST, SECOND));
        wait_status(two, "signed by own");
        lab.wait_connected(SOON).unwrap();
        all_is_well(lab);
        let peers = || String::from_utf8(dmevpn(hub, &["peers"]).stdout).unwrap();
        assert!(peers().contains("branch2/k2"), "{}", peers());
        reload(hub, |text| text.replace("\nconfig spoke 'branch2'\n\tlist key 'k2'\n", ""));
        wait("its port goes", || !peers().contains("branch2"));
        wait("and why is said", || hub.log_text().contains("its key is not in force any more"));
        wait("its way is gone", || !leads(hub, &two.nbma.to_string()));
        wait_status(one, "signed by own");
        assert_eq!(said(), 1, "{}", hub.log_text());

        // Another one that was taken away before a start.
        let one = one.nbma.to_string();
        wait("its way is there", || leads(lab.node("hub"), &one));
        lab.nodes.get_mut("hub").unwrap().kill().unwrap();
        let hub = lab.node("hub");
        hub.edit_config(|text| text.replace("\tlist key 'k1'\n", "\tlist key 'k2'\n")).unwrap();
        assert!(leads(hub, &one));
        lab.start("hub").unwrap();
        wait("it is gone", || !leads(lab.node("hub"), &one));
    });
}

/// What `check` says of a node's configuration.
fn dmevpn_check(node: &Node) -> String {
    let output = std::process::Command::new(program().path).arg("check").arg(node.config()).output().unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}
