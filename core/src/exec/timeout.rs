//! A future with limited time.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};

use super::life::join::{JoinError, JoinHandle};
use super::memory::cx::Cx;
use super::sleep::Sleep;
use super::task::reason::{Cancelled, Reason};
use crate::time::Duration;

/// Why a [`Timeout`] gave its future up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TimeoutError {
    /// The time was up.
    Elapsed,
    /// The task was asked to stop.
    Cancelled(Reason),
}

impl fmt::Display for TimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elapsed => f.write_str("the time was up before the future was ready"),
            Self::Cancelled(reason) => Cancelled(*reason).fmt(f),
        }
    }
}

impl core::error::Error for TimeoutError {}

/// A future with limited time; made by [`Cx::timeout`].
///
/// The future is polled first: one that becomes ready just when the time is up counts as ready.
///
/// # Cancellation
///
/// When its task is asked to stop, it gives the future up, of whatever kind that is. Dropping it drops the
/// future and disarms the timer. A future that was given up is dropped with the `Timeout`, not before.
#[must_use = "futures do nothing unless awaited"]
pub struct Timeout<F> {
    sleep: Sleep,
    future: F,
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, TimeoutError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: both fields are pinned with the whole and never moved out.
        let (sleep, future) = unsafe {
            let this = self.get_unchecked_mut();
            (Pin::new_unchecked(&mut this.sleep), Pin::new_unchecked(&mut this.future))
        };
        if let Poll::Ready(output) = future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        sleep.poll(cx).map(|over| {
            Err(over
                .map_or_else(|Cancelled(reason)| TimeoutError::Cancelled(reason), |()| TimeoutError::Elapsed))
        })
    }
}

impl Cx {
    /// Gives `future` until `span` from now; see [`Timeout`]. Takes whatever can be awaited: of a
    /// [`JoinHandle`], `&mut handle` is still there afterwards, while `handle` is dropped, which detaches the
    /// task.
    ///
    /// # Errors
    ///
    /// [`TimeoutError`] when the time is up, or the task is asked to stop, before it is ready.
    ///
    /// # Examples
    ///
    /// ```
    /// use trilane::exec::{Cancelled, Cx, TimeoutError};
    /// use trilane::time::Duration;
    ///
    /// async fn read_or_0(cx: Cx, sensor: impl Future<Output = u16>) -> Result<u16, Cancelled> {
    ///     match cx.timeout(Duration::from_millis(50), sensor).await {
    ///         Ok(value) => Ok(value),
    ///         Err(TimeoutError::Elapsed) => Ok(0),
    ///         Err(TimeoutError::Cancelled(reason)) => Err(Cancelled(reason)), // as `?` on any other wait
    ///     }
    /// }
    /// # use std::future::{pending, ready};
    /// # use trilane::exec::{Executor, Manual, TaskPool};
    /// # use trilane::time::Instant;
    /// # static POOL: TaskPool<256, 2> = TaskPool::new();
    /// # static EXECUTOR: Executor<Manual, 1, 2> = Executor::new(Manual::new());
    /// # let mut runner = EXECUTOR.start().unwrap();
    /// # let mut prompt = EXECUTOR.spawn(&POOL, |cx| read_or_0(cx, ready(7))).unwrap();
    /// # let mut slow = EXECUTOR.spawn(&POOL, |cx| read_or_0(cx, pending())).unwrap();
    /// # runner.poll_pending(Instant::ZERO);
    /// # runner.poll_pending(Instant::from_millis(50));
    /// # assert_eq!(prompt.try_join(), Some(Ok(Ok(7))));
    /// # assert_eq!(slow.try_join(), Some(Ok(Ok(0))));
    /// ```
    pub fn timeout<F: IntoFuture>(&self, span: impl Into<Duration>, future: F) -> Timeout<F::IntoFuture> {
        Timeout { sleep: self.sleep(span), future: future.into_future() }
    }
}

impl<T> JoinHandle<T> {
    /// Waits for the end of the task for `span`, then asks it to stop, for [`Reason::Deadline`], and waits
    /// on: so a result that it still gives is not lost, and it is over when this returns.
    ///
    /// # Errors
    ///
    /// As for a join; [`JoinError::Interrupted`] leaves the task running.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the task running, asked or not, and the result unclaimed.
    pub async fn join_within(&mut self, cx: Cx, span: impl Into<Duration>) -> Result<T, JoinError> {
        match cx.timeout(span, self.join()).await {
            Ok(result) => return result,
            Err(TimeoutError::Cancelled(reason)) => return Err(JoinError::Interrupted(reason)),
            Err(TimeoutError::Elapsed) => {}
        }
        // It may have ended just now; then the join is ready.
        let _ = self.cancel_for(Reason::Deadline);
        self.join().await
    }
}
