//! Where a client was before it had its present address: told to the hub with the registration, which moves what it has.

use super::super::context::Context;
use super::super::contract::way::Path;
use super::super::exchange::Request;
use super::super::sites::SiteId;
use crate::types::Nbma;
use crate::wire::nhrp::ProtocolAddress;

/// So many places are told to the hub where this client is not any more; of more it asks for itself.
pub const PLACES: usize = 4;

/// Where this client was, as far as its hub may know.
#[derive(Clone, Debug)]
pub struct Former {
    hub: Nbma,
    places: heapless::Vec<Nbma, PLACES>,
    /// What tells the hub that it is not there any more.
    purge: Option<Request>,
}

impl Former {
    /// It was at `local`, besides where it was `before`.
    pub fn with(before: Option<Former>, local: Nbma, hub: Nbma) -> Former {
        let mut places = match before {
            Some(former) if former.hub == hub => former.places,
            _ => heapless::Vec::new(),
        };
        places.retain(|place| *place != local);
        if places.is_full() {
            places.remove(0);
        }
        // There is room.
        let _ = places.push(local);
        Former { hub, places, purge: None }
    }

    /// What of it is to be said by this way, if anything.
    pub fn told_by(
        mut self,
        cx: &mut Context<'_>,
        path: Path,
        site: SiteId,
        own: ProtocolAddress,
    ) -> Option<Former> {
        self.places.retain(|place| cx.name_of(*place) != cx.name_of(path.local));
        if self.hub != path.remote || self.places.is_empty() {
            return None;
        }
        self.purge = Some(Request::new(cx, site, own));
        Some(self)
    }

    /// The request that tells it, and the places it names.
    pub fn said(&self) -> Option<(Request, &[Nbma])> {
        Some((self.purge?, &self.places))
    }
}
