//! Sessions: who cannot receive at an address cannot speak for it. Verification tags as SCTP has them (RFC 9260 section
//! 8.5), and a cookie that a hub does not keep: it is returned by who got it, and is the hub's tag from then on.
//!
//! A cookie depends on all that it is to vouch for, and on a counter that goes up whenever a session begins or ends: an old
//! cookie dies with the session that it could displace.

use super::super::contract::way::Via;
use super::super::limits::{BEGINNINGS, BEGINNINGS_OF_A_LINE, BEGINNINGS_OF_ONE, ENDED};
use super::super::secret::{Secret, network, octets};
use super::gate::{Gate, Table};
use crate::time::Instant;
use crate::types::{Nbma, SiteName, VpnId};
use crate::wire::nhrp::{Header, Message, ProtocolAddress, Tags};
use core::hint::black_box;
use core::time::Duration;
use std::collections::BTreeMap;

/// A cookie is good in the slot of time that it was made in, and in the next one.
const SLOT: u64 = 64_000;

/// No cookie lives longer: then the counter's value at a place need not be known any more.
const KEPT: Duration = Duration::from_millis(2 * SLOT);

/// A place in a VN, where there may be a session.
type Place = (VpnId, SiteName);

/// The counter, as it was when a session began or ended.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    value: u64,
    at: Instant,
}

impl Count {
    /// When that was.
    pub fn began(self) -> Instant {
        self.at
    }

    fn at(self, now: Instant) -> u64 {
        if now.since(self.at) <= KEPT { self.value } else { 0 }
    }
}

/// How a message came, and the spoke whose own key signed it.
type Sender<'a> = (Via, &'a Message<'a>, Option<&'a str>);

/// What all sessions of a node have in common.
#[derive(Debug)]
pub struct Sessions {
    secret: Secret,
    drawn: u64,
    count: u64,
    /// Where a session ended, at most [`ENDED`].
    ended: BTreeMap<Place, Count>,
    /// Of the places that there was no room for.
    others: Option<Count>,
    beginnings: Gate,
    /// At an address, and in a network of IPv6.
    of_one: Table,
    of_line: Table,
}

impl Sessions {
    pub fn new(secret: Secret) -> Sessions {
        Sessions {
            beginnings: Gate::new(BEGINNINGS, &secret),
            of_one: Table::new(&secret),
            of_line: Table::new(&secret),
            secret,
            drawn: 0,
            count: 0,
            ended: BTreeMap::new(),
            others: None,
        }
    }

    /// A new tag, which nobody can guess.
    pub fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.secret.number(&[b"tag", &self.drawn.to_be_bytes()]).max(1)
    }

    /// A session begins: nobody returns a cookie of before.
    pub fn begins(&mut self, now: Instant) -> Count {
        self.count += 1;
        Count { value: self.count, at: now }
    }

    /// A session ended.
    pub fn ended(&mut self, now: Instant, vpn: VpnId, name: SiteName) {
        let count = self.begins(now);
        if self.ended.len() >= ENDED {
            self.ended.retain(|_, count| now.since(count.at) <= KEPT);
        }
        if self.ended.len() >= ENDED {
            // Cookies for all of these are good no more; nor are any for places that had none.
            self.ended.clear();
            self.others = Some(count);
        }
        self.ended.insert((vpn, name), count);
    }

    /// Whether one more session may begin at an address.
    pub fn may_begin(&mut self, now: Instant, vpn: VpnId, nbma: Nbma) -> bool {
        let place = (vpn.oui(), vpn.index(), octets(nbma.ip()));
        self.of_one.take(now, place, BEGINNINGS_OF_ONE)
            && (nbma.ip().is_ipv4() || self.of_line.take(now, network(nbma, 64), BEGINNINGS_OF_A_LINE))
            && self.beginnings.admits(now, nbma)
    }

    /// The cookie for who sends a message, in whose place there may be a session that began so. `None`: it has no tag.
    pub fn cookie(&self, now: Instant, vpn: VpnId, from: Sender<'_>, live: Option<Count>) -> Option<u64> {
        let claimant = Claimant::of(vpn, from)?;
        Some(claimant.cookie(&self.secret, now.as_millis() / SLOT, self.count(now, &claimant, live)))
    }

    /// Whether a message returns a cookie that who sends it was given.
    pub fn is_returned(&self, now: Instant, vpn: VpnId, from: Sender<'_>, live: Option<Count>) -> bool {
        let Some(cookie) = from.1.tags().map(|tags| tags.receiver).filter(|cookie| *cookie != 0) else {
            return false;
        };
        let Some(claimant) = Claimant::of(vpn, from) else { return false };
        let (now_is, count) = (now.as_millis() / SLOT, self.count(now, &claimant, live));
        // It says itself in which slot it was made: to look at it costs no more than to make one, so there is no limit that
        // others could use up.
        let slot = if (now_is ^ cookie) & 1 == 0 { Some(now_is) } else { now_is.checked_sub(1) };
        slot.is_some_and(|slot| same_tag(claimant.cookie(&self.secret, slot, count), cookie))
    }

    /// The counter where the session would be.
    fn count(&self, now: Instant, claimant: &Claimant<'_>, live: Option<Count>) -> u64 {
        let place = (claimant.vpn, claimant.name);
        let count = live.or(self.ended.get(&place).copied()).or(self.others);
        count.map_or(0, |count| count.at(now))
    }
}

/// Who is to have a cookie, or returns one: all that it vouches for.
struct Claimant<'a> {
    vpn: VpnId,
    remote: Nbma,
    local: Nbma,
    name: SiteName,
    address: ProtocolAddress,
    tag: u64,
    spoke: Option<&'a str>,
}

impl<'a> Claimant<'a> {
    fn of(vpn: VpnId, (via, message, spoke): Sender<'a>) -> Option<Claimant<'a>> {
        let Header { vni, source, .. } = message.header;
        let (remote, local) = (via.path.remote, via.path.local);
        let tag = message.tags()?.sender;
        let name = (remote, vni);
        (tag != 0).then_some(Claimant { vpn, remote, local, name, address: source?, tag, spoke })
    }

    fn cookie(&self, secret: &Secret, slot: u64, count: u64) -> u64 {
        // A MAC stands where no unicast IPv6 address is: in ff00::/8.
        let address = match self.address {
            ProtocolAddress::Ip(ip) => octets(ip),
            ProtocolAddress::Mac(mac) => {
                let mut octets = [0xff; 16];
                octets[10..].copy_from_slice(&mac.octets());
                octets
            }
        };
        let parts: [&[u8]; 11] = [
            b"cookie",
            &slot.to_be_bytes(),
            &self.vpn.oui(),
            &self.vpn.index().to_be_bytes(),
            &octets(self.remote.ip()),
            &octets(self.local.ip()),
            &self.name.1.map_or(u32::MAX, |vni| vni.get()).to_be_bytes(),
            &address,
            &self.tag.to_be_bytes(),
            &count.to_be_bytes(),
            // The last one: it has no length of its own.
            self.spoke.unwrap_or_default().as_bytes(),
        ];
        // Never 0; the last bit tells the slots apart.
        (secret.number(&parts) & !1).max(2) | (slot & 1)
    }
}

/// Whether tags are the same; how long that takes tells nothing.
pub fn same(one: Tags, other: Tags) -> bool {
    same_tag((one.sender ^ other.sender) | (one.receiver ^ other.receiver), 0)
}

/// The same for one tag of the two.
pub fn same_tag(one: u64, other: u64) -> bool {
    black_box(one ^ other) == 0
}

/// Where a request stands among those of its kind in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It is acted on.
    Newer,
    /// It came before: it gets its answer once more.
    Same,
    /// A later one was acted on: this one is not.
    Older,
}

/// How a Request ID stands to the last one that was acted on (RFC 1982 section 3.2).
pub fn order(last: Option<u32>, id: u32) -> Order {
    match last.map(|last| id.wrapping_sub(last) as i32) {
        Some(0) => Order::Same,
        Some(..0) => Order::Older,
        _ => Order::Newer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::contract::way::Path;
    use crate::types::{Mac, Vni};
    use crate::wire::VpnTag;
    use crate::wire::nhrp::{Cie, Kind, Protocol, Writer};

    const VPN: VpnId = VpnId::new(VpnId::DEFAULT_OUI, 1);

    fn nbma(n: u8) -> Nbma {
        format!("10.0.0.{n}").parse().unwrap()
    }

    fn name(n: u8) -> SiteName {
        (nbma(n), Vni::new(100))
    }

    fn via(n: u8) -> Via {
        Via { path: Path { local: nbma(1), remote: nbma(n) }, tag: VpnTag::Llc(VPN) }
    }

    /// A registration of router `n` with these tags.
    fn request(n: u8, vni: u32, tags: Tags) -> Vec<u8> {
        let mac = Mac::new([2, 0, 0, 0, 0, n]).map(ProtocolAddress::Mac);
        let header = Header {
            kind: Kind::RegistrationRequest,
            protocol: Protocol::Ethernet,
            hop_count: 16,
            flags: 0,
            request_id: 1,
            nbma: nbma(n),
            vni: Vni::new(vni),
            source: mac,
            destination: mac,
        };
        let mut octets = vec![0; 200];
        let mut w = Writer::new(&mut octets, &header);
        w.cie(&Cie::default()).tags(tags);
        let len = w.finish().unwrap();
        octets.truncate(len);
        octets
    }

    #[test]
    fn a_cookie_is_good_where_it_was_given_and_for_two_slots() {
        let sessions = Sessions::new(Secret::new(&[7; 32]));
        let at = |slots: u64| Instant::from_millis(slots * SLOT);
        let tags = |receiver| Tags { sender: 5, receiver };
        let first = request(2, 100, tags(0));
        let cookie = sessions
            .cookie(at(10), VPN, (via(2), &Message::parse(&first).unwrap(), Some("two")), None)
            .unwrap();
        let is_good = |now, vpn, from, octets: &[u8], live| {
            sessions.is_returned(now, vpn, (via(from), &Message::parse(octets).unwrap(), Some("two")), live)
        };
        let good = request(2, 100, tags(cookie));
        assert!(is_good(at(10), VPN, 2, &good, None) && is_good(at(11), VPN, 2, &good, None));
        assert!(!is_good(at(12), VPN, 2, &good, None), "too old");
        assert!(!is_good(at(10), VPN, 3, &good, None), "from elsewhere");
        assert!(!is_good(at(10), VpnId::new(VpnId::DEFAULT_OUI, 2), 2, &good, None), "another VN");
        assert!(!is_good(at(10), VPN, 2, &request(2, 101, tags(cookie)), None), "another VNI");
        assert!(!is_good(at(10), VPN, 2, &request(3, 100, tags(cookie)), None), "another MAC");
        assert!(!is_good(at(10), VPN, 2, &request(2, 100, Tags { sender: 6, receiver: cookie }), None));
        assert!(!is_good(at(10), VPN, 2, &request(2, 100, tags(cookie ^ 1)), None));
        assert!(!is_good(at(10), VPN, 2, &first, None) && cookie != 0);
        let count = Count { value: 1, at: at(10) };
        assert!(!is_good(at(10), VPN, 2, &good, Some(count)), "another session began");
        let other = Sessions::new(Secret::new(&[8; 32]));
        let good = Message::parse(&good).unwrap();
        let by = |spoke| sessions.is_returned(at(10), VPN, (via(2), &good, spoke), None);
        assert!(by(Some("two")) && !by(Some("three")) && !by(None), "another spoke's key");
        let good = (via(2), &good, Some("two"));
        assert!(!other.is_returned(at(10), VPN, good, None), "another hub");
    }

    /// A cookie dies with the session that it began, and with all that there was no room for.
    #[test]
    fn an_old_cookie_dies_with_the_session_it_could_displace() {
        let mut sessions = Sessions::new(Secret::new(&[7; 32]));
        let now = Instant::from_millis(10 * SLOT);
        let first = request(2, 100, Tags { sender: 5, receiver: 0 });
        let message = Message::parse(&first).unwrap();
        let cookie = |sessions: &Sessions, now| sessions.cookie(now, VPN, (via(2), &message, None), None);
        let before = cookie(&sessions, now);
        sessions.ended(now, VPN, name(2));
        let after = cookie(&sessions, now);
        assert_ne!(before, after);
        sessions.ended(now, VPN, name(3));
        assert_eq!(cookie(&sessions, now), after);
        for n in 0..ENDED as u32 {
            sessions.ended(now, VPN, (nbma(4), Vni::new(n + 1)));
        }
        assert!(sessions.ended.len() <= ENDED);
        let none = cookie(&sessions, now);
        assert!(none != after && none != before);
        let later = now + KEPT + Duration::from_millis(1);
        assert_ne!(cookie(&sessions, later), none);
    }

    #[test]
    fn sessions_begin_at_one_address_now_and_then() {
        let mut sessions = Sessions::new(Secret::new(&[7; 32]));
        let now = Instant::from_millis(1_000_000);
        assert_eq!((0..20).filter(|_| sessions.may_begin(now, VPN, nbma(2))).count(), 8);
        assert!(sessions.may_begin(now, VPN, nbma(3)));
        assert!(sessions.may_begin(now + Duration::from_secs(1), VPN, nbma(2)));
        assert_ne!(sessions.draw(), sessions.draw());
    }
}
