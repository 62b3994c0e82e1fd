//! What went through network devices, as the kernel tells of all of them at once.

use crate::view::Traffic;
use litemap::LiteMap;
use std::fs::File;
use std::io::{BufRead, BufReader};

/// The devices of this network namespace.
#[derive(Debug)]
pub struct Devices {
    of: LiteMap<String, Traffic>,
    /// What is not read yet.
    rest: Option<BufReader<File>>,
}

/// None of them yet; there will be none where there is no `/proc`.
impl Default for Devices {
    fn default() -> Devices {
        Devices { of: LiteMap::new(), rest: File::open("/proc/net/dev").ok().map(BufReader::new) }
    }
}

impl Devices {
    /// Reads about some more devices; `false` when there are no more.
    pub fn read(&mut self, devices: usize) -> bool {
        let Some(rest) = &mut self.rest else { return false };
        let mut line = String::new();
        for _ in 0..devices {
            line.clear();
            match rest.read_line(&mut line) {
                Ok(0) | Err(_) => {
                    self.rest = None;
                    return false;
                }
                Ok(_) => self.of.extend(parse(&line)),
            }
        }
        true
    }

    /// What went through a device; `None` when it is not there.
    pub fn of(&self, device: &str) -> Option<Traffic> {
        self.of.get(device).copied()
    }
}

/// A line `NAME: ` with eight numbers of what was received and eight of what was sent, octets and frames first.
fn parse(line: &str) -> Option<(String, Traffic)> {
    let (name, numbers) = line.rsplit_once(':')?;
    let mut numbers = numbers.split_whitespace().map(|n| n.parse().ok());
    let mut next = |skip| numbers.nth(skip).flatten();
    let (rx_bytes, rx_packets) = (next(0)?, next(0)?);
    let (tx_bytes, tx_packets) = (next(6)?, next(0)?);
    Some((name.trim().to_owned(), Traffic { rx_bytes, rx_packets, tx_bytes, tx_packets }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_device() {
        let text = "Inter-|   Receive                                                |  Transmit\n \
             face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs\n \
             vx-lan: 1234 5 0 0 0 0 0 1 5678901234 7 0 0 0 0 0 0\nbr:lan.1:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n";
        let found: LiteMap<String, Traffic> = text.lines().filter_map(parse).collect();
        let traffic = |rx_bytes, rx_packets, tx_bytes, tx_packets| {
            Some(Traffic { rx_bytes, rx_packets, tx_bytes, tx_packets })
        };
        assert_eq!(found.get("vx-lan").copied(), traffic(1234, 5, 5_678_901_234, 7));
        assert_eq!(found.get("br:lan.1").copied(), traffic(1, 2, 9, 10));
        assert_eq!(found.len(), 2);
        let mut devices = Devices::default();
        while devices.read(1) {}
        assert!(devices.of("no such device").is_none());
        assert!(devices.of("lo").is_some() || !std::path::Path::new("/proc/net/dev").exists());
    }
}
