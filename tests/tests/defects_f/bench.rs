//! A machine whose clock, alarm and interrupt are in the test's hands.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, OnceLock};

use trilane::exec::{AlarmDue, Handler, Platform, Runner};
use trilane::time::{Duration, Instant};
use trilane_tests::us;

/// More rounds than any test here needs.
const ENDLESS: u32 = 10_000;

/// The clock moves when the test says so, when a task computes, or when the executor waits: then to its
/// alarm, which goes off once, `early` microseconds too soon for the next `early_times` times.
#[derive(Debug, Default)]
pub struct Bench {
    clock: AtomicU64,
    alarm: Mutex<Option<Instant>>,
    pended: AtomicBool,
    early: u64,
    early_times: AtomicU32,
    rounds: AtomicU32,
    watches: bool,
    due: OnceLock<&'static AlarmDue>,
}

/// What `idle` unwinds with when nothing can happen any more.
struct AtRest;

impl Bench {
    /// At the origin of time.
    pub fn new() -> Self {
        Self::default()
    }

    /// One whose alarm goes off `early` microseconds too soon, `times` times.
    pub fn early(early: u64, times: u32) -> Self {
        Self { early, early_times: AtomicU32::new(times), ..Self::default() }
    }

    /// One that tells the executor when its alarm has gone off.
    pub fn watching() -> Self {
        Self { watches: true, ..Self::default() }
    }

    /// Tells the executor, if that is told, that the alarm has gone off.
    pub fn raise(&self) {
        if self.watches {
            self.due.get().expect("the executor has been started").raise();
        }
    }

    /// Computes for `span`; the alarm may go off in the middle of that.
    pub fn compute(&self, span: Duration) {
        self.clock.fetch_add(span.as_micros(), SeqCst);
        let now = self.now();
        if self.alarm.lock().unwrap().take_if(|at| *at <= now).is_some() {
            self.raise();
            // The handler of the alarm's interrupt is the executor's.
            self.pend();
        }
    }

    /// Sets the clock, forwards or back.
    pub fn set_clock(&self, micros: u64) {
        self.clock.store(micros, SeqCst);
    }

    /// What the alarm is set to.
    pub fn alarm(&self) -> Option<Instant> {
        *self.alarm.lock().unwrap()
    }

    /// Whether the executor was pended since this was last asked.
    pub fn take_pend(&self) -> bool {
        self.pended.swap(false, SeqCst)
    }

    /// Lets the time pass until the alarm goes off, which is then spent. Returns false when none is set.
    fn wait(&self) -> bool {
        let Some(at) = self.alarm.lock().unwrap().take() else { return false };
        let is_early = self.early_times.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
        let at = at.as_micros().saturating_sub(if is_early { self.early } else { 0 });
        self.clock.fetch_max(at, SeqCst);
        self.raise();
        true
    }

    fn count_round(&self) {
        let rounds = self.rounds.fetch_add(1, SeqCst);
        assert!(rounds < ENDLESS, "the executor never comes to rest");
    }

    /// Runs the handler whenever it is pended or the alarm goes off, until neither will happen any more.
    /// Returns how often it ran.
    pub fn run_interrupts(&self, handler: &Handler) -> u32 {
        let mut runs = 0;
        loop {
            if !self.take_pend() && !self.wait() {
                return runs;
            }
            self.count_round();
            // SAFETY: the tests call this on one thread, and not from within the handler: the runner's
            // context.
            unsafe { handler.on_interrupt() }
            runs += 1;
        }
    }
}

impl Platform for Bench {
    fn now(&self) -> Instant {
        us(self.clock.load(SeqCst))
    }

    fn set_alarm(&self, at: Option<Instant>) {
        *self.alarm.lock().unwrap() = at;
    }

    fn pend(&self) {
        self.pended.store(true, SeqCst);
    }

    fn idle(&self, quiet: &dyn Fn() -> bool) {
        self.count_round();
        self.take_pend();
        if quiet() && !self.take_pend() && !self.wait() {
            panic_any(AtRest);
        }
    }

    fn watch_alarm(&self, due: &'static AlarmDue) -> bool {
        if self.watches {
            assert!(self.due.set(due).is_ok(), "it is lent once");
        }
        self.watches
    }
}

/// Runs the executor until nothing can happen any more.
pub fn run_to_rest<const BANKS: usize, const PER_BANK: usize>(runner: &mut Runner<Bench, BANKS, PER_BANK>) {
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        runner.run();
    }));
    if let Err(cause) = unwound
        && !cause.is::<AtRest>()
    {
        resume_unwind(cause);
    }
}
