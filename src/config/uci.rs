//! The UCI file grammar, as OpenWrt's libuci reads it, with the line of everything.
//!
//! ```text
//! package dmevpn              # optional
//! config vn 'test'            # opens a section: a type and, optionally, a name
//!     option mtu '1450'       # one value; a later one replaces it
//!     list hub 'dc1'          # one value more
//! ```
//!
//! A word is made of unquoted, `'single'` and `"double"` quoted parts side by side. A backslash takes the next
//! character as it is, and joins lines at the end of one, except in single quotes. Quoted parts may span lines.
//! `#` starts a comment, `;` ends a command as the end of the line does. As in libuci, an option set to the empty
//! text is an option not set, and a section whose name was seen before goes on where that one ended.
//! Other than libuci, an `option` or `list` without any value is an error.

use super::errors::Finding;
use core::fmt;
use core::iter::Peekable;
use core::str::Chars;
use litemap::LiteMap;
use zeroize::Zeroize;

/// The largest file that is read, in octets.
pub const MAX_BYTES: usize = 1 << 20;

/// The most options of different names in one section.
pub const MAX_OPTIONS: usize = 100;

/// What decoding puts in place of octets that are no UTF-8 text. In comments nobody minds.
const NO_TEXT: char = char::REPLACEMENT_CHARACTER;

/// A UCI file: its sections in order.
///
/// `Display` writes it as UCI text, and `parse` of that text gives the same file, but for line numbers, when:
/// names follow UCI's rules (see [`parse`]), no value holds NUL or U+FFFD, no `option` is empty, no `list` is without values,
/// and named sections and the options of a section are there once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    /// What the last `package` command said, if there was one.
    pub package: Option<String>,
    /// The sections, in the order they were opened first.
    pub sections: Vec<Section>,
}

impl File {
    /// Overwrites what an option says, wherever it is set.
    pub fn wipe(&mut self, option: &str) {
        let options = self.sections.iter_mut().flat_map(|section| &mut section.options);
        for entry in options.filter(|entry| entry.name == option) {
            match &mut entry.value {
                Value::One(text) => text.text.zeroize(),
                Value::List(texts) => texts.iter_mut().for_each(|text| text.text.zeroize()),
            }
        }
    }

    /// The section of a type and a name, if it is there.
    pub fn section(&self, kind: &str, name: &str) -> Option<&Section> {
        self.sections.iter().find(|s| s.kind == kind && s.name.as_deref() == Some(name))
    }
}

/// A section: `config KIND 'NAME'` and its options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The line of the `config` command that opened it first, from 1.
    pub line: u32,
    /// The section's type.
    pub kind: String,
    /// The section's name; `None` for an anonymous one.
    pub name: Option<String>,
    /// The options, in the order they were set first; no two have one name.
    pub options: Vec<Entry>,
}

impl Section {
    /// The value of the option `name`, if it is set.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.options.iter().find(|o| o.name == name).map(|o| &o.value)
    }
}

/// `vn 'test'`, or `vn` when it has no name.
impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{} '{name}'", self.kind),
            None => f.write_str(&self.kind),
        }
    }
}

/// An option of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The option's name.
    pub name: String,
    /// What it is set to.
    pub value: Value,
}

/// What an option is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// By `option`: one text.
    One(Text),
    /// By `list`: one text or more. An `option` before the first `list` of that name is the first of them.
    List(Vec<Text>),
}

impl Value {
    /// All texts, in order.
    pub fn texts(&self) -> &[Text] {
        match self {
            Value::One(text) => core::slice::from_ref(text),
            Value::List(texts) => texts,
        }
    }

    /// The line of the first text; 0 for a list of none, which [`parse`] does not make.
    pub fn line(&self) -> u32 {
        self.texts().first().map_or(0, |t| t.line)
    }
}

/// A text and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The line its command begins in, from 1.
    pub line: u32,
    /// The text, without quotes and escapes.
    pub text: String,
}

/// Reads a UCI file.
///
/// Section and option names are letters, digits and `_`; section types and package names may have `-` too.
/// CRLF line ends and a byte order mark are tolerated; CR inside quotes is kept.
///
/// # Errors
///
/// Everything that is wrong with the file, at least one thing: unknown commands, missing or surplus words, bad names,
/// options outside a section, a name used for two section types, a missing end quote, more than [`MAX_BYTES`] octets
/// or [`MAX_OPTIONS`] options, or, outside comments, U+FFFD, which stands
/// for what was no text. A NUL octet, where libuci would end the line, is told alone.
pub fn parse(text: &str) -> Result<File, Vec<Finding>> {
    if text.len() > MAX_BYTES {
        return Err(vec![Finding::at(1, format!("the file has more than {MAX_BYTES} bytes"))]);
    }
    if let Some((before, _)) = text.split_once('\0') {
        let line = before.matches('\n').count() + 1;
        let text = "a NUL byte: this is not a text file".to_owned();
        return Err(vec![Finding::at(u32::try_from(line).unwrap_or(u32::MAX), text)]);
    }
    let mut scanner = Scanner::new(text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut builder = Builder::default();
    let mut errors = Vec::new();
    loop {
        match scanner.command() {
            Ok(Some(command)) => errors.extend(builder.command(command).err()),
            Ok(None) => break,
            // The scanner only gives up where nothing sensible can follow.
            Err(error) => {
                errors.push(error);
                break;
            }
        }
    }
    if errors.is_empty() { Ok(builder.file) } else { Err(errors) }
}

/// The words of one command.
struct Command {
    line: u32,
    words: Vec<String>,
}

/// Splits a text into commands.
struct Scanner<'a> {
    chars: Peekable<Chars<'a>>,
    /// The line of the next character.
    line: u32,
    /// Where the first quoted part that spans lines began: the likely place of a forgotten quote.
    first_spanning: Option<u32>,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Scanner { chars: text.chars().peekable(), line: 1, first_spanning: None }
    }

    /// The next command that has words; `None` at the end.
    fn command(&mut self) -> Result<Option<Command>, Finding> {
        let mut command = Command { line: self.line, words: Vec::new() };
        while let Some(&c) = self.chars.peek() {
            match c {
                '\n' | ';' => {
                    self.next();
                    if !command.words.is_empty() {
                        return Ok(Some(command));
                    }
                }
                '#' => self.comment(),
                c if is_space(c) => {
                    self.next();
                }
                '\\' if self.joins_lines() => {}
                _ => {
                    if command.words.is_empty() {
                        command.line = self.line;
                    }
                    command.words.push(self.word()?);
                }
            }
        }
        Ok(if command.words.is_empty() { None } else { Some(command) })
    }

    /// A word; the next character belongs to it.
    fn word(&mut self) -> Result<String, Finding> {
        let mut word = String::new();
        while let Some(&c) = self.chars.peek() {
            match c {
                '\'' | '"' => self.quoted(c, &mut word)?,
                '\\' if self.joins_lines() => {}
                '\\' => {
                    // joins_lines left a backslash that escapes: take what it escapes.
                    self.next();
                    word.extend(self.next());
                }
                '#' | ';' => break,
                c if is_space(c) => break,
                _ => word.extend(self.next()),
            }
        }
        Ok(word)
    }

    /// The quoted part that `quote` is about to open.
    fn quoted(&mut self, quote: char, word: &mut String) -> Result<(), Finding> {
        let opened = self.line;
        self.next();
        loop {
            if self.line != opened {
                self.first_spanning.get_or_insert(opened);
            }
            match self.chars.peek() {
                None => return Err(self.unterminated(quote, opened)),
                Some(&c) if c == quote => {
                    self.next();
                    return Ok(());
                }
                Some('\\') if quote == '"' => {
                    if !self.joins_lines() {
                        self.next();
                        word.extend(self.next());
                    }
                }
                Some(_) => word.extend(self.next()),
            }
        }
    }

    /// Whether the backslash ahead ends its line; then it and the line end are consumed, else nothing is.
    fn joins_lines(&mut self) -> bool {
        let mut ahead = self.chars.clone();
        ahead.next();
        let length = match (ahead.next(), ahead.next()) {
            (Some('\n') | None, _) => 2,
            (Some('\r'), Some('\n')) => 3,
            _ => return false,
        };
        for _ in 0..length {
            self.next();
        }
        true
    }

    /// The comment ahead, without its line end.
    fn comment(&mut self) {
        while self.chars.peek().is_some_and(|&c| c != '\n') {
            self.next();
        }
    }

    fn next(&mut self) -> Option<char> {
        let c = self.chars.next();
        if c == Some('\n') {
            self.line += 1;
        }
        c
    }

    fn unterminated(&self, quote: char, opened: u32) -> Finding {
        match self.first_spanning {
            // With a quote missing, each later one changes its meaning, and only the last stays open.
            Some(line) if line != opened => Finding::at(
                opened,
                format!(
                    "a {quote} is never closed; the quotes first span lines at line {line}: is one missing there?"
                ),
            ),
            _ => Finding::at(opened, format!("a {quote} is never closed")),
        }
    }
}

/// Where options belong.
#[derive(Default)]
enum Current {
    /// Nowhere: no section was opened.
    #[default]
    Nowhere,
    /// To a section that was refused: reporting its options too would be noise.
    Refused,
    /// To `sections[.0]`.
    Section(usize),
}

/// Puts commands together to a file.
#[derive(Default)]
struct Builder {
    file: File,
    by_name: LiteMap<String, usize>,
    current: Current,
}

impl Builder {
    fn command(&mut self, command: Command) -> Result<(), Finding> {
        let line = command.line;
        let is_text = !command.words.iter().any(|word| word.contains(NO_TEXT));
        let mut words = command.words.into_iter();
        let done = match words.next().as_deref() {
            Some("package" | "p") => self.package(words),
            Some("config" | "c") => {
                self.current = Current::Refused;
                self.section(line, words)
            }
            _ if !is_text => {
                Err("what stands here is not UTF-8 text, as all but comments has to be".to_owned())
            }
            Some("option" | "o") => self.option(line, words, "option"),
            Some("list" | "l") => self.option(line, words, "list"),
            // It is not shown: it may be a part of a secret whose quotes are wrong.
            _ => Err("this begins no command; allowed are config, option, list and package".to_owned()),
        };
        done.map_err(|text| Finding::at(line, text))
    }

    fn package(&mut self, mut words: impl Iterator<Item = String>) -> Result<(), String> {
        let name = words.next().unwrap_or_default();
        if !is_type(&name) {
            return Err(format!("package '{}': not a name of letters, digits, '_' and '-'", shown(&name)));
        }
        no_more(words, "package takes one name")?;
        self.file.package = Some(name);
        Ok(())
    }

    fn section(&mut self, line: u32, mut words: impl Iterator<Item = String>) -> Result<(), String> {
        let kind = words.next().unwrap_or_default();
        if !is_type(&kind) {
            return Err(format!(
                "config '{}': not a section type of letters, digits, '_' and '-'",
                shown(&kind)
            ));
        }
        let name = words.next().filter(|n| !n.is_empty());
        if let Some(name) = name.as_deref().filter(|n| !is_name(n)) {
            return Err(format!(
                "config {kind} '{}': not a section name of letters, digits and '_'",
                shown(name)
            ));
        }
        no_more(words, "config takes a type and one name")?;
        let Some(name) = name else {
            self.push(Section { line, kind, name: None, options: Vec::new() });
            return Ok(());
        };
        let Some(&index) = self.by_name.get(&name) else {
            self.by_name.insert(name.clone(), self.file.sections.len());
            self.push(Section { line, kind, name: Some(name), options: Vec::new() });
            return Ok(());
        };
        if let Some(first) = self.file.sections.get(index).filter(|first| first.kind != kind) {
            return Err(format!(
                "config {kind} '{name}': the name belongs to config {} in line {}; \
                 sections of all types share their names",
                first.kind, first.line
            ));
        }
        self.current = Current::Section(index);
        Ok(())
    }

    fn push(&mut self, section: Section) {
        self.current = Current::Section(self.file.sections.len());
        self.file.sections.push(section);
    }

    fn option(
        &mut self,
        line: u32,
        mut words: impl Iterator<Item = String>,
        command: &str,
    ) -> Result<(), String> {
        let name = words.next().unwrap_or_default();
        if !is_name(&name) {
            return Err(format!("{command} '{}': not a name of letters, digits and '_'", shown(&name)));
        }
        let text = words.next().ok_or_else(|| format!("{command} '{name}': the value is missing"))?;
        no_more(
            words,
            &format!("{command} '{name}' takes one value; put quotes around it when it has spaces"),
        )?;
        let index = match self.current {
            Current::Nowhere => return Err(format!("{command} '{name}': no config section is open here")),
            Current::Refused => return Ok(()),
            Current::Section(index) => index,
        };
        let Some(section) = self.file.sections.get_mut(index) else { return Ok(()) };
        section.set(name, Text { line, text }, command == "list")
    }
}

impl Section {
    /// What is to be said about it in `line`.
    pub(super) fn finding(&self, line: u32, option: Option<&str>, text: String) -> Finding {
        Finding { line, section: self.name.clone(), option: option.map(str::to_owned), text }
    }

    fn set(&mut self, name: String, text: Text, list: bool) -> Result<(), String> {
        let Some(at) = self.options.iter().position(|o| o.name == name) else {
            if !list && text.text.is_empty() {
                return Ok(());
            }
            if self.options.len() >= MAX_OPTIONS {
                return Err(format!("option '{name}': a section has at most {MAX_OPTIONS} options"));
            }
            let value = if list { Value::List(vec![text]) } else { Value::One(text) };
            self.options.push(Entry { name, value });
            return Ok(());
        };
        if !list && text.text.is_empty() {
            self.options.remove(at);
            return Ok(());
        }
        let Some(entry) = self.options.get_mut(at) else { return Ok(()) };
        match &mut entry.value {
            value if !list => *value = Value::One(text),
            Value::List(texts) => texts.push(text),
            Value::One(first) => entry.value = Value::List(vec![first.clone(), text]),
        }
        Ok(())
    }
}

/// Says the rule where there are more words.
fn no_more(mut words: impl Iterator<Item = String>, rule: &str) -> Result<(), String> {
    match words.next() {
        None => Ok(()),
        // What is too much is not shown: it may be a part of a secret without quotes.
        Some(_) => Err(rule.to_owned()),
    }
}

/// C's isspace.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r')
}

/// Whether UCI takes it as the name of a section or an option. Sections have [`Label::MOST`](crate::types::Label::MOST)
/// characters at most here.
pub fn is_name(s: &str) -> bool {
    !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_type(s: &str) -> bool {
    !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// What a file said, fit for a line of an error message: cut short, without control characters.
pub(super) fn shown(s: &str) -> String {
    const MOST: usize = 64;
    let mut out = String::new();
    for c in s.chars().take(MOST) {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    if s.chars().nth(MOST).is_some() {
        out.push_str("...");
    }
    out
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(package) = &self.package {
            writeln!(f, "package {package}")?;
        }
        for (i, section) in self.sections.iter().enumerate() {
            if i > 0 || self.package.is_some() {
                writeln!(f)?;
            }
            writeln!(f, "config {section}")?;
            for Entry { name, value } in &section.options {
                let command = if matches!(value, Value::One(_)) { "option" } else { "list" };
                for text in value.texts() {
                    writeln!(f, "\t{command} {name} {}", Quoted(&text.text))?;
                }
            }
        }
        Ok(())
    }
}

/// A text in single quotes, which take everything literally but themselves.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("'")?;
        for (i, part) in self.0.split('\'').enumerate() {
            if i > 0 {
                f.write_str("'\\''")?;
            }
            f.write_str(part)?;
        }
        f.write_str("'")
    }
}

#[cfg(test)]
#[path = "uci_tests.rs"]
mod tests;
