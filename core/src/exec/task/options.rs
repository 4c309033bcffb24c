//! What a spawner may ask for.

use core::num::NonZeroU16;

use super::id::{RegionId, TaskId};
use super::reason::Reason;
use crate::sched::Priority;
use crate::time::{Duration, Instant};

/// How a task is to be run.
///
/// # Examples
///
/// ```
/// use trilane::exec::{Attributes, OnMiss, TaskOptions};
/// use trilane::sched::Priority;
/// use trilane::time::Instant;
///
/// const DETECTOR: TaskOptions = TaskOptions::new()
///     .attributes(&Attributes::named("detector"))
///     .priority(Priority::of::<7>())
///     .deadline(Instant::from_millis(5))
///     .on_miss(OnMiss::Call);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TaskOptions {
    pub(in crate::exec) attributes: Option<&'static Attributes>,
    pub(in crate::exec) region: Option<RegionId>,
    pub(in crate::exec) priority: Priority,
    pub(in crate::exec) deadline: Option<Instant>,
    pub(in crate::exec) on_miss: OnMiss,
    pub(in crate::exec) poll_quota: Option<NonZeroU16>,
}

impl TaskOptions {
    /// The lowest priority, no deadline, no quota.
    pub const fn new() -> Self {
        Self {
            attributes: None,
            region: None,
            priority: Priority::LOWEST,
            deadline: None,
            on_miss: OnMiss::Count,
            poll_quota: None,
        }
    }

    /// What the task shares with others of its kind: name, clean-up, finaliser. In a function body, make them
    /// with `const { &Attributes::named("reporter") }`. The options then go to a `spawn_with`.
    pub const fn attributes(mut self, attributes: &'static Attributes) -> Self {
        self.attributes = Some(attributes);
        self
    }

    /// The region that owns the task, in place of the spawner's own ([`Cx::spawn`](crate::exec::Cx::spawn))
    /// or none ([`Executor::spawn`](crate::exec::Executor::spawn)).
    pub const fn region(mut self, region: RegionId) -> Self {
        self.region = Some(region);
        self
    }

    /// Whether they name a region.
    pub const fn names_region(&self) -> bool {
        self.region.is_some()
    }

    /// The priority, 0 to 31: `Priority::of::<7>()` is checked when the program is built,
    /// [`Priority::new`] at run time. Higher ones go first; a new task has the lowest, 0.
    pub const fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Puts the task in the timed lane, by this deadline, until it changes it by
    /// [`Cx::set_deadline`](crate::exec::Cx::set_deadline). An instant, not a span: `cx.now() + span`. If it
    /// has passed, nothing is spawned ([`SpawnErrorKind::DeadlinePassed`](crate::exec::SpawnErrorKind)).
    pub const fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// What a missed deadline does, once the task is to be polled: it limits no wait (see [`OnMiss`]).
    pub const fn on_miss(mut self, on_miss: OnMiss) -> Self {
        self.on_miss = on_miss;
        self
    }

    /// The most polls the task may take in its life, 1 to 65,535; then it is asked to stop, for
    /// [`Reason::PollQuota`].
    pub const fn poll_quota(mut self, polls: NonZeroU16) -> Self {
        self.poll_quota = Some(polls);
        self
    }
}

/// What tasks of a kind share, in static memory: a header has one word for all of it.
///
/// # Examples
///
/// ```
/// use trilane::exec::Attributes;
/// use trilane::time::Duration;
///
/// static RADIO: Attributes =
///     Attributes::named("radio").cleanup_polls(8).cleanup_time(Duration::from_millis(20));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Attributes {
    pub(in crate::exec) name: Option<&'static str>,
    pub(in crate::exec) cleanup_polls: u16,
    pub(in crate::exec) cleanup_time: Duration,
    pub(in crate::exec) finaliser: Option<fn(&Forced)>,
}

impl Attributes {
    /// Those of a task that was given none: no name, 64 polls and 100 ms to clean up, no finaliser.
    pub const DEFAULT: &'static Self = &Self::new();

    /// As [`DEFAULT`](Self::DEFAULT).
    pub const fn new() -> Self {
        Self { name: None, cleanup_polls: 64, cleanup_time: Duration::from_millis(100), finaliser: None }
    }

    /// As [`DEFAULT`](Self::DEFAULT), with a name for dumps and traces. Without one, they show the type name
    /// of the future.
    pub const fn named(name: &'static str) -> Self {
        let mut attributes = Self::new();
        attributes.name = Some(name);
        attributes
    }

    /// How often the task is polled, at most, after it was asked to stop. With 0 its future is dropped
    /// without another poll.
    pub const fn cleanup_polls(mut self, polls: u16) -> Self {
        self.cleanup_polls = polls;
        self
    }

    /// How long the task may live, at most, after it was asked to stop.
    pub const fn cleanup_time(mut self, time: Duration) -> Self {
        self.cleanup_time = time;
        self
    }

    /// Called by the runner when the task was ended by force, after its future was dropped and before whoever
    /// joins it is woken.
    pub const fn finaliser(mut self, finaliser: fn(&Forced)) -> Self {
        self.finaliser = Some(finaliser);
        self
    }
}

impl Default for Attributes {
    fn default() -> Self {
        Self::new()
    }
}

/// A task whose future was dropped because it had not ended by itself in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Forced {
    /// The task.
    pub task: TaskId,
    /// Why it had been asked to stop.
    pub reason: Reason,
}

/// What a missed deadline does.
///
/// A deadline is missed when the task is dispatched in a pass whose time lies after it. Each deadline is
/// missed at most once; a new one counts afresh.
///
/// It says by when a task is to be polled that is woken, and is looked at then. A task that waits is not
/// dispatched, so no deadline stops it, [`Cancel`](Self::Cancel) neither: to limit the time of a wait take
/// [`Cx::timeout`](crate::exec::Cx::timeout), that of a task
/// [`JoinHandle::join_within`](crate::exec::JoinHandle::join_within).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum OnMiss {
    /// Counts it, and polls the task.
    #[default]
    Count = 0,
    /// Counts it and asks the task to stop, for [`Reason::Deadline`]: when it is to be polled again, after
    /// whatever it waits for.
    Cancel = 1,
    /// Counts it, calls the executor's hook
    /// ([`Executor::with_miss_hook`](crate::exec::Executor::with_miss_hook)), and polls the task.
    Call = 2,
}

impl OnMiss {
    pub(in crate::exec) const fn from_bits(bits: u32) -> Self {
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
