//! Messages on the control socket, a stream.
//!
//! ```text
//! length, 4 octets, big endian | version, 1 octet | message (postcard), length - 1 octets
//! ```
//!
//! The version is looked at before anything else of a message: what another version says is never guessed at.

use super::{Reply, Request};
use core::fmt;
use serde::{Serialize, de::DeserializeOwned};

/// The version of the messages this program speaks. Whatever changes [`Request`], [`Reply`] or a type in them raises it.
pub const VERSION: u8 = 2;

/// The longest request, in octets after the length.
pub const MAX_REQUEST: u32 = 4096;

/// The longest reply, in octets after the length.
pub const MAX_REPLY: u32 = 4 << 20;

const LENGTH_LEN: usize = 4;
const HEADER_LEN: usize = LENGTH_LEN + 1;

/// Why octets are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

impl FrameError {
    /// What the daemon answers to such a request.
    pub fn reply(self) -> Reply {
        Reply::Error(match self {
            FrameError::Version { theirs } => {
                format!("this daemon speaks control version {VERSION}, the request is of version {theirs}")
            }
            other => other.to_string(),
        })
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
        encode(self, MAX_REQUEST)
    }

    /// The request in a frame.
    ///
    /// # Errors
    /// [`FrameError::Version`] or [`FrameError::Body`]; answer with [`FrameError::reply`].
    pub fn decode(frame: &Frame) -> Result<Request, FrameError> {
        frame.decode()
    }
}

impl Reply {
    /// The reply as a frame. What does not fit a frame becomes a [`Reply::Error`] that says so.
    pub fn encode(&self) -> Vec<u8> {
        encode(self, MAX_REPLY)
            .or_else(|_| {
                let error =
                    "the answer does not fit a message on the control socket: ask for one VN at a time";
                encode(&Reply::Error(error.into()), MAX_REPLY)
            })
            .unwrap_or_default()
    }

    /// The reply in a frame.
    ///
    /// # Errors
    /// [`FrameError::Version`] or [`FrameError::Body`].
    pub fn decode(frame: &Frame) -> Result<Reply, FrameError> {
        frame.decode()
    }
}

/// A frame, taken off the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The version of the message.
    pub version: u8,
    /// The message.
    pub body: Vec<u8>,
}

impl Frame {
    fn decode<T: DeserializeOwned>(&self) -> Result<T, FrameError> {
        if self.version != VERSION {
            return Err(FrameError::Version { theirs: self.version });
        }
        let (message, rest) = postcard::take_from_bytes(&self.body).map_err(|_| FrameError::Body)?;
        if rest.is_empty() { Ok(message) } else { Err(FrameError::Body) }
    }
}

/// Takes frames off a stream that arrives in pieces.
#[derive(Debug)]
pub struct Decoder {
    buf: Vec<u8>,
    max: u32,
}

impl Decoder {
    /// For the daemon.
    pub const fn of_requests() -> Decoder {
        Decoder { buf: Vec::new(), max: MAX_REQUEST }
    }

    /// For a client.
    pub const fn of_replies() -> Decoder {
        Decoder { buf: Vec::new(), max: MAX_REPLY }
    }

    /// Adds what arrived.
    pub fn push(&mut self, octets: &[u8]) {
        self.buf.extend_from_slice(octets);
    }

    /// The next frame; `None` when more octets are needed.
    ///
    /// # Errors
    /// [`FrameError::Empty`] or [`FrameError::TooLong`]. There is no way to find the next frame
    /// in the stream after that: the connection has to be closed.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some((length, rest)) = self.buf.split_first_chunk::<LENGTH_LEN>() else {
            return Ok(None);
        };
        let len = u32::from_be_bytes(*length);
        if len > self.max {
            return Err(FrameError::TooLong { len, max: self.max });
        }
        if len == 0 {
            return Err(FrameError::Empty);
        }
        let Some((&version, body)) = rest.get(..len as usize).and_then(<[u8]>::split_first) else {
            return Ok(None);
        };
        let frame = Frame { version, body: body.to_vec() };
        self.buf.drain(..LENGTH_LEN + len as usize);
        Ok(Some(frame))
    }
}

fn encode<T: Serialize>(message: &T, max: u32) -> Result<Vec<u8>, FrameError> {
    let mut octets = postcard::to_extend(message, vec![0; HEADER_LEN]).map_err(|_| FrameError::Body)?;
    let len = u32::try_from(octets.len() - LENGTH_LEN).unwrap_or(u32::MAX);
    if len > max {
        return Err(FrameError::TooLong { len, max });
    }
    octets[..LENGTH_LEN].copy_from_slice(&len.to_be_bytes());
    octets[LENGTH_LEN] = VERSION;
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn requests() -> Vec<Request> {
        let mac = "52:54:00:00:00:0b".parse().unwrap();
        vec![
            Request::Status,
            Request::Macs { vn: None },
            Request::Peers { vn: Some("test".into()) },
            Request::Resolve { vn: "test".into(), mac },
            Request::Flush { vn: Some("test".into()), mac: Some(mac) },
            Request::Monitor,
            Request::Lately { after: 7 },
            Request::Reload,
            Request::Metrics,
        ]
    }

    #[test]
    fn requests_round_trip_octet_by_octet() {
        let mut decoder = Decoder::of_requests();
        let mut got = Vec::new();
        for octet in requests().iter().flat_map(|r| r.encode().unwrap()) {
            decoder.push(&[octet]);
            if let Some(frame) = decoder.next().unwrap() {
                got.push(Request::decode(&frame).unwrap());
            }
        }
        assert_eq!(got, requests());
        assert_eq!(decoder.next(), Ok(None));
    }

    #[test]
    fn the_octets_of_version_2_stay() {
        assert_eq!(Request::Status.encode().unwrap(), [0, 0, 0, 2, 2, 0]);
        let flush = Request::Flush { vn: Some("ab".into()), mac: "52:54:00:00:00:0b".parse().ok() };
        assert_eq!(
            flush.encode().unwrap(),
            [0, 0, 0, 13, 2, 4, 1, 2, b'a', b'b', 1, 0x52, 0x54, 0, 0, 0, 0x0b]
        );
    }

    #[test]
    fn another_version_is_seen_by_its_octet_alone() {
        let frame = Frame { version: 1, body: vec![0xff; 7] };
        assert_eq!(Request::decode(&frame), Err(FrameError::Version { theirs: 1 }));
        let Reply::Error(text) = FrameError::Version { theirs: 1 }.reply() else { panic!() };
        assert_eq!(text, "this daemon speaks control version 2, the request is of version 1");
    }

    #[test]
    fn a_frame_too_long_or_empty_ends_the_stream() {
        let mut decoder = Decoder::of_requests();
        decoder.push(&[0, 0, 0x10, 1]);
        assert_eq!(decoder.next(), Err(FrameError::TooLong { len: 4097, max: 4096 }));
        assert_eq!(decoder.next(), Err(FrameError::TooLong { len: 4097, max: 4096 }));
        let mut decoder = Decoder::of_replies();
        decoder.push(&[0, 0, 0, 0]);
        assert_eq!(decoder.next(), Err(FrameError::Empty));
        let vn = "x".repeat(5000);
        assert!(matches!(Request::Macs { vn: Some(vn) }.encode(), Err(FrameError::TooLong { .. })));
    }

    #[test]
    fn an_answer_too_long_becomes_an_error() {
        let mut decoder = Decoder::of_replies();
        decoder.push(&Reply::Error("x".repeat(MAX_REPLY as usize)).encode());
        let frame = decoder.next().unwrap().unwrap();
        assert!(matches!(Reply::decode(&frame), Ok(Reply::Error(text)) if text.contains("one VN at a time")));
    }

    #[test]
    fn octets_after_the_message_are_refused() {
        let frame = Frame { version: VERSION, body: vec![0, 0] };
        assert_eq!(Request::decode(&frame), Err(FrameError::Body));
    }

    proptest! {
        #[test]
        fn no_octets_make_it_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8)) {
            let mut decoder = Decoder::of_replies();
            for piece in pieces {
                decoder.push(&piece);
                while let Ok(Some(frame)) = decoder.next() {
                    let _ = Reply::decode(&frame);
                }
            }
        }

        #[test]
        fn no_body_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let frame = Frame { version: VERSION, body };
            if let Ok(request) = Request::decode(&frame) {
                let _ = request.encode();
            }
            if let Ok(reply) = Reply::decode(&frame) {
                let _ = reply.encode();
            }
        }
    }
}
