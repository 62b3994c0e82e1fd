//! The LLC/SNAP headers in front of NHRP (RFC 2735 section 4.1, RFC 2684 section 8.1).

use super::Malformed;
use crate::types::VpnId;

/// The length of both headers together, in octets.
pub const LEN: usize = 24;

/// LLC for SNAP with IANA's OUI; the protocol identifier follows.
const SNAP_IANA: [u8; 6] = [0xaa, 0xaa, 0x03, 0x00, 0x00, 0x5e];
const PID_VPN: [u8; 2] = [0x00, 0x08];
const PID_NHRP: [u8; 2] = [0x00, 0x03];

/// Takes the LLC headers off: the VPN-ID, if there is one, and the NHRP packet.
///
/// No ethertype tells LLC from plain NHRP in GRE, but the first octets do: 0xAAAA is no address family.
pub fn parse(payload: &[u8]) -> Result<(Option<VpnId>, &[u8]), Malformed> {
    let Some(rest) = payload.strip_prefix(&SNAP_IANA) else {
        return Ok((None, payload));
    };
    if let Some(nhrp) = rest.strip_prefix(&PID_NHRP) {
        return Ok((None, nhrp));
    }
    let rest = rest.strip_prefix(&PID_VPN).ok_or(Malformed::NotNhrp)?;
    // One octet of padding, to be ignored, then OUI and index.
    let ([_, a, b, c, index @ ..], rest) = rest.split_first_chunk::<8>().ok_or(Malformed::Truncated)?;
    let vpn = VpnId::new([*a, *b, *c], u32::from_be_bytes(*index));
    let rest = rest.strip_prefix(&SNAP_IANA).ok_or(Malformed::NotNhrp)?;
    match rest.strip_prefix(&PID_NHRP) {
        Some(nhrp) => Ok((Some(vpn), nhrp)),
        None if rest.starts_with(&PID_VPN) => Err(Malformed::OldFormat),
        None => Err(Malformed::NotNhrp),
    }
}

/// The VPN header for `vpn` and the header of NHRP.
pub fn emit(vpn: VpnId) -> [u8; LEN] {
    let mut octets = [0; LEN];
    octets[..6].copy_from_slice(&SNAP_IANA);
    octets[6..8].copy_from_slice(&PID_VPN);
    octets[9..12].copy_from_slice(&vpn.oui());
    octets[12..16].copy_from_slice(&vpn.index().to_be_bytes());
    octets[16..22].copy_from_slice(&SNAP_IANA);
    octets[22..24].copy_from_slice(&PID_NHRP);
    octets
}
