//! What is wrong with a configuration file, fit to be printed.

use core::fmt;

/// One thing that is to be said about a file: that is wrong, or hardly meant so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The line, from 1.
    pub line: u32,
    /// The name of the section it is about, if it is about one that has a name.
    pub section: Option<String>,
    /// The option it is about, if it is about one.
    pub option: Option<String>,
    /// `option 'x': what is wrong and what is allowed`, in one line.
    pub text: String,
}

impl Finding {
    /// What is to be said about `line`.
    pub(super) fn at(line: u32, text: String) -> Finding {
        Finding { line, section: None, option: None, text }
    }
}

/// Everything that is wrong with a file: at least one thing, or that it cannot be read.
///
/// `Display` writes a line `FILE:LINE: what is wrong` for each, without a line end after the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors {
    file: String,
    /// Why it cannot even be read; then there are no others.
    unreadable: Option<String>,
    errors: Vec<Finding>,
}

/// Puts findings in the order of their lines.
pub(super) fn in_order(all: &mut [Finding]) {
    all.sort_by_key(|finding| finding.line);
}

impl Errors {
    /// The errors of `file`, at least one, put in the order of lines.
    pub fn new(file: &str, mut errors: Vec<Finding>) -> Errors {
        debug_assert!(!errors.is_empty());
        in_order(&mut errors);
        Errors { file: file.to_owned(), unreadable: None, errors }
    }

    /// That `file` cannot be read, and why.
    pub fn unreadable(file: &str, why: String) -> Errors {
        Errors { file: file.to_owned(), unreadable: Some(why), errors: Vec::new() }
    }

    /// The file.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The errors in the order of lines.
    pub fn as_slice(&self) -> &[Finding] {
        &self.errors
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(why) = &self.unreadable {
            write!(f, "{}: {why}", self.file)?;
        }
        for (i, Finding { line, text, .. }) in self.errors.iter().enumerate() {
            let end_of_last = if i > 0 { "\n" } else { "" };
            write!(f, "{end_of_last}{}:{line}: {text}", self.file)?;
        }
        Ok(())
    }
}

impl core::error::Error for Errors {}
