//! What a spawner may ask for.

use core::num::NonZeroU16;

use super::header::TaskId;
use crate::sched::Priority;
use crate::time::Instant;

/// How a task is to be run.
///
/// # Examples
///
/// ```
/// use trilane::exec::{OnMiss, TaskOptions};
/// use trilane::sched::Priority;
/// use trilane::time::Instant;
///
/// const DETECTOR: TaskOptions = TaskOptions::new()
///     .name(&"detector")
///     .priority(Priority::of::<7>())
///     .deadline(Instant::from_millis(5))
///     .on_miss(OnMiss::Call);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TaskOptions {
    pub(super) name: Option<&'static &'static str>,
    pub(super) priority: Priority,
    pub(super) deadline: Option<Instant>,
    pub(super) on_miss: OnMiss,
    pub(super) poll_quota: Option<NonZeroU16>,
}

impl TaskOptions {
    /// The lowest priority, no deadline, no quota.
    pub const fn new() -> Self {
        Self {
            name: None,
            priority: Priority::LOWEST,
            deadline: None,
            on_miss: OnMiss::Count,
            poll_quota: None,
        }
    }

    /// The name in dumps and traces; without one, the type name of the future. A reference to the string slice, because a
    /// header has one word for it: `.name(&"reporter")`.
    pub const fn name(mut self, name: &'static &'static str) -> Self {
        self.name = Some(name);
        self
    }

    /// The priority.
    pub const fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Puts the task in the timed lane, by this deadline, until it changes it by [`Cx::set_deadline`](super::Cx::set_deadline).
    pub const fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// What a missed deadline does.
    pub const fn on_miss(mut self, on_miss: OnMiss) -> Self {
        self.on_miss = on_miss;
        self
    }

    /// The most polls the task may take in its life, 1 to 65,535; then it is ended and its joiner gets
    /// [`Reason::PollQuota`](super::Reason::PollQuota).
    pub const fn poll_quota(mut self, polls: NonZeroU16) -> Self {
        self.poll_quota = Some(polls);
        self
    }
}

/// What a missed deadline does.
///
/// A deadline is missed when the task is dispatched in a pass whose time lies after it. Each deadline is missed at most
/// once; a new one counts afresh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum OnMiss {
    /// Counts it, and polls the task.
    #[default]
    Count = 0,
    /// Counts it and ends the task instead of polling it; its joiner gets [`Reason::Deadline`](super::Reason::Deadline).
    Cancel = 1,
    /// Counts it, calls the executor's hook ([`Executor::with_miss_hook`](super::Executor::with_miss_hook)), and polls the
    /// task.
    Call = 2,
}

impl OnMiss {
    pub(super) const fn from_bits(bits: u32) -> Self {
        match bits & 3 {
            1 => Self::Cancel,
            2 => Self::Call,
            _ => Self::Count,
        }
    }
}

/// A missed deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Miss {
    /// The task.
    pub task: TaskId,
    /// The deadline that has passed.
    pub deadline: Instant,
    /// The time of the pass that found it.
    pub now: Instant,
}
