//! Loop frames: sent into the tunnel devices, past their bridges, and heard by a packet socket at all devices. What a bridge's
//! port takes in is shown to those alone that listen to all there is; so the socket is there as long as a VN waits for
//! such a frame, and its filter passes no other.

use super::filter::{self, statement};
use crate::engine::VnKey;
use crate::shell::netlink::{Netlink, set_option};
use crate::shell::packet::{self, LinkAddress};
use crate::shell::words::InWords;
use crate::types::Mac;
use crate::wire::loop_frame::{ETHERTYPE, LEN, MARK, MARK_AT, emit, parse};
use litemap::LiteMap;
use socket2::{Domain, SockFilter, Socket, Type};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Of a loop that is full of them only the first matter.
const RECEIVE_BUFFER: usize = 1 << 14;
/// Those of a second that all tunnels of a hub are looked at in, and some more.
const KNOWN: usize = 64;
/// PACKET_IGNORE_OUTGOING (Linux 4.20): what leaves does not even reach the filter.
const IGNORE_OUTGOING: libc::c_int = 23;

/// Those that wait for loop frames, and the socket.
#[derive(Debug, Default)]
pub struct Loops {
    socket: Option<Socket>,
    vns: LiteMap<VnKey, ()>,
    /// The nonces of the last ones. Others are nobody's.
    sent: heapless::Deque<u64, KNOWN>,
}

impl Loops {
    /// Sends one into the device `index`, for a VN that waits for it from now on.
    pub fn seek(&mut self, vn: VnKey, index: u32, source: Mac, nonce: u64) {
        self.vns.insert(vn, ());
        if self.socket.is_none() {
            self.socket = open().inspect_err(|e| log::warn!("loop frames: {}", InWords(e))).ok();
        }
        if self.sent.is_full() {
            self.sent.pop_front();
        }
        let _ = self.sent.push_back(nonce);
        let to = LinkAddress::new(index, ETHERTYPE, &[0xff; 6]);
        let frame = emit(source, nonce);
        // What is lost is sent again in a second.
        if let Some(Err(e)) = self.socket.as_ref().map(|socket| packet::send_to(socket, &frame, &to)) {
            log::debug!("loop frame: {}", InWords(&e));
        }
    }

    /// The VN waits for none any more.
    pub fn seek_no_more(&mut self, vn: VnKey) {
        self.vns.remove(&vn);
        if self.vns.is_empty() {
            self.socket = None;
            self.sent.clear();
        }
    }

    /// The next frame that came: by which device, and its nonce if it is one of this node's; `None` when there is none.
    pub fn hear(&self) -> Option<Option<(u32, u64)>> {
        let mut frame = [0; LEN];
        let (len, from) = packet::receive_from(self.socket.as_ref()?, &mut frame).ok()?;
        let nonce =
            frame.get(..len).and_then(parse).filter(|nonce| self.sent.iter().any(|sent| sent == nonce));
        Some(nonce.map(|nonce| (from.index(), nonce)))
    }

    pub fn source(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(Socket::as_fd)
    }
}

fn open() -> io::Result<Socket> {
    // Nothing comes before it is bound, with its filter.
    let socket = packet::open(Domain::PACKET, Type::RAW, 0, "loop frames")?;
    socket.attach_filter(&filter())?;
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    let _ = set_option(socket.as_raw_fd(), libc::SOL_PACKET, IGNORE_OUTGOING, 1);
    packet::bind(&socket, &LinkAddress::new(0, libc::ETH_P_ALL as u16, &[]))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Lets loop frames through that come in, but for those by devices of this program.
fn filter() -> Vec<SockFilter> {
    let ethernet =
        [(libc::BPF_H, 12, u32::from(ETHERTYPE)), (libc::BPF_W, MARK_AT as u32, u32::from_be_bytes(MARK))];
    let mut program = filter::all_equal(&ethernet);
    program.push(statement(libc::BPF_LD | libc::BPF_ABS | libc::BPF_W, 0, 0, filter::PACKET_TYPE));
    program.push(statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, libc::PACKET_OUTGOING as u32));
    program.push(filter::pass(0));
    program.push(statement(libc::BPF_LD | libc::BPF_ABS | libc::BPF_W, 0, 0, filter::INTERFACE));
    program.push(statement(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, Netlink::OWN));
    program.push(filter::pass(0));
    program.push(filter::pass(u32::MAX));
    program
}
