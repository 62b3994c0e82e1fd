//! Dynamic multipoint E-VPN.

pub mod cli;
pub mod config;
pub mod control;
pub mod engine;
pub mod shell;
pub mod time;
pub mod types;
pub mod wire;
