//! Whether what is sent to another site arrives there: the paths of a spoke to the VTEPs that its frames go to, its hub's
//! among them, each probed before it is used and while it is. That a probe comes back is the only proof that there is.

mod budget;
mod peer;
mod sending;

pub use budget::Budget;
pub use peer::{Line, Peer, Verdict};
pub use sending::{Prober, send};

use super::context::{ClientDue, Context, Due, View};
use super::contract::effect::{Act, Effect};
use super::contract::item::{Item, Wanted};
use super::contract::probe::{Arrived, Probing};
use super::contract::report::PathRow;
use super::contract::statistics::increment;
use super::limits::PATHS;
use super::sites::SiteId;
use crate::time::Instant;
use crate::types::{Mac, Nbma, Vtep};
use crate::wire::probe::{Probe, flag};
use core::time::Duration;
use std::collections::BTreeMap;

/// How often the kernel is asked what it uses.
const USES_APART: Duration = Duration::from_secs(5);
/// Who asked so long ago, and has nothing behind it, is known no more.
const CONSENT: Duration = Duration::from_secs(200);
/// A hub that does not know the session is registered with once in so long.
const FORGOTTEN_APART: Duration = Duration::from_secs(10);
/// A hub that was just started is asked within this by its spokes.
const SPREAD: Duration = Duration::from_secs(5);
/// What the paths that are down are tested within, once the underlay changed.
const RETEST: Duration = Duration::from_secs(1);

/// What became of a path.
#[derive(Clone, Copy, Debug)]
pub struct News {
    pub site: SiteId,
    pub is_hub: bool,
    pub verdict: Verdict,
}

/// What an answer tells.
#[derive(Clone, Copy, Debug, Default)]
pub struct Learned {
    pub news: Option<News>,
    /// The hub does not know the session: it is to be registered with, within this.
    pub forgotten: Option<Duration>,
    /// The flags of the hub's answer.
    pub flags: Option<u8>,
}

/// The paths of a spoke in a VN.
#[derive(Debug)]
pub struct Reach {
    /// Whether anything is decided by probes.
    is_verified: bool,
    /// Whether others may be asked: routers of other makers are not.
    is_asking: bool,
    /// Whether there are other hubs to go to: the present one is looked at more closely then.
    is_choosing: bool,
    peers: BTreeMap<SiteId, Peer>,
    hub: Option<SiteId>,
    /// When the kernel was last asked what it uses.
    uses: Instant,
    forgotten: Option<Instant>,
}

impl Reach {
    pub fn new(verify: bool, session: bool, is_choosing: bool) -> Reach {
        Reach {
            is_choosing,
            is_verified: verify && session,
            is_asking: session,
            peers: BTreeMap::new(),
            hub: None,
            uses: Instant::default(),
            forgotten: None,
        }
    }

    /// Whether frames may go straight to a site.
    pub fn leads(&self, site: SiteId) -> bool {
        !self.is_verified || self.peers.get(&site).is_some_and(Peer::leads)
    }

    /// Something is behind a site: the path to it is tested, unless it is known. `is_found`: frames went there before this
    /// run of the daemon.
    pub fn want(&mut self, cx: &mut Context<'_>, prober: &Prober, site: SiteId, is_found: bool) {
        if !self.is_asking || self.peers.contains_key(&site) || cx.sites.vtep(site).is_none() {
            return;
        }
        if self.peers.len() >= PATHS && !self.evict(cx) {
            return;
        }
        let mut peer = Peer::new(cx.now, false, self.is_verified);
        peer.flow = cx.nonces.draw() as u16;
        if is_found {
            peer.adopt();
        }
        self.enter(cx, site, peer);
        self.step(cx, prober, site);
    }

    /// Nothing was behind a site for a while: what is known of its path is old.
    pub fn doubt(&mut self, cx: &mut Context<'_>, prober: &Prober, site: SiteId) {
        let known = self.peers.get_mut(&site).filter(|peer| self.is_verified && peer.leads() && !peer.is_hub);
        let Some(peer) = known else { return };
        peer.anew(cx.now);
        self.step(cx, prober, site);
    }

    /// The hub, and where its frames go. Whether that is news.
    pub fn set_hub(&mut self, cx: &mut Context<'_>, prober: Option<&Prober>, hub: Option<SiteId>) -> bool {
        if self.hub == hub {
            return false;
        }
        if let Some(before) = self.hub.take() {
            self.remove(cx, before);
        }
        let (Some(hub), Some(prober)) = (hub.filter(|_| self.is_verified || self.is_choosing), prober) else {
            return true;
        };
        self.remove(cx, hub);
        self.hub = Some(hub);
        let mut peer = Peer::new(cx.now, true, true);
        peer.is_chosen = self.is_choosing;
        peer.flow = cx.nonces.draw() as u16;
        self.enter(cx, hub, peer);
        self.step(cx, prober, hub);
        true
    }

    /// Nobody is known any more.
    pub fn clear(&mut self, cx: &mut Context<'_>) {
        while let Some(site) = self.peers.first_key_value().map(|(site, _)| *site) {
            self.remove(cx, site);
        }
        self.hub = None;
    }

    /// The underlay is another one: what was down may be up.
    pub fn underlay_changed(&mut self, cx: &mut Context<'_>) {
        let now = cx.now;
        // What is up goes on as it was: whether it is still is seen in its own time.
        for (site, peer) in self.peers.iter_mut() {
            if peer.test(now) {
                peer.wait(now, cx.random.up_to(RETEST));
                let at = peer.due();
                cx.arm(&mut peer.alarm, at, due(*site));
            }
        }
    }

    /// A path's time has come.
    pub fn due(&mut self, cx: &mut Context<'_>, prober: &Prober, site: SiteId) -> Option<News> {
        let is_hub = Some(site) == self.hub;
        // It is awake anyway.
        if is_hub && cx.now.since(self.uses) >= USES_APART - USES_APART / 10 {
            self.uses = cx.now;
            cx.act(Act::ReadUses);
        }
        let is_needed = is_hub || cx.book.next_behind(site, None).is_some();
        let peer = self.peers.get_mut(&site)?;
        if is_needed {
            peer.wanted = peer.wanted.max(cx.now);
        } else if cx.now.since(peer.wanted) >= CONSENT {
            self.remove(cx, site);
            return None;
        }
        self.step(cx, prober, site)
    }

    /// The kernel used what leads to a site so long ago.
    pub fn used(&mut self, cx: &mut Context<'_>, site: SiteId, idle: Duration) {
        if let Some(peer) = self.peers.get_mut(&site) {
            peer.used(cx.now, idle, USES_APART);
            let at = peer.due();
            cx.arm(&mut peer.alarm, at, due(site));
        }
    }

    /// The kernel used the default entry so long ago.
    pub fn hub_used(&mut self, cx: &mut Context<'_>, idle: Duration) {
        if let Some(hub) = self.hub {
            self.used(cx, hub, idle);
        }
    }

    /// An answer arrived.
    pub fn answered(&mut self, cx: &mut Context<'_>, prober: &Prober, arrived: &Arrived) -> Learned {
        increment(&mut cx.statistics.rx_probe_reply);
        let (mut learned, line) = (Learned::default(), self.line());
        let slot = SiteId::range(arrived.probe.transaction);
        let Some((site, peer)) = self.peers.range_mut(slot).next() else {
            return learned;
        };
        let site = *site;
        let Some(answered) = peer.answered(cx.now, arrived, line) else {
            return learned;
        };
        let is_hub = peer.is_hub;
        if is_hub {
            learned.forgotten = self.forgotten(cx, arrived.probe.flags);
            learned.flags = Some(arrived.probe.flags);
        }
        if answered.was_own_line {
            let hub = self.hub;
            let others: Vec<SiteId> =
                self.peers.keys().copied().filter(|other| Some(*other) != hub).collect();
            for other in others {
                if let Some(peer) = self.peers.get_mut(&other) {
                    peer.forgive(cx.now);
                    let at = peer.due();
                    cx.arm(&mut peer.alarm, at, due(other));
                }
            }
        }
        learned.news = self.step(cx, prober, site);
        if answered.is_up {
            learned.news = Some(News { site, is_hub, verdict: Verdict::Up });
        }
        learned
    }

    /// ICMP says that a probe did not get there.
    pub fn unreachable(&mut self, cx: &mut Context<'_>, prober: &Prober, nonce: u64) -> Option<News> {
        let (now, line) = (cx.now, self.line());
        let refused = |(site, peer): (&SiteId, &mut Peer)| peer.refuse(now, nonce, line).then_some(*site);
        let site = self.peers.iter_mut().find_map(refused)?;
        self.hurry_hub(cx, site);
        self.step(cx, prober, site)
    }

    /// Somebody asks whether this node is there. Whoever the hub named is answered; `Some`: it is to be asked where this one
    /// is. A stranger, from where frames are not taken, is never answered, whoever it says it is: an answer says that they are.
    pub fn asked(
        &mut self,
        cx: &mut Context<'_>,
        prober: &Prober,
        probe: &Probe,
        is_stranger: bool,
    ) -> Option<Mac> {
        increment(&mut cx.statistics.rx_probe);
        if !self.is_asking {
            return None;
        }
        let site = cx.sites.find((probe.asker.nbma, Some(probe.asker.vni)));
        let Some((site, peer)) = site.and_then(|site| Some((site, self.peers.get_mut(&site)?))) else {
            return Some(probe.source);
        };
        if is_stranger {
            return None;
        }
        peer.wanted = cx.now;
        if peer.answers.take(cx.now).is_err() {
            increment(&mut cx.statistics.rx_probe_limited);
            return None;
        }
        // It may be up again.
        peer.meet(cx.now);
        let at = peer.due();
        cx.arm(&mut peer.alarm, at, due(site));
        let probe = Probe { is_answer: true, source: prober.mac, flags: 0, ..*probe };
        let probing =
            Probing { to: probe.asker, local: prober.local, probe, is_full: false, flow: 0, is_uncut: false };
        increment(&mut cx.statistics.tx_probe_reply);
        cx.out.push(Effect::Probe { vn: cx.vn, probing });
        None
    }

    /// Those behind `after`, in the order of their VTEPs.
    pub fn rows<'a>(&'a self, vn: View<'a>, after: Option<Vtep>) -> impl Iterator<Item = PathRow> + 'a {
        let sites = vn.sites.after(after.map(|after| (after.nbma, Some(after.vni))));
        sites.filter_map(move |(site, there)| {
            let peer = self.peers.get(&site)?;
            Some(peer.row(vn.now, there.vtep()?, vn.book.macs_of(site)))
        })
    }

    fn line(&self) -> Line {
        let hub = self.hub.and_then(|hub| self.peers.get(&hub));
        hub.map(Peer::line).unwrap_or_default()
    }

    /// Sees what was lost, judges, and sends what is due.
    fn step(&mut self, cx: &mut Context<'_>, prober: &Prober, site: SiteId) -> Option<News> {
        let line = self.line();
        let peer = self.peers.get_mut(&site)?;
        let is_first = peer.lose(cx.now, line);
        let verdict = peer.judge(cx.now, line);
        send(cx, peer, prober, site, line);
        let at = peer.due();
        cx.arm(&mut peer.alarm, at, due(site));
        let is_hub = Some(site) == self.hub;
        if is_first && !is_hub {
            self.hurry_hub(cx, site);
        }
        verdict.map(|verdict| News { site, is_hub, verdict })
    }

    /// The first one is lost on a path: does the hub's still carry?
    fn hurry_hub(&mut self, cx: &mut Context<'_>, site: SiteId) {
        let Some(hub) = self.hub.filter(|hub| *hub != site) else { return };
        if let Some(peer) = self.peers.get_mut(&hub) {
            peer.hurry(cx.now);
            let at = peer.due();
            cx.arm(&mut peer.alarm, at, due(hub));
        }
    }

    /// The hub's answer says whether it knows the session.
    fn forgotten(&mut self, cx: &mut Context<'_>, flags: u8) -> Option<Duration> {
        let is_just = self.forgotten.is_some_and(|at| cx.now.since(at) < FORGOTTEN_APART);
        if flags & flag::REGISTERED != 0 || is_just {
            return None;
        }
        self.forgotten = Some(cx.now);
        Some(if flags & flag::STARTED != 0 { cx.random.up_to(SPREAD) } else { Duration::ZERO })
    }

    fn enter(&mut self, cx: &mut Context<'_>, site: SiteId, peer: Peer) {
        cx.sites.pin(site);
        self.peers.insert(site, peer);
        if let Some(to) = cx.sites.vtep(site).filter(|_| self.is_verified) {
            cx.want(Item::Source(to.nbma), Some(Wanted::Taken));
        }
    }

    /// Frames from there are taken, though no path leads there: a hub's, before it is the one that counts and for a moment
    /// afterwards.
    pub fn admit(&self, cx: &mut Context<'_>, nbma: Nbma) {
        if self.is_verified {
            cx.want(Item::Source(nbma), Some(Wanted::Taken));
        }
    }

    /// They are not, unless a path leads there.
    pub fn dismiss(&self, cx: &mut Context<'_>, nbma: Nbma) {
        if !cx.sites.at(nbma).any(|other| self.peers.contains_key(&other)) {
            cx.want(Item::Source(nbma), None);
        }
    }

    fn remove(&mut self, cx: &mut Context<'_>, site: SiteId) {
        let Some(mut peer) = self.peers.remove(&site) else { return };
        cx.timers.clear(&mut peer.alarm);
        cx.probes.release(&mut peer.share);
        if let Some(nbma) = cx.sites.get(site).map(|site| site.nbma) {
            self.dismiss(cx, nbma);
        }
        cx.sites.unpin(site);
        cx.release(site);
    }

    /// Makes room for a path; whether there is some.
    fn evict(&mut self, cx: &mut Context<'_>) -> bool {
        let is_empty =
            |site: &&SiteId| Some(**site) != self.hub && cx.book.next_behind(**site, None).is_none();
        let empty = self.peers.keys().find(is_empty).copied();
        empty.into_iter().for_each(|site| self.remove(cx, site));
        empty.is_some()
    }
}

fn due(site: SiteId) -> Due {
    Due::Client(ClientDue::Path(site))
}
