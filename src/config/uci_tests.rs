//! Tests of the UCI grammar.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// The values of the option `v` in `text`, put into a section.
fn values(text: &str) -> Vec<String> {
    let file = parse(&format!("config a\n{text}\n")).unwrap();
    file.sections[0].get("v").map_or(Vec::new(), |v| v.texts().iter().map(|t| t.text.clone()).collect())
}

/// A mistake and its line.
fn told(error: &Finding) -> String {
    format!("{}: {}", error.line, error.text)
}

/// A file without its line numbers.
fn content(mut file: File) -> File {
    for section in &mut file.sections {
        section.line = 0;
        for entry in &mut section.options {
            match &mut entry.value {
                Value::One(text) => text.line = 0,
                Value::List(texts) => texts.iter_mut().for_each(|t| t.line = 0),
            }
        }
    }
    file
}

#[test]
fn words_are_put_together_as_in_libuci() {
    for (text, value) in [
        ("option v x", "x"),
        ("  option\tv   x  # comment", "x"),
        ("o v x", "x"),
        ("option v 'a'\"b\"c", "abc"),
        (r"option v a\ b", "a b"),
        (r"option v 'a\b'", r"a\b"),
        (r#"option v "a\"b""#, "a\"b"),
        (r"option v 'it'\''s'", "it's"),
        ("option v 'a # b; c'", "a # b; c"),
        ("option v a#b", "a"),
        ("option v 'two\nlines'", "two\nlines"),
        ("option v \"joined \\\nline\"", "joined line"),
        ("option \\\n v \\\r\n x", "x"),
        ("option v x; option w y", "x"),
        ("option v x\r", "x"),
        ("option v 'ü'", "ü"),
    ] {
        assert_eq!(values(text), [value], "{text}");
    }
}

#[test]
fn later_commands_override_extend_or_unset() {
    assert_eq!(values("option v a\noption v b"), ["b"]);
    assert_eq!(values("list v a\nlist v b"), ["a", "b"]);
    assert_eq!(values("option v a\nlist v b"), ["a", "b"]);
    assert_eq!(values("list v a\noption v b"), ["b"]);
    assert!(values("option v a\noption v ''").is_empty());
    assert_eq!(values("list v ''"), [""]);
}

#[test]
fn sections_of_one_name_are_one() {
    let file = parse("config a x\noption p 1\noption q 1\nconfig a y\nconfig a x\noption p 2\n").unwrap();
    assert_eq!(file.sections.len(), 2);
    assert_eq!(file.sections[0].line, 1);
    assert_eq!(file.sections[0].get("p"), Some(&Value::One(Text { line: 6, text: "2".to_owned() })));
    assert_eq!(file.sections[0].get("q"), Some(&Value::One(Text { line: 3, text: "1".to_owned() })));
    assert_eq!(parse("config a\nconfig a\n").unwrap().sections.len(), 2);
}

#[test]
fn lines_are_counted_through_everything() {
    let text = "\u{feff}# one\r\npackage p\r\n\r\nconfig a 'x'\r\n\toption m 'l\r\nl'\r\n\\\n\toption n 1";
    let file = parse(text).unwrap();
    assert_eq!(file.package.as_deref(), Some("p"));
    assert_eq!(file.sections[0].line, 4);
    assert_eq!(file.sections[0].get("m").unwrap().line(), 5);
    assert_eq!(file.sections[0].get("m").unwrap().texts()[0].text, "l\r\nl");
    assert_eq!(file.sections[0].get("n").unwrap().line(), 8);
}

/// What is told goes to the log and to who asks for the status.
#[test]
fn parts_of_a_secret_are_not_told() {
    for text in [
        "config key k\noption secret correct horse battery",
        "config key k\noption secret 'correct'\nhorse battery'\n",
        "config key k\noption secret \"correct\nhorse battery\n",
    ] {
        let found: Vec<String> = parse(text).unwrap_err().iter().map(told).collect();
        let told = found.join("\n");
        assert!(!["correct", "horse", "battery"].iter().any(|part| told.contains(part)), "{told}");
    }
}

#[test]
fn every_mistake_is_told_with_its_line() {
    for (text, errors) in [
        ("\nfoo x", &["2: this begins no command; allowed are config, option, list and package"][..]),
        ("option a b", &["1: option 'a': no config section is open here"]),
        ("config", &["1: config '': not a section type of letters, digits, '_' and '-'"]),
        ("config a b-c\noption d e", &["1: config a 'b-c': not a section name of letters, digits and '_'"]),
        ("config a b c", &["1: config takes a type and one name"]),
        ("config a\noption b\x1b[m c", &["2: option 'b\\u{1b}[m': not a name of letters, digits and '_'"]),
        ("config a\noption", &["2: option '': not a name of letters, digits and '_'"]),
        ("config a\nlist x", &["2: list 'x': the value is missing"]),
        (
            "config a\noption x y z",
            &["2: option 'x' takes one value; put quotes around it when it has spaces"],
        ),
        (
            "config a x\n\nconfig b x",
            &[
                "3: config b 'x': the name belongs to config a in line 1; sections of all types share their names",
            ],
        ),
        ("package a/b", &["1: package 'a/b': not a name of letters, digits, '_' and '-'"]),
        ("config a\noption x 'y\n\n", &["2: a ' is never closed"]),
        (
            "config a\noption x 'y\noption z '1'\n",
            &["3: a ' is never closed; the quotes first span lines at line 2: is one missing there?"],
        ),
        (
            "config a # \u{fffd}\noption x '\u{fffd}'",
            &["2: what stands here is not UTF-8 text, as all but comments has to be"],
        ),
        ("config a\n\0", &["2: a NUL byte: this is not a text file"]),
        (
            "foo\nconfig a\nbar\x1b[m",
            &[
                "1: this begins no command; allowed are config, option, list and package",
                "3: this begins no command; allowed are config, option, list and package",
            ],
        ),
    ] {
        let found: Vec<String> = parse(text).unwrap_err().iter().map(told).collect();
        assert_eq!(found, errors, "{text}");
    }
}

#[test]
fn sizes_are_limited() {
    let error = parse(&" ".repeat(MAX_BYTES + 1)).unwrap_err().remove(0);
    assert_eq!(told(&error), "1: the file has more than 1048576 bytes");
    assert!(parse(&" ".repeat(MAX_BYTES)).is_ok());

    let many: String = (0..=MAX_OPTIONS).map(|i| format!("option o{i} x\n")).collect();
    let error = parse(&format!("config a\n{many}")).unwrap_err().remove(0);
    assert_eq!(told(&error), "102: option 'o100': a section has at most 100 options");
}

fn text() -> impl Strategy<Value = Text> {
    "[^\0\\u{fffd}]{0,12}|[ '\"\\\\#;\r\n\ta]{0,8}".prop_map(|text| Text { line: 0, text })
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        text().prop_filter("an empty option is none", |t| !t.text.is_empty()).prop_map(Value::One),
        proptest::collection::vec(text(), 1..4).prop_map(Value::List),
    ]
}

fn section() -> impl Strategy<Value = (String, BTreeMap<String, Value>)> {
    ("[a-z_-]{1,6}", proptest::collection::btree_map("[a-zA-Z0-9_]{1,6}", value(), 0..5))
}

fn built(line: u32, name: Option<String>, (kind, options): (String, BTreeMap<String, Value>)) -> Section {
    let options = options.into_iter().map(|(name, value)| Entry { name, value }).collect();
    Section { line, kind, name, options }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        package in proptest::option::of("[a-z0-9_-]{1,6}"),
        anonymous in proptest::collection::vec(section(), 0..3),
        named in proptest::collection::btree_map("[a-zA-Z0-9_]{1,6}", section(), 0..4),
    ) {
        let mut sections: Vec<Section> = anonymous.into_iter().map(|s| built(0, None, s)).collect();
        sections.extend(named.into_iter().map(|(name, s)| built(0, Some(name), s)));
        let file = File { package, sections };
        prop_assert_eq!(parse(&file.to_string()).map(content), Ok(file));
    }

    #[test]
    fn whatever_is_read_is_written_and_read_again(text in "(config|option|list|a|b|[ '\"\\\\#;\r\n\t]){0,40}") {
        if let Ok(file) = parse(&text) {
            prop_assert_eq!(parse(&file.to_string()).map(content), Ok(content(file)));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&String::from_utf8_lossy(&bytes));
    }
}
