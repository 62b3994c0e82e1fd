//! Probes of paths, in and out. They come by the VNs' own VXLAN devices, where a packet socket hears them; and they leave by
//! sockets of the daemon's with a VXLAN header of their own, so that they meet on their way what frames meet. And loop frames.

mod ear;
mod filter;
mod loops;
mod mouth;

use super::words::InWords;
use crate::engine::Probing;
use crate::wire::probe::{MOST, Probe};
use ear::Ear;
pub use ear::Heard;
use loops::Loops;
pub use mouth::Lost;
use mouth::Mouth;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;

/// All of it.
#[derive(Debug)]
pub struct Probes {
    ear: Option<Ear>,
    mouth: Mouth,
    /// Loop frames.
    pub loops: Loops,
    /// What was told of questions while others were sent.
    lost: VecDeque<Lost>,
    buffer: Vec<u8>,
}

impl Probes {
    /// Ready to hear; sockets to send by come with the first probe.
    pub fn open() -> Probes {
        let ear = Ear::open().inspect_err(|e| log::warn!("{e}")).ok();
        let (mouth, loops) = (Mouth::default(), Loops::default());
        Probes { ear, mouth, loops, lost: VecDeque::new(), buffer: vec![0; MOST] }
    }

    /// To which UDP port they go, and by which device, if not as the routes say. `None`: there is none.
    pub fn send_by(&mut self, port: u16, via: Option<Option<u32>>) {
        self.mouth.send_by(port, via);
    }

    /// What there is to wait for.
    pub fn sources(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.ear.iter().flat_map(Ear::sources).chain(self.mouth.sources()).chain(self.loops.source())
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
        let told = || self.mouth.questions().find_map(|socket| mouth::hear(socket, &mut self.buffer));
        self.lost.pop_front().map(Some).or_else(told)
    }

    /// Whether something is to be told of questions that no source says.
    pub fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    /// Sends one in a VN whose device has this MTU and may let nobody divide its frames. An error says that there is no way.
    pub fn send(&mut self, probing: &Probing, (mtu, df): (u16, bool)) -> io::Result<()> {
        let mut probe = probing.probe;
        if probing.is_full {
            probe.padding = Probe::filling(mtu, probe.asker.nbma);
        }
        let written = probe.emit(probing.to.vni, &mut self.buffer);
        let Some(octets) = written.and_then(|len| self.buffer.get(..len)) else { return Ok(()) };
        self.mouth.send(probing, df, octets, &mut self.lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Mac, Vni, Vtep};
    use std::net::UdpSocket;

    fn probing(to: &str, nonce: u64) -> Probing {
        let vtep = |nbma: &str| Vtep { nbma: nbma.parse().unwrap(), vni: Vni::new(7).unwrap() };
        let asker = vtep("127.0.0.1");
        let source = Mac::new([2, 0, 0, 0, 0, 1]).unwrap();
        let probe =
            Probe { is_answer: false, source, transaction: 1, flags: 0, asker, nonce, tag: 3, padding: 0 };
        Probing { to: vtep(to), local: asker.nbma, probe, is_full: false, flow: 0, is_uncut: false }
    }

    /// All share a socket; who cannot be reached says so at once.
    #[test]
    fn what_is_told_of_others_is_theirs() {
        let there = UdpSocket::bind("127.0.0.2:0").unwrap();
        there.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
        let mut probes = Probes::open();
        probes.send_by(there.local_addr().unwrap().port(), Some(None));
        let send = |probes: &mut Probes, to: &str, nonce| probes.send(&probing(to, nonce), (1450, false));
        send(&mut probes, "127.0.0.3", 3).unwrap();
        send(&mut probes, "127.0.0.4", 4).unwrap();
        send(&mut probes, "127.0.0.2", 2).unwrap();
        let mut buffer = [0; 2000];
        let (length, _) = there.recv_from(&mut buffer).unwrap();
        assert_eq!(Probe::parse(&buffer[8..length]).unwrap().nonce, 2);
        let mut lost = Vec::new();
        while probes.has_lost() {
            lost.extend(probes.lost().flatten().map(|lost| (lost.vni.get(), lost.nonce)));
        }
        assert_eq!(lost, [(7, 3), (7, 4)], "all were heard before");
    }

    #[test]
    fn a_large_probe_is_as_large_as_the_largest_frame_whatever_that_is() {
        let there = UdpSocket::bind("127.0.0.2:0").unwrap();
        there.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
        let probing = Probing { is_full: true, ..probing("127.0.0.2", 2) };
        let probe = probing.probe;
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
