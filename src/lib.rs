//! Dynamic multipoint E-VPN: a layer-2 network over many sites, with a hub and direct ways between all of them.
//!
//! # The map of the house
//!
//! ```text
//!             sockets, netlink, timer, signals, commands
//!                    |                        ^
//!                    v                        |
//!   shell      reads octets            performs effects
//!                    |                        ^
//!   wire           parse                    emit
//!                    |                        |
//!                    v                        |
//!   engine     handle(now, Input, &mut Effects); deadline()
//! ```
//!
//! Data flows one way: `shell` reads, [`wire`] parses, [`engine`] decides, `shell` performs. What an effect finds out
//! comes back as an input. The engine is pure: time, randomness and all knowledge come in as arguments, so the whole
//! protocol also runs in a simulator, in virtual time.
//!
//! | Module | Answers the question |
//! |---|---|
//! | [`types`] | What are the nouns? Mac, Vni, VpnId, Nbma, Vtep: types that cannot hold nonsense |
//! | [`time`] | What is now? Milliseconds, from outside |
//! | [`wire`] | What does a packet say? GRE, the VPN header, NHRP; no allocation, no panic |
//! | [`engine`] | What is to be done? Registration, resolution, bindings, purges, limits |
//! | [`config`] | What does the user want? The UCI file, typed, or all that is wrong with it; `opennhrp.conf` as one |
//! | [`control`] | What may a command or another program ask, and how does the answer come? |
//! | [`shell`] | What happens, and how is it done? All I/O, and the only `unsafe` code |
//! | [`view`] | What does a person see, or a program? Text, JSON, metrics |
//! | [`cli`] | What is a command? Arguments, the question to the daemon, whose answer is copied, exit codes |
//!
//! `wire`, `engine`, `config`, `control` and `view` import nothing from `shell`. The walks of a packet and of a kernel event,
//! the state machines and the limits are in `docs/architecture.md`; why it is so, in `docs/decisions`.

pub mod cli;
pub mod config;
pub mod control;
pub mod engine;
mod map;
pub mod shell;
pub mod time;
pub mod types;
pub mod view;
pub mod wire;
