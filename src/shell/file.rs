//! The configuration's file, and others that users name: read at the start, and again.

use super::audience::log::OPERATOR;
use super::node::Node;
use super::state;
use super::words::InWords;
use crate::config::uci::MAX_BYTES;
use crate::config::{Config, Errors, Files};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use zeroize::Zeroizing;

/// Reads the configuration, or all that is wrong with it.
pub fn load(path: &str) -> Result<Config, Errors> {
    let text = Zeroizing::new(read_config(path)?);
    Config::parse_with(path, &text, &FILES)
}

/// Other files that a configuration names.
pub const FILES: Files<'static> =
    Files { read: &read_secret, is_open: &is_open, in_the_way: &state::in_the_way };

/// What stands in a small file: a secret.
fn read_secret(path: &str) -> Result<Vec<u8>, String> {
    const MOST: u64 = 4096;
    let in_words = |e| InWords(&e).to_string();
    // A pipe would keep the daemon for ever.
    if !std::fs::metadata(path).map_err(in_words)?.is_file() {
        return Err("it is no file".to_owned());
    }
    let mut octets = Vec::with_capacity(MOST as usize);
    File::open(path).and_then(|file| file.take(MOST).read_to_end(&mut octets)).map_err(in_words)?;
    Ok(octets)
}

/// Whether others may read a file than its owner, root's group and the daemon's.
fn is_open(path: &str) -> bool {
    std::fs::metadata(path).is_ok_and(|there| {
        let groups = || std::fs::read_to_string("/etc/group").unwrap_or_default();
        lets_others_read(there.mode(), || group_of_daemon(&groups()) == Some(there.gid()) || there.gid() == 0)
    })
}

/// Whether a file of this mode does; who is in its group says nothing unless the group reads it.
fn lets_others_read(mode: u32, is_own_group: impl FnOnce() -> bool) -> bool {
    mode & 0o004 != 0 || mode & 0o040 != 0 && !is_own_group()
}

/// The number of the group that the daemon's user is of where it is not root, as group(5) has it.
fn group_of_daemon(groups: &str) -> Option<u32> {
    groups.lines().find_map(|line| line.strip_prefix("dmevpn:")?.split(':').nth(1)?.parse().ok())
}

/// The text of a configuration, as everything that looks at one reads it.
pub fn read_config(path: &str) -> Result<String, Errors> {
    read_file(path).map(|octets| String::from_utf8_lossy(&Zeroizing::new(octets)).into_owned())
}

/// Reads the configuration again. What is wrong with it leaves the old one in force.
pub fn reload(node: &mut Node, path: &str) -> Result<(), Errors> {
    // The thread that reads it serves everybody: what is no file may keep it for ever.
    let is_file = std::fs::metadata(path).map_or(true, |there| there.is_file());
    let read = || if is_file { load(path) } else { Err(Errors::unreadable(path, "it is no file".into())) };
    match read() {
        Ok(mut config) => {
            if !config.main.enabled {
                config.vns.clear();
            }
            node.apply(config);
            log::info!(target: OPERATOR, "{path} is in force");
            Ok(())
        }
        Err(errors) => {
            log::error!(target: OPERATOR, "{path} is refused, the configuration stays as it is");
            errors.to_string().lines().for_each(|line| log::error!(target: OPERATOR, "{line}"));
            Err(errors)
        }
    }
}

/// What a file of the user's begins with, up to an octet more than a configuration may have: it may be a device that
/// never ends.
pub fn read_file(path: &str) -> Result<Vec<u8>, Errors> {
    let mut octets = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_end(&mut octets));
    read.map_err(|e| Errors::unreadable(path, InWords(&e).to_string()))?;
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `check` says of a file is: others than its owner may read it.
    #[test]
    fn others_are_all_and_groups_that_are_not_the_daemons() {
        let (own, other) = (|| true, || false);
        assert!(lets_others_read(0o644, own) && lets_others_read(0o604, own));
        assert!(lets_others_read(0o640, other) && !lets_others_read(0o640, own));
        assert!(
            !lets_others_read(0o600, other) && !lets_others_read(0o622, other),
            "to write is not to read"
        );
        let groups = "root:x:0:\ndmevpn2:x:7:\nusers:x:100:dmevpn\ndmevpn:x:998:\n";
        assert_eq!((group_of_daemon(groups), group_of_daemon("users:x:100:\n")), (Some(998), None));
    }
}
