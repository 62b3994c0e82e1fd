//! Reads the options of a section, keeping account of what is wrong.

use super::errors::Error;
use super::uci::{Section, Text, Value, shown};
use super::value::RoleKind;

/// An option the configuration knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownOption {
    /// The type of section it stands in.
    pub section: &'static str,
    /// Its name.
    pub option: &'static str,
    /// The only role, `spoke` or `hub`, of the VNs that may have it; `None`: any.
    pub role: Option<&'static str>,
}

/// Every option there is, in the order of `uci/schema.md`.
pub const KNOWN_OPTIONS: &[KnownOption] = &[
    known("dmevpn", "enabled", None),
    known("dmevpn", "nbma", None),
    known("dmevpn", "interface", None),
    known("dmevpn", "transport", None),
    known("dmevpn", "device", None),
    known("dmevpn", "udp_port", None),
    known("dmevpn", "holding_time", None),
    known("dmevpn", "log_level", None),
    known("dmevpn", "state_file", None),
    known("dmevpn", "socket", None),
    known("hub", "address", None),
    known("hub", "priority", None),
    known("hub", "vpn_mode", None),
    known("vn", "enabled", None),
    known("vn", "vpn_id", None),
    known("vn", "role", None),
    known("vn", "bridge", None),
    known("vn", "vlan", None),
    known("vn", "mtu", None),
    known("vn", "max_macs", None),
    known("vn", "vni", Some(RoleKind::Spoke)),
    known("vn", "vxlan", Some(RoleKind::Spoke)),
    known("vn", "hub", Some(RoleKind::Spoke)),
    known("vn", "trigger", Some(RoleKind::Spoke)),
    known("vn", "negative_time", Some(RoleKind::Spoke)),
    known("vn", "default", Some(RoleKind::Hub)),
    known("vn", "protocol_address", Some(RoleKind::Hub)),
    known("vn", "uplink_vni", Some(RoleKind::Hub)),
    known("vn", "dataplane", Some(RoleKind::Hub)),
    known("vn", "max_spokes", Some(RoleKind::Hub)),
];

const fn known(section: &'static str, option: &'static str, role: Option<RoleKind>) -> KnownOption {
    let role = match role {
        Some(role) => Some(role.name()),
        None => None,
    };
    KnownOption { section, option, role }
}

/// Something is wrong and stands in the list of errors already.
#[derive(Clone, Copy, Debug)]
pub struct Reported;

/// Reads the options of one section.
pub struct Reader<'a> {
    section: &'a Section,
    errors: &'a mut Vec<Error>,
}

impl<'a> Reader<'a> {
    /// A reader of `section`; an option unknown in such a section is reported at once.
    pub fn new(section: &'a Section, errors: &'a mut Vec<Error>) -> Self {
        let mut reader = Reader { section, errors };
        reader.report_unknown();
        reader
    }

    fn report_unknown(&mut self) {
        let kind = &self.section.kind;
        let options = KNOWN_OPTIONS.iter().filter(|k| k.section == *kind);
        let names: Vec<&str> = options.map(|k| k.option).collect();
        for entry in &self.section.options {
            if !names.contains(&entry.name.as_str()) {
                let why = format!("unknown in section {kind}; {}", suggestion(&entry.name, &names));
                let _ = self.refuse(&entry.name, &why);
            }
        }
    }

    /// Reports the options that only a VN of another role than `role` can have.
    pub fn report_other_roles(&mut self, role: RoleKind) {
        for known in KNOWN_OPTIONS.iter().filter(|k| k.section == self.section.kind) {
            let Some(other) = known.role.filter(|r| *r != role.name()) else { continue };
            if self.section.get(known.option).is_some() {
                let why = format!("only for role {other}, and this VN has role {}", role.name());
                let _ = self.refuse(known.option, &why);
            }
        }
    }

    /// The section.
    pub fn section(&self) -> &'a Section {
        self.section
    }

    /// The line of `option`, or of the section when it is not set.
    pub fn line(&self, option: &str) -> u32 {
        self.section.get(option).map_or(self.section.line, Value::line)
    }

    /// The value of `option`, which need not be set.
    pub fn optional<T>(
        &mut self,
        option: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Reported> {
        match self.section.get(option) {
            None => Ok(None),
            Some(Value::One(text)) => self.parsed(option, text, parse).map(Some),
            Some(Value::List(_)) => Err(self
                .refuse(option, &format!("takes one value: write 'option {option}', not 'list {option}'"))),
        }
    }

    /// The value of `option`, or `default`.
    pub fn or<T>(
        &mut self,
        option: &str,
        default: T,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Reported> {
        Ok(self.optional(option, parse)?.unwrap_or(default))
    }

    /// The value of `option`; `meaning` says what to set it to when it is missing.
    pub fn required<T>(
        &mut self,
        option: &str,
        meaning: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Reported> {
        match self.optional(option, parse)? {
            Some(value) => Ok(value),
            None => Err(self.refuse_section(&format!("option '{option}' is missing: {meaning}"))),
        }
    }

    /// The values of `option`, with the line of each: none when it is not set.
    pub fn list<T>(
        &mut self,
        option: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<(T, u32)>, Reported> {
        let texts = self.section.get(option).map_or(&[][..], Value::texts);
        let all: Vec<_> = texts.iter().map(|t| Ok((self.parsed(option, t, &parse)?, t.line))).collect();
        all.into_iter().collect()
    }

    fn parsed<T>(
        &mut self,
        option: &str,
        text: &Text,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Reported> {
        parse(&text.text).map_err(|why| {
            let value = shown(&text.text);
            let why = if why.starts_with("not ") {
                format!("'{value}' is {why}")
            } else {
                format!("'{value}': {why}")
            };
            self.refuse_at(text.line, option, &why)
        })
    }

    /// Reports what is wrong with `option`, at its line, or as the section's when it is not set.
    pub fn refuse(&mut self, option: &str, why: &str) -> Reported {
        match self.section.get(option) {
            Some(value) => self.refuse_at(value.line(), option, why),
            None => self.refuse_section(&format!("option '{option}': {why}")),
        }
    }

    /// Reports what is wrong with the value of `option` in `line`.
    pub fn refuse_at(&mut self, line: u32, option: &str, why: &str) -> Reported {
        self.errors.push(Error { line, text: format!("option '{}': {why}", shown(option)) });
        Reported
    }

    /// Reports what is wrong with the section.
    pub fn refuse_section(&mut self, why: &str) -> Reported {
        self.errors.push(Error { line: self.section.line, text: format!("section {}: {why}", self.section) });
        Reported
    }
}

/// What may have been meant by `word`, or what it could have been.
pub fn suggestion(word: &str, known: &[&str]) -> String {
    let near = known.iter().map(|k| (distance(word, k), k)).filter(|(d, _)| *d <= 2).min_by_key(|(d, _)| *d);
    match near {
        Some((_, near)) => format!("did you mean '{near}'?"),
        None => format!("known are {}", listed(known)),
    }
}

/// `names` with commas, the first ones if they are many: a user's names may be.
pub fn listed(names: &[&str]) -> String {
    const MOST: usize = 20;
    match names.get(..MOST) {
        Some(first) if names.len() > MOST => format!("{}, ...", first.join(", ")),
        _ => names.join(", "),
    }
}

/// How many letters to insert, drop or replace to make `a` into `b`; not exact beyond 2.
fn distance(a: &str, b: &str) -> usize {
    if a.len().abs_diff(b.len()) > 2 {
        return usize::MAX;
    }
    // The row of the usual table for the letters of `a` so far.
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut next = vec![i + 1];
        for (y, pair) in b.bytes().zip(row.windows(2)) {
            let &[diagonal, above] = pair else { continue };
            let left = next.last().copied().unwrap_or_default();
            next.push((diagonal + usize::from(x != y)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_levenshtein() {
        for (a, b, d) in
            [("mtu", "mtu", 0), ("mut", "mtu", 2), ("mtuu", "mtu", 1), ("", "ab", 2), ("vnid", "vni", 1)]
        {
            assert_eq!(distance(a, b), d, "{a} {b}");
            assert_eq!(distance(b, a), d, "{b} {a}");
        }
    }

    #[test]
    fn long_lists_are_cut_short() {
        assert_eq!(listed(&["a", "b"]), "a, b");
        assert_eq!(listed(&["a"; 20]), "a, ".repeat(19) + "a");
        assert_eq!(listed(&["a"; 21]), "a, ".repeat(20) + "...");
    }
}
