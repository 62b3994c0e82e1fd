//! Neighbours that speak otherwise: what they say is counted, and told once, with what to do.

use super::golden::{self, LEGACY_REGISTRATION_REQUEST, octets};
use super::*;
use dmevpn::wire::nhrp::{Cie, Extension, Header, Kind, Protocol, ProtocolAddress, Writer};
use dmevpn::wire::{MAX_NHRP, Prefix, VpnTag};
use socket2::{Domain, Protocol as Number, Socket, Type};
use std::net::SocketAddr;

/// A registration in a VN, with an extension that nobody knows.
fn with_unknown_extension(vpn_id: &str) -> Vec<u8> {
    let unknown = Extension { kind: 0x3801, compulsory: true, value: &[1, 2] };
    registration(vpn_id, ("02:00:00:00:00:99", "10.0.0.10", 109), Some(unknown))
}

/// A registration that names another underlay address than it comes from.
fn from_elsewhere(vpn_id: u32, vni: u32) -> Vec<u8> {
    registration(&vpn_id.to_string(), ("02:00:00:00:00:98", "192.0.2.99", vni), None)
}

/// A registration in a VN of a spoke with this MAC, underlay address and VNI.
fn registration(
    vpn_id: &str,
    (mac, nbma, vni): (&str, &str, u32),
    extension: Option<Extension<'_>>,
) -> Vec<u8> {
    let own = ProtocolAddress::Mac(mac.parse().unwrap());
    let header = Header {
        kind: Kind::RegistrationRequest,
        protocol: Protocol::Ethernet,
        hop_count: 16,
        flags: 0,
        request_id: 1,
        nbma: nbma.parse().unwrap(),
        vni: dmevpn::types::Vni::new(vni),
        source: Some(own),
        destination: Some(own),
    };
    let mut nhrp = [0; MAX_NHRP];
    let mut writer = Writer::new(&mut nhrp, &header);
    writer.cie(&Cie { prefix: 0xff, holding: 600, ..Cie::default() });
    extension.into_iter().for_each(|extension| {
        writer.extension(extension);
    });
    let len = writer.finish().unwrap();
    let tag = VpnTag::Llc(vpn_id.parse().unwrap());
    [Prefix::gre(tag).as_bytes(), &nhrp[..len]].concat()
}

/// The value of a metric of the whole daemon.
pub fn counted(node: &Node, name: &str) -> String {
    let metrics = String::from_utf8(dmevpn(node, &["metrics"]).stdout).unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("dmevpn_{name}_total ")));
    line.unwrap_or_else(|| panic!("no {name} in {metrics}")).to_owned()
}

#[test]
fn a_hub_says_once_whose_packets_make_no_sense() {
    in_small(plan(), |lab| {
        lab.add_spoke(9, vec![]).unwrap();
        lab.start("hub").unwrap();
        let (hub, stranger) = (lab.node("hub"), lab.node("spoke9"));
        wait_status(hub, "1000 at most");
        let old = [&[0, 0, 0x20, 1], &octets(LEGACY_REGISTRATION_REQUEST)[..]].concat();
        let packets =
            [old, with_unknown_extension("1"), with_unknown_extension("77"), vec![0, 0, 0x20, 1, 9]];
        let to = SocketAddr::new(hub.nbma, 0).into();
        let send = || {
            let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Number::from(47)))?;
            (0..3).flat_map(|_| &packets).try_for_each(|packet| socket.send_to(packet, &to).map(drop))
        };
        stranger.ns.run(send).unwrap().unwrap();
        let names = ["rx_old_format", "rx_unknown_extension", "rx_unknown_vpn", "rx_malformed"];
        wait("all are counted", || names.iter().all(|name| counted(hub, name) == "3"));
        let log = hub.log_text();
        for words in [
            "10.0.0.10 sends packets in the format of the dmevpn in C, which is not understood",
            "10.0.0.10 sends compulsory extension 14337, which is not known here",
            "10.0.0.10 names VPN-ID 77, and there is none such here",
            "10.0.0.10 sends packets that are malformed",
        ] {
            assert_eq!(log.matches(words).count(), 1, "{words}:\n{log}");
            wait_status(hub, &format!("{words}, 3 packets, "));
        }
        let (_, told) = control::told(hub, &["status"]);
        documented::check("status", &told);
        assert_eq!(told["odd"].as_array().map(Vec::len), Some(4), "{told}");
    });
}

/// A GRE packet from this address, wherever it is sent.
fn forged(from: [u8; 4], to: IpAddr, gre: &[u8]) -> Vec<u8> {
    let IpAddr::V4(to) = to else { panic!("IPv4") };
    // The kernel fills in what is 0.
    let len = (20 + gre.len() as u16).to_be_bytes();
    let header = [0x45, 0, len[0], len[1], 0, 0, 0, 0, 64, 47, 0, 0];
    [&header[..], &from, &to.octets(), gre].concat()
}

/// What any number of strangers send hides nothing of who is registered, in the log and in status.
#[test]
fn strangers_hide_nobody() {
    in_small(plan(), |lab| {
        lab.add_spoke(9, vec![]).unwrap();
        lab.start("hub").unwrap();
        lab.start("spoke1").unwrap();
        let (hub, spoke1, stranger) = (lab.node("hub"), lab.node("spoke1"), lab.node("spoke9"));
        wait_status(spoke1, "valid for");
        let old = [&[0, 0, 0x20, 1], &octets(LEGACY_REGISTRATION_REQUEST)[..]].concat();
        let tag = VpnTag::Llc("1".parse().unwrap());
        let error = [Prefix::gre(tag).as_bytes(), &octets(golden::H)[..]].concat();
        let to = SocketAddr::new(hub.nbma, 0).into();
        let send = |node: &Node, packets: &[Vec<u8>]| {
            let send = || {
                let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Number::from(255)))?;
                socket.set_header_included_v4(true)?;
                packets.iter().try_for_each(|packet| socket.send_to(packet, &to).map(drop))
            };
            node.ns.run(send).unwrap().unwrap();
        };
        let from = |n: u8, gre: &[u8]| forged([10, 9, 0, n], hub.nbma, gre);
        let flood: Vec<_> = (1..=60).flat_map(|n| [from(n, &old), from(n, &[0, 0, 0x20, 1, 9])]).collect();
        let registrations: Vec<_> =
            (1..=60).cycle().take(300).map(|n| from(n, &from_elsewhere(1, 100 + u32::from(n)))).collect();
        let errors: Vec<_> = (1..=60).map(|n| from(n, &error)).collect();
        for packets in [&flood, &registrations, &errors] {
            send(stranger, packets);
        }
        wait("strangers are told", || hub.log_text().matches("is not understood").count() >= 5);
        wait("all are counted", || counted(hub, "rx_old_format") == "60" && counted(hub, "rx_error") == "60");
        assert!(!hub.log_text().contains("reports"), "{}", hub.log_text());
        // Behind NAT, as it says.
        let own = |gre: &[u8]| forged([10, 0, 0, 2], hub.nbma, gre);
        send(spoke1, &[own(&old), own(&from_elsewhere(1, 100))]);
        let words = "10.0.0.2 sends packets in the format of the dmevpn in C";
        wait("the spoke is told", || hub.log_text().contains(words));
        wait("its refusal is told", || hub.log_text().contains("registration of spoke 10.0.0.2 refused"));
        // Of what happened 256 are remembered.
        let events = String::from_utf8(dmevpn(hub, &["events"]).stdout).unwrap();
        assert!(events.contains("spoke up: 10.0.0.2 vni 100"), "{events}");
        send(stranger, &flood);
        wait("all are counted", || counted(hub, "rx_old_format") == "121");
        assert!(status(hub).contains(words), "{}", status(hub));
        let lines = hub.log_text().lines().filter(|line| line.contains("10.9.0.")).count();
        // Of five kinds: what cannot be sent to them is one.
        assert!(lines <= 50, "{}", hub.log_text());
        // What cannot be sent to a spoke is told, too.
        hub.ns.ip("route add unreachable 10.0.0.2").unwrap();
        send(spoke1, &[own(&from_elsewhere(1, 100))]);
        wait("it is told", || hub.log_text().contains("cannot send from 10.0.0.1 to 10.0.0.2: "));
    });
}

/// Whoever it is: a host without any NHRP, or a router of another maker, which does not answer for MAC addresses.
#[test]
fn a_spoke_says_once_that_its_hub_does_not_answer() {
    in_small(plan(), |lab| {
        lab.start("spoke1").unwrap();
        let spoke1 = lab.node("spoke1");
        let words = "no answer from hub 10.0.0.1: does it run dmevpn, and does GRE";
        assert!(wait_until(2 * SOON, || spoke1.log_text().contains(words)), "{}", spoke1.log_text());
        wait_status(spoke1, "no answer from 10.0.0.1 to ");
        let asks_on = || counted(spoke1, "tx_register_req").parse::<u32>().unwrap() >= 5;
        assert!(wait_until(2 * SOON, asks_on), "{}", status(spoke1));
        assert_eq!(spoke1.log_text().matches(words).count(), 1, "{}", spoke1.log_text());
    });
}
