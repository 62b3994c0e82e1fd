//! Forwarding entries as the kernel tells them: a dump for polling, and a monitor that knows when each came and went.

use super::netns::Netns;
use super::{MacBytes, Res, Stamp, now, sys, text_of_mac};
use socket2::Socket;
use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

const RTM_NEWNEIGH: u16 = 28;
const RTM_DELNEIGH: u16 = 29;
const RTM_GETNEIGH: u16 = 30;
const RTMGRP_NEIGH: u32 = 4;
const NLM_F_REQUEST_DUMP: u16 = 0x0301;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NDA_VNI: u16 = 7;
const NDA_MASTER: u16 = 9;

/// An entry of a VXLAN device's or a bridge's forwarding table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose frames.
    pub mac: MacBytes,
    /// The device it belongs to.
    pub ifindex: u32,
    /// The bridge it is in, or its device is a port of.
    pub bridge: Option<u32>,
    /// The other end of the tunnel.
    pub dst: Option<IpAddr>,
    /// The VNI there, when it is not the device's own.
    pub vni: Option<u32>,
    /// Whether it belongs to the device, not to the bridge above.
    pub own: bool,
    /// Whether a control plane put it there.
    pub external: bool,
    /// Whether it was not learned, as a port's own address.
    pub permanent: bool,
}

impl Entry {
    /// Whether this is a tunnel's entry `mac dst DST vni VNI`; `own_vni` is the device's.
    pub fn leads(&self, mac: MacBytes, dst: IpAddr, vni: u32, own_vni: u32) -> bool {
        self.mac == mac && self.dst == Some(dst) && self.vni.unwrap_or(own_vni) == vni
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text_of_mac(self.mac))?;
        if let Some(dst) = self.dst {
            write!(f, " dst {dst}")?;
        }
        if let Some(vni) = self.vni {
            write!(f, " vni {vni}")?;
        }
        if self.external {
            f.write_str(" extern_learn")?;
        }
        Ok(())
    }
}

/// The forwarding entries of the interface.
pub fn dump(ns: &Netns, interface: &str) -> Res<Vec<Entry>> {
    let index = ns.ifindex(interface)?;
    Ok(dump_all(ns)?.into_iter().filter(|e| e.ifindex == index).collect())
}

/// The forwarding entries of all interfaces of a namespace.
pub fn dump_all(ns: &Netns) -> Res<Vec<Entry>> {
    ns.run(dump_here)?.map_err(|e| format!("forwarding table in {}: {e}", ns.name))
}

fn dump_here() -> io::Result<Vec<Entry>> {
    let socket = sys::netlink_socket(0)?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = Vec::new();
    // nlmsghdr, then an ifinfomsg-sized body: the form of the question every kernel understands.
    request.extend_from_slice(&(16u32 + 16).to_ne_bytes());
    request.extend_from_slice(&RTM_GETNEIGH.to_ne_bytes());
    request.extend_from_slice(&NLM_F_REQUEST_DUMP.to_ne_bytes());
    request.extend_from_slice(&[0; 8]);
    request.push(libc::AF_BRIDGE as u8);
    request.extend_from_slice(&[0; 15]);
    socket.send(&request)?;
    let mut entries = Vec::new();
    loop {
        for (kind, body) in messages(&receive(&socket)?) {
            match kind {
                RTM_NEWNEIGH => entries.extend(entry(body)),
                NLMSG_DONE => return Ok(entries),
                NLMSG_ERROR => return Err(io::Error::other("the kernel refused to list it")),
                _ => {}
            }
        }
    }
}

/// A change of a forwarding table.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// When it was told.
    pub at: Stamp,
    /// Whether the entry came or was changed, or else went.
    pub present: bool,
    /// The entry.
    pub entry: Entry,
}

/// Follows the forwarding tables of a namespace until dropped.
pub struct Monitor {
    changes: Arc<Mutex<Vec<Change>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Monitor {
    /// Starts to follow; a change after this returned is seen.
    pub fn start(ns: &Netns) -> Res<Monitor> {
        let open = || {
            let socket = sys::netlink_socket(RTMGRP_NEIGH)?;
            socket.set_read_timeout(Some(Duration::from_millis(50)))?;
            io::Result::Ok(socket)
        };
        let socket = ns.run(open)?.map_err(|e| format!("monitor in {}: {e}", ns.name))?;
        let (changes, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (changes, stop) = (changes.clone(), stop.clone());
            move || follow(&socket, &changes, &stop)
        });
        Ok(Monitor { changes, stop, thread: Some(thread) })
    }

    /// What `pick` makes of the first change it wants.
    pub fn first<T>(&self, pick: impl FnMut(&Change) -> Option<T>) -> Option<T> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).iter().find_map(pick)
    }

    /// All changes so far, in their order.
    pub fn changes(&self) -> Vec<Change> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn follow(socket: &Socket, changes: &Mutex<Vec<Change>>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let received = match receive(socket) {
            Ok(received) => received,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => continue,
            Err(_) => return,
        };
        let at = now();
        let new = messages(&received).filter_map(|(kind, body)| {
            let present = kind == RTM_NEWNEIGH;
            (present || kind == RTM_DELNEIGH).then(|| entry(body))?.map(|entry| Change { at, present, entry })
        });
        changes.lock().unwrap_or_else(PoisonError::into_inner).extend(new);
    }
}

fn receive(mut socket: &Socket) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; 32768];
    let len = socket.read(&mut buffer)?;
    buffer.truncate(len);
    Ok(buffer)
}

/// The netlink messages in a datagram: type and body.
fn messages(datagram: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let len = u32::from_ne_bytes(rest.get(..4)?.try_into().ok()?) as usize;
        let kind = u16::from_ne_bytes(rest.get(4..6)?.try_into().ok()?);
        let body = rest.get(16..len)?;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

/// An `ndmsg` of the bridge family with its attributes.
fn entry(body: &[u8]) -> Option<Entry> {
    if i32::from(*body.first()?) != libc::AF_BRIDGE {
        return None;
    }
    let flags = *body.get(10)?;
    let mut entry = Entry {
        mac: [0; 6],
        ifindex: u32::from_ne_bytes(body.get(4..8)?.try_into().ok()?),
        bridge: None,
        dst: None,
        vni: None,
        own: flags & 0x02 != 0,
        external: flags & 0x10 != 0,
        permanent: u16::from_ne_bytes(body.get(8..10)?.try_into().ok()?) & 0x80 != 0,
    };
    let mut rest = body.get(12..)?;
    while let Some(header) = rest.get(..4) {
        let len = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]);
        let Some(value) = rest.get(4..len) else { break };
        match (kind, value.len()) {
            (NDA_LLADDR, 6) => entry.mac.copy_from_slice(value),
            (NDA_DST, 4) => entry.dst = <[u8; 4]>::try_from(value).ok().map(|a| Ipv4Addr::from(a).into()),
            (NDA_DST, 16) => entry.dst = <[u8; 16]>::try_from(value).ok().map(|a| Ipv6Addr::from(a).into()),
            (NDA_MASTER, 4) => entry.bridge = value.try_into().ok().map(u32::from_ne_bytes),
            (NDA_VNI, 4) => entry.vni = value.try_into().ok().map(u32::from_ne_bytes),
            _ => {}
        }
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(entry)
}
