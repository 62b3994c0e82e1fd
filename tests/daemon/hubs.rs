//! A spoke of two hubs: it is at one of them, and at the other one once that is gone.

use super::*;
use lab::traffic::Ping;

/// A host at the second hub.
const VM9: MacBytes = [0x52, 0x54, 0, 0, 0, 0x29];
/// The uses of the way to the hub are looked at so often; it is probed faster from then on.
const SEEN_IN_USE: Duration = Duration::from_secs(6);

/// vm1 -- spoke1 -- hub == hub2 -- vm9: the hubs' bridges are one Ethernet. All run.
fn with_two(scene: impl FnOnce(&mut Lab)) {
    in_small(plan(), |lab| {
        lab.add_second_hub(vec![test_vn(0)]).unwrap();
        lab.connect_hubs("br-test").unwrap();
        lab.add_host("vm9", "hub2", "br-test", VM9, inside(29)).unwrap();
        lab.start_all().unwrap();
        wait_status(lab.node("spoke1"), "dc1 in use, dc2 answered");
        scene(lab);
    });
}

fn talk(lab: &Lab) -> Ping {
    let vm1 = &lab.host("vm1").ns;
    wait("the first answer", || ping(vm1, Echoes::to(ip(inside(29)), 1, 10)).unwrap().none_lost());
    let stream = Ping::start(vm1, Echoes::to(ip(inside(29)), 100_000, 10)).unwrap();
    std::thread::sleep(SEEN_IN_USE);
    stream
}

fn ports(hub: &Node) -> usize {
    hub.ports().unwrap_or_default().len()
}

#[test]
fn a_hub_whose_machine_vanishes_is_left_within_four_and_a_half_seconds() {
    with_two(|lab| {
        wait("all are at the first", || ports(lab.node("hub")) == 2);
        assert_eq!(ports(lab.node("hub2")), 0, "who stands by keeps nothing");
        let stream = talk(lab);
        lab.reboot_hub().unwrap();
        wait_status(lab.node("spoke1"), "dc2 in use");
        wait("pings are answered", || {
            ping(&lab.host("vm1").ns, Echoes::to(ip(inside(29)), 1, 20))
                .is_ok_and(|pinged| pinged.none_lost())
        });
        std::thread::sleep(Duration::from_secs(1));
        let pinged = stream.stop().unwrap();
        let gap = pinged.longest_gap();
        println!("{pinged}, longest gap {} ms", gap.as_millis());
        assert!(gap < Duration::from_millis(4500) * lab::patience(), "{gap:?}");
        let said = status(lab.node("spoke1"));
        assert!(
            said.contains("spoke of dc2") && said.contains("frames did not get to the one before"),
            "{said}"
        );
        wait("both are at the second", || ports(lab.node("hub2")) == 2);
        let json = String::from_utf8(dmevpn(lab.node("spoke1"), &["status", "--json"]).stdout).unwrap();
        documented::check("status", &serde_json::from_str(&json).unwrap());
    });
}

#[test]
fn a_hub_sends_its_spokes_away_and_hardly_anything_is_lost() {
    with_two(|lab| {
        let (hub, spoke1) = (lab.node("hub"), lab.node("spoke1"));
        let stream = talk(lab);
        let said = dmevpn(hub, &["drain", "test"]);
        assert!(said.status.success(), "{said:?}");
        assert!(status(hub).contains("sent away, those that have another hub"), "{}", status(hub));
        wait_status(spoke1, "dc2 in use");
        wait("all have left", || (ports(hub), ports(lab.node("hub2"))) == (0, 2));
        std::thread::sleep(Duration::from_secs(1));
        let pinged = stream.stop().unwrap();
        println!("{pinged}, longest gap {} ms", pinged.longest_gap().as_millis());
        // What is on the cable between the hubs then may come to where the spoke was.
        assert!(pinged.echoes.len() - pinged.answered() <= 2, "{pinged}");
        assert!(status(spoke1).contains("the one before sends its spokes away"), "{}", status(spoke1));
        let said = dmevpn(spoke1, &["drain", "test"]);
        assert!(
            !said.status.success() && String::from_utf8_lossy(&said.stderr).contains("no hub of VN"),
            "{said:?}"
        );
    });
}
