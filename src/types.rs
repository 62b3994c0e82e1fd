//! The nouns of the field, as types that cannot hold nonsense.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is not the value it should be; the text says what is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadValue(pub &'static str);

impl fmt::Display for BadValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl core::error::Error for BadValue {}

/// A station's MAC address: unicast and not all zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac([u8; 6]);

impl Mac {
    /// The station address `octets`; `None` for a group address or for zero, which no station can have.
    pub const fn new(octets: [u8; 6]) -> Option<Mac> {
        if octets[0] & 1 != 0 || matches!(octets, [0, 0, 0, 0, 0, 0]) { None } else { Some(Mac(octets)) }
    }

    /// The lowest address.
    pub const MIN: Mac = Mac([0, 0, 0, 0, 0, 1]);

    /// Whether both share the first `bits` bits, 0 to 48 (RFC 2332 section 5.2.0.1, prefix length).
    pub fn shares(self, other: Mac, bits: u8) -> bool {
        let number = |mac: Mac| mac.0.iter().fold(0u64, |n, octet| n << 8 | u64::from(*octet));
        (number(self) ^ number(other)) >> (48 - u32::from(bits.min(48))) == 0
    }

    /// The six octets in transmission order.
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Mac {
    type Err = BadValue;

    fn from_str(s: &str) -> Result<Mac, BadValue> {
        const BAD: BadValue = BadValue("not a station's MAC address such as 52:54:00:00:00:0b");
        let mut octets = [0; 6];
        let mut parts = s.split([':', '-']);
        for o in &mut octets {
            *o = hex_octet(parts.next().ok_or(BAD)?).ok_or(BAD)?;
        }
        if parts.next().is_some() {
            return Err(BAD);
        }
        Mac::new(octets).ok_or(BAD)
    }
}

/// A VXLAN network identifier, 1 to 16777215 (RFC 7348 section 5; 0 is left to mean "none").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vni(u32);

impl Vni {
    /// The largest VNI.
    pub const MAX: Vni = Vni(0x00ff_ffff);

    /// The VNI `n`; `None` when it is 0 or wider than 24 bits.
    pub const fn new(n: u32) -> Option<Vni> {
        if n == 0 || n > Vni::MAX.0 { None } else { Some(Vni(n)) }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Vni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Vni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for Vni {
    type Err = BadValue;

    fn from_str(s: &str) -> Result<Vni, BadValue> {
        s.parse().ok().and_then(Vni::new).ok_or(BadValue("not a VNI from 1 to 16777215"))
    }
}

/// A VLAN of a bridge: 1 to 4094 (IEEE 802.1Q).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VlanId(u16);

impl VlanId {
    /// The VLAN `n`; `None` when it is none.
    pub const fn new(n: u16) -> Option<VlanId> {
        if n == 0 || n > 4094 { None } else { Some(VlanId(n)) }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The bridge and the VLAN that a device's name such as `br-lan.10` is made of.
    pub fn of_name(name: &str) -> Option<(&str, VlanId)> {
        let (bridge, vlan) = name.rsplit_once('.')?;
        let vlan = vlan.parse().ok().and_then(VlanId::new)?;
        if bridge.is_empty() { None } else { Some((bridge, vlan)) }
    }
}

impl fmt::Display for VlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for VlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A virtual network's name on the wire: OUI and index (RFC 2685 section 4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VpnId {
    oui: [u8; 3],
    index: u32,
}

impl VpnId {
    /// The locally administered OUI that a plain index belongs to.
    pub const DEFAULT_OUI: [u8; 3] = [0x02, 0x00, 0x00];

    /// IANA's OUI: indices under it are reserved to the IESG (RFC 2735 section 6).
    pub const IANA_OUI: [u8; 3] = [0x00, 0x00, 0x5e];

    /// The VPN-ID of `oui` and `index`, as received. Configuration refuses [`VpnId::IANA_OUI`].
    pub const fn new(oui: [u8; 3], index: u32) -> VpnId {
        VpnId { oui, index }
    }

    /// Who administers the index.
    pub const fn oui(self) -> [u8; 3] {
        self.oui
    }

    /// The index, also the GRE key in VPN mode `key`.
    pub const fn index(self) -> u32 {
        self.index
    }
}

impl fmt::Display for VpnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c] = self.oui;
        if self.oui == VpnId::DEFAULT_OUI {
            write!(f, "{}", self.index)
        } else {
            write!(f, "{a:02x}-{b:02x}-{c:02x}:{}", self.index)
        }
    }
}

impl fmt::Debug for VpnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for VpnId {
    type Err = BadValue;

    fn from_str(s: &str) -> Result<VpnId, BadValue> {
        const BAD: BadValue = BadValue("not an index (1) or OUI:index (02-00-00:1)");
        let (oui, index) = match s.split_once(':') {
            None => (VpnId::DEFAULT_OUI, s),
            Some((oui, index)) => {
                let mut octets = [0; 3];
                let mut parts = oui.split('-');
                for o in &mut octets {
                    *o = hex_octet(parts.next().ok_or(BAD)?).ok_or(BAD)?;
                }
                if parts.next().is_some() {
                    return Err(BAD);
                }
                (octets, index)
            }
        };
        if oui == VpnId::IANA_OUI {
            return Err(BadValue("the OUI 00-00-5e is reserved (RFC 2735 section 6)"));
        }
        Ok(VpnId::new(oui, index.parse().map_err(|_| BAD)?))
    }
}

/// An underlay address (RFC 2332: NBMA address) a packet can be sent to: not unspecified, multicast or broadcast.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nbma(IpAddr);

impl Nbma {
    /// The underlay address `ip`; `None` when no single router can have it.
    /// An IPv4-mapped IPv6 address is the IPv4 address it holds.
    pub const fn new(ip: IpAddr) -> Option<Nbma> {
        let ip = match ip {
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => IpAddr::V4(v4),
                None => ip,
            },
            IpAddr::V4(_) => ip,
        };
        let nonsense = match ip {
            IpAddr::V4(v4) => v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast(),
            IpAddr::V6(v6) => v6.is_unspecified() || v6.is_multicast(),
        };
        if nonsense { None } else { Some(Nbma(ip)) }
    }

    /// The address.
    pub const fn ip(self) -> IpAddr {
        self.0
    }

    /// Whether both are of one address family, so that one can send VXLAN to the other.
    pub const fn same_family(self, other: Nbma) -> bool {
        self.0.is_ipv4() == other.0.is_ipv4()
    }
}

impl fmt::Display for Nbma {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Nbma {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for Nbma {
    type Err = BadValue;

    fn from_str(s: &str) -> Result<Nbma, BadValue> {
        s.parse().ok().and_then(Nbma::new).ok_or(BadValue("not a unicast IPv4 or IPv6 address"))
    }
}

/// What a person calls something: at most 32 octets of a name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Label {
    octets: [u8; Label::MOST],
    len: u8,
}

impl Label {
    /// The longest, in octets.
    pub const MOST: usize = 32;

    /// A name, cut where it is longer.
    pub fn new(name: &str) -> Label {
        let end =
            (0..=name.len().min(Label::MOST)).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
        let mut octets = [0; Label::MOST];
        octets[..end].copy_from_slice(&name.as_bytes()[..end]);
        Label { octets, len: end as u8 }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        self.octets
            .get(..self.len.into())
            .and_then(|name| core::str::from_utf8(name).ok())
            .unwrap_or_default()
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Underlay addresses that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    network: IpAddr,
    length: u8,
}

impl Prefix {
    /// All addresses that share the first `length` bits of `ip`; `None` if it has not so many.
    pub fn new(ip: IpAddr, length: u8) -> Option<Prefix> {
        let network: IpAddr = match ip {
            IpAddr::V4(v4) => {
                let rest = 32u32.checked_sub(length.into())?;
                (v4 & Ipv4Addr::from_bits(u32::MAX.checked_shl(rest).unwrap_or(0))).into()
            }
            IpAddr::V6(v6) => {
                let rest = 128u32.checked_sub(length.into())?;
                (v6 & Ipv6Addr::from_bits(u128::MAX.checked_shl(rest).unwrap_or(0))).into()
            }
        };
        Some(Prefix { network, length })
    }

    /// The first of the addresses.
    pub fn network(self) -> IpAddr {
        self.network
    }

    /// Whether the address is one of them. None of the other family is.
    pub fn contains(self, nbma: Nbma) -> bool {
        let ip = nbma.ip();
        ip.is_ipv4() == self.network.is_ipv4() && Prefix::new(ip, self.length) == Some(self)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

/// A VXLAN tunnel end point: where a frame has to be sent, and under which VNI.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vtep {
    /// The underlay address of the router.
    pub nbma: Nbma,
    /// The VNI that router expects.
    pub vni: Vni,
}

impl fmt::Display for Vtep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} vni {}", self.nbma, self.vni)
    }
}

/// What tells the sites of a VN apart. One that registers IP addresses only, or only answers, has no VNI.
pub type SiteName = (Nbma, Option<Vni>);

impl fmt::Debug for Vtep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Routers at an underlay address, as a person names them: all of them, or the one with this VNI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The underlay address.
    pub nbma: Nbma,
    /// The VNI of one site; all that are there when `None`.
    pub vni: Option<Vni>,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.nbma)?;
        self.vni.map_or(Ok(()), |vni| write!(f, ",{vni}"))
    }
}

impl FromStr for Peer {
    type Err = BadValue;

    fn from_str(s: &str) -> Result<Peer, BadValue> {
        let (nbma, vni) = s.split_once(',').map_or((s, None), |(nbma, vni)| (nbma, Some(vni)));
        Ok(Peer { nbma: nbma.parse()?, vni: vni.map(str::parse).transpose()? })
    }
}

impl Serialize for Peer {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.to_string().serialize(s)
    }
}

impl<'de> Deserialize<'de> for Peer {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}

/// A two-digit hexadecimal octet.
fn hex_octet(s: &str) -> Option<u8> {
    if s.len() != 2 || s.starts_with('+') { None } else { u8::from_str_radix(s, 16).ok() }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(s)
    }
}

/// What comes in passes the same check as any other input.
impl<'de> Deserialize<'de> for Mac {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        Mac::new(<[u8; 6]>::deserialize(d)?).ok_or_else(|| D::Error::custom("not a station's MAC address"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_the_addresses_that_begin_like_it() {
        for (ip, length, inside, outside) in [
            ("0.0.0.0", 0, "198.51.100.1", "2001:db8::1"),
            ("192.0.2.128", 25, "192.0.2.129", "192.0.2.127"),
            ("192.0.2.1", 32, "192.0.2.1", "192.0.2.2"),
            ("::", 0, "2001:db8::1", "192.0.2.1"),
            ("2001:db8::", 33, "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("2001:db8::1", 128, "2001:db8::1", "2001:db8::2"),
        ] {
            let prefix = Prefix::new(ip.parse().unwrap(), length).unwrap();
            assert_eq!(prefix.to_string(), format!("{ip}/{length}"));
            assert!(prefix.contains(inside.parse().unwrap()), "{prefix} {inside}");
            assert!(!prefix.contains(outside.parse().unwrap()), "{prefix} {outside}");
        }
        assert_eq!(Prefix::new("192.0.2.1".parse().unwrap(), 33), None);
        let cut = Prefix::new("2001:db8::1".parse().unwrap(), 64).unwrap();
        assert_eq!(cut.network(), "2001:db8::".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn text_forms_round_trip() {
        assert_eq!("52:54:00:00:00:0B".parse::<Mac>().unwrap().to_string(), "52:54:00:00:00:0b");
        assert_eq!("1".parse::<VpnId>().unwrap(), VpnId::new([2, 0, 0], 1));
        assert_eq!("02-00-00:1".parse::<VpnId>().unwrap().to_string(), "1");
        assert_eq!("ac-de-48:7".parse::<VpnId>().unwrap().to_string(), "ac-de-48:7");
        assert_eq!("16777215".parse::<Vni>().unwrap(), Vni::MAX);
    }

    #[test]
    fn nonsense_is_refused() {
        for mac in [
            "",
            "01:00:5e:00:00:01",
            "00:00:00:00:00:00",
            "52:54:00:00:00",
            "52:54:00:00:00:0b:1",
            "+2:54:00:00:00:0b",
        ] {
            assert!(mac.parse::<Mac>().is_err(), "{mac}");
        }
        for nbma in ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1", "::ffff:224.0.0.1", "host"] {
            assert!(nbma.parse::<Nbma>().is_err(), "{nbma}");
        }
        assert!("0".parse::<Vni>().is_err() && "16777216".parse::<Vni>().is_err());
        assert!("00-00-5e:1".parse::<VpnId>().is_err()); // K20
    }

    #[test]
    fn a_vlans_name_is_taken_apart() {
        assert_eq!(VlanId::of_name("br-lan.10"), Some(("br-lan", VlanId::new(10).unwrap())));
        for name in ["br-lan", "br-lan.", "br-lan.0", "br-lan.4095", ".10", "br.x"] {
            assert_eq!(VlanId::of_name(name), None, "{name}");
        }
    }

    #[test]
    fn a_mapped_address_is_its_ipv4_address() {
        assert_eq!("::ffff:10.0.0.1".parse::<Nbma>().unwrap(), "10.0.0.1".parse().unwrap());
    }
}
