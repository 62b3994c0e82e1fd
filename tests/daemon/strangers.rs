//! Packets of those that are nobody's hub and no spoke.

use super::odd::counted;
use super::ways::{at, in_both};
use super::*;
use socket2::{Domain, Protocol, Socket, Type};
use std::net::SocketAddr;

/// The node sends `count` packets that are NHRP in GRE by their header, and nonsense behind it.
pub(super) fn send_nonsense(from: &Node, to: IpAddr, count: usize) {
    let send = || {
        let domain = if to.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
        let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(47)))?;
        let to = SocketAddr::new(to, 0).into();
        (0..count).try_for_each(|_| socket.send_to(&[0, 0, 0x20, 1, 9], &to).map(drop))
    };
    from.ns.run(send).unwrap().unwrap();
}

/// A spoke hears its hub alone, wherever that is; one that is a hub, too, hears all.
#[test]
fn a_spoke_hears_its_hub_only() {
    in_both(|lab| {
        lab.add_spoke(9, vec![]).unwrap();
        lab.start("hub").unwrap();
        lab.start("spoke1").unwrap();
        let (hub, spoke1, other) = (lab.node("hub"), lab.node("spoke1"), lab.node("spoke9"));
        wait_status(spoke1, "valid for");
        let heard = || counted(spoke1, "rx_malformed").parse::<usize>().unwrap();
        let mut before = heard();
        // Nothing passes those that are sent after it.
        let mut hears = |one: &Node, another: Option<&Node>| {
            let strangers = [hub, other]
                .into_iter()
                .filter(|n| ![one.nbma, another.unwrap_or(one).nbma].contains(&n.nbma));
            strangers.for_each(|stranger| send_nonsense(stranger, spoke1.nbma, 5));
            send_nonsense(one, spoke1.nbma, 3);
            another.into_iter().for_each(|another| send_nonsense(another, spoke1.nbma, 3));
            before += 3 + another.map_or(0, |_| 3);
            wait("its packets are heard", || heard() >= before);
            assert_eq!(heard(), before);
        };
        hears(hub, None);
        let reload = |edit: &dyn Fn(String) -> String| {
            spoke1.edit_config(edit).unwrap();
            assert_eq!(dmevpn(spoke1, &["reload"]).status.code(), Some(0));
        };
        let option = |address: &str| format!("option address '{address}'");
        let (first, second) = (option(&at(lab, 0, 1)), option(&other.nbma.to_string()));
        reload(&|text| text.replace(&first, &second));
        wait("it looks for its hub there", || status(spoke1).contains(&other.nbma.to_string()));
        hears(other, None);
        reload(&|text| text.replace(&second, &first));
        wait_status(spoke1, "valid for");
        hears(hub, None);
        let of_hub = "\nconfig vn 'second'\n\toption role 'hub'\n\toption vpn_id '2'\n";
        reload(&|text| text + of_hub);
        wait_status(spoke1, "1000 at most");
        hears(hub, Some(other));
        reload(&|text| text.replace(of_hub, ""));
        wait_status(spoke1, "valid for");
        hears(hub, None);
    });
}
