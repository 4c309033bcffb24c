//! Memory for futures that have no room in a slot.

use std::alloc::{Layout, alloc, dealloc};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use trilane::exec::Allocator;

/// How many futures were ever too large for their slot.
static BOXED: AtomicU64 = AtomicU64::new(0);

pub(super) fn boxed() -> u64 {
    BOXED.load(Relaxed)
}

/// The allocator of the program.
pub(super) struct Heap;

// SAFETY: memory of the global allocator is free and of the layout until it is given back.
unsafe impl Allocator for Heap {
    fn allocate(layout: Layout) -> Option<NonNull<()>> {
        BOXED.fetch_add(1, Relaxed);
        // SAFETY: the layout isn't empty.
        NonNull::new(unsafe { alloc(layout) }.cast())
    }

    unsafe fn release(storage: *mut (), layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { dealloc(storage.cast(), layout) }
    }
}
