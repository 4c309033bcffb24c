//! The executor: everything static, nothing running yet.

use core::fmt;
use core::mem::offset_of;

use super::bank::{Bank, Bell};
use super::cancel::{CancelError, Reason};
use super::cx::{Cx, DeadlineError};
use super::header::{Header, TaskId};
use super::join::JoinHandle;
use super::members::Scope;
use super::options::{Miss, TaskOptions};
use super::platform::Platform;
use super::pool::TaskPool;
use super::region::{OpenError, Region, RegionOptions};
use super::regions::Regions;
use super::runner::Runner;
use super::shared::{Core, Ops};
use super::slots::{Slots, Tasks};
use super::spawn::{LocalSpawner, Owner, SpawnError, spawn};
use super::task::PollTask;
use super::trace::{PollTrace, TraceEvent};
use crate::arena::Stale;
use crate::bitmap::{MAX_BANKS, MAX_PER_BANK};
use crate::sched::{Fairness, Lanes, Priority};
use crate::sync::{Guarded, Ordering, array_of, const_fn};
use crate::time::Instant;

/// An executor for up to `BANKS * PER_BANK` tasks, in static memory.
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
    tasks: Tasks<BANKS, PER_BANK>,
    pub(super) platform: P,
}

// SAFETY: what is shared is atomic or under the critical section; the rest is the runner's, of which there is one
// (Executor Invariant 3 and 5). The platform is `Sync` by its trait.
unsafe impl<P: Platform, const BANKS: usize, const PER_BANK: usize> Sync for Executor<P, BANKS, PER_BANK> {}

/// The executor has been started before; it has one runner for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AlreadyStarted;

impl fmt::Display for AlreadyStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the executor has been started before: keep the runner of the first start")
    }
}

impl core::error::Error for AlreadyStarted {}

impl<P: Platform, const BANKS: usize, const PER_BANK: usize> Executor<P, BANKS, PER_BANK> {
    /// The most tasks at a time.
    pub const CAPACITY: usize = BANKS * PER_BANK;

    /// Whether the platform looks on at polls.
    pub(super) const OBSERVES: bool = P::TRACES || P::TIMES_POLLS;

    const OPS: &'static Ops = &Ops {
        now: Self::op_now,
        pend: Self::op_pend,
        set_deadline: Slots::<BANKS, PER_BANK>::set_deadline,
        set_priority: Slots::<BANKS, PER_BANK>::set_priority,
        withdraw: Slots::<BANKS, PER_BANK>::withdraw,
        trace: if P::TRACES { Some(Self::op_trace) } else { None },
        observe: if Self::OBSERVES { Some(Self::op_observe) } else { None },
    };

    const_fn! {
    /// An executor without tasks.
    pub const fn new(platform: P) -> Self {
        const {
            assert!(BANKS >= 1 && BANKS <= MAX_BANKS, "an executor has 1 to 32 banks");
            assert!(PER_BANK >= 1 && PER_BANK <= MAX_PER_BANK, "a bank holds 1 to 32 tasks");
        }
        let banks_at = offset_of!(Tasks<BANKS, PER_BANK>, banks);
        let stride = size_of::<Bank<PER_BANK>>();
        let mut banks = array_of![Bank::new(BANKS, P::PENDS); BANKS];
        let mut number = 0;
        while number < BANKS {
            banks[number].head.place(number, banks_at + number * stride);
            number += 1;
        }
        let core = Core::new::<PER_BANK>(Self::OPS, BANKS, banks_at);
        Self { tasks: Tasks { core, lanes: Guarded::new(Lanes::new()), banks }, platform }
    }
    }

    const_fn! {
    /// Sets the bounds within which a lane may pass over lower ones.
    pub const fn with_fairness(mut self, fairness: Fairness) -> Self {
        self.tasks.lanes.get_mut().set_fairness(fairness);
        self
    }
    }

    const_fn! {
    /// Breaks ties among equal tasks by a generator with this seed; 0: by arrival.
    pub const fn with_seed(mut self, seed: u32) -> Self {
        self.tasks.lanes.get_mut().set_seed(seed);
        self
    }
    }

    /// Gives the executor room for regions. Without it, [`open_region`](Self::open_region) says that it is full.
    pub const fn with_regions<const N: usize>(mut self, regions: &'static Regions<N>) -> Self {
        self.tasks.core.regions = &regions.entries;
        self.tasks.core.scope = Some(Scope::REGIONS);
        self
    }

    /// Calls `hook` when a task whose options say [`OnMiss::Call`](super::OnMiss::Call) misses a deadline: from the runner,
    /// before the task is polled.
    pub const fn with_miss_hook(mut self, hook: fn(&Miss)) -> Self {
        self.tasks.core.miss_hook = Some(hook);
        self
    }

    /// Starts the executor in the context that calls this, for ever.
    ///
    /// # Errors
    ///
    /// [`AlreadyStarted`] at any further call.
    pub fn start(&'static self) -> Result<Runner<P, BANKS, PER_BANK>, AlreadyStarted> {
        if self.tasks.core.started.swap(true, Ordering::AcqRel) {
            return Err(AlreadyStarted);
        }
        Ok(Runner::new(self))
    }

    /// Starts the executor, lets `init` spawn, and runs for ever.
    ///
    /// # Panics
    ///
    /// When the executor has been started before.
    pub fn run(&'static self, init: impl FnOnce(LocalSpawner<P, BANKS, PER_BANK>)) -> ! {
        let Ok(mut runner) = self.start() else { panic!("{AlreadyStarted}") };
        init(runner.spawner());
        runner.run()
    }

    /// Spawns a task with default options, from any context, interrupts included.
    ///
    /// `build` is called with the task's [`Cx`] once there is room, and makes the future in the caller's context; an
    /// `async fn(Cx)` is such a function. O(banks), and one wake.
    ///
    /// # Errors
    ///
    /// [`SpawnError`] when the pool or the executor is full, or the executor shuts down; `build` comes back uncalled.
    ///
    /// A future that doesn't fit the pool is an error when the program is built.
    pub fn spawn<B, F, const BYTES: usize, const SLOTS: usize>(
        &'static self,
        pool: &'static TaskPool<BYTES, SLOTS>,
        build: B,
    ) -> Result<JoinHandle<F::Output>, SpawnError<B>>
    where
        B: FnOnce(Cx) -> F,
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_with(TaskOptions::new(), pool, build)
    }

    /// Spawns a task; see [`spawn`](Self::spawn).
    ///
    /// # Errors
    ///
    /// As for [`spawn`](Self::spawn); and when the deadline has passed, or the region of the options is closing or has used
    /// up its quota.
    pub fn spawn_with<B, F, const BYTES: usize, const SLOTS: usize>(
        &'static self,
        options: TaskOptions,
        pool: &'static TaskPool<BYTES, SLOTS>,
        build: B,
    ) -> Result<JoinHandle<F::Output>, SpawnError<B>>
    where
        B: FnOnce(Cx) -> F,
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        // SAFETY: the executor is static and whole, and the future is `Send`.
        unsafe { spawn(self.core(), Owner::Root, options, pool, build) }
    }

    /// Opens a region that is inside no other. O(table).
    ///
    /// # Errors
    ///
    /// [`OpenError`] when the table of [`with_regions`](Self::with_regions) is full, or the executor shuts down.
    pub fn open_region(&'static self, options: RegionOptions) -> Result<Region, OpenError> {
        // SAFETY: the executor is static and whole.
        unsafe { Ok(Region::new(self.core(), Core::open_region(self.core(), Owner::Root, options)?)) }
    }

    /// Asks a task to stop, for [`Reason::User`]. Any context; O(log N). The id is one of this executor's: those of two
    /// executors may be equal. An [`AbortHandle`](super::AbortHandle) needs no such care.
    ///
    /// # Errors
    ///
    /// [`CancelError::Stale`] when the task has ended.
    pub fn cancel(&'static self, id: TaskId) -> Result<(), CancelError> {
        // SAFETY: the executor is static and whole.
        unsafe { Core::cancel(self.core(), id, Reason::User) }
    }

    /// Asks every task to stop, for [`Reason::Shutdown`], and takes no new tasks and regions from now on, for ever. Any
    /// context; O(capacity + table), one task or region per critical section; [`tasks`](Self::tasks) tells when all have
    /// ended.
    pub fn shut_down(&'static self) {
        // SAFETY: the executor is static and whole.
        unsafe { Core::shut_down(self.core()) }
    }

    /// Changes a task's deadline; see [`Cx::set_deadline`]. The id is one of this executor's: those of two executors may be
    /// equal.
    ///
    /// # Errors
    ///
    /// As for [`Cx::set_deadline`].
    pub fn set_deadline(&'static self, id: TaskId, deadline: Option<Instant>) -> Result<(), DeadlineError> {
        // SAFETY: the executor is static and whole.
        unsafe { Core::set_deadline(self.core(), id, deadline) }
    }

    /// Changes a task's priority; see [`Cx::set_priority`]. The id is one of this executor's, as for
    /// [`set_deadline`](Self::set_deadline).
    ///
    /// # Errors
    ///
    /// [`Stale`] when the task has ended.
    pub fn set_priority(&'static self, id: TaskId, priority: Priority) -> Result<(), Stale> {
        // SAFETY: the executor is static and whole.
        unsafe { Core::set_priority(self.core(), id, priority) }
    }

    /// The platform.
    pub const fn platform(&self) -> &P {
        &self.platform
    }

    /// The core, with the provenance of the whole executor (Executor Invariant 1).
    #[inline(always)]
    pub(super) const fn core(&'static self) -> *const Core {
        (self as *const Self).cast()
    }

    #[inline(always)]
    pub(super) const fn slots(&'static self) -> Slots<BANKS, PER_BANK> {
        // SAFETY: the executor is static and whole.
        unsafe { Slots::of(self.core()) }
    }

    fn of(core: *const Core) -> *const Self {
        core.cast()
    }

    unsafe fn op_now(core: *const Core) -> Instant {
        // SAFETY: the operations of this table are called with this executor's core, its first field.
        unsafe { (*Self::of(core)).platform.now() }
    }

    unsafe fn op_pend(core: *const Core) {
        // SAFETY: as for `op_now`.
        unsafe { (*Self::of(core)).platform.pend() }
    }

    unsafe fn op_trace(core: *const Core, event: TraceEvent) {
        // SAFETY: as for `op_now`.
        unsafe { (*Self::of(core)).platform.trace(event) }
    }

    unsafe fn op_observe(core: *const Core, header: *const Header, poll: PollTask, bell: Bell) {
        // SAFETY: as for `op_now`; the rest is the caller's promise.
        unsafe {
            let platform = &(*Self::of(core)).platform;
            let _traced = P::TRACES.then(|| PollTrace::begin(platform, header));
            let started = if P::TIMES_POLLS { platform.ticks() } else { 0 };
            poll(header, bell);
            if P::TIMES_POLLS {
                let lasted = platform.ticks().wrapping_sub(started);
                let longest = &(*core).tally.longest_poll;
                longest.store(longest.load(Ordering::Relaxed).max(lasted), Ordering::Relaxed);
            }
        }
    }
}

impl<P: Platform, const BANKS: usize, const PER_BANK: usize> fmt::Debug for Executor<P, BANKS, PER_BANK> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor")
            .field("capacity", &Self::CAPACITY)
            .field("running", &self.tasks.core.running_slot())
            .finish_non_exhaustive()
    }
}
