//! Reads the options of a section, keeping account of what is wrong.

use super::choice::RoleKind;
use super::errors::Finding;
use super::options::{OPTIONS, Opt, Unset};
use super::uci::{Section, Text, Value, shown};
use super::value;
use crate::types::Label;

/// Something is wrong and stands in the list of errors already.
#[derive(Clone, Copy, Debug)]
pub struct Reported;

/// Reads the options of one section.
pub struct Reader<'a> {
    section: &'a Section,
    errors: &'a mut Vec<Finding>,
}

impl<'a> Reader<'a> {
    /// A reader of `section`; an option unknown in such a section is reported at once.
    pub fn new(section: &'a Section, errors: &'a mut Vec<Finding>) -> Self {
        let mut reader = Reader { section, errors };
        reader.report_unknown();
        reader
    }

    /// A reader of `section`, whose unknown options are reported already.
    pub fn again(section: &'a Section, errors: &'a mut Vec<Finding>) -> Self {
        Reader { section, errors }
    }

    fn report_unknown(&mut self) {
        let kind = &self.section.kind;
        let names: Vec<&str> = OPTIONS.iter().filter(|o| o.section == *kind).map(|o| o.name).collect();
        for entry in &self.section.options {
            if !names.contains(&entry.name.as_str()) {
                let why = format!("unknown in section {kind}; {}", suggestion(&entry.name, &names));
                self.report(entry.value.line(), &entry.name, &why);
            }
        }
    }

    /// Reports the options that only a VN of another role than `role` can have.
    pub fn report_other_roles(&mut self, role: RoleKind) {
        for option in OPTIONS.iter().filter(|o| o.section == self.section.kind) {
            let Some(other) = option.role.filter(|r| *r != role) else { continue };
            if self.is_set(option) {
                let why = format!("only for role {}, and this VN has role {}", other.name(), role.name());
                let _ = self.refuse(option, &why);
            }
        }
    }

    /// The section.
    pub fn section(&self) -> &'a Section {
        self.section
    }

    /// The section's name, which is what everything else calls it.
    pub fn name(&mut self) -> Result<String, Reported> {
        let section = self.section;
        match section.name.as_deref() {
            None => {
                Err(self.refuse_section(&format!("a name is missing: write config {} 'name'", section.kind)))
            }
            Some(name) if name.len() > Label::MOST => {
                let most = Label::MOST;
                Err(self.refuse_section(&format!("the name is longer than {most} characters")))
            }
            Some(name) => Ok(name.to_owned()),
        }
    }

    /// Whether `option` is set.
    pub fn is_set(&self, option: &Opt) -> bool {
        self.section.get(option.name).is_some()
    }

    /// The line of `option`, or of the section when it is not set.
    pub fn line(&self, option: &Opt) -> u32 {
        self.section.get(option.name).map_or(self.section.line, Value::line)
    }

    /// The text of `option`, which is not to be shown, if it is set.
    pub fn secret(&mut self, option: &Opt) -> Result<Option<&'a str>, Reported> {
        Ok(self.text(option)?.map(|text| text.text.as_str()))
    }

    /// The value of `option`, which need not be set.
    pub fn optional<T>(
        &mut self,
        option: &Opt,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Reported> {
        let Some(text) = self.text(option)? else { return Ok(None) };
        parse(&text.text).map(Some).map_err(|why| self.wrong(option, &text.text, text.line, &why))
    }

    /// The value of `option`, or its default in a VN of the role `role`; without one it has to be set.
    pub fn value<T>(
        &mut self,
        option: &Opt,
        role: Option<RoleKind>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, Reported> {
        let (text, line) = self.text_or_default(option, role)?;
        parse(text).map_err(|why| self.wrong(option, text, line, &why))
    }

    /// What the word that `option` is, or its default, means; `meanings` are those of the words in [`Opt::kind`].
    pub fn word<T: Copy, const N: usize>(
        &mut self,
        option: &Opt,
        meanings: &[(&str, T); N],
    ) -> Result<T, Reported> {
        let index = self.value(option, None, |word| value::word(option, word))?;
        meanings.get(index).map(|(_, meaning)| *meaning).ok_or(Reported)
    }

    /// The number that `option` is, or its default in a VN of the role `role`.
    pub fn number<T: TryFrom<u32>>(&mut self, option: &Opt, role: Option<RoleKind>) -> Result<T, Reported> {
        self.value(option, role, |s| value::numeric(option, s))
    }

    /// The number that `option` is, if it is set.
    pub fn optional_number<T: TryFrom<u32>>(&mut self, option: &Opt) -> Result<Option<T>, Reported> {
        self.optional(option, |s| value::numeric(option, s))
    }

    /// The path that `option` is, or its default.
    pub fn path(&mut self, option: &Opt) -> Result<String, Reported> {
        self.value(option, None, |s| value::path(option, s))
    }

    /// The values of `option`, with the line of each: none when it is not set.
    pub fn list<T>(
        &mut self,
        option: &Opt,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<(T, u32)>, Reported> {
        let mut all = Ok(Vec::new());
        for Text { text, line } in self.section.get(option.name).map_or(&[][..], Value::texts) {
            match (parse(text), &mut all) {
                (Ok(value), Ok(all)) => all.push((value, *line)),
                (Ok(_), Err(_)) => {}
                (Err(why), _) => all = Err(self.wrong(option, text, *line, &why)),
            }
        }
        all
    }

    /// The text of `option`, which takes one, if it is set.
    fn text(&mut self, option: &Opt) -> Result<Option<&'a Text>, Reported> {
        match self.section.get(option.name) {
            None => Ok(None),
            Some(Value::One(text)) => Ok(Some(text)),
            Some(Value::List(_)) => {
                let name = option.name;
                let why = format!("takes one value: write 'option {name}', not 'list {name}'");
                Err(self.refuse(option, &why))
            }
        }
    }

    /// The text of `option` or of its default, with its line or the section's.
    fn text_or_default(&mut self, option: &Opt, role: Option<RoleKind>) -> Result<(&'a str, u32), Reported> {
        match (self.text(option)?, option.unset.of(role)) {
            (Some(text), _) => Ok((&text.text, text.line)),
            (None, Unset::Is(default)) => Ok((default, self.section.line)),
            (None, Unset::Refused(meaning)) => Err(self.missing(option, meaning)),
            (None, _) => Err(self.missing(option, "set it")),
        }
    }

    /// Reports what is wrong with a text.
    fn wrong(&mut self, option: &Opt, text: &str, line: u32, why: &str) -> Reported {
        let is = if why.starts_with("not ") { " is" } else { ":" };
        self.refuse_at(line, option, &format!("'{}'{is} {why}", shown(text)))
    }

    /// Reports what is wrong with `option`, at its line, or at the section's when it is not set.
    pub fn refuse(&mut self, option: &Opt, why: &str) -> Reported {
        match self.section.get(option.name) {
            Some(value) => self.refuse_at(value.line(), option, why),
            None => self.refuse_unset(option, &format!("{option}: {why}")),
        }
    }

    /// Reports that `option` is not set; `meaning` says what to set it to.
    pub fn missing(&mut self, option: &Opt, meaning: &str) -> Reported {
        self.refuse_unset(option, &format!("{option} is missing: {meaning}"))
    }

    /// Reports what is wrong with the section since `option` is not set.
    pub fn refuse_unset(&mut self, option: &Opt, why: &str) -> Reported {
        let text = format!("section {}: {why}", self.section);
        self.errors.push(self.section.finding(self.section.line, Some(option.name), text));
        Reported
    }

    /// Reports what is wrong with the value of `option` in `line`.
    pub fn refuse_at(&mut self, line: u32, option: &Opt, why: &str) -> Reported {
        self.report(line, option.name, why);
        Reported
    }

    fn report(&mut self, line: u32, option: &str, why: &str) {
        let text = format!("option '{}': {why}", shown(option));
        self.errors.push(self.section.finding(line, Some(option), text));
    }

    /// Reports what is wrong with the section.
    pub fn refuse_section(&mut self, why: &str) -> Reported {
        let text = format!("section {}: {why}", self.section);
        self.errors.push(self.section.finding(self.section.line, None, text));
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
