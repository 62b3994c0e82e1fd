//! The `dmevpn` program.
fn main() {}
