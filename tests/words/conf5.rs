//! The man page dmevpn.conf(5).

use super::{EMPTY, HEADER, KINDS, MESSAGE, REQUIRED, allowed, default, kinds, paragraphs, sections};
use std::fmt::Write;

/// The text of the page.
pub fn page() -> String {
    let mut out = format!(
        ".\\\" {HEADER}\n\
         .TH DMEVPN.CONF 5 \"\" dmevpn \"File Formats\"\n\
         .SH NAME\n\
         dmevpn.conf \\- configuration of dmevpn\n\
         .SH SYNOPSIS\n\
         .I /etc/config/dmevpn\n\
         .SH DESCRIPTION\n"
    );
    out += &roff(
        "A file in OpenWrt's UCI format. `dmevpn check` tells what is wrong with one, all at once, each with its line:",
    );
    let _ = write!(out, ".PP\n.nf\n.RS\n{}.RE\n.fi\n.PP\n", roff(MESSAGE));
    for (kind, text) in KINDS {
        let _ = write!(out, ".TP\n.I {kind}\n{}", roff(text));
    }
    let _ = write!(out, ".PP\n{}", roff(EMPTY));
    for (section, groups) in sections() {
        let _ = write!(out, ".SH \"CONFIG {}\"\n{}", section.kind.to_uppercase(), roff(section.help));
        for (role, words) in groups {
            if let Some(role) = role {
                let _ = writeln!(out, ".SS \"For role {} only\"", role.name());
            }
            for words in words {
                let _ = write!(
                    out,
                    ".TP\n.BR {} \" (\" \\fI{}\\fR )\n",
                    words.option.name,
                    kinds(words.option).replace(' ', "\\ ")
                );
                let mut paragraphs = paragraphs(words);
                paragraphs[0] += &match allowed(words) {
                    nothing if nothing.is_empty() => nothing,
                    allowed => format!(" Allowed: {allowed}."),
                };
                paragraphs[0] += &match default(words) {
                    nothing if nothing.is_empty() => nothing,
                    default if default.starts_with(REQUIRED) => format!(" It is {default}."),
                    default => format!(" Default: {default}."),
                };
                out += &paragraphs.iter().map(|p| roff(p)).collect::<Vec<_>>().join(".IP\n");
            }
        }
    }
    out += ".SH FILES\n.TP\n.I /usr/share/doc/dmevpn/examples\ncomplete files\n.SH \"SEE ALSO\"\n.BR dmevpn (8)\n";
    out
}

/// A paragraph as roff, a sentence a line; what stands between backticks becomes bold.
pub fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    let parts = text.split('`').enumerate();
    let text: String =
        parts.map(|(i, part)| if i % 2 == 1 { format!("\\fB{part}\\fR") } else { part.to_owned() }).collect();
    let mut out = String::new();
    for line in text.replace(". ", ".\n").lines() {
        // A line that begins with one of these would be a request.
        let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
        let _ = writeln!(out, "{guard}{line}");
    }
    out
}
