//! What is said about options is said once: the documents are what the table in `src/config/options.rs` makes of them.

#[path = "words/mod.rs"]
mod words;

use dmevpn::config::options::{OPTIONS, WORDS};
use dmevpn::config::{BRIDGE_SPOKES, KMOD_SPOKES};
use std::fs;

#[test]
fn the_written_files_are_as_the_table_has_it() {
    for (path, text) in words::files() {
        let found = fs::read_to_string(&path).unwrap_or_default();
        let difference = found.lines().zip(text.lines()).find(|(found, wanted)| found != wanted);
        assert!(found == text, "{} differs: run `cargo run --example words`; {difference:?}", path.display());
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
