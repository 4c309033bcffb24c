//! The system's allocator, with a count for each thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// Counts what each thread asks for.
pub struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// Whether the allocations of all threads are counted together.
static COUNTS_ALL: AtomicBool = AtomicBool::new(false);
static ALL: AtomicU64 = AtomicU64::new(0);

/// From now on counts the allocations of all threads together; returns how many there were so far.
pub fn allocations_of_all() -> u64 {
    COUNTS_ALL.store(true, Ordering::Relaxed);
    ALL.load(Ordering::Relaxed)
}

/// How often this thread has allocated or grown memory so far. What it frees is not counted.
pub fn allocations() -> u64 {
    ALLOCATIONS.get()
}

/// Whether the bytes are counted that all threads have and give back.
static COUNTS_BYTES: AtomicBool = AtomicBool::new(false);
static BYTES: AtomicI64 = AtomicI64::new(0);

/// By how many bytes the whole program has more memory after `body` than before.
pub fn bytes_of<R>(body: impl FnOnce() -> R) -> (R, i64) {
    let before = BYTES.load(Ordering::SeqCst);
    COUNTS_BYTES.store(true, Ordering::SeqCst);
    let result = body();
    COUNTS_BYTES.store(false, Ordering::SeqCst);
    (result, BYTES.load(Ordering::SeqCst) - before)
}

fn count_bytes(bytes: usize, sign: i64) {
    if COUNTS_BYTES.load(Ordering::Relaxed) {
        BYTES.fetch_add(bytes as i64 * sign, Ordering::Relaxed);
    }
}

fn count() {
    // A thread that is being torn down counts no more.
    let _gone = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
    if COUNTS_ALL.load(Ordering::Relaxed) {
        ALL.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        count_bytes(layout.size(), 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        count_bytes(layout.size(), 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count_bytes(layout.size(), -1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        count_bytes(layout.size(), -1);
        count_bytes(size, 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
