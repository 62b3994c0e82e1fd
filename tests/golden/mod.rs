//! The golden frames, and what several tests do with them.

#![allow(dead_code, reason = "each test crate uses a part of this")]

use dmevpn::types::{Mac, Nbma, Vni};
use dmevpn::wire::nhrp::{Message, ProtocolAddress, Writer, checksum};

macro_rules! frames {
    ($($name:ident = $file:literal;)*) => {
        $(pub const $name: &str = include_str!($file);)*
    };
}

frames! {
    A = "a-registration-request.hex";
    B = "b-registration-reply.hex";
    C = "c-resolution-request.hex";
    D = "d-resolution-reply.hex";
    E = "e-resolution-nak.hex";
    F = "f-purge-request.hex";
    G = "g-purge-reply.hex";
    H = "h-error-indication.hex";
    I = "i-authenticated-registration.hex";
    J = "j-registration-nak-behind-nat.hex";
    K = "k-purge-of-a-rival.hex";
    L = "l-purge-of-a-former-place.hex";
    M = "m-registration-nak-rival.hex";
    T = "t-probe.hex";
    U = "u-answer.hex";
    V = "v-probe-ipv6.hex";
    LOOP_FRAME = "loop-frame.hex";
    TRAFFIC_INDICATION = "traffic-indication.hex";
    SESSION_REGISTRATION = "session-registration.hex";
    SESSION_CHALLENGE = "session-challenge.hex";
    SESSION_COOKIE = "session-registration-with-cookie.hex";
    SESSION_SIGNED = "session-registration-signed.hex";
    SESSION_PURGE = "session-purge.hex";
    SESSION_RESOLUTION = "session-resolution.hex";
    SESSION_RESOLUTION_CHALLENGE = "session-resolution-challenge.hex";
    SESSION_WITHDRAWAL = "session-withdrawal.hex";
    SESSION_WITHDRAWAL_REPLY = "session-withdrawal-reply.hex";
    LLC_PREFIX = "llc-prefix.hex";
    LEGACY_REGISTRATION_REQUEST = "legacy-registration-request.hex";
    LEGACY_RESOLUTION_REQUEST = "legacy-resolution-request.hex";
    LEGACY_RESOLUTION_REPLY = "legacy-resolution-reply.hex";
}

/// The NHRP packets.
pub const ALL: [&str; 22] = [
    A,
    B,
    C,
    D,
    E,
    F,
    G,
    H,
    I,
    J,
    K,
    L,
    M,
    SESSION_REGISTRATION,
    SESSION_CHALLENGE,
    SESSION_COOKIE,
    SESSION_SIGNED,
    SESSION_PURGE,
    SESSION_RESOLUTION,
    SESSION_RESOLUTION_CHALLENGE,
    SESSION_WITHDRAWAL,
    SESSION_WITHDRAWAL_REPLY,
];

/// The octets a hex file stands for; `#` starts a comment.
pub fn octets(hex: &str) -> Vec<u8> {
    hex.lines()
        .flat_map(|line| line.split('#').next().unwrap().split_whitespace())
        .map(|octet| u8::from_str_radix(octet, 16).unwrap())
        .collect()
}

/// Makes the checksum right again after a change, over as much as `ar$pktsz` says; of a packet that is too short
/// for that, or says it is longer than it is, nothing changes.
pub fn fix_checksum(packet: &mut [u8]) {
    let Some(size) = packet.get(10..12).map(|s| usize::from(u16::from_be_bytes([s[0], s[1]]))) else {
        return;
    };
    if let Some(packet) = packet.get_mut(..size) {
        if size >= 14 {
            packet[12..14].fill(0);
            let sum = checksum(packet);
            packet[12..14].copy_from_slice(&sum.to_be_bytes());
        }
    }
}

/// Writes again what `message` says.
pub fn rebuild(message: &Message<'_>, buf: &mut [u8]) -> Option<usize> {
    let mut writer = Writer::new(buf, &message.header);
    for cie in message.cies() {
        writer.cie(&cie);
    }
    writer.packet_in_error(message.packet_in_error());
    for extension in message.extensions() {
        writer.extension(extension);
    }
    writer.finish()
}

/// Whether two packets say the same.
pub fn same(a: &Message<'_>, b: &Message<'_>) -> bool {
    a.header == b.header
        && a.cies().eq(b.cies())
        && a.packet_in_error() == b.packet_in_error()
        && a.extensions().eq(b.extensions())
}

pub fn mac(s: &str) -> Option<ProtocolAddress> {
    Some(ProtocolAddress::Mac(s.parse::<Mac>().unwrap()))
}

pub fn ip(s: &str) -> Option<ProtocolAddress> {
    Some(ProtocolAddress::Ip(s.parse().unwrap()))
}

pub fn nbma(s: &str) -> Nbma {
    s.parse().unwrap()
}

pub fn vni(n: u32) -> Option<Vni> {
    Some(Vni::new(n).unwrap())
}
