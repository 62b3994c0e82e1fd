//! A small writer of JSON.

use crate::types::{Label, Mac, Nbma, VlanId, Vni, VpnId};
use core::fmt::{self, Display, Write};
use core::net::IpAddr;

/// An object that is being written.
#[derive(Debug)]
pub struct Object<'a> {
    out: &'a mut String,
    begun: bool,
}

/// Writes the object that `fill` fills.
pub fn object(out: &mut String, fill: impl FnOnce(&mut Object<'_>)) {
    let mut object = Object { out, begun: false };
    object.out.push('{');
    fill(&mut object);
    object.out.push('}');
}

impl Object<'_> {
    /// A member.
    pub fn put(&mut self, key: &str, value: &dyn Value) {
        self.key(key);
        value.write(self.out);
    }

    /// A member that is the text `text` shows.
    pub fn text(&mut self, key: &str, text: &dyn Display) {
        self.key(key);
        quoted(self.out, text);
    }

    /// A member that is a list of objects.
    pub fn list<T>(
        &mut self,
        key: &str,
        rows: impl IntoIterator<Item = T>,
        fill: impl Fn(&mut Object<'_>, T),
    ) {
        self.key(key);
        let mut list = List::default();
        for row in rows {
            list.row(self.out, |o| fill(o, row));
        }
        list.close(self.out);
    }

    /// A member that is an object.
    pub fn object(&mut self, key: &str, fill: impl FnOnce(&mut Object<'_>)) {
        self.key(key);
        object(self.out, fill);
    }

    fn key(&mut self, key: &str) {
        if core::mem::replace(&mut self.begun, true) {
            self.out.push(',');
        }
        quoted(self.out, &key);
        self.out.push(':');
    }
}

/// One document is one line.
pub fn line(out: &mut String, fill: impl FnOnce(&mut Object<'_>)) {
    object(out, fill);
    out.push('\n');
}

/// An object whose last member is a list, written row by row.
#[derive(Debug, Default)]
pub struct List {
    begun: bool,
}

impl List {
    /// The object up to the list `key`; `fill` writes its other members.
    pub fn begin(out: &mut String, key: &str, fill: impl FnOnce(&mut Object<'_>)) -> List {
        out.push('{');
        let mut object = Object { out, begun: false };
        fill(&mut object);
        object.key(key);
        List::default()
    }

    /// A row.
    pub fn row(&mut self, out: &mut String, fill: impl FnOnce(&mut Object<'_>)) {
        self.next(out);
        object(out, fill);
    }

    /// What stands in front of a row.
    pub fn next(&mut self, out: &mut String) {
        out.push(if core::mem::replace(&mut self.begun, true) { ',' } else { '[' });
    }

    /// The end of the object.
    pub fn end(&mut self, out: &mut String) {
        self.close(out);
        out.push('}');
    }

    /// The end of an object that is a document.
    pub fn end_line(&mut self, out: &mut String) {
        self.end(out);
        out.push('\n');
    }

    fn close(&mut self, out: &mut String) {
        out.push_str(if self.begun { "]" } else { "[]" });
    }
}

/// What JSON has a form for.
pub trait Value {
    /// Writes it.
    fn write(&self, out: &mut String);
}

/// The types that are texts, and those that are numbers, `true` or `false`, as they show themselves.
macro_rules! values {
    ($how:ident: $($type:ty)*) => {$(
        impl Value for $type {
            fn write(&self, out: &mut String) {
                $how(out, self);
            }
        }
    )*};
}
values!(quoted: &str String Label Mac Nbma VpnId IpAddr);
values!(plain: bool u8 u16 u32 u64 Vni VlanId);

impl<T: Value> Value for Option<T> {
    fn write(&self, out: &mut String) {
        match self {
            Some(value) => value.write(out),
            None => out.push_str("null"),
        }
    }
}

impl<T: Value> Value for Vec<T> {
    fn write(&self, out: &mut String) {
        let mut opening = "[";
        for value in self {
            out.push_str(opening);
            value.write(out);
            opening = ",";
        }
        out.push_str(if opening == "[" { "[]" } else { "]" });
    }
}

fn plain(out: &mut String, value: &dyn Display) {
    let _ = write!(out, "{value}");
}

fn quoted(out: &mut String, text: &dyn Display) {
    out.push('"');
    let _ = write!(Escaped(out), "{text}");
    out.push('"');
}

/// What is written into it is inside the quotes of a JSON string (RFC 8259 section 7). No control character gets through,
/// also not those that the RFC allows: they command a terminal.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(|c: char| c == '"' || c == '\\' || c.is_control()) {
            let (clean, odd) = rest.split_at(at);
            self.0.push_str(clean);
            let mut behind = odd.chars();
            match behind.next() {
                Some(c @ ('"' | '\\')) => write!(self.0, "\\{c}")?,
                Some(c) => write!(self.0, "\\u{:04x}", u32::from(c))?,
                None => break,
            }
            rest = behind.as_str();
        }
        self.0.push_str(rest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_document_with_all_there_is() {
        let mut out = String::new();
        object(&mut out, |o| {
            o.put("none", &None::<u32>);
            o.put("some", &Some(7u32));
            o.put("yes", &true);
            o.put("empty", &Vec::<u32>::new());
            o.put("macs", &vec![Mac::new([2, 0, 0, 0, 0, 1])]);
            o.list("rows", [1u32, 2], |o, n| o.put("n", &n));
            o.list("no rows", [0u32; 0], |o, n| o.put("n", &n));
            o.object("labels", |_| {});
        });
        out.push('\n');
        List::begin(&mut out, "list", |o| o.put("n", &1u32)).end_line(&mut out);
        let mut list = List::begin(&mut out, "list", |_| {});
        list.row(&mut out, |o| o.put("n", &1u32));
        list.row(&mut out, |o| o.put("n", &2u32));
        list.end(&mut out);
        let expected = r#"{"none":null,"some":7,"yes":true,"empty":[],"macs":["02:00:00:00:00:01"],"rows":[{"n":1},{"n":2}],"no rows":[],"labels":{}}
{"n":1,"list":[]}
{"list":[{"n":1},{"n":2}]}"#;
        assert_eq!(out, expected);
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in any::<String>(), odd in "[\u{0}-\u{9f}]{0,20}") {
            let mut out = String::new();
            object(&mut out, |o| o.text(&odd, &text));
            let read: serde_json::Value = serde_json::from_str(&out).unwrap();
            prop_assert_eq!(read[&odd].as_str(), Some(text.as_str()));
            prop_assert!(!out.contains(char::is_control));
        }
    }
}
