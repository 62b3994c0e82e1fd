//! The kernel patches fit whole kernel lines: no hunk leans on what changed within one.

use std::path::Path;

/// Context lines with this differ between releases of one line: `f->updated = jiffies;` became
/// `WRITE_ONCE(f->updated, jiffies);` in all of them, each at its own release.
const CHANGED: &str = "f->updated";

/// A hunk's header and its lines.
struct Hunk<'a> {
    header: &'a str,
    lines: Vec<&'a str>,
}

#[test]
fn no_hunk_has_a_context_that_changed_within_a_line() {
    for (name, text) in patches() {
        for hunk in hunks(&text) {
            let last = hunk.lines.len() - 1;
            for (i, line) in hunk.lines.iter().enumerate() {
                let context = line.starts_with(' ') && line.contains(CHANGED);
                // Where a struct is filled the line never changed; there it has `f->used` beside it.
                assert!(
                    !context || line.contains("f->used"),
                    "{name}: {}: line {i} of {last}: {line}",
                    hunk.header
                );
            }
        }
    }
}

/// A hunk with less context on one side is taken by patch(1) for one at the file's begin or end.
#[test]
fn hunks_have_as_much_context_before_as_after() {
    for (name, text) in patches() {
        for hunk in hunks(&text) {
            let before = hunk.lines.iter().take_while(|l| l.starts_with(' ')).count();
            let after = hunk.lines.iter().rev().take_while(|l| l.starts_with(' ')).count();
            assert_eq!(before, after, "{name}: {}", hunk.header);
        }
    }
}

#[test]
fn hunks_are_as_long_as_they_say() {
    for (name, text) in patches() {
        for hunk in hunks(&text) {
            let count = |side: char| hunk.lines.iter().filter(|l| l.starts_with([' ', side])).count();
            let [old, new] = ranges(hunk.header);
            assert_eq!((old, new), (count('-'), count('+')), "{name}: {}", hunk.header);
        }
    }
}

fn patches() -> Vec<(String, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("patches");
    let found: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "patch"))
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(path).unwrap())
        })
        .collect();
    assert!(found.len() >= 5, "the patches are elsewhere");
    found
}

fn hunks(text: &str) -> Vec<Hunk<'_>> {
    let mut found: Vec<Hunk<'_>> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("@@ ") {
            found.push(Hunk { header: line, lines: Vec::new() });
            inside = true;
        } else if line.starts_with("diff ") {
            inside = false;
        } else if let (true, Some(hunk)) = (inside, found.last_mut()) {
            hunk.lines.push(line);
        }
    }
    assert!(!found.is_empty());
    found
}

/// How many lines the hunk has before and after, of `@@ -1480,7 +1609,8 @@ ...`.
fn ranges(header: &str) -> [usize; 2] {
    let mut parts = header.split(' ').skip(1);
    [(); 2].map(|()| parts.next().unwrap().split_once(',').unwrap().1.parse().unwrap())
}
