//! Tests of the typed configuration.

use super::options::{Kind, OPTIONS, Opt};
use super::*;
use crate::engine::settings::Algorithm;
use proptest::prelude::*;

const HUB: &str = "config dmevpn\n option nbma 10.0.0.1\nconfig vn a\n option role hub\n option vpn_id 1\n";
const SPOKE: &str = "config hub h\n option address 10.0.0.1\n\
                     config vn a\n option role spoke\n option vpn_id 1\n option bridge br\n option vni 100\n";

fn parse(text: &str) -> Config {
    Config::parse("f", text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn errors(text: &str) -> String {
    Config::parse("f", text).expect_err(text).to_string()
}

#[test]
fn an_empty_file_has_the_defaults() {
    let main = Main {
        enabled: true,
        nbma: Vec::new(),
        advertise: Vec::new(),
        interface: None,
        transport: Transport::Raw,
        udp_port: 4789,
        guard: true,
        holding_time: Duration::from_secs(600),
        log_level: log::LevelFilter::Info,
        state_file: "/etc/dmevpn/state".to_owned(),
        socket: "/var/run/dmevpn/private/control.sock".to_owned(),
    };
    assert_eq!(
        parse(""),
        Config { main, hubs: Vec::new(), vns: Vec::new(), keys: Vec::new(), spokes: Vec::new() }
    );
}

#[test]
fn a_hub_names_the_other_hubs() {
    let config = parse(&format!("{HUB}list peer h\nconfig hub h\n option address 10.0.0.2\n"));
    assert!(matches!(&config.vns[0].role, Role::Hub(hub) if hub.peers == ["h"]));
}

#[test]
fn a_hub_has_its_defaults() {
    let role = HubRole {
        default: false,
        protocol_addresses: Vec::new(),
        cisco_authentication: None,
        allow: Vec::new(),
        keys: Vec::new(),
        require: true,
        uplink_first: Vni::new(1_048_576).unwrap(),
        dataplane: Dataplane::Auto,
        untagged_l2: false,
        max_vnis_per_address: 4,
        max_spokes: None,
        peers: vec![],
    };
    let vn = Vn {
        name: "a".to_owned(),
        vpn_id: "1".parse().unwrap(),
        mtu: 1500,
        bridge: "br-a".to_owned(),
        vlan: None,
        max_macs: 65536,
        role: Role::Hub(role),
    };
    assert_eq!(parse(HUB).vns, [vn]);
}

#[test]
fn a_spoke_has_its_defaults() {
    let role = Spoke {
        vni: Vni::new(100).unwrap(),
        vxlan: "vx-a".to_owned(),
        hubs: vec!["h".to_owned()],
        preempt: true,
        trigger: Trigger::Learn,
        negative_time: Duration::from_secs(60),
        verify: true,
    };
    let vn = Vn {
        name: "a".to_owned(),
        vpn_id: "1".parse().unwrap(),
        mtu: 1500,
        bridge: "br".to_owned(),
        vlan: None,
        max_macs: 2048,
        role: Role::Spoke(role),
    };
    let address = HubAddress::Ip("10.0.0.1".parse().unwrap());
    let hub = Hub {
        name: "h".to_owned(),
        address,
        priority: 10,
        vpn_mode: VpnMode::Llc,
        session: true,
        keys: Vec::new(),
    };
    assert_eq!((parse(SPOKE).vns, parse(SPOKE).hubs), (vec![vn], vec![hub]));
}

#[test]
fn every_option_can_be_set() {
    let config = parse(
        "config dmevpn 'main'
            option enabled 'off'
            list nbma '10.0.0.1'
            list nbma '2001:db8::1'
            list advertise '198.51.100.1'
            option transport 'device'
            option device 'tunnel1'
            option udp_port '8472'
            option guard '0'
            option holding_time '3'
            option log_level 'trace'
            option state_file '/s'
            option socket '/k'
        config hub 'h1'
            option address 'hub-1.example.org.'
            option priority '0'
            option vpn_mode 'none'
        config hub 'h2'
            option address '2001:db8::2'
            option vpn_mode 'key'
        config vn 's'
            option role 'spoke'
            option vpn_id 'ac-de-48:7'
            option bridge 'br-lan'
            option vlan '4094'
            option mtu '9216'
            option max_macs '1'
            option vni '5'
            option vxlan 'tunnel2'
            list hub 'h2'
            option trigger 'l2miss'
            option negative_time '1'
            option verify '0'
        config vn 'h'
            option role 'hub'
            option vpn_id '2'
            option default 'yes'
            list protocol_address '1.0.0.1'
            list protocol_address 'fd00::1'
            option cisco_authentication 'secret'
            list allow '192.0.2.0/24'
            list allow '2001:db8::/32'
            list allow '198.51.100.7'
            option uplink_vni '16777206'
            option dataplane 'bridge'
            option max_vnis_per_address '7'
            option max_spokes '10'
        config vn 'gone'
            option enabled '0'
            option role 'hub'
            option vpn_id '2'
            option default 'yes'",
    );
    let main = Main {
        enabled: false,
        nbma: vec!["10.0.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
        advertise: vec!["198.51.100.1".parse().unwrap()],
        interface: None,
        transport: Transport::Device("tunnel1".to_owned()),
        udp_port: 8472,
        guard: false,
        holding_time: Duration::from_secs(3),
        log_level: log::LevelFilter::Trace,
        state_file: "/s".to_owned(),
        socket: "/k".to_owned(),
    };
    assert_eq!(config.main, main);
    assert_eq!(config.hubs[0].address, HubAddress::Name("hub-1.example.org.".to_owned()));
    assert_eq!((config.hubs[0].priority, config.hubs[0].vpn_mode), (0, VpnMode::None));
    assert_eq!(config.hubs[1].vpn_mode, VpnMode::Key);
    let [spoke, hub] = &config.vns[..] else { panic!("{:?}", config.vns) };
    assert_eq!((spoke.vlan, hub.vlan), (VlanId::new(4094), None));
    assert_eq!((spoke.mtu, spoke.max_macs, spoke.vpn_id), (9216, 1, VpnId::new([0xac, 0xde, 0x48], 7)));
    let role = Spoke {
        vni: Vni::new(5).unwrap(),
        vxlan: "tunnel2".to_owned(),
        hubs: vec!["h2".to_owned()],
        preempt: true,
        trigger: Trigger::L2miss,
        negative_time: Duration::from_secs(1),
        verify: false,
    };
    assert_eq!(spoke.role, Role::Spoke(role));
    let role = HubRole {
        default: true,
        protocol_addresses: vec!["1.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
        cisco_authentication: Some("secret".to_owned()),
        keys: Vec::new(),
        require: true,
        allow: [("192.0.2.0", 24), ("2001:db8::", 32), ("198.51.100.7", 32)]
            .map(|(ip, length)| Prefix::new(ip.parse().unwrap(), length).unwrap())
            .to_vec(),
        uplink_first: Vni::new(16_777_206).unwrap(),
        dataplane: Dataplane::Bridge,
        untagged_l2: false,
        max_vnis_per_address: 7,
        max_spokes: Some(10),
        peers: vec![],
    };
    assert_eq!(hub.role, Role::Hub(role));
}

/// Each option is read: it refuses a value that none can have.
#[test]
fn every_option_is_read() {
    for option in OPTIONS {
        let role = role_of(option, Some(RoleKind::Hub));
        let text = format!("config {} x\n{role}option {} 'a b'", option.section, option.name);
        let said = if let Kind::Secret { .. } = option.kind { "not a secret" } else { "'a b'" };
        assert!(errors(&text).contains(&format!("{option}: {said}")), "{option:?}");
    }
}

/// The lines for the role of the VN that has `option`, or for `any` when it does not matter.
fn role_of(option: &Opt, any: Option<RoleKind>) -> String {
    let role = option.role.or(any.filter(|_| option.section == "vn"));
    role.filter(|_| option.name != "role").map_or(String::new(), |r| format!("option role {}\n", r.name()))
}

/// What `option` says when it is `value`: nothing when it is right; without what the rest of the file says.
fn complaint(option: &Opt, role: Option<RoleKind>, value: &str) -> Option<String> {
    let role = role_of(option, role);
    let text = format!("config {} x\n{role}option {} '{value}'", option.section, option.name);
    let all = Config::parse("f", &text).err().map_or(String::new(), |errors| errors.to_string());
    all.lines().find(|l| l.contains(&format!("{option}: '")) && l.contains("' is not")).map(str::to_owned)
}

/// What the documents say of ranges and words is what is allowed, and what they say of defaults is what is read.
#[test]
fn the_table_of_options_is_what_is_read() {
    for option in OPTIONS {
        for role in [RoleKind::Spoke, RoleKind::Hub].map(Some) {
            let is_right = |value: &str| complaint(option, role, value).is_none();
            match option.kind {
                Kind::Number { min, max, .. } => {
                    for (n, right) in [
                        (u64::from(min), true),
                        (u64::from(max), true),
                        (u64::from(max) + 1, false),
                        (u64::from(min).wrapping_sub(1), false),
                    ] {
                        assert_eq!(is_right(&n.to_string()), right, "{option} {n}");
                    }
                }
                Kind::Word(words) => {
                    assert!(words.iter().all(|word| is_right(word)) && !is_right("x"), "{option}");
                }
                Kind::Path { most } => {
                    let path = |len: usize| "/".to_owned() + &"a".repeat(len - 1);
                    assert!(is_right(&path(most)) && !is_right(&path(most + 1)), "{option}");
                }
                Kind::Password { most } => {
                    assert!(is_right(&"a".repeat(most)) && !is_right(&"a".repeat(most + 1)), "{option}");
                }
                Kind::Secret { least } => {
                    let is_right = |len| {
                        let text = format!("config key x\noption spi 256\noption secret {}", "a".repeat(len));
                        Config::parse("f", &text).is_ok()
                    };
                    assert!(is_right(least) && !is_right(least - 1), "{option}");
                }
                _ => {}
            }
            if let Some(default) = option.default(role) {
                assert!(is_right(default), "{option} {default}");
            }
        }
    }
}

/// What `option value` in a section `section` is told, without the place.
fn refusal(section: &str, option: &str, value: &str) -> String {
    let option_is = |o: &&&Opt| (o.section, o.name) == (section, option);
    let role = role_of(OPTIONS.iter().find(option_is).unwrap(), None).replace('\n', ";");
    let all = errors(&format!("config {section} x;{role}option {option} '{value}'"));
    let start = format!("f:1: option '{option}': ");
    all.lines()
        .find_map(|l| l.strip_prefix(&start))
        .unwrap_or_else(|| panic!("{option} {value}: {all}"))
        .to_owned()
}

#[test]
fn bad_values_are_told_what_is_allowed() {
    let interface =
        "is not an interface name: 1 to 15 bytes without space, '/', ':' and '%', not '.' or '..'";
    let address = "is not an IPv4 or IPv6 address, and not a host name";
    for (section, option, value, why) in [
        ("dmevpn", "enabled", "2", "is not a boolean (1/0, true/false, on/off, yes/no, enabled/disabled)"),
        ("dmevpn", "nbma", "224.0.0.1", "is not a unicast IPv4 or IPv6 address"),
        ("dmevpn", "interface", "eth1.very.long.name", interface),
        ("dmevpn", "interface", "..", interface),
        ("dmevpn", "interface", "a/b", interface),
        ("dmevpn", "interface", "eth%d", interface),
        ("dmevpn", "transport", "gre", "is not one of raw, device"),
        ("dmevpn", "udp_port", "0", "is not a number from 1 to 65535"),
        ("dmevpn", "udp_port", "+1", "is not a number from 1 to 65535"),
        ("dmevpn", "holding_time", "2", "is not a number of seconds from 3 to 65535"),
        ("dmevpn", "log_level", "off", "is not one of error, warn, info, debug, trace"),
        ("dmevpn", "state_file", "state", "is not an absolute path to a file, of at most 4095 bytes"),
        ("dmevpn", "socket", "/run/", "is not an absolute path to a file, of at most 107 bytes"),
        ("hub", "address", "a..b", address),
        ("hub", "address", "10.0.0.300", address),
        ("hub", "address", "-a.b", address),
        ("hub", "address", "0.0.0.0", "is not a unicast IPv4 or IPv6 address"),
        (
            "hub",
            "address",
            "127.0.0.2",
            "is not an address for other routers: it leads back to the router itself",
        ),
        (
            "hub",
            "address",
            "Localhost.",
            "is not an address for other routers: it leads back to the router itself",
        ),
        ("hub", "address", "224.0.0.1", "is not a unicast IPv4 or IPv6 address"),
        ("hub", "address", "::1", "is not an address for other routers: it leads back to the router itself"),
        ("hub", "address", "fe80::1", "is not an address for other routers: it is good for one link only"),
        (
            "dmevpn",
            "nbma",
            "127.0.0.1",
            "is not an address for other routers: it leads back to the router itself",
        ),
        ("dmevpn", "nbma", "fe80::1", "is not an address for other routers: it is good for one link only"),
        ("hub", "priority", "65536", "is not a number from 0 to 65535"),
        ("hub", "vpn_mode", "LLC", "is not one of llc, key, none"),
        ("vn", "vpn_id", "x", "is not an index (1) or OUI:index (02-00-00:1)"),
        ("vn", "role", "both", "is not one of spoke, hub"),
        ("vn", "mtu", "575", "is not a number of bytes from 576 to 9216"),
        ("vn", "vlan", "0", "is not a VLAN from 1 to 4094"),
        ("vn", "vlan", "4095", "is not a VLAN from 1 to 4094"),
        ("vn", "vlan", "+1", "is not a VLAN from 1 to 4094"),
        ("vn", "vni", "16777216", "is not a VNI from 1 to 16777215"),
        ("vn", "trigger", "miss", "is not one of learn, l2miss"),
        ("vn", "negative_time", "3601", "is not a number of seconds from 1 to 3600"),
        ("vn", "protocol_address", "::", "is not a unicast IPv4 or IPv6 address"),
        (
            "vn",
            "allow",
            "192.0.2.0/33",
            "is not an address or a prefix such as 192.0.2.0/24 or 2001:db8::/32",
        ),
        (
            "vn",
            "allow",
            "192.0.2.0/+8",
            "is not an address or a prefix such as 192.0.2.0/24 or 2001:db8::/32",
        ),
        (
            "vn",
            "allow",
            "hub.example.org",
            "is not an address or a prefix such as 192.0.2.0/24 or 2001:db8::/32",
        ),
        (
            "vn",
            "allow",
            "192.0.2.1/24",
            "is not a prefix, since it goes on behind its length: 192.0.2.0/24 is one",
        ),
        (
            "vn",
            "allow",
            "2001:db8::1/64",
            "is not a prefix, since it goes on behind its length: 2001:db8::/64 is one",
        ),
        ("vn", "cisco_authentication", "ninechars", "is not a word of 1 to 8 printable ASCII characters"),
        ("vn", "uplink_vni", "0", "is not a VNI from 1 to 16777215"),
        ("vn", "dataplane", "fast", "is not one of bridge, kmod, auto"),
        ("vn", "max_vnis_per_address", "0", "is not a number from 1 to 65535"),
        ("vn", "max_spokes", "65536", "is not a number from 1 to 65535"),
    ] {
        assert_eq!(refusal(section, option, value), format!("'{value}' {why}"));
    }
    let reserved = "'00-00-5e:1': the OUI 00-00-5e is reserved (RFC 2735 section 6)";
    assert_eq!(refusal("vn", "vpn_id", "00-00-5e:1"), reserved);
    assert_eq!(
        refusal("hub", "address", &format!("{}x", "abcdefg.".repeat(32))).len(),
        66 + 3 + 1 + address.len()
    );
}

#[test]
fn mistakes_are_told_with_their_line() {
    for (text, error) in [
        ("x", "f:1: this begins no command; allowed are config, option, list and package"),
        ("config hubs x", "f:1: section hubs 'x': unknown type; did you mean 'hub'?"),
        ("config interface", "f:1: section interface: unknown type; known are dmevpn, hub, vn, key, spoke"),
        (
            "config dmevpn\noption udp_prot 1",
            "f:2: option 'udp_prot': unknown in section dmevpn; did you mean 'udp_port'?",
        ),
        (
            "config hub h\noption address a\noption kex 1",
            "f:3: option 'kex': unknown in section hub; did you mean 'key'?",
        ),
        (
            "config dmevpn\nlist udp_port 1",
            "f:2: option 'udp_port': takes one value: write 'option udp_port', not 'list udp_port'",
        ),
        (
            "config dmevpn\n\nconfig dmevpn x",
            "f:3: section dmevpn 'x': there is one such section, and it is in line 1",
        ),
        (
            "config dmevpn\nlist nbma 10.0.0.1\nlist nbma 10.0.0.2",
            "f:3: option 'nbma': one IPv4 and one IPv6 address at most: 10.0.0.1 and 10.0.0.2 are of one family",
        ),
        (
            "config dmevpn\noption nbma 10.0.0.1\noption interface eth1",
            "f:3: option 'interface': excludes 'nbma': set one of both",
        ),
        (
            "config dmevpn\noption nbma 10.0.0.1\nconfig vn a\noption vpn_id 1\noption role hub\nlist protocol_address 1.0.0.1",
            "f:6: option 'protocol_address': clients that register IP addresses send their packets by GRE, which \
             needs transport 'device' and a GRE interface as 'device' in section dmevpn",
        ),
        ("config dmevpn\noption device tunnel1", "f:2: option 'device': only with transport 'device'"),
        (
            "config dmevpn 'main'\noption transport device",
            "f:1: section dmevpn 'main': option 'device' is missing: transport 'device' needs the name of a GRE interface, \
             such as tunnel1",
        ),
        (
            "config dmevpn\noption state_file /a/b\noption socket /a/b",
            "f:3: option 'socket': '/a/b' is the 'state_file' already; give it a path of its own",
        ),
        (
            "config dmevpn\noption state_file /a/b\noption socket //a/./b",
            "f:3: option 'socket': '//a/./b' is the 'state_file' already; give it a path of its own",
        ),
        (
            "config dmevpn\noption state_file /a/b\noption socket /a/b/c",
            "f:3: option 'socket': '/a/b/c' is below the 'state_file', which is no directory; give it a path of its own",
        ),
        (
            "config dmevpn\noption state_file /a/b\noption socket //a",
            "f:3: option 'socket': '//a' is a directory above the 'state_file'; give it a path of its own",
        ),
        (
            "config dmevpn\noption state_file /a/b\noption socket /a//b.new",
            "f:3: option 'socket': '/a//b.new' is where the 'state_file' is written before it takes its place; \
             give it a path of its own",
        ),
        (
            "config hub h",
            "f:1: section hub 'h': option 'address' is missing: the hub's IP address or host name",
        ),
        ("config hub\noption address a", "f:1: section hub: a name is missing: write config hub 'name'"),
        (
            "config hub abcdefghijklmnopqrstuvwxyz1234567\noption address a",
            "f:1: section hub 'abcdefghijklmnopqrstuvwxyz1234567': the name is longer than 32 characters",
        ),
    ] {
        assert_eq!(errors(text), error);
    }
}

#[test]
fn mistakes_in_a_vn_are_told_with_their_line() {
    // Both bases end in line 5 or 7; what is added begins in the line after.
    let vn_b = "config vn b\n option role spoke\n option vpn_id 2\n option bridge br2\n option vni 101\n";
    let hub_b = "config vn b\n option role hub\n option vpn_id 2\n";
    for (base, added, error) in [
        (
            "",
            "config vn\noption role hub",
            "f:1: section vn: a name is missing: write config vn 'name'\n\
            f:1: section vn: option 'vpn_id' is missing: the number of the VN, the same on all its routers",
        ),
        ("", "config vn a\noption vpn_id 1", "f:1: section vn 'a': option 'role' is missing: spoke or hub"),
        (
            "",
            "config vn a\noption vpn_id 1\noption role hup\noption max_macs 0",
            "f:3: option 'role': 'hup' is not one of spoke, hub\n\
             f:4: option 'max_macs': '0' is not a number from 1 to 1000000",
        ),
        (
            "",
            "config vn a\noption vpn_id 1\noption role spoke",
            "f:1: section vn 'a': option 'bridge' is missing: the bridge of this site, such as br-lan\n\
             f:1: section vn 'a': option 'vni' is missing: the VXLAN network identifier of this site\n\
             f:1: section vn 'a': role spoke needs a hub: add a section config hub 'name'",
        ),
        (
            "",
            "config vn a\noption vpn_id 1\noption role hub",
            "f:1: section vn 'a': role hub needs option 'nbma' or 'interface' in section dmevpn, \
             which say where spokes find this hub",
        ),
        (HUB, "option vni 1", "f:6: option 'vni': only for role spoke, and this VN has role hub"),
        (SPOKE, "option default 1", "f:8: option 'default': only for role hub, and this VN has role spoke"),
        (SPOKE, "list hub x", "f:8: option 'hub': 'x': no section hub has this name; did you mean 'h'?"),
        (SPOKE, "list hub other", "f:8: option 'hub': 'other': no section hub has this name; known are h"),
        (
            SPOKE,
            "list hub h\nlist hub h2\nlist hub h\nconfig hub h2\noption address b",
            "f:10: option 'hub': 'h' is given twice",
        ),
        (
            SPOKE,
            "list hub h\nlist hub h2\nconfig hub h2\noption address 10.0.0.1",
            "f:9: option 'hub': 'h2' has the address of 'h'",
        ),
        (
            SPOKE,
            "list hub h\nlist hub h2\nconfig hub h2\noption address b\noption session 0",
            "f:9: option 'hub': 'h2' has 'session' 0, and one of several hubs needs sessions",
        ),
        (
            SPOKE,
            "list hub h\nlist hub h2\noption trigger l2miss\nconfig hub h2\noption address b",
            "f:10: option 'trigger': 'l2miss' works with one hub; 'learn' with several",
        ),
        (
            SPOKE,
            "config hub h2\noption address b",
            "f:3: section vn 'a': option 'hub' is missing: one or more of h, h2",
        ),
        (
            SPOKE,
            "option vxlan br",
            "f:8: option 'vxlan': 'br' is the bridge; the VXLAN device is a port of it",
        ),
        (
            SPOKE,
            &vn_b.replace("vn b", "vn a_long_name_b"),
            "f:8: section vn 'a_long_name_b': option 'vxlan' is missing: \
             its default 'vx-a_long_name_b' is longer than 15 bytes",
        ),
        (
            HUB,
            &hub_b.replace("vn b", "vn a_long_name_b"),
            "f:6: section vn 'a_long_name_b': option 'bridge' is missing: \
             its default 'br-a_long_name_b' is longer than 15 bytes",
        ),
        (
            SPOKE,
            &vn_b.replace("_id 2", "_id 1"),
            "f:10: option 'vpn_id': '1' is the VPN-ID of vn 'a' (line 5) already",
        ),
        (
            SPOKE,
            &vn_b.replace("br2", "br"),
            "f:11: option 'bridge': 'br' is the bridge of vn 'a' (line 6) already; to share it, set a 'vlan' in both",
        ),
        (
            SPOKE,
            &format!("{} option vlan 10", vn_b.replace("br2", "br")),
            "f:11: option 'bridge': 'br' is the bridge of vn 'a' (line 6) already; to share it, set a 'vlan' in both",
        ),
        (
            SPOKE,
            &format!("option vlan 10\n{} option vlan 10", vn_b.replace("br2", "br")),
            "f:14: option 'vlan': '10' of bridge 'br' is the VLAN of vn 'a' (line 6) already",
        ),
        (
            SPOKE,
            &vn_b.replace("101", "100"),
            "f:12: option 'vni': '100' is the VNI of vn 'a' (line 7) already",
        ),
        (
            SPOKE,
            &format!("{vn_b} option vxlan vx-a"),
            "f:13: option 'vxlan': 'vx-a' is the VXLAN device of vn 'a' (line 3) already",
        ),
        (
            HUB,
            &format!("{hub_b} option bridge br-a"),
            "f:9: option 'bridge': 'br-a' is the bridge of vn 'a' (line 3) already; to share it, set a 'vlan' in both",
        ),
        (
            HUB,
            &format!("option default 1\n{hub_b} option default 1"),
            "f:10: option 'default': is set for vn 'a' (line 6) already; packets that name no VN can belong to one only",
        ),
        (
            HUB,
            "option uplink_vni 16777206\noption max_spokes 11",
            "f:6: option 'uplink_vni': 10 VNIs from 16777206 to 16777215 are too few for the 11 spokes of 'max_spokes'; \
             choose a smaller one",
        ),
        (
            HUB,
            &format!("option uplink_vni 16776216\n{hub_b} option uplink_vni 16776206\n option max_spokes 11"),
            "f:10: option 'uplink_vni': 1010 VNIs from 16776206 to 16777215 are too few for the 1011 spokes of \
             'max_spokes'; those of all VNs from there on count; choose a smaller one",
        ),
        (
            SPOKE,
            &format!("option vxlan br2\n{vn_b}"),
            "f:8: option 'vxlan': 'br2' is the bridge of vn 'b' (line 12) already; choose a name of its own",
        ),
        (
            SPOKE,
            "option vxlan br-b\nconfig dmevpn\noption nbma 10.0.0.2\nconfig vn b\noption role hub\noption vpn_id 2",
            "f:8: option 'vxlan': 'br-b' is the bridge of vn 'b' (line 11) already; choose a name of its own",
        ),
        (
            SPOKE,
            "option vxlan wan\nconfig dmevpn\noption interface wan",
            "f:8: option 'vxlan': 'wan' is the underlay 'interface' already; choose a name of its own",
        ),
        (
            SPOKE,
            "option vxlan gre\nconfig dmevpn\noption transport device\noption device gre",
            "f:8: option 'vxlan': 'gre' is the GRE 'device' already; choose a name of its own",
        ),
        (
            SPOKE,
            "config dmevpn\noption transport device\noption device br",
            "f:6: option 'bridge': 'br' is the GRE 'device', which is no bridge; give that of this site",
        ),
        (
            SPOKE,
            "config dmevpn\noption nbma 10.0.0.1",
            "f:2: option 'address': '10.0.0.1' is this router's own 'nbma', so it would register with itself; give the hub's",
        ),
        (
            SPOKE,
            "config dmevpn\noption nbma 2001:db8::1",
            "f:2: option 'address': '10.0.0.1' is IPv4, and 'nbma' has IPv6 only; add this router's IPv4 address there",
        ),
        (
            HUB,
            "list peer h\nconfig hub h\noption address 10.0.0.1",
            "f:8: option 'address': '10.0.0.1' is this router's own 'nbma', so it would register with itself; give the hub's",
        ),
        (
            HUB,
            "list peer h\nlist peer h\nconfig hub h\noption address 10.0.0.2",
            "f:7: option 'peer': 'h' is given twice",
        ),
        (
            HUB,
            "list peer g\nconfig hub h\noption address 10.0.0.2",
            "f:6: option 'peer': 'g': no section hub has this name; did you mean 'h'?",
        ),
        (
            HUB,
            "option dataplane kmod\nlist peer h\nconfig hub h\noption address 10.0.0.2",
            "f:7: option 'peer': needs a bridge whose ports can be isolated, and 'dataplane' is 'kmod'",
        ),
        (
            HUB,
            "list peer h\nconfig hub h\noption address 10.0.0.2\noption session 0",
            "f:6: option 'peer': 'h' has 'session' 0, and one of several hubs needs sessions",
        ),
        (
            HUB,
            "list peer h\nlist peer g\nconfig hub h\noption address 10.0.0.2\nconfig hub g\noption address 10.0.0.2",
            "f:7: option 'peer': 'g' has the address of 'h'",
        ),
        (SPOKE, "list peer h", "f:8: option 'peer': only for role hub, and this VN has role spoke"),
        (
            HUB,
            &format!("option dataplane kmod\nconfig hub h\noption address b\n{vn_b}"),
            "f:6: option 'dataplane': 'kmod' cannot share the UDP port with the plain VXLAN devices of vn 'b' (line 10); \
             a router's VNs are all hubs of 'kmod', or none is",
        ),
        (
            HUB,
            &format!("option dataplane bridge\n{hub_b} option dataplane kmod"),
            "f:10: option 'dataplane': 'kmod' cannot share the UDP port with the plain VXLAN devices of vn 'a' (line 6); \
             a router's VNs are all hubs of 'kmod', or none is",
        ),
        (
            HUB,
            &format!("option uplink_vni 101\nconfig hub h\noption address b\n{vn_b}"),
            "f:13: option 'vni': 101 may be handed out as an uplink VNI, 101 and up, by vn 'a' (line 6); \
             choose a smaller one",
        ),
    ] {
        assert_eq!(errors(&format!("{base}{added}")), error, "{base}{added}");
    }
}

/// What is told of two spoke's VNs with hubs of their own, the second one at `address`, by `mode`, when the VPN-IDs are
/// `ids`.
fn two_spokes(address: &str, mode: &str, ids: [&str; 2]) -> Option<String> {
    two_ways(["10.0.0.1", address], [mode; 2], ids)
}

fn two_ways(addresses: [&str; 2], modes: [&str; 2], ids: [&str; 2]) -> Option<String> {
    let hub = |n: usize| {
        format!("config hub h{}\noption address {}\noption vpn_mode {}\n", n + 1, addresses[n], modes[n])
    };
    let vn = |name, id| {
        format!(
            "config vn {name}\noption vpn_id {id}\noption role spoke\noption bridge br-{name}\noption hub h{name}\n\
             option vni 10{name}\n"
        )
    };
    let text = hub(0) + &hub(1) + &vn("1", ids[0]) + &vn("2", ids[1]);
    Config::parse("f", &text).err().map(|errors| errors.to_string())
}

#[test]
fn vns_that_packets_do_not_tell_apart_are_refused() {
    let ids = ["1", "ac-de-48:1"];
    assert_eq!(
        two_spokes("10.0.0.1", "key", ids).unwrap(),
        "f:14: option 'vpn_id': packets could mean vn '1' (line 8) as well: by GRE key it is 1 in both; \
         give one another number"
    );
    assert_eq!(
        two_spokes("10.0.0.1", "none", ids).unwrap(),
        "f:17: option 'hub': packets could mean vn '1' (line 11) as well: with 'vpn_mode' 'none' a hub has one VN; \
         use 'llc' or 'key'"
    );
    // Where something else tells them apart, all is well.
    assert_eq!(two_spokes("10.0.0.2", "key", ids), None);
    assert_eq!(two_spokes("10.0.0.2", "none", ids), None);
    assert_eq!(two_spokes("10.0.0.1", "llc", ids), None);
    assert_eq!(two_spokes("10.0.0.1", "key", ["1", "2"]), None);

    // A hub finds a VN by its key whatever another VN's packets say; and which is its default, it knows alone.
    let one_hub = |modes, ids| two_ways(["10.0.0.1"; 2], modes, ids);
    for modes in [["llc", "key"], ["key", "llc"]] {
        assert!(one_hub(modes, ids).unwrap().contains("by GRE key it is 1 in both"), "{modes:?}");
        assert_eq!(one_hub(modes, ["1", "2"]), None);
    }
    for modes in [["llc", "none"], ["none", "key"]] {
        assert_eq!(one_hub(modes, ids), None);
    }
    // A name may be spelled in several ways.
    assert!(two_ways(["dc.example.net", "DC.Example.net."], ["none"; 2], ["1", "2"]).is_some());
    assert_eq!(two_ways(["dc.example.net", "dc2.example.net"], ["none"; 2], ["1", "2"]), None);

    let hub_b = "config vn b\noption role hub\noption vpn_id ac-de-48:1\n";
    assert_eq!(
        errors(&format!("{HUB}{hub_b}")),
        "f:8: option 'vpn_id': packets could mean vn 'a' (line 5) as well: by GRE key it is 1 in both; \
         give one another number"
    );
    let spoke_b = |mode| {
        format!(
            "option default 1\nconfig hub h\noption address 10.0.0.9\noption vpn_mode {mode}\n\
             config vn b\noption role spoke\noption vpn_id ac-de-48:1\noption vni 5\noption bridge br\n"
        )
    };
    assert!(
        errors(&format!("{HUB}{}", spoke_b("key"))).starts_with("f:12: option 'vpn_id': packets could mean")
    );
    assert_eq!(
        errors(&format!("{HUB}{}", spoke_b("none"))),
        "f:10: section vn 'b': option 'hub': packets could mean vn 'a' (line 6) as well: \
         with 'vpn_mode' 'none' they name none; use 'llc' or 'key'"
    );
    assert!(Config::parse("f", &format!("{HUB}{}", spoke_b("llc"))).is_ok());
}

#[test]
fn paths_in_the_configurations_own_place_are_refused() {
    for option in ["socket", "state_file"] {
        let text = format!("config dmevpn\noption {option} /etc/./config/dmevpn");
        let error = Config::parse("/etc/config/dmevpn", &text).unwrap_err().to_string();
        let why = "'/etc/./config/dmevpn' is this configuration; give it a path of its own";
        assert_eq!(error, format!("/etc/config/dmevpn:2: option '{option}': {why}"));
        assert!(Config::parse("/etc/config/dmevpn2", &text).is_ok());
    }
}

/// Where spokes share one, a few VNIs are enough for many.
#[test]
fn uplinks_of_the_patched_driver_need_one_vni() {
    let narrow = "option uplink_vni 16777215\noption max_spokes 5000\noption dataplane";
    assert!(Config::parse("f", &format!("{HUB}{narrow} kmod")).is_ok());
    assert!(Config::parse("f", &format!("{HUB}{narrow} auto")).is_err());
}

/// What a GRE device's own address decides is not known to the file.
#[test]
fn a_gre_device_may_have_an_address_of_the_other_family() {
    let main = "config dmevpn\noption nbma 2001:db8::1\noption transport device\noption device gre";
    assert!(Config::parse("f", &format!("{SPOKE}{main}")).is_ok());
    assert!(Config::parse("f", &format!("{SPOKE}{}", main.replace("2001:db8::1", "10.0.0.1"))).is_err());
}

/// Over IPv6 that device has to be point-to-point: Linux does not tell who sent a packet on another one.
#[test]
fn a_gre_device_leads_to_one_hub_over_ipv6() {
    let gre = "config dmevpn\noption nbma 2001:db8::9\noption transport device\noption device gre\n";
    let two = |one: &str, other: &str| {
        let spoke = SPOKE.replace("10.0.0.1", one);
        format!("{spoke}list hub h\nlist hub i\nconfig hub i\noption address {other}\n{gre}")
    };
    let says =
        "over IPv6 a GRE device leads to one router alone, and this VN has several; use transport 'raw'";
    assert_eq!(
        errors(&two("2001:db8::1", "2001:db8::2")),
        format!("f:9: option 'hub': 'i' is not reached: {says}")
    );
    parse(&two("2001:db8::1", "2001:db8::2").replace("transport device\noption device gre", "transport raw"));
    for (one, other) in [("10.0.0.1", "10.0.0.2"), ("10.0.0.1", "2001:db8::2"), ("2001:db8::1", "a")] {
        parse(&two(one, other));
    }
    let vn = HUB.split_once("config vn").unwrap().1;
    let hub = |peer: &str| format!("{gre}config vn{vn}list peer h\nconfig hub h\noption address {peer}");
    assert_eq!(errors(&hub("2001:db8::1")), format!("f:8: option 'peer': 'h' is not reached: {says}"));
    parse(&hub("10.0.0.1"));
}

#[test]
fn what_is_hardly_meant_is_warned_of() {
    let gre = HUB.replace("10.0.0.1\n", "10.0.0.1\n option transport device\n option device gre\n");
    for (text, warnings) in [
        ("", &[][..]),
        ("config dmevpn\noption enabled 0", &["2: option 'enabled': the daemon does nothing"]),
        (HUB, &[]),
        (SPOKE, &[]),
        (
            "config dmevpn\noption interface lo",
            &["2: option 'interface': no packet leaves or comes by 'lo'; give its address as 'nbma'"],
        ),
        (
            &format!("{SPOKE}option trigger l2miss")
                .replace("address 10.0.0.1", "address a\noption priority 1"),
            &[
                "3: option 'priority': has no effect: the order of 'hub' in a VN tells which one is preferred",
                "9: option 'trigger': 'l2miss' loses the first frame to each MAC address and all multicast, so there is \
                 no IPv6 neighbour discovery; 'learn' loses neither",
            ],
        ),
        // A hub that nobody uses may be anywhere, even here.
        (
            &format!(
                "{SPOKE}option hub h\nconfig hub i\noption address 10.0.0.9\nconfig hub j\noption address 2001:db8::1\n\
                 config dmevpn\noption nbma 10.0.0.9"
            ),
            &[
                "9: section hub 'i': no enabled VN has this hub",
                "11: section hub 'j': no enabled VN has this hub",
            ],
        ),
        (
            &format!("{SPOKE}config dmevpn\noption interface br\noption state_file /tmp/s"),
            &[
                "6: option 'bridge': 'br' is the underlay 'interface' too: its packets would run in circles",
                "10: option 'state_file': does not survive a reboot there",
            ],
        ),
        (&format!("{SPOKE}option vlan 10\nconfig dmevpn\noption interface br"), &[]),
        (
            &format!(
                "{SPOKE}list hub h\nlist hub i\nlist hub j\nconfig hub i\noption address a\nconfig hub j\noption address \
                 2001:db8::1"
            ),
            &[
                "10: option 'hub': 'j' has an IPv6 address, and 'h' an IPv4 one: when hubs are cut off from each other, \
                 spokes meet at the lowest address, which may be another hub for those that use the other family; give \
                 all hubs addresses of one family, at all spokes",
            ],
        ),
        (
            &format!("{SPOKE}list hub h\nlist hub i\nconfig hub i\noption address 10.0.0.2")
                .replace("10.0.0.", "2001:db8::"),
            &[],
        ),
        (
            &format!("{HUB}option dataplane bridge\noption max_spokes 1024"),
            &["7: option 'max_spokes': a Linux bridge has 1023 ports at most: further spokes are refused"],
        ),
        (&format!("{HUB}option max_spokes 1024"), &[]),
        (
            &format!("{gre}list protocol_address 192.0.2.1"),
            &[
                "8: option 'protocol_address': who registers an IP address need not receive where it says it is: anybody \
                 can take the clients' addresses and places; say with 'allow' where they are",
            ],
        ),
        (&format!("{gre}list protocol_address 192.0.2.1\nlist allow 10.0.0.0/8"), &[]),
        (
            &format!("{HUB}option mtu 1400"),
            &[
                "6: option 'mtu': '1400': stations of this VN need it, too, at all sites: what is larger is dropped at the \
               tunnel without a word, while with 1500 the kernel tells them what fits",
            ],
        ),
        (&format!("{HUB}option mtu 1500"), &[]),
        ("config dmevpn\noption enabled 0\noption mtu 1", &[]),
    ] {
        let found: Vec<_> = Config::warnings("f", text, &Files::NONE)
            .into_iter()
            .filter(|w| !w.text.contains("is open"))
            .map(|w| format!("{}: {}", w.line, w.text))
            .collect();
        assert_eq!(found, warnings, "{text}");
    }
    let warning = &Config::warnings("f", &format!("{SPOKE}option trigger l2miss"), &Files::NONE)[0];
    assert_eq!((warning.section.as_deref(), warning.option.as_deref()), (Some("a"), Some("trigger")));
}

#[test]
fn an_error_names_its_section_and_option() {
    let of = |text: &str| {
        let errors = Config::parse("f", text).unwrap_err();
        let Finding { line, section, option, .. } = errors.as_slice()[0].clone();
        (line, section, option)
    };
    let some = |s: &str| Some(s.to_owned());
    assert_eq!(of("config vn a\noption role x"), (1, some("a"), some("vpn_id")));
    assert_eq!(of("config hub h\noption address a\noption kex 1"), (3, some("h"), some("kex")));
    assert_eq!(of("config dmevpn\noption mtu 1"), (2, None, some("mtu")));
    assert_eq!(of("config x y"), (1, some("y"), None));
    assert_eq!(of("config"), (1, None, None));
    let text =
        format!("{SPOKE}config vn b\noption role spoke\noption vpn_id 1\noption bridge c\noption vni 1");
    assert_eq!(of(&text), (10, some("b"), some("vpn_id")));
}

#[test]
fn vns_share_a_bridge_by_vlans() {
    let spoke = |name: &str, id: u32, vlan: u32| {
        format!(
            "config vn {name}\n option role spoke\n option vpn_id {id}\n option bridge br\n \
             option vni {id}\n option vlan {vlan}\n"
        )
    };
    let vns = parse(&format!("{SPOKE}option vlan 10\n{}{}", spoke("b", 2, 20), spoke("c", 3, 1))).vns;
    let vlans: Vec<_> = vns.iter().map(|vn| (vn.bridge.as_str(), vn.vlan.map(VlanId::get))).collect();
    assert_eq!(vlans, [("br", Some(10)), ("br", Some(20)), ("br", Some(1))]);
    let hub_b =
        HUB.split_once("config vn").unwrap().1.replace(" a\n", "config vn b\n").replace("_id 1", "_id 2");
    parse(&format!("{HUB}option bridge br\noption vlan 10\n{hub_b}option bridge br\noption vlan 20"));
}

#[test]
fn all_mistakes_are_told_in_the_order_of_lines() {
    let text = "config vn a\noption mtu 1\noption role hub\nconfig foo\nconfig dmevpn\noption udp_port x\noption enabled x";
    let lines: Vec<u32> = Config::parse("f", text).unwrap_err().as_slice().iter().map(|e| e.line).collect();
    assert_eq!(lines, [1, 2, 4, 6, 7]);
}

#[test]
fn a_disabled_vn_is_checked_and_is_in_nobodys_way() {
    let again = SPOKE.split_once("config vn").unwrap().1.replace(" a\n", "config vn b\n option enabled 0\n");
    assert_eq!(parse(&format!("{SPOKE}{again}")).vns.len(), 1);
    assert_eq!(
        errors(&format!("{SPOKE}{again}option mtu 1")),
        "f:14: option 'mtu': '1' is not a number of bytes from 576 to 9216"
    );
    assert!(parse("config vn a\noption enabled 0\noption role hub\noption vpn_id 1").vns.is_empty());
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(
        text in "((config (dmevpn|hub|vn) [ab]?|(option|list) (hub|nbma|role|vni|vlan|bridge|vpn_id|mtu|x) ([a-z0-9.:'-]{0,6}|\\PC{0,6}))\n){0,12}"
    ) {
        if let Err(errors) = Config::parse("f", &text) {
            prop_assert!(!errors.as_slice().is_empty());
            prop_assert_eq!(errors.to_string().lines().count(), errors.as_slice().len());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Config::parse("f", &String::from_utf8_lossy(&bytes));
    }
}

const KEYS: &str = "config key ka\noption spi 256\noption secret 'c4b1a0f0e9d84c3cb7f6a5d2e1908f7e'\n\
                    config key kb\noption spi 257\noption algorithm hmac-md5-128\noption secret_file /s\n";

/// Keys, who has them, and where the secrets are.
#[test]
fn keys_belong_to_hubs_vns_and_spokes() {
    let read = |path: &str| match path {
        "/s" => Ok(b"0f1e2d3c4b5a69788796a5b4c3d2e1f0\r\n".to_vec()),
        _ => Err("no such file".to_owned()),
    };
    let files = Files { read: &read, ..Files::NONE };
    let text = format!(
        "{KEYS}{HUB}list key ka\noption require 0\n\
         config spoke branch7\nlist key kb\nlist allow 192.0.2.0/24\nlist vn a\n"
    );
    let config = Config::parse_with("f", &text, &files).unwrap_or_else(|errors| panic!("{errors}"));
    let [a, b] = &config.keys[..] else { panic!("{:?}", config.keys) };
    assert_eq!(
        (a.name.as_str(), a.spi, a.algorithm, a.file.as_deref()),
        ("ka", 256, Algorithm::HmacSha256, None)
    );
    assert_eq!(a.secret.octets(), b"c4b1a0f0e9d84c3cb7f6a5d2e1908f7e");
    assert_eq!((b.algorithm, b.file.as_deref()), (Algorithm::HmacMd5, Some("/s")));
    assert_eq!(b.secret.octets(), b"0f1e2d3c4b5a69788796a5b4c3d2e1f0", "without the end of its line");
    let Role::Hub(hub) = &config.vns[0].role else { panic!("{:?}", config.vns) };
    assert_eq!((&hub.keys[..], hub.require), (&["ka".to_owned()][..], false));
    let [spoke] = &config.spokes[..] else { panic!("{:?}", config.spokes) };
    assert_eq!(
        (spoke.keys.as_slice(), spoke.vns.as_slice()),
        (&["kb".to_owned()][..], &["a".to_owned()][..])
    );
    assert_eq!(spoke.allow.len(), 1);
    assert!(!format!("{config:?}").contains("c4b1"), "it is not shown");
}

#[test]
fn wrong_keys_are_refused_where_they_stand() {
    let all = |text: &str| errors(text);
    for (text, said) in [
        (
            "config key a\noption spi 255\noption secret 0123456789abcdef",
            "f:2: option 'spi': '255' is not a number from 256 to 65535",
        ),
        (
            "config key a\noption spi 256\noption secret 'too short secret'x\noption secret 'a b'",
            "f:4: option 'secret': not a secret of 16 bytes at least ('dmevpn key new' makes one)",
        ),
        (
            "config key a\noption spi 256",
            "f:1: section key 'a': option 'secret' is missing: the text that only its owners know, or 'secret_file'",
        ),
        (
            "config key a\noption spi 256\noption secret_file /s",
            "f:3: option 'secret_file': '/s': there is no such file",
        ),
        (
            "config key a\noption spi 256\noption secret 0123456789abcdef\noption secret_file /s",
            "f:4: option 'secret_file': excludes 'secret': set one of both",
        ),
        (
            "config key a\noption spi 256\noption secret 0123456789abcdef\nconfig key b\noption spi 256\noption secret 0123456789abcdef",
            "f:5: option 'spi': '256' is that of the key in line 2 already",
        ),
        (
            "config hub h\noption address 10.0.0.1\nlist key x",
            "f:3: option 'key': 'x': there is no section key",
        ),
        (
            "config key ab\noption spi 256\noption secret 0123456789abcdef\nconfig hub h\noption address 10.0.0.1\nlist key a",
            "f:6: option 'key': 'a': no section key has this name; did you mean 'ab'?",
        ),
        (
            "config key a\noption spi 256\noption secret 0123456789abcdef\nconfig hub h\noption address 10.0.0.1\nlist key a\noption session 0",
            "f:6: option 'key': needs sessions, and 'session' is 0",
        ),
        (
            "config key a\noption spi 256\noption secret 0123456789abcdef\nconfig spoke s\nlist key a\nlist key a",
            "f:6: option 'key': 'a' is given twice",
        ),
        (
            "config key a\noption spi 256\noption secret 0123456789abcdef\nconfig spoke s\nlist key a\nconfig spoke t\nlist key a",
            "f:7: option 'key': 'a' is a key of spoke 's': a spoke has its own",
        ),
        (
            "config key a\noption spi 256\noption secret 0123456789abcdef\nconfig spoke s\nlist key a\nlist vn x",
            "f:6: option 'vn': 'x': no section vn has this name",
        ),
    ] {
        let found = all(text);
        assert!(found.lines().any(|line| line.starts_with(said)), "{text}\n{found}");
        assert!(!found.contains("0123456789abcdef"), "{found}");
    }
}

#[test]
fn weak_keys_are_warned_of() {
    let warned = |text: &str, files: &Files<'_>| -> Vec<String> {
        Config::parse_with("f", text, files).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
        Config::warnings("f", text, files).into_iter().map(|w| w.text).collect()
    };
    let key =
        |secret: &str, more: &str| format!("config key k\noption spi 256\noption secret '{secret}'\n{more}");
    let own = format!("{HUB}config spoke s\nlist key k\n");
    let good = "c4b1a0f0e9d84c3cb7f6a5d2e1908f7e";
    assert_eq!(warned(&format!("{}{own}", key(good, "")), &Files::NONE), Vec::<String>::new());
    for (secret, says) in [
        ("0123456789abcdef", "short"),
        ("correct horse battery staple", "words"),
        ("Tr0ubador-battery-9182-xkcd", "words"),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaa1", "few characters"),
        ("12345678901234567890", "short"),
    ] {
        let found = warned(&format!("{}{own}", key(secret, "")), &Files::NONE);
        assert!(
            found.len() == 1 && found[0].contains(says) && !found[0].contains(secret),
            "{secret}: {found:?}"
        );
    }
    for (text, says) in [
        (HUB.to_owned(), "is open"),
        (format!("{}{HUB}list key k\n", key(good, "")), "can speak as the hub"),
        (format!("{}{own}", key(good, "option algorithm hmac-md5-128\n")), "hmac-md5-128"),
        (format!("{}{HUB}option require 0\n", key(good, "")), "nobody has this key"),
    ] {
        let found = warned(&text, &Files::NONE);
        assert!(found.len() == 1 && found[0].contains(says), "{text}: {found:?}");
    }
    let files = Files { is_open: &|path| path == "f", ..Files::NONE };
    let found = warned(&format!("{}{own}", key(good, "")), &files);
    assert!(found.len() == 1 && found[0].contains("chgrp dmevpn 'f' && chmod 640 'f'"), "{found:?}");
}
