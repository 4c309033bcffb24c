//! What an executor counts.

use crate::sync::{AtomicU32, Ordering, const_fn};

/// Totals since the executor's start, read at some instant while it runs. All wrap around at 2^32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Counters {
    /// Polls. Added when a pass ends: read from inside a task, it lacks those of the pass under way.
    pub polls: u32,
    /// Wakes that made a task runnable, spawns included.
    pub wakes: u32,
    /// Wakes of a task that was woken already.
    pub coalesced: u32,
    /// Woken bits on slots whose task was gone.
    pub stale_wakes: u32,
    /// Tasks spawned.
    pub spawns: u32,
    /// Tasks that ran to their end.
    pub completions: u32,
    /// Tasks ended for a missed deadline.
    pub cancelled_by_deadline: u32,
    /// Tasks ended for a used-up poll quota.
    pub cancelled_by_quota: u32,
    /// Deadlines missed, each counted once.
    pub misses: u32,
    /// Passes whose `now` lay before an earlier pass's.
    pub clock_regressions: u32,
    /// The most tasks queued at once; tasks that went past the lanes don't count.
    pub deepest_lane: u32,
    /// The longest poll in ticks of [`Platform::ticks`](super::Platform::ticks), where the platform times polls.
    pub longest_poll: u32,
}

macro_rules! tally {
    ($($field:ident),*) => {
        /// The live counters. All but `coalesced` and `spawns` are written by the runner only.
        pub(super) struct Tally { $(pub $field: AtomicU32,)* }

        impl Tally {
            const_fn! {
            pub const fn new() -> Self {
                Self { $($field: AtomicU32::new(0),)* }
            }
            }

            pub fn read(&self) -> Counters {
                Counters { $($field: self.$field.load(Ordering::Relaxed),)* ..Counters::default() }
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
    cancelled_by_deadline,
    cancelled_by_quota,
    misses,
    clock_regressions,
    longest_poll
);

/// Adds to a counter that only the caller writes: a load and a store, no exclusive access.
#[inline(always)]
pub(super) fn add(counter: &AtomicU32, count: u32) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
}
