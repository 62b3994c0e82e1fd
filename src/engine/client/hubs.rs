//! What a client of several hubs does about its choice: the one it is at, the one it goes to and those that stand by.

use super::super::context::Context;
use super::super::contract::effect::{Act, Event};
use super::super::contract::reason::WhyHub;
use super::super::contract::settings::HubKey;
use super::Client;
use super::choice::Step;
use super::registration::Registration;

impl Client {
    /// The registration with the hub that it is at.
    pub(super) fn active(&self) -> Option<&Registration> {
        self.registrations.get(&self.choice.active())
    }

    pub(super) fn active_mut(&mut self) -> Option<&mut Registration> {
        self.registrations.get_mut(&self.choice.active())
    }

    /// Registers with a hub, or has it stand by, if the devices and the way are there. Whether it registers.
    pub(super) fn enter_one(&mut self, cx: &mut Context<'_>, hub: HubKey) -> bool {
        let is_wanted = hub == self.choice.active() || Some(hub) == self.choice.candidate();
        let Some(registration) = self.registrations.get_mut(&hub) else { return false };
        let path = registration.path().filter(|_| self.choice.is_several());
        if is_wanted {
            // What the present hub passes on of this site's own frames comes back by the other one, until that counts.
            if hub == self.choice.active() {
                path.into_iter().for_each(|path| self.reach.admit(cx, path.remote));
            }
            return registration.enter(cx, &self.settings);
        }
        registration.stand_by(cx, &self.settings);
        path.into_iter().for_each(|path| self.reach.dismiss(cx, path.remote));
        false
    }

    /// Something is new of one of its hubs: looks which one to be at.
    pub(super) fn choose(&mut self, cx: &mut Context<'_>) {
        if self.is_stopping {
            return;
        }
        self.settle_left(cx);
        // Each hub is tried and given up once at most.
        for _ in 0..2 * self.registrations.len() {
            let Some(step) = self.choice.step(cx, &self.registrations) else { return };
            match step {
                Step::Try(hub) => drop(self.enter_one(cx, hub)),
                Step::GiveUp(hub) => {
                    if let Some(registration) = self.registrations.get_mut(&hub) {
                        registration.withdraw(cx, &self.settings, false);
                    }
                    self.enter_one(cx, hub);
                    self.is_back(cx);
                }
                Step::Take(hub, why) => {
                    let before = self.choice.take(cx, hub, why);
                    self.enter_one(cx, before);
                    if self.enter_one(cx, hub) {
                        // What was listed while there was no way to a hub was not asked for.
                        cx.act(Act::List);
                    }
                    self.told_chosen(cx, hub, why);
                }
            }
        }
    }

    /// A hub answered, or a registration went on.
    pub(super) fn looked_at(&mut self, cx: &mut Context<'_>, hub: HubKey) {
        let Some(registration) = self.registrations.get(&hub).filter(|_| self.choice.is_several()) else {
            return;
        };
        let nbma = registration.path().map(|path| path.remote);
        let news = if registration.heard() == Some(cx.now) {
            self.choice.heard(cx.now, hub).then_some(true)
        } else {
            self.choice.asked(registration).then_some(false)
        };
        if let (Some(answers), Some(hub), true) = (news, nbma, hub != self.choice.active()) {
            cx.tell(Event::HubStandsBy { hub, answers });
        }
        if hub == self.choice.active() && registration.accepted() == cx.now {
            self.choice.accepted(cx.now);
        }
        self.choose(cx);
    }

    /// A hub that it went to has accepted it: it is there from now on, and leaves the one before.
    pub(super) fn arrive(&mut self, cx: &mut Context<'_>, hub: HubKey) {
        let Some(why) = self.choice.arrived(hub) else { return };
        let before = self.choice.take(cx, hub, why);
        self.is_silent = false;
        if let Some(left) = self.left.take().filter(|left| *left != hub) {
            self.enter_one(cx, left);
        }
        self.follow_uplink(cx);
        if let Some(registration) = self.registrations.get_mut(&before) {
            if why.is_forced() {
                registration.withdraw(cx, &self.settings, true);
            } else {
                registration.withdraw_later(cx);
                // That is told after all that was wanted before is done.
                cx.act(Act::ReadUses);
            }
            // What it sent before it hears that is taken; of one that is lost only its kernel may be left, and one that lost the
            // others does not hear from them that this client went.
            match registration.path() {
                Some(path) if why.is_forced() || why == WhyHub::Cut => self.reach.dismiss(cx, path.remote),
                Some(path) => self.reach.admit(cx, path.remote),
                None => {}
            }
            self.left = Some(before);
        }
        self.told_chosen(cx, hub, why);
        self.settle_left(cx);
    }

    /// The present hub asks whether this client is there, since another one has registered it, or does not know it any more.
    /// Whether that is the one that it goes to: then it says nothing, as if it were there already.
    pub(super) fn keeps_silent(&mut self) -> bool {
        let goes = self.choice.candidate().is_some();
        self.is_silent |= goes;
        goes
    }

    /// It stays at the present hub after all, which may have given it up.
    fn is_back(&mut self, cx: &mut Context<'_>) {
        let is_silent = core::mem::take(&mut self.is_silent);
        if let Some(registration) = self.registrations.get_mut(&self.choice.active()).filter(|_| is_silent) {
            registration.refresh(cx, &self.settings);
        }
    }

    fn told_chosen(&self, cx: &mut Context<'_>, hub: HubKey, why: WhyHub) {
        if let Some(path) = self.registrations.get(&hub).and_then(Registration::path) {
            cx.tell(Event::HubChosen { hub: path.remote, why });
        }
    }

    /// The hub that it left has confirmed that, or does not answer: it stands by.
    fn settle_left(&mut self, cx: &mut Context<'_>) {
        if let Some(hub) = self.left
            && self.registrations.get(&hub).is_some_and(Registration::is_over)
        {
            self.left = None;
            self.enter_one(cx, hub);
        }
        // What it still had to say there is said.
        let is_done = |registration: &&Registration| registration.is_withdrawn();
        let done = self.registrations.values().find(is_done).map(Registration::hub);
        if let Some(hub) = done.filter(|_| self.choice.is_several() && cx.sites.mac.is_some()) {
            self.enter_one(cx, hub);
        }
    }

    /// The present hub may be lost: all others are asked whether they are there.
    pub(super) fn ask_others(&mut self, cx: &mut Context<'_>) {
        for (_, registration) in self.registrations.iter_mut() {
            registration.inquire(cx, &self.settings);
        }
    }
}
