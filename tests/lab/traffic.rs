//! Senders and receivers inside of the networks. What answers is always the kernel.

use super::netns::Netns;
use super::{MacBytes, Res, Stamp, now, sys};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockAddr, Socket, Type};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// EtherType for local experiments (IEEE 802): nobody answers it and nobody else uses it.
pub const EXPERIMENT: u16 = 0x88b5;
/// To all.
pub const BROADCAST: MacBytes = [0xff; 6];

/// What became of one echo request.
#[derive(Clone, Copy, Debug)]
pub struct Echo {
    /// When it was sent.
    pub sent: Stamp,
    /// When its reply came.
    pub reply: Option<Stamp>,
}

/// What became of a series of echo requests.
#[derive(Clone, Debug, Default)]
pub struct Pinged {
    /// In the order they were sent.
    pub echoes: Vec<Echo>,
    /// How many answers came once more.
    pub doubled: usize,
    /// The next-hop MTU of "fragmentation needed" messages that came back.
    pub too_big: Option<u16>,
}

impl Pinged {
    /// How many were answered.
    pub fn answered(&self) -> usize {
        self.echoes.iter().filter(|e| e.reply.is_some()).count()
    }

    /// Whether some were sent and each was answered, the first one included.
    pub fn none_lost(&self) -> bool {
        !self.echoes.is_empty() && self.answered() == self.echoes.len()
    }

    /// Whether each was answered, and once.
    pub fn all_once(&self) -> bool {
        self.none_lost() && self.doubled == 0
    }

    /// The time from the request to the reply, of the first one and the median.
    pub fn round_trips(&self) -> Option<(Duration, Duration)> {
        let times = self.echoes.iter().filter_map(|e| Some(e.reply?.saturating_sub(e.sent)));
        let mut times: Vec<_> = times.collect();
        let first = *times.first()?;
        times.sort();
        Some((first, times[times.len() / 2]))
    }

    /// The longest time in which nothing that was sent was answered.
    pub fn longest_gap(&self) -> Duration {
        let mut last = self.echoes.first().map_or(Duration::ZERO, |echo| echo.sent);
        let mut longest = Duration::ZERO;
        for echo in self.echoes.iter().filter(|echo| echo.reply.is_some()) {
            longest = longest.max(echo.sent.saturating_sub(last));
            last = echo.sent;
        }
        longest
    }

    /// How long after `at` those were sent that were not answered.
    pub fn lost_from(&self, at: Stamp) -> Vec<Duration> {
        let lost = self.echoes.iter().filter(|e| e.sent >= at && e.reply.is_none());
        lost.map(|e| e.sent.saturating_sub(at)).collect()
    }

    /// The first reply to a request sent after `at`.
    pub fn first_reply_after(&self, at: Stamp) -> Option<Stamp> {
        self.echoes.iter().filter(|e| e.sent >= at).find_map(|e| e.reply)
    }
}

impl std::fmt::Display for Pinged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} answered", self.answered(), self.echoes.len())?;
        if self.doubled > 0 {
            write!(f, ", {} more than once", self.doubled)?;
        }
        if let Some((first, median)) = self.round_trips() {
            let ms = |d: Duration| d.as_secs_f64() * 1000.0;
            write!(f, ", the first in {:.2} ms, half of them within {:.2} ms", ms(first), ms(median))?;
        }
        Ok(())
    }
}

/// Echo requests that go on in the background.
pub struct Ping {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Pinged>,
}

/// What to send.
#[derive(Clone, Copy)]
pub struct Echoes {
    /// To whom.
    pub to: IpAddr,
    /// How often.
    pub every: Duration,
    /// How many at most.
    pub count: usize,
    /// Octets behind the ICMP header.
    pub size: usize,
    /// IPv4 only: that nobody may fragment it.
    pub dont_fragment: bool,
}

impl Echoes {
    /// `count` small ones, every `ms` milliseconds.
    pub fn to(to: IpAddr, count: usize, ms: u64) -> Echoes {
        Echoes { to, every: Duration::from_millis(ms), count, size: 56, dont_fragment: false }
    }
}

/// Sends all of them and waits for the answers.
pub fn ping(ns: &Netns, echoes: Echoes) -> Res<Pinged> {
    Ping::start(ns, echoes)?.join()
}

impl Ping {
    /// Starts to send.
    pub fn start(ns: &Netns, echoes: Echoes) -> Res<Ping> {
        static NEXT: AtomicU16 = AtomicU16::new(1);
        let ident = NEXT.fetch_add(1, Ordering::Relaxed) ^ (std::process::id() as u16).rotate_left(8);
        let socket = ns.run(|| echo_socket(&echoes))?.map_err(|e| format!("echo in {}: {e}", ns.name))?;
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let stop = stop.clone();
            move || exchange(&socket, &echoes, ident, &stop)
        });
        Ok(Ping { stop, thread })
    }

    /// Ends sending and waits a moment for the last answers.
    pub fn stop(self) -> Res<Pinged> {
        self.stop.store(true, Ordering::Relaxed);
        self.join()
    }

    fn join(self) -> Res<Pinged> {
        self.thread.join().map_err(|_| "the echo sender ended early".to_string())
    }
}

fn echo_socket(echoes: &Echoes) -> std::io::Result<Socket> {
    let socket = if echoes.to.is_ipv4() {
        Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))?
    } else {
        Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?
    };
    if echoes.to.is_ipv4() {
        sys::set_dont_fragment(&socket, echoes.dont_fragment)?;
    }
    socket.set_recv_buffer_size(1 << 20)?;
    Ok(socket)
}

fn exchange(socket: &Socket, echoes: &Echoes, ident: u16, stop: &AtomicBool) -> Pinged {
    const LINGER: Duration = Duration::from_secs(1);
    let to = SockAddr::from(SocketAddr::new(echoes.to, 0));
    let mut pinged = Pinged::default();
    let mut next = now();
    loop {
        let time = now();
        let more = pinged.echoes.len() < echoes.count && !stop.load(Ordering::Relaxed);
        if more && time >= next {
            let request = echo_request(echoes, ident, pinged.echoes.len() as u16);
            pinged.echoes.push(Echo { sent: time, reply: None });
            // An error (no route yet, packet too big) is a lost packet like any other.
            let _ = socket.send_to(&request, &to);
            // What a busy machine kept it from sending is not made up for: no queue takes a burst of that.
            next = (next + echoes.every).max(time);
        }
        if !more {
            let last = pinged.echoes.last().map_or(time, |e| e.sent);
            if pinged.answered() == pinged.echoes.len() || time > last + LINGER {
                return pinged;
            }
        }
        let wait = if more { next.saturating_sub(time) } else { Duration::from_millis(20) };
        let _ = socket.set_read_timeout(Some(wait.max(Duration::from_micros(100))));
        let (mut from, mut buffer) = (socket, [0; 2048]);
        if let Ok(len) = from.read(&mut buffer) {
            take_answer(&mut pinged, echoes, ident, &buffer[..len]);
        }
    }
}

fn echo_request(echoes: &Echoes, ident: u16, seq: u16) -> Vec<u8> {
    let kind = if echoes.to.is_ipv4() { 8 } else { 128 };
    let mut packet = vec![kind, 0, 0, 0];
    packet.extend_from_slice(&ident.to_be_bytes());
    packet.extend_from_slice(&seq.to_be_bytes());
    packet.resize(8 + echoes.size, 0x55);
    if echoes.to.is_ipv4() {
        let sum = checksum(&packet); // for IPv6 the kernel does it
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

fn take_answer(pinged: &mut Pinged, echoes: &Echoes, ident: u16, packet: &[u8]) {
    let v4 = echoes.to.is_ipv4();
    let icmp = if v4 { packet.get(usize::from(packet[0] & 0xf) * 4..) } else { Some(packet) };
    let Some(icmp) = icmp.filter(|i| i.len() >= 8) else { return };
    let word = |at: usize| u16::from_be_bytes([icmp[at], icmp[at + 1]]);
    match (icmp[0], icmp[1]) {
        (0, 0) if v4 => {}
        (129, 0) if !v4 => {}
        (3, 4) if v4 => return pinged.too_big = Some(word(6)),
        (2, 0) if !v4 => return pinged.too_big = Some(word(6)),
        _ => return,
    }
    if word(4) != ident {
        return;
    }
    // The number is 16 bits wide and no series here is longer than that.
    if let Some(echo) = pinged.echoes.get_mut(usize::from(word(6))) {
        pinged.doubled += usize::from(echo.reply.is_some());
        echo.reply.get_or_insert_with(now);
    }
}

pub(super) fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 =
        bytes.chunks(2).map(|c| u32::from(c[0]) << 8 | u32::from(*c.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Sends ready-made Ethernet frames.
pub struct Sender(Socket);

impl Sender {
    /// Sends from this interface.
    pub fn new(ns: &Netns, interface: &str) -> Res<Sender> {
        let index = ns.ifindex(interface)?;
        let socket = ns.run(|| sys::packet_socket(index))?;
        socket.map(Sender).map_err(|e| format!("sender on {} {interface}: {e}", ns.name))
    }

    /// Sends a frame.
    pub fn send(&self, frame: &[u8]) -> Res {
        self.0.send(frame).map(drop).map_err(|e| format!("a frame could not be sent: {e}"))
    }
}

/// "Who has `target`?", to all.
pub fn arp_request(from: MacBytes, ip: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    arp(1, from, ip, [0; 6], target)
}

/// "`ip` is at `from`", to all, unasked.
pub fn gratuitous_arp(from: MacBytes, ip: Ipv4Addr) -> Vec<u8> {
    arp(1, from, ip, [0; 6], ip)
}

fn arp(operation: u8, from: MacBytes, ip: Ipv4Addr, to: MacBytes, target: Ipv4Addr) -> Vec<u8> {
    let mut frame = ethernet(BROADCAST, from, 0x0806);
    frame.extend_from_slice(&[0, 1, 8, 0, 6, 4, 0, operation]);
    frame.extend_from_slice(&from);
    frame.extend_from_slice(&ip.octets());
    frame.extend_from_slice(&to);
    frame.extend_from_slice(&target.octets());
    frame.resize(60, 0);
    frame
}

/// A numbered frame of the experimental EtherType, `size` octets long.
pub fn experiment(to: MacBytes, from: MacBytes, number: u32, size: usize) -> Vec<u8> {
    let mut frame = ethernet(to, from, EXPERIMENT);
    frame.extend_from_slice(&number.to_be_bytes());
    frame.resize(size, 0);
    frame
}

/// The number in an [`experiment`]al frame from this sender.
pub fn experiment_number(frame: &[u8], from: MacBytes) -> Option<u32> {
    let mine = frame.get(6..12)? == from && frame.get(12..14)? == EXPERIMENT.to_be_bytes();
    mine.then(|| super::peek::be32(frame, 14)).flatten()
}

fn ethernet(to: MacBytes, from: MacBytes, ethertype: u16) -> Vec<u8> {
    [&to[..], &from[..], &ethertype.to_be_bytes()[..]].concat()
}

/// A member of a multicast group.
pub struct Member(Socket);

impl Member {
    /// Joins the group on this interface.
    pub fn join(ns: &Netns, interface: &str, group: SocketAddr) -> Res<Member> {
        let index = ns.ifindex(interface)?;
        let open = || {
            let socket = Socket::new(Domain::for_address(group), Type::DGRAM, Some(Protocol::UDP))?;
            socket.set_reuse_address(true)?;
            let any: IpAddr =
                if group.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            socket.bind(&SocketAddr::new(any, group.port()).into())?;
            match group.ip() {
                IpAddr::V4(ip) => socket.join_multicast_v4_n(&ip, &InterfaceIndexOrAddress::Index(index))?,
                IpAddr::V6(ip) => socket.join_multicast_v6(&ip, index)?,
            }
            std::io::Result::Ok(socket)
        };
        ns.run(open)?.map(Member).map_err(|e| format!("{group} on {} {interface}: {e}", ns.name))
    }

    /// How many datagrams come in until none did for `quiet`.
    pub fn count(&self, quiet: Duration) -> usize {
        let _ = self.0.set_read_timeout(Some(quiet));
        let (mut socket, mut buffer) = (&self.0, [0; 2048]);
        std::iter::from_fn(|| socket.read(&mut buffer).ok()).count()
    }
}

/// Sends `count` datagrams to the group from this interface, which has the address `from`.
pub fn send_to_group(ns: &Netns, interface: &str, from: IpAddr, group: SocketAddr, count: usize) -> Res {
    let index = ns.ifindex(interface)?;
    let send = || {
        let socket = Socket::new(Domain::for_address(group), Type::DGRAM, Some(Protocol::UDP))?;
        match from {
            IpAddr::V4(ip) => socket.set_multicast_if_v4(&ip)?,
            IpAddr::V6(_) => socket.set_multicast_if_v6(index)?,
        }
        socket.bind(&SocketAddr::new(from, 0).into())?;
        for n in 0..count {
            socket.send_to(&(n as u32).to_be_bytes(), &group.into())?;
            std::thread::sleep(Duration::from_millis(2));
        }
        std::io::Result::Ok(())
    };
    ns.run(send)?.map_err(|e| format!("{group} from {} {interface}: {e}", ns.name))
}
