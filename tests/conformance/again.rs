//! A new session asks again for what was said before it.

use super::*;
use dmevpn::engine::{Act, Effect, Input, News, Place};
use dmevpn::types::Mac;
use dmevpn::wire::nhrp::{Message, ProtocolAddress};
use std::collections::BTreeMap;

/// The questions among these packets, in their order.
pub fn asked(sent: &[Sent]) -> Vec<Mac> {
    let questions = sent.iter().filter(|sent| sent.header().kind == Kind::ResolutionRequest);
    let about = |sent: &Sent| match sent.header().destination {
        Some(ProtocolAddress::Mac(mac)) => mac,
        other => panic!("a question for {other:?}"),
    };
    questions.map(about).collect()
}

pub fn station(n: u16) -> ProtocolAddress {
    let [a, b] = n.to_be_bytes();
    ProtocolAddress::Mac(Mac::new([0x52, 0x54, 0, 1, a, b]).expect("unicast"))
}

fn station_mac(n: u16) -> Mac {
    let [a, b] = n.to_be_bytes();
    Mac::new([0x52, 0x54, 0, 1, a, b]).expect("unicast")
}

/// A spoke with so many shortcuts to one site.
fn spoke_with(count: u16) -> Driven {
    let mut spoke = Driven::registered();
    for n in 0..count {
        spoke.now = spoke.now + Duration::from_millis(10);
        spoke.heard(station_mac(n));
        let question = spoke.one();
        spoke.hear_from_hub(&answer(&question.bytes, &[at(vtep("10.0.0.3", 101), 600)]));
    }
    spoke
}

/// Its hub was started again, and knows it now.
fn registers_again(spoke: &mut Driven) {
    let header = Message::parse(&purge(0, 0xff, None)).unwrap().header;
    let restarted = write(&header, |w| {
        w.cie(&Cie { prefix: 0xff, address: Some(address(HUB_MAC)), ..Cie::default() });
    });
    let sent = spoke.hear_from_hub(&restarted);
    let request = sent.iter().find(|sent| sent.header().kind == Kind::RegistrationRequest);
    let request = request.expect("it doubts that it is registered").bytes.clone();
    let sent = spoke.hear_from_hub(&accepted(&request, vni(9000)));
    assert_eq!(asked(&sent), [], "how shortcuts are used is not known yet");
}

/// The first question for each MAC, and when, within so long. The kernel says of all whether they were `used`.
fn questions_within(
    spoke: &mut Driven,
    time: Duration,
    used: impl Fn(Mac) -> bool,
) -> BTreeMap<Mac, Duration> {
    let (start, end) = (spoke.now, spoke.now + time);
    let mut all = BTreeMap::new();
    let mut note = |spoke: &Driven| {
        for mac in asked(&spoke.sent()) {
            all.entry(mac).or_insert(spoke.now.since(start));
        }
    };
    loop {
        for act in acts(spoke) {
            let Act::ReadUse(mac) = act else { continue };
            let idle = if used(mac) { SECOND } else { 300 * SECOND };
            spoke.input(Input::News { vn: VN, news: News::Use { mac, idle, age: 500 * SECOND } });
            note(spoke);
        }
        let Some(next) = spoke.engine.deadline().filter(|next| *next <= end) else { return all };
        spoke.now = spoke.now.max(next);
        spoke.input(Input::Tick);
        note(spoke);
    }
}

/// What is in use first and at once; all within ten seconds, and no entry of the kernel is touched by answers that say the
/// same as before.
#[test]
fn what_is_in_use_is_asked_for_first_and_all_within_ten_seconds() {
    for count in [1, 7, 100, 600] {
        let mut spoke = spoke_with(count);
        registers_again(&mut spoke);
        let is_used = |mac: Mac| mac.octets()[5] % 10 == 3;
        let questions = questions_within(&mut spoke, 10 * SECOND, is_used);
        assert_eq!(questions.len(), count.into(), "each of {count}");
        let late = questions.iter().find(|(mac, at)| is_used(**mac) && **at > SECOND);
        assert_eq!(late, None, "{count}");
    }
}

#[test]
fn questions_are_spread() {
    let mut spoke = spoke_with(100);
    registers_again(&mut spoke);
    let questions = questions_within(&mut spoke, 10 * SECOND, |_| false);
    let in_a_second = |from: u32| {
        let of = from * SECOND..(from + 1) * SECOND;
        questions.values().filter(|at| of.contains(at)).count()
    };
    assert!((0..10).all(|second| in_a_second(second) <= 14), "{questions:?}");
}

/// Refreshed, a shortcut stays as it is in the kernel.
#[test]
fn an_answer_that_says_the_same_changes_nothing() {
    let mut spoke = spoke_with_shortcut();
    registers_again(&mut spoke);
    let question = spoke.pass(10 * SECOND).remove(0);
    spoke.hear_from_hub(&answer(&question.bytes, &[at(vtep("10.0.0.3", 101), 600)]));
    assert_eq!(spoke.changed().count(), 0);
    let told = spoke.out.iter().filter(|e| matches!(e, Effect::Tell { .. })).count();
    assert_eq!(told, 1, "that it was resolved, and nothing of a shortcut");
}

/// What the hub does not confirm does not stay.
#[test]
fn what_the_hub_does_not_confirm_goes() {
    let mut spoke = spoke_with_shortcut();
    registers_again(&mut spoke);
    let question = spoke.pass(10 * SECOND).remove(0);
    spoke.hear_from_hub(&answer(&question.bytes, &[Cie::nak(12)]));
    assert_eq!(spoke.shortcut(mac(STATION)), None);
}

/// Nobody tells when an answer of before the session becomes untrue: that the hub is silent is no reason to rely on it. All
/// else is asked for five times.
#[test]
fn what_was_said_before_is_asked_for_until_there_is_an_answer() {
    let mut spoke = spoke_with_shortcut();
    registers_again(&mut spoke);
    let questions = spoke.pass(200 * SECOND);
    assert!(asked(&questions).len() > 6, "{}", questions.len());
    let last = questions.iter().rfind(|s| s.header().kind == Kind::ResolutionRequest).unwrap();
    spoke.hear_from_hub(&answer(&last.bytes, &[at(vtep("10.0.0.4", 101), 600)]));
    assert_eq!(spoke.shortcut(mac(STATION)), Some(vtep("10.0.0.4", 101)));
    let resolve = Input::Order(dmevpn::engine::Order::Resolve { vn: VN, mac: mac(STATION) });
    spoke.input(resolve);
    let first = asked(&spoke.sent()).len();
    assert_eq!(first + asked(&spoke.pass(100 * SECOND)).len(), 5);
}

/// A session that begins while another one's questions are under way asks for all once more.
#[test]
fn each_session_asks_for_all() {
    let mut spoke = spoke_with(20);
    registers_again(&mut spoke);
    for question in spoke.pass(10 * SECOND) {
        if question.header().kind == Kind::ResolutionRequest {
            spoke.hear_from_hub(&answer(&question.bytes, &[at(vtep("10.0.0.3", 101), 600)]));
        }
    }
    spoke.now = spoke.now + 30 * SECOND;
    registers_again(&mut spoke);
    let mut macs = asked(&spoke.pass(10 * SECOND));
    macs.sort();
    macs.dedup();
    assert_eq!(macs.len(), 20);
}

/// What was forgotten meanwhile, or is here now, is not asked for.
#[test]
fn what_went_meanwhile_is_not_asked_for() {
    let mut spoke = spoke_with_shortcut();
    registers_again(&mut spoke);
    spoke.input(Input::News { vn: VN, news: News::Fdb { mac: mac(STATION), place: Place::Local } });
    assert_eq!(asked(&spoke.pass(10 * SECOND)), []);
}
