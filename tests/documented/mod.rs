//! `docs/json.md` and what the program prints, held together.
#![allow(dead_code)]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The keys of a section of the page, with their types.
pub fn keys(section: &str) -> BTreeMap<String, String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/json.md");
    let page = std::fs::read_to_string(path).unwrap();
    let of_section = |text: &&str| text.lines().next().is_some_and(|title| title.contains(section));
    let text = page.split("\n## ").skip(1).find(of_section).unwrap_or_else(|| panic!("no section {section}"));
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        let key = cells.next().unwrap().trim_matches('`').to_owned();
        (key, cells.next().unwrap().to_owned())
    })
    .collect()
}

/// The keys in `printed`, as the page writes them: all of them are listed in `section`, with their types.
#[track_caller]
pub fn check(section: &str, printed: &Value) -> BTreeSet<String> {
    let listed = keys(section);
    let mut seen = BTreeSet::new();
    walk("", printed, &mut |path, value| {
        let types = listed.get(path).unwrap_or_else(|| panic!("{section}: docs/json.md lacks '{path}'"));
        let fits = types.split(" or null").next() == Some(name(value, types))
            || value.is_null() && types.ends_with(" or null");
        assert!(fits, "{section}: '{path}' is a {types} in docs/json.md, and here it is {value}");
        seen.insert(path.to_owned());
        types != "object"
    });
    seen
}

/// Shows `look` all values with their paths; it says whether to go into this one.
fn walk(path: &str, value: &Value, look: &mut dyn FnMut(&str, &Value) -> bool) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                if look(&path, value) {
                    walk(&path, value, look);
                }
            }
        }
        Value::Array(items) => {
            for item in items.iter().filter(|item| item.is_object()) {
                walk(&format!("{path}[]"), item, look);
            }
        }
        _ => {}
    }
}

/// What the page calls the type of a value; `expected` decides what an empty list is.
fn name(value: &Value, expected: &str) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(n) => {
            assert!(n.as_u64().is_some_and(|n| n < 1 << 53), "{n}");
            "number"
        }
        Value::String(_) => "text",
        Value::Array(items) if items.is_empty() && expected == "list of texts" => "list of texts",
        Value::Array(items) if items.iter().any(Value::is_string) => "list of texts",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}
