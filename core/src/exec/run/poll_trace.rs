//! Tracing polls.

use super::platform::Platform;
use crate::exec::memory::core::TaskRef;
use crate::exec::memory::trace::TraceEvent;
use crate::exec::task::id::TaskId;

/// Traces a poll's begin and, however it ends, its end and the task's.
pub(in crate::exec) struct PollTrace<'a, P: Platform> {
    platform: &'a P,
    id: TaskId,
    /// Whether the task ends with the poll; it does if that unwinds.
    pub ends: bool,
}

impl<'a, P: Platform> PollTrace<'a, P> {
    pub fn begin(platform: &'a P, task: TaskRef) -> Self {
        let id = task.id();
        platform.trace(TraceEvent::PollStarts { id });
        Self { platform, id, ends: true }
    }
}

impl<P: Platform> Drop for PollTrace<'_, P> {
    fn drop(&mut self) {
        self.platform.trace(TraceEvent::PollEnds { id: self.id });
        if self.ends {
            self.platform.trace(TraceEvent::Ended { id: self.id });
        }
    }
}
