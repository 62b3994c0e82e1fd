//! A small writer of JSON.

use crate::types::{Mac, Nbma, VlanId, Vni, VpnId};
use core::fmt::{self, Display, Write};
use core::net::IpAddr;

/// Where to; what cannot be written is the receiver's concern, and it remembers.
type Out<'a> = &'a mut (dyn Write + 'a);

/// An object that is being written.
pub struct Object<'a> {
    out: Out<'a>,
    begun: bool,
}

/// Writes the object that `fill` fills.
pub fn object(out: Out<'_>, fill: impl FnOnce(&mut Object<'_>)) {
    let mut object = Object { out, begun: false };
    raw(object.out, "{");
    fill(&mut object);
    raw(object.out, "}");
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
        let mut opening = "[";
        for row in rows {
            raw(self.out, opening);
            object(self.out, |o| fill(o, row));
            opening = ",";
        }
        raw(self.out, if opening == "[" { "[]" } else { "]" });
    }

    /// A member that is an object.
    pub fn object(&mut self, key: &str, fill: impl FnOnce(&mut Object<'_>)) {
        self.key(key);
        object(self.out, fill);
    }

    fn key(&mut self, key: &str) {
        if core::mem::replace(&mut self.begun, true) {
            raw(self.out, ",");
        }
        quoted(self.out, &key);
        raw(self.out, ":");
    }
}

/// What JSON has a form for.
pub trait Value {
    /// Writes it.
    fn write(&self, out: Out<'_>);
}

/// The types that are texts, and those that are numbers, `true` or `false`, as they show themselves.
macro_rules! values {
    ($how:ident: $($type:ty)*) => {$(
        impl Value for $type {
            fn write(&self, out: Out<'_>) {
                $how(out, self);
            }
        }
    )*};
}
values!(quoted: &str String Mac Nbma VpnId IpAddr);
values!(plain: bool u8 u16 u32 u64 Vni VlanId);

impl<T: Value> Value for Option<T> {
    fn write(&self, out: Out<'_>) {
        match self {
            Some(value) => value.write(out),
            None => raw(out, "null"),
        }
    }
}

impl<T: Value> Value for Vec<T> {
    fn write(&self, out: Out<'_>) {
        let mut opening = "[";
        for value in self {
            raw(out, opening);
            value.write(out);
            opening = ",";
        }
        raw(out, if opening == "[" { "[]" } else { "]" });
    }
}

fn raw(out: Out<'_>, text: &str) {
    let _ = out.write_str(text);
}

fn plain(out: Out<'_>, value: &dyn Display) {
    let _ = write!(out, "{value}");
}

fn quoted(out: Out<'_>, text: &dyn Display) {
    raw(out, "\"");
    let _ = write!(Escaped(out), "{text}");
    raw(out, "\"");
}

/// What is written into it is inside the quotes of a JSON string (RFC 8259 section 7). No control character gets through,
/// also not those that the RFC allows: they command a terminal.
struct Escaped<'a>(Out<'a>);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(|c: char| c == '"' || c == '\\' || c.is_control()) {
            let (clean, odd) = rest.split_at(at);
            self.0.write_str(clean)?;
            let mut behind = odd.chars();
            match behind.next() {
                Some(c @ ('"' | '\\')) => write!(self.0, "\\{c}")?,
                Some(c) => write!(self.0, "\\u{:04x}", u32::from(c))?,
                None => break,
            }
            rest = behind.as_str();
        }
        self.0.write_str(rest)
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
        let expected = r#"{"none":null,"some":7,"yes":true,"empty":[],"macs":["02:00:00:00:00:01"],"rows":[{"n":1},{"n":2}],"no rows":[],"labels":{}}"#;
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
