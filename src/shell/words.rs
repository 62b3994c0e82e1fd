//! Errors of the system, in words.

use core::fmt;
use std::io;

/// Shows an error without its number, which says nothing to most and the same as the words to the others.
#[derive(Debug)]
pub struct InWords<'a>(pub &'a io::Error);

impl fmt::Display for InWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(text.split(" (os error ").next().unwrap_or(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_no_numbers() {
        assert_eq!(InWords(&io::Error::from_raw_os_error(libc::EACCES)).to_string(), "Permission denied");
        assert_eq!(InWords(&io::Error::other("it is so")).to_string(), "it is so");
    }
}
