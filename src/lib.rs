//! Dynamic multipoint E-VPN.

pub mod config;
pub mod engine;
pub mod time;
pub mod types;
pub mod wire;
