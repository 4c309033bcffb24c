//! The one guard.

use core::mem::ManuallyDrop;

/// Calls a function when it goes out of scope, on unwinding too, unless it is [defused](Self::defuse).
pub(in crate::exec) struct OnDrop<F: FnOnce()>(ManuallyDrop<F>);

impl<F: FnOnce()> OnDrop<F> {
    #[inline(always)]
    pub fn new(call: F) -> Self {
        Self(ManuallyDrop::new(call))
    }

    /// Forgets the function.
    #[inline(always)]
    pub fn defuse(self) {
        core::mem::forget(self);
    }
}

impl<F: FnOnce()> Drop for OnDrop<F> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: taken once, here.
        unsafe { ManuallyDrop::take(&mut self.0)() }
    }
}
