//! The head of all messages about a network device (`struct ifinfomsg`).

use super::message::{self, Attribute, Attributes, Message};
use neli::consts::rtnl::Iff;
use neli::types::Buffer;

/// `struct ifinfomsg`: family, an unused octet, type, interface, flags, which of them change. The interface and its flags.
pub(super) fn header_of<'a>(message: &Message<'a>) -> Option<((u32, Iff), Attributes<'a>)> {
    let (header, attributes) = message::header::<16>(message.body)?;
    let [_, _, _, _, i0, i1, i2, i3, f0, f1, f2, f3, ..] = header;
    let flags = Iff::from_bits_retain(u32::from_ne_bytes([f0, f1, f2, f3]));
    Some(((message::index_of([i0, i1, i2, i3])?, flags), attributes))
}

pub(super) fn header(index: u32, flags: Iff, change: Iff, attributes: Vec<Attribute>) -> Buffer {
    about(libc::AF_UNSPEC as u8, index, flags, change, attributes)
}

/// A message about a device as that family sees it.
pub(super) fn with_family(family: u8, index: u32, attributes: Vec<Attribute>) -> Buffer {
    about(family, index, Iff::empty(), Iff::empty(), attributes)
}

fn about(family: u8, index: u32, flags: Iff, change: Iff, attributes: Vec<Attribute>) -> Buffer {
    let numbers = [u32::from_ne_bytes([family, 0, 0, 0]), index, flags.bits(), change.bits()];
    message::body(&numbers.map(u32::to_ne_bytes).concat(), &attributes)
}
