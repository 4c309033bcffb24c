//! Deadlines and priorities of tasks that are there.

use core::fmt;

use super::dispatch::SPECIAL;
use crate::exec::memory::core::{ExecRef, TaskRef};
use crate::exec::memory::cx::Cx;
use crate::exec::task::id::TaskId;
use crate::id::Stale;
use crate::sched::Priority;
use crate::sync::Ordering;
use crate::time::Instant;

/// Why a deadline was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DeadlineError {
    /// The task has ended.
    Stale,
    /// The deadline lies before the time of the executor's latest pass.
    Passed,
    /// The task was asked to stop, and has no deadline any more but the end of its clean-up.
    Cancelled,
}

impl fmt::Display for DeadlineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale => Stale.fmt(f),
            Self::Passed => f.write_str("the deadline has passed already: give one that is still to come"),
            Self::Cancelled => f.write_str("the task was asked to stop: no deadline holds for it any more"),
        }
    }
}

impl core::error::Error for DeadlineError {}

impl Cx {
    /// Changes the task's deadline; `None` moves it to the ready lane. A queued task is moved in place, at
    /// once, from any context. O(log N).
    ///
    /// # Errors
    ///
    /// [`DeadlineError`] when the task has ended or was asked to stop, or `deadline` lies before the
    /// executor's latest pass; nothing changes. On a fixed schedule that is what overload looks like: skip
    /// the periods that have passed, rather than `expect`.
    ///
    /// ```
    /// # use trilane::exec::{Cancelled, Cx, DeadlineError};
    /// # use trilane::time::{Duration, Instant};
    /// # const PERIOD: Duration = Duration::from_millis(10);
    /// # const SLACK: Duration = Duration::from_millis(5);
    /// async fn sample(cx: Cx, mut due: Instant) -> Result<(), Cancelled> {
    ///     loop {
    ///         while cx.set_deadline(Some(due + SLACK)) == Err(DeadlineError::Passed) {
    ///             due += PERIOD;
    ///         }
    ///         cx.sleep_until(due).await?;
    ///         // ... the work of this period
    ///         due += PERIOD;
    ///     }
    /// }
    /// ```
    pub fn set_deadline(&self, deadline: Option<Instant>) -> Result<(), DeadlineError> {
        set_deadline(self.task, self.generation, deadline)
    }

    /// Changes the task's priority. A queued task is moved in place, at once, from any context. O(1), in the
    /// timed lane O(log N).
    ///
    /// # Errors
    ///
    /// [`Stale`] when the task has ended.
    pub fn set_priority(&self, priority: Priority) -> Result<(), Stale> {
        set_priority(self.task, self.generation, priority)
    }
}

impl ExecRef {
    pub fn set_deadline(self, id: TaskId, deadline: Option<Instant>) -> Result<(), DeadlineError> {
        let task = self.task(id.slot).ok_or(DeadlineError::Stale)?;
        set_deadline(task, id.generation, deadline)
    }

    pub fn set_priority(self, id: TaskId, priority: Priority) -> Result<(), Stale> {
        set_priority(self.task(id.slot).ok_or(Stale)?, id.generation, priority)
    }
}

fn set_deadline(task: TaskRef, generation: u32, deadline: Option<Instant>) -> Result<(), DeadlineError> {
    let exec = task.exec();
    exec.see_to_special(&SPECIAL);
    exec.locked(|cs| {
        let state = task.state.load();
        if !state.is_live() || task.generation.load(Ordering::Relaxed) != generation {
            return Err(DeadlineError::Stale);
        }
        if state.is_requested() {
            return Err(DeadlineError::Cancelled);
        }
        if deadline.is_some_and(|deadline| deadline < exec.with_clock(cs, |clock| clock.now)) {
            return Err(DeadlineError::Passed);
        }
        let deadline = deadline.map(Instant::as_micros);
        if task.node.lane().is_none() {
            task.node.set_deadline(deadline);
        } else {
            exec.with_lanes(cs, |lanes| lanes.set_deadline(&exec, task.place(exec), deadline));
        }
        settle(exec, task);
        if state.is_missed() {
            task.state.set_missed(false);
        }
        Ok(())
    })
}

fn set_priority(task: TaskRef, generation: u32, priority: Priority) -> Result<(), Stale> {
    let exec = task.exec();
    exec.see_to_special(&SPECIAL);
    exec.locked(|cs| {
        if !task.is_live(generation) {
            return Err(Stale);
        }
        exec.with_lanes(cs, |lanes| lanes.set_priority(&exec, task.place(exec), priority));
        settle(exec, task);
        Ok(())
    })
}

/// Notes whether a live task is plain after its keys changed. One that is queued stays special until it
/// leaves its lane.
#[inline(always)]
fn settle(exec: ExecRef, task: TaskRef) {
    exec.note_rekey();
    if !task.node.is_plain() {
        task.set_special();
    } else if task.state.load().is_unlimited() {
        task.set_plain(true);
    }
}
