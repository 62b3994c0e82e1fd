//! That routes or rules changed; not which, and not how many of them.

use super::socket;
use socket2::Socket;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// Room for a few: where a full BGP table changes, the kernel drops the others without waking anybody.
const RECEIVE_BUFFER: usize = 4096;
/// More messages than fit.
const MOST: usize = 256;

// Multicast groups (RTNLGRP_), by number: the libc crate has them for some targets only.
const GROUP_IPV4_ROUTE: u32 = 7;
const GROUP_IPV4_RULE: u32 = 8;
const GROUP_IPV6_ROUTE: u32 = 11;
const GROUP_IPV6_RULE: u32 = 19;

/// A socket that is readable once a route, or a rule that chooses among tables of them, changed.
#[derive(Debug)]
pub struct Routes(Socket);

impl Routes {
    /// Listens in this thread's network namespace.
    pub fn open() -> io::Result<Routes> {
        let socket = socket::open()?;
        socket.set_nonblocking(true)?;
        socket::set_receive_buffer(&socket, RECEIVE_BUFFER)?;
        socket::bind(&socket)?;
        socket::join(&socket, GROUP_IPV4_ROUTE)?;
        // A kernel without IPv6, or without rules, may not have these.
        for group in [GROUP_IPV6_ROUTE, GROUP_IPV4_RULE, GROUP_IPV6_RULE] {
            let _ = socket::join(&socket, group);
        }
        Ok(Routes(socket))
    }

    /// Forgets what was told: it is readable again at the next change.
    pub fn forget(&self) {
        let mut octet = [0];
        for _ in 0..MOST {
            match socket::receive(&self.0, &mut octet) {
                // Some were dropped, which is as good.
                Err(e) if e.raw_os_error() != Some(libc::ENOBUFS) => break,
                _ => {}
            }
        }
    }
}

impl AsFd for Routes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
