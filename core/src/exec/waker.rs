//! Wakers: one pointer and one static table.
//!
//! A waker leads to a task's slot, which is static. Cloning copies it, dropping does nothing, nothing is counted, and a waker
//! may outlive its task: a late wake sets a bit, which is discarded or costs the slot's next task one poll.

use core::mem::ManuallyDrop;
use core::ptr;
use core::task::{Context, RawWaker, RawWakerVTable, Waker};

use super::bank::Bell;
use super::header::Header;

/// The one table. It has no type parameter, since everything that depends on an executor's size is reached by arithmetic.
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, drop);

/// The waker that rings `bell`, not to be dropped: there is nothing to drop.
#[inline(always)]
pub(super) fn waker(bell: Bell) -> ManuallyDrop<Waker> {
    // SAFETY: the functions of the table uphold the waker contract for any bell: it leads to a static executor.
    ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(bell.into_raw(), &VTABLE)) })
}

/// The task that is polled with `cx`, unless something between has put a waker of its own in place of the task's.
#[inline(always)]
pub(super) fn polled(cx: &Context<'_>) -> Option<*const Header> {
    let waker = cx.waker();
    // SAFETY: what stands beside this table is a bell.
    ptr::eq(waker.vtable(), &VTABLE).then(|| unsafe { Bell::from_raw(waker.data()).header() })
}

unsafe fn clone(bell: *const ()) -> RawWaker {
    RawWaker::new(bell, &VTABLE)
}

unsafe fn wake(bell: *const ()) {
    // SAFETY: the table's functions are called with what `waker` stored.
    unsafe { Bell::from_raw(bell) }.ring();
}

unsafe fn drop(_: *const ()) {}
