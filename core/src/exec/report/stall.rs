//! Noticing a poll that doesn't return.

use crate::exec::memory::core::ExecRef;
use crate::exec::task::id::TaskId;
use crate::sync::Ordering;
use crate::time::{Duration, Instant};

/// A poll that has been running for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stall {
    /// The task that is being polled.
    pub task: TaskId,
    /// For how long at least, seen from the checks.
    pub lasted: Duration,
}

/// Watches one executor from outside: from a timer interrupt, a watchdog, another thread.
///
/// A cooperative executor can't end a poll that never returns; this tells which task it is, at no cost to the
/// run loop.
///
/// # Examples
///
/// ```no_run
/// # use trilane::exec::{Executor, Manual, StallWatch};
/// # use trilane::time::{Duration, Instant};
/// # static EXECUTOR: Executor<Manual, 1, 8> = Executor::new(Manual::new());
/// # fn report(_: trilane::exec::Stall) {}
/// let mut watch = StallWatch::new(&EXECUTOR, Duration::from_millis(50));
/// // every 10 ms or so, in an interrupt above the executor:
/// # let now = Instant::ZERO;
/// if let Some(stall) = watch.check(now) {
///     report(stall);
/// }
/// ```
pub struct StallWatch {
    exec: ExecRef,
    limit: Duration,
    /// What the executor showed when the poll was first seen: the polls of earlier passes, and slot and place
    /// in the pass.
    seen: (u32, u32),
    since: Option<Instant>,
    reported: bool,
}

impl StallWatch {
    pub(in crate::exec) fn of(exec: ExecRef, limit: Duration) -> Self {
        Self { exec, limit, seen: (0, 0), since: None, reported: false }
    }

    /// Looks once; a stalled poll is reported once. The resolution is the time between checks. O(1).
    pub fn check(&mut self, now: Instant) -> Option<Stall> {
        let exec = self.exec;
        let seen = (exec.tally.polls.load(Ordering::Relaxed), exec.running.load(Ordering::Relaxed));
        let slot = exec.running_slot()?;
        if seen != self.seen || self.since.is_none() {
            (self.seen, self.since, self.reported) = (seen, Some(now), false);
            return None;
        }
        let lasted = now - self.since?;
        if lasted < self.limit || self.reported {
            return None;
        }
        self.reported = true;
        let task = exec.task(slot)?.id();
        Some(Stall { task, lasted })
    }
}
