//! What tasks wait for: sockets, and the time. The daemon's thread waits for it in the same system call as for all else.

use super::clock::Clock;
use crate::time::Instant;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The waits of all tasks.
#[derive(Debug)]
pub struct Reactor {
    clock: Clock,
    waits: RefCell<Vec<Entry>>,
    /// How many there have been.
    begun: Cell<u64>,
}

/// What is waited for.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    /// One of these events (`poll(2)`) of a descriptor.
    Ready(RawFd, libc::c_short),
    /// The time.
    Time(Instant),
}

#[derive(Debug)]
struct Entry {
    number: u64,
    wanted: Wanted,
    waker: Waker,
}

impl Reactor {
    /// Nobody waits yet.
    pub fn new(clock: Clock) -> Reactor {
        Reactor { clock, waits: RefCell::default(), begun: Cell::new(0) }
    }

    /// Waits so long.
    pub fn after(&self, time: Duration) -> Wait<'_> {
        self.wait(Wanted::Time(self.clock.now() + time))
    }

    /// Does `work` with a socket that does not block: again when the socket has one of `events`, as long as it would.
    pub async fn when<T>(
        &self,
        socket: &impl AsFd,
        events: libc::c_short,
        mut work: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            match work() {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    self.wait(Wanted::Ready(socket.as_fd().as_raw_fd(), events)).await
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    /// Tells of each descriptor that is waited for, with the events.
    pub fn descriptors(&self, mut tell: impl FnMut(RawFd, libc::c_short)) {
        for entry in self.waits.borrow().iter() {
            if let Wanted::Ready(fd, events) = entry.wanted {
                tell(fd, events);
            }
        }
    }

    /// When the first of the times is over that are waited for.
    pub fn deadline(&self) -> Option<Instant> {
        let time = |entry: &Entry| if let Wanted::Time(at) = entry.wanted { Some(at) } else { None };
        self.waits.borrow().iter().filter_map(time).min()
    }

    /// Wakes those that waited for a descriptor that `is_ready`, or for a time that is over; whether there are any.
    pub fn wake(&self, is_ready: impl Fn(RawFd) -> bool) -> bool {
        let now = self.clock.now();
        let mut waits = self.waits.borrow_mut();
        let before = waits.len();
        waits.retain(|entry| {
            let is_over = match entry.wanted {
                Wanted::Ready(fd, _) => is_ready(fd),
                Wanted::Time(at) => at <= now,
            };
            if is_over {
                entry.waker.wake_by_ref();
            }
            !is_over
        });
        waits.len() < before
    }

    fn wait(&self, wanted: Wanted) -> Wait<'_> {
        Wait { reactor: self, wanted, number: None }
    }
}

/// A wait, which is over when nobody waits any more.
#[derive(Debug)]
pub struct Wait<'a> {
    reactor: &'a Reactor,
    wanted: Wanted,
    /// Which one it is, once it has begun.
    number: Option<u64>,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut waits = self.reactor.waits.borrow_mut();
        let waker = cx.waker().clone();
        match self.number {
            Some(number) => match waits.iter_mut().find(|entry| entry.number == number) {
                Some(entry) => entry.waker = waker,
                None => return Poll::Ready(()),
            },
            None => {
                let number = self.reactor.begun.get();
                self.reactor.begun.set(number + 1);
                waits.push(Entry { number, wanted: self.wanted, waker });
                drop(waits);
                self.number = Some(number);
            }
        }
        Poll::Pending
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.reactor.waits.borrow_mut().retain(|entry| Some(entry.number) != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::pin::pin;

    #[test]
    fn who_waits_is_woken_for_what_it_waits_for_and_forgotten_when_it_gives_up() {
        let reactor = Reactor::new(Clock::start());
        let cx = &mut Context::from_waker(Waker::noop());
        let (mut here, there) = UnixStream::pair().unwrap();
        there.set_nonblocking(true).unwrap();
        let fd = there.as_raw_fd();
        {
            let mut octet = [0];
            let mut reading = pin!(reactor.when(&there, libc::POLLIN, || (&there).read(&mut octet)));
            let mut late = pin!(reactor.after(Duration::from_secs(3600)));
            assert!(reading.as_mut().poll(cx).is_pending() && late.as_mut().poll(cx).is_pending());
            assert!(!reactor.wake(|_| false) && reactor.deadline().is_some());
            let mut wanted = Vec::new();
            reactor.descriptors(|fd, events| wanted.push((fd, events)));
            assert_eq!(wanted, [(fd, libc::POLLIN)]);
            here.write_all(b"x").unwrap();
            assert!(reactor.wake(|ready| ready == fd));
            assert!(matches!(reading.as_mut().poll(cx), Poll::Ready(Ok(1))) && late.poll(cx).is_pending());
        }
        assert!(reactor.waits.borrow().is_empty());
        let mut now = pin!(reactor.after(Duration::ZERO));
        assert!(now.as_mut().poll(cx).is_pending());
        assert!(reactor.wake(|_| false) && now.poll(cx).is_ready());
    }
}
