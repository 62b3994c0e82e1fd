//! What the tasks of the one thread have in common.

use super::node::Node;
use smol::{LocalExecutor, Task};
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

/// The node, shared by the tasks of one thread; nobody holds it while waiting.
pub type Shared = Rc<RefCell<Node>>;

/// Starts a task. Boxed, all of them are of one type, and the executor's code for tasks is there once.
pub fn spawn(executor: &LocalExecutor<'static>, work: impl Future<Output = ()> + 'static) -> Task<()> {
    let work: Pin<Box<dyn Future<Output = ()>>> = Box::pin(work);
    executor.spawn(work)
}
