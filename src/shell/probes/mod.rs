//! Probes of paths, in and out. They come by the VNs' own VXLAN devices, where a packet socket hears them; and they leave by
//! sockets of the daemon's with a VXLAN header of their own, so that they meet on their way what frames meet.

mod ear;
mod mouth;

use super::packet;
use super::words::InWords;
use crate::engine::Probing;
use crate::types::Vni;
use crate::wire::probe::{Probe, quoted};
use ear::Ear;
use mouth::Mouth;
use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;

/// The largest, in octets: behind its Ethernet header a jumbo frame's worth.
const MAX_PROBE: usize = 8 + 14 + 9216;

/// All of it.
#[derive(Debug)]
pub struct Probes {
    ear: Option<Ear>,
    mouth: Mouth,
    buffer: Vec<u8>,
}

/// The outside says of a question that it cannot get there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The VNI of the VN here.
    pub vni: Vni,
    /// The question's nonce.
    pub nonce: u64,
}

impl Probes {
    /// Ready to hear; sockets to send by come with the first probe.
    pub fn open() -> Probes {
        let ear = Ear::open().inspect_err(|e| log::warn!("{e}")).ok();
        Probes { ear, mouth: Mouth::default(), buffer: Vec::new() }
    }

    /// To which UDP port they go, and by which device, if not as the routes say. `None`: there is none.
    pub fn send_by(&mut self, port: u16, via: Option<Option<u32>>) {
        self.mouth.send_by(port, via);
    }

    /// What there is to wait for.
    pub fn sources(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.ear.iter().map(Ear::as_fd).chain(self.mouth.sources())
    }

    /// They come by these devices of the user's, too.
    pub fn hear_by(&mut self, users: Vec<u32>) {
        self.ear.iter_mut().for_each(|ear| ear.hear_by(users.clone()));
    }

    /// The next frame that came, if it is a probe, and the index of the device it came by; `None` when there is none.
    pub fn hear(&mut self) -> Option<Option<(u32, Probe)>> {
        self.buffer.resize(MAX_PROBE, 0);
        let heard = self.ear.as_ref()?.hear(&mut self.buffer);
        let is_error = |e: &io::Error| e.kind() != ErrorKind::WouldBlock;
        heard
            .inspect_err(|e| {
                if is_error(e) {
                    log::debug!("probes: {}", InWords(e))
                }
            })
            .ok()
    }

    /// The next of what is told of questions, if it is that one cannot get there; `None` when there is none.
    pub fn lost(&mut self) -> Option<Option<Lost>> {
        self.buffer.resize(MAX_PROBE, 0);
        let returned =
            self.mouth.questions().find_map(|s| packet::receive_error(s, &mut self.buffer).ok())?;
        let octets = self.buffer.get(..returned.len).unwrap_or_default();
        let lost = quoted(octets).filter(|_| returned.is_unreachable);
        Some(lost.map(|(vni, nonce)| Lost { vni, nonce }))
    }

    /// Sends one in a VN whose device has this MTU and may let nobody divide its frames. An error says that there is no way.
    pub fn send(&mut self, probing: &Probing, (mtu, df): (u16, bool)) -> io::Result<()> {
        let mut probe = probing.probe;
        if probing.is_full {
            probe.padding = Probe::filling(mtu, probe.asker.nbma);
        }
        self.buffer.resize(MAX_PROBE, 0);
        let written = probe.emit(probing.to.vni, &mut self.buffer);
        let Some(octets) = written.and_then(|len| self.buffer.get(..len)) else { return Ok(()) };
        self.mouth.send(probing, df, octets)
    }
}
