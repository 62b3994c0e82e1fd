//! The only place with I/O: what the engine is told comes from here, what it wants done is done here.
//!
//! `daemon` starts and ends; `node` holds the engine and performs its effects, on the kernel's data plane
//! (`dataplane`, by `netlink`) and on the network (`underlay`); `audience` is told what happens, and serves the commands.
//! `confine` gives up what the daemon has no use for.

mod audience;
mod beside;
mod child;
pub mod clock;
mod confine;
pub mod daemon;
mod dataplane;
pub mod doctor;
pub mod file;
mod identity;
pub mod leave;
pub mod netlink;
mod node;
mod pace;
mod packet;
mod probes;
mod queue;
pub mod random;
mod reactor;
mod settings;
mod signals;
pub mod state;
mod task;
pub mod terminal;
mod traffic;
mod underlay;
mod user;
mod wait;
pub mod words;
