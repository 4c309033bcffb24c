//! What a tracer is told.

use super::header::{Header, TaskId};
use super::platform::Platform;

/// Something that happened to a task. The id carries the slot's generation, so two tasks of one slot don't mix.
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
    /// The task is over: completed, unwound, or ended by force.
    Ended {
        /// The task's id.
        id: TaskId,
    },
}

/// Traces a poll's begin and, however it ends, its end and the task's.
pub(super) struct PollTrace<'a, P: Platform> {
    platform: &'a P,
    header: *const Header,
    id: TaskId,
}

impl<'a, P: Platform> PollTrace<'a, P> {
    /// # Safety
    ///
    /// The header is one of a static executor.
    pub unsafe fn begin(platform: &'a P, header: *const Header) -> Self {
        // SAFETY: the caller's promise.
        let id = unsafe { Header::id(header) };
        platform.trace(TraceEvent::PollStarts { id });
        Self { platform, header, id }
    }
}

impl<P: Platform> Drop for PollTrace<'_, P> {
    fn drop(&mut self) {
        self.platform.trace(TraceEvent::PollEnds { id: self.id });
        // SAFETY: `begin` was given a header of a static executor.
        if !unsafe { (*self.header).is_live(self.id.generation()) } {
            self.platform.trace(TraceEvent::Ended { id: self.id });
        }
    }
}
