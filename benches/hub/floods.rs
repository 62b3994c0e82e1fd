//! Far too much of something.

use crate::daemon::Daemon;
use crate::lab::traffic::Sender;
use crate::lab::{Res, wait_until};
use crate::packets::{self, Site, station};
use crate::probe::{Askers, time};
use crate::trace::Trace;
use crate::world::{Setup, World};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// A host at a spoke's site sends each frame from another MAC, as some switches' test programs do.
pub fn macs(setup: &Setup) -> Res<Vec<String>> {
    let mut world = World::new(setup)?;
    world.hub.ns.ip("link add br-lan type bridge mcast_snooping 0\nlink set br-lan up\n\
         link add host type veth peer name port\nlink set port master br-lan up\nlink set host up")?;
    world.hub.configure(
        "",
        "config hub 'dc1'\n\toption address '10.127.0.1'\n\
         config vn 'v1'\n\toption vpn_id '1'\n\toption role 'spoke'\n\toption vni '100'\n\toption bridge 'br-lan'\n",
    )?;
    world.hub.start_and_wait()?;
    let up = wait_until(PATIENCE, || world.hub.metric("dmevpn_registered").is_ok_and(|n| n > 0.0));
    if !up {
        return Err(format!("it does not register; {}", world.hub.last_words()));
    }
    let sender = Sender::new(&world.hub.ns, "host")?;
    let over = AtomicBool::new(false);
    // However fast it is, it has to lose events: only then it looks for itself what the bridge knows.
    world.hub.signal(libc::SIGSTOP)?;
    let longest = std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..500_000 {
                // To itself: the bridge learns and drops it.
                let _ = sender.send(&packets::frame(station(n), station(n)));
            }
            over.store(true, Ordering::Relaxed);
        });
        std::thread::sleep(Duration::from_millis(300));
        world.hub.signal(libc::SIGCONT)?;
        let (start, mut longest) = (Instant::now(), Duration::ZERO);
        let mut calm = 0;
        // Until the storm is over and some seconds were calm: it may begin to look around only then.
        while calm < 30 && start.elapsed() < 3 * PATIENCE {
            let took = world.hub.status_time()?;
            longest = longest.max(took);
            calm =
                if over.load(Ordering::Relaxed) && took < Duration::from_millis(300) { calm + 1 } else { 0 };
            std::thread::sleep(Duration::from_millis(100));
        }
        Res::Ok(longest)
    })?;
    Ok(vec![time(longest), format!("{:.1} MB", world.hub.memory("VmHWM")? / 1024.0)])
}

/// How a daemon bore what it could not use.
pub struct Borne {
    /// The longest time that `status` took.
    pub status: Duration,
    /// The time from SIGTERM to its end.
    pub ended: Duration,
    /// How many packets it was too slow to read.
    pub unread: u64,
}

impl Borne {
    /// For the table.
    pub fn values(self) -> Vec<String> {
        vec![time(self.status), time(self.ended), self.unread.to_string()]
    }
}

/// Strangers and registered spokes send what is no NHRP, and what is some that makes no sense. A slow daemon takes 100 us
/// more for each read, as on a router's processor.
pub fn garbage(setup: &Setup, slow: bool) -> Res<Borne> {
    let mut world = World::hub(setup, 1..=1, "")?;
    let spokes: Vec<Site> = (1..=10).map(|n| Site::spoke(1, n)).collect();
    world.sites.register(&spokes, 600, PATIENCE)?;
    let (out, _) = world.sites.shared();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (start, mut sent) = (Instant::now(), 0u32);
            while !over.load(Ordering::Relaxed) {
                for _ in 0..30 {
                    crate::sites::send(&out, &nonsense(sent));
                    sent += 1;
                }
                let due = start + Duration::from_secs(1) * sent / 30_000;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        });
        let borne = bears(&mut world.hub, slow);
        over.store(true, Ordering::Relaxed);
        borne
    })
}

fn bears(hub: &mut Daemon, slow: bool) -> Res<Borne> {
    const READS: &str = "recvfrom,recvmsg,recvmmsg,read";
    let (trace, delay) = (format!("trace={READS}"), format!("inject={READS}:delay_exit=100"));
    let slow =
        slow.then(|| Trace::start(hub, &["-e", &trace, "-e", &delay, "-e", "status=none"])).transpose()?;
    std::thread::sleep(Duration::from_millis(500));
    let mut status = Duration::ZERO;
    for _ in 0..8 {
        status = status.max(hub.status_time()?);
        std::thread::sleep(Duration::from_millis(200));
    }
    let unread = hub.unread()?;
    let ended = hub.end(libc::SIGTERM, PATIENCE)?;
    drop(slow);
    Ok(Borne { status, ended, unread })
}

/// The `n`th packet that makes no sense.
fn nonsense(n: u32) -> Vec<u8> {
    let stranger = Site::spoke(1, 1000 + n % 5000);
    let spoke = Site::spoke(1, 1 + n % 10);
    match n % 4 {
        0 => spoke.anything(&n.to_be_bytes().repeat(1 + n as usize % 40)),
        1 => stranger.anything(&n.to_be_bytes().repeat(1 + n as usize % 40)),
        2 => {
            let mut packet = spoke.registration(n, 600);
            let at = 24 + n as usize % (packet.len() - 24);
            packet[at] ^= n.to_be_bytes()[3] | 1;
            packet
        }
        _ => {
            let mut packet = spoke.question(n, stranger.source());
            packet.truncate(24 + n as usize % (packet.len() - 24));
            packet
        }
    }
}

/// The hub's log while MACs are here and there.
pub fn log(setup: &Setup) -> Res<Vec<String>> {
    let mut values = Vec::new();
    for (macs, per_second) in [(1, 5000), (200, 100_000)] {
        let world = World::hub(setup, 1..=1, "")?;
        let places = [Site::spoke(1, 1), Site::spoke(1, 2)];
        world.sites.register(&places, 600, PATIENCE)?;
        let before = world.hub.logged();
        let (start, mut sent) = (Instant::now(), 0u32);
        while start.elapsed() < Duration::from_secs(5) {
            for _ in 0..5 {
                world.sites.speak(&places[(sent / macs) as usize % 2], [sent % macs])?;
                sent += 1;
            }
            let due = start + Duration::from_secs(1) * sent / per_second;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        world.hub.settled(PATIENCE)?;
        let after = world.hub.logged();
        values.push(format!("{} ({} kB)", after.0 - before.0, (after.1 - before.1) / 1000));
    }
    Ok(values)
}

/// Who floods a hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flood {
    /// Garbage of 5000 addresses that are not registered.
    Garbage,
    /// Requests that can be understood, of 5000 addresses that are not registered.
    Strangers,
    /// All of that from one address.
    One,
    /// All of that, and it says that it is from the spokes that are measured.
    Spoofed,
}

/// How others fared meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Fared {
    /// Packets that were offered, a second.
    pub offered: f64,
    /// How long 99 of 100 questions waited for their answers; `None`: more than one in 100 got none.
    pub resolved: Option<Duration>,
    /// How long nine of ten did.
    pub most_resolved: Option<Duration>,
    /// How long 99 of 100 refreshes of registrations took, with what their spokes send again after 1 s.
    pub refreshed: Duration,
    /// How long it took a new spoke to register; `None`: it was not within the time there was.
    pub joined: Option<Duration>,
    /// The longest time that `status` took.
    pub status: Duration,
    /// How much the daemon grew, in kB.
    pub grown: f64,
    /// The processor time that a packet took the daemon.
    pub cost: Duration,
    /// How many packets it was too slow to read.
    pub unread: u64,
}

impl Fared {
    /// For the table.
    pub fn values(self) -> Vec<String> {
        let or_none = |t: Option<Duration>| t.map_or("never".to_owned(), time);
        vec![
            format!("{:.0}", self.offered),
            or_none(self.most_resolved),
            or_none(self.resolved),
            time(self.refreshed),
            or_none(self.joined),
            time(self.status),
            format!("{:.0} kB", self.grown.max(0.0)),
            time(self.cost),
            self.unread.to_string(),
        ]
    }
}

/// So many packets a second, or as many as the machine has, while spokes ask, refresh and join.
pub fn flood(setup: &Setup, flood: Flood, per_second: u32) -> Res<Fared> {
    const SOME: u32 = 250;
    const REFRESHES: u32 = 100;
    let world = World::hub(setup, 1..=1, "")?;
    let spokes: Vec<Site> = (1..=REFRESHES).map(|n| Site::spoke(1, n)).collect();
    world.sites.register(&spokes, 600, PATIENCE)?;
    let askers = Askers::register(&world.sites, 1)?;
    let packets: Vec<Vec<u8>> = (0..5000).map(|n| flooding(flood, n)).collect();
    let before = world.hub.cpu()?;
    let (out, _) = world.sites.shared();
    let (over, sent, start) = (AtomicBool::new(false), AtomicU32::new(0), Instant::now());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut packets = packets.iter().cycle();
            while !over.load(Ordering::Relaxed) {
                packets.by_ref().take(SOME as usize).for_each(|packet| crate::sites::send(&out, packet));
                let sent = sent.fetch_add(SOME, Ordering::Relaxed) + SOME;
                let due = start + Duration::from_secs(1) / per_second * sent;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        });
        let fared = fares(&world, &spokes, &askers);
        over.store(true, Ordering::Relaxed);
        let (mut fared, sent) = (fared?, sent.load(Ordering::Relaxed));
        fared.offered = f64::from(sent) / start.elapsed().as_secs_f64();
        let read = sent.saturating_sub(fared.unread as u32).max(1);
        fared.cost = (world.hub.cpu()? - before) / read;
        Ok(fared)
    })
}

fn fares(world: &World, spokes: &[Site], askers: &Askers) -> Res<Fared> {
    std::thread::sleep(Duration::from_millis(500));
    let before = world.hub.memory("VmRSS")?;
    let probe = askers.start(&world.sites);
    let mut refreshed = Vec::new();
    for spoke in spokes {
        let refresh = std::slice::from_ref(spoke);
        refreshed.push(world.sites.register(refresh, 600, PATIENCE).unwrap_or(PATIENCE));
    }
    refreshed.sort_unstable();
    let mut status = Duration::ZERO;
    for _ in 0..5 {
        status = status.max(world.hub.status_time()?);
    }
    let [most_resolved, resolved] = probe.percentiles([90, 99])?;
    let grown = world.hub.memory("VmRSS")? - before;
    let joined = world.sites.register(&[Site::spoke(1, 20_000)], 600, Duration::from_secs(20)).ok();
    let refreshed = refreshed[refreshed.len() * 99 / 100 - 1];
    let unread = world.hub.unread()?;
    Ok(Fared {
        offered: 0.0,
        cost: Duration::ZERO,
        resolved,
        most_resolved,
        refreshed,
        joined,
        status,
        grown,
        unread,
    })
}

/// The `n`th packet of a flood.
fn flooding(flood: Flood, n: u32) -> Vec<u8> {
    let stranger = Site::spoke(1, 30_000 + n);
    let from = match flood {
        Flood::Garbage | Flood::Strangers => stranger,
        Flood::One => Site::spoke(1, 30_000),
        // Those that refresh, and those that ask.
        Flood::Spoofed if n % 2 == 0 => Site::spoke(1, 1 + n % 100).forged(),
        Flood::Spoofed => Site::spoke(1, 16_000 + n % 4).forged(),
    };
    match n % 4 {
        _ if flood == Flood::Garbage => nonsense_of(from, n),
        0 => from.registration(n, 600),
        1 => from.question(n, stranger.source()),
        _ => nonsense_of(from, n),
    }
}

/// What is no NHRP, or what is some that makes no sense.
fn nonsense_of(from: Site, n: u32) -> Vec<u8> {
    match n % 3 {
        0 => from.anything(&n.to_be_bytes().repeat(1 + n as usize % 40)),
        1 => {
            let mut packet = from.registration(n, 600);
            let at = 24 + n as usize % (packet.len() - 24);
            packet[at] ^= n.to_be_bytes()[3] | 1;
            packet
        }
        _ => {
            let mut packet = from.question(n, from.source());
            packet.truncate(24 + n as usize % (packet.len() - 24));
            packet
        }
    }
}
