//! Dynamic multipoint E-VPN.

pub mod time;
pub mod types;
pub mod wire;
