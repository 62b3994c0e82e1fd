//! The control socket's language: what the commands ask the daemon, and how its answer comes.
//!
//! A client sends one [`Request`], as a [`frame`] or as a [`mod@line`] of JSON, and gets what a command prints; it may then
//! send the next. What answers look like is in [`crate::view`]. How states become sentences: [`words`].

mod cause;
pub mod frame;
pub mod line;
pub mod words;

pub use cause::Cause;

use crate::types::{Mac, Peer};
use serde::{Deserialize, Serialize};

/// A question, and how its answer is to look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// What is asked.
    pub question: Question,
    /// How the answer is to look.
    pub form: Form,
}

/// How an answer looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Form {
    /// Text for people.
    Text {
        /// The columns of their screen; 0 when it is no screen but a file or another program.
        columns: u16,
    },
    /// For programs: `docs/json.md`.
    Json,
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// How are you?
    Status {
        /// About which VN; all when `None`.
        vn: Option<String>,
    },
    /// Which MACs are followed?
    Macs {
        /// In which VN; in all when `None`.
        vn: Option<String>,
    },
    /// Who registered?
    Peers {
        /// In which VN; in all when `None`.
        vn: Option<String>,
    },
    /// Where does a MAC live? Answered once the hub answered or the retries are over.
    Resolve {
        /// In which VN.
        vn: String,
        /// Which MAC.
        mac: Mac,
    },
    /// Forget shortcuts and pending questions.
    Flush {
        /// In which VN; in all when `None`.
        vn: Option<String>,
        /// Which MAC; all when `None`.
        mac: Option<Mac>,
    },
    /// Tell what happens, from now on, until the client closes the connection.
    Monitor,
    /// What happened lately, after the happening of number `after`?
    Events {
        /// The number of the last one that is known; 0 for all that are remembered.
        after: u64,
    },
    /// Read the configuration again and apply the differences.
    Reload,
    /// What was counted?
    Metrics,
    /// Forget who registered.
    Remove {
        /// In which VN; in all when `None`.
        vn: Option<String>,
        /// Whom.
        peer: Peer,
    },
    /// Tell what goes in and out of the engine, from now on, until the client closes the connection.
    Record,
    /// What do you think is wrong? Answered by lines for `dmevpn doctor`.
    Doctor,
    /// Which ways are there to other sites?
    Paths {
        /// In which VN; in all when `None`.
        vn: Option<String>,
    },
    /// As a hub, send spokes away that have another one.
    Drain {
        /// In which VN.
        vn: String,
        /// Or do so no more.
        off: bool,
    },
}
