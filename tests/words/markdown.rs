//! `uci/schema.md`.

use super::{EMPTY, HEADER, KINDS, MESSAGE, allowed, default, kinds, paragraphs, sections};
use std::fmt::Write;

/// The text of the file.
pub fn schema() -> String {
    let mut out = format!("<!-- {HEADER} -->\n\n# The configuration file, /etc/config/dmevpn\n\n");
    out += "\
A UCI file with three types of sections. `uci/examples` has complete files; `dmevpn import` makes one from an
`opennhrp.conf` ([docs/import.md](../docs/import.md)).
What is wrong with a file is reported all at once, each with its line:

";
    let _ = writeln!(out, "    {MESSAGE}\n");
    for (kind, text) in KINDS {
        let _ = writeln!(out, "* *{kind}* {text}");
    }
    let _ = writeln!(out, "\n{EMPTY}");
    for (section, groups) in sections() {
        let _ = writeln!(out, "\n## config {} '{}'\n\n{}", section.kind, section.example, section.help);
        for (role, words) in groups {
            if let Some(role) = role {
                let _ = writeln!(out, "\nFor role `{}` only:", role.name());
            }
            out += "\n| Option | Type | Default | Range | What it does |\n|---|---|---|---|---|\n";
            for words in words {
                let cells = [
                    format!("`{}`", words.option.name),
                    kinds(words.option),
                    default(words),
                    allowed(words),
                    paragraphs(words).join(" "),
                ];
                let cells =
                    cells.map(|cell| if cell.is_empty() { " |".to_owned() } else { format!(" {cell} |") });
                let _ = writeln!(out, "|{}", cells.concat());
            }
        }
    }
    out
}
