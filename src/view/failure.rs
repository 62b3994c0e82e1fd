//! Why a command failed, for people and for programs.

use super::findings;
use super::writer::line;
use crate::config::Errors;
use crate::control::Form;
use core::fmt::Write;

/// It failed, or the answer is no.
pub const FAILED: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 2;
/// The daemon cannot be reached.
pub const UNREACHABLE: u8 = 3;
/// The configuration is wrong.
pub const CONFIGURATION: u8 = 4;

/// Why a command ends with another exit code than 0.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// What to say; empty when the output says it already.
    pub text: String,
    /// A configuration, and all that is wrong with it.
    pub refused: Option<Errors>,
}

impl Failure {
    /// Ends with `code` and says `text`.
    pub fn new(code: u8, text: String) -> Failure {
        Failure { code, text, refused: None }
    }

    /// It was tried.
    pub fn failed(text: String) -> Failure {
        Failure::new(FAILED, text)
    }

    /// The command line is wrong.
    pub fn usage(text: String) -> Failure {
        Failure::new(USAGE, text)
    }

    /// The daemon cannot be reached.
    pub fn unreachable(text: String) -> Failure {
        Failure::new(UNREACHABLE, text)
    }

    /// A configuration that cannot be read, or not be used.
    pub fn configuration(errors: Errors) -> Failure {
        Failure { code: CONFIGURATION, text: errors.to_string(), refused: Some(errors) }
    }

    /// A configuration the daemon does not take.
    pub fn refused(errors: Errors) -> Failure {
        let text = format!("{errors}\nthe daemon keeps its earlier configuration");
        Failure { code: CONFIGURATION, text, refused: Some(errors) }
    }

    /// The output says it.
    pub fn said(code: u8) -> Failure {
        Failure::new(code, String::new())
    }

    /// Writes it; a refused configuration comes with all that is wrong with it.
    pub fn write(&self, out: &mut String, form: Form) {
        let Failure { code, text, refused } = self;
        if text.is_empty() {
            return;
        }
        if let Form::Text { .. } = form {
            // Errors in a configuration begin with FILE:LINE, which editors understand.
            let prefix = if refused.is_some() { "" } else { "dmevpn: " };
            let _ = writeln!(out, "{prefix}{}", text.trim_end());
            return;
        }
        line(out, |o| {
            // A sentence is one line, whatever it is made of.
            o.put("error", &text.split_whitespace().collect::<Vec<_>>().join(" "));
            o.put("code", code);
            if let Some(errors) = refused {
                o.put("file", &errors.file());
                findings(o, "errors", errors.as_slice());
            }
        });
    }
}
