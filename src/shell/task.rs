//! What the tasks of the one thread have in common, and threads for what would make it wait.

use super::node::Node;
use smol::{LocalExecutor, Task};
use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::thread;

/// Room for a resolver. Of a stack only what was in use takes memory.
const STACK: usize = 256 << 10;

/// The node, shared by the tasks of one thread; nobody holds it while waiting.
pub type Shared = Rc<RefCell<Node>>;

/// Starts a task. Boxed, all of them are of one type, and the executor's code for tasks is there once.
pub fn spawn(executor: &LocalExecutor<'static>, work: impl Future<Output = ()> + 'static) -> Task<()> {
    let work: Pin<Box<dyn Future<Output = ()>>> = Box::pin(work);
    executor.spawn(work)
}

/// Does what may wait for long in a thread of its own, which ends with it. A pool would keep it, and wake it twice a
/// second.
pub fn beside(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    // Boxed for the same reason.
    let work: Box<dyn FnOnce() + Send> = Box::new(work);
    thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn(work).map(drop)
}
