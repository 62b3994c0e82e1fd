//! What the text of an option can mean. Each function returns the meaning, or what the text is not.

use super::HubAddress;
use super::options::{Kind, Opt};
use crate::types::{Nbma, Prefix, VlanId};
use core::fmt::Display;
use core::net::IpAddr;
use core::ops::RangeInclusive;
use core::str::FromStr;

/// Whatever has a text form of its own.
pub fn from_str<T: FromStr<Err: Display>>(s: &str) -> Result<T, String> {
    s.parse().map_err(|e: T::Err| e.to_string())
}

/// A UCI boolean.
pub fn boolean(s: &str) -> Result<bool, String> {
    match s {
        "1" | "true" | "on" | "yes" | "enabled" => Ok(true),
        "0" | "false" | "off" | "no" | "disabled" => Ok(false),
        _ => Err("not a boolean (1/0, true/false, on/off, yes/no, enabled/disabled)".to_owned()),
    }
}

/// The number that `option` is, of type `T`, which has room for it.
pub fn numeric<T: TryFrom<u32>>(option: &Opt, s: &str) -> Result<T, String> {
    let Kind::Number { min, max, unit } = option.kind else { return Err("not a number".to_owned()) };
    T::try_from(counted(s, min..=max, unit)?).map_err(|_| "not what fits".to_owned())
}

/// A decimal number in `range`, of type `T`, which has room for it.
#[cfg(feature = "import")]
pub fn number<T: TryFrom<u32>>(range: RangeInclusive<u32>) -> impl Fn(&str) -> Result<T, String> {
    move |s| {
        counted(s, range.clone(), "").and_then(|n| T::try_from(n).map_err(|_| "not what fits".to_owned()))
    }
}

/// A decimal number in `range`, of `unit` if that is something.
fn counted(s: &str, range: RangeInclusive<u32>, unit: &str) -> Result<u32, String> {
    let digits = !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    s.parse().ok().filter(|n| digits && range.contains(n)).ok_or_else(|| {
        let of = if unit.is_empty() { "" } else { " of " };
        format!("not a number{of}{unit} from {} to {}", range.start(), range.end())
    })
}

/// A VLAN of a bridge.
pub fn vlan(s: &str) -> Result<VlanId, String> {
    let digits = s.bytes().all(|b| b.is_ascii_digit());
    let vlan = s.parse().ok().filter(|_| digits).and_then(VlanId::new);
    vlan.ok_or_else(|| "not a VLAN from 1 to 4094".to_owned())
}

/// The name of a network interface.
pub fn interface(s: &str) -> Result<String, String> {
    // '%' is the kernel's template character: it would give the device another name.
    let allowed = |c: char| !matches!(c, '/' | ':' | '%') && !c.is_whitespace() && !c.is_control();
    if (1..=15).contains(&s.len()) && s != "." && s != ".." && s.chars().all(allowed) {
        Ok(s.to_owned())
    } else {
        Err("not an interface name: 1 to 15 bytes without space, '/', ':' and '%', not '.' or '..'"
            .to_owned())
    }
}

/// The absolute path to a file that `option` is.
pub fn path(option: &Opt, s: &str) -> Result<String, String> {
    let Kind::Path { most } = option.kind else { return Err("not a path".to_owned()) };
    let absolute =
        s.starts_with('/') && !s.ends_with('/') && s.len() <= most && !s.contains(char::is_control);
    if absolute {
        Ok(s.to_owned())
    } else {
        Err(format!("not an absolute path to a file, of at most {most} bytes"))
    }
}

/// A word of printable ASCII characters, as `option` may be.
pub fn password(option: &Opt, s: &str) -> Result<String, String> {
    let Kind::Password { most } = option.kind else { return Err("not a password".to_owned()) };
    if (1..=most).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(s.to_owned())
    } else {
        Err(format!("not a word of 1 to {most} printable ASCII characters"))
    }
}

/// An underlay address that other routers can send to.
pub fn underlay(s: &str) -> Result<Nbma, String> {
    let nbma: Nbma = from_str(s)?;
    match nbma.ip() {
        ip if ip.is_loopback() => Err(LOOPS.to_owned()),
        // Which link would have to stand beside it, in each packet too.
        IpAddr::V6(ip) if ip.is_unicast_link_local() => {
            Err("not an address for other routers: it is good for one link only".to_owned())
        }
        _ => Ok(nbma),
    }
}

const LOOPS: &str = "not an address for other routers: it leads back to the router itself";

/// A unicast address of any family.
pub fn unicast(s: &str) -> Result<IpAddr, String> {
    from_str::<Nbma>(s).map(Nbma::ip)
}

/// A prefix of underlay addresses, or one address.
pub fn prefix(s: &str) -> Result<Prefix, String> {
    const BAD: &str = "not an address or a prefix such as 192.0.2.0/24 or 2001:db8::/32";
    let (ip, length) = match s.split_once('/') {
        Some((ip, length)) if !length.starts_with('+') => (ip, length.parse().ok()),
        Some((ip, _)) => (ip, None),
        None => (s, Some(if s.contains(':') { 128 } else { 32 })),
    };
    let ip: IpAddr = ip.parse().map_err(|_| BAD)?;
    let prefix = length.and_then(|length| Prefix::new(ip, length)).ok_or(BAD)?;
    if prefix.network() != ip {
        return Err(format!("not a prefix, since it goes on behind its length: {prefix} is one"));
    }
    Ok(prefix)
}

/// The longest host name, in octets.
pub const HOST_NAME: usize = 253;

/// An address or a host name.
pub fn hub_address(s: &str) -> Result<HubAddress, String> {
    if s.parse::<IpAddr>().is_ok() {
        return underlay(s).map(HubAddress::Ip);
    }
    if is_host_name(s) {
        // RFC 6761 section 6.3.
        if s.trim_end_matches('.').eq_ignore_ascii_case("localhost") {
            return Err(LOOPS.to_owned());
        }
        Ok(HubAddress::Name(s.to_owned()))
    } else {
        Err("not an IPv4 or IPv6 address, and not a host name".to_owned())
    }
}

fn is_host_name(s: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    let name = s.strip_suffix('.').unwrap_or(s);
    // No top-level domain is a number, but a mistyped IPv4 address ends like one.
    let numeric = name.rsplit('.').next().is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
    name.len() <= HOST_NAME && !numeric && name.split('.').all(label)
}

/// Which of its words `option` is.
pub fn word(option: &Opt, s: &str) -> Result<usize, String> {
    let Kind::Word(words) = option.kind else { return Err("not a word".to_owned()) };
    words.iter().position(|word| *word == s).ok_or_else(|| format!("not one of {}", words.join(", ")))
}
