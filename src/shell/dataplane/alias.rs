//! The mark on devices this program made (IFLA_IFALIAS), which says what they are for: a daemon that starts again
//! finds them by it.

use crate::types::Vtep;

/// Whether the alias is of a device this program made, for whatever VN.
pub fn is_ours(alias: &str) -> bool {
    alias.starts_with("dmevpn vn=")
}

/// Of a spoke's VXLAN device, and of a hub's bridge.
pub fn device(vn: &str) -> String {
    format!("dmevpn vn={vn}")
}

/// Of a hub's port.
pub fn port(vn: &str, spoke: Vtep) -> String {
    format!("dmevpn vn={vn} spoke={} vni={}", spoke.nbma, spoke.vni)
}

/// Of a hub's device that serves all spokes.
pub fn shared(vn: &str) -> String {
    format!("dmevpn vn={vn} spokes")
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
    Port(Vtep),
    /// A hub's device for all spokes.
    Shared,
}

/// The VN that a device is for, and what it is there.
pub fn parse(alias: &str) -> Option<(&str, Mark)> {
    let rest = alias.strip_prefix("dmevpn vn=")?;
    if let Some(vn) = rest.strip_suffix(" spokes") {
        return Some((vn, Mark::Shared));
    }
    let Some((vn, spoke)) = rest.split_once(" spoke=") else { return Some((rest, Mark::Device)) };
    let (nbma, vni) = spoke.split_once(" vni=")?;
    Some((vn, Mark::Port(Vtep { nbma: nbma.parse().ok()?, vni: vni.parse().ok()? })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_found_by_its_alias_in_its_vn_only() {
        for nbma in ["10.0.0.2", "fd00::2"] {
            let spoke = Vtep { nbma: nbma.parse().unwrap(), vni: "100".parse().unwrap() };
            assert_eq!(parse(&port("test", spoke)), Some(("test", Mark::Port(spoke))));
            assert!(is_of(&port("test", spoke), "test") && !is_of(&port("test2", spoke), "test"));
        }
        assert_eq!(parse(&device("test")), Some(("test", Mark::Device)));
        assert_eq!(parse(&shared("test")), Some(("test", Mark::Shared)));
        assert_eq!(parse("dmevpn vn=test spoke=10.0.0.2 vni=0"), None);
        assert_eq!(parse("uplink to the provider"), None);
    }
}
