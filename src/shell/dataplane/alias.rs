//! The mark on devices this program made (IFLA_IFALIAS), which says what they are for: a daemon that starts again
//! finds them by it.

use crate::engine::Passing;
use crate::engine::settings::VpnMode;
use crate::types::{Mac, Nbma, Vtep};
use std::fmt;

/// Whether the alias is of a device this program made, for whatever VN.
pub fn is_ours(alias: &str) -> bool {
    alias.starts_with("dmevpn vn=")
}

/// Of a spoke's VXLAN device, and of a hub's bridge.
pub fn device(vn: &str) -> String {
    format!("dmevpn vn={vn}")
}

/// What is kept beside the ports of a hub for its next run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// How packets name the VN.
    pub mode: VpnMode,
    /// The holding time granted, in seconds; 0: not known.
    pub granted: u16,
    /// The MAC that a spoke registered.
    pub mac: Option<Mac>,
    /// Where that MAC is at home, if not there.
    pub home: Option<Nbma>,
    /// The number of its key.
    pub key: Option<u16>,
    /// Whether it leads to another hub.
    pub is_hubs: bool,
    /// What it passes.
    pub passing: Passing,
}

/// Of a hub's port.
pub fn port(vn: &str, spoke: Vtep, kept: Kept) -> String {
    format!("dmevpn vn={vn} spoke={} vni={}{kept}", spoke.nbma, spoke.vni)
}

/// Of a hub's device that serves all spokes.
pub fn shared(vn: &str, kept: Kept) -> String {
    format!("dmevpn vn={vn} spokes{}", Kept::default().and(kept))
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " by={} for={}", self.mode.name(), self.granted)?;
        self.mac.map_or(Ok(()), |mac| write!(f, " mac={mac}"))?;
        self.home.map_or(Ok(()), |home| write!(f, " home={home}"))?;
        self.key.map_or(Ok(()), |key| write!(f, " key={key}"))?;
        f.write_str(if self.is_hubs { " hub=1" } else { "" })?;
        f.write_str(match self.passing {
            Passing::All => "",
            Passing::Mute => " passes=unicast",
            Passing::Nothing => " passes=nothing",
        })
    }
}

impl Kept {
    /// What is kept of several: how the last one's packets name the VN, and the longest time.
    pub fn and(self, last: Kept) -> Kept {
        Kept { mode: last.mode, granted: self.granted.max(last.granted), ..Kept::default() }
    }

    /// What the last words say. An older version wrote none.
    fn parse(words: &str) -> Kept {
        let mut kept = Kept::default();
        for word in words.split(' ') {
            match word.split_once('=') {
                Some(("by", "key")) => kept.mode = VpnMode::Key,
                Some(("by", "none")) => kept.mode = VpnMode::None,
                Some(("for", seconds)) => kept.granted = seconds.parse().unwrap_or(0),
                Some(("mac", mac)) => kept.mac = mac.parse().ok(),
                Some(("home", home)) => kept.home = home.parse().ok(),
                Some(("key", spi)) => kept.key = spi.parse().ok(),
                Some(("hub", _)) => kept.is_hubs = true,
                Some(("passes", "unicast")) => kept.passing = Passing::Mute,
                Some(("passes", _)) => kept.passing = Passing::Nothing,
                _ => {}
            }
        }
        kept
    }
}

/// Whether it marks a device of the VN `vn`, whichever.
pub fn is_of(alias: &str, vn: &str) -> bool {
    alias.strip_prefix(&device(vn)).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// What a device that is marked is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A spoke's VXLAN device, or a hub's bridge.
    Device,
    /// A hub's port for this spoke.
    Port(Vtep, Kept),
    /// A hub's device for all spokes.
    Shared(Kept),
}

/// The VN that a device is for, and what it is there.
pub fn parse(alias: &str) -> Option<(&str, Mark)> {
    let rest = alias.strip_prefix("dmevpn vn=")?;
    let Some((vn, more)) = rest.split_once(' ') else { return Some((rest, Mark::Device)) };
    if let Some(words) = more.strip_prefix("spokes") {
        return Some((vn, Mark::Shared(Kept::parse(words))));
    }
    let (nbma, more) = more.strip_prefix("spoke=")?.split_once(" vni=")?;
    let (vni, words) = more.split_once(' ').unwrap_or((more, ""));
    let spoke = Vtep { nbma: nbma.parse().ok()?, vni: vni.parse().ok()? };
    Some((vn, Mark::Port(spoke, Kept::parse(words))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_found_by_its_alias_in_its_vn_only() {
        let kept = Kept {
            mode: VpnMode::Key,
            granted: 600,
            mac: "06:00:00:00:00:01".parse().ok(),
            home: "2001:db8:1000:1000:1000:1000:1000:1001".parse().ok(),
            key: Some(u16::MAX),
            is_hubs: true,
            passing: Passing::Nothing,
        };
        for nbma in ["10.0.0.2", "fd00::2"] {
            let spoke = Vtep { nbma: nbma.parse().unwrap(), vni: "100".parse().unwrap() };
            let (here, elsewhere) = (port("test", spoke, kept), port("test2", spoke, kept));
            assert_eq!(parse(&here), Some(("test", Mark::Port(spoke, kept))));
            assert!(is_of(&here, "test") && !is_of(&elsewhere, "test"));
        }
        assert_eq!(parse(&device("test")), Some(("test", Mark::Device)));
        assert_eq!(parse(&shared("test", kept)), Some(("test", Mark::Shared(Kept::default().and(kept)))));
        // As an older version wrote them.
        let old = Kept::default();
        assert_eq!(parse("dmevpn vn=test spokes"), Some(("test", Mark::Shared(old))));
        let port = parse("dmevpn vn=test spoke=10.0.0.2 vni=7");
        assert!(matches!(port, Some(("test", Mark::Port(_, kept))) if kept == old));
        assert_eq!(parse("dmevpn vn=test spoke=10.0.0.2 vni=0"), None);
        let last = Vtep {
            nbma: "2001:db8:1000:1000:1000:1000:1000:1000".parse().unwrap(),
            vni: "16777215".parse().unwrap(),
        };
        let longest =
            super::port(&"n".repeat(32), last, Kept { mode: VpnMode::None, granted: u16::MAX, ..kept });
        // As long as the kernel takes it (IFALIASZ).
        assert!(longest.len() < 256);
        assert_eq!(parse("uplink to the provider"), None);
    }
}
