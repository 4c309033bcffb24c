//! Driving an executor: passes over what is due and woken.

use core::marker::PhantomData;
use core::task::Context;

use super::bank::{BankHead, Core, NOT_RUNNING};
use super::counters::add;
use super::executor::{Executor, Slots};
use super::header::{Header, state};
use super::join::{self, Reason};
use super::options::{Miss, OnMiss};
use super::platform::{Platform, TraceEvent};
use super::spawn::LocalSpawner;
use super::waker::waker;
use crate::bitmap::{self, Bits};
use crate::sync::{Ordering, with_lock};
use crate::time::Instant;

/// The one that polls an executor's tasks. It stays in the context that started it.
pub struct Runner<P: Platform, const BANKS: usize, const PER_BANK: usize> {
    executor: &'static Executor<P, BANKS, PER_BANK>,
    /// How many slots the lanes hold. Only the runner pushes and pops, so its count is exact without the lock.
    queued: u16,
    _not_send: PhantomData<*const ()>,
}

/// What a pass has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Tasks polled.
    pub polls: u32,
    /// Whether something is runnable still: the pass ended at its bound, or a wake came as it ended.
    pub more: bool,
}

impl<P: Platform, const BANKS: usize, const PER_BANK: usize> Runner<P, BANKS, PER_BANK> {
    /// The most polls of one pass: the capacity, but at least 64, so that reading the clock once a pass costs little.
    pub const POLLS_PER_PASS: u32 = {
        let capacity = (BANKS * PER_BANK) as u32;
        if capacity > 64 { capacity } else { 64 }
    };

    pub(super) fn new(executor: &'static Executor<P, BANKS, PER_BANK>) -> Self {
        Self { executor, queued: 0, _not_send: PhantomData }
    }

    /// The executor.
    pub const fn executor(&self) -> &'static Executor<P, BANKS, PER_BANK> {
        self.executor
    }

    /// Spawns tasks that stay in this context.
    pub const fn spawner(&self) -> LocalSpawner<P, BANKS, PER_BANK> {
        LocalSpawner::new(self.executor)
    }

    /// The time of the latest pass.
    pub fn now(&self) -> Instant {
        self.core().pass_time()
    }

    /// One pass: wakes whose sleep is over at `now`, then polls what is woken, in lane order, until nothing is or
    /// [`POLLS_PER_PASS`](Self::POLLS_PER_PASS) have been made.
    ///
    /// Before every poll the woken tasks are drained into the lanes, each once, so a task that keeps waking itself neither
    /// holds up its equals nor the pass. A `now` before that of an earlier pass is counted and taken as that one.
    ///
    /// Cost beside the polls: O(log n) a due sleep, O(banks touched) and one lane operation a poll.
    pub fn poll_pending(&mut self, now: Instant) -> Pass {
        let now = self.begin_pass(now);
        // SAFETY: the executor is static and whole.
        unsafe { Core::expire(self.executor.core(), now) };
        let mut left = Self::POLLS_PER_PASS;
        while left > 0 {
            let Some((slot, header)) = self.next() else { break };
            // SAFETY: the header is this executor's, and this is its runner.
            unsafe { self.dispatch(slot, header, now) };
            left -= 1;
        }
        self.core().running.store(NOT_RUNNING, Ordering::Relaxed);
        Pass { polls: Self::POLLS_PER_PASS - left, more: self.is_runnable() }
    }

    /// When the next pass is due if nothing is woken before: the earliest sleep's end.
    pub fn next_alarm(&self) -> Option<Instant> {
        self.core().next_due()
    }

    /// Whether a pass would poll something now. Plain loads.
    pub fn is_runnable(&self) -> bool {
        self.queued > 0
            || if BANKS == 1 { !self.woken(0).is_empty() } else { !self.core().summary.is_empty() }
    }

    /// Passes for ever, sleeping in between.
    pub fn run(&mut self) -> ! {
        loop {
            self.run_until(|| false);
        }
    }

    /// Passes until `done`, which is looked at after each pass, sleeping in between.
    pub fn run_until(&mut self, mut done: impl FnMut() -> bool) {
        loop {
            let pass = self.poll_pending(self.executor.platform.now());
            if done() {
                return;
            }
            if !pass.more {
                self.set_alarm();
                self.executor.platform.idle(&|| !self.is_runnable() && self.alarm_is_set());
            }
        }
    }

    fn begin_pass(&self, now: Instant) -> Instant {
        let core = self.core();
        // SAFETY: numbers are compared and stored, nothing is called (Guarded Invariant).
        let latest = with_lock(|cs| unsafe {
            core.clock.with(cs, |clock| {
                clock.now = clock.now.max(now);
                clock.now
            })
        });
        if latest > now {
            add(&core.tally.clock_regressions, 1);
        }
        self.executor.platform.pass_begins(latest);
        latest
    }

    /// The next task to poll, its slot taken from the woken set or a lane.
    #[inline(always)]
    fn next(&mut self) -> Option<(u16, *const Header)> {
        if self.queued == 0 {
            let bank = if BANKS == 1 {
                0
            } else {
                let summary = self.core().summary.take();
                if summary & summary.wrapping_sub(1) != 0 {
                    self.drain(summary);
                    return self.pop();
                }
                if summary == 0 {
                    return None;
                }
                summary.trailing_zeros() as usize
            };
            let bits = self.woken(bank).take();
            if bits & bits.wrapping_sub(1) == 0 {
                // Alone, with nothing queued: through a lane it would come out again at once.
                return (bits != 0).then(|| self.locate(bitmap::slot(bank, bits.trailing_zeros())));
            }
            self.enqueue(bank, bits);
            return self.pop();
        }
        self.next_of_many()
    }

    /// The same when something is queued.
    #[inline(never)]
    fn next_of_many(&mut self) -> Option<(u16, *const Header)> {
        if BANKS == 1 {
            let bits = self.woken(0).take();
            if bits.is_power_of_two() {
                return self.push_pop(bitmap::slot(0, bits.trailing_zeros()));
            }
            self.enqueue(0, bits);
        } else {
            self.drain(self.core().summary.take());
        }
        self.pop()
    }

    fn drain(&mut self, summary: u32) {
        for bank in Bits(summary) {
            let bits = self.woken(bank as usize).take();
            self.enqueue(bank as usize, bits);
        }
    }

    #[inline(never)]
    fn enqueue(&mut self, bank: usize, bits: u32) {
        for index in Bits(bits) {
            let slot = bitmap::slot(bank, index);
            if self.admit(slot) {
                let executor = self.executor;
                // SAFETY: lanes call nothing but `Slots` (Guarded Invariant).
                with_lock(|cs| unsafe {
                    executor.lanes.with(cs, |lanes| lanes.push(&Slots(executor), slot))
                });
                self.queued += 1;
            }
        }
    }

    /// Whether a woken slot is to be queued: it holds a live task that isn't.
    #[inline(always)]
    fn admit(&self, slot: u16) -> bool {
        let (_, header) = self.locate(slot);
        // SAFETY: the header is this executor's; the lane bits of its node are written by lane operations alone, and those
        // that other contexts do (re-keying) leave a queued slot queued.
        let (live, queued) = unsafe {
            (
                (*header).state.load(Ordering::Acquire) & state::PHASE == state::LIVE,
                with_lock(|_| (*header).node.lane().is_some()),
            )
        };
        let tally = &self.core().tally;
        if !live {
            add(&tally.stale_wakes, 1);
        } else if queued {
            tally.coalesced.fetch_add(1, Ordering::Relaxed);
        }
        live && !queued
    }

    fn push_pop(&mut self, slot: u16) -> Option<(u16, *const Header)> {
        if !self.admit(slot) {
            return self.pop();
        }
        let executor = self.executor;
        // SAFETY: lanes call nothing but `Slots` (Guarded Invariant).
        let slot = with_lock(|cs| unsafe {
            executor.lanes.with(cs, |lanes| lanes.push_pop(&Slots(executor), slot))
        });
        slot.map(|slot| self.locate(slot))
    }

    fn pop(&mut self) -> Option<(u16, *const Header)> {
        let executor = self.executor;
        // SAFETY: lanes call nothing but `Slots` (Guarded Invariant).
        let slot = with_lock(|cs| unsafe { executor.lanes.with(cs, |lanes| lanes.pop(&Slots(executor))) })?;
        self.queued -= 1;
        Some(self.locate(slot))
    }

    /// Polls a task that was woken.
    ///
    /// # Safety
    ///
    /// `header` is that of `slot` in this executor.
    #[inline(always)]
    unsafe fn dispatch(&mut self, slot: u16, header: *const Header, now: Instant) {
        const PLAIN: u32 = state::PHASE | state::LOOK | state::TIMED;
        let core = self.core();
        // SAFETY: the caller's promise; while the header is live its plain fields are the runner's (Executor Invariant 3),
        // and storage holds a future, because a task whose poll was done or unwound is live no more. No lock is held and no
        // reference to lanes or timers lives across the poll (Executor Invariant 6).
        unsafe {
            let word = (*header).state.load(Ordering::Acquire);
            if word & PLAIN != state::LIVE && !self.look(header, word, now) {
                return;
            }
            let Some(vtable) = (*header).vtable.get() else { return };
            core.running.store(slot, Ordering::Relaxed);
            add(&core.tally.polls, 1);
            self.trace(|id| TraceEvent::PollStarts { id }, header);
            let started = if P::TIMES_POLLS { self.executor.platform.ticks() } else { 0 };
            let waker = waker(header);
            let on_unwind = Unwound(header);
            let done = (vtable.poll)((*header).storage.get(), &mut Context::from_waker(&waker));
            core::mem::forget(on_unwind);
            if P::TIMES_POLLS {
                let lasted = self.executor.platform.ticks().wrapping_sub(started);
                let longest = &core.tally.longest_poll;
                longest.store(longest.load(Ordering::Relaxed).max(lasted), Ordering::Relaxed);
            }
            self.trace(|id| TraceEvent::PollEnds { id }, header);
            if done {
                add(&core.tally.completions, 1);
                self.trace(|id| TraceEvent::Ended { id }, header);
                Header::finish(header, None);
            }
        }
    }

    /// What a task with a quota or a deadline needs before it is polled, and what happens to a wake that came too late.
    /// Says whether to poll.
    ///
    /// # Safety
    ///
    /// As for [`dispatch`](Self::dispatch).
    #[inline(never)]
    unsafe fn look(&mut self, header: *const Header, word: u32, now: Instant) -> bool {
        let tally = &self.core().tally;
        // SAFETY: the caller's promise, and Executor Invariant 3.
        unsafe {
            if word & state::PHASE != state::LIVE {
                add(&tally.stale_wakes, 1);
                return false;
            }
            if word & state::TIMED != 0 && word & state::MISSED == 0 && !self.is_in_time(header, word, now) {
                add(&tally.cancelled_by_deadline, 1);
                self.cancel(header, Reason::Deadline);
                return false;
            }
            if word & state::LOOK != 0 {
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
    unsafe fn is_in_time(&self, header: *const Header, word: u32, now: Instant) -> bool {
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
        add(&self.core().tally.misses, 1);
        match Header::on_miss(word) {
            OnMiss::Count => true,
            OnMiss::Cancel => false,
            OnMiss::Call => {
                if let Some(hook) = self.core().miss_hook {
                    // SAFETY: the header is this executor's.
                    let task = unsafe { Header::id(header) };
                    hook(&Miss { task, deadline: Instant::from_micros(deadline), now });
                }
                true
            }
        }
    }

    /// Drops a task's future and ends the task.
    ///
    /// # Safety
    ///
    /// As for [`dispatch`](Self::dispatch); the task is live and not being polled.
    unsafe fn cancel(&mut self, header: *const Header, reason: Reason) {
        /// Ends the task even if the future's `Drop` unwinds.
        struct Finish(*const Header, Reason);

        impl Drop for Finish {
            fn drop(&mut self) {
                // SAFETY: made below, where the future has been dropped or is being dropped.
                unsafe { Header::finish(self.0, Some(self.1 as u32)) }
            }
        }

        // SAFETY: the caller's promise: storage holds the future.
        unsafe {
            self.trace(|id| TraceEvent::Ended { id }, header);
            let _finish = Finish(header, reason);
            if let Some(vtable) = (*header).vtable.get() {
                (vtable.drop_future)((*header).storage.get());
            }
        }
    }

    #[inline(always)]
    fn trace(&self, event: impl FnOnce(super::TaskId) -> TraceEvent, header: *const Header) {
        if P::TRACES {
            // SAFETY: the header is this executor's.
            self.executor.platform.trace(event(unsafe { Header::id(header) }));
        }
    }

    fn set_alarm(&self) {
        let core = self.core();
        // SAFETY: numbers are compared and stored, nothing is called (Guarded Invariant).
        let changed = with_lock(|cs| unsafe {
            let next = core.timers.with(cs, |timers| timers.next_due()).map(Instant::from_micros);
            core.clock.with(cs, |clock| (clock.alarm != next).then(|| clock.alarm = next).map(|()| next))
        });
        if let Some(next) = changed {
            self.executor.platform.set_alarm(next);
        }
    }

    fn alarm_is_set(&self) -> bool {
        let core = self.core();
        // SAFETY: numbers are compared, nothing is called (Guarded Invariant).
        with_lock(|cs| unsafe {
            let next = core.timers.with(cs, |timers| timers.next_due()).map(Instant::from_micros);
            core.clock.with(cs, |clock| clock.alarm == next)
        })
    }

    #[inline(always)]
    fn core(&self) -> &'static Core {
        // SAFETY: the core is the first field of a static executor.
        unsafe { &*self.executor.core() }
    }

    #[inline(always)]
    fn woken(&self, bank: usize) -> &'static bitmap::Bank {
        let bank: *const BankHead = self.executor.bank(bank);
        // SAFETY: the bank is part of a static executor, its words atomic.
        unsafe { &(*bank).woken }
    }

    #[inline(always)]
    fn locate(&self, slot: u16) -> (u16, *const Header) {
        let (bank, index) = bitmap::split(slot);
        (slot, self.executor.header(if BANKS == 1 { 0 } else { bank }, index))
    }
}

/// Ends a task whose poll unwinds: by then `poll` has emptied its storage.
struct Unwound(*const Header);

impl Drop for Unwound {
    fn drop(&mut self) {
        // SAFETY: made by `dispatch` for a live header and forgotten unless its poll unwinds; storage is empty then
        // (Storage Invariant).
        unsafe { Header::finish(self.0, Some(join::PANICKED)) }
    }
}
