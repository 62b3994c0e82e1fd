//! The paths to other hubs, probed like that of a spoke to its hub. Where VXLAN does not pass and NHRP does, the link is as
//! good as none: its port passes nothing, so that what only half gets there does not get there at all, and this hub says
//! that it lost one, so that spokes meet at another hub. Where a hub is silent altogether it may be started again just now:
//! that ends by its registration.

use super::super::super::context::{Context, Due, ServerDue, View};
use super::super::super::contract::effect::Event;
use super::super::super::contract::probe::Arrived;
use super::super::super::contract::report::{PathRow, PathState, Trouble};
use super::super::super::reach::{Line, Peer, Prober, Verdict, send};
use super::super::super::sites::SiteId;
use super::super::Server;
use crate::time::Instant;
use crate::types::{Nbma, Vtep};
use crate::wire::probe::flag;
use core::time::Duration;
use litemap::LiteMap;

/// What floods pass by is in use all the time.
const IN_USE: Duration = Duration::from_secs(60);

/// While the bridge is not there, or no port, it is looked again after so long.
const WITHOUT: Duration = Duration::from_secs(1);

/// The path to another hub.
#[derive(Debug)]
struct HubPath {
    peer: Peer,
    /// When the hub last said by NHRP that it is there.
    heard: Option<Instant>,
    /// Whether VXLAN does not pass, and NHRP does.
    is_lost: bool,
    /// Whether the hub's own port for this one is open, as far as it said.
    is_open: bool,
}

/// Those to hubs that are linked.
#[derive(Debug, Default)]
pub struct Paths(LiteMap<SiteId, HubPath>);

impl Paths {
    /// Whether nothing but NHRP gets to the hub at a site.
    pub fn is_lost(&self, hub: SiteId) -> bool {
        self.0.get(&hub).is_some_and(|path| path.is_lost)
    }

    /// Whether probes do not come back from the hub at a site, be it silent or not.
    pub fn is_down(&self, hub: SiteId) -> bool {
        self.0.get(&hub).is_some_and(|path| path.is_lost || matches!(path.peer.state(), PathState::Down(_)))
    }
}

impl Server {
    /// The port for another hub is there: what it sends is to arrive.
    pub(in super::super) fn watch_path(&mut self, cx: &mut Context<'_>, hub: SiteId) {
        if self.mesh.paths.0.contains_key(&hub) {
            return;
        }
        let mut peer = Peer::new(cx.now, true, true);
        peer.is_chosen = true;
        peer.flow = cx.nonces.draw() as u16;
        let path = HubPath { peer, heard: None, is_lost: false, is_open: false };
        self.mesh.paths.0.insert(hub, path);
        self.path_due(cx, hub);
    }

    /// It is no client any more.
    pub(in super::super) fn end_path(&mut self, cx: &mut Context<'_>, hub: SiteId) {
        let Some(HubPath { mut peer, .. }) = self.mesh.paths.0.remove(&hub) else { return };
        cx.timers.clear(&mut peer.alarm);
        cx.probes.release(&mut peer.share);
    }

    /// A hub said by NHRP that it is there.
    pub(in super::super) fn heard_hub(&mut self, cx: &Context<'_>, hub: SiteId) {
        if let Some(path) = self.mesh.paths.0.get_mut(&hub) {
            path.heard = Some(cx.now);
        }
    }

    /// A path's time has come.
    pub(in super::super) fn path_due(&mut self, cx: &mut Context<'_>, hub: SiteId) {
        let Some(path) = self.mesh.paths.0.get_mut(&hub) else { return };
        path.peer.used(cx.now, Duration::ZERO, IN_USE);
        path.peer.lose(cx.now, Line::default());
        self.go_on_with_path(cx, hub);
    }

    /// ICMP says that a probe did not get there.
    pub fn unreachable(&mut self, cx: &mut Context<'_>, nonce: u64) {
        let mut paths = self.mesh.paths.0.iter_mut();
        let refused =
            paths.find_map(|(hub, path)| path.peer.refuse(cx.now, nonce, Line::default()).then_some(*hub));
        refused.into_iter().for_each(|hub| self.go_on_with_path(cx, hub));
    }

    /// Another hub answered a probe.
    pub(in super::super) fn probe_answered(&mut self, cx: &mut Context<'_>, at: Vtep, arrived: &Arrived) {
        let Some(hub) = cx.sites.find((at.nbma, Some(at.vni))) else { return };
        let Some(path) = self.mesh.paths.0.get_mut(&hub) else { return };
        let answered = path.peer.answered(cx.now, arrived, Line::default());
        let Some(answered) = answered else { return };
        let is_open = arrived.probe.flags & flag::REGISTERED != 0;
        let opens = !core::mem::replace(&mut path.is_open, is_open) && is_open;
        if answered.is_up {
            cx.tell(Event::PathUp { peer: at, is_hub: true });
        }
        if core::mem::take(&mut path.is_lost) {
            self.claim_all(cx, hub);
        }
        if opens {
            // What it was told before came to a port that passed nothing, or to none.
            self.announce_all(cx);
        }
        self.go_on_with_path(cx, hub);
    }

    /// The paths to hubs behind `after`, in the order of their VTEPs.
    pub fn paths<'a>(&'a self, vn: View<'a>, after: Option<Vtep>) -> impl Iterator<Item = PathRow> + 'a {
        let sites = vn.sites.after(after.map(|after| (after.nbma, Some(after.vni))));
        sites.filter_map(move |(site, there)| {
            let path = self.mesh.paths.0.get(&site)?;
            let row = path.peer.row(vn.now, there.vtep()?, vn.book.macs_of(site));
            Some(PathRow { state: path.state(), ..row })
        })
    }

    /// The first hub whose path is down, and why.
    pub(in super::super) fn path_trouble(&self, vn: View<'_>) -> Option<(Nbma, Trouble)> {
        self.paths(vn, None).find_map(|row| match row.state {
            PathState::Down(trouble) => Some((row.peer.nbma, trouble)),
            PathState::Untested | PathState::Up | PathState::Unverified => None,
        })
    }

    /// Judges what was lost, and sends what is due.
    fn go_on_with_path(&mut self, cx: &mut Context<'_>, hub: SiteId) {
        let prober = prober(cx, hub);
        let Some(path) = self.mesh.paths.0.get_mut(&hub) else { return };
        let verdict = path.peer.judge(cx.now, Line::default());
        match &prober {
            Some(prober) => send(cx, &mut path.peer, prober, hub, Line::default()),
            None => path.peer.wait(cx.now, WITHOUT),
        }
        let at = path.peer.due();
        cx.arm(&mut path.peer.alarm, at, Due::Server(ServerDue::Path(hub)));
        let is_new = !path.is_lost && path.is_nhrp_only();
        (path.is_lost, path.is_open) = (path.is_lost || is_new, path.is_open && !is_new);
        let (state, peer) = (path.state(), cx.sites.vtep(hub));
        match (state, peer) {
            (PathState::Down(trouble), Some(peer)) if is_new || matches!(verdict, Some(Verdict::Down(_))) => {
                cx.tell(Event::PathDown { peer, is_hub: true, trouble });
            }
            _ => {}
        }
        if is_new {
            self.pass_hub(cx, hub);
        }
        if verdict == Some(Verdict::Doubtful)
            && let Some(at) = peer
        {
            // Does it answer NHRP?
            self.hasten_peer(cx, at.nbma);
        }
    }
}

impl HubPath {
    /// Whether the hub said by NHRP that it is there, and a probe that was sent later is lost.
    fn is_nhrp_only(&self) -> bool {
        let is_down = matches!(self.peer.state(), PathState::Down(_));
        let (from, to) = self.peer.lost_between().unzip();
        is_down && self.heard.is_some_and(|heard| from.is_some_and(|from| from <= heard) && to > Some(heard))
    }

    fn state(&self) -> PathState {
        match self.peer.state() {
            PathState::Down(trouble) if self.is_lost => PathState::Down(trouble.beside_nhrp()),
            state => state,
        }
    }
}

/// Who probes the path to a hub, while its port is wanted.
fn prober(cx: &Context<'_>, hub: SiteId) -> Option<Prober> {
    let at = cx.sites.vtep(hub)?;
    let (local, uplink) = cx.plane.port(at).map(|port| (port.local, port.uplink))?;
    let tags = cx.sites.get(hub).and_then(|there| there.tags);
    Some(Prober {
        local,
        asker: Vtep { nbma: cx.name_of(local), vni: uplink },
        mac: cx.sites.mac?,
        tag: tags.map_or(0, |tags| tags.receiver),
    })
}
