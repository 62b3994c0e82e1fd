//! `dmevpn import`: what becomes of an `opennhrp.conf`.
//!
//! `tests/import` has a file `NAME.uci` for each right `NAME.conf` and `NAME.errors` for each wrong one.
//! `DMEVPN_WRITE=1 cargo test --test import` writes them anew; look at what changed.

use dmevpn::config::import::{KEYWORDS, MAX_BYTES, import};
use dmevpn::config::{Config, HubAddress, Role, Transport, Vn};
use dmevpn::engine::settings::Trigger;
use proptest::collection::vec;
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import")
}

/// The names and contents of all files to import.
fn files() -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.extension().is_some_and(|e| e == "conf"));
    files
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap()))
        .collect()
}

fn imported(conf: &str) -> Config {
    let text = import("x.conf", conf.as_bytes()).unwrap_or_else(|errors| panic!("{errors}"));
    Config::parse("x.uci", &text).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

fn seed(name: &str) -> Config {
    imported(&fs::read_to_string(folder().join(format!("seed-{name}.conf"))).unwrap())
}

fn only_vn(config: &Config) -> &Vn {
    assert_eq!(config.vns.len(), 1);
    &config.vns[0]
}

#[test]
fn every_file_becomes_what_stands_beside_it() {
    for (name, conf) in files() {
        let (kind, text) = match import(&format!("{name}.conf"), &conf) {
            Ok(text) => ("uci", text),
            Err(errors) => ("errors", format!("{errors}\n")),
        };
        let path = folder().join(format!("{name}.{kind}"));
        if std::env::var_os("DMEVPN_WRITE").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let expected =
            fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}\n{text}", path.display()));
        assert_eq!(text, expected, "{name}");
        if kind == "uci" {
            Config::parse(&name, &text).unwrap_or_else(|errors| panic!("{errors}"));
        }
    }
}

#[test]
fn the_original_network_is_the_same_network() {
    let hub = seed("hub");
    assert_eq!(hub.main.interface.as_deref(), Some("eth1"));
    assert!(hub.hubs.is_empty());
    assert!(matches!(only_vn(&hub).role, Role::Hub(_)));
    for (name, vni) in [("spoke1", 100), ("spoke2", 101)] {
        let spoke = seed(name);
        assert_eq!(spoke.hubs.len(), 1);
        assert_eq!(spoke.hubs[0].address, HubAddress::Ip("10.0.0.1".parse().unwrap()));
        let Role::Spoke(role) = &only_vn(&spoke).role else { panic!("{name} is no spoke") };
        assert_eq!((role.vni.get(), role.vxlan.as_str(), role.trigger), (vni, "tunnel2", Trigger::L2miss));
        assert_eq!(spoke.main.interface, None);
    }
    for name in ["hub", "spoke1", "spoke2"] {
        let config = seed(name);
        assert_eq!(config.main.transport, Transport::Device("tunnel1".to_owned()));
        assert_eq!(config.main.udp_port, 8472);
        let vn = only_vn(&config);
        assert_eq!((vn.vpn_id, vn.bridge.as_str()), ("1".parse().unwrap(), "br-test"));
    }
}

/// A statement that is taken away, its line left empty, is missed: in the configuration, in the notes or as a mistake.
#[test]
fn nothing_is_lost_silently() {
    for (name, conf) in files() {
        let Ok(whole) = import(&name, &conf) else { continue };
        let lines: Vec<&[u8]> = conf.split(|o| *o == b'\n').collect();
        for (at, line) in lines.iter().enumerate() {
            let text = String::from_utf8_lossy(line);
            // A spoke's VXLAN device is known by its default-vni, and its GRE interface by its map-vni.
            let redundant = text.contains("controller") && !name.contains("hub");
            if redundant || text.trim().is_empty() || text.starts_with('#') {
                continue;
            }
            let mut without = lines.clone();
            without[at] = b"";
            let without = import(&name, &without.join(&b'\n'));
            assert!(without.as_ref() != Ok(&whole), "{name}:{}: {text}", at + 1);
        }
    }
}

#[test]
fn what_is_said_twice_alike_or_not_at_all() {
    let text = |conf: &str| import("x", conf.as_bytes()).map_err(|errors| errors.to_string());
    assert_eq!(
        imported("interface g holding-time 7200 interface h holding-time 7200").main.holding_time.as_secs(),
        7200
    );
    assert_eq!(text(""), Err("x:1: there is no 'interface'".to_owned()));
    assert_eq!(text("# nothing"), text(""));
    assert_eq!(text("interface"), Err("x:1: 'interface': an interface is missing".to_owned()));
    let long = "#".repeat(MAX_BYTES + 1);
    assert_eq!(text(&long), Err("x:1: the file has more than 65536 bytes".to_owned()));
    for word in [&b"\xff"[..], "br-t\u{fffd}est".as_bytes()] {
        let text = [b"\n", word, b"\n"].concat();
        assert_eq!(import("x", &text).unwrap_err().to_string(), "x:2: a word is not UTF-8 text");
    }
}

#[test]
fn the_secret_is_not_repeated() {
    for name in ["opennhrp", "all-words"] {
        let text = fs::read_to_string(folder().join(format!("{name}.uci"))).unwrap();
        assert!(text.contains("`cisco-authentication ...`") && !text.contains("cret"));
    }
}

#[test]
fn the_document_has_every_keyword_and_no_other() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/import.md");
    let text = fs::read_to_string(path).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut found: Vec<&str> = rows.map(|row| row.split([' ', '`']).next().unwrap()).collect();
    let mut known = KEYWORDS.to_vec();
    found.sort_unstable();
    known.sort_unstable();
    assert_eq!(found, known);
}

#[test]
fn the_command_prints_the_file_or_all_that_is_wrong() {
    let run = |name: &str| {
        let path = folder().join(name);
        let output = Command::new(env!("CARGO_BIN_EXE_dmevpn")).arg("import").arg(&path).output().unwrap();
        let text = |octets| String::from_utf8(octets).unwrap().replace(path.to_str().unwrap(), name);
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let expected = |name: &str| fs::read_to_string(folder().join(name)).unwrap();
    assert_eq!(run("seed-hub.conf"), (Some(0), expected("seed-hub.uci"), String::new()));
    assert_eq!(run("wrong-words.conf"), (Some(4), String::new(), expected("wrong-words.errors")));
    let (code, _, err) = run("absent.conf");
    assert_eq!(code, Some(4));
    assert!(err.starts_with("absent.conf: "), "{err}");
}

/// Words that belong into such files, more often than not at the right place.
fn word() -> impl Strategy<Value = String> {
    let names = ["gre1", "gre2", "vx1", "vx2", "br-test", "br-vn1", "br-vn2", "eth1", "hub.example.net"];
    let values = ["0", "1", "2", "100", "1048576", "4294967295", "10.0.0.1", "10.0.0.0/8", "2001:db8::1"];
    let others = ["52:54:00:00:00:0b", "01:00:5e:00:00:01", "#", "'", "\\", "\u{1b}", "\0", "\u{2028}", "é"];
    prop_oneof![
        8 => prop::sample::select(KEYWORDS.to_vec()),
        4 => prop::sample::select(names.to_vec()),
        4 => prop::sample::select(values.to_vec()),
        1 => prop::sample::select(others.to_vec()),
    ]
    .prop_map(str::to_owned)
}

/// Statements that are right one by one.
fn statement() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["g1", "g2", "v1", "v2", "v3", "br-test", "br-vn1", "br-vn2", "e1"]);
    let hub = prop::sample::select(vec!["10.0.0.1", "10.0.0.2", "hub.example.net", "2001:db8::1"]);
    let vni = prop::sample::select(vec!["100", "101", "102", "1048576", "16777215"]);
    prop_oneof![
        4 => name.clone().prop_map(|name| format!("interface {name}")),
        3 => prop::sample::select(vec!["1", "2", "3", "4294967295"]).prop_map(|id| format!("vpn-id {id}")),
        2 => name.prop_map(|name| format!("controller {name}")),
        2 => (vni.clone(), hub).prop_map(|(vni, hub)| format!("default-vni {vni} {hub}")),
        1 => vni.prop_map(|vni| format!("map-vni {vni} 1.0.0.1 52:54:00:00:00:0b register")),
        1 => (0..4_u32).prop_map(|n| format!("holding-time {}", 3 + n)),
        1 => Just("l2learnonly".to_owned()),
    ]
}

/// Whatever it is, what comes out is a configuration without mistakes, or mistakes in lines that there are.
fn holds_for(conf: &[u8]) -> bool {
    match import("x.conf", conf) {
        Ok(text) => {
            Config::parse("x.uci", &text).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
            true
        }
        Err(errors) => {
            let lines = conf.split(|o| *o == b'\n').count();
            assert!(errors.as_slice().iter().all(|e| e.line >= 1 && e.line as usize <= lines));
            assert_eq!(errors.to_string().lines().count(), errors.as_slice().len());
            false
        }
    }
}

proptest! {
    #[test]
    fn any_octets_are_safe(octets in vec(any::<u8>(), 0..300)) {
        holds_for(&octets);
    }

    #[test]
    fn any_words_are_safe(words in vec((word(), prop::sample::select(vec![" ", "\n", "\r\n"])), 0..60)) {
        let conf: String = words.into_iter().map(|(word, space)| word + space).collect();
        holds_for(conf.as_bytes());
    }

    #[test]
    fn any_network_is_safe(statements in vec(statement(), 0..30)) {
        holds_for(format!("interface g1\n{}\n", statements.join("\n")).as_bytes());
    }
}
