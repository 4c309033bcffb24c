//! The executor: everything static, nothing running yet.

use core::fmt;
use core::mem::offset_of;

use super::bank::{Bank, BankHead};
use super::cancel::{CancelError, Reason};
use super::counters::Counters;
use super::cx::{Cx, DeadlineError};
use super::header::{Header, TaskId, TaskInfo, TaskState, reason, state};
use super::join::JoinHandle;
use super::members::Scope;
use super::options::{Miss, TaskOptions};
use super::platform::Platform;
use super::pool::TaskPool;
use super::region::{OpenError, Region, RegionInfo, RegionOptions};
use super::regions::Regions;
use super::runner::Runner;
use super::shared::{Core, Ops};
use super::spawn::{LocalSpawner, Owner, SpawnError, spawn};
use crate::arena::Stale;
use crate::bitmap::{self, MAX_BANKS, MAX_PER_BANK};
use crate::sched::{Fairness, Lanes, Node, Nodes, Priority};
use crate::sync::{CriticalSection, Guarded, Ordering, array_of, const_fn, with_lock};
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
    core: Core,
    pub(super) lanes: Guarded<Lanes<BANKS, PER_BANK>>,
    pub(super) platform: P,
    banks: [Bank<PER_BANK>; BANKS],
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

    const OPS: &'static Ops = &Ops {
        now: Self::op_now,
        pend: Self::op_pend,
        set_deadline: Self::op_set_deadline,
        set_priority: Self::op_set_priority,
        withdraw: Self::op_withdraw,
        trace: if P::TRACES { Some(Self::op_trace) } else { None },
    };

    const_fn! {
    /// An executor without tasks.
    pub const fn new(platform: P) -> Self {
        const {
            assert!(BANKS >= 1 && BANKS <= MAX_BANKS, "an executor has 1 to 32 banks");
            assert!(PER_BANK >= 1 && PER_BANK <= MAX_PER_BANK, "a bank holds 1 to 32 tasks");
        }
        let banks_at = offset_of!(Self, banks);
        let stride = size_of::<Bank<PER_BANK>>();
        let mut banks = array_of![Bank::new(BANKS, P::PENDS); BANKS];
        let mut number = 0;
        while number < BANKS {
            banks[number].head.place(number, banks_at + number * stride);
            number += 1;
        }
        Self {
            core: Core::new::<PER_BANK>(Self::OPS, BANKS, banks_at),
            lanes: Guarded::new(Lanes::new()),
            platform,
            banks,
        }
    }
    }

    const_fn! {
    /// Sets the bounds within which a lane may pass over lower ones.
    pub const fn with_fairness(mut self, fairness: Fairness) -> Self {
        self.lanes.get_mut().set_fairness(fairness);
        self
    }
    }

    const_fn! {
    /// Breaks ties among equal tasks by a generator with this seed; 0: by arrival.
    pub const fn with_seed(mut self, seed: u32) -> Self {
        self.lanes.get_mut().set_seed(seed);
        self
    }
    }

    /// Gives the executor room for regions. Without it, [`open_region`](Self::open_region) says that it is full.
    pub const fn with_regions<const N: usize>(mut self, regions: &'static Regions<N>) -> Self {
        self.core.regions = &regions.entries;
        self.core.scope = Some(Scope::REGIONS);
        self
    }

    /// Calls `hook` when a task whose options say [`OnMiss::Call`](super::OnMiss::Call) misses a deadline: from the runner,
    /// before the task is polled.
    pub const fn with_miss_hook(mut self, hook: fn(&Miss)) -> Self {
        self.core.miss_hook = Some(hook);
        self
    }

    /// Starts the executor in the context that calls this, for ever.
    ///
    /// # Errors
    ///
    /// [`AlreadyStarted`] at any further call.
    pub fn start(&'static self) -> Result<Runner<P, BANKS, PER_BANK>, AlreadyStarted> {
        if self.core.started.swap(true, Ordering::AcqRel) {
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

    /// Every region that is open or closing: a dump. Each line is true at some instant during the call. O(table).
    pub fn regions(&'static self) -> impl Iterator<Item = RegionInfo> {
        // SAFETY: the executor is static and whole; the index is below the table's size.
        (0..self.core.regions.len()).filter_map(move |index| unsafe { Core::region_info(self.core(), index) })
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

    /// Looks a task up. O(1).
    ///
    /// # Errors
    ///
    /// [`Stale`] when its slot is empty or holds another task.
    pub fn task(&'static self, id: TaskId) -> Result<TaskInfo, Stale> {
        // SAFETY: the executor is static and whole.
        let header = unsafe { Core::header(self.core(), id.slot) }.ok_or(Stale)?;
        self.info(header, id.slot).filter(|info| info.id == id).ok_or(Stale)
    }

    /// Every task there is, lowest slot first: a dump. Each line is true at some instant during the call. O(capacity).
    pub fn tasks(&'static self) -> impl Iterator<Item = TaskInfo> {
        (0..BANKS).flat_map(move |bank| {
            (0..PER_BANK as u32).filter_map(move |index| {
                let slot = bitmap::slot(bank, index);
                self.info(self.header(bank, index), slot)
            })
        })
    }

    /// What has been counted so far.
    pub fn counters(&'static self) -> Counters {
        let mut counters = self.core.tally.read();
        // SAFETY: two numbers are read, nothing is called (Guarded Invariant).
        let (queued, deepest) =
            with_lock(|cs| unsafe { self.lanes.with(cs, |lanes| (lanes.len(), lanes.deepest())) });
        counters.deepest_lane = deepest as u32;
        // Every wake that was taken has led to a poll, to something in its place, or to a place in a lane.
        counters.wakes = counters.polls.wrapping_add(counters.diverted).wrapping_add(queued as u32);
        counters
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
    pub(super) fn bank(&'static self, bank: usize) -> *const BankHead {
        Slots(self).bank(bank)
    }

    #[inline(always)]
    pub(super) fn header(&'static self, bank: usize, index: u32) -> *const Header {
        Slots(self).header(bank, index)
    }

    fn info(&'static self, header: *const Header, slot: u16) -> Option<TaskInfo> {
        with_lock(|cs| {
            // SAFETY: the header is this executor's; under the critical section its node, attributes, table and generation hold
            // still.
            unsafe {
                let word = (*header).state.load(Ordering::Acquire);
                let id = TaskId { slot, generation: (*header).generation.load(Ordering::Acquire) };
                let state = match word & state::PHASE {
                    state::DONE => TaskState::Done,
                    state::LIVE if self.core.running_slot() == Some(slot) => TaskState::Running,
                    state::LIVE => match (*header).node.lane() {
                        Some(lane) => TaskState::Queued(lane),
                        None if Header::is_woken(header) => TaskState::Woken,
                        None => TaskState::Waiting,
                    },
                    _ => return None,
                };
                let name = match ((*header).attributes.get().name, (*header).vtable.peek()) {
                    (Some(name), _) => name,
                    (None, Some(vtable)) => (vtable.type_name)(),
                    (None, None) => return None,
                };
                Some(TaskInfo {
                    id,
                    name,
                    state,
                    priority: (*header).node.priority(),
                    deadline: if word & state::REQUESTED == 0 {
                        (*header).node.deadline().map(Instant::from_micros)
                    } else {
                        None
                    },
                    cancelled: if word & state::REQUESTED == 0 { None } else { reason(word) },
                    region: Core::region_id_of(self.core(), cs, header),
                })
            }
        })
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

    unsafe fn op_trace(core: *const Core, event: super::trace::TraceEvent) {
        // SAFETY: as for `op_now`.
        unsafe { (*Self::of(core)).platform.trace(event) }
    }

    unsafe fn op_set_deadline(core: *const Core, cs: CriticalSection<'_>, slot: u16, deadline: Option<u64>) {
        let executor = Self::of(core);
        // SAFETY: as for `op_now`; lanes call nothing but `Slots` (Guarded Invariant).
        unsafe { (*executor).lanes.with(cs, |lanes| lanes.set_deadline(&Slots(executor), slot, deadline)) }
    }

    unsafe fn op_withdraw(core: *const Core, cs: CriticalSection<'_>, slot: u16, until: u64) {
        let executor = Self::of(core);
        // SAFETY: as for `op_set_deadline`.
        unsafe {
            let empty = (*executor).lanes.with(cs, |lanes| {
                lanes.remove(&Slots(executor), slot);
                lanes.set_deadline(&Slots(executor), slot, Some(until));
                lanes.is_empty()
            });
            if empty {
                (*executor).core.queued.store(0, Ordering::Relaxed);
            }
        }
    }

    unsafe fn op_set_priority(core: *const Core, cs: CriticalSection<'_>, slot: u16, priority: Priority) {
        let executor = Self::of(core);
        // SAFETY: as for `op_set_deadline`.
        unsafe { (*executor).lanes.with(cs, |lanes| lanes.set_priority(&Slots(executor), slot, priority)) }
    }
}

impl<P: Platform, const BANKS: usize, const PER_BANK: usize> fmt::Debug for Executor<P, BANKS, PER_BANK> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor")
            .field("capacity", &Self::CAPACITY)
            .field("running", &self.core.running_slot())
            .finish_non_exhaustive()
    }
}

/// The headers' nodes, for the lanes. Holds a whole, static executor.
pub(super) struct Slots<P: Platform, const BANKS: usize, const PER_BANK: usize>(
    pub *const Executor<P, BANKS, PER_BANK>,
);

impl<P: Platform, const BANKS: usize, const PER_BANK: usize> Slots<P, BANKS, PER_BANK> {
    #[inline(always)]
    fn bank(&self, bank: usize) -> *const BankHead {
        let at = offset_of!(Executor<P, BANKS, PER_BANK>, banks) + bank * size_of::<Bank<PER_BANK>>();
        // SAFETY: `bank` is below BANKS, as every slot number in this crate is made from a bank that exists.
        unsafe { self.0.byte_add(at).cast() }
    }

    /// The header of `slot`, which is one of this executor's.
    #[inline(always)]
    pub fn locate(&self, slot: u16) -> *const Header {
        // With one bank the slot is the index.
        let (bank, index) = if BANKS == 1 { (0, slot.into()) } else { bitmap::split(slot) };
        self.header(bank, index)
    }

    #[inline(always)]
    fn header(&self, bank: usize, index: u32) -> *const Header {
        // SAFETY: the same, and `index` is below PER_BANK.
        unsafe { BankHead::header(self.bank(bank), index) }
    }
}

impl<P: Platform, const BANKS: usize, const PER_BANK: usize> Nodes for Slots<P, BANKS, PER_BANK> {
    #[inline(always)]
    fn node(&self, slot: u16) -> &Node {
        // SAFETY: lanes hold slots of this executor only.
        unsafe { &(*self.locate(slot)).node }
    }
}
