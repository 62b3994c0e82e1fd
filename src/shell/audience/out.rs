//! An answer on its way to a client.

use super::super::task::Shared;
use crate::control::Form;
use crate::control::frame::{Framing, Kind, piece};
use crate::view::Failure;
use async_io::{Async, Timer};
use smol::future;
use smol::io::AsyncWriteExt;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream;
use std::task::Poll;
use std::time::Duration;

/// So much is sent at a time, in octets.
const PIECE: usize = 4096;
/// Who reads nothing for so long is given up: it may be somebody before a pager.
const READ_PATIENCE: Duration = Duration::from_secs(600);

/// An answer that is being written.
pub struct Out<'a> {
    stream: &'a Async<UnixStream>,
    node: &'a Shared,
    framing: Framing,
    /// How it is to look.
    pub form: Form,
    /// What is written and not sent yet.
    pub text: String,
}

impl<'a> Out<'a> {
    /// An answer to somebody who asked in this way.
    pub fn new(stream: &'a Async<UnixStream>, node: &'a Shared, framing: Framing, form: Form) -> Out<'a> {
        Out { stream, node, framing, form, text: String::new() }
    }

    /// Sends what there is once it is enough to be sent, and lets all others have their turn.
    pub async fn go_on(&mut self) -> io::Result<()> {
        if self.text.len() >= PIECE {
            self.flush().await?;
        }
        pause(self.node).await;
        Ok(())
    }

    /// Sends all there is.
    pub async fn flush(&mut self) -> io::Result<()> {
        let text = core::mem::take(&mut self.text);
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let mut end = PIECE.min(rest.len());
            while !rest.is_char_boundary(end) {
                end += 1;
            }
            let (now, later) = rest.split_at(end);
            self.send(Kind::Output, now.as_bytes()).await?;
            rest = later;
        }
        Ok(())
    }

    /// Tells a client that waits for ever that it is waited with.
    pub async fn accept(&mut self) -> io::Result<()> {
        self.send(Kind::Output, &[]).await
    }

    /// Ends the answer with an exit code, and with a reason if it is a failure.
    pub async fn end(mut self, result: Result<u8, Failure>) -> io::Result<()> {
        let code = match result {
            Ok(code) => code,
            Err(failure) => {
                let mut said = String::new();
                failure.write(&mut said, self.form);
                if self.form == Form::Json {
                    self.text.push_str(&said);
                } else {
                    self.send(Kind::Complaint, said.as_bytes()).await?;
                }
                failure.code
            }
        };
        self.flush().await?;
        self.send(Kind::End, &[code]).await
    }

    async fn send(&mut self, kind: Kind, octets: &[u8]) -> io::Result<()> {
        match (self.framing, kind) {
            (Framing::Frames, _) => self.write(&piece(kind, octets)).await,
            (Framing::Lines, Kind::Output) => self.write(octets).await,
            // The object says it all.
            (Framing::Lines, _) => Ok(()),
        }
    }

    async fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        let mut stream = self.stream;
        within(READ_PATIENCE, stream.write_all(octets)).await
    }
}

/// Whatever `work` does, or an error when that takes too long.
pub async fn within<T>(patience: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = async {
        Timer::after(patience).await;
        Err(ErrorKind::TimedOut.into())
    };
    future::or(work, late).await
}

/// Lets the node have a turn.
async fn pause(node: &Shared) {
    let mut paused = false;
    poll_fn(|cx| {
        if core::mem::replace(&mut paused, true) {
            return Poll::Ready(());
        }
        node.borrow_mut().audience.pause(cx.waker().clone());
        Poll::Pending
    })
    .await;
}
