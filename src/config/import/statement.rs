//! What the words of an `opennhrp.conf` say: a keyword, its arguments, and their types.

use super::words::Word;
use crate::config::errors::Finding;
use crate::config::read::{Reported, suggestion};
use crate::config::uci::shown;
use crate::config::value;
use crate::types::{Mac, Vni};
use core::fmt;
use core::net::Ipv4Addr;

/// A keyword with its arguments.
pub struct Statement<'a> {
    words: &'a [Word<'a>],
    /// What it says.
    pub says: Says<'a>,
}

impl Statement<'_> {
    /// The line of the keyword, from 1.
    pub fn line(&self) -> u32 {
        self.words.first().map_or(1, |word| word.line)
    }
}

/// Its words, but no secrets.
impl fmt::Display for Statement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, word) in self.words.iter().enumerate() {
            if i > 0 && self.words.first().is_some_and(|keyword| keyword.text == "cisco-authentication") {
                return f.write_str(" ...");
            }
            let space = if i > 0 { " " } else { "" };
            write!(f, "{space}{}", shown(word.text))?;
        }
        Ok(())
    }
}

/// What a statement means.
#[derive(Clone, Copy)]
pub enum Says<'a> {
    /// What follows is about this interface.
    Interface(&'a str),
    /// The VN the interface belongs to.
    VpnId(u32),
    /// The GRE interface that carries the NHRP of this one.
    Controller(&'a str),
    /// How long others may believe what this router told them.
    HoldingTime(u16),
    /// Frames without a better way go to this hub.
    DefaultVni { vni: Vni, hub: &'a str },
    /// This router registers a MAC with its VNI.
    Register(Vni),
    /// Nothing that has a place here, and why not.
    Nothing(&'static str),
}

/// All keywords there are, of OpenNHRP and of the dmevpn in C.
pub const KEYWORDS: &[&str] = &[
    "interface",
    "vpn-id",
    "map-vni",
    "default-vni",
    "controller",
    "l2learnonly",
    "map",
    "dynamic-map",
    "register",
    "cisco",
    "shortcut-target",
    "shortcut-destination",
    "shortcut-vnid",
    "shortcut",
    "redirect",
    "non-caching",
    "multicast",
    "holding-time",
    "route-table",
    "cisco-authentication",
];

/// All statements in order, or all that is wrong with them. What follows a mistake in its line is not looked at.
pub fn statements<'a>(words: &'a [Word<'a>]) -> Result<Vec<Statement<'a>>, Vec<Finding>> {
    let mut parser = Parser { words, next: 0, errors: Vec::new() };
    let (mut statements, mut in_interface) = (Vec::new(), false);
    while let Some(keyword) = parser.word() {
        let first = parser.next - 1;
        let opens = keyword.text == "interface";
        let says = if in_interface || opens || !KEYWORDS.contains(&keyword.text) {
            parser.statement(keyword)
        } else {
            Err(parser.refuse(keyword, keyword.line, "stands before the first 'interface'"))
        };
        in_interface |= opens;
        match says {
            Ok(says) => {
                let words = words.get(first..parser.next).unwrap_or_default();
                statements.push(Statement { words, says });
            }
            Err(Reported) => parser.skip_line(),
        }
    }
    if parser.errors.is_empty() { Ok(statements) } else { Err(parser.errors) }
}

struct Parser<'a> {
    words: &'a [Word<'a>],
    /// The index of the next word.
    next: usize,
    errors: Vec<Finding>,
}

impl<'a> Parser<'a> {
    fn statement(&mut self, keyword: Word<'a>) -> Result<Says<'a>, Reported> {
        Ok(match keyword.text {
            "interface" => Says::Interface(self.interface(keyword)?),
            "controller" => Says::Controller(self.interface(keyword)?),
            "vpn-id" => Says::VpnId(self.argument(keyword, "its number", value::number(0..=u32::MAX))?.1),
            "map-vni" => {
                let vni = self.vni(keyword)?;
                self.argument(keyword, "the hub's address", value::hub_address)?;
                self.argument(keyword, "a MAC address", value::from_str::<Mac>)?;
                if self.registers() {
                    Says::Register(vni)
                } else {
                    Says::Nothing("without 'register' it is a static entry; `bridge fdb` makes one")
                }
            }
            "default-vni" => {
                let vni = self.vni(keyword)?;
                let (hub, _) = self.argument(keyword, "the hub's address", value::hub_address)?;
                self.registers();
                Says::DefaultVni { vni, hub }
            }
            "map" => {
                self.argument(keyword, "an address", protocol_address)?;
                self.argument(keyword, "an underlay address", value::hub_address)?;
                self.registers();
                Says::Nothing("an IP address; only MAC addresses are registered and asked for")
            }
            "dynamic-map" => {
                self.argument(keyword, "a prefix", network)?;
                self.argument(keyword, "a host name", value::hub_address)?;
                self.registers();
                Says::Nothing(
                    "hubs are named one by one, by 'list hub', and a 'config hub' may have a host name",
                )
            }
            "holding-time" => Says::HoldingTime(self.holding_time(keyword)?),
            "shortcut-target" => {
                self.argument(keyword, "a prefix", protocol_address)?;
                // As in OpenNHRP, wherever the line ends.
                while let Some(word) = self.follows("holding-time") {
                    self.holding_time(word)?;
                }
                Says::Nothing("an IP prefix; only MAC addresses are answered for")
            }
            "multicast" => {
                self.argument(keyword, "dynamic, nhs or an address", multicast)?;
                Says::Nothing("broadcast and multicast always go by the hub")
            }
            "route-table" => {
                self.argument(keyword, "its number", value::number::<u32>(0..=u32::MAX))?;
                Says::Nothing("no routes are made or looked up here")
            }
            "cisco-authentication" => {
                self.argument(keyword, "the secret", |_| Ok(()))?;
                Says::Nothing(
                    "a word for all to read is no protection: NHRP is NOT authenticated until there are keys (dmevpn key new)",
                )
            }
            "shortcut" => Says::Nothing("MAC addresses always get shortcuts"),
            "redirect" => Says::Nothing("spokes ask by themselves, nobody has to tell them"),
            "non-caching" => Says::Nothing("what others answer is not cached on its way"),
            "shortcut-destination" => Says::Nothing("the hub always answers for what its bridge has learned"),
            "l2learnonly" => Says::Nothing("the hub's bridge always learns"),
            "shortcut-vnid" => Says::Nothing("it had no effect in the original either"),
            "register" | "cisco" => {
                let why = "stands only behind 'map', 'dynamic-map', 'map-vni' and 'default-vni'";
                return Err(self.refuse(keyword, keyword.line, why));
            }
            unknown => {
                let why = format!("unknown keyword; {}", suggestion(unknown, KEYWORDS));
                return Err(self.refuse(keyword, keyword.line, &why));
            }
        })
    }

    fn interface(&mut self, keyword: Word<'_>) -> Result<&'a str, Reported> {
        self.argument(keyword, "an interface", value::interface).map(|(name, _)| name)
    }

    fn vni(&mut self, keyword: Word<'_>) -> Result<Vni, Reported> {
        self.argument(keyword, "a VNI", value::from_str::<Vni>).map(|(_, vni)| vni)
    }

    fn holding_time(&mut self, keyword: Word<'_>) -> Result<u16, Reported> {
        self.argument(keyword, "seconds", value::number(3..=u16::MAX.into())).map(|(_, seconds)| seconds)
    }

    /// Takes the flags of a mapping: whether one of them is `register`.
    fn registers(&mut self) -> bool {
        let mut found = false;
        while let Some(flag) = self.follows("register").or_else(|| self.follows("cisco")) {
            found |= flag.text == "register";
        }
        found
    }

    /// The next word, text and meaning, as an argument of `keyword`; `what` is said to be missing when it is.
    fn argument<T>(
        &mut self,
        keyword: Word<'_>,
        what: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<(&'a str, T), Reported> {
        let text = self.checked(keyword, what, &|text| parse(text).map(drop))?;
        parse(text).map(|meaning| (text, meaning)).map_err(|_| Reported)
    }

    /// What all arguments have in common, once in the program and not once for each type.
    fn checked(
        &mut self,
        keyword: Word<'_>,
        what: &str,
        check: &dyn Fn(&str) -> Result<(), String>,
    ) -> Result<&'a str, Reported> {
        // The next statement is not what somebody forgot to write, even if it could be.
        let is_meant =
            |w: &Word<'_>| !KEYWORDS.contains(&w.text) || w.line == keyword.line && check(w.text).is_ok();
        let Some(word) = self.peek().filter(is_meant) else {
            return Err(self.refuse(keyword, keyword.line, &format!("{what} is missing")));
        };
        self.next += 1;
        match check(word.text) {
            Ok(()) => Ok(word.text),
            Err(why) => Err(self.refuse(keyword, word.line, &format!("'{}' is {why}", shown(word.text)))),
        }
    }

    fn peek(&self) -> Option<Word<'a>> {
        self.words.get(self.next).copied()
    }

    fn word(&mut self) -> Option<Word<'a>> {
        let word = self.peek()?;
        self.next += 1;
        Some(word)
    }

    /// The next word, taken if it is `text`.
    fn follows(&mut self, text: &str) -> Option<Word<'a>> {
        self.peek().filter(|word| word.text == text)?;
        self.word()
    }

    fn refuse(&mut self, keyword: Word<'_>, line: u32, why: &str) -> Reported {
        self.errors.push(Finding::at(line, format!("'{}': {why}", shown(keyword.text))));
        Reported
    }

    /// Goes on in the line after that of the last word taken.
    fn skip_line(&mut self) {
        let line = self.next.checked_sub(1).and_then(|last| self.words.get(last)).map(|word| word.line);
        while self.peek().is_some_and(|word| Some(word.line) == line) {
            self.next += 1;
        }
    }
}

/// An IPv4 address with or without a prefix length, or a MAC address.
fn protocol_address(s: &str) -> Result<(), String> {
    if prefix(s).is_some() || s.parse::<Mac>().is_ok() {
        return Ok(());
    }
    Err("not an IPv4 address, such as 10.255.255.1 or 10.255.255.1/24".to_owned())
}

/// An IPv4 prefix without host bits.
fn network(s: &str) -> Result<(), String> {
    match prefix(s) {
        Some((address, length)) if u64::from(address.to_bits()) << length & 0xffff_ffff == 0 => Ok(()),
        _ => Err("not a network, such as 10.255.255.0/24".to_owned()),
    }
}

fn prefix(s: &str) -> Option<(Ipv4Addr, u8)> {
    let (address, length) = s.split_once('/').unwrap_or((s, "32"));
    Some((address.parse().ok()?, value::number(0..=32)(length).ok()?))
}

fn multicast(s: &str) -> Result<(), String> {
    if matches!(s, "dynamic" | "nhs") || s.parse::<Ipv4Addr>().is_ok() {
        return Ok(());
    }
    Err("not one of dynamic, nhs and IPv4 addresses".to_owned())
}
