//! New configurations, while the daemon runs.

use super::*;
use lab::nodes::other_vn;
use lab::traffic::Ping;

fn registered(hub: &Node) -> usize {
    hub.ports().unwrap().len()
}

/// A spoke's section of the second VN.
const OTHER: &str = "\nconfig vn 'other'\n\toption vpn_id '2'\n\toption bridge 'br-other'\n\toption role 'spoke'\n\
     \toption vni '101'\n\toption vxlan 'tunnel3'\n\tlist hub 'dc1'\n";

#[test]
fn a_vn_is_added_and_removed() {
    let Some(_turn) = my_turn() else { return };
    let mut lab = Lab::new(plan()).unwrap();
    lab.add_hub(vec![test_vn(0), other_vn(0)]).unwrap();
    lab.add_spoke(1, vec![test_vn(100)]).unwrap();
    lab.add_spoke(2, vec![test_vn(101)]).unwrap();
    lab.node("spoke1").ns.ip("link add br-other type bridge mcast_snooping 0\nlink set br-other up").unwrap();
    lab.node("spoke2").ns.ip("addr add 11.0.0.11/24 dev br-test").unwrap();
    lab.add_host("vm1", "spoke1", "br-test", VM1, inside(10)).unwrap();
    lab.start_all().unwrap();
    all_is_well(&lab);

    let (hub, spoke1) = (lab.node("hub"), lab.node("spoke1"));
    let vm1 = &lab.host("vm1").ns;
    let index = spoke1.ns.ifindex("tunnel2").unwrap();
    let shortcut = spoke1.shortcuts("test", BRIDGE2).unwrap();
    let ports = hub.ports().unwrap();
    let pings = Ping::start(vm1, Echoes { count: 5000, ..Echoes::to(ip(inside(11)), 0, 10) }).unwrap();
    std::thread::sleep(Duration::from_millis(200));

    spoke1.edit_config(|text| text + OTHER).unwrap();
    spoke1.signal(libc::SIGHUP).unwrap();
    wait("tunnel3 is made", || spoke1.ns.has("tunnel3"));
    wait("the hub has a third port", || registered(hub) == 3);

    // A file that is wrong changes nothing.
    let good = fs::read_to_string(spoke1.config()).unwrap();
    spoke1.edit_config(|text| text.replace("option vni '100'", "option vni 'many'")).unwrap();
    let line = 1 + good.lines().position(|l| l.contains("option vni '100'")).unwrap();
    is_refused(spoke1, line);
    fs::write(spoke1.config(), [good.as_bytes(), b"\toption bridge 'br-stra\xdfe'\n"].concat()).unwrap();
    is_refused(spoke1, 1 + good.lines().count());
    fs::remove_file(spoke1.config()).unwrap();
    let output = dmevpn(spoke1, &["reload"]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    spoke1.edit_config(|text| text).unwrap_err();
    fs::write(spoke1.config(), good).unwrap();
    assert!(status(spoke1).contains("other "), "the old file is in force");

    spoke1.edit_config(|text| text.replace(OTHER, "")).unwrap();
    assert_eq!(dmevpn(spoke1, &["reload"]).status.code(), Some(0));
    wait("tunnel3 is removed", || !spoke1.ns.has("tunnel3"));
    wait("the hub's third port goes", || registered(hub) == 2);
    assert!(!status(spoke1).contains("other "));

    // Another holding time is told to the hub.
    spoke1.edit_config(|text| text.replace("holding_time '600'", "holding_time '1200'")).unwrap();
    spoke1.signal(libc::SIGHUP).unwrap();
    spoke1.edit_config(|text| text.replace("option mtu '1500'", "option mtu '1400'")).unwrap();
    spoke1.signal(libc::SIGHUP).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    wait("the new MTU is in force", || show(spoke1, "tunnel2").contains("mtu 1400"));
    hub.edit_config(|text| text.replace("option mtu '1500'", "option mtu '1400'")).unwrap();
    hub.signal(libc::SIGHUP).unwrap();
    wait("the hub's ports have it too", || ports.keys().all(|port| show(hub, port).contains("mtu 1400")));

    let pinged = pings.stop().unwrap();
    assert!(pinged.none_lost(), "{pinged}\n{}", spoke1.log_text());
    assert_eq!(spoke1.ns.ifindex("tunnel2"), Ok(index));
    assert_eq!(spoke1.shortcuts("test", BRIDGE2).unwrap(), shortcut);
    assert_eq!(hub.ports().unwrap(), ports, "the first VN's ports");
}

/// What is wrong with the configuration in `line` is told by the daemon as by `check`.
#[track_caller]
fn is_refused(node: &Node, line: usize) {
    let config = node.config();
    let told = |output: Output| {
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(4), "{said}");
        said.lines()
            .filter(|l| l.starts_with(config.to_str().unwrap()))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let by_reload = told(dmevpn(node, &["reload"]));
    assert!(by_reload[0].starts_with(&format!("{}:{line}: ", config.display())), "{by_reload:?}");
    let check = node.ns.command(program().path).arg("check").arg(&config).output().unwrap();
    assert_eq!(told(check), by_reload);
}

/// Somebody puts in the file's place what never ends or never answers: the daemon goes on.
#[test]
fn a_configuration_that_is_no_file() {
    in_small(plan(), |lab| {
        lab.start("hub").unwrap();
        let hub = lab.node("hub");
        wait_status(hub, "1000 at most");
        let config = hub.config();
        let kept = config.with_extension("kept");
        fs::rename(&config, &kept).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&config).status().unwrap();
        assert!(made.success());
        let output = dmevpn(hub, &["reload", "--timeout", "5"]);
        assert_eq!(output.status.code(), Some(4), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("it is no file"), "{output:?}");
        wait_status(hub, "1000 at most");
        fs::rename(&kept, &config).unwrap();
        assert_eq!(dmevpn(hub, &["reload"]).status.code(), Some(0));
    });
}

#[test]
fn a_vn_gets_other_settings() {
    // Who asks in the wrong moment soon asks again.
    in_small(Plan { negative_time: 2, ..plan() }, |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        let (hub, spoke1) = (lab.node("hub"), lab.node("spoke1"));
        let change = |from: &str, to: &str| {
            spoke1.edit_config(|text| text.replace(from, to)).unwrap();
            assert_eq!(dmevpn(spoke1, &["reload"]).status.code(), Some(0));
        };
        let leads_to = |vni| {
            let spoke2 = lab.node("spoke2");
            let follows = wait_until(SOON, || {
                ping_spoke2(lab, 5).none_lost() && spoke2.has_shortcut("test", VM1, spoke1.nbma, vni)
            });
            assert!(follows, "{}", hub.log_text());
            wait("one port a spoke", || hub.ports().unwrap().len() == 2);
        };
        change("option vni '100'", "option vni '4242'");
        wait("the device has the new VNI", || show(spoke1, "tunnel2").contains("vxlan id 4242 "));
        leads_to(4242);
        change("option vxlan 'tunnel2'", "option vxlan 'elsewhere'");
        wait("the device has the new name", || spoke1.ns.has("elsewhere") && !spoke1.ns.has("tunnel2"));
        leads_to(4242);
        spoke1
            .ns
            .ip("link add br-new address 52:54:00:00:20:01 type bridge mcast_snooping 0\nlink set br-new up")
            .unwrap();
        change("option bridge 'br-test'", "option bridge 'br-new'");
        spoke1.ns.ip("link set vm1 master br-new").unwrap();
        leads_to(4242);
        change("option trigger 'learn'", "option trigger 'l2miss'");
        wait("the device reports misses", || show(spoke1, "elsewhere").contains(" l2miss "));
        // Its first frames are lost.
        ping_spoke2(lab, 5);
        leads_to(4242);
        let log = hub.log_text();
        let times = log.lines().filter(|l| l.contains("spoke up: 10.0.0.2")).count();
        assert_eq!(times, 5, "each change registers once:\n{log}");
    });
}

/// A hub takes in whose address is listed; a reload lets others in, or ends what is listed no more.
#[test]
fn who_may_register() {
    in_small(plan(), |lab| {
        let allow = |lab: &Lab, list: &str| {
            let without = |text: String| {
                text.lines().filter(|l| !l.contains("list allow")).map(|l| format!("{l}\n")).collect()
            };
            let with = |text: String| text.replace("role 'hub'", &format!("role 'hub'\n{list}"));
            lab.node("hub").edit_config(|text| with(without(text))).unwrap();
        };
        allow(lab, "\tlist allow '10.0.0.2'\n\tlist allow '2001:db8::/32'");
        for node in ["hub", "spoke1", "spoke2"] {
            lab.start(node).unwrap();
        }
        let (hub, spoke1, spoke2) = (lab.node("hub"), lab.node("spoke1"), lab.node("spoke2"));
        wait_status(spoke1, "valid for");
        wait_status(spoke2, "refused");
        wait_status(spoke2, "NAK 4");
        wait_status(hub, "1000 at most, one is refused: NAK 4, 10.0.0.3 may not register here (allow)");
        let refused = "registration of spoke 10.0.0.3 refused: NAK 4, 10.0.0.3 may not register here (allow)";
        assert!(hub.log_text().contains(refused), "{}", hub.log_text());
        let metrics = String::from_utf8(dmevpn(hub, &["metrics"]).stdout).unwrap();
        let counted = "dmevpn_vn_registrations_not_allowed_total{vn=\"test\"} ";
        let counted =
            metrics.lines().find_map(|l| l.strip_prefix(counted)).unwrap_or_else(|| panic!("{metrics}"));
        assert_ne!(counted, "0");
        assert_eq!(hub.served(), Ok(1));

        allow(lab, "\tlist allow '10.0.0.1/24'");
        let line =
            fs::read_to_string(hub.config()).unwrap().lines().position(|l| l.contains("allow")).unwrap();
        is_refused(hub, line + 1);
        allow(lab, "\tlist allow '10.0.0.0/24'");
        assert_eq!(dmevpn(hub, &["reload"]).status.code(), Some(0));
        lab.nodes.get_mut("spoke2").unwrap().stop().unwrap();
        lab.start("spoke2").unwrap();
        lab.wait_connected(SOON).unwrap();
        all_is_well(lab);

        let (hub, spoke1) = (lab.node("hub"), lab.node("spoke1"));
        allow(lab, "\tlist allow '10.0.0.3'");
        assert_eq!(dmevpn(hub, &["reload"]).status.code(), Some(0));
        wait("its port goes", || hub.served() == Ok(1));
        wait_status(spoke1, "refused");
        let ended = "spoke down: 10.0.0.2 vni 100, its address may not register any more (allow)";
        assert!(hub.log_text().contains(ended), "{}", hub.log_text());
        wait("nobody has a way to it", || {
            external(lab.node("spoke2"), "tunnel2").iter().all(|e| !e.contains("10.0.0.2"))
        });
        wait_status(lab.node("spoke2"), "valid for");
    });
}
