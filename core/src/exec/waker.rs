//! Wakers: one pointer and one static table.
//!
//! A waker leads to a task's slot, which is static. Cloning copies it, dropping does nothing, nothing is counted, and a waker
//! may outlive its task: a late wake sets a bit, which is discarded or costs the slot's next task one poll.

use core::mem::ManuallyDrop;
use core::task::{RawWaker, RawWakerVTable, Waker};

use super::bank::Bell;

/// The one table. It has no type parameter, since everything that depends on an executor's size is reached by arithmetic.
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, drop);

/// The waker that rings `bell`, not to be dropped: there is nothing to drop.
#[inline(always)]
pub(super) fn waker(bell: Bell) -> ManuallyDrop<Waker> {
    // SAFETY: the functions of the table uphold the waker contract for any bell: it leads to a static executor.
    ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(bell.into_raw(), &VTABLE)) })
}

unsafe fn clone(bell: *const ()) -> RawWaker {
    RawWaker::new(bell, &VTABLE)
}

unsafe fn wake(bell: *const ()) {
    // SAFETY: the table's functions are called with what `waker` stored.
    unsafe { Bell::from_raw(bell) }.ring();
}

unsafe fn drop(_: *const ()) {}
