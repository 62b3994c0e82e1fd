//! Sessions: who cannot receive at an address cannot speak for it. Two vendor-private extensions (RFC 2332 section 5.3.5,
//! vendor 02-64-6D, locally administered) of 20 octets each. A replier copies the first like any extension it does not know.
//!
//! ```text
//! SESSION    02 64 6d 01 | sender's tag (8) | receiver's tag (8; 0: none yet)
//! CHALLENGE  02 64 6d 02 | cookie (8)       | copy of the spoke's tag (8)
//! HUB        02 64 6d 03   (4 octets): a hub registers with another one. It grants nothing
//! SENT       02 64 6d 04 | flags (1)   (5 octets): in a hub's Registration Reply, why the spoke is to go elsewhere; not there if 0
//! ```

use super::{Extension, kind};

const VENDOR: [u8; 3] = [0x02, 0x64, 0x6d];
const SESSION: u8 = 1;
const CHALLENGE: u8 = 2;

/// The vendor-private extension of a Registration Request of a hub.
pub const HUB: [u8; 4] = [0x02, 0x64, 0x6d, 3];

const SENT: u8 = 4;

/// Why a hub has its spokes go elsewhere: flags of its answers to probes ([`crate::wire::probe::flag`]), said in a Registration
/// Reply, which is signed where there are keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent(pub u8);

impl Sent {
    pub(super) fn parse(extension: Extension<'_>) -> Option<Sent> {
        let ours = extension.kind == kind::VENDOR;
        match *extension.value {
            [a, b, c, SENT, flags] if ours && [a, b, c] == VENDOR => Some(Sent(flags)),
            _ => None,
        }
    }

    pub(super) fn emit(self) -> [u8; 5] {
        let [a, b, c] = VENDOR;
        [a, b, c, SENT, self.0]
    }
}

/// The verification tags of a session, as a request has them: who sends it, and whom it is for. A reply has those of its
/// request. 0 stands for one that is not known yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    /// The tag of who sends the request.
    pub sender: u64,
    /// The tag of who receives the request.
    pub receiver: u64,
}

impl Tags {
    /// The tags of what goes the other way.
    pub const fn flipped(self) -> Tags {
        Tags { sender: self.receiver, receiver: self.sender }
    }

    pub(super) fn parse(extension: Extension<'_>) -> Option<Tags> {
        let (sender, receiver) = parse(extension, SESSION)?;
        Some(Tags { sender, receiver })
    }

    pub(super) fn emit(self) -> [u8; 20] {
        emit(SESSION, self.sender, self.receiver)
    }
}

/// What a hub answers who has no session: the cookie becomes the hub's tag once it is returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The cookie, never 0.
    pub cookie: u64,
    /// The tag of whom it is for.
    pub tag: u64,
}

impl Challenge {
    pub(super) fn parse(extension: Extension<'_>) -> Option<Challenge> {
        let (cookie, tag) = parse(extension, CHALLENGE)?;
        Some(Challenge { cookie, tag })
    }

    pub(super) fn emit(self) -> [u8; 20] {
        emit(CHALLENGE, self.cookie, self.tag)
    }
}

fn parse(extension: Extension<'_>, what: u8) -> Option<(u64, u64)> {
    let (head, numbers) = extension.value.split_first_chunk::<4>()?;
    let (first, second) = numbers.split_first_chunk::<8>()?;
    let ours = extension.kind == kind::VENDOR && head[..3] == VENDOR && head[3] == what;
    ours.then_some((u64::from_be_bytes(*first), u64::from_be_bytes(second.try_into().ok()?)))
}

fn emit(what: u8, first: u64, second: u64) -> [u8; 20] {
    let mut value = [0; 20];
    value[..3].copy_from_slice(&VENDOR);
    value[3] = what;
    value[4..12].copy_from_slice(&first.to_be_bytes());
    value[12..].copy_from_slice(&second.to_be_bytes());
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_spokes_are_sent_elsewhere_is_read_as_written() {
        let vendor = |value: &'static [u8]| Extension { kind: kind::VENDOR, compulsory: false, value };
        assert_eq!(Sent(0x0c).emit(), [0x02, 0x64, 0x6d, 4, 0x0c]);
        assert_eq!(Sent::parse(vendor(&[0x02, 0x64, 0x6d, 4, 0x0c])), Some(Sent(0x0c)));
        for other in
            [&HUB[..], &[0x02, 0x64, 0x6d, 4], &[0x02, 0x64, 0x6d, 4, 0, 0], &[0x02, 0x64, 0x6e, 4, 1]]
        {
            let extension = Extension { kind: kind::VENDOR, compulsory: false, value: other };
            assert_eq!(Sent::parse(extension), None);
        }
        let other = Extension { kind: kind::RESPONDER, ..vendor(&[0x02, 0x64, 0x6d, 4, 1]) };
        assert_eq!(Sent::parse(other), None);
    }
}
