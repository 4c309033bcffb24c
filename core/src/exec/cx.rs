//! A task's handle on its executor.

use core::fmt;

use super::cancel::{CancelError, Reason, Shield, UntilCancelled, WhenCancelled};
use super::header::{Header, TaskId, state};
use super::join::JoinHandle;
use super::options::TaskOptions;
use super::pool::TaskPool;
use super::region::{OpenError, Region, RegionId, RegionOptions};
use super::shared::Core;
use super::sleep::{Delay, Interval, MissedTick, Sleep, Timeout, ZeroPeriod};
use super::spawn::{Owner, SpawnError, spawn};
use super::task::{YieldNow, yield_now};
use crate::arena::Stale;
use crate::sched::Priority;
use crate::sync::{Ordering, with_lock};
use crate::time::{Duration, Instant};

/// What a task knows of where it runs: passed to it when it is spawned, two words, free to copy and to send anywhere.
///
/// It stays valid when the task has ended, because the executor is static: changing, spawning and opening regions then
/// report that it is stale, sleeps and the clock go on working.
#[derive(Clone, Copy)]
pub struct Cx {
    header: *const Header,
    generation: u32,
}

// SAFETY: a `Cx` leads to a static header, whose shared fields are atomic or under the critical section (Executor
// Invariant 1 and 3); every operation on it is allowed from any context.
unsafe impl Send for Cx {}
// SAFETY: the same.
unsafe impl Sync for Cx {}

impl Cx {
    /// # Safety
    ///
    /// `header` is derived from a pointer to its whole, static executor and claimed by the caller.
    pub(super) unsafe fn new(header: *const Header) -> Self {
        // SAFETY: the caller's promise.
        Self { header, generation: unsafe { Header::id(header) }.generation }
    }

    /// The task's id.
    pub fn id(&self) -> TaskId {
        // SAFETY: the header comes from `new`.
        TaskId { slot: unsafe { Header::slot(self.header) }, generation: self.generation }
    }

    /// The platform's time now.
    pub fn now(&self) -> Instant {
        // SAFETY: the core is this header's own, and so is the operation.
        unsafe { ((*self.core()).ops.now)(self.core()) }
    }

    /// Waits for at least `span` from now; see [`Sleep`]. Arming is O(log n) in the number of armed sleeps.
    ///
    /// # Errors
    ///
    /// [`Cancelled`](super::Cancelled) when the task is asked to stop.
    pub fn sleep(&self, span: Duration) -> Sleep {
        self.sleep_until(self.now() + span)
    }

    /// Waits until `due`. One that has passed is over at the next pass of the executor.
    ///
    /// # Errors
    ///
    /// As for [`sleep`](Self::sleep).
    pub fn sleep_until(&self, due: Instant) -> Sleep {
        // SAFETY: the core belongs to a static executor.
        unsafe { Sleep::new(self.core(), due) }
    }

    /// Gives `future` until `span` from now; see [`Timeout`].
    ///
    /// # Errors
    ///
    /// [`TimeoutError`](super::TimeoutError) when the time is up, or the task is asked to stop, before it is ready.
    pub fn timeout<F: Future>(&self, span: Duration, future: F) -> Timeout<F> {
        Timeout::new(self.sleep(span), future)
    }

    /// Ticks every `period`, the first time one `period` from now.
    ///
    /// # Errors
    ///
    /// [`ZeroPeriod`] when `period` is zero.
    pub fn interval(&self, period: Duration, missed: MissedTick) -> Result<Interval, ZeroPeriod> {
        Interval::new(*self, period, missed)
    }

    /// An `embedded-hal-async` delay for drivers.
    pub fn delay(&self) -> Delay {
        Delay::new(*self)
    }

    /// Lets others run; see [`YieldNow`].
    pub fn yield_now(&self) -> YieldNow {
        yield_now()
    }

    /// Changes the task's deadline; `None` moves it to the ready lane. A queued task is moved in place, at once, from any
    /// context. O(log N).
    ///
    /// # Errors
    ///
    /// [`DeadlineError`] when the task has ended or was asked to stop, or `deadline` lies before the executor's latest pass;
    /// nothing changes.
    pub fn set_deadline(&self, deadline: Option<Instant>) -> Result<(), DeadlineError> {
        // SAFETY: the core belongs to a static executor.
        unsafe { Core::set_deadline(self.core(), self.id(), deadline) }
    }

    /// Changes the task's priority. A queued task is moved in place, at once, from any context. O(1), in the timed lane
    /// O(log N).
    ///
    /// # Errors
    ///
    /// [`Stale`] when the task has ended.
    pub fn set_priority(&self, priority: Priority) -> Result<(), Stale> {
        // SAFETY: the core belongs to a static executor.
        unsafe { Core::set_priority(self.core(), self.id(), priority) }
    }

    /// Whether the task was asked to stop; false inside a [`shield`](Self::shield). From the request on, the waits of this
    /// crate return errors at once: clean up and return.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled_for().is_some()
    }

    /// Why the task was asked to stop, if it was and isn't in a shield.
    pub fn cancelled_for(&self) -> Option<Reason> {
        // SAFETY: headers are static (Executor Invariant 1).
        unsafe { if (*self.header).is_live(self.generation) { (*self.header).heard() } else { None } }
    }

    /// Waits until the task is asked to stop; see [`WhenCancelled`].
    pub fn cancelled(&self) -> WhenCancelled {
        WhenCancelled(*self)
    }

    /// Runs `future`, of whatever kind, until the task is asked to stop; see [`UntilCancelled`].
    ///
    /// # Errors
    ///
    /// [`Cancelled`](super::Cancelled) when that happens before it is ready.
    pub fn run_until_cancelled<F: Future>(&self, future: F) -> UntilCancelled<F> {
        UntilCancelled { cx: *self, future }
    }

    /// Runs `future` as if the task had not been asked to stop: for what must not be torn, and for clean-up that itself
    /// waits; see [`Shield`].
    pub fn shield<F: Future>(&self, future: F) -> Shield<F> {
        Shield { cx: *self, future }
    }

    /// Asks another task of the executor to stop, for [`Reason::User`]. Any context; O(log N).
    ///
    /// # Errors
    ///
    /// [`CancelError::Oneself`] when `id` is this task's, [`CancelError::Stale`] when it has ended.
    pub fn cancel(&self, id: TaskId) -> Result<(), CancelError> {
        if id == self.id() {
            return Err(CancelError::Oneself);
        }
        // SAFETY: the core belongs to a static executor.
        unsafe { Core::cancel(self.core(), id, Reason::User) }
    }

    /// Opens a region inside the task's own. O(table).
    ///
    /// # Errors
    ///
    /// [`OpenError`] when the executor's table is full, the task's region is closing or the task has ended.
    pub fn open_region(&self, options: RegionOptions) -> Result<Region, OpenError> {
        // SAFETY: the core belongs to a static executor.
        unsafe { Ok(Region::new(self.core(), Core::open_region(self.core(), self.owner(), options)?)) }
    }

    /// The region that owns the task; `None` when none does, or the task has ended.
    pub fn region(&self) -> Option<RegionId> {
        // SAFETY: the core belongs to a static executor.
        with_lock(|cs| unsafe {
            self.owner().region(self.core(), cs).ok()?;
            Core::region_id_of(self.core(), cs, self.header)
        })
    }

    /// Whether `header` is this task's.
    pub(super) fn is_of(&self, header: *const Header) -> bool {
        // SAFETY: headers are static (Executor Invariant 1).
        header == self.header && unsafe { (*header).is_live(self.generation) }
    }

    fn owner(&self) -> Owner {
        Owner::Task(self.header, self.generation)
    }

    /// Spawns a task on the same executor, in the task's own region; see [`Executor::spawn`](super::Executor::spawn).
    ///
    /// # Errors
    ///
    /// As for [`Executor::spawn`](super::Executor::spawn); and when the task has ended, or its region is closing.
    pub fn spawn<B, F, const BYTES: usize, const SLOTS: usize>(
        &self,
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

    /// Spawns a task on the same executor, in the task's own region unless the options name another; see
    /// [`Executor::spawn_with`](super::Executor::spawn_with).
    ///
    /// # Errors
    ///
    /// As for [`spawn`](Self::spawn).
    pub fn spawn_with<B, F, const BYTES: usize, const SLOTS: usize>(
        &self,
        options: TaskOptions,
        pool: &'static TaskPool<BYTES, SLOTS>,
        build: B,
    ) -> Result<JoinHandle<F::Output>, SpawnError<B>>
    where
        B: FnOnce(Cx) -> F,
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        // SAFETY: the core belongs to a static executor, and the future is `Send`.
        unsafe { spawn(self.core(), self.owner(), options, pool, build) }
    }

    fn core(&self) -> *const Core {
        // SAFETY: the header comes from `new`.
        unsafe { Header::core(self.header) }
    }
}

impl fmt::Debug for Cx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cx").field(&self.id()).finish()
    }
}

/// Why a deadline was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DeadlineError {
    /// The task has ended.
    Stale,
    /// The deadline lies before the time of the executor's latest pass.
    Passed,
    /// The task was asked to stop, and has no deadline any more but the end of its clean-up.
    Cancelled,
}

impl fmt::Display for DeadlineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale => Stale.fmt(f),
            Self::Passed => f.write_str("the deadline has passed already: give one that is still to come"),
            Self::Cancelled => f.write_str("the task was asked to stop: no deadline holds for it any more"),
        }
    }
}

impl core::error::Error for DeadlineError {}

impl Core {
    /// # Safety
    ///
    /// `core` points into a whole, static executor.
    pub(super) unsafe fn set_deadline(
        core: *const Core,
        id: TaskId,
        deadline: Option<Instant>,
    ) -> Result<(), DeadlineError> {
        // SAFETY: the caller's promise; the operation is this executor's own.
        unsafe {
            with_lock(|cs| {
                let header = Self::live(core, id).ok_or(DeadlineError::Stale)?;
                let word = (*header).state.load(Ordering::Relaxed);
                if word & state::REQUESTED != 0 {
                    return Err(DeadlineError::Cancelled);
                }
                let now = (*core).clock.with(cs, |clock| clock.now);
                if deadline.is_some_and(|deadline| deadline < now) {
                    return Err(DeadlineError::Passed);
                }
                ((*core).ops.set_deadline)(core, cs, id.slot, deadline.map(Instant::as_micros));
                if word & state::MISSED != 0 {
                    (*header).state.fetch_and(!state::MISSED, Ordering::Relaxed);
                }
                (*header).vtable.set_timed((*header).node.deadline().is_some());
                Ok(())
            })
        }
    }

    /// # Safety
    ///
    /// `core` points into a whole, static executor.
    pub(super) unsafe fn set_priority(
        core: *const Core,
        id: TaskId,
        priority: Priority,
    ) -> Result<(), Stale> {
        // SAFETY: the caller's promise; the operation is this executor's own.
        unsafe {
            with_lock(|cs| {
                Self::live(core, id).ok_or(Stale)?;
                ((*core).ops.set_priority)(core, cs, id.slot, priority);
                Ok(())
            })
        }
    }

    /// The header of a task that has not ended.
    ///
    /// # Safety
    ///
    /// `core` points into a whole, static executor.
    pub(super) unsafe fn live(core: *const Core, id: TaskId) -> Option<*const Header> {
        // SAFETY: the caller's promise.
        unsafe { Self::header(core, id.slot).filter(|header| (**header).is_live(id.generation)) }
    }
}
