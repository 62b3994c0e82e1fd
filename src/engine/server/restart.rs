//! What a server finds of an earlier run of its daemon, and what others may still hold of it.

use super::super::context::Context;
use super::super::contract::item::{IpClient, Item, Passing, Port, Wanted};
use super::super::contract::settings::VpnMode;
use super::super::contract::way::{Path, Via};
use super::super::limits::{ADDRESSES_PER_CLIENT, IP_CLIENTS};
use super::super::member::{Member, MemberPort, Registered};
use super::super::sites::{Site, SiteId, Sites};
use super::mesh::LEAVES;
use super::{Server, came};
use crate::time::Instant;
use crate::types::Vtep;
use crate::wire::nhrp::ProtocolAddress;
use core::time::Duration;

/// How far apart spokes are asked to register after a restart: each then asks for all it holds.
const APART: Duration = Duration::from_millis(10);

impl Server {
    /// A port of an earlier run was found. There is no room for more than there may be spokes.
    pub(super) fn found(&mut self, cx: &mut Context<'_>, spoke: Vtep, port: Port) {
        let name = (spoke.nbma, Some(spoke.vni));
        if cx.sites.find(name).is_some_and(|site| cx.sites.member(site).is_some()) {
            return;
        }
        self.fresh_until = Some(Instant::default());
        let key = port.key.and_then(|spi| cx.keys.numbered(spi));
        let has_no_key = port.key.is_some() && key.is_none() && !cx.keys.is_empty();
        let is_no_hub = port.is_hubs && self.mesh.len() == 0;
        let is_allowed = port.is_hubs || self.settings.allows(spoke.nbma);
        if is_no_hub || has_no_key || !is_allowed || !cx.keys.allows(key, spoke.nbma) {
            return cx.plane.differs(cx.out, Item::Port(spoke));
        }
        if !port.is_hubs && self.spokes >= self.settings.max_spokes.into() {
            self.table_full(cx);
            return cx.plane.differs(cx.out, Item::Port(spoke));
        }
        let site = cx.sites.enter(name);
        self.become_member(cx, site, port.is_hubs);
        let granted = match port.granted {
            0 => cx.holding_time,
            granted => Duration::from_secs(granted.into()),
        };
        // Whoever may be there has had its turn to register by then, and by a key.
        let is_anybody = key.is_none() && cx.keys.is_required();
        let until = match port.passing {
            Passing::Mute => cx.now + LEAVES,
            _ => cx.now + if is_anybody { granted / 2 } else { granted },
        };
        let uplink = port.uplink;
        let path = Path { local: port.local, remote: spoke.nbma };
        if let Some(there) = cx.sites.get_mut(site) {
            there.set_way(Via { path, tag: port.mode.tag(cx.vpn_id) });
            there.key = key;
        }
        if let Some(member) = cx.sites.member_mut(site) {
            member.port = Some(MemberPort { uplink, is_up: true });
            member.grace = Some(until);
        }
        cx.plane.adopt(Item::Port(spoke), Some(Wanted::Port(port)));
        cx.uplinks.reserve(uplink);
        if self.settings.shared_uplink {
            self.shared = Some(uplink);
        }
        if let Some(mac) = port.mac {
            // Whose another home is nobody knows any more.
            let (home, here) = (port.home.map(|home| (home, None)), (spoke.nbma, cx.keys.spoke(key)));
            for place in home.into_iter().chain([here]) {
                self.homes.has(cx.now, mac, place, self.settings.max_homes());
            }
        }
        self.arm(cx, site);
        cx.tell(came(port.is_hubs, spoke, uplink));
    }

    /// A client of an earlier run's that registered an IP address. It may register again only in hours: until its time is
    /// over it counts as registered now, and its entry is made as if it was. Others are told of what changes, too, as far
    /// as they asked this run.
    pub(super) fn found_client(&mut self, cx: &mut Context<'_>, client: IpClient) {
        let address = ProtocolAddress::Ip(client.address);
        let is_known = cx.book.get(address).is_some_and(|entry| entry.registered().is_some());
        let is_served = cx.sites.own(address.protocol()).is_some();
        // It signs nothing, and could neither refresh nor withdraw it.
        if cx.keys.is_required()
            || is_known
            || !is_served
            || cx.sites.is_own(address)
            || !self.settings.allows(client.path.remote)
        {
            return;
        }
        if self.others >= IP_CLIENTS {
            return self.table_full(cx);
        }
        let site = cx.sites.enter((client.path.remote, None));
        self.become_member(cx, site, false);
        if let Some(there) = cx.sites.get_mut(site) {
            there.set_way(Via { path: client.path, tag: client.mode.tag(cx.vpn_id) });
        }
        let granted = client.granted.min(cx.holding_seconds());
        let Some(member) = cx.sites.member_mut(site) else { return };
        if member.registered.len() >= ADDRESSES_PER_CLIENT {
            return;
        }
        member.address.get_or_insert(address);
        let registered = Registered {
            address,
            unique: client.unique,
            mtu: client.mtu,
            preference: 0,
            granted,
            until: cx.now + Duration::from_secs(granted.into()),
        };
        self.take_in(cx, site, registered);
        self.arm(cx, site);
    }

    /// A client is new, and in no session. After a reboot it may be one of before, which does not notice; until the bridge
    /// is listed nobody knows whether there are ports, so whether there was a reboot.
    pub(super) fn may_hold_anything(&mut self, cx: &mut Context<'_>, site: SiteId) {
        if let Some(until) = self.fresh_until.filter(|until| self.is_listed && *until > cx.now) {
            self.take_all_back(cx, site, until);
        }
    }

    /// This hub has another address: all clients register anew.
    pub(super) fn take_self_back_from_all(&mut self, cx: &mut Context<'_>) {
        let members = cx.sites.members().filter(|(_, site, _)| site.vni.is_some());
        let members: Vec<_> = members.map(|(site, _, member)| (site, member.until())).collect();
        for ((site, until), n) in members.into_iter().zip(0..) {
            if let Some(until) = until {
                self.take_self_back(cx, site, cx.now + APART * n, until);
            }
        }
    }

    /// The bridge is listed for the first time: now questions can be answered. Who has begun a session with this run asks
    /// again for all it holds and for what it was denied, so whom to tell of later changes becomes known, what changed
    /// while no daemon ran, and what was not taken back in time. All others are told: after a restart that this server does
    /// not know them, by a Purge of its own address, upon which they register and ask; after a reboot, which leaves no
    /// ports, to forget all they hold, which is what those do who are in no session.
    pub(super) fn take_up(&mut self, cx: &mut Context<'_>) {
        let is_strange = |site: &Site, member: &Member| site.vni.is_some() && member.begun.is_none();
        let members = cx.sites.members().filter(|(_, site, member)| is_strange(site, member));
        let members: Vec<_> = members.map(|(site, _, member)| (site, member.until())).collect();
        let fresh = self.fresh_until.filter(|until| *until > cx.now);
        for ((site, until), n) in members.into_iter().zip(0..) {
            match (fresh, until) {
                (Some(until), _) => self.take_all_back(cx, site, until),
                (None, Some(until)) => self.take_self_back(cx, site, cx.now + APART * n, until),
                (None, None) => {}
            }
        }
    }
}

/// What a client registered that is no MAC. One with a VNI registers again by itself, soon.
pub fn ip_clients(sites: &Sites, site: SiteId) -> impl Iterator<Item = IpClient> {
    let via = sites.via(site).filter(|_| sites.vtep(site).is_none());
    via.into_iter().flat_map(move |Via { path, tag }| {
        let registered = sites.member(site).into_iter().flat_map(|member| &member.registered);
        registered.filter_map(move |r| {
            let ProtocolAddress::Ip(address) = r.address else { return None };
            let Registered { unique, mtu, granted, .. } = *r;
            Some(IpClient { address, path, mode: VpnMode::of(tag), unique, mtu, granted })
        })
    })
}
