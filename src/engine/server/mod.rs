//! A VN's server half (NHS): a learning switch whose ports are its registered spokes, and who answers where a MAC
//! lives.

mod admission;
mod answer;
mod bridge;
mod claim;
mod home;
mod indicate;
mod late;
mod manage;
mod mesh;
mod probed;
mod purge;
mod registrar;
mod report;
mod restart;
mod withdrawal;

pub use report::{client_counts, peer_row};
pub use restart::ip_clients;

use super::context::{Context, Due, ServerDue};
use super::contract::effect::Event;
use super::contract::input::News;
use super::contract::reason::{Refusal, Table, Why};
use super::contract::settings::{HubKey, HubSettings, ServerSettings};
use super::contract::statistics::{ClientStatistics, increment};
use super::exchange::{Inbound, Reply, Trust};
use super::limits::{HUB, OTHER_HOMES, TokenBucket};
use super::loops::Loops;
use super::member::Member;
use super::restless::Restless;
use super::room::Room;
use super::sites::SiteId;
use super::timers::Alarm;
use crate::time::Instant;
use crate::types::{Mac, Nbma, Vni, VpnId, Vtep};
use crate::wire::VpnTag;
use crate::wire::nhrp::{Fault, Kind, ProtocolAddress, error, quoted};
use claim::Claims;
use core::net::IpAddr;
use core::time::Duration;
use home::Homes;
use indicate::Indicated;
use late::Gone;
use litemap::LiteMap;
use manage::Farewells;
use mesh::Mesh;
use purge::Line;
use std::collections::BTreeMap;
use withdrawal::TakenBack;

/// Held bindings are looked through at most this often.
const SWEEP_APART: Duration = Duration::from_secs(30);

/// So many addresses are gone through in one step.
const STEP: usize = 300;

/// Others have their turn between two slices of work.
const SOON: Duration = Duration::from_millis(1);

/// The state of a server in one VN.
#[derive(Debug)]
pub struct Server {
    settings: ServerSettings,
    /// Whether the bridge is there, and since when it is so.
    is_up: bool,
    since: Instant,
    /// Whether it is known what the bridge knew when it came.
    is_listed: bool,
    /// No port was found: until then whoever registers in no session may hold answers from before a reboot.
    fresh_until: Option<Instant>,
    /// Clients with a VNI, and those without.
    spokes: u32,
    others: u32,
    /// The uplink VNI all spokes share, once there is one.
    shared: Option<Vni>,
    /// The answers to who registered, which wait until the kernel has the port as it is wanted.
    replies: BTreeMap<SiteId, Box<Reply>>,
    /// What clients have to be told.
    lines: BTreeMap<SiteId, Box<Line>>,
    taken_back: Vec<TakenBack>,
    /// Whether it sends its spokes away.
    pub(super) is_draining: bool,
    gone: Gone,
    claims: Claims,
    homes: Homes,
    indicated: Indicated,
    taking_back: Alarm,
    sweep: Alarm,
    /// When the next sweep begins; and how far the present one got.
    sweep_due: Option<Instant>,
    swept: Option<ProtocolAddress>,
    /// When the first of what this sweep found held ends.
    held_until: Option<Instant>,
    restless: Restless,
    loops: Loops,
    room: Room,
    farewells: Farewells,
    reminder: Alarm,
    /// How far a flush got.
    flushed: Option<ProtocolAddress>,
    flush: Alarm,
    /// Who was refused last for its address, and when.
    refused: Option<(Instant, Refusal)>,
    /// How many refusals of strangers were told in this minute, and when it began.
    strangers: (Instant, u32),
    /// The other hubs.
    mesh: Mesh,
}

impl ServerSettings {
    /// Whether who has this underlay address may register.
    pub fn allows(&self, nbma: Nbma) -> bool {
        self.allow.is_empty() || self.allow.iter().any(|prefix| prefix.contains(nbma))
    }

    /// MACs whose home is remembered.
    fn max_homes(&self) -> usize {
        usize::from(self.max_spokes) + OTHER_HOMES
    }
}

impl Server {
    pub fn new(now: Instant, settings: ServerSettings, hubs: &LiteMap<HubKey, HubSettings>) -> Server {
        Server {
            mesh: Mesh::new(now, &settings.peers, hubs),
            settings,
            is_up: false,
            is_listed: false,
            since: now,
            fresh_until: None,
            spokes: 0,
            others: 0,
            shared: None,
            replies: BTreeMap::new(),
            lines: BTreeMap::new(),
            taken_back: Vec::new(),
            is_draining: false,
            gone: Gone::default(),
            claims: Claims::default(),
            homes: Homes::default(),
            indicated: Indicated::default(),
            taking_back: Alarm::default(),
            sweep: Alarm::default(),
            sweep_due: None,
            swept: None,
            held_until: None,
            restless: Restless::default(),
            loops: Loops::default(),
            room: Room::default(),
            farewells: Farewells::default(),
            reminder: Alarm::default(),
            flushed: None,
            flush: Alarm::default(),
            refused: None,
            strangers: (now, 0),
        }
    }

    /// Takes over settings that disturb nobody; `false` if they mean a different VN.
    pub fn reconfigure(&mut self, settings: &ServerSettings, hubs: &LiteMap<HubKey, HubSettings>) -> bool {
        let same = self.settings.shared_uplink == settings.shared_uplink;
        if same {
            self.settings.clone_from(settings);
            self.mesh.reconfigure(hubs);
        }
        same
    }

    /// Whether who has this underlay address may register.
    pub fn allows(&self, nbma: Nbma) -> bool {
        self.settings.allows(nbma) || self.mesh.is_at(nbma)
    }

    /// Whether packets with this tag belong here.
    pub fn accepts(&self, vpn_id: VpnId, tag: VpnTag) -> bool {
        match tag {
            VpnTag::Llc(vpn) => vpn_id == vpn,
            VpnTag::Key(key) => vpn_id.index() == key,
            VpnTag::None => self.settings.default,
        }
    }

    /// What the kernel tells.
    pub fn news(&mut self, cx: &mut Context<'_>, news: News) {
        match news {
            News::Device(mac) => self.set_device(cx, mac),
            News::Fdb { mac, place } => self.fdb(cx, mac, place),
            News::Listing => {
                cx.book.listing();
                self.restless.listing();
            }
            News::Listed => self.listed(cx),
            News::Became { spoke, outcome } => self.became(cx, spoke, outcome),
            News::FoundPort { spoke, port } => self.found(cx, spoke, port),
            News::FoundClient(client) => self.found_client(cx, client),
            News::FoundHubs(most) => self.mesh.found(cx.now, most),
            News::Looped { nonce, port } => self.loops.heard(cx, nonce, port),
            News::Miss(_) | News::Use { .. } | News::UsesTold { .. } | News::FoundShortcut { .. } => {}
        }
    }

    /// A packet arrived.
    pub fn packet(&mut self, cx: &mut Context<'_>, from: &Inbound<'_>) -> Result<(), Fault> {
        match from.message.header.kind {
            Kind::RegistrationRequest => {
                increment(&mut cx.statistics.rx_register_req);
                let result = self.register(cx, from);
                // Now it is a client, if it may be one.
                let name = (from.message.header.nbma, from.message.header.vni);
                let client = cx.sites.find(name).filter(|_| from.trust != Trust::Wrong);
                count(cx, client, |c| &mut c.rx_register_req);
                result
            }
            Kind::ResolutionRequest => {
                count(cx, from.site, |c| &mut c.rx_resolve_req);
                self.resolution(cx, from)
            }
            Kind::PurgeRequest => self.purge(cx, from),
            Kind::PurgeReply => {
                self.purge_confirmed(cx, from);
                Ok(())
            }
            Kind::Error => {
                let code = from.message.header.error_code();
                count(cx, from.site, |c| &mut c.errors);
                if self.waits_for(from) {
                    cx.reports(from.via.path.remote, code);
                }
                Ok(())
            }
            Kind::ResolutionReply => {
                if self.hub_answered(cx, from) {
                    return Ok(());
                }
                increment(&mut cx.statistics.rx_unsolicited);
                // A second answer to a repeated question is no error (RFC 2332 section 5.2.2).
                if Server::is_of_hub(cx, from) && cx.ids.used(from.message.header.request_id) {
                    return Ok(());
                }
                Err(from.fault(error::INVALID_REPLY))
            }
            Kind::RegistrationReply => {
                if !self.peer_answered(cx, from) {
                    increment(&mut cx.statistics.rx_unsolicited);
                }
                Ok(())
            }
            // This is what a server tells its clients; it asks nobody for a shorter way.
            Kind::TrafficIndication => Ok(()),
        }
    }

    /// Whether an error is about what a client was asked: it quotes the tags of its session, or a Purge that waits to be
    /// confirmed.
    fn waits_for(&self, error: &Inbound<'_>) -> bool {
        let asked = || {
            let (line, ours) = (self.lines.get(&error.site?)?, quoted(error.message.packet_in_error())?);
            Some(ours.kind == Kind::PurgeRequest && line.asked(ours.request_id))
        };
        error.trust == Trust::Session || error.trust == Trust::Untagged && asked().unwrap_or(false)
    }

    pub fn due(&mut self, cx: &mut Context<'_>, due: ServerDue) {
        match due {
            ServerDue::Site(site) => self.expire(cx, site),
            ServerDue::Purge(site) => self.purge_due(cx, site),
            ServerDue::Claims => self.go_on_asking(cx),
            ServerDue::TakeBack => self.go_on_taking_back(cx),
            ServerDue::Sweep => self.go_on_sweeping(cx),
            ServerDue::Restless => {
                while let Some((mac, place)) = self.restless.rested(cx.now) {
                    self.fdb(cx, mac, place);
                }
                self.restless.watch(cx, Due::Server(ServerDue::Restless));
            }
            ServerDue::Loops => self.loops.due(cx, &self.restless, Due::Server(due)),
            ServerDue::Refused => {
                let room = cx.book.stations() < self.settings.max_macs as usize;
                self.room.due(cx, room, Due::Server(ServerDue::Refused));
            }
            ServerDue::Flush => self.go_on_flushing(cx),
            ServerDue::Farewells => self.farewells.go_on(cx),
            ServerDue::Reminder => self.remind(cx),
            ServerDue::Directory => self.go_on_announcing(cx),
            ServerDue::Questions => self.go_on_with_questions(cx),
            ServerDue::Handovers => self.go_on_claiming(cx),
            ServerDue::Path(hub) => self.path_due(cx, hub),
        }
    }

    /// The VN is taken out of the configuration, or is another one: what it has in the kernel goes. Nobody is told that
    /// what it said is not true any more: there is no one left to say it, and what the book holds goes with the VN.
    pub fn end(&mut self, cx: &mut Context<'_>) {
        self.end_peers(cx);
        let all: Vec<SiteId> = cx.sites.members().map(|(site, ..)| site).collect();
        for site in all {
            self.leave(cx, site, Why::Stopped);
        }
        for alarm in [&mut self.sweep, &mut self.taking_back, &mut self.flush, &mut self.reminder] {
            cx.timers.clear(alarm);
        }
        self.claims.end(cx);
        self.farewells.end(cx);
        self.restless.end(cx);
        self.loops.end(cx);
        self.room.end(cx);
        if let Some(uplink) = self.shared.take() {
            cx.uplinks.release(uplink);
        }
    }

    fn arm(&mut self, cx: &mut Context<'_>, site: SiteId) {
        let Some(member) = cx.sites.member_mut(site) else { return };
        match member.next_end() {
            Some(end) => {
                let timer = super::context::Timer { vn: cx.vn, due: Due::Server(ServerDue::Site(site)) };
                cx.timers.set(&mut member.alarm, end, timer);
            }
            None => cx.timers.clear(&mut member.alarm),
        }
    }

    /// The site is a client from now on. Whether it was none.
    fn become_member(&mut self, cx: &mut Context<'_>, site: SiteId, is_hub: bool) -> bool {
        let Some(there) = cx.sites.get_mut(site) else { return false };
        let (is_new, vni) = (there.member.is_none(), there.vni);
        let member = there.member.get_or_insert_default();
        let before = core::mem::replace(&mut member.is_hub, is_hub);
        if is_hub && !before {
            member.bucket = TokenBucket::new(HUB);
        }
        match (is_new || before, is_hub) {
            (true, false) => *self.kind(vni) += 1,
            (false, true) => *self.kind(vni) -= 1,
            (true, true) | (false, false) => {}
        }
        self.mesh.hubs.retain(|hub| *hub != site);
        if before && !is_hub {
            self.end_path(cx, site);
        }
        if is_hub {
            self.mesh.hubs.push(site);
            self.mesh.most = self.mesh.most.max(self.mesh.hubs.len());
        }
        is_new
    }

    fn kind(&mut self, vni: Option<Vni>) -> &mut u32 {
        match vni {
            Some(_) => &mut self.spokes,
            None => &mut self.others,
        }
    }

    /// The uplink VNI for a spoke's port that is to be made; `None` when all are taken.
    fn take_uplink(&mut self, cx: &mut Context<'_>, spoke: Vtep) -> Option<Vni> {
        let first = self.settings.uplink_first;
        if !self.settings.shared_uplink {
            return cx.uplinks.allocate(first, cx.vpn_id, Some(spoke));
        }
        if self.shared.is_none() {
            self.shared = cx.uplinks.allocate(first, cx.vpn_id, None);
        }
        self.shared
    }

    /// A spoke uses its uplink VNI no more. A shared one belongs to the VN as long as that lasts.
    fn release_uplink(&mut self, cx: &mut Context<'_>, uplink: Vni) {
        if self.shared != Some(uplink) && !self.mesh.uses(uplink) {
            cx.uplinks.release(uplink);
        }
    }

    /// There is no port with this VNI. One that somebody else uses stays reserved, so that the next try takes another.
    fn port_failed(&mut self, cx: &mut Context<'_>, uplink: Vni, taken: bool) {
        if !taken {
            self.release_uplink(cx, uplink);
        } else if self.shared == Some(uplink) {
            self.shared = None;
        }
    }

    fn table_full(&mut self, cx: &mut Context<'_>) {
        increment(&mut cx.statistics.spokes_refused);
        cx.tell(Event::Full(Table::Spokes));
    }

    /// Looks for answers that nobody holds any more when `at` has come, but not all the time.
    fn sweep_at(&mut self, cx: &mut Context<'_>, at: Instant) {
        if self.swept.is_some() {
            // The present sweep may have passed by already: the next one looks.
            self.held_until = self.held_until.into_iter().chain([at]).min();
            return;
        }
        let at = at.max(cx.now + SWEEP_APART);
        if self.sweep_due.is_none_or(|due| at < due) {
            self.sweep_due = Some(at);
            cx.arm(&mut self.sweep, at, Due::Server(ServerDue::Sweep));
        }
    }

    fn go_on_sweeping(&mut self, cx: &mut Context<'_>) {
        let (reached, next) = cx.book.sweep(cx.now, self.swept);
        self.swept = reached;
        self.held_until = self.held_until.into_iter().chain(next).min();
        self.sweep_due = match reached {
            Some(_) => Some(cx.now + SOON),
            None => self.held_until.take().map(|next| next.max(cx.now + SWEEP_APART)),
        };
        if let Some(at) = self.sweep_due {
            cx.arm(&mut self.sweep, at, Due::Server(ServerDue::Sweep));
        }
    }
}

/// Counts one more of what a client did, if it is one.
fn count(cx: &mut Context<'_>, client: Option<SiteId>, what: fn(&mut ClientStatistics) -> &mut u32) {
    if let Some(member) = client.and_then(|site| cx.sites.member_mut(site)) {
        increment(what(&mut member.statistics));
    }
}

/// The port for a spoke, or for another hub, is there.
fn came(is_hub: bool, at: Vtep, uplink: Vni) -> Event {
    match is_hub {
        true => Event::HubUp { hub: at, uplink },
        false => Event::SpokeUp { spoke: at, uplink },
    }
}

/// It is there no more.
fn went(is_hub: bool, at: Vtep, why: Why) -> Event {
    match is_hub {
        true => Event::HubDown { hub: at, why },
        false => Event::SpokeDown { spoke: at, why },
    }
}

fn mac(address: ProtocolAddress) -> Option<Mac> {
    match address {
        ProtocolAddress::Mac(mac) => Some(mac),
        ProtocolAddress::Ip(_) => None,
    }
}

fn ip(address: ProtocolAddress) -> Option<IpAddr> {
    match address {
        ProtocolAddress::Ip(ip) => Some(ip),
        ProtocolAddress::Mac(_) => None,
    }
}
