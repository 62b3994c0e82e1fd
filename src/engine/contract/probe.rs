//! Probes of the paths to other sites, as they go out and come in.

use crate::types::{Nbma, Vtep};
use crate::wire::probe::Probe;

/// A probe to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probing {
    /// The outer destination, and the VNI of the VXLAN header.
    pub to: Vtep,
    /// The outer source.
    pub local: Nbma,
    /// What is in it. Its padding is right in an answer.
    pub probe: Probe,
    /// It is to be padded to the largest frame that the VN's device takes.
    pub is_full: bool,
    /// Of a question: stands for the source port. The same number, the same port; another number comes with each new test
    /// of a path, which may so take another one of several ways.
    pub flow: u16,
    /// It must not be cut (DF), so that the kernel learns what fits the path. If nothing comes of it, nothing is lost.
    /// Otherwise DF is as frames have it.
    pub is_uncut: bool,
}

/// By what device a probe came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A spoke's tunnel device.
    Tunnel,
    /// A hub's port for the spoke at this VTEP.
    Port(Vtep),
    /// A hub's device for all spokes.
    Shared,
}

/// A probe that arrived, a question or an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// By what device.
    pub by: By,
    /// Whether frames from where it came are not taken (by the guard).
    pub is_stranger: bool,
    /// What is in it.
    pub probe: Probe,
}
