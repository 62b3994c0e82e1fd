//! A spoke (NHC) in one VN: its registration and its remote MACs, put together.

use super::context::{Context, Due};
use super::contract::effect::{Act, Effect, Event, Why};
use super::contract::input::{Path, Place};
use super::contract::report::{MacRow, SpokeReport, Standing};
use super::contract::settings::{HubKey, SpokeSettings, VnKey, VpnMode};
use super::contract::statistics::increment;
use super::locals::Locals;
use super::registration::{Identity, Registration};
use super::resolution::{Macs, Surroundings};
use crate::time::Instant;
use crate::types::{Mac, VpnId, Vtep};
use crate::wire::VpnTag;
use crate::wire::nhrp::{Fault, Kind, Message, ProtocolAddress, code, error};

/// The state of a spoke in one VN.
#[derive(Debug)]
pub struct Spoke {
    vn: VnKey,
    vpn_id: VpnId,
    mtu: u16,
    settings: SpokeSettings,
    vpn_mode: VpnMode,
    path: Option<Path>,
    mac: Option<Mac>,
    registration: Registration,
    macs: Macs,
    locals: Locals,
}

impl Spoke {
    pub fn new(
        now: Instant,
        vn: VnKey,
        vpn_id: VpnId,
        mtu: u16,
        settings: SpokeSettings,
        vpn_mode: VpnMode,
    ) -> Spoke {
        Spoke {
            vn,
            vpn_id,
            mtu,
            settings,
            vpn_mode,
            path: None,
            mac: None,
            registration: Registration::new(now),
            macs: Macs::default(),
            locals: Locals::default(),
        }
    }

    /// Takes over settings that need no new registration; `false` if they need one.
    pub fn reconfigure(
        &mut self,
        vpn_id: VpnId,
        mtu: u16,
        settings: SpokeSettings,
        vpn_mode: VpnMode,
    ) -> bool {
        let same = self.vpn_id == vpn_id
            && self.vpn_mode == vpn_mode
            && (self.settings.vni, self.settings.hub, self.settings.trigger)
                == (settings.vni, settings.hub, settings.trigger);
        if same {
            self.mtu = mtu;
            self.settings = settings;
        }
        same
    }

    /// The hub this spoke registers with.
    pub fn hub(&self) -> HubKey {
        self.settings.hub
    }

    /// Whether packets of this tag, between these addresses, belong to this VN.
    pub fn accepts(&self, path: Path, tag: VpnTag) -> bool {
        self.path == Some(path) && self.tag() == tag
    }

    /// The way to the hub is known, changed or lost.
    pub fn set_path(&mut self, cx: &mut Context<'_>, path: Option<Path>) {
        if self.path == path {
            // It was told again because something was in the way.
            if let Some(me) = self.identity() {
                self.registration.retry(cx, &me);
            }
            return;
        }
        self.leave(cx);
        if path.is_none() {
            // Nobody can tell any more when one of them becomes untrue, and time would not end them.
            self.with_macs(cx, |macs, cx, around| macs.forget_all(cx, around, Why::Stopped));
        }
        self.path = path;
        self.enter(cx);
    }

    /// The devices are there with this MAC, changed, or are gone.
    pub fn set_plane(&mut self, cx: &mut Context<'_>, mac: Option<Mac>) {
        if self.mac == mac {
            return;
        }
        self.leave(cx);
        if mac.is_none() {
            self.with_macs(cx, |macs, cx, around| macs.forget_all(cx, around, Why::Stopped));
            self.locals.clear(cx);
        }
        self.mac = mac;
        self.enter(cx);
    }

    /// The bridge tells where a MAC is.
    pub fn fdb(&mut self, cx: &mut Context<'_>, mac: Mac, place: Place) {
        if place == Place::Local {
            let hub = self.hub_mac();
            self.locals.learn(cx, self.vn, mac, hub, self.settings.max_macs);
        } else {
            self.locals.forget(mac);
        }
        self.with_macs(cx, |macs, cx, around| match place {
            Place::Tunnel if around.settings.trigger == super::contract::settings::Trigger::Learn => {
                macs.heard(cx, around, mac);
            }
            Place::Local => macs.forget(cx, around, mac, Why::Local),
            Place::Tunnel | Place::Port(_) | Place::Gone => {}
        });
    }

    pub fn miss(&mut self, cx: &mut Context<'_>, mac: Mac) {
        self.with_macs(cx, |macs, cx, around| macs.heard(cx, around, mac));
    }

    pub fn found(&mut self, cx: &mut Context<'_>, mac: Mac, to: Vtep) {
        self.with_macs(cx, |macs, cx, around| macs.found(cx, around, mac, to));
    }

    pub fn usage(
        &mut self,
        cx: &mut Context<'_>,
        mac: Mac,
        idle: core::time::Duration,
        age: core::time::Duration,
    ) {
        self.with_macs(cx, |macs, cx, around| macs.usage(cx, around, mac, idle, age));
    }

    pub fn resolve(&mut self, cx: &mut Context<'_>, mac: Mac) {
        self.with_macs(cx, |macs, cx, around| macs.resolve(cx, around, mac));
    }

    pub fn flush(&mut self, cx: &mut Context<'_>, mac: Option<Mac>) {
        self.with_macs(cx, |macs, cx, around| match mac {
            Some(mac) => macs.forget(cx, around, mac, Why::Flushed),
            None => macs.forget_all(cx, around, Why::Flushed),
        });
    }

    pub fn due(&mut self, cx: &mut Context<'_>, due: Due) {
        match due {
            Due::Registration => {
                if let Some(me) = self.identity() {
                    self.registration.due(cx, &me);
                }
            }
            Due::Questions => self.with_macs(cx, |macs, cx, around| macs.questions_due(cx, around)),
            Due::Mac(mac) => self.with_macs(cx, |macs, cx, around| macs.due(cx, around, mac)),
            Due::Announcements => {
                let hub = self.hub_mac();
                self.locals.announce(cx, self.vn, hub);
            }
            Due::Peer(_) | Due::Purge(_) | Due::Sweep => {}
        }
    }

    /// A packet that [`Spoke::accepts`] arrived. What is wrong with it goes back to the hub.
    pub fn packet(&mut self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<(), Fault> {
        let Some(me) = self.identity() else { return Ok(()) };
        let header = &message.header;
        match header.kind {
            Kind::RegistrationReply => {
                let was = (self.registration.is_registered(), self.registration.uplink());
                let registered = self.registration.reply(cx, &me, message);
                if registered && was != (true, self.registration.uplink()) {
                    // First the hub learns who is here, then it is asked who is elsewhere.
                    let hub = self.hub_mac();
                    self.locals.announce(cx, self.vn, hub);
                    self.with_macs(cx, |macs, cx, around| macs.registered(cx, around));
                }
            }
            Kind::ResolutionReply => {
                let mut taken = false;
                self.with_macs(cx, |macs, cx, around| taken = macs.reply(cx, around, message));
                if taken && message.cies().any(|c| c.code == code::PROHIBITED) {
                    self.registration.doubt(cx, &me);
                }
                if !taken {
                    increment(&mut cx.statistics.rx_unsolicited);
                }
                // A second answer to a repeated question is no error (RFC 2332 section 5.2.2).
                if !taken && !cx.ids.used(header.request_id) {
                    return Err(Fault { code: error::INVALID_REPLY, offset: 0, header: Some(*header) });
                }
            }
            Kind::PurgeRequest => self.purge(cx, &me, message),
            Kind::PurgeReply => {
                increment(&mut cx.statistics.rx_purge_reply);
                self.registration.purged(cx, &me, header.request_id);
            }
            Kind::Error => self.error(cx, &me, message),
            // Only a hub serves requests.
            Kind::RegistrationRequest | Kind::ResolutionRequest => {
                return Err(Fault { code: error::UNREACHABLE, offset: 0, header: Some(*header) });
            }
        }
        Ok(())
    }

    /// Withdraws; with `wait` until the hub confirms.
    pub fn stop(&mut self, cx: &mut Context<'_>, wait: bool) {
        if let Some(me) = self.identity() {
            self.registration.withdraw(cx, &me, wait);
        }
        self.with_macs(cx, |macs, cx, around| macs.forget_all(cx, around, Why::Stopped));
        self.locals.clear(cx);
    }

    pub fn is_over(&self) -> bool {
        self.identity().is_none() || self.registration.is_over()
    }

    /// Whether the MAC is at this site.
    pub fn is_here(&self, mac: Mac) -> bool {
        self.mac == Some(mac) || self.locals.has(mac)
    }

    /// The spoke's protocol address, if the devices are there.
    pub fn mac(&self) -> Option<Mac> {
        self.mac
    }

    pub fn report(&self, now: Instant) -> SpokeReport {
        let complete = match (self.mac, self.path) {
            // Without a way the device is not made.
            (_, None) => Err(Standing::NoAddress),
            (None, _) => Err(Standing::NoDevice),
            _ => Ok(()),
        };
        let (standing, since) = self.registration.report(now, complete);
        let (shortcuts, asking, negative) = self.macs.count();
        SpokeReport {
            standing,
            since,
            hub: self.path.map(|p| p.remote),
            local: self.path.map(|p| p.local),
            vni: self.settings.vni,
            uplink: self.registration.uplink(),
            vpn_mode: self.vpn_mode,
            trigger: self.settings.trigger,
            shortcuts,
            asking,
            negative,
        }
    }

    /// Rows of the remote MACs behind `after`, in their order.
    pub fn rows(&self, now: Instant, after: Option<Mac>) -> impl Iterator<Item = MacRow> + '_ {
        self.macs.rows(now, after)
    }

    /// Whether the hub did not know the MAC, and is not asked again yet.
    pub fn is_denied(&self, mac: Mac) -> bool {
        self.macs.is_denied(mac)
    }

    /// The hub withdraws answers it gave (RFC 2332 section 5.2.5).
    fn purge(&mut self, cx: &mut Context<'_>, me: &Identity, message: &Message<'_>) {
        increment(&mut cx.statistics.rx_purge_req);
        cx.confirm_purge(me.path, me.tag, message);
        let own = (Some(me.path.local), Some(me.vni));
        for cie in message.cies() {
            match cie.address {
                // A MAC that was here is elsewhere now, and the bridge has not noticed.
                Some(ProtocolAddress::Mac(mac)) if (cie.nbma, cie.vni) == own => {
                    if self.locals.forget(mac) {
                        cx.out.push(Effect::Do { vn: self.vn, act: Act::Unlearn(mac) });
                    }
                }
                _ => self.with_macs(cx, |macs, cx, around| macs.purge(cx, around, &cie)),
            }
        }
    }

    fn error(&mut self, cx: &mut Context<'_>, me: &Identity, message: &Message<'_>) {
        let code = message.header.error_code();
        cx.out.tell(self.vn, Event::PeerError { peer: me.path.remote, code });
        let Ok(ours) = Message::parse(message.packet_in_error()) else { return };
        if ours.header.source != Some(me.address()) {
            return;
        }
        match ours.header.kind {
            Kind::RegistrationRequest => self.registration.error(cx, me, ours.header.request_id, code),
            Kind::ResolutionRequest => {
                self.with_macs(cx, |macs, cx, around| macs.error(cx, around, &ours.header, code));
            }
            _ => {}
        }
    }

    /// Before an address of ours or the hub's changes: the old one is withdrawn.
    fn leave(&mut self, cx: &mut Context<'_>) {
        if let Some(me) = self.identity() {
            self.registration.withdraw(cx, &me, false);
            self.registration.pause(cx);
        }
    }

    fn enter(&mut self, cx: &mut Context<'_>) {
        match self.identity() {
            Some(me) => {
                self.registration.start(cx, &me);
                cx.out.push(Effect::Do { vn: self.vn, act: Act::List });
            }
            None => self.registration.pause(cx),
        }
    }

    /// The hub's MAC, while registered.
    fn hub_mac(&self) -> Option<Mac> {
        match self.registration.hub().filter(|_| self.registration.is_registered()) {
            Some(ProtocolAddress::Mac(mac)) => Some(mac),
            _ => None,
        }
    }

    fn identity(&self) -> Option<Identity> {
        Some(Identity {
            vn: self.vn,
            hub: self.settings.hub,
            path: self.path?,
            tag: self.tag(),
            vni: self.settings.vni,
            mac: self.mac?,
            mtu: self.mtu,
            unique: self.settings.unique,
        })
    }

    fn tag(&self) -> VpnTag {
        match self.vpn_mode {
            VpnMode::Llc => VpnTag::Llc(self.vpn_id),
            VpnMode::Key => VpnTag::Key(self.vpn_id.index()),
            VpnMode::None => VpnTag::None,
        }
    }

    /// Calls `f` on the table of MACs, if this spoke is complete; without devices and addresses there is none.
    fn with_macs(
        &mut self,
        cx: &mut Context<'_>,
        f: impl FnOnce(&mut Macs, &mut Context<'_>, Surroundings<'_>),
    ) {
        let Some(me) = self.identity() else { return };
        let around = Surroundings {
            me: &me,
            settings: &self.settings,
            uplink: self.registration.uplink(),
            registered: self.registration.is_registered(),
        };
        f(&mut self.macs, cx, around);
    }
}
