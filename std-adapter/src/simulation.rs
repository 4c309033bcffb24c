//! Virtual time: nothing waits, and each run is the same.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use trilane::exec::Platform;
use trilane::time::{Duration, Instant};

use crate::parker::Parker;

/// A platform whose clock stands still while tasks run and jumps to the alarm when they all wait.
///
/// A program's timing then depends on its own decisions only, not on the machine's speed: a week of events takes
/// milliseconds, and a test of a timeout neither waits nor flickers. Work takes no virtual time unless it says so with
/// [`advance`](Self::advance).
///
/// Threads outside the simulation are in real time. Their wakes are heard, but the clock doesn't wait for them while
/// an alarm is set; make the executor's thread wait for the outside (join, a channel) where the order matters.
///
/// # When nothing can happen any more
///
/// With no alarm and nothing woken, only another thread can go on. `idle` gives it [`patience`](Self::patient), in
/// real time; then it reports the [`Deadlock`] to the [hook](Self::on_deadlock), which panics unless you give another.
/// When the hook returns, so does `idle`, and an executor that idles again waits again.
///
/// # Panics
///
/// [`idle`](Platform::idle) panics when another thread than the first one to idle calls it, and on a deadlock unless
/// the hook decides otherwise.
///
/// # Examples
///
/// ```
/// use trilane::exec::Platform;
/// use trilane::time::Instant;
/// use trilane_std::simulation::Virtual;
///
/// let platform = Virtual::new();
/// let next_week = Instant::from_secs(7 * 24 * 60 * 60);
/// platform.set_alarm(Some(next_week));
/// platform.idle(&|| true);
/// assert_eq!(platform.now(), next_week);
/// ```
#[derive(Debug)]
pub struct Virtual {
    /// In microseconds.
    clock: AtomicU64,
    /// In microseconds; the largest value stands for none. Used by the owner only.
    alarm: AtomicU64,
    parker: Parker,
    patience: std::time::Duration,
    on_deadlock: fn(Deadlock),
}

/// Nothing is woken, no alarm is set, and no other thread has woken anything: see [`Virtual`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deadlock {
    /// The virtual time at which everything came to rest.
    pub at: Instant,
    /// The real time that the platform waited for other threads.
    pub waited: std::time::Duration,
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, waited } = self;
        write!(
            f,
            "deadlock in virtual time at {at}: every task waits, no timer is set, and no other thread woke one within \
             {waited:?}. Wake a task, end the program when its work is done, or set a hook or more patience"
        )
    }
}

impl std::error::Error for Deadlock {}

impl Virtual {
    /// The patience of a platform that was given no other.
    pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

    /// A clock at zero.
    pub const fn new() -> Self {
        Self {
            clock: AtomicU64::new(0),
            alarm: AtomicU64::new(u64::MAX),
            parker: Parker::new(),
            patience: Self::PATIENCE,
            on_deadlock: |deadlock| panic!("{deadlock}"),
        }
    }

    /// The same platform, waiting `patience` of real time for other threads before it calls a standstill a deadlock.
    pub const fn patient(mut self, patience: std::time::Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The same platform, calling `hook` on a deadlock instead of panicking.
    pub const fn on_deadlock(mut self, hook: fn(Deadlock)) -> Self {
        self.on_deadlock = hook;
        self
    }

    /// Moves the clock on by `span`, as work of that length would. Callable from any thread.
    pub fn advance(&self, span: Duration) {
        let mut now = self.clock.load(Relaxed);
        while let Err(other) =
            self.clock.compare_exchange_weak(now, now.saturating_add(span.as_micros()), Relaxed, Relaxed)
        {
            now = other;
        }
    }

    fn wait_for_other_threads(&self, quiet: &dyn Fn() -> bool) {
        let started = std::time::Instant::now();
        loop {
            let waited = started.elapsed();
            let Some(left) = self.patience.checked_sub(waited).filter(|left| !left.is_zero()) else {
                return (self.on_deadlock)(Deadlock { at: self.now(), waited });
            };
            self.parker.sleep(Some(left));
            if self.parker.take_nudge() || !quiet() {
                return;
            }
        }
    }
}

impl Default for Virtual {
    fn default() -> Self {
        Self::new()
    }
}

impl Platform for Virtual {
    const PENDS: bool = true;

    fn now(&self) -> Instant {
        Instant::from_micros(self.clock.load(Relaxed))
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
        if !quiet() || self.parker.take_nudge() {
            return;
        }
        match self.alarm.load(Relaxed) {
            u64::MAX => self.wait_for_other_threads(quiet),
            at => {
                // An alarm in the past must not turn the clock back.
                self.clock.fetch_max(at, Relaxed);
                // It has gone off, and does so once.
                self.alarm.store(u64::MAX, Relaxed);
            }
        }
    }
}
