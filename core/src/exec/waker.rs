//! Wakers: one pointer and one static table.
//!
//! A waker is the address of a task header, which is static. Cloning copies it, dropping does nothing, nothing is counted,
//! and a waker may outlive its task: a late wake sets a bit, which is discarded or costs the slot's next task one poll.

use core::mem::ManuallyDrop;
use core::task::{RawWaker, RawWakerVTable, Waker};

use super::header::Header;

/// The one table: it has no type parameter, since everything that depends on the executor's size is reached by arithmetic
/// from the header.
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, drop);

/// The waker of `header`, not to be dropped: there is nothing to drop.
///
/// # Safety
///
/// `header` is derived from a pointer to its whole, static executor.
#[inline(always)]
pub(super) unsafe fn waker(header: *const Header) -> ManuallyDrop<Waker> {
    // SAFETY: the functions of the table uphold the waker contract for any header (Executor Invariant 1).
    ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(header.cast(), &VTABLE)) })
}

unsafe fn clone(header: *const ()) -> RawWaker {
    RawWaker::new(header, &VTABLE)
}

unsafe fn wake(header: *const ()) {
    // SAFETY: the pointer comes from `waker`, hence from a whole, static executor.
    unsafe { Header::wake(header.cast()) }
}

unsafe fn drop(_: *const ()) {}
