//! A spoke's daemon: killed and started again; asleep when there is nothing to do.

use super::hub::{Hosts, use_hub_name};
use super::*;
use lab::traffic::Ping;
use lab::{now, text_of_mac};

#[test]
fn a_spoke_is_killed_and_started_again() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        let vm1 = lab.host("vm1").ns.borrow();
        let index = lab.node("spoke1").ns.ifindex("tunnel2");
        let watch = fdb::Monitor::start(&lab.node("spoke1").ns).unwrap();
        let pings = Ping::start(&vm1, Echoes { count: 5000, ..Echoes::to(ip(inside(11)), 0, 10) }).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        lab.nodes.get_mut("spoke1").unwrap().kill().unwrap();
        std::thread::sleep(Duration::from_millis(500));
        let started = now();
        lab.start("spoke1").unwrap();
        wait_status(lab.node("spoke1"), "valid for");
        std::thread::sleep(Duration::from_secs(1));
        let pinged = pings.stop().unwrap();
        assert!(pinged.none_lost(), "{pinged}");
        assert_eq!(lab.node("spoke1").ns.ifindex("tunnel2"), index);
        let gone: Vec<_> =
            watch.changes().into_iter().filter(|c| !c.present && c.entry.own && c.at > started).collect();
        assert!(gone.is_empty(), "{gone:?}");
        assert_eq!(lab.node("spoke1").shortcuts("test", BRIDGE2).unwrap().len(), 1);
        let macs = String::from_utf8(dmevpn(lab.node("spoke1"), &["macs"]).stdout).unwrap();
        assert!(macs.lines().any(|l| l.contains("52:54:00:00:00:0b") && l.contains("10.0.0.3")), "{macs}");
    });
}

/// Who was told something asks the new daemon again: soon it knows whom to tell, and the kernel's entries are not touched.
#[test]
fn a_restarted_hub_is_asked_again() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        let asked = |lab: &Lab| {
            let macs = String::from_utf8(dmevpn(lab.node("hub"), &["macs"]).stdout).unwrap();
            let line = macs.lines().find(|line| line.contains(&text_of_mac(BRIDGE2))).map(str::to_owned);
            line.is_some_and(|line| line.trim_end().ends_with(" 1"))
        };
        wait("spoke1 has asked", || asked(lab));
        let vm1 = lab.host("vm1").ns.borrow();
        let watch = fdb::Monitor::start(&lab.node("spoke1").ns).unwrap();
        let pings = Ping::start(&vm1, Echoes { count: 5000, ..Echoes::to(ip(inside(11)), 0, 10) }).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        let killed = now();
        lab.nodes.get_mut("hub").unwrap().kill().unwrap();
        lab.start("hub").unwrap();
        wait("the hub knows who asks", || {
            std::thread::sleep(Duration::from_millis(50));
            asked(lab)
        });
        let pinged = pings.stop().unwrap();
        assert!(pinged.none_lost(), "{pinged}");
        let is_touched = |c: &fdb::Change| c.entry.own && c.entry.mac == BRIDGE2 && c.at > killed;
        let touched: Vec<_> = watch.changes().into_iter().filter(is_touched).collect();
        assert!(touched.is_empty(), "{touched:?}");
    });
}

#[test]
fn a_quiet_spoke_sleeps() {
    in_small(plan(), |lab| {
        // A name was looked up before it sleeps.
        let _hosts = Hosts::new(lab.node("spoke1"), "10.0.0.1 hub.test");
        use_hub_name(lab.node("spoke1"), "hub.test");
        lab.start_all().unwrap();
        all_is_well(lab);
        // Until the announcements and answers of the beginning are over, and no path is in use.
        std::thread::sleep(Duration::from_secs(12));
        let all = ["spoke1", "hub"].map(|name| lab.node(name).pid().unwrap());
        let before = all.map(wakeups);
        std::thread::sleep(Duration::from_secs(5));
        for (pid, before) in all.into_iter().zip(before) {
            let woken = wakeups(pid) - before;
            // Each spoke sends its hub one probe in this time, more if the answer is late, and looks what the kernel used.
            assert!(woken <= 40, "{pid} woke up {woken} times");
        }
    });
}

/// How often the threads of a process gave up the processor to wait for something.
fn wakeups(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    tasks.map(|task| number_in(&task.path().join("status"), "voluntary_ctxt_switches:")).sum()
}
