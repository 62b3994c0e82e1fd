//! The thread that asks the kernel. What makes, deletes or lists devices and entries waits for the kernel's lock of its
//! network configuration (rtnl), which others may hold for seconds, and works within the system call: the daemon's own
//! thread never does.
//!
//! It has sockets of its own, gets jobs and answers each of them, in their order, but that a listing goes on beside
//! other jobs. It knows nothing between two of them.

use super::guard::{Order, Outcome};
use super::hub::{self, Made, NewPort};
use super::join::{flood, join};
use super::settle::{Leave, Settle, Standing, settle};
use super::spoke::{self, Announcement};
use super::{kmod, shown};
use crate::engine::VnKey;
use crate::shell::clock::Clock;
use crate::shell::netlink::{Error, FdbChange, FdbEntry, FdbTable, Floods, Gate, Link, LinkChange, Netlink};
use crate::shell::packet;
use crate::shell::queue::Queue;
use crate::shell::underlay::{Home, Question};
use crate::types::{Mac, Nbma, VlanId, Vtep};
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::TryRecvError;
use std::task::Waker;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// So many answers are ahead of who reads them, each of some hundred entries at most: a table of a million needs no
/// more room than a small one.
const AHEAD: usize = 4;
/// Enough for what is done here; a router has little memory.
const STACK: usize = 256 * 1024;

/// A VN of the daemon, and the how-manieth one under its name: answers to an earlier one's jobs are known by it.
pub(super) type Whose = (VnKey, u32);

/// What the kernel is asked to do.
#[derive(Debug)]
pub(super) enum Job {
    /// Make the devices that a VN always has what they are to be.
    Settle(Whose, Box<Settle>),
    /// What a VN had goes, as far as it is ours.
    Leave(Box<Leave>),
    /// This bridge learns from link-local frames again.
    Learn(u32),
    /// List all devices.
    Links,
    /// Make ports for spokes, some at a time.
    Make(Whose, Box<hub::Make>),
    /// Change a port in place: its address.
    Move(Whose, u32, NewPort),
    /// Change what a port passes.
    Pass(Whose, u32, NewPort),
    /// Have a port lead to a spoke that moved.
    Lead(Whose, Box<hub::Lead>),
    /// Make a device for all spokes.
    MakeShared(Whose, Box<hub::Make>),
    /// Have the device for all spokes send from this address.
    MoveShared(u32, Nbma),
    /// Flood to these spokes, too.
    Flood(Whose, u32, Vec<Vtep>),
    /// Have a device for all spokes forget what it learned of those.
    Forget(u32, Vec<Vtep>),
    /// A device becomes an active port of the bridge again, if it is not.
    Keep { index: u32, bridge: u32, vlan: Option<VlanId>, mtu: u32 },
    /// Mark a device of ours by another alias.
    Mark(u32, String),
    /// Delete devices, which are ours; whether how long it takes decides on how many are deleted the next time.
    Delete(Vec<u32>, bool),
    /// Change forwarding entries; on a device of the user's those of the user are left alone.
    Change(Vec<FdbChange>, bool),
    /// What is there of this router's own end?
    Home(Question),
    /// An address is behind that underlay address, on a GRE device; or behind none.
    Neighbour(u32, IpAddr, Option<Nbma>),
    /// List forwarding entries of a device of the VN's, then of its bridge.
    List(Whose, Vec<FdbTable>),
    /// When was the entry used?
    ReadUse(Whose, u32, Mac),
    /// When were a device's shortcuts used, and the entry for all else? There may be none.
    ReadUses(Whose, Option<(u32, [u8; 6])>),
    /// The bridge forgets that it learned the MAC behind the tunnel device, or at another port.
    Unlearn { bridge: u32, mac: Mac, vlan: Option<u16>, tunnel: Option<u32>, behind: bool },
    /// Tell the bridges of hubs that MACs are here.
    Announce(Whose, Vec<Announcement>),
    /// Who may send to this router.
    Guard(Order),
    /// A port of a bridge floods this; or nothing at all.
    Floods(u32, Option<Floods>),
    /// By this device came a loop frame with that nonce: what is it?
    LoopFrame(u32, u64),
}

/// What came of a job. Each ends with one that [`Report::is_last`].
#[derive(Debug)]
pub(super) enum Report {
    Settled(Whose, Box<Standing>),
    Links(Vec<Link>),
    /// Whether some devices may have been left out.
    LinksListed(Result<bool, String>),
    Made(Whose, Vec<(NewPort, Made)>),
    /// A port was changed in place, or could not be.
    Moved(Whose, u32, NewPort, Result<(), String>),
    /// The device for all spokes, which floods to this one, was made, or not.
    SharedMade(Whose, Vtep, kmod::SharedMade),
    Flooded(Whose, Vec<(Vtep, Result<(), String>)>),
    /// These devices are gone; so long it took, where that matters.
    Deleted(Vec<u32>, Option<Duration>),
    Entries(Whose, FdbTable, Vec<FdbEntry>),
    /// The listing is over.
    Listed(Ended),
    /// How long ago the entry was used, and written.
    Use(Whose, Mac, Duration, Duration),
    /// Of each shortcut how long ago it was used, and written; then of the entry that leads to the hub.
    Uses(Whose, Vec<(Mac, Duration, Duration)>, Option<Duration>),
    Home(Box<Home>),
    /// There was no entry for the MAC, which is the hub's.
    Missed(Whose, Mac),
    Guard(Outcome),
    /// A port floods nothing any more; so it was before.
    Withheld(u32, Floods),
    /// The device that a loop frame came by, if it is there still.
    LoopFrame(u32, u64, Option<Box<Link>>),
    /// A device is not there. Its event may have come before it was known to be ours.
    Gone(u32),
    /// Nothing to tell.
    Done,
}

/// How a listing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ended {
    /// It told all there is.
    Whole,
    /// It may have left out something.
    Interrupted,
    /// It told less than there is.
    Failed,
}

impl Report {
    fn is_last(&self) -> bool {
        !matches!(self, Report::Links(_) | Report::Entries(..) | Report::Missed(..) | Report::Gone(_))
    }
}

/// The other end of the thread.
#[derive(Debug)]
pub(super) struct Worker {
    jobs: Arc<Queue<Job>>,
    reports: Arc<Queue<Report>>,
    thread: Option<JoinHandle<()>>,
    /// How many jobs are not answered yet.
    pub open: usize,
}

impl Worker {
    /// Starts it; `waker` is called when there is a report.
    pub fn start(clock: Clock, waker: Waker) -> io::Result<Worker> {
        let (jobs, reports) = (Queue::new(usize::MAX), Queue::new(AHEAD));
        let announcer = packet::open(Domain::PACKET, Type::RAW, 0, "announcing MACs to the hub");
        let hands = Hands {
            netlink: Netlink::open()?,
            lists: Netlink::open()?,
            announcer: announcer.inspect_err(|e| log::warn!("{e}")).ok(),
            gate: None,
            listing: None,
            clock,
            todo: Arc::clone(&jobs),
            tell: Arc::clone(&reports),
            waker,
        };
        let thread =
            thread::Builder::new().name("kernel".into()).stack_size(STACK).spawn(move || hands.work())?;
        Ok(Worker { jobs, reports, thread: Some(thread), open: 0 })
    }

    /// One more to do.
    pub fn give(&mut self, job: Job) {
        self.open += 1;
        self.jobs.put(job);
    }

    /// The next report, if there is one.
    pub fn report(&mut self) -> Option<Report> {
        match self.reports.try_take() {
            Ok(report) => {
                self.open -= usize::from(report.is_last());
                Some(report)
            }
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) if self.thread.is_none() => None,
            // It never ends by itself: a fault of the program, which cannot go on without.
            Err(TryRecvError::Disconnected) => panic!("the kernel's thread is gone"),
        }
    }

    /// The next report, for which it waits; `None` when none is to come.
    pub fn wait(&mut self) -> Option<Report> {
        if self.open == 0 {
            return None;
        }
        let report = self.reports.take()?;
        self.open -= usize::from(report.is_last());
        Some(report)
    }

    /// Waits until all is done.
    pub fn finish(&mut self) {
        self.jobs.close();
        while self.reports.take().is_some() {}
        self.thread.take().map(JoinHandle::join);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs.close();
        self.reports.close();
    }
}

/// Who works.
struct Hands {
    netlink: Netlink,
    /// For listings.
    lists: Netlink,
    /// Sends frames into tunnel devices; receives nothing. None without the right to.
    announcer: Option<Socket>,
    /// Keeps others' frames from a hub's ports.
    gate: Option<Gate>,
    /// What is being listed, the current table first.
    listing: Option<(Whose, Vec<FdbTable>, Ended)>,
    clock: Clock,
    todo: Arc<Queue<Job>>,
    tell: Arc<Queue<Report>>,
    waker: Waker,
}

impl Drop for Hands {
    fn drop(&mut self) {
        self.tell.close();
    }
}

impl Hands {
    fn work(mut self) {
        loop {
            let job = match self.listing {
                None => self.todo.take().ok_or(TryRecvError::Disconnected),
                Some(_) => self.todo.try_take(),
            };
            match job {
                Ok(job) => self.do_job(job),
                Err(TryRecvError::Empty) => self.list_on(),
                Err(TryRecvError::Disconnected) => return,
            }
        }
    }

    fn report(&self, report: Report) {
        // Nobody listens while the daemon ends.
        self.tell.put(report);
        self.waker.wake_by_ref();
    }

    fn do_job(&mut self, job: Job) {
        let netlink = &mut self.netlink;
        let done = match job {
            Job::Settle(whose, order) => Report::Settled(whose, Box::new(settle(netlink, *order))),
            Job::Leave(order) => {
                if let Err(e) = order.perform(netlink) {
                    log::warn!("{e}");
                }
                Report::Done
            }
            Job::Learn(bridge) => {
                // With the bridge that is over, too.
                if let Err(e) = netlink
                    .ignore_link_local(bridge, false)
                    .or_else(|e| if e.not_found() { Ok(()) } else { Err(e) })
                {
                    log::warn!("{e}");
                }
                Report::Done
            }
            Job::Links => Report::LinksListed(self.list_links().map_err(shown)),
            Job::Make(whose, make) => Report::Made(whose, make.ports(netlink)),
            Job::Move(whose, index, port) => {
                let moved = hub::change(netlink, index, &port).map_err(shown);
                Report::Moved(whose, index, port, moved)
            }
            Job::Pass(whose, index, port) => {
                let passes = hub::pass(netlink, index, port.port).map_err(shown);
                Report::Moved(whose, index, port, passes)
            }
            Job::Lead(whose, lead) => Report::Made(whose, vec![lead.perform(netlink)]),
            Job::MakeShared(whose, make) => {
                let first = make.ports[0].spoke;
                Report::SharedMade(whose, first, make.shared(netlink))
            }
            Job::MoveShared(index, local) => {
                if let Err(e) = spoke::send_from(netlink, index, local.ip()) {
                    log::warn!("{e}");
                }
                Report::Done
            }
            Job::Flood(whose, index, spokes) => Report::Flooded(whose, kmod::flood(netlink, index, spokes)),
            Job::Forget(index, spokes) => {
                if let Err(e) = kmod::forget(netlink, index, spokes) {
                    log::warn!("{e}");
                }
                Report::Done
            }
            Job::Keep { index, bridge, vlan, mtu } => {
                let kept = netlink
                    .link_by_index(index)
                    .and_then(|link| link.map_or(Ok(()), |link| join(netlink, &link, bridge, vlan, mtu)));
                if let Err(e) = kept.or_else(|e| if e.not_found() { Ok(()) } else { Err(e) }) {
                    log::warn!("{e}");
                }
                Report::Done
            }
            Job::Mark(index, alias) => {
                let change = LinkChange { alias: Some(&alias), ..LinkChange::default() };
                if let Err(e) = netlink.set_link(index, &change) {
                    log::warn!("{e}");
                }
                Report::Done
            }
            Job::Delete(devices, timed) => {
                let began = self.clock.now();
                if let Err(e) = netlink.delete_links(&devices) {
                    log::warn!("{e}");
                }
                Report::Deleted(devices, timed.then(|| self.clock.now().since(began)))
            }
            Job::Change(changes, spare) => {
                for index in change(netlink, changes, spare) {
                    self.report(Report::Gone(index));
                }
                Report::Done
            }
            Job::Home(question) => Report::Home(Box::new(question.ask(netlink))),
            Job::Neighbour(device, address, nbma) => {
                let entry = match nbma.map(Nbma::ip) {
                    Some(IpAddr::V4(ip)) => netlink.neighbour_set(device, address, &ip.octets()),
                    Some(IpAddr::V6(ip)) => netlink.neighbour_set(device, address, &ip.octets()),
                    None => netlink.neighbour_remove(device, address),
                };
                if let Err(e) = entry {
                    log::warn!("{e}");
                }
                Report::Done
            }
            Job::Guard(order) => Report::Guard(order.perform(&mut self.gate)),
            Job::Floods(index, floods) => match flood(netlink, index, floods.unwrap_or(Floods::NOTHING)) {
                Some(before) if floods.is_none() => Report::Withheld(index, before),
                _ => Report::Done,
            },
            Job::LoopFrame(index, nonce) => {
                let link = netlink.link_by_index(index).unwrap_or_default();
                Report::LoopFrame(index, nonce, link.map(Box::new))
            }
            Job::List(whose, tables) => return self.list(whose, tables),
            Job::ReadUse(whose, index, mac) => match spoke::read_use(netlink, index, mac) {
                Some((idle, age)) => Report::Use(whose, mac, idle, age),
                None => Report::Done,
            },
            Job::ReadUses(whose, entry) => {
                let uses = entry.map(|(index, uplink)| spoke::read_uses(netlink, index, uplink));
                let (uses, hub) = uses.unwrap_or_default();
                Report::Uses(whose, uses, hub)
            }
            Job::Unlearn { bridge, mac, vlan, tunnel, behind } => {
                spoke::unlearn(netlink, bridge, mac, vlan, |index| (tunnel == Some(index)) == behind);
                Report::Done
            }
            Job::Announce(whose, all) => {
                let announcer = self.announcer.as_ref();
                // They are for one hub where its MAC can be missed.
                let mut missed = None;
                for one in all {
                    if one.perform(netlink, announcer) {
                        missed = Some(one.hub);
                    }
                }
                if let Some(hub) = missed {
                    self.report(Report::Missed(whose, hub));
                }
                Report::Done
            }
        };
        self.report(done);
    }

    fn list_links(&mut self) -> Result<bool, Error> {
        self.netlink.link_list()?;
        loop {
            let (links, last) = self.netlink.link_part()?;
            self.report(Report::Links(links));
            if let Some(interrupted) = last {
                return Ok(interrupted);
            }
        }
    }

    /// Begins with the first of these tables.
    fn list(&mut self, whose: Whose, tables: Vec<FdbTable>) {
        self.listing = Some((whose, tables, Ended::Whole));
        self.begin();
    }

    fn begin(&mut self) {
        let Some((_, tables, ended)) = &self.listing else { return };
        match tables.first().map(|table| self.lists.fdb_list(*table)) {
            Some(Ok(())) => return,
            None => self.report(Report::Listed(*ended)),
            Some(Err(e)) => {
                log::warn!("{e}");
                self.report(Report::Listed(Ended::Failed));
            }
        }
        self.listing = None;
    }

    /// One part.
    fn list_on(&mut self) {
        let Some((whose, tables, ended)) = &mut self.listing else { return };
        let Some(table) = tables.first().copied() else { return };
        let whose = *whose;
        let (entries, end) = match self.lists.fdb_part(table) {
            Ok((entries, None)) => (entries, None),
            Ok((entries, Some(false))) => (entries, Some(Ended::Whole)),
            Ok((entries, Some(true))) => (entries, Some(Ended::Interrupted)),
            // With the device its entries are gone.
            Err(e) => {
                if !e.not_found() {
                    log::warn!("{e}");
                }
                (Vec::new(), Some(Ended::Failed))
            }
        };
        if let Some(end) = end {
            *ended = end.max(*ended);
            tables.remove(0);
        }
        if !entries.is_empty() {
            self.report(Report::Entries(whose, table, entries));
        }
        if end.is_some() {
            self.begin();
        }
    }
}

/// Makes changes. The devices of those that are not there.
fn change(netlink: &mut Netlink, mut changes: Vec<FdbChange>, spare: bool) -> Vec<u32> {
    if spare {
        changes.retain(|change| !spoke::is_users(netlink, change));
    }
    let errors = netlink.fdb_apply(&changes).err().unwrap_or_default();
    let mut gone = Vec::new();
    for (place, e) in errors {
        match changes.get(place) {
            // With the device its entries are gone.
            Some(change) if e.not_found() => gone.push(change.index()),
            // The device they are to leave by went just now. The next one is told.
            Some(_) if e.errno() == libc::EADDRNOTAVAIL => log::debug!("{e}"),
            _ => log::warn!("{e}"),
        }
    }
    gone.dedup();
    gone
}
