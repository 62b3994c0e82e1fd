//! How all stands, as what another engine would be told and find in the kernel if it were started in this one's place.

use super::book::Entry;
use super::sites::Site;
use super::{Engine, Input, News, Place, VnKey};
use crate::time::Instant;
use crate::wire::nhrp::ProtocolAddress;

impl Engine {
    /// The Request ID that comes next.
    pub fn next_request_id(&self) -> u32 {
        self.common.ids.next()
    }

    /// Gives `tell` the inputs that lead to how all stands, but for registrations and who was told what.
    pub fn scene(&self, now: Instant, mut tell: impl FnMut(Input<'static>)) {
        for (hub, path) in self.paths.iter() {
            tell(Input::Hub { hub: *hub, path: Some(*path) });
        }
        for vn in self.vns.keys() {
            self.scene_of(now, *vn, |news| tell(Input::News { vn: *vn, news }));
        }
    }

    fn scene_of(&self, now: Instant, vn: VnKey, mut tell: impl FnMut(News)) {
        let Some(vn) = self.vns.get(&vn) else { return };
        tell(News::Device(vn.sites.mac));
        vn.plane.ports().for_each(|(spoke, port)| tell(News::FoundPort { spoke, port }));
        self.ip_clients(vn.key).for_each(|client| tell(News::FoundClient(client)));
        for row in vn.client.iter().flat_map(|client| client.rows(vn.view(now), None)) {
            tell(match row.at {
                Some(to) => News::FoundShortcut { mac: row.mac, to },
                // It is asked for anew.
                None => News::Fdb { mac: row.mac, place: Place::Tunnel },
            });
        }
        let told = |(address, entry): (ProtocolAddress, &Entry)| {
            let ProtocolAddress::Mac(mac) = address else { return None };
            let site = entry.site().filter(|_| entry.is_learned())?;
            let place = vn.sites.get(site).and_then(Site::vtep).map_or(Place::Local, Place::At);
            Some(News::Fdb { mac, place })
        };
        vn.book.after(None).filter_map(told).for_each(&mut tell);
        tell(News::Listed);
    }
}
