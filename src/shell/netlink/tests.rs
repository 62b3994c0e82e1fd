//! The parser against any octets; the rest is tested on a real kernel in `tests/netlink.rs`.

use super::message::{self, Attributes, Batch, Message, Refusal};
use super::{
    Address, Admission, BridgePort, Destination, Event, FdbEntry, Kind, Link, NewVxlan, Vlans, fdb, nftables,
    vlan, vxlan,
};
use crate::types::VlanId;
use neli::consts::nl::NlmF;
use neli::consts::rtnl::Rtm;
use proptest::prelude::*;
use std::time::Duration;

/// All parsers, on all messages in `bytes` and on `bytes` as a body of each kind.
fn take_apart(bytes: &[u8]) {
    let mut rest = bytes;
    while let Ok(Some((message, advance))) = message::first(rest) {
        parse(message);
        assert!(advance > 0);
        rest = rest.get(advance..).unwrap_or_default();
    }
    for kind in 0..40 {
        for flags in [0, NlmF::ACK_TLVS.bits(), NlmF::ACK_TLVS.bits() | NlmF::CAPPED.bits()] {
            parse(Message { kind, flags, seq: 1, body: bytes });
        }
    }
}

fn parse(message: Message<'_>) {
    let _ = Event::parse(&message);
    let _ = Link::parse(&message);
    let _ = BridgePort::parse(&message);
    let _ = FdbEntry::parse(&message);
    let _ = Address::parse(&message);
    let _ = nftables::count(message.body);
    let _ = message::acknowledgement(&message);
    let _ = message::done(&message);
    let _ = Attributes(message.body).count();
}

/// What this program sends; the kernel's messages are of the same form.
fn real_messages() -> Vec<u8> {
    let new = NewVxlan {
        isolated: false,
        passing: Default::default(),
        hears_all: false,
        name: "dmevpn1",
        vni: Some(100),
        local: "2001:db8::1".parse().unwrap(),
        port: 4789,
        l2miss: true,
        mtu: Some(1400),
        mac: Some([2, 0, 0, 0, 0, 1]),
        master: Some(7),
        vlan: None,
        alias: "",
        entry: None,
        up: false,
    };
    let mut batch = Batch::new(1);
    batch.push(Rtm::Newlink, NlmF::CREATE, vxlan::new_vxlan(&new));
    let destination =
        Destination { ip: "10.0.0.2".parse().unwrap(), vni: Some(200), port: Some(8472), via: None };
    batch.push(Rtm::Newneigh, NlmF::CREATE, fdb::set_message(3, [2, 0, 0, 0, 0, 9], destination));
    batch.push(Rtm::Delneigh, NlmF::empty(), fdb::unlearn_message(3, [2, 0, 0, 0, 0, 9], Some(10)));
    batch.push(Rtm::Newlink, NlmF::empty(), vlan::untagged_in(4, ten()));
    batch.push(Rtm::Newlink, NlmF::empty(), vlan::other_vlans(4, ten()));
    batch.bytes().to_vec()
}

fn ten() -> VlanId {
    VlanId::new(10).unwrap()
}

/// The port that `request` would tell of, were it the kernel's.
fn port(request: neli::types::Buffer) -> BridgePort {
    let mut batch = Batch::new(1);
    batch.push(Rtm::Newlink, NlmF::empty(), request);
    let (message, _) = message::first(batch.bytes()).unwrap().unwrap();
    // IFLA_MASTER.
    let body = [message.body, &8u16.to_ne_bytes(), &10u16.to_ne_bytes(), &7u32.to_ne_bytes()].concat();
    BridgePort::parse(&Message { body: &body, ..message }).unwrap()
}

/// An acknowledgement of `code`, with a text, with or without the request echoed.
fn acknowledgement(code: i32, echo: Option<&[u8]>, text: &[u8]) -> Refusal {
    let mut body = code.to_ne_bytes().to_vec();
    let length = 16 + echo.map_or(40, <[u8]>::len) as u32;
    body.extend(length.to_ne_bytes());
    body.extend([0; 12]);
    body.extend(echo.unwrap_or_default());
    body.extend((4 + text.len() as u16).to_ne_bytes());
    body.extend(1u16.to_ne_bytes());
    body.extend(text);
    let capped = if echo.is_none() { NlmF::CAPPED.bits() } else { 0 };
    message::acknowledgement(&Message { kind: 2, flags: NlmF::ACK_TLVS.bits() | capped, seq: 1, body: &body })
}

#[test]
fn messages_read_back() {
    let bytes = real_messages();
    let (first, advance) = message::first(&bytes).unwrap().unwrap();
    let link = Link::parse(&first).unwrap();
    assert_eq!((link.name.as_str(), link.mtu, link.master), ("dmevpn1", 1400, Some(7)));
    assert!(matches!(link.kind, Kind::Vxlan(v) if v.vni == Some(100) && v.port == 4789 && v.l2miss));
    let (second, _) = message::first(&bytes[advance..]).unwrap().unwrap();
    let entry = FdbEntry::parse(&second).unwrap();
    assert!(entry.is_ours() && !entry.is_permanent());
    assert_eq!((entry.vni, entry.port, entry.index), (Some(200), Some(8472), 3));
}

#[test]
fn a_forwarding_entry_is_of_its_vlan() {
    let mut batch = Batch::new(1);
    batch.push(Rtm::Delneigh, NlmF::empty(), fdb::unlearn_message(3, [2, 0, 0, 0, 0, 9], Some(10)));
    batch.push(Rtm::Delneigh, NlmF::empty(), fdb::unlearn_message(3, [2, 0, 0, 0, 0, 9], None));
    let (first, advance) = message::first(batch.bytes()).unwrap().unwrap();
    let entry = FdbEntry::parse(&first).unwrap();
    // NTF_MASTER: the bridge's entry, not the device's.
    assert_eq!((entry.index, entry.vlan, entry.flags), (3, Some(10), 4));
    let (second, _) = message::first(&batch.bytes()[advance..]).unwrap().unwrap();
    assert_eq!(FdbEntry::parse(&second).unwrap().vlan, None);
}

#[test]
fn a_ports_vlans_are_told_by_ranges() {
    let untagged = port(vlan::untagged_in(4, ten()));
    let only = Vlans { first: 10, last: 10, pvid: true, untagged: true };
    assert_eq!(
        untagged,
        BridgePort { index: 4, bridge: 7, is_down: false, isolated: None, vlans: vec![only] }
    );
    assert!(untagged.is_only_in(ten()) && untagged.is_in(ten()) && untagged.pvid() == Some(ten()));

    // What such a port is not to be in.
    for (vlan, others) in [
        (1, &[(2, 4094)][..]),
        (2, &[(1, 1), (3, 4094)]),
        (10, &[(1, 9), (11, 4094)]),
        (4093, &[(1, 4092), (4094, 4094)]),
        (4094, &[(1, 4093)]),
    ] {
        let rest = port(vlan::other_vlans(4, VlanId::new(vlan).unwrap()));
        assert_eq!(rest.vlans.iter().map(|v| (v.first, v.last)).collect::<Vec<_>>(), others);
        assert!(!rest.is_in(VlanId::new(vlan).unwrap()) && rest.pvid().is_none());
        assert_eq!(rest.meets(&untagged), vlan != 10);
    }
    let [tagged, both] =
        [vec![Vlans { untagged: false, ..only }], vec![only, Vlans { first: 20, last: 29, ..only }]]
            .map(|vlans| BridgePort { vlans, ..untagged.clone() });
    assert!(!tagged.is_only_in(ten()) && !both.is_only_in(ten()) && both.meets(&tagged));
}

/// The messages of `batch`: kind, flags and body.
fn taken_apart(batch: &Batch) -> Vec<(u16, u16, &[u8])> {
    let mut rest = batch.bytes();
    let mut all = Vec::new();
    while let Some((message, advance)) = message::first(rest).unwrap() {
        all.push((message.kind, message.flags, message.body));
        rest = &rest[advance..];
    }
    all
}

#[test]
fn who_may_send_is_told_in_runs_of_elements() {
    let (four, six) = ("10.0.0.2".parse().unwrap(), "fd00::2".parse().unwrap());
    let many = (0..31).map(|vni| Admission::Open(four, vni));
    let last = [Admission::Close(six, 0x010203), Admission::Free(7), Admission::Free(8)];
    let changes: Vec<Admission> = many.chain(last).collect();
    let mut batch = Batch::quiet(1);
    nftables::change(&mut batch, "t", &changes);
    let all = taken_apart(&batch);
    // NFT_MSG_NEWSETELEM with NLM_F_CREATE: the VNIs and their pairs, thirty in each; then NFT_MSG_DELSETELEM.
    let (new, gone) = ((10 << 8 | 12, 0x401), (10 << 8 | 14, 1));
    let kinds: Vec<(u16, u16)> = all.iter().map(|(kind, flags, _)| (*kind, *flags)).collect();
    assert_eq!(kinds, [new, new, new, new, gone, gone]);
    let body = |set: &[u8], elements: &[&[u8]]| {
        let mut body = vec![1, 0, 0, 0];
        let mut put = |kind: u16, octets: &[u8]| {
            body.extend((4 + octets.len() as u16).to_ne_bytes());
            body.extend(kind.to_ne_bytes());
            body.extend(octets);
            body.resize(body.len().next_multiple_of(4), 0);
        };
        put(1, b"t\0");
        put(2, set);
        let list = elements.iter().flat_map(|key| {
            let length = key.len() as u16;
            let heads = [[length + 12, 1], [length + 8, 1], [length + 4, 1]];
            heads.concat().into_iter().flat_map(u16::to_ne_bytes).chain(key.iter().copied())
        });
        put(3, &list.collect::<Vec<u8>>());
        body
    };
    assert_eq!(all[2].2, body(b"vnis\0", &[&[0, 0, 30, 0]]));
    assert_eq!(all[3].2, body(b"vteps4\0", &[&[10, 0, 0, 2, 0, 0, 30, 0]]));
    let source = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 2, 3, 0];
    assert_eq!(all[4].2, body(b"vteps6\0", &[&source]));
    assert_eq!(all[5].2, body(b"vnis\0", &[&[0, 0, 7, 0], &[0, 0, 8, 0]]));
}

#[test]
fn a_table_is_its_sockets_and_tells_what_it_dropped() {
    let mut batch = Batch::quiet(1);
    nftables::table(&mut batch, "t", nftables::Scope { port: 4789, others_pass: true, probes_pass: true });
    let all = taken_apart(&batch);
    // It must not be there yet: NLM_F_CREATE and NLM_F_EXCL. Then NFTA_TABLE_FLAGS.
    assert_eq!((all[0].0, all[0].1), (10 << 8, 0x601));
    assert_eq!(all[0].2[all[0].2.len() - 4..], [0, 0, 0, 2]);
    assert_eq!(nftables::count(all.last().unwrap().2), None, "nothing is counted in what is asked for");

    let numbers = [(1u16, 99u64), (2, 7)].map(|(kind, n)| message::attribute(kind, &n.to_be_bytes()));
    let expression = |name, data: &[message::Attribute]| {
        message::nested(1u16, &[message::text_attribute(1u16, name), message::nested(2u16, data)])
    };
    let expressions = [expression("counters", &[]), expression("counter", &numbers)];
    let rule = message::body(&[1, 0, 0, 0], &[message::nested(4u16, &expressions)]);
    assert_eq!(nftables::count(rule.as_ref()), Some(7));
}

#[test]
fn an_acknowledgement_keeps_its_text() {
    let refused = Refusal { errno: 17, text: Some("why".into()) };
    assert_eq!(acknowledgement(-17, None, b"why\0"), refused);
    assert_eq!(acknowledgement(-17, Some(&[1; 24]), b"why\0"), refused);
    assert_eq!(acknowledgement(0, None, b"careful\0"), Refusal { errno: 0, text: Some("careful".into()) });
    assert_eq!(acknowledgement(i32::MIN, None, b"").errno, libc::EPROTO);
}

#[test]
fn unknown_flag_bits_are_kept() {
    let mut bytes = real_messages();
    let (_, advance) = message::first(&bytes).unwrap().unwrap();
    bytes[advance + 16 + 8..][..3].copy_from_slice(&[0xff, 0xff, 0xff]);
    let (second, _) = message::first(&bytes[advance..]).unwrap().unwrap();
    let entry = FdbEntry::parse(&second).unwrap();
    assert_eq!((entry.state, entry.flags), (0xffff, 0xff));
}

#[test]
fn ticks_are_hundredths_of_a_second() {
    let mut body = vec![7, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 10, 0, 2, 0, 2, 0, 0, 0, 0, 9, 0, 0];
    body[4..8].copy_from_slice(&3i32.to_ne_bytes());
    body[12..16].copy_from_slice(&[10u16.to_ne_bytes(), 2u16.to_ne_bytes()].concat());
    body.extend([20u16.to_ne_bytes(), 3u16.to_ne_bytes()].concat());
    body.extend([0u32, 150, 300, 0].iter().flat_map(|n| n.to_ne_bytes()));
    let entry = FdbEntry::parse(&Message { kind: 28, flags: 0, seq: 0, body: &body }).unwrap();
    assert_eq!(entry.idle, Some(Duration::from_millis(1500)));
    assert_eq!(entry.age, Some(Duration::from_secs(3)));
}

#[test]
fn a_list_is_set_before_the_next_change_to_it() {
    let to = Destination { ip: "10.0.0.1".parse().unwrap(), vni: Some(1), port: None, via: None };
    let set = |mac| fdb::FdbChange::Set { index: 1, mac, to };
    assert_eq!(fdb::together(&[set([0; 6]), set([2; 6]), set([0; 6])]), 2);
    assert_eq!(fdb::together(&[set([2; 6]), set([2; 6])]), 2);
    assert_eq!(fdb::together(&vec![set([2; 6]); 1000]), 128);
}

proptest! {
    #[test]
    fn no_octets_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        take_apart(&bytes);
    }

    #[test]
    fn no_damage_makes_the_parser_panic(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        length in any::<prop::sample::Index>(),
    ) {
        let mut bytes = real_messages();
        for (place, octet) in damage {
            let place = place.index(bytes.len());
            bytes[place] = octet;
        }
        bytes.truncate(length.index(bytes.len() + 1));
        take_apart(&bytes);
        take_apart(bytes.get(16..).unwrap_or_default());
    }
}
