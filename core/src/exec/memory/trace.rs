//! What a tracer is told.

use crate::exec::task::id::TaskId;

/// Something that happened to a task. The id carries the slot's generation, so two tasks of one slot don't
/// mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum TraceEvent {
    /// The task exists now.
    Spawned {
        /// Its id.
        id: TaskId,
        /// Its name.
        name: &'static str,
    },
    /// A poll begins.
    PollStarts {
        /// The task's id.
        id: TaskId,
    },
    /// The poll has returned.
    PollEnds {
        /// The task's id.
        id: TaskId,
    },
    /// The task is over: completed, unwound, ended by force, or not begun since what was to make its future
    /// has unwound.
    Ended {
        /// The task's id.
        id: TaskId,
    },
}
