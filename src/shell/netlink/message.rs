//! Netlink framing, as pure functions over octets: nothing in here can panic on what comes in.
//!
//! Messages and attributes are built with neli's types, of which those with a type of their own for each kind of
//! attribute would be in a program once for each. Messages are taken apart here: neli's own framing loses a successful
//! acknowledgement that carries a warning, and trusts lengths.

use neli::ToBytes;
use neli::consts::nl::NlmF;
use neli::consts::rtnl::Rtm;
use neli::nl::{NlPayload, NlmsghdrBuilder};
use neli::rtnl::{Rtattr, RtattrBuilder};
use neli::types::Buffer;
use std::io::{self, Cursor};
use std::net::IpAddr;

const HEADER: usize = 16;
/// Where a header has its flags.
const FLAGS: usize = 6;
const ATTRIBUTE_HEADER: usize = 4;
/// The type bits of an attribute; the two above say "nested" and "network byte order".
const TYPE_MASK: u16 = 0x3fff;
/// NLMSGERR_ATTR_MSG: the explanation in an acknowledgement.
const EXPLANATION: u16 = 1;
/// Longer than any attribute written here may be. neli counts lengths in 16 bits unchecked, so a
/// text is cut to this: still too long for the kernel, which then says so.
const LONGEST_ATTRIBUTE: usize = 1024;

/// One netlink message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub kind: u16,
    pub flags: u16,
    pub seq: u32,
    pub body: &'a [u8],
}

/// The kernel's answer was not netlink, or was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The kernel's refusal: an error number and, on newer kernels, an explanation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Refusal {
    /// 0 when nothing was refused.
    pub errno: i32,
    pub text: Option<String>,
}

impl From<io::Error> for Refusal {
    fn from(e: io::Error) -> Refusal {
        Refusal { errno: e.raw_os_error().unwrap_or(libc::EIO), text: None }
    }
}

impl From<Malformed> for Refusal {
    fn from(_: Malformed) -> Refusal {
        Refusal { errno: libc::EBADMSG, text: Some("answer not understood".into()) }
    }
}

/// The first message in `bytes` and how many octets to go on by; `None` at the end.
pub(super) fn first(bytes: &[u8]) -> Result<Option<(Message<'_>, usize)>, Malformed> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let header = bytes.first_chunk::<HEADER>().ok_or(Malformed)?;
    let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, ..] = *header;
    let length = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
    let body = bytes.get(HEADER..length).ok_or(Malformed)?;
    let message = Message {
        kind: u16::from_ne_bytes([k0, k1]),
        flags: u16::from_ne_bytes([f0, f1]),
        seq: u32::from_ne_bytes([s0, s1, s2, s3]),
        body,
    };
    Ok(Some((message, aligned(length).min(bytes.len()))))
}

/// The attributes after a fixed header: type without its flag bits, and payload. Ends at the first
/// one whose length is wrong.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes<'a>(pub &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let [l0, l1, t0, t1] = *self.0.first_chunk::<ATTRIBUTE_HEADER>()?;
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let payload = self.0.get(ATTRIBUTE_HEADER..length)?;
        self.0 = self.0.get(aligned(length)..).unwrap_or_default();
        Some((u16::from_ne_bytes([t0, t1]) & TYPE_MASK, payload))
    }
}

/// The payload of the first attribute of that type.
pub(super) fn find(attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    Attributes(attributes).find(|(kind, _)| *kind == wanted).map(|(_, payload)| payload)
}

/// What an NLMSG_ERROR message says, an acknowledgement included.
pub(super) fn acknowledgement(message: &Message<'_>) -> Refusal {
    let Some(code) = i32_of(message.body) else { return Malformed.into() };
    // After the code comes the request's header, then the request unless it was left out.
    let request = message.body.get(4..).unwrap_or_default();
    let echoed = if message.flags & NlmF::CAPPED.bits() != 0 {
        HEADER
    } else {
        aligned(u32_of(request).map_or(HEADER, |n| n as usize))
    };
    Refusal {
        errno: positive(code),
        text: explanation(message, request.get(echoed.max(HEADER)..).unwrap_or_default()),
    }
}

/// What the NLMSG_DONE message at the end of a dump says. It carries an error number too.
pub(super) fn done(message: &Message<'_>) -> Refusal {
    let code = i32_of(message.body).unwrap_or(0);
    // A positive number here is a count, from some old dumps.
    let errno = if code < 0 { positive(code) } else { 0 };
    Refusal { errno, text: explanation(message, message.body.get(4..).unwrap_or_default()) }
}

fn explanation(message: &Message<'_>, attributes: &[u8]) -> Option<String> {
    if message.flags & NlmF::ACK_TLVS.bits() == 0 {
        return None;
    }
    find(attributes, EXPLANATION).map(string_of)
}

fn positive(code: i32) -> i32 {
    code.checked_abs().unwrap_or(libc::EPROTO)
}

fn aligned(length: usize) -> usize {
    length.saturating_add(3) & !3
}

/// The fixed header at the start of `body`, and the attributes after it. neli's types for such headers would copy every
/// attribute, and take 5 kB of a program each.
pub(super) fn header<const N: usize>(body: &[u8]) -> Option<([u8; N], Attributes<'_>)> {
    let (fixed, attributes) = body.split_first_chunk()?;
    Some((*fixed, Attributes(attributes)))
}

/// A device's index, which the kernel has as a signed number.
pub(super) fn index_of(octets: [u8; 4]) -> Option<u32> {
    u32::try_from(i32::from_ne_bytes(octets)).ok()
}

pub(super) fn u16_of(payload: &[u8]) -> Option<u16> {
    payload.first_chunk().copied().map(u16::from_ne_bytes)
}

pub(super) fn be16_of(payload: &[u8]) -> Option<u16> {
    payload.first_chunk().copied().map(u16::from_be_bytes)
}

pub(super) fn u32_of(payload: &[u8]) -> Option<u32> {
    payload.first_chunk().copied().map(u32::from_ne_bytes)
}

pub(super) fn i32_of(payload: &[u8]) -> Option<i32> {
    payload.first_chunk().copied().map(i32::from_ne_bytes)
}

pub(super) fn be32_of(payload: &[u8]) -> Option<u32> {
    payload.first_chunk().copied().map(u32::from_be_bytes)
}

pub(super) fn mac_of(payload: &[u8]) -> Option<[u8; 6]> {
    payload.try_into().ok()
}

/// An IPv4 or IPv6 address, by length.
pub(super) fn ip_of(payload: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(payload) {
        return Some(IpAddr::from(v4));
    }
    <[u8; 16]>::try_from(payload).ok().map(IpAddr::from)
}

/// An address other than the unspecified one, which several attributes use for "none".
pub(super) fn some_ip_of(payload: &[u8]) -> Option<IpAddr> {
    ip_of(payload).filter(|ip| !ip.is_unspecified())
}

/// A text up to its NUL.
pub(super) fn string_of(payload: &[u8]) -> String {
    let text = payload.split(|octet| *octet == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// The octets of `ip`, in an array of the longer family and a length.
pub(super) fn ip_octets(ip: IpAddr) -> ([u8; 16], usize) {
    match ip {
        IpAddr::V6(v6) => (v6.octets(), 16),
        IpAddr::V4(v4) => {
            let mut octets = [0; 16];
            octets[..4].copy_from_slice(&v4.octets());
            (octets, 4)
        }
    }
}

/// An attribute, whatever it is about.
pub(super) type Attribute = Rtattr<u16, Buffer>;

/// An attribute of type `kind` holding `payload`.
pub(super) fn attribute(kind: impl Into<u16>, payload: &[u8]) -> Attribute {
    numbered(kind.into(), payload)
}

fn numbered(kind: u16, payload: &[u8]) -> Attribute {
    let payload = payload.get(..LONGEST_ATTRIBUTE).unwrap_or(payload);
    RtattrBuilder::default()
        .rta_type(kind)
        .rta_payload(Buffer::from(payload))
        .build()
        .expect("type and payload are set")
}

/// An attribute of type `kind` holding the attributes `inner`.
pub(super) fn nested(kind: impl Into<u16>, inner: &[Attribute]) -> Attribute {
    numbered(kind.into(), body(&[], inner).as_ref())
}

/// The body of a request: its fixed header and its attributes.
pub(super) fn body(header: &[u8], attributes: &[Attribute]) -> Buffer {
    let mut payload = Cursor::new(Vec::new());
    payload.get_mut().extend_from_slice(header);
    payload.set_position(header.len() as u64);
    for one in attributes {
        one.to_bytes(&mut payload).expect("a Vec takes every octet");
    }
    Buffer::from(payload.into_inner())
}

/// The attribute holding an address.
pub(super) fn ip_attribute(kind: impl Into<u16>, ip: IpAddr) -> Attribute {
    let (octets, length) = ip_octets(ip);
    numbered(kind.into(), octets.get(..length).unwrap_or(&octets))
}

/// The attribute holding a NUL-terminated text.
pub(super) fn text_attribute(kind: impl Into<u16>, text: &str) -> Attribute {
    let mut octets = Vec::with_capacity(text.len() + 1);
    octets.extend_from_slice(text.as_bytes());
    octets.push(0);
    numbered(kind.into(), &octets)
}

/// Requests to be sent together, numbered from `first_seq` on.
pub(super) struct Batch {
    bytes: Cursor<Vec<u8>>,
    pub first_seq: u32,
    pub count: u32,
    /// Whether only the last request is acknowledged. The others are answered when they are refused.
    pub quiet: bool,
    /// Where the last request begins.
    last: usize,
}

impl Batch {
    pub fn new(first_seq: u32) -> Batch {
        Batch { bytes: Cursor::new(Vec::new()), first_seq, count: 0, quiet: false, last: 0 }
    }

    /// Requests of which only failures are told: an answer is a system call. They are no dumps.
    pub fn quiet(first_seq: u32) -> Batch {
        Batch { quiet: true, ..Batch::new(first_seq) }
    }

    /// Append a request; it is answered by exactly one acknowledgement, or one end of a dump.
    pub fn push(&mut self, kind: Rtm, flags: NlmF, body: Buffer) {
        let unasked = flags.contains(NlmF::DUMP) || self.quiet;
        let answered = if unasked { NlmF::REQUEST } else { NlmF::REQUEST | NlmF::ACK };
        self.last = self.bytes.get_ref().len();
        NlmsghdrBuilder::default()
            .nl_type(kind)
            .nl_flags(flags | answered)
            .nl_seq(self.first_seq.wrapping_add(self.count))
            .nl_payload(NlPayload::Payload(body))
            .build()
            .expect("type, flags and payload are set")
            .to_bytes(&mut self.bytes)
            .expect("a Vec takes every octet");
        self.count += 1;
    }

    /// Has the last request acknowledged: all are over then.
    pub fn acknowledge_last(&mut self) {
        let flags = self.last + FLAGS;
        let there = self.bytes.get_mut().get_mut(flags..).and_then(|rest| rest.first_chunk_mut());
        if let Some(there) = there {
            *there = (u16::from_ne_bytes(*there) | NlmF::ACK.bits()).to_ne_bytes();
        }
    }

    /// How many requests there are.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    pub fn bytes(&self) -> &[u8] {
        self.bytes.get_ref()
    }
}
