//! The words of an `opennhrp.conf`, as OpenNHRP reads them.
//!
//! White space separates words, the end of a line like any other. A `#` where a word would begin starts a comment,
//! up to the end of the line; inside a word it is a character like others. There are no quotes and no escapes. OpenNHRP cuts
//! words after 31 bytes; here they have any length.

use crate::config::errors::Finding;

/// A word and its line, from 1.
#[derive(Clone, Copy)]
pub struct Word<'a> {
    pub line: u32,
    pub text: &'a str,
}

/// All words in order, or those that are not UTF-8, or hold U+FFFD, by which a configuration knows what is not. Comments may
/// be in any encoding.
pub fn words(octets: &[u8]) -> Result<Vec<Word<'_>>, Vec<Finding>> {
    let (mut words, mut errors) = (Vec::new(), Vec::new());
    for (line, octets) in (1..).zip(octets.split(|o| *o == b'\n')) {
        let parts = octets.split(|o| is_space(*o)).filter(|part| !part.is_empty());
        for part in parts.take_while(|part| !part.starts_with(b"#")) {
            match core::str::from_utf8(part) {
                Ok(text) if !text.contains(char::REPLACEMENT_CHARACTER) => words.push(Word { line, text }),
                _ => errors.push(Finding::at(line, "a word is not UTF-8 text".to_owned())),
            }
        }
    }
    if errors.is_empty() { Ok(words) } else { Err(errors) }
}

/// C's isspace.
fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t'..=b'\r')
}
