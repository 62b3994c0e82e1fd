//! What a spoke asks about a MAC at another hub, that hub is asked, and the spoke gets its answer. Hubs are answered about
//! a hub's own spokes alone, so no question goes round.

use super::super::super::client::Sender;
use super::super::super::context::{Context, Due, ServerDue};
use super::super::super::contract::statistics::increment;
use super::super::super::contract::way::Via;
use super::super::super::exchange::{Backoff, Inbound, KeyId, Request, Trust};
use super::super::super::limits::{ASKED, CROSS_ASKERS, CROSS_QUESTIONS, TokenBucket};
use super::super::super::sites::SiteId;
use super::super::super::timers::Alarm;
use super::super::{Server, mac};
use crate::time::Instant;
use crate::types::Vtep;
use crate::wire::nhrp::{Cie, Fault, Message, ProtocolAddress, Tags, code};
use core::time::Duration;

/// So often another hub is asked, a second apart. Then it is silent: so is this one, and whoever asked asks again.
const TRIES: u32 = 4;
const APART: Backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(1) };

/// What asks is no longer than this, in octets.
const LONGEST: usize = 512;

/// Who asked first, as it came.
#[derive(Debug)]
struct Waiting {
    via: Via,
    site: SiteId,
    trust: Trust,
    key: Option<KeyId>,
    octets: Vec<u8>,
}

impl Waiting {
    /// What was asked, unless its session ended meanwhile.
    fn asks(&self, cx: &Context<'_>) -> Option<Inbound<'_>> {
        let message = Message::parse(&self.octets).ok()?;
        cx.sites.member(self.site)?;
        let ours = cx.sites.get(self.site)?.tags.map(Tags::flipped);
        let asks = self.trust != Trust::Session || message.tags() == ours;
        let Waiting { via, site, trust, key, ref octets } = *self;
        asks.then_some(Inbound { via, site: Some(site), trust, key, message, octets })
    }
}

/// A question about one MAC.
#[derive(Debug)]
struct Question {
    address: ProtocolAddress,
    request: Request,
    next: Instant,
    waiting: Vec<Waiting>,
}

/// Those that are not answered yet.
#[derive(Debug)]
pub struct Questions {
    open: Vec<Question>,
    asked: TokenBucket,
    alarm: Alarm,
}

impl Default for Questions {
    fn default() -> Questions {
        Questions { open: Vec::new(), asked: TokenBucket::new(ASKED), alarm: Alarm::default() }
    }
}

impl Server {
    /// Asks the hub at `hub` what it was asked about an address. Who asks too much asks again.
    pub(in super::super) fn ask_hub(
        &mut self,
        cx: &mut Context<'_>,
        hub: SiteId,
        from: &Inbound<'_>,
        address: ProtocolAddress,
    ) {
        let Some(site) = from.site else { return };
        let hubs = self.mesh.peers.len().max(1);
        let open = &mut self.mesh.questions.open;
        let of_hub = open.iter().filter(|question| question.request.to() == hub);
        let (questions, askers) = of_hub.fold((0, 0), |(n, askers), q| (n + 1, askers + q.waiting.len()));
        // A hub that is silent takes no places of others; and nobody's question is that long.
        if askers >= CROSS_ASKERS / hubs || from.octets.len() > LONGEST {
            return increment(&mut cx.statistics.rx_rate_limited);
        }
        let waits =
            Waiting { via: from.via, site, trust: from.trust, key: from.key, octets: from.octets.to_vec() };
        if let Some(question) = open.iter_mut().find(|question| question.address == address) {
            // The newest of a site is the one to answer.
            question.waiting.retain(|waiting| waiting.site != site);
            question.waiting.push(waits);
            if question.request.to() == hub {
                return;
            }
            // It moved from one hub to another.
            (question.request, question.next) = (Request::new(cx, hub, address), cx.now);
        } else if questions < CROSS_QUESTIONS / hubs && self.mesh.questions.asked.take(cx.now).is_ok() {
            let request = Request::new(cx, hub, address);
            open.push(Question { address, request, next: cx.now, waiting: vec![waits] });
        } else {
            return increment(&mut cx.statistics.rx_rate_limited);
        }
        self.go_on_with_questions(cx);
    }

    /// Asks what is due, and gives up on hubs that are silent.
    pub(in super::super) fn go_on_with_questions(&mut self, cx: &mut Context<'_>) {
        while let Some(place) = self.mesh.questions.open.iter().position(|question| question.next <= cx.now) {
            let question = &mut self.mesh.questions.open[place];
            let is_asked = question.request.tries() < TRIES && ask(cx, question);
            if !is_asked {
                self.mesh.questions.open.swap_remove(place);
            }
        }
        self.arm_questions(cx);
    }

    /// Another hub answered. Whether it was asked.
    pub(in super::super) fn hub_answered(&mut self, cx: &mut Context<'_>, from: &Inbound<'_>) -> bool {
        let about = from.message.header.destination;
        let is_it = |question: &Question| question.request.is_answered(from.site, &from.message, about);
        let Some(place) = self.mesh.questions.open.iter().position(is_it) else { return false };
        let question = self.mesh.questions.open.swap_remove(place);
        self.arm_questions(cx);
        let cies = || from.message.cies();
        if cx.book.get(question.address).and_then(|entry| entry.site()) != Some(question.request.to()) {
            // It moved meanwhile.
            self.ask_anew(cx, &question);
            return true;
        }
        if cies().any(|cie| cie.code == code::PROHIBITED) {
            // It was started anew, and does not know who asks. Whoever asked asks again.
            increment(&mut cx.statistics.rx_resolve_reply_nak);
            self.doubt_peer(cx, from.via.path.remote);
            return true;
        }
        let found = cies().find(|cie| cie.code == code::OK && cie.nbma.is_some() && cie.vni.is_some());
        increment(match found {
            Some(_) => &mut cx.statistics.rx_resolve_reply_ack,
            None => &mut cx.statistics.rx_resolve_reply_nak,
        });
        self.pass_on(cx, &question, found.as_ref());
        true
    }

    pub(super) fn end_questions(&mut self, cx: &mut Context<'_>) {
        self.mesh.questions.open.clear();
        cx.timers.clear(&mut self.mesh.questions.alarm);
    }

    /// What a hub says of an address is not true any more: an answer that is under way is none. Of a range, or all, for `None`.
    pub(super) fn ended_under_way(
        &mut self,
        cx: &mut Context<'_>,
        hub: SiteId,
        address: Option<ProtocolAddress>,
    ) {
        let now = cx.now;
        for question in &mut self.mesh.questions.open {
            let is_it = address.is_none_or(|address| address == question.address);
            if question.request.to() == hub && is_it {
                question.request = Request::new(cx, hub, question.address);
                question.next = now;
            }
        }
        self.arm_questions(cx);
    }

    /// Whoever asked is answered as things are now.
    fn ask_anew(&mut self, cx: &mut Context<'_>, question: &Question) {
        for waiting in &question.waiting {
            let Some(from) = waiting.asks(cx) else { continue };
            // What is wrong with it would have been said before.
            let _: Result<(), Fault> = self.resolution(cx, &from);
        }
    }

    /// Answers whoever asked.
    fn pass_on(&mut self, cx: &mut Context<'_>, question: &Question, found: Option<&Cie>) {
        // What is at that hub itself, or beyond what its spokes reach directly, is behind this one for a spoke.
        let there = found.and_then(|cie| Some(Vtep { nbma: cie.nbma?, vni: cie.vni? }));
        let is_itself = there.is_some() && there == cx.sites.vtep(question.request.to());
        for waiting in &question.waiting {
            let Some(from) = waiting.asks(cx) else { continue };
            self.answer_for_hub(cx, &from, question.address, found, is_itself);
        }
    }

    fn arm_questions(&mut self, cx: &mut Context<'_>) {
        let questions = &mut self.mesh.questions;
        match questions.open.iter().map(|question| question.next).min() {
            Some(next) => cx.arm(&mut questions.alarm, next, Due::Server(ServerDue::Questions)),
            None => cx.timers.clear(&mut questions.alarm),
        }
    }
}

/// Sends the question, or sends it again. Whether there is a way.
fn ask(cx: &mut Context<'_>, question: &mut Question) -> bool {
    let hub = question.request.to();
    let vni = cx.sites.member(hub).and_then(|member| member.uplink());
    let (Some(via), Some(vni), Some(own)) = (cx.sites.via(hub), vni, cx.sites.mac) else { return false };
    let Some(wanted) = mac(question.address) else { return false };
    question.next = question.request.sent(cx, APART);
    Sender { hub, via, vni, mac: own }.question(cx, question.request.id(), wanted);
    increment(&mut cx.statistics.tx_resolve_req);
    true
}
