//! For people: status, tables, events.

use super::samples::*;
use super::{FILE, json::listed, written};
use dmevpn::control::{Cause, Form};
use dmevpn::engine::report::{
    HubReport, KeysReport, LoopReport, RestlessReport, SpokeReport, Standing, Trouble,
};
use dmevpn::engine::{Event, Refusal, Rivals, Why};
use dmevpn::types::Label;
use dmevpn::view::{self, Failure, Happening, Listing, RoleStatus, Rows, Status, VnStatus};

const WIDE: Form = Form::Text { columns: 80 };
const NARROW: Form = Form::Text { columns: 40 };

fn status_text(form: Form, status: &Status) -> String {
    written(|out| view::status(out, form, status))
}

#[test]
fn status_says_what_is_wrong_first_and_what_to_do() {
    let mut status = a_day_like_any_other();
    status.vns.remove(1);
    let text = status_text(FILE, &status);
    let expected = "\
dmevpn 0.1.0, up 2h 14m, /etc/config/dmevpn, transport raw, 10.0.0.2,
user dmevpn, confined
  guard   frames of known sites alone, 17 of others dropped

VN cam: spoke of dc1 (10.0.0.1), not registered for 34 s
  why     no answer from 10.0.0.1 to 4 requests
  do      see whether the hub has key hq, with this secret (it is silent
          without), runs dmevpn and can be reached (ping 10.0.0.1), and whether
          GRE (IP protocol 47) passes the firewalls on the way
  macs    12 shortcuts, 0 being asked for, 1 unknown to the hub
  site    vpn-id ac-de-48:3, vni 100, bridge br-cam, device vx-cam

VN guest: spoke of dc1 (10.0.0.1), waiting for its device for 2h 13m
  why     bridge 'br-guest' does not exist
  do      make the bridge, or correct option 'bridge'; it is used once it is
          there
  macs    12 shortcuts, 0 being asked for, 1 unknown to the hub
  site    vpn-id 4, vni 100, bridge br-guest

VN test: spoke of dc1 (10.0.0.1), registered for 2h 13m
  hub     valid for 410 s more, uplink vni 1048576, signed by hq
  macs    12 shortcuts, 0 being asked for, 1 unknown to the hub
  site    vpn-id 1, vni 100, bridge br-test 52:54:00:00:00:02, device vx-test

VN core: hub, up for 2h 13m
  spokes  3 registered, 1000 at most, 2 IP clients, 2 own keys
  macs    40 known
  site    vpn-id 5, bridge br-core, data plane bridge (as configured)
";
    assert_eq!(text, expected);
    assert!(text.lines().all(|line| line.len() <= 80));
}

#[test]
fn status_says_which_hub_and_why() {
    let text = status_text(FILE, &daemon(vec![vn("test", "1", spoke_of_three())]));
    let expected = "\
VN test: spoke of dc2 (10.0.0.2), registered for 60 s
  hub     valid for 410 s more, uplink vni 1048577, signed by hq
  hubs    dc1 silent for 64 s, the last return there went wrong, the next in
          19m 0s at the earliest, dc2 in use,
          dc3 answered 7 s ago, sends its spokes away,
          for 60 s: frames did not get to the one before and back
";
    assert!(text.contains(expected), "{text}");
}

/// One of several hubs cannot be reached as this router is set up: it works, and somebody is to look.
#[test]
fn status_says_which_hub_nothing_leads_to() {
    let nbma = |text: &str| text.parse().unwrap();
    let lack = Cause::OtherEnd { device: "tunnel1".into(), end: nbma("10.0.0.2"), hub: nbma("10.0.0.3") };
    let status = daemon(vec![VnStatus { lack: Some(lack), ..vn("test", "1", spoke_of_three()) }]);
    let text = status_text(FILE, &status);
    let expected = "\
VN test: spoke of dc2 (10.0.0.2), registered for 60 s
  why     transport device: 'tunnel1' leads to 10.0.0.2 alone, not to hub
          10.0.0.3
  do      correct its remote address, or that of the hub; for several hubs use
          transport 'raw', or GRE over IPv4 without a remote address
";
    assert!(text.contains(expected), "{text}");
    let all = dmevpn::view::doctor::of_status(&status);
    let said = all.iter().find(|one| one.what == "VN test").unwrap();
    assert!(said.level != dmevpn::view::doctor::Level::Well && said.text.contains("not to hub 10.0.0.3"));
    assert!(said.hint.as_ref().is_some_and(|hint| hint.contains("transport 'raw'")), "{said:?}");
}

/// A hub among several works on an old kernel, but not as well as on a newer one.
#[test]
fn status_says_what_the_kernel_lacks() {
    let status = daemon(vec![VnStatus { lack: Some(Cause::NoLocks), ..vn("core", "5", hub()) }]);
    let text = status_text(FILE, &status);
    let expected = "\
  why     what a spoke sends while it comes over from another hub may arrive
          twice: this kernel does not lock ports of a bridge
  do      use Linux 5.18 or newer at hubs with 'list peer'
";
    assert!(text.contains(expected), "{text}");
    let all = dmevpn::view::doctor::of_status(&status);
    let said = all.iter().find(|one| one.what == "VN core").unwrap();
    assert!(
        said.level == dmevpn::view::doctor::Level::Warning && said.text.contains("lock ports"),
        "{said:?}"
    );
}

#[test]
fn status_says_whose_packets_make_no_sense() {
    let status = Status { odd: odd()[..2].to_vec(), ..daemon(vec![vn("core", "5", hub())]) };
    let text = status_text(FILE, &status);
    let expected = "\
  odd     10.0.0.7 sends packets in the format of the dmevpn in C, which is not
          understood, 12 packets, 40 s ago
  do      run this program there, too
  odd     10.0.0.7 sends packets that are malformed, 12 packets, 40 s ago
  do      see what it is: tcpdump -ni any proto 47

VN core:";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn status_says_what_an_mtu_does() {
    for (mtu, words) in
        [(1400, "mtu 1400, and larger packets of stations are dropped"), (9000, "mtu 9000,"), (1500, "")]
    {
        let text = status_text(FILE, &daemon(vec![VnStatus { mtu, ..vn("core", "5", hub()) }]));
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(words) && (mtu == 1500) != text.contains("mtu"), "{text}");
    }
}

#[test]
fn status_of_many_vns_has_a_line_for_each_that_is_well() {
    let mut status = a_day_like_any_other();
    status.vns.retain(|vn| vn.name != "lab" && vn.name != "cam");
    for n in 1..=11 {
        let registered = report(Standing::Registered { left: 410, unanswered: 0 }, 7980);
        status.vns.push(vn(&format!("floor{n}"), &format!("{}", 10 + n), spoke("10.0.0.1", registered)));
    }
    let text = status_text(FILE, &status);
    let expected = "
VN guest: spoke of dc1 (10.0.0.1), waiting for its device for 2h 13m
  why     bridge 'br-guest' does not exist
  do      make the bridge, or correct option 'bridge'; it is used once it is
          there
  macs    12 shortcuts, 0 being asked for, 1 unknown to the hub
  site    vpn-id 4, vni 100, bridge br-guest

VN test: spoke of dc1 (10.0.0.1), registered for 2h 13m, 12 shortcuts
VN core: hub, up for 2h 13m, 3 spokes
VN floor1: spoke of dc1 (10.0.0.1), registered for 2h 13m, 12 shortcuts
";
    assert!(text.contains(expected), "{text}");
    assert!(text.lines().count() <= 24, "{text}");
}

/// A spoke as it usually is, and a hub with three VNs, all three in trouble.
#[test]
fn status_fits_a_screen() {
    let fits = |status: &Status| {
        let text = status_text(WIDE, status);
        assert!(text.lines().count() <= 24 && text.lines().all(|line| line.len() <= 80), "{text}");
    };
    let mut status = a_day_like_any_other();
    status.vns.truncate(3);
    fits(&status);
    let hub = |name: &str, id| VnStatus {
        trouble: Some(Cause::NotABridge(format!("br-{name}"))),
        ..vn(name, id, hub())
    };
    fits(&daemon(vec![hub("a", "1"), hub("b", "2"), hub("c", "3")]));
}

#[test]
fn status_says_nothing_twice_and_nothing_of_nothing() {
    let cause = || Some(Cause::NoInterface("wan".into()));
    let waiting = SpokeReport { shortcuts: 0, negative: 0, ..report(Standing::NoAddress, 7) };
    let vns = vec![
        VnStatus { trouble: cause(), ..vn("test", "1", spoke("10.0.0.1", waiting)) },
        VnStatus { trouble: cause(), ..vn("core", "2", hub()) },
    ];
    let text = status_text(FILE, &Status { trouble: cause(), ..daemon(vns) });
    let expected = "
  why     interface 'wan' does not exist
  do      correct option 'interface', or bring that network up

VN test: spoke of dc1 (10.0.0.1), not registered for 7 s
  site    vpn-id 1, vni 100, bridge br-test, device vx-test

VN core: hub, down for 2h 13m
  spokes  3 registered, 1000 at most, 2 IP clients, 2 own keys
  macs    40 known
  site    vpn-id 2, bridge br-core, data plane bridge (as configured)
";
    assert!(text.ends_with(expected), "{text}");
}

#[test]
fn status_of_a_narrow_screen_is_not_garbled() {
    let text = status_text(NARROW, &a_day_like_any_other());
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&text), words(&status_text(FILE, &a_day_like_any_other())));
    assert!(text.lines().all(|line| line.len() <= 40), "{text}");
    let expected = "\
VN cam: spoke of dc1 (10.0.0.1),
        not registered for 34 s
  why     no answer from 10.0.0.1 to 4
          requests
  do      see whether the hub has key
          hq, with this secret (it is
          silent without), runs dmevpn
          and can be reached (ping
          10.0.0.1), and whether GRE (IP
          protocol 47) passes the
          firewalls on the way
";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn status_of_the_rarer_states() {
    let said = |standing, hub: Option<&str>| {
        let report = SpokeReport { hub: hub.and_then(|hub| hub.parse().ok()), ..report(standing, 7) };
        let text = status_text(FILE, &daemon(vec![vn("test", "1", spoke("hub.example.net", report))]));
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let (_, vn) = words.split_once("VN test: spoke of dc1 (hub.example.net").unwrap();
        vn.split(" macs ").next().unwrap().to_string()
    };
    assert_eq!(
        said(Standing::NoAddress, None),
        "), not registered for 7 s why the address of hub.example.net is not known \
         do look whether this router's DNS knows it: nslookup hub.example.net"
    );
    assert_eq!(
        said(Standing::NoAddress, Some("10.0.0.1")),
        " 10.0.0.1), not registered for 7 s why no own address leads to 10.0.0.1 \
         do look for the way there: ip route get 10.0.0.1"
    );
    assert_eq!(said(Standing::Registering { unanswered: 0 }, None), "), registering for 7 s");
    assert!(
        said(Standing::Registered { left: 90, unanswered: 1 }, None).starts_with(
            "), registered for 7 s why no answer from hub.example.net to 1 request do see whether"
        )
    );
    assert!(
        said(Standing::Registered { left: 90, unanswered: 1 }, None)
            .ends_with(" hub lost in 90 s, uplink vni 1048576, signed by hq")
    );
    assert_eq!(said(Standing::Withdrawing, None), "), withdrawing its registration for 7 s");
    let refused = |reason| said(Standing::Refused { reason, retry: 20 }, None);
    assert_eq!(
        refused(Refusal::Error(17)),
        "), refused for 7 s why error 17, the VN is not configured there (vpn_id of both ends?) \
         do compare 'vpn_id' and 'vpn_mode' with the hub's hub next try in 20 s"
    );
    assert_eq!(
        refused(Refusal::Nak(14)),
        "), refused for 7 s why NAK 14, another router registered this MAC \
         do one is a copy of the other: on one of them stop dmevpn, delete the file of option 'state_file', \
         and start it again hub next try in 20 s"
    );
    let (comes_from, names) = ("198.51.100.7".parse().unwrap(), "10.0.0.2".parse().unwrap());
    let translated = Refusal::Translated { comes_from, names };
    assert!(
        refused(translated).starts_with(
            "), refused for 7 s why comes from 198.51.100.7, names 10.0.0.2: NAT between do give"
        )
    );
    let full = RoleStatus::Hub {
        dataplane: "bridge".into(),
        dataplane_reason: "as configured".into(),
        report: HubReport {
            since: 1,
            spokes: 10,
            max_spokes: 10,
            ip_clients: 0,
            ip_crowd: None,
            is_draining: false,
            peers: (0, 0),
            path_trouble: None,
            macs: 0,
            purges: 1,
            refused: None,
            keys: KeysReport::default(),
            rivals: vec![],
            restless: None,
            looped: None,
        },
    };
    let text = status_text(FILE, &daemon(vec![vn("test", "1", full)]));
    assert!(text.contains("  why     it is full: 10 spokes are registered, further ones are refused\n"));
    assert!(text.contains("  do      raise 'max_spokes' of this VN\n"), "{text}");
    assert!(text.contains("0 known, 1 purge not confirmed yet\n"), "{text}");
    let refuses = RoleStatus::Hub {
        dataplane: "bridge".into(),
        dataplane_reason: "as configured".into(),
        report: HubReport {
            since: 1,
            spokes: 1,
            max_spokes: 10,
            ip_clients: 0,
            ip_crowd: None,
            is_draining: false,
            peers: (0, 0),
            path_trouble: None,
            macs: 0,
            purges: 0,
            refused: Some(translated),
            keys: KeysReport::default(),
            rivals: vec![],
            restless: None,
            looped: None,
        },
    };
    let status = daemon(vec![vn("test", "1", refuses)]);
    let text = status_text(FILE, &status).split_whitespace().collect::<Vec<_>>().join(" ");
    let words = "one is refused: comes from 198.51.100.7, names 10.0.0.2: NAT between";
    assert!(text.contains(words), "{text}");
}

/// Both routers that have one MAC are told, and their hub.
#[test]
fn status_of_two_routers_with_one_mac() {
    let words = |role| {
        let text = status_text(FILE, &daemon(vec![vn("test", "1", role)]));
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let both = "two routers have MAC 52:54:00:00:00:01: 10.0.0.2 vni 100 and 10.0.0.3 vni 101";
    let hint = "do one is a copy of the other: on one of them stop dmevpn, delete the file of option 'state_file', \
                and start it again";
    let standing = Standing::Registered { left: 410, unanswered: 0 };
    let holder = SpokeReport { rivals: Some(rivals()), ..report(standing, 7) };
    let said = words(spoke("10.0.0.1", holder.clone()));
    assert!(said.contains(&format!("registered for 7 s why {both} {hint} hub valid for")), "{said}");
    let unknown = SpokeReport { rivals: Some(Rivals { second: None, ..rivals() }), ..holder.clone() };
    assert!(words(spoke("10.0.0.1", unknown)).contains("10.0.0.2 vni 100 and another one do one is"));
    let standing = Standing::Refused { reason: Refusal::Nak(14), retry: 20 };
    let said = words(spoke("10.0.0.1", SpokeReport { standing, ..holder }));
    assert!(said.contains(&format!("another router registered this MAC; {both} {hint}")), "{said}");
    let report = HubReport {
        since: 1,
        spokes: 2,
        max_spokes: 10,
        ip_clients: 0,
        ip_crowd: None,
        is_draining: false,
        peers: (1, 2),
        path_trouble: Some(("10.0.0.9".parse().unwrap(), Trouble::NhrpOnly)),
        macs: 0,
        purges: 0,
        refused: None,
        keys: KeysReport::default(),
        rivals: vec![rivals(), Rivals { mac: mac(2), ..rivals() }],
        restless: None,
        looped: None,
    };
    let said = words(RoleStatus::Hub { dataplane: "bridge".into(), dataplane_reason: "x".into(), report });
    assert!(said.contains(&format!("why {both}; two routers have MAC 52:54:00:00:00:02: ")), "{said}");
    assert!(said.contains(hint), "{said}");
    // The other hubs.
    let cut = "; it is linked to 1 of 2 other hubs; path to hub 10.0.0.9: NHRP passes, VXLAN does not: does a firewall drop UDP 4789 ('udp_port')?";
    assert!(said.contains(cut) && said.contains("hubs linked to 1 of 2 others"), "{said}");
}

/// What moves to and fro, and the loop that it comes of, once that is known.
#[test]
fn status_of_a_loop() {
    let words = |report| {
        let text = status_text(FILE, &daemon(vec![vn("test", "1", spoke("10.0.0.1", report))]));
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let hub = Some(vtep("10.0.0.1", "1048576"));
    let three = RestlessReport { macs: 3, mac: mac(1), from: hub, to: None };
    let moves =
        SpokeReport { restless: Some(three), ..report(Standing::Registered { left: 410, unanswered: 0 }, 7) };
    let said = words(moves.clone());
    let why = "why 52:54:00:00:00:01 and 2 other MACs move to and fro, between 10.0.0.1 vni 1048576 and here do see";
    assert!(said.contains(why), "{said}");
    let one = RestlessReport { macs: 1, ..three };
    let said = words(SpokeReport { restless: Some(one), ..moves.clone() });
    assert!(said.contains("why 52:54:00:00:00:01 moves to and fro, between"), "{said}");
    let looped = Some(LoopReport { port: Label::new("lan2"), spoke: None });
    let said = words(SpokeReport { looped, ..moves });
    let why = "why there is a loop: what is sent by the tunnel comes back by port 'lan2'; nothing is flooded by that \
               tunnel do find the cable or radio link by port 'lan2'";
    assert!(said.contains(why), "{said}");
}

#[test]
fn status_without_a_vn_says_so() {
    let mut status = daemon(vec![]);
    status.nbma.clear();
    status.trouble = Some(Cause::NoInterface("wan".into()));
    assert_eq!(
        status_text(FILE, &status),
        "dmevpn 0.1.0, up 2h 14m, /etc/config/dmevpn, transport raw,\nuser dmevpn, confined\n  \
         why     interface 'wan' does not exist\n  \
         do      correct option 'interface', or bring that network up\n"
    );
    status.trouble = None;
    status.guard = Some(Err(Cause::NoGuard {
        why: "the kernel has no nftables".into(),
        hint: Some(
            "install the kernel's nf_tables (OpenWrt: kmod-nft-core) and reload, or set option 'guard' to '0'",
        ),
    }));
    let text = status_text(FILE, &status);
    let expected = "
  guard   missing
  why     anybody's frames are taken from the underlay: the kernel has no
          nftables
  do      install the kernel's nf_tables (OpenWrt: kmod-nft-core) and reload, or
          set option 'guard' to '0'
";
    assert!(text.ends_with(expected), "{text}");
    status.guard = None;
    let text = status_text(FILE, &status);
    assert!(
        text.ends_with("\n  do      no VN is configured, or none is enabled: see /etc/config/dmevpn\n"),
        "{text}"
    );
}

#[test]
fn macs_are_a_table() {
    let expected = "\
VN    MAC                STATE     VTEP              VNI  VALID  ASKERS
test  52:54:00:00:00:0c  shortcut  10.0.0.3          101  410 s       0
test  52:54:00:00:00:0d  asking    by the hub          -      -       0
test  52:54:00:00:00:0e  unknown   by the hub          -    9 s       0
core  52:54:00:00:00:0f  learned   2001:db8::7  16777215      -       2
core  52:54:00:00:00:10  held      this hub            -  2h 0m       1
";
    assert_eq!(listed(Rows::Macs, FILE, &some_macs()), expected);
    assert_eq!(listed(Rows::Macs, WIDE, &some_macs()), expected);
    let narrow = "\
VN    MAC                STATE
    VTEP              VNI  VALID  ASKERS
test  52:54:00:00:00:0c  shortcut
    10.0.0.3          101  410 s       0
";
    let text = listed(Rows::Macs, NARROW, &some_macs());
    assert!(text.starts_with(narrow), "{text}");
}

#[test]
fn peers_are_a_table() {
    let expected = "\
VN    VTEP      VNI   UPLINK   VALID  MACS               ADDRESSES               KEY
core  10.0.0.2  100  1048576   410 s  52:54:00:00:00:0b  -                       branch7/b7_2026
core  10.0.0.9    -        -  1h 56m  -                  172.16.0.9,2001:db8::9  -
";
    assert_eq!(listed(Rows::Peers, FILE, &some_peers()), expected);
    let narrow = listed(Rows::Peers, NARROW, &some_peers());
    assert!(narrow.lines().all(|line| line.len() <= 40), "{narrow}");
    let empty = listed(Rows::Peers, WIDE, &vec![]);
    assert_eq!(empty, "VN  VTEP  VNI  UPLINK  VALID  MACS  ADDRESSES  KEY\n");
}

#[test]
fn paths_are_a_table() {
    let expected = "\
VN    VTEP          VNI  STATE     SINCE    RTT  LOSS  LARGEST  MACS  NOTE
test  10.0.0.1  1048576  up        410 s  14 ms   4 %     1500     3  the hub
test  10.0.0.2      100  up        410 s  14 ms   4 %     1500     3  -
test  10.0.0.3      101  down      410 s  14 ms   4 %     1500     3  large frames do not get there
test  10.0.0.4      102  untested  410 s      -     -        -     3  -
";
    assert_eq!(listed(Rows::Paths, FILE, &some_paths()), expected);
}

/// Rows are measured first and written later, and meanwhile they may become others.
#[test]
fn a_row_that_became_longer_stands_out() {
    let text = written(|out| {
        let mut listing = Listing::new(Rows::Peers, WIDE);
        listing.measure("core", &*some_peers()[0].1);
        listing.begin(out);
        some_peers().iter().for_each(|(vn, row)| listing.row(out, vn, &**row));
        listing.end(out);
    });
    let expected = "\
VN    VTEP      VNI   UPLINK  VALID  MACS               ADDRESSES
    KEY
core  10.0.0.2  100  1048576  410 s  52:54:00:00:00:0b  -
    branch7/b7_2026
core  10.0.0.9    -        -  1h 56m  -                  172.16.0.9,2001:db8::9
    -
";
    assert_eq!(text, expected);
}

#[test]
fn a_monitored_event_is_a_line() {
    let line = |event| {
        let happening = Happening { at: 1_795_493_517_042, vn: "test", event };
        written(|out| view::happening(out, FILE, &happening))
    };
    assert_eq!(
        line(Event::Registered { uplink: vtep("10.0.0.1", "1048576") }),
        "04:11:57.042 test: registered with hub 10.0.0.1, uplink vni 1048576\n"
    );
    assert_eq!(
        line(Event::ShortcutDown { mac: mac(12), why: Why::Purged }),
        "04:11:57.042 test: shortcut down: 52:54:00:00:00:0c, it was withdrawn\n"
    );
    assert_eq!(
        line(Event::NotResolved { mac: mac(12), reason: Some(Refusal::Nak(12)) }),
        "04:11:57.042 test: 52:54:00:00:00:0c not resolved: NAK 12, nobody there knows this MAC\n"
    );
}

#[test]
fn who_was_too_slow_is_told_so() {
    let line = written(|out| view::missed(out, FILE, 1_795_493_517_042, 7));
    assert_eq!(line, "04:11:57.042 7 events are left out here: this reader is too slow\n");
}

#[test]
fn where_a_mac_lives_is_a_sentence() {
    let said = answers().map(|answer| written(|out| view::resolved(out, FILE, "test", mac(12), &answer)));
    let expected = [
        "is at 10.0.0.3 vni 101, valid for 410 s",
        "is at 10.0.0.3 vni 101",
        "is at a port of this router",
        "not resolved: NAK 12, nobody there knows this MAC",
        "not resolved: no answer from the hub",
    ];
    assert_eq!(said, expected.map(|words| format!("52:54:00:00:00:0c {words}\n")));
    assert_eq!(written(|out| view::done(out, FILE)), "");
}

#[test]
fn a_failure_says_why() {
    let said = |failure: Failure| (failure.code, written(|out| failure.write(out, FILE)));
    let failed = said(Failure::failed("there is no VN 'test'".into()));
    assert_eq!(failed, (1, "dmevpn: there is no VN 'test'\n".into()));
    let expected = "/etc/config/dmevpn:2: option 'vni': 'many' is not a VNI from 1 to 16777215\n\
         /etc/config/dmevpn:3: option 'hib': unknown in section vn; did you mean 'hub'?\n\
         the daemon keeps its earlier configuration\n";
    assert_eq!(said(Failure::refused(bad_file())), (4, expected.into()));
}
