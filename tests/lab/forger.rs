//! Somebody in the underlay who is no router of the network: sends what says it comes from any address.

use super::Res;
use super::netns::Netns;
use super::nodes::Lab;
use super::traffic::checksum;
use socket2::{Domain, Protocol, Socket, Type};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};

/// IPPROTO_RAW: the IP header is the sender's.
const RAW: i32 = 255;
/// VXLAN.
const PORT: u16 = 4789;

/// A stranger's machine.
pub struct Forger {
    /// Its namespace.
    pub ns: Netns,
    /// Its own address.
    pub address: IpAddr,
    socket: Socket,
    /// The next packet's number: not 0, which the kernel would change.
    sent: AtomicU16,
}

impl Forger {
    /// Beside the routers, with an address that none of them has.
    pub fn new(lab: &Lab) -> Res<Forger> {
        let (ns, address) = (lab.netns("stranger")?, lab.nbma(250));
        let prefix = if address.is_ipv6() { "64 nodad" } else { "24" };
        lab.switch.ip(&format!(
            "link add stranger type veth peer name eth1 netns {}\nlink set stranger master wan up",
            ns.name
        ))?;
        ns.ip(&format!("link set eth1 up\naddr add {address}/{prefix} dev eth1"))?;
        let domain = if address.is_ipv6() { Domain::IPV6 } else { Domain::IPV4 };
        let socket = ns.run(|| Socket::new(domain, Type::RAW, Some(Protocol::from(RAW))))?;
        let socket = socket.map_err(|e| format!("a raw socket: {e}"))?;
        Ok(Forger { ns, address, socket, sent: AtomicU16::new(1) })
    }

    /// Sends a frame in VXLAN, as if from `source`, in one piece. The eight bits above the VNI go into the octet behind it,
    /// which has to be 0.
    pub fn send(&self, source: IpAddr, to: IpAddr, vni: u32, frame: &[u8]) -> Res {
        self.send_in_pieces(source, to, vni, frame, usize::MAX)
    }

    /// The same in two fragments, of which the first has so many octets, a multiple of 8, of the UDP datagram.
    pub fn send_in_pieces(&self, source: IpAddr, to: IpAddr, vni: u32, frame: &[u8], first: usize) -> Res {
        let datagram = datagram(source, to, vni, frame);
        let id = self.sent.fetch_add(1, Ordering::Relaxed);
        if first >= datagram.len() {
            return self.put(&packet((source, to), id, &datagram, 0, false), to);
        }
        let (one, other) = datagram.split_at(first);
        self.put(&packet((source, to), id, one, 0, true), to)?;
        self.put(&packet((source, to), id, other, first as u16, true), to)
    }

    fn put(&self, packet: &[u8], to: IpAddr) -> Res {
        let sent = self.socket.send_to(packet, &SocketAddr::new(to, 0).into());
        sent.map(drop).map_err(|e| format!("a forged packet could not be sent: {e}"))
    }
}

fn datagram(source: IpAddr, to: IpAddr, vni: u32, frame: &[u8]) -> Vec<u8> {
    let length = (16 + frame.len()) as u16;
    let mut datagram = [50_000, PORT, length, 0].map(u16::to_be_bytes).concat();
    datagram.extend([8, 0, 0, 0]);
    datagram.extend(vni.rotate_left(8).to_be_bytes());
    datagram.extend(frame);
    if let (IpAddr::V6(source), IpAddr::V6(to)) = (source, to) {
        let mut whole = [source.octets(), to.octets()].concat();
        whole.extend([0, 0].into_iter().chain(length.to_be_bytes()).chain([0, 0, 0, 17]));
        whole.extend(&datagram);
        datagram[6..8].copy_from_slice(&checksum(&whole).to_be_bytes());
    }
    datagram
}

/// The IP packet with this part of a datagram, from `offset` on; `is_part`: there is more of it, unless `offset` says
/// that it is the last one.
fn packet(ends: (IpAddr, IpAddr), id: u16, data: &[u8], offset: u16, is_part: bool) -> Vec<u8> {
    let more = is_part && offset == 0;
    match ends {
        (IpAddr::V4(source), IpAddr::V4(to)) => {
            let fragment = (offset / 8) | if more { 0x2000 } else { 0 };
            // The kernel fills in the checksum.
            let mut packet = vec![0x45, 0];
            packet.extend([20 + data.len() as u16, id, fragment].map(u16::to_be_bytes).concat());
            packet.extend([64, 17, 0, 0]);
            packet.extend([source.octets(), to.octets()].concat());
            packet.extend(data);
            packet
        }
        (IpAddr::V6(source), IpAddr::V6(to)) => {
            let header = if is_part { 8 } else { 0 };
            let mut packet = vec![0x60, 0, 0, 0];
            packet.extend((data.len() as u16 + header).to_be_bytes());
            packet.extend([if is_part { 44 } else { 17 }, 64]);
            packet.extend([source.octets(), to.octets()].concat());
            if is_part {
                packet.extend([17, 0]);
                packet.extend((offset | u16::from(more)).to_be_bytes());
                packet.extend(u32::from(id).to_be_bytes());
            }
            packet.extend(data);
            packet
        }
        _ => unreachable!("both are of one family"),
    }
}
