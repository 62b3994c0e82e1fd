//! Reads the `opennhrp.conf` of OpenNHRP and of the dmevpn in C, and writes the same network as a UCI file.
//!
//! `words` splits the file, `statement` types it, `translate` says it in UCI. `docs/import.md` tells users what becomes
//! of each keyword. Nothing is lost silently: what has no meaning here, or had to be assumed, is a note with its line.

mod statement;
mod translate;
mod words;

pub use statement::KEYWORDS;

use super::errors::{Errors, Finding};
use super::uci::Text;
use core::fmt::Write;

/// The largest file that is read, in octets.
pub const MAX_BYTES: usize = 1 << 16;

const HEADING: &str = "\
# From an opennhrp.conf, by `dmevpn import`. Routers that run the original are not understood: move all
# routers of a network together. What was left out, and what is assumed since the file does not say it:
";

/// The UCI file for `octets`, the content of an `opennhrp.conf` that error messages call `file_name`.
/// [`Config::parse`](super::Config::parse) has nothing to say against it.
///
/// # Errors
///
/// Everything that is wrong with the file, in the order of its lines: first as words and keywords, and only when there
/// it is right, as a network.
pub fn import(file_name: &str, octets: &[u8]) -> Result<String, Errors> {
    translated(octets).map_err(|errors| Errors::new(file_name, errors))
}

fn translated(octets: &[u8]) -> Result<String, Vec<Finding>> {
    if octets.len() > MAX_BYTES {
        let text = format!("the file has more than {MAX_BYTES} bytes");
        return Err(vec![Finding::at(1, text)]);
    }
    let words = words::words(octets)?;
    let statements = statement::statements(&words)?;
    let (file, notes) = translate::translate(&statements)?;
    let mut text = HEADING.to_owned();
    notes.iter().for_each(|note| comment(&mut text, note));
    let _ = write!(text, "\n{file}");
    Ok(text)
}

/// Writes a note as comment lines of a readable width.
fn comment(text: &mut String, note: &Text) {
    const WIDTH: usize = 100;
    let _ = write!(text, "# line {}:", note.line);
    let mut column = 10;
    for word in note.text.split(' ') {
        if column + 1 + word.len() > WIDTH {
            text.push_str("\n#  ");
            column = 3;
        }
        text.push(' ');
        text.push_str(word);
        column += 1 + word.len();
    }
    text.push('\n');
}
