//! Where the daemon's thread waits: in one system call for all that it and its tasks read and write, and for the time.
//!
//! Nothing is registered anywhere, so nothing is to be registered again: who waits says anew for what.

use super::reactor::Reactor;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

/// What is waited for, and which of it is there.
#[derive(Debug, Default)]
pub struct Sources(Vec<libc::pollfd>);

impl Sources {
    /// Waits until there is something to read in one of `sources`, or one of `tasks` can go on, though no longer than `most`.
    pub fn wait<'fd>(
        &mut self,
        sources: impl Iterator<Item = BorrowedFd<'fd>>,
        tasks: &Reactor,
        most: Option<Duration>,
    ) -> io::Result<()> {
        let polled = |fd, events| libc::pollfd { fd, events, revents: 0 };
        self.0.clear();
        self.0.extend(sources.map(|fd| polled(fd.as_raw_fd(), libc::POLLIN)));
        tasks.descriptors(|fd, events| self.0.push(polled(fd, events)));
        // Upwards: what is due after a part of a millisecond is not yet.
        let most = most.map_or(-1, |most| {
            let whole = most.as_micros().div_ceil(1000);
            libc::c_int::try_from(whole).unwrap_or(libc::c_int::MAX)
        });
        let count = self.0.len() as libc::nfds_t;
        // SAFETY: there are as many entries as the kernel is told.
        #[allow(unsafe_code)]
        let result = unsafe { libc::poll(self.0.as_mut_ptr(), count, most) };
        if result >= 0 {
            return Ok(());
        }
        self.0.clear();
        match io::Error::last_os_error() {
            e if e.kind() == ErrorKind::Interrupted => Ok(()),
            e => Err(e),
        }
    }

    /// Whether there is something to read, be it an error.
    pub fn have(&self, source: BorrowedFd<'_>) -> bool {
        self.have_raw(source.as_raw_fd())
    }

    /// As [`Sources::have`], of what tasks wait for, too.
    pub fn have_raw(&self, fd: RawFd) -> bool {
        self.0.iter().any(|polled| polled.fd == fd && polled.revents != 0)
    }
}

/// Wakes the daemon's thread, from any thread.
#[derive(Debug)]
pub struct Bell(File);

impl Bell {
    /// One that nobody has rung.
    pub fn new() -> io::Result<Arc<Bell>> {
        // SAFETY: takes numbers; what it returns is a new descriptor, or negative.
        #[allow(unsafe_code)]
        let fd = unsafe {
            match libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) {
                fd if fd < 0 => return Err(io::Error::last_os_error()),
                fd => OwnedFd::from_raw_fd(fd),
            }
        };
        Ok(Arc::new(Bell(File::from(fd))))
    }

    /// To ring it with.
    pub fn waker(self: &Arc<Bell>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    /// Whether it was rung since it was asked last.
    pub fn was_rung(&self) -> bool {
        (&self.0).read_exact(&mut [0; 8]).is_ok()
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Bell>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Bell>) {
        // It fails only after 2^64 times, and then it was rung.
        let _ = (&self.0).write(&1_u64.to_ne_bytes());
    }
}

impl std::os::fd::AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_bell_is_heard_once_and_time_passes() {
        let (bell, silent) = (Bell::new().unwrap(), Bell::new().unwrap());
        let mut sources = Sources::default();
        let clock = crate::shell::clock::Clock::start();
        let tasks = Reactor::new(clock);
        let mut both = |most| {
            sources.wait([silent.as_fd(), bell.as_fd()].into_iter(), &tasks, most).unwrap();
            assert!(!sources.have(silent.as_fd()));
            sources.have(bell.as_fd())
        };
        assert!(!both(Some(Duration::from_micros(299_001))));
        assert!((300..2000).contains(&clock.now().as_millis()), "{:?}", clock.now());
        let waker = bell.waker();
        std::thread::spawn(move || (0..3).for_each(|_| waker.wake_by_ref()));
        assert!(both(None) && bell.was_rung());
        std::thread::sleep(Duration::from_millis(100));
        bell.was_rung();
        assert!(!both(Some(Duration::ZERO)) && !bell.was_rung());
    }
}
