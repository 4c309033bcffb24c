//! A task's handle on its executor.

use ::core::fmt;

use super::core::{ExecRef, TaskRef};
use crate::exec::task::id::TaskId;
use crate::exec::task::reason::Reason;
use crate::time::Instant;

/// What a task knows of where it runs: passed to it when it is spawned, two words, free to copy and to send
/// anywhere.
///
/// It stays valid when the task has ended, because the executor is static: changing, spawning and opening
/// regions then report that it is stale, sleeps and the clock go on working.
#[derive(Clone, Copy)]
pub struct Cx {
    pub(in crate::exec) task: TaskRef,
    pub(in crate::exec) generation: u32,
}

impl Cx {
    /// The task's id.
    pub fn id(&self) -> TaskId {
        TaskId { slot: self.task.slot(), generation: self.generation }
    }

    /// The platform's time now, or that of the executor's latest pass if that is later: it never goes back
    /// behind that.
    pub fn now(&self) -> Instant {
        self.exec().now()
    }

    /// Whether the task was asked to stop; false inside a [`shield`](Self::shield). From the request on, the
    /// waits of this crate return errors at once: clean up and return. (In a task that goes on waiting, the
    /// eighth wait of a poll is pending, so that the task can be ended by force.)
    pub fn is_cancelled(&self) -> bool {
        self.cancelled_for().is_some()
    }

    /// Why the task was asked to stop, if it was and isn't in a shield.
    pub fn cancelled_for(&self) -> Option<Reason> {
        if self.is_live() { self.task.state.heard() } else { None }
    }

    pub(in crate::exec) fn is_live(&self) -> bool {
        self.task.is_live(self.generation)
    }

    pub(in crate::exec) fn exec(&self) -> ExecRef {
        self.task.exec()
    }
}

impl fmt::Debug for Cx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cx").field(&self.id()).finish()
    }
}
