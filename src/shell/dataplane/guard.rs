//! Who may send to this router, as the kernel is to hold it: at a hub the pairs of a spoke's address and its uplink VNI, at a
//! spoke those of the addresses that it consents to, the hub's among them, and its own VNI. What is wanted follows the
//! engine's plane, item by item; the worker has the table of nftables.

use crate::control::Cause;
use crate::engine::VnKey;
use crate::shell::netlink::{Admission, Gate, Lack, Scope, dropped};
use crate::time::Instant;
use crate::types::{Nbma, Vni, Vtep};
use core::time::Duration;
use litemap::LiteMap;
use std::net::IpAddr;

/// What the kernel refused is tried again after this, then after twice as long each time.
const AGAIN_FIRST: Duration = Duration::from_secs(2);
const AGAIN_MOST: Duration = Duration::from_secs(600);

/// What the worker is to do about the table.
#[derive(Debug)]
pub(super) enum Order {
    /// Make it anew, with these pairs and VNIs.
    Make(Scope, Vec<Admission>),
    /// It is about another UDP port, or other VNIs do not pass any more, or again.
    Move(Scope),
    /// Others may send.
    Change(Vec<Admission>),
    /// It goes.
    End,
}

/// The table's name, if it was made just now; or why there is none any more.
pub(super) type Outcome = Result<Option<String>, Lack>;

impl Order {
    /// In the worker's thread, which has the table.
    pub fn perform(self, gate: &mut Option<Gate>) -> Outcome {
        let refused = |e: crate::shell::netlink::Error| Lack::Refused(e.to_string());
        let done = match (self, gate.as_mut()) {
            (Order::Make(scope, first), _) => {
                // A new one has the same name.
                *gate = None;
                *gate = Some(Gate::make(scope, &first)?);
                return Ok(gate.as_ref().map(|gate| gate.name().to_owned()));
            }
            (Order::Move(scope), Some(there)) => there.move_to(scope).map_err(refused),
            (Order::Change(changes), Some(there)) => there.change(&changes).map_err(refused),
            (Order::End, _) => {
                *gate = None;
                Ok(())
            }
            // That there is none was told.
            (Order::Move(_) | Order::Change(_), None) => Ok(()),
        };
        // Half a table is worse than none.
        if done.is_err() {
            *gate = None;
        }
        done.map(|()| None)
    }
}

/// The guard.
#[derive(Debug, Default)]
pub(super) struct Guard {
    /// The UDP port that is to be guarded, if any.
    wanted: Option<u16>,
    /// Whether there is to be one though nobody may send yet, nor is a VNI claimed.
    is_hub: bool,
    /// The uplink VNI of each spoke that has a port, or is to have one; and a spoke's own VNI, for each source.
    uplinks: LiteMap<(VnKey, Vtep), Vni>,
    /// The VNI of each VN in which this is a spoke that takes frames from its sources alone, be there any or not.
    claims: LiteMap<VnKey, Vni>,
    /// Who was let in by which order, if by one already: the worker may not have done it yet.
    opening: Vec<(IpAddr, Option<u64>)>,
    /// How many orders the worker was given, and how many it has done.
    given: u64,
    done: u64,
    /// VNIs whose devices may be there still, while nobody has them any more.
    left: Vec<Vni>,
    /// What the worker is not told yet.
    changes: Vec<Admission>,
    /// What the table is about that the worker was told to make.
    told: Option<Scope>,
    /// What it is called, once it is there.
    name: Option<String>,
    trouble: Option<Lack>,
    /// Whether that is not tried again by itself.
    rests: bool,
    again: Option<Instant>,
    pause: Duration,
}

impl Guard {
    /// Whether there is to be one, and for which UDP port. What was missing may be there now.
    pub fn configure(&mut self, wanted: Option<u16>, is_hub: bool) {
        (self.wanted, self.is_hub) = (wanted, is_hub);
        (self.again, self.rests) = (None, false);
        if wanted.is_none() {
            self.trouble = None;
        }
    }

    /// The uplink VNI of a spoke that has a port, or is to have one; `None` when it is to have none.
    pub fn set(&mut self, vn: VnKey, spoke: Vtep, uplink: Option<Vni>) {
        let before = self.uplinks.get(&(vn, spoke)).copied();
        if before == uplink {
            return;
        }
        match uplink {
            Some(uplink) => drop(self.uplinks.insert((vn, spoke), uplink)),
            None => drop(self.uplinks.remove(&(vn, spoke))),
        }
        before.into_iter().for_each(|before| self.close(vn, spoke, before));
        self.opening.extend(uplink.map(|_| (spoke.nbma.ip(), None)));
        self.changes.extend(uplink.map(|uplink| Admission::Open(spoke.nbma.ip(), uplink.get())));
    }

    /// A spoke takes frames by this VNI from nobody but its sources.
    pub fn claim(&mut self, vn: VnKey, vni: Vni) {
        if self.claims.insert(vn, vni) != Some(vni) {
            self.changes.push(Admission::Claim(vni.get()));
        }
    }

    /// Whether a spoke's VN is guarded.
    pub fn has_claimed(&self, vn: VnKey) -> bool {
        self.claims.contains_key(&vn)
    }

    /// Who may send in a VN.
    pub fn sources(&self, vn: VnKey) -> impl Iterator<Item = Vtep> {
        self.uplinks.keys().filter(move |(of, _)| *of == vn).map(|(_, spoke)| *spoke)
    }

    /// Whether what that address sends is taken by now, if it is to be.
    pub fn takes_from(&self, source: Nbma) -> bool {
        self.told.is_none() || !self.opening.iter().any(|(opened, _)| *opened == source.ip())
    }

    /// A spoke's VN takes frames from everybody.
    pub fn open(&mut self, vn: VnKey) {
        let claimed = self.claims.get(&vn).copied();
        self.forget(vn);
        self.left.retain(|vni| Some(*vni) != claimed);
        self.changes.extend(claimed.map(|vni| Admission::Free(vni.get())));
    }

    /// The VN is no more.
    pub fn forget(&mut self, vn: VnKey) {
        let spokes: Vec<Vtep> = self.sources(vn).collect();
        spokes.into_iter().for_each(|spoke| self.set(vn, spoke, None));
        self.left.extend(self.claims.remove(&vn));
    }

    /// Others at that address may send with the same VNI: where one device serves all.
    fn close(&mut self, vn: VnKey, spoke: Vtep, uplink: Vni) {
        let (Ok(place) | Err(place)) = self.uplinks.find_index(&(vn, spoke));
        let beside = |place: usize| {
            let ((of, other), vni) = self.uplinks.get_indexed(place)?;
            (*of == vn && other.nbma == spoke.nbma).then_some(*vni)
        };
        let others = (place..).map_while(beside).chain((0..place).rev().map_while(beside));
        if !others.into_iter().any(|vni| vni == uplink) {
            self.changes.push(Admission::Close(spoke.nbma.ip(), uplink.get()));
            self.left.push(uplink);
        }
    }

    /// All devices that were to go are gone: the VNIs that nobody has are nobody's.
    pub fn all_gone(&mut self) {
        if self.left.is_empty() {
            return;
        }
        let mut left = core::mem::take(&mut self.left);
        let mut used: Vec<Vni> = self.uplinks.values().chain(self.claims.values()).copied().collect();
        used.sort_unstable();
        left.sort_unstable();
        left.dedup();
        left.retain(|vni| used.binary_search(vni).is_err());
        self.changes.extend(left.into_iter().map(|vni| Admission::Free(vni.get())));
    }

    /// What the worker is to do next. A table is made once it is known which ports there are. Others' VNIs pass unless a
    /// device of ours takes them: then there is no other device for them.
    /// Probes pass where no bridge learns from them.
    pub fn job(&mut self, is_known: bool, takes_all: bool, probes_pass: bool) -> Option<Order> {
        let port = self.wanted.filter(|_| self.is_needed());
        let wanted = port.map(|port| Scope { port, others_pass: !takes_all, probes_pass });
        let order = match (self.told, wanted) {
            (None, None) => {
                self.forget_changes();
                return None;
            }
            (Some(_), None) => {
                (self.told, self.name) = (None, None);
                Order::End
            }
            (None, Some(_)) if self.waits() || !is_known => {
                // All there are go in with the table.
                self.forget_changes();
                return None;
            }
            (None, Some(scope)) => {
                self.told = Some(scope);
                (self.changes, self.left) = (Vec::new(), Vec::new());
                let pairs = self.uplinks.iter();
                let pairs = pairs.map(|((_, spoke), vni)| Admission::Open(spoke.nbma.ip(), vni.get()));
                let claims = self.claims.values().map(|vni| Admission::Claim(vni.get()));
                let all = pairs.chain(claims).collect();
                self.open_by_next();
                Order::Make(scope, all)
            }
            (Some(told), Some(scope)) if told != scope => {
                self.told = Some(scope);
                Order::Move(scope)
            }
            (Some(_), Some(_)) if self.changes.is_empty() => return None,
            (Some(_), Some(_)) => {
                self.open_by_next();
                Order::Change(core::mem::take(&mut self.changes))
            }
        };
        self.given += 1;
        Some(order)
    }

    /// Who waits to be let in is let in by the next order.
    fn open_by_next(&mut self) {
        let waiting = self.opening.iter_mut().filter(|(_, order)| order.is_none());
        waiting.for_each(|(_, order)| *order = Some(self.given + 1));
    }

    fn forget_changes(&mut self) {
        self.changes.clear();
        self.opening.clear();
    }

    fn is_needed(&self) -> bool {
        self.is_hub || !self.claims.is_empty()
    }

    fn waits(&self) -> bool {
        self.again.is_some() || self.rests
    }

    /// What came of it.
    pub fn hear(&mut self, outcome: Outcome, now: Instant) {
        self.done += 1;
        let done = self.done;
        self.opening.retain(|(_, order)| order.is_none_or(|order| order > done));
        match outcome {
            Ok(None) => {}
            Ok(Some(name)) => {
                if self.trouble.take().is_some() {
                    log::info!("the guard is there: table inet {name}");
                }
                (self.name, self.pause) = (Some(name), Duration::ZERO);
            }
            Err(lack) => {
                (self.told, self.name) = (None, None);
                self.rests = lack.lasts();
                if !self.rests {
                    self.pause = (self.pause * 2).clamp(AGAIN_FIRST, AGAIN_MOST);
                    self.again = Some(now + self.pause);
                }
                if self.trouble.as_ref() != Some(&lack) {
                    log::warn!("{}", cause(&lack).line());
                }
                self.trouble = Some(lack);
            }
        }
    }

    /// What went wrong is tried again, if it is time.
    pub fn again(&mut self, now: Instant) {
        self.again.take_if(|at| *at <= now);
    }

    /// When that is.
    pub fn deadline(&self) -> Option<Instant> {
        self.again
    }

    /// Whether one is wanted; how many packets it has dropped, or why it is missing.
    pub fn state(&self) -> Option<Result<u64, Cause>> {
        self.wanted.filter(|_| self.is_needed())?;
        Some(match (&self.name, &self.trouble) {
            (Some(name), _) => Ok(dropped(name).unwrap_or(0)),
            (None, Some(lack)) => Err(cause(lack)),
            (None, None) => Err(Cause::NoGuard { why: "the guard is being made".into(), hint: None }),
        })
    }
}

fn cause(lack: &Lack) -> Cause {
    let hint = match lack {
        Lack::NoTables => {
            "install the kernel's nf_tables (OpenWrt: kmod-nft-core) and reload, or set option 'guard' to '0'"
        }
        Lack::NoOwner => "use Linux 5.12 or later (OpenWrt 23.05), or set option 'guard' to '0'",
        Lack::NoName => {
            "remove one that nobody uses ('nft delete table inet dmevpn'): then the guard comes by itself"
        }
        Lack::NoRight(_) => "give the daemon CAP_NET_ADMIN",
        Lack::Refused(_) => "it is tried again by itself, and at once by 'dmevpn reload'",
    };
    Cause::NoGuard { why: lack.to_string(), hint: Some(hint) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_taken_from_once_the_table_has_it() {
        let now = Instant::from_millis(0);
        let site = |n: u32| Vtep {
            nbma: Nbma::new(std::net::Ipv4Addr::from(0x0a00_0000 + n).into()).unwrap(),
            vni: Vni::new(100).unwrap(),
        };
        let (one, two) = (site(1), site(2));
        let mut guard = Guard::default();
        let job = |guard: &mut Guard| guard.job(true, false, true);
        guard.claim(VnKey(1), one.vni);
        guard.set(VnKey(1), one, Some(one.vni));
        assert!(job(&mut guard).is_none() && guard.takes_from(one.nbma), "there is to be none");
        guard.configure(Some(4789), false);
        assert!(matches!(job(&mut guard), Some(Order::Make(_, first)) if first.len() == 2));
        guard.set(VnKey(1), two, Some(two.vni));
        assert!(matches!(job(&mut guard), Some(Order::Change(changes)) if changes.len() == 1));
        // The table is there, without what came later.
        guard.hear(Ok(Some("dmevpn".into())), now);
        assert!(guard.takes_from(one.nbma) && !guard.takes_from(two.nbma));
        guard.hear(Ok(None), now);
        assert!(guard.takes_from(two.nbma));
        // It is there without a source.
        guard.set(VnKey(1), one, None);
        guard.set(VnKey(1), two, None);
        assert!(matches!(job(&mut guard), Some(Order::Change(changes)) if changes.len() == 2));
        guard.all_gone();
        assert!(job(&mut guard).is_none() && guard.state().is_some(), "the VNI is guarded still");
        guard.open(VnKey(1));
        assert!(matches!(job(&mut guard), Some(Order::End)));
        assert!(guard.state().is_none());
    }

    /// What the table is about may change first: who is new is let in by the order behind that.
    #[test]
    fn a_source_is_let_in_by_the_order_that_says_so() {
        let now = Instant::from_millis(0);
        let vni = Vni::new(100).unwrap();
        let site = Vtep { nbma: Nbma::new(std::net::Ipv4Addr::new(10, 0, 0, 1).into()).unwrap(), vni };
        let mut guard = Guard::default();
        guard.configure(Some(4789), false);
        guard.claim(VnKey(1), vni);
        guard.job(true, false, true).unwrap();
        guard.hear(Ok(Some("dmevpn".into())), now);
        guard.set(VnKey(1), site, Some(vni));
        assert!(matches!(guard.job(true, false, false), Some(Order::Move(_))));
        guard.hear(Ok(None), now);
        assert!(!guard.takes_from(site.nbma));
        assert!(matches!(guard.job(true, false, false), Some(Order::Change(_))));
        assert!(!guard.takes_from(site.nbma));
        guard.hear(Ok(None), now);
        assert!(guard.takes_from(site.nbma));
    }
}
