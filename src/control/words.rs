//! The daemon's states and events in a network engineer's words: one text for the log, the monitor and the status.

use crate::engine::report::{LoopReport, Oddity, Trouble};
use crate::engine::{Event, Refusal, Rivals, Table, Why, WhyHub};
use crate::types::Vtep;
use crate::wire::VpnTag;
use crate::wire::nhrp::{code, error, kind};
use core::fmt;
use log::Level;

/// What happened, as a sentence.
pub fn sentence(event: &Event) -> impl fmt::Display {
    Sentence(*event)
}

/// How much it matters to the log.
pub fn level(event: &Event) -> Level {
    match event {
        Event::Refused { .. }
        | Event::HubStandsBy { answers: false, .. }
        | Event::RegistrationLost { .. }
        | Event::NoAnswer { .. }
        | Event::SpokeRefused { .. }
        | Event::SecondSite { .. }
        | Event::ManySites { .. }
        | Event::PathDown { .. }
        | Event::Restless { .. }
        | Event::Looped(_)
        | Event::Rivals(_)
        | Event::KeysOptional { .. }
        | Event::Full(_)
        | Event::PeerError { .. } => Level::Warn,
        Event::HubChosen { why, .. } if !matches!(why, WhyHub::Preferred | WhyHub::Drained) => Level::Warn,
        Event::Registered { .. }
        | Event::HubChosen { .. }
        | Event::HubStandsBy { .. }
        | Event::Withdrawn
        | Event::PathUp { .. }
        | Event::LoopOver(_)
        | Event::SpokeUp { .. }
        | Event::HubUp { .. }
        | Event::HubDown { .. }
        | Event::SpokeKnown { .. }
        | Event::SpokeMoved { .. }
        | Event::SpokeDown { .. }
        | Event::MacMoved { .. } => Level::Info,
        Event::Asked { .. }
        | Event::Resolved { .. }
        | Event::NotResolved { .. }
        | Event::ShortcutUp { .. }
        | Event::ShortcutDown { .. } => Level::Debug,
    }
}

/// What is odd about somebody's packets, as the rest of a sentence about him, and what to do about it.
pub fn oddity(oddity: Oddity) -> (String, &'static str) {
    match oddity {
        Oddity::OldFormat => (
            "sends packets in the format of the dmevpn in C, which is not understood".into(),
            "run this program there, too",
        ),
        Oddity::Malformed => {
            ("sends packets that are malformed".into(), "see what it is: tcpdump -ni any proto 47")
        }
        Oddity::UnknownVn(tag) => {
            let named = match tag {
                VpnTag::Llc(vpn_id) => format!("names VPN-ID {vpn_id}"),
                VpnTag::Key(key) => format!("names a VN by GRE key {key}"),
                VpnTag::None => "names no VN".into(),
            };
            (format!("{named}, and there is none such here"), "compare 'vpn_id' and 'vpn_mode' of both ends")
        }
        // The way Cisco, OpenNHRP and FRR send a password, which they call authentication.
        Oddity::UnknownExtension(kind::AUTHENTICATION) => (
            "sends authentication, and packets without are expected here".into(),
            "take it out there ('ip nhrp authentication', a spoke's 'list key'), or set 'cisco_authentication' or \
             'list key' here",
        ),
        Oddity::Unauthenticated => (
            "sends packets without the VN's 'cisco_authentication', or with another one".into(),
            "set the same there: 'ip nhrp authentication', for OpenNHRP 'cisco-authentication'",
        ),
        Oddity::Unsigned => (
            "sends packets that are not signed, and here all have to be".into(),
            "give it a key ('list key' in its section hub), or set option 'require' to 0 here until it has one",
        ),
        Oddity::UnknownKey(spi) => (
            format!("signs by a key of spi {spi}, which is not known here"),
            "put that key into the VN's 'list key', or into that of a section spoke",
        ),
        Oddity::WrongKey(spi) => (
            format!(
                "signs by another key of spi {spi} than the one here, or its packets are changed on the way"
            ),
            "compare 'secret' and 'algorithm' of the key of both ends",
        ),
        Oddity::UnknownExtension(kind) => (
            format!("sends compulsory extension {kind}, which is not known here"),
            "run programs there that go without it",
        ),
        Oddity::Reports(code) => {
            (format!("reports {}", refusal(Refusal::Error(code))), "its log may say more")
        }
    }
}

/// A refusal's code and what it means.
pub fn refusal(refusal: Refusal) -> impl fmt::Display {
    Refused(refusal)
}

/// Why a MAC was not resolved: the hub's refusal, if there was one.
pub fn why_not(reason: Option<Refusal>) -> impl fmt::Display {
    WhyNot(reason)
}

/// Why something ended.
pub fn why(why: Why) -> &'static str {
    match why {
        Why::Expired => "its holding time was over",
        Why::Unused => "nothing used it",
        Why::Replaced => "its router registered with another VNI",
        Why::Removed => "removed by a command",
        Why::NotAllowed => "its address may not register any more (allow)",
        Why::NoKey => "its key is not in force any more, or it has none (key, require)",
        Why::Surplus => "there may be fewer now (max_spokes, max_vnis_per_address)",
        Why::Moved => "its router registered from another address",
        Why::Taken => "another router registered its MAC, and it did not answer",
        Why::NoPath => "nothing gets there straight",
        Why::HubLeft => "it was at the hub before, or at another port of this one",
        Why::Crowded => "made room for another one (max_macs)",
        Why::Purged => "it was withdrawn",
        Why::Local => "the MAC is at a local port now",
        Why::Denied => "the hub does not know the MAC any more",
        Why::Flushed => "flushed by the operator",
        Why::Stopped => "the VN or its devices went down",
    }
}

/// What is wrong with a path.
pub fn trouble(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Silent => "VXLAN does not get there and back: does a firewall drop UDP 4789 ('udp_port')?",
        Trouble::Refused => {
            "ICMP says that VXLAN does not get there: does a firewall reject UDP 4789 ('udp_port')?"
        }
        Trouble::Large => "large frames do not get there",
        Trouble::Strayed => {
            "VXLAN comes back by another address, and is not taken: does NAT change it there?"
        }
        Trouble::NhrpOnly => "NHRP passes, VXLAN does not: does a firewall drop UDP 4789 ('udp_port')?",
    }
}

/// Between which places a MAC moves to and fro; `None` is the own site.
pub fn between(from: Option<Vtep>, to: Option<Vtep>) -> impl fmt::Display {
    let place = |at: Option<Vtep>| at.map_or("here".into(), |at| at.to_string());
    format!("between {} and {}", place(from), place(to))
}

/// What comes back where.
pub fn looped(found: &LoopReport) -> impl fmt::Display {
    let tunnel = found.spoke.map_or("the tunnel".into(), |spoke| format!("the tunnel to spoke {spoke}"));
    format!("what is sent by {tunnel} comes back by port '{}'", found.port)
}

/// Two routers that have one MAC, as a sentence.
pub fn rivals(rivals: &Rivals) -> impl fmt::Display {
    RivalsSentence(*rivals)
}

/// Seconds, as coarse as a reader needs them.
pub fn duration(seconds: u64) -> impl fmt::Display {
    Span(seconds)
}

/// The time of day (UTC) of `ms` milliseconds since 1970.
pub fn time_of_day(ms: u64) -> impl fmt::Display {
    TimeOfDay(ms)
}

/// Why a spoke is at this one of its hubs.
pub fn why_hub(why: WhyHub) -> &'static str {
    match why {
        WhyHub::Preferred => "it is preferred",
        WhyHub::NoWay => "there was no way to the one before",
        WhyHub::Silent => "the one before did not answer",
        WhyHub::Refused => "the one before refused",
        WhyHub::PathDown => "frames did not get to the one before and back",
        WhyHub::Drained => "the one before sends its spokes away",
        WhyHub::Cut => "the hubs are cut off from each other, and all meet at the lowest address",
    }
}

struct Sentence(Event);

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Event::Registered { uplink } => {
                write!(f, "registered with hub {}, uplink vni {}", uplink.nbma, uplink.vni)
            }
            Event::Refused { hub, reason } => {
                write!(f, "hub {hub} refused the registration: {}", refusal(reason))
            }
            Event::RegistrationLost { hub } => {
                write!(f, "registration lost: hub {hub} did not answer within the holding time")
            }
            Event::NoAnswer { hub, signed: true } => write!(
                f,
                "no answer from hub {hub}: is the key right? Who has none that the hub knows gets no answer. And does GRE \
                 (IP protocol 47) pass the firewalls on the way?"
            ),
            Event::NoAnswer { hub, signed: false } => write!(
                f,
                "no answer from hub {hub}: does it run dmevpn, and does GRE (IP protocol 47) pass the firewalls on the \
                 way?"
            ),
            Event::HubChosen { hub, why } => write!(f, "hub {hub} is in use: {}", why_hub(why)),
            Event::HubStandsBy { hub, answers: true } => write!(f, "hub {hub}, which stands by, answers"),
            Event::HubStandsBy { hub, answers: false } => {
                write!(f, "hub {hub}, which stands by, does not answer")
            }
            Event::Withdrawn => f.write_str("registration withdrawn"),
            Event::Asked { mac } => write!(f, "asking the hub for {mac}"),
            Event::Resolved { mac, at, holding } => write!(f, "{mac} is at {at} for {holding} s"),
            Event::NotResolved { mac, reason } => write!(f, "{mac} not resolved: {}", why_not(reason)),
            Event::ShortcutUp { mac, to } => write!(f, "shortcut up: {mac} to {to}"),
            Event::ShortcutDown { mac, why: reason } => write!(f, "shortcut down: {mac}, {}", why(reason)),
            Event::PathUp { peer, is_hub: true } => write!(f, "path to hub {peer} up"),
            Event::PathUp { peer, is_hub: false } => write!(f, "path to {peer} up"),
            Event::PathDown { peer, is_hub: true, trouble } => {
                write!(f, "path to hub {peer} down: {}", self::trouble(trouble))
            }
            Event::PathDown { peer, is_hub: false, trouble } => {
                write!(f, "path to {peer} down, its frames go by the hub: {}", self::trouble(trouble))
            }
            Event::SpokeUp { spoke, uplink } => write!(f, "spoke up: {spoke}, uplink vni {uplink}"),
            Event::SpokeMoved { from, to, uplink } => {
                write!(f, "spoke moved: {from} is {to} now, uplink vni {uplink} as before")
            }
            Event::HubUp { hub, uplink } => write!(f, "hub up: {hub}, uplink vni {uplink}"),
            Event::HubDown { hub, why: reason } => write!(f, "hub down: {hub}, {}", why(reason)),
            Event::SpokeDown { spoke, why: reason } => write!(f, "spoke down: {spoke}, {}", why(reason)),
            Event::SpokeRefused { spoke, reason, .. } => {
                write!(f, "registration of spoke {spoke} refused: {}", refusal(reason))
            }
            Event::ManySites { spoke, most } => {
                write!(
                    f,
                    "spoke {spoke} is one too many: {most} sites have the address (max_vnis_per_address)"
                )
            }
            Event::SecondSite { spoke, registered } => {
                write!(
                    f,
                    "spoke {spoke} is one too many: vni {registered} has the address, and kmod takes one"
                )
            }
            Event::MacMoved { mac, to: Some(to) } => write!(f, "{mac} moved to spoke {to}"),
            Event::Restless { mac, from, to } => {
                let between = between(from, to);
                write!(f, "{mac} moves to and fro, {between}: a loop, or the same MAC twice?")
            }
            Event::Looped(found) => write!(
                f,
                "loop: {}: a cable or radio link there leads to another site. Until it is gone, nothing is flooded by that \
                 tunnel",
                looped(&found)
            ),
            Event::LoopOver(found) => {
                write!(f, "loop over: nothing comes back by port '{}' any more", found.port)
            }
            Event::Rivals(both) => RivalsSentence(both).fmt(f),
            Event::SpokeKnown { spoke, name, key } => write!(f, "{spoke} is spoke {name}, by key {key}"),
            Event::KeysOptional { unsigned } => write!(
                f,
                "keys are not required yet (require): anybody may speak without, {unsigned} spokes do; set it to 1 once all \
                 have theirs"
            ),
            Event::MacMoved { mac, to: None } => write!(f, "{mac} moved to a host at this hub"),
            Event::Full(table) => f.write_str(match table {
                Table::Macs => "the table of MACs is full (max_macs): further ones go by the hub",
                Table::Spokes => "the table of spokes is full (max_spokes): further ones are refused",
                Table::Purges => "too many purges for a spoke at once: it is told to forget all addresses",
            }),
            Event::PeerError { peer, code } => {
                write!(f, "{peer} reports {}", refusal(Refusal::Error(code)))
            }
        }
    }
}

struct RivalsSentence(Rivals);

impl fmt::Display for RivalsSentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rivals { mac, first, second } = self.0;
        write!(f, "two routers have MAC {mac}: {first} and ")?;
        match second {
            Some(second) => second.fmt(f),
            None => f.write_str("another one"),
        }
    }
}

struct WhyNot(Option<Refusal>);

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(reason) => Refused(reason).fmt(f),
            None => f.write_str("no answer from the hub"),
        }
    }
}

struct Refused(Refusal);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Refusal::Nak(nak) => write!(f, "NAK {nak}, {}", nak_text(nak)),
            Refusal::Error(code) => write!(f, "error {code}, {}", error_text(code)),
            Refusal::Translated { comes_from, names } => {
                write!(f, "comes from {comes_from}, names {names}: NAT between")
            }
            Refusal::NotAllowed(nbma) => write!(f, "NAK 4, {nbma} may not register here (allow)"),
            Refusal::OtherKey(nbma) => {
                write!(f, "NAK 4, {nbma} is that of a spoke with another key until its registration ends")
            }
            Refusal::Untagged => f.write_str("NAK 4, it is in no session (untagged_l2)"),
            Refusal::NoSession => f.write_str("the hub begins no session (session)"),
        }
    }
}

fn nak_text(nak: u8) -> &'static str {
    match nak {
        code::PROHIBITED => "administratively prohibited",
        code::RESOURCES => {
            "no room for it there: a table is full (max_spokes, max_macs), or its log says more"
        }
        code::NO_BINDING => "nobody there knows this MAC",
        code::NOT_UNIQUE => "more than one router claims this MAC",
        code::ALREADY_REGISTERED => "another router registered this MAC",
        _ => "a code RFC 2332 does not define",
    }
}

fn error_text(code: u16) -> &'static str {
    match code {
        error::UNRECOGNIZED_EXTENSION => "a compulsory extension is not known there",
        error::LOOP_DETECTED => "NHRP runs in a loop between servers",
        error::UNREACHABLE => "the address cannot be reached from there",
        error::PROTOCOL => "protocol error, the packet was not understood",
        error::SDU_SIZE => "the packet is too large for the path",
        error::INVALID_EXTENSION => "an extension does not belong into the packet",
        error::INVALID_REPLY => "a reply nobody waited for",
        error::AUTHENTICATION => "authentication failed (do both ends have the same key?)",
        error::HOP_COUNT => "hop count used up",
        error::VPN_MISMATCH => "the VPN-ID is not the one of the path (vpn_mode of both ends?)",
        error::VPN_UNSUPPORTED => "the VN is not configured there (vpn_id of both ends?)",
        _ => "a code RFC 2332 and RFC 2735 do not define",
    }
}

struct Span(u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        const DAY: u64 = 24 * HOUR;
        let s = self.0;
        if s < 10 * MINUTE {
            write!(f, "{s} s")
        } else if s < HOUR {
            write!(f, "{}m {}s", s / MINUTE, s % MINUTE)
        } else if s < DAY {
            write!(f, "{}h {}m", s / HOUR, s % HOUR / MINUTE)
        } else {
            write!(f, "{}d {}h", s / DAY, s % DAY / HOUR)
        }
    }
}

struct TimeOfDay(u64);

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0 % 86_400_000;
        let (s, ms) = (ms / 1000, ms % 1000);
        write!(f, "{:02}:{:02}:{:02}.{ms:03}", s / 3600, s / 60 % 60, s % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_well() {
        let texts = [0, 59, 599, 600, 3599, 3600, 86_399, 90_000, 864_000].map(|s| duration(s).to_string());
        assert_eq!(
            texts,
            ["0 s", "59 s", "599 s", "10m 0s", "59m 59s", "1h 0m", "23h 59m", "1d 1h", "10d 0h"]
        );
        assert_eq!(time_of_day(0).to_string(), "00:00:00.000");
        assert_eq!(time_of_day(1_795_493_517_042).to_string(), "04:11:57.042");
    }

    #[test]
    fn every_code_of_the_wire_has_its_words() {
        for nak in [4, 5, 12, 13, 14] {
            assert!(!nak_text(nak).contains("not define"), "{nak}");
        }
        for code in [1, 3, 6, 7, 8, 9, 10, 11, 15, 16, 17] {
            assert!(!error_text(code).contains("not define"), "{code}");
        }
        assert_eq!(refusal(Refusal::Nak(14)).to_string(), "NAK 14, another router registered this MAC");
        assert_eq!(refusal(Refusal::Nak(99)).to_string(), "NAK 99, a code RFC 2332 does not define");
    }
}
