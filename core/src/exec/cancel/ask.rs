//! Asking a task to stop, from any context.

use core::fmt;

use super::dispatch::SPECIAL;
use super::request::request;
use crate::exec::life::join::JoinHandle;
use crate::exec::memory::core::{ExecRef, TaskRef};
use crate::exec::memory::cx::Cx;
use crate::exec::task::id::TaskId;
use crate::exec::task::reason::Reason;
use crate::id::Stale;

/// Why a task was not asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CancelError {
    /// It has ended.
    Stale,
    /// It is the one that asks.
    Oneself,
}

impl fmt::Display for CancelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale => Stale.fmt(f),
            Self::Oneself => f.write_str("a task doesn't cancel itself: return from it"),
        }
    }
}

impl core::error::Error for CancelError {}

/// Asks one task to stop, from any context, as often as one likes; made by
/// [`JoinHandle::abort_handle`](crate::exec::JoinHandle::abort_handle), or by the task itself, for others, by
/// [`Cx::abort_handle`].
///
/// It neither owns the task nor keeps its slot: when the task has ended, cancelling is an error.
#[derive(Clone, Copy)]
pub struct AbortHandle {
    task: TaskRef,
    id: TaskId,
}

impl AbortHandle {
    /// The task's id.
    pub const fn id(&self) -> TaskId {
        self.id
    }

    /// Asks the task to stop, for [`Reason::User`]. Any context; O(log N).
    ///
    /// # Errors
    ///
    /// [`CancelError::Stale`] when the task has ended.
    pub fn cancel(&self) -> Result<(), CancelError> {
        cancel(self.task, self.id.generation, Reason::User)
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AbortHandle").field(&self.id).finish()
    }
}

impl Cx {
    /// By which others may ask this task to stop.
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle { task: self.task, id: self.id() }
    }
}

impl ExecRef {
    /// Asks a task to stop. Any context. O(log N).
    pub fn cancel(self, id: TaskId, reason: Reason) -> Result<(), CancelError> {
        cancel(self.task(id.slot).ok_or(CancelError::Stale)?, id.generation, reason)
    }
}

/// Asks the task of this generation to stop. Any context. O(log N).
#[inline(never)]
fn cancel(task: TaskRef, generation: u32, reason: Reason) -> Result<(), CancelError> {
    let exec = task.exec();
    exec.see_to_special(&SPECIAL);
    let now = exec.read_clock();
    exec.locked(|cs| {
        if !task.is_live(generation) {
            return Err(CancelError::Stale);
        }
        request(task, cs, reason, exec.not_before_pass(cs, now));
        Ok(())
    })?;
    // Also if it isn't the first request: whoever made that may have been pre-empted before this.
    exec.pend();
    Ok(())
}

impl<T> JoinHandle<T> {
    /// Asks the task to stop, for [`Reason::User`]. Any context; O(log N).
    ///
    /// # Errors
    ///
    /// [`CancelError::Stale`] when the task has ended.
    pub fn cancel(&self) -> Result<(), CancelError> {
        self.cancel_for(Reason::User)
    }

    pub(in crate::exec) fn cancel_for(&self, reason: Reason) -> Result<(), CancelError> {
        let task = self.task().ok_or(CancelError::Stale)?;
        cancel(task, self.id().generation, reason)
    }

    /// What asks the task to stop from elsewhere. `None` when the result was taken.
    pub fn abort_handle(&self) -> Option<AbortHandle> {
        self.task().map(|task| AbortHandle { task, id: self.id() })
    }
}

impl Cx {
    /// Asks another task of the executor to stop, for [`Reason::User`]. Any context; O(log N).
    ///
    /// # Errors
    ///
    /// [`CancelError::Oneself`] when `id` is this task's, [`CancelError::Stale`] when it has ended.
    pub fn cancel(&self, id: TaskId) -> Result<(), CancelError> {
        if id == self.id() {
            return Err(CancelError::Oneself);
        }
        self.exec().cancel(id, Reason::User)
    }
}
