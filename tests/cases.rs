//! Cases as data: octets in, octets out, what the kernel is to be. `tests/cases/README.md` has the words.

#[path = "cases/play.rs"]
mod play;

use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

#[test]
fn every_case_holds() {
    let mut cases: Vec<PathBuf> = fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|extension| extension == "case"));
    cases.sort();
    assert!(!cases.is_empty());
    let play = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        play::play(&text).err().map(|wrong| format!("{}:{wrong}", path.display()))
    };
    let wrong: Vec<String> = cases.iter().filter_map(play).collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// `DMEVPN_CASE=file cargo test --test cases` plays one, be it from a router.
#[test]
fn the_case_that_somebody_asks_for() {
    let Some(path) = std::env::var_os("DMEVPN_CASE") else { return };
    let text = fs::read_to_string(&path).unwrap();
    play::play(&text).unwrap_or_else(|wrong| panic!("{}:{wrong}", path.display()));
}

#[test]
fn what_is_wrong_with_a_case_is_told_with_its_line() {
    let spoke = "vn 1 spoke\n0 way 0 10.0.0.2 10.0.0.1\n0 device 1 2e:cd:9a:5c:ae:c7\n";
    for (more, wrong) in [
        ("0 sleep", "4: no word 'sleep'"),
        ("0 device 1 nobody", "4: 'nobody' is no MAC, none"),
        ("0 out 10.0.0.2 10.0.0.1 llc=1 0001 xx", "4: 'xx' are no octets"),
        ("0 out 10.0.0.2 10.0.0.9 llc=1 *", "4: it goes to 10.0.0.1"),
        ("0 out 10.0.0.2 10.0.0.1 llc=1 0001 6559 *", "4: octet 3 is 58"),
        ("0 out 10.0.0.2 10.0.0.1 llc=1 *\n0 out 10.0.0.2 10.0.0.1 llc=1 *", "5: nothing is sent"),
        ("0 skip\n0 is 1 registered", "5: it is not"),
    ] {
        let told = play::play(&format!("{spoke}{more}")).expect_err(more);
        assert!(told.starts_with(wrong), "{more}: {told}");
    }
    assert!(play::play(spoke).expect_err("a packet").starts_with("3: beyond the end"));
}
