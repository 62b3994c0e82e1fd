//! Messages on the control socket, a stream.
//!
//! ```text
//! request   length, 4 octets, big endian | version, 1 octet | Request (postcard)
//! answer    pieces: length | version | kind, 1 octet | octets
//! ```
//!
//! The length counts what follows it. The version is looked at before anything else of a message: what another version
//! says is never guessed at. Where a request would begin there may be a [`mod@line`] of JSON instead, whose first octet no
//! length begins with. Its answer is what a command with `--json` prints, as it is.

use super::{Request, line};
use core::fmt;

/// The version of the messages this program speaks. Whatever changes [`Request`] or [`Kind`] raises it.
pub const VERSION: u8 = 5;

/// The longest request, in octets after the length, or in a line.
pub const MAX_REQUEST: u32 = 4096;

/// The longest piece of an answer, in octets after the length.
pub const MAX_PIECE: u32 = 1 << 16;

/// A piece is cut at about so many octets.
const PIECE: usize = 16 << 10;

const LENGTH_LEN: usize = 4;

/// Why octets are not a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// A frame without even a version.
    Empty,
    /// A frame longer than is taken here.
    TooLong {
        /// Its length.
        len: u32,
        /// The limit.
        max: u32,
    },
    /// A message of another version.
    Version {
        /// The version the other end speaks.
        theirs: u8,
    },
    /// Octets of the right version that are not the message expected.
    Body,
    /// A line that is no request, and why.
    Line(String),
    /// A line that does not end.
    Endless,
}

impl FrameError {
    /// What the daemon answers to such a request.
    pub fn answer(&self) -> String {
        match self {
            FrameError::Version { theirs } => {
                format!("this daemon speaks control version {VERSION}, the request is of version {theirs}")
            }
            other => other.to_string(),
        }
    }

    /// Whether nobody knows where the next message starts: the connection has to be closed.
    pub fn is_end(&self) -> bool {
        matches!(self, FrameError::Empty | FrameError::TooLong { .. } | FrameError::Endless)
    }

    /// Whether it was a line, which is answered by one.
    pub fn is_of_line(&self) -> bool {
        matches!(self, FrameError::Line(_) | FrameError::Endless)
    }
}

/// As a client reads it.
impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::Empty => f.write_str("an empty message on the control socket"),
            FrameError::TooLong { len, max } => {
                write!(f, "a message of {len} octets on the control socket, where {max} are allowed")
            }
            FrameError::Version { theirs } => write!(
                f,
                "the daemon speaks control version {theirs}, this program {VERSION}: \
                 use the dmevpn program the daemon was started from"
            ),
            FrameError::Body => f.write_str("an unreadable message on the control socket"),
            FrameError::Line(why) => write!(f, "not a request: {why}"),
            FrameError::Endless => {
                write!(f, "a line of more than {MAX_REQUEST} octets on the control socket")
            }
        }
    }
}

impl core::error::Error for FrameError {}

impl Request {
    /// The request as a frame.
    ///
    /// # Errors
    /// [`FrameError::TooLong`] when a name in it is absurdly long.
    pub fn encode(&self) -> Result<Vec<u8>, FrameError> {
        let octets = postcard::to_extend(self, head(&[])).map_err(|_| FrameError::Body)?;
        finished(octets, MAX_REQUEST)
    }

    fn decode(body: &[u8]) -> Result<Request, FrameError> {
        let (request, rest) = postcard::take_from_bytes(body).map_err(|_| FrameError::Body)?;
        if rest.is_empty() { Ok(request) } else { Err(FrameError::Body) }
    }
}

/// What a piece of an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 for standard output; a character is never in two pieces.
    Output = 0,
    /// The same for standard error.
    Complaint = 1,
    /// The answer is over; the exit code, one octet.
    End = 2,
}

/// A piece of an answer, to be sent. `octets` are less than [`MAX_PIECE`] by more than 2.
pub fn piece(kind: Kind, octets: &[u8]) -> Vec<u8> {
    let mut frame = head(&[kind as u8]);
    frame.extend_from_slice(octets);
    finished(frame, MAX_PIECE).unwrap_or_default()
}

/// Adds `text` to what is to be sent, cut between characters into pieces that are not too long; nothing is a piece, too.
pub fn add(octets: &mut Vec<u8>, framing: Framing, kind: Kind, mut text: &str) {
    if let Framing::Lines = framing {
        // There is no other output.
        return octets.extend_from_slice(text.as_bytes());
    }
    loop {
        let mut end = text.len().min(PIECE);
        while !text.is_char_boundary(end) {
            end += 1;
        }
        let (now, later) = text.split_at(end);
        octets.extend(piece(kind, now.as_bytes()));
        if later.is_empty() {
            return;
        }
        text = later;
    }
}

/// Ends what is to be sent.
pub fn end(octets: &mut Vec<u8>, framing: Framing, code: u8) {
    if let Framing::Frames = framing {
        octets.extend(piece(Kind::End, &[code]));
    }
}

/// A piece of an answer that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What it is.
    pub kind: Kind,
    /// What it says.
    pub octets: Vec<u8>,
}

/// How a request came: so goes its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// By a frame; the answer in pieces.
    Frames,
    /// By a line; the answer as it is.
    Lines,
}

/// Takes messages off a stream that arrives in bits.
#[derive(Debug, Default)]
pub struct Decoder {
    buf: Vec<u8>,
}

impl Decoder {
    /// Adds what arrived.
    pub fn push(&mut self, octets: &[u8]) {
        self.buf.extend_from_slice(octets);
    }

    /// For the daemon: the next request; `None` when more octets are needed.
    ///
    /// # Errors
    /// [`FrameError`], to be told by [`FrameError::answer`]; after those that are an end, only to hang up.
    pub fn request(&mut self) -> Result<Option<(Request, Framing)>, FrameError> {
        // A line may end with more than it needs.
        let blank = self.buf.iter().take_while(|octet| octet.is_ascii_whitespace()).count();
        self.buf.drain(..blank);
        if self.buf.first() == Some(&b'{') {
            let Some(end) = self.buf.iter().position(|octet| *octet == b'\n') else {
                let endless = self.buf.len() > MAX_REQUEST as usize;
                return if endless { Err(FrameError::Endless) } else { Ok(None) };
            };
            if end > MAX_REQUEST as usize {
                return Err(FrameError::Endless);
            }
            let line: Vec<u8> = self.buf.drain(..=end).collect();
            let request = line::request(&line).map_err(FrameError::Line)?;
            return Ok(Some((request, Framing::Lines)));
        }
        let Some(body) = self.frame(MAX_REQUEST)? else { return Ok(None) };
        Ok(Some((Request::decode(&body)?, Framing::Frames)))
    }

    /// For the daemon: nothing more arrives. That ends a line, too.
    pub fn end(&mut self) {
        if self.buf.first() == Some(&b'{') {
            self.buf.push(b'\n');
        }
    }

    /// For a client: the next piece of an answer; `None` when more octets are needed.
    ///
    /// # Errors
    /// [`FrameError`]; there is nothing more to expect then.
    pub fn piece(&mut self) -> Result<Option<Piece>, FrameError> {
        let Some(mut octets) = self.frame(MAX_PIECE)? else { return Ok(None) };
        let kind = match octets.first() {
            Some(0) => Kind::Output,
            Some(1) => Kind::Complaint,
            Some(2) => Kind::End,
            _ => return Err(FrameError::Body),
        };
        octets.remove(0);
        Ok(Some(Piece { kind, octets }))
    }

    /// What follows the version in the next frame.
    fn frame(&mut self, max: u32) -> Result<Option<Vec<u8>>, FrameError> {
        let Some((length, rest)) = self.buf.split_first_chunk::<LENGTH_LEN>() else {
            return Ok(None);
        };
        let len = u32::from_be_bytes(*length);
        if len > max {
            return Err(FrameError::TooLong { len, max });
        }
        if len == 0 {
            return Err(FrameError::Empty);
        }
        let Some((&version, body)) = rest.get(..len as usize).and_then(<[u8]>::split_first) else {
            return Ok(None);
        };
        let body = body.to_vec();
        self.buf.drain(..LENGTH_LEN + len as usize);
        if version == VERSION { Ok(Some(body)) } else { Err(FrameError::Version { theirs: version }) }
    }
}

/// A frame's beginning: room for the length, the version and `rest`.
fn head(rest: &[u8]) -> Vec<u8> {
    let mut octets = vec![0; LENGTH_LEN];
    octets.push(VERSION);
    octets.extend_from_slice(rest);
    octets
}

/// The frame with its length.
fn finished(mut frame: Vec<u8>, max: u32) -> Result<Vec<u8>, FrameError> {
    let len = u32::try_from(frame.len() - LENGTH_LEN).unwrap_or(u32::MAX);
    if len > max {
        return Err(FrameError::TooLong { len, max });
    }
    frame[..LENGTH_LEN].copy_from_slice(&len.to_be_bytes());
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Form, Question};
    use proptest::prelude::*;

    fn requests() -> Vec<Request> {
        let mac = "52:54:00:00:00:0b".parse().unwrap();
        let questions = [
            Question::Status { vn: None },
            Question::Macs { vn: None },
            Question::Peers { vn: Some("test".into()) },
            Question::Paths { vn: None },
            Question::Resolve { vn: "test".into(), mac },
            Question::Flush { vn: Some("test".into()), mac: Some(mac) },
            Question::Monitor,
            Question::Record,
            Question::Events { after: 7 },
            Question::Reload,
            Question::Metrics,
            Question::Remove { vn: None, peer: "10.0.0.2,100".parse().unwrap() },
            Question::Drain { vn: "test".into(), off: true },
        ];
        let forms = [Form::Json, Form::Text { columns: 0 }, Form::Text { columns: 80 }];
        let request = |(question, form)| Request { question, form };
        questions.into_iter().zip(forms.into_iter().cycle()).map(request).collect()
    }

    #[test]
    fn requests_round_trip_octet_by_octet() {
        let mut decoder = Decoder::default();
        let mut got = Vec::new();
        for octet in requests().iter().flat_map(|r| r.encode().unwrap()) {
            decoder.push(&[octet]);
            got.extend(decoder.request().unwrap());
        }
        let sent = requests().into_iter().map(|request| (request, Framing::Frames));
        assert_eq!(got, sent.collect::<Vec<_>>());
        assert_eq!(decoder.request(), Ok(None));
    }

    #[test]
    fn the_octets_of_version_5_stay() {
        let request = |question, form| Request { question, form }.encode().unwrap();
        let status = request(Question::Status { vn: None }, Form::Text { columns: 80 });
        assert_eq!(status, [0, 0, 0, 5, 5, 0, 0, 0, 80]);
        let mac = "52:54:00:00:00:0b".parse().ok();
        let flush = request(Question::Flush { vn: Some("ab".into()), mac }, Form::Json);
        assert_eq!(flush, [0, 0, 0, 14, 5, 4, 1, 2, b'a', b'b', 1, 0x52, 0x54, 0, 0, 0, 0x0b, 1]);
        assert_eq!(piece(Kind::Output, b"ab"), [0, 0, 0, 4, 5, 0, b'a', b'b']);
        assert_eq!(piece(Kind::End, &[4]), [0, 0, 0, 3, 5, 2, 4]);
    }

    #[test]
    fn pieces_come_as_they_were_sent() {
        let mut decoder = Decoder::default();
        let pieces = [(Kind::Output, "a".repeat(60_000)), (Kind::Complaint, "b".into())];
        for (kind, text) in &pieces {
            decoder.push(&piece(*kind, text.as_bytes()));
        }
        for (kind, text) in pieces {
            assert_eq!(decoder.piece(), Ok(Some(Piece { kind, octets: text.into() })));
        }
        assert_eq!(decoder.piece(), Ok(None));
        decoder.push(&[0, 0, 0, 2, VERSION, 3]);
        assert_eq!(decoder.piece(), Err(FrameError::Body));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = "ü€𝄞x".repeat(10_000);
        let mut octets = Vec::new();
        add(&mut octets, Framing::Frames, Kind::Output, &text);
        add(&mut octets, Framing::Frames, Kind::Output, "");
        end(&mut octets, Framing::Frames, 7);
        let mut decoder = Decoder::default();
        decoder.push(&octets);
        let (mut out, mut code, mut pieces) = (String::new(), None, 0);
        while let Some(Piece { kind, octets }) = decoder.piece().unwrap() {
            match kind {
                Kind::End => code = octets.first().copied(),
                _ => out += &String::from_utf8(octets).unwrap(),
            }
            pieces += 1;
        }
        assert_eq!((out == text, code, pieces), (true, Some(7), text.len().div_ceil(PIECE) + 2));
        let mut octets = Vec::new();
        add(&mut octets, Framing::Lines, Kind::Output, "{}\n");
        end(&mut octets, Framing::Lines, 7);
        assert_eq!(octets, b"{}\n");
    }

    #[test]
    fn a_line_is_a_request_too() {
        let mut decoder = Decoder::default();
        decoder.push(b"\r\n {\"cmd\":\"status\"}\r");
        assert_eq!(decoder.request(), Ok(None));
        decoder.push(b"\n{\"cmd\":1}\n{\"cmd\":\"reload\"");
        let request = |question| Request { question, form: Form::Json };
        assert_eq!(decoder.request(), Ok(Some((request(Question::Status { vn: None }), Framing::Lines))));
        assert!(matches!(decoder.request(), Err(e) if e.is_of_line() && !e.is_end()));
        assert_eq!(decoder.request(), Ok(None));
        decoder.push(b"}");
        decoder.end();
        assert_eq!(decoder.request(), Ok(Some((request(Question::Reload), Framing::Lines))));
        decoder.push(&requests()[0].encode().unwrap());
        assert_eq!(decoder.request(), Ok(Some((requests()[0].clone(), Framing::Frames))));
        decoder.push(&[b'{'; 5000]);
        assert_eq!(decoder.request(), Err(FrameError::Endless));
        decoder.push(b"\n");
        assert_eq!(decoder.request(), Err(FrameError::Endless));
    }

    #[test]
    fn another_version_is_seen_by_its_octet_alone() {
        let mut decoder = Decoder::default();
        decoder.push(&[0, 0, 0, 2, 2, 0xff]);
        let error = decoder.request().unwrap_err();
        assert_eq!(error, FrameError::Version { theirs: 2 });
        assert_eq!(error.answer(), "this daemon speaks control version 5, the request is of version 2");
        decoder.push(&requests()[0].encode().unwrap());
        assert!(matches!(decoder.request(), Ok(Some(_))), "the next one is looked at");
    }

    #[test]
    fn a_frame_too_long_or_empty_ends_the_stream() {
        let mut decoder = Decoder::default();
        decoder.push(&[0, 0, 0x10, 1]);
        let error = FrameError::TooLong { len: 4097, max: 4096 };
        assert!(error.is_end());
        assert_eq!(decoder.request(), Err(error.clone()));
        assert_eq!(decoder.request(), Err(error));
        let mut decoder = Decoder::default();
        decoder.push(&[0, 0, 0, 0]);
        assert_eq!(decoder.piece(), Err(FrameError::Empty));
        let question = Question::Macs { vn: Some("x".repeat(5000)) };
        let request = Request { question, form: Form::Json };
        assert!(matches!(request.encode(), Err(FrameError::TooLong { .. })));
    }

    #[test]
    fn octets_after_the_message_are_refused() {
        let mut decoder = Decoder::default();
        decoder.push(&[0, 0, 0, 6, VERSION, 0, 0, 0, 80, 0]);
        assert_eq!(decoder.request(), Err(FrameError::Body));
    }

    proptest! {
        #[test]
        fn no_octets_make_it_panic(bits in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8)) {
            let (mut requests, mut pieces) = (Decoder::default(), Decoder::default());
            for bit in bits {
                requests.push(&bit);
                pieces.push(&bit);
                while let Ok(Some(_)) = requests.request() {}
                while let Ok(Some(_)) = pieces.piece() {}
            }
        }

        #[test]
        fn no_body_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(request) = Request::decode(&body) {
                let _ = request.encode();
            }
        }
    }
}
