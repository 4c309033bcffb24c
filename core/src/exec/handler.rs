//! An executor whose runner is an interrupt's handler.

use core::fmt;

use super::executor::Executor;
use super::run::platform::Platform;
use super::runner::{AlreadyStarted, Runner};

/// A started executor that an interrupt's handler drives; made by [`Executor::start_in_handler`].
///
/// The platform's [`pend`](Platform::pend) pends the interrupt, so a wake leads to
/// [`on_interrupt`](Self::on_interrupt); the executor's tasks then pre-empt whatever runs below the
/// interrupt's priority, tasks of a thread-mode executor included. A board keeps the handler where its vector
/// table finds it: it is two words, without the executor's type.
///
/// There is one for an executor, so whoever has it by value can bind it to one interrupt only.
pub struct Handler {
    drive: unsafe fn(*const ()),
    executor: *const (),
}

// SAFETY: a handler leads to a static executor, which is `Sync`; what may only happen in one context is
// unsafe to call.
unsafe impl Send for Handler {}
// SAFETY: the same.
unsafe impl Sync for Handler {}

impl Handler {
    /// What the interrupt does: a pass over what is due and woken, then the alarm. If the pass ended at its
    /// bound, the interrupt is pended again.
    ///
    /// # Safety
    ///
    /// All calls are made from one context which isn't entered twice at once: the handler of one interrupt on
    /// one core. That is the runner's context (Executor Invariant 5).
    #[inline]
    pub unsafe fn on_interrupt(&self) {
        // SAFETY: `start_in_handler` put function and executor together, and the caller is the runner's
        // context.
        unsafe { (self.drive)(self.executor) }
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handler").field(&self.executor).finish()
    }
}

impl<P: Platform, const BANKS: usize, const PER_BANK: usize> Executor<P, BANKS, PER_BANK> {
    /// Starts the executor, for ever, as one that an interrupt's handler drives. Give the [`Handler`] to the
    /// board, which binds it to the interrupt that the platform pends; tasks are spawned by
    /// [`spawn`](Self::spawn), from any context, before or after.
    ///
    /// # Errors
    ///
    /// [`AlreadyStarted`] when the executor has been started before, in whatever way.
    pub fn start_in_handler(&'static self) -> Result<Handler, AlreadyStarted> {
        // The runner is made anew by each call of `drive`: it holds nothing but the executor.
        self.start().map(|_runner| Handler { drive: Self::drive, executor: core::ptr::from_ref(self).cast() })
    }

    /// # Safety
    ///
    /// `executor` is of this type and was started by `start_in_handler`; the caller is the runner's context.
    unsafe fn drive(executor: *const ()) {
        // SAFETY: the caller's promise.
        let executor: &'static Self = unsafe { &*executor.cast() };
        Runner::new(executor).drive();
    }
}
