//! What the engine wants done, and what it has to tell.

use super::input::Place;
#[cfg(doc)]
use super::input::{Input, News};
use super::item::Item;
use super::probe::Probing;
use super::reason::{Refusal, Rivals, Table, Why, WhyHub};
use super::report::{LoopReport, Oddity, Trouble};
use super::settings::{HubKey, VnKey};
use super::way::Via;
use crate::types::{Label, Mac, Nbma, Vni, Vtep};
use core::ops::Range;

/// What is done once and is no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Spoke: send a frame from this MAC to the hub, so that its bridge learns that the MAC is behind this spoke.
    Announce {
        /// The local MAC.
        mac: Mac,
        /// The hub's own MAC, the only one the frame is for.
        hub: Mac,
    },
    /// Hub: the same to another hub, by the port for it.
    AnnounceTo {
        /// A MAC of a spoke of this hub's, or of its own.
        mac: Mac,
        /// The other hub's own MAC.
        hub: Mac,
        /// Which port.
        at: Vtep,
    },
    /// Make the bridge forget that it learned the MAC at this place, so that it floods its frames and tells when it
    /// hears it again. What it learned elsewhere stays.
    Unlearn(Mac, Place),
    /// Spoke: tell by [`News::Use`] whether the kernel uses the shortcut.
    ReadUse(Mac),
    /// Spoke: tell by [`News::Use`] of each shortcut of the VN when the kernel used it, and then, by [`News::UsesTold`],
    /// of the default entry.
    ReadUses,
    /// Send a loop frame with this nonce by a tunnel: a spoke's, or a hub's to this spoke. When one comes by a local port of the
    /// VN's bridge, tell by [`News::Looped`].
    SeekLoop {
        /// The spoke.
        tunnel: Option<Vtep>,
        /// The nonce.
        nonce: u64,
    },
    /// None is waited for any more.
    SeekNoLoop,
    /// List the VN's kernel state between [`News::Listing`] and [`News::Listed`].
    List,
}

/// One thing to do. Effects are performed in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "an effect does nothing until it is performed"]
pub enum Effect {
    /// Send an NHRP packet, found by [`Effects::bytes`].
    Send {
        /// The way it takes.
        via: Via,
        /// Where the packet lies.
        bytes: Range<usize>,
    },
    /// Send a probe of a path, before all else there is to do. What cannot be sent is lost.
    Probe {
        /// In which VN.
        vn: VnKey,
        /// What and where to.
        probing: Probing,
    },
    /// An item of the VN's [`Plane`](crate::engine::Plane) changed: the kernel is to be made so. A port is answered by
    /// [`News::Became`].
    Changed {
        /// In which VN.
        vn: VnKey,
        /// Which item.
        item: Item,
    },
    /// Do something that leaves no state behind.
    Do {
        /// In which VN.
        vn: VnKey,
        /// What.
        act: Act,
    },
    /// The hub does not answer: find out its address once more and tell by [`Input::Hub`].
    FindHub {
        /// Which hub.
        hub: HubKey,
    },
    /// Keep this number in non-volatile memory: the next start begins its Request IDs with it (RFC 2332 section 5.2.3).
    SaveRequestId(u32),
    /// Tell the log and whoever monitors.
    Tell {
        /// In which VN.
        vn: VnKey,
        /// What happened.
        event: Event,
    },
    /// Tell the log that somebody's packets make no sense: once, until an hour passes without any.
    Odd {
        /// Who sends them.
        peer: Nbma,
        /// What is odd.
        oddity: Oddity,
        /// Whether this node has to do with who is there.
        is_known: bool,
    },
}

/// The effects of one call, in buffers that are used again for the next one.
#[derive(Debug, Default)]
pub struct Effects {
    list: Vec<Effect>,
    packets: Vec<u8>,
}

impl Effects {
    /// Adds an effect.
    pub fn push(&mut self, effect: Effect) {
        self.list.push(effect);
    }

    /// Adds a packet of at most `max` octets that `emit` writes, returning its length. Where it lies, for an
    /// [`Effect::Send`]; `None` when nothing was written.
    pub fn write(
        &mut self,
        max: usize,
        emit: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Option<Range<usize>> {
        let start = self.packets.len();
        self.packets.resize(start + max, 0);
        let written = emit(&mut self.packets[start..]);
        self.packets.truncate(start + written.unwrap_or(0));
        written.map(|_| start..self.packets.len())
    }

    /// The effects, in the order they are to be performed in.
    pub fn iter(&self) -> impl Iterator<Item = &Effect> {
        self.list.iter()
    }

    /// The packet of an [`Effect::Send`]; empty for a range that is not one of these effects'.
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.packets.get(range).unwrap_or_default()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Forgets all, keeping the buffers.
    pub fn clear(&mut self) {
        self.list.clear();
        self.packets.clear();
    }
}

/// Something an operator may want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The hub accepted the registration.
    Registered {
        /// The hub and the uplink VNI it gave.
        uplink: Vtep,
    },
    /// The hub, or an NHS on the way, refused the registration.
    Refused {
        /// The hub.
        hub: Nbma,
        /// The reason.
        reason: Refusal,
    },
    /// The hub did not answer until the registration's holding time was over.
    RegistrationLost {
        /// The hub.
        hub: Nbma,
    },
    /// The hub answers none of the first requests to register.
    NoAnswer {
        /// The hub.
        hub: Nbma,
        /// Whether the requests were signed: a hub that does not know the key is silent.
        signed: bool,
    },
    /// A spoke of several hubs is registered at another one of them now.
    HubChosen {
        /// The hub.
        hub: Nbma,
        /// Why.
        why: WhyHub,
    },
    /// A hub that a spoke is not registered at does not answer any more, or does again.
    HubStandsBy {
        /// The hub.
        hub: Nbma,
        /// Whether it answers.
        answers: bool,
    },
    /// The registration was withdrawn.
    Withdrawn,
    /// A remote MAC is asked for.
    Asked {
        /// The MAC.
        mac: Mac,
    },
    /// The hub told where a MAC lives.
    Resolved {
        /// The MAC.
        mac: Mac,
        /// Where it lives.
        at: Vtep,
        /// For how long, in seconds.
        holding: u16,
    },
    /// The hub has no answer for a MAC.
    NotResolved {
        /// The MAC.
        mac: Mac,
        /// The reason; `None` when the hub was silent.
        reason: Option<Refusal>,
    },
    /// A shortcut was installed.
    ShortcutUp {
        /// The MAC.
        mac: Mac,
        /// Where its frames go.
        to: Vtep,
    },
    /// A shortcut was taken out.
    ShortcutDown {
        /// The MAC.
        mac: Mac,
        /// Why.
        why: Why,
    },
    /// Probes come back from another site, or from the hub: frames may go straight there.
    PathUp {
        /// The other end.
        peer: Vtep,
        /// Whether it is the hub.
        is_hub: bool,
    },
    /// Probes do not come back: frames go by the hub.
    PathDown {
        /// The other end.
        peer: Vtep,
        /// Whether it is the hub.
        is_hub: bool,
        /// What is wrong.
        trouble: Trouble,
    },
    /// A spoke registered and has its port.
    SpokeUp {
        /// The spoke's VTEP.
        spoke: Vtep,
        /// The VNI of its port.
        uplink: Vni,
    },
    /// A spoke has another underlay address; its port is the same.
    SpokeMoved {
        /// Where it was.
        from: Vtep,
        /// Where it is.
        to: Vtep,
        /// The VNI of its port.
        uplink: Vni,
    },
    /// A spoke's port was removed.
    SpokeDown {
        /// The spoke's VTEP.
        spoke: Vtep,
        /// Why.
        why: Why,
    },
    /// Another hub has its port.
    HubUp {
        /// Its VTEP.
        hub: Vtep,
        /// The VNI of the port.
        uplink: Vni,
    },
    /// The port for another hub was removed.
    HubDown {
        /// Its VTEP.
        hub: Vtep,
        /// Why.
        why: Why,
    },
    /// A registration was refused.
    SpokeRefused {
        /// Who asked, by underlay address.
        spoke: Nbma,
        /// The reason.
        reason: Refusal,
        /// Whether somebody is registered there.
        is_known: bool,
    },
    /// The hub saw a MAC at another place than before; whoever had asked is told.
    MacMoved {
        /// The MAC.
        mac: Mac,
        /// Its new port; `None` for a host at the hub.
        to: Option<Vtep>,
    },
    /// A MAC moves to and fro between two places, too often to tell each time: nobody is told where it is until it
    /// rests, and its frames go by the hub.
    Restless {
        /// The MAC.
        mac: Mac,
        /// The one place; `None` for the own site.
        from: Option<Vtep>,
        /// The other place.
        to: Option<Vtep>,
    },
    /// What is sent by a tunnel comes back by a local port: the sites are connected beside it. Until that is over, the
    /// tunnel floods nothing.
    Looped(LoopReport),
    /// What is sent by the tunnel did not come back for a while: it floods again.
    LoopOver(LoopReport),
    /// Two routers register the same MAC, as copies of one do.
    Rivals(Rivals),
    /// A spoke that has keys of its own began a session.
    SpokeKnown {
        /// Where it is.
        spoke: Vtep,
        /// What it is called.
        name: Label,
        /// Its key.
        key: Label,
    },
    /// A hub has keys and takes what is not signed, too: told at a reload, and each hour.
    KeysOptional {
        /// So many of its clients are in without.
        unsigned: u32,
    },
    /// A table is full: what does not fit takes the way by the hub, or is refused.
    Full(Table),
    /// The peer reports an error in a packet of ours (RFC 2332 section 5.2.7): of each code once, until an hour passes
    /// without any.
    PeerError {
        /// The peer.
        peer: Nbma,
        /// The error code.
        code: u16,
    },
    /// A spoke was refused: its address has as many sites as it may have.
    ManySites {
        /// The spoke.
        spoke: Vtep,
        /// How many there may be.
        most: u16,
    },
    /// A spoke was refused: another site has its address, and with one device for all spokes there can be one only.
    SecondSite {
        /// The spoke.
        spoke: Vtep,
        /// The VNI of the site that is registered.
        registered: Vni,
    },
}
