//! The critical section: one lock for all threads, re-entrant.

use std::cell::RefCell;

use loom::sync::{Mutex, MutexGuard};

loom::lazy_static! {
    static ref LOCK: Mutex<()> = Mutex::new(());
}

loom::thread_local! {
    /// The lock, while this thread holds it.
    static HELD: RefCell<Option<MutexGuard<'static, ()>>> = RefCell::new(None);
}

struct OneLock;

critical_section::set_impl!(OneLock);

// SAFETY: the outermost section of a thread holds the one lock until it ends; the state says whether a
// section is an inner one.
unsafe impl critical_section::Impl for OneLock {
    unsafe fn acquire() -> bool {
        if HELD.with(|held| held.borrow().is_some()) {
            return true;
        }
        let guard = LOCK.lock().unwrap();
        HELD.with(|held| held.replace(Some(guard)));
        false
    }

    unsafe fn release(inner: bool) {
        if !inner {
            let guard = HELD.with(RefCell::take);
            drop(guard);
        }
    }
}
