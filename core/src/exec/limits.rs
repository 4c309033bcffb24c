//! What is looked at before a task with a quota, a deadline or a request is polled.

use super::cancel::Reason;
use super::counters::add;
use super::header::{Header, TaskId, reason, state};
use super::options::{Forced, Miss, OnMiss};
use super::shared::Core;
use super::slots::Slots;
use super::trace::TraceEvent;
use crate::sync::{Ordering, with_lock};
use crate::time::Instant;

/// All unsafe functions here ask the same of their caller.
///
/// # Safety
///
/// The caller is the executor's runner, in no poll; headers are this executor's.
impl<const BANKS: usize, const PER_BANK: usize> Slots<BANKS, PER_BANK> {
    /// What a task with a quota, a deadline or a request needs before it is polled, and what happens to a wake that came too
    /// late. Says whether to poll.
    #[inline(never)]
    pub unsafe fn look(self, header: *const Header, now: Instant) -> bool {
        // SAFETY: the caller is the runner.
        unsafe {
            if !self.is_live_at_second_look(header) {
                return false;
            }
            let word = (*header).state.load(Ordering::Relaxed);
            let missed =
                word & (state::REQUESTED | state::MISSED) == 0 && !self.is_in_time(header, word, now);
            // The hook for misses may have asked the task to stop.
            let word = (*header).state.load(Ordering::Relaxed);
            let polls = word >> state::QUOTA;
            let goes = if missed {
                self.ask(header, Reason::Deadline);
                false
            } else if word & state::REQUESTED != 0 {
                let goes = polls != 0 && !self.is_clean_up_over(header, now);
                if !goes {
                    self.force(header);
                }
                goes
            } else if word & state::LIMITED != 0 && polls == 0 {
                self.ask(header, Reason::PollQuota);
                false
            } else {
                true
            };
            if !goes {
                add(&self.shared().tally.diverted, 1);
            } else if word & (state::REQUESTED | state::LIMITED) != 0 {
                // A request that came since counts its own polls: this one is not among them.
                let counted = |now: u32| (now ^ word) & state::REQUESTED == 0;
                let count = |now| counted(now).then(|| now - (1 << state::QUOTA));
                let _ = (*header).state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
            }
            goes
        }
    }

    /// Asks a live task to stop, as of now: polls of this pass may have taken long.
    #[cold]
    #[inline(never)]
    unsafe fn ask(self, header: *const Header, reason: Reason) {
        // SAFETY: the caller is `look`; the operation is this executor's own.
        unsafe {
            let now = (self.shared().ops.now)(self.core()).max(self.shared().pass_time());
            with_lock(|cs| Core::request(self.core(), cs, header, reason, now));
        }
    }

    /// Whether a draining task has used up the time for its clean-up.
    unsafe fn is_clean_up_over(self, header: *const Header, now: Instant) -> bool {
        // SAFETY: the caller is `look`; the node is read under the lock.
        with_lock(|_| unsafe { (*header).node.deadline().is_some_and(|end| end <= now.as_micros()) })
    }

    /// After a poll of a draining task: ends it if that was the last one it may have, else sets it aside until its clean-up
    /// time is over.
    #[cold]
    #[inline(never)]
    pub unsafe fn park(self, header: *const Header, slot: u16) {
        // SAFETY: the caller is the runner; the header is this executor's, its state and node hold still under the lock, and
        // lanes call nothing but `Slots` (Guarded Invariant).
        let spent = with_lock(|cs| unsafe {
            let word = (*header).state.load(Ordering::Relaxed);
            let draining = word & state::PHASE == state::LIVE
                && word & state::REQUESTED != 0
                && (*header).node.lane().is_none();
            let spent = draining && word >> state::QUOTA == 0;
            if draining && !spent {
                self.lanes().with(cs, |lanes| lanes.park(&self, slot));
            }
            spent
        });
        if spent {
            // SAFETY: as above; the task is live, and in no lane.
            unsafe { self.force(header) }
        }
    }

    /// Ends the draining tasks that wait and whose clean-up time is over at `now`. O(log N) each, beside the drops.
    #[cold]
    #[inline(never)]
    pub unsafe fn force_due(self, now: Instant) {
        // SAFETY: the caller is the runner; lanes call nothing but `Slots` (Guarded Invariant).
        unsafe {
            while let Some(slot) =
                with_lock(|cs| self.lanes().with(cs, |lanes| lanes.pop_due(&self, now.as_micros())))
            {
                self.force(self.locate(slot));
            }
        }
    }

    /// Notes a deadline that has passed. Says whether to go on with the task.
    #[inline(never)]
    unsafe fn is_in_time(self, header: *const Header, word: u32, now: Instant) -> bool {
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

    /// Drops the future of a draining task that is not being polled, calls its finaliser, and ends the task.
    #[cold]
    #[inline(never)]
    unsafe fn force(self, header: *const Header) {
        /// Ends the task even if the future's `Drop` or the finaliser unwinds.
        struct Finish(*const Header);

        impl Drop for Finish {
            fn drop(&mut self) {
                // SAFETY: made below, where the future has been dropped or is being dropped.
                unsafe {
                    let word = (*self.0).state.load(Ordering::Relaxed);
                    Header::finish(self.0, Some((word & state::REASON_BITS) >> state::REASON));
                }
            }
        }

        // SAFETY: the caller is the runner, and storage holds the future.
        unsafe {
            add(&self.shared().tally.forced, 1);
            let id = Header::id(header);
            Core::trace(self.core(), TraceEvent::Ended { id });
            let finish = Finish(header);
            let finalise = Finalise { header, id };
            if let Some(vtable) = (*header).vtable.peek() {
                (vtable.drop_future)((*header).storage.get());
            }
            drop(finalise);
            drop(finish);
        }
    }

    /// Whether the header holds a live task, for one whose table says that this is to be looked at. A wake that came too late
    /// is counted and forgotten.
    #[inline(never)]
    pub unsafe fn is_live_at_second_look(self, header: *const Header) -> bool {
        // SAFETY: the header is this executor's.
        let live = unsafe { (*header).state.load(Ordering::Acquire) } & state::PHASE == state::LIVE;
        if !live {
            add(&self.shared().tally.stale_wakes, 1);
        }
        live
    }
}

/// Calls a task's finaliser, also if the drop of its future unwinds.
struct Finalise {
    header: *const Header,
    id: TaskId,
}

impl Drop for Finalise {
    fn drop(&mut self) {
        // SAFETY: made for a live header of a static executor.
        let (attributes, word) =
            unsafe { ((*self.header).attributes.get(), (*self.header).state.load(Ordering::Relaxed)) };
        if let (Some(finaliser), Some(reason)) = (attributes.finaliser, reason(word)) {
            finaliser(&Forced { task: self.id, reason });
        }
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
