//! A platform that keeps account of what an executor asks of it.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};

use trilane::exec::{Platform, Runner, TraceEvent};
use trilane::time::Instant;

use crate::Log;

/// A machine in virtual time: [`idle`](Platform::idle) jumps to the alarm, which goes off once.
///
/// When nothing is pended and no alarm is set, nothing can happen any more, and `idle` unwinds;
/// [`run_to_rest`] catches it.
#[derive(Debug, Default)]
pub struct Machine<const PENDS: bool> {
    clock: AtomicU64,
    ticks: AtomicU32,
    alarm: Mutex<Option<Instant>>,
    pended: AtomicBool,
    /// How often the executor was pended.
    pub pends: AtomicU32,
    /// How often the executor idled with nothing to do.
    pub quiet_idles: AtomicU32,
    /// How often it idled although something was runnable.
    pub busy_idles: AtomicU32,
    /// How often the clock was read.
    pub clock_reads: AtomicU32,
    /// What was traced.
    pub events: Log<TraceEvent>,
}

/// A machine that a wake must pend.
pub type Watched = Machine<true>;

/// A machine whose interrupts end its sleep by themselves.
pub type ThreadMode = Machine<false>;

/// What `idle` unwinds with.
struct AtRest;

impl<const PENDS: bool> Machine<PENDS> {
    /// A machine at the origin of time.
    pub const fn new() -> Self {
        Self {
            clock: AtomicU64::new(0),
            ticks: AtomicU32::new(0),
            alarm: Mutex::new(None),
            pended: AtomicBool::new(false),
            pends: AtomicU32::new(0),
            quiet_idles: AtomicU32::new(0),
            busy_idles: AtomicU32::new(0),
            clock_reads: AtomicU32::new(0),
            events: Log::new(),
        }
    }

    /// Advances the counter that polls are timed with.
    pub fn tick(&self, ticks: u32) {
        self.ticks.fetch_add(ticks, SeqCst);
    }
}

impl<const PENDS: bool> Platform for Machine<PENDS> {
    const PENDS: bool = PENDS;
    const TIMES_POLLS: bool = true;
    const TRACES: bool = true;

    fn now(&self) -> Instant {
        self.clock_reads.fetch_add(1, SeqCst);
        Instant::from_micros(self.clock.load(SeqCst))
    }

    fn set_alarm(&self, at: Option<Instant>) {
        *self.alarm.lock().unwrap() = at;
    }

    fn pend(&self) {
        self.pends.fetch_add(1, SeqCst);
        self.pended.store(PENDS, SeqCst);
    }

    fn idle(&self, quiet: &dyn Fn() -> bool) {
        // Whatever was pended before shows in `quiet`, so it need not cost a pass of its own.
        self.pended.store(false, SeqCst);
        if !quiet() {
            self.busy_idles.fetch_add(1, SeqCst);
            return;
        }
        self.quiet_idles.fetch_add(1, SeqCst);
        if self.pended.load(SeqCst) {
            return;
        }
        // The lock is let go before `idle` may unwind.
        let alarm = self.alarm.lock().unwrap().take();
        match alarm {
            Some(at) => drop(self.clock.fetch_max(at.as_micros(), SeqCst)),
            None => panic_any(AtRest),
        }
    }

    fn pass_begins(&self, now: Instant) {
        self.clock.fetch_max(now.as_micros(), SeqCst);
    }

    fn ticks(&self) -> u32 {
        self.ticks.load(SeqCst)
    }

    fn trace(&self, event: TraceEvent) {
        self.events.push(event);
    }
}

/// Runs the executor until nothing can happen any more.
pub fn run_to_rest<const PENDS: bool, const BANKS: usize, const PER_BANK: usize>(
    runner: &mut Runner<Machine<PENDS>, BANKS, PER_BANK>,
) {
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        runner.run();
    }));
    if let Err(cause) = unwound
        && !cause.is::<AtRest>()
    {
        resume_unwind(cause);
    }
}
