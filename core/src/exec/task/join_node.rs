//! Where whoever waits for a task or a region leaves a waker.

use core::cell::UnsafeCell;
use core::marker::PhantomPinned;
use core::task::Waker;

/// Where a join, or a wait for a region, waits.
///
/// # Join Node Invariant
///
/// A header's `joiner` and a region's `waiter`, while not null, point to the node of a pinned, live future;
/// they are set, cleared and followed under the executor's lock, and cleared before the future goes. (In a
/// header whose phase is *claimed* a node may stay behind: nobody follows it there, and the slot's release
/// clears it.)
pub(in crate::exec) struct JoinNode {
    waker: UnsafeCell<Option<Waker>>,
    _pinned: PhantomPinned,
}

impl JoinNode {
    pub const fn new() -> Self {
        Self { waker: UnsafeCell::new(None), _pinned: PhantomPinned }
    }

    /// Exchanges the waker.
    ///
    /// # Safety
    ///
    /// The caller holds the lock of the executor at which the node is registered.
    pub unsafe fn swap_waker(&self, waker: &mut Option<Waker>) {
        // SAFETY: the caller's promise.
        unsafe { core::ptr::swap(self.waker.get(), waker) }
    }

    /// Takes the waker of a node that is registered; the node stays.
    ///
    /// # Safety
    ///
    /// `node` is null or registered, and the caller holds that executor's lock.
    pub unsafe fn take_waker(node: *const Self) -> Option<Waker> {
        // SAFETY: Join Node Invariant.
        unsafe { if node.is_null() { None } else { (*(*node).waker.get()).take() } }
    }
}
