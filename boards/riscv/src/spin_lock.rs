//! A lock between harts.

use core::sync::atomic::{AtomicUsize, Ordering};

/// The part of a critical section that keeps the other harts out. A hart masks its own interrupts first, and
/// keeps them masked while it holds the lock; so the lock is held for a short time, and a hart never meets
/// itself.
///
/// Whoever holds it may enter again. Not fair: of several harts that wait, any may come next.
pub struct SpinLock {
    /// The number of the hart that holds it and 1, or [`FREE`].
    owner: AtomicUsize,
}

const FREE: usize = 0;

impl SpinLock {
    /// Held by nobody.
    pub const fn new() -> Self {
        Self { owner: AtomicUsize::new(FREE) }
    }

    /// Waits for the lock and takes it on behalf of `hart`, the one that calls; passes the time with `relax`.
    /// Returns false if that one held it already: then it is not to be released.
    #[inline]
    pub fn lock(&self, hart: usize, relax: fn()) -> bool {
        let me = hart + 1;
        // Nobody else writes this hart's number, so the comparison needs no order.
        if self.owner.load(Ordering::Relaxed) == me {
            return false;
        }
        if !self.take(me) {
            self.wait(me, relax);
        }
        true
    }

    #[inline]
    fn take(&self, me: usize) -> bool {
        self.owner.compare_exchange(FREE, me, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Out of line, as it is rare and critical sections are many.
    #[cold]
    fn wait(&self, me: usize, relax: fn()) {
        while !self.take(me) {
            relax();
        }
    }

    /// Gives back what [`lock`](Self::lock) took.
    #[inline]
    pub fn unlock(&self) {
        self.owner.store(FREE, Ordering::Release);
    }
}

impl Default for SpinLock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use core::cell::UnsafeCell;
    use std::thread::{self, yield_now};

    use super::*;

    #[test]
    fn who_holds_it_may_enter_again_and_releases_it_once() {
        let lock = SpinLock::new();
        assert!(lock.lock(0, yield_now));
        assert!(!lock.lock(0, yield_now));
        lock.unlock();
        assert!(lock.lock(1, yield_now), "it is free");
    }

    #[test]
    fn one_at_a_time_is_inside() {
        const ROUNDS: usize = 10_000;
        struct Count(UnsafeCell<usize>);
        // SAFETY: the count is touched under the lock only.
        unsafe impl Sync for Count {}
        let (lock, count) = (SpinLock::new(), Count(UnsafeCell::new(0)));
        thread::scope(|scope| {
            for hart in 0..2 {
                let (lock, count) = (&lock, &count);
                scope.spawn(move || {
                    for _ in 0..ROUNDS {
                        assert!(lock.lock(hart, yield_now));
                        // SAFETY: the lock is held.
                        unsafe { *count.0.get() += 1 };
                        lock.unlock();
                    }
                });
            }
        });
        assert_eq!(count.0.into_inner(), 2 * ROUNDS);
    }
}
