//! Dynamic multipoint E-VPN.

pub mod config;
pub mod time;
pub mod types;
