//! The configuration file.

pub mod uci;
