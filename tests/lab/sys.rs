//! The few system calls the standard library and socket2 do not offer. All `unsafe` of the harness is here.
#![allow(unsafe_code)]

use socket2::{Domain, SockAddr, SockAddrStorage, Socket, Type};
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// All protocols, in the order a packet socket wants it.
const ETH_P_ALL_BE: u16 = (libc::ETH_P_ALL as u16).to_be();

/// Moves the calling thread, and only it, into the network namespace `ns`.
pub fn enter(ns: &File) -> io::Result<()> {
    // SAFETY: the descriptor is open as long as `ns` is borrowed; no memory is passed.
    check(unsafe { libc::setns(ns.as_raw_fd(), libc::CLONE_NEWNET) }).map(drop)
}

/// Whether this process may do any of this.
pub fn is_root() -> bool {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Sends a signal to a process.
pub fn kill(pid: u32, signal: i32) -> io::Result<()> {
    let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
    // SAFETY: no memory is passed. The pid is a positive number, so it is one process.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// The processor time that a process has used, those of its threads included that are no more.
pub fn processor_time(pid: u32) -> io::Result<Duration> {
    /// A process's clock has its complement as its number, and the kind of clock below (`CPUCLOCK_SCHED`).
    const SCHEDULER: i32 = 2;
    let clock = (!libc::pid_t::try_from(pid).map_err(io::Error::other)? << 3) | SCHEDULER;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` outlives the call, which writes nothing else.
    check(unsafe { libc::clock_gettime(clock, &raw mut time) })?;
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// The index of an interface in the calling thread's namespace.
pub fn ifindex(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: `name` is a NUL-terminated string that lives during the call.
    Some(unsafe { libc::if_nametoindex(name.as_ptr()) }).filter(|&i| i != 0)
}

/// A packet socket that sees all frames of one interface, both ways, and stamps them on arrival.
pub fn packet_socket(ifindex: u32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
    set_option(&socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
    let _ = set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, 8 << 20);
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: ETH_P_ALL_BE,
        sll_ifindex: i32::try_from(ifindex).map_err(io::Error::other)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    socket.bind(&socket_address(address))?;
    Ok(socket)
}

/// A routing netlink socket; `groups` is the old-style bit mask of what it is told of.
pub fn netlink_socket(groups: u32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, None)?;
    let _ = set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, 4 << 20);
    // SAFETY: sockaddr_nl is plain data, for which zero is a value.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = libc::AF_NETLINK as u16;
    address.nl_groups = groups;
    socket.bind(&socket_address(address))?;
    Ok(socket)
}

/// What a packet socket received.
pub struct Received {
    /// The length of the frame; the buffer holds as much of it as it has room for.
    pub len: usize,
    /// When the kernel saw it, since the epoch of the real-time clock.
    pub at: Duration,
    /// Whether this machine sent it.
    pub outgoing: bool,
}

/// Receives one frame with its time and direction; the socket's time-out applies.
pub fn receive(socket: &Socket, buffer: &mut [u8]) -> io::Result<Received> {
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: sockaddr_ll and msghdr are plain data, for which zero is a value.
    let (mut from, mut message): (libc::sockaddr_ll, libc::msghdr) =
        unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
    let mut control = [0u64; 16];
    message.msg_name = (&raw mut from).cast();
    message.msg_namelen = size_of::<libc::sockaddr_ll>() as u32;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    // SAFETY: every pointer in `message` leads to a local that outlives the call, with its true length.
    let len = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_TRUNC) };
    if len < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut at = super::now();
    // SAFETY: the kernel filled `control` and set msg_controllen; the CMSG functions stay inside of it.
    // A time stamp's data is a timespec, read unaligned.
    unsafe {
        let mut c = libc::CMSG_FIRSTHDR(&raw const message);
        while !c.is_null() {
            if (*c).cmsg_level == libc::SOL_SOCKET && (*c).cmsg_type == libc::SCM_TIMESTAMPNS {
                let t: libc::timespec = libc::CMSG_DATA(c).cast::<libc::timespec>().read_unaligned();
                at = Duration::new(t.tv_sec as u64, t.tv_nsec as u32);
            }
            c = libc::CMSG_NXTHDR(&raw const message, c);
        }
    }
    Ok(Received { len: len as usize, at, outgoing: from.sll_pkttype == libc::PACKET_OUTGOING })
}

/// Waits until there is something to receive; `false` if there was nothing until the limit.
pub fn wait_readable(socket: &Socket, limit: Duration) -> bool {
    let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let limit = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: one pollfd, which lives until the call returns.
    unsafe { libc::poll(&raw mut poll, 1, limit) > 0 }
}

/// How many frames a packet socket had no room for since the last question.
pub fn packet_drops(socket: &Socket) -> io::Result<u32> {
    let mut stats = [0u32; 2]; // struct tpacket_stats: packets, drops
    let mut len = size_of_val(&stats) as libc::socklen_t;
    // SAFETY: `stats` has room for `len` octets and outlives the call.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            stats.as_mut_ptr().cast(),
            &raw mut len,
        )
    })?;
    Ok(stats[1])
}

/// Whether IP may fragment what the socket sends, on its way or before (`IP_MTU_DISCOVER`).
pub fn set_dont_fragment(socket: &Socket, on: bool) -> io::Result<()> {
    let how = if on { libc::IP_PMTUDISC_DO } else { libc::IP_PMTUDISC_DONT };
    set_option(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, how)
}

/// Takes the signals that end a program away from all threads started later; [`Signals::wait`] gets them instead.
pub struct Signals(File);

impl Signals {
    /// To be called before any other thread runs.
    pub fn take() -> io::Result<Signals> {
        // SAFETY: the set is initialised by sigemptyset before use and outlives the calls; signalfd
        // returns a fresh descriptor that nobody else owns.
        unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
                libc::sigaddset(&raw mut set, signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
            let fd = check(libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC))?;
            Ok(Signals(OwnedFd::from_raw_fd(fd).into()))
        }
    }

    /// Waits for one of them.
    pub fn wait(&mut self) -> io::Result<()> {
        let mut info = [0; size_of::<libc::signalfd_siginfo>()];
        io::Read::read_exact(&mut self.0, &mut info)
    }
}

/// Gives the socket room for this many octets that nobody has read yet, whatever the system's limit is.
pub fn set_receive_buffer(socket: &Socket, octets: i32) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, octets)
}

fn set_option(socket: &Socket, level: i32, name: i32, value: i32) -> io::Result<()> {
    // SAFETY: the option's value is an int that outlives the call.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    })
    .map(drop)
}

fn socket_address<T: Copy>(address: T) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    assert!(size_of::<T>() <= size_of::<SockAddrStorage>());
    // SAFETY: `T` is one of the kernel's address structures, plain data that fits in the storage (asserted),
    // and the storage is aligned for any of them.
    unsafe {
        (&raw mut storage).cast::<T>().write(address);
        SockAddr::new(storage, size_of::<T>() as libc::socklen_t)
    }
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
