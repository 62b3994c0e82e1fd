//! What a server tells of itself, and of its clients.

use super::super::context::{View, seconds};
use super::super::contract::input::Place as At;
use super::super::contract::report::{ClientCounts, HubReport, KeysReport, MacRow, MacState, PeerRow};
use super::super::exchange::Keys;
use super::super::limits::IP_CLIENTS;
use super::super::member::Member;
use super::super::sites::{Site, Sites};
use super::{Server, ip, mac};
use crate::types::{Label, Mac, Prefix};
use crate::wire::nhrp::ProtocolAddress;
use core::time::Duration;

/// Who was refused is shown for so long; it tries again at least every three minutes.
const LATELY: Duration = Duration::from_secs(300);

impl Server {
    pub fn report(&self, vn: View<'_>) -> HubReport {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        HubReport {
            since: vn.now.since(self.since).as_secs(),
            spokes: self.spokes,
            max_spokes: self.settings.max_spokes.into(),
            ip_clients: self.others,
            peers: (count(self.mesh.linked()), count(self.mesh.len())),
            ip_crowd: (self.others >= IP_CLIENTS).then(|| ip_crowd(vn.sites)).flatten(),
            macs: count(vn.book.macs()),
            purges: count(self.lines.values().map(|line| line.len()).sum()),
            keys: KeysReport {
                unsigned: unsigned(vn.keys, vn.sites),
                password: self.settings.password.is_some(),
                ..vn.keys.report()
            },
            refused: self.refused.filter(|(at, _)| vn.now.since(*at) < LATELY).map(|(_, reason)| reason),
            rivals: self.claims.rivals(vn.now).collect(),
            restless: self.restless.report(|place| match place {
                At::At(spoke) => Some(spoke),
                _ => None,
            }),
            looped: self.loops.report(),
            is_draining: self.is_draining,
            path_trouble: self.path_trouble(vn),
        }
    }

    /// Rows of the MACs after `last`, in their order.
    pub fn rows<'a>(&'a self, vn: View<'a>, last: Option<Mac>) -> impl Iterator<Item = MacRow> + 'a {
        let all = self.spokes as usize;
        let macs =
            vn.book.after(last.map(ProtocolAddress::Mac)).map_while(|(address, entry)| match address {
                ProtocolAddress::Mac(mac) => Some((mac, entry)),
                ProtocolAddress::Ip(_) => None,
            });
        macs.filter_map(move |(mac, entry)| {
            let site = vn.sites.get(entry.site()?);
            let member = site.and_then(|site| site.member.as_deref());
            let lives = entry.is_learned() || entry.registered().is_some();
            Some(MacRow {
                mac,
                state: if lives { MacState::Learned } else { MacState::Held },
                at: site.and_then(Site::vtep),
                left: member.and_then(Member::until).map(|until| seconds(until, vn.now)),
                askers: u32::try_from(entry.holders(vn.now, all)).unwrap_or(u32::MAX),
            })
        })
    }
}

/// The network (of 24 bits, of 64 with IPv6) that most of the clients without a VNI are in, and how many.
fn ip_crowd(sites: &Sites) -> Option<(Prefix, u32)> {
    let all = sites.members().filter(|(_, site, _)| site.vni.is_none());
    let mut networks: Vec<(Prefix, u32)> = Vec::new();
    // They come in the order of their addresses.
    for (_, site, _) in all {
        let ip = site.nbma.ip();
        let network = Prefix::new(ip, if ip.is_ipv4() { 24 } else { 64 })?;
        match networks.last_mut() {
            Some((last, count)) if *last == network => *count += 1,
            _ => networks.push((network, 1)),
        }
    }
    networks.into_iter().max_by_key(|(_, count)| *count)
}

/// How many spokes sign nothing where there are keys: of those that said anything, which a port of an earlier run did not.
pub(super) fn unsigned(keys: &Keys, sites: &Sites) -> u32 {
    let is_it = |site: &Site, member: &Member| site.vni.is_some() && site.key.is_none() && !member.is_found();
    let all = sites.members().filter(|(_, site, member)| !keys.is_empty() && is_it(site, member));
    u32::try_from(all.count()).unwrap_or(u32::MAX)
}

/// A row of `peers`.
pub fn peer_row(vn: View<'_>, site: &Site, member: &Member) -> PeerRow {
    let addresses = || member.registered.iter().map(|r| r.address);
    PeerRow {
        nbma: site.nbma,
        vni: site.vni,
        uplink: member.uplink(),
        macs: addresses().filter_map(mac).collect(),
        addresses: addresses().filter_map(ip).collect(),
        left: member.until().map_or(0, |until| seconds(until, vn.now)),
        key: vn.keys.name(site.key),
        spoke: vn.keys.spoke(site.key).map(Label::new),
    }
}

/// What was counted of a client.
pub fn client_counts(keys: &Keys, site: &Site, member: &Member) -> ClientCounts {
    let spoke = keys.spoke(site.key).map(Label::new);
    let uplink = member.uplink();
    ClientCounts { nbma: site.nbma, vni: site.vni, uplink, spoke, statistics: member.statistics }
}
