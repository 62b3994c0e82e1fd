//! Pieces of the filters of packet sockets (cBPF).

use socket2::SockFilter;

/// Where a filter finds what kind of packet it is, PACKET_OUTGOING for one; the index of the device; and the packet's mark
/// (linux/filter.h).
pub const PACKET_TYPE: u32 = ANCILLARY + 4;
pub const INTERFACE: u32 = ANCILLARY + 8;
pub const MARK: u32 = ANCILLARY + 20;
const ANCILLARY: u32 = (-0x1000_i32) as u32;

pub fn statement(code: u32, jt: u8, jf: u8, k: u32) -> SockFilter {
    SockFilter::new(code as u16, jt, jf, k)
}

/// Ends it: so many octets pass.
pub fn pass(octets: u32) -> SockFilter {
    statement(libc::BPF_RET | libc::BPF_K, 0, 0, octets)
}

/// The beginning of one that lets nothing pass but where all that is there, by size and place, is so.
pub fn all_equal(all: &[(u32, u32, u32)]) -> Vec<SockFilter> {
    let mut program = Vec::new();
    for (size, at, is) in all {
        program.push(statement(libc::BPF_LD | libc::BPF_ABS | size, 0, 0, *at));
        program.push(statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, 0, *is));
        program.push(pass(0));
    }
    program
}
