//! Dynamic multipoint E-VPN.

pub mod shell;
pub mod time;
pub mod types;
