//! The control socket: who asks.

use super::super::reactor::Reactor;
use super::super::task::{Shared, spawn};
use super::super::words::InWords;
use super::Listener;
use super::answer::{Making, Next};
use crate::control::frame::{Decoder, FrameError, Framing, Kind, piece};
use crate::control::{Form, Question, Request};
use crate::view::{FAILED, Failure};
use smol::{LocalExecutor, future};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

/// A daemon may take this many tenths of a second to withdraw and end before the next one serves in its place.
const PREDECESSOR: u32 = 50;
/// So many clients are served at a time: all others need the daemon's files.
const CLIENTS: usize = 100;
/// So many of them may be monitors.
const MONITORS: usize = 16;
/// Who has not asked for so long is hung up on.
const PATIENCE: Duration = Duration::from_secs(10);
/// So is who reads nothing for so long: it may be somebody before a pager.
const READ_PATIENCE: Duration = Duration::from_secs(600);
/// So many octets of an answer are worth to be sent.
const ENOUGH: usize = 4096;

/// The listening socket.
#[derive(Debug)]
pub struct Server(UnixListener);

/// The file of the listening socket: gone when this is dropped. It is not the server's, since the tasks of an executor
/// that hold the executor are never dropped.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    file: Option<(u64, u64)>,
}

impl Server {
    /// Listens at `path`, for the daemon's user only; missing directories are made. A socket that an earlier run left
    /// is replaced, one that somebody listens at is not, nor is anything else that has the name. A daemon that lives may
    /// be about to end: service managers do not always wait for it.
    pub fn bind(path: &str) -> io::Result<(Server, SocketFile)> {
        let say = |e: io::Error| io::Error::new(e.kind(), format!("{path}: {}", InWords(&e)));
        let refuse = |why: &str| Err(io::Error::new(ErrorKind::AddrInUse, format!("{path}: {why}")));
        let mut tenths = 0;
        while answers(path) {
            if tenths == PREDECESSOR {
                return refuse("another daemon answers there");
            }
            tenths += 1;
            thread::sleep(Duration::from_millis(100));
        }
        match fs::symlink_metadata(path) {
            Ok(there) if !there.file_type().is_socket() => {
                return refuse("there is something else than a socket; correct option 'socket'");
            }
            Ok(_) if !is_left(path) => {
                return refuse("another program has its socket there; correct option 'socket'");
            }
            Ok(_) => fs::remove_file(path).map_err(say)?,
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(say(e)),
        }
        if let Some(directory) = Path::new(path).parent() {
            fs::DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(say)?;
        }
        let listener = for_us_only(|| UnixListener::bind(path)).map_err(say)?;
        let path = PathBuf::from(path);
        let file = identity(&path);
        listener.set_nonblocking(true)?;
        Ok((Server(listener), SocketFile { path, file }))
    }
}

/// Whether a daemon serves the socket `path`: also one that hangs, with whom no more clients can queue.
pub fn answers(path: &str) -> bool {
    connect(path).map_or_else(|e| e.kind() == ErrorKind::WouldBlock, |()| true)
}

/// Whether nobody listens at the socket `path`. Who tries a socket of another kind, such as a logger's, is refused in
/// another way.
fn is_left(path: &str) -> bool {
    connect(path).is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused)
}

fn connect(path: &str) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let file = fs::symlink_metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}

/// What `make` makes has mode 0600 from the first moment on: the mask holds when the file is made, a change of its mode
/// would come later. It is the whole process's, of which no other thread makes files.
fn for_us_only<T>(make: impl FnOnce() -> T) -> T {
    // SAFETY: takes a number and cannot fail.
    #[allow(unsafe_code)]
    let before = unsafe { libc::umask(0o177) };
    let made = make();
    // SAFETY: as above.
    #[allow(unsafe_code)]
    unsafe {
        libc::umask(before)
    };
    made
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Unless it was replaced, by whoever that was.
        if self.file.is_some() && identity(&self.path) == self.file {
            // Nothing can be done about it at the end.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Serves whoever connects.
pub async fn serve(
    Server(listener): Server,
    node: Shared,
    config_path: String,
    executor: Rc<LocalExecutor<'static>>,
    reactor: Rc<Reactor>,
) {
    let clients = Rc::new(());
    let common = Rc::new(Common { node, config_path, reactor, monitors: Rc::new(()) });
    let accept = || {
        let (stream, _) = listener.accept()?;
        stream.set_nonblocking(true).map(|()| stream)
    };
    loop {
        match common.reactor.when(&listener, libc::POLLIN, accept).await {
            Ok(mut stream) if Rc::strong_count(&clients) > CLIENTS => {
                // What it asks is not waited for. This fits the room that every socket has, and who went away needs none.
                let sorry = format!("dmevpn: the daemon serves {CLIENTS} clients already\n");
                let said = [piece(Kind::Complaint, sorry.as_bytes()), piece(Kind::End, &[FAILED])].concat();
                let _ = stream.write_all(&said);
            }
            Ok(stream) => {
                let client = Client { stream, decoder: Decoder::default(), common: Rc::clone(&common) };
                let counted = Rc::clone(&clients);
                let client = async move {
                    // Who hangs up, or is hung up on, needs no more words.
                    let _ = client.converse().await;
                    drop(counted);
                };
                spawn(&executor, client).detach();
            }
            Err(e) => {
                log::warn!("control socket: {}", InWords(&e));
                common.reactor.after(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Somebody who asks.
struct Client {
    /// It does not block.
    stream: UnixStream,
    decoder: Decoder,
    common: Rc<Common>,
}

/// What all of them have in common.
struct Common {
    node: Shared,
    config_path: String,
    reactor: Rc<Reactor>,
    /// Each monitor holds one, too.
    monitors: Rc<()>,
}

impl Client {
    /// Answers one request after the other.
    async fn converse(mut self) -> io::Result<()> {
        loop {
            let common = Rc::clone(&self.common);
            let Some(request) = common.within(PATIENCE, self.request()).await? else { return Ok(()) };
            self.answer(&request).await?;
            if request.is_err_and(|e| e.is_end()) {
                return Ok(());
            }
            // The next one may be there already, and again and again.
            pause(&self.common.node).await;
        }
    }

    /// The next request; `None` when there are no more.
    async fn request(&mut self) -> io::Result<Option<Result<(Request, Framing), FrameError>>> {
        let mut buf = [0; 512];
        loop {
            if let Some(request) = self.decoder.request().transpose() {
                return Ok(Some(request));
            }
            let n = self.read(&mut buf).await?;
            if n == 0 {
                self.decoder.end();
                return Ok(self.decoder.request().transpose());
            }
            self.decoder.push(&buf[..n]);
            if n == buf.len() {
                // There may be more, and nothing in it.
                pause(&self.common.node).await;
            }
        }
    }

    /// Answers a request, or says what is wrong with it.
    async fn answer(&mut self, request: &Result<(Request, Framing), FrameError>) -> io::Result<()> {
        let node = Rc::clone(&self.common.node);
        let mut text = String::new();
        let (mut making, framing, _seat) = self.begin(request, &mut text);
        loop {
            let next = making.go_on(&mut node.borrow_mut(), &mut text);
            if !matches!(next, Next::Part) || text.len() >= ENOUGH {
                let octets = making.octets(framing, &core::mem::take(&mut text), &next);
                self.common.within(READ_PATIENCE, self.write_all(&octets)).await?;
            }
            match next {
                Next::Part => pause(&node).await,
                Next::News(left) => {
                    if self.hangs_up(making.listener.as_ref(), left).await? {
                        return Ok(());
                    }
                }
                Next::End(_) => return Ok(()),
            }
        }
    }

    /// Begins an answer; a monitor takes a seat.
    fn begin(
        &self,
        request: &Result<(Request, Framing), FrameError>,
        text: &mut String,
    ) -> (Making, Framing, Option<Rc<()>>) {
        let Common { node, config_path, monitors, .. } = &*self.common;
        let (Request { question, form }, framing) = match request {
            Ok((request, framing)) => (request, *framing),
            Err(e) => {
                let (framing, form) = match e.is_of_line() {
                    true => (Framing::Lines, Form::Json),
                    false => (Framing::Frames, Form::Text { columns: 0 }),
                };
                return (Making::failed(Failure::failed(e.answer()), form), framing, None);
            }
        };
        let watches = matches!(question, Question::Monitor | Question::Record);
        if watches && Rc::strong_count(monitors) > MONITORS {
            let full = Failure::failed(format!("{MONITORS} monitors watch already"));
            return (Making::failed(full, *form), framing, None);
        }
        let making = Making::begin(question.clone(), *form, &mut node.borrow_mut(), config_path, text);
        (making, framing, watches.then(|| Rc::clone(monitors)))
    }

    async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.common.reactor.when(&self.stream, libc::POLLIN, || (&self.stream).read(buf)).await
    }

    async fn write_all(&self, mut octets: &[u8]) -> io::Result<()> {
        while !octets.is_empty() {
            let write = || (&self.stream).write(octets);
            let n = self.common.reactor.when(&self.stream, libc::POLLOUT, write).await?;
            octets = octets.get(n..).filter(|_| n > 0).ok_or(ErrorKind::WriteZero)?;
        }
        Ok(())
    }

    /// Waits for news: whether the client closed its end before, which only who waits without a limit is asked for.
    async fn hangs_up(&self, listener: Option<&Listener>, left: Option<Duration>) -> io::Result<bool> {
        let news = async {
            if let Some(listener) = listener {
                listener.news().await;
            }
            Ok(false)
        };
        let other = async {
            if let Some(left) = left {
                self.common.reactor.after(left).await;
                return Ok(false);
            }
            // Until it hangs up there is nothing that it may say.
            while self.read(&mut [0; 64]).await? > 0 {
                future::yield_now().await;
            }
            Ok(true)
        };
        future::or(news, other).await
    }
}

impl Common {
    /// Whatever `work` does, or an error when that takes too long.
    async fn within<T>(
        &self,
        patience: Duration,
        work: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        let late = async {
            self.reactor.after(patience).await;
            Err(ErrorKind::TimedOut.into())
        };
        future::or(work, late).await
    }
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
