//! Virtual time: nothing waits, and each run is the same.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use trilane::exec::{AlarmDue, Platform, TraceEvent};
use trilane::time::{Duration, Instant};

use crate::parker::Parker;
use crate::standstill::{Creep, LIVELOCK_AFTER, Livelock, Watch};

/// A platform whose clock stands still while tasks run and jumps to the alarm when they all wait.
///
/// A program's timing then depends on its own decisions only, not on the machine's speed: a week of events
/// takes milliseconds, and a test of a timeout neither waits nor flickers. Work takes no virtual time unless
/// it says so with [`advance`](Self::advance).
///
/// Threads outside the simulation are in real time. Their wakes are heard, but the clock doesn't wait for
/// them while an alarm is set; make the executor's thread wait for the outside (join, a channel) where the
/// order matters.
///
/// # When nothing can happen any more
///
/// With no alarm and nothing woken, only another thread can go on. `idle` gives it
/// [`patience`](Self::patient), in real time; then it reports the [`Deadlock`] to the
/// [hook](Self::on_deadlock), which panics unless you give another. When the hook returns, so does `idle`,
/// and an executor that idles again waits again.
///
/// # When the clock can't move
///
/// A task that waits for no time at all, again and again (a loop over `sleep(Duration::ZERO)`), would hold
/// the clock for ever, since its next alarm is always due at once. A real clock goes on meanwhile, so this
/// one does too: after [1,000](Creep::AFTER) idles in a row whose alarm isn't later than the clock, each
/// further one moves it by [a microsecond](Creep::STEP). The times of a program that waits for nothing now
/// and then stay exact.
///
/// Tasks that never wait (they yield, or wake each other) keep the executor from idling at all. After
/// [`livelock_after`](Self::livelock_after) passes at one instant, the platform reports the [`Livelock`],
/// with the tasks' names, to its [hook](Self::on_livelock), which panics unless you give another. When the
/// hook returns, the count begins anew. An executor at rest that other threads wake has no livelock, however
/// often they do.
///
/// # Panics
///
/// [`idle`](Platform::idle) panics when another thread than the first one to idle calls it, and on a deadlock
/// unless the hook decides otherwise; a pass on a livelock, unless its hook decides otherwise.
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
    due: OnceLock<&'static AlarmDue>,
    parker: Parker,
    patience: std::time::Duration,
    on_deadlock: fn(Deadlock),
    creep: Creep,
    watch: Watch,
    livelock_after: u32,
    on_livelock: fn(Livelock),
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
            due: OnceLock::new(),
            parker: Parker::new(),
            patience: Self::PATIENCE,
            on_deadlock: |deadlock| panic!("{deadlock}"),
            creep: Creep::new(),
            watch: Watch::new(),
            livelock_after: LIVELOCK_AFTER,
            on_livelock: |livelock| panic!("{livelock}"),
        }
    }

    /// The same platform, waiting `patience` of real time for other threads before it calls a standstill a
    /// deadlock.
    pub const fn patient(mut self, patience: std::time::Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The same platform, calling `hook` on a deadlock instead of panicking.
    pub const fn on_deadlock(mut self, hook: fn(Deadlock)) -> Self {
        self.on_deadlock = hook;
        self
    }

    /// The same platform, calling it a livelock when the clock stands still for more than `passes` passes of
    /// the executor, instead of [1,000,000](LIVELOCK_AFTER).
    ///
    /// One pass is up to 128 polls, or as many as the executor has slots if that is more. With less than
    /// 1,000 passes, a loop over `sleep(Duration::ZERO)` is reported before the clock moves for it.
    pub const fn livelock_after(mut self, passes: u32) -> Self {
        self.livelock_after = passes;
        self
    }

    /// The same platform, calling `hook` on a livelock instead of panicking.
    pub const fn on_livelock(mut self, hook: fn(Livelock)) -> Self {
        self.on_livelock = hook;
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
        // Time has come to the alarm, or past it, while tasks work.
        if self.now().as_micros() >= self.alarm.load(Relaxed)
            && let Some(due) = self.due.get()
        {
            due.raise();
        }
    }

    fn wait_for_other_threads(&self, quiet: &dyn Fn() -> bool) {
        self.watch.moves();
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
    /// A livelock's report names tasks.
    const TRACES: bool = true;

    fn now(&self) -> Instant {
        Instant::from_micros(self.clock.load(Relaxed))
    }

    fn set_alarm(&self, at: Option<Instant>) {
        self.creep.sets_alarm(at, self.now());
        self.alarm.store(at.unwrap_or(Instant::MAX).as_micros(), Relaxed);
    }

    fn watch_alarm(&self, due: &'static AlarmDue) -> bool {
        // An executor is started once, and a platform is one's.
        let _ = self.due.set(due);
        // An alarm is to be seen each time that it is asked for: waits for no time are counted.
        false
    }

    fn pend(&self) {
        self.parker.nudge();
    }

    fn idle(&self, quiet: &dyn Fn() -> bool) {
        if self.creep.idles() {
            self.advance(Creep::STEP);
        }
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

    fn pass_begins(&self, now: Instant) {
        if let Some(livelock) = self.watch.pass_begins(now, self.livelock_after) {
            (self.on_livelock)(livelock);
        }
    }

    fn trace(&self, event: TraceEvent) {
        self.watch.trace(0, event);
    }
}
