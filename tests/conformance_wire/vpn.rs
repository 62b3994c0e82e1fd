//! K. VPNs (RFC 2735, RFC 2684 section 8, RFC 2685), and the GRE header (RFC 2784, RFC 2890).

use super::*;
use dmevpn::types::VpnId;
use dmevpn::wire::nhrp::{Extension, checksum, kind};
use dmevpn::wire::{self, Malformed, Prefix, VpnTag, gre, llc};

fn one() -> VpnId {
    VpnId::new(VpnId::DEFAULT_OUI, 1)
}

#[test]
fn k1_vpn_by_header_or_by_path() {
    let a = octets(golden::A);
    for (tag, header) in [
        (VpnTag::None, &[0x00, 0x00, 0x20, 0x01][..]),
        (VpnTag::Key(0x0102_0304), &[0x20, 0x00, 0x20, 0x01, 1, 2, 3, 4]),
        (VpnTag::Llc(one()), &[0x00, 0x00, 0x20, 0x01]),
    ] {
        let prefix = Prefix::gre(tag);
        assert!(prefix.as_bytes().starts_with(header));
        let packet = [prefix.as_bytes(), &a].concat();
        assert_eq!(wire::parse(&packet), Ok((tag, &a[..])));
    }
}

#[test]
fn k2_not_both_on_send() {
    assert_eq!(Prefix::gre(VpnTag::Key(1)).as_bytes().len(), 8);
    assert_eq!(Prefix::gre(VpnTag::Llc(one())).as_bytes().len(), 4 + 24);
}

#[test]
fn k13_both_have_to_agree() {
    let payload = Prefix::payload(VpnTag::Llc(one()));
    assert_eq!(wire::parse_payload(Some(1), payload.as_bytes()), Ok((VpnTag::Llc(one()), &[][..])));
    assert_eq!(wire::parse_payload(Some(2), payload.as_bytes()), Err(Malformed::VpnConflict));
}

#[test]
fn a4_k17_vpn_header() {
    let prefix = octets(golden::LLC_PREFIX);
    assert_eq!(llc::emit(one()).as_slice(), prefix);
    // The padding is ignored.
    let mut padded = prefix.clone();
    padded[8] = 0xff;
    assert_eq!(llc::parse(&padded), Ok((Some(one()), &[][..])));
    // NHRP has to follow, whole.
    for len in 8..prefix.len() {
        assert!(llc::parse(&prefix[..len]).is_err());
    }
    let mut other = prefix;
    other[23] = 0x08;
    assert_eq!(llc::parse(&other), Err(Malformed::OldFormat));
    other[23] = 0x01;
    assert_eq!(llc::parse(&other), Err(Malformed::NotNhrp));
}

#[test]
fn k18_device_capabilities() {
    let value = [0, 0, 0, 1, 0, 0, 0, 0];
    let packet = write(&header(Kind::ResolutionRequest), |w| {
        w.extension(Extension::capabilities(&value));
    });
    assert_eq!(packet[44..56], [0x00, 0x09, 0x00, 0x08, 0, 0, 0, 1, 0, 0, 0, 0]);
    // The same number with other lengths is Cisco's NAT address, and no fault.
    for nat in
        [&[0, 9, 0, 0, 0x80, 0, 0, 0][..], &[0, 9, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0]]
    {
        let packet = with_extensions(nat);
        let extension = Message::parse(&packet).unwrap().extensions().next().unwrap();
        assert_eq!((extension.kind, extension.compulsory), (kind::DEVICE_CAPABILITIES, false));
    }
}

#[test]
fn k22_vpn_id_is_most_significant_octet_first() {
    let vpn = VpnId::new([0x0a, 0x0b, 0x0c], 0x0102_0304);
    assert_eq!(llc::emit(vpn)[8..16], [0, 0x0a, 0x0b, 0x0c, 1, 2, 3, 4]);
    assert_eq!(llc::parse(&llc::emit(vpn)), Ok((Some(vpn), &[][..])));
}

// GRE (RFC 2784, RFC 2890)

#[test]
fn gre_of_another_version_or_with_routing_is_refused() {
    for flags in [0x0001, 0x0007, 0x4000, 0x0800, 0x0400_u16] {
        let packet = [&flags.to_be_bytes()[..], &[0x20, 0x01], &[0; 16]].concat();
        assert_eq!(gre::parse(&packet), Err(Malformed::Gre));
    }
    // The other reserved bits are ignored.
    for flags in [0x0200, 0x0100, 0x0080, 0x0008_u16] {
        let packet = [&flags.to_be_bytes()[..], &[0x20, 0x01, 7]].concat();
        assert_eq!(gre::parse(&packet).unwrap().1, [7]);
    }
}

#[test]
fn gre_checksum_key_and_sequence_number() {
    let mut packet =
        [&[0xb0, 0x00, 0x20, 0x01][..], &[0; 4], &[0, 0, 0, 42], &[0, 0, 0, 1], &[0xef]].concat();
    let sum = checksum(&packet);
    packet[4..6].copy_from_slice(&sum.to_be_bytes());
    let header = gre::Header { protocol: gre::PROTOCOL_NHRP, key: Some(42) };
    assert_eq!(gre::parse(&packet), Ok((header, &[0xef][..])));
    for len in 0..16 {
        assert!(gre::parse(&packet[..len]).is_err());
    }
    packet[16] = 0xee;
    assert_eq!(gre::parse(&packet), Err(Malformed::Gre));
}

#[test]
fn gre_of_another_protocol_is_not_nhrp() {
    assert_eq!(wire::parse(&[0, 0, 0x65, 0x58, 0, 1]), Err(Malformed::NotNhrp));
}
