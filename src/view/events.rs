//! What happens: `dmevpn monitor` and `dmevpn events`.

use super::facts::Happening;
use super::writer::{List, Object, line};
use crate::control::Form;
use crate::control::words::{
    between, level, looped, refusal, rivals, sentence, time_of_day, trouble, why, why_hub, why_not,
};
use crate::engine::report::LoopReport;
use crate::engine::{Event, Refusal, Table};
use crate::types::{Mac, Nbma, Vni, Vtep};
use crate::wire::nhrp::code;
use core::fmt::{Display, Write};

/// A line of `dmevpn monitor`.
pub fn happening(out: &mut String, form: Form, happening: &Happening<'_>) {
    match form {
        Form::Text { .. } => text(out, happening),
        Form::Json => line(out, |o| happened(o, happening)),
    }
}

/// What a monitor is told that was too slow for `missed` happenings.
pub fn missed(out: &mut String, form: Form, at: u64, missed: u64) {
    let said = format!("{missed} events are left out here: this reader is too slow");
    match form {
        Form::Text { .. } => drop(writeln!(out, "{} {said}", time_of_day(at))),
        Form::Json => line(out, |o| {
            members(o, at, "", log::Level::Warn, &said, &Told::of("missed"));
            o.put("missed", &missed);
        }),
    }
}

/// `dmevpn events`, while it is written.
#[derive(Debug)]
pub enum Events {
    /// For people: a line each.
    Text,
    /// For programs.
    Json(List),
}

impl Events {
    /// The beginning; the last happening is the one of number `last`.
    pub fn begin(out: &mut String, form: Form, last: u64) -> Events {
        match form {
            Form::Text { .. } => Events::Text,
            Form::Json => Events::Json(List::begin(out, "events", |o| o.put("last", &last))),
        }
    }

    /// One that happened.
    pub fn row(&mut self, out: &mut String, happening: &Happening<'_>) {
        match self {
            Events::Text => text(out, happening),
            Events::Json(list) => list.row(out, |o| happened(o, happening)),
        }
    }

    /// The end.
    pub fn end(&mut self, out: &mut String) {
        if let Events::Json(list) = self {
            list.end_line(out);
        }
    }
}

fn text(out: &mut String, happening: &Happening<'_>) {
    let _ = writeln!(out, "{} {}: {}", time_of_day(happening.at), happening.vn, sentence(&happening.event));
}

fn happened(o: &mut Object<'_>, happening: &Happening<'_>) {
    let Happening { at, vn, event } = happening;
    members(o, *at, vn, level(event), &sentence(event), &told(event));
}

fn members(o: &mut Object<'_>, at: u64, vn: &str, level: log::Level, text: &dyn Display, told: &Told) {
    let level = match level {
        log::Level::Error | log::Level::Warn => "warn",
        log::Level::Info => "info",
        log::Level::Debug | log::Level::Trace => "debug",
    };
    o.put("at", &at);
    o.put("vn", &vn);
    o.put("event", &told.name);
    o.put("level", &level);
    o.text("text", text);
    o.put("mac", &told.mac);
    o.put("nbma", &told.nbma);
    o.put("vni", &told.vni);
    o.put("uplink_vni", &told.uplink_vni);
    o.put("valid", &told.valid);
    o.put("reason", &told.reason);
    o.put("reason_code", &told.reason_code);
}

/// The number that stands in the packet.
pub(super) fn number(refusal: Refusal) -> u16 {
    match refusal {
        Refusal::Nak(code) => code.into(),
        Refusal::Error(code) => code,
        Refusal::Translated { .. } | Refusal::NotAllowed(_) | Refusal::OtherKey(_) | Refusal::Untagged => {
            code::PROHIBITED.into()
        }
        Refusal::NoSession => code::OK.into(),
    }
}

/// What an event has to tell, key by key.
#[derive(Default)]
struct Told {
    name: &'static str,
    mac: Option<Mac>,
    nbma: Option<Nbma>,
    vni: Option<Vni>,
    uplink_vni: Option<Vni>,
    valid: Option<u16>,
    reason: Option<String>,
    reason_code: Option<u16>,
}

impl Told {
    fn of(name: &'static str) -> Told {
        Told { name, ..Told::default() }
    }

    fn mac(self, mac: Mac) -> Told {
        Told { mac: Some(mac), ..self }
    }

    fn nbma(self, nbma: Nbma) -> Told {
        Told { nbma: Some(nbma), ..self }
    }

    fn at(self, vtep: Vtep) -> Told {
        Told { nbma: Some(vtep.nbma), vni: Some(vtep.vni), ..self }
    }

    fn by(self, found: &LoopReport) -> Told {
        let told = found.spoke.map_or_else(Told::default, |spoke| Told::default().at(spoke));
        Told { name: self.name, ..told }.reason(&looped(found).to_string())
    }

    fn because(self, reason: Refusal) -> Told {
        Told { reason: Some(refusal(reason).to_string()), reason_code: Some(number(reason)), ..self }
    }

    fn reason(self, reason: &str) -> Told {
        Told { reason: Some(reason.into()), ..self }
    }
}

fn told(event: &Event) -> Told {
    match *event {
        Event::Registered { uplink } => {
            Told { uplink_vni: Some(uplink.vni), ..Told::of("registered").nbma(uplink.nbma) }
        }
        Event::Refused { hub, reason } => Told::of("refused").nbma(hub).because(reason),
        Event::RegistrationLost { hub } => {
            Told::of("registration_lost").nbma(hub).reason("the hub did not answer within the holding time")
        }
        Event::NoAnswer { hub, signed } => {
            let told = Told::of("no_answer").nbma(hub);
            if signed { told.reason("the key may be wrong") } else { told }
        }
        Event::HubChosen { hub, why } => Told::of("hub_chosen").nbma(hub).reason(why_hub(why)),
        Event::HubStandsBy { hub, answers: true } => Told::of("hub_answers").nbma(hub),
        Event::HubStandsBy { hub, answers: false } => Told::of("hub_silent").nbma(hub),
        Event::Withdrawn => Told::of("withdrawn"),
        Event::Asked { mac } => Told::of("asked").mac(mac),
        Event::Resolved { mac, at, holding } => {
            Told { valid: Some(holding), ..Told::of("resolved").mac(mac).at(at) }
        }
        Event::NotResolved { mac, reason } => Told {
            reason: Some(why_not(reason).to_string()),
            reason_code: reason.map(number),
            ..Told::of("not_resolved").mac(mac)
        },
        Event::ShortcutUp { mac, to } => Told::of("shortcut_up").mac(mac).at(to),
        Event::ShortcutDown { mac, why: reason } => Told::of("shortcut_down").mac(mac).reason(why(reason)),
        Event::PathUp { peer, .. } => Told::of("path_up").at(peer),
        Event::PathDown { peer, trouble: what, .. } => Told::of("path_down").at(peer).reason(trouble(what)),
        Event::SpokeUp { spoke, uplink } => {
            Told { uplink_vni: Some(uplink), ..Told::of("spoke_up").at(spoke) }
        }
        Event::SpokeMoved { from, to, uplink } => {
            let told = Told::of("spoke_moved").at(to).reason(&format!("it was {from}"));
            Told { uplink_vni: Some(uplink), ..told }
        }
        Event::HubUp { hub, uplink } => Told { uplink_vni: Some(uplink), ..Told::of("hub_up").at(hub) },
        Event::HubDown { hub, why: reason } => Told::of("hub_down").at(hub).reason(why(reason)),
        Event::SpokeDown { spoke, why: reason } => Told::of("spoke_down").at(spoke).reason(why(reason)),
        Event::SpokeRefused { spoke, reason, .. } => Told::of("spoke_refused").nbma(spoke).because(reason),
        Event::ManySites { spoke, most } => Told::of("many_sites")
            .at(spoke)
            .reason(&format!("{most} sites have the address (max_vnis_per_address)")),
        Event::SecondSite { spoke, registered } => Told::of("second_site")
            .at(spoke)
            .reason(&format!("vni {registered} has the address, and kmod takes one")),
        Event::MacMoved { mac, to: Some(to) } => Told::of("mac_moved").mac(mac).at(to),
        Event::MacMoved { mac, to: None } => Told::of("mac_moved").mac(mac),
        Event::Restless { mac, from, to } => {
            let told = Told::of("mac_restless").mac(mac);
            let told = told.reason(&format!("it moves to and fro, {}", between(from, to)));
            match to.or(from) {
                Some(to) => told.at(to),
                None => told,
            }
        }
        Event::Looped(found) => Told::of("loop").by(&found),
        Event::LoopOver(found) => Told::of("loop_over").by(&found),
        Event::Rivals(both) => {
            let told = Told::of("mac_twice").mac(both.mac).reason(&rivals(&both).to_string());
            told.at(both.second.unwrap_or(both.first))
        }
        Event::SpokeKnown { spoke, name, key } => {
            Told::of("spoke_known").at(spoke).reason(&format!("it is {name}, by key {key}"))
        }
        Event::KeysOptional { unsigned } => {
            Told::of("keys_optional").reason(&format!("{unsigned} spokes speak without a key"))
        }
        Event::Full(Table::Macs) => Told::of("macs_full"),
        Event::Full(Table::Spokes) => Told::of("spokes_full"),
        Event::Full(Table::Purges) => Told::of("purges_full"),
        Event::PeerError { peer, code } => Told::of("peer_error").nbma(peer).because(Refusal::Error(code)),
    }
}
