//! What a firewall of nftables does with packets that others send to this router: the rules that `nft list ruleset`
//! shows are walked through, as far as they can be understood from outside. What cannot be is said, and not guessed.

use litemap::LiteMap;

/// The packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// To this UDP port.
    Udp(u16),
    /// GRE.
    Gre,
}

/// Whether they get through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passage {
    /// They do.
    Open,
    /// They do not, for what stands there.
    Closed(String),
    /// Nobody can tell, and why.
    Unknown(String),
}

/// What becomes of a packet in a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Accepted,
    Dropped,
    /// The end was reached.
    Goes,
}

/// Whether a rule is about a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Match {
    Yes,
    No,
    Maybe,
}

/// Chains in chains: nft allows 16.
const DEEP: u8 = 16;
/// So many rules are looked at for a base chain: chains that lead to others twice each are longer than anybody waits.
const MOST: u32 = 20_000;

/// What the rules in `ruleset` do with packets of that sort that come in by `interface`, if that is known, in a network
/// of IPv6 or of IPv4.
pub fn passage(ruleset: &str, sort: Sort, interface: Option<&str>, ipv6: bool) -> Passage {
    let mut unknown = None;
    for table in tables(ruleset, ipv6) {
        for (name, chain) in table.chains.iter() {
            let Some(base) = chain.base.filter(|base| is_in_the_way(base)) else { continue };
            let mut walk = Walk { table: &table, sort, interface, ipv6, may: [false; 2], left: MOST };
            let fate = match walk.chain(chain, 0) {
                Fate::Goes if base.contains("policy drop") => Fate::Dropped,
                Fate::Goes => Fate::Accepted,
                fate => fate,
            };
            let place = format!("table {}, chain {name}", table.name);
            let [may_pass, may_end] = walk.may;
            match fate {
                Fate::Dropped if !may_pass => return Passage::Closed(place),
                Fate::Accepted | Fate::Goes if !may_end => {}
                _ => unknown = Some(place),
            }
        }
    }
    match unknown {
        Some(place) => Passage::Unknown(format!("it depends on what {place} is about")),
        None => Passage::Open,
    }
}

/// Whether packets to and from this router itself come by such a base chain, which filters them.
fn is_in_the_way(base: &str) -> bool {
    base.starts_with("type filter hook") && ["input", "prerouting"].iter().any(|hook| base.contains(hook))
}

struct Table<'a> {
    name: &'a str,
    chains: LiteMap<&'a str, Chain<'a>>,
}

#[derive(Default)]
struct Chain<'a> {
    /// Its type, hook and policy, if packets come to it by themselves.
    base: Option<&'a str>,
    rules: Vec<&'a str>,
}

/// The tables for that family.
fn tables(ruleset: &str, ipv6: bool) -> Vec<Table<'_>> {
    let own = if ipv6 { "ip6" } else { "ip" };
    let mut all: Vec<Table<'_>> = Vec::new();
    let mut chain = None;
    let mut is_looked_at = false;
    for line in ruleset.lines().map(str::trim) {
        // Behind the brace it may say whose it is.
        if let Some((name, _)) = line.strip_prefix("table ").and_then(|rest| rest.split_once(" {")) {
            is_looked_at = name.split(' ').next().is_some_and(|family| family == own || family == "inet")
                && !is_guard(name);
            if is_looked_at {
                all.push(Table { name, chains: LiteMap::new() });
            }
        } else if let Some(name) = line.strip_prefix("chain ").and_then(|rest| rest.split(' ').next()) {
            chain = is_looked_at.then_some(name);
        } else if line == "}" {
            chain = None;
        } else if let (Some(name), Some(table)) = (chain, all.last_mut()) {
            if !table.chains.contains_key(name) {
                table.chains.insert(name, Chain::default());
            }
            let Some(chain) = table.chains.get_mut(name) else { continue };
            match line.starts_with("type ") {
                true => chain.base = Some(line),
                false => chain.rules.push(line),
            }
        }
    }
    all
}

/// The daemon's own table, of which it tells itself.
fn is_guard(table: &str) -> bool {
    table.strip_prefix("inet dmevpn").is_some_and(|number| number.bytes().all(|digit| digit.is_ascii_digit()))
}

struct Walk<'a> {
    table: &'a Table<'a>,
    sort: Sort,
    interface: Option<&'a str>,
    ipv6: bool,
    /// Whether a rule that may be about it accepts it, and whether one drops it.
    may: [bool; 2],
    /// So many rules more are looked at.
    left: u32,
}

impl Walk<'_> {
    fn chain(&mut self, chain: &Chain<'_>, depth: u8) -> Fate {
        if depth > DEEP {
            return Fate::Goes;
        }
        for rule in &chain.rules {
            let Some(left) = self.left.checked_sub(1) else {
                self.may = [true; 2];
                return Fate::Goes;
            };
            self.left = left;
            let words = words(rule);
            let (is_about, verdict) = self.rule(&words);
            let fate = match verdict {
                _ if is_about == Match::No => continue,
                ["accept", ..] => Fate::Accepted,
                ["drop" | "reject", ..] => Fate::Dropped,
                ["return", ..] if is_about == Match::Yes => return Fate::Goes,
                ["return", ..] => {
                    self.may = [true; 2];
                    continue;
                }
                ["jump" | "goto", to, ..] => {
                    let table = self.table;
                    let fate = table.chains.get(to).map_or(Fate::Goes, |to| self.chain(to, depth + 1));
                    if verdict.first() == Some(&"goto") && is_about == Match::Yes {
                        return fate;
                    }
                    fate
                }
                // What is counted and logged goes on.
                _ => continue,
            };
            match (fate, is_about) {
                (Fate::Goes, _) => {}
                (fate, Match::Yes) => return fate,
                (fate, _) => self.may[usize::from(fate == Fate::Dropped)] = true,
            }
        }
        Fate::Goes
    }

    /// Whether a rule is about the packet, and what it says of it.
    fn rule<'w, 'r>(&self, words: &'w [&'r str]) -> (Match, &'w [&'r str]) {
        let mut is_about = Match::Yes;
        let mut rest = words;
        loop {
            let (this, used) = match rest {
                [] => return (is_about, rest),
                ["accept" | "drop" | "reject" | "return" | "jump" | "goto", ..] => return (is_about, rest),
                ["counter", "packets", _, "bytes", _, ..] => (Match::Yes, 5),
                ["comment" | "prefix" | "level" | "group", _, ..] => (Match::Yes, 2),
                ["counter" | "log" | "meta", ..] => (Match::Yes, 1),
                ["ct", "state", "vmap", ..] | ["icmp" | "icmpv6", ..] => (Match::No, 1),
                ["ct", "state", set, ..] if *set != "!=" => (of(set.contains("new")), 3),
                ["iifname" | "iif", "lo", ..] => (Match::No, 2),
                ["iifname" | "iif", set, ..] if *set != "!=" => {
                    (self.interface.map_or(Match::Maybe, |i| is_in(set, |n| n == i)), 2)
                }
                ["l4proto", set, ..] | ["ip", "protocol", set, ..] | ["ip6", "nexthdr", set, ..]
                    if *set != "!=" =>
                {
                    let used = if rest.first() == Some(&"l4proto") { 2 } else { 3 };
                    (is_in(set, |name| self.names().contains(&name)), used)
                }
                ["nfproto", family, ..] => (of((*family == "ipv6") == self.ipv6), 2),
                ["tcp" | "sctp" | "dccp" | "esp" | "ah", ..] => (Match::No, 1),
                ["udp" | "th", "dport", set, ..] if *set != "!=" => match self.sort {
                    Sort::Udp(port) => (is_in(set, |range| has(range, port)), 3),
                    Sort::Gre => (Match::No, 3),
                },
                ["udp", ..] if self.sort == Sort::Gre => (Match::No, 1),
                _ => (Match::Maybe, 1),
            };
            is_about = match (is_about, this) {
                (_, Match::No) => return (Match::No, rest),
                (Match::Yes, this) => this,
                (before, _) => before,
            };
            rest = rest.get(used..).unwrap_or_default();
        }
    }

    fn names(&self) -> [&'static str; 2] {
        match self.sort {
            Sort::Udp(_) => ["udp", "17"],
            Sort::Gre => ["gre", "47"],
        }
    }
}

fn of(is_it: bool) -> Match {
    if is_it { Match::Yes } else { Match::No }
}

/// Whether one of a set is meant, `{ a, b }` or `a`. Of a set that has a name, `@a`, nobody knows.
fn is_in(set: &str, mut is_it: impl FnMut(&str) -> bool) -> Match {
    if set.starts_with('@') || set.contains(" : ") {
        return Match::Maybe;
    }
    let mut all = set.trim_matches(['{', '}']).split(',').map(|one| one.trim().trim_matches('"'));
    of(all.any(&mut is_it))
}

/// Whether a port is in `4789`, or in `4000-5000`.
fn has(range: &str, port: u16) -> bool {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let number = |text: &str| text.parse::<u16>().ok();
    number(first).is_some_and(|first| first <= port) && number(last).is_some_and(|last| port <= last)
}

/// The words of a rule: what stands in quotes or braces is one, without the quotes.
fn words(rule: &str) -> Vec<&str> {
    let mut all = Vec::new();
    let mut rest = rule.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '"' => rest.get(1..).and_then(|text| text.find('"')).map(|at| at + 2),
            '{' => rest.find('}').map(|at| at + 1),
            _ => rest.find(' '),
        };
        let (word, behind) = rest.split_at(end.unwrap_or(rest.len()));
        all.push(word.trim_matches('"'));
        rest = behind.trim_start();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const VXLAN: Sort = Sort::Udp(4789);

    fn verdicts(ruleset: &str) -> [char; 2] {
        [VXLAN, Sort::Gre].map(|sort| match passage(ruleset, sort, Some("wan"), false) {
            Passage::Open => 'o',
            Passage::Closed(_) => 'c',
            Passage::Unknown(_) => '?',
        })
    }

    fn input(policy: &str, rules: &str) -> String {
        format!(
            "table inet x {{\n\tchain input {{\n\t\ttype filter hook input priority filter; policy {policy};\n{rules}\n\t}}\n}}\n"
        )
    }

    #[test]
    fn rules_are_understood_as_far_as_they_go() {
        for (policy, rules, [vxlan, gre]) in [
            ("accept", "", ['o', 'o']),
            ("drop", "", ['c', 'c']),
            ("accept", "udp dport 4789 drop", ['c', 'o']),
            ("accept", "udp dport 4788 drop\ntcp dport 4789 drop", ['o', 'o']),
            ("accept", "meta l4proto gre counter packets 3 bytes 72 reject", ['o', 'c']),
            ("accept", "ip protocol 47 drop", ['o', 'c']),
            ("accept", "ip saddr 10.0.0.7 udp dport 4789 drop", ['?', 'o']),
            ("drop", "udp dport { 500, 4000-5000 } accept", ['o', 'c']),
            ("drop", "udp dport @ports accept", ['?', 'c']),
            ("drop", "iifname \"wan\" accept", ['o', 'o']),
            ("drop", "iifname { \"lan\", \"wan\" } udp dport 4789 accept comment \"a { b\"", ['o', 'c']),
            ("drop", "iifname \"lan\" accept", ['c', 'c']),
            ("drop", "iif \"lo\" accept\nct state established,related accept", ['c', 'c']),
            (
                "drop",
                "ct state vmap { established : accept, related : accept }\nip protocol gre accept",
                ['c', 'o'],
            ),
            ("accept", "limit rate 10/second accept\ndrop", ['?', '?']),
            ("accept", "log prefix \"drop \" level warn\ncounter packets 0 bytes 0", ['o', 'o']),
            ("accept", "udp sport 53 udp dport 4789 drop", ['?', 'o']),
            ("accept", "meta nfproto ipv6 drop", ['o', 'o']),
        ] {
            assert_eq!(verdicts(&input(policy, rules)), [vxlan, gre], "{policy}: {rules}");
        }
        assert_eq!(verdicts(""), ['o', 'o']);
        assert_eq!(verdicts(&input("drop", "").replace("inet", "ip6")), ['o', 'o'], "another family");
        assert_eq!(verdicts(&input("drop", "").replace("inet", "bridge")), ['o', 'o']);
        assert_eq!(verdicts(&input("drop", "").replace("hook input", "hook forward")), ['o', 'o']);
    }

    #[test]
    fn the_daemons_own_table_is_not_the_firewall() {
        let own = "table inet dmevpn2 { # progname dmevpn\n\tflags owner\n\n\tset vnis {\n\t\ttype ipv4_addr\n\t}\n\n\
                   \tchain input {\n\t\ttype filter hook input priority -150; policy accept;\n\
                   \t\tudp dport 4789 jump vxlan\n\t}\n\n\tchain vxlan {\n\
                   \t\tip saddr . @th,96,24 @vteps4 accept\n\t\tcounter packets 0 bytes 0 drop\n\t}\n}\n";
        assert_eq!(verdicts(own), ['o', 'o']);
        assert_eq!(verdicts(&(input("drop", "udp dport 4789 accept") + own)), ['o', 'c']);
        assert_eq!(verdicts(&own.replace("dmevpn2", "dmevpnx")), ['?', 'o']);
    }

    #[test]
    fn chains_that_double_come_to_an_end() {
        let mut rules = input("accept", "jump c0\njump c0\njump c0").trim_end_matches("}\n").to_owned();
        for n in 0..15 {
            let next = format!("\t\tjump c{}\n", n + 1).repeat(3);
            rules.push_str(&format!("\tchain c{n} {{\n{next}\t}}\n"));
        }
        assert_eq!(verdicts(&format!("{rules}}}\n")), ['?', '?']);
    }

    /// As OpenWrt's fw4 makes them.
    #[test]
    fn chains_lead_to_others() {
        let fw4 = |rules: &str| {
            format!(
                "table inet fw4 {{\n\tchain input {{\n\t\ttype filter hook input priority filter; policy accept;\n\
                 \t\tiif \"lo\" accept comment \"!fw4: Accept traffic from loopback\"\n\
                 \t\tct state vmap {{ established : accept, related : accept }} comment \"!fw4: x\"\n\
                 \t\ttcp flags & (fin | syn | rst | ack) == syn jump syn_flood comment \"!fw4: y\"\n{rules}\
                 \t\tiifname \"br-lan\" jump input_lan comment \"!fw4: Handle lan IPv4/IPv6 input traffic\"\n\
                 \t\tiifname \"wan\" jump input_wan comment \"!fw4: Handle wan IPv4/IPv6 input traffic\"\n\
                 \t\tjump handle_reject\n\t}}\n\n\tchain handle_reject {{\n\
                 \t\tmeta l4proto tcp reject with tcp reset comment \"!fw4: Reject TCP traffic\"\n\
                 \t\treject comment \"!fw4: Reject any other traffic\"\n\t}}\n\n\tchain input_lan {{\n\
                 \t\tjump accept_from_lan\n\t}}\n\n\tchain input_wan {{\n\
                 \t\tmeta nfproto ipv4 udp dport 68 counter packets 0 bytes 0 accept comment \"!fw4: Allow-DHCP-Renew\"\n\
                 \t\ticmp type echo-request counter packets 0 bytes 0 accept comment \"!fw4: Allow-Ping\"\n\
                 \t\tjump reject_from_wan\n\t}}\n\n\tchain reject_from_wan {{\n\
                 \t\tiifname \"wan\" counter packets 0 bytes 0 jump handle_reject comment \"!fw4: reject wan\"\n\t}}\n}}\n"
            )
        };
        assert_eq!(verdicts(&fw4("")), ['c', 'c']);
        let opened = "\t\tudp dport 4789 counter packets 7 bytes 700 accept comment \"!fw4: ubus:dmevpn rule 0\"\n\
                      \t\tmeta l4proto gre counter packets 7 bytes 700 accept comment \"!fw4: ubus:dmevpn rule 1\"\n";
        assert_eq!(verdicts(&fw4(opened)), ['o', 'o']);
        assert_eq!(
            passage(&fw4(""), VXLAN, Some("wan"), true),
            Passage::Closed("table inet fw4, chain input".into())
        );
        assert!(matches!(passage(&fw4(""), VXLAN, None, false), Passage::Closed(_)));
    }
}
