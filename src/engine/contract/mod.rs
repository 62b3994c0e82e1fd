//! What goes in and out of the engine: the only types the shell and the tests share with it.

pub mod effect;
pub mod input;
pub mod item;
pub mod probe;
pub mod reason;
pub mod report;
pub mod settings;
pub mod statistics;
pub mod way;
