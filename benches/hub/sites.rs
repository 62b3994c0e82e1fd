//! All sites at once: a raw socket that sends for each of them, and one that hears what is sent to them.

use crate::lab::netns::Netns;
use crate::lab::{Res, sys};
use crate::packets::{self, ALL_SITES, HUB, Site};
use dmevpn::wire::nhrp::{Kind, Message, ProtocolAddress, Tags, kind};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::HashMap;
use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Request IDs from here on are a probe's.
pub const PROBES: u32 = 1 << 31;
/// How many Registration Requests are under way at once.
const WINDOW: usize = 64;
/// After how long without an answer a spoke tries again.
const AGAIN: Duration = Duration::from_secs(1);

/// The hub's reply to a registration.
#[derive(Clone, Copy, Debug)]
pub struct Registered {
    /// When it came.
    pub at: Instant,
    /// 0, or why not.
    pub code: u8,
    /// The VNI of the hub's port.
    pub uplink: u32,
    /// The MAC of the hub's bridge.
    pub bridge: [u8; 6],
}

/// The answer to a probe's question.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// The question's ID.
    pub id: u32,
    /// When it came.
    pub at: Instant,
    /// Whether it names a place.
    pub found: bool,
}

/// What came from the hub.
#[derive(Debug, Default)]
pub struct Heard {
    /// By site.
    pub registered: HashMap<Ipv4Addr, Registered>,
    /// To probes.
    pub answers: Vec<Answer>,
    /// Resolution Replies to others.
    pub resolved: u64,
    /// Purge Requests.
    pub purges: u64,
    /// Those that withdraw all behind a prefix.
    pub prefix_purges: u64,
    /// Purge Replies.
    pub purged: u64,
    /// When the last purge came.
    pub purged_at: Option<Instant>,
    /// Those that register, and for how long: they do so again when the hub asks them to.
    members: HashMap<Ipv4Addr, (Site, u16)>,
    /// The last request ID.
    last: Arc<AtomicU32>,
}

/// The sites' network and the generator.
pub struct Sites {
    /// Where they are.
    pub ns: Netns,
    out: Arc<Socket>,
    heard: Arc<Mutex<Heard>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// What comes by VXLAN; nobody looks at it.
    _frames: UdpSocket,
    last: Arc<AtomicU32>,
}

impl Sites {
    /// In this namespace, which has a way to the hub.
    pub fn new(ns: Netns) -> Res<Sites> {
        ns.ip(&format!("route add local {ALL_SITES} dev lo"))?;
        let open = || -> std::io::Result<_> {
            let out = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)))?;
            out.set_header_included_v4(true)?;
            let hears = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(47)))?;
            sys::set_receive_buffer(&hears, 64 << 20)?;
            hears.set_read_timeout(Some(Duration::from_millis(20)))?;
            Ok((out, hears, UdpSocket::bind("0.0.0.0:4789")?))
        };
        let (out, hears, frames) = ns.run(open)?.map_err(|e| format!("the sites' sockets: {e}"))?;
        let (out, heard, stop) =
            (Arc::new(out), Arc::<Mutex<Heard>>::default(), Arc::<AtomicBool>::default());
        let last = lock(&heard).last.clone();
        let thread = std::thread::spawn({
            let (out, heard, stop) = (out.clone(), heard.clone(), stop.clone());
            move || hear(&hears, &out, &heard, &stop)
        });
        Ok(Sites { ns, out, heard, stop, thread: Some(thread), _frames: frames, last })
    }

    /// Sends a packet.
    pub fn send(&self, packet: &[u8]) {
        send(&self.out, packet);
    }

    /// A site registers, or refreshes that.
    pub fn begin(&self, site: &Site, holding: u16) {
        self.heard().members.insert(site.address, (*site, holding));
        self.send(&site.registration(self.id(), holding));
    }

    /// What was heard so far.
    pub fn heard(&self) -> MutexGuard<'_, Heard> {
        lock(&self.heard)
    }

    /// A sender and what was heard, for a thread.
    pub fn shared(&self) -> (Arc<Socket>, Arc<Mutex<Heard>>) {
        (self.out.clone(), self.heard.clone())
    }

    /// A new request ID.
    pub fn id(&self) -> u32 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// What the hub said to this site's last registration.
    pub fn registered(&self, site: &Site) -> Res<Registered> {
        let found = self.heard().registered.get(&site.address).copied();
        found.ok_or_else(|| format!("{} is not registered", site.address))
    }

    /// All of them register, some at a time, again when no answer comes; the time until the last one is answered.
    pub fn register(&self, sites: &[Site], holding: u16, limit: Duration) -> Res<Duration> {
        let start = Instant::now();
        let mut waiting: Vec<(Site, Instant)> = Vec::new();
        let mut rest = sites.iter();
        self.heard().members.extend(sites.iter().map(|site| (site.address, (*site, holding))));
        loop {
            let heard = self.heard();
            let answer = |site: &Site| heard.registered.get(&site.address).filter(|r| r.at >= start);
            if let Some((site, r)) =
                waiting.iter().find_map(|(s, _)| answer(s).filter(|r| r.code != 0).map(|r| (s, r)))
            {
                return Err(format!("{} got NAK {}", site.address, r.code));
            }
            waiting.retain(|(site, _)| answer(site).is_none());
            drop(heard);
            for (site, sent) in waiting.iter_mut().filter(|(_, sent)| sent.elapsed() > Duration::from_secs(2))
            {
                *sent = Instant::now();
                self.send(&site.registration(self.id(), holding));
            }
            let room = WINDOW.saturating_sub(waiting.len());
            for site in rest.by_ref().take(room) {
                waiting.push((*site, Instant::now()));
                self.send(&site.registration(self.id(), holding));
            }
            if waiting.is_empty() {
                return Ok(start.elapsed());
            }
            if start.elapsed() > limit {
                let done = sites.len() - waiting.len() - rest.len();
                return Err(format!("{done} of {} sites are registered after {limit:?}", sites.len()));
            }
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    /// All of them begin within that time, each at its own moment, again after a second without an answer, as spokes do; how
    /// long each waited for its answer.
    pub fn come(
        &self,
        sites: &[Site],
        within: Duration,
        holding: u16,
        limit: Duration,
    ) -> Res<Vec<Duration>> {
        let start = Instant::now();
        let apart = within / sites.len().max(1) as u32;
        let begun: Vec<Instant> = (0..).map(|n| start + apart * n).take(sites.len()).collect();
        for (site, begun) in sites.iter().zip(&begun) {
            std::thread::sleep(begun.saturating_duration_since(Instant::now()));
            self.begin(site, holding);
        }
        let mut tried = begun.clone();
        loop {
            let heard = self.heard();
            let accepted = |site: &Site| heard.registered.get(&site.address).filter(|r| r.code == 0);
            let times: Vec<_> = sites.iter().map(|site| accepted(site).map(|r| r.at)).collect();
            drop(heard);
            if let Some(times) = times.iter().copied().collect::<Option<Vec<_>>>() {
                return Ok(times.into_iter().zip(begun).map(|(at, begun)| at - begun).collect());
            }
            if start.elapsed() > limit {
                let missing = times.iter().filter(|at| at.is_none()).count();
                return Err(format!("{missing} of {} are not registered after {limit:?}", sites.len()));
            }
            for ((site, at), tried) in sites.iter().zip(&times).zip(&mut tried) {
                if at.is_none() && tried.elapsed() > AGAIN {
                    *tried = Instant::now();
                    self.begin(site, holding);
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stations behind a site speak, to the hub's bridge alone.
    pub fn speak(&self, site: &Site, stations: impl IntoIterator<Item = u32>) -> Res {
        let hub = self.registered(site)?;
        for n in stations {
            self.send(&site.frame(hub.uplink, packets::station(n), hub.bridge));
        }
        Ok(())
    }
}

impl Drop for Sites {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Sends a packet for whom it says it is from. One that the kernel has no room for is lost, as on any network.
pub fn send(out: &Socket, packet: &[u8]) {
    let mut to = [0; 4];
    to.copy_from_slice(&packet[16..20]);
    let _ = out.send_to(packet, &SocketAddr::new(Ipv4Addr::from(to).into(), 0).into());
}

/// Whoever panicked while holding it left it whole.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hear(mut socket: &Socket, out: &Socket, heard: &Mutex<Heard>, stop: &AtomicBool) {
    let mut buffer = vec![0; 2048];
    while !stop.load(Ordering::Relaxed) {
        match socket.read(&mut buffer) {
            Ok(len) => {
                let at = Instant::now();
                let answers = take(&buffer[..len], at, &mut lock(heard)).unwrap_or_default();
                answers.iter().for_each(|answer| send(out, answer));
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => return,
        }
    }
}

impl Heard {
    /// A site registers, again.
    fn register(&self, site: Ipv4Addr) -> Option<Vec<u8>> {
        let (site, holding) = self.members.get(&site)?;
        Some(site.registration(self.last.fetch_add(1, Ordering::Relaxed) + 1, *holding))
    }
}

/// Takes note of a packet; what it asks to be confirmed is confirmed, and who is to register does.
fn take(packet: &[u8], at: Instant, heard: &mut Heard) -> Option<Vec<Vec<u8>>> {
    let site = Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(16..20)?).ok()?);
    let (tag, nhrp) = dmevpn::wire::parse(packet.get(usize::from(packet[0] & 15) * 4..)?).ok()?;
    let message = Message::parse(nhrp).ok()?;
    let code = message.cies().next().map_or(0, |cie| cie.code);
    let mut answers = Vec::new();
    // What somebody else asked in its name is for nobody.
    if let Some(challenge) = message.challenge().filter(|challenge| challenge.tag == packets::own_tag(site)) {
        packets::learn(site, challenge.cookie);
        answers.extend(heard.register(site));
    }
    match message.header.kind {
        Kind::RegistrationReply if message.challenge().is_some() => {}
        Kind::RegistrationReply => {
            let responder = message.extension_cie(kind::RESPONDER);
            let uplink = responder.and_then(|r| r.vni).map_or(0, |vni| vni.get());
            let bridge = match responder.and_then(|r| r.address) {
                Some(ProtocolAddress::Mac(mac)) => mac.octets(),
                _ => [0; 6],
            };
            heard.registered.insert(site, Registered { at, code, uplink, bridge });
        }
        Kind::ResolutionReply if message.header.request_id >= PROBES => {
            heard.answers.push(Answer { id: message.header.request_id, at, found: code == 0 });
        }
        Kind::ResolutionReply => heard.resolved += 1,
        Kind::PurgeReply => heard.purged += 1,
        // A hub that knows nobody any more.
        Kind::PurgeRequest if message.tags() == Some(Tags::default()) => answers.extend(heard.register(site)),
        Kind::PurgeRequest => {
            // The same, before there were sessions: it takes back where it is itself.
            if message.header.source.is_some_and(|own| message.cies().any(|cie| cie.address == Some(own))) {
                answers.extend(heard.register(site));
            }
            heard.purges += 1;
            heard.purged_at = Some(at);
            if message.cies().any(|cie| (1..48).contains(&cie.prefix)) {
                heard.prefix_purges += 1;
            }
            answers.push(packets::purged(site, HUB, tag, &message));
        }
        // A hub in the place of the sites: it takes whoever comes, and knows nothing.
        Kind::RegistrationRequest => {
            let from = Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(12..16)?).ok()?);
            let is_new = message.tags().is_some_and(|tags| tags.receiver == 0);
            let reply = if is_new { packets::challenged } else { packets::registered };
            answers.push(reply(site, from, tag, &message));
        }
        _ => {}
    }
    Some(answers)
}
