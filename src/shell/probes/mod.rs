//! Probes of paths, in and out. They come by the VNs' own VXLAN devices, where a packet socket hears them; and they leave by
//! sockets of the daemon's with a VXLAN header of their own, so that they meet on their way what frames meet.

mod ear;
mod mouth;

use super::packet;
use super::words::InWords;
use crate::engine::Probing;
use crate::types::Vni;
use crate::wire::probe::{MOST, Probe, quoted};
use ear::Ear;
pub use ear::Heard;
use mouth::Mouth;
use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;

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
        Probes { ear, mouth: Mouth::default(), buffer: vec![0; MOST] }
    }

    /// To which UDP port they go, and by which device, if not as the routes say. `None`: there is none.
    pub fn send_by(&mut self, port: u16, via: Option<Option<u32>>) {
        self.mouth.send_by(port, via);
    }

    /// What there is to wait for.
    pub fn sources(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.ear.iter().flat_map(Ear::sources).chain(self.mouth.sources())
    }

    /// They come by these devices of the user's, too.
    pub fn hear_by(&mut self, users: Vec<u32>) {
        self.ear.iter_mut().for_each(|ear| ear.hear_by(users.clone()));
    }

    /// The next frame that came, if it is a probe; `None` when there is none.
    pub fn hear(&mut self) -> Option<Option<Heard>> {
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
        let written = probe.emit(probing.to.vni, &mut self.buffer);
        let Some(octets) = written.and_then(|len| self.buffer.get(..len)) else { return Ok(()) };
        self.mouth.send(probing, df, octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Mac, Vtep};
    use std::net::UdpSocket;

    #[test]
    fn a_large_probe_is_as_large_as_the_largest_frame_whatever_that_is() {
        let there = UdpSocket::bind("127.0.0.2:0").unwrap();
        there.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
        let vtep = |nbma: &str| Vtep { nbma: nbma.parse().unwrap(), vni: Vni::new(7).unwrap() };
        let source = Mac::new([2, 0, 0, 0, 0, 1]).unwrap();
        let probe = Probe {
            is_answer: false,
            source,
            transaction: 1,
            flags: 0,
            asker: vtep("127.0.0.1"),
            nonce: 2,
            tag: 3,
            padding: 0,
        };
        let (to, local) = (vtep("127.0.0.2"), probe.asker.nbma);
        let probing = Probing { to, local, probe, is_full: true, flow: 0, is_uncut: false };
        let mut probes = Probes::open();
        probes.send_by(there.local_addr().unwrap().port(), Some(None));
        let mut buffer = vec![0; 70_000];
        for (mtu, len) in [(1450, 1472), (9216, 9238), (16_000, 16_022), (65_000, 65_022), (u16::MAX, MOST)] {
            probes.send(&probing, (mtu, false)).unwrap();
            let (got, _) = there.recv_from(&mut buffer).unwrap();
            assert_eq!(got, len, "mtu {mtu}");
            let heard = Probe::parse(&buffer[8..got]).unwrap();
            assert_eq!(heard, Probe { padding: heard.padding, ..probe });
        }
    }
}
