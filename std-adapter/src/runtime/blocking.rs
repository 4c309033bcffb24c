//! Work that blocks a thread, off the workers.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use trilane::exec::JoinError;

use super::handle::Handle;
use super::processors::unpin;

impl Handle {
    /// Calls `work` on a thread that may block: for files, databases, long computations. A task that did so
    /// itself would keep its worker from the others. With the feature `blocking`.
    ///
    /// The threads are those of the crate `blocking`: up to 500, for all runtimes of the program, each kept
    /// for half a second after its last work; what comes beyond that waits in a queue. A few allocations a
    /// call. The work is no task of the runtime, which doesn't wait for it when it shuts down.
    ///
    /// In a [`Simulation`](super::Simulation) the work is done at once, on its one thread.
    ///
    /// # Examples
    ///
    /// ```
    /// use trilane_std::runtime::Runtime;
    ///
    /// let runtime = Runtime::builder().workers(1).build()?;
    /// let handle = runtime.handle();
    /// let task = runtime.spawn(move |_cx| async move {
    ///     handle.spawn_blocking(|| std::fs::read_to_string("Cargo.toml")).await.unwrap()
    /// });
    /// let text = runtime.block_on(task.expect("room for a task")).expect("it doesn't panic");
    /// assert!(text.unwrap().contains("[package]"));
    /// # Ok::<(), trilane_std::runtime::BuildError>(())
    /// ```
    pub fn spawn_blocking<T, F>(&self, work: F) -> Blocking<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let work = move || catch_unwind(AssertUnwindSafe(work)).map_err(|_| JoinError::Panicked);
        Blocking(Some(match self.crew().size.is_simulated {
            true => State::Done(work()),
            false => State::Elsewhere(blocking::unblock(|| {
                unpin();
                work()
            })),
        }))
    }
}

/// Waits for work of [`spawn_blocking`](Handle::spawn_blocking); ready with what that returns, or with
/// [`JoinError::Panicked`].
///
/// # Cancellation
///
/// Dropping it lets the work go on, and drops its result. To hear of a request to stop while waiting, use
/// [`Cx::run_until_cancelled`](trilane::exec::Cx::run_until_cancelled).
///
/// # Panics
///
/// When it is polled again after it was ready.
#[must_use = "to wait for the work, await it; to let it go on, drop it"]
pub struct Blocking<T>(Option<State<T>>);

enum State<T> {
    Elsewhere(blocking::Task<Result<T, JoinError>>),
    Done(Result<T, JoinError>),
}

// The result is not pinned.
impl<T> Unpin for Blocking<T> {}

impl<T> Future for Blocking<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.0.take().expect("it was ready before") {
            State::Done(result) => Poll::Ready(result),
            State::Elsewhere(mut task) => {
                let poll = Pin::new(&mut task).poll(cx);
                if poll.is_pending() {
                    self.0 = Some(State::Elsewhere(task));
                }
                poll
            }
        }
    }
}

impl<T> Drop for Blocking<T> {
    fn drop(&mut self) {
        if let Some(State::Elsewhere(task)) = self.0.take() {
            task.detach();
        }
    }
}

impl<T> fmt::Debug for Blocking<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocking").finish_non_exhaustive()
    }
}
