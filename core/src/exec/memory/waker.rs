//! Wakers: one word and one static table.
//!
//! A waker leads to a task's slot, which is static. Cloning copies it, dropping does nothing, nothing is
//! counted, and a waker may outlive its task: a late wake sets a bit, which is discarded or costs the slot's
//! next task one poll.

use ::core::mem::ManuallyDrop;
use ::core::ptr;
use ::core::task::{Context, RawWaker, RawWakerVTable, Waker};

use super::core::TaskRef;

/// The one table. It has no type parameter, since everything that depends on an executor's size is reached by
/// arithmetic.
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, drop);

/// The waker of the task whose word this is, not to be dropped: there is nothing to drop.
///
/// # Safety
///
/// `word` comes from [`TaskRef::into_raw`].
#[inline(always)]
pub(in crate::exec) unsafe fn waker(word: *const ()) -> ManuallyDrop<Waker> {
    // SAFETY: the functions of the table uphold the waker contract for any task: it is a slot of a static
    // executor.
    ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(word, &VTABLE)) })
}

/// The task whose own waker this is.
#[inline(always)]
pub(in crate::exec) fn task_of(waker: &Waker) -> Option<TaskRef> {
    // SAFETY: what stands beside this table is a task.
    ptr::eq(waker.vtable(), &VTABLE).then(|| unsafe { TaskRef::from_raw(waker.data()) })
}

/// The task that is polled with `cx`, unless something between has put a waker of its own in place of the
/// task's.
#[inline(always)]
pub(in crate::exec) fn polled(cx: &Context<'_>) -> Option<TaskRef> {
    task_of(cx.waker())
}

/// A copy of the waker of `cx`, without a call if it is a task's own.
#[inline(always)]
pub(in crate::exec) fn keep(cx: &Context<'_>) -> Waker {
    match polled(cx) {
        // SAFETY: the word is a task's.
        Some(task) => ManuallyDrop::into_inner(unsafe { waker(task.into_raw()) }),
        None => cx.waker().clone(),
    }
}

unsafe fn clone(word: *const ()) -> RawWaker {
    RawWaker::new(word, &VTABLE)
}

unsafe fn wake(word: *const ()) {
    // SAFETY: the table's functions are called with what `waker` stored.
    unsafe { TaskRef::from_raw(word) }.wake();
}

unsafe fn drop(_: *const ()) {}
