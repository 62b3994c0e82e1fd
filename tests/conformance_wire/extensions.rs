//! H. Extensions (section 5.3).

use super::*;
use dmevpn::wire::nhrp::{Extension, error, kind};

#[test]
fn h1_type_length_value() {
    let extension = Extension { kind: 0x0123, compulsory: true, value: &[1, 2, 3, 4, 5] };
    let packet = write(&header(Kind::ResolutionRequest), |w| {
        w.extension(extension);
    });
    assert_eq!(packet[44..], [0x81, 0x23, 0, 5, 1, 2, 3, 4, 5, 0x80, 0, 0, 0]);
    assert!(Message::parse(&packet).unwrap().extensions().eq([extension]));
}

#[test]
fn h1_length_past_the_end() {
    for length in [1, 9, 0xffff_u16] {
        let [a, b] = length.to_be_bytes();
        let packet = with_extensions(&[0x80, 0x03, 0, 0, 0x80, 0x04, a, b]);
        assert_eq!(fault(&packet), (error::PROTOCOL, EXTENSIONS_AT + 4));
    }
    // An end mark that is swallowed is none.
    let packet = with_extensions(&[0x80, 0x04, 0, 4, 0x80, 0, 0, 0]);
    assert_eq!(fault(&packet), (error::PROTOCOL, EXTENSIONS_AT + 8));
}

#[test]
fn h2_missing_end_mark() {
    let packet = with_extensions(&[0x80, 0x03, 0, 0]);
    assert_eq!(fault(&packet), (error::PROTOCOL, EXTENSIONS_AT + 4));
    for part in [&[0x80][..], &[0x80, 0], &[0x80, 0, 0]] {
        assert_eq!(fault(&with_extensions(part)), (error::PROTOCOL, EXTENSIONS_AT));
    }
    // One with a value is none.
    assert_eq!(fault(&with_extensions(&[0x80, 0, 0, 1, 0])), (error::PROTOCOL, EXTENSIONS_AT));
}

#[test]
fn h2_end_mark_ends_the_list() {
    let packet = with_extensions(&[0x80, 0x03, 0, 0, 0x80, 0, 0, 0, 0x80, 0x04, 0, 0]);
    assert!(Message::parse(&packet).unwrap().extensions().eq([Extension::empty(kind::RESPONDER)]));
    // Its C bit is not what makes it one.
    says_the_same(&with_extensions(&[0, 0, 0, 0]), golden::F);
    // An offset that points to the end promises nothing.
    says_the_same(&with_extensions(&[]), golden::F);
}

#[test]
fn h2_end_mark_only_with_extensions() {
    let packet = write(&header(Kind::PurgeRequest), |_| ());
    assert_eq!(packet.len(), 44);
    let packet = write(&header(Kind::PurgeRequest), |w| {
        w.extension(Extension::empty(kind::RESPONDER));
    });
    assert_eq!(packet[48..], [0x80, 0, 0, 0]);
}

#[test]
fn g7_h3_duplicate_is_error_9() {
    let packet = with_extensions(&[0x80, 0x03, 0, 0, 0x80, 0x04, 0, 0, 0x80, 0x03, 0, 0, 0x80, 0, 0, 0]);
    assert_eq!(fault(&packet), (error::INVALID_EXTENSION, EXTENSIONS_AT + 8));
    // Compulsory or not, known or not.
    let packet = with_extensions(&[0x92, 0x34, 0, 0, 0x12, 0x34, 0, 1, 0, 0x80, 0, 0, 0]);
    assert_eq!(fault(&packet), (error::INVALID_EXTENSION, EXTENSIONS_AT + 4));
}

#[test]
fn h3_h5_vendor_private_may_repeat() {
    let packet = with_extensions(&[0, 8, 0, 3, 1, 2, 3, 0, 8, 0, 4, 1, 2, 3, 4, 0x80, 0, 0, 0]);
    let message = Message::parse(&packet).unwrap();
    let values = message.extensions().map(|e| (e.kind, e.compulsory, e.value.len()));
    assert!(values.eq([(kind::VENDOR, false, 3), (kind::VENDOR, false, 4)]));
}

#[test]
fn h3_h4_any_order_which_is_kept() {
    let kinds = [5, 0x3fff, 3, 9, 4, 0x1000];
    let packet = write(&header(Kind::ResolutionRequest), |w| {
        for kind in kinds {
            w.extension(Extension { kind, compulsory: kind % 2 == 1, value: &[] });
        }
    });
    let message = Message::parse(&packet).unwrap();
    assert!(message.extensions().map(|e| e.kind).eq(kinds));
    let mut buf = [0; MAX_NHRP];
    let len = golden::rebuild(&message, &mut buf).unwrap();
    assert_eq!(buf[..len], packet);
}

#[test]
fn h8_h9_unknown_extensions_are_the_receivers_business() {
    // Whether one is refused depends on who receives it, so all of them come through, with their C bit.
    let packet = with_extensions(&[0xb8, 0x01, 0, 1, 7, 0x38, 0x02, 0, 0, 0x80, 0, 0, 0]);
    let message = Message::parse(&packet).unwrap();
    assert!(message.extensions().map(|e| (e.kind, e.compulsory)).eq([(0x3801, true), (0x3802, false)]));
}

#[test]
fn h11_all_14_bits_of_the_type() {
    for kind in [1, 0x0fff, 0x1000, 0x11ff, 0x1200, 0x37ff, 0x3800, 0x3fff, 0x0100, 0x3f00] {
        let packet = write(&header(Kind::ResolutionRequest), |w| {
            w.extension(Extension { kind, compulsory: false, value: &[1] });
        });
        assert!(Message::parse(&packet).unwrap().extensions().map(|e| e.kind).eq([kind]));
    }
}

#[test]
fn i2_responder_address_is_one_cie() {
    let d = octets(golden::D);
    let message = Message::parse(&d).unwrap();
    assert_eq!(message.extension_cie(kind::RESPONDER).unwrap().nbma, Some(nbma("10.0.0.1")));
    // Asked for and not yet given, not there at all, and not a CIE.
    assert_eq!(message.extension_cie(kind::FORWARD_TRANSIT), None);
    assert_eq!(message.extension_cie(kind::AUTHENTICATION), None);
    assert_eq!(message.extension_cie(kind::DEVICE_CAPABILITIES), None);
}
