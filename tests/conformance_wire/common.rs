//! B. Common header and CIE (section 5.2.0.1).

use super::*;
use dmevpn::wire::nhrp::{Cie, code, error, flag};
use golden::vni;

#[test]
fn b1_order_of_the_common_header() {
    let header = Header { flags: 0x8000, vni: vni(7), ..header(Kind::ResolutionRequest) };
    let packet = write(&header, |_| ());
    #[rustfmt::skip]
    assert_eq!(packet[18..], [
        4, 4, 6, 6,
        0x80, 0x00, 0x01, 0x02, 0x03, 0x04,
        192, 0, 2, 1,
        0, 0, 0, 7,
        2, 0, 0, 0, 0, 1,
        2, 0, 0, 0, 0, 2,
    ]);
}

#[test]
fn b2_reply_copies_request_id_and_addresses() {
    let request = header(Kind::RegistrationRequest);
    let reply = request.reply(Kind::RegistrationReply);
    let identity = |h: Header| (h.request_id, h.nbma, h.source, h.destination);
    assert_eq!(identity(reply), identity(request));
}

#[test]
fn b5_no_address_takes_no_octets() {
    let header = Header { source: None, destination: None, ..header(Kind::PurgeRequest) };
    let packet = write(&header, |w| {
        w.cie(&Cie::default());
    });
    assert_eq!(packet.len(), 28 + 4 + 12);
    let message = Message::parse(&packet).unwrap();
    assert_eq!(message.header, header);
    assert!(message.cies().eq([Cie::default()]));
}

#[test]
fn b7_codes_have_the_numbers_of_the_rfc() {
    let codes = [code::OK, code::PROHIBITED, code::RESOURCES];
    assert_eq!(codes, [0, 4, 5]);
    assert_eq!([code::NO_BINDING, code::NOT_UNIQUE, code::ALREADY_REGISTERED], [12, 13, 14]);
}

#[test]
fn b8_d14_prefix_length_of_one_address() {
    for (address, prefix) in
        [(golden::mac("02:00:00:00:00:01"), 0xff), (golden::ip("10.1.0.1"), 32), (golden::ip("fd00::1"), 128)]
    {
        assert_eq!(address.unwrap().host_prefix(), prefix);
    }
}

#[test]
fn b10_nak_has_no_holding_time() {
    let packet = write(&header(Kind::ResolutionReply), |w| {
        w.cie(&Cie::nak(code::NO_BINDING));
    });
    assert_eq!(packet[44..], [12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn b11_lengths_of_a_cie() {
    // The NBMA address and the MAC: neither shorter nor longer, nor past the end.
    for len in [1, 3, 5, 16, 63] {
        assert_eq!(fault(&changed(golden::D, 56, &[len])).0, error::PROTOCOL);
    }
    for len in [1, 4, 5, 7, 16, 255] {
        assert_eq!(fault(&changed(golden::D, 58, &[len])), (error::PROTOCOL, 68));
    }
    // A group is no client.
    assert_eq!(fault(&changed(golden::D, 68, &[0x53])), (error::PROTOCOL, 68));
}

#[test]
fn b11_faults_name_the_sender() {
    let packet = changed(golden::D, 58, &[7]);
    let frame = octets(golden::D);
    assert_eq!(Message::parse(&packet).unwrap_err().header, Some(Message::parse(&frame).unwrap().header));
    // Unless it could not be read.
    assert_eq!(Message::parse(&changed(golden::D, 16, &[0])).unwrap_err().header, None);
}

#[test]
fn c1_e1_f1_flags_have_the_bits_of_the_rfc() {
    assert_eq!(
        [flag::ROUTER, flag::AUTHORITATIVE, flag::STABLE, flag::UNIQUE, flag::SOURCE_STABLE],
        [0x8000, 0x4000, 0x2000, 0x1000, 0x0800]
    );
    assert_eq!([flag::REGISTRATION_UNIQUE, flag::NO_REPLY], [0x8000, 0x8000]);
}
