//! Every packet that comes or goes passes here: it is opened once, and there is one way out.

mod gate;
pub mod key;
mod open;
mod request;
mod seal;
pub mod session;

pub use gate::Gate;
pub use key::{KeyId, Keys};
pub use open::{Fate, open, turn_away};
pub use request::{Backoff, Request};
pub use seal::Reply;

use super::contract::way::Via;
use super::sites::SiteId;
use crate::wire::nhrp::{Extension, Fault, Message, error, kind};

/// A packet as it came.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    pub via: Via,
    pub octets: &'a [u8],
}

/// What speaks for it that a packet is from who it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It has both tags of its session. Of a reply it is still to be seen whether they are those of the request.
    Session,
    /// It is a registration that returns a cookie: who sent it receives at the address.
    Cookie,
    /// Nothing, and it does not say otherwise.
    Untagged,
    /// Nothing, though there should be something: other tags, or none where there is a session.
    Wrong,
}

/// A packet that came in, and who sent it.
#[derive(Clone, Copy, Debug)]
pub struct Inbound<'a> {
    /// How it came, and how its answer goes back.
    pub via: Via,
    /// Who sent it, if that is a site this node has to do with.
    pub site: Option<SiteId>,
    /// What speaks for that.
    pub trust: Trust,
    /// The key it is signed by.
    pub key: Option<KeyId>,
    pub message: Message<'a>,
    /// The packet as it came.
    pub octets: &'a [u8],
}

impl<'a> Inbound<'a> {
    /// Its extensions, as its answer is to have them, too: a signature is made anew.
    pub fn extensions(&self) -> impl Iterator<Item = Extension<'a>> + use<'a> {
        let is_signed = self.key.is_some();
        self.message.extensions().filter(move |e| !is_signed || e.kind != kind::AUTHENTICATION)
    }

    /// What an Error Indication says of this packet.
    pub fn fault(&self, code: u16) -> Fault {
        Fault { code, offset: 0, header: Some(self.message.header) }
    }

    /// The fault of a packet that lacks what it needs, or has too much of it.
    pub fn protocol_fault(&self) -> Fault {
        self.fault(error::PROTOCOL)
    }
}
