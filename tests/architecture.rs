//! The rooms of the house: what may not know of what.

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
    ("packet.rs", 10),
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
