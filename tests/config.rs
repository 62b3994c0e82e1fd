//! The configuration's documents tell the truth: the examples load, and what is said about options is what the table in
//! `src/config/options.rs` says.

#[path = "words/mod.rs"]
mod words;

use dmevpn::config::options::{OPTIONS, WORDS};
use dmevpn::config::{BRIDGE_SPOKES, Config, Files, HubAddress, KMOD_SPOKES, Role, Vn};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn uci(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("uci").join(path)
}

fn load(path: &Path) -> Config {
    let text = fs::read_to_string(path).unwrap();
    Config::parse(&path.display().to_string(), &text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn only_vn(config: &Config) -> &Vn {
    assert_eq!(config.vns.len(), 1);
    &config.vns[0]
}

#[test]
fn every_example_loads_without_a_warning() {
    for entry in fs::read_dir(uci("examples")).unwrap() {
        let path = entry.unwrap().path();
        load(&path);
        assert_eq!(Config::warnings("f", &fs::read_to_string(&path).unwrap(), &Files::NONE), []);
    }
}

/// What packages put there is right as it is, and so is each example in its comments, the `#` taken away.
#[test]
fn the_delivered_configurations_are_right() {
    for file in ["openwrt/dmevpn/files/dmevpn.config", "contrib/debian/dmevpn.conf"] {
        is_right_as_delivered(file);
    }
}

fn is_right_as_delivered(file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(load(&path).vns, []);
    let is_commented = |line: &&str| line.starts_with("#config") || line.starts_with("#\toption");
    let example = |heading: &str| -> String {
        let lines = text.split_once(heading).unwrap().1.lines().skip(1);
        let lines =
            lines.take_while(|line| line.is_empty() || line.starts_with("#\t") || !line.starts_with("# "));
        lines.filter(is_commented).map(|line| format!("{}\n", &line[1..])).collect()
    };
    let main = "config dmevpn main\n\toption interface wan\n";
    for (heading, is_hub) in [("# A spoke", false), ("# A hub", true)] {
        let text = format!("{main}{}", example(heading));
        let config = Config::parse("f", &text).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
        assert_eq!(matches!(only_vn(&config).role, Role::Hub(_)), is_hub);
        assert_eq!(Config::warnings("f", &text, &Files::NONE), []);
    }
}

/// Octets that are no UTF-8 text: `check` and the daemon are of one mind.
#[test]
fn latin_1_is_refused_but_in_comments() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("latin-1");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("dmevpn");
    for (octets, is_right) in [
        (&b"# Stra\xdfe\nconfig dmevpn\noption enabled 0"[..], true),
        (b"config dmevpn\noption enabled 0\noption state_file '/etc/Stra\xdfe'", false),
    ] {
        fs::write(&file, octets).unwrap();
        for command in [&["check"][..], &["daemon", "--config"]] {
            let output =
                Command::new(env!("CARGO_BIN_EXE_dmevpn")).args(command).arg(&file).output().unwrap();
            let errors = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(if is_right { 0 } else { 4 }), "{command:?}: {errors}");
            assert_eq!(errors.contains(":3: what stands here is not UTF-8 text"), !is_right, "{errors}");
        }
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_examples_are_one_network() {
    let hub = load(&uci("examples/hub"));
    assert!(hub.hubs.is_empty());
    assert!(matches!(only_vn(&hub).role, Role::Hub(_)));
    let both = load(&uci("examples/spoke-hubs"));
    let Role::Spoke(role) = &only_vn(&both).role else { panic!("it is no spoke") };
    assert_eq!((&role.hubs[..], role.preempt), (&["dc1".to_owned(), "dc2".to_owned()][..], true));
    for (file, vni) in [("examples/spoke1", 100), ("examples/spoke2", 101)] {
        let spoke = load(&uci(file));
        assert_eq!(spoke.hubs[0].address, HubAddress::Ip("10.0.0.1".parse().unwrap()));
        let vn = only_vn(&spoke);
        let Role::Spoke(role) = &vn.role else { panic!("{file} is no spoke") };
        assert_eq!(role.vni.get(), vni);
        assert_eq!(
            (&vn.name, vn.vpn_id, &vn.bridge),
            (&"test".to_owned(), only_vn(&hub).vpn_id, &"br-test".to_owned())
        );
    }
}

/// Those of two hubs and of a spoke that has both: each hub names the other, as the spoke knows it.
#[test]
fn the_examples_of_two_hubs_are_one_network() {
    let spoke = load(&uci("examples/spoke-hubs"));
    for (file, other) in [("examples/hub1-of-2", 1), ("examples/hub2-of-2", 0)] {
        let hub = load(&uci(file));
        let (vn, other) = (only_vn(&hub), &spoke.hubs[other]);
        let Role::Hub(role) = &vn.role else { panic!("{file} is no hub") };
        assert_eq!(role.peers, std::slice::from_ref(&other.name), "{file}");
        assert_eq!((&hub.hubs[0].name, &hub.hubs[0].address), (&other.name, &other.address), "{file}");
        assert_eq!((&vn.name, vn.vpn_id), (&only_vn(&spoke).name, only_vn(&spoke).vpn_id), "{file}");
    }
}

#[test]
fn the_written_files_are_as_the_table_has_it() {
    for (path, text) in words::files() {
        let found = fs::read_to_string(&path).unwrap_or_default();
        let difference = found.lines().zip(text.lines()).find(|(found, wanted)| found != wanted);
        assert!(found == text, "{} differs: run `cargo run --example words`; {difference:?}", path.display());
    }
}

/// A conformance test begins with the clauses it holds; docs/conformance.md has it there.
#[test]
fn names_of_tests_say_their_clauses() {
    for (test, clauses) in [
        ("b2_id_grows", &["B2"][..]),
        ("e2_e3_k12_all_of_it", &["E2", "E3", "K12"]),
        ("g2_to_g4_h1_numbers", &["G2", "G3", "G4", "H1"]),
        ("g_error_of_no_clause_a1", &[]),
        ("a_spoke", &[]),
        ("l1_is_none", &[]),
    ] {
        assert_eq!(words::conformance::clauses(test), clauses, "{test}");
    }
}

#[test]
fn every_option_has_words() {
    for words in WORDS {
        let paragraphs = words::paragraphs(words);
        assert!(!words.title.is_empty(), "{}", words.option);
        for text in paragraphs.iter().map(String::as_str).chain([words.default, words.limits]) {
            assert_eq!(text.matches('`').count() % 2, 0, "{}: {text}", words.option);
        }
        assert!(paragraphs.iter().all(|p| p.ends_with('.')), "{}", words.option);
    }
    assert_eq!(WORDS.len(), OPTIONS.len());
}

#[test]
fn the_words_for_what_other_options_say_are_true() {
    let words = WORDS.iter().find(|words| words.option.name == "max_spokes").unwrap();
    assert_eq!(words.default, format!("`{BRIDGE_SPOKES}` with `bridge`, `{KMOD_SPOKES}` with `kmod`"));
}

/// The words for kinds of values stand beside the parser's own, not in the table.
#[test]
fn the_words_for_kinds_of_values_are_true() {
    let literals = |kind: &str| -> Vec<String> {
        let (_, text) = words::KINDS.iter().find(|(name, _)| *name == kind).unwrap();
        text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let is_right = |text: String| Config::parse("f", &format!("config dmevpn\noption {text}")).is_ok();
    let booleans = literals("boolean");
    assert_eq!(booleans.len(), 10);
    assert!(booleans.iter().all(|word| is_right(format!("enabled {word}"))));
    for not_in_a_name in literals("interface").into_iter().chain([" ".to_owned()]) {
        assert!(!is_right(format!("interface 'a{not_in_a_name}b'")), "{not_in_a_name}");
    }
    assert!(
        is_right(format!("interface {}", "a".repeat(15)))
            && !is_right(format!("interface {}", "a".repeat(16)))
    );
    for section in dmevpn::config::options::SECTIONS.iter().filter(|s| s.help.contains("1 to 32 letters")) {
        let missing = |len: usize| {
            let text = format!("config {} {}", section.kind, "a".repeat(len));
            Config::parse("f", &text).unwrap_err().to_string().contains("longer than 32")
        };
        assert!(!missing(32) && missing(33), "{}", section.kind);
    }
}

/// A router's flash has no room for what only documents say.
#[test]
fn the_program_does_not_hold_the_help() {
    let program = fs::read(env!("CARGO_BIN_EXE_dmevpn")).unwrap();
    let program = String::from_utf8_lossy(&program);
    let holds = |text: &str| program.contains(text);
    assert!(holds("the number of the VN, the same on all its routers"));
    for words in WORDS {
        let line = words.help.lines().next().unwrap();
        assert!(!holds(line), "{line}");
    }
}
