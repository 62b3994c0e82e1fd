//! NHRP packets (RFC 2332 section 5): [`Message`] to read one, [`Writer`] to make one.

mod cie;
mod extension;
mod header;
mod session;
mod signature;

pub use cie::{Cie, Cies};
pub use extension::{Extension, Extensions, clear_text, kind};
use header::Bad;
pub use header::{Family, Header, Kind, Protocol, ProtocolAddress, flag};
pub use session::{Challenge, HUB, Sent, Tags};
pub use signature::{DIGEST, SIGNATURE, Signature};

/// Hop count of a packet that starts here (RFC 2332 section 5.1); never 0, which Cisco drops.
pub const HOP_COUNT: u8 = 16;

/// CIE codes (RFC 2332 section 5.2.0.1 and on).
pub mod code {
    /// Acknowledged.
    pub const OK: u8 = 0;
    /// Administratively prohibited; "Can't Serve This Address" of section 5.2.3.
    pub const PROHIBITED: u8 = 4;
    /// Insufficient resources; "Registration Overflow" of section 5.2.3.
    pub const RESOURCES: u8 = 5;
    /// No internetworking layer address to NBMA address binding exists.
    pub const NO_BINDING: u8 = 12;
    /// A binding exists but is not unique.
    pub const NOT_UNIQUE: u8 = 13;
    /// The unique address is registered already, with another NBMA address.
    pub const ALREADY_REGISTERED: u8 = 14;
}

/// Error codes (RFC 2332 section 5.2.7; 16 and 17: RFC 2735 section 3.4).
pub mod error {
    /// A compulsory extension is not known here.
    pub const UNRECOGNIZED_EXTENSION: u16 = 1;
    /// The packet came by before.
    pub const LOOP_DETECTED: u16 = 3;
    /// The protocol address cannot be reached.
    pub const UNREACHABLE: u16 = 6;
    /// The packet is not NHRP as it should be.
    pub const PROTOCOL: u16 = 7;
    /// The packet grew too large.
    pub const SDU_SIZE: u16 = 8;
    /// The extension does not fit the packet.
    pub const INVALID_EXTENSION: u16 = 9;
    /// A Resolution Reply nobody waited for.
    pub const INVALID_REPLY: u16 = 10;
    /// Authentication failed.
    pub const AUTHENTICATION: u16 = 11;
    /// The hop count is used up.
    pub const HOP_COUNT: u16 = 15;
    /// The VPN-ID is not the one of the path.
    pub const VPN_MISMATCH: u16 = 16;
    /// This node does not serve the VPN.
    pub const VPN_UNSUPPORTED: u16 = 17;
}

/// What is wrong with a packet, as an Error Indication says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// One of [`error`].
    pub code: u16,
    /// The octet it was found at, from the fixed header.
    pub offset: u16,
    /// The packet's header, when that much could be read: whom to tell.
    pub header: Option<Header>,
}

impl Fault {
    fn at(code: u16, offset: usize) -> Fault {
        Fault { code, offset: u16::try_from(offset).unwrap_or(u16::MAX), header: None }
    }
}

/// A packet that was checked from end to end.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The fixed header and the common part of the mandatory header.
    pub header: Header,
    packet: &'a [u8],
    body: &'a [u8],
    extensions: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads a packet. Octets after its end (`ar$pktsz`) are ignored.
    ///
    /// # Errors
    /// [`error::PROTOCOL`] for whatever does not add up, [`error::INVALID_EXTENSION`] for an extension that
    /// stands twice.
    pub fn parse(packet: &'a [u8]) -> Result<Message<'a>, Fault> {
        let protocol = |Bad(at): Bad| Fault::at(error::PROTOCOL, at);
        let (header, layout) = header::parse(packet, true).map_err(protocol)?;
        let told = |fault: Fault| Fault { header: Some(header), ..fault };
        let packet = &packet[..layout.end];
        if checksum(packet) != 0 {
            return Err(told(protocol(Bad(header::CHECKSUM_AT))));
        }
        let message = Message {
            header,
            packet,
            body: &packet[layout.body..layout.extensions],
            extensions: &packet[layout.extensions..],
        };
        if !header.kind.is_about_packet() {
            cie::check(message.body, &header, layout.body).map_err(protocol).map_err(told)?;
        }
        extension::check(message.extensions, layout.extensions).map_err(told)?;
        Ok(message)
    }

    /// The client information entries; none in what is about a packet.
    pub fn cies(&self) -> Cies<'a> {
        Cies::new(if self.header.kind.is_about_packet() { &[] } else { self.body }, &self.header)
    }

    /// The extensions up to the end mark.
    pub fn extensions(&self) -> Extensions<'a> {
        Extensions::new(self.extensions)
    }

    /// The one CIE inside the extension `kind`, such as the Responder Address.
    pub fn extension_cie(&self, kind: u16) -> Option<Cie> {
        let extension = self.extensions().find(|e| e.kind == kind)?;
        cie::check(extension.value, &self.header, 0).ok()?;
        Cies::new(extension.value, &self.header).next()
    }

    /// The tags of the session it is in, if it says that it is in one.
    pub fn tags(&self) -> Option<Tags> {
        self.extensions().find_map(Tags::parse)
    }

    /// What a hub wants returned before it takes a spoke in.
    pub fn challenge(&self) -> Option<Challenge> {
        self.extensions().find_map(Challenge::parse)
    }

    /// Why a hub has its spokes go elsewhere, if it does.
    pub fn sent(&self) -> Option<Sent> {
        self.extensions().find_map(Sent::parse)
    }

    /// By which key it is signed, if it is.
    pub fn signature(&self) -> Option<Signature<'a>> {
        Signature::parse(self.packet, self.extensions())
    }

    /// The packet that an Error Indication or a Traffic Indication is about, as far as it is included.
    pub fn packet_in_error(&self) -> &'a [u8] {
        if self.header.kind.is_about_packet() { self.body } else { &[] }
    }
}

/// The header of a packet as an Error Indication quotes it, which may leave out the rest (RFC 2332 section 5.2.7): FRR
/// quotes the header alone. Neither its end nor its checksum is looked at.
pub fn quoted(packet: &[u8]) -> Option<Header> {
    header::parse(packet, false).ok().map(|(header, _)| header)
}

/// Writes a packet into a buffer, in the order of its parts: CIEs (or a packet in error), then extensions.
#[derive(Debug)]
pub struct Writer<'b> {
    buf: &'b mut [u8],
    header: Header,
    len: usize,
    extensions: Option<usize>,
    /// The buffer was too small, or what was to be written is no packet.
    failed: bool,
}

impl<'b> Writer<'b> {
    /// Starts a packet.
    pub fn new(buf: &'b mut [u8], header: &Header) -> Writer<'b> {
        let mut writer = Writer { buf, header: *header, len: 0, extensions: None, failed: false };
        header::emit(header, &mut writer);
        writer
    }

    /// Adds a CIE.
    pub fn cie(&mut self, cie: &Cie) -> &mut Self {
        cie.emit(self);
        self
    }

    /// Adds the packet in error, cut to what fits.
    pub fn packet_in_error(&mut self, packet: &[u8]) -> &mut Self {
        let room = self.buf.len().saturating_sub(self.len);
        self.put(&packet[..packet.len().min(room)]);
        self
    }

    /// Adds an extension as it is.
    pub fn extension(&mut self, extension: Extension<'_>) -> &mut Self {
        let length = u16::try_from(extension.value.len()).unwrap_or(u16::MAX);
        self.start_extension(extension.kind, extension.compulsory, length);
        self.put(extension.value);
        self
    }

    /// Adds an extension whose value is `cie`.
    pub fn extension_cie(&mut self, kind: u16, compulsory: bool, cie: &Cie) -> &mut Self {
        self.start_extension(kind, compulsory, cie.len());
        cie.emit(self);
        self
    }

    /// Says which session the packet is in.
    pub fn tags(&mut self, tags: Tags) -> &mut Self {
        let value = tags.emit();
        self.extension(Extension { kind: kind::VENDOR, compulsory: false, value: &value })
    }

    /// Asks for a cookie back.
    pub fn challenge(&mut self, challenge: Challenge) -> &mut Self {
        let value = challenge.emit();
        self.extension(Extension { kind: kind::VENDOR, compulsory: false, value: &value })
    }

    /// Says why a hub has its spokes go elsewhere.
    pub fn sent(&mut self, sent: Sent) -> &mut Self {
        self.extension(Extension { kind: kind::VENDOR, compulsory: false, value: &sent.emit() })
    }

    /// Ends the packet: end mark, sizes, checksum. Its length in octets, or `None` if the buffer was too small or
    /// an address was of another family or protocol than the header says.
    pub fn finish(mut self) -> Option<usize> {
        if self.extensions.is_some() {
            self.start_extension(kind::END, true, 0);
        }
        if self.failed {
            return None;
        }
        let packet = &mut self.buf[..self.len];
        header::emit_sizes(packet, self.extensions)?;
        let sum = checksum(packet);
        packet[header::CHECKSUM_AT..header::CHECKSUM_AT + 2].copy_from_slice(&sum.to_be_bytes());
        Some(self.len)
    }

    fn start_extension(&mut self, kind: u16, compulsory: bool, length: u16) {
        self.extensions.get_or_insert(self.len);
        self.put(&extension::type_field(kind, compulsory).to_be_bytes());
        self.put(&length.to_be_bytes());
    }

    fn put(&mut self, octets: &[u8]) {
        let end = self.len + octets.len();
        match self.buf.get_mut(self.len..end) {
            Some(place) => {
                place.copy_from_slice(octets);
                self.len = end;
            }
            None => self.failed = true,
        }
    }
}

/// A first look at a packet: its kind, if length, version and checksum are right. What comes from nowhere is mostly wrong here
/// already, before it costs more.
pub fn kind_of(packet: &[u8]) -> Option<Kind> {
    let (end, kind) = header::first_look(packet)?;
    (checksum(&packet[..end]) == 0).then_some(kind)
}

/// The Internet checksum: the one's complement of the one's complement sum of 16-bit words, an odd last octet
/// padded with zero. Over octets that hold their own checksum it is 0.
pub fn checksum(octets: &[u8]) -> u16 {
    let pairs = octets.chunks_exact(2);
    let odd = pairs.remainder();
    // 64 bits hold the sum of any slice.
    let mut sum: u64 = pairs.map(|pair| u64::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    if let [last] = odd {
        sum += u64::from(*last) << 8;
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
