//! What a turn reads: packets, probes and loop frames, the kernel's events and what it did.

use super::Node;
use crate::engine::{Arrived, Input, Probing, VnKey};
use crate::shell::probes::{Heard, Lost};
use crate::shell::underlay::{Received, Tunnel};
use crate::shell::wait::Sources;
use crate::wire::nhrp::kind_of;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// So much is read of each source in a turn, by number and by time; then all others have theirs. What comes faster than
/// it is read, as when MACs seem to move all the time, so keeps nobody waiting for longer than that. Packets get their
/// whole time: answers to what a storm of events makes the hub say come in bursts, and what waits too long is lost.
const PACKETS: usize = 512;
const PROBES: usize = 64;
const EVENTS: usize = 4096;
const SLICE: Duration = Duration::from_millis(5);

/// So many packets that clients send each other are looked at together.
const RELAYED: usize = 32;

/// So many probes wait for the guard, which takes a moment.
const HELD: usize = 256;

impl Node {
    /// Probes arrived, or it was told that some cannot get there.
    pub(super) fn hear_probes(&mut self, sources: &Sources) {
        if !self.probes.sources().any(|source| sources.have(source)) {
            return;
        }
        for _ in 0..PROBES {
            let Some(lost) = self.probes.lost() else { break };
            if let Some(lost) = lost.and_then(|lost| self.unreachable(lost)) {
                self.input(lost);
            }
        }
        for _ in 0..PROBES {
            let Some(heard) = self.probes.hear() else { break };
            if let Some(Heard { index, is_stranger, probe }) = heard
                && let Some((vn, by)) = self.dataplane.came_by(index)
            {
                self.input(Input::Probe { vn, arrived: Arrived { by, is_stranger, probe } });
            }
        }
        let mut heard = 0;
        while let Some(frame) = self.probes.loops.hear().filter(|_| heard < PROBES) {
            heard += 1;
            frame.into_iter().for_each(|(index, nonce)| self.dataplane.loop_frame(index, nonce));
        }
        if heard > 0 {
            self.work();
        }
    }

    /// Sends a probe, once the guard lets pass what it invites: the answer to a question, or frames.
    pub(super) fn probe(&mut self, vn: VnKey, probing: Probing) {
        let is_answer = probing.probe.is_answer;
        if self.held.len() < HELD && !self.dataplane.takes_from(vn, probing.to.nbma) {
            self.held.push((vn, probing));
            return;
        }
        let Some(frames) = self.dataplane.frames(vn) else { return };
        if self.probes.send(&probing, frames).is_err() && !is_answer {
            self.inputs.push_back(Input::Unreachable { vn, nonce: probing.probe.nonce });
        }
        while self.probes.has_lost()
            && let Some(lost) = self.probes.lost()
        {
            self.inputs.extend(lost.and_then(|lost| self.unreachable(lost)));
        }
    }

    fn unreachable(&self, Lost { vni, nonce }: Lost) -> Option<Input<'static>> {
        Some(Input::Unreachable { vn: self.dataplane.prober_of(vni)?, nonce })
    }

    /// Packets arrived. What the kernel has seen before one comes first: the frame that made a spoke ask has passed the
    /// hub's bridge before the question did.
    pub(super) fn packets(&mut self, tunnel: &Rc<Tunnel>) {
        let mut buffer = core::mem::take(&mut self.buffer);
        let began = self.now();
        let mut relayed = 0;
        for _ in 0..PACKETS {
            match self.underlay.receive(tunnel, &mut buffer) {
                Ok(Some(Received::Packet { via, nhrp })) => {
                    // Nonsense can wait for nothing: a flood of it costs one system call a packet.
                    if kind_of(nhrp).is_some() {
                        self.kernel_events();
                    }
                    self.input(Input::Packet { via, nhrp });
                }
                Ok(Some(Received::Relayed { via, packet })) => {
                    self.input(Input::Relayed { via, packet });
                    relayed += 1;
                    if relayed >= RELAYED {
                        self.underlay.look_away(began, tunnel);
                        break;
                    }
                }
                Ok(Some(Received::Unreadable { path, why })) => {
                    self.input(Input::Unreadable { from: path.remote, why });
                }
                Ok(None) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => {
                    self.underlay.let_rest(began, tunnel, &e);
                    break;
                }
            }
            if self.now().since(began) >= SLICE {
                break;
            }
        }
        self.buffer = buffer;
    }

    /// The kernel has something to tell: all of it, or as much as there is time for in this turn.
    pub fn kernel_events(&mut self) {
        if self.is_behind {
            return;
        }
        let began = self.now();
        let mut seen = 0;
        while let Some(event) = self.events.next() {
            seen += 1;
            self.underlay.event(began, &event);
            self.dataplane.event(event, began, &mut self.inputs);
            self.settle();
            self.is_behind = seen >= EVENTS || self.now().since(began) >= SLICE;
            if self.is_behind {
                break;
            }
        }
        if seen > 0 {
            self.work();
        }
    }

    /// The kernel did what it was asked for. What it told meanwhile comes first: it may be about that.
    pub(super) fn kernel_done(&mut self) {
        if self.dataplane.waits() {
            self.kernel_events();
        }
        let now = self.now();
        self.dataplane.turn(now, &mut self.inputs);
        self.probes.hear_by(self.dataplane.users_tunnels());
        if let Some(home) = self.dataplane.home() {
            self.underlay.answered(now, home);
            self.ways();
        }
        self.work();
        self.serves |= self.dataplane.is_known();
    }
}
