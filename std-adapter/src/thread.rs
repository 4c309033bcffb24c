//! One thread, in real time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use trilane::exec::Platform;
use trilane::time::Instant;

use crate::clock::Clock;
use crate::parker::Parker;

/// The platform of an executor that has an operating-system thread to itself.
///
/// Time counts from the first reading of [`now`](Platform::now). Between passes the thread is parked; the
/// alarm bounds how long, and a wake from any thread ends it. A wake costs one atomic swap, and a system call
/// only when the thread sleeps.
///
/// The first thread to idle is the owner for good.
///
/// # Panics
///
/// [`idle`](Platform::idle) panics when another thread than the owner calls it: wakes would go to the wrong
/// thread.
///
/// # Examples
///
/// ```
/// use trilane::exec::Platform;
/// use trilane::time::Duration;
/// use trilane_std::thread::Thread;
///
/// static THREAD: Thread = Thread::new();
///
/// let started = THREAD.now();
/// THREAD.set_alarm(Some(started + Duration::from_millis(1)));
/// while THREAD.now() - started < Duration::from_millis(1) {
///     THREAD.idle(&|| true);
/// }
/// ```
#[derive(Debug)]
pub struct Thread {
    clock: Clock,
    /// In microseconds; the largest value stands for none. Used by the owner only.
    alarm: AtomicU64,
    parker: Parker,
}

impl Thread {
    /// The platform of the thread that will first idle on it.
    pub const fn new() -> Self {
        Self { clock: Clock::new(), alarm: AtomicU64::new(u64::MAX), parker: Parker::new() }
    }
}

impl Default for Thread {
    fn default() -> Self {
        Self::new()
    }
}

impl Platform for Thread {
    const PENDS: bool = true;

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn set_alarm(&self, at: Option<Instant>) {
        self.alarm.store(at.unwrap_or(Instant::MAX).as_micros(), Relaxed);
    }

    fn pend(&self) {
        self.parker.nudge();
    }

    fn idle(&self, quiet: &dyn Fn() -> bool) {
        // What an earlier nudge announced, `quiet` sees.
        self.parker.take_nudge();
        if !quiet() {
            return;
        }
        let limit = match self.alarm.load(Relaxed) {
            u64::MAX => None,
            at => Some(self.clock.until(Instant::from_micros(at))),
        };
        if limit.is_some_and(|limit| limit.is_zero()) {
            // It has gone off, and does so once; an alarm that ended the sleep itself comes here at the next
            // call.
            self.alarm.store(u64::MAX, Relaxed);
            return;
        }
        self.parker.sleep(limit);
        // The caller runs a pass now in any case; a nudge left behind would cost one more.
        self.parker.take_nudge();
    }
}
