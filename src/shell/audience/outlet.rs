//! Outputs that nobody waits for: what is written goes into pipes of our own, and a thread carries it on. The thread
//! waits as long as the true outputs make it wait, and drops what they refuse.
//!
//! The true output is left as it is: O_NONBLOCK would hold for all who share it.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// What a pipe takes whole or not at all (PIPE_BUF), once it takes anything.
pub const WHOLE: usize = 4096;

/// Whether a line of at most [`WHOLE`] octets can be written now, without waiting.
pub fn has_room(out: libc::c_int) -> bool {
    wait([out], libc::POLLOUT, Some(Duration::ZERO)) == libc::POLLOUT
}

/// Writes a line for which there [is room](has_room).
pub fn write(out: libc::c_int, line: &[u8]) {
    // SAFETY: `line` is as long as the kernel is told.
    #[allow(unsafe_code)]
    unsafe {
        libc::write(out, line.as_ptr().cast(), line.len())
    };
}

/// Puts a pipe in the place of one of this process's standard outputs. Nobody waits for room in it, be there a poll
/// before it or not.
pub fn redirect(out: libc::c_int) -> io::Result<Far> {
    // SAFETY: the standard outputs are open: before `main` the library opens those that are not.
    #[allow(unsafe_code)]
    let truly = unsafe { BorrowedFd::borrow_raw(out) }.try_clone_to_owned()?;
    let mut ends = [0; 2];
    // SAFETY: there is room for two descriptors, which are new and ours.
    #[allow(unsafe_code)]
    let (far, near) = unsafe {
        if libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) != 0 {
            return Err(io::Error::last_os_error());
        }
        (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    };
    // SAFETY: takes numbers.
    #[allow(unsafe_code)]
    unsafe {
        // A file that may grow no more (RLIMIT_FSIZE) refuses, and that is all.
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        if libc::dup2(near.as_raw_fd(), out) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(Far { pipe: far.into(), out: truly.into(), held: Vec::new(), refused: 0 })
}

/// Nothing more is written to a redirected output: who carries it on comes to the end.
pub fn close(out: libc::c_int) {
    // SAFETY: takes a number, which nobody owns.
    #[allow(unsafe_code)]
    unsafe {
        libc::close(out)
    };
}

/// The pipe's far end and the true output.
#[derive(Debug)]
pub struct Far {
    pipe: File,
    out: File,
    /// What was read and not carried on: the beginning of a line.
    held: Vec<u8>,
    /// Lines that the output refused since it last took one.
    refused: u32,
}

/// What came of [`Far::carry`].
#[derive(Debug)]
pub enum Carried {
    /// The output took lines, the first after so many that it had refused.
    Taken {
        /// So many.
        refused: u32,
    },
    /// It took none.
    Nothing,
    /// Nothing will come any more.
    End,
}

/// Waits until something is written to one of at most two outputs, though no longer than `most`.
pub fn wait_for(fars: &[Far], most: Option<Duration>) {
    wait([0, 1].map(|n| fars.get(n).map_or(-1, |far| far.pipe.as_raw_fd())), libc::POLLIN, most);
}

impl Far {
    /// Carries on what was written, as whole lines.
    pub fn carry(&mut self) -> Carried {
        let had = self.held.len();
        self.held.resize(WHOLE, 0);
        let read = self.pipe.read(&mut self.held[had..]);
        self.held.truncate(had + read.as_ref().map_or(0, |n| *n));
        match read {
            Ok(0) => return Carried::End,
            Ok(_) => {}
            // It is not waited for here.
            Err(_) => return Carried::Nothing,
        }
        let lines = self.held.iter().rposition(|b| *b == b'\n').map(|last| last + 1);
        // No line of ours is as long; what else writes here may be.
        let end = lines.unwrap_or(if self.held.len() == WHOLE { WHOLE } else { 0 });
        if end == 0 {
            return Carried::Nothing;
        }
        let left = self.put(end);
        let refused = self.held[end - left..end].iter().filter(|b| **b == b'\n').count();
        self.held.drain(..end);
        if left > 0 {
            self.refused = self.refused.saturating_add(refused as u32);
            return Carried::Nothing;
        }
        Carried::Taken { refused: core::mem::take(&mut self.refused) }
    }

    /// Writes the first `end` octets of what is held; how many of them were refused.
    fn put(&mut self, end: usize) -> usize {
        let mut done = 0;
        while done < end {
            match self.out.write(&self.held[done..end]) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                // Somebody who shares it made it so.
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    wait([self.out.as_raw_fd()], libc::POLLOUT, None);
                }
                Err(_) => break,
            }
        }
        end - done
    }
}

/// Waits for one of `events` at some of `fds`, though no longer than `most`; those that are negative do not count. What
/// there is at the first one that has something: 0 if nothing is in time.
fn wait<const N: usize>(
    fds: [libc::c_int; N],
    events: libc::c_short,
    most: Option<Duration>,
) -> libc::c_short {
    let mut polled = fds.map(|fd| libc::pollfd { fd, events, revents: 0 });
    // Not before the time has come.
    let ms = most.map_or(-1, |most| i32::try_from(most.as_micros().div_ceil(1000)).unwrap_or(i32::MAX));
    // SAFETY: they are as many as the kernel is told.
    #[allow(unsafe_code)]
    let ready = unsafe { libc::poll(polled.as_mut_ptr(), N as libc::nfds_t, ms) };
    let there = polled.iter().map(|p| p.revents).find(|revents| *revents != 0);
    there.filter(|_| ready > 0).unwrap_or(0)
}
