//! docs/conformance.md: the clauses of the RFCs in `tests/clauses/list`, each with the tests that are named after it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

const INTRODUCTION: &str = "\
# Conformance

What RFC 2332 (NHRP) and RFC 2735 (VPNs) demand, clause by clause, and what holds it here. *Held* is a clause that a test
fails without. The tests are in `tests/conformance` (what a spoke and a hub do) and `tests/conformance_wire` (octets), and
begin with the clauses they hold; others stand with their file. Those in `tests/cases` are data. What is *open* does not
hold, or not all of it.

Who has to: a spoke is an NHC, a hub an NHS that serves it; *transit* is an NHS in between, which there is none of.

";

/// A clause and what is said of it.
struct Clause {
    id: String,
    level: String,
    who: String,
    section: String,
    demands: String,
    /// Why it is not simply held.
    but: Option<But>,
    tests: Vec<String>,
}

enum But {
    DoesNotApply(String),
    Open(String),
}

/// A part of the list, with its heading.
type Part = (String, Vec<Clause>);

/// The page.
pub fn page() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut parts = parts(&read(&root.join("tests/clauses/list")), |file, name| {
        assert!(tests(&read(&root.join(file))).any(|test| test == name), "{file} has no test {name}");
    });
    let mut held: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for folder in ["tests/conformance", "tests/conformance_wire"] {
        let mut files: Vec<_> = fs::read_dir(root.join(folder)).unwrap().map(|f| f.unwrap().path()).collect();
        files.sort();
        for file in files {
            for test in tests(&read(&file)) {
                for clause in clauses(test) {
                    held.entry(clause).or_default().push(format!("`{test}`"));
                }
            }
        }
    }
    for clause in parts.iter_mut().flat_map(|(_, clauses)| clauses) {
        let named = held.remove(&clause.id).unwrap_or_default();
        clause.tests.splice(0..0, named);
    }
    for name in cases(&root.join("tests/cases")) {
        for clause in clauses(&name) {
            let clause = parts.iter_mut().flat_map(|(_, clauses)| clauses).find(|c| c.id == clause);
            clause.unwrap_or_else(|| panic!("{name}")).tests.push(format!("`{name}` in tests/cases"));
        }
    }
    assert!(held.is_empty(), "tests are named after clauses that tests/clauses/list has not: {held:?}");
    text(&parts)
}

/// The names of all cases, in order.
fn cases(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let cases = files.filter(|path| path.extension().is_some_and(|extension| extension == "case"));
    let mut names: Vec<String> =
        cases.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Reads the list; `check` is told each test that it names.
fn parts(list: &str, check: impl Fn(&str, &str)) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for line in list.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(heading) = line.strip_prefix("== ") {
            parts.push((heading.to_owned(), Vec::new()));
            continue;
        }
        let (_, clauses) = parts.last_mut().unwrap();
        if let Some(also) = line.strip_prefix("+ ") {
            let (file, name) = also.split_once(' ').unwrap();
            check(file, name);
            clauses.last_mut().unwrap().tests.push(format!("`{name}` in {file}"));
            continue;
        }
        let fields: Vec<&str> = line.split(" | ").collect();
        let head: Vec<&str> = fields[0].splitn(4, ' ').collect();
        let but = fields.get(2).map(|but| match but.split_once(": ").unwrap() {
            ("no", why) => But::DoesNotApply(why.to_owned()),
            ("open", why) => But::Open(why.to_owned()),
            _ => panic!("{line}"),
        });
        let [id, level, who, section] = head[..] else { panic!("{line}") };
        clauses.push(Clause {
            id: id.to_owned(),
            level: level.to_owned(),
            who: who.to_owned(),
            section: section.to_owned(),
            demands: fields[1].to_owned(),
            but,
            tests: Vec::new(),
        });
    }
    parts
}

/// The names of the tests in a source file.
fn tests(source: &str) -> impl Iterator<Item = &str> {
    let mut is_test = false;
    source.lines().filter_map(move |line| {
        let name =
            line.trim_start().strip_prefix("fn ").and_then(|rest| rest.split_once('(')).map(|(name, _)| name);
        let name = name.filter(|_| is_test);
        is_test = line.trim() == "#[test]" || is_test && line.trim_start().starts_with("#[allow");
        name
    })
}

/// The clauses a test is named after: `e3_e5_what_holds`, and all from `g2` to `g9` for `g2_to_g9_what_holds`.
pub fn clauses(test: &str) -> Vec<String> {
    let words: Vec<&str> = test.split('_').collect();
    let mut found = Vec::new();
    let mut rest = &words[..];
    while let Some((letter, first)) = rest.first().and_then(|word| clause(word)) {
        let (last, behind) = match rest {
            [_, "to", end, behind @ ..] => (clause(end).map_or(first, |(_, last)| last), behind),
            _ => (first, &rest[1..]),
        };
        found.extend((first..=last).map(|n| format!("{letter}{n}")));
        rest = behind;
    }
    found
}

fn clause(word: &str) -> Option<(char, u32)> {
    let letter = word.chars().next().filter(|c| ('a'..='k').contains(c))?;
    word[1..].parse().ok().map(|number| (letter.to_ascii_uppercase(), number))
}

fn text(parts: &[Part]) -> String {
    let mut text = format!(
        "<!-- Generated by `cargo run --example words` from tests/clauses/list and the tests' names. -->\n\n{INTRODUCTION}"
    );
    let all = || parts.iter().flat_map(|(_, clauses)| clauses);
    let count = |is: fn(&Clause) -> bool| all().filter(|clause| is(clause)).count();
    let open = |c: &Clause| matches!(c.but, Some(But::Open(_))) || c.but.is_none() && c.tests.is_empty();
    let left: Vec<_> = all().filter(|c| open(c)).map(|c| c.id.as_str()).collect();
    let _ = writeln!(
        text,
        "Of {} clauses {} are held, {} do not apply, and {}.",
        all().count(),
        count(|c| c.but.is_none() && !c.tests.is_empty()),
        count(|c| matches!(c.but, Some(But::DoesNotApply(_)))),
        match left.len() {
            0 => "none is open".to_owned(),
            n => format!("{n} are open: {}", left.join(", ")),
        },
    );
    for (heading, clauses) in parts {
        let _ = write!(text, "\n## {heading}\n\n| | Who | § | What it demands | |\n|---|---|---|---|---|\n");
        for Clause { id, level, who, section, demands, but, tests } in clauses {
            let tests = tests.join(", ");
            let held = match but {
                Some(But::DoesNotApply(why)) => format!("Does not apply: {why}"),
                Some(But::Open(why)) if tests.is_empty() => format!("**Open**: {why}"),
                Some(But::Open(why)) => format!("**Open**: {why}. In part: {tests}"),
                None if tests.is_empty() => "**Open**: no test".to_owned(),
                None => tests,
            };
            let _ = writeln!(
                text,
                "| {id} | {level} {} | {section} | {demands} | {held} |",
                who.replace(',', ", ")
            );
        }
    }
    text
}
