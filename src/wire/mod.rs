//! The wire: GRE, the VPN header and NHRP, probes and loop frames; parsed and emitted without allocation and without panic.
//!
//! ```text
//! IP (protocol 47) | GRE, protocol 0x2001 [key] | [LLC/SNAP VPN header, LLC/SNAP of NHRP] | NHRP
//! IP | UDP | VXLAN | Ethernet | IEEE 802.1ag loopback message
//! ```

pub mod gre;
pub mod llc;
pub mod loop_frame;
pub mod nhrp;
pub mod probe;

use crate::types::VpnId;

/// The largest NHRP packet this program makes or takes, in octets: what fits a 1500-octet underlay
/// with IPv6, a keyed GRE header and the LLC headers in front (RFC 2332 section 5.1, maximum packet size).
pub const MAX_NHRP: usize = 1500 - 40 - gre::MAX_LEN - llc::LEN;

/// How a packet names its VN (RFC 2735 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VpnTag {
    /// By an LLC/SNAP header with the VPN-ID.
    Llc(VpnId),
    /// By the GRE key, which is the VPN index.
    Key(u32),
    /// Not at all.
    None,
}

/// Octets that are not what they should be. What can be answered by an NHRP error code is an [`nhrp::Fault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// They end too early.
    Truncated,
    /// A GRE version, flag or checksum that cannot be right.
    Gre,
    /// GRE carries something other than NHRP.
    NotNhrp,
    /// The GRE key and the VPN header name different VNs (RFC 2735 section 3.4).
    VpnConflict,
    /// Two VPN headers one behind the other, as the dmevpn in C writes them: its checksums, sizes and numbers are others,
    /// too.
    OldFormat,
}

/// Takes a GRE packet apart: which VN it names, and the NHRP packet.
pub fn parse(packet: &[u8]) -> Result<(VpnTag, &[u8]), Malformed> {
    let (header, payload) = gre::parse(packet)?;
    if header.protocol != gre::PROTOCOL_NHRP {
        return Err(Malformed::NotNhrp);
    }
    parse_payload(header.key, payload)
}

/// Takes the payload of a GRE packet apart, as a kernel GRE device with this input key hands it out.
pub fn parse_payload(key: Option<u32>, payload: &[u8]) -> Result<(VpnTag, &[u8]), Malformed> {
    let (vpn, nhrp) = llc::parse(payload)?;
    let tag = match (key, vpn) {
        (Some(key), Some(vpn)) if vpn.index() != key => return Err(Malformed::VpnConflict),
        (_, Some(vpn)) => VpnTag::Llc(vpn),
        (Some(key), None) => VpnTag::Key(key),
        (None, None) => VpnTag::None,
    };
    Ok((tag, nhrp))
}

/// The headers in front of an NHRP packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prefix {
    octets: [u8; gre::MAX_LEN + llc::LEN],
    len: usize,
}

impl Prefix {
    /// For a raw socket: GRE, and the VPN header where `tag` asks for it.
    pub fn gre(tag: VpnTag) -> Prefix {
        let mut prefix = Prefix::default();
        let key = match tag {
            VpnTag::Key(key) => Some(key),
            VpnTag::Llc(_) | VpnTag::None => None,
        };
        prefix.len = gre::emit(gre::Header { protocol: gre::PROTOCOL_NHRP, key }, &mut prefix.octets);
        prefix.push_llc(tag);
        prefix
    }

    /// For a kernel GRE device, which makes the GRE header (and key) itself.
    pub fn payload(tag: VpnTag) -> Prefix {
        let mut prefix = Prefix::default();
        prefix.push_llc(tag);
        prefix
    }

    /// The octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.octets[..self.len]
    }

    fn push_llc(&mut self, tag: VpnTag) {
        if let VpnTag::Llc(vpn) = tag {
            self.octets[self.len..self.len + llc::LEN].copy_from_slice(&llc::emit(vpn));
            self.len += llc::LEN;
        }
    }
}
