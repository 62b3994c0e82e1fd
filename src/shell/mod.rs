//! The only place with I/O: sockets, netlink, the clock.

pub mod netlink;
