//! Hears the probes that come by VXLAN devices: one packet socket for all of them, and another one for those that the guard
//! marked as strangers'. A frame to that address is handed to who listens at a bridge's port, whatever the port is kept from.

use super::filter::{self, statement};
use crate::shell::netlink::{Netlink, STRANGE, set_receive_buffer};
use crate::shell::packet::{self, LinkAddress};
use crate::shell::words::InWords;
use crate::wire::probe::{DESTINATION, ETHERTYPE, Probe};
use socket2::{Domain, SockFilter, Socket, Type};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// Room for the probes of a thousand spokes that come at once.
const RECEIVE_BUFFER: usize = 1 << 20;

/// A filter of more devices may be too large for the kernel.
const DEVICES: usize = 64;

/// What is heard.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// The index of the device it came by.
    pub index: u32,
    /// Whether frames from there are not taken.
    pub is_stranger: bool,
    pub probe: Probe,
}

/// The sockets.
#[derive(Debug)]
pub struct Ear {
    known: Socket,
    strange: Socket,
    /// The devices that the user made and probes may come by; of all others those of this program.
    users: Vec<u32>,
}

impl Ear {
    pub fn open() -> io::Result<Ear> {
        let open = |is_strange| {
            // Nothing comes before it is bound, with its filter.
            let socket = packet::open(Domain::PACKET, Type::RAW, 0, "probes of paths")?;
            socket.attach_filter(&by(&[], is_strange))?;
            let _ = set_receive_buffer(&socket, RECEIVE_BUFFER);
            packet::bind(&socket, &LinkAddress::new(0, ETHERTYPE, &[]))?;
            socket.set_nonblocking(true)?;
            io::Result::Ok(socket)
        };
        Ok(Ear { known: open(false)?, strange: open(true)?, users: Vec::new() })
    }

    /// Probes come by these devices of the user's, too. What a station of the LAN sends does not even wake the daemon.
    pub fn hear_by(&mut self, users: Vec<u32>) {
        if self.users != users {
            for (socket, is_strange) in [(&self.known, false), (&self.strange, true)] {
                if let Err(e) = socket.attach_filter(&by(&users, is_strange)) {
                    log::warn!("probes do not come in: {}", InWords(&e));
                }
            }
            self.users = users;
        }
    }

    /// The next frame, if it is a probe; strangers' come last.
    pub fn hear(&self, buf: &mut [u8]) -> io::Result<Option<Heard>> {
        let (is_stranger, (len, from)) = match packet::receive_from(&self.known, buf) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                (true, packet::receive_from(&self.strange, buf)?)
            }
            known => (false, known?),
        };
        let probe = buf.get(..len).and_then(Probe::parse);
        Ok(probe.map(|probe| Heard { index: from.index(), is_stranger, probe }))
    }

    pub fn sources(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [&self.known, &self.strange].into_iter().map(AsFd::as_fd)
    }
}

/// Lets frames to that address through which begin as probes do, by devices that this program made and by these: a router
/// may have IEEE 802.1ag of its own. Those that the guard marked, or all others.
fn by(users: &[u32], is_strange: bool) -> Vec<SockFilter> {
    let load = |at| statement(libc::BPF_LD | libc::BPF_ABS | libc::BPF_W, 0, 0, at);
    let [a, b, c, d, e, f] = DESTINATION;
    // Whose the first TLV is, and what, comes last.
    let mut program = filter::all_equal(&[
        (libc::BPF_W, 0, u32::from_be_bytes([a, b, c, d])),
        (libc::BPF_H, 4, u32::from_be_bytes([0, 0, e, f])),
        (libc::BPF_W, 25, 0x0264_6d01),
    ]);
    let (strange, other) = if is_strange { (1, 0) } else { (0, 1) };
    program.push(load(filter::MARK));
    program.push(statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, strange, other, STRANGE));
    program.push(filter::pass(0));
    program.push(load(filter::INTERFACE));
    program.push(statement(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, Netlink::OWN));
    program.push(filter::pass(u32::MAX));
    for index in users.iter().take(DEVICES) {
        program.push(statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, *index));
        program.push(filter::pass(u32::MAX));
    }
    program.push(filter::pass(0));
    program
}
