//! A request as a line of JSON, such as `{"cmd":"macs","vn":"lan"}`: for programs in other languages.
//!
//! An object without objects and lists in it (RFC 8259): names and texts, whole numbers, `true`, `false`, `null`, which
//! stands for nothing. `cmd` is the name of a command, the others are what it is about; what a command does not take is
//! refused, so that nobody believes to be understood.

use super::{Form, Question, Request};
use crate::types::Mac;

/// The request in a line.
///
/// # Errors
/// What is wrong with it, as a sentence.
pub fn request(line: &[u8]) -> Result<Request, String> {
    let line = core::str::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned())?;
    let mut given = Given::default();
    members(line, |name, value| given.take(&name, value))?;
    Ok(Request { question: given.question()?, form: Form::Json })
}

/// What a line may say.
const KEYS: [&str; 6] = ["cmd", "vn", "mac", "after", "remove", "off"];
const CMD: usize = 0;
const VN: usize = 1;
const MAC: usize = 2;
const AFTER: usize = 3;
const REMOVE: usize = 4;
const OFF: usize = 5;

/// What it said.
#[derive(Default)]
struct Given([Option<Value>; KEYS.len()]);

impl Given {
    fn take(&mut self, name: &str, value: Value) -> Result<(), String> {
        let Some(key) = KEYS.iter().position(|key| *key == name) else {
            return Err(format!("'{name}' is unknown; there are {}", KEYS.join(", ")));
        };
        if value == Value::Nothing {
            return Ok(());
        }
        match self.0[key].replace(value) {
            None => Ok(()),
            Some(_) => Err(format!("'{name}' is there twice")),
        }
    }

    /// What is asked, with all that was given.
    fn question(mut self) -> Result<Question, String> {
        let cmd = self.text(CMD)?.ok_or("'cmd' is missing, the name of a command")?;
        let needs = |key: usize| format!("'{cmd}' needs '{}'", KEYS[key]);
        let question = match cmd.as_str() {
            "status" => Question::Status { vn: self.text(VN)? },
            "macs" => Question::Macs { vn: self.text(VN)? },
            "paths" => Question::Paths { vn: self.text(VN)? },
            "peers" => match self.text(REMOVE)? {
                None => Question::Peers { vn: self.text(VN)? },
                Some(peer) => {
                    let peer = peer.parse().map_err(|e| format!("'{peer}' is {e}"))?;
                    Question::Remove { vn: self.text(VN)?, peer }
                }
            },
            "resolve" => Question::Resolve {
                vn: self.text(VN)?.ok_or_else(|| needs(VN))?,
                mac: self.mac()?.ok_or_else(|| needs(MAC))?,
            },
            "flush" => Question::Flush { vn: self.text(VN)?, mac: self.mac()? },
            "drain" => {
                Question::Drain { vn: self.text(VN)?.ok_or_else(|| needs(VN))?, off: self.truth(OFF)? }
            }
            "monitor" => Question::Monitor,
            "events" => Question::Events { after: self.number(AFTER)?.unwrap_or(0) },
            "reload" => Question::Reload,
            "metrics" => Question::Metrics,
            _ => return Err(format!("'{cmd}' is not a command that the daemon is asked by")),
        };
        if let Question::Flush { vn: None, mac: Some(_) } = question {
            return Err(needs(VN));
        }
        match self.0.iter().position(Option::is_some) {
            Some(key) => Err(format!("'{cmd}' does not take '{}'", KEYS[key])),
            None => Ok(question),
        }
    }

    fn text(&mut self, key: usize) -> Result<Option<String>, String> {
        match self.0[key].take() {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(format!("'{}' takes a text", KEYS[key])),
        }
    }

    fn number(&mut self, key: usize) -> Result<Option<u64>, String> {
        match self.0[key].take() {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(number)),
            Some(_) => Err(format!("'{}' takes a number", KEYS[key])),
        }
    }

    fn truth(&mut self, key: usize) -> Result<bool, String> {
        match self.0[key].take() {
            None => Ok(false),
            Some(Value::Truth(is)) => Ok(is),
            Some(_) => Err(format!("'{}' takes true or false", KEYS[key])),
        }
    }

    fn mac(&mut self) -> Result<Option<Mac>, String> {
        let mac = self.text(MAC)?;
        mac.map(|mac| mac.parse().map_err(|e| format!("'{mac}' is {e}"))).transpose()
    }
}

#[derive(Debug, PartialEq)]
enum Value {
    Text(String),
    Number(u64),
    Truth(bool),
    Nothing,
}

/// Gives `take` the members of a flat object, one after the other.
fn members(line: &str, mut take: impl FnMut(String, Value) -> Result<(), String>) -> Result<(), String> {
    let mut reader = Reader { rest: line };
    reader.expect('{')?;
    if !reader.is_next('}') {
        loop {
            let name = reader.text()?;
            reader.expect(':')?;
            let value = reader.value()?;
            take(name, value)?;
            if reader.is_next('}') {
                break;
            }
            reader.expect(',')?;
        }
    }
    reader.space();
    if reader.rest.is_empty() { Ok(()) } else { Err("something follows the object".into()) }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    fn next(&mut self) -> Option<char> {
        let mut behind = self.rest.chars();
        let next = behind.next();
        self.rest = behind.as_str();
        next
    }

    fn is_next(&mut self, wanted: char) -> bool {
        self.space();
        let rest = self.rest.strip_prefix(wanted);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.is_next(wanted) {
            return Ok(());
        }
        let found = self.next().map_or_else(|| "the end".into(), |c| format!("'{}'", c.escape_default()));
        Err(format!("'{wanted}' belongs where {found} is"))
    }

    fn value(&mut self) -> Result<Value, String> {
        self.space();
        if self.rest.starts_with('"') {
            return self.text().map(Value::Text);
        }
        let end = self.rest.find([',', '}', ' ', '\t', '\r', '\n', ':', '"']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match word {
            "true" | "false" => Ok(Value::Truth(word == "true")),
            "null" => Ok(Value::Nothing),
            _ if word.starts_with(['{', '[']) => Err("objects and lists in the object are not taken".into()),
            _ => {
                // As JSON has it: digits alone, the first of several not 0.
                let plain =
                    word.bytes().all(|b| b.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
                let number = plain.then(|| word.parse().ok()).flatten();
                number.map(Value::Number).ok_or_else(|| {
                    format!("'{}' is not a text, a whole number, true, false or null", word.escape_default())
                })
            }
        }
    }

    fn text(&mut self) -> Result<String, String> {
        self.expect('"')?;
        let mut text = String::new();
        loop {
            match self.next() {
                Some('"') => return Ok(text),
                Some('\\') => text.push(self.escaped()?),
                Some(c) if c >= ' ' => text.push(c),
                Some(_) => return Err("a control character in a text".into()),
                None => return Err("a text does not end".into()),
            }
        }
    }

    /// What stands behind a backslash (RFC 8259 section 7).
    fn escaped(&mut self) -> Result<char, String> {
        Ok(match self.next() {
            Some(c @ ('"' | '\\' | '/')) => c,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => return self.unicode().ok_or_else(|| "'\\u' without a character".into()),
            _ => return Err("a backslash before nothing that it stands before".into()),
        })
    }

    /// A character by its UTF-16 code, or by two of them.
    fn unicode(&mut self) -> Option<char> {
        let first = self.hexadecimal()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first);
        }
        self.rest = self.rest.strip_prefix("\\u")?;
        let second = self.hexadecimal()?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
        char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + second)
    }

    fn hexadecimal(&mut self) -> Option<u32> {
        let (digits, rest) = self.rest.split_at_checked(4)?;
        let hexadecimal = digits.bytes().all(|b| b.is_ascii_hexdigit());
        self.rest = rest;
        u32::from_str_radix(digits, 16).ok().filter(|_| hexadecimal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn question(line: &str) -> Result<Question, String> {
        request(line.as_bytes()).map(|request| {
            assert_eq!(request.form, Form::Json);
            request.question
        })
    }

    #[test]
    fn every_question_has_its_line() {
        let mac: Mac = "52:54:00:00:00:0b".parse().unwrap();
        let vn = || Some("lan".to_owned());
        for (line, expected) in [
            (r#"{"cmd":"status"}"#, Question::Status { vn: None }),
            (r#" { "vn" : "lan" , "cmd" : "status" } "#, Question::Status { vn: vn() }),
            (r#"{"cmd":"macs","vn":"lan"}"#, Question::Macs { vn: vn() }),
            (r#"{"cmd":"peers","vn":null}"#, Question::Peers { vn: None }),
            (r#"{"cmd":"paths","vn":"lan"}"#, Question::Paths { vn: vn() }),
            (
                r#"{"cmd":"resolve","vn":"lan","mac":"52:54:00:00:00:0b"}"#,
                Question::Resolve { vn: "lan".into(), mac },
            ),
            (r#"{"cmd":"flush"}"#, Question::Flush { vn: None, mac: None }),
            (r#"{"cmd":"drain","vn":"lan"}"#, Question::Drain { vn: "lan".into(), off: false }),
            (r#"{"cmd":"drain","vn":"lan","off":true}"#, Question::Drain { vn: "lan".into(), off: true }),
            (
                r#"{"cmd":"flush","vn":"lan","mac":"52-54-00-00-00-0B"}"#,
                Question::Flush { vn: vn(), mac: Some(mac) },
            ),
            (r#"{"cmd":"monitor"}"#, Question::Monitor),
            (r#"{"cmd":"events"}"#, Question::Events { after: 0 }),
            (r#"{"cmd":"events","after":18446744073709551615}"#, Question::Events { after: u64::MAX }),
            (r#"{"cmd":"reload"}"#, Question::Reload),
            (r#"{"cmd":"\u006detrics"}"#, Question::Metrics),
        ] {
            assert_eq!(question(line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, why) in [
            ("{}", "'cmd' is missing"),
            ("{", "'\"' belongs where the end is"),
            (r#"{"cmd":"status""#, "',' belongs where the end is"),
            (r#"{"cmd":"status"} x"#, "something follows the object"),
            (r#"{"cmd" "status"}"#, "':' belongs where '\\\"' is"),
            (r#"{"cmd":"bogus"}"#, "'bogus' is not a command"),
            (r#"{"cmd":"daemon"}"#, "'daemon' is not a command that the daemon is asked by"),
            (r#"{"cmd":1}"#, "'cmd' takes a text"),
            (r#"{"cmd":true}"#, "'cmd' takes a text"),
            (r#"{"cmd":"status","cmd":"macs"}"#, "'cmd' is there twice"),
            (r#"{"cmd":"status","mac":"52:54:00:00:00:0b"}"#, "'status' does not take 'mac'"),
            (r#"{"cmd":"reload","after":0}"#, "'reload' does not take 'after'"),
            (r#"{"cmd":"status","json":true}"#, "'json' is unknown"),
            (r#"{"cmd":"resolve","mac":"52:54:00:00:00:0b"}"#, "'resolve' needs 'vn'"),
            (r#"{"cmd":"resolve","vn":"lan"}"#, "'resolve' needs 'mac'"),
            (r#"{"cmd":"flush","mac":"52:54:00:00:00:0b"}"#, "'flush' needs 'vn'"),
            (r#"{"cmd":"flush","vn":"lan","mac":"x"}"#, "'x' is not a station's MAC address"),
            (r#"{"cmd":"events","after":-1}"#, "'-1' is not"),
            (r#"{"cmd":"events","after":1.5}"#, "'1.5' is not"),
            (r#"{"cmd":"events","after":07}"#, "'07' is not"),
            (r#"{"cmd":"events","after":18446744073709551616}"#, "is not"),
            (r#"{"cmd":"events","after":"1"}"#, "'after' takes a number"),
            (r#"{"cmd":"events","after":1,"after":1}"#, "'after' is there twice"),
            (r#"{"cmd":["status"]}"#, "objects and lists"),
            (r#"{"cmd":{"a":1}}"#, "objects and lists"),
            ("{\"cmd\":\"a\u{1}\"}", "a control character"),
            (r#"{"cmd":"a\x"}"#, "a backslash"),
            (r#"{"cmd":"\ud800"}"#, "'\\u' without a character"),
            (r#"{"cmd":"\u00e"}"#, "'\\u' without a character"),
            (r#"{"cmd":"status"#, "a text does not end"),
        ] {
            let error = question(line).unwrap_err();
            assert!(error.contains(why), "{line}: {error}");
        }
        assert_eq!(request(b"{\xff}"), Err("it is not UTF-8".into()));
    }

    proptest! {
        /// What others write is read as they meant it.
        #[test]
        fn any_text_comes_through(text in any::<String>(), number in any::<u64>()) {
            let line = json!({ "cmd": "macs", "vn": text }).to_string();
            prop_assert_eq!(question(&line), Ok(Question::Macs { vn: Some(text.clone()) }));
            let ascii: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            let line = format!("{{\"cmd\":\"macs\",\"vn\":\"{ascii}\"}}");
            prop_assert_eq!(question(&line), Ok(Question::Macs { vn: Some(text) }));
            let line = json!({ "cmd": "events", "after": number }).to_string();
            prop_assert_eq!(question(&line), Ok(Question::Events { after: number }));
        }

        /// And only that: what is no JSON is refused.
        #[test]
        fn nothing_else_is_taken(line in "[{}\\[\\]\":,\\\\ucmdstaus0-9 .-]{0,40}", any in any::<Vec<u8>>()) {
            let _ = request(&any);
            for line in [line.clone(), format!("{{\"cmd\":{line}}}"), format!("{{\"cmd\":\"status\",{line}}}")] {
                if question(&line).is_ok() {
                    prop_assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{}", line);
                }
            }
        }
    }
}
