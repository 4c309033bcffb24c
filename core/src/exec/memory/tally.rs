//! What an executor counts.

use core::iter::Sum;
use core::ops::Add;

use crate::exec::task::reason::Reason;
use crate::sync::{AtomicU32, Ordering, array_of, const_fn};

/// Totals since the executor's start, read at some instant while it runs. All wrap around at 2^32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Counters {
    /// Polls. Added when a pass ends: read from inside a task, it lacks those of the pass under way.
    pub polls: u32,
    /// Wakes that made a task runnable, spawns and requests to stop included.
    pub wakes: u32,
    /// Wakes of a task that was woken already. In an executor that workers share, only those that one of them
    /// finds at a special task: threads would contend for a count of all.
    pub coalesced: u32,
    /// Woken bits on slots whose task was gone.
    pub stale_wakes: u32,
    /// Tasks spawned.
    pub spawns: u32,
    /// Tasks that ran to their end.
    pub completions: u32,
    /// Tasks asked to stop by a user.
    pub cancelled_by_user: u32,
    /// Tasks asked to stop for a missed deadline.
    pub cancelled_by_deadline: u32,
    /// Tasks asked to stop for a sibling's failure.
    pub cancelled_by_sibling: u32,
    /// Tasks asked to stop for a used-up poll quota.
    pub cancelled_by_quota: u32,
    /// Tasks asked to stop since their region was closed.
    pub cancelled_by_parent: u32,
    /// Tasks asked to stop since the executor shuts down.
    pub cancelled_by_shutdown: u32,
    /// Tasks ended by force.
    pub forced: u32,
    /// Tasks that panicked; on hosts, where others go on after that.
    #[cfg(not(target_os = "none"))]
    pub panics: u32,
    /// Wakes that led to no poll, since their task was asked to stop, or ended, instead.
    pub diverted: u32,
    /// Deadlines missed, each counted once.
    pub misses: u32,
    /// Passes whose `now` lay before an earlier pass's.
    pub clock_regressions: u32,
    /// The most tasks queued at once; tasks that went past the lanes don't count.
    pub deepest_lane: u32,
    /// The longest poll in ticks of [`Platform::ticks`](crate::exec::Platform::ticks); 0 where the platform
    /// doesn't [time polls](crate::exec::Platform::TIMES_POLLS), which is the default.
    pub longest_poll: u32,
}

/// Those of several executors together: sums, and of the last two the higher one.
impl Add for Counters {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        macro_rules! together {
            ($($sum:ident),*) => {
                Self {
                    $($sum: self.$sum.wrapping_add(other.$sum),)*
                    #[cfg(not(target_os = "none"))]
                    panics: self.panics.wrapping_add(other.panics),
                    deepest_lane: self.deepest_lane.max(other.deepest_lane),
                    longest_poll: self.longest_poll.max(other.longest_poll),
                }
            };
        }
        together!(
            polls,
            wakes,
            coalesced,
            stale_wakes,
            spawns,
            completions,
            cancelled_by_user,
            cancelled_by_deadline,
            cancelled_by_sibling,
            cancelled_by_quota,
            cancelled_by_parent,
            cancelled_by_shutdown,
            forced,
            diverted,
            misses,
            clock_regressions
        )
    }
}

impl Sum for Counters {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Self::add)
    }
}

macro_rules! tally {
    ($($field:ident),*) => {
        /// The live counters. All are written by the runner only, but for `coalesced`, and for `spawns` and
        /// `requests`, which are written under the lock.
        pub(in crate::exec) struct Tally {
            $(pub $field: AtomicU32,)*
            #[cfg(not(target_os = "none"))]
            pub panics: AtomicU32,
            /// By the reason that a task was asked for first.
            requests: [AtomicU32; Reason::COUNT],
        }

        impl Tally {
            const_fn! {
            pub const fn new() -> Self {
                Self {
                    $($field: AtomicU32::new(0),)*
                    #[cfg(not(target_os = "none"))]
                    panics: AtomicU32::new(0),
                    requests: array_of![AtomicU32::new(0); Reason::COUNT],
                }
            }
            }

            pub fn read(&self) -> Counters {
                let requests = |reason: Reason| self.requests[reason as usize - 1].load(Ordering::Relaxed);
                Counters {
                    $($field: self.$field.load(Ordering::Relaxed),)*
                    #[cfg(not(target_os = "none"))]
                    panics: self.panics.load(Ordering::Relaxed),
                    cancelled_by_user: requests(Reason::User),
                    cancelled_by_deadline: requests(Reason::Deadline),
                    cancelled_by_sibling: requests(Reason::SiblingFailed),
                    cancelled_by_quota: requests(Reason::PollQuota),
                    cancelled_by_parent: requests(Reason::ParentClosed),
                    cancelled_by_shutdown: requests(Reason::Shutdown),
                    ..Counters::default()
                }
            }

            /// Begins anew. When nobody counts.
            #[cfg(not(target_os = "none"))]
            pub fn reset(&self) {
                $(self.$field.store(0, Ordering::Relaxed);)*
                self.panics.store(0, Ordering::Relaxed);
                self.requests.iter().for_each(|count| count.store(0, Ordering::Relaxed));
            }

            /// Counts a task that was asked to stop. Under the lock.
            pub fn count_request(&self, reason: Reason) {
                add(&self.requests[reason as usize - 1], 1);
            }
        }
    };
}

tally!(
    polls,
    coalesced,
    stale_wakes,
    spawns,
    completions,
    forced,
    diverted,
    misses,
    clock_regressions,
    longest_poll
);

/// Adds to a counter of the runner's, or of the workers' that share the executor.
#[inline(always)]
pub(in crate::exec) fn add(counter: &AtomicU32, count: u32) {
    if cfg!(target_os = "none") {
        add_alone(counter, count);
    } else {
        counter.fetch_add(count, Ordering::Relaxed);
    }
}

/// Adds to a counter that only the caller writes, or the holder of the lock: a load and a store, no exclusive
/// access.
#[inline(always)]
pub(in crate::exec) fn add_alone(counter: &AtomicU32, count: u32) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
}
