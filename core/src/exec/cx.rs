//! A task's handle on its executor.

use core::fmt;

use super::header::{Header, TaskId, state};
use super::join::JoinHandle;
use super::options::TaskOptions;
use super::pool::TaskPool;
use super::shared::Core;
use super::sleep::{Delay, Interval, MissedTick, Sleep, Timeout, ZeroPeriod};
use super::spawn::{SpawnError, spawn};
use super::task::{YieldNow, yield_now};
use crate::arena::Stale;
use crate::sched::Priority;
use crate::sync::{Ordering, with_lock};
use crate::time::{Duration, Instant};

/// What a task knows of where it runs: passed to it when it is spawned, two words, free to copy and to send anywhere.
///
/// It stays valid when the task has ended: the operations on the task itself then report [`Stale`], the others go on
/// working, because the executor is static.
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

    /// Waits for at least `span` from now.
    pub fn sleep(&self, span: Duration) -> Sleep {
        self.sleep_until(self.now() + span)
    }

    /// Waits until `due`. One that has passed is over at the next pass of the executor.
    pub fn sleep_until(&self, due: Instant) -> Sleep {
        // SAFETY: the core belongs to a static executor.
        unsafe { Sleep::new(self.core(), due) }
    }

    /// Gives `future` until `span` from now.
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
    /// [`DeadlineError`] when the task has ended or `deadline` lies before the executor's latest pass; nothing changes.
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

    /// Spawns a task on the same executor; see [`Executor::spawn`](super::Executor::spawn).
    ///
    /// # Errors
    ///
    /// As for [`Executor::spawn`](super::Executor::spawn).
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

    /// Spawns a task on the same executor; see [`Executor::spawn_with`](super::Executor::spawn_with).
    ///
    /// # Errors
    ///
    /// As for [`Executor::spawn`](super::Executor::spawn).
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
        unsafe { spawn(self.core(), options, pool, build) }
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
}

impl fmt::Display for DeadlineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale => Stale.fmt(f),
            Self::Passed => f.write_str("the deadline has passed already: give one that is still to come"),
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
                let now = (*core).clock.with(cs, |clock| clock.now);
                if deadline.is_some_and(|deadline| deadline < now) {
                    return Err(DeadlineError::Passed);
                }
                ((*core).ops.set_deadline)(core, cs, id.slot, deadline.map(Instant::as_micros));
                if (*header).state.load(Ordering::Relaxed) & state::MISSED != 0 {
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
    unsafe fn live(core: *const Core, id: TaskId) -> Option<*const Header> {
        // SAFETY: the caller's promise.
        unsafe { Self::header(core, id.slot).filter(|header| (**header).is_live(id.generation)) }
    }
}
