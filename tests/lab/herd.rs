//! Many spokes that are nothing but a Registration Request each, from an address of its own. What a hub makes of them is
//! real.

use super::Res;
use super::nodes::Lab;
use dmevpn::types::{Mac, Nbma, Vni, VpnId};
use dmevpn::wire::nhrp::{
    Cie, Extension, HOP_COUNT, Header, Kind, Protocol, ProtocolAddress, Writer, flag, kind,
};
use dmevpn::wire::{Prefix, VpnTag};
use socket2::{Domain, Socket, Type};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

/// Has the hub, which is not started yet, take them in: they are in no session.
pub fn admit(lab: &Lab) -> Res {
    let allowed = "option role 'hub'\n\toption untagged_l2 '1'";
    lab.node("hub").edit_config(|text| text.replace("option role 'hub'", allowed))
}

/// Spokes 10.1.x.y, VNI 100 each.
pub struct Herd {
    addresses: Vec<Ipv4Addr>,
    hub: Ipv4Addr,
}

impl Herd {
    /// Those with these numbers, in the VN `test`; the namespace of `node` lends them its interface.
    pub fn new(lab: &Lab, node: &str, numbers: Range<u16>) -> Res<Herd> {
        let addresses: Vec<Ipv4Addr> =
            numbers.map(|n| Ipv4Addr::new(10, 1, (n / 250) as u8, (n % 250) as u8 + 1)).collect();
        let lines: Vec<String> = addresses.iter().map(|a| format!("addr add {a}/32 dev eth1")).collect();
        lab.node(node).ns.ip(&lines.join("\n"))?;
        let hub = lab.node("hub");
        // By a router, as on the Internet: the neighbour table of a machine has room for 1024, all namespaces together.
        hub.ns.ip(&format!("route replace 10.1.0.0/16 via {}", lab.node(node).nbma))?;
        let IpAddr::V4(hub) = hub.nbma else { return Err("the hub has no IPv4 address".into()) };
        Ok(Herd { addresses, hub })
    }

    /// All register, one after the other, as real spokes come in; those that are registered refresh.
    pub fn register(&self, lab: &Lab, node: &str) -> Res {
        let send = || {
            for (n, from) in self.addresses.iter().enumerate() {
                register(*from, self.hub)?;
                if n % 20 == 0 {
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
            std::io::Result::Ok(())
        };
        lab.node(node).ns.run(send)?.map_err(|e| e.to_string())
    }
}

/// A Registration Request, as a spoke at `from` sends it.
pub fn register(from: Ipv4Addr, to: Ipv4Addr) -> std::io::Result<()> {
    let [_, _, c, d] = from.octets();
    let mac = Mac::new([0x52, 0x54, 1, 0, c, d]).map(ProtocolAddress::Mac);
    send(from, to, Vni::new(100), (mac, mac), VpnTag::Llc(VpnId::new(VpnId::DEFAULT_OUI, 1)))
}

/// Registration Requests, as sites with these VNIs and each its own MAC send them, all from one address, some 500 a second.
pub fn register_sites(from: Ipv4Addr, to: Ipv4Addr, vnis: Range<u32>) -> std::io::Result<()> {
    for vni in vnis {
        let [_, b, c, d] = vni.to_be_bytes();
        let mac = Mac::new([0x52, 0x54, 2, b, c, d]).map(ProtocolAddress::Mac);
        send(from, to, Vni::new(vni), (mac, mac), VpnTag::Llc(VpnId::new(VpnId::DEFAULT_OUI, 1)))?;
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// A Registration Request, as a client that has IP address `ip` and knows of no VN sends it to a hub with `hub`.
pub fn register_ip(from: Ipv4Addr, to: Ipv4Addr, (ip, hub): (IpAddr, IpAddr)) -> std::io::Result<()> {
    let addresses = (Some(ProtocolAddress::Ip(ip)), Some(ProtocolAddress::Ip(hub)));
    send(from, to, None, addresses, VpnTag::None)
}

fn send(
    from: Ipv4Addr,
    to: Ipv4Addr,
    vni: Option<Vni>,
    (source, destination): (Option<ProtocolAddress>, Option<ProtocolAddress>),
    tag: VpnTag,
) -> std::io::Result<()> {
    let header = Header {
        kind: Kind::RegistrationRequest,
        protocol: if vni.is_some() { Protocol::Ethernet } else { Protocol::Ipv4 },
        hop_count: HOP_COUNT,
        flags: flag::REGISTRATION_UNIQUE,
        request_id: 1,
        nbma: Nbma::new(from.into()).expect("a unicast address"),
        vni,
        source,
        destination,
    };
    let mut buf = [0; 200];
    let mut writer = Writer::new(&mut buf, &header);
    writer
        .cie(&Cie { prefix: 0xff, mtu: 1500, holding: 600, ..Cie::default() })
        .extension(Extension::empty(kind::RESPONDER));
    let len = writer.finish().expect("it fits");
    let mut packet = Prefix::gre(tag).as_bytes().to_vec();
    packet.extend_from_slice(&buf[..len]);
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(47.into()))?;
    socket.bind(&SocketAddr::new(from.into(), 0).into())?;
    socket.set_broadcast(true)?;
    socket.send_to(&packet, &SocketAddr::new(to.into(), 0).into()).map(|_| ())
}
