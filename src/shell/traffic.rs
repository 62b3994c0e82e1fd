//! What went through network devices, as the kernel tells of all of them at once.

use crate::control::Traffic;
use litemap::LiteMap;
use std::fs;

/// The devices of this network namespace.
#[derive(Debug)]
pub struct Devices(LiteMap<String, Traffic>);

impl Devices {
    /// Asks; nothing is known where there is no `/proc`.
    pub fn now() -> Devices {
        Devices(parse(&fs::read_to_string("/proc/net/dev").unwrap_or_default()))
    }

    /// What went through a device; `None` when it is not there.
    pub fn of(&self, device: &str) -> Option<Traffic> {
        self.0.get(device).copied()
    }
}

/// Lines `NAME: ` with eight numbers of what was received and eight of what was sent, octets and frames first.
fn parse(text: &str) -> LiteMap<String, Traffic> {
    let line = |line: &str| {
        let (name, numbers) = line.rsplit_once(':')?;
        let mut numbers = numbers.split_whitespace().map(|n| n.parse().ok());
        let mut next = |skip| numbers.nth(skip).flatten();
        let (rx_bytes, rx_packets) = (next(0)?, next(0)?);
        let (tx_bytes, tx_packets) = (next(6)?, next(0)?);
        Some((name.trim().to_owned(), Traffic { rx_bytes, rx_packets, tx_bytes, tx_packets }))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_device() {
        let text = "Inter-|   Receive                                                |  Transmit\n \
             face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs\n \
             vx-lan: 1234 5 0 0 0 0 0 1 5678901234 7 0 0 0 0 0 0\nbr:lan.1:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n";
        let found = parse(text);
        let traffic = |rx_bytes, rx_packets, tx_bytes, tx_packets| {
            Some(Traffic { rx_bytes, rx_packets, tx_bytes, tx_packets })
        };
        assert_eq!(found.get("vx-lan").copied(), traffic(1234, 5, 5_678_901_234, 7));
        assert_eq!(found.get("br:lan.1").copied(), traffic(1, 2, 9, 10));
        assert_eq!(found.len(), 2);
        assert!(Devices::now().of("no such device").is_none());
    }
}
