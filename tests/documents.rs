//! The documents are of use: links lead somewhere, commands in them are the program's, man has no complaint, and bash
//! completes what there is to complete. That man pages and completion are up to date is in `tests/config.rs`.

#[allow(dead_code)]
#[path = "words/commands.rs"]
mod commands;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn help(command: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_dmevpn")).args(command).arg("--help").output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// The names of all commands.
fn commands() -> Vec<String> {
    commands::commands().into_iter().map(|command| command.name).collect()
}

/// All documents under `folder`.
fn documents(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if name.starts_with('.') || ["target", "node_modules", "corpus"].contains(&&*name) {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            found.append(&mut documents(&path));
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
    found
}

/// Where the links of a document lead to.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let prose = text.lines().filter(|line| !line.starts_with("    "));
    prose.flat_map(|line| line.split("](").skip(1)).filter_map(|rest| rest.split(')').next())
}

/// What a link to a heading of this document may say behind `#`.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let words = headings.map(|line| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-"));
    words.map(|heading| heading.replace(|c: char| !c.is_alphanumeric() && !"-_".contains(c), "")).collect()
}

#[test]
fn links_lead_somewhere() {
    let documents = documents(repository());
    assert!(documents.len() > 20, "{documents:?}");
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for link in links(&text).filter(|link| !link.contains("://")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => document.clone(),
                _ => document.parent().unwrap().join(path),
            };
            assert!(target.exists(), "{}: {link}", document.display());
            if !anchor.is_empty() {
                let there = anchors(&fs::read_to_string(&target).unwrap());
                assert!(there.iter().any(|heading| heading == anchor), "{}: {link}", document.display());
            }
        }
    }
}

/// What a document has the reader type: its lines of code, and what is in backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("    "));
    let spans = text
        .lines()
        .filter(|line| !line.starts_with("    "))
        .flat_map(|line| line.split('`').skip(1).step_by(2));
    lines.chain(spans).map(|code| code.trim_start_matches("$ "))
}

#[test]
fn commands_in_documents_are_the_programs() {
    let commands = commands();
    let mut seen = 0;
    for document in documents(repository()) {
        let text = fs::read_to_string(&document).unwrap();
        for line in code(&text) {
            for typed in line.split(['|', '&', ';', '#', '>']) {
                let Some(typed) = typed.trim().strip_prefix("dmevpn ") else { continue };
                let mut words = typed.split_whitespace();
                let command = words.next().unwrap();
                // Not a command: a line of output such as `dmevpn 0.1.0, up 8 s`, an alias, a placeholder.
                if !command.starts_with(|c: char| c.is_ascii_lowercase()) || command.contains('=') {
                    continue;
                }
                assert!(commands.iter().any(|c| c == command), "{}: {line}", document.display());
                let help = help(&[command]);
                for switch in words.filter(|word| word.starts_with("--")) {
                    let switch = switch.trim_end_matches([',', ']', ')']);
                    assert!(help.contains(switch), "{}: {line}", document.display());
                }
                seen += 1;
            }
        }
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn man_has_nothing_to_complain_of() {
    for page in ["dmevpn.8", "dmevpn.conf.5"] {
        let path = repository().join("docs/man").join(page);
        let mut man = Command::new("man");
        man.args(["--warnings=w", "--local-file"]).arg(&path).env("LC_ALL", "C.UTF-8").env("MANWIDTH", "80");
        let Ok(output) = man.output() else {
            println!("skipped: there is no man");
            return;
        };
        let (text, complaints) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && complaints.is_empty(), "{complaints}");
        // What a wrong macro leaves behind.
        let is_roff = |line: &&str| line.starts_with('.') || line.contains("\\f") || line.contains('`');
        assert_eq!(text.lines().find(is_roff), None);
        assert!(text.lines().count() > 80, "{text}");
    }
}

#[test]
fn the_page_has_every_command_and_switch() {
    let page = fs::read_to_string(repository().join("docs/man/dmevpn.8")).unwrap().replace('\\', "");
    for command in commands() {
        let usage =
            page.lines().find(|line| line.strip_prefix(".B ").is_some_and(|l| l.starts_with(&command)));
        let usage = usage.unwrap_or_else(|| panic!("{command} is missing"));
        let help = help(&[&command]);
        let words = help.split(|c: char| c.is_whitespace() || "[],".contains(c));
        for switch in words.filter(|word| word.starts_with('-') && !word.chars().all(|c| c == '-')) {
            assert!(page.contains(switch), "{command} {switch}");
            assert!(usage.contains(switch) || ["-h", "--help"].contains(&switch), "{command} {switch}");
        }
    }
}

#[test]
fn the_page_has_every_signal() {
    let page = fs::read_to_string(repository().join("docs/man/dmevpn.8")).unwrap();
    let source = fs::read_to_string(repository().join("src/shell/signals.rs")).unwrap();
    let (_, taken) = source.split_once("for signal in [").unwrap();
    let (taken, _) = taken.split_once(']').unwrap();
    assert!(taken.contains("SIGTERM"));
    for signal in taken.split(',').map(|signal| signal.trim().trim_start_matches("libc::")) {
        assert!(page.contains(signal), "{signal}");
    }
}

/// What bash offers when the cursor is behind the last of `words`; `config` is what names the VNs.
fn completed(config: &OsStr, words: &[&str]) -> Vec<String> {
    let script = "source \"$1\"; _dmevpn_configs=(\"$2\"); shift 2; COMP_WORDS=(dmevpn \"$@\"); COMP_CWORD=$#; _dmevpn; \
                  printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", script, "bash"]).arg(repository().join("contrib/completion/dmevpn.bash"));
    let output = bash.arg(config).args(words).current_dir(repository()).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_switches_vns_and_files() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("completion");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("config");
    fs::write(
        &file,
        "config dmevpn 'main'\nconfig vn 'lan'\n\toption hub 'x'\n config  vn \"guest\" # one more\nconfig vn office\n\
         config vn\n#config vn 'off'\nconfig hub 'dc1'\n",
    )
    .unwrap();
    let completed = |words: &[&str]| completed(file.as_os_str(), words);

    let all: Vec<String> = commands().into_iter().chain(["--help".into(), "--version".into()]).collect();
    assert_eq!(completed(&[""]), all);
    assert_eq!(completed(&["me"]), ["metrics"]);
    assert_eq!(completed(&["check", "--j"]), ["--json"]);
    for command in commands() {
        let help = help(&[&command]);
        for switch in completed(&[&command, "-"]) {
            assert!(help.contains(&switch), "{command} {switch}");
        }
        assert!(!help.contains("--json") || completed(&[&command, "-"]).contains(&"--json".to_owned()));
    }
    let vns = ["lan", "guest", "office"];
    assert_eq!(completed(&["macs", ""]), vns);
    assert_eq!(completed(&["peers", "--json", "--socket", "/run/s", ""]), vns);
    assert_eq!(completed(&["resolve", "g"]), ["guest"]);
    assert_eq!(completed(&["flush", "lan", ""]), [""; 0]);
    assert_eq!(completed(&["check", "Cargo.t"]), ["Cargo.toml"]);
    assert_eq!(completed(&["daemon", "--config", "Cargo.t"]), ["Cargo.toml"]);
    assert_eq!(completed(&["nonsense", ""]), [""; 0]);
    // No configuration, no names, and no complaint.
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(completed(&["macs", ""]), [""; 0]);
}
