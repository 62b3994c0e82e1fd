//! A small netlink client: links, VXLAN and bridge forwarding entries, neighbours, addresses, and the kernel's events
//! about them; and one table of nftables ([`Gate`]).
//!
//! [`Netlink`] asks and changes; the kernel answers within the system call: in microseconds, or, where its lock (rtnl) is
//! held by others and when devices are deleted, after seconds. [`Events`] listens without blocking.

mod address;
mod events;
mod fdb;
mod gre;
mod ifinfo;
mod link;
mod message;
mod nftables;
mod port;
mod routes;
mod socket;
#[cfg(test)]
mod tests;
mod vlan;
mod vxlan;
mod way;

pub use address::Address;
pub use events::{Event, Events};
pub use fdb::{Destination, FdbChange, FdbEntry, FdbTable};
pub use gre::GreInfo;
pub use link::{BridgeInfo, Kind, Link, LinkChange, VlanInfo, VxlanInfo};
pub use nftables::{Admission, Gate, Lack, STRANGE, Scope, dropped};
pub use port::Floods;
pub use routes::Routes;
pub(super) use socket::{name_of, set_option, set_receive_buffer};
pub use vlan::{BridgePort, Vlans};
pub use vxlan::NewVxlan;
pub use way::Way;

use super::words::InWords;
use message::{Batch, Malformed, Message, Refusal};
use neli::consts::nl::{NlmF, Nlmsg};
use neli::consts::rtnl::Rtm;
use neli::types::Buffer;
use socket2::Socket;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;
use std::{fmt, io};

/// Answers of a full batch of requests fit in with room to spare.
const RECEIVE_BUFFER: usize = 1 << 20;
/// The kernel has answered before `send` returns: this only keeps a bug from stopping the daemon.
const TIMEOUT: Duration = Duration::from_secs(3);
/// New devices get indices from a random place on in this range, where the kernel's own numbering does not come.
const OWN_INDICES: u32 = 1 << 30;
const INDICES: u32 = OWN_INDICES - 1;
/// How often a dump is repeated because the table changed meanwhile, before it is taken as it is.
const DUMP_TRIES: u32 = 3;

/// Why the kernel did not do what it was asked, with its own explanation when it gave one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    what: String,
    errno: i32,
    text: Option<String>,
}

impl Error {
    /// The error number.
    pub fn errno(&self) -> i32 {
        self.errno
    }

    /// The kernel's explanation.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// What was to be made is there already.
    pub fn exists(&self) -> bool {
        self.errno == libc::EEXIST
    }

    /// The device or entry is not there.
    pub fn not_found(&self) -> bool {
        matches!(self.errno, libc::ENOENT | libc::ENODEV | libc::ENXIO)
    }

    /// The kernel cannot do this.
    pub fn not_supported(&self) -> bool {
        matches!(self.errno, libc::EOPNOTSUPP | libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.errno == libc::EPERM {
            return write!(f, "needs CAP_NET_ADMIN to {}", self.what);
        }
        write!(f, "{}: {}", self.what, InWords(&io::Error::from_raw_os_error(self.errno)))?;
        match &self.text {
            Some(text) => write!(f, " ({text})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(e: Error) -> io::Error {
        io::Error::new(io::Error::from_raw_os_error(e.errno).kind(), e)
    }
}

impl Refusal {
    fn result(self) -> Result<(), Refusal> {
        if self.errno == 0 { Ok(()) } else { Err(self) }
    }

    fn during(self, what: impl Into<String>) -> Error {
        Error { what: what.into(), errno: self.errno, text: self.text }
    }
}

/// What comes back for one request of a batch.
enum Reply<'a> {
    Data(&'a Message<'a>),
    /// The last one: acknowledgement, or end of a dump.
    End(Refusal),
}

/// Sees every reply, with the request's place in the batch.
type Each<'a> = dyn FnMut(usize, Reply<'_>) + 'a;

/// The socket for requests.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    seq: u32,
    /// Whether the dump under way was interrupted by a change.
    interrupted: bool,
    buffer: Vec<u8>,
    next_index: u32,
    /// Whether IPv6 can be kept off new devices.
    without_ipv6: bool,
}

impl Netlink {
    /// Open a socket in this thread's network namespace.
    pub fn open() -> io::Result<Netlink> {
        let random = std::hash::RandomState::new().build_hasher().finish() as u32;
        Ok(Netlink {
            socket: request_socket()?,
            seq: 0,
            interrupted: false,
            buffer: vec![0; socket::RECEIVE],
            next_index: OWN_INDICES | random & (INDICES >> 1),
            without_ipv6: true,
        })
    }

    fn batch(&self) -> Batch {
        Batch::new(self.next_seq())
    }

    fn next_seq(&self) -> u32 {
        self.seq.wrapping_add(1)
    }

    /// The first of `count` interface indices for new devices. What is to be said of a device once it is made can be
    /// sent together with the request that makes it, and cannot meet somebody else's.
    fn take_indices(&mut self, count: usize) -> u32 {
        let first = self.next_index;
        self.next_index = OWN_INDICES | first.wrapping_add(count as u32) & INDICES;
        first
    }

    /// Sends a batch of which only the last request is acknowledged; `refused` sees what was refused.
    fn exchange_quietly(
        &mut self,
        batch: &mut Batch,
        refused: &mut dyn FnMut(usize, Refusal),
    ) -> Result<(), Refusal> {
        batch.acknowledge_last();
        self.exchange(batch, &mut |place, reply| match reply {
            Reply::End(end) if end.errno != 0 => refused(place, end),
            _ => {}
        })
    }

    /// Make one request; `each` sees the messages of its answer.
    fn request(
        &mut self,
        kind: Rtm,
        flags: NlmF,
        body: Buffer,
        mut each: impl FnMut(&Message<'_>),
    ) -> Result<(), Refusal> {
        self.request_one(kind, flags, body, &mut each)
    }

    /// Not generic, as all that does the work: there are many kinds of requests.
    fn request_one(
        &mut self,
        kind: Rtm,
        flags: NlmF,
        body: Buffer,
        each: &mut dyn FnMut(&Message<'_>),
    ) -> Result<(), Refusal> {
        let mut batch = self.batch();
        batch.push(kind, flags, body);
        let mut end = Refusal::default();
        self.exchange(&batch, &mut |_, reply| match reply {
            Reply::Data(message) => each(message),
            Reply::End(refusal) => end = refusal,
        })?;
        end.result()
    }

    /// Everything that `parse` recognises in the answer to a dump.
    fn dump<T>(
        &mut self,
        kind: Rtm,
        body: &Buffer,
        parse: impl Fn(&Message<'_>) -> Option<T>,
    ) -> Result<Vec<T>, Refusal> {
        let mut tries = 0;
        loop {
            let mut found = Vec::new();
            let mut interrupted = false;
            self.request(kind, NlmF::DUMP, body.clone(), |message| {
                interrupted |= message.flags & NlmF::DUMP_INTR.bits() != 0;
                found.extend(parse(message));
            })?;
            tries += 1;
            // A busy hub may change all the time: an almost right table is better than none, and
            // events bring the rest.
            if !interrupted || tries == DUMP_TRIES {
                return Ok(found);
            }
        }
    }

    /// Asks for a dump whose parts [`Netlink::part`] takes one after the other. Nothing else may be asked for meanwhile.
    fn begin(&mut self, kind: Rtm, body: Buffer) -> Result<(), Refusal> {
        self.interrupted = false;
        let mut batch = self.batch();
        batch.push(kind, NlmF::DUMP, body);
        self.seq = batch.first_seq;
        Ok(self.send(batch.bytes())?)
    }

    /// The next part of a dump: what the kernel tells in one go; then, for the last part, whether there was a change
    /// meanwhile, upon which something may have been left out.
    fn part(&mut self, each: &mut dyn FnMut(&Message<'_>)) -> Result<Option<bool>, Refusal> {
        let length = socket::receive(&self.socket, &mut self.buffer)?;
        let mut rest = self.buffer.get(..length).ok_or(Malformed)?;
        while let Some((message, advance)) = message::first(rest)? {
            rest = rest.get(advance..).unwrap_or_default();
            if message.seq != self.seq {
                continue;
            }
            self.interrupted |= message.flags & NlmF::DUMP_INTR.bits() != 0;
            each(&message);
            match Nlmsg::from(message.kind) {
                Nlmsg::Error => {
                    return message::acknowledgement(&message).result().map(|()| Some(self.interrupted));
                }
                Nlmsg::Done => return message::done(&message).result().map(|()| Some(self.interrupted)),
                _ => {}
            }
        }
        Ok(None)
    }

    /// What is left of an answer must not meet the next request.
    fn abandon(&mut self) {
        if let Ok(fresh) = request_socket() {
            self.socket = fresh;
        }
    }

    /// Send `batch` and hand every reply to `each`, with the request's place in the batch.
    fn exchange(&mut self, batch: &Batch, each: &mut Each<'_>) -> Result<(), Refusal> {
        self.seq = batch.first_seq.wrapping_add(batch.count).wrapping_sub(1);
        let outcome = self.try_exchange(batch, each);
        if outcome.is_err() {
            self.abandon();
        }
        outcome
    }

    fn try_exchange(&mut self, batch: &Batch, each: &mut Each<'_>) -> Result<(), Refusal> {
        self.send(batch.bytes())?;
        let mut open = batch.count;
        while open > 0 {
            let length = socket::receive(&self.socket, &mut self.buffer)?;
            let mut rest = self.buffer.get(..length).ok_or(Malformed)?;
            while let Some((message, advance)) = message::first(rest)? {
                rest = rest.get(advance..).unwrap_or_default();
                let place = message.seq.wrapping_sub(batch.first_seq);
                if place >= batch.count {
                    continue;
                }
                let reply = match Nlmsg::from(message.kind) {
                    Nlmsg::Noop | Nlmsg::Overrun => continue,
                    Nlmsg::Error => Reply::End(message::acknowledgement(&message)),
                    Nlmsg::Done => Reply::End(done(&message, each, place as usize)),
                    _ => Reply::Data(&message),
                };
                if let Reply::End(end) = &reply {
                    // Requests are worked off in their order.
                    let over =
                        if batch.quiet && place + 1 == batch.count { open } else { u32::from(!batch.quiet) };
                    open = open.saturating_sub(over);
                    warn(end);
                }
                each(place as usize, reply);
            }
        }
        Ok(())
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        loop {
            match self.socket.send(bytes) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                // Netlink takes a datagram whole or not at all.
                other => return other.map(|_| ()),
            }
        }
    }
}

/// The end of a dump carries its flags too, so that an interruption noticed last is seen.
fn done(message: &Message<'_>, each: &mut Each<'_>, place: usize) -> Refusal {
    each(place, Reply::Data(&Message { body: &[], ..*message }));
    message::done(message)
}

/// A success may come with a warning.
fn warn(end: &Refusal) {
    if let Refusal { errno: 0, text: Some(text) } = end {
        log::warn!("kernel: {text}");
    }
}

fn request_socket() -> io::Result<Socket> {
    let socket = socket::open()?;
    socket::ask_for_details(&socket);
    socket::set_receive_buffer(&socket, RECEIVE_BUFFER)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    Ok(socket)
}
