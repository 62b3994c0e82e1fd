//! Threads for what would make the daemon's own one wait.

use std::io;
use std::thread;

/// Room for a resolver. Of a stack only what was in use takes memory.
const STACK: usize = 256 << 10;

/// Does what may wait for long in a thread of its own, which ends with it. A pool would keep it, and wake it twice a
/// second.
pub fn beside(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    // Boxed, the code for all of them is there once.
    let work: Box<dyn FnOnce() + Send> = Box::new(work);
    thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn(work).map(drop)
}
