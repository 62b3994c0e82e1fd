//! Those who are told what happens: so far who reads the log.

pub mod log;
mod outlet;
