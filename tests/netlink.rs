//! The netlink layer against this machine's kernel, each test in a network namespace of its own.
//! A namespace ends with its thread and sockets: nothing is left behind.

#![allow(unsafe_code)]

use dmevpn::shell::netlink::{
    Admission, Destination, Event, Events, FdbChange, FdbEntry, FdbTable, Gate, Kind, Lack, LinkChange,
    Netlink, NewVxlan, Scope, dropped,
};
use dmevpn::types::VlanId;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

const ZERO: [u8; 6] = [0; 6];
const ALL: [u8; 6] = [0xff; 6];
const BRIDGE_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// Run `test` in a fresh network namespace; without the privilege to make one, say so and pass.
fn in_namespace(test: impl FnOnce(&mut Netlink) + Send + 'static) {
    let body = move || {
        // SAFETY: no memory is involved; it moves this thread, and none other, to a new namespace.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            eprintln!("skipped: {}", std::io::Error::last_os_error());
            return;
        }
        test(&mut Netlink::open().unwrap());
    };
    if let Err(panic) = std::thread::spawn(body).join() {
        std::panic::resume_unwind(panic);
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn mac(n: u16) -> [u8; 6] {
    let [a, b] = n.to_be_bytes();
    [2, 0, 0, 1, a, b]
}

fn vxlan(name: &str, vni: u32) -> NewVxlan<'_> {
    NewVxlan {
        isolated: false,
        passing: Default::default(),
        hears_all: false,
        name,
        vni: Some(vni),
        local: ip("10.0.0.1"),
        port: 4789,
        l2miss: false,
        mtu: None,
        mac: None,
        master: None,
        vlan: None,
        alias: "dmevpn test",
        entry: None,
        up: true,
    }
}

fn set(index: u32, mac: [u8; 6], dst: &str, vni: u32) -> FdbChange {
    FdbChange::Set { index, mac, to: Destination { ip: ip(dst), vni: Some(vni), port: None, via: None } }
}

/// The destinations of `mac` on the VXLAN device `index`.
fn destinations(netlink: &mut Netlink, index: u32, mac: [u8; 6]) -> Vec<(String, Option<u32>)> {
    let entries = netlink.fdb_of_device(index).unwrap();
    let these = entries.iter().filter(|e| e.mac == mac);
    these.filter_map(|e| Some((e.dst?.to_string(), e.vni))).collect()
}

fn run(command: &str) {
    let mut words = command.split(' ');
    let status = std::process::Command::new(words.next().unwrap()).args(words).status();
    assert!(status.unwrap().success(), "{command}");
}

fn shown(command: &str) -> String {
    let mut words = command.split(' ');
    let output = std::process::Command::new(words.next().unwrap()).args(words).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The first event `wanted` says yes to, within two seconds.
#[allow(clippy::disallowed_methods)] // a test's patience, not the engine's time
fn wait_for<T>(events: &mut Events, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        let Some(event) = events.next() else {
            std::thread::sleep(Duration::from_millis(2));
            continue;
        };
        if let Some(found) = wanted(event) {
            return found;
        }
    }
    panic!("the event did not come");
}

fn drain(events: &mut Events) -> Vec<Event> {
    std::iter::from_fn(|| events.next()).collect()
}

/// Send a frame from `source` to `destination` out of the device `index`.
fn send_frame(index: u32, source: [u8; 6], destination: [u8; 6]) {
    let mut frame = [0u8; 60];
    frame[..6].copy_from_slice(&destination);
    frame[6..12].copy_from_slice(&source);
    frame[12..14].copy_from_slice(&[0x88, 0xb5]);
    // SAFETY: plain system calls; the address is zeroed, then filled, and lives for the call.
    unsafe {
        let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0);
        assert!(fd >= 0);
        let mut to: libc::sockaddr_ll = std::mem::zeroed();
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_ifindex = index as i32;
        let length = size_of::<libc::sockaddr_ll>() as u32;
        let sent = libc::sendto(fd, frame.as_ptr().cast(), frame.len(), 0, (&raw const to).cast(), length);
        assert_eq!(sent, 60, "{}", std::io::Error::last_os_error());
        libc::close(fd);
    }
}

/// A bridge with one port, and the index of the device beyond it: (bridge, port, outside).
fn bridge_with_veth(netlink: &mut Netlink) -> (u32, u32, u32) {
    let bridge = netlink.create_bridge("br", Some(BRIDGE_MAC), "dmevpn test", true).unwrap();
    run("ip link add inside type veth peer name outside");
    let inside = netlink.link_by_name("inside").unwrap().unwrap().index;
    let outside = netlink.link_by_name("outside").unwrap().unwrap().index;
    let up = LinkChange { up: Some(true), master: Some(Some(bridge)), ..LinkChange::default() };
    netlink.set_link(inside, &up).unwrap();
    netlink.set_link(outside, &LinkChange { up: Some(true), ..LinkChange::default() }).unwrap();
    // The bridge forwards once the kernel has noticed the carrier, up to a second later.
    for _ in 0..200 {
        if netlink.link_by_index(inside).unwrap().unwrap().running {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    (bridge, inside, outside)
}

#[test]
fn a_vxlan_device_reads_back_as_made() {
    in_namespace(|netlink| {
        let bridge = netlink.create_bridge("br", Some(BRIDGE_MAC), "a bridge", true).unwrap();
        let mut indices = Vec::new();
        for (name, local) in [("dmevpn4", "10.0.0.1"), ("dmevpn6", "2001:db8::1")] {
            let new = NewVxlan {
                local: ip(local),
                l2miss: true,
                mtu: Some(1390),
                mac: Some(mac(1)),
                master: Some(bridge),
                ..vxlan(name, 100)
            };
            let index = netlink.create_vxlan(&new).unwrap();
            let link = netlink.link_by_index(index).unwrap().unwrap();
            assert_eq!(Some(&link), netlink.link_by_name(name).unwrap().as_ref());
            assert_eq!((link.name.as_str(), link.mac, link.mtu), (name, Some(mac(1)), 1390));
            assert_eq!((link.master, link.up, link.running), (Some(bridge), true, true));
            assert_eq!(link.alias.as_deref(), Some("dmevpn test"));
            let Kind::Vxlan(info) = link.kind else { panic!("{link:?}") };
            assert_eq!((info.vni, info.local, info.port), (Some(100), Some(ip(local)), 4789));
            assert!(info.l2miss && !info.learning && !info.external && info.remote.is_none());
            if let Ok(mode) = std::fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{name}/addr_gen_mode"))
            {
                assert_eq!(mode.trim(), "1", "a port must not have an IPv6 address");
            }
            assert!(netlink.addresses().unwrap().iter().all(|a| a.index != index));
            indices.push(index);
        }
        let links = netlink.links().unwrap();
        let bridge = links.iter().find(|link| link.index == bridge).unwrap();
        assert!(matches!(&bridge.kind, Kind::Bridge(info) if !info.vlan_filtering));
        assert_eq!(bridge.mac, Some(BRIDGE_MAC));
        assert_eq!(bridge.alias.as_deref(), Some("a bridge"));

        netlink.delete_link(indices[0]).unwrap();
        netlink.delete_link(indices[0]).unwrap();
        assert_eq!(netlink.link_by_name("dmevpn4").unwrap(), None);
        assert_eq!(netlink.link_by_index(indices[0]).unwrap(), None);
    });
}

#[test]
fn a_device_is_changed_in_place() {
    in_namespace(|netlink| {
        let bridge = netlink.create_bridge("br", None, "", false).unwrap();
        let index = netlink.create_vxlan(&NewVxlan { up: false, ..vxlan("dmevpn1", 1) }).unwrap();
        assert!(!netlink.link_by_index(index).unwrap().unwrap().up);
        let change = LinkChange {
            up: Some(true),
            master: Some(Some(bridge)),
            mtu: Some(1300),
            alias: Some("other"),
            mac: Some(mac(9)),
        };
        netlink.set_link(index, &change).unwrap();
        let link = netlink.link_by_index(index).unwrap().unwrap();
        assert_eq!((link.up, link.master, link.mtu, link.mac), (true, Some(bridge), 1300, Some(mac(9))));
        assert_eq!(link.alias.as_deref(), Some("other"));
        let change = LinkChange { master: Some(None), alias: Some(""), ..LinkChange::default() };
        netlink.set_link(index, &change).unwrap();
        let link = netlink.link_by_index(index).unwrap().unwrap();
        assert_eq!((link.up, link.master, link.alias), (true, None, None));
        assert!(netlink.set_link(9999, &change).unwrap_err().not_found());
    });
}

#[test]
fn a_refusal_says_why_and_leaves_no_device() {
    in_namespace(|netlink| {
        let first = netlink.create_vxlan(&vxlan("dmevpn1", 1)).unwrap();
        let error = netlink.create_vxlan(&NewVxlan { alias: "stolen", ..vxlan("dmevpn1", 2) }).unwrap_err();
        assert!(error.exists());
        assert_eq!(error.to_string(), "create vxlan dmevpn1: File exists");
        assert_eq!(netlink.link_by_index(first).unwrap().unwrap().alias.as_deref(), Some("dmevpn test"));

        let error = netlink.create_vxlan(&vxlan("dmevpn2", 1)).unwrap_err();
        assert!(error.exists());
        let text = error.to_string();
        assert!(text.starts_with("create vxlan dmevpn2: File exists (A VXLAN device with"), "{text}");
        assert_eq!(netlink.link_by_name("dmevpn2").unwrap(), None);

        // An alias the kernel refuses after the device was made.
        let long = "x".repeat(300);
        assert!(netlink.create_vxlan(&NewVxlan { alias: &long, ..vxlan("dmevpn3", 3) }).is_err());
        assert_eq!(netlink.link_by_name("dmevpn3").unwrap(), None);
    });
}

#[test]
fn a_driver_is_looked_for_and_nothing_is_made() {
    in_namespace(|netlink| {
        let before = netlink.links().unwrap();
        assert_eq!(netlink.has_driver("vxlan"), Some(true));
        assert_eq!(netlink.has_driver("bridge"), Some(true));
        assert_eq!(netlink.has_driver("no-such-driver"), Some(false));
        assert_eq!(netlink.links().unwrap(), before);
    });
}

/// This thread is somebody else, who may do no more than change the network.
fn give_up_root() {
    #[repr(C)]
    struct Header(u32, i32);
    const VERSION_3: u32 = 0x2008_0522;
    const NET_ADMIN: u32 = 1 << 12;
    let caps: [u32; 6] = [NET_ADMIN, NET_ADMIN, 0, 0, 0, 0];
    let header = Header(VERSION_3, 0);
    // SAFETY: the raw calls concern this thread alone; what they point to lives during them.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0), 0);
        assert_eq!(libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534), 0);
        assert_eq!(libc::syscall(libc::SYS_capset, &raw const header, caps.as_ptr()), 0);
    }
}

/// A hub's ports: whole when the answer is there, without IPv6 before they are up, and gone at once.
#[test]
fn ports_are_made_and_deleted_together() {
    in_namespace(|netlink| {
        let bridge = netlink.create_bridge("br", Some(BRIDGE_MAC), "", true).unwrap();
        run("ip link add foreign type veth peer name other");
        give_up_root();
        let mut events = Events::open().unwrap();
        let names: Vec<String> = (1..=20).map(|n| format!("dmevpn{n}")).collect();
        let to = |n| Some(Destination { ip: ip("10.0.0.2"), vni: Some(n + 100), port: None, via: None });
        let port = |(name, n)| NewVxlan { master: Some(bridge), entry: to(n), ..vxlan(name, n) };
        let mut new: Vec<_> = names.iter().map(String::as_str).zip(1..).map(port).collect();
        new[7].name = "foreign";
        let made = netlink.create_vxlans(&new);
        let mut indices = Vec::new();
        for ((made, new), n) in made.into_iter().zip(&new).zip(1..) {
            if new.name == "foreign" {
                assert!(made.unwrap_err().exists());
                continue;
            }
            let link = netlink.link_by_index(made.unwrap()).unwrap().unwrap();
            assert_eq!((link.name.as_str(), link.master, link.up), (new.name, Some(bridge), true));
            assert_eq!(link.alias.as_deref(), Some("dmevpn test"));
            assert_eq!(destinations(netlink, link.index, ZERO), [("10.0.0.2".to_string(), Some(n + 100))]);
            let off = format!("/proc/sys/net/ipv6/conf/{}/disable_ipv6", new.name);
            if let Ok(off) = std::fs::read_to_string(off) {
                assert_eq!(off, "1\n");
            }
            indices.push(link.index);
        }
        assert!(!shown("ip -6 route show table all").contains("dmevpn"), "the port is none of IPv6's");
        netlink.delete_link(indices[3]).unwrap();
        indices.push(0);
        netlink.delete_links(&indices).unwrap();
        netlink.delete_links(&indices).unwrap();
        let left = netlink.links().unwrap();
        assert!(left.iter().all(|link| !matches!(link.kind, Kind::Vxlan(_))), "{left:?}");
        assert!(left.iter().any(|link| link.name == "foreign"));
        drain(&mut events);
    });
}

/// Entries that name a device to leave by, IPv4 and IPv6: it goes, and comes with another index.
#[test]
fn entries_by_a_device() {
    in_namespace(|netlink| {
        let make = |netlink: &mut Netlink| {
            run("ip link add wan type veth peer name other");
            netlink.link_by_name("wan").unwrap().unwrap().index
        };
        for (local, hub, host) in [("10.0.0.1", "10.0.0.2", "10.0.0.3"), ("fd00::1", "fd00::2", "fd00::3")] {
            let index = netlink.create_vxlan(&NewVxlan { local: ip(local), ..vxlan("vx", 1) }).unwrap();
            let to = |dst, via| Destination { ip: ip(dst), vni: Some(9), port: None, via };
            let set = |mac, dst, via| FdbChange::Set { index, mac, to: to(dst, via) };
            let vias = |netlink: &mut Netlink| {
                let mut all: Vec<_> = netlink.fdb_of_device(index).unwrap();
                all.sort_unstable_by_key(|entry| entry.mac);
                all.iter().map(|e| (e.mac, e.via)).collect::<Vec<_>>()
            };
            let mut before = None;
            for _ in 0..2 {
                let wan = make(netlink);
                assert_ne!(before, Some(wan));
                let both = [set(ZERO, hub, Some(wan)), set(mac(1), host, Some(wan))];
                netlink.fdb_apply(&both).unwrap();
                netlink.fdb_apply(&both).unwrap();
                assert_eq!(vias(netlink), [(ZERO, Some(wan)), (mac(1), Some(wan))]);
                run("ip link del wan");
                let refused = netlink.fdb_apply(&[set(mac(2), host, Some(wan))]).unwrap_err();
                assert_eq!(refused[0].1.errno(), libc::EADDRNOTAVAIL, "{refused:?}");
                assert_eq!(vias(netlink), [(ZERO, Some(wan)), (mac(1), Some(wan))], "they stay");
                before = Some(wan);
            }
            let there = netlink.fdb_get(index, mac(1)).unwrap().unwrap();
            let gone = FdbChange::Remove { index, mac: mac(1), to: there.destination() };
            netlink.fdb_apply(&[gone, set(ZERO, hub, None)]).unwrap();
            assert_eq!(vias(netlink), [(ZERO, None)]);
            netlink.delete_link(index).unwrap();
        }
    });
}

/// The address a device sends from is changed in place, to another one and to none.
#[test]
fn another_local_address() {
    in_namespace(|netlink| {
        for (one, other, foreign) in [("10.0.0.1", "10.0.0.9", "fd00::9"), ("fd00::1", "fd00::9", "10.0.0.9")]
        {
            let index = netlink.create_vxlan(&NewVxlan { local: ip(one), ..vxlan("vx", 1) }).unwrap();
            netlink.fdb_apply(&[set(index, mac(1), one, 5)]).unwrap();
            let local = |netlink: &mut Netlink| match netlink.link_by_index(index).unwrap().unwrap().kind {
                Kind::Vxlan(info) => info.local,
                other => panic!("{other:?}"),
            };
            netlink.set_vxlan_local(index, ip(other)).unwrap();
            assert_eq!(local(netlink), Some(ip(other)));
            assert!(netlink.set_vxlan_local(index, ip(foreign)).is_err(), "the family stays");
            if one.contains(':') {
                netlink.set_vxlan_local(index, ip("::")).unwrap();
                assert_eq!(local(netlink), None);
            }
            assert_eq!(destinations(netlink, index, mac(1)), [(one.to_string(), Some(5))]);
            netlink.delete_link(index).unwrap();
        }
    });
}

/// Ways: with and without a source and a device, and where there is none.
#[test]
fn ways() {
    in_namespace(|netlink| {
        run("ip link set lo up");
        let mut devices = Vec::new();
        for n in [1, 2] {
            run(&format!("ip link add wan{n} type veth peer name other{n}"));
            run(&format!("ip link set wan{n} up"));
            run(&format!("ip link set other{n} up"));
            run(&format!("ip addr add 10.{n}.0.2/24 dev wan{n}"));
            run(&format!("ip addr add fd0{n}::2/64 nodad dev wan{n}"));
            devices.push(netlink.link_by_name(&format!("wan{n}")).unwrap().unwrap().index);
        }
        let far = |ipv6| ip(if ipv6 { "fd09::9" } else { "10.9.0.9" });
        for ipv6 in [false, true] {
            let own = |n| ip(&if ipv6 { format!("fd0{n}::2") } else { format!("10.{n}.0.2") });
            let all = if ipv6 { "::/0" } else { "0.0.0.0/0" };
            for by in [None, Some(devices[1])] {
                assert!(netlink.way(far(ipv6), None, by).is_err(), "no route");
                assert!(netlink.way(far(ipv6), Some(own(2)), by).is_err(), "no route");
            }
            for n in [1, 2] {
                let gateway = if ipv6 { format!("fd0{n}::1") } else { format!("10.{n}.0.1") };
                run(&format!("ip route add {all} via {gateway} dev wan{n} metric {n}0"));
            }
            let way = |netlink: &mut Netlink, from, by| {
                let way = netlink.way(far(ipv6), from, by).unwrap();
                (way.from, way.device)
            };
            assert_eq!(way(netlink, None, None), (Some(own(1)), Some(devices[0])));
            assert_eq!(way(netlink, None, Some(devices[1])), (Some(own(2)), Some(devices[1])));
            // As for frames from that address: IPv6 prefers the better route.
            let (_, device) = way(netlink, Some(own(2)), Some(devices[1]));
            assert_eq!(device, Some(devices[usize::from(!ipv6)]));
            assert_eq!(netlink.device_of(own(2)), Some(devices[1]));
            assert!(netlink.way(far(ipv6), Some(far(ipv6)), Some(devices[1])).is_err() || ipv6, "not ours");
        }
    });
}

/// Each of several is what was asked of it.
#[test]
fn a_port_gets_all_multicast_for_a_while() {
    in_namespace(|netlink| {
        let bridge = netlink.create_bridge("br", Some(BRIDGE_MAC), "", true).unwrap();
        let new = |name, vni| NewVxlan { master: Some(bridge), ..vxlan(name, vni) };
        let all = [new("dmevpn1", 1), NewVxlan { hears_all: true, ..new("dmevpn2", 2) }];
        assert!(netlink.create_vxlans(&all).iter().all(Result::is_ok));
        for (name, hears_all) in [("dmevpn1", false), ("dmevpn2", true)] {
            let port = shown(&format!("bridge -d link show dev {name}"));
            assert_eq!(port.contains("mcast_router 3"), hears_all, "{port}");
        }
    });
}

/// A large table comes part by part, and a small one after it is not mixed up with what was left of it.
#[test]
fn tables_are_listed_by_parts() {
    in_namespace(|netlink| {
        let bridge = netlink.create_bridge("br", Some(BRIDGE_MAC), "", true).unwrap();
        let port = NewVxlan { master: Some(bridge), ..vxlan("dmevpn1", 1) };
        let index = netlink.create_vxlan(&port).unwrap();
        let other = netlink.create_vxlan(&vxlan("dmevpn2", 2)).unwrap();
        let changes: Vec<FdbChange> = (0..2000).map(|n| set(index, mac(n), "10.0.0.2", 100)).collect();
        netlink.fdb_apply(&changes).unwrap();
        netlink.fdb_apply(&[set(other, mac(1), "10.0.0.3", 100)]).unwrap();
        for (table, own) in
            [(FdbTable::Device(index), 2000), (FdbTable::Bridge(bridge), 2000), (FdbTable::Device(other), 1)]
        {
            netlink.fdb_list(table).unwrap();
            let (mut all, mut parts) = (Vec::new(), 0);
            let interrupted = loop {
                let (entries, last) = netlink.fdb_part(table).unwrap();
                parts += 1;
                all.extend(entries);
                if let Some(interrupted) = last {
                    break interrupted;
                }
            };
            assert!(!interrupted && parts > 1);
            assert_eq!(all.iter().filter(|e| e.is_ours()).count(), own, "{table:?}");
            let bridges = all.iter().any(|e| e.master == Some(bridge));
            assert_eq!(bridges, matches!(table, FdbTable::Bridge(_)));
        }
        netlink.link_list().unwrap();
        let mut names = Vec::new();
        loop {
            let (links, last) = netlink.link_part().unwrap();
            names.extend(links.into_iter().map(|link| link.name));
            if last.is_some() {
                break;
            }
        }
        for name in ["lo", "br", "dmevpn1", "dmevpn2"] {
            assert!(names.iter().any(|n| n == name), "{names:?}");
        }
        // A listing of what is not there is an error, and the next one is right.
        assert!(
            netlink
                .fdb_list(FdbTable::Bridge(9999))
                .and_then(|()| netlink.fdb_part(FdbTable::Bridge(9999)))
                .is_err()
        );
        assert!(netlink.link_by_index(index).unwrap().is_some());
    });
}

#[test]
fn an_ipv6_device_lives_with_one_that_wants_checksums() {
    in_namespace(|netlink| {
        run("ip link add strict type vxlan id 10 local 2001:db8::1 dstport 4789");
        run("ip link set strict up");
        netlink.create_vxlan(&NewVxlan { local: ip("2001:db8::1"), ..vxlan("dmevpn4", 4) }).unwrap();
    });
}

#[test]
fn a_shortcut_is_set_replaced_and_removed() {
    in_namespace(|netlink| {
        let index = netlink.create_vxlan(&vxlan("dmevpn1", 1)).unwrap();
        netlink.fdb_apply(&[set(index, mac(1), "10.0.0.2", 100)]).unwrap();
        let entry = netlink.fdb_get(index, mac(1)).unwrap().unwrap();
        assert!(entry.is_ours() && !entry.is_permanent() && !entry.is_learned());
        assert_eq!((entry.dst, entry.vni, entry.port), (Some(ip("10.0.0.2")), Some(100), None));
        let to = Destination { ip: ip("10.0.0.3"), vni: Some(1), port: Some(8472), via: None };
        let change = FdbChange::Set { index, mac: mac(1), to };
        netlink.fdb_apply(&[change]).unwrap();
        let entry = netlink.fdb_get(index, mac(1)).unwrap().unwrap();
        assert_eq!((entry.dst, entry.vni, entry.port), (Some(ip("10.0.0.3")), None, Some(8472)));
        assert_eq!(destinations(netlink, index, mac(1)).len(), 1);

        // Pointing elsewhere, it is left alone.
        let mut other = entry.destination().unwrap();
        other.ip = ip("10.0.0.2");
        netlink.fdb_apply(&[FdbChange::Remove { index, mac: mac(1), to: Some(other) }]).unwrap();
        assert!(netlink.fdb_get(index, mac(1)).unwrap().is_some());
        netlink.fdb_apply(&[FdbChange::Remove { index, mac: mac(1), to: entry.destination() }]).unwrap();
        assert_eq!(netlink.fdb_get(index, mac(1)).unwrap(), None);

        // What is not there need not be removed, neither on a device that is not there.
        let gone = |index| FdbChange::Remove { index, mac: mac(1), to: None };
        netlink
            .fdb_apply(&[
                gone(index),
                gone(9999),
                FdbChange::Unlearn { index: 9999, mac: mac(1), vlan: None },
            ])
            .unwrap();
        let errors = netlink.fdb_apply(&[set(index, mac(1), "2001:db8::2", 1)]).unwrap_err();
        assert!(errors[0].1.not_supported(), "{}", errors[0].1);
    });
}

#[test]
fn a_default_entry_has_exactly_one_destination() {
    in_namespace(|netlink| {
        let v4 = netlink.create_vxlan(&vxlan("dmevpn4", 1)).unwrap();
        let v6 = netlink.create_vxlan(&NewVxlan { local: ip("2001:db8::1"), ..vxlan("dmevpn6", 1) }).unwrap();
        for mac in [ZERO, ALL] {
            for (dst, vni, seen) in [
                ("10.0.0.2", 100, Some(100)),
                ("10.0.0.2", 100, Some(100)),
                ("10.0.0.2", 101, Some(101)),
                ("10.0.0.3", 1, None),
                ("10.0.0.3", 1, None),
            ] {
                netlink.fdb_apply(&[set(v4, mac, dst, vni)]).unwrap();
                assert_eq!(destinations(netlink, v4, mac), [(dst.to_string(), seen)]);
                assert!(netlink.fdb_get(v4, mac).unwrap().unwrap().is_ours());
            }
            let changes = [set(v6, mac, "2001:db8::2", 5), set(v6, mac, "2001:db8::3", 1)];
            netlink.fdb_apply(&changes).unwrap();
            assert_eq!(destinations(netlink, v6, mac), [("2001:db8::3".to_string(), None)]);
            netlink.fdb_apply(&[FdbChange::Remove { index: v6, mac, to: None }]).unwrap();
            assert_eq!(destinations(netlink, v6, mac), []);
        }

        // The same port, said and not said; and several destinations from somebody else.
        let to = Destination { ip: ip("10.0.0.3"), vni: Some(1), port: Some(4789), via: None };
        let said = FdbChange::Set { index: v4, mac: ZERO, to };
        netlink.fdb_apply(&[said]).unwrap();
        assert_eq!(destinations(netlink, v4, ZERO).len(), 1);
        run("bridge fdb append 00:00:00:00:00:00 dev dmevpn4 dst 10.0.0.8 vni 8");
        run("bridge fdb append 00:00:00:00:00:00 dev dmevpn4 dst 10.0.0.9");
        assert_eq!(destinations(netlink, v4, ZERO).len(), 3);
        netlink.fdb_apply(&[set(v4, ZERO, "10.0.0.4", 4)]).unwrap();
        assert_eq!(destinations(netlink, v4, ZERO), [("10.0.0.4".to_string(), Some(4))]);

        // Set and removed in one go, in order.
        let remove = FdbChange::Remove { index: v4, mac: ZERO, to: None };
        netlink.fdb_apply(&[set(v4, ZERO, "10.0.0.5", 4), remove]).unwrap();
        assert_eq!(destinations(netlink, v4, ZERO), []);
    });
}

/// Frames that two hubs got would be heard twice.
#[test]
fn a_default_entry_leads_to_one_place_at_a_time() {
    in_namespace(|netlink| {
        let index = netlink.create_vxlan(&vxlan("dmevpn1", 1)).unwrap();
        netlink.fdb_apply(&[set(index, ZERO, "10.0.0.2", 2)]).unwrap();
        let mut events = Events::open().unwrap();
        netlink.fdb_apply(&[set(index, ZERO, "10.0.0.3", 3)]).unwrap();
        let told: Vec<_> = drain(&mut events)
            .into_iter()
            .filter_map(|event| match event {
                Event::Fdb(e) if e.is_ours() => Some(("new", e.dst.unwrap().to_string())),
                Event::FdbGone(e) if e.is_ours() => Some(("gone", e.dst.unwrap().to_string())),
                _ => None,
            })
            .collect();
        assert_eq!(told, [("gone", "10.0.0.2".to_string()), ("new", "10.0.0.3".to_string())]);
    });
}

/// What a hub's data plane `kmod` needs of the kernel, but for the driver's patch.
#[test]
fn a_device_for_all_spokes() {
    in_namespace(|netlink| {
        let (bridge, ..) = bridge_with_veth(netlink);
        let shared = |name| NewVxlan { vni: None, master: Some(bridge), ..vxlan(name, 0) };
        let one = netlink.create_vxlan(&shared("dmevpn1")).unwrap();
        netlink.accept_vni(one, 1_000_001).unwrap();
        netlink.accept_vni(one, 1_000_001).unwrap();
        netlink.set_hairpin(one).unwrap();
        let Kind::Vxlan(info) = netlink.link_by_index(one).unwrap().unwrap().kind else { panic!() };
        assert!(info.external && info.learning && info.vnifilter);
        assert_eq!((info.vni, info.local), (None, Some(ip("10.0.0.1"))));
        assert!(shown("bridge -d link show dev dmevpn1").contains("hairpin on"));

        // Another VN's shares the UDP port; a VNI belongs to one of them.
        let two = netlink.create_vxlan(&shared("dmevpn2")).unwrap();
        assert!(netlink.accept_vni(two, 1_000_001).unwrap_err().exists());
        netlink.accept_vni(two, 1_000_002).unwrap();
        assert!(netlink.accept_vni(9999, 1).is_err());

        let to = |n: u8, vni| Destination {
            ip: ip(&format!("10.0.0.{n}")),
            vni: Some(vni),
            port: None,
            via: None,
        };
        let add = |to| FdbChange::Add { index: one, mac: ZERO, to };
        netlink.fdb_apply(&[add(to(2, 100)), add(to(3, 100)), add(to(2, 100)), add(to(3, 101))]).unwrap();
        let there = |netlink: &mut Netlink| {
            let entries = netlink.fdb_of_device(one).unwrap();
            let flooded = entries.iter().filter(|e| e.mac == ZERO && e.is_ours());
            flooded.map(|e| (e.dst.unwrap().to_string(), e.vni.unwrap())).collect::<Vec<_>>()
        };
        let names =
            |list: &[(u8, u32)]| list.iter().map(|(n, v)| (format!("10.0.0.{n}"), *v)).collect::<Vec<_>>();
        assert_eq!(there(netlink), names(&[(2, 100), (3, 100), (3, 101)]));
        netlink.fdb_apply(&[FdbChange::Remove { index: one, mac: ZERO, to: Some(to(3, 100)) }]).unwrap();
        assert_eq!(there(netlink), names(&[(2, 100), (3, 101)]));
        assert!(netlink.fdb_apply(&[add(Destination { ip: ip("2001:db8::2"), ..to(2, 100) })]).is_err());

        // As long as it floods to nobody it would learn from everybody.
        let mut events = Events::open().unwrap();
        let three = netlink.create_vxlan(&NewVxlan { entry: Some(to(2, 100)), ..shared("dmevpn3") }).unwrap();
        let told = drain(&mut events);
        let flooded =
            told.iter().position(|e| matches!(e, Event::Fdb(e) if e.index == three && e.mac == ZERO));
        let up = told.iter().position(|e| matches!(e, Event::Link(link) if link.index == three && link.up));
        assert!(flooded.is_some() && flooded < up, "{told:?}");
    });
}

#[test]
fn an_entry_tells_how_long_it_is_idle() {
    in_namespace(|netlink| {
        let index = netlink.create_vxlan(&vxlan("dmevpn1", 1)).unwrap();
        netlink.fdb_apply(&[set(index, mac(1), "10.0.0.2", 100)]).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let idle = |netlink: &mut Netlink| netlink.fdb_get(index, mac(1)).unwrap().unwrap().idle.unwrap();
        assert!(idle(netlink) >= Duration::from_millis(250));
        let before = idle(netlink);
        send_frame(index, mac(2), mac(1));
        assert!(idle(netlink) < before);
        let entry = netlink.fdb_get(index, mac(1)).unwrap().unwrap();
        assert!(entry.age.unwrap() >= before);
    });
}

#[test]
fn a_thousand_entries_and_the_one_bad_among_them() {
    in_namespace(|netlink| {
        let index = netlink.create_vxlan(&vxlan("dmevpn1", 1)).unwrap();
        let mut changes: Vec<_> =
            (0..1000).map(|n| set(index, mac(n), "10.0.0.2", u32::from(n) + 1)).collect();
        changes[700] = set(9999, mac(700), "10.0.0.2", 1);
        let errors = netlink.fdb_apply(&changes).unwrap_err();
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].0, 700);
        let text = errors[0].1.to_string();
        assert!(
            text.starts_with("point 02:00:00:01:02:bc on interface 9999 to 10.0.0.2 vni 1: No such device")
        );
        let entries = netlink.fdb_of_device(index).unwrap();
        assert_eq!(entries.iter().filter(|e| e.is_ours()).count(), 999);
        let removals: Vec<_> =
            entries.iter().map(|e| FdbChange::Remove { index, mac: e.mac, to: None }).collect();
        netlink.fdb_apply(&removals).unwrap();
        assert_eq!(netlink.fdb_of_device(index).unwrap(), []);
    });
}

/// Needs a kernel whose bridges filter VLANs; without one it says so and passes.
#[test]
fn a_port_is_in_its_vlan_only() {
    in_namespace(|netlink| {
        let (bridge, port, outside) = bridge_with_veth(netlink);
        let ten = VlanId::new(10).unwrap();
        let listed = |netlink: &mut Netlink, index| {
            let ports = netlink.bridge_ports().unwrap();
            ports.into_iter().find(|p| p.index == index).unwrap()
        };
        assert_eq!(listed(netlink, port).bridge, bridge);
        let filtering = ["link", "set", "dev", "br", "type", "bridge", "vlan_filtering", "1"];
        if !std::process::Command::new("ip").args(filtering).status().is_ok_and(|s| s.success()) {
            return eprintln!("skipped: this kernel's bridges do not filter VLANs");
        }
        let link = netlink.link_by_index(bridge).unwrap().unwrap();
        let Kind::Bridge(info) = link.kind else { panic!("{link:?}") };
        assert_eq!((info.vlan_filtering, info.default_pvid), (true, VlanId::new(1)));
        assert!(listed(netlink, port).is_only_in(VlanId::new(1).unwrap()));

        let mut events = Events::open().unwrap();
        netlink.set_only_vlan(port, ten).unwrap();
        let now =
            |event| matches!(event, Event::Port(p) if p.index == port && p.is_only_in(ten)).then_some(());
        wait_for(&mut events, now);
        assert!(listed(netlink, port).is_only_in(ten));
        netlink.set_only_vlan(port, ten).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        assert!(!drain(&mut events).iter().any(|e| matches!(e, Event::Port(_))), "no change, no event");

        netlink.set_own_vlan(bridge, ten, true).unwrap();
        assert!(listed(netlink, bridge).is_in(ten));
        netlink.set_own_vlan(bridge, ten, false).unwrap();
        assert!(!listed(netlink, bridge).is_in(ten));

        // A MAC is looked up, and forgotten, in its VLAN.
        send_frame(outside, mac(5), ALL);
        std::thread::sleep(Duration::from_millis(50));
        let entry = |netlink: &mut Netlink, vlan| netlink.fdb_get_in(bridge, mac(5), vlan).unwrap();
        assert_eq!(entry(netlink, Some(10)).unwrap().vlan, Some(10));
        assert_eq!((entry(netlink, None), entry(netlink, Some(1))), (None, None));
        netlink.fdb_apply(&[FdbChange::Unlearn { index: port, mac: mac(5), vlan: Some(10) }]).unwrap();
        assert_eq!(entry(netlink, Some(10)), None);

        let new = NewVxlan { master: Some(bridge), vlan: Some(ten), ..vxlan("dmevpn1", 1) };
        let index = netlink.create_vxlan(&new).unwrap();
        assert!(listed(netlink, index).is_only_in(ten) && netlink.link_by_index(index).unwrap().unwrap().up);
    });
}

#[test]
fn a_bridge_tells_what_it_learns() {
    in_namespace(|netlink| {
        let (bridge, port, outside) = bridge_with_veth(netlink);
        let mut events = Events::open().unwrap();
        send_frame(outside, mac(5), ALL);
        let learned = |event| match event {
            Event::Fdb(e) if e.mac == mac(5) && e.is_learned() => Some(e),
            _ => None,
        };
        let entry: FdbEntry = wait_for(&mut events, learned);
        assert_eq!((entry.index, entry.master), (port, Some(bridge)));

        // The hub's way to resolve: ask the bridge.
        let asked = netlink.fdb_get(bridge, mac(5)).unwrap().unwrap();
        assert_eq!((asked.index, asked.master), (port, Some(bridge)));
        assert_eq!(netlink.fdb_get(bridge, mac(6)).unwrap(), None);
        let all = netlink.fdb_of_bridge(bridge).unwrap();
        assert!(all.iter().any(|e| e.mac == mac(5) && e.is_learned()));
        assert!(all.iter().any(|e| e.mac == BRIDGE_MAC && e.is_permanent() && !e.is_learned()));

        // Known: no event. Unlearned: an event again.
        drain(&mut events);
        send_frame(outside, mac(5), ALL);
        std::thread::sleep(Duration::from_millis(50));
        assert!(!drain(&mut events).into_iter().any(|e| learned(e).is_some()));
        netlink.fdb_apply(&[FdbChange::Unlearn { index: port, mac: mac(5), vlan: None }]).unwrap();
        wait_for(&mut events, |e| matches!(e, Event::FdbGone(e) if e.mac == mac(5)).then_some(()));
        send_frame(outside, mac(5), ALL);
        wait_for(&mut events, learned);
    });
}

#[test]
fn a_miss_is_told() {
    in_namespace(|netlink| {
        let index = netlink.create_vxlan(&NewVxlan { l2miss: true, ..vxlan("dmevpn1", 1) }).unwrap();
        let mut events = Events::open().unwrap();
        send_frame(index, mac(2), mac(1));
        let missed = |event| match event {
            Event::Miss { index, mac } => Some((index, mac)),
            _ => None,
        };
        assert_eq!(wait_for(&mut events, missed), (index, mac(1)));
    });
}

#[test]
fn ip_neighbours_wake_nobody() {
    in_namespace(|netlink| {
        let index = netlink.create_vxlan(&vxlan("dmevpn1", 1)).unwrap();
        let mut events = Events::open().unwrap();
        let readable = |limit| {
            let mut poll = libc::pollfd { fd: events.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one pollfd, which lives until the call returns.
            unsafe { libc::poll(&raw mut poll, 1, limit) > 0 }
        };
        run("ip neighbour add 192.0.2.9 lladdr 02:00:00:00:00:09 dev dmevpn1");
        run("ip neighbour del 192.0.2.9 dev dmevpn1");
        assert!(!readable(100), "news of an IP neighbour woke the daemon");
        netlink.fdb_apply(&[set(index, mac(1), "10.0.0.2", 2)]).unwrap();
        assert!(readable(1000), "news of a forwarding entry did not");
        wait_for(&mut events, |event| matches!(event, Event::Fdb(_)).then_some(()));
    });
}

#[test]
fn devices_and_addresses_are_told_through_the_reactor() {
    in_namespace(|netlink| {
        let mut events = Events::open().unwrap();
        let index = netlink.create_vxlan(&vxlan("dmevpn1", 1)).unwrap();
        run("ip address add 192.0.2.1/24 dev dmevpn1");
        netlink.delete_link(index).unwrap();
        // The daemon waits on a descriptor of its own, so that nobody holds the events meanwhile.
        let readable =
            async_io::Async::new(std::os::fd::AsFd::as_fd(&events).try_clone_to_owned().unwrap()).unwrap();
        let (mut made, mut addresses, mut gone) = (false, false, false);
        while !gone {
            let late = async {
                async_io::Timer::after(Duration::from_secs(2)).await;
                Err(std::io::ErrorKind::TimedOut.into())
            };
            smol::block_on(smol::future::or(readable.readable(), late)).unwrap();
            for event in drain(&mut events) {
                match event {
                    Event::Link(link) if link.index == index => made |= link.alias.is_some() && link.up,
                    Event::LinkGone(link) => gone = link.index == index && link.name == "dmevpn1",
                    Event::Addresses { .. } => addresses = true,
                    _ => {}
                }
            }
        }
        assert!(made && addresses);
    });
}

#[test]
fn lost_events_are_told_once_and_old_ones_forgotten() {
    in_namespace(|netlink| {
        let index = netlink.create_vxlan(&vxlan("dmevpn1", 1)).unwrap();
        let mut events = Events::with_receive_buffer(8192).unwrap();
        let changes: Vec<_> = (0..500).map(|n| set(index, mac(n), "10.0.0.2", 1)).collect();
        netlink.fdb_apply(&changes).unwrap();
        let told = drain(&mut events);
        assert_eq!(told.iter().filter(|e| **e == Event::Overrun).count(), 1);
        assert_eq!(told.last(), Some(&Event::Overrun), "what is older than the loss must not come after it");
        netlink.fdb_apply(&[set(index, mac(1000), "10.0.0.2", 1)]).unwrap();
        wait_for(&mut events, |e| matches!(e, Event::Fdb(e) if e.mac == mac(1000)).then_some(()));
    });
}

#[test]
fn neighbours_are_set_and_removed() {
    in_namespace(|netlink| {
        let (_, _, outside) = bridge_with_veth(netlink);
        for neighbour in ["192.0.2.9", "2001:db8::9"] {
            netlink.neighbour_set(outside, ip(neighbour), &mac(1)).unwrap();
            netlink.neighbour_set(outside, ip(neighbour), &mac(2)).unwrap();
            let shown =
                std::process::Command::new("ip").args(["neigh", "show", "nud", "all"]).output().unwrap();
            let shown = String::from_utf8(shown.stdout).unwrap();
            let line = shown.lines().find(|line| line.starts_with(neighbour)).unwrap();
            assert!(line.contains("02:00:00:01:00:02") && line.contains("extern_learn"), "{line}");
            assert!(line.contains("NOARP"), "{line}");
            netlink.neighbour_remove(outside, ip(neighbour)).unwrap();
            netlink.neighbour_remove(outside, ip(neighbour)).unwrap();
        }
    });
}

#[test]
fn addresses_are_listed() {
    in_namespace(|netlink| {
        let index = netlink.create_bridge("br", None, "", true).unwrap();
        run("ip address add 192.0.2.1/24 dev br");
        run("ip address add 192.0.2.65 peer 192.0.2.66/32 dev br");
        run("ip address add 2001:db8::1/64 dev br nodad");
        let mut found: Vec<_> = netlink
            .addresses()
            .unwrap()
            .into_iter()
            .filter(|a| a.index == index && a.scope == 0)
            .map(|a| (a.ip.to_string(), a.prefix))
            .collect();
        found.sort();
        let wanted = [("192.0.2.1", 24), ("192.0.2.65", 32), ("2001:db8::1", 64)];
        assert_eq!(found, wanted.map(|(ip, prefix)| (ip.to_string(), prefix)));
    });
}

/// What `nft` says of the rules; `None` where there is no such program.
fn rules(arguments: &[&str]) -> Option<(bool, String)> {
    let said = std::process::Command::new("nft").args(arguments).output().ok()?;
    let text = [said.stdout, said.stderr].concat();
    Some((said.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

fn about(port: u16) -> Scope {
    Scope { port, others_pass: true, probes_pass: true }
}

/// As far as this kernel has nftables; where it has not, it is so said, and at once.
#[test]
fn a_gate_is_what_nft_reads_and_nobody_elses() {
    in_namespace(|_| {
        let pairs: Vec<_> =
            (0..1200u32).map(|n| (IpAddr::from((0x0a00_0001 + n).to_be_bytes()), 100 + n)).collect();
        let first: Vec<_> = pairs.iter().map(|(source, vni)| Admission::Open(*source, *vni)).collect();
        let mut gate = match Gate::make(about(4789), &first) {
            Ok(gate) => gate,
            Err(lack) => {
                assert!(matches!(lack, Lack::NoTables | Lack::NoOwner), "{lack:?}");
                return eprintln!("skipped: {lack}");
            }
        };
        let six = ip("fd00::7");
        let changes = [
            Admission::Open(six, 7),
            Admission::Open(six, 7),
            Admission::Close(pairs[5].0, pairs[5].1),
            Admission::Free(pairs[5].1),
            Admission::Open(ip("192.0.2.1"), 4),
            Admission::Claim(0x00ab_cdef),
            Admission::Claim(4),
        ];
        gate.change(&changes).unwrap();
        assert_eq!(dropped(gate.name()), Some(0));
        // What is not there: nothing of it happens.
        assert!(gate.change(&[Admission::Open(six, 9), Admission::Free(99)]).is_err());
        let other = Gate::make(about(4790), &[]).unwrap();
        assert_eq!((gate.name(), other.name()), ("dmevpn", "dmevpn2"));
        gate.move_to(about(4791)).unwrap();
        let Some((_, text)) = rules(&["list", "ruleset"]) else { return };
        for part in [
            "table inet dmevpn {",
            "udp dport 4791 jump vxlan",
            "udp dport 4790 jump vxlan",
            "hook input priority mangle; policy accept;",
            "ip saddr . @th,96,32 @vteps4 accept",
            "ip6 saddr . @th,96,32 @vteps6 accept",
            "@th,96,24 != @vnis accept",
            "counter packets 0 bytes 0 drop",
            "fd00::7 . 0.0.7.0",
            "192.0.2.1 . 0.0.4.0",
            "171.205.239.0",
            "limit rate 100/second burst 100 packets meta mark set 0x646d6501 accept",
            "10.0.4.176 . 0.5.19.0",
        ] {
            assert!(text.contains(part), "no '{part}' in:\n{text}");
        }
        assert!(
            !text.contains("dport 4789") && !text.contains("10.0.0.6 .") && !text.contains("0.0.9.0"),
            "{text}"
        );
        // Where a device takes every VNI none passes but with its pair.
        gate.move_to(Scope { others_pass: false, probes_pass: false, ..about(4791) }).unwrap();
        let (_, text) = rules(&["list", "table", "inet", "dmevpn"]).unwrap();
        assert!(!text.contains("!= @vnis") && text.contains("udp dport 4791 jump vxlan"), "{text}");
        gate.move_to(about(4791)).unwrap();
        assert!(rules(&["list", "table", "inet", "dmevpn"]).unwrap().1.contains("!= @vnis accept"));
        // Others cannot.
        rules(&["flush", "ruleset"]);
        rules(&["delete", "table", "inet", "dmevpn"]);
        assert!(rules(&["list", "tables"]).unwrap().1.contains("dmevpn2"));
        drop((gate, other));
        // A child of another test's holds the sockets too, between its fork and its exec.
        let is_gone = || rules(&["list", "ruleset"]).unwrap().1.is_empty();
        let goes = (0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            is_gone()
        });
        assert!(goes, "{:?}", rules(&["list", "ruleset"]));
    });
}

#[test]
fn who_may_not_is_told() {
    in_namespace(|_| {
        // SAFETY: no memory is involved; this thread alone becomes another user, without rights.
        assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534) }, 0);
        let lack = Gate::make(about(4789), &[]).unwrap_err();
        assert!(
            lack.lasts() && lack.to_string().contains("CAP_NET_ADMIN") || lack == Lack::NoTables,
            "{lack:?}"
        );
    });
}
