//! How all stands, as what another engine would be told and find in the kernel if it were started in this one's place.

use super::book::Entry;
use super::sites::Site;
use super::vn::Vn;
use super::{Engine, Input, News, Place, VnKey};
use crate::time::Instant;
use crate::wire::nhrp::ProtocolAddress;

/// How far a scene is told.
#[derive(Debug, Default)]
pub struct Told {
    has_begun: bool,
    /// The last VN that is told whole, and the one that has begun.
    whole: Option<VnKey>,
    begun: Option<VnKey>,
    /// The last address there.
    last: Option<ProtocolAddress>,
}

impl Engine {
    /// The Request ID that comes next.
    pub fn next_request_id(&self) -> u32 {
        self.common.ids.next()
    }

    /// Gives `tell` the inputs that lead to how all stands, but for registrations and who was told what; of MACs that
    /// bridges know `most` at a time, the next ones each time it is called. Whether there are more.
    pub fn scene(
        &self,
        now: Instant,
        told: &mut Told,
        most: usize,
        mut tell: impl FnMut(Input<'static>),
    ) -> bool {
        if !core::mem::replace(&mut told.has_begun, true) {
            for (hub, path) in self.paths.iter() {
                tell(Input::Hub { hub: *hub, path: Some(*path) });
            }
        }
        while let Some((key, vn)) = self.vns.iter().find(|(key, _)| Some(**key) > told.whole) {
            let mut tell = |news| tell(Input::News { vn: *key, news });
            if told.begun != Some(*key) {
                (told.begun, told.last) = (Some(*key), None);
                self.begin_vn(now, vn, &mut tell);
            }
            let mut left = most;
            for (address, entry) in vn.book.after(told.last).take(most) {
                told.last = Some(address);
                left -= 1;
                known(vn, address, entry).into_iter().for_each(&mut tell);
            }
            if left == 0 {
                return true;
            }
            tell(News::Listed);
            told.whole = Some(*key);
        }
        false
    }

    /// What is known of a VN before its bridge is listed.
    fn begin_vn(&self, now: Instant, vn: &Vn, mut tell: impl FnMut(News)) {
        tell(News::Device(vn.sites.mac));
        vn.plane.ports().for_each(|(spoke, port)| tell(News::FoundPort { spoke, port }));
        self.ip_clients(vn.key).for_each(|client| tell(News::FoundClient(client)));
        let most = self.most_hubs(vn.key);
        if most > 0 {
            tell(News::FoundHubs(most));
        }
        for row in vn.client.iter().flat_map(|client| client.rows(vn.view(now), None)) {
            tell(match row.at {
                Some(to) => News::FoundShortcut { mac: row.mac, to },
                // It is asked for anew.
                None => News::Fdb { mac: row.mac, place: Place::Tunnel },
            });
        }
    }
}

/// Where the bridge has a MAC, if that is so.
fn known(vn: &Vn, address: ProtocolAddress, entry: &Entry) -> Option<News> {
    let ProtocolAddress::Mac(mac) = address else { return None };
    let site = entry.site().filter(|_| entry.is_learned())?;
    let place = vn.sites.get(site).and_then(Site::vtep).map_or(Place::Local, Place::At);
    Some(News::Fdb { mac, place })
}
