//! What an executor's owner asks of it, and what it tells.

use super::cancel::ask::CancelError;
use super::cancel::rekey::DeadlineError;
use super::executor::Executor;
use super::memory::core::Membership;
use super::memory::tally::Counters;
use super::region::handle::Region;
use super::region::tree::{OpenError, RegionOptions};
use super::report::dump::{RegionInfo, TaskInfo, region_info, task_info};
use super::report::stall::StallWatch;
use super::run::platform::Platform;
use super::task::id::TaskId;
use super::task::reason::Reason;
use crate::id::Stale;
use crate::sched::Priority;
use crate::time::{Duration, Instant};

impl<P: Platform, const BANKS: usize, const PER_BANK: usize> Executor<P, BANKS, PER_BANK> {
    /// Opens a region that is inside no other. O(table).
    ///
    /// # Errors
    ///
    /// [`OpenError`] when the table of [`with_regions`](Self::with_regions) is full, or the executor shuts
    /// down.
    pub fn open_region(&'static self, options: RegionOptions) -> Result<Region, OpenError> {
        let exec = self.exec();
        Ok(Region::new(exec, exec.open_region(Membership::Root, options)?))
    }

    /// Asks a task to stop, for [`Reason::User`]. Any context; O(log N). The id is one of this executor's:
    /// those of two executors may be equal. An [`AbortHandle`](super::AbortHandle) needs no such care.
    ///
    /// # Errors
    ///
    /// [`CancelError::Stale`] when the task has ended.
    pub fn cancel(&'static self, id: TaskId) -> Result<(), CancelError> {
        self.exec().cancel(id, Reason::User)
    }

    /// Asks every task to stop, for [`Reason::Shutdown`], and takes no new tasks and regions from now on, for
    /// ever. Any context; O(capacity + table), one task or region per critical section;
    /// [`tasks`](Self::tasks) tells when all have ended.
    pub fn shut_down(&'static self) {
        self.exec().shut_down();
    }

    /// Changes a task's deadline; see [`Cx::set_deadline`](super::Cx::set_deadline). The id is one of this
    /// executor's: those of two executors may be equal.
    ///
    /// # Errors
    ///
    /// As for [`Cx::set_deadline`](super::Cx::set_deadline).
    pub fn set_deadline(&'static self, id: TaskId, deadline: Option<Instant>) -> Result<(), DeadlineError> {
        self.exec().set_deadline(id, deadline)
    }

    /// Changes a task's priority; see [`Cx::set_priority`](super::Cx::set_priority). The id is one of this
    /// executor's, as for [`set_deadline`](Self::set_deadline).
    ///
    /// # Errors
    ///
    /// [`Stale`] when the task has ended.
    pub fn set_priority(&'static self, id: TaskId, priority: Priority) -> Result<(), Stale> {
        self.exec().set_priority(id, priority)
    }

    /// Looks a task up. O(1).
    ///
    /// # Errors
    ///
    /// [`Stale`] when its slot is empty or holds another task.
    pub fn task(&'static self, id: TaskId) -> Result<TaskInfo, Stale> {
        let task = self.exec().task(id.slot).ok_or(Stale)?;
        task_info(task).filter(|info| info.id == id).ok_or(Stale)
    }

    /// Every task there is, lowest slot first: a dump. Each line is true at some instant during the call.
    /// O(capacity).
    pub fn tasks(&'static self) -> impl Iterator<Item = TaskInfo> {
        self.exec().tasks().filter_map(task_info)
    }

    /// Every region that is open or closing: a dump. Each line is true at some instant during the call.
    /// O(table).
    pub fn regions(&'static self) -> impl Iterator<Item = RegionInfo> {
        let exec = self.exec();
        (0..exec.region_table().len()).filter_map(move |index| region_info(exec, index))
    }

    /// What has been counted so far.
    pub fn counters(&'static self) -> Counters {
        let exec = self.exec();
        let mut counters = exec.tally.read();
        let (queued, deepest) = exec.locked(|cs| exec.with_lanes(cs, |lanes| (lanes.len(), lanes.deepest())));
        counters.deepest_lane = deepest as u32;
        // Every wake that was taken has led to a poll, to something in its place, or to a place in a lane.
        counters.wakes = counters.polls.wrapping_add(counters.diverted).wrapping_add(queued as u32);
        counters
    }
}

impl StallWatch {
    /// Watches `executor` for polls that last longer than `limit`.
    pub fn new<P: Platform, const BANKS: usize, const PER_BANK: usize>(
        executor: &'static Executor<P, BANKS, PER_BANK>,
        limit: Duration,
    ) -> Self {
        Self::of(executor.exec(), limit)
    }
}
