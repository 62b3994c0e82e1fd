//! Plays a case against an engine.

#[path = "../drive/mod.rs"]
mod drive;

use dmevpn::engine::settings::{
    HubSettings, Hubs, KeysSettings, Settings, Trigger, VnKey, VnSettings, VpnMode,
};
use dmevpn::engine::{HubKey, Input, IpClient, News, Order, Outcome, Passing, Path, Place, Port, Via};
use dmevpn::types::{Nbma, Peer, Prefix, VpnId, Vtep};
use dmevpn::wire::VpnTag;
use dmevpn::wire::nhrp::checksum;
use drive::{Driven, Part, Sent};
use std::collections::{BTreeMap, VecDeque};
use std::str::FromStr;
use std::time::Duration;

/// Where the checksum is in a packet.
const CHECKSUM: std::ops::Range<usize> = 12..14;

/// What is wrong, after the number of its line.
pub fn play(text: &str) -> Result<(), String> {
    let mut case = Case::new();
    for (number, line) in lines(text) {
        case.line(&line).map_err(|wrong| format!("{number}: {wrong}"))?;
    }
    let last = text.lines().count();
    let rest = case.said();
    rest.map_err(|wrong| format!("{last}: beyond the end {wrong}"))
}

/// The lines that say something, with those that go on with them, and their numbers.
fn lines(text: &str) -> Vec<(usize, String)> {
    let mut all: Vec<(usize, String)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let said = line.split('#').next().unwrap_or_default();
        match all.last_mut() {
            _ if said.trim().is_empty() => {}
            Some((_, before)) if said.starts_with(' ') => before.push_str(said),
            _ => all.push((number + 1, said.to_owned())),
        }
    }
    all
}

/// An octet of a packet as a case has it.
enum Octet {
    Is(u8),
    Any,
    /// So many that have a name: the first time they are anything, then they are those.
    Named(String, usize),
    /// The rest of the packet, whatever it is.
    Rest,
}

struct Case {
    settings: Settings,
    next: u32,
    /// Once the settings are complete.
    node: Option<Driven>,
    /// The time of the first line, and of the last one.
    begin: Option<Duration>,
    before: Duration,
    sent: VecDeque<Sent>,
    names: BTreeMap<String, Vec<u8>>,
}

type Told<T = ()> = Result<T, String>;

impl Case {
    fn new() -> Case {
        let mut settings = drive::settings(Part::Hub(drive::hub_role()), VpnMode::Llc);
        settings.vns.clear();
        Case {
            settings,
            next: 1,
            node: None,
            begin: None,
            before: Duration::ZERO,
            sent: VecDeque::new(),
            names: BTreeMap::new(),
        }
    }

    fn line(&mut self, line: &str) -> Told {
        let mut words = Words(line.split_whitespace().collect());
        let first = words.next()?;
        if !first.starts_with(|c: char| c.is_ascii_digit()) {
            return self.setting(first, &mut words);
        }
        let at = time(first)?;
        let at = at.checked_sub(*self.begin.get_or_insert(at)).ok_or("before the first line")?;
        let word = words.next()?;
        if word == "out" {
            return self.out(at, &mut words);
        }
        if word == "skip" {
            self.pass(at);
            self.sent.clear();
            return Ok(());
        }
        match word {
            "is" => {
                self.goes_on(at)?;
                self.is(&mut words)
            }
            "in" | "relayed" => {
                let (via, octets) = (words.via()?, octets(&words.0)?);
                self.goes_on(at)?;
                let packet = &self.octets(&octets)?;
                self.input(match word {
                    "in" => Input::Packet { via, nhrp: packet },
                    _ => Input::Relayed { via, packet },
                });
                Ok(())
            }
            _ => {
                let input = input(word, &mut words)?;
                words.end()?;
                self.goes_on(at)?;
                self.input(input);
                Ok(())
            }
        }
    }

    /// How the node is set.
    fn setting(&mut self, word: &str, words: &mut Words<'_>) -> Told {
        match word {
            "next" => self.next = words.parse("a number")?,
            "holding" => self.settings.holding_time = Duration::from_secs(words.parse("seconds")?),
            "advertise" => {
                let nbma: Nbma = words.parse("an address")?;
                match nbma.ip().is_ipv4() {
                    true => self.settings.advertised.ipv4 = Some(nbma),
                    false => self.settings.advertised.ipv6 = Some(nbma),
                }
            }
            "hub" => {
                let hub = HubKey(words.parse("a hub's number")?);
                let vpn_mode = mode(words.next()?)?;
                let session = match words.next() {
                    Ok("session=1") => true,
                    Ok("session=0") | Err(_) => false,
                    Ok(other) => return Err(format!("no word '{other}'")),
                };
                self.settings.hubs.insert(hub, HubSettings { vpn_mode, session });
            }
            "vn" => {
                let (key, vn) = vn(words)?;
                self.settings.vns.insert(key, vn);
            }
            _ => return Err(format!("no word '{word}'")),
        }
        words.end()?;
        if let Some(node) = &mut self.node {
            // It was reloaded.
            node.apply(self.settings.clone());
            self.sent.extend(node.sent());
        }
        Ok(())
    }

    fn node(&mut self) -> &mut Driven {
        let (settings, next) = (&self.settings, self.next);
        self.node.get_or_insert_with(|| Driven::new(settings.clone(), next))
    }

    fn input(&mut self, input: Input<'_>) {
        let node = self.node();
        node.input(input);
        let sent = node.sent();
        self.sent.extend(sent);
    }

    /// Time passes until `at`, but not back.
    fn pass(&mut self, at: Duration) {
        let time = at.saturating_sub(self.before);
        let sent = self.node().pass(time);
        self.sent.extend(sent);
        self.before = self.before.max(at);
    }

    /// All that is sent before this time is in the case.
    fn goes_on(&mut self, at: Duration) -> Told {
        if at > self.before {
            self.said()?;
            self.pass(at);
            self.said()?;
        }
        Ok(())
    }

    /// Whether all that was sent so far is in the case.
    fn said(&self) -> Told {
        let Some(sent) = self.sent.front() else { return Ok(()) };
        Err(format!("it sends {:?} to {}: {:02x?}", sent.header().kind, sent.path.remote, sent.bytes))
    }

    /// A packet is sent by this time, or a little later: retries have no exact times.
    fn out(&mut self, at: Duration, words: &mut Words<'_>) -> Told {
        let last = at + Duration::from_millis(500) + at.saturating_sub(self.before) / 5;
        while self.sent.is_empty() {
            let node = self.node();
            let began = node.now;
            let due = node.engine.deadline().map(|due| due.since(began));
            let due = due.filter(|due| self.before + *due <= last).ok_or("nothing is sent")?;
            self.pass(self.before + due);
        }
        let Some(sent) = self.sent.pop_front() else { return Err("nothing is sent".into()) };
        let via = words.via()?;
        if sent.path != via.path {
            return Err(format!("it goes to {} from {}", sent.path.remote, sent.path.local));
        }
        if sent.tag != via.tag {
            return Err(format!("it names the VN {:?}", sent.tag));
        }
        self.compare(&octets(&words.0)?, &sent.bytes)
    }

    fn compare(&mut self, wanted: &[Octet], sent: &[u8]) -> Told {
        let mut place = 0;
        for octet in wanted {
            let len = if let Octet::Named(_, len) = octet { *len } else { 1 };
            let is = sent.get(place..place + len);
            let differs = |is: &[u8]| Err(format!("octet {place} is {is:02x?} in {sent:02x?}"));
            match octet {
                Octet::Rest => return Ok(()),
                _ if is.is_none() => return Err(format!("it has only {} octets: {sent:02x?}", sent.len())),
                Octet::Is(octet) if is != Some(&[*octet]) => {
                    return Err(format!("octet {place} is {:02x} in {sent:02x?}", sent[place]));
                }
                Octet::Named(name, _) if name != "sum" => {
                    let is = is.unwrap_or_default();
                    let known = self.names.entry(name.clone()).or_insert_with(|| is.to_vec());
                    if known != is {
                        return differs(is);
                    }
                }
                Octet::Is(_) | Octet::Any | Octet::Named(..) => {}
            }
            place += len;
        }
        if place == sent.len() { Ok(()) } else { Err(format!("it has {} octets: {sent:02x?}", sent.len())) }
    }

    /// The octets of a packet that arrives.
    fn octets(&mut self, given: &[Octet]) -> Told<Vec<u8>> {
        let mut all = Vec::new();
        let mut summed = false;
        for octet in given {
            match octet {
                Octet::Is(octet) => all.push(*octet),
                Octet::Named(name, _) if name == "sum" => {
                    all.extend([0, 0]);
                    summed = true;
                }
                Octet::Named(name, len) => {
                    // What is not known yet may be anything.
                    let next = self.names.len() as u8 + 1;
                    let new = || (0..*len).map(|n| (n as u8) << 4 | next).collect();
                    all.extend_from_slice(self.names.entry(name.clone()).or_insert_with(new));
                }
                Octet::Any | Octet::Rest => return Err("what arrives is known".into()),
            }
        }
        if summed {
            let sum = checksum(&all).to_be_bytes();
            all.get_mut(CHECKSUM).ok_or("too short for a checksum")?.copy_from_slice(&sum);
        }
        Ok(all)
    }

    /// What the engine wants the kernel to be, and what it says of itself.
    fn is(&mut self, words: &mut Words<'_>) -> Told {
        let vn = words.vn()?;
        let what = words.next()?;
        let node = self.node();
        let plane = node.engine.plane(vn).ok_or("there is no such VN")?;
        let is = match what {
            "registered" => {
                return if node.engine.is_registered(vn) { Ok(()) } else { Err("it is not".into()) };
            }
            "unregistered" => {
                return if node.engine.is_registered(vn) { Err("it is not".into()) } else { Ok(()) };
            }
            "uplink" => plane.uplink(),
            "shortcut" => plane.shortcut(words.parse("a MAC")?),
            "port" => {
                let port = plane.port(words.vtep()?).map(|port| port.uplink.to_string());
                let wanted = words.next()?;
                let is = port.unwrap_or_else(|| "none".into());
                return if is == wanted { Ok(()) } else { Err(format!("it is {is}")) };
            }
            counter => {
                let count: u32 = words.parse("a number")?;
                let all = node.engine.statistics();
                let (_, is) = all.rows().find(|(name, _)| *name == counter).ok_or("no such thing")?;
                return if is == count { Ok(()) } else { Err(format!("it is {is}")) };
            }
        };
        let wanted = words.or_none(Words::vtep)?;
        if is == wanted { Ok(()) } else { Err(format!("it is {is:?}")) }
    }
}

/// Seconds with up to three digits behind the point.
fn time(text: &str) -> Told<Duration> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let ms = format!("{part:0<3}").parse::<u64>().ok().filter(|ms| *ms < 1000);
    let whole: Option<u64> = whole.parse().ok();
    let ms = whole.zip(ms).map(|(s, ms)| s * 1000 + ms).ok_or_else(|| format!("'{text}' is no time"))?;
    Ok(Duration::from_millis(ms))
}

fn mode(word: &str) -> Told<VpnMode> {
    [VpnMode::Llc, VpnMode::Key, VpnMode::None]
        .into_iter()
        .find(|mode| mode.name() == word)
        .ok_or_else(|| format!("'{word}' is no way to name a VN"))
}

/// A VN: what is not said is as in the other tests.
fn vn(words: &mut Words<'_>) -> Told<(VnKey, VnSettings)> {
    let key = words.vn()?;
    let mut vn = VnSettings {
        vpn_id: drive::VPN,
        mtu: 1450,
        keys: KeysSettings::default(),
        client: None,
        server: None,
    };
    let mut hubs = Vec::new();
    for word in core::mem::take(&mut words.0) {
        let wrong = || format!("'{word}' says nothing of a VN");
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        fn put<T: FromStr>(place: &mut T, value: &str) -> Option<()> {
            *place = value.parse().ok()?;
            Some(())
        }
        let yes = |place: &mut bool, value| {
            *place = value == "1";
            ["0", "1"].contains(&value).then_some(())
        };
        let put = match (name, value, &mut vn.client, &mut vn.server) {
            ("spoke", "", ..) => {
                vn.client = Some(drive::spoke_role());
                Some(())
            }
            ("hub", "", ..) => {
                vn.server = Some(dmevpn::engine::settings::ServerSettings {
                    protocol_addresses: Vec::new(),
                    ..drive::hub_role()
                });
                Some(())
            }
            ("id", ..) => put(&mut vn.vpn_id, value),
            ("mtu", ..) => put(&mut vn.mtu, value),
            ("hub", _, Some(client), _) => value.parse().ok().and_then(|hub| {
                hubs.push(HubKey(hub));
                client.hubs = Hubs::new(hubs.iter().copied())?;
                Some(())
            }),
            ("preempt", _, Some(client), _) => yes(&mut client.preempt, value),
            ("vni", _, Some(client), _) => put(&mut client.vni, value),
            ("unique", _, Some(client), _) => yes(&mut client.unique, value),
            ("max_macs", _, Some(client), _) => put(&mut client.max_macs, value),
            ("negative", _, Some(client), _) => {
                value.parse().ok().map(|seconds| client.negative_time = Duration::from_secs(seconds))
            }
            ("trigger", _, Some(client), _) => {
                let trigger = [Trigger::Learn, Trigger::L2miss].into_iter().find(|t| t.name() == value);
                trigger.map(|trigger| client.trigger = trigger)
            }
            ("default", _, _, Some(server)) => yes(&mut server.default, value),
            ("shared", _, _, Some(server)) => yes(&mut server.shared_uplink, value),
            ("untagged", _, _, Some(server)) => yes(&mut server.untagged_l2, value),
            ("uplinks", _, _, Some(server)) => put(&mut server.uplink_first, value),
            ("max_spokes", _, _, Some(server)) => put(&mut server.max_spokes, value),
            ("max_vnis", _, _, Some(server)) => put(&mut server.max_vnis, value),
            ("max_macs", _, _, Some(server)) => put(&mut server.max_macs, value),
            ("allow", _, _, Some(server)) => {
                let prefix = value
                    .split_once('/')
                    .and_then(|(ip, length)| Prefix::new(ip.parse().ok()?, length.parse().ok()?));
                prefix.map(|prefix| server.allow.push(prefix))
            }
            ("address", _, _, Some(server)) => {
                value.parse().ok().map(|address| server.protocol_addresses.push(address))
            }
            _ => None,
        };
        put.ok_or_else(wrong)?;
    }
    Ok((key, vn))
}

/// What the node is told, but for packets.
fn input(word: &str, words: &mut Words<'_>) -> Told<Input<'static>> {
    match word {
        "way" => {
            let hub = HubKey(words.parse("a hub's number")?);
            let path = words.or_none(Words::path)?;
            return Ok(Input::Hub { hub, path });
        }
        "resolve" => {
            let (vn, mac) = (words.vn()?, words.parse("a MAC")?);
            return Ok(Input::Order(Order::Resolve { vn, mac }));
        }
        "drain" => {
            let (vn, is_on) = (words.vn()?, words.parse::<u8>("0 or 1")? == 1);
            return Ok(Input::Order(Order::Drain { vn, is_on }));
        }
        "flush" => {
            let vn = if words.0.is_empty() { None } else { Some(words.vn()?) };
            let mac = if words.0.is_empty() { None } else { Some(words.parse("a MAC")?) };
            return Ok(Input::Order(Order::Flush { vn, mac }));
        }
        "remove" => {
            let vn =
                if words.0.first() == Some(&"all") { words.next().map(|_| None)? } else { Some(words.vn()?) };
            let Peer { nbma, vni } = words.parse("an address and a VNI")?;
            return Ok(Input::Order(Order::Remove { vn, nbma, vni }));
        }
        "refresh" => return Ok(Input::Order(Order::Refresh)),
        "stop" => return Ok(Input::Order(Order::Stop)),
        _ => {}
    }
    let became = |outcome| move |spoke| News::Became { spoke, outcome };
    let known = [
        "device", "fdb", "listing", "listed", "miss", "use", "made", "failed", "taken", "shortcut", "client",
        "hubs", "port",
    ];
    if !known.contains(&word) {
        return Err(format!("no word '{word}'"));
    }
    let vn = words.vn()?;
    let news = match word {
        "device" => News::Device(words.or_none(|words| words.parse("a MAC, none"))?),
        "fdb" => News::Fdb { mac: words.parse("a MAC")?, place: words.place()? },
        "listing" => News::Listing,
        "listed" => News::Listed,
        "miss" => News::Miss(words.parse("a MAC")?),
        "use" => {
            let mac = words.parse("a MAC")?;
            let idle = Duration::from_millis(words.parse("milliseconds")?);
            News::Use { mac, idle, age: Duration::from_millis(words.parse("milliseconds")?) }
        }
        "made" => became(Outcome::Made)(words.vtep()?),
        "failed" => became(Outcome::Failed { taken: false })(words.vtep()?),
        "taken" => became(Outcome::Failed { taken: true })(words.vtep()?),
        "shortcut" => News::FoundShortcut { mac: words.parse("a MAC")?, to: words.vtep()? },
        "hubs" => News::FoundHubs(words.parse("a number")?),
        "client" => News::FoundClient(IpClient {
            address: words.parse("an address")?,
            path: words.path()?,
            mode: mode(words.next()?)?,
            unique: words.parse::<u8>("0 or 1")? != 0,
            mtu: words.parse("a number")?,
            granted: words.parse("seconds")?,
        }),
        _ => {
            let (spoke, uplink) = (words.vtep()?, words.parse("a VNI")?);
            let (local, mode) = (words.parse("an address")?, mode(words.next()?)?);
            let granted = words.parse("seconds")?;
            let (mut mac, mut home, mut key, mut is_hubs) = (None, None, None, false);
            let mut passing = Passing::All;
            while !words.0.is_empty() {
                let word = words.next()?;
                match word.split_once('=') {
                    Some(("home", at)) => home = Some(at.parse().map_err(|_| format!("{at}: no home"))?),
                    Some(("key", spi)) => key = Some(spi.parse().map_err(|_| format!("{spi}: no key"))?),
                    Some(("hub", _)) => is_hubs = true,
                    Some(("passes", "unicast")) => passing = Passing::Mute,
                    Some(("passes", _)) => passing = Passing::Nothing,
                    _ => mac = Some(word.parse().map_err(|_| format!("{word}: no MAC"))?),
                }
            }
            News::FoundPort {
                spoke,
                port: Port { uplink, local, mode, granted, mac, home, key, is_hubs, passing },
            }
        }
    };
    Ok(Input::News { vn, news })
}

/// The octets of a packet.
fn octets(words: &[&str]) -> Told<Vec<Octet>> {
    let mut all = Vec::new();
    for word in words {
        let wrong = || format!("'{word}' are no octets");
        if *word == "*" {
            all.push(Octet::Rest);
        } else if let Some(name) = word.strip_prefix('@') {
            let path = format!("{}/tests/golden/{name}.hex", env!("CARGO_MANIFEST_DIR"));
            let frame = std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
            let lines = frame.lines().filter_map(|line| line.split('#').next());
            all.extend(octets(&lines.flat_map(str::split_whitespace).collect::<Vec<_>>())?);
        } else if let Some(name) = word.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
            let (name, len) = name.split_once(':').unwrap_or((name, if name == "sum" { "2" } else { "1" }));
            all.push(Octet::Named(name.to_owned(), len.parse().map_err(|_| wrong())?));
        } else {
            for pair in word.as_bytes().chunks(2) {
                all.push(match pair {
                    b".." => Octet::Any,
                    _ => {
                        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2);
                        let octet = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
                        Octet::Is(octet.ok_or_else(wrong)?)
                    }
                });
            }
        }
    }
    Ok(all)
}

/// What is left of a line.
struct Words<'a>(Vec<&'a str>);

impl<'a> Words<'a> {
    fn next(&mut self) -> Told<&'a str> {
        if self.0.is_empty() { Err("something is missing".into()) } else { Ok(self.0.remove(0)) }
    }

    fn end(&self) -> Told {
        self.0.first().map_or(Ok(()), |word| Err(format!("'{word}' is too much")))
    }

    fn parse<T: FromStr>(&mut self, what: &str) -> Told<T> {
        let word = self.next()?;
        word.parse().map_err(|_| {
            format!("'{word}' is no {}", what.trim_start_matches("a ").trim_start_matches("an "))
        })
    }

    fn or_none<T>(&mut self, read: impl FnOnce(&mut Self) -> Told<T>) -> Told<Option<T>> {
        if self.0.first() == Some(&"none") { self.next().map(|_| None) } else { read(self).map(Some) }
    }

    fn vn(&mut self) -> Told<VnKey> {
        self.parse("a VN's number").map(VnKey)
    }

    fn vtep(&mut self) -> Told<Vtep> {
        let Peer { nbma, vni } = self.parse("an address and a VNI")?;
        Ok(Vtep { nbma, vni: vni.ok_or("a VNI is missing")? })
    }

    fn path(&mut self) -> Told<Path> {
        Ok(Path { local: self.parse("an address")?, remote: self.parse("an address")? })
    }

    fn via(&mut self) -> Told<Via> {
        let path = self.path()?;
        let word = self.next()?;
        let wrong = || format!("'{word}' names no VN");
        let tag = match word.split_once('=') {
            Some(("llc", vpn)) => VpnTag::Llc(vpn.parse::<VpnId>().map_err(|_| wrong())?),
            Some(("key", key)) => VpnTag::Key(key.parse().map_err(|_| wrong())?),
            _ if word == "none" => VpnTag::None,
            _ => return Err(wrong()),
        };
        Ok(Via { path, tag })
    }

    fn place(&mut self) -> Told<Place> {
        Ok(match self.next()? {
            "local" => Place::Local,
            "tunnel" => Place::Tunnel,
            "gone" => Place::Gone,
            "unplugged" => Place::Unplugged,
            "at" => Place::At(self.vtep()?),
            "left" => Place::Left(self.vtep()?),
            word => return Err(format!("'{word}' is no place")),
        })
    }
}
