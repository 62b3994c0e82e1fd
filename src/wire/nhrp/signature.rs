//! Authentication by keys (RFC 2332 section 5.3.4): the last extension of a packet says by which key it is signed.
//!
//! ```text
//! 0 (2) | SPI (2) | address of who sends it, as long as the header's source | digest (16)
//! ```
//!
//! The digest covers the whole packet, the checksum and the digest itself being zero.

use super::header::CHECKSUM_AT;
use super::{Extensions, ProtocolAddress, Writer, checksum, extension, header, kind};

/// The length of a digest in octets, of whatever kind.
pub const DIGEST: usize = 16;

/// What a signature takes in a packet at most, in octets, with the end mark.
pub const SIGNATURE: usize = 4 + 4 + 16 + DIGEST + 4;

const END_MARK: usize = 4;

/// Who signed a packet, and what it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature<'a> {
    /// Which key it is by: the Security Parameter Index.
    pub spi: u16,
    /// The digest as it came.
    pub digest: &'a [u8; DIGEST],
    /// What it is of, in its order.
    pub covered: [&'a [u8]; 5],
}

impl<'a> Signature<'a> {
    /// The signature of a packet whose extensions are these, if the last one is such, and nothing follows.
    pub(super) fn parse(packet: &'a [u8], mut extensions: Extensions<'a>) -> Option<Signature<'a>> {
        let last = extensions.by_ref().last().filter(|last| last.kind == kind::AUTHENTICATION)?;
        let (&[0, 0, high, low], rest) = last.value.split_first_chunk::<4>()? else { return None };
        let source = usize::from(*packet.get(header::SOURCE_LEN_AT)?);
        if rest.len() != source + DIGEST || extensions.left() != END_MARK {
            return None;
        }
        let end = packet.len() - END_MARK;
        let (before, digest) = packet.get(..end)?.split_last_chunk::<DIGEST>()?;
        let covered =
            [&before[..CHECKSUM_AT], &[0; 2], before.get(CHECKSUM_AT + 2..)?, &[0; DIGEST], &packet[end..]];
        Some(Signature { spi: u16::from_be_bytes([high, low]), digest, covered })
    }
}

impl Writer<'_> {
    /// Ends the packet as [`Writer::finish`] does, signed by the key `spi` in the name of `own`, where that is of the kind of
    /// the header's source; `digest` computes it.
    pub fn finish_signed(
        mut self,
        spi: u16,
        own: Option<ProtocolAddress>,
        digest: impl FnOnce(&[u8]) -> [u8; DIGEST],
    ) -> Option<usize> {
        let source = self.header.source;
        let own =
            own.filter(|own| source.is_some_and(|source| source.protocol() == own.protocol())).or(source);
        let length = 4 + own.map_or(0, ProtocolAddress::len) as usize + DIGEST;
        self.start_extension(kind::AUTHENTICATION, true, length as u16);
        self.put(&[0, 0]);
        self.put(&spi.to_be_bytes());
        self.put_protocol_address(own);
        let at = self.len;
        self.put(&[0; DIGEST]);
        self.put(&extension::type_field(kind::END, true).to_be_bytes());
        self.put(&[0, 0]);
        if self.failed {
            return None;
        }
        let packet = &mut self.buf[..self.len];
        header::emit_sizes(packet, self.extensions)?;
        let digest = digest(packet);
        packet[at..at + DIGEST].copy_from_slice(&digest);
        let sum = checksum(packet);
        packet[CHECKSUM_AT..CHECKSUM_AT + 2].copy_from_slice(&sum.to_be_bytes());
        Some(self.len)
    }
}
