//! The command line, without a daemon.

use super::{commands, dmevpn};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

#[test]
fn a_wrong_command_line_exits_with_2() {
    for args in [
        &["bogus"][..],
        &[],
        &["status", "--bogus"],
        &["resolve", "test"],
        &["resolve", "test", "01:00:5e:00:00:01"],
        &["flush", "test", "52:54:00:00:00:0c", "more"],
        &["flush", "test", "mac"],
    ] {
        let output = dmevpn(args);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{args:?}");
        assert!(output.stderr.starts_with(b"dmevpn: "), "{args:?}");
    }
}

#[test]
#[cfg(not(feature = "import"))]
fn a_build_without_import_says_so() {
    let output = dmevpn(&["import", "x"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("dmevpn: this build has no 'import'; "), "{text}");
}

#[test]
fn check_names_a_file_it_cannot_read() {
    let output = dmevpn(&["check", "/nonexistent/dmevpn"]);
    assert_eq!(output.status.code(), Some(4));
    assert_eq!(output.stderr, b"/nonexistent/dmevpn: No such file or directory\n");
}

/// Not one that never ends, either.
#[test]
fn check_does_not_read_on_for_ever() {
    let mut check = Command::new(env!("CARGO_BIN_EXE_dmevpn"));
    let mut check = check.args(["check", "/dev/zero"]).stderr(Stdio::piped()).spawn().unwrap();
    for _ in 0..500 {
        if check.try_wait().unwrap().is_some() {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    let _ = check.kill();
    let output = check.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert_eq!(output.stderr, b"/dev/zero:1: the file has more than 1048576 bytes\n");
}

/// Every command explains itself by either name, prints JSON, and has a time limit if it asks the daemon.
#[test]
fn every_command_has_what_all_have() {
    let help = |command: &str, flag| {
        let args: Vec<&str> = [command, flag].into_iter().filter(|a| !a.is_empty()).collect();
        let output = dmevpn(&args);
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{args:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let commands = commands::commands();
    assert!(commands.len() >= 12);
    for command in commands.iter().map(|command| command.name.as_str()).chain([""]) {
        let text = help(command, "-h");
        assert_eq!(text, help(command, "--help"));
        assert!(text.starts_with(&format!("Usage: dmevpn {command}")), "{text}");
        if !["", "daemon", "key"].contains(&command) {
            assert!(text.contains("--json"), "{command}");
            assert_eq!(text.contains("--timeout"), text.contains("--socket"), "{command}");
            let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/json.md")).unwrap();
            let titles = page.lines().filter(|line| line.starts_with("## "));
            assert!(
                titles.into_iter().any(|title| title.contains(&format!("`dmevpn {command}`"))),
                "{command}"
            );
        }
    }
}

/// UCI joins sections of one name, of whatever type: a second key of that name would take the place of the first.
#[test]
fn a_new_key_takes_no_name_that_is_there() {
    let path = std::env::temp_dir().join(format!("dmevpn-key-name-{}", std::process::id()));
    let file = path.to_str().unwrap();
    // It is made before whoever is to have it, and beside a secret that another user reads.
    let text = "config key a\n\toption spi 65535\n\toption secret_file /nowhere\nconfig key key256\n\toption spi 300\n\
                config hub dc1\n\tlist key to_come\n\toption other 1\n";
    std::fs::write(&path, text).unwrap();
    for (name, line) in [("a", 1), ("key256", 4), ("dc1", 6)] {
        let output = dmevpn(&["key", "new", "--config", file, name]);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{name}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(&format!("{file}:{line}: '{name}' is there already")), "{said}");
    }
    for (args, begins) in [
        (&["to_come"][..], "config key 'to_come'\n\toption spi '256'\n"),
        (&[], "config key 'key257'\n\toption spi '257'\n"),
    ] {
        let output = dmevpn(&[&["key", "new", "--config", file], args].concat());
        assert!(String::from_utf8(output.stdout).unwrap().starts_with(begins), "{begins}");
    }
    std::fs::remove_file(&path).unwrap();
}

/// What it prints is a section as the configuration takes it, with a number that no key has, and each time another secret.
#[test]
fn a_new_key_has_a_number_and_a_secret_of_its_own() {
    let path = std::env::temp_dir().join(format!("dmevpn-key-{}", std::process::id()));
    let file = path.to_str().unwrap();
    let new = |args: &[&str]| {
        let output = dmevpn(&[&["key", "new", "--config", file], args].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let mut text = String::from("# keys\n");
    std::fs::remove_file(&path).ok();
    for (args, name, spi) in [(&[][..], "key256", 256), (&["hq"], "hq", 257), (&[], "key258", 258)] {
        text += &new(args);
        let config = dmevpn::config::Config::parse("f", &text).unwrap();
        let key = config.keys.last().unwrap();
        assert_eq!((key.name.as_str(), key.spi, key.secret.octets().len()), (name, spi, 32));
        let same = config.keys.iter().filter(|other| other.secret == key.secret).count();
        assert_eq!(same, 1);
        std::fs::write(&path, &text).unwrap();
    }
    let weak = dmevpn::config::Config::warnings("f", &text, &dmevpn::config::Files::NONE);
    assert!(weak.iter().all(|warning| warning.text.contains("nobody has this key")), "{weak:?}");
    for wrong in ["a b", "", "a-b"] {
        let output = dmevpn(&["key", "new", "--config", file, wrong]);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{wrong}");
    }
    std::fs::write(&path, "config key x\n\toption spi 'open\n").unwrap();
    assert_eq!(dmevpn(&["key", "new", "--config", file]).status.code(), Some(4));
    std::fs::remove_file(&path).unwrap();
}
