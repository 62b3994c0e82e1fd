//! The client's end of the control socket: blocking, with a time limit.

use super::Failure;
use crate::control::frame::Decoder;
use crate::control::{Reply, Request};
use crate::shell::clock::Clock;
use crate::shell::words::InWords;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A connection to the daemon.
pub(super) struct Client<'a> {
    path: &'a str,
    stream: UnixStream,
    decoder: Decoder,
    /// From the beginning on.
    clock: Clock,
    /// How long all may take until the answer is there; `None`: for ever.
    limit: Option<Duration>,
}

impl<'a> Client<'a> {
    /// Connects to the daemon that listens on the socket `path`, and has to answer within `limit`.
    pub(super) fn connect(path: &'a str, limit: Duration) -> Result<Client<'a>, Failure> {
        let clock = Clock::start();
        let stream = connect(path, limit).map_err(|e| no_daemon(path, limit, &e))?;
        Ok(Client { path, stream, decoder: Decoder::of_replies(), clock, limit: Some(limit) })
    }

    /// Asks, and waits for the answer.
    pub(super) fn ask(&mut self, request: &Request) -> Result<Reply, Failure> {
        let frame = request.encode().map_err(|e| Failure::failed(e.to_string()))?;
        let left = self.left()?;
        self.stream
            .set_write_timeout(left)
            .and_then(|()| self.stream.write_all(&frame))
            // A daemon that hangs up at once may have said why.
            .or_else(|e| if e.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(self.lost(&e)) })?;
        self.read()
    }

    /// From now on waits for replies without a time limit.
    pub(super) fn wait_forever(&mut self) {
        self.limit = None;
    }

    /// The next reply.
    pub(super) fn read(&mut self) -> Result<Reply, Failure> {
        let mut piece = [0; 4096];
        loop {
            let frame = self.decoder.next().map_err(|e| Failure::failed(e.to_string()))?;
            if let Some(frame) = frame {
                return match Reply::decode(&frame).map_err(|e| Failure::failed(e.to_string()))? {
                    Reply::Error(text) => Err(Failure::failed(text)),
                    Reply::BadConfiguration(errors) => Err(Failure::refused(errors)),
                    reply => Ok(reply),
                };
            }
            let left = self.left()?;
            match self.stream.set_read_timeout(left).and_then(|()| self.stream.read(&mut piece)) {
                Ok(0) => return Err(self.lost(&ErrorKind::UnexpectedEof.into())),
                Ok(len) => self.decoder.push(&piece[..len]),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(self.lost(&e)),
            }
        }
    }

    /// How long there is to wait yet.
    fn left(&self) -> Result<Option<Duration>, Failure> {
        let Some(limit) = self.limit else { return Ok(None) };
        let passed = Duration::from_millis(self.clock.now().as_millis());
        match limit.checked_sub(passed) {
            Some(left) if !left.is_zero() => Ok(Some(left)),
            _ => Err(no_answer(limit)),
        }
    }

    fn lost(&self, error: &io::Error) -> Failure {
        let path = self.path;
        match (error.kind(), self.limit) {
            (ErrorKind::WouldBlock | ErrorKind::TimedOut, Some(limit)) => no_answer(limit),
            (ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset, _) => {
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
            "no daemon answers at {path}: is it running? (/etc/init.d/dmevpn status)"
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
