//! Who may register with a server, and what. Nobody is taken in yet.

use super::super::context::Context;
use super::super::contract::effect::Event;
use super::super::contract::reason::Refusal;
use super::super::contract::statistics::increment;
use super::super::exchange::{Inbound, Trust};
use super::super::limits::{ADDRESSES_PER_CLIENT, CIES_PER_REQUEST, IP_CLIENTS};
use super::super::member::Registered;
use super::super::sites::{Site, SiteId};
use super::Server;
use super::claim::Heard;
use crate::types::{Nbma, Vtep};
use crate::wire::nhrp::{Cie, Header, Protocol, ProtocolAddress, code, flag};
use core::net::IpAddr;
use core::time::Duration;

/// What each CIE registers, or the code of its refusal, in their order.
pub(super) type Verdicts = heapless::Vec<Result<Registered, u8>, CIES_PER_REQUEST>;

impl Server {
    /// Whether a request is in no session though it has to be: what has a VNI, or a MAC, is a spoke's.
    pub(super) fn lacks_session(&self, from: &Inbound<'_>) -> bool {
        let header = &from.message.header;
        let is_spokes = header.protocol == Protocol::Ethernet || header.vni.is_some();
        let is_needed = !self.settings.untagged_l2 || self.mesh.is_at(from.via.path.remote);
        from.trust == Trust::Untagged && is_spokes && is_needed
    }

    /// Whether there is a session where a packet without says that it is from, or says that it is.
    fn is_in_session(&self, cx: &Context<'_>, from: &Inbound<'_>) -> bool {
        let header = &from.message.header;
        let there = [from.via.path.remote, header.nbma].into_iter();
        there.filter_map(|nbma| cx.sites.find((nbma, header.vni))).any(|site| self.has_session(cx, site))
    }

    pub(super) fn has_session(&self, cx: &Context<'_>, site: SiteId) -> bool {
        cx.sites.member(site).is_some_and(|member| member.begun.is_some())
    }

    /// Whether a site stays whoever comes: in a session for who is in none, by a key for who signs nothing.
    pub(super) fn is_above(&self, cx: &Context<'_>, from: &Inbound<'_>, site: SiteId) -> bool {
        let has_key = || cx.sites.get(site).is_some_and(|there| there.key.is_some());
        from.trust == Trust::Untagged && self.has_session(cx, site) || from.key.is_none() && has_key()
    }

    /// Whether a site is another one than who registers: at another underlay address, or in by a key that its own does not
    /// speak for.
    pub(super) fn is_other(cx: &Context<'_>, from: &Inbound<'_>, site: SiteId) -> bool {
        let is_it =
            |there: &Site| there.nbma == from.message.header.nbma && cx.keys.speaks_for(from.key, there.key);
        cx.sites.get(site).is_some_and(|there| !is_it(there))
    }

    /// Whether the request is for this server, and from where it says.
    pub(super) fn admit(&self, cx: &Context<'_>, from: &Inbound<'_>) -> Result<(), u8> {
        let header = &from.message.header;
        // Of two hubs one registers.
        if self.bars(cx, from).is_some() || self.is_strange_hub(cx, from) {
            return Err(code::PROHIBITED);
        }
        let own =
            is_for_anybody(header) || header.destination.is_some_and(|address| cx.sites.is_own(address));
        if own { Ok(()) } else { Err(code::PROHIBITED) }
    }

    /// Why nobody with this address is taken in, if that is so.
    pub(super) fn bars(&self, cx: &Context<'_>, from: &Inbound<'_>) -> Option<Refusal> {
        let nbma = from.via.path.remote;
        let is_allowed = || self.allows(nbma) && cx.keys.allows(from.key, nbma);
        let stranger = || (!is_allowed()).then_some(Refusal::NotAllowed(nbma));
        let there = || cx.sites.get(cx.sites.find((nbma, from.message.header.vni))?);
        let speaks = || there().is_none_or(|there| cx.keys.speaks_for(from.key, there.key));
        let other = || (!speaks()).then_some(Refusal::OtherKey(nbma));
        // Who speaks for itself comes first: nobody takes its place who does not.
        let untagged =
            || self.lacks_session(from) || from.trust == Trust::Untagged && self.is_in_session(cx, from);
        translated(from).or_else(stranger).or_else(other).or_else(|| untagged().then_some(Refusal::Untagged))
    }

    /// Whether there is room for who asks, and whose place it takes. With shared ports, which tell VTEPs apart but not
    /// their VNIs, an address has one site: a router that comes back with another VNI replaces what it was.
    pub(super) fn find_place(
        &mut self,
        cx: &mut Context<'_>,
        from: &Inbound<'_>,
        source: ProtocolAddress,
    ) -> Result<Option<SiteId>, u8> {
        let header = &from.message.header;
        let name = (header.nbma, header.vni);
        if cx.sites.find(name).is_some_and(|site| cx.sites.member(site).is_some()) {
            return Ok(None);
        }
        let there = match header.vni {
            Some(vni) if self.settings.shared_uplink => {
                cx.sites.members_at(header.nbma).find_map(|(site, member)| {
                    let registered = cx.sites.get(site)?.vni.filter(|there| *there != vni)?;
                    // Without a registration it is a port found at the start.
                    let stays = !member.registered.is_empty() && member.registered(source).is_none();
                    let stays = stays || Server::is_other(cx, from, site);
                    Some((site, registered, stays, vni))
                })
            }
            _ => None,
        };
        if let Some((_, registered, true, vni)) = there {
            let spoke = Vtep { nbma: header.nbma, vni };
            cx.tell(Event::SecondSite { spoke, registered });
            return Err(code::RESOURCES);
        }
        if let Some((replaced, ..)) = there {
            return Ok(Some(replaced));
        }
        if let Some(vni) = header.vni.filter(|_| self.has_many_sites(cx, header.nbma, source)) {
            let (spoke, most) = (Vtep { nbma: header.nbma, vni }, self.settings.max_vnis);
            cx.tell(Event::ManySites { spoke, most });
            increment(&mut cx.statistics.vnis_refused);
            return Err(code::RESOURCES);
        }
        // Who registers IP addresses only has no port, and is bounded like addresses are.
        let full = match header.vni {
            Some(_) if self.is_peers(cx, from) => false,
            Some(_) => self.spokes >= u32::from(self.settings.max_spokes),
            None => self.others >= IP_CLIENTS,
        };
        if full {
            self.table_full(cx);
            return Err(code::RESOURCES);
        }
        Ok(None)
    }

    /// Whether as many sites as may be registered from an address, that of `source`, which moves, left out.
    fn has_many_sites(&self, cx: &Context<'_>, nbma: Nbma, source: ProtocolAddress) -> bool {
        let others = cx
            .sites
            .members_at(nbma)
            .filter(|(site, member)| cx.sites.vtep(*site).is_some() && member.registered(source).is_none());
        others.take(self.settings.max_vnis.into()).count() >= self.settings.max_vnis.into()
    }

    /// Says of each CIE what can be taken in, and changes nothing yet.
    pub(super) fn judge(&self, cx: &Context<'_>, from: &Inbound<'_>, heard: &Heard) -> Verdicts {
        let header = &from.message.header;
        let site = cx.sites.find((header.nbma, header.vni));
        let member = site.and_then(|site| cx.sites.member(site));
        let mut room =
            ADDRESSES_PER_CLIENT.saturating_sub(member.map_or(0, |member| member.registered.len()));
        let verdict = |cie: Cie| {
            let registered = self.registered(cx, from, &cie).ok_or(code::PROHIBITED)?;
            if self.is_anothers(cx, from, registered.address, heard) {
                return Err(code::ALREADY_REGISTERED);
            }
            if member.is_none_or(|member| member.registered(registered.address).is_none()) {
                room = room.checked_sub(1).ok_or(code::RESOURCES)?;
            }
            Ok(registered)
        };
        from.message.cies().take(CIES_PER_REQUEST).map(verdict).collect()
    }

    /// What a CIE registers, if it may: nobody registers for another station, and nobody a range. What a CIE leaves out
    /// stands in the header (RFC 2332 section 5.2.3).
    pub(super) fn registered(&self, cx: &Context<'_>, from: &Inbound<'_>, cie: &Cie) -> Option<Registered> {
        let header = &from.message.header;
        let address = cie.address.or(header.source)?;
        let theirs =
            cie.nbma.is_none_or(|n| n == header.nbma) && cie.vni.is_none_or(|v| Some(v) == header.vni);
        let host = [0, 0xff, address.host_prefix()].contains(&cie.prefix);
        let without_port = matches!(address, ProtocolAddress::Mac(_)) && header.vni.is_none();
        // Where this server has no address it serves no clients of that protocol.
        let served = matches!(address, ProtocolAddress::Mac(_)) || cx.sites.own(address.protocol()).is_some();
        let right = theirs && host && served && !without_port && cie.code == code::OK;
        let granted = granted(cx.holding_seconds(), cie);
        (right && is_unicast(address) && !cx.sites.is_own(address)).then(|| Registered {
            address,
            unique: header.flags & flag::REGISTRATION_UNIQUE != 0,
            mtu: cie.mtu,
            preference: cie.preference,
            granted,
            until: cx.now + Duration::from_secs(granted.into()),
        })
    }

    /// Whether another site has the address: a MAC, and said so when asked; or an IP address. Who registers such a one may be anybody, so who came first has it until it ends, for itself alone or not.
    fn is_anothers(
        &self,
        cx: &Context<'_>,
        from: &Inbound<'_>,
        address: ProtocolAddress,
        heard: &Heard,
    ) -> bool {
        if self.mesh.handovers.is_denied(cx.now, address, from.message.header.nbma) {
            return true;
        }
        let Some(holder) = cx.book.get(address).and_then(|entry| entry.registered()) else { return false };
        if self.is_above(cx, from, holder) {
            return true;
        }
        if let ProtocolAddress::Mac(_) = address {
            return heard.contains(&(holder, true));
        }
        Server::is_other(cx, from, holder)
    }
}

/// Whether who registers does not say with whom.
pub(super) fn is_for_anybody(header: &Header) -> bool {
    header.destination.is_none() || header.destination == header.source
}

/// Whether the outer address is not the one the client knows, as behind NAT: no VXLAN would reach it.
pub(super) fn translated(from: &Inbound<'_>) -> Option<Refusal> {
    let (comes_from, names) = (from.via.path.remote, from.message.header.nbma);
    (comes_from != names).then_some(Refusal::Translated { comes_from, names })
}

/// Whether it is the address of a single station.
fn is_unicast(address: ProtocolAddress) -> bool {
    match address {
        ProtocolAddress::Mac(_) => true,
        ProtocolAddress::Ip(IpAddr::V4(ip)) => {
            !(ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast() || ip.is_loopback())
        }
        ProtocolAddress::Ip(IpAddr::V6(ip)) => {
            !(ip.is_unspecified() || ip.is_multicast() || ip.is_loopback())
        }
    }
}

/// The holding time an address is granted, in seconds: what was asked for, but no more than the server's own, so that
/// whoever is told of it, and a port that is found after a restart, ends when the server says so.
pub(super) fn granted(own: u16, cie: &Cie) -> u16 {
    if cie.holding == 0 { own } else { cie.holding.min(own) }
}
