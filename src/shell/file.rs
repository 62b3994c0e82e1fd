//! The configuration's file, and others that users name: read at the start, and again.

use super::audience::log::OPERATOR;
use super::node::Node;
use super::words::InWords;
use crate::config::uci::MAX_BYTES;
use crate::config::{Config, Errors};
use std::fs::File;
use std::io::Read;

/// Reads the configuration, or all that is wrong with it.
pub fn load(path: &str) -> Result<Config, Errors> {
    Config::parse(path, &read_config(path)?)
}

/// The text of a configuration, as everything that looks at one reads it.
pub fn read_config(path: &str) -> Result<String, Errors> {
    read_file(path).map(|octets| String::from_utf8_lossy(&octets).into_owned())
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
