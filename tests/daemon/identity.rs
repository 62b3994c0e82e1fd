//! Who a router is for its hub: one that has another address is the same, and two that are copies of one are told.

use super::*;
use lab::now;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

/// What becomes of the devices of a namespace while this is there.
struct Links {
    monitor: Child,
    file: PathBuf,
}

impl Links {
    fn watch(node: &Node) -> Links {
        let file = node.socket().with_extension("links");
        let out = fs::File::create(&file).unwrap();
        let mut command = Command::new("ip");
        command.args(["-n", &node.ns.name, "-o", "monitor", "link"]);
        let monitor = command.stdout(out).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        Links { monitor, file }
    }

    /// The names of the hub's ports that came or went.
    fn ports(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.file).unwrap();
        let ports = text.lines().filter(|line| line.contains(" dmevpn") || line.contains(":dmevpn"));
        ports.map(str::to_owned).collect()
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        let _ = self.monitor.kill();
        let _ = self.monitor.wait();
    }
}

/// How many echoes were lost, and for how long none came back.
fn dark(pinged: &Pinged) -> (usize, Duration) {
    let mut longest = Duration::ZERO;
    let mut last = pinged.echoes.first().map(|echo| echo.sent).unwrap_or_default();
    for echo in &pinged.echoes {
        if echo.reply.is_some() {
            let gap = echo.sent - last;
            longest = longest.max(gap);
            last = echo.sent;
        }
    }
    (pinged.echoes.len() - pinged.answered(), longest)
}

/// Where each port of the hub leads to, with its index.
fn led(hub: &Node) -> Vec<(String, u32, Vec<Option<IpAddr>>)> {
    let ports = hub.ports().unwrap().into_iter();
    let to = |name: &str| destinations(hub, name, [0; 6]).into_iter().map(|(to, _)| to).collect();
    ports.map(|(name, index)| (name.clone(), index, to(&name))).collect()
}

/// The spoke moves to 10.0.0.77 by what `change` does, while a station of its talks to one at the hub: it keeps its port.
/// So long the station is dark at most, and so many echoes, one in 10 ms, are lost.
fn moves(prepare: impl Fn(&mut Lab), change: impl Fn(&mut Lab), most: Duration, lost: usize) {
    in_small(plan(), |lab| {
        prepare(lab);
        lab.start_all().unwrap();
        all_is_well(lab);
        let hub = lab.node("hub");
        hub.ns.ip("addr add 11.0.0.1/24 dev br-test").unwrap();
        assert!(ping(&lab.host("vm1").ns, Echoes::to(ip(inside(1)), 5, 20)).unwrap().answered() > 0);
        let before = led(hub);
        let links = Links::watch(hub);
        let echoes =
            |to| lab::traffic::Ping::start(&lab.host("vm1").ns, Echoes::to(ip(inside(to)), 4000, 10));
        let (by_hub, direct) = (echoes(1).unwrap(), echoes(11).unwrap());
        std::thread::sleep(Duration::from_millis(300));
        let began = now();
        change(lab);
        let hub = lab.node("hub");
        let there: IpAddr = "10.0.0.77".parse().unwrap();
        wait("the port leads there", || led(hub).iter().any(|(.., to)| *to == [Some(there)]));
        let took = now() - began;
        wait_status(lab.node("spoke1"), "valid for");
        std::thread::sleep(Duration::from_secs(1));
        let (by_hub, direct) = (dark(&by_hub.stop().unwrap()), dark(&direct.stop().unwrap()));
        println!("the port follows in {took:?}; lost and dark by the hub: {by_hub:?}, direct: {direct:?}");
        let after = led(hub);
        let names = |led: &[(String, u32, Vec<Option<IpAddr>>)]| {
            led.iter().map(|(name, index, _)| (name.clone(), *index)).collect::<Vec<_>>()
        };
        assert_eq!(names(&before), names(&after), "{:?}\n{}", links.ports(), hub.log_text());
        assert_eq!(after.iter().filter(|(.., to)| *to == [Some(there)]).count(), 1, "{after:?}");
        let gone: Vec<_> = links.ports().into_iter().filter(|line| line.contains("Deleted")).collect();
        assert!(gone.is_empty(), "{gone:?}");
        let log = hub.log_text();
        let words = "spoke moved: 10.0.0.2 vni 100 is 10.0.0.77 vni 100 now, uplink vni ";
        assert_eq!(log.matches(words).count(), 1, "{log}");
        assert!(!log.contains("spoke down"), "{log}");
        assert_eq!(log.matches("spoke up").count(), 2, "{log}");
        let spoke2 = lab.node("spoke2");
        wait("spoke2 knows the new place", || spoke2.has_shortcut("test", VM1, there, 100));
        assert!(by_hub.1.max(direct.1) < most * lab::patience(), "{by_hub:?} {direct:?}");
        assert!(by_hub.0.max(direct.0) < lost * lab::patience() as usize, "{by_hub:?} {direct:?}");
        // The next daemon of the hub finds the port as that of who moved.
        lab.nodes.get_mut("hub").unwrap().kill().unwrap();
        lab.start("hub").unwrap();
        let hub = lab.node("hub");
        let words = "spoke up: 10.0.0.77 vni 100, uplink vni ";
        wait("the port is found", || hub.log_text().contains(words));
        assert_eq!(led(hub), after);
        all_is_well(lab);
    });
}

/// The route leads to another address, and the old one is there still.
#[test]
fn a_spoke_whose_route_changes_keeps_its_port() {
    moves(
        |lab| {
            let spoke1 = lab.node("spoke1");
            spoke1.edit_config(|text| text.replace("\toption nbma '10.0.0.2'\n", "")).unwrap();
            spoke1.ns.ip("addr add 10.0.0.77/32 dev eth1").unwrap();
        },
        |lab| lab.node("spoke1").ns.ip("route replace 10.0.0.0/24 dev eth1 src 10.0.0.77").unwrap(),
        Duration::from_secs(1),
        // What was under way to the old address when the hub heard of the new one is gone; nothing else is.
        10,
    );
}

/// The old address is gone before anybody could say so from there.
#[test]
fn a_spoke_whose_address_is_replaced_keeps_its_port() {
    moves(
        |lab| {
            let option = "option interface 'eth1'";
            lab.node("spoke1").edit_config(|text| text.replace("option nbma '10.0.0.2'", option)).unwrap();
        },
        |lab| {
            let lines = "addr del 10.0.0.2/24 dev eth1\naddr add 10.0.0.77/24 dev eth1";
            lab.node("spoke1").ns.ip(lines).unwrap();
        },
        Duration::from_secs(1),
        40,
    );
}

/// Its daemon does not know where it was: the hub asks there, and nobody answers.
#[test]
fn a_spoke_that_starts_elsewhere_keeps_its_port() {
    moves(
        |_| (),
        |lab| {
            lab.nodes.get_mut("spoke1").unwrap().kill().unwrap();
            let spoke1 = lab.node("spoke1");
            spoke1.ns.ip("addr del 10.0.0.2/24 dev eth1\naddr add 10.0.0.77/24 dev eth1").unwrap();
            spoke1.edit_config(|text| text.replace("'10.0.0.2'", "'10.0.0.77'")).unwrap();
            lab.start("spoke1").unwrap();
        },
        Duration::from_secs(5),
        400,
    );
}

fn state_file(lab: &Lab, spoke: &str) -> PathBuf {
    lab.node(spoke).socket().with_extension("state")
}

/// Starts the hub and spoke1, and makes spoke2, which does not run yet, a copy of that: same state file, so same MAC.
fn start_with_a_copy(lab: &mut Lab) {
    lab.start("hub").unwrap();
    lab.start("spoke1").unwrap();
    wait_status(lab.node("spoke1"), "valid for");
    let state = |spoke| state_file(lab, spoke);
    wait("the state is written", || state("spoke1").exists());
    fs::copy(state("spoke1"), state("spoke2")).unwrap();
}

/// A router is a copy of another.
#[test]
fn two_routers_of_one_image() {
    in_small(plan(), |lab| {
        for (spoke, nbma) in [("spoke1", "10.0.0.2"), ("spoke2", "10.0.0.3")] {
            let option = format!("option nbma '{nbma}'");
            lab.node(spoke).edit_config(|text| text.replace(&option, "option interface 'eth1'")).unwrap();
        }
        start_with_a_copy(lab);
        lab.node("hub").ns.ip("addr add 11.0.0.1/24 dev br-test").unwrap();
        let hub = ip(inside(1));
        assert!(ping(&lab.host("vm1").ns, Echoes::to(hub, 5, 20)).unwrap().answered() > 0);
        let before = lab.node("hub").ports().unwrap();
        let echoes = lab::traffic::Ping::start(&lab.host("vm1").ns, Echoes::to(hub, 4000, 10)).unwrap();
        lab.start("spoke2").unwrap();
        let (hub, spoke1, spoke2) = (lab.node("hub"), lab.node("spoke1"), lab.node("spoke2"));
        std::thread::sleep(Duration::from_secs(3));
        println!("{}\n{}\n{}", status(hub), status(spoke1), status(spoke2));
        wait_status(spoke2, "refused");
        wait_status(spoke2, "NAK 14");
        let both = |first: &str, second: &str| format!(": 10.0.0.{first} and 10.0.0.{second}");
        wait_status(spoke2, &both("3 vni 101", "2 vni 100"));
        wait_status(spoke1, &both("2 vni 100", "3 vni 101"));
        wait_status(hub, &both("2 vni 100", "3 vni 101"));
        wait_status(spoke1, "valid for");
        for node in [hub, spoke1, spoke2] {
            assert!(status(node).contains("two routers have MAC 06:"), "{}", status(node));
            assert!(status(node).contains("delete the file of option 'state_file'"), "{}", status(node));
            assert_eq!(node.log_text().matches("two routers have MAC 06:").count(), 1, "{}", node.log_text());
        }
        // The next try is no other.
        let tries = || hub.log_text().matches("registration of spoke 10.0.0.3 refused").count();
        let again = wait_until(Duration::from_secs(15), || tries() >= 2);
        assert!(again, "{}", hub.log_text());
        assert_eq!(hub.ports().unwrap(), before);
        assert!(!hub.log_text().contains("spoke down"), "{}", hub.log_text());
        let echoes = echoes.stop().unwrap();
        println!("{echoes}, {:?}", dark(&echoes));
        assert!(echoes.none_lost(), "{echoes}");

        // Another identity is another router.
        lab.nodes.get_mut("spoke2").unwrap().stop().unwrap();
        fs::remove_file(state_file(lab, "spoke2")).unwrap();
        let began = now();
        lab.start("spoke2").unwrap();
        let hub = lab.node("hub");
        wait("it is registered", || hub.ports().unwrap().len() == 2);
        assert!(now() - began < Duration::from_secs(2) * lab::patience(), "it took {:?}", now() - began);
        wait_status(lab.node("spoke2"), "valid for");
        assert!(!status(lab.node("spoke2")).contains("two routers"), "{}", status(lab.node("spoke2")));
        assert!(!status(hub).contains("two routers"), "{}", status(hub));
        lab.wait_connected(SOON).unwrap();
        all_is_well(lab);
    });
}

/// The router that has a MAC is gone: a copy of it takes over, and the hub says why the port goes.
#[test]
fn a_copy_of_a_router_that_is_gone() {
    in_small(plan(), |lab| {
        start_with_a_copy(lab);
        lab.nodes.get_mut("spoke1").unwrap().kill().unwrap();
        let began = now();
        lab.start("spoke2").unwrap();
        let (hub, spoke2) = (lab.node("hub"), lab.node("spoke2"));
        wait_status(spoke2, "valid for");
        let took = now() - began;
        println!("it took {took:?}");
        assert!(took > Duration::from_millis(1500), "{took:?}");
        wait("the other's port is gone", || hub.ports().unwrap().len() == 1);
        let words = "spoke down: 10.0.0.2 vni 100, another router registered its MAC, and it did not answer";
        assert_eq!(hub.log_text().matches(words).count(), 1, "{}", hub.log_text());
        assert!(!status(hub).contains("two routers"), "{}", status(hub));
    });
}

/// Who takes the MAC of a router that is away loses it again when that is back where it was; whatever VNI the thief has, and
/// though the hub was started anew meanwhile.
#[test]
fn who_comes_home_has_its_mac_again() {
    for (vni, restarts_hub) in [(101, false), (100, false), (101, true)] {
        in_small(plan(), |lab| {
            start_with_a_copy(lab);
            let same = |text: String| text.replace("option vni '101'", &format!("option vni '{vni}'"));
            lab.node("spoke2").edit_config(same).unwrap();
            lab.nodes.get_mut("spoke1").unwrap().kill().unwrap();
            if restarts_hub {
                lab.nodes.get_mut("hub").unwrap().kill().unwrap();
                lab.start("hub").unwrap();
            }
            lab.start("spoke2").unwrap();
            wait_status(lab.node("spoke2"), "valid for");
            lab.start("spoke1").unwrap();
            wait_status(lab.node("spoke1"), "valid for");
            assert!(leads(lab.node("hub"), "10.0.0.2"), "{}", lab.node("hub").log_text());
            lab.nodes.get_mut("spoke2").unwrap().kill().unwrap();
            lab.start("spoke2").unwrap();
            let (hub, spoke1, spoke2) = (lab.node("hub"), lab.node("spoke1"), lab.node("spoke2"));
            wait_status(spoke2, "NAK 14");
            wait_status(spoke1, "valid for");
            assert!(leads(hub, "10.0.0.2") && !leads(hub, "10.0.0.3"), "{}", hub.log_text());
            assert!(!status(spoke1).contains("NAK 14"), "{}", status(spoke1));
        });
    }
}

/// A hub's uplink VNIs come of its identity, so that nobody else can tell them. They stay as long as that does; and a port
/// that is there keeps its own in any case.
#[test]
fn uplink_vnis_come_of_the_hubs_identity() {
    in_small(plan(), |lab| {
        let restart_hub = |lab: &mut Lab| {
            assert_eq!(lab.nodes.get_mut("hub").unwrap().hand_over(), Ok(Some(0)));
            lab.start("hub").unwrap();
        };
        let restart_spokes = |lab: &mut Lab| {
            for spoke in ["spoke1", "spoke2"] {
                lab.nodes.get_mut(spoke).unwrap().stop().unwrap();
            }
            wait("no port is left", || lab.node("hub").ports().unwrap().is_empty());
            lab.start("spoke1").unwrap();
            lab.start("spoke2").unwrap();
        };
        let names = |lab: &Lab| {
            lab.wait_connected(SOON).unwrap();
            let hub = lab.node("hub");
            wait("both are registered", || {
                let peers = String::from_utf8(dmevpn(hub, &["peers"]).stdout).unwrap();
                peers.matches(" 06:").count() == 2
            });
            hub.ports().unwrap().into_keys().collect::<Vec<_>>()
        };
        lab.start_all().unwrap();
        let first = names(lab);
        restart_hub(lab);
        assert_eq!(names(lab), first);
        restart_spokes(lab);
        assert_eq!(names(lab), first);

        let state = state_file(lab, "hub");
        assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o600);
        fs::remove_file(state).unwrap();
        restart_hub(lab);
        assert_eq!(names(lab), first);
        restart_spokes(lab);
        let other = names(lab);
        assert!(other.iter().all(|port| !first.contains(port)), "{other:?} {first:?}");
        restart_spokes(lab);
        assert_eq!(names(lab), other);
    });
}
