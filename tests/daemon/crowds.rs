//! More stations than there is room for.

use super::*;
use lab::traffic::{BROADCAST, Sender, experiment};
use lab::{mac, ms, now};

/// The tunnel's entries for these stations that lead to `spoke`.
fn shortcuts(lab: &Lab, stations: std::ops::Range<u16>, spoke: &str) -> usize {
    let to = lab.node(spoke).nbma;
    let entries = fdb::dump(&lab.node("spoke1").ns, "tunnel2").unwrap();
    let leads = |n: &u16| entries.iter().any(|e| e.own && e.mac == mac(*n) && e.dst == Some(to));
    stations.filter(leads).count()
}

fn speak(lab: &Lab, host: &str, stations: std::ops::Range<u16>) {
    let sender = Sender::new(&lab.host(host).ns, "eth0").unwrap();
    for n in stations {
        sender.send(&experiment(BROADCAST, mac(n), 1, 60)).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// One site's stations fill the table of a spoke: a few of another one have shortcuts all the same, and keep them.
#[test]
fn a_crowd_at_one_site_leaves_room_for_others() {
    in_small(plan(), |lab| {
        lab.add_spoke(3, vec![test_vn(102)]).unwrap();
        lab.add_host("vm2", "spoke2", "br-test", mac(0x21), inside(21)).unwrap();
        lab.add_host("vm3", "spoke3", "br-test", mac(0x31), inside(31)).unwrap();
        let small = |text: String| text.replace("option trigger", "option max_macs '64'\n\toption trigger");
        lab.node("spoke1").edit_config(small).unwrap();
        lab.start_all().unwrap();
        const CROWD: std::ops::Range<u16> = 0x3000..0x3100;
        const FEW: std::ops::Range<u16> = 0x4000..0x400a;
        speak(lab, "vm2", CROWD);
        wait("the table is full", || shortcuts(lab, CROWD, "spoke2") >= 50);
        std::thread::sleep(Duration::from_secs(3));
        let clock = now();
        speak(lab, "vm3", FEW);
        wait("those of the other site have their shortcuts", || shortcuts(lab, FEW, "spoke3") == FEW.len());
        println!("after {}", ms(now().saturating_sub(clock)));
        speak(lab, "vm2", 0x5000..0x5100);
        std::thread::sleep(Duration::from_secs(3));
        assert_eq!(shortcuts(lab, FEW, "spoke3"), FEW.len());
        let all = shortcuts(lab, CROWD, "spoke2") + shortcuts(lab, 0x5000..0x5100, "spoke2");
        assert!((40..=56).contains(&all), "{all}");
    });
}
