//! Other people's crates in tasks of a runtime, and beside them.

#[cfg(unix)]
mod async_io;
mod embassy;
#[cfg(unix)]
mod embedded_io;
#[cfg(unix)]
mod hyper;
mod tokio;

use std::future::Future;

use trilane::exec::JoinHandle;
use trilane_std::runtime::{Handle, Runtime, block_on};

fn runtime(workers: usize) -> Runtime {
    Runtime::builder().workers(workers).build().unwrap()
}

/// Spawns a future that has no need of its task's `Cx`.
fn spawn<F>(handle: &Handle, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    handle.spawn(|_| future).unwrap()
}

fn join<T>(task: JoinHandle<T>) -> T {
    block_on(task).unwrap()
}
