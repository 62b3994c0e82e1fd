//! Memory of real daemons: an idle spoke, and a hub with a thousand spokes. Needs root and iproute2.
//!
//! A spoke here is a Registration Request from an address of its own; what the hub makes of it (a VXLAN device, a
//! bridge port, forwarding entries) is real.

#[path = "../tests/lab/mod.rs"]
mod lab;

use dmevpn::types::{Mac, Nbma, Vni, VpnId};
use dmevpn::wire::nhrp::{
    Cie, Extension, HOP_COUNT, Header, Kind, Protocol, ProtocolAddress, Writer, flag, kind,
};
use dmevpn::wire::{Prefix, VpnTag};
use lab::nodes::{Lab, Node, Plan, Program, test_vn};
use lab::{Res, ms, now, sys, wait_until};
use socket2::{Domain, Socket, Type};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Beside the real one: `max_spokes` is 1000.
const SPOKES: u16 = 999;
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    if !sys::is_root() {
        println!("memory: skipped, network namespaces need root");
        return;
    }
    if let Err(e) = measure() {
        eprintln!("memory: {e}");
        std::process::exit(1);
    }
}

fn measure() -> Res {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_dmevpn"));
    let program = Some(Program { path, variable: None });
    let mut lab = Lab::new(Plan { program, ipv6: false, holding_time: 600, negative_time: 60 })?;
    lab.add_hub(vec![test_vn(0)])?;
    lab.add_spoke(1, vec![test_vn(100)])?;
    lab.add_spoke(2, vec![test_vn(101)])?;
    lab.start("hub")?;
    lab.start("spoke1")?;
    let hub = lab.node("hub");
    if !wait_until(PATIENCE, || hub.ports().is_ok_and(|ports| ports.len() == 1)) {
        return Err("the spoke did not register".into());
    }
    println!("spoke, idle:          {}", memory(lab.node("spoke1"))?);
    println!("hub with 1 spoke:     {}", memory(hub)?);

    // The second spoke's namespace lends its interface to all others.
    let herd = &lab.node("spoke2").ns;
    let addresses: Vec<Ipv4Addr> =
        (0..SPOKES).map(|n| Ipv4Addr::new(10, 1, (n / 250) as u8, (n % 250) as u8 + 1)).collect();
    let lines: Vec<String> = addresses.iter().map(|a| format!("addr add {a}/32 dev eth1")).collect();
    herd.ip(&lines.join("\n"))?;
    hub.ns.ip("route add 10.1.0.0/16 dev eth1")?;
    let IpAddr::V4(to) = hub.nbma else { return Err("the hub has no IPv4 address".into()) };
    let start = now();
    let send = || {
        for (n, from) in addresses.iter().enumerate() {
            register(*from, to)?;
            // Real spokes come in one after the other, and repeat what is lost.
            if n % 20 == 0 {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        std::io::Result::Ok(())
    };
    herd.run(send)?.map_err(|e| e.to_string())?;
    let wanted = usize::from(SPOKES) + 1;
    let all = wait_until(PATIENCE, || {
        hub.ns.interfaces().is_ok_and(|i| i.keys().filter(|n| n.starts_with("dmevpn")).count() == wanted)
    });
    if !all {
        return Err(format!("not all of {SPOKES} spokes have a port"));
    }
    println!("hub with {wanted} spokes: {}, all ports there after {}", memory(hub)?, ms(now() - start));
    Ok(())
}

/// A Registration Request, as a spoke at `from` sends it.
fn register(from: Ipv4Addr, to: Ipv4Addr) -> std::io::Result<()> {
    let [_, _, c, d] = from.octets();
    let mac = Mac::new([0x52, 0x54, 1, 0, c, d]).map(ProtocolAddress::Mac);
    let header = Header {
        kind: Kind::RegistrationRequest,
        protocol: Protocol::Ethernet,
        hop_count: HOP_COUNT,
        flags: flag::REGISTRATION_UNIQUE,
        request_id: 1,
        nbma: Nbma::new(from.into()).expect("a unicast address"),
        vni: Vni::new(100),
        source: mac,
        destination: mac,
    };
    let mut buf = [0; 200];
    let mut writer = Writer::new(&mut buf, &header);
    writer
        .cie(&Cie { prefix: 0xff, mtu: 1500, holding: 600, ..Cie::default() })
        .extension(Extension::empty(kind::RESPONDER));
    let len = writer.finish().expect("it fits");
    let mut packet = Prefix::gre(VpnTag::Llc(VpnId::new(VpnId::DEFAULT_OUI, 1))).as_bytes().to_vec();
    packet.extend_from_slice(&buf[..len]);
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(47.into()))?;
    socket.bind(&SocketAddr::new(from.into(), 0).into())?;
    socket.send_to(&packet, &SocketAddr::new(to.into(), 0).into()).map(|_| ())
}

/// A daemon's memory, as the kernel counts it.
fn memory(node: &Node) -> Res<String> {
    let pid = node.pid().ok_or("the daemon does not run")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(|e| e.to_string())?;
    let line = |name: &str| {
        let value = status.lines().find_map(|l| l.strip_prefix(name)).unwrap_or("?");
        value.trim_start_matches(':').trim().to_owned()
    };
    Ok(format!("{} resident now, {} at most", line("VmRSS"), line("VmHWM")))
}
