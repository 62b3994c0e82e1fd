//! Dynamic multipoint E-VPN.

pub mod cli;
pub mod control;
pub mod time;
pub mod types;
pub mod wire;
