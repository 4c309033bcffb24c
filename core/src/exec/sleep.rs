//! Waiting for time to pass.
//!
//! A sleep's node lives in the future itself, linked into the executor's timer heap while it waits: arming is
//! O(log n) in the number of armed sleeps, there is no table that could be full, and because every sleep
//! keeps its own waker, none is lost inside `select`, `join` or `FuturesUnordered`.
//!
//! Sleeps may be polled and dropped from any context: the heap is under the executor's lock.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};

use super::memory::core::{ExecRef, TaskRef};
use super::memory::cx::Cx;
use super::memory::waker::polled;
use super::run::timers::Entry;
use super::task::reason::Cancelled;
use crate::time::{Duration, Instant};

/// A future that is ready once its time has come; made by [`Cx::sleep`] and [`Cx::sleep_until`].
///
/// # Cancellation
///
/// When the task that awaits it is asked to stop, it is ready at once, with [`Cancelled`]. Dropping it
/// disarms it: O(log n), nothing is left behind.
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    exec: ExecRef,
    due: Instant,
    /// Whether the executor may know the entry: set when it is armed, cleared when it was seen fired.
    known: bool,
    /// Whether it waits its time out, whatever its task is asked for.
    uncancelled: bool,
    entry: Entry,
}

// SAFETY: the entry is touched under the executor's lock, or by whoever has the sleep to itself.
unsafe impl Send for Sleep {}
// SAFETY: by shared reference a sleep tells its due time only.
unsafe impl Sync for Sleep {}

impl Sleep {
    /// One that waits its time out even if its task is asked to stop.
    pub(super) fn uncancelled(mut self) -> Self {
        self.uncancelled = true;
        self
    }

    /// Arms it, unless it has fired: returns whether it has. Out of line, for the many places that a firmware
    /// sleeps at.
    #[inline(never)]
    fn arm(&self, cx: &Context<'_>) -> bool {
        // SAFETY: the entry is pinned, always armed at this executor, and disarmed when it goes.
        unsafe { self.entry.arm(self.exec, cx, self.due) }
    }

    /// When it is over.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Starts again for `due`. One that has been polled is armed again at once and wakes whoever polled it
    /// last, unless it has fired for a waker that isn't a task's own (inside `FuturesUnordered`, say): that
    /// was used up, and the next poll arms it. O(log n).
    pub fn reset(self: Pin<&mut Self>, due: Instant) {
        // SAFETY: nothing is moved.
        let this = unsafe { self.get_unchecked_mut() };
        this.due = due;
        if this.known || this.entry.has_fired() {
            this.known = true;
            // SAFETY: the entry is pinned, was armed at this executor, and is disarmed when it goes.
            unsafe { this.entry.rearm(this.exec, due) };
        }
    }
}

impl Future for Sleep {
    type Output = Result<(), Cancelled>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: nothing is moved; the entry stays where it is.
        let this = unsafe { self.get_unchecked_mut() };
        if !this.uncancelled
            && let Some(refusal) = polled(cx).and_then(TaskRef::refusal)
        {
            return refusal.map(|reason| Err(Cancelled(reason)));
        }
        this.known = !(this.entry.has_fired() || this.arm(cx));
        if this.known { Poll::Pending } else { Poll::Ready(Ok(())) }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if self.known {
            // SAFETY: if it is armed, then at this executor.
            unsafe { self.entry.disarm(self.exec) };
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("due", &self.due).finish()
    }
}

impl Cx {
    /// Waits for at least `span` from now, one of this crate's or of the standard library's; see [`Sleep`].
    /// Arming is O(log n) in the number of armed sleeps.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] when the task is asked to stop.
    pub fn sleep(&self, span: impl Into<Duration>) -> Sleep {
        let exec = self.exec();
        sleep_until(exec, exec.after(span.into()))
    }

    /// Waits until `due`. One that has passed is over at the next pass of the executor.
    ///
    /// # Errors
    ///
    /// As for [`sleep`](Self::sleep).
    pub fn sleep_until(&self, due: Instant) -> Sleep {
        sleep_until(self.exec(), due)
    }
}

fn sleep_until(exec: ExecRef, due: Instant) -> Sleep {
    Sleep { exec, due, known: false, uncancelled: false, entry: Entry::new() }
}
