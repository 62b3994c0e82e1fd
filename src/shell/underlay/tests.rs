//! When the underlay looks, and whom it tells.

use super::*;
use crate::shell::netlink::{GreInfo, Kind, Netlink};
use crate::shell::wait::Bell;

const SECOND: Duration = Duration::from_secs(1);

/// A look, and whether the kernel had to be asked.
fn look(underlay: &mut Underlay, netlink: &mut Netlink, now: Instant) -> bool {
    let question = underlay.look(now);
    let asked = question.is_some();
    question.into_iter().for_each(|question| underlay.answered(now, question.ask(netlink)));
    underlay.ways(now);
    asked
}

/// The underlay of a spoke with many VNs on one hub, on the interface `lo`, after its first look.
fn on_lo(hub: &str) -> (Underlay, Netlink, Instant) {
    let mut text = format!(
        "config dmevpn 'main'\n\toption interface 'lo'\nconfig hub 'dc1'\n\toption address '{hub}'\n"
    );
    for n in 1..=80 {
        text +=
            &format!("config vn 'vn{n}'\n\toption vpn_id '{n}'\n\toption role 'spoke'\n\toption hub 'dc1'\n");
        text += &format!("\toption vni '{n}'\n\toption bridge 'br{n}'\n\toption vxlan 'vx{n}'\n");
    }
    let config = Config::parse("test", &text).unwrap();
    let mut names = Names::default();
    names.learn(&config);
    let mut underlay = Underlay::open(Bell::new().unwrap().waker()).unwrap();
    assert!(underlay.configure(&config, &names).is_empty());
    let (mut netlink, now) = (Netlink::open().unwrap(), Instant::from_millis(5000));
    assert!(look(&mut underlay, &mut netlink, now), "the first time");
    assert!(underlay.own.link.is_some(), "{:?}", underlay.own);
    (underlay, netlink, now)
}

#[test]
fn only_events_of_its_own_interface_make_it_look_and_not_too_often() {
    let (mut underlay, mut netlink, now) = on_lo("192.0.2.1");
    let lo = netlink.link_by_name("lo").unwrap().unwrap();
    let other = Link { index: lo.index + 1, name: "other".into(), ..lo.clone() };
    for event in [
        Kernel::Addresses { index: other.index },
        Kernel::LinkGone(other.clone()),
        Kernel::Link(other),
        Kernel::Link(lo.clone()),
    ] {
        underlay.event(now, &event);
        assert_eq!(underlay.due, None, "{event:?}");
    }
    assert!(!underlay.is_stale);
    for event in [
        Kernel::Addresses { index: lo.index },
        Kernel::Link(Link { up: !lo.up, ..lo.clone() }),
        Kernel::LinkGone(lo),
        Kernel::Overrun,
    ] {
        underlay.event(now, &event);
        assert_eq!(underlay.due, Some(now), "{event:?}");
        assert!(core::mem::take(&mut underlay.is_stale), "{event:?}");
        underlay.due = None;
    }
    for at_once in 1..AT_ONCE + 3 {
        underlay.event(now, &Kernel::Overrun);
        let paused = CHANGES_PAUSE * (at_once + 1).saturating_sub(AT_ONCE);
        assert_eq!(underlay.due, Some(now + paused), "one look was before these");
        assert!(underlay.hear(now + paused, &Sources::default()));
        assert!(look(&mut underlay, &mut netlink, now));
        assert_eq!(underlay.due, None);
    }
    // What changes while the kernel is asked is asked for after a pause, and another configuration's answer is none.
    let later = now + SECOND * 4;
    underlay.looks = Some(later + CHANGES_PAUSE * (AT_ONCE - 1));
    underlay.is_stale = true;
    let question = underlay.look(later).unwrap();
    underlay.event(later, &Kernel::Overrun);
    assert_eq!(underlay.look(later), None, "one question at a time");
    underlay.answered(later, question.clone().ask(&mut netlink));
    assert_eq!(underlay.due, Some(later + CHANGES_PAUSE * 2), "two looks");
    assert_eq!(underlay.look(later + SECOND), Some(question.clone()));
    let home = Question { interface: Some("other".into()), ..question }.ask(&mut netlink);
    underlay.answered(later + SECOND, home);
    assert!(underlay.is_stale && underlay.ways(later + SECOND).is_empty());
    assert!(underlay.own.link.is_some(), "{:?}", underlay.own);
}

/// A GRE device that was off has no neighbours any more, also where nobody saw it so.
#[test]
fn a_device_that_was_off_is_told_its_neighbours_again() {
    let mut text = "config dmevpn 'main'\n\toption transport 'device'\n\toption device 'gre1'\n".to_owned();
    text += "\toption nbma '10.0.0.1'\n";
    let (mut underlay, names) = (Underlay::open(Bell::new().unwrap().waker()).unwrap(), Names::default());
    underlay.configure(&Config::parse("test", &text).unwrap(), &names);
    let (mut netlink, now) = (Netlink::open().unwrap(), Instant::from_millis(5000));
    let info = GreInfo { local: Some([10, 0, 0, 1].into()), ..GreInfo::default() };
    let device = |up| Link {
        index: 999_999,
        name: "gre1".into(),
        up,
        kind: Kind::Gre(info.clone()),
        ..Link::default()
    };
    let mut answer = |underlay: &mut Underlay, question: Question, up| {
        let mut home = question.ask(&mut netlink);
        home.device = Ok(Some(device(up)));
        underlay.answered(now, home);
        underlay.ways(now);
    };
    let question = underlay.look(now).unwrap();
    answer(&mut underlay, question, true);
    assert_eq!((underlay.device_index(), underlay.take_was_off()), (Some(999_999), false));
    underlay.event(now, &Kernel::Link(device(false)));
    let question = underlay.look(now).unwrap();
    underlay.event(now, &Kernel::Link(device(true)));
    assert!(!underlay.take_was_off(), "the kernel is asked");
    answer(&mut underlay, question, true);
    assert!(underlay.take_was_off());
    assert!(!underlay.take_was_off(), "once");
}

#[test]
fn a_question_under_way_is_waited_for() {
    let (mut underlay, mut netlink, now) = on_lo("192.0.2.1");
    let configure = |underlay: &mut Underlay, interface: &str| {
        let text = format!("config dmevpn 'main'\n\toption interface '{interface}'\n");
        drop(underlay.configure(&Config::parse("test", &text).unwrap(), &Names::default()));
    };
    configure(&mut underlay, "nowhere");
    look(&mut underlay, &mut netlink, now);
    let again = underlay.deadline(now).expect("it is looked for again");
    configure(&mut underlay, "elsewhere");
    let question = underlay.look(now).unwrap();
    underlay.ways(now);
    assert!(!underlay.hear(again, &Sources::default()));
    assert_eq!(underlay.deadline(again), None);
    underlay.answered(again, question.ask(&mut netlink));
    underlay.ways(again);
    assert!(underlay.deadline(again) > Some(again));
}

#[test]
fn a_silent_hub_is_sought_once_for_all_its_vns() {
    let (mut underlay, mut netlink, begin) = on_lo("192.0.2.1");
    let hub = *underlay.hubs.keys().next().unwrap();
    assert_eq!(underlay.hubs.get(&hub).unwrap().spokes.len(), 80);
    let mut looks = 0;
    for ms in 0..60_000 {
        let now = begin + Duration::from_millis(ms);
        // More than a message a second for each of them.
        underlay.seek(now, hub, |_| false);
        if underlay.due.is_some() {
            looks += 1;
            assert!(!look(&mut underlay, &mut netlink, now), "nothing is listed for that");
        }
    }
    assert_eq!(looks, 6, "a look in ten seconds");
}

#[test]
fn a_hub_of_no_vn_is_told_of() {
    let (mut underlay, _, _) = on_lo("192.0.2.1");
    assert!(underlay.origins(|_| None).is_empty(), "the loopback interface leads nowhere");
    let hub = *underlay.hubs.keys().next().unwrap();
    let news = underlay.configure(&Config::parse("test", "").unwrap(), &Names::default());
    assert_eq!(news, [(hub, None)]);
    assert_eq!(underlay.trouble(None), underlay.own_trouble());
}

/// A point-to-point GRE device leads to one of two hubs: the other one is told of, by its name, and is not gone to.
#[test]
fn a_gre_device_with_a_remote_address_leads_nowhere_else() {
    let text = "config dmevpn 'main'\n\toption transport 'device'\n\toption device 'tunnel1'\n\
                config hub 'dc1'\n\toption address '203.0.113.1'\nconfig hub 'dc2'\n\toption address '203.0.113.2'\n\
                config vn 'lan'\n\toption vpn_id '1'\n\toption role 'spoke'\n\toption vni '100'\n\
                \toption bridge 'br-lan'\n\tlist hub 'dc1'\n\tlist hub 'dc2'\n";
    let config = Config::parse("test", text).unwrap();
    let mut names = Names::default();
    names.learn(&config);
    let mut underlay = Underlay::open(Bell::new().unwrap().waker()).unwrap();
    underlay.configure(&config, &names);
    let (mut netlink, now) = (Netlink::open().unwrap(), Instant::from_millis(5000));
    let lo = netlink.link_by_name("lo").unwrap().unwrap();
    let ip = |text: &str| Some(text.parse().unwrap());
    let (dc1, dc2) = (names.hub("dc1").unwrap(), names.hub("dc2").unwrap());
    let lan = names.vn("lan").unwrap();
    let mut with = |remote, news: &[(HubKey, bool)]| {
        let info = GreInfo { ipv6: false, local: ip("203.0.113.7"), remote, ikey: None, okey: None };
        let name = "tunnel1".to_owned();
        let link = Link { name, up: true, kind: Kind::Gre(info), ..lo.clone() };
        underlay.event(now, &Kernel::Link(link.clone()));
        let mut home = underlay.look(now).expect("it is another one").ask(&mut netlink);
        home.device = Ok(Some(link.clone()));
        underlay.answered(now, home);
        let told: Vec<_> = underlay.ways(now).into_iter().map(|(hub, path)| (hub, path.is_some())).collect();
        assert_eq!(told, news, "{remote:?}");
        underlay.event(now, &Kernel::Link(link));
        assert!(!underlay.is_stale, "it is the same");
        underlay.lack(lan).map(Cause::text)
    };
    assert_eq!(with(None, &[(dc1, true), (dc2, true)]), None, "a multipoint one");
    let lacks = "transport device: 'tunnel1' leads to 203.0.113.1 alone, not to hub 203.0.113.2";
    assert_eq!(with(ip("203.0.113.1"), &[(dc2, false)]).as_deref(), Some(lacks));
    assert!(
        with(ip("203.0.113.9"), &[(dc1, false)]).is_some_and(|lacks| lacks.contains("to 203.0.113.9 alone"))
    );
    assert_eq!(with(None, &[(dc1, true), (dc2, true)]), None);
}
