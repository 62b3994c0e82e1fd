//! Where the daemon's thread waits: in one system call for all that it and its tasks read and write, and for the time.
//!
//! Nothing is registered anywhere, so nothing is to be registered again: who waits says anew for what.

use super::clock::Clock;
use super::reactor::Reactor;
use crate::time::Instant;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::task::{Wake, Waker};

/// What is waited for, and which of it is there.
#[derive(Debug, Default)]
pub struct Sources(Vec<libc::pollfd>);

impl Sources {
    /// Waits until there is something to read in one of `sources`, or one of `tasks` can go on, or it is `until`.
    pub fn wait<'fd>(
        &mut self,
        sources: impl Iterator<Item = BorrowedFd<'fd>>,
        tasks: &Reactor,
        alarm: &mut Alarm,
        until: Option<Instant>,
    ) -> io::Result<()> {
        alarm.set(until)?;
        let polled = |fd, events| libc::pollfd { fd, events, revents: 0 };
        self.0.clear();
        self.0.push(polled(alarm.timer.as_raw_fd(), libc::POLLIN));
        self.0.extend(sources.map(|fd| polled(fd.as_raw_fd(), libc::POLLIN)));
        tasks.descriptors(|fd, events| self.0.push(polled(fd, events)));
        let count = self.0.len() as libc::nfds_t;
        // SAFETY: there are as many entries as the kernel is told.
        #[allow(unsafe_code)]
        let result = unsafe { libc::poll(self.0.as_mut_ptr(), count, -1) };
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

/// Wakes the daemon's thread when it is time. A time-out of poll(2) would not pass while the machine sleeps.
#[derive(Debug)]
pub struct Alarm {
    timer: OwnedFd,
    clock: Clock,
    until: Option<Instant>,
}

impl Alarm {
    /// One that is not set.
    pub fn new(clock: Clock) -> io::Result<Alarm> {
        // SAFETY: takes numbers; what it returns is a new descriptor, or negative.
        #[allow(unsafe_code)]
        let timer = unsafe {
            match libc::timerfd_create(libc::CLOCK_BOOTTIME, libc::TFD_CLOEXEC | libc::TFD_NONBLOCK) {
                fd if fd < 0 => return Err(io::Error::last_os_error()),
                fd => OwnedFd::from_raw_fd(fd),
            }
        };
        Ok(Alarm { timer, clock, until: None })
    }

    /// When it is to ring; once that is over, it rings until it is set anew.
    fn set(&mut self, until: Option<Instant>) -> io::Result<()> {
        if self.until == until {
            return Ok(());
        }
        let at = until.map(|until| self.clock.kernel_time(until)).unwrap_or_default();
        // SAFETY: times may be all zeros, which is never, and live while the kernel reads them.
        #[allow(unsafe_code)]
        let result = unsafe {
            let mut when: libc::itimerspec = std::mem::zeroed();
            when.it_value.tv_sec = at.as_secs() as _;
            when.it_value.tv_nsec = at.subsec_nanos() as _;
            let timer = self.timer.as_raw_fd();
            libc::timerfd_settime(timer, libc::TFD_TIMER_ABSTIME, &raw const when, std::ptr::null_mut())
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        self.until = until;
        Ok(())
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
        let mut alarm = Alarm::new(clock).unwrap();
        let mut both = |until| {
            sources.wait([silent.as_fd(), bell.as_fd()].into_iter(), &tasks, &mut alarm, until).unwrap();
            assert!(!sources.have(silent.as_fd()));
            sources.have(bell.as_fd())
        };
        let at = Instant::from_millis;
        assert!(!both(Some(at(300))));
        assert!((300..2000).contains(&clock.now().as_millis()), "{:?}", clock.now());
        assert!(!both(Some(at(300))) && !both(Some(at(0))), "what is over does not wait");
        let waker = bell.waker();
        std::thread::spawn(move || (0..3).for_each(|_| waker.wake_by_ref()));
        assert!(both(None) && bell.was_rung());
        std::thread::sleep(std::time::Duration::from_millis(100));
        bell.was_rung();
        assert!(!both(Some(at(1))) && !bell.was_rung());
    }
}
