//! What is looked at before a task with a quota or a deadline is polled.

use super::counters::add;
use super::executor::Executor;
use super::header::{Header, state};
use super::join::Reason;
use super::options::{Miss, OnMiss};
use super::platform::Platform;
use super::shared::Core;
use super::trace::TraceEvent;
use crate::sync::{Ordering, with_lock};
use crate::time::Instant;

/// All unsafe functions here ask the same of their caller.
///
/// # Safety
///
/// The caller is the executor's runner, in no poll; headers are this executor's.
impl<P: Platform, const BANKS: usize, const PER_BANK: usize> Executor<P, BANKS, PER_BANK> {
    /// What a task with a quota or a deadline needs before it is polled, and what happens to a wake that came too late.
    /// Says whether to poll.
    #[inline(never)]
    pub(super) unsafe fn look(&'static self, header: *const Header, now: Instant) -> bool {
        let tally = &self.shared().tally;
        // SAFETY: the caller is the runner.
        unsafe {
            if !self.is_live_at_second_look(header) {
                return false;
            }
            let word = (*header).state.load(Ordering::Relaxed);
            if word & state::MISSED == 0 && !self.is_in_time(header, word, now) {
                add(&tally.cancelled_by_deadline, 1);
                self.cancel(header, Reason::Deadline);
                return false;
            }
            if word & state::LIMITED != 0 {
                if word >> state::QUOTA == 0 {
                    add(&tally.cancelled_by_quota, 1);
                    self.cancel(header, Reason::PollQuota);
                    return false;
                }
                (*header).state.fetch_sub(1 << state::QUOTA, Ordering::Relaxed);
            }
        }
        true
    }

    /// Notes a deadline that has passed. Says whether to go on with the task.
    #[inline(never)]
    unsafe fn is_in_time(&'static self, header: *const Header, word: u32, now: Instant) -> bool {
        // SAFETY: the caller is `look`. The deadline is read, and marked as noted, under the lock, so that it is neither
        // torn nor exchanged in between.
        let missed = with_lock(|_| unsafe {
            let due = (*header).node.deadline().filter(|&due| due < now.as_micros());
            if due.is_some() {
                (*header).state.fetch_or(state::MISSED, Ordering::Relaxed);
            }
            due
        });
        let Some(deadline) = missed else { return true };
        add(&self.shared().tally.misses, 1);
        match Header::on_miss(word) {
            OnMiss::Count => true,
            OnMiss::Cancel => false,
            OnMiss::Call => {
                if let Some(hook) = self.shared().miss_hook {
                    // SAFETY: the header is this executor's.
                    let task = unsafe { Header::id(header) };
                    let on_unwind = WakeAgain(header);
                    hook(&Miss { task, deadline: Instant::from_micros(deadline), now });
                    core::mem::forget(on_unwind);
                }
                true
            }
        }
    }

    /// Drops the future of a live task that is not being polled, and ends the task.
    #[cold]
    #[inline(never)]
    unsafe fn cancel(&'static self, header: *const Header, reason: Reason) {
        /// Ends the task even if the future's `Drop` unwinds.
        struct Finish(*const Header, Reason);

        impl Drop for Finish {
            fn drop(&mut self) {
                // SAFETY: made below, where the future has been dropped or is being dropped.
                unsafe { Header::finish(self.0, Some(self.1 as u32)) }
            }
        }

        // SAFETY: the caller is the runner, and storage holds the future.
        unsafe {
            Core::trace(self.core(), TraceEvent::Ended { id: Header::id(header) });
            let _finish = Finish(header, reason);
            if let Some(vtable) = (*header).vtable.peek() {
                (vtable.drop_future)((*header).storage.get());
            }
        }
    }

    /// Whether the header holds a live task, for one whose table says that this is to be looked at. A wake that came too late
    /// is counted and forgotten.
    #[inline(never)]
    pub(super) unsafe fn is_live_at_second_look(&'static self, header: *const Header) -> bool {
        // SAFETY: the header is this executor's.
        let live = unsafe { (*header).state.load(Ordering::Acquire) } & state::PHASE == state::LIVE;
        if !live {
            add(&self.shared().tally.stale_wakes, 1);
        }
        live
    }
}

/// Gives a task whose wake was taken another one, if what comes before its poll unwinds.
struct WakeAgain(*const Header);

impl Drop for WakeAgain {
    fn drop(&mut self) {
        // SAFETY: made for a header of a static executor.
        unsafe { Header::wake(self.0) }
    }
}
