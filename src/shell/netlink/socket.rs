//! Netlink sockets, and the socket options the safe wrappers do not offer.

use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, RawFd};

/// The kernel builds no message longer than this for the requests made here: a dump fills at most
/// 32 KiB at a time (`netlink_recvmsg`), and one message about one device or entry is far shorter.
pub(super) const RECEIVE: usize = 32 * 1024;

// Kernel ABI, the same on every architecture; the libc crate has them for some targets only.
const SOL_NETLINK: libc::c_int = 270;
const NETLINK_ADD_MEMBERSHIP: libc::c_int = 1;
const NETLINK_CAP_ACK: libc::c_int = 10;
const NETLINK_EXT_ACK: libc::c_int = 11;
const NETLINK_GET_STRICT_CHK: libc::c_int = 12;
const SO_RCVBUFFORCE: libc::c_int = 33;

/// A routing netlink socket (close-on-exec).
pub(super) fn open() -> io::Result<Socket> {
    open_for(libc::NETLINK_ROUTE)
}

/// A netlink socket of this protocol (close-on-exec).
pub(super) fn open_for(protocol: libc::c_int) -> io::Result<Socket> {
    Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, Some(Protocol::from(protocol)))
}

/// Give the socket a port number of the kernel's choice. The kernel does that by itself on the first
/// request, but a socket that only listens makes none, and without a number it hears nothing.
#[allow(unsafe_code)]
pub(super) fn bind(socket: &Socket) -> io::Result<()> {
    // SAFETY: all zero is a valid sockaddr_nl: no port number yet, no groups.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    let length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
    // SAFETY: the address lives for the call, and its own size is handed in.
    let done = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Ask for explanations with errors, for errors without the request echoed, and for filtered dumps.
pub(super) fn ask_for_details(socket: &Socket) {
    for option in [NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK] {
        // An old kernel has not all of them. Nothing depends on them: texts are then missing, the
        // parser skips the echo, and what a dump did not filter is filtered here.
        let _ = set_option(socket.as_raw_fd(), SOL_NETLINK, option, 1);
    }
}

/// Join the multicast group `group` (a number, not a bit).
pub(super) fn join(socket: &Socket, group: u32) -> io::Result<()> {
    set_option(socket.as_raw_fd(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group as libc::c_int)
}

/// Make room for `bytes` of unread messages, beyond `net.core.rmem_max` when privileged.
pub(in crate::shell) fn set_receive_buffer(socket: &Socket, bytes: usize) -> io::Result<()> {
    let size = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    if set_option(socket.as_raw_fd(), libc::SOL_SOCKET, SO_RCVBUFFORCE, size).is_ok() {
        return Ok(());
    }
    socket.set_recv_buffer_size(bytes)
}

/// The name of the device `index`, for which the kernel needs no lock; its number where it is gone.
#[allow(unsafe_code)]
pub(in crate::shell) fn name_of(index: u32) -> String {
    let mut name = [0u8; libc::IF_NAMESIZE];
    // SAFETY: the buffer has the length that is asked for, and lives for the call.
    let found = unsafe { libc::if_indextoname(index, name.as_mut_ptr().cast()) };
    if found.is_null() { index.to_string() } else { super::message::string_of(&name) }
}

/// Receive one datagram into `buffer`: how many octets it had, which is more than
/// `buffer.len()` when it was cut.
pub(super) fn receive(socket: &Socket, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match socket.recv_with_flags(uninit(buffer), libc::MSG_TRUNC) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            other => return other,
        }
    }
}

/// Receive datagrams into `buffer`, which holds as many as there are `lengths`, each in a part of its own; never waits.
/// How many there were; a length is more than its part when the datagram was cut.
#[allow(unsafe_code)]
pub(super) fn receive_many<const N: usize>(
    socket: &Socket,
    buffer: &mut [u8],
    lengths: &mut [usize; N],
) -> io::Result<usize> {
    let part = buffer.len() / N;
    // SAFETY: all zero is a valid mmsghdr and iovec: nothing to be filled.
    let (mut headers, mut parts): ([libc::mmsghdr; N], [libc::iovec; N]) = unsafe { std::mem::zeroed() };
    for ((header, iov), part) in headers.iter_mut().zip(&mut parts).zip(buffer.chunks_exact_mut(part)) {
        iov.iov_base = part.as_mut_ptr().cast();
        iov.iov_len = part.len();
        header.msg_hdr.msg_iov = iov;
        header.msg_hdr.msg_iovlen = 1;
    }
    let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
    loop {
        // SAFETY: headers, parts and the buffer they point into live for the call, each as long as is said. Not by the
        // C library, which would have to know the kernel's time for what is not used.
        let got = unsafe {
            let no_time = std::ptr::null_mut::<libc::timespec>();
            libc::syscall(libc::SYS_recvmmsg, socket.as_raw_fd(), headers.as_mut_ptr(), N, flags, no_time)
        };
        match usize::try_from(got) {
            Ok(got) => {
                lengths.iter_mut().zip(&headers).for_each(|(length, h)| *length = h.msg_len as usize);
                return Ok(got);
            }
            Err(_) => match io::Error::last_os_error() {
                e if e.kind() == io::ErrorKind::Interrupted => continue,
                e => return Err(e),
            },
        }
    }
}

#[allow(unsafe_code)]
fn uninit(buffer: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    // SAFETY: same layout; `recv` writes only octets it received, so the slice stays initialised.
    unsafe { &mut *(buffer as *mut [u8] as *mut [MaybeUninit<u8>]) }
}

/// Sets a socket option that is a number.
#[allow(unsafe_code)]
pub(in crate::shell) fn set_option(
    fd: RawFd,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the value is a c_int that lives for the call, and its own size is handed in.
    let done = unsafe {
        libc::setsockopt(
            fd,
            level,
            name,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
