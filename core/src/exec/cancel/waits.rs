//! Waits that know of a request to stop.

use core::pin::Pin;
use core::task::{Context, Poll};

use crate::exec::life::on_drop::OnDrop;
use crate::exec::memory::core::TaskRef;
use crate::exec::memory::cx::Cx;
use crate::exec::memory::waker::polled;
use crate::exec::task::reason::{Cancelled, Reason};

/// See [`TaskRef::refusal`].
pub(in crate::exec) fn refuse(task: TaskRef) -> Option<Poll<Reason>> {
    // A second load, so that the frequent answer needs no barrier.
    let reason = task.state.load_acquire().reason()?;
    if task.state.count_refusal() {
        return Some(Poll::Ready(reason));
    }
    task.wake();
    Some(Poll::Pending)
}

/// Ready if the task that is polled with `context` was asked to stop, and isn't in a shield: for a future of
/// your own that waits, and is to give up then as those of this crate do. A request polls the task. Pending
/// if something between has put a waker of its own in place of the task's.
///
/// It counts as a wait: in a task that goes on waiting, the eighth of a poll is pending.
pub fn poll_cancelled(context: &Context<'_>) -> Poll<Cancelled> {
    polled(context).and_then(TaskRef::refusal).map_or(Poll::Pending, |refusal| refusal.map(Cancelled))
}

/// Why the task that is polled with `context`, or that of `cx`, was asked to stop: they differ if a task has
/// the `Cx` of another.
fn asked(cx: Cx, context: &Context<'_>) -> Poll<Cancelled> {
    let refusal = polled(context).and_then(TaskRef::refusal);
    let refusal = refusal.or_else(|| cx.cancelled_for().map(Poll::Ready));
    refusal.unwrap_or(Poll::Pending).map(Cancelled)
}

/// Waits until the task that polls it is asked to stop; made by [`Cx::cancelled`].
///
/// By the `Cx` of another task it is ready after a request to either, but only a request to the task that
/// polls it wakes that.
///
/// # Cancellation
///
/// Dropping it loses nothing.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct WhenCancelled(Cx);

impl Future for WhenCancelled {
    type Output = Cancelled;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Cancelled> {
        // A request polls the task: there is nothing to register.
        asked(self.0, context)
    }
}

/// Gives a future up when its task is asked to stop; made by [`Cx::run_until_cancelled`]. By the `Cx` of
/// another task, as [`WhenCancelled`] has it.
///
/// # Cancellation
///
/// The future is polled first: one that becomes ready in the poll that brings the request counts as ready.
/// Otherwise it is dropped with the `UntilCancelled`, not before.
#[must_use = "futures do nothing unless awaited"]
pub struct UntilCancelled<F> {
    cx: Cx,
    future: F,
}

impl<F: Future> Future for UntilCancelled<F> {
    type Output = Result<F::Output, Cancelled>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: the future is pinned with the whole and never moved out.
        let (cx, future) = unsafe {
            let this = self.get_unchecked_mut();
            (this.cx, Pin::new_unchecked(&mut this.future))
        };
        match future.poll(context) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => asked(cx, context).map(Err),
        }
    }
}

/// Keeps a request from a future for as long as that runs; made by [`Cx::shield`].
///
/// Inside, [`Cx::is_cancelled`] is false and waits go on waiting. What runs beside it in the same task (the
/// other arm of a `join`) is not shielded. The clean-up's polls and time run on: a shield delays the request,
/// never the force.
///
/// # Cancellation
///
/// It ends with its future, and is dropped with it by force.
#[must_use = "futures do nothing unless awaited"]
pub struct Shield<F> {
    cx: Cx,
    future: F,
}

impl<F: Future> Future for Shield<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: the future is pinned with the whole and never moved out.
        let (cx, future) = unsafe {
            let this = self.get_unchecked_mut();
            (this.cx, Pin::new_unchecked(&mut this.future))
        };
        // Only the task itself may raise its shield, and an inner shield leaves it to the outer one to take
        // it down, also if the poll unwinds.
        let own = polled(context).filter(|&task| cx.task == task && cx.is_live());
        let _raised = own
            .filter(|task| task.state.raise_shield())
            .map(|task| OnDrop::new(move || task.state.lower_shield()));
        future.poll(context)
    }
}

impl Cx {
    /// Waits until the task is asked to stop; see [`WhenCancelled`].
    pub fn cancelled(&self) -> WhenCancelled {
        WhenCancelled(*self)
    }

    /// Runs `future`, of whatever kind, until the task is asked to stop; see [`UntilCancelled`].
    ///
    /// # Errors
    ///
    /// [`Cancelled`](crate::exec::Cancelled) when that happens before it is ready.
    pub fn run_until_cancelled<F: IntoFuture>(&self, future: F) -> UntilCancelled<F::IntoFuture> {
        UntilCancelled { cx: *self, future: future.into_future() }
    }

    /// Runs `future` as if the task had not been asked to stop: for what must not be torn, and for clean-up
    /// that itself waits; see [`Shield`].
    pub fn shield<F: IntoFuture>(&self, future: F) -> Shield<F::IntoFuture> {
        Shield { cx: *self, future: future.into_future() }
    }
}
