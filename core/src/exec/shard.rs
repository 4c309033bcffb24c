//! An executor that several workers poll; on hosts only.

use core::cell::Cell;
use core::fmt;

use super::cancel::dispatch::SPECIAL;
use super::executor::Executor;
use super::life::in_slot::{Allocator, Line, SlotMemory, start_in_slot};
use super::life::join::JoinHandle;
use super::life::on_drop::OnDrop;
use super::life::spawn::Wishes;
use super::life::spawn_error::SpawnError;
use super::memory::core::{Core, ExecRef};
use super::memory::cx::Cx;
use super::memory::tally::add;
use super::region::handle::Region;
use super::report::dump::{TaskInfo, task_info};
use super::run::pass;
use super::run::platform::Platform;
use super::run::timers::expire;
use super::runner::AlreadyStarted;
use super::task::options::TaskOptions;
use super::workers::force::force_due;
use super::workers::work::{Worker, is_region_next, is_special_next};
use crate::bitmap::{self, Bits};
use crate::sync::Ordering;
use crate::time::Instant;

/// An executor that several workers poll, each from a thread of its own.
///
/// All that an executor offers, it offers here; only [`LocalSpawner`](crate::exec::LocalSpawner) there is
/// none, since tasks don't stay with a thread, unless there is [only one](Self::spawn_unchecked). A worker
/// [serves](Self::serve) what is due, [works](Self::work) for as long as there is something to do, and sleeps
/// until what is [due next](Self::next_due); who sleeps when, and who is told of a wake, is up to the program
/// (`trilane-std` has a runtime of shards).
///
/// # What order holds
///
/// Each woken task is polled by one worker at a time. Plain tasks are polled in rounds: in order of their
/// slots, from where the worker was, so each waits for at most one poll of each other plain task, or three if
/// those wake each other. Special tasks (with a priority, a deadline or a quota, or asked to stop) go before
/// each poll by the shard's lanes: when a worker takes one, no other that was woken before goes before it in
/// the order of the lanes. Across shards there is no order.
///
/// # Platform
///
/// [`Platform::pend`] is called after each wake, by whoever wakes: some worker is to look. If the platform
/// [`SHARES`](Platform::SHARES), not after one more wake of a task that is woken already. For tasks that are
/// woken in their polls it is called once, before the worker that polls them leaves the shard.
/// [`Platform::set_alarm`] is called when a sleep is armed that is due before all others of the shard, by
/// whoever arms it: some worker is to look by then. The platform's own sleep is not used.
pub struct Shard<P: Platform, const BANKS: usize, const PER_BANK: usize> {
    executor: &'static Executor<P, BANKS, PER_BANK>,
    memory: SlotMemory,
}

// SAFETY: the executor is static and `Sync`; the memory of a slot belongs to whoever has the slot (Slot
// Memory Invariant).
unsafe impl<P: Platform, const BANKS: usize, const PER_BANK: usize> Send for Shard<P, BANKS, PER_BANK> {}
// SAFETY: the same.
unsafe impl<P: Platform, const BANKS: usize, const PER_BANK: usize> Sync for Shard<P, BANKS, PER_BANK> {}

impl<P: Platform, const BANKS: usize, const PER_BANK: usize> Clone for Shard<P, BANKS, PER_BANK> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: Platform, const BANKS: usize, const PER_BANK: usize> Copy for Shard<P, BANKS, PER_BANK> {}

/// Where a worker goes on in a shard.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor {
    slot: u16,
}

impl Cursor {
    /// At this slot: a task there that is woken goes before the other plain ones.
    pub const fn at(slot: u16) -> Self {
        Self { slot }
    }
}

impl<P: Platform, const BANKS: usize, const PER_BANK: usize> Executor<P, BANKS, PER_BANK> {
    /// Starts the executor for several workers, for ever. `memory` is divided among the slots; it may be
    /// empty if all tasks are spawned into pools.
    ///
    /// # Errors
    ///
    /// [`AlreadyStarted`] if it has been started before, in this or the other way.
    pub fn share(
        &'static self,
        memory: &'static mut [Line],
    ) -> Result<Shard<P, BANKS, PER_BANK>, AlreadyStarted> {
        const {
            assert!(
                BANKS > 1 || P::SHARES,
                "workers share executors of several banks, or of a platform that SHARES"
            )
        }
        let core = self.exec();
        if core.started.swap(true, Ordering::AcqRel) {
            return Err(AlreadyStarted);
        }
        core.running.store(Core::SHARED, Ordering::Relaxed);
        core.banks().for_each(|bank| bank.shared.store(u32::MAX, Ordering::Relaxed));
        Ok(Shard { executor: self, memory: SlotMemory::new(memory, Self::CAPACITY) })
    }
}

impl<P: Platform, const BANKS: usize, const PER_BANK: usize> Shard<P, BANKS, PER_BANK> {
    /// The executor.
    pub const fn executor(&self) -> &'static Executor<P, BANKS, PER_BANK> {
        self.executor
    }

    /// The bytes that a future, or its output, may have in a slot.
    pub fn slot_bytes(&self) -> usize {
        self.memory.bytes()
    }

    /// Whether a future and its output have room in a slot.
    pub fn fits<F: Future>(&self) -> bool {
        self.memory.fits::<F>()
    }

    /// Spawns a task, with options if there are any, into the memory of its slot; or into memory of `S`, if
    /// the future or its output doesn't [fit](Self::fits). As [`Executor::spawn_with`] otherwise.
    ///
    /// # Errors
    ///
    /// As for [`Executor::spawn_with`]; [`PoolFull`](crate::exec::SpawnErrorKind::PoolFull) if `S` has no
    /// memory.
    pub fn spawn<S, B, F>(
        &self,
        options: Option<TaskOptions>,
        build: B,
    ) -> Result<JoinHandle<F::Output>, SpawnError<B>>
    where
        S: Allocator,
        B: FnOnce(Cx) -> F,
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        // SAFETY: the future is `Send`.
        unsafe { self.spawn_unchecked::<S, B, F>(options, build) }
    }

    /// As [`spawn`](Self::spawn), for a future that need not be `Send`.
    ///
    /// # Errors
    ///
    /// As for [`spawn`](Self::spawn).
    ///
    /// # Safety
    ///
    /// The future is `Send`; or from now on until the task has ended, no other thread than this one
    /// [works](Self::work) here, or [serves](Self::serve).
    pub unsafe fn spawn_unchecked<S, B, F>(
        &self,
        options: Option<TaskOptions>,
        build: B,
    ) -> Result<JoinHandle<F::Output>, SpawnError<B>>
    where
        S: Allocator,
        B: FnOnce(Cx) -> F,
        F: Future + 'static,
        F::Output: 'static,
    {
        let wishes = options.map(|options| Wishes { options, special: &SPECIAL });
        // SAFETY: the caller's promise stands for `Send`; the memory is this executor's; and it was spawned
        // with a handle, which is this one, and with this output.
        unsafe {
            let cx = start_in_slot::<S, B, F>(self.exec(), self.memory, wishes, build, true)?;
            Ok(JoinHandle::new(cx.task, cx.generation))
        }
    }

    /// Whether it is a region of this executor.
    pub fn has_region(&self, region: &Region) -> bool {
        region.is_of(self.exec())
    }

    /// Whether it is the [`Cx`] of a task that is here and hasn't ended.
    pub fn has_task(&self, cx: Cx) -> bool {
        cx.exec() == self.exec() && cx.is_live()
    }

    /// Takes tasks again after [`Executor::shut_down`]; the counters, and maybe the platform's clock, begin
    /// anew. Returns false, and does nothing, if there still are tasks.
    pub fn reopen(&self) -> bool {
        let exec = self.exec();
        exec.locked(|cs| {
            let is_empty = self.is_empty();
            if is_empty {
                exec.closing.store(false, Ordering::Relaxed);
                exec.tally.reset();
                exec.with_clock(cs, |clock| exec.set_pass_time(clock, Instant::ZERO));
                exec.with_lanes(cs, |lanes| lanes.end_streaks());
            }
            is_empty
        })
    }

    /// Whether a worker would find something to do now: a task to claim, a region to serve. Plain loads.
    pub fn is_runnable(&self) -> bool {
        let exec = self.exec();
        is_special_next(exec) || is_region_next(exec) || !exec.summary.is_empty()
    }

    /// Whether a special task is woken or queued, or may be: whoever works now polls it first, unless it is
    /// the turn of a plain one. Plain loads.
    pub fn is_special_next(&self) -> bool {
        is_special_next(self.exec())
    }

    /// The slots whose tasks are woken, and in no poll: those at which a [`Cursor`] may be set. Each was so
    /// at some instant during the call. O(banks + tasks).
    pub fn woken(&self) -> impl Iterator<Item = u16> + use<P, BANKS, PER_BANK> {
        let exec = self.exec();
        let banks = Bits(exec.summary.bits()).map(|number| number as usize);
        banks.flat_map(move |number| {
            let woken = exec.bank(number).map_or(0, |bank| bank.woken.claimable());
            Bits(woken).map(move |index| bitmap::slot(number, index))
        })
    }

    /// The task in a slot, with what a dump says of it.
    pub fn task(&self, slot: u16) -> Option<TaskInfo> {
        self.exec().task(slot).and_then(task_info)
    }

    /// How many slots are in use. Each bank's number was so at some instant during the call. O(banks).
    pub fn len(&self) -> usize {
        let exec = self.exec();
        let free: usize = exec.banks().map(|bank| bank.free.bits().count_ones() as usize).sum();
        usize::from(exec.ops().banks) * usize::from(exec.ops().per_bank) - free
    }

    /// Whether no slot is in use.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The lowest slot that is free, which the next task gets; another spawn may take it meanwhile. O(banks).
    pub fn first_free(&self) -> Option<u16> {
        self.exec().banks().find_map(|bank| {
            let index = bank.free.bits().trailing_zeros();
            (index < PER_BANK as u32).then(|| bitmap::slot(bank.number.get() as usize, index))
        })
    }

    /// Whether a worker would find something to do, for one that is about to sleep, and has said so before by
    /// a sequentially consistent read-modify-write of what [`pend`](Platform::pend) looks at by a
    /// sequentially consistent load: one of the two sees the other. O(banks).
    pub fn is_runnable_before_sleep(&self) -> bool {
        let exec = self.exec();
        // The summary may cover a bank whose tasks are all claimed since. The look at the bank is ordered
        // with the wakes there as in Look Again.
        let is_woken =
            |number| exec.bank(number as usize).is_some_and(|bank| bank.woken.claimable_again() != 0);
        is_special_next(exec)
            || is_region_next(exec)
            || exec.urgent.bits_before_sleep() != 0
            || Bits(exec.summary.bits_before_sleep()).any(is_woken)
    }

    /// When [`serve`](Self::serve) has something to do: at the earliest end of a sleep or of a clean-up.
    pub fn next_due(&self) -> Option<Instant> {
        let exec = self.exec();
        Some(exec.locked(|cs| pass::next_due(exec, cs))).filter(|&due| due < Instant::MAX)
    }

    /// Does what is due at `now`: ends sleeps and clean-ups. Several workers may do so at the same time. A
    /// `now` before an earlier one is taken as that one.
    ///
    /// O(log n) a due sleep; if a clean-up is over, O(capacity).
    ///
    /// # Panics
    ///
    /// When a waker or the drop of a future does; call again to go on.
    pub fn serve(&self, now: Instant) {
        let exec = self.exec();
        let (now, is_due) = exec.locked(|cs| {
            let now = exec.with_clock(cs, |clock| {
                exec.set_pass_time(clock, clock.now.max(now));
                clock.now
            });
            (now, pass::next_due(exec, cs) <= now)
        });
        if is_due {
            expire(exec, now);
            force_due(exec, now);
        }
    }

    /// Polls tasks, from `cursor` on, until none is left to claim, or `goes_on` says no. Returns how often.
    ///
    /// `guest`: the worker's home is elsewhere, and it stays in one bank for as long as there is something to
    /// do; the others walk around that. `before` is called before each poll, with whether another worker
    /// would find something to do, too, and the slot of the task. `goes_on` is called after each poll, with
    /// how many there were: whether there may be another.
    ///
    /// # Panics
    ///
    /// When a task does, or other code of yours that is called; call again to go on.
    pub fn work(
        &self,
        cursor: &mut Cursor,
        guest: bool,
        before: &impl Fn(bool, u16),
        goes_on: &impl Fn(u32) -> bool,
    ) -> u32 {
        let (exec, polls, untold) = (self.exec(), Cell::new(0), Cell::new(false));
        // Also if one unwinds.
        let counted = OnDrop::new(|| {
            if polls.get() != 0 {
                add(&exec.tally.polls, polls.get());
            }
            if untold.get() {
                exec.pend();
            }
        });
        let mut worker =
            Worker { exec, cursor: &mut cursor.slot, polls: &polls, untold: &untold, guest, before, goes_on };
        if P::TRACES || P::TIMES_POLLS {
            worker.run::<true>()
        } else {
            worker.run::<false>()
        }
        drop(counted);
        polls.get()
    }

    fn exec(&self) -> ExecRef {
        self.executor.exec_of_runner()
    }
}

impl<P: Platform, const BANKS: usize, const PER_BANK: usize> fmt::Debug for Shard<P, BANKS, PER_BANK> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard").field("executor", self.executor).finish_non_exhaustive()
    }
}
