//! Signals as something to wait for.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

/// What the daemon is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT: withdraw and end.
    End,
    /// SIGUSR1: end, and leave everything in place for the next daemon.
    HandOver,
    /// SIGHUP: read the configuration again.
    Reload,
}

/// The signals of this process. To be made before any thread is: threads inherit the blocked signals.
#[derive(Debug)]
pub struct Signals(File);

impl Signals {
    /// Takes the signals from their default actions.
    pub fn take() -> io::Result<Signals> {
        // SAFETY: `set` is initialised by sigemptyset before it is read; all pointers are to locals.
        #[allow(unsafe_code)]
        let fd = unsafe {
            let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
            libc::sigemptyset(set.as_mut_ptr());
            for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGUSR1] {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            if libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
            let fd = libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        Ok(Signals(File::from(fd)))
    }

    /// The next one, if there is one.
    pub fn next(&self) -> io::Result<Option<Signal>> {
        let mut info = [0; std::mem::size_of::<libc::signalfd_siginfo>()];
        loop {
            match (&self.0).read_exact(&mut info) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(None),
                other => other?,
            }
            // `ssi_signo` is the first field.
            let number = u32::from_ne_bytes([info[0], info[1], info[2], info[3]]);
            match i32::try_from(number) {
                Ok(libc::SIGHUP) => return Ok(Some(Signal::Reload)),
                Ok(libc::SIGUSR1) => return Ok(Some(Signal::HandOver)),
                Ok(libc::SIGTERM | libc::SIGINT) => return Ok(Some(Signal::End)),
                _ => {}
            }
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
