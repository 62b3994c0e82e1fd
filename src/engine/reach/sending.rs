//! Sends the probes of a path that are due, as far as the node's budget goes.

use super::peer::{Line, Peer, Size};
use crate::engine::context::Context;
use crate::engine::contract::effect::Effect;
use crate::engine::contract::probe::Probing;
use crate::engine::contract::statistics::increment;
use crate::engine::sites::SiteId;
use crate::types::{Mac, Nbma, Vtep};
use crate::wire::probe::Probe;

/// Who probes.
#[derive(Clone, Copy, Debug)]
pub struct Prober {
    /// The address that probes leave from.
    pub local: Nbma,
    /// Where answers are to go: as others know it.
    pub asker: Vtep,
    pub mac: Mac,
    /// The hub's tag of the session, 0 without one.
    pub tag: u64,
}

/// Sends what is due on the path to a site, and says to the path when the next is.
pub fn send(cx: &mut Context<'_>, peer: &mut Peer, prober: &Prober, site: SiteId, line: Line) {
    let Some(to) = cx.sites.vtep(site).filter(|_| peer.next() <= cx.now) else { return };
    if let Err(wait) = cx.probes.take(cx.now) {
        return peer.wait(cx.now, wait);
    }
    for (place, size) in peer.sends(cx.now, line).into_iter().enumerate() {
        if place > 0 && cx.probes.take(cx.now).is_err() {
            break;
        }
        let nonce = cx.nonces.draw();
        peer.sent(cx.now, nonce, size);
        let probe = Probe {
            is_answer: false,
            source: prober.mac,
            transaction: site.slot(),
            flags: 0,
            asker: prober.asker,
            nonce,
            tag: if peer.is_hub { prober.tag } else { 0 },
            padding: 0,
        };
        let probing = Probing {
            to,
            local: prober.local,
            probe,
            is_full: size != Size::Small,
            flow: peer.flow,
            is_uncut: size == Size::Uncut,
        };
        increment(&mut cx.statistics.tx_probe);
        cx.out.push(Effect::Probe { vn: cx.vn, probing });
    }
    if peer.next() <= cx.now {
        let interval = peer.interval(cx.now);
        let wait = cx.probes.wait(&mut peer.share, interval);
        peer.wait(cx.now, wait);
    }
}
