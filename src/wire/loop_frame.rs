//! Loop frames: what a router sends by a tunnel to see whether it comes back by a local port.
//!
//! ```text
//! ff ff ff ff ff ff | source | 88 b5 | 02 64 6d 02 | nonce (8) | 0 ...
//! ```
//!
//! IEEE 802 gives 88-B5 to private protocols (Local Experimental EtherType 1): no station takes such a frame, and all bridges
//! flood it. It is as long as the shortest of Ethernet.

use crate::types::Mac;

/// IEEE 802 Local Experimental EtherType 1.
pub const ETHERTYPE: u16 = 0x88b5;
/// The length of a loop frame, in octets.
pub const LEN: usize = 60;
/// Where [`MARK`] stands.
pub const MARK_AT: usize = 14;
/// Locally administered, as in the vendor-private extensions; and what it says.
pub const MARK: [u8; 4] = [0x02, 0x64, 0x6d, 0x02];

const BROADCAST: [u8; 6] = [0xff; 6];
const NONCE_AT: usize = MARK_AT + MARK.len();

/// A frame with this nonce.
pub fn emit(source: Mac, nonce: u64) -> [u8; LEN] {
    let mut frame = [0; LEN];
    frame[..6].copy_from_slice(&BROADCAST);
    frame[6..12].copy_from_slice(&source.octets());
    frame[12..MARK_AT].copy_from_slice(&ETHERTYPE.to_be_bytes());
    frame[MARK_AT..NONCE_AT].copy_from_slice(&MARK);
    frame[NONCE_AT..NONCE_AT + 8].copy_from_slice(&nonce.to_be_bytes());
    frame
}

/// The nonce, if it is a loop frame. What is behind it does not matter.
pub fn parse(frame: &[u8]) -> Option<u64> {
    let (to, rest) = frame.split_first_chunk::<6>()?;
    let (_source, rest) = rest.split_first_chunk::<6>()?;
    let (ethertype, rest) = rest.split_first_chunk::<2>()?;
    let (mark, rest) = rest.split_first_chunk::<4>()?;
    let (nonce, _) = rest.split_first_chunk::<8>()?;
    let is_one = (*to, *ethertype, *mark) == (BROADCAST, ETHERTYPE.to_be_bytes(), MARK);
    is_one.then(|| u64::from_be_bytes(*nonce))
}
