//! The kernel as others leave it: devices of VNs that have another name now, entries that somebody removes, a UDP port
//! that somebody holds, and many devices that go at once.

use super::*;
use lab::now;
use std::io::Read;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Stdio;

fn rename(node: &Node) {
    node.edit_config(|text| text.replace("config vn 'test'", "config vn 'renamed'")).unwrap();
}

fn start_again(lab: &mut Lab, name: &str) {
    lab.nodes.get_mut(name).unwrap().kill().unwrap();
    lab.start(name).unwrap();
}

/// How long the longest of the questions took that are asked until `done`.
fn longest_wait(node: &Node, mut done: impl FnMut() -> bool) -> Duration {
    let mut longest = Duration::ZERO;
    let end = now() + SOON;
    while !done() && now() < end {
        let asked = now();
        assert!(dmevpn(node, &["status"]).status.success());
        longest = longest.max(now() - asked);
        std::thread::sleep(Duration::from_millis(10));
    }
    longest
}

/// The bridge is taken over, ports of the old name go before new ones come: nothing passes twice.
#[test]
fn a_hubs_vn_is_renamed_while_its_daemon_is_down() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        let bridge = lab.node("hub").ns.ifindex("br-test").unwrap();
        rename(lab.node("hub"));
        start_again(lab, "hub");
        for spoke in ["spoke1", "spoke2"] {
            start_again(lab, spoke);
        }
        lab.wait_connected(SOON).unwrap();
        all_is_well(lab);
        let hub = lab.node("hub");
        wait("a port for each spoke", || hub.ports().unwrap().len() == 2);
        for port in hub.ports().unwrap().keys() {
            assert!(show(hub, port).contains("dmevpn vn=renamed spoke="), "{}", show(hub, port));
        }
        assert_eq!(hub.ns.ifindex("br-test"), Ok(bridge));
        assert!(show(hub, "br-test").contains("dmevpn vn=renamed"));
        assert!(!hub.log_text().contains("File exists"), "{}", hub.log_text());
        let pinged = ping(&lab.host("vm1").ns, Echoes::to(ip(inside(11)), 5, 20)).unwrap();
        assert!(pinged.none_lost(), "{pinged}");
    });
}

#[test]
fn a_spokes_vn_is_renamed_while_its_daemon_is_down() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        rename(lab.node("spoke1"));
        start_again(lab, "spoke1");
        wait_status(lab.node("spoke1"), "valid for");
        assert!(show(lab.node("spoke1"), "tunnel2").contains("dmevpn vn=renamed"));
        all_is_well(lab);
    });
}

/// What was left uses another UDP port than what is made, and nothing would pass between the two.
#[test]
fn the_udp_port_changes_while_the_daemons_are_down() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        for name in ["hub", "spoke1", "spoke2"] {
            lab.nodes.get_mut(name).unwrap().kill().unwrap();
            lab.node(name)
                .edit_config(|text| text.replacen("\toption", "\toption udp_port '4790'\n\toption", 1))
                .unwrap();
            lab.start(name).unwrap();
        }
        let (hub, spoke1, spoke2) = (lab.node("hub"), lab.node("spoke1"), lab.node("spoke2"));
        wait("all devices are made anew", || {
            let ports = hub.ports().unwrap();
            let devices = ports.keys().map(|port| show(hub, port));
            let mut devices = devices.chain([show(spoke1, "tunnel2"), show(spoke2, "tunnel2")]);
            ports.len() == 2 && devices.all(|device| device.contains("dstport 4790 "))
        });
        lab.wait_connected(SOON).unwrap();
        all_is_well(lab);
        assert!(!hub.log_text().contains("File exists"), "{}", hub.log_text());
    });
}

/// Who is not alone leaves what it does not know to the other one.
#[test]
fn two_daemons_in_one_network_namespace() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        let hub = lab.node("hub");
        let ports = hub.ports().unwrap();
        let directory = hub.config().parent().unwrap().join("second");
        fs::create_dir_all(&directory).unwrap();
        let config = directory.join("uci");
        let text = format!(
            "config dmevpn\n option nbma 10.0.0.1\n option udp_port 4790\n option socket '{0}/socket'\n option state_file '{0}/state'\n\
             config vn second\n option vpn_id 2\n option role hub\n option bridge br-second\n",
            directory.display()
        );
        fs::write(&config, text).unwrap();
        let mut second = hub.ns.command(program().path);
        second.args(["daemon", "--config"]).arg(&config).stderr(Stdio::null());
        let mut second = second.spawn().unwrap();
        wait("the second one has its bridge", || hub.ns.has("br-second"));
        std::thread::sleep(Duration::from_millis(300));
        second.kill().unwrap();
        second.wait().unwrap();
        assert_eq!(hub.ports().unwrap(), ports);
        all_is_well(lab);
    });
}

/// The one that was there first leaves the other's devices alone, also when it lists all of them.
#[test]
fn another_daemon_comes_later() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        let hub = lab.node("hub");
        // What a later daemon makes for a VN of its own.
        hub.ns.ip("link add br-second index 1073800001 type bridge\nlink set br-second up alias 'dmevpn vn=second'").unwrap();
        hub.signal(libc::SIGSTOP).unwrap();
        make_noise(hub);
        hub.signal(libc::SIGCONT).unwrap();
        wait("events were lost", || hub.log_text().contains("events of the kernel were lost"));
        std::thread::sleep(Duration::from_secs(2));
        assert!(hub.ns.has("br-second"), "{}", hub.log_text());
    });
}

/// A spoke's device that somebody gave another name would keep the VNI from a new one.
#[test]
fn somebody_renames_a_spokes_device() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        let spoke1 = lab.node("spoke1");
        if spoke1.ns.ip("link set tunnel2 name other").is_err() {
            println!("skipped: this kernel renames no device that is on");
            return;
        }
        spoke1.signal(libc::SIGHUP).unwrap();
        wait("it is there under its name", || spoke1.ns.has("tunnel2") && !spoke1.ns.has("other"));
        lab.wait_connected(SOON).unwrap();
        all_is_well(lab);
    });
}

/// A bridge of ours is switched on again; one of the user's is told.
#[test]
fn somebody_switches_a_bridge_off() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        let (hub, spoke1) = (lab.node("hub"), lab.node("spoke1"));
        hub.ns.ip("link set br-test down").unwrap();
        wait("it is on again", || show(hub, "br-test").contains(",UP"));
        all_is_well(lab);
        spoke1.ns.ip("link set br-test down").unwrap();
        wait_status(spoke1, "interface 'br-test' is down");
        spoke1.ns.ip("link set br-test up").unwrap();
        wait("it is well again", || !status(spoke1).contains("is down"));
        all_is_well(lab);
    });
}

#[test]
fn somebody_removes_a_ports_default_entry() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        let hub = lab.node("hub");
        for port in hub.ports().unwrap().keys() {
            let there = destinations(hub, port, [0; 6]);
            let [(Some(to), Some(vni))] = there[..] else { panic!("{there:?}") };
            hub.ns.bridge(&format!("fdb del 00:00:00:00:00:00 dev {port} dst {to} vni {vni} self")).unwrap();
            wait("it is made again", || destinations(hub, port, [0; 6]) == there);
        }
    });
}

/// A spoke comes by another address of the hub's than its port was made for, and has not said that it leaves.
#[test]
fn a_port_sends_from_the_address_its_spoke_sends_to() {
    in_small(plan(), |lab| {
        let hub = lab.node("hub");
        hub.ns.ip("addr add 10.0.0.100/24 dev eth1").unwrap();
        lab.start_all().unwrap();
        all_is_well(lab);
        let spoke1 = lab.node("spoke1");
        spoke1
            .edit_config(|text| text.replace("option address '10.0.0.1'", "option address '10.0.0.100'"))
            .unwrap();
        lab.node("hub")
            .edit_config(|text| text.replace("option nbma '10.0.0.1'", "option nbma '10.0.0.100'"))
            .unwrap();
        start_again(lab, "hub");
        start_again(lab, "spoke1");
        wait_status(lab.node("spoke1"), "valid for");
        let hub = lab.node("hub");
        let port = || {
            let ports: Vec<String> = hub.ports().unwrap().keys().map(|port| show(hub, port)).collect();
            ports.into_iter().find(|port| port.contains("spoke=10.0.0.2 ")).unwrap_or_default()
        };
        wait("the port's address is the other one", || port().contains("local 10.0.0.100 "));
        assert_eq!(hub.ports().unwrap().len(), 2);
        let other: IpAddr = "10.0.0.100".parse().unwrap();
        wait("the spoke sends there", || {
            destinations(lab.node("spoke1"), "tunnel2", [0; 6]).iter().any(|(to, _)| *to == Some(other))
        });
        let pinged = ping_spoke2(lab, 10);
        assert!(pinged.none_lost(), "{pinged}");
    });
}

/// And while the daemon does not look, so that it has to list what is there.
#[test]
fn entries_are_removed_while_events_are_lost() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        for name in ["hub", "spoke1"] {
            let node = lab.node(name);
            node.signal(libc::SIGSTOP).unwrap();
            let devices: Vec<String> = match name {
                "hub" => node.ports().unwrap().into_keys().collect(),
                _ => vec!["tunnel2".into()],
            };
            let all = || {
                let mut all: Vec<String> = devices.iter().flat_map(|device| external(node, device)).collect();
                all.sort_unstable();
                all
            };
            let before = all();
            assert!(before.len() >= 2, "{before:?}");
            for device in &devices {
                let entries = fdb::dump(&node.ns, device).unwrap();
                for entry in entries.iter().filter(|e| e.own && e.external) {
                    let (mac, to) = (lab::text_of_mac(entry.mac), entry.dst.unwrap());
                    let vni = entry.vni.map_or(String::new(), |vni| format!("vni {vni}"));
                    node.ns.bridge(&format!("fdb del {mac} dev {device} dst {to} {vni} self")).unwrap();
                }
                assert_eq!(external(node, device), [""; 0]);
            }
            make_noise(node);
            node.signal(libc::SIGCONT).unwrap();
            wait("they were lost", || node.log_text().contains("events of the kernel were lost"));
            assert!(wait_until(SOON, || all() == before), "{name} has {:?}, not {before:?}", all());
        }
        all_is_well(lab);
    });
}

/// A device that cannot be switched on is tried again by a timer, and not because it was made and deleted.
#[test]
fn a_udp_port_that_somebody_holds() {
    in_small(plan(), |lab| {
        let spoke1 = lab.node("spoke1");
        let held = spoke1.ns.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 4789))).unwrap().unwrap();
        let watch = lab.a_socket().with_file_name("links");
        let out = fs::File::create(&watch).unwrap();
        let mut monitor = spoke1.ns.command("ip").args(["monitor", "link"]).stdout(out).spawn().unwrap();
        lab.start("hub").unwrap();
        lab.start("spoke1").unwrap();
        let spoke1 = lab.node("spoke1");
        wait_status(spoke1, "Address already in use");
        let longest = longest_wait(spoke1, {
            let end = now() + Duration::from_secs(3);
            move || now() >= end
        });
        assert!(longest < Duration::from_millis(500) * lab::patience(), "{longest:?}");
        monitor.kill().unwrap();
        monitor.wait().unwrap();
        let made = fs::read_to_string(&watch).unwrap().matches("Deleted").count();
        assert!(made < 10, "it was made and deleted {made} times");
        drop(held);
        wait_status(spoke1, "valid for");
    });
}

/// Registers this many spokes with the hub.
fn herd_of(lab: &Lab, count: u16) {
    let herd = lab::herd::Herd::new(lab, "spoke2", 0..count).unwrap();
    let hub = lab.node("hub");
    let all = wait_until(SOON * 4, || {
        herd.register(lab, "spoke2").unwrap();
        hub.ports().unwrap().len() == usize::from(count)
    });
    assert!(all, "{}", status(hub));
}

/// 300 ports go at once: questions are answered meanwhile.
#[test]
fn a_vn_with_many_spokes_is_taken_out() {
    in_small(plan(), |lab| {
        let other = "\nconfig vn 'other'\n\toption vpn_id '7'\n\toption role 'hub'\n\toption bridge 'br-7'\n";
        lab.node("hub").edit_config(|text| text + other).unwrap();
        lab::herd::admit(lab).unwrap();
        lab.start("hub").unwrap();
        let hub = lab.node("hub");
        wait_status(hub, "other");
        herd_of(lab, 300);
        hub.edit_config(|text| text.replace("config vn 'test'", "config vn 'test'\n\toption enabled '0'"))
            .unwrap();
        let began = now();
        assert_eq!(dmevpn(hub, &["reload"]).status.code(), Some(0));
        let reloaded = now() - began;
        let longest = longest_wait(hub, || hub.ports().unwrap().is_empty() && !hub.ns.has("br-test"));
        let took = now() - began;
        println!("reload {reloaded:?}, longest wait {longest:?}, all gone after {took:?}");
        assert!(hub.ports().unwrap().is_empty() && hub.ns.has("br-7"));
        assert!(longest.max(reloaded) < Duration::from_secs(2) * lab::patience(), "{reloaded:?} {longest:?}");
    });
}

/// A hub that comes back knows what its bridge learned, however much that is, and serves before it does.
#[test]
fn a_hub_with_many_macs_starts_again() {
    in_small(plan(), |lab| {
        lab.start("hub").unwrap();
        lab.start("spoke1").unwrap();
        wait("a port", || lab.node("hub").ports().unwrap().len() == 1);
        let hub = lab.node("hub");
        let port = hub.ports().unwrap().into_keys().next().unwrap();
        let macs: String = (0..30_000)
            .map(|n| {
                format!("fdb add 02:88:00:00:{:02x}:{:02x} dev {port} master dynamic\n", n >> 8, n & 0xff)
            })
            .collect();
        hub.ns.bridge(&macs).unwrap();
        start_again(lab, "hub");
        let hub = lab.node("hub");
        wait_status(hub, "1 registered");
        wait("all are known", || status(hub).contains("30 00") || status(hub).contains("3000"));
    });
}

/// The kernel's lock of its network configuration (rtnl), held by a driver that takes its time.
struct Rtnl {
    faults: Option<OwnedFd>,
    holder: Option<std::thread::JoinHandle<()>>,
}

impl Rtnl {
    /// Asks the driver of `eth1` for its counters, which it writes while it holds the lock, to a page that is not there
    /// until somebody gives it (userfaultfd(2)). `None` where that cannot be had.
    #[allow(unsafe_code)]
    fn hold(node: &Node) -> Option<Rtnl> {
        // SAFETY: the two pages are this function's alone and stay mapped; structures are those of <linux/userfaultfd.h>,
        // <linux/ethtool.h> and <linux/if.h>, and outlive the calls.
        let (place, faults) = unsafe {
            let page = libc::sysconf(libc::_SC_PAGESIZE) as usize;
            let (access, kind) =
                (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            let pages = libc::mmap(std::ptr::null_mut(), 2 * page, access, kind, -1, 0);
            assert_ne!(pages, libc::MAP_FAILED);
            let faults = libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC);
            if faults < 0 {
                println!("skipped: no userfaultfd ({})", std::io::Error::last_os_error());
                return None;
            }
            let faults = OwnedFd::from_raw_fd(faults as i32);
            let mut api = [0xaa_u64, 0, 0];
            assert_eq!(libc::ioctl(faults.as_raw_fd(), 0xc018_aa3f, api.as_mut_ptr()), 0);
            let mut range = [pages as u64 + page as u64, page as u64, 1, 0];
            assert_eq!(libc::ioctl(faults.as_raw_fd(), 0xc020_aa00, range.as_mut_ptr()), 0);
            // The request is on the first page, what it is answered with on the second.
            let place = pages.byte_add(page - 8).cast::<[u32; 2]>();
            place.write([ETHTOOL_GSTATS, 0]);
            (place as usize, faults)
        };
        let ns = node.ns.borrow();
        let holder = std::thread::spawn(move || {
            let ask = || {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                // SAFETY: as above; the name is shorter than its place, which is zero behind it.
                #[allow(unsafe_code)]
                unsafe {
                    let mut request: libc::ifreq = std::mem::zeroed();
                    b"eth1"
                        .iter()
                        .zip(&mut request.ifr_name)
                        .for_each(|(from, to)| *to = *from as libc::c_char);
                    request.ifr_ifru.ifru_data = place as *mut libc::c_char;
                    libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request);
                }
            };
            ns.run(ask).unwrap();
        });
        // The page is missed.
        let mut event = [0; 32];
        let mut file = fs::File::from(faults);
        file.read_exact(&mut event).unwrap();
        Some(Rtnl { faults: Some(file.into()), holder: Some(holder) })
    }
}

impl Drop for Rtnl {
    fn drop(&mut self) {
        // Nobody is asked for the page any more: the kernel gives one.
        drop(self.faults.take());
        self.holder.take().into_iter().for_each(|holder| holder.join().unwrap());
    }
}

const ETHTOOL_GSTATS: u32 = 0x1d;
const SIOCETHTOOL: libc::c_ulong = 0x8946;

/// Whoever holds the kernel's lock, packets and commands are answered, and what is to be known of this router's own
/// addresses is known later.
#[test]
fn somebody_holds_the_kernels_lock() {
    in_small(plan(), |lab| {
        let by_interface = |text: String| text.replace("option nbma '10.0.0.2'", "option interface 'eth1'");
        lab.node("spoke1").edit_config(by_interface).unwrap();
        lab.start_all().unwrap();
        all_is_well(lab);
        let spoke1 = lab.node("spoke1");
        let Some(held) = Rtnl::hold(spoke1) else { return };
        let listing = spoke1.ns.command("ip").args(["link", "show"]).stdout(Stdio::null()).spawn().unwrap();
        let began = now();
        for _ in 0..3 {
            assert_eq!(dmevpn(spoke1, &["reload"]).status.code(), Some(0));
            assert!(status(spoke1).contains("valid for"), "{}", status(spoke1));
        }
        let took = now() - began;
        let pinged = ping_spoke2(lab, 10);
        let mut listing = listing;
        assert!(listing.try_wait().unwrap().is_none(), "it is not held");
        drop(held);
        listing.wait().unwrap();
        assert!(took < Duration::from_secs(2), "commands took {took:?}");
        assert!(pinged.none_lost(), "{pinged}");
        wait_status(spoke1, "valid for");
        all_is_well(lab);
    });
}

/// Where nothing may be written to `/proc/sys`, as service managers and containers have it, ports have no address of
/// IPv6 either: netlink says so before they are up.
#[test]
fn ports_where_proc_is_read_only() {
    in_small(plan(), |lab| {
        let hub = lab.node("hub");
        // As it is elsewhere: a device that is switched on takes an address.
        let usual = || fs::write("/proc/sys/net/ipv6/conf/default/addr_gen_mode", "0");
        hub.ns.run(usual).unwrap().unwrap();
        let script = "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec \"$0\" daemon --config \"$1\"";
        let mut command = hub.ns.command("unshare");
        command.args(["-m", "sh", "-c", script]).arg(program().path).arg(hub.config());
        let log = fs::File::create(hub.log()).unwrap();
        command.env("DMEVPN_SECCOMP", "kill").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let _own = super::log::Own(command.spawn().unwrap());
        lab.start("spoke1").unwrap();
        wait_status(lab.node("spoke1"), "valid for");
        let hub = lab.node("hub");
        let port = hub.ports().unwrap().into_keys().next().unwrap();
        let read = |what: &str| {
            let file = format!("/proc/sys/net/ipv6/conf/{port}/{what}");
            hub.ns.run(|| fs::read_to_string(file)).unwrap().unwrap()
        };
        assert_eq!(
            (read("disable_ipv6").trim(), read("addr_gen_mode").trim()),
            ("0", "1"),
            "the other way is closed"
        );
        // A device's address comes with its first second.
        std::thread::sleep(Duration::from_secs(2));
        let addresses = hub.ns.command("ip").args(["-6", "addr", "show", "dev", &port]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&addresses.stdout), "");
        assert!(show(hub, &port).contains(",UP"), "{}", show(hub, &port));
    });
}
