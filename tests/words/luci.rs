//! `options.js`, the words for LuCI's pages.

use super::{HEADER, paragraphs, sections};
use dmevpn::config::RoleKind;
use dmevpn::config::options::{Kind, Opt, Unset, Words};
use std::fmt::Write;

const ABOUT: &str = "\
// options.SECTION.OPTION, with `dmevpn` called `main`:
//   title, help  texts; help is HTML
//   type         boolean, number, word, interface, address, host, path, secret, vpn_id, or hub, key, vn (the name of a section)
//   default      what holds when it is not set, as text, or null; NAME in it stands for the VN's name
//   required     whether it has to be set
//   list         whether it may have several values
//   roles        the roles of the VNs that may have it
//   expert       whether most users never need it
//   min, max     of a number; unit: what is counted, or ''
//   words        of a word
// `default` and `required` are objects, { spoke: ..., hub: ... }, where the role of the VN matters.
";

/// The text of the module.
pub fn module() -> String {
    let mut out =
        format!("'use strict';\n'require baseclass';\n\n// {HEADER}\n{ABOUT}\nreturn baseclass.extend({{\n");
    let all: Vec<String> = sections()
        .map(|(section, groups)| {
            let name = if section.kind == "dmevpn" { "main" } else { section.kind };
            let options: Vec<String> = groups.into_iter().flat_map(|(_, words)| words).map(option).collect();
            format!("\t{name}: {{\n{}\n\t}}", options.join(",\n"))
        })
        .collect();
    let _ = writeln!(out, "{}\n}});", all.join(",\n"));
    out
}

fn option(words: &Words) -> String {
    let option = words.option;
    let mut fields = vec![
        format!("title: _({})", quoted(words.title)),
        format!("help: _({})", quoted(&html(&paragraphs(words)[0]))),
        format!("type: {}", quoted(kind(option))),
        format!("default: {}", by_role(option, default)),
        format!("required: {}", by_role(option, |unset| matches!(unset, Unset::Refused(_)).to_string())),
        format!("list: {}", option.list),
        format!("roles: {}", roles(option)),
        format!("expert: {}", option.expert),
    ];
    match option.kind {
        Kind::Number { min, max, unit } => {
            fields.extend([format!("min: {min}"), format!("max: {max}"), format!("unit: {}", quoted(unit))]);
        }
        Kind::Word(words) => {
            let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
            fields.push(format!("words: [ {} ]", words.join(", ")));
        }
        _ => {}
    }
    format!("\t\t{}: {{\n\t\t\t{}\n\t\t}}", option.name, fields.join(",\n\t\t\t"))
}

fn kind(option: &Opt) -> &'static str {
    match option.kind {
        Kind::Boolean => "boolean",
        Kind::Number { .. } => "number",
        Kind::Word(_) => "word",
        Kind::Interface => "interface",
        Kind::Address => "address",
        Kind::Host => "host",
        Kind::Prefix => "prefix",
        Kind::Path { .. } => "path",
        Kind::Password { .. } => "password",
        Kind::VpnId => "vpn_id",
        Kind::Secret { .. } => "secret",
        Kind::Section(kind) => kind,
    }
}

fn by_role(option: &Opt, of: impl Fn(&Unset) -> String) -> String {
    match option.unset {
        Unset::ByRole { spoke, hub } if of(spoke) != of(hub) => {
            format!("{{ spoke: {}, hub: {} }}", of(spoke), of(hub))
        }
        Unset::ByRole { spoke, .. } => of(spoke),
        ref unset => of(unset),
    }
}

fn default(unset: &Unset) -> String {
    match unset {
        Unset::Is(value) => quoted(value),
        Unset::Named(prefix) => quoted(&format!("{prefix}NAME")),
        Unset::Nothing | Unset::Refused(_) | Unset::Derived | Unset::ByRole { .. } => "null".to_owned(),
    }
}

fn roles(option: &Opt) -> String {
    let all = [RoleKind::Spoke, RoleKind::Hub];
    let all = all.into_iter().filter(|role| option.role.is_none_or(|only| only == *role));
    let all: Vec<String> = all.map(|role| quoted(role.name())).collect();
    format!("[ {} ]", all.join(", "))
}

/// What stands between backticks becomes code.
fn html(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let parts = text.split('`').enumerate();
    parts.map(|(i, part)| if i % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() }).collect()
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
