//! The rooms of the house: what may not know of what.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn sources(under: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(under).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    assert!(!found.is_empty(), "{} holds no sources", under.display());
    found
}

/// Lines of code under `src/ROOM` that have one of `words`, tests and comments left out.
fn offenders(room: &str, words: &[&str]) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(room);
    let mut found = Vec::new();
    for path in sources(&root).iter().filter(|p| !p.to_string_lossy().ends_with("tests.rs")) {
        let text = fs::read_to_string(path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (n, line) in code.lines().enumerate().filter(|(_, l)| !l.trim_start().starts_with("//")) {
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{}: {}", path.display(), n + 1, line.trim()));
            }
        }
    }
    found
}

#[test]
fn the_pure_rooms_do_no_io() {
    let io = [
        "shell::",
        "std::fs",
        "std::io",
        "std::net::Udp",
        "std::net::Tcp",
        "std::os",
        "socket2",
        "libc::",
        "smol::",
        "async_io",
    ];
    for room in ["wire", "engine", "config", "control", "view"] {
        let found = offenders(room, &io);
        assert!(found.is_empty(), "{room} is to know nothing of the outside:\n{}", found.join("\n"));
    }
}

#[test]
fn unsafe_code_is_in_the_shell_alone_and_each_has_a_reason() {
    for room in ["wire", "engine", "config", "control", "view", "cli"] {
        assert_eq!(offenders(room, &["unsafe "]), Vec::<String>::new());
    }
    let shell = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/shell");
    for path in sources(&shell) {
        let text = fs::read_to_string(&path).unwrap();
        let (uses, reasons) = (text.matches("unsafe {").count(), text.matches("SAFETY:").count());
        assert!(reasons >= uses, "{}: {uses} unsafe blocks, {reasons} reasons", path.display());
    }
}

/// How many unsafe blocks, functions and so on a file has. Whoever adds one looks for another way first, then counts it here.
const UNSAFE: &[(&str, usize)] = &[
    ("audience/control.rs", 2),
    ("audience/outlet.rs", 6),
    ("child.rs", 5),
    ("clock.rs", 1),
    ("confine/mod.rs", 1),
    ("netlink/socket.rs", 7),
    ("packet.rs", 11),
    ("random.rs", 1),
    ("signals.rs", 1),
    ("terminal.rs", 1),
    ("wait.rs", 4),
];

#[test]
fn unsafe_code_is_counted() {
    let shell = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/shell");
    let mut found = Vec::new();
    for path in sources(&shell) {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let uses: usize = code.map(|line| line.matches("unsafe ").count()).sum();
        if uses > 0 {
            found.push((path.strip_prefix(&shell).unwrap().display().to_string(), uses));
        }
    }
    found.sort();
    let listed: Vec<_> = UNSAFE.iter().map(|(path, uses)| ((*path).to_owned(), *uses)).collect();
    assert_eq!(found, listed, "what is found, and what UNSAFE says");
}

#[test]
fn the_search_finds_what_it_looks_for() {
    assert!(!offenders("shell", &["libc::"]).is_empty());
}

/// A file, as a module: `[engine, sites]`.
type Module = Vec<String>;

/// What each file names that stands elsewhere.
struct House(BTreeMap<Module, Vec<Module>>);

impl House {
    fn new<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> House {
        House(files.into_iter().map(|(path, text)| (module(path), named(&code(text)))).collect())
    }

    /// The file in which what `at` names by this path stands, also where another one hands it on.
    fn file_of(&self, at: &[String], path: &[String]) -> Option<Module> {
        let mut place = at.to_vec();
        let mut rest = path;
        while let [first, others @ ..] = rest {
            match first.as_str() {
                "crate" => place.clear(),
                "super" => drop(place.pop()),
                "self" => {}
                _ => break,
            }
            rest = others;
        }
        let is_inside = rest.len() < path.len();
        for (n, name) in rest.iter().enumerate() {
            let below = [place.as_slice(), core::slice::from_ref(name)].concat();
            if self.0.contains_key(&below) {
                place = below;
                continue;
            }
            let handed_on =
                self.0.get(&place)?.iter().find(|other| other.last() == Some(name) && *other != path);
            return match handed_on {
                Some(other) => self.file_of(&place, other),
                None => (n > 0 || is_inside).then_some(place),
            };
        }
        Some(place)
    }

    /// Which files name what of which others. That one uses what its own folder's face has is in the nature of a folder.
    fn arrows(&self) -> Vec<(Module, Module)> {
        let of = |(from, named): (&Module, &Vec<Module>)| {
            let to = named.iter().filter_map(|path| self.file_of(from, path));
            to.filter(|to| !from.starts_with(to)).map(|to| (from.clone(), to)).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of).collect()
    }

    /// The arrows that are part of a circle, or lead from one to another.
    fn circles(&self) -> Vec<String> {
        let mut arrows = self.arrows();
        loop {
            let before = arrows.len();
            let all = arrows.clone();
            arrows
                .retain(|(from, to)| all.iter().any(|(a, _)| a == to) && all.iter().any(|(_, b)| b == from));
            if arrows.len() == before {
                break;
            }
        }
        let mut lines: Vec<_> =
            arrows.iter().map(|(a, b)| format!("{} -> {}", a.join("::"), b.join("::"))).collect();
        lines.dedup();
        lines
    }
}

fn module(path: &str) -> Module {
    let names = path.trim_end_matches(".rs").split('/');
    names.filter(|name| !["lib", "mod"].contains(name)).map(str::to_owned).collect()
}

/// A file without its comments and tests.
fn code(text: &str) -> String {
    let mut lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut code = String::new();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            code.push_str(line);
            code.push('\n');
        } else if lines.next().is_some_and(|line| line.starts_with("mod ") && line.ends_with('{')) {
            break;
        }
    }
    code
}

/// The paths that a file's code has: of its imports, and those that begin with `super` or `crate`.
fn named(code: &str) -> Vec<Module> {
    let mut found = Vec::new();
    for statement in code.split(';') {
        let imported =
            ["\nuse ", "\npub use ", "\npub(super) use ", "\npub(crate) use "].iter().find_map(|word| {
                let statement = statement.strip_prefix("use ").or(statement.split(word).nth(1))?;
                Some(statement.to_owned())
            });
        match imported {
            Some(tree) => expand("", &tree.split_whitespace().collect::<Vec<_>>().join(" "), &mut found),
            None => {
                let words = statement.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
                let paths = words.filter(|word| word.starts_with("super::") || word.starts_with("crate::"));
                paths.for_each(|path| expand("", path, &mut found));
            }
        }
    }
    found
}

/// `a::{b, c::d}` names `a::b` and `a::c::d`.
fn expand(before: &str, tree: &str, found: &mut Vec<Module>) {
    let Some((head, inner)) = tree.split_once('{') else {
        let path = format!("{before}{}", tree.split(" as ").next().unwrap_or_default().trim());
        found.push(
            path.split("::").filter(|name| *name != "self" || path == "self").map(str::to_owned).collect(),
        );
        return;
    };
    let (mut depth, mut from) = (0, 0);
    let inner = inner.trim_end().strip_suffix('}').unwrap_or(inner);
    for (place, c) in inner.char_indices().chain([(inner.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let branch = inner[from..place].trim();
                if !branch.is_empty() {
                    expand(&format!("{before}{}", head.trim()), branch, found);
                }
                from = place + 1;
            }
            _ => {}
        }
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files: Vec<(String, String)> = sources(&root)
        .iter()
        .map(|path| {
            (path.strip_prefix(&root).unwrap().display().to_string(), fs::read_to_string(path).unwrap())
        })
        .filter(|(path, _)| !path.ends_with("tests.rs"))
        .collect();
    let house = House::new(files.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    assert!(house.arrows().len() > 300, "{} arrows", house.arrows().len());
    assert_eq!(house.circles(), Vec::<String>::new(), "each of these imports the next one");
}

#[test]
fn a_circle_of_imports_is_found() {
    let of = |files: &[(&'static str, &'static str)]| House::new(files.iter().copied()).circles();
    let face = ("a/mod.rs", "mod b;\nmod c;\npub use c::Thing;\nuse std::fs;\nstruct Whole(b::Part);\n");
    let part = ("a/b.rs", "use super::Whole;\nuse super::{\n    Thing,\n};\n");
    assert!(of(&[face, part, ("a/c.rs", "use std::{fs, io};\n// super::b\n")]).is_empty());
    let back = "fn f() -> super::b::Part {}\n";
    assert_eq!(of(&[face, part, ("a/c.rs", back)]), ["a::b -> a::c", "a::c -> a::b"]);
    let tested = "#[cfg(test)]\nmod tests {\n    use super::super::b::Part;\n}\n";
    assert!(of(&[face, part, ("a/c.rs", tested)]).is_empty());
    let far = [
        ("x.rs", "use crate::y::z::Z as Other;\n"),
        ("y/mod.rs", ""),
        ("y/z.rs", "use crate::x::{self, X};\n"),
    ];
    assert_eq!(of(&far), ["x -> y::z", "y::z -> x"]);
}
