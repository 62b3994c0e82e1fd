//! What is wrong with a configuration file, fit to be printed.

use core::fmt;

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The line, from 1.
    pub line: u32,
    /// `option 'x': what is wrong and what is allowed`, in one line.
    pub text: String,
}

/// Everything that is wrong with a file: at least one thing.
///
/// `Display` writes a line `FILE:LINE: what is wrong` for each, without a line end after the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors {
    file: String,
    errors: Vec<Error>,
}

impl Errors {
    /// The errors of `file`, at least one, put in the order of lines.
    pub(super) fn new(file: &str, mut errors: Vec<Error>) -> Errors {
        debug_assert!(!errors.is_empty());
        errors.sort_by_key(|e| e.line);
        Errors { file: file.to_owned(), errors }
    }

    /// The errors in the order of lines.
    pub fn as_slice(&self) -> &[Error] {
        &self.errors
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Error { line, text }) in self.errors.iter().enumerate() {
            let end_of_last = if i > 0 { "\n" } else { "" };
            write!(f, "{end_of_last}{}:{line}: {text}", self.file)?;
        }
        Ok(())
    }
}

impl core::error::Error for Errors {}
