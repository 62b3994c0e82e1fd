//! The client's end of the control socket: blocking, with a time limit.

use crate::control::Request;
use crate::control::frame::{Decoder, FrameError, Piece};
use crate::shell::clock::Clock;
use crate::shell::words::InWords;
use crate::time::Instant;
use crate::view::Failure;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A connection to the daemon.
pub(super) struct Client<'a> {
    path: &'a str,
    stream: UnixStream,
    decoder: Decoder,
    clock: Clock,
    limit: Duration,
    /// What is left of the limit; `None`: for ever. Only waiting for the daemon takes of it: who reads what is printed
    /// may take any time.
    left: Option<Duration>,
}

impl<'a> Client<'a> {
    /// Connects to the daemon that listens on the socket `path`, and has to answer within `limit`.
    pub(super) fn connect(path: &'a str, limit: Duration) -> Result<Client<'a>, Failure> {
        let clock = Clock::start();
        let stream = connect(path, limit).map_err(|e| no_daemon(path, limit, &e))?;
        let left = Some(limit.saturating_sub(clock.now().since(Instant::from_millis(0))));
        Ok(Client { path, stream, decoder: Decoder::default(), clock, limit, left })
    }

    /// Asks.
    pub(super) fn ask(&mut self, request: &Request) -> Result<(), Failure> {
        let frame = request.encode().map_err(|e| Failure::failed(e.to_string()))?;
        self.waiting(|mut stream, left| {
            stream.set_write_timeout(left)?;
            // A daemon that hangs up at once may have said why.
            stream
                .write_all(&frame)
                .or_else(|e| if e.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(e) })
        })
    }

    /// From now on waits without a time limit.
    pub(super) fn wait_forever(&mut self) {
        self.left = None;
    }

    /// The next piece of the answer.
    pub(super) fn read(&mut self) -> Result<Piece, Failure> {
        let wrong = |e: FrameError| Failure::failed(e.to_string());
        let mut octets = [0; 4096];
        loop {
            if let Some(piece) = self.decoder.piece().map_err(wrong)? {
                return Ok(piece);
            }
            let len = self.waiting(|mut stream, left| {
                stream.set_read_timeout(left)?;
                match stream.read(&mut octets) {
                    Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
                    other => other,
                }
            });
            self.decoder.push(&octets[..len?]);
        }
    }

    /// Does what may wait for the daemon.
    fn waiting<T>(
        &mut self,
        mut work: impl FnMut(&UnixStream, Option<Duration>) -> io::Result<T>,
    ) -> Result<T, Failure> {
        loop {
            if self.left.is_some_and(|left| left.is_zero()) {
                return Err(no_answer(self.limit));
            }
            let begun = self.clock.now();
            let done = work(&self.stream, self.left);
            let passed = self.clock.now().since(begun);
            self.left = self.left.map(|left| left.saturating_sub(passed));
            match done {
                Ok(done) => return Ok(done),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(self.lost(&e)),
            }
        }
    }

    fn lost(&self, error: &io::Error) -> Failure {
        let path = self.path;
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => no_answer(self.limit),
            ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
                Failure::unreachable(format!(
                    "the daemon at {path} closed the connection (it ended, or was restarted)"
                ))
            }
            _ => {
                let why = InWords(error);
                Failure::unreachable(format!("the connection to the daemon at {path} failed: {why}"))
            }
        }
    }
}

/// Unlike [`UnixStream::connect`] it does not wait forever for a daemon that hangs.
fn connect(path: &str, limit: Duration) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_write_timeout(Some(limit))?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(UnixStream::from(std::os::fd::OwnedFd::from(socket)))
}

fn no_answer(limit: Duration) -> Failure {
    Failure::unreachable(format!("no answer from the daemon within {} s", Seconds(limit)))
}

fn no_daemon(path: &str, limit: Duration, error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => Failure::unreachable(format!(
            "no daemon answers at {path}: is it running? (/etc/init.d/dmevpn status, or systemctl status dmevpn)"
        )),
        ErrorKind::PermissionDenied => {
            Failure::unreachable(format!("no right to talk to the daemon at {path}: it needs root"))
        }
        ErrorKind::WouldBlock | ErrorKind::TimedOut => no_answer(limit),
        _ => Failure::unreachable(format!("no daemon can be reached at {path}: {}", InWords(error))),
    }
}

/// Seconds as a person writes them: `2`, `0.5`.
struct Seconds(Duration);

impl core::fmt::Display for Seconds {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.0.as_secs())?;
        match self.0.subsec_millis() {
            0 => Ok(()),
            ms => f.write_str(format!(".{ms:03}").trim_end_matches('0')),
        }
    }
}
