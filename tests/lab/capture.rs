//! Frames seen on an interface, kept in memory with the kernel's time stamps.

use super::netns::Netns;
use super::peek::{self, Nhrp, Outer, Vxlan};
use super::{Res, Stamp, sys, wait_for};
use socket2::Socket;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A captured frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// When the kernel saw it.
    pub at: Stamp,
    /// Whether this interface's own node sent it.
    pub outgoing: bool,
    /// From the destination address on.
    pub bytes: Vec<u8>,
}

impl Frame {
    /// The sender's address.
    pub fn source(&self) -> &[u8] {
        self.bytes.get(6..12).unwrap_or_default()
    }

    /// The receiver's address.
    pub fn destination(&self) -> &[u8] {
        self.bytes.get(..6).unwrap_or_default()
    }

    /// The EtherType.
    pub fn ethertype(&self) -> u16 {
        peek::be16(&self.bytes, 12).unwrap_or(0)
    }

    /// The IP header in the frame.
    pub fn outer(&self) -> Option<Outer<'_>> {
        Outer::of_frame(&self.bytes)
    }

    /// The NHRP packet in the frame.
    pub fn nhrp(&self) -> Option<Nhrp<'_>> {
        Nhrp::of_frame(&self.bytes)
    }

    /// The VXLAN packet in the frame.
    pub fn vxlan(&self) -> Option<Vxlan<'_>> {
        Vxlan::of_frame(&self.bytes)
    }
}

/// A running capture on one interface; ends when dropped.
pub struct Capture {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    socket: Socket,
    frames: Mutex<Vec<Frame>>,
    stop: AtomicBool,
    dropped: Mutex<u32>,
}

impl Capture {
    /// Starts to capture; what passes after this returned is seen.
    pub fn start(ns: &Netns, interface: &str) -> Res<Capture> {
        let index = ns.ifindex(interface)?;
        let open = || {
            let socket = sys::packet_socket(index)?;
            socket.set_nonblocking(true)?;
            std::io::Result::Ok(socket)
        };
        let socket = ns.run(open)?.map_err(|e| format!("capture on {} {interface}: {e}", ns.name))?;
        let shared = Arc::new(Shared {
            socket,
            frames: Mutex::default(),
            stop: AtomicBool::new(false),
            dropped: Mutex::default(),
        });
        let thread = std::thread::spawn({
            let shared = shared.clone();
            move || shared.receive_until_stopped()
        });
        Ok(Capture { shared, thread: Some(thread) })
    }

    /// What `pick` makes of the frames so far, in their order.
    pub fn all<T>(&self, pick: impl FnMut(&Frame) -> Option<T>) -> Vec<T> {
        self.shared.caught_up().iter().filter_map(pick).collect()
    }

    /// How many frames so far are `like` this.
    pub fn count(&self, mut like: impl FnMut(&Frame) -> bool) -> usize {
        self.all(|f| like(f).then_some(())).len()
    }

    /// What `pick` makes of the first frame it wants.
    pub fn first<T>(&self, pick: impl FnMut(&Frame) -> Option<T>) -> Option<T> {
        self.shared.caught_up().iter().find_map(pick)
    }

    /// Like [`Capture::first`], but waits for the frame.
    pub fn wait<T>(&self, limit: Duration, mut pick: impl FnMut(&Frame) -> Option<T>) -> Option<T> {
        wait_for(limit, || self.first(&mut pick))
    }

    /// Forgets the frames so far.
    pub fn clear(&self) {
        self.shared.caught_up().clear();
    }

    /// How many frames escaped this capture since the machine was too slow. "Nothing was seen" needs a zero here.
    pub fn missed(&self) -> u32 {
        let mut dropped = self.shared.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        *dropped += sys::packet_drops(&self.shared.socket).unwrap_or(0);
        *dropped
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Empties the socket before its buffer is full.
    fn receive_until_stopped(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            if sys::wait_readable(&self.socket, Duration::from_millis(50)) {
                drop(self.caught_up());
            }
        }
    }

    /// The frames, with all that the kernel has captured until now. Whoever reads the socket holds the lock, so none is
    /// on its way between the two.
    fn caught_up(&self) -> MutexGuard<'_, Vec<Frame>> {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = [0; 2048];
        loop {
            match sys::receive(&self.socket, &mut buffer) {
                Ok(got) => {
                    let bytes = buffer[..got.len.min(buffer.len())].to_vec();
                    frames.push(Frame { at: got.at, outgoing: got.outgoing, bytes });
                }
                // The interface was down for a while: that is told once.
                Err(e) if e.raw_os_error() == Some(libc::ENETDOWN) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return frames,
            }
        }
    }
}
