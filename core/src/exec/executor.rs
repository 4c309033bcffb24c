//! The executor: everything static, nothing running yet.

use core::fmt;
use core::mem::offset_of;
use core::ptr;

use super::life::spawn::{later_bank, trace_spawn};
use super::memory::bank::Bank;
use super::memory::core::{Announce, BANKS_AT, Core, Cover, ExecRef, Ops, TaskRef};
use super::region::scope::SCOPE;
use super::region::table::Regions;
use super::run::pass::Rounds;
use super::run::platform::Platform;
use super::run::poll_trace::PollTrace;
use super::run::rounds::{Kept, poll_bank, poll_banks};
use super::task::options::Miss;
use crate::bitmap::{MAX_BANKS, MAX_PER_BANK, low_bits};
use crate::sched::Fairness;
use crate::sync::{Cell, Ordering, array_of, const_fn};
use crate::time::Instant;

/// An executor for up to `BANKS * PER_BANK` tasks, in static memory.
///
/// A bank is up to 32 tasks whose wakes share one word. One bank suffices for most:
/// `Executor<Board, 1, 8>` holds 8 tasks, `Executor<Board, 1>` 32. For more, take several: `4, 32` holds 128;
/// the most is 32 banks, 1,024 tasks.
///
/// # Examples
///
/// See the [crate's](crate) example. On a board:
///
/// ```no_run
/// # use trilane::exec::{Cx, Executor, Manual as Board, TaskPool};
/// static POOL: TaskPool<128, 1> = TaskPool::new();
/// static EXECUTOR: Executor<Board, 1, 8> = Executor::new(Board::new());
///
/// async fn main_task(_cx: Cx) {}
///
/// EXECUTOR.run(|spawner| {
///     spawner.spawn_local(&POOL, main_task).unwrap();
/// })
/// ```
///
/// Capacity is checked when it is compiled:
///
/// ```compile_fail
/// # use trilane::exec::{Executor, Manual};
/// static TOO_WIDE: Executor<Manual, 1, 33> = Executor::new(Manual::new());
/// ```
#[repr(C)]
pub struct Executor<P: Platform, const BANKS: usize, const PER_BANK: usize = MAX_PER_BANK> {
    // First, so that a pointer to the core is a pointer to the executor.
    memory: Memory<BANKS, PER_BANK>,
    pub(super) platform: P,
}

/// An executor but for its platform. All zeros at first, so that capacity takes no flash: what depends on the
/// type is set by the first use.
///
/// On hosts aligned to a pair of cache lines, so that two executors side by side share none.
#[cfg_attr(not(target_os = "none"), repr(C, align(128)))]
#[cfg_attr(target_os = "none", repr(C))]
struct Memory<const BANKS: usize, const PER_BANK: usize> {
    core: Core,
    banks: [Bank<PER_BANK>; BANKS],
    heap: [[Cell<u16>; PER_BANK]; BANKS],
}

// SAFETY: what is shared is atomic or under the executor's lock; the rest is the runner's, of which there is
// one (Executor Invariant 3 and 5). The platform is `Sync` by its trait.
unsafe impl<P: Platform, const BANKS: usize, const PER_BANK: usize> Sync for Executor<P, BANKS, PER_BANK> {}

impl<P: Platform, const BANKS: usize, const PER_BANK: usize> Executor<P, BANKS, PER_BANK> {
    /// The most tasks at a time.
    pub const CAPACITY: usize = BANKS * PER_BANK;

    /// Whether the platform looks on at polls.
    const OBSERVES: bool = P::TRACES || P::TIMES_POLLS;

    /// Whether wakes say in which bank they are.
    const COVERS: bool = BANKS > 1 || P::SHARES;

    const OPS: &'static Ops = &Ops {
        now: |exec| Self::of(exec).platform.now(),
        pend: |exec| Self::of(exec).platform.pend(),
        set_alarm: |exec, at| Self::of(exec).platform.set_alarm((at < Instant::MAX).then_some(at)),
        trace: if P::TRACES { Some(|exec, event| Self::of(exec).platform.trace(event)) } else { None },
        trace_spawn: if P::TRACES { Some(trace_spawn) } else { None },
        observe: if Self::OBSERVES { Some(Self::observe) } else { None },
        banks: BANKS as u8,
        per_bank: PER_BANK as u8,
        bank_stride: Self::STRIDE as u16,
        cover: Self::COVER,
        cover_own: if Self::COVERS { Some(ExecRef::cover_own) } else { None },
        later_bank: if BANKS > 1 { Some(later_bank) } else { None },
    };

    /// What wakes tell the runner with.
    const COVER: Option<Cover> = if Self::COVERS { Some(ExecRef::cover) } else { None };
    const ANNOUNCE: *const () = if P::PENDS || P::TELLS_SPECIAL || Self::COVER.is_some() {
        let announce: Announce = |bank, bit, coalesced| {
            if coalesced != 0 && !bank.is_shared() {
                bank.count_coalesced();
            }
            if let Some(cover) = Self::COVER {
                cover(bank.exec(), bank, bit);
            }
            if P::TELLS_SPECIAL && bank.special.bits() & bit != 0 {
                Self::of(bank.exec()).platform.pend_special();
            } else if P::PENDS {
                Self::of(bank.exec()).platform.pend();
            }
        };
        announce as *const ()
    } else {
        ptr::null()
    };

    const STRIDE: usize = size_of::<Bank<PER_BANK>>();

    const_fn! {
    /// An executor without tasks.
    pub const fn new(platform: P) -> Self {
        const {
            assert!(BANKS >= 1 && BANKS <= MAX_BANKS, "an executor has 1 to 32 banks");
            assert!(offset_of!(Memory<BANKS, PER_BANK>, banks) == BANKS_AT);
            assert!(PER_BANK >= 1 && PER_BANK <= MAX_PER_BANK, "a bank holds 1 to 32 tasks");
        }
        let memory = Memory {
            core: Core::new(),
            banks: array_of![Bank::new(); BANKS],
            heap: array_of![array_of![Cell::new(0); PER_BANK]; BANKS],
        };
        Self { memory, platform }
    }
    }

    /// Sets the bounds within which a lane may pass over lower ones, from the next pick on. Any context.
    pub fn with_fairness(&'static self, fairness: Fairness) -> &'static Self {
        let exec = self.exec();
        exec.locked(|cs| exec.with_lanes(cs, |lanes| lanes.set_fairness(fairness)));
        self
    }

    /// Gives the executor room for regions. Without it, [`open_region`](Self::open_region) says that it is
    /// full. Any context; tasks may be there already.
    ///
    /// What a program needs of this is set when it runs, and not in the static's initial value: that is all
    /// zeros, so that capacity takes no flash.
    ///
    /// # Panics
    ///
    /// When the executor has another table.
    pub fn with_regions<const N: usize>(&'static self, regions: &'static Regions<N>) -> &'static Self {
        let exec = self.exec();
        let is_first = exec.locked(|_| exec.set_region_table(&regions.entries, &SCOPE));
        assert!(is_first, "the executor has another table of regions: give it one");
        self
    }

    /// Calls `hook` when a task whose options say [`OnMiss::Call`](super::OnMiss::Call) misses a deadline:
    /// from the runner, before the task is polled. The latest hook counts. Any context.
    pub fn with_miss_hook(&'static self, hook: fn(&Miss)) -> &'static Self {
        let exec = self.exec();
        exec.locked(|cs| exec.with_hook(cs, |place| *place = Some(hook)));
        self
    }

    /// The platform.
    pub const fn platform(&self) -> &P {
        &self.platform
    }

    /// The executor without its type; its first use makes it ready.
    #[inline(always)]
    pub(super) fn exec(&'static self) -> ExecRef {
        if self.memory.core.ops.load(Ordering::Acquire).is_null() {
            self.make_ready();
        }
        // SAFETY: the executor is static, and made ready.
        unsafe { ExecRef::new(ptr::from_ref(self).cast()) }
    }

    /// [`exec`](Self::exec) for whoever was made by a first use.
    #[inline(always)]
    pub(super) fn exec_of_runner(&'static self) -> ExecRef {
        // SAFETY: the executor is static, and `start` has made it ready.
        unsafe { ExecRef::new(ptr::from_ref(self).cast()) }
    }

    /// Tells the parts where they are.
    #[cold]
    #[inline(never)]
    fn make_ready(&'static self) {
        let (this, ops) = (ptr::from_ref(self), Self::OPS);
        // SAFETY: only places are computed; the pointers keep the provenance of the whole executor.
        unsafe {
            self.memory.core.lock.with(|cs| {
                if !self.memory.core.ops.load(Ordering::Relaxed).is_null() {
                    return;
                }
                for (number, bank) in self.memory.banks.iter().enumerate() {
                    bank.head.announce.set(Self::ANNOUNCE);
                    bank.head.to_core.set((BANKS_AT + number * Self::STRIDE) as u32);
                    bank.head.number.set(number as u32);
                    bank.head.special.set(u32::MAX);
                    bank.head.free.set(low_bits(PER_BANK));
                }
                self.memory.core.clock.with(cs, |clock| {
                    (clock.alarm, clock.clean_up) = (Instant::MAX, Instant::MAX);
                });
                let heap = this.byte_add(offset_of!(Memory<BANKS, PER_BANK>, heap)).cast::<Cell<u16>>();
                self.memory.core.heap.set(ptr::slice_from_raw_parts(heap, Self::CAPACITY));
                self.memory.core.ops.store(ptr::from_ref(ops).cast_mut(), Ordering::Release);
            });
        }
    }

    fn of(exec: ExecRef) -> &'static Self {
        // SAFETY: the operations of this table are called with this executor, whose first field the core is.
        unsafe { &*exec.as_ptr().cast() }
    }

    fn observe(exec: ExecRef, task: TaskRef) -> bool {
        let platform = &Self::of(exec).platform;
        let mut traced = P::TRACES.then(|| PollTrace::begin(platform, task));
        let started = if P::TIMES_POLLS { platform.ticks() } else { 0 };
        // SAFETY: called by the runner, for a poll of this task.
        let done = unsafe { (task.vtable_of_task().poll)(task.storage.get(), task.into_raw()) };
        if P::TIMES_POLLS {
            let lasted = platform.ticks().wrapping_sub(started);
            let longest = &exec.tally.longest_poll;
            longest.store(longest.load(Ordering::Relaxed).max(lasted), Ordering::Relaxed);
        }
        if let Some(traced) = &mut traced {
            traced.ends = done;
        }
        done
    }
}

impl<P: Platform, const BANKS: usize, const PER_BANK: usize> Rounds for Executor<P, BANKS, PER_BANK> {
    const SEVERAL: bool = BANKS > 1;

    #[inline(always)]
    fn read_clock(&self) -> Instant {
        self.platform.now()
    }

    #[inline(always)]
    fn pass_begins(&self, now: Instant) {
        self.platform.pass_begins(now);
    }

    #[inline(always)]
    fn poll_rounds(&self, exec: ExecRef, kept: Kept, left: u32, least: u32) -> u32 {
        // SAFETY: called by the runner, in no poll.
        unsafe {
            match (BANKS, Self::OBSERVES) {
                (1, false) => poll_bank::<false>(exec, kept, left, least),
                (1, true) => poll_bank::<true>(exec, kept, left, least),
                (_, false) => poll_banks::<false>(exec, left, least),
                (_, true) => poll_banks::<true>(exec, left, least),
            }
        }
    }
}

impl<P: Platform, const BANKS: usize, const PER_BANK: usize> fmt::Debug for Executor<P, BANKS, PER_BANK> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor")
            .field("capacity", &Self::CAPACITY)
            .field("running", &self.memory.core.running_slot())
            .finish_non_exhaustive()
    }
}
