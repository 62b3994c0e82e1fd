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

/// The spoke a hub's port in the VN `vn` is for.
pub fn parse_port(alias: &str, vn: &str) -> Option<Vtep> {
    let rest = alias.strip_prefix(&device(vn))?.strip_prefix(" spoke=")?;
    let (nbma, vni) = rest.split_once(" vni=")?;
    Some(Vtep { nbma: nbma.parse().ok()?, vni: vni.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_found_by_its_alias_in_its_vn_only() {
        for nbma in ["10.0.0.2", "fd00::2"] {
            let spoke = Vtep { nbma: nbma.parse().unwrap(), vni: "100".parse().unwrap() };
            assert_eq!(parse_port(&port("test", spoke), "test"), Some(spoke));
            assert_eq!(parse_port(&port("test2", spoke), "test"), None);
            assert!(is_of(&port("test", spoke), "test") && !is_of(&port("test2", spoke), "test"));
            assert_eq!(parse_port(&device("test"), "test"), None);
            assert_eq!(parse_port(&shared("test"), "test"), None);
        }
        assert_eq!(parse_port("dmevpn vn=test spoke=10.0.0.2 vni=0", "test"), None);
        assert_eq!(parse_port("uplink to the provider", "test"), None);
    }
}
