//! What goes in and out of the engine, as the lines of a case that tests play: `tests/cases/README.md` has the words.

use crate::engine::settings::Settings;
use crate::engine::{Input, IpClient, News, Order, Outcome, Passing, Path, Place, Port, Via, VnKey};
use crate::time::Instant;
use crate::types::{Mac, Peer, Vtep};
use crate::wire::VpnTag;
use core::fmt::{self, Display, Write};

/// About so many octets stand in a line.
const OCTETS: usize = 32;
/// So many tags have numbers of their own.
const TAGS: usize = 1024;
/// Where a packet's checksum is.
const CHECKSUM: core::ops::Range<usize> = 12..14;
/// What stands in front of two tags.
const SECRETS: [[u8; 7]; 2] =
    [[0x08, 0x00, 0x14, 0x02, 0x64, 0x6d, 0x01], [0x08, 0x00, 0x14, 0x02, 0x64, 0x6d, 0x02]];

/// The settings, as of `at`, and the Request ID that comes next.
pub fn settings(out: &mut String, settings: &Settings, next: u32) {
    // A text takes all there is.
    let _ = settings_to(out, settings, next);
}

fn settings_to(out: &mut String, settings: &Settings, next: u32) -> fmt::Result {
    let yes = <u8 as From<bool>>::from;
    writeln!(out, "next {next}\nholding {}", settings.holding_time.as_secs())?;
    let advertised = &settings.advertised;
    for nbma in [advertised.ipv4, advertised.ipv6].into_iter().flatten() {
        writeln!(out, "advertise {nbma}")?;
    }
    for (hub, of_hub) in settings.hubs.iter() {
        writeln!(out, "hub {} {} session={}", hub.0, of_hub.vpn_mode.name(), yes(of_hub.session))?;
    }
    for (key, vn) in settings.vns.iter() {
        write!(out, "vn {} id={} mtu={}", key.0, vn.vpn_id, vn.mtu)?;
        if let Some(c) = &vn.client {
            write!(out, " spoke")?;
            c.hubs.iter().try_for_each(|hub| write!(out, " hub={}", hub.0))?;
            write!(out, " vni={} unique={}", c.vni, yes(c.unique))?;
            if !c.preempt {
                write!(out, " preempt=0")?;
            }
            write!(out, " trigger={} max_macs={}", c.trigger.name(), c.max_macs)?;
            write!(out, " negative={}", c.negative_time.as_secs())?;
        }
        if let Some(s) = &vn.server {
            write!(out, " hub default={} uplinks={}", yes(s.default), s.uplink_first)?;
            write!(out, " shared={} untagged={}", yes(s.shared_uplink), yes(s.untagged_l2))?;
            write!(out, " max_spokes={}", s.max_spokes)?;
            write!(out, " max_vnis={} max_macs={}", s.max_vnis, s.max_macs)?;
            s.protocol_addresses.iter().try_for_each(|address| write!(out, " address={address}"))?;
            s.allow.iter().try_for_each(|prefix| write!(out, " allow={prefix}"))?;
        }
        out.push('\n');
    }
    Ok(())
}

/// An input; nothing for those that a case needs not.
pub fn input(out: &mut String, tags: &mut Tags, now: Instant, input: &Input<'_>) {
    // A text takes all there is.
    let _ = match *input {
        Input::Tick | Input::Unreadable { .. } => Ok(()),
        Input::Packet { via, nhrp } => packet(out, tags, now, "in", via, nhrp),
        Input::Relayed { via, packet } => self::packet(out, tags, now, "relayed", via, packet),
        Input::Probe { .. } | Input::Unreachable { .. } => Ok(()),
        Input::Hub { hub, path: None } => writeln!(out, "{} way {} none", At(now), hub.0),
        Input::Hub { hub, path: Some(path) } => writeln!(out, "{} way {} {}", At(now), hub.0, Ends(path)),
        Input::News { vn, news } => self::news(out, now, vn, news),
        Input::Order(order) => self::order(out, now, order),
    };
}

/// What is said meanwhile is of no matter.
pub fn skip(out: &mut String, now: Instant) {
    // A text takes all there is.
    let _ = writeln!(out, "{} skip", At(now));
}

/// An entry among what tells how all stands: what is said before and on it is of no matter.
pub fn among(out: &mut String, text: &str) {
    if text.split(' ').nth(1) == Some("out") {
        return;
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        out.push_str(text.split(' ').next().unwrap_or_default());
        out.push_str(" skip\n");
    }
    out.push_str(text);
}

/// So many packets are not in the record: they were above the limits of their senders.
pub fn left_out(packets: u64) -> String {
    format!("# {packets} packets above the limits of their senders are left out here\n")
}

/// A packet that is sent.
pub fn sent(out: &mut String, tags: &mut Tags, now: Instant, via: Via, octets: &[u8]) {
    // A text takes all there is.
    let _ = packet(out, tags, now, "out", via, octets);
}

fn packet(
    out: &mut String,
    tags: &mut Tags,
    now: Instant,
    word: &str,
    via: Via,
    octets: &[u8],
) -> fmt::Result {
    write!(out, "{} {word} {} {}", At(now), Ends(via.path), Tag(via.tag))?;
    let is_secret = SECRETS.map(|secret| octets.windows(secret.len()).any(|octets| octets == secret));
    let is_secret = is_secret.contains(&true);
    let (mut rest, mut place, mut left) = (octets, 0, 0);
    while let Some((octet, behind)) = rest.split_first() {
        if place % OCTETS == 0 {
            out.push_str("\n ");
        }
        let before = octets.get(..place).unwrap_or_default();
        if SECRETS.iter().any(|secret| before.ends_with(secret)) {
            left = 2;
        }
        let (len, tag) = match rest.split_first_chunk() {
            Some((tag, _)) if left > 0 => (tag.len(), Some(*tag)),
            _ => (1, None),
        };
        match tag {
            Some(tag) if tag != [0; 8] => write!(out, " <t{}:8> ", tags.number(tag))?,
            Some(_) => write!(out, " {:016x} ", 0)?,
            None if is_secret && CHECKSUM.contains(&place) => {
                out.push_str(if place == CHECKSUM.start { " <sum> " } else { "" });
            }
            None => write!(out, "{}{octet:02x}", if place % 4 == 0 { " " } else { "" })?,
        }
        left -= usize::from(tag.is_some());
        rest = rest.get(len..).unwrap_or(behind);
        place += len;
    }
    out.push('\n');
    Ok(())
}

/// Tags of sessions, which nobody else is to know: each has a number in their place; those that strangers make up beyond
/// 1024 share one.
#[derive(Debug, Default)]
pub struct Tags(Vec<[u8; 8]>);

impl Tags {
    fn number(&mut self, tag: [u8; 8]) -> usize {
        let place = self.0.iter().position(|there| *there == tag);
        place.unwrap_or_else(|| {
            let next = self.0.len();
            if next < TAGS {
                self.0.push(tag);
            }
            next
        })
    }
}

fn news(out: &mut String, now: Instant, vn: VnKey, news: News) -> fmt::Result {
    let (at, vn) = (At(now), vn.0);
    match news {
        News::Device(None) => writeln!(out, "{at} device {vn} none"),
        News::Device(Some(mac)) => writeln!(out, "{at} device {vn} {mac}"),
        News::Fdb { mac, place } => fdb(out, at, vn, mac, place),
        News::Listing => writeln!(out, "{at} listing {vn}"),
        News::Listed => writeln!(out, "{at} listed {vn}"),
        News::Miss(mac) => writeln!(out, "{at} miss {vn} {mac}"),
        News::Use { mac, idle, age } => {
            writeln!(out, "{at} use {vn} {mac} {} {}", idle.as_millis(), age.as_millis())
        }
        News::UsesTold { hub: None } => writeln!(out, "{at} uses {vn} none"),
        News::UsesTold { hub: Some(idle) } => writeln!(out, "{at} uses {vn} {}", idle.as_millis()),
        News::Looped { .. } => Ok(()),
        News::Became { spoke, outcome } => {
            let outcome = match outcome {
                Outcome::Made => "made",
                Outcome::Failed { taken: false } => "failed",
                Outcome::Failed { taken: true } => "taken",
            };
            writeln!(out, "{at} {outcome} {vn} {}", Name(spoke))
        }
        News::FoundShortcut { mac, to } => writeln!(out, "{at} shortcut {vn} {mac} {}", Name(to)),
        News::FoundClient(client) => {
            let IpClient { address, path, mode, unique, mtu, granted } = client;
            let (ends, unique) = (Ends(path), u8::from(unique));
            writeln!(out, "{at} client {vn} {address} {ends} {} {unique} {mtu} {granted}", mode.name())
        }
        News::FoundHubs(most) => writeln!(out, "{at} hubs {vn} {most}"),
        News::FoundPort { spoke, port } => {
            let Port { uplink, local, mode, granted, mac, home, key, is_hubs, passing } = port;
            write!(out, "{at} port {vn} {} {uplink} {local} {} {granted}", Name(spoke), mode.name())?;
            mac.map_or(Ok(()), |mac| write!(out, " {mac}"))?;
            home.map_or(Ok(()), |home| write!(out, " home={home}"))?;
            key.map_or(Ok(()), |key| write!(out, " key={key}"))?;
            write!(out, "{}", if is_hubs { " hub=1" } else { "" })?;
            writeln!(
                out,
                "{}",
                match passing {
                    Passing::All => "",
                    Passing::Mute => " passes=unicast",
                    Passing::Nothing => " passes=nothing",
                }
            )
        }
    }
}

fn fdb(out: &mut String, at: At, vn: u16, mac: Mac, place: Place) -> fmt::Result {
    write!(out, "{at} fdb {vn} {mac} ")?;
    match place {
        Place::Local => writeln!(out, "local"),
        Place::Tunnel => writeln!(out, "tunnel"),
        Place::Gone => writeln!(out, "gone"),
        Place::Unplugged => writeln!(out, "unplugged"),
        Place::At(spoke) => writeln!(out, "at {}", Name(spoke)),
        Place::Left(spoke) => writeln!(out, "left {}", Name(spoke)),
    }
}

fn order(out: &mut String, now: Instant, order: Order) -> fmt::Result {
    let at = At(now);
    match order {
        Order::Resolve { vn, mac } => writeln!(out, "{at} resolve {} {mac}", vn.0),
        Order::Flush { vn: Some(vn), mac: Some(mac) } => writeln!(out, "{at} flush {} {mac}", vn.0),
        Order::Flush { vn: Some(vn), mac: None } => writeln!(out, "{at} flush {}", vn.0),
        Order::Drain { vn, is_on } => writeln!(out, "{at} drain {} {}", vn.0, u8::from(is_on)),
        Order::Flush { vn: None, .. } => writeln!(out, "{at} flush"),
        Order::Remove { vn, nbma, vni } => {
            let which = vn.map_or_else(|| "all".into(), |vn| vn.0.to_string());
            writeln!(out, "{at} remove {which} {}", Peer { nbma, vni })
        }
        Order::Refresh => writeln!(out, "{at} refresh"),
        Order::Stop => writeln!(out, "{at} stop"),
    }
}

/// Seconds since the daemon's start.
#[derive(Clone, Copy)]
struct At(Instant);

impl Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        write!(f, "{}.{:03}", ms / 1000, ms % 1000)
    }
}

/// This node's address, and the other one.
struct Ends(Path);

impl Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.local, self.0.remote)
    }
}

struct Tag(VpnTag);

impl Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            VpnTag::Llc(vpn) => write!(f, "llc={vpn}"),
            VpnTag::Key(key) => write!(f, "key={key}"),
            VpnTag::None => f.write_str("none"),
        }
    }
}

struct Name(Vtep);

impl Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.0.nbma, self.0.vni)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_strangers_make_up_are_not_kept_for_ever() {
        let mut tags = Tags::default();
        let numbers: Vec<usize> = (0..3 * TAGS as u64).map(|n| tags.number(n.to_be_bytes())).collect();
        assert_eq!(numbers[..=TAGS], (0..=TAGS).collect::<Vec<_>>());
        assert!(numbers[TAGS..].iter().all(|number| *number == TAGS));
        assert_eq!((tags.0.len(), tags.number(5u64.to_be_bytes())), (TAGS, 5));
    }
}
