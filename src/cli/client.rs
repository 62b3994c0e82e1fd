//! The client's end of the control socket: blocking, with time limits.

use super::Failure;
use crate::control::frame::Decoder;
use crate::control::{Reply, Request};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How long the daemon may take to accept a connection or a request.
const SEND_LIMIT: Duration = Duration::from_secs(5);

/// How long it may take to answer; a hub that is asked for a MAC gets its retries within this.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// A connection to the daemon.
pub(super) struct Client<'a> {
    path: &'a str,
    stream: UnixStream,
    decoder: Decoder,
}

impl<'a> Client<'a> {
    /// Connects to the daemon that listens on the socket `path`.
    pub(super) fn connect(path: &'a str) -> Result<Client<'a>, Failure> {
        let stream = connect(path).map_err(|e| no_daemon(path, &e))?;
        Ok(Client { path, stream, decoder: Decoder::of_replies() })
    }

    /// Asks, and waits for the answer.
    pub(super) fn ask(&mut self, request: &Request) -> Result<Reply, Failure> {
        let frame = request.encode().map_err(|e| Failure::failed(e.to_string()))?;
        self.stream.write_all(&frame).map_err(|e| self.lost(&e))?;
        self.read()
    }

    /// From now on waits for replies without a time limit.
    pub(super) fn wait_forever(&mut self) -> Result<(), Failure> {
        self.stream.set_read_timeout(None).map_err(|e| self.lost(&e))
    }

    /// The next reply.
    pub(super) fn read(&mut self) -> Result<Reply, Failure> {
        let mut piece = [0; 4096];
        loop {
            let frame = self.decoder.next().map_err(|e| Failure::failed(e.to_string()))?;
            if let Some(frame) = frame {
                return match Reply::decode(&frame).map_err(|e| Failure::failed(e.to_string()))? {
                    Reply::Error(text) => Err(Failure::failed(text)),
                    Reply::BadConfiguration(text) => {
                        let text = text.trim_end();
                        Err(Failure::configuration(format!(
                            "{text}\nthe daemon keeps its earlier configuration"
                        )))
                    }
                    reply => Ok(reply),
                };
            }
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(self.lost(&ErrorKind::UnexpectedEof.into())),
                Ok(len) => self.decoder.push(&piece[..len]),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(self.lost(&e)),
            }
        }
    }

    fn lost(&self, error: &io::Error) -> Failure {
        let path = self.path;
        Failure::unreachable(match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                format!("the daemon at {path} does not answer (it hangs, or is very busy)")
            }
            ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
                format!("the daemon at {path} closed the connection (it ended, or was restarted)")
            }
            _ => format!("the connection to the daemon at {path} failed: {error}"),
        })
    }
}

/// Unlike [`UnixStream::connect`] it does not wait forever for a daemon that hangs.
fn connect(path: &str) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_write_timeout(Some(SEND_LIMIT))?;
    socket.set_read_timeout(Some(ANSWER_LIMIT))?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(UnixStream::from(std::os::fd::OwnedFd::from(socket)))
}

fn no_daemon(path: &str, error: &io::Error) -> Failure {
    let why = match error.kind() {
        ErrorKind::NotFound => "there is no such socket, so it does not run",
        ErrorKind::ConnectionRefused => "nobody listens there, so it does not run any more",
        ErrorKind::PermissionDenied => "only root may talk to it",
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "it does not accept the connection (it hangs)",
        _ => return Failure::unreachable(format!("cannot reach the daemon at {path}: {error}")),
    };
    Failure::unreachable(format!("cannot reach the daemon at {path}: {why}"))
}
